"""Baseline: what is frozen, what was run, how it scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from detent.terms.flags import Arm
from detent.terms.pinfile import Version
from detent.terms.requests import Endpoint, ToolCall, Usage

# ── scores ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Unscored:
    """No result, with a reason. It never becomes 0, 1 or a pass.

    `broken`: the check itself could not do its work (it raised, the text was too long for it), where otherwise it only does not apply.
    """

    reason: str
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One check's result on one answer: `value` in [0, 1], passed or not, and why not."""

    check: str
    value: float
    passed: bool
    why: str = ""


# ── frozen ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Blessing:
    """Who found a known-good output good: `checks` (the route's rules pass), `feedback` (users said so), or a person's name."""

    by: str
    at: datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered in the recorded conversation: replayed to a version that calls `name` with the same `arguments`.

    `arguments` is JSON in one spelling (keys sorted, no spaces).
    """

    name: str
    arguments: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One frozen prompt: the request body as recorded, and the known-good output of the version that was stable then.

    `weight` is how many recorded exchanges it stands for (its near-duplicates went, their weight stayed). `strata` places it, like
    `{"task": "refund", "tools": "yes"}`. `script` holds the recorded tool results of an agent case, whose `known_good` is what it ended
    with. An output is behaviour, not truth: it is known good once `blessed`, and `faulted` says why it is not good. `reference` is the
    right answer where somebody wrote one. `pinned` says why an incident is kept. A case of the blind `reserve` is run and counted and
    shown to nobody. `probe` names the probe that a case was made for; it is empty for a case from traffic. `usage` is as recorded.
    """

    id: str
    route: str
    endpoint: Endpoint
    request: bytes
    known_good: str
    known_good_calls: tuple[ToolCall, ...] = ()
    weight: float = 1.0
    frozen_at: datetime
    exchange: str | None = None
    recorded_at: datetime | None = None
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    template: str = ""
    strata: dict[str, str] = field(default_factory=dict)
    script: tuple[ToolResult, ...] = ()
    reference: str | None = None
    blessed: Blessing | None = None
    faulted: str = ""
    pinned: str = ""
    reserve: bool = False
    probe: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The frozen set of a route. `digest` covers the cases, in order.

    `version` is whose answers are the known-good outputs. `read` recorded exchanges were drawn from, recorded between `since_at` and
    `until_at`; `coverage` is the share of them that some case stands for. `templates` and `strata` are the shares of that traffic, the
    latter by name and value, that later traffic is held against. `redacted` counts what was taken out of the cases, by kind.
    """

    route: str
    digest: str
    frozen_at: datetime
    owner: str
    cases: tuple[Case, ...]
    version: str = ""
    read: int = 0
    since_at: datetime | None = None
    until_at: datetime | None = None
    coverage: float = 1.0
    templates: dict[str, float] = field(default_factory=dict)
    strata: dict[str, dict[str, float]] = field(default_factory=dict)
    redacted: dict[str, int] = field(default_factory=dict)

    @property
    def blessed_share(self) -> float:
        """Share of the traffic weight whose known-good output is blessed; 0 for an empty baseline."""
        whole = sum(case.weight for case in self.cases)
        return sum(case.weight for case in self.cases if case.blessed is not None) / whole if whole else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """An exchange kept as an incident: it is in every baseline of its route from then on. `exchange` holds the redacted recording."""

    route: str
    exchange: str
    why: str
    by: str
    at: datetime


# ── run ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

Judged = Literal["better", "same", "worse", "abstained"]
"""What the judge said of an answer against the known-good output, asked in both orders; two orders that disagree are `same`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One recorded call of a baseline run. `passed` is None when it could not be scored (`error` says why).

    `changes` and `failed_checks` are against the known-good output. `left_script` says which call an agent case had no recorded result
    for: such a run is neither passed nor failed. `steps` counts the model calls it took; `usage` sums them. `judged` is kept whether the
    judge is calibrated or not; `passed` counts it only if it is. `usd` is what the call cost at the prices of the pin file, judge included.
    `failures` counts the calls for it that failed by the provider (5xx, cut, timed out) and were made again.
    """

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
    left_script: str = ""
    steps: int = 1
    usage: Usage = Usage()
    latency_s: float | None = None
    model: str | None = None
    judged: Judged | None = None
    request_refused: bool = False
    usd: float | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge said of one pair of outputs. Two of them are compared only if judge, rubric and prompt form (`digest`) are the same.

    `said` is overall, `dimensions` by judged check; `why` is the judge's reason, in its own words.
    """

    id: str
    judge: Version
    digest: str
    said: Judged
    why: str = ""
    at: datetime
    usage: Usage = Usage()
    dimensions: dict[str, Judged] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far a judge agrees with people on one rubric: Cohen's kappa over `pairs` labelled pairs, with a 95 % interval.

    `abstained` is the share of pairs that it gave no verdict on; `injected` the share of planted injections that moved its verdict.
    """

    judge: Version
    digest: str
    pairs: int
    kappa: float
    low: float
    high: float
    abstained: float
    injected: float
    by: str
    at: datetime
