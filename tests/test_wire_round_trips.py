"""What Detent writes for the simulator and the baseline reads back as the answer that it was written from."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.errors import InvalidInput
from detent.terms import Answer, Endpoint, ToolCall, Usage
from detent.wire import answer_body, answer_stream, read_answer

QUICK = settings(max_examples=120, deadline=None, derandomize=True, database=None)
CHAT, MESSAGES = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES


def read(at: Endpoint, body: bytes, *, streamed: bool = False) -> Answer:
    return read_answer(at, status=200, body=body, streamed=streamed)


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
COUNTS = st.integers(0, 100_000)
INPUTS = st.dictionaries(
    st.text(max_size=4), st.integers() | st.text(max_size=6) | st.lists(st.floats(allow_nan=False, allow_infinity=False)), max_size=3
)
SPELLINGS = st.sampled_from([{}, {"indent": 2}, {"ensure_ascii": False}, {"separators": (",", ":")}])
ARGUMENTS = st.builds(lambda value, spelling: json.dumps(value, **spelling), INPUTS, SPELLINGS)
CALLS = st.lists(st.builds(ToolCall, WORDS, WORDS, ARGUMENTS), max_size=3).map(tuple)
CHAT_USAGE = st.just(Usage()) | st.builds(Usage, input=COUNTS, output=COUNTS, cached=st.none() | COUNTS, reasoning=st.none() | COUNTS)
MESSAGE_USAGE = CHAT_USAGE.map(lambda usage: replace(usage, input=usage.input + (usage.cached or 0)) if usage.input is not None else usage)
CHAT_ANSWERS = st.builds(
    Answer, text=st.text(max_size=30), tool_calls=CALLS, finish_reason=st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    refusal=st.booleans(), model=st.none() | WORDS, fingerprint=st.none() | WORDS, usage=CHAT_USAGE,
).map(lambda answer: replace(answer, refusal=answer.refusal and bool(answer.text)))  # fmt: skip
MESSAGE_ANSWERS = st.builds(
    Answer, text=st.text(max_size=30), tool_calls=CALLS,
    finish_reason=st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", "pause_turn"]),
    model=st.none() | WORDS, usage=MESSAGE_USAGE,
).map(lambda answer: replace(answer, refusal=answer.finish_reason == "refusal"))  # fmt: skip
ANSWERS = st.tuples(st.just(CHAT), CHAT_ANSWERS) | st.tuples(st.just(MESSAGES), MESSAGE_ANSWERS)


@QUICK
@given(case=ANSWERS, pieces=st.integers(1, 9), include_usage=st.booleans())
def test_an_answer_survives_being_written_and_read(case: tuple[Endpoint, Answer], pieces: int, include_usage: bool) -> None:
    at, answer = case
    assert read(at, answer_body(at, answer, id="i", created=1)) == answer
    events = answer_stream(at, answer, id="i", created=1, include_usage=include_usage, pieces=pieces)
    expected = answer if include_usage or at is MESSAGES else replace(answer, usage=Usage())
    assert read(at, b"".join(events), streamed=True) == expected
    assert all(event.endswith(b"\n\n") and event.count(b"\n\n") == 1 for event in events)


@QUICK
@given(case=ANSWERS, error=st.none() | WORDS)
def test_an_incomplete_answer_survives_as_a_stream_that_breaks_off(case: tuple[Endpoint, Answer], error: str | None) -> None:
    at, whole = case
    usage = Usage(input=whole.usage.input, cached=whole.usage.cached) if at is MESSAGES else Usage()
    refusal = whole.refusal and at is CHAT
    answer = replace(whole, complete=False, error=error, finish_reason=None, usage=usage, refusal=refusal)
    events = answer_stream(at, answer, id="i", created=1, include_usage=True, pieces=3)
    assert read(at, b"".join(events), streamed=True) == answer
    with pytest.raises(InvalidInput):
        answer_body(at, answer, id="i", created=1)


def test_text_comes_in_as_many_pieces_as_asked_for() -> None:
    answer = Answer(text="abcdefghij", finish_reason="stop")
    stream = b"".join(answer_stream(CHAT, answer, id="i", created=1, include_usage=False, pieces=4))
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in stream.splitlines() if line.startswith(b"data: {")]
    assert [delta["content"] for delta in deltas if delta.get("content")] == ["ab", "cde", "fg", "hij"]


def test_written_chats_are_spelled_as_openai_does() -> None:
    """Wire facts, section 3: a refusal has no content, and with include_usage each chunk but the last says `"usage":null`."""
    body = json.loads(answer_body(CHAT, Answer(text="No.", refusal=True), id="i", created=1))
    assert body["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "No."}
    events = answer_stream(CHAT, Answer(text="ab", usage=Usage(input=1, output=2)), id="i", created=1, include_usage=True, pieces=2)
    *chunks, last = [json.loads(event[6:]) for event in events[:-1]]
    assert [chunk["usage"] for chunk in chunks] == [None] * 4
    assert (last["choices"], last["usage"]["total_tokens"], events[-1]) == ([], 3, b"data: [DONE]\n\n")


def test_an_answer_without_a_finish_reason_gets_the_usual_one() -> None:
    call = (ToolCall("c", "f", "{}"),)
    for at, plain, tools in ((CHAT, "stop", "tool_calls"), (MESSAGES, "end_turn", "tool_use")):
        assert read(at, answer_body(at, Answer(text="x"), id="i", created=1)).finish_reason == plain
        assert read(at, answer_body(at, Answer(tool_calls=call), id="i", created=1)).finish_reason == tools


def test_anthropic_has_no_body_for_arguments_that_are_no_object() -> None:
    for arguments in ("", "[1]", '{"a":', "x"):
        with pytest.raises(InvalidInput):
            answer_body(MESSAGES, Answer(tool_calls=(ToolCall("c", "f", arguments),)), id="i", created=1)
