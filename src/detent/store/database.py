"""One database behind a URL: connections, transactions, upserts. The only place that knows SQLite from PostgreSQL.

SQLite connections are pooled (a QueuePool: opening one costs four pragmas and loses the page cache, and SQLAlchemy hands one to a single
thread at a time, so the ingester's, the controller's and the flag thread of one process each use their own). Never fork with a store open.
"""

from __future__ import annotations

import copy
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Column, Connection, Engine, Table, create_engine, event, func, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from detent.errors import CouldNotRun, InvalidInput
from detent.store.schema import SCHEMA_VERSION, counters, meta, metadata

BUSY_S = 10.0
_TURN_S = 0.002
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
        self.sqlite = url.get_backend_name() == "sqlite"
        try:
            self.engine = _sqlite_engine(url, durable=durable) if self.sqlite else _postgres_engine(url)
        except ModuleNotFoundError as error:
            raise CouldNotRun(
                f"no driver for this store: `{error.name}`", hint="install it with `pip install 'detent[postgres]'`"
            ) from error

    @contextmanager
    def read(self, *, at_leisure: bool = False) -> Iterator[Connection]:
        """A read transaction: one snapshot for all its statements. Raises CouldNotRun for what the database refuses.

        `at_leisure`: the reader may take its time between two rows, which PostgreSQL else ends after `SERVER_PATIENCE`.
        """
        engine = self.engine if self.sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        with translated(self.url), engine.connect() as connection:
            if at_leisure and not self.sqlite:
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction, committed at the end of the block. IntegrityError is left to the caller; all else becomes CouldNotRun."""
        with translated(self.url), self.engine.execution_options(writes=True).begin() as connection:
            if self._fence is not None:
                self._fence(connection)
            yield connection

    def fenced(self, fence: Callable[[Connection], None]) -> Database:
        """The same database, of which every write transaction begins with `fence`, which raises where this process may write no more."""
        other = copy.copy(self)
        other._fence = fence
        return other

    def create(self, tables: Sequence[Table]) -> None:
        """Make the tables, nullable columns and indexes that are missing. CouldNotRun when the store was written by a newer Detent."""
        if self._has(tables):
            return
        with self._making(), self.write() as connection:
            if not self.sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            if inspect(connection).has_table(meta.name):
                found = connection.scalar(select(meta.c.value).where(meta.c.name == "schema"))
                if found is not None and int(found) > SCHEMA_VERSION:
                    raise CouldNotRun(
                        f"the store was written by a newer Detent: schema `{found}`, this one knows {SCHEMA_VERSION}",
                        hint="run the newer Detent; nothing was changed",
                    )
            metadata.create_all(connection, tables=list(tables))
            _add_columns(connection, tables)
            _add_indexes(connection, tables)
            upsert(connection, meta, [{"name": "schema", "value": str(SCHEMA_VERSION)}])
            if counters in tables:
                insert_missing(connection, counters, [{"name": "revision", "n": 0}, {"name": "ingest", "n": 0}])

    def _has(self, tables: Sequence[Table]) -> bool:
        """Whether all of it is there already: then nothing is written, and a store that can only be read is opened as well."""
        if self.sqlite and not Path(str(self.url.database)).exists():
            return False
        with self.read() as connection:
            there = inspect(connection)
            if not there.has_table(meta.name) or not all(there.has_table(table.name) for table in tables):
                return False
            if connection.scalar(select(meta.c.value).where(meta.c.name == "schema")) != str(SCHEMA_VERSION):
                return False
            return not any(_missing(connection, table) for table in tables)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    @contextmanager
    def _making(self) -> Iterator[None]:
        """One process at a time turns a new file into a WAL database: SQLite doesn't wait for its turn there."""
        if not self.sqlite:
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
    new = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    setting = {name: table.c[name] + value if name in add else value for name, value in new.items()}
    connection.execute(insert.on_conflict_do_update(index_elements=sorted(keys), set_=setting), list(rows))


def _add_columns(connection: Connection, tables: Sequence[Table]) -> None:
    """Give a store of an older Detent the columns that came since: nullable ones, so that its rows stay as they are."""
    for table in tables:
        for column in _missing(connection, table):
            kind = column.type.compile(connection.dialect)
            connection.exec_driver_sql(f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}')


def _add_indexes(connection: Connection, tables: Sequence[Table]) -> None:
    """Likewise the indexes: those of a table that was there are not made with it."""
    for table in tables:
        for index in table.indexes:
            index.create(connection, checkfirst=True)


def _missing(connection: Connection, table: Table) -> list[Column[Any]]:
    """The columns that a table of an older Detent has not."""
    known = {column["name"] for column in inspect(connection).get_columns(table.name)}
    return [column for column in table.columns if column.name not in known]


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
        raise CouldNotRun(f"the store `{url.render_as_string(hide_password=True)}` refused: {said}", hint=_hint(cause)) from error


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


# ── SQLite ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def connect_sqlite(path: Path) -> sqlite3.Connection:
    """A connection to a database that is there. SQLite would make an empty one in the place of one that was taken away: a store without
    a single rollout, which nobody would notice.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S, check_same_thread=False)


def _sqlite_engine(url: URL, *, durable: bool) -> Engine:
    path = Path(str(url.database))
    engine = create_engine(url, creator=lambda: connect_sqlite(path))
    synchronous: Literal["FULL", "NORMAL"] = "FULL" if durable else "NORMAL"

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # else the driver decides for itself when a transaction begins
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "cache_size=-16000"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("writes"):
            _begin_immediate(connection)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _begin_immediate(connection: Connection) -> None:
    """Become the writer, waiting up to `BUSY_S`. A deferred transaction that turns into a writer later can be refused without a wait.

    Asked every 2 ms instead of by SQLite's own back-off (up to 100 ms): next to a busy ingester a rollback would miss the gaps.
    """
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    until = time.monotonic() + BUSY_S
    raw.execute("PRAGMA busy_timeout=0").close()
    try:
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE").close()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise CouldNotRun(
                        f"the store `{connection.engine.url.database}` refused a write: {error}",
                        hint="another process may hold a write transaction open; see who with `fuser`",
                    ) from error
            time.sleep(_TURN_S)
    finally:
        raw.execute(f"PRAGMA busy_timeout={int(BUSY_S * 1000)}").close()
