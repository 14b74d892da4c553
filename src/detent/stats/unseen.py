"""How much of what is to come is of a kind that was not met yet: Good-Turing, with an interval. Pure, and light to import.

Good (1953), "The population frequencies of species and the estimation of population parameters", eq. 9 with r = 0: of n things drawn
alike, of which n1 are the only one of their kind, the share of unseen kinds among those to come is estimated by n1 / n.

Interval by Esty (1983), "A normal limit law for a nonparametric estimator of the coverage of a random sample", theorem 1, with n2 the kinds
met twice:

    sd = sqrt(n1 (1 - n1 / n) + 2 n2) / n

n1 / n is also what leaving one out says: the share of the draws whose kind the others have not met. So it may count, beside these, draws of
kinds that can never be told (met, and never compared): they add to n1 and nothing to n2, and to the error as any share of n draws does.

That error is nothing where no kind was met only once, however few things were drawn. The upper end is therefore never below the largest
share m of one kind that n draws would all have missed with a chance of 2.5 %: (1 - m)^n = .025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution
_MISSED = 0.025


@dataclass(frozen=True, slots=True)
class Unseen:
    """The share of what is to come whose kind was not met yet, with a 95 % interval; all in [0, 1]."""

    estimate: float
    low: float
    high: float


def unseen(n: int, once: int, twice: int) -> Unseen | None:
    """The unseen share after `n` draws, `once` of them of kinds that no other has met, with `twice` kinds met twice; None after no draw.

    Raises ValueError for counts that cannot be.
    """
    if min(n, once, twice) < 0 or once + 2 * twice > n:
        raise ValueError(f"of {n} draws there cannot be {once} kinds met once and {twice} met twice")
    if n == 0:
        return None
    estimate = once / n
    error = math.sqrt(once * (1.0 - estimate) + 2.0 * twice) / n
    least = 1.0 - _MISSED ** (1.0 / n)
    return Unseen(estimate, max(0.0, estimate - _Z * error), min(1.0, max(estimate + _Z * error, least)))
