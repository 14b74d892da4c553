"""What a comparison found, for people and machines: one value (`terms.Report`), written in many forms. Pure.

building.py   baseline, runs, evidence -> `Report`       becoming.py  what became of each case       reserve.py  the blind ones
figures.py    numbers in words, the same in every form
text.py  page.py (HTML: cards.py, style.py)  markdown.py  junit.py  sarif.py  written.py (JSON and its schema)
single.py     one prompt whole, every run of it          exporting.py the baseline itself, for other tools
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detent.report import junit, markdown, page, sarif, text, written
from detent.report.building import build
from detent.report.exporting import EXPORTS, Export, Exported
from detent.report.figures import STATUSES
from detent.report.single import one_case
from detent.report.written import schema
from detent.terms import Report
from detent.visible import visible

__all__ = ["EXPORTS", "FORMS", "STATUSES", "Export", "Exported", "Form", "build", "one_case", "schema", "visible"]


@dataclass(frozen=True, slots=True)
class Form:
    """A row of the table: how a report can be written."""

    name: str
    says: str
    suffix: str
    write: Callable[[Report], str]


FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Form("text", "for a terminal: the verdict, causes, and the ten worst prompts as word diffs", ".txt", text.write),
        Form("html", "one file for a browser, without script: every prompt with its word diff", ".html", page.write),
        Form("markdown", "for a pull request: at most 60,000 characters", ".md", markdown.write),
        Form("junit", "for a CI job: failed = confirmed flip, skipped = inconclusive", ".xml", junit.write),
        Form("sarif", "for code scanning: SARIF 2.1.0 with baselineState", ".sarif", sarif.write),
        Form("json", "everything, for programs: `detent schema report` describes it", ".json", written.write),
    )
}
"""Every form, by name."""
