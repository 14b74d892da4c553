"""OpenAI chat completions: requests to prompts, answers and streams to answers, and answers back to both."""

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
    """The request in neutral form; system and developer messages become `system`. Raises InvalidInput."""
    request = an_object(json_text.load(body))
    if not isinstance(request.get("messages"), list) or len(request["messages"]) > MAX_MESSAGES:
        raise InvalidInput(f"the body has no list `messages` of at most {MAX_MESSAGES}")
    messages = [an_object(message) for message in request["messages"]]
    system = [text_of(message.get("content")) for message in messages if message.get("role") in ("system", "developer")]
    form = an_object(request.get("response_format"))
    schema = an_object(form.get("json_schema")).get("schema") if form.get("type") == "json_schema" else None
    return Prompt(
        system="\n\n".join(system),
        messages=tuple(_message(message) for message in messages if message.get("role") not in ("system", "developer")),
        tools=tuple(name for tool in a_list(request.get("tools")) if (name := _tool_name(an_object(tool))) is not None),
        json_asked=form.get("type") in ("json_object", "json_schema"),
        schema=schema if isinstance(schema, dict) else None,
        max_tokens=a_count(request.get("max_completion_tokens", request.get("max_tokens"))),
    )


def _message(message: dict[str, Any]) -> Message:
    role, text = a_word(message.get("role")) or "", text_of(message.get("content"))
    return Message(
        role=role,
        text=text,
        tool_calls=_tool_calls(message),
        tool_result_for=a_word(message.get("tool_call_id")),
        failed=role == "tool" and _is_failure(text),
    )


def _is_failure(result: str) -> bool:
    """Whether a tool's result is an error. The dialect has no mark for it, so by the two usual spellings: `Error...`, and JSON with an
    `error` or `is_error` that is not empty or false.
    """
    text = result.lstrip()
    if not text.startswith("{"):
        return text.startswith("Error")
    if '"error"' not in text and '"is_error"' not in text:
        return False
    try:
        said = an_object(json_text.load(text.encode()))
    except (InvalidInput, UnicodeEncodeError):
        return False
    return bool(said.get("error") or said.get("is_error"))


def _tool_name(tool: dict[str, Any]) -> str | None:
    return a_word(an_object(tool.get("function", tool.get("custom"))).get("name"))


def _tool_calls(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    return tuple(_tool_call(an_object(call)) for call in a_list(message.get("tool_calls")))


def _tool_call(call: dict[str, Any]) -> ToolCall:
    custom = an_object(call.get("custom"))
    function = an_object(call.get("function")) or custom
    arguments = custom.get("input") if custom else function.get("arguments")
    return ToolCall(a_word(call.get("id")) or "", a_word(function.get("name")) or "", a_text(arguments))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_body(body: bytes) -> Answer:
    """The first choice of a whole answer; a refusal's text stands for the text. Raises InvalidInput for what is no chat completion."""
    completion = an_object(json_text.load(body))
    if (error := error_text(completion)) is not None and "choices" not in completion:
        return Answer(complete=False, error=error)
    choice = _first(completion)
    if choice is None or not isinstance(choice.get("message"), dict):
        raise InvalidInput("a chat completion without a first choice")
    message = choice["message"]
    refusal = a_text(message.get("refusal"))
    return Answer(
        text=text_of(message.get("content"), "") or refusal,
        tool_calls=_tool_calls(message),
        finish_reason=a_word(choice.get("finish_reason")),
        refusal=bool(refusal),
        model=a_word(completion.get("model")),
        fingerprint=a_word(completion.get("system_fingerprint")),
        usage=_usage(completion.get("usage")),
    )


def read_events(events: Iterable[SseEvent]) -> Answer:
    """The first choice of a stream. Complete with `[DONE]` or a finish_reason. Raises InvalidInput for an event that is no JSON object."""
    stream = _Stream()
    for event in events:
        if event.data.startswith("[DONE]"):
            stream.ended = True
            break
        stream.add(event)
    return stream.answer()


class _Stream:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.ended = False
        self.error: str | None = None
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, tuple[list[str], list[str], list[str]]] = {}
        self.last_call = -1
        self.finish: str | None = None
        self.model: str | None = None
        self.fingerprint: str | None = None
        self.usage = Usage()

    def add(self, event: SseEvent) -> None:
        if event.event == "error":
            self.error = self.error or failure_text(event.data.encode(), "an error without a message")
            return
        chunk = json_text.load(event.data.encode())
        if not isinstance(chunk, dict):
            raise InvalidInput("an event that is no JSON object")
        if chunk.get("error"):
            self.error = self.error or error_text(chunk)
            return
        self.model = a_word(chunk.get("model")) or self.model
        self.fingerprint = a_word(chunk.get("system_fingerprint")) or self.fingerprint
        if isinstance(chunk.get("usage"), dict):
            self.usage = _usage(chunk["usage"])
        choice = _first(chunk) or {}
        self.finish = a_word(choice.get("finish_reason")) or self.finish
        delta = an_object(choice.get("delta"))
        self.text.append(text_of(delta.get("content"), ""))
        self.refusal.append(a_text(delta.get("refusal")))
        for call in a_list(delta.get("tool_calls")):
            self.add_call(an_object(call))

    def add_call(self, call: dict[str, Any]) -> None:
        index = a_count(call.get("index"))
        if index is None:  # some servers leave it out: an id then begins a call
            index = self.last_call + (1 if call.get("id") or self.last_call < 0 else 0)
        self.last_call = index
        part = _tool_call(call)
        for said, new in zip(self.calls.setdefault(index, ([], [], [])), (part.id, part.name, part.arguments), strict=True):
            said.append(new)

    def answer(self) -> Answer:
        refusal = "".join(self.refusal)
        calls = (self.calls[index] for index in sorted(self.calls))
        return Answer(
            text="".join(self.text) or refusal,
            # id and name come once; a server that repeats them in every fragment means the same call.
            tool_calls=tuple(
                ToolCall(next(filter(None, ids), ""), next(filter(None, names), ""), "".join(args)) for ids, names, args in calls
            ),
            finish_reason=self.finish,
            refusal=bool(refusal),
            model=self.model,
            fingerprint=self.fingerprint,
            usage=self.usage,
            complete=self.error is None and (self.ended or self.finish is not None),
            error=self.error,
        )


def _first(completion: dict[str, Any]) -> dict[str, Any] | None:
    """The choice with index 0 (a server may leave the index out)."""
    choices = [an_object(choice) for choice in a_list(completion.get("choices"))]
    return next((choice for choice in choices if choice.get("index") in (0, None)), None)


def _usage(value: object) -> Usage:
    usage = an_object(value)
    return Usage(
        input=a_count(usage.get("prompt_tokens")),
        cached=a_count(an_object(usage.get("prompt_tokens_details")).get("cached_tokens")),
        output=a_count(usage.get("completion_tokens")),
        reasoning=a_count(an_object(usage.get("completion_tokens_details")).get("reasoning_tokens")),
    )


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _usage_object(usage: Usage) -> dict[str, Any] | None:
    if usage.input is None or usage.output is None:
        return None
    value: dict[str, Any] = {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output}
    if usage.cached is not None:
        value["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning is not None:
        value["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return value


def _finish_reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")


def _frame(answer: Answer, kind: str, id: str, created: int) -> dict[str, Any]:
    frame = {"id": id, "object": kind, "created": created, "model": answer.model or "", "service_tier": "default"}
    return frame | {"system_fingerprint": answer.fingerprint}


def write_body(answer: Answer, *, id: str, created: int) -> bytes:
    """The answer as a `chat.completion`."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.refusal:
        message |= {"content": None, "refusal": answer.text}
    if answer.tool_calls:
        message["content"] = message["content"] or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in answer.tool_calls
        ]
    choice = {"index": 0, "finish_reason": _finish_reason(answer), "logprobs": None, "message": message}
    usage = _usage_object(answer.usage)
    body = _frame(answer, "chat.completion", id, created) | {"choices": [choice]} | ({"usage": usage} if usage else {})
    return msgspec.json.encode(body)


def write_stream(answer: Answer, *, id: str, created: int, include_usage: bool, pieces: int) -> list[bytes]:
    """The answer as events. An incomplete one ends without finish_reason and `[DONE]`, or with an error event if it has an error."""
    frame = _frame(answer, "chat.completion.chunk", id, created)
    tail: dict[str, Any] = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return write_event(msgspec.json.encode(frame | {"choices": [choice]} | tail))

    events = [chunk({"role": "assistant", "content": "", "refusal": None})]
    events += [chunk({"refusal" if answer.refusal else "content": piece}) for piece in cut(answer.text, pieces)]
    for index, call in enumerate(answer.tool_calls):
        start = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        parts = [{"index": index, "function": {"arguments": piece}} for piece in cut(call.arguments, pieces)]
        events += [chunk({"tool_calls": [part]}) for part in (start, *parts)]
    if answer.error is not None:
        return [*events, error_event(Endpoint.OPENAI_CHAT, answer.error, "server_error")]
    if not answer.complete:
        return events
    events.append(chunk({}, _finish_reason(answer)))
    usage = _usage_object(answer.usage)
    if include_usage and usage is not None:
        events.append(write_event(msgspec.json.encode(frame | {"choices": [], "usage": usage})))
    return [*events, write_event(b"[DONE]")]
