"""State: what gateways obey (flags), what is under way (rollouts), and what was decided, by whom and why.

Everything is appended, except that flags and rollouts change: flags under one store-wide revision, rollouts by compare-and-set.
"""

from __future__ import annotations

import copy
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from detent.errors import Conflict, InvalidInput, Refused
from detent.store.alerts import Alerts
from detent.store.alone import alone
from detent.store.approvals import Approvals, used
from detent.store.audit import Audit, AuditRow, audited
from detent.store.database import Database, insert_missing
from detent.store.drills import Drills, drill_ended, drills_known
from detent.store.findings import Findings
from detent.store.flag_watch import FlagWatch
from detent.store.former import Former
from detent.store.gateways import GatewayAck, Gateways
from detent.store.hosts import Hosts
from detent.store.leases import Lease, Leases, fence_of
from detent.store.ledger import Ledger
from detent.store.local_orders import LocalOrders
from detent.store.probes import Probes
from detent.store.schema import decisions, flags, manifests, meta, rollouts
from detent.store.shadowing import Shadowing
from detent.store.state_rows import (
    ROLLOUTS,
    AppliedManifest,
    Decided,
    close_periods,
    decided_of,
    decision_row,
    decode,
    flag_in,
    flags_in,
    identity_key_in,
    manifest_in,
    next_revision,
    put_back_in,
    revision_in,
    rollout_of,
    rollout_row,
    take_revision,
    write_flag,
)
from detent.store.tallies import Tallies
from detent.store.tokens import Tokens
from detent.store.watching import Watching
from detent.terms import Decision, Flag, Rollout, micros

__all__ = ["AppliedManifest", "AuditRow", "Decided", "FlagWatch", "GatewayAck", "Snapshot", "State"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a gateway needs, read at one moment: no flag in it is newer or older than `revision` says. Flags up to revision `doubted` are
    from before the store was put back to an older state.
    """

    revision: int
    manifest: AppliedManifest | None
    flags: dict[str, Flag]
    identity_key: str
    doubted: int = 0


class State(
    Alerts,
    Approvals,
    Audit,
    Drills,
    Findings,
    Former,
    Gateways,
    Hosts,
    Leases,
    Ledger,
    LocalOrders,
    Probes,
    Shadowing,
    Tallies,
    Tokens,
    Watching,
):
    """Flags, rollouts, decisions; with `Findings` (baselines, runs), `Shadowing` (pairs), `Ledger` (what a shadow costs), `Gateways`,
    `Watching`, `Tallies` (what the ingester keeps), `Audit`, `Tokens` and `Approvals` (who did what, who may), `Probes`, `Former`,
    `Drills`, `LocalOrders` and `Alerts` (the way back, and what owners are told), `Hosts` and `Leases` (who reads, who leads).
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._lease: Lease | None = None

    def fenced(self, lease: Lease) -> State:
        """The same state for whoever holds this lease: each write raises NotLeading once it is another's."""
        other = copy.copy(self)
        other._db, other._lease = self._db.fenced(fence_of(lease)), lease
        return other

    def close(self) -> None:
        """Let go of all connections."""
        self._db.close()

    # ── what gateways obey ──

    def identity_key(self) -> str:
        """The installation's key for hashing identities: made once, 256 bits, secret."""
        with self._db.read() as c:
            found = identity_key_in(c)
        if found:
            return found
        with self._db.write() as c:
            insert_missing(c, meta, [{"name": "identity_key", "value": secrets.token_hex(32)}])
            return identity_key_in(c)

    def put_manifest(self, text: str, *, by: str, at: datetime) -> int:
        """Keep the pin file that was applied; returns the new revision, since gateways obey it too. The same text again changes nothing."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._db.write() as c:
            take_revision(c)
            drills_known(c, at)
            if (former := manifest_in(c)) is not None and former.digest == digest:
                return revision_in(c)
            c.execute(insert(manifests).values(text=text, digest=digest, at_us=micros(at), by=by))
            revision = next_revision(c)
            was = None if former is None else {"pin file": former.digest}
            audited(c, at, by, f"apply: pin file {digest[:12]}", before=was, after={"pin file": digest})
            return revision

    def manifest_text(self) -> AppliedManifest | None:
        """The pin file that was applied last."""
        with self._db.read() as c:
            return manifest_in(c)

    def flags(self) -> dict[str, Flag]:
        """All flags by route."""
        with self._db.read() as c:
            return flags_in(c)

    def revision(self) -> int:
        """The store-wide revision. Read it before `flags()`, never after, or use `snapshot()`: else old flags may pass for new ones."""
        with self._db.read() as c:
            return revision_in(c)

    def snapshot(self) -> Snapshot:
        """Revision, pin file, flags and identity key of one moment."""
        with self._db.read() as c:
            put_back = put_back_in(c)
            doubted = 0 if put_back is None else put_back.revision
            found = Snapshot(revision_in(c), manifest_in(c), flags_in(c), identity_key_in(c), doubted)
        return found if found.identity_key else replace(found, identity_key=self.identity_key())

    def put_flags(self, new: Sequence[Flag], *, at: datetime, by: str = "detent") -> int:
        """Write flags of routes without a rollout, all under one new revision, which is returned."""
        with self._db.write() as c:
            revision = next_revision(c)
            was = flags_in(c)
            for flag in new:
                write_flag(c, flag, revision, at)
            before = {flag.route: was[flag.route] for flag in new if flag.route in was}
            what = f"flags of {', '.join(flag.route for flag in new)}"
            audited(c, at, by, what, before=before or None, after={flag.route: replace(flag, revision=revision) for flag in new})
            return revision

    def drop_flags(self, routes: Sequence[str], *, at: datetime, by: str) -> int:
        """Forget the flags of routes that are routes no longer, under one new revision, which is returned."""
        with self._db.write() as c:
            revision = next_revision(c)
            was = {route: flag for route, flag in flags_in(c).items() if route in routes}
            c.execute(delete(flags).where(flags.c.route.in_(routes)))
            audited(c, at, by, f"no longer routes: {', '.join(routes)}", before=was)
            return revision

    def watch(self) -> FlagWatch:
        """Something that blocks until the revision moved; see `FlagWatch.wait`."""
        return FlagWatch(self._db)

    def alone(self, name: str) -> AbstractContextManager[bool]:
        """Whether the block, of all processes that use this store, holds the name; see `store.alone`.

        A name of one who leads is that one's: a former leader that stands still with it keeps the next one from nothing.
        """
        return alone(self._db, name if self._lease is None else f"{name} {self._lease.counter}")

    # ── rollouts and decisions ──

    def open_rollout(self, rollout: Rollout, flag: Flag | None = None, *, by: str, at: datetime, why: str = "") -> Rollout:
        """Store a new rollout, and its flag if given; `why` is kept in the audit log. It was watched for 0 seconds so far.

        Raises Refused when the route has an open one, Conflict for an id that was used.
        """
        stored = replace(rollout, revision=1, watched_s=0.0)
        try:
            with self._db.write() as c:
                take_revision(c)
                there = c.scalar(select(rollouts.c.id).where(rollouts.c.route == rollout.route, rollouts.c.open))
                if there is not None:
                    raise Refused(f"route `{rollout.route}` has an open rollout: `{there}`", hint=f"end it first: detent abort {there}")
                c.execute(insert(rollouts).values(id=stored.id, opened_us=micros(stored.opened_at), **rollout_row(stored)))
                flag = drill_ended(c, rollout.route, flag, at=at, by=by, why=f"rollout {rollout.id} opens")
                was = _flag_before(c, flag)
                if flag is not None:
                    write_flag(c, flag, next_revision(c), at)
                said = f"open: {rollout.stable} -> {rollout.candidate} on {rollout.route}" + (f": {why}" if why else "")
                audited(c, at, by, said, rollout.id, {"flag": was}, {"rollout": stored, "flag": flag})
        except IntegrityError as error:
            raise Conflict(f"rollout `{rollout.id}` was opened by somebody else", hint="load again") from error
        return stored

    def rollout(self, rollout_id: str) -> Rollout:
        """One rollout. Raises InvalidInput for an id that isn't there."""
        with self._db.read() as c:
            found = c.execute(ROLLOUTS.where(rollouts.c.id == rollout_id)).first()
        if found is None:
            raise InvalidInput(f"no rollout: `{rollout_id}`", hint="see all of them with `detent status`")
        return rollout_of(found)

    def rollouts(self, route: str | None = None, *, open_only: bool = False) -> list[Rollout]:
        """Rollouts, oldest first."""
        query = ROLLOUTS.order_by(rollouts.c.opened_us, rollouts.c.id)
        if route is not None:
            query = query.where(rollouts.c.route == route)
        if open_only:
            query = query.where(rollouts.c.open)
        with self._db.read() as c:
            return [rollout_of(row) for row in c.execute(query)]

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
        decided: Rollout | None = None,
        approval: str | None = None,
    ) -> Rollout:
        """Move a rollout from `before` to `after` in one transaction, with its flag, share period, decision and audit row, or not at all.
        One that had ended and goes on ends a drill of its route.

        `approval` is the id of the one that is used up by it; `decided` is what the decision was made about where that is not `before`:
        the same with the approval. Returns the stored rollout with its new revision. Raises Conflict when it isn't at `before.revision`
        any more, or when reopening it would make a second open rollout of the route; ValueError for a flag whose split changed within a
        share period.
        """
        stored = replace(after, revision=before.revision + 1)
        try:
            with self._db.write() as c:
                reopens = before.phase.terminal and not stored.phase.terminal
                if flag is not None or reopens:
                    take_revision(c)
                where = (rollouts.c.id == before.id, rollouts.c.revision == before.revision)
                if c.execute(update(rollouts).where(*where).values(**rollout_row(stored))).rowcount != 1:
                    raise Conflict(f"rollout `{before.id}` moved on from revision {before.revision}", hint="load again, decide again")
                if approval is not None:
                    used(c, approval, at)
                if reopens:
                    flag = drill_ended(c, stored.route, flag, at=at, by=by, why=f"rollout {stored.id} goes on")
                was = _flag_before(c, flag)
                if flag is not None:
                    close_periods(c, stored.id, flag, at)
                    write_flag(c, flag, next_revision(c), at)
                if decision is not None:
                    c.execute(insert(decisions).values(**decision_row(decision, decided or before, evidence)))
                digest = None if decision is None else decision.evidence_digest
                now = {"rollout": stored, "flag": flag, "approval": approval}
                audited(c, at, by, what, stored.id, {"rollout": before, "flag": was}, now, digest)
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
        return [decided_of(row) for row in found]

    def last_decision(self, rollout_id: str) -> Decision | None:
        """The latest decision about a rollout, without what it was made from: evidence is large, and this is asked often."""
        query = select(decisions.c.body).where(decisions.c.rollout == rollout_id).order_by(decisions.c.id.desc()).limit(1)
        with self._db.read() as c:
            body = c.scalar(query)
        try:
            return None if body is None else decode(body, Decision)
        except msgspec.MsgspecError:
            return None


def _flag_before(c: Connection, flag: Flag | None) -> Flag | None:
    """The flag that this one replaces; None where none is to be written."""
    return None if flag is None else flag_in(c, flag.route)
