"""The part of the state that the ingester keeps: units, label counts, exposure counts, minute sums, and how far each spool is folded in.

`fold` and `seal` are one transaction each. The spool position is written in the transaction that stores what was read up to it, by
compare-and-set: whoever is killed, wherever, and however many ingesters there are, an entry counts exactly once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, or_, select, update

from detent.errors import Conflict
from detent.evidence import CONTROL, Cell, LabelCount
from detent.evidence.identity import violations
from detent.evidence.minutes import MinuteKey, MinuteSums
from detent.evidence.units import SEGMENT_VALUES, Changes, Exposed, Label, Running, UnitKey, Units, segments_of
from detent.store.database import Database, insert_missing, upsert
from detent.store.schema import (
    answered,
    counters,
    exposed,
    exposure_counts,
    label_counts,
    minute_sums,
    not_mirrored,
    segment_counts,
    segment_values,
    share_periods,
    spools,
    units,
)
from detent.store.spool import START, Position
from detent.store.unit_rows import ARMS, UNIT_COLUMNS, exposed_of, load_units, running_of, store_units
from detent.terms import Arm, Exposure


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
    """A batch of entries: its spools' moves, its minute sums, answers by (rollout, model sent, model answered), units that it names, how
    many pieces of feedback in it are about nobody, and what was not mirrored by (rollout, reason, why).
    """

    moves: Sequence[SpoolMove]
    minutes: Mapping[MinuteKey, MinuteSums]
    answered: Mapping[tuple[str, str, str], int]
    units: Iterable[UnitKey]
    unmatched: int = 0
    not_mirrored: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


UNMATCHED = "unmatched"
"""The counter of feedback about nobody."""

OTHER = "other"
"""The segment of all values of a dimension beyond those that are counted apart."""

_MINUTE = msgspec.json.Decoder(MinuteSums)  # built at import, as in state.py


class Tallies:
    """What the ingester keeps. Reading it costs the same however much traffic there was: sums only, no record and no unit."""

    _db: Database

    # ── read by evidence and charts ──

    def labels(self, rollout: str) -> dict[str, dict[Cell, dict[int, int]]]:
        """Sealed units of a rollout by metric, cell and bucket: all units, and those of the control slice. No segment.

        What decisions read: ten thousand rows, ten times a second.
        """
        t = label_counts
        query = select(t.c.guard, t.c.period, t.c.slice, t.c.arm, t.c.bucket, t.c.n).where(t.c.rollout == rollout)
        with self._db.read() as c:
            found = c.execute(query.order_by(t.c.guard, t.c.period, t.c.slice, t.c.arm, t.c.bucket)).all()
        labels: dict[str, dict[Cell, dict[int, int]]] = {}
        last: tuple[object, ...] = ()
        cell: dict[int, int] = {}
        for guard, period, slice_, arm, bucket, n in found:
            if (guard, period, slice_, arm) != last:
                last = (guard, period, slice_, arm)
                cell = labels.setdefault(guard, {}).setdefault((period, slice_, ARMS[arm]), {})
            cell[bucket] = n
        return labels

    def label_counts(self, rollout: str) -> list[LabelCount]:
        """The same as rows."""
        return [
            LabelCount(metric, *cell, bucket, n)
            for metric, cells in self.labels(rollout).items()
            for cell, buckets in cells.items()
            for bucket, n in buckets.items()
        ]

    def segment_counts(self, rollout: str) -> list[LabelCount]:
        """Sealed units of a rollout by segment (its `slice`), guard, share period, arm and bucket; values in coarse buckets."""
        t = segment_counts
        columns = (t.c.guard, t.c.period, t.c.slice, t.c.arm, t.c.bucket, t.c.n)
        with self._db.read() as c:
            found = c.execute(select(*columns).where(t.c.rollout == rollout).order_by(*columns[:-1])).all()
        return [LabelCount(guard, period, slice_, ARMS[arm], bucket, n) for guard, period, slice_, arm, bucket, n in found]

    def unmatched_feedback(self) -> int:
        """How many pieces of feedback, ever, were about an answer or session that is on no record."""
        with self._db.read() as c:
            return int(c.scalar(select(counters.c.n).where(counters.c.name == UNMATCHED)) or 0)

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
            changes = work(load_units(c, batch.units))
            store_units(c, changes)
            _add_minutes(c, batch.minutes)
            rows = [{"rollout": r, "sent": s, "model": m, "n": n} for (r, s, m), n in batch.answered.items()]
            upsert(c, answered, rows, add=("n",))
            if batch.unmatched:
                upsert(c, counters, [{"name": UNMATCHED, "n": batch.unmatched}], add=("n",))
            left_out = [{"rollout": r, "reason": reason, "why": why, "n": n} for (r, reason, why), n in sorted(batch.not_mirrored.items())]
            upsert(c, not_mirrored, left_out, add=("n",))

    def seal(self, watermark_us: int, label_of: Callable[[Running], Label], *, limit: int, but: Collection[str] = ()) -> int:
        """Seal at most `limit` units that were due before the watermark, each into its label counts, once. Returns how many.

        `but`: not those of these hosts, which seal them by their own clocks.
        """
        due = (units.c.bucket.is_(None), units.c.due_us < watermark_us)
        of_unit = (exposed.c.rollout == units.c.rollout) & (exposed.c.unit == units.c.unit)
        ours = (or_(exposed.c.host.is_(None), exposed.c.host.not_in(sorted(but))),) if but else ()
        query = select(units, exposed).join(exposed, of_unit).where(*due, *ours).order_by(units.c.due_us).limit(limit)
        with self._db.read() as c:
            if c.scalar(select(units.c.due_us).where(*due).limit(1)) is None:
                return 0
            if but and c.execute(query.limit(1)).first() is None:
                return 0
        with self._db.write() as c:
            _take_turns(c)
            found = c.execute(query).all()
            if not found:
                return 0
            whole: Counter[tuple[str, str, int, str, str, int]] = Counter()
            parts: Counter[tuple[str, str, int, str, str, str, int]] = Counter()
            sealed = []
            seen: dict[UnitKey, Exposed] = {}  # a unit comes once for each of its guards
            for columns in found:
                row = running_of(columns[:UNIT_COLUMNS])
                unit = seen.get(row.key) or seen.setdefault(row.key, exposed_of(columns[UNIT_COLUMNS:]))
                (rollout, name), guard, period, arm, label = row.key, row.guard, unit.period, unit.arm.value, label_of(row)
                whole[rollout, guard, period, "", arm, label.bucket] += 1
                if unit.control:
                    whole[rollout, guard, period, CONTROL, arm, label.bucket] += 1
                if label.in_segments is not None:
                    for dimension, value in segments_of(unit, row.due_us):
                        parts[rollout, guard, period, dimension, value, arm, label.in_segments] += 1
                sealed.append({"r": rollout, "u": name, "g": guard, "b": label.bucket})
            here = (units.c.rollout == bindparam("r"), units.c.unit == bindparam("u"), units.c.guard == bindparam("g"))
            c.execute(update(units).where(*here).values(bucket=bindparam("b")), sealed)
            _add_counts(c, label_counts, whole)
            _add_counts(c, segment_counts, _within_bounds(c, parts))
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


def _add_counts(c: Connection, table: Table, counts: Mapping[tuple[str, str, int, str, str, int], int]) -> None:
    names = ("rollout", "guard", "period", "slice", "arm", "bucket")
    upsert(c, table, [{**dict(zip(names, key, strict=True)), "n": n} for key, n in sorted(counts.items())], add=("n",))


def _within_bounds(
    c: Connection, parts: Mapping[tuple[str, str, int, str, str, str, int], int]
) -> Counter[tuple[str, str, int, str, str, int]]:
    """Counts by segment; values of a dimension beyond the first `SEGMENT_VALUES` become `other`."""
    known: dict[tuple[str, str], set[str]] = {}
    t = segment_values
    for rollout in {key[0] for key in parts}:
        for row in c.execute(select(t.c.dimension, t.c.value).where(t.c.rollout == rollout)):
            known.setdefault((rollout, row.dimension), set()).add(row.value)
    new: list[dict[str, str]] = []
    counts: Counter[tuple[str, str, int, str, str, int]] = Counter()
    for (rollout, guard, period, dimension, value, arm, bucket), n in sorted(parts.items()):
        there = known.setdefault((rollout, dimension), set())
        if value not in there and len(there) < SEGMENT_VALUES:
            there.add(value)
            new.append({"rollout": rollout, "dimension": dimension, "value": value})
        counts[rollout, guard, period, f"{dimension}={value if value in there else OTHER}", arm, bucket] += n
    insert_missing(c, segment_values, new)
    return counts


def _add_minutes(c: Connection, sums: Mapping[MinuteKey, MinuteSums]) -> None:
    t = minute_sums
    rows = []
    for key, added in sums.items():
        body = c.scalar(select(t.c.body).where(*(t.c[name] == value for name, value in key._asdict().items())))
        held = _MINUTE.decode(body) if body is not None else MinuteSums()
        rows.append({**key._asdict(), "body": msgspec.json.encode(held + added).decode()})
    upsert(c, t, rows)


def _minute(row: Any) -> tuple[MinuteKey, MinuteSums]:
    key = MinuteKey(row.minute_us, row.route, row.rollout, row.role, row.arm, row.version)
    return key, _MINUTE.decode(row.body)
