"""The way back: what its probes found, what a drill measured, and what an owner is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from detent.terms.pinfile import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One small request to a version that traffic may have to go back to. `limits` are what its provider said of the quota, by kind
    (`requests`, `tokens`), per minute; empty where it says nothing.
    """

    route: str
    version: Version
    at: datetime
    ok: bool
    latency_s: float | None = None
    detail: str = ""
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """Whether traffic could go back to a version now, and since when it is known. `broken` says why it could not, `unknown` why nobody can
    tell; both empty: proven.

    `headroom` is the share of the quota that the route's present load would leave, by kind; below zero it would not fit.
    """

    route: str
    version: Version | None
    proven_at: datetime | None = None
    latency_s: float | None = None
    headroom: dict[str, float] = field(default_factory=dict)
    broken: str = ""
    unknown: str = ""

    @property
    def proven(self) -> bool:
        """Whether it is known to work."""
        return not self.broken and not self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillStep:
    """One timed step of a drill: what was done, when, and how many seconds after the drill's decision."""

    name: str
    at: datetime
    after_s: float
    detail: str = ""


DrillVerdict = Literal["passed", "failed", "aborted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """A drill, under way (`verdict` None) or ended. `served` and `failed` count answers of the way back to real requests."""

    id: str
    route: str
    version: Version
    share: float
    by: str
    began_at: datetime
    ended_at: datetime | None = None
    steps: tuple[DrillStep, ...] = ()
    served: int = 0
    failed: int = 0
    over_quota: int = 0
    gateways: int = 0
    silent: tuple[str, ...] = ()
    verdict: DrillVerdict | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that an owner is told, once for as long as it lasts. `kind` is a CamelCase code, `about` what it concerns (a route, a
    rollout); one that `pages` waits for a person to acknowledge it.
    """

    id: str
    at: datetime
    kind: str
    about: str
    owner: str
    sentence: str
    hint: str = ""
    pages: bool = False
    ended_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
