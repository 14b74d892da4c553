"""Gateways that live, which revision of the flags each has served since when, and how one hears of the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, func, select

from detent.store.database import Database, connect_sqlite, insert_missing, upsert
from detent.store.schema import acks, gateways
from detent.terms import micros, utc


@dataclass(frozen=True, slots=True)
class GatewayAck:
    """Which revision a gateway serves, since when, and when it was last heard of."""

    gateway: str
    revision: int
    applied_at: datetime
    seen_at: datetime
    address: str
    pid: int


class Gateways:
    """What gateways say of themselves."""

    _db: Database

    def acknowledge(self, gateway: str, revision: int, at: datetime, *, pid: int, address: str) -> None:
        """A gateway says that it serves a revision (again: that it lives). The first time for each revision is kept."""
        now = micros(at)
        row = {"gateway": gateway, "revision": revision, "applied_us": now}
        with self._db.write() as c:
            insert_missing(c, acks, [row])
            first = c.scalar(select(acks.c.applied_us).where(acks.c.gateway == gateway, acks.c.revision == revision))
            upsert(c, gateways, [{**row, "applied_us": first, "seen_us": now, "pid": pid, "address": address}])

    def gateways(self) -> list[GatewayAck]:
        """Gateways that were heard of and didn't say goodbye, by name; how old `seen_at` may be is the reader's call."""
        with self._db.read() as c:
            found = c.execute(select(gateways).order_by(gateways.c.gateway)).all()
        return [GatewayAck(g.gateway, g.revision, utc(g.applied_us), utc(g.seen_us), g.address, g.pid) for g in found]

    def acks(self, revision: int) -> list[GatewayAck]:
        """Each live gateway that has served this revision or a later one; `applied_at` is the first time that it did."""
        first = (
            select(acks.c.gateway, func.min(acks.c.applied_us).label("applied_us"))
            .where(acks.c.revision >= revision)
            .group_by(acks.c.gateway)
            .subquery()
        )
        query = select(gateways, first.c.applied_us.label("first_us")).join(first, first.c.gateway == gateways.c.gateway)
        with self._db.read() as c:
            found = c.execute(query.order_by(gateways.c.gateway)).all()
        return [GatewayAck(g.gateway, g.revision, utc(g.first_us), utc(g.seen_us), g.address, g.pid) for g in found]

    def forget_gateway(self, gateway: str) -> None:
        """A gateway says goodbye; when it served what stays known."""
        with self._db.write() as c:
            c.execute(delete(gateways).where(gateways.c.gateway == gateway))


class FlagWatch:
    """Tells whether the store's revision moved since it was last asked. For one thread."""

    def __init__(self, database: Database, revision: Callable[[], int]) -> None:
        self._revision = revision
        self._raw = connect_sqlite(Path(str(database.url.database))) if database.sqlite else None
        self._version = self._data_version()
        self._known = revision()

    def changed(self) -> bool:
        """Whether the revision is another one than at the last call. On SQLite 5 µs as long as nobody wrote anything at all."""
        if self._raw is not None:
            version = self._data_version()
            if version == self._version:
                return False
            self._version = version
        known = self._revision()
        moved, self._known = known != self._known, known
        return moved

    def close(self) -> None:
        """Let go of the connection."""
        if self._raw is not None:
            self._raw.close()

    def _data_version(self) -> int:
        return int(self._raw.execute("PRAGMA data_version").fetchone()[0]) if self._raw is not None else 0
