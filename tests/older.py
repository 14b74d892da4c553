"""Stores of every released schema, each made by its own Detent: a rollout of `chat` in its canary, decisions, an audit log.

The dumps in `schemas/` are as SQLite and PostgreSQL wrote them. Their legs: `a` with bodies, `b` of the candidate, which timed out, `c`
that has no result yet; feedback on `a`'s session; from version 4 on also `m`, mirrored as `x`, and bodies that came before their leg,
`early`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detent.store import open_store
from stores import Postgres

SCHEMAS = Path(__file__).parent / "schemas"
RELEASED = (1, 2, 3, 4, 5)
SHADOWS_SINCE = 4


def load_sqlite(version: int, place: Path) -> str:
    place.mkdir(parents=True)
    for name in ("state", "journal"):
        with closing(sqlite3.connect(place / f"{name}.db")) as connection:
            connection.executescript((SCHEMAS / f"{version}-sqlite-{name}.sql").read_text())
    return f"sqlite:///{place / 'state.db'}"


def load_postgres(version: int, server: Postgres) -> str:
    import psycopg

    url = server.url(server.create())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((SCHEMAS / f"{version}-postgresql.sql").read_text())
    return url


@dataclass(frozen=True)
class Older:
    """Stores on one kind of database: `load` gives the URL of one as a version left it, `fresh` that of one of today."""

    load: Callable[[int], str]
    fresh: Callable[[], str]


@pytest.fixture
def older(new_store_url: Callable[[], str], request: pytest.FixtureRequest, tmp_path: Path) -> Older:
    if request.node.callspec.params["new_store_url"] == "sqlite":
        return Older(lambda version: load_sqlite(version, tmp_path / f"older{version}"), new_store_url)
    server: Postgres = request.getfixturevalue("postgres")
    return Older(lambda version: load_postgres(version, server), new_store_url)


class Killed(BaseException):
    """What stands for a kill: nothing catches it."""


def killed_at_every_step(url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Open a store again and again, each time killed one piece of work later than the last; until it is migrated. Returns how often."""
    from detent.store.migrations.steps import Work

    briefly, apart = Work.briefly, Work.apart
    left = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def work(*arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*arguments)

        return work

    monkeypatch.setattr(Work, "briefly", counted(briefly))
    monkeypatch.setattr(Work, "apart", counted(apart))
    kills = 0
    while True:
        left = kills
        try:
            store = open_store(url)
            store.journal.count()
        except Killed:
            kills += 1
            continue
        store.close()
        monkeypatch.undo()
        return kills


def shape_of(url: str) -> Iterator[tuple[object, ...]]:
    """Tables, columns, keys and indexes of a store, however they came about; of the journal by day the whole, not the days."""
    store = open_store(url)
    store.journal.count()
    try:
        for database in {id(db.engine): db for db in (store.state._db, store.journal._db)}.values():
            with database.read() as c:
                for row in c.exec_driver_sql(_OF_SQLITE if database.sqlite else _OF_POSTGRES):
                    yield tuple(str(value).replace('"', "").replace(" ", "") for value in row)
    finally:
        store.close()


_OF_POSTGRES = """
SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT t.relname, 'index', pg_get_indexdef(i.indexrelid), '', i.indisvalid, ''
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition
UNION ALL
SELECT t.relname, 'constraint', k.conname, pg_get_constraintdef(k.oid), k.convalidated, ''
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid WHERE t.relnamespace = 'public'::regnamespace AND NOT t.relispartition
"""
_OF_SQLITE = """
SELECT m.name, t.wr, c.name, c.type, c."notnull", c.pk FROM sqlite_schema m JOIN pragma_table_info(m.name) c
JOIN pragma_table_list(m.name) t WHERE m.type = 'table'
UNION ALL
SELECT tbl_name, 'index', name, substr(sql, instr(sql, '(')), '', '' FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL
"""
