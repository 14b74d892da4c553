"""How much each version varies against itself: a changed default temperature shows here and nowhere else. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from detent.evidence.slices import family_numbers
from detent.evidence.tally import CaseTally
from detent.stats.means import sign_flip, sums_of
from detent.terms import Case, Run, Spread

MEASURED_CHARS = 4_000
"""How much of an output is compared: a version that varies does so from the first lines on."""

MEASURED_CASES = 1_000
"""So many prompts are enough to see any difference that matters; of more, every n-th is taken."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens(text: str) -> frozenset[str]:
    """The words and signs of an output."""
    return frozenset(_TOKEN.findall(text[:MEASURED_CHARS]))


def distance(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the words that two outputs do not have in common, in [0, 1]: 1 - 2 |A and B| / (|A| + |B|) (Dice 1945)."""
    both = len(one) + len(other)
    return 1.0 - 2.0 * len(one & other) / both if both else 0.0


def _varies(runs: Sequence[Run]) -> float:
    """Mean distance over all pairs of runs; two or more."""
    if all(run.output == runs[0].output for run in runs):
        return 0.0
    sets = [tokens(run.output) for run in runs]
    pairs = [distance(one, other) for one, other in combinations(sets, 2)]
    return sum(pairs) / len(pairs)


def spread(cases: Sequence[Case], tallies: Sequence[CaseTally]) -> Spread | None:
    """The mean distance of either version's own runs in the screen, from as many runs of both; None where no prompt has two of both.

    Tested by sign flips over the prompts: with as many runs of both, a version that varies as stable does is as likely above it as below.
    """
    enough = [i for i, t in enumerate(tallies) if min(t.stable.scored, t.candidate.scored) >= 2]
    chosen = enough[:: -(-len(enough) // MEASURED_CASES) or 1]
    if not chosen:
        return None
    of_stable, of_candidate = [], []
    for i in chosen:
        stable, candidate = tallies[i].stable.in_order(), tallies[i].candidate.in_order()
        k = min(len(stable), len(candidate))
        of_stable.append(_varies(stable[:k]))
        of_candidate.append(_varies(candidate[:k]))
    sums = sums_of(np.array(of_candidate) - np.array(of_stable), family_numbers([cases[i].template for i in chosen]))
    return Spread(
        cases=len(chosen),
        stable=sum(of_stable) / len(chosen),
        candidate=sum(of_candidate) / len(chosen),
        p_value=sign_flip(sums).two_sided,
    )
