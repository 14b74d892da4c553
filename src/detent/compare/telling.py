"""A comparison in plain lines: what a team needs to hear first, then tasks and changes. Nothing here is coloured; the rim does that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from detent.diff import BENIGN, SAYS
from detent.errors import Exit
from detent.visible import visible

if TYPE_CHECKING:
    from detent.compare.tables import Comparison, Table


def _name(text: str) -> str:
    shown = visible(text, one_line=True)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def show_p(p: float | None) -> str:
    """A p-value in three digits; the smallest float is no zero."""
    return "-" if p is None else f"{p:.3g}" if p > 0 else "< 1e-300"


def summary(comparison: Comparison, exit_code: Exit) -> tuple[str, ...]:
    """The four lines to hear first: right in each arm, flips, the commonest cause among the lost, the verdict."""
    return (_right(comparison), _flips(comparison.overall), _cause(comparison), _verdict(comparison, exit_code))


def _right(comparison: Comparison) -> str:
    table = comparison.overall
    if not table.labelled:
        return f"right: no prompt is labelled in both arms ({table.prompts} compared)"
    stable, candidate = (100 * n / table.labelled for n in (table.stable_right, table.candidate_right))
    return (
        f"right: {_name(comparison.stable)} {table.stable_right} of {table.labelled} ({stable:.1f} %), "
        f"{_name(comparison.candidate)} {table.candidate_right} of {table.labelled} ({candidate:.1f} %): {candidate - stable:+.1f} points"
    )


def _flips(table: Table) -> str:
    return f"flips: {table.negative_flips} negative (right before, wrong now), {table.positive_flips} positive (wrong before, right now)"


def _cause(comparison: Comparison) -> str:
    lost = comparison.lost
    if not lost:
        return "cause: no prompt was lost"
    causes = Counter(flip.changes[0].name for flip in lost if flip.changes and flip.changes[0].name not in BENIGN)
    unnamed = len(lost) - causes.total()
    if not causes:
        return f"cause: none of the {len(lost)} lost prompts shows a change that has a name: read them below"
    order = list(SAYS)
    name = min(causes, key=lambda name: (-causes[name], order.index(name)))
    carrying = sum(any(change.name == name for change in flip.changes) for flip in lost)
    table = comparison.overall
    lengths = ""
    if name in ("answer_shortened", "answer_lengthened"):
        lengths = (
            f": mean characters {table.stable_chars / table.prompts:.0f} -> {table.candidate_chars / table.prompts:.0f} over all prompts"
        )
    rest = f"; {unnamed} with no named change" if unnamed else ""
    return f"cause: {carrying} of {len(lost)} lost prompts: {SAYS[name]}{lengths}{rest}"


def _verdict(comparison: Comparison, exit_code: Exit) -> str:
    table = comparison.overall
    p = f"p = {show_p(table.mcnemar_p)}, exact McNemar, two-sided"
    if exit_code is Exit.INCONCLUSIVE:
        return f"verdict: too little to tell: {table.labelled} prompts labelled in both arms, and p < 0.05 takes 6 at least"
    if exit_code is Exit.REGRESSION:
        return f"verdict: worse ({p}); one run each is a signal, not a confirmed regression: run the lost prompts again to confirm it"
    if (table.mcnemar_p or 0.0) < 0.05:
        return f"verdict: better ({p}), and {table.negative_flips} prompts are lost all the same"
    return f"verdict: no difference shown ({p}), which does not prove that there is none"


def notes(comparison: Comparison) -> tuple[str, ...]:
    """What was left out or is odd, one line each; empty when there is nothing to say."""
    table = comparison.overall
    found = []
    if comparison.only_stable or comparison.only_candidate:
        alone = f"{comparison.only_stable} only {_name(comparison.stable)}, {comparison.only_candidate} only {_name(comparison.candidate)}"
        found.append(f"note: {table.prompts} prompts compared; left out, because one version alone has them: {alone}")
    if table.labelled < table.prompts:
        found.append(
            f"note: {table.prompts - table.labelled} of {table.prompts} prompts are not labelled in both arms; no flip counts them"
        )
    if comparison.unmatched:
        found.append(f"note: {comparison.unmatched} answers differ from every recorded one and have no label")
    if comparison.asked_otherwise:
        found.append(f"note: {comparison.asked_otherwise} prompts were asked with other messages in the two arms")
    found.extend(_worse_tasks(comparison))
    return tuple(found)


def _worse_tasks(comparison: Comparison) -> Iterator[str]:
    """Tasks that lost more than they won, when all prompts together don't show it: a mean hides them. Bonferroni over the tasks."""
    overall = comparison.overall
    if overall.negative_flips > overall.positive_flips:
        return
    for name, table in comparison.tasks.items():
        p, lost, won = table.mcnemar_p, table.negative_flips, table.positive_flips
        if p is not None and lost > won and p * len(comparison.tasks) < 0.05:
            yield f"note: task {_name(name)} is worse ({lost} lost, {won} won, p = {show_p(p)}), which all prompts together do not show"


def rest(comparison: Comparison) -> tuple[str, ...]:
    """The table of tasks, when there is more than one, and the counts of named changes."""
    lines: list[str] = []
    if len(comparison.tasks) > 1:
        head = ("task", "prompts", "right before", "right now", "lost", "won", "p", "length")
        lines += ["", *_aligned([head, *(_cells(name, table) for name, table in comparison.tasks.items())])]
    counts = Counter({name: n for name, n in comparison.overall.changes.items() if n})
    lines += ["", f"changes over {comparison.overall.prompts} prompts:" if counts else "changes: none that has a name"]
    lines += _aligned([(f"  {SAYS[name]}", str(n)) for name, n in counts.most_common()])
    return tuple(lines)


def _cells(name: str, table: Table) -> tuple[str, ...]:
    ratio = "-" if table.length_ratio is None else f"x {table.length_ratio:.3g}"
    counts = (table.prompts, table.stable_right, table.candidate_right, table.negative_flips, table.positive_flips)
    return (_name(name), *map(str, counts), show_p(table.mcnemar_p), ratio)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns under each other: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(c.ljust(w) if n == 0 else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))) for row in rows]
