"""Label counts folded into the tallies of a guard: what every test of a canary reads. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from detent.evidence.metrics import SILENT_BAD_BUCKET, SILENT_GOOD_BUCKET, UNREAD_BUCKET, UNSCORED_BUCKET
from detent.terms import Arm, GuardEvidence, MetricRow, Tally, ValueTally

CONTROL = "control"
"""The slice of stable units that are compared with the candidate under a cache of their own; that of all units has no name."""


class LabelCount(NamedTuple):
    """`n` sealed units of one guard with one outcome: a row of the store."""

    metric: str
    period: int
    slice: str
    arm: Arm
    bucket: int
    n: int


Cell = tuple[int, str, Arm]
"""Share period, slice and arm."""

Labels = Mapping[Cell, Mapping[int, int]]
"""Sealed units of one guard: in each cell, how many are in which bucket."""


def labels_of(counts: Iterable[LabelCount]) -> dict[str, dict[Cell, dict[int, int]]]:
    """Label counts by metric."""
    found: defaultdict[str, defaultdict[Cell, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for metric, period, slice_, arm, bucket, n in counts:
        cell = found[metric][period, slice_, arm]
        cell[bucket] = cell.get(bucket, 0) + n
    return {metric: dict(cells) for metric, cells in found.items()}


def guard_evidence(row: MetricRow, counts: Iterable[LabelCount], splits: Mapping[int, float], *, control: bool = False) -> GuardEvidence:
    """Tallies of a guard on this metric from label counts, also of other metrics; see `evidence_of`."""
    return evidence_of(row, labels_of(count for count in counts if count.metric == row.name).get(row.name, {}), splits, control=control)


def evidence_of(row: MetricRow, labels: Labels, splits: Mapping[int, float], *, control: bool = False) -> GuardEvidence:
    """Tallies of a guard on this metric; `splits` is the candidate's share in each share period.

    `control`: the plan keeps a control slice. A metric that depends on the provider's cache is then compared with that slice instead of all
    of stable, if any of it was counted, and the split is the candidate's share of the two. Segments are not read.
    """
    periods = sorted({period for period, slice_, _ in labels if slice_ in ("", CONTROL)})
    if control and row.cached and any(slice_ == CONTROL for _, slice_, _ in labels):
        splits = {period: split / (split + control_share(split)) for period, split in splits.items() if split > 0.0}
        return _tallied(row, labels, {period: splits[period] for period in periods if period in splits}, "", CONTROL)
    return _tallied(row, labels, {period: splits[period] for period in periods}, "", "")


def segments(row: MetricRow, counts: Iterable[LabelCount], splits: Mapping[int, float]) -> dict[str, GuardEvidence]:
    """Evidence of a guard on this metric in each segment (`tenant=acme`), by its name: for people, no decision reads it."""
    labels = labels_of(count for count in counts if count.metric == row.name).get(row.name, {})
    names = sorted({slice_ for _, slice_, _ in labels} - {"", CONTROL})
    of_name = {name: sorted({period for period, slice_, _ in labels if slice_ == name}) for name in names}
    return {name: _tallied(row, labels, {period: splits[period] for period in of_name[name]}, name, name) for name in names}


def control_share(split: float) -> float:
    """The share of units in stable's control slice at a split: as large as the candidate's, or all of stable where that is less."""
    return min(split, 1.0 - split)


def _tallied(row: MetricRow, labels: Labels, splits: Mapping[int, float], slice_: str, of_stable: str) -> GuardEvidence:
    """Tallies of these share periods: the candidate's units of a slice and stable's units of another one, which gives them its name."""
    unscored: Counter[Arm] = Counter()
    unsaid: Counter[Arm] = Counter()
    silent: Counter[Arm] = Counter()
    found: list[tuple[int, float, str, dict[int, int], dict[int, int]]] = []
    for period, split in splits.items():
        scored: list[dict[int, int]] = []
        for arm, name in ((Arm.CANDIDATE, slice_), (Arm.STABLE, of_stable)):
            buckets = dict(labels.get((period, name, arm), {}))
            unscored[arm] += buckets.pop(UNREAD_BUCKET, 0)
            unsaid[arm] += buckets.pop(UNSCORED_BUCKET, 0)
            scored.append(buckets)
            if row.kind == "rate":
                silent[arm] += buckets.get(SILENT_GOOD_BUCKET, 0) + buckets.get(SILENT_BAD_BUCKET, 0)
        if any(scored):
            found.append((period, split, of_stable, scored[0], scored[1]))
    return GuardEvidence(
        metric=row.name,
        tallies=tuple(_tally(*tallied) for tallied in found if row.kind == "rate"),
        values=tuple(_value_tally(*tallied) for tallied in found if row.kind == "value"),
        candidate_unscored=unscored[Arm.CANDIDATE],
        stable_unscored=unscored[Arm.STABLE],
        candidate_silent=silent[Arm.CANDIDATE],
        stable_silent=silent[Arm.STABLE],
        candidate_unsaid=unsaid[Arm.CANDIDATE],
        stable_unsaid=unsaid[Arm.STABLE],
    )


def _tally(period: int, split: float, slice_: str, candidate: Mapping[int, int], stable: Mapping[int, int]) -> Tally:
    return Tally(
        period=period,
        split=split,
        slice=slice_,
        candidate_events=candidate.get(1, 0) + candidate.get(SILENT_BAD_BUCKET, 0),
        candidate_units=sum(candidate.values()),
        stable_events=stable.get(1, 0) + stable.get(SILENT_BAD_BUCKET, 0),
        stable_units=sum(stable.values()),
    )


def _value_tally(period: int, split: float, slice_: str, candidate: dict[int, int], stable: dict[int, int]) -> ValueTally:
    return ValueTally(period=period, split=split, slice=slice_, candidate=candidate, stable=stable)
