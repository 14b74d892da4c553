"""The turns of an agent's conversation: cut back to where its user last spoke, and told on with recorded tool results.

Bytes that are not cut or added stay as they were recorded. Nothing here runs a tool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from detent.errors import InvalidInput
from detent.terms import Answer, Endpoint, Prompt, ToolCall, ToolResult
from detent.wire import anthropic, json_text, openai_chat
from detent.wire.json_text import a_list, an_object

_READ_PROMPT: dict[Endpoint, Callable[[bytes], Prompt]] = {
    Endpoint.OPENAI_CHAT: openai_chat.read_prompt,
    Endpoint.ANTHROPIC_MESSAGES: anthropic.read_prompt,
}


def canonical_arguments(arguments: str) -> str:
    """A call's arguments in one spelling: JSON with sorted keys and no spaces. No text means `{}`; no JSON stays as it stands."""
    if not arguments.strip():
        return "{}"
    try:
        return json_text.canonical(json_text.load(arguments.encode())).decode()
    except (InvalidInput, UnicodeEncodeError):
        return arguments.strip()


# ── back ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def rewind(endpoint: Endpoint, request: bytes) -> tuple[bytes, tuple[ToolResult, ...]]:
    """The request cut back to its last user message, and the tool results recorded after it, in order.

    Any message that is neither an assistant's nor wholly tool results counts as the user's (Anthropic sends results in the user's name;
    text beside them is the user speaking). The request comes back as it is, with (), where it does not end with such results, where one
    answers no call, or where one is more than text (a picture can't be replayed). That a result was marked as an error is not kept.
    Raises InvalidInput for what `read_prompt` does.
    """
    _READ_PROMPT[endpoint](request)
    whole = json_text.spans(request)["messages"]
    raws = list(json_text.items(whole.raw))
    messages = [an_object(json_text.load(raw)) for raw in raws]
    kept = 1 + max((i for i, message in enumerate(messages) if not _is_assistants(message) and not _is_results(message)), default=-1)
    tail = messages[kept:]
    if not kept or not tail or not _is_results(tail[-1]) or not all(map(_is_text, tail)):
        return request, ()
    found = _script(_READ_PROMPT[endpoint](b'{"messages":[' + b",".join(raws[kept:]) + b"]}"))
    if not found:
        return request, ()
    return request[: whole.start + _end_of(whole.raw, raws[:kept])] + b"]" + request[whole.end :], found


def _is_assistants(message: dict[str, Any]) -> bool:
    return message.get("role") == "assistant"


def _results(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool results in a message: itself in OpenAI's dialect, its blocks in Anthropic's."""
    if message.get("role") == "tool":
        return [message]
    blocks = [an_object(block) for block in a_list(message.get("content"))]
    return [block for block in blocks if block.get("type") == "tool_result"]


def _is_results(message: dict[str, Any]) -> bool:
    """Whether the message holds tool results and nothing else."""
    results = _results(message)
    return bool(results) and (results[0] is message or len(results) == len(a_list(message.get("content"))))


def _is_text(message: dict[str, Any]) -> bool:
    """Whether every tool result in the message is text, or nothing at all."""
    parts = [part for result in _results(message) for part in a_list(result.get("content"))]
    return all(isinstance(part, str) or an_object(part).get("type") == "text" for part in parts)


def _script(tail: Prompt) -> tuple[ToolResult, ...]:
    """The results of a conversation with the calls that they answer; empty when one of them answers none."""
    calls: dict[str, ToolCall] = {}
    found = []
    for message in tail.messages:
        calls |= {call.id: call for call in message.tool_calls}
        if message.tool_result_for is not None or message.role == "tool":
            call = calls.get(message.tool_result_for or "")
            if call is None:
                return ()
            found.append(ToolResult(call.name, canonical_arguments(call.arguments), message.text))
    return tuple(found)


def _end_of(array: bytes, first: Sequence[bytes]) -> int:
    """Where the last of the first elements of an array ends in its text."""
    at = 0
    for raw in first:
        at = array.index(raw, at) + len(raw)  # nothing but blanks and a comma stand before it
    return at


# ── on ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def extend(endpoint: Endpoint, request: bytes, answer: Answer, results: Sequence[str], *, body: bytes | None = None) -> bytes:
    """The request with the answer's tool calls and the tools' results, one for each call, appended in the dialect.

    `body` is the answer as it came. Anthropic demands signed thinking back in a turn that calls tools, from the version that thought it;
    without the body it is left out. Raises InvalidInput for a request that `read_prompt` refuses, for a number of results that is not the
    number of calls, and for arguments that the dialect can't say (Anthropic: no JSON object).
    """
    if len(results) != len(answer.tool_calls) or not results:
        raise InvalidInput(f"each tool call takes one result: `{len(answer.tool_calls)}` calls, `{len(results)}` results")
    _READ_PROMPT[endpoint](request)
    found = json_text.spans(request)
    calls = [ToolCall(call.id or f"call_{n}", call.name, call.arguments) for n, call in enumerate(answer.tool_calls, 1)]
    turns = _TURNS[endpoint](found, answer, calls, results, body)
    messages = found["messages"]
    empty = not messages.raw[1:-1].strip()
    added = b",".join(msgspec.json.encode(turn) for turn in turns)
    return request[: messages.end - 1] + (b"" if empty else b",") + added + request[messages.end - 1 :]


_Turns = Callable[[dict[str, json_text.Span], Answer, Sequence[ToolCall], Sequence[str], bytes | None], list[dict[str, Any]]]


def _openai_turns(
    request: dict[str, json_text.Span], answer: Answer, calls: Sequence[ToolCall], results: Sequence[str], body: bytes | None
) -> list[dict[str, Any]]:
    tools = a_list(json_text.load(request["tools"].raw)) if "tools" in request else []
    custom = {an_object(an_object(tool).get("custom")).get("name") for tool in tools}
    said = {"role": "assistant", "content": answer.text or None, "tool_calls": [_openai_call(call, call.name in custom) for call in calls]}
    return [said, *({"role": "tool", "tool_call_id": call.id, "content": text} for call, text in zip(calls, results, strict=True))]


def _openai_call(call: ToolCall, custom: bool) -> dict[str, Any]:
    if custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _anthropic_turns(
    request: dict[str, json_text.Span], answer: Answer, calls: Sequence[ToolCall], results: Sequence[str], body: bytes | None
) -> list[dict[str, Any]]:
    blocks: list[Any] = _thinking(body)
    blocks += [{"type": "text", "text": answer.text}] if answer.text.strip() else []
    for call in calls:
        raw = call.arguments.strip().encode() or b"{}"
        json_text.spans(raw)
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": msgspec.Raw(raw)})
    said = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in zip(calls, results, strict=True)]
    return [{"role": "assistant", "content": blocks}, {"role": "user", "content": said}]


def _thinking(body: bytes | None) -> list[Any]:
    """The thinking blocks of an answer, byte for byte: a signature covers them."""
    content = json_text.spans(body).get("content") if body is not None else None
    if content is None or not content.raw.startswith(b"["):
        return []
    raws = json_text.items(content.raw)
    return [msgspec.Raw(raw) for raw in raws if an_object(json_text.load(raw)).get("type") in ("thinking", "redacted_thinking")]


_TURNS: dict[Endpoint, _Turns] = {Endpoint.OPENAI_CHAT: _openai_turns, Endpoint.ANTHROPIC_MESSAGES: _anthropic_turns}
