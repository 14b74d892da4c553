"""How a drill begins: by command or on schedule, at once or by somebody who presses; and how somebody does without one."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from detent import warm
from detent.controller import way_back_of
from detent.drill import PRESS_WITHIN_S, Seen, noted, with_step
from detent.driller.driving import acknowledged, end_over, manifest_in_force, page_of, press_hint
from detent.errors import CouldNotRun, InvalidInput, Refused
from detent.explain import silent_s
from detent.freezing import frozen
from detent.store import Store
from detent.terms import Drill, DrillReport, DrillShare, Manifest, Plan, Version, Waiver


def new_id() -> str:
    """A drill's id, which sorts by time: `dr_`, eight characters of seconds and six random ones."""
    return f"dr_{int(time.time()):08x}{secrets.token_hex(3)}"


def new_salt() -> str:
    """A fresh secret salt."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: None stands for what the plan says. `proven`: only over a way back that is known to work."""

    share: float | None = None
    lasts_s: float | None = None
    page: bool = False
    proven: bool = False


def begin(
    store: Store,
    route: str,
    *,
    by: str,
    why: str,
    now: datetime,
    drill_id: str,
    salt: str,
    order: Order = Order(),
) -> DrillReport:
    """Begin a drill: move traffic in one write, or page the owner first.

    Raises InvalidInput for a route that is none, Refused where a drill may not begin now, with what to do, CouldNotRun without a gateway.
    """
    manifest = manifest_in_force(store)
    if manifest is None or route not in manifest.routes:
        known = ", ".join(f"`{name}`" for name in sorted(manifest.routes)) if manifest is not None else "none"
        raise InvalidInput(f"no such route in force: `{route}`", hint=f"known routes: {known}")
    end_over(store, route, now)
    plan = manifest.plans[manifest.routes[route].plan]
    version = _may_begin(store, manifest, route, plan, now, proven=order.proven)
    usual = plan.drill or Drill()
    share = usual.share if order.share is None else order.share
    lasts_s = usual.lasts if order.lasts_s is None else order.lasts_s
    owner = manifest.routes[route].owner
    report = DrillReport(id=drill_id, route=route, version=version, share=share, by=by, began_at=now, owner=owner, lasts_s=lasts_s)
    if not order.page:
        report = replace(with_step(report, "decided", now), ends_at=now + timedelta(seconds=lasts_s))
        return store.state.begin_drill(report, _share(report, salt), by=by, at=now, why=why)
    page = page_of(report)
    report = replace(with_step(report, "alert", now, f"{owner}: {page.id}"), alert=page.id)
    report = store.state.begin_drill(
        replace(report, ends_at=now + timedelta(seconds=PRESS_WITHIN_S)), None, by=by, at=now, why=why
    )  # the row first: a page that nobody can press is worse than none
    store.state.raise_alert(page)
    return report


def press(store: Store, route: str, drill_id: str, *, by: str, now: datetime, salt: str) -> DrillReport:
    """Somebody presses: the traffic of a paged drill moves. Raises Refused where that may not be now, or not any more."""
    report = store.state.drill(drill_id)
    manifest = manifest_in_force(store)
    if report.route != route:
        raise InvalidInput(f"drill `{drill_id}` is of another route: `{report.route}`", hint=press_hint(report.route, drill_id))
    if report.ended_at is not None or report.revision or manifest is None or route not in manifest.routes:
        said = "has ended" if report.ended_at is not None else "moves its traffic already"
        raise Refused(f"drill `{drill_id}` {said}", hint=f"see it with `detent drill --show {route}`")
    _may_begin(store, manifest, route, manifest.plans[manifest.routes[route].plan], now, pressed=True)
    with suppress(InvalidInput):  # the page was taken out of the store: who presses has seen it
        store.state.acknowledge_alert(report.alert, by, now)
    after = noted(report, Seen(page=acknowledged(store, report)))
    after = with_step(with_step(after, "pressed", now, f"by {by}"), "decided", now)
    after = replace(after, ends_at=now + timedelta(seconds=report.lasts_s))
    moved = store.state.move_drill(report, after, _share(report, salt), by=by, at=now)
    store.state.end_alert("DrillPage", report.id, now)
    return moved


def _share(report: DrillReport, salt: str) -> DrillShare:
    return DrillShare(drill=report.id, version=report.version, share=report.share, salt=salt, lasts_s=report.lasts_s)


def _may_begin(
    store: Store, manifest: Manifest, route: str, plan: Plan, now: datetime, *, pressed: bool = False, proven: bool = False
) -> Version:
    """The version to drill. Raises Refused, and says what to do, where no drill may begin now."""
    opened = store.state.rollouts(route, open_only=True)
    if opened:
        hint = f"drill after its end; `detent explain {opened[0].id}` tells where it stands"
        raise Refused(f"route `{route}` has an open rollout, whose way back is its stable version: `{opened[0].id}`", hint=hint)
    if (until := frozen(plan, now)) is not None:
        raise Refused(f"no drill begins on route `{route}`: {until}", hint="drill after that; a rollback works in a freeze as ever")
    under_way = store.state.drills(route, under_way=True, limit=1)
    if under_way and not pressed:
        hint = f"see it with `detent drill --show {route}`, or end it with `detent rollback {route}`"
        raise Refused(f"a drill is under way on route `{route}`: `{under_way[0].id}`", hint=hint)
    found = way_back_of(store, manifest, route, now)
    if found.version is None:
        hint = f'name it in the pin file, [routes.{route}] rollback = "...", and run `detent apply`'
        raise Refused(f"route `{route}` has no way back to drill", hint=hint)
    if found.version.provider not in manifest.providers:
        hint = f"write [providers.{found.version.provider}] again, or name another way back as `rollback`"
        raise Refused(f"the way back of route `{route}` is at a provider that the pin file has no more: `{found.version}`", hint=hint)
    if found.broken:
        hint = "mend it, or name another version as `rollback`; nobody is sent there to see it fail"
        raise Refused(f"the way back of route `{route}` to {found.version} is broken: {found.broken}", hint=hint)
    probes = store.state.probes(route, found.version, since=now - warm.LIMITS_KNOWN_FOR)
    if probes and not probes[0].ok:
        hint = "mend it, or wait for a probe that is answered: one is sent each minute; see `detent status`"
        raise Refused(f"the last probe of the way back of route `{route}` to {found.version} failed: {probes[0].detail}", hint=hint)
    if proven and not found.proven:
        raise Refused(
            f"nobody can tell whether the way back of route `{route}` to {found.version} works: {found.unknown}",
            hint=f"see it with `detent status`; `detent drill {route}` begins one all the same",
        )
    if not [one for one in store.state.gateways() if silent_s(one, now) is None]:
        raise CouldNotRun("no live gateway: there is no traffic to move", hint="start one with `detent serve`")
    return found.version


def waive(store: Store, route: str, *, by: str, why: str, now: datetime) -> Waiver:
    """Do without a drill, by name and with a reason, for as long as the plan lets one be away.

    Raises InvalidInput without a reason.
    """
    manifest = manifest_in_force(store)
    if manifest is None or route not in manifest.routes:
        raise InvalidInput(f"no such route in force: `{route}`", hint="see the routes with `detent status`")
    if not why.strip():
        raise InvalidInput("--waive needs a reason", hint='say it with --why "..."; it is kept in the audit log')
    every = (manifest.plans[manifest.routes[route].plan].drill or Drill()).every
    waiver = Waiver(route=route, at=now, by=by, why=why.strip(), until_at=now + timedelta(seconds=every))
    store.state.waive_drill(waiver)
    for kind in ("DrillFailed", "DrillOverdue"):
        store.state.end_alert(kind, route, now)
    return waiver
