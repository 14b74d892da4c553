"""How few runs can show anything: arithmetic that a pin file is checked with. Pure, and light to import."""

from __future__ import annotations

import math

ALPHA_FLIPS = 0.025
"""How often any prompt may be called lost where nothing changed at all."""


def least_runs(alpha: float) -> int:
    """The fewest runs of either version with which Fisher's exact test can refute "no change" of a prompt at `alpha`: 4 at .025.

    At best all of stable's k pass and none of the candidate's, which has p = 1 / C(2k, k).
    """
    return next(k for k in range(1, 100) if math.comb(2 * k, k) >= 1 / alpha)
