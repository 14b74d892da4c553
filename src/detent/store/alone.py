"""One process at a time: a name that is held by whoever asks first, and is free again when that one ends, however it ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from detent.errors import CouldNotRun
from detent.store.database import Database, translated


@contextmanager
def alone(database: Database, name: str) -> Iterator[bool]:
    """Whether this block, of all that use the same database, holds the name; for the length of the block, and never waiting for it."""
    with _file(database, name) if database.sqlite else _session(database, name) as held:
        yield held


@contextmanager
def _file(database: Database, name: str) -> Iterator[bool]:
    """A locked file beside the database: the lock goes with the process."""
    path = Path(f"{database.url.database}-alone-{_number(name):016x}")
    try:
        lock = _locked(path)
    except OSError as error:
        raise CouldNotRun(f"cannot write beside the store: `{path}` ({error.strerror})", hint="see who owns that directory") from error
    if lock is None:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _locked(path: Path) -> int | None:
    """The file, open and locked; None where another one has the lock."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(lock), path.stat()):  # else its last holder took it away meanwhile
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            os.close(lock)  # taken away between the two looks: the next file is looked at
            continue
        os.close(lock)


@contextmanager
def _session(database: Database, name: str) -> Iterator[bool]:
    """An advisory lock of a session that is kept for it: it goes with the session."""
    number = _number(name)
    with translated(database.url), database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        held = bool(connection.scalar(select(func.pg_try_advisory_lock(number))))
        try:
            yield held
        finally:
            if held:
                with suppress(DBAPIError):  # a session that is gone holds nothing
                    connection.execute(select(func.pg_advisory_unlock(number)))


def take_turns(connection: Connection, name: str) -> None:
    """Wait until nobody else is past this with the same name, until the end of the write transaction. On SQLite writers do so anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(_number(name))))


def _number(name: str) -> int:
    """The name as a number of 63 bits."""
    return int.from_bytes(hashlib.sha256(f"alone {name}".encode()).digest()[:8]) >> 1
