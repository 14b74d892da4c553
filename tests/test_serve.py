"""`detent serve` and `detent gateway` as processes: they go on without a store, end without a loss, share one, and say what is wrong."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sqlite3
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from detent import cli, flags
from detent.controller import Controller, act, apply
from detent.errors import CouldNotRun
from detent.flags import FlagFeed, static
from detent.flags_on_disk import recall, remember
from detent.ingest import Ingested, Ingester
from detent.ingest.reading import Reader, Turn
from detent.manifest import read
from detent.serve.loops import KEEPER_BATCHES, Keeper, Repeating, decide
from detent.store import Store, open_store
from detent.store.spool import Spool, spool_dirs
from detent.terms import Baseline, Case, Decision, Endpoint, FlagSet, Outcome, Phase, Verb
from mock_upstream import CLOSE, GO, Mock, answer, running, stream
from outside import HONEST, STABLE, WHOLE, Answered, Callers, Door, post
from processes import CANARY, Installation, Process, Spooled, in_canary, now, standing, until
from records import intent


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door().on_a_socket() as door:
        yield door


@pytest.fixture
def mock() -> Iterator[Mock]:
    with running() as mock:
        yield mock


@pytest.fixture
def place(tmp_path: Path, door: Door) -> Iterator[Installation]:
    with standing(tmp_path, door.url) as place:
        yield place


def records(place: Installation, n: int) -> None:
    """Wait until so many legs, and no more, are in the journal, each with its end."""
    until(lambda: place.store.journal.count() >= n and not place.store.journal.count(pending=True), f"{n} legs in the journal")
    assert place.store.journal.count() == n


# ── fail static ─────────────────────────────────────────────────────────────────────────────────────────────────────


def take_away(place: Installation) -> None:
    """The state's database is gone, all its files."""
    aside = place.home / "aside"
    aside.mkdir()
    for file in sorted(place.dot.glob("state.db*"), reverse=True):
        file.rename(aside / file.name)


def put_back_a_copy(place: Installation) -> None:
    """As from a backup: the same store in another file."""
    copy = place.home / "copy.db"
    with closing(sqlite3.connect(place.home / "aside" / "state.db")) as there, closing(sqlite3.connect(copy)) as here:
        there.backup(here)
    copy.replace(place.dot / "state.db")
    place.reopen()


@pytest.mark.fault(
    "the store's files are gone: a gateway starts",
    "it serves the last flags it knew, from its disk; without those the pin",
)
def test_without_its_store_a_gateway_serves_the_last_flags_it_knew_and_without_those_the_pin(place: Installation) -> None:
    in_canary(place, lease_s=3600.0)  # however slow this machine is
    server, gateway = place.serve(), place.gateway()
    place.acknowledged(server, gateway)
    revision = place.store.state.revision()
    callers = Callers()

    def served(by: Process) -> tuple[set[int], set[str]]:
        """Revisions and versions that twelve new users get."""
        before = len(callers.answered)
        callers.all([by.url], 12)
        assert callers.failed == {}
        # The caller has the last byte a moment before the result is on disk: a kill is to come after both.
        until(lambda: Spooled.under_way(place.spools) == 0, "all results spooled")
        new = callers.answered[before:]
        assert {one.status for one in new} == {200}
        return {one.revision for one in new}, {one.model for one in new}

    split = {revision}, {STABLE, HONEST}
    assert served(gateway) == split
    take_away(place)
    until(lambda: "the store cannot be read" in gateway.talk and "the store cannot be read" in server.talk, "the loss noticed")
    assert served(gateway) == split
    assert served(server) == split
    with pytest.raises(HTTPError) as status:
        urllib.request.urlopen(f"{server.control}/v1/status")
    assert status.value.code == 503
    assert "the store's file is gone" in json.load(status.value)["error"]

    gateway.kill()
    (place.dot / "state.db").write_bytes(b"no database at all " * 100)
    gateway = place.gateway()
    assert served(gateway) == split, "from its own disk"
    assert f"serving the flags of revision {revision}" in gateway.talk
    gateway.kill()
    (place.dot / "flags-two.json").unlink()
    gateway = place.gateway()
    assert served(gateway) == ({0}, {STABLE}), "the pin is always the approved version"

    put_back_a_copy(place)
    place.acknowledged(server, gateway)
    assert "the store can be read again" in gateway.talk
    assert served(gateway) == split
    act(place.store, CANARY, "roll_back", by="test", why="", now=now())
    place.acknowledged(server, gateway)
    assert served(gateway)[1] == served(server)[1] == {STABLE}
    records(place, len(callers.answered))
    assert place.store.journal.count(outcome=Outcome.COMPLETE) == len(callers.answered)
    assert not any("Traceback" in process.talk for process in place.processes)


@pytest.mark.fault("the store takes no write", "nobody waits, and nothing is lost")
def test_a_locked_store_keeps_nobody_waiting_and_loses_nothing(place: Installation) -> None:
    in_canary(place)
    server = place.serve()
    place.acknowledged(server)
    callers = Callers()
    with closing(sqlite3.connect(place.dot / "state.db")) as state, closing(sqlite3.connect(place.dot / "journal.db")) as journal:
        for connection in (state, journal):
            connection.execute("BEGIN IMMEDIATE")
        callers.all([server.url], 20)
        assert {one.status for one in callers.answered} == {200}
    records(place, 20)


class Flaky:
    """A store that cannot be reached while `fault` is set."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.fault: Exception | None = None

    def __call__(self) -> Store:
        if self.fault is not None:
            raise self.fault
        return self.store


@pytest.fixture
def flaky(place: Installation) -> Flaky:
    in_canary(place)
    return Flaky(place.store)


def feed(flaky: Flaky, cache: Path, said: list[str], **more: Any) -> FlagFeed:
    fallback = static(read(Installation.pin_file("http://127.0.0.1:1")))
    return FlagFeed(flaky, "two", address="127.0.0.1:1", cache=cache, clock=now, fallback=fallback, say=said.append, **more)


def test_flags_of_the_start_are_kept_on_disk_too(flaky: Flaky, tmp_path: Path) -> None:
    # Else a rollback that was written while no gateway ran would be undone by the next start without a store.
    cache, said = tmp_path / "flags.json", list[str]()
    revision = flaky.store.state.revision()
    remember(FlagSet(revision=revision - 1, manifest=read(Installation.pin_file("http://127.0.0.1:1"))), cache)
    watching = feed(flaky, cache, said)
    watching.start()
    until(lambda: (kept := recall(cache)) and kept.revision == revision, "the newest flags on disk")
    watching.stop()
    assert cache.stat().st_mode & 0o077 == 0, "it holds secrets"
    assert (said, flaky.store.state.gateways()) == ([], [])


@pytest.mark.parametrize("fault", [CouldNotRun("gone"), sqlite3.OperationalError("disk I/O error"), OSError("no"), RuntimeError("?")])
def test_whatever_is_wrong_with_the_store_the_watch_goes_on(
    flaky: Flaky, tmp_path: Path, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flags, "HEARTBEAT_S", 0.05)
    said: list[str] = []
    watching = feed(flaky, tmp_path / "flags.json", said)
    watching.start()
    until(flaky.store.state.gateways, "the first acknowledgement")
    flaky.fault = fault
    until(lambda: said, "the loss noticed")
    act(flaky.store, CANARY, "roll_back", by="test", why="", now=now())
    flaky.fault = None
    until(lambda: watching.current.revision == flaky.store.state.revision(), "the rollback")
    watching.stop()
    assert [line.partition(",")[0] for line in said] == ["the store cannot be read", "the store can be read again"]


def test_who_may_come_in_is_for_the_process_own_file_to_say(flaky: Flaky, tmp_path: Path) -> None:
    assert feed(flaky, tmp_path / "flags.json", [], clients_env="KEYS").current.manifest.server.clients_env == "KEYS"
    flaky.fault = CouldNotRun("gone")
    assert feed(flaky, tmp_path / "flags.json", [], clients_env="KEYS").current.manifest.server.clients_env == "KEYS"


# ── the end of a process ────────────────────────────────────────────────────────────────────────────────────────────


def in_a_thread(call: Callable[[], Answered]) -> Callable[[], Answered | Exception]:
    """Begin a call; what is given waits for what came of it."""
    came: list[Answered | Exception] = []

    def run() -> None:
        try:
            came.append(call())
        except (OSError, http.client.HTTPException) as error:
            came.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def wait() -> Answered | Exception:
        thread.join(60)
        return came[0]

    return wait


def test_on_sigterm_answers_under_way_are_finished_and_on_record(tmp_path: Path, mock: Mock) -> None:
    with standing(tmp_path, mock.url) as place:
        server = place.serve()
        mock.script = stream(b'data: {"choices":[]}\n\n', CLOSE)
        with pytest.raises(http.client.IncompleteRead):
            post(server.url, "broken off", stream=True)
        mock.script = stream(b'data: {"choices":[]}\n\n', GO, b"data: [DONE]\n\n")
        streamed = in_a_thread(lambda: post(server.url, "streamed", stream=True))
        until(lambda: len(mock.seen) == 2, "the request at the provider")
        server.signal(signal.SIGTERM)
        until(lambda: "ending once the answers under way (1) are whole" in server.talk, "word of the end")
        until(lambda: not connects(server.url), "no new connections")
        mock.go()
        found = streamed()
        assert isinstance(found, Answered)
        assert found.text.endswith("data: [DONE]\n\n")
        assert server.wait() == 0
        records(place, 2)
        assert Counter(leg.result.outcome for leg in place.store.journal.latest("chat") if leg.result) == {
            Outcome.COMPLETE: 1,
            Outcome.UPSTREAM_TRUNCATED: 1,
        }
        assert (spool_dirs(place.spools), place.store.state.gateways()) == ({}, [])
        assert not any(word in server.talk for word in ("Traceback", "ERROR", "Unclosed"))


# ── counting and deciding ──


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path / 'state.db'}")) as store:
        yield store


def keeping(reader: Reader, store: Store, say: Callable[[str], None]) -> Keeper:
    """The keeper of a process that leads and reads."""
    return Keeper(reader.once, lambda: decide(Controller(store, now), say))


def reading(store: Store, root: Path) -> Reader:
    return Reader(store, root, Turn(root), None)


def test_what_cannot_be_counted_keeps_nobody_from_deciding(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that is full, a spool that cannot be read: what was counted before may say harm."""
    said: list[str] = []
    keeper = keeping(reading(store, tmp_path / "spool"), store, said.append)
    decision = Decision(rollout="ro_1", verb=Verb.ROLL_BACK, reason="GuardHarmed", sentence="it is so", at=now(), evidence_digest="")

    def full(ingester: Ingester, *, most_batches: int) -> Ingested:
        raise CouldNotRun("no space left on device")

    monkeypatch.setattr(Ingester, "run_once", full)
    monkeypatch.setattr(Controller, "run_once", lambda controller: (decision,))
    with pytest.raises(CouldNotRun, match="no space left"):
        keeper.step()
    assert said == ["ro_1: roll_back (GuardHarmed) it is so"]


def test_both_failures_are_said_and_one_that_is_the_same_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = keeping(reading(store, tmp_path / "spool"), store, lambda line: None)
    errors = iter([CouldNotRun("disk full"), OSError("gone"), CouldNotRun("no store"), CouldNotRun("no store")])

    def fails(*of: object, **more: object) -> None:
        raise next(errors)

    monkeypatch.setattr(Ingester, "run_once", fails)
    monkeypatch.setattr(Controller, "run_once", fails)
    said: list[str] = []
    loop = Repeating("keeper", keeper.step, 1.0, ending=threading.Event(), failing={}, say=said.append)
    loop.once()
    loop.once()
    assert said == ["detent keeper: disk full; OSError: gone; trying again", "detent keeper: no store; trying again"]


def test_a_long_backlog_is_decided_about_as_it_is_counted(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a night without a keeper: so many batches, then a decision, then the next."""
    root = tmp_path / "spool"
    spool, legs = Spool(root, "gw"), {f"le_{n}" for n in range(2 * KEEPER_BATCHES)}
    for n in range(len(legs)):
        spool.write(intent(str(n), seconds=n))
    reader = reading(store, root)
    reader.ingester = Ingester(store, root, now, batch=1)
    keeper = keeping(reader, store, lambda line: None)
    decided: list[int] = []

    def looked(controller: Controller) -> tuple[Decision, ...]:
        decided.append(len(store.journal.intents(legs)))
        return ()

    monkeypatch.setattr(Controller, "run_once", looked)
    for _ in range(3):
        keeper.step()
    assert decided == [KEEPER_BATCHES, 2 * KEEPER_BATCHES, 2 * KEEPER_BATCHES]


def connects(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


def test_a_second_ctrl_c_cuts_off_what_hangs(tmp_path: Path, mock: Mock) -> None:
    mock.script = [GO, *answer(WHOLE)]
    with standing(tmp_path, mock.url) as place:
        server = place.serve()
        hanging = in_a_thread(lambda: post(server.url, "hanging"))
        until(lambda: mock.seen, "the request at the provider")
        server.signal(signal.SIGINT)
        until(lambda: "a second signal cuts them off" in server.talk, "word of the end")
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        found = hanging()
        assert isinstance(found, Exception) or found.status == 500
        records(place, 1)
        assert place.store.journal.count(outcome=Outcome.LOST) == 1
        assert not any(word in server.talk for word in ("Traceback", "Unclosed", "exception"))


# ── two on one store ────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_servers_on_one_store_double_nothing(place: Installation, door: Door) -> None:
    apply(place.store, place.text(), file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
    cases = tuple(
        Case(
            id=f"ca_{n}",
            route="chat",
            endpoint=Endpoint.OPENAI_CHAT,
            request=json.dumps({"model": "chat", "messages": [{"role": "user", "content": f"Case {n}?"}]}).encode(),
            known_good=f"You asked: Case {n}?",
            frozen_at=now(),
        )
        for n in range(40)
    )
    place.store.state.put_baseline(Baseline(route="chat", digest="d", frozen_at=now(), owner="a@example.com", cases=cases))
    servers = [place.start("serve"), place.start("serve")]
    place.acknowledged(*servers)
    assert len({gateway.gateway for gateway in place.store.state.gateways()}) == 2, "each has a name of its own"
    paid = len(door.asked)
    text = place.text(HONEST)
    place.file.write_text(text)
    apply(place.store, text, file="detent.toml", by="test", now=now(), new_id=lambda: "ro_1", new_salt=lambda: "the rollout's salt")
    until(lambda: place.store.state.rollout("ro_1").phase is not Phase.BASELINE and place.store.state.runs("ro_1"), "the baseline")
    assert place.store.state.rollout("ro_1").phase is Phase.SHADOW
    assert len(door.asked) - paid == len(place.store.state.runs("ro_1")) == 160, "no call was paid twice"

    place.acknowledged(*servers)
    callers = Callers()

    def in_its_canary() -> bool:
        callers.all([server.url for server in servers], 8)
        return place.store.state.rollout("ro_1").phase is Phase.CANARY

    until(in_its_canary, "the canary")
    place.acknowledged(*servers)
    callers.all([server.url for server in servers], 40)
    servers.pop(0).kill()
    callers.all([server.url for server in servers], 20)
    assert {one.status for one in callers.answered} == {200}
    until(lambda: not place.store.journal.count(pending=True) and len(place.writers()) == 1, "the records of both")
    legs = place.store.journal.latest("chat", 100_000)
    served = [leg for leg in legs if leg.intent.role != "mirrored"]
    assert {leg.intent.exchange for leg in served} == {one.exchange for one in callers.answered}
    assert len(served) == len(callers.answered)
    assert len({leg.intent.gateway for leg in served}) == 2
    assert sum(sums.legs for _, sums in place.store.state.minute_sums("chat")) == len(legs)
    units = [leg.intent for leg in served if leg.intent.randomised]
    assert place.store.state.users("ro_1")[1] == len({intent.unit for intent in units}) == len(units) >= 60
    moves = [decision.reason for decision, _ in place.store.state.decisions("ro_1") if decision.verb is not Verb.HOLD]
    assert moves[:3] == ["Opened", "BaselinePassed", "ShadowPassed"]
    assert len(set(moves)) == len(moves)


# ── what a first-time user is told ──────────────────────────────────────────────────────────────────────────────────


Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Exit code and words of a `serve` that must not begin to serve."""

    def began(*_: object, **__: object) -> None:
        raise AssertionError("it began to serve")

    def run(*options: str) -> tuple[int, str]:
        monkeypatch.setattr("detent.serve.run", began)
        code = cli.main(["serve", *options])
        printed = capsys.readouterr()
        assert printed.out == ""
        return code, printed.err

    return run


def test_a_taken_port_is_said_before_anything_is_done(place: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        server = place.serve("--data", address)
        assert server.wait() == 4
    assert server.talk.startswith(f"detent: cannot listen on `{address}`: Address already in use\nhint: ")
    assert not place.dot.exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--data", "8700"], 2, "server.data must be HOST:PORT: `8700`"),
        (["--data", "127.0.0.1:70000"], 2, "server.data must be HOST:PORT: `127.0.0.1:70000`"),
        (["--data", "0.0.0.0:0"], 2, "would serve other machines without client keys: `0.0.0.0:0`"),
        (["--control", "0.0.0.0:0"], 2, "without a login: `0.0.0.0:0`"),
        (["--name", "../two"], 2, "not a name for a gateway: `../two`"),
        (["--store", "mysql://here/x"], 2, "not a database that Detent uses: `mysql`"),
    ],
)
def test_options_obey_the_rules_of_the_pin_file(place: Installation, refused: Refused, options: list[str], code: int, words: str) -> None:
    found, said = refused("--file", str(place.file), *options)
    assert (found, words in said, "hint: " in said) == (code, True, True), said


def test_a_missing_pin_file_and_missing_client_keys_are_named(
    place: Installation, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = refused("--file", str(place.home / "other.toml"))
    assert (code, "no pin file" in said, "detent init" in said) == (2, True, True)
    place.file.write_text(place.text() + 'clients_env = "OUR_CLIENT_KEYS"\n')
    for value in (None, "", " , "):
        monkeypatch.delenv("OUR_CLIENT_KEYS", raising=False)
        if value is not None:
            monkeypatch.setenv("OUR_CLIENT_KEYS", value)
        code, said = refused("--file", str(place.file))
        assert (code, "no client keys: `OUR_CLIENT_KEYS`" in said) == (4, True), "authentication never fails open"


def test_a_directory_that_cannot_be_written_is_said(place: Installation) -> None:
    place.dot.write_text("in the way")
    server = place.serve()
    assert (server.wait(), server.talk.partition(":")[0], "cannot make a spool" in server.talk) == (4, "detent", True)


def test_a_server_says_what_it_serves_how_to_reach_it_and_which_key_is_missing(place: Installation) -> None:
    place.file.write_text(place.text().replace("watcher ", 'key_env  = "ATLAS_KEY"\nwatcher '))
    gateway = place.gateway()
    until(lambda: "ATLAS_KEY" in gateway.talk, "the missing key")
    assert f"detent: chat is served by atlas/{STABLE}\n" in gateway.talk
    assert f"base_url {gateway.url}/v1" in gateway.talk
    assert gateway.stop() == 0
