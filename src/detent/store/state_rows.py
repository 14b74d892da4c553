"""Flags, rollouts, decisions and the pin file as rows, and the statements that more than one write of state is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, select, update

from detent.store.database import insert_missing, upsert
from detent.store.flag_watch import announce
from detent.store.schema import counters, flags, manifests, meta, rollouts, share_periods, watched
from detent.terms import Decision, Flag, PutBack, Rollout, Verb, micros, utc

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AppliedManifest:
    """The pin file that was applied last, as it was written, and on whose word."""

    text: str
    digest: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, the evidence it was made from, and the rollout as it was before; None of one that an older Detent stored.

    `unreadable` says why its row cannot be read; what can of it is there all the same.
    """

    decision: Decision
    evidence: bytes
    before: Rollout | None
    unreadable: str = ""


# Built at import: msgspec works a dataclass out at its first use, and several threads at their first use at once crash the process.
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(kind) for kind in (Decision, Flag, PutBack, Rollout)}

PUT_BACK = "put_back"
"""The row of `meta` that says when the store was last found to be older than what gateways had obeyed."""


def encode(value: object) -> str:
    """The JSON of a value, as a body."""
    return msgspec.json.encode(value).decode()


def decode(body: str, kind: type[_T]) -> _T:
    """The value in a body. Raises msgspec.MsgspecError for what is none of that kind."""
    value: _T = _DECODERS[kind].decode(body)
    return value


def identity_key_in(c: Connection) -> str:
    """The installation's key; empty before it is made."""
    return c.scalar(select(meta.c.value).where(meta.c.name == "identity_key")) or ""


def put_back_in(c: Connection) -> PutBack | None:
    """When the store was last found to have been put back to an older state."""
    body = c.scalar(select(meta.c.value).where(meta.c.name == PUT_BACK))
    return None if body is None else decode(body, PutBack)


def manifest_in(c: Connection) -> AppliedManifest | None:
    """The pin file that was applied last."""
    row = c.execute(select(manifests).order_by(manifests.c.id.desc()).limit(1)).first()
    return None if row is None else AppliedManifest(row.text, row.digest, utc(row.at_us), row.by)


def flags_in(c: Connection) -> dict[str, Flag]:
    """All flags by route."""
    return {row.route: decode(row.body, Flag) for row in c.execute(select(flags.c.route, flags.c.body).order_by(flags.c.route))}


def flag_in(c: Connection, route: str) -> Flag | None:
    """The flag of a route."""
    body = c.scalar(select(flags.c.body).where(flags.c.route == route))
    return None if body is None else decode(body, Flag)


def revision_in(c: Connection) -> int:
    """The store-wide revision."""
    return int(c.scalar(select(counters.c.n).where(counters.c.name == "revision")) or 0)


def take_revision(c: Connection) -> None:
    """Wait until this write is the only one that may change flags, until its end; on SQLite it is that from its first statement on.

    The order of all locks of state, on PostgreSQL: the revision, then rows of rollouts, drills and flags, then the audit log. A write that
    raises the revision takes it before it reads or writes a row: what it read before may be another's by the time it writes.
    """
    if c.dialect.name != "sqlite":
        c.execute(select(counters.c.n).where(counters.c.name == "revision").with_for_update())


def next_revision(c: Connection) -> int:
    """Raise the store-wide revision, and tell those who wait for it; returns the new one. For the order of locks see `take_revision`."""
    # On PostgreSQL the row's lock makes writers take turns here, so that revisions become visible in their order.
    c.execute(update(counters).where(counters.c.name == "revision").values(n=counters.c.n + 1))
    revision = revision_in(c)
    announce(c, revision)  # in the same transaction: told when it is committed, or never
    return revision


def write_flag(c: Connection, flag: Flag, revision: int, at: datetime) -> None:
    """Write a flag, and begin its share period. Raises ValueError for a split that changed within one."""
    stored = replace(flag, revision=revision, written_at=at)
    upsert(c, flags, [{"route": flag.route, "revision": revision, "body": encode(stored)}])
    if flag.rollout is None:
        return
    where = (share_periods.c.rollout == flag.rollout, share_periods.c.period == flag.period)
    former = c.scalar(select(share_periods.c.split).where(*where))
    if former is not None and former != flag.split:
        raise ValueError(f"period {flag.period} of `{flag.rollout}` has split {former:g}: a split of {flag.split:g} begins a new one")
    row = {"rollout": flag.rollout, "period": flag.period, "split": flag.split, "from_us": micros(at), "until_us": None}
    insert_missing(c, share_periods, [row])


def close_periods(c: Connection, rollout: str, flag: Flag, at: datetime) -> None:
    """End the share periods of a rollout that this flag does not continue."""
    ending = update(share_periods).where(share_periods.c.rollout == rollout, share_periods.c.until_us.is_(None))
    if flag.rollout == rollout:
        ending = ending.where(share_periods.c.period != flag.period)
    c.execute(ending.values(until_us=micros(at)))


ROLLOUTS = select(rollouts.c.body, watched.c.watched_us).outerjoin(watched, watched.c.rollout == rollouts.c.id)


def rollout_of(row: Any) -> Rollout:
    """The rollout in a row of `ROLLOUTS`."""
    return replace(decode(row.body, Rollout), watched_s=(row.watched_us or 0) / 1_000_000)


def decided_of(row: Any) -> Decided:
    """A row that cannot be read is told as such: it must not hide the others."""
    unknown = Decision(rollout=row.rollout, verb=Verb.HOLD, reason="Unreadable", sentence="", at=utc(row.at_us), evidence_digest="")
    decision, before, why = unknown, None, ""
    try:
        decision = decode(row.body, Decision)
        before = None if row.before is None else decode(row.before, Rollout)
    except msgspec.MsgspecError as error:
        why = f"its row cannot be read: {error}"
    return Decided(decision, row.evidence, before, why)


def rollout_row(rollout: Rollout) -> dict[str, Any]:
    """The columns of a rollout that change with it."""
    open_ = not rollout.phase.terminal
    return {"route": rollout.route, "open": open_, "revision": rollout.revision, "body": encode(rollout)}


def decision_row(decision: Decision, about: Rollout, evidence: bytes | None) -> dict[str, Any]:
    """A row of `decisions`: what was decided about this rollout, from which evidence."""
    row = {"rollout": decision.rollout, "at_us": micros(decision.at), "body": encode(decision), "before": encode(about)}
    return row | {"evidence": evidence or b""}
