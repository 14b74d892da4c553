"""Whole answers and streams of both protocols become one neutral answer, and back."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.terms import Answer, Endpoint, ToolCall, Usage
from detent.wire import UNREADABLE, SseReader, answer_body, error_body, error_event, read_answer
from detent.wire.anthropic import read_events as read_message_events
from detent.wire.openai_chat import read_events as read_chat_events

QUICK = settings(max_examples=120, deadline=None, derandomize=True, database=None)
CHAT, MESSAGES = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES


def read(at: Endpoint, body: bytes | dict[str, Any], *, status: int = 200, streamed: bool = False) -> Answer:
    return read_answer(at, status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode(), streamed=streamed)


def transcript(*chunks: object) -> bytes:
    """A stream as providers spell it: unnamed events for OpenAI, named ones where a chunk has a `type`."""
    out = b""
    for chunk in chunks:
        name = f"event: {chunk['type']}\n".encode() if isinstance(chunk, dict) and "type" in chunk else b""
        out += name + b"data: " + (chunk.encode() if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False).encode()) + b"\n\n"
    return out


# ── transcripts as in the wire facts, section 3 ─────────────────────────────────────────────────────────────────────

CHAT_BODY: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "gpt-x-2026-01-01", "service_tier": "default",
    "system_fingerprint": "fp_a",
    "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None,
                 "message": {"role": "assistant", "content": "Hi", "refusal": None}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27,
              "prompt_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 0},
              "completion_tokens_details": {"reasoning_tokens": 3}},
}  # fmt: skip
MESSAGE_BODY: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "stop_details": None,
    "usage": {"input_tokens": 4, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 16,
              "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, "output_tokens": 7,
              "output_tokens_details": {"thinking_tokens": 3}, "service_tier": "standard", "speed": "standard", "inference_geo": "us"},
}  # fmt: skip


def chat_chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **rest: object) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x", "system_fingerprint": "fp_a"}
    return frame | {"choices": choices, "obfuscation": "x1"} | rest


CHAT_STREAM = transcript(
    chat_chunk({"role": "assistant", "content": ""}, usage=None),
    chat_chunk({"content": "Grü"}, usage=None),
    chat_chunk({"content": "ße 😀"}, usage=None),
    chat_chunk({"tool_calls": [{"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}}]}),
    chat_chunk({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q":'}}]}),
    chat_chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}, {"index": 0, "function": {"arguments": '"é"}'}}]}),
    chat_chunk({}, "tool_calls"),
    chat_chunk(usage={"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}),
    "[DONE]",
)
CHAT_STREAMED = Answer(
    text="Grüße 😀", tool_calls=(ToolCall("c1", "f", '{"q":"é"}'), ToolCall("c2", "g", "{}")), finish_reason="tool_calls", model="gpt-x",
    fingerprint="fp_a", usage=Usage(input=20, output=7),
)  # fmt: skip

MESSAGE_STREAM = transcript(
    {"type": "message_start", "message": MESSAGE_BODY | {"content": [], "stop_reason": None}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hidden"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Grü"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "ße 😀"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"cited_text": "x"}}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"q": '}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '"é"}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "t2", "name": "g", "input": {}}},
    {"type": "content_block_stop", "index": 3},
    {"type": "some_event_of_next_year", "x": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 12}},
    {"type": "message_stop"},
)
MESSAGE_STREAMED = Answer(
    text="Grüße 😀", tool_calls=(ToolCall("t1", "f", '{"q": "é"}'), ToolCall("t2", "g", "{}")), finish_reason="tool_use", model="claude-x",
    usage=Usage(input=25, cached=16, output=12),
)  # fmt: skip


def test_a_whole_chat_completion() -> None:
    expected = Answer(
        text="Hi",
        finish_reason="stop",
        model="gpt-x-2026-01-01",
        fingerprint="fp_a",
        usage=Usage(input=20, cached=16, output=7, reasoning=3),
    )
    assert read(CHAT, CHAT_BODY) == expected


def test_a_whole_message_counts_cached_input_as_input() -> None:
    expected = Answer(text="Hi", finish_reason="end_turn", model="claude-x", usage=Usage(input=25, cached=16, output=7, reasoning=3))
    assert read(MESSAGES, MESSAGE_BODY) == expected


def test_streams() -> None:
    assert read(CHAT, CHAT_STREAM, streamed=True) == CHAT_STREAMED
    assert read(MESSAGES, MESSAGE_STREAM, streamed=True) == MESSAGE_STREAMED


@QUICK
@given(
    at=st.sampled_from(Endpoint),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    comment=st.booleans(),
    cuts=st.lists(st.integers(0, 10_000), max_size=60),
)
def test_any_chunking_of_a_transcript_reads_the_same(at: Endpoint, end: bytes, comment: bool, cuts: list[int]) -> None:
    stream, expected = (CHAT_STREAM, CHAT_STREAMED) if at is CHAT else (MESSAGE_STREAM, MESSAGE_STREAMED)
    if comment:
        stream = stream.replace(b"\n\n", b"\n\n: keep-alive\n\n")
    stream = stream.replace(b"\n", end)
    reader = SseReader()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    events = [event for start, stop in itertools.pairwise(edges) for event in reader.feed(stream[start:stop])]
    assert (read_chat_events if at is CHAT else read_message_events)(events) == expected


@pytest.mark.parametrize("at", list(Endpoint))
def test_a_stream_cut_anywhere_is_not_complete_until_its_end_came(at: Endpoint) -> None:
    stream = CHAT_STREAM if at is CHAT else MESSAGE_STREAM
    ends = stream.index(b'"finish_reason": "tool_calls"') if at is CHAT else stream.index(b"event: message_stop")
    ends = stream.index(b"\n\n", ends) + 2
    for cut in range(0, len(stream) + 1, 7):
        answer = read(at, stream[:cut], streamed=True)
        assert (answer.complete, answer.error) == (cut >= ends, None)


def test_done_alone_is_a_proper_end_for_servers_without_a_finish_reason() -> None:
    assert read(CHAT, transcript(chat_chunk({"content": "x"}), "[DONE]"), streamed=True).complete


# ── the first choice, refusals, tools, oddities of servers ──────────────────────────────────────────────────────────


def test_only_the_first_choice_counts() -> None:
    two = [
        {"index": 1, "message": {"content": "no"}, "finish_reason": "length"},
        {"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"},
    ]
    assert read(CHAT, CHAT_BODY | {"choices": two}).text == "yes"
    chunk = chat_chunk() | {"choices": [{"index": 1, "delta": {"content": "no"}}, {"index": 0, "delta": {"content": "yes"}}]}
    assert read(CHAT, transcript(chunk, "[DONE]"), streamed=True).text == "yes"


def test_a_refusal_is_marked_and_its_words_are_the_text() -> None:
    refused = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None, "refusal": "I can't."}}
    answer = read(CHAT, CHAT_BODY | {"choices": [refused]})
    assert (answer.text, answer.refusal, answer.finish_reason) == ("I can't.", True, "stop")
    stream = transcript(
        chat_chunk({"refusal": ""}), chat_chunk({"refusal": "I "}), chat_chunk({"refusal": "can't."}), chat_chunk({}, "stop")
    )
    answer = read(CHAT, stream, streamed=True)
    assert (answer.text, answer.refusal, answer.complete) == ("I can't.", True, True)
    answer = read(
        MESSAGES, MESSAGE_BODY | {"content": [], "stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber"}}
    )
    assert (answer.text, answer.refusal, answer.finish_reason, answer.error) == ("", True, "refusal", None)


def test_tool_arguments_stay_as_they_were_written() -> None:
    raw = b'{"content":[{"type":"tool_use","id":"t","name":"f","input":{ "a":1.0, "b":"\\u00e9", "n":12345678901234567890 }}]}'
    assert read(MESSAGES, raw).tool_calls == (ToolCall("t", "f", '{ "a":1.0, "b":"\\u00e9", "n":12345678901234567890 }'),)
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0'}}
    choice = {"index": 0, "finish_reason": "length", "message": {"content": None, "tool_calls": [call]}}
    assert read(CHAT, CHAT_BODY | {"choices": [choice]}).tool_calls == (ToolCall("c", "f", '{"a": 1.0'),)


def test_a_custom_tools_input_is_its_arguments() -> None:
    choice = {
        "index": 0,
        "message": {"content": None, "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "grep", "input": "a b"}}]},
    }
    assert read(CHAT, CHAT_BODY | {"choices": [choice]}).tool_calls == (ToolCall("c", "grep", "a b"),)


def test_server_tools_are_no_calls_of_the_answer() -> None:
    blocks = [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}}, {"type": "thinking", "thinking": "hm"}]
    answer = read(MESSAGES, MESSAGE_BODY | {"content": [*blocks, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})
    assert (answer.tool_calls, answer.text) == ((), "ab")


def test_fragments_without_an_index_belong_to_the_call_that_an_id_began() -> None:
    def part(**call: object) -> dict[str, Any]:
        return chat_chunk({"tool_calls": [call]})

    stream = transcript(
        part(id="a", function={"name": "f", "arguments": "{"}),
        part(function={"arguments": "}"}),
        part(id="b", function={"name": "g", "arguments": "1"}),
        "[DONE]",
    )
    assert read(CHAT, stream, streamed=True).tool_calls == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "1"))


def test_a_server_that_answers_a_stream_request_with_one_object_is_read() -> None:
    assert read(CHAT, CHAT_BODY, streamed=True).text == "Hi"
    assert read(MESSAGES, MESSAGE_BODY, streamed=True).text == "Hi"


@pytest.mark.parametrize("tokens", [-1, 1.5, "7", True, None, 2**60])
def test_a_count_that_is_none_is_not_known(tokens: object) -> None:
    assert read(CHAT, CHAT_BODY | {"usage": {"prompt_tokens": tokens, "completion_tokens": 7}}).usage == Usage(output=7)


def test_a_cut_off_message_does_not_give_its_first_count_for_its_tokens() -> None:
    answer = read(MESSAGES, transcript({"type": "message_start", "message": MESSAGE_BODY | {"content": []}}), streamed=True)
    assert answer.usage == Usage(input=25, cached=16)


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (429, b'{"error":{"message":"Slow down","type":"rate_limit_error","param":null,"code":"x"}}', "Slow down"),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}', "Overloaded"),
        (400, b'{"detail":"bad"}', "bad"),
        (400, b'{"error":"bad"}', "bad"),
        (503, b"<html>unavailable</html>", "<html>unavailable</html>"),
        (500, b"", "status 500 without a body"),
        (307, b"", "status 307 without a body"),
        (500, b'{"error":{"code":1}}', "an error without a message"),
        (500, b"\xff\x00", "\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("at", list(Endpoint))
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_status_gives_the_providers_words(at: Endpoint, streamed: bool, status: int, body: bytes, error: str) -> None:
    assert read(at, body, status=status, streamed=streamed) == Answer(complete=False, error=error)


@pytest.mark.parametrize("at", list(Endpoint))
def test_an_error_shaped_body_with_status_200_is_an_error(at: Endpoint) -> None:
    assert read(at, error_body(at.dialect, 500, "Broken", "x")) == Answer(complete=False, error="Broken")


@pytest.mark.parametrize("at", list(Endpoint))
def test_an_error_event_ends_a_stream_incomplete(at: Endpoint) -> None:
    stream = CHAT_STREAM if at is CHAT else MESSAGE_STREAM
    whole = CHAT_STREAMED if at is CHAT else MESSAGE_STREAMED
    cut = stream.index(b"\n\n", stream.index("ße".encode())) + 2  # after the last piece of text
    answer = read(at, stream[:cut] + error_event(at, "Upstream died", "upstream_truncated"), streamed=True)
    assert (answer.text, answer.error, answer.complete) == (whole.text, "Upstream died", False)


def test_an_error_after_the_finish_reason_is_still_an_error() -> None:
    answer = read(CHAT, CHAT_STREAM.replace(b"data: [DONE]\n\n", error_event(CHAT, "Late", "x")), streamed=True)
    assert (answer.finish_reason, answer.error, answer.complete) == ("tool_calls", "Late", False)


def test_a_ping_may_be_no_json() -> None:
    assert read(MESSAGES, b"event: ping\ndata:\n\n" + MESSAGE_STREAM, streamed=True) == MESSAGE_STREAMED


def test_an_error_event_may_be_no_json() -> None:
    for at in Endpoint:
        assert read(at, b"event: error\ndata: Overloaded\n\n", streamed=True).error == "Overloaded"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b"{",
        b'{"choices":[]}',
        b'{"choices":[{"index":3}]}',
        b'{"choices":[{"index":0,"message":"x"}]}',
        b'{"content":"Hi"}',
        b'{"content":[{"type":"tool_use","id":"a","id":"b"}],"choices":7}',
        b"\x00",
        b"\xff",
        b"[" * 100_000,
        b'{"content":[' + b"[" * 100_000,
        b"9" * 5000,
    ],
)
@pytest.mark.parametrize("at", list(Endpoint))
def test_a_body_that_is_no_answer_is_unreadable_and_never_raises(at: Endpoint, body: bytes) -> None:
    answer = read(at, body)
    assert not answer.complete
    assert answer.error is not None
    assert answer.error.startswith(UNREADABLE)
    stream = read(at, b"data: " + body.replace(b"\n", b"") + b"\n\n", streamed=True)
    assert not stream.complete


def test_an_answer_of_ten_megabytes_is_read() -> None:
    text = "é\n" * 1_700_000
    for at in Endpoint:
        answer = Answer(text=text, finish_reason="stop", usage=Usage(input=1, output=1))
        assert read(at, answer_body(at, answer, id="i", created=1)).text == text


LEAF = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.sampled_from(["text", "tool_use", "error", "text_delta"])
KEYS = st.sampled_from([
    "choices", "index", "message", "delta", "content", "text", "tool_calls", "function", "custom", "name", "id", "input", "arguments",
    "usage", "prompt_tokens", "error", "type", "content_block", "stop_reason", "refusal", "partial_json", "model",
])  # fmt: skip
ODD = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=14)
TYPES = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error", "ping", "x"]
)


@QUICK
@given(at=st.sampled_from(Endpoint), body=st.dictionaries(KEYS, ODD, max_size=6))
def test_bodies_of_any_shape_never_raise(at: Endpoint, body: dict[str, Any]) -> None:
    assert isinstance(read(at, body), Answer)
    assert isinstance(read(at, {"choices": [body | {"index": 0}], "content": [body]}), Answer)


@QUICK
@given(at=st.sampled_from(Endpoint), events=st.lists(st.tuples(TYPES, st.dictionaries(KEYS, ODD, max_size=6)), max_size=5))
def test_streams_of_any_shape_never_raise(at: Endpoint, events: list[tuple[str, dict[str, Any]]]) -> None:
    stream = transcript(*({"type": kind} | body if at is MESSAGES else {"choices": [body | {"index": 0}]} for kind, body in events))
    assert isinstance(read(at, stream, streamed=True), Answer)


@QUICK
@given(at=st.sampled_from(Endpoint), body=st.binary(max_size=60), status=st.sampled_from([200, 200, 429, 500]), streamed=st.booleans())
def test_bytes_of_any_kind_never_raise(at: Endpoint, body: bytes, status: int, streamed: bool) -> None:
    for tried in (body, b"data: " + body + b"\n\n"):
        answer = read(at, tried, status=status, streamed=streamed)
        assert not (answer.complete and answer.error is not None)
        assert answer.complete is False  # neither sixty random bytes nor an event of them end an answer properly
