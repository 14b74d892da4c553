"""Anthropic Messages: requests to prompts, answers and streams to answers, and answers back to both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from detent.errors import InvalidInput
from detent.terms import Answer, Endpoint, Message, Prompt, ToolCall, Usage
from detent.wire import json_text
from detent.wire.failures import error_event, error_text, failure_text
from detent.wire.json_text import MAX_MESSAGES, a_count, a_list, a_text, a_word, an_object, cut, text_of
from detent.wire.sse import SseEvent, write_event

# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_prompt(body: bytes) -> Prompt:
    """The request in neutral form; each tool_result block becomes a message of role `tool`. Raises InvalidInput."""
    found = json_text.spans(body)
    if "messages" not in found or not found["messages"].raw.startswith(b"["):
        raise InvalidInput(f"the body has no list `messages` of at most {MAX_MESSAGES}")
    request = {key: json_text.load(span.raw) for key, span in found.items() if key != "messages"}
    system = [text_of(request["system"])] if "system" in request else []
    messages: list[Message] = []
    for number, raw in enumerate(json_text.items(found["messages"].raw), 1):
        if number > MAX_MESSAGES:
            raise InvalidInput(f"the body has no list `messages` of at most {MAX_MESSAGES}")
        message = an_object(json_text.load(raw))
        if message.get("role") == "system":
            system.append(text_of(message.get("content")))
        else:
            messages += _messages(message, raw)
    config = an_object(request.get("output_config"))
    form = an_object(config.get("format") or request.get("output_format"))
    schema = form.get("schema")
    return Prompt(
        system="\n\n".join(system),
        messages=tuple(messages),
        tools=tuple(name for tool in a_list(request.get("tools")) if (name := a_word(an_object(tool).get("name"))) is not None),
        json_asked=form.get("type") == "json_schema",
        schema=schema if form.get("type") == "json_schema" and isinstance(schema, dict) else None,
        max_tokens=a_count(request.get("max_tokens")),
    )


def _messages(message: dict[str, Any], raw: bytes) -> list[Message]:
    role, content = a_word(message.get("role")) or "", message.get("content")
    if not isinstance(content, list):
        return [Message(role=role, text=text_of(content))]
    blocks = [an_object(block) for block in content]
    results = [block for block in blocks if block.get("type") == "tool_result"]
    found = [
        Message(
            role="tool",
            text=text_of(block.get("content")),
            tool_result_for=a_word(block.get("tool_use_id")),
            failed=block.get("is_error") is True,
        )
        for block in results
    ]
    calls = _tool_uses(blocks, json_text.spans(raw)["content"].raw)
    rest = [block for block in blocks if block.get("type") == "text"]
    if rest or calls or not results:
        found.append(Message(role=role, text=text_of(rest), tool_calls=calls))
    return found


def _tool_uses(blocks: list[dict[str, Any]], content: bytes) -> tuple[ToolCall, ...]:
    """The tool_use blocks of decoded content; `content` is its text, so that each input stays as it was written."""
    if not any(block.get("type") == "tool_use" for block in blocks):
        return ()
    return tuple(
        ToolCall(a_word(block.get("id")) or "", a_word(block.get("name")) or "", _input(raw))
        for block, raw in zip(blocks, json_text.items(content), strict=True)
        if block.get("type") == "tool_use"
    )


def _input(block: bytes) -> str:
    span = json_text.spans(block).get("input")
    return span.raw.decode() if span is not None else "{}"


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_body(body: bytes) -> Answer:
    """A whole message: its text blocks joined; thinking and server tools are left out. Raises InvalidInput for what is no message."""
    message = an_object(json_text.load(body))
    if message.get("type") == "error" or ("error" in message and "content" not in message):
        return Answer(complete=False, error=error_text(message) or "an error without a message")
    if not isinstance(message.get("content"), list):
        raise InvalidInput("a message without a list `content`")
    blocks = [an_object(block) for block in message["content"]]
    finish = a_word(message.get("stop_reason"))
    return Answer(
        text="".join(a_text(block.get("text")) for block in blocks if block.get("type") == "text"),
        tool_calls=_tool_uses(blocks, json_text.spans(body)["content"].raw),
        finish_reason=finish,
        refusal=finish == "refusal",
        model=a_word(message.get("model")),
        usage=_usage(an_object(message.get("usage"))),
    )


def read_events(events: Iterable[SseEvent]) -> Answer:
    """A message that was streamed. Complete with `message_stop`. Raises InvalidInput for an event that is no JSON object."""
    stream = _Stream()
    for event in events:
        if event.event != "ping":
            stream.add(event)
        if stream.ended:
            break
    return stream.answer()


class _Block:
    """One content block of a stream: how it began and what was added to it."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.text = [a_text(start.get("text"))]
        self.input: list[str] = []

    def add(self, delta: dict[str, Any]) -> None:
        if delta.get("type") == "text_delta":
            self.text.append(a_text(delta.get("text")))
        elif delta.get("type") == "input_json_delta":
            self.input.append(a_text(delta.get("partial_json")))

    def call(self) -> ToolCall:
        begun = json_text.canonical(an_object(self.start.get("input"))).decode()
        return ToolCall(a_word(self.start.get("id")) or "", a_word(self.start.get("name")) or "", "".join(self.input) or begun)


class _Stream:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.ended = False
        self.error: str | None = None
        self.blocks: dict[int, _Block] = {}
        self.finish: str | None = None
        self.model: str | None = None
        self.usage: dict[str, Any] = {}

    def add(self, event: SseEvent) -> None:
        if event.event == "error":
            self.error = self.error or failure_text(event.data.encode(), "an error without a message")
            return
        data = json_text.load(event.data.encode())
        if not isinstance(data, dict):
            raise InvalidInput("an event that is no JSON object")
        match data.get("type", event.event):
            case "message_start":
                message = an_object(data.get("message"))
                self.model = a_word(message.get("model"))
                # Its output_tokens is a first count, not a total.
                self.usage |= {key: value for key, value in an_object(message.get("usage")).items() if not key.startswith("output")}
            case "content_block_start":
                self.blocks[a_count(data.get("index")) or 0] = _Block(an_object(data.get("content_block")))
            case "content_block_delta":
                self.blocks.setdefault(a_count(data.get("index")) or 0, _Block({})).add(an_object(data.get("delta")))
            case "message_delta":
                self.finish = a_word(an_object(data.get("delta")).get("stop_reason")) or self.finish
                self.usage |= {key: value for key, value in an_object(data.get("usage")).items() if value is not None}
            case "message_stop":
                self.ended = True
            case "error":
                self.error = self.error or error_text(data) or "an error without a message"

    def answer(self) -> Answer:
        blocks = [self.blocks[index] for index in sorted(self.blocks)]
        return Answer(
            text="".join("".join(block.text) for block in blocks if block.start.get("type") == "text"),
            tool_calls=tuple(block.call() for block in blocks if block.start.get("type") == "tool_use"),
            finish_reason=self.finish,
            refusal=self.finish == "refusal",
            model=self.model,
            usage=_usage(self.usage),
            complete=self.ended and self.error is None,
            error=self.error,
        )


def _usage(usage: dict[str, Any]) -> Usage:
    """Anthropic's `input_tokens` leaves out what was written to and read from the cache; ours includes both."""
    fresh, cached = a_count(usage.get("input_tokens")), a_count(usage.get("cache_read_input_tokens"))
    return Usage(
        input=None if fresh is None else fresh + (a_count(usage.get("cache_creation_input_tokens")) or 0) + (cached or 0),
        cached=cached,
        output=a_count(usage.get("output_tokens")),
        reasoning=a_count(an_object(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _input_usage(usage: Usage) -> dict[str, Any]:
    value = {} if usage.input is None else {"input_tokens": usage.input - (usage.cached or 0), "cache_creation_input_tokens": 0}
    return value if usage.cached is None else value | {"cache_read_input_tokens": usage.cached}


def _output_usage(usage: Usage) -> dict[str, Any]:
    value: dict[str, Any] = {} if usage.output is None else {"output_tokens": usage.output}
    return value if usage.reasoning is None else value | {"output_tokens_details": {"thinking_tokens": usage.reasoning}}


def _stop(answer: Answer) -> dict[str, Any]:
    reason = "refusal" if answer.refusal else answer.finish_reason or ("tool_use" if answer.tool_calls else "end_turn")
    details = {"type": "refusal", "category": None, "explanation": None} if answer.refusal else None
    return {"stop_reason": reason, "stop_sequence": None, "stop_details": details}


def write_body(answer: Answer, *, id: str, created: int) -> bytes:
    """The answer as a message (its protocol has no time of creation). Raises InvalidInput for arguments that are no JSON object."""
    content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    for call in answer.tool_calls:
        raw = call.arguments.encode()
        json_text.spans(raw)
        content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": msgspec.Raw(raw)})
    message = {"id": id, "type": "message", "role": "assistant", "model": answer.model or "", "content": content}
    usage = {"usage": _input_usage(answer.usage) | _output_usage(answer.usage)}
    return msgspec.json.encode(message | _stop(answer) | usage)


def write_stream(answer: Answer, *, id: str, created: int, include_usage: bool, pieces: int) -> list[bytes]:
    """The answer as events, always with usage. An incomplete one ends before `message_delta`, or with an error event if it has an error."""

    def event(kind: str, **members: Any) -> bytes:
        return write_event(msgspec.json.encode({"type": kind} | members), kind)

    first = {} if answer.usage.output is None else {"output_tokens": min(1, answer.usage.output)}
    start: dict[str, Any] = {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": answer.model or "",
        "content": [],
        "stop_reason": None,
    }
    start |= {"stop_sequence": None, "stop_details": None, "usage": _input_usage(answer.usage) | first}
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if answer.text:
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in cut(answer.text, pieces)]))
    for call in answer.tool_calls:
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in cut(call.arguments, pieces)]
        blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas))
    events = [event("message_start", message=start), event("ping")]
    for index, (block, deltas) in enumerate(blocks):
        events.append(event("content_block_start", index=index, content_block=block))
        events += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(event("content_block_stop", index=index))
    if answer.error is not None:
        return [*events, error_event(Endpoint.ANTHROPIC_MESSAGES, answer.error, "api_error")]
    if not answer.complete:
        return events
    return [*events, event("message_delta", delta=_stop(answer), usage=_output_usage(answer.usage)), event("message_stop")]
