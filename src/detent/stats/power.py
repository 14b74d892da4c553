"""Simulated rollouts: counts drawn as the traffic would bring them, judged by the very functions that decide about real ones.

Units arrive at random (Poisson) at a steady rate; daily patterns are left out: both tests are as strict with them, and little weaker. A
`Flow` says how many sealed units of one guard are to be expected at each time and share period. Every function returns arrays whose axes
are (rollout, time): ln E, and for a margin the z and the information of the proof if a look were taken then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detent.stats import sketch
from detent.stats.proof import judge_difference, judge_ratio
from detent.stats.sequential import WEIGHTS, rate_brackets, restaked_of
from detent.stats.values import Moments, Scores, judge_log, judge_quantiles, limits_of, log_scores, quantile_scores
from detent.terms import Side

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ATOMS = 64
"""A past's values are drawn from at most this many log buckets; nearer ones are merged."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Sealed units to be expected, cumulated: (time, share period) for candidate and stable, and the candidate's split by period."""

    splits: Floats
    candidate: Floats
    stable: Floats

    def until(self, times: int) -> Flow:
        """The first so many times of it."""
        return Flow(self.splits, self.candidate[:times], self.stable[:times])


@dataclass(frozen=True, slots=True)
class Simulated:
    """(rollout, time): ln E of the harm test; z and information of the proof, where a margin was given."""

    log_e: Floats
    z: Floats | None = None
    information: Floats | None = None


# ── rates ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def simulate_rate(
    flow: Flow,
    *,
    rate: float,
    ratio: float = 1.0,
    margin_ratio: float | None = None,
    margin_abs: float | None = None,
    runs: int,
    rng: np.random.Generator,
) -> Simulated:
    """A rate guard whose events have probability `rate` on stable and `ratio` times that (at most 1) on the candidate.

    `rate` is also the working base rate of the bets.
    """
    arms = (flow.candidate, min(1.0, rate * ratio)), (flow.stable, rate)
    (x1, other1), (x0, other0) = ((_drawn(units, p, runs, rng), _drawn(units, 1.0 - p, runs, rng)) for units, p in arms)
    n1, n0 = x1 + other1, x0 + other0
    log_e = restaked_of(rate_brackets(x1, n1, x0, n0, split=flow.splits, base_rate=rate), np.log(WEIGHTS))
    if margin_ratio is not None:
        return Simulated(log_e, *judge_ratio(x1, n1, x0, n0, margin=margin_ratio))
    if margin_abs is not None:
        return Simulated(log_e, *judge_difference(x1, n1, x0, n0, margin=margin_abs))
    return Simulated(log_e)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def simulate_log(
    flow: Flow,
    buckets: Mapping[int, int],
    *,
    ratio: float = 1.0,
    centre: float,
    deviation: float,
    side: Side,
    tolerance_ratio: float = 1.0,
    margin_ratio: float | None = None,
    runs: int,
    rng: np.random.Generator,
) -> Simulated:
    """A guard on ln(value): values drawn from past `buckets`, the candidate's worse by `ratio` (in whole buckets of 2 %)."""
    at, shares = _atoms(buckets)
    worse = at + _shift(ratio, side)

    def scores(split: float) -> Scores:
        how = {"split": split, "centre": centre, "deviation": deviation, "tolerance_ratio": tolerance_ratio}
        return Scores(log_scores(worse, side=side, **how).candidate, *_stable(log_scores(at, side=side, **how)))

    drawn = [_drawn_cells(units, shares, runs, rng) for units in (flow.candidate, flow.stable)]
    log_e = _log_e(flow, drawn, scores)
    if margin_ratio is None:
        return Simulated(log_e)
    moments = []
    for counts, units, held in zip(drawn, (flow.candidate, flow.stable), (worse, at), strict=True):
        x = sketch.bucket_log(0) + held * math.log(sketch.BASE) - centre  # about 0, so that the squares lose no digits
        n, total, squares = (_cumulated(counts @ column, units) for column in (np.ones_like(x), x, x * x))
        mean = total / np.maximum(n, 1.0)
        moments.append(Moments(n, mean, np.maximum(squares - n * mean * mean, 0.0)))
    return Simulated(log_e, *judge_log(moments[0], moments[1], margin=margin_ratio, side=side))


def simulate_quantiles(
    flow: Flow,
    buckets: Mapping[int, int],
    *,
    ratio: float = 1.0,
    thresholds: tuple[float, ...],
    side: Side,
    tolerance_ratio: float = 1.0,
    margin_ratio: float | None = None,
    runs: int,
    rng: np.random.Generator,
) -> Simulated:
    """A guard on quantiles: as `simulate_log`, but exact in the buckets, since only the cells between thresholds matter."""
    signs = (1, -1) if side == "both" else (1,) if side == "more" else (-1,)
    limits = limits_of(thresholds, 1.0, 1)[1]
    tolerated = math.ceil(math.log(tolerance_ratio) / math.log(sketch.BASE) - 1e-9)
    ends = [limits, *(limits + sign * tolerated for sign in signs)]
    if margin_ratio is not None:
        ends += [limits_of(thresholds, margin_ratio, sign)[0] for sign in signs]
    edges = np.unique(np.concatenate(ends))  # between two of them every bucket scores alike
    at = np.append(edges, edges[-1] + 1)

    def scores(split: float) -> Scores:
        return quantile_scores(at, split=split, thresholds=thresholds, side=side, tolerance_ratio=tolerance_ratio)

    shares = [_cells(buckets, edges - _shift(ratio, side)), _cells(buckets, edges)]
    drawn = [_drawn_cells(units, of, runs, rng) for units, of in zip((flow.candidate, flow.stable), shares, strict=True)]
    log_e = _log_e(flow, drawn, scores)
    if margin_ratio is None:
        return Simulated(log_e)
    z, information = np.full(log_e.shape, math.inf), np.full(log_e.shape, math.inf)
    n1, n0 = (_cumulated(counts.sum(axis=-1), units) for counts, units in zip(drawn, (flow.candidate, flow.stable), strict=True))
    for sign in signs:
        events = []
        for counts, units, limit in zip(drawn, (flow.candidate, flow.stable), limits_of(thresholds, margin_ratio, sign), strict=True):
            beyond = at[:, None] > limit if sign > 0 else at[:, None] <= limit
            events.append(np.stack([_cumulated(counts @ column, units) for column in beyond.T.astype(float)], axis=-2))
        of_side = judge_quantiles(events[0], n1, events[1], n0)
        z, information = np.minimum(z, of_side[0]), np.minimum(information, of_side[1])
    return Simulated(log_e, z, information)


def _stable(scores: Scores) -> tuple[Floats, Floats]:
    return scores.stable, scores.ln_weights


def _shift(ratio: float, side: Side) -> int:
    """Whole buckets by which a candidate that is worse by this ratio differs."""
    by = round(math.log(ratio) / math.log(sketch.BASE))
    return -by if side == "less" else by


def _atoms(buckets: Mapping[int, int]) -> tuple[Ints, Floats]:
    """At most `ATOMS` buckets that stand for all of them, with their shares."""
    at = np.array(sorted(buckets), dtype=int)
    counts = np.array([buckets[int(b)] for b in at], dtype=float)
    width = max(1, math.ceil((at[-1] - at[0] + 1) / ATOMS))
    group = (at - at[0]) // width
    names, of = np.unique(group, return_inverse=True)
    total = np.bincount(of, weights=counts, minlength=len(names))
    middle = np.bincount(of, weights=counts * at, minlength=len(names)) / total
    return np.round(middle).astype(int), total / total.sum()


def _cells(buckets: Mapping[int, int], edges: Ints) -> Floats:
    """Shares of the past at or below the first edge, between one and the next, and above the last."""
    at = np.array(sorted(buckets), dtype=int)
    counts = np.array([buckets[int(b)] for b in at], dtype=float)
    return np.asarray(np.bincount(np.searchsorted(edges, at, side="left"), weights=counts, minlength=len(edges) + 1) / counts.sum())


# ── draws ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _new(units: Floats) -> tuple[tuple[Ints, ...], Floats]:
    """Where the cumulated expectation grows, and by how much: of (time, period), one period or two at any time."""
    grown = np.maximum(np.diff(units, axis=0, prepend=0.0), 0.0)
    where = np.nonzero(grown > 0.0)
    return where, grown[where]


def _drawn(units: Floats, share: float, runs: int, rng: np.random.Generator) -> Floats:
    """(rollout, time, period): Poisson counts so far of this share of the units."""
    _, grown = _new(units)
    return _cumulated(rng.poisson(grown * share, size=(runs, len(grown))).astype(float), units)


def _drawn_cells(units: Floats, shares: Floats, runs: int, rng: np.random.Generator) -> Floats:
    """(rollout, growth, cell)."""
    _, grown = _new(units)
    return rng.poisson(grown[:, None] * shares, size=(runs, len(grown), len(shares))).astype(float)


def _cumulated(drawn: Floats, units: Floats) -> Floats:
    """(rollout, time, period): the sums so far of (rollout, growth)."""
    where, _ = _new(units)
    whole = np.zeros((len(drawn), *units.shape))
    if drawn.shape[1]:
        whole[:, where[0], where[1]] = drawn
    return np.cumsum(whole, axis=1)


def _log_e(flow: Flow, drawn: list[Floats], scores: Callable[[float], Scores]) -> Floats:
    """ln E at each time from what each new unit adds to the brackets."""
    by_split = [scores(float(split)) for split in flow.splits]
    brackets = np.zeros((len(drawn[0]), *flow.candidate.shape, len(by_split[0].ln_weights)))
    for counts, units, arm in zip(drawn, (flow.candidate, flow.stable), ("candidate", "stable"), strict=True):
        times, periods = _new(units)[0]
        for period, of in enumerate(by_split):
            here = periods == period
            brackets[:, times[here], period] += counts[:, here] @ getattr(of, arm)
    return restaked_of(np.cumsum(brackets, axis=1), by_split[0].ln_weights)
