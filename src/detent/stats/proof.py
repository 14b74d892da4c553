"""Proof that a candidate is no worse than a margin: a stratified score test at planned looks, and the boundaries of those looks.

Promotion asks for positive proof; "no harm seen" is not one (statistics 2.3). Each share period is a stratum: pooled over a ramp, a drift
of the base rate looks like harm, or hides it. Every proving guard must pass on its own (intersection-union, Berger 1982), so alpha is not
divided among guards, only among looks (Lan & DeMets 1983).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from detent.terms import Tally

Floats = NDArray[np.float64]

EXPECTED_AT_LEAST = 5.0
"""Events, and units without one, that each arm must have expected at the margin before a normal approximation is believed.

Without it the score test takes 0 of 1000 against 3 of 1000 for proof at margin 1.5 (z 2.1; the exact chance is 0.4^3, 6 %).
"""

HALF_WIDTH = 1.959963984540054
"""Of the 95 % interval, in standard errors."""

# ── non-inferiority ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the counts say about "worse by the margin": `z` at or above a look's boundary proves that the candidate is not.

    Rates are Mantel-Haenszel-weighted over share periods, so that `estimate` is their ratio or their difference; `lower` and `upper` bound
    it with 95 % confidence (infinite: a ratio to no events). `information` is the variance of the weighted score under the margin. It adds
    up over units and periods, and two looks correlate by sqrt(I_j / I_k), also where base rate or split differ between periods; the
    inverse variance of the estimate, equal up to a constant within one period, would overstate that correlation across periods.
    """

    z: float
    candidate_rate: float
    stable_rate: float
    estimate: float
    lower: float
    upper: float
    information: float


def non_inferiority(tallies: Sequence[Tally], *, margin_ratio: float | None = None, margin_abs: float | None = None) -> Proof | None:
    """The evidence against "the candidate's event rate is `margin_ratio` times stable's or more", or "`margin_abs` above it or more".

    Per stratum (tally) the score of Farrington & Manning 1990 with restricted maximum-likelihood variance at the margin and the factor
    N/(N-1) of Miettinen & Nurminen 1985; summed with Mantel-Haenszel weights n1 n0 / (n1 + n0). The interval is where |z| <= 1.96 for this
    test; the z returned is also corrected for skewness where that lowers it (arms of equal size and few events: else up to 1.4 alpha).

    None when nothing can be said: no tally with units of both arms and a split strictly between 0 and 1, or a ratio without any event.
    A difference can be proved without events: the margin gives the variance. Where counts are too small for the approximation
    (`EXPECTED_AT_LEAST`), z is at most 0 and information 0: such a look can't prove anything and spends no alpha. Too few stable events
    for a difference are read as none, the hardest case: "at or above margin_abs" is then what must be refuted.

    Raises ValueError unless exactly one margin is given, for a ratio that is not positive and finite, a difference outside [0, 1), a
    negative count or more events than units.
    """
    if (margin_ratio is None) == (margin_abs is None):
        raise ValueError(f"exactly one margin is needed: `margin_ratio={margin_ratio}, margin_abs={margin_abs}`")
    if margin_ratio is not None and not 0.0 < margin_ratio < math.inf:
        raise ValueError(f"margin_ratio is positive and finite: `{margin_ratio}`")
    if margin_abs is not None and not 0.0 <= margin_abs < 1.0:
        raise ValueError(f"margin_abs lies in [0, 1): `{margin_abs}`")
    for tally in tallies:
        _check_counts(tally)
    strata = [
        (t.candidate_events, t.candidate_units, t.stable_events, t.stable_units)
        for t in tallies
        if 0.0 < t.split < 1.0 and t.candidate_units and t.stable_units
    ]
    if not strata:
        return None
    counts = np.array(strata, dtype=float).T
    if margin_ratio is not None:
        return _ratio_proof(counts, margin_ratio)
    return _difference_proof(counts, margin_abs or 0.0)


def _ratio_proof(counts: Floats, margin: float) -> Proof | None:
    candidate, stable = _weighted_rates(*counts)
    if candidate == stable == 0.0:
        return None

    def z(u: float) -> float:
        return float(ratio_score(*counts, margin=math.exp(u)).z)

    # e^40 is past any ratio of counts; an arm without events bounds the ratio on one side only.
    ends = (-40.0, math.log(candidate / stable) if candidate and stable else 0.0, 40.0)
    at_z, information = judge_ratio(*counts, margin=margin)
    return Proof(
        z=float(at_z),
        candidate_rate=candidate,
        stable_rate=stable,
        estimate=candidate / stable if stable else math.inf,
        lower=math.exp(_crossing(z, -HALF_WIDTH, ends[0], ends[1] if stable else ends[2])) if candidate else 0.0,
        upper=math.exp(_crossing(z, HALF_WIDTH, ends[1] if candidate else ends[0], ends[2])) if stable else math.inf,
        information=float(information),
    )


def _difference_proof(counts: Floats, margin: float) -> Proof | None:
    candidate, stable = _weighted_rates(*counts)
    if not difference_score(*counts, margin=margin).variance > 0.0:
        return None

    def z(d: float) -> float:
        return float(difference_score(*counts, margin=d).z)

    edge = 1.0 - 1e-12  # at a difference of exactly 1 there is no variance left
    at_z, information = judge_difference(*counts, margin=margin)
    return Proof(
        z=float(at_z),
        candidate_rate=candidate,
        stable_rate=stable,
        estimate=candidate - stable,
        lower=_crossing(z, -HALF_WIDTH, -edge, candidate - stable),
        upper=_crossing(z, HALF_WIDTH, candidate - stable, edge),
        information=float(information),
    )


def _crossing(z: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where z, which rises with the margin, reaches the target between low and high; the nearer end where it stays on one side."""
    if z(low) >= target:
        return low
    if z(high) <= target:
        return high
    return float(optimize.brentq(lambda u: z(u) - target, low, high, xtol=1e-12))


def _check_counts(tally: Tally) -> None:
    for arm, events, units in (
        ("candidate", tally.candidate_events, tally.candidate_units),
        ("stable", tally.stable_events, tally.stable_units),
    ):
        if not 0 <= events <= units:
            raise ValueError(f"{arm} events lie between 0 and its units in period {tally.period}: `{events} of {units}`")


# ── the score tests, on arrays whose last axis is the stratum ───────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over strata: the weighted score (positive speaks for the candidate), and at the margin its variance, skewness and counts."""

    score: Floats
    variance: Floats
    skewness: Floats
    candidate_events: Floats
    candidate_others: Floats
    stable_events: Floats
    stable_others: Floats

    @property
    def z(self) -> Floats:
        """score / sqrt(variance); 0 where there is no variance: no evidence, instead of any amount of it."""
        varies = self.variance > 0.0
        return np.asarray(np.where(varies, self.score / np.sqrt(np.where(varies, self.variance, 1.0)), 0.0))

    @property
    def wary_z(self) -> Floats:
        """z, made smaller where the score's long tail is on the proving side and would prove too often (Gart & Nam 1990, Laud 2017)."""
        g = np.maximum(self.skewness, 0.0) / 6.0
        corrected = 2.0 * (self.z + g) / (1.0 + np.sqrt(np.maximum(1.0 + 4.0 * g * (self.z + g), 0.0)))
        return np.asarray(np.minimum(self.z, corrected))


def judge_ratio(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike, *, margin: float) -> tuple[Floats, Floats]:
    """(z, information) against "p1 >= margin p0", as `non_inferiority` gives them, from candidate (1) and stable (0) counts."""
    at = ratio_score(x1, n1, x0, n0, margin=margin)
    return _judged(at, np.minimum(np.minimum(at.candidate_events, at.candidate_others), np.minimum(at.stable_events, at.stable_others)))


def judge_difference(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike, *, margin: float) -> tuple[Floats, Floats]:
    """(z, information) against "p1 >= p0 + margin", as `non_inferiority` gives them, from candidate (1) and stable (0) counts."""
    few = difference_score(x1, n1, x0, n0, margin=margin).stable_events < EXPECTED_AT_LEAST
    at = difference_score(x1, n1, np.where(few[..., None], 0.0, x0), n0, margin=margin)
    return _judged(at, np.minimum(np.minimum(at.candidate_events, at.candidate_others), at.stable_others))


def _judged(at: Score, least: Floats) -> tuple[Floats, Floats]:
    enough = least >= EXPECTED_AT_LEAST
    return np.where(enough, at.wary_z, np.minimum(at.z, 0.0)), np.where(enough, at.variance, 0.0)


def ratio_score(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike, *, margin: float) -> Score:
    """The stratified score of "p1 = margin p0". Restricted rates solve a quadratic (Farrington & Manning 1990, appendix)."""
    x1, n1, x0, n0 = (np.asarray(a, dtype=float) for a in (x1, n1, x0, n0))
    x = x1 + x0
    b = x1 + n0 + margin * (x0 + n1)
    root = np.sqrt(np.maximum(b * b - 4.0 * margin * (n1 + n0) * x, 0.0))
    p0 = np.minimum(2.0 * x / np.maximum(b + root, 1e-300), min(1.0, 1.0 / margin))
    return _summed(x1, n1, x0, n0, p1=margin * p0, p0=p0, scale=margin, shift=0.0)


def difference_score(x1: ArrayLike, n1: ArrayLike, x0: ArrayLike, n0: ArrayLike, *, margin: float) -> Score:
    """The stratified score of "p1 = p0 + margin". Restricted rates solve a cubic (Farrington & Manning 1990, appendix)."""
    x1, n1, x0, n0 = (np.asarray(a, dtype=float) for a in (x1, n1, x0, n0))
    total = np.maximum(n1 + n0, 1.0)
    # Divided by the number of units, so that coefficients stay near 1: p^3 + a p^2 + b p + c = 0 for p = p0.
    a = (margin * (n1 + 2.0 * n0) - (x1 + x0)) / total - 1.0
    b = ((n0 * margin - (n1 + n0) - 2.0 * x0) * margin + x1 + x0) / total
    c = x0 / total * margin * (1.0 - margin)
    v = (a / 3.0) ** 3 - a * b / 6.0 + c / 2.0
    u = np.copysign(np.sqrt(np.maximum((a / 3.0) ** 2 - b / 3.0, 0.0)), v)
    cosine = np.clip(v / np.where(u == 0.0, 1.0, u**3), -1.0, 1.0)
    p0 = 2.0 * u * np.cos((np.pi + np.arccos(cosine)) / 3.0) - a / 3.0
    for _ in range(4):  # the angle is only good to the square root of the precision where two roots nearly meet; Newton mends it
        slope = (3.0 * p0 + 2.0 * a) * p0 + b
        step = (((p0 + a) * p0 + b) * p0 + c) / np.where(slope == 0.0, np.inf, slope)
        p0 = np.clip(p0 - step, max(0.0, -margin), min(1.0, 1.0 - margin))
    return _summed(x1, n1, x0, n0, p1=np.clip(p0 + margin, 0.0, 1.0), p0=p0, scale=1.0, shift=margin)


def _summed(x1: Floats, n1: Floats, x0: Floats, n0: Floats, *, p1: Floats, p0: Floats, scale: float, shift: float) -> Score:
    """Sums over strata of w (scale r0 + shift - r1) and of w^2 times its variance at rates p1, p0; an arm without units weighs nothing."""
    some1, some0, total = np.maximum(n1, 1.0), np.maximum(n0, 1.0), np.maximum(n1 + n0, 2.0)
    weight = n1 * n0 / total
    score = weight * (scale * x0 / some0 + shift - x1 / some1)
    variance = weight**2 * (p1 * (1.0 - p1) / some1 + scale**2 * p0 * (1.0 - p0) / some0) * total / (total - 1.0)
    third = weight**3 * (scale**3 * _third_moment(p0) / some0**2 - _third_moment(p1) / some1**2)
    varies = variance.sum(axis=-1) > 0.0
    skewness = np.where(varies, third.sum(axis=-1), 0.0) / np.where(varies, variance.sum(axis=-1), 1.0) ** 1.5
    both = weight > 0.0
    expected = (n1 * p1, n1 * (1.0 - p1), n0 * p0, n0 * (1.0 - p0))
    return Score(score.sum(axis=-1), variance.sum(axis=-1), skewness, *(np.where(both, e, 0.0).sum(axis=-1) for e in expected))


def _third_moment(p: Floats) -> Floats:
    """Third central moment of one unit's event."""
    return np.asarray(p * (1.0 - p) * (1.0 - 2.0 * p))


def _weighted_rates(x1: Floats, n1: Floats, x0: Floats, n0: Floats) -> tuple[float, float]:
    """Mantel-Haenszel-weighted event rates of candidate and stable."""
    weight = n1 * n0 / (n1 + n0)
    return float((weight * x1 / n1).sum() / weight.sum()), float((weight * x0 / n0).sum() / weight.sum())


# ── boundaries ──────────────────────────────────────────────────────────────────────────────────────────────────────

SPENT = (0.60, 0.70, 0.80, 0.88, 0.94, 1.0)
"""Share of alpha spent by each of six looks (statistics 2.3: .030, .035, .040, .044, .047, .050 of .05)."""

NEW_INFORMATION = 0.01
"""A look with less new information than this, as a share of what there was, is none: it sees the same data again."""

_LOWEST = -8.0
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(200)


def boundaries(alpha: float, information: Sequence[float], planned: int = 6) -> tuple[float, ...]:
    """One-sided boundaries, one per look so far, that z must reach; at the edge of H0 some look does with probability `alpha` at most.

    `information` is the cumulative information at each look (any unit: ratios count). Lan & DeMets 1983: by look k of `planned` the share
    SPENT of alpha is spent (interpolated when `planned` is not 6), and z_k solves P(no earlier crossing, crossing at k) = what is to spend,
    z_j and z_k having correlation sqrt(I_j / I_k); by recursive numerical integration (Armitage, McPherson & Rowe 1969). Boundaries of
    earlier looks don't depend on later ones.

    A look without new information (none, less than before, or hardly more: `NEW_INFORMATION`) has boundary +inf and leaves its alpha to
    the next; so have looks past the planned ones, for which no alpha is left.
    Raises ValueError for an alpha outside (0, 1), `planned` below 1, or information that is negative or not finite.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha lies between 0 and 1: `{alpha}`")
    if planned < 1:
        raise ValueError(f"at least one look is planned: `{planned}`")
    for amount in information:
        if not 0.0 <= amount < math.inf:
            raise ValueError(f"information is finite and not negative: `{amount}`")
    shares = np.interp(np.linspace(0.0, len(SPENT) - 1.0, planned), range(len(SPENT)), SPENT) if planned > 1 else np.ones(1)
    found: list[float] = []
    spent, had = 0.0, 0.0
    nodes, density = np.zeros(1), np.ones(1)  # before the first look: all mass at score 0
    for k, amount in enumerate(information):
        to_spend = alpha * float(shares[min(k, planned - 1)]) - spent
        if amount <= had * (1.0 + NEW_INFORMATION) or to_spend <= 1e-12:
            found.append(math.inf)
            continue
        z = _boundary(nodes, density, had, amount, to_spend)
        nodes, density = _carried_on(nodes, density, had, amount, z)
        spent, had = spent + to_spend, amount
        found.append(z)
    return tuple(found)


def _boundary(nodes: Floats, density: Floats, had: float, amount: float, to_spend: float) -> float:
    """The z at `amount` of information that is crossed, with no earlier crossing, with probability `to_spend`."""
    spread = math.sqrt(amount - had)

    def excess(z: float) -> float:
        return float(density @ special.ndtr((nodes - z * math.sqrt(amount)) / spread)) - to_spend

    return float(optimize.brentq(excess, _LOWEST, -_LOWEST, xtol=1e-10))


def _carried_on(nodes: Floats, density: Floats, had: float, amount: float, z: float) -> tuple[Floats, Floats]:
    """Scores (z sqrt(I)) below the boundary at the new look, with their probabilities: the next step's quadrature."""
    half = (z - _LOWEST) / 2.0
    scores = (_LOWEST + half * (1.0 + _NODES)) * math.sqrt(amount)
    steps = (scores[:, None] - nodes[None, :]) / math.sqrt(amount - had)
    mass = (np.exp(-0.5 * steps**2) @ density) / math.sqrt(2.0 * math.pi * (amount - had))
    return scores, np.asarray(mass * _NODE_WEIGHTS * half * math.sqrt(amount))
