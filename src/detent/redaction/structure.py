"""Structure is kept: JSON is read as text, and only what stands between the quotes of a value is ever put in anew.

Keys, their order, numbers, spaces and nesting are the bytes that came. JSON within a string (the arguments of a tool call, a tool's
result) is gone through in the same way. A number stays a number, unless its name says `password`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import msgspec

from detent.redaction.named import kind_of_name
from detent.redaction.scan import Scan

DEEPEST = 4
"""How many strings of JSON within strings of JSON are opened; what lies deeper is searched as the text it is."""

_JSON = msgspec.json.Decoder(msgspec.Raw)
_TOKEN = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"([ \t\r\n]*+:)?|[{}\[\]]', re.DOTALL)
_OPENS = re.compile(r"\s*+[{\[]")
_NUMBER = re.compile(r"[ \t\r\n]*+(-?[0-9][0-9.eE+-]{3,40})(?=[\s,}])")
_LONE = re.compile(r"\\u[dD][89a-fA-F]")
_MEDIA = frozenset({"data", "file_data", "b64_json", "image", "signature", "encrypted_content", "redacted_thinking", "thought_signature"})
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}+={0,2}")

IDENTITY = frozenset({"user", "safety_identifier", "prompt_cache_key"})
"""Members of a request that name a person; `metadata.user_id` is the fourth."""


@dataclass(slots=True)
class _Level:
    """An object or array that is open: what it is the value of, the member that is being read, and the name in a pair of name and value."""

    of: str
    member: str
    said: str = ""


def in_request(text: str, scan: Scan) -> str:
    """A request body, with the members that name a person."""
    return _walk(text, scan, 0, is_request=True) if is_json(text) else scan.text(text)


def in_value(text: str, scan: Scan, member: str = "", depth: int = 0) -> str:
    """A string from a request or an answer: gone through if it is a JSON object or array, else searched."""
    if depth < DEEPEST and is_json(text):
        return _walk(text, scan, depth + 1)
    if member in _MEDIA and _BASE64.fullmatch(text):
        return text
    return scan.member(text, member)


def is_json(text: str) -> bool:
    """Whether a text is a JSON object or array, whole; one nested too deeply to be read is none."""
    if _OPENS.match(text) is None:
        return False
    try:
        _JSON.decode(text)
    except RecursionError:
        return False
    except ValueError:
        # msgspec reads no lone surrogates (JavaScript writes half an emoji as one); the standard library does.
        return _LONE.search(text) is not None and _is_odd_json(text)
    return True


def _is_odd_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _walk(text: str, scan: Scan, depth: int, *, is_request: bool = False) -> str:
    """The text of a JSON value with placeholders within its strings; the same object where nothing was taken out."""
    parts: list[str] = []
    at = 0
    levels: list[_Level] = [_Level("", "")]
    for found in _TOKEN.finditer(text):
        level = levels[-1]
        raw = found[1]
        if raw is None:
            if found[0] == "{":
                levels.append(_Level(level.member, ""))
            elif found[0] == "[":
                levels.append(_Level(level.of, level.member))
            else:
                levels.pop()
            continue
        if found[2] is not None:
            level.member = _read(raw)
            number = _NUMBER.match(text, found.end()) if kind_of_name(level.member) == "PASSWORD" else None
            if number is not None and not level.member.lower().endswith("pass"):
                parts += (text[at : number.start(1)], f'"{scan.whole(number[1], "PASSWORD")}"')
                at = number.end(1)
            continue
        value = _read(raw)
        person = is_request and _names_a_person(levels)
        shown = scan.identity(value) if person else in_value(value, scan, _name_for(level, value), depth)
        if shown is not value and shown != value:
            parts += (text[at : found.start(1)], json.dumps(shown, ensure_ascii="\\u" in raw)[1:-1])
            at = found.end(1)
    return "".join((*parts, text[at:])) if parts else text


def _read(raw: str) -> str:
    value: str = json.loads(f'"{raw}"') if "\\" in raw else raw
    return value


def _names_a_person(levels: list[_Level]) -> bool:
    level = levels[-1]
    return (len(levels) == 2 and level.member in IDENTITY) or (len(levels) == 3 and level.of == "metadata" and level.member == "user_id")


def _name_for(level: _Level, value: str) -> str:
    """The name a value goes by: its member's, or in `{"name": "DB_PASSWORD", "value": "..."}` what stands beside it."""
    member = level.member
    if member in ("name", "key", "Name", "Key"):
        level.said = value
    elif member in ("value", "Value") and level.said:
        return level.said
    return member
