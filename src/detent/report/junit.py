"""A report as JUnit XML for a CI job: failed = confirmed, skipped = inconclusive, and one test for the whole that only a pass passes."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

from detent.report.figures import LABELS, MEANS, VERDICTS, passes, prompts, provenance, remarks
from detent.report.reserve import WITHHELD
from detent.report.text import about, diffed
from detent.terms import Report, ReportedCase, Verdict
from detent.terms.report import Status
from detent.visible import cut, line

FAILED: frozenset[Status] = frozenset({"lost", "refused"})
SKIPPED: frozenset[Status] = frozenset({"left_script", "not_scored", "suspect"})
MOST_CHARS = 20_000


def write(report: Report) -> str:
    """The report as JUnit XML. Characters that XML has no way to write are spelt as escapes."""
    root = ET.Element("testsuites", name="detent")
    suite = ET.SubElement(root, "testsuite", name=line(f"detent.{report.route}"))
    properties = ET.SubElement(suite, "properties")
    versions = [("stable", str(report.stable)), ("candidate", str(report.candidate)), ("verdict", VERDICTS[report.verdict])]
    for name, value in [*versions, *provenance(report), *(("remark", remark) for remark in remarks(report))]:
        ET.SubElement(properties, "property", name=name, value=line(value, 500))
    _whole(suite, report)
    if report.withheld:
        _reserve(suite, report)
    for case in report.cases:
        _case(suite, report, case)
    _count(root, suite, report)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add(suite: ET.Element, report: Report, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=line(f"detent.{report.route}"), name=line(name, 300), time="0")


def _whole(suite: ET.Element, report: Report) -> None:
    """The verdict itself is a test: a slice may be harmed though no prompt of it was lost for sure."""
    test = _add(suite, report, "the whole baseline")
    said = {"message": line(report.sentence, 500), "type": report.verdict.value}
    kinds: dict[Verdict, str] = {Verdict.REGRESSION: "failure", Verdict.INCONCLUSIVE: "skipped", Verdict.COULD_NOT_RUN: "error"}
    if report.verdict in kinds:
        ET.SubElement(test, kinds[report.verdict], said if report.verdict is not Verdict.INCONCLUSIVE else {"message": said["message"]})


def _reserve(suite: ET.Element, report: Report) -> None:
    """The blind reserve as one test: what is held back from people is not held back from the result."""
    test = _add(suite, report, f"blind reserve ({prompts(report.withheld)}, not shown)")
    lost = sum(flip.case == WITHHELD for flip in report.evidence.confirmed)
    if lost:
        ET.SubElement(test, "failure", message=f"{prompts(lost)} of the blind reserve lost", type="lost")


def _case(suite: ET.Element, report: Report, case: ReportedCase) -> None:
    test = _add(suite, report, f"{case.id}: {case.title}")
    message = line("; ".join(filter(None, [f"{LABELS[case.status]}: {MEANS[case.status]}", passes(case)])), 500)
    if case.status in FAILED:
        body = "\n".join([*about(case), "", *diffed(case)])
        ET.SubElement(test, "failure", message=message, type=case.changes[0][0] if case.changes else case.status).text = _text(body)
    elif case.status in SKIPPED:
        ET.SubElement(test, "skipped", message=message)
        ET.SubElement(test, "system-out").text = _text("\n".join(about(case)))


def _text(body: str) -> str:
    return cut(body, MOST_CHARS)


def _count(root: ET.Element, suite: ET.Element, report: Report) -> None:
    tags: Callable[[str], str] = lambda tag: str(sum(1 for _ in suite.iter(tag)))  # noqa: E731
    numbers = {"tests": tags("testcase"), "failures": tags("failure"), "errors": tags("error"), "skipped": tags("skipped"), "time": "0"}
    for element in (root, suite):
        for name, value in numbers.items():
            element.set(name, value)
    suite.set("timestamp", f"{report.made_at:%Y-%m-%dT%H:%M:%S}")
