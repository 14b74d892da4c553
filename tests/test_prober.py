"""Probes on real sockets: the smallest request that a provider takes, what its headers say, and one server at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from detent.cli import main
from detent.controller import apply, way_backs
from detent.errors import CouldNotRun
from detent.ingest import Ingester
from detent.manifest import read
from detent.prober import Prober
from detent.store import Store, open_store
from detent.store.spool import Spool
from detent.terms import Flag, FlagSet, Probe, Version
from mock_upstream import COMPLETION, Mock, Script, Seen, answer, running
from processes import now, standing, until
from receivers import webhook
from records import OLD, T0, intent, result, rollout

S = timedelta(seconds=1)
BACK = "atlas-2026-01-01"
THERE = Version("openai", BACK)

FILE = """\
[providers.openai]
dialect = "DIALECT"
base_url = "URL/v1"
key_env = "PROVIDER_KEY"
watcher = "llm@example.com"

[routes.chat]
provider = "openai"
version = "atlas-2026-03-01"
rollback = "atlas-2026-01-01"
owner = "ann@example.com"
"""


def completion(model: str = BACK) -> bytes:
    return json.dumps(json.loads(COMPLETION) | {"model": model}).encode()


def ok(**headers: str) -> Script:
    return answer(completion(), 200, "application/json", **headers)


class Place:
    """A store, flags of a pin file that points at a provider, and a clock."""

    def __init__(self, store: Store, provider: Mock) -> None:
        self.store, self.provider, self.now = store, provider, T0
        self.facts: dict[str, Any] = {}
        self.chat: Any = lambda seen: ok()
        provider.answer = self.answered
        self.file(FILE)

    def file(self, text: str, dialect: str = "openai") -> None:
        text = text.replace("URL", self.provider.url).replace("DIALECT", dialect)
        self.store.state.put_manifest(text, by="ann", at=T0)
        manifest = read(text)
        flags = {name: Flag(route=name, revision=1, stable=route.stable) for name, route in manifest.routes.items()}
        self.store.state.put_flags(list(flags.values()), at=T0)
        self.flags = FlagSet(revision=1, manifest=manifest, flags=flags)

    def answered(self, seen: Seen) -> Script:
        return answer(json.dumps(self.facts).encode()) if seen.method == "GET" else self.chat(seen)

    def prober(self) -> Prober:
        return Prober(self.store, lambda: self.flags, clock=lambda: self.now)

    @property
    def asked(self) -> list[Seen]:
        return [seen for seen in self.provider.seen if seen.method == "POST"]

    def found(self, route: str = "chat", version: Version = THERE) -> list[Probe]:
        return self.store.state.probes(route, version, since=T0 - timedelta(days=1))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("PROVIDER_KEY", "sk-live")
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    with running() as provider:
        yield Place(store, provider)
    store.close()


def test_a_way_back_is_asked_for_one_token_with_the_live_key_and_its_quota_is_read(place: Place) -> None:
    place.chat = lambda seen: ok(x_ratelimit_limit_requests="500", x_ratelimit_limit_tokens="30000")
    assert place.prober().step() == 1
    (seen,) = place.asked
    assert (seen.target, seen.header("authorization")) == ("/v1/chat/completions", "Bearer sk-live")
    assert (seen.json["model"], seen.json["max_tokens"]) == (BACK, 1)
    (probe,) = place.found()
    assert (probe.ok, probe.limits, probe.at) == (True, {"requests": 500.0, "tokens": 30000.0}, T0)
    assert probe.latency_s is not None
    found = way_backs(place.store, T0)["chat"]
    assert found.proven
    assert found.headroom == {"requests": 1.0, "tokens": 1.0}


def test_anthropic_is_asked_in_its_own_words(place: Place) -> None:
    place.file(FILE, "anthropic")
    said = {"id": "m", "type": "message", "role": "assistant", "model": BACK, "stop_reason": "max_tokens", "stop_sequence": None}
    body = json.dumps(said | {"content": [{"type": "text", "text": "ok"}], "usage": {"input_tokens": 8, "output_tokens": 1}}).encode()
    place.chat = lambda seen: answer(body, anthropic_ratelimit_requests_limit="50", anthropic_ratelimit_input_tokens_limit="40000")
    place.prober().step()
    (seen,) = place.asked
    assert (seen.target, seen.header("x-api-key"), seen.header("anthropic-version")) == ("/v1/messages", "sk-live", "2023-06-01")
    (probe,) = place.found()
    assert (probe.ok, probe.limits) == (True, {"requests": 50.0, "input_tokens": 40000.0})


def test_a_model_that_takes_no_max_tokens_is_asked_otherwise_and_remembered(place: Place) -> None:
    """Trap: reasoning models refuse `max_tokens` with 400, and some refuse so few tokens that no answer fits."""

    def picky(seen: Seen) -> Script:
        form = seen.json
        if "max_tokens" in form or form.get("max_completion_tokens", 0) < 100:
            return answer(b'{"error": {"message": "Unsupported parameter: max_tokens"}}', status=400)
        return ok()

    place.chat = picky
    prober = place.prober()
    prober.step()
    assert [seen.json.get("max_tokens", seen.json.get("max_completion_tokens")) for seen in place.asked] == [1, 1, 1024]
    (probe,) = place.found()
    assert (probe.ok, probe.used, probe.every_s) == (True, (20, 7), 900.0), "what it cost, by its own account; and not each minute"
    place.now += 840 * S
    prober.step()
    assert len(place.asked) == 3
    place.now += 60 * S
    prober.step()
    assert len(place.asked) == 4, "the form that was taken is the first that is tried"
    assert [probe.ok for probe in place.found()] == [True, True]
    assert way_backs(place.store, place.now + 850 * S)["chat"].proven, "until long after the next one is due"


def test_a_version_that_refuses_every_form_is_never_asked_without_a_limit(place: Place) -> None:
    place.chat = lambda seen: answer(b'{"error": {"message": "no"}}', status=400)
    place.prober().step()
    assert all(set(seen.json) & {"max_tokens", "max_completion_tokens"} for seen in place.asked)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (answer(b'{"error": {"message": "The model does not exist"}}', status=404), "HTTP 404: The model does not exist"),
        (answer(b'{"error": {"message": "Rate limit reached"}}', status=429), "HTTP 429: Rate limit reached"),
        (answer(b'{"error": {"message": "bad"}}', status=400), "HTTP 400: bad"),
        (answer(b"<html>welcome</html>", kind="text/html"), "no whole answer"),
        (answer(completion("atlas-2027-09-09")), "`atlas-2027-09-09` answered"),
    ],
)
def test_what_is_no_answer_of_the_version_is_a_failure_that_says_why(place: Place, script: Script, says: str) -> None:
    place.chat = lambda seen: script
    place.prober().step()
    (probe,) = place.found()
    assert not probe.ok
    assert says in probe.detail


def test_three_minutes_of_failures_break_it_and_one_answer_mends_it(place: Place) -> None:
    prober = place.prober()
    place.chat = lambda seen: answer(b"{}", status=503)
    for _ in range(3):
        prober.step()
        place.now += 60 * S
    assert "its last 3 probes failed, the newest with: HTTP 503" in way_backs(place.store, place.now)["chat"].broken
    place.chat = lambda seen: ok()
    prober.step()
    assert way_backs(place.store, place.now)["chat"].proven


def test_it_is_asked_once_a_minute_and_once_for_all_routes_that_share_it(place: Place) -> None:
    place.file(FILE + FILE[FILE.index("[routes.chat]") :].replace("routes.chat", "routes.search"))
    prober = place.prober()
    for _ in range(3):
        prober.step()
    assert len(place.asked) == 1
    assert len(place.found("search")) == len(place.found("chat")) == 1
    place.now += 60 * S
    assert prober.step() == 1
    assert len(place.asked) == 2


def test_one_server_probes(place: Place, tmp_path: Path) -> None:
    other = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    with other.state.alone("warm") as alone:
        assert alone
        assert place.prober().step() == 0
    other.close()
    assert place.asked == []
    assert place.prober().step() == 1


def test_without_its_key_nothing_is_sent_and_nobody_is_paged(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps may bring their own keys: where the server has none, nothing is known of the version, which is said once a minute at most."""
    monkeypatch.delenv("PROVIDER_KEY")
    prober = place.prober()
    for _ in range(48):  # four minutes of the loop's five seconds
        prober.step()
        place.now += 5 * S
    assert place.provider.seen == []
    assert len(place.found()) == 4
    found = way_backs(place.store, place.now)["chat"]
    assert (found.broken, found.unknown) == ("", "nobody can ask it: PROVIDER_KEY is not set where `detent serve` runs")
    monkeypatch.setenv("PROVIDER_KEY", "sk-live")
    place.now += 60 * S
    prober.step()
    assert way_backs(place.store, place.now)["chat"].proven, "as soon as there is one"


def test_a_provider_that_asks_for_a_key_where_none_is_named_is_asked_seldom(place: Place) -> None:
    """A server without keys is probed like any other; of one that answers 401 nothing is known, and it is asked once in 15 minutes."""
    place.file(FILE.replace('key_env = "PROVIDER_KEY"\n', ""))
    place.chat = lambda seen: answer(b'{"error": {"message": "no key"}}', status=401)
    prober = place.prober()
    for _ in range(24):
        prober.step()
        place.now += 5 * S
    assert len(place.provider.seen) == 1
    found = way_backs(place.store, place.now)["chat"]
    assert (found.broken, "the pin file names no `key_env` for it" in found.unknown) == ("", True)


def test_where_a_probe_cannot_be_stored_the_provider_is_left_alone_for_a_minute(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: nothing on record says that it was asked, and the loop looks every five seconds."""
    seconds = [0.0]
    prober = Prober(place.store, lambda: place.flags, clock=lambda: place.now, elapsed=lambda: seconds[0])

    def full(found: object) -> None:
        raise CouldNotRun("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(place.store.state, "add_probes", full)
        with pytest.raises(CouldNotRun, match="disk full"):
            prober.step()
        for _ in range(11):
            seconds[0] += 5.0
            place.now += 5 * S
            prober.step()
    assert len(place.asked) == 1
    seconds[0] += 5.0
    assert prober.step() == 1
    assert len(place.found()) == 1


def test_a_key_that_is_wrong_is_an_outage_since_traffic_uses_it_too(place: Place) -> None:
    place.chat = lambda seen: answer(b'{"error": {"message": "Incorrect API key"}}', status=401)
    place.prober().step()
    assert [probe.detail for probe in place.found()] == ["HTTP 401: Incorrect API key"]


def test_an_end_that_the_providers_list_announces_breaks_the_way_back_ahead_of_time(place: Place) -> None:
    place.facts = {"id": BACK, "object": "model", "shutdown_date": (T0 + timedelta(days=20)).timestamp()}
    prober = place.prober()
    prober.step()
    assert way_backs(place.store, T0)["chat"].broken == "its provider ends it on 2026-03-21, in 20d"
    assert [seen.target for seen in place.provider.seen if seen.method == "GET"] == [f"/v1/models/{BACK}"]
    place.now += 60 * S
    prober.step()
    assert len([seen for seen in place.provider.seen if seen.method == "GET"]) == 1, "once an hour"


def test_a_provider_that_has_no_list_of_models_is_as_good(place: Place) -> None:
    place.provider.answer = lambda seen: answer(b"nothing here", status=404) if seen.method == "GET" else ok()
    place.prober().step()
    assert way_backs(place.store, T0)["chat"].proven


def served(place: Place, tmp_path: Path, seconds: float, n: int = 5) -> None:
    """So many answers of the pinned version to real requests."""
    spool = Spool(tmp_path / "spool", "gw")
    for i in range(n):
        spool.write(intent(f"{seconds}-{i}", seconds=seconds, route="chat", rollout=None, provider="openai", model=OLD.model))
        spool.write(result(f"{seconds}-{i}", seconds=seconds + 1))
    spool.close()
    Ingester(place.store, tmp_path / "spool", lambda: place.now).run_once()


def test_in_a_rollout_real_traffic_proves_stable_and_a_quiet_one_is_probed(place: Place, tmp_path: Path) -> None:
    place.store.state.open_rollout(rollout(route="chat", stable=OLD), by="ann", at=T0)
    served(place, tmp_path, 30.0)
    prober, place.now = place.prober(), T0 + 60 * S
    found = way_backs(place.store, place.now)["chat"]
    assert (found.proven, found.by, found.version) == (True, "traffic", OLD)
    place.chat = lambda seen: answer(completion(OLD.model), x_ratelimit_limit_requests="100")
    prober.step()
    assert [seen.json["model"] for seen in place.asked] == [OLD.model], "once, for what its provider says of the quota"
    place.now += 120 * S
    prober.step()
    assert len(place.asked) == 1, "and not again while traffic proves it"
    assert way_backs(place.store, place.now)["chat"].headroom == {"requests": 0.95}
    place.now += 600 * S
    prober.step()
    assert len(place.asked) == 2, "nobody asked for ten minutes: it is probed"


def test_the_load_is_of_all_routes_that_are_on_the_version(place: Place, tmp_path: Path) -> None:
    """A quota is of the version: a route that is on it already takes its part."""
    both = FILE + FILE[FILE.index("[routes.chat]") :].replace("routes.chat", "routes.search").replace(
        'version = "atlas-2026-03-01"\nrollback = "atlas-2026-01-01"', 'version = "atlas-2026-01-01"'
    )
    place.file(both)
    spool = Spool(tmp_path / "spool", "gw")
    for i in range(9):
        spool.write(intent(f"a{i}", seconds=30, route="chat", rollout=None))
        spool.write(intent(f"b{i}", seconds=30, route="search", rollout=None, model=BACK))
    spool.close()
    place.now = T0 + 60 * S
    Ingester(place.store, tmp_path / "spool", lambda: place.now).run_once()
    place.chat = lambda seen: ok(x_ratelimit_limit_requests="15")
    place.prober().step()
    found = way_backs(place.store, place.now)["chat"]
    assert found.broken == "its quota is too small for the route: 18 requests a minute where its quota is 15"


def test_a_quota_of_a_day_is_held_against_what_the_route_asked_for_in_a_day(place: Place, tmp_path: Path) -> None:
    """Groq gives all accounts so many requests a day under the header that others give them a minute under."""
    served(place, tmp_path, -20 * 3600.0, n=30)
    place.chat = lambda seen: ok(x_ratelimit_limit_requests="20", x_ratelimit_remaining_requests="19", x_ratelimit_reset_requests="1h12m0s")
    place.prober().step()
    assert place.found()[0].limits == {"requests_per_day": 20.0}
    assert way_backs(place.store, T0)["chat"].broken == "its quota is too small for the route: 30 requests a day where its quota is 20"


def test_probes_are_kept_for_a_day(place: Place) -> None:
    old = Probe(route="chat", version=THERE, at=T0, ok=True)
    place.store.state.add_probes([old])
    place.store.state.add_probes([replace(old, at=T0 + timedelta(hours=25))])
    assert [probe.at for probe in place.found()] == [T0 + timedelta(hours=25)]


def test_a_server_probes_pages_the_owner_over_the_webhook_and_status_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real processes: the provider's list of models announces an end, and a person hears of it without a rollout and without asking."""
    gone = json.dumps({"id": BACK, "shutdown_date": "2026-01-05"}).encode()
    with running() as provider, webhook() as hook, standing(tmp_path, provider.url) as place:
        provider.answer = lambda seen: answer(gone) if seen.method == "GET" else ok()
        text = place.text().replace("[routes.chat]", f'[notify]\nwebhook_env = "HOOK"\n\n[routes.chat]\nrollback = "{BACK}"')
        place.file.write_text(text)
        apply(place.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
        server = place.start("serve", "--name", "one", env={"HOOK": hook.url})
        until(lambda: hook.posted, "the page")
        said = json.loads(hook.posted[0][1])
        assert (said["kind"], said["about"], said["owner"], said["pages"]) == ("WayBackBroken", "chat", "a@example.com", True)
        assert "its provider ended it on 2026-01-05" in said["text"]
        until(lambda: place.store.state.deliveries([said["id"]])[0].sent_at, "the mark that it was sent")
        arguments = ["--file", str(place.file)]
        assert main(["status", *arguments]) == 0
        status = capsys.readouterr().out
        assert f"way back {BACK}: BROKEN: its provider ended it on 2026-01-05" in status
        assert f"alert {said['id']} PAGE WayBackBroken" in status
        assert main(["alerts", *arguments]) == 0
        assert "webhook: taken" in capsys.readouterr().out
        assert main(["ack", said["id"], "--by", "bob", *arguments]) == 0
        assert "is acknowledged by bob" in capsys.readouterr().out
        assert main(["ack", said["id"], "--by", "eve", *arguments]) == 0
        assert "is acknowledged by bob" in capsys.readouterr().out
        assert main(["alerts", "--json", *arguments]) == 0
        (listed,) = json.loads(capsys.readouterr().out)
        assert (listed["acknowledged_by"], listed["deliveries"][0]["channel"]) == ("bob", "webhook")
        assert len(hook.posted) == 1, "once"
        assert server.alive


def test_the_command_that_tests_notify_says_what_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "detent.toml"
    file.write_text(FILE.replace("URL", "http://127.0.0.1:9").replace("DIALECT", "openai"))
    assert main(["notify", "test", "--file", str(file)]) == 2
    assert "nobody is told anything" in capsys.readouterr().err
    file.write_text(file.read_text() + '\n[notify]\nwebhook_env = "HOOK"\n')
    with webhook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        assert main(["notify", "test", "--by", "bob", "--file", str(file)]) == 0
        assert capsys.readouterr().out == "webhook: taken, for ann@example.com\n"
        assert "a test of [notify], sent by bob" in json.loads(hook.posted[0][1])["text"]
        hook.status = 404
        assert main(["notify", "test", "--file", str(file)]) == 4
