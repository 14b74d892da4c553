"""Requests that the candidate does not take at all: a finding of its own, for every case of the same shape. Pure.

A refusal is a version's own if it came `REFUSALS` times and the version never took what it refused; it is news of the candidate if stable
takes the same. A version that takes other cases of a shape speaks only for the case that it refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from detent.evidence.shapes import shape
from detent.evidence.tally import NOTHING, CaseTally, Tallies
from detent.terms import Arm, Case, Refused, Run

REFUSALS = 2
"""So many refusals without an answer condemn a request: a single one may be a bad minute of the provider."""

SAID_CHARS = 300
"""How much of the provider's words is kept."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The findings, the ids of the cases that the candidate and stable refuse, and of those of which that is not known yet.

    For the cases that are `waiting` no call is made until it is known, from those of another case of their shape.
    """

    findings: tuple[Refused, ...] = ()
    by_candidate: frozenset[str] = frozenset()
    by_stable: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()

    @property
    def settled(self) -> frozenset[str]:
        """Cases that no call is made for."""
        return self.by_candidate | self.by_stable | self.waiting


def refusals(cases: Sequence[Case], tallies: Tallies) -> Refusals:
    """What either version refuses. What stable is refused as well says nothing about the candidate, and never counts as a pass."""
    if not any(case.refused for case in tallies.values()):
        return Refusals()
    shapes: defaultdict[str, dict[str, Case]] = defaultdict(dict)
    for case in cases:
        shapes[shape(case.endpoint, case.request)][case.id] = case
    findings: list[Refused] = []
    told: defaultdict[str, set[str]] = defaultdict(set)
    for made, members in sorted(shapes.items()):
        named: dict[str, Case] = {}
        for group in _groups(members, tallies):
            whose = _whose([tallies.get(case, NOTHING) for case in group])
            told[whose].update(group)
            if whose == "candidate":
                named |= group
            if whose == "unknown":
                told["waiting"].update(case for case in group if not tallies.get(case, NOTHING).refused)
        if named:
            findings.append(Refused(shape=made, said=_said(named, tallies), cases=len(named)))
    kept = {whose: frozenset(of) for whose, of in told.items()}
    none = frozenset[str]()
    return Refusals(
        tuple(findings), kept.get("candidate", none), kept.get("stable", none), kept.get("unknown", none), kept.get("waiting", none)
    )


def refused(cases: Sequence[Case], tallies: Tallies) -> tuple[tuple[Refused, ...], frozenset[str], frozenset[str]]:
    """The findings, the ids of the cases that the candidate refuses and stable takes, and of those that nothing can be said of."""
    found = refusals(cases, tallies)
    return found.findings, found.by_candidate, found.by_stable | found.unknown


def _groups(members: dict[str, Case], tallies: Tallies) -> list[dict[str, Case]]:
    """Cases of a shape that share their fate: all of them while one version has refused some and taken none, else each on its own."""
    found = [tallies.get(case, NOTHING) for case in members]
    if any(_count(found, arm)[0] and not _count(found, arm)[1] for arm in Arm):
        return [members]
    return [{name: case} for name, case in members.items()]


def _whose(found: Sequence[CaseTally]) -> str:
    """Whose refusal it is: `candidate`, `stable`, `nobody`, or `unknown` while that takes another call."""
    (stable_refused, stable_took), (refused, took) = _count(found, Arm.STABLE), _count(found, Arm.CANDIDATE)
    if stable_refused and not stable_took:
        return "stable" if stable_refused >= REFUSALS else "unknown"
    if not refused or took:
        return "nobody"
    return "candidate" if stable_took and refused >= REFUSALS else "unknown"


def _count(found: Sequence[CaseTally], arm: Arm) -> tuple[int, int]:
    """How many runs of these cases a version refused, and how many it took."""
    made = [tally for case in found for tally in case.both(arm)]
    return sum(tally.refused for tally in made), sum(tally.took for tally in made)


def _said(members: dict[str, Case], tallies: Tallies) -> str:
    """The provider's words, of a case that may be shown; of one of the blind reserve its id."""
    runs = [(case, run) for name, case in members.items() for run in _refused_runs(tallies.get(name, NOTHING))]
    case, run = min(runs, key=lambda found: found[0].reserve)
    return f"case {case.id} is of the blind reserve: what was said is not shown" if case.reserve else (run.error or run.output)[:SAID_CHARS]


def _refused_runs(case: CaseTally) -> list[Run]:
    return [run for tally in case.both(Arm.CANDIDATE) for _, run in sorted(tally.runs.items()) if run.request_refused]
