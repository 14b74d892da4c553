"""When a route's next drill is due, and what a drill that is overdue or failed keeps from opening. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cronsim import CronSim

from detent.drill import saw_nothing
from detent.terms import Drill, DrillReport, Version, Waiver, show_duration

LATE = 1.1
"""A drill is overdue beyond `every` and a tenth of it."""

AGAIN_S = 86400.0
"""When the schedule tries again what was aborted, or saw no traffic. What failed is for a person to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What is known of a route's rehearsals: its way back since `since`, the drills of that version that have ended, newest first."""

    route: str
    version: Version
    since: datetime
    ended: tuple[DrillReport, ...] = ()
    waiver: Waiver | None = None


def due(drill: Drill, known: Rehearsed, looked_at: datetime, now: datetime) -> bool:
    """Whether the schedule begins a drill now: a moment of `at` came since it was last looked, and the next one would be too late.

    Too late is after `every`, counted from the last drill that passed or from when the way back came to be. A drill that was aborted or
    saw no traffic is tried again after a day; one that failed is not: nothing was mended since, and a person is told.
    """
    last = known.ended[0] if known.ended else None
    if last is not None and last.verdict == "failed":
        return False
    if last is not None and saw_nothing(last) and (now - last.began_at).total_seconds() < min(AGAIN_S, drill.every):
        return False
    moments = CronSim(drill.at, looked_at)
    first = next(moments, None)
    if first is None or first > now:
        return False
    following = next(CronSim(drill.at, now), None)
    return following is None or following > _rehearsed_at(known) + timedelta(seconds=drill.every)


def blocked(drill: Drill | None, known: Rehearsed, now: datetime) -> tuple[str, str] | None:
    """Why no new rollout of the route opens, as a code and a sentence: its drill is overdue, or failed; None where one may.

    A way back that came to be less than `every` ago is not overdue, nor is any where no drill is scheduled. Its latest failure blocks until
    a drill passes or somebody waives it by name; one that was aborted or saw no traffic says nothing.
    """
    if known.waiver is not None and known.waiver.until_at > now:
        failed_since = [one for one in known.ended if one.verdict == "failed" and one.began_at > known.waiver.at]
        if not failed_since:
            return None
    told = next((one for one in known.ended if one.verdict in ("passed", "failed")), None)
    if told is not None and told.verdict == "failed":
        when = f"{told.ended_at:%Y-%m-%d %H:%M}" if told.ended_at else "just now"
        return "DrillFailed", f"the last drill of its way back to {known.version}, of {when} UTC, failed: {told.why}"
    if drill is None:
        return None
    late_at = _rehearsed_at(known) + timedelta(seconds=LATE * drill.every)
    if now > late_at:
        last = (
            f"was rehearsed last on {told.ended_at:%Y-%m-%d}"
            if told and told.ended_at
            else f"was never rehearsed since {known.since:%Y-%m-%d}"
        )
        return "DrillOverdue", f"its way back to {known.version} {last}; the plan asks for a drill every {show_duration(drill.every)}"
    return None


def _rehearsed_at(known: Rehearsed) -> datetime:
    passed = [one.ended_at for one in known.ended if one.verdict == "passed" and one.ended_at is not None]
    return max((known.since, *passed))
