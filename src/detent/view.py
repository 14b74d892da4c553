"""A rollout, its evidence and the time, with what the rules of `decide` and the sentences of `explain` read of them. Pure.

Harm is read from an anytime-valid e-process, at every look; proof from another test, at planned looks only. A guard that cannot be computed
or has no data is a value here (`failed`, `without_data`), neither a zero nor a pass, and hides nothing in the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from detent.evidence.pairs import Harm, harm_of
from detent.guarding import (
    buckets_of,
    describe_rate,
    describe_values,
    log_e_of,
    proof_of,
    unequally_known,
    unheard,
)
from detent.stats.proof import NEW_INFORMATION, Proof, boundaries
from detent.stats.sequential import log_e_average, log_e_sample_ratio
from detent.terms import CanaryStep, Evidence, Guard, GuardEvidence, Look, LookAt, MetricRow, Phase, Rollout, Working
from detent.windows import canary_served_s, planned_looks, served_s, since_s

SAMPLE_RATIO_AT_E = 1000.0
"""E-value of the sample-ratio test at which no other verdict is trusted (statistics 2.4)."""


@dataclass(frozen=True)
class _Computed:
    """What the tests say of each guard, and why those failed that did."""

    log_e: dict[str, float] = field(default_factory=dict)
    proofs: dict[str, Proof | None] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A rollout, its evidence and the time, with what the rules read of them, computed once.

    `limits_by_clock`: `at_most` is taken by the clock, as an older Detent did; only to make its decisions again.
    """

    rollout: Rollout
    evidence: Evidence
    now: datetime
    limits_by_clock: bool = False

    @property
    def served_s(self) -> float:
        """Seconds served in this phase and step."""
        return served_s(self.rollout, self.now)

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
    def rows(self) -> dict[str, MetricRow]:
        """The metric of each guard; without those that nobody knows, which are `failed`."""
        known: dict[str, MetricRow] = {}
        for guard in self.rollout.plan.guards:
            try:
                known[guard.metric] = self.rollout.metric(guard.metric)
            except KeyError:
                continue
        return known

    @cached_property
    def harm_guards(self) -> tuple[Guard, ...]:
        """The guards that can end a rollout: all but the observed ones."""
        return tuple(g for g in self.rollout.plan.guards if g.role != "observe")

    @cached_property
    def _computed(self) -> _Computed:
        found = _Computed()
        for guard in self.harm_guards:
            metric = guard.metric
            found.log_e[metric] = 0.0
            if guard.role == "prove":
                found.proofs[metric] = None
            try:
                self._compute(guard, found)
            except (ValueError, ArithmeticError, RuntimeError) as error:  # the last: a root that was not found
                found.failed[metric] = str(error) or type(error).__name__
        return found

    def _compute(self, guard: Guard, found: _Computed) -> None:
        metric = guard.metric
        if metric not in self.rows:
            raise ValueError(f"no such metric: `{metric}`")
        row, evidence, known = self.rows[metric], self.guard_evidence[metric], self.rollout.working.get(metric, Working())
        if not evidence.candidate_units or not evidence.stable_units:
            return  # of an arm without any outcome nothing is known: that is no harm, and no proof
        if why := unequally_known(evidence):
            raise ValueError(why)
        log_e = log_e_of(row, guard, evidence, known)
        if math.isnan(log_e):
            raise ValueError("its e-value is not a number")
        found.log_e[metric] = log_e
        # A silence that is counted proves nothing.
        if guard.role == "prove" and evidence.candidate_heard and evidence.stable_heard:
            proof = proof_of(row, guard, evidence, known)
            if proof is not None and not math.isfinite(proof.z + proof.information):
                raise ValueError("its proof is not a number")
            found.proofs[metric] = proof

    @property
    def log_e(self) -> dict[str, float]:
        """ln E of each harm guard; 0, which says nothing, of one that failed or has no working model yet."""
        return self._computed.log_e

    @property
    def proofs(self) -> dict[str, Proof | None]:
        """Non-inferiority of each proving guard; None where there is nothing to say."""
        return self._computed.proofs

    @property
    def failed(self) -> dict[str, str]:
        """Why a guard could not be computed, by metric."""
        return self._computed.failed

    def _without_data(self, metric: str) -> bool:
        row = self.rows.get(metric)
        found = self.guard_evidence[metric]
        if row is None:
            return False
        if row.source == "feedback":
            return unheard(found)
        unread = found.candidate_unscored + found.stable_unscored
        return unread > 0 and not (found.candidate_units and found.stable_units)

    @cached_property
    def without_data(self) -> tuple[str, ...]:
        """Guards without an outcome that one could go by: the app never said anything of an arm, or what was said could not be read.

        Silence is no good news.
        """
        return tuple(g.metric for g in self.harm_guards if self._without_data(g.metric))

    @cached_property
    def not_applying(self) -> tuple[str, ...]:
        """Guards on the traffic that no unit of either arm said anything about: they do not apply to this traffic so far."""

        def empty(metric: str) -> bool:
            found = self.guard_evidence[metric]
            said = found.candidate_units + found.stable_units + found.candidate_unscored + found.stable_unscored
            return metric in self.rows and self.rows[metric].source == "traffic" and said == 0

        return tuple(g.metric for g in self.harm_guards if empty(g.metric))

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

    def describe_arms(self, metric: str) -> str:
        """Both arms of a guard in numbers: `41 of 52 (78.8 %) candidate units against 3 of 900 (0.3 %) stable ones`."""
        found = self.guard_evidence[metric]
        row = self.rows.get(metric)
        if row is not None and row.kind == "value":
            candidate, stable = buckets_of(found)
            return f"{describe_values(row, candidate)} on the candidate against {describe_values(row, stable)} on stable"
        return (
            f"{describe_rate(found.candidate_events, found.candidate_units)} candidate units against "
            f"{describe_rate(found.stable_events, found.stable_units)} stable ones"
        )

    @property
    def limit(self) -> float:
        """ln(1/alpha), at which harm is taken for shown."""
        return -math.log(self.rollout.plan.alpha)

    @cached_property
    def log_e_sample_ratio(self) -> float:
        """ln E of the sample-ratio test."""
        return log_e_sample_ratio(self.evidence.exposure)

    @cached_property
    def shadow_harm(self) -> Harm | None:
        """What the paired bets on shadow pairs come to, while the rollout is in its shadow; None elsewhere."""
        found = self.evidence.shadow
        return harm_of(found) if found is not None and self.rollout.phase is Phase.SHADOW else None

    @cached_property
    def distrusted(self) -> bool:
        """Whether the arms' sizes do not fit the split, so that no proof is to be trusted."""
        return self.rollout.phase is Phase.CANARY and self.log_e_sample_ratio >= math.log(SAMPLE_RATIO_AT_E)

    @cached_property
    def look(self) -> Look | None:
        """The look that is due now, taken; None when none is due, or when it could prove nothing: it then stays due."""
        due_in = look_in_s(self.rollout, self.now)
        if self.rollout.phase is not Phase.CANARY or due_in is None or due_in > 0.0 or self.distrusted or self.failed:
            return None
        if not self.proofs or not all(self._has_news(metric, proof) for metric, proof in self.proofs.items()):
            return None
        taken = tuple(self._look_at(metric, proof) for metric, proof in self.proofs.items())
        return Look(number=len(self.rollout.looks) + 1, at=self.now, watched_s=self.rollout.watched_s or 0.0, guards=taken)

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
        boundary = boundaries(self.rollout.plan.alpha, [*before, proof.information], planned_looks(self.rollout.plan))[-1]
        return LookAt(metric=metric, z=proof.z, boundary=boundary if math.isfinite(boundary) else None, information=proof.information)

    @property
    def proved(self) -> bool:
        """Whether this look, or one before it, found every proving guard non-inferior."""
        return self.rollout.proved or (self.look is not None and self.look.proved)


def look_in_s(rollout: Rollout, now: datetime) -> float | None:
    """Seconds to serve until the next look, 0 or less when it is due; None before the canary, after the last look, and once proved.

    A look that came late moves the later ones: a look without new information would waste its share of alpha.
    """
    if rollout.canary_at is None or len(rollout.looks) >= planned_looks(rollout.plan) or rollout.proved:
        return None
    first = rollout.plan.canary.steps[0].at_least
    if not rollout.looks:
        return first - canary_served_s(rollout, now)
    last = rollout.looks[-1]
    return first / 2 - since_s(rollout, now, last.at, last.watched_s)
