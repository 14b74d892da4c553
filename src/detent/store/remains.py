"""What an embedded store leaves beside it: by this a store that is gone is told from one that there never was.

A new, empty store in the place of one that was lost would forget who may do what, every open rollout and the audit log, and tell nobody.
"""

from __future__ import annotations

from pathlib import Path

from detent.store.spool import spool_dirs, writer_alive

ANCHORS = "audit-anchor.jsonl"  # `anchor.ANCHOR_FILE`, which comes with the whole database


def is_there(state: Path) -> bool:
    """Whether the file holds a store, or may: one of no bytes holds none."""
    try:
        return state.stat().st_size > 0
    except OSError:
        return False


def remains(state: Path, home: Path | None = None) -> Path | None:
    """A file that only a store leaves that was there once; None where nothing tells of one. Raises OSError for what cannot be looked at.

    `home` is the directory of spools and caches, where the store is the one of that directory. The spool of a process that lives tells
    nothing: on a new host a gateway makes its spool before it makes a store.
    """
    journal = state.with_name("journal.db")
    if home is None:
        others = [path for path in state.parent.glob("*.db") if path not in (state, journal)]
        return journal if journal.exists() and not others else None  # beside another store the journal is that one's
    for path in (journal, *sorted(home.glob("flags-*.json")), home / ANCHORS):
        if path.exists():
            return path
    return next((spool for _, spool in sorted(spool_dirs(home / "spool").items()) if not writer_alive(spool)), None)
