"""What migrations are made of: tables, columns and indexes that are added, each only if it is not there."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, Integer, LargeBinary, MetaData, Table, Text, inspect, text
from sqlalchemy.types import TypeEngine

from detent.errors import CouldNotRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detent.store.database import Database

_T = TypeVar("_T")

PATIENCE_S = 600.0
"""How long a step that needs a lock tries to get it, a moment at a time."""

_MOMENT = "2s"
"""How long it waits for the lock each time: whoever comes after waits behind it."""

_REST_S = 0.5
_LOCKED = "55P03"  # SQLSTATE lock_not_available


class Work:
    """A store under migration: `tables` are the names of those that this database has, or is to have."""

    def __init__(self, database: Database, tables: frozenset[str], say: Callable[[str], None]) -> None:
        self.database, self.tables, self.say = database, tables, say

    @property
    def sqlite(self) -> bool:
        """Whether it is SQLite: all of it in transactions, and nobody else at it meanwhile."""
        return self.database.sqlite

    def note(self, name: str, value: str) -> None:
        """Write a value of `meta`."""

        def write(c: Connection) -> None:
            c.execute(text("DELETE FROM meta WHERE name = :name"), {"name": name})
            c.execute(text("INSERT INTO meta (name, value) VALUES (:name, :value)"), {"name": name, "value": value})

        self.briefly(write)

    def briefly(self, work: Callable[[Connection], _T]) -> _T:
        """Do something in one short transaction; where others hold a lock that it needs, try again, so that nobody waits behind it long."""
        until, told = time.monotonic() + PATIENCE_S, False
        while True:
            try:
                with self.database.write() as c:
                    if not self.sqlite:
                        c.exec_driver_sql(f"SET LOCAL lock_timeout = '{_MOMENT}'")
                    return work(c)
            except CouldNotRun as error:
                if not _was_locked(error) or time.monotonic() > until:
                    raise
            if not told:
                self.say("a step of the migration waits for who is reading or writing; nobody waits for it")
                told = True
            time.sleep(_REST_S)

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """Look something up."""
        with self.database.read() as c:
            return work(c)

    @contextmanager
    def apart(self) -> Iterator[Connection]:
        """A connection for what PostgreSQL does outside of transactions, however long it takes."""
        from detent.store.database import translated

        with translated(self.database.url), self.database.engine.connect() as c:
            c = c.execution_options(isolation_level="AUTOCOMMIT")  # noqa: PLW2901
            try:
                c.exec_driver_sql("SET lock_timeout = 0")
                yield c
            finally:
                c.invalidate()  # its settings are no other's


Step: TypeAlias = Callable[[Work], None]


def _was_locked(error: CouldNotRun) -> bool:
    return getattr(getattr(error.__cause__, "orig", None), "sqlstate", None) == _LOCKED


# ── columns, as a line of text ──────────────────────────────────────────────────────────────────────────────────────


def column(line: str, *, key: bool = False) -> Column[object]:
    """A column in words: `name text`, `n whole`, `share real`, `open truth`, `body bytes`, `id counting`; with `?` it may be null."""
    name, kind = line.split()
    types: dict[str, TypeEngine[Any]] = {
        "text": Text(),
        "whole": BigInteger(),
        "real": Float(53),
        "truth": Boolean(),
        "bytes": LargeBinary(),
        "counting": BigInteger().with_variant(Integer, "sqlite"),
    }
    return Column(name, types[kind.removesuffix("?")], nullable=kind.endswith("?"), primary_key=key)


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def new_table(name: str, keys: str, *columns: str, rowid: bool = False) -> Step:
    """A table with these columns; `keys`, the first of them, are its primary key. `rowid`: on SQLite not stored in the key's own tree."""
    key = {line.strip() for line in keys.split(",")}
    lines = [*(line.strip() for line in keys.split(",")), *columns]
    table = Table(name, MetaData(), *(column(line, key=line in key) for line in lines), sqlite_with_rowid=rowid)

    def step(work: Work) -> None:
        if name in work.tables:
            work.briefly(lambda c: table.create(c, checkfirst=True))

    return step


def new_columns(table: str, *columns: str) -> Step:
    """Columns that may be null: the rows that are there stay as they are."""
    added = [column(line) for line in columns]

    def step(work: Work) -> None:
        if table not in work.tables:
            return
        there = work.read(lambda c: {found["name"] for found in inspect(c).get_columns(table)})
        missing = [new for new in added if new.name not in there]
        if missing:
            work.briefly(lambda c: _add(c, table, missing))

    return step


def _add(c: Connection, table: str, columns: list[Column[object]]) -> None:
    for new in columns:
        c.exec_driver_sql(f'ALTER TABLE {table} ADD COLUMN "{new.name}" {new.type.compile(c.dialect)}')


def new_index(table: str, name: str, on: str, *, unique: bool = False) -> Step:
    """An index, made while others go on writing. `on`: its columns in brackets, and its condition."""

    def step(work: Work) -> None:
        if table in work.tables:
            make_index(work, table, name, on, unique=unique)

    return step


def make_index(work: Work, table: str, name: str, on: str, *, unique: bool = False) -> None:
    """Make an index if it is not there. One that a kill left half made is made anew."""
    kind = "UNIQUE INDEX" if unique else "INDEX"
    if work.sqlite:
        work.briefly(lambda c: c.exec_driver_sql(f"CREATE {kind} IF NOT EXISTS {name} ON {table} {on}"))
        return
    whole = work.read(lambda c: c.scalar(text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": name}))
    if whole:
        return
    # Of a table in partitions none is made concurrently; such a table that has it not is of a later number than this step.
    with work.apart() as c:
        if whole is False:
            c.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        c.exec_driver_sql(f"CREATE {kind} CONCURRENTLY {name} ON {table} {on}")


def no_index(table: str, name: str) -> Step:
    """An index that no query reads any more."""

    def step(work: Work) -> None:
        if table not in work.tables:
            return
        if work.sqlite:
            work.briefly(lambda c: c.exec_driver_sql(f"DROP INDEX IF EXISTS {name}"))
        elif work.read(lambda c: c.scalar(text("SELECT to_regclass(:name)"), {"name": name})):
            with work.apart() as c:
                c.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

    return step
