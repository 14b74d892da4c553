"""A report for a pull request, in GitHub's Markdown: the verdict, causes, and the worst prompts as diffs to unfold.

Whatever a model, a user or a provider wrote stands in a code span, a `<code>` element or a fence that is longer than any run of backticks
in it: there GitHub reads no markup, no mention (`@team`) and no reference (`#1`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from difflib import unified_diff
from itertools import islice

from detent.report.figures import (
    JUDGED,
    LABELS,
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
from detent.report.text import WORST
from detent.terms import Report, ReportedCase, Slice, Verdict
from detent.visible import cut, line, visible

MOST_CHARS = 60_000
"""GitHub takes 65,536 characters in a comment."""

_SIGNS = {
    Verdict.PASS: "\N{WHITE HEAVY CHECK MARK}",
    Verdict.REGRESSION: "\N{CROSS MARK}",
    Verdict.INCONCLUSIVE: "\N{WHITE QUESTION MARK ORNAMENT}",
    Verdict.COULD_NOT_RUN: "\N{NO ENTRY}",
}
_BACKTICKS = re.compile("`+")


def write(report: Report) -> str:
    """The report as Markdown of at most `MOST_CHARS` characters, ending in a newline; prompts that find no room are counted."""
    head = "\n".join([*_head(report), *_causes(report), *_slices(report), *_judged(report), *_remarks(report)])
    cases = [case for case in report.cases if worth_reading(case)]
    parts, room = [head], MOST_CHARS - len(head) - 400
    shown = 0
    for case in cases[:WORST]:
        text = "\n".join(_case(case))
        if len(text) + 1 > room:
            break
        parts.append(text)
        room -= len(text) + 1
        shown += 1
    return "\n".join([*parts, *_rest(report, len(cases) - shown)]) + "\n"


def code(text: str, most: int = 120) -> str:
    """A code span that shows the text as it is, on one line; nothing in it ends the span or a table's cell."""
    inner = line(text, most)
    if not inner.strip():
        return "` `"
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(inner)), default=0) + 1)
    pad = " " if inner.startswith("`") or inner.endswith("`") or fence != "`" else ""
    return f"{fence}{pad}{inner}{pad}{fence}"


def cell(text: str, most: int = 120) -> str:
    """A code span for a table: a bar in it would end the cell."""
    return code(text, most).replace("|", "\\|")


def plain(text: str, most: int = 400) -> str:
    """Text of our own that may quote others: markup and references are shown and not obeyed, and nobody is mentioned."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#|~!&$])", r"\\\1", line(text, most))
    # Mentions, issues and addresses are found in what Markdown renders: only a character in between keeps them apart.
    return re.sub(r"([@:#]|\b(?:GH|gh)-|\bwww\.)(?=\S)", "\\1\u200b", escaped)


def fenced(lines: list[str], language: str) -> list[str]:
    """Lines in a fence that none of them can close."""
    longest = max((len(run) for text in lines for run in _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *lines, fence]


def _head(report: Report) -> Iterator[str]:
    yield f"## {_SIGNS[report.verdict]} {VERDICTS[report.verdict].capitalize()}: {code(report.route)}"
    yield ""
    yield f"{code(str(report.stable))} \N{RIGHTWARDS ARROW} {code(str(report.candidate))}"
    yield ""
    yield f"**{plain(report.sentence, 900)}**"
    yield ""
    found = counts(report)
    yield "\N{MIDDLE DOT}".join(f" {n} {LABELS[status]} " for status, n in found.items()).strip() if found else "No prompt to show."
    yield ""


def _causes(report: Report) -> Iterator[str]:
    if not report.causes:
        return
    yield from ("### Causes", "", "| Lost | Prompts | What | For example |", "|---:|---:|---|---|")
    for cause in report.causes[:12]:
        yield f"| {cause.lost} | {cause.prompts} | {cell(cause.says)} | {cell(cause.example) if cause.example else ''} |"
    yield ""
    if len(report.causes) > 12:
        yield from (f"and {len(report.causes) - 12} more.", "")


def _slices(report: Report) -> Iterator[str]:
    found = report.evidence
    harmed = [s for s in found.slices if s.harmed]
    rows = ([found.overall] if found.overall else []) + sorted(harmed, key=lambda s: s.difference)[:10]
    if not rows:
        return
    yield from ("### Share of passes", "", "| Slice | Prompts | Before | Now | Difference (95 %) | p |", "|---|---:|---:|---:|---:|---:|")
    yield from (_slice(s) for s in rows)
    yield ""


def _slice(s: Slice) -> str:
    name = cell(s.name) + (" (harmed)" if s.harmed else "")
    return f"| {name} | {s.cases} | {percent(s.stable)} | {percent(s.candidate)} | {interval(s)} | {show_p(s.p_value)} |"


def _judged(report: Report) -> Iterator[str]:
    for word, cases in judged(report).items():
        named = ", ".join(code(case.id, 60) for case in cases[:WORST])
        yield f"{JUDGED[word].capitalize()}: {prompts(len(cases))} ({named}{', ...' if len(cases) > WORST else ''})"
        yield ""


def _remarks(report: Report) -> Iterator[str]:
    lines = [f"- {plain(name)}: {code(value)}" for name, value in provenance(report)]
    lines += [f"- {plain(remark, 300)}" for remark in islice(remarks(report), 30)]  # what a hostile provider says may be long, and often
    yield from ("<details><summary>What this rests on</summary>", "", *lines, "", "</details>", "", "### The worst prompts", "")


def _case(case: ReportedCase) -> Iterator[str]:
    title, id = (html.escape(line(text)) for text in (case.title, case.id))
    yield f"<details><summary>{LABELS[case.status]}: <code>{title}</code> (<code>{id}</code>)</summary>"
    yield ""
    if passes(case):
        yield f"- {passes(case)}"
    for name, detail in case.changes[:6]:
        yield f"- {plain(change_says(name))}" + (f": {code(detail)}" if detail else "")
    if case.failed_checks:
        yield f"- failed checks: {', '.join(code(name) for name in case.failed_checks[:8])}"
    yield from (f"- note: {code(note, 200)}" for note in case.notes)
    if case.pinned:
        yield f"- pinned as an incident: {code(case.pinned)}"
    if case.stable_output != case.candidate_output:
        yield from ("", *fenced(_diffed(case), "diff"))
    yield from ("", "</details>", "")


def _diffed(case: ReportedCase, most_lines: int = 60) -> list[str]:
    """Both outputs as a line diff, each of them and each line of it cut."""
    before, after = (visible(cut(text, 6000)).split("\n") for text in (case.stable_output, case.candidate_output))
    lines = list(unified_diff(before, after, n=2, lineterm=""))[2:]  # without the names of the two files
    short = [text if len(text) <= 300 else f"{text[:300]} [{len(text) - 300:,} more characters]" for text in lines]
    return short[:most_lines] + ([f" [{len(short) - most_lines} more lines]"] if len(short) > most_lines else [])


def _rest(report: Report, unshown: int) -> Iterator[str]:
    if not report.cases:
        return
    command = f"detent baseline diff {report.route} --version {report.candidate.model} --form html --out report.html"
    more = f"{prompts(unshown)} more to look at; all" if unshown else "All"
    yield f"{more} of it: {code(command, 300)}"
