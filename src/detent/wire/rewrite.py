"""What Detent changes in the bytes of a managed route: the version in place of the name, usage asked for and taken out again, and the
cache key of a control slice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from detent.errors import InvalidInput
from detent.terms import Endpoint
from detent.wire import json_text
from detent.wire.json_text import Span
from detent.wire.sse import Blocks

_ASK = b'"include_usage":true'
_HOLD = 1 << 20


def rewrite(endpoint: Endpoint, body: bytes, *, model: str, ask_usage: bool, cache_key: Callable[[str], str] | None = None) -> bytes:
    """The body with another top-level `model`, and with `stream_options.include_usage` true where `ask_usage` is set and a streaming
    OpenAI chat request did not ask itself. Every other byte stays. Raises InvalidInput where `read_head` would.

    `cache_key` maps the app's own `prompt_cache_key` (empty without one) to what is sent in its place. Only OpenAI has such a key.
    """
    found = json_text.spans(body)
    if "model" not in found:
        raise InvalidInput("the body has no member `model`")
    edits = [(found["model"].start, found["model"].end, msgspec.json.encode(model))]
    streams = "stream" in found and found["stream"].raw == b"true"
    if ask_usage and streams and endpoint is Endpoint.OPENAI_CHAT:
        edits += _ask_usage(found)
    if cache_key is not None and endpoint is Endpoint.OPENAI_CHAT:
        edits += _cache_key(found, cache_key)
    return json_text.edited(body, edits)


def unstreamed(body: bytes) -> bytes:
    """The same request asking for a whole answer: `stream` false, `stream_options` null. Raises InvalidInput."""
    found = json_text.spans(body)
    edits = []
    if "stream" in found:
        edits.append((found["stream"].start, found["stream"].end, b"false"))
    if "stream_options" in found:
        edits.append((found["stream_options"].start, found["stream_options"].end, b"null"))
    return json_text.edited(body, edits)


def _cache_key(found: dict[str, Span], cache_key: Callable[[str], str]) -> list[tuple[int, int, bytes]]:
    own = found.get("prompt_cache_key")
    value: Any = json_text.load(own.raw) if own is not None else None
    if own is None:
        at = found["model"].name
        return [(at, at, b'"prompt_cache_key":' + msgspec.json.encode(cache_key("")) + b",")]
    if value is not None and not isinstance(value, str):
        return []  # the provider says what is wrong with it
    return [(own.start, own.end, msgspec.json.encode(cache_key(value or "")))]


def _ask_usage(found: dict[str, Span]) -> list[tuple[int, int, bytes]]:
    options = found.get("stream_options")
    if options is None:
        end = max(span.end for span in found.values())
        return [(end, end, b',"stream_options":{' + _ASK + b"}")]
    if options.raw == b"null":
        return [(options.start, options.end, b"{" + _ASK + b"}")]
    if not options.raw.startswith(b"{"):
        return []  # the provider says what is wrong with it
    inside = json_text.spans(options.raw)
    if not inside:
        return [(options.start, options.end, b"{" + _ASK + b"}")]
    asked = inside.get("include_usage")
    if asked is not None:
        return [(options.start + asked.start, options.start + asked.end, b"true")]
    end = options.start + max(span.end for span in inside.values())
    return [(end, end, b"," + _ASK)]


class UsageFilter:
    """Takes out of an OpenAI chat stream what asking for usage put in: the extra chunk (`choices` empty, with `usage`) and `"usage":null`.

    The bytes given out don't depend on the chunking. At most one unfinished event is held back, and never more than 1 MiB of it; what isn't
    understood passes untouched. Never raises.
    """

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._passing = False
        self._dropped_at_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """What the client may see after this chunk; often empty."""
        out: list[bytes] = []
        for block in self._blocks.feed(chunk):
            if self._dropped_at_cr and block == b"\n":
                self._dropped_at_cr = False
                continue
            kept, dropped = (block, False) if self._passing or len(block) > _HOLD else _without_usage(block)
            self._passing = False
            self._dropped_at_cr = dropped and block.endswith(b"\r")
            out.append(kept)
        if len(self._blocks) > _HOLD:
            out.append(self._blocks.release())
            self._passing = True
        return b"".join(out)

    def close(self) -> bytes:
        """What was held back, at the end of the stream."""
        rest = self._blocks.release()
        return rest if self._passing or len(rest) > _HOLD else _without_usage(rest)[0]


def _without_usage(block: bytes) -> tuple[bytes, bool]:
    """What stays of a block, and whether its event is gone (a comment in it stays)."""
    if b'"usage"' not in block:
        return block, False
    lines = block.splitlines(keepends=True)
    data = [index for index, line in enumerate(lines) if line.startswith(b"data:")]
    if len(data) != 1:
        return block, False
    line = lines[data[0]]
    try:
        found = json_text.spans(line[5:])
    except InvalidInput:
        return block, False
    usage, choices = found.get("usage"), found.get("choices")
    if usage is None:
        return block, False
    if usage.raw == b"null":
        start, end = _member(found)
        lines[data[0]] = line[: 5 + start] + line[5 + end :]
        return b"".join(lines), False
    if usage.raw.startswith(b"{") and choices is not None and not choices.raw.strip(b"[] \t\r\n"):
        return b"".join(line for line in lines if line.startswith(b":")), True
    return block, False


def _member(found: dict[str, Span]) -> tuple[int, int]:
    """From where to where to cut `usage` out, with the comma that came with it."""
    order = list(found)
    at = order.index("usage")
    usage = found["usage"]
    if at > 0:
        return found[order[at - 1]].end, usage.end
    return usage.name, found[order[1]].name if len(order) > 1 else usage.end
