"""`otel`: GenAI spans in OTLP JSON (ExportTraceServiceRequest), one document or one a line, in every generation of the conventions:

- messages with `parts` in `gen_ai.input.messages` and its kin, as JSON text or structured, on the span or on its details event;
- `gen_ai.prompt.N.*` and `gen_ai.completion.N.*` attributes;
- span events `gen_ai.user.message`, ..., `gen_ai.choice`, or `gen_ai.content.prompt` and `gen_ai.content.completion`.

(open-telemetry/semantic-conventions, docs/gen-ai; and what came before it.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from detent.formats.building import Draft, exchange, first_text, read_loose, when
from detent.formats.otel_values import attributes, nested
from detent.formats.otel_words import Said, from_events, from_indexed, from_parts, tools
from detent.formats.reasons import FAILED, NOT_CHAT, UNKNOWN, WITHHELD, Unusable
from detent.formats.rows import (
    DETAIL_CHARS,
    MAX_DOCUMENT,
    Found,
    Ids,
    Options,
    Row,
    Rows,
    as_row,
    begin,
    document,
    guarded,
    json_rows,
    json_value,
)
from detent.terms import RecordedExchange, RefusedRow
from detent.wire.json_text import a_list, an_object

_CHAT = frozenset({"chat", "generate_content", "completion"})
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
    "seed": "seed",
    "choice.count": "n",
}
"""`gen_ai.request.*` -> members of a chat request."""
_SPANS = ("resourceSpans", "resource_spans")


def seen(row: dict[str, Any]) -> bool:
    """Whether a first row is of this form."""
    return any(name in row for name in _SPANS)


def rows(chunks: Iterable[bytes], file: str) -> Rows:
    """The documents of a file: one a line, or one that is written over many lines."""
    head, chunks = begin(chunks, file)
    first = head.lstrip().split(b"\n", 1)[0].strip()
    if first.startswith(b"{") and not first.endswith(b"}") and b"\n" in head:
        yield _whole(document(chunks, file, limit=MAX_DOCUMENT), file)
    else:
        yield from json_rows(chunks, file, limit=MAX_DOCUMENT)


def _whole(text: bytes, file: str) -> Row | RefusedRow:
    try:
        return as_row(f"{file}:1", json_value(text))
    except Unusable as error:
        return RefusedRow(f"{file}:1", error.reason, error.detail[:DETAIL_CHARS])


def reader(rows: Rows, options: Options) -> Found:
    """One exchange, or one refusal, for every span."""
    ids = Ids()
    for row in rows:
        if isinstance(row, RefusedRow):
            yield row
            continue
        try:
            spans = _spans(row.value)
        except Unusable as error:
            yield RefusedRow(row.where, error.reason, error.detail)
            continue
        for number, span in enumerate(spans, 1):
            where = row.where if len(spans) == 1 else f"{row.where} span {number}"
            yield guarded(where, lambda where=where, span=span: _one(where, span, ids))  # type: ignore[misc]


def _spans(value: dict[str, Any]) -> list[object]:
    """The spans of a document. Raises Unusable for one that is no trace export."""
    resources = next((value[name] for name in _SPANS if name in value), None)
    if not isinstance(resources, list):
        raise Unusable(UNKNOWN, "no list `resourceSpans`")
    found: list[object] = []
    for resource in map(an_object, resources):
        scopes = a_list(resource.get("scopeSpans")) or a_list(resource.get("scope_spans"))
        for scope in map(an_object, scopes):
            found += a_list(scope.get("spans"))
    return found


def _one(where: str, span: object, ids: Ids) -> RecordedExchange:
    value = an_object(span)
    values = attributes(value.get("attributes"))
    _check_kind(values)
    if an_object(value.get("status")).get("code") in (2, "STATUS_CODE_ERROR") or values.get("error.type"):
        raise Unusable(FAILED, str(values.get("error.type") or an_object(value.get("status")).get("message") or ""))
    events = [(str(event.get("name")), attributes(event.get("attributes"))) for event in map(an_object, a_list(value.get("events")))]
    for name, held in events:
        if name == "gen_ai.client.inference.operation.details":
            values = values | held
    said = from_parts(values) or from_indexed(values) or from_events(events)
    if said is None and "gen_ai.request.model" not in values and "gen_ai.operation.name" not in values:
        raise Unusable(NOT_CHAT, f"span `{str(value.get('name'))[:100]}`")
    if said is None:
        raise Unusable(WITHHELD, "a span without messages: most instrumentations leave them out until they are told to capture content")
    found = exchange(where, _draft(values, said, value))
    ids.once(value.get("traceId", value.get("trace_id")), value.get("spanId", value.get("span_id")))
    return found


def _check_kind(values: dict[str, Any]) -> None:
    """Raises Unusable for a span that says itself that it is no chat call."""
    operation = values.get("gen_ai.operation.name", values.get("llm.request.type"))
    if operation is not None and operation not in _CHAT:
        raise Unusable(NOT_CHAT, f"operation `{str(operation)[:100]}`")


def _draft(values: dict[str, Any], said: Said, span: dict[str, Any]) -> Draft:
    body: dict[str, Any] = {
        ours: values[f"gen_ai.request.{theirs}"]
        for theirs, ours in _PARAMETERS.items()
        if values.get(f"gen_ai.request.{theirs}") is not None
    }
    if found := tools(values):
        body["tools"] = found
    schema = read_loose(values.get("gen_ai.request.structured_output_schema"))
    if isinstance(schema, dict):
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    elif values.get("gen_ai.output.type") == "json":
        body["response_format"] = {"type": "json_object"}
    return Draft(
        body=body | {"messages": said.messages},
        answer=said.read(values),
        model=first_text(values, ("gen_ai.request.model", "gen_ai.response.model")),
        named=first_text(values, ("gen_ai.response.model",)),
        at=when(nested(span, "startTimeUnixNano", "start_time_unix_nano")),
        session=first_text(values, ("gen_ai.conversation.id", "session.id", "langfuse.session.id")) or None,
        loose=True,
        anthropic=False,
    )
