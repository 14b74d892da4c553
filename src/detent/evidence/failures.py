"""Calls that failed by the provider (5xx, cut, timed out) and were made again: a share of their own on each version. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from detent.stats.paired import fisher_worse
from detent.terms import Arm, Run, Unlike

ALPHA_FAILURES = 0.001

LEAST_RISE = 0.05
"""Fewer points than that are no reason to doubt a version: providers have bad minutes."""


def failures(runs: Iterable[Run]) -> Unlike | None:
    """The share of failed calls; None where none failed.

    Tested over runs, by whether any of their calls failed: the retries of one bad minute are no independent calls.
    """
    calls, failed, made, hit = Counter[Arm](), Counter[Arm](), Counter[Arm](), Counter[Arm]()
    for run in runs:
        calls[run.arm] += run.steps + run.failures
        failed[run.arm] += run.failures
        made[run.arm] += run.steps + run.failures > 0
        hit[run.arm] += run.failures > 0
    if not failed.total():
        return None
    stable, candidate = (failed[arm] / max(1, calls[arm]) for arm in (Arm.STABLE, Arm.CANDIDATE))
    clean = {arm: made[arm] - hit[arm] for arm in Arm}
    p = fisher_worse(clean[Arm.STABLE], made[Arm.STABLE], clean[Arm.CANDIDATE], made[Arm.CANDIDATE])
    stands = p < ALPHA_FAILURES and candidate - stable >= LEAST_RISE
    return Unlike(stable=stable, candidate=candidate, p_value=p, stands=stands)
