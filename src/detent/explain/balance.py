"""Whether the arms were alike before the candidate could have any effect: who is in them, and how they fared before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detent.evidence.past import Before
from detent.stats.proof import HALF_WIDTH, non_inferiority
from detent.terms import Arm, GuardEvidence, Tally

OUT_OF_BALANCE_Z = 3.3
"""Standard errors from which on a segment's share is said to differ (two-sided p = 0.001: many segments are compared)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A segment's share of each arm's units, and their difference with 95 % confidence, stratified by share period."""

    segment: str
    candidate: float
    stable: float
    difference: float
    low: float
    high: float

    @property
    def off(self) -> bool:
        """Whether the arms differ in it by more than chance."""
        half = (self.high - self.low) / 2.0
        return half > 0.0 and abs(self.difference) > OUT_OF_BALANCE_Z / HALF_WIDTH * half


def shares(whole: GuardEvidence, segments: Mapping[str, GuardEvidence]) -> tuple[Share, ...]:
    """Each segment's share of either arm, of a rate guard's sealed units."""
    units = {t.period: t for t in whole.tallies}
    found = []
    for name, of in sorted(segments.items()):
        members = {t.period: t for t in of.tallies}
        tallies = [_members(units[period], members.get(period)) for period in sorted(units)]
        proof = non_inferiority(tallies, margin_abs=0.01)
        if proof is not None:
            rates = proof.candidate_rate, proof.stable_rate
            share = Share(segment=name, candidate=rates[0], stable=rates[1], difference=proof.estimate, low=proof.lower, high=proof.upper)
            found.append(share)
    return tuple(found)


def _members(whole: Tally, of: Tally | None) -> Tally:
    candidate, stable = (of.candidate_units, of.stable_units) if of else (0, 0)
    return Tally(
        period=whole.period,
        split=whole.split,
        candidate_events=min(candidate, whole.candidate_units),
        candidate_units=whole.candidate_units,
        stable_events=min(stable, whole.stable_units),
        stable_units=whole.stable_units,
    )


def describe_balance(found: tuple[Share, ...], before: Mapping[Arm, Before]) -> list[str]:
    """One line for the segments, those that are out of balance by name, and one for how the arms' units fared before the rollout."""
    lines = []
    off = [share for share in found if share.off]
    if found and not off:
        lines.append(f"balance: {len(found)} segments compared, none differs between the arms by more than chance")
    for share in off:
        lines.append(
            f"balance: {share.segment} is {100 * share.candidate:.1f} % of candidate and {100 * share.stable:.1f} % of stable units "
            f"({100 * share.difference:+.1f} points [{100 * share.low:+.1f}, {100 * share.high:+.1f}]): the arms are not alike"
        )
    candidate, stable = before.get(Arm.CANDIDATE), before.get(Arm.STABLE)
    if candidate is not None and stable is not None and candidate.units and stable.units:
        fared = (f"{arm} {of.units} units, {100 * (of.error_rate or 0.0):.1f} % with an error" for arm, of in before.items())
        lines.append(f"before the rollout: {'; '.join(fared)}")
    return lines
