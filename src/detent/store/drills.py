"""Drills: their rows, the flags that move and return traffic, and who did without one.

A drill's row and its route's flag are written in one transaction, so that no traffic is moved without a row that says so. A row changes by
compare-and-set on its body: the command that began a drill and every server may look at it at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from detent.drill import with_step
from detent.errors import Conflict, InvalidInput, Refused
from detent.store.audit import audited
from detent.store.database import Database, insert_missing, upsert
from detent.store.schema import UNDER_WAY, drills, manifests, meta, rollouts, waivers
from detent.store.state_rows import AppliedManifest, encode, flag_in, next_revision, take_revision, write_flag
from detent.terms import DrillReport, DrillShare, DrillVerdict, Flag, Waiver, micros, utc

DRILLS_SINCE = "drills_since"
"""In `meta`: when a Detent that knows drills first had this store, in microseconds."""

_REPORT = msgspec.json.Decoder(DrillReport)
_WAIVER = msgspec.json.Decoder(Waiver)


class Drills:
    """Drills under way and ended, and waivers."""

    _db: Database

    def begin_drill(self, report: DrillReport, share: DrillShare | None, *, by: str, at: datetime, why: str = "") -> DrillReport:
        """Store a drill; with `share`, move traffic in the same write, else it waits for somebody to press. Returns what was stored.

        Raises Refused for a route with an open rollout or another drill under way, InvalidInput for a route without a flag.
        """
        try:
            with self._db.write() as c:
                take_revision(c)
                _refuse_rollout(c, report.route)
                stored = report if share is None else _moved(c, report, share, at)
                c.execute(insert(drills).values(id=stored.id, route=stored.route, at_us=micros(stored.began_at), body=encode(stored)))
                said = f"drill {stored.id} of {stored.route}: " + ("page" if share is None else _moving(stored))
                audited(c, at, by, said + (f": {why}" if why else ""), after=share)
        except IntegrityError as error:
            raise Refused(
                f"a drill is under way on route `{report.route}`", hint=f"see it with `detent drill --show {report.route}`"
            ) from error
        return stored

    def move_drill(self, before: DrillReport, after: DrillReport, share: DrillShare, *, by: str, at: datetime) -> DrillReport:
        """Somebody pressed: traffic moves. Raises as `begin_drill`, and Conflict where the drill has changed since it was read."""
        with self._db.write() as c:
            take_revision(c)
            _refuse_rollout(c, before.route)
            stored = _moved(c, after, share, at)
            _replace(c, before, stored)
            audited(c, at, by, f"drill {stored.id} of {stored.route}: pressed; {_moving(stored)}", after=share)
        return stored

    def put_drill(self, before: DrillReport, after: DrillReport) -> DrillReport:
        """Keep what was seen of a drill. Raises Conflict where it has changed since it was read."""
        if after != before:
            with self._db.write() as c:
                _replace(c, before, after)
        return after

    def return_drill(self, before: DrillReport, after: DrillReport, *, at: datetime) -> DrillReport:
        """Return the traffic, in one write with the row. Raises Conflict where the drill has changed since it was read."""
        with self._db.write() as c:
            take_revision(c)
            stored = replace(with_step(after, "return_written", at), returned=_taken_off(c, before, at))
            _replace(c, before, stored)
            why = f": {stored.why}" if stored.why else ""
            audited(c, at, "detent", f"drill {stored.id} of {stored.route}: traffic returned{why}", before=before, after=stored)
        return stored

    def close_drill(
        self, before: DrillReport, after: DrillReport, verdict: DrillVerdict, why: str, *, by: str, at: datetime
    ) -> DrillReport:
        """End a drill with its verdict; traffic that is still moved is returned in the same write.

        Raises Conflict where the drill has changed since it was read.
        """
        with self._db.write() as c:
            take_revision(c)
            stored = _closed(c, before, after, verdict, why, by=by, at=at)
            audited(c, at, by, f"drill {stored.id} of {stored.route} {verdict}: {why}", before=before, after=stored)
        return stored

    def drop_drill(self, route: str, drill_id: str, *, at: datetime) -> None:
        """Take a drill off a flag although its row has ended; one that is under way stays."""
        with self._db.write() as c:
            take_revision(c)
            flag = flag_in(c, route)
            still = c.scalar(select(drills.c.id).where(drills.c.id == drill_id, UNDER_WAY))
            if still is None and flag is not None and flag.drill is not None and flag.drill.drill == drill_id:
                write_flag(c, replace(flag, drill=None), next_revision(c), at)
                audited(c, at, "detent", f"drill {drill_id} of {route} taken off its flag: it has ended", before=flag.drill)

    def drill(self, drill_id: str) -> DrillReport:
        """One drill. Raises InvalidInput for an id that isn't there."""
        with self._db.read() as c:
            body = c.scalar(select(drills.c.body).where(drills.c.id == drill_id))
        if body is None:
            raise InvalidInput(f"no drill: `{drill_id}`", hint="see them with `detent drill --show`")
        return _REPORT.decode(body)

    def drills(self, route: str | None = None, *, under_way: bool = False, limit: int = 100) -> list[DrillReport]:
        """Drills, newest first."""
        query = select(drills.c.body).order_by(drills.c.at_us.desc(), drills.c.id.desc()).limit(limit)
        if route is not None:
            query = query.where(drills.c.route == route)
        if under_way:
            query = query.where(UNDER_WAY)
        with self._db.read() as c:
            return [_REPORT.decode(body) for body in c.scalars(query)]

    def know_drills(self, at: datetime) -> None:
        """This store is served by a Detent that knows drills; the first time is kept."""
        if self.drills_since() is None:
            with self._db.write() as c:
                drills_known(c, at)

    def drills_since(self) -> datetime | None:
        """When this store first knew drills: no way back is overdue by what was before that. None: not yet."""
        with self._db.read() as c:
            found = c.scalar(select(meta.c.value).where(meta.c.name == DRILLS_SINCE))
        return None if found is None else utc(int(found))

    def waive_drill(self, waiver: Waiver) -> None:
        """Somebody does without a drill, by name and with a reason."""
        with self._db.write() as c:
            row = {"route": waiver.route, "at_us": micros(waiver.at), "by": waiver.by, "why": waiver.why, "body": encode(waiver)}
            upsert(c, waivers, [row])
            until = f"{waiver.until_at:%Y-%m-%d %H:%M} UTC"
            audited(c, waiver.at, waiver.by, f"drill of {waiver.route} waived until {until}: {waiver.why}", after=waiver)

    def drill_waiver(self, route: str) -> Waiver | None:
        """The latest waiver of a route, in force or not."""
        query = select(waivers.c.body).where(waivers.c.route == route).order_by(waivers.c.at_us.desc()).limit(1)
        with self._db.read() as c:
            body = c.scalar(query)
        return None if body is None else _WAIVER.decode(body)

    def applied_manifests(self) -> Iterator[AppliedManifest]:
        """Every pin file that was applied, newest first; read one at a time, as most readers need a few."""
        last: int | None = None
        while True:
            query = select(manifests).order_by(manifests.c.id.desc()).limit(1)
            with self._db.read() as c:
                row = c.execute(query if last is None else query.where(manifests.c.id < last)).first()
            if row is None:
                return
            last = row.id
            yield AppliedManifest(row.text, row.digest, utc(row.at_us), row.by)


def drills_known(c: Connection, at: datetime) -> None:
    """Keep when drills were first known here, inside a write."""
    insert_missing(c, meta, [{"name": DRILLS_SINCE, "value": str(micros(at))}])


def drill_ended(c: Connection, route: str, flag: Flag | None, *, at: datetime, by: str, why: str) -> Flag | None:
    """End a drill that is under way on a route as aborted, inside somebody else's write that goes on with the route and has the revision.

    Returns the flag that this write is to write, without the drill: `flag`, or the one in force where only the drill has to go.
    """
    body = c.scalar(select(drills.c.body).where(drills.c.route == route, UNDER_WAY))
    current = flag if flag is not None else flag_in(c, route)
    if body is not None:
        before = _REPORT.decode(body)
        ended = replace(before, verdict="aborted", why=why, ended_at=at)
        moved = before.revision and not before.returned
        _replace(c, before, with_step(ended, "return_written", at) if moved else ended, ended=at)
    if current is None or current.drill is None:
        return flag
    return replace(current, drill=None)


def _refuse_rollout(c: Connection, route: str) -> None:
    there = c.scalar(select(rollouts.c.id).where(rollouts.c.route == route, rollouts.c.open))
    if there is not None:
        raise Refused(
            f"route `{route}` has an open rollout, whose own way back is its stable version: `{there}`",
            hint=f"drill after its end; `detent explain {there}` tells where it stands",
        )


def _moving(report: DrillReport) -> str:
    return f"{100 * report.share:g} % of units to {report.version} for {report.lasts_s:g}s at most"


def _moved(c: Connection, report: DrillReport, share: DrillShare, at: datetime) -> DrillReport:
    """Write the flag that moves traffic."""
    flag = flag_in(c, report.route)
    if flag is None:
        raise InvalidInput(f"no such route in force: `{report.route}`", hint="apply the pin file that has it: `detent apply`")
    revision = next_revision(c)
    write_flag(c, replace(flag, drill=share), revision, at)
    return replace(with_step(report, "written", at), revision=revision)


def _taken_off(c: Connection, report: DrillReport, at: datetime) -> int:
    """Take the drill off its route's flag, if it is still there; the revision without it."""
    flag = flag_in(c, report.route)
    revision = next_revision(c)
    if flag is not None and flag.drill is not None and flag.drill.drill == report.id:
        write_flag(c, replace(flag, drill=None), revision, at)
    return revision


def _closed(
    c: Connection, before: DrillReport, after: DrillReport, verdict: DrillVerdict, why: str, *, by: str, at: datetime
) -> DrillReport:
    if before.revision and not before.returned:
        after = replace(with_step(after, "return_written", at, f"by {by}"), returned=_taken_off(c, before, at))
    stored = replace(after, verdict=verdict, why=why, ended_at=at)
    _replace(c, before, stored, ended=at)
    return stored


def _replace(c: Connection, before: DrillReport, after: DrillReport, *, ended: datetime | None = None) -> None:
    where = (drills.c.id == before.id, drills.c.body == encode(before), UNDER_WAY)
    values = {"body": encode(after), "ended_us": None if ended is None else micros(ended)}
    if c.execute(update(drills).where(*where).values(**values)).rowcount != 1:
        raise Conflict(f"drill `{before.id}` moved on", hint="look again")
