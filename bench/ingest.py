"""Ingest throughput: entries per second from spool to journal, minute sums, units and label counts, on a store of one's own.

    python bench/ingest.py [--legs 50000] [--store URL]

Every leg has an intent and a result; half of the legs are in sessions of five, half are units of their own; six guards.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from detent.ingest import Ingester
from detent.store import open_store
from detent.store.spool import Spool
from detent.terms import Arm, Endpoint, Guard, Intent, Outcome, Plan, Result, Role, Rollout, UnitKind, Usage, Version, micros

GUARDS = ("error", "parse_error", "tool_retry", "long_session", "output_tokens", "latency")


def fill(spool: Spool, legs: int, start: datetime) -> None:
    """Write `legs` intents, each followed by its result, a millisecond apart."""
    rng = random.Random(1)
    at_us = micros(start)
    for number in range(legs):
        at_us += 1000
        in_session = number % 2 == 0
        unit = f"{number // 10 if in_session else number + 10**9:032x}"
        arm = Arm.CANDIDATE if int(unit, 16) % 20 == 0 else Arm.STABLE
        spool.write(
            Intent(
                leg=f"le_{number:024x}",
                exchange=f"ex_{number:024x}",
                at_us=at_us,
                gateway=spool.gateway,
                revision=1,
                route="summarizer",
                rollout="ro_bench",
                period=1,
                role=Role.SERVED,
                arm=arm,
                arm_served=arm,
                why="split",
                randomised=True,
                unit_kind=UnitKind.SESSION if in_session else UnitKind.REQUEST,
                unit=unit,
                session=unit if in_session else None,
                user=None,
                identity_source=None,
                requested="summarizer",
                provider="openai",
                model="gpt-4o-2024-05-13",
                endpoint=Endpoint.OPENAI_CHAT,
                stream=False,
                attempt=0,
                template="0" * 32,
            )
        )
        spool.write(
            Result(
                leg=f"le_{number:024x}",
                at_us=at_us + 500,
                outcome=Outcome.COMPLETE,
                status=200,
                finish_reason="stop",
                answered_model="gpt-4o-2024-05-13",
                usage=Usage(input=500, output=rng.randrange(50, 500)),
                latency_s=rng.lognormvariate(0.0, 0.5),
                first_byte_s=0.3,
                step=1,
                repeats_call=False,
                parse="ok",
                refusal=False,
                answer_chars=900,
            )
        )


def main() -> None:
    """Fill a spool, ingest it, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--legs", type=int, default=50_000)
    parser.add_argument("--store", help="default: SQLite in a temporary directory")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = open_store(arguments.store or f"sqlite:///{place}/state.db")
        start = datetime.now(UTC)
        old, new = Version("openai", "gpt-4o-2024-05-13"), Version("openai", "gpt-4o-2024-08-06")
        plan = Plan(name="bench", guards=tuple(Guard(metric=metric, margin_ratio=1.5) for metric in GUARDS))
        rollout = Rollout(
            id="ro_bench", route="summarizer", owner="-", stable=old, candidate=new, plan=plan, salt="s", opened_at=start, entered_at=start
        )
        store.state.open_rollout(rollout, by="bench", at=start)
        spool = Spool(Path(place) / "spool", "bench")
        began = time.perf_counter()
        fill(spool, arguments.legs, start)
        wrote = time.perf_counter() - began
        spool.close()
        now = [start]
        ingester = Ingester(store, Path(place) / "spool", lambda: now[0])
        began = time.perf_counter()
        folded = ingester.run_once()
        took = time.perf_counter() - began
        now[0] = start + timedelta(hours=1)
        began = time.perf_counter()
        sealed = ingester.run_once().sealed
        sealing = time.perf_counter() - began
        print(f"spool  {2 * arguments.legs / wrote:10,.0f} entries/s")
        print(f"ingest {folded.entries / took:10,.0f} entries/s")
        print(f"seal   {sealed / sealing:10,.0f} rows/s ({sealed:,} rows)")
        store.close()


if __name__ == "__main__":
    main()
