"""Records folded into units, and units sealed into labels: the sample that every sequential test of a rollout reads. Pure.

A unit bets once per rollout and guard (statistics 2.1): its row is made at its first exposure and carries that arm and share period for
good; what is said until first exposure + maturity folds into its running value; then it is sealed, once, and stays there, so that a later
leg of the same unit can't bet again. The fold doesn't depend on the order in which the spools of several gateways are read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from detent.evidence.metrics import UNSCORED_BUCKET, Metric, Said
from detent.stats import sketch
from detent.terms import Arm, Feedback, Guard, Intent, Result, Role, UnitKind, Unscored


class UnitKey(NamedTuple):
    """A unit in a rollout. A unit that meets two routes is in two rollouts, and is two units."""

    rollout: str
    unit: str


@dataclass(frozen=True, slots=True)
class Exposed:
    """A randomised unit of a rollout: the arm and share period of its first exposure. `saw_candidate`: assigned to the candidate by now."""

    key: UnitKey
    kind: UnitKind
    arm: Arm
    period: int
    first_us: int
    saw_candidate: bool


@dataclass(frozen=True, slots=True)
class Running:
    """What was said of a unit for one guard until `due_us`: how often, how often true, and the sum. `bucket` is set when it is sealed."""

    key: UnitKey
    guard: str
    due_us: int
    said: int = 0
    events: int = 0
    total: float = 0.0
    bucket: int | None = None


@dataclass(frozen=True, slots=True)
class Units:
    """Rows as stored: units by key, and their running values by key and guard."""

    exposed: Mapping[UnitKey, Exposed] = field(default_factory=dict)
    running: Mapping[UnitKey, Mapping[str, Running]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exposing:
    """How many units, and how many that saw the candidate, an exposure count changes by."""

    rollout: str
    period: int
    arm: Arm
    units: int
    saw_candidate: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows that a fold made or changed, and what that does to the exposure counts."""

    exposed: tuple[Exposed, ...]
    running: tuple[Running, ...]
    exposing: tuple[Exposing, ...]


def unit_of(intent: Intent) -> UnitKey | None:
    """The unit that a leg counts for; None for one that never counts: no rollout, not randomised (static, forced, excluded), mirrored."""
    if intent.rollout is None or not intent.randomised or intent.role is Role.MIRRORED:
        return None
    return UnitKey(intent.rollout, intent.unit)


class UnitFold:
    """Folds records into the rows of `units`, which must hold every unit that the records name and the store knows."""

    def __init__(self, units: Units, guards: Mapping[str, Sequence[Guard]], metrics: Mapping[str, Metric]) -> None:
        """`guards` are those of each rollout's plan; a guard whose metric isn't in `metrics` gets no rows, and so never any evidence."""
        self._stored = units
        self._exposed = dict(units.exposed)
        self._running = {key: dict(rows) for key, rows in units.running.items()}
        self._guards = {rollout: [g for g in of_plan if g.metric in metrics] for rollout, of_plan in guards.items()}
        self._metrics = metrics
        self._touched: set[UnitKey] = set()

    def intent(self, intent: Intent) -> None:
        """A leg is about to be sent: its unit is exposed, for the first time or again."""
        key = unit_of(intent)
        if key is None:
            return
        former = self._exposed.get(key)
        saw = intent.arm is Arm.CANDIDATE
        if former is None:
            self._expose(Exposed(key, intent.unit_kind, intent.arm, intent.period, intent.at_us, saw))
        elif intent.at_us < former.first_us and all(row.bucket is None for row in self._running.get(key, {}).values()):
            # Another gateway's spool, read later, holds an earlier leg: that was the first exposure.
            self._expose(Exposed(key, intent.unit_kind, intent.arm, intent.period, intent.at_us, saw or former.saw_candidate))
        elif saw and not former.saw_candidate:
            self._exposed[key] = replace(former, saw_candidate=True)
            self._touched.add(key)

    def result(self, intent: Intent, result: Result) -> None:
        """A leg ended: counted for the arm that its unit was assigned, whichever arm answered."""
        key = unit_of(intent)
        if key is not None:
            for guard in self._open(key, result.at_us):
                self._say(key, guard, self._metrics[guard].of_result(intent, result))

    def feedback(self, feedback: Feedback, key: UnitKey) -> None:
        """The app said something of a unit. What it says of the time before the unit's first exposure is no outcome of the rollout."""
        unit = self._exposed.get(key)
        if unit is not None and feedback.at_us >= unit.first_us:
            for guard in self._open(key, feedback.at_us):
                self._say(key, guard, self._metrics[guard].of_feedback(feedback))

    def changes(self) -> Changes:
        """What has to be written."""
        exposing: Counter[tuple[str, int, Arm]] = Counter()
        seeing: Counter[tuple[str, int, Arm]] = Counter()
        for key in self._touched:
            for unit, by in ((self._stored.exposed.get(key), -1), (self._exposed[key], 1)):
                if unit is not None:
                    exposing[key.rollout, unit.period, unit.arm] += by
                    seeing[key.rollout, unit.period, unit.arm] += by * unit.saw_candidate
        return Changes(
            exposed=tuple(self._exposed[key] for key in self._touched if self._exposed[key] != self._stored.exposed.get(key)),
            running=tuple(
                row
                for key in self._touched
                for guard, row in self._running.get(key, {}).items()
                if row is not self._stored.running.get(key, {}).get(guard)
            ),
            exposing=tuple(Exposing(*where, exposing[where], seeing[where]) for where in exposing if exposing[where] or seeing[where]),
        )

    def _expose(self, unit: Exposed) -> None:
        self._exposed[unit.key] = unit
        rows = self._running.setdefault(unit.key, {})
        for guard in self._guards.get(unit.key.rollout, ()):
            if self._metrics[guard.metric].level == "session" and unit.kind not in (UnitKind.SESSION, UnitKind.USER):
                continue
            due_us = unit.first_us + round(guard.matures * 1_000_000)
            former = rows.get(guard.metric)
            rows[guard.metric] = Running(unit.key, guard.metric, due_us) if former is None else replace(former, due_us=due_us)
        self._touched.add(unit.key)

    def _open(self, key: UnitKey, at_us: int) -> list[str]:
        """The guards for which what happened at this time still counts."""
        return [guard for guard, row in self._running.get(key, {}).items() if row.bucket is None and at_us <= row.due_us]

    def _say(self, key: UnitKey, guard: str, said: Said) -> None:
        # Missing is a type: an Unscored, or a value that is no number, never becomes a 0.
        if said is None or isinstance(said, Unscored) or not math.isfinite(said):
            return
        row = self._running[key][guard]
        self._running[key][guard] = Running(key, guard, row.due_us, row.said + 1, row.events + (said is True), row.total + said)
        self._touched.add(key)


def bucket_of(row: Running, metric: Metric | None) -> int:
    """The label-count bucket of a sealed unit: 0 or 1 for a rate, the mean's log bucket for a value, else `UNSCORED_BUCKET`."""
    if metric is None or (row.said == 0 and metric.silent is None):
        return UNSCORED_BUCKET
    if metric.kind == "rate":
        return int(row.events > 0 if row.said else bool(metric.silent))
    mean = row.total / row.said if row.said else -1.0
    return sketch.bucket(mean) if mean >= 0.0 else UNSCORED_BUCKET


def base_rates(
    legs: Iterable[tuple[Intent, Result | None]],
    feedback: Iterable[tuple[Feedback, str]],
    guards: Sequence[Guard],
    metrics: Mapping[str, Metric],
) -> dict[str, float]:
    """The rate of each rate guard among the units of past traffic, folded as a rollout's own units are; (events + 1/2) / (units + 1).

    The half event (Jeffreys) keeps a guard without any event off 0. A guard that no unit says anything about is left out. `feedback`
    comes with the id of the unit that it is about.
    """
    past = "past"
    fold = UnitFold(Units(), {past: guards}, metrics)
    counted = [(replace(i, rollout=past, randomised=True), r) for i, r in legs if i.role is not Role.MIRRORED]
    for intent, _ in counted:
        fold.intent(intent)
    for intent, result in counted:
        if result is not None:
            fold.result(intent, result)
    for said, unit in feedback:
        fold.feedback(said, UnitKey(past, unit))
    events: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for row in fold.changes().running:
        bucket = bucket_of(row, metrics[row.guard])
        if metrics[row.guard].kind == "rate" and bucket != UNSCORED_BUCKET:
            units[row.guard] += 1
            events[row.guard] += bucket
    return {guard: (events[guard] + 0.5) / (n + 1) for guard, n in units.items()}
