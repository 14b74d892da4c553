"""What `[server]` may say of its journal: how long it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from detent.manifest.findings import Finding, shown
from detent.manifest.plan_rules import seconds_of
from detent.manifest.rules import Data, tables

SHORTEST_S = 86_400.0
"""What is dropped are whole days, and a leg that was sent before midnight has its result after it."""


def _journal(data: Data) -> Iterator[Finding]:
    for path, server in tables(data, "server"):
        seconds = seconds_of(server, "journal")
        if seconds is not None and seconds < SHORTEST_S:
            hint = 'write "1d" or more, like "90d"; leave it out to keep the journal for ever'
            yield Finding((*path, "journal"), f"journal out of range: {shown(server['journal'])}", hint)


JOURNAL_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (_journal,)
"""The rules for the journal."""
