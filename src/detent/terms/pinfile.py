"""The pin file: providers, routes, plans, and the version that each route is pinned to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal

from detent.terms.durations import Seconds
from detent.terms.names import HARMFUL_CHANGES, MetricRow, Side


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
class Guard(FileTable):
    """A metric that the candidate may not worsen. What must be proved has a margin, one of the two; harm needs none: it is any worsening
    of a rate, and one beyond `tolerance_ratio` of a value, and a margin is only shown beside it.

    `side` is the way in which the metric gets worse, if not the metric's own. Harm in a value (tokens, seconds) begins above
    `tolerance_ratio` times stable's; in a rate it is any worsening.
    """

    metric: str
    margin_ratio: float | None = None
    margin_abs: float | None = None
    action: Literal["roll_back", "hold"] = "roll_back"
    matures: Seconds = 120.0
    role: Literal["prove", "harm", "observe"] = "harm"
    side: Side | None = None
    tolerance_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineStage(FileTable):
    """Runs per prompt (statistics: two stages, screen and confirm), false discovery rate, and when a baseline is stale.

    A baseline is stale beyond `max_age`, below `coverage` of current traffic, or when the app's prompt or tools changed: `on_stale` says
    whether new rollouts wait for a fresh one. `reserve` is the share of cases that nobody is shown. Calls stop at `budget_usd`.

    A pass needs `at_least` so many prompts that could be lost, and an interval that excludes a loss of `margin` over all of them: 20 that
    come out alike are the fewest that exclude 10 points.
    """

    screen: int = 3
    confirm: int = 20
    stable_repeats: int = 10
    fdr: float = 0.10
    max_age: Seconds = 30 * 86400.0
    cases: int = 200
    coverage: float = 0.80
    reserve: float = 0.10
    on_stale: Literal["wait", "warn"] = "wait"
    budget_usd: float | None = None
    at_least: int = 20
    margin: float = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStage(FileTable):
    """Which share of units is mirrored, for how long, how many pairs at least and how much of the traffic they must stand for.

    Of the mirrored requests stable is asked a `second` time: how often it disagrees with itself is the noise floor. `coverage` is the least
    share of tomorrow's traffic whose input class was compared, by the lower end of its interval. More than the noise floor of one of
    `harms` (named changes) ends the rollout; of any other change it is told. The limits are of all gateways together, a UTC day, but for
    `per_second`, which is each gateway's own; None is no limit (written `inf` in a file; JSON, which gateways keep, has no infinity).
    """

    share: float = 0.10
    at_least: Seconds = 7 * 86400.0
    at_most: Seconds = 14 * 86400.0
    pairs: int = 1000
    second: float = 0.5
    coverage: float = 0.95
    whole_week: bool = True
    harms: tuple[str, ...] = HARMFUL_CHANGES
    budget_usd_per_day: float | None = 25.0
    tokens_per_day: int | None = None
    per_second: float | None = None
    judge_usd_per_day: float | None = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryStep(FileTable):
    """One step of a ramp: the share of units on the candidate, the time and the candidate units it lasts at least."""

    share: float
    at_least: Seconds
    units: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryStage(FileTable):
    """The ramp, and when it ends as `not_proved`.

    `control` keeps a slice of stable as large as the candidate's, with a cache of its own: what latency and cost are compared with.
    """

    steps: tuple[CanaryStep, ...] = (
        CanaryStep(share=0.05, at_least=48 * 3600.0),
        CanaryStep(share=0.25, at_least=24 * 3600.0),
        CanaryStep(share=0.50, at_least=24 * 3600.0),
    )
    at_most: Seconds = 14 * 86400.0
    control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakStage(FileTable):
    """After promotion `holdback` of the units stay on the former version: warm by real traffic, and a comparison."""

    at_least: Seconds = 14 * 86400.0
    holdback: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill(FileTable):
    """How often the way back is rehearsed, with which share of the units and for how long at most.

    `at` is when one may begin, as a cron expression in UTC. Without a successful drill in `every` (and a tenth of it more) it is overdue.
    """

    every: Seconds = 30 * 86400.0
    share: float = 0.10
    lasts: Seconds = 300.0
    at: str = "0 9-15 * * 1-4"


LEASE_S = 60.0
"""How long a gateway that does not reach the store goes on splitting, if the plan says nothing else: longer than a database takes to fail
over, shorter than anybody would take to notice.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(FileTable):
    """The ordered stages of a rollout and its guards; fixed when a rollout opens.

    `lease` is how long a gateway that does not reach the store goes on splitting. `runs` says what a rollback does to an agent's run on the
    candidate: `cut` moves it to stable at its next request, `drain` lets it finish. Without `drill` no drill is scheduled, and none is
    overdue. In a `freeze` (`2026-12-20/2027-01-04`, UTC days, both ends in it) nothing widens, advances or is drilled; harm still acts.
    """

    name: str
    baseline: BaselineStage = BaselineStage()
    shadow: ShadowStage = ShadowStage()
    canary: CanaryStage = CanaryStage()
    soak: SoakStage = SoakStage()
    drill: Drill | None = None
    approve: tuple[Literal["baseline", "shadow", "canary", "soak"], ...] = ("canary",)
    alpha: float = 0.05
    guards: tuple[Guard, ...] = ()
    unsafe_short_windows: bool = False
    lease: Seconds = LEASE_S
    runs: Literal["cut", "drain"] = "cut"
    freeze: tuple[str, ...] = ()


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

    `approves_alone` names those who may approve what they proposed themselves: a team of one.
    """

    data: str = "127.0.0.1:8700"
    control: str = "127.0.0.1:8701"
    clients_env: str | None = None
    unknown: Literal["pass", "refuse"] = "pass"
    approves_alone: tuple[str, ...] = ()


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
