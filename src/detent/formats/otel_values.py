"""OTLP's typed values (`{"stringValue": ...}`) -> plain ones."""

from __future__ import annotations

from typing import Any

from detent.wire.json_text import a_list, an_object


def attributes(pairs: object) -> dict[str, Any]:
    """A list of `{key, value}` as a dict; the last of two equal keys counts. A plain object, as some exporters write, is taken as it is."""
    if isinstance(pairs, dict):
        return pairs
    found = (an_object(pair) for pair in a_list(pairs))
    return {pair["key"]: _plain(pair.get("value")) for pair in found if isinstance(pair.get("key"), str)}


def _plain(value: object) -> Any:
    if not isinstance(value, dict):
        return value
    for kind, held in value.items():
        match kind.replace("_", "").lower():
            case "intvalue":
                return _whole_number(held)  # OTLP writes 64-bit numbers as text
            case "stringvalue" | "doublevalue" | "boolvalue" | "bytesvalue":
                return held
            case "arrayvalue":
                return [_plain(item) for item in a_list(an_object(held).get("values"))]
            case "kvlistvalue":
                return attributes(an_object(held).get("values"))
    return None


def _whole_number(value: object) -> object:
    if isinstance(value, str):
        try:
            return int(value[:20])
        except ValueError:
            return None
    return value


def nested(span: dict[str, Any], *names: str) -> object:
    """The first of these members that the span has, a number of nanoseconds as a number."""
    return next((_whole_number(span[name]) for name in names if name in span), None)
