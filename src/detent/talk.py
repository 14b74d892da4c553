"""What a server says, line by line, to stderr: with the time in UTC, where no person watches and it is kept as a log."""

from __future__ import annotations

import sys
from datetime import UTC, datetime


def say(message: str) -> None:
    """One line of talk; what others wrote in it (names, reasons, errors of providers) is text, which no terminal obeys."""
    line = message.replace("\n", "; ")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    print(f"{stamp(datetime.now(UTC))}{shown}", file=sys.stderr, flush=True)


def stamp(now: datetime) -> str:
    """What a line begins with: nothing on a terminal, `2026-11-24T00:35:10.123Z ` in a log."""
    return "" if sys.stderr.isatty() else f"{now.astimezone(UTC).isoformat(timespec='milliseconds').replace('+00:00', 'Z')} "
