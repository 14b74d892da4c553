"""Hosts beside one's own: how long to wait for what they have not read yet, and whose units are theirs to seal.

No clock of one host is compared with another's. A host tells how far it is behind as a length of time; how long ago it told so is counted
here, by a clock that nobody sets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from detent.store.state import State

LAG_MAX_S = 60.0
"""The longest that a unit waits to be sealed for another host that is behind."""

DOWN_S = 10.0
"""A host that told nothing for so long is waited for no more; its units wait for it."""

GONE_S = 3600.0
"""A host that told nothing for so long is gone: its units are sealed by whoever reads."""

LOOK_S = 0.5
TELL_S = 1.0


@dataclass(frozen=True, slots=True)
class HostId:
    """A host, or rather the home directory whose spools are read there: an id that is made once, and a name for people."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a host told; it did so after `after_s` (None: before anybody looked), and nothing else since `since_s`."""

    beat: int
    lag_s: float
    after_s: float | None
    since_s: float


class OtherHosts:
    """Tells of one's own host, and knows what the others tell. `elapsed` counts seconds from wherever."""

    def __init__(self, state: State, host: HostId, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._state, self._host, self._elapsed = state, host, elapsed
        self._seen: dict[str, _Seen] = {}
        self._looked_s: float | None = None
        self._told: tuple[float, float] | None = None

    def tell(self, lag_s: float) -> None:
        """Say how far this host's reader is behind: each second, and at once where that is another length of time than it was."""
        now = self._elapsed()
        if self._told is None or now - self._told[0] >= TELL_S or abs(lag_s - self._told[1]) >= TELL_S:
            self._state.tell_host(self._host.id, self._host.name, round(lag_s * 1_000_000))
            self._told = now, lag_s

    def goodbye(self) -> None:
        """Nothing is left to be read here."""
        self._state.forget_host(self._host.id)
        self._told = None

    def look(self) -> None:
        """See what the others tell, at most twice a second. A host that is gone is forgotten."""
        now, before = self._elapsed(), self._looked_s
        if before is not None and now - before < LOOK_S:
            return
        seen: dict[str, _Seen] = {}
        for told in self._state.hosts():
            if told.host == self._host.id:
                continue
            known = self._seen.get(told.host)
            if known is None or known.beat != told.beat:
                # It told so after the look before this one: sooner is not known, and what it read since then is not known either.
                known = _Seen(told.beat, told.lag_us / 1_000_000, before, now)
            if now - known.since_s >= GONE_S:
                self._state.forget_host(told.host, beat=told.beat)
            else:
                seen[told.host] = known
        self._seen, self._looked_s = seen, now

    @property
    def theirs(self) -> frozenset[str]:
        """The hosts that seal their own units."""
        return frozenset(self._seen)

    @property
    def wait_s(self) -> float:
        """For how long what was recorded is still to wait for the others: until all but those that are down have read so far."""
        now = self._elapsed()
        return max((self._wait_for(seen, now) for seen in self._seen.values() if now - seen.since_s < DOWN_S), default=0.0)

    @staticmethod
    def _wait_for(seen: _Seen, now: float) -> float:
        return LAG_MAX_S if seen.after_s is None else min(LAG_MAX_S, seen.lag_s + now - seen.after_s)
