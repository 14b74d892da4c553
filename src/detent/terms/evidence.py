"""Evidence: the sums, flips and pairs that a decision reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from detent.terms.shadow import ShadowEvidence
from detent.terms.way_back import WayBack


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
class ValueTally:
    """Sealed units of one guard on a value in one share period and slice: units by log-1.02 bucket (`stats.sketch`), by arm."""

    period: int
    split: float
    slice: str = ""
    candidate: dict[int, int] = field(default_factory=dict)
    stable: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvidence:
    """All tallies of one guard: `tallies` of a rate, `values` of a value. Sealed units that could not be scored are in neither.

    Of `*_unscored` units something was said and nothing of it could be read; of `*_unsaid` ones nothing was said, as the metric has nothing
    to do with them. `*_silent` units are among those tallied: nothing was said of them, and silence was counted as the metric has it.
    """

    metric: str
    tallies: tuple[Tally, ...] = ()
    values: tuple[ValueTally, ...] = ()
    candidate_unscored: int = 0
    stable_unscored: int = 0
    candidate_silent: int = 0
    stable_silent: int = 0
    candidate_unsaid: int = 0
    stable_unsaid: int = 0

    @property
    def candidate_units(self) -> int:
        """Sealed candidate units that were scored."""
        return sum(t.candidate_units for t in self.tallies) + sum(sum(v.candidate.values()) for v in self.values)

    @property
    def stable_units(self) -> int:
        """Sealed stable units that were scored."""
        return sum(t.stable_units for t in self.tallies) + sum(sum(v.stable.values()) for v in self.values)

    @property
    def candidate_heard(self) -> int:
        """Scored candidate units of which something was said."""
        return self.candidate_units - self.candidate_silent

    @property
    def stable_heard(self) -> int:
        """Scored stable units of which something was said."""
        return self.stable_units - self.stable_silent

    @property
    def heard_of(self) -> int:
        """Units, of both arms, of which something was said. Without any, the guard has no data: neither harm nor safety."""
        return self.candidate_heard + self.stable_heard

    @property
    def candidate_events(self) -> int:
        """Events among sealed candidate units."""
        return sum(t.candidate_events for t in self.tallies)

    @property
    def stable_events(self) -> int:
        """Events among sealed stable units."""
        return sum(t.stable_events for t in self.tallies)


class Verdict(StrEnum):
    """What a comparison comes to. Only `pass` is a pass."""

    PASS = "pass"  # noqa: S105
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    COULD_NOT_RUN = "could_not_run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A prompt that one version answers rightly and the other does not, with its named changes and both outputs.

    `notes` cross the changes with right and wrong, like `confident and wrong` where hedging went and the answer is lost.
    """

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
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The prompts of one stratum (`task=refund`; `overall` for all): mean share of passes on both versions, and their difference.

    The difference is candidate minus stable, every prompt counted alike; in `weighted` each counts as much as the traffic it stands for.
    `low` and `high` bound the difference with 95 % confidence; `p_value` is one-sided, for "the candidate is worse". `lost` and `won` are
    prompts whose share of passes fell or rose by the drop that makes a suspect. `harmed` says that the loss stands after allowing for how
    many slices were looked at.
    """

    name: str
    cases: int
    stable: float
    candidate: float
    difference: float
    low: float
    high: float
    p_value: float
    lost: int = 0
    won: int = 0
    harmed: bool = False
    weighted: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How much each version varies against itself on the same prompt: mean distance of its own runs in [0, 1], over `cases` prompts.

    `p_value` is two-sided. A changed default temperature shows here and nowhere else.
    """

    cases: int
    stable: float
    candidate: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A shape of request that the candidate refuses (a parameter it does not take): the provider's words, and how many cases have it."""

    shape: str
    said: str
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlike:
    """A share of runs or calls on both versions, and the one-sided `p_value` for "the candidate's is higher"."""

    stable: float
    candidate: float
    p_value: float
    stands: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEvidence:
    """Where a baseline run stands. `pending` calls are still to be made; `content_*` are means, the figure a mean-score gate reads.

    `errors` counts prompts short of scored runs; `never_right` those that stable itself never passes, which therefore cannot flip;
    `not_replayable` the agent cases whose script stable itself mostly leaves. What is left are the `losable` ones, of which a pass needs
    `at_least` so many, and that a loss of `margin` is excluded. `probes` are among the `cases` and in no mean; of those `probes_unscored`
    no run of either version could be scored. `leaving` is the share of runs that leave their script over all agent cases, `failures` the
    share of calls that failed by the provider and were made again. `wrong_model` says that another model answered for the candidate.
    `left_script` names agent cases that the candidate leaves where stable does not; `changes` counts prompts by named change, whether the
    change lost them or not, and `reworded` those that only say the same in other words. `stale` says why the baseline does not speak for
    the route's traffic any more; `over_budget` that the calls stopped at the budget.
    """

    cases: int
    pending: int
    suspects: int = 0
    errors: int = 0
    never_right: int = 0
    not_replayable: int = 0
    losable: int = 0
    at_least: int = 0
    margin: float = 1.0
    probes: int = 0
    probes_unscored: int = 0
    confirmed: tuple[Flip, ...] = ()
    positive: int = 0
    content_stable: float | None = None
    content_candidate: float | None = None
    noise_floor: float | None = None
    overall: Slice | None = None
    slices: tuple[Slice, ...] = ()
    spread: Spread | None = None
    refused: tuple[Refused, ...] = ()
    left_script: tuple[str, ...] = ()
    leaving: Unlike | None = None
    failures: Unlike | None = None
    wrong_model: str = ""
    changes: dict[str, int] = field(default_factory=dict)
    reworded: int = 0
    blessed: float | None = None
    stale: tuple[str, ...] = ()
    over_budget: bool = False
    spent_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Randomised units first exposed in one share period, by arm: what the sample-ratio test reads."""

    period: int
    split: float
    candidate: int
    stable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a decision reads. Its digest is stored with the decision, which recomputes from it to the same value.

    `way_back` None: nobody looked, as in every decision of a Detent that did not know of it; it is then left out of what the digest is of.
    So are `orders` where there are none: those by file that gateways obey and cannot carry out, by gateway, in words.
    """

    rollout: str
    guards: tuple[GuardEvidence, ...] = ()
    exposure: tuple[Exposure, ...] = ()
    baseline: BaselineEvidence | None = None
    shadow: ShadowEvidence | None = None
    identity_violations: tuple[str, ...] = ()
    users_exposed: int = 0
    users_seen: int = 0
    way_back: WayBack | None = None
    orders: tuple[str, ...] = ()
