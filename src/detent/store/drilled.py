"""The journal as a drill reads it: how the way back has answered real requests, and the pinned version meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from statistics import median
from typing import Any

from sqlalchemy import and_, func, or_, select

from detent.circuit import PATIENCE_S
from detent.drill import WINDOW, Answers, Kind, kind_of, step_of
from detent.store.database import Database
from detent.store.schema import legs
from detent.terms import DrillReport, Outcome, Role, micros, utc

TIMED = 1_000
"""How many of the latest good answers are taken for how long they take."""

_SKEW_US = 60_000_000
"""How far the clock of a gateway may lag behind the writer of the flag; the flag's revision says which legs are the drill's."""


_LAG_US = 30_000_000
"""So long after it was sent a request that has no answer hangs, whatever else the journal has heard of."""


class Drilled:
    """What a drill is judged by."""

    _db: Database

    def drill_answers(self, report: DrillReport, now: datetime) -> Answers:
        """The answers to real requests of its route since its traffic was moved. A version that was not sent for has none.

        A request without a first byte for longer than `PATIENCE_S`, and four times what the pinned version takes, has failed: it hangs.
        """
        written, back = step_of(report, "written"), step_of(report, "return_written")
        if written is None:
            return Answers()
        sent = (
            legs.c.route == report.route,
            legs.c.at_us >= micros(written.at) - _SKEW_US,
            legs.c.revision >= report.revision,
            legs.c.role == Role.SERVED.value,
        )
        of_route = (*sent, legs.c.outcome.is_not(None))
        version = (legs.c.provider == report.version.provider, legs.c.model == report.version.model)
        ours = (*of_route, legs.c.why == "drill", *version)
        usual = [*of_route, legs.c.why != "drill"]
        if back is not None:
            usual.append(legs.c.at_us <= micros(back.at))
        sums = (legs.c.outcome, legs.c.status, func.count().label("n"), func.min(legs.c.result_us).label("first_us"))
        each = select(legs.c.outcome, legs.c.status).where(*ours).limit(WINDOW)
        timed = select(legs.c.latency_s).where(legs.c.outcome == Outcome.COMPLETE.value, legs.c.latency_s.is_not(None))
        timed = timed.order_by(legs.c.at_us.desc()).limit(TIMED)
        with self._db.read() as c:
            rows = c.execute(select(*sums).where(*ours).group_by(legs.c.outcome, legs.c.status)).all()
            others = c.execute(select(*sums).where(*usual).group_by(legs.c.outcome, legs.c.status)).all()
            early = c.execute(each.order_by(legs.c.at_us, legs.c.leg)).all()
            late = c.execute(each.order_by(legs.c.at_us.desc(), legs.c.leg.desc())).all()
            seconds, usual_seconds = list(c.scalars(timed.where(*ours))), list(c.scalars(timed.where(*usual)))
            patience_us = int(1e6 * max(PATIENCE_S, 4.0 * median(usual_seconds or [0.0])))
            newest_us = c.scalar(select(func.max(legs.c.at_us)).where(*sent)) or 0
            # What is open by the journal's own time: one that lags behind has requests without their answers.
            open_since_us = max(newest_us, micros(now) - _LAG_US) - patience_us
            hangs = or_(
                and_(legs.c.outcome.is_(None), legs.c.at_us <= open_since_us),
                and_(legs.c.outcome == Outcome.CLIENT_ABORTED.value, legs.c.result_us - legs.c.at_us > patience_us),
            )
            drilled = (*sent, legs.c.why == "drill", *version, legs.c.first_byte_s.is_(None))
            hung, first_hung_us = c.execute(select(func.count(), func.min(legs.c.at_us)).where(*drilled, hangs)).one()
            waiting = (*drilled, legs.c.outcome.is_(None), legs.c.at_us > open_since_us)
            n_waiting = c.scalar(select(func.count()).select_from(legs).where(*waiting)) or 0
        counted, firsts = _by_kind(rows)
        if hung:
            at = utc(first_hung_us + patience_us)
            firsts["failed"] = min(at, firsts.get("failed", at))
        of_others, _ = _by_kind(others)
        return Answers(
            served=counted["served"],
            failed=counted["failed"] + hung,
            hung=hung,
            waiting=n_waiting,
            over_quota=counted["over_quota"],
            early=_failures(early) + (hung if len(early) < WINDOW else 0),
            late=min(WINDOW, _failures(late) + hung),
            first_served_at=firsts.get("served"),
            first_failed_at=firsts.get("failed"),
            first_over_quota_at=firsts.get("over_quota"),
            latency_s=median(seconds) if seconds else None,
            usual_served=of_others["served"],
            usual_failed=of_others["failed"] + of_others["over_quota"],
            usual_latency_s=median(usual_seconds) if usual_seconds else None,
        )


def _by_kind(rows: Iterable[Any]) -> tuple[Counter[Kind], dict[Kind, datetime]]:
    """How many answers of each kind, and when the first of each was there."""
    counted, firsts = Counter[Kind](), dict[Kind, datetime]()
    for row in rows:
        kind = kind_of(Outcome(row.outcome), row.status)
        if kind is None:
            continue
        counted[kind] += row.n
        if row.first_us is not None:
            first = utc(row.first_us)
            firsts[kind] = min(first, firsts.get(kind, first))
    return counted, firsts


def _failures(rows: Iterable[Any]) -> int:
    return sum(kind_of(Outcome(row.outcome), row.status) == "failed" for row in rows)
