"""One database behind a URL: connections, transactions, upserts. What SQLite and PostgreSQL do otherwise is known here, in `sqlite.py`, and
by what partitions the journal (`days.py`, `places.py`, `migrations/`).

SQLite connections are pooled (a QueuePool: opening one costs four pragmas and loses the page cache, and SQLAlchemy hands one to a single
thread at a time, so the ingester's, the controller's and the flag thread of one process each use their own). Never fork with a store open.
"""

from __future__ import annotations

import copy
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from detent.errors import CouldNotRun, InvalidInput
from detent.store.days import make_days
from detent.store.migrations import migrate
from detent.store.schema import BY_DAY, SCHEMA_VERSION, by_day, counters, meta, metadata
from detent.store.sqlite import sqlite_engine
from detent.talk import say

_TURN_S = 0.002
_TELL_S = 1.0
_SCHEMA_LOCK = 0x6465_7465_6E74  # PostgreSQL advisory lock: "detent" in ASCII

PATIENCE: Mapping[str, str | int] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""How long a PostgreSQL that cannot be reached is waited for, in seconds (`tcp_user_timeout`: ms). TCP's own patience is a quarter of an
hour: a gateway cut off for a minute would find out that it no longer is long after everybody else.
"""

SERVER_PATIENCE: Mapping[str, str] = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""How long PostgreSQL itself waits for us. Writers take turns at one row: a process that is stopped in the middle of a write, a paused
machine, a network that is cut there would else hold every write of everybody, a rollback among them, for as long as it lasts.
"""

_STOPPED, _WAITED = "25P03", "55P03"  # SQLSTATE idle_in_transaction_session_timeout, lock_not_available

Row = Mapping[str, Any]


class Database:
    """An engine with Detent's rules: short read transactions, and write transactions that are writers from their first statement."""

    def __init__(self, url: URL, *, durable: bool) -> None:
        """`durable` makes SQLite wait for the disk at each commit (state); else a power cut may take the last commits (journal)."""
        self.url = url
        self._fence: Callable[[Connection], None] | None = None
        self._first: First | None = None
        self.sqlite = url.get_backend_name() == "sqlite"
        try:
            self.engine = sqlite_engine(url, durable=durable) if self.sqlite else _postgres_engine(url)
        except ModuleNotFoundError as error:
            raise CouldNotRun(
                f"no driver for this store: `{error.name}`", hint="install it with `pip install 'detent[postgres]'`"
            ) from error

    @contextmanager
    def read(self, *, at_leisure: bool = False) -> Iterator[Connection]:
        """A read transaction: one snapshot for all its statements. Raises CouldNotRun for what the database refuses.

        `at_leisure`: the reader may take its time between two rows, which PostgreSQL else ends after `SERVER_PATIENCE`.
        """
        self._begin()
        engine = self.engine if self.sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        with translated(self.url), engine.connect() as connection:
            if at_leisure and not self.sqlite:
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction, committed at the end of the block. IntegrityError is left to the caller; all else becomes CouldNotRun."""
        self._begin()
        with translated(self.url), self.engine.execution_options(writes=True).begin() as connection:
            if self._fence is not None:
                self._fence(connection)
            yield connection

    def _begin(self) -> None:
        if self._first is not None:
            self._first.done()

    def fenced(self, fence: Callable[[Connection], None]) -> Database:
        """The same database, of which every write transaction begins with `fence`, which raises where this process may write no more."""
        other = copy.copy(self)
        other._fence = fence
        return other

    def create(self, tables: Sequence[Table]) -> None:
        """Make the tables, or bring those of an older Detent to this one's schema: see `store.migrations`.

        Raises CouldNotRun when the store was written by a newer Detent.
        """
        if self._found(tables) == SCHEMA_VERSION:
            return
        with self._making():
            found = self._found(tables)
            if found is not None and found > SCHEMA_VERSION:
                raise CouldNotRun(
                    f"the store was written by a newer Detent: schema `{found}`, this one knows {SCHEMA_VERSION}",
                    hint="run the newer Detent; nothing was changed",
                )
            if found is None:
                self._make(tables)
            elif found < SCHEMA_VERSION:
                migrate(self, {table.name for table in tables}, found=found, name=self._number(tables))

    def create_when_used(self, tables: Sequence[Table]) -> Database:
        """The same database, which migrates these tables as it is first read or written; where there are none, they are made at once."""
        other = copy.copy(self)
        found = self._found(tables)
        if found is None:
            self.create(tables)
        elif found != SCHEMA_VERSION:
            other._first = First(lambda: self.create(tables))
        return other

    def _number(self, tables: Sequence[Table]) -> str:
        """The name of their schema's number in `meta`: where state and journal are one database, each has its own."""
        return "schema" if self.sqlite or counters in tables else "journal_schema"

    def _found(self, tables: Sequence[Table]) -> int | None:
        """The number of their schema, read without a write, so that a store that can only be read is opened as well; None where they are
        not. Tables that have none are taken for the first.
        """
        if self.sqlite and not Path(str(self.url.database)).exists():
            return None
        with self.read() as connection:
            there = inspect(connection).get_table_names()
            if not any(table.name in there for table in tables if table is not meta):
                return None
            names = dict(connection.execute(select(meta.c.name, meta.c.value)).all()) if meta.name in there else {}
        return int(names.get(self._number(tables), 1))

    def _make(self, tables: Sequence[Table]) -> None:
        by_days = () if self.sqlite else tuple(table for table in BY_DAY if table in tables)
        with self.write() as connection:
            metadata.create_all(connection, tables=[table for table in tables if table not in by_days])
            for table in by_days:
                by_day(table).create(connection)
            if by_days:
                make_days(connection, ())
            upsert(connection, meta, [{"name": self._number(tables), "value": str(SCHEMA_VERSION)}])
            if counters in tables:
                insert_missing(connection, counters, [{"name": "revision", "n": 0}, {"name": "ingest", "n": 0}])

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    @contextmanager
    def _making(self) -> Iterator[None]:
        """One process at a time makes or migrates a store. (SQLite doesn't wait for its turn where a file becomes a WAL database.)"""
        if not self.sqlite:
            with self._schema_lock():
                yield
            return
        path = Path(str(self.url.database))
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}-making"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                path.touch(mode=0o644)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _schema_lock(self) -> Iterator[None]:
        """Held by a transaction of its own that does nothing else, as long as it takes.

        Asked in simple queries: the portal of one with parameters would keep its snapshot, which CREATE INDEX CONCURRENTLY waits for.
        """
        with translated(self.url), self.engine.connect() as connection:
            told = time.monotonic() + _TELL_S
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            while not connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_SCHEMA_LOCK})").scalar():
                if time.monotonic() > told:
                    say("detent: waiting for another process that migrates this store")
                    told = float("inf")
                time.sleep(_TURN_S * 50)
            yield


class First:
    """Something that is done once, before anything else; who comes meanwhile waits for it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work
        self._lock = threading.Lock()

    def done(self) -> None:
        """Do it, unless it was done. What it raises is tried again by the next."""
        if self._work is not None:
            with self._lock:
                if self._work is not None:
                    self._work()
                    self._work = None


def parse_url(url: str) -> URL:
    """The database a store URL names. Raises InvalidInput for one that Detent can't use."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        raise InvalidInput(f"not a store URL: `{url}`", hint="write sqlite:///DIR/state.db or postgresql://HOST/DATABASE") from None
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise InvalidInput(f"not a database that Detent uses: `{backend}`", hint="use sqlite:///DIR/state.db or postgresql://...")
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInput(f"a store needs a file: `{url}`", hint="write sqlite:///DIR/state.db")
    return parsed


def shown(url: URL) -> str:
    """A store's URL for people: without the password, and with no word of the driver, which nobody wrote."""
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


# ── rows in, by key ─────────────────────────────────────────────────────────────────────────────────────────────────


def insert_missing(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose primary key isn't there yet; the others stay as they are."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def upsert(connection: Connection, table: Table, rows: Sequence[Row], *, add: Sequence[str] = ()) -> None:
    """Insert rows; where the primary key is there, the columns given replace the former ones; those in `add` are added to them.

    All rows have the same columns.
    """
    if not rows:
        return
    insert = _insert(connection, table)
    keys = {column.name for column in table.primary_key.columns}
    if table in BY_DAY and connection.dialect.name != "sqlite":
        keys.add("at_us")
    new = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    setting = {name: table.c[name] + value if name in add else value for name, value in new.items()}
    connection.execute(insert.on_conflict_do_update(index_elements=sorted(keys), set_=setting), list(rows))


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


# ── errors, at one seam ─────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """What the database refuses, as CouldNotRun; IntegrityError is left to the caller."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, sqlite3.Error) as error:  # the latter while a connection is opened
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        said = str(cause).strip().splitlines()[0]
        raise CouldNotRun(f"the store `{shown(url)}` refused: {said}", hint=_hint(cause)) from error


def _hint(cause: BaseException) -> str:
    state = getattr(cause, "sqlstate", None)
    if state == _STOPPED:
        return "this process stood still in the middle of a transaction, of which nothing was stored: run it again"
    if state == _WAITED:
        return "nothing was stored: run it again; if it stays, see who holds the lock with `SELECT * FROM pg_stat_activity`"
    return "gateways go on serving the flags they know; see whether the database, its disk and its permissions are well"


# ── PostgreSQL ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _postgres_engine(url: URL) -> Engine:
    """What the URL, or the database, says of these for its users goes before."""
    patience = {name: value for name, value in PATIENCE.items() if name not in url.query}
    engine = create_engine(url, pool_pre_ping=True, connect_args=patience)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:  # not as options of the connection: poolers between refuse those
            cursor.execute(
                "SELECT set_config(s.name, o.value, false) FROM pg_settings AS s JOIN unnest(%s::text[], %s::text[]) AS o(name, value)"
                " ON s.name = o.name WHERE s.source IN ('default', 'configuration file')",
                (list(SERVER_PATIENCE), list(SERVER_PATIENCE.values())),
            )
        connection.commit()

    return engine
