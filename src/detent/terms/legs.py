"""Assignment, the legs of an exchange, and what a gateway writes into its spool about each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from detent.terms.flags import Arm
from detent.terms.pinfile import Version
from detent.terms.requests import Endpoint, Usage


class UnitKind(StrEnum):
    """What a split stuck to. Only session and user carry session- and user-level metrics."""

    SESSION = "session"
    USER = "user"
    OPENING = "opening"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Unit:
    """The assignment unit: `id` is a keyed hash, never the identity itself."""

    kind: UnitKind
    id: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """Unit + flag -> arm. `randomised` is False where no split was in force (static, forced, excluded): such units never count.

    `control` marks a stable unit of the control slice. `why` says (as a slug) why a unit is not where its draw would have it, `version`
    what serves it then, if that is not the arm's own.
    """

    arm: Arm
    unit: Unit
    randomised: bool
    control: bool = False
    why: str = ""
    version: Version | None = None


class Role(StrEnum):
    """Why a leg was sent."""

    SERVED = "served"
    FALLBACK = "fallback"
    MIRRORED = "mirrored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One upstream call to make. `why` says why it is not simply the arm's version that answers (`LEG_REASONS`)."""

    id: str
    role: Role
    arm: Arm
    version: Version
    why: str = ""


OUTAGE = "outage"
"""Why a route's declared fallback answers."""

WARM = "warm"
"""Why a request is copied to the way back outside a rollout."""

CIRCUIT_OPEN = "circuit_open"
"""Why stable serves all units of a route, whatever their draw, and none of them counts."""

LEG_REASONS = {
    "candidate_failed": "the candidate failed before its first byte, and stable answered",
    "drill_failed": "the way back failed in a drill, and stable answered",
    "fallback_failed": "the declared fallback failed while stable's breaker was open, and stable was tried after all",
    OUTAGE: "stable's breaker was open, and the route's declared fallback answered",
    CIRCUIT_OPEN: "the candidate's breaker was open, and stable served every unit, of either arm; none counts",
    "lapsed": "the store was not reached for longer than the lease, or was put back to an older state: stable served",
    "drill": "a drill moved the unit to the way back",
    "draining": "a run that was under way on the candidate as it was rolled back, and finished there",
    "cut": "a run that came from another version, whose bound parts were left out of its history",
    "rare": "a copy of a request whose prompt template the shadow had seen little of",
    WARM: "a copy of a request to the way back, which it keeps warm outside a rollout",
}
"""What `why` of a leg says, by its slug; after a colon more may follow: what failed."""


class Outcome(StrEnum):
    """How a leg ended."""

    COMPLETE = "complete"
    HTTP_ERROR = "http_error"
    CONNECT_FAILED = "connect_failed"
    TIMED_OUT = "timed_out"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    ERROR_EVENT = "error_event"
    MALFORMED = "malformed_upstream"
    CLIENT_ABORTED = "client_aborted"
    LOST = "lost"


# ── the spool: what a gateway writes ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Written before a leg is sent. `arm` is the arm assigned; `arm_served` differs after a fallback, and `why` says so.

    `tenant` and `region` are what the app says of itself, for segments; `control`: the unit is in the control slice of stable.
    `falls_back`: by the route's policy stable answers where a candidate fails; the same on both arms. `trace` is the id of the client's
    trace (W3 traceparent), which all legs of an exchange share.
    """

    leg: str
    exchange: str
    at_us: int
    gateway: str
    revision: int
    route: str | None
    rollout: str | None
    period: int
    role: Role
    arm: Arm
    arm_served: Arm
    why: str
    randomised: bool
    unit_kind: UnitKind
    unit: str
    session: str | None
    user: str | None
    identity_source: str | None
    requested: str
    provider: str
    model: str
    endpoint: Endpoint
    stream: bool
    attempt: int
    template: str
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    control: bool = False
    tenant: str | None = None
    region: str | None = None
    falls_back: bool = True
    trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Written when the first byte of a good streamed answer is there: what is due before the last byte must not wait for the result.

    Good is a status below 400; an answer that was not asked for as a stream comes whole, and its result says when. `first_byte_s` counts
    from the sending of the leg, as in the result.
    """

    leg: str
    at_us: int
    first_byte_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Written in the loop turn that sends a leg's last byte. None means not known, never zero; `parse` is None where no JSON was asked for.

    `latency_s` and `first_byte_s` count from the sending of the leg. `repeats_call` and
    `unknown_tool` are None for an answer that could not be read; `language` is that of the user's words in the request.
    """

    leg: str
    at_us: int
    outcome: Outcome
    status: int | None = None
    finish_reason: str | None = None
    answered_model: str | None = None
    fingerprint: str | None = None
    usage: Usage = Usage()
    latency_s: float | None = None
    first_byte_s: float | None = None
    step: int | None = None
    tools_called: tuple[str, ...] = ()
    repeats_call: bool | None = None
    unknown_tool: bool | None = None
    parse: Literal["ok", "invalid", "keys_missing"] | None = None
    refusal: bool | None = None
    answer_chars: int | None = None
    language: str | None = None
    error: str | None = None
    request_body: bytes | None = None
    answer_body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the app says of an answer or a session, afterwards. Joined to the arm that was recorded, by `exchange` or `session` (hashed).

    `comment` is redacted.
    """

    id: str
    at_us: int
    metric: str
    value: float
    exchange: str | None = None
    session: str | None = None
    comment: str | None = None
