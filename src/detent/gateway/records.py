"""What a gateway writes down: no record is waited for, and no fault of one reaches a caller."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from detent import exchange, reading
from detent.exchange import Ended, Exchange
from detent.reading import Heard
from detent.tape import Tape
from detent.terms import Begun, Feedback, Intent, Leg, Result, Unmirrored

AT_ONCE_BYTES = 32 * 1024
APART_BYTES = 64 * 1024 * 1024
"""Redaction goes through some megabytes a second: bodies above the former size would hold up everyone else's bytes, and are redacted in a
thread; so many of them may wait there."""


class SpoolSink(Protocol):
    """Where records go. `write` never raises and never blocks."""

    def write(self, entry: Intent | Begun | Result | Feedback | Unmirrored) -> None:
        """Takes an entry."""


class Records:
    """Writes into the spool; `counts` hears of what could not be read, kept or written."""

    def __init__(self, spool: SpoolSink, counts: Counter[str]) -> None:
        self._spool = spool
        self._counts = counts
        self._redacting = ThreadPoolExecutor(1, "redaction")
        self._jobs: set[asyncio.Task[None]] = set()
        self._apart_bytes = 0

    async def settled(self) -> None:
        """Waits for the results whose bodies are still being redacted."""
        await asyncio.gather(*self._jobs)

    def write(self, entry: Intent | Begun | Result | Feedback | Unmirrored) -> None:
        """Writes an entry as it is."""
        try:
            self._spool.write(entry)
        except Exception:  # noqa: BLE001 - the spool promises not to raise; if it does, the request is served all the same
            self._counts["unrecorded"] += 1

    def began(self, ex: Exchange, leg: Leg, status: int, tape: Tape) -> None:
        """Writes that the first byte of an answer is there, where that is not for the result to say."""
        if tape.first_us is None or tape.first_byte_s is None:
            return
        begun = exchange.begun(ex, leg, status=status, at_us=tape.first_us, first_byte_s=tape.first_byte_s)
        if begun is not None:
            self.write(begun)

    def ended(self, ex: Exchange, leg: Leg, heard: Heard) -> Result:
        """Reads what was heard of a leg and writes its result, now or once its bodies are redacted. Returns it, perhaps without bodies."""
        try:
            end = exchange.ended(ex, leg, heard)
            size = exchange.size_kept(ex, end)
            if size > AT_ONCE_BYTES:
                self._redact_apart(ex, end, size)
                return end.result
            result = exchange.with_bodies(ex, end)
        except Exception:  # noqa: BLE001 - a defect in reading must not reach the caller; the leg still has its result
            self._counts["unread"] += 1
            result = reading.unread(heard, leg.id)
        self.write(result)
        return result

    def _redact_apart(self, ex: Exchange, end: Ended, size: int) -> None:
        """Large bodies are redacted in a thread, and the result is written when that is done; beyond its bound without its bodies."""
        if self._apart_bytes + size > APART_BYTES:
            self._counts["bodies_dropped"] += 1
            self.write(end.result)
            return
        self._apart_bytes += size
        job = asyncio.get_running_loop().create_task(self._apart(ex, end, size))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _apart(self, ex: Exchange, end: Ended, size: int) -> None:
        result = end.result
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._redacting, exchange.with_bodies, ex, end)
        except Exception:  # noqa: BLE001 - as in `ended`: what could not be redacted is not kept
            self._counts["unread"] += 1
        self._apart_bytes -= size
        self.write(result)
