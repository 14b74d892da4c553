"""Seeded slices of bench/detectors.py, bench/diff.py and bench/freeze.py; the whole of each is a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from benches import bench
from detent.baseline import freeze
from detent.terms import BaselineStage
from records import T0

PROMPTS = 50


@pytest.mark.parametrize("world", ["tuned", "held out"])
def test_each_named_change_is_named_and_its_decoys_are_not(world: str) -> None:
    for row in bench("detectors").rows(world, PROMPTS, seed=3):
        assert row.recall >= 0.95, f"{row.name}: {row.missed[:1]}"
        assert row.false <= 0.02, f"{row.name}: {row.fooled[:1]}"


@pytest.mark.parametrize("world", ["tuned", "held out"])
def test_an_answer_that_only_rewords_has_no_name_that_accuses(world: str) -> None:
    only_benign, _, others = bench("detectors").rewordings(world, 200, seed=3)
    assert only_benign >= 0.95, others


def test_grades_are_the_same_however_the_work_is_spread() -> None:
    diffing = bench("diff")
    cases = [diffing.case(3, number, repeats=2, different=0.3) for number in range(40)]
    alone, spread = (list(diffing.grade_all(cases, processes)) for processes in (1, 2))
    assert alone == spread
    assert {len(grades) for grades in alone} == {4}


def test_a_frozen_baseline_speaks_for_all_rows_of_the_journal(tmp_path: Path) -> None:
    """4,000 rows, of which eight are in a stratum of their own: 40 cases carry the weight of all, and the rare stratum is among them."""
    freezing = bench("freeze")
    store = freezing.build(tmp_path, 4_000)
    frozen = freeze(store, freezing.ROUTE, T0, limit=40, stage=BaselineStage())
    store.close()
    assert (len(frozen.cases), frozen.read) == (40, 4_000)
    assert sum(case.weight for case in frozen.cases) == pytest.approx(4_000)
    kept = {(name, value) for case in frozen.cases for name, value in case.strata.items()}
    assert {(name, value) for name, shares in frozen.strata.items() for value in shares} <= kept
    assert any(case.strata["language"] == "de" for case in frozen.cases)
