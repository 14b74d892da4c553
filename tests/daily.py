"""A journal by day, for tests: stores on PostgreSQL of their own, what is told on a day, and days that were made long ago."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from detent.store import Store, open_store
from detent.store.days import partitions
from detent.store.retention import Retention
from detent.terms import utc
from records import T0_US, at, intent, result
from stores import Postgres

DAY = 86_400.0
YEAR_1970, YEAR_2262 = -T0_US // 1_000_000 + 7, 9_214_646_400 - T0_US // 1_000_000
MODEL = intent("x").model


@pytest.fixture
def by_day(postgres: Postgres) -> Iterator[Store]:
    """A store on PostgreSQL that nobody has used before, nor will after."""
    store = open_store(postgres.url(postgres.create()))
    yield store
    store.close()


def names(store: Store, table: str = "legs") -> set[str]:
    with store.journal._db.read() as c:
        return {partition.name for partition in partitions(c) if partition.table == table}


def told(store: Store, name: str, seconds: float, *, ends: float = 1.0) -> None:
    store.journal.put([intent(name, seconds=seconds)])
    store.journal.put(results=[result(name, seconds + ends, request_body=b"{}", answer_body=b'{"text":"x"}')])


def aged(store: Store, name: str, by: timedelta) -> None:
    """A partition that was made so long ago."""
    with store.journal._db.write() as c:
        (made,) = (partition.made_us for partition in partitions(c) if partition.name == name)
        c.execute(text(f"COMMENT ON TABLE {name} IS 'made {(made or 0) - round(by.total_seconds() * 1e6)}'"))


def keeping(store: Store, now: float) -> Retention:
    return Retention(store, lambda: utc(at(now)))
