"""Gateways that live, and which revision of the flags each has served since when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import delete, func, select, text

from detent.store.audit import audited
from detent.store.database import Database, insert_missing, upsert
from detent.store.schema import acks, gateways
from detent.store.state_rows import flag_in, next_revision, take_revision, write_flag
from detent.terms import Draining, micros, utc
from detent.transitions import cut_short


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
            if not self._db.sqlite:  # nobody waits for the disk here: one that a power cut takes is said again within seconds
                c.execute(text("SET LOCAL synchronous_commit = off"))
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

    def cut_runs(self, route: str, *, at: datetime, by: str, why: str = "", of: str | None = None) -> Draining | None:
        """Move runs that finish on a version that was rolled back to stable, under one new revision; None where there are none.

        `of`: only those of this rollout.
        """
        with self._db.write() as c:
            take_revision(c)
            flag = flag_in(c, route)
            if flag is None or flag.draining is None or of not in (None, flag.draining.rollout):
                return None
            revision = next_revision(c)
            write_flag(c, cut_short(flag), revision, at)
            said = f"cut runs of {route}" + (f": {why}" if why else "")
            audited(c, at, by, said, flag.draining.rollout, before=flag, after=replace(cut_short(flag), revision=revision))
            return flag.draining

    def forget_gateway(self, gateway: str) -> None:
        """A gateway says goodbye; when it served what stays known."""
        with self._db.write() as c:
            c.execute(delete(gateways).where(gateways.c.gateway == gateway))
