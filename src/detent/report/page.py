"""A report as one HTML file: no script, nothing loaded, readable offline in ten years. The verdict comes first.

Filters by stratum are radio buttons and style rules (`:has`, in browsers since 2023; an older one shows all). A policy in the file itself
forbids the browser to load or run anything, so that not even a mistake in escaping would let an output act.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from detent.report.cards import DETAILED, anchor, attribute, card, listed, short, shown
from detent.report.figures import (
    JUDGED,
    LABELS,
    MEANS,
    STATUSES,
    VERDICTS,
    counts,
    interval,
    judged,
    percent,
    prompts,
    provenance,
    remarks,
    show_p,
)
from detent.report.style import CSS
from detent.terms import Report, ReportedCase, Slice, Verdict
from detent.terms.report import Status

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
OPENED = 1
"""Cards that stand open."""

FILTERS = 40
"""Strata that can be filtered by, the commonest first."""

LISTED: frozenset[Status] = frozenset({"reworded", "same"})
"""What became of prompts that get a line and no card."""

_SIGNS = {Verdict.PASS: "\u2713", Verdict.REGRESSION: "\u2717", Verdict.INCONCLUSIVE: "?", Verdict.COULD_NOT_RUN: "!"}


def write(report: Report) -> str:
    """The report as a whole HTML document."""
    filters = _filters(report)
    parts = [
        *_head(report, filters),
        *_verdict(report),
        "<main>",
        *_causes(report),
        *_slices(report),
        *_remarks(report),
        *_judged(report),
        *_cases(report, filters),
        "</main>",
        f"<footer><p>Made by detent, {report.made_at:%Y-%m-%d %H:%M} UTC. Hidden characters in outputs are spelt as escapes; "
        "outputs are cut where they are long, and whole in the JSON form.</p></footer></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _head(report: Report, filters: Mapping[str, int]) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{attribute(POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
    yield f"<title>{attribute(f'{VERDICTS[report.verdict]}: {report.route}, {report.candidate.model}')}</title>"
    rules = "".join(f"body:has(#f{n}:checked) .case:not(.s{n}) {{ display: none; }}\n" for n in filters.values())
    yield f"<style>{CSS}{rules}</style></head><body>"


def _verdict(report: Report) -> Iterator[str]:
    name = f"{shown(str(report.stable))} \u2192 {shown(str(report.candidate))}"
    yield f'<header><h1>{short(report.route)}</h1><p class="soft"><code>{name}</code></p>'
    sign = f'<span aria-hidden="true">{_SIGNS[report.verdict]}</span>'
    yield f'<div class="verdict {report.verdict.value}"><b>{sign} {VERDICTS[report.verdict].capitalize()}</b>'
    yield f"<p>{shown(report.sentence)}</p></div>"
    found = counts(report)
    items = (
        f'<li class="{status}"><a href="#{status}" title="{attribute(MEANS[status])}"><b>{n:,}</b>{LABELS[status]}</a></li>'
        for status, n in found.items()
    )
    says = (
        f'<li><a href="#judged-{word}" title="{attribute(JUDGED[word])}"><b>{len(cases):,}</b>judged {word}</a></li>'
        for word, cases in judged(report).items()
    )
    yield f'<ul class="counts" aria-label="Prompts by what became of them">{"".join((*items, *says))}</ul>' if found else ""
    facts = "".join(f"<dt>{shown(name)}</dt><dd>{short(value, 300)}</dd>" for name, value in provenance(report))
    yield f'<dl class="facts">{facts}</dl></header>'


def _causes(report: Report) -> Iterator[str]:
    yield '<h2 id="causes">Causes</h2>'
    if not report.causes:
        yield "<p>No prompt was lost, and no answer differs in a way that has a name.</p>"
        return
    yield '<p class="soft">Each change or failed check: how many prompts were lost by it, and how many show it at all.</p>'
    heads = '<th class="n">Lost</th><th class="n">Prompts</th><th>What</th><th>For example</th>'
    yield f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>'
    places = {case.id: case for case in report.cases}
    for cause in report.causes[:40]:
        example = f'<a href="#{anchor(places[cause.example])}">{short(cause.example, 40)}</a>' if cause.example in places else ""
        numbers = f'<td class="n">{cause.lost}</td><td class="n">{cause.prompts}</td>'
        yield f'<tr>{numbers}<td class="word">{short(cause.says)}</td><td>{example}</td></tr>'
    yield "</tbody></table></div>"


# ── slices ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _slices(report: Report) -> Iterator[str]:
    found = report.evidence
    rows = [(s, "whole harmed" if s.harmed else "whole") for s in (found.overall,) if s] + [
        (s, "harmed" if s.harmed else "") for s in sorted(found.slices, key=lambda s: (not s.harmed, s.difference))
    ]
    if not rows:
        return
    reach = max(0.01, *(abs(x) for s, _ in rows for x in (s.low, s.high)))
    yield '<h2 id="slices">Share of passes</h2>'
    yield f'<p class="soft">Mean over prompts, and the difference with a 95 % interval; the drawing spans {100 * reach:.0f} points to each '
    yield "side of no change. \u25bc marks a slice that is harmed even after allowing for how many were looked at.</p>"
    heads = ("Slice", "Prompts", "Before", "Now", "Lost", "Won", "Difference", "", "p")
    classes = ("", "n", "n", "n", "n", "n", "n", "", "n")
    yield (
        '<div class="wide"><table><thead><tr>'
        + "".join(f'<th class="{c}">{h}</th>' for h, c in zip(heads, classes, strict=True))
        + "</tr></thead><tbody>"
    )
    yield from (_slice(s, kind, reach) for s, kind in rows[:100])
    yield "</tbody></table></div>"


def _slice(s: Slice, kind: str, reach: float) -> str:
    numbers = (f"{s.cases:,}", percent(s.stable), percent(s.candidate), f"{s.lost}", f"{s.won}", interval(s))
    cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
    said = f'<td class="word">{short(s.name, 80)}{" (harmed)" if s.harmed else ""}</td>'
    return f'<tr class="{kind}">{said}{cells}<td>{drawn(s, reach)}</td><td class="n">{show_p(s.p_value)}</td></tr>'


def drawn(s: Slice, reach: float) -> str:
    """The difference and its interval on an axis that spans `reach` to each side of no change."""
    low, at, high = (90 + 84 * max(-1.0, min(1.0, x / reach)) for x in (s.low, s.difference, s.high))
    kind = "worse" if s.high < 0 else "better" if s.low > 0 else ""
    return (
        f'<svg width="180" height="18" viewBox="0 0 180 18" role="img" aria-label="{attribute(interval(s))}">'
        '<line class="axis" x1="6" x2="174" y1="9" y2="9"/><line class="zero" x1="90" x2="90" y1="2" y2="16"/>'
        f'<line class="span {kind}" x1="{low:.1f}" x2="{high:.1f}" y1="9" y2="9"/>'
        f'<circle class="at {kind}" cx="{at:.1f}" cy="9" r="4"/></svg>'
    )


def _remarks(report: Report) -> Iterator[str]:
    items = "".join(f"<li>{short(remark, 600)}</li>" for remark in remarks(report))
    if items:
        yield f'<h2 id="remarks">What else was seen</h2><ul class="remarks">{items}</ul>'


def _judged(report: Report) -> Iterator[str]:
    """What the judge says of prompts that nothing else lost, each a link to its card."""
    for word, cases in judged(report).items():
        yield f'<section aria-labelledby="judged-{word}"><h2 id="judged-{word}">{JUDGED[word].capitalize()} ({len(cases):,})</h2>'
        yield '<ul class="plain">'
        yield from (
            f'<li><a href="#{anchor(case)}">{short(case.title)}</a> <span class="soft">{LABELS[case.status]}</span></li>' for case in cases
        )
        yield "</ul></section>"


# ── prompts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _filters(report: Report) -> dict[str, int]:
    """Strata that tell prompts apart, by name and value, numbered; the commonest first."""
    found = Counter(kind for case in report.cases for kind in _kinds(case))
    telling = [name for name, n in found.most_common() if n < len(report.cases)]
    telling.sort(key=lambda name: name not in _JUDGED_KINDS)
    return {name: n for n, name in enumerate(telling[:FILTERS])}


_JUDGED_KINDS = tuple(f"judge={word}" for word in JUDGED)


def _kinds(case: ReportedCase) -> list[str]:
    """What a case can be filtered by: its strata, and the judge's word."""
    return [*(f"{name}={value}" for name, value in case.strata.items()), *([f"judge={case.judged}"] if case.judged else [])]


def _classes(case: ReportedCase, filters: Mapping[str, int]) -> str:
    return " ".join(f"s{filters[kind]}" for kind in _kinds(case) if kind in filters)


def _cases(report: Report, filters: Mapping[str, int]) -> Iterator[str]:
    yield '<h2 id="prompts">Prompts</h2>'
    if filters:
        yield from _choices(report, filters)
    detailed = 0
    for status in STATUSES:
        of_status = [case for case in report.cases if case.status == status]
        if not of_status:
            continue
        yield f'<section aria-labelledby="{status}"><h2 id="{status}">{LABELS[status].capitalize()} ({len(of_status):,})</h2>'
        yield f'<p class="means">{MEANS[status].capitalize()}.</p>'
        if status in LISTED:
            of_status.sort(key=lambda case: not case.judged)
        carded = sum(status not in LISTED or bool(case.judged) for case in of_status)
        room = min(carded, max(0, DETAILED - detailed))
        for case in of_status[:room]:
            yield from card(case, _classes(case, filters), opened=detailed < OPENED)
            detailed += 1
        yield from _listed(of_status[room:], filters, cut=room < carded)
        yield "</section>"
    if report.withheld:
        yield f'<p class="soft">{prompts(report.withheld)} of the blind reserve counted in every number, and not shown.</p>'


def _listed(cases: list[ReportedCase], filters: Mapping[str, int], *, cut: bool) -> Iterator[str]:
    if not cases:
        return
    note = f"; past {DETAILED} prompts no outputs are shown here: the JSON form has them" if cut else ""
    yield f'<details class="listed"><summary>{prompts(len(cases))} in a line each{note}</summary><ul class="plain">'
    yield from (listed(case, _classes(case, filters)) for case in cases)
    yield "</ul></details>"


def _choices(report: Report, filters: Mapping[str, int]) -> Iterator[str]:
    """Radio buttons, one for each stratum, with how many prompts it has and how many of them were lost."""
    of, lost = Counter[str](), Counter[str]()
    for case in report.cases:
        for kind in _kinds(case):
            of[kind] += 1
            lost[kind] += case.status == "lost"
    yield "<fieldset><legend>Show only prompts of one stratum</legend>"
    yield f'<input type="radio" name="stratum" id="all" checked><label for="all">all ({len(report.cases):,})</label>'
    for name, n in filters.items():
        note = f", {lost[name]} lost" if lost[name] else ""
        yield f'<input type="radio" name="stratum" id="f{n}"><label for="f{n}">{short(name, 60)} ({of[name]:,}{note})</label>'
    yield "</fieldset>"
