"""`csv` and `jsonl`: tables in which the caller says which column holds what."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from detent.errors import InvalidInput
from detent.formats.answers import read_answer
from detent.formats.building import Draft, exchange, is_anthropic, parameters, read_loose, share, when
from detent.formats.reasons import NOT_UTF8, TOO_LONG, UNKNOWN, Unusable
from detent.formats.rows import MAX_ROW, Found, Ids, Options, Row, Rows, begin, each, lines
from detent.terms import RecordedExchange, RefusedRow
from detent.wire.json_text import an_object

COLUMNS: dict[str, str] = {
    "prompt": "what the user asked: a text, or a list of chat messages as JSON",
    "messages": "the chat messages as JSON, instead of a prompt",
    "system": "the system prompt",
    "output": "the recorded answer",
    "task": "the kind of request",
    "model": "the model that was asked",
    "correct": "whether the recorded answer is right: true or false",
    "reference": "the right answer",
    "rating": "what users said of the answer, from 0 to 1",
    "id": "the row's own id",
    "session": "whose conversation it belongs to",
    "at": "when it was: ISO 8601, or seconds since the epoch",
    "params": "the request's parameters as a JSON object",
    "tools": "the request's tools as a JSON list",
}
"""What a column can be; without a map each is looked for under its own name."""

_DELIMITERS = (",", ";", "\t", "|")
_TRUE = frozenset({"true", "1", "yes", "y", "t"})
_FALSE = frozenset({"false", "0", "no", "n", "f"})

# The module's own limit of 128 KiB for a field is one for all readers of the process; ours bounds rows by itself.
csv.field_size_limit(MAX_ROW)


def check_columns(columns: Mapping[str, str]) -> None:
    """Raises InvalidInput for a map that names what no column can be."""
    for name in columns:
        if name not in COLUMNS:
            raise InvalidInput(f"no such column: `{name}`", hint=f"columns are {', '.join(f'`{known}`' for known in COLUMNS)}")


def seen(row: dict[str, Any]) -> bool:
    """Whether a first row has the columns under their own names."""
    return ("prompt" in row or "messages" in row) and ("output" in row or "reference" in row)


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Lines:
    """The physical lines of a file as text, for the csv module: an iterator that goes on after it has raised."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._lines = lines(chunks)
        self.number = 0
        self.record = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if line is None:
            raise csv.Error("a line that is too long")
        self.record += len(line)
        if self.record > MAX_ROW:
            raise csv.Error("a row that is too long: is a quote left open?")
        # What is no UTF-8 stays visible as a lone surrogate, and the row that holds it is refused by name.
        return line.decode("utf-8", "surrogateescape") + "\n"


def csv_rows(chunks: Iterable[bytes], file: str) -> Rows:
    """The rows of a CSV file with a header, as objects of strings. The delimiter is the one of `,;|` and tab that the header has most of.

    Raises InvalidInput for a file without a header and for one that is not UTF-8 from its first line on.
    """
    head, chunks = begin(chunks, file)
    try:
        header = head.split(b"\n", 1)[0].decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"not UTF-8: `{file}`, `0x{head[error.start]:02x}` in its header; it may be Windows-1252 or Latin-1",
            hint="save the file as UTF-8",
        ) from error
    delimiter = max(_DELIMITERS, key=header.count)
    feed = _Lines(chunks)
    reader = csv.reader(feed, delimiter=delimiter)
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InvalidInput(
            f"no header that can be read: `{file}` ({error})", hint="the first line of a CSV file names its columns"
        ) from error
    if not any(names):
        raise InvalidInput(f"no header: `{file}`", hint="the first line of a CSV file names its columns")
    doubled = frozenset(name for name in names if names.count(name) > 1)
    while True:
        feed.record, where = 0, f"{file}:{feed.number + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield RefusedRow(f"{file}:{feed.number}", TOO_LONG if "long" in str(error) or "limit" in str(error) else UNKNOWN, str(error))
            continue
        if any(cells):
            yield _csv_row(where, names, cells, doubled)


def _csv_row(where: str, names: list[str], cells: list[str], doubled: frozenset[str]) -> Row | RefusedRow:
    for cell in cells:
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            byte = ord(cell[error.start]) - 0xDC00
            return RefusedRow(where, NOT_UTF8, f"`0x{byte:02x}`; the file may be Windows-1252 or Latin-1")
    if len(cells) != len(names):
        return RefusedRow(where, UNKNOWN, f"{len(cells)} cells under {len(names)} columns")
    return Row(where, dict(zip(names, cells, strict=True)), doubled)


# ── exchanges ───────────────────────────────────────────────────────────────────────────────────────────────────────


def csv_reader(rows: Rows, options: Options) -> Found:
    """The exchanges of a CSV file. Raises InvalidInput when the header lacks a column that the map names, or one for the prompt, or
    has one of them twice.
    """
    return _each(_checked(rows, options, tuple(options.columns)), options)


def jsonl_reader(rows: Rows, options: Options) -> Found:
    """The exchanges of rows of JSON, in which what is absent is only empty. Raises InvalidInput when the first row has no prompt."""
    return _each(_checked(rows, options, ("prompt", "messages")), options)


def _checked(rows: Rows, options: Options, needed: tuple[str, ...]) -> Rows:
    """The rows as they are; the first of them has been looked at."""
    check_columns(options.columns)
    first = True
    for row in rows:
        if first and isinstance(row, Row):
            _check_first(row, options.columns, needed)
            first = False
        yield row


def _check_first(row: Row, columns: Mapping[str, str], needed: tuple[str, ...]) -> None:
    twice = next((name for ours in COLUMNS if (name := columns.get(ours, ours)) in row.doubled), None)
    if twice is not None:
        raise InvalidInput(
            f"more than one column `{twice[:100]}`, in: `{row.where}`", hint="rename one of them: which is meant is not guessed"
        )
    missing = next((columns[name] for name in needed if name in columns and not _has(row.value, columns[name])), None)
    asked = {columns.get(name, name) for name in ("prompt", "messages")}
    if missing is None and any(_has(row.value, name) for name in asked):
        return
    known = ", ".join(f"`{name[:60]}`" for name in list(row.value)[:30])
    said = "no column for the prompt" if missing is None else f"no column `{missing[:100]}`"
    raise InvalidInput(f"{said}, in: `{row.where}`", hint=f"name it with --column prompt=NAME; the file has {known}")


def _has(value: dict[str, Any], name: str) -> bool:
    return name in value or ("." in name and name.split(".", 1)[0] in value)


def _one(row: Row, options: Options, ids: Ids) -> RecordedExchange:
    cells = {name: _cell(row.value, options.columns.get(name, name)) for name in COLUMNS}
    found = exchange(row.where, _draft(cells))
    ids.once(_word(cells["id"]), found.model)
    return found


_each = each(_one)


def _cell(row: dict[str, Any], name: str) -> Any:
    """A cell by its column; `a.b` is the member b of the member a where no column is called that."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split(".")[:20]:
        value = an_object(value).get(part)
    return value


def _word(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _draft(cells: dict[str, Any]) -> Draft:
    body = parameters(cells["params"]) | {"messages": _messages(cells)}
    if cells["tools"]:
        body["tools"] = read_loose(cells["tools"])
    anthropic = is_anthropic(body)
    at = when(cells["at"])
    if at is None and cells["at"] not in (None, ""):
        raise Unusable(UNKNOWN, f"no time: `{_word(cells['at'])[:60]}`")
    reference = cells["reference"]
    return Draft(
        body=body,
        answer=read_answer(cells["output"]),
        loose=not anthropic,
        anthropic=anthropic,
        model=_word(cells["model"]),
        at=at,
        task=_word(cells["task"]),
        session=_word(cells["session"]) or None,
        correct=_truth(cells["correct"]),
        reference=None if reference in (None, "") else _word(reference),
        rating=_rating(cells["rating"]),
    )


def _messages(cells: dict[str, Any]) -> list[Any]:
    asked = read_loose(cells["messages"] if cells["messages"] not in (None, "") else cells["prompt"])
    if isinstance(asked, list) and asked and all("role" in an_object(message) for message in asked):
        messages = list(asked)
    else:
        text = cells["prompt"]
        if text is not None and not isinstance(text, str):
            raise Unusable(UNKNOWN, f"a prompt that is no text: `{type(text).__name__}`")
        messages = [{"role": "user", "content": text}] if text else []
    if messages and isinstance(cells["system"], str) and cells["system"]:
        messages.insert(0, {"role": "system", "content": cells["system"]})
    return messages


def _truth(value: object) -> bool | None:
    """True or false. Raises Unusable for what is neither, nor empty."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    if word:
        raise Unusable(UNKNOWN, f"neither true nor false: `{word[:60]}`")
    return None


def _rating(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value) if value.strip() else None
        except ValueError:
            value = "?"
    found = share(value)
    if found is None and value is not None:
        raise Unusable(UNKNOWN, "a rating is a number from 0 to 1")
    return found
