"""How long a look at a rollout takes: its evidence loaded from a real store and decided, with 5,000,000 requests behind it.

    python bench/guards.py [--requests 5000000] [--store URL] [--looks 40]

Sessions of five requests; the standard plan with its default guards and a control slice, in its soak: four share periods, values spread
over all their buckets, every unit on record. The tables are written directly, not through an ingester: that takes an hour. Ends with 1
where the median look takes longer than 50 ms.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Table, delete, insert

sys.path.insert(0, str(Path(__file__).parent))

import default_plan
from detent import evidence as ev
from detent.controller.loading import load_evidence
from detent.decide import decide
from detent.manifest.defaults import BUILTIN_PLANS
from detent.store import Store, open_store
from detent.store.schema import exposed, exposure_counts, label_counts, share_periods, units
from detent.terms import Arm, Evidence, Phase, Rollout, Version, Working, micros

MOST_MS = 50.0
START = datetime(2026, 1, 5, tzinfo=UTC)
SPLITS = (0.05, 0.25, 0.50, 0.95)
SHARES = (0.1, 0.2, 0.2, 0.5)
"""Of all units, by share period."""
ID = "ro_bench"


def rollout() -> Rollout:
    """A rollout of the standard plan in its soak, everything known of what is usual."""
    plan = BUILTIN_PLANS["standard"]
    plan = replace(plan, canary=replace(plan.canary, control=True))
    working = {g.metric: default_plan.working(g.metric) for g in plan.guards if g.role != "observe"}
    return Rollout(
        id=ID,
        route="desk",
        owner="ops@example.com",
        stable=Version(provider="sim", model="a"),
        candidate=Version(provider="sim", model="b"),
        plan=plan,
        salt="s",
        opened_at=START,
        entered_at=START + timedelta(days=6),
        phase=Phase.SOAK,
        canary_at=START + timedelta(days=2),
        split=SPLITS[-1],
        period=len(SPLITS),
        working=working | {"session_steps": Working(centre=1.0, deviation=0.5)},
    )


def chances(metric: str, of: Rollout) -> dict[int, float]:
    """How likely a unit's bucket is: an event or none, or every bucket of a value."""
    if metric in default_plan.VALUES or of.metric(metric).kind == "value":
        spread = default_plan.VALUES.get(metric, default_plan.VALUES["latency"])
        return {int(b): float(spread[b]) for b in np.flatnonzero(spread)}
    rate = default_plan.BASE_RATES.get(metric, 0.01)
    return {0: 1.0 - rate, 1: rate}


def counts(rng: np.random.Generator, of: Rollout, n: int) -> Iterator[dict[str, Any]]:
    """Label counts of n units."""
    for period, (split, share) in enumerate(zip(SPLITS, SHARES, strict=True), start=1):
        control = ev.control_share(split)
        for arm, slice_, of_all in ((Arm.CANDIDATE, "", split), (Arm.STABLE, "", 1.0 - split), (Arm.STABLE, ev.CONTROL, control)):
            for guard in of.plan.guards:
                chance = chances(guard.metric, of)
                for bucket, units_ in zip(chance, rng.poisson(n * share * of_all * np.array(list(chance.values()))), strict=True):
                    if units_:
                        key = {"rollout": ID, "guard": guard.metric, "period": period, "slice": slice_, "arm": arm.value}
                        yield {**key, "bucket": bucket, "n": int(units_)}


def exposures(n: int) -> list[dict[str, Any]]:
    """Units by share period and arm, to the split."""
    rows = []
    for period, (split, share) in enumerate(zip(SPLITS, SHARES, strict=True), start=1):
        for arm, of_all in ((Arm.CANDIDATE, split), (Arm.STABLE, 1.0 - split)):
            rows.append({"rollout": ID, "period": period, "arm": arm.value, "units": round(n * share * of_all), "saw_candidate": 0})
    return rows


def put(store: Store, table: Table, rows: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> None:
    """Rows into one of the store's tables, 10,000 at a time."""
    left = iter(rows)
    while batch := list(islice(left, 10_000)):
        with store.state._db.write() as c:
            c.execute(insert(table), batch)


def fill(store: Store, requests: int) -> Rollout:
    """The rollout with everything behind it."""
    of, n = rollout(), requests // 5
    store.state.open_rollout(of, by="bench", at=START)
    with store.state._db.write() as c:
        c.execute(delete(share_periods))
    put(
        store,
        share_periods,
        [{"rollout": ID, "period": k, "split": split, "from_us": micros(START)} for k, split in enumerate(SPLITS, start=1)],
    )
    put(store, exposure_counts, exposures(n))
    put(store, label_counts, counts(np.random.default_rng(1), of, n))
    at_us = micros(START)
    seen = ({"rollout": ID, "unit": f"{k * 2654435761 % 2**64:032x}", "period": 1 + k * len(SPLITS) // n} for k in range(n))
    put(
        store,
        exposed,
        ({**row, "kind": "session", "arm": "stable", "first_us": at_us + k, "saw_candidate": False} for k, row in enumerate(seen)),
    )
    seen = ({"rollout": ID, "unit": f"{k * 2654435761 % 2**64:032x}", "guard": "error"} for k in range(n))
    put(store, units, ({**row, "due_us": at_us + k, "said": 1, "events": 0, "total": 0.0, "bucket": 0} for k, row in enumerate(seen)))
    return of


def look(store: Store, of: Rollout) -> tuple[float, float, float, Evidence]:
    """Milliseconds to load the evidence and to decide, those of the processor in both, and the evidence."""
    began, worked = time.perf_counter(), time.process_time()
    evidence = load_evidence(store, of, layers=(None, None))
    loaded = time.perf_counter()
    decide(of, evidence, START + timedelta(days=7))
    return 1e3 * (loaded - began), 1e3 * (time.perf_counter() - loaded), 1e3 * (time.process_time() - worked), evidence


def main() -> int:
    """Fill a store, look at its rollout, print what that takes; 1 if it takes too long."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=5_000_000)
    parser.add_argument("--looks", type=int, default=40)
    parser.add_argument("--store", help="default: SQLite in a temporary directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = open_store(arguments.store or f"sqlite:///{place}/state.db")
        began = time.perf_counter()
        of = fill(store, arguments.requests)
        print(f"filled in {time.perf_counter() - began:.0f} s")
        *_, evidence = look(store, of)
        taken = [look(store, of)[:3] for _ in range(arguments.looks)]
        store.close()
    load, deciding, worked, both = (sorted(ms) for ms in (*zip(*taken, strict=True), [a + b for a, b, _ in taken]))
    rows = sum(len(v.candidate) + len(v.stable) for g in evidence.guards for v in g.values) + sum(
        2 * len(g.tallies) for g in evidence.guards
    )
    print(f"{arguments.requests:,} requests, {len(of.plan.guards)} guards, {rows:,} cells of evidence")
    for name, ms in (("load", load), ("decide", deciding), ("look", both), ("of it, processor", worked)):
        print(f"{name:<17} median {statistics.median(ms):6.1f} ms   95 % {ms[math.ceil(0.95 * len(ms)) - 1]:6.1f} ms")
    return 1 if statistics.median(both) > MOST_MS else 0


if __name__ == "__main__":
    sys.exit(main())
