"""Boundaries of the planned looks: alpha is spent once, by information, and never twice on the same data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from detent.stats.proof import boundaries

CALENDAR = (2 / 7, 3 / 7, 4 / 7, 5 / 7, 6 / 7, 1.0)
SPENT = (0.030, 0.035, 0.040, 0.044, 0.047, 0.050)  # statistics 2.3


def test_the_boundaries_of_the_standard_plan() -> None:
    # statistics 2.3: looks at 48, 72, ..., 168 h
    assert boundaries(0.05, CALENDAR) == pytest.approx((1.881, 2.214, 2.219, 2.242, 2.283, 2.270), abs=5e-4)


def test_the_first_look_is_a_plain_test() -> None:
    assert boundaries(0.05, [17.3]) == pytest.approx((stats.norm.isf(0.03),))
    assert boundaries(0.01, [17.3]) == pytest.approx((stats.norm.isf(0.006),))
    assert boundaries(0.05, [17.3], planned=1) == pytest.approx((stats.norm.isf(0.05),))


def test_the_second_look_agrees_with_the_bivariate_normal_distribution() -> None:
    # P(Z1 < z1, Z2 < z2) = 1 - alpha spent by the second look, by scipy's own integration
    for share in (0.2, 0.6, 0.95):
        z1, z2 = boundaries(0.05, [share, 1.0])
        correlation = math.sqrt(share)
        both_below = stats.multivariate_normal.cdf([z1, z2], cov=[[1.0, correlation], [correlation, 1.0]])
        assert 1.0 - both_below == pytest.approx(0.035, abs=1e-5)


def test_alpha_is_spent_as_planned_on_uneven_information() -> None:
    information = np.array([8.0, 30.0, 33.0, 60.0, 300.0, 310.0])
    z = np.array(boundaries(0.05, information.tolist()))
    steps = np.random.default_rng(5).standard_normal((400_000, 6)) * np.sqrt(np.diff(information, prepend=0.0))
    crossed = np.maximum.accumulate(steps.cumsum(axis=1) / np.sqrt(information) >= z, axis=1)
    assert crossed.mean(axis=0) == pytest.approx(SPENT, abs=0.001)  # three standard errors


def test_the_unit_of_information_does_not_matter_and_the_future_changes_no_past() -> None:
    whole = boundaries(0.05, CALENDAR)
    assert boundaries(0.05, [1e9 * i for i in CALENDAR]) == pytest.approx(whole)
    assert boundaries(0.05, CALENDAR[:3]) == pytest.approx(whole[:3])


def test_a_look_without_new_information_cannot_prove_and_keeps_its_alpha() -> None:
    first, idle, hardly, fewer, later = boundaries(0.05, [10.0, 10.0, 10.05, 9.0, 20.0])
    assert (idle, hardly, fewer) == (math.inf, math.inf, math.inf)
    # the later look spends all that is planned by then: .047 - .030
    correlation = math.sqrt(0.5)
    both_below = stats.multivariate_normal.cdf([first, later], cov=[[1.0, correlation], [correlation, 1.0]])
    assert 1.0 - both_below == pytest.approx(0.047, abs=1e-5)


def test_looks_before_any_information_keep_their_alpha_too() -> None:
    assert boundaries(0.05, [0.0, 0.0, 4.0]) == pytest.approx((math.inf, math.inf, stats.norm.isf(0.04)))


def test_past_the_planned_looks_no_alpha_is_left() -> None:
    found = boundaries(0.05, [1, 2, 3, 4, 5, 6, 7, 8])
    assert all(math.isfinite(z) for z in found[:6])
    assert found[6:] == (math.inf, math.inf)


def test_a_plan_of_other_length_spends_along_the_same_curve() -> None:
    assert boundaries(0.05, [1.0], planned=11) == pytest.approx((stats.norm.isf(0.03),))
    z1, z2 = boundaries(0.05, [1.0, 2.0], planned=11)
    below = stats.multivariate_normal.cdf([z1, z2], cov=[[1.0, math.sqrt(0.5)], [math.sqrt(0.5), 1.0]])
    assert 1.0 - below == pytest.approx(0.0325, abs=1e-5)  # half way from .030 to .035


def test_no_looks_no_boundaries() -> None:
    assert boundaries(0.05, []) == ()


@given(st.lists(st.floats(0.0, 1e12), max_size=8), st.floats(1e-6, 0.5))
def test_no_course_of_information_breaks_the_boundaries(information: list[float], alpha: float) -> None:
    found = boundaries(alpha, information)
    assert len(found) == len(information)
    assert not any(math.isnan(z) for z in found)


@pytest.mark.parametrize(
    ("alpha", "information", "planned", "said"),
    [
        (0.0, [1.0], 6, "alpha lies between 0 and 1: `0.0`"),
        (1.0, [1.0], 6, "alpha lies between 0 and 1: `1.0`"),
        (0.05, [-1.0], 6, "information is finite and not negative: `-1.0`"),
        (0.05, [math.nan], 6, "information is finite and not negative: `nan`"),
        (0.05, [math.inf], 6, "information is finite and not negative: `inf`"),
        (0.05, [1.0], 0, "at least one look is planned: `0`"),
    ],
)
def test_invalid_plans_are_refused_by_value(alpha: float, information: list[float], planned: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        boundaries(alpha, information, planned)
