"""The controller on a real store: what is applied, decided and said is written once, whole, and by whoever comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, update

from controlling import NEXT, OTHER, PIN, PROVIDER, World, pin_file, route
from detent import evidence as ev
from detent.baseline import stale_of
from detent.controller import Controller, act, load_evidence, proposed
from detent.controller.standing import StandingOrders
from detent.decide import decide
from detent.errors import Conflict, InvalidInput, Refused
from detent.local_orders import give
from detent.manifest import read
from detent.recompute import missing, replay
from detent.store import Store, open_store
from detent.store.schema import decisions, rollouts
from detent.terms import METRIC_NAMES, Decision, Flag, Guard, LocalOrder, Phase, Probe, Rollout, Verb, Version
from detent.transitions import HUMAN_VERBS, after, flag_for
from records import T0, intent, result

OPEN = (Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, Phase.CANARY, Phase.SOAK)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield World(store)
    store.close()


@pytest.fixture
def controller(world: World) -> Controller:
    return Controller(world.store, world.clock, elapsed=world.elapsed)


def state_of(store: Store) -> dict[str, Any]:
    """All that a refused or repeated step must leave as it is."""
    state = store.state
    manifest = state.manifest_text()
    return {
        "flags": state.flags(),
        "rollouts": [replace(r, watched_s=None) for r in state.rollouts()],
        "revision": state.revision(),
        "manifest": manifest.text if manifest else None,
        "audit": len(state.audit()),
    }


def decided(world: World, rollout_id: str = "ro_1") -> list[tuple[Verb, str]]:
    return [(decision.verb, decision.reason) for decision, _ in world.store.state.decisions(rollout_id)]


def reaches(world: World, controller: Controller, phase: Phase, file: str = pin_file(chat=NEXT)) -> Rollout:
    """The rollout of `chat`, on its way without a finding until it enters this phase."""
    world.apply(file)
    chapters: list[Callable[[], None]] = [
        lambda: None,
        lambda: _passes_baseline(world),
        lambda: _passes_shadow(world),
        lambda: _passes_canary(world, controller),
    ]
    while world.rollout().phase is not phase:
        chapters.pop(0)()
        controller.run_once()
    return world.rollout()


def _passes_baseline(world: World) -> None:
    world.freeze()
    world.runs()


def _passes_shadow(world: World) -> None:
    world.pairs()
    world.later(1)


def _passes_canary(world: World, controller: Controller) -> None:
    world.sealed("error", (80, 4000), (720, 36_000))
    world.sealed("tool_retry", (80, 4000), (720, 36_000))
    world.later(1)
    controller.run_once()
    assert world.rollout().step == 1
    world.later(1)


# ── apply ──


def test_a_first_apply_adds_routes_and_opens_a_rollout_for_each_next(world: World) -> None:
    found = world.apply(pin_file(chat=NEXT, search=None, agent=OTHER))
    assert [(p.route, p.kind) for p in found] == [("chat", "add"), ("chat", "open"), ("search", "add"), ("agent", "add"), ("agent", "open")]
    flags = world.store.state.flags()
    assert {name: (f.stable, f.candidate, f.split) for name, f in flags.items()} == {
        name: (Version("openai", PIN), None, 0.0) for name in ("chat", "search", "agent")
    }
    assert {r.route: (r.candidate.model, r.stable.model, r.phase, r.owner, r.plan.name) for r in world.store.state.rollouts()} == {
        "chat": (NEXT, PIN, Phase.PROPOSED, "chat@example.com", "short"),
        "agent": (OTHER, PIN, Phase.PROPOSED, "agent@example.com", "short"),
    }
    applied = world.store.state.manifest_text()
    assert applied is not None
    assert (applied.text, applied.by) == (pin_file(chat=NEXT, search=None, agent=OTHER), "ada")


def test_the_same_file_again_changes_nothing(world: World) -> None:
    world.apply(pin_file(chat=NEXT, search=None))
    before = state_of(world.store)
    assert [p.kind for p in world.apply(pin_file(chat=NEXT, search=None))] == ["running", "unchanged"]
    assert state_of(world.store) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (pin_file(new=NEXT) + route("chat", version=OTHER), "propose it as `next`"),
        (pin_file(new=NEXT, chat=OTHER), "another version is proposed while rollout ro_1"),
        (pin_file(new=NEXT), "taken out of the file while a rollout is in"),
    ],
)
def test_a_file_with_one_wrong_route_is_refused_as_a_whole(world: World, text: str, says: str) -> None:
    world.apply(pin_file(chat=NEXT))
    before = state_of(world.store)
    with pytest.raises(Refused) as refused:
        world.apply(text)
    assert says in str(refused.value)
    assert state_of(world.store) == before


def test_a_broken_file_changes_nothing_and_names_its_line(world: World) -> None:
    world.apply(pin_file(chat=NEXT))
    before = state_of(world.store)
    with pytest.raises(InvalidInput, match=r"detent\.toml:\d+: "):
        world.apply(pin_file(chat=NEXT, search=None).replace("owner", "ownr"))
    assert state_of(world.store) == before


class Killed(Exception):
    """The process ended here."""


STEPS = ("put_flags", "open_rollout", "commit", "drop_flags", "put_manifest")


def dies(monkeypatch: pytest.MonkeyPatch, store: Store, step: str, nth: int, *, written: bool) -> None:
    """The process ends at the n-th write of this kind, before it or just after."""
    real: Callable[..., Any] = getattr(store.state, step)
    calls = 0

    def write(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not written:
            raise Killed
        found = real(*args, **kwargs)
        if calls == nth:
            raise Killed
        return found

    monkeypatch.setattr(type(store.state), step, lambda self, *args, **kwargs: write(*args, **kwargs))


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(
    ("step", "nth"), [("put_flags", 1), ("open_rollout", 1), ("open_rollout", 2), ("commit", 1), ("drop_flags", 1), ("put_manifest", 1)]
)
def test_an_apply_that_was_killed_anywhere_is_finished_by_running_it_again(
    world: World, tmp_path: Path, step: str, nth: int, written: bool
) -> None:
    first = pin_file(chat=NEXT, gone=None)
    second = pin_file(chat=OTHER, search=NEXT, agent=NEXT)
    calm = World(open_store(f"sqlite:///{tmp_path / 'calm' / 'state.db'}"))
    for each in (calm, world):
        each.apply(first)
    calm.apply(second, supersede=True)

    with pytest.MonkeyPatch.context() as patch:
        dies(patch, world.store, step, nth, written=written)
        with pytest.raises(Killed):
            world.apply(second, supersede=True)
    world.apply(second, supersede=True)

    def outcome(of: World) -> Any:
        state = of.store.state
        rollouts = sorted((r.route, r.candidate.model, r.phase, r.reason) for r in state.rollouts())
        flags = {name: (f.stable, f.rollout) for name, f in state.flags().items()}
        manifest = state.manifest_text()
        return rollouts, flags, manifest and manifest.text

    assert outcome(world) == outcome(calm)
    assert [row[:3] for row in outcome(world)[0]] == [
        ("agent", NEXT, Phase.PROPOSED),
        ("chat", NEXT, Phase.ABORTED),
        ("chat", OTHER, Phase.PROPOSED),
        ("search", NEXT, Phase.PROPOSED),
    ]
    calm.store.close()


def test_another_next_supersedes_the_open_rollout_only_when_told_to(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    assert world.store.state.flags()["chat"].split == 0.1
    world.apply(pin_file(chat=OTHER), supersede=True)
    former, new = world.store.state.rollouts()
    assert (former.phase, former.reason) == (Phase.ABORTED, f"AbortedByHuman: ada: superseded by openai/{OTHER}")
    assert (new.phase, new.candidate.model) == (Phase.PROPOSED, OTHER)
    assert world.store.state.flags()["chat"].split == 0.0


def test_what_was_aborted_is_opened_again_for_a_reason_that_is_kept(world: World) -> None:
    world.apply(pin_file(chat=NEXT))
    act(world.store, "ro_1", "abort", by="ada", why="too early", now=world.now)
    with pytest.raises(Refused, match="--retry --why"):
        world.apply(pin_file(chat=NEXT))
    world.apply(pin_file(chat=NEXT), retry_why="the provider mended it")
    assert [r.phase for r in world.store.state.rollouts()] == [Phase.ABORTED, Phase.PROPOSED]
    assert any(row.rollout == "ro_2" and row.what.endswith(": the provider mended it") for row in world.store.state.audit())


def test_a_route_that_was_taken_out_is_gone_and_may_come_back_on_another_pin(world: World) -> None:
    world.apply(pin_file(chat=None, old=None))
    before = world.store.state.revision()
    assert [p.kind for p in world.apply(pin_file(chat=None))] == ["unchanged", "remove"]
    assert set(world.store.state.flags()) == {"chat"}
    assert world.store.state.revision() > before, "gateways have to hear of it"
    world.apply(pin_file(chat=None) + route("old", version=OTHER))
    assert world.store.state.flags()["old"].stable == Version("openai", OTHER)


def test_a_pin_that_moves_while_the_file_is_applied_opens_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.apply(pin_file(chat=None))

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        found = proposed(*args, **kwargs)
        world.store.state.put_flags([Flag(route="chat", revision=0, stable=Version("openai", OTHER))], at=world.now)
        return found

    monkeypatch.setattr("detent.controller.opening.proposed", meanwhile)
    with pytest.raises(Conflict, match=f"moved meanwhile: `openai/{OTHER}`"):
        world.apply(pin_file(chat=NEXT))
    assert world.store.state.rollouts() == []


# ── the loop ──


def test_the_whole_way_up_is_decided_and_written_step_by_step(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.SOAK)
    flag = world.store.state.flags()["chat"]
    assert (flag.split, flag.candidate, flag.rollout) == (0.95, Version("openai", NEXT), "ro_1")
    world.later(1)
    (last,) = controller.run_once()
    assert (last.verb, last.reason) == (Verb.FINISH, "SoakServed")
    assert world.store.state.flags()["chat"] == replace(
        Flag(route="chat", revision=0, stable=Version("openai", NEXT)), revision=world.store.state.revision() - 1, written_at=world.now
    ), "and one revision later the former version is kept"
    assert decided(world) == [
        (Verb.ADVANCE, "Opened"),
        (Verb.ADVANCE, "BaselinePassed"),
        (Verb.ADVANCE, "ShadowPassed"),
        (Verb.ADVANCE, "StepServed"),
        (Verb.PROMOTE, "Proved"),
        (Verb.FINISH, "SoakServed"),
    ]
    assert controller.run_once() == (), "what has ended is not asked about again"


def test_a_decision_is_written_once_and_not_again_while_nothing_changes(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.BASELINE)
    (hold,) = controller.run_once()
    assert hold.reason == "NoBaseline"
    before = state_of(world.store)
    for _ in range(3):
        world.later(0.1)
        assert controller.run_once() == ()
    assert Controller(world.store, world.clock, elapsed=world.elapsed).run_once() == (), "nor by a controller that was started anew"
    assert state_of(world.store) == before
    world.freeze()
    (running,) = controller.run_once()
    assert running.reason == "BaselineRunning"


def test_what_is_said_again_after_something_else_is_news(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.SHADOW)
    assert [d.reason for d in controller.run_once()] == ["TimeNotServed"]
    act(world.store, "ro_1", "hold", by="ada", why="freeze", now=world.now)
    assert [d.reason for d in controller.run_once()] == ["HeldByHuman"]
    act(world.store, "ro_1", "resume", by="ada", why="", now=world.now)
    assert [d.reason for d in controller.run_once()] == ["TimeNotServed"]


def test_two_controllers_say_everything_once(world: World, controller: Controller) -> None:
    other = Controller(world.store, world.clock, elapsed=world.elapsed)
    world.apply(pin_file(chat=NEXT))
    for _ in range(3):
        controller.run_once()
        other.run_once()
    assert decided(world) == [(Verb.ADVANCE, "Opened"), (Verb.HOLD, "NoBaseline")]


def test_the_loser_of_a_compare_and_set_does_no_harm(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.sealed("tool_retry", (40, 100), (10, 900))
    other = Controller(world.store, world.clock, elapsed=world.elapsed)
    won: list[Decision] = []

    def while_this_one_thinks() -> Any:
        if not won:
            won.extend(other.run_once())
        return world.now

    assert Controller(world.store, while_this_one_thinks, elapsed=world.elapsed).run_once() == ()
    assert [d.verb for d in won] == [Verb.ROLL_BACK]
    assert world.rollout().phase is Phase.ROLLED_BACK
    assert decided(world).count((Verb.ROLL_BACK, "GuardHarmed")) == 1


def test_harm_is_one_write_of_flag_decision_and_evidence(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.sealed("tool_retry", (40, 100), (10, 900))
    before, revision = world.rollout(), world.store.state.revision()
    (decision,) = controller.run_once()
    assert (decision.verb, decision.reason) == (Verb.ROLL_BACK, "GuardHarmed")
    flag = world.store.state.flags()["chat"]
    assert (flag.stable, flag.candidate, flag.split, flag.revision) == (Version("openai", PIN), None, 0.0, revision + 1)
    assert world.store.state.revision() == revision + 1
    stored, evidence = world.store.state.decisions("ro_1")[-1]
    assert stored == decision
    assert decide(before, ev.decode(evidence), stored.at) == stored, "it recomputes from the store"
    assert ev.digest(ev.decode(evidence)) == stored.evidence_digest
    assert load_evidence(world.store, before).users_exposed == 100


def test_every_decision_of_a_rollout_recomputes_from_its_stored_evidence(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.SOAK)
    world.later(1)
    controller.run_once()
    stored = world.store.state.decided("ro_1")
    assert len(stored) == 6
    for one in stored:
        assert one.before is not None
        assert decide(one.before, ev.decode(one.evidence), one.decision.at) == one.decision


def test_a_rollout_that_cannot_be_decided_does_not_hide_harm_in_another(world: World, controller: Controller) -> None:
    world.ids = count(9)
    world.apply(pin_file(aaa=NEXT))
    world.ids = count(1)
    world.later(1)
    reaches(world, controller, Phase.CANARY, pin_file(aaa=NEXT, chat=NEXT))
    broken = world.rollout("ro_9")
    assert [r.id for r in world.store.state.rollouts()] == ["ro_9", "ro_1"], "the broken one is asked about first"
    world.store.state.drop_flags(["aaa"], at=world.now, by="a mistake")
    world.freeze("aaa")  # something new to decide about it
    world.sealed("tool_retry", (40, 100), (10, 900))
    with pytest.raises(KeyError, match="aaa"):
        controller.run_once()
    assert world.rollout().phase is Phase.ROLLED_BACK
    assert world.rollout("ro_9") == broken


def test_working_models_are_frozen_when_the_canary_begins(world: World, controller: Controller) -> None:
    def traffic(name: str, n: int, bad: int) -> None:
        legs = [intent(f"{name}{i}", f"{name}-u{i}", route="chat", rollout=None, randomised=False) for i in range(n)]
        ends = [result(f"{name}{i}", repeats_call=i < bad) for i in range(n)]
        world.store.journal.put(legs, ends)

    traffic("past", 199, 9)
    reaches(world, controller, Phase.SHADOW)
    assert world.rollout().working == {}
    _passes_shadow(world)
    controller.run_once()
    # (events + 1/2) / (units + 1): 0.5 / 200 and 9.5 / 200
    assert {m: known.rate for m, known in world.rollout().working.items()} == pytest.approx({"error": 0.0025, "tool_retry": 0.0475})
    frozen = world.rollout().working
    traffic("since", 100, 100)
    world.sealed("error", (80, 4000), (720, 36_000))
    world.later(1)
    controller.run_once()
    assert world.rollout().step == 1
    assert world.rollout().working == frozen


def test_a_unit_that_is_sealed_while_the_evidence_is_read_is_no_puzzle(
    world: World, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its share period may be newer than the exposure that was read a moment ago."""
    rollout = reaches(world, controller, Phase.CANARY)
    world.sealed("error", (1, 10), (1, 90))
    state = type(world.store.state)

    def then_more_come(real: Callable[..., Any]) -> Callable[..., Any]:
        def read(self: Any, rollout_id: str) -> Any:
            found = real(self, rollout_id)
            monkeypatch.undo()
            widen(world)
            world.sealed("error", (0, 5), (0, 5))
            return found

        return read

    for name in ("exposure", "labels"):
        monkeypatch.setattr(state, name, then_more_come(getattr(state, name)))
    evidence = load_evidence(world.store, rollout)
    assert [t.period for t in evidence.guards[0].tallies] in ([1], [1, 2])


def widen(world: World) -> None:
    """The next canary step, in the store."""
    now = world.rollout()
    moved = after(now, Decision(rollout="ro_1", verb=Verb.ADVANCE, reason="", sentence="", at=T0, evidence_digest=""), world.now)
    flag = flag_for(moved, world.store.state.flags()["chat"])
    world.store.state.commit(now, moved, flag=flag, decision=None, evidence=None, by="x", what="advance", at=world.now)


# ── what a human says ──


@pytest.mark.parametrize("phase", OPEN)
def test_rolling_back_is_one_write_from_every_phase(world: World, controller: Controller, phase: Phase) -> None:
    before = reaches(world, controller, phase)
    revision, rows = world.store.state.revision(), len(world.store.state.audit())
    moved = act(world.store, "ro_1", "roll_back", by="ada", why="it got worse", now=world.now)
    assert moved == world.rollout()
    assert moved.phase is (Phase.ROLLED_BACK if phase in (Phase.CANARY, Phase.SOAK) else Phase.ABORTED)
    assert moved.revision == before.revision + 1
    flag = world.store.state.flags()["chat"]
    assert (flag.stable.model, flag.candidate, flag.rollout, flag.split, flag.mirror) == (PIN, None, None, 0.0, None)
    assert world.store.state.revision() == revision + (phase is not Phase.PROPOSED), "a route that was not touched yet has nothing to obey"
    assert [(row.by, row.what) for row in world.store.state.audit()][: len(world.store.state.audit()) - rows] == [
        ("ada", "roll_back: it got worse")
    ]
    assert controller.run_once() == ()


@pytest.mark.parametrize("verb", ["hold", "abort", "approve", "resume"])
@pytest.mark.parametrize("phase", OPEN)
def test_every_verb_does_in_the_store_what_it_does_in_memory(world: World, controller: Controller, verb: str, phase: Phase) -> None:
    before = reaches(world, controller, phase)
    try:
        expected = HUMAN_VERBS[verb](before, "ada", "so", world.now)
    except Refused as refused:
        with pytest.raises(Refused, match=refused.message):
            act(world.store, "ro_1", verb, by="ada", why="so", now=world.now)
        assert world.rollout() == before
        return
    assert act(world.store, "ro_1", verb, by="ada", why="so", now=world.now) == replace(expected, revision=before.revision + 1)


def test_a_humans_word_is_tried_again_when_the_controller_was_quicker(
    world: World, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.apply(pin_file(chat=NEXT))
    real = HUMAN_VERBS["hold"]

    def just_then(*args: Any) -> Rollout:
        monkeypatch.setitem(HUMAN_VERBS, "hold", real)
        controller.run_once()
        return real(*args)

    monkeypatch.setitem(HUMAN_VERBS, "hold", just_then)
    moved = act(world.store, "ro_1", "hold", by="ada", why="", now=world.now)
    assert (moved.phase, moved.held is not None) == (Phase.BASELINE, True)


def test_a_rollout_that_keeps_moving_is_said_to(world: World, controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    world.apply(pin_file(chat=NEXT))

    def never_there(*args: Any, **kwargs: Any) -> Any:
        raise Conflict("moved on")

    monkeypatch.setattr(type(world.store.state), "commit", never_there)
    with pytest.raises(Conflict, match="rollout `ro_1` kept moving"):
        act(world.store, "ro_1", "hold", by="ada", why="", now=world.now)


def test_an_unknown_rollout_is_named(world: World) -> None:
    with pytest.raises(InvalidInput, match="no rollout: `ro_9`"):
        act(world.store, "ro_9", "abort", by="ada", why="", now=world.now)


# ── promoting on a human's word ──


def promotes(world: World) -> Rollout:
    return act(world.store, "ro_1", "promote", by="ada", why="reviewed", now=world.now)


def test_nobody_promotes_over_a_suspicion_of_harm_not_even_one_that_a_hold_hides(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    act(world.store, "ro_1", "hold", by="ada", why="let me see", now=world.now)
    world.sealed("tool_retry", (12, 300), (34, 2700))
    world.later(2)
    assert [d.reason for d in controller.run_once()] == ["HeldByHuman"]
    with pytest.raises(Refused, match="is held by ada: resume first"):
        promotes(world)
    act(world.store, "ro_1", "resume", by="ada", why="", now=world.now)
    with pytest.raises(Refused, match="can be rolled back, not promoted") as refused:
        promotes(world)
    assert "harm suspected in tool_retry" in str(refused.value.hint)
    assert world.rollout().phase is Phase.CANARY


def ends_not_proved(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.later(10)
    controller.run_once()
    assert world.rollout().phase is Phase.NOT_PROVED


def test_what_was_not_proved_can_be_promoted_by_name(world: World, controller: Controller) -> None:
    ends_not_proved(world, controller)
    moved = promotes(world)
    assert (moved.phase, moved.reason) == (Phase.SOAK, "PromotedUnproved: ada: reviewed")
    flag = world.store.state.flags()["chat"]
    assert (flag.split, flag.candidate) == (0.95, Version("openai", NEXT))
    assert world.store.state.rollouts(open_only=True) == [moved]
    assert [d.reason for d in controller.run_once()] == ["TimeNotServed"]


def test_what_a_person_promotes_is_stored_with_what_was_known(world: World, controller: Controller) -> None:
    ends_not_proved(world, controller)
    before = world.rollout()
    known = load_evidence(world.store, before)
    promotes(world)
    stored = world.store.state.decided("ro_1")[-1]
    assert (stored.decision.verb, stored.decision.reason, stored.decision.sentence) == (Verb.PROMOTE, "PromotedUnproved", "ada: reviewed")
    assert stored.before == before
    assert (ev.decode(stored.evidence), stored.decision.evidence_digest) == (known, ev.digest(known))
    (again,) = replay([stored])
    assert (again.by_hand, again.why, again.again) == (True, "a person's word", None)


def told_wrong(world: World) -> list[str]:
    log = [(row.at, row.by, row.what) for row in world.store.state.audit(None, rollout="ro_1")]
    return missing(world.rollout(), world.store.state.decided("ro_1"), log)


def test_taken_together_the_decisions_of_a_rollout_are_whole(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    act(world.store, "ro_1", "hold", by="ada", why="let me see", now=world.now)
    controller.run_once()
    act(world.store, "ro_1", "resume", by="ada", why="", now=world.now)
    _passes_canary(world, controller)
    controller.run_once()
    assert world.rollout().phase is Phase.SOAK
    assert told_wrong(world) == []


SECOND = update(decisions).where(decisions.c.id == 2)


@pytest.mark.parametrize(
    ("meddle", "found"),
    [
        (delete(decisions).where(decisions.c.id == 2), "the audit log has a decision of"),
        (
            update(decisions).where(decisions.c.id == 2).values(rollout="ro_1", body=func.replace(decisions.c.body, "ro_1", "ro_2")),
            "`ro_2`",
        ),
        (
            update(decisions).where(decisions.c.id == 2).values(body=func.replace(decisions.c.body, "2026-", "2020-")),
            "is older than the phase",
        ),
        (SECOND.values(before=func.replace(decisions.c.before, '"revision":2', '"revision":9')), "is not in its place"),
        (update(rollouts).values(body=func.replace(rollouts.c.body, '"step":0', '"step":1')), "stood elsewhere after the decision of"),
    ],
)
def test_decisions_that_were_taken_out_or_moved_are_found_out(world: World, controller: Controller, meddle: Any, found: str) -> None:
    reaches(world, controller, Phase.CANARY)
    assert told_wrong(world) == []
    with world.store.state._db.write() as c:
        c.execute(meddle)
    assert any(found in line for line in told_wrong(world)), told_wrong(world)


def test_a_row_that_cannot_be_read_hides_no_other(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    with world.store.state._db.write() as c:
        c.execute(update(decisions).where(decisions.c.id == 2).values(before="{"))
        c.execute(update(decisions).where(decisions.c.id == 3).values(body="garbage"))
    found = replay(world.store.state.decided("ro_1"))
    assert [one.same for one in found] == [True, False, False]
    assert [one.again is None and one.why.startswith("its row cannot be read") for one in found] == [False, True, True]
    assert world.store.state.last_decision("ro_1") is None
    with world.store.state._db.write() as c:
        c.execute(update(decisions).values(before=None))
    assert told_wrong(world) != [], "rows of which nothing is known keep nobody from saying so"
    assert controller.run_once() != (), "what was said last is not known, and said again"


def test_nobody_promotes_without_a_reason(world: World, controller: Controller) -> None:
    ends_not_proved(world, controller)
    with pytest.raises(Refused, match="without a reason"):
        act(world.store, "ro_1", "promote", by="ada", why="  ", now=world.now)
    assert world.rollout().phase is Phase.NOT_PROVED


def test_a_soak_that_detent_holds_can_be_finished_by_name(world: World, controller: Controller) -> None:
    """Outcomes of one arm were lost, and stay so: nothing that is counted later makes that guard good again."""
    reaches(world, controller, Phase.SOAK)
    world.sealed("error", (0, 1000), (0, 200))
    world.sealed("tool_retry", (0, 3800), (0, 200))
    world.later(2)
    assert [d.reason for d in controller.run_once()] == ["GuardFailed"]
    assert world.rollout().held is not None
    moved = promotes(world)
    assert (moved.phase, moved.reason) == (Phase.DONE, "FinishedByHuman: ada: reviewed")
    assert world.store.state.flags()["chat"].stable == Version("openai", NEXT)
    assert decided(world)[-1] == (Verb.FINISH, "FinishedByHuman")


def test_harm_that_was_seen_after_the_end_still_speaks_against_it(world: World, controller: Controller) -> None:
    ends_not_proved(world, controller)
    world.sealed("tool_retry", (40, 100), (10, 900), period=1)
    with pytest.raises(Refused, match="can be rolled back, not promoted"):
        promotes(world)


def test_an_old_rollout_is_not_promoted_over_a_newer_pin(world: World, controller: Controller) -> None:
    ends_not_proved(world, controller)
    world.store.state.put_flags([Flag(route="chat", revision=0, stable=Version("openai", OTHER))], at=world.now)
    with pytest.raises(Refused, match=f"has moved on from openai/{PIN} since: `openai/{OTHER}`"):
        promotes(world)


def test_nor_beside_another_open_rollout_nor_on_a_route_that_is_gone(world: World, controller: Controller) -> None:
    ends_not_proved(world, controller)
    world.apply(pin_file(chat=OTHER))
    with pytest.raises(Refused, match="another open rollout: `ro_2`"):
        promotes(world)
    act(world.store, "ro_2", "abort", by="ada", why="", now=world.now)
    world.store.state.drop_flags(["chat"], at=world.now, by="ada")
    with pytest.raises(Refused, match="no longer a route"):
        promotes(world)


# ── evidence ──


def test_evidence_is_loaded_for_the_guards_of_the_plan(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.sealed("error", (3, 40), (7, 360))
    evidence = load_evidence(world.store, world.rollout())
    assert [g.metric for g in evidence.guards] == ["error", "tool_retry"]
    assert evidence.guards[0] == ev.guard_evidence(METRIC_NAMES["error"], world.store.state.label_counts("ro_1"), {1: 0.1})
    assert (evidence.guards[0].candidate_events, evidence.guards[0].stable_units, evidence.guards[1].tallies) == (3, 360, ())
    assert (evidence.users_exposed, evidence.users_seen, evidence.baseline, evidence.shadow) == (40, 400, None, None)


def test_the_plan_of_a_rollout_is_fixed_when_it_opens(world: World, controller: Controller) -> None:
    world.apply(pin_file(chat=NEXT))
    fixed = world.rollout().plan
    world.apply(pin_file(chat=NEXT).replace('"9h"', '"12h"'))
    assert world.rollout().plan == fixed
    assert Guard(metric="error", margin_ratio=1.5, role="prove") in fixed.guards


def test_a_plan_of_what_would_be_done_reads_the_store_and_changes_nothing(world: World) -> None:
    world.apply(pin_file(chat=NEXT))
    before = state_of(world.store)
    found = proposed(world.store, read(pin_file(chat=OTHER, search=None)), supersede=True)
    assert [(p.route, p.kind) for p in found] == [("chat", "supersede"), ("search", "add")]
    assert state_of(world.store) == before


def test_without_a_provider_in_the_file_nothing_is_applied(world: World) -> None:
    with pytest.raises(InvalidInput):
        world.apply(pin_file(chat=None).replace(PROVIDER, ""))
    assert state_of(world.store)["revision"] == 0


# ── a baseline that is stale ──


def audited(world: World, said: str) -> list[str]:
    return [row.what for row in world.store.state.audit() if said in row.what]


def test_a_new_rollout_waits_for_a_fresh_baseline_and_the_owner_is_told_what_to_do(world: World, controller: Controller) -> None:
    world.freeze()
    world.later(24 * 31)
    world.apply(pin_file(chat=NEXT))
    for _ in range(3):
        controller.run_once()
    assert decided(world) == [(Verb.HOLD, "BaselineStale")]
    (decision, evidence) = world.store.state.decisions("ro_1")[0]
    assert decision.sentence == (
        "the baseline is stale: it was frozen 31 days ago; the limit is 30d; chat@example.com freezes a fresh one: "
        "`detent baseline freeze chat`"
    )
    assert decide(world.rollout(), ev.decode(evidence), decision.at).reason == "BaselineStale", "it recomputes"
    world.freeze(cases=("ca_2",))
    controller.run_once()
    assert world.rollout().phase is Phase.BASELINE, "a fresh one is seen at once, not a minute later"


def test_the_owner_of_a_route_without_a_rollout_is_told_too_and_once(world: World, controller: Controller) -> None:
    world.apply(pin_file(chat=None, search=None))
    world.freeze()
    controller.run_once()
    assert audited(world, "is stale") == []
    world.later(24 * 31)
    controller.run_once()
    world.later(1)
    controller.run_once()
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    (told,) = audited(world, "is stale")
    assert told == (
        "baseline d of route chat is stale: it was frozen 31 days ago; the limit is 30d; "
        "chat@example.com freezes a fresh one with `detent baseline freeze chat`"
    )


def test_a_plan_that_only_warns_goes_on(world: World, controller: Controller) -> None:
    world.freeze()
    world.later(24 * 31)
    world.apply(pin_file(chat=NEXT).replace("cases = 5,", 'cases = 5, on_stale = "warn",'))
    world.runs()
    controller.run_once()
    controller.run_once()
    assert decided(world) == [(Verb.ADVANCE, "Opened"), (Verb.ADVANCE, "BaselinePassed")]
    stage = world.rollout().plan.baseline
    assert stale_of(world.store, "chat", stage, world.now) == ("it was frozen 31 days ago; the limit is 30d",), "it is shown all the same"


def test_traffic_is_read_once_a_minute_however_often_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    read = world.store.journal.traffic

    def counted(route: str, **more: Any) -> Any:
        asked.append(route)
        return read(route, **more)

    monkeypatch.setattr(world.store.journal, "traffic", counted)
    world.freeze()
    world.apply(pin_file(chat=NEXT))
    controller = Controller(world.store, world.clock, elapsed=world.elapsed)
    for _ in range(20):
        controller.run_once()
        world.later(2 / 3600)
    assert asked == ["chat"]
    world.later(61 / 3600)
    controller.run_once()
    assert asked == ["chat", "chat"]


def test_a_journal_that_cannot_be_read_hides_no_decision(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(world.store, world.clock, elapsed=world.elapsed)
    reaches(world, controller, Phase.SHADOW)

    def broken(route: str, **more: Any) -> Any:
        raise OSError("disk")

    monkeypatch.setattr(world.store.journal, "traffic", broken)
    world.later(2)
    world.pairs(400)
    with pytest.raises(OSError, match="disk"):
        controller.run_once()
    assert world.rollout().phase is Phase.CANARY


# ── the way back, and who is told ──


def told(world: World, *, open_only: bool = True, unknown: bool = False) -> list[tuple[str, str, bool]]:
    """(kind, about, pages) of alerts; nobody probes here, so that nothing is known of ways back: that one is left out, unless asked for."""
    found = world.store.state.alerts(open_only=open_only)
    return sorted((one.kind, one.about, one.pages) for one in found if unknown or one.kind != "WayBackUnknown")


def probes(world: World, *found: bool, model: str = PIN, route: str = "chat", every: float = 60.0) -> None:
    rows = [
        Probe(route=route, version=Version("openai", model), at=world.now - timedelta(seconds=n * every), ok=ok, detail="HTTP 500")
        for n, ok in enumerate(found)
    ]
    world.store.state.add_probes(rows)


def test_harm_is_acted_on_in_every_rollout_before_any_way_back_is_read(world: World, controller: Controller) -> None:
    """A journal that takes long to say what a route needs must not keep users on a harmful candidate, on whichever route."""
    reaches(world, controller, Phase.CANARY)
    world.later(1)
    world.sealed("tool_retry", (300, 400), (72, 3600))
    phases: list[Phase] = []

    def slow(route: str, now: object) -> float:
        phases.append(world.rollout().phase)
        raise OSError("the journal cannot be read")

    fresh = Controller(world.store, world.clock, elapsed=world.elapsed)
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(world.store.journal, "input_tokens", slow)
        broken.setattr(world.store.state, "minute_sums", lambda *_, **__: slow("", None))
        with pytest.raises(OSError, match="cannot be read"):
            fresh.run_once()
    assert world.rollout().phase is Phase.ROLLED_BACK
    assert set(phases) == {Phase.ROLLED_BACK}, "what was read was read after"


def test_nothing_moves_on_by_what_was_known_of_its_way_back_long_ago(world: World, controller: Controller) -> None:
    """A host that slept for an hour: what was proven then is read again before a step is taken."""
    reaches(world, controller, Phase.CANARY)
    probes(world, True)
    controller.run_once()
    world.later(1)
    world.sealed("error", (8, 400), (72, 3600))
    world.sealed("tool_retry", (8, 400), (72, 3600))
    probes(world, False, False, False)
    controller.run_once()
    held = world.rollout().held
    assert held is not None
    assert (held.reason, world.rollout().step) == ("WayBackBroken", 0)


def test_the_way_backs_of_many_routes_are_read_some_at_a_time(world: World, controller: Controller) -> None:
    world.apply(pin_file(**{f"r{n}": None for n in range(20)}))
    read: list[str] = []
    sums = world.store.state.minute_sums

    def counting(route: str, since_us: int = 0) -> object:
        read.append(route)
        return sums(route, since_us)

    with pytest.MonkeyPatch.context() as counted:
        counted.setattr(world.store.state, "minute_sums", counting)
        for n in range(4):
            controller.run_once()
            assert len(set(read)) == min(20, 6 * (n + 1))
        read.clear()
        controller.run_once()
        assert read == [], "all are known, and none is five seconds old"


def test_a_rollback_that_was_given_by_file_is_told_once_it_is_in_the_store(world: World, controller: Controller) -> None:
    world.apply(pin_file(chat=None))
    order = LocalOrder(id="lo_1", route="chat", rollout=None, by="ann", why="it burns", at=world.now)
    world.store.state.put_local_order(order, gateway="gw", said="done", at=world.now)
    for _ in range(2):
        controller.run_once()
        world.now += timedelta(seconds=31)
    (alert,) = [one for one in world.store.state.alerts() if one.kind == "LocalRollback"]
    assert (alert.about, alert.owner, alert.pages) == ("chat", "chat@example.com", True)
    assert alert.sentence == "chat: ann rolled it back by file on a gateway's host, about no rollout: it burns"
    world.store.state.acknowledge_alert(alert.id, "bob", world.now)
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert [one.kind for one in world.store.state.alerts() if one.kind == "LocalRollback"] == [], "and never again"


def test_a_way_back_that_breaks_holds_the_canary_and_pages_its_owner_until_it_works(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.later(1)
    world.sealed("error", (8, 400), (72, 3600))
    world.sealed("tool_retry", (8, 400), (72, 3600))
    probes(world, False, False, False)
    controller.run_once()
    held = world.rollout().held
    assert held is not None
    assert (held.reason, world.rollout().step) == ("WayBackBroken", 0)
    assert told(world) == [("WayBackBroken", "chat", True)]
    (page,) = world.store.state.alerts()
    assert (page.owner, page.sentence) == (
        "chat@example.com",
        f"chat: the way back to openai/{PIN} is broken: its last 3 probes failed, the newest with: HTTP 500",
    )
    (decision, evidence) = world.store.state.decisions("ro_1")[-1]
    assert (
        decide(world.store.state.decided("ro_1")[-1].before or world.rollout(), ev.decode(evidence), decision.at).reason == "WayBackBroken"
    )
    world.later(0.02)
    probes(world, True)
    controller.run_once()
    assert world.rollout().step == 1, "it goes on by itself once traffic could come back"
    assert told(world) == []
    assert told(world, open_only=False) == [("WayBackBroken", "chat", True)]


def test_a_way_back_that_nobody_looked_at_holds_nothing_and_is_told_after_ten_minutes(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.later(1)
    world.sealed("error", (8, 400), (72, 3600))
    world.sealed("tool_retry", (8, 400), (72, 3600))
    controller.run_once()
    assert world.rollout().step == 1
    assert "WayBackUnknown" in [kind for kind, _, _ in told(world, unknown=True)], "it was unknown all the while"
    fresh = Controller(world.store, world.clock, elapsed=world.elapsed)
    world.apply(pin_file(chat=NEXT, search=None).replace("[routes.search]", f'[routes.search]\nrollback = "{OTHER}"'))
    fresh.run_once()
    assert ("WayBackUnknown", "search", False) not in told(world, unknown=True), "a server that begins does not know, and says nothing yet"
    world.later(0.2)
    fresh.run_once()
    assert ("WayBackUnknown", "search", False) in told(world, unknown=True)
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert ("WayBackUnknown", "search", False) in told(world, unknown=True), "nor does the next server end what it cannot know yet"


def test_a_route_without_a_rollout_has_its_owner_paged_too(world: World, controller: Controller) -> None:
    world.apply(pin_file(chat=None).replace("[routes.chat]", f'[routes.chat]\nrollback = "{OTHER}"'))
    probes(world, False, False, False, model=OTHER)
    controller.run_once()
    assert told(world) == [("WayBackBroken", "chat", True)]


def test_harm_pages_the_owner_in_the_same_pass_and_once(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.sealed("error", (200, 1000), (90, 9000))
    controller.run_once()
    assert world.rollout().phase is Phase.ROLLED_BACK
    assert told(world) == [("RolledBack", "ro_1", True)]
    (page,) = [one for one in world.store.state.alerts() if one.kind == "RolledBack"]
    assert "GuardHarmed: error: 200 of 1000" in page.sentence
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert told(world, open_only=False) == [("RolledBack", "ro_1", True)]
    world.store.state.acknowledge_alert(page.id, "ann", world.now)
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert told(world) == [], "read is read"


def test_a_controller_that_was_killed_after_the_rollback_is_followed_by_one_that_pages(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    world.sealed("error", (200, 1000), (90, 9000))
    evidence = load_evidence(world.store, world.rollout())
    decision = decide(world.rollout(), evidence, world.now)
    moved = after(world.rollout(), decision, world.now)
    flag = flag_for(moved, world.store.state.flags()["chat"])
    world.store.state.commit(
        world.rollout(), moved, flag=flag, decision=decision, evidence=ev.encode(evidence), by="detent", what="roll back", at=world.now
    )
    assert told(world) == []
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert told(world) == [("RolledBack", "ro_1", True)]


def test_what_a_person_ends_is_told_and_pages_nobody(world: World, controller: Controller) -> None:
    reaches(world, controller, Phase.CANARY)
    act(world.store, "ro_1", "roll_back", by="ann", why="late", now=world.now)
    controller.run_once()
    assert ("RolledBackByHuman", "ro_1", False) in told(world, open_only=False)
    assert told(world) == [], "news that pages nobody is over as it is said"


def test_a_stale_baseline_is_told_until_a_fresh_one_is_frozen(world: World, controller: Controller) -> None:
    world.apply(pin_file(chat=None))
    world.freeze()
    world.later(24 * 31)
    controller.run_once()
    assert told(world) == [("BaselineStale", "chat", False)]
    world.freeze(cases=("ca_2",))
    world.later(0.1)
    controller.run_once()
    assert told(world) == []


def test_a_journal_that_cannot_be_read_keeps_word_of_harm_from_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = Controller(world.store, world.clock, elapsed=world.elapsed)
    reaches(world, controller, Phase.CANARY)

    def broken(route: str, **more: Any) -> Any:
        raise OSError("disk")

    monkeypatch.setattr(world.store.journal, "traffic", broken)
    monkeypatch.setattr(world.store.journal, "input_tokens", broken)
    world.later(0.1)
    world.sealed("error", (200, 1000), (90, 9000))
    with pytest.raises(OSError, match="disk"):
        controller.run_once()
    assert world.rollout().phase is Phase.ROLLED_BACK
    assert ("RolledBack", "ro_1", True) in told(world)


def test_an_order_that_stands_on_this_host_is_told_before_the_store_carries_it_out(world: World, tmp_path: Path) -> None:
    world.apply(pin_file(chat=None))
    routes = read(pin_file(chat=None)).routes
    home = tmp_path / "home"
    home.mkdir()
    standing = StandingOrders(world.store, home)
    standing.step(routes, world.now)
    assert world.store.state.alerts() == []
    give(home, LocalOrder(id="lo_1", route="chat", rollout=None, by="ann", why="", at=world.now))
    for _ in range(3):
        standing.step(routes, world.now)
    StandingOrders(world.store, home).step(routes, world.now)  # another server of this host
    (known,) = world.store.state.alerts()
    assert (known.kind, known.about, known.owner, known.pages) == ("LocalRollback", "chat", "chat@example.com", True)
    (home / "orders" / "chat.json").write_text("torn")
    standing.step(routes, world.now)
    (torn,) = [one for one in world.store.state.alerts() if one.id != known.id]
    assert "an order by file that cannot be read keeps it on stable" in torn.sentence
