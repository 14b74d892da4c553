"""What a run will cost, said before it is spent. Numbers by hand: 1,000 tokens at 2 USD and 100 at 10 USD a million are 0.003 USD."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from asked import STAGE as HALVED
from asked import case, used
from detent.baseline.scoring import made
from detent.evidence.flips import RunKey
from detent.forecast import describe_forecast, forecast, requests_per_day
from detent.terms import Arm, Baseline, BaselineStage, Case, Forecast, Price, Range, Run, ToolResult, Version
from records import NEW, OLD, T0

PRICES = {str(version): Price(name=str(version), input=2.0, output=10.0, cached=0.5) for version in (OLD, NEW)}


STAGE = BaselineStage(screen=3, confirm=12, stable_repeats=4)
"""Few enough fresh runs that they are not asked for in halves."""


def frozen(cases: Sequence[Case], **more: Any) -> Baseline:
    return Baseline(route="summarizer", digest="d", frozen_at=T0, owner="a@example.com", cases=tuple(cases), **more)


def plain(n: int = 10) -> list[Case]:
    return [case(name=f"p{i}", usage=used(1000, 100)) for i in range(n)]


def told(cases: Sequence[Case], runs: Sequence[Run] = (), *, seed: int = 1, requests: float | None = 1000.0, **more: Any) -> Forecast:
    how: dict[str, Any] = {"stable": OLD, "candidate": NEW, "prices": PRICES, **more}
    stage = how.pop("stage", STAGE)
    return forecast(frozen(cases), stage, runs, requests_per_day=requests, seed=seed, **how)


def run(name: str, arm: Arm, tokens: tuple[int, int], *, repeat: int = 0, passed: bool = True) -> Run:
    return made("ro_1", RunKey(name, arm, "screen", repeat), passed, usage=used(*tokens))


def screened(n: int, lost: int = 0, ratio: float = 1.0) -> list[Run]:
    """The whole screen of `n` prompts, the first of which the candidate loses, at `ratio` times the tokens."""
    stable = [run(f"p{i}", Arm.STABLE, (1000, 100), repeat=r) for i in range(n) for r in range(STAGE.stable_repeats)]
    many = (round(1000 * ratio), round(100 * ratio))
    return stable + [run(f"p{i}", Arm.CANDIDATE, many, repeat=r, passed=i >= lost) for i in range(n) for r in range(STAGE.screen)]


def exactly(value: float) -> object:
    return pytest.approx((value, value, value))


def bounds(found: Range | None) -> tuple[float, float, float] | None:
    return None if found is None else (found.low, found.expected, found.high)


def test_before_anything_was_called_the_range_says_how_little_is_known() -> None:
    found = told(plain(), stage=HALVED)
    # 70 calls of the screen; for one prompt in twenty 10 fresh runs of both versions, and another 10 for every other one of those
    assert found.calls == pytest.approx(70 + 10 * 0.05 * 30, abs=2)
    assert found.input_tokens.expected == pytest.approx(85_000, rel=0.05)
    assert found.output_tokens.expected == pytest.approx(8_500, rel=0.10)
    assert found.usd is not None
    assert found.usd.low < 85 * 0.003 < found.usd.high
    assert found.usd.high > 1.5 * found.usd.expected, "three prompts of ten may turn out suspects"
    assert found.same_text is None
    assert found.unknown == ("how many tokens openai/atlas-2026-06-01 counts at the same text: the first calls will tell",)


def test_what_is_known_is_said_exactly() -> None:
    found = told(plain(), screened(10, lost=2, ratio=1.2))
    assert found.calls == 48  # two suspects, 12 runs of both versions
    assert bounds(found.input_tokens) == exactly(24 * 1000 + 24 * 1200)
    assert bounds(found.output_tokens) == exactly(24 * 100 + 24 * 120)
    assert bounds(found.usd) == exactly(24 * 0.003 + 24 * 0.0036)
    assert bounds(found.same_text) == exactly(1.2)
    assert found.unknown == ()


def test_a_suspect_whose_first_fresh_runs_show_nothing_needs_no_more() -> None:
    found = told(plain(), screened(10, lost=2), stage=HALVED)
    # two suspects, 10 runs of both versions, and up to 10 more
    assert found.calls == pytest.approx(60, abs=1)
    assert bounds(found.input_tokens) == pytest.approx((40_000, 60_000, 80_000), rel=0.02)


def test_a_finished_run_costs_nothing_more() -> None:
    found = told(plain(), screened(10))
    assert (found.calls, bounds(found.usd)) == (0, (0.0, 0.0, 0.0))


def test_an_agent_case_takes_as_many_calls_as_were_recorded() -> None:
    script = (ToolResult("lookup", "{}", "found"), ToolResult("refund", "{}", "done"))
    agents = [case(name=f"p{i}", usage=used(1000, 100), script=script) for i in range(10)]
    once, thrice = told(plain(), stage=HALVED), told(agents, stage=HALVED)
    assert thrice.calls == pytest.approx(3 * once.calls, abs=2)
    assert thrice.most_calls == 3 * once.most_calls
    assert thrice.input_tokens.expected == pytest.approx(3 * once.input_tokens.expected)
    assert bounds(thrice.stable_usd_per_day) == bounds(once.stable_usd_per_day), "each recorded exchange is one call"


def test_the_judges_calls_are_told_apart_and_paid() -> None:
    judge = Version(provider="openai", model="judge-1")
    priced = {**PRICES, str(judge): Price(name=str(judge), input=2.0, output=10.0)}
    alone = told(plain(), screened(10, lost=2))
    found = told(plain(), screened(10, lost=2), judge=judge, prices=priced)
    assert (found.calls, alone.judge_calls) == (alone.calls, 0)
    # 48 runs to come, of which a share is judged that 70 scored runs without any say is small, in both orders
    assert 0 < found.judge_calls < 48
    assert found.usd is not None
    assert alone.usd is not None
    assert found.usd.expected > alone.usd.expected
    assert found.most_usd is not None
    assert alone.most_usd is not None
    # each of 48: 1,000 tokens of the prompt, two outputs of three times 100, the rubric's 2,000, and verdicts of 1,000, twice
    assert found.most_usd - alone.most_usd == pytest.approx(48 * 2 * ((1000 + 600 + 2000) * 2 + 1000 * 10) / 1e6)
    assert "and about" in describe_forecast(found, NEW)[0]
    unpriced = told(plain(), screened(10, lost=2), judge=judge)
    assert (unpriced.usd, unpriced.unknown) == (None, ("price of openai/judge-1",))


def test_what_the_bump_costs_per_day_is_weighted_by_the_traffic_that_each_prompt_stands_for() -> None:
    found = told(plain(), screened(10, ratio=1.2))
    assert bounds(found.stable_usd_per_day) == exactly(3.0)
    assert bounds(found.candidate_usd_per_day) == exactly(3.6)
    uneven = [case(name="p0", usage=used(1000, 100), weight=9.0), case(name="p1", usage=used(11_000, 100), weight=1.0)]
    day = told(uneven).stable_usd_per_day
    assert day is not None
    assert day.expected == pytest.approx(1000 * (0.9 * 0.003 + 0.1 * 0.023), rel=0.03)
    assert day.low < day.expected < day.high


def test_input_from_a_cache_is_priced_as_such() -> None:
    cached = [case(name=f"p{i}", usage=used(1000, 100, 400)) for i in range(10)]
    found = told(cached, screened(10, lost=1))
    assert found.cached_share == pytest.approx(0.4)
    # 600 x 2 + 400 x 0.5 + 100 x 10 USD a million
    assert bounds(found.usd) == exactly(24 * 0.0024)


def test_a_price_that_nobody_knows_leaves_tokens_and_is_named() -> None:
    found = told(plain(), screened(10, lost=1), prices={str(OLD): PRICES[str(OLD)]})
    assert (found.usd, found.candidate_usd_per_day) == (None, None)
    assert bounds(found.stable_usd_per_day) == exactly(3.0)
    assert bounds(found.input_tokens) == exactly(24_000)
    assert found.unknown == ("price of openai/atlas-2026-06-01",)


def test_tokens_that_nobody_recorded_are_guessed_from_the_length_and_that_is_said() -> None:
    nobody = [case("x" * 400, name=f"p{i}", request=b'{"model":"m","messages":[]}'.ljust(2000)) for i in range(10)]
    found = told(nobody, seed=2)
    assert found.input_tokens.expected == pytest.approx((70 + 12) * 500, rel=0.05)
    assert "tokens of 10 of 10 prompts: guessed from their length" in found.unknown


def test_the_share_of_suspects_is_learned_from_what_was_screened() -> None:
    half = [r for r in screened(100, lost=20) if int(r.case[1:]) < 50]
    found = told(plain(100), half)
    # 50 prompts to screen; 20 suspects known, and of the others (1 + 20) / (20 + 50) = 30 %
    assert found.calls == pytest.approx(50 * 7 + 24 * (20 + 50 * 0.3), rel=0.02)


def test_the_same_seed_says_the_same_and_an_empty_baseline_costs_nothing() -> None:
    assert told(plain(), seed=3) == told(plain(), seed=3) != told(plain(), seed=4)
    assert told([]).calls == 0


def test_the_interval_of_the_tokenizer_covers_the_truth_as_often_as_it_says() -> None:
    """100 simulated runs of 40 prompts, the candidate counting 1.2 times the tokens on average: 95 % within 4 standard errors."""
    random = np.random.default_rng(11)
    covered = 0
    for seed in range(100):
        prompts = random.integers(200, 3000, size=40)
        factor = random.normal(1.2, 0.1, size=40)
        cases = [case(name=f"p{i}", usage=used(int(n), 100)) for i, n in enumerate(prompts)]
        runs = [run(f"p{i}", Arm.STABLE, (int(n), 100)) for i, n in enumerate(prompts)]
        runs += [run(f"p{i}", Arm.CANDIDATE, (round(n * f), 100)) for i, (n, f) in enumerate(zip(prompts, factor, strict=True))]
        same_text = told(cases, runs, seed=seed).same_text
        assert same_text is not None
        covered += same_text.low <= 1.2 <= same_text.high
    assert 100 * (0.95 - 4 * 0.0218) <= covered <= 100


@pytest.mark.parametrize(
    ("read", "hours", "exchange", "bodies", "a_day"),
    [
        (1000, 48, None, 0.05, 500.0),
        (1000, 48, "ex_1", 0.05, 10_000.0),  # a gateway that keeps one exchange in twenty whole
        (1000, 48, "traffic.jsonl:1", 0.05, 500.0),
        (1000, 0.5, None, 0.05, None),
    ],
)
def test_the_routes_traffic_is_what_the_baseline_was_drawn_from(
    read: int, hours: float, exchange: str | None, bodies: float, a_day: float | None
) -> None:
    drawn = frozen([case(exchange=exchange)], read=read, since_at=T0, until_at=T0 + timedelta(hours=hours))
    assert requests_per_day(drawn, bodies=bodies) == a_day
    assert requests_per_day(frozen([case()]), bodies=bodies) is None


def test_a_forecast_is_told_in_a_few_lines() -> None:
    cached = [case(name=f"p{i}", usage=used(1000, 100, 400)) for i in range(10)]
    lines = describe_forecast(told(cached, screened(10, lost=2, ratio=1.2)), NEW)
    assert lines == (
        "about 48 calls still to make if openai/atlas-2026-06-01 is as good as the pinned version",
        "tokens: input 52,800 (52,800 to 52,800), output 5,280 (5,280 to 5,280)",
        "cost: 0.13 USD (0.13 to 0.13) (the pin file's prices, else list prices of 2026-03 or later)",
        "at most, if every prompt looked lost and had to be confirmed: 48 calls, 0.13 USD",
        "at the same text openai/atlas-2026-06-01 counts 1.20 times the tokens (1.20 to 1.20)",
        "40 % of recorded input tokens came from a cache",
        "per day at full traffic: now 2.40 USD (2.40 to 2.40), then 2.88 USD (2.88 to 2.88)",
    )
