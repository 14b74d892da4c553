"""What a leg's bytes say, once it has ended: outcome, tokens, tool calls, whether the JSON that was asked for came.

Read from the tee, in one go, after the last byte went out. Never raises: an answer that can't be read is a result as well, and None where
nothing is known.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from detent import wire
from detent.diff import language
from detent.errors import InvalidInput
from detent.terms import Answer, Endpoint, Outcome, Prompt, Result, Usage
from detent.wire.sse import SseEvent, write_event

ERROR_CHARS = 500
_CUT_AT = (300, 500)
"""Where `wire` cuts an error's text: one of exactly that length may end in the first half of a key, which nothing would know for one."""

RAW_CHARS = 8_000
"""How much is kept of an answer that could not be read, for who looks into it."""

READ_BYTES = 8 * 1024 * 1024
"""Bodies above this are neither collected nor read: one answer must not hold up all others for the time its parse takes."""


LANGUAGE_CHARS = 300
"""How much of the user's words tells their language: it is read in the gateway's loop, between others' requests, in 40 µs."""

UNREAD = "not read, for a defect in reading"

_DECODER = msgspec.json.Decoder(Answer)
_ANY = msgspec.json.Decoder(msgspec.Raw)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the rim saw of one leg, unread. `body` is None beyond the tee's cap; `broke` is None where the HTTP message came whole.

    `at_us` is when it ended; the two durations count from when the leg was sent.
    """

    at_us: int
    latency_s: float
    first_byte_s: float | None = None
    status: int | None = None
    content_type: str = ""
    encoding: str = ""
    body: bytes | None = b""
    broke: Outcome | None = None
    error: str | None = None

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream of server-sent events."""
        return self.content_type.startswith("text/event-stream")

    @property
    def refused(self) -> bool:
        """Whether the provider's status is no answer."""
        return self.status is not None and self.status >= 400


def unread(heard: Heard, leg: str) -> Result:
    """The result of a leg when reading it failed by a defect of ours: what is known without its bytes, and no text at all."""
    return Result(
        leg=leg,
        at_us=heard.at_us,
        outcome=_unread_outcome(heard),
        status=heard.status,
        latency_s=heard.latency_s,
        first_byte_s=heard.first_byte_s,
        error=UNREAD,
    )


def read(endpoint: Endpoint, request: bytes, heard: Heard, leg: str) -> tuple[Result, Answer]:
    """The result of a leg, without bodies, and its answer as it may be kept once redacted; one that could not be read has its raw text."""
    prompt = _prompt(endpoint, request)
    body = plain(heard.body, heard.encoding)
    answer: Answer | None = None
    outcome, error = _unread_outcome(heard), heard.error
    if heard.status is not None and body:
        answer = wire.read_answer(endpoint, status=heard.status, body=body, streamed=heard.streamed)
        outcome = _outcome(outcome, answer)
        error = None if outcome is Outcome.COMPLETE else _whole_words(error or answer.error or "") or None
    elif body == b"" and outcome is Outcome.COMPLETE:
        outcome, error = Outcome.MALFORMED, "the answer is empty"
    elif body is None and heard.body is not None:
        error = error or f"the answer is too large to read, or in an encoding that is not read: `{heard.encoding}`"
        if outcome is Outcome.COMPLETE and heard.encoding not in ("", "identity"):
            outcome = Outcome.MALFORMED  # none was asked for: what nobody can read is no success
    full = answer if outcome is Outcome.COMPLETE else None
    result = Result(
        leg=leg,
        at_us=heard.at_us,
        outcome=outcome,
        status=heard.status,
        finish_reason=None if answer is None else answer.finish_reason,
        answered_model=None if answer is None else answer.model,
        fingerprint=None if answer is None else answer.fingerprint,
        usage=Usage() if full is None else full.usage,
        latency_s=heard.latency_s,
        first_byte_s=heard.first_byte_s,
        step=None if prompt is None else prompt.step,
        tools_called=() if full is None else tuple(call.name for call in full.tool_calls),
        repeats_call=None if full is None or prompt is None else repeats_call(prompt, full),
        unknown_tool=None if full is None or prompt is None else unknown_tool(prompt, full),
        parse=None if full is None or prompt is None else parse(prompt, full),
        refusal=None if full is None else full.refusal,
        answer_chars=None if answer is None or heard.refused else len(answer.text),
        language=None if prompt is None else language_of(prompt),
        error=error,
    )
    return result, _to_keep(endpoint, heard, body, answer, error)


def _to_keep(endpoint: Endpoint, heard: Heard, body: bytes | None, answer: Answer | None, error: str | None) -> Answer:
    """The answer; of one that was not read, or is an error, what there is of its text."""
    if answer is None:
        return Answer(complete=False, error=error or "no answer")
    if answer.error is None:
        return answer
    said = _whole_words(answer.error)
    if answer.text or body is None:
        return replace(answer, complete=False, error=said)
    if heard.streamed and not body.lstrip().startswith(b"{"):
        return replace(_before_the_fault(endpoint, body), complete=False, error=said)
    return replace(answer, text=_raw(body), complete=False, error=said)


def _before_the_fault(endpoint: Endpoint, body: bytes) -> Answer:
    """A stream with events that are no JSON, read without them. Its raw bytes are never kept: a key may stand in two of them, in halves."""
    sound = [event for event in wire.parse_sse(body) if _is_json(event)]
    return wire.read_answer(endpoint, status=200, body=b"".join(write_event(e.data.encode(), e.event) for e in sound), streamed=True)


def _is_json(event: SseEvent) -> bool:
    try:
        return isinstance(json.loads(event.data), dict)
    except (ValueError, RecursionError):
        return False


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/]))")


def _raw(body: bytes) -> str:
    """Bytes as text. In a piece of JSON that is none as a whole, `\\u0040` is an at sign to who looks for addresses."""
    text = body.decode("utf-8", "replace")
    try:
        _ANY.decode(body)
    except (ValueError, RecursionError):
        return _ESCAPE.sub(lambda found: found[2] or _letter(found[1]), text)
    return text


def _letter(digits: str) -> str:
    code = int(digits, 16)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)


def _whole_words(error: str) -> str:
    """An error's text without the word that it was cut in."""
    if len(error) <= ERROR_CHARS and len(error) not in _CUT_AT:
        return error
    return error[:ERROR_CHARS].rstrip(_WORD) or "..."


_WORD = "".join(map(chr, range(0x21, 0x7F))).translate(dict.fromkeys(map(ord, "\"'`,;<>(){}[]")))


# ── kept answers ────────────────────────────────────────────────────────────────────────────────────────────────────


def keep(answer: Answer) -> bytes:
    """The bytes that `kept_answer` reads back. Give it only what is redacted; the raw text of an answer that was not read is cut here."""
    return _ENCODER.encode(answer if answer.complete or answer.error is None else replace(answer, text=answer.text[:RAW_CHARS]))


def kept_answer(body: bytes) -> Answer | None:
    """The answer in a record's `answer_body`; None for bytes that are none: no body was kept, or it is of a store from before redaction."""
    if not body.startswith(b'{"text":'):
        return None  # any JSON object would read as an answer: all its members may be missing
    try:
        return _DECODER.decode(body)
    except (ValueError, RecursionError):
        return None


def is_page(content_type: str) -> bool:
    """Whether this is a web page, as a proxy or a login in the provider's place sends with a good status: no API answers with one."""
    return content_type.lower().startswith(("text/html", "application/xhtml"))


def whole(endpoint: Endpoint, heard: Heard) -> bool:
    """Whether a stream came to its proper end (or error) by its own words: asked where HTTP can't tell an end from a break."""
    body = plain(heard.body, heard.encoding)
    if not heard.streamed or body is None:
        return True
    answer = wire.read_answer(endpoint, status=200, body=body, streamed=True)
    return answer.complete or (answer.error is not None and not answer.error.startswith(wire.UNREADABLE))


def parse(prompt: Prompt, answer: Answer) -> Literal["ok", "invalid", "keys_missing"] | None:
    """Whether an app that asked for JSON can read the answer: the whole text, as it stands; None where it asked for none.

    A tool call or a refusal in place of text says nothing about it; those have metrics of their own.
    """
    if not prompt.json_asked or answer.refusal or (answer.tool_calls and not answer.text):
        return None
    try:
        value = json.loads(answer.text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return "invalid"
    required = (prompt.schema or {}).get("required")
    if isinstance(required, list) and required and not (isinstance(value, dict) and all(key in value for key in required)):
        return "keys_missing"
    return "ok"


def repeats_call(prompt: Prompt, answer: Answer) -> bool:
    """Whether the answer makes a tool call again: with the same arguments, or, whatever the arguments, after the tool's last result was an
    error.
    """
    if not answer.tool_calls:
        return False
    before = {(call.name, canonical(call.arguments)) for message in prompt.messages for call in message.tool_calls}
    failed = _failed_tools(prompt)
    return any(call.name in failed or (call.name, canonical(call.arguments)) in before for call in answer.tool_calls)


def _failed_tools(prompt: Prompt) -> set[str]:
    """The tools whose last results were errors; of several calls at once, one that failed is enough."""
    failed: set[str] = set()
    if not any(message.failed for message in prompt.messages):
        return failed
    names: dict[str, str] = {}
    for message in prompt.messages:
        names |= {call.id: call.name for call in message.tool_calls}
        failed -= {call.name for call in message.tool_calls}
        if message.failed and (name := names.get(message.tool_result_for or "")):
            failed.add(name)
    return failed


def unknown_tool(prompt: Prompt, answer: Answer) -> bool:
    """Whether the answer calls a tool that the request does not offer."""
    return any(call.name not in prompt.tools for call in answer.tool_calls)


def language_of(prompt: Prompt) -> str | None:
    """The language of the user's last words, by its ISO 639-1 code; None where it can't be told."""
    words = next((message.text for message in reversed(prompt.messages) if message.role == "user"), "")
    return language.of(words[:LANGUAGE_CHARS])


def canonical(arguments: str) -> str:
    """JSON text in one spelling: keys sorted, no spaces; text that is no JSON as it stands."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return arguments.strip()


def plain(body: bytes | None, encoding: str) -> bytes | None:
    """A body without its content encoding; None where it is unknown, broken or larger than we read."""
    if body is None or len(body) > READ_BYTES:
        return None
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        return None
    try:
        return b"".join(_inflated(body))
    except (zlib.error, OverflowError):
        return None


def _inflated(body: bytes) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=47)  # 32 + 15: gzip or zlib, whichever the header says
    yield inflate.decompress(body, READ_BYTES)
    if inflate.unconsumed_tail:
        raise OverflowError("the answer unpacks to more than is read")


def _prompt(endpoint: Endpoint, request: bytes) -> Prompt | None:
    if len(request) > READ_BYTES:
        return None
    try:
        return wire.read_prompt(endpoint, request)
    except (InvalidInput, RecursionError):
        return None


def _unread_outcome(heard: Heard) -> Outcome:
    return heard.broke or (Outcome.HTTP_ERROR if heard.refused else Outcome.COMPLETE)


def _outcome(so_far: Outcome, answer: Answer) -> Outcome:
    if so_far is Outcome.CLIENT_ABORTED and answer.complete and answer.error is None:
        return Outcome.COMPLETE  # many clients hang up on the last event, without waiting for the end of the HTTP message
    if so_far is not Outcome.COMPLETE:
        return so_far
    if answer.error is not None:
        return Outcome.MALFORMED if answer.error.startswith(wire.UNREADABLE) else Outcome.ERROR_EVENT
    return Outcome.COMPLETE if answer.complete else Outcome.UPSTREAM_TRUNCATED


def _no_constant(name: str) -> Any:
    raise ValueError(f"no JSON: `{name}`")
