"""The pin file: providers, routes, plans, and the version that each route is pinned to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from detent.terms.durations import Seconds
from detent.terms.file_table import FileTable
from detent.terms.names import MetricRow, Side
from detent.terms.plans import Plan


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(FileTable):
    """Where versions are served. The key itself is never in a file: `key_env` names the variable that holds it.

    `shadow_key_env` names that of another key, which mirrored requests are sent with.
    """

    name: str
    dialect: Dialect
    base_url: str
    key_env: str | None = None
    shadow_key_env: str | None = None
    watcher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPolicy(FileTable):
    """Share of exchanges whose bodies are kept, and what is taken out of them first; scalars always are kept, and with a share above 0
    also the bodies of what went wrong and of what is mirrored.

    `all` takes out secrets and personal data, `secrets` the former only.
    """

    bodies: float = 0.05
    redact: Literal["all", "secrets", "none"] = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(FileTable):
    """The logical name that an app calls, and what was approved for it.

    `processors` are the providers that may read its traffic, if the list is given: a shadow or a judge at any other is refused. `rollback`
    is the way back that is kept warm outside a rollout; `fallback` is what answers while stable's provider is out, written like a version
    of this provider or as `provider/model`.
    """

    name: str
    provider: str
    version: str
    next: str | None = None
    rollback: str | None = None
    fallback: str | None = None
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
    processors: tuple[str, ...] | None = None

    @property
    def stable(self) -> Version:
        """The pin as a version."""
        return Version(self.provider, self.version)

    @property
    def candidate(self) -> Version | None:
        """The proposed version, if one is proposed."""
        return Version(self.provider, self.next) if self.next is not None else None

    @property
    def way_back(self) -> Version | None:
        """The version that is kept warm outside a rollout, if one is named."""
        return Version(self.provider, self.rollback) if self.rollback is not None else None

    @property
    def outage_version(self) -> Version | None:
        """The version that answers while stable's provider is out, if one is declared."""
        if self.fallback is None:
            return None
        provider, slash, model = self.fallback.partition("/")
        return Version(provider, model) if slash else Version(self.provider, self.fallback)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow(FileTable):
    """A check of the team's own, `[checks.NAME]`; exactly one of its rules is written.

    `matches` and `never_matches` are regular expressions searched in the answer's text; `contains` and `lacks` texts; lengths are in
    characters; `python` is `package.module:function`, or the name of an entry point of the group `detent.checks`, and `autoevals` the name
    of a scorer; the value that these give passes from `at_least` on.
    """

    name: str
    says: str = ""
    matches: str | None = None
    never_matches: str | None = None
    contains: str | None = None
    lacks: str | None = None
    max_chars: int | None = None
    min_chars: int | None = None
    python: str | None = None
    autoevals: str | None = None
    at_least: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMetric(FileTable):
    """A metric of the app's own, `[metrics.NAME]`, which it says by the feedback endpoint and guards may name.

    A rate's event is the worse of true and false. `silence` is what a unit counts as of which nothing was said by the guard's maturity:
    unknown (no outcome), good (users seldom complain), or bad (the good news has not come).
    """

    name: str
    says: str = ""
    kind: Literal["rate", "value"] = "rate"
    level: Literal["request", "session"] = "session"
    worse: Literal["higher", "lower"] = "higher"
    silence: Literal["unknown", "good", "bad"] = "unknown"

    @property
    def row(self) -> MetricRow:
        """The metric as a row beside Detent's own. A declared rate's event is the worse value, so more of it is always worse."""
        side: Side = "less" if self.kind == "value" and self.worse == "lower" else "more"
        bet: Literal["rate", "log"] = "rate" if self.kind == "rate" else "log"
        return MetricRow(self.name, bet, self.level, self.says or f"the app's own `{self.name}`", source="feedback", side=side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(FileTable):
    """What a version costs, `[prices."provider/model"]`: USD per million tokens. `cached` input is priced like other input if not given."""

    name: str
    input: float
    output: float
    cached: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(FileTable):
    """Listeners and client keys. A non-loopback data listener is refused until client keys are set.

    `approves_alone` names those who may approve what they proposed themselves: a team of one. `journal` is how long, in seconds, legs,
    bodies and feedback are kept; None: for ever.
    """

    data: str = "127.0.0.1:8700"
    control: str = "127.0.0.1:8701"
    clients_env: str | None = None
    unknown: Literal["pass", "refuse"] = "pass"
    approves_alone: tuple[str, ...] = ()
    journal: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify(FileTable):
    """How owners are told and paged: a webhook and a mail server, each by the name of the variable that holds its address and secrets."""

    webhook_env: str | None = None
    smtp_env: str | None = None
    sender: str = "detent@localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(FileTable):
    """A whole pin file, `detent.toml`, checked."""

    providers: dict[str, Provider]
    routes: dict[str, Route]
    plans: dict[str, Plan]
    checks: dict[str, CheckRow] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    metrics: dict[str, DeclaredMetric] = field(default_factory=dict)
    server: Server = Server()
    notify: Notify = Notify()
