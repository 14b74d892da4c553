"""The unseen share: Good's estimate and Esty's interval by hand, and by simulation against shares that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detent.stats.unseen import Unseen, unseen


def test_the_share_of_the_unseen_is_the_share_of_what_was_met_once() -> None:
    # 40 of 1,000 once, 25 twice: .04; sd = sqrt(40 (1 - .04) + 2 x 25) / 1000 = sqrt(88.4) / 1000 = .0094
    found = unseen(1_000, 40, 25)
    assert found is not None
    assert found.estimate == pytest.approx(0.04)
    assert (found.low, found.high) == pytest.approx((0.04 - 1.96 * 0.009402, 0.04 + 1.96 * 0.009402), abs=1e-5)


def test_nothing_drawn_says_nothing_and_few_draws_say_little() -> None:
    assert unseen(0, 0, 0) is None
    # One kind, met ten times: a share of 1 - .025^(1/10) = .308 of other kinds would have been missed with a chance of 2.5 %.
    assert unseen(10, 0, 0) == Unseen(0.0, 0.0, pytest.approx(0.3085, abs=1e-4))  # type: ignore[arg-type]
    found = unseen(1, 1, 0)
    assert found is not None
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert (unseen(72, 0, 0) or found).high > 0.05 - 1e-3, "71 pairs of one class do not cover 95 %"


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="of 3 draws there cannot be 2 kinds met once and 1 met twice"):
        unseen(3, 2, 1)
    with pytest.raises(ValueError, match="cannot be -1 kinds"):
        unseen(3, -1, 0)


@pytest.mark.parametrize("power", [0.8, 1.1, 1.5])
@pytest.mark.parametrize("n", [200, 1_000, 5_000])
def test_the_interval_holds_the_true_share_as_often_as_it_says(power: float, n: int) -> None:
    """Traffic in 3,000 classes by Zipf's law: of 400 samples at least 92 % hold what is really unseen (standard error 1.1 %)."""
    rng = np.random.default_rng(5)
    p = np.arange(1, 3_001, dtype=float) ** -power
    p /= p.sum()
    held, errors = 0, []
    for _ in range(400):
        met = rng.multinomial(n, p)
        found = unseen(n, int((met == 1).sum()), int((met == 2).sum()))
        assert found is not None
        truth = float(p[met == 0].sum())
        held += found.low <= truth <= found.high
        errors.append(found.estimate - truth)
    assert held / 400 >= 0.92
    assert abs(float(np.mean(errors))) <= 4 * float(np.std(errors)) / math.sqrt(400) + 1 / n
