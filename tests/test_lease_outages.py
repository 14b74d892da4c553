"""What gateways serve while things are down: a database that hangs or is gone, a disk that is full. Real ones of each."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detent import cli
from detent.controller import act
from detent.errors import CouldNotRun
from detent.flags import FlagFeed, static
from detent.flags_on_disk import recall, remember, unreached_s
from detent.manifest import read
from detent.serve.dropping import Dropping
from detent.store import Store
from detent.terms import Flag, FlagSet
from outside import HONEST, STABLE, Callers, Door, post
from processes import CANARY, Installation, Process, in_canary, now, standing, until

if TYPE_CHECKING:
    from stores import Postgres

pytest_plugins = ("stores",)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door().on_a_socket() as door:
        yield door


def lease(store: Store, lease_s: float) -> None:
    """Another lease than the plan's, so that nobody waits for a minute."""
    flag = store.state.flags()["chat"]
    store.state.put_flags([replace(flag, lease_s=lease_s)], at=now(), by="test")


def models(url: str, callers: Callers, sessions: int = 12) -> set[str]:
    """The versions that so many new users get; every one of them is answered."""
    before = len(callers.answered)
    callers.all([url], sessions)
    assert callers.failed == {}
    new = callers.answered[before:]
    assert {one.status for one in new} == {200}
    return {one.model for one in new}


# ── the feed, with a clock as it is told ────────────────────────────────────────────────────────────────────────────


class Clocks:
    """A monotonic clock and a wall clock that stand still until they are moved."""

    def __init__(self) -> None:
        self.monotonic, self.wall = 1000.0, datetime(2026, 7, 1, tzinfo=UTC)

    def pass_by(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += timedelta(seconds=seconds)


class Link:
    """The way to a store, cut while `cut` is set."""

    def __init__(self, store: Store) -> None:
        self.store, self.cut = store, False

    def __call__(self) -> Store:
        if self.cut:
            raise CouldNotRun("no way there")
        return self.store


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with standing(tmp_path, "http://127.0.0.1:1") as place:
        in_canary(place)
        yield place


def feed(link: Callable[[], Store], cache: Path, clocks: Clocks, said: list[str]) -> FlagFeed:
    return FlagFeed(
        link,
        "two",
        address="127.0.0.1:1",
        cache=cache,
        clock=lambda: clocks.wall,
        fallback=static(read(Installation.pin_file("http://127.0.0.1:1"))),
        say=said.append,
        monotonic=lambda: clocks.monotonic,
    )


def chat(of: FlagFeed) -> Flag:
    return of.current.flags["chat"]


@pytest.mark.fault(
    "PostgreSQL hangs: the feed of a gateway, by a clock that is told",
    "the split stands to the end of the lease and not a moment longer; it is back when the store is; each said once",
)
def test_a_gateway_that_is_cut_off_leaves_the_candidate_when_its_lease_ends_and_says_so_once_each_way(
    place: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detent import flags

    monkeypatch.setattr(flags, "HEARTBEAT_S", 0.1)
    link, clocks, said = Link(place.store), Clocks(), list[str]()
    watching = feed(link, tmp_path / "flags.json", clocks, said)
    watching.start()
    try:
        until(lambda: recall(tmp_path / "flags.json"), "the flags on disk")
        link.cut = True
        until(lambda: said, "the loss noticed")
        clocks.pass_by(59.9)
        time.sleep(0.15)  # a look or two
        assert chat(watching).split == 0.5
        clocks.pass_by(0.2)
        until(lambda: chat(watching).lapsed, "the end of the lease")
        assert (chat(watching).split, chat(watching).rollout) == (0.0, CANARY)
        clocks.pass_by(86400.0)
        link.cut = False
        until(lambda: not chat(watching).lapsed, "the lease again")
        until(lambda: len(said) == 4, "word of it")
    finally:
        watching.stop()
    assert [line.partition(",")[0].partition(":")[0] for line in said] == [
        "the store cannot be read",
        "the lease of chat lapsed",
        "the store is reached",
        "the store can be read again",
    ]


def test_a_store_that_can_be_read_and_not_written_keeps_the_lease(
    place: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks, said = Clocks(), list[str]()
    watching = feed(Link(place.store), tmp_path / "flags.json", clocks, said)

    def full(*of: object, **more: object) -> None:
        raise CouldNotRun("database or disk is full")

    monkeypatch.setattr(place.store.state, "acknowledge", full)
    for _ in range(3):
        clocks.pass_by(59.0)
        watching._obey(place.store)
        watching.obeyed.look()
        assert chat(watching).split == 0.5
    assert said == ["the store can be read and does not hear what is served: database or disk is full"]


@pytest.mark.fault(
    "a host's clock jumps by a day: a gateway starts again without a store",
    "what was left of the lease goes on; a clock that jumped either way ends it: stable",
)
@pytest.mark.parametrize(
    ("off_s", "wall_jump_s", "split"),
    [(20.0, 0.0, 0.5), (61.0, 0.0, 0.0), (20.0, 86400.0, 0.0), (20.0, -86400.0, 0.0)],
    ids=["a quick restart", "off for longer than the lease", "the clock a day ahead", "the clock a day back"],
)
def test_the_lease_goes_on_over_a_restart_and_a_clock_that_jumped_ends_it(
    place: Installation, tmp_path: Path, off_s: float, wall_jump_s: float, split: float
) -> None:
    link, clocks, said = Link(place.store), Clocks(), list[str]()
    cache = tmp_path / "flags.json"
    feed(link, cache, clocks, said)._obey(place.store)
    link.cut = True
    clocks.pass_by(off_s)
    clocks.wall += timedelta(seconds=wall_jump_s)
    clocks.monotonic = 5.0  # another boot, another clock
    started = feed(link, cache, clocks, said)
    assert chat(started).split == split
    if split:
        clocks.pass_by(60.0 - off_s)
        started.obeyed.look()
        assert chat(started).lapsed, "what was left of it"


def test_every_heartbeat_moves_the_moment_from_which_a_restart_counts(place: Installation, tmp_path: Path) -> None:
    clocks, cache = Clocks(), tmp_path / "flags.json"
    watching = feed(Link(place.store), cache, clocks, [])
    for _ in range(3):
        watching._obey(place.store)
        assert unreached_s(cache, clocks.wall.timestamp()) == pytest.approx(0.0, abs=1e-3)
        clocks.pass_by(30.0)
    assert unreached_s(cache, clocks.wall.timestamp()) == pytest.approx(30.0, abs=1e-3)


def test_flags_that_cannot_be_kept_end_the_lease_of_those_that_were(
    place: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a restart without a store would bring back a split that was rolled back while the disk was full."""
    from detent import flags

    clocks, cache, said = Clocks(), tmp_path / "flags.json", list[str]()
    watching = feed(Link(place.store), cache, clocks, said)
    watching._obey(place.store)
    act(place.store, CANARY, "roll_back", by="test", why="", now=now())

    def full(new: FlagSet, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flags, "remember", full)
    watching._obey(place.store)
    assert chat(watching).split == 0.0
    kept = recall(cache)
    assert kept is not None
    assert kept.flags["chat"].split == 0.5
    gone = Link(place.store)
    gone.cut = True
    assert chat(feed(gone, cache, clocks, said)).lapsed


# ── a database that accepts and never answers ───────────────────────────────────────────────────────────────────────


def family(server: Postgres) -> list[int]:
    """The server and all its children."""
    first = int((server.place / "data" / "postmaster.pid").read_text().split()[0])
    found = [first]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # one that has just ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == first:
                found.append(int(stat.parent.name))
    return found


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """The server hangs: its kernel goes on accepting and acknowledging, and nothing ever answers."""
    those = family(server)
    for pid in those:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in those:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.fault(
    "PostgreSQL hangs",
    "gateways go to stable when their leases end, one that starts meanwhile serves from its disk; `rollback --local` works, and is"
    " carried out in the store when that is back",
)
@pytest.mark.parametrize("new_store_url", ["postgresql"], indirect=True)
def test_a_database_that_hangs_keeps_no_lease_alive_and_no_order_waiting(
    postgres: Postgres,
    store_url: str,
    tmp_path: Path,
    door: Door,
    capsys: pytest.CaptureFixture[str],
    seen: Callable[[str], None],
) -> None:
    callers = Callers()
    with standing(tmp_path, door.url, store_url=store_url) as place:
        in_canary(place)
        lease(place.store, 4.0)
        gateway = place.gateway()
        place.acknowledged(gateway)
        assert models(gateway.url, callers) == {STABLE, HONEST}
        with stopped(postgres):
            late = place.start("gateway", "--name", "late")
            hung = time.monotonic()
            until(lambda: "the lease of chat lapsed" in gateway.talk, "the end of the lease")
            lapsed = time.monotonic() - hung
            assert models(gateway.url, callers) == {STABLE}
            assert models(late.url, callers) == {STABLE}, "one that starts meanwhile gives up on it in seconds"
            told = cli.main(["rollback", "chat", "--local", "--file", str(place.file), "--by", "ann", "--wait", "30"])
            assert (told, capsys.readouterr().out.count("serves stable after")) == (0, 2)
        until(lambda: place.store.state.rollout(CANARY).phase.terminal, "the order carried out")
        place.acknowledged(gateway, late)
        assert models(gateway.url, callers) == {STABLE}
        talk = gateway.talk
    assert talk.count("the lease of chat lapsed") == 1
    assert "Traceback" not in talk
    seen(f"on stable {lapsed:.1f} s after it hung, with a lease of 4 s; all of {len(callers.answered)} requests answered")


# ── a disk that is full ─────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def small_disk(at: Path) -> Iterator[Path]:
    """A file system of its own, of 2 MB."""
    from stores import cannot_have

    at.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(at)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        cannot_have("a file system that can be filled: mounting one needs root")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"0" * 4096)
    return ballast


@pytest.mark.fault("the disk is full", "every request is answered, records are dropped and counted, both kinds of rollback work")
def test_on_a_full_disk_gateways_serve_and_are_rolled_back_both_ways(
    tmp_path: Path, door: Door, capsys: pytest.CaptureFixture[str], seen: Callable[[str], None]
) -> None:
    callers = Callers()
    with small_disk(tmp_path / "disk") as disk, standing(disk, door.url, store_url=f"sqlite:///{tmp_path / 'state.db'}") as place:
        in_canary(place)
        gateway = place.gateway()
        place.acknowledged(gateway)
        assert models(gateway.url, callers) == {STABLE, HONEST}
        ballast = fill(disk)
        assert models(gateway.url, callers, 40) == {STABLE, HONEST}, "records are dropped, answers are not"
        until(lambda: "records are dropped, requests are answered" in gateway.talk, "word of it")

        asked = ["rollback", "chat", "--local", "--file", str(place.file), "--by", "ann"]
        assert cli.main(asked) == 3
        told = capsys.readouterr()
        assert "gateway two serves stable after" in told.out
        assert "the disk is full: the gateways here obey, and who, why and the rollout could not be written" in told.err
        assert models(gateway.url, callers) == {STABLE}
        assert not place.store.state.rollout(CANARY).phase.terminal, "nobody's word is nobody's rollback"

        act(place.store, CANARY, "roll_back", by="test", why="", now=now())
        place.acknowledged(gateway)
        until(lambda: "the flags cannot be kept on disk" in gateway.talk, "word of it")
        (place.dot / "orders" / "chat.json").unlink()
        assert models(gateway.url, callers) == {STABLE}, "by the store, too"
        ballast.unlink()
        until(lambda: (kept := recall(place.dot / "flags-two.json")) and kept.revision == place.store.state.revision(), "the flags on disk")
        models(gateway.url, callers)
        until(lambda: "records are kept again" in gateway.talk, "word of that")
        assert gateway.stop() == 0
        dropped = re.search(r"([1-9]\d*) records were dropped since the start", gateway.talk)
        assert dropped
        assert "Traceback" not in gateway.talk
        seen(f"all of {len(callers.answered)} requests answered, {dropped[1]} records dropped and counted")


def test_what_is_dropped_is_said_once_each_way() -> None:
    dropping = Dropping()
    assert [dropping.step(*counts) for counts in ((5, 0), (9, 0))] == [None, None]
    first, *then = (dropping.step(*counts) for counts in ((9, 3), (10, 5), (10, 5), (12, 5), (20, 5)))
    assert first is not None
    assert first.startswith("records are dropped")
    assert then == [None, None, "records are kept again; 5 were dropped", None]
    dropping.step(20, 6)
    assert dropping.step(21, 6) == "records are kept again; 1 were dropped"


# ── who may come in ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.fault(
    "the store's files are gone: they are no database any more, and client keys are asked for",
    "flags from disk are served to those who have a key, and nobody else comes in",
)
def test_without_store_server_and_controller_nobody_comes_in_who_has_no_key(tmp_path: Path, door: Door) -> None:
    with standing(tmp_path, door.url) as place:
        place.file.write_text(place.text().replace("[server]", '[server]\nclients_env = "APP_KEYS"'))
        in_canary(place)
        place.store.close()
        (place.dot / "state.db").write_bytes(b"no database at all " * 100)
        remember(FlagSet(revision=9, manifest=read(place.text())), place.dot / "flags-two.json")  # from before keys were asked for
        gateway = place.start("gateway", "--name", "two", env={"APP_KEYS": "the-right-key"})
        assert post(gateway.url, "nobody").status == 401
        assert asked_with(gateway, "a-wrong-key") == 401
        assert asked_with(gateway, "the-right-key") == 200
        assert "serving the flags of revision 9" in gateway.talk


def asked_with(gateway: Process, key: str) -> int:
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=20)
    body = b'{"model": "chat", "messages": [{"role": "user", "content": "hi"}]}'
    connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json", "authorization": f"Bearer {key}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_keys_variable_that_is_not_set_lets_nobody_in(tmp_path: Path) -> None:
    place = Installation(tmp_path, "http://127.0.0.1:1")
    place.file.write_text(place.text().replace("[server]", '[server]\nclients_env = "NO_SUCH_KEYS"'))
    assert cli.main(["gateway", "--file", str(place.file)]) == 4
