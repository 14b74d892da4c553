"""The head of the audit chain, noted outside the store: what a log that was cut off or written anew is found out by.

A file of JSON lines beside the flags cache, one for each head that was noted. It is as good as it is out of reach: copy it, or the line
that `detent audit anchor` prints, to where whoever can write to the database cannot.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from detent.errors import CouldNotRun, InvalidInput
from detent.store import Store
from detent.store.chain import Head
from detent.visible import visible

ANCHOR_FILE = "audit-anchor.jsonl"
EVERY_S = 60.0
"""How often a head is noted at most: a log that is cut off within the minute loses that minute unseen."""


class _Line(msgspec.Struct, frozen=True):
    at: datetime
    entry: int
    chain: str


_LINE = msgspec.json.Decoder(_Line)


def line_of(head: Head, at: datetime) -> str:
    """The line that notes a head."""
    return msgspec.json.encode(_Line(at=at, entry=head.entry, chain=head.chain)).decode()


def anchors(path: Path) -> list[Head]:
    """The heads that a file notes. A last line that is torn, as a power cut or a full disk leaves it, notes none.

    Raises InvalidInput for any other line that is none, CouldNotRun for a file that cannot be read.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CouldNotRun(f"cannot read `{path}`: {error.strerror}", hint="name the file of anchors with --anchor") from None
    found, lines = [], text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            noted = _LINE.decode(line)
        except msgspec.MsgspecError as error:
            if number == len(lines) and not text.endswith(b"\n"):
                break
            said = f"line {number}: {visible(str(error), one_line=True)}"
            raise InvalidInput(f"not an anchor: `{path}`, {said}", hint="each line is what `detent audit anchor` printed") from None
        found.append(Head(entry=noted.entry, chain=noted.chain))
    return found


class Anchors:
    """Notes the head when it moved. For one thread."""

    def __init__(self, store: Store, home: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._state = store.state
        self._path = home / ANCHOR_FILE
        self._clock = clock
        self._noted = anchors(self._path)[-1:] if self._path.exists() else []

    def step(self) -> None:
        """Append the head, where it is another one than the last that was noted. Raises CouldNotRun where the file cannot be written."""
        head = self._state.audit_head()
        if head is None or self._noted == [head]:
            return
        try:
            opened = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                text = f"{_mended(opened)}{line_of(head, self._clock())}\n".encode()
                if os.write(opened, text) != len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(opened)
            finally:
                os.close(opened)
        except OSError as error:
            raise CouldNotRun(f"cannot note the head of the audit log in `{self._path}`: {error.strerror}") from error
        self._noted = [head]


def _mended(opened: int) -> str:
    """Take a torn last line out of an open file; what the next line is to begin with, where the last one only lacks its end."""
    text = os.pread(opened, os.fstat(opened).st_size, 0)
    whole, end, last = text.rpartition(b"\n")
    if not last:
        return ""
    try:
        _LINE.decode(last)
    except msgspec.MsgspecError:
        os.ftruncate(opened, len(whole) + len(end))
        return ""
    return "\n"
