"""The draw: rare strata are not lost, and the weighted cases speak for the traffic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detent.sampling.draw import Drawn, draw

Strata = NDArray[np.int64]


def order(n: int) -> NDArray[np.uint64]:
    """Digests: fixed, and in no order."""
    return (np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(0x1234567)


def shares(strata: Strata, weights: NDArray[np.float64], dimension: int, values: int) -> NDArray[np.float64]:
    counted = np.bincount(strata[:, dimension], weights=weights, minlength=values).astype(np.float64)
    return np.asarray(counted / weights.sum())


def furthest(strata: Strata, weights: NDArray[np.float64], drawn: Drawn) -> float:
    """How far the weighted share of any value among the drawn is from its share in the traffic."""
    return max(
        float(np.abs(shares(strata, weights, d, values) - shares(strata[drawn.rows], drawn.weights, d, values)).max())
        for d in range(strata.shape[1])
        for values in [int(strata[:, d].max()) + 1]
    )


def test_with_room_for_all_each_stands_for_itself() -> None:
    weights = np.array([3.0, 1.0, 2.0])
    drawn = draw(weights, np.zeros((3, 2), dtype=np.int64), order(3), 3)
    assert (drawn.rows.tolist(), drawn.weights.tolist(), drawn.coverage) == ([0, 1, 2], [3.0, 1.0, 2.0], 1.0)
    nothing = draw(np.empty(0), np.empty((0, 2), dtype=np.int64), order(0), 3)
    assert (nothing.rows.tolist(), nothing.coverage) == ([], 0.0)


def test_a_stratum_of_one_in_a_thousand_is_kept_and_weighs_as_much_as_it_did() -> None:
    strata = np.zeros((1000, 2), dtype=np.int64)
    strata[:, 1] = np.arange(1000) % 2
    strata[417, 0] = 1
    drawn = draw(np.ones(1000), strata, order(1000), 20)
    assert 417 in drawn.rows
    assert drawn.weights[drawn.rows.tolist().index(417)] == pytest.approx(1.0, rel=0.05)
    assert drawn.weights.sum() == pytest.approx(1000)


def test_the_weight_of_what_is_not_drawn_goes_to_its_own_cell() -> None:
    """Two cells of 70 and 30 prompts of one exchange each: ten cases, which stand for 70 and for 30."""
    strata = np.repeat([[0], [1]], [70, 30], axis=0)
    drawn = draw(np.ones(100), strata, order(100), 10)
    assert len(drawn.rows) == 10
    assert drawn.weights[strata[drawn.rows, 0] == 0].sum() == pytest.approx(70)
    assert drawn.weights[strata[drawn.rows, 0] == 1].sum() == pytest.approx(30)
    assert sorted(strata[drawn.rows, 0]) == [0] * 7 + [1] * 3


def test_a_prompt_that_is_half_of_the_traffic_is_drawn_for_certain() -> None:
    weights = np.ones(101)
    weights[50] = 100.0
    drawn = draw(weights, np.zeros((101, 1), dtype=np.int64), order(101), 5)
    assert drawn.weights[drawn.rows.tolist().index(50)] == pytest.approx(100.0, rel=0.3)
    assert drawn.weights.sum() == pytest.approx(200)


def test_with_more_values_than_room_the_common_ones_are_not_crowded_out() -> None:
    """90 of 100 prompts are of one task, the others of ten more; five cases."""
    strata = np.zeros((100, 1), dtype=np.int64)
    strata[90:, 0] = np.arange(1, 11)
    drawn = draw(np.ones(100), strata, order(100), 5)
    assert (strata[drawn.rows, 0] == 0).sum() >= 2


def test_coverage_is_the_share_whose_cell_has_a_case() -> None:
    """Ten cells of 5 prompts and one of 50; four cases in proportion cover the big one and some of the small."""
    strata = np.concatenate([np.repeat(np.arange(10), 5), np.full(50, 10)])[:, None]
    drawn = draw(np.ones(100), strata, order(100), 4)
    there = set(strata[drawn.rows, 0].tolist())
    assert drawn.coverage == pytest.approx(sum((strata[:, 0] == cell).sum() for cell in there) / 100)
    two = np.stack([np.zeros(100, dtype=np.int64), strata[:, 0]], axis=1)
    assert draw(np.ones(100), two, order(100), 4, coverage_of=1).coverage == 1.0


def test_the_draw_hangs_on_nothing_but_its_input() -> None:
    strata = np.random.default_rng(1).integers(0, 4, (500, 3))
    weights = np.random.default_rng(2).integers(1, 9, 500).astype(float)
    one, two = draw(weights, strata, order(500), 40), draw(weights, strata, order(500), 40)
    assert one.rows.tolist() == two.rows.tolist()
    assert one.weights.tolist() == two.weights.tolist()
    again = np.random.default_rng(3).permutation(500)
    moved = draw(weights[again], strata[again], order(500)[again], 40)
    assert sorted(again[moved.rows].tolist()) == sorted(one.rows.tolist()), "whichever way the rows come"


@st.composite
def traffic(make: st.DrawFn) -> tuple[NDArray[np.float64], Strata, int]:
    """Traffic of some hundred prompts in up to five dimensions with skewed values, and room for at least 30 cases."""
    n, dimensions = make(st.integers(200, 600)), make(st.integers(1, 5))
    rng = np.random.default_rng(make(st.integers(0, 2**32)))
    columns = []
    for _ in range(dimensions):
        values = make(st.integers(1, 5))
        columns.append(rng.choice(values, n, p=rng.dirichlet(np.ones(values) * 2)))
    weights = np.ceil(rng.lognormal(0.5, 1.0, n))
    return weights, np.stack(columns, axis=1).astype(np.int64), make(st.integers(30, 150))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(traffic())
def test_weighted_strata_of_the_baseline_are_those_of_the_traffic(given_traffic: tuple[NDArray[np.float64], Strata, int]) -> None:
    weights, strata, limit = given_traffic
    drawn = draw(weights, strata, order(len(weights)), limit)
    assert len(drawn.rows) == min(limit, len(weights))
    assert len(set(drawn.rows.tolist())) == len(drawn.rows)
    assert drawn.weights.min() > 0
    assert drawn.weights.sum() == pytest.approx(weights.sum())
    for d in range(strata.shape[1]):
        assert set(strata[drawn.rows, d].tolist()) == set(strata[:, d].tolist()), "every value keeps a case"
    assert furthest(strata, weights, drawn) <= 0.02
