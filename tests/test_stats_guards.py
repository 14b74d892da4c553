"""A look at a rollout costs what its buckets cost, and not what its traffic did: a slice of bench/guards.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import benches
from detent.store import Store, open_store

REQUESTS = 100_000


@pytest.fixture(scope="module")
def bench() -> Any:
    return benches.bench("guards")


@pytest.fixture(scope="module")
def filled(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Any]]:
    place: Path = tmp_path_factory.mktemp("guards")
    store = open_store(f"sqlite:///{place}/state.db")
    yield store, bench.fill(store, REQUESTS)
    store.close()


def test_a_look_reads_sums_only_and_no_unit(bench: Any, filled: tuple[Store, Any]) -> None:
    store, rollout = filled
    asked: list[str] = []
    engine = store.state._db.engine
    event.listen(engine, "before_cursor_execute", lambda c, cursor, statement, *rest: asked.append(statement))
    bench.look(store, rollout)
    reads = [statement for statement in asked if "FROM" in statement]
    assert 0 < len(reads) <= 8
    assert not [statement for statement in reads if "FROM units" in statement or "FROM exposed" in statement or "FROM legs" in statement]


def test_every_unit_is_in_the_evidence_and_a_look_at_it_is_quick(bench: Any, filled: tuple[Store, Any]) -> None:
    store, rollout = filled
    evidence = bench.look(store, rollout)[3]
    by_metric = {guard.metric: guard for guard in evidence.guards}
    for metric in ("error", "output_tokens"):
        found = by_metric[metric]
        assert found.candidate_units + found.stable_units == pytest.approx(REQUESTS / 5, rel=0.05)
    assert {v.slice for v in by_metric["latency"].values} == {"control"}  # compared with the slice that has a cache as warm as its own

    # Of the processor, so that a busy machine says the same; the clock's 50 ms are for bench/guards.py.
    assert min(bench.look(store, rollout)[2] for _ in range(8)) <= 100.0
