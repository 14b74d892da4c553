"""What the tests say of one guard: harm, proof, whether its two arms can be compared at all, and its numbers in words. Pure.

`View` asks this of every guard of a rollout, and `explain` of every segment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from detent.stats import sketch, values
from detent.stats.proof import Proof, non_inferiority
from detent.stats.sequential import log_e_restaked, log_e_sample_ratio
from detent.terms import Exposure, Guard, GuardEvidence, MetricRow, Side, Working

REPORTED_CONCENTRATION = 100.0
"""Weight of that test's prior on the units whose outcome is known: differences here are gross, and are to be seen in a hundred units."""

REPORTED_AT_E = 100.0
"""E-value at which the outcome is taken to be known of one arm's units more often than of the other's."""

PRIOR_RATE = 0.01
"""Working base rate of a guard without history; a wrong one costs power, never validity (statistics 2.1)."""

USUAL_MARGIN = 1.5
"""For an interval, which does not depend on it, of a guard that has no margin."""


def describe_rate(events: int, units: int) -> str:
    """`41 of 52 (78.8 %)`."""
    return f"{events} of {units} ({100 * events / units:.1f} %)" if units else "0 of 0"


def describe_e(log_e: float) -> str:
    """An e-value for people: `0.42`, `37`, `3.1e+09`."""
    if log_e > 700:
        return f"1e+{log_e / math.log(10):.0f}"
    value = math.exp(log_e)
    return f"{value:.2g}" if value < 10 or value >= 1e5 else f"{value:.0f}"


def buckets_of(found: GuardEvidence) -> tuple[Counter[int], Counter[int]]:
    """Units by bucket over all share periods, of candidate and stable."""
    arms: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    for tally in found.values:
        arms[0].update(tally.candidate)
        arms[1].update(tally.stable)
    return arms


def typical(row: MetricRow, buckets: Mapping[int, int]) -> float | None:
    """What is usual of a value: the geometric mean where the bet is on logarithms, else the median; None without units."""
    n = sum(buckets.values())
    if not n:
        return None
    if row.bet == "log":
        return math.exp(sum(sketch.bucket_log(b) * k for b, k in buckets.items()) / n)
    return sketch.quantile(buckets, 0.5)


def describe_values(row: MetricRow, buckets: Mapping[int, int]) -> str:
    """`geometric mean 312 of 1000 units`, or `P50 1.2, P90 3.4, P99 7.8 of 1000 units`."""
    n = sum(buckets.values())
    if not n:
        return "0 units"
    if row.bet == "log":
        return f"geometric mean {typical(row, buckets):.3g} of {n} units"
    return ", ".join(f"P{100 * q:g} {sketch.quantile(buckets, q):.3g}" for q in (0.5, 0.9, 0.99)) + f" of {n} units"


def proof_of(row: MetricRow, guard: Guard, found: GuardEvidence, known: Working) -> Proof | None:
    """The evidence against "worse by the guard's margin", whatever its role; None where there is nothing to say.

    Raises ValueError for evidence that cannot be. The interval in it does not depend on the margin, nor do its estimates.
    """
    if row.bet == "rate":
        if guard.margin_abs is not None:
            return non_inferiority(found.tallies, margin_abs=guard.margin_abs)
        return non_inferiority(found.tallies, margin_ratio=guard.margin_ratio or USUAL_MARGIN)
    margin, side = guard.margin_ratio or USUAL_MARGIN, guard.side or row.side
    if row.bet == "log":
        return values.proof_of_log(found.values, margin_ratio=margin, side=side)
    if not known.thresholds:
        return None
    # Units that the thresholds were measured on would look more alike than they are.
    later = [t for t in found.values if t.period >= known.since]
    return values.proof_of_quantiles(later, thresholds=known.thresholds, margin_ratio=margin, side=side)


def has_model(row: MetricRow, known: Working) -> bool:
    """Whether a guard can be bet on: a rate always, since a prior will do; a value once it is known what is usual."""
    if row.bet == "log":
        return known.centre is not None and known.deviation is not None
    return row.bet == "rate" or bool(known.thresholds)


def unequally_known(found: GuardEvidence) -> str:
    """Why a guard's two arms can't be compared: outcomes known of one more often than of the other; empty where they can.

    The bet takes the arm of a unit for random *given* its outcome. Where the outcomes of one arm go missing (its provider reports no
    usage, its answers are tool calls instead of JSON), what is left is no random sample: good units of the other arm would pass for
    evidence. The sample-ratio test, on the units with a known outcome, finds that long before it could look like harm.
    """
    tallies = [(t.period, t.split, t.candidate_units, t.stable_units) for t in found.tallies]
    tallies += [(v.period, v.split, sum(v.candidate.values()), sum(v.stable.values())) for v in found.values]
    known = [Exposure(period=p, split=s, candidate=c, stable=k) for p, s, c, k in tallies]
    if log_e_sample_ratio(known, REPORTED_CONCENTRATION) < math.log(REPORTED_AT_E):
        return ""
    arms = found.candidate_units, found.stable_units
    return f"its outcome is known of {arms[0]} candidate and {arms[1]} stable units, which does not fit the split"


BY_LUCK = 0.001
"""A silence of one arm that would come about by luck less often than this is a pipe that is broken."""


def unheard(found: GuardEvidence) -> bool:
    """Whether the app said something of one arm's units at the most, and more than luck would leave out the other."""
    if (found.candidate_heard and found.stable_heard) or not found.heard_of:
        return not found.heard_of
    silent = found.stable_units if found.candidate_heard else found.candidate_units
    return (1.0 - silent / (found.candidate_units + found.stable_units)) ** found.heard_of < BY_LUCK


def log_e_of(row: MetricRow, guard: Guard, found: GuardEvidence, known: Working) -> float:
    """ln E of harm in one guard; 0 (nothing said) while it has no working model. Raises ValueError for evidence that cannot be."""
    if row.bet == "rate":
        return log_e_restaked([t for t in found.tallies if t.period >= known.since], known.rate or PRIOR_RATE)
    if not has_model(row, known):
        return 0.0
    tallies = [t for t in found.values if t.period >= known.since]
    side: Side = guard.side or row.side
    if row.bet == "quantiles":
        return values.log_e_quantiles(tallies, thresholds=known.thresholds, side=side, tolerance_ratio=guard.tolerance_ratio)
    assert known.centre is not None
    assert known.deviation is not None
    return values.log_e_log(tallies, centre=known.centre, deviation=known.deviation, side=side, tolerance_ratio=guard.tolerance_ratio)
