"""The checks that call code of others: the team's Python functions, and scorers of autoevals. The one place that imports them.

Such code may do anything, so what it says is read strictly: what raises, or returns no result, leaves the answer without a verdict under
the name of what went wrong (`Unscored.broken`). It never passes. A function that does not apply returns an `Unscored` of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from detent.checks import Graded, Rule
from detent.checks.own import rules
from detent.diff.shape import whole_json
from detent.errors import CouldNotRun, InvalidInput
from detent.terms import CHECK_NAMES, CheckRow, Manifest, Score, Unscored

GROUP = "detent.checks"
"""The group of entry points that installed packages offer checks in."""

LONGEST = 100_000
"""Characters of answer and reference that a scorer is given; edit distances and the like take long on more."""

_NEEDS_NO_OTHER = frozenset({"ValidJSON"})
_COMPARES_NUMBERS = frozenset({"NumericDiff"})


def load_checks(manifest: Manifest) -> Mapping[str, Rule]:
    """The pin file's own checks as rules, by name. Code of others is imported for those that a route names.

    Raises InvalidInput for a function that is not there or cannot be imported, and CouldNotRun where autoevals is not installed.
    """
    named = {name for route in manifest.routes.values() for name in route.checks} - {*CHECK_NAMES}
    made = rules(manifest.checks.values())
    for row in manifest.checks.values():
        if row.name not in named:
            continue
        if row.python is not None:
            made[row.name] = _guarded(row, _function(row, row.python))
        elif row.autoevals is not None:
            made[row.name] = _guarded(row, _scorer(row.autoevals))
    return MappingProxyType(made)


# ── finding ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _function(row: CheckRow, python: str) -> Callable[[Graded], Any]:
    """`package.module:function`, or the name of an entry point."""
    module, colon, name = python.partition(":")
    hint = "install its package where detent runs, or put its directory on PYTHONPATH"
    if not colon:
        found = list(entry_points(group=GROUP, name=python))
        if len(found) != 1:
            known = ", ".join(f"`{point.name}`" for point in entry_points(group=GROUP)) or "none"
            says = "no installed package offers" if not found else "more than one installed package offers"
            raise InvalidInput(f"check `{row.name}`: {says} an entry point of `{GROUP}`: `{python}`", hint=f"{hint}; installed: {known}")
        module, name = found[0].module, found[0].attr
    try:
        function: Any = import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"check `{row.name}` cannot be loaded: `{python}` ({type(error).__name__}: {error})", hint=hint) from error
    if not callable(function):
        raise InvalidInput(f"check `{row.name}` is no function: `{python}`", hint="name one that takes a `detent.checks.Graded`")
    return function  # type: ignore[no-any-return]


def _scorer(name: str) -> Callable[[Graded], Any]:
    """A scorer of autoevals that asks nobody, held against the case's reference, else against its known-good output."""
    try:
        scorer = getattr(import_module("autoevals"), name)()
    except (ImportError, AttributeError) as error:
        raise CouldNotRun(f"autoevals has no scorer here: `{name}` ({error})", hint="install detent[autoevals]") from error

    def call(graded: Graded) -> Any:
        good = graded.known_good.text if graded.known_good is not None else None
        expected: Any = graded.reference if graded.reference is not None else good
        output: Any = graded.answer.text
        if _is_call(graded):
            return Unscored("the answer is a tool call, without text")
        if expected is None and name not in _NEEDS_NO_OTHER:
            return Unscored("neither a reference nor a known-good answer to compare with")
        if max(len(output), len(expected or "")) > LONGEST:
            return Unscored(f"longer than {LONGEST:,} characters", broken=True)
        if name in _COMPARES_NUMBERS:
            output, expected = _number(output), _number(expected)
            if expected is None:
                return Unscored("what to compare with is no number")
            if output is None:
                return 0.0
        return scorer.eval(output, expected).score

    return call


def _is_call(graded: Graded) -> bool:
    return bool(graded.answer.tool_calls) and not graded.answer.text.strip()


def _number(text: Any) -> float | None:
    found = whole_json(str(text).strip())
    value = found.value if found is not None else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None


# ── calling ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _guarded(row: CheckRow, call: Callable[[Graded], Any]) -> Rule:
    def rule(graded: Graded) -> Score | Unscored:
        try:
            return _read(row, call(graded))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the team's own code may raise anything; it must not end the run
            return Unscored(f"the check `{row.name}` failed: {type(error).__name__}", broken=True)

    return rule


def _read(row: CheckRow, said: Any) -> Score | Unscored:
    """What a function may return: a `Score` or `Unscored`; true or false; or a value from 0 to 1, which passes from `at_least` on."""
    if isinstance(said, Unscored):
        return said
    why = f"{row.says}: " if row.says else ""
    if isinstance(said, bool):
        return Score(check=row.name, value=float(said), passed=said, why="" if said else f"{why}the function says no")
    if isinstance(said, Score):
        value, passed, why = said.value, said.passed, said.why
    elif isinstance(said, int | float):
        value, passed = float(said), said >= row.at_least
        why = "" if passed else f"{why}{value:.3g}, below {row.at_least:g}"
    else:
        return Unscored(f"the check `{row.name}` returned no result: {type(said).__name__}", broken=True)
    if not isinstance(passed, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        return Unscored(f"the check `{row.name}` returned no value from 0 to 1", broken=True)
    return Score(check=row.name, value=float(value), passed=passed, why=str(why)[:300])
