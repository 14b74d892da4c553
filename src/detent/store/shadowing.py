"""The part of the state that a shadow writes: scored pairs, and the sums that decisions read of them.

A pair is kept once and folded once, in the order in which they arrived, but for turns that wait for an earlier one: its mark is written in
the transaction that adds it to the sums, by one folder at a time. Whoever is killed, wherever, leaves pairs that wait, and never one that
counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, bindparam, select, update

from detent.diff import BENIGN, CHANGES
from detent.evidence.pair_clusters import bands_of
from detent.evidence.pair_fold import CLUSTER, DAY_US, Conversation, Day, PairFold, Rows, Seen, values_of
from detent.evidence.pair_sums import ANY_CHANGE, CHANGE, OTHER, FieldSums, Sums, begun, compared_by, evidence_of, heaviest
from detent.store.alone import take_turns
from detent.store.database import Database, insert_missing, upsert
from detent.store.schema import (
    UNJUDGED,
    WAITING,
    counters,
    pair_judgements,
    pairs,
    shadow_buckets,
    shadow_classes,
    shadow_clusters,
    shadow_conversations,
    shadow_days,
    shadow_fields,
    shadow_sums,
)
from detent.terms import DayOfPairs, Group, Pair, PairJudgement, Rollout, ShadowEvidence

# Built at import, as in state.py: threads that work a dataclass out at once crash the process.
_PAIR, _SUMS, _JUDGEMENT = msgspec.json.Decoder(Pair), msgspec.json.Decoder(Sums), msgspec.json.Decoder(PairJudgement)
_EXAMPLES, _MET = msgspec.json.Decoder(list[tuple[int, str]]), msgspec.json.Decoder(dict[str, int])

AT_ONCE = 100
"""How many pairs are folded in one transaction: a rollback waits behind it, where a store has only one writer."""

_COMPARABLE, _APART = 1, 2
_KEYS_AT_ONCE = 400
_NAMED = tuple(row.name for row in CHANGES if row.name not in BENIGN)


def put_pairs(c: Connection, new: Sequence[Pair]) -> None:
    """Keep scored pairs within a write transaction; one whose (rollout, exchange) is there already stays as it is."""
    if not new:
        return
    upsert(c, counters, [{"name": "pairs", "n": len(new)}], add=("n",))
    first = int(c.scalar(select(counters.c.n).where(counters.c.name == "pairs")) or 0) - len(new)
    rows = [
        {"rollout": p.rollout, "exchange": p.exchange, "body": msgspec.json.encode(p).decode(), "arrived": first + n, "folded": 0}
        for n, p in enumerate(new)
    ]
    insert_missing(c, pairs, rows)


class Shadowing:
    """Scored pairs and what they add up to."""

    _db: Database

    # ── written by who scores ──

    def add_pairs(self, new: Sequence[Pair]) -> None:
        """Keep scored pairs; one whose (rollout, exchange) is there already stays as it is. They count once they are folded."""
        if new:
            with self._db.write() as c:
                put_pairs(c, new)

    def fold_pairs(self, rollout: Rollout, route_checks: Sequence[str], going: Callable[[], bool] = lambda: True) -> int:
        """Fold the pairs that wait into the rollout's sums, but for turns that wait for an earlier one; returns how many.

        With its first pair it is settled what a rollout is compared by: the plan's harms and these checks, whatever is edited later.
        `going` is asked after each `AT_ONCE` of them, once any was folded: what it leaves waits for the next call.
        """
        folded, again = 0, True
        while again:
            waits, n, arrived = 0, 0, -1
            while (some := self._fold_some(rollout, route_checks, arrived)) is not None:
                done, left, arrived = some
                n, waits = n + done, waits + left
                if folded + n and not going():  # turns that wait must not keep what came after them waiting too
                    return folded + n
            folded += n
            again = n > 0 < waits  # what waits may follow what was just folded
        return folded

    def add_pair_judgements(self, rollout: Rollout, new: Sequence[PairJudgement], *, blocks: bool) -> None:
        """Keep and count what the judge said of pairs; of a pair it is asked once. `blocks`: what it says may end a rollout at present."""
        with self._db.write() as c:
            take_turns(c, f"pairs of {rollout.id}")
            if (known := _sums(c, rollout.id)) is None:
                return  # nothing was compared yet
            mark, sums = known
            wanted = {said.exchange: said for said in new}
            for exchange in _there(c, pair_judgements, "exchange", rollout.id, wanted):
                del wanted[exchange]
            if not wanted and sums.judge_blocks == blocks:
                return
            found = _named(c, pairs, "exchange", rollout.id, wanted)
            stored = {row.exchange: (_PAIR.decode(row.body), row.folded == _COMPARABLE) for row in found}
            kept = {exchange: said for exchange, said in wanted.items() if exchange in stored}
            loaded = _Loaded(c, rollout.id, sums, [stored[exchange][0] for exchange in kept])
            sums.judge_blocks = blocks
            fold = PairFold(loaded.rows)
            for exchange, said in kept.items():
                pair, comparable = stored[exchange]
                fold.judged(pair, said, comparable=comparable)
            loaded.store(c, mark + 1)
            rows = [
                {"rollout": rollout.id, "exchange": exchange, "at_us": said.at_us, "body": msgspec.json.encode(said).decode()}
                for exchange, said in kept.items()
            ]
            insert_missing(c, pair_judgements, rows)
            _mark(c, rollout.id, [{"e": exchange, "f": None, "u": 0} for exchange in kept])

    # ── read by decisions and people ──

    def pairs(self, rollout: str) -> list[Pair]:
        """All scored pairs of a rollout, by exchange: for people and tests, since their number grows with traffic."""
        query = select(pairs.c.body).where(pairs.c.rollout == rollout).order_by(pairs.c.exchange)
        with self._db.read() as c:
            return [_PAIR.decode(body) for body in c.scalars(query)]

    def pairs_to_judge(self, rollout_id: str, limit: int) -> list[str]:
        """Exchanges of comparable pairs with a second answer of stable's that the judge was not asked about, newest first."""
        query = select(pairs.c.exchange).where(pairs.c.rollout == rollout_id, UNJUDGED).order_by(pairs.c.arrived.desc()).limit(limit)
        with self._db.read() as c:
            return list(c.scalars(query))

    def pair_judgements(self, rollout_id: str) -> list[PairJudgement]:
        """What the judge said of a rollout's pairs, by exchange: for people and tests."""
        query = select(pair_judgements.c.body).where(pair_judgements.c.rollout == rollout_id).order_by(pair_judgements.c.exchange)
        with self._db.read() as c:
            return [_JUDGEMENT.decode(body) for body in c.scalars(query)]

    def shadow_evidence(self, rollout: Rollout) -> ShadowEvidence:
        """What the folded pairs of a rollout add up to. Its cost does not grow with their number."""
        t = shadow_fields
        query = select(t).where(t.c.rollout == rollout.id, (t.c.input_class == "") | t.c.slot.is_not(None))
        with self._db.read() as c:
            if (known := _sums(c, rollout.id)) is None:
                return ShadowEvidence()
            return evidence_of(known[1], [_field_of(row) for row in c.execute(query)])

    def shadow_groups(self, rollout_id: str) -> tuple[Group, ...]:
        """Classes of disagreement, the heaviest first: each a field in one input class, with the shortest pairs that show it."""
        from detent.evidence.pairs import group_of  # numpy and scipy: who only keeps pairs must not pay for them

        t = shadow_fields
        with self._db.read() as c:
            if (known := _sums(c, rollout_id)) is None:
                return ()
            sums = known[1]
            every = (t.c.rollout == rollout_id, t.c.field == ANY_CHANGE)
            seconds: dict[str, int] = {row.input_class: row.pairs for row in c.execute(select(t.c.input_class, t.c.pairs).where(*every))}
            differing = select(t).where(t.c.rollout == rollout_id, t.c.input_class != "", t.c.differs > 0)
            found = [_field_of(row) for row in c.execute(differing)]
        return heaviest(
            group_of(
                row,
                pairs=sums.pairs,
                seconds=seconds.get(row.input_class, 0) if row.field.startswith(CHANGE) else row.pairs,
                fields=len(sums.compared),
                alpha=sums.alpha,
                examples=[exchange for _, exchange in row.examples],
                former=sums.late is None,
            )
            for row in found
        )

    def shadow_days(self, rollout_id: str) -> tuple[DayOfPairs, ...]:
        """The days of a rollout's shadow, oldest first."""
        t = shadow_days
        with self._db.read() as c:
            found = c.execute(select(t).where(t.c.rollout == rollout_id).order_by(t.c.day_us)).all()
        return tuple(
            DayOfPairs(day_us=row.day_us, pairs=row.pairs, new_classes=row.new_classes, new_clusters=row.new_clusters) for row in found
        )

    def _fold_some(self, rollout: Rollout, route_checks: Sequence[str], after: int) -> tuple[int, int, int] | None:
        """Fold some of the pairs that arrived after this one: how many were folded and how many wait on, and the last; None: no more."""
        t = pairs.c
        waiting = select(t.body, t.arrived).where(t.rollout == rollout.id, WAITING, t.arrived > after).order_by(t.arrived).limit(AT_ONCE)
        with self._db.read() as c:
            if c.execute(waiting.limit(1)).first() is None:
                return None
        with self._db.write() as c:
            take_turns(c, f"pairs of {rollout.id}")
            rows = c.execute(waiting).all()
            if not rows:
                return None
            found = [_PAIR.decode(row.body) for row in rows]
            compared = compared_by(rollout.plan.shadow, route_checks, _NAMED)
            mark, sums = _sums(c, rollout.id) or (0, begun(compared, rollout.plan.alpha))
            loaded = _Loaded(c, rollout.id, sums, found)
            fold = PairFold(loaded.rows)
            fates = [(pair, fold.pair(pair)) for pair in found]
            done = [
                {
                    "e": pair.exchange,
                    "f": _COMPARABLE if fate == "comparable" else _APART,
                    "u": int(fate == "comparable" and pair.second_failed is not None),
                }
                for pair, fate in fates
                if fate != "waits"
            ]
            loaded.store(c, mark + 1)
            _mark(c, rollout.id, done)
        return len(done), len(fates) - len(done), rows[-1].arrived


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_COUNTS = ("pairs", "candidate", "stable", "candidate_only", "stable_only", "differs", "seen", "first_us")


class _Loaded:
    """The rows that a batch of pairs needs, and which of them a fold has changed."""

    def __init__(self, c: Connection, rollout: str, sums: Sums, batch: Sequence[Pair]) -> None:
        self._rollout = rollout
        r = self.rows = Rows(sums)
        bands = {band for pair in batch for band in bands_of(pair.signature)}
        r.bands = {row.bucket: row.cluster for row in _named(c, shadow_buckets, "bucket", rollout, bands)}
        clusters = set(r.bands.values())
        r.clusters = {row.cluster: row.signature for row in _named(c, shadow_clusters, "cluster", rollout, clusters)}
        wanted: dict[str, set[str]] = {CLUSTER: clusters}
        for pair in batch:
            for dimension, value in values_of(pair):
                wanted.setdefault(dimension, set()).add(value)
        for dimension, values in wanted.items():
            for row in _named(c, shadow_classes, "value", rollout, values, shadow_classes.c.dimension == dimension):
                r.seen[dimension, row.value] = Seen(row.n, row.compared)
        talks = {pair.conversation for pair in batch}
        for row in _named(c, shadow_conversations, "conversation", rollout, talks):
            r.conversations[row.conversation] = Conversation(row.turn, row.diverged, _MET.decode(row.met))
        for row in _named(c, shadow_fields, "input_class", rollout, {"", OTHER, *(pair.input_class for pair in batch)}):
            r.fields[row.field, row.input_class] = _field_of(row)
        for row in _named(c, shadow_days, "day_us", rollout, {pair.at_us // DAY_US * DAY_US for pair in batch}):
            r.days[row.day_us] = Day(row.pairs, row.new_classes, row.new_clusters)
        self._before, self._sums = self._as_stored(), msgspec.json.encode(sums)

    def store(self, c: Connection, mark: int) -> None:
        """Write what has changed."""
        body = msgspec.json.encode(self.rows.sums)
        if mark == 1 or body != self._sums:
            upsert(c, shadow_sums, [{"rollout": self._rollout, "mark": mark, "body": body.decode()}])
        for table, rows in self._as_stored().items():
            former = self._before[table]
            upsert(c, table, [row for key, row in rows.items() if row != former.get(key)])

    def _as_stored(self) -> dict[Table, dict[object, dict[str, Any]]]:
        r, of = self.rows, {"rollout": self._rollout}
        return {
            shadow_fields: {key: of | _field_row(one) for key, one in r.fields.items()},
            shadow_classes: {
                (dimension, value): of | {"dimension": dimension, "value": value, "n": one.n, "compared": one.compared}
                for (dimension, value), one in r.seen.items()
            },
            shadow_clusters: {name: of | {"cluster": name, "signature": signature} for name, signature in r.clusters.items()},
            shadow_buckets: {band: of | {"bucket": band, "cluster": cluster} for band, cluster in r.bands.items()},
            shadow_conversations: {
                name: of | {"conversation": name, "turn": one.turn, "diverged": one.diverged, "met": msgspec.json.encode(one.met).decode()}
                for name, one in r.conversations.items()
            },
            shadow_days: {
                day: of | {"day_us": day, "pairs": one.pairs, "new_classes": one.new_classes, "new_clusters": one.new_clusters}
                for day, one in r.days.items()
            },
        }


def _sums(c: Connection, rollout: str) -> tuple[int, Sums] | None:
    row = c.execute(select(shadow_sums.c.mark, shadow_sums.c.body).where(shadow_sums.c.rollout == rollout)).first()
    return None if row is None else (row.mark, _SUMS.decode(row.body))


def _named(c: Connection, table: Table, column: str, rollout: str, names: Collection[object], *where: Any) -> list[Any]:
    """The rows of a rollout in which a column has one of these values."""
    wanted, found = sorted(names, key=str), list[Any]()
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        of = (table.c.rollout == rollout, table.c[column].in_(wanted[start : start + _KEYS_AT_ONCE]), *where)
        found.extend(c.execute(select(table).where(*of)))
    return found


def _there(c: Connection, table: Table, column: str, rollout: str, names: Collection[object]) -> list[Any]:
    return [getattr(row, column) for row in _named(c, table, column, rollout, names)]


def _mark(c: Connection, rollout: str, done: Iterable[dict[str, Any]]) -> None:
    """Say of pairs that they were folded (`f`, None: as before), and whether the judge may be asked about them (`u`)."""
    rows = list(done)
    if not rows:
        return
    here = update(pairs).where(pairs.c.rollout == rollout, pairs.c.exchange == bindparam("e"))
    if rows[0]["f"] is None:
        c.execute(here.values(unjudged=bindparam("u")), [{"e": row["e"], "u": row["u"]} for row in rows])
    else:
        c.execute(here.values(folded=bindparam("f"), unjudged=bindparam("u")), rows)


def _field_of(row: Any) -> FieldSums:
    counts = {name: getattr(row, name) for name in _COUNTS}
    return FieldSums(row.field, row.input_class, **counts, slot=row.slot, examples=_EXAMPLES.decode(row.examples))


def _field_row(one: FieldSums) -> dict[str, Any]:
    counts = {name: getattr(one, name) for name in _COUNTS}
    examples = msgspec.json.encode(one.examples).decode()
    return {"field": one.field, "input_class": one.input_class, **counts, "slot": one.slot, "examples": examples}
