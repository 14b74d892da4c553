"""Tokens, seconds, money: bets on harm and proofs for guards on a value, from units counted by log-1.02 bucket (`stats.sketch`).

A bet on harm may use any function of the outcome that grows as the outcome gets worse, and the bucket is one: nothing is lost of its
exactness by counting in buckets (statistics 2.1). Bets are re-staked over share periods like those on rates; functions return ln E.

A tolerance or margin is a shift of buckets of 2 %, rounded to the careful side: harm begins at no less than the tolerance, and what is
proved is no more than the margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from detent.stats import sketch
from detent.stats.buckets import Arm, buckets_of, counts_in, log_of
from detent.stats.proof import HALF_WIDTH, Proof, judge_ratio, ratio_score
from detent.stats.sequential import ODDS, WEIGHTS, check_split, restaked
from detent.terms import Side, ValueTally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHIFTS = np.log([1.05, 1.1, 1.2, 1.4, 2.0])
"""The alternatives bet on: a value on the candidate as a multiple of stable's (statistics 2.1)."""

SHIFT_WEIGHTS = np.array([0.1, 0.3, 0.3, 0.2, 0.1])
"""The fixed share of the stake on each."""

EXCEEDED = (0.5, 0.1, 0.01)
"""How often stable is beyond each threshold, if it is as it was: they are its P50, P90 and P99."""

LEAST_DEVIATION = 0.05
"""A deviation of ln(value) below this is taken for this: who always answered with 20 tokens may answer with 21."""

LN_RATIO_AT_MOST = 4.0
"""No single unit is taken for better evidence than e^4 to 1: the bounded likelihood ratio of Huber 1965, against a few wild values."""

UNITS_AT_LEAST = 50
"""Units that each arm must have before the mean of its logarithms is believed to be normal."""

_MOST_Z = 38.0  # beyond, a tail of the normal distribution is 0


# ── harm ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Scores:
    """What a unit in each bucket adds to the bracket of each alternative, by arm: (bucket, alternative), and the alternatives' weights."""

    candidate: Floats
    stable: Floats
    ln_weights: Floats


def log_e_log(tallies: Sequence[ValueTally], *, centre: float, deviation: float, side: Side, tolerance_ratio: float = 1.0) -> float:
    """ln E against "the candidate's values are stochastically no worse than `tolerance_ratio` times stable's".

    The label bet of statistics 2.1 on ln(value), working model normal with `centre` and `deviation`: the odds that a unit was the
    candidate's are multiplied by exp(d (x - centre) / deviation^2 - d^2 / (2 deviation^2)) for each shift d of `SHIFTS`. With side `less` a
    lower value is worse; `both` bets half the stake on either. A wrong working model costs power, never validity.

    Raises ValueError for a negative count or bucket, a split outside [0, 1], a centre or deviation that is not a number (or a deviation
    below 0), and a tolerance below 1.
    """
    buckets = buckets_of(tallies)

    def scores(split: float) -> Scores:
        return log_scores(buckets, split=split, centre=centre, deviation=deviation, side=side, tolerance_ratio=tolerance_ratio)

    return _bet(tallies, buckets, scores)


def log_e_quantiles(tallies: Sequence[ValueTally], *, thresholds: Sequence[float], side: Side, tolerance_ratio: float = 1.0) -> float:
    """ln E against the same, by three rate bets with equal stakes: "slower than stable's P50, P90, P99", thresholds taken from its past.

    Exact because thresholds are fixed before the units that they judge. With side `less` the events are values at or below the thresholds.
    Raises ValueError as `log_e_log`, and unless `thresholds` are three, from 0 up, none below the one before.
    """
    buckets = buckets_of(tallies)

    def scores(split: float) -> Scores:
        return quantile_scores(buckets, split=split, thresholds=thresholds, side=side, tolerance_ratio=tolerance_ratio)

    return _bet(tallies, buckets, scores)


def log_scores(buckets: Ints, *, split: float, centre: float, deviation: float, side: Side, tolerance_ratio: float = 1.0) -> Scores:
    """`log_e_log`'s scores of units in these buckets in a share period with this split."""
    if not (math.isfinite(centre) and 0.0 <= deviation < math.inf):
        raise ValueError(f"a working model of ln(value) has a centre and a deviation from 0 up: `{centre}`, `{deviation}`")
    variance = max(deviation, LEAST_DEVIATION) ** 2

    def ln_ratios(at: Ints, sign: int) -> Floats:
        distance = sign * (log_of(at)[:, None] - centre)
        return np.clip((SHIFTS * distance - 0.5 * SHIFTS**2) / variance, -LN_RATIO_AT_MOST, LN_RATIO_AT_MOST)

    return _scores(_of_arms(buckets, ln_ratios, side, tolerance_ratio), np.log(SHIFT_WEIGHTS), split)


def quantile_scores(buckets: Ints, *, split: float, thresholds: Sequence[float], side: Side, tolerance_ratio: float = 1.0) -> Scores:
    """`log_e_quantiles`' scores of units in these buckets in a share period with this split."""
    limits = _limits(thresholds)

    def ln_ratios(at: Ints, sign: int) -> Floats:
        columns = []
        for limit, share in zip(limits, EXCEEDED, strict=True):
            event, rate = (at > limit, share) if sign > 0 else (at <= limit, 1.0 - share)
            other = -np.log1p(rate * (ODDS - 1.0))
            columns.append(np.where(event[:, None], np.log(ODDS) + other, other))
        return np.concatenate(columns, axis=1)

    return _scores(_of_arms(buckets, ln_ratios, side, tolerance_ratio), np.log(np.tile(WEIGHTS / len(EXCEEDED), len(EXCEEDED))), split)


def _of_arms(buckets: Ints, ln_ratios: Callable[[Ints, int], Floats], side: Side, tolerance_ratio: float) -> tuple[Floats, Floats]:
    """The likelihood ratios of each side that is bet on, of candidate and stable: the candidate's values are forgiven the tolerance."""
    if not 1.0 <= tolerance_ratio < math.inf:
        raise ValueError(f"a tolerance is a ratio from 1 up: `{tolerance_ratio}`")
    forgiven = math.ceil(math.log(tolerance_ratio) / math.log(sketch.BASE) - 1e-9)
    candidate, stable = ([ln_ratios(buckets - sign * by, sign) for sign in _signs(side)] for by in (forgiven, 0))
    return np.concatenate(candidate, axis=1), np.concatenate(stable, axis=1)


def _scores(ln_ratios: tuple[Floats, Floats], ln_weights: Floats, split: float) -> Scores:
    """ln(theta/pi) and ln((1-theta)/(1-pi)) for theta = pi a / (pi a + 1-pi): the label bet on outcomes with likelihood ratios a."""
    check_split(split)
    candidate, stable = ln_ratios
    sides = candidate.shape[1] // len(ln_weights)
    weights = np.tile(ln_weights, sides) - math.log(sides)
    if not 0.0 < split < 1.0:  # the label is known: there is nothing to bet on
        return Scores(np.zeros_like(candidate), np.zeros_like(stable), weights)
    norm = [np.logaddexp(math.log1p(-split), math.log(split) + ratios) for ratios in ln_ratios]
    return Scores(candidate - norm[0], -norm[1], weights)


def _bet(tallies: Sequence[ValueTally], buckets: Ints, scores_at: Callable[[float], Scores]) -> float:
    scores = scores_at(0.5)  # of no tally, where there is none: parameters that cannot be are refused all the same
    brackets = np.zeros((len(tallies), len(scores.ln_weights)))
    for row, tally in enumerate(tallies):
        scores = scores_at(tally.split)
        for arm, of_arm in ((tally.candidate, scores.candidate), (tally.stable, scores.stable)):
            # Not `@`: for a product this small the threads of BLAS only wait for each other.
            brackets[row] += (counts_in(arm, buckets)[:, None] * of_arm).sum(axis=0)
    return restaked([tally.period for tally in tallies], brackets, scores.ln_weights)


# ── proof ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def proof_of_log(tallies: Sequence[ValueTally], *, margin_ratio: float, side: Side) -> Proof | None:
    """The evidence against "the geometric mean of the candidate's values is `margin_ratio` times stable's or worse".

    Per stratum (tally) the difference of the mean logarithms, with weights n1 n0 / (n1 + n0) and Welch's variances; z is the normal score
    of Welch's t (1947). The variance of the weighted sum adds up over units and periods, as in `proof.non_inferiority`, and is the
    information. With side `less` the candidate must be shown to be above stable / `margin_ratio`; with `both` either, and z is the lesser.

    The Proof's rates are the geometric means in the value's unit, its estimate their ratio with a 95 % interval. None when nothing can be
    said: no tally with units of both arms and a split strictly between 0 and 1. With fewer than `UNITS_AT_LEAST` in an arm z is at most 0
    and information 0. Raises ValueError for a margin that is not positive and finite, and as `log_e_log`.
    """
    strata = _strata(tallies, margin_ratio)
    if not strata:
        return None
    arms = [np.array([_moments(units) for units in arm]).T for arm in ([t.candidate for t in strata], [t.stable for t in strata])]
    one, other = (Moments(*arm) for arm in arms)
    z, information = judge_log(one, other, margin=margin_ratio, side=side)
    weight = one.units * other.units / (one.units + other.units)
    candidate, stable = (float(weight @ arm.mean / weight.sum()) for arm in (one, other))
    error, df = _welch(one, other)
    half = float(special.stdtrit(df, special.ndtr(HALF_WIDTH)) * error / weight.sum())
    return Proof(
        z=float(z),
        candidate_rate=math.exp(candidate),
        stable_rate=math.exp(stable),
        estimate=math.exp(candidate - stable),
        lower=math.exp(candidate - stable - half),
        upper=math.exp(candidate - stable + half),
        information=float(information),
    )


class Moments(NamedTuple):
    """Units of an arm by stratum (last axis), the mean of their logarithms, and the sum of squared deviations from it."""

    units: Floats
    mean: Floats
    squares: Floats


def judge_log(candidate: Moments, stable: Moments, *, margin: float, side: Side) -> tuple[Floats, Floats]:
    """(z, information) of `proof_of_log`, on arrays."""
    weight = candidate.units * stable.units / np.maximum(candidate.units + stable.units, 1.0)
    error, df = _welch(candidate, stable)
    # Either mean may be off by half a bucket, where values are few and round: one bucket is taken off the margin.
    room, higher = (math.log(margin) - math.log(sketch.BASE)) * weight.sum(axis=-1), (weight * (candidate.mean - stable.mean)).sum(axis=-1)
    scores = {"more": room - higher, "less": room + higher, "both": room - np.abs(higher)}[side]
    t = np.where(error > 0.0, scores / np.where(error > 0.0, error, 1.0), 0.0)
    z = -np.sign(t) * np.maximum(special.ndtri(special.stdtr(df, -np.abs(t))), -_MOST_Z)  # by the lower tail: the upper would round to 1
    enough = np.minimum(candidate.units.sum(axis=-1), stable.units.sum(axis=-1)) >= UNITS_AT_LEAST
    return np.where(enough, z, np.minimum(z, 0.0)), np.where(enough, error**2, 0.0)


def _welch(candidate: Moments, stable: Moments) -> tuple[Floats, Floats]:
    """Standard error of the weighted sum of differences, and its degrees of freedom (Welch 1947).

    Values in one bucket differ by up to 2 %: its width is added to the variance (Sheppard 1898), so that it is never nothing.
    """
    weight = candidate.units * stable.units / np.maximum(candidate.units + stable.units, 1.0)
    within = math.log(sketch.BASE) ** 2 / 12.0
    parts = [
        weight**2 * (arm.squares / np.maximum(arm.units - 1.0, 1.0) + within) / np.maximum(arm.units, 1.0) for arm in (candidate, stable)
    ]
    variance = (parts[0] + parts[1]).sum(axis=-1)
    fourth = sum((part**2 / np.maximum(arm.units - 1.0, 1.0)).sum(axis=-1) for part, arm in zip(parts, (candidate, stable), strict=True))
    return np.sqrt(variance), np.where(fourth > 0.0, variance**2 / np.where(fourth > 0.0, fourth, 1.0), 1.0)


def proof_of_quantiles(tallies: Sequence[ValueTally], *, thresholds: Sequence[float], margin_ratio: float, side: Side) -> Proof | None:
    """The evidence against "some quantile of the candidate, of P50, P90 and P99, is `margin_ratio` times stable's or worse".

    For a threshold t fixed beforehand let stable's event be y > t and the candidate's y > margin t. "The candidate's event is no rarer than
    stable's" says that margin t is not beyond the candidate's quantile of the rank that t has on stable: that this quantile is at least
    `margin_ratio` times stable's. The score test of `proof.judge_ratio` with margin 1, stratified by share period, refutes it. All three
    thresholds must be passed (intersection-union, Berger 1982), so z is the least of the three. With side `less` the events are y <= t and
    y <= t / margin; with `both` z is the lesser of the two sides.

    The Proof's rates are the medians in the value's unit, its estimate the ratio at which the arms are alike beyond stable's median, and
    its interval the ratios at which the test there stands within 1.96. Its information is that of the first threshold, on one scale over
    all looks. None and too few units as in `proof.non_inferiority`; raises ValueError as `log_e_quantiles`, and for a margin that is not
    positive and finite.
    """
    strata = _strata(tallies, margin_ratio)
    if not strata:
        return None
    candidate, stable = Arm([t.candidate for t in strata]), Arm([t.stable for t in strata])
    z, information = math.inf, math.inf
    for sign in _signs(side):
        at, by = limits_of(thresholds, margin_ratio, sign)
        of_side = judge_quantiles(candidate.beyond(at, sign), candidate.units, stable.beyond(by, sign), stable.units)
        z, information = min(z, float(of_side[0])), min(information, float(of_side[1]))
    weight = candidate.units * stable.units / (candidate.units + stable.units)
    usual = stable.median(weight)
    # The ratios at which the test at stable's median stands: shifts of the candidate's values by whole buckets, or by the coarser steps
    # of a segment's counts.
    step = max(1, int(np.gcd.reduce(np.diff(buckets_of(strata)), initial=0)))
    shifts = step * np.arange(-usual // step - 1, max(candidate.size, stable.size) // step + 2)
    x1, x0 = candidate.beyond(usual + shifts, 1), stable.beyond(np.full_like(shifts, usual), 1)
    at_shift = ratio_score(x1, candidate.units, x0, stable.units, margin=1.0).z
    below, above = shifts[at_shift <= -HALF_WIDTH], shifts[at_shift >= HALF_WIDTH]
    return Proof(
        z=z,
        candidate_rate=sketch.bucket_value(candidate.median(weight)),
        stable_rate=sketch.bucket_value(usual),
        estimate=sketch.BASE ** float(shifts[np.abs(at_shift).argmin()]),
        lower=sketch.BASE ** float(below.max()) if len(below) else 0.0,
        upper=sketch.BASE ** float(above.min()) if len(above) else math.inf,
        information=information,
    )


def judge_quantiles(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike) -> tuple[Floats, Floats]:
    """(z, information) of one side of `proof_of_quantiles`, from events of candidate (1) and stable (0) at each threshold.

    Arrays whose last axes are the threshold and the stratum; units are the same for all thresholds, and need that axis no more.
    """
    n1, n0 = np.asarray(n1, dtype=float), np.asarray(n0, dtype=float)
    z, information = judge_ratio(x1, n1[..., None, :], x0, n0[..., None, :], margin=1.0)
    return z.min(axis=-1), np.where((information > 0.0).all(axis=-1), information[..., 0], 0.0)


def limits_of(thresholds: Sequence[float], margin_ratio: float, sign: int) -> tuple[Ints, Ints]:
    """The buckets beyond which a value is the candidate's event, and stable's: above them for the sign 1, at or below them for -1."""
    limits = _limits(thresholds)
    return limits + sign * math.floor(math.log(margin_ratio) / math.log(sketch.BASE) + 1e-9), limits


# ── counts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _signs(side: Side) -> tuple[int, ...]:
    return {"more": (1,), "less": (-1,), "both": (1, -1)}[side]


def _limits(thresholds: Sequence[float]) -> Ints:
    if len(thresholds) != len(EXCEEDED) or list(thresholds) != sorted(thresholds):
        raise ValueError(f"three thresholds, P50, P90 and P99, are needed: `{list(thresholds)}`")
    return np.array([sketch.bucket(threshold) for threshold in thresholds])


def _strata(tallies: Sequence[ValueTally], margin_ratio: float) -> list[ValueTally]:
    """The tallies that compare arms. Raises ValueError for a margin, counts or splits that cannot be."""
    if not 0.0 < margin_ratio < math.inf:
        raise ValueError(f"margin_ratio is positive and finite: `{margin_ratio}`")
    buckets_of(tallies)
    return [t for t in tallies if 0.0 < t.split < 1.0 and any(t.candidate.values()) and any(t.stable.values())]


def _moments(units: Mapping[int, int]) -> tuple[float, float, float]:
    """Units, mean logarithm and sum of squared deviations from it."""
    buckets = np.array(list(units), dtype=int)
    counts, logs = counts_in(units, np.sort(buckets)), log_of(np.sort(buckets))
    mean = float(counts @ logs / counts.sum())
    return float(counts.sum()), mean, float(counts @ (logs - mean) ** 2)
