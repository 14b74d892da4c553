"""JSON of any size, made short enough to read while it comes: over-long strings go, and too much structure is refused. Pure.

A feedback body may hold a comment of ten megabytes. Held whole and parsed, it would cost memory and a stall of every stream; so a string
beyond what any member may hold is dropped as it passes, and another one that is too long as well stands in its place.
"""

from __future__ import annotations

import re

from detent.errors import InvalidInput

LONGEST_BYTES = 24_000
"""The longest string that is kept: 2000 characters, each as a pair of escapes."""

STRUCTURE_BYTES = 32 * 1024
"""How much may stand outside of strings, each of which counts as one byte of it: 100 entries, written with indents, have 20 KB."""

KEPT_BYTES = 2 * 1024 * 1024
"""How much of a body is kept in all: less than what one sender may send at once."""

STAND_IN = b"x" * (LONGEST_BYTES + 1)

_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)


class Shortener:
    """Takes a JSON text in chunks. It checks no JSON: a text that is none stays none."""

    def __init__(self) -> None:
        self._inside = False
        self._held: list[bytes] = []
        self._length = 0
        self._escape = b""
        self._structure = 0
        self._kept = 0

    def feed(self, chunk: bytes) -> bytes:
        """What is kept of this chunk, and of strings that ended in it. Raises InvalidInput beyond the bounds."""
        chunk, self._escape = self._escape + chunk, b""
        out: list[bytes] = []
        at = 0
        while at < len(chunk):
            if self._inside:
                at = self._through_string(chunk, at, out)
            else:
                quote = chunk.find(b'"', at)
                end = len(chunk) if quote < 0 else quote + 1
                self._structure += end - at
                if self._structure > STRUCTURE_BYTES:
                    raise InvalidInput(
                        f"more than {STRUCTURE_BYTES // 1024} KB of the body stand outside of strings",
                        hint="send plain entries, 100 at most",
                    )
                out.append(chunk[at:end])
                self._inside, at = quote >= 0, end
        kept = b"".join(out)
        self._kept += len(kept)
        if self._kept > KEPT_BYTES:
            raise InvalidInput(
                f"the body has more than {KEPT_BYTES // (1024 * 1024)} MB of strings that may be kept", hint="send them in several requests"
            )
        return kept

    def _through_string(self, chunk: bytes, at: int, out: list[bytes]) -> int:
        found = _INSIDE.match(chunk, at)
        assert found is not None, "the pattern matches nothing, too"
        end = found.end()
        if self._length <= LONGEST_BYTES:
            self._held.append(chunk[at:end])
        self._length += end - at
        if end == len(chunk):
            return end
        if chunk[end : end + 1] == b"\\":  # the last byte: what it escapes is still to come
            self._escape = b"\\"
            return len(chunk)
        out.append((b"".join(self._held) if self._length <= LONGEST_BYTES else STAND_IN) + b'"')
        self._held, self._length, self._inside = [], 0, False
        return end + 1
