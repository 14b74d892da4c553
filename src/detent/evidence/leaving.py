"""Agent cases that leave their recorded script: case by case on fresh runs, and over all of them at once. Pure.

A case that is left is not lost, so that neither may use up, or lend, the other's rate of false alarms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detent.evidence.slices import family_numbers
from detent.evidence.tally import MOSTLY, NOTHING, SUSPICIOUS_DROP, Tallies
from detent.stats.means import permuted_worse, sign_flip, sums_of
from detent.stats.paired import discoveries, fisher_worse
from detent.terms import Case, Unlike

ALPHA_LEFT, ALPHA_LEAVING = 0.00075, 0.00075


def left_script(suspected: Sequence[str], tallies: Tallies, fdr: float) -> tuple[str, ...]:
    """Cases that the candidate leaves in most of its fresh runs, and oftener than stable does."""
    tested = [case for case in suspected if tallies[case].leaving >= SUSPICIOUS_DROP - 1e-9]
    p_values = []
    for case in tested:
        stable, candidate = tallies[case].stable_confirm, tallies[case].candidate_confirm
        kept_to = stable.settled - stable.left, candidate.settled - candidate.left
        p_values.append(fisher_worse(kept_to[0], stable.settled, kept_to[1], candidate.settled))
    kept = discoveries(p_values, fdr, ALPHA_LEFT)
    return tuple(case for case, k in zip(tested, kept, strict=True) if k and tallies[case].candidate_confirm.left_share > MOSTLY)


def leaving(cases: Sequence[Case], tallies: Tallies) -> Unlike | None:
    """Over all these agent cases, the mean share of the screen's runs that leave the script; None where no run did.

    A rise stands, like a loss of passes, against both the choice of cases and the choice of runs. Every case with settled runs counts
    alike, and one that no version leaves says nothing. None is left
    out for what its runs show: without those that stable mostly leaves, the others would seem to be left more by the candidate.
    """
    rows = [(case, t) for case in cases if (t := tallies.get(case.id, NOTHING)).stable.settled and t.candidate.settled]
    if not any(t.stable.left or t.candidate.left for _, t in rows):
        return None
    counts = [
        (t.stable.settled - t.stable.left, t.stable.settled, t.candidate.settled - t.candidate.left, t.candidate.settled) for _, t in rows
    ]
    columns = np.array(counts, dtype=np.int64).T
    stable, candidate = 1 - columns[0] / columns[1], 1 - columns[2] / columns[3]
    families = family_numbers([case.template for case, _ in rows])
    p = max(sign_flip(sums_of(stable - candidate, families)).below, permuted_worse(*columns))
    return Unlike(stable=float(stable.mean()), candidate=float(candidate.mean()), p_value=p, stands=p <= ALPHA_LEAVING)
