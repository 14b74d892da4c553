"""The shape of a pin file: which tables and keys there are and of which type. Pydantic finds the faults; here they get their sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from detent.manifest.findings import Finding, Path, did_you_mean, dotted, escaped, shown
from detent.terms import (
    BaselineStage,
    CanaryStage,
    CanaryStep,
    CheckRow,
    DeclaredMetric,
    Drill,
    FileTable,
    Guard,
    Manifest,
    Notify,
    Plan,
    Price,
    Provider,
    RecordPolicy,
    Route,
    Server,
    ShadowStage,
    SoakStage,
    Warm,
)

NAMED: tuple[str, ...] = ("providers", "routes", "plans", "checks", "metrics", "prices")
"""Tables of tables: the key of each is its name."""

NAMED_TABLES: tuple[type[FileTable], ...] = (Provider, Route, Plan, CheckRow, DeclaredMetric, Price)
"""What stands in them."""

_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)

_TABLES: tuple[tuple[Path, type[FileTable]], ...] = (
    ((), Manifest),
    (("providers", "*"), Provider),
    (("routes", "*"), Route),
    (("routes", "*", "record"), RecordPolicy),
    (("plans", "*"), Plan),
    (("plans", "*", "baseline"), BaselineStage),
    (("plans", "*", "shadow"), ShadowStage),
    (("plans", "*", "canary"), CanaryStage),
    (("plans", "*", "canary", "steps", "*"), CanaryStep),
    (("plans", "*", "soak"), SoakStage),
    (("plans", "*", "drill"), Drill),
    (("plans", "*", "warm"), Warm),
    (("plans", "*", "guards", "*"), Guard),
    (("checks", "*"), CheckRow),
    (("metrics", "*"), DeclaredMetric),
    (("prices", "*"), Price),
    (("server",), Server),
    (("notify",), Notify),
)

_MISSING: dict[tuple[type[FileTable], str], str] = {
    (
        Manifest,
        "providers",
    ): "say where versions are served: [providers.NAME] with `dialect`, `base_url` and `watcher`; `detent init` writes an example",
    (Manifest, "routes"): "name what your apps call: [routes.NAME] with `provider`, `version` and `owner`; `detent init` writes an example",
    (Provider, "dialect"): 'write dialect = "openai", "anthropic" or "gemini": whose HTTP API this provider speaks',
    (Provider, "base_url"): 'write base_url = "https://…/v1": where its API is',
    (Provider, "watcher"): 'write watcher = "team@example.com": whose job it is to watch this provider\'s feed of changes',
    (Route, "provider"): "name one of [providers.…]",
    (Route, "version"): 'write version = "…": the exact model id that this route runs now',
    (Route, "owner"): 'write owner = "team@example.com": who is paged for this route',
    (CanaryStep, "share"): "write share = 0.05: which share of units the candidate gets in this step",
    (CanaryStep, "at_least"): 'write at_least = "48h": how long this step lasts at least',
    (Price, "input"): "write input = 2.50: USD per million input tokens",
    (Price, "output"): "write output = 10.00: USD per million output tokens",
    (Guard, "metric"): 'write metric = "error": what the candidate may not worsen',
}

_MUST_BE: dict[str, tuple[str, str]] = {
    "string_type": ("a string", 'put it in quotes: "…"'),
    "int_type": ("a whole number", "write it without quotes and without a fraction"),
    "int_from_float": ("a whole number", "write it without a fraction"),
    "int_parsing_size": ("a whole number of sane size", "write a smaller number"),
    "float_type": ("a number", "write it without quotes, like 0.05"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "tuple_type": ("an array", "put it in brackets: […]"),
    "dict_type": ("a table", "write its keys below a header in brackets, or in braces: { key = … }"),
    "dataclass_type": ("a table", "write its keys below a header in brackets, or in braces: { key = … }"),
}


def build(data: Mapping[str, Any]) -> tuple[Manifest | None, list[Finding]]:
    """The manifest that the data spell, names filled in from the keys of their tables; or every fault of shape."""
    written_names = list(_written_names(data))
    try:
        # JSON, because in strict mode pydantic reads an array as a tuple and a string as an enum from JSON only.
        manifest = _ADAPTER.validate_json(json.dumps(_with_names(data), default=_opaque), strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=True)
        return None, written_names + [_finding(fault, data) for fault in faults]
    return (None, written_names) if written_names else (manifest, [])


def _with_names(data: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {"plans": {}, **data}
    for group in NAMED:
        tables = whole.get(group)
        if isinstance(tables, dict):
            whole[group] = {name: {**table, "name": name} if isinstance(table, dict) else table for name, table in tables.items()}
    return whole


def _written_names(data: Mapping[str, Any]) -> Iterator[Finding]:
    for group in NAMED:
        tables = data.get(group)
        for name, table in tables.items() if isinstance(tables, dict) else ():
            if isinstance(table, dict) and "name" in table:
                path = (group, name, "name")
                yield Finding(
                    path, f"unknown key in {_table(path[:-1])}: `name`", f"take it out: the name is that of its table, {_table(path[:-1])}"
                )


def _opaque(value: object) -> dict[str, None]:
    """A TOML date or time: no key of the pin file takes one, and written as a string it would pass for one (`version = 2024-05-13`)."""
    return {"": None}


def _finding(fault: ErrorDetails, data: Mapping[str, Any]) -> Finding:
    path: Path = tuple(fault["loc"])
    kind = fault["type"]
    table = _class_of(path[:-1])
    if kind == "missing":
        key = str(path[-1])
        hint = _MISSING.get((table, key), f"write {key} = …") if table else f"write {key} = …"
        where = f" in {_table(path[:-1])}" if len(path) > 1 else ""
        return Finding(path[:-1] if len(path) > 1 else path, f"missing {'table' if not where else 'key'}{where}: `{key}`", hint)
    if kind == "unexpected_keyword_argument":
        return _unknown_key(path, table)
    value = _value_at(data, path)
    if kind in {"literal_error", "enum"}:
        allowed = re.findall(r"'([^']*)'", str(fault.get("ctx", {}).get("expected", "")))
        return Finding(path, f"{dotted(path)} must be one of {', '.join(allowed)}: {shown(value)}", did_you_mean(value, allowed))
    if kind == "value_error":  # the only validator of the terms' own reads durations
        return Finding(
            path, f"{dotted(path)} must be a duration: {shown(value)}", "write a string of a number and a unit, like `90s`, `48h` or `14d`"
        )
    must_be, hint = _MUST_BE.get(kind, (f"otherwise ({escaped(fault['msg'])})", "see `detent schema pinfile`"))
    return Finding(path, f"{dotted(path)} must be {must_be}: {shown(value)}", hint)


def _unknown_key(path: Path, table: type[FileTable] | None) -> Finding:
    key = str(path[-1])
    known = [f.name for f in fields(table) if f.name != "name" or table not in NAMED_TABLES] if table else []  # type: ignore[arg-type]
    hint = did_you_mean(key, known)
    if table is Provider and re.search(r"key|token|secret|password", key, re.IGNORECASE) and "did you mean" not in hint:
        hint = "the key itself is never in a file: name the environment variable that holds it in `key_env`"
    where = f" in {_table(path[:-1])}" if len(path) > 1 else ""
    return Finding(path, f"unknown {'key' if where else 'table or key'}{where}: {shown(key)}", hint)


def _table(path: Path) -> str:
    return f"[{dotted(path)}]"


def _class_of(path: Path) -> type[FileTable] | None:
    return next((table for pattern, table in _TABLES if matches(pattern, path)), None)


def matches(pattern: Path, path: Path) -> bool:
    """Whether the path has the form of the pattern, in which `*` stands for any one key or element."""
    return len(pattern) == len(path) and all(p in ("*", q) for p, q in zip(pattern, path, strict=True))


def _value_at(data: Any, path: Path) -> object:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return "(nothing)"
    return data
