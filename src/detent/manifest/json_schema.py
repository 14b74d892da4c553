"""The JSON schema of the pin file, for editors: made from the same types that read it."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from detent.manifest.keys import KEYS
from detent.manifest.structure import NAMED_TABLES
from detent.terms import Manifest, show_duration


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of `detent.toml`: shape and types; `manifest.read` knows more (aliases, windows, margins)."""
    whole = TypeAdapter(Manifest).json_schema()
    meanings = {table.__name__: known.keys for table, known in KEYS.items()}
    for name, table in whole["$defs"].items():
        for key, value in table.get("properties", {}).items():
            _spell_duration(value)
            says = meanings[name].get(key)  # none of the name, which is the key of the table
            table["properties"][key] = _without_title(value) | ({} if says is None else {"description": says})
        if name in {named.__name__ for named in NAMED_TABLES}:  # the name is the key of the table
            del table["properties"]["name"]
            table["required"] = [key for key in table.get("required", ()) if key != "name"]
    whole["required"] = ["providers", "routes"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "title": "detent.toml"}


def _spell_duration(value: dict[str, Any]) -> None:
    if value.get("format") == "detent-duration":
        del value["format"]  # no format of JSON schema, the pattern says it
        if "default" in value:
            value["default"] = show_duration(value["default"])


def _without_title(value: dict[str, Any]) -> dict[str, Any]:
    return {key: part for key, part in value.items() if key != "title"}
