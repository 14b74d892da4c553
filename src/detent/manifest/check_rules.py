"""What a pin file may say of checks, judges, rubrics and prices. As in `rules`, each rule skips what has the wrong shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from detent.checks.families import related
from detent.checks.own import AUTOEVALS, AUTOEVALS_ASKING, FOREIGN, KINDS
from detent.checks.patterns import fault
from detent.manifest.findings import Finding, did_you_mean, dotted, shown
from detent.manifest.rules import Data, names_of, select, strings, tables
from detent.terms import CHECK_NAMES, JUDGED_CHECKS

_KINDS = (*KINDS, *FOREIGN)
_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_FUNCTION = re.compile(rf"{_WORD}(?:\.{_WORD})*:{_WORD}(?:\.{_WORD})*")
_ENTRY_POINT = re.compile(r"[\w.-]+", re.ASCII)


# ── [checks.NAME] ───────────────────────────────────────────────────────────────────────────────────────────────────


def _own_checks(data: Data) -> Iterator[Finding]:
    for path, row in tables(data, "checks", "*"):
        kinds = [kind for kind in row if kind in _KINDS]
        listed = ", ".join(f"`{kind}`" for kind in _KINDS)
        if path[-1] in CHECK_NAMES:
            yield Finding(path, f"a check of this name is built in: {shown(path[-1])}", "give yours another name")
        if not kinds and not row.keys() - {"says", "at_least"}:  # an unknown key is told already, and may be a rule misspelt
            yield Finding(path, f"a check without a rule: {shown(path[-1])}", f"write exactly one of {listed}")
        elif len(kinds) > 1:
            hint = f"keep {kinds[0]} here, and write a check of its own for each other rule"
            yield Finding((*path, kinds[1]), f"a second rule in one check: {shown(kinds[1])}", hint)
        elif kinds and "at_least" in row and kinds[0] not in FOREIGN:
            yield Finding(
                (*path, "at_least"),
                f"at_least says nothing of a rule that passes or fails: {shown(row['at_least'])}",
                "take it out; it is for `python` and `autoevals`, which give a value",
            )


def _patterns(data: Data) -> Iterator[Finding]:
    for kind in ("matches", "never_matches"):
        for path, value in strings(data, "checks", "*", kind):
            found = fault(value)
            if found is not None:
                says, hint = found
                yield Finding(path, f"{dotted(path)} {says}: {shown(value)}", hint)
    for kind in ("contains", "lacks"):
        for path, value in strings(data, "checks", "*", kind):
            if not value:
                yield Finding(path, f"{dotted(path)} is empty, which every answer contains: `{value}`", "write the text to look for")


def _foreign(data: Data) -> Iterator[Finding]:
    for path, value in strings(data, "checks", "*", "python"):
        if not _FUNCTION.fullmatch(value) and not _ENTRY_POINT.fullmatch(value):
            hint = "write `package.module:function`, or the name of an entry point of `detent.checks`"
            yield Finding(path, f"{dotted(path)} names no function: {shown(value)}", hint)
    for path, value in strings(data, "checks", "*", "autoevals"):
        if value in AUTOEVALS_ASKING:
            hint = "use the route's `judge` and its checks `tone` and `task_complete`: pinned, calibrated, asked in both orders"
            yield Finding(path, f"a scorer that asks a model of its own: {shown(value)}", hint)
        elif value not in AUTOEVALS:
            yield Finding(path, f"unknown scorer of autoevals: {shown(value)}", did_you_mean(value, AUTOEVALS))


# ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _checks(data: Data) -> Iterator[Finding]:
    known = dict.fromkeys([*CHECK_NAMES, *names_of(data, "checks")])
    for path, name in strings(data, "routes", "*", "checks", "*"):
        if name not in known:
            yield Finding(path, f"unknown check: {shown(name)}", did_you_mean(name, known))
        elif name in JUDGED_CHECKS and "judge" not in data["routes"][path[1]]:
            hint = 'write judge = "…": another route, whose version is of another family; or take the check out'
            yield Finding(path, f"a check that a judge is asked, on a route without one: {shown(name)}", hint)


def _judges(data: Data) -> Iterator[Finding]:
    routes = names_of(data, "routes")
    for path, name in strings(data, "routes", "*", "judge"):
        judge = data["routes"].get(name)
        if name == path[1]:
            hint = "name another route: the judge is pinned like everything else"
            yield Finding(path, f"a route that would judge itself: {shown(name)}", hint)
        elif name not in routes:
            yield Finding(
                path, f"unknown judge; a judge is a route: {shown(name)}", did_you_mean(name, [r for r in routes if r != path[1]])
            )
        elif isinstance(judge, dict) and "judge" in judge:
            yield Finding(
                path, f"a judge that has a judge itself: {shown(name)}", f"take `judge` out of [routes.{name}]: people calibrate it"
            )
        elif isinstance(judge, dict):
            yield from _family(path[1], data["routes"][path[1]], name, judge)


def _family(route: str | int, judged: dict[str, Any], name: str, judge: dict[str, Any]) -> Iterator[Finding]:
    """One finding for the first version of the route that is of the judge's family."""
    for key in ("version", "next"):
        pin, model = judge.get("version"), judged.get(key)
        common = related(pin, model) if isinstance(pin, str) and isinstance(model, str) else None
        if common is not None:
            hint = f"`{key}` is of the family {common}, and so is the judge's pin: a model prefers its own; pin the judge to another family"
            yield Finding(("routes", route, "judge"), f"a judge of the family that it judges: {shown(name)}", hint)
            return


def _rubrics(data: Data) -> Iterator[Finding]:
    for path, value in strings(data, "routes", "*", "rubric"):
        if not value.strip() or value.startswith(("/", "~")) or re.match(r"[A-Za-z]:", value) or ".." in re.split(r"[/\\]", value):
            yield Finding(path, f"{dotted(path)} must be a path beside the pin file: {shown(value)}", "write a relative path without `..`")
        elif "judge" not in data["routes"][path[1]]:
            yield Finding(path, f"a rubric that nobody reads: {shown(value)}", 'write judge = "…": the route that is given it')


# ── [prices."provider/model"] ───────────────────────────────────────────────────────────────────────────────────────


def _prices(data: Data) -> Iterator[Finding]:
    providers = names_of(data, "providers")
    for path, _ in select(data, ("prices", "*")):
        provider, slash, model = str(path[-1]).partition("/")
        if not slash or not model.strip():
            hint = 'write [prices."provider/model"], like [prices."openai/gpt-4o-2024-08-06"]'
            yield Finding(path, f"a price of no version: {shown(path[-1])}", hint)
        elif provider not in providers:
            yield Finding(path, f"a price of an unknown provider: {shown(provider)}", did_you_mean(provider, providers))


CHECK_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (
    _own_checks,
    _patterns,
    _foreign,
    _checks,
    _judges,
    _rubrics,
    _prices,
)
"""The rules for checks, judges, rubrics and prices, in the order of the file."""
