"""Bets and proofs on tokens and seconds: the formulas unit by unit, what they never do, and what scipy says of the same numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from detent.stats import sketch
from detent.stats.proof import Proof
from detent.stats.sequential import log_e_rate
from detent.stats.values import log_e_log, log_e_quantiles, proof_of_log, proof_of_quantiles
from detent.terms import Side, Tally, ValueTally

SHIFTS = (1.05, 1.1, 1.2, 1.4, 2.0)  # statistics 2.1
STAKES = (0.1, 0.3, 0.3, 0.2, 0.1)
USUAL = (2.0, 5.0, 9.0)  # P50, P90, P99 in seconds
SIDES: tuple[Side, ...] = ("more", "less", "both")


def counted(values: Iterable[float]) -> dict[int, int]:
    return dict(Counter(sketch.bucket(value) for value in values))


def tally(candidate: Iterable[float], stable: Iterable[float], *, split: float = 0.05, period: int = 1) -> ValueTally:
    return ValueTally(period=period, split=split, candidate=counted(candidate), stable=counted(stable))


def drawn(rng: np.random.Generator, ratio: float, *, units: int = 4_000, split: float = 0.5, period: int = 1) -> ValueTally:
    """Values spread like P50 = 2 s with log-sd .55 on stable, `ratio` times that on the candidate."""
    n1 = rng.binomial(units, split)
    return tally(ratio * rng.lognormal(math.log(2.0), 0.55, n1), rng.lognormal(math.log(2.0), 0.55, units - n1), split=split, period=period)


def log_e(kind: str, tallies: list[ValueTally], side: Side = "more", tolerance: float = 1.0) -> float:
    if kind == "log":
        return log_e_log(tallies, centre=math.log(2.0), deviation=0.55, side=side, tolerance_ratio=tolerance)
    return log_e_quantiles(tallies, thresholds=USUAL, side=side, tolerance_ratio=tolerance)


def proof(kind: str, tallies: list[ValueTally], margin: float, side: Side = "more") -> Proof:
    found = (
        proof_of_log(tallies, margin_ratio=margin, side=side)
        if kind == "log"
        else proof_of_quantiles(tallies, thresholds=USUAL, margin_ratio=margin, side=side)
    )
    assert found is not None
    return found


# ── the bets, by hand ───────────────────────────────────────────────────────────────────────────────────────────────


def wealth_by_hand(candidate: list[float], stable: list[float], pi: float, sign: int = 1) -> float:
    """The staked mean over shifts of the product of theta(y)/pi and (1-theta(y))/(1-pi), as statistics 2.1 has it; mu* = 5, s* = 1."""
    total = 0.0
    for ratio, stake in zip(SHIFTS, STAKES, strict=True):
        d, wealth = math.log(ratio), stake
        for value, of_candidate in [*((v, True) for v in candidate), *((v, False) for v in stable)]:
            x = sign * (math.log(sketch.bucket_value(sketch.bucket(value))) - 5.0)
            theta = 1.0 / (1.0 + math.exp(-(math.log(pi / (1 - pi)) + d * x - d * d / 2.0)))
            wealth *= theta / pi if of_candidate else (1.0 - theta) / (1.0 - pi)
        total += wealth
    return total


def test_the_bet_on_tokens_is_the_product_of_the_units_factors() -> None:
    candidate, stable = [120.0, 400.0, 90.0, 2000.0], [100.0, 130.0, 150.0, 160.0, 80.0, 4096.0, 1.0]
    more, less = (wealth_by_hand(candidate, stable, 0.25, sign) for sign in (1, -1))
    told = [tally(candidate, stable, split=0.25)]
    staked = {"more": more, "less": less, "both": (more + less) / 2.0}
    for side in SIDES:
        found = math.exp(log_e_log(told, centre=5.0, deviation=1.0, side=side))
        assert found == pytest.approx(0.95 * staked[side] + 0.05)  # a twentieth is kept back for later share periods


def test_the_bet_on_seconds_is_the_mean_of_three_bets_on_rates() -> None:
    told = tally([1.0, 2.5, 5.0, 20.0], [1.0, 2.0, 3.0, 0.5, 5.5, 2.2], split=0.25)  # 2 s and 5 s are thresholds

    def rate_bet(limit: float, base_rate: float, *, above: bool) -> float:
        events = [sum(n for b, n in arm.items() if (b > sketch.bucket(limit)) == above) for arm in (told.candidate, told.stable)]
        counts = Tally(period=1, split=0.25, candidate_events=events[0], candidate_units=4, stable_events=events[1], stable_units=6)
        return math.exp(log_e_rate([counts], base_rate))

    slower = sum(rate_bet(limit, rate, above=True) for limit, rate in zip(USUAL, (0.5, 0.1, 0.01), strict=True)) / 3.0
    faster = sum(rate_bet(limit, rate, above=False) for limit, rate in zip(USUAL, (0.5, 0.9, 0.99), strict=True)) / 3.0
    assert math.exp(log_e("quantiles", [told])) == pytest.approx(0.95 * slower + 0.05)
    assert math.exp(log_e("quantiles", [told], "less")) == pytest.approx(0.95 * faster + 0.05)
    assert math.exp(log_e("quantiles", [told], "both")) == pytest.approx(0.475 * (slower + faster) + 0.05)


@pytest.mark.parametrize("kind", ["log", "quantiles"])
def test_later_periods_are_bet_on_afresh_at_their_own_split(kind: str) -> None:
    rng = np.random.default_rng(5)
    first, second = drawn(rng, 0.9, units=300, split=0.05), drawn(rng, 1.4, units=300, split=0.25, period=2)
    # With one period E = .95 bet + .05; the bet of both together is at hand where nothing is kept back: bets of one period multiply.
    both = math.exp(log_e(kind, [first, ValueTally(period=1, split=0.25, candidate=second.candidate, stable=second.stable)]))
    afresh = math.exp(log_e(kind, [second]))
    by_hand = (both - 0.05) + 0.025 * (afresh - 0.05) / 0.95 + 0.025
    assert math.exp(log_e(kind, [second, first])) == pytest.approx(by_hand)


# ── the bets' promises ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["log", "quantiles"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("pi", [0.05, 0.5, 0.95])
def test_a_fair_label_is_never_worth_betting_on(kind: str, side: Side, pi: float) -> None:
    # The whole guarantee, exact: the expected factor of one unit is 1 when the arms are alike, whatever the values are.
    values = {0.0: 0.1, 0.3: 0.2, 1.9: 0.3, 2.1: 0.2, 7.0: 0.15, 4096.0: 0.05}
    expected = sum(
        share * chance * math.exp(log_e(kind, [tally([value] if here else [], [] if here else [value], split=pi)], side))
        for value, share in values.items()
        for here, chance in ((True, pi), (False, 1.0 - pi))
    )
    assert expected == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["log", "quantiles"])
@pytest.mark.parametrize("tolerance", [1.01, 1.05, 1.2, 3.0])
def test_a_candidate_worse_by_the_tolerance_is_not_yet_worth_betting_on(kind: str, tolerance: float) -> None:
    for side, ratio in (("more", tolerance), ("less", 1.0 / tolerance)):
        values = np.linspace(0.5, 12.0, 331)
        expected = 0.0
        for value in values:
            on_candidate = log_e(kind, [tally([ratio * value], [], split=0.3)], side, tolerance)  # type: ignore[arg-type]
            on_stable = log_e(kind, [tally([], [value], split=0.3)], side, tolerance)  # type: ignore[arg-type]
            expected += (0.3 * math.exp(on_candidate) + 0.7 * math.exp(on_stable)) / len(values)
        assert expected <= 1.0 + 1e-12


@pytest.mark.parametrize("kind", ["log", "quantiles"])
def test_each_side_sees_its_own_harm_and_both_sees_either(kind: str) -> None:
    rng = np.random.default_rng(1)
    worse, better = [drawn(rng, 1.2)], [drawn(rng, 1.0 / 1.2)]
    assert log_e(kind, worse, "more") > 20.0 > 0.0 > log_e(kind, worse, "less")
    assert log_e(kind, better, "less") > 20.0 > 0.0 > log_e(kind, better, "more")
    for told, side in ((worse, "more"), (better, "less")):
        alone = log_e(kind, told, side)  # type: ignore[arg-type]
        assert log_e(kind, told, "both") == pytest.approx(alone - math.log(2.0), abs=1e-3)


@pytest.mark.parametrize("kind", ["log", "quantiles"])
def test_harm_within_the_tolerance_is_forgiven(kind: str) -> None:
    told = [drawn(np.random.default_rng(2), 1.1, units=20_000)]
    assert log_e(kind, told) > 10.0
    assert log_e(kind, told, tolerance=1.2) < 0.0


def test_one_wild_answer_neither_convicts_nor_acquits() -> None:
    usual, longer = [100.0] * 40, [110.0] * 40
    assert log_e_log([tally([*usual, 1e9], usual, split=0.5)], centre=math.log(100.0), deviation=0.05, side="more") < math.log(2.0)
    assert log_e_log([tally(longer, [*usual, 1e9], split=0.5)], centre=math.log(100.0), deviation=0.05, side="more") > math.log(20.0)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=8), st.floats(0.0, 1.0))
def test_no_count_breaks_a_bet_or_a_proof(rows: list[tuple[int, int, int]], split: float) -> None:
    told = [ValueTally(period=1, split=split, candidate={b: n for b, n, _ in rows}, stable={b: n for b, _, n in rows})]
    for side in SIDES:
        assert math.isfinite(log_e_log(told, centre=3.0, deviation=0.0, side=side))
        assert math.isfinite(log_e_quantiles(told, thresholds=USUAL, side=side))
        for found in (
            proof_of_log(told, margin_ratio=1.2, side=side),
            proof_of_quantiles(told, thresholds=USUAL, margin_ratio=1.2, side=side),
        ):
            if found is not None:
                assert math.isfinite(found.z)
                assert 0.0 <= found.information < math.inf
                assert 0.0 <= found.lower <= found.upper


def test_nothing_known_says_nothing() -> None:
    idle = [ValueTally(period=1, split=0.5), ValueTally(period=2, split=1.0, candidate={700: 5})]
    for told in ([], idle):
        assert log_e("log", told) == pytest.approx(0.0, abs=1e-12)
        assert log_e("quantiles", told) == pytest.approx(0.0, abs=1e-12)
        assert proof_of_log(told, margin_ratio=1.2, side="more") is None
        assert proof_of_quantiles(told, thresholds=USUAL, margin_ratio=1.2, side="more") is None


@pytest.mark.parametrize("kind", ["log", "quantiles"])
def test_what_cannot_be_is_refused(kind: str) -> None:
    good = tally([1.0], [1.0])
    for bad in (
        ValueTally(period=1, split=1.5, candidate={700: 1}, stable={700: 1}),
        ValueTally(period=1, split=0.5, candidate={-1: 1}, stable={700: 1}),
        ValueTally(period=1, split=0.5, candidate={700: 1}, stable={700: -1}),
    ):
        with pytest.raises(ValueError, match=r"split|buckets"):
            log_e(kind, [bad])
        with pytest.raises(ValueError, match=r"split|buckets"):
            proof(kind, [bad], 1.2)
    with pytest.raises(ValueError, match="tolerance"):
        log_e(kind, [good], tolerance=0.9)
    with pytest.raises(ValueError, match="margin"):
        proof(kind, [good], 0.0)


def test_a_working_model_that_is_none_is_refused_even_before_any_unit() -> None:
    for thresholds in ((), (1.0, 2.0), (3.0, 2.0, 1.0), (1.0, 2.0, math.nan), (-1.0, 2.0, 3.0)):
        with pytest.raises(ValueError, match=r"threshold|sketch"):
            log_e_quantiles([], thresholds=thresholds, side="more")
    for centre, deviation in ((math.nan, 1.0), (1.0, -0.1), (1.0, math.inf), (math.inf, 1.0)):
        with pytest.raises(ValueError, match="working model"):
            log_e_log([], centre=centre, deviation=deviation, side="more")


# ── proofs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def expanded(counts: Mapping[int, int]) -> np.ndarray:
    return np.repeat([sketch.bucket_log(b) for b in counts], list(counts.values()))


def test_the_proof_of_tokens_is_welchs_test_of_the_logarithms() -> None:
    told = drawn(np.random.default_rng(3), 1.05, units=600, split=0.2)
    one, other = expanded(told.candidate), expanded(told.stable)
    at = math.log(1.2 / 1.02)  # a bucket is taken off the margin
    welch = stats.ttest_ind(one, other + at, equal_var=False, alternative="less")
    interval = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    found = proof("log", [told], 1.2)
    assert found.z == pytest.approx(stats.norm.isf(welch.pvalue), rel=2e-4)  # Sheppard's 2 % of a bucket is the difference
    assert (found.lower, found.upper) == pytest.approx((math.exp(interval.low), math.exp(interval.high)), rel=2e-4)
    assert found.candidate_rate == pytest.approx(stats.gmean(np.exp(one)))
    assert found.stable_rate == pytest.approx(stats.gmean(np.exp(other)))
    assert found.estimate == pytest.approx(found.candidate_rate / found.stable_rate)
    fewer = stats.ttest_ind(one, other - at, equal_var=False, alternative="greater")
    assert proof("log", [told], 1.2, "less").z == pytest.approx(stats.norm.isf(fewer.pvalue), rel=2e-4)
    assert proof("log", [told], 1.2, "both").z == min(proof("log", [told], 1.2, side).z for side in SIDES)


def test_the_proof_of_seconds_is_the_least_of_three_tests_of_shifted_shares() -> None:
    told = drawn(np.random.default_rng(4), 0.95, units=20_000, split=0.2)
    margin = 1.02**10  # ten buckets
    n1, n0 = sum(told.candidate.values()), sum(told.stable.values())
    by_hand = []
    for limit in USUAL:
        at = sketch.bucket(limit)
        p1 = sum(n for b, n in told.candidate.items() if b > at + 10) / n1
        p0 = sum(n for b, n in told.stable.items() if b > at) / n0
        p = (p1 * n1 + p0 * n0) / (n1 + n0)
        by_hand.append((p0 - p1) / math.sqrt(p * (1 - p) * (1 / n1 + 1 / n0) * (n1 + n0) / (n1 + n0 - 1)))
    assert proof("quantiles", [told], margin).z == pytest.approx(min(by_hand))
    assert proof("quantiles", [told], 1.015 * margin).z == proof("quantiles", [told], margin).z  # rounded down: what is proved is no more


def test_what_statsmodels_says_of_the_same_shares() -> None:
    # Beyond the thresholds, the candidate's shifted by ten buckets: 480, 90 and 40 of 1,000 against 4,700, 960 and 600 of 9,000. From
    # statsmodels 0.15.0: minus the statistics of test_proportions_2indep(90, 1000, 960, 9000, value=1.0, compare="ratio", method="score")
    # and its like are 2.534850, 1.630956 and 3.268439.
    def arm(n: int, events: tuple[int, int, int], shift: int) -> dict[int, int]:
        at = [sketch.bucket(limit) + shift for limit in USUAL]
        return {at[0]: n - events[0], at[0] + 1: events[0] - events[1], at[1] + 1: events[1] - events[2], at[2] + 1: events[2]}

    told = ValueTally(period=1, split=0.1, candidate=arm(1000, (480, 90, 40), 10), stable=arm(9000, (4700, 960, 600), 0))
    assert proof("quantiles", [told], 1.02**10).z == pytest.approx(1.630956, abs=1e-6)


def test_a_segments_coarse_counts_bound_the_ratio_in_coarse_steps() -> None:
    fine = drawn(np.random.default_rng(12), 1.0, units=20_000)
    coarse = ValueTally(period=1, split=0.5)
    for arm, of in ((fine.candidate, coarse.candidate), (fine.stable, coarse.stable)):
        of.update(Counter({b - b % 8: 0 for b in arm}))
        for b, n in arm.items():
            of[b - b % 8] += n
    found, exact = proof("quantiles", [coarse], 1.25), proof("quantiles", [fine], 1.25)
    assert found.lower <= exact.lower < found.estimate < exact.upper <= found.upper
    assert found.estimate == 1.0


def test_the_medians_and_their_ratio_are_said_in_the_values_unit() -> None:
    told = drawn(np.random.default_rng(6), 1.1, units=20_000)
    found = proof("quantiles", [told], 1.25)
    medians = [sketch.quantile(arm, 0.5) for arm in (told.candidate, told.stable)]
    assert [found.candidate_rate, found.stable_rate] == pytest.approx(medians)
    assert found.estimate == pytest.approx(medians[0] / medians[1])  # type: ignore[operator]
    # Of medians of 10,000 lognormal values each (sd .55): 1.253 * .55 * sqrt(2 / 10,000) = .0097 a standard error; buckets are 2 % wide.
    assert math.log(found.upper / found.lower) == pytest.approx(2 * 1.96 * 0.0097, abs=0.04)
    assert found.lower < 1.1 < found.upper


@pytest.mark.parametrize("kind", ["log", "quantiles"])
def test_a_share_period_is_compared_with_itself(kind: str) -> None:
    # The whole route gets three times slower as the share grows: pooled, the candidate would look slower than stable, and is not.
    rng = np.random.default_rng(7)
    early = drawn(rng, 1.0, units=40_000, split=0.05)
    n1, n0 = rng.binomial(20_000, 0.5), 10_000
    late = tally(3.0 * rng.lognormal(math.log(2.0), 0.55, n1), 3.0 * rng.lognormal(math.log(2.0), 0.55, n0), split=0.5, period=2)
    compared = proof(kind, [early, late], 1.25)
    assert compared.z > 3.0
    assert compared.estimate == pytest.approx(1.0, abs=0.04)
    assert compared.candidate_rate == pytest.approx(compared.stable_rate, rel=0.06)
    pooled = [tally([], [], split=0.3)]
    pooled[0].candidate.update(Counter(early.candidate) + Counter(late.candidate))
    pooled[0].stable.update(Counter(early.stable) + Counter(late.stable))
    assert proof(kind, pooled, 1.25).z < -10.0
    assert abs(log_e(kind, [early, late])) < 4.0 < log_e(kind, pooled)


@pytest.mark.parametrize("kind", ["log", "quantiles"])
def test_information_adds_up_and_few_units_have_none(kind: str) -> None:
    rng = np.random.default_rng(8)
    early, late = drawn(rng, 1.0), drawn(rng, 1.0, period=2)
    one, two = proof(kind, [early], 1.2).information, proof(kind, [early, late], 1.2).information
    assert two == pytest.approx(2.0 * one, rel=0.05)
    # 40 units an arm say little of a mean, and 200 little of a P99, of which two are beyond it.
    few = proof(kind, [drawn(rng, 0.3, units=80 if kind == "log" else 400)], 1.2)
    assert few.z <= 0.0
    assert few.information == 0.0


@pytest.mark.parametrize("kind", ["log", "quantiles"])
def test_a_candidate_worse_by_the_margin_is_seldom_taken_for_proved(kind: str) -> None:
    rng = np.random.default_rng(9)
    proved = sum(proof(kind, [drawn(rng, 1.2, units=4_000, split=0.3)], 1.2).z >= 1.645 for _ in range(400))
    assert proved <= 32  # 5 % of 400 are 20; the binomial's 99.5 % point is 32
    proved = sum(proof(kind, [drawn(rng, 1.0, units=6_000, split=0.5)], 1.2).z >= 1.645 for _ in range(50))
    assert proved >= (50 if kind == "log" else 15)


@pytest.mark.parametrize(("usual", "worse"), [(20.0, 23.0), (7.0, 8.0), (1000.0, 1149.9), (2.0, 2.3)])
def test_rounding_to_buckets_never_proves_what_is_not_so(usual: float, worse: float) -> None:
    # Values without any spread, where the margin is just missed: all that could speak for the candidate is how buckets round.
    margin = worse / usual
    told = [tally([worse] * 50_000, [usual] * 50_000, split=0.5)]
    assert proof("log", told, margin).z <= 0.0
    assert proof("quantiles", told, margin).z <= 0.0


def test_the_same_answer_from_both_arms_every_time_is_proved_the_same() -> None:
    same = [tally([20.0] * 400, [20.0] * 400, split=0.5)]
    assert proof("log", same, 1.1).z > 5.0
    longer = [tally([23.0] * 400, [20.0] * 400, split=0.5)]
    assert proof("log", longer, 1.1).z < -5.0
