"""Units of a guard on a value, counted by log-1.02 bucket (`stats.sketch`), as arrays. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detent.stats import sketch
from detent.stats.sequential import check_split
from detent.terms import ValueTally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def log_of(buckets: Ints) -> Floats:
    """`sketch.bucket_log` of each; a shifted bucket may lie below 0."""
    return np.asarray(sketch.bucket_log(0) + buckets * math.log(sketch.BASE))


def buckets_of(tallies: Sequence[ValueTally]) -> Ints:
    """Every bucket with a unit in it, in order. Raises ValueError for counts and splits that cannot be."""
    for tally in tallies:
        check_split(tally.split)
        for arm in (tally.candidate, tally.stable):
            if arm and (min(arm) < 0 or min(arm.values()) < 0):
                raise ValueError(
                    f"buckets and their units are counts from 0 up in period {tally.period}: `{min(arm)}: {min(arm.values())}`"
                )
    return np.array(sorted({bucket for tally in tallies for arm in (tally.candidate, tally.stable) for bucket in arm}), dtype=int)


def counts_in(units: Mapping[int, int], buckets: Ints) -> Floats:
    """Units in each of these buckets, which are in order and hold all of theirs."""
    counts = np.zeros(len(buckets))
    counts[np.searchsorted(buckets, list(units))] = list(units.values())
    return counts


class Arm:
    """Units of one arm by stratum and bucket."""

    def __init__(self, strata: Sequence[Mapping[int, int]]) -> None:
        self.size = 1 + max(max(counts) for counts in strata)
        counts = np.stack([counts_in(of, np.arange(self.size)) for of in strata])
        self.units: Floats = counts.sum(axis=1)
        self._upto = np.concatenate([np.zeros((len(strata), 1)), np.cumsum(counts, axis=1)], axis=1)

    def beyond(self, limits: Ints, sign: int) -> Floats:
        """Units above each limit (sign 1), or at or below it (-1): (limit, stratum)."""
        at_or_below = self._upto[:, np.clip(limits + 1, 0, self.size)].T
        return np.asarray(self.units - at_or_below if sign > 0 else at_or_below)

    def median(self, weight: Floats) -> int:
        """The bucket of the median, strata weighted."""
        shares = (weight / self.units) @ self._upto[:, 1:]
        return int(np.searchsorted(shares, 0.5 * shares[-1] * (1.0 - 1e-12)))
