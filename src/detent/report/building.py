"""A baseline, its runs and the evidence -> a `Report`: what became of each prompt, and why. Pure.

Cases of the blind reserve count in every number and are shown nowhere: their texts never enter the report.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from detent import diff, wire
from detent.errors import InvalidInput
from detent.evidence import flips
from detent.report.becoming import Seen, needed_of, rank, seen_of, status_of
from detent.report.figures import STATUSES, cause_says
from detent.report.reserve import without_names, without_reserve
from detent.stats.paired import fisher_worse
from detent.terms import (
    Answer,
    Arm,
    Baseline,
    BaselineEvidence,
    BaselineStage,
    Case,
    Cause,
    Flip,
    Forecast,
    Prompt,
    Report,
    ReportedCase,
    Route,
    Run,
    Verdict,
    Version,
)
from detent.terms.report import Status

TITLE_CHARS = 160
SEARCHED_CHARS = 2_000_000
"""So many characters of outputs, the worst prompts first, are searched for what exactly changed (some 6 microseconds each); beyond that
only the runs' own names of changes are told. A detail is an example."""


def build(
    baseline: Baseline,
    found: BaselineEvidence,
    runs: Sequence[Run],
    route: Route,
    candidate: Version,
    *,
    verdict: Verdict,
    sentence: str,
    made_at: datetime,
    forecast: Forecast | None = None,
    judge: str = "",
    stage: BaselineStage | None = None,
    stable: Version | None = None,
) -> Report:
    """The report of a comparison: cases worst first (then by weight), causes by how many prompts they lost.

    `stage` says how many scored runs a prompt needs; without it, as many as the best-run prompt has. `stable` is the route's pin unless
    given. Runs of cases that the baseline doesn't hold count for nothing.
    """
    seen = seen_of(baseline, runs)
    suspected = frozenset(flips.suspects([case.id for case in baseline.cases], runs))
    lost = {flip.case: flip for flip in found.confirmed if flip.kind == "negative"}
    needed = needed_of(seen.values(), stage)
    left = frozenset(found.left_script)
    became = [(status_of(one, lost, left, suspected, needed), one) for one in seen.values() if not one.case.reserve]
    became.sort(key=lambda row: (STATUSES.index(row[0]), -row[1].case.weight))
    search = _Search()
    cases = [_reported(one, status, lost.get(one.case.id), search) for status, one in became]
    shown = without_reserve(found, baseline.cases, runs)
    return Report(
        route=route.name,
        owner=baseline.owner or route.owner,
        stable=stable or route.stable,
        candidate=candidate,
        made_at=made_at,
        digest=baseline.digest,
        frozen_at=baseline.frozen_at,
        verdict=verdict,
        sentence=without_names(sentence, found, shown),
        evidence=shown,
        causes=_causes(found, seen, lost, cases),
        cases=tuple(cases),
        withheld=sum(case.reserve for case in baseline.cases),
        forecast=forecast,
        judge=judge,
        budget_usd=stage.budget_usd if stage is not None and found.over_budget else None,
        blessed_by=_blessed_by(baseline.cases),
        unpriced=sum(run.usd is None and run.usage.output is not None for run in runs if run.case in seen),
    )


def _blessed_by(cases: Iterable[Case]) -> dict[str, int]:
    """How many known-good outputs each of four found good; names of persons are one."""
    by = Counter(case.blessed.by for case in cases if case.blessed is not None)
    named = {name: by.pop(name, 0) for name in ("checks", "label", "feedback")}
    return {**named, "people": by.total()}


# ── one case ────────────────────────────────────────────────────────────────────────────────────────────────────────


_CALM: tuple[Status, ...] = ("changed", "reworded", "same")


class _Search:
    """Looks two outputs through for named changes, as long as the characters last."""

    def __init__(self) -> None:
        self._left = SEARCHED_CHARS

    def details(self, stable: str, candidate: str, prompt: Prompt | None) -> dict[str, str]:
        """The named changes between two outputs, with what was seen; nothing for texts that there is no room for."""
        size = len(stable) + len(candidate)
        if not candidate or stable == candidate or size > self._left:
            return {}
        self._left -= size
        asked = diff.Asked(prompt=prompt) if prompt is not None else None
        return {change.name: change.detail for change in diff.changes(Answer(text=stable), Answer(text=candidate), asked)}


def _reported(one: Seen, status: Status, flip: Flip | None, search: _Search) -> ReportedCase:
    fresh = one.tally.stable_confirm.scored and one.tally.candidate_confirm.scored
    stable, candidate = (one.tally.of(arm, "confirm" if fresh else "screen") for arm in (Arm.STABLE, Arm.CANDIDATE))
    p = flip.p_value if flip else None
    if p is None and fresh:
        p = fisher_worse(stable.passed, stable.scored, candidate.passed, candidate.scored)
    shown = _shown_candidate(one, status, flip)
    stable_output = (flip.stable_output if flip else "") or _shown_stable(one)
    candidate_output = (flip.candidate_output if flip else "") or (shown.output if shown else "")
    calm = status in _CALM and not one.named
    details = {} if calm else search.details(stable_output, candidate_output, _prompt(one.case))
    return ReportedCase(
        id=one.case.id,
        title=title_of(one.case),
        status=status,
        weight=one.case.weight,
        strata=dict(one.case.strata),
        pinned=one.case.pinned,
        stable_output=stable_output,
        candidate_output=candidate_output,
        changes=_changes(one, status, flip, shown, details),
        failed_checks=_failed_checks(one, status),
        notes=_notes(one, status, flip),
        stable_passed=stable.passed,
        stable_runs=stable.scored,
        candidate_passed=candidate.passed,
        candidate_runs=candidate.scored,
        p_value=p,
        judged=_judged(one),
    )


def _judged(one: Seen) -> Literal["worse", "better", ""]:
    """What the judge says of most of the candidate's runs that pass all the same, and not of most of stable's."""

    def mostly(arm: Arm, word: str) -> bool:
        said = [run.judged == word for run in one.runs(arm) if run.passed]
        return 2 * sum(said) > len(said)

    if mostly(Arm.CANDIDATE, "worse") and not mostly(Arm.STABLE, "worse"):
        return "worse"
    return "better" if mostly(Arm.CANDIDATE, "better") and not mostly(Arm.STABLE, "better") else ""


def _prompt(case: Case) -> Prompt | None:
    try:
        return wire.read_prompt(case.endpoint, case.request)
    except (InvalidInput, RecursionError):
        return None


def title_of(case: Case) -> str:
    """The beginning of the last thing that the user said, on one line; hidden characters are still in it."""
    prompt = _prompt(case)
    if prompt is None:
        return "(a request that cannot be read)"
    said = next((m.text for m in reversed(prompt.messages) if m.role == "user" and m.text.strip()), prompt.system)
    short = " ".join(said[: 4 * TITLE_CHARS].split())
    return f"{short[:TITLE_CHARS]}..." if len(short) > TITLE_CHARS else short


def _shown_candidate(one: Seen, status: Status, flip: Flip | None) -> Run | None:
    """The run of the candidate that shows best what became of the case: a failing one where it fell, else one with the named change."""
    answered = [run for run in one.runs(Arm.CANDIDATE) if run.output] or one.runs(Arm.CANDIDATE)
    if status in ("lost", "refused", "left_script", "suspect"):
        cause = flip.cause if flip else None
        failing = [run for run in answered if run.passed is False or run.left_script or run.request_refused]
        named = [run for run in failing if cause in (*run.changes[:1], *run.failed_checks[:1])]
        return next(iter([*named, *failing, *answered]), None)
    if status == "won":
        answered = [run for run in answered if run.passed] or answered
    said = _judged(one)
    answered = [run for run in answered if said and run.judged == said] or answered
    return next((run for run in answered if set(one.named) <= set(run.changes)), next(iter(answered), None))


def _shown_stable(one: Seen) -> str:
    """What stable says: of a run that passes, else what is known good, else of any run."""
    runs = one.runs(Arm.STABLE)
    passing = next((run.output for run in runs if run.passed and run.output), "")
    return passing or known_good(one.case) or next((run.output for run in runs if run.output), "")


def known_good(case: Case) -> str:
    """The known-good output as a run's output is written: its text, or its tool calls."""
    return case.known_good or "\n".join(f"{call.name}({call.arguments})" for call in case.known_good_calls)


def _changes(one: Seen, status: Status, flip: Flip | None, shown: Run | None, details: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Named changes with what was seen: those of the shown outputs where the case moved, else those that most runs show."""
    if status in _CALM:
        names: Iterable[str] = one.named
    else:
        names = dict.fromkeys([*(flip.changes if flip else ()), *details, *(shown.changes if shown else ())])
    cause = flip.cause if flip else None
    ordered = sorted(names, key=lambda name: (name != cause, rank(name)))
    return tuple((name, details.get(name) or _how_often(one, name)) for name in ordered)


def _how_often(one: Seen, name: str) -> str:
    """In how many of the candidate's runs a change was seen that no detail can be told of."""
    candidates = one.runs(Arm.CANDIDATE)
    return f"in {sum(name in run.changes for run in candidates)} of {len(candidates)} runs" if candidates else ""


def _failed_checks(one: Seen, status: Status) -> tuple[str, ...]:
    """Checks that the candidate fails, the commonest first: in any failing run where the case fell, else in most runs."""
    if status not in ("lost", "refused", "suspect", "left_script"):
        return one.failed
    failed = Counter(name for run in one.runs(Arm.CANDIDATE) if run.passed is False for name in dict.fromkeys(run.failed_checks))
    return tuple(name for name, _ in failed.most_common())


def _notes(one: Seen, status: Status, flip: Flip | None) -> tuple[str, ...]:
    candidates = one.runs(Arm.CANDIDATE)
    notes = list(flip.notes) if flip else []
    if status == "left_script":
        notes += dict.fromkeys(f"no recorded result for: {run.left_script}" for run in candidates if run.left_script)
    if status in ("refused", "not_scored"):
        notes += dict.fromkeys(run.error for run in candidates if run.error)
    judged = Counter(run.judged for run in candidates if run.judged is not None)
    if judged:
        notes.append("judge: " + ", ".join(f"{n} {said}" for said, n in judged.most_common()))
    if one.case.faulted:
        notes.append(f"the known-good output is not good: {one.case.faulted}")
    return tuple(notes[:5])


# ── causes ──────────────────────────────────────────────────────────────────────────────────────────


def _causes(
    found: BaselineEvidence, seen: Mapping[str, Seen], lost: Mapping[str, Flip], cases: Sequence[ReportedCase]
) -> tuple[Cause, ...]:
    """Named changes and failed checks by the prompts they lost, then by the prompts that show them; what only rewords is no cause."""
    by_cause = Counter(flip.cause for flip in lost.values())
    showing: defaultdict[str, set[str]] = defaultdict(set)
    for id, one in seen.items():
        for name in (*one.named, *one.failed):
            showing[name].add(id)
    for flip in lost.values():
        showing[flip.cause].add(flip.case)
        for name in flip.changes:
            showing[name].add(flip.case)
    rows = []
    for name, ids in showing.items():
        if not by_cause[name] and (name in diff.BENIGN or not ids):
            continue
        example = next((c.id for c in cases if c.id in lost and lost[c.id].cause == name), None)
        example = example or next((c.id for c in cases if c.id in ids), "")
        prompts = max(found.changes.get(name, 0), len(ids))
        rows.append(Cause(name=name, says=cause_says(name), lost=by_cause[name], prompts=prompts, example=example))
    return tuple(sorted(rows, key=lambda c: (-c.lost, -c.prompts, rank(c.name))))
