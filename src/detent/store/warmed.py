"""The journal as the record of a trickle: how ways back have answered copies of real requests."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from detent.store.database import Database
from detent.store.schema import UNGRADED, legs
from detent.terms import WARM, Outcome, Version, WarmCopy, micros, utc

LONGEST_COPY = timedelta(hours=1)
"""A copy was sent so long before it ended, at most: no call may take that long."""


class Warmed:
    """Copies outside of rollouts."""

    _db: Database

    def copies(self, route: str, version: Version, *, since: datetime, limit: int = 1000) -> list[WarmCopy]:
        """How a way back has answered copies of this route's requests, outside of rollouts: those that ended last, newest first."""
        # The index of ungraded legs has them side by side: of no rollout, and nobody ever grades them.
        of = (legs.c.rollout.is_(None), UNGRADED, legs.c.why == WARM, legs.c.result_us >= micros(since))
        about = (legs.c.route == route, legs.c.provider == version.provider, legs.c.model == version.model)
        sent = legs.c.at_us >= micros(since - LONGEST_COPY)
        columns = (legs.c.result_us, legs.c.unit, legs.c.outcome, legs.c.status, legs.c.latency_s)
        query = select(*columns).where(*of, *about, sent).order_by(legs.c.result_us.desc()).limit(limit)
        with self._db.read() as c:
            return [
                WarmCopy(at=utc(at_us), unit=unit, outcome=Outcome(outcome), status=status, latency_s=latency_s)
                for at_us, unit, outcome, status, latency_s in c.execute(query)
            ]
