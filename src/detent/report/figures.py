"""Figures of a report in words: one spelling in every form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from detent.checks import CHECKS
from detent.diff import SAYS
from detent.terms import Range, Report, ReportedCase, Slice, Verdict
from detent.terms.report import Status

STATUSES: tuple[Status, ...] = get_args(Status)
"""Every status, worst first."""

MEANS: dict[Status, str] = {
    "lost": "right before, wrong now: confirmed by fresh runs of both versions",
    "refused": "the candidate refuses the request itself",
    "left_script": "the candidate calls a tool that the recording has no result for",
    "not_scored": "too few runs could be scored: neither a pass nor a failure",
    "suspect": "fell in the screen, and no fresh runs confirm it",
    "won": "passes more often than before",
    "changed": "answers differ in a way that has a name, and pass as before",
    "reworded": "says the same in other words",
    "same": "no change that has a name",
}
"""What each status means, in a few words."""

LABELS: dict[Status, str] = {status: status.replace("_", " ") for status in STATUSES}

VERDICTS: dict[Verdict, str] = {
    Verdict.PASS: "pass",
    Verdict.REGRESSION: "regression",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.COULD_NOT_RUN: "could not run",
}


_NEITHER = {
    "unnamed": "no change that has a name, and no failed check",
    "request_refused": "the candidate refuses the request",
    "judged_worse": "only the judge saw it: worse than the known-good output",
}
"""Causes that are neither a named change nor a failed check."""


def cause_says(name: str) -> str:
    """What a cause means: a named change, a failed check, or one of the two that are neither."""
    if name in SAYS:
        return SAYS[name]
    return _NEITHER.get(name) or (f"check failed: {CHECKS[name].says}" if name in CHECKS else f"check failed: {name}")


def change_says(name: str) -> str:
    """What a named change of a case means."""
    return SAYS.get(name, name.replace("_", " "))


def counts(report: Report) -> dict[Status, int]:
    """Shown cases by status, worst first; zeros left out."""
    found = Counter(case.status for case in report.cases)
    return {status: found[status] for status in STATUSES if found[status]}


JUDGED = {"worse": "the judge says worse (informs only)", "better": "the judge says better (informs only)"}
"""What the judge says of prompts that nothing else lost."""


def judged(report: Report) -> dict[str, list[ReportedCase]]:
    """Shown cases that the judge calls worse, and better; without those that there are none of."""
    found = {word: [case for case in report.cases if case.judged == word] for word in JUDGED}
    return {word: cases for word, cases in found.items() if cases}


def worth_reading(case: ReportedCase) -> bool:
    """Whether a prompt is shown with its outputs where there is little room: what says the same only if the judge calls it worse."""
    return case.status not in ("same", "reworded") or case.judged == "worse"


def percent(share: float) -> str:
    """`91.2 %`."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """`-4.6`: a difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}"


def show_p(p: float) -> str:
    """A p-value in three digits; the smallest float is no zero."""
    return f"{p:.3g}" if p > 0 else "< 1e-300"


def interval(found: Slice) -> str:
    """`-4.6 points [-6.1, -3.1]`."""
    return f"{points(found.difference)} points [{points(found.low)}, {points(found.high)}]"


def passes(case: ReportedCase) -> str:
    """`stable passed 20 of 20, candidate 0 of 20 (p = 7.25e-12)`; empty where nothing was run."""
    if not case.stable_runs and not case.candidate_runs:
        return ""
    p = "" if case.p_value is None else f" (p = {show_p(case.p_value)})"
    return f"stable passed {case.stable_passed} of {case.stable_runs}, candidate {case.candidate_passed} of {case.candidate_runs}{p}"


def prompts(n: int) -> str:
    """`1 prompt`, `23 prompts`."""
    return f"{n:,} prompt{'' if n == 1 else 's'}"


def money(found: Range) -> str:
    """`$1.20 ($0.90 to $1.60)`."""
    return f"${found.expected:,.2f} (${found.low:,.2f} to ${found.high:,.2f})"


def provenance(report: Report) -> Iterator[tuple[str, str]]:
    """What was compared, as (name, value): for the head of a form."""
    found = report.evidence
    yield "baseline", f"{prompts(found.cases)}, frozen {report.frozen_at:%Y-%m-%d}, digest {report.digest[:12]}"
    if report.withheld:
        yield "blind reserve", f"{prompts(report.withheld)} counted and not shown"
    yield "owner", report.owner
    yield "made", f"{report.made_at:%Y-%m-%d %H:%M} UTC"
    if report.judge:
        yield "judge", report.judge


def remarks(report: Report) -> Iterator[str]:
    """What a reader has to know beside the verdict, one sentence each."""
    found = report.evidence
    if found.pending:
        yield f"{found.pending:,} calls are still to be made"
    yield from _losses(report)
    if found.over_budget:
        limit = "" if report.budget_usd is None else f" of ${report.budget_usd:,.2f}"
        command = f"detent baseline run {report.route} --version {report.candidate.model} --budget USD"
        yield f"the calls stopped at the budget{limit}: with a larger one `{command}` goes on where they stopped"
    yield from (f"the baseline is stale: {why}" for why in found.stale)
    yield from _outside(report)
    if found.noise_floor is not None:
        yield f"noise floor: stable disagrees with itself on {percent(found.noise_floor)} of repeated prompts"
    if found.content_stable is not None and found.content_candidate is not None:
        yield f"mean score, which a mean-score gate would read: {found.content_stable:.3f} -> {found.content_candidate:.3f}"
    if found.spread is not None:
        s = found.spread
        yield f"spread of a version against itself: {s.stable:.3f} -> {s.candidate:.3f} (p = {show_p(s.p_value)}, {prompts(s.cases)})"
    if found.reworded:
        yield f"{prompts(found.reworded)} only reworded"
    if found.blessed is not None:
        by = report.blessed_by
        names = {"checks": "by checks", "label": "by labels", "feedback": "by feedback", "people": "by people"}
        said = ", ".join(f"{how} {by.get(name, 0)}" for name, how in names.items() if by.get(name) or name in ("checks", "people"))
        yield f"known good: {percent(found.blessed)} of the traffic" + (f" ({said})" if by else "")
    for word, cases in judged(report).items():
        yield f"{JUDGED[word]}: {prompts(len(cases))}"
    yield from _costs(report)


def _outside(report: Report) -> Iterator[str]:
    """Prompts that are in no comparison, and why."""
    found = report.evidence
    if found.errors:
        yield f"{prompts(found.errors)} short of scored runs: never counted as passes"
    if found.never_right:
        yield f"{prompts(found.never_right)} that stable itself never passes, which cannot flip"
    if found.not_replayable:
        yield f"{prompts(found.not_replayable)} whose recorded script stable itself mostly leaves: not compared"
    if found.probes_unscored:
        yield f"probes of which no run could be scored: {found.probes_unscored}"
    if found.wrong_model:
        yield found.wrong_model
    if found.left_script:
        yield f"{prompts(len(found.left_script))} where the candidate leaves the recorded script and stable does not"
    for refused in found.refused:
        yield f"the candidate refuses {refused.shape} ({prompts(refused.cases)}): {refused.said}"


def _losses(report: Report) -> Iterator[str]:
    """Three numbers of lost prompts that do not agree, and why."""
    found = report.evidence
    confirmed = sum(flip.kind == "negative" for flip in found.confirmed)
    if not confirmed:
        return
    shown = counts(report).get("lost", 0)
    said = f"{prompts(confirmed)} lost, confirmed by fresh runs: {shown} shown"
    if confirmed > shown:
        whole = len(report.cases) + report.withheld >= found.cases
        said += f", {confirmed - shown} {'in the blind reserve' if whole else 'in the blind reserve or left out here'}"
    if found.overall is not None and found.overall.lost != confirmed:
        said += f"; the share of passes counts {found.overall.lost}, every drop of 30 points and more, confirmed or not"
    yield said


def _costs(report: Report) -> Iterator[str]:
    if report.evidence.spent_usd is not None:
        part = f", and runs whose price is not known: {report.unpriced:,}" if report.unpriced else ""
        yield f"spent on this comparison in all: ${report.evidence.spent_usd:,.2f}{part}"
    forecast = report.forecast
    if forecast is None:
        return
    if forecast.same_text is not None:
        t = forecast.same_text
        yield f"input tokens at the same text: x {t.expected:.3f} ({t.low:.3f} to {t.high:.3f})"
    before, after = forecast.stable_usd_per_day, forecast.candidate_usd_per_day
    if before is not None and after is not None:
        yield f"cost per day at full traffic: {money(before)} -> {money(after)}"
    if forecast.unknown:
        yield f"price not known of: {', '.join(forecast.unknown)}"
