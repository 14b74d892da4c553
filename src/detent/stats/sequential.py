"""Anytime-valid tests of harm: e-values from label counts, in log space, valid at every look and under every stopping rule.

The bet: *given* a unit's outcome its arm is random with a known probability, so if the candidate is no worse, no bet on "a bad outcome came
from the candidate" can be expected to grow. P(E ever >= 1/alpha) <= alpha (Ville), with no minimum sample, no model of the base rate, and
whatever the base rate and the split do over time (statistics 2.1; Podkopaev & Ramdas 2023; Lindon, Sanden & Shirikian 2022).

Every function returns ln E: 0 says nothing, ln(1/alpha) or more is an alarm at level alpha, below 0 speaks for the candidate. Counts are
sums, so a look costs the same however much traffic there was. `*_of` functions take arrays and broadcast: the simulations run on the very
code that decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from detent.terms import Exposure, Tally

Floats = NDArray[np.float64]

ODDS = np.array([1.15, 1.3, 1.5, 2.0, 3.0, 6.0, 15.0])
"""The alternatives bet on: odds of an event on the candidate, as multiples of the base odds (statistics 2.1)."""

WEIGHTS = np.array([0.10, 0.20, 0.25, 0.20, 0.12, 0.08, 0.05])
"""The fixed share of the stake on each alternative."""

BASE_RATE_FLOOR = 1e-6
"""Base rates are clamped this far away from 0 and 1."""


def log_e_rate(tallies: Sequence[Tally], base_rate: float) -> float:
    """ln E against "the candidate's event rate is no higher than stable's": the label-betting e-process (statistics 2.1, event rates).

    Each tally is bet at its own period's split, inside each alternative; the alternatives are mixed after. A tally whose split is 0 or 1
    carries no random label and contributes nothing; no tallies give 0. `base_rate` in (0, 1) is the working event rate (last week's
    stable one), frozen when the rollout opens: a wrong one costs power, never validity. It is clamped into [1e-6, 1 - 1e-6]: nearer to 0 or
    1 the bet no longer changes, and an estimate from a week without a single event (or without a single non-event) is not known better.

    Raises ValueError for a negative count, more events than units, a split outside [0, 1] or a base rate outside (0, 1).
    """
    for tally in tallies:
        _check_tally(tally)
    counts = np.array([(t.candidate_events, t.candidate_units, t.stable_events, t.stable_units) for t in tallies], dtype=float)
    counts = counts.reshape(-1, 4)
    return float(log_e_rate_of(*counts.T, split=[t.split for t in tallies], base_rate=base_rate))


RESTAKED = 0.05
"""The share of the stake that is kept back for the later share periods."""


def log_e_restaked(tallies: Sequence[Tally], base_rate: float) -> float:
    """`log_e_rate` that also finds harm which begins late: what the controller tests of an event rate. See `restaked`.

    Raises ValueError as `log_e_rate`.
    """
    for tally in tallies:
        _check_tally(tally)
    counts = np.array([(t.candidate_events, t.candidate_units, t.stable_events, t.stable_units) for t in tallies], dtype=float)
    brackets = rate_brackets(*counts.reshape(-1, 4).T, split=[t.split for t in tallies], base_rate=base_rate)
    return restaked([t.period for t in tallies], brackets, np.log(WEIGHTS))


def restaked(periods: Sequence[int], brackets: Floats, ln_weights: Floats) -> float:
    """ln E of a bet that also finds harm which begins late, from the brackets (tally, alternative) of tallies in these share periods.

    A stake that was rightly lost for days has little left to bet on harm that begins today. So 1 - `RESTAKED` of it is bet from the first
    share period on, and `RESTAKED` / (k (k + 1)) afresh from the (k + 1)-th on; what waits for its period is kept as it is. The sum is an
    e-process still: each part is one, or constant, and the shares are fixed before the data (a mixture over change points, as in the
    e-detectors of Shin, Ramdas & Rinaldo 2024, arXiv 2203.03532). 0 where there are no tallies.
    """
    starts, of = np.unique(np.asarray(periods, dtype=int), return_inverse=True)
    if not len(starts):
        return 0.0
    by_period = np.zeros((len(starts), brackets.shape[-1]))
    np.add.at(by_period, of, brackets)
    return float(restaked_of(by_period, ln_weights))


def restaked_of(brackets: Floats, ln_weights: Floats) -> Floats:
    """`restaked` on an array whose last axes are the share period, in order, and the alternative; the result has the remaining axes.

    A period without units yet has brackets of 0 and changes nothing: its part of the stake is 1, and the shares' series telescopes.
    """
    from_here_on = np.cumsum(brackets[..., ::-1, :], axis=-2)[..., ::-1, :]
    parts = mixed(from_here_on, ln_weights)
    n = parts.shape[-1]
    shares = np.array([1.0 - RESTAKED, *(RESTAKED / (k * (k + 1)) for k in range(1, n))])
    waiting = math.log(RESTAKED / n)  # 1 - sum(shares)
    return np.asarray(np.logaddexp(mixed(parts, np.log(shares)), waiting))


def log_e_rate_of(
    candidate_events: ArrayLike,
    candidate_units: ArrayLike,
    stable_events: ArrayLike,
    stable_units: ArrayLike,
    *,
    split: ArrayLike,
    base_rate: float,
) -> Floats:
    """`log_e_rate` on arrays whose last axis is the tally; the result has the remaining axes. Counts are not checked."""
    brackets = rate_brackets(candidate_events, candidate_units, stable_events, stable_units, split=split, base_rate=base_rate)
    return mixed(brackets.sum(axis=-2), np.log(WEIGHTS))


def rate_brackets(
    candidate_events: ArrayLike,
    candidate_units: ArrayLike,
    stable_events: ArrayLike,
    stable_units: ArrayLike,
    *,
    split: ArrayLike,
    base_rate: float,
) -> Floats:
    """The bracket of each tally for each alternative of `ODDS`, which is a new last axis: they add up over tallies, and are mixed after."""
    if not 0.0 < base_rate < 1.0:
        raise ValueError(f"a base rate lies between 0 and 1: `{base_rate}`")
    p = min(max(base_rate, BASE_RATE_FLOOR), 1.0 - BASE_RATE_FLOOR)
    pi = np.asarray(split, dtype=float)
    random = (pi > 0.0) & (pi < 1.0)
    s1, n1, s0, n0 = (np.where(random, x, 0.0) for x in (candidate_events, candidate_units, stable_events, stable_units))
    pi = np.where(random, pi, 0.5)
    brackets = []
    for g in ODDS:
        # p_j/p* = g r and (1-p_j)/(1-p*) = r. With a for either ratio, e_j/pi = a/(1 + pi(a-1)) and (1-e_j)/(1-pi) = 1/(1 + pi(a-1)).
        ln_r = -math.log1p(p * (g - 1.0))
        event_minus_1 = (g - 1.0) * (1.0 - p) * math.exp(ln_r)
        other_minus_1 = -(g - 1.0) * p * math.exp(ln_r)
        bracket = s1 * math.log1p(event_minus_1) - (s1 + s0) * np.log1p(pi * event_minus_1)
        bracket += (n1 - s1) * ln_r - (n1 - s1 + n0 - s0) * np.log1p(pi * other_minus_1)
        brackets.append(bracket)
    return np.stack(brackets, axis=-1)


@lru_cache(maxsize=1 << 16)  # a look at a shadow asks for thousands, and all but a few are as they were at the look before
def log_e_paired(candidate_only: int, stable_only: int) -> float:
    """ln E against "the candidate fails no more of the shadow pairs than stable does" (statistics 2.6).

    Of the pairs in which exactly one arm failed, the failing arm is a fair coin under "no change": the events-only bet of statistics 2.1
    with pi = 1/2 and r0 = 1. Raises ValueError for a negative count.
    """
    for name, n in (("candidate_only", candidate_only), ("stable_only", stable_only)):
        if n < 0:
            raise ValueError(f"{name} is a count and not negative: `{n}`")
    return float(log_e_paired_of(candidate_only, stable_only))


def log_e_paired_of(candidate_only: ArrayLike, stable_only: ArrayLike) -> Floats:
    """`log_e_paired` on arrays of equal shape. Counts are not checked."""
    s = np.asarray(candidate_only, dtype=float)[..., None]
    n = s + np.asarray(stable_only, dtype=float)[..., None]
    return mixed(s * np.log(ODDS) - n * np.log1p(0.5 * (ODDS - 1.0)), np.log(WEIGHTS))


def log_e_average(log_es: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """ln of the weighted arithmetic mean of e-values, equal weights by default: an e-value under any dependence (Vovk & Wang 2021).

    Weights must be fixed before the data, and all guards updated on the same clock. They must sum to 1, so that a guard left out by
    mistake is an error here and not a larger stake on the others. Raises ValueError for no e-values (nothing was tested: that is neither
    harm nor safety), for NaN, and for weights that are negative, of another number, or do not sum to 1.
    """
    if not log_es:
        raise ValueError("no e-values to average: no guard was tested")
    for log_e in log_es:
        if math.isnan(log_e):
            raise ValueError(f"not the logarithm of an e-value: `{log_e}`")
    if weights is None:
        weights = [1.0 / len(log_es)] * len(log_es)
    if len(weights) != len(log_es) or any(not w >= 0.0 for w in weights) or not math.isclose(sum(weights), 1.0, abs_tol=1e-9):
        raise ValueError(f"one weight from 0 up for each of {len(log_es)} e-values, with sum 1, is needed: `{list(weights)}`")
    return float(special.logsumexp(np.array(log_es, dtype=float), b=np.array(weights, dtype=float)))


def log_e_sample_ratio(exposure: Sequence[Exposure], concentration: float = 10_000) -> float:
    """ln E against "units reach the candidate with the probability that the split says" (statistics 2.4; Lindon & Malek 2022).

    E = B(a + n1, b + n0) / (B(a, b) pi^n1 (1-pi)^n0), a = c pi, b = c (1-pi): a Beta prior as heavy as `concentration` units around the
    split; the product over share periods. Periods with split 0 or 1 contribute nothing. The alarm is at E >= 1000.

    Raises ValueError for a negative count, a split outside [0, 1] or a concentration that is not positive.
    """
    if not 0.0 < concentration < math.inf:
        raise ValueError(f"a concentration is positive and finite: `{concentration}`")
    for period in exposure:
        check_split(period.split)
        for name, n in (("candidate", period.candidate), ("stable", period.stable)):
            if n < 0:
                raise ValueError(f"{name} units are a count and not negative: `{n}`")
    counts = np.array([(e.candidate, e.stable) for e in exposure], dtype=float).reshape(-1, 2)
    return float(log_e_sample_ratio_of(*counts.T, split=[e.split for e in exposure], concentration=concentration))


def log_e_sample_ratio_of(candidate: ArrayLike, stable: ArrayLike, *, split: ArrayLike, concentration: float = 10_000) -> Floats:
    """`log_e_sample_ratio` on arrays whose last axis is the period; the result has the remaining axes. Counts are not checked."""
    pi = np.asarray(split, dtype=float)
    random = (pi > 0.0) & (pi < 1.0)
    n1, n0 = np.where(random, candidate, 0.0), np.where(random, stable, 0.0)
    pi = np.where(random, pi, 0.5)
    a, b = concentration * pi, concentration * (1.0 - pi)
    bracket: Floats = special.betaln(a + n1, b + n0) - special.betaln(a, b) - n1 * np.log(pi) - n0 * np.log1p(-pi)
    return np.asarray(bracket.sum(axis=-1))


def mixed(brackets: Floats, ln_weights: Floats) -> Floats:
    """ln of the weighted sum over alternatives (last axis). scipy's logsumexp does the same, for a quarter of a millisecond a call."""
    terms = brackets + ln_weights
    most = terms.max(axis=-1, keepdims=True)
    return np.asarray(most[..., 0] + np.log(np.exp(terms - most).sum(axis=-1)))


def check_split(split: float) -> None:
    """Raises ValueError for a split outside [0, 1]."""
    if not 0.0 <= split <= 1.0:
        raise ValueError(f"a split lies in [0, 1]: `{split}`")


def _check_tally(tally: Tally) -> None:
    """Raises ValueError for counts that cannot be."""
    check_split(tally.split)
    for arm, events, units in (
        ("candidate", tally.candidate_events, tally.candidate_units),
        ("stable", tally.stable_events, tally.stable_units),
    ):
        if not 0 <= events <= units:
            raise ValueError(f"{arm} events lie between 0 and its units in period {tally.period}: `{events} of {units}`")
