"""A gateway's circuit breakers at work: what it hears of its legs goes in, and which legs are not to be sent comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detent import circuit, legs
from detent.circuit import Circuits, Hard, News
from detent.exchange import Exchange, falls_back, sender_of
from detent.terms import Breaker, Flag, FlagSet, Leg, Outcome, Provider, Result


class Breakers:
    """Reports to `circuits`, by this process's clocks; `say` hears of each breaker that trips, and of each that closes."""

    def __init__(
        self,
        circuits: Circuits,
        *,
        monotonic: Callable[[], float],
        clock_us: Callable[[], int],
        chance: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self._circuits = circuits
        self._monotonic = monotonic
        self._clock_us = clock_us
        self._chance = chance
        self._say = say

    def forget(self, flags: FlagSet) -> None:
        """Forgets versions that no flag names any more."""
        for name in {route for route, _, _ in self._circuits}:
            route, flag = flags.manifest.routes.get(name), flags.flags.get(name)
            named = () if route is None else (route.stable, route.outage_version, *_versions(flag))
            self._circuits.keep(name, tuple(version for version in named if version is not None))

    def is_out(self, ex: Exchange) -> bool:
        """Whether stable is not to be waited for: its breaker is open, a fallback can answer, and it is no probe's turn."""
        route, stable = ex.route.name, ex.flag.stable
        if not self._circuits.is_open(route, stable) or legs.fallback_of(ex) is None:
            return False
        return not self._circuits.may_probe(route, stable, sender_of(ex), self._monotonic())

    def watch(self, ex: Exchange, leg: Leg, provider: Provider) -> Watch:
        """Begins to listen to a leg, as it is sent."""
        at_s = self._monotonic()
        self._circuits.sent(ex.route.name, leg.version, leg.id, sender_of(ex), at_s)
        return Watch(self, ex, leg, own_key=provider.key_env is not None, sent_s=at_s)

    def state(self) -> list[dict[str, Any]]:
        """The breakers that are not closed, for whoever asks the gateway how it is."""
        self._circuits.forget_idle(self._monotonic())
        return [
            {"route": one.route, "version": str(one.version), "state": one.state, "why": circuit.told(one.since_us, one.why)}
            for one in self.told()
        ]

    def told(self) -> tuple[Breaker, ...]:
        """The same, for the store to hear of; any thread may ask."""
        at_s, found = self._monotonic(), []
        for (route, version), one in list(self._circuits.known.items()):
            state, opened = one.state(at_s), one.opened
            if opened and state != "closed" and not one.idle(at_s):
                found.append(Breaker(route=route, version=version, state=state, since_us=one.since_us, why=one.why))
        return tuple(found)

    def failed(self, ex: Exchange, leg: Leg, hard: Hard, sent_s: float) -> None:
        """A leg has failed hard."""
        self._tell(
            ex,
            leg,
            self._circuits.failed(
                ex.route.name,
                leg.version,
                hard,
                leg.id,
                sender_of(ex),
                sent_s,
                self._monotonic(),
                at_us=self._clock_us(),
                jitter=self._chance(),
            ),
        )

    def answered(self, ex: Exchange, leg: Leg, sent_s: float) -> None:
        """The first byte of a good answer is there."""
        self._tell(ex, leg, self._circuits.answered(ex.route.name, leg.version, sender_of(ex), sent_s, self._monotonic()))

    def said_nothing(self, ex: Exchange, leg: Leg) -> None:
        """A leg has ended without word of its version."""
        self._circuits.said_nothing(ex.route.name, leg.version, leg.id)

    def _tell(self, ex: Exchange, leg: Leg, news: News | None) -> None:
        if news is None:
            return
        version = f"{leg.version.provider}/{leg.version.model}"
        if news == "closed":
            self._say(f"route `{ex.route.name}`: `{version}` answers again, its circuit breaker is closed")
            return
        found = self._circuits.find(ex.route.name, leg.version)
        why = "" if found is None else f": {found.why}"
        self._say(f"route `{ex.route.name}`: the circuit breaker of `{version}` is open{why}; {_meanwhile(ex, leg)}")


class Watch:
    """What a gateway hears of one leg, as far as a breaker cares: the first of a status, a byte or an end that says something."""

    def __init__(self, breakers: Breakers, ex: Exchange, leg: Leg, *, own_key: bool, sent_s: float) -> None:
        self._breakers = breakers
        self._ex = ex
        self._leg = leg
        self._own_key = own_key
        self._sent_s = sent_s
        self._said = False

    def status(self, status: int) -> None:
        """The answer's status is there."""
        hard = circuit.refused(status, own_key=self._own_key) if status >= 400 else None
        if hard is not None:
            self._failed(hard)

    def answered(self) -> None:
        """The first byte of an answer below 400 is there."""
        if not self._said:
            self._said = True
            self._breakers.answered(self._ex, self._leg, self._sent_s)

    def no_answer(self) -> None:
        """What has come with a good status is of a kind that no answer is."""
        self._failed(Hard(Outcome.MALFORMED.value))

    def nothing(self) -> None:
        """Whatever becomes of the leg says nothing of its version."""
        if not self._said:
            self._said = True
            self._breakers.said_nothing(self._ex, self._leg)

    def ended(self, written: Result) -> None:
        """The leg is over."""
        if self._said:
            return
        hard = circuit.unanswered(written.outcome, waited_s=written.latency_s)
        if hard is None:
            self.nothing()
        else:
            self._failed(hard)

    def _failed(self, hard: Hard) -> None:
        if not self._said:
            self._said = True
            self._breakers.failed(self._ex, self._leg, hard, self._sent_s)


def _versions(flag: Flag | None) -> tuple[Any, ...]:
    if flag is None:
        return ()
    return flag.stable, flag.candidate, flag.drill and flag.drill.version, flag.draining and flag.draining.candidate


def _meanwhile(ex: Exchange, leg: Leg) -> str:
    """What becomes of its requests."""
    fallback = legs.fallback_of(ex)
    if leg.version != ex.flag.stable:
        lent = ex.assignment.version is not None
        return "stable answers in its place" if lent or falls_back(ex) else "it is asked all the same, as the route has it"
    if fallback is None:
        return "it is asked all the same, as the route declares no fallback"
    return f"`{fallback.provider}/{fallback.model}` answers in its place"
