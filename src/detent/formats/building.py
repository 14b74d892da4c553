"""What a row says -> a RecordedExchange: dialects told apart, loose messages and parameters put right, every request read by `wire`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from detent import wire
from detent.formats.reasons import NO_ANSWER, NO_MESSAGES, NOT_CHAT, TOO_LONG, UNKNOWN, Unusable
from detent.formats.rows import json_value
from detent.terms import Answer, Endpoint, RecordedExchange
from detent.wire.json_text import MAX_MESSAGES, a_list, an_object

UNNAMED = "unnamed"
"""What stands for the model in a request whose source names none: whoever sends it puts a version there."""

NUMBERS = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "n",
     "max_tokens", "max_completion_tokens", "top_logprobs"}
)  # fmt: skip
PARAMETERS = NUMBERS | {
    "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "logit_bias", "logprobs", "stop",
    "stop_sequences", "reasoning_effort", "verbosity", "thinking", "modalities", "audio", "prediction", "web_search_options",
    "output_config", "output_format", "service_tier",
}  # fmt: skip
"""Members of a chat request that a log's map of parameters may hold; what else stands there (retries, keys, addresses) is the client's."""

_SENT_ONLY = ("stream", "stream_options")
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}
_KEPT = ("content", "name", "tool_call_id", "refusal", "function_call", "audio")
_ANTHROPIC_BLOCKS = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking"})


@dataclass(slots=True, kw_only=True)
class Draft:
    """An exchange as a reader found it. `body` is a request with its `messages`; `answer` is None where none was recorded.

    `loose` says that the messages are another tool's and have to be put into the dialect; a body that was sent is kept as it is. `named`
    is the model that the source says answered: an alias that was asked says less.
    """

    body: dict[str, Any]
    answer: Answer | None
    url: str = ""
    loose: bool = False
    anthropic: bool | None = None
    model: str = ""
    named: str = ""
    at: datetime | None = None
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    task: str = ""
    session: str | None = None
    correct: bool | None = None
    reference: str | None = None
    rating: float | None = None
    fault: tuple[str, str] = field(default=(NO_ANSWER, ""))


def exchange(where: str, draft: Draft) -> RecordedExchange:
    """The exchange. Raises Unusable, or InvalidInput for a request that `wire` cannot read.

    An exchange without an answer is one only with a reference: its answer is then empty, which is what `answered` tells.
    """
    body = {key: value for key, value in draft.body.items() if key not in _SENT_ONLY}
    endpoint = _endpoint(body, draft)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise Unusable(NO_MESSAGES, _instead(body))
    if len(messages) > MAX_MESSAGES:
        raise Unusable(TOO_LONG, f"{len(messages)} messages")
    if endpoint is Endpoint.OPENAI_CHAT:
        body = _openai(body, draft.loose)
    answer = draft.answer
    if answer is None or not (answer.text or answer.tool_calls):
        if draft.reference is None:
            raise Unusable(*draft.fault)
        answer = Answer()
    answer.text.encode()  # half an emoji would break every writer after this one
    model = _text(body.get("model")) or draft.model
    body["model"] = model or UNNAMED
    request = msgspec.json.encode(body)
    if not wire.read_prompt(endpoint, request).messages:
        raise Unusable(NO_MESSAGES, "none but the system's")
    head = wire.read_head(endpoint, [], request)
    return RecordedExchange(
        id=where,
        endpoint=endpoint,
        request=request,
        answer=answer,
        model=draft.named or model,
        at=draft.at,
        api_version=draft.api_version,
        betas=draft.betas,
        task=_sound(draft.task),
        session=_sound(draft.session) if draft.session else head.session,
        template=head.template,
        correct=draft.correct,
        reference=None if draft.reference is None else _sound(draft.reference),
        rating=draft.rating,
    )


def _instead(body: dict[str, Any]) -> str:
    if "messages" in body:
        return "`messages` is no list of messages, or an empty one"
    for name in ("prompt", "input", "contents"):
        if name in body:
            raise Unusable(NOT_CHAT, f"a request with `{name}` and no `messages`")
    return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _sound(text: str) -> str:
    """A text that any encoder takes."""
    return text.encode("utf-8", "replace").decode()


# ── dialects ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _endpoint(body: dict[str, Any], draft: Draft) -> Endpoint:
    """Whose dialect a body is in; takes `anthropic_version`, which some hosts want in the body, out of it."""
    hosted = body.pop("anthropic_version", None)
    if draft.anthropic is None:
        draft.anthropic = hosted is not None or is_anthropic(body, draft.url)
    return Endpoint.ANTHROPIC_MESSAGES if draft.anthropic else Endpoint.OPENAI_CHAT


def is_anthropic(body: dict[str, Any], url: str = "") -> bool:
    """Whether a body is clearly a request of Anthropic Messages: by its address, else by what only that dialect has."""
    if url.endswith("/messages"):
        return True
    if "chat/completions" in url:
        return False
    messages = [an_object(message) for message in a_list(body.get("messages"))]
    if any(message.get("role") in ("system", "developer", "tool", "function") or "tool_calls" in message for message in messages):
        return False
    if any("input_schema" in an_object(tool) for tool in a_list(body.get("tools"))):
        return True
    if "system" in body and ("max_tokens" in body or isinstance(body["system"], list)):
        return True
    blocks = (an_object(block) for message in messages for block in a_list(message.get("content")))
    return any(block.get("type") in _ANTHROPIC_BLOCKS or isinstance(block.get("source"), dict) for block in blocks)


def _openai(body: dict[str, Any], loose: bool) -> dict[str, Any]:
    messages = [message for value in body["messages"] for message in plain_messages(value)] if loose else list(body["messages"])
    system = body.pop("system", None)
    if isinstance(system, str) and system:
        messages.insert(0, {"role": "system", "content": system})
    if not all(isinstance(message.get("role"), str) for message in messages):
        raise Unusable(NO_MESSAGES, "a message without a role")
    if loose and isinstance(body.get("tools"), list):
        body["tools"] = [tool_definition(tool) for tool in body["tools"]]
    return body | {"messages": messages}


def plain_messages(value: dict[str, Any]) -> list[dict[str, Any]]:
    """A message as another tool wrote it, in the OpenAI chat dialect: roles by their usual names, tool calls in one shape."""
    given = value.get("role") or value.get("type")
    role = _ROLES.get(given, given) if isinstance(given, str) else given
    message: dict[str, Any] = {"role": role} | {key: value[key] for key in _KEPT if key in value}
    calls = a_list(value.get("tool_calls")) or a_list(an_object(value.get("additional_kwargs")).get("tool_calls"))
    if calls:
        message["tool_calls"] = [tool_call(call) for call in calls]
    elif "content" not in message and "function_call" not in message:
        message["content"] = ""
    content = message.get("content")
    if isinstance(content, dict):
        message["content"] = [content]
    return [message]


def tool_call(value: object) -> dict[str, Any]:
    """A tool call in the OpenAI chat dialect, from that or from `{id, name, arguments | args | input}`. Raises Unusable without a name."""
    call = an_object(value)
    called = call["function"] if isinstance(call.get("function"), dict) else call
    if not isinstance(called.get("name"), str):
        raise Unusable(UNKNOWN, "a tool call without a name")
    arguments: object = next((called[key] for key in ("arguments", "args", "input") if called.get(key) is not None), {})
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return {"id": _text(call.get("id")), "type": "function", "function": {"name": called["name"], "arguments": text}}


def tool_definition(value: object) -> object:
    """A tool in the OpenAI chat dialect; one of another kind as it is."""
    tool = an_object(value)
    if "function" in tool or not isinstance(tool.get("name"), str):
        return value
    schema = next((tool[key] for key in ("parameters", "input_schema") if tool.get(key)), None)
    if isinstance(schema, str):
        schema = json_value(schema.encode())
    function = {"name": tool["name"]} | ({"description": tool["description"]} if tool.get("description") else {})
    return {"type": "function", "function": function | ({"parameters": schema} if schema else {})}


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_loose(value: object) -> object:
    """A text that holds a JSON object or array, as that; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json_value(value.encode())
        except Unusable:
            return value
    return value


def parameters(given: object) -> dict[str, Any]:
    """The members of a map of parameters (or of its JSON text) that belong into a request. Numbers written as text become numbers; what
    is infinite, or null, was not sent.
    """
    found = an_object(read_loose(given))
    kept = {key: _number(value) if key in NUMBERS else value for key, value in found.items() if key in PARAMETERS}
    extra = an_object(found.get("extra_body"))
    return {key: value for key, value in (kept | extra).items() if value is not None}


def _number(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and "." not in value else number


def when(value: object) -> datetime | None:
    """A time: ISO 8601 (UTC where it names no zone), or a number of seconds, milli-, micro- or nanoseconds since the epoch."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str) and value:
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            value = _number(value)
        else:
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    for above, unit in ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3)):
        if value > above:
            value = value / unit
            break
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def first_text(row: dict[str, Any], names: Iterable[str]) -> str:
    """The first of these members that is a string with something in it."""
    return next((found for name in names if (found := _text(row.get(name)))), "")


def share(value: object) -> float | None:
    """A rating in [0, 1]; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 else None
