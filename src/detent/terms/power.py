"""What a plan can find out at a route's traffic, said before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch:
    """A size of harm (`ratio` times stable's), the probability that the guard has ended the rollout by the end of its ramp, and the median
    hours until it does; None where it mostly does not.
    """

    ratio: float
    probability: float
    hours: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPower:
    """One guard: what is usual on stable (a rate, or a median), what it would catch, and, if it proves, how often it is proved by the last
    look when the candidate is unchanged. `advice` says what to change where it can't conclude.

    `catches_from` is about the smallest ratio that it catches in 80 % of rollouts by the end of the ramp; None where there is none.
    `proved_by` is `proved` look by look. `none_of` is how many units were scored, where a rate's event was never among them.
    """

    metric: str
    role: Literal["prove", "harm", "observe"]
    margin: str
    usual: float | None
    catches: tuple[Catch, ...] = ()
    catches_from: float | None = None
    proved: float | None = None
    proved_by: tuple[float, ...] = ()
    none_of: int | None = None
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPower:
    """A planned look: hours into the canary, and how probably an unchanged candidate is proved by then, all proving guards jointly."""

    hours: float
    proved: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A plan's power at a route's own traffic. `promoted` is the probability that an unchanged candidate is promoted within the canary's
    `at_most`, `promoted_soonest` at the end of the plan's shortest time, `stopped` that it is stopped or held by a false alarm.

    It rests on so many `units`, and on `seconds` of traffic. `unknown` says why nothing can be said (no recorded traffic); the rest is
    then empty.
    """

    route: str
    plan: str
    units_per_hour: float = 0.0
    guards: tuple[GuardPower, ...] = ()
    looks: tuple[LookPower, ...] = ()
    promoted_soonest: float = 0.0
    promoted: float = 0.0
    stopped: float = 0.0
    advice: tuple[str, ...] = ()
    unknown: str = ""
    units: int = 0
    seconds: float = 0.0
