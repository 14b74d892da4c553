"""Who is told of what, and when that is over: alerts held against what there is, at every pass. Level-triggered, like the controller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from detent import alerting
from detent.store import Store
from detent.terms import Alert, Phase, Rollout, WayBack

LOOKS_BACK = timedelta(days=1)
"""What ended so long ago and was not told yet is told: by a person's verb, or under a controller that was killed."""

UNKNOWN_FOR = timedelta(minutes=10)
"""How long nobody has to have known of a way back before that is told: each server begins without knowing."""

AFRESH = timedelta(seconds=30)
"""How often the open alerts are read although nothing changed: another server may have raised or ended some."""


class Alarms:
    """Raises what its cause gives rise to, ends what has none any more; keeps former versions as rollouts are done."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: frozenset[str] = frozenset()
        self._ends_read_at: datetime | None = None
        self._raised: frozenset[tuple[str, str]] | None = None
        self._read_at: datetime | None = None
        self._unknown_since: dict[str, datetime] = {}
        self._ended: dict[str, int] = {}
        self._orders: set[str] = set()

    def step(self, opened: Sequence[Rollout], lasting: Iterable[Alert], now: datetime, *, owners: Mapping[str, str]) -> None:
        """Hold the alerts against the rollouts that are open as this pass ends, and what `lasting` says of routes, which have `owners`."""
        self._tell_ends(opened, owners, now)
        wanted = [*filter(None, map(alerting.of_hold, opened)), *lasting]
        marks = frozenset((one.kind, one.about) for one in wanted)
        if marks == self._raised and self._read_at is not None and timedelta() <= now - self._read_at < AFRESH:
            return
        there = self._store.state.alerts()
        told = {(one.kind, one.about) for one in there}
        for alert in wanted:
            if (alert.kind, alert.about) not in told:
                self._store.state.raise_alert(alert)
        unsure = [("WayBackUnknown", route) for route in self._unknown_since]
        for alert in alerting.ending(there, wanted, unsure):
            self._store.state.end_alert(alert.kind, alert.about, now)
        self._raised, self._read_at = marks, now

    def _tell_ends(self, opened: Sequence[Rollout], owners: Mapping[str, str], now: datetime) -> None:
        """Tell of rollouts that have ended, whoever ended them, and keep the version that one moved its route away from; likewise of
        rollbacks that were given by file.
        """
        names = frozenset(rollout.id for rollout in opened)
        recent = self._ends_read_at is not None and timedelta() <= now - self._ends_read_at < AFRESH
        if recent and self._open <= names:
            self._open = names
            return
        for rollout in self._store.state.ended_rollouts(self._ended):
            if rollout.ended_at is None:
                continue
            if rollout.phase is Phase.DONE and not rollout.aa:
                self._store.state.keep_former(rollout)
            told = alerting.of_end(rollout)
            if told is not None and now - rollout.ended_at <= LOOKS_BACK:
                self._store.state.raise_alert(told)
            self._ended[rollout.id] = rollout.revision
        for order in self._store.state.local_orders(since=now - LOOKS_BACK):
            if order.id not in self._orders:
                self._store.state.raise_alert(alerting.of_order(order, owners.get(order.route, "")))
                self._orders.add(order.id)
        self._open, self._ends_read_at = names, now

    def of_way_backs(
        self, found: Mapping[str, WayBack], owners: Mapping[str, str], opened: Sequence[Rollout], now: datetime
    ) -> list[Alert]:
        """What is to be told of the way backs of all routes; one of which nothing is known only after a while."""
        told = []
        of_rollout = {one.route: one for one in opened if not one.aa}
        self._unknown_since = {route: since for route, since in self._unknown_since.items() if route in found}
        for route, way_back in found.items():
            if not way_back.unknown or way_back.version is None:
                self._unknown_since.pop(route, None)
            elif now - self._unknown_since.setdefault(route, now) < UNKNOWN_FOR:
                continue
            alert = alerting.of_way_back(way_back, owners.get(route, ""), now, rollout=of_rollout.get(route))
            if alert is not None:
                told.append(alert)
        return told
