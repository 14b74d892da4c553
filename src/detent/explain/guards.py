"""Each guard of a canary: both arms, how far apart, how sure, and what it waits for. One value, for people and for machines. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from detent.explain.wording import ago
from detent.guarding import buckets_of, describe_e, describe_rate, describe_values, has_model, proof_of, typical
from detent.stats.proof import Proof, boundaries, non_inferiority
from detent.terms import Guard, GuardEvidence, MetricRow, Phase, Tally, Working
from detent.transitions import LEARNED_FROM
from detent.view import View, look_in_s
from detent.windows import planned_looks

SHOWN_SEGMENTS = 3
"""How many segments of a guard are told to people; machines get all of them."""

Segments = Mapping[str, Mapping[str, GuardEvidence]]
"""Evidence by metric and segment (`tenant=acme`)."""

Reports = Mapping[str, Sequence[Tally]]
"""By metric and share period: of how many sealed units (the tallies' units) an outcome was heard (their events)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """Both arms of one guard, in words and numbers, and how far apart they are, with 95 % confidence and stratified by share period.

    `candidate` and `stable` are rates, or geometric means or medians of values; `gap` is their ratio or their difference. None: not known.
    """

    said: str
    candidate_units: int
    stable_units: int
    candidate: float | None
    stable: float | None
    kind: Literal["ratio", "difference"]
    gap: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def describe_gap(self) -> str:
        """`ratio 1.02 [0.97, 1.08]` or `difference +0.5 points [-0.1, +1.1]`; empty where nothing can be said."""
        if self.gap is None and self.low is None and self.high is None:
            return ""
        if self.kind == "ratio":  # to no event it is infinite, and so may its upper bound be; a lower bound never is
            gap, high = (math.inf if x is None else x for x in (self.gap, self.high))
            return f"ratio {gap:.3g}, bounds not known" if self.low is None else f"ratio {gap:.3g} [{self.low:.3g}, {high:.3g}]"
        if self.gap is None:
            return ""
        said = f"difference {100 * self.gap:+.2g} points"
        if self.low is None or self.high is None:
            return f"{said}, bounds not known"
        return f"{said} [{100 * self.low:+.2g}, {100 * self.high:+.2g}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardTold:
    """One guard as it stands. `boundary` is what z has to reach at the next look, or had to at the last; `waits` is what it waits for,
    since `since`; `worse_in` names segments whose whole interval is worse.
    """

    metric: str
    says: str
    role: str
    action: str
    margin: str
    arms: Arms
    log_e: float | None = None
    e: float | None = None
    z: float | None = None
    boundary: float | None = None
    waits: str = ""
    since: datetime | None = None
    unscored: int = 0
    reports: str = ""
    segments: dict[str, Arms]
    worse_in: tuple[str, ...] = ()


def guards_told(view: View, segments: Segments | None = None, reports: Reports | None = None) -> tuple[GuardTold, ...]:
    """Each guard of the plan, in its order."""
    of_metric, heard = segments or {}, reports or {}
    return tuple(_told(view, guard, of_metric.get(guard.metric, {}), heard.get(guard.metric, ())) for guard in view.rollout.plan.guards)


def _told(view: View, guard: Guard, segments: Mapping[str, GuardEvidence], reports: Sequence[Tally]) -> GuardTold:
    metric, found = guard.metric, view.guard_evidence[guard.metric]
    row = view.rows.get(metric)
    known = view.rollout.working.get(metric, Working())
    log_e = view.log_e.get(metric)
    waits, since = _waits(view, guard, row, found)
    if row is None:
        none = Arms(said="nothing", candidate_units=0, stable_units=0, candidate=None, stable=None, kind="ratio")
        arms, of_segments = none, dict[str, Arms]()
    else:
        arms = _arms(row, guard, found, known)
        # The difference of rates: a small segment has often no event on one arm, and then no ratio.
        each = replace(guard, margin_ratio=None, margin_abs=0.01) if row.kind == "rate" else guard
        of_segments = {name: _arms(row, each, of, replace(known, since=0)) for name, of in sorted(segments.items())}
    last = next((at for look in reversed(view.rollout.looks) for at in look.guards if at.metric == metric), None)
    proof = view.proofs.get(metric)
    return GuardTold(
        metric=metric,
        says=row.says if row else "",
        role=guard.role,
        action=guard.action,
        margin=_margin(guard),
        arms=arms,
        log_e=log_e,
        e=None if log_e is None else _finite(math.exp(min(log_e, 700.0))),
        z=_finite(proof.z) if proof else None,
        boundary=_boundary(view, metric, proof) or (last.boundary if last else None),
        waits=waits,
        since=since,
        unscored=found.candidate_unscored + found.stable_unscored,
        reports=_reports(reports),
        segments=of_segments,
        worse_in=tuple(name for name, of in of_segments.items() if row is not None and is_worse(of, guard.side or row.side)),
    )


def _boundary(view: View, metric: str, proof: Proof | None) -> float | None:
    """What z has to reach at the next look, were it taken with what is counted now; None where there is none, or nothing new to it."""
    rollout = view.rollout
    if proof is None or proof.information <= 0.0 or rollout.phase is not Phase.CANARY or look_in_s(rollout, view.now) is None:
        return None
    before = [at.information for look in rollout.looks for at in look.guards if at.metric == metric]
    return _finite(boundaries(rollout.plan.alpha, [*before, proof.information], planned_looks(rollout.plan))[-1])


def _margin(guard: Guard) -> str:
    if guard.margin_ratio is not None:
        return f"ratio {guard.margin_ratio:g}"
    return "" if guard.margin_abs is None else f"{100 * guard.margin_abs:g} points"


def _arms(row: MetricRow, guard: Guard, found: GuardEvidence, known: Working) -> Arms:
    if row.kind == "rate":
        values = tuple(
            (describe_rate(events, units), units, events / units if units else None)
            for events, units in ((found.candidate_events, found.candidate_units), (found.stable_events, found.stable_units))
        )
    else:
        values = tuple((describe_values(row, buckets), buckets.total(), typical(row, buckets)) for buckets in buckets_of(found))
    (said1, units1, typical1), (said0, units0, typical0) = values
    proof = _proof(row, guard, found, known)
    return Arms(
        said=f"candidate {said1}, stable {said0}",
        candidate_units=units1,
        stable_units=units0,
        candidate=typical1,
        stable=typical0,
        kind="difference" if guard.margin_abs is not None and row.kind == "rate" else "ratio",
        gap=_finite(proof.estimate) if proof else None,
        low=_finite(proof.lower) if proof else None,
        high=_finite(proof.upper) if proof else None,
    )


def _proof(row: MetricRow, guard: Guard, found: GuardEvidence, known: Working) -> Proof | None:
    try:
        return proof_of(row, guard, found, known)
    except (ValueError, ArithmeticError, RuntimeError):
        return None  # a guard that fails is told as one that fails


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None


def is_worse(arms: Arms, side: str) -> bool:
    """Whether the interval lies wholly on the worse side of no difference."""
    even = 1.0 if arms.kind == "ratio" else 0.0
    more = arms.low is not None and arms.low > even
    less = arms.high is not None and arms.high < even
    return (more and side in ("more", "both")) or (less and side in ("less", "both"))


def _reports(reports: Sequence[Tally]) -> str:
    """Of how many units each arm reported an outcome, where the arms differ within their share periods: lost events look like this
    (statistics 2.4). Pooled they would differ as well where the app merely reports more, or less, since the share was raised.
    """
    proof = non_inferiority(reports, margin_abs=0.01) if reports else None
    if proof is None or proof.lower <= 0.0 <= proof.upper:
        return ""
    return f"an outcome is reported by {100 * proof.candidate_rate:.1f} % of candidate and {100 * proof.stable_rate:.1f} % of stable units"


Waiting = tuple[str, datetime | None]
"""What a guard waits for, and since when, where that is known."""

_NOTHING: Waiting = ("", None)


def _waits(view: View, guard: Guard, row: MetricRow | None, found: GuardEvidence) -> Waiting:
    metric, began = guard.metric, view.rollout.canary_at
    if metric in view.failed:
        return f"could not be computed: {view.failed[metric]}", _held_since(view, "GuardFailed")
    if guard.role == "observe" or row is None:
        return _NOTHING
    if metric in view.without_data:
        units = found.candidate_units + found.stable_units
        return f"NO DATA: nothing was heard of its {units} units, which blocks a promotion", _held_since(view, "GuardWithoutData") or began
    if not has_model(row, view.rollout.working.get(metric, Working())):
        of = f"{min(found.stable_units, LEARNED_FROM)} of {LEARNED_FROM}"
        return f"learns what is usual from stable's first units ({of})", began
    if metric in view.not_applying:
        return "does not apply to this traffic so far", began
    if guard.role != "prove" or view.rollout.phase is not Phase.CANARY:
        return _NOTHING
    return _waits_for_proof(view, metric)


def _held_since(view: View, reason: str) -> datetime | None:
    held = view.rollout.held
    return held.since_at if held is not None and held.reason == reason else None


def _waits_for_proof(view: View, metric: str) -> Waiting:
    """For a look: since it was due, or else since the last one; before the first, since the canary began."""
    rollout, now = view.rollout, view.now
    if rollout.proved:
        return _NOTHING
    before = rollout.looks[-1].at if rollout.looks else rollout.canary_at
    proof, due_in = view.proofs[metric], look_in_s(rollout, now)
    if due_in is None:
        return f"was not shown non-inferior in {planned_looks(rollout.plan)} looks", before
    since = now + timedelta(seconds=due_in) if due_in <= 0.0 else before
    if proof is None or proof.information == 0.0:
        return "waits for more events or units: too few for a proof", since
    number = len(rollout.looks) + 1
    return (f"waits for look {number} in {ago(due_in)}" if due_in > 0.0 else f"waits for look {number}, which is due"), since


def _named(segment: str) -> str:
    dimension, _, value = segment.partition("=")
    return f"prompt template {value[:8]}" if dimension == "template" else segment


def describe_guard(told: GuardTold, now: datetime) -> list[str]:
    """A guard in a line, and a line for each segment that is worse."""
    parts = [f"{told.metric} ({told.says}): {told.arms.said}" if told.says else f"{told.metric}: {told.arms.said}"]
    if told.role == "observe":
        parts.append("observed only")
    if told.log_e is not None:
        parts.append(f"E = {describe_e(told.log_e)}")
    gap = told.arms.describe_gap
    if told.role == "prove":
        of = f" of {told.boundary:.2f}" if told.boundary is not None else ""
        z = f", z = {told.z:.2f}{of}" if told.z is not None else ""
        parts.append(f"margin {told.margin}: {gap}{z}" if gap else f"margin {told.margin}: nothing to go by yet")
    elif gap:
        parts.append(gap)
    if told.waits:
        since = f" (for {ago((now - told.since).total_seconds())})" if told.since else ""
        parts.append(told.waits + since)
    if told.unscored:
        parts.append(f"{told.unscored} units unscored")
    if told.reports:
        parts.append(told.reports)
    alike: dict[str, list[str]] = {}
    for name in told.worse_in:  # two names for the same units, as where a tenant has a region of its own, are told once
        alike.setdefault(f"{told.segments[name].said}; {told.segments[name].describe_gap}", []).append(_named(name))
    shown = list(alike.items())[:SHOWN_SEGMENTS]
    lines = [f"  worse in {' and '.join(names)}: {said}" for said, names in shown]
    if len(alike) > len(shown):
        lines.append(f"  worse in {len(alike) - len(shown)} more segments; all of them with --json")
    return ["; ".join(parts), *lines]
