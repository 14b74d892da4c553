"""One guard of a plan, with what is usual of its metric on stable, ready to be simulated."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace

import numpy as np

from detent.evidence.past import working_of
from detent.power.ramp import Ramp
from detent.stats import sketch
from detent.stats.power import Flow, Simulated, simulate_log, simulate_quantiles, simulate_rate
from detent.terms import Guard, MetricRow, Past, PastMetric, Side, Working


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarding:
    """A guard whose metric was seen on stable: `scored` is the share of units of which it says something."""

    guard: Guard
    row: MetricRow
    known: PastMetric
    working: Working
    scored: float
    control: bool

    @property
    def side(self) -> Side:
        """Which way it gets worse."""
        return self.guard.side or self.row.side

    @property
    def usual(self) -> float:
        """What is usual: the rate, or the median."""
        if self.working.rate is not None:
            return self.working.rate
        return sketch.quantile(self.known.buckets, 0.5) or 0.0

    @property
    def worst(self) -> float:
        """The largest ratio of harm that there can be."""
        return 1.0 / self.working.rate if self.working.rate is not None else 10.0

    def with_margin(self, *, ratio: float | None = None, difference: float | None = None) -> Guarding:
        """The same with another margin."""
        return replace(self, guard=replace(self.guard, margin_ratio=ratio, margin_abs=difference))

    def flow(self, ramp: Ramp, units_per_second: float) -> Flow:
        """Its sealed units in this ramp."""
        return ramp.flow(units_per_second * self.scored, self.guard.matures, control=self.control and self.row.cached)

    def simulated(self, flow: Flow, *, ratio: float = 1.0, proof: bool = False, runs: int, seed: int) -> Simulated:
        """So many rollouts with a candidate that is worse by `ratio`; the same ones for the same seed, whatever other guards there are."""
        rng = np.random.default_rng([seed, zlib.crc32(self.guard.metric.encode()), round(1000 * ratio)])
        margin = self.guard.margin_ratio if proof else None
        if self.row.bet == "rate":
            difference = self.guard.margin_abs if proof else None
            rate = self.working.rate or 0.5 / (self.known.units + 1)
            return simulate_rate(flow, rate=rate, ratio=ratio, margin_ratio=margin, margin_abs=difference, runs=runs, rng=rng)
        if self.row.bet == "quantiles":
            return simulate_quantiles(
                flow,
                self.known.buckets,
                ratio=ratio,
                thresholds=self.working.thresholds,
                side=self.side,
                tolerance_ratio=self.guard.tolerance_ratio,
                margin_ratio=margin,
                runs=runs,
                rng=rng,
            )
        return simulate_log(
            flow,
            self.known.buckets,
            ratio=ratio,
            centre=self.working.centre or 0.0,
            deviation=self.working.deviation or 0.0,
            side=self.side,
            tolerance_ratio=self.guard.tolerance_ratio,
            margin_ratio=margin,
            runs=runs,
            rng=rng,
        )


def guarding(guard: Guard, row: MetricRow, past: Past, *, control: bool) -> Guarding | None:
    """The guard with what this past says of its metric; None where that is nothing, or too little to know what is usual."""
    known = past.metrics.get(guard.metric, PastMetric())
    working = working_of(past, {guard.metric: row}).get(guard.metric)
    if working is None or not past.units:
        return None
    return Guarding(guard=guard, row=row, known=known, working=working, scored=min(1.0, known.units / past.units), control=control)


def needed(of: Guarding) -> tuple[float, str] | None:
    """About how many candidate events (of a ratio of rates) or scored candidate units a proof takes at 80 % power, and which of the two.

    7.8 / ln(margin)^2 events (statistics 2.3); units for a difference and for the mean of a logarithm, from the same 7.8 = (1.96 + 0.84)^2
    against the variance of one unit. None for quantiles, where the rarest threshold decides.
    """
    guard, rate = of.guard, of.working.rate
    if rate is not None and guard.margin_ratio is not None:
        return 7.8 / math.log(guard.margin_ratio) ** 2, "events"
    if rate is not None and guard.margin_abs is not None:
        return 7.8 * rate * (1.0 - rate) / guard.margin_abs**2, "units"
    if of.row.bet == "log" and guard.margin_ratio is not None and of.working.deviation is not None:
        return 7.8 * (of.working.deviation / math.log(guard.margin_ratio)) ** 2, "units"
    return None
