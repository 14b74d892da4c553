"""How long a rollout has served: the seconds in which a controller looked after it, and no clock's word. Pure.

A clock that is set forward, or runs fast, or a server that was off for a night, serves no time; a clock that is set back takes none away.
"""

from __future__ import annotations

from datetime import datetime

from detent.terms import Plan, Rollout


def served_s(rollout: Rollout, now: datetime) -> float:
    """Seconds served in this phase and step."""
    return since_s(rollout, now, rollout.entered_at, rollout.entered_watched_s)


def canary_served_s(rollout: Rollout, now: datetime) -> float:
    """Seconds served since the canary began; 0 before. Of a rollout that has ended: until its end."""
    if rollout.canary_at is None:
        return 0.0
    return since_s(rollout, min(now, rollout.ended_at or now), rollout.canary_at, rollout.canary_watched_s)


def since_s(rollout: Rollout, now: datetime, at: datetime, watched_s: float) -> float:
    """Seconds since a moment at which the clock stood at `at` and the count of watched seconds at `watched_s`; never below 0.

    Where nobody counts (`watched_s` is None) the clock is taken at its word.
    """
    passed = (now - at).total_seconds() if rollout.watched_s is None else rollout.watched_s - watched_s
    return max(0.0, passed)


MOST_LOOKS = 30
"""Looks at the proof at the most: beyond, each has next to no alpha to spend."""


def planned_looks(plan: Plan) -> int:
    """How many looks at the proof a canary has: at the end of its first step, then each half of that step's length, until `at_most`.

    The standard plan has 13: at 48 h, then daily, to the 14th day. Once the last was taken nothing could be proved any more.
    """
    first = plan.canary.steps[0].at_least
    if first <= 0.0:
        return MOST_LOOKS
    return min(MOST_LOOKS, 1 + max(0, int((plan.canary.at_most - first) / (first / 2.0) + 1e-9)))


def minimum_window_s(plan: Plan) -> float:
    """The time that a canary of this plan serves at the least, all steps together."""
    return sum(step.at_least for step in plan.canary.steps)
