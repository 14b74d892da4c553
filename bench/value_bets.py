"""Simulated tokens and seconds, bet on by the code that decides (statistics 3.3 and 3.4); and users who come back (statistics 2.1).

Values are drawn from a table of 65,536 equally likely buckets and judged as stored: by bucket, re-staked over share periods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from detent.stats import sketch
from detent.stats.proof import boundaries
from detent.stats.sequential import WEIGHTS, rate_brackets, restaked_of
from detent.stats.values import Moments, Scores, judge_log, judge_quantiles, limits_of, log_scores, quantile_scores
from looks import LOOKS_H, PROOF_H, units_to_alarm

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BUCKETS = np.arange(1200)
SPLIT = 0.05
CAP = 4096.0
"""Tokens at which an answer is cut off."""


# ── what units are worth ────────────────────────────────────────────────────────────────────────────────────────────


def table(parts: Sequence[tuple[float, float, float]], cap: float = math.inf) -> Ints:
    """65,536 equally likely buckets of a mixture of lognormals (share, median, log-sd), cut at `cap`."""
    edges = np.exp((BUCKETS - sketch.bucket(1.0)) * math.log(sketch.BASE))
    below = sum(share * special.ndtr(np.log(edges / median) / max(sd, 1e-9)) for share, median, sd in parts)
    return np.asarray(np.searchsorted(np.where(edges >= cap, 1.0, below), (np.arange(65_536) + 0.5) / 65_536), dtype=np.int64)


def tokens(ratio: float = 1.0, runaway: float = 0.005) -> Ints:
    """Tokens of an answer: log-sd 1, median 245 times `ratio`, `runaway` of them written until the limit cuts them off."""
    return table([(1.0 - runaway, 245.0 * ratio, 1.0), (runaway, CAP, 0.0)], cap=CAP)


def seconds(ratio: float = 1.0, slow: float = 0.015) -> Ints:
    """Latency: log-sd .55, P50 1.82 s times `ratio`, `slow` answers four times slower. At 5.3 % of these P99 is 1.5 times as long."""
    return table([(1.0 - slow, 1.8 * ratio, 0.55), (slow, 7.2 * ratio, 0.55)])


def logs_of(buckets: Ints) -> Floats:
    """ln of the values in these buckets."""
    return np.array([sketch.bucket_log(int(b)) for b in range(len(BUCKETS))])[buckets]


def ratio_of(values: Ints, usual: Ints) -> float:
    """The ratio of two tables' geometric means."""
    return math.exp(float(logs_of(values).mean() - logs_of(usual).mean()))


def quantile(values: Ints, q: float) -> float:
    """A quantile of a table's values."""
    return sketch.bucket_value(int(values[int(q * len(values))]))


# ── bets on them ────────────────────────────────────────────────────────────────────────────────────────────────────


def tokens_bet(side: str = "more") -> Scores:
    """The bet on tokens; last week's centre was 3 % higher and its deviation 10 % larger."""
    logs = logs_of(tokens())
    return log_scores(BUCKETS, split=SPLIT, centre=float(logs.mean()) + 0.03, deviation=1.1 * float(logs.std()), side=side)  # type: ignore[arg-type]


def limit_bet() -> Scores:
    """The rate bet on answers that hit their limit; last week 20 % more of them did."""
    hit = sketch.bucket(CAP)
    rate = 1.2 * float((tokens() >= hit).mean())
    event, other, stable_event, stable_other = (
        rate_brackets(*counts, split=[SPLIT], base_rate=rate)[0]
        for counts in (([1], [1], [0], [0]), ([0], [1], [0], [0]), ([0], [0], [1], [1]), ([0], [0], [0], [1]))
    )
    hits = (hit <= BUCKETS)[:, None]
    return Scores(np.where(hits, event, other), np.where(hits, stable_event, stable_other), np.log(WEIGHTS))


def seconds_bet(tolerance: float = 1.0) -> Scores:
    """The three bets on latency; last week's thresholds were 3 % higher."""
    thresholds = [1.03 * quantile(seconds(), q) for q in (0.5, 0.9, 0.99)]
    return quantile_scores(BUCKETS, split=SPLIT, thresholds=thresholds, side="more", tolerance_ratio=tolerance)


def alarms(
    rng: np.random.Generator,
    runs: int,
    stable: Ints,
    candidate: Ints,
    bets: Sequence[Scores],
    *,
    per_hour: float = 100.0,
    swing: float = 0.0,
) -> Floats:
    """Candidate units to the alarm of the average of these bets; all values swing by a factor of 1 -+ `swing` over the day."""
    hours = np.diff(LOOKS_H, prepend=0.0)
    moved = np.rint(np.log(1.0 + swing * np.sin(2.0 * np.pi * LOOKS_H / 24.0)) / math.log(sketch.BASE)).astype(int)
    arms = [
        (candidate, np.hstack([bet.candidate for bet in bets]), per_hour),
        (stable, np.hstack([bet.stable for bet in bets]), per_hour / SPLIT * (1.0 - SPLIT)),
    ]
    ends = np.cumsum([len(bet.ln_weights) for bet in bets])
    log_es, units = np.zeros((runs, len(hours))), np.zeros((runs, len(hours)))
    for run in range(runs):
        brackets = np.zeros((len(hours), ends[-1]))
        for values, scores, hourly in arms:
            counts = rng.poisson(hourly * hours)
            drawn = values[rng.integers(0, 65_536, size=counts.sum(), dtype=np.uint16)]
            if swing:
                drawn = drawn + np.repeat(moved, counts)
            # A row a look, a one for each of its units: what they are worth together.
            seen = sparse.csr_array((np.ones(len(drawn)), drawn, np.append(0, np.cumsum(counts))), shape=(len(hours), len(BUCKETS)))
            brackets += np.cumsum(seen @ scores, axis=0)
            if hourly == per_hour:
                units[run] = np.cumsum(counts)
        each = [
            restaked_of(part[:, None, :], bet.ln_weights) for part, bet in zip(np.split(brackets, ends[:-1], axis=1), bets, strict=True)
        ]
        log_es[run] = np.logaddexp.reduce(each) - math.log(len(bets))
    return units_to_alarm(log_es, units)


# ── proofs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def slow_tail(ratio: float) -> Ints:
    """Latency with a P99 that is `ratio` times the usual, by more answers that are four times slower: P50 is as good as unchanged."""
    usual = quantile(seconds(), 0.99)
    return next(found for slow in np.arange(0.015, 0.2, 0.0005) if quantile(found := seconds(slow=float(slow)), 0.99) >= ratio * usual)


def proved_tokens(rng: np.random.Generator, runs: int, candidate: Ints, margin: float) -> tuple[float, float]:
    """Share of candidates whose tokens are proved within the margin by the first and by the last look, at 1,000 units an hour."""
    arms = []
    for values, share in ((candidate, SPLIT), (tokens(), 1.0 - SPLIT)):
        chance = np.bincount(values, minlength=len(BUCKETS)) / len(values)
        some = np.flatnonzero(chance)
        units, logs = _cumulated(rng, runs, share, chance[some]), logs_of(some)
        n = units.sum(axis=-1)
        mean = np.einsum("rlb,b->rl", units, logs) / n
        arms.append(Moments(*(x[..., None] for x in (n, mean, np.einsum("rlb,b->rl", units, logs**2) - n * mean**2))))
    return _passed(*judge_log(*arms, margin=margin, side="more"))


def proved_latency(rng: np.random.Generator, runs: int, candidate: Ints, margin: float) -> tuple[float, float]:
    """The same of latency, by three thresholds that are 3 % off."""
    limits = limits_of([1.03 * quantile(seconds(), q) for q in (0.5, 0.9, 0.99)], margin, 1)
    arms = []
    for values, share, at in ((candidate, SPLIT, limits[0]), (seconds(), 1.0 - SPLIT, limits[1])):
        chance = np.bincount(values, minlength=len(BUCKETS)) / len(values)
        units = _cumulated(rng, runs, share, np.add.reduceat(chance, [0, *(at + 1)]))  # up to the first limit, between, beyond the last
        arms += [np.cumsum(units[..., :0:-1], axis=-1)[..., ::-1, None], units.sum(axis=-1)[..., None]]
    return _passed(*judge_quantiles(*arms))


def _cumulated(rng: np.random.Generator, runs: int, share: float, chance: Floats) -> Floats:
    """Units of an arm at each look, by what they are worth: (run, look, class)."""
    expected = 1000.0 / SPLIT * share * np.diff(PROOF_H, prepend=0.0)
    return np.cumsum(rng.poisson(expected[:, None] * chance, size=(runs, len(PROOF_H), len(chance))), axis=1).astype(float)


def _passed(z: Floats, information: Floats) -> tuple[float, float]:
    passed = np.array([row >= boundaries(0.05, had.tolist()) for row, had in zip(z, information, strict=True)])
    return float(passed[:, 0].mean()), float(passed.any(axis=1).mean())


# ── users who come back ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Returning:
    """Share of rollouts without harm that raise an alarm: one bet a user, a bet a session, and a bet a session with a fresh label each."""

    per_user: float
    per_session: float
    fresh: float


def returning(
    rng: np.random.Generator, runs: int, *, users: int = 2000, sessions: int = 18, rate: float = 0.02, icc: float = 0.2
) -> Returning:
    """Users that keep their arm through 18 sessions; a user's sessions are alike (intra-class correlation). Looks every 100 sessions."""
    found = np.zeros((3, runs))
    for run in range(runs):
        own = rng.beta(rate * (1.0 / icc - 1.0), (1.0 - rate) * (1.0 / icc - 1.0), size=users)
        who = rng.permutation(np.repeat(np.arange(users), sessions))
        event = rng.random(len(who)) < own[who]
        sticky, fresh = (rng.random(users) < SPLIT)[who], rng.random(len(who)) < SPLIT
        first = np.zeros(len(who), dtype=bool)
        first[np.unique(who, return_index=True)[1]] = True
        for k, (arm, counted) in enumerate(((sticky, first), (sticky, first | True), (fresh, first | True))):
            columns = [np.cumsum(x & counted)[99::100] for x in (event & arm, arm, event & ~arm, ~arm)]
            log_e = restaked_of(rate_brackets(*(c[:, None] for c in columns), split=[SPLIT], base_rate=1.2 * rate), np.log(WEIGHTS))
            found[k, run] = log_e.max() >= math.log(20.0)
    return Returning(*found.mean(axis=1).tolist())
