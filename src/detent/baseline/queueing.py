"""The calls of a baseline run that are still to be made, in the order in which they are worth making. Pure, but for what it remembers.

One call of each shape of request goes to the candidate before all others of it. Where it is refused, the shape is asked of stable, and once
more of the candidate, before it is a finding: what stable is refused as well says nothing of the candidate, and one refusal may be a slip.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from detent.baseline.pacing import CEILING
from detent.evidence.flips import RunKey
from detent.evidence.shapes import shape
from detent.terms import Arm, Case, Run

REFUSED_FROM = 2
"""Refusals of the candidate from which on a shape is not asked for any more, where stable takes it."""


@dataclass(slots=True)
class _Known:
    """What both versions did with one shape of request. `unsure`: the first call of the candidate came to nothing, neither way."""

    taken: set[Arm] = field(default_factory=set)
    refused: dict[Arm, list[str]] = field(default_factory=lambda: {arm: [] for arm in Arm})
    unsure: bool = False

    def add(self, run: Run) -> None:
        if run.request_refused:
            self.refused[run.arm].append(run.case)
        elif run.passed is not None or run.left_script:
            self.taken.add(run.arm)

    @property
    def open(self) -> bool:
        """Whether all calls of the shape may be made."""
        return Arm.CANDIDATE in self.taken or (self.unsure and not self.refused[Arm.CANDIDATE])

    @property
    def off(self) -> bool:
        """Whether no other call of the shape is worth its price."""
        return bool(self.refused[Arm.STABLE]) or (len(self.refused[Arm.CANDIDATE]) >= REFUSED_FROM and Arm.STABLE in self.taken)

    def lacks(self) -> tuple[Arm, ...]:
        """Whom to ask before anything is said of the shape, each once."""
        if not self.refused[Arm.CANDIDATE]:
            return (Arm.CANDIDATE,)
        second = () if len(self.refused[Arm.CANDIDATE]) >= REFUSED_FROM else (Arm.CANDIDATE,)
        return second if Arm.STABLE in self.taken else (*second, Arm.STABLE)


class Queue:
    """The pending calls of each version. `total` is how many of them are to be made, as far as that is known."""

    def __init__(self, cases: Iterable[Case], pending: Iterable[RunKey], runs: Iterable[Run]) -> None:
        self.cases = {case.id: case for case in cases}
        self.total = 0
        self._ready: dict[Arm, deque[RunKey]] = {Arm.CANDIDATE: deque(), Arm.STABLE: deque()}
        self._waiting: defaultdict[str, list[RunKey]] = defaultdict(list)
        self._probing: defaultdict[str, set[RunKey]] = defaultdict(set)
        self._known: defaultdict[str, _Known] = defaultdict(_Known)
        self._shapes = {case.id: shape(case.endpoint, case.request) for case in self.cases.values()}
        for run in runs:
            if run.case in self.cases:
                self._known[self._shapes[run.case]].add(run)
        for key in pending:
            self.total += 1
            made = self._shapes[key.case]
            if self._known[made].open:
                self._ready[key.arm].append(key)
            else:
                self._waiting[made].append(key)
        for made in reversed(list(self._waiting)):
            self._arrange(made)

    def next(self, busy: Mapping[Arm, int]) -> RunKey | None:
        """A call to make now, of the version that has fewer in flight; None while there is none or both have enough."""
        for arm in sorted(self._ready, key=lambda arm: (busy[arm], arm is Arm.STABLE)):
            if self._ready[arm] and busy[arm] < CEILING:
                return self._ready[arm].popleft()
        return None

    def back(self, key: RunKey) -> None:
        """Put a call back, first in line."""
        self._ready[key.arm].appendleft(key)

    def settled(self, key: RunKey, run: Run) -> None:
        """After a run: the calls that waited for it may be made, or are off, or wait for another one."""
        made = self._shapes[key.case]
        known, asked = self._known[made], self._probing[made]
        known.add(run)
        known.unsure = known.unsure or (key in asked and run.passed is None and not run.left_script)
        if run.request_refused and not known.open:
            for arm, ready in self._ready.items():
                self._waiting[made] += [k for k in ready if self._shapes[k.case] == made and k not in asked]
                self._ready[arm] = deque(k for k in ready if self._shapes[k.case] != made or k in asked)
        asked.discard(key)
        if not asked and self._waiting[made]:
            self._arrange(made)

    def _arrange(self, made: str) -> None:
        """Let go of the calls that wait for a shape, or drop them, or take the next of them that tells."""
        known, waiting = self._known[made], self._waiting[made]
        lacking = () if known.off or known.open else known.lacks()
        probes = [key for arm in lacking if (key := _told_by(waiting, arm, known.refused[Arm.CANDIDATE])) is not None]
        for key in probes:
            waiting.remove(key)
            self._probing[made].add(key)
            self._ready[key.arm].appendleft(key)
        if not probes:  # it is known, or nothing is left that could tell
            waited = self._waiting.pop(made)
            if known.refused[Arm.CANDIDATE] and not known.open:
                self.total -= len(waited)
                return
            for key in waited:
                self._ready[key.arm].append(key)


def _told_by(waiting: Iterable[RunKey], arm: Arm, refused: Collection[str]) -> RunKey | None:
    """A call of this version, of a case that was refused before where there is one: the same request, asked again."""
    of_arm = [key for key in waiting if key.arm is arm]
    return next((key for key in of_arm if key.case in refused), of_arm[0] if of_arm else None)
