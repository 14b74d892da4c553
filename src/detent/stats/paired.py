"""Exact tests for runs of the same prompts on two versions, and what to do with many of them at once (statistics 2.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detent.stats.means import simes


def _require_counts(**counts: int) -> None:
    for name, n in counts.items():
        if n < 0:
            raise ValueError(f"{name} is a count and not negative: `{n}`")


def mcnemar_exact(lost: int, won: int) -> float:
    """Two-sided exact McNemar p-value: of `lost + won` prompts that changed sides, `lost` went from right to wrong.

    Under "no change" each is a fair coin (McNemar 1947); p = min(1, 2 P(X <= min(lost, won))), 1.0 when nothing changed.
    Raises ValueError for a negative count.
    """
    _require_counts(lost=lost, won=won)
    few, many = sorted((lost, won))
    if many == 0:
        return 1.0
    # The binomial distribution as an incomplete beta function: scipy's bdtr loses its third digit at ten million.
    return min(1.0, 2.0 * float(special.betainc(many, few + 1, 0.5)))


def fisher_worse(stable_passed: int, stable_runs: int, candidate_passed: int, candidate_runs: int) -> float:
    """One-sided Fisher exact p-value for "the candidate passes less often than stable": P(X <= candidate_passed), margins fixed.

    1.0 when either side has no runs. Raises ValueError for a negative count or more passes than runs.
    """
    _require_counts(stable_passed=stable_passed, stable_runs=stable_runs, candidate_passed=candidate_passed, candidate_runs=candidate_runs)
    for name, passed, runs in (("stable", stable_passed, stable_runs), ("candidate", candidate_passed, candidate_runs)):
        if passed > runs:
            raise ValueError(f"{name} passed more often than it ran: `{passed} of {runs}`")
    passes = stable_passed + candidate_passed
    x = np.arange(max(0, passes - stable_runs), min(passes, candidate_runs) + 1, dtype=float)
    ways = _log_choose(candidate_runs, x) + _log_choose(stable_runs, passes - x)
    # Divided by the sum over all tables instead of by choose(all, passes): the same, and the total is exactly 1.
    below = special.logsumexp(ways[x <= candidate_passed]) - special.logsumexp(ways)
    return min(1.0, float(np.exp(below)))


def _log_choose(n: int, k: NDArray[np.float64]) -> NDArray[np.float64]:
    chosen: NDArray[np.float64] = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return chosen


def benjamini_hochberg(p_values: Sequence[float], fdr: float) -> tuple[bool, ...]:
    """Which hypotheses to reject so that on average at most a share `fdr` of the rejected ones are false, in the order given.

    Step-up procedure of Benjamini & Hochberg 1995, (1): reject the k smallest, k the largest with p_(k) <= k/m fdr. Ties share their fate.
    Raises ValueError for a p-value outside [0, 1] or an fdr outside (0, 1).
    """
    if not 0.0 < fdr < 1.0:
        raise ValueError(f"a false discovery rate lies between 0 and 1: `{fdr}`")
    for p in p_values:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"a p-value lies in [0, 1]: `{p}`")
    m = len(p_values)
    passing = [p for k, p in enumerate(sorted(p_values), start=1) if p <= k / m * fdr]
    limit = passing[-1] if passing else -1.0
    return tuple(p <= limit for p in p_values)


def discoveries(p_values: Sequence[float], fdr: float, alpha: float) -> tuple[bool, ...]:
    """Which of these hypotheses to reject: Benjamini-Hochberg at `fdr`, once all of them together refute "nothing changed" at `alpha`.

    So at most a share `fdr` of what is named is false on average, and where nothing changed at all anything is named with probability
    `alpha` at most. Where prompts really are lost the first question answers itself.
    """
    if simes(p_values) > alpha:
        return (False,) * len(p_values)
    return benjamini_hochberg(p_values, fdr)


def noise_floor(passed: Sequence[int], runs: Sequence[int]) -> float:
    """Prompts expected to flip from right to wrong between two single runs of the same version: sum of p (1 - p) over prompts.

    From `passed[i]` of `runs[i]` runs of prompt i; unbiased, each term is p_hat (1 - p_hat) k / (k - 1) (statistics 2.5.1). A number of
    prompts, not a share. Raises ValueError for unequal lengths, fewer than two runs of a prompt (they say nothing), more passes than runs.
    """
    if len(passed) != len(runs):
        raise ValueError(f"as many passes as runs are needed: `{len(passed)}` and `{len(runs)}`")
    total = 0.0
    for x, k in zip(passed, runs, strict=True):
        if k < 2 or not 0 <= x <= k:
            raise ValueError(f"noise needs two runs or more, and passes among them: `{x} of {k}`")
        total += x * (k - x) / (k * (k - 1))
    return total
