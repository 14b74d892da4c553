"""The way back of each route, read from the store: which version it is, and whether it is proven, broken or not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from detent import manifest as pin_file
from detent import trickle, warm
from detent.alerting import way_out
from detent.catalog import ends_on, price
from detent.controller.trickles import copying, traffic_by_copies
from detent.explain import way_back as told
from detent.store import Store
from detent.terms import Alert, Flag, FormerVersion, Manifest, Probe, Rollout, Version, WayBack, micros
from detent.trickle import Copying
from detent.wire.quota import PER_DAY


def way_backs(store: Store, now: datetime, *, manifest: Manifest | None = None) -> dict[str, WayBack]:
    """The way back of every route of the pin file in force, by route; empty before one was applied. `manifest` is that file, if known."""
    if manifest is None:
        applied = store.state.manifest_text()
        if applied is None:
            return {}
        manifest = pin_file.read(applied.text)
    flags = store.state.flags()
    opened = {one.route: one for one in store.state.rollouts(open_only=True)}
    former = store.state.former_versions()
    loads = {name: load_of(store, name, now) for name in {*manifest.routes, *flags}}
    return {
        name: way_back_of(store, manifest, name, now, flags=flags, rollout=opened.get(name), loads=loads, former=former)
        for name in sorted(manifest.routes)
    }


def way_back_of(
    store: Store,
    manifest: Manifest | None,
    route: str,
    now: datetime,
    *,
    flags: dict[str, Flag] | None = None,
    rollout: Rollout | None = None,
    loads: Mapping[str, Mapping[str, float]] | None = None,
    former: Sequence[FormerVersion] | None = None,
) -> WayBack:
    """The way back of one route; `rollout` is the open one, if there is one. `manifest` None: no pin file to read anything from. `loads`
    is what routes ask for, by route and kind, and `former` the former versions of all of them, where somebody has read that.
    """
    flags = store.state.flags() if flags is None else flags
    version = wanted(store, manifest, route, flags.get(route), rollout, former=former)
    if version is None:
        return warm.way_back(route, None, (), now)
    sums = store.state.minute_sums(route, since_us=micros(now - warm.LOAD_OF))
    provider = manifest.providers.get(version.provider) if manifest is not None else None
    ends = ends_on(provider, version.model) if provider is not None else None
    probes = store.state.probes(route, version, since=now - warm.LIMITS_KNOWN_FOR)
    users = _on(route, version, flags.values())
    loads = {name: load_of(store, name, now) for name in users} if loads is None else loads
    load = _together(loads.get(name, {}) for name in users)
    if any(kind.endswith(PER_DAY) for probe in probes for kind in probe.limits):
        load |= _together(_day_load_of(store, name, now) for name in users)
    return warm.way_back(
        route,
        version,
        probes,
        now,
        traffic=warm.traffic_of(sums, version, now) if rollout is not None else traffic_by_copies(store, manifest, route, version, now),
        load=load,
        ends_at=None if ends is None else datetime.combine(ends, time(), UTC),
        in_rollout=rollout is not None,
    )


def wanted(
    store: Store,
    manifest: Manifest | None,
    route: str,
    flag: Flag | None,
    rollout: Rollout | None,
    *,
    former: Sequence[FormerVersion] | None = None,
) -> Version | None:
    """The version that is this route's way back now."""
    of_file = manifest.routes.get(route) if manifest is not None else None
    kept = store.state.former_versions(route) if former is None else [one for one in former if one.route == route]
    return warm.which(of_file, flag, rollout, kept)


def last_answered(store: Store, route: str, version: Version, now: datetime) -> Probe | None:
    """The newest probe that a version answered, of those on record."""
    return next((probe for probe in store.state.probes(route, version, since=now - warm.LIMITS_KNOWN_FOR) if probe.ok), None)


def load_of(store: Store, route: str, now: datetime) -> dict[str, float]:
    """What a route asks of a version now, by kind."""
    sums = store.state.minute_sums(route, since_us=micros(now - warm.LOAD_OF))
    return warm.load_of(sums, now, input_tokens=store.journal.input_tokens(route, now)) if sums else {}


def _day_load_of(store: Store, route: str, now: datetime) -> dict[str, float]:
    """What a route asked of a version in the last day: asked for where a quota is of a day only, as there are many minutes in it."""
    sums = store.state.minute_sums(route, since_us=micros(now - timedelta(days=1)))
    return warm.day_load_of(sums, now, input_tokens=store.journal.input_tokens(route, now)) if sums else {}


def _together(loads: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """What a version would have to take: all traffic of the route, and that of the routes which are on it already."""
    total: dict[str, float] = {}
    for load in loads:
        for kind, n in load.items():
            total[kind] = total.get(kind, 0.0) + n
    return total


def _on(route: str, version: Version, flags: Iterable[Flag]) -> list[str]:
    return [route, *(flag.route for flag in flags if flag.route != route and flag.stable == version)]


READ_EVERY = timedelta(seconds=5)
"""How old what a controller knows of a way back is as it is read again: it decides ten times a second."""

TOO_OLD = timedelta(seconds=30)
"""How old it may be for a rollout to move by it: a host that slept, or a reading that fails, leaves what is no word of now."""

READ_AT_ONCE = 6
"""How many are read in one pass of a controller, after it has decided: two hundred routes keep no rollout waiting."""


class WayBacks:
    """The way backs of all routes, read again every few seconds, some at a time, and at once for a rollout of which nothing is known."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, WayBack] = {}
        self._known_at: dict[str, datetime] = {}
        self._read_at: dict[str, datetime] = {}
        self._loads: dict[str, dict[str, float]] = {}
        self._digest = ""
        self._manifest: Manifest | None = None

    @property
    def known(self) -> dict[str, WayBack]:
        """The way back of every route, as last read."""
        return self._known

    @property
    def owners(self) -> dict[str, str]:
        """Who owns each route, as last read."""
        return {} if self._manifest is None else {name: route.owner for name, route in self._manifest.routes.items()}

    def last(self, rollout: Rollout, now: datetime) -> WayBack | None:
        """The way back of an open rollout, as it was last read; None where nothing was, or too long ago."""
        found = self._known.get(rollout.route)
        if found is None or found.version != rollout.stable or not timedelta() <= now - self._known_at[rollout.route] < TOO_OLD:
            return None
        return found

    def of(self, rollout: Rollout, now: datetime) -> WayBack | None:
        """The same, read now; None where its route is in no pin file any more."""
        manifest = self._pin_file()
        if manifest is None or rollout.route not in manifest.routes:
            return None
        self._keep(rollout.route, way_back_of(self._store, manifest, rollout.route, now, rollout=rollout), now)
        return self.last(rollout, now)

    def _keep(self, route: str, found: WayBack, now: datetime) -> None:
        self._known[route], self._known_at[route] = found, now

    def step(self, now: datetime) -> None:
        """Read those again whose turn it is; who is no route any more is forgotten. Raises what could not be read."""
        manifest = self._pin_file()
        routes = [] if manifest is None else sorted(manifest.routes)
        for gone in self._known.keys() - set(routes):
            del self._known[gone]
        due = [name for name in routes if not self._fresh(name, now)]
        due = sorted(due, key=lambda name: self._read_at[name].timestamp() if name in self._read_at else 0.0)[:READ_AT_ONCE]
        if not due:
            return
        flags = self._store.state.flags()
        opened = {one.route: one for one in self._store.state.rollouts(open_only=True)}
        former = self._store.state.former_versions()
        for name in due:
            self._read_at[name] = now  # also of those that cannot be read: the others have their turn
        for name in due:
            self._loads[name] = load_of(self._store, name, now)
        for name in due:
            found = way_back_of(self._store, manifest, name, now, flags=flags, rollout=opened.get(name), loads=self._loads, former=former)
            self._keep(name, found, now)

    def _fresh(self, name: str, now: datetime) -> bool:
        return name in self._read_at and timedelta() <= now - self._read_at[name] < READ_EVERY

    def _pin_file(self) -> Manifest | None:
        applied = self._store.state.manifest_text()
        if applied is not None and applied.digest != self._digest:
            self._manifest, self._digest = pin_file.read(applied.text), applied.digest
        return self._manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What there is to say of ways back: each route's, the former versions that are kept, the alerts that are open."""

    way_backs: dict[str, WayBack]
    former: list[FormerVersion]
    alerts: list[Alert]
    costs: dict[str, str]
    ways_out: dict[str, str]
    trickles: dict[str, Copying] = field(default_factory=dict)

    def lines(self, now: datetime) -> list[str]:
        """For people."""
        said = told.lines(self.way_backs, self.former, self.alerts, now, costs=self.costs, ways_out=self.ways_out)
        return said + [f"{route}: {trickle.describe(one)}" for route, one in sorted(self.trickles.items())]

    def json(self) -> dict[str, Any]:
        """For machines: `way_backs`, `former_versions`, `alerts`, `trickles`."""
        found = told.json_of(self.way_backs, self.former, self.alerts)
        return found | {"trickles": {route: trickle.as_json(one) for route, one in sorted(self.trickles.items())}}


def warmth(store: Store, now: datetime) -> Warmth:
    """All that is known of ways back now, by the pin file in force."""
    applied = store.state.manifest_text()
    manifest = None if applied is None else pin_file.read(applied.text)
    found = {} if manifest is None else way_backs(store, now, manifest=manifest)
    prices = {} if manifest is None else manifest.prices
    costs = {
        route: warm.costing(price(one.version, prices), last_answered(store, route, one.version, now))
        for route, one in found.items()
        if one.version is not None
    }
    former, flags = store.state.former_versions(), store.state.flags()
    opened = {one.route: one for one in store.state.rollouts(open_only=True)}
    wanting = [] if manifest is None else [name for name, route in manifest.routes.items() if manifest.plans[route.plan].warm is not None]
    copied = {
        route: copying(store, manifest, route, now, flag=flags.get(route), rollout=opened.get(route), former=former)
        for route in wanting
        if manifest is not None
    }
    return Warmth(
        way_backs=found,
        former=former,
        alerts=store.state.alerts(),
        costs=costs,
        ways_out={one.route: way_out(one.id, one.phase) for one in opened.values() if not one.aa},
        trickles={route: one for route, one in copied.items() if one is not None},
    )
