"""A drill taken one step on, by whoever is there: its row says how far it came."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from detent import manifest as pin_file
from detent import warm
from detent.alerting import alert
from detent.drill import Seen, ending, noted, returns, silent, unpressed
from detent.errors import Conflict
from detent.explain import silent_s
from detent.explain.drills import headline
from detent.store import Store
from detent.terms import Alert, DrillReport, Manifest, show_duration

REST = 4.0
"""So many times as long as a look took the next one waits: on a busy route it reads many records, and others want the processor."""

OVER_S = 2.0
"""How much longer than it lasts a drill may take by the looker's own count of seconds, whatever the clocks say."""


def drive(store: Store, drill_id: str, now: datetime, *, over: bool = False) -> DrillReport:
    """Take a drill one step on, as far as can be known now; the report as stored. `over`: its time is over by the caller's own count.

    Any number of processes may do so at once: who comes second sees what the first one wrote.
    """
    report = store.state.drill(drill_id)
    if report.ended_at is not None:
        return report
    try:
        return _driven(store, report, now, over=over)
    except Conflict:
        return store.state.drill(drill_id)


def _driven(store: Store, report: DrillReport, now: datetime, *, over: bool) -> DrillReport:
    seen = _seen(store, report, now)
    after = noted(report, seen)
    if not report.revision:
        if not _page(store, report):  # who began it was killed before the page was there
            store.state.raise_alert(page_of(report))
        if over or (report.ends_at is not None and now >= report.ends_at):
            return _told(store, store.state.close_drill(report, after, "failed", unpressed(after), by="detent", at=now), now)
        return store.state.put_drill(report, after)
    if not report.returned:
        if not seen.in_force:
            return _told(store, store.state.close_drill(report, after, "aborted", "its flag was written over", by="detent", at=now), now)
        why = returns(after, seen, now)
        if why is None and not over:
            return _kept(store, report, after)
        after = replace(after, why=why or "", silent=silent(after, seen, now))
        return store.state.return_drill(report, after, at=now)
    ended = ending(after, seen, now)
    if ended is None:
        return _kept(store, report, after)
    return _told(store, store.state.close_drill(report, after, *ended, by="detent", at=now), now)


def _kept(store: Store, report: DrillReport, after: DrillReport) -> DrillReport:
    """What was seen is stored where a step was done: counts alone are no reason to make gateways and controllers wait for a writer."""
    return store.state.put_drill(report, after) if after.steps != report.steps else after


def _seen(store: Store, report: DrillReport, now: datetime) -> Seen:
    if not report.revision:
        return Seen(page=acknowledged(store, report))
    live = tuple(one.gateway for one in store.state.gateways() if silent_s(one, now) is None)
    flag = store.state.flags().get(report.route)
    moved = {ack.gateway: ack.applied_at for ack in store.state.acks(report.revision)}
    back = {ack.gateway: ack.applied_at for ack in store.state.acks(report.returned)} if report.returned else {}
    return Seen(
        live=live,
        moved={name: at for name, at in moved.items() if name not in back or at < back[name]},  # else it heard of the return alone
        back=back,
        answers=store.journal.drill_answers(report, now),
        broken="" if report.returned else _broken(store, report, now),
        in_force=flag is not None and flag.drill is not None and flag.drill.drill == report.id,
    )


def _broken(store: Store, report: DrillReport, now: datetime) -> str:
    """What its probes say against the way back; its traffic speaks for itself."""
    probes = store.state.probes(report.route, report.version, since=now - warm.LIMITS_KNOWN_FOR)
    return warm.way_back(report.route, report.version, probes, now).broken


def page_of(report: DrillReport) -> Alert:
    """The page of a drill that waits for somebody to press, and how that is done; always the same one."""
    moves = f"{100 * report.share:g} % of units go to {report.version} for {show_duration(report.lasts_s)}"
    said = f"drill on route {report.route}: {report.by} rehearses a page; press, and {moves}"
    page = alert("DrillPage", report.id, report.owner, said, report.began_at, key=report.id)
    return replace(page, hint=f"detent ack {page.id}; then {press_hint(report.route, report.id)}")


def press_hint(route: str, drill_id: str) -> str:
    """The command that presses."""
    return f"detent drill {route} --press {drill_id}"


def acknowledged(store: Store, report: DrillReport) -> tuple[datetime, str] | None:
    """When the page of a drill was acknowledged, and by whom; None while nobody has."""
    for one in _page(store, report):
        if one.acknowledged_at is not None:
            return one.acknowledged_at, one.acknowledged_by
    return None


def _page(store: Store, report: DrillReport) -> list[Alert]:
    return [one for one in store.state.alerts(open_only=False) if one.id == report.alert]


def _told(store: Store, report: DrillReport, now: datetime) -> DrillReport:
    """The owner is sent the report; told of a failure for as long as it blocks."""
    if report.alert:
        store.state.end_alert("DrillPage", report.id, now)
    store.state.raise_alert(alert("DrillReport", report.route, report.owner, headline(report), now, key=report.id))
    if report.verdict == "failed":  # open already where the one before failed as well, and then not sent: the report is
        store.state.raise_alert(alert("DrillFailed", report.route, report.owner, headline(report), now, key=report.id))
    if report.verdict == "passed":
        for kind in ("DrillFailed", "DrillOverdue"):
            store.state.end_alert(kind, report.route, now)
    return report


def end_over(store: Store, route: str | None, now: datetime) -> None:
    """Take drills on whose time is over and whose driller is gone: their traffic is returned, whoever comes by."""
    for report in store.state.drills(route, under_way=True):
        if report.ends_at is not None and now >= report.ends_at:
            drive(store, drive(store, report.id, now).id, now)


def manifest_in_force(store: Store) -> Manifest | None:
    """The pin file that was applied last; None before one was."""
    applied = store.state.manifest_text()
    return None if applied is None else pin_file.read(applied.text)
