"""The store: state (flags, rollouts, units, counts, decisions, audit), journal (one row per leg) and spool (what gateways write).

spool.py     entries to and from local disk             imported alone by the gateway: it needs no database
state.py     flags, rollouts, decisions, gateways       findings.py  baselines, runs
tallies.py   what the ingester keeps, exactly once      journal.py   what happened, leg by leg
shadowing.py scored pairs, and their sums               ledger.py    what shadows may spend, and what was not mirrored
mirrored.py  the journal's pairs, graded or not
schema.py    the tables                                 database.py  connections and transactions
alone.py     a name that one process holds at a time    leases.py    who leads, and nobody else
hosts.py     whose spools are read, and how far behind
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detent.store.journal import Journal
    from detent.store.leases import Lease
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

    def fenced(self, lease: Lease) -> Store:
        """The same store for whoever holds this lease: a write raises NotLeading once it is another's, and stores nothing.

        (An embedded journal is a database of its own, without the lease: what is put there twice is stored once.)
        """
        from detent.store.leases import fence_of

        return Store(self.state.fenced(lease), self.journal.fenced(fence_of(lease)))


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
    try:
        state.create(STATE_TABLES)
        if not state.sqlite:
            # A journal of years takes minutes to migrate, and a rollback must not wait for it: who needs the journal first does that.
            return Store(State(state), Journal(state.create_when_used(JOURNAL_TABLES)))
        journal.create(JOURNAL_TABLES)
    except BaseException:
        # A process that tries again and again would else keep a connection for each try, until the server has none left for anybody.
        state.close()
        journal.close()
        raise
    return Store(State(state), Journal(journal))
