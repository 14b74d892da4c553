"""Bets on harm: what they are by hand, what never moves them, and that no count breaks them."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from detent.stats.sequential import log_e_average, log_e_paired, log_e_rate, log_e_sample_ratio
from detent.terms import Exposure, Tally

ODDS = (1.15, 1.3, 1.5, 2.0, 3.0, 6.0, 15.0)  # statistics 2.1
WEIGHTS = (0.10, 0.20, 0.25, 0.20, 0.12, 0.08, 0.05)


def tally(candidate: tuple[int, int], stable: tuple[int, int], *, split: float = 0.05, period: int = 1) -> Tally:
    """(events, units) of both arms."""
    return Tally(
        period=period,
        split=split,
        candidate_events=candidate[0],
        candidate_units=candidate[1],
        stable_events=stable[0],
        stable_units=stable[1],
    )


def exposure(candidate: int, stable: int, *, split: float = 0.05, period: int = 1) -> Exposure:
    return Exposure(period=period, split=split, candidate=candidate, stable=stable)


def wealth_unit_by_unit(tallies: list[Tally], p: float) -> float:
    """E as statistics 2.1 words it: one factor per unit, theta(y)/pi or (1-theta(y))/(1-pi), mixed over alternatives at the end."""
    total = 0.0
    for g, w in zip(ODDS, WEIGHTS, strict=True):
        odds = g * p / (1 - p)
        p_j = odds / (1 + odds)
        wealth = w
        for t in tallies:
            pi = t.split
            theta_event = pi * p_j / (pi * p_j + (1 - pi) * p)
            theta_other = pi * (1 - p_j) / (pi * (1 - p_j) + (1 - pi) * (1 - p))
            wealth *= (theta_event / pi) ** t.candidate_events * (theta_other / pi) ** (t.candidate_units - t.candidate_events)
            wealth *= ((1 - theta_event) / (1 - pi)) ** t.stable_events
            wealth *= ((1 - theta_other) / (1 - pi)) ** (t.stable_units - t.stable_events)
        total += wealth
    return total


# ── event rates ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_bet_is_the_product_of_the_units_factors() -> None:
    ramp = [tally((3, 40), (9, 600)), tally((2, 55), (1, 160), split=0.25, period=2), tally((0, 3), (0, 4), split=0.5, period=3)]
    for p in (0.002, 0.02, 0.5, 0.97):
        assert log_e_rate(ramp, p) == pytest.approx(math.log(wealth_unit_by_unit(ramp, p)), abs=1e-9)


@pytest.mark.parametrize(("pi", "p"), list(product((0.01, 0.05, 0.5, 0.95), (0.001, 0.02, 0.3))))
def test_a_fair_label_is_never_worth_betting_on(pi: float, p: float) -> None:
    # The whole guarantee: one unit's expected factor is 1 when both arms have the same rate, whatever that rate is.
    for rate in (0.0005, 0.02, 0.6):
        outcomes = {
            (arm, event): (pi if arm else 1 - pi) * (rate if event else 1 - rate) for arm, event in product((False, True), (False, True))
        }
        expected = sum(
            chance * math.exp(log_e_rate([tally((event if arm else 0, arm), (0 if arm else event, not arm), split=pi)], p))
            for (arm, event), chance in outcomes.items()
        )
        assert expected == pytest.approx(1.0, abs=1e-12)


def test_nothing_seen_says_nothing() -> None:
    assert log_e_rate([], 0.01) == 0.0
    assert log_e_rate([tally((0, 0), (0, 0))], 0.01) == pytest.approx(0.0, abs=1e-12)


def test_a_period_without_a_split_says_nothing() -> None:
    told = [tally((3, 40), (9, 600))]
    for split in (0.0, 1.0):
        assert log_e_rate([*told, tally((500, 500), (0, 500), split=split, period=2)], 0.02) == pytest.approx(log_e_rate(told, 0.02))


def test_a_drift_during_a_ramp_is_no_harm() -> None:
    # Twice the base rate after the split rose fivefold; same rates in both arms. Pooled, the candidate looks 1.3x worse.
    ramp = [tally((40, 4000), (760, 76000)), tally((400, 20000), (1200, 60000), split=0.25, period=2)]
    assert log_e_rate(ramp, 0.01) < 0.0
    pooled = tally((440, 24000), (1960, 136000), split=0.15)
    assert log_e_rate([pooled], 0.01) > math.log(20)


def test_a_candidate_that_only_fails_is_condemned_in_a_handful_of_units() -> None:
    # By hand: the 15-fold alternative turns an event at pi = .05 into a factor of about 15 / 1.7; .05 * 8.8^4 > 100.
    assert log_e_rate([tally((4, 4), (0, 80))], 0.005) > math.log(100)
    assert log_e_rate([tally((1, 1), (0, 20))], 0.005) < math.log(20)


def test_bets_grow_linearly_into_the_millions_without_overflow() -> None:
    all_bad = log_e_rate([tally((5_000_000, 5_000_000), (0, 95_000_000))], 0.005)
    # the best alternative: 15 times the odds; its per-unit factors from statistics 2.1
    p, pi = 0.005, 0.05
    p_j = 15 * p / (1 + 14 * p)
    event, other = pi * p_j / (pi * p_j + (1 - pi) * p), pi * (1 - p_j) / (pi * (1 - p_j) + (1 - pi) * (1 - p))
    expected = math.log(0.05) + 5_000_000 * math.log(event / pi) + 95_000_000 * math.log((1 - other) / (1 - pi))
    assert all_bad == pytest.approx(expected, rel=1e-9)
    assert -1000 < log_e_rate([tally((25_000, 5_000_000), (475_000, 95_000_000))], 0.005) < 0


@given(
    st.integers(0, 5_000_000),
    st.integers(0, 5_000_000),
    st.integers(0, 5_000_000),
    st.integers(0, 5_000_000),
    st.floats(0.0, 1.0),
    st.floats(min_value=1e-300, max_value=1.0, exclude_max=True),
)
def test_no_count_split_or_base_rate_breaks_the_bet(a: int, b: int, c: int, d: int, split: float, base_rate: float) -> None:
    told = tally((min(a, b), max(a, b)), (min(c, d), max(c, d)), split=split)
    assert math.isfinite(log_e_rate([told, told], base_rate))


def test_base_rates_beyond_a_millionth_are_not_known_better() -> None:
    told = [tally((3, 40), (9, 600))]
    assert log_e_rate(told, 1e-12) == log_e_rate(told, 1e-6)
    assert log_e_rate(told, 1 - 1e-12) == log_e_rate(told, 1 - 1e-6)
    assert log_e_rate(told, 1e-5) != log_e_rate(told, 1e-6)


@pytest.mark.parametrize(
    ("told", "base_rate", "said"),
    [
        (tally((3, 2), (0, 5)), 0.1, "candidate events lie between 0 and its units in period 1: `3 of 2`"),
        (tally((0, 2), (-1, 5)), 0.1, "stable events lie between 0 and its units in period 1: `-1 of 5`"),
        (tally((0, 2), (0, -5)), 0.1, "stable events lie between 0 and its units in period 1: `0 of -5`"),
        (tally((0, 2), (0, 5), split=1.2), 0.1, r"a split lies in \[0, 1\]: `1.2`"),
        (tally((0, 2), (0, 5), split=math.nan), 0.1, r"a split lies in \[0, 1\]: `nan`"),
        (tally((0, 2), (0, 5)), 0.0, "a base rate lies between 0 and 1: `0.0`"),
        (tally((0, 2), (0, 5)), 1.0, "a base rate lies between 0 and 1: `1.0`"),
        (tally((0, 2), (0, 5)), math.nan, "a base rate lies between 0 and 1: `nan`"),
    ],
)
def test_impossible_evidence_is_refused_by_value(told: Tally, base_rate: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        log_e_rate([told], base_rate)


# ── averages ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_average_of_guards_is_the_arithmetic_mean_of_their_e_values() -> None:
    assert log_e_average([math.log(6), math.log(2)]) == pytest.approx(math.log(4))
    assert log_e_average([math.log(6), math.log(2)], [0.25, 0.75]) == pytest.approx(math.log(3))
    assert log_e_average([-math.inf, math.log(6)]) == pytest.approx(math.log(3))  # a bankrupt bet is worth 0


def test_the_average_survives_e_values_past_any_float() -> None:
    assert log_e_average([1e6, 0.0]) == pytest.approx(1e6 - math.log(2))
    assert log_e_average([-1e6, -1e6]) == pytest.approx(-1e6)


@pytest.mark.parametrize(
    ("log_es", "weights"),
    [([], None), ([0.0, math.nan], None), ([0.0, 1.0], [1.0]), ([0.0, 1.0], [0.5, 0.4]), ([0.0, 1.0], [1.5, -0.5]), ([0.0], [math.nan])],
)
def test_an_average_of_nothing_or_by_loose_weights_is_refused(log_es: list[float], weights: list[float] | None) -> None:
    with pytest.raises(ValueError, match="e-value"):
        log_e_average(log_es, weights)


# ── shadow pairs ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_shadow_pairs_are_bets_on_a_fair_coin() -> None:
    # statistics 2.1, events only, pi = 1/2 and r0 = 1: factor 2g/(1+g) for the candidate, 2/(1+g) for stable
    by_hand = sum(w * (2 * g / (1 + g)) ** 9 * (2 / (1 + g)) ** 2 for g, w in zip(ODDS, WEIGHTS, strict=True))
    assert log_e_paired(9, 2) == pytest.approx(math.log(by_hand))
    assert log_e_paired(0, 0) == pytest.approx(0.0, abs=1e-12)


def test_a_fair_coin_is_never_worth_betting_on() -> None:
    n = 12
    expected = sum(stats.binom.pmf(k, n, 0.5) * math.exp(log_e_paired(k, n - k)) for k in range(n + 1))
    assert expected == pytest.approx(1.0)


def test_pairs_in_the_millions() -> None:
    assert log_e_paired(5_000_000, 0) == pytest.approx(5_000_000 * math.log(30 / 16), rel=1e-6)
    assert -1e7 < log_e_paired(0, 5_000_000) < -1e4


def test_a_negative_number_of_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="stable_only is a count and not negative: `-3`"):
        log_e_paired(1, -3)


# ── sample ratio ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_sample_ratio_bet_is_a_beta_mixture_of_likelihood_ratios() -> None:
    # statistics 2.4 as an integral: E over q ~ Beta(c pi, c (1-pi)) of (q/pi)^n1 ((1-q)/(1-pi))^n0, by quadrature
    pi, c, n1, n0 = 0.3, 50, 14, 16

    def ratio(q: float) -> float:
        return float(stats.beta.pdf(q, c * pi, c * (1 - pi)) * (q / pi) ** n1 * ((1 - q) / (1 - pi)) ** n0)

    expected, _ = integrate.quad(ratio, 0.0, 1.0)
    assert log_e_sample_ratio([exposure(n1, n0, split=pi)], concentration=c) == pytest.approx(math.log(expected), abs=1e-7)


def test_the_sample_ratio_multiplies_over_share_periods() -> None:
    first, second = exposure(60, 940), exposure(230, 770, split=0.25, period=2)
    both = log_e_sample_ratio([first, second])
    assert both == pytest.approx(log_e_sample_ratio([first]) + log_e_sample_ratio([second]))


def test_a_ratio_as_planned_raises_no_alarm_and_a_lost_tenth_does() -> None:
    assert log_e_sample_ratio([exposure(5_000, 95_000)]) < 0.0
    assert log_e_sample_ratio([exposure(4_500, 95_500)]) > math.log(1000)
    assert log_e_sample_ratio([]) == 0.0
    assert log_e_sample_ratio([exposure(10, 0, split=1.0), exposure(0, 10, split=0.0)]) == 0.0


def test_the_sample_ratio_of_millions_keeps_its_digits() -> None:
    # Laplace's approximation at the planned ratio: E = sqrt(c / (c + N)) where nothing deviates
    assert log_e_sample_ratio([exposure(250_000, 4_750_000)]) == pytest.approx(0.5 * math.log(10_000 / 5_010_000), abs=1e-3)


@pytest.mark.parametrize(
    ("given_", "concentration", "said"),
    [
        (exposure(-1, 5), 10_000.0, "candidate units are a count and not negative: `-1`"),
        (exposure(1, 5, split=-0.1), 10_000.0, r"a split lies in \[0, 1\]: `-0.1`"),
        (exposure(1, 5), 0.0, "a concentration is positive and finite: `0.0`"),
    ],
)
def test_an_impossible_exposure_is_refused_by_value(given_: Exposure, concentration: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        log_e_sample_ratio([given_], concentration)


def test_array_forms_give_what_single_looks_give() -> None:
    from detent.stats.sequential import log_e_rate_of

    ramp = [tally((3, 40), (9, 600)), tally((2, 55), (1, 160), split=0.25, period=2)]
    counts = np.array([[[t.candidate_events, t.candidate_units, t.stable_events, t.stable_units] for t in ramp]] * 3)
    together = log_e_rate_of(*np.moveaxis(counts, -1, 0), split=[0.05, 0.25], base_rate=0.02)
    assert together.shape == (3,)
    assert together == pytest.approx(log_e_rate(ramp, 0.02))
