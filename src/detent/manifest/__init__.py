"""The pin file, `detent.toml`: text in, a checked `Manifest` out, or every error of it at once with line, value and hint."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from detent.errors import InvalidInput
from detent.manifest.check_rules import CHECK_RULES
from detent.manifest.defaults import BUILTIN_PLANS, DEFAULT_GUARDS
from detent.manifest.fallback_rules import FALLBACK_RULES
from detent.manifest.findings import Finding, dotted, escaped, report, secrets, shown
from detent.manifest.guard_rules import GUARD_RULES
from detent.manifest.journal_rules import JOURNAL_RULES
from detent.manifest.json_schema import schema
from detent.manifest.lease_rules import LEASE_RULES
from detent.manifest.lines import Duplicate, Lines, scan
from detent.manifest.notify_rules import NOTIFY_RULES
from detent.manifest.plan_rules import PLAN_RULES
from detent.manifest.rules import RULES
from detent.manifest.shadow_rules import SHADOW_RULES
from detent.manifest.structure import build
from detent.terms import Manifest, ShadowStage

__all__ = ["BUILTIN_PLANS", "DEFAULT_GUARDS", "digest", "read", "schema"]

_DEEPEST = 16


def read(text: str, *, file: str = "detent.toml") -> Manifest:
    """The pin file as a manifest: names filled in from table keys, default guards in plans without any, built-in plans added.

    Raises InvalidInput with one block for every error, in the order of the file: `FILE:LINE: what is wrong: `value`` and a hint. Text that
    is not TOML is the one error that hides others. Values that look like secrets are never part of the message.
    """
    findings = list(secrets(text))
    data, lines, faults = _parse(text)
    if not faults:
        manifest, faults = build(data)
        for rule in (
            *RULES,
            *CHECK_RULES,
            *PLAN_RULES,
            *SHADOW_RULES,
            *GUARD_RULES,
            *FALLBACK_RULES,
            *LEASE_RULES,
            *JOURNAL_RULES,
            *NOTIFY_RULES,
        ):
            faults.extend(rule(data))
        if manifest is not None and not faults and not findings:
            return _filled(manifest)
    raise InvalidInput(report([*findings, *faults], file=file, lines=lines))


def digest(text: str) -> str:
    """SHA-256 of the text of a pin file, as 64 hex digits: which file was applied."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _filled(manifest: Manifest) -> Manifest:
    plans = {
        name: replace(plan, guards=plan.guards or DEFAULT_GUARDS, shadow=_without_infinity(plan.shadow))
        for name, plan in manifest.plans.items()
    }
    return replace(manifest, plans={**BUILTIN_PLANS, **plans})


def _without_infinity(stage: ShadowStage) -> ShadowStage:
    """A budget of `inf` is none. What is read goes to disk as JSON, which would make null of it and then refuse to be read again."""

    def finite(budget: float | None) -> float | None:
        return None if budget == math.inf else budget

    return replace(stage, budget_usd_per_day=finite(stage.budget_usd_per_day), judge_usd_per_day=finite(stage.judge_usd_per_day))


# ── text -> data ────────────────────────────────────────────────────────────────────────────────────────────────────


def _parse(text: str) -> tuple[dict[str, Any], Lines, list[Finding]]:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
        lines = scan(text)
        return data, lines, list(_too_deep(data))
    except RecursionError:
        return (
            {},
            Lines(),
            [
                Finding(
                    (),
                    f"tables or arrays nested too deeply: `more than {_DEEPEST}`",
                    "see `detent schema pinfile` for the shape of the file",
                )
            ],
        )
    except ValueError as error:  # TOMLDecodeError, and plain ValueError for a number of thousands of digits
        return {}, Lines(), list(_syntax(text, str(error)))


def _too_deep(data: dict[str, Any]) -> Iterator[Finding]:
    level: list[Any] = [data]
    for _ in range(_DEEPEST):
        level = [v for value in level for v in _inside(value)]
    if level:
        yield Finding(
            (), f"tables or arrays nested too deeply: `more than {_DEEPEST}`", "see `detent schema pinfile` for the shape of the file"
        )


def _inside(value: object) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _outermost(duplicates: Sequence[Duplicate]) -> list[Duplicate]:
    """The keys of a table that is given twice are given twice too: it is enough to name the table."""
    paths = {again.path for again in duplicates}
    return [d for d in duplicates if not any(d.path[:n] in paths for n in range(1, len(d.path)))]


def _syntax(text: str, message: str) -> Iterator[Finding]:
    """Not TOML. A key or table given twice is named with both lines, because `tomllib` says where it noticed, not where they stand."""
    if re.search(r"twice|overwrite|Duplicate|mutate", message):
        try:
            duplicates = scan(text).duplicates
        except RecursionError:
            duplicates = []
        for again in _outermost(duplicates):
            what = {"routes": "route", "providers": "provider", "plans": "plan"}.get(str(again.path[0])) if len(again.path) == 2 else None
            named = f"{what} given twice: {shown(again.path[1])}" if what else f"key given twice: {shown(dotted(again.path))}"
            yield Finding(again.path, named, f"it stands in line {again.first} already: keep one of them", line=again.line)
        if duplicates:
            return
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    line = int(found[1]) if found and found[1] else text.rstrip("\n").count("\n") + 1
    column = f", column {found[2]}" if found and found[2] else ""
    says = escaped(message[: found.start()] if found else message)
    written = text.split("\n")[line - 1].strip() if line <= text.count("\n") + 1 else ""
    written = re.sub(r"=.*", "= …", written)  # a key pasted without quotes must not reach a CI log
    yield Finding(
        (), f"not TOML{column}: {says}: {shown(written)}", "strings stand in quotes, tables in [brackets]; see https://toml.io", line=line
    )
