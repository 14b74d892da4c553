"""A provider's event stream arrives in any pieces; what is read of it must not depend on them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.wire import SseEvent, SseReader, parse_sse
from detent.wire.sse import Blocks, write_event

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def in_pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


# The examples of the HTML standard, section 9.2.6 "Interpreting an event stream".
STANDARD = [
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        ["first event", "second event", " third event"],
    ),
    (b"data\n\ndata\ndata\n\ndata:", ["", "\n"]),
    (b"data:test\n\ndata: test\n\n", ["test", "test"]),
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"]),
]


@pytest.mark.parametrize(("stream", "data"), STANDARD)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_examples_of_the_standard_read_as_it_says(stream: bytes, data: list[str], end: bytes) -> None:
    assert [event.data for event in parse_sse(stream.replace(b"\n", end))] == data


def test_a_leading_byte_order_mark_and_comments_are_no_data() -> None:
    stream = b"\xef\xbb\xbfevent: ping\n: keep-alive\ndata: {}\n\n: OPENROUTER PROCESSING\n\ndata: x\n\n\xef\xbb\xbfdata: y\n\n"
    assert parse_sse(stream) == [SseEvent("ping", "{}"), SseEvent(None, "x")]


def test_an_event_without_data_is_not_dispatched_and_does_not_leak_its_name() -> None:
    assert parse_sse(b"event: lonely\n\ndata: x\n\n") == [SseEvent(None, "x")]


def test_a_stream_cut_off_inside_an_event_loses_only_that_event() -> None:
    assert parse_sse(b'data: {"a":1}\n\ndata: {"b"') == [SseEvent(None, '{"a":1}')]
    assert parse_sse(b"data: whole line, no blank line\n") == []


def test_bytes_that_are_no_utf_8_become_replacement_characters() -> None:
    assert parse_sse(b"data: \xff\xc3\n\n") == [SseEvent(None, "\ufffd\ufffd")]


def test_what_is_written_is_read_back() -> None:
    assert parse_sse(write_event(b'{"type":"ping"}', "ping") + write_event(b"[DONE]")) == [
        SseEvent("ping", '{"type":"ping"}'),
        SseEvent(None, "[DONE]"),
    ]


LINES = st.sampled_from(
    [b"data: \xc3\xa9\xf0\x9f\x98\x80", b"data:x", b"data", b"event: ping", b": comment", b"", b"id: 3", b"nonsense", b"\xef\xbb\xbf"]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=12).map(
    lambda lines: b"".join(a + b for a, b in lines)
)


@QUICK
@given(stream=STREAMS, tail=st.sampled_from([b"", b"data: cut o"]), cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_any_chunking_gives_the_same_events(stream: bytes, tail: bytes, cuts: list[int]) -> None:
    reader = SseReader()
    events = [event for piece in in_pieces(stream + tail, cuts) for event in reader.feed(piece)]
    assert events == parse_sse(stream + tail)


@QUICK
@given(stream=STREAMS)
def test_one_byte_at_a_time_gives_the_same_events(stream: bytes) -> None:
    reader = SseReader()
    assert [event for byte in stream for event in reader.feed(bytes([byte]))] == parse_sse(stream)


@QUICK
@given(stream=STREAMS, cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_blocks_lose_and_move_no_byte(stream: bytes, cuts: list[int]) -> None:
    blocks = Blocks()
    out = [block for piece in in_pieces(stream, cuts) for block in blocks.feed(piece)]
    assert b"".join(out) + blocks.release() == stream


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_given_out_with_the_chunk_that_ends_it(end: bytes) -> None:
    reader = SseReader()
    assert reader.feed(b"data: x" + end) == []
    assert reader.feed(end) == [SseEvent(None, "x")]
    assert reader.feed(b"data: y" + end + end) == [SseEvent(None, "y")]


@QUICK
@given(stream=st.binary(max_size=200))
def test_garbage_never_raises(stream: bytes) -> None:
    assert isinstance(parse_sse(stream), list)
