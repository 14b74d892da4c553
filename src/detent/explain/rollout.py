"""A rollout in sentences, and the same for machines. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from detent.alerting import way_out
from detent.evidence.past import Before
from detent.explain.balance import Share, describe_balance, shares
from detent.explain.baseline import describe_baseline
from detent.explain.guards import Reports, Segments, describe_guard, guards_told
from detent.explain.shadow import describe_shadow
from detent.explain.way_back import describe_way_back
from detent.explain.wording import ago, describe
from detent.guarding import describe_e
from detent.terms import Arm, BaselineEvidence, Decision, Evidence, Phase, Rollout, Verb, show_duration
from detent.transitions import STORE_PUT_BACK
from detent.view import View, look_in_s
from detent.windows import planned_looks, served_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is told and decides nothing: evidence by segment, reported outcomes, how the arms' units fared before the rollout, what `people`
    said of it (when, who, what), and what live `gateways` say of themselves about its route.
    """

    segments: Segments = field(default_factory=dict)
    reports: Reports = field(default_factory=dict)
    before: Mapping[Arm, Before] = field(default_factory=dict)
    people: Sequence[tuple[datetime, str, str]] = ()
    gateways: Sequence[str] = ()


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
    held = ""
    if rollout.held:
        held = f", held: {rollout.held.reason} by {rollout.held.by} for {ago((now - rollout.held.since_at).total_seconds())}"
    unproved = f", unproved: on the word of {rollout.unproven}" if _promoted_unproved(rollout) else ""
    against = "against itself" if rollout.aa else f"-> {rollout.candidate.model}"
    return f"{rollout.id}  {rollout.route}: {rollout.stable.model} {against}  {where} ({since}{held}{unproved})"


def explain(
    rollout: Rollout,
    evidence: Evidence,
    baseline: BaselineEvidence | None,
    decisions: Sequence[Decision],
    now: datetime,
    *,
    beside: Beside | None = None,
) -> list[str]:
    """Where it stands and why, what it waits for, each guard with both arms' numbers, and the decisions so far."""
    view = View(rollout, evidence, now)
    lines = [headline(rollout, now), *_of_the_rollout(rollout, decisions, now), *(beside or Beside()).gateways]
    if evidence.way_back is not None and not rollout.phase.terminal:
        lines.append(describe_way_back(evidence.way_back, now))
        if evidence.way_back.broken and not rollout.aa:
            lines.append(f"  {way_out(rollout.id, rollout.phase)}")
    if baseline is not None:
        lines += describe_baseline(baseline, "warn")  # it has begun: a baseline that went stale since is told, and holds nothing up
    if evidence.shadow is not None:
        lines += describe_shadow(rollout, evidence.shadow)
    if rollout.canary_at is not None:
        lines += _canary(view, beside or Beside())
    return lines + _history(decisions, (beside or Beside()).people)


def _history(decisions: Sequence[Decision], people: Sequence[tuple[datetime, str, str]]) -> list[str]:
    """What was decided and what people said, by time. A promotion on a person's word is both, and told once."""
    told = [(d.at, describe(d)) for d in decisions]
    told += [(at, f"{by}: {what}") for at, by, what in people if not what.startswith("promote")]
    return [f"  {at:%H:%M:%S} {said}" for at, said in sorted(told, key=lambda one: one[0])]


def _of_the_rollout(rollout: Rollout, decisions: Sequence[Decision], now: datetime) -> list[str]:
    lines = []
    if decisions:
        last = decisions[-1]
        by_hand = rollout.phase.terminal and rollout.reason.split(":")[0] in ("RolledBackByHuman", "AbortedByHuman")
        which = "last decision before a person ended it" if by_hand else "last decision"
        lines.append(f"{which}: {last.verb} ({last.reason}) {ago((now - last.at).total_seconds())} ago: {last.sentence}")
    if rollout.reason:
        lines.append(f"reason: {rollout.reason}")
    if rollout.held is not None and rollout.held.reason == STORE_PUT_BACK:
        lines.append(f"{rollout.held.why}; say how it goes on: `detent resume {rollout.id}` or `detent rollback {rollout.id}`")
    if rollout.plan.unsafe_short_windows:
        lines.append(f"plan `{rollout.plan.name}` has unsafe_short_windows: its windows are shorter than 48h")
    if _promoted_unproved(rollout, decisions):
        lines.append(f"unproved: promoted on the word of {rollout.unproven}")
    elif rollout.unproven:
        lines.append(f"opened although it could prove nothing, on the word of {rollout.unproven}")
    if rollout.aa:
        lines.append("both arms are the pinned version: every alarm is a false one")
    by_clock, served = (now - rollout.entered_at).total_seconds(), served_s(rollout, now)
    if not rollout.phase.terminal and by_clock - served > max(60.0, 0.01 * by_clock):
        lines.append(
            f"served: {ago(served)} of the {ago(by_clock)} since it entered this phase: no controller looked after it in the rest, "
            "which does not count"
        )
    return lines


def _promoted_unproved(rollout: Rollout, decisions: Sequence[Decision] = ()) -> bool:
    """Whether a person promoted it without proof."""
    beyond = rollout.phase in (Phase.SOAK, Phase.DONE) and not rollout.aa and not rollout.proved
    return bool(rollout.unproven) and (beyond or any(d.reason == "PromotedUnproved" for d in decisions))


def _canary(view: View, beside: Beside) -> list[str]:
    rollout, evidence, now = view.rollout, view.evidence, view.now
    lines = [
        f"exposed: {evidence.users_exposed} of {evidence.users_seen} units (what a split sticks to) met the candidate",
        f"harm: E = {describe_e(view.log_e_all)} over all guards{_as_of(rollout)}; rolls back at {1 / rollout.plan.alpha:g}",
    ]
    for told in guards_told(view, beside.segments, beside.reports):
        lines += [f"  {line}" for line in describe_guard(told, now)]
    if rollout.phase is Phase.CANARY:
        limit = show_duration(rollout.plan.canary.at_most)
        lines.append(f"proof: {_next_look(view)}; window at most {limit}")
    if view.log_e_sample_ratio > math.log(10):
        lines.append(f"sample ratio: E = {describe_e(view.log_e_sample_ratio)}; an alarm at 1000")
    return lines + describe_balance(_balance(view, beside), beside.before)


def _as_of(rollout: Rollout) -> str:
    """Units that were under way when a rollout ended are counted after it, so that its numbers are others than it ended on."""
    return "" if rollout.ended_at is None else f", as of now (it ended at {rollout.ended_at:%H:%M:%S} on what was counted then)"


def _balance(view: View, beside: Beside) -> tuple[Share, ...]:
    """From the rate guard of which most units were sealed."""
    rates = [found for metric, found in view.guard_evidence.items() if found.tallies and beside.segments.get(metric)]
    if not rates:
        return ()
    most = max(rates, key=lambda found: found.candidate_units + found.stable_units)
    return shares(most, beside.segments[most.metric])


def _next_look(view: View) -> str:
    rollout = view.rollout
    due_in = look_in_s(rollout, view.now)
    if rollout.proved:
        return f"the proof was reached at a planned look; what is left is {_left(view)}"
    if due_in is None:
        return f"all {planned_looks(rollout.plan)} looks were taken"
    number = f"look {len(rollout.looks) + 1} of {planned_looks(rollout.plan)}"
    return f"{number} is due in {ago(due_in)}" if due_in > 0 else f"{number} is due, and waits for evidence that it could rest on"


def _left(view: View) -> str:
    """What a canary whose proof was reached still waits for."""
    held = view.rollout.held
    if view.failed:
        return f"that {', '.join(view.failed)} can be computed"
    if view.without_data:
        return f"data of {', '.join(view.without_data)}"
    return f"what it is held for: {held.reason}" if held is not None else "time"


def as_json(
    rollout: Rollout,
    evidence: Evidence,
    baseline: BaselineEvidence | None,
    decisions: Sequence[Decision],
    now: datetime,
    *,
    beside: Beside | None = None,
) -> dict[str, Any]:
    """The same, for machines; a number that is infinite or not known is null."""
    view, beside = View(rollout, evidence, now), beside or Beside()
    plain: dict[str, Any] = msgspec.to_builtins(
        {"rollout": rollout, "evidence": evidence, "baseline": baseline, "decisions": list(decisions)}
    )
    held = rollout.held
    last = decisions[-1] if decisions else None
    plain["state"] = headline(rollout, now)
    plain["why"] = rollout.reason or (describe(last) if last else "")
    plain["waits_for"] = None
    if not rollout.phase.terminal and (held is not None or (last is not None and last.verb is Verb.HOLD)):
        plain["waits_for"] = f"{held.reason}: {held.why}" if held is not None else describe(last) if last else None
    plain["people"] = [{"at": at.isoformat(), "by": by, "what": what} for at, by, what in beside.people]
    plain["rollout"].pop("salt")  # a secret: whoever knows it can choose an arm
    if rollout.canary_at is not None:
        due_in = None if rollout.phase.terminal else look_in_s(rollout, now)
        plain["harm"] = {"log_e": view.log_e_all, "rolls_back_at": 1 / rollout.plan.alpha, "sample_ratio_log_e": view.log_e_sample_ratio}
        plain["guards"] = msgspec.to_builtins(guards_told(view, beside.segments, beside.reports))
        plain["proof"] = {"proved": rollout.proved, "looks": len(rollout.looks), "next_look_in_s": due_in}
        plain["balance"] = [msgspec.to_builtins(share) | {"off": share.off} for share in _balance(view, beside)]
        plain["before"] = {arm.value: msgspec.to_builtins(of) for arm, of in beside.before.items()}
    return plain
