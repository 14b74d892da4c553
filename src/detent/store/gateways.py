"""Gateways that live: which revision of the flags each has served since when, what each says of itself, and what they know that a store
which was put back to an older state has forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, select, text, update

from detent.store.audit import audited
from detent.store.database import Database, insert_missing, upsert
from detent.store.schema import acks, counters, gateways, meta, rollouts
from detent.store.state_rows import (
    PUT_BACK,
    ROLLOUTS,
    encode,
    flag_in,
    next_revision,
    put_back_in,
    revision_in,
    rollout_of,
    rollout_row,
    take_revision,
    write_flag,
)
from detent.terms import Condition, Draining, Held, PutBack, micros, utc
from detent.transitions import STORE_PUT_BACK, cut_short

BEYOND = 1_000
"""By how many revisions a store that was put back is raised beyond what one gateway had obeyed: another may have obeyed some more."""

_CONDITION = msgspec.json.Decoder(Condition)  # built at import, as in store/state_rows.py


@dataclass(frozen=True, slots=True)
class GatewayAck:
    """Which revision a gateway serves, since when, when it was last heard of, and what it says of itself."""

    gateway: str
    revision: int
    applied_at: datetime
    seen_at: datetime
    address: str
    pid: int
    condition: Condition = field(default_factory=Condition)


class Gateways:
    """What gateways say of themselves."""

    _db: Database

    def acknowledge(self, gateway: str, revision: int, at: datetime, *, pid: int, address: str, condition: Condition | None = None) -> None:
        """A gateway says that it serves a revision (again: that it lives), and how it is. The first time for each revision is kept."""
        now, breakers = micros(at), encode(condition or Condition())
        row = {"gateway": gateway, "revision": revision, "applied_us": now}
        with self._db.write() as c:
            if not self._db.sqlite:  # nobody waits for the disk here: one that a power cut takes is said again within seconds
                c.execute(text("SET LOCAL synchronous_commit = off"))
            insert_missing(c, acks, [row])
            first = c.scalar(select(acks.c.applied_us).where(acks.c.gateway == gateway, acks.c.revision == revision))
            upsert(c, gateways, [{**row, "applied_us": first, "seen_us": now, "pid": pid, "address": address, "breakers": breakers}])

    def gateways(self) -> list[GatewayAck]:
        """Gateways that were heard of and didn't say goodbye, by name; how old `seen_at` may be is the reader's call."""
        with self._db.read() as c:
            found = c.execute(select(gateways).order_by(gateways.c.gateway)).all()
        return [_ack(row, row.applied_us) for row in found]

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
        return [_ack(row, row.first_us) for row in found]

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

    # ── a store that was put back to an older state ──

    def put_back(self) -> PutBack | None:
        """When this store was last found to be older than what gateways had obeyed; None where it never was."""
        with self._db.read() as c:
            return put_back_in(c)

    def found_put_back(self, gateway: str, was: int, served: int, routes: Iterable[str], at: datetime) -> PutBack | None:
        """A gateway has obeyed revision `served`, and finds this store at `was`, which is older: of `routes` it has forgotten something.

        All flags of before are in doubt from here on, the revision goes beyond what any gateway had obeyed, and each open rollout is held
        until somebody resumes it or ends it. None, and nothing done, where the store is not at `was` any more: read it again.
        """
        with self._db.write() as c:
            take_revision(c)
            if revision_in(c) != was:
                return None
            c.execute(update(counters).where(counters.c.name == "revision").values(n=max(was, served) + BEYOND - 1))
            revision = next_revision(c)
            opened = [rollout_of(row) for row in c.execute(ROLLOUTS.where(rollouts.c.open).with_for_update(of=rollouts))]
            named = tuple(sorted({*routes, *(rollout.route for rollout in opened)}))
            found = PutBack(at=at, gateway=gateway, was=was, served=served, revision=revision, routes=named)
            upsert(c, meta, [{"name": PUT_BACK, "value": encode(found)}])
            why = f"the store was put back to an older state: it was at revision {was}, and {served} had been obeyed"
            for rollout in opened:
                if rollout.held is not None and rollout.held.by != "detent":
                    continue  # somebody's hold keeps it where it is as well
                held = Held(reason=STORE_PUT_BACK, by=f"gateway {gateway}", since_at=at, why=why)
                stored = replace(rollout, held=held, revision=rollout.revision + 1)
                c.execute(update(rollouts).where(rollouts.c.id == rollout.id).values(**rollout_row(stored)))
                audited(c, at, f"gateway {gateway}", f"hold: {why}", rollout.id, before=rollout, after=stored)
            audited(c, at, f"gateway {gateway}", f"{why}; raised to revision {revision}", after=found)
            return found


def _ack(row: Any, applied_us: int) -> GatewayAck:
    """What cannot be read, or was written by an older Detent, says nothing."""
    try:
        condition = Condition() if row.breakers is None else _CONDITION.decode(row.breakers)
    except msgspec.MsgspecError:
        condition = Condition()
    return GatewayAck(row.gateway, row.revision, utc(applied_us), utc(row.seen_us), row.address, row.pid, condition)
