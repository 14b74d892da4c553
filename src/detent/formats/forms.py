"""The table of forms: what each is, how it is recognised, and what reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

from detent import wire
from detent.errors import InvalidInput
from detent.formats import columns as tables
from detent.formats import langfuse, litellm, openai_batch, openai_chat, otel, promptfoo
from detent.formats.columns import check_columns
from detent.formats.reasons import TOO_LONG, Unusable
from detent.formats.rows import MAX_ROW, Options, Reader, Row, Rows, as_row, begin, json_rows, json_value
from detent.terms import RecordedExchange, RefusedRow

AUTO = "auto"
_LOOKED_AT = 20
"""Lines that are looked at before a file is called unrecognised: the first may be the broken one."""
_YAML = (".yaml", ".yml")
_CSV = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class Source:
    """A file: its bytes in chunks of any size, or its rows where they are no text (Parquet)."""

    file: str
    chunks: Iterable[bytes] = ()
    rows: Iterable[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form. `recognised` says how in words; `seen` is asked about a first row of JSON, `endings` about a file name."""

    name: str
    says: str
    recognised: str
    rows: Callable[[Iterable[bytes], str], Rows]
    reader: Reader
    seen: Callable[[dict[str, Any]], bool]
    endings: tuple[str, ...] = ()


def _by_name_only(row: dict[str, Any]) -> bool:
    return False


FORMS: tuple[Form, ...] = (
    Form(
        name="otel",
        says="OpenTelemetry GenAI spans as OTLP JSON, one document or one a line",
        recognised="a member `resourceSpans`",
        rows=otel.rows,
        reader=otel.reader,
        seen=otel.seen,
    ),
    Form(
        name="openai_batch",
        says="the request file and the answer file of OpenAI's batch API, joined by `custom_id`",
        recognised="a member `custom_id` beside `body` or `response`",
        rows=json_rows,
        reader=openai_batch.reader,
        seen=openai_batch.seen,
    ),
    Form(
        name="litellm",
        says="LiteLLM's standard logging payload, one a line",
        recognised="`messages` beside `call_type`, `model_parameters`, `startTime` and the like",
        rows=json_rows,
        reader=litellm.reader,
        seen=litellm.seen,
    ),
    Form(
        name="langfuse",
        says="Langfuse's `observations_v2` export: JSON Lines, JSON or Parquet",
        recognised="a `type` like `GENERATION` beside `trace_id`, `start_time` and the like",
        rows=json_rows,
        reader=langfuse.reader,
        seen=langfuse.seen,
    ),
    Form(
        name="openai_chat",
        says="one chat request and its answer a line, fine-tuning files, and Detent's own records",
        recognised="`messages`, or a `request` with `messages` in it",
        rows=json_rows,
        reader=openai_chat.reader,
        seen=openai_chat.seen,
    ),
    Form(
        name="promptfoo",
        says="promptfoo's tests in YAML; asserts of type `equals` are references",
        recognised="a name that ends in .yaml or .yml",
        rows=promptfoo.rows,
        reader=promptfoo.reader,
        seen=_by_name_only,
        endings=_YAML,
    ),
    Form(
        name="csv",
        says="a table with a header, and a map of its columns",
        recognised="a name that ends in .csv or .tsv",
        rows=tables.csv_rows,
        reader=tables.csv_reader,
        seen=_by_name_only,
        endings=_CSV,
    ),
    Form(
        name="jsonl",
        says="one JSON object a line, and a map of its members",
        recognised="a map of columns, or `prompt` beside `output` or `reference`",
        rows=json_rows,
        reader=tables.jsonl_reader,
        seen=tables.seen,
    ),
)


def form_named(name: str) -> Form:
    """A form by its name. Raises InvalidInput that lists them."""
    for form in FORMS:
        if form.name == name:
            return form
    raise InvalidInput(f"no such form: `{name}`", hint=f"forms are {_names()}")


def _names() -> str:
    return ", ".join(f"`{form.name}`" for form in FORMS)


def read(
    chunks: bytes | Iterable[bytes], *, file: str, form: str = AUTO, columns: Mapping[str, str] | None = None, model: str | None = None
) -> Iterator[RecordedExchange | RefusedRow]:
    """The exchanges of one file, and what is no use in it; see `read_all`."""
    return read_all([Source(file, [chunks] if isinstance(chunks, bytes) else chunks)], form=form, columns=columns, model=model)


def read_all(
    sources: Iterable[Source],
    *,
    form: str = AUTO,
    columns: Mapping[str, str] | None = None,
    model: str | None = None,
    told: Callable[[str, str], None] = lambda file, form: None,
) -> Iterator[RecordedExchange | RefusedRow]:
    """The exchanges of several files in order, and a RefusedRow for every row that is none; files of one form in a row are read as one.

    `columns` maps our names (`COLUMNS`) to the file's. `model` keeps only the exchanges that are `of_model`. `told` hears (file, form)
    of each file before its rows. Raises InvalidInput for a file as a whole: not recognised, packed, not UTF-8, too large to be held.
    """
    options = Options(dict(columns or {}))
    check_columns(options.columns)
    named = None if form == AUTO else form_named(form)
    opened = (_opened(source, named, options, told) for source in sources)
    for name, group in groupby(opened, key=lambda pair: pair[0].name):
        rows = chain.from_iterable(rows for _, rows in group)
        for found in form_named(name).reader(rows, options):
            if isinstance(found, RefusedRow) or of_model(found, model):
                yield found


def of_model(found: RecordedExchange, model: str | None) -> bool:
    """Whether an exchange was asked of this model or answered by it, or its source names none; every one is, of None."""
    if model is None or not found.model or model in (found.model, found.answer.model):
        return True
    return found.model == found.answer.model and wire.read_head(found.endpoint, [], found.request).model == model


def _opened(source: Source, named: Form | None, options: Options, told: Callable[[str, str], None]) -> tuple[Form, Rows]:
    if source.rows is not None:
        form, rows = _of_rows(source.file, iter(source.rows), named, options)
    else:
        head, chunks = begin(source.chunks, source.file)
        if named is None and not head.strip():
            raise InvalidInput(f"an empty file: `{source.file}`", hint="there is nothing in it to read")
        form = named or recognise(source.file, head, columns=options.columns)
        rows = form.rows(chunks, source.file)
    told(source.file, form.name)
    return form, rows


def _sized(where: str, row: Mapping[str, Any]) -> Row | RefusedRow:
    if sum(len(cell) for cell in row.values() if isinstance(cell, str)) > MAX_ROW:
        return RefusedRow(where, TOO_LONG, f"more than {MAX_ROW // 2**20} MiB in a row")
    return as_row(where, dict(row))


def _of_rows(file: str, found: Iterator[Mapping[str, Any]], named: Form | None, options: Options) -> tuple[Form, Rows]:
    rows = (_sized(f"{file}:{number}", row) for number, row in enumerate(found, 1))
    first = next(rows, None)
    form = named or _by_row(first.value if isinstance(first, Row) else {}, options.columns)
    if form is None:
        raise _unrecognised(file)
    return form, rows if first is None else chain([first], rows)


def recognise(file: str, head: bytes, *, columns: Mapping[str, str] | None = None) -> Form:
    """The form of a file by its name and how it begins. Raises InvalidInput that lists the forms."""
    columns = columns or {}
    text = head.lstrip()
    json_like = text[:1] in (b"{", b"[")
    for form in FORMS:
        if not json_like and file.lower().endswith(form.endings or ("\0",)):
            return form
    for line in text.split(b"\n", _LOOKED_AT)[:_LOOKED_AT] if json_like else []:
        form_found = _by_line(line, columns)
        if form_found is not None:
            return form_found
    if json_like and (guess := _by_text(text, columns)) is not None:
        return guess
    for form in FORMS:  # a YAML file may begin with a bracket
        if file.lower().endswith(form.endings or ("\0",)):
            return form
    raise _unrecognised(file)


def _by_line(line: bytes, columns: Mapping[str, str]) -> Form | None:
    try:
        value = json_value(line.strip())
    except Unusable:
        return None
    if isinstance(value, list):
        value = value[0] if value else None
    return _by_row(value, columns) if isinstance(value, dict) else None


def _by_row(row: dict[str, Any], columns: Mapping[str, str]) -> Form | None:
    if columns:
        return form_named("jsonl")
    return next((form for form in FORMS if form.seen(row)), None)


_MARKS = (
    (b'"resourceSpans"', "otel"),
    (b'"custom_id"', "openai_batch"),
    (b'"model_parameters"', "litellm"),
    (b'"GENERATION"', "langfuse"),
    (b'"messages"', "openai_chat"),
)
"""What gives a form away in an array that is written over many lines; a single object over many lines is read of the first form only."""


def _by_text(text: bytes, columns: Mapping[str, str]) -> Form | None:
    if columns:
        return form_named("jsonl")
    marks = _MARKS if text.startswith(b"[") else _MARKS[:1]
    return next((form_named(name) for mark, name in marks if mark in text), None)


def _unrecognised(file: str) -> InvalidInput:
    return InvalidInput(f"a file of a form that is not recognised: `{file}`", hint=f"name it with --form: {_names()}")
