"""What live gateways say of themselves, as the controller goes by it: orders that they cannot carry out, stable versions that fail there;
and what they found out about a store that was put back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from detent import alerting
from detent import manifest as pin_file
from detent.explain import silent_s
from detent.store import Store
from detent.store.state import GatewayAck
from detent.terms import Alert, Breaker, Manifest, PutBack, Version

READ_EVERY_S = 1.0
"""How often they are read: a gateway speaks every two seconds."""

TOLD_FOR = timedelta(days=1)
"""For how long word is raised of a store that was put back, by whichever controller comes."""


def live(store: Store, now: datetime) -> list[GatewayAck]:
    """The gateways that were heard of a moment ago."""
    return [one for one in store.state.gateways() if silent_s(one, now) is None]


def orders_of(gateways: Iterable[GatewayAck], route: str) -> tuple[str, ...]:
    """The orders by file of a route that these gateways obey and cannot carry out, in words, by gateway."""
    return tuple(f"gateway {one.gateway}: {order.why}" for one in gateways for order in one.condition.orders if order.route == route)


class LiveGateways:
    """The live gateways, read again every second."""

    def __init__(self, store: Store, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._elapsed = elapsed
        self._read_s: float | None = None
        self._live: list[GatewayAck] = []
        self._stable: dict[str, Version] = {}
        self._put_back: PutBack | None = None
        self._manifest: Manifest | None = None
        self._digest = ""

    def step(self, now: datetime) -> None:
        """Read them again, where it is time to. Raises what could not be read; what was known last is then gone by."""
        at_s = self._elapsed()
        if self._read_s is not None and at_s - self._read_s < READ_EVERY_S:
            return
        self._live = live(self._store, now)
        self._read_s = at_s
        self._put_back = self._store.state.put_back()
        if any(one.condition.breakers for one in self._live):
            self._stable = {route: flag.stable for route, flag in self._store.state.flags().items()}
        applied = self._store.state.manifest_text()
        if applied is not None and applied.digest != self._digest:
            self._manifest, self._digest = pin_file.read(applied.text), applied.digest

    def orders_of(self, route: str) -> tuple[str, ...]:
        """The orders by file of a route that stand at live gateways and cannot be carried out."""
        return orders_of(self._live, route)

    def alerts(self, now: datetime) -> list[Alert]:
        """What owners are to be told of what gateways say."""
        told = [alert for route in sorted(self._stable) if (alert := self._of_breakers(route, now)) is not None]
        found = self._put_back
        if found is not None and abs(now - found.at) <= TOLD_FOR:
            told += [alerting.of_put_back(found, route, self._owner(route)) for route in found.routes]
        return told

    def _of_breakers(self, route: str, now: datetime) -> Alert | None:
        stable = self._stable[route]
        fails = {one.gateway: broken.why for one in self._live for broken in _of(one, route, stable)}
        if not fails:
            return None
        named = None if self._manifest is None or route not in self._manifest.routes else self._manifest.routes[route].outage_version
        both = named is not None and all(any(_of(one, route, named)) for one in self._live if one.gateway in fails)
        fallback = "" if named is None or both else str(named)
        return alerting.of_breakers(route, str(stable), self._owner(route), now, at_gateways=fails, live=len(self._live), fallback=fallback)

    def _owner(self, route: str) -> str:
        return "" if self._manifest is None or route not in self._manifest.routes else self._manifest.routes[route].owner


def _of(gateway: GatewayAck, route: str, version: Version) -> list[Breaker]:
    return [one for one in gateway.condition.breakers if (one.route, one.version) == (route, version)]
