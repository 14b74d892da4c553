"""Writing to stdout, which may be a full disk or a terminal that lacks letters."""

from __future__ import annotations

import contextlib
import os
import sys

from detent.errors import CouldNotRun


def put(text: str) -> None:
    """Write all of it; a character that the terminal's encoding lacks is escaped. Raises CouldNotRun where nothing more can be written.

    A reader that goes away is no such case: BrokenPipeError is let through.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # what is still held would fail once more when the process ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise CouldNotRun(f"cannot write to stdout: {error.strerror}", hint="name a file with --out, or make room") from None
