"""Runs of agents that are under way, as one gateway knows them: where they are served, and which version their history is from.

`InFlight` holds runs on stable while a rollout widens. `Makers` remembers what was answered by another version than stable, so that such a
run can finish there (`draining`, a drill) or have its history made fit for stable (`cut`). Of a run that another gateway served neither
knows: there `whose` goes by the draw, and what is only guessed is refused to nobody. For how long a flag lends a version is for `leasing`
to say. All of them live as long as the process, and are told the time of a clock that never goes backwards.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from detent.assign import draw
from detent.circuit import Circuits
from detent.terms import CIRCUIT_OPEN, Arm, Assignment, Endpoint, Flag, FlagSet, Head, Unit, Version
from detent.wire.bound import Marks, Unbound, may_be_bound, unbound

IDLE_S = 30 * 60.0
"""A run without a request for so long is no longer in flight."""

MOST_IN_FLIGHT = 100_000
"""How many runs a gateway remembers: 22 MB of them."""


class InFlight:
    """Runs on stable that are under way, for as long as the gateway lives; one on the candidate needs no memory to stay.

    A run is a conversation of a session (or alone, where there is none): its first request goes where it is drawn, and what continues it,
    or is an SDK's retry, stays there until it has been idle for 30 minutes or its rollout has ended. That holds for `randomised` too: a
    run that was under way before a split began never counts, whichever arm its draw is on. Were only those left out that are held on
    stable against their draw, stable would have more units than its share.
    """

    def __init__(self, most: int = MOST_IN_FLIGHT, idle_s: float = IDLE_S) -> None:
        self._most = most
        self._idle_s = idle_s
        # By a hash of rollout, unit and run: two in 2^64 that meet share a stay on stable, no more. Oldest first.
        self._kept: OrderedDict[int, tuple[float, bool, bool]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, drawn: Assignment, flag: Flag, head: Head, at_s: float) -> Assignment:
        """The assignment that a request is served by: what its run was given, or what was drawn. `at_s` never goes backwards."""
        if flag.rollout is None or not (head.session or head.opening):
            return drawn
        key = hash((flag.rollout, drawn.unit.id, head.session, head.opening))
        kept = self._kept.get(key) if head.continues or head.attempt else None
        if kept is not None and at_s - kept[0] < self._idle_s:
            randomised, control = kept[1] and drawn.randomised, kept[2] and drawn.randomised
            as_drawn = drawn.arm is Arm.STABLE and (drawn.randomised, drawn.control) == (randomised, control)
            given = drawn if as_drawn else replace(drawn, arm=Arm.STABLE, randomised=randomised, control=control)
            # A lapsed lease or an open breaker moves a run off the candidate for good: those on stable that asked meanwhile must not count
            # for longer.
            moves = drawn.why in ("lapsed", CIRCUIT_OPEN)
            self._kept[key] = (at_s, randomised, control) if moves else (at_s, kept[1], kept[2])
        elif drawn.arm is Arm.CANDIDATE:
            self._kept.pop(key, None)
            return drawn
        else:
            given = drawn
            self._kept[key] = (at_s, drawn.randomised, drawn.control)
        self._kept.move_to_end(key)
        self._forget(at_s)
        return given

    def _forget(self, at_s: float) -> None:
        """A few of those that are idle, and the oldest beyond the bound: no request pays for a burst that has passed."""
        for _ in range(2):
            oldest = next(iter(self._kept.values()))
            if len(self._kept) <= self._most and at_s - oldest[0] < self._idle_s:
                return
            self._kept.popitem(last=False)


@dataclass(slots=True)
class Made:
    """Which version's the history of a run is. `marks` say what of it was left out last, for another version, whose all that follows is.

    `guessed`: this gateway did not see who answered.
    """

    version: Version
    at_s: float
    marks: Marks | None = None
    guessed: bool = False


class History:
    """What a request replays of a run, and whose it is."""

    __slots__ = ("_body", "_endpoint", "_former", "_unbound", "made_by")

    def __init__(self, endpoint: Endpoint, body: bytes, made_by: Version, former: Marks | None) -> None:
        self.made_by = made_by
        self._endpoint = endpoint
        self._body = body
        self._former = former
        self._unbound: Unbound | None = None

    @property
    def unbound(self) -> Unbound:
        """The request as another version can read it. Made when it is asked for: most runs stay where they are."""
        if self._unbound is None:
            self._unbound = unbound(self._endpoint, self._body, self._former)
        return self._unbound

    def for_version(self, version: Version) -> bytes | None:
        """The request as this version can read it; None where there is no such."""
        return self._body if version == self.made_by else self.unbound.body


class Makers:
    """Runs that were answered by another version than stable; of those on stable only what must be told from them."""

    def __init__(self, most: int = MOST_IN_FLIGHT, idle_s: float = IDLE_S) -> None:
        self._most = most
        self._idle_s = idle_s
        self.known: OrderedDict[int, Made] = OrderedDict()

    def __len__(self) -> int:
        return len(self.known)

    def of(self, flag: Flag, unit: Unit, head: Head, at_s: float) -> Made | None:
        """Who answered last in the run that a request continues; None where this gateway does not know, or knows of stable only."""
        if not self.known or not (head.continues or head.attempt):
            return None
        made = self.known.get(_run(flag, unit, head))
        return made if made is not None and at_s - made.at_s < self._idle_s else None

    def guess(self, flag: Flag, unit: Unit, head: Head, at_s: float) -> Made | None:
        """The candidate that was rolled back, for a run that goes on here and was not seen, where its unit was drawn for that candidate.

        It holds if something of the history is left out for it; else whoever answers next is the maker.
        """
        ended = flag.rolled_back
        if ended is None or not head.continues or not (head.session or head.opening):
            return None
        if draw(ended.salt, "arm", unit.id) >= ended.split:
            return None
        made = Made(ended.candidate, at_s, guessed=True)
        self._keep(_run(flag, unit, head), made, at_s)
        return made

    def answered(self, flag: Flag, unit: Unit, head: Head, version: Version, at_s: float) -> None:
        """A version has answered. A run that stable goes on with stays the other's: parts of its history are. One that stable has begun is
        noted while it must be told from such.
        """
        if not (head.session or head.opening):
            return
        noted = flag.draining is not None or flag.drill is not None or flag.rolled_back is not None
        if version == flag.stable and not self.known and not noted:
            return
        key = _run(flag, unit, head)
        known = self.known.get(key)
        if known is not None and (at_s - known.at_s >= self._idle_s or (known.guessed and known.marks is None)):
            known = None
        if known is not None and known.version == version:
            known.marks = None
        elif version != flag.stable or (known is None and noted):
            known = Made(version, at_s)
        if known is not None:
            self._keep(key, known, at_s)

    def _keep(self, key: int, made: Made, at_s: float) -> None:
        made.at_s = at_s
        self.known[key] = made
        self.known.move_to_end(key)
        for _ in range(2):
            oldest = next(iter(self.known.values()))
            if len(self.known) <= self._most and at_s - oldest.at_s < self._idle_s:
                return
            self.known.popitem(last=False)


def _run(flag: Flag, unit: Unit, head: Head) -> int:
    """A run under any rollout, or none: two in 2^64 that meet share a memory, no more."""
    return hash((flag.route, unit.id, head.session, head.opening))


class Latest:
    """The flags that the last request met."""

    def __init__(self) -> None:
        self._flags: FlagSet | None = None

    def heard(self, flags: FlagSet) -> bool:
        """Takes note of the flags in force; whether they are others than before."""
        others, self._flags = flags is not self._flags, flags
        return others


@dataclass(slots=True)
class Memory:
    """What a gateway remembers from one request to the next, and decides by."""

    in_flight: InFlight = field(default_factory=InFlight)
    makers: Makers = field(default_factory=Makers)
    obeyed: Latest = field(default_factory=Latest)
    circuits: Circuits = field(default_factory=Circuits)


# ── where a run is served ───────────────────────────────────────────────────────────────────────────────────────────


def drilled(unit: Unit, flag: Flag, head: Head, memory: Memory, at_s: float, *, bound: bool) -> Assignment | None:
    """The way back for a unit that a drill takes; None where stable serves as ever.

    A drill of a part takes runs as they begin, and keeps them for as long as it lasts; what was under way stays on stable. One that moves
    everything moves those too, but for such whose history is `bound` to stable.
    """
    drill = flag.drill
    if drill is None or draw(drill.salt, "drill", unit.id) >= drill.share:
        return None
    if head.continues or head.attempt:
        made = memory.makers.of(flag, unit, head, at_s)
        here = made is not None and made.version == drill.version
        if not here and (bound or drill.share < 1.0) and (head.continues or made is not None):
            return None
    return Assignment(Arm.STABLE, unit, randomised=False, why="drill", version=drill.version)


def drained(unit: Unit, flag: Flag, head: Head, memory: Memory, at_s: float) -> Assignment | None:
    """The candidate of a rollout that is over, for a run that this gateway saw on it; None for all others.

    Which other runs were under way there nobody knows, least of all a gateway that started since: what is not known goes on with stable.
    """
    draining = flag.draining
    if draining is None or not (head.continues or head.attempt) or not (head.session or head.opening):
        return None
    made = memory.makers.of(flag, unit, head, at_s)
    if made is None or made.guessed or made.version != draining.candidate or draw(draining.salt, "arm", unit.id) >= draining.split:
        return None
    return Assignment(Arm.CANDIDATE, unit, randomised=False, why="draining", version=draining.candidate)


def whose(unit: Unit, flag: Flag, head: Head, body: bytes, memory: Memory, at_s: float) -> Made | None:  # noqa: PLR0917
    """Who made the history that a request replays: by memory; else, where a part of it may be bound to its maker, by the draw."""
    made = memory.makers.of(flag, unit, head, at_s)
    if made is not None or flag.rolled_back is None or not may_be_bound(head.endpoint, body):
        return made
    return memory.makers.guess(flag, unit, head, at_s)
