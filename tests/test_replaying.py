"""An agent case: the version calls tools, the recording answers for them, and leaving the recording is a verdict of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from asked import BLESSED, KEY, ROUTE, refusal, used
from detent import wire
from detent.baseline import Call, Reply, score
from detent.baseline.replaying import Heard, replay
from detent.terms import Answer, Case, Endpoint, Run, ToolCall, ToolResult
from records import NEW, T0

BOTH = [Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES]
SCRIPT = (
    ToolResult("find_order", '{"id":7}', "order 7: 30 EUR"),
    ToolResult("refund", '{"amount":30,"id":7}', "done"),
)


def agent_case(endpoint: Endpoint = Endpoint.OPENAI_CHAT, **more: Any) -> Case:
    body = {"model": "support", "max_tokens": 99, "messages": [{"role": "user", "content": "refund order 7"}]}
    values: dict[str, Any] = {"known_good": "Refunded 30 EUR.", "script": SCRIPT, "blessed": BLESSED, **more}
    return Case(id="ca_1", route="summarizer", endpoint=endpoint, request=json.dumps(body).encode(), frozen_at=T0, **values)


def calls(*wanted: tuple[str, str]) -> Answer:
    made = tuple(ToolCall(f"c{n}", name, arguments) for n, (name, arguments) in enumerate(wanted))
    return Answer(tool_calls=made, usage=used(100, 10, 50), model="m")


def says(text: str) -> Answer:
    return Answer(text=text, usage=used(150, 20, 50), model="m")


class Version:
    """Says one thing after the other, and keeps what it was asked. The last one is said again and again."""

    def __init__(self, endpoint: Endpoint, *answers: Answer | Reply) -> None:
        self.endpoint = endpoint
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, call: Call) -> Reply:
        self.asked.append(json.loads(call.body))
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(said, Reply):
            return said
        return Reply(200, wire.answer_body(self.endpoint, said, id="x", created=1), latency_s=0.5)


def heard(version: Version, of: Case) -> Heard:
    return asyncio.run(replay(of, NEW, version))


def graded(version: Version, of: Case, **of_route: Any) -> Run:
    return score(replace(ROUTE, checks=(), **of_route), of, KEY, "ro_1", heard(version, of))


@pytest.mark.parametrize("endpoint", BOTH)
def test_a_version_that_keeps_to_the_script_is_led_to_its_end(endpoint: Endpoint) -> None:
    version = Version(endpoint, calls(("find_order", '{"id": 7}')), calls(("refund", '{"id": 7, "amount": 30}')), says("Refunded 30 EUR."))
    run = graded(version, agent_case(endpoint))
    assert (run.passed, run.output, run.steps, run.left_script) == (True, "Refunded 30 EUR.", 3, "")
    assert (run.usage, run.latency_s) == (used(350, 40, 150), 1.5)
    prompt = wire.read_prompt(endpoint, json.dumps(version.asked[-1]).encode())
    assert [m.text for m in prompt.messages if m.role == "tool"] == ["order 7: 30 EUR", "done"]
    assert all(asked["model"] == NEW.model and asked["max_tokens"] == 99 for asked in version.asked)


def test_several_calls_at_once_are_answered_at_once() -> None:
    version = Version(Endpoint.OPENAI_CHAT, calls(("refund", '{"amount":30,"id":7}'), ("find_order", '{"id":7}')), says("Refunded 30 EUR."))
    run = graded(version, agent_case())
    assert (run.passed, run.steps) == (True, 2)


@pytest.mark.parametrize("wanted", [("refund", '{"id": 8}'), ("delete_customer", "{}"), ("find_order", "not JSON")])
def test_a_call_that_was_never_recorded_is_a_verdict_of_its_own(wanted: tuple[str, str]) -> None:
    version = Version(Endpoint.OPENAI_CHAT, calls(("find_order", '{"id": 7}')), calls(wanted), says("never asked for"))
    run = graded(version, agent_case())
    assert (run.passed, run.content, run.left_script) == (None, None, f"{wanted[0]}({wanted[1]})")
    assert run.steps == len(version.asked) == 2, "nothing is made up for it, and nobody is asked on"


def test_the_same_call_made_again_hears_what_was_recorded_then_and_once_too_often_leaves_the_script() -> None:
    polled = (ToolResult("poll", "{}", "not yet"), ToolResult("poll", "{}", "ready"))
    version = Version(Endpoint.OPENAI_CHAT, *[calls(("poll", ""))] * 2, says("ready"))
    assert heard(version, agent_case(script=polled)).left_script == ""
    assert [m["content"] for m in version.asked[-1]["messages"] if m["role"] == "tool"] == ["not yet", "ready"]
    again = Version(Endpoint.OPENAI_CHAT, *[calls(("poll", ""))] * 3, says("ready"))
    assert heard(again, agent_case(script=polled)).left_script == "poll()"


def test_what_was_done_once_is_not_replayed_for_doing_it_five_times() -> None:
    refund = ("refund", '{"id": 7, "amount": 30}')
    at_once = graded(
        Version(Endpoint.OPENAI_CHAT, calls(("find_order", '{"id":7}'), *[refund] * 5), says("Refunded 30 EUR.")), agent_case()
    )
    in_turns = graded(Version(Endpoint.OPENAI_CHAT, *[calls(refund)] * 5, says("Refunded 30 EUR.")), agent_case())
    for run in (at_once, in_turns):
        assert (run.passed, run.left_script) == (None, 'refund({"id": 7, "amount": 30})')
    assert (at_once.steps, in_turns.steps) == (2, 6)


def test_a_loop_over_a_recorded_call_ends_at_the_step_limit_and_fails() -> None:
    long = tuple(ToolResult("find_order", '{"id":7}', "x") for _ in range(20))
    version = Version(Endpoint.OPENAI_CHAT, calls(("find_order", '{"id": 7}')))
    run = graded(version, agent_case(script=long))
    assert len(version.asked) == run.steps == 42
    assert (run.passed, run.failed_checks) == (False, ("step_limit",))


@pytest.mark.parametrize(
    ("ending", "left"),
    [
        ((("refund", '{ "amount": 10 }'),), ""),
        ((("refund", '{"amount": 999999}'),), 'refund({"amount": 999999})'),
        ((("refund", '{"amount": 10}'), ("refund", '{"amount": 10}')), 'refund({"amount": 10})'),
        ((("find_order", '{"id": 8}'),), 'find_order({"id": 8})'),
    ],
)
def test_a_recorded_conversation_that_ends_with_a_call_is_ended_by_that_very_call(ending: tuple[tuple[str, str], ...], left: str) -> None:
    known = agent_case(known_good="", script=SCRIPT[:1], known_good_calls=(ToolCall("c", "refund", '{"amount":10}'),))
    run = graded(Version(Endpoint.OPENAI_CHAT, calls(("find_order", '{"id":7}')), calls(*ending)), known)
    assert (run.left_script, run.passed) == (left, None if left else True)


@pytest.mark.parametrize(
    ("broken", "error"), [(refusal(400, "odd"), "HTTP 400: odd"), (refusal(500, "odd"), "HTTP 500: odd"), (Reply(200, b"{"), "unreadable")]
)
def test_what_fails_on_the_way_is_not_scored_and_no_refusal_of_the_recorded_request(broken: Reply, error: str) -> None:
    run = graded(Version(Endpoint.OPENAI_CHAT, calls(("find_order", '{"id": 7}')), broken), agent_case())
    assert (run.passed, run.request_refused) == (None, False)
    assert run.error is not None
    assert run.error.startswith(error)


def test_a_case_without_a_script_takes_one_call_whatever_is_answered() -> None:
    version = Version(Endpoint.OPENAI_CHAT, calls(("find_order", '{"id": 7}')))
    run = graded(version, agent_case(script=(), known_good="", known_good_calls=(ToolCall("c", "find_order", '{"id":7}'),)))
    assert (run.passed, run.steps) == (True, 1)


def test_signed_thinking_goes_back_with_the_turn_that_it_belongs_to() -> None:
    thinking = {"type": "thinking", "thinking": "let me look", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "t1", "name": "find_order", "input": {"id": 7}}
    body = json.dumps({"type": "message", "role": "assistant", "content": [thinking, use], "stop_reason": "tool_use"}).encode()
    version = Version(Endpoint.ANTHROPIC_MESSAGES, Reply(200, body), says("Refunded 30 EUR."))
    heard(version, agent_case(Endpoint.ANTHROPIC_MESSAGES))
    assert version.asked[1]["messages"][1]["content"][0] == thinking


def test_api_version_and_betas_go_as_they_were_recorded() -> None:
    seen: list[Call] = []

    async def ask(call: Call) -> Reply:
        seen.append(call)
        return Reply(200, wire.answer_body(Endpoint.ANTHROPIC_MESSAGES, says("x"), id="x", created=1))

    asyncio.run(replay(agent_case(Endpoint.ANTHROPIC_MESSAGES, api_version="2024-10-22", betas=("a", "b")), NEW, ask))
    assert (seen[0].api_version, seen[0].betas) == ("2024-10-22", ("a", "b"))
