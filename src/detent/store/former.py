"""Versions that a route was pinned to and is no longer: kept until somebody retires them.

Which one is a route's way back is for gateways to know as well, who may copy requests to it: each change raises the revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from detent.errors import InvalidInput
from detent.store.audit import audited
from detent.store.database import Database, upsert
from detent.store.rows import rows_in
from detent.store.schema import former_versions, rollouts
from detent.store.state_rows import ROLLOUTS, next_revision, rollout_of, take_revision
from detent.terms import FormerVersion, Rollout, Version, micros, utc


class Former:
    """The former versions of each route."""

    _db: Database

    def keep_former(self, rollout: Rollout) -> bool:
        """Keep the version that a rollout that is done moved its route away from; whether it was not kept so already.

        One that was retired and has been the pin again since is kept anew.
        """
        if rollout.ended_at is None:
            raise ValueError(f"rollout `{rollout.id}` has not ended")
        since, of = micros(rollout.ended_at), _of(rollout.route, rollout.stable)
        there = select(former_versions.c.rollout).where(*of, former_versions.c.since_us >= since)
        with self._db.read() as c:  # nearly always it is kept: that must not make anybody wait for a writer's turn
            if c.scalar(there) is not None:
                return False
        with self._db.write() as c:
            take_revision(c)
            if c.scalar(there) is not None:
                return False
            next_revision(c)
            row = {"route": rollout.route, "version": str(rollout.stable), "since_us": since, "rollout": rollout.id}
            upsert(c, former_versions, [{**row, "retired_us": None, "retired_by": None, "why": None}])
            return True

    def ended_rollouts(self, known: Mapping[str, int]) -> list[Rollout]:
        """Rollouts that have ended, oldest first, but for those that are `known` by id at this very revision."""
        ended = select(rollouts.c.id, rollouts.c.revision).where(rollouts.c.open.is_(False))
        with self._db.read() as c:
            news = [row.id for row in c.execute(ended) if known.get(row.id) != row.revision]
            query = ROLLOUTS.where(rollouts.c.open.is_(False)).order_by(rollouts.c.opened_us, rollouts.c.id)
            return [rollout_of(row) for row in (rows_in(c, query, rollouts.c.id, news) if news else ())]

    def former_versions(self, route: str | None = None, *, retired: bool = False) -> list[FormerVersion]:
        """Former versions, newest first; without those that were retired, unless they are asked for."""
        query = select(former_versions).order_by(former_versions.c.since_us.desc(), former_versions.c.version)
        if route is not None:
            query = query.where(former_versions.c.route == route)
        if not retired:
            query = query.where(former_versions.c.retired_us.is_(None))
        with self._db.read() as c:
            return [_former(row) for row in c.execute(query)]

    def retire(self, route: str, version: Version, *, by: str, why: str, at: datetime) -> None:
        """Let go of a former version. Raises InvalidInput for one that the route has not kept."""
        with self._db.write() as c:
            next_revision(c)
            kept = update(former_versions).where(*_of(route, version), former_versions.c.retired_us.is_(None))
            if c.execute(kept.values(retired_us=micros(at), retired_by=by, why=why)).rowcount != 1:
                raise InvalidInput(f"not a version that route `{route}` keeps: `{version}`", hint="see them with `detent status`")
            audited(c, at, by, f"retire: {version} of {route}: {why}")


def _of(route: str, version: Version) -> tuple[Any, ...]:
    return former_versions.c.route == route, former_versions.c.version == str(version)


def _former(row: Any) -> FormerVersion:
    provider, _, model = row.version.partition("/")
    return FormerVersion(
        route=row.route,
        version=Version(provider, model),
        since=utc(row.since_us),
        rollout=row.rollout,
        retired_at=None if row.retired_us is None else utc(row.retired_us),
        retired_by=row.retired_by or "",
        why=row.why or "",
    )
