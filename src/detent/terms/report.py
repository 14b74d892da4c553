"""What a person, a pull request or a CI job is shown of a comparison: one value, written in many forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from detent.terms.evidence import BaselineEvidence, Verdict
from detent.terms.forecast import Forecast
from detent.terms.pinfile import Version

Status = Literal["lost", "refused", "left_script", "not_scored", "suspect", "won", "changed", "reworded", "same"]
"""What became of one prompt, worst first. `lost` is a confirmed negative flip; `suspect` was screened and not confirmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedCase:
    """One prompt of a report. `changes` are (name, detail) pairs, the most telling first; outputs are as the models wrote them.

    `judged` is what the judge says of most runs that passed, and of most of stable's does not: it informs, and loses no prompt.
    """

    id: str
    title: str
    status: Status
    weight: float = 1.0
    strata: dict[str, str] = field(default_factory=dict)
    pinned: str = ""
    stable_output: str = ""
    candidate_output: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    failed_checks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stable_passed: int = 0
    stable_runs: int = 0
    candidate_passed: int = 0
    candidate_runs: int = 0
    p_value: float | None = None
    judged: Literal["worse", "better", ""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A named change or failed check, how many prompts were lost by it and how many show it at all, and the case that shows it best."""

    name: str
    says: str
    lost: int
    prompts: int
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A comparison of two versions over a baseline. `withheld` cases of the blind reserve are counted and not shown.

    `budget_usd` is the limit that the calls stopped at. `blessed_by` counts known-good outputs by who found them good: `checks`, `label`,
    `feedback`, `people`. `unpriced` counts runs whose cost nobody knows, which what was spent leaves out.
    """

    route: str
    owner: str
    stable: Version
    candidate: Version
    made_at: datetime
    digest: str
    frozen_at: datetime
    verdict: Verdict
    sentence: str
    evidence: BaselineEvidence
    causes: tuple[Cause, ...] = ()
    cases: tuple[ReportedCase, ...] = ()
    withheld: int = 0
    forecast: Forecast | None = None
    judge: str = ""
    budget_usd: float | None = None
    blessed_by: dict[str, int] = field(default_factory=dict)
    unpriced: int = 0
