"""What the plans of a pin file may say of stages and ranges. As in `rules`, each rule reads the data and skips what has the wrong shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from detent.manifest.drill_rules import drills, freezes, ways_back
from detent.manifest.findings import Finding, Path, dotted, shown
from detent.manifest.rules import Data, select, strings, tables
from detent.stats.least import ALPHA_FLIPS, least_runs
from detent.terms import BaselineStage, CanaryStage, parse_duration, show_duration

SAFE_WINDOW = 48 * 3600.0
"""Seconds that the first canary step lasts at least, unless the plan says `unsafe_short_windows`."""

_LONGEST = 3660 * 86400.0


@dataclass(frozen=True, slots=True)
class Range:
    """Which numbers a key may hold, in words and as a test that NaN fails."""

    pattern: Path
    says: str
    holds: Callable[[float], bool]


def _proper_share(x: float) -> bool:
    return 0 < x < 1


def _count(x: float) -> bool:
    return 1 <= x <= 10_000_000


def _price(x: float) -> bool:
    return 0 <= x <= 100_000


_SHARE, _COUNT, _PRICE = "above 0 and below 1", "at least 1", "from 0 to 100000: USD per million tokens"

RANGES: tuple[Range, ...] = (
    Range(("routes", "*", "record", "bodies"), "from 0 to 1", lambda x: 0 <= x <= 1),
    Range(("plans", "*", "alpha"), "above 0 and below 0.5", lambda x: 0 < x < 0.5),
    Range(("plans", "*", "baseline", "screen"), _COUNT, _count),
    Range(("plans", "*", "baseline", "confirm"), _COUNT, _count),
    Range(
        ("plans", "*", "baseline", "stable_repeats"),
        "at least 2: the noise floor compares an answer with another",
        lambda x: 2 <= x <= 10_000_000,
    ),
    Range(("plans", "*", "baseline", "cases"), _COUNT, _count),
    Range(("plans", "*", "baseline", "fdr"), _SHARE, _proper_share),
    Range(("plans", "*", "baseline", "at_least"), _COUNT, _count),
    Range(("plans", "*", "baseline", "margin"), "above 0 and at most 1: a loss of this share that a pass excludes", lambda x: 0 < x <= 1),
    Range(
        ("plans", "*", "baseline", "coverage"),
        "from 0 to 1, a share of current traffic",
        lambda x: 0 <= x <= 1,
    ),
    Range(("plans", "*", "baseline", "reserve"), "from 0 to 0.5, a share of the cases", lambda x: 0 <= x <= 0.5),
    Range(("plans", "*", "baseline", "budget_usd"), "above 0", lambda x: 0 < x <= 1e9),
    Range(("checks", "*", "at_least"), "above 0 and at most 1", lambda x: 0 < x <= 1),
    Range(("checks", "*", "max_chars"), _COUNT, _count),
    Range(("checks", "*", "min_chars"), _COUNT, _count),
    Range(("prices", "*", "input"), _PRICE, _price),
    Range(("prices", "*", "output"), _PRICE, _price),
    Range(("prices", "*", "cached"), _PRICE, _price),
    Range(("plans", "*", "shadow", "share"), "above 0 and at most 1", lambda x: 0 < x <= 1),
    Range(("plans", "*", "shadow", "pairs"), _COUNT, _count),
    Range(("plans", "*", "shadow", "second"), "above 0 and at most 1, a share of the mirrored requests", lambda x: 0 < x <= 1),
    Range(("plans", "*", "shadow", "coverage"), "from 0 to below 1, a share of tomorrow's traffic", lambda x: 0 <= x < 1),
    Range(("plans", "*", "shadow", "budget_usd_per_day"), "0 or more, or inf for no budget", lambda x: 0 <= x <= 1e9 or x == math.inf),
    Range(("plans", "*", "shadow", "judge_usd_per_day"), "0 or more, or inf for no budget", lambda x: 0 <= x <= 1e9 or x == math.inf),
    Range(("plans", "*", "shadow", "tokens_per_day"), "at least 1", lambda x: 1 <= x <= 10**15),
    Range(("plans", "*", "shadow", "per_second"), "above 0 and at most 10000", lambda x: 0 < x <= 10_000),
    Range(("plans", "*", "canary", "steps", "*", "share"), _SHARE, _proper_share),
    Range(("plans", "*", "canary", "steps", "*", "units"), _COUNT, _count),
    Range(("plans", "*", "soak", "holdback"), "above 0 and below 1", lambda x: 0 < x < 1),
    Range(("plans", "*", "warm", "share"), "above 0 and at most 1, a share of the units", lambda x: 0 < x <= 1),
    Range(("plans", "*", "warm", "usd_per_day"), "above 0 and at most 1000000", lambda x: 0 < x <= 1e6),
    Range(("plans", "*", "guards", "*", "margin_ratio"), "above 1 and at most 100: 1.5 allows half as much again", lambda x: 1 < x <= 100),
    Range(("plans", "*", "guards", "*", "margin_abs"), _SHARE, _proper_share),
    Range(("plans", "*", "guards", "*", "tolerance_ratio"), "from 1 to 10: 1.05 lets a value be 5 % worse", lambda x: 1 <= x <= 10),
)

_POSITIVE: tuple[Path, ...] = (
    ("plans", "*", "baseline", "max_age"),
    ("plans", "*", "shadow", "at_most"),
    ("plans", "*", "canary", "steps", "*", "at_least"),
    ("plans", "*", "canary", "at_most"),
    ("plans", "*", "soak", "at_least"),
    ("plans", "*", "drill", "every"),
    ("plans", "*", "guards", "*", "matures"),
)
_DURATIONS: tuple[Path, ...] = (
    *_POSITIVE,
    ("plans", "*", "shadow", "at_least"),
)


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def seconds_of(table: object, key: str, default: float | None = None) -> float | None:
    """A duration of a table; the default where the key is absent, None where it cannot be read."""
    if not isinstance(table, dict) or key not in table:
        return default
    try:
        return parse_duration(table[key])
    except (ValueError, TypeError):
        return None


def _ranges(data: Data) -> Iterator[Finding]:
    for row in RANGES:
        for path, value in select(data, row.pattern):
            number = _number(value)
            if number is not None and not row.holds(number):
                yield Finding(path, f"{dotted(path)} out of range: {shown(value)}", f"write a number {row.says}")


def _fresh_runs(data: Data) -> Iterator[Finding]:
    """So few fresh runs that not even a prompt which stable always passes and the candidate never could be called lost."""
    for path, stage in tables(data, "plans", "*", "baseline"):
        confirm, fdr = (_number(stage.get(key, getattr(BaselineStage(), key))) for key in ("confirm", "fdr"))
        if confirm is None or fdr is None or confirm < 1 or not 1e-9 < fdr < 1:
            continue
        least = least_runs(min(ALPHA_FLIPS, fdr))
        if confirm < least:
            key = "confirm" if "confirm" in stage else "fdr"
            hint = f"write confirm = {least} or more (20 by default): at fdr = {fdr:g} fewer runs of either version are never significant"
            yield Finding((*path, key), f"too few fresh runs to confirm that any prompt is lost: `{confirm:g}`", hint)


def _durations(data: Data) -> Iterator[Finding]:
    for pattern in _DURATIONS:
        for path, value in strings(data, *pattern):
            seconds = seconds_of({"at": value}, "at")
            if seconds is not None and (seconds > _LONGEST or (seconds == 0 and pattern in _POSITIVE)):
                yield Finding(path, f"{dotted(path)} out of range: {shown(value)}", "write more than nothing and at most ten years (3660d)")


def _canary_windows(data: Data) -> Iterator[Finding]:
    for path, canary in tables(data, "plans", "*", "canary"):
        steps = _steps(canary)
        times = [seconds_of(step, "at_least") for step in steps] if steps is not None else [s.at_least for s in CanaryStage().steps]
        most = seconds_of(canary, "at_most", CanaryStage().at_most)
        known = [t for t in times if t is not None]
        if most is not None and len(known) == len(times) and most < sum(known):
            key = "at_most" if "at_most" in canary else "steps"
            hint = f"the steps take {show_duration(sum(known))} at least: write an at_most that is no shorter"
            yield Finding((*path, key), f"{dotted(path)} ends before its steps can: `{show_duration(most)}`", hint)


def _steps(canary: dict[str, Any]) -> list[Any] | None:
    steps = canary.get("steps")
    return steps if isinstance(steps, list) else None


def _first_window(data: Data) -> Iterator[Finding]:
    for path, plan in tables(data, "plans", "*"):
        for at, first in tables(plan, "canary", "steps", "*"):
            seconds = seconds_of(first, "at_least")
            if at[-1] == 0 and seconds is not None and 0 < seconds < SAFE_WINDOW and plan.get("unsafe_short_windows") is not True:
                hint = 'write at_least = "48h" or more, or unsafe_short_windows = true in the plan: every decision will then say so'
                yield Finding(
                    (*path, *at, "at_least"),
                    f"the first canary step is under 48h, too short to see a whole day twice: {shown(first['at_least'])}",
                    hint,
                )


def _growing(data: Data) -> Iterator[Finding]:
    for path, canary in tables(data, "plans", "*", "canary"):
        steps = _steps(canary)
        if steps == []:
            yield Finding(
                (*path, "steps"),
                f"{dotted((*path, 'steps'))} is empty: `[]`",
                'write at least one step, like { share = 0.05, at_least = "48h" }',
            )
        shares = [_number(step.get("share")) if isinstance(step, dict) else None for step in steps or ()]
        for i in range(1, len(shares)):
            before, share = shares[i - 1], shares[i]
            if before is not None and share is not None and share <= before:
                hint = f"the step before has {before:g}: a ramp only grows, a candidate that worsens is rolled back"
                yield Finding((*path, "steps", i, "share"), f"canary steps must grow: {shown(share)}", hint)


PLAN_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (
    _ranges,
    _fresh_runs,
    _durations,
    _canary_windows,
    _first_window,
    _growing,
    drills,
    ways_back,
    freezes,
)
"""The rules for plans but their guards, in the order of the file."""
