"""Drills beside a server: those under way are taken on, those that are due begin, those that are overdue are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from detent.alerting import alert
from detent.controller.rehearsing import blocking, rehearsed
from detent.driller.beginning import Order, begin, new_id, new_salt
from detent.driller.driving import OVER_S, REST, drive, manifest_in_force
from detent.errors import CouldNotRun, Refused
from detent.rehearsal import due
from detent.store import Store
from detent.terms import DrillReport, Manifest, show_duration

SCHEDULE_S = 30.0
"""How often a server looks whether a drill is due, or overdue: no moment of `at` is missed by that."""


class Driller:
    """Takes drills under way on, begins those that are due, tells of those that are overdue. Any number of servers may do so at once."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        *,
        new_id: Callable[[], str] = new_id,
        new_salt: Callable[[], str] = new_salt,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id, self._new_salt = new_id, new_salt
        self._elapsed = elapsed
        self._looked_at = clock()
        self._next_look = elapsed()
        self._since: dict[tuple[str, int], float] = {}
        self._rests: dict[str, float] = {}

    def step(self) -> None:
        """One look. Raises what kept a drill from being looked at, after the others were."""
        failed: list[Exception] = []
        for report in self._store.state.drills(under_way=True):
            try:
                self._drive(report)
            except Exception as error:  # noqa: BLE001 raised again below: one that is broken must not keep another's traffic away
                failed.append(error)
        if self._elapsed() >= self._next_look:
            self._next_look = self._elapsed() + SCHEDULE_S
            now = self._clock()
            try:
                self._schedule(now, failed)
            finally:
                self._looked_at = now
        if failed:
            raise failed[0]

    def _drive(self, report: DrillReport) -> None:
        looking = self._elapsed()
        if looking < self._rests.get(report.id, looking):
            return
        began = self._since.setdefault((report.id, report.revision), looking)
        over = not report.returned and report.revision > 0 and self._elapsed() - began > report.lasts_s + OVER_S
        if drive(self._store, report.id, self._clock(), over=over).ended_at is not None:
            self._since = {key: at for key, at in self._since.items() if key[0] != report.id}
            self._rests.pop(report.id, None)
        else:
            self._rests[report.id] = self._elapsed() + REST * (self._elapsed() - looking)

    def _schedule(self, now: datetime, failed: list[Exception]) -> None:
        """Look at every route; what kept one from being looked at is added to `failed`."""
        self._store.state.know_drills(now)
        manifest = manifest_in_force(self._store)
        if manifest is None:
            return
        opened = {(one.kind, one.about) for one in self._store.state.alerts()}
        under_way = {one.id for one in self._store.state.drills(under_way=True)}
        for kind, about in opened:
            if kind == "DrillPage" and about not in under_way:  # ended by a rollout that opened, or a rollback
                self._store.state.end_alert(kind, about, now)
        for route, flag in self._store.state.flags().items():
            if flag.drill is not None and flag.drill.drill not in under_way:  # written again by somebody who had read it before its end
                self._store.state.drop_drill(route, flag.drill.drill, at=now)
        for route in manifest.routes:
            try:
                self._route(manifest, route, now, told=("DrillOverdue", route) in opened)
            except Exception as error:  # noqa: BLE001 raised by `step`: one route that is broken must not keep others from being drilled
                failed.append(error)

    def _route(self, manifest: Manifest, route: str, now: datetime, *, told: bool) -> None:
        known = rehearsed(self._store, manifest, route, now)
        if known is None or self._store.state.rollouts(route, open_only=True):
            return
        self._tell_overdue(manifest, route, now, told=told)
        drill = manifest.plans[manifest.routes[route].plan].drill
        if drill is not None and due(drill, known, self._looked_at, now):
            with suppress(Refused, CouldNotRun):  # what is in the way is told where it stands; tried again at the next moment of `at`
                why = f"on schedule, every {show_duration(drill.every)}"
                how = {"drill_id": self._new_id(), "salt": self._new_salt()}
                begin(self._store, route, by="detent", why=why, now=now, order=Order(proven=True), **how)

    def _tell_overdue(self, manifest: Manifest, route: str, now: datetime, *, told: bool) -> None:
        found = blocking(self._store, manifest, route, now)
        overdue = found is not None and found.code == "DrillOverdue"
        if found is not None and overdue and not told:
            owner = manifest.routes[route].owner
            self._store.state.raise_alert(alert("DrillOverdue", route, owner, f"{route}: {found.sentence}", now, key=now.isoformat()))
        elif told and not overdue:
            self._store.state.end_alert("DrillOverdue", route, now)
