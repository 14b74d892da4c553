"""A shadow in sentences: what was compared, how much of tomorrow's traffic that is, where the answers differ, what it cost. Pure.

`explain` tells it in short, `detent shadow` in full.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from detent.catalog import price
from detent.evidence.pairs import ANY, BETWEEN, harm_of, is_former, log_e_field, named_of
from detent.evidence.verdict import counted
from detent.explain.timings import Timing, describe_timing
from detent.explain.wording import ago
from detent.guarding import describe_e, describe_rate
from detent.shadowing import Covered, covered_of, describe_class, describe_covered, describe_field, describe_harm, describe_named, percent
from detent.terms import (
    DIMENSIONS,
    DayOfPairs,
    FieldEvidence,
    Group,
    Phase,
    Rollout,
    ShadowEvidence,
    Spent,
    show_duration,
)
from detent.transitions import mirror_of
from detent.visible import line
from detent.windows import served_s

NOT_MIRRORED: Mapping[str, str] = {
    "effects": "it does more than ask: a server-side tool, a stored conversation, a file, a container",
    "bound": "its history is bound to the version that wrote it, in the middle of a turn: nothing could be left out for another one",
    "no_shadow": "the client forbade it (x-detent-no-shadow, x-detent-no-record)",
    "too_large": "its body is larger than is kept",
    "processor": "the route's `processors` do not name the candidate's provider",
    "no_key": "the variable that the provider's `shadow_key_env` names is not set; the live key is never taken in its place",
    "pressure": "too much was waiting already",
    "budget": "it might have cost more than is left of the day's budget until this hour, or the store was too slow to say",
    "rate": "more requests a second than the plan allows",
    "paused": "the provider asked to slow down a moment ago (429, 529, or 503 again and again), the shadow or live traffic",
    "lost": "the process that sends them ended before it was sent",
}
"""Why a request that a shadow drew was not sent to the candidate, for people and for the reference."""

SHOWN_GROUPS = 10
"""So many groups a person reads; machines get all that are kept."""

QUOTED = 160
"""Characters shown of each answer of an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A pair that shows a group: what stable and the candidate said, as stored; empty where nothing of it was kept."""

    exchange: str
    stable: str = ""
    candidate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowBeside:
    """What is told of a shadow and decides nothing. `examples` are by exchange; `not_mirrored` by reason and what more was said of it."""

    groups: Sequence[Group] = ()
    examples: Mapping[str, Example] = field(default_factory=dict)
    days: Sequence[DayOfPairs] = ()
    timings: Sequence[Timing] = ()
    spent: Sequence[Spent] = ()
    not_mirrored: Mapping[tuple[str, str], int] = field(default_factory=dict)


# ── in short ────────────────────────────────────────────────────────────────────────────────────────────────────────


def describe_shadow(rollout: Rollout, found: ShadowEvidence) -> list[str]:
    """Pairs, coverage and what differs beyond the noise floor, as `explain` tells it."""
    stage = rollout.plan.shadow
    lines = [
        f"shadow: {found.pairs} pairs scored, of at least {stage.pairs}; {found.seconds} of them with a second answer of stable's, where a "
        f"check failed only the candidate's in {found.candidate_only} and only stable's second in {found.stable_only}; "
        f"{_not_comparable(found)}, {found.unscored} unscored"
    ]
    covered = covered_of(found, "class")
    if covered is not None:
        lines.append(f"  coverage: {describe_covered(covered)}; {100 * stage.coverage:g} % is needed")
    return lines + [f"  beyond the noise floor: {describe_named(one)}" for one in named_of(found, rollout.plan.alpha)]


# ── in full ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def shadow_told(rollout: Rollout, found: ShadowEvidence, beside: ShadowBeside, now: datetime) -> list[str]:
    """The shadow of a rollout, line by line: progress, coverage, what differs, the heaviest groups, timings, cost, what was left out."""
    return [
        *_standing(rollout),
        *_progress(rollout, found, now),
        *_coverage(rollout, found, now),
        *_days(beside.days),
        *_differences(rollout, found),
        *_groups(rollout, found, beside),
        *(f"timing: {describe_timing(timing)}" for timing in beside.timings),
        *_judged(found),
        *_spent(rollout, beside.spent),
        *_left_out(beside.not_mirrored),
        *_pinning(rollout, found, beside),
    ]


def _standing(rollout: Rollout) -> list[str]:
    """That it has not begun, how it ended, or whose word it waits for."""
    if rollout.phase in (Phase.PROPOSED, Phase.BASELINE):
        return [f"the shadow has not begun: the rollout is in `{rollout.phase}`; see `detent explain {rollout.id}`"]
    if rollout.phase.terminal:
        return [f"ended: {rollout.reason}; the decisions are in `detent explain {rollout.id}`"]
    if rollout.held is not None and rollout.held.reason == "AwaitingApproval":
        return [f"it waits for a human yes, and goes on mirroring: `detent approve {rollout.id}`"]
    return []


def _progress(rollout: Rollout, found: ShadowEvidence, now: datetime) -> list[str]:
    stage = rollout.plan.shadow
    lines = [
        f"pairs: {found.pairs} scored, of at least {stage.pairs}; {found.seconds} of them with a second answer of stable's, and all "
        f"bets are on those; {_not_comparable(found)}, {found.unscored} unscored"
    ]
    if rollout.phase is Phase.SHADOW:
        lines.append(
            f"time: {ago(served_s(rollout, now))} of at least {show_duration(stage.at_least)}, {show_duration(stage.at_most)} at most"
        )
    return lines


def _not_comparable(found: ShadowEvidence) -> str:
    """`7 not comparable (5 had gone apart before, 2 followed a turn that was not compared)`."""
    if not found.not_comparable:
        return "0 not comparable"
    apart, unfollowed = found.not_comparable - found.not_followed, found.not_followed
    why = [f"{apart} had gone apart before" if apart else "", f"{unfollowed} followed a turn that was not compared" if unfollowed else ""]
    return f"{found.not_comparable} not comparable ({', '.join(filter(None, why))})"


def _coverage(rollout: Rollout, found: ShadowEvidence, now: datetime) -> list[str]:
    covered = covered_of(found, "class")
    if covered is None:
        return ["coverage: nothing is known of it yet"]
    after = f"after {ago(served_s(rollout, now))} " if rollout.phase is Phase.SHADOW else ""
    wanted = rollout.plan.shadow.coverage
    by = ((name, covered_of(found, name)) for name in (*DIMENSIONS, "cluster"))
    each = ", ".join(f"{_DIMENSION.get(name, name)} {percent(of.estimate)} ({of.classes} met)" for name, of in by if of is not None)
    lines = [f"coverage: {after}{describe_covered(covered)}; its lower end must reach {100 * wanted:g} %"]
    return lines + ([f"  by {each}"] if each else [])


_DIMENSION = {"cluster": "near-duplicate prompts", "tools": "tool set"}


def _days(days: Sequence[DayOfPairs]) -> list[str]:
    """The curve of new classes a day: it flattens as there is less and less that was not met."""
    if not days:
        return []
    told = (f"{_day(one.day_us)}: {one.new_classes} of {one.pairs} pairs ({one.new_clusters} near-duplicates)" for one in days)
    return ["new input classes a day:", *(f"  {line}" for line in told)]


def _day(day_us: int) -> str:
    return f"{datetime.fromtimestamp(day_us / 1e6, UTC):%Y-%m-%d}"


def _differences(rollout: Rollout, found: ShadowEvidence) -> list[str]:
    """Harm, what is beyond the noise floor without being harm, and how often each field was seen on either side."""
    harm, alpha = harm_of(found), rollout.plan.alpha
    lines = [f"harm: E = {describe_e(harm.log_e)} over all fields; rejects at {1 / alpha:g}"]
    if harm.log_e_field >= math.log(1 / alpha):
        lines.append(f"  {describe_harm(harm)}; alone: E = {describe_e(harm.log_e_field)}")
    seen = sorted((of for of in found.fields if of.candidate or of.stable), key=_excess, reverse=True)
    lines += [f"  {_describe_field(of, former=is_former(found))}" for of in seen]
    return lines + [f"beyond the noise floor: {describe_named(one)}; E = {describe_e(one.log_e)}" for one in named_of(found, alpha)]


def _excess(of: FieldEvidence) -> float:
    return (of.candidate - of.stable) / of.pairs if of.pairs else 0.0


def _describe_field(of: FieldEvidence, *, former: bool) -> str:
    harms = "" if of.harms else "; told only"
    return (
        f"{describe_field(of.field)}: {_rates(of.candidate, of.stable, of.pairs)}; E = {describe_e(log_e_field(of, former=former))}{harms}"
    )


def _rates(candidate: int, stable: int, pairs: int) -> str:
    return f"candidate {describe_rate(candidate, pairs)}, stable's second answer {describe_rate(stable, pairs)}"


def beyond_first(rollout: Rollout, found: ShadowEvidence, groups: Sequence[Group]) -> tuple[Group, ...]:
    """Groups of what harms, then of what else is beyond the noise floor, then the others; each by weight, as they come."""
    harming, named = _loud(rollout, found)
    return tuple(sorted(groups, key=lambda group: 0 if _is_of(group, harming) else 1 if group.named or _is_of(group, named) else 2))


def _loud(rollout: Rollout, found: ShadowEvidence) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Field and input class of the harm that rejects, and of the changes that are named."""
    harm, alpha = harm_of(found), rollout.plan.alpha
    harming = [(harm.field, harm.input_class)] if harm.field and harm.log_e >= math.log(1 / alpha) else []
    return harming, [(one.field, one.input_class) for one in named_of(found, alpha)]


def _is_of(group: Group, loud: Sequence[tuple[str, str]]) -> bool:
    """Whether a group is of one of these fields, in a class that it is told to be in (`ANY` is every value of a dimension)."""
    values = group.input_class.split(BETWEEN)
    for field_, where in loud:
        wanted = where.split(BETWEEN) if where else []
        alike = not wanted or (len(wanted) == len(values) and all(want in (ANY, has) for want, has in zip(wanted, values, strict=True)))
        if field_ == group.field and alike:
            return True
    return False


def _beyond(rollout: Rollout, found: ShadowEvidence, group: Group) -> bool:
    harming, named = _loud(rollout, found)
    return group.named or _is_of(group, [*harming, *named])


def _groups(rollout: Rollout, found: ShadowEvidence, beside: ShadowBeside) -> list[str]:
    """The classes of disagreement, what harms first, each with its clearest examples."""
    shown = beyond_first(rollout, found, beside.groups)[:SHOWN_GROUPS]
    if not shown:
        return ["groups of disagreement: none"]
    lines = [f"groups of disagreement with the live answer, {len(shown)} of {len(beside.groups)}, what is beyond the noise floor first:"]
    for n, group in enumerate(shown, 1):
        again = f"; where stable was asked a second time: {_rates(group.candidate, group.stable, group.seconds)}" if group.seconds else ""
        named = "; beyond the noise floor" if _beyond(rollout, found, group) else ""
        since = datetime.fromtimestamp(group.first_us / 1e6, UTC)
        lines.append(
            f"  {n}. {describe_field(group.field)} in requests with `{describe_class(group.input_class)}`: "
            f"{counted(group.pairs, 'pair')}, "
            f"{percent(group.share)} of all compared{again}{named}; first seen {since:%Y-%m-%d %H:%M}"
        )
        for example in (beside.examples.get(exchange, Example(exchange=exchange)) for exchange in group.examples):
            lines.append(f"     {example.exchange}")
            if example.stable or example.candidate:
                lines += [f"       stable:    {line(example.stable, QUOTED)}", f"       candidate: {line(example.candidate, QUOTED)}"]
    return lines


def _judged(found: ShadowEvidence) -> list[str]:
    if not found.judged and not found.planted:
        return []
    planted = f"; of {found.planted} planted injections {found.moved} moved its verdict" if found.planted else ""
    return [f"judge: {found.judged} pairs judged{planted}"]


def _spent(rollout: Rollout, spent: Sequence[Spent]) -> list[str]:
    """What each purse has cost so far, and on its last day, beside that day's limit."""
    mirror, stage, lines = mirror_of(rollout), rollout.plan.shadow, []
    unpriced = [f"`{one}`" for one in (rollout.stable, rollout.candidate) if price(one, rollout.prices) is None]
    without = f" (without {' and '.join(unpriced)}: no price is known)" if unpriced else ""
    limits = {"mirrors": mirror.usd_per_day, "judge": stage.judge_usd_per_day}
    for purse, limit in limits.items():
        days = sorted((one for one in spent if one.purse == purse), key=lambda one: one.day_us)
        if not days:
            continue
        last = days[-1]
        of = f" of {limit:g}" if limit is not None else ""
        held = f", {last.held_usd:.2f} more reserved" if last.held_usd else ""
        tokens = sum(one.tokens for one in days)
        if purse == "mirrors" and len(unpriced) == 2:
            lines.append(f"spent on mirrored calls: {tokens} tokens; USD are not known{without}")
            continue
        lines.append(
            f"spent on {'mirrored calls' if purse == 'mirrors' else 'the judge'}: {sum(one.usd for one in days):.2f} USD"
            f"{without if purse == 'mirrors' else ''} and {tokens} tokens; on {_day(last.day_us)} {last.usd:.2f}{of} USD{held}"
        )
    return lines


def _left_out(not_mirrored: Mapping[tuple[str, str], int]) -> list[str]:
    """What the share had drawn and nobody sent, by reason."""
    if not not_mirrored:
        return []
    by_reason: dict[str, list[tuple[str, int]]] = {}
    for (reason, why), n in sorted(not_mirrored.items(), key=lambda one: -one[1]):
        by_reason.setdefault(reason, []).append((why, n))
    lines = [f"drawn and not mirrored: {sum(not_mirrored.values())} requests"]
    for reason, whys in sorted(by_reason.items(), key=lambda one: -sum(n for _, n in one[1])):
        more = ", ".join(f"{why} {n}" for why, n in whys if why)
        lines.append(f"  {sum(n for _, n in whys)} {reason}: {NOT_MIRRORED.get(reason, 'unknown')}" + (f" ({more})" if more else ""))
    return lines


def _pinning(rollout: Rollout, found: ShadowEvidence, beside: ShadowBeside) -> list[str]:
    """A pair that shows what is beyond the noise floor: noise is nothing to keep. Nor can be what was not stored."""
    beyond = [group for group in beyond_first(rollout, found, beside.groups) if _beyond(rollout, found, group)]
    example = next((exchange for group in beyond for exchange in group.examples if exchange in beside.examples), None)
    if example is not None:
        return [f'keep one of these for every baseline to come: `detent case pin {example} --why "..."`']
    if beside.groups and not beside.examples:
        return ["no bodies of these pairs are stored (`record.bodies = 0`, or over their time), so none can be read or pinned"]
    return []


def shadow_json(rollout: Rollout, found: ShadowEvidence, beside: ShadowBeside, now: datetime) -> dict[str, Any]:
    """The same for machines, all groups of it."""
    harm = harm_of(found)
    coverage: dict[str, Covered | None] = {name: covered_of(found, name) for name in ("class", *DIMENSIONS, "cluster")}
    plain: dict[str, Any] = msgspec.to_builtins(
        {
            "rollout": rollout.id,
            "route": rollout.route,
            "phase": rollout.phase,
            "served_s": served_s(rollout, now) if rollout.phase is Phase.SHADOW else None,
            "plan": rollout.plan.shadow,
            "evidence": found,
            "coverage": {name: of for name, of in coverage.items() if of is not None},
            "harm": harm,
            "named": named_of(found, rollout.plan.alpha),
            "groups": [
                {
                    **msgspec.to_builtins(group),
                    "beyond": _beyond(rollout, found, group),
                    "examples": [beside.examples.get(exchange, Example(exchange=exchange)) for exchange in group.examples],
                }
                for group in beyond_first(rollout, found, beside.groups)
            ],
            "days": beside.days,
            "timings": beside.timings,
            "spent": beside.spent,
            "not_mirrored": [{"reason": reason, "why": why, "n": n} for (reason, why), n in sorted(beside.not_mirrored.items())],
        }
    )
    return plain
