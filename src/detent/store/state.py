"""State: what gateways obey (flags), what is under way (rollouts), and what was decided, by whom and why.

Everything is appended, except that flags and rollouts change: flags under one store-wide revision, rollouts by compare-and-set.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from detent.errors import Conflict, InvalidInput, Refused
from detent.store.alone import alone
from detent.store.database import Database, insert_missing, upsert
from detent.store.findings import Findings
from detent.store.gateways import FlagWatch, GatewayAck, Gateways
from detent.store.ledger import Ledger
from detent.store.schema import audit, counters, decisions, flags, manifests, meta, rollouts, share_periods, watched
from detent.store.shadowing import Shadowing
from detent.store.tallies import Tallies
from detent.store.watching import Watching
from detent.terms import Decision, Flag, Rollout, Verb, micros, utc

__all__ = ["AppliedManifest", "AuditRow", "Decided", "FlagWatch", "GatewayAck", "Snapshot", "State"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AppliedManifest:
    """The pin file that was applied last, as it was written, and on whose word."""

    text: str
    digest: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a gateway needs, read at one moment: no flag in it is newer or older than `revision` says."""

    revision: int
    manifest: AppliedManifest | None
    flags: dict[str, Flag]
    identity_key: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the audit log."""

    at: datetime
    by: str
    what: str
    rollout: str | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, the evidence it was made from, and the rollout as it was before; None of one that an older Detent stored.

    `unreadable` says why its row cannot be read; what can of it is there all the same.
    """

    decision: Decision
    evidence: bytes
    before: Rollout | None
    unreadable: str = ""


class State(Findings, Gateways, Ledger, Shadowing, Tallies, Watching):
    """Flags, rollouts, decisions; with `Findings` (baselines, runs), `Shadowing` (pairs), `Ledger` (what a shadow costs), `Gateways`,
    `Watching`, and `Tallies` (what the ingester keeps).
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def close(self) -> None:
        """Let go of all connections."""
        self._db.close()

    # ── what gateways obey ──

    def identity_key(self) -> str:
        """The installation's key for hashing identities: made once, 256 bits, secret."""
        with self._db.read() as c:
            found = _identity_key(c)
        if found:
            return found
        with self._db.write() as c:
            insert_missing(c, meta, [{"name": "identity_key", "value": secrets.token_hex(32)}])
            return _identity_key(c)

    def put_manifest(self, text: str, *, by: str, at: datetime) -> int:
        """Keep the pin file that was applied; returns the new revision, since gateways obey it too. The same text again changes nothing."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._db.write() as c:
            if (former := _manifest(c)) is not None and former.digest == digest:
                return _revision(c)
            c.execute(insert(manifests).values(text=text, digest=digest, at_us=micros(at), by=by))
            _audit(c, at, by, f"apply: pin file {digest[:12]}")
            return _next_revision(c)

    def manifest_text(self) -> AppliedManifest | None:
        """The pin file that was applied last."""
        with self._db.read() as c:
            return _manifest(c)

    def flags(self) -> dict[str, Flag]:
        """All flags by route."""
        with self._db.read() as c:
            return _flags(c)

    def revision(self) -> int:
        """The store-wide revision. Read it before `flags()`, never after, or use `snapshot()`: else old flags may pass for new ones."""
        with self._db.read() as c:
            return _revision(c)

    def snapshot(self) -> Snapshot:
        """Revision, pin file, flags and identity key of one moment."""
        key = self.identity_key()
        with self._db.read() as c:
            return Snapshot(_revision(c), _manifest(c), _flags(c), key)

    def put_flags(self, new: Sequence[Flag], *, at: datetime, by: str = "detent") -> int:
        """Write flags of routes without a rollout, all under one new revision, which is returned."""
        with self._db.write() as c:
            revision = _next_revision(c)
            for flag in new:
                _write_flag(c, flag, revision, at)
            _audit(c, at, by, f"flags of {', '.join(flag.route for flag in new)}")
            return revision

    def drop_flags(self, routes: Sequence[str], *, at: datetime, by: str) -> int:
        """Forget the flags of routes that are routes no longer, under one new revision, which is returned."""
        with self._db.write() as c:
            c.execute(delete(flags).where(flags.c.route.in_(routes)))
            _audit(c, at, by, f"no longer routes: {', '.join(routes)}")
            return _next_revision(c)

    def watch(self) -> FlagWatch:
        """Something to ask every few milliseconds whether the revision moved."""
        return FlagWatch(self._db, self.revision)

    def alone(self, name: str) -> AbstractContextManager[bool]:
        """Whether the block, of all processes that use this store, holds the name; see `store.alone`."""
        return alone(self._db, name)

    # ── rollouts and decisions ──

    def open_rollout(self, rollout: Rollout, flag: Flag | None = None, *, by: str, at: datetime, why: str = "") -> Rollout:
        """Store a new rollout, and its flag if given; `why` is kept in the audit log. It was watched for 0 seconds so far.

        Raises Refused when the route has an open one, Conflict for an id that was used.
        """
        stored = replace(rollout, revision=1, watched_s=0.0)
        try:
            with self._db.write() as c:
                there = c.scalar(select(rollouts.c.id).where(rollouts.c.route == rollout.route, rollouts.c.open))
                if there is not None:
                    raise Refused(f"route `{rollout.route}` has an open rollout: `{there}`", hint=f"end it first: detent abort {there}")
                c.execute(insert(rollouts).values(id=stored.id, opened_us=micros(stored.opened_at), **_rollout_row(stored)))
                if flag is not None:
                    _write_flag(c, flag, _next_revision(c), at)
                said = f"open: {rollout.stable} -> {rollout.candidate} on {rollout.route}" + (f": {why}" if why else "")
                _audit(c, at, by, said, rollout.id)
        except IntegrityError as error:
            raise Conflict(f"rollout `{rollout.id}` was opened by somebody else", hint="load again") from error
        return stored

    def rollout(self, rollout_id: str) -> Rollout:
        """One rollout. Raises InvalidInput for an id that isn't there."""
        with self._db.read() as c:
            found = c.execute(_ROLLOUTS.where(rollouts.c.id == rollout_id)).first()
        if found is None:
            raise InvalidInput(f"no rollout: `{rollout_id}`", hint="see all of them with `detent status`")
        return _rollout(found)

    def rollouts(self, route: str | None = None, *, open_only: bool = False) -> list[Rollout]:
        """Rollouts, oldest first."""
        query = _ROLLOUTS.order_by(rollouts.c.opened_us, rollouts.c.id)
        if route is not None:
            query = query.where(rollouts.c.route == route)
        if open_only:
            query = query.where(rollouts.c.open)
        with self._db.read() as c:
            return [_rollout(row) for row in c.execute(query)]

    def commit(
        self,
        before: Rollout,
        after: Rollout,
        *,
        flag: Flag | None,
        decision: Decision | None,
        evidence: bytes | None,
        by: str,
        what: str,
        at: datetime,
    ) -> Rollout:
        """Move a rollout from `before` to `after` in one transaction, with its flag, share period, decision and audit row, or not at all.

        Returns the stored rollout with its new revision. Raises Conflict when it isn't at `before.revision` any more, or when reopening it
        would make a second open rollout of the route; ValueError for a flag whose split changed within a share period.
        """
        stored = replace(after, revision=before.revision + 1)
        try:
            with self._db.write() as c:
                where = (rollouts.c.id == before.id, rollouts.c.revision == before.revision)
                if c.execute(update(rollouts).where(*where).values(**_rollout_row(stored))).rowcount != 1:
                    raise Conflict(f"rollout `{before.id}` moved on from revision {before.revision}", hint="load again, decide again")
                if flag is not None:
                    _close_periods(c, stored.id, flag, at)
                    _write_flag(c, flag, _next_revision(c), at)
                if decision is not None:
                    row = {"rollout": stored.id, "at_us": micros(decision.at), "body": _encode(decision), "before": _encode(before)}
                    c.execute(insert(decisions).values(**row, evidence=evidence or b""))
                _audit(c, at, by, what, stored.id)
        except IntegrityError as error:
            raise Conflict(f"route `{after.route}` has another open rollout", hint="see it with `detent status`") from error
        return stored

    def decisions(self, rollout_id: str) -> list[tuple[Decision, bytes]]:
        """Decisions about a rollout, oldest first, each with the evidence it was made from."""
        return [(one.decision, one.evidence) for one in self.decided(rollout_id)]

    def decided(self, rollout_id: str) -> list[Decided]:
        """Decisions about a rollout, oldest first, each with all that it was made from."""
        query = select(decisions).where(decisions.c.rollout == rollout_id).order_by(decisions.c.id)
        with self._db.read() as c:
            found = c.execute(query).all()
        return [_decided(row) for row in found]

    def last_decision(self, rollout_id: str) -> Decision | None:
        """The latest decision about a rollout, without what it was made from: evidence is large, and this is asked often."""
        query = select(decisions.c.body).where(decisions.c.rollout == rollout_id).order_by(decisions.c.id.desc()).limit(1)
        with self._db.read() as c:
            body = c.scalar(query)
        try:
            return None if body is None else _decode(body, Decision)
        except msgspec.MsgspecError:
            return None

    def note(self, by: str, what: str, at: datetime, *, rollout: str | None = None) -> None:
        """Add a line to the audit log for something that changes no flag and no rollout."""
        with self._db.write() as c:
            _audit(c, at, by, what, rollout)

    def audit(self, limit: int | None = 100, *, rollout: str | None = None) -> list[AuditRow]:
        """The newest lines of the audit log, newest first; all, or those about one rollout."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if rollout is not None:
            query = query.where(audit.c.rollout == rollout)
        with self._db.read() as c:
            found = c.execute(query)
            return [AuditRow(utc(row.at_us), row.by, row.what, row.rollout) for row in found]


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


# Built at import: msgspec works a dataclass out at its first use, and several threads at their first use at once crash the process.
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(kind) for kind in (Decision, Flag, Rollout)}


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decode(body: str, kind: type[_T]) -> _T:
    value: _T = _DECODERS[kind].decode(body)
    return value


def _identity_key(c: Connection) -> str:
    return c.scalar(select(meta.c.value).where(meta.c.name == "identity_key")) or ""


def _manifest(c: Connection) -> AppliedManifest | None:
    row = c.execute(select(manifests).order_by(manifests.c.id.desc()).limit(1)).first()
    return None if row is None else AppliedManifest(row.text, row.digest, utc(row.at_us), row.by)


def _flags(c: Connection) -> dict[str, Flag]:
    return {row.route: _decode(row.body, Flag) for row in c.execute(select(flags.c.route, flags.c.body).order_by(flags.c.route))}


def _revision(c: Connection) -> int:
    return int(c.scalar(select(counters.c.n).where(counters.c.name == "revision")) or 0)


def _next_revision(c: Connection) -> int:
    # On PostgreSQL the row's lock makes writers take turns here, so that revisions become visible in their order.
    c.execute(update(counters).where(counters.c.name == "revision").values(n=counters.c.n + 1))
    return _revision(c)


def _write_flag(c: Connection, flag: Flag, revision: int, at: datetime) -> None:
    stored = replace(flag, revision=revision, written_at=at)
    upsert(c, flags, [{"route": flag.route, "revision": revision, "body": _encode(stored)}])
    if flag.rollout is None:
        return
    where = (share_periods.c.rollout == flag.rollout, share_periods.c.period == flag.period)
    former = c.scalar(select(share_periods.c.split).where(*where))
    if former is not None and former != flag.split:
        raise ValueError(f"period {flag.period} of `{flag.rollout}` has split {former:g}: a split of {flag.split:g} begins a new one")
    row = {"rollout": flag.rollout, "period": flag.period, "split": flag.split, "from_us": micros(at), "until_us": None}
    insert_missing(c, share_periods, [row])


def _close_periods(c: Connection, rollout: str, flag: Flag, at: datetime) -> None:
    ending = update(share_periods).where(share_periods.c.rollout == rollout, share_periods.c.until_us.is_(None))
    if flag.rollout == rollout:
        ending = ending.where(share_periods.c.period != flag.period)
    c.execute(ending.values(until_us=micros(at)))


_ROLLOUTS = select(rollouts.c.body, watched.c.watched_us).outerjoin(watched, watched.c.rollout == rollouts.c.id)


def _rollout(row: Any) -> Rollout:
    return replace(_decode(row.body, Rollout), watched_s=(row.watched_us or 0) / 1_000_000)


def _decided(row: Any) -> Decided:
    """A row that cannot be read is told as such: it must not hide the others."""
    unknown = Decision(rollout=row.rollout, verb=Verb.HOLD, reason="Unreadable", sentence="", at=utc(row.at_us), evidence_digest="")
    decision, before, why = unknown, None, ""
    try:
        decision = _decode(row.body, Decision)
        before = None if row.before is None else _decode(row.before, Rollout)
    except msgspec.MsgspecError as error:
        why = f"its row cannot be read: {error}"
    return Decided(decision, row.evidence, before, why)


def _rollout_row(rollout: Rollout) -> dict[str, Any]:
    open_ = not rollout.phase.terminal
    return {"route": rollout.route, "open": open_, "revision": rollout.revision, "body": _encode(rollout)}


def _audit(c: Connection, at: datetime, by: str, what: str, rollout: str | None = None) -> None:
    c.execute(insert(audit).values(at_us=micros(at), by=by, what=what, rollout=rollout))
