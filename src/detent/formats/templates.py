"""promptfoo's templates: `{{ name }}`, `{{ name | dump }}` and `{{ "text" }}` are filled in; whatever else stands in braces is refused and
not run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from detent.formats.reasons import ELSEWHERE, UNFILLED, Unusable
from detent.formats.rows import json_value
from detent.wire.json_text import an_object

_BRACES = re.compile(r"\{\{-?(.*?)-?\}\}|\{%|\{#", re.DOTALL)
_VARIABLE = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(\|\s*dump\s*(?:\(\s*\d*\s*\)\s*)?)?")
_CONSTANT = re.compile(r"""\s*"([^"\\]*)"\s*""")

_FILE = re.compile(r"file://.*|\S+\.(?:txt|json|jsonl|ya?ml|md|j2|[mc]?js|ts|py|csv)(?::\w+)?", re.DOTALL)
"""A prompt that is in a file: promptfoo takes a path and a pattern of paths for that also without `file://`."""


def fill(template: str, given: Mapping[str, Any]) -> str:
    """The text with its variables in place. Raises Unusable for a variable that is not given and for code."""

    def put(found: re.Match[str]) -> str:
        if found[1] is not None and (constant := _CONSTANT.fullmatch(found[1])) is not None:
            return constant[1]
        named = _VARIABLE.fullmatch(found[1]) if found[1] is not None else None
        if named is None:
            raise Unusable(UNFILLED, f"`{found[0][:100]}`")
        value = _look_up(given, named[1])
        return msgspec.json.encode(value).decode() if named[2] else shown(value)

    return _BRACES.sub(put, template)


def _look_up(given: Mapping[str, Any], name: str) -> Any:
    if name in given:
        return given[name]
    value: Any = given
    for part in name.split("."):
        if part not in an_object(value):
            raise Unusable(UNFILLED, f"`{name[:100]}` is not among the vars")
        value = value[part]
    return value


def shown(value: Any) -> str:
    """A value as the template engine writes it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()


def fill_all(value: Any, given: Mapping[str, Any]) -> Any:
    """A JSON value with every text in it filled in."""
    if isinstance(value, str):
        return fill(value, given)
    if isinstance(value, list):
        return [fill_all(item, given) for item in value]
    if isinstance(value, dict):
        return {key: fill_all(item, given) for key, item in value.items()}
    return value


def messages(template: Any, given: Mapping[str, Any]) -> list[Any]:
    """The chat messages of a prompt: of JSON (or YAML) that is a list of them, or of a text, which is what the user says."""
    if isinstance(template, str) and _FILE.fullmatch(template):
        raise Unusable(ELSEWHERE, f"`{template[:100]}`")
    parsed = _parsed(template)
    if parsed is not None:
        return _as_messages(fill_all(parsed, given)) or []
    if not isinstance(template, str):
        raise Unusable(UNFILLED, f"a prompt that is no text: `{type(template).__name__}`")
    text = fill(template, given)
    return _as_messages(_parsed(text)) or ([{"role": "user", "content": text}] if text.strip() else [])


def _parsed(template: Any) -> Any:
    """A template's JSON; None for a text that is none."""
    if isinstance(template, str):
        if template.lstrip()[:1] not in ("[", "{"):
            return None
        try:
            template = json_value(template.encode("utf-8", "replace"))
        except Unusable:
            return None
    return template if _as_messages(template) else None


def _as_messages(value: Any) -> list[Any] | None:
    if isinstance(value, dict):
        value = value.get("messages")
    fits = isinstance(value, list) and value and all("role" in an_object(message) for message in value)
    return value if fits else None
