"""A plan's canary at a route's traffic: when its steps end, when looks are due, and which sealed units are there by then."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detent.evidence import control_share
from detent.stats.power import Flow
from detent.terms import Plan
from detent.windows import planned_looks

Floats = NDArray[np.float64]

_EARLY, _RAMPING, _WAITING = 20, 12, 16
"""Times at which the tests are read: within the first step, nearer to each other at its beginning; to the last step's end; to `at_most`.

In between nothing is seen, so that a catch is told a little late and a false alarm a little seldom.
"""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Seconds from the canary's beginning: `starts` of the steps, the end of the last one (`ready_s`), planned `looks`, `times` to read at.

    `ready_s` is beyond `at_most_s` where a step's units don't come in time.
    """

    shares: Floats
    starts: Floats
    ready_s: float
    at_most_s: float
    looks: tuple[float, ...]
    times: Floats

    @property
    def ready(self) -> int:
        """How many of the times lie within the ramp."""
        return int(np.searchsorted(self.times, self.ready_s, side="right"))

    def flow(self, units_per_second: float, matures_s: float, *, control: bool = False) -> Flow:
        """The sealed units of a guard to be expected, if so many a second are scored; `control`: of stable its control slice only."""
        ends = np.append(self.starts[1:], math.inf)
        exposed = np.clip(self.times[:, None] - matures_s, self.starts, ends) - self.starts
        stable = np.array([control_share(s) for s in self.shares]) if control else 1.0 - self.shares
        of_units = exposed * units_per_second
        return Flow(self.shares / (self.shares + stable), of_units * self.shares, of_units * stable)

    def candidate_units(self, units_per_second: float, by_s: float) -> float:
        """Candidate units to be expected by then."""
        ends = np.append(self.starts[1:], math.inf)
        return float(np.maximum(np.minimum(ends, by_s) - self.starts, 0.0) @ self.shares * units_per_second)


def ramp_of(plan: Plan, units_per_second: float) -> Ramp:
    """The canary of this plan where so many new units a second come; each step waits for units of its own as well as for its time."""
    starts, now = [], 0.0
    for step in plan.canary.steps:
        starts.append(now)
        now += max(step.at_least, step.units / (step.share * units_per_second))
    first, most = plan.canary.steps[0].at_least, plan.canary.at_most
    looks = tuple(first * (1.0 + k / 2.0) for k in range(planned_looks(plan)))
    ready = min(now, most)
    early = min(first, most) * (np.arange(1, _EARLY + 1) / _EARLY) ** 2
    later = np.linspace(min(first, ready), ready, _RAMPING), np.linspace(ready, most, _WAITING)
    whole: Floats = np.unique(np.round(np.concatenate([early, np.array([*looks, ready, most]), *later]), 6))
    return Ramp(
        shares=np.array([step.share for step in plan.canary.steps]),
        starts=np.array(starts),
        ready_s=now,
        at_most_s=most,
        looks=looks,
        times=whole[whole > 0.0],
    )
