"""How one hears that the flags moved: PostgreSQL says so (LISTEN/NOTIFY), SQLite is asked every 20 ms; both are read again as a net."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from detent.errors import CouldNotRun
from detent.store.database import Database, shown
from detent.store.sqlite import connect_sqlite

POLL_S = 0.02
"""How often SQLite is asked whether anything was written: 5.5 µs a poll (storage.md)."""

SLICE_S = 0.05
"""How long PostgreSQL is listened to at a stretch: whoever wants the watch to end waits no longer than this."""

REREAD_S = 1.0
"""How often the revision is read without having been told: a notification can be lost on its way, by a pooler in between for one."""

_CHANNEL = "'detent_flags_' || 'counters'::regclass::oid"
# Named by the table's own number: notifications stay within a database, and several installations may share one by schema.
_REVISION = "SELECT n FROM counters WHERE name = 'revision'"


def announce(c: Connection, revision: int) -> None:
    """Tell every watch of this installation the new revision, once the transaction is committed. On SQLite they see it for themselves."""
    if c.dialect.name == "postgresql":
        c.execute(text(f"SELECT pg_notify({_CHANNEL}, :revision)"), {"revision": str(revision)})


class FlagWatch:
    """Tells whether the store's revision moved since it was last asked. For one thread, with a connection of its own.

    Raises CouldNotRun or `sqlite3.Error` when the store is lost: such a watch tells nothing any more, and another one has to be made.
    """

    def __init__(self, database: Database) -> None:
        self._url = database.url
        self._sqlite = connect_sqlite(Path(str(database.url.database))) if database.sqlite else None
        self._postgres: Any = None if database.sqlite else self._listen(database)
        self._socket, self._unread = select.poll(), True
        if self._postgres is not None:
            self._socket.register(self._postgres.fileno(), select.POLLIN)
        self._version = self._data_version()
        self._known = self._revision()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Blocks until the revision moved (True), or until `seconds` have passed or `stop` is set (False)."""
        deadline = time.monotonic() + seconds
        reread = time.monotonic() + REREAD_S
        while not stop.is_set():
            now = time.monotonic()
            if self._sqlite is not None:
                if self.changed():
                    return True
                stop.wait(min(POLL_S, max(0.0, deadline - now)))
            elif self._told(min(SLICE_S, max(0.0, deadline - now))):
                return True
            now = time.monotonic()
            if now >= min(deadline, reread):
                if self._moved(self._revision()):
                    return True
                if now >= deadline:
                    return False
                reread = now + REREAD_S
        return False

    def changed(self) -> bool:
        """Whether the revision is another one than at the last call. On SQLite 5 µs as long as nobody wrote anything at all."""
        if self._sqlite is not None:
            version = self._data_version()
            if version == self._version:
                return False
            self._version = version
        return self._moved(self._revision())

    def close(self) -> None:
        """Let go of the connection."""
        for connection in (self._sqlite, self._postgres):
            if connection is not None:
                connection.close()

    def _moved(self, revision: int) -> bool:
        moved, self._known = revision != self._known, revision
        return moved

    def _data_version(self) -> int:
        return int(self._sqlite.execute("PRAGMA data_version").fetchone()[0]) if self._sqlite is not None else 0

    def _revision(self) -> int:
        """By the watch's own connection: a round trip shows whether it lives, too."""
        if self._sqlite is not None:
            found = self._sqlite.execute(_REVISION).fetchone()
        else:
            with self._translated():
                found = self._postgres.execute(_REVISION).fetchone()
            self._unread = True  # what came with the answer lies with the driver, and no longer on the socket
        return int(found[0]) if found else 0

    def _told(self, seconds: float) -> bool:
        """Whether PostgreSQL tells of another revision within so many seconds."""
        if not self._unread and not self._socket.poll(1000 * seconds):
            return False  # asked of the system: waiting by way of the driver costs half a millisecond of processor each time
        self._unread = False
        with self._translated():
            said = [int(one.payload) for one in self._postgres.notifies(timeout=0)]
        # Notifications come in the order of the commits; what was read meanwhile may be newer than what was told before.
        return bool(said) and said[-1] > self._known and self._moved(said[-1])

    def _listen(self, database: Database) -> Any:
        """A connection of psycopg's that listens, out of the pool for good."""
        with self._translated():
            pooled = database.engine.raw_connection()
            connection: Any = pooled.driver_connection
            pooled.detach()
            connection.autocommit = True
            channel = connection.execute(f"SELECT {_CHANNEL}").fetchone()[0]
            connection.execute(f'LISTEN "{channel}"')
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CouldNotRun(
                f"the store `{shown(self._url)}` tells nothing of its flags: {said}",
                hint="gateways go on serving the flags they know; see whether the database is well",
            ) from error
