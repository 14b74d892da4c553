"""A comparison as JSON, and the JSON Schema of that."""

from __future__ import annotations

from typing import Any

from detent.compare.tables import Comparison, Table
from detent.diff import CHANGES


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as `detent compare --json` prints it; `schema` describes it."""
    return {
        "stable": comparison.stable,
        "candidate": comparison.candidate,
        "overall": _table(comparison.overall),
        "tasks": {name: _table(table) for name, table in comparison.tasks.items()},
        "flips": [
            {
                "prompt_id": flip.prompt_id,
                "task": flip.task,
                "kind": flip.kind,
                "stable_output": flip.stable_output,
                "candidate_output": flip.candidate_output,
                "changes": [change.name for change in flip.changes],
            }
            for flip in comparison.flips
        ],
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "prompts": table.prompts,
        "stable_right": table.stable_right,
        "candidate_right": table.candidate_right,
        "negative_flips": table.negative_flips,
        "positive_flips": table.positive_flips,
        "mcnemar_p": table.mcnemar_p,
        "length_ratio": table.length_ratio,
        "changes": dict(table.changes),
    }


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `detent compare --json` prints."""
    text = {"type": "string"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "detent compare --json",
        "description": "Two versions compared prompt by prompt, one run each: a signal, not a confirmed regression.",
        **_object(
            stable=text | {"description": "The version that runs."},
            candidate=text | {"description": "The version proposed."},
            overall={"$ref": "#/$defs/table", "description": "Over all prompts that both versions have."},
            tasks={"type": "object", "additionalProperties": {"$ref": "#/$defs/table"}, "description": "The same for each task."},
            flips={"type": "array", "items": {"$ref": "#/$defs/flip"}, "description": "Labelled prompts that only one version got right."},
        ),
        "$defs": {"table": _table_schema(), "flip": _flip_schema()},
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _count(says: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "description": says}


def _table_schema() -> dict[str, Any]:
    return _object(
        prompts=_count("Prompts that both versions have, labelled or not."),
        stable_right=_count("Of the prompts labelled in both arms: right with stable."),
        candidate_right=_count("Of the prompts labelled in both arms: right with the candidate."),
        negative_flips=_count("Right with stable, wrong with the candidate."),
        positive_flips=_count("Wrong with stable, right with the candidate."),
        mcnemar_p={
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "Exact McNemar test, two-sided: 1.0 when no prompt flipped, null when no prompt is labelled in both arms.",
        },
        length_ratio={
            "type": ["number", "null"],
            "minimum": 0,
            "description": "Sum of the candidate's characters over the sum of stable's; null when stable wrote none.",
        },
        changes=_object(**{row.name: _count(f"Prompts with: {row.says}.") for row in CHANGES}) | {"description": "Zeros included."},
    )


def _flip_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return _object(
        prompt_id=text,
        task=text,
        kind={"enum": ["negative", "positive"], "description": "negative: right with stable and wrong with the candidate."},
        stable_output=text,
        candidate_output=text,
        changes={
            "type": "array",
            "items": {"enum": [row.name for row in CHANGES]},
            "description": "Named changes, the most telling first; see `detent.diff.CHANGES`.",
        },
    )
