"""Cohen's kappa: figures of the textbook, and an interval that holds what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from detent.stats.agreement import kappa

# Fleiss (1981), Statistical Methods for Rates and Proportions, 2nd ed., table 13.1: two raters, 100 patients, three diagnoses.
DIAGNOSES = ((75, 1, 4), (5, 4, 1), (0, 0, 10))


def test_the_example_of_the_textbook() -> None:
    found = kappa(DIAGNOSES)
    assert found is not None
    # po = .89; pe = .8 x .8 + .1 x .05 + .1 x .15 = .66; kappa = .23 / .34 = .68
    assert found.n == 100
    assert [found.observed, found.chance] == pytest.approx([0.89, 0.66])
    assert found.kappa == pytest.approx(0.23 / 0.34)
    # By hand, with q = 1 - kappa; in B each cell i, j counts with column share i and row share j: (.8 + .1), (.8 + .1), (.05 + .8) ...
    q = 1 - 0.23 / 0.34
    a = 0.75 * (1 - 1.6 * q) ** 2 + 0.04 * (1 - 0.15 * q) ** 2 + 0.10 * (1 - 0.25 * q) ** 2
    b = q**2 * (0.01 * 0.9**2 + 0.04 * 0.9**2 + 0.05 * 0.85**2 + 0.01 * 0.15**2)
    c = (0.23 / 0.34 - 0.66 * q) ** 2
    assert found.error == pytest.approx((a + b - c) ** 0.5 / 3.4)
    assert found.error == pytest.approx(0.088, abs=0.001)
    assert found.low < found.kappa - 1.9 * found.error
    assert found.high >= found.kappa + 1.9 * found.error


def test_two_classes_by_hand() -> None:
    # Cohen's formula on [[20, 5], [10, 15]]: po = 35/50 = .7, pe = .5 x .6 + .5 x .4 = .5, kappa = .4
    found = kappa(((20, 5), (10, 15)))
    assert found is not None
    assert found.kappa == pytest.approx(0.4)


def test_full_agreement_of_a_few_proves_little() -> None:
    few, many = kappa(((3, 0), (0, 2))), kappa(((60, 0), (0, 40)))
    assert few is not None
    assert many is not None
    assert (few.kappa, many.kappa) == (1.0, 1.0)
    # Wilson's lower limit of 5 of 5 is 5 / (5 + 3.8415) = .5655; pe = .36 + .16 = .52
    assert few.low == pytest.approx((5 / (5 + 3.841459) - 0.52) / 0.48, abs=1e-6)
    assert few.low < 0.4 < 0.9 < many.low


def test_agreement_by_lot_is_none_at_all_and_less_is_negative() -> None:
    by_lot, contrary = kappa(((25, 25), (25, 25))), kappa(((0, 50), (50, 0)))
    assert by_lot is not None
    assert contrary is not None
    assert by_lot.kappa == pytest.approx(0.0)
    assert contrary.kappa == pytest.approx(-1.0)
    assert contrary.low == -1.0


@pytest.mark.parametrize("table", [(), ((0, 0), (0, 0)), ((7, 0), (0, 0)), ((0, 0, 0), (0, 9, 0), (0, 0, 0))])
def test_where_nothing_can_be_said_nothing_is(table: tuple[tuple[int, ...], ...]) -> None:
    assert kappa(table) is None


@pytest.mark.parametrize("table", [((1, 2),), ((1, 2), (3,)), ((1, -1), (0, 1))])
def test_what_is_no_table_of_counts_is_refused(table: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="square"):
        kappa(table)


@pytest.mark.parametrize("n", [40, 120])
def test_the_interval_covers_the_true_kappa(n: int) -> None:
    """Tables drawn from a known distribution: kappa of it is (.8 - .38) / .62 = .677."""
    rng = np.random.default_rng(20261101)
    true = np.array([[0.40, 0.05, 0.05], [0.03, 0.25, 0.02], [0.02, 0.03, 0.15]])
    rows, columns = true.sum(axis=1), true.sum(axis=0)
    chance = float(rows @ columns)
    wanted = (float(np.trace(true)) - chance) / (1 - chance)
    tables = rng.multinomial(n, true.ravel(), size=1500).reshape(-1, 3, 3)
    found = [kappa(table.tolist()) for table in tables]
    covered = sum(one is not None and one.low <= wanted <= one.high for one in found) / len(found)
    # 1500 draws of a true 95 %: below .94 with probability 4 %, so .93 would be a fault and not chance (p < .001)
    assert covered >= 0.93
