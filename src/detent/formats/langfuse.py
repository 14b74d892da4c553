"""`langfuse`: rows of Langfuse's `observations_v2` export; `input` and `output` are texts that may hold JSON.

Fields read: id, type, name, level, status_message, start_time, input, output, provided_model_name, model_parameters, usage_details,
session_id, tool_definitions, tool_calls, tool_call_names (langfuse.com/docs, blob storage export fields); the API's camel case as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from detent.formats.answers import read_answer
from detent.formats.building import Draft, exchange, first_text, is_anthropic, parameters, read_loose, tool_call, tool_definition, when
from detent.formats.reasons import FAILED, NOT_CHAT, Unusable
from detent.formats.rows import Ids, Options, Row, each
from detent.terms import Answer, RecordedExchange, ToolCall, Usage
from detent.wire.json_text import a_count, a_list, an_object

_ANOTHER_CASE = {
    "traceId": "trace_id",
    "startTime": "start_time",
    "statusMessage": "status_message",
    "providedModelName": "provided_model_name",
    "model": "provided_model_name",
    "modelParameters": "model_parameters",
    "usageDetails": "usage_details",
    "sessionId": "session_id",
    "toolDefinitions": "tool_definitions",
    "toolCalls": "tool_calls",
    "toolCallNames": "tool_call_names",
}
_MARKS = ("trace_id", "start_time", "provided_model_name", "model_parameters", "level", "parent_observation_id", "usage_details")


def seen(row: dict[str, Any]) -> bool:
    """Whether a first row is of this form."""
    row = _snake(row)
    return isinstance(row.get("type"), str) and row["type"].isupper() and sum(name in row for name in _MARKS) >= 2


def _snake(row: dict[str, Any]) -> dict[str, Any]:
    return {_ANOTHER_CASE.get(name, name): value for name, value in row.items()}


def _one(row: Row, options: Options, ids: Ids) -> RecordedExchange:
    value = _snake(row.value)
    if value.get("type") != "GENERATION":
        raise Unusable(NOT_CHAT, f"an observation of type `{str(value.get('type'))[:100]}`")
    if value.get("level") == "ERROR":
        raise Unusable(FAILED, first_text(value, ("status_message",)))
    found = exchange(row.where, _draft(value))
    ids.once(first_text(value, ("id",)))
    return found


reader = each(_one)


def _draft(row: dict[str, Any]) -> Draft:
    asked = read_loose(row.get("input"))
    body: dict[str, Any] = parameters(row.get("model_parameters"))
    if isinstance(asked, dict) and "messages" in asked:
        body |= parameters(asked) | {key: asked[key] for key in ("messages", "system", "model") if key in asked}
    elif isinstance(asked, dict) and "role" in asked:
        body["messages"] = [asked]
    elif isinstance(asked, list) and asked and all("role" in an_object(item) or "type" in an_object(item) for item in asked):
        body["messages"] = asked
    elif asked:
        text = row["input"] if isinstance(row.get("input"), str) else ""
        body["messages"] = [{"role": "user", "content": text}] if text else []
    tools = _tools(row.get("tool_definitions"))
    if tools and not body.get("tools"):
        body["tools"] = tools
    anthropic = is_anthropic(body)
    return Draft(
        body=body,
        answer=_answer(row),
        loose=not anthropic,
        anthropic=anthropic,
        model=first_text(row, ("provided_model_name",)),
        at=when(row.get("start_time")),
        task=first_text(row, ("name",)),
        session=first_text(row, ("session_id",)) or None,
    )


def _tools(value: object) -> list[object]:
    """The tools of a map from name to the JSON text of a description and parameters."""
    found = an_object(read_loose(value))
    return [tool_definition({"name": name} | an_object(read_loose(described))) for name, described in found.items()]


def _answer(row: dict[str, Any]) -> Answer | None:
    answer = read_answer(row.get("output"), sniff=True)
    names, calls = a_list(read_loose(row.get("tool_call_names"))), a_list(read_loose(row.get("tool_calls")))
    if names and len(names) == len(calls) and (answer is None or not answer.tool_calls):
        shaped = [tool_call(an_object(read_loose(call)) | {"name": name}) for name, call in zip(names, calls, strict=True)]
        kept = tuple(ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in shaped)
        answer = replace(answer or Answer(), tool_calls=kept)
    used = an_object(read_loose(row.get("usage_details")))
    if answer is None or answer.usage != Usage():
        return answer
    cached = a_count(used.get("input_cached_tokens"))
    fresh = a_count(used.get("input"))
    return replace(
        answer, usage=Usage(input=None if fresh is None else fresh + (cached or 0), cached=cached, output=a_count(used.get("output")))
    )
