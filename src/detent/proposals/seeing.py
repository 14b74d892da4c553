"""What a shadow will see at its route's recorded traffic: how many pairs, and how rare a change it still finds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from detent.terms import Past, ShadowStage, show_duration

LEAST_PAST = 30
"""Units on record below which nothing is said."""

NEEDED = 16
"""Pairs that only the candidate's answer stands out in, to find a change that stable never makes (simulated; `how-to/shadow.md`)."""

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


def sight_of(stage: ShadowStage, past: Past) -> Sight | None:
    """What the shadow will see if requests come as in `past` and its budgets stop none of them; None: too little is on record to say."""
    if past.units < LEAST_PAST or not past.legs or not past.units_per_hour > 0.0:
        return None
    requests_a_second = past.units_per_hour / 3600.0 * past.legs / past.units
    mirrored = requests_a_second * stage.share
    if stage.per_second is not None:
        mirrored = min(mirrored, stage.per_second)
    pairs = mirrored * stage.at_least
    return Sight(pairs=pairs, seconds=pairs * stage.second, finds_from=_found_from(pairs * stage.second))


def _found_from(seconds: float) -> float | None:
    return NEEDED / seconds if seconds >= NEEDED else None


def seeing(stage: ShadowStage, past: Past) -> tuple[str, ...]:
    """The same in lines under a proposal; and a warning where the plan may end with too few pairs to find a harm that is rare."""
    at_least = show_duration(stage.at_least)
    sight = sight_of(stage, past)
    if sight is None:
        said = f"shadow: too little traffic is on record to say what {at_least} of it would find (`{past.units}` units, of {LEAST_PAST})"
    else:
        about = f"shadow: about {_round(sight.pairs)} pairs in {at_least} at this traffic, {_round(sight.seconds)} with a second answer"
        if sight.finds_from is None:
            said = f"{about}: too few to find any change; {NEEDED} that show it are needed"
        else:
            said = f"{about}: finds a change that stable never makes from {_percent(sight.finds_from)} of requests on"
        said += ", if its budgets last"
    expected = RARE * stage.pairs * stage.second
    if expected >= NEEDED:
        return (said,)
    beware = (
        f"BEWARE: `pairs` x `second` of the plan are {_round(stage.pairs * stage.second)} second answers: a shadow with no more of them "
        f"would miss a harm in {_percent(RARE)} of requests, which takes {_round(NEEDED / RARE)}"
    )
    return said, beware


def _round(n: float) -> str:
    """Two significant digits are all that a forecast has."""
    return f"{float(f'{n:.2g}'):.0f}" if n >= 10 else f"{n:.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
