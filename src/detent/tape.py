"""A leg's tee: what passes is noted here, unread, and becomes `Heard` when the leg has ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from detent.reading import READ_BYTES, Heard
from detent.terms import Outcome
from detent.upstream import Reply, UpstreamError


class Tape:
    """Begins when a leg is sent. Costs a list append per chunk; above `READ_BYTES` the chunks are let go, and the answer stays unread."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._began = time.monotonic()
        self.sent_us = clock_us()
        self.first_us: int | None = None
        self.first_byte_s: float | None = None
        self._chunks: list[bytes] | None = []
        self._size = 0
        self._reply: Reply | None = None
        self._status: int | None = None
        self._broke: Outcome | None = None
        self._error: str | None = None

    def opened(self, reply: Reply) -> None:
        """The answer's headers are there."""
        self._reply = reply
        self._status = reply.status

    def add(self, chunk: bytes) -> None:
        """More of the answer is there, as upstream sent it."""
        if self.first_us is None:
            self.first_us = self._clock_us()
            self.first_byte_s = time.monotonic() - self._began
        if self._chunks is not None:
            self._size += len(chunk)
            self._chunks.append(chunk)
            if self._size > READ_BYTES:
                self._chunks = None

    def failed(self, failure: UpstreamError) -> None:
        """The leg failed, before its first byte or after."""
        self._broke = failure.outcome
        self._error = failure.detail
        self._status = failure.status or self._status

    def hung_up(self) -> None:
        """The caller went away."""
        self._broke = Outcome.CLIENT_ABORTED

    def heard(self) -> Heard:
        """What was seen up to now."""
        return Heard(
            at_us=self._clock_us(),
            latency_s=time.monotonic() - self._began,
            first_byte_s=self.first_byte_s,
            status=self._status,
            content_type="" if self._reply is None else self._reply.content_type,
            encoding="" if self._reply is None else self._reply.encoding,
            body=None if self._chunks is None else b"".join(self._chunks),
            broke=self._broke,
            error=self._error,
        )
