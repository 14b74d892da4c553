"""What a shadow will see at its route's recorded traffic: how many pairs, and how rare a change it still finds. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

from detent.terms import Past, ShadowStage, show_duration

LEAST_PAST = 30
"""Units on record below which nothing is said."""


def pairs_needed(alpha: float) -> int:
    """Pairs that only the candidate's answer stands out in, to reject it for a harm that stable never does and that is rare enough to begin
    late: by what the first such field stakes whatever the number of fields (`evidence.pair_bets`).
    """
    from detent.evidence.pair_bets import ANY_CHECK, LATE, late_share, log_e_pairs  # numpy: most callers never need it

    stake = (1.0 - ANY_CHECK) * LATE * late_share(0)
    return next(n for n in count(1) if 1.0 - stake + stake * math.exp(log_e_pairs(n, 0)) >= 1.0 / alpha)


RARE = 0.01
"""Of a harm in this share of the requests a plan is told when it would miss it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """In the shortest time: so many pairs, so many of them with a second answer of stable's, and from which share of the requests on a
    change that stable never makes is found; None where not even one that is in all of them.
    """

    pairs: float
    seconds: float
    finds_from: float | None


def sight_of(stage: ShadowStage, past: Past, alpha: float) -> Sight | None:
    """What the shadow will see if requests come as in `past` and its budgets stop none of them; None: too little is on record to say."""
    if past.units < LEAST_PAST or not past.legs or not past.units_per_hour > 0.0:
        return None
    requests_a_second = past.units_per_hour / 3600.0 * past.legs / past.units
    mirrored = requests_a_second * stage.share
    if stage.per_second is not None:
        mirrored = min(mirrored, stage.per_second)
    pairs = mirrored * stage.at_least
    return Sight(pairs=pairs, seconds=pairs * stage.second, finds_from=_found_from(pairs * stage.second, pairs_needed(alpha)))


def _found_from(seconds: float, needed: int) -> float | None:
    return needed / seconds if seconds >= needed else None


def seeing(stage: ShadowStage, past: Past, alpha: float) -> tuple[str, ...]:
    """The same in lines under a proposal; and a warning where the plan may end with too few pairs to find a harm that is rare."""
    at_least, needed = show_duration(stage.at_least), pairs_needed(alpha)
    sight = sight_of(stage, past, alpha)
    if sight is None:
        said = f"shadow: too little traffic is on record to say what {at_least} of it would find (`{past.units}` units, of {LEAST_PAST})"
    else:
        about = f"shadow: about {_round(sight.pairs)} pairs in {at_least} at this traffic, {_round(sight.seconds)} with a second answer"
        if sight.finds_from is None:
            said = f"{about}: too few to find any change; {needed} that show it are needed"
        else:
            said = f"{about}: finds a change that stable never makes from {_percent(sight.finds_from)} of requests on"
        said += ", if its budgets last"
    expected = RARE * stage.pairs * stage.second
    if expected >= needed:
        return (said,)
    beware = (
        f"BEWARE: `pairs` x `second` of the plan are {_round(stage.pairs * stage.second)} second answers: a shadow with no more of them "
        f"would miss a harm in {_percent(RARE)} of requests, which takes {_round(needed / RARE)}"
    )
    return said, beware


def _round(n: float) -> str:
    """Two significant digits are all that a forecast has."""
    return f"{float(f'{n:.2g}'):.0f}" if n >= 10 else f"{n:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
