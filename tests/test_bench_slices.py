"""Slices of bench/canary.py, bench/detectors.py, bench/diff.py and bench/freeze.py; the whole of each is a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benches import bench
from detent.baseline import freeze
from detent.manifest import read
from detent.sim.desk import BASE, TRAITS
from detent.terms import METRIC_NAMES, BaselineStage, Phase, Plan
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


# ── the canary, end to end ──────────────────────────────────────────────────────────────────────────────────────────


def test_harm_over_real_http_is_rolled_back_by_the_guard_that_it_belongs_to() -> None:
    """One round of the two harms that take the fewest units: real processes, a store on disk, real traffic."""
    canary = bench("canary")
    ends, line = canary.one_round(canary.chosen(["tokens", "session_length"]), "1-1")
    for end in ends:
        assert end.phase is Phase.ROLLED_BACK, f"{end.said}; {line}"
        assert end.guard in end.condition.guards, end.said
        assert 5 <= end.candidate_units < canary.QUOTA / 2
    assert "failed" not in line


def test_the_bench_knows_every_version_of_the_desk_and_guards_all_that_they_worsen() -> None:
    canary = bench("canary")
    assert {c.version for c in canary.CONDITIONS} == set(TRAITS) - {BASE}
    assert {guard for c in canary.CONDITIONS for guard in c.guards} <= set(canary.GUARDS) <= set(METRIC_NAMES)
    manifest = read(canary.pin_file("http://127.0.0.1:9", [c.name for c in canary.CONDITIONS]))
    assert set(manifest.routes) == {c.name for c in canary.CONDITIONS}
    assert manifest.plans["bench"].alpha == Plan(name="any").alpha  # seconds stand for days; what counts as shown is as ever


@pytest.mark.parametrize(("rolled_back", "of", "kept"), [(20, 20, True), (19, 20, True), (18, 20, False), (0, 1, False)])
def test_a_harm_may_go_unseen_in_one_round_of_twenty(rolled_back: int, of: int, kept: bool) -> None:
    assert _row("tokens", rolled_back, of).kept is kept


@pytest.mark.parametrize(("rolled_back", "of", "kept"), [(0, 20, True), (1, 20, True), (2, 20, False), (2, 40, True)])
def test_an_unchanged_version_may_be_rolled_back_in_one_round_of_twenty(rolled_back: int, of: int, kept: bool) -> None:
    row = _row("unchanged", rolled_back, of)
    assert row.kept is kept
    assert ("held" in str(row)) is kept


def test_a_row_shows_wilsons_interval() -> None:
    # 19 of 20: (.95 + 1.9207 / 20 +- 1.96 (.95 x .05 / 20 + .9604 / 400) ** .5) / (1 + 3.8415 / 20) = .764 to .991.
    assert "19 of 20 [ 76,  99] %" in str(_row("tokens", 19, 20))


def test_a_round_that_was_cut_short_says_nothing_for_the_unchanged_version() -> None:
    assert not _row("unchanged", 0, 1, sessions=1499).kept
    assert "1 cut short" in str(_row("unchanged", 0, 1, sessions=1499))


def _row(name: str, rolled_back: int, of: int, *, sessions: int = 1500) -> Any:
    canary = bench("canary")
    (condition,) = canary.chosen([name])
    phases = [Phase.ROLLED_BACK] * rolled_back + [Phase.CANARY] * (of - rolled_back)
    ends = [canary.Ended(condition, phase, "a_guard", 100, sessions, 9.0, "") for phase in phases]
    (row,) = canary.rows([condition], ends)
    return row
