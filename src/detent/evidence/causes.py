"""What a lost prompt is lost by, and which prompts show which named change. Pure.

Stable's own runs against the known-good output are the noise floor for names too: what most of them show is no news of the candidate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from detent import diff
from detent.evidence.tally import MOSTLY, CaseTally
from detent.terms import Run

UNNAMED = "unnamed"
"""The cause of a flip whose failing runs show neither a named change nor a failed check."""

JUDGED_WORSE = "judged_worse"
"""The cause of a flip that only the judge saw."""

CONFIDENT_AND_WRONG = "confident and wrong"
"""The note of a lost prompt whose answer hedged before and does not now."""

HEDGE_GONE = "hedging_removed"

_PRECEDENCE = {change.name: rank for rank, change in enumerate(diff.CHANGES)}


def usual(runs: Sequence[Run]) -> frozenset[str]:
    """The named changes that most of these runs show."""
    named = Counter(name for run in runs for name in set(run.changes))
    return frozenset(name for name, n in named.items() if n > MOSTLY * len(runs))


def named(run: Run, noise: frozenset[str] = frozenset()) -> str:
    """The cause of one failing run: its first change that is news and not benign, else its first failed check, else what is left."""
    news = [name for name in run.changes if name not in noise]
    telling = [name for name in news if name not in diff.BENIGN]
    judged = [JUDGED_WORSE] if run.judged == "worse" else []
    return next(iter((*telling, *run.failed_checks, *judged, *news)), UNNAMED)


def cause(failing: Iterable[Run], noise: frozenset[str] = frozenset()) -> str:
    """The cause that most of the failing runs share; a tie goes to the more telling one (the order of the table of changes)."""
    found = Counter(named(run, noise) for run in failing)
    return min(found, key=lambda name: (-found[name], _PRECEDENCE.get(name, len(_PRECEDENCE)), name), default=UNNAMED)


def notes(failing: Sequence[Run]) -> tuple[str, ...]:
    """What the changes of a lost prompt mean now that it is lost."""
    return (CONFIDENT_AND_WRONG,) if HEDGE_GONE in usual(failing) else ()


def shown(case: CaseTally) -> frozenset[str]:
    """The named changes of a prompt: most of the candidate's scored runs show them, and most of stable's do not."""
    candidate = [*case.candidate.in_order(), *case.candidate_confirm.in_order()]
    if not any(run.changes for run in candidate):
        return frozenset()
    return usual(candidate) - usual([*case.stable.in_order(), *case.stable_confirm.in_order()])


def changes(cases: Iterable[CaseTally]) -> tuple[dict[str, int], int]:
    """How many prompts show each named change, the commonest first, and how many show only benign ones."""
    found, reworded = Counter[str](), 0
    for case in cases:
        names = shown(case)
        found.update(names)
        reworded += bool(names) and names <= diff.BENIGN
    return dict(sorted(found.items(), key=lambda row: (-row[1], _PRECEDENCE.get(row[0], len(_PRECEDENCE)), row[0]))), reworded
