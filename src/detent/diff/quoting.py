"""How a detector quotes what it saw: short, on one line, in backticks. What it quotes is hostile still: escape it before it is shown."""

from __future__ import annotations

from collections.abc import Sequence


def quote(text: str, most: int = 80) -> str:
    """The beginning of a text."""
    one_line = " ".join(text[: most * 4].split())
    return f"`{one_line[:most]}...`" if len(one_line) > most else f"`{one_line}`"


def listed(names: Sequence[str], most: int = 3) -> str | None:
    """The first of the names and how many more there are; None without any."""
    if not names:
        return None
    shown = ", ".join([quote(name, 60) for name in names[:most]])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
