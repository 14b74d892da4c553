"""JSON as bytes, and values of doubtful shape: what the other modules of `wire` read hostile bodies with.

Every fault becomes `InvalidInput` here: msgspec's errors, bad UTF-8 and nesting beyond the recursion limit. Lone surrogate escapes
(JavaScript writes `"\\ud83d"` for half an emoji) read as U+FFFD, so that no string that leaves this module breaks an encoder later.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from detent.errors import InvalidInput

MAX_MEMBERS = 256
MAX_MESSAGES = 20_000
"""More top-level members and messages than any provider takes; a body with a million of either would hold the event loop."""

_ANY = msgspec.json.Decoder(Any)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RAW = msgspec.json.Decoder(msgspec.Raw)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
# From a position outside an escape to the next lone surrogate; possessive, so that a long text is read once.
_TO_LONE = re.compile(
    rb"(?:[^\\]++|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\(?!u[dD][89a-fA-F]).)*+(\\u[dD][89a-fA-F][0-9a-fA-F]{2})",
    re.DOTALL,
)
_MAX_LONE = 10_000
_OPENING = re.compile(rb"[ \t\r\n]*\{")
# Possessive, as a key of ten million escapes would otherwise keep as many places to backtrack to.
_NAME = re.compile(rb'[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_COMMA = re.compile(rb"[ \t\r\n]*+,")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Span(NamedTuple):
    """Where a member of an object stands in its text: `[name, end)` is the member, `[start, end)` its value, `raw` the value's bytes."""

    name: int
    start: int
    end: int
    raw: bytes


def _decode(decoder: msgspec.json.Decoder[Any], text: bytes) -> tuple[Any, bytes]:
    """The value, and the text that it was read from: the one given, or that with its lone surrogates masked."""
    try:
        return decoder.decode(text), text
    except RecursionError as error:
        raise InvalidInput("JSON is nested too deeply") from error
    except ValueError as error:
        masked = _mask_lone_surrogates(text)
        if masked == text:
            raise InvalidInput(f"not readable as JSON: {error}") from error
    try:
        return decoder.decode(masked), masked
    except (RecursionError, ValueError) as error:
        raise InvalidInput(f"not readable as JSON: {error}") from error


def _mask_lone_surrogates(text: bytes) -> bytes:
    """The text with its lone surrogate escapes as `\\ufffd`: of the same length, so that positions in it are positions in the original."""
    masked = bytearray(text)
    at = 0
    for _ in range(_MAX_LONE):
        found = _TO_LONE.match(text, at)
        if found is None:
            break
        masked[found.start(1) : found.end(1)] = b"\\ufffd"
        at = found.end()
    return bytes(masked)


def load(text: bytes) -> Any:
    """The value of a JSON text. Raises InvalidInput."""
    return _decode(_ANY, text)[0]


def items(text: bytes) -> Iterator[bytes]:
    """The texts of the elements of a JSON array. Raises InvalidInput for anything else."""
    return map(bytes, _decode(_ARRAY, text)[0])


def masked(text: bytes) -> bytes:
    """The text as other decoders can read it, of the same length: lone surrogate escapes are U+FFFD. Raises InvalidInput."""
    return _decode(_RAW, text)[1]


def places(text: bytes) -> list[tuple[int, int]]:
    """Where the elements of a JSON array stand in its text, as [start, end). Raises InvalidInput for anything else."""
    raws, text = _decode(_ARRAY, text)
    found = []
    at = text.index(b"[") + 1
    for raw in map(bytes, raws):
        start = text.index(raw, at)  # only spaces and a comma stand before it
        at = start + len(raw)
        found.append((start, at))
    return found


def spans(text: bytes) -> dict[str, Span]:
    """The top-level members of a JSON object, in order, with their places in the text.

    Raises InvalidInput for anything that is no JSON object, has more than MAX_MEMBERS members, or gives a name twice (the provider might
    read the other one).
    """
    raws, text = _decode(_OBJECT, text)
    if len(raws) > MAX_MEMBERS:
        raise InvalidInput(f"more than {MAX_MEMBERS} members in a JSON object: `{len(raws)}`")
    found: dict[str, Span] = {}
    opening = _OPENING.match(text)
    assert opening is not None, "msgspec decoded an object"
    at = opening.end()
    while (name := _NAME.match(text, at)) is not None:
        key = msgspec.json.decode(name[1], type=str)
        raw, start = bytes(raws[key]), name.end()
        # msgspec keeps the last of two equal names; its value then isn't what stands at the first.
        if key in found or not text.startswith(raw, start):
            raise InvalidInput(f"a member is given twice: `{key[:64]}`")
        found[key] = Span(name.start(1), start, start + len(raw), raw)
        comma = _COMMA.match(text, start + len(raw))
        if comma is None:
            break
        at = comma.end()
    return found


def edited(text: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """The text with each [start, end) replaced; none of them may overlap."""
    pieces: list[bytes] = []
    at = 0
    for start, end, new in sorted(edits):
        pieces += (text[at:start], new)
        at = end
    pieces.append(text[at:])
    return b"".join(pieces)


def canonical(value: Any) -> bytes:
    """One spelling of a JSON value: compact, names sorted, UTF-8. Raises InvalidInput for nesting beyond the recursion limit."""
    try:
        return msgspec.json.encode(value, order="sorted")
    except RecursionError as error:
        raise InvalidInput("JSON is nested too deeply") from error


def digest(value: Any) -> str:
    """32 hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()[:32]


def an_object(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def a_list(value: object) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def a_text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def a_word(value: object, limit: int = 256) -> str | None:
    """A string cut to `limit` characters, its control characters as U+FFFD; None for an empty one or anything else."""
    return _CONTROL.sub("\ufffd", value[:limit]) if isinstance(value, str) and value else None


def a_count(value: object) -> int | None:
    """The value if it is a whole number from 0 to 2**53, else None; a bool is none."""
    return value if type(value) is int and 0 <= value <= 2**53 else None


def text_of(content: object, between: str = "\n") -> str:
    """The text of a message's content: a string, or the texts of its parts (`text`, `refusal`), joined."""
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else an_object(part).get("text", an_object(part).get("refusal")) for part in a_list(content)]
    return between.join(part for part in parts if isinstance(part, str))


def cut(text: str, pieces: int) -> list[str]:
    """The text in at most `pieces` parts of about one length, none of them empty."""
    count = max(1, min(pieces, len(text)))
    parts = [text[index * len(text) // count : (index + 1) * len(text) // count] for index in range(count)]
    return [part for part in parts if part]
