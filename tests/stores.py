"""Stores for tests, on real databases: `store_url` runs a test on SQLite and on PostgreSQL, each time on an empty store.

PostgreSQL is a server of one's own on a Unix socket, thrown away at the end. Without server binaries or the driver its tests are skipped;
`DETENT_REQUIRE_ALL=1` makes that a failure.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from detent.store import Store, open_store
from detent.store.schema import SCHEMA_VERSION, metadata


def cannot_have(reason: str) -> NoReturn:
    """Skip a test that needs what isn't here, or fail it where everything must be here."""
    if os.environ.get("DETENT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Postgres:
    """A running server: where its socket and its tools are, and whom it belongs to."""

    place: Path
    tools: Path
    owner: str
    free: list[str] = field(default_factory=list)

    def run(self, tool: str, *arguments: str) -> None:
        user = self.owner if os.geteuid() == 0 else None
        command = [str(self.tools / tool), *arguments]
        subprocess.run(command, check=True, user=user, capture_output=True, cwd=self.place, env={"LC_ALL": "C", "PATH": os.defpath})

    def url(self, database: str) -> str:
        return f"postgresql://detent@/{database}?host={self.place}"

    def create(self) -> str:
        """The name of a new database without any table."""
        import psycopg

        name = f"d{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def take(self) -> str:
        """The name of a database whose tables are empty."""
        if self.free:
            return self.free.pop()
        name = self.create()
        open_store(self.url(name)).close()
        return name

    def give_back(self, name: str) -> None:
        """Empty its tables for the next test: far quicker than another database."""
        import psycopg

        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("TRUNCATE " + ", ".join(f'"{table}"' for table in metadata.tables if table not in {"meta", "counters"}))
            connection.execute("DELETE FROM meta WHERE name NOT IN ('schema', 'journal_schema')")
            connection.execute("UPDATE meta SET value = %s", (str(SCHEMA_VERSION),))  # a test may have said that it is a newer one's
            connection.execute("UPDATE counters SET n = 0")
            connection.execute("DELETE FROM counters WHERE name NOT IN ('revision', 'ingest')")
        self.free.append(name)


def _tools() -> Path | None:
    """Where the server's binaries are: the system's, else those of the wheel that carries them, `pgserver`, where it is installed."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *(Path(p) for p in [shutil.which("initdb")] if p)]
    wheel = importlib.util.find_spec("pgserver")
    if not found and wheel is not None and wheel.origin is not None:
        found = [Path(wheel.origin).with_name("pginstall") / "bin" / "initdb"]
    return found[0].resolve().parent if found else None


def _owner() -> str | None:
    """PostgreSQL refuses to run as root: some other user, then."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


@contextmanager
def server_of_postgres(*, connections: int = 50, durable: bool = False) -> Iterator[Postgres]:
    """A server of one's own for the length of the block; `durable` makes it wait for the disk, as one in production does."""
    tools, owner = _tools(), _owner()
    if tools is None:
        cannot_have("PostgreSQL: no server binaries on this machine (initdb); install the package `postgresql`, or `pip install pgserver`")
    if importlib.util.find_spec("psycopg") is None:
        cannot_have("PostgreSQL: no driver; install `detent[postgres]`")
    if owner is None:
        cannot_have("PostgreSQL: it refuses to run as root, and there is no other user")
    place = Path(tempfile.mkdtemp(prefix="detent-pg-"))  # not under tmp_path: a socket's path has to be short
    os.chown(place, pwd.getpwnam(owner).pw_uid, -1)
    server = Postgres(place, tools, owner)
    data = str(place / "data")
    server.run("initdb", "-D", data, "-U", "detent", "-A", "trust", "-E", "UTF8", "--no-sync")
    settings = f"{'' if durable else '-F '}-k {place} -c listen_addresses='' -c max_connections={connections}"
    server.run("pg_ctl", "-D", data, "-o", settings, "-l", str(place / "log"), "-w", "start")
    try:
        yield server
    finally:
        server.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(place)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with server_of_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Gives the URL of another empty store at each call."""
    if request.param == "sqlite":
        yield lambda: f"sqlite:///{tmp_path / uuid.uuid4().hex / 'state.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    taken: list[str] = []

    def another() -> str:
        taken.append(server.take())
        return server.url(taken[-1])

    yield another
    for name in taken:
        server.give_back(name)


@pytest.fixture
def store_url(new_store_url: Callable[[], str]) -> str:
    return new_store_url()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    yield opened
    opened.close()
