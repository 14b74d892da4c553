"""The change of bytes on a managed route: the model goes in, usage is asked for, and its traces come out of the stream again."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.errors import InvalidInput
from detent.terms import Answer, Endpoint, ToolCall, Usage
from detent.wire import UsageFilter, answer_stream, read_answer, rewrite
from detent.wire.json_text import spans

QUICK = settings(max_examples=120, deadline=None, derandomize=True, database=None)
CHAT, MESSAGES = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES


# ── rewrite ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_model_changes_in_the_body() -> None:
    body = (
        b'{ "temperature" :1.0, "model"\t: "summ\\u0061rizer" ,"seed":123456789012345678901234567890,\n'
        b'  "messages":[ {"role" : "user","content":"caf\\u00e9 \\ud83d\\ude00 \\/ \xc3\xa9","model":"inner"} ],'
        b' "top_p":1e0,"x":{"model":"deep"},"n":-0.0 }\n'
    )
    assert rewrite(CHAT, body, model="gpt-4o-2024-08-06", ask_usage=False) == body.replace(b'"summ\\u0061rizer"', b'"gpt-4o-2024-08-06"')


def test_a_lone_surrogate_of_a_javascript_client_goes_through_as_it_came() -> None:
    body = b'{"messages":[{"role":"user","content":"cut \\uD83D \\\\ud83d \\udc00\\ud83d\\ude00"}],"model":"m"}'
    assert rewrite(CHAT, body, model="v", ask_usage=True) == body.replace(b'"m"', b'"v"')


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b'{"model":"m","n":1}', b'{"prompt_cache_key":"own()","model":"v","n":1}'),
        (b'{"n":1, "model" : "m"}', b'{"n":1, "prompt_cache_key":"own()","model" : "v"}'),
        (b'{"prompt_cache_key" : "app\\u0031","model":"m"}', b'{"prompt_cache_key" : "own(app1)","model":"v"}'),
        (b'{"model":"m","prompt_cache_key":null}', b'{"model":"v","prompt_cache_key":"own()"}'),
        (b'{"model":"m","prompt_cache_key":7}', b'{"model":"v","prompt_cache_key":7}'),
        (
            b'{"model":"m","stream":true,"metadata":{"prompt_cache_key":"not this"}}',
            b'{"prompt_cache_key":"own()","model":"v","stream":true,"metadata":{"prompt_cache_key":"not this"},'
            b'"stream_options":{"include_usage":true}}',
        ),
    ],
)
def test_a_cache_of_its_own_is_asked_for_and_nothing_else_changes(sent: bytes, expected: bytes) -> None:
    assert rewrite(CHAT, sent, model="v", ask_usage=True, cache_key=lambda own: f"own({own})") == expected
    untouched = rewrite(MESSAGES, sent, model="v", ask_usage=True, cache_key=lambda own: f"own({own})")
    assert untouched == sent.replace(b'"m"', b'"v"'), "Anthropic has no such member"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b'{"model":"m","stream":true}', b'{"model":"v","stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"stream":true , "model": "m" }\n', b'{"stream":true , "model": "v","stream_options":{"include_usage":true} }\n'),
        (b'{"stream_options":null,"model":"m","stream":true}', b'{"stream_options":{"include_usage":true},"model":"v","stream":true}'),
        (b'{"model":"m","stream_options":{ },"stream":true}', b'{"model":"v","stream_options":{"include_usage":true},"stream":true}'),
        (
            b'{"model":"m","stream":true,"stream_options":{"include_usage": false, "a":1.0}}',
            b'{"model":"v","stream":true,"stream_options":{"include_usage": true, "a":1.0}}',
        ),
        (
            b'{"model":"m","stream":true,"stream_options":{"include_obfuscation":false}}',
            b'{"model":"v","stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}',
        ),
        (
            b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
            b'{"model":"v","stream":true,"stream_options":{"include_usage":true}}',
        ),
        (b'{"model":"m","stream":true,"stream_options":"what"}', b'{"model":"v","stream":true,"stream_options":"what"}'),
        (b'{"model":"m","stream":false}', b'{"model":"v","stream":false}'),
        (b'{"model":"m"}', b'{"model":"v"}'),
    ],
)
def test_usage_is_asked_for_where_a_chat_streams_and_did_not_ask(sent: bytes, expected: bytes) -> None:
    assert rewrite(CHAT, sent, model="v", ask_usage=True) == expected


def test_usage_is_not_asked_for_when_told_so_nor_of_anthropic() -> None:
    body = b'{"model":"m","stream":true}'
    assert rewrite(CHAT, body, model="v", ask_usage=False) == b'{"model":"v","stream":true}'
    assert rewrite(MESSAGES, body, model="v", ask_usage=True) == b'{"model":"v","stream":true}'


def test_a_model_name_is_written_as_json() -> None:
    assert json.loads(rewrite(CHAT, b'{"model":"m"}', model='a"b\\', ask_usage=False)) == {"model": 'a"b\\'}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model":"a","model":"b"}', b'{"model":"a"', b"\xff", b'{"model":"a"}{}'])
def test_a_body_that_has_no_single_model_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        rewrite(CHAT, body, model="v", ask_usage=True)


SCALARS = st.sampled_from(
    ["1.0", "1e5", "-0", "12345678901234567890123", "true", "null", '"\\u00e9"', '"a\\nb"', '"\\ud800"', '"{\\"model\\":1}"', '"é😀"']
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(lambda v: "[ " + " , ".join(v) + "]") | inner.map(lambda v: '{"model" :' + v + "}"),
    max_leaves=6,
)
MEMBERS = st.dictionaries(st.sampled_from(["messages", "n", "a\\u0062", "x", "top_p", ""]), VALUES, max_size=5)
SPACE = st.sampled_from(["", " ", "\n\t ", "\r\n"])


@QUICK
@given(members=MEMBERS, place=st.integers(0, 5), space=SPACE)
def test_every_other_byte_stays(members: dict[str, str], place: int, space: str) -> None:
    parts = [f'{space}"{name}"{space}:{space}{value}{space}' for name, value in members.items()]
    parts.insert(place, f'{space}"model"{space}:{space}"OLD"{space}')
    body = (space + "{" + ",".join(parts) + "}" + space).encode()
    assert rewrite(CHAT, body, model="new", ask_usage=True) == body.replace(b'"OLD"', b'"new"')


@QUICK
@given(members=MEMBERS, space=SPACE)
def test_spans_say_where_the_members_stand(members: dict[str, str], space: str) -> None:
    body = ("{" + ",".join(f'{space}"{name}"{space}:{space}{value}{space}' for name, value in members.items()) + "}").encode()
    found = spans(body)
    assert [body[span.start : span.end].decode() for span in found.values()] == list(members.values())
    assert [json.loads(body[span.name :].split(b":")[0]) for span in found.values()] == [json.loads(f'"{name}"') for name in members]


# ── taking usage out again ──────────────────────────────────────────────────────────────────────────────────────────


def filtered(stream: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    usage_filter = UsageFilter()
    return b"".join(usage_filter.feed(stream[a:b]) for a, b in itertools.pairwise(edges)) + usage_filter.close()


def openai_stream(texts: list[str], *, usage: bool, spaced: bool, end: str) -> bytes:
    """A chat stream spelled as OpenAI does (wire facts, section 3), written here by hand and not by the code under test."""

    def line(value: object) -> str:
        text = json.dumps(value, separators=(", ", ": ") if spaced else (",", ":"), ensure_ascii=spaced)
        return f"data: {text}{end}{end}"

    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "gpt-x", "system_fingerprint": "fp_a"}
    null = {"usage": None} if usage else {}
    deltas = [{"role": "assistant", "content": ""}] + [{"content": text} for text in texts]
    chunks = [frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} | null | {"obfuscation": "x"} for delta in deltas]
    chunks.append(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]} | null)
    if usage:
        chunks.append(frame | {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}})
    body = f": keep-alive{end}{end}" + "".join(line(chunk) for chunk in chunks) + f"data: [DONE]{end}{end}"
    return body.encode()


@QUICK
@given(
    texts=st.lists(
        st.text(max_size=8) | st.sampled_from(['"usage":null', "\n\ndata: [DONE]", ',"usage": null}', "é😀", "\r\n"]), max_size=4
    ),
    spaced=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 100_000), max_size=40),
)
def test_the_filtered_stream_is_the_stream_that_was_not_asked_for_usage(texts: list[str], spaced: bool, end: str, cuts: list[int]) -> None:
    asked = openai_stream(texts, usage=True, spaced=spaced, end=end)
    assert filtered(asked, cuts) == openai_stream(texts, usage=False, spaced=spaced, end=end)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_also_one_byte_at_a_time(end: str) -> None:
    asked = openai_stream(["é😀", "b"], usage=True, spaced=False, end=end)
    assert filtered(asked, list(range(len(asked)))) == openai_stream(["é😀", "b"], usage=False, spaced=False, end=end)


def test_the_simulators_streams_differ_by_usage_alone() -> None:
    answer = Answer(text="Grüße", tool_calls=(ToolCall("c", "f", "{}"),), finish_reason="stop", usage=Usage(input=3, output=2))
    asked, plain = (b"".join(answer_stream(CHAT, answer, id="i", created=1, include_usage=ask, pieces=3)) for ask in (True, False))
    assert b"usage" in asked
    assert filtered(asked, [5, 9, 300]) == plain


@pytest.mark.parametrize(
    "stream",
    [
        # Usage in a chunk with content is the provider's own way.
        b'data: {"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"choices":[],"prompt_filter_results":[{"x":1}]}\n\n',  # Azure's first chunk
        b'data: {"usage":null,"usage":null}\n\n',
        b'data: {"a":1\ndata: ,"usage":null}\n\n',
        b'data: {"usage":null}\ndata: {"usage":null}\n\n',
        b'data: {"usage":null\n\n',
        b'data: "usage"\n\n',
        b'{"error":{"message":"\\"usage\\":null"}}',
        b'event: x\ndata: {"delta":{"usage":null}}\n\n',
        b"\xff\xfe\x00",
        b"data: [DONE]\n",
    ],
)
def test_what_is_not_understood_passes_untouched(stream: bytes) -> None:
    assert filtered(stream, []) == stream
    assert filtered(stream, list(range(len(stream)))) == stream


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b'data: {"usage" : null , "a":1}\n\n', b'data: {"a":1}\n\n'),
        (b'data:{"a":1 , "usage":null}\n\n', b'data:{"a":1}\n\n'),
        (b'data: {"usage":null}\n\n', b"data: {}\n\n"),
        (b': hi\nevent: m\nid: 7\ndata: {"choices":[ ],"usage":{"total_tokens":1}}\n\ndata: x\n\n', b": hi\ndata: x\n\n"),
        (b'data: {"choices":[],"usage":{"total_tokens":1}}', b""),  # the stream ended without a blank line
    ],
)
def test_spellings_of_what_comes_out(stream: bytes, expected: bytes) -> None:
    assert filtered(stream, []) == expected
    assert filtered(stream, list(range(len(stream)))) == expected


def test_an_event_goes_out_with_the_chunk_that_ends_it() -> None:
    usage_filter = UsageFilter()
    assert usage_filter.feed(b'data: {"a":1}\n\ndata: {"b"') == b'data: {"a":1}\n\n'
    assert usage_filter.feed(b":2}\n\n") == b'data: {"b":2}\n\n'
    assert usage_filter.feed(b'data: {"a":1}\r\n\r') == b'data: {"a":1}\r\n\r'
    assert usage_filter.close() == b""


def test_an_event_without_end_is_not_held_for_ever_and_its_bytes_stay() -> None:
    huge = b'data: {"usage":null,"x":"' + b"x" * (3 << 20)
    rest = b'"}\ndata: {"b":1,"usage":null}\n\n'  # of the same event, so it stays as well
    tail = rest + b'data: {"a":1,"usage":null}\n\n'
    usage_filter = UsageFilter()
    out = [usage_filter.feed(huge[start : start + 65536]) for start in range(0, len(huge), 65536)]
    held = len(huge) - sum(map(len, out))
    assert 0 <= held <= (1 << 20) + 65536
    whole = b"".join(out) + usage_filter.feed(tail) + usage_filter.close()
    assert whole == filtered(huge + tail, []) == huge + rest + b'data: {"a":1}\n\n'


@QUICK
@given(stream=st.binary(max_size=120), cuts=st.lists(st.integers(0, 200), max_size=10))
def test_garbage_passes_whole(stream: bytes, cuts: list[int]) -> None:
    assert filtered(stream, cuts) == stream


def test_usage_is_still_read_from_the_unfiltered_copy() -> None:
    asked = openai_stream(["Hi"], usage=True, spaced=False, end="\n")
    assert read_answer(CHAT, status=200, body=asked, streamed=True).usage == Usage(input=20, output=7)
    assert msgspec.json.decode(filtered(asked, []).split(b"data: ")[1]).keys() & {"usage"} == set()
