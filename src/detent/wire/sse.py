"""Server-sent events: bytes in any chunking to blocks and events, as the HTML standard's "event stream interpretation" says.

CRLF, CR and LF end lines, comments are skipped, data lines are joined by LF, a leading BOM is dropped, and a block without its blank line
at the end of the stream is no event (the official SDKs don't dispatch it either).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"[\r\n]")
_CR, _LF = 13, 10
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event: its name, if it has one, and its data."""

    event: str | None
    data: str


class Blocks:
    """Cuts a stream after each blank line. The blocks given out and what is held back are together, in order, the bytes that came in.

    The LF of a CRLF whose CR ended a block and came in an earlier chunk is a block of its own.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._scanned = 0
        self._line_empty = True
        self._last_was_cr = False
        self._block_ended = False

    def __len__(self) -> int:
        return len(self._held)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The blocks that this chunk completes."""
        held = self._held
        held += chunk
        out: list[bytes] = []
        start, at = 0, self._scanned
        while (found := _LINE_END.search(held, at)) is not None:
            end, first = found.start(), at
            at = end + 1
            if held[end] == _LF and self._last_was_cr and end == first:
                self._last_was_cr = False
                if not self._block_ended:
                    continue
            else:
                self._block_ended = self._line_empty and end == first
                self._line_empty = True
                self._last_was_cr = held[end] == _CR
                if not self._block_ended:
                    continue
                if self._last_was_cr and held[at : at + 1] == b"\n":
                    at += 1
                    self._last_was_cr = False
            out.append(bytes(held[start:at]))
            start = at
        if at < len(held):
            self._line_empty = self._last_was_cr = self._block_ended = False
        del held[:start]
        self._scanned = len(held)
        return out

    def release(self) -> bytes:
        """Gives out what is held back; the rest of that block follows when it is complete."""
        held = bytes(self._held)
        self._held.clear()
        self._scanned = 0
        return held


class SseReader:
    """Reads events out of a stream that comes in chunks; never raises."""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._first = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that this chunk completes."""
        events: list[SseEvent] = []
        for block in self._blocks.feed(chunk):
            event = _read_block(block.removeprefix(_BOM) if self._first else block)
            self._first = False
            if event is not None:
                events.append(event)
        return events


def _read_block(block: bytes) -> SseEvent | None:
    name: str | None = None
    data: list[str] = []
    for line in block.splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
        elif field == b"event":
            name = value.removeprefix(b" ").decode("utf-8", "replace") or None
    return SseEvent(name, "\n".join(data)) if data else None


def parse_sse(transcript: bytes) -> list[SseEvent]:
    """All events of a whole stream. Never raises."""
    return SseReader().feed(transcript)


def write_event(data: bytes, event: str | None = None) -> bytes:
    """One event with its blank line; `data` is one line."""
    return (b"event: " + event.encode() + b"\n" if event else b"") + b"data: " + data + b"\n\n"
