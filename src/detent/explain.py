"""Why a rollout stands where it stands: sentences with numbers. Pure; `detent explain` and `detent status` print them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from detent.evidence import METRICS
from detent.evidence.verdict import OnStale, counted, describe_failures, describe_slice, few, prompts
from detent.evidence.verdict import verdict as judged
from detent.terms import BaselineEvidence, Decision, Evidence, Flag, Guard, Phase, Rollout, Spread, show_duration
from detent.view import PLANNED_LOOKS, View, describe_e, describe_rate, next_look_at


class Gateway(Protocol):
    """What a live gateway said of itself."""

    @property
    def gateway(self) -> str:
        """Its name."""

    @property
    def revision(self) -> int:
        """The revision that it serves."""

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def seen_at(self) -> datetime:
        """When it was last heard of."""


SPREAD_ALPHA = 0.01
"""From which p-value on the two versions are said to vary alike. Spread is shown and decides nothing."""

LIVE_S = 10.0
"""A gateway that was not heard of for so long (five of its heartbeats) has died, or is cut off from the store."""


def silent_s(gateway: Gateway, now: datetime) -> float | None:
    """For how many seconds a gateway was not heard of; None for a live one."""
    silent = (now - gateway.seen_at).total_seconds()
    return silent if silent > LIVE_S else None


def describe_gateway(gateway: Gateway, revision: int, now: datetime) -> str:
    """One line: where a gateway listens and which revision it serves, when the store is at `revision`."""
    where = f"gateway {gateway.gateway} on {gateway.address}: revision {gateway.revision}"
    silent = silent_s(gateway, now)
    if silent is not None:
        return f"{where}, not heard of for {ago(silent)}"
    return where if gateway.revision == revision else f"{where}, behind: the store is at {revision}"


def ago(seconds: float) -> str:
    """A duration for people: `4s`, `12 min`, `3.2 h`, `2.1 days`."""
    if seconds < 90:
        return f"{seconds:.0f}s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"


def headline(rollout: Rollout, now: datetime) -> str:
    """One line: what is rolled out on which route, where it is and since when."""
    where = f"{rollout.phase}"
    if rollout.phase is Phase.CANARY:
        where += f" step {rollout.step + 1} of {len(rollout.plan.canary.steps)}, {100 * rollout.split:g} % of units"
    if rollout.phase is Phase.SOAK:
        where += f", {100 * rollout.split:g} % of units"
    since = (
        f"ended {rollout.ended_at:%Y-%m-%d %H:%M:%S} UTC" if rollout.ended_at else f"for {ago((now - rollout.entered_at).total_seconds())}"
    )
    held = f", held: {rollout.held.reason} by {rollout.held.by}" if rollout.held else ""
    return f"{rollout.id}  {rollout.route}: {rollout.stable.model} -> {rollout.candidate.model}  {where} ({since}{held})"


def summary(revision: int, flags: Mapping[str, Flag], rollouts: Sequence[Rollout], gateways: Iterable[Gateway]) -> dict[str, Any]:
    """Routes, rollouts and live gateways for machines; no secret in it."""
    return {
        "revision": revision,
        "routes": {
            name: {"stable": str(f.stable), "candidate": str(f.candidate) if f.candidate else None, "split": f.split, "rollout": f.rollout}
            for name, f in sorted(flags.items())
        },
        "rollouts": [{"id": r.id, "route": r.route, "phase": r.phase, "candidate": str(r.candidate), "reason": r.reason} for r in rollouts],
        "gateways": [
            {"gateway": g.gateway, "revision": g.revision, "address": g.address, "seen_at": g.seen_at.isoformat()} for g in gateways
        ],
    }


def describe(decision: Decision) -> str:
    """`advance (BaselinePassed) no confirmed negative flip among 60 prompts`, and that its windows were short where they were."""
    short = " [unsafe_short_windows]" if decision.unsafe_short_windows else ""
    return f"{decision.verb} ({decision.reason}) {decision.sentence}{short}"


def _guard(view: View, guard: Guard) -> str:
    found = view.guard_evidence[guard.metric]
    metric = METRICS[guard.metric]
    arms = (
        f"candidate {describe_rate(found.candidate_events, found.candidate_units)}, "
        f"stable {describe_rate(found.stable_events, found.stable_units)}"
    )
    if metric.kind == "value":
        return f"{guard.metric} ({metric.says}): observed only, {found.candidate_units} candidate and {found.stable_units} stable units"
    parts = [f"{guard.metric} ({metric.says}): {arms}"]
    if guard.metric in view.log_e:
        parts.append(f"E = {describe_e(view.log_e[guard.metric])}")
    if guard.role == "prove":
        parts.append(_proof(view, guard))
    unscored = found.candidate_unscored + found.stable_unscored
    if unscored:
        parts.append(f"{unscored} units unscored")
    return "; ".join(parts)


def _proof(view: View, guard: Guard) -> str:
    margin = f"ratio {guard.margin_ratio:g}" if guard.margin_ratio is not None else f"{100 * (guard.margin_abs or 0):g} points"
    proof = view.proofs[guard.metric]
    if proof is None:
        return f"margin {margin}: nothing to go by yet (too few events)"
    unit = "ratio" if guard.margin_ratio is not None else "difference"
    return f"margin {margin}: {unit} {proof.estimate:.3g} [{proof.lower:.3g}, {proof.upper:.3g}], z = {proof.z:.2f}"


def _next_look(rollout: Rollout, now: datetime) -> str:
    due = next_look_at(rollout)
    if rollout.proved:
        return "the proof was reached at a planned look; what is left is time"
    if due is None:
        return f"all {PLANNED_LOOKS} looks were taken"
    number, left = f"look {len(rollout.looks) + 1} of {PLANNED_LOOKS}", due - now.timestamp()
    return f"{number} is due in {ago(left)}" if left > 0 else f"{number} is due, and waits for evidence that it could rest on"


def describe_baseline(found: BaselineEvidence, on_stale: OnStale = "wait") -> list[str]:
    """The baseline's result: the verdict, flips by cause, slices, changes, and the means that a mean-score gate would have read.

    `on_stale` is the plan's: where it says only to `warn`, a stale baseline may pass.
    """
    if found.cases == 0:
        return ["baseline: no frozen baseline"]
    verdict, sentence = judged(found, on_stale)
    lines = [f"baseline: {verdict.value.replace('_', ' ')}: {sentence}"]
    if not found.pending:
        lines.append(
            f"  {counted(len(found.confirmed), 'confirmed negative flip')} among {prompts(found.cases)} "
            f"({counted(found.suspects, 'suspect')} run again, about {prompts(found.positive)} better, {found.errors} not scored, "
            f"{found.never_right} that stable never passes)"
        )
    for cause, n in Counter(flip.cause for flip in found.confirmed).most_common():
        lines.append(f"  {n} x {cause}")
    for note, n in Counter(note for flip in found.confirmed for note in flip.notes).most_common():
        lines.append(f"  {note}: {n} of the lost prompts")
    lines += [f"  refused: `{shape.shape}` ({prompts(shape.cases)}): {shape.said}" for shape in found.refused]
    if found.left_script:
        lines.append(f"  leaves the recorded script: {few(list(found.left_script))}")
    lines += [f"  {line}" for line in (*_slices(found), *_changes(found), *_figures(found))]
    return lines


def _slices(found: BaselineEvidence) -> list[str]:
    """All prompts, each harmed stratum, and the worst of the others."""
    if found.overall is None:
        return []
    others = [s for s in found.slices if not s.harmed][:1]
    lines = [describe_slice(found.overall) + (" HARMED" if found.overall.harmed else "")]
    if found.overall.weighted is not None and abs(found.overall.weighted - found.overall.difference) >= 0.001:
        lines.append(f"by the traffic that prompts stand for: {100 * found.overall.weighted:+.1f} points")
    lines += [f"slice {describe_slice(s)} HARMED" for s in found.slices if s.harmed]
    return lines + [f"worst {'other ' if len(others) < len(found.slices) else ''}slice {describe_slice(s)}" for s in others]


def _changes(found: BaselineEvidence) -> list[str]:
    """How many prompts show each named change, lost or not."""
    lines = []
    if found.changes:
        lines.append("changed in most runs: " + ", ".join(f"{name} {n}" for name, n in found.changes.items()) + " prompts")
    if found.reworded:
        lines.append(f"only reworded: {prompts(found.reworded)}")
    return lines


def _beside(found: BaselineEvidence) -> list[str]:
    """Cases that are in no mean, and what went on around the answers."""
    lines = []
    if found.probes:
        unscored = f", {found.probes_unscored} not scored on either version" if found.probes_unscored else ""
        lines.append(f"probes: {found.probes}, in no mean{unscored}")
    if found.not_replayable:
        lines.append(f"not replayable: stable itself leaves the recorded script of {prompts(found.not_replayable)}")
    if found.leaving is not None:
        lines.append(
            f"runs of agent cases that leave the script: candidate {100 * found.leaving.candidate:.1f} %, stable "
            f"{100 * found.leaving.stable:.1f} % (p = {found.leaving.p_value:.2g})"
        )
    if found.failures is not None:
        lines.append(f"the candidate's calls: {describe_failures(found.failures)}")
    return lines


def _figures(found: BaselineEvidence) -> list[str]:
    """What a reader has to know beside the verdict."""
    lines = _beside(found)
    if found.spread is not None:
        alike = f"no difference that stands, which takes p < {SPREAD_ALPHA:g}"
        kept = alike if found.spread.p_value >= SPREAD_ALPHA else "the candidate varies " + _more(found.spread)
        lines.append(
            f"spread: stable's own runs differ by {100 * found.spread.stable:.1f} % of their words, the candidate's by "
            f"{100 * found.spread.candidate:.1f} % over {prompts(found.spread.cases)} (p = {found.spread.p_value:.2g}): {kept}"
        )
    if found.content_stable is not None and found.content_candidate is not None:
        lines.append(f"mean content score: stable {found.content_stable:.3f}, candidate {found.content_candidate:.3f}")
    if found.noise_floor is not None:
        lines.append(f"noise floor: stable against itself flips {100 * found.noise_floor:.1f} % of prompts in a single run")
    if found.blessed is not None:
        lines.append(f"known good: {100 * found.blessed:.0f} % of the traffic weight is blessed; elsewhere a change is only a change")
    lines += [f"stale: {why}" for why in found.stale]
    if found.spent_usd is not None:
        lines.append(f"spent: {found.spent_usd:.2f} USD" + (", stopped at the budget" if found.over_budget else ""))
    return lines


def _more(spread: Spread) -> str:
    return "more" if spread.candidate > spread.stable else "less"


def explain(
    rollout: Rollout, evidence: Evidence, baseline: BaselineEvidence | None, decisions: Sequence[Decision], now: datetime
) -> list[str]:
    """Where it stands and why, what it waits for, each guard with both arms' numbers, and the decisions so far."""
    view = View(rollout, evidence, now)
    lines = [headline(rollout, now)]
    if decisions:
        last = decisions[-1]
        lines.append(f"last decision: {last.verb} ({last.reason}) {ago((now - last.at).total_seconds())} ago: {last.sentence}")
    if rollout.reason:
        lines.append(f"reason: {rollout.reason}")
    if rollout.plan.unsafe_short_windows:
        lines.append(f"plan `{rollout.plan.name}` has unsafe_short_windows: its windows are shorter than 48h")
    if baseline is not None:
        lines += describe_baseline(baseline, "warn")  # it has begun: a baseline that went stale since is told, and holds nothing up
    shadow = evidence.shadow
    if shadow is not None:
        lines.append(
            f"shadow: {shadow.pairs} pairs of {rollout.plan.shadow.pairs} scored; only the candidate failed in {shadow.candidate_only}, "
            f"only stable in {shadow.stable_only}; {shadow.not_comparable} not comparable, {shadow.unscored} unscored"
        )
    if rollout.canary_at is not None:
        lines.append(f"exposed: {evidence.users_exposed} of {evidence.users_seen} units (what a split sticks to) met the candidate")
        lines.append(f"harm: E = {describe_e(view.log_e_all)} over all guards; rolls back at {1 / rollout.plan.alpha:g}")
        lines += [f"  {_guard(view, guard)}" for guard in rollout.plan.guards]
        if rollout.phase is Phase.CANARY:
            lines.append(f"proof: {_next_look(rollout, now)}; window at most {show_duration(rollout.plan.canary.at_most)}")
        if view.log_e_sample_ratio > math.log(10):
            lines.append(f"sample ratio: E = {describe_e(view.log_e_sample_ratio)}; an alarm at 1000")
    lines += [f"  {d.at:%H:%M:%S} {describe(d)}" for d in decisions]
    return lines


def as_json(rollout: Rollout, evidence: Evidence, baseline: BaselineEvidence | None, decisions: Sequence[Decision]) -> dict[str, Any]:
    """The same, for machines."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(
        {"rollout": rollout, "evidence": evidence, "baseline": baseline, "decisions": list(decisions)}
    )
    plain["rollout"].pop("salt")  # a secret: whoever knows it can choose an arm
    return plain
