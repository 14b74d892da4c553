"""Records folded into units, and units sealed into labels: the sample that every sequential test of a rollout reads. Pure.

A unit bets once per rollout and guard (statistics 2.1): its row is made at its first exposure and carries that arm and share period for
good; what is said until first exposure + maturity folds into its running value; then it is sealed, once, and stays there, so that a later
leg of the same unit can't bet again.

Records of one spool are folded in the order written. The order in which the spools of several gateways are read changes nothing, except
where one is read so late that the leg it holds, sent before all that is known of a unit, comes after other records of it. That leg is the
first exposure all the same: arm, share period and maturity become its own, whatever was said by then. (To keep the later exposure where
something had been said already would choose a unit's arm by its outcome.) What was said is kept, also what came after the maturity as it
is now, up to the one as it was; what was dropped as said before the exposure as it was, or after a maturity, is not looked for again. So
such a unit was listened to for the time between the two legs longer, whichever arm it is on; one that has bet is not moved any more.

No clocks of two hosts are compared: a leg that another host tells of was sent before a unit's first exposure only if its share period is
an earlier one. Within one period arm and period are the same in any case.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from detent.evidence.metrics import SILENT_BAD_BUCKET, SILENT_GOOD_BUCKET, UNREAD_BUCKET, UNSCORED_BUCKET, Metric, Said
from detent.stats import sketch
from detent.terms import Arm, Begun, Feedback, Guard, Intent, Result, Role, UnitKind, Unscored

_GRAIN = 2.0**30
"""Values are added up in steps of a billionth, binary: such sums are exact, so that no order of reading gives another one."""

_EXACT = 2.0**22

SET_BACK_US = 60_000_000
"""A leg of a later share period that seems to be earlier by more than this was stamped by a clock that was set back: flags are quicker."""


class UnitKey(NamedTuple):
    """A unit in a rollout. A unit that meets two routes is in two rollouts, and is two units."""

    rollout: str
    unit: str


@dataclass(frozen=True, slots=True)
class Exposed:
    """A randomised unit of a rollout: the arm and share period of its first exposure. `saw_candidate`: assigned to the candidate by now.

    `control`: it is in the control slice of stable. The rest are its segments, None where not known: `language` from the result that came
    at `language_us`, the others from the first exposure; and the `host` whose spool told of that, by whose clock its times are.
    """

    key: UnitKey
    kind: UnitKind
    arm: Arm
    period: int
    first_us: int
    saw_candidate: bool
    control: bool = False
    template: str | None = None
    tenant: str | None = None
    region: str | None = None
    returning: bool | None = None
    language: str | None = None
    language_us: int | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """What was said of a unit for one guard until `due_us`: how often, how often true, and the sum (of some values: the greatest).

    A sum of minus infinity: something that was said could not be read, and so far (of a sum: for good) nothing else tells the outcome.
    `bucket` is set when it is sealed.
    """

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

    def __init__(
        self,
        units: Units,
        guards: Mapping[str, Sequence[Guard]],
        metrics: Mapping[str, Mapping[str, Metric]],
        returning: Callable[[Intent], bool | None] = lambda intent: None,
        host: str | None = None,
    ) -> None:
        """`guards` are those of each rollout's plan, `metrics` what it knows: a guard on another gets no rows, and never any evidence.

        `returning` says of a leg whether its user was on record before the rollout opened; `host` is the one whose spools hold the records.
        """
        self._stored = units
        self._exposed = dict(units.exposed)
        self._running = {key: dict(rows) for key, rows in units.running.items()}
        self._guards = {rollout: [g for g in of_plan if g.metric in metrics.get(rollout, ())] for rollout, of_plan in guards.items()}
        self._metrics = metrics
        self._returning = returning
        self._host = host
        self._touched: set[UnitKey] = set()

    def intent(self, intent: Intent) -> None:
        """A leg is about to be sent: its unit is exposed, for the first time or again."""
        key = unit_of(intent)
        if key is None:
            return
        former = self._exposed.get(key)
        saw = intent.arm is Arm.CANDIDATE
        if former is None:
            self._expose(self._exposed_by(key, intent))
        elif self._earlier(intent, former) and all(row.bucket is None for row in self._running.get(key, {}).values()):
            # Another gateway's spool, read later, holds an earlier leg: that was the first exposure.
            earlier = self._exposed_by(key, intent)
            saw = saw or former.saw_candidate
            self._expose(replace(earlier, saw_candidate=saw, language=former.language, language_us=former.language_us))
        elif saw and not former.saw_candidate:
            self._exposed[key] = replace(former, saw_candidate=True)
            self._touched.add(key)

    def _earlier(self, intent: Intent, former: Exposed) -> bool:
        if former.host in (None, self._host) or self._host is None:
            set_back = intent.period > former.period and former.first_us - intent.at_us > SET_BACK_US
            return intent.at_us < former.first_us and not set_back
        return intent.period < former.period

    def begun(self, intent: Intent, begun: Begun) -> None:
        """The first byte of a leg's answer is there; its result is still to come."""
        key = unit_of(intent)
        if key is None:
            return
        metrics = self._metrics.get(key.rollout, {})
        for guard in self._open(key, begun.at_us):
            self._say(key, metrics[guard], metrics[guard].of_begun(intent, begun))

    def result(self, intent: Intent, result: Result) -> None:
        """A leg ended: counted for the arm that its unit was assigned, whichever arm answered."""
        key = unit_of(intent)
        if key is None:
            return
        metrics = self._metrics.get(key.rollout, {})
        for guard in self._open(key, result.at_us):
            self._say(key, metrics[guard], metrics[guard].of_result(intent, result))
        if result.language is not None:
            self._speaks(key, result.at_us, result.language)

    def feedback(self, feedback: Feedback, key: UnitKey) -> None:
        """The app said something of a unit. What it says of the time before the unit's first exposure is no outcome of the rollout."""
        unit = self._exposed.get(key)
        if unit is not None and feedback.at_us >= unit.first_us:
            metrics = self._metrics.get(key.rollout, {})
            for guard in self._open(key, feedback.at_us):
                self._say(key, metrics[guard], metrics[guard].of_feedback(feedback))

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
            if self._metrics[unit.key.rollout][guard.metric].level == "session" and unit.kind not in (UnitKind.SESSION, UnitKind.USER):
                continue
            due_us = unit.first_us + round(guard.matures * 1_000_000)
            former = rows.get(guard.metric)
            rows[guard.metric] = Running(unit.key, guard.metric, due_us) if former is None else replace(former, due_us=due_us)
        self._touched.add(unit.key)

    def _exposed_by(self, key: UnitKey, intent: Intent) -> Exposed:
        return Exposed(
            key,
            intent.unit_kind,
            intent.arm,
            intent.period,
            intent.at_us,
            intent.arm is Arm.CANDIDATE,
            control=intent.control and intent.arm is Arm.STABLE,
            template=intent.template or None,
            tenant=intent.tenant,
            region=intent.region,
            returning=self._returning(intent),
            host=self._host,
        )

    def _speaks(self, key: UnitKey, at_us: int, language: str) -> None:
        """The language of a unit is the one that was heard first; of two at once, either, but always the same."""
        unit = self._exposed.get(key)
        if unit is None or (unit.language is not None and (unit.language_us or 0, unit.language) <= (at_us, language)):
            return
        self._exposed[key] = replace(unit, language=language, language_us=at_us)
        self._touched.add(key)

    def _open(self, key: UnitKey, at_us: int) -> list[str]:
        """The guards for which what happened at this time still counts."""
        known = self._metrics.get(key.rollout, {})
        rows = self._running.get(key, {})
        return [guard for guard, row in rows.items() if row.bucket is None and at_us <= row.due_us and guard in known]

    def _say(self, key: UnitKey, metric: Metric, said: Said) -> None:
        if said is None:
            return
        row = self._running[key][metric.name]
        # Missing is a type: an Unscored, or a value that is no number, never becomes a 0.
        if isinstance(said, Unscored) or not math.isfinite(said):
            if metric.fold == "sum":  # a part that is not known: no sum of the others stands for the whole
                row = replace(row, said=row.said + 1, total=-math.inf)
            elif not row.said:
                row = replace(row, total=-math.inf)
            else:
                return
        else:
            before = row.total if row.said else 0.0
            total = max(before, float(said)) if metric.fold == "max" and row.said else before + _in_grains(said)
            row = Running(key, row.guard, row.due_us, row.said + 1, row.events + (said is True), total)
        self._running[key][metric.name] = row
        self._touched.add(key)


def _in_grains(said: float) -> float:
    return round(said * _GRAIN) / _GRAIN if -_EXACT < said < _EXACT and not isinstance(said, bool) else said


class Label(NamedTuple):
    """What a unit is sealed as: its bucket among all units, and the one in its segments; None where those are not counted."""

    bucket: int
    in_segments: int | None


def bucket_of(row: Running, metric: Metric | None) -> int:
    """The label-count bucket of a sealed unit: of a rate 0 or 1, or what its silence counts as; of a value its log bucket.

    `UNSCORED_BUCKET` where nothing was said, `UNREAD_BUCKET` where nothing of what was said tells the outcome.
    """
    if metric is None:
        return UNSCORED_BUCKET
    if metric.kind == "rate" and row.said:
        return int(row.events == row.said if metric.fold == "all" else row.events > 0)
    if metric.kind == "rate" and metric.silent is not None:
        return SILENT_BAD_BUCKET if metric.silent else SILENT_GOOD_BUCKET
    if not row.said:
        return UNSCORED_BUCKET if row.total == 0.0 else UNREAD_BUCKET
    value = row.total if metric.fold in ("max", "sum") else row.total / row.said
    return sketch.bucket(value) if value >= 0.0 else UNREAD_BUCKET


# ── segments ────────────────────────────────────────────────────────────────────────────────────────────────────────

SEGMENT_VALUES = 20
"""How many values of a dimension are counted apart in one rollout; further ones are `other`."""

_WIDE = 8
_TEMPLATE_CHARS = 12


def segments_of(unit: Exposed, due_us: int) -> list[tuple[str, str]]:
    """The (dimension, value) of a unit in which it is also counted apart, for people: no decision reads them.

    As known at a guard's maturity; what is not known by then is left out.
    """
    found = [("template", unit.template[:_TEMPLATE_CHARS])] if unit.template else []
    if unit.language is not None and unit.language_us is not None and unit.language_us <= due_us:
        found.append(("language", unit.language))
    if unit.tenant:
        found.append(("tenant", unit.tenant))
    if unit.region:
        found.append(("region", unit.region))
    if unit.returning is not None:
        found.append(("returning", "returning" if unit.returning else "new"))
    return found


def in_segments(bucket: int, metric: Metric | None) -> int:
    """The bucket in a unit's segments: of a value one for every eight, 17 % apart, so that segments stay small.

    Zero and what is unscored stay themselves.
    """
    if metric is None or metric.kind == "rate" or bucket <= 0:
        return bucket
    return bucket // _WIDE * _WIDE + _WIDE // 2
