"""Mean differences of the same prompts: two tests, an interval, and what to do with many tests."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from detent.stats.means import holm, interval, permuted_worse, sign_flip, simes, sums_of


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


# ── prompts are a sample: sign flips ──


def test_three_prompts_that_all_got_worse_are_one_of_eight_ways() -> None:
    assert sign_flip(np.array([-1.0, -0.5, -0.1])) == pytest.approx((1 / 8, 1.0))
    assert sign_flip(np.array([-1.0, -0.5, -0.1, 0.0, 0.0])).two_sided == pytest.approx(1 / 4), "those that did not move say nothing"


def test_nothing_moved_nothing_shown() -> None:
    assert sign_flip(np.zeros(9)) == (1.0, 1.0)
    assert sign_flip(np.zeros(0)).two_sided == 1.0


def test_sign_flips_agree_with_scipy() -> None:
    random = np.random.default_rng(1)
    for n in (4, 9, 12):
        sums = random.normal(-0.2, 1.0, n).round(2)
        expected = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="less")
        assert sign_flip(sums).below == pytest.approx(expected.pvalue)


def test_25_lost_and_3_won_are_as_many_coins() -> None:
    # P(3 heads or fewer of 28) = (1 + 28 + 378 + 3276) / 2^28 = 1.37e-5; beyond 14 families the law is the normal one
    exact = (1 + 28 + 378 + 3276) / 2**28
    assert stats.binom.cdf(3, 28, 0.5) == pytest.approx(exact)
    assert sign_flip(np.array([-1.0] * 25 + [1.0] * 3)).below == pytest.approx(exact, rel=0.25)


def test_a_family_counts_once() -> None:
    differences = np.array([-0.2, -0.3, 0.1, -0.4])
    assert sums_of(differences, ints(0, 0, 1, 1)) == pytest.approx([-0.5, -0.3])
    assert sums_of(np.zeros(0), ints()).tolist() == []


# ── runs are a sample: permutation within prompts ──


def test_one_prompt_is_fishers_exact_test() -> None:
    for stable in range(11):
        for candidate in range(4):
            expected = stats.fisher_exact([[candidate, 3 - candidate], [stable, 10 - stable]], alternative="less").pvalue
            assert permuted_worse(ints(stable), ints(10), ints(candidate), ints(3)) == pytest.approx(expected), (stable, candidate)


def test_several_prompts_are_all_ways_to_deal_out_their_runs() -> None:
    """By enumeration: prompt one has 4 passes of 5 runs, prompt two 2 of 4, prompt three all of them; two of each are the candidate's."""
    piles = [[1, 1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1]]
    ways = [0]
    for pile in piles:
        ways = [before + sum(pile[i] for i in drawn) for before in ways for drawn in combinations(range(len(pile)), 2)]
    for observed in range(3, 7):  # passes of the candidate, of which 2 in prompt three
        candidate = ints(min(2, observed - 2), observed - 2 - min(2, observed - 2), 2)
        expected = sum(way <= observed for way in ways) / len(ways)
        assert permuted_worse(ints(4, 2, 3) - candidate, ints(3, 2, 1), candidate, ints(2, 2, 2)) == pytest.approx(expected), observed


def test_prompts_without_mixed_runs_say_nothing() -> None:
    assert permuted_worse(ints(10, 0), ints(10, 10), ints(3, 0), ints(3, 3)) == 1.0
    assert permuted_worse(ints(), ints(), ints(), ints()) == 1.0


def test_thousands_of_prompts_follow_the_normal_law() -> None:
    """2,400 prompts with 12 of 13 runs right: the candidate misses one of three with probability 3/13, so 553.8 of them, sd sqrt(426.0)."""
    n = 2_400
    misses = np.zeros(n, dtype=np.int64)
    misses[:600] = 1
    p = permuted_worse(9 + misses, np.full(n, 10), 3 - misses, np.full(n, 3))
    assert p == pytest.approx(stats.binom.sf(599, n, 3 / 13), rel=0.05)


# ── how much ──


def test_the_interval_of_prompts_that_come_alone() -> None:
    """By hand: 8 prompts, sum -2, half a lost and half a won one added to each side: mean -2/10 = -.2.

    Squares: 2 x (-1 + .2)^2 + 6 x .2^2 + .5 x 1.2^2 + .5 x .8^2 + .2^2 = 1.28 + .24 + .72 + .32 + .04 = 2.60.
    """
    low, high = interval(np.array([-1.0, -1.0, 0, 0, 0, 0, 0, 0]), np.arange(8))
    half = stats.t.ppf(0.975, 7) * math.sqrt(2.60 * 8 / 7) / 10
    assert (low, high) == pytest.approx((-0.2 - half, -0.2 + half))


def test_prompts_that_all_came_out_alike_still_have_a_width() -> None:
    low, high = interval(np.zeros(100), np.arange(100))
    assert low == -high
    assert 0.015 < high < 0.03, "of 100 without any change, 3 more or less could have changed (the rule of three)"
    assert interval(np.zeros(0), ints()) == (-1.0, 1.0)
    assert interval(np.array([-0.3]), ints(0)) == (-1.0, 1.0)


def test_families_widen_the_interval() -> None:
    differences = np.repeat([-1.0, 0.0, 0.0, 1.0, 0.0], 20)
    alone, together = interval(differences, np.arange(100)), interval(differences, np.repeat(np.arange(5), 20))
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


@pytest.mark.parametrize("rate", [0.55, 0.9, 0.99])
def test_the_interval_holds_the_truth_in_19_of_20_cases(rate: float) -> None:
    random = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        difference = random.binomial(3, rate - 0.05, 120) / 3 - random.binomial(10, rate, 120) / 10
        low, high = interval(difference, np.arange(120))
        held += low <= -0.05 <= high
    assert held >= 400 * 0.95 - 2 * math.sqrt(400 * 0.95 * 0.05)


# ── many tests ──


def test_holm_steps_down_until_the_first_that_fails() -> None:
    # Holm 1979, at .05 with four: .0125, .01667, .025, .05
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == (True, False, False, True)
    assert holm([0.012, 0.016, 0.024, 0.049], 0.05) == (True, True, True, True)
    assert holm([], 0.05) == ()
    assert holm([0.0], 0.0) == (False,), "without any alpha nothing is rejected"


def test_simes_is_the_smallest_p_at_its_rank() -> None:
    # 3 x .02 / 1 = .06, 3 x .03 / 2 = .045, 3 x .9 / 3 = .9
    assert simes([0.9, 0.02, 0.03]) == pytest.approx(0.045)
    assert simes([]) == 1.0


def test_simes_keeps_its_level_over_independent_hypotheses() -> None:
    random = np.random.default_rng(4)
    rejected = sum(simes(list(random.random(8))) <= 0.05 for _ in range(4_000))
    assert rejected == pytest.approx(200, abs=3 * math.sqrt(4_000 * 0.05 * 0.95))
