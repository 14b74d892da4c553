"""What a breaker leaves out must neither bias what is counted nor hide harm: the real breakers and the real bet, on simulated traffic.

Requests are of new units each, and are told of when their answers come; who counts is decided as `exchange.begin` decides it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from detent.circuit import Circuits, Hard
from detent.stats.sequential import log_e_rate
from detent.terms import Tally, Version

STABLE, CANDIDATE = Version("openai", "atlas-1"), Version("openai", "atlas-2")
OVERLOADED = Hard("http_529")
ALPHA = 0.05
USUAL = 0.01

Counted = tuple[float, bool, bool]
"""When a unit's answer was told of, whether it is on the candidate, whether it failed."""


def counted(
    dice: random.Random, fails: Callable[[Version], float], *, per_s: float, split: float, seconds: float, left_out: Counter[bool]
) -> Iterator[Counted]:
    """The units of a canary at one gateway that count, as their outcomes come; `left_out` are the others, by whether they were drawn."""
    circuits, at_s, number = Circuits(), 0.0, 0
    under_way: list[tuple[float, int, Version, float, bool, bool]] = []

    def tell(leg: int, version: Version, sent_s: float, heard_s: float, bad: bool) -> None:
        if bad:
            circuits.failed("chat", version, OVERLOADED, str(leg), str(leg), sent_s, heard_s, at_us=0, jitter=dice.random())
        else:
            circuits.answered("chat", version, str(leg), sent_s, heard_s)

    while at_s < seconds:
        at_s += dice.expovariate(per_s)
        number += 1
        while under_way and under_way[0][0] <= at_s:
            heard_s, leg, version, sent_s, bad, counts = heapq.heappop(under_way)
            tell(leg, version, sent_s, heard_s, bad)
            if counts:
                yield heard_s, version == CANDIDATE, bad
            if bad and version == CANDIDATE:  # stable answers in its place
                heapq.heappush(under_way, (heard_s + dice.random(), -leg, STABLE, heard_s, dice.random() < fails(STABLE), False))
        drawn = dice.random() < split
        may = circuits.may_probe("chat", CANDIDATE, str(number), at_s)
        version = CANDIDATE if drawn and may else STABLE
        counts = may and not circuits.is_open("chat", STABLE)
        left_out[drawn] += not counts
        circuits.sent("chat", version, str(number), str(number), at_s)
        heapq.heappush(under_way, (at_s + 2.0 * dice.random(), number, version, at_s, dice.random() < fails(version), counts))


def log_e(sums: Counter[tuple[bool, bool]], split: float) -> float:
    tally = Tally(
        period=1,
        split=split,
        candidate_events=sums[True, True],
        candidate_units=sums[True, True] + sums[True, False],
        stable_events=sums[False, True],
        stable_units=sums[False, True] + sums[False, False],
    )
    return log_e_rate([tally], USUAL)


@pytest.mark.parametrize("rate", [0.2, 0.3, 0.4])
def test_a_brownout_of_both_arms_rolls_nobody_back(rate: float) -> None:
    """Looked at every 30 s for 5 minutes. (With what was kept out counted as failed, nearly every run ended in a rollback.)"""
    rolled_back, runs, left_out = 0, 90, Counter[bool]()
    for seed in range(runs):
        dice = random.Random(seed)
        split = (0.05, 0.2, 0.5)[seed % 3]
        sums, looked_s, harm = Counter[tuple[bool, bool]](), 30.0, False
        for at_s, candidate, bad in counted(dice, lambda version: rate, per_s=4.0, split=split, seconds=300.0, left_out=left_out):
            if at_s >= looked_s:
                looked_s += 30.0
                harm = harm or log_e(sums, split) >= math.log(1.0 / ALPHA)
            sums[candidate, bad] += 1
        rolled_back += harm or log_e(sums, split) >= math.log(1.0 / ALPHA)
    assert min(left_out[True], left_out[False]) > 100, "the breakers did open"
    assert rolled_back <= ALPHA * runs


@pytest.mark.parametrize("seed", range(20))
def test_a_dead_candidate_is_rolled_back_by_its_first_failures_and_the_probes(seed: int) -> None:
    sums, told_s = Counter[tuple[bool, bool]](), 0.0

    def dead(version: Version) -> float:
        return 1.0 if version == CANDIDATE else 0.0

    for at_s, candidate, bad in counted(random.Random(seed), dead, per_s=20.0, split=0.05, seconds=300.0, left_out=Counter()):
        sums[candidate, bad] += 1
        told_s = at_s
        if candidate and log_e(sums, 0.05) >= math.log(1.0 / ALPHA):
            break
    assert log_e(sums, 0.05) >= math.log(1.0 / ALPHA)
    assert sums[True, True] <= 9
    assert told_s <= 120.0
