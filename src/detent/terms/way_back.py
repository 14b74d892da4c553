"""The way back: what its probes found, what a drill measured, and what an owner is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from detent.terms.legs import Outcome
from detent.terms.pinfile import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One small request to a version that traffic may have to go back to. `limits` are what its provider said of the quota, by kind
    (`requests`, `tokens`, `input_tokens`, `output_tokens`), per minute, or per day where the kind says so (`requests_per_day`); empty where
    it says nothing. `ends_at` is when the provider shuts
    the version down, where its list of models says so.

    `unasked` says why nobody could ask: such a probe is neither good nor bad. `every_s` is how long it is until the next one, `used` the
    input and output tokens that it took, as its answer says; where that says nothing, as many as it was allowed.
    """

    route: str
    version: Version
    at: datetime
    ok: bool
    latency_s: float | None = None
    detail: str = ""
    limits: dict[str, float] = field(default_factory=dict)
    ends_at: datetime | None = None
    unasked: str = ""
    every_s: float = 60.0
    used: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmCopy:
    """How a way back has answered a copy of a request that the pinned version had answered in full, when, and of which unit."""

    at: datetime
    unit: str
    outcome: Outcome
    status: int | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """Whether traffic could go back to a version now, and since when it is known. `broken` says why it could not, `unknown` why nobody can
    tell; both empty: proven.

    `headroom` is the share of the quota that the route's present load would leave, by kind; below zero it would not fit. `ends_at` is when
    its provider shuts it down, where that is announced. `by` says what proves it: probes, or real traffic, which copies of it are too.
    """

    route: str
    version: Version | None
    proven_at: datetime | None = None
    latency_s: float | None = None
    headroom: dict[str, float] = field(default_factory=dict)
    broken: str = ""
    unknown: str = ""
    ends_at: datetime | None = None
    by: Literal["probes", "traffic"] = "probes"

    @property
    def proven(self) -> bool:
        """Whether it is known to work."""
        return not self.broken and not self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerVersion:
    """A version that a route was pinned to until `since`, when `rollout` was done. It is kept until somebody retires it."""

    route: str
    version: Version
    since: datetime
    rollout: str
    retired_at: datetime | None = None
    retired_by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillStep:
    """One timed step of a drill (`drill.STEPS`): what was done, when, and how many seconds after the drill's first step, its page if it
    had one, else its decision.
    """

    name: str
    at: datetime
    after_s: float
    detail: str = ""


DrillVerdict = Literal["passed", "failed", "inconclusive", "aborted"]
"""`inconclusive` saw no traffic: it is no pass, and speaks against nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """A drill, under way (`verdict` None) or ended. `served` and `failed` count answers of the way back to real requests, `over_quota`
    those with which its provider said that the quota is used up; `usual_served` and `usual_failed` are the pinned version's meanwhile.

    `revision` is that of the flag by which traffic was moved, `returned` that by which it was returned: 0 for not yet. By `ends_at` it is
    returned, or nobody pressed (`alert` is the page that waits for somebody to). Seconds are medians.
    """

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
    owner: str = ""
    lasts_s: float = 0.0
    ends_at: datetime | None = None
    revision: int = 0
    returned: int = 0
    alert: str = ""
    usual_served: int = 0
    usual_failed: int = 0
    latency_s: float | None = None
    usual_latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A drill that a person did without, by name, with a reason and until when."""

    route: str
    at: datetime
    by: str
    why: str
    until_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that an owner is told, once for as long as it lasts. `kind` is a CamelCase code, `about` what it concerns (a route, a
    rollout); one that `pages` waits for a person to acknowledge it. News does not `last`: nothing ends it but the word of who read it.
    """

    id: str
    at: datetime
    kind: str
    about: str
    owner: str
    sentence: str
    hint: str = ""
    pages: bool = False
    lasts: bool = True
    ended_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An alert on its way to one receiver: how often it was tried, when next, when it was taken, and what kept it from it last."""

    alert: str
    channel: str
    tries: int
    next_at: datetime
    sent_at: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOrder:
    """`rollback --local`: a route's traffic back on stable, as somebody said on a gateway's host. `rollout` is the one that was served
    there then, None where none was known: the order is about no other.
    """

    id: str
    route: str
    rollout: str | None
    by: str
    why: str
    at: datetime


TokenRole = Literal["viewer", "operator", "approver"]
TOKEN_ROLES: tuple[TokenRole, ...] = ("viewer", "operator", "approver")
"""What a token's holder may, least first; see `detent.roles`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Somebody who may act, by name and role. Of the token itself the store knows a digest only, and hands out nothing."""

    name: str
    role: TokenRole
    by: str
    at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A human yes to one stage of one rollout, as it stood: at that revision, with the decision that waited, made from that evidence.

    Good for one use until `until_at`.
    """

    id: str
    rollout: str
    stage: str
    revision: int
    evidence: str
    by: str
    at: datetime
    until_at: datetime
    used_at: datetime | None = None
