"""What is read of a leg besides its outcome: tool calls made again, tools that nobody offered, the user's language."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detent import reading, wire
from detent.reading import Heard
from detent.terms import Answer, Endpoint, Message, Outcome, Prompt, ToolCall

CHAT, MESSAGES = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES

GERMAN = "Bitte prüfen Sie, ob die folgenden Rechnungen schon bezahlt sind und wie hoch die Beträge sind."


def asks(*calls: tuple[str, str, str]) -> Message:
    """The assistant calls tools: (id, name, arguments)."""
    return Message(role="assistant", tool_calls=tuple(ToolCall(*call) for call in calls))


def gives(id: str, text: str = "", *, failed: bool = False) -> Message:
    return Message(role="tool", text=text, tool_result_for=id, failed=failed)


def calls(name: str, arguments: str = '{"q":"other"}') -> Answer:
    return Answer(tool_calls=(ToolCall("new", name, arguments),))


USER = Message(role="user", text="find it")


# ── calls made again ──


def test_a_tool_called_anew_after_its_error_is_a_retry_whatever_the_arguments() -> None:
    prompt = Prompt(messages=(USER, asks(("1", "find", '{"q":"x"}')), gives("1", failed=True)))
    assert reading.repeats_call(prompt, calls("find"))
    assert not reading.repeats_call(prompt, calls("look")), "another tool is another way"
    assert not reading.repeats_call(prompt, Answer(text="I give up"))


def test_an_error_that_was_got_over_is_no_reason_any_more() -> None:
    tried = (USER, asks(("1", "find", '{"q":"x"}')), gives("1", failed=True), asks(("2", "find", '{"q":"y"}')), gives("2", "there"))
    assert not reading.repeats_call(Prompt(messages=tried), calls("find", '{"q":"z"}'))


def test_an_error_keeps_its_meaning_over_other_calls() -> None:
    prompt = Prompt(messages=(USER, asks(("1", "find", "{}")), gives("1", failed=True), asks(("2", "look", "{}")), gives("2", "a page")))
    assert reading.repeats_call(prompt, calls("find"))


def test_of_calls_made_at_once_one_that_failed_is_enough() -> None:
    both = (USER, asks(("1", "find", '{"q":"x"}'), ("2", "find", '{"q":"y"}')), gives("1", failed=True), gives("2", "there"))
    assert reading.repeats_call(Prompt(messages=both), calls("find", '{"q":"z"}'))


def test_an_error_that_answers_no_call_is_nobodys() -> None:
    assert not reading.repeats_call(Prompt(messages=(USER, gives("?", failed=True))), calls("find"))


# ── how tools say that they failed ──


@pytest.mark.parametrize(
    ("content", "failed"),
    [
        ("Error: no such order", True),
        ("  Error 500", True),
        ('{"error": "no such order"}', True),
        ('{"error": {"code": 4}, "data": null}', True),
        ('{"is_error": true, "message": "no"}', True),
        ('{"error": null, "data": 1}', False),
        ('{"error": "", "is_error": false}', False),
        ('{"errors": 0}', False),
        ('{"items": [{"error": "of one row"}]}', False),
        ('{"error": "cut o', False),
        ("no errors were found", False),
        ("", False),
        ([{"type": "text", "text": "Error: no such order"}], True),
    ],
)
def test_a_tools_error_in_openais_dialect_is_read_from_its_words(content: Any, failed: bool) -> None:
    messages = [{"role": "user", "content": "Error: mine"}, {"role": "tool", "tool_call_id": "1", "content": content}]
    user, tool = wire.read_prompt(CHAT, json.dumps({"messages": messages}).encode()).messages
    assert (user.failed, tool.failed) == (False, failed)


@pytest.mark.parametrize(
    ("mark", "failed"), [({"is_error": True}, True), ({"is_error": False}, False), ({}, False), ({"is_error": "x"}, False)]
)
def test_a_tools_error_in_anthropics_dialect_is_marked(mark: dict[str, Any], failed: bool) -> None:
    block = {"type": "tool_result", "tool_use_id": "1", "content": "Error: words alone are none here", **mark}
    (tool,) = wire.read_prompt(MESSAGES, json.dumps({"messages": [{"role": "user", "content": [block]}]}).encode()).messages
    assert tool.failed is failed


def test_a_deeply_nested_result_is_no_error_and_no_crash() -> None:
    body = json.dumps({"messages": [{"role": "tool", "content": '{"error":' + "[" * 100_000}]}).encode()
    assert wire.read_prompt(CHAT, body).messages[0].failed is False


# ── tools that nobody offered ──


def test_a_tool_is_unknown_that_the_request_does_not_offer() -> None:
    prompt = Prompt(tools=("find", "look"))
    assert not reading.unknown_tool(prompt, calls("find"))
    assert reading.unknown_tool(prompt, calls("delete"))
    assert reading.unknown_tool(Prompt(), calls("find"))
    assert not reading.unknown_tool(Prompt(), Answer(text="none called"))


# ── the user's language ──


@pytest.mark.parametrize(
    ("messages", "language"),
    [
        ((Message(role="user", text=GERMAN),), "de"),
        ((Message(role="user", text=GERMAN), asks(("1", "find", "{}")), gives("1", "the of and to in is that for it with")), "de"),
        ((Message(role="user", text="hi"),), None),
        ((Message(role="user", text=GERMAN), Message(role="user", text="Could you tell me what it is and how they will do that?")), "en"),
        ((Message(role="user", text="x " * reading.LANGUAGE_CHARS + GERMAN),), None),
        ((), None),
    ],
)
def test_the_language_is_that_of_the_users_last_words(messages: tuple[Message, ...], language: str | None) -> None:
    assert reading.language_of(Prompt(messages=messages)) == language


# ── in a result ──


def heard(answer: dict[str, Any]) -> Heard:
    return Heard(at_us=1, latency_s=0.5, status=200, content_type="application/json", body=json.dumps(answer).encode())


def test_a_result_holds_all_of_it() -> None:
    tools = [{"type": "function", "function": {"name": "find"}}]
    request = json.dumps({"messages": [{"role": "user", "content": GERMAN}], "tools": tools}).encode()
    call = {"id": "1", "type": "function", "function": {"name": "delete", "arguments": "{}"}}
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    found, _ = reading.read(CHAT, request, heard(answer), "le_1")
    assert (found.outcome, found.unknown_tool, found.repeats_call, found.language) == (Outcome.COMPLETE, True, False, "de")


def test_of_an_answer_that_could_not_be_read_only_the_request_is_known() -> None:
    request = json.dumps({"messages": [{"role": "user", "content": GERMAN}]}).encode()
    found, _ = reading.read(CHAT, request, Heard(at_us=1, latency_s=0.5, status=200, body=b"<html>"), "le_1")
    assert (found.outcome, found.unknown_tool, found.repeats_call, found.language) == (Outcome.MALFORMED, None, None, "de")
    assert reading.unread(heard({}), "le_1").language is None
