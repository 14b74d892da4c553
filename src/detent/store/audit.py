"""The audit log: every write of state, who, what and why, the value before and after, the digest of the evidence; in a chain of digests.

Nothing is ever taken out of it: there is no retention yet. See `store.chain` for what the chain finds, and what only an anchor does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from detent.store.alone import take_turns
from detent.store.chain import AuditRow, Head, Verified, beginning, link, verified
from detent.store.database import Database, upsert
from detent.store.schema import audit, meta
from detent.terms import micros, utc

__all__ = ["Audit", "AuditRow", "Head", "Verified", "audited"]

CHAINED_FROM = "audit_from"
"""Where the chain begins, in `meta`: else an entry whose digest was taken away would pass for one of an older Detent."""

SECRET = frozenset({"salt"})
"""Members of flags and rollouts that stand in the log by their digest: whoever knows a salt knows who is on the candidate."""

AT_ONCE = 1_000
"""Entries read at a time where all are read."""


class Audit:
    """The audit log, to be read and checked; it is written by every change of state, and by `note`."""

    _db: Database

    def note(self, by: str, what: str, at: datetime, *, rollout: str | None = None) -> None:
        """Add an entry for something that changes no flag and no rollout."""
        with self._db.write() as c:
            audited(c, at, by, what, rollout)

    def audit(self, limit: int | None = 100, *, rollout: str | None = None) -> list[AuditRow]:
        """The newest entries of the audit log, newest first; all, or those about one rollout."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if rollout is not None:
            query = query.where(audit.c.rollout == rollout)
        with self._db.read() as c:
            return [_row(row._asdict()) for row in c.execute(query)]

    def audit_head(self) -> Head | None:
        """Where the chain stands; None while nothing was chained."""
        query = select(audit.c.id, audit.c.chain).where(audit.c.chain.is_not(None)).order_by(audit.c.id.desc()).limit(1)
        with self._db.read() as c:
            found = c.execute(query).first()
        return None if found is None else Head(entry=found.id, chain=found.chain)

    def verify_audit(self, anchors: Iterable[Head] = ()) -> Verified:
        """Check the whole log, in one snapshot of it; see `store.chain.verified`."""
        with self._db.read(at_leisure=True) as c:
            rows = c.execution_options(yield_per=AT_ONCE).execute(select(audit).order_by(audit.c.id))
            return verified((row._asdict() for row in rows), first=_chained_from(c), anchors=anchors)


def audited(  # noqa: PLR0917 called in every write, in the order in which an entry is read
    c: Connection,
    at: datetime,
    by: str,
    what: str,
    rollout: str | None = None,
    before: object = None,
    after: object = None,
    evidence: str | None = None,
) -> None:
    """Add an entry to the log, in the transaction of the write that it tells of, as the last statement of it.

    Last, since on PostgreSQL writers take turns from here until they commit: one that waited for another lock meanwhile could wait for
    ever. `before` and `after` are whatever msgspec encodes; of two of them the members that differ are kept, secrets by their digest.
    """
    take_turns(c, "audit")
    entry, previous = _next(c)
    was, became = _differing(_plain(before), _plain(after))
    row: dict[str, Any] = {
        "id": entry,
        "at_us": micros(at),
        "by": by,
        "what": what,
        "rollout": rollout,
        "before": _text(was),
        "after": _text(became),
        "evidence": evidence,
    }
    if previous is None:
        previous = _begun(c, entry)
    c.execute(insert(audit).values(**row, chain=link(previous, row)))


def _begun(c: Connection, entry: int) -> str:
    """What an entry follows that has no digest before it: it is the first of all, or somebody took the last one's digest away."""
    if _chained_from(c) is not None:
        return ""  # nothing is refused over it, least of all a rollback; the entry before is the first bad one
    upsert(c, meta, [{"name": CHAINED_FROM, "value": str(entry)}])
    return beginning(row._asdict() for row in c.execute(select(audit).order_by(audit.c.id)))


def _chained_from(c: Connection) -> int | None:
    found = c.scalar(select(meta.c.value).where(meta.c.name == CHAINED_FROM))
    return None if found is None else int(found)


def _next(c: Connection) -> tuple[int, str | None]:
    """The number of the next entry, as the database would give it (the digest covers it, so it is needed before), and the last digest."""
    last = select(audit.c.id, audit.c.chain).order_by(audit.c.id.desc()).limit(1)
    if c.dialect.name == "sqlite":
        found = c.execute(last).first()
        return (1, None) if found is None else (found.id + 1, found.chain)
    number = func.nextval(func.pg_get_serial_sequence(audit.name, "id"))
    entry, chain = c.execute(select(number, last.with_only_columns(audit.c.chain).scalar_subquery())).one()
    return int(entry), chain


def _row(row: Mapping[str, Any]) -> AuditRow:
    return AuditRow(at=utc(row["at_us"]), **{name: value for name, value in row.items() if name != "at_us"})


# ── what changed ────────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(value: object) -> Any:
    return _without_secrets(msgspec.to_builtins(value, str_keys=True))


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _digest(v) if k in SECRET and v else _without_secrets(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one) for one in value]
    return value


def _digest(secret: object) -> str:
    return f"sha256:{sha256(str(secret).encode()).hexdigest()[:16]}"


def _differing(before: Any, after: Any) -> tuple[Any, Any]:
    """Both values without the members that are the same in both; None for a value that has nothing left."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return (None, None) if before == after else (before, after)
    was: dict[str, Any] = {}
    became: dict[str, Any] = {}
    for name in dict.fromkeys((*before, *after)):
        for kept, new in zip((was, became), _differing(before.get(name), after.get(name)), strict=True):
            if new is not None:
                kept[name] = new
    return was or None, became or None


def _text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
