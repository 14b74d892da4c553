"""The handful of errors a reader can act on: one per thing to do, each with the exit code the CLI ends with.

Exit codes are one contract for the CLI and CI: 0 pass, 1 confirmed regression, 2 usage, 3 inconclusive (never a pass),
4 could not run, 5 refused. 0, 1 and 3 are results, not errors; they are in `Exit`.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    PASS = 0
    REGRESSION = 1
    USAGE = 2
    INCONCLUSIVE = 3
    COULD_NOT_RUN = 4
    REFUSED = 5


class DetentError(Exception):
    """What went wrong, with the value in backticks after a colon, and `hint`: the next thing to do."""

    exit = Exit.COULD_NOT_RUN

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class InvalidInput(DetentError):
    """Something given is wrong (an option, a line of a file, a value): mend it and run again. Nothing was changed."""

    exit = Exit.USAGE


class CouldNotRun(DetentError):
    """Something outside failed (a provider, a database, a disk): nothing was decided."""

    exit = Exit.COULD_NOT_RUN


class Refused(DetentError):
    """Asked for correctly, and not allowed now (approval, freeze, a hand-edited pin, an open rollout)."""

    exit = Exit.REFUSED


class Conflict(DetentError):
    """Somebody else changed the row first (compare-and-set lost): load again and decide again."""

    exit = Exit.COULD_NOT_RUN
