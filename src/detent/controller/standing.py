"""Orders that stand on this host, told: a rollback by file is somebody's emergency, of which its owner hears at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from detent.alerting import alert, of_order
from detent.local_orders import standing_orders
from detent.store import Store
from detent.terms import Route


class StandingOrders:
    """Raises a page for each order that is met, once."""

    def __init__(self, store: Store, home: Path) -> None:
        self._state = store.state
        self._home = home
        self._told: set[str] = set()

    def step(self, routes: Mapping[str, Route], now: datetime) -> None:
        """Tell of the orders that stand now, readable or not. Raises OSError where their directory cannot be read."""
        there = set()
        for one in standing_orders(self._home):
            key = one.order.id if one.order is not None else f"{one.path} {one.file}"
            there.add(key)
            if key in self._told:
                continue
            owner = routes[one.route].owner if one.route in routes else ""
            if one.order is not None:
                self._state.raise_alert(of_order(one.order, owner))
            else:
                sentence = f"{one.route}: an order by file that cannot be read keeps it on stable: {one.path}: {one.wrong}"
                hint = f"see who gave it; give it again with `detent rollback {one.route} --local`, or take the file away"
                self._state.raise_alert(alert("LocalRollback", one.route, owner, sentence, now, key=key, hint=hint))
            self._told.add(key)
        self._told &= there
