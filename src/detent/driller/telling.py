"""What `status` and `drill --show` tell of drills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from detent.controller.rehearsing import blocking, no_drills
from detent.controller.way_backs import wanted
from detent.driller.driving import end_over, manifest_in_force
from detent.errors import CouldNotRun, DetentError
from detent.explain.drills import as_row, headline
from detent.store import Store
from detent.terms import DrillReport


def told(store: Store, now: datetime) -> Iterator[str]:
    """A line for each route whose way back is being drilled or was drilled last, and for each that a drill keeps from opening a rollout.

    Ends what its driller left behind.
    """
    with suppress(CouldNotRun):  # a store that can only be read
        end_over(store, None, now)
    yield from (headline(report) for report in newest(store))
    yield from blocked(store, now)
    yield from unscheduled(store)


def unscheduled(store: Store) -> Iterator[str]:
    """A line for each route whose way back nobody rehearses unless by hand."""
    with suppress(DetentError):
        manifest = manifest_in_force(store)
        flags = store.state.flags()
        for name, route in manifest.routes.items() if manifest is not None else ():
            if manifest is not None and manifest.plans[route.plan].drill is None:
                version = wanted(store, manifest, name, flags.get(name), None)
                if version is not None:
                    yield f"{name}: {no_drills(route.plan)}"


def blocked(store: Store, now: datetime, route: str | None = None) -> Iterator[str]:
    """A line for each route, or for this one, on which no new rollout opens over its drill."""
    with suppress(DetentError):  # a pin file of another Detent: its own commands say so
        manifest = manifest_in_force(store)
        for name in manifest.routes if manifest is not None else ():
            if manifest is not None and route in (None, name) and (found := blocking(store, manifest, name, now)) is not None:
                yield f"{name}: {found.code}: {found.sentence}; no new rollout opens"


def newest(store: Store) -> list[DrillReport]:
    """The newest drill of each route, by route."""
    found: dict[str, DrillReport] = {}
    for report in store.state.drills():
        found.setdefault(report.route, report)
    return [found[route] for route in sorted(found)]


def rows(store: Store) -> list[dict[str, Any]]:
    """The newest drill of each route, for JSON."""
    return [as_row(report) for report in newest(store)]
