"""A word diff of two texts, exact and bounded, and its excerpt for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
_MOST_TOKENS = 2000  # of each text: difflib is quadratic


def words(a: str, b: str) -> list[tuple[str, str]]:
    """A word diff as (op, text): "=" in both, "-" only in `a`, "+" only in `b`. "=" and "-" joined give `a`, "=" and "+" give `b`.

    What both begin and end with is set aside first. Beyond 2,000 words in the rest it goes by lines, and beyond 2,000 lines the rest is
    one replacement: difflib takes quadratic time.
    """
    before, after = _TOKEN.findall(a), _TOKEN.findall(b)
    head = _common(before, after)
    tail = min(_common(before[::-1], after[::-1]), len(before) - head, len(after) - head)
    middle = before[head : len(before) - tail], after[head : len(after) - tail]
    if max(map(len, middle)) > _MOST_TOKENS:
        middle = "".join(middle[0]).splitlines(keepends=True), "".join(middle[1]).splitlines(keepends=True)
    if max(map(len, middle)) > _MOST_TOKENS:
        middle = ["".join(middle[0])], ["".join(middle[1])]
    pieces = [("=", "".join(before[:head])), *_opcodes(*middle), ("=", "".join(before[len(before) - tail :]) if tail else "")]
    return _joined(pieces)


def _common(before: list[str], after: list[str]) -> int:
    """How many items both lists begin with."""
    return next((n for n, (x, y) in enumerate(zip(before, after, strict=False)) if x != y), min(len(before), len(after)))


def _opcodes(before: list[str], after: list[str]) -> Iterator[tuple[str, str]]:
    for op, i, j, k, m in SequenceMatcher(None, before, after).get_opcodes():
        if op == "equal":
            yield "=", "".join(before[i:j])
        else:
            yield "-", "".join(before[i:j])
            yield "+", "".join(after[k:m])


def _joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without empty pieces, and neighbours of one op made one."""
    joined: list[tuple[str, str]] = []
    for op, text in pieces:
        if text and joined and joined[-1][0] == op:
            joined[-1] = op, joined[-1][1] + text
        elif text:
            joined.append((op, text))
    return joined


def excerpt(ops: list[tuple[str, str]], *, around: int = 60, most: int = 400, changes: int = 12) -> list[tuple[str, str]]:
    """A word diff shortened for people: `around` characters of what stayed at each side of a change, `most` of each changed piece.

    Left-out text becomes a piece with op "~" that says how much; after `changes` changed pieces the rest is left out.
    """
    short: list[tuple[str, str]] = []
    shown = 0
    for n, (op, text) in enumerate(ops):
        if shown >= changes:
            left = sum(len(t) for _, t in ops[n:])
            return [*short, ("~", f"[{left} more characters]")]
        shown += op != "="
        before, after = (around if n else 0, around if n < len(ops) - 1 else 0) if op == "=" else (most * 2 // 3, most // 3)
        cut = len(text) - before - after
        if cut <= 40:  # the note would take as much room
            short.append((op, text))
            continue
        pieces = (op, text[:before]), ("~", f"[{cut} characters]"), (op, text[len(text) - after :])
        short.extend(piece for piece in pieces if piece[1])
    return short
