"""A gateway on a real socket that hears of its flags from a store, as `detent gateway` does, with clocks of the test's own; and a store
that is put back to what it was, as from a copy of yesterday's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select

from detent import flags
from detent.flags import FlagFeed, static
from detent.local_orders import Orders
from detent.manifest import read
from detent.serve.carrying_out import carry_out
from detent.store import Store
from detent.store.schema import STATE_TABLES
from processes import Installation
from serving import Served, post, serving, until


class Clocks:
    """A monotonic clock and a wall clock that stand still until they are moved."""

    def __init__(self) -> None:
        self.at_s, self.now = 1000.0, datetime.now(UTC)

    def pass_by(self, seconds: float) -> None:
        self.at_s += seconds
        self.now += timedelta(seconds=seconds)


_SESSIONS = count()


@dataclass
class Living:
    """A gateway that lives. `said` is what it said of its flags and breakers."""

    store: Store
    served: Served
    feed: FlagFeed
    clocks: Clocks
    said: list[str] = field(default_factory=list)

    def asks(self, session: str) -> tuple[int, str]:
        """Status, and the version that answered."""
        status, _, body = post(self.served, x_detent_session_id=session)
        return status, json.loads(body).get("model", "") if status == 200 else ""

    def models(self, sessions: int = 12) -> set[str]:
        """The versions that so many new users get."""
        found = [self.asks(f"s-{next(_SESSIONS)}") for _ in range(sessions)]
        assert {status for status, _ in found} == {200}
        return {model for _, model in found}

    def health(self) -> dict[str, Any]:
        with closing(HTTPConnection("127.0.0.1", self.served.port)) as connection:
            connection.request("GET", "/detent/v1/health")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found

    def serves_revision(self) -> None:
        """Wait until it serves what the store says now."""
        until(lambda: self.feed.current.revision == self.store.state.revision())


@contextmanager
def living(
    home: Path, store: Store, provider: str, *, name: str = "two", clocks: Clocks | None = None, starts: bool = True
) -> Iterator[Living]:
    """A gateway of the pin file of `processes`, whose home is `home`; heartbeats every 20 ms. Not `starts`: its flags are not watched."""
    clocks, said = clocks or Clocks(), list[str]()
    home.mkdir(exist_ok=True)
    before, flags.HEARTBEAT_S = flags.HEARTBEAT_S, 0.02
    feed = FlagFeed(
        lambda: store,
        name,
        address="127.0.0.1:1",
        cache=home / f"flags-{name}.json",
        clock=lambda: clocks.now,
        fallback=static(read(Installation.pin_file(provider))),
        say=said.append,
        orders=Orders(home, f"{name}-spool"),
        carry_out=lambda of, order: carry_out(of, order, gateway=name, now=clocks.now),
        monotonic=lambda: clocks.at_s,
    )
    try:
        with serving(feed.current, monotonic=lambda: clocks.at_s, chance=lambda: 0.0, say=said.append, health=feed.obeyed.health) as served:
            served.gateway._flags = lambda: feed.current
            feed.tell(served.gateway.breakers)
            if starts:
                feed.start()
            yield Living(store, served, feed, clocks, said)
            if starts:
                feed.stop()
    finally:
        flags.HEARTBEAT_S = before


# ── a store that is put back ────────────────────────────────────────────────────────────────────────────────────────


def copied(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All of its state, as a copy has it."""
    with store.state._db.engine.connect() as c:
        return {table.name: [dict(row._mapping) for row in c.execute(select(table))] for table in STATE_TABLES}


def put_back(store: Store, copy: dict[str, list[dict[str, Any]]]) -> None:
    """Its state as it was, and nothing that came after."""
    with store.state._db.engine.execution_options(writes=True).begin() as c:
        for table in STATE_TABLES:
            c.execute(delete(table))
            if copy[table.name]:
                c.execute(insert(table), copy[table.name])
