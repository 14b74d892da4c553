"""Where in the journal a record belongs: a leg's rows stand at the time it was sent, which its result does not tell.

The time is that of the leg's intent: in the same batch, in memory, or in the journal, wherever it is. It is the same each time that the
intent is read, so that putting it again finds what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, delete, exists, select, text
from sqlalchemy.exc import IntegrityError

from detent.store.database import Database, upsert
from detent.store.days import Span, days, make_days
from detent.store.rows import rows_in
from detent.store.schema import bodies, bodies_early, legs
from detent.terms import Begun, Intent, Kept, Result

OPEN_LEGS = 50_000
"""How many legs without a result are remembered by when they were sent."""

_NO_ROOM = "23514"  # SQLSTATE check_violation, which is what PostgreSQL calls a row that no partition takes
_EARLY = 0x6465_7465_6172  # advisory lock: "detear" in ASCII


class Places:
    """What one process knows of where legs are, and of the days that there is room for."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._days: frozenset[Span] | None = None
        self._sent: dict[str, int] = {}

    def make_room(self, times: Iterable[int]) -> None:
        """See to it that there is a place for legs sent at these times."""
        if self._db.sqlite or not (wanted := set(times)):
            return
        if self._days is None:
            with self._db.read() as c:
                self._days = days(c)
        # Of a batch nearly all is of one day.
        while missing := [at_us for at_us in wanted if not self._there(at_us)]:
            with self._db.write() as c:
                self._days = make_days(c, missing)

    def _there(self, at_us: int) -> bool:
        return any(at_us in span for span in self._days or ())

    def forget(self) -> None:
        """A day was dropped, and with it legs that were in mind: ask again which days there are, and where legs stand."""
        self._days = None
        self._sent.clear()

    def remember(self, intents: Sequence[Intent], results: Sequence[Result]) -> None:
        """Keep in mind what was stored: the legs that wait for their results."""
        if len(self._sent) > OPEN_LEGS:
            self._sent.clear()
        self._sent.update({intent.leg: intent.at_us for intent in intents})
        for result in results:
            self._sent.pop(result.leg, None)

    def find(
        self, c: Connection, intents: Sequence[Intent], results: Sequence[Result], begun: Sequence[Begun], kept: Sequence[Kept]
    ) -> dict[str, int]:
        """When the legs of these records were sent; without those that are on no record.

        Called first of all in the transaction that stores them: whoever stores bodies that came before their leg is alone until the end.
        """
        here = {intent.leg: intent.at_us for intent in intents}
        told = {record.leg for records in (results, begun, kept) for record in records}
        here |= {leg: at_us for leg in told - here.keys() if (at_us := self._sent.get(leg)) is not None}
        here |= _look_up(c, told - here.keys())
        early = {record.leg for record in kept} - here.keys()
        if early:
            _alone(c)
            here |= _look_up(c, early)
        elif intents:
            _among_others(c)
        return here


def legs_in(c: Connection, placed: Mapping[str, int]) -> dict[str, int]:
    """Those of these legs that are on record where they should be."""
    if not placed:
        return {}
    between = legs.c.at_us.between(min(placed.values()), max(placed.values()))
    found = {row.leg: row.at_us for row in rows_in(c, select(legs.c.leg, legs.c.at_us).where(between), legs.c.leg, placed)}
    return {leg: at_us for leg, at_us in found.items() if placed[leg] == at_us}


def settle(c: Connection, placed: Mapping[str, int], intents: Sequence[Intent]) -> None:
    """Bodies that came before these legs stand beside them from now on."""
    if not intents or not c.scalar(select(exists(select(bodies_early.c.leg)))):
        return
    waiting = rows_in(c, select(bodies_early), bodies_early.c.leg, [intent.leg for intent in intents])
    upsert(c, bodies, [dict(row._mapping) | {"at_us": placed[row.leg]} for row in waiting])
    for row in waiting:
        c.execute(delete(bodies_early).where(bodies_early.c.leg == row.leg))


def no_room(error: IntegrityError) -> bool:
    """Whether no partition takes a row."""
    return getattr(error.orig, "sqlstate", None) == _NO_ROOM


def _look_up(c: Connection, names: set[str]) -> dict[str, int]:
    return {row.leg: row.at_us for row in rows_in(c, select(legs.c.leg, legs.c.at_us), legs.c.leg, names)}


def _alone(c: Connection) -> None:
    """Nobody stores an intent meanwhile: else its bodies were set aside, and it looked for them, each before the other was there."""
    if c.dialect.name != "sqlite":
        c.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _EARLY})


def _among_others(c: Connection) -> None:
    if c.dialect.name != "sqlite":
        c.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _EARLY})
