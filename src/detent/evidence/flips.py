"""Baseline runs -> evidence: which calls are still to be made, which prompts flipped and why (statistics 2.5). Pure.

Two stages: a screen of every prompt, then fresh runs of both versions on the suspects only; fresh runs make the selection harmless. A run
that could not be scored is made again, and a prompt that stays short of scored runs is an error: it never counts as a pass.

tally.py     runs by case, version and stage            slices.py   means over all prompts and in every stratum
causes.py    named changes and what a flip is lost by   spread.py   how much a version varies against itself
refusals.py  requests that the candidate does not take  verdict.py  what all of it comes to
leaving.py   agent cases that leave their script        failures.py calls that failed by the provider
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from detent.evidence import causes
from detent.evidence.causes import UNNAMED
from detent.evidence.failures import ALPHA_FAILURES, failures
from detent.evidence.identity import answered_by_stable
from detent.evidence.leaving import ALPHA_LEAVING, ALPHA_LEFT, leaving, left_script
from detent.evidence.refusals import REFUSALS, refusals
from detent.evidence.slices import slices
from detent.evidence.spending import over_budget, spent_usd
from detent.evidence.spread import spread
from detent.evidence.tally import FUTILE_FROM, NOTHING, SUSPICIOUS_DROP, CaseTally, RunStage, Tallies, Tally, tally
from detent.evidence.verdict import verdict
from detent.stats.least import ALPHA_FLIPS
from detent.stats.paired import discoveries, fisher_worse, noise_floor
from detent.terms import Arm, BaselineEvidence, BaselineStage, Case, Flip, Run

__all__ = [
    "SUSPICIOUS_DROP",
    "UNNAMED",
    "RunKey",
    "RunStage",
    "asked_cases",
    "baseline_evidence",
    "next_runs",
    "suspects",
    "verdict",
]

ALPHA_OVERALL, ALPHA_SLICES = 0.0125, 0.01
"""With those of `ALPHAS` how the 5 % of unchanged releases that may be called anything but a pass are shared out: they sum to 0.05, so that
any dependence is allowed for. The false discovery rate alone would not do: where nothing changed, each discovery is a false one, and a
rate of 10 % is 10 % of all such releases."""

ALPHAS = (ALPHA_FLIPS, ALPHA_OVERALL, ALPHA_SLICES, ALPHA_LEFT, ALPHA_LEAVING, ALPHA_FAILURES)


@dataclass(frozen=True, slots=True)
class RunKey:
    """A call of a baseline run."""

    case: str
    arm: Arm
    stage: RunStage
    repeat: int


# ── which calls are still to be made ────────────────────────────────────────────────────────────────────────────────


def _suspicious(case: CaseTally) -> bool:
    """Whether the candidate passes less often in the screen, or leaves the script where stable does not."""
    return case.replayable and max(case.drop, case.leaving) >= SUSPICIOUS_DROP - 1e-9


def _suspects(cases: Iterable[str], tallies: Tallies) -> tuple[str, ...]:
    return tuple(case for case in cases if _suspicious(tallies.get(case, NOTHING)))


def suspects(cases: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """The cases whose screen shows a drop of at least `SUSPICIOUS_DROP`, in their order."""
    return _suspects(cases, tally(runs))


_WANTED: tuple[tuple[RunStage, Arm, str], ...] = (
    ("screen", Arm.STABLE, "stable_repeats"),
    ("screen", Arm.CANDIDATE, "screen"),
    ("confirm", Arm.STABLE, "confirm"),
    ("confirm", Arm.CANDIDATE, "confirm"),
)
"""Which setting says how many scored runs a case needs, by stage and version."""


def _pending(stage: BaselineStage, cases: Iterable[str], of: RunStage, tallies: Tallies) -> Iterator[RunKey]:
    wanted = [(arm, getattr(stage, setting)) for in_stage, arm, setting in _WANTED if in_stage == of]
    for case in cases:
        found = tallies.get(case, NOTHING)
        if found.refused and of == "screen":
            yield from _to_tell(case, found)
        elif not found.refused:
            for arm, needed in wanted:
                yield from (RunKey(case, arm, of, n) for n in found.of(arm, of).missing(found.wanted(of, needed)))


def _to_tell(case: str, found: CaseTally) -> Iterator[RunKey]:
    """The calls that tell whose refusal it is: one that stable answers, or as many refusals of it, and a second one of the candidate."""
    stable, candidate = found.stable, found.candidate
    wanted = ((Arm.STABLE, 0 if stable.took else REFUSALS if stable.refused else 1), (Arm.CANDIDATE, REFUSALS if candidate.refused else 0))
    for arm, needed in wanted:
        yield from (RunKey(case, arm, "screen", n) for n in found.of(arm, "screen").missing(needed))


def _next(stage: BaselineStage, cases: Sequence[str], tallies: Tallies) -> tuple[RunKey, ...]:
    screen = tuple(_pending(stage, cases, "screen", tallies))
    if screen:
        return screen
    suspected = _suspects(cases, tallies)
    half = replace(stage, confirm=stage.confirm // 2)
    first = tuple(_pending(half, suspected, "confirm", tallies)) if half.confirm >= FUTILE_FROM else ()
    return first or tuple(_pending(stage, suspected, "confirm", tallies))


def next_runs(stage: BaselineStage, cases: Sequence[str], runs: Sequence[Run]) -> tuple[RunKey, ...]:
    """The calls still to be made: first the whole screen, then fresh runs of both versions on the suspects only; empty when done.

    The fresh runs come in two halves where they are many (`FUTILE_FROM`): a suspect whose first half shows no drop is asked for no more.
    Calls already recorded are never asked for again. For a run that could not be scored another one is asked for, as often again as the
    stage asks for at most: an outage passes, and a version that never answers doesn't cost for ever. For a run that left its script none
    is. A case whose request was refused itself is asked only as often as it takes to tell whose refusal it is. Runs of other cases (of a
    baseline frozen before this one) count for nothing.
    """
    return _next(stage, list(dict.fromkeys(cases)), tally(runs))


def asked_cases(cases: Sequence[Case], runs: Sequence[Run]) -> tuple[str, ...]:
    """The ids of the cases that calls are made for, each once: all but those whose shape of request one of the versions refuses, or may."""
    settled = refusals(cases, tally(runs)).settled
    return tuple(dict.fromkeys(case.id for case in cases if case.id not in settled))


def _short(stage: BaselineStage, case: CaseTally) -> bool:
    """Whether a case has fewer settled runs than its stage asks for, or not one scored run of a version that is to be compared."""
    confirming = _suspicious(case)
    wanted = [(case.of(arm, of), case.wanted(of, getattr(stage, setting))) for of, arm, setting in _WANTED if of == "screen" or confirming]
    if any(made.settled < needed for made, needed in wanted):
        return True
    return case.replayable and not (case.stable.scored and case.candidate.scored + case.candidate_confirm.scored)


# ── what is confirmed ───────────────────────────────────────────────────────────────────────────────────────────────


def _confirmed(stage: BaselineStage, suspected: Sequence[str], tallies: Tallies, cases: Mapping[str, Case]) -> tuple[Flip, ...]:
    """Negative flips that survive Fisher's exact test on the fresh runs and Benjamini-Hochberg over the suspects (statistics 2.5.3).

    A case of the blind reserve is named, and its outputs are left out.
    """
    tested = [(case, tallies[case]) for case in suspected if tallies[case].drop >= SUSPICIOUS_DROP - 1e-9]
    fresh = [(t.stable_confirm, t.candidate_confirm) for _, t in tested]
    p_values = [fisher_worse(stable.passed, stable.scored, candidate.passed, candidate.scored) for stable, candidate in fresh]
    kept = discoveries(p_values, stage.fdr, ALPHA_FLIPS)
    flips = [_flip(case, t.stable_confirm, t.candidate_confirm, p) for (case, t), p, k in zip(tested, p_values, kept, strict=True) if k]
    return tuple(replace(flip, stable_output="", candidate_output="") if cases[flip.case].reserve else flip for flip in flips)


def _flip(case: str, stable: Tally, candidate: Tally, p: float) -> Flip:
    """A confirmed negative flip, with its cause and the outputs that show that cause."""
    of_stable = stable.in_order()
    failing = [run for run in candidate.in_order() if run.passed is False]
    noise = causes.usual(of_stable)
    cause = causes.cause(failing, noise)
    shown = next((run for run in failing if causes.named(run, noise) == cause), None)
    return Flip(
        case=case,
        kind="negative",
        stable_passed=stable.passed,
        stable_runs=stable.scored,
        candidate_passed=candidate.passed,
        candidate_runs=candidate.scored,
        p_value=p,
        cause=cause,
        changes=shown.changes if shown else (),
        stable_output=next((run.output for run in of_stable if run.passed), ""),
        candidate_output=shown.output if shown else "",
        notes=causes.notes(failing),
    )


# ── where it stands ─────────────────────────────────────────────────────────────────────────────────────────────────


def _mean_content(cases: Iterable[CaseTally], arm: Arm) -> float | None:
    """Mean over cases of the mean content score in the screen: the figure that a mean-score gate reads. None without any score."""
    by_case = ([run.content for run in case.of(arm, "screen").runs.values() if run.content is not None] for case in cases)
    means = [sum(values) / len(values) for values in by_case if values]
    return sum(means) / len(means) if means else None


def _blessed(cases: Sequence[Case]) -> float | None:
    """Share of the traffic weight whose known-good output is blessed; None without any weight."""
    whole = sum(case.weight for case in cases)
    return sum(case.weight for case in cases if case.blessed is not None) / whole if whole else None


def _never_right(case: CaseTally) -> bool:
    """Whether stable itself never passes it, so that it cannot be lost."""
    return case.replayable and case.stable.scored > 0 and case.stable.passed == 0


def _comparable(case: CaseTally) -> bool:
    return case.replayable and bool(case.stable.scored and case.candidate.scored)


def baseline_evidence(
    stage: BaselineStage, cases: Sequence[Case], runs: Sequence[Run], *, stale: tuple[str, ...] = (), sent: tuple[str, str] | None = None
) -> BaselineEvidence:
    """Where a baseline run stands. `sent` are the models that stable and the candidate are asked for by.

    Flips, harmed slices and left scripts are named only when no call is pending: a half-made run accuses nobody. A refused request is named
    as soon as it is known. A case that is in the baseline twice counts once, and once as an error. A probe stands for no traffic: it may be
    lost, and is in no mean; one that could not be scored on either version is left out.
    """
    tallies = tally(runs)
    refusing = refusals(cases, tallies)
    once = {case.id: case for case in cases}
    asked = [case for case in once if case not in refusing.settled]
    traffic = [tallies.get(case, NOTHING) for case in asked if not once[case].probe]
    pending = len(_next(stage, asked, tallies))
    suspected = _suspects(asked, tallies)
    noisy = [t.stable for t in traffic if t.stable.scored >= 2]
    known = BaselineEvidence(
        cases=len(once),
        pending=pending,
        suspects=len(suspected),
        never_right=sum(map(_never_right, traffic)),
        not_replayable=sum(not t.replayable for t in traffic),
        losable=sum(_comparable(t) and not _never_right(t) for t in traffic),
        at_least=stage.at_least,
        margin=stage.margin,
        probes=sum(bool(case.probe) for case in once.values()),
        positive=sum(-t.drop >= SUSPICIOUS_DROP - 1e-9 for t in traffic),
        content_stable=_mean_content(traffic, Arm.STABLE),
        content_candidate=_mean_content(traffic, Arm.CANDIDATE),
        noise_floor=noise_floor([t.passed for t in noisy], [t.scored for t in noisy]) / len(noisy) if noisy else None,
        refused=refusing.findings,
        failures=failures(runs),
        wrong_model=answered_by_stable(sent, runs) if sent is not None else "",
        blessed=_blessed(cases),
        stale=stale,
        over_budget=over_budget(stage, runs),
        spent_usd=spent_usd(runs),
    )
    if pending and not known.over_budget:
        return known
    pairs = [(once[c], t) for c in asked if _comparable(t := tallies.get(c, NOTHING)) and not once[c].probe]
    compared, measured = [case for case, _ in pairs], [t for _, t in pairs]
    alphas = (0.0, 0.0) if pending else (ALPHA_OVERALL, ALPHA_SLICES)
    overall, strata = slices(compared, measured, alpha_overall=alphas[0], alpha_slices=alphas[1])
    changes, reworded = causes.changes(t for t in measured)
    unscored = frozenset(c for c in asked if once[c].probe and not tallies.get(c, NOTHING).scored)
    in_doubt = refusing.by_stable | refusing.unknown
    short = {c for c in asked if c not in unscored and _short(stage, tallies.get(c, NOTHING))}
    agents = [case for c in asked if not (case := once[c]).probe and (case.script or tallies.get(c, NOTHING).left)]
    return replace(
        known,
        errors=0 if pending else len(cases) - len(once) + len(short | in_doubt),
        probes_unscored=len(unscored),
        confirmed=() if pending else _confirmed(stage, suspected, tallies, once),
        left_script=() if pending else left_script(suspected, tallies, stage.fdr),
        leaving=None if pending else leaving(agents, tallies),
        overall=overall,
        slices=strata,
        spread=spread(compared, measured),
        changes=changes,
        reworded=reworded,
    )
