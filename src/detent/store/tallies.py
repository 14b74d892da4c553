"""The part of the state that the ingester keeps: units, label counts, exposure counts, minute sums, and how far each spool is folded in.

`fold` and `seal` are one transaction each. The spool position is written in the transaction that stores what was read up to it, by
compare-and-set: whoever is killed, wherever, and however many ingesters there are, an entry counts exactly once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from detent.errors import Conflict
from detent.evidence import LabelCount
from detent.evidence.identity import violations
from detent.evidence.minutes import MinuteKey, MinuteSums
from detent.evidence.units import Changes, Exposed, Running, UnitKey, Units
from detent.store.database import Database, insert_missing, upsert
from detent.store.schema import answered, counters, exposed, exposure_counts, label_counts, minute_sums, share_periods, spools, units
from detent.store.spool import START, Position
from detent.terms import Arm, Exposure, UnitKind

SLICE = ""
"""The only slice of label counts so far."""


@dataclass(frozen=True, slots=True)
class SpoolMark:
    """How far a spool is folded in, its last sign of life until there (0: none), and whether it is dead and done with."""

    position: Position = START
    last_us: int = 0
    finished: bool = False


@dataclass(frozen=True, slots=True)
class SpoolMove:
    """A spool's mark as the ingester knew it, and as it will be once the batch is stored."""

    name: str
    before: SpoolMark
    after: SpoolMark


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of entries: its spools' moves, its minute sums, answers by (rollout, model sent, model answered), units that it names."""

    moves: Sequence[SpoolMove]
    minutes: Mapping[MinuteKey, MinuteSums]
    answered: Mapping[tuple[str, str, str], int]
    units: Iterable[UnitKey]


_MINUTE = msgspec.json.Decoder(MinuteSums)  # built at import, as in state.py


class Tallies:
    """What the ingester keeps. Reading it costs the same however much traffic there was: sums only, no record and no unit."""

    _db: Database

    # ── read by evidence and charts ──

    def label_counts(self, rollout: str) -> list[LabelCount]:
        """Sealed units of a rollout by guard, share period, slice, arm and bucket."""
        t = label_counts
        query = select(t).where(t.c.rollout == rollout).order_by(t.c.guard, t.c.period, t.c.slice, t.c.arm, t.c.bucket)
        with self._db.read() as c:
            return [
                LabelCount(metric=row.guard, period=row.period, slice=row.slice, arm=Arm(row.arm), bucket=row.bucket, n=row.n)
                for row in c.execute(query)
            ]

    def exposure(self, rollout: str) -> tuple[Exposure, ...]:
        """Randomised units by share period and arm of their first exposure; a row for each period in which a split was in force."""
        with self._db.read() as c:
            of_rollout = select(share_periods.c.period, share_periods.c.split).where(share_periods.c.rollout == rollout)
            splits: dict[int, float] = {row.period: row.split for row in c.execute(of_rollout)}
            found = c.execute(select(exposure_counts).where(exposure_counts.c.rollout == rollout)).all()
        n = Counter({(row.period, row.arm): row.units for row in found})
        periods = {row.period for row in found if row.units} | {period for period, split in splits.items() if 0.0 < split < 1.0}
        return tuple(
            Exposure(period=p, split=splits.get(p, 0.0), candidate=n[p, Arm.CANDIDATE.value], stable=n[p, Arm.STABLE.value])
            for p in sorted(periods)
        )

    def users(self, rollout: str) -> tuple[int, int]:
        """(units that were ever assigned to the candidate, units seen in all), of the units first exposed while randomised."""
        with self._db.read() as c:
            found = c.execute(select(exposure_counts).where(exposure_counts.c.rollout == rollout)).all()
        return sum(row.saw_candidate for row in found), sum(row.units for row in found)

    def identity_violations(self, rollout: str) -> tuple[str, ...]:
        """Sentences about answers of this rollout whose model isn't the one that was sent for."""
        names: defaultdict[str, dict[str, int]] = defaultdict(dict)
        with self._db.read() as c:
            for row in c.execute(select(answered).where(answered.c.rollout == rollout)):
                names[row.sent][row.model] = row.n
        return violations(names)

    def minute_sums(self, route: str, since_us: int = 0) -> list[tuple[MinuteKey, MinuteSums]]:
        """Minute sums of a route, oldest first."""
        t = minute_sums
        query = select(t).where(t.c.route == route, t.c.minute_us >= since_us)
        with self._db.read() as c:
            found = [_minute(row) for row in c.execute(query)]
        return sorted(found, key=lambda pair: pair[0])

    # ── written by the ingester ──

    def spool_marks(self) -> dict[str, SpoolMark]:
        """How far each spool is folded in."""
        with self._db.read() as c:
            found = c.execute(select(spools)).all()
        return {row.name: SpoolMark(Position(row.segment, row.offset), row.last_us, row.finished) for row in found}

    def forget_spool(self, name: str) -> None:
        """Drop the mark of a finished spool, once nobody can read it again."""
        with self._db.write() as c:
            c.execute(delete(spools).where(spools.c.name == name, spools.c.finished))

    def fold(self, batch: Batch, work: Callable[[Units], Changes]) -> None:
        """Store a batch, its units changed by `work` (pure), and the spools' new marks: all of it or nothing.

        Raises Conflict when a spool isn't where `batch` says: another ingester was here first.
        """
        with self._db.write() as c:
            _take_turns(c)
            _move(c, batch.moves)
            changes = work(_load_units(c, batch.units))
            _store_units(c, changes)
            _add_minutes(c, batch.minutes)
            rows = [{"rollout": r, "sent": s, "model": m, "n": n} for (r, s, m), n in batch.answered.items()]
            upsert(c, answered, rows, add=("n",))

    def seal(self, watermark_us: int, bucket_of: Callable[[Running], int], *, limit: int) -> int:
        """Seal at most `limit` units that were due before the watermark, each into one label count, once. Returns how many."""
        due = (units.c.bucket.is_(None), units.c.due_us < watermark_us)
        with self._db.read() as c:
            if c.scalar(select(units.c.due_us).where(*due).limit(1)) is None:
                return 0
        query = (
            select(units, exposed.c.arm, exposed.c.period)
            .join(exposed, (exposed.c.rollout == units.c.rollout) & (exposed.c.unit == units.c.unit))
            .where(*due)
            .order_by(units.c.due_us)
            .limit(limit)
        )
        with self._db.write() as c:
            _take_turns(c)
            labels: Counter[tuple[str, str, int, str, int]] = Counter()
            sealed = []
            for row in c.execute(query).all():
                bucket = bucket_of(_running(row))
                labels[row.rollout, row.guard, row.period, row.arm, bucket] += 1
                sealed.append({"r": row.rollout, "u": row.unit, "g": row.guard, "b": bucket})
            if not sealed:
                return 0
            here = (units.c.rollout == bindparam("r"), units.c.unit == bindparam("u"), units.c.guard == bindparam("g"))
            c.execute(update(units).where(*here).values(bucket=bindparam("b")), sealed)
            names = ("rollout", "guard", "period", "arm", "bucket")
            rows = [{**dict(zip(names, key, strict=True)), "slice": SLICE, "n": n} for key, n in labels.items()]
            upsert(c, label_counts, rows, add=("n",))
        return len(sealed)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _take_turns(c: Connection) -> None:
    """One ingester at a time: on PostgreSQL the row's lock, on SQLite (which ignores FOR UPDATE) the write transaction itself."""
    c.execute(select(counters.c.n).where(counters.c.name == "ingest").with_for_update())


def _move(c: Connection, moves: Sequence[SpoolMove]) -> None:
    for move in moves:
        was, now = move.before, move.after
        start = {"name": move.name, "segment": 1, "offset": 0, "last_us": 0, "finished": False}
        insert_missing(c, spools, [start])
        here = (spools.c.name == move.name, spools.c.segment == was.position.segment, spools.c.offset == was.position.offset)
        moved = update(spools).where(*here, spools.c.finished.is_(False))
        done = moved.values(segment=now.position.segment, offset=now.position.offset, last_us=now.last_us, finished=now.finished)
        if c.execute(done).rowcount != 1:
            raise Conflict(f"spool `{move.name}` was read on by another ingester", hint="one ingester a host is enough")


def _load_units(c: Connection, keys: Iterable[UnitKey]) -> Units:
    of_rollout: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        of_rollout[key.rollout].append(key.unit)
    found: dict[UnitKey, Exposed] = {}
    running: defaultdict[UnitKey, dict[str, Running]] = defaultdict(dict)
    for rollout, names in of_rollout.items():
        for row in c.execute(select(exposed).where(exposed.c.rollout == rollout, exposed.c.unit.in_(names))):
            key = UnitKey(row.rollout, row.unit)
            found[key] = Exposed(key, UnitKind(row.kind), Arm(row.arm), row.period, row.first_us, row.saw_candidate)
        for row in c.execute(select(units).where(units.c.rollout == rollout, units.c.unit.in_(names))):
            running[UnitKey(row.rollout, row.unit)][row.guard] = _running(row)
    return Units(found, running)


def _store_units(c: Connection, changes: Changes) -> None:
    upsert(
        c,
        exposed,
        [
            {
                "rollout": unit.key.rollout,
                "unit": unit.key.unit,
                "kind": unit.kind.value,
                "arm": unit.arm.value,
                "period": unit.period,
                "first_us": unit.first_us,
                "saw_candidate": unit.saw_candidate,
            }
            for unit in changes.exposed
        ],
    )
    running = [
        {
            "rollout": row.key.rollout,
            "unit": row.key.unit,
            "guard": row.guard,
            "due_us": row.due_us,
            "said": row.said,
            "events": row.events,
            "total": row.total,
            "bucket": row.bucket,
        }
        for row in changes.running
    ]
    upsert(c, units, running)
    counts = [
        {"rollout": e.rollout, "period": e.period, "arm": e.arm.value, "units": e.units, "saw_candidate": e.saw_candidate}
        for e in changes.exposing
    ]
    upsert(c, exposure_counts, counts, add=("units", "saw_candidate"))


def _add_minutes(c: Connection, sums: Mapping[MinuteKey, MinuteSums]) -> None:
    t = minute_sums
    rows = []
    for key, added in sums.items():
        body = c.scalar(select(t.c.body).where(*(t.c[name] == value for name, value in key._asdict().items())))
        held = _MINUTE.decode(body) if body is not None else MinuteSums()
        rows.append({**key._asdict(), "body": msgspec.json.encode(held + added).decode()})
    upsert(c, t, rows)


def _running(row: Any) -> Running:
    return Running(UnitKey(row.rollout, row.unit), row.guard, row.due_us, row.said, row.events, row.total, row.bucket)


def _minute(row: Any) -> tuple[MinuteKey, MinuteSums]:
    key = MinuteKey(row.minute_us, row.route, row.rollout, row.role, row.arm, row.version)
    return key, _MINUTE.decode(row.body)
