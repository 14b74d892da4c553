"""A corpus of answers as providers give them, and as they should not: whole and streamed, of both protocols. Written by hand, as bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mock_upstream import Script, Seen, answer, chunk, stream


def completion(content: str | None = "Hi", **message: Any) -> bytes:
    finish = "tool_calls" if "tool_calls" in message else "stop"
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "atlas-2026-03-01",
        "system_fingerprint": "fp_a",
        "some_future_field": {"kept": [1, 2.50, None]},
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "logprobs": None,
                "message": {"role": "assistant", "content": content, "refusal": None, **message},
            }
        ],
        "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27},
    }
    return json.dumps(body, indent=1).encode()


def message(*blocks: dict[str, Any], stop: str = "end_turn") -> bytes:
    usage = {"input_tokens": 4, "cache_read_input_tokens": 16, "output_tokens": 7, "service_tier": "standard"}
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "atlas", "content": list(blocks), "stop_reason": stop}
    return json.dumps(body | {"stop_sequence": None, "usage": usage}).encode()


TOOL_CALL = [{"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"q": "caf\\u00e9"}'}}]
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": "café"}}


def chunk_of(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "atlas", "choices": [choice], **more}


TEXT = [chunk_of({"role": "assistant", "content": ""}), chunk_of({"content": "Grüß "}), chunk_of({"content": "Gott"}), chunk_of({}, "stop")]
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "find", "arguments": ""}}
CALLS = [
    chunk_of({"role": "assistant", "content": None, "tool_calls": [CALL]}),
    chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": '{"q":'}}]}),
    chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": '"x"}'}}]}),
    chunk_of({}, "tool_calls"),
]  # fmt: skip
USAGE = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}


def chat_events(chunks: list[dict[str, Any]], asked: bool, newline: str = "\n") -> list[bytes]:
    """As OpenAI streams: with `usage` in every chunk, and one chunk more, if usage was asked for."""
    if asked:
        chunks = [item | {"usage": None} for item in chunks] + [chunk_of({}) | {"choices": [], "usage": USAGE}]
    lines = [json.dumps(item, separators=(",", ":"), ensure_ascii=False) for item in chunks] + ["[DONE]"]
    return [f"data: {line}{newline}{newline}".encode() for line in lines]


def message_events(newline: str = "\n", blocks: tuple[str, ...] = ("text",)) -> list[bytes]:
    events: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": json.loads(message()) | {"stop_reason": None, "usage": {"input_tokens": 4, "output_tokens": 1}},
        },
        {"type": "ping"},
    ]
    for index, kind in enumerate(blocks):
        start = {"type": "text", "text": ""} if kind == "text" else TOOL_USE | {"input": {}}
        delta = (
            {"type": "text_delta", "text": "Grüß Gott"} if kind == "text" else {"type": "input_json_delta", "partial_json": '{"q": "x"}'}
        )
        events += [
            {"type": "content_block_start", "index": index, "content_block": start},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    events += [
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    return [f"event: {e['type']}{newline}data: {json.dumps(e, ensure_ascii=False)}{newline}{newline}".encode() for e in events]


def singly(pieces: list[bytes]) -> list[bytes]:
    """One byte at a time."""
    return [bytes([byte]) for piece in pieces for byte in piece]


def failing(status: int, kind: str = "invalid_request_error", **headers: str) -> tuple[Script, Script]:
    """The same failure as each of the two providers says it."""
    openais = {"error": {"message": f"no: {kind}", "type": kind, "param": None, "code": "some_code"}}
    anthropics = {"type": "error", "error": {"type": kind, "message": f"no: {kind}"}, "request_id": "req_1"}
    return (answer(json.dumps(openais).encode(), status, **headers), answer(json.dumps(anthropics).encode(), status, **headers))


FAILURES = {
    "400": failing(400),
    "401": failing(401, "authentication_error"),
    "404": failing(404, "not_found_error"),
    "413": failing(413, "request_too_large"),
    "429": failing(429, "rate_limit_error", retry_after="300", x_ratelimit_remaining_requests="0"),
    "500": failing(500, "api_error", x_should_retry="false"),
    "529": failing(529, "overloaded_error"),
    "html 503": (answer(b"<html>Bad day</html>", 503, "text/html"),) * 2,
    "html 200": (answer(b"<html>All is well</html>", 200, "text/html"),) * 2,
    "broken json": (answer(b'{"id": "chatcmpl-1", "choi'),) * 2,
    "error in a 200": (answer(b'{"error": {"message": "odd", "type": "x"}}'),) * 2,
    "no content": ([b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"],) * 2,
}

CHAT: dict[str, Script] = {
    "text": answer(completion()),
    "tools": answer(completion(None, tool_calls=TOOL_CALL)),
    "structured": answer(completion('{"city": "Linz", "people": 210000}')),
    "refusal": answer(completion(None, refusal="I can't")),
    "large": answer(completion("x" * 5_000_000)),
    "chunked": [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        *(chunk(piece) for piece in (completion()[:40], completion()[40:])),
        b"0\r\n\r\n",
    ],
} | {name: scripts[0] for name, scripts in FAILURES.items()}

MESSAGES: dict[str, Script] = {
    "text": answer(message({"type": "text", "text": "Hi"})),
    "tools": answer(message({"type": "text", "text": "Let me look"}, TOOL_USE, stop="tool_use")),
    "refusal": answer(message(stop="refusal")),
    "unknown block": answer(message({"type": "hologram", "data": "zz"})),
    "large": answer(message({"type": "text", "text": "x" * 5_000_000})),
} | {name: scripts[1] for name, scripts in FAILURES.items()}


@dataclass(frozen=True)
class Streamed:
    """A scripted stream; `events` says what it holds, depending on whether usage was asked for."""

    chunks: list[dict[str, Any]]
    newline: str = "\n"
    one_byte: bool = False
    usage: bool = False
    front: tuple[bytes, ...] = ()
    tail: tuple[bytes, ...] = ()
    keep: int | None = None

    def script(self, seen: Seen) -> Script:
        asked = bool((seen.json.get("stream_options") or {}).get("include_usage"))
        pieces = chat_events(self.chunks, asked, self.newline)[: self.keep]
        return stream(*self.front, *(singly(pieces) if self.one_byte else pieces), *self.tail)


ERROR_EVENT = b'data: {"error": {"message": "overloaded", "type": "server_error", "code": null, "param": null}}\n\n'
EMBEDDINGS = json.dumps(
    {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
        "model": "m",
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
).encode()
CHAT_STREAMS = {
    "text": Streamed(TEXT),
    "tools": Streamed(CALLS),
    "asked for usage": Streamed(TEXT, usage=True),
    "one byte at a time": Streamed(TEXT, one_byte=True),
    "crlf": Streamed(TEXT, newline="\r\n"),
    "crlf, one byte at a time": Streamed(TEXT, newline="\r\n", one_byte=True),
    "comments": Streamed(TEXT, front=(b": keep-alive\n\n", b": usage\n\n")),
    "error in mid-stream": Streamed(TEXT, keep=2, tail=(ERROR_EVENT,)),
    "no [DONE]": Streamed(TEXT, keep=4),
    "broken event": Streamed(TEXT, keep=2, tail=(b"data: {nonsense\n\n",)),
}

ANTHROPIC_ERROR = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
MESSAGE_STREAMS: dict[str, Script] = {
    "text": stream(*message_events()),
    "tools": stream(*message_events(blocks=("text", "tool"))),
    "one byte at a time": stream(*singly(message_events())),
    "crlf": stream(*message_events("\r\n")),
    "unknown event": stream(*message_events()[:2], b'event: aurora\ndata: {"type": "aurora"}\n\n', *message_events()[2:]),
    "error in mid-stream": stream(*message_events()[:4], ANTHROPIC_ERROR),
    "error at once": stream(ANTHROPIC_ERROR),
}
