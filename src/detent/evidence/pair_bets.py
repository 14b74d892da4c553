"""How a shadow stakes: the bet on one count of discordant pairs, and what each bet has of the whole stake. Pure.

**One bet.** Of the pairs in which exactly one of two calls has a field, it is the candidate's with a chance of one half if nothing changed
(statistics 2.6). At odds g the wealth grows by 2 g / (1 + g) with each that is the candidate's, and by 2 / (1 + g) with each that is
stable's; `ODDS` are mixed by `WEIGHTS`. They are those of a canary (statistics 2.1) but for the two ends, and some more on 2. Odds of 1.15
can win nothing here: by themselves they need ln 200 / .00244 = 2,200 discordant pairs to reach 1/alpha = 200, more than most shadows have.
And odds without end, for what stable *never* has, win twice the stake with each pair, where odds of 15 win 1.875 times: such a harm
reaches 880 with 13 pairs in place of 15. As soon as stable has it once, that part is lost, and all it costs is its tenth.

**The whole stake.** Three tenths are on any absolute field. Of the rest, one half is spread evenly over the fields that harm. The other
half is kept for those that begin to differ late, after `SOON` pairs in which they were looked at: the k-th of them bets 1 / (k (k + 1)) of
it, and what no field has claimed stands at 1. For a factor of e, a harm in 0.5 % of pairs needs 300 pairs, and one in 10 % needs 15: a
large stake is worth most to what is rare, and what is rare begins late. In a shadow of 22 fields the first of them has .19 of the whole
stake, where an even half were .02: it is found after 10 pairs that show it, and not after 15. Simulated beside ten noisy fields, harms in
noisy ones pay for it: one that goes from 5 to 10 % is rejected at 850 pairs and not at 800, three checks that fail half as often again at
500 and not at 400, one in a rare class of a noisy field at 5,650 and not at 5,400.

**Why that is fair.** Given the request and its live answer, the answers to the two copies are drawn alike if nothing changed: which of the
two is the candidate's is one fair coin c_t, whatever they say. Let U_t be the two answers of pair t *without* the coin, and F_t all that is
known when it is about to be tossed: U_1 .. U_t and c_1 .. c_(t-1). Which fields differ in the pair is a function of U_t, and so is which of
them differ for the first time, and after how many pairs. So the weight w of a field is F_t-measurable *before* its first bet is settled,
and is never changed after. Each field's E is a martingale, and so is 1 plus the sum of w (E - 1) over the fields that have a weight; the
weights never sum to more than 1, so that it is never negative. Ville: it ever reaches 1/alpha with a chance of alpha at most. Nothing is
asked of the fields among themselves: one coin decides over all of them in a pair. Means of e-values need no more (Vovk & Wang 2021), and
stakes may depend on what was seen before a bet (Waudby-Smith & Ramdas 2024, 2010.09686). Fields that begin in the same pair take their
places in the order of the plan, in which no coin has a say: were the candidate's taken first, an unchanged version would win.
`tests/test_pairs_late.py` folds all ways in which the coins can fall: E is 1 on average, and more than that by such rules.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detent.stats.sequential import mixed

Floats = NDArray[np.float64]

ODDS = np.array([1.3, 1.5, 2.0, 3.0, 6.0, 15.0, math.inf])
"""The alternatives: odds that a discordant pair is the candidate's. Infinite: stable never has it."""

WEIGHTS = np.array([0.15, 0.25, 0.25, 0.12, 0.08, 0.05, 0.10])
"""The fixed share of a bet on each alternative."""

_LN_WON = np.log(2.0 / (1.0 + 1.0 / ODDS))
_LN_LOST = np.array([math.log(2.0 / (1.0 + g)) if g < math.inf else 0.0 for g in ODDS])
_LN_WEIGHTS = np.log(WEIGHTS)

ANY_CHECK = 0.3
"""The share of the stake on "any absolute field"."""

LATE = 0.5
"""Of the rest, the share that is kept for fields that begin to differ late."""


def late_share(k: int) -> float:
    """What the k-th late field, from 0, bets of what is kept for all of them."""
    return 1.0 / ((k + 1) * (k + 2))


@lru_cache(maxsize=1 << 16)  # a look at a shadow asks for thousands, and all but a few are as they were at the look before
def log_e_pairs(candidate_only: int, stable_only: int) -> float:
    """ln E against "the candidate has it in no more of the pairs than stable does". Raises ValueError for a negative count."""
    for name, n in (("candidate_only", candidate_only), ("stable_only", stable_only)):
        if n < 0:
            raise ValueError(f"{name} is a count and not negative: `{n}`")
    return float(log_e_pairs_of(candidate_only, stable_only))


def log_e_pairs_of(candidate_only: ArrayLike, stable_only: ArrayLike) -> Floats:
    """`log_e_pairs` on arrays of equal shape. Counts are not checked."""
    won = np.asarray(candidate_only, dtype=float)[..., None]
    lost = np.asarray(stable_only, dtype=float)[..., None]
    never = np.where(np.isinf(ODDS) & (lost > 0.0), -math.inf, 0.0)
    return mixed(won * _LN_WON + lost * _LN_LOST + never, _LN_WEIGHTS)
