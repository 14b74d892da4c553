"""What users of other systems complain about (statistics.md, section 5), a case for each: what happens here instead.

The rollouts of other tools are named by their issue trackers: Flagger, Argo Rollouts, Suna.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from canaries import FINE, HARMED, HOUR, PROVED, START, UNBALANCED, counted, in_canary, in_soak, opened, seen
from controlling import NEXT, World, in_the_canary, pin_file
from detent.controller import Controller, act
from detent.decide import decide
from detent.errors import Refused
from detent.explain import summary
from detent.store import open_store
from detent.terms import Evidence, Exposure, Flag, GuardEvidence, Held, Phase, Rollout, Verb
from detent.transitions import HUMAN_VERBS, after, flag_for
from playbook import CANDIDATE, PLAN, STABLE

BY_ADA = Held(reason="HeldByHuman", by="ada", since_at=START)
AT_THE_GATE = Held(reason="AwaitingApproval", by="detent", since_at=START)
OPEN = (Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, Phase.CANARY, Phase.SOAK)


def carried_out(rollout: Rollout, evidence: Evidence) -> Rollout:
    return after(rollout, decide(rollout, evidence, START), START)


@pytest.mark.parametrize("held", [AT_THE_GATE, BY_ADA])
def test_flagger_1801_a_breach_while_waiting_at_a_gate_is_acted_on_within_one_evaluation(held: Held) -> None:
    """ "Breach while waiting at a gate is logged but not acted on (18 failed checks, limit 5)." """
    waiting = in_canary(step=2, hours=60, looks=(PROVED,), held=held, plan=replace(PLAN, approve=("soak",)))
    assert decide(waiting, FINE, START).verb is Verb.HOLD
    assert carried_out(waiting, seen(HARMED)).phase is Phase.ROLLED_BACK


def test_flagger_1268_a_rollback_has_no_precondition() -> None:
    """ "Rollback check runs after the readiness check, so a stuck canary cannot be cancelled." """
    stuck = (
        seen(HARMED, exposure=UNBALANCED.exposure),  # arms that do not fit
        seen(HARMED, GuardEvidence(metric="error", tallies=counted("error", (9, 3), (0, 1)).tallies)),  # a guard that cannot be computed
        seen(HARMED, identity_violations=("`a` was sent for, and `b` answered",)),
    )
    for evidence in stuck:
        for rollout in (in_canary(), in_canary(step=2, hours=9999), in_soak(), in_canary(held=BY_ADA)):
            assert carried_out(rollout, evidence).phase is Phase.ROLLED_BACK
    for phase in OPEN:
        assert HUMAN_VERBS["roll_back"](opened(phase=phase, canary_at=START, split=0.05), "ada", "", START).split == 0.0


def test_argo_1411_what_decides_also_moves_the_traffic_in_one_write(world: World) -> None:
    """ "Failed analysis did not stop the rollout." Here decision, flag and rollout are one transaction, or none of them is."""
    controller = in_the_canary(world)
    world.sealed("tool_retry", (40, 100), (10, 900))
    revision = world.store.state.revision()
    (decision,) = controller.run_once()
    assert (decision.verb, world.rollout().phase) == (Verb.ROLL_BACK, Phase.ROLLED_BACK)
    assert (world.store.state.flags()["chat"].split, world.store.state.revision()) == (0.0, revision + 1)
    assert world.store.state.decided("ro_1")[-1].decision == decision


def test_argo_3850_and_926_asking_an_inconclusive_question_again_and_again_promotes_nothing() -> None:
    """ "Inconclusive background analysis re-created until the rollout promotes itself." Looks are planned, six in all, and then it ends."""
    rollout = in_canary(step=2, hours=60)
    thin = seen(counted("error", (1, 40), (20, 760)), counted("parse_error", (1, 40), (23, 760)))
    for hour in range(400):
        now = START + hour * HOUR
        decision = decide(rollout, thin, now)
        assert decision.verb in (Verb.HOLD, Verb.NOT_PROVED)
        rollout = after(rollout, decision, now)
    assert rollout.phase is Phase.NOT_PROVED
    assert len(rollout.looks) <= 6


def test_argo_1329_and_2158_each_end_keeps_its_own_name() -> None:
    """ "Aborted or terminated metrics are shown as Successful." """
    ends = {
        carried_out(in_soak(hours=400), FINE).phase,
        carried_out(in_canary(step=2, hours=400), Evidence(rollout="ro_1")).phase,
        carried_out(in_canary(), seen(HARMED)).phase,
        carried_out(in_canary(), seen(identity_violations=("x",))).phase,
        HUMAN_VERBS["abort"](in_canary(), "ada", "", START).phase,
    }
    assert ends == {Phase.DONE, Phase.NOT_PROVED, Phase.ROLLED_BACK, Phase.VOID, Phase.ABORTED}
    ended = carried_out(in_canary(), seen(HARMED))
    assert decide(ended, FINE, START).sentence.startswith("the rollout ended as rolled_back: GuardHarmed: tool_retry: 150 of 1000")


def test_argo_4461_an_abort_wins_over_a_promotion_in_any_order() -> None:
    """ "Abort ignored after a full-promotion request." """
    promoted = HUMAN_VERBS["promote"](in_canary(step=2, hours=96), "ada", "", START)
    assert promoted.phase is Phase.SOAK
    aborted = HUMAN_VERBS["abort"](promoted, "ben", "", START)
    assert (aborted.phase, aborted.split) == (Phase.ABORTED, 0.0)
    assert carried_out(promoted, seen(HARMED)).phase is Phase.ROLLED_BACK
    with pytest.raises(Refused):
        HUMAN_VERBS["promote"](aborted, "ada", "", START)
    proved = in_canary(step=2, hours=60, looks=(PROVED,))
    assert decide(HUMAN_VERBS["abort"](proved, "ben", "", START), FINE, START).reason == "Ended", "nor does a proof bring it back"


def test_argo_841_2648_2897_3015_after_an_abort_the_version_can_be_tried_again_and_nothing_is_stuck(world: World) -> None:
    """ "Cannot retry or promote after abort; stuck states." Also test_state_machine.py: every walk comes to an end."""
    in_the_canary(world)
    act(world.store, "ro_1", "abort", by="ada", why="wrong day", now=world.now)
    assert world.store.state.flags()["chat"].rollout is None
    world.apply(pin_file(chat=NEXT), retry_why="a better day")
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert world.rollout("ro_2").phase is Phase.BASELINE


def test_argo_404_1832_2087_the_reason_with_its_numbers_is_in_decision_rollout_audit_and_status(world: World) -> None:
    """ "Reason for the abort not visible; no metric for aborts." """
    controller = in_the_canary(world)
    world.sealed("tool_retry", (40, 100), (10, 900))
    (decision,) = controller.run_once()
    said = "tool_retry: 40 of 100 (40.0 %) candidate units against 10 of 900 (1.1 %) stable ones; E = "
    assert decision.sentence.startswith(said)
    assert decision.numbers["log_e"] > 3.0
    assert world.rollout().reason.startswith(f"GuardHarmed: {said}")
    assert world.store.state.audit(1)[0].what.startswith(f"roll_back: GuardHarmed: {said}")
    state = world.store.state
    (told,) = summary(state.revision(), state.flags(), state.rollouts(), [])["rollouts"]
    assert (told["phase"], told["reason"].startswith(f"GuardHarmed: {said}")) == ("rolled_back", True)


@pytest.mark.parametrize(("how", "reason"), [({"action": "hold"}, "GuardHarmedHold"), ({"role": "observe"}, "TimeNotServed")])
def test_argo_2866_and_303_a_metric_that_is_not_trusted_yet_holds_or_only_observes(how: dict[str, str], reason: str) -> None:
    """ ""Pause instead of abort" while a team still distrusts its metrics." """
    guards = tuple(replace(g, **how) if g.metric == "tool_retry" else g for g in PLAN.guards)  # type: ignore[arg-type]
    decision = decide(in_canary(hours=1, plan=replace(PLAN, guards=guards)), seen(HARMED), START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, reason)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_suna_3403_one_failure_among_twenty_requests_neither_aborts_nor_passes(bad: int) -> None:
    """ "Low traffic: one 5xx is a huge percentage, healthy releases abort; fix = pass when < 20 requests." """
    few = seen(counted("error", (min(bad, 1), 3), (bad // 2, 17)), counted("parse_error", (0, 3), (0, 17)))
    assert decide(in_canary(hours=1), few, START).verb is Verb.HOLD
    late = decide(in_canary(step=2, hours=100), few, START)
    assert (late.verb, late.reason, late.look) == (Verb.HOLD, "ProofNotReached", None)
    assert decide(in_canary(step=2, hours=14 * 24), few, START).verb is Verb.NOT_PROVED


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(rollout="ro_1"),
        Evidence(rollout="ro_1", exposure=(Exposure(period=1, split=0.05, candidate=5000, stable=95_000),)),
        seen(counted("error", (0, 0), (0, 0)), counted("parse_error", (0, 0), (0, 0))),
        seen(counted("error", (0, 5000), (0, 95_000)), counted("parse_error", (0, 5000), (0, 95_000))),
        seen(counted("error", (1, 5000), (1, 95_000)), counted("parse_error", (1, 5000), (1, 95_000))),
        seen(counted("error", (100, 5000), (1900, 95_000))),
        UNBALANCED,
        seen(GuardEvidence(metric="error", candidate_unscored=5000, stable_unscored=95_000), *FINE.guards[1:]),
        replace(FINE, guards=(counted("error", (9, 3), (0, 10)), *FINE.guards[1:])),
    ],
    ids=["nothing", "no sealed unit", "no unit", "no event", "one event", "missing metric", "sample ratio", "failed query", "cannot be"],
)
def test_bar_5_nothing_is_promoted_without_proof(evidence: Evidence) -> None:
    """Statistics 4, bar 5: zero, one or few events, no data, failed query, sample-ratio alarm, missing metric -> never promoted."""
    for hours in (60, 200, 14 * 24):
        assert decide(in_canary(step=2, hours=hours), evidence, START).verb in (Verb.HOLD, Verb.NOT_PROVED)
    assert decide(in_canary(step=2, hours=60), FINE, START).verb is Verb.PROMOTE


def test_an_end_leaves_the_pin_where_it_was() -> None:
    pinned = Flag(route="summarizer", revision=1, stable=STABLE)
    for rollout in (in_canary(), in_soak()):
        assert flag_for(carried_out(rollout, seen(HARMED)), pinned) == pinned
    assert flag_for(carried_out(in_soak(hours=400), FINE), pinned).stable == CANDIDATE


# ── a store, for the cases that need one ──


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield World(store)
    store.close()
