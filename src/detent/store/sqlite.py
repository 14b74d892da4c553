"""SQLite behind SQLAlchemy: WAL, and write transactions that are writers from their first statement."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from detent.errors import CouldNotRun

BUSY_S = 10.0
_TURN_S = 0.002


def connect_sqlite(path: Path) -> sqlite3.Connection:
    """A connection to a database that is there. SQLite would make an empty one in the place of one that was taken away: a store without
    a single rollout, which nobody would notice.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S, check_same_thread=False)


def sqlite_engine(url: URL, *, durable: bool) -> Engine:
    """The engine of a file; `durable`: each commit waits for the disk."""
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
