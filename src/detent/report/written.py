"""A report as JSON, and the JSON Schema of that."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any, get_args

from detent.report.figures import MEANS, judged
from detent.terms import Report, Verdict
from detent.terms.report import Status

VERSION = 1
"""Of the form: a reader that knows 1 can read whatever has 1. Members may be added, none is renamed or taken away."""


def write(report: Report) -> str:
    """The report as JSON, in ASCII, with whole outputs: what a terminal or an editor would obey is escaped by JSON itself."""
    return json.dumps(to_json(report), indent=1, allow_nan=False) + "\n"


def to_json(report: Report) -> dict[str, Any]:
    """The report as the object that `write` spells; `schema` describes it."""
    found = report.evidence
    evidence = asdict(found)
    evidence["confirmed"] = [{name: value for name, value in flip.items() if "output" not in name} for flip in evidence["confirmed"]]
    whole: dict[str, Any] = _plain(
        {
            "form": "detent report",
            "version": VERSION,
            "route": report.route,
            "owner": report.owner,
            "stable": asdict(report.stable),
            "candidate": asdict(report.candidate),
            "made_at": report.made_at.isoformat(),
            "baseline": {"digest": report.digest, "frozen_at": report.frozen_at.isoformat(), "withheld": report.withheld},
            "verdict": report.verdict.value,
            "sentence": report.sentence,
            "judge": report.judge,
            "judged": {word: len(cases) for word, cases in judged(report).items()},
            "blessed_by": report.blessed_by,
            "budget_usd": report.budget_usd,
            "unpriced": report.unpriced,
            "evidence": evidence,
            "causes": [asdict(cause) for cause in report.causes],
            "cases": [{**asdict(c), "changes": [{"name": name, "detail": detail} for name, detail in c.changes]} for c in report.cases],
            "forecast": None if report.forecast is None else asdict(report.forecast),
        }
    )
    return whole


def _plain(value: Any) -> Any:
    """The same of what JSON knows: tuples as lists, and a number that is none as null."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ── the schema ──────────────────────────────────────────────────────────────────────────────────────────────────────

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object of these members at least: a later release may add some."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _or_null(of: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [of, {"type": "null"}]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `detent baseline diff --form json` prints."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "detent baseline diff --form json",
        "description": "Two versions of a route over its frozen baseline, prompt by prompt. Cases of the blind reserve are counted only.",
        **_object(
            form={"const": "detent report"},
            version={"const": VERSION},
            route=_TEXT,
            owner=_TEXT,
            stable=_ref("version"),
            candidate=_ref("version"),
            made_at=_TEXT | {"format": "date-time"},
            baseline=_object(digest=_TEXT, frozen_at=_TEXT | {"format": "date-time"}, withheld=_COUNT),
            verdict={"enum": [verdict.value for verdict in Verdict], "description": "Only `pass` is a pass."},
            sentence=_TEXT | {"description": "The verdict, for people."},
            judge=_TEXT | {"description": "The judge's version; empty where none was asked."},
            judged={
                "type": "object",
                "additionalProperties": _COUNT,
                "description": "Shown cases by what the judge says: it informs.",
            },
            blessed_by={"type": "object", "additionalProperties": _COUNT, "description": "Known-good outputs by who found them good."},
            budget_usd=_or_null(_NUMBER) | {"description": "The limit that the calls stopped at, if they did."},
            unpriced=_COUNT | {"description": "Runs whose cost is not known and in no sum."},
            evidence=_ref("evidence"),
            causes=_list(_ref("cause")) | {"description": "By how many prompts they lost."},
            cases=_list(_ref("case")) | {"description": "Worst first, then by weight."},
            forecast=_or_null({"type": "object"}),
        ),
        "$defs": {
            "version": _object(provider=_TEXT, model=_TEXT),
            "cause": _object(name=_TEXT, says=_TEXT, lost=_COUNT, prompts=_COUNT, example=_TEXT | {"description": "A case's id."}),
            "case": _case_schema(),
            "slice": _slice_schema(),
            "evidence": _evidence_schema(),
        },
    }


def _case_schema() -> dict[str, Any]:
    says = "; ".join(f"{status}: {means}" for status, means in MEANS.items())
    return _object(
        id=_TEXT,
        title=_TEXT | {"description": "The beginning of the last user message."},
        status={"enum": list(get_args(Status)), "description": says},
        weight=_NUMBER | {"description": "How many recorded exchanges the case stands for."},
        strata=_TEXTS,
        pinned=_TEXT | {"description": "Why it is kept as an incident; else empty."},
        stable_output=_TEXT,
        candidate_output=_TEXT,
        changes=_list(_object(name=_TEXT, detail=_TEXT)),
        failed_checks=_list(_TEXT),
        notes=_list(_TEXT),
        stable_passed=_COUNT,
        stable_runs=_COUNT,
        candidate_passed=_COUNT,
        candidate_runs=_COUNT,
        p_value=_or_null(_SHARE) | {"description": "Fisher's exact test, one-sided, of the fresh runs; null where there are none."},
        judged={"enum": ["worse", "better", ""], "description": "What the judge says of most runs that pass; it loses no prompt."},
    )


def _slice_schema() -> dict[str, Any]:
    return _object(
        name=_TEXT,
        cases=_COUNT,
        stable=_SHARE,
        candidate=_SHARE,
        difference=_NUMBER,
        low=_NUMBER,
        high=_NUMBER,
        p_value=_SHARE,
        lost=_COUNT,
        won=_COUNT,
        harmed={"type": "boolean"},
    )


def _evidence_schema() -> dict[str, Any]:
    return _object(
        cases=_COUNT,
        pending=_COUNT | {"description": "Calls still to be made: above zero nothing is decided."},
        suspects=_COUNT,
        errors=_COUNT | {"description": "Prompts short of scored runs."},
        never_right=_COUNT,
        confirmed=_list(_object(case=_TEXT, kind={"enum": ["negative", "positive"]}, cause=_TEXT, p_value=_SHARE)),
        positive=_COUNT,
        overall=_or_null(_ref("slice")),
        slices=_list(_ref("slice")),
        changes={"type": "object", "additionalProperties": _COUNT},
        reworded=_COUNT,
        stale=_list(_TEXT),
        over_budget={"type": "boolean"},
    )
