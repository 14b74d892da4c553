"""The journal as the record of a shadow: live answers of stable with the answers that were mirrored beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_, update

from detent import reading
from detent.grading.recorded import RecordedPair, Side
from detent.store.database import Database
from detent.store.rows import rows_in
from detent.store.schema import MIRRORED, UNGRADED, bodies, legs
from detent.terms import Arm, Endpoint, Outcome, Role

RARE = "rare"
"""Why a mirrored leg was sent whose unit the share had not drawn: its stratum is rare."""

_AT_ONCE = 500

_LEG = (
    *(legs.c.leg, legs.c.at_us, legs.c.exchange, legs.c.role, legs.c.arm_served, legs.c.why, legs.c.rollout, legs.c.result_us),
    *(legs.c.outcome, legs.c.status, legs.c.error, legs.c.unit, legs.c.endpoint, legs.c.template),
)


class Mirrored:
    """Pairs of a rollout, as they were recorded, and which of them were graded.

    Asked in several plain questions: to plan one that joins all legs and bodies of an exchange, PostgreSQL takes a tenth of a second where
    the journal has a month of days.
    """

    _db: Database

    def ungraded_pairs(self, rollout: str, *, limit: int) -> list[RecordedPair]:
        """At most `limit` mirrored exchanges that are not graded yet and whose legs all have a result, in the order of completion.

        One whose live leg is not on record yet is waited for, as its gateway's spool may be read later than that of who mirrors; so is a
        second answer of stable's. There is no cursor: what comes late is found as well, until `mark_graded` says that it was.
        """
        waiting = select(legs.c.result_us, legs.c.leg, legs.c.exchange).where(
            legs.c.rollout == rollout, UNGRADED, legs.c.result_us.is_not(None)
        )
        page = waiting.order_by(legs.c.result_us, legs.c.leg).limit(max(limit, _AT_ONCE))
        found: list[RecordedPair] = []
        with self._db.read() as c:
            after: tuple[int, str] | None = None
            while len(found) < limit:
                rows = c.execute(page if after is None else page.where(tuple_(legs.c.result_us, legs.c.leg) > after)).all()
                if not rows:
                    break
                after = (rows[-1].result_us, rows[-1].leg)
                mine = {row.leg for row in rows}
                found += (pair for leg, pair in _pairs(c, {row.exchange for row in rows}, rollout, settled=True) if leg in mine)
        return found[:limit]

    def recorded_pairs(self, rollout: str, exchanges: Collection[str]) -> list[RecordedPair]:
        """These mirrored exchanges, graded or not, by exchange; those that are not on record, or without bodies, are left out."""
        wanted = list(exchanges)
        with self._db.read() as c:
            found = [
                pair
                for start in range(0, len(wanted), _AT_ONCE)
                for _, pair in _pairs(c, wanted[start : start + _AT_ONCE], rollout, settled=False)
            ]
        return sorted(found, key=lambda pair: pair.exchange)

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
        ended = select(legs.c.leg, legs.c.at_us, legs.c.exchange).where(legs.c.rollout == rollout, UNGRADED, legs.c.result_us.is_not(None))
        unkept: list[Any] = []
        with self._db.read() as c:
            rows = c.execute(ended).all()
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                theirs = legs.c.exchange.in_({row.exchange for row in some})
                live = c.execute(select(*_LEG).where(theirs, legs.c.role == Role.SERVED.value)).all()
                kept = _bodies(c, live)
                there = {leg.exchange for leg in live} - {
                    leg.exchange for leg in live if leg.leg in kept and kept[leg.leg].request is not None
                }
                unkept += (row for row in some if row.exchange in there)
        if not unkept:
            return 0
        mark = update(legs).where(legs.c.leg == bindparam("b_leg"), legs.c.at_us == bindparam("b_at_us"), UNGRADED).values(graded=True)
        with self._db.write() as c:
            c.execute(mark, [{"b_leg": row.leg, "b_at_us": row.at_us} for row in unkept])
        return len(unkept)


def _pairs(c: Connection, exchanges: Collection[str], rollout: str, *, settled: bool) -> list[tuple[str, RecordedPair]]:
    """The pairs of these exchanges whose live leg and bodies are there, each with its mirrored leg, in the order of completion.

    `settled`: those alone whose other legs have ended as well.
    """
    of: defaultdict[str, list[Any]] = defaultdict(list)
    for row in c.execute(select(*_LEG).where(legs.c.exchange.in_(exchanges))):
        of[row.exchange].append(row)
    kept = _bodies(c, [leg for theirs in of.values() for leg in theirs])
    found = []
    for theirs in of.values():
        for candidate in theirs:
            if candidate.role != Role.MIRRORED.value or candidate.rollout != rollout or candidate.result_us is None:
                continue
            if candidate.arm_served != Arm.CANDIDATE.value:
                continue
            live = next((leg for leg in theirs if leg.role == Role.SERVED.value and leg.arm_served == Arm.STABLE.value), None)
            if live is None or live.outcome is None or live.leg not in kept or kept[live.leg].request is None:
                continue
            second = next((leg for leg in theirs if leg.role == Role.MIRRORED.value and leg.arm_served == Arm.STABLE.value), None)
            if settled and (live.result_us is None or (second is not None and second.result_us is None)):
                continue
            found.append((candidate, _pair(candidate, live, second, kept)))
    found.sort(key=lambda one: (one[0].result_us, one[0].leg))
    return [(leg.leg, pair) for leg, pair in found]


def _bodies(c: Connection, of: Sequence[Any]) -> dict[str, Any]:
    """What was kept of these legs, by leg."""
    if not of:
        return {}
    query = select(bodies.c.leg, bodies.c.request, bodies.c.answer)
    if c.dialect.name != "sqlite":
        query = query.where(bodies.c.at_us.between(min(leg.at_us for leg in of), max(leg.at_us for leg in of)))
    return {row.leg: row for row in rows_in(c, query, bodies.c.leg, [leg.leg for leg in of])}


def _pair(candidate: Any, live_leg: Any, second_leg: Any | None, kept: Mapping[str, Any]) -> RecordedPair:
    def answer(leg: Any) -> bytes | None:
        return kept[leg.leg].answer if leg.leg in kept else None

    live = _side(live_leg.outcome, live_leg.status, answer(live_leg), live_leg.error)
    if live.outcome is Outcome.LOST and live.answer is not None:
        # Only what stable answered in full is mirrored: its gateway was killed between that and writing it down, and the answer is here.
        live = Side(outcome=Outcome.COMPLETE, status=200, answer=live.answer)
    second = None
    if second_leg is not None and second_leg.outcome is not None:
        second = _side(second_leg.outcome, second_leg.status, answer(second_leg), second_leg.error)
    return RecordedPair(
        rollout=candidate.rollout,
        exchange=candidate.exchange,
        at_us=max(candidate.result_us, (second_leg.result_us or 0) if second_leg is not None else 0),
        asked_us=live_leg.at_us,
        unit=live_leg.unit,
        endpoint=Endpoint(live_leg.endpoint),
        request=kept[live_leg.leg].request,
        template=live_leg.template,
        drawn=candidate.why != RARE,
        stable=live,
        candidate=_side(candidate.outcome, candidate.status, answer(candidate), candidate.error),
        second=second,
    )


def _side(outcome: str, status: int | None, answer: bytes | None, said: str | None) -> Side:
    return Side(outcome=Outcome(outcome), status=status, answer=reading.kept_answer(answer or b""), said=said or "")
