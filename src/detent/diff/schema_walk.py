"""JSON Schema, as far as providers accept it for structured output: does a value follow a schema, and where not.

Read: $ref (inside the schema), type, enum, const, properties, required, additionalProperties, items and prefixItems,
min/max of numbers, strings, arrays and objects, anyOf, oneOf, allOf, not. Left out on purpose: `pattern` and `format`, whose regular
expressions could be made to run for hours by a hostile answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from detent.diff.shape import canonical, json_type

_MOST_STEPS = 200_000


class Unreadable(ValueError):
    """The schema itself can't be followed: a reference that leads nowhere or round in circles, or a schema that is no object."""


def violations(schema: Any, value: Any) -> Iterator[str]:
    """Where a value breaks a schema, like `$.total: not a number`; nothing when it follows it. Raises `Unreadable` for a bad schema."""
    yield from _Walk(schema).check(schema, value, "$")


class _Walk:
    def __init__(self, root: Any) -> None:
        self.root = root
        self.steps = 0

    def check(self, schema: Any, value: Any, at: str, depth: int = 0) -> Iterator[str]:
        self.steps += 1
        if self.steps > _MOST_STEPS or depth > 200:
            raise Unreadable("the schema leads in circles or is too large")
        if schema is False:
            yield f"{at}: not allowed"
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise Unreadable(f"no schema: a JSON {json_type(schema)}")
        if "$ref" in schema:
            yield from self.check(self.resolve(schema["$ref"]), value, at, depth + 1)
        yield from _own(schema, value, at)
        if isinstance(value, dict):
            yield from _objects(self, schema, value, at, depth)
        elif isinstance(value, list):
            yield from _arrays(self, schema, value, at, depth)
        if not _COMBINING.isdisjoint(schema):
            yield from _combined(self, schema, value, at, depth)

    def resolve(self, reference: Any) -> Any:
        """The part of the root that a local JSON pointer names (RFC 6901)."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise Unreadable(f"a reference outside the schema: {reference!r:.80}")
        here = self.root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(here, dict) or name not in here:
                raise Unreadable(f"a reference that leads nowhere: {reference!r:.80}")
            here = here[name]
        return here

    def follows(self, schema: Any, value: Any, at: str, depth: int) -> bool:
        return next(self.check(schema, value, at, depth + 1), None) is None


def _is_type(name: Any, value: Any) -> bool:
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return bool(json_type(value) == name)


_LIMITS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], bool], str]] = {
    "minimum": (lambda v: v if json_type(v) == "number" else None, lambda v, limit: v >= limit, "less than"),
    "maximum": (lambda v: v if json_type(v) == "number" else None, lambda v, limit: v <= limit, "more than"),
    "exclusiveMinimum": (lambda v: v if json_type(v) == "number" else None, lambda v, limit: v > limit, "not more than"),
    "exclusiveMaximum": (lambda v: v if json_type(v) == "number" else None, lambda v, limit: v < limit, "not less than"),
    "minLength": (lambda v: len(v) if isinstance(v, str) else None, lambda v, limit: v >= limit, "shorter than"),
    "maxLength": (lambda v: len(v) if isinstance(v, str) else None, lambda v, limit: v <= limit, "longer than"),
    "minItems": (lambda v: len(v) if isinstance(v, list) else None, lambda v, limit: v >= limit, "fewer items than"),
    "maxItems": (lambda v: len(v) if isinstance(v, list) else None, lambda v, limit: v <= limit, "more items than"),
    "minProperties": (lambda v: len(v) if isinstance(v, dict) else None, lambda v, limit: v >= limit, "fewer keys than"),
    "maxProperties": (lambda v: len(v) if isinstance(v, dict) else None, lambda v, limit: v <= limit, "more keys than"),
}
"""keyword -> what it measures (None: says nothing about this value), when it holds, and how a breach reads."""


def _own(schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
    """What the schema asks of the value itself."""
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is_type(name, value) for name in names):
            yield f"{at}: a {json_type(value)}, not {' or '.join(map(str, names))}"
    if "const" in schema and canonical(value) != canonical(schema["const"]):
        yield f"{at}: not the one value that is allowed"
    if isinstance(schema.get("enum"), list) and canonical(value) not in {canonical(one) for one in schema["enum"]}:
        yield f"{at}: none of the values that are allowed"
    for keyword, (measure, holds, says) in _LIMITS.items() if not _LIMITS.keys().isdisjoint(schema) else ():
        limit = schema.get(keyword)
        measured = measure(value) if json_type(limit) == "number" else None
        if measured is not None and not holds(measured, limit):
            yield f"{at}: {says} {limit}"


def _objects(walk: _Walk, schema: dict[str, Any], value: dict[str, Any], at: str, depth: int) -> Iterator[str]:
    known = schema.get("properties")
    known = known if isinstance(known, dict) else {}
    required = schema.get("required")
    for name in required if isinstance(required, list) else []:
        if isinstance(name, str) and name not in value:
            yield f"{at}.{name}: missing"
    rest = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in known:
            yield from walk.check(known[name], item, f"{at}.{name}", depth + 1)
        elif rest is False:
            yield f"{at}.{name}: not in the schema"
        elif rest is not True:
            yield from walk.check(rest, item, f"{at}.{name}", depth + 1)


def _arrays(walk: _Walk, schema: dict[str, Any], value: list[Any], at: str, depth: int) -> Iterator[str]:
    first = schema.get("prefixItems")
    first = first if isinstance(first, list) else []
    for n, item in enumerate(value):
        wanted = first[n] if n < len(first) else schema.get("items", True)
        yield from walk.check(wanted, item, f"{at}[{n}]", depth + 1)


_COMBINING = frozenset({"allOf", "anyOf", "oneOf", "not"})


def _combined(walk: _Walk, schema: dict[str, Any], value: Any, at: str, depth: int) -> Iterator[str]:
    for part in _schemas(schema, "allOf"):
        yield from walk.check(part, value, at, depth + 1)
    if "anyOf" in schema and not any(walk.follows(part, value, at, depth) for part in _schemas(schema, "anyOf")):
        yield f"{at}: none of the forms that are allowed"
    if "oneOf" in schema and sum(walk.follows(part, value, at, depth) for part in _schemas(schema, "oneOf")) != 1:
        yield f"{at}: not exactly one of the forms that are allowed"
    if "not" in schema and walk.follows(schema["not"], value, at, depth):
        yield f"{at}: a form that is not allowed"


def _schemas(schema: dict[str, Any], keyword: str) -> list[Any]:
    parts = schema.get(keyword, [])
    if not isinstance(parts, list):
        raise Unreadable(f"`{keyword}` is no list")
    return parts
