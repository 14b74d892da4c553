"""Is the mean difference of the same prompts on two versions below zero, and by how much: tests and an interval (statistics 2.5). Pure.

Two things are samples here, the prompts and the runs of each, and a loss has to stand against both. `sign_flip` lets whole families of
prompts change sides, so it speaks for prompts like these; `permuted_worse` exchanges runs within each prompt, so it is exact for repeats of
different number (ten of stable, three of the candidate), where differences are lopsided and no t-test is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EXACT_FLIPS = 14
"""Up to so many families that differ, all 2^n ways to flip their signs are counted; beyond, the normal law of that sum is within 10 %."""

EXACT_PROMPTS = 2_000
"""Up to so many prompts with mixed runs their permutation law is convolved exactly; beyond, the normal law is as good."""


class Tails(NamedTuple):
    """P(as low or lower) and P(as high or higher) of an observed sum."""

    below: float
    above: float

    @property
    def two_sided(self) -> float:
        """Twice the smaller tail."""
        return min(1.0, 2.0 * min(self))


def sums_of(differences: Floats, families: Ints) -> Floats:
    """The sum of the differences of each family; `families[i]` is the family of prompt i, numbered from 0."""
    return np.bincount(families, weights=differences).astype(float)


def sign_flip(sums: Floats) -> Tails:
    """Sign-flip (randomisation) test of "each family's sum is as likely positive as negative", on the total (Fisher 1935, 21).

    Families that do not differ say nothing. Beyond `EXACT_FLIPS` of them the total is normal with mean 0 and variance sum of squares.
    """
    moved = np.abs(sums[sums != 0.0])
    if not len(moved):
        return Tails(1.0, 1.0)
    total = float(sums.sum())
    if len(moved) <= EXACT_FLIPS:
        ways = np.zeros(1)
        for size in moved:
            ways = np.concatenate([ways - size, ways + size])
        near = 1e-9 * float(moved.sum())
        return Tails(float(np.mean(ways <= total + near)), float(np.mean(ways >= total - near)))
    z = total / math.sqrt(float((moved**2).sum()))
    return Tails(float(special.ndtr(z)), float(special.ndtr(-z)))


def permuted_worse(stable_passed: Ints, stable_runs: Ints, candidate_passed: Ints, candidate_runs: Ints) -> float:
    """P(the candidate passes as few runs as it did, or fewer) when the runs of each prompt are exchanged between the versions at random.

    Fisher's exact test stratified by prompt: the candidate's passes of a prompt are hypergeometric, their sum is convolved
    (Cochran 1954; Mantel & Haenszel 1959). 1.0 when no prompt has mixed runs.
    """
    passes, runs = stable_passed + candidate_passed, stable_runs + candidate_runs
    mixed = (passes > 0) & (passes < runs) & (stable_runs > 0) & (candidate_runs > 0)
    if not mixed.any():
        return 1.0
    observed = int(candidate_passed[mixed].sum())
    k, n, c = passes[mixed].astype(float), runs[mixed].astype(float), candidate_runs[mixed].astype(float)
    if len(k) > EXACT_PROMPTS:
        variance = float((c * k / n * (1 - k / n) * (n - c) / (n - 1)).sum())
        return float(special.ndtr((observed + 0.5 - float((c * k / n).sum())) / math.sqrt(variance)))
    rows, times = np.unique(np.stack([passes[mixed], runs[mixed], candidate_runs[mixed]]), axis=1, return_counts=True)
    law, least = np.ones(1), 0
    for (in_all, of_all, of_candidate), power in zip(rows.T.tolist(), times.tolist(), strict=True):
        law = np.convolve(law, _power(_hypergeometric(in_all, of_all, of_candidate), power))
        least += power * max(0, of_candidate - (of_all - in_all))
    return min(1.0, float(law[: observed - least + 1].sum() / law.sum()))


def _hypergeometric(passes: int, runs: int, drawn: int) -> Floats:
    """Law of the passes among `drawn` of `runs` runs, from the fewest possible on."""
    x = range(max(0, drawn - (runs - passes)), min(passes, drawn) + 1)
    ways = np.array([math.comb(passes, i) * math.comb(runs - passes, drawn - i) for i in x], dtype=float)
    law: Floats = ways / ways.sum()
    return law


def _power(law: Floats, times: int) -> Floats:
    """The law of the sum of so many independent copies, by repeated squaring."""
    found, square = np.ones(1), law
    while times:
        if times & 1:
            found = np.convolve(found, square)
        times >>= 1
        if times:
            square = np.convolve(square, square)
    return found


def interval(differences: Floats, families: Ints, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the mean difference of prompts that come in families (Miller 2024, arXiv 2411.00640, eq. 4).

    Variance = sum over families of the squared sum of deviations, / n^2, with t of families - 1 degrees of freedom. Half an observation is
    added to each of the four ways in which a pair can come out (Agresti & Min 2005): a lost and a won half, so that prompts which all came
    out alike get an honest width instead of none. (-1, 1) with fewer than two families.
    """
    n = len(differences)
    n_families = int(families.max()) + 1 if n else 0
    if n_families < 2:
        return (-1.0, 1.0)
    mean = float(differences.sum()) / (n + 2)
    deviations = np.bincount(families, weights=differences - mean)
    squares = float((deviations**2).sum()) + 0.5 * (1.0 - mean) ** 2 + 0.5 * (1.0 + mean) ** 2 + mean**2
    error = math.sqrt(squares * n_families / (n_families - 1)) / (n + 2)
    half = float(special.stdtrit(n_families - 1, 0.5 + level / 2)) * error
    return (max(-1.0, mean - half), min(1.0, mean + half))


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Which hypotheses to reject so that any false rejection has probability `alpha` at most, under any dependence (Holm 1979).

    Step-down: the k-th smallest of m is rejected while p_(k) <= alpha / (m - k + 1). At an alpha of 0 none is.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    kept = [False] * len(p_values)
    for rank, i in enumerate(order):
        if alpha <= 0.0 or p_values[i] > alpha / (len(order) - rank):
            break
        kept[i] = True
    return tuple(kept)


def simes(p_values: Sequence[float]) -> float:
    """One p-value for "none of these hypotheses is false": min of m p_(k) / k (Simes 1986); 1.0 for none. Exact for independent ones."""
    m = len(p_values)
    return min([1.0, *(m * p / k for k, p in enumerate(sorted(p_values), start=1))])
