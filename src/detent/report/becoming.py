"""What became of each case of a baseline: what its runs show, and the worst that can be said of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from detent import diff
from detent.evidence import causes, flips, refusals
from detent.evidence.tally import NOTHING, CaseTally, RunStage, Tally, tally
from detent.terms import Arm, Baseline, BaselineStage, Case, Flip, Run
from detent.terms.report import Status

_PRECEDENCE = {name: rank for rank, name in enumerate(diff.SAYS)}
_STAGES: tuple[RunStage, ...] = ("screen", "confirm")


@dataclass(frozen=True, slots=True)
class Seen:
    """One case. `named` are the changes that most runs of the candidate show and most of stable's don't; `failed` are checks, likewise."""

    case: Case
    tally: CaseTally
    named: tuple[str, ...]
    failed: tuple[str, ...]
    refused: bool
    """Whether the candidate refuses its shape of request, which one refused run tells for all cases of that shape."""

    def runs(self, arm: Arm) -> list[Run]:
        """Of one version, those of the screen first."""
        return [run for stage in _STAGES for _, run in sorted(self.tally.of(arm, stage).runs.items())]


def seen_of(baseline: Baseline, runs: Iterable[Run]) -> dict[str, Seen]:
    """Every case of the baseline with what its runs show, by its id."""
    tallies = tally(runs)
    _, refused, _ = refusals.refused(baseline.cases, tallies)
    seen = {}
    for case in baseline.cases:
        found = tallies.get(case.id, NOTHING)
        named = tuple(sorted(causes.shown(found), key=rank))
        seen[case.id] = Seen(case, found, named, _mostly_failed(found), case.id in refused)
    return seen


def rank(name: str) -> tuple[int, str]:
    """By which names of changes are sorted, the most telling first."""
    return _PRECEDENCE.get(name, len(_PRECEDENCE)), name


def _mostly_failed(found: CaseTally) -> tuple[str, ...]:
    """Checks that most of the candidate's scored runs fail, and most of stable's don't."""

    def failed(*tallies: Tally) -> list[str]:
        scored = [run for one in tallies for run in one.in_order()]
        checks = Counter(name for run in scored for name in dict.fromkeys(run.failed_checks))
        return [name for name, n in checks.items() if 2 * n > len(scored)]

    usual = failed(found.stable, found.stable_confirm)
    return tuple(name for name in failed(found.candidate, found.candidate_confirm) if name not in usual)


# ── status ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def needed_of(seen: Iterable[Seen], stage: BaselineStage | None) -> Mapping[tuple[Arm, RunStage], int]:
    """Settled runs that a case needs, by version and stage; without a plan, as many as the best-run case has."""
    if stage is not None:
        screen = {(Arm.STABLE, "screen"): stage.stable_repeats, (Arm.CANDIDATE, "screen"): stage.screen}
        return {**screen, (Arm.STABLE, "confirm"): stage.confirm, (Arm.CANDIDATE, "confirm"): stage.confirm}  # type: ignore[dict-item]
    best: Counter[tuple[Arm, RunStage]] = Counter()
    for one in seen:
        for arm in Arm:
            for of in _STAGES:
                best[arm, of] = max(best[arm, of], one.tally.of(arm, of).settled)
    return best


def status_of(
    one: Seen, lost: Mapping[str, Flip], left: frozenset[str], suspected: frozenset[str], needed: Mapping[tuple[Arm, RunStage], int]
) -> Status:
    """The worst that can be said of a case."""
    id, found = one.case.id, one.tally
    if id in lost:
        return "lost"
    if one.refused:
        return "refused"
    if id in left:
        return "left_script"
    stages = _STAGES if id in suspected else _STAGES[:1]
    short = any(found.of(arm, of).settled < found.wanted(of, max(1, needed[arm, of])) for arm in Arm for of in stages)
    if short or not found.replayable or not (found.stable.scored and found.candidate.scored):
        return "not_scored"
    if id in suspected:
        return "suspect"
    if -found.drop >= flips.SUSPICIOUS_DROP - 1e-9:
        return "won"
    if not one.named:
        return "same"
    return "reworded" if all(name in diff.BENIGN for name in one.named) else "changed"
