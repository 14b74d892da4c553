"""What a decision or a human's word does to a rollout and its flag: every verb from every phase, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest

from canaries import HARMED, START, in_canary, seen
from detent.decide import decide
from detent.errors import Exit, Refused
from detent.evidence import METRICS
from detent.runs import IDLE_S
from detent.terms import Decision, Draining, DrillShare, Flag, Held, Look, Mirror, Phase, Price, RolledBack, Rollout, Verb, Version
from detent.transitions import CUTTING, HOLDING_REASONS, HUMAN_VERBS, after, cut_short, flag_for
from detent.windows import minimum_window_s
from playbook import CANDIDATE, PLAN, STABLE
from records import T0

OPEN = (Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, Phase.CANARY, Phase.SOAK)
ENDED = tuple(phase for phase in Phase if phase not in OPEN)
SPLIT = {Phase.CANARY: 0.25, Phase.SOAK: 0.95}
LATER = T0 + timedelta(days=15)
BY = "ada@example.com"


def at(phase: Phase, **more: Any) -> Rollout:
    """A rollout that stands in this phase, in step 2 of 3 where that is the canary."""
    reached_canary = phase in (Phase.CANARY, Phase.SOAK, Phase.DONE, Phase.ROLLED_BACK, Phase.NOT_PROVED)
    values: dict[str, Any] = {
        "phase": phase,
        "step": 1 if phase is Phase.CANARY else 0,
        "split": SPLIT.get(phase, 0.0),
        "period": 2 if reached_canary else 0,
        "canary_at": T0 if reached_canary else None,
        "ended_at": T0 if phase.terminal else None,
        "reason": "LimitReached: canary reached at_most" if phase is Phase.NOT_PROVED else "",
    }
    return Rollout(
        id="ro_1",
        route="summarizer",
        owner="owner@example.com",
        stable=STABLE,
        candidate=CANDIDATE,
        plan=replace(PLAN, approve=("baseline", "shadow", "canary", "soak")),
        salt="grain",
        opened_at=T0,
        entered_at=T0,
        **values | more,
    )


PINNED = Flag(route="summarizer", revision=7, stable=STABLE, written_at=T0)


def flag(rollout: Rollout) -> Flag:
    return flag_for(rollout, PINNED)


def decided(verb: Verb, reason: str = "Because") -> Decision:
    return Decision(rollout="ro_1", verb=verb, reason=reason, sentence="it is so", at=LATER, evidence_digest="")


def human(verb: str, rollout: Rollout, why: str = "") -> Rollout:
    return HUMAN_VERBS[verb](rollout, BY, why, LATER)


# ── decisions ──


def test_the_way_up_one_decision_at_a_time() -> None:
    rollout = at(Phase.PROPOSED)
    way = []
    for verb in [Verb.ADVANCE] * 5 + [Verb.PROMOTE, Verb.FINISH]:
        rollout = after(rollout, decided(verb), LATER)
        way.append((rollout.phase.value, rollout.step, rollout.split, rollout.period, flag(rollout).mirror is not None))
        assert rollout.entered_at == LATER
    assert way == [
        ("baseline", 0, 0.0, 0, False),
        ("shadow", 0, 0.0, 0, True),
        ("canary", 0, 0.05, 1, False),
        ("canary", 1, 0.25, 2, False),
        ("canary", 2, 0.50, 3, False),
        ("soak", 0, 0.95, 4, False),
        ("done", 0, 0.0, 5, False),
    ]
    assert rollout.ended_at == LATER
    assert flag(rollout) == replace(PINNED, stable=CANDIDATE)


def test_the_canary_began_with_its_first_step() -> None:
    first = after(at(Phase.SHADOW), decided(Verb.ADVANCE), LATER)
    assert first.canary_at == LATER
    second = after(first, decided(Verb.ADVANCE), LATER + timedelta(days=2))
    assert (first.entered_period, second.entered_period) == (first.period, second.period) == (1, 2)
    assert (second.canary_at, second.entered_at) == (LATER, LATER + timedelta(days=2))


@pytest.mark.parametrize(
    ("verb", "end"),
    [
        (Verb.ROLL_BACK, Phase.ROLLED_BACK),
        (Verb.REJECT, Phase.REJECTED),
        (Verb.NOT_PROVED, Phase.NOT_PROVED),
        (Verb.VOID, Phase.VOID),
    ],
)
@pytest.mark.parametrize("phase", OPEN)
def test_every_end_but_done_leaves_all_traffic_on_stable(verb: Verb, end: Phase, phase: Phase) -> None:
    moved = after(at(phase, held=Held(reason="HeldByHuman", by=BY, since_at=T0)), decided(verb, "Why"), LATER)
    assert (moved.phase, moved.split, moved.ended_at, moved.held, moved.reason) == (end, 0.0, LATER, None, "Why: it is so")
    assert flag(moved) == PINNED


def test_a_hold_of_detents_own_is_shown_while_somebody_is_needed_and_ends_with_its_cause() -> None:
    held = after(at(Phase.SHADOW), decided(Verb.HOLD, "AwaitingApproval"), LATER)
    assert held.held == Held(reason="AwaitingApproval", by="detent", since_at=LATER, why="it is so")
    assert after(held, decided(Verb.HOLD, "AwaitingApproval"), LATER + timedelta(hours=1)) == held, "said once, not at every look"
    assert after(held, decided(Verb.HOLD, "TimeNotServed"), LATER).held is None
    assert after(held, decided(Verb.ADVANCE), LATER).held is None


@pytest.mark.parametrize("reason", sorted(HOLDING_REASONS))
def test_a_hold_of_detents_own_never_replaces_a_humans(reason: str) -> None:
    by_human = human("hold", at(Phase.CANARY), "release freeze")
    assert after(by_human, decided(Verb.HOLD, reason), LATER) == by_human


@pytest.mark.parametrize("phase", ENDED)
def test_what_has_ended_stays_as_it_is(phase: Phase) -> None:
    assert after(at(phase), decided(Verb.HOLD, "Ended"), LATER) == at(phase)


def test_a_look_is_kept_with_the_decision_that_it_was_taken_for() -> None:
    look = Look(number=1, at=LATER)
    assert after(at(Phase.CANARY), replace(decided(Verb.HOLD), look=look), LATER).looks == (look,)


# ── flags ──


@pytest.mark.parametrize("phase", ENDED)
def test_a_split_is_zero_and_the_rollout_gone_from_the_flag_in_every_end(phase: Phase) -> None:
    obeyed = flag(at(phase))
    assert (obeyed.split, obeyed.mirror, obeyed.candidate, obeyed.rollout, obeyed.salt) == (0.0, None, None, None, "")
    assert obeyed.stable == (CANDIDATE if phase is Phase.DONE else STABLE)


@pytest.mark.parametrize("phase", OPEN)
def test_while_open_the_flag_says_what_the_rollout_says(phase: Phase) -> None:
    obeyed = flag(at(phase))
    assert (obeyed.stable, obeyed.candidate, obeyed.rollout, obeyed.salt) == (STABLE, CANDIDATE, "ro_1", "grain")
    assert (obeyed.split, obeyed.period) == (SPLIT.get(phase, 0.0), at(phase).period)
    assert (obeyed.mirror is not None) == (phase is Phase.SHADOW)


def test_a_rollout_that_goes_on_leaves_no_drill_on_its_flag() -> None:
    drilled = replace(PINNED, drill=DrillShare(drill="dr_1", version=STABLE, share=0.1, salt="s", lasts_s=60.0))
    assert flag_for(at(Phase.SOAK), drilled).drill is None


def test_a_flag_in_the_shadow_says_what_is_mirrored_and_what_it_may_cost() -> None:
    priced = {str(STABLE): Price(name=str(STABLE), input=1.0, output=4.0)}
    stage = replace(PLAN.shadow, tokens_per_day=9_000, per_second=2.0)
    shadowing = at(Phase.SHADOW)
    rollout = replace(shadowing, plan=replace(PLAN, shadow=stage), prices=priced)
    assert flag(rollout).mirror == Mirror(
        share=0.1, second=0.5, usd_per_day=25.0, tokens_per_day=9_000, per_second=2.0, stable_price=priced[str(STABLE)]
    ), "prices as frozen with the rollout, and none where none is known"
    unbounded = replace(rollout, plan=replace(PLAN, shadow=replace(stage, budget_usd_per_day=None)))
    assert flag(unbounded).mirror == replace(flag(rollout).mirror, usd_per_day=None)  # type: ignore[type-var]


def test_the_flag_of_an_ended_rollout_leaves_the_pin_of_the_route_alone() -> None:
    later_pin = replace(PINNED, stable=Version("acme", "acme-2026-09-01"))
    assert flag_for(at(Phase.REJECTED), later_pin) == later_pin


# ── what a human says ──


@pytest.mark.parametrize("phase", OPEN)
def test_a_human_rolls_back_from_every_phase(phase: Phase) -> None:
    moved = human("roll_back", at(phase), "it got worse")
    assert moved.phase is (Phase.ROLLED_BACK if phase in (Phase.CANARY, Phase.SOAK) else Phase.ABORTED)
    assert (moved.split, moved.ended_at, moved.reason) == (0.0, LATER, "RolledBackByHuman: ada@example.com: it got worse")
    assert flag(moved) == PINNED


@pytest.mark.parametrize("phase", OPEN)
def test_a_human_aborts_from_every_phase(phase: Phase) -> None:
    moved = human("abort", at(phase))
    assert (moved.phase, moved.split, moved.reason) == (Phase.ABORTED, 0.0, "AbortedByHuman: ada@example.com")
    assert flag(moved) == PINNED


@pytest.mark.parametrize("phase", OPEN)
def test_a_human_holds_and_resumes_in_every_phase_and_nothing_else_moves(phase: Phase) -> None:
    held = human("hold", at(phase), "release freeze")
    assert held.held == Held(reason="HeldByHuman", by=BY, since_at=LATER, why="release freeze")
    assert flag(held) == flag(at(phase)), "a hold moves no traffic"
    assert human("resume", held) == at(phase)


def test_a_second_humans_hold_does_not_write_over_the_firsts_words() -> None:
    held = at(Phase.CANARY, held=Held(reason="HeldByHuman", by="ben", since_at=T0, why="the auditors come"))
    with pytest.raises(Refused, match="is held by ben already"):
        human("hold", held, "me too")
    assert human("hold", at(Phase.CANARY, held=Held(reason="GuardFailed", by="detent", since_at=T0)), "me too").held is not None
    again = human("hold", human("hold", at(Phase.CANARY), "first"), "second")
    assert again.held is not None
    assert again.held.why == "second", "one's own may be said anew"


@pytest.mark.parametrize("phase", OPEN)
def test_there_is_nothing_to_resume_unless_a_human_held_it(phase: Phase) -> None:
    with pytest.raises(Refused, match="is not held by anyone"):
        human("resume", at(phase))
    detents_own = at(phase, held=Held(reason="AwaitingApproval", by="detent", since_at=T0))
    with pytest.raises(Refused, match="it waits for AwaitingApproval"):
        human("resume", detents_own)


@pytest.mark.parametrize(
    ("phase", "stage"), [(Phase.PROPOSED, "baseline"), (Phase.BASELINE, "shadow"), (Phase.SHADOW, "canary"), (Phase.CANARY, "soak")]
)
def test_a_yes_is_for_the_stage_that_comes_next(phase: Phase, stage: str) -> None:
    approved = human("approve", at(phase))
    assert approved == at(phase, approved=(stage,))
    assert human("approve", approved) == approved, "said twice, counted once"
    with pytest.raises(Refused, match="waits for no approval"):
        human("approve", replace(at(phase), plan=PLAN))


def test_soak_waits_for_no_approval() -> None:
    with pytest.raises(Refused, match="waits for no approval"):
        human("approve", at(Phase.SOAK))


@pytest.mark.parametrize("phase", [Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW])
def test_before_its_canary_nobody_promotes_anything_however_long_it_has_stood(phase: Phase) -> None:
    with pytest.raises(Refused, match=f"is in phase {phase}, in which no user meets its candidate: nobody can promote it yet") as refused:
        human("promote", at(phase))
    assert "34d" not in str(refused.value)
    assert refused.value.hint == "a canary can be, once it has served its minimum window of 4d"


def test_a_soak_is_finished_on_a_humans_word_once_it_was_served() -> None:
    """Where Detent itself holds it, for a guard that cannot be computed any more, there is no other way but back."""
    held = Held(reason="GuardFailed", by="detent", since_at=T0)
    soaked = T0 + timedelta(days=14)
    with pytest.raises(Refused, match="in phase soak has served 335h of its minimum window of 14d: nobody can finish it yet"):
        HUMAN_VERBS["promote"](at(Phase.SOAK, held=held), BY, "looked at by hand", soaked - timedelta(hours=1))
    moved = HUMAN_VERBS["promote"](at(Phase.SOAK, held=held), BY, "looked at by hand", soaked)
    assert (moved.phase, moved.held, moved.ended_at) == (Phase.DONE, None, soaked)
    assert moved.reason == "FinishedByHuman: ada@example.com: looked at by hand"
    assert flag(moved) == replace(PINNED, stable=CANDIDATE)


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.SOAK])
def test_a_promotion_lifts_nobodys_hold_by_the_way(phase: Phase) -> None:
    held = at(phase, held=Held(reason="HeldByHuman", by="ben", since_at=T0, why="the auditors come"))
    with pytest.raises(Refused, match="is held by ben: resume first"):
        human("promote", held)
    assert human("promote", human("resume", held)).held is None


def test_what_is_done_is_taken_back_by_a_proposal() -> None:
    with pytest.raises(Refused) as refused:
        human("roll_back", at(Phase.DONE))
    assert str(refused.value.hint).startswith("propose the former version as `next`; ")


def test_a_canary_can_be_promoted_unproved_once_its_minimum_window_is_served() -> None:
    rollout = at(Phase.CANARY)
    assert minimum_window_s(rollout.plan) == 96 * 3600.0, "48 h, 24 h and 24 h"
    early = T0 + timedelta(hours=96) - timedelta(seconds=1)
    with pytest.raises(Refused, match="of its minimum window of 4d: nobody can promote it yet"):
        HUMAN_VERBS["promote"](rollout, BY, "I like it", early)
    moved = HUMAN_VERBS["promote"](rollout, BY, "reviewed by hand", T0 + timedelta(hours=96))
    assert (moved.phase, moved.split, moved.period) == (Phase.SOAK, 0.95, 3)
    assert moved.reason == "PromotedUnproved: ada@example.com: reviewed by hand"
    assert not moved.proved
    assert moved.unproven == "ada@example.com: reviewed by hand"
    forced = HUMAN_VERBS["promote"](replace(rollout, unproven="ben: no time"), BY, "reviewed by hand", T0 + timedelta(hours=96))
    assert forced.unproven == "ben: no time; ada@example.com: reviewed by hand", "who opened it all the same is not forgotten"


def test_what_was_not_proved_can_still_be_promoted_unproved_unless_it_never_saw_a_canary() -> None:
    moved = human("promote", at(Phase.NOT_PROVED, ended_at=T0 + timedelta(days=14)))
    assert (moved.phase, moved.split, moved.ended_at) == (Phase.SOAK, 0.95, None)
    assert moved.reason == "PromotedUnproved: ada@example.com"
    with pytest.raises(Refused, match="has ended as not_proved"):
        human("promote", at(Phase.NOT_PROVED, canary_at=None))


@pytest.mark.parametrize("verb", sorted(HUMAN_VERBS))
@pytest.mark.parametrize("phase", ENDED)
def test_what_has_ended_listens_to_nobody(verb: str, phase: Phase) -> None:
    if (verb, phase) == ("promote", Phase.NOT_PROVED):
        return
    with pytest.raises(Refused, match=f"has ended as {phase}: nothing to {verb.replace('_', ' ')}") as refused:
        human(verb, at(phase))
    assert refused.value.exit is Exit.REFUSED
    assert "detent explain ro_1" in str(refused.value)


# ── runs that are under way as a rollout ends ───────────────────────────────────────────────────────────────────────


def ended_by(rollout: Rollout, runs: Literal["cut", "drain"], reason: str, sentence: str = "", guard: str = "", **more: Any) -> Flag:
    """The flag after a rollback over harm in a metric, or after what a human said, by a plan with these `runs`."""
    rollout = replace(rollout, plan=replace(rollout.plan, runs=runs, **more))
    before = flag_for(rollout, PINNED)
    if reason in HUMAN_VERBS:
        return flag_for(HUMAN_VERBS[reason](rollout, BY, "it is slow", LATER), before)
    verb = Verb.VOID if reason == "IdentityViolated" else Verb.ROLL_BACK
    return flag_for(after(rollout, replace(decided(verb, reason), sentence=sentence, guard=guard), LATER), before)


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.SOAK])
@pytest.mark.parametrize("said", ["roll_back", "abort", "GuardHarmed"])
def test_a_plan_that_drains_lets_runs_finish_on_what_was_rolled_back(phase: Phase, said: str) -> None:
    flag = ended_by(at(phase), "drain", said, "parse_error: 9 of 10 against 1 of 10", lease=45.0)
    drained = Draining(rollout="ro_1", candidate=CANDIDATE, split=SPLIT[phase], salt="grain", lasts_s=IDLE_S)
    left = RolledBack(rollout="ro_1", candidate=CANDIDATE, split=SPLIT[phase], salt="grain", lasts_s=IDLE_S)
    assert flag == Flag(route="summarizer", revision=7, stable=STABLE, written_at=T0, draining=drained, rolled_back=left, lease_s=45.0)
    assert cut_short(flag).draining is None
    assert ended_by(at(phase), "cut", said, "parse_error: 9 of 10").draining is None


@pytest.mark.parametrize("metric", CUTTING)
def test_a_candidate_that_does_not_answer_is_left_at_once_whatever_the_plan_says(metric: str) -> None:
    assert metric in METRICS
    assert ended_by(at(Phase.CANARY), "drain", "GuardHarmed", "in whatever words", guard=metric).draining is None


def test_words_for_people_move_no_run() -> None:
    """A sentence that begins like a harm by `error` is no such harm."""
    assert ended_by(at(Phase.CANARY), "drain", "GuardHarmed", "error: 9 of 10 against 1 of 10", guard="parse_error").draining is not None
    rollout = replace(at(Phase.CANARY), plan=replace(at(Phase.CANARY).plan, runs="drain"))
    said = HUMAN_VERBS["roll_back"](rollout, "error", "error: 9 of 10", LATER)
    assert flag_for(said, flag_for(rollout, PINNED)).draining is not None


def test_nothing_drains_where_nothing_ran_or_where_the_provider_has_changed_the_candidate() -> None:
    for phase in (Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW):
        assert ended_by(at(phase), "drain", "roll_back").draining is None
    assert ended_by(at(Phase.CANARY), "drain", "IdentityViolated").draining is None


def test_the_next_rollout_ends_what_drains_of_the_last_one() -> None:
    draining = ended_by(at(Phase.CANARY), "drain", "roll_back")
    assert draining.draining is not None
    assert flag_for(at(Phase.PROPOSED), draining).draining is None


def test_a_flag_is_leased_for_as_long_as_the_plan_says() -> None:
    rollout = at(Phase.CANARY)
    assert flag(replace(rollout, plan=replace(rollout.plan, lease=17.0))).lease_s == 17.0


def test_a_decision_names_the_metric_that_it_found_harm_in_and_the_rollout_keeps_it() -> None:
    decision = decide(in_canary(), seen(HARMED), START)
    assert (decision.reason, decision.guard) == ("GuardHarmed", HARMED.metric)
    assert after(in_canary(), decision, LATER).harmed == HARMED.metric
    assert decide(in_canary(), seen(), START).guard == ""
