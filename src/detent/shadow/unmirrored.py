"""What the shadow drew and did not send, added up: a flood of refusals is a few entries in the spool."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from detent.terms import NotMirrored, Unmirrored

EVERY_S = 1.0


class UnmirroredSums:
    """Writes at most one entry a second for each rollout, reason and more of it. Use it in one event loop."""

    def __init__(self, write: Callable[[Unmirrored], None], clock_us: Callable[[], int]) -> None:
        self._write = write
        self._clock_us = clock_us
        self._sums: Counter[tuple[str, NotMirrored, str]] = Counter()
        self._due: asyncio.TimerHandle | None = None

    def add(self, rollout: str, reason: NotMirrored, why: str = "") -> None:
        """Counts one request."""
        self._sums[rollout, reason, why] += 1
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(EVERY_S, self.flush)

    def flush(self) -> None:
        """Writes what was counted since the last time."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        counted, self._sums = self._sums, Counter()
        for (rollout, reason, why), n in counted.items():
            self._write(Unmirrored(rollout=rollout, at_us=self._clock_us(), reason=reason, why=why, n=n))
