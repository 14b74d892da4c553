"""Circuit breakers: whether a version of a route fails hard, so that nobody should wait for its next failure. Pure: time and chance are
arguments.

    closed ──5 units in a row, or half of the last 20 units within 30 s──▶ open ──5 s, doubling to 60 s──▶ half-open
      ▲                                                                      ▲                               │ one request at a time
      └──────────────── an answer ───────────────────────────────────────────┼───────────────────────────────┤
                                                                             └──── a hard failure ───────────┘

A unit counts once, in the row and among the last: what one session asks again and again says no more than what it asked first. (Requests of
which nothing tells whose they are count each as a unit of its own.) Nor is a unit that has failed the probe, unless nobody else comes for
two more waits.

The numbers are those that others have run with for years (defaults, looked up in their documentation in November 2026): five in a row is
Envoy's `consecutive_5xx` = 5; half of at least 20 requests, and 5 s until the first probe, are Hystrix's `errorThresholdPercentage` = 50,
`requestVolumeThreshold` = 20 and `sleepWindowInMilliseconds` = 5000; 30 s of looking back (where Hystrix has 10) and 5 s are Polly's
`SamplingDuration` and `BreakDuration` (whose `FailureRatio` = 0.1 of `MinimumThroughput` = 100 would need traffic that many routes never
have). That one which fails again stays out for longer is Envoy's too, whose `base_ejection_time` is multiplied by how often it was ejected,
up to `max_ejection_time`; ours doubles, up to a minute. That the first request after the wait decides is Hystrix's and Polly's.
    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/cluster/v3/outlier_detection.proto
    https://github.com/Netflix/Hystrix/wiki/Configuration#circuit-breaker
    https://www.pollydocs.org/strategies/circuit-breaker#defaults

Chance makes each wait up to a quarter shorter, so that many gateways do not probe at the same moment.

What a breaker keeps out must not bias what is counted: see `may_probe`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from detent.terms import Outcome, Version

IN_A_ROW = 5
LAST = 20
SHARE = 0.5
WITHIN_S = 30.0
OPEN_S = 5.0
MOST_OPEN_S = 60.0
JITTER = 0.25

FORGOTTEN_S = 3600.0
"""A breaker of which nothing was heard for so long is forgotten: nobody asks for that version any more."""

PATIENCE_S = 10.0
"""A caller that hangs up after so long without a first byte has told of a version that hangs (as `hard_failure` counts it)."""

_OF_THE_VERSION = {401, 403, 404}

State = Literal["closed", "open", "half_open"]
News = Literal["tripped", "closed"]


@dataclass(frozen=True, slots=True)
class Hard:
    """A hard failure: `what` as a slug. `in_a_row`: it counts in a row only; `earned`: so since the request may have earned it by itself,
    which tells nothing as a probe.
    """

    what: str
    in_a_row: bool = False
    earned: bool = False


def refused(status: int, *, own_key: bool) -> Hard | None:
    """What a status says of its version: 5xx that it fails; other 4xx and 429 something of the request or the quota, so nothing here.

    401, 403 and 404 may say that the version is wholly wrong: no such model, or none for this account. They count in a row only, since a
    request can earn them by itself, and 401 and 403 only where the key is the installation's own (`own_key`) and not the caller's.
    """
    if status >= 500:
        return Hard(f"http_{status}")
    if status == 404 or (own_key and status in _OF_THE_VERSION):
        return Hard(f"http_{status}", in_a_row=True, earned=True)
    return None


def unanswered(outcome: Outcome, *, waited_s: float | None) -> Hard | None:
    """What the end of a leg without any byte of a good answer says of its version; None where it says nothing, as of a caller who left
    soon. One who left late counts in a row only: whole answers may take long, and then others of them come in between.
    """
    if outcome is Outcome.CLIENT_ABORTED:
        return Hard("hung", in_a_row=True) if waited_s is not None and waited_s > PATIENCE_S else None
    silent = (Outcome.CONNECT_FAILED, Outcome.TIMED_OUT, Outcome.UPSTREAM_TRUNCATED, Outcome.MALFORMED, Outcome.ERROR_EVENT)
    return Hard(outcome.value) if outcome in silent else None


def told(since_us: int, why: str) -> str:
    """`open since 2026-11-23T21:40:00Z: 5 hard failures in a row, the last http_503`."""
    since = datetime.fromtimestamp(since_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"open since {since}: {why}"


class Circuit:
    """The breaker of one version of a route. Times are of a clock that never goes backwards; `since_us` is a wall clock's, to be told.

    What is heard of a leg comes with when that was sent: one sent before the breaker opened neither closes nor opens it again.
    """

    def __init__(self) -> None:
        self.opened: int = 0
        self.since_us = 0
        self.why = ""
        self.heard_s = 0.0
        self._opened_s = 0.0
        self._until_s = 0.0
        self._wait_s = OPEN_S
        self._probe: tuple[str, float] | None = None
        self._failed: set[str] = set()
        self._last: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    def state(self, at_s: float) -> State:
        """Where it stands."""
        if not self.opened:
            return "closed"
        return "open" if at_s < self._until_s else "half_open"

    def may_probe(self, unit: str, at_s: float) -> bool:
        """Whether a leg of this unit may be sent now: the breaker is closed, or half-open and no probe is on its way. (One that hangs for
        as long as the breaker was open makes room for the next.)

        In a canary this also decides whether a unit counts at all, on either arm. It is asked before the unit's arm is looked at and says
        nothing of that arm, so that of those that count the candidate has its share by chance, whatever went before: that is all a label
        bet rests on. To count what is not sent as failed would charge the candidate for a failure that both share; to leave out only its
        own would hide its harm.
        """
        if not self.opened:
            return True
        if at_s < self._until_s or (self._probe is not None and at_s < self._probe[1]):
            return False
        return unit not in self._failed or at_s >= self._until_s + 2 * self._wait_s

    def sent(self, leg: str, unit: str, at_s: float) -> None:
        """A leg is sent. In half-open it is the probe, if there is none and it may be."""
        if self.opened and self.may_probe(unit, at_s):
            self._probe = leg, at_s + self._wait_s
            self.heard_s = at_s

    def failed(self, hard: Hard, leg: str, unit: str, sent_s: float, at_s: float, *, at_us: int, jitter: float) -> News | None:
        """A leg has failed hard. `jitter` is in [0, 1); `unit` is whose request it was."""
        self.heard_s = at_s
        if self.opened:
            known, is_probe = unit in self._failed, self._probe is not None and self._probe[0] == leg
            if sent_s < self._until_s or hard.earned or (known and not is_probe):
                self.said_nothing(leg)
            else:
                self._failed.add(unit)
                self._open(at_s, jitter)
            return None
        self._failed.add(unit)
        if not hard.in_a_row:
            self._heard(unit, at_s, bad=True)
        recent = [bad for when, bad in self._last.values() if at_s - when <= WITHIN_S]
        if len(self._failed) >= IN_A_ROW:
            self.why = f"{len(self._failed)} hard failures in a row, the last {hard.what}"
        elif len(recent) >= LAST and sum(recent) >= SHARE * len(recent):
            self.why = f"{sum(recent)} of the last {len(recent)} failed hard, the last {hard.what}"
            self._failed |= {of for of, (_, bad) in self._last.items() if bad}
        else:
            return None
        self.since_us = at_us
        self._open(at_s, jitter)
        return "tripped"

    def answered(self, unit: str, sent_s: float, at_s: float) -> News | None:
        """The first byte of a good answer has come."""
        if self.opened and sent_s < self._opened_s:
            return None
        was_open, self.opened = self.opened > 0, 0
        self.heard_s = at_s
        self._probe = None
        self._failed.clear()
        if was_open:
            self._last.clear()
            return "closed"
        self._heard(unit, at_s, bad=False)
        return None

    def said_nothing(self, leg: str) -> None:
        """A leg ended and told nothing of its version: if it was the probe, the next request is."""
        if self._probe is not None and self._probe[0] == leg:
            self._probe = None

    def half_open(self, at_s: float) -> None:
        """Lets the next request probe at once, whoever's it is."""
        self._until_s = min(self._until_s, at_s)
        self._probe = None
        if self.opened:
            self._failed.clear()

    def idle(self, at_s: float) -> bool:
        """Whether it remembers nothing that still counts."""
        if at_s - self.heard_s >= FORGOTTEN_S:
            return True
        return not self.opened and not self._failed and not any(bad and at_s - when <= WITHIN_S for when, bad in self._last.values())

    def _heard(self, unit: str, at_s: float, *, bad: bool) -> None:
        """What a unit was told last."""
        self._last[unit] = at_s, bad
        self._last.move_to_end(unit)
        if len(self._last) > LAST:
            self._last.popitem(last=False)

    def _open(self, at_s: float, jitter: float) -> None:
        self._wait_s = min(MOST_OPEN_S, OPEN_S * 2.0 ** min(self.opened, 10)) * (1.0 - JITTER * jitter)
        self._opened_s, self._until_s = at_s, at_s + self._wait_s
        self.opened += 1
        self._probe = None


class Circuits:
    """A gateway's breakers, by route and version. A version that never failed has none, so that healthy traffic pays a look into a dict."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, Version], Circuit] = {}

    def __iter__(self) -> Iterator[tuple[str, Version, Circuit]]:
        return ((route, version, circuit) for (route, version), circuit in self.known.items())

    def is_open(self, route: str, version: Version) -> bool:
        """Whether a version is not itself: its breaker has opened, and no answer has closed it."""
        circuit = self.known.get((route, version)) if self.known else None
        return circuit is not None and circuit.opened > 0

    def may_probe(self, route: str, version: Version, unit: str, at_s: float) -> bool:
        """Whether a leg of this unit may be sent now; see `Circuit.may_probe`."""
        circuit = self.known.get((route, version)) if self.known else None
        return circuit is None or circuit.may_probe(unit, at_s)

    def sent(self, route: str, version: Version, leg: str, unit: str, at_s: float) -> None:
        """A leg is sent."""
        circuit = self.known.get((route, version)) if self.known else None
        if circuit is not None:
            circuit.sent(leg, unit, at_s)

    def find(self, route: str, version: Version) -> Circuit | None:
        """The breaker of a version, if it has failed lately."""
        return self.known.get((route, version)) if self.known else None

    def failed(  # noqa: PLR0917
        self, route: str, version: Version, hard: Hard, leg: str, unit: str, sent_s: float, at_s: float, *, at_us: int, jitter: float
    ) -> News | None:
        """A leg has failed hard."""
        circuit = self.known.setdefault((route, version), Circuit())
        return circuit.failed(hard, leg, unit, sent_s, at_s, at_us=at_us, jitter=jitter)

    def answered(self, route: str, version: Version, unit: str, sent_s: float, at_s: float) -> News | None:
        """The first byte of a good answer has come. A version that recovers lets the others of its route be tried at once: what failed with
        it in an outage of their provider is most likely back as well.
        """
        circuit = self.known.get((route, version)) if self.known else None
        if circuit is None:
            return None
        news = circuit.answered(unit, sent_s, at_s)
        if circuit.idle(at_s):
            del self.known[route, version]
        if news == "closed":
            for other, _, neighbour in self:
                if other == route:
                    neighbour.half_open(at_s)
        return news

    def said_nothing(self, route: str, version: Version, leg: str) -> None:
        """A leg ended and told nothing of its version."""
        circuit = self.known.get((route, version)) if self.known else None
        if circuit is not None:
            circuit.said_nothing(leg)

    def forget_idle(self, at_s: float) -> None:
        """Forgets the breakers that nothing was heard of for an hour."""
        for key in [key for key, circuit in self.known.items() if circuit.idle(at_s)]:
            del self.known[key]

    def keep(self, route: str, versions: tuple[Version, ...]) -> None:
        """Forgets the breakers of a route's versions but these."""
        for key in [key for key in self.known if key[0] == route and key[1] not in versions]:
            del self.known[key]
