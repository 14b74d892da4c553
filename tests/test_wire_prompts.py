"""Requests of both protocols become one neutral prompt."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.errors import InvalidInput
from detent.terms import Endpoint, Message, Prompt, ToolCall
from detent.wire import read_head, read_prompt, rewrite

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)
CHAT, MESSAGES = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES
SCHEMA = {"type": "object", "required": ["summary"], "properties": {"summary": {"type": "string"}}}


def test_a_chat_request_with_tools() -> None:
    body = b"""{"model":"m","max_tokens":10,"max_completion_tokens":50,"messages":[
      {"role":"system","content":"Be brief."},
      {"role":"developer","content":[{"type":"text","text":"Use tools."}]},
      {"role":"user","content":[{"type":"text","text":"Weather in"},
        {"type":"image_url","image_url":{"url":"data:,"}},{"type":"text","text":"Bern?"}]},
      {"role":"assistant","content":null,"tool_calls":[
        {"id":"c1","type":"function","function":{"name":"weather","arguments":"{\\"city\\": \\"Bern\\"}"}}]},
      {"role":"tool","tool_call_id":"c1","content":"4 C"}],
      "tools":[{"type":"function","function":{"name":"weather"}},{"type":"custom","custom":{"name":"grep"}},{"type":"function"}]}"""
    assert read_prompt(CHAT, body) == Prompt(
        system="Be brief.\n\nUse tools.",
        messages=(
            Message(role="user", text="Weather in\nBern?"),
            Message(role="assistant", tool_calls=(ToolCall("c1", "weather", '{"city": "Bern"}'),)),
            Message(role="tool", text="4 C", tool_result_for="c1"),
        ),
        tools=("weather", "grep"),
        max_tokens=50,
    )


def test_an_anthropic_request_with_tools() -> None:
    body = b"""{"model":"m","max_tokens":1024,"system":[{"type":"text","text":"Be brief."},{"type":"text","text":"Use tools."}],"messages":[
      {"role":"user","content":"Weather in Bern?"},
      {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"Looking."},
        {"type":"tool_use","id":"t1","name":"weather","input":{"city": "Bern", "days":1.0}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"4 C"}]},
        {"type":"text","text":"And?"}]}],
      "tools":[{"name":"weather","input_schema":{}},{"type":"web_search_20250305","name":"web_search"}]}"""
    assert read_prompt(MESSAGES, body) == Prompt(
        system="Be brief.\nUse tools.",
        messages=(
            Message(role="user", text="Weather in Bern?"),
            Message(role="assistant", text="Looking.", tool_calls=(ToolCall("t1", "weather", '{"city": "Bern", "days":1.0}'),)),
            Message(role="tool", text="4 C", tool_result_for="t1"),
            Message(role="user", text="And?"),
        ),
        tools=("weather", "web_search"),
        max_tokens=1024,
    )


def test_a_turn_of_tool_results_alone_is_no_message_of_the_user() -> None:
    body = {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}]}
    assert read_prompt(MESSAGES, json.dumps(body).encode()).messages == (Message(role="tool", text="x", tool_result_for="t1"),)


def test_the_step_counts_the_answers_so_far() -> None:
    body = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]}
    assert [read_prompt(at, json.dumps(body).encode()).step for at in Endpoint] == [2, 2]


@pytest.mark.parametrize(
    ("at", "asked", "json_asked", "schema"),
    [
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}}}, True, SCHEMA),
        (CHAT, {"response_format": {"type": "json_object"}}, True, None),
        (CHAT, {"response_format": {"type": "text"}}, False, None),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": "odd"}}, True, None),
        (CHAT, {"response_format": 7}, False, None),
        (MESSAGES, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, True, SCHEMA),
        (MESSAGES, {"output_format": {"type": "json_schema", "schema": SCHEMA}}, True, SCHEMA),
        (MESSAGES, {"output_config": {"effort": "low"}}, False, None),
        (MESSAGES, {}, False, None),
    ],
)
def test_what_form_was_asked_for(at: Endpoint, asked: dict[str, Any], json_asked: bool, schema: object) -> None:
    prompt = read_prompt(at, json.dumps({"messages": []} | asked).encode())
    assert (prompt.json_asked, prompt.schema) == (json_asked, schema)


def test_a_lone_surrogate_reads_as_a_replacement_character_that_any_encoder_takes() -> None:
    body = b'{"messages":[{"role":"user","content":"a\\ud83db \\ud83d\\ude00 \\\\ud83d"}]}'
    for at in Endpoint:
        text = read_prompt(at, body).messages[0].text
        assert text == "a\ufffdb 😀 \\ud83d"
        assert text.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"messages":{}}',
        b'{"messages":"x"}',
        b'{"messages":[',
        b'{"messages":[\x00]}',
        b'{"messages":["\xff"]}',
        b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"messages":[' + b",".join([b"{}"] * 20_001) + b"]}",
    ],
)
@pytest.mark.parametrize("at", list(Endpoint))
def test_a_body_without_a_list_of_messages_is_invalid_input(at: Endpoint, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_prompt(at, body)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "tool_calls", "function", "name", "id", "input", "tool_use_id", "index", "schema"]
            )
            | st.text(max_size=2),
            inner | st.sampled_from(["user", "assistant", "tool", "system", "text", "tool_use", "tool_result", "json_schema"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)
MEMBER = st.sampled_from(
    [
        "model",
        "messages",
        "system",
        "tools",
        "response_format",
        "output_config",
        "max_tokens",
        "metadata",
        "user",
        "stream_options",
        "stream",
    ]
)


@QUICK
@given(body=st.dictionaries(MEMBER, ODD, max_size=6), messages=st.lists(ODD, max_size=3), at=st.sampled_from(Endpoint))
def test_members_of_any_shape_are_read_or_refused(body: dict[str, Any], messages: list[Any], at: Endpoint) -> None:
    for value in (body, {"model": "m"} | body | {"messages": messages}):
        raw = json.dumps(value).encode()
        for read in (
            lambda raw=raw: read_prompt(at, raw),
            lambda raw=raw: read_head(at, [], raw),
            lambda raw=raw: rewrite(at, raw, model="v", ask_usage=True),
        ):
            with contextlib.suppress(InvalidInput):
                read()


@QUICK
@given(body=st.binary(max_size=60) | st.text('{}[]",:\\ud8model1', max_size=40).map(str.encode), at=st.sampled_from(Endpoint))
def test_bytes_of_any_kind_are_read_or_refused(body: bytes, at: Endpoint) -> None:
    for read in (lambda: read_prompt(at, body), lambda: read_head(at, [], body), lambda: rewrite(at, body, model="v", ask_usage=True)):
        with contextlib.suppress(InvalidInput):
            read()
