"""Baseline runs by case, version and stage: how many passed, failed, could not be scored or left their script. Pure; one pass over them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from detent.evidence.spending import was_stopped
from detent.terms import Arm, Run

RunStage = Literal["screen", "confirm"]

SUSPICIOUS_DROP = 0.3
"""A prompt whose share of passes drops by this much in the screen is run again (statistics 2.5.3)."""

FUTILE_FROM = 10
"""A suspect that is no worse on the candidate in the first half of its fresh runs is cleared, where that half has so many runs of either.

It costs a prompt that now passes every other time 0.1 % of its chance to be found, and saves a tenth of all calls (bench/flips.py). The
test that follows stays valid: stopping for the lack of a difference can only take discoveries away."""

MOSTLY = 0.5
"""A case is left, or shows a change, when more than this share of its runs does."""


@dataclass(slots=True)
class Tally:
    """Runs of one case, version and stage, each repeat once: a second run of the same repeat counts for nothing.

    A run that left its script is neither passed nor failed nor an error: it is settled, and another one would leave it as well. `took`
    counts the settled runs whose request was not refused itself. A run that the budget `stopped` is no attempt.
    """

    passed: int = 0
    scored: int = 0
    unscored: int = 0
    left: int = 0
    refused: int = 0
    took: int = 0
    stopped: int = 0
    runs: dict[int, Run] = field(default_factory=dict)

    def add(self, run: Run) -> None:
        """Count a run."""
        if run.repeat in self.runs:
            return
        self.runs[run.repeat] = run
        if was_stopped(run):
            self.stopped += 1
            return
        self.refused += run.request_refused
        self.took += not run.request_refused and (run.passed is not None or bool(run.left_script))
        if run.left_script:
            self.left += 1
        elif run.passed is None:
            self.unscored += 1
        else:
            self.scored += 1
            self.passed += run.passed

    @property
    def settled(self) -> int:
        """Runs that need not be made again."""
        return self.scored + self.left

    @property
    def share(self) -> float:
        """Share of the scored runs that passed; only where some were scored."""
        return self.passed / self.scored

    @property
    def left_share(self) -> float:
        """Share of the settled runs that left the script; 0 without any."""
        return self.left / self.settled if self.left else 0.0

    def missing(self, wanted: int) -> Iterator[int]:
        """Repeats to make until `wanted` are settled: one more for each that could not be scored, `wanted` more at most.

        A run that the budget stopped keeps its number, and another is made in its place.
        """
        return (n for n in range(wanted + min(self.unscored, wanted) + self.stopped) if n not in self.runs)

    def first(self, n: int) -> list[Run]:
        """The first `n` settled runs by repeat, or all."""
        return [run for _, run in sorted(self.runs.items()) if run.passed is not None or run.left_script][:n]

    def in_order(self) -> list[Run]:
        """The scored runs by repeat."""
        return [run for _, run in sorted(self.runs.items()) if run.passed is not None and not run.left_script]


@dataclass(slots=True)
class CaseTally:
    """All runs of one case."""

    stable: Tally = field(default_factory=Tally)
    candidate: Tally = field(default_factory=Tally)
    stable_confirm: Tally = field(default_factory=Tally)
    candidate_confirm: Tally = field(default_factory=Tally)

    def of(self, arm: Arm, stage: RunStage) -> Tally:
        """The tally of one version and stage."""
        if stage == "screen":
            return self.candidate if arm is Arm.CANDIDATE else self.stable
        return self.candidate_confirm if arm is Arm.CANDIDATE else self.stable_confirm

    @property
    def left(self) -> bool:
        """Whether any run of either version left its script."""
        return any(tally.left for arm in Arm for tally in self.both(arm))

    @property
    def scored(self) -> bool:
        """Whether any run of either version was scored."""
        return any(tally.scored for arm in Arm for tally in self.both(arm))

    def both(self, arm: Arm) -> tuple[Tally, Tally]:
        """The tallies of one version in screen and confirm."""
        return self.of(arm, "screen"), self.of(arm, "confirm")

    @property
    def refused(self) -> bool:
        """Whether a version refused the request itself and never took it: no more is asked than it takes to tell (`refusals`)."""
        return any(sum(t.refused for t in self.both(arm)) and not sum(t.took for t in self.both(arm)) for arm in Arm)

    @property
    def replayable(self) -> bool:
        """Whether stable itself keeps to the recorded script: where it mostly leaves it, nothing can be said of the candidate."""
        return self.stable.left_share <= MOSTLY

    @property
    def drop(self) -> float:
        """By how much the candidate's share of passes in the screen is below stable's; 0 where one of the two has no scored run."""
        return self.stable.share - self.candidate.share if self.stable.scored and self.candidate.scored else 0.0

    @property
    def leaving(self) -> float:
        """By how much oftener the candidate leaves the script in the screen; 0 where it mostly keeps to it."""
        rise = self.candidate.left_share - self.stable.left_share
        return rise if self.candidate.left_share > MOSTLY else 0.0

    def wanted(self, of: RunStage, wanted: int) -> int:
        """How many of the `wanted` runs of a stage are still worth their price: all, or half of the fresh ones once it is cleared."""
        return wanted // 2 if of == "confirm" and self._cleared(wanted // 2) else wanted

    def _cleared(self, half: int) -> bool:
        """Whether the first half of the fresh runs shows neither a drop nor more leaving."""
        stable, candidate = self.stable_confirm.first(half), self.candidate_confirm.first(half)
        if half < FUTILE_FROM or len(stable) < half or len(candidate) < half:
            return False
        (failed, kept_to), (candidate_failed, candidate_kept_to) = _failed(stable), _failed(candidate)
        return candidate_kept_to >= kept_to and candidate_failed * kept_to <= failed * candidate_kept_to


def _failed(runs: Sequence[Run]) -> tuple[int, int]:
    """How many runs failed, of how many that kept to their script."""
    kept_to = [run for run in runs if not run.left_script]
    return sum(run.passed is False for run in kept_to), len(kept_to)


Tallies = Mapping[str, CaseTally]

NOTHING = CaseTally()
"""The tally of a case without any run; never added to."""


def tally(runs: Iterable[Run]) -> Tallies:
    """Runs by case."""
    found: dict[str, CaseTally] = {}
    for run in runs:
        case = found.get(run.case)
        if case is None:
            case = found[run.case] = CaseTally()
        case.of(run.arm, run.stage).add(run)
    return found
