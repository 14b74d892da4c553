"""Which prompts of the traffic become cases, and how much of the traffic each stands for. Deterministic: order comes from digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_ROUNDS = 200
_FURTHEST = 20.0
"""How many times heavier or lighter than its cell makes it a case may become, so that the strata come out right."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The rows drawn, in their order, the weight that each stands for now, and the share of the whole weight whose cell is represented."""

    rows: Codes
    weights: Floats
    coverage: float


def draw(
    weights: Floats, strata: Codes, order: NDArray[np.uint64], limit: int, *, shares: Sequence[Floats] = (), coverage_of: int | None = None
) -> Drawn:
    """At most `limit` of the rows, so that each value of each stratum keeps one while there is room, and the rest in proportion to weight.

    `weights` (n) are above 0, `strata` (n, dimensions) codes from 0, `order` (n) digests that settle every tie. The weights of what is not
    drawn go to what is: within a cell (all dimensions the same) first, then so that the weighted share of each value is as in `shares` (one
    array for each dimension, by code; the shares of the rows by default). `coverage_of` is how many dimensions, from the first, make a cell
    for the coverage; all by default.
    """
    if len(weights) <= limit:
        return Drawn(np.arange(len(weights)), weights.copy(), 1.0 if len(weights) else 0.0)
    stands_for = np.zeros(len(weights))
    _one_of_each(weights, strata, order, limit, stands_for)
    _in_proportion(weights, strata, order, limit - int((stands_for > 0).sum()), stands_for)
    rows = np.flatnonzero(stands_for)
    represented = _cells(strata[:, :coverage_of])
    coverage = float(weights[np.isin(represented, represented[rows])].sum() / weights.sum())
    wanted = shares or [np.bincount(column, weights=weights) / weights.sum() for column in strata.T]
    return Drawn(rows, _balanced(weights, strata, rows, stands_for[rows], wanted), coverage)


def _cells(strata: Codes) -> Codes:
    """Which rows have the same values in all dimensions: a number for each combination."""
    found: Codes = np.zeros(len(strata), dtype=np.int64)
    for column in strata.T:  # one dimension after another: `np.unique` over whole rows sorts a hundred times slower
        found = np.unique(found * (int(column.max(initial=0)) + 1) + column, return_inverse=True)[1].reshape(-1)
    return found


def _one_of_each(weights: Floats, strata: Codes, order: NDArray[np.uint64], limit: int, stands_for: Floats) -> None:
    """Take a row for each value, the rarest value first; of the rows that have it the one that has most values nobody has yet.

    With more values than room half of the room is left for the common ones.
    """
    missing = [np.bincount(column) > 0 for column in strata.T]
    mass = [np.bincount(column, weights=weights) for column in strata.T]
    values = sorted((mass[d][v], d, v) for d in range(len(mass)) for v in np.flatnonzero(missing[d]))
    room = limit if len(values) <= limit else limit // 2
    for _, dimension, value in values:
        if room == 0:
            return
        if not missing[dimension][value]:
            continue
        having = np.flatnonzero(strata[:, dimension] == value)
        new = sum(missing[d][strata[having, d]].astype(np.int64) for d in range(len(mass)))
        best = having[np.lexsort((order[having], -weights[having], -np.asarray(new)))[0]]
        stands_for[best] = weights[best]
        for d in range(len(mass)):
            missing[d][strata[best, d]] = False
        room -= 1


def _in_proportion(weights: Floats, strata: Codes, order: NDArray[np.uint64], room: int, stands_for: Floats) -> None:
    """Take `room` more rows with probability in proportion to weight: systematic sampling along the strata, the heaviest for certain.

    Each stands for its weight over its probability (Horvitz and Thompson, 1952).
    """
    left = np.flatnonzero(stands_for == 0)
    while room:
        step = weights[left].sum() / room
        certain = weights[left] >= step
        if not certain.any():
            break
        heaviest = left[certain][:room]
        stands_for[heaviest] = weights[heaviest]
        left, room = left[~certain], room - len(heaviest)
    if room and len(left):
        along = left[np.lexsort((order[left], *strata[left].T[::-1]))]
        upto = np.cumsum(weights[along])
        picked = along[np.searchsorted(upto, (np.arange(room) + 0.5) * upto[-1] / room)]
        stands_for[picked] = upto[-1] / room


def _balanced(weights: Floats, strata: Codes, rows: Codes, start: Floats, shares: Sequence[Floats]) -> Floats:
    """Weights of the drawn rows that add up to the whole weight: by cell, then raked to the shares of each dimension.

    Raking is iterative proportional fitting (Deming and Stephan, 1940); no weight moves further than `_FURTHEST` times, as a case that
    stands for a hundred times its share would be the whole verdict.
    """
    total = weights.sum()
    cell = _cells(strata)
    of_traffic = np.bincount(cell, weights=weights)
    of_drawn = np.bincount(cell[rows], weights=start, minlength=len(of_traffic))
    by_cell = start * of_traffic[cell[rows]] / of_drawn[cell[rows]]
    by_cell *= total / by_cell.sum()
    found = by_cell.copy()
    for _ in range(_ROUNDS):
        before = found
        for column, wanted in zip(strata[rows].T, shares, strict=True):
            there = np.bincount(column, weights=found, minlength=len(wanted))
            factor = np.divide(wanted * total, there, out=np.ones(len(wanted)), where=(there > 0) & (wanted > 0))
            found = found * factor[column]
        found = np.clip(found, by_cell / _FURTHEST, by_cell * _FURTHEST)
        found *= total / found.sum()
        if np.abs(found - before).max() <= 1e-9 * total:
            break
    return found
