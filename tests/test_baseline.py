"""Layer 1 on a real store: what is frozen, how a call is scored, and a run that never repeats a call that was recorded."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from detent import wire
from detent.baseline import BaselineRunner, Reply, checks_of, freeze, score
from detent.baseline.running import BATCH, TRIES
from detent.controller import baseline_of
from detent.decide import decide
from detent.errors import CouldNotRun
from detent.evidence.flips import RunKey
from detent.store import Store, open_store
from detent.terms import (
    Answer,
    Arm,
    BaselineEvidence,
    BaselineStage,
    Case,
    Endpoint,
    Evidence,
    Outcome,
    Phase,
    Plan,
    RecordPolicy,
    Role,
    Route,
    Run,
    ToolCall,
    Verb,
    Version,
)
from records import NEW, OLD, T0, intent, result, rollout

OPENAI = Endpoint.OPENAI_CHAT
ROUTE = Route(
    name="summarizer",
    provider="openai",
    version=OLD.model,
    owner="search@example.com",
    checks=("json_valid", "same_keys", "no_new_fence"),
    record=RecordPolicy(bodies=1.0),
)
STAGE = BaselineStage(screen=3, confirm=20, stable_repeats=4, fdr=0.1)
ROLLOUT = rollout(plan=Plan(name="standard", baseline=STAGE), phase=Phase.BASELINE)
KEY = RunKey("ca_1", Arm.CANDIDATE, "screen", 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    opened.close()


def request(text: str, **more: Any) -> bytes:
    return json.dumps({"model": "summarizer", "messages": [{"role": "user", "content": text}], **more}).encode()


def reply(text: str = "", status: int = 200, **more: Any) -> Reply:
    body = wire.answer_body(OPENAI, Answer(text=text, finish_reason="stop", model=NEW.model, **more), id="c1", created=1)
    return Reply(status, body)


def refusal(status: int, message: str = "no such parameter: `seed`") -> Reply:
    return Reply(status, json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode())


# ── freezing ──


def recorded(
    store: Store, name: str, seconds: float, asked: bytes, answer: bytes, *, outcome: Outcome = Outcome.COMPLETE, **more: Any
) -> None:
    sent = intent(name, seconds=seconds, **more)
    store.journal.put([sent], [result(name, seconds + 1, outcome, request_body=asked, answer_body=answer)])


def test_a_baseline_is_frozen_from_what_stable_answered_most_recent_first_each_prompt_once(store: Store) -> None:
    body = reply("answer").body
    recorded(store, "old", 0, request("one"), reply("an older answer").body)
    recorded(store, "new", 9, request("one"), reply("the newest answer").body)
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
    recorded(store, "whole", 5, request("one"), reply("older").body)
    recorded(store, "elsewhere", 6, request("one", metadata={"session_id": "s2"}, user="ben"), reply("older").body)
    recorded(store, "by_header", 7, request("one").replace(b'"summarizer"', b'"gpt-9"'), reply("older").body)
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
        recorded(store, f"r{i}", i, request("one", **more), reply(f"answer {i}").body)
    assert [c.exchange for c in freeze(store, ROUTE, T0, limit=10).cases] == ["ex_r5", "ex_r3", "ex_r2", "ex_r1"]
    assert [c.exchange for c in freeze(store, ROUTE, T0, limit=2).cases] == ["ex_r5", "ex_r3"]


def test_an_answer_without_its_end_is_no_known_good_one(store: Store) -> None:
    recorded(store, "cut", 9, request("one", stream=True), stream("half an ans", whole=False), stream=True)
    recorded(store, "error", 8, request("two"), b'{"error": {"message": "overloaded"}}')
    with pytest.raises(CouldNotRun, match=f"no recorded answer of `{OLD.model}` on route `summarizer` to freeze") as raised:
        freeze(store, ROUTE, T0, limit=10)
    assert "bodies" in str(raised.value.hint)


def test_tool_calls_are_frozen_too_and_the_digest_covers_the_cases_in_order(store: Store) -> None:
    call = ToolCall("call_1", "look_up", '{"id": 7}')
    recorded(store, "a", 1, request("one"), reply("", tool_calls=(call,)).body)
    first = freeze(store, ROUTE, T0, limit=10)
    assert first.cases[0].known_good_calls == (call,)
    recorded(store, "b", 2, request("two"), reply("x").body)
    second = freeze(store, ROUTE, T0, limit=10)
    recorded(store, "c", 3, request("one"), reply("y").body)
    third = freeze(store, ROUTE, T0, limit=10)
    assert len({first.digest, second.digest, third.digest}) == 3
    assert {c.id for c in second.cases} == {c.id for c in third.cases}


# ── scoring one call ──


def case(known_good: str = '{"total": 7}', name: str = "ca_1", **more: Any) -> Case:
    values: dict[str, Any] = {"request": request(name), **more}
    return Case(id=name, route="summarizer", endpoint=OPENAI, known_good=known_good, frozen_at=T0, **values)


def scored(answer: Reply, known_good: str = '{"total": 7}', **of_route: Any) -> Run:
    return score(replace(ROUTE, **of_route), case(known_good), KEY, "ro_1", answer)


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
    assert (found.passed, found.content, found.error) == (None, None, f"HTTP {status}")


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
    right = score(route, asked, KEY, "ro_1", reply("It is 1200, of which 19."))
    wrong = score(route, asked, KEY, "ro_1", reply("It is 1200, of which 23."))
    assert (right.content, right.passed) == (1.0, True)
    assert (wrong.content, wrong.passed) == (0.5, False), "one of its two numbers stands in the context"


def test_every_answer_is_graded_by_whether_it_is_one_so_that_no_prompt_stays_without_a_score() -> None:
    assert checks_of(replace(ROUTE, checks=())) == ("answered",)
    assert checks_of(replace(ROUTE, checks=("answered", "json_valid"))) == ("answered", "json_valid")
    assert scored(reply("hello"), checks=()).passed is True
    assert scored(reply(""), checks=()).passed is False
    assert scored(reply("hello"), checks=("json_schema",)).passed is True, "a prompt that asks for no schema"


def test_a_tool_call_is_shown_as_one() -> None:
    found = scored(reply("", tool_calls=(ToolCall("c", "look_up", '{"id": 7}'),)), checks=())
    assert found.output == 'look_up({"id": 7})'


# ── running ──

Answering = Callable[[Version, str, int], Reply]
"""(version, prompt, how often it was asked before) -> reply."""


@dataclass
class FakeAsk:
    """A provider: every call is counted by (model, prompt). Raises `ends` once so many calls were made."""

    answer: Answering
    ends_after: int | None = None
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def __call__(self, version: Version, endpoint: Endpoint, body: bytes) -> Reply:
        if self.ends_after is not None and self.calls.total() >= self.ends_after:
            raise KeyboardInterrupt
        asked = json.loads(body)
        assert asked["model"] == version.model
        assert endpoint is OPENAI
        prompt = asked["messages"][0]["content"]
        self.calls[version.model, prompt] += 1
        await asyncio.sleep(0)
        return self.answer(version, prompt, self.calls[version.model, prompt] - 1)


def fine(version: Version, prompt: str, n: int) -> Reply:
    return reply('{"total": 7}')


def frozen(store: Store, n: int) -> list[str]:
    for i in range(n):
        recorded(store, f"p{i}", i, request(f"p{i}"), reply('{"total": 7}').body)
    freeze(store, ROUTE, T0, limit=n)
    return [f"p{i}" for i in range(n)]


class Pauses:
    """Takes the place of sleep; remembers how long it should have been."""

    def __init__(self) -> None:
        self.made: list[float] = []

    def __call__(self, seconds: float) -> Awaitable[None]:
        self.made.append(seconds)
        return asyncio.sleep(0)


def run(store: Store, ask: FakeAsk, **more: Any) -> BaselineEvidence:
    asyncio.run(BaselineRunner(store, ask, pause=Pauses()).run(ROLLOUT, ROUTE, **more))
    return baseline_of(store, ROLLOUT)


def said(found: BaselineEvidence) -> tuple[Verb, str]:
    decision = decide(ROLLOUT, Evidence(rollout="ro_1", baseline=found), T0)
    return decision.verb, decision.reason


def test_an_unchanged_version_passes_with_the_calls_of_the_screen_and_no_more(store: Store) -> None:
    prompts = frozen(store, 6)
    ask = FakeAsk(fine)
    found = run(store, ask)
    assert ask.calls == {(OLD.model, p): 4 for p in prompts} | {(NEW.model, p): 3 for p in prompts}
    assert (found.cases, found.pending, found.suspects, found.errors, found.confirmed) == (6, 0, 0, 0, ())
    assert said(found) == (Verb.ADVANCE, "BaselinePassed")


def test_a_killed_run_goes_on_and_repeats_no_call_that_was_stored(store: Store) -> None:
    prompts = frozen(store, 20)  # 140 calls
    first = FakeAsk(fine, ends_after=100)
    with pytest.raises(KeyboardInterrupt):
        run(store, first)
    stored = Counter((OLD.model if r.arm is Arm.STABLE else NEW.model, r.case) for r in store.state.runs("ro_1"))
    assert 100 - BATCH <= stored.total() <= 100
    second = FakeAsk(fine)
    run(store, second)
    assert second.calls.total() == 140 - stored.total()
    assert len(store.state.runs("ro_1")) == 140
    assert {prompt for _, prompt in second.calls} <= set(prompts)
    third = FakeAsk(fine)
    run(store, third)
    assert not third.calls


def test_planted_collapses_are_found_by_name_and_shown(store: Store) -> None:
    frozen(store, 8)

    def fenced(version: Version, prompt: str, n: int) -> Reply:
        if version == NEW and prompt in {"p2", "p5"}:
            return reply('```json\n{"total": 7}\n```')
        return reply('{"total": 8}' if version == NEW else '{"total": 7}')

    found = run(store, FakeAsk(fenced))
    assert [(f.cause, f.stable_passed, f.candidate_passed, f.candidate_runs) for f in found.confirmed] == [("fence_added", 20, 0, 20)] * 2
    assert {(f.stable_output, f.candidate_output) for f in found.confirmed} == {('{"total": 7}', '```json\n{"total": 7}\n```')}
    assert said(found) == (Verb.REJECT, "ConfirmedNegativeFlips")


def test_a_request_that_only_the_candidate_refuses_is_a_lost_prompt(store: Store) -> None:
    frozen(store, 5)

    def refuses(version: Version, prompt: str, n: int) -> Reply:
        return refusal(400) if version == NEW and prompt == "p3" else reply('{"total": 7}')

    ask = FakeAsk(refuses)
    found = run(store, ask)
    assert ask.calls[NEW.model, "p3"] == 3 + 20, "it is not tried again: the answer would be the same"
    assert [f.cause for f in found.confirmed] == ["request_refused"]
    assert said(found) == (Verb.REJECT, "ConfirmedNegativeFlips")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overload_is_waited_out(store: Store, status: int) -> None:
    frozen(store, 1)
    pauses = Pauses()

    def recovers(version: Version, prompt: str, n: int) -> Reply:
        busy = n < STAGE.screen * (TRIES - 1)  # all of them at once, for as many attempts as can be
        return refusal(status) if version == NEW and busy else reply('{"total": 7}')

    asyncio.run(BaselineRunner(store, FakeAsk(recovers), pause=pauses).run(ROLLOUT, ROUTE))
    assert said(baseline_of(store, ROLLOUT)) == (Verb.ADVANCE, "BaselinePassed")
    assert all(r.passed for r in store.state.runs("ro_1"))
    assert sorted(set(pauses.made)) == [0.5, 1.0, 2.0], "each pause is twice the one before"


def test_a_call_without_any_answer_is_tried_again_too(store: Store) -> None:
    frozen(store, 1)

    def away(version: Version, prompt: str, n: int) -> Reply:
        if version == NEW and n == 0:
            raise CouldNotRun("connection refused")
        return reply('{"total": 7}')

    assert said(run(store, FakeAsk(away))) == (Verb.ADVANCE, "BaselinePassed")


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_version_that_never_answers_is_inconclusive_and_never_a_pass(store: Store, status: int) -> None:
    frozen(store, 2)
    ask = FakeAsk(lambda version, prompt, n: refusal(status) if version == NEW else reply('{"total": 7}'))
    found = run(store, ask)
    assert (found.pending, found.errors, found.confirmed) == (0, 2, ())
    assert said(found) == (Verb.HOLD, "BaselineInconclusive")
    assert max(ask.calls[NEW.model, p] for p in ("p0", "p1")) == 2 * STAGE.screen * TRIES, "and what that costs has an end"
    again = FakeAsk(fine)
    run(store, again)
    assert not again.calls


def test_an_outage_of_both_versions_passes_nobody(store: Store) -> None:
    frozen(store, 3)
    assert said(run(store, FakeAsk(lambda version, prompt, n: refusal(401, "invalid key")))) == (Verb.HOLD, "BaselineInconclusive")


def test_checks_that_stable_itself_never_passes_prove_nothing(store: Store) -> None:
    frozen(store, 3)
    assert said(run(store, FakeAsk(lambda version, prompt, n: reply("no JSON")))) == (Verb.HOLD, "BaselineInconclusive")


def test_a_run_that_nobody_waits_for_any_more_stops(store: Store) -> None:
    frozen(store, 20)
    asked = iter([True, True, False])
    ask = FakeAsk(fine)
    run(store, ask, going=lambda: next(asked))
    assert ask.calls.total() == 2 * BATCH


def test_progress_is_told_as_calls_made_and_calls_known(store: Store) -> None:
    frozen(store, 10)
    told: list[tuple[int, int]] = []
    run(store, FakeAsk(fine), progress=lambda done, total: told.append((done, total)))
    assert told == [(40, 70), (70, 70)]


def test_without_a_baseline_nothing_is_asked(store: Store) -> None:
    ask = FakeAsk(fine)
    found = run(store, ask)
    assert not ask.calls
    assert said(found) == (Verb.HOLD, "NoBaseline")


def test_a_baseline_that_is_frozen_anew_in_mid_run_is_run_as_it_is_now(store: Store) -> None:
    frozen(store, 4)
    run(store, FakeAsk(lambda version, prompt, n: reply("broken" if version == NEW else '{"total": 7}'), ends_after=None))
    recorded(store, "fresh", 99, request("fresh"), reply('{"total": 7}').body)
    freeze(store, ROUTE, T0, limit=1)
    ask = FakeAsk(fine)
    found = run(store, ask)
    assert set(ask.calls) == {(OLD.model, "fresh"), (NEW.model, "fresh")}
    assert (found.cases, found.confirmed, found.errors) == (1, (), 0)


def test_versions_that_are_a_little_flaky_in_the_same_way_pass(store: Store) -> None:
    frozen(store, 30)
    random = Random(5)

    def flaky(version: Version, prompt: str, n: int) -> Reply:
        return reply("oops" if random.random() < 0.05 else '{"total": 7}')

    found = run(store, FakeAsk(flaky))
    assert said(found) == (Verb.ADVANCE, "BaselinePassed")
    assert found.noise_floor is not None
    assert 0.0 < found.noise_floor < 0.15
