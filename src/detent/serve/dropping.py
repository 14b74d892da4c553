"""Word of records that were dropped: of a spool that cannot be written nobody would hear otherwise, since every request is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from detent.store.spool import Spool

LOOK_S = 1.0


class Dropping:
    """What is to be said of a spool's counts, once when it begins to drop and once when it keeps records again."""

    def __init__(self) -> None:
        self._written = self._dropped = self._before = 0
        self._dropping = False

    def step(self, written: int, dropped: int) -> str | None:
        """The sentence, if these counts are news."""
        kept, lost = written > self._written, dropped > self._dropped
        self._written, self._dropped = written, dropped
        if lost and not self._dropping:
            self._dropping = True
            return "records are dropped, requests are answered: the disk is full, or the spool at its cap with nobody reading it"
        if self._dropping and kept and not lost:
            self._dropping = False
            new, self._before = dropped - self._before, dropped
            return f"records are kept again; {new} were dropped"
        return None


async def watched(spool: Spool, say: Callable[[str], None]) -> None:
    """Say it, until cancelled."""
    dropping = Dropping()
    while True:
        await asyncio.sleep(LOOK_S)
        said = dropping.step(spool.written, spool.dropped)
        if said is not None:
            say(said)
