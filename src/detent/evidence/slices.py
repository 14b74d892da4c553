"""The mean share of passes on both versions, over all prompts and in every stratum, so that a hidden slice shows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detent.evidence.tally import SUSPICIOUS_DROP, CaseTally
from detent.stats.means import Floats, Ints, holm, interval, permuted_worse, sign_flip, sums_of
from detent.terms import Case, Slice

OVERALL = "overall"

LEAST_CASES = 10
"""A stratum of fewer prompts is not a slice: nothing could be shown of it."""

MOST_SHARE = 0.95
"""A stratum of more of all prompts says what they all say."""

NAMELESS = frozenset({"none", "unknown", ""})
"""Values of a stratum that only say that nothing is known of it."""

LEAST_FAMILIES = 20
"""Prompts of one template are a family once there are so many templates. Fewer are too few to be a sample of any (Cameron, Gelbach & Miller
2008): each is a stratum of its own instead."""


def family_numbers(templates: Sequence[str]) -> Ints:
    """The family of each prompt, numbered from 0: its template where these are many, else itself."""
    names, found = np.unique(templates, return_inverse=True)
    return found if len(names) >= LEAST_FAMILIES else np.arange(len(templates))


class Screened:
    """The prompts with scored runs of both versions in the screen, as columns."""

    def __init__(self, cases: Sequence[Case], tallies: Sequence[CaseTally]) -> None:
        self.cases = cases
        rows = [(t.stable.passed, t.stable.scored, t.candidate.passed, t.candidate.scored) for t in tallies]
        counts = np.array(rows, dtype=np.int64).reshape(len(rows), 4)
        self.stable_passed, self.stable_runs, self.candidate_passed, self.candidate_runs = counts.T
        self.stable: Floats = self.stable_passed / self.stable_runs
        self.candidate: Floats = self.candidate_passed / self.candidate_runs
        self._templates = [case.template for case in cases]

    def families(self, chosen: NDArray[np.intp]) -> Ints:
        """The family of each chosen prompt, numbered from 0: its template where these are many, else itself."""
        return family_numbers([self._templates[i] for i in chosen])

    def slice(self, name: str, chosen: NDArray[np.intp]) -> Slice:
        """Test and interval over the chosen prompts. A loss stands against both the choice of prompts and the choice of runs."""
        difference = self.candidate[chosen] - self.stable[chosen]
        families = self.families(chosen)
        low, high = interval(difference, families)
        counts = (self.stable_passed, self.stable_runs, self.candidate_passed, self.candidate_runs)
        weights = np.array([self.cases[i].weight for i in chosen])
        return Slice(
            name=name,
            cases=len(chosen),
            stable=float(self.stable[chosen].mean()),
            candidate=float(self.candidate[chosen].mean()),
            difference=float(difference.mean()),
            low=low,
            high=high,
            p_value=max(sign_flip(sums_of(difference, families)).below, permuted_worse(*(column[chosen] for column in counts))),
            lost=int((difference <= 1e-9 - SUSPICIOUS_DROP).sum()),
            won=int((difference >= SUSPICIOUS_DROP - 1e-9).sum()),
            weighted=float((difference * weights).sum() / weights.sum()) if weights.sum() > 0 else None,
        )


def slices(
    cases: Sequence[Case], tallies: Sequence[CaseTally], *, alpha_overall: float, alpha_slices: float
) -> tuple[Slice | None, tuple[Slice, ...]]:
    """All prompts, and each stratum of `LEAST_CASES` and more that has a name and is not nearly all of them, the worst first.

    The loss over all is tested at `alpha_overall`; the strata share `alpha_slices` (Holm), since any of them that is harmed by chance alone
    would be a false alarm. At an alpha of 0 nothing is harmed.
    """
    screened = Screened(cases, tallies)
    if not cases:
        return None, ()
    overall = screened.slice(OVERALL, np.arange(len(cases)))
    members: defaultdict[str, list[int]] = defaultdict(list)
    for i, case in enumerate(cases):
        for stratum, value in case.strata.items():
            if value not in NAMELESS:
                members[f"{stratum}={value}"].append(i)
    most = MOST_SHARE * len(cases)
    found = [screened.slice(name, np.array(of)) for name, of in sorted(members.items()) if LEAST_CASES <= len(of) <= most]
    harmed = holm([s.p_value for s in found], alpha_slices)
    told = [replace(s, harmed=is_harmed) for s, is_harmed in zip(found, harmed, strict=True)]
    return (
        replace(overall, harmed=holm([overall.p_value], alpha_overall)[0]),
        tuple(sorted(told, key=lambda s: (not s.harmed, s.p_value, s.difference, s.name))),
    )
