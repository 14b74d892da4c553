"""A rollout, its evidence and the time, with what the rules of `decide` and the sentences of `explain` read of them. Pure.

Harm is read from an anytime-valid e-process, at every look; proof from another test, at planned looks only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from detent import evidence as ev
from detent.stats.proof import NEW_INFORMATION, Proof, boundaries, non_inferiority
from detent.stats.sequential import log_e_average, log_e_restaked, log_e_sample_ratio
from detent.terms import CanaryStep, Evidence, Guard, GuardEvidence, Look, LookAt, Phase, Rollout

SAMPLE_RATIO_AT_E = 1000.0
"""E-value of the sample-ratio test at which no other verdict is trusted (statistics 2.4)."""

PLANNED_LOOKS = 6
"""Looks at the proof: at the end of the first canary step, then each half of its length (48 h, then daily, in the standard plan)."""

PRIOR_RATE = 0.01
"""Working base rate of a guard without history; a wrong one costs power, never validity (statistics 2.1)."""


def describe_rate(events: int, units: int) -> str:
    """`41 of 52 (78.8 %)`."""
    return f"{events} of {units} ({100 * events / units:.1f} %)" if units else "0 of 0"


def describe_e(log_e: float) -> str:
    """An e-value for people: `0.42`, `37`, `3.1e+09`."""
    if log_e > 700:
        return f"1e+{log_e / math.log(10):.0f}"
    value = math.exp(log_e)
    return f"{value:.2g}" if value < 10 or value >= 1e5 else f"{value:.0f}"


@dataclass(frozen=True)
class View:
    """A rollout, its evidence and the time, with what the rules read of them, computed once."""

    rollout: Rollout
    evidence: Evidence
    now: datetime

    @property
    def served_s(self) -> float:
        """Seconds in this phase and step."""
        return (self.now - self.rollout.entered_at).total_seconds()

    @property
    def candidate_units(self) -> int:
        """Randomised units first exposed to the candidate."""
        return sum(e.candidate for e in self.evidence.exposure)

    @property
    def step(self) -> CanaryStep:
        """The canary step the rollout is in."""
        return self.rollout.plan.canary.steps[self.rollout.step]

    @cached_property
    def guard_evidence(self) -> dict[str, GuardEvidence]:
        """Evidence by metric; empty for a guard without any sealed unit."""
        found = {g.metric: g for g in self.evidence.guards}
        return {g.metric: found.get(g.metric, GuardEvidence(metric=g.metric)) for g in self.rollout.plan.guards}

    @cached_property
    def harm_guards(self) -> tuple[Guard, ...]:
        """The guards that can end a rollout: all but the observed ones."""
        return tuple(g for g in self.rollout.plan.guards if g.role != "observe" and ev.METRICS[g.metric].kind == "rate")

    @cached_property
    def log_e(self) -> dict[str, float]:
        """ln E of each harm guard."""
        rates = self.rollout.base_rates
        return {g.metric: log_e_restaked(self.guard_evidence[g.metric].tallies, rates.get(g.metric, PRIOR_RATE)) for g in self.harm_guards}

    @cached_property
    def log_e_all(self) -> float:
        """ln of the average of the guards' e-values: valid under any dependence (Vovk & Wang 2021)."""
        return log_e_average(list(self.log_e.values())) if self.log_e else 0.0

    @cached_property
    def log_e_rolling_back(self) -> float:
        """ln of what the guards that roll back add to that average: a guard that only holds must not mask them."""
        return log_e_average([self.log_e[g.metric] if g.action == "roll_back" else -math.inf for g in self.harm_guards])

    @cached_property
    def culprit(self) -> Guard:
        """The guard with the largest e-value; of those that roll back, where these suffice for it."""
        enough = self.log_e_rolling_back >= self.limit
        guards = [g for g in self.harm_guards if g.action == "roll_back"] if enough else self.harm_guards
        return max(guards, key=lambda g: self.log_e[g.metric])

    @property
    def limit(self) -> float:
        """ln(1/alpha), at which harm is taken for shown."""
        return -math.log(self.rollout.plan.alpha)

    @cached_property
    def log_e_sample_ratio(self) -> float:
        """ln E of the sample-ratio test."""
        return log_e_sample_ratio(self.evidence.exposure)

    @cached_property
    def proofs(self) -> dict[str, Proof | None]:
        """Non-inferiority of each proving guard; None where there is nothing to say."""
        return {g.metric: self._proof(g) for g in self.rollout.plan.guards if g.role == "prove"}

    def _proof(self, guard: Guard) -> Proof | None:
        found = self.guard_evidence[guard.metric]
        if ev.METRICS[guard.metric].silent is False and found.candidate_events + found.stable_events == 0:
            return None  # silence from an app that may never have sent any feedback proves nothing
        return non_inferiority(found.tallies, margin_ratio=guard.margin_ratio, margin_abs=guard.margin_abs)

    @cached_property
    def distrusted(self) -> bool:
        """Whether the arms' sizes do not fit the split, so that no proof is to be trusted."""
        return self.rollout.phase is Phase.CANARY and self.log_e_sample_ratio >= math.log(SAMPLE_RATIO_AT_E)

    @cached_property
    def look(self) -> Look | None:
        """The look that is due now, taken; None when none is due, or when it could prove nothing: it then stays due."""
        due = next_look_at(self.rollout)
        if self.rollout.phase is not Phase.CANARY or due is None or self.now.timestamp() < due or self.distrusted:
            return None
        if not self.proofs or not all(self._has_news(metric, proof) for metric, proof in self.proofs.items()):
            return None
        taken = tuple(self._look_at(metric, proof) for metric, proof in self.proofs.items())
        return Look(number=len(self.rollout.looks) + 1, at=self.now, guards=taken)

    def _has_news(self, metric: str, proof: Proof | None) -> bool:
        """Whether a look could prove this guard: without more information than at the last one, `boundaries` gives it no alpha to spend."""
        return proof is not None and proof.information > (1.0 + NEW_INFORMATION) * max(self._informed(metric), default=0.0)

    def _informed(self, metric: str) -> list[float]:
        """The guard's information at each look so far."""
        return [at.information for look in self.rollout.looks for at in look.guards if at.metric == metric]

    def _look_at(self, metric: str, proof: Proof | None) -> LookAt:
        before = self._informed(metric)
        if proof is None:
            return LookAt(metric=metric, z=None, boundary=None, information=before[-1] if before else 0.0)
        boundary = boundaries(self.rollout.plan.alpha, [*before, proof.information], PLANNED_LOOKS)[-1]
        return LookAt(metric=metric, z=proof.z, boundary=boundary if math.isfinite(boundary) else None, information=proof.information)

    @property
    def proved(self) -> bool:
        """Whether this look, or one before it, found every proving guard non-inferior."""
        return self.rollout.proved or (self.look is not None and self.look.proved)


def next_look_at(rollout: Rollout) -> float | None:
    """When the next look is due, as a POSIX time; None before the canary, after the last look, and once proved.

    A look that came late moves the later ones: a look without new information would waste its share of alpha.
    """
    if rollout.canary_at is None or len(rollout.looks) >= PLANNED_LOOKS or rollout.proved:
        return None
    first = rollout.plan.canary.steps[0].at_least
    if not rollout.looks:
        return rollout.canary_at.timestamp() + first
    return rollout.looks[-1].at.timestamp() + first / 2
