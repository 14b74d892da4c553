"""Error rates and delays on simulated traffic: what statistics.md promises, measured on the code that decides.

The simulations are those of bench/stats.py, which prints the whole table with more runs. Ceilings are the bars of statistics 4 and the
figures of its section 3; a few hundred seeded runs leave room for noise of the size said at each line.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import benches


@pytest.fixture(scope="module")
def bench() -> Any:
    return benches.bench("stats")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2026)


# ── harm ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_672_looks_at_an_unchanged_candidate_alarm_in_less_than_one_of_twenty(bench: Any, rng: np.random.Generator) -> None:
    # 3.1: 2.3 % (standard error .5 at 1,000 runs); with a daily cycle 3.8 % (3.2)
    steady = bench.false_share(bench.alarms_on(rng, 1000, 0.005, 0.005))
    cycle = bench.day_cycle(0.02)
    cycling = bench.false_share(bench.alarms_on(rng, 1000, cycle, cycle))
    assert 0.005 < steady <= 0.05
    assert 0.005 < cycling <= 0.05


def test_a_ramp_during_a_drift_condemns_nobody_unless_periods_are_pooled(bench: Any, rng: np.random.Generator) -> None:
    # 3.6: label bet 2.3 %, one pooled z-test at 48 h 100 %
    bet, pooled = bench.ramp_alarms(rng, 500)
    assert bet <= 0.05
    assert pooled == 1.0


@pytest.mark.parametrize(
    ("base", "candidate", "most"),
    [(0.005, 0.015, 650), (0.02, 0.03, 1500), (0.04, 0.06, 720), (0.12, 0.15, 830)],
    ids=["parse error", "thumbs-down", "retry", "abandonment"],
)
def test_harm_is_found_within_the_median_of_the_bars(
    bench: Any, rng: np.random.Generator, base: float, candidate: float, most: int
) -> None:
    # bar 2, with the 5 % for noise that section 4 allows; the stake kept back for late harm costs 3 % of it
    alarms = bench.alarms_on(rng, 1500, base, candidate)
    assert np.median(alarms) <= 1.05 * most
    assert bench.false_share(alarms) >= 0.95  # 3.1: power within 48 h is 96 to 100 %


def test_seven_guards_together_keep_the_promise_of_one(bench: Any, rng: np.random.Generator) -> None:
    # 3.9: 3.1 % (standard error .9 at 400 runs) against 20.8 % for seven tests at 5 % each
    assert bench.false_share(bench.family_alarms(rng, 400)) <= 0.05
    assert bench.false_share(bench.family_alarms(rng, 400, moving=True)) <= 0.05


def test_a_wholly_failing_candidate_ends_within_seven_units(bench: Any, rng: np.random.Generator) -> None:
    # bar 3, evaluated per unit
    assert np.quantile(bench.failing_alarms(rng, 2000, 0.01), 0.9) <= 7
    assert np.quantile(bench.failing_alarms(rng, 2000, 0.001), 0.9) <= 9


def test_ten_shadow_fields_watched_live(bench: Any, rng: np.random.Generator) -> None:
    # 3.11: 1.1 % for ten unchanged fields; one field 5 -> 10 % always found
    assert bench.shadow_flagged(rng, 300, 0.05, fields=10) <= 0.05
    assert bench.shadow_flagged(rng, 300, 0.10, fields=1) >= 0.99


# ── tokens, seconds, users who come back ────────────────────────────────────────────────────────────────────────────


def test_longer_and_runaway_answers_are_found_within_the_median_of_the_bars(bench: Any, rng: np.random.Generator) -> None:
    # bar 2: 550 for tokens alone, 660 and 260 with the bet on the limit beside it; 3.3 has 520, 647 and 219. Standard error 5 % at 200 runs
    bets, usual = bench.value_bets, bench.value_bets.tokens()
    both = [bets.tokens_bet(), bets.limit_bet()]
    assert np.median(bets.alarms(rng, 200, usual, bets.tokens(1.12), both[:1])) <= 1.1 * 550
    assert np.median(bets.alarms(rng, 200, usual, bets.tokens(1.12), both)) <= 1.1 * 660
    assert np.median(bets.alarms(rng, 200, usual, bets.tokens(runaway=0.03), both)) <= 1.1 * 260
    assert bench.false_share(bets.alarms(rng, 200, usual, usual, both)) <= 0.065  # 3.3: 3.0 %, standard error 1.2


def test_a_slow_tail_and_slowness_all_over_are_found_within_the_median_of_the_bars(bench: Any, rng: np.random.Generator) -> None:
    # bar 2: 470 and 440 for the three bets; 3.4 has 463 and 394, and 3.1 % false alarms where all latency swings over the day
    bets, usual = bench.value_bets, bench.value_bets.seconds()
    three = [bets.seconds_bet()]
    assert np.median(bets.alarms(rng, 200, usual, bets.seconds(slow=0.053), three)) <= 1.1 * 470
    assert np.median(bets.alarms(rng, 200, usual, bets.seconds(1.1), three)) <= 1.1 * 440
    assert bench.false_share(bets.alarms(rng, 200, usual, usual, three, swing=0.3)) <= 0.065


def test_a_user_bets_once_however_often_they_come_back(bench: Any, rng: np.random.Generator) -> None:
    # 2.1: at a nominal 5 % a bet a session with a sticky label alarms in 11.8 %, with a fresh label in 1.5 %
    found = bench.value_bets.returning(rng, 400)
    assert found.per_user <= 0.05
    assert found.fresh <= 0.05
    assert found.per_session == pytest.approx(0.118, abs=0.05)


# ── the default plan, through the controller's own decisions ────────────────────────────────────────────────────────


def test_a_harmless_candidate_is_proved_at_the_first_look_and_promoted_at_the_end_of_the_ramp(bench: Any, rng: np.random.Generator) -> None:
    found = bench.default_plan.outcomes(rng, 3)
    assert (found.proved_first, found.promoted_soonest, found.promoted, found.rolled_back) == (1.0, 1.0, 1.0, 0.0)


@pytest.mark.parametrize(("metric", "ratio"), [("keys_missing", 3.0), ("latency", 1.5), ("output_tokens", 0.7)])
def test_harm_in_one_default_guard_ends_the_rollout_within_hours(bench: Any, rng: np.random.Generator, metric: str, ratio: float) -> None:
    simulated = bench.default_plan.Simulation(rng, worse={metric: ratio})
    assert simulated.run().rolled_back
    assert simulated.hour <= 24
    assert simulated.view().culprit.metric == metric


def test_the_array_form_of_the_simulation_is_what_the_controller_computes(bench: Any, rng: np.random.Generator) -> None:
    simulated = bench.default_plan.Simulation(rng)
    while simulated.rollout.period < 3:
        simulated.go_on()
    simulated.go_on()
    assert simulated.log_e[-1] == pytest.approx(simulated.view().log_e_all, rel=1e-9)


# ── sample ratio ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kept_ratio_never_alarms_and_a_lost_tenth_does(bench: Any, rng: np.random.Generator) -> None:
    # bar 8: <= .1 % false (3.8: .04 %; 1,500 runs may show one), 4.5 % instead of 5 % within 56,000 units in 90 % of cases
    assert bench.false_share(bench.sample_ratio_alarms(rng, 1500, 0.05)) <= 0.001
    assert np.quantile(bench.sample_ratio_alarms(rng, 500, 0.045), 0.9) <= 1.05 * 56_000


# ── proof ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("per_hour", [20.0, 100.0, 1000.0])
def test_a_candidate_worse_by_the_margin_is_seldom_promoted_over_six_looks(bench: Any, rng: np.random.Generator, per_hour: float) -> None:
    # bar 4: <= 5 % cumulated (3.5: 3.1 % at 20/h, 3.9 % at 100/h); standard error .2 at 10,000 runs
    assert bench.promoted(rng, 10_000, 1.5, per_hour=per_hour)[1] <= 0.05
    assert bench.promoted(rng, 10_000, 2.0, per_hour=per_hour)[1] <= 0.005


def test_the_ramp_of_the_standard_plan_keeps_the_promise(bench: Any, rng: np.random.Generator) -> None:
    # base rate doubling over the week, boundaries from the information each run had; standard error .7 at 1,000 runs
    assert 0.01 < bench.promoted_on_ramp(rng, 1000, 1.5) <= 0.05 + 0.014


def test_an_unchanged_candidate_is_promoted_when_the_plan_said(bench: Any, rng: np.random.Generator) -> None:
    # 3.5: 55 % at 48 h and 95 % by 168 h at 100/h, 88 % and 99.8 % when 20 % better; standard error .5
    early, late = bench.promoted(rng, 10_000, 1.0)
    assert early == pytest.approx(0.55, abs=0.03)
    assert late == pytest.approx(0.95, abs=0.03)
    early, late = bench.promoted(rng, 10_000, 0.8)
    assert early == pytest.approx(0.88, abs=0.03)
    assert late >= 0.99


# ── prompts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_stages_find_collapsed_prompts_and_accuse_few_others(bench: Any, rng: np.random.Generator) -> None:
    # bar 9; 3.10: 2.3 % false discoveries and 99.8 % found at 2,687 calls for a collapse, 84 % for a half-drop
    collapse = bench.screen_prompts(rng, 200, 10, 0.1)
    assert collapse.fdr <= 0.10
    assert collapse.found >= 0.99
    assert collapse.calls <= 1.05 * 2700
    assert bench.screen_prompts(rng, 200, 10, 0.5).found >= 0.80
    assert bench.screen_prompts(rng, 200, 0, 0.0).flagged <= 0.05
