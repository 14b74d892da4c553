"""The parts of the HTML form that show what models wrote: escaped, cut, hidden characters spelt out, and nothing of it a link."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping

from detent.diff import excerpt, words
from detent.report.figures import JUDGED, LABELS, change_says, passes
from detent.terms import ReportedCase
from detent.visible import HIDDEN, cut, escape, line

OUTPUT_CHARS = 8_000
"""Each output is shown and diffed up to this length, its beginning and its end; the JSON form has the whole."""

DETAILED = 300
"""Cases that get a card of their own with outputs; further ones get a line. A browser lays out 300 cards at once without effort."""


def shown(text: str) -> str:
    """Text as HTML text or attribute value: escaped, each hidden character as a marked escape."""
    return HIDDEN.sub(lambda m: f'<span class="esc">{escape(m[0])}</span>', html.escape(text, quote=True))


def attribute(text: str, most: int = 200) -> str:
    """Text as the value of an attribute: on one line, without elements."""
    return html.escape(line(text, most), quote=True)


def short(text: str, most: int = 160) -> str:
    """Text on one line, cut."""
    return shown(" ".join(text[: 8 * most].split())[:most]) + ("..." if len(text) > most else "")


def output(text: str) -> str:
    """A whole output, cut in its middle."""
    return f"<pre>{shown(cut(text, OUTPUT_CHARS))}</pre>" if text else '<p class="soft">nothing</p>'


def diffed(stable: str, candidate: str) -> str:
    """The word diff of both outputs; what went and what came is marked by signs too, for those who see no colour or hear the page."""
    pieces = excerpt(words(cut(stable, OUTPUT_CHARS), cut(candidate, OUTPUT_CHARS)), around=300, most=1500, changes=60)
    wraps: Mapping[str, str] = {
        "=": "{}",
        "-": "<del><i>[-</i>{}<i>-]</i></del>",
        "+": "<ins><i>{{+</i>{}<i>+}}</i></ins>",
        "~": '<span class="cut"> {} </span>',
    }
    return "<pre>" + "".join(wraps[op].format(shown(text)) for op, text in pieces) + "</pre>"


def card(case: ReportedCase, slices: str, *, opened: bool) -> Iterator[str]:
    """One prompt: what became of it in its summary, and inside the diff and both outputs. `slices` are the classes that filters go by."""
    yield f'<details class="case {slices}"{" open" if opened else ""}><summary><h3>{short(case.title)}</h3>'
    yield '<div class="line">'
    yield f'<span class="tag {case.status}">{LABELS[case.status]}</span> <span class="id">{short(case.id)}</span>'
    if passes(case):
        yield f"<span>{passes(case)}</span>"
    for name, _ in case.changes[:3]:
        yield f'<span class="tag">{shown(change_says(name))}</span>'
    if case.judged:
        yield f'<span class="tag">{JUDGED[case.judged]}</span>'
    # A browser opens what a link's target lies within, but not a closed element that is the target itself.
    yield f'</div></summary><div class="inside" id="{anchor(case)}">'
    yield from _about(case)
    if case.stable_output != case.candidate_output:
        if case.candidate_output:
            yield f"<h4>Stable to candidate, word by word</h4>{diffed(case.stable_output, case.candidate_output)}"
        yield '<details class="outputs"><summary>Both outputs</summary><div class="both">'
        yield f"<div><h4>Stable</h4>{output(case.stable_output)}</div>"
        yield f"<div><h4>Candidate</h4>{output(case.candidate_output)}</div></div></details>"
    else:
        yield f"<h4>Both answer the same</h4>{output(case.stable_output)}"
    yield "</div></details>"


def _about(case: ReportedCase) -> Iterator[str]:
    rows: list[tuple[str, str]] = [
        (change_says(name), f"<code>{short(detail, 240)}</code>" if detail else "") for name, detail in case.changes[:12]
    ]
    if case.failed_checks:
        rows.append(("failed checks", ", ".join(f"<code>{short(name)}</code>" for name in case.failed_checks)))
    if case.strata:
        rows.append(("strata", ", ".join(f"{short(name)}={short(value)}" for name, value in sorted(case.strata.items()))))
    if case.weight != 1:
        rows.append(("stands for", f"{round(case.weight, 1):g} recorded exchanges"))
    if case.pinned:
        rows.append(("pinned as an incident", short(case.pinned)))
    rows += [("note", short(note, 400)) for note in case.notes]
    if rows:
        yield '<dl class="facts">' + "".join(f"<dt>{short(name)}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"


def listed(case: ReportedCase, slices: str) -> str:
    """One prompt in a line, without outputs."""
    tags = "".join(f' <span class="tag">{shown(change_says(name))}</span>' for name, _ in case.changes[:3])
    return f'<li class="case {slices}" id="{anchor(case)}">{short(case.title)} <span class="id soft">{short(case.id)}</span>{tags}</li>'


def anchor(case: ReportedCase) -> str:
    """An id of letters, digits and dashes that no other case has."""
    return "case-" + "".join(c if c.isascii() and c.isalnum() else f"-{ord(c):x}-" for c in case.id[:120])
