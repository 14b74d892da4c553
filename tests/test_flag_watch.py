"""Hearing that the flags moved: at once, without being woken by others, and with a net below; on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from detent.errors import CouldNotRun
from detent.store import Store, open_store
from detent.store import flag_watch as watching
from detent.store.database import Database, parse_url
from detent.store.flag_watch import FlagWatch
from detent.store.schema import counters
from detent.terms import Flag
from records import NEW, OLD, T0
from stores import Postgres, new_store_url, postgres, store, store_url

__all__ = ["new_store_url", "postgres", "store", "store_url"]

NEVER = 60.0
"""Nothing here is true because so much time has passed."""


def write(store: Store) -> int:
    """Another revision."""
    version = NEW if store.state.revision() % 2 else OLD
    return store.state.put_flags([Flag(route="summarizer", revision=0, stable=version)], at=T0)


def running() -> threading.Event:
    return threading.Event()


def test_a_watch_that_waits_hears_of_a_write_elsewhere(store: Store, store_url: str) -> None:
    watch, other, heard = store.state.watch(), open_store(store_url), list[float]()

    def wait() -> None:
        for _ in range(3):
            assert watch.wait(NEVER, running())
            heard.append(time.monotonic())
            went_on.set()

    thread, went_on = threading.Thread(target=wait), threading.Event()
    thread.start()
    for _ in range(3):
        write(other)
        assert went_on.wait(20)
        went_on.clear()
    thread.join(20)
    assert len(heard) == 3
    watch.close()
    other.close()


def test_what_was_written_before_the_wait_is_heard_at_once(store: Store) -> None:
    watch = store.state.watch()
    write(store)
    assert watch.wait(NEVER, running())
    assert not watch.wait(0.0, running()), "once"
    write(store)
    write(store)
    assert watch.changed()
    assert not watch.wait(0.1, running()), "nor again for a notification of what was read already"
    watch.close()


def test_a_wait_ends_when_its_time_is_over_or_somebody_says_stop(store: Store) -> None:
    watch, stop = store.state.watch(), threading.Event()
    assert not watch.wait(0.05, stop)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    assert not watch.wait(NEVER, stop)
    assert time.monotonic() - began < 20
    assert not watch.wait(NEVER, stop), "nor does one begin after it"
    watch.close()


def test_other_writes_wake_nobody(store: Store, store_url: str) -> None:
    watch, other = store.state.watch(), open_store(store_url)
    other.state.acknowledge("gw", 1, T0, pid=1, address="host:1")
    other.state.note("ann", "nothing of consequence", T0)
    assert not watch.wait(0.2, running())
    watch.close()
    other.close()


def announce_and_fail(store: Store) -> None:
    with store.state._db.write() as c:
        watching.announce(c, 99)
        raise ZeroDivisionError


def test_every_write_of_flags_says_so_in_its_own_transaction(postgres: Postgres) -> None:
    """A notification without a commit, or a commit without one, would each be a lie."""
    import psycopg

    name = postgres.take()
    store = open_store(postgres.url(name))
    with psycopg.connect(postgres.url(name), autocommit=True) as listening:
        (channel,) = listening.execute("SELECT 'detent_flags_' || 'counters'::regclass::oid").fetchone() or ("",)
        listening.execute(f'LISTEN "{channel}"')
        revision = write(store)
        dropped = store.state.drop_flags(["summarizer"], at=T0, by="ann")
        applied = store.state.put_manifest("text", by="ann", at=T0)
        with pytest.raises(ZeroDivisionError):
            announce_and_fail(store)
        heard = [int(one.payload) for one in listening.notifies(timeout=20, stop_after=3)]
        heard += [int(one.payload) for one in listening.notifies(timeout=0.1)]
    assert heard == [revision, dropped, applied]
    store.close()
    postgres.give_back(name)


def test_installations_that_share_a_database_do_not_wake_each_other(postgres: Postgres) -> None:
    """Each in a schema of its own."""
    name = postgres.take()
    first = open_store(postgres.url(name))
    with first.state._db.write() as c:
        c.execute(text("CREATE SCHEMA beside"))
    url = f"{postgres.url(name)}&options=-csearch_path%3Dbeside"
    second = open_store(url)
    watch = second.state.watch()
    write(first)
    told = watch._told(0.2)
    assert not told
    write(second)
    assert watch.wait(NEVER, running())
    watch.close()
    second.close()
    with first.state._db.write() as c:
        c.execute(text("DROP SCHEMA beside CASCADE"))
    first.close()
    postgres.give_back(name)


def test_a_notification_that_was_lost_is_made_good_by_reading(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a pooler that gives each transaction another session."""
    monkeypatch.setattr(watching, "REREAD_S", 0.1)
    name = postgres.take()
    store = open_store(postgres.url(name))
    watch = store.state.watch()
    watch._postgres.execute("UNLISTEN *")
    write(store)
    assert watch.wait(NEVER, running())
    watch.close()
    store.close()
    postgres.give_back(name)


def test_a_lost_connection_is_told_and_another_watch_hears_again(postgres: Postgres) -> None:
    name = postgres.take()
    store = open_store(postgres.url(name))
    watch = store.state.watch()
    with store.state._db.write() as c:
        c.execute(text(f"SELECT pg_terminate_backend({watch._postgres.info.backend_pid})"))
    with pytest.raises(CouldNotRun, match="tells nothing of its flags"):
        watch.wait(NEVER, running())
    watch.close()
    again = store.state.watch()
    write(store)
    assert again.wait(NEVER, running())
    again.close()
    store.close()
    postgres.give_back(name)


def test_a_database_that_cannot_be_reached_is_told_without_its_password() -> None:
    database = Database(parse_url("postgresql://detent:hunter2@/none?host=/nowhere"), durable=True)
    with pytest.raises(CouldNotRun) as said:
        FlagWatch(database)
    assert "hunter2" not in str(said.value)


def test_a_watch_of_a_file_that_lost_its_tables_says_so(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    watch = store.state.watch()
    with store.state._db.write() as c:
        counters.drop(c)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        watch.wait(NEVER, running())
    watch.close()
    store.close()
