"""An agent's recorded conversation: cut back to where its user last spoke, and told on with the results that the tools gave then."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detent import wire
from detent.errors import InvalidInput
from detent.terms import Answer, Endpoint, ToolCall, ToolResult
from detent.wire.turns import canonical_arguments, extend, rewind

OPENAI, ANTHROPIC = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES
BOTH = [OPENAI, ANTHROPIC]


def body(*messages: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": list(messages), **more}).encode()


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(*calls: tuple[str, str, str], text: str | None = None) -> dict[str, Any]:
    """OpenAI: an assistant's message that calls tools, each (id, name, arguments)."""
    made = [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}} for id, name, arguments in calls]
    return {"role": "assistant", "content": text, "tool_calls": made}


def tool(id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def used(*blocks: tuple[str, str, Any], first: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Anthropic: an assistant's message that uses tools, each (id, name, input)."""
    made = [{"type": "tool_use", "id": id, "name": name, "input": value} for id, name, value in blocks]
    return {"role": "assistant", "content": [*first, *made]}


def results(*found: tuple[str, Any], also: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return user([*({"type": "tool_result", "tool_use_id": id, "content": content} for id, content in found), *also])


# ── back ──


def test_a_conversation_is_cut_back_to_its_last_user_message() -> None:
    before = (user("hi"), {"role": "assistant", "content": "Hello!"}, user("refund order 7"))
    request = body(
        *before,
        called(("c1", "find_order", '{"id": 7}')),
        tool("c1", "found: 7"),
        called(("c2", "refund", '{"id": 7, "amount": 30}'), text="I will refund it."),
        tool("c2", "done"),
        temperature=0,
    )
    cut, script = rewind(OPENAI, request)
    assert json.loads(cut) == {"model": "m", "messages": list(before), "temperature": 0}
    assert script == (ToolResult("find_order", '{"id":7}', "found: 7"), ToolResult("refund", '{"amount":30,"id":7}', "done"))


def test_anthropics_tool_results_are_no_user_messages_to_rewind_to() -> None:
    thinking = {"type": "thinking", "thinking": "let me look", "signature": "c2ln"}
    request = body(
        user("refund order 7"),
        used(("t1", "find_order", {"id": 7}), first=(thinking, {"type": "text", "text": "Looking."})),
        results(("t1", [{"type": "text", "text": "found"}, {"type": "text", "text": "7"}])),
        used(("t2", "refund", {"id": 7}), ("t3", "mail", {})),
        results(("t2", "done"), ("t3", [])),
        max_tokens=9,
    )
    cut, script = rewind(ANTHROPIC, request)
    assert json.loads(cut) == {"model": "m", "messages": [user("refund order 7")], "max_tokens": 9}
    assert b"signature" not in cut, "signed thinking goes with the turns that it belongs to"
    assert script == (
        ToolResult("find_order", '{"id":7}', "found\n7"),
        ToolResult("refund", '{"id":7}', "done"),
        ToolResult("mail", "{}", ""),
    )


def test_several_calls_in_one_message_are_matched_by_id_whatever_their_order() -> None:
    request = body(
        user("both"),
        called(("a", "look", '{"n":1}'), ("b", "look", '{"n":2}')),
        tool("b", "two"),
        tool("a", [{"type": "text", "text": "one"}]),
    )
    assert rewind(OPENAI, request)[1] == (ToolResult("look", '{"n":2}', "two"), ToolResult("look", '{"n":1}', "one"))


def test_the_same_call_made_twice_has_two_results() -> None:
    request = body(user("wait for it"), called(("a", "poll", "")), tool("a", "not yet"), called(("b", "poll", "{}")), tool("b", "ready"))
    assert rewind(OPENAI, request)[1] == (ToolResult("poll", "{}", "not yet"), ToolResult("poll", "{}", "ready"))


def test_bytes_that_are_not_cut_stay_as_they_were_recorded() -> None:
    head = rb'{ "model":"m",  "messages" : [ {"role":"user","content":"caf\u00e9 \ud83d 1.0e0"}'
    tail = b' ],\n "temperature" : 1.0 }'
    turn = json.dumps(called(("a", "look", "{}"))).encode() + b" , " + json.dumps(tool("a", "x")).encode()
    assert rewind(OPENAI, head + b" , " + turn + tail)[0] == head + b"]" + tail.removeprefix(b" ]")


@pytest.mark.parametrize(
    ("endpoint", "messages"),
    [
        (OPENAI, [user("hi")]),
        (OPENAI, []),
        (OPENAI, [user("a"), {"role": "assistant", "content": "b"}, user("c")]),
        # the user spoke after the tools: nothing to replay
        (OPENAI, [user("a"), called(("c1", "look", "{}")), tool("c1", "x"), {"role": "assistant", "content": "b"}, user("thanks")]),
        (ANTHROPIC, [user("a"), used(("t", "look", {})), results(("t", "x"), also=({"type": "text", "text": "and hurry"},))]),
        # the answer was begun by the app
        (ANTHROPIC, [user("a"), used(("t", "look", {})), results(("t", "x")), {"role": "assistant", "content": "{"}]),
        # a result that answers no call, and one that is a picture
        (OPENAI, [user("a"), called(("c1", "look", "{}")), tool("c2", "x")]),
        (OPENAI, [user("a"), called(("c1", "look", "{}")), tool("c1", "x"), tool("c2", "y")]),
        (OPENAI, [tool("c1", "x")]),
        (ANTHROPIC, [user("a"), used(("t", "shot", {})), results(("t", [{"type": "image", "source": {}}]))]),
        # an older protocol
        (OPENAI, [user("a"), {"role": "assistant", "function_call": {}}, {"role": "function", "name": "f", "content": "x"}]),
    ],
)
def test_a_request_without_results_to_replay_comes_back_as_it_is(endpoint: Endpoint, messages: list[dict[str, Any]]) -> None:
    request = body(*messages).replace(b", ", b" ,  ")
    assert rewind(endpoint, request) == (request, ())


@pytest.mark.parametrize("endpoint", BOTH)
@pytest.mark.parametrize("request_body", [b"", b"[]", b'{"messages": 3}', b'{"messages": [' + b"[" * 5000, b"\xff"])
def test_what_is_no_request_is_refused(endpoint: Endpoint, request_body: bytes) -> None:
    with pytest.raises(InvalidInput):
        rewind(endpoint, request_body)
    with pytest.raises(InvalidInput):
        extend(endpoint, request_body, Answer(tool_calls=(ToolCall("a", "b", "{}"),)), ["x"])


@pytest.mark.parametrize("message", [3, None, "x", [], {}, {"role": 7, "content": [3, None]}, {"role": "tool", "content": {"a": 1}}])
@pytest.mark.parametrize("endpoint", BOTH)
def test_messages_of_no_sane_shape_are_left_alone(endpoint: Endpoint, message: Any) -> None:
    request = json.dumps({"messages": [user("a"), message]}).encode()
    assert rewind(endpoint, request) == (request, ())


# ── on ──


def test_an_answer_that_calls_tools_is_told_on_in_openais_dialect() -> None:
    request = body(user("refund order 7"), temperature=0)
    answer = Answer(text="", tool_calls=(ToolCall("c1", "find_order", '{"id": 7}'), ToolCall("", "mail", "{}")))
    assert json.loads(extend(OPENAI, request, answer, ["found", "sent"]))["messages"] == [
        user("refund order 7"),
        called(("c1", "find_order", '{"id": 7}'), ("call_2", "mail", "{}")),
        tool("c1", "found"),
        tool("call_2", "sent"),
    ]


def test_an_answer_that_calls_tools_is_told_on_in_anthropics_dialect() -> None:
    request = body(user("refund order 7"), max_tokens=9)
    answer = Answer(text="Looking.", tool_calls=(ToolCall("t1", "find_order", '{"id": 7}'), ToolCall("t2", "mail", "")))
    assert json.loads(extend(ANTHROPIC, request, answer, ["found", "sent"]))["messages"] == [
        user("refund order 7"),
        used(("t1", "find_order", {"id": 7}), ("t2", "mail", {}), first=({"type": "text", "text": "Looking."},)),
        results(("t1", "found"), ("t2", "sent")),
    ]


def test_signed_thinking_goes_back_to_the_version_that_thought_it_and_is_left_out_otherwise() -> None:
    thinking = {"type": "thinking", "thinking": "caf\u00e9", "signature": "c2ln"}
    said = json.dumps({"type": "message", "content": [thinking, {"type": "tool_use", "id": "t1", "name": "look", "input": {}}]}).encode()
    answer = wire.read_answer(ANTHROPIC, status=200, body=said, streamed=False)
    assert b"thinking" not in extend(ANTHROPIC, body(user("a")), answer, ["x"])
    grown = extend(ANTHROPIC, body(user("a")), answer, ["x"], body=said)
    assert json.loads(grown)["messages"][1] == used(("t1", "look", {}), first=(thinking,))
    assert json.dumps(thinking).encode() in grown, "byte for byte, as the signature covers it"


def test_a_tool_of_free_form_input_is_answered_as_one() -> None:
    request = body(user("a"), tools=[{"type": "custom", "custom": {"name": "sql"}}])
    grown = extend(OPENAI, request, Answer(tool_calls=(ToolCall("c1", "sql", "select 1"),)), ["1"])
    assert json.loads(grown)["messages"][1]["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    ]


def test_telling_on_changes_no_other_byte() -> None:
    request = rb'{ "messages":[{"role":"user","content":"\ud83d"} ] , "model":"m" }'
    grown = extend(OPENAI, request, Answer(tool_calls=(ToolCall("c", "look", "{}"),)), ["x"])
    assert grown.startswith(request[: request.index(b"]")])
    assert grown.endswith(b'] , "model":"m" }')
    assert json.loads(extend(OPENAI, b'{"messages":[ ]}', Answer(tool_calls=(ToolCall("c", "look", "{}"),)), ["x"]))["messages"]


@pytest.mark.parametrize("endpoint", BOTH)
def test_what_was_told_on_is_cut_back_to_what_it_was(endpoint: Endpoint) -> None:
    request = body(user("refund order 7"), user("please"), max_tokens=9)
    answer = Answer(text="Looking.", tool_calls=(ToolCall("c1", "find", '{"b": [1.5, "\u00fc"], "a": null}'), ToolCall("c2", "mail", "{}")))
    once = extend(endpoint, request, answer, ["found \x1b[31m <b>", "sent"])
    twice = extend(endpoint, once, Answer(tool_calls=(ToolCall("c3", "refund", "{}"),)), ["ok"])
    assert rewind(endpoint, twice) == (
        request,
        (
            ToolResult("find", '{"a":null,"b":[1.5,"\u00fc"]}', "found \x1b[31m <b>"),
            ToolResult("mail", "{}", "sent"),
            ToolResult("refund", "{}", "ok"),
        ),
    )
    assert wire.read_prompt(endpoint, twice).step == 3


@pytest.mark.parametrize("given", [[], ["one", "two"]])
def test_each_call_takes_one_result(given: list[str]) -> None:
    with pytest.raises(InvalidInput, match="each tool call takes one result: `1` calls"):
        extend(OPENAI, body(user("a")), Answer(tool_calls=(ToolCall("c", "look", "{}"),)), given)


def test_arguments_that_anthropic_cannot_say_are_refused() -> None:
    with pytest.raises(InvalidInput):
        extend(ANTHROPIC, body(user("a")), Answer(tool_calls=(ToolCall("c", "look", "[1"),)), ["x"])


@pytest.mark.parametrize(
    ("written", "one_spelling"),
    [
        ('{"b": 1, "a": "\\u00fc"}', '{"a":"\u00fc","b":1}'),
        ("", "{}"),
        ("  {}\n", "{}"),
        ("not JSON ", "not JSON"),
        ("[" * 5000, "[" * 5000),
        ('{"a": "\\ud83d"}', '{"a":"\ufffd"}'),
        ("\ud83d", "\ud83d"),
    ],
)
def test_arguments_have_one_spelling(written: str, one_spelling: str) -> None:
    assert canonical_arguments(written) == one_spelling
