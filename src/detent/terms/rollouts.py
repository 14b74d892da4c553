"""A rollout on its way, its planned looks, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from detent.terms.flags import Phase
from detent.terms.names import METRIC_NAMES, MetricRow
from detent.terms.pinfile import DeclaredMetric, Price, Version
from detent.terms.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAt:
    """One proving guard at one look: its statistic (None: nothing to say), the boundary to reach (None: out of reach), its information."""

    metric: str
    z: float | None
    boundary: float | None
    information: float

    @property
    def proved(self) -> bool:
        """Whether the guard was shown non-inferior."""
        return self.z is not None and self.boundary is not None and self.z >= self.boundary


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A planned look at the proof, which needs every proving guard non-inferior at the same look.

    `watched_s` is where the rollout's count of watched seconds stood then.
    """

    number: int
    at: datetime
    watched_s: float = 0.0
    guards: tuple[LookAt, ...] = ()

    @property
    def lacking(self) -> tuple[str, ...]:
        """Metrics of the guards that were not shown non-inferior."""
        return tuple(g.metric for g in self.guards if not g.proved)

    @property
    def proved(self) -> bool:
        """Whether every proving guard was shown non-inferior. Without a proving guard nothing is proved."""
        return bool(self.guards) and not self.lacking


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Why a rollout does not move, and on whose word. `by` is `detent` for its own holds."""

    reason: str
    by: str
    since_at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """What a guard's bets take for usual, measured on stable's past and frozen before the units that they judge.

    A wrong one costs power, never validity. `rate` of a rate; `centre` and `deviation` of ln(value); `thresholds` are P50, P90 and P99 of
    a value. Units first exposed before share period `since` are not bet on: they are what it was measured on.
    """

    rate: float | None = None
    centre: float | None = None
    deviation: float | None = None
    thresholds: tuple[float, ...] = ()
    units: int = 0
    since: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A change of version on its way. Plan, salt, prices, declared metrics and working models (by metric) are frozen; `revision` is its
    compare-and-set counter.

    `watched_s` counts the seconds in which a controller looked after it; what a phase must serve is counted by it, so that neither a clock
    that jumps nor a server that was off serves time. `*_watched_s` is where the count stood at that moment. None: nobody counts, and the
    clock is taken at its word. `aa`: both arms are the pinned version, to try the machinery. `proposed_by` had it opened. `unproven` says
    who had it opened, and why, although it could not prove anything, or promoted without proof. `entered_period` is the first share period
    of the phase and step it is in. `harmed` is the metric over whose harm it was rolled back.
    """

    id: str
    route: str
    owner: str
    stable: Version
    candidate: Version
    plan: Plan
    salt: str
    opened_at: datetime
    phase: Phase = Phase.PROPOSED
    step: int = 0
    entered_at: datetime
    canary_at: datetime | None = None
    split: float = 0.0
    period: int = 0
    entered_period: int = 0
    working: dict[str, Working] = field(default_factory=dict)
    declared: dict[str, DeclaredMetric] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    watched_s: float | None = None
    entered_watched_s: float = 0.0
    canary_watched_s: float = 0.0
    aa: bool = False
    proposed_by: str = ""
    unproven: str = ""
    looks: tuple[Look, ...] = ()
    approved: tuple[str, ...] = ()
    held: Held | None = None
    reason: str = ""
    harmed: str = ""
    ended_at: datetime | None = None
    revision: int = 0

    def metric(self, name: str) -> MetricRow:
        """The metric of that name: Detent's own, or one that the pin file declared when the rollout opened. KeyError for no such metric."""
        return METRIC_NAMES[name] if name in METRIC_NAMES else self.declared[name].row

    @property
    def proved(self) -> bool:
        """Whether some planned look found every proving guard non-inferior."""
        return any(look.proved for look in self.looks)


class Verb(StrEnum):
    """What a decision says should happen."""

    ADVANCE = "advance"
    HOLD = "hold"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    REJECT = "reject"
    NOT_PROVED = "not_proved"
    VOID = "void"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with a rollout, why (a CamelCase code and a sentence), on which numbers, and the digest of its evidence. `guard` is the
    metric that harm was found in, as of a rollback over harm; empty in those of a Detent that did not say so.
    """

    rollout: str
    verb: Verb
    reason: str
    sentence: str
    at: datetime
    evidence_digest: str
    numbers: dict[str, float] = field(default_factory=dict)
    look: Look | None = None
    unsafe_short_windows: bool = False
    guard: str = ""
