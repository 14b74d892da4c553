"""Leases: what one process of many does, and how the one that was late to notice is kept from writing.

A holder raises its beat; whoever sees a beat stand still, by its own monotonic clock, follows by compare-and-set and raises the counter. No
clocks of two hosts are compared. What a holder writes, it writes on a store that is `fenced`: each write transaction looks at the counter
first, under a lock that a change of hands waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select, update

from detent.errors import Conflict
from detent.store.database import Database, insert_missing
from detent.store.schema import leases

CONTROLLER = "controller"
"""The lease of the process that decides."""

GIVEN_UP = 0
"""The beat of a lease that its holder has given up: it goes on until somebody follows, and anybody may at once."""


class NotLeading(Conflict):
    """Another process holds the lease now: nothing was written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a lease: `counter` is raised by each change of hands, `beat` by each sign of life of the holder."""

    name: str
    holder: str
    counter: int
    beat: int

    @property
    def given_up(self) -> bool:
        """Whether its holder is about to end."""
        return self.beat == GIVEN_UP


class Leases:
    """Who holds what."""

    _db: Database

    def lease(self, name: str = CONTROLLER) -> Lease | None:
        """The lease as it stands; None where nobody ever held it."""
        with self._db.read() as c:
            return _lease(c, name)

    def take_lease(self, seen: Lease | None, holder: str, *, beat: int, name: str = CONTROLLER) -> Lease | None:
        """Follow the holder that was `seen`, if its lease stands as it did then; None where it does not.

        On PostgreSQL it waits for writes of the former holder that are under way: once it returns, none of them is stored any more.
        """
        taken = Lease(name, holder, 1 if seen is None else seen.counter + 1, max(beat, GIVEN_UP + 1))
        with self._db.write() as c:
            if seen is None:
                insert_missing(c, leases, [{"name": name, "holder": "", "counter": 0, "beat": GIVEN_UP}])
                seen = Lease(name, "", 0, GIVEN_UP)
            # FOR UPDATE waits for all who hold the fence, and whoever asks for it after this commit reads the new counter.
            there = _lease(c, name, lock=True)
            if there != seen:
                return None
            c.execute(update(leases).where(leases.c.name == name).values(holder=holder, counter=taken.counter, beat=taken.beat))
        return taken

    def beat_lease(self, lease: Lease, *, beat: int) -> Lease | None:
        """A sign of life of the holder; None where the lease is another's now. `beat` is raised where it is not above the last one."""
        alive = replace(lease, beat=max(beat, lease.beat + 1))
        return alive if self._moved(lease, alive.beat) else None

    def give_up_lease(self, lease: Lease) -> None:
        """The holder is about to end: whoever looks next may follow at once. Until then it may go on."""
        self._moved(lease, GIVEN_UP)

    def _moved(self, lease: Lease, beat: int) -> bool:
        ours = (leases.c.name == lease.name, leases.c.holder == lease.holder, leases.c.counter == lease.counter)
        with self._db.write() as c:
            return c.execute(update(leases).where(*ours).values(beat=beat)).rowcount == 1


def fence_of(lease: Lease) -> Callable[[Connection], None]:
    """What a write transaction of this holder begins with (`Database.fenced`). It raises NotLeading when the lease is another's.

    On PostgreSQL the lock lets the holder's own beats pass (they change no key), and makes a change of hands wait for this transaction.
    """
    mine = select(leases.c.counter, leases.c.holder).where(leases.c.name == lease.name).with_for_update(read=True, key_share=True)

    def fence(connection: Connection) -> None:
        found = connection.execute(mine).first()
        if found is None or (found.counter, found.holder) != (lease.counter, lease.holder):
            now = "nobody" if found is None else f"`{found.holder}`"
            raise NotLeading(f"this process leads no more, {now} does", hint="nothing was written; it goes on as soon as it leads again")

    return fence


def _lease(c: Connection, name: str, *, lock: bool = False) -> Lease | None:
    query = select(leases).where(leases.c.name == name)
    found = c.execute(query.with_for_update() if lock else query).first()
    return None if found is None else Lease(found.name, found.holder, found.counter, found.beat)
