"""How one call of a baseline run is scored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from asked import KEY, OPENAI, ROUTE, case, heard, refusal, reply, request, used
from detent import wire
from detent.baseline import Reply, checks_of, score
from detent.terms import Answer, Arm, Case, Route, Run, Score, ToolCall, ToolResult, Unscored


def grade(route: Route, of: Case, answer: Reply, **more: Any) -> Run:
    return score(route, of, KEY, "ro_1", heard(of, answer), **more)


def scored(answer: Reply, known_good: str = '{"total": 7}', **of_route: Any) -> Run:
    return grade(replace(ROUTE, **of_route), case(known_good), answer)


def test_the_same_answer_passes_without_a_change() -> None:
    found = scored(reply('{"total": 7}'))
    assert (found.passed, found.content, found.changes, found.failed_checks, found.error) == (True, 1.0, (), (), None)
    assert (found.rollout, found.case, found.arm, found.stage, found.repeat) == ("ro_1", "ca_1", Arm.CANDIDATE, "screen", 0)
    assert found.output == '{"total": 7}'


def test_a_fence_around_the_same_json_fails_and_is_named() -> None:
    found = scored(reply('```json\n{"total": 7}\n```'))
    assert found.passed is False
    assert found.changes[0] == "fence_added"
    assert set(found.failed_checks) == {"json_valid", "no_new_fence"}
    # of json_valid, same_keys (read through the fence), no_new_fence and answered two pass
    assert found.content == 0.5


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_a_request_that_is_refused_is_a_failed_run(status: int) -> None:
    found = scored(refusal(status))
    assert (found.passed, found.failed_checks, found.output) == (False, ("request_refused",), "no such parameter: `seed`")
    assert found.content is None


@pytest.mark.parametrize("status", [401, 402, 403, 408, 409, 425, 429, 500, 502, 503, 529, 302])
def test_what_is_not_the_prompts_fault_is_not_scored_and_never_a_pass(status: int) -> None:
    found = scored(refusal(status, "come back later"))
    assert (found.passed, found.content, found.error) == (None, None, f"HTTP {status}: come back later")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"choices": [{"message": {"content": "{}"}', b'{"error": {"message": "overloaded"}}']
)
def test_an_answer_that_cannot_be_read_is_not_scored(body: bytes) -> None:
    found = scored(Reply(200, body))
    assert found.passed is None
    assert found.error


def test_the_content_score_is_the_agreement_with_the_context_where_there_is_one() -> None:
    asked = case("The total is 1200.", request=request("<docs>total 1200, tax 19</docs> How much?"))
    route = replace(ROUTE, checks=("context_agreement",), context="messages[-1] <docs>...</docs>")
    right = grade(route, asked, reply("It is 1200, of which 19."))
    wrong = grade(route, asked, reply("It is 1200, of which 23."))
    assert (right.content, right.passed) == (1.0, True)
    assert (wrong.content, wrong.passed) == (0.5, False), "one of its two numbers stands in the context"


def test_every_answer_is_graded_by_whether_it_is_one_so_that_no_prompt_stays_without_a_score() -> None:
    assert checks_of(replace(ROUTE, checks=())) == ("answered",)
    assert checks_of(replace(ROUTE, checks=("answered", "json_valid"))) == ("answered", "json_valid")
    assert scored(reply("hello"), checks=()).passed is True
    assert scored(reply(""), checks=()).passed is False
    assert scored(reply("hello"), checks=("json_schema",)).passed is True, "a prompt that asks for no schema"


def test_a_refusal_of_a_parameter_is_about_its_shape_and_one_of_a_prompt_is_not() -> None:
    asked = case(request=request("p", temperature=0.2, max_tokens=50))
    about_shape = grade(ROUTE, asked, refusal(400, "Unsupported value: 'temperature' does not support 0.2", param="temperature"))
    about_prompt = grade(
        ROUTE, asked, refusal(400, "maximum context length is 8192 tokens", param="messages", code="context_length_exceeded")
    )
    assert (about_shape.request_refused, about_shape.passed, about_shape.failed_checks) == (True, False, ("request_refused",))
    assert (about_prompt.request_refused, about_prompt.passed, about_prompt.failed_checks) == (False, False, ("request_refused",))


def test_what_nobody_blessed_is_behaviour_and_not_truth() -> None:
    fenced = reply('```json\n{"total": 7}\n```')
    route = replace(ROUTE, checks=("no_new_fence", "same_keys"))
    assert grade(route, case(), fenced).failed_checks == ("no_new_fence",)
    for unproven in (case(blessed=None), case(faulted="the total was wrong")):
        found = grade(route, unproven, fenced)
        assert (found.passed, found.failed_checks) == (True, ()), "a change is a change until somebody says which way"
        assert found.changes[0] == "fence_added"


def test_a_case_with_a_right_answer_is_graded_by_it_whatever_was_recorded() -> None:
    asked = case("The total is 8.", reference="7", blessed=None)
    route = replace(ROUTE, checks=())
    assert grade(route, asked, reply("The total is 7")).passed is True
    wrong = grade(route, asked, reply("The total is 8."))
    assert (wrong.passed, wrong.failed_checks) == (False, ("matches_reference",))


def test_tokens_time_and_model_of_a_call_are_kept() -> None:
    answer = replace(reply("x", usage=used(30, 5)), latency_s=1.5)
    found = grade(replace(ROUTE, checks=()), case("x"), answer)
    assert (found.usage, found.latency_s, found.model, found.steps) == (used(30, 5), 1.5, "atlas-2026-06-01", 1)


def test_a_check_of_the_teams_own_is_run_like_any_other() -> None:
    own = {"says_please": lambda graded: Score(check="says_please", value=0.0, passed="please" in graded.answer.text)}
    route = replace(ROUTE, checks=("says_please",))
    assert grade(route, case("x"), reply("please"), own=own).passed is True
    assert grade(route, case("x"), reply("now"), own=own).failed_checks == ("says_please",)


def test_a_check_that_could_not_do_its_work_leaves_the_run_unscored_and_one_that_does_not_apply_does_not() -> None:
    own = {"calls_home": lambda graded: Unscored("the check `calls_home` failed: KeyError", broken=True)}
    route = replace(ROUTE, checks=("json_valid", "calls_home"))
    found = grade(route, case(), reply('{"total": 7}'), own=own)
    assert (found.passed, found.failed_checks, found.error) == (None, (), "the check `calls_home` failed: KeyError")
    assert grade(route, case(), reply("no JSON"), own=own).failed_checks == ("json_valid",), "what another check fails has failed"
    absent = {"calls_home": lambda graded: Unscored("no order in the request")}
    assert grade(route, case(), reply('{"total": 7}'), own=absent).passed is True


@pytest.mark.parametrize(
    "answer",
    [
        reply("", tool_calls=(ToolCall("c", "drop_tables", "{broken"),)),
        reply("", tool_calls=(ToolCall("", "", ""),)),
        reply("\u200b\u200b"),
        reply("I'm sorry, but I can't help with that."),
    ],
)
def test_what_is_no_answer_never_passes(answer: Reply) -> None:
    found = scored(answer, checks=())
    assert (found.passed, found.failed_checks) == (False, ("answered",))


def test_an_answer_that_the_token_limit_ended_fails_where_the_known_good_was_whole() -> None:
    cut = wire.answer_body(OPENAI, Answer(text="The total is", finish_reason="length", model="m"), id="c1", created=1)
    route = replace(ROUTE, checks=())
    assert grade(route, case("The total is 7."), Reply(200, cut)).failed_checks == ("answered",)
    asked = case("The sum is", request=request("p", max_tokens=3), usage=used(10, 3))
    assert grade(route, asked, Reply(200, cut)).passed is True, "the known-good answer was ended so too"


def test_an_agent_that_ends_with_nothing_has_not_answered_whatever_it_called_before() -> None:
    call = ToolCall("c", "find", "{}")
    asked = case("It is 7.", script=(ToolResult("find", "{}", "7"),))
    ends = replace(heard(asked, reply("It is 7.")), calls=(call,), steps=2)
    silent = replace(heard(asked, reply("")), calls=(call,), steps=2)
    route = replace(ROUTE, checks=("same_tool_calls",))
    assert score(route, asked, KEY, "ro_1", ends).passed is True
    assert score(route, asked, KEY, "ro_1", silent).failed_checks == ("answered",)


def test_a_call_that_left_the_script_is_kept_without_personal_data() -> None:
    left = replace(heard(case("x"), reply("x")), left_script='find({"mail": "ann@example.org"})')
    found = score(ROUTE, case("x"), KEY, "ro_1", left)
    assert found.left_script.startswith("find(")
    assert "ann@" not in f"{found.left_script}{found.error}"


def test_what_is_kept_of_an_answer_has_no_personal_data_and_what_is_checked_is_the_answer() -> None:
    own = {"names_her": lambda graded: Score(check="names_her", value=1.0, passed="ann@example.org" in graded.answer.text)}
    found = grade(replace(ROUTE, checks=("names_her",)), case("x"), reply("Write to ann@example.org"), own=own)
    assert found.passed is True
    assert "ann@" not in found.output
    refused = grade(ROUTE, case("x"), refusal(400, "no such user: ann@example.org"))
    assert "ann@" not in f"{refused.output}{refused.error}"
    assert refused.error is not None
    assert refused.error.startswith("no such user: ")
    plainly = replace(ROUTE, record=replace(ROUTE.record, redact="none"))
    assert grade(plainly, case("x"), reply("Write to ann@example.org")).output == "Write to ann@example.org"


def test_a_tool_call_is_shown_as_one() -> None:
    found = scored(reply("", tool_calls=(ToolCall("c", "look_up", '{"id": 7}'),)), checks=())
    assert found.output == 'look_up({"id": 7})'
