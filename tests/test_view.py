"""What the rules read of evidence: guards on values and on what the app says, guards without data, and guards that cannot be computed."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from random import Random
from statistics import NormalDist
from typing import Any

import pytest

from canaries import FINE, HARMED, PROVED, START, counted, in_canary, in_soak, seen, usual
from detent.decide import decide, objection
from detent.guarding import unequally_known
from detent.stats.sketch import bucket
from detent.terms import (
    CanaryStage,
    DeclaredMetric,
    Evidence,
    Exposure,
    Guard,
    GuardEvidence,
    Phase,
    Plan,
    Rollout,
    ValueTally,
    Verb,
    Working,
)
from detent.transitions import LEARNED_FROM, after, flag_for, learnable, learned
from detent.view import View, look_in_s
from playbook import HONEST, PLAN, STABLE

LATENCY = Guard(metric="latency", margin_ratio=1.25, tolerance_ratio=1.05)
TOKENS = Guard(metric="output_tokens", margin_ratio=1.2, tolerance_ratio=1.05)
NORMAL = NormalDist()
SECONDS = [math.exp(0.55 * NORMAL.inv_cdf((k + 0.5) / 200)) for k in range(200)]
"""Lognormal, as in statistics 3.4, around 1 s: 200 values that are equally likely."""

P50, P90, P99 = SECONDS[99], SECONDS[179], SECONDS[197]
USUAL_SECONDS = Working(thresholds=(P50, P90, P99), units=1000)


def planned(*guards: Guard) -> Plan:
    return replace(PLAN, guards=(*PLAN.guards, *guards))


def took(
    candidate: int, stable: int, *, slower: float = 1.0, metric: str = "latency", period: int = 1, split: float = 0.05
) -> GuardEvidence:
    """So many units of either arm, the candidate's `slower` times as slow."""
    return GuardEvidence(metric=metric, values=(tally(candidate, stable, slower, period, split),))


def tally(candidate: int, stable: int, slower: float, period: int = 1, split: float = 0.05) -> ValueTally:
    def spread(n: int, factor: float) -> dict[int, int]:
        found: Counter[int] = Counter()
        for seconds in SECONDS:
            found[bucket(seconds * factor)] += n // len(SECONDS)
        return dict(found)

    return ValueTally(period=period, split=split, candidate=spread(candidate, slower), stable=spread(stable, 1.0))


def with_latency(found: GuardEvidence, *, known: Working | None = USUAL_SECONDS, **more: Any) -> tuple[Rollout, Evidence]:
    working = usual(HONEST) | ({"latency": known} if known else {})
    return in_canary(hours=1, plan=planned(LATENCY), working=working, **more), replace(FINE, guards=(*FINE.guards, found))


# ── values ──


def test_a_slower_candidate_is_rolled_back_with_its_percentiles() -> None:
    rollout, evidence = with_latency(took(4000, 76_000, slower=1.6))
    decision = decide(rollout, evidence, START)
    assert (decision.verb, decision.reason) == (Verb.ROLL_BACK, "GuardHarmed")
    found = re.fullmatch(
        r"latency: P50 (\S+), P90 (\S+), P99 (\S+) of 4000 units on the candidate against "
        r"P50 (\S+), P90 (\S+), P99 (\S+) of 76000 units on stable; E = \S+ >= 1/alpha = 20, "
        r"all guards together \(latency alone: \S+\)",
        decision.sentence,
    )
    assert found is not None
    assert [float(x) for x in found.groups()] == pytest.approx([1.6 * P50, 1.6 * P90, 1.6 * P99, P50, P90, P99], rel=0.02)


@pytest.mark.parametrize("slower", [0.8, 1.0, 1.04])
def test_a_candidate_that_is_as_quick_or_within_the_tolerance_is_not(slower: float) -> None:
    rollout, evidence = with_latency(took(4000, 76_000, slower=slower))
    assert View(rollout, evidence, START).log_e["latency"] < math.log(10)
    assert decide(rollout, evidence, START).reason == "TimeNotServed"


def test_tokens_are_a_guard_in_both_directions_and_never_a_goal() -> None:
    known = Working(centre=math.log(300.0), deviation=0.5, units=1000)
    for factor, verb in ((1.5, Verb.ROLL_BACK), (1 / 1.5, Verb.ROLL_BACK), (1.0, Verb.HOLD)):
        found = took(4000, 76_000, slower=factor, metric="output_tokens")
        values = tuple(replace(v, candidate=_tokens(v.candidate), stable=_tokens(v.stable)) for v in found.values)
        rollout = in_canary(hours=1, plan=planned(TOKENS), working=usual(HONEST) | {"output_tokens": known})
        assert decide(rollout, replace(FINE, guards=(*FINE.guards, replace(found, values=values))), START).verb is verb, factor


def _tokens(seconds: dict[int, int]) -> dict[int, int]:
    """300 times as many: 1.02^288 = 300."""
    return {at + 288: n for at, n in seconds.items()}


def test_a_value_of_which_nothing_is_known_yet_is_not_bet_on() -> None:
    rollout, evidence = with_latency(took(4000, 76_000, slower=3.0), known=None)
    assert View(rollout, evidence, START).log_e["latency"] == 0.0
    assert decide(rollout, evidence, START).reason == "TimeNotServed"


def test_units_that_a_model_was_measured_on_are_not_judged_by_it() -> None:
    slow, fine = tally(4000, 76_000, 3.0, period=1), tally(4000, 76_000, 1.0, period=2)
    found = GuardEvidence(metric="latency", values=(slow, fine))
    for since, harmed in ((0, True), (2, False)):
        rollout, evidence = with_latency(found, known=replace(USUAL_SECONDS, since=since))
        assert (View(rollout, evidence, START).log_e["latency"] > math.log(20)) is harmed
    rates = replace(HARMED, tallies=HARMED.tallies)
    late = in_canary(hours=1, working={"tool_retry": Working(rate=0.02, since=2)})
    assert decide(late, seen(rates), START).reason == "TimeNotServed"


def test_a_proving_value_needs_its_margin_shown() -> None:
    prove = replace(LATENCY, role="prove")
    for slower, verb in ((1.0, Verb.PROMOTE), (1.25, Verb.HOLD)):
        rollout = in_canary(
            step=2, hours=60, plan=planned(replace(prove, tolerance_ratio=10.0)), working=usual(HONEST) | {"latency": USUAL_SECONDS}
        )
        decision = decide(rollout, replace(FINE, guards=(*FINE.guards, took(4000, 76_000, slower=slower))), START)
        assert decision.verb is verb, decision
        assert decision.look is not None
        assert [at.metric for at in decision.look.guards] == ["error", "parse_error", "latency"]


# ── learned later ──


def test_what_has_no_history_is_learned_from_stables_first_units() -> None:
    few, evidence = with_latency(took(200, 0, slower=9.0), known=None)
    assert learnable(few, evidence) == {}
    rollout, evidence = with_latency(took(200, 2 * LEARNED_FROM, slower=9.0), known=None)
    models = learnable(rollout, evidence)
    assert set(models) == {"latency"}
    assert models["latency"].thresholds == pytest.approx((P50, P90, P99), rel=0.02), "stable's alone: the candidate is nine times as slow"
    moved = learned(rollout, models)
    assert (moved.period, moved.split, moved.working["latency"].since) == (rollout.period + 1, rollout.split, rollout.period + 1)
    assert learnable(moved, evidence) == {}, "once"
    assert moved.working["error"] == rollout.working["error"]
    assert learnable(replace(rollout, phase=Phase.SHADOW), evidence) == {}


def test_a_rate_without_history_is_bet_on_from_the_first_unit() -> None:
    rollout = in_canary(hours=1, working={})
    assert learnable(rollout, FINE) == {}
    assert decide(rollout, seen(HARMED), START).verb is Verb.ROLL_BACK


# ── no data ──

HELPFUL = DeclaredMetric(name="helpful", says="the user found it of no help", silence="good")


def asking_for(metric: str, role: str = "harm") -> Rollout:
    guard = Guard(metric=metric, margin_abs=0.05, role=role)  # type: ignore[arg-type]
    return in_canary(step=2, hours=60, plan=planned(guard), declared={"helpful": HELPFUL}, looks=() if role == "prove" else (PROVED,))


def silence(metric: str) -> GuardEvidence:
    return replace(counted(metric, (0, 4000), (0, 76_000)), candidate_silent=4000, stable_silent=76_000)


@pytest.mark.parametrize("metric", ["thumbs_down", "helpful"])
def test_a_guard_on_what_the_app_never_said_blocks_a_promotion(metric: str) -> None:
    """growthbook #6679: what could not be had was stored as a real zero."""
    for evidence in (FINE, replace(FINE, guards=(*FINE.guards, silence(metric)))):
        decision = decide(asking_for(metric), evidence, START)
        assert (decision.verb, decision.reason) == (Verb.HOLD, "GuardWithoutData")
        assert f"nothing was ever heard of {metric}" in decision.sentence
        assert after(asking_for(metric), decision, START).held is not None, "somebody has to see to it"
        assert decide(asking_for(metric, "prove"), evidence, START).reason == "ProofNotReached"
    heard = replace(silence(metric), candidate_silent=3999, stable_silent=75_981)
    assert decide(asking_for(metric), replace(FINE, guards=(*FINE.guards, heard)), START).verb is Verb.PROMOTE


@pytest.mark.parametrize(("heard", "lost"), [(130, False), (140, True)], ids=["may be luck", "a broken pipe"])
def test_an_arm_that_nothing_is_heard_of_while_the_other_talks_is_no_good_arm(heard: int, lost: bool) -> None:
    """0.95^135 = 0.001: of so many words, all about stable, one in twenty should have been about the candidate."""
    found = replace(silence("thumbs_down"), stable_silent=76_000 - heard)
    decision = decide(asking_for("thumbs_down"), replace(FINE, guards=(*FINE.guards, found)), START)
    assert decision.reason == ("GuardWithoutData" if lost else "Proved")
    proving = decide(asking_for("thumbs_down", "prove"), replace(FINE, guards=(*FINE.guards, found)), START)
    assert proving.reason == "ProofNotReached", "nothing heard of the candidate proves nothing of it"


# ── outcomes that are known of one arm more often than of the other ──


def test_a_candidate_whose_tokens_are_not_reported_is_not_rolled_back_for_them() -> None:
    """Its good units are missing, stable's are not: the bet would take that for evidence (E = 6e47 after two days)."""
    rollout, evidence = with_latency(took(0, 76_000))
    decision = decide(rollout, evidence, START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "TimeNotServed")
    assert View(rollout, evidence, START).log_e["latency"] == 0.0


def test_outcomes_known_of_half_the_candidates_units_fail_the_guard_and_nothing_else() -> None:
    rollout, evidence = with_latency(took(2000, 4000, split=0.5))
    view = View(rollout, evidence, START)
    assert "known of 2000 candidate and 4000 stable units" in view.failed["latency"]
    assert view.log_e["latency"] == 0.0
    assert decide(rollout, evidence, START).reason == "GuardFailed"
    assert decide(rollout, replace(evidence, guards=(HARMED, evidence.guards[-1])), START).verb is Verb.ROLL_BACK


def test_outcomes_missing_by_chance_seldom_fail_a_guard() -> None:
    """5,000 units at 5 %, a tenth of all unknown, looked at 50 times: the e-process stays below 100 in all but 1 % of rollouts."""
    random, failed = Random(5), 0
    for _ in range(200):
        candidate, stable, ever = 0, 0, False
        for _ in range(50):
            drawn = sum(random.random() < 0.05 for _ in range(90))
            candidate, stable = candidate + drawn, stable + 90 - drawn
            ever = ever or bool(unequally_known(counted("error", (0, candidate), (0, stable))))
        failed += ever
    assert failed <= 4


def test_what_was_said_and_could_not_be_read_does_apply_and_is_no_good_news() -> None:
    unread = GuardEvidence(metric="keys_missing", candidate_unscored=4000, stable_unscored=76_000)
    rollout = in_canary(step=2, hours=60, plan=planned(Guard(metric="keys_missing", margin_ratio=1.5)))
    assert decide(rollout, replace(FINE, guards=(*FINE.guards, unread)), START).reason == "GuardWithoutData"


def test_it_ends_as_not_proved_if_nothing_is_ever_heard() -> None:
    late = replace(asking_for("thumbs_down"), canary_at=START - 30 * (START - in_canary(hours=24).entered_at))
    decision = decide(late, FINE, START)
    assert (decision.verb, decision.reason) == (Verb.NOT_PROVED, "LimitReached")
    assert "nothing was ever heard of thumbs_down" in decision.sentence


def test_a_guard_on_what_this_traffic_never_has_is_told_and_blocks_nothing() -> None:
    rollout = in_canary(step=2, hours=60, plan=planned(Guard(metric="keys_missing", margin_ratio=1.5)))
    decision = decide(rollout, FINE, START)
    assert decision.verb is Verb.PROMOTE
    assert decision.sentence.endswith("does not apply to this traffic so far: keys_missing")


def test_silence_that_counts_as_failure_proves_nothing_of_anybody() -> None:
    """An arm none of whose legs has ended is a hang, and two arms that hang alike are no proof of anything."""
    hung = replace(counted("error", (2000, 4000), (38_000, 76_000)), candidate_silent=4000, stable_silent=76_000)
    assert decide(in_canary(step=2, hours=60), replace(FINE, guards=(hung, *FINE.guards[1:])), START).reason == "ProofNotReached"


# ── guards that cannot be computed ──

IMPOSSIBLE = counted("parse_error", (9, 3), (0, 10))


def test_a_guard_that_cannot_be_computed_blocks_proof_and_says_why() -> None:
    evidence = replace(FINE, guards=(FINE.guards[0], IMPOSSIBLE, FINE.guards[2]))
    for rollout in (in_canary(hours=60), in_canary(step=2, hours=60, looks=(PROVED,)), in_soak(hours=400)):
        decision = decide(rollout, evidence, START)
        assert (decision.verb, decision.reason, decision.look) == (Verb.HOLD, "GuardFailed", None)
        assert (
            decision.sentence == "could not be computed: parse_error (candidate events lie between 0 and its units in period 1: `9 of 3`)"
        )


def test_nor_does_it_hide_harm_in_another() -> None:
    evidence = seen(HARMED, IMPOSSIBLE)
    assert decide(in_canary(), evidence, START).verb is Verb.ROLL_BACK
    assert objection(in_canary(), evidence, START) is not None


@pytest.mark.parametrize("error", [ValueError("bad"), ZeroDivisionError("bad"), RuntimeError("bad")])
def test_whatever_keeps_a_test_from_its_number_is_a_value_here(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*args: Any, **more: Any) -> Any:
        raise error

    monkeypatch.setattr("detent.guarding.non_inferiority", fails)
    view = View(in_canary(step=2, hours=60), FINE, START)
    assert view.failed == {"error": "bad", "parse_error": "bad"}
    assert view.proofs == {"error": None, "parse_error": None}
    assert view.log_e["tool_retry"] != 0.0, "the others are tested all the same"
    assert decide(in_canary(step=2, hours=60, looks=(PROVED,)), FINE, START).reason == "GuardFailed"


@pytest.mark.parametrize("log_e", [math.nan])
def test_a_number_that_is_none_is_not_averaged(monkeypatch: pytest.MonkeyPatch, log_e: float) -> None:
    monkeypatch.setattr("detent.guarding.log_e_restaked", lambda *args: log_e)
    view = View(in_canary(), FINE, START)
    assert set(view.failed.values()) == {"its e-value is not a number"}
    assert view.log_e_all == 0.0


def test_a_metric_that_nobody_knows_fails() -> None:
    """flagger #1581: a misspelled metric silently passes."""
    rollout = in_canary(step=2, hours=60, plan=planned(Guard(metric="thumps_down", margin_ratio=1.5)), looks=(PROVED,))
    assert decide(rollout, FINE, START).sentence == "could not be computed: thumps_down (no such metric: `thumps_down`)"


def test_a_working_model_that_cannot_be_fails_too() -> None:
    rollout, evidence = with_latency(took(200, 3800), known=Working(thresholds=(3.0, 2.0, 1.0)))
    assert decide(rollout, evidence, START).reason == "GuardFailed"


def test_at_the_limit_a_failed_guard_is_what_is_said() -> None:
    evidence = replace(FINE, guards=(FINE.guards[0], IMPOSSIBLE, FINE.guards[2]))
    decision = decide(in_canary(step=2, hours=14 * 24, looks=(PROVED,)), evidence, START)
    assert decision.verb is Verb.NOT_PROVED
    assert "could not be computed" in decision.sentence


# ── the control slice ──


@pytest.mark.parametrize(("split", "control"), [(0.05, 0.05), (0.25, 0.25), (0.5, 0.5), (0.95, 0.05)])
def test_a_plan_with_a_control_slice_tells_gateways_its_share(split: float, control: float) -> None:
    plan = replace(PLAN, canary=CanaryStage(control=True))
    flag = flag_for(replace(in_canary(plan=plan), split=split), flag_of())
    assert flag.control == pytest.approx(control)
    assert flag_for(replace(in_canary(), split=split), flag_of()).control == 0.0, "no plan asked for one"
    assert flag_for(replace(in_canary(plan=plan), phase=Phase.SHADOW, split=0.0), flag_of()).control == 0.0


def flag_of() -> Any:
    from detent.terms import Flag

    return Flag(route="summarizer", revision=1, stable=STABLE)


# ── a version against itself ──


def against_itself(hours: float, **more: Any) -> Rollout:
    return in_canary(step=2, hours=hours, aa=True, candidate=STABLE, **more)


def test_a_version_against_itself_ends_when_its_steps_are_served_and_says_what_the_tests_said() -> None:
    assert decide(against_itself(23), FINE, START).reason == "TimeNotServed"
    decision = decide(against_itself(60), FINE, START)
    assert (decision.verb, decision.reason) == (Verb.FINISH, "AAServed")
    assert decision.sentence.startswith("both arms are the same version: every step served without a false alarm, E = ")
    assert decision.sentence.endswith("; proved at look 1")
    assert decide(against_itself(60), Evidence(rollout="ro_1", exposure=FINE.exposure), START).sentence.endswith("not proved at 0 looks")
    assert after(against_itself(60), decision, START).phase is Phase.DONE


def test_an_alarm_over_a_version_against_itself_is_said_to_be_false() -> None:
    decision = decide(against_itself(1), seen(HARMED), START)
    assert decision.verb is Verb.ROLL_BACK
    assert decision.sentence.endswith("; a false alarm, since both arms are the same version")


def test_without_units_it_waits_for_them() -> None:
    empty = Evidence(rollout="ro_1", exposure=(Exposure(period=1, split=0.05, candidate=0, stable=0),))
    assert decide(against_itself(60), empty, START).reason == "TooFewUnits"
    assert look_in_s(against_itself(60), START) is not None
