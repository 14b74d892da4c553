"""What routing needs of a request: which endpoint, which dialect, the model asked for, whose request it is, and two digests."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

import msgspec

from detent.errors import InvalidInput
from detent.terms import Dialect, Endpoint, Head
from detent.wire import json_text
from detent.wire.identity import SESSION_PLACES, USER_PLACES, Headers, find, header_values, read_clues, trace_of
from detent.wire.json_text import Span, a_list, an_object, text_of

_ENDPOINTS = {
    ("POST", "/v1/chat/completions"): Endpoint.OPENAI_CHAT,
    ("POST", "/chat/completions"): Endpoint.OPENAI_CHAT,
    ("POST", "/v1/messages"): Endpoint.ANTHROPIC_MESSAGES,
}

# What an app's code sets and one request doesn't change; `seed` and what names a user or a session are left out on purpose.
_TEMPLATE_MEMBERS = (
    "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "output_config", "output_format",
    "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "n",
    "max_tokens", "max_completion_tokens", "stop", "stop_sequences", "reasoning_effort", "verbosity", "thinking", "modalities",
)  # fmt: skip

_OPENING_LOOK = 1000
"""Among how many messages the first of a user is looked for, and how many of its parts count."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NO = ("", "0", "false", "no")
_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST_BETAS = 32


def endpoint(method: str, path: str) -> Endpoint | None:
    """The endpoint whose requests Detent reads, or None for all that passes through."""
    return _ENDPOINTS.get((method, path))


def dialect(headers: Headers, path: str) -> Dialect:
    """Whose API a request speaks: `x-goog-api-key` or Gemini's paths, then `anthropic-version` or `/v1/messages`, else OpenAI.

    `GET /v1/models` is three APIs on one path, and Anthropic authenticates like OpenAI: never told by the key's header alone.
    """
    names = {name for name, _ in headers}
    if b"x-goog-api-key" in names or path.startswith("/v1beta/") or "enerateContent" in path.rpartition(":")[2]:
        return Dialect.GEMINI
    if b"anthropic-version" in names or path == "/v1/messages" or path.startswith("/v1/messages/"):
        return Dialect.ANTHROPIC
    return Dialect.OPENAI


def read_head(endpoint: Endpoint, headers: Headers, body: bytes) -> Head:
    """The head of a request. Raises InvalidInput for a body that is no JSON object, gives a member twice (`stream_options` too), or whose
    `model` is not a string of 1 to 256 characters without control characters; also for an `x-detent-route` like that.
    """
    found = json_text.spans(body)
    values = header_values(headers)
    identity: dict[str, Any] = {key: json_text.load(found[key].raw) for key in ("metadata", "user", "safety_identifier") if key in found}
    clues = read_clues(values, identity)
    session, session_source = find(SESSION_PLACES, clues)
    user, user_source = find(USER_PLACES, clues)
    opening, template = _digests(endpoint, found)
    route = values.get("x-detent-route")
    api_version, betas = _api(endpoint, values, headers)
    return Head(
        endpoint=endpoint,
        model=_sane_name("`model`", json_text.load(found["model"].raw) if "model" in found else None),
        route=_sane_name("the header `x-detent-route`", route) if route else None,
        stream="stream" in found and found["stream"].raw == b"true",
        asks_usage=_asks_usage(found),
        session=session,
        session_source=session_source,
        user=user,
        user_source=user_source,
        opening=opening,
        continues=_continues(found),
        template=template,
        attempt=_attempt(values.get("x-stainless-retry-count", "")),
        no_record=values.get("x-detent-no-record", "").lower() not in _NO,
        no_shadow=values.get("x-detent-no-shadow", "").lower() not in _NO,
        tenant=_word(values.get("x-detent-tenant", "")),
        region=_word(values.get("x-detent-region", "")),
        api_version=api_version,
        betas=betas,
        trace=trace_of(values),
    )


def prompt_key(endpoint: Endpoint, body: bytes) -> str:
    """32 hex digits that name what was asked: messages, system and tools, whatever their spelling. Raises InvalidInput."""
    found = json_text.spans(body)
    asked = {key: json_text.load(found[key].raw) for key in ("messages", "system", "tools") if key in found}
    return json_text.digest([endpoint.value, asked])


def _sane_name(what: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 256 or _UNSAFE.search(value):
        raise InvalidInput(f"{what} must be a string of 1 to 256 characters without control characters: `{str(value)[:80]!a}`")
    return value


def _api(endpoint: Endpoint, values: dict[str, str], headers: Headers) -> tuple[str | None, tuple[str, ...]]:
    """(API version, betas) that Anthropic's headers ask for; betas may come in several headers. What is no sane word is left out."""
    if endpoint is not Endpoint.ANTHROPIC_MESSAGES:
        return None, ()
    version = values.get("anthropic-version", "")
    asked = b",".join(value for name, value in headers if name == b"anthropic-beta").decode("latin-1")
    betas = (word.strip() for word in asked.split(",", _MOST_BETAS)[:_MOST_BETAS])
    return _word(version), tuple(word for word in betas if _WORD.fullmatch(word))


def _word(text: str) -> str | None:
    """A header's value if it is a sane word: it is stored as said, and anything else may be somebody's name or address."""
    return text if _WORD.fullmatch(text) else None


def _asks_usage(found: dict[str, Span]) -> bool:
    options = found.get("stream_options")
    if options is None or not options.raw.startswith(b"{"):
        return False
    asked = json_text.spans(options.raw).get("include_usage")
    return asked is not None and asked.raw == b"true"


def _attempt(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0


def _digests(endpoint: Endpoint, found: dict[str, Span]) -> tuple[str, str]:
    """(opening, template). The opening is empty without a first user message: a system prompt alone would put a whole app on one arm."""
    system = [text_of(json_text.load(found["system"].raw))] if endpoint is Endpoint.ANTHROPIC_MESSAGES and "system" in found else []
    first: Any = None
    messages = found["messages"].raw if "messages" in found else b"[]"
    for raw in islice(json_text.items(messages), _OPENING_LOOK) if messages.startswith(b"[") else ():
        message = an_object(json_text.load(raw))
        if message.get("role") in ("system", "developer"):
            system.append(text_of(message.get("content")))
        elif message.get("role") == "user":
            first = _without_cache_marks(message.get("content"))
            break
    parameters = {key: json_text.load(found[key].raw) for key in _TEMPLATE_MEMBERS if key in found}
    return json_text.digest([system, first]) if first else "", json_text.digest([system, parameters])


class _Turn(msgspec.Struct):
    """A message, of which only its role is looked at."""

    role: Any = None


_TURNS = msgspec.json.Decoder(list[_Turn])


def _continues(found: dict[str, Span]) -> bool:
    """Whether an assistant's turn stands among the messages. One at the very end is the beginning of the answer that is asked for."""
    if "messages" not in found:
        return False
    try:
        turns = _TURNS.decode(found["messages"].raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return any(turn.role == "assistant" for turn in turns[:-1])


def _without_cache_marks(content: object) -> object:
    """Content whose digest is the same at every turn: clients move `cache_control` along, and write one text as a string or as a part."""
    if isinstance(content, str):
        return content
    content = a_list(content)[:_OPENING_LOOK]
    parts = [{key: value for key, value in an_object(part).items() if key != "cache_control"} for part in content]
    return text_of(content) if all(part.get("type") == "text" for part in parts) else parts
