"""Baseline runs -> evidence: which calls are still to be made, which prompts flipped and why (statistics 2.5). Pure.

Two stages: a screen of every prompt, then fresh runs of both versions on the suspects only; fresh runs make the selection harmless. A run
that could not be scored is made again, and a prompt that stays short of scored runs is an error: it never counts as a pass.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from detent.diff import CHANGES
from detent.stats.paired import benjamini_hochberg, fisher_worse, noise_floor
from detent.terms import Arm, BaselineEvidence, BaselineStage, Case, Flip, Run

RunStage = Literal["screen", "confirm"]

SUSPICIOUS_DROP = 0.3
"""A prompt whose share of passes drops by this much in the screen is run again (statistics 2.5.3)."""

UNNAMED = "unnamed"
"""The cause of a flip whose failing runs show neither a named change nor a failed check."""

_PRECEDENCE = {change.name: rank for rank, change in enumerate(CHANGES)}


@dataclass(frozen=True, slots=True)
class RunKey:
    """A call of a baseline run."""

    case: str
    arm: Arm
    stage: RunStage
    repeat: int


@dataclass(frozen=True, slots=True)
class _Tally:
    """Runs of one case, arm and stage: how many passed, how many were scored, how many could not be, and which repeats are done."""

    passed: int = 0
    scored: int = 0
    unscored: int = 0
    done: frozenset[int] = frozenset()

    @property
    def share(self) -> float:
        """Share of the scored runs that passed; only where some were scored."""
        return self.passed / self.scored

    def missing(self, wanted: int) -> Iterator[int]:
        """Repeats to make until `wanted` are scored: one more for each that could not be scored, `wanted` more at most."""
        return (n for n in range(wanted + min(self.unscored, wanted)) if n not in self.done)


_Tallies = Mapping[tuple[str, Arm, RunStage], _Tally]


def _tally(runs: Iterable[Run]) -> _Tallies:
    found: defaultdict[tuple[str, Arm, RunStage], _Tally] = defaultdict(_Tally)
    for run in runs:
        t = found[run.case, run.arm, run.stage]
        found[run.case, run.arm, run.stage] = _Tally(
            passed=t.passed + (run.passed is True),
            scored=t.scored + (run.passed is not None),
            unscored=t.unscored + (run.passed is None),
            done=t.done | {run.repeat},
        )
    return found


def _drop(case: str, tallies: _Tallies) -> float:
    """By how much the candidate's share of passes in the screen is below stable's; 0 where one of the two has no scored run."""
    stable, candidate = tallies[case, Arm.STABLE, "screen"], tallies[case, Arm.CANDIDATE, "screen"]
    return stable.share - candidate.share if stable.scored and candidate.scored else 0.0


def _suspects(cases: Iterable[str], tallies: _Tallies) -> tuple[str, ...]:
    return tuple(case for case in cases if _drop(case, tallies) >= SUSPICIOUS_DROP - 1e-9)


def suspects(cases: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """The cases whose screen shows a drop of at least `SUSPICIOUS_DROP`, in their order."""
    return _suspects(cases, _tally(runs))


def _wanted(stage: BaselineStage, case: str, of: RunStage) -> Iterator[tuple[str, Arm, RunStage, int]]:
    """How many scored runs a case needs of each version."""
    stable, candidate = (stage.stable_repeats, stage.screen) if of == "screen" else (stage.confirm, stage.confirm)
    yield case, Arm.STABLE, of, stable
    yield case, Arm.CANDIDATE, of, candidate


def _pending(stage: BaselineStage, cases: Iterable[str], of: RunStage, tallies: _Tallies) -> tuple[RunKey, ...]:
    wanted = (row for case in cases for row in _wanted(stage, case, of))
    return tuple(RunKey(case, arm, of, n) for case, arm, _, needed in wanted for n in tallies[case, arm, of].missing(needed))


def next_runs(stage: BaselineStage, cases: Sequence[str], runs: Sequence[Run]) -> tuple[RunKey, ...]:
    """The calls still to be made: first the whole screen, then fresh runs of both versions on the suspects only; empty when done.

    Calls already recorded are never asked for again. For a run that could not be scored another one is asked for, as often again as the
    stage asks for at most: an outage passes, and a version that never answers doesn't cost for ever. Runs of other cases (of a baseline
    frozen before this one) count for nothing.
    """
    tallies = _tally(runs)
    return _pending(stage, cases, "screen", tallies) or _pending(stage, _suspects(cases, tallies), "confirm", tallies)


def _short(stage: BaselineStage, case: str, suspect: bool, tallies: _Tallies) -> bool:
    """Whether a case has fewer scored runs than its stage asks for."""
    wanted = [*_wanted(stage, case, "screen"), *(_wanted(stage, case, "confirm") if suspect else ())]
    return any(tallies[name, arm, of].scored < needed for name, arm, of, needed in wanted)


def _confirmed(stage: BaselineStage, suspected: Sequence[str], runs: Sequence[Run], tallies: _Tallies) -> tuple[Flip, ...]:
    """Negative flips that survive Fisher's exact test and Benjamini-Hochberg over the suspects (statistics 2.5.3)."""
    tested = []
    for case in suspected:
        stable, candidate = tallies[case, Arm.STABLE, "confirm"], tallies[case, Arm.CANDIDATE, "confirm"]
        tested.append((case, stable, candidate, fisher_worse(stable.passed, stable.scored, candidate.passed, candidate.scored)))
    keep = benjamini_hochberg([p for *_, p in tested], stage.fdr)
    fresh = [run for run in runs if run.stage == "confirm"]
    return tuple(_flip(*row, [r for r in fresh if r.case == row[0]]) for row, kept in zip(tested, keep, strict=True) if kept)


def _flip(case: str, stable: _Tally, candidate: _Tally, p: float, runs: Sequence[Run]) -> Flip:
    """A confirmed negative flip, with its cause and the outputs that show that cause."""
    failing = [run for run in runs if run.arm is Arm.CANDIDATE and run.passed is False]
    cause = _cause(failing)
    shown = next((run for run in failing if _named(run) == cause), None)
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
        stable_output=next((run.output for run in runs if run.arm is Arm.STABLE and run.passed), ""),
        candidate_output=shown.output if shown else "",
    )


def _named(run: Run) -> str:
    """The cause of one failing run: its first named change, else its first failed check."""
    return next(iter((*run.changes, *run.failed_checks)), UNNAMED)


def _cause(failing: Iterable[Run]) -> str:
    """The cause that most of the failing runs share; a tie goes to the more telling one (the order of the table of changes)."""
    named = Counter(_named(run) for run in failing)
    return min(named, key=lambda name: (-named[name], _PRECEDENCE.get(name, len(_PRECEDENCE)), name), default=UNNAMED)


def _mean_content(cases: Iterable[str], runs: Iterable[Run], arm: Arm) -> float | None:
    """Mean over cases of the mean content score in the screen: the figure that a mean-score gate reads. None without any score."""
    by_case: dict[str, list[float]] = {case: [] for case in cases}
    for run in runs:
        if run.arm is arm and run.stage == "screen" and run.content is not None and run.case in by_case:
            by_case[run.case].append(run.content)
    means = [sum(values) / len(values) for values in by_case.values() if values]
    return sum(means) / len(means) if means else None


def baseline_evidence(stage: BaselineStage, cases: Sequence[Case], runs: Sequence[Run]) -> BaselineEvidence:
    """Where a baseline run stands. Confirmed flips are named only when no call is pending: a half-made run accuses nobody."""
    ids = [case.id for case in cases]
    tallies = _tally(runs)
    pending = len(next_runs(stage, ids, runs))
    suspected = _suspects(ids, tallies)
    of_stable = [t for case in ids if (t := tallies[case, Arm.STABLE, "screen"]).scored]
    noisy = [t for t in of_stable if t.scored >= 2]
    return BaselineEvidence(
        cases=len(cases),
        pending=pending,
        suspects=len(suspected),
        errors=0 if pending else sum(_short(stage, case, case in suspected, tallies) for case in ids),
        never_right=sum(t.passed == 0 for t in of_stable),
        confirmed=() if pending else _confirmed(stage, suspected, runs, tallies),
        positive=sum(-_drop(case, tallies) >= SUSPICIOUS_DROP - 1e-9 for case in ids),
        content_stable=_mean_content(ids, runs, Arm.STABLE),
        content_candidate=_mean_content(ids, runs, Arm.CANDIDATE),
        noise_floor=noise_floor([t.passed for t in noisy], [t.scored for t in noisy]) / len(noisy) if noisy else None,
    )
