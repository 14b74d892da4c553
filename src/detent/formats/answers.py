"""A recorded answer in any of the shapes that logs keep it in -> an Answer."""

from __future__ import annotations

from typing import Any

import msgspec

from detent import wire
from detent.formats.building import read_loose, tool_call
from detent.formats.reasons import FAILED, NOT_WHOLE, UNKNOWN, Unusable
from detent.terms import Answer, Endpoint
from detent.wire.json_text import a_list, an_object

_BLOCKS = frozenset({"tool_use", "thinking", "redacted_thinking"})


def read_answer(value: object, *, finish_reason: str | None = None, sniff: bool = False) -> Answer | None:
    """The answer that a value stands for; None where there is none (null, an empty text, object or list).

    Taken are: a chat completion, an Anthropic message, a choice, a message, a list of either, parts of a content, a transcript of a
    stream, a plain text. With `sniff` a text that holds one of the objects as JSON is read as that; without, text is text.
    Raises Unusable: the call failed, the answer is not whole, the shape is unknown.
    """
    if isinstance(value, str):
        return _text(value, finish_reason, sniff)
    if isinstance(value, list):
        return _list(value, finish_reason)
    if isinstance(value, dict):
        return _object(value, finish_reason)
    if value is None:
        return None
    raise Unusable(UNKNOWN, f"an answer that is neither text nor an object: `{type(value).__name__}`")


def _text(value: str, finish: str | None, sniff: bool) -> Answer | None:
    if value.startswith(("data:", "event:")) and "\n" in value:
        anthropic = "message_start" in value[:4096]
        return _whole(Endpoint.ANTHROPIC_MESSAGES if anthropic else Endpoint.OPENAI_CHAT, value.encode(), streamed=True)
    if sniff and value.lstrip()[:1] in ("{", "[") and _is_envelope(found := read_loose(value)):
        return read_answer(found, finish_reason=finish)
    return Answer(text=value, finish_reason=finish) if value else None


def _is_envelope(value: object) -> bool:
    """Whether a JSON value is an answer's envelope, and not an answer that happens to be JSON."""
    if isinstance(value, list):
        return bool(value) and all(_is_envelope(item) for item in value)
    found = an_object(value)
    return (
        isinstance(found.get("choices"), list)
        or (found.get("type") == "message" and isinstance(found.get("content"), list))
        or (found.get("role") in ("assistant", "ai", "model") and ("content" in found or "tool_calls" in found or "parts" in found))
        or (isinstance(found.get("tool_calls"), list) and "content" in found)
    )


def _list(value: list[Any], finish: str | None) -> Answer | None:
    items = [an_object(item) for item in value]
    if not items:
        return None
    if all(isinstance(item.get("type"), str) and "role" not in item and "message" not in item for item in items):
        return _object({"role": "assistant", "content": value}, finish)
    spoken = [item for item in items if item.get("role") in ("assistant", "ai", "model", None)]
    return _object(spoken[-1], finish) if spoken else None


def _object(value: dict[str, Any], finish: str | None) -> Answer | None:
    if not value:
        return None
    if isinstance(value.get("choices"), list):
        return _completion(value)
    content = a_list(value.get("content"))
    if value.get("type") == "message" or "stop_reason" in value or any(an_object(part).get("type") in _BLOCKS for part in content):
        whole = content or [{"type": "text", "text": value.get("content") or ""}]
        reason = {"stop_reason": value.get("stop_reason") or finish}
        return _whole(Endpoint.ANTHROPIC_MESSAGES, msgspec.json.encode(value | {"type": "message", "content": whole} | reason))
    if isinstance(value.get("message"), dict):
        return _completion({"choices": [{"index": 0, "finish_reason": finish} | value]})
    if any(key in value for key in ("content", "tool_calls", "refusal", "function_call", "additional_kwargs")):
        return _completion({"choices": [{"index": 0, "message": _message(value), "finish_reason": value.get("finish_reason") or finish}]})
    if "error" in value:
        raise Unusable(FAILED, str(an_object(value["error"]).get("message") or value["error"]))
    for name in ("text", "output", "completion", "generated_text"):
        if isinstance(value.get(name), str):
            return Answer(text=value[name], finish_reason=finish) if value[name] else None
    raise Unusable(UNKNOWN, f"an answer with the members {', '.join(f'`{key}`' for key in list(value)[:5])}")


def _message(value: dict[str, Any]) -> dict[str, Any]:
    calls = a_list(value.get("tool_calls")) or a_list(an_object(value.get("additional_kwargs")).get("tool_calls"))
    old = value.get("function_call")
    if not calls and isinstance(old, dict):
        calls = [old]
    content = value.get("content")
    plain = content if isinstance(content, str | list) or content is None else msgspec.json.encode(content).decode()
    return {"role": "assistant", "content": plain, "refusal": value.get("refusal"), "tool_calls": [tool_call(call) for call in calls]}


def _completion(value: dict[str, Any]) -> Answer | None:
    choices = [an_object(choice) for choice in value["choices"]]
    if choices and isinstance(choices[0].get("message"), dict) and "function_call" in choices[0]["message"]:
        choices[0] = choices[0] | {"message": _message(choices[0]["message"])}
    if not choices and "error" not in value:
        return None
    return _whole(Endpoint.OPENAI_CHAT, msgspec.json.encode(value | {"choices": choices}))


def _whole(endpoint: Endpoint, body: bytes, *, streamed: bool = False) -> Answer:
    answer = wire.read_answer(endpoint, status=200, body=body, streamed=streamed)
    if answer.error is not None:
        if answer.error.startswith(wire.UNREADABLE):
            raise Unusable(UNKNOWN, answer.error)
        raise Unusable(FAILED, answer.error)
    if not answer.complete:
        raise Unusable(NOT_WHOLE)
    return answer
