"""A report as SARIF 2.1.0: one rule for each named change or failed check, one result for each prompt that is not as before.

`baselineState` says how a result stands to the stable version: `new` where it came with the candidate, `unchanged` where stable fails the
prompt as well, `absent` where stable failed it and the candidate does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from detent.report.figures import LABELS, MEANS, VERDICTS, cause_says, passes, provenance, remarks
from detent.report.text import diffed
from detent.terms import Report, ReportedCase, Verdict
from detent.terms.report import Status
from detent.visible import line, visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS: dict[Status, str] = {
    "lost": "error",
    "refused": "error",
    "left_script": "warning",
    "not_scored": "warning",
    "suspect": "warning",
    "won": "note",
    "changed": "note",
}
"""Level by status; what only rewords is no result."""


def write(report: Report) -> str:
    """The report as SARIF, in ASCII."""
    return json.dumps(to_sarif(report), indent=2, allow_nan=False) + "\n"


def to_sarif(report: Report) -> dict[str, Any]:
    """The report as the object that `write` spells."""
    found = [(case, _state(case)) for case in report.cases if case.status in _LEVELS or _fails_before_and_now(case)]
    names = list(dict.fromkeys([*(cause.name for cause in report.causes), *(_rule(case) for case, _ in found)]))
    results = [_result(report, case, state, names.index(_rule(case))) for case, state in found]
    driver = {"name": "detent", "rules": [_described(name) for name in names]}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "automationDetails": {"id": line(f"detent/{report.route}/{report.candidate}/", 300)},
                "invocations": [
                    {
                        "executionSuccessful": report.verdict is not Verdict.COULD_NOT_RUN,
                        "endTimeUtc": f"{report.made_at:%Y-%m-%dT%H:%M:%SZ}",
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": line(remark, 500)}} for remark in (report.sentence, *remarks(report))
                        ],
                    }
                ],
                "results": results,
                "properties": {
                    "verdict": VERDICTS[report.verdict],
                    "stable": line(str(report.stable)),
                    "candidate": line(str(report.candidate)),
                    **{name: line(value) for name, value in provenance(report)},
                },
            }
        ],
    }


def _described(name: str) -> dict[str, Any]:
    says = line(cause_says(name), 300)
    return {"id": name, "name": name, "shortDescription": {"text": says}, "fullDescription": {"text": says}}


def _rule(case: ReportedCase) -> str:
    """The rule that a case falls under: its first named change, else its first failed check, else its status."""
    return next(iter([*(name for name, _ in case.changes), *case.failed_checks]), case.status)


def _fails_before_and_now(case: ReportedCase) -> bool:
    return bool(case.stable_runs and case.candidate_runs) and case.stable_passed == case.candidate_passed == 0


def _state(case: ReportedCase) -> str:
    if _fails_before_and_now(case):
        return "unchanged"
    return "absent" if case.status == "won" else "new"


def _result(report: Report, case: ReportedCase, state: str, rule: int) -> dict[str, Any]:
    return {
        "ruleId": _rule(case),
        "ruleIndex": rule,
        "level": _LEVELS.get(case.status, "note"),
        "baselineState": state,
        "message": {"text": "\n".join(_said(case))},
        "locations": [
            {
                # A place in the repository, where code scanning can show it; the prompt itself has none.
                "physicalLocation": {"artifactLocation": {"uri": "detent.toml"}, "region": {"startLine": 1}},
                "logicalLocations": [
                    {"name": line(case.id), "fullyQualifiedName": line(f"{report.route}/{case.id}", 300), "kind": "resource"}
                ],
            }
        ],
        "partialFingerprints": {"detentCase/v1": line(case.id, 300)},
        "properties": {
            "status": case.status,
            "weight": case.weight,
            "strata": {line(name): line(value) for name, value in case.strata.items()},
            "failedChecks": list(case.failed_checks),
            "changes": [name for name, _ in case.changes],
        },
    }


def _said(case: ReportedCase) -> Iterator[str]:
    yield f"{LABELS[case.status]} ({MEANS[case.status]}): {line(case.title)}"
    if passes(case):
        yield passes(case)
    for name, detail in case.changes[:5]:
        yield line(f"{cause_says(name)}: {detail}" if detail else cause_says(name), 200)
    yield from (visible(text) for text in diffed(case)[:20])
