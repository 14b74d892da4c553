"""A plan at a route's traffic, and the simulated rollouts of an unchanged candidate under it, each computed once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detent.power.guarding import Guarding, guarding
from detent.power.looks import proved_at
from detent.power.ramp import Ramp, ramp_of
from detent.stats.power import Simulated
from detent.terms import METRIC_NAMES, DeclaredMetric, Guard, MetricRow, Past, Plan

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Planned:
    """A plan, what is on record of its route, and how many rollouts are simulated."""

    plan: Plan
    past: Past
    declared: Mapping[str, DeclaredMetric]
    runs: int
    seed: int

    @property
    def per_second(self) -> float:
        """New units a second."""
        return self.past.units_per_hour / 3600.0

    @cached_property
    def ramp(self) -> Ramp:
        """The plan's canary at this traffic."""
        return ramp_of(self.plan, self.per_second)

    def row(self, metric: str) -> MetricRow:
        """The metric of a guard."""
        return METRIC_NAMES[metric] if metric in METRIC_NAMES else self.declared[metric].row

    @property
    def harm(self) -> list[Guard]:
        """The guards that can end a rollout."""
        return [guard for guard in self.plan.guards if guard.role != "observe"]

    @property
    def proving(self) -> list[Guard]:
        """The guards that must be proved."""
        return [guard for guard in self.plan.guards if guard.role == "prove"]

    @property
    def unheard(self) -> list[str]:
        """Guards on what the app has to say and is not on record to have said: they would keep everything from promotion."""
        harm = [guard.metric for guard in self.harm if self.row(guard.metric).source == "feedback"]
        return [metric for metric in harm if metric not in self.past.metrics or not self.past.metrics[metric].heard]

    @cached_property
    def known(self) -> dict[str, Guarding]:
        """The guards of which something is on record, by metric."""
        found = {g.metric: guarding(g, self.row(g.metric), self.past, control=self.plan.canary.control) for g in self.plan.guards}
        return {metric: of for metric, of in found.items() if of is not None}

    @cached_property
    def _unchanged(self) -> dict[str, Simulated]:
        return {}

    def unchanged(self, guard: Guard) -> Simulated | None:
        """What a guard says of an unchanged candidate; None where nothing is on record of it."""
        of = self.known.get(guard.metric)
        if of is not None and guard.metric not in self._unchanged:
            flow = of.flow(self.ramp, self.per_second)
            self._unchanged[guard.metric] = of.simulated(flow, proof=guard.role == "prove", runs=self.runs, seed=self.seed)
        return self._unchanged.get(guard.metric)

    def proved(self, guards: Sequence[Guard]) -> Floats:
        """Seconds at which each rollout was proved by all these guards at once; infinite where one of them has nothing to go by."""
        simulated = [found for guard in guards if (found := self.unchanged(guard)) is not None]
        if not guards or len(simulated) < len(guards):
            return np.full(self.runs, math.inf)
        return proved_at(simulated, self.ramp, self.plan.alpha)

    def log_e(self) -> Floats:
        """(rollout, time): ln of the average over the harm guards; those that nothing is known of say nothing."""
        total = np.zeros((self.runs, len(self.ramp.times)))
        for guard in self.harm:
            simulated = self.unchanged(guard)
            total += 1.0 if simulated is None else np.exp(np.minimum(simulated.log_e, 600.0))
        return np.asarray(np.log(total / len(self.harm)))
