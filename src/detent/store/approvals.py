"""Human yeses, each bound to what was seen, and used up by one commit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from detent.errors import Conflict
from detent.store.audit import audited
from detent.store.database import Database
from detent.store.schema import approvals, rollouts
from detent.terms import Approval, micros, utc


class Approvals:
    """Approvals as they were given; `State.commit` uses one up."""

    _db: Database

    def give_approval(self, approval: Approval, *, why: str = "") -> Approval:
        """Keep a yes. Raises Conflict when the rollout is not at the revision that it is about any more."""
        row = {
            "id": approval.id,
            "rollout": approval.rollout,
            "stage": approval.stage,
            "revision": approval.revision,
            "evidence": approval.evidence,
            "by": approval.by,
            "at_us": micros(approval.at),
            "until_us": micros(approval.until_at),
        }
        with self._db.write() as c:
            # On PostgreSQL the row is held until this is committed: nobody moves the rollout between the look and the yes.
            there = c.scalar(select(rollouts.c.revision).where(rollouts.c.id == approval.rollout).with_for_update())
            if there != approval.revision:
                raise Conflict(f"rollout `{approval.rollout}` moved on from revision {approval.revision}", hint="load again")
            c.execute(insert(approvals).values(**row))
            said = f"approve: {approval.stage} at revision {approval.revision}" + (f": {why}" if why else "")
            audited(c, approval.at, approval.by, said, approval.rollout, after=approval, evidence=approval.evidence)
        return approval

    def approvals(self, rollout: str) -> list[Approval]:
        """Every yes to a stage of this rollout, oldest first; those that were used too."""
        query = select(approvals).where(approvals.c.rollout == rollout).order_by(approvals.c.at_us, approvals.c.id)
        with self._db.read() as c:
            return [_approval(row) for row in c.execute(query)]


def used(c: Connection, approval_id: str, at: datetime) -> None:
    """Use an approval up, in the transaction of what it allows. Raises Conflict when it was used before."""
    once = update(approvals).where(approvals.c.id == approval_id, approvals.c.used_us.is_(None))
    if c.execute(once.values(used_us=micros(at))).rowcount != 1:
        raise Conflict(f"approval `{approval_id}` was used before", hint="load again, decide again")


def _approval(row: Any) -> Approval:
    found = Approval(
        id=row.id,
        rollout=row.rollout,
        stage=row.stage,
        revision=row.revision,
        evidence=row.evidence,
        by=row.by,
        at=utc(row.at_us),
        until_at=utc(row.until_us),
    )
    return found if row.used_us is None else replace(found, used_at=utc(row.used_us))
