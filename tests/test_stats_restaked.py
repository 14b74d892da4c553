"""Harm that begins late: the stake kept back for later share periods finds it, and alarms no more often for that."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detent.stats.sequential import WEIGHTS, log_e_rate, log_e_restaked, rate_brackets, restaked_of
from detent.terms import Tally

SPLITS = (0.05, 0.25, 0.50, 0.95)  # the standard plan's canary and its soak
UNITS = 4_000  # a look, both arms together
LOOKS = 10  # a share period


def look(rng: np.random.Generator, split: float, candidate: float, stable: float) -> np.ndarray:
    """(candidate events, candidate units, stable events, stable units) of one look's new units."""
    n1 = rng.binomial(UNITS, split)
    return np.array([rng.binomial(n1, candidate), n1, rng.binomial(UNITS - n1, stable), UNITS - n1])


def tallies(counts: list[np.ndarray]) -> list[Tally]:
    return [
        Tally(period=k, split=SPLITS[k], candidate_events=c[0], candidate_units=c[1], stable_events=c[2], stable_units=c[3])
        for k, c in enumerate(counts)
    ]


def looks_to_alarm(rng: np.random.Generator, harm_from: int | None, test: object, alpha: float = 0.05) -> int | None:
    """The look of the alarm; from `harm_from` on the candidate's rate of 3 % is doubled, without it the rate drifts in both arms."""
    counts: list[np.ndarray] = []
    for n in range(LOOKS * len(SPLITS)):
        if n % LOOKS == 0:
            counts.append(np.zeros(4, dtype=int))
        base = 0.03 * (1.0 + 0.5 * math.sin(n / 3)) if harm_from is None else 0.03
        counts[-1] = counts[-1] + look(rng, SPLITS[n // LOOKS], base * (2.0 if harm_from is not None and n >= harm_from else 1.0), base)
        if test(tallies(counts), 0.03) >= -math.log(alpha):  # type: ignore[operator]
            return n
    return None


def test_one_period_has_most_of_the_stake_bet_and_a_twentieth_in_hand() -> None:
    told = [Tally(period=1, split=0.5, candidate_events=9, candidate_units=100, stable_events=2, stable_units=100)]
    assert math.exp(log_e_restaked(told, 0.03)) == pytest.approx(0.95 * math.exp(log_e_rate(told, 0.03)) + 0.05)


def test_later_periods_are_bet_on_afresh() -> None:
    first = Tally(period=1, split=0.05, candidate_events=1, candidate_units=100, stable_events=60, stable_units=1900)
    second = Tally(period=2, split=0.25, candidate_events=20, candidate_units=100, stable_events=9, stable_units=300)
    by_hand = 0.95 * math.exp(log_e_rate([first, second], 0.03)) + 0.025 * math.exp(log_e_rate([second], 0.03)) + 0.025
    assert math.exp(log_e_restaked([second, first], 0.03)) == pytest.approx(by_hand)


def test_periods_that_are_still_to_come_change_nothing() -> None:
    known = [
        Tally(period=1, split=0.05, candidate_events=1, candidate_units=100, stable_events=60, stable_units=1900),
        Tally(period=2, split=0.25, candidate_events=20, candidate_units=100, stable_events=9, stable_units=300),
    ]
    planned = np.array([(1, 100, 60, 1900), (20, 100, 9, 300), (0, 0, 0, 0), (0, 0, 0, 0)]).T
    brackets = rate_brackets(*planned, split=SPLITS, base_rate=0.03)
    assert restaked_of(brackets, np.log(WEIGHTS)) == pytest.approx(log_e_restaked(known, 0.03))


def test_tallies_of_one_period_are_bet_on_as_one() -> None:
    whole = Tally(period=1, split=0.05, candidate_events=3, candidate_units=100, stable_events=60, stable_units=1900)
    parts = [
        Tally(period=1, split=0.05, candidate_events=1, candidate_units=40, stable_events=50, stable_units=900),
        Tally(period=1, split=0.05, candidate_events=2, candidate_units=60, stable_events=10, stable_units=1000),
    ]
    assert log_e_restaked(parts, 0.03) == pytest.approx(log_e_restaked([whole], 0.03))


def test_nothing_known_says_nothing() -> None:
    assert log_e_restaked([], 0.03) == pytest.approx(0.0, abs=1e-12)


def test_it_alarms_on_an_unchanged_candidate_in_less_than_one_of_twenty() -> None:
    rng = np.random.default_rng(11)
    alarms = sum(looks_to_alarm(rng, None, log_e_restaked) is not None for _ in range(200))
    assert alarms <= 10  # 5 % of 200, over 40 looks, four splits and a drift


def test_harm_that_begins_in_soak_is_found_there_and_not_without_the_stake_kept_back() -> None:
    begins = 3 * LOOKS
    found = [looks_to_alarm(np.random.default_rng(seed), begins, log_e_restaked) for seed in range(20)]
    missed = [looks_to_alarm(np.random.default_rng(seed), begins, log_e_rate) for seed in range(20)]
    assert all(at is not None and at >= begins for at in found)
    assert missed.count(None) >= 15, "ten looks of soak were not enough"
