"""The store: state (flags, rollouts, units, counts, decisions, audit), journal (one row per leg) and spool (what gateways write).

spool.py     entries to and from local disk             imported alone by the gateway: it needs no database
state.py     flags, rollouts, decisions, gateways       findings.py  baselines, runs
tallies.py   what the ingester keeps, exactly once      journal.py   what happened, leg by leg
shadowing.py scored pairs, and their sums               ledger.py    what shadows may spend, and what was not mirrored
mirrored.py  the journal's pairs, graded or not
schema.py    the tables                                 database.py  connections and transactions
alone.py     a name that one process holds at a time
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detent.store.journal import Journal
    from detent.store.state import State


@dataclass(frozen=True, slots=True)
class Store:
    """State and journal of one installation."""

    state: State
    journal: Journal

    def close(self) -> None:
        """Let go of all connections."""
        self.state.close()
        self.journal.close()


def open_store(url: str) -> Store:
    """The store behind a URL, made when it isn't there. `sqlite:///DIR/state.db` has its journal in DIR/journal.db.

    Raises InvalidInput for a URL that Detent can't use, CouldNotRun when the database refuses or was written by a newer Detent.
    """
    # Imported here: the gateway imports `detent.store.spool`, and with it this file, and must not pay for SQLAlchemy.
    from pathlib import Path

    from detent.store.database import Database, parse_url
    from detent.store.journal import Journal
    from detent.store.schema import JOURNAL_TABLES, STATE_TABLES
    from detent.store.state import State

    place = parse_url(url)
    state = Database(place, durable=True)
    journal = Database(place.set(database=str(Path(str(place.database)).with_name("journal.db"))), durable=False) if state.sqlite else state
    state.create(STATE_TABLES)
    journal.create(JOURNAL_TABLES)
    return Store(State(state), Journal(journal))
