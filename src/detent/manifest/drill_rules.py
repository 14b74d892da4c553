"""What plans may say of drills and freezes. As in `rules`, each rule reads the data and skips what has the wrong shape."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from detent.freezing import window
from detent.manifest.findings import Finding, dotted, shown
from detent.manifest.rules import Data, select, strings, tables
from detent.terms import Drill, parse_duration, show_duration

_LONGEST_DRILL = 86400.0
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_FIELDS = "minute hour day-of-month month day-of-week"


def drills(data: Data) -> Iterator[Finding]:
    """How often, when, with which share and for how long."""
    for path, drill in tables(data, "plans", "*", "drill"):
        share = drill.get("share")
        if isinstance(share, int | float) and not isinstance(share, bool) and not 0.0 < share <= 1.0:
            at = (*path, "share")
            yield Finding(at, f"{dotted(at)} out of range: {shown(share)}", "write a number above 0 and at most 1: a share of the units")
        lasts, every = _seconds(drill, "lasts", Drill().lasts), _seconds(drill, "every", Drill().every)
        if lasts is not None and not 0.0 < lasts <= _LONGEST_DRILL:
            at = (*path, "lasts")
            yield Finding(at, f"{dotted(at)} out of range: {shown(drill['lasts'])}", 'write more than nothing and at most a day, like "5m"')
        elif lasts is not None and every is not None and 0.0 < every <= lasts:
            key = "every" if "every" in drill else "lasts"
            hint = f"a drill lasts {show_duration(lasts)}: write an `every` that is longer"
            yield Finding((*path, key), f"a drill would begin before the last one ends: {shown(drill[key])}", hint)
    for path, expression in strings(data, "plans", "*", "drill", "at"):
        if (wrong := _wrong(expression)) is not None:
            hint = f'write five fields, {_FIELDS}, in UTC: at = "0 3 * * 1" for Mondays at 3:00'
            yield Finding(path, f"{dotted(path)} {wrong}: {shown(expression)}", hint)


def ways_back(data: Data) -> Iterator[Finding]:
    """A way back is an id at the route's own provider; one written like a `fallback` elsewhere would be asked of the wrong one."""
    providers = data.get("providers")
    known = providers if isinstance(providers, dict) else {}
    for path, route in tables(data, "routes", "*"):
        named, version = route.get("rollback"), route.get("version")
        if not isinstance(named, str) or (isinstance(version, str) and "/" in version):  # ids with a slash exist at some providers
            continue
        prefix, slash, model = named.partition("/")
        if slash and prefix in known:
            at = (*path, "rollback")
            hint = f'a way back is at the route\'s own provider: rollback = "{model}"'
            yield Finding(at, f"{dotted(at)} names a provider: {shown(named)}", hint)


def _seconds(drill: dict[str, object], key: str, default: float) -> float | None:
    """A duration of a drill; None where it cannot be read."""
    value = drill.get(key)
    if value is None:
        return default
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _wrong(expression: str) -> str | None:
    """What is wrong with a cron expression; None where it names moments that come."""
    if len(expression.split()) != 5:  # six would have seconds
        return "is no cron expression of five fields"
    try:
        moments = CronSim(expression, _ANY_TIME)
        return None if next(moments, None) is not None else "names a moment that never comes"
    except CronSimError as error:
        return f"is no cron expression ({error})"


def freezes(data: Data) -> Iterator[Finding]:
    """Windows of whole UTC days."""
    for pattern, value in select(data, ("plans", "*", "freeze", "*")):
        if not isinstance(value, str):
            continue
        try:
            window(value)
        except ValueError as error:
            hint = 'write the first and the last day, both in it: freeze = ["2026-12-20/2027-01-04"]'
            yield Finding(pattern, f"{dotted(pattern)} {error}: {shown(value)}", hint)
