"""What in a replayed history is bound to the version that wrote it: Anthropic's signed thinking, and ids of containers.

Another version can't read it, and its provider may refuse the request for it. Taken out, the request says the same words; byte by byte all
else stays. One thing cannot be taken out: while thinking is on, an assistant's turn whose tool calls are being answered has to begin with
its thinking ("When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of
`tool_use` and `tool_result` blocks)", says the API; adaptive thinking has no such rule).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from detent.errors import InvalidInput
from detent.terms import Endpoint
from detent.wire import json_text
from detent.wire.json_text import Span, a_text, an_object

_THINKING = ("thinking", "redacted_thinking")
_TELLTALE = (b"signature", b"redacted_thinking", b"container")


class Marks(NamedTuple):
    """What was left out last, so that what comes after it is known for another version's own: a signed part, and a container's id."""

    signed: int | None = None
    container: str | None = None


class Unbound(NamedTuple):
    """A request that another version can read; `body` is None where there is no such, and `marks` None where nothing had to be left out."""

    body: bytes | None
    marks: Marks | None


class _Block(msgspec.Struct):
    type: Any = None
    signature: Any = None
    data: Any = None
    caller: Any = None


class _Turn(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = msgspec.Raw(b"")


_TURNS = msgspec.json.Decoder(list[_Turn])
_BLOCKS = msgspec.json.Decoder(list[_Block])


def may_be_bound(endpoint: Endpoint, body: bytes) -> bool:
    """Whether a request may hold anything that is bound to a version: a look for words, which are also there where none of it is."""
    return endpoint is Endpoint.ANTHROPIC_MESSAGES and any(word in body for word in _TELLTALE)


def unbound(endpoint: Endpoint, body: bytes, former: Marks | None = None) -> Unbound:
    """The request without what is bound to the version that wrote its history; `former` are the marks of the last time it was asked for.

    Never raises: a history that cannot be read cannot be made fit for another version either.
    """
    if not may_be_bound(endpoint, body):
        return Unbound(body, None)
    try:
        return _unbound(body, former)
    except (InvalidInput, msgspec.MsgspecError, RecursionError):
        return Unbound(None, None)


def _unbound(body: bytes, former: Marks | None) -> Unbound:
    found = json_text.spans(body)
    container, edits = _container(found.get("container"), former)
    messages = found.get("messages")
    turns = [] if messages is None else _TURNS.decode(json_text.masked(messages.raw))
    blocks = [_BLOCKS.decode(turn.content) if turn.role == "assistant" and bytes(turn.content).startswith(b"[") else [] for turn in turns]
    if max(len(turns), sum(map(len, blocks))) > json_text.MAX_MESSAGES:
        return Unbound(None, None)  # no provider reads so many, and they would hold up everybody else's bytes
    foreign = [[block.type in _THINKING for block in of_turn] for of_turn in blocks]
    if former is not None:
        _keep_own(blocks, foreign, former.signed)
    bound = [_mark(b) for of, out in zip(blocks, foreign, strict=True) for b, is_out in zip(of, out, strict=True) if is_out]
    signed = bound[-1] if bound else None
    if signed is None and container is None:
        return Unbound(body, None)
    last = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=None)
    if last is not None and _pending(turns, blocks, last):
        thinks = an_object(json_text.load(found["thinking"].raw)).get("type") == "enabled" if "thinking" in found else False
        if thinks and any(foreign[last]):
            return Unbound(None, None)
        if container is not None and any(an_object(block.caller).get("type", "direct") != "direct" for block in blocks[last]):
            return Unbound(None, None)
    if messages is not None and signed is not None:
        edits += [(messages.start + start, messages.start + end, b"") for start, end in _cuts(messages.raw, foreign)]
    kept = former or Marks()
    body = json_text.edited(body, edits)
    return Unbound(body, Marks(kept.signed if signed is None else signed, kept.container if container is None else container))


def _mark(block: _Block) -> int:
    return hash((block.type, a_text(block.signature) or a_text(block.data)))


def _keep_own(blocks: list[list[_Block]], foreign: list[list[bool]], signed: int | None) -> None:
    """What comes after the part that was left out last is of the version that the run went on with; without that part, all of it is."""
    places = [(i, j) for i, of in enumerate(blocks) for j in range(len(of))]
    last = max((n for n, (i, j) in enumerate(places) if foreign[i][j] and _mark(blocks[i][j]) == signed), default=-1)
    for i, j in places[last + 1 :]:
        foreign[i][j] = False


def _pending(turns: list[_Turn], blocks: list[list[_Block]], last: int) -> bool:
    """Whether the last assistant's turn is still being answered: its tools' results follow, or it is itself to be gone on with."""
    if last == len(turns) - 1:
        return True
    return any(block.type == "tool_use" for block in blocks[last])


def _cuts(messages: bytes, foreign: list[list[bool]]) -> list[tuple[int, int]]:
    """Where to cut in the text of the messages. A turn of which nothing stays goes as a whole: none may be empty."""
    turns = json_text.places(messages)
    found = _without(turns, [bool(out) and all(out) for out in foreign])
    for (start, end), out in zip(turns, foreign, strict=True):
        if any(out) and not all(out):
            content = json_text.spans(messages[start:end])["content"]
            at = start + content.start
            found += [(at + s, at + e) for s, e in _without(json_text.places(content.raw), out)]
    return found


def _without(places: list[tuple[int, int]], out: list[bool]) -> list[tuple[int, int]]:
    """Where to cut so that these elements of an array are gone, each with one comma."""
    if all(out):
        return [(places[0][0], places[-1][1])] if places else []
    cuts, kept = [], False
    for i, (start, end) in enumerate(places):
        if out[i]:
            cuts.append((places[i - 1][1], end) if kept else (start, places[i + 1][0]))
        kept = kept or not out[i]
    return cuts


def _container(span: Span | None, former: Marks | None) -> tuple[str | None, list[tuple[int, int, bytes]]]:
    """The id of a container that is another version's, and the edit that leaves it out."""
    if span is None:
        return None, []
    value = json_text.load(span.raw)
    named = a_text(value) or a_text(an_object(value).get("id"))
    if not named or (former is not None and former.container != named):
        return None, []
    if isinstance(value, str):
        return named, [(span.start, span.end, b"null")]
    inside = json_text.spans(span.raw)["id"]
    return named, [(span.start + inside.start, span.start + inside.end, b"null")]
