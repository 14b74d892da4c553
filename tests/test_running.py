"""Running two versions over a frozen baseline: every call that is needed and none twice, at the provider's pace, within the budget."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from asked import (
    ROLLOUT,
    ROUTE,
    STAGE,
    TOTAL,
    FakeAsk,
    Time,
    case,
    freeze_cases,
    frozen,
    refusal,
    reply,
    request,
    run,
    said,
    used,
    with_stage,
)
from detent.baseline import BaselineRunner, Call, Reply
from detent.baseline.lanes import BUSY_TRIES, TRIES, Hopeless
from detent.baseline.pacing import CEILING
from detent.baseline.running import Standing
from detent.controller import baseline_of
from detent.errors import CouldNotRun, InvalidInput
from detent.evidence.spending import worst_usd
from detent.store import Store, open_store
from detent.terms import Arm, Price, Verb, Version
from processes import until
from records import NEW, OLD


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield opened
    opened.close()


def test_an_unchanged_version_passes_with_the_calls_of_the_screen_and_no_more(store: Store) -> None:
    prompts = frozen(store, 6)
    ask = FakeAsk()
    found = run(store, ask)
    assert ask.calls == {(OLD.model, p): 4 for p in prompts} | {(NEW.model, p): 3 for p in prompts}
    assert (found.cases, found.pending, found.suspects, found.errors, found.confirmed) == (6, 0, 0, 0, ())
    assert said(found) == (Verb.ADVANCE, "BaselinePassed")


def test_a_killed_run_goes_on_and_repeats_no_call_that_was_stored(store: Store) -> None:
    prompts = frozen(store, 20)  # 140 calls
    first = FakeAsk(ends_after=100)
    with pytest.raises(KeyboardInterrupt):
        run(store, first)
    stored = Counter((OLD.model if r.arm is Arm.STABLE else NEW.model, r.case) for r in store.state.runs("ro_1"))
    assert 100 - 2 * CEILING <= stored.total() <= 100
    second = FakeAsk()
    run(store, second)
    assert second.calls.total() == 140 - stored.total()
    assert len(store.state.runs("ro_1")) == 140
    assert {prompt for _, prompt in second.calls} <= set(prompts)
    third = FakeAsk()
    run(store, third)
    assert not third.calls


def test_planted_collapses_are_found_by_name_and_shown(store: Store) -> None:
    frozen(store, 8)

    def fenced(version: Version, prompt: str, n: int) -> Reply:
        if version == NEW and prompt in {"p2", "p5"}:
            return reply('```json\n{"total": 7}\n```')
        return reply('{"total": 8}' if version == NEW else TOTAL)

    found = run(store, FakeAsk(fenced))
    assert [(f.cause, f.stable_passed, f.candidate_passed, f.candidate_runs) for f in found.confirmed] == [("fence_added", 20, 0, 20)] * 2
    assert {(f.stable_output, f.candidate_output) for f in found.confirmed} == {(TOTAL, '```json\n{"total": 7}\n```')}
    assert said(found) == (Verb.REJECT, "ConfirmedNegativeFlips")


def test_a_request_that_only_the_candidate_refuses_is_a_lost_prompt(store: Store) -> None:
    frozen(store, 5)

    def refuses(version: Version, prompt: str, n: int) -> Reply:
        return refusal(400) if version == NEW and prompt == "p3" else reply(TOTAL)

    ask = FakeAsk(refuses)
    found = run(store, ask)
    assert ask.calls[NEW.model, "p3"] == 3 + 20, "it is not tried again: the answer would be the same"
    assert [f.cause for f in found.confirmed] == ["request_refused"]
    assert said(found) == (Verb.REJECT, "ConfirmedNegativeFlips")


@pytest.mark.parametrize("status", [500, 502])
def test_a_failure_is_waited_out(store: Store, status: int) -> None:
    frozen(store, 1)
    time = Time()

    def recovers(version: Version, prompt: str, n: int) -> Reply:
        return refusal(status) if version == NEW and n < TRIES - 1 else reply(TOTAL)

    assert said(run(store, FakeAsk(recovers), time=time)) == (Verb.ADVANCE, "BaselinePassed")
    assert all(r.passed for r in store.state.runs("ro_1"))
    assert sorted(set(time.rests)) == [0.5, 1.0, 2.0], "each rest is twice the one before"


@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_overload_slows_down_all_calls_to_the_provider_and_costs_none_of_them(store: Store, status: int) -> None:
    frozen(store, 40)
    time, ask = Time(), FakeAsk()
    ask.answer = lambda version, prompt, n: refusal(status) if time.now < 400.0 else reply(TOTAL)
    found = run(store, ask, time=time)
    assert said(found) == (Verb.ADVANCE, "BaselinePassed")
    assert all(r.passed for r in store.state.runs("ro_1"))
    refused = ask.calls.total() - 40 * 7
    assert refused < 25, "280 calls that each try for themselves would have made thousands"


def test_a_provider_is_left_alone_for_as_long_as_it_asks(store: Store) -> None:
    frozen(store, 1)
    time, ask = Time(), FakeAsk()
    ask.answer = lambda version, prompt, n: refusal(429, retry_after_s=17.0) if len(ask.order) == 1 else reply(TOTAL)
    run(store, ask, time=time)
    assert max(time.rests) == 17.0
    assert ask.calls.total() == 7 + 1


def test_as_many_calls_are_in_flight_as_the_provider_takes_and_no_more_than_the_ceiling(store: Store) -> None:
    frozen(store, 200)
    ask = FakeAsk()
    run(store, ask)
    assert ask.most["openai"] == CEILING
    narrow = FakeAsk()
    narrow.answer = lambda version, prompt, n: refusal(429) if narrow.in_flight["openai"] >= 6 else reply(TOTAL)
    freeze_cases(store, [case(name=f"q{i}") for i in range(200)])
    assert said(run(store, narrow)) == (Verb.ADVANCE, "BaselinePassed")
    assert narrow.most["openai"] <= 8
    assert narrow.calls.total() <= 1.25 * 1400


def test_a_provider_that_says_not_to_try_again_is_not(store: Store) -> None:
    frozen(store, 1)
    ask = FakeAsk(lambda version, prompt, n: refusal(500, retry=False) if version == NEW else reply(TOTAL))
    run(store, ask)
    assert ask.calls[NEW.model, "p0"] == 2 * STAGE.screen


def test_a_call_without_any_answer_is_tried_again_too(store: Store) -> None:
    frozen(store, 1)

    def away(version: Version, prompt: str, n: int) -> Reply:
        if version == NEW and n == 0:
            raise CouldNotRun("connection refused")
        return reply(TOTAL)

    assert said(run(store, FakeAsk(away))) == (Verb.ADVANCE, "BaselinePassed")


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (429, BUSY_TRIES), (500, TRIES)])
def test_a_version_that_never_answers_is_inconclusive_and_never_a_pass(store: Store, status: int, tries: int) -> None:
    frozen(store, 2)
    ask = FakeAsk(lambda version, prompt, n: refusal(status) if version == NEW else reply(TOTAL))
    found = run(store, ask)
    assert (found.pending, found.errors, found.confirmed) == (0, 2, ())
    assert said(found)[0] is Verb.HOLD
    assert max(ask.calls[NEW.model, p] for p in ("p0", "p1")) == 2 * STAGE.screen * tries, "and what that costs has an end"
    assert {r.error for r in store.state.runs("ro_1") if r.passed is None} == {f"HTTP {status}: no such parameter: `seed`"}
    again = FakeAsk()
    run(store, again)
    assert not again.calls


@pytest.mark.parametrize(
    "answer",
    [
        refusal(401, "Incorrect API key"),
        refusal(404, "The model `atlas-2026-06-1` does not exist", code="model_not_found"),
        refusal(400, "unknown model", code="model_not_found"),
        refusal(429, "You exceeded your current quota", code="insufficient_quota"),
    ],
)
def test_what_no_other_call_would_fare_better_by_ends_the_run_and_is_no_finding(store: Store, answer: Reply) -> None:
    frozen(store, 20)
    ask = FakeAsk(lambda version, prompt, n: answer if version == NEW else reply(TOTAL))
    with pytest.raises(Hopeless, match=r"`openai/atlas-2026-06-01` cannot be asked: HTTP \d+: "):
        run(store, ask)
    assert sum(n for (model, _), n in ask.calls.items() if model == NEW.model) <= CEILING
    assert all(r.arm is Arm.STABLE and not r.request_refused for r in store.state.runs("ro_1"))
    mended = FakeAsk()
    assert said(run(store, mended)) == (Verb.ADVANCE, "BaselinePassed")
    assert mended.calls.total() + len(store.state.runs("ro_1")) >= 140


def test_a_providers_words_cannot_take_over_a_terminal(store: Store) -> None:
    frozen(store, 1)
    with pytest.raises(Hopeless) as raised:
        run(store, FakeAsk(lambda version, prompt, n: refusal(401, "no\x1b[2Jkey\u202e\nhint: pass")))
    assert raised.value.message.isprintable()


def test_checks_that_stable_itself_never_passes_prove_nothing(store: Store) -> None:
    frozen(store, 3)
    assert said(run(store, FakeAsk(lambda version, prompt, n: reply("no JSON")))) == (Verb.HOLD, "BaselineInconclusive")


def test_a_run_that_nobody_waits_for_any_more_stops(store: Store) -> None:
    frozen(store, 100)
    asked = iter([True, True, False])
    ask = FakeAsk()
    run(store, ask, going=lambda: next(asked))
    assert 0 < len(store.state.runs("ro_1")) <= ask.calls.total() < 350


def test_what_was_answered_when_a_run_ends_is_stored(store: Store) -> None:
    frozen(store, 100)
    ask, seen = FakeAsk(), list[int]()

    def going() -> bool:
        seen.append(len(store.state.runs("ro_1")))
        if len(seen) == 1:  # only the first call of this shape was made
            return True
        until(lambda: ask.calls.total() >= 60, "calls made while this is asked")
        return False

    run(store, ask, going=going)
    assert len(store.state.runs("ro_1")) >= 55 > seen[-1]


def test_progress_is_told_as_calls_made_and_calls_known(store: Store) -> None:
    frozen(store, 10)
    told: list[Standing] = []
    run(store, FakeAsk(), progress=told.append)
    assert told[-1] == Standing(70, 70, 0.0)
    assert [s.done for s in told] == sorted(s.done for s in told)
    assert {s.total for s in told} == {70}


def test_without_a_baseline_nothing_is_asked(store: Store) -> None:
    ask = FakeAsk()
    found = run(store, ask)
    assert not ask.calls
    assert said(found) == (Verb.HOLD, "NoBaseline")


def test_a_baseline_that_is_frozen_anew_in_mid_run_is_run_as_it_is_now(store: Store) -> None:
    frozen(store, 4)
    run(store, FakeAsk(lambda version, prompt, n: reply("broken" if version == NEW else TOTAL)))
    freeze_cases(store, [case(name="fresh")])
    ask = FakeAsk()
    found = run(store, ask)
    assert set(ask.calls) == {(OLD.model, "fresh"), (NEW.model, "fresh")}
    assert (found.cases, found.confirmed, found.errors) == (1, (), 0)


def test_versions_that_are_a_little_flaky_in_the_same_way_pass(store: Store) -> None:
    frozen(store, 30)
    random = Random(5)

    def flaky(version: Version, prompt: str, n: int) -> Reply:
        return reply("oops" if random.random() < 0.05 else TOTAL)

    found = run(store, FakeAsk(flaky))
    assert said(found) == (Verb.ADVANCE, "BaselinePassed")
    assert found.noise_floor is not None
    assert 0.0 < found.noise_floor < 0.15


# ── what the candidate does not take ──


def tempered_cases(store: Store) -> None:
    tempered = [case(name=f"t{i}", request=request(f"t{i}", temperature=0.2)) for i in range(30)]
    freeze_cases(store, [case(name=f"p{i}") for i in range(5)] + tempered)


def asked_of(ask: FakeAsk, letter: str) -> Counter[str]:
    """Calls by model, for prompts that begin with the letter."""
    found: Counter[str] = Counter()
    for (model, prompt), n in ask.calls.items():
        found[model] += n if prompt.startswith(letter) else 0
    return found


REFUSED_HOT = refusal(400, "Unsupported value: 'temperature' does not support 0.2 with this model.", param="temperature")


def test_a_parameter_that_the_candidate_refuses_is_found_by_three_calls_and_costs_no_other(store: Store) -> None:
    tempered_cases(store)
    ask = FakeAsk(lambda version, prompt, n: REFUSED_HOT if version == NEW and prompt.startswith("t") else reply(TOTAL))
    found = run(store, ask)
    assert [(r.shape, r.cases) for r in found.refused] == [("temperature=0.2", 30)]
    assert "'temperature' does not support 0.2" in found.refused[0].said
    assert asked_of(ask, "t") == {NEW.model: 2, OLD.model: 1}, "once more, and whether stable takes it"
    assert asked_of(ask, "p") == {NEW.model: 5 * 3, OLD.model: 5 * 4}
    assert said(found) == (Verb.REJECT, "RequestRefused")
    again = FakeAsk(ask.answer)
    run(store, again)
    assert not again.calls


def test_a_run_that_was_killed_after_one_refusal_asks_for_the_rest_of_the_proof(store: Store) -> None:
    freeze_cases(store, [case(name=f"t{i}", request=request(f"t{i}", temperature=0.2)) for i in range(6)])
    hot = FakeAsk(lambda version, prompt, n: REFUSED_HOT if version == NEW else reply(TOTAL), ends_after=1)
    with pytest.raises(KeyboardInterrupt):
        run(store, hot)
    assert len(store.state.runs("ro_1")) == 1
    hot.ends_after = None
    found = run(store, hot)
    assert asked_of(hot, "t") == {NEW.model: 2, OLD.model: 1}
    assert said(found) == (Verb.REJECT, "RequestRefused")


def test_what_stable_is_refused_as_well_is_no_finding(store: Store) -> None:
    tempered_cases(store)
    ask = FakeAsk(lambda version, prompt, n: REFUSED_HOT if prompt.startswith("t") else reply(TOTAL))
    found = run(store, ask)
    assert found.refused == ()
    assert asked_of(ask, "t").total() <= 3
    assert said(found)[0] is Verb.HOLD


def test_a_refusal_that_does_not_come_again_is_no_finding_of_the_shape(store: Store) -> None:
    tempered_cases(store)
    refusals = iter([REFUSED_HOT])
    ask = FakeAsk(lambda version, prompt, n: next(refusals, reply(TOTAL)) if version == NEW and prompt.startswith("t") else reply(TOTAL))
    found = run(store, ask)
    assert found.refused == ()
    assert asked_of(ask, "t")[NEW.model] >= 30 * 3 - 2, "all others are asked as usual"


def test_each_shape_is_tried_on_the_candidate_before_all_else_and_that_call_is_not_wasted(store: Store) -> None:
    shapes: list[dict[str, object]] = [{}, {"temperature": 0.2}, {"max_tokens": 100}, {"response_format": {"type": "json_object"}}]
    freeze_cases(store, [case(name=f"p{i}", request=request(f"p{i}", **shapes[i % 4])) for i in range(12)])
    ask = FakeAsk()
    run(store, ask)
    assert sorted(ask.order[:4]) == [(NEW.model, f"p{i}") for i in range(4)]
    assert ask.calls.total() == 12 * 7


# ── one baseline, one end ──


def test_a_run_over_a_pinned_baseline_is_not_moved_by_a_fresh_one(store: Store) -> None:
    frozen(store, 4)
    pinned = store.state.baseline("summarizer")
    assert pinned is not None
    freeze_cases(store, [case(name="fresh")])
    ask = FakeAsk()
    run(store, ask, frozen=pinned)
    assert {prompt for _, prompt in ask.calls} == {"p0", "p1", "p2", "p3"}
    assert baseline_of(store, ROLLOUT, frozen=pinned).pending == 0


def test_a_fault_of_ours_in_one_call_loses_no_answer_of_the_others(store: Store) -> None:
    frozen(store, 40)
    at_once = Counter[str]()

    def breaks(version: Version, prompt: str, n: int) -> Reply:
        at_once["asked"] += 1
        if at_once["asked"] == 60:
            raise ValueError("a fault")
        return reply(TOTAL)

    ask = FakeAsk(breaks)
    with pytest.raises(ValueError, match="a fault"):
        run(store, ask)
    assert len(store.state.runs("ro_1")) == ask.calls.total() - 1


def test_answers_that_are_under_way_when_a_run_ends_are_waited_for_and_no_call_is_begun(store: Store) -> None:
    frozen(store, 20)
    asked, come = Counter[str](), threading.Event()

    async def slow(call: Call) -> Reply:
        asked["begun"] += 1
        if asked["begun"] > 1:  # all but the first call of the shape
            while not come.is_set():
                await asyncio.sleep(0)
        return reply(TOTAL)

    def going() -> bool:
        if asked["begun"] < 2:
            return True
        come.set()
        return False

    asyncio.run(BaselineRunner(store, slow).run(ROLLOUT, ROUTE, going=going))
    assert len(store.state.runs("ro_1")) == asked["begun"] > 1


# ── money ──

PRICES = {str(version): Price(name=str(version), input=10.0, output=100.0) for version in (OLD, NEW)}
"""A call of 100 tokens in and 10 out costs 0.002 USD."""

WORST = worst_usd(case(usage=used(100, 10)), PRICES[str(NEW)], max_tokens=None)
"""What a call may cost that nobody has counted yet: more than twice as much."""


# ── failures of the provider ──

CUT = Reply(200, reply('{"total": 7}', usage=used(100, 10)).body[:-20])
"""An answer that breaks off: it was paid for, and nobody knows how much."""


@pytest.mark.parametrize(
    ("first", "failures", "more_usd"),
    [
        (refusal(500), 1, 0.0),
        (refusal(503), 1, 0.0),
        (refusal(429), 0, 0.0),
        (None, 1, 0.0),
        (CUT, 1, WORST),
    ],
)
def test_calls_that_failed_by_the_provider_are_counted_and_what_was_paid_of_them(
    store: Store, first: Reply | None, failures: int, more_usd: float
) -> None:
    frozen(store, 1, usage=used(100, 10))

    def recovers(version: Version, prompt: str, n: int) -> Reply:
        if version == NEW and n == 0:
            if first is None:
                raise CouldNotRun("the connection broke")
            return first
        return paid(version, prompt, n)

    run(store, FakeAsk(recovers), prices=PRICES)
    (hit,) = [r for r in store.state.runs("ro_1") if r.arm is Arm.CANDIDATE and r.repeat == 0]
    assert (hit.passed, hit.failures) == (True, failures)
    assert hit.usd == pytest.approx(0.002 + more_usd)
    assert sum(r.failures for r in store.state.runs("ro_1")) == failures


def paid(version: Version, prompt: str, n: int) -> Reply:
    return reply(TOTAL, usage=used(100, 10))


def test_what_is_spent_is_counted_from_the_tokens_of_each_answer(store: Store) -> None:
    frozen(store, 10, usage=used(100, 10))
    found = run(store, FakeAsk(paid), prices=PRICES)
    assert found.spent_usd == pytest.approx(70 * 0.002)
    assert found.over_budget is False


def test_calls_stop_before_the_budget_is_passed_and_that_is_inconclusive(store: Store) -> None:
    frozen(store, 20, usage=used(100, 10))
    ask = FakeAsk(paid)
    of = with_stage(budget_usd=0.1)
    found = run(store, ask, of=of, prices=PRICES)
    assert found.over_budget
    assert found.spent_usd is not None
    # Fewer than three calls' worth is left over, and nothing is spent beyond.
    assert 0.1 - WORST < found.spent_usd + 1e-9 <= 0.1 + 1e-9
    assert ask.calls.total() == round(found.spent_usd / 0.002)
    assert said(found) == (Verb.HOLD, "BaselineBudget")


def test_calls_that_a_budget_stopped_are_no_attempts(store: Store) -> None:
    frozen(store, 1, usage=used(100, 10))
    for cents in range(1, 9):
        run(store, FakeAsk(paid), of=with_stage(budget_usd=0.003 + cents / 1e5), prices=PRICES)
    assert {r.case for r in store.state.runs("ro_1")} == {""}
    found = run(store, FakeAsk(paid), of=with_stage(budget_usd=1.0), prices=PRICES)
    assert (found.pending, found.errors, found.over_budget) == (0, 0, False)
    assert said(found) == (Verb.ADVANCE, "BaselinePassed")


def test_a_restart_forgets_nothing_that_was_spent_and_a_larger_budget_goes_on(store: Store) -> None:
    frozen(store, 20, usage=used(100, 10))
    small, large = with_stage(budget_usd=0.1), with_stage(budget_usd=1.0)
    run(store, FakeAsk(paid), of=small, prices=PRICES)
    again = FakeAsk(paid)
    run(store, again, of=small, prices=PRICES)
    assert not again.calls
    rest = FakeAsk(paid)
    found = run(store, rest, of=large, prices=PRICES)
    assert (found.pending, found.over_budget, found.errors) == (0, False, 0)
    assert found.spent_usd == pytest.approx(140 * 0.002)


def test_calls_in_flight_count_with_what_they_may_cost_at_most(store: Store) -> None:
    frozen(store, 50, usage=used(100, 10))
    dear = FakeAsk(lambda version, prompt, n: reply(TOTAL, usage=used(100, 30)))  # 0.004 USD: three times the recorded answer
    found = run(store, dear, of=with_stage(budget_usd=0.1), prices=PRICES)
    assert found.spent_usd is not None
    assert found.spent_usd <= 0.1 + 1e-9


def test_an_answer_whose_tokens_nobody_counted_costs_the_most_it_may(store: Store) -> None:
    frozen(store, 1, usage=used(100, 10))
    found = run(store, FakeAsk(), prices=PRICES)
    assert found.spent_usd == pytest.approx(7 * WORST)


def test_a_budget_without_a_price_is_refused_with_what_to_write(store: Store) -> None:
    frozen(store, 1)
    ask = FakeAsk(paid)
    with pytest.raises(InvalidInput, match="none is known of: `openai/atlas-2026-06-01`") as raised:
        run(store, ask, of=with_stage(budget_usd=1.0), prices={str(OLD): PRICES[str(OLD)]})
    assert '[prices."openai/atlas-2026-06-01"]' in str(raised.value.hint)
    assert not ask.calls
