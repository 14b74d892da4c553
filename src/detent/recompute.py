"""Stored decisions, made again: with what they were made from (`replay`), or with another plan (`what_if`). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import msgspec

from detent import evidence as ev
from detent.by_hand import BY_HAND
from detent.decide import decide, objection
from detent.errors import InvalidInput
from detent.manifest.findings import Finding
from detent.manifest.guard_rules import GUARD_RULES
from detent.manifest.plan_rules import RANGES
from detent.terms import Decision, DeclaredMetric, Evidence, Guard, Look, Plan, Rollout, Verb
from detent.transitions import after

ENDS = (Verb.ROLL_BACK, Verb.REJECT, Verb.NOT_PROVED, Verb.VOID, Verb.FINISH)
"""Verbs after which nothing more is decided."""


class Decided(Protocol):
    """A decision as it is stored: its evidence, and the rollout as it was before; None of one that an older Detent stored."""

    @property
    def decision(self) -> Decision:
        """What was decided."""

    @property
    def evidence(self) -> bytes:
        """The evidence, as `evidence.encode` wrote it."""

    @property
    def before(self) -> Rollout | None:
        """The rollout that it was decided about."""

    @property
    def unreadable(self) -> str:
        """Why its row cannot be read; empty where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A stored decision and what it comes to now. `again` is None, and `why` says why, where it cannot be made again.

    What a person decided is made again by nobody: `by_hand` says that it was, and that nothing in its evidence objects to it.
    """

    decision: Decision
    again: Decision | None
    why: str = ""
    by_hand: bool = False

    @property
    def same(self) -> bool:
        """Whether it recomputes to the same value, evidence included."""
        return self.again == self.decision


def replay(stored: Sequence[Decided]) -> tuple[Replayed, ...]:
    """Each decision made again from its stored evidence and rollout."""
    return tuple(_replayed(one) for one in stored)


def _replayed(one: Decided) -> Replayed:
    if one.unreadable:
        return Replayed(decision=one.decision, again=None, why=one.unreadable)
    if one.before is None or not one.evidence:
        return Replayed(decision=one.decision, again=None, why="stored by an older Detent, without the rollout as it was")
    if hashlib.sha256(one.evidence).hexdigest() != one.decision.evidence_digest:
        return Replayed(decision=one.decision, again=None, why="its evidence is not what it was made from: the digests differ")
    try:
        evidence = ev.decode(one.evidence)
        if one.decision.reason in BY_HAND and objection(one.before, evidence, one.decision.at) is None:
            return Replayed(decision=one.decision, again=None, why="a person's word", by_hand=True)
        return Replayed(decision=one.decision, again=_again(one.decision, one.before, evidence))
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        return Replayed(decision=one.decision, again=None, why=f"its evidence cannot be read: {error}")


def _again(decision: Decision, before: Rollout, evidence: Evidence) -> Decision:
    """The decision made again; one of an older Detent by its rules, where it comes out by them."""
    again = decide(before, evidence, decision.at)
    if again != decision and "LimitReached" in (again.reason, decision.reason):  # its limits went by the clock
        of_older = decide(before, evidence, decision.at, limits_by_clock=True)
        again = of_older if of_older == decision else again
    return again if decision.guard else replace(again, guard="")  # it did not name the guard


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What was decided, and what would have been under another plan; `ends`: the rollout would have ended here, or been promoted."""

    decision: Decision
    would_be: Decision
    ends: bool

    @property
    def same(self) -> bool:
        """Whether the other plan would have said the same, for the same reason."""
        return (self.would_be.verb, self.would_be.reason) == (self.decision.verb, self.decision.reason)


def what_if(stored: Sequence[Decided], change: Callable[[Plan], Plan]) -> Iterator[WhatIf]:
    """Each recorded decision under a changed plan, up to the one that would have ended the rollout, or promoted it before its time.

    Looks are taken again with the plan's own margins and alpha; what a person decided stays, unless the other plan would have ended the
    rollout. It can only say what recorded evidence says: a rollout that would have gone
    on for longer, or met more units, is not known.
    """
    looks: tuple[Look, ...] = ()
    for one in stored:
        if one.before is None or not one.evidence:
            continue
        before = replace(one.before, plan=change(one.before.plan), looks=looks)
        would_be = decide(before, ev.decode(one.evidence), one.decision.at)
        if one.decision.reason in BY_HAND and would_be.verb not in ENDS:
            would_be = one.decision
        if would_be.look is not None:
            looks = (*looks, would_be.look)
        ends = would_be.verb in ENDS or (would_be.verb is Verb.PROMOTE and one.decision.verb is not Verb.PROMOTE)
        yield WhatIf(decision=one.decision, would_be=would_be, ends=ends)
        if ends:
            return


# ── what no single decision shows ───────────────────────────────────────────────────────────────────────────────────


def missing(rollout: Rollout, stored: Sequence[Decided], written: Sequence[tuple[datetime, str, str]]) -> list[str]:
    """What is wrong with the decisions of a rollout taken together: some that are gone, of another rollout, or lead elsewhere.

    `written` is what the audit log says of it: when, on whose word, what. Whoever took a decision out of both, and counted the rollout's
    revisions down, is not found out.
    """
    said = [(one.decision.at, f"{one.decision.verb}: {one.decision.reason}: {one.decision.sentence}") for one in stored]
    by_detent = [(at, what) for at, by, what in written if by == "detent" and not what.startswith("learned ")]
    wrong = [
        f"the audit log has a decision of {at:%Y-%m-%d %H:%M:%S} that is not stored: {what}"
        for at, what in by_detent
        if (at, what) not in said
    ]
    wrong += [f"a decision about another rollout: `{d.rollout}`" for d in (one.decision for one in stored) if d.rollout != rollout.id]
    whole = [one for one in stored if one.before is not None]
    moves = 0
    for n, one in enumerate(whole, start=1):
        following = whole[n].before if n < len(whole) else rollout
        assert one.before is not None
        assert following is not None
        when, later = f"{one.decision.at:%Y-%m-%d %H:%M:%S}", following.revision - one.before.revision - 1
        if one.decision.at < one.before.entered_at:
            wrong.append(f"the decision of {when} is older than the phase that it was made in")
        if later < 0:
            wrong.append(f"the decision of {when} is not in its place")
        elif (
            later == 0
            and one.decision.reason not in BY_HAND
            and _standing(after(one.before, one.decision, one.decision.at)) != _standing(following)
        ):
            wrong.append(f"the rollout stood elsewhere after the decision of {when} than it leads to: {following.phase}")
        moves += max(0, later)
    others = len(written) - len(by_detent) - 1  # the first line says that it was opened
    if whole and len(whole) == len(stored) and moves > others:
        wrong.append(f"{moves - others} moves of the rollout are neither stored decisions nor in the audit log")
    return wrong


def _standing(rollout: Rollout) -> tuple[object, ...]:
    """Where a rollout stands, without what is counted or measured as it goes."""
    return rollout.phase, rollout.step, rollout.split, rollout.looks, rollout.reason, rollout.ended_at


# ── a changed plan, as it is spelled on a command line ──────────────────────────────────────────────────────────────

_CHOICES = {"action": ("roll_back", "hold"), "role": ("prove", "harm", "observe"), "side": ("more", "less", "both")}
_NUMBERS = ("margin_ratio", "margin_abs", "tolerance_ratio")
_ALLOWED = {row.pattern[-1]: row for row in RANGES if row.pattern[:2] == ("plans", "*") and row.pattern[-1] in ("alpha", *_NUMBERS)}


def changed(
    plan: Plan, *, alpha: float | None = None, guards: Sequence[str] = (), declared: Mapping[str, DeclaredMetric] | None = None
) -> Plan:
    """The plan with another alpha, and guards changed as `METRIC.key=value` says.

    Raises InvalidInput that names what is wrong: all that a pin file could not say either.
    """
    former = {finding.message for finding in _findings(plan, declared or {})}
    if alpha is not None:
        plan = replace(plan, alpha=_in_range("alpha", alpha))
    for text in guards:
        plan = _with(plan, text)
    for finding in _findings(plan, declared or {}):
        if finding.message not in former:
            raise InvalidInput(finding.message, hint=finding.hint)
    return plan


def _findings(plan: Plan, declared: Mapping[str, DeclaredMetric]) -> list[Finding]:
    """What the pin file's own rules say of these guards."""
    data = {
        "metrics": {name: {"kind": metric.kind, "worse": metric.worse} for name, metric in declared.items()},
        "plans": {plan.name: {"guards": [_written(guard) for guard in plan.guards]}},
    }
    return [finding for rule in GUARD_RULES for finding in rule(data)]


def _written(guard: Guard) -> dict[str, object]:
    written = {
        "metric": guard.metric,
        "role": guard.role,
        "side": guard.side,
        "margin_ratio": guard.margin_ratio,
        "margin_abs": guard.margin_abs,
    }
    if guard.tolerance_ratio != 1.0:
        written["tolerance_ratio"] = guard.tolerance_ratio
    return {key: value for key, value in written.items() if value is not None}


def _in_range(key: str, number: float) -> float:
    allowed = _ALLOWED[key]
    if not allowed.holds(number):
        raise InvalidInput(f"`{key}` is out of range: `{number:g}`", hint=f"give a number {allowed.says}")
    return number


def _with(plan: Plan, text: str) -> Plan:
    name, _, value = text.partition("=")
    metric, _, key = name.rpartition(".")
    named = [guard for guard in plan.guards if guard.metric == metric]
    if not named:
        known = ", ".join(f"`{guard.metric}`" for guard in plan.guards)
        raise InvalidInput(f"no guard of the plan: `{metric or text}`", hint=f"write METRIC.key=value; its guards are {known}")
    return replace(plan, guards=tuple(_guard_with(guard, key, value) if guard.metric == metric else guard for guard in plan.guards))


def _guard_with(guard: Guard, key: str, value: str) -> Guard:
    if key in _CHOICES:
        if value not in _CHOICES[key]:
            raise InvalidInput(f"`{key}` of a guard cannot be: `{value}`", hint=f"one of {', '.join(_CHOICES[key])}")
        return replace(guard, **{key: value})  # type: ignore[arg-type]
    if key not in _NUMBERS:
        can = ", ".join((*_NUMBERS, *_CHOICES))
        raise InvalidInput(
            f"cannot be changed over recorded evidence: `{key}`", hint=f"{can}; units were sealed by the plan's own `matures`"
        )
    try:
        number = float(value)
    except ValueError:
        raise InvalidInput(f"`{key}` is a number: `{value}`") from None
    number = _in_range(key, number)
    other = {"margin_ratio": {"margin_abs": None}, "margin_abs": {"margin_ratio": None}}.get(key, {})
    return replace(guard, **{key: number}, **other)  # type: ignore[arg-type]
