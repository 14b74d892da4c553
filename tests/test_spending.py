"""What calls cost, and the shapes of requests that a version may refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from asked import STAGE, case, refusal, request, used, with_stage
from detent.baseline.scoring import made
from detent.catalog import PRICES, price
from detent.evidence.flips import RunKey
from detent.evidence.shapes import PLAIN, blames_shape, shape
from detent.evidence.spending import (
    Cost,
    Limit,
    cost_usd,
    day_of,
    grant,
    judging_usd,
    over_budget,
    spent_usd,
    stopped_by_budget,
    worst_call,
    worst_usd,
)
from detent.terms import Arm, Endpoint, Price, Run, ToolResult, Usage, Version, micros

PRICE = Price(name="p/m", input=2.0, output=10.0, cached=0.5)
OPENAI, ANTHROPIC = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES


def about(usd: float) -> Any:
    return pytest.approx(usd)


def run(**more: Any) -> Run:
    return made("ro_1", RunKey("ca_1", Arm.STABLE, "screen", 0), True, **more)


# ── a day's budget ──


NOON_US = micros(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))
DAY_US = micros(datetime(2026, 3, 1, tzinfo=UTC))


def test_a_budget_is_there_little_by_little_and_two_hours_of_it_at_midnight() -> None:
    limit, want = Limit(usd=24.0, tokens=2400), Cost(usd=100.0, tokens=10_000)

    def given(hour: float, taken: Cost = Cost()) -> Cost | None:  # noqa: B008
        return grant(want, Cost(), limit=limit, taken=taken, at_us=DAY_US + round(hour * 3_600_000_000))

    assert given(0) == Cost(usd=about(2.0), tokens=200)
    assert given(10) == Cost(usd=about(12.0), tokens=1200)
    assert given(22) == given(23.9) == Cost(usd=24.0, tokens=2400)
    assert given(10, Cost(usd=11.5, tokens=1300)) == Cost(usd=about(0.5), tokens=0)


def test_less_than_is_needed_is_nothing() -> None:
    limit = Limit(usd=24.0)
    taken = Cost(usd=13.0)  # of the 14 USD that are there at noon
    assert grant(Cost(usd=5.0), Cost(usd=1.5), limit=limit, taken=taken, at_us=NOON_US) is None
    assert grant(Cost(usd=5.0), Cost(usd=1.0), limit=limit, taken=taken, at_us=NOON_US) == Cost(usd=about(1.0))
    assert grant(Cost(usd=5.0, tokens=7), Cost(), limit=Limit(), taken=taken, at_us=NOON_US) == Cost(usd=5.0, tokens=7)
    over = Cost(usd=99.0, tokens=99)  # a budget that was lowered in mid-day
    assert grant(Cost(usd=1.0), Cost(usd=0.5), limit=limit, taken=over, at_us=NOON_US) is None


def test_the_most_that_a_call_may_cost_goes_by_its_size() -> None:
    # 3,000 bytes at 3 a token, times 1.35 for another tokenizer: 1,350 tokens x 2 USD, and 100 x 10 USD, a million
    worst = worst_call(b"x" * 3000, PRICE, max_tokens=100)
    assert worst == Cost(usd=about(0.0027 + 0.001), tokens=1450)
    assert worst_call(b"x" * 3000, PRICE, max_tokens=100, answers=3) == Cost(usd=about(0.0027 + 0.003), tokens=1650)
    assert worst_call(b"", PRICE, max_tokens=None) == Cost(usd=about(0.04096), tokens=4096)
    assert worst_call(b"", None, max_tokens=5) == Cost(tokens=5)


def test_a_day_is_utc() -> None:
    assert day_of(NOON_US) == day_of(DAY_US) == DAY_US
    assert day_of(DAY_US - 1) == DAY_US - 86_400_000_000


# ── money ──


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (used(1_000_000, 0), 2.0),
        (used(0, 1_000_000), 10.0),
        # 600,000 x 2 + 400,000 x 0.50 + 100,000 x 10 USD a million
        (used(1_000_000, 100_000, 400_000), 1.2 + 0.2 + 1.0),
        (used(10, 0, 50), 10 * 0.5 / 1e6),  # more from the cache than was read: nonsense costs no less than nothing
        (Usage(input=5), None),
        (Usage(output=5), None),
        (Usage(), None),
    ],
)
def test_tokens_cost_what_the_price_says(usage: Usage, usd: float | None) -> None:
    assert cost_usd(usage, PRICE) == (None if usd is None else pytest.approx(usd))


def test_cached_input_without_a_price_of_its_own_is_priced_like_other_input() -> None:
    assert cost_usd(used(1_000_000, 0, 500_000), Price(name="p", input=2.0, output=10.0)) == pytest.approx(2.0)


def test_the_most_a_call_may_cost_counts_its_limit_or_three_times_the_recorded_answer() -> None:
    recorded = case(usage=used(1000, 200))
    assert worst_usd(recorded, PRICE, max_tokens=4000) == pytest.approx((1350 * 2 + 4000 * 10) / 1e6), "a new tokenizer: 1.35 times"
    assert worst_usd(recorded, PRICE, max_tokens=None) == pytest.approx((1350 * 2 + 600 * 10) / 1e6)
    agent = case(usage=used(1000, 200), script=(ToolResult("a", "{}", "x"),) * 2)
    assert worst_usd(agent, PRICE, max_tokens=None) == pytest.approx(12 * (1350 * 2 + 600 * 10) / 1e6), "up to the step limit"
    unknown = case()
    assert worst_usd(unknown, PRICE, max_tokens=None) == pytest.approx((len(unknown.request) / 3 * 2 + 4096 * 10) / 1e6)


def test_a_judge_may_cost_both_orders() -> None:
    # 1000 of the prompt, 3 x 200 of each output, 2000 of the rubric; 1000 of verdict; twice
    assert judging_usd(case(usage=used(1000, 200)), PRICE) == pytest.approx(2 * (4200 * 2 + 1000 * 10) / 1e6)


def test_what_was_spent_is_the_sum_of_the_runs() -> None:
    assert spent_usd([]) is None
    assert spent_usd([run()]) is None
    assert spent_usd([run(usd=0.25), run(), run(usd=0.5)]) == 0.75


def test_a_budget_is_used_up_until_it_is_raised() -> None:
    stopped = [run(usd=0.9), run(error=stopped_by_budget(1.0))]
    assert over_budget(with_stage(budget_usd=1.0).plan.baseline, stopped)
    assert over_budget(with_stage(budget_usd=0.5).plan.baseline, stopped)
    assert not over_budget(with_stage(budget_usd=1.5).plan.baseline, stopped)
    assert not over_budget(STAGE, stopped), "there is no budget any more"
    assert not over_budget(with_stage(budget_usd=1.0).plan.baseline, [run(usd=7.0), run(error="HTTP 500")])


def test_the_pin_file_knows_prices_better_than_the_catalogue() -> None:
    version = Version("openai", "gpt-4o-2024-08-06")
    assert price(version, {}) == PRICES["gpt-4o"]
    own = Price(name=str(version), input=1.0, output=2.0)
    assert price(version, {str(version): own}) is own
    assert price(Version("openai", "gpt-4o-2024-05-13"), {}) == Price(name="gpt-4o-2024-05-13", input=5.0, output=15.0)
    assert price(Version("anthropic", "claude-sonnet-4-5-20250929"), {}) == PRICES["claude-sonnet-4-5"]
    assert price(Version("openai", "atlas-2026-06-01"), {}) is None
    assert price(Version("openai", "my-gpt-4o"), {}) is None


# ── shapes ──


@pytest.mark.parametrize(
    ("endpoint", "members", "made"),
    [
        (OPENAI, {}, PLAIN),
        (OPENAI, {"stream": False, "user": "ann", "metadata": {"a": "b"}}, PLAIN),
        (OPENAI, {"temperature": 0.2, "top_p": None}, "temperature=0.2"),
        (OPENAI, {"temperature": 0}, "temperature=0"),
        (OPENAI, {"max_tokens": 1000}, "max_tokens<=1024"),
        (OPENAI, {"max_completion_tokens": 1024}, "max_completion_tokens<=1024"),
        (OPENAI, {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format=json_schema"),
        (OPENAI, {"tools": [{"type": "function"}], "tool_choice": "auto", "parallel_tool_calls": False},
         "parallel_tool_calls=false, tool_choice=auto, tools"),
        (OPENAI, {"seed": 7, "stop": ["x"]}, "seed, stop"),
        (ANTHROPIC, {"system": "Be brief.", "max_tokens": 1}, "max_tokens<=1"),
        (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking=enabled"),
        (OPENAI, {"messages": [{"role": "developer", "content": "x"}]}, "role=developer"),
        (OPENAI, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "images"),
        (ANTHROPIC, {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]}, "prefill"),
        (OPENAI, {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]}, PLAIN),
    ],
)  # fmt: skip
def test_the_shape_of_a_request_is_its_parameters_and_not_what_is_said(endpoint: Endpoint, members: dict[str, Any], made: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    assert shape(endpoint, json.dumps(body).encode()) == made


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b'{"messages": 3}', b'{"\\ud83d": {"type": [1]}}', b'{"x": 1e999}'])
def test_a_body_of_no_sane_form_has_some_shape(body: bytes) -> None:
    assert shape(OPENAI, body)


@pytest.mark.parametrize(
    ("members", "said", "more", "blames"),
    [
        ({"temperature": 0.2}, "Unsupported value: 'temperature' does not support 0.2 with this model.", {"param": "temperature"}, True),
        ({"max_tokens": 5}, "Unsupported parameter: 'max_tokens' is not supported with this model.", {}, True),
        ({"top_k": 5}, "top_k: Extra inputs are not permitted", {}, True),
        ({"tools": []}, "tools.0.custom.input_schema: Field required", {}, True),
        ({"response_format": {"type": "json_schema"}}, "Invalid", {"param": "response_format.json_schema"}, True),
        ({"user": "ann"}, "the user asked for something odd", {}, False),
        ({"n": 2}, "in a word", {}, False),
        ({"max_tokens": 5}, "maximum context length is 8192 tokens", {"code": "context_length_exceeded", "param": "messages"}, False),
        ({"max_tokens": 5}, "prompt is too long: 210000 tokens > 200000 maximum, `max_tokens` included", {}, False),
        ({"temperature": 0}, "The response was filtered", {"code": "content_filter", "param": "prompt"}, False),
        ({}, "Unsupported parameter: 'temperature'", {"param": "temperature"}, False),
        ({}, "odd", {}, False),
    ],
)  # fmt: skip
def test_a_refusal_blames_the_shape_only_where_it_names_what_the_request_has(
    members: dict[str, Any], said: str, more: dict[str, Any], blames: bool
) -> None:
    assert blames_shape(OPENAI, request("hi", **members), refusal(400, said, **more).body) is blames


def test_a_refusal_of_what_the_messages_are_made_of_blames_the_shape() -> None:
    prefilled = json.dumps({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]}).encode()
    said = refusal(400, "This model does not support assistant message prefill.").body
    assert blames_shape(ANTHROPIC, prefilled, said)
    assert not blames_shape(ANTHROPIC, request("x"), said)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": {"message": 3, "param": ["x"]}}', b"{" * 5000])
def test_a_refusal_of_no_sane_form_blames_nobody(body: bytes) -> None:
    assert not blames_shape(OPENAI, request("x", temperature=1), body)
