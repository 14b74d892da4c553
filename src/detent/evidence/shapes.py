"""The shape of a request: which parameters it has, apart from what is said in it. Pure.

A version that refuses one request for its parameters refuses all requests of that shape.
"""

from __future__ import annotations

import re
from typing import Any

from detent.errors import InvalidInput
from detent.terms import Endpoint
from detent.wire import json_text
from detent.wire.failures import failure_text
from detent.wire.json_text import a_list, a_word, an_object

PLAIN = "plain"
"""The shape of a request with nothing but a model and messages."""

_NOT_SHAPE = {
    "model",
    "messages",
    "system",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "store",
}
_ANY_VALUE = {
    "seed",
    "stop",
    "stop_sequences",
    "tools",
    "functions",
    "logit_bias",
    "prediction",
    "container",
    "mcp_servers",
    "web_search_options",
}
"""Parameters whose value says no more about whether a version takes them."""

_ABOUT_CONTENT = re.compile(
    r"context_length_exceeded|context length|context window|prompt is too long|too many tokens|string_above_max_length"
    r"|content.?(?:filter|polic|management)|moderation|safety system|usage polic",
    re.IGNORECASE,
)


def shape(endpoint: Endpoint, request: bytes) -> str:
    """The parameters of a request in one spelling, like `max_tokens<=1024, response_format=json_schema, tools`.

    Values are shown where a version may take one and refuse another; limits of tokens by the power of two above them. What the messages are
    made of counts as well: `images`, `prefill` (the answer was begun by the app), a `developer` role. Never raises.
    """
    try:
        found = {name: json_text.load(span.raw) for name, span in json_text.spans(request).items()}
    except InvalidInput:
        return "unreadable"
    parameters = [_parameter(name, value) for name, value in found.items() if name not in _NOT_SHAPE and value is not None]
    return ", ".join(sorted({*parameters, *_made_of(endpoint, a_list(found.get("messages")))})) or PLAIN


def _parameter(name: str, value: Any) -> str:
    name = a_word(name, limit=64) or "?"
    if name in _ANY_VALUE:
        return name
    if name in ("max_tokens", "max_completion_tokens") and isinstance(value, int) and 0 < value < 2**53:
        return f"{name}<={1 << (value - 1).bit_length()}"
    kind = an_object(value).get("type", value)
    if isinstance(kind, bool):
        return f"{name}={str(kind).lower()}"
    if isinstance(kind, int | float):
        return f"{name}={kind:g}"
    return f"{name}={a_word(kind, limit=40)}" if isinstance(kind, str) and kind else name


_PARTS = {"image": "images", "image_url": "images", "input_audio": "audio", "file": "files", "document": "files"}


def _made_of(endpoint: Endpoint, messages: list[Any]) -> set[str]:
    said = [an_object(message) for message in messages]
    parts = {a_word(an_object(part).get("type")) for message in said for part in a_list(message.get("content"))}
    made = {_PARTS[part] for part in parts if part in _PARTS}
    if any(message.get("role") == "developer" for message in said):
        made.add("role=developer")
    if endpoint is Endpoint.ANTHROPIC_MESSAGES and said and said[-1].get("role") == "assistant":
        made.add("prefill")
    return made


def blames_shape(endpoint: Endpoint, request: bytes, body: bytes) -> bool:
    """Whether a refusal (the body of a 4xx answer) is about the shape of the request, rather than about what is said in it.

    It is where the provider names a parameter that the request has: as `param`, or by name in its message. A prompt that is too long, or
    that a filter does not like, says nothing about the next one.
    """
    try:
        error = an_object(an_object(json_text.load(body)).get("error"))
        names = [name for name in json_text.spans(request) if name not in ("model", "messages", "system")]
    except InvalidInput:
        return False
    said = failure_text(body, "")
    if _ABOUT_CONTENT.search(f"{error.get('code')} {error.get('type')} {said}"):
        return False
    blamed = a_word(error.get("param"))
    if blamed is not None and re.split(r"[.\[]", blamed)[0] in names:
        return True
    made = shape(endpoint, request)
    if any(part in made and word in said.lower() for part, word in _SAID_OF.items()):
        return True
    # Named as a name is: in quotes, first of all, or as "parameter NAME"; the word `user` in a sentence is no parameter.
    return any(re.search(rf"^{n}\b|[`'\"]{n}[`'\".\[]|(?:parameter|argument|field):? {n}\b", said) for n in map(re.escape, names))


_SAID_OF = {"images": "image", "audio": "audio", "files": "document", "prefill": "prefill", "role=developer": "developer"}
"""What a refusal says when it does not like what the messages are made of."""
