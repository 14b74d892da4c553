"""The spool: what a gateway knows goes to local disk in one write, and is read from there by the ingester, exactly once.

A `Spool` is one directory of one writer: a `lock` file held by flock for as long as the writer lives, and segments `00000001.spool`, ...
of frames: magic, length, CRC-32, kind, JSON. The kernel keeps what was written when the process is killed (a power cut may take the last
seconds). The reading side tolerates a torn tail, finds its way again after damaged bytes, and tells a dead writer from a silent one.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from detent.terms import Begun, Feedback, Intent, Kept, Pair, Result, Unmirrored

Entry = Intent | Begun | Result | Feedback | Unmirrored | Kept | Pair

SEGMENT_BYTES = 16 * 2**20
CAP_BYTES = 2**30
_MAGIC = b"\xff\xd7"  # 0xff never occurs in UTF-8, so no payload can look like the start of a frame
_HEADER = struct.Struct("<2sII")
_READ_BYTES = 2**20
_RETIRED = ".done-"
_KINDS: dict[bytes, type[Entry]] = {
    b"i": Intent,
    b"b": Begun,
    b"r": Result,
    b"f": Feedback,
    b"u": Unmirrored,
    b"k": Kept,
    b"p": Pair,
}
_KIND_OF: dict[type[Entry], bytes] = {kind: letter for letter, kind in _KINDS.items()}
_ENCODER = msgspec.json.Encoder()
_DECODERS: dict[int, msgspec.json.Decoder[Entry]] = {letter[0]: msgspec.json.Decoder(kind) for letter, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a spool has been read: a segment's number and a byte offset in it."""

    segment: int = 1
    offset: int = 0


START = Position()


@dataclass(frozen=True, slots=True)
class Spooled:
    """An entry and the position just after it; `entry` is None for a frame that is whole but can't be read (a newer gateway's, say)."""

    after: Position
    entry: Entry | None


def encode(entry: Entry) -> bytes:
    """The frame of one entry. Raises ValueError or TypeError for what JSON can't hold (a lone surrogate)."""
    payload = _KIND_OF[type(entry)] + _ENCODER.encode(entry)
    return _HEADER.pack(_MAGIC, len(payload), crc32(payload)) + payload


class Spool:
    """The writing end: one directory, one writer, any thread of it. `write` never raises and never waits for a reader."""

    def __init__(self, root: Path, gateway: str, *, segment_bytes: int = SEGMENT_BYTES, cap_bytes: int = CAP_BYTES) -> None:
        """Make a new directory under `root`, which is made too. Beyond 3/4 of `cap_bytes` bodies are left out, beyond all of it entries."""
        self.gateway = gateway
        self.written = 0
        self.dropped = 0
        self.bodies_dropped = 0
        self._segment_bytes, self._cap_bytes = segment_bytes, cap_bytes
        self._turn = threading.Lock()
        name = f"{re.sub(r'[^A-Za-z0-9_.-]', '-', gateway).lstrip('.') or 'gateway'}-{secrets.token_hex(6)}"
        root.mkdir(parents=True, exist_ok=True)
        unseen = root / f".{name}"
        unseen.mkdir()
        # The lock is taken before the directory gets its name: no reader can ever take a spool that is just beginning for a dead one.
        self._lock = os.open(unseen / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.dir = root / name
        unseen.rename(self.dir)
        self._segment, self._file, self._offset = 0, -1, 0
        self._kept_bytes = 0  # in older segments that no ingester has taken away yet
        self._looked_at = 0.0
        self._closed = False

    def write(self, entry: Entry) -> None:
        """Append one entry with one `os.write`. Never raises: what a full disk, the cap or JSON refuses is counted in `dropped`."""
        with self._turn:
            try:
                if self._closed:
                    raise OSError("the spool is closed")
                self._append(self._within_cap(entry))
                self.written += 1
            except (OSError, ValueError, TypeError):
                self.dropped += 1

    def close(self) -> None:
        """Let go of the lock: the spool counts as dead from here, and legs without a result as lost."""
        with self._turn:
            if not self._closed:
                self._closed = True
                if self._file >= 0:
                    os.close(self._file)
                os.close(self._lock)

    def _append(self, entry: Entry) -> None:
        frame = encode(entry)
        if self._file < 0 or (self._offset and self._offset + len(frame) > self._segment_bytes):
            self._rotate()
        sent = os.write(self._file, frame)
        self._offset += sent
        if sent != len(frame):  # a disk that is just full; the reader steps over the torn frame
            raise OSError("the disk took a part of a frame")

    def _rotate(self) -> None:
        path = self.dir / _segment_name(self._segment + 1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._segment, self._file, self._offset = self._segment + 1, file, 0
        self._measure()

    def _measure(self) -> None:
        self._kept_bytes = sum(_size(path) for number, path in segments(self.dir).items() if number < self._segment)
        self._looked_at = time.monotonic()

    def _within_cap(self, entry: Entry) -> Entry:
        held = self._kept_bytes + self._offset
        if held > 0.75 * self._cap_bytes and time.monotonic() - self._looked_at > 1.0:
            self._measure()  # an ingester may have made room
            held = self._kept_bytes + self._offset
        if held > self._cap_bytes:
            raise OSError("the spool is at its cap")
        if held > 0.75 * self._cap_bytes and isinstance(entry, Result) and (entry.request_body or entry.answer_body):
            self.bodies_dropped += 1
            return replace(entry, request_body=None, answer_body=None)
        if held > 0.75 * self._cap_bytes and isinstance(entry, Kept):
            self.bodies_dropped += 1
            raise OSError("the spool keeps no bodies for now")
        return entry


def _size(path: Path) -> int:
    """Trap: an ingester may take a segment away between any two looks, and the entry that is being written must not pay for it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def spool_dirs(root: Path) -> dict[str, Path]:
    """The spools under `root` by name, dead or alive; none when `root` isn't there yet."""
    if not root.is_dir():
        return {}
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")}


def retire(spool: Path) -> None:
    """Take a spool that is done with out of sight of `spool_dirs`, in one step; `retired` finds it from now on."""
    spool.rename(spool.with_name(_RETIRED + spool.name))


def retired(root: Path) -> dict[str, Path]:
    """The spools under `root` that were retired and are still to be removed, by the name they had."""
    return {path.name.removeprefix(_RETIRED): path for path in sorted(root.glob(f"{_RETIRED}*"))}


def writer_alive(spool: Path) -> bool:
    """Whether the process that writes this spool lives: whether its lock is held. False when the directory is gone."""
    try:
        lock = os.open(spool / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two readers that ask at once don't see each other as the writer
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def segments(spool: Path) -> dict[int, Path]:
    """The segments that are there, by number, in order; none when the directory is gone."""
    try:
        names = os.listdir(spool)
    except FileNotFoundError:
        return {}
    found = {int(name[:-6]): spool / name for name in names if name.endswith(".spool") and name[:-6].isdigit()}
    return dict(sorted(found.items()))


def spool_end(spool: Path) -> Position:
    """The position after the last byte written so far: where a pass that begins now may stop."""
    there = segments(spool)
    if not there:
        return Position()
    last = max(there)
    return Position(last, there[last].stat().st_size)


def iter_spool(spool: Path, position: Position, end: Position) -> Iterator[Spooled]:
    """Entries from `position` to `end` (see `spool_end`), in the order written.

    A frame torn at the end of the last segment stays for the next reading (its writer may be at it); damaged bytes before that are stepped
    over, up to the next frame that is whole.
    """
    for number, path in segments(spool).items():
        if position.segment <= number <= end.segment:
            start = position.offset if number == position.segment else 0
            yield from _iter_segment(path, number, start, end.offset if number == end.segment else None)


def read_spool(spool: Path, position: Position) -> tuple[list[Entry], Position]:
    """All readable entries after `position`, and the position to go on from."""
    entries: list[Entry] = []
    for found in iter_spool(spool, position, spool_end(spool)):
        position = found.after
        if found.entry is not None:
            entries.append(found.entry)
    return entries, position


def _segment_name(number: int) -> str:
    return f"{number:08d}.spool"


def _iter_segment(path: Path, number: int, start: int, end: int | None) -> Iterator[Spooled]:
    with path.open("rb") as file:
        file.seek(start)
        held, at = b"", start  # `at` is the offset of held[0]
        while True:
            want = _READ_BYTES if end is None else min(_READ_BYTES, end - at - len(held))
            more = file.read(want) if want > 0 else b""
            held += more
            used = 0
            for used, payload in _frames(held, last=not more):
                yield Spooled(Position(number, at + used), _decode(payload))
            held, at = held[used:], at + used
            if not more:
                return


def _frames(held: bytes, *, last: bool) -> Iterator[tuple[int, bytes]]:
    """(offset after, payload) of the whole frames in `held`. Stops at one that isn't there in full, unless no more will come (`last`)."""
    at = 0
    while len(held) - at >= _HEADER.size:
        magic, length, crc = _HEADER.unpack_from(held, at)
        body = at + _HEADER.size
        payload = held[body : body + length]
        if magic == _MAGIC and len(payload) == length and crc32(payload) == crc:
            at = body + length
            yield at, payload
            continue
        if magic == _MAGIC and len(payload) < length and not last:
            return
        at = held.find(_MAGIC, at + 1)
        if at < 0:
            return


def _decode(payload: bytes) -> Entry | None:
    decoder = _DECODERS.get(payload[0]) if payload else None
    if decoder is None:
        return None
    try:
        entry = decoder.decode(payload[1:])
    except (msgspec.DecodeError, ValueError):
        return None
    # PostgreSQL holds no NUL in a text: one hostile model name must not stop the ingester for good.
    return _without_nul(entry) if b"\\u0000" in payload else entry


def _without_nul(entry: Entry) -> Entry:
    changed: dict[str, Any] = {}
    for column in fields(entry):
        value = getattr(entry, column.name)
        if isinstance(value, str) and "\0" in value:
            changed[column.name] = value.replace("\0", "\ufffd")
        elif isinstance(value, tuple):
            changed[column.name] = tuple(text.replace("\0", "\ufffd") for text in value)
        elif isinstance(value, dict):
            changed[column.name] = {name: text.replace("\0", "\ufffd") for name, text in value.items()}
    return replace(entry, **changed)
