"""The wire: bytes in, heads, prompts and answers out; one module per dialect, and one table here that picks among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from detent.errors import InvalidInput
from detent.terms import Answer, Endpoint, Prompt
from detent.wire import anthropic, openai_chat
from detent.wire.bound import Marks, Unbound, may_be_bound, unbound
from detent.wire.failures import error_body, error_event, failure_text
from detent.wire.head import dialect, endpoint, prompt_key, read_head
from detent.wire.identity import Headers
from detent.wire.rewrite import UsageFilter, rewrite, unstreamed
from detent.wire.sse import SseEvent, SseReader, parse_sse

__all__ = [
    "UNREADABLE",
    "Headers",
    "Marks",
    "SseEvent",
    "SseReader",
    "Unbound",
    "UsageFilter",
    "answer_body",
    "answer_stream",
    "dialect",
    "endpoint",
    "error_body",
    "error_event",
    "may_be_bound",
    "parse_sse",
    "prompt_key",
    "read_answer",
    "read_head",
    "read_prompt",
    "rewrite",
    "unbound",
    "unstreamed",
]

UNREADABLE = "unreadable answer: "
"""How the error of an answer begins that could not be read; every other error is the provider's own."""


class _Codec(Protocol):
    """What the module of an endpoint offers."""

    def read_prompt(self, body: bytes) -> Prompt: ...
    def read_body(self, body: bytes) -> Answer: ...
    def read_events(self, events: Iterable[SseEvent]) -> Answer: ...
    def write_body(self, answer: Answer, *, id: str, created: int) -> bytes: ...
    def write_stream(self, answer: Answer, *, id: str, created: int, include_usage: bool, pieces: int) -> list[bytes]: ...


_CODECS: dict[Endpoint, _Codec] = {Endpoint.OPENAI_CHAT: openai_chat, Endpoint.ANTHROPIC_MESSAGES: anthropic}


def read_prompt(endpoint: Endpoint, body: bytes) -> Prompt:
    """A request in neutral form. Raises InvalidInput for a body that is no JSON object with a list `messages`."""
    return _CODECS[endpoint].read_prompt(body)


def read_answer(endpoint: Endpoint, *, status: int, body: bytes, streamed: bool) -> Answer:
    """A whole body, or the whole transcript of a stream, in neutral form. Never raises.

    An answer with an `error` is not complete: the provider's error (error status, error body, error event), or one that begins with
    UNREADABLE for bytes that are no answer of this endpoint.
    """
    if not 200 <= status < 300:
        return Answer(complete=False, error=failure_text(body, f"status {status} without a body"))
    codec = _CODECS[endpoint]
    try:
        # A server that doesn't stream answers a streaming request with one object.
        if streamed and not body.lstrip().startswith(b"{"):
            return codec.read_events(parse_sse(body))
        return codec.read_body(body)
    except InvalidInput as error:
        return Answer(complete=False, error=UNREADABLE + error.message)


def answer_body(endpoint: Endpoint, answer: Answer, *, id: str, created: int) -> bytes:
    """The body that reads back as this answer. A missing finish_reason becomes the usual one. Raises InvalidInput for an incomplete answer
    and for what the protocol can't say (Anthropic: arguments that are no JSON object).
    """
    if not answer.complete or answer.error is not None:
        raise InvalidInput(f"an incomplete answer has no body: `{answer.error}`")
    return _CODECS[endpoint].write_body(answer, id=id, created=created)


def answer_stream(endpoint: Endpoint, answer: Answer, *, id: str, created: int, include_usage: bool, pieces: int) -> list[bytes]:
    """The events that read back as this answer, text and arguments in at most `pieces` deltas each; an incomplete one breaks off or ends
    with its error event. `include_usage` is OpenAI's; Anthropic always says its usage.
    """
    return _CODECS[endpoint].write_stream(answer, id=id, created=created, include_usage=include_usage, pieces=pieces)
