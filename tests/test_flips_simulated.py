"""A seeded slice of bench/flips.py: over many releases, how often an unchanged one passes and what of a damaged one is found (bar 9)."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import pytest

import benches


@pytest.fixture(scope="module")
def bench() -> Any:
    return benches.bench("flips")


def most_alarms(n: int, rate: float = 0.10, seen: float = 0.80) -> int:
    """The largest limit on false alarms in `n` releases that a true rate of so much breaks with at least that probability."""
    within = accumulate(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1))
    return sum(p <= 1 - seen for p in within) - 1


WORLDS = (
    {"n": 200},
    {"n": 200, "flaky": 1.0, "mostly": 0.0},
    {"n": 200, "templates": 40, "shared": 0.5},
    {"n": 200, "leaves": (0.3, 0.3), "agents": 100},
    {"n": 200, "unscored": 0.03},
)


@pytest.mark.parametrize("world", WORLDS)
def test_an_unchanged_release_passes_in_19_of_20_cases(bench: Any, world: dict[str, Any]) -> None:
    """A rate of 10 % would be caught 4 times in 5: P(X <= 15) of 200 is .14 then, and .96 at the promised 5 %."""
    found = bench.simulated(bench.unchanged(**world), 200, seed=1)
    assert most_alarms(200) == 15
    assert found.not_green <= most_alarms(200)


def test_collapsed_prompts_are_found_at_the_price_that_was_promised(bench: Any) -> None:
    found = bench.simulated(bench.damaged(0.02, bench.COLLAPSED), 12, seed=2)
    assert sum(found.found) / found.n >= 0.99
    assert sum(found.false) / found.n <= 0.10
    assert sum(found.calls) / found.n <= 2_700
    assert found.red == found.n


def test_prompts_that_fail_every_other_time_are_mostly_found(bench: Any) -> None:
    found = bench.simulated(bench.damaged(0.02, bench.HALVED), 15, seed=3)
    assert sum(found.found) / found.n >= 0.80
    assert sum(found.false) / found.n <= 0.10


def test_a_task_that_lost_25_and_won_3_is_found_in_a_dead_tie(bench: Any) -> None:
    found = bench.simulated(bench.dead_tie(), 10, seed=4)
    assert (found.hidden, found.by_overall) == (10, 0)
