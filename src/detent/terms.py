"""The nouns of Detent, in the order in which a request meets them. Read this first.

    app -> gateway -> provider          assign.py, exchange.py, gateway.py
             | Intent, Result           store/spool.py
             v
           journal -> evidence -> decision -> flag -> every gateway
           ingest.py  evidence.py  decide.py  controller.py

Everything here is a frozen value. Fractions are in [0, 1]; durations are float seconds (`Seconds`; a file spells them `48h`); times are
aware UTC datetimes named `*_at`, or integer microseconds since the epoch named `*_us` in the spool and the journal; ids carry a prefix
(`ro_` rollout, `ex_` exchange, `le_` leg, `ca_` case).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

# ── durations ───────────────────────────────────────────────────────────────────────────────────────────────────────

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


DURATION = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)\s*$")


def parse_duration(text: str) -> float:
    """Seconds in a string like `48h`, `1.5d`, `250ms`. Raises ValueError that names the text."""
    found = DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"not a duration: `{text}`; write a number and a unit, like `90s`, `48h` or `14d`")
    return float(found[1]) * _UNITS[found[2]]


def show_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back to the same value, like `48h` for 172800.0."""
    for unit in ("d", "h", "m", "s"):
        whole = seconds / _UNITS[unit]
        if whole >= 1 and whole == int(whole) and (unit != "d" or whole >= 3):
            return f"{int(whole)}{unit}"
    return f"{seconds:g}s"


class _Duration:
    """Lets pydantic read a field that files spell like `48h`; imported lazily so that the terms depend on nothing."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def read(value: object) -> float:
            if not isinstance(value, str):
                raise ValueError(f"not a duration: `{value!r}`; write a string like `90s`, `48h` or `14d`")
            return parse_duration(value)

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, str]:
        return {"type": "string", "format": "detent-duration", "pattern": DURATION.pattern}


Seconds = Annotated[float, _Duration()]
"""A duration in seconds."""

# ── versions and the pin file ───────────────────────────────────────────────────────────────────────────────────────


class Dialect(StrEnum):
    """The family of HTTP API that a provider speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """What is sent: a provider of the pin file and the exact model id. Written `provider/model`."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class FileTable:
    """A table of the pin file: a key that it does not know is an error (read by pydantic, which the terms themselves don't need)."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(FileTable):
    """Where versions are served. The key itself is never in a file: `key_env` names the variable that holds it."""

    name: str
    dialect: Dialect
    base_url: str
    key_env: str | None = None
    watcher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard(FileTable):
    """A metric that the candidate may not worsen by more than the margin; exactly one of the two margins is set."""

    metric: str
    margin_ratio: float | None = None
    margin_abs: float | None = None
    action: Literal["roll_back", "hold"] = "roll_back"
    matures: Seconds = 120.0
    role: Literal["prove", "harm", "observe"] = "harm"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineStage(FileTable):
    """Runs per prompt (statistics: two stages, screen and confirm), false discovery rate, and how old a baseline may be."""

    screen: int = 3
    confirm: int = 20
    stable_repeats: int = 10
    fdr: float = 0.10
    max_age: Seconds = 30 * 86400.0
    cases: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStage(FileTable):
    """Which share of live requests is mirrored, for how long and how many pairs at least."""

    share: float = 0.10
    at_least: Seconds = 7 * 86400.0
    at_most: Seconds = 14 * 86400.0
    pairs: int = 1000
    budget_usd_per_day: float = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryStep(FileTable):
    """One step of a ramp: the share of units on the candidate, the time and the candidate units it lasts at least."""

    share: float
    at_least: Seconds
    units: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryStage(FileTable):
    """The ramp, and when it ends as `not_proved`."""

    steps: tuple[CanaryStep, ...] = (
        CanaryStep(share=0.05, at_least=48 * 3600.0),
        CanaryStep(share=0.25, at_least=24 * 3600.0),
        CanaryStep(share=0.50, at_least=24 * 3600.0),
    )
    at_most: Seconds = 14 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakStage(FileTable):
    """After promotion `holdback` of the units stay on the former version: warm by real traffic, and a comparison."""

    at_least: Seconds = 14 * 86400.0
    holdback: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill(FileTable):
    """How often the way back is rehearsed."""

    every: Seconds = 30 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(FileTable):
    """The ordered stages of a rollout and its guards; fixed when a rollout opens."""

    name: str
    baseline: BaselineStage = BaselineStage()
    shadow: ShadowStage = ShadowStage()
    canary: CanaryStage = CanaryStage()
    soak: SoakStage = SoakStage()
    drill: Drill = Drill()
    approve: tuple[Literal["baseline", "shadow", "canary", "soak"], ...] = ("canary",)
    alpha: float = 0.05
    guards: tuple[Guard, ...] = ()
    unsafe_short_windows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPolicy(FileTable):
    """Share of exchanges whose bodies are kept; scalars always are."""

    bodies: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(FileTable):
    """The logical name that an app calls, and what was approved for it."""

    name: str
    provider: str
    version: str
    next: str | None = None
    rollback: str | None = None
    owner: str
    plan: str = "standard"
    unit: tuple[Literal["session", "user"], ...] = ("session",)
    checks: tuple[str, ...] = ()
    context: str | None = None
    rubric: str | None = None
    judge: str | None = None
    record: RecordPolicy = RecordPolicy()
    on_candidate_failure: Literal["stable", "fail"] = "stable"
    usage: Literal["ask", "as_sent"] = "ask"

    @property
    def stable(self) -> Version:
        """The pin as a version."""
        return Version(self.provider, self.version)

    @property
    def candidate(self) -> Version | None:
        """The proposed version, if one is proposed."""
        return Version(self.provider, self.next) if self.next is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(FileTable):
    """Listeners and client keys. A non-loopback data listener is refused until client keys are set."""

    data: str = "127.0.0.1:8700"
    control: str = "127.0.0.1:8701"
    clients_env: str | None = None
    unknown: Literal["pass", "refuse"] = "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(FileTable):
    """A whole pin file, `detent.toml`, checked."""

    providers: dict[str, Provider]
    routes: dict[str, Route]
    plans: dict[str, Plan]
    server: Server = Server()


# ── metrics by name ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric that a guard can name: a rate (share of units with the event) or a value (mean of a unit), and what carries it."""

    name: str
    kind: Literal["rate", "value"]
    level: Literal["request", "session"]
    says: str


METRIC_NAMES: dict[str, MetricRow] = {
    row.name: row
    for row in (
        MetricRow("error", "rate", "request", "an answer failed, was cut off or lost, or had not come by then"),
        MetricRow("hard_failure", "rate", "request", "no good answer within 10 s of the first request"),
        MetricRow("parse_error", "rate", "request", "JSON was asked for and the answer does not parse as it stands"),
        MetricRow("keys_missing", "rate", "request", "a key that the asked schema requires is absent"),
        MetricRow("truncated", "rate", "request", "a stream broke off"),
        MetricRow("tool_retry", "rate", "session", "the same tool call was made again"),
        MetricRow("refusal", "rate", "request", "the version refused to answer"),
        MetricRow("long_session", "rate", "session", "the session reached 12 model calls"),
        MetricRow("thumbs_down", "rate", "session", "the user pressed thumbs-down"),
        MetricRow("abandoned", "rate", "session", "the user gave up"),
        MetricRow("output_tokens", "value", "request", "output tokens"),
        MetricRow("latency", "value", "request", "seconds from sending to the last byte"),
    )
}
"""Every metric; `detent.evidence` says how each is folded from records."""

CHECK_NAMES: tuple[str, ...] = (
    "answered",
    "json_schema",
    "json_valid",
    "same_keys",
    "no_new_fence",
    "no_trailing_text",
    "no_new_escapes",
    "same_tool_calls",
    "context_agreement",
)
"""Every rule check; `detent.checks` says how each reads an answer."""

# ── flags: what gateways obey ───────────────────────────────────────────────────────────────────────────────────────


class Arm(StrEnum):
    """The two arms of a rollout."""

    STABLE = "stable"
    CANDIDATE = "candidate"


class Phase(StrEnum):
    """Where a rollout is. `held` is a property with a reason, not a phase."""

    PROPOSED = "proposed"
    BASELINE = "baseline"
    SHADOW = "shadow"
    CANARY = "canary"
    SOAK = "soak"
    DONE = "done"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    NOT_PROVED = "not_proved"
    ABORTED = "aborted"
    VOID = "void"

    @property
    def terminal(self) -> bool:
        """Whether a rollout ends here."""
        return self not in OPEN_PHASES


OPEN_PHASES = (Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, Phase.CANARY, Phase.SOAK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """What every gateway obeys for one route. `revision` is the store-wide counter at which this flag last changed.

    `split` is the share of units assigned to the candidate; `period` counts the share periods of the rollout (it grows with each change of
    the split); `salt` is the rollout's secret. Without a rollout all of them are empty and every unit is on stable.
    """

    route: str
    revision: int
    stable: Version
    candidate: Version | None = None
    rollout: str | None = None
    split: float = 0.0
    period: int = 0
    salt: str = ""
    shadow: float = 0.0
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagSet:
    """All flags at one revision, with what a gateway needs to obey them: the manifest and the installation's identity key (secret)."""

    revision: int
    manifest: Manifest
    flags: dict[str, Flag] = field(default_factory=dict)
    identity_key: str = ""


# ── a request, read by wire/ ────────────────────────────────────────────────────────────────────────────────────────


class Endpoint(StrEnum):
    """The endpoints whose requests and answers Detent reads; all others pass through byte for byte."""

    OPENAI_CHAT = "openai_chat"
    ANTHROPIC_MESSAGES = "anthropic_messages"

    @property
    def dialect(self) -> Dialect:
        """The dialect this endpoint belongs to."""
        return Dialect.OPENAI if self is Endpoint.OPENAI_CHAT else Dialect.ANTHROPIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What routing needs of a request, and no more. `session` and `user` are as sent (secret: hash before storing).

    `opening` is a digest of system prompt and first user message; `template` one of system prompt, tools and parameters. `route` is what
    the header `x-detent-route` asks for.
    """

    endpoint: Endpoint
    model: str
    stream: bool = False
    asks_usage: bool = False
    session: str | None = None
    session_source: str | None = None
    user: str | None = None
    user_source: str | None = None
    opening: str = ""
    template: str = ""
    attempt: int = 0
    no_record: bool = False
    no_shadow: bool = False
    route: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call in a message or an answer; `arguments` is the JSON text as written."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a request in neutral form. `tool_result_for` is the id of the call that this message answers."""

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_result_for: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request in neutral form. `schema` is the JSON schema that the answer was asked to follow; `json_asked` also covers JSON mode."""

    system: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[str, ...] = ()
    json_asked: bool = False
    schema: dict[str, Any] | None = None
    max_tokens: int | None = None

    @property
    def step(self) -> int:
        """Which model call of its conversation this is, from 1: answers already in the history, plus one."""
        return 1 + sum(m.role == "assistant" for m in self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; `input` includes cached. None where it did not say (never a guess)."""

    input: int | None = None
    cached: int | None = None
    output: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A provider's answer in neutral form. `complete` is False for a stream without its end; `error` is the provider's error text."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    refusal: bool = False
    model: str | None = None
    fingerprint: str | None = None
    usage: Usage = Usage()
    complete: bool = True
    error: str | None = None


# ── assignment and legs ─────────────────────────────────────────────────────────────────────────────────────────────


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
    """Unit + flag -> arm. `randomised` is False where no split was in force (static, forced, excluded): such units never count."""

    arm: Arm
    unit: Unit
    randomised: bool


class Role(StrEnum):
    """Why a leg was sent."""

    SERVED = "served"
    FALLBACK = "fallback"
    MIRRORED = "mirrored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One upstream call to make. `why` says why a fallback is needed."""

    id: str
    role: Role
    arm: Arm
    version: Version
    why: str = ""


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
    """Written before a leg is sent. `arm` is the arm assigned; `arm_served` differs after a fallback, and `why` says so."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Written in the loop turn that sends a leg's last byte. None means not known, never zero; `parse` is None where no JSON was asked for.

    `latency_s` and `first_byte_s` count from the sending of the leg. `repeats_call` is None for an answer that could not be read.
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
    parse: Literal["ok", "invalid", "keys_missing"] | None = None
    refusal: bool | None = None
    answer_chars: int | None = None
    error: str | None = None
    request_body: bytes | None = None
    answer_body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What the app says of an answer or a session, afterwards. Joined to the arm that was recorded, by `exchange` or `session` (hashed)."""

    id: str
    at_us: int
    metric: str
    value: float
    exchange: str | None = None
    session: str | None = None


# ── baseline and shadow ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Unscored:
    """No result, with a reason. It never becomes 0, 1 or a pass."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One check's result on one answer: `value` in [0, 1], passed or not, and why not."""

    check: str
    value: float
    passed: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One frozen prompt: the request body as recorded, and the known-good output of the version that was stable then."""

    id: str
    route: str
    endpoint: Endpoint
    request: bytes
    known_good: str
    known_good_calls: tuple[ToolCall, ...] = ()
    weight: float = 1.0
    frozen_at: datetime
    exchange: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The frozen set of a route. `digest` covers the cases, in order."""

    route: str
    digest: str
    frozen_at: datetime
    owner: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recorded call of a baseline run. `passed` is None when it could not be scored (`error` says why)."""

    rollout: str
    case: str
    arm: Arm
    stage: Literal["screen", "confirm"]
    repeat: int
    passed: bool | None
    content: float | None
    changes: tuple[str, ...] = ()
    failed_checks: tuple[str, ...] = ()
    output: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A live answer and the shadow's answer to the same request, scored. None: could not be scored, or not comparable (`note` says why)."""

    rollout: str
    exchange: str
    stable_passed: bool | None
    candidate_passed: bool | None
    changes: tuple[str, ...] = ()
    note: str = ""


# ── evidence ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sealed units of one guard in one share period and slice: [events, units] by arm. `split` is the period's share on the candidate."""

    period: int
    split: float
    slice: str = ""
    candidate_events: int = 0
    candidate_units: int = 0
    stable_events: int = 0
    stable_units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvidence:
    """All tallies of one guard, and how many of its sealed units could not be scored, by arm."""

    metric: str
    tallies: tuple[Tally, ...] = ()
    candidate_unscored: int = 0
    stable_unscored: int = 0

    @property
    def candidate_units(self) -> int:
        """Sealed candidate units."""
        return sum(t.candidate_units for t in self.tallies)

    @property
    def stable_units(self) -> int:
        """Sealed stable units."""
        return sum(t.stable_units for t in self.tallies)

    @property
    def candidate_events(self) -> int:
        """Events among sealed candidate units."""
        return sum(t.candidate_events for t in self.tallies)

    @property
    def stable_events(self) -> int:
        """Events among sealed stable units."""
        return sum(t.stable_events for t in self.tallies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A prompt that one version answers rightly and the other does not, with its named changes and both outputs."""

    case: str
    kind: Literal["negative", "positive"]
    stable_passed: int
    stable_runs: int
    candidate_passed: int
    candidate_runs: int
    p_value: float
    cause: str
    changes: tuple[str, ...] = ()
    stable_output: str = ""
    candidate_output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEvidence:
    """Where a baseline run stands. `pending` calls are still to be made; `content_*` are means, the figure a mean-score gate reads.

    `errors` counts prompts short of scored runs; `never_right` those that stable itself never passes, which therefore cannot flip.
    """

    cases: int
    pending: int
    suspects: int = 0
    errors: int = 0
    never_right: int = 0
    confirmed: tuple[Flip, ...] = ()
    positive: int = 0
    content_stable: float | None = None
    content_candidate: float | None = None
    noise_floor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEvidence:
    """Pairs scored so far; `*_only` are the pairs in which exactly that arm failed a check."""

    pairs: int = 0
    unscored: int = 0
    not_comparable: int = 0
    candidate_only: int = 0
    stable_only: int = 0
    changes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Randomised units first exposed in one share period, by arm: what the sample-ratio test reads."""

    period: int
    split: float
    candidate: int
    stable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a decision reads. Its digest is stored with the decision, which recomputes from it to the same value."""

    rollout: str
    guards: tuple[GuardEvidence, ...] = ()
    exposure: tuple[Exposure, ...] = ()
    baseline: BaselineEvidence | None = None
    shadow: ShadowEvidence | None = None
    identity_violations: tuple[str, ...] = ()
    users_exposed: int = 0
    users_seen: int = 0


# ── rollouts and decisions ──────────────────────────────────────────────────────────────────────────────────────────


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


def utc(microseconds: int) -> datetime:
    """The aware UTC datetime of integer microseconds since the epoch."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def micros(moment: datetime) -> int:
    """Integer microseconds since the epoch of an aware datetime."""
    return round(moment.timestamp() * 1_000_000)
