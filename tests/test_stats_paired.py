"""Runs of the same prompts on two versions: exact tests, false discoveries, the noise floor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from detent.stats.paired import benjamini_hochberg, fisher_worse, mcnemar_exact, noise_floor

# ── one run each: McNemar ───────────────────────────────────────────────────────────────────────────────────────────


def test_ten_prompts_lost_and_none_won() -> None:
    assert mcnemar_exact(10, 0) == pytest.approx(2 / 1024)  # two ways for ten coins to fall alike


def test_nothing_changed_is_no_evidence() -> None:
    assert mcnemar_exact(0, 0) == 1.0


def test_mcnemar_agrees_with_the_binomial_test() -> None:
    for lost in range(30):
        for won in range(30):
            if lost + won:
                assert mcnemar_exact(lost, won) == pytest.approx(stats.binomtest(lost, lost + won).pvalue), (lost, won)


def test_mcnemar_survives_huge_counts() -> None:
    # normal approximation: z = 100 / sqrt(10,000,100), two-sided, with continuity correction
    z = 99 / math.sqrt(10_000_100)
    assert mcnemar_exact(5_000_000, 5_000_100) == pytest.approx(2 * stats.norm.sf(z), rel=1e-4)
    assert mcnemar_exact(0, 5_000_000) == 0.0


def test_mcnemar_names_a_negative_count() -> None:
    with pytest.raises(ValueError, match="lost is a count and not negative: `-1`"):
        mcnemar_exact(-1, 3)


# ── several runs: Fisher ────────────────────────────────────────────────────────────────────────────────────────────


def test_five_runs_each_can_reach_no_less_than_one_in_252() -> None:
    # statistics 2.5.3: "with 5 repeats ... smallest p = 0.004": 1 / choose(10, 5)
    assert fisher_worse(5, 5, 0, 5) == pytest.approx(1 / 252)


def test_fisher_agrees_with_scipy() -> None:
    for stable in range(0, 11, 2):
        for candidate in range(8):
            table = [[candidate, 7 - candidate], [stable, 10 - stable]]
            expected = stats.fisher_exact(table, alternative="less").pvalue
            assert fisher_worse(stable, 10, candidate, 7) == pytest.approx(expected, rel=1e-9), table


def test_a_candidate_that_passes_more_often_is_not_worse() -> None:
    assert fisher_worse(10, 20, 20, 20) == pytest.approx(1.0)
    assert fisher_worse(0, 0, 3, 20) == 1.0  # no runs of stable: nothing to compare with
    assert fisher_worse(0, 0, 0, 0) == 1.0


def test_fisher_survives_huge_counts() -> None:
    # all of 5,000,000 against all but ten: the ten failures all fall on one side, 1/2^10 but for the lack of replacement
    assert fisher_worse(5_000_000, 5_000_000, 4_999_990, 5_000_000) == pytest.approx(2**-10, rel=1e-4)


@pytest.mark.parametrize(
    ("counts", "said"),
    [((3, 2, 1, 2), "stable passed more often than it ran: `3 of 2`"), ((1, 2, 1, -2), "candidate_runs is a count and not negative: `-2`")],
)
def test_fisher_names_impossible_counts(counts: tuple[int, int, int, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fisher_worse(*counts)


# ── many prompts at once ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_step_up_rule_rejects_what_a_later_p_value_carries() -> None:
    # By hand, limits k/4 of .10: .025 .05 .075 .10. The second and third fail alone, the fourth carries all of them.
    assert benjamini_hochberg([0.06, 0.02, 0.1, 0.076], 0.10) == (True, True, True, True)
    assert benjamini_hochberg([0.06, 0.02, 0.11, 0.076], 0.10) == (False, True, False, False)


def test_benjamini_hochberg_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    for size in (1, 2, 7, 40):
        for _ in range(50):
            p = rng.beta(0.4, 2.0, size=size).round(2)
            adjusted = stats.false_discovery_control(p, method="bh")
            assert benjamini_hochberg(p.tolist(), 0.10) == tuple(adjusted <= 0.10 + 1e-12), p


def test_no_suspects_no_discoveries() -> None:
    assert benjamini_hochberg([], 0.1) == ()


@pytest.mark.parametrize(("p", "fdr", "named"), [([1.2], 0.1, "1.2"), ([math.nan], 0.1, "nan"), ([0.5], 0.0, "0.0"), ([0.5], 1.0, "1.0")])
def test_benjamini_hochberg_names_what_is_no_probability(p: list[float], fdr: float, named: str) -> None:
    with pytest.raises(ValueError, match=f"`{named}`"):
        benjamini_hochberg(p, fdr)


# ── noise floor ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_steady_prompts_make_no_noise_and_a_coin_makes_most() -> None:
    # statistics 2.5.1 by hand: .5 * .5 * 2/1 for one of two, (.9 * .1) * 10/9 for nine of ten
    assert noise_floor([10, 0], [10, 10]) == 0.0
    assert noise_floor([1], [2]) == pytest.approx(0.5)
    assert noise_floor([9, 10], [10, 10]) == pytest.approx(0.1)


def test_the_noise_floor_is_the_flips_of_one_run_against_another() -> None:
    rng = np.random.default_rng(11)
    p = np.repeat([0.995, 0.85, 0.6], [400, 50, 50])
    flips = [int(((rng.random(500) < p) & (rng.random(500) >= p)).sum()) for _ in range(400)]
    floors = [noise_floor(rng.binomial(3, p).tolist(), [3] * 500) for _ in range(400)]
    assert np.mean(floors) == pytest.approx(float(np.mean(flips)), rel=0.03)


@pytest.mark.parametrize(("passed", "runs"), [([1], [1]), ([3], [2]), ([-1], [2]), ([1, 1], [2])])
def test_the_noise_floor_refuses_what_says_nothing(passed: list[int], runs: list[int]) -> None:
    with pytest.raises(ValueError, match="`"):
        noise_floor(passed, runs)
