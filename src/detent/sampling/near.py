"""Which prompts are near-duplicates: MinHash signatures, candidates by bands, each confirmed against the one it would go with.

The share of equal places of two signatures estimates the Jaccard similarity of two sets of shingles (Broder, "On the resemblance and
containment of documents", 1997, section 3); with `PLACES` places its standard error is sqrt(J (1 - J) / PLACES), 0.05 at J = 0.8. Sixteen
bits of each place are kept (Li and König, "b-bit minwise hashing", 2010): two different values agree in them once in 65,536 times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detent.sampling.hashing import Words

PLACES = 64
EDGE_PLACES = 32
"""Places of a signature: of the whole text, and of the opening and closing words of a long one."""

BANDS = 16
"""A pair is looked at when all places of one of so many bands agree: at J = 0.8 with probability 1 - (1 - 0.8^4)^16 = 0.9998."""

SWEEPS = 2
"""How often all bands are gone through: the second time a prompt may find the next one of its bucket, where the first was another kind."""

LIKE = 0.8
"""From which estimated similarity on two prompts are near-duplicates."""

_SEED = 7
_AT_ONCE = 200_000  # pairs compared at a time: bounds the memory that comparing takes
_MIX = np.uint64(0x9E3779B97F4A7C15)

Signatures = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Likeness:
    """What prompts are compared by, a row each: the signatures `whole` (n, PLACES) and `edges` (n, EDGE_PLACES), the key `apart` (n)."""

    whole: Signatures
    edges: Signatures
    apart: NDArray[np.uint64]


def signatures(texts: Sequence[Words], places: int) -> Signatures:
    """One signature of so many places for each text, (n, places), of its shingles: each three words that follow one another, the last two
    with nothing after them. Of no words all places are the same.
    """
    from rensa import RMinHash  # loaded where it is used: who only asks whether a baseline is stale needs no signatures

    if not texts:
        return np.empty((0, places), np.uint16)
    words = np.concatenate(texts)
    begins = np.cumsum([0, *map(len, texts)])
    second, third = np.roll(words, -1) * _MIX, np.roll(words, -2) * _MIX * _MIX
    ends = begins[1:][begins[1:] > begins[:-1]]
    second[ends - 1] = third[ends - 1] = 0
    third[np.maximum(ends - 2, 0)] = 0  # of a text of one word that is the word before it, which ends its own text
    shingles = words ^ (second << np.uint64(21) | second >> np.uint64(43)) ^ (third << np.uint64(42) | third >> np.uint64(22))
    rows = RMinHash.digest_matrix_from_flat_token_hashes(shingles, begins.astype(np.uint64), places, _SEED).to_rows()
    return np.array(rows, dtype=np.uint32).astype(np.uint16)


def near_duplicates(prompts: Likeness) -> NDArray[np.int64]:
    """For each prompt the one that stands for it: itself, or an earlier one that it is a near-duplicate of.

    Earlier rows are preferred, so the order of the rows says which prompt of a kind is kept. Each prompt is confirmed against the one that
    stands for it, never against another near-duplicate only: likeness is not handed on along a chain.
    """
    stands_for = np.arange(len(prompts.apart))
    # Only prompts with the same facts can be near-duplicates; most have facts of their own and need no look at all.
    _, kind, members = np.unique(prompts.apart, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(members[kind] > 1)
    for _ in range(SWEEPS):
        for band in range(BANDS):
            rows = rows[stands_for[rows] == rows]  # who has found its kind is out
            for later, earlier in _candidates(prompts, rows, band):
                like = (stands_for[later] == later) & _alike(prompts, later, earlier)
                stands_for[later[like]] = earlier[like]
        stands_for = _settled(prompts, stands_for)
    return stands_for


def _candidates(prompts: Likeness, rows: NDArray[np.int64], band: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(later, earlier) rows that agree in all places of a band: each with the earliest of its bucket, then with the one before it."""
    width = PLACES // BANDS
    bucket = prompts.apart[rows] * _MIX
    for place in range(band * width, (band + 1) * width):
        bucket = (bucket ^ prompts.whole[rows, place]) * _MIX
        bucket ^= bucket >> np.uint64(29)
    order = np.argsort(bucket, kind="stable")
    ordered = bucket[order]
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    first = np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
    later = np.flatnonzero(~begins)
    yield rows[order[later]], rows[order[first[later]]]
    further = later[first[later] != later - 1]
    yield rows[order[further]], rows[order[further - 1]]


def _alike(prompts: Likeness, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each pair of rows is one of near-duplicates."""
    found = np.empty(len(one), dtype=bool)
    for start in range(0, len(one), _AT_ONCE):
        a, b = one[start : start + _AT_ONCE], other[start : start + _AT_ONCE]
        same = prompts.apart[a] == prompts.apart[b]
        same &= (prompts.whole[a] == prompts.whole[b]).mean(axis=1) >= LIKE
        same &= (prompts.edges[a] == prompts.edges[b]).mean(axis=1) >= LIKE
        found[start : start + _AT_ONCE] = same
    return found


def _settled(prompts: Likeness, stands_for: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each row with a row that stands for itself, confirmed; one that is not like the head of its chain stands for itself."""
    settled = stands_for.copy()
    while True:
        further = settled[settled]
        moved = np.flatnonzero(further != settled)
        if not len(moved):
            return settled
        like = _alike(prompts, moved, further[moved])
        settled[moved[like]] = further[moved[like]]
        settled[moved[~like]] = moved[~like]
