"""Bytes in chunks -> rows of JSON objects, each with the place it stands at; what is too long or no JSON is refused, never raised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from detent.errors import InvalidInput
from detent.formats.reasons import DUPLICATE, NESTED, NOT_JSON, NOT_UTF8, TOO_LONG, UNKNOWN, Unusable
from detent.terms import RecordedExchange, RefusedRow
from detent.wire import json_text

MAX_ROW = 8 * 1024 * 1024
"""Bytes of one row; the gateway reads no larger body either."""
MAX_DOCUMENT = 64 * 1024 * 1024
"""Bytes of a file that is one JSON document, which has to be held as a whole."""
MAX_DEPTH = 100
"""Values inside values; far above any tool schema, far below where a reader's own recursion ends."""
DETAIL_CHARS = 200

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"(\xb5/\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"SQLite format 3\x00", "SQLite"),
)
_ENCODINGS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON object of a file, and where it stands (`file:line`). `doubled` are names that its table has more than one column of."""

    where: str
    value: dict[str, Any]
    doubled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller says of the files: which column holds what."""

    columns: Mapping[str, str] = field(default_factory=dict)


class Ids:
    """The ids that rows of one reading had: 8 bytes of each are kept, so that a million of them fit."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def once(self, *key: object) -> None:
        """Raises Unusable for a key that was there before. A key with None or an empty string in it is none."""
        if any(part is None or part == "" for part in key):
            return
        short = hashlib.blake2b("\0".join(map(str, key)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if short in self._seen:
            raise Unusable(DUPLICATE, " ".join(f"`{part}`" for part in key))
        self._seen.add(short)


Rows = Iterator[Row | RefusedRow]
Found = Iterator[RecordedExchange | RefusedRow]
Reader = Callable[[Rows, Options], Found]


def guarded(where: str, make: Callable[[], RecordedExchange]) -> RecordedExchange | RefusedRow:
    """What `make` returns, or the refusal that its error means. The one place where a row's faults end."""
    try:
        return make()
    except Unusable as error:
        reason, detail = error.reason, error.detail
    except InvalidInput as error:
        reason, detail = UNKNOWN, error.message
    except RecursionError:
        reason, detail = NESTED, ""
    except UnicodeEncodeError:
        reason, detail = NOT_UTF8, "half of a surrogate pair"
    except OverflowError as error:
        reason, detail = UNKNOWN, str(error)
    return RefusedRow(where, reason, detail[:DETAIL_CHARS])


def each(one: Callable[[Row, Options, Ids], RecordedExchange]) -> Reader:
    """The reader of a form in which every row stands for itself. `one` raises Unusable, or what `guarded` knows."""

    def reader(rows: Rows, options: Options) -> Found:
        ids = Ids()
        for row in rows:
            yield row if isinstance(row, RefusedRow) else guarded(row.where, lambda row=row: one(row, options, ids))  # type: ignore[misc]

    return reader


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def lines(chunks: Iterable[bytes], *, limit: int = MAX_ROW) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file given in chunks of any size, numbered from 1, without their ends and without a byte order mark.

    A line of more than `limit` bytes is None; never more than that and one chunk is held.
    """
    number, held, size = 1, list[bytes](), 0
    for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            size += end - start
            yield number, _line(number, [*held, chunk[start:end]]) if size <= limit else None
            number, held, size, start = number + 1, [], 0, end + 1
        size += len(chunk) - start
        if size <= limit:
            held.append(chunk[start:])
        else:
            held = []
    if size:
        yield number, _line(number, held) if size <= limit else None


def _line(number: int, parts: list[bytes]) -> bytes:
    line = b"".join(parts).removesuffix(b"\r")
    return line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def document(chunks: Iterable[bytes], file: str, *, limit: int) -> bytes:
    """The whole file. Raises InvalidInput for one of more than `limit` bytes."""
    held, size = list[bytes](), 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise InvalidInput(
                f"a document of more than {limit // 2**20} MiB: `{file}`", hint="export one JSON object a line, or a shorter span of time"
            )
        held.append(chunk)
    return b"".join(held).removeprefix(b"\xef\xbb\xbf")


def begin(chunks: Iterable[bytes], file: str) -> tuple[bytes, Iterator[bytes]]:
    """How a file begins (its first line, or as much of it as a row may have), and all its chunks.

    Raises InvalidInput for a file that is packed or encoded: nothing is unpacked here.
    """
    rest = iter(chunks)
    taken, head = list[bytes](), b""
    for chunk in rest:
        taken.append(chunk)
        head += chunk
        if (b"\n" in chunk and len(head) >= 4096) or len(head) > MAX_ROW:
            break
    for magic, name in _MAGIC:
        if head.startswith(magic):
            raise InvalidInput(f"a {name} file: `{file}`", hint="unpack it first; packed files are not opened")
    for mark, name in _ENCODINGS:
        if head.startswith(mark):
            raise InvalidInput(f"not UTF-8 but {name}: `{file}`", hint="save the file as UTF-8")
    if head.startswith(b"PAR1"):
        raise InvalidInput(f"a Parquet file, which is read by name: `{file}`", hint="name it .parquet")
    return head.removeprefix(b"\xef\xbb\xbf"), chain(taken, rest)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def json_value(text: bytes) -> Any:
    """The value of a JSON text. Raises Unusable: not UTF-8, not JSON, nested too deep."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise Unusable(NOT_UTF8, f"`0x{text[error.start]:02x}` at byte {error.start + 1} of the line") from error
    try:
        value = json_text.load(text)
    except InvalidInput as error:
        reason = NESTED if isinstance(error.__cause__, RecursionError) else NOT_JSON
        raise Unusable(reason, error.message.removeprefix("not readable as JSON: ")) from error
    # Counting brackets is fast, and almost every row has too few to be deep.
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and deep(value):
        raise Unusable(NESTED, f"more than {MAX_DEPTH} values inside each other")
    return value


def deep(value: object) -> bool:
    """Whether a value holds values in more than MAX_DEPTH layers."""
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True


def json_object(where: str, text: bytes) -> Row | RefusedRow:
    """One line as a row."""
    try:
        value = json_value(text)
    except Unusable as error:
        return RefusedRow(where, error.reason, error.detail[:DETAIL_CHARS])
    return as_row(where, value)


def as_row(where: str, value: object) -> Row | RefusedRow:
    """A value as a row, if it is an object."""
    return Row(where, value) if isinstance(value, dict) else RefusedRow(where, UNKNOWN, "not an object")


def json_rows(chunks: Iterable[bytes], file: str, *, limit: int = MAX_ROW) -> Rows:
    """The objects of a file with one a line, or of one that is a whole JSON array. Empty lines are skipped."""
    head, chunks = begin(chunks, file)
    if head.lstrip().startswith(b"["):
        yield from _array(chunks, file)
        return
    for number, line in lines(chunks, limit=limit):
        where = f"{file}:{number}"
        if line is None:
            yield RefusedRow(where, TOO_LONG, f"a line of more than {limit // 2**20} MiB")
        elif line.strip():
            yield json_object(where, line)


def _array(chunks: Iterable[bytes], file: str) -> Rows:
    try:
        items = json_value(document(chunks, file, limit=MAX_DOCUMENT))
    except Unusable as error:
        yield RefusedRow(f"{file}:1", error.reason, error.detail[:DETAIL_CHARS])
        return
    for number, item in enumerate(items, 1):
        yield as_row(f"{file}:item {number}", item)
