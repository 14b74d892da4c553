"""Decisions, rule by rule: harm, proof, limits, baseline and approval, humans. Any order of events: test_state_machine.py."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canaries import FINE, HARMED, HOUR, PROVED, START, SUSPICIOUS, UNBALANCED, counted, in_canary, in_soak, opened, seen, usual
from detent.decide import PRECEDENCE, decide, objection
from detent.manifest import BUILTIN_PLANS
from detent.terms import (
    BaselineEvidence,
    CanaryStep,
    ClassTally,
    Coverage,
    Decision,
    Evidence,
    Exposure,
    FieldEvidence,
    Guard,
    GuardEvidence,
    Held,
    Look,
    Phase,
    Plan,
    Rollout,
    ShadowEvidence,
    Slice,
    Verb,
    WayBack,
)
from detent.terms import Refused as RefusedShape
from detent.transitions import HUMAN_VERBS, after
from detent.view import look_in_s
from playbook import PLAN, STABLE, compared, flip

# ── harm ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

STANDARD = BUILTIN_PLANS["standard"]


@pytest.mark.parametrize(
    "held", [None, Held(reason="HeldByHuman", by="ada", since_at=START), Held(reason="AwaitingApproval", by="detent", since_at=START)]
)
@pytest.mark.parametrize("hours", [0.0, 0.01, 47.0, 400.0])
def test_a_breach_acts_inside_the_window_at_a_gate_while_held_and_past_the_limit(hours: float, held: Held | None) -> None:
    """flagger #1801, #1268: a breach while waiting was logged and not acted on; the rollback check came after the readiness check."""
    for rollout in (in_canary(hours=hours, held=held), in_canary(step=2, hours=hours, held=held), in_soak(hours=hours, held=held)):
        decision = decide(rollout, seen(HARMED), START)
        assert (decision.verb, decision.reason) == (Verb.ROLL_BACK, "GuardHarmed")
        assert after(rollout, decision, START).split == 0.0


def test_harm_needs_e_of_one_over_alpha_and_ten_only_holds() -> None:
    """Statistics 2.1: roll back at E >= 1/alpha = 20, hold and page at E >= 10."""
    found: dict[tuple[Verb, str], list[float]] = defaultdict(list)
    for events in range(20, 90):
        decision = decide(in_canary(hours=1), seen(counted("tool_retry", (events, 1000), (380, 19_000))), START)
        found[decision.verb, decision.reason].append(decision.numbers.get("log_e", 0.0))
    assert list(found) == [(Verb.HOLD, "TimeNotServed"), (Verb.HOLD, "HarmSuspected"), (Verb.ROLL_BACK, "GuardHarmed")], "as it worsens"
    suspected, harmed = found[Verb.HOLD, "HarmSuspected"], found[Verb.ROLL_BACK, "GuardHarmed"]
    assert math.log(10) <= min(suspected)
    assert max(suspected) < math.log(20) <= min(harmed)


def test_a_suspicion_holds_and_is_no_reason_to_roll_back() -> None:
    rollout = in_canary(step=2, hours=60, looks=(PROVED,))
    decision = decide(rollout, seen(SUSPICIOUS), START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "HarmSuspected"), "although it was proved and every step was served"
    assert "tool_retry" in decision.sentence
    assert decide(in_soak(hours=400), seen(SUSPICIOUS), START).reason == "HarmSuspected", "nor does the soak end over it"


def test_a_wholly_failing_candidate_ends_within_nine_units() -> None:
    """Design 6: hard_failure ends a wholly failing candidate within 7-9 candidate units; the standard plan has six guards on harm."""
    rollout = in_canary(plan=STANDARD, working=usual({"hard_failure": 0.005}))
    needed = next(
        n for n in range(1, 50) if decide(rollout, seen(counted("hard_failure", (n, n), (0, 19 * n))), START).verb is Verb.ROLL_BACK
    )
    assert needed <= 9


def test_one_failure_among_little_traffic_is_no_harm_and_no_proof() -> None:
    """suna #3403: one 5xx is a huge percentage; healthy releases abort, and "pass when < 20 requests" is the wrong mend."""
    few = seen(counted("error", (1, 3), (0, 57)), counted("parse_error", (0, 3), (0, 57)))
    assert decide(in_canary(hours=1), few, START).reason == "TimeNotServed"
    assert decide(in_canary(step=2, hours=60), few, START).reason == "ProofNotReached"


def test_without_traffic_it_holds_which_is_neither_pass_nor_harm() -> None:
    """flagger #1035, #361: "no values found", and a rollback."""
    nothing = Evidence(rollout="ro_1")
    assert decide(in_canary(hours=60), nothing, START).reason == "TooFewUnits"
    units_only = Evidence(rollout="ro_1", exposure=(Exposure(period=1, split=0.05, candidate=50, stable=950),))
    assert decide(in_canary(step=2, hours=60), units_only, START).reason == "ProofNotReached"


def test_asking_again_changes_nothing() -> None:
    """argo #3850, #926: an inconclusive analysis was run again until the rollout promoted itself."""
    rollout = in_canary(step=2, hours=60)
    thin = seen(counted("error", (1, 40), (20, 760)), counted("parse_error", (1, 40), (23, 760)))
    for hour in range(0, 300, 4):
        decision = decide(rollout, thin, START + hour * HOUR)
        assert decision.verb in (Verb.HOLD, Verb.NOT_PROVED)
        rollout = after(rollout, decision, START + hour * HOUR)
    assert rollout.phase is Phase.NOT_PROVED


def test_a_guard_that_says_hold_holds_and_one_that_observes_does_nothing() -> None:
    """argo #2866, #303: pause instead of abort while a team still distrusts a metric."""

    def planned(**how: Any) -> Rollout:
        guards = tuple(replace(g, **how) if g.metric == "tool_retry" else g for g in PLAN.guards)
        return in_canary(hours=1, plan=replace(PLAN, guards=guards))

    assert decide(planned(), seen(HARMED), START).verb is Verb.ROLL_BACK
    held = decide(planned(action="hold"), seen(HARMED), START)
    assert (held.verb, held.reason) == (Verb.HOLD, "GuardHarmedHold")
    assert decide(planned(role="observe"), seen(HARMED), START).reason == "TimeNotServed"


def test_a_guard_that_only_holds_does_not_mask_one_that_rolls_back() -> None:
    guards = tuple(replace(g, action="hold") if g.metric == "tool_retry" else g for g in PLAN.guards)
    rollout = in_canary(hours=1, plan=replace(PLAN, guards=guards))
    worse = seen(counted("tool_retry", (600, 1000), (380, 19_000)), counted("error", (150, 1000), (380, 19_000)))
    decision = decide(rollout, worse, START)
    assert decision.verb is Verb.ROLL_BACK
    assert decision.sentence.startswith("error: 150 of 1000 (15.0 %)")


def test_harm_is_measured_against_the_stable_arm_of_the_same_time() -> None:
    """flagger #739: thresholds relative to the stable version; a bad day for both arms is nobody's fault."""
    assert decide(in_canary(hours=1), seen(counted("error", (100, 1000), (1900, 19_000))), START).reason == "TimeNotServed"
    assert decide(in_canary(hours=1), seen(counted("error", (100, 1000), (190, 19_000))), START).verb is Verb.ROLL_BACK


def test_errors_on_the_candidate_and_none_at_all_on_stable_are_counts_and_no_nan() -> None:
    """kayenta #799: NaN handling decided."""
    decision = decide(in_canary(hours=1), seen(counted("error", (30, 100), (0, 1900))), START)
    assert decision.verb is Verb.ROLL_BACK
    assert decision.sentence == decision.sentence.replace("nan", "")
    assert decision.sentence.startswith("error: 30 of 100 (30.0 %) candidate units against 0 of 1900 (0.0 %) stable ones; E = ")


def test_the_reason_has_the_numbers() -> None:
    """argo #404, kayenta #521: the reason for an abort was not visible, nor its statistic."""
    decision = decide(in_canary(hours=1), seen(HARMED), START)
    assert decision.sentence.startswith("tool_retry: 150 of 1000 (15.0 %) candidate units against 380 of 19000 (2.0 %) stable ones; E = ")
    assert " >= 1/alpha = 20, all guards together (" in decision.sentence
    assert set(decision.numbers) == {"log_e", "log_e_guard"}


def test_harm_comes_before_a_void_comparison_and_that_before_a_humans_hold() -> None:
    moved = ("`a` was sent for, and `b` answered (2 times)",)
    held = in_canary(hours=1, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    assert decide(held, seen(HARMED, identity_violations=moved), START).verb is Verb.ROLL_BACK
    void = decide(held, seen(identity_violations=moved), START)
    assert (void.verb, void.reason) == (Verb.VOID, "IdentityViolated")
    assert after(held, void, START).split == 0.0
    assert decide(held, FINE, START).reason == "HeldByHuman"


# ── proof ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_promoted_when_every_step_was_served_and_every_proving_guard_was_shown_no_worse() -> None:
    decision = decide(in_canary(step=2, hours=60), FINE, START)
    assert (decision.verb, decision.reason) == (Verb.PROMOTE, "Proved")
    assert "every proving guard shown non-inferior at look 1: error (z " in decision.sentence
    assert decision.look is not None
    assert decision.look.proved


def test_success_does_not_shorten_a_window_nor_skip_a_step() -> None:
    assert decide(in_canary(step=2, hours=23.9, canary_at=START - 99 * HOUR, looks=(PROVED,)), FINE, START).reason == "TimeNotServed"
    step = decide(in_canary(step=0, hours=48), FINE, START)
    assert (step.verb, step.reason) == (Verb.ADVANCE, "StepServed")
    assert step.look is not None, "the proof is there, and the ramp is not skipped for it"
    assert step.look.proved


def test_a_step_lasts_for_its_units_too() -> None:
    steps = (CanaryStep(share=0.05, at_least=48 * 3600.0, units=4_001),)
    rollout = in_canary(hours=60, plan=replace(PLAN, canary=replace(PLAN.canary, steps=steps)))
    decision = decide(rollout, FINE, START)
    assert (decision.reason, decision.sentence) == ("TooFewUnits", "4000 of 4001 candidate units seen in this step")


def test_units_of_an_earlier_step_do_not_count_for_a_later_one() -> None:
    """4000 units in the first step and 300 since: a step of 500 goes on waiting. What was learned meanwhile began period 3."""
    steps = (CanaryStep(share=0.05, at_least=48 * 3600.0), CanaryStep(share=0.25, at_least=3600.0, units=500))
    rollout = in_canary(step=1, hours=60, plan=replace(PLAN, canary=replace(PLAN.canary, steps=steps)), entered_period=2)
    first = FINE.exposure[0]

    def later(period: int, n: int) -> Exposure:
        return Exposure(period=period, split=0.25, candidate=n, stable=3 * n)

    decision = decide(rollout, replace(FINE, exposure=(first, later(2, 100), later(3, 200))), START)
    assert decision.sentence == "300 of 500 candidate units seen in this step"
    assert decide(rollout, replace(FINE, exposure=(first, later(2, 100), later(3, 400))), START).reason != "TooFewUnits"
    default = replace(rollout.plan.canary, steps=(steps[0], replace(steps[1], units=1)))
    nobody_new = replace(rollout, plan=replace(rollout.plan, canary=default))
    assert decide(nobody_new, FINE, START).reason != "TooFewUnits", "the same users come back, and none is asked for"


@pytest.mark.parametrize("missing", ["error", "parse_error"])
def test_one_guard_without_evidence_is_enough_not_to_be_promoted(missing: str) -> None:
    """flagger #1581: a misspelled metric silently passes; growthbook #6679: what failed to compute was stored as a real zero."""
    without = replace(FINE, guards=tuple(g for g in FINE.guards if g.metric != missing))
    decision = decide(in_canary(step=2, hours=60), without, START)
    assert decision.reason == "ProofNotReached"
    assert f"too little to go by for a look at the proof ({missing})" in decision.sentence
    assert decision.look is None, "a look that can prove nothing for one guard is not taken: it would be lost for the others"
    unscored = replace(without, guards=(*without.guards, GuardEvidence(metric=missing, candidate_unscored=1000, stable_unscored=19_000)))
    assert decide(in_canary(step=2, hours=60), unscored, START).reason == "ProofNotReached"


def test_an_app_that_never_sends_feedback_proves_nothing_by_its_silence() -> None:
    plan = replace(PLAN, guards=(Guard(metric="thumbs_down", margin_abs=0.02, role="prove"),))
    silent = seen(replace(counted("thumbs_down", (0, 1000), (0, 19_000)), candidate_silent=1000, stable_silent=19_000))
    assert decide(in_canary(step=2, hours=60, plan=plan), silent, START).reason == "ProofNotReached"
    heard = seen(counted("thumbs_down", (5, 1000), (95, 19_000)))
    assert decide(in_canary(step=2, hours=60, plan=plan), heard, START).verb is Verb.PROMOTE


def test_a_plan_without_a_proving_guard_never_promotes() -> None:
    plan = replace(PLAN, guards=tuple(replace(g, role="harm") for g in PLAN.guards))
    assert decide(in_canary(step=2, hours=60, plan=plan), FINE, START).reason == "ProofNotReached"


def test_a_candidate_that_is_worse_by_the_margin_is_not_proved() -> None:
    at_margin = replace(FINE, guards=(counted("error", (30, 1000), (380, 19_000)), *FINE.guards[1:]))
    decision = decide(in_canary(step=2, hours=60), at_margin, START)
    assert decision.reason == "ProofNotReached"
    assert decision.look is not None
    assert decision.look.lacking == ("error",)


def test_arms_that_do_not_fit_the_split_are_not_looked_at() -> None:
    decision = decide(in_canary(step=2, hours=60), UNBALANCED, START)
    assert (decision.verb, decision.reason, decision.look) == (Verb.HOLD, "SampleRatioAlarm", None)
    assert "4000 candidate and 48000 stable units do not fit the split" in decision.sentence
    assert decide(in_canary(step=2, hours=60), replace(UNBALANCED, guards=(HARMED,)), START).verb is Verb.ROLL_BACK, (
        "it never blocks a rollback"
    )


def test_looks_are_due_at_the_end_of_the_first_step_and_then_daily() -> None:
    """Statistics 2.3: looks at 48, 72, 96, 120, 144, 168 h; and on, as long as the canary may last."""
    rollout = in_canary(step=2)
    thin = seen(counted("error", (7, 400), (150, 7600)), counted("parse_error", (7, 400), (150, 7600)))
    taken = []
    for hour in range(0, 14 * 24, 3):
        more = round(1 + hour / 3)
        grown = replace(thin, guards=tuple(_times(g, more) for g in thin.guards), exposure=())
        decision = decide(rollout, grown, START + hour * HOUR)
        if decision.look:
            taken.append(hour)
        rollout = replace(
            after(rollout, replace(decision, verb=Verb.HOLD, reason="-"), START + hour * HOUR), looks=_unproved(rollout, decision)
        )
    assert taken == list(range(48, 14 * 24, 24))


def _times(guard: GuardEvidence, n: int) -> GuardEvidence:
    (t,) = guard.tallies
    return counted(guard.metric, (t.candidate_events * n, t.candidate_units * n), (t.stable_events * n, t.stable_units * n))


def _unproved(rollout: Rollout, decision: Decision) -> tuple[Look, ...]:
    """The looks so far with the new one, which we pretend has proved nothing."""
    if decision.look is None:
        return rollout.looks
    return (*rollout.looks, replace(decision.look, guards=tuple(replace(g, z=0.0) for g in decision.look.guards)))


def test_a_look_that_could_rest_on_nothing_waits_instead_of_being_wasted() -> None:
    nothing = seen(counted("error", (0, 0), (0, 0)))
    rollout = in_canary(step=2, hours=70)
    assert decide(rollout, nothing, START).look is None
    assert decide(rollout, FINE, START).look is not None


def test_when_a_look_is_due() -> None:
    assert look_in_s(opened(), START) is None
    assert look_in_s(in_canary(), START + 47 * HOUR) == 3600.0
    late = Look(number=1, at=START + 60 * HOUR)
    assert look_in_s(in_canary(looks=(late,)), START + 84 * HOUR) == 0.0, "a late look moves the later ones"
    assert look_in_s(in_canary(looks=(PROVED,)), START) is None
    assert look_in_s(in_canary(looks=tuple(replace(late, number=n) for n in range(1, 14))), START + 400 * HOUR) is None


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────

AT_MOST = PLAN.canary.at_most / 3600


def test_a_canary_that_proves_nothing_in_time_ends_and_stable_serves() -> None:
    thin = seen(counted("error", (1, 40), (20, 760)))
    rollout = in_canary(step=2, hours=AT_MOST)
    decision = decide(rollout, thin, START)
    assert (decision.verb, decision.reason) == (Verb.NOT_PROVED, "LimitReached")
    assert decision.sentence.startswith("canary reached at_most = 14d without proof (")
    assert after(rollout, decision, START).split == 0.0
    assert decide(in_canary(step=2, hours=AT_MOST - 0.1), thin, START).verb is Verb.HOLD


def test_what_was_proved_in_time_is_promoted_at_the_limit_too() -> None:
    assert decide(in_canary(step=2, hours=AT_MOST, looks=(PROVED,)), FINE, START).verb is Verb.PROMOTE
    waiting = in_canary(step=2, hours=AT_MOST + 100, looks=(PROVED,), plan=replace(PLAN, approve=("soak",)))
    assert decide(waiting, FINE, START).reason == "AwaitingApproval", "a late yes is not the candidate's fault"


def test_the_split_is_not_widened_at_the_limit_only_to_end() -> None:
    assert decide(in_canary(step=1, hours=AT_MOST, looks=(PROVED,)), FINE, START).verb is Verb.NOT_PROVED


def test_suspicion_and_distrust_end_at_the_limit_and_say_so() -> None:
    for evidence, said in (
        (seen(SUSPICIOUS), "harm suspected in tool_retry"),
        (UNBALANCED, "do not fit the split"),
    ):
        decision = decide(in_canary(step=2, hours=AT_MOST, looks=(PROVED,)), evidence, START)
        assert decision.verb is Verb.NOT_PROVED
        assert said in decision.sentence


def test_a_human_who_holds_it_stops_the_clock_of_the_limit() -> None:
    held = in_canary(step=2, hours=AT_MOST + 1, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    assert decide(held, FINE, START).reason == "HeldByHuman"


def shadowing(hours: float, plan: Plan = PLAN) -> Rollout:
    return opened(plan, phase=Phase.SHADOW, entered_at=START - hours * HOUR)


def in_shadow(hours: float, found: ShadowEvidence | None, plan: Plan = PLAN) -> Decision:
    return decide(shadowing(hours, plan), Evidence(rollout="ro_1", shadow=found), START)


def test_a_shadow_lasts_for_its_time_and_its_pairs_and_ends_without_them() -> None:
    def asked(hours: float, found: ShadowEvidence | None) -> str:
        return in_shadow(hours, found).reason

    enough = compared(PLAN.shadow.pairs, candidate_only=2, stable_only=3)
    assert asked(167, enough) == "TimeNotServed"
    assert asked(168, enough) == "ShadowPassed"
    assert asked(168, replace(enough, pairs=99)) == "TooFewPairs"
    assert asked(168, None) == "TooFewPairs"
    assert asked(336, replace(enough, pairs=99)) == "LimitReached"
    assert asked(336, enough) == "ShadowPassed"
    assert asked(168, replace(enough, unscored=101)) == "ShadowInconclusive", "a candidate that mostly fails to answer has shown nothing"


def test_a_shadow_without_half_of_the_second_answers_that_it_asked_for_has_no_noise_floor() -> None:
    """101 pairs, half of them to be asked twice: half of that, rounded down, are 25."""
    plan = replace(PLAN, shadow=replace(PLAN.shadow, pairs=101))
    enough = compared(101, seconds=25)
    assert in_shadow(168, enough, plan).reason == "ShadowPassed"
    lacks = in_shadow(168, replace(enough, seconds=24), plan)
    assert (lacks.verb, lacks.reason) == (Verb.HOLD, "TooFewSeconds")
    assert lacks.sentence == "stable was asked a second time in 24 pairs, and 25 at least are the noise floor"


def test_a_shadow_lasts_until_the_lower_end_of_its_coverage_is_what_the_plan_asks_for() -> None:
    """Good and Turing: 30 classes met once in 1000 pairs leave 3.0 % unseen; Esty (1983): sd = sqrt(30 x 0.97 + 2 x 10) / 1000 = 0.00701,
    so that 95.6 % to 98.4 % is covered. With 40 met once it is 94.4 % at the least.
    """
    known = compared(1000, coverage=(Coverage(dimension="class", pairs=1000, classes=80, once=30, twice=10),))
    passed = in_shadow(168, known)
    assert passed.reason == "ShadowPassed"
    assert passed.sentence == (
        "1000 pairs scored, no harm; "
        "97.0 % of tomorrow's traffic that can be mirrored looks like something already compared (95 % interval 95.6 % to 98.4 %)"
    )
    silent = in_shadow(168, replace(known, unscored=312))
    assert silent.sentence.startswith("1000 pairs scored, no harm; 312 more could not be scored, and say nothing; 97.0 % of ")
    rare = replace(known, coverage=(Coverage(dimension="class", pairs=1000, classes=90, once=40, twice=10),))
    lacks = in_shadow(168, rare)
    assert (lacks.verb, lacks.reason) == (Verb.HOLD, "CoverageNotReached")
    assert lacks.sentence.endswith("; its lower end must reach 95 %")
    assert lacks.numbers["covered"] == 0.96
    assert lacks.numbers["covered_low"] < 0.95
    late = in_shadow(336, rare)
    assert (late.verb, late.reason) == (Verb.NOT_PROVED, "LimitReached")
    assert "96.0 % of tomorrow's traffic" in late.sentence, "and says what it waited for"


def test_a_coverage_that_is_not_known_is_not_reached_and_one_that_nobody_asked_for_is_not_waited_for() -> None:
    unknown = compared(1000, coverage=())
    assert in_shadow(168, unknown).reason == "CoverageNotReached"
    other = replace(unknown, coverage=(Coverage(dimension="cluster", pairs=1000, classes=9, once=0, twice=0),))
    assert in_shadow(168, other).reason == "CoverageNotReached", "near-duplicates are told and decide nothing"
    anything = replace(PLAN, shadow=replace(PLAN.shadow, coverage=0.0))
    assert in_shadow(168, unknown, anything).reason == "ShadowPassed"


def test_a_shadow_whose_harm_is_shown_is_rejected_at_any_look() -> None:
    decision = in_shadow(0.1, ShadowEvidence(pairs=60, candidate_only=25, stable_only=1))
    assert (decision.verb, decision.reason) == (Verb.REJECT, "ShadowHarm")
    assert decision.sentence.startswith("any check: 25 pairs fail only on the candidate and 1 only where stable answered a second time; ")
    assert decision.sentence.endswith(" >= 1/alpha = 20; no user saw it")


def fence(harms: bool, *classes: ClassTally) -> FieldEvidence:
    whole = ClassTally(
        input_class="", candidate_only=sum(c.candidate_only for c in classes), stable_only=sum(c.stable_only for c in classes)
    )
    counts = {"candidate": whole.candidate_only + 2, "stable": whole.stable_only + 2}
    return FieldEvidence(field="change:fence_added", harms=harms, pairs=250, **counts, tallies=(whole, *classes))


GERMAN = ClassTally(input_class="none · none · de · to 256", candidate_only=40, stable_only=0)
ENGLISH = ClassTally(input_class="none · none · en · to 256", candidate_only=20, stable_only=45)


def test_a_rejection_names_the_field_and_the_inputs_that_it_is_in() -> None:
    found = compared(1000, fields=(fence(True, GERMAN, ENGLISH),))
    decision = in_shadow(0.1, found)
    assert (decision.verb, decision.reason) == (Verb.REJECT, "ShadowHarm")
    assert decision.sentence.startswith(
        "fence_added in requests with `language de, length to 256`: there in 40 pairs only on the candidate, and in 0 only where stable "
        "answered a second time; fence_added alone: E = "
    ), "over all inputs together 60 against 45 are next to nothing"
    held = replace(shadowing(0.1), held=Held(reason="HeldByHuman", by="ada", since_at=START))
    assert decide(held, Evidence(rollout="ro_1", shadow=found), START).verb is Verb.REJECT, "also while a human holds it"


def test_a_change_that_is_no_harm_by_the_plan_is_told_and_ends_nothing() -> None:
    decision = in_shadow(168, compared(1000, fields=(fence(False, GERMAN),)))
    assert (decision.verb, decision.reason) == (Verb.ADVANCE, "ShadowPassed")
    assert "beyond the noise floor, and no harm by the plan: fence_added" in decision.sentence


def test_what_stable_does_to_itself_as_often_is_no_harm() -> None:
    """The noise floor: 40 of the candidate's answers differ so, and 40 of stable's own second ones."""
    assert in_shadow(168, compared(1000, fields=(fence(True, replace(GERMAN, stable_only=40)),))).reason == "ShadowPassed"


def test_a_suspicion_in_the_shadow_holds_and_lets_it_neither_pass_nor_be_rejected() -> None:
    said: dict[tuple[Verb, str], list[float]] = {}
    for events in range(0, 40):
        decision = in_shadow(168, compared(1000, candidate_only=events))
        said.setdefault((decision.verb, decision.reason), []).append(decision.numbers.get("log_e", 0.0))
    assert list(said) == [(Verb.ADVANCE, "ShadowPassed"), (Verb.HOLD, "ShadowHarmSuspected"), (Verb.REJECT, "ShadowHarm")]
    suspected = said[Verb.HOLD, "ShadowHarmSuspected"]
    assert math.log(10) <= min(suspected) <= max(suspected) < math.log(20)
    held = next(n for n in range(40) if in_shadow(168, compared(1000, candidate_only=n)).reason == "ShadowHarmSuspected")
    late = in_shadow(336, compared(1000, candidate_only=held))
    assert (late.verb, late.reason) == (Verb.NOT_PROVED, "LimitReached"), "and a shadow that ends in doubt has proved nothing"


# ── baseline and approval ────────────────────────────────────────────────────────────────────────────────────────────


FINE_SLICE = Slice(name="overall", cases=50, stable=1.0, candidate=1.0, difference=0.0, low=-0.04, high=0.04, p_value=1.0)
HARMED_SLICE = replace(FINE_SLICE, candidate=0.5, difference=-0.5, low=-0.7, high=-0.3, p_value=1e-7, lost=30, harmed=True)


@pytest.mark.parametrize(
    ("found", "verb", "reason"),
    [
        (None, Verb.HOLD, "NoBaseline"),
        (BaselineEvidence(cases=0, pending=0), Verb.HOLD, "NoBaseline"),
        (BaselineEvidence(cases=50, pending=1, confirmed=(flip("ca_1"),)), Verb.HOLD, "BaselineRunning"),
        (BaselineEvidence(cases=50, pending=0, errors=1, confirmed=(flip("ca_1"),)), Verb.REJECT, "ConfirmedNegativeFlips"),
        (BaselineEvidence(cases=50, pending=0, errors=1), Verb.HOLD, "BaselineInconclusive"),
        (BaselineEvidence(cases=50, pending=0, never_right=50), Verb.HOLD, "BaselineInconclusive"),
        (BaselineEvidence(cases=50, pending=0, never_right=49, positive=9), Verb.ADVANCE, "BaselinePassed"),
        (BaselineEvidence(cases=50, pending=0, overall=HARMED_SLICE), Verb.REJECT, "SliceHarmed"),
        (BaselineEvidence(cases=50, pending=0, overall=FINE_SLICE, slices=(HARMED_SLICE,), errors=1), Verb.REJECT, "SliceHarmed"),
        (BaselineEvidence(cases=50, pending=40, refused=(RefusedShape(shape="tools", said="no", cases=9),)), Verb.REJECT, "RequestRefused"),
        (BaselineEvidence(cases=50, pending=0, errors=50), Verb.HOLD, "BaselineCouldNotRun"),
        (BaselineEvidence(cases=50, pending=9, over_budget=True), Verb.HOLD, "BaselineBudget"),
        (BaselineEvidence(cases=50, pending=0, left_script=("ca_1",)), Verb.HOLD, "LeftScript"),
        (BaselineEvidence(cases=50, pending=0, overall=FINE_SLICE, changes={"reworded": 20}, reworded=20), Verb.ADVANCE, "BaselinePassed"),
    ],
)
def test_what_a_baseline_leads_to(found: BaselineEvidence | None, verb: Verb, reason: str) -> None:
    decision = decide(opened(phase=Phase.BASELINE), Evidence(rollout="ro_1", baseline=found), START)
    assert (decision.verb, decision.reason) == (verb, reason)


def test_a_lost_prompt_ends_a_rollout_also_while_a_human_holds_it() -> None:
    """flagger #1801: a breach while waiting is acted on."""
    held = opened(phase=Phase.BASELINE, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    found = BaselineEvidence(cases=50, pending=0, confirmed=(flip("ca_1"),))
    assert decide(held, Evidence(rollout="ro_1", baseline=found), START).verb is Verb.REJECT


STALE = BaselineEvidence(cases=50, pending=9, stale=("it was frozen 31 days ago; the limit is 30d",))


def test_a_new_rollout_waits_for_a_fresh_baseline_or_is_only_warned_as_the_plan_says() -> None:
    waits, stale = opened(phase=Phase.PROPOSED), Evidence(rollout="ro_1", baseline=STALE)
    decision = decide(waits, stale, START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "BaselineStale")
    assert decision.sentence == (
        "the baseline is stale: it was frozen 31 days ago; the limit is 30d; o@example.com freezes a fresh one: "
        "`detent baseline freeze summarizer`"
    )
    warned = replace(waits, plan=replace(waits.plan, baseline=replace(waits.plan.baseline, on_stale="warn")))
    assert decide(warned, stale, START).reason == "Opened"


def test_a_rollout_that_has_begun_ends_on_the_set_that_it_began_with() -> None:
    begun = opened(phase=Phase.BASELINE)
    assert begun.plan.baseline.on_stale == "wait"
    found = STALE
    assert decide(begun, Evidence(rollout="ro_1", baseline=found), START).reason == "BaselineRunning"
    assert decide(begun, Evidence(rollout="ro_1", baseline=replace(found, pending=0)), START).verb is Verb.ADVANCE


def test_a_loss_on_a_stale_baseline_is_a_loss() -> None:
    found = replace(STALE, pending=0, confirmed=(flip("ca_1"),))
    assert decide(opened(phase=Phase.BASELINE), Evidence(rollout="ro_1", baseline=found), START).verb is Verb.REJECT


@pytest.mark.parametrize(
    ("stage", "rollout", "evidence"),
    [
        ("baseline", opened(), Evidence(rollout="ro_1")),
        ("shadow", opened(phase=Phase.BASELINE), Evidence(rollout="ro_1", baseline=BaselineEvidence(cases=9, pending=0))),
        ("canary", shadowing(200), Evidence(rollout="ro_1", shadow=compared(200))),
        ("soak", in_canary(step=2, hours=60), FINE),
    ],
)
def test_a_stage_that_needs_a_yes_waits_for_exactly_that_one(stage: str, rollout: Rollout, evidence: Evidence) -> None:
    asked = replace(rollout, plan=replace(rollout.plan, approve=("baseline", "shadow", "canary", "soak")))
    others = tuple(s for s in asked.plan.approve if s != stage)
    decision = decide(replace(asked, approved=others), evidence, START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "AwaitingApproval")
    assert f"{stage} waits for a human yes: `detent approve ro_1`" in decision.sentence
    assert decide(replace(asked, approved=(stage,)), evidence, START).verb in (Verb.ADVANCE, Verb.PROMOTE)


# ── humans ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_abort_counts_also_after_a_promotion_was_asked_for() -> None:
    """argo #4461: abort ignored after a full-promotion request."""
    promoted = HUMAN_VERBS["promote"](in_canary(step=2, hours=96), "ada", "", START)
    assert promoted.phase is Phase.SOAK
    assert decide(promoted, seen(HARMED), START).verb is Verb.ROLL_BACK
    aborted = HUMAN_VERBS["abort"](promoted, "ada", "", START)
    assert (aborted.phase, aborted.split) == (Phase.ABORTED, 0.0)


@pytest.mark.parametrize(
    ("evidence", "against"),
    [
        (seen(HARMED), "tool_retry: 150 of 1000"),
        (seen(SUSPICIOUS), "harm suspected in tool_retry"),
        (UNBALANCED, "do not fit the split"),
        (replace(FINE, identity_violations=("x",)), "the provider moved under the experiment: x"),
        (FINE, None),
        (Evidence(rollout="ro_1"), None),
    ],
)
def test_what_no_humans_word_outweighs(evidence: Evidence, against: str | None) -> None:
    held = in_canary(hours=50, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    ended = replace(held, phase=Phase.NOT_PROVED, split=0.0, held=None)
    for rollout in (held, ended):
        said = objection(rollout, evidence, START)
        assert (said is None) if against is None else (said is not None and against in said)


# ── the way back ─────────────────────────────────────────────────────────────────────────────────────────────────────

BROKEN = WayBack(route="summarizer", version=STABLE, broken="its last 3 probes failed, the newest with: HTTP 500")
UNKNOWN = WayBack(route="summarizer", version=STABLE, unknown="it was never probed")
PROVEN_BACK = WayBack(route="summarizer", version=STABLE, proven_at=START)


@pytest.mark.parametrize(
    ("rollout", "evidence", "otherwise"),
    [
        (in_canary(step=0, hours=60), FINE, Verb.ADVANCE),
        (in_canary(step=2, hours=60, looks=(PROVED,)), FINE, Verb.PROMOTE),
        (in_soak(hours=400), FINE, Verb.FINISH),
    ],
)
def test_nothing_moves_on_from_a_version_that_could_not_take_the_traffic_back(
    rollout: Rollout, evidence: Evidence, otherwise: Verb
) -> None:
    """Also not at the end of a soak: that moves the last 5 % off the old version."""
    for way_back in (None, UNKNOWN, PROVEN_BACK):
        assert decide(rollout, replace(evidence, way_back=way_back), START).verb is otherwise
    decision = decide(rollout, replace(evidence, way_back=BROKEN), START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "WayBackBroken")
    assert decision.sentence == f"the way back to {STABLE} is broken: its last 3 probes failed, the newest with: HTTP 500"
    held = after(rollout, decision, START)
    assert held.held is not None
    assert (held.held.reason, held.split) == ("WayBackBroken", rollout.split)


def test_a_canary_does_not_begin_without_a_way_back() -> None:
    shadow = opened(phase=Phase.SHADOW, entered_at=START - 400 * HOUR, approved=("canary",))
    evidence = Evidence(rollout="ro_1", shadow=compared(1000))
    assert decide(shadow, evidence, START).verb is Verb.ADVANCE
    assert decide(shadow, replace(evidence, way_back=BROKEN), START).reason == "WayBackBroken"
    baseline = replace(shadow, phase=Phase.BASELINE)
    assert decide(baseline, replace(evidence, way_back=BROKEN), START).reason != "WayBackBroken", "nobody meets it before"


def test_a_broken_way_back_hides_no_harm() -> None:
    for rollout in (in_canary(hours=1), in_soak(hours=1)):
        assert decide(rollout, replace(seen(HARMED), way_back=BROKEN), START).reason == "GuardHarmed"
    void = replace(FINE, way_back=BROKEN, identity_violations=("x",))
    assert decide(in_canary(hours=1), void, START).verb is Verb.VOID


def test_no_clock_alone_moves_traffic_to_a_version_that_does_not_answer() -> None:
    """Trap: at_most means "stable serves". While stable is down that would be an outage made by a timer."""
    late = in_canary(step=1, hours=24 * 15)
    assert decide(late, FINE, START).verb is Verb.NOT_PROVED
    assert decide(late, replace(FINE, way_back=BROKEN), START).reason == "WayBackBroken"


def test_a_persons_word_outweighs_a_broken_way_back() -> None:
    """Where stable's provider is down for good, going on may be the only way out; it takes a name and a reason."""
    assert objection(in_canary(hours=50), replace(FINE, way_back=BROKEN), START) is None


def test_a_trial_of_a_version_against_itself_has_no_way_back_to_wait_for() -> None:
    trial = in_canary(hours=60, aa=True)
    assert decide(trial, replace(FINE, way_back=BROKEN), START).reason != "WayBackBroken"


def test_in_a_freeze_nothing_moves_on_and_harm_acts() -> None:
    plan = replace(PLAN, freeze=(f"{START:%Y-%m-%d}/{START:%Y-%m-%d}",))
    ready = in_canary(hours=60, plan=plan)
    assert decide(ready, FINE, START).reason == "Frozen"
    assert decide(ready, FINE, START + 24 * HOUR).verb is Verb.ADVANCE
    assert decide(ready, seen(HARMED), START).verb is Verb.ROLL_BACK


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_order_of_precedence_is_the_designs() -> None:
    # design 6: harm > identity violated > human hold > sample-ratio alarm > approval > time > samples > proof
    names = [row.name for row in PRECEDENCE]
    order = ["ended", "harm", "identity", "human hold", "sample ratio", "way back broken", "stage"]
    assert [name for name in names if name in order] == order


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal])
def test_what_has_ended_stays_ended_whatever_is_seen(phase: Phase) -> None:
    """argo #1329, #2158: each end keeps its own name."""
    rollout = replace(in_canary(hours=60), phase=phase, split=0.0, reason="Why: so")
    for evidence in (FINE, seen(HARMED), replace(FINE, identity_violations=("x",))):
        decision = decide(rollout, evidence, START + 1000 * HOUR)
        assert (decision.verb, decision.reason, decision.look) == (Verb.HOLD, "Ended", None)
        assert decision.sentence == f"the rollout ended as {phase}: Why: so"


def test_every_decision_of_a_plan_with_short_windows_says_so() -> None:
    plan = replace(PLAN, unsafe_short_windows=True)
    assert decide(in_canary(plan=plan), FINE, START).unsafe_short_windows
    assert not decide(in_canary(), FINE, START).unsafe_short_windows


def test_the_limit_of_a_canary_and_of_a_shadow_counts_time_served_and_no_clock() -> None:
    """A controller's host whose clock jumps a day ahead, or a server that was off, ends nothing; served in full, it does."""
    day = 86_400.0
    canary = replace(in_canary(hours=0), watched_s=PLAN.canary.at_most - day, canary_watched_s=0.0)
    shadow = replace(in_canary(hours=0), phase=Phase.SHADOW, watched_s=PLAN.shadow.at_most - day, entered_watched_s=0.0, canary_at=None)
    for rollout in (canary, shadow):
        later = START + timedelta(days=99)
        assert decide(rollout, seen(), later).reason != "LimitReached"
        assert rollout.watched_s is not None
        assert decide(replace(rollout, watched_s=rollout.watched_s + day), seen(), START).reason == "LimitReached"
