"""Watched time: the seconds in which somebody looked after a rollout, which are what a phase must serve."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from detent.store.database import Database, upsert
from detent.store.schema import watched
from detent.terms import micros

CLOCKS_APART_S = 120.0
"""How far the clocks of two servers may be apart; one further behind than that was set back."""


class Watching:
    """The count of watched seconds, kept beside the rollouts: it moves no revision."""

    _db: Database

    def look_after(self, rollout_ids: Sequence[str], at: datetime, most_s: float) -> None:
        """Somebody looks after these rollouts now: the time since they were last looked after, by anybody, counts as watched.

        `most_s` of it at most: for how long the caller itself has, by a count that no clock moves. Of several callers the one whose clock
        is ahead counts, so that no second counts twice; a clock that is behind adds nothing, and one further behind than `CLOCKS_APART_S`
        was set back, and is followed.
        """
        if not rollout_ids:
            return
        now, most, apart = micros(at), round(min(max(0.0, most_s), 1e9) * 1_000_000), round(CLOCKS_APART_S * 1_000_000)

        def later(watched_us: int, last_us: int) -> dict[str, int]:
            behind = last_us - now
            return {"watched_us": watched_us + min(max(0, -behind), most), "last_us": now if behind > apart else max(last_us, now)}

        with self._db.write() as c:
            found = c.execute(select(watched).where(watched.c.rollout.in_(rollout_ids)).with_for_update())
            known = {row.rollout: (row.watched_us, row.last_us) for row in found}
            upsert(c, watched, [{"rollout": rollout, **later(*known.get(rollout, (0, now)))} for rollout in rollout_ids])
