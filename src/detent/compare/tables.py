"""Rows of two versions -> one table over all prompts, one for each task, and the flips. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from detent.compare.records import Row, in_common
from detent.diff import CHANGES, Change, changes
from detent.errors import Exit
from detent.stats.paired import mcnemar_exact
from detent.terms import Answer

ALPHA = 0.05
"""A p-value below this is a signal."""

FEWEST = 6
"""Labelled prompts that it takes at least: with five, all lost, the exact two-sided p is 2/32 = 0.0625."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Sums over the prompts that both versions have. Right and flip figures count the `labelled` ones: labelled in both arms."""

    prompts: int
    labelled: int
    stable_right: int
    candidate_right: int
    negative_flips: int
    positive_flips: int
    stable_chars: int
    candidate_chars: int
    changes: dict[str, int] = field(default_factory=dict)

    @property
    def mcnemar_p(self) -> float | None:
        """Exact, two-sided; 1.0 without any flip, None without any labelled prompt."""
        return mcnemar_exact(self.negative_flips, self.positive_flips) if self.labelled else None

    @property
    def length_ratio(self) -> float | None:
        """Sum of the candidate's characters over the sum of stable's; None when stable wrote none."""
        return self.candidate_chars / self.stable_chars if self.stable_chars else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFlip:
    """A prompt that one version answered rightly and the other did not, in one run each; `changes` in order of precedence."""

    prompt_id: str
    task: str
    kind: Literal["negative", "positive"]
    stable_output: str
    candidate_output: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions, prompt by prompt. `unmatched` counts answers asked for anew that no record knows; None when nothing was asked anew."""

    stable: str
    candidate: str
    overall: Table
    tasks: dict[str, Table]
    flips: tuple[PromptFlip, ...]
    only_stable: int = 0
    only_candidate: int = 0
    asked_otherwise: int = 0
    unmatched: int | None = None

    @property
    def lost(self) -> tuple[PromptFlip, ...]:
        """The negative flips, in the order of the file."""
        return tuple(flip for flip in self.flips if flip.kind == "negative")


class _Sums:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()

    def add(self, stable: Row, candidate: Row, found: tuple[Change, ...]) -> None:
        self.changes.update(change.name for change in found)
        self.counts.update(prompts=1, stable_chars=len(stable.answer.text), candidate_chars=len(candidate.answer.text))
        if stable.correct is None or candidate.correct is None:
            return
        self.counts.update(
            labelled=1,
            stable_right=stable.correct,
            candidate_right=candidate.correct,
            negative_flips=stable.correct and not candidate.correct,
            positive_flips=candidate.correct and not stable.correct,
        )

    def table(self) -> Table:
        n = self.counts
        return Table(
            prompts=n["prompts"],
            labelled=n["labelled"],
            stable_right=n["stable_right"],
            candidate_right=n["candidate_right"],
            negative_flips=n["negative_flips"],
            positive_flips=n["positive_flips"],
            stable_chars=n["stable_chars"],
            candidate_chars=n["candidate_chars"],
            changes={row.name: self.changes[row.name] for row in CHANGES},
        )


def compare(rows: Iterable[Row], stable: str, candidate: str, *, unmatched: int | None = None) -> Comparison:
    """Compare two versions over the prompts that both have. Raises InvalidInput for a version without records."""
    rows = tuple(rows)
    pairs = in_common(rows, stable, candidate)
    overall, tasks, flips = _Sums(), dict[str, _Sums](), list[PromptFlip]()
    for before, after in pairs:
        found = changes(before.answer, after.answer)
        overall.add(before, after, found)
        tasks.setdefault(before.task, _Sums()).add(before, after, found)
        if before.correct is not None and after.correct is not None and before.correct != after.correct:
            flips.append(
                PromptFlip(
                    prompt_id=before.prompt_id,
                    task=before.task,
                    kind="negative" if before.correct else "positive",
                    stable_output=_output(before.answer),
                    candidate_output=_output(after.answer),
                    changes=found,
                )
            )
    return Comparison(
        stable=stable,
        candidate=candidate,
        overall=overall.table(),
        tasks={task: tasks[task].table() for task in sorted(tasks)},
        flips=tuple(flips),
        only_stable=sum(row.version == stable for row in rows) - len(pairs),
        only_candidate=sum(row.version == candidate for row in rows) - len(pairs),
        asked_otherwise=sum(before.messages != after.messages for before, after in pairs),
        unmatched=unmatched,
    )


def _output(answer: Answer) -> str:
    """The text of an answer or, when it is tool calls alone, those."""
    return answer.text or "\n".join(f"{call.name}({call.arguments})" for call in answer.tool_calls)


def verdict(comparison: Comparison) -> Exit:
    """INCONCLUSIVE below 6 labelled prompts; REGRESSION when p < 0.05 with more lost than won; else PASS (which proves nothing equal)."""
    table = comparison.overall
    p = table.mcnemar_p
    if p is None or table.labelled < FEWEST:
        return Exit.INCONCLUSIVE
    return Exit.REGRESSION if p < ALPHA and table.negative_flips > table.positive_flips else Exit.PASS
