"""The journal by day, on PostgreSQL: partitions of one UTC day each, made ahead or as they are needed, and dropped whole.

A partition is made as a table of its own and attached, and detached before it is dropped: neither makes a reader or writer wait. Times
that no clock should say are kept in one partition before 2020 and one from 2100 on, so that a clock that wanders makes no table a day. All
times are microseconds UTC. Needs PostgreSQL 14.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from detent.store.schema import BY_DAY

DAY_US = 86_400_000_000
FIRST_US = 1_577_836_800_000_000
LAST_US = 4_102_444_800_000_000
"""2020-01-01 and 2100-01-01: before and after there are no single days."""

AHEAD = 2
"""How many days to come are made with each one that is needed."""

_LOCK = 0x6465_7464_6179  # advisory lock: "detday" in ASCII
_BOUND = re.compile(r"FROM \(('?-?\d+'?|MINVALUE)\) TO \(('?-?\d+'?|MAXVALUE)\)")
_MADE = re.compile(r"made (\d+)")
_CONDEMNED = "to be dropped: "


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time from `from_us` (None: from ever) until before `until_us` (None: for ever)."""

    from_us: int | None
    until_us: int | None

    def __contains__(self, at_us: int) -> bool:
        return (self.from_us is None or self.from_us <= at_us) and (self.until_us is None or at_us < self.until_us)

    def __repr__(self) -> str:
        begins, ends = (_day(at_us) for at_us in (self.from_us, self.until_us))
        return f"{begins or 'ever'} to before {ends or 'ever'}"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of `table`; `leaving`: its detaching was begun. `made_us`: when, by the database's clock; None where nobody knows."""

    table: str
    name: str
    span: Span
    made_us: int | None
    leaving: bool


def span_of(at_us: int) -> Span:
    """The day of a time, or all the days beyond those that have partitions of their own."""
    if at_us < FIRST_US:
        return Span(None, FIRST_US)
    if at_us >= LAST_US:
        return Span(LAST_US, None)
    start = at_us - at_us % DAY_US
    return Span(start, start + DAY_US)


def partitions(c: Connection) -> Iterator[Partition]:
    """All partitions of the journal, those that are being detached as well."""
    query = text(
        "SELECT p.relname, t.relname, pg_get_expr(t.relpartbound, t.oid), obj_description(t.oid, 'pg_class'), i.inhdetachpending"
        " FROM pg_inherits i JOIN pg_class t ON t.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent"
        " WHERE i.inhparent IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name) ORDER BY 1, 2"
    )
    for table, name, bound, said, leaving in c.execute(query, {"names": [table.name for table in BY_DAY]}):
        found = _BOUND.search(bound)
        if found is None:
            raise AssertionError(f"partition `{name}` has bounds of another kind: {bound}")
        begins, ends = (None if bound.endswith("VALUE") else int(bound.strip("'")) for bound in found.groups())
        made = _MADE.match(said or "")
        yield Partition(table, name, Span(begins, ends), int(made[1]) if made else None, leaving)


def days(c: Connection) -> frozenset[Span]:
    """The stretches of time that the journal has a place for: those that all its tables have.

    Mostly they have the same; where who dropped them was killed between two tables, a day of one stands beside a longer past of another.
    """
    there: dict[str, set[Span]] = {table.name: set() for table in BY_DAY}
    for partition in partitions(c):
        if not partition.leaving:
            there[partition.table].add(partition.span)
    one, other = (there[table.name] for table in BY_DAY)
    return frozenset((one & other) | {_common(a, b) for a in one - other for b in other - one if _overlap(a, b)})


def make_days(c: Connection, times: Iterable[int]) -> frozenset[Span]:
    """Make a place for these times, for today and for the days ahead; returns all that there are. Others who do so wait for the commit.

    Attaching takes a lock that neither reading nor writing waits for, as long as the transaction is short.
    """
    c.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    now_us = database_now_us(c)
    wanted = {span_of(at_us) for at_us in times} | {span_of(now_us + ahead * DAY_US) for ahead in range(AHEAD + 1)}
    for table in BY_DAY:
        there = {partition.span for partition in partitions(c) if partition.table == table.name and not partition.leaving}
        for span in sorted(wanted, key=lambda span: span.from_us or 0):
            if not any(_overlap(span, other) for other in there):
                _attach(c, table.name, span, now_us)
    return days(c)


def database_now_us(c: Connection) -> int:
    """The time by the database's clock."""
    return int(c.scalar(text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")) or 0)


def bounds(span: Span) -> str:
    """A span as SQL has it."""
    begins = "MINVALUE" if span.from_us is None else str(span.from_us)
    return f"FROM ({begins}) TO ({'MAXVALUE' if span.until_us is None else span.until_us})"


def comment(c: Connection, name: str, now_us: int) -> None:
    """Note when a partition was made."""
    c.exec_driver_sql(f"COMMENT ON TABLE {name} IS 'made {now_us}'")


def condemn(c: Connection, partition: Partition) -> None:
    """Note that a partition is to be dropped once it is no part of the journal, and what it had: whoever comes after a kill goes on."""
    made = "" if partition.made_us is None else f"made {partition.made_us}, "
    c.exec_driver_sql(f"COMMENT ON TABLE {partition.name} IS '{made}{_CONDEMNED}{partition.span}'")


def condemned(c: Connection) -> dict[str, str]:
    """The tables that are no part of the journal any more and are still to be dropped, each with what it had; not what others took out."""
    query = text(
        "SELECT t.relname, obj_description(t.oid, 'pg_class') FROM pg_class t WHERE t.relkind = 'r' AND NOT t.relispartition"
        " AND t.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(:legs))"
        " AND obj_description(t.oid, 'pg_class') LIKE :said ORDER BY 1"
    )
    found = c.execute(query, {"legs": BY_DAY[0].name, "said": f"%{_CONDEMNED}%"})
    return {name: said.partition(_CONDEMNED)[2] for name, said in found}


def _attach(c: Connection, table: str, span: Span, now_us: int) -> None:
    name = _free_name(c, f"{table}_{_name_of(span)}")
    c.exec_driver_sql(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)")
    c.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds(span)}")
    comment(c, name, now_us)


def _free_name(c: Connection, name: str) -> str:
    """A table of that day may be there that was detached and is not dropped yet."""
    tried, number = name, 1
    while c.scalar(text("SELECT to_regclass(:name)"), {"name": tried}) is not None:
        number += 1
        tried = f"{name}_{number}"
    return tried


def _name_of(span: Span) -> str:
    if span.from_us is None:
        return "before2020"
    return "from2100" if span.until_us is None else f"{datetime.fromtimestamp(span.from_us // 1_000_000, UTC):%Y%m%d}"


def _overlap(one: Span, other: Span) -> bool:
    begins = max(-(2**64) if span.from_us is None else span.from_us for span in (one, other))
    return begins < min(2**64 if span.until_us is None else span.until_us for span in (one, other))


def _common(one: Span, other: Span) -> Span:
    begins = [span.from_us for span in (one, other) if span.from_us is not None]
    ends = [span.until_us for span in (one, other) if span.until_us is not None]
    return Span(max(begins, default=None), min(ends, default=None))


def _day(at_us: int | None) -> str:
    if at_us is None:
        return ""
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us):%Y-%m-%d}"
