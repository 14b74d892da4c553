"""Proof of non-inferiority: published intervals, an independent likelihood, and the promise that thin evidence never proves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from detent.stats.proof import Proof, difference_score, judge_ratio, non_inferiority, ratio_score
from detent.terms import Tally

FIRST_BOUNDARY = 1.881  # statistics 2.3, the lowest of the six


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


def proved(tallies: Sequence[Tally], *, ratio: float | None = None, difference: float | None = None) -> Proof:
    found = non_inferiority(tallies, margin_ratio=ratio, margin_abs=difference)
    assert found is not None
    return found


def columns(tallies: Sequence[Tally]) -> np.ndarray:
    """Rows candidate events, candidate units, stable events, stable units; one column per tally."""
    return np.array([(t.candidate_events, t.candidate_units, t.stable_events, t.stable_units) for t in tallies], dtype=float).T


# ── against published and independent numbers ───────────────────────────────────────────────────────────────────────


def test_an_unchanged_candidate_with_24_errors() -> None:
    # 48 h at 100 candidate requests an hour, error rate .5 %, margin 1.5. From statsmodels 0.15.0: minus the statistic of
    # test_proportions_2indep(24, 4800, 456, 91200, value=1.5, compare="ratio", method="score"), and
    # confint_proportions_2indep(24, 4800, 456, 91200, compare="ratio", method="score"). (Its differences are no oracle: the
    # middle coefficient of their cubic has a count where Farrington & Manning have a number of units.)
    found = proved([tally((24, 4800), (456, 91200))], ratio=1.5)
    assert found.z == pytest.approx(1.956399, abs=1e-6)
    assert (found.lower, found.upper) == pytest.approx((0.665681, 1.501092), abs=1e-6)
    assert (found.candidate_rate, found.stable_rate, found.estimate) == pytest.approx((0.005, 0.005, 1.0))


@pytest.mark.parametrize(
    ("candidate", "stable", "margin", "z", "interval"),
    [
        ((30, 9500), (900, 180500), 1.25, 3.745641, (0.441259, 0.908661)),
        ((30, 9500), (900, 180500), 2.0, 6.573114, (0.441259, 0.908661)),
        ((12, 4000), (40, 12000), 1.25, 1.004363, (0.477542, 1.695137)),
        ((12, 4000), (40, 12000), 2.0, 2.496678, (0.477542, 1.695137)),
        ((60, 10000), (55, 10000), 1.5, 1.717980, (0.758945, 1.568100)),
    ],
)
def test_ratios_agree_with_statsmodels(
    candidate: tuple[int, int], stable: tuple[int, int], margin: float, z: float, interval: tuple[float, float]
) -> None:
    # the same two calls of statsmodels 0.15.0 as above
    told = [tally(candidate, stable)]
    assert float(ratio_score(*columns(told), margin=margin).z) == pytest.approx(z, abs=1e-6)
    found = proved(told, ratio=margin)
    assert found.z <= z + 1e-6
    assert (found.lower, found.upper) == pytest.approx(interval, abs=1e-6)


@pytest.mark.parametrize(
    ("candidate", "stable", "interval"),
    [((24, 73), (53, 65), (0.280, 0.560)), ((29, 55), (11, 11), (0.397, 0.742)), ((7, 18), (1, 18), (1.296, 42.544))],
)
def test_published_intervals_of_the_ratio(candidate: tuple[int, int], stable: tuple[int, int], interval: tuple[float, float]) -> None:
    # Fagerland & Newcombe's examples, Miettinen-Nurminen intervals as quoted by the tests of R's ratesci (test3.R)
    found = proved([tally(candidate, stable)], ratio=1.5)
    assert (round(found.lower, 3), round(found.upper, 3)) == interval


def test_published_interval_of_the_difference() -> None:
    # Newcombe 1998 (Statist. Med. 17:873), example (d), Miettinen-Nurminen: 5/56 - 0/29 lies in (-0.0326, 0.1933)
    found = proved([tally((5, 56), (0, 29))], difference=0.1)
    assert (round(found.lower, 4), round(found.upper, 4)) == (-0.0326, 0.1933)


MEHROTRA_RAILKAR = [tally((21, 464), (26, 453)), tally((11, 165), (25, 174), period=2), tally((8, 69), (11, 70), period=3)]


def test_without_a_margin_strata_combine_as_cochran_mantel_and_haenszel_do() -> None:
    # At "no difference" both tests are the CMH test without continuity correction (Tang 2020), here by its own formula.
    x1, n1, x0, n0 = columns(MEHROTRA_RAILKAR)
    n, x = n1 + n0, x1 + x0
    cmh = (n1 * x / n - x1).sum() / math.sqrt((n1 * n0 * x * (n - x) / n**2 / (n - 1)).sum())
    assert float(ratio_score(x1, n1, x0, n0, margin=1.0).z) == pytest.approx(cmh)
    assert float(difference_score(x1, n1, x0, n0, margin=0.0).z) == pytest.approx(cmh)


def test_the_stratified_estimate_is_the_mantel_haenszel_ratio() -> None:
    risk_ratio = (21 * 453 / 917 + 11 * 174 / 339 + 8 * 70 / 139) / (26 * 464 / 917 + 25 * 165 / 339 + 11 * 69 / 139)
    assert proved(MEHROTRA_RAILKAR, ratio=1.5).estimate == pytest.approx(risk_ratio)


def restricted_rates(t: Tally, stable_of: float | None, shift: float) -> tuple[float, float]:
    """Maximum-likelihood rates (candidate, stable) on the edge of H0, by numeric search and none of the closed forms."""
    x1, n1, x0, n0 = t.candidate_events, t.candidate_units, t.stable_events, t.stable_units

    def candidate_of(p0: float) -> float:
        return stable_of * p0 if stable_of is not None else p0 + shift

    def minus_log_likelihood(p0: float) -> float:
        p1 = candidate_of(p0)
        terms = ((x1, p1), (n1 - x1, 1 - p1), (x0, p0), (n0 - x0, 1 - p0))
        return -sum(n * math.log(max(p, 1e-300)) for n, p in terms if n)

    top = min(1.0, 1.0 / stable_of) if stable_of is not None else 1.0 - shift
    found = optimize.minimize_scalar(minus_log_likelihood, bounds=(0.0, top), method="bounded", options={"xatol": 1e-13, "maxiter": 2000})
    return candidate_of(float(found.x)), float(found.x)


def brute_force_z(tallies: Sequence[Tally], ratio: float | None, shift: float) -> float:
    score = variance = 0.0
    for t in tallies:
        p1, p0 = restricted_rates(t, ratio, shift)
        n1, n0, scale = t.candidate_units, t.stable_units, 1.0 if ratio is None else ratio
        w = n1 * n0 / (n1 + n0)
        score += w * (scale * t.stable_events / n0 + shift - t.candidate_events / n1)
        variance += w**2 * (p1 * (1 - p1) / n1 + scale**2 * p0 * (1 - p0) / n0) * (n1 + n0) / (n1 + n0 - 1)
    return score / math.sqrt(variance)


@pytest.mark.parametrize(
    "told",
    [
        [tally((24, 4800), (456, 91200))],
        [tally((60, 100), (500, 900))],
        [tally((24, 600), (14, 560), split=0.5)],
        MEHROTRA_RAILKAR,
        [
            tally((6, 400), (200, 9000)),
            tally((40, 900), (160, 2700), split=0.25, period=2),
            tally((90, 1500), (88, 1480), split=0.5, period=3),
        ],
        [tally((25_000, 5_000_000), (5_100, 1_000_000), split=0.83)],
    ],
)
def test_z_agrees_with_a_numeric_search_for_the_restricted_rates(told: list[Tally]) -> None:
    for ratio in (1.1, 1.5, 3.0):
        assert float(ratio_score(*columns(told), margin=ratio).z) == pytest.approx(brute_force_z(told, ratio, 0.0), rel=2e-4, abs=1e-6)
    for difference in (0.002, 0.05, 0.3):
        assert float(difference_score(*columns(told), margin=difference).z) == pytest.approx(
            brute_force_z(told, None, difference), rel=2e-4, abs=1e-6
        )


def test_a_tiny_margin_on_millions_of_units_keeps_its_digits() -> None:
    # No events: restricted rates are d and 0 (by hand), z = sqrt(n1 d / (1 - d)) but for N/(N-1). The cubic's other root is d away.
    z = difference_score([0], [4_389_364], [0], [10], margin=1.1455e-8).z
    assert float(z) == pytest.approx(math.sqrt(4_389_364 * 1.1455e-8), rel=1e-6)


@pytest.mark.parametrize(
    ("n1", "n0", "stable_rate", "margin"),
    [(300, 300, 0.03, 3.0), (1000, 1000, 0.01, 10.0), (3000, 157, 0.1, 1.5), (300, 300, 0.03, 1.5), (4800, 91_200, 0.005, 1.5)],
)
def test_the_exact_chance_to_prove_at_the_margin(n1: int, n0: int, stable_rate: float, margin: float) -> None:
    # By enumeration of both binomial distributions. The plain score test exceeds the first three by 30 to 45 % at the later boundaries.
    p1 = margin * stable_rate
    x1, x0 = (np.arange(n + 1)[stats.binom.pmf(np.arange(n + 1), n, p) > 1e-9] for n, p in ((n1, p1), (n0, stable_rate)))
    chance = np.outer(stats.binom.pmf(x1, n1, p1), stats.binom.pmf(x0, n0, stable_rate))
    z, _ = judge_ratio(x1[:, None, None], n1, x0[None, :, None], n0, margin=margin)
    for boundary, alpha in ((1.881, 0.0300), (2.214, 0.0134), (2.270, 0.0116)):
        assert chance[z >= boundary].sum() <= 1.12 * alpha


# ── thin evidence ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_events_say_nothing_about_a_ratio() -> None:
    assert non_inferiority([tally((0, 5_000_000), (0, 5_000_000))], margin_ratio=1.5) is None


def test_no_events_prove_a_difference_once_the_margin_should_have_shown() -> None:
    # By hand: restricted rates .01 and 0, so z = .01 / sqrt(.01 * .99 / 1000 * 20000/19999)
    found = proved([tally((0, 1000), (0, 19000))], difference=0.01)
    assert found.z == pytest.approx(0.01 / math.sqrt(0.01 * 0.99 / 1000 * 20000 / 19999))
    assert found.z > FIRST_BOUNDARY
    assert found.lower <= found.estimate == 0.0 < found.upper < 0.01
    # a hundredth of the traffic: one event in ten would be expected at the margin
    assert proved([tally((0, 10), (0, 190))], difference=0.01).z <= 0.0


@pytest.mark.parametrize("split", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("margin", [1.1, 1.5, 3.0, 20.0])
def test_a_few_events_never_prove_a_ratio(split: float, margin: float) -> None:
    n1 = 100_000
    n0 = round(n1 * (1 - split) / split)
    for stable in range(9):
        for candidate in range(9 - stable):
            found = non_inferiority([tally((candidate, n1), (stable, n0), split=split)], margin_ratio=margin)
            assert found is None or found.z <= 0.0, (candidate, stable)


@pytest.mark.parametrize("margin", [1.1, 1.5, 3.0, 20.0])
def test_a_few_units_never_prove_a_ratio(margin: float) -> None:
    for units in range(1, 10):
        for candidate in range(units + 1):
            for stable in (1, 30, 60, 100):
                found = non_inferiority([tally((candidate, units), (stable, 100))], margin_ratio=margin)
                assert found is None or found.z <= 0.0, (candidate, units, stable)


def test_no_amount_of_stable_traffic_makes_up_for_a_thin_candidate() -> None:
    # The candidate can't have had five errors yet, at one and a half times .1 %.
    found = proved([tally((0, 2000), (5_000, 5_000_000))], ratio=1.5)
    assert found.z <= 0.0
    assert found.information == 0.0


def test_a_single_stable_event_does_not_prove_a_difference() -> None:
    # 1 of 10 stable units failed, as one in ten times happens; the candidate stands exactly at the margin above none.
    assert proved([tally((50, 1000), (1, 10), split=0.95)], difference=0.05).z < 0.5


def test_the_candidate_at_the_margin_is_not_proved_and_better_evidence_only_helps() -> None:
    zs = [proved([tally((x, 9600), (912, 182_400))], ratio=1.5).z for x in range(30, 80)]
    assert zs == sorted(zs, reverse=True)
    assert abs(zs[72 - 30]) < 0.01  # .5 % stable, .75 % candidate: exactly the margin


def test_one_arm_alone_says_nothing() -> None:
    assert non_inferiority([], margin_ratio=1.5) is None
    assert non_inferiority([tally((5, 1000), (0, 0))], margin_abs=0.01) is None
    assert non_inferiority([tally((0, 0), (5, 1000))], margin_ratio=1.5) is None
    assert non_inferiority([tally((50, 1000), (50, 1000), split=1.0), tally((0, 9), (9, 9), split=0.0)], margin_ratio=1.5) is None


def test_a_candidate_with_errors_against_none_has_no_upper_bound() -> None:
    found = proved([tally((30, 1000), (0, 1000), split=0.5)], ratio=1.5)
    assert found.z < 0.0
    assert (found.estimate, found.upper) == (math.inf, math.inf)
    assert 1.5 < found.lower < 100.0


# ── periods ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_drift_during_a_ramp_neither_proves_nor_disproves() -> None:
    ramp = [tally((40, 4000), (760, 76_000)), tally((400, 20_000), (1200, 60_000), split=0.25, period=2)]
    pooled = [tally((440, 24_000), (1960, 136_000), split=0.15)]
    assert proved(ramp, ratio=1.25).estimate == pytest.approx(1.0)
    assert proved(ramp, ratio=1.25).z > 3.0
    assert proved(pooled, ratio=1.25).z < 0.0  # pooled, the innocent candidate looks 1.27 times worse


def test_information_adds_up_over_periods() -> None:
    first = tally((24, 4800), (456, 91_200))
    second = tally((300, 10_000), (900, 30_000), split=0.25, period=2)
    both = proved([first, second], ratio=1.5).information
    assert both == pytest.approx(proved([first], ratio=1.5).information + proved([second], ratio=1.5).information)
    # at a small split nearly the events that the margin lets the candidate have: 1.5 * .5 % of 4,800, within the stable arm's noise
    assert proved([first], ratio=1.5).information == pytest.approx(36.0, rel=0.1)


@given(st.lists(st.tuples(*[st.integers(0, 5_000_000)] * 4, st.floats(0.001, 0.999)), min_size=1, max_size=4), st.floats(1.01, 10.0))
def test_no_count_breaks_the_proof(rows: list[tuple[int, int, int, int, float]], margin: float) -> None:
    told = [tally((min(a, b), max(a, b)), (min(c, d), max(c, d)), split=split, period=k) for k, (a, b, c, d, split) in enumerate(rows)]
    for found in (non_inferiority(told, margin_ratio=margin), non_inferiority(told, margin_abs=min(0.9, margin / 20))):
        if found is not None:
            assert math.isfinite(found.z)
            assert 0.0 <= found.information < math.inf
            assert found.lower <= found.estimate + 1e-9
            assert found.estimate <= found.upper + 1e-9


# ── invalid input ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ratio", "difference", "said"),
    [
        (None, None, "exactly one margin is needed: `margin_ratio=None, margin_abs=None`"),
        (1.5, 0.1, "exactly one margin is needed: `margin_ratio=1.5, margin_abs=0.1`"),
        (0.0, None, "margin_ratio is positive and finite: `0.0`"),
        (math.nan, None, "margin_ratio is positive and finite: `nan`"),
        (None, 1.0, r"margin_abs lies in \[0, 1\): `1.0`"),
        (None, -0.01, r"margin_abs lies in \[0, 1\): `-0.01`"),
    ],
)
def test_a_margin_that_is_none_is_refused_by_value(ratio: float | None, difference: float | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        non_inferiority([tally((1, 2), (1, 2))], margin_ratio=ratio, margin_abs=difference)


@pytest.mark.parametrize("told", [tally((3, 2), (0, 5)), tally((0, 2), (-1, 5)), tally((0, -2), (0, 5))])
def test_impossible_counts_are_refused_by_value(told: Tally) -> None:
    with pytest.raises(ValueError, match="events lie between 0 and its units in period 1: `"):
        non_inferiority([told], margin_ratio=1.5)
