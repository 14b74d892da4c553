"""Freezing: what production said becomes cases, on a real store. What is drawn, what it weighs, what is known to be good."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from detent import wire
from detent.baseline import freeze, freeze_recorded, pin, reviewed, stale_of
from detent.baseline.sources import FromJournal
from detent.errors import CouldNotRun, InvalidInput
from detent.store import Store
from detent.terms import (
    Answer,
    BaselineStage,
    Case,
    Endpoint,
    Feedback,
    Outcome,
    RecordedExchange,
    RecordPolicy,
    Role,
    Route,
    ToolCall,
    ToolResult,
)
from records import NEW, OLD, T0, at, intent, result, thumbs_down

pytest_plugins = ("stores",)

OPENAI = Endpoint.OPENAI_CHAT
ROUTE = Route(
    name="summarizer",
    provider="openai",
    version=OLD.model,
    owner="search@example.com",
    checks=("json_valid", "same_keys", "no_new_fence"),
    record=RecordPolicy(bodies=1.0),
)


def request(text: str, **more: Any) -> bytes:
    return json.dumps({"model": "summarizer", "messages": [{"role": "user", "content": text}], **more}).encode()


def reply(text: str = "", **more: Any) -> bytes:
    return wire.answer_body(OPENAI, Answer(text=text, finish_reason="stop", model=NEW.model, **more), id="c1", created=1)


def recorded(
    store: Store, name: str, seconds: float, asked: bytes, answer: bytes, *, outcome: Outcome = Outcome.COMPLETE, **more: Any
) -> None:
    sent = intent(name, seconds=seconds, template=wire.read_head(OPENAI, (), asked).template, **more)
    store.journal.put([sent], [result(name, seconds + 1, outcome, request_body=asked, answer_body=answer)])


# ── from the journal ──


def test_a_baseline_is_frozen_from_what_stable_answered_most_recent_first_each_prompt_once(store: Store) -> None:
    body = reply("answer")
    recorded(store, "old", 0, request("one"), reply("an older answer"))
    recorded(store, "new", 9, request("one"), reply("the newest answer"))
    recorded(store, "two", 5, request("two"), body)
    recorded(store, "other", 8, request("three"), body, model="atlas-2025-01-01")
    recorded(store, "shadow", 8, request("four"), body, role=Role.MIRRORED)
    recorded(store, "failed", 8, request("five"), body, outcome=Outcome.UPSTREAM_TRUNCATED)
    recorded(store, "elsewhere", 8, request("six"), body, route="chat")
    frozen = freeze(store, ROUTE, T0, limit=10)
    assert [(json.loads(c.request)["messages"][0]["content"], c.known_good, c.exchange) for c in frozen.cases] == [
        ("one", "the newest answer", "ex_new"),
        ("two", "answer", "ex_two"),
    ]
    assert (frozen.owner, frozen.route, frozen.frozen_at) == ("search@example.com", "summarizer", T0)
    assert store.state.baseline("summarizer") == frozen
    assert [case.known_good for case in freeze(store, ROUTE, T0, limit=1).cases] == ["the newest answer"]


def stream(text: str, *, whole: bool = True) -> bytes:
    events = wire.answer_stream(OPENAI, Answer(text=text, finish_reason="stop"), id="c", created=1, include_usage=False, pieces=3)
    return b"".join(events if whole else events[:2])


def test_who_asks_and_how_the_answer_travels_make_no_other_prompt(store: Store) -> None:
    recorded(store, "streamed", 9, request("one", stream=True, stream_options={"include_usage": True}), stream("newest"), stream=True)
    recorded(store, "whole", 5, request("one"), reply("older"))
    recorded(store, "elsewhere", 6, request("one", metadata={"session_id": "s2"}, user="ben"), reply("older"))
    recorded(store, "by_header", 7, request("one").replace(b'"summarizer"', b'"gpt-9"'), reply("older"))
    (case,) = freeze(store, ROUTE, T0, limit=10).cases
    assert (case.known_good, case.exchange) == ("newest", "ex_streamed")
    assert json.loads(case.request)["stream"] is False


def test_what_changes_the_answer_makes_another_prompt_and_the_limit_counts_prompts(store: Store) -> None:
    asked: list[dict[str, Any]] = [
        {},
        {"temperature": 0},
        {"response_format": {"type": "json_object"}},
        {"tools": []},
        {"user": "ann"},
        {"user": "ben"},
    ]
    for i, more in enumerate(asked):
        recorded(store, f"r{i}", i, request("one", **more), reply(f"answer {i}"))
    assert [c.exchange for c in freeze(store, ROUTE, T0, limit=10).cases] == ["ex_r5", "ex_r3", "ex_r2", "ex_r1"]
    two = freeze(store, ROUTE, T0, limit=2)
    assert len(two.cases) == 2
    assert sum(case.weight for case in two.cases) == pytest.approx(6), "they stand for all six"


def test_an_answer_without_its_end_is_no_known_good_one(store: Store) -> None:
    recorded(store, "cut", 9, request("one", stream=True), stream("half an ans", whole=False), stream=True)
    recorded(store, "error", 8, request("two"), b'{"error": {"message": "overloaded"}}')
    with pytest.raises(CouldNotRun, match=f"no recorded answer of `{OLD.model}` on route `summarizer` to freeze") as raised:
        freeze(store, ROUTE, T0, limit=10)
    assert "bodies" in str(raised.value.hint)


def test_tool_calls_are_frozen_too_and_the_digest_covers_the_cases_in_order(store: Store) -> None:
    call = ToolCall("call_1", "look_up", '{"id": 7}')
    recorded(store, "a", 1, request("one"), reply("", tool_calls=(call,)))
    first = freeze(store, ROUTE, T0, limit=10)
    assert first.cases[0].known_good_calls == (call,)
    recorded(store, "b", 2, request("two"), reply("x"))
    second = freeze(store, ROUTE, T0, limit=10)
    recorded(store, "c", 3, request("one"), reply("y"))
    third = freeze(store, ROUTE, T0, limit=10)
    assert len({first.digest, second.digest, third.digest}) == 3
    assert {c.id for c in second.cases} == {c.id for c in third.cases}


def asked_of(case: Case) -> str:
    return str(json.loads(case.request)["messages"][-1]["content"])


LONG = (
    "Please write a friendly letter to the customer who asks about the delivery of the parcel and says when it will come to the house. "
    "Mention the tracking page, thank them for their patience, and do not offer any money back."
)


def test_near_duplicates_go_and_their_weight_stays_with_the_newest(store: Store) -> None:
    recorded(store, "a", 1, request(LONG), reply("{}"))
    recorded(store, "b", 2, request(LONG.replace("friendly", "kind")), reply("{}"))
    recorded(store, "c", 3, request(LONG.upper()), reply('{"c": 1}'))
    recorded(store, "d", 4, request(f"{LONG} It is 30 days late."), reply("{}"))
    recorded(store, "e", 5, request(f"{LONG} It is 60 days late."), reply("{}"))
    frozen = freeze(store, ROUTE, T0, limit=10)
    assert [(case.exchange, case.weight) for case in frozen.cases] == [("ex_e", 1.0), ("ex_d", 1.0), ("ex_c", 3.0)]
    assert (frozen.read, frozen.coverage, frozen.version) == (5, 1.0, OLD.model)
    assert (frozen.since_at, frozen.until_at) == (T0 + timedelta(seconds=1), T0 + timedelta(seconds=5))


def test_a_small_baseline_speaks_for_all_of_the_traffic_and_keeps_the_rare_stratum(store: Store) -> None:
    """300 prompts of which 3 offer a tool: ten cases, one of them with a tool, and 1 % of the weight is on it."""
    tool = {"type": "function", "function": {"name": "look_up"}}
    for n in range(300):
        more = {"tools": [tool]} if n % 100 == 50 else {}
        recorded(store, f"r{n}", n, request(f"prompt number {n}", **more), reply("{}"))
    frozen = freeze(store, ROUTE, T0, limit=10)
    assert len(frozen.cases) == 10
    assert sum(case.weight for case in frozen.cases) == pytest.approx(300)
    weighed = sum(case.weight for case in frozen.cases if case.strata["tools"] == "offered")
    assert weighed == pytest.approx(3, rel=0.01)
    assert frozen.strata["tools"] == pytest.approx({"no": 0.99, "offered": 0.01})
    assert sorted(frozen.templates.values()) == pytest.approx([0.01, 0.99])


def test_several_processes_freeze_the_same_baseline_as_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detent.baseline.sources.STRETCH", 25)
    for n in range(100):
        recorded(store, f"r{n}", n, request(f"{LONG} {'again ' * (n % 7)} number {n // 2}"), reply("{}"))
    told: list[tuple[int, int | None]] = []
    one = freeze(store, ROUTE, T0, limit=20, processes=1, progress=lambda done, total: told.append((done, total)))
    two = freeze(store, ROUTE, T0, limit=20, processes=2)
    assert one == two
    assert told == [(25, 100), (50, 100), (75, 100), (100, 100)]
    tables = list(FromJournal(store.journal, "summarizer", OLD.model).tables(lambda done, total: None))
    assert [len(table.key) for table in tables] == [25, 25, 25, 25]


def test_what_users_disliked_is_not_taken_where_another_answer_to_the_prompt_is_there(store: Store) -> None:
    for n, name in enumerate("abc"):
        recorded(store, name, n, request("one"), reply(f'{{"n": {n}}}'), session=f"s{n}")
    store.journal.put(said=[thumbs_down("f1", 9, exchange="ex_c")])
    (case,) = freeze(store, ROUTE, T0, limit=10).cases
    assert (case.exchange, case.faulted) == ("ex_b", "")
    store.journal.put(said=[thumbs_down("f2", 9, exchange="ex_b"), thumbs_down("f3", 9, session="s0")])
    (case,) = freeze(store, ROUTE, T0, limit=10).cases
    assert (case.exchange, case.faulted, case.blessed) == ("ex_c", "users said that it is bad", None)
    store.journal.put(said=[Feedback(id="f4", at_us=at(9), metric="thumbs", value=1.0, exchange="ex_a")])
    (case,) = freeze(store, ROUTE, T0, limit=10).cases
    assert case.exchange == "ex_a"
    assert case.blessed is not None
    assert case.blessed.by == "feedback"


def test_an_answer_that_fails_a_check_of_the_route_is_not_known_good(store: Store) -> None:
    recorded(store, "a", 1, request("one", response_format={"type": "json_object"}), reply("no JSON"))
    recorded(store, "b", 2, request("two", response_format={"type": "json_object"}), reply("{}"))
    frozen = freeze(store, ROUTE, T0, limit=10)
    good, bad = frozen.cases
    assert good.blessed is not None
    assert (good.blessed.by, "json_valid" in good.blessed.why) == ("checks", True)
    assert bad.blessed is None
    assert bad.faulted.startswith("fails json_valid")
    assert frozen.blessed_share == 0.5


# ── agents ──


def turn(*results: str) -> bytes:
    """A request of an agent, with so many steps behind it."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You look things up."},
        {"role": "user", "content": "Where is order 7?"},
    ]
    for n, said in enumerate(results):
        call = {"id": f"c{n}", "type": "function", "function": {"name": "look_up", "arguments": f'{{"step": {n}, "id": 7}}'}}
        messages += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": f"c{n}", "content": said}]
    return json.dumps({"model": "summarizer", "messages": messages}).encode()


CALL = ToolCall("c0", "look_up", '{"id": 7, "step": 0}')


def test_of_the_steps_of_a_turn_the_one_that_went_furthest_is_kept_with_its_script(store: Store) -> None:
    recorded_step(store, "one", 1, turn(), reply("", tool_calls=(CALL,)), called=True)
    recorded_step(store, "three", 3, turn("in Oslo", "on a ship"), reply("On a ship in Oslo."))
    recorded_step(store, "two", 2, turn("in Oslo"), reply("", tool_calls=(CALL,)), called=True)
    recorded_step(store, "later", 9, turn(), reply("", tool_calls=(CALL,)), called=True)
    (case,) = freeze(store, replace(ROUTE, checks=()), T0, limit=10).cases
    assert (case.exchange, case.known_good, case.known_good_calls, case.weight) == ("ex_three", "On a ship in Oslo.", (), 4.0)
    assert json.loads(case.request)["messages"] == json.loads(turn())["messages"]
    assert case.script == (
        ToolResult("look_up", '{"id":7,"step":0}', "in Oslo"),
        ToolResult("look_up", '{"id":7,"step":1}', "on a ship"),
    )
    assert case.strata["tools"] == "called"


def recorded_step(store: Store, name: str, seconds: float, asked: bytes, answer: bytes, *, called: bool = False) -> None:
    sent = intent(name, seconds=seconds, template=wire.read_head(OPENAI, (), asked).template)
    ended = result(name, seconds + 1, tools_called=("look_up",) if called else (), request_body=asked, answer_body=answer)
    store.journal.put([sent], [ended])


def test_a_turn_of_which_no_end_was_recorded_is_kept_as_far_as_it_went(store: Store) -> None:
    recorded_step(store, "two", 2, turn("in Oslo"), reply("", tool_calls=(CALL,)), called=True)
    recorded_step(store, "one", 9, turn(), reply("", tool_calls=(CALL,)), called=True)
    (case,) = freeze(store, replace(ROUTE, checks=()), T0, limit=10).cases
    assert (case.exchange, len(case.script), case.known_good_calls) == ("ex_two", 1, (CALL,))


# ── incidents ──


def test_an_incident_is_in_every_baseline_beyond_the_limit_and_its_output_is_never_known_good(store: Store) -> None:
    for n in range(5):
        recorded(store, f"r{n}", n, request(f"prompt {n}"), reply("{}"))
    recorded(store, "bad", 6, request("the one that went wrong"), reply("I promise you a refund of 1000."), model="atlas-2025-01-01")
    kept = pin(store, ROUTE, "ex_bad", "promised money to ada@example.com", "ann", T0)
    assert store.state.pins("summarizer")[0][0] == kept
    assert kept.why == "promised money to [EMAIL_1]"
    for limit in (1, 3):
        frozen = freeze(store, ROUTE, T0, limit=limit)
        assert len(frozen.cases) == limit + 1
        (case,) = [case for case in frozen.cases if case.pinned]
        assert (case.pinned, case.faulted, case.blessed) == (kept.why, f"pinned as an incident: {kept.why}", None)
        assert (asked_of(case), case.known_good, case.weight, case.reserve) == (
            ("the one that went wrong", "I promise you a refund of 1000.", 1.0, False)
        )
    store.state.drop_pin("summarizer", "ex_bad")
    assert not [case for case in freeze(store, ROUTE, T0, limit=3).cases if case.pinned]


def test_an_incident_whose_prompt_is_drawn_takes_its_place_and_its_weight(store: Store) -> None:
    for n in range(3):
        recorded(store, f"r{n}", n, request("one"), reply(f'{{"n": {n}}}'))
    pin(store, ROUTE, "ex_r0", "wrong number", "ann", T0)
    (case,) = freeze(store, ROUTE, T0, limit=10).cases
    assert (case.exchange, case.weight, case.pinned, case.blessed) == ("ex_r0", 3.0, "wrong number", None)


def test_an_incident_with_the_right_answer_written_down_is_graded_by_it(store: Store) -> None:
    recorded(store, "bad", 1, request("6 times 7?"), reply("41"))
    pin(store, replace(ROUTE, checks=()), "ex_bad", "wrong", "ann", T0, reference="42")
    (case,) = freeze(store, replace(ROUTE, checks=()), T0, limit=10).cases
    assert (case.reference, case.blessed) == ("42", None)
    assert case.faulted.startswith("fails matches_reference")


def test_an_incident_may_have_no_answer_at_all(store: Store) -> None:
    sent = intent("dead", seconds=1)
    store.journal.put([sent], [result("dead", 2, Outcome.TIMED_OUT, request_body=request("one"), answer_body=None)])
    pin(store, ROUTE, "ex_dead", "no answer", "ann", T0)
    (case,) = freeze(store, ROUTE, T0, limit=10).cases
    assert (case.known_good, case.faulted) == ("", "no whole answer was recorded")


def test_what_cannot_be_pinned_is_said_with_the_next_step(store: Store) -> None:
    store.journal.put([intent("bare"), intent("other", route="chat")], [result("bare"), result("other", request_body=b"{}")])
    for name, says in (
        ("ex_none", "no such exchange: `ex_none`"),
        ("ex_bare", "bodies of this exchange were not kept"),
        ("ex_other", "`chat`"),
    ):
        with pytest.raises(InvalidInput, match=says) as raised:
            pin(store, ROUTE, name, "why", "ann", T0)
        assert raised.value.hint


def test_an_incident_is_kept_redacted(store: Store) -> None:
    recorded(store, "bad", 1, request("I am ada@example.com"), reply("Hello ada@example.com"))
    pin(store, ROUTE, "ex_bad", "leaked", "ann", T0)
    assert b"ada@example.com" not in store.state.pins("summarizer")[0][1].request
    frozen = freeze(store, ROUTE, T0, limit=10)
    assert "ada" not in frozen.cases[0].request.decode() + frozen.cases[0].known_good


# ── the blind reserve, the digest, what was said before ──


def test_a_tenth_of_the_cases_is_held_back_and_mostly_the_same_ones(store: Store) -> None:
    for n in range(60):
        recorded(store, f"r{n}", n, request(f"prompt {n}"), reply("{}"))
    pin(store, ROUTE, "ex_r7", "incident", "ann", T0)
    held = {case.id for case in freeze(store, ROUTE, T0, limit=100).cases if case.reserve}
    assert len(held) == round(0.1 * 59)
    recorded(store, "r60", 60, request("prompt 60"), reply("{}"))
    again = {case.id for case in freeze(store, ROUTE, T0, limit=100).cases if case.reserve}
    assert len(held & again) >= len(held) - 1
    assert not [case for case in freeze(store, ROUTE, T0, limit=100, stage=BaselineStage(reserve=0.0)).cases if case.reserve]
    shown = [case.exchange for case in freeze(store, ROUTE, T0, limit=100, stage=BaselineStage(reserve=1.0)).cases if not case.reserve]
    assert shown == ["ex_r7"], "an incident is never held back"


def test_the_digest_is_of_all_that_decides_and_of_nothing_else(store: Store) -> None:
    recorded(store, "a", 1, request("one"), reply("{}"))
    first = freeze(store, ROUTE, T0, limit=10)
    assert freeze(store, ROUTE, T0 + timedelta(days=1), limit=10).digest == first.digest
    recorded(store, "b", 2, request("one"), reply("{}"))
    heavier = freeze(store, ROUTE, T0, limit=10)
    assert heavier.digest != first.digest, "the weight decides too"
    store.journal.put(said=[thumbs_down("f1", 9, exchange="ex_a"), thumbs_down("f2", 9, exchange="ex_b")])
    assert freeze(store, ROUTE, T0, limit=10).digest != heavier.digest, "and so does whether the output is known good"


def test_what_a_person_said_of_an_output_holds_at_the_next_freeze(store: Store) -> None:
    recorded(store, "a", 1, request("one"), reply("{}"))
    recorded(store, "b", 2, request("two"), reply('{"b": 1}'))
    frozen = freeze(store, ROUTE, T0, limit=10)
    two, one = frozen.cases
    store.state.put_baseline(reviewed(frozen, {one.id: (True, "fine"), two.id: (False, "no total")}, "ann", T0))
    two, one = freeze(store, ROUTE, T0, limit=10).cases
    assert one.blessed is not None
    assert (one.blessed.by, two.blessed, two.faulted) == ("ann", None, "ann: no total")
    recorded(store, "c", 3, request("two"), reply('{"total": 1}'))
    assert freeze(store, ROUTE, T0, limit=10).cases[0].faulted == "", "another output"


# ── from elsewhere ──


def exchange(n: int, text: str, said: str = "{}", **more: Any) -> RecordedExchange:
    values: dict[str, Any] = {"answer": Answer(text=said), "model": OLD.model, "at": T0 + timedelta(minutes=n), "task": "letters"}
    return RecordedExchange(**{"id": f"log.jsonl:{n}", "endpoint": OPENAI, "request": request(text), **values, **more})


def test_files_freeze_without_a_gateway_and_are_read_once(store: Store) -> None:
    told: list[tuple[int, int | None]] = []
    rows = (exchange(n, f"prompt {n} of ada@example.com", session="s") for n in range(30))
    frozen = freeze_recorded(store, ROUTE, rows, T0, limit=10, progress=lambda done, total: told.append((done, total)))
    assert store.state.baseline("summarizer") == frozen
    assert (len(frozen.cases), frozen.read, frozen.version) == (10, 30, OLD.model)
    assert sum(case.weight for case in frozen.cases) == pytest.approx(30)
    assert all(case.strata["task"] == "letters" and "[EMAIL_1]" in case.request.decode() for case in frozen.cases)
    assert frozen.redacted == {"EMAIL": 10}
    assert told[-1] == (30, 30)


def test_refusals_errors_and_broken_answers_are_not_frozen_unless_somebody_said_what_is_right(store: Store) -> None:
    rows = [
        exchange(0, "zero", answer=Answer(text="I can't.", refusal=True)),
        exchange(1, "one", answer=Answer(complete=False, error="overloaded")),
        exchange(2, "two", answer=Answer(text="half an", complete=False)),
        exchange(3, "three", answer=Answer(text="I can't.", refusal=True), correct=False),
        exchange(4, "four", answer=Answer(complete=False, error="overloaded"), reference="42"),
        exchange(5, "five", "41", reference="42"),
        exchange(6, "six", "42", reference="42"),
        exchange(7, "seven", "yes", correct=True),
        exchange(8, "eight", "yes", correct=False),
        exchange(9, "nine", "yes", rating=0.2),
    ]
    frozen = freeze_recorded(store, replace(ROUTE, checks=()), rows, T0, limit=100)
    said = {case.exchange: case.faulted or (case.blessed and case.blessed.by) for case in frozen.cases}
    assert said == {
        "log.jsonl:9": "users said that it is bad",
        "log.jsonl:8": "its label says so",
        "log.jsonl:7": "label",
        "log.jsonl:6": "label",
        "log.jsonl:5": said["log.jsonl:5"],
        "log.jsonl:4": "no whole answer was recorded",
        "log.jsonl:3": "its label says so",
    }
    assert str(said["log.jsonl:5"]).startswith("fails matches_reference")


def test_rows_that_cannot_be_sent_again_cost_the_others_nothing(store: Store) -> None:
    twice = b'{"model": "m", "model": "n", "messages": [{"role": "user", "content": "x"}]}'
    rows = [
        exchange(0, "", request=b"{}"),
        exchange(1, "", request=twice),
        exchange(2, "", request=twice, template="t"),
        exchange(3, "fine"),
    ]
    assert [case.exchange for case in freeze_recorded(store, ROUTE, rows, T0, limit=10).cases] == ["log.jsonl:3"]
    with pytest.raises(CouldNotRun, match="no usable exchange to freeze in log") as raised:
        freeze_recorded(store, ROUTE, rows[:2], T0, limit=10, source="log.jsonl")
    assert "import --check" in str(raised.value.hint)


def test_what_was_recorded_without_a_time_has_no_season_and_no_span(store: Store) -> None:
    frozen = freeze_recorded(store, ROUTE, [exchange(0, "one", at=None)], T0, limit=10)
    assert (frozen.since_at, frozen.until_at, frozen.cases[0].strata["season"]) == (None, None, "unknown")


@pytest.mark.parametrize(("finish", "by"), [("stop", "checks"), ("length", ""), ("max_tokens", ""), ("content_filter", "")])
def test_an_answer_that_was_cut_off_is_not_known_good_for_passing_the_checks(store: Store, finish: str, by: str) -> None:
    rows = [exchange(0, "zero", answer=Answer(text="yes, and", finish_reason=finish))]
    (one,) = freeze_recorded(store, replace(ROUTE, checks=()), rows, T0, limit=9).cases
    assert (one.blessed.by if one.blessed else "", one.faulted) == (by, "")


# ── stale ──


def test_a_baseline_goes_stale_with_the_apps_prompt(store: Store) -> None:
    """150 requests of the old prompt were frozen; a week later most requests have another system prompt."""
    for n in range(150):
        recorded(store, f"old{n}", n, request(f"prompt {n}"), reply("{}"))
    freeze(store, ROUTE, T0, limit=20)
    now = T0 + timedelta(days=6)
    assert stale_of(store, ROUTE.name, BaselineStage(), now) == ()
    later = timedelta(days=8).total_seconds()
    for n in range(150):
        recorded(store, f"new{n}", later + n, request(f"prompt {n}", temperature=0.9), reply("{}"))
    (said,) = stale_of(store, ROUTE.name, BaselineStage(), T0 + timedelta(days=9))
    assert said == ("100.0 % of the last 150 requests have a system prompt, tools or parameters that it does not know; the limit is 20.0 %")
    freeze(store, ROUTE, T0 + timedelta(days=9), limit=20)
    assert stale_of(store, ROUTE.name, BaselineStage(), T0 + timedelta(days=9)) == ()
    assert stale_of(store, ROUTE.name, BaselineStage(), datetime(2026, 9, 1, 12, tzinfo=UTC)) == (
        "it was frozen 175 days ago; the limit is 30d",
    )
