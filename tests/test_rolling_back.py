"""`detent rollback`: one write from any phase, and who has answered it; on SQLite and PostgreSQL, and with real gateways."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlling import NEXT, PIN, World, pin_file
from detent.acknowledging import acknowledged, describe
from detent.cli import main
from detent.store import Store, open_store
from detent.terms import OPEN_PHASES, Phase, Rollout
from detent.transitions import flag_for
from mock_upstream import answer, running
from outside import WHOLE, post
from processes import in_canary, standing, until
from stores import new_store_url, postgres, store, store_url

__all__ = ["new_store_url", "postgres", "store", "store_url"]


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Runs = Callable[..., Said]

BY_ITSELF = "leaves the candidate by itself when its lease of 60 s ends"


@pytest.fixture
def runs(tmp_path: Path, store: Store, store_url: str, capsys: pytest.CaptureFixture[str]) -> Runs:
    """Types commands beside a pin file whose route `chat` has a rollout to NEXT, and whose route `search` never had one."""
    (tmp_path / "detent.toml").write_text(pin_file(chat=NEXT, search=None))

    def run(*words: str) -> Said:
        code = main([*words, "--file", str(tmp_path / "detent.toml"), "--store", store_url])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Said(code, out, err)

    assert run("apply").code == 0
    return run


@pytest.fixture
def world(store: Store) -> World:
    return World(store, datetime.now(UTC))


def put(world: World, phase: Phase, **more: Any) -> Rollout:
    """The rollout of `chat`, in some phase, as gateways have to obey it."""
    (before,) = world.store.state.rollouts(open_only=True)
    split = {Phase.CANARY: 0.1, Phase.SOAK: 0.95}.get(phase, 0.0)
    after = replace(before, phase=phase, split=split, period=1, canary_at=world.now, entered_at=world.now, **more)
    flag = flag_for(after, world.store.state.flags()["chat"])
    return world.store.state.commit(before, after, flag=flag, decision=None, evidence=None, by="x", what="put", at=world.now)


@contextmanager
def gateway(url: str, name: str = "gw-1") -> Iterator[None]:
    """Something that hears of flags and acknowledges them as a gateway does, with a connection of its own."""
    store, stop, ready = open_store(url), threading.Event(), threading.Event()

    def obey() -> None:
        watch = store.state.watch()
        while not stop.is_set():
            revision = store.state.revision()
            store.state.acknowledge(name, revision, datetime.now(UTC), pid=1, address="127.0.0.1:8700")
            ready.set()
            watch.wait(1.0, stop)
        watch.close()

    thread = threading.Thread(target=obey)
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        stop.set()
        thread.join()
        store.close()


@pytest.mark.parametrize("phase", OPEN_PHASES)
def test_from_any_phase_one_revision_puts_everybody_on_stable(runs: Runs, world: World, phase: Phase) -> None:
    rollout = put(world, phase)
    before = world.store.state.revision()
    back = runs("rollback", "chat", "--no-wait", "--why", "it shouts", "--by", "ada")
    assert back.code == 0, back.err
    ended = Phase.ROLLED_BACK if phase in (Phase.CANARY, Phase.SOAK) else Phase.ABORTED
    assert back.out.splitlines()[0] == f"{rollout.id}: all traffic on openai/{PIN}; rolled back; phase {ended}"
    assert f'-next = "{NEXT}"' in back.out, "the patch that makes the file true"
    flag = world.store.state.flags()["chat"]
    assert world.store.state.revision() == flag.revision == before + 1, "one write"
    assert (flag.stable.model, flag.candidate, flag.split, flag.rollout) == (PIN, None, 0.0, None)


def test_every_gateway_is_waited_for_and_told_by_name_and_time(runs: Runs, world: World, store_url: str) -> None:
    put(world, Phase.CANARY)
    with gateway(store_url, "gw-1"), gateway(store_url, "gw-2"):
        back = runs("rollback", "chat")
    assert back.code == 0
    lines = back.out.splitlines()
    assert {line.partition(" serves it after ")[0] for line in lines[1:3]} == {f"  gateway gw-{n} on 127.0.0.1:8700" for n in (1, 2)}
    assert all(line.endswith(" ms") for line in lines[1:3])
    assert lines[3].startswith("  all 2 gateways, the last after ")


def test_a_gateway_that_lives_and_does_not_answer_is_named_as_one_that_fell_silent_is(runs: Runs, world: World) -> None:
    put(world, Phase.CANARY)
    now, before = datetime.now(UTC), world.store.state.revision()
    world.store.state.acknowledge("gw-slow", before, now + timedelta(seconds=30), pid=1, address="10.0.0.1:8700")
    world.store.state.acknowledge("gw-gone", before, now - timedelta(minutes=5), pid=2, address="10.0.0.2:8700")
    back = runs("rollback", "chat", "--wait", "0.1")
    assert back.code == 3, "written, and what they serve is not known"
    assert back.out.splitlines()[0].endswith("rolled back; phase rolled_back")
    assert f"  gateway gw-slow on 10.0.0.1:8700 HAS NOT ANSWERED: it lives and serves revision {before}; {BY_ITSELF}" in back.out
    (gone,) = [line for line in back.out.splitlines() if "gw-gone" in line]
    assert gone.startswith("  gateway gw-gone on 10.0.0.2:8700 HAS NOT ANSWERED: it was not heard of for 5")
    assert gone.endswith(f", and served revision {before} then; {BY_ITSELF}")
    assert "  0 of 2 gateways have answered" in back.out
    assert back.err.splitlines()[-1] == "detent: it is written, and gw-gone, gw-slow have not said that stable is served there"


@pytest.mark.usefixtures("runs")
def test_an_acknowledgement_of_an_earlier_write_is_told_with_its_age_and_a_silence_since_as_one(world: World) -> None:
    put(world, Phase.CANARY)
    put_back = world.now - timedelta(minutes=10)
    (rollout,) = world.store.state.rollouts(open_only=True)
    ended = replace(rollout, phase=Phase.ROLLED_BACK, split=0.0, ended_at=put_back)
    flag = flag_for(ended, world.store.state.flags()["chat"])
    world.store.state.commit(rollout, ended, flag=flag, decision=None, evidence=None, by="x", what="put", at=put_back)
    revision = world.store.state.revision()
    for name, heard in (("gw-1", world.now), ("gw-2", world.now - timedelta(seconds=27))):
        for at in (put_back + timedelta(milliseconds=22), heard):
            world.store.state.acknowledge(name, revision, at, pid=1, address=name)
    found = acknowledged(world.store, "chat", wait_s=0.1, clock=lambda: world.now)
    assert describe(found) == [
        "gateway gw-1 on gw-1 serves it: acknowledged 10 min ago, 22 ms after it was written",
        "gateway gw-2 on gw-2 acknowledged it 10 min ago, 22 ms after it was written; not heard of for 27s",
        "all 2 gateways",
    ]


def test_machines_are_told_the_same(runs: Runs, world: World, store_url: str) -> None:
    rollout = put(world, Phase.SOAK)
    with gateway(store_url):
        back = runs("rollback", rollout.id, "--json", "--by", "ada").json
    (heard,) = back.pop("gateways")
    assert heard.pop("ms") >= 0.0
    assert heard == {"gateway": "gw-1", "address": "127.0.0.1:8700", "serves": world.store.state.revision(), "silent_s": None}
    assert back.pop("patch").startswith("--- a/detent.toml")
    assert back == {
        "route": "chat",
        "rollout": rollout.id,
        "phase": "rolled_back",
        "reason": "RolledBackByHuman: ada",
        "ended": True,
        "drill": None,
        "stable": f"openai/{PIN}",
        "finishing": None,
        "cut": None,
        "pushed": None,
    }
    assert runs("rollback", "chat", "--json", "--no-wait").json["gateways"] is None


def test_a_route_that_is_on_stable_already_is_no_error_and_its_gateways_are_asked_all_the_same(
    runs: Runs, world: World, store_url: str
) -> None:
    rollout = put(world, Phase.CANARY)
    with gateway(store_url):
        assert runs("rollback", "chat").code == 0
        again = runs("rollback", "chat")
        assert (again.code, again.out.splitlines()[0]) == (
            0,
            f"chat: nothing to roll back, openai/{PIN} serves already; its last rollout `{rollout.id}` has ended as rolled_back",
        )
        assert "gateway gw-1 on 127.0.0.1:8700 serves it after " in again.out
        never = runs("rollback", "search")
        assert (never.code, never.out.splitlines()[0]) == (
            0,
            f"search: nothing to roll back, openai/{PIN} serves already; it never had a rollout",
        )
    world.store.state.acknowledge("gw-1", 1, datetime.now(UTC), pid=1, address="a")
    behind = runs("rollback", "chat", "--wait", "0.1")
    assert behind.code == 0, "it served the flag of this rollback once, whatever it says it serves now"
    world.store.state.acknowledge("gw-2", 1, datetime.now(UTC), pid=1, address="b")
    assert runs("rollback", "chat", "--wait", "0.1").code == 3


def test_after_done_there_is_nothing_to_roll_back_and_the_next_command_is_told(runs: Runs, world: World) -> None:
    rollout = put(world, Phase.DONE)
    before = world.store.state.revision()
    for name in ("chat", rollout.id):
        said = runs("rollback", name)
        assert (said.code, said.out) == (5, "")
        assert f"rollout `{rollout.id}` has ended as done: openai/{NEXT} is the pin of `chat` now, and nothing was moved" in said.err
        assert f'hint: to go back to openai/{PIN}: write next = "{PIN}" under [routes.chat] in ' in said.err
        assert said.err.rstrip().endswith("then run `detent apply`")
    assert world.store.state.revision() == before


def test_runs_that_finish_on_the_candidate_are_told_of_and_can_be_cut(runs: Runs, world: World) -> None:
    rollout = put(world, Phase.CANARY, plan=replace(world.store.state.rollouts()[0].plan, runs="drain"))
    drained = runs("rollback", "chat", "--no-wait")
    finishing = f"runs under way finish on openai/{NEXT}, for 30m at most; everything new is on openai/{PIN}"
    assert drained.out.splitlines()[1] == f"{finishing} (move them now: detent rollback chat --cut)"
    before = world.store.state.revision()
    cut = runs("rollback", "chat", "--cut", "--no-wait", "--why", "it harms runs too", "--by", "ada")
    assert cut.code == 0
    assert cut.out.splitlines()[1] == f"chat: runs that were finishing on openai/{NEXT} are moved to openai/{PIN}"
    flag = world.store.state.flags()["chat"]
    assert (flag.draining, flag.revision, world.store.state.revision()) == (None, before + 1, before + 1)
    (row,) = world.store.state.audit(1)
    assert (row.by, row.what, row.rollout) == ("ada", "cut runs of chat: it harms runs too", rollout.id)
    assert runs("rollback", "chat", "--cut", "--no-wait").code == 0
    assert world.store.state.revision() == before + 1, "nothing is left to cut"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_wait_is_a_number_of_seconds(runs: Runs, seconds: str) -> None:
    said = runs("rollback", "chat", f"--wait={seconds}")
    assert said.code == 2
    assert "not a number of seconds to wait" in said.err


def test_whoever_has_no_token_that_will_do_is_told_what_works_without(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = runs("token", "add", "ann", "--role", "approver").out.splitlines()[-1].split()[-1]
    monkeypatch.setenv("DETENT_TOKEN", ann)
    assert runs("token", "list").code == 0
    vic = next(word for word in runs("token", "add", "vic", "--role", "viewer").out.split() if word.startswith("dt_"))
    for token in (vic, "dt_nobody", ""):
        monkeypatch.setenv("DETENT_TOKEN", token)
        back = runs("rollback", "chat")
        assert back.code == 5
        assert back.err.rstrip().endswith("; on a gateway's host, without any: detent rollback chat --local")
        assert "--local" not in runs("hold", "chat").err


def test_somebody_who_ended_it_first_changes_nothing_for_the_caller(runs: Runs, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller rolls back in the very moment in which a human does."""
    from detent import controller

    rollout, act = put(world, Phase.CANARY), controller.act

    def beaten(*arguments: Any, **more: Any) -> Rollout:
        act(*arguments, **more)
        return act(*arguments, **more)

    monkeypatch.setattr(controller, "act", beaten)
    said = runs("rollback", "chat")
    assert said.code == 0
    assert f"its last rollout `{rollout.id}` has ended as rolled_back" in said.out


def test_real_gateways_answer_and_one_that_is_stopped_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running() as provider, standing(tmp_path, provider.url) as place:
        provider.script = answer(WHOLE)
        in_canary(place)
        quick, stopped = place.gateway("quick"), place.gateway("stopped")
        place.acknowledged(quick, stopped)
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            code = main(["rollback", "chat", "--wait", "1", "--file", str(place.file)])
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        out = capsys.readouterr().out
        assert code == 3
        assert f"gateway quick on {quick.url.removeprefix('http://')} serves it after " in out
        assert f"gateway stopped on {stopped.url.removeprefix('http://')} HAS NOT ANSWERED: it lives and serves revision " in out
        until(lambda: main(["rollback", "chat", "--wait", "5", "--file", str(place.file)]) == 0, "both on stable")
        assert post(quick.url, "somebody").status == 200
