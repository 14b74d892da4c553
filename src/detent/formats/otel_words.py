"""What was said in a GenAI span, whichever generation of the conventions wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from detent.formats.answers import read_answer
from detent.formats.building import read_loose, tool_definition
from detent.terms import Answer, Usage
from detent.wire.json_text import a_count, a_list, a_word, an_object

_FINISH = {"tool_call": "tool_calls"}
"""Finish reasons that the conventions spell otherwise than the dialect."""
_INDEXED = re.compile(r"(gen_ai\.prompt|gen_ai\.completion|llm\.request\.functions)\.([0-9]{1,5})\.(.+)", re.DOTALL)
_CALL = re.compile(r"tool_calls\.([0-9]{1,4})\.(?:function\.)?(id|name|arguments)")
_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Said:
    """Messages in the OpenAI chat dialect (loosely), and the answer as a message with its `finish_reason`, or None."""

    messages: list[dict[str, Any]]
    answer: dict[str, Any] | None

    def read(self, values: dict[str, Any]) -> Answer | None:
        """The answer, with what the span says about it."""
        if self.answer is None:
            return None
        reasons = a_list(read_loose(values.get("gen_ai.response.finish_reasons")))
        finish = self.answer.get("finish_reason") or (reasons[0] if reasons else None)
        finish = _FINISH.get(finish, finish) if isinstance(finish, str) else None
        answer = read_answer(self.answer | {"finish_reason": finish})
        if answer is None:
            return None
        usage = Usage(
            input=a_count(values.get("gen_ai.usage.input_tokens", values.get("gen_ai.usage.prompt_tokens"))),
            cached=a_count(values.get("gen_ai.usage.cache_read.input_tokens")),
            output=a_count(values.get("gen_ai.usage.output_tokens", values.get("gen_ai.usage.completion_tokens"))),
        )
        return replace(answer, model=a_word(values.get("gen_ai.response.model")), usage=usage)


def _json(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# ── messages with parts ─────────────────────────────────────────────────────────────────────────────────────────────


def from_parts(values: dict[str, Any]) -> Said | None:
    """What stands in `gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions`; None where there is neither."""
    asked, said = (read_loose(values.get(f"gen_ai.{side}.messages")) for side in ("input", "output"))
    if not isinstance(asked, list) and not isinstance(said, list):
        return None
    messages: list[dict[str, Any]] = []
    if instructions := a_list(read_loose(values.get("gen_ai.system_instructions"))):
        messages += _with_parts({"role": "system", "parts": instructions})
    for message in map(an_object, a_list(asked)):
        messages += _with_parts(message)
    # Every output message is one choice; an app that asks for several reads the first.
    first = next(iter(a_list(said)), None)
    answer = None
    if isinstance(first, dict):
        answer = next(iter(_with_parts(first)), {}) | {"finish_reason": first.get("finish_reason")}
    return Said(messages, answer)


def _with_parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message of the conventions as one of the dialect; each result of a tool becomes a message of its own."""
    if not isinstance(message.get("parts"), list):
        return [message]
    content: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for part in map(an_object, message["parts"]):
        match part.get("type"):
            case "tool_call":
                calls.append({key: part.get(key) for key in ("id", "name", "arguments")})
            case "tool_call_response":
                result = part.get("response", part.get("result"))
                results.append({"role": "tool", "tool_call_id": part.get("id") or "", "content": _json("" if result is None else result)})
            case "reasoning" | "thinking":
                continue  # a provider takes no other's thoughts back
            case _:
                content.append(_part(part))
    said = {"role": message.get("role")} | ({"name": message["name"]} if isinstance(message.get("name"), str) else {})
    if all(part.get("type") == "text" for part in content):
        said["content"] = "\n".join(str(part.get("text") or "") for part in content)
    else:
        said["content"] = content
    if calls:
        said["tool_calls"] = calls
        said["content"] = said["content"] or None
    return results + ([said] if content or calls or not results else [])


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a content: text and images in the dialect, all else as it is."""
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": part.get("content", part.get("text", ""))}
    if part.get("modality") == "image" and kind in ("uri", "blob"):
        url = part.get("uri") if kind == "uri" else f"data:{part.get('mime_type') or 'image/png'};base64,{part.get('content')}"
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "file" and "file_id" in part:
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    return part


def tools(values: dict[str, Any]) -> list[object]:
    """The tools that the span says the model was given."""
    given = a_list(read_loose(values.get("gen_ai.tool.definitions")))
    if not given:
        given = a_list(read_loose(values.get("llm.request.functions"))) or list(_indexed(values, "llm.request.functions").values())
    return [tool_definition(read_loose(tool)) for tool in given]


# ── attributes with an index ────────────────────────────────────────────────────────────────────────────────────────


def _indexed(values: dict[str, Any], wanted: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for key, value in values.items():
        match = _INDEXED.fullmatch(key) if key.startswith(wanted) else None
        if match is not None and match[1] == wanted and len(found) <= _MOST:
            found.setdefault(int(match[2]), {})[match[3]] = value
    return dict(sorted(found.items()))


def from_indexed(values: dict[str, Any]) -> Said | None:
    """What stands in `gen_ai.prompt.N.*` and `gen_ai.completion.N.*`; None where there is neither."""
    prompts, completions = (_indexed(values, f"gen_ai.{side}") for side in ("prompt", "completion"))
    if not prompts and not completions:
        return None
    messages = [_from_fields(fields) for fields in prompts.values()]
    first = next(iter(completions.values()), None)
    answer = None if first is None else _from_fields(first) | {"role": "assistant", "finish_reason": first.get("finish_reason")}
    return Said(messages, answer)


def _from_fields(fields: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": fields.get("role") or "user", "content": _content(fields.get("content"))}
    calls: dict[int, dict[str, Any]] = {}
    for name, value in fields.items():
        if (match := _CALL.fullmatch(name)) is not None:
            calls.setdefault(int(match[1]), {})[match[2]] = value
    whole = a_list(read_loose(fields.get("tool_calls")))
    if calls or whole:
        message["tool_calls"] = whole or [calls[index] for index in sorted(calls)]
    if "tool_call_id" in fields:
        message["tool_call_id"] = fields["tool_call_id"]
    return message


def _content(value: object) -> object:
    """A content: a list of parts may be written as JSON text."""
    found = read_loose(value)
    if isinstance(found, list) and found and all(isinstance(an_object(part).get("type"), str) for part in found):
        return [_part(part) for part in found]
    return value


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def from_events(events: Iterable[tuple[str, dict[str, Any]]]) -> Said | None:
    """What span events say; None where none of them says anything."""
    messages: list[dict[str, Any]] = []
    answer: dict[str, Any] | None = None
    found = False
    for name, held in events:
        body = held | an_object(read_loose(held.get("gen_ai.event.content")))
        if name in _ROLES:
            messages.append(_from_event(body, body.get("role") or _ROLES[name]))
        elif name == "gen_ai.choice" and answer is None:
            said = read_loose(body.get("message", body))
            said = an_object(said) or {"content": said if isinstance(said, str) else body.get("content")}
            answer = _from_event(said | {key: body[key] for key in ("tool_calls",) if key in body}, "assistant")
            answer["finish_reason"] = body.get("finish_reason")
        elif name == "gen_ai.content.prompt":
            messages += [an_object(message) for message in a_list(read_loose(held.get("gen_ai.prompt")))]
        elif name == "gen_ai.content.completion" and answer is None:
            given = a_list(read_loose(held.get("gen_ai.completion")))
            answer = an_object(given[0]) | {"role": "assistant"} if given else None
        else:
            continue
        found = True
    return Said(messages, answer) if found else None


def _from_event(body: dict[str, Any], role: object) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role, "content": _content(body.get("content"))}
    if calls := a_list(read_loose(body.get("tool_calls"))):
        message["tool_calls"] = calls
    if role == "tool":
        message["tool_call_id"] = body.get("id") or body.get("tool_call_id") or ""
    return message
