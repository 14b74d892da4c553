"""Hosts whose spools are read into this store, and how far each is behind."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select, update

from detent.store.database import Database, upsert
from detent.store.schema import hosts


@dataclass(frozen=True, slots=True)
class Host:
    """A host by its id and its name; `lag_us` is how far its reader was behind when it last said so, by its own clock.

    `beat` is another number each time that it says so: one that stands still tells that nobody reads there.
    """

    host: str
    name: str
    lag_us: int
    beat: int


class Hosts:
    """What readers of spools say of their hosts."""

    _db: Database

    def hosts(self) -> list[Host]:
        """The hosts that are read, by id; of one that said goodbye nothing."""
        with self._db.read() as c:
            return [Host(row.host, row.name, row.lag_us, row.beat) for row in c.execute(select(hosts).order_by(hosts.c.host))]

    def tell_host(self, host: str, name: str, lag_us: int) -> None:
        """Say that a host is read, and how far its reader is behind; its beat is raised."""
        with self._db.write() as c:
            told = update(hosts).where(hosts.c.host == host).values(name=name, lag_us=lag_us, beat=hosts.c.beat + 1)
            if c.execute(told).rowcount == 0:
                upsert(c, hosts, [{"host": host, "name": name, "lag_us": lag_us, "beat": 1}])

    def forget_host(self, host: str, *, beat: int | None = None) -> None:
        """A host says goodbye, or is taken for gone (then with the `beat` that it stood still at): its units are anybody's to seal."""
        there = (hosts.c.host == host,) if beat is None else (hosts.c.host == host, hosts.c.beat == beat)
        with self._db.write() as c:
            c.execute(delete(hosts).where(*there))
