"""What is known of a route's rehearsals, from the store: its way back, its drills, and what keeps new rollouts from opening."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from detent import manifest as pin_file
from detent.alerting import alert
from detent.controller.way_backs import wanted
from detent.errors import Conflict, DetentError
from detent.explain.drills import headline
from detent.freezing import frozen
from detent.rehearsal import LATE, Rehearsed, blocked
from detent.store import Store
from detent.terms import DrillReport, Manifest, Version

REMEMBERED = 50
"""How many of a route's latest drills are looked at."""

TRIES = 20
"""How often the end of a drill is tried again when somebody else took it a step on meanwhile."""


def rehearsed(store: Store, manifest: Manifest, route: str, now: datetime) -> Rehearsed | None:
    """What is known of this route's rehearsals; None for a route without a way back, outside a rollout."""
    version = wanted(store, manifest, route, store.state.flags().get(route), None)
    if version is None:
        return None
    drill = manifest.plans[manifest.routes[route].plan].drill
    ended = [one for one in store.state.drills(route, limit=REMEMBERED) if one.ended_at is not None and one.version == version]
    since, known_since = now, store.state.drills_since()
    if drill is not None and known_since is not None:  # what was before drills were known is nobody's neglect
        since = max(known_since, _since(store, route, version, now - timedelta(seconds=LATE * drill.every)) or now)
    return Rehearsed(route=route, version=version, since=since, ended=tuple(ended), waiver=store.state.drill_waiver(route))


def _since(store: Store, route: str, version: Version, long_ago: datetime) -> datetime | None:
    """Since when a version is the way back: since a rollout moved the route away from it, or pin files name it. How long before `long_ago`
    makes no difference to anybody. None for one that the file in force does not name.
    """
    for former in store.state.former_versions(route):
        if former.version == version:
            return former.since
    since = None
    for applied in store.state.applied_manifests():
        if _named(applied.text).get(route) != version:
            break
        since = applied.at
        if since <= long_ago:
            break
    return since


@lru_cache(maxsize=256)
def _named(text: str) -> dict[str, Version | None]:
    """The way backs that a pin file names; nothing of one that was written for another Detent."""
    try:
        return {name: route.way_back for name, route in pin_file.read(text).routes.items()}
    except DetentError:
        return {}


def no_drills(plan: str) -> str:
    """What is said of a route with a way back whose plan schedules no drills."""
    return f"no drills are scheduled: plan `{plan}` has no `drill = {{ ... }}`"


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why no new rollout of a route opens: `DrillOverdue` or `DrillFailed`, in a sentence, and what to do about it."""

    code: str
    sentence: str
    hint: str


def blocking(store: Store, manifest: Manifest, route: str, now: datetime) -> Blocked | None:
    """Why no new rollout of this route opens; None where one may. See `rehearsal.blocked`."""
    known = rehearsed(store, manifest, route, now)
    if known is None:
        return None
    plan = manifest.plans[manifest.routes[route].plan]
    found = blocked(plan.drill, known, now)
    if found is None:
        return None
    until = frozen(plan, now)
    run = f"run one: `detent drill {route}`" + (f", once nothing is in its way: {until}" if until else "")
    return Blocked(*found, hint=f'{run}; or do without it in your name: detent drill {route} --waive --why "..."')


def end_drill(store: Store, route: str, *, by: str, why: str, now: datetime) -> DrillReport | None:
    """End a drill that is under way on a route, as aborted, its traffic returned in the same write; None where none is.

    Raises Conflict when it kept changing.
    """
    for _ in range(TRIES):
        under_way = store.state.drills(route, under_way=True, limit=1)
        if not under_way:
            return None
        try:
            ended = store.state.close_drill(under_way[0], under_way[0], "aborted", why, by=by, at=now)
        except Conflict:
            continue
        if ended.alert:
            store.state.end_alert("DrillPage", ended.id, now)
        store.state.raise_alert(alert("DrillReport", route, ended.owner, headline(ended), now, key=ended.id))
        return ended
    raise Conflict(f"the drill of route `{route}` kept moving", hint="run the command again")
