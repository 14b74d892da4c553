"""The default guards fitted to a route: without what its traffic never carries, with what its app says. Guards and past in, guards out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from detent.manifest.defaults import DEFAULT_GUARDS
from detent.terms import METRIC_NAMES, Guard, Past, PastMetric, show_duration

ENOUGH_UNITS = 200
"""Units without a single one that asks for JSON, after which a route is taken for one that never does."""

ONLY_WITH_JSON: tuple[str, ...] = ("parse_error", "keys_missing")
"""Default guards that say nothing on a route that never asks for JSON; a proving one among them would keep everything from promotion."""

_HALF_HOUR = 1800.0

SAID_BY_THE_APP: tuple[Guard, ...] = (
    Guard(metric="thumbs_down", margin_ratio=1.5, matures=_HALF_HOUR),
    Guard(metric="not_done", margin_ratio=1.5, matures=_HALF_HOUR),
    Guard(metric="parse_failed", margin_ratio=1.5, matures=_HALF_HOUR),
    Guard(metric="abandoned", margin_ratio=1.5, matures=_HALF_HOUR),
)
"""Guards that join the default ones where the route's app says such things."""

LEAST_HEARD = 30
LEAST_SHARE_HEARD = 0.01
"""Units of which an app has said something, and their share, from which on that is guarded: a guard that hears nothing blocks
promotion, and a stray entry from somebody's trial is no habit.
"""

LEAST_DIFFERENCE = 0.001
"""A rate may be worse by half or by this much, whichever is more. Half as much again of almost nothing can't be shown by any traffic, and a
route that never fails could never be promoted.
"""

USUALLY_SLOW = 0.02
"""Share of units without an answer within the seconds of `hard_failure`, above which that is how the route works and no failure."""

_GAP_SHORTEST, _GAP_LONGEST = 120.0, 86400.0

_LASTING = 1.2
_LONGEST_READ = _HALF_HOUR
"""Events of a unit are counted until it has had time to end, the usual time and a fifth more; but nobody waits longer than this."""

_MINUTE_S = 60.0


def guards_to_look_for(guards: Sequence[Guard]) -> tuple[Guard, ...]:
    """The guards that a route's past is folded for before they are fitted: the plan's own, and those that may join them."""
    named = {guard.metric for guard in guards}
    return (*guards, *(guard for guard in SAID_BY_THE_APP if guard.metric not in named))


def fitted_guards(guards: Sequence[Guard], past: Past) -> tuple[Guard, ...]:
    """The default guards as they suit this past; guards that a team wrote itself are left as they are.

    Guards on JSON go where at least `ENOUGH_UNITS` units are on record and none asked for it. Feedback that the app is used to send is
    guarded: thumbs-down, answers it could not use, users who gave up, and tasks of which it does not say in their usual time, half as much
    again, that they are done. Where what must be proved hardly ever happens, the margin is a difference. Events are counted until a unit
    is usually over. `hard_failure` is observed where long answers are the rule. At least one proving guard is left.
    """
    if tuple(guards) != DEFAULT_GUARDS:
        return tuple(guards)
    silent = {metric for metric in ONLY_WITH_JSON if past.units >= ENOUGH_UNITS and _known(past, metric).heard == 0}
    joining = tuple(_given_up_on(guard, past) for guard in SAID_BY_THE_APP if _is_said(past, guard.metric))
    return (*(_fitted(guard, past) for guard in guards if guard.metric not in silent), *joining)


def may_be_fitted(guards: Sequence[Guard], fitted: Sequence[Guard]) -> bool:
    """Whether a plan that was opened with `fitted` may be one whose file has `guards`: the same, or the default ones made to fit."""
    if tuple(guards) != DEFAULT_GUARDS:
        return tuple(guards) == tuple(fitted)
    default = {guard.metric: guard for guard in DEFAULT_GUARDS}
    joining = {guard.metric for guard in SAID_BY_THE_APP}
    return all(_may_come_from(default[g.metric], g) if g.metric in default else g.metric in joining for g in fitted)


def _may_come_from(default: Guard, fitted: Guard) -> bool:
    """Whether this default guard may have been fitted so."""
    if fitted.metric == "hard_failure":
        return fitted in (default, replace(default, role="observe"))
    longer = _counts_events(default) and default.matures <= fitted.matures <= max(default.matures, _LONGEST_READ)
    timed = replace(default, matures=fitted.matures) if longer else default
    return fitted == timed or (default.role == "prove" and fitted == replace(timed, margin_ratio=None, margin_abs=LEAST_DIFFERENCE))


def _known(past: Past, metric: str) -> PastMetric:
    return past.metrics.get(metric, PastMetric())


def _is_said(past: Past, metric: str) -> bool:
    """Whether the app says this by habit. That a task is done says that nobody gave up on it, but not that the app would say so."""
    known = _known(past, metric)
    spoken = metric != "abandoned" or known.events > 0
    return spoken and known.heard >= max(LEAST_HEARD, LEAST_SHARE_HEARD * past.units)


def _fitted(guard: Guard, past: Past) -> Guard:
    if guard.metric == "hard_failure":
        known = _known(past, guard.metric)
        usual = known.units >= ENOUGH_UNITS and known.events > USUALLY_SLOW * known.units
        return replace(guard, role="observe") if usual else guard
    return _of_rare(_until_over(guard, past), past)


def _counts_events(guard: Guard) -> bool:
    """Whether it reads "any event of the unit until its maturity": a window that ends in mid-session finds fewer in a slow one."""
    return METRIC_NAMES[guard.metric].kind == "rate" or METRIC_NAMES[guard.metric].level == "session"


def _until_over(guard: Guard, past: Past) -> Guard:
    """In whole minutes, since people read it."""
    if past.lasts_s is None or not _counts_events(guard):
        return guard
    over_s = 60.0 * math.ceil(_LASTING * past.lasts_s / 60.0 - 1e-9)
    return replace(guard, matures=max(guard.matures, min(over_s, _LONGEST_READ)))


def _of_rare(guard: Guard, past: Past) -> Guard:
    known = _known(past, guard.metric)
    if guard.role != "prove" or guard.margin_ratio is None or known.units < ENOUGH_UNITS:
        return guard
    more = (guard.margin_ratio - 1.0) * (known.events + 0.5) / (known.units + 1)
    return guard if more >= LEAST_DIFFERENCE else replace(guard, margin_ratio=None, margin_abs=LEAST_DIFFERENCE)


def _given_up_on(guard: Guard, past: Past) -> Guard:
    """A task that is not said to be done is given up on after its usual gap and half of that again."""
    if guard.metric != "not_done" or past.done_after_s is None:
        return guard
    return replace(guard, matures=min(max(1.5 * past.done_after_s, _GAP_SHORTEST), _GAP_LONGEST))


def describe_fitting(before: Sequence[Guard], fitted: Sequence[Guard]) -> str:
    """`fitted to the route's traffic: without parse_error; with thumbs_down; error + 0.001; …`; empty where nothing changed."""
    were, are = {g.metric: g for g in before}, {g.metric: g for g in fitted}
    gone, new = [m for m in were if m not in are], [m for m in are if m not in were]
    parts = [f"{word} {', '.join(metrics)}" for word, metrics in (("without", gone), ("with", new)) if metrics]
    both = [(were[m], g) for m, g in are.items() if m in were]
    parts += [f"{now.metric} + {now.margin_abs:g}" for was, now in both if now.margin_abs is not None and now.margin_abs != was.margin_abs]
    parts += [
        f"{now.metric} only observed, because it is usual on stable" for was, now in both if now.role == "observe" and was.role != "observe"
    ]
    longer: dict[float, list[str]] = {}
    for was, now in both:
        if now.matures > was.matures:
            longer.setdefault(now.matures, []).append(now.metric)
    parts += [f"read after {show_duration(s)}, when most sessions are over: {', '.join(metrics)}" for s, metrics in longer.items()]
    return f"fitted to the route's traffic: {'; '.join(parts)}" if parts else ""


# ── how much traffic there is ───────────────────────────────────────────────────────────────────────────────────────


def with_hourly(past: Past, legs_by_minute: Mapping[int, int], now_us: int) -> Past:
    """The past with the units an hour that these legs (by the minute of their sending, in microseconds) come to until now.

    The latest units, on a busy route, are all of one hour, and a canary lasts days; and a route that had a few at once and none since has
    little traffic. The first of the legs may have been sent at the end of its minute.
    """
    begun_us = min(legs_by_minute, default=now_us)
    span_s = max((now_us - begun_us) / 1e6 - _MINUTE_S, min(past.seconds, (now_us - begun_us) / 1e6))
    if not span_s > 0.0 or not past.legs:
        return past
    per_hour = sum(legs_by_minute.values()) / span_s * 3600.0
    return replace(past, hourly=per_hour * past.units / past.legs, counted_s=span_s)
