"""A pin file, a store on disk and a clock, for tests of what moves rollouts: `World` applies, lets time pass and counts in sealed units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from detent.controller import Controller, apply
from detent.proposals import Proposal
from detent.store import Store
from detent.store.database import upsert
from detent.store.schema import exposure_counts, label_counts
from detent.terms import DIMENSIONS, Arm, Baseline, Case, Endpoint, Pair, Phase, Rollout, Run, micros
from records import T0

PIN, NEXT, OTHER = "atlas-2026-03-01", "atlas-2026-06-01", "atlas-2026-09-01"

PROVIDER = """\
[providers.openai]
dialect  = "openai"
base_url = "http://127.0.0.1:9/v1"
watcher  = "llm@example.com"
"""
PLAN = """\
[plans.short]
unsafe_short_windows = true
approve  = []
baseline = { screen = 1, confirm = 4, stable_repeats = 2, fdr = 0.1, cases = 5, at_least = 1, margin = 1.0 }
shadow   = { share = 0.5, at_least = "1h", at_most = "2h", pairs = 2, coverage = 0, budget_usd_per_day = inf }
canary   = { steps = [{ share = 0.1, at_least = "1h" }, { share = 0.5, at_least = "1h" }], at_most = "9h" }
soak     = { at_least = "1h", holdback = 0.05 }

[[plans.short.guards]]
metric       = "error"
margin_ratio = 1.5
role         = "prove"

[[plans.short.guards]]
metric       = "tool_retry"
margin_ratio = 1.5
role         = "harm"
"""


def pin_file(**routes: str | None) -> str:
    """A pin file whose routes are on PIN; `chat=NEXT` proposes a version for `chat`, `chat=None` proposes none."""
    return PROVIDER + PLAN + "".join(route(name, next) for name, next in routes.items())


def route(name: str, next: str | None = None, *, version: str = PIN, plan: str = "short") -> str:
    proposed = f'next = "{next}"\n' if next else ""
    return f'[routes.{name}]\nprovider = "openai"\nversion = "{version}"\n{proposed}owner = "{name}@example.com"\nplan = "{plan}"\n'


@dataclass
class World:
    """One store and its clock."""

    store: Store
    now: datetime = T0
    ids: count[int] = field(default_factory=lambda: count(1))

    def clock(self) -> datetime:
        return self.now

    def elapsed(self) -> float:
        """Seconds by a count of the controller's own, which here goes with the clock."""
        return self.now.timestamp()

    def later(self, hours: float) -> None:
        """Time passes, and a controller looks after the rollouts all the while."""
        self.now += timedelta(hours=hours)
        self.store.state.look_after([r.id for r in self.store.state.rollouts(open_only=True)], self.now, math.inf)

    def apply(self, text: str, *, supersede: bool = False, **more: Any) -> tuple[Proposal, ...]:
        return apply(
            self.store,
            text,
            file="detent.toml",
            by="ada",
            now=self.now,
            new_id=lambda: f"ro_{next(self.ids)}",
            new_salt=lambda: "a secret salt",
            supersede=supersede,
            **more,
        )

    def rollout(self, rollout_id: str = "ro_1") -> Rollout:
        return self.store.state.rollout(rollout_id)

    # findings, as their workers would write them

    def freeze(self, route: str = "chat", cases: Sequence[str] = ("ca_1",)) -> None:
        """A frozen baseline."""
        frozen = tuple(
            Case(id=name, route=route, endpoint=Endpoint.OPENAI_CHAT, request=b'{"messages":[]}', known_good="ok", frozen_at=self.now)
            for name in cases
        )
        self.store.state.put_baseline(Baseline(route=route, digest="d", frozen_at=self.now, owner="o", cases=frozen))

    def runs(self, rollout_id: str = "ro_1", cases: Sequence[str] = ("ca_1",), *, candidate: bool = True) -> None:
        """A whole screen and, where the candidate fails, the fresh runs after it."""

        def made(stage: str, arm: Arm, n: int, passed: bool) -> list[Run]:
            return [
                Run(rollout=rollout_id, case=c, arm=arm, stage=stage, repeat=i, passed=passed, content=1.0, changes=(), output="out")  # type: ignore[arg-type]
                for c in cases
                for i in range(n)
            ]

        found = made("screen", Arm.STABLE, 2, True) + made("screen", Arm.CANDIDATE, 1, candidate)
        if not candidate:
            found += made("confirm", Arm.STABLE, 4, True) + made("confirm", Arm.CANDIDATE, 4, False)
        self.store.state.add_runs(found)

    def pairs(self, n: int = 5, rollout_id: str = "ro_1") -> None:
        """Shadow pairs in which all sides pass, each of a conversation of its own, all of one input class."""
        dimensions = dict.fromkeys(DIMENSIONS, "usual")
        found = [
            Pair(
                rollout=rollout_id,
                exchange=f"ex_{i}",
                at_us=micros(self.now),
                scored=("answered", "refused"),
                second_failed=(),
                second_differs=(),
                conversation=f"co_{i}",
                dimensions=dimensions,
            )
            for i in range(n)
        ]
        self.store.state.add_pairs(found)
        self.store.state.fold_pairs(self.rollout(rollout_id), ("answered",))

    def sealed(self, metric: str, candidate: tuple[int, int], stable: tuple[int, int], *, period: int | None = None) -> None:
        """(events, units) on either arm of `ro_1`, exposed and sealed in a share period; by default the one in force."""
        rollout_id = "ro_1"
        period = self.rollout(rollout_id).period if period is None else period
        for arm, (events, units) in ((Arm.CANDIDATE, candidate), (Arm.STABLE, stable)):
            where = {"rollout": rollout_id, "period": period, "arm": arm.value}
            labels = [
                {**where, "guard": metric, "slice": "", "bucket": bucket, "n": n} for bucket, n in ((1, events), (0, units - events)) if n
            ]
            seen = {**where, "units": units, "saw_candidate": units if arm is Arm.CANDIDATE else 0}
            with self.store.state._db.write() as c:
                upsert(c, label_counts, labels, add=("n",))
                upsert(c, exposure_counts, [seen])


def in_the_canary(world: World) -> Controller:
    """A controller, and a rollout that it has just brought into its canary."""
    controller = Controller(world.store, world.clock, elapsed=world.elapsed)
    world.apply(pin_file(chat=NEXT))
    world.freeze()
    world.runs()
    for _ in range(3):
        controller.run_once()
    world.pairs()
    world.later(1)
    controller.run_once()
    assert world.rollout().phase is Phase.CANARY
    return controller
