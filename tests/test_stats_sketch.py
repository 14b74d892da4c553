"""Percentiles from log buckets: within 1 %, merged by addition, cheap to import."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent.stats.sketch import bucket, bucket_value, quantile

WORST = 0.02 / 2.02  # half a bucket's width over its middle: (gamma - 1) / (gamma + 1) of DDSketch, gamma 1.02


@given(st.floats(min_value=1.1e-6, max_value=1e12))
def test_a_value_is_within_one_percent_of_its_buckets_middle(x: float) -> None:
    assert bucket_value(bucket(x)) == pytest.approx(x, rel=WORST + 1e-9)


@given(st.floats(min_value=0.0, max_value=1e300), st.floats(min_value=0.0, max_value=1e300))
def test_larger_values_never_fall_into_lower_buckets(x: float, y: float) -> None:
    assert (bucket(x) <= bucket(y)) == (x <= y) or bucket(x) == bucket(y)


def test_buckets_are_powers_of_1_02() -> None:
    assert bucket(1.0201) - bucket(1.0) == 2  # (1, 1.02], then (1.02, 1.0404]
    assert bucket(1000.0) - bucket(1.0) == math.ceil(math.log(1000.0) / math.log(1.02)) == 349


def test_no_value_shares_the_bucket_of_the_unscored() -> None:
    # 0.97 s lies in (1.02^-2, 1.02^-1]: an unshifted bucket would be -1, which label counts read as "could not be scored".
    assert bucket(0.97) >= 0
    assert bucket(0.0) == bucket(1e-9) == 0
    assert bucket_value(0) == 0.0


@pytest.mark.parametrize("x", [-0.001, math.inf, math.nan])
def test_what_is_no_size_is_refused_by_value(x: float) -> None:
    with pytest.raises(ValueError, match=f"`{x}`"):
        bucket(x)


def test_quantiles_of_latencies_merged_from_two_gateways() -> None:
    values = np.random.default_rng(7).lognormal(0.6, 0.55, size=20_000)
    merged = Counter(map(bucket, values[:5_000])) + Counter(map(bucket, values[5_000:]))
    assert merged == Counter(map(bucket, values))
    for q in (0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0):
        # numpy's inverted_cdf: the smallest value with at least a share q at or below it
        assert quantile(merged, q) == pytest.approx(float(np.quantile(values, q, method="inverted_cdf")), rel=WORST + 1e-9)


def test_ranks_are_not_shifted_by_floating_point() -> None:
    hundred = {bucket(1.5**k): 1 for k in range(100)}
    assert 0.07 * 100 > 7  # and yet the 7th of 100 is the 7 % quantile
    assert quantile(hundred, 0.07) == bucket_value(bucket(1.5**6))


def test_an_empty_sketch_has_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({3: 0}, 0.5) is None


@pytest.mark.parametrize(("counts", "q", "named"), [({1: 1}, 1.5, "1.5"), ({1: -2}, 0.5, "1: -2"), ({-1: 3}, 0.5, "-1: 3")])
def test_invalid_sketches_are_refused_by_value(counts: dict[int, int], q: float, named: str) -> None:
    with pytest.raises(ValueError, match=f"`{named}`"):
        quantile(counts, q)


def test_the_ingester_does_not_pay_for_numpy() -> None:
    code = "import sys, detent.stats, detent.stats.sketch; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
