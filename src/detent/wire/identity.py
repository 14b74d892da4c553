"""Whose request this is: session and user, from the first place of an ordered table that gives a sane value.

Own headers come first, then W3C baggage, then what other gateways and agents already send, then fields of the body, then the trace. A
`prompt_cache_key` (shared by design) and the client's address are never identity. Values are as sent: secret until they are hashed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from detent.errors import InvalidInput
from detent.wire.json_text import an_object, load

Headers = Sequence[tuple[bytes, bytes]]
"""Headers in ASGI form: names in lower case."""

_SANE = re.compile(r"[\x20-\x7e]{1,256}")
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
# Claude Code before it wrote JSON: user_<hash>_account_<uuid>_session_<uuid>.
_USER_AND_SESSION = re.compile(r"(user_.+?)_session_(.+)")


@dataclass(frozen=True, slots=True)
class Clues:
    """Where identity may stand in a request. `body` holds the decoded `metadata`, `user` and `safety_identifier`."""

    headers: dict[str, str]
    baggage: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One row of the table: its name, which is recorded as the source, and how to look there."""

    name: str
    look: Callable[[Clues], object]


def _header(name: str) -> Place:
    return Place(name, lambda clues: clues.headers.get(name))


def _baggage(key: str) -> Place:
    return Place(f"baggage:{key}", lambda clues: clues.baggage.get(key))


def _metadata(key: str) -> Place:
    return Place(f"metadata.{key}", lambda clues: an_object(clues.body.get("metadata")).get(key))


def _field(key: str) -> Place:
    return Place(key, lambda clues: clues.body.get(key))


def trace_of(values: dict[str, str]) -> str | None:
    """The id of the trace that the headers (`header_values`) continue: 32 hex digits, not all zero; None without a sane `traceparent`."""
    found = _TRACE.fullmatch(values.get("traceparent", ""))
    return found[1] if found is not None and found[1].strip("0") else None


def _json_header(name: str, key: str) -> Place:
    return Place(f"{name}:{key}", lambda clues: _json_object(clues.headers.get(name)).get(key))


def _json_object(text: object) -> dict[str, Any]:
    if not isinstance(text, str) or not text.lstrip().startswith("{"):
        return {}
    try:
        return an_object(load(text.encode("utf-8", "replace")))
    except InvalidInput:
        return {}


def _user_id(clues: Clues) -> object:
    return an_object(clues.body.get("metadata")).get("user_id")


def _session_in_user_id(clues: Clues) -> object:
    value = _user_id(clues)
    found = _USER_AND_SESSION.fullmatch(value) if isinstance(value, str) else None
    return found[2] if found is not None else _json_object(value).get("session_id")


def _user_in_user_id(clues: Clues) -> object:
    """The user's part of `metadata.user_id`. One with a session in it changes with the session: as a whole it names no user."""
    value = _user_id(clues)
    found = _USER_AND_SESSION.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        return found[1]
    parts = _json_object(value)
    return next((parts[key] for key in ("user_id", "account_uuid", "device_id") if parts.get(key)), None) if parts else value


SESSION_PLACES: tuple[Place, ...] = (
    _header("x-detent-session-id"),
    _baggage("session.id"),
    _baggage("gen_ai.conversation.id"),
    _header("helicone-session-id"),
    _header("x-litellm-session-id"),
    _header("x-claude-code-session-id"),
    _header("agent-session-id"),
    _header("session-id"),
    _header("x-litellm-trace-id"),
    _header("x-portkey-trace-id"),
    _metadata("session_id"),
    Place("metadata.user_id", _session_in_user_id),
    Place("traceparent", lambda clues: trace_of(clues.headers)),
)

USER_PLACES: tuple[Place, ...] = (
    _header("x-detent-user-id"),
    _baggage("user.id"),
    _baggage("enduser.id"),
    _field("safety_identifier"),
    Place("metadata.user_id", _user_in_user_id),
    _field("user"),
    _header("helicone-user-id"),
    _json_header("x-portkey-metadata", "_user"),
    _header("x-litellm-end-user-id"),
    _header("x-litellm-customer-id"),
)


def header_values(headers: Headers) -> dict[str, str]:
    """The headers as text; of several with one name the first, but all of `baggage`, which may come in parts."""
    values: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1").strip()
        if key == "baggage" and key in values:
            values[key] += "," + text
        else:
            values.setdefault(key, text)
    return values


def read_clues(headers: dict[str, str], body: dict[str, Any]) -> Clues:
    """What the tables look at, gathered once."""
    baggage: dict[str, str] = {}
    for member in headers.get("baggage", "").split(","):
        key, _, rest = member.partition("=")
        baggage.setdefault(key.strip(), unquote(rest.partition(";")[0].strip()))
    return Clues(headers, baggage, body)


def find(places: tuple[Place, ...], clues: Clues) -> tuple[str | None, str | None]:
    """(value, name of its place) of the first place with 1 to 256 printable ASCII characters, or (None, None)."""
    for place in places:
        value = place.look(clues)
        if isinstance(value, str) and _SANE.fullmatch(value) and value.strip():
            return value, place.name
    return None, None
