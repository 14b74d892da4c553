"""A rollout on its way, its planned looks, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from detent.terms.flags import Phase
from detent.terms.pinfile import Plan, Version


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
    """A planned look at the proof, which needs every proving guard non-inferior at the same look."""

    number: int
    at: datetime
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
class Rollout:
    """A change of version on its way. Plan, salt and base rates are frozen when it opens; `revision` is its compare-and-set counter."""

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
    base_rates: dict[str, float] = field(default_factory=dict)
    looks: tuple[Look, ...] = ()
    approved: tuple[str, ...] = ()
    held: Held | None = None
    reason: str = ""
    ended_at: datetime | None = None
    revision: int = 0

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
    """What to do with a rollout, why (a CamelCase code and a sentence), on which numbers, and the digest of its evidence."""

    rollout: str
    verb: Verb
    reason: str
    sentence: str
    at: datetime
    evidence_digest: str
    numbers: dict[str, float] = field(default_factory=dict)
    look: Look | None = None
    unsafe_short_windows: bool = False
