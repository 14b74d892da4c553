"""The journal: one row per leg, sampled bodies, feedback. It answers "why"; no gate reads it for a safety decision.

A row is made by a leg's intent and completed by its result; `outcome` is null in between. Putting what is there already changes nothing.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError

from detent.evidence.units import UnitKey
from detent.store.database import Database, insert_missing, upsert
from detent.store.drilled import Drilled
from detent.store.history import History
from detent.store.mirrored import Mirrored
from detent.store.places import Places, legs_in, no_room, settle
from detent.store.recordings import Recordings
from detent.store.rows import (
    INTENT,
    begun_of,
    begun_row,
    body_row,
    feedback_row,
    intent_of,
    intent_row,
    kept_row,
    result_of,
    result_row,
    rows_in,
)
from detent.store.schema import UNRESOLVED, bodies, bodies_early, bodies_of, feedback, legs
from detent.store.warmed import Warmed
from detent.terms import Arm, Begun, Feedback, Intent, Kept, Outcome, Result, Role


@dataclass(frozen=True, slots=True)
class Recorded:
    """A leg as the journal has it: `result` is None while it isn't known; bodies are None where they were not kept or not asked for."""

    intent: Intent
    result: Result | None


@dataclass(frozen=True, slots=True)
class _Records:
    """What is put at once."""

    intents: Sequence[Intent]
    results: Sequence[Result]
    said: Sequence[Feedback]
    begun: Sequence[Begun]
    kept: Sequence[Kept]
    origins: Mapping[str, str]


class Journal(Recordings, History, Mirrored, Drilled, Warmed):
    """What happened, leg by leg; with `Recordings` (what baselines are drawn from), `History` (what a rollout is judged against),
    `Mirrored` (what a shadow is graded from) and `Drilled` (what a drill is judged by).
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._places = Places(database)

    def fenced(self, fence: Callable[[Connection], None]) -> Journal:
        """The same journal for whoever leads, each of whose writes begins with `fence`; an embedded one has no lease beside it."""
        other = copy.copy(self)
        if not self._db.sqlite:
            other._db = self._db.fenced(fence)
        return other

    def close(self) -> None:
        """Let go of all connections."""
        self._db.close()

    # ── in ──

    def put(
        self,
        intents: Sequence[Intent] = (),
        results: Sequence[Result] = (),
        said: Sequence[Feedback] = (),
        *,
        begun: Sequence[Begun] = (),
        kept: Sequence[Kept] = (),
        origins: Mapping[str, str] | None = None,
    ) -> None:
        """Keep records in one transaction. What is known of a leg stays as it is: the first intent, the first result, the first feedback.

        `begun` are first bytes: kept until the result says the same. `origins` names the spool of a leg, and the spool and position of a
        feedback, by its id. A result or a first byte without an intent is not kept.

        `kept` are the bodies of live legs for their pairs. They replace what a sample kept, whose placeholders are others than those of the
        mirrored answers, and may come before their leg's intent, out of another spool.
        """
        records = _Records(intents, results, said, begun, kept, origins or {})
        self._places.make_room(intent.at_us for intent in intents)
        try:
            self._put(records)
        except IntegrityError as error:
            if not no_room(error):
                raise
            self._places.forget()  # a day that was there has been dropped
            self._places.make_room(intent.at_us for intent in intents)
            self._put(records)
        self._places.remember(intents, results)

    def _put(self, records: _Records) -> None:
        intents, results, whence = records.intents, records.results, records.origins
        with self._db.write() as c:
            placed = self._places.find(c, intents, results, records.begun, records.kept)
            insert_missing(c, legs, [intent_row(intent, whence.get(intent.leg, "")) for intent in intents])
            settle(c, placed, intents)
            still_open = update(legs).where(
                legs.c.leg == bindparam("b_leg"), legs.c.at_us == bindparam("b_at_us"), legs.c.outcome.is_(None)
            )
            begun_rows = [begun_row(b) | {"b_at_us": placed[b.leg]} for b in records.begun if b.leg in placed]
            if begun_rows:
                c.execute(still_open.values(first_byte_s=bindparam("first_byte_s")), begun_rows)
            rows = [result_row(result) | {"b_at_us": placed[result.leg]} for result in results if result.leg in placed]
            if rows:
                c.execute(still_open.values({name: bindparam(name) for name in rows[0] if name not in {"b_leg", "b_at_us"}}), rows)
                with_bodies = {r.leg: r for r in results if r.leg in placed and (r.request_body is not None or r.answer_body is not None)}
                there = legs_in(c, {leg: placed[leg] for leg in with_bodies})
                insert_missing(c, bodies, [body_row(with_bodies[leg], at_us) for leg, at_us in there.items()])
            last_kept = {k.leg: k for k in records.kept}
            upsert(c, bodies, [kept_row(k, placed[leg]) for leg, k in last_kept.items() if leg in placed])
            upsert(c, bodies_early, [kept_row(k, k.at_us) for leg, k in last_kept.items() if leg not in placed])
            insert_missing(c, feedback, [feedback_row(f, whence.get(f.id, "")) for f in records.said])

    # ── out: for the ingester ──

    def intents(self, leg_ids: Collection[str]) -> dict[str, Intent]:
        """The intents of these legs, by leg; those that aren't there are left out."""
        columns = [legs.c[name] for name in INTENT]
        with self._db.read() as c:
            return {row.leg: intent_of(row) for row in rows_in(c, select(*columns), legs.c.leg, leg_ids)}

    def unresolved(self, spool: str) -> list[tuple[Intent, Begun | None]]:
        """Intents of a spool that have no result, or were already found lost, oldest first; and their first bytes, where those came."""
        columns = [legs.c[name] for name in (*INTENT, "first_byte_s")]
        with self._db.read() as c:
            found = c.execute(select(*columns).where(legs.c.spool == spool, UNRESOLVED).order_by(legs.c.at_us, legs.c.leg))
            return [(intent_of(row), begun_of(row)) for row in found]

    def origins(self, feedback_ids: Collection[str]) -> dict[str, str]:
        """Where each feedback was first read: a second one with the same id (a client that tried again) came from elsewhere."""
        with self._db.read() as c:
            return {row.id: row.origin for row in rows_in(c, select(feedback.c.id, feedback.c.origin), feedback.c.id, feedback_ids)}

    def targets(self, *, exchanges: Collection[str] = (), sessions: Collection[str] = ()) -> dict[str, list[UnitKey]]:
        """The units that took part in these exchanges and sessions as randomised units of a rollout, by exchange id or session hash.

        A session on two routes is two units. A session is also found as a unit of its own.
        """
        found: defaultdict[str, list[UnitKey]] = defaultdict(list)
        with self._db.read() as c:
            for column, names in ((legs.c.exchange, exchanges), (legs.c.session, sessions)):
                query = select(column.label("name"), legs.c.rollout, legs.c.unit).distinct()
                counting = (legs.c.rollout.is_not(None), legs.c.randomised, legs.c.role != Role.MIRRORED.value)
                for row in rows_in(c, query.where(*counting), column, names):
                    found[row.name].append(UnitKey(row.rollout, row.unit))
        return dict(found)

    def known(self, *, exchanges: Collection[str] = (), sessions: Collection[str] = ()) -> set[str]:
        """Which of these exchanges and sessions are on record at all."""
        with self._db.read() as c:
            return {
                row.name
                for column, names in ((legs.c.exchange, exchanges), (legs.c.session, sessions))
                for row in rows_in(c, select(column.label("name")).distinct(), column, names)
            }

    # ── out: for people, baselines and the grader ──

    def count(self, *, route: str | None = None, outcome: Outcome | None = None, pending: bool = False) -> int:
        """How many legs there are: of a route, with an outcome, or still without any (`pending`)."""
        query = select(func.count()).select_from(legs)
        if route is not None:
            query = query.where(legs.c.route == route)
        if outcome is not None:
            query = query.where(legs.c.outcome == outcome.value)
        if pending:
            query = query.where(legs.c.outcome.is_(None))
        with self._db.read() as c:
            return int(c.scalar(query) or 0)

    def exchange(self, exchange: str) -> tuple[Recorded, ...]:
        """All legs of an exchange in the order sent, with their bodies as far as they were kept."""
        query = select(legs, bodies.c.request, bodies.c.answer).outerjoin(bodies, bodies_of(legs))
        with self._db.read() as c:
            found = c.execute(query.where(legs.c.exchange == exchange).order_by(legs.c.at_us, legs.c.leg)).all()
        return tuple(Recorded(intent_of(row), result_of(row, row.request, row.answer)) for row in found)

    def latest(self, route: str, limit: int = 50) -> tuple[Recorded, ...]:
        """The newest legs of a route, newest first, without bodies."""
        query = select(legs).where(legs.c.route == route).order_by(legs.c.at_us.desc(), legs.c.leg).limit(limit)
        with self._db.read() as c:
            return tuple(Recorded(intent_of(row), result_of(row)) for row in c.execute(query))

    def served(self, routes: Collection[str]) -> dict[str, str]:
        """The model that gave the last complete answer to a caller, by route; routes without one are left out."""
        answers = select(legs.c.answered_model).where(
            legs.c.outcome == Outcome.COMPLETE.value, legs.c.role != Role.MIRRORED.value, legs.c.answered_model.is_not(None)
        )
        newest = answers.order_by(legs.c.at_us.desc()).limit(1)
        with self._db.read() as c:
            found = {route: c.scalar(newest.where(legs.c.route == route)) for route in routes}
        return {route: model for route, model in found.items() if model is not None}

    def users(self, rollout: str) -> tuple[int, int]:
        """(users that were served by the candidate, users in all) among a rollout's randomised traffic; without a user, its unit counts."""
        who = func.coalesce(legs.c.user, legs.c.unit)
        counted = select(func.count(who.distinct())).where(legs.c.rollout == rollout, legs.c.randomised, legs.c.role != Role.MIRRORED.value)
        with self._db.read() as c:
            exposed = c.scalar(counted.where(legs.c.arm_served == Arm.CANDIDATE.value))
            return exposed or 0, c.scalar(counted) or 0
