"""Plans: the stages of a rollout, what its guards watch, and what keeps the way back rehearsed and warm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detent.terms.durations import Seconds
from detent.terms.file_table import FileTable
from detent.terms.names import HARMFUL_CHANGES, Side


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm(FileTable):
    """A trickle of copies that keeps the way back warm outside a rollout: the `share` of units whose requests are copied to it once stable
    has answered them, and what that may cost on a UTC day, of all gateways together.
    """

    share: float = 0.001
    usd_per_day: float = 1.0


LEASE_S = 60.0
"""How long a gateway that does not reach the store goes on splitting, if the plan says nothing else: longer than a database takes to fail
over, shorter than anybody would take to notice.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(FileTable):
    """The ordered stages of a rollout and its guards; fixed when a rollout opens.

    `lease` is how long a gateway that does not reach the store goes on splitting. `runs` says what a rollback does to an agent's run on the
    candidate: `cut` moves it to stable at its next request, `drain` lets it finish. Without `drill` no drill is scheduled, and none is
    overdue; without `warm` nothing is copied outside a rollout. In a `freeze` (`2026-12-20/2027-01-04`, UTC days, both ends in it) nothing
    widens, advances or is drilled; harm still acts.
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
    warm: Warm | None = None
