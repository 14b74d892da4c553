"""How a text is read before it is searched: digits of any script and full-width signs as ASCII, and what nobody sees left out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from detent.redaction.kinds import Span

_ZEROS = (
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0, 0x0F20, 0x1040,
    0x17E0, 0x1810, 0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6,
)  # fmt: skip
"""Where the digits of a script begin: Unicode has each ten of them in a row."""

_DIGITS = {zero + value: ord("0") + value for zero in _ZEROS for value in range(10)}
_FULL_WIDTH = {0xFF00 + code - 0x20: code for code in map(ord, "@.-_+:/()=")} | {0x3000: ord(" ")}
_ALIKE = _DIGITS | _FULL_WIDTH
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_ODD = re.compile("[" + "".join(map(re.escape, map(chr, sorted(_ALIKE)))) + _UNSEEN + "]")
_SEEN = re.compile(f"[^{_UNSEEN}]+")


class Spelling:
    """A text as it is searched (`text`), and where each place of it stands in the text as it came."""

    def __init__(self, came: str) -> None:
        self.text = came
        self._pieces: list[tuple[int, int]] = []
        """(where a piece begins in `text`, by how much it was shifted)"""
        if came.isascii() or _ODD.search(came) is None:
            return
        kept: list[str] = []
        length = 0
        for found in _SEEN.finditer(came):
            self._pieces.append((length, found.start() - length))
            kept.append(found[0])
            length += len(found[0])
        self.text = "".join(kept).translate(_ALIKE)

    def as_it_came(self, spans: Iterable[Span]) -> Iterator[Span]:
        """Spans of `text`, in order, as spans of the text as it came. Linear in both."""
        pieces = self._pieces
        at = 0
        for start, end in spans:
            if not pieces:
                yield start, end
                continue
            while at + 1 < len(pieces) and pieces[at + 1][0] <= start:
                at += 1
            last = at
            while last + 1 < len(pieces) and pieces[last + 1][0] < end:
                last += 1
            yield start + pieces[at][1], end + pieces[last][1]
            at = last
