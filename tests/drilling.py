"""One route with a way back, one gateway that obeys it, and answers on the record: for tests of drills with a clock that is an argument."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from controlling import PIN, PLAN, PROVIDER
from detent.controller import apply
from detent.driller import Order, begin, drive
from detent.store import Store
from detent.terms import DrillReport, Outcome, Probe, Version, micros
from records import T0, intent, result

BACK = Version("openai", "atlas-2025-12-01")
DRILL = 'drill = { every = "30d", lasts = "60s", share = 0.1 }\n'


def pinned(*, rollback: str | None = BACK.model, next: str | None = None, plan: str = DRILL, version: str = PIN) -> str:
    """A pin file of one route, with or without a way back; `plan` stands at the top of its plan."""
    lines = [f'next = "{next}"' if next else "", f'rollback = "{rollback}"' if rollback else ""]
    route = f'[routes.chat]\nprovider = "openai"\nversion = "{version}"\nowner = "chat@example.com"\nplan = "short"\n'
    return PROVIDER + PLAN.replace("[plans.short]\n", f"[plans.short]\n{plan}") + route + "\n".join(lines) + "\n"


@dataclass
class Drilled:
    """A store with the route, its clock, and what a gateway does."""

    store: Store
    now: datetime = T0
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def apply(self, text: str, **more: Any) -> None:
        apply(
            self.store,
            text,
            file="detent.toml",
            by="ada",
            now=self.now,
            new_id=lambda: f"ro_{next(self.ids)}",
            new_salt=lambda: "a secret salt",
            **more,
        )

    def later(self, seconds: float = 0.0, *, days: float = 0.0) -> None:
        self.now += timedelta(seconds=seconds, days=days)

    def heard(self, *gateways: str) -> None:
        """These gateways serve the store's revision now, and say so."""
        for name in gateways or ("gw",):
            self.store.state.acknowledge(name, self.store.state.revision(), self.now, pid=1, address="127.0.0.1:1")

    def probed(self, *, ok: bool = True, detail: str = "") -> None:
        """The way back was asked for a sign of life just now."""
        self.store.state.add_probes([Probe(route="chat", version=BACK, at=self.now, ok=ok, latency_s=0.1, detail=detail)])

    def begin(self, **order: Any) -> DrillReport:
        return begin(self.store, "chat", by="ada", why="", now=self.now, drill_id=f"dr_{next(self.ids)}", salt="s", order=Order(**order))

    def drive(self, drill_id: str, **more: Any) -> DrillReport:
        return drive(self.store, drill_id, self.now, **more)

    def answers(self, n: int, outcome: Outcome = Outcome.COMPLETE, *, back: bool = True, **more: Any) -> None:
        """So many answers by now: of the way back, or of the pinned version."""
        numbers = [next(self.ids) for _ in range(n)]
        at_s = (micros(self.now) - micros(T0)) / 1_000_000
        of = {"why": "drill", "model": BACK.model} if back else {"why": "static"}
        known = {"route": "chat", "rollout": None, "period": 0, "randomised": False, "revision": self.store.state.revision(), **of}
        intents = [intent(f"d{i}", f"unit-{i}", at_s, **known) for i in numbers]
        self.store.journal.put(intents, [result(f"d{i}", at_s + 0.2, outcome, latency_s=0.2, **more) for i in numbers])

    def open(self, n: int) -> None:
        """So many requests that the way back has not begun to answer."""
        at_s = (micros(self.now) - micros(T0)) / 1_000_000
        more = {"route": "chat", "rollout": None, "period": 0, "randomised": False, "revision": self.store.state.revision()}
        numbers = [next(self.ids) for _ in range(n)]
        self.store.journal.put([intent(f"o{i}", f"unit-{i}", at_s, **more, why="drill", model=BACK.model) for i in numbers], [])

    def passed(self) -> DrillReport:
        """A whole drill that goes well."""
        self.heard()
        report = self.begin(lasts_s=60.0)
        self.heard()
        self.answers(30)
        self.later(61)
        self.heard()
        report = self.drive(report.id)
        self.heard()
        self.later(2)
        self.heard()
        return self.drive(report.id)


@contextmanager
def drilled(store: Store) -> Iterator[Drilled]:
    """The route is applied, with a gateway that serves it."""
    world = Drilled(store)
    world.apply(pinned())
    world.heard()
    yield world
