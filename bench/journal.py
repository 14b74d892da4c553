"""What partitions by day cost: the same journal in one partition and in one for each day, on a PostgreSQL of one's own, in one run.

    python bench/journal.py [--legs 1000000] [--days 7] [--partitions 30] [--turns 15]

Prints a ratio for each thing that is done all the time (by day / in one; below 1 is quicker by day). The legs are spread over the last
days; the other partitions are empty days before them, as they are where a journal is kept for a month.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from detent.store import Store, open_store
from detent.store.days import DAY_US, Span, bounds, database_now_us, make_days, partitions
from detent.terms import Feedback, Guard, Usage, utc

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from records import intent, result
from stores import server_of_postgres

BATCH = 500
ROUTES = 20
ASKED = 500
"""How many names are looked up at once: what one batch of feedback is about."""

FILL = """
INSERT INTO legs (leg, spool, exchange, at_us, gateway, revision, route, rollout, period,
                  role, arm, arm_served, why, randomised, unit_kind, unit, session, "user",
                  requested, provider, model, endpoint, stream, attempt, template,
                  outcome, result_us, status, input_tokens, output_tokens, latency_s, parse, graded)
SELECT 'le_' || md5(n::text), 'gw' || n % 4, 'ex_' || n, at_us, 'gw', 1, 'route' || n % :routes, 'ro_1', 1,
       CASE WHEN n % 50 = 1 THEN 'mirrored' ELSE 'served' END, 'stable', 'stable', 'split', true, 'session', 'u' || n / 40,
       's' || n / 40, 'h' || n % 9973,
       'r', 'openai', 'atlas-2026-03-01', 'openai_chat', false, 0, 't' || n % 7,
       'complete', at_us + 900000, 200, 500, 90, 0.9, 'ok', CASE WHEN n % 50 = 1 THEN true END
FROM generate_series(1, :legs) AS n, LATERAL (SELECT CAST(:first AS bigint) + n * CAST(:step AS bigint) AS at_us) AS t
"""
BODIES = """
INSERT INTO bodies (leg, at_us, request, answer, request_digest)
SELECT leg, at_us, '{"messages": [{"role": "user", "content": "hello"}]}', '{"text": "hi"}', md5(leg)
FROM legs WHERE status = 200 AND hashtext(leg) % 20 = 0
"""


def in_one(c: Connection) -> None:
    """The journal as it was before there were days: one table, here one partition of all times."""
    for partition in list(partitions(c)):
        c.execute(text(f"DROP TABLE {partition.name}"))
    for table in ("legs", "bodies"):
        c.execute(text(f"CREATE TABLE {table}_all PARTITION OF {table} FOR VALUES {bounds(Span(None, None))}"))


def filled(store: Store, *, legs: int, days: int, count: int, first_us: int) -> None:
    """Legs, bodies of a twentieth of them, feedback on one in a hundred; `count` partitions (0: one for all)."""
    database = store.journal._db
    with database.write() as c:
        if count:
            make_days(c, [first_us + day * DAY_US for day in range(days + 2 - count, days)])
        else:
            in_one(c)
    with database.write() as c:
        c.execute(text(FILL), {"first": first_us, "step": days * DAY_US // legs, "routes": ROUTES, "legs": legs})
        c.execute(text(BODIES))
    for start in range(0, legs // 100, 5_000):
        said = [
            Feedback(id=f"f{n}", at_us=first_us + n, metric="thumbs_down", value=1.0, exchange=f"ex_{n * 100}")
            for n in range(start, min(start + 5_000, legs // 100))
        ]
        store.journal.put(said=said)
    with database.engine.connect() as c:
        c.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def questions(store: Store, legs: int, now_us: int) -> Iterator[tuple[str, Callable[[int], object]]]:
    """What is asked of a journal all the time, by name; each is called with the number of its turn, so that it asks for other rows."""
    journal, now = store.journal, utc(now_us)
    guards = [Guard(metric=metric, margin_ratio=1.5) for metric in ("error", "parse_error", "output_tokens", "latency")]
    later = open_store(journal.place).journal

    def batch(turn: int) -> object:
        sent = [replace(intent(f"{turn}.{n}.{id(store)}", f"v{n}"), at_us=now_us + turn * BATCH + n, route="route1") for n in range(BATCH)]
        ends = [replace(result(""), leg=leg.leg, at_us=leg.at_us + 900, usage=Usage(input=5, output=9)) for leg in sent]
        journal.put(sent, ends)
        return len(sent)

    def results_later(turn: int) -> object:
        sent = [replace(intent(f"l{turn}.{n}.{id(store)}"), at_us=now_us - DAY_US + turn * BATCH + n) for n in range(BATCH)]
        journal.put(sent)
        later.put(results=[replace(result(""), leg=leg.leg, at_us=now_us) for leg in sent])
        return len(sent)

    def names(turn: int, prefix: str, last: int) -> set[str]:
        return {f"{prefix}{(turn * 7919 + n * 997) % last}" for n in range(ASKED)}

    yield "put 500 legs and their results", batch
    yield "put 500 legs, then results by another process", results_later
    yield "canary: the latest 20,000 legs of a route", lambda turn: journal.past(f"route{turn % ROUTES}", guards=guards)
    yield "canary: usual input of a route", lambda turn: journal.input_tokens(f"route{turn % ROUTES}", now)
    yield "users of a rollout", lambda turn: journal.users("ro_1")
    yield "feedback: units of 500 exchanges", lambda turn: journal.targets(exchanges=names(turn, "ex_", legs))
    yield "feedback: units of 500 sessions", lambda turn: journal.targets(sessions=names(turn, "s", legs // 40))
    yield "feedback: who was there before", lambda turn: journal.users_before(names(turn, "h", 9973), now_us)
    yield "latest 50 of a route", lambda turn: journal.latest(f"route{turn % ROUTES}")
    yield "one exchange", lambda turn: journal.exchange(f"ex_{turn * 7919 % legs}")
    yield "recordings of a route, the newest 500", lambda turn: _some(journal.recorded(f"route{turn % ROUTES}", model="atlas-2026-03-01"))
    yield "traffic of a route", lambda turn: journal.traffic(f"route{turn % ROUTES}", since=now - timedelta(days=1))
    yield "legs of a dead spool", lambda turn: journal.unresolved(f"gw{turn % 4}")
    yield "pairs that wait for a grade", lambda turn: journal.ungraded_pairs("ro_1", limit=500)
    yield "pairs without bodies", lambda turn: journal.pass_over_unkept("ro_1")


def _some(found: Iterator[object]) -> int:
    return sum(1 for _, _ in zip(range(500), found, strict=False))


def main() -> None:
    """Fill both, ask each question of the one and the other in turn, and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--legs", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--partitions", type=int, default=30)
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()
    with server_of_postgres() as server:
        stores = [open_store(server.url(server.create())) for _ in range(2)]
        with stores[0].journal._db.read() as c:
            now_us = database_now_us(c)
        first_us = now_us - now_us % DAY_US - (arguments.days - 1) * DAY_US
        for store, count in zip(stores, (0, arguments.partitions), strict=True):
            filled(store, legs=arguments.legs, days=arguments.days, count=count, first_us=first_us)
        asked = [list(questions(store, arguments.legs, now_us)) for store in stores]
        print(f"{arguments.legs:,} legs over {arguments.days} days; medians of {arguments.turns} turns in ms")
        print(f"{'':48} {'in one':>9} {arguments.partitions:>4} days  ratio")
        for (name, one), (_, other) in zip(*asked, strict=True):
            took: tuple[list[float], list[float]] = ([], [])
            for turn in range(arguments.turns + 2):
                for kept, ask in zip(took, (one, other), strict=True):
                    began = time.perf_counter()
                    ask(turn)
                    kept.append(1e3 * (time.perf_counter() - began))
            before, after = (statistics.median(times[2:]) for times in took)
            print(f"{name:48} {before:9.2f} {after:9.2f} {after / before:6.2f}", flush=True)
        for store in stores:
            store.close()


if __name__ == "__main__":
    main()
