"""What the journal forgets, and when: days that are older than the pin file asks for, whole; what they were is a line in the audit log.

PostgreSQL drops a day at a time, first taken out of the journal while others go on reading it; SQLite, where a journal is one table, takes
legs away in small batches. State forgets nothing here: decisions, sums and incidents have all that they need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, delete, select, text

from detent.errors import CouldNotRun
from detent.store import Store
from detent.store.audit import audited
from detent.store.database import translated
from detent.store.days import DAY_US, Partition, condemn, condemned, database_now_us, make_days, partitions
from detent.store.schema import bodies, bodies_early, feedback, legs
from detent.terms import micros, utc

BATCH = 2_000
"""Rows that are deleted in one transaction: an ingester waits for no longer than that."""

PATIENCE = "5s"
"""How long it is waited for those who still read a day. Nobody waits behind that; it is tried again at the next pass."""

BY = "retention"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a pass dropped: everything before `until`, so many legs (of a partition: about), and days that others still read (`waiting`)."""

    until: datetime
    days: tuple[str, ...] = ()
    legs: int = 0
    feedback: int = 0
    waiting: int = 0


class Retention:
    """Keeps the journal as long as it is to be kept. Several at work do no harm; the one that leads is enough."""

    EVERY_S = 600.0
    """How often a pass is worth its while."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._state, self._journal, self._clock = store.state, store.journal._db, clock

    def step(self, keep_s: float | None) -> Forgotten | None:
        """Make room for the days to come, and drop the days that were over more than `keep_s` ago. None: all is kept.

        No day is dropped in which an open rollout began, nor a later one. "Ago" is by this host's clock or the database's, whichever is
        behind: one that jumped ahead drops nothing.
        """
        now = self._clock()
        if not self._journal.sqlite:
            with self._journal.write() as c:
                make_days(c, ())
                now = min(now, utc(database_now_us(c)))
        if keep_s is None:
            return None
        opened = (rollout.opened_at for rollout in self._state.rollouts(open_only=True))
        until_us = micros(min((now - timedelta(seconds=keep_s), *opened)))
        until_us -= until_us % DAY_US
        made_us = micros(now - timedelta(seconds=keep_s))
        done = self._delete(until_us) if self._journal.sqlite else self._drop(until_us, made_us)
        if done.feedback or (done.legs and self._journal.sqlite):
            said = f"journal: dropped {done.legs} legs and {done.feedback} feedback of before {done.until:%Y-%m-%d}"
            self._state.note(BY, said, self._clock())
        return done

    # ── PostgreSQL: days ──

    def _drop(self, until_us: int, made_us: int) -> Forgotten:
        """Whole partitions. One that a wrong clock asked for stays as long after it was made as others do after their day."""
        with self._journal.read() as c:
            old = [
                partition
                for partition in partitions(c)
                if partition.leaving
                or (partition.span.until_us is not None and partition.span.until_us <= until_us and (partition.made_us or 0) <= made_us)
            ]
        dropped, waiting, n = list[str](), 0, 0
        for partition in old:
            try:
                self._detach(partition)
            except CouldNotRun as error:
                if not _was_locked(error):
                    raise
                waiting += 1
        with self._journal.read() as c:
            taken_out = condemned(c)
        for name, had in taken_out.items():
            try:
                n += self._drop_detached(name, had)
                dropped.append(name)
            except CouldNotRun as error:
                if not _was_locked(error):
                    raise
                waiting += 1
        return Forgotten(utc(until_us), tuple(dropped), n, self._forget_said(until_us), waiting)

    def _detach(self, partition: Partition) -> None:
        """Take it out of the journal: begun at once, done when nobody reads it any more. What another began is ended."""
        with self._journal.write() as c:  # whoever leads no more does not come further: what follows is outside of a transaction
            c.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            condemn(c, partition)
        how = "FINALIZE" if partition.leaving else "CONCURRENTLY"
        with translated(self._journal.url), self._journal.engine.connect() as c:
            c = c.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901
            try:
                c.exec_driver_sql(f"SET lock_timeout = '{PATIENCE}'")
                c.exec_driver_sql(f"ALTER TABLE {partition.table} DETACH PARTITION {partition.name} {how}")
            finally:
                c.invalidate()  # its settings are no other's

    def _drop_detached(self, name: str, had: str) -> int:
        """Drop a day that was taken out, by this pass or by one that was killed; how many legs it had."""
        with self._journal.write() as c:
            c.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}'")
            n = int(c.scalar(text(f"SELECT count(*) FROM {name}")) or 0) if name.startswith(f"{legs.name}_") else 0  # noqa: S608
            c.exec_driver_sql(f"DROP TABLE {name}")
            audited(c, self._clock(), BY, f"journal: dropped {name} ({had})" + (f", {n} legs" if n else ""))
            return n

    # ── SQLite: rows; and feedback on both ──

    def _delete(self, until_us: int) -> Forgotten:
        n = 0
        for old in self._old(legs.c.leg, until_us):
            n += self._take(legs.c.leg, old, also=bodies.c.leg)
        return Forgotten(utc(until_us), legs=n, feedback=self._forget_said(until_us))

    def _forget_said(self, until_us: int) -> int:
        for early in self._old(bodies_early.c.leg, until_us):
            self._take(bodies_early.c.leg, early)
        return sum(self._take(feedback.c.id, old) for old in self._old(feedback.c.id, until_us))

    def _old(self, key: Column[str], until_us: int) -> Iterator[list[str]]:
        """What is older, in batches, each looked for anew; in no write transaction: to find none takes long where there is much."""
        query = select(key).where(key.table.c.at_us < until_us).limit(BATCH)
        while True:
            with self._journal.read() as c:
                found = list(c.scalars(query))
            if found:
                yield found
            if len(found) < BATCH:
                return

    def _take(self, key: Column[str], names: list[str], *, also: Column[str] | None = None) -> int:
        """Delete these rows; how many there were."""
        n = 0
        with self._journal.write() as c:
            for at in range(0, len(names), 500):
                some = names[at : at + 500]
                if also is not None:
                    c.execute(delete(also.table).where(also.in_(some)))
                n += c.execute(delete(key.table).where(key.in_(some))).rowcount
        return n


def _was_locked(error: CouldNotRun) -> bool:
    return getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) == "55P03"
