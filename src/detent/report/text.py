"""A report for a terminal: the verdict, causes, slices, the ten worst prompts as word diffs, and where the rest is."""

from __future__ import annotations

from collections.abc import Iterator

from detent.diff import excerpt, words
from detent.report.figures import (
    JUDGED,
    LABELS,
    MEANS,
    VERDICTS,
    change_says,
    counts,
    interval,
    judged,
    passes,
    percent,
    prompts,
    provenance,
    remarks,
    show_p,
    worth_reading,
)
from detent.terms import Report, ReportedCase, Slice
from detent.visible import line, visible

WORST = 10
"""Prompts that are shown with their diff."""

DIFFED_CHARS = 20_000
"""Each output is diffed up to this length."""

MARKS = {"=": "{}", "-": "[-{}-]", "+": "{{+{}+}}", "~": " {} "}
"""How each piece of a word diff is marked, where there may be no colour."""


def write(report: Report) -> str:
    """The report as plain text, ending in a newline. Nothing in it is obeyed by a terminal."""
    about_all = (block(report) for block in (_head, _counts, _causes, _slices, _remarks, _judged))
    blocks = [*about_all, *_worst(report), _rest(report)]
    return "\n\n".join("\n".join(block) for block in ([*lines] for lines in blocks) if block) + "\n"


def _head(report: Report) -> Iterator[str]:
    name = f"{line(report.route)}: {line(str(report.stable))} -> {line(str(report.candidate))}"
    yield f"{VERDICTS[report.verdict].upper()}  {name}"
    yield line(report.sentence, 900)
    yield ""
    yield from (f"{name}: {line(value)}" for name, value in provenance(report))


def _counts(report: Report) -> Iterator[str]:
    found = counts(report)
    yield f"{prompts(len(report.cases))} shown:" if found else "no prompt to show"
    yield from _aligned([(f"  {n}", LABELS[status], MEANS[status]) for status, n in found.items()], right=1)


def _causes(report: Report) -> Iterator[str]:
    if not report.causes:
        return
    yield "causes:"
    rows = [(f"  {c.lost}", f"{c.prompts}", line(c.says), line(c.example)) for c in report.causes[:20]]
    yield from _aligned([("  lost", "prompts", "what", "for example"), *rows], right=2)
    if len(report.causes) > 20:
        yield f"  and {len(report.causes) - 20} more"


def _slices(report: Report) -> Iterator[str]:
    found = report.evidence
    if found.overall is None and not found.slices:
        return
    yield "share of passes, with a 95 % interval of the difference:"
    # Harmed slices first, then by how much they lost.
    others = sorted(found.slices, key=lambda s: (not s.harmed, s.difference))[:15]
    rows = [_slice(s) for s in ([found.overall] if found.overall else []) + others]
    yield from _aligned([("  slice", "prompts", "before", "now", "lost", "won", "difference", "p", ""), *rows], left=1)
    if len(found.slices) > 15:
        yield f"  and {len(found.slices) - 15} more slices"


def _slice(s: Slice) -> tuple[str, ...]:
    shares = (percent(s.stable), percent(s.candidate))
    flag = "harmed" if s.harmed else ""
    return (f"  {line(s.name, 50)}", f"{s.cases}", *shares, f"{s.lost}", f"{s.won}", interval(s), show_p(s.p_value), flag)


def _remarks(report: Report) -> Iterator[str]:
    yield from (line(remark, 300) for remark in remarks(report))


def _judged(report: Report) -> Iterator[str]:
    """What the judge says of prompts that nothing else lost: the heaviest by name."""
    for word, cases in judged(report).items():
        yield f"{JUDGED[word]}: {prompts(len(cases))}"
        yield from (f"  {line(case.id)} ({LABELS[case.status]}): {line(case.title, 100)}" for case in cases[:WORST])
        if len(cases) > WORST:
            yield f"  and {len(cases) - WORST} more"


def _worst(report: Report) -> Iterator[Iterator[str]]:
    shown = [case for case in report.cases if worth_reading(case)][:WORST]
    yield from (_case(case, number) for number, case in enumerate(shown, start=1))


def _case(case: ReportedCase, number: int) -> Iterator[str]:
    weight = f" (stands for {round(case.weight, 1):g} exchanges)" if case.weight != 1 else ""
    yield f"{number}. {line(case.id)}: {LABELS[case.status]}{weight}"
    yield from about(case)
    yield from (f"   | {text}" for text in diffed(case))


def about(case: ReportedCase) -> Iterator[str]:
    """What is known of a case beside its outputs, a line each."""
    yield f"   asked: {line(case.title)}"
    if case.strata:
        yield "   " + ", ".join(f"{line(name, 40)}={line(value, 40)}" for name, value in sorted(case.strata.items()))
    if case.pinned:
        yield f"   pinned as an incident: {line(case.pinned)}"
    if passes(case):
        yield f"   {passes(case)}"
    if case.judged:
        yield f"   {JUDGED[case.judged]}"
    for name, detail in case.changes[:8]:
        yield f"   {line(change_says(name))}" + (f": {line(detail)}" if detail else "")
    if case.failed_checks:
        yield f"   failed checks: {', '.join(line(name, 60) for name in case.failed_checks)}"
    yield from (f"   note: {line(note, 200)}" for note in case.notes)


def diffed(case: ReportedCase) -> list[str]:
    """The word diff of both outputs, shortened, in lines; what was removed in [-...-] and what was added in {+...+}."""
    if case.stable_output == case.candidate_output:
        return ["both answer the same"] if case.stable_output else []
    if not case.candidate_output:
        return ["the candidate gave no text"]
    pieces = excerpt(words(case.stable_output[:DIFFED_CHARS], case.candidate_output[:DIFFED_CHARS]))
    lines = visible("".join(MARKS[op].format(text) for op, text in pieces)).split("\n")
    beyond = max(len(case.stable_output), len(case.candidate_output)) - DIFFED_CHARS
    if beyond > 0:
        lines.append(f"[{beyond:,} more characters were not compared]")
    return lines[:60] + ([f"[{len(lines) - 60} more lines]"] if len(lines) > 60 else [])


def _rest(report: Report) -> Iterator[str]:
    shown = sum(worth_reading(case) for case in report.cases)
    more = f"{prompts(shown - WORST)} more to look at; " if shown > WORST else ""
    command = f"detent baseline diff {line(report.route)} --version {line(report.candidate.model)}"
    if report.cases:
        yield f"{more}all of it: {command} --form html --out report.html; one prompt: --case ID"


def _aligned(rows: list[tuple[str, ...]], *, left: int = 0, right: int = 0) -> Iterator[str]:
    """Columns under each other. The first `right` ones stand to the right, or all but the first `left` ones if that is given."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        to_left = [n >= right if not left else n < left for n in range(len(row))]
        cells = (c.ljust(w) if is_left else c.rjust(w) for c, w, is_left in zip(row, widths, to_left, strict=True))
        yield "  ".join(cells).rstrip()
