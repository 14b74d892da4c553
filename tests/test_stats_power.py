"""Simulated rollouts: against what other simulations of the same tests were measured to do (docs/facts/statistics.md, section 3)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from detent.stats import sketch
from detent.stats.power import Flow, Simulated, simulate_log, simulate_quantiles, simulate_rate
from detent.stats.values import log_e_log, log_e_quantiles
from detent.terms import Side, ValueTally

Floats = NDArray[np.float64]

RUNS = 1000
TIMES = np.arange(0.25, 48.25, 0.25)
"""Hours of looks."""


def flow(candidate_per_hour: float, share: float = 0.05, times: Floats = TIMES) -> Flow:
    """One share period of a canary with this share."""
    candidate = (times * candidate_per_hour)[:, None]
    return Flow(np.array([share]), candidate, candidate * (1.0 - share) / share)


def draws(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def requests_to_alarm(found: Simulated, per_hour: float) -> float:
    """Median candidate requests to E >= 20; infinite where fewer than half get there."""
    over = found.log_e >= math.log(20.0)
    return float(np.median(np.where(over.any(axis=1), TIMES[over.argmax(axis=1)], math.inf))) * per_hour


def caught(found: Simulated) -> float:
    return float((found.log_e >= math.log(20.0)).any(axis=1).mean())


def past(values: Floats) -> dict[int, int]:
    return dict(Counter(sketch.bucket(float(v)) for v in values))


# ── harm in rates: statistics 3.1, 100 candidate requests an hour. Looks here are rarer, and a twentieth of the stake is kept back since ──


@pytest.mark.parametrize(
    ("rate", "worse", "median"),
    [(0.005, 0.015, 636), (0.02, 0.03, 1479), (0.04, 0.06, 711), (0.12, 0.15, 791)],
    ids=["parse", "thumbs", "retry", "abandon"],
)
def test_a_harmed_rate_is_found_after_as_many_requests_as_were_measured(rate: float, worse: float, median: float) -> None:
    found = simulate_rate(flow(100.0), rate=rate, ratio=worse / rate, runs=RUNS, rng=draws())
    assert requests_to_alarm(found, 100.0) == pytest.approx(median, rel=0.12)
    assert caught(found) >= 0.94  # 96 % for thumbs, 100 % for the others


def test_an_unchanged_rate_raises_few_false_alarms() -> None:
    found = simulate_rate(flow(100.0), rate=0.02, runs=4000, rng=draws())
    assert caught(found) == pytest.approx(0.034, abs=0.012)


def test_a_rate_that_cannot_be_worse_is_drawn_all_the_same() -> None:
    found = simulate_rate(flow(100.0), rate=0.4, ratio=10.0, runs=50, rng=draws())
    assert np.isfinite(found.log_e).all()
    assert caught(found) == 1.0


# ── proof of rates: statistics 3.5, error rate 0.5 %, margin 1.5; looks at 48 h ──


@pytest.mark.parametrize(
    ("per_hour", "ratio", "share"),
    [(20.0, 0.8, 0.20), (20.0, 1.0, 0.11), (100.0, 0.8, 0.88), (100.0, 1.0, 0.55), (100.0, 1.5, 0.023), (1000.0, 1.0, 0.98)],
)
def test_a_candidate_is_proved_at_48_hours_as_often_as_was_measured(per_hour: float, ratio: float, share: float) -> None:
    found = simulate_rate(flow(per_hour, times=np.array([48.0])), rate=0.005, ratio=ratio, margin_ratio=1.5, runs=4000, rng=draws())
    assert found.z is not None
    # Below, by up to 3 points: z is corrected for skewness since, and needs five expected events, which 20 an hour seldom bring.
    assert float((found.z[:, 0] >= 1.881).mean()) == pytest.approx(share, abs=0.035)


def test_a_difference_is_proved_as_often_as_the_normal_approximation_says() -> None:
    n1, n0, p, margin = 4800.0, 4800.0 * 19, 0.02, 0.005
    found = simulate_rate(flow(100.0, times=np.array([48.0])), rate=p, margin_abs=margin, runs=4000, rng=draws())
    assert found.z is not None
    error = math.sqrt(p * (1 - p) * (1 / n1 + 1 / n0))
    at_margin = math.sqrt((p + margin) * (1 - p - margin) / n1 + p * (1 - p) / n0)  # restricted rates: stable's hardly move
    assert float((found.z[:, 0] >= 1.881).mean()) == pytest.approx(float(stats.norm.cdf((margin - 1.881 * at_margin) / error)), abs=0.03)


# ── values: statistics 3.3 and 3.4 ──

TOKENS = np.random.default_rng(1).lognormal(5.0, 1.0, 50_000)
SECONDS = np.random.default_rng(2).lognormal(0.6, 0.55, 50_000)
QUANTILES = tuple(float(q) for q in np.quantile(SECONDS, (0.5, 0.9, 0.99)))


def test_longer_answers_are_found_after_as_many_requests_as_were_measured() -> None:
    found = simulate_log(flow(100.0), past(TOKENS), ratio=1.12, centre=5.0, deviation=1.0, side="more", runs=RUNS, rng=draws())
    assert requests_to_alarm(found, 100.0) == pytest.approx(520, rel=0.12)


def test_slower_answers_are_found_after_as_many_requests_as_were_measured() -> None:
    found = simulate_quantiles(flow(100.0), past(SECONDS), ratio=1.1, thresholds=QUANTILES, side="more", runs=RUNS, rng=draws())
    assert requests_to_alarm(found, 100.0) == pytest.approx(394, rel=0.12)


@pytest.mark.parametrize("side", ["more", "less", "both"])
def test_unchanged_values_raise_few_false_alarms_on_any_side(side: str) -> None:
    logs = simulate_log(flow(100.0), past(TOKENS), centre=5.0, deviation=1.0, side=side, runs=RUNS, rng=draws())  # type: ignore[arg-type]
    slow = simulate_quantiles(flow(100.0), past(SECONDS), thresholds=QUANTILES, side=side, runs=RUNS, rng=draws())  # type: ignore[arg-type]
    assert caught(logs) <= 0.06
    assert caught(slow) <= 0.06


def test_a_change_within_the_tolerance_is_no_harm_and_one_beyond_it_is() -> None:
    def found(ratio: float) -> float:
        simulated = simulate_quantiles(
            flow(1000.0), past(SECONDS), ratio=ratio, thresholds=QUANTILES, side="more", tolerance_ratio=1.05, runs=300, rng=draws()
        )
        return caught(simulated)

    assert found(1.04) <= 0.05
    assert found(1.2) == 1.0


@pytest.mark.parametrize(("side", "worse"), [("less", True), ("more", True), ("both", True)])
def test_harm_goes_the_way_in_which_the_metric_gets_worse(side: str, worse: bool) -> None:
    how = {"centre": 5.0, "deviation": 1.0, "side": side, "runs": 200}
    assert (caught(simulate_log(flow(1000.0), past(TOKENS), ratio=1.3, rng=draws(), **how)) == 1.0) is worse  # type: ignore[arg-type]


def test_a_value_is_proved_as_often_as_welch_s_test_would() -> None:
    """Two normal samples of logarithms: power of z against ln(margin) less a bucket, with Sheppard's correction too small to show."""
    n1, n0, deviation, margin = 800.0, 800.0 * 19, 1.0, 1.1
    found = simulate_log(
        flow(800 / 48, times=np.array([48.0])),
        past(TOKENS),
        centre=5.0,
        deviation=deviation,
        side="more",
        margin_ratio=margin,
        runs=4000,
        rng=draws(),
    )
    assert found.z is not None
    error = deviation * math.sqrt(1 / n1 + 1 / n0)
    assert float((found.z[:, 0] >= 1.881).mean()) == pytest.approx(float(stats.norm.cdf(math.log(margin / 1.02) / error - 1.881)), abs=0.03)


def test_a_candidate_at_the_margin_is_seldom_proved() -> None:
    """At the first look alpha spent is .030; quantiles have to pass at all three thresholds, which is rarer."""
    late = flow(200.0, times=np.array([48.0]))
    logs = simulate_log(late, past(TOKENS), ratio=1.1, centre=5.0, deviation=1.0, side="more", margin_ratio=1.1, runs=3000, rng=draws())
    slow = simulate_quantiles(late, past(SECONDS), ratio=1.1, thresholds=QUANTILES, side="more", margin_ratio=1.1, runs=3000, rng=draws())
    assert logs.z is not None
    assert slow.z is not None
    assert float((logs.z >= 1.881).mean()) <= 0.045
    assert float((slow.z >= 1.881).mean()) <= 0.045


@pytest.mark.parametrize("side", ["more", "less", "both"])
def test_simulated_bets_are_those_that_decide(side: Side) -> None:
    """The same rollouts drawn bucket by bucket and judged through tallies: ln E has the same mean and spread."""
    rng, runs, units = draws(), 300, np.array([[1500.0, 500.0]])
    splits = np.array([0.05, 0.25])
    candidate, stable = units * splits, units * (1.0 - splits)
    how = {"side": side, "tolerance_ratio": 1.05, "ratio": 1.2, "runs": runs, "rng": rng}
    logs = simulate_log(Flow(splits, candidate, stable), past(TOKENS), centre=5.0, deviation=1.0, **how)  # type: ignore[arg-type]
    slow = simulate_quantiles(Flow(splits, candidate, stable), past(SECONDS), thresholds=QUANTILES, **how)  # type: ignore[arg-type]
    factor = 1 / 1.2 if side == "less" else 1.2

    def tallies(values: Floats) -> list[ValueTally]:
        drawn = []
        for period, split in enumerate(splits):
            n1, n0 = rng.poisson(candidate[0, period]), rng.poisson(stable[0, period])
            arms = past(rng.choice(values, n1) * factor), past(rng.choice(values, n0))
            drawn.append(ValueTally(period=period, split=split, candidate=arms[0], stable=arms[1]))
        return drawn

    by_log = [log_e_log(tallies(TOKENS), centre=5.0, deviation=1.0, side=side, tolerance_ratio=1.05) for _ in range(runs)]
    by_quantiles = [log_e_quantiles(tallies(SECONDS), thresholds=QUANTILES, side=side, tolerance_ratio=1.05) for _ in range(runs)]
    for found, expected in ((logs, by_log), (slow, by_quantiles)):
        assert stats.ks_2samp(found.log_e[:, 0], expected).pvalue > 0.001


def test_later_share_periods_are_strata_of_their_own() -> None:
    """Two steps of 5 % and 25 %: as much is known as of the sum of both, and information only grows."""
    times = np.arange(1.0, 49.0)
    units = np.stack([np.minimum(times, 24.0), np.maximum(times - 24.0, 0.0)], axis=1) * 2000.0
    splits = np.array([0.05, 0.25])
    found = simulate_rate(Flow(splits, units * splits, units * (1 - splits)), rate=0.02, margin_ratio=1.5, runs=100, rng=draws())
    assert found.information is not None
    assert (np.diff(np.median(found.information, axis=0)) > 0.0).all()
    assert caught(found) <= 0.1


def test_the_same_seed_gives_the_same_rollouts_and_time_cut_short_changes_nothing() -> None:
    first = simulate_rate(flow(100.0), rate=0.02, runs=20, rng=draws(3))
    again = simulate_rate(flow(100.0), rate=0.02, runs=20, rng=draws(3))
    assert np.array_equal(first.log_e, again.log_e)
    assert flow(100.0).until(3).candidate.shape == (3, 1)
