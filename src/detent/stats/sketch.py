"""A percentile sketch in log buckets: a plain mapping from bucket to count, exact to merge by addition (statistics 2.8).

A value lies within 1 % of its bucket's middle (DDSketch: Masson, Rim & Lee 2019, with gamma = 1.02). Plain Python: the ingester calls
`bucket` once per sealed unit and must not import numpy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

BASE = 1.02
_LOG_BASE = math.log(BASE)
_LOG_MIDDLE = math.log(2.0 / (1.0 + BASE))
_OFFSET = 698
"""Shifts ceil(log_1.02 x) so that every bucket is >= 0 for values above 1.02^-698, about a millionth.

Unshifted, 0.97 s would fall into bucket -1, which label counts keep for units that could not be scored.
"""


def bucket(x: float) -> int:
    """The bucket of a value >= 0 (seconds, tokens, money): max(0, ceil(log_1.02 x) + 698); 0 and all below a millionth share bucket 0.

    Raises ValueError for a negative, infinite or undefined value.
    """
    if not 0.0 <= x < math.inf:
        raise ValueError(f"a sketch holds finite values from 0 up: `{x}`")
    return max(0, math.ceil(math.log(x) / _LOG_BASE) + _OFFSET) if x else 0


def bucket_value(index: int) -> float:
    """The middle of a bucket, at most 1 % (exactly: 0.02 / 2.02) from every value in it; 0.0 for bucket 0. ValueError below 0."""
    if index < 0:
        raise ValueError(f"not a bucket of a sketch: `{index}`")
    return 2.0 / (1.0 + BASE) * BASE ** (index - _OFFSET) if index else 0.0


def bucket_log(index: int) -> float:
    """ln of a bucket's middle; bucket 0, with 0 itself in it, counts as about a millionth. ValueError below 0."""
    if index < 0:
        raise ValueError(f"not a bucket of a sketch: `{index}`")
    return (index - _OFFSET) * _LOG_BASE + _LOG_MIDDLE


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The q-quantile (smallest value with at least a share q of the counts at or below it), within 1 %; None of an empty sketch.

    Raises ValueError for q outside [0, 1], a negative count or a bucket below 0 (unscored units have no value: leave them out).
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile lies in [0, 1]: `{q}`")
    for index, n in counts.items():
        if index < 0 or n < 0:
            raise ValueError(f"not a bucket and its count: `{index}: {n}`")
    total = sum(counts.values())
    if total == 0:
        return None
    rank = max(1, math.ceil(q * total - 1e-9))  # 0.07 * 100 is a little more than 7 in floating point
    seen = 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            return bucket_value(index)
    raise AssertionError("the counts do not reach their own sum")
