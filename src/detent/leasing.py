"""What may still be obeyed of flags that nobody has confirmed for a while: a split is leased, drills and draining end by themselves. Pure.

    the store's flags  --orders given on this host-->  --time, doubt-->  what a gateway obeys

A gateway that cannot reach the store cannot be told of a rollback either. So it splits for `Flag.lease_s` (the plan's `lease`, a minute by
default) and then serves stable until it reaches the store again: whoever rolled back knows that after this time no gateway is left on the
candidate, heard of or not. A minute is longer than a database takes to fail over, and shorter than the time in which a person notices.

A store that was put back to an older state says what was true once: a rollback may have come after it. So nothing that it splits is obeyed
until a person has said how it goes on, and what it says is written anew (`FlagSet.doubted`).

All times here are of one process's own clock (`awake.elapsed_s`), which no change of the wall clock moves. The one thing asked of the wall
clock is how old a drill or a draining is that was never heard of before: a gateway that starts a day later is not to begin it anew. So one
whose wall clock is behind the writer's ends it later, by as much, and at most `lasts_s` after it heard of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from detent.terms import Flag, FlagSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a gateway was told: the flags as the store wrote them, when it was last reached, since when each drill, each draining and each
    rollback in them is, and the routes that an order given on this host puts on stable.
    """

    flags: FlagSet
    reached_s: float
    since_s: Mapping[str, float] = field(default_factory=dict)
    ordered: frozenset[str] = frozenset()


def heard_of(told: Told, flags: FlagSet, at_s: float, now: datetime) -> Told:
    """With flags that the store gave at `at_s`, when the wall clock showed `now`. What is in them that was not heard of before began when
    they were written; what was, began then: a drill that is over does not begin again.
    """
    since = {name: at_s - _age_s(flag, now) for flag in flags.flags.values() for name in _timed(flag)}
    return replace(told, flags=flags, reached_s=max(at_s, told.reached_s), since_s={**since, **told.since_s})


def from_disk(flags: FlagSet, reached_s: float) -> Told:
    """With flags that this host kept; what ends by itself in them is over: a wall clock alone is not trusted with it."""
    return Told(flags=flags, reached_s=reached_s, since_s={name: -inf for flag in flags.flags.values() for name in _timed(flag)})


def over(flag: Flag, now: datetime) -> bool:
    """Whether runs that finish on a version that was rolled back have had their time, by the wall clock: for whoever writes flags."""
    return flag.draining is not None and _age_s(flag, now) >= flag.draining.lasts_s


def _age_s(flag: Flag, now: datetime) -> float:
    """For how long a flag has been written; no time at all where the clocks of two hosts disagree about that."""
    return 0.0 if flag.written_at is None else max(0.0, (now - flag.written_at).total_seconds())


def obeyed(told: Told, now_s: float) -> FlagSet:
    """What to obey now. The very flags that are known, where time and orders change nothing."""
    flags = {route: _obeyed(flag, told, now_s) for route, flag in told.flags.flags.items()}
    same = all(flag is told.flags.flags[route] for route, flag in flags.items())
    return told.flags if same else replace(told.flags, flags=flags)


def changes_s(told: Told, now_s: float) -> float:
    """When time alone will change what is obeyed; infinity for never."""
    moments = [moment for flag in told.flags.flags.values() for moment in _moments(_in_time(flag, told, now_s), told)]
    return min((moment for moment in moments if moment > now_s), default=inf)


def leased(flag: Flag) -> bool:
    """Whether any unit is sent elsewhere than to stable."""
    return flag.split > 0.0 or flag.drill is not None or flag.draining is not None


def lapsed(flags: FlagSet) -> frozenset[str]:
    """The routes whose lease has passed."""
    return frozenset(route for route, flag in flags.flags.items() if flag.lapsed)


def doubted(flags: FlagSet) -> frozenset[str]:
    """The routes whose split, drill or draining is from before the store was put back."""
    return frozenset(route for route, flag in flags.flags.items() if flag.revision <= flags.doubted and leased(flag))


def goes_on_by(route: str, flag: Flag | None) -> str:
    """How a route goes on whose flag is in doubt: as a person says of its rollout. Without one it is a drill or draining that is in doubt,
    which nobody can resume, and which ends by itself.
    """
    if flag is None or flag.rollout is not None or flag.split > 0.0:
        return f"`detent resume {route}` or `detent rollback {route}`"
    what = "drill" if flag.drill is not None else "draining"
    cut = " --cut" if flag.draining is not None else ""
    return f"its {what} ends by itself, or now by `detent rollback {route}{cut}`"


def served(flags: FlagSet) -> int:
    """The newest revision that a gateway with these flags has obeyed; of a store that was put back it may be beyond the flags' own."""
    return max(flags.revision, flags.doubted)


def older(found: FlagSet, known: FlagSet) -> bool:
    """Whether flags that a store gives now are from before what was obeyed of it: its revisions only grow, and so does that of each route's
    flag. Those of another installation, with a key of its own, are neither older nor newer.
    """
    if not known.identity_key or found.identity_key != known.identity_key:
        return False
    if found.revision < served(known):
        return True
    both = ((flag, found.flags[route]) for route, flag in known.flags.items() if route in found.flags)
    return any(found.doubted < now.revision < before.revision for before, now in both)


def forgotten(found: FlagSet, known: FlagSet) -> tuple[str, ...]:
    """The routes of which a store says something else than was obeyed."""
    return tuple(sorted(route for route, flag in known.flags.items() if found.flags.get(route) != flag))


def leases(told: Told, now_s: float) -> dict[str, float]:
    """By route, for how many seconds its split may still be obeyed without the store being reached; 0 for one that may not."""
    in_doubt = doubted(told.flags)
    split = {route: _in_time(flag, told, now_s) for route, flag in told.flags.flags.items() if route not in told.ordered}
    left = {route: told.reached_s + flag.lease_s - now_s for route, flag in split.items() if leased(flag)}
    return {route: 0.0 if route in in_doubt else max(0.0, seconds) for route, seconds in left.items()}


def _obeyed(flag: Flag, told: Told, now_s: float) -> Flag:
    if flag.route in told.ordered:
        return Flag(route=flag.route, revision=flag.revision, stable=flag.stable, written_at=flag.written_at)
    flag = _in_time(flag, told, now_s)
    if not leased(flag) or (flag.revision > told.flags.doubted and now_s < told.reached_s + flag.lease_s):
        return flag
    return replace(flag, candidate=None, split=0.0, control=0.0, mirror=None, drill=None, draining=None, lapsed=True)


def _in_time(flag: Flag, told: Told, now_s: float) -> Flag:
    ended = {name for name, lasts_s in _timed(flag).items() if now_s >= told.since_s.get(name, -inf) + lasts_s}
    if not ended:
        return flag
    drill = None if flag.drill is None or _drill(flag.drill.drill) in ended else flag.drill
    draining = None if flag.draining is None or _draining(flag.draining.rollout) in ended else flag.draining
    rolled_back = None if flag.rolled_back is None or _rolled_back(flag.rolled_back.rollout) in ended else flag.rolled_back
    return replace(flag, drill=drill, draining=draining, rolled_back=rolled_back)


def _moments(flag: Flag, told: Told) -> Iterable[float]:
    if leased(flag):
        yield told.reached_s + flag.lease_s
    for name, lasts_s in _timed(flag).items():
        yield told.since_s.get(name, -inf) + lasts_s


def _timed(flag: Flag) -> dict[str, float]:
    """What ends by itself, by name, with how many seconds it lasts."""
    timed = {}
    if flag.drill is not None:
        timed[_drill(flag.drill.drill)] = flag.drill.lasts_s
    if flag.draining is not None:
        timed[_draining(flag.draining.rollout)] = flag.draining.lasts_s
    if flag.rolled_back is not None:
        timed[_rolled_back(flag.rolled_back.rollout)] = flag.rolled_back.lasts_s
    return timed


def _drill(drill: str) -> str:
    return f"drill {drill}"


def _draining(rollout: str) -> str:
    return f"draining {rollout}"


def _rolled_back(rollout: str) -> str:
    return f"rolled back {rollout}"
