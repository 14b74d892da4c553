"""The journal as the record of a shadow: live answers of stable with the answers that were mirrored beside them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, and_, exists, or_, select, update

from detent import reading
from detent.grading.recorded import RecordedPair, Side
from detent.store.database import Database
from detent.store.rows import rows_in
from detent.store.schema import MIRRORED, UNGRADED, bodies, legs
from detent.terms import Arm, Endpoint, Outcome, Role

RARE = "rare"
"""Why a mirrored leg was sent whose unit the share had not drawn: its stratum is rare."""

_AT_ONCE = 500

_LIVE, _SECOND = legs.alias("live"), legs.alias("second")
_KEPT, _OF_CANDIDATE, _OF_SECOND = bodies.alias("kept"), bodies.alias("of_candidate"), bodies.alias("of_second")
_IS_SECOND = and_(_SECOND.c.exchange == legs.c.exchange, _SECOND.c.role == Role.MIRRORED.value, _SECOND.c.arm_served == Arm.STABLE.value)
_IS_LIVE = and_(_LIVE.c.exchange == legs.c.exchange, _LIVE.c.role == Role.SERVED.value)


class Mirrored:
    """Pairs of a rollout, as they were recorded, and which of them were graded."""

    _db: Database

    def ungraded_pairs(self, rollout: str, *, limit: int) -> list[RecordedPair]:
        """At most `limit` mirrored exchanges that are not graded yet and whose legs all have a result, in the order of completion.

        One whose live leg is not on record yet is waited for, as its gateway's spool may be read later than that of who mirrors; so is a
        second answer of stable's. There is no cursor: what comes late is found as well, until `mark_graded` says that it was.
        """
        ready = (legs.c.rollout == rollout, UNGRADED, legs.c.result_us.is_not(None), _LIVE.c.result_us.is_not(None))
        settled = or_(_SECOND.c.leg.is_(None), _SECOND.c.result_us.is_not(None))
        query = _pairs().where(*ready, settled).order_by(legs.c.result_us, legs.c.leg).limit(limit)
        with self._db.read() as c:
            return [_pair(row) for row in c.execute(query)]

    def recorded_pairs(self, rollout: str, exchanges: Collection[str]) -> list[RecordedPair]:
        """These mirrored exchanges, graded or not, by exchange; those that are not on record, or without bodies, are left out."""
        query = _pairs().where(legs.c.rollout == rollout, MIRRORED, legs.c.result_us.is_not(None))
        with self._db.read() as c:
            return sorted((_pair(row) for row in rows_in(c, query, legs.c.exchange, exchanges)), key=lambda pair: pair.exchange)

    def mark_graded(self, rollout: str, exchanges: Collection[str]) -> None:
        """Remember that these exchanges were graded. Call it once their pairs are stored: after a kill between, they are graded again."""
        wanted = list(exchanges)
        with self._db.write() as c:
            for start in range(0, len(wanted), _AT_ONCE):
                theirs = legs.c.exchange.in_(wanted[start : start + _AT_ONCE])
                c.execute(update(legs).where(theirs, MIRRORED, legs.c.rollout == rollout).values(graded=True))

    def pass_over_unkept(self, rollout: str) -> int:
        """Mark the mirrored legs of which nothing can be graded, since no bodies were kept, and say how many they are.

        Their pairs come from who mirrors, or never: the bodies of a live answer are written before the results of its mirrored legs.
        """
        live = exists(select(_LIVE.c.leg).where(_IS_LIVE).correlate(legs))
        bodies_of_live = select(_KEPT.c.leg).join(_LIVE, _LIVE.c.leg == _KEPT.c.leg).where(_IS_LIVE, _KEPT.c.request.is_not(None))
        unkept = (legs.c.rollout == rollout, UNGRADED, legs.c.result_us.is_not(None), live, ~exists(bodies_of_live.correlate(legs)))
        with self._db.write() as c:
            return c.execute(update(legs).where(*unkept).values(graded=True)).rowcount


def _pairs() -> Select[Any]:
    """The candidate's mirrored legs with all that belongs to each."""
    return (
        select(
            legs.c.rollout,
            legs.c.exchange,
            legs.c.why,
            legs.c.result_us,
            legs.c.outcome,
            legs.c.status,
            legs.c.error,
            _OF_CANDIDATE.c.answer,
            _LIVE.c.at_us.label("asked_us"),
            _LIVE.c.unit,
            _LIVE.c.endpoint,
            _LIVE.c.template,
            _LIVE.c.outcome.label("live_outcome"),
            _LIVE.c.status.label("live_status"),
            _LIVE.c.error.label("live_error"),
            _KEPT.c.request.label("request"),
            _KEPT.c.answer.label("live_answer"),
            _SECOND.c.result_us.label("second_us"),
            _SECOND.c.outcome.label("second_outcome"),
            _SECOND.c.status.label("second_status"),
            _SECOND.c.error.label("second_error"),
            _OF_SECOND.c.answer.label("second_answer"),
        )
        .select_from(legs)
        .join(_LIVE, _IS_LIVE)
        .join(_KEPT, _KEPT.c.leg == _LIVE.c.leg)
        .outerjoin(_OF_CANDIDATE, _OF_CANDIDATE.c.leg == legs.c.leg)
        .outerjoin(_SECOND, _IS_SECOND)
        .outerjoin(_OF_SECOND, _OF_SECOND.c.leg == _SECOND.c.leg)
        .where(legs.c.arm_served == Arm.CANDIDATE.value, _LIVE.c.arm_served == Arm.STABLE.value, _KEPT.c.request.is_not(None))
    )


def _pair(row: Any) -> RecordedPair:
    live = _side(row.live_outcome, row.live_status, row.live_answer, row.live_error)
    if live.outcome is Outcome.LOST and live.answer is not None:
        # Only what stable answered in full is mirrored: its gateway was killed between that and writing it down, and the answer is here.
        live = Side(outcome=Outcome.COMPLETE, status=200, answer=live.answer)
    second = None
    if row.second_outcome is not None:
        second = _side(row.second_outcome, row.second_status, row.second_answer, row.second_error)
    return RecordedPair(
        rollout=row.rollout,
        exchange=row.exchange,
        at_us=max(row.result_us, row.second_us or 0),
        asked_us=row.asked_us,
        unit=row.unit,
        endpoint=Endpoint(row.endpoint),
        request=row.request,
        template=row.template,
        drawn=row.why != RARE,
        stable=live,
        candidate=_side(row.outcome, row.status, row.answer, row.error),
        second=second,
    )


def _side(outcome: str, status: int | None, answer: bytes | None, said: str | None) -> Side:
    return Side(outcome=Outcome(outcome), status=status, answer=reading.kept_answer(answer or b""), said=said or "")
