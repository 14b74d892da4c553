"""What stable's recorded traffic says of a route, folded into units as a rollout's own are, and what bets take for usual. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from detent.evidence.metrics import METRICS, UNREAD_BUCKET, UNSCORED_BUCKET, Metric, begun_of
from detent.evidence.units import Running, UnitFold, UnitKey, Units, bucket_of
from detent.stats import sketch
from detent.terms import Begun, Feedback, Guard, Intent, MetricRow, Past, PastMetric, Result, Role, Working

LEAST_UNITS = 30
"""Scored units below which nothing is said of the usual distribution of a value."""

BUCKET_DEVIATION = 0.01
"""Of ln(value), half a sketch's bucket: values that all share a bucket have that for a deviation, not none."""

USUAL_QUANTILE = 0.95
"""Of durations: how long what is usual takes at most."""

QUANTILES = (0.5, 0.9, 0.99)

_PAST = "past"


def past_of(
    legs: Iterable[tuple[Intent, Result | Begun | None]],
    feedback: Iterable[tuple[Feedback, str]],
    guards: Sequence[Guard],
    metrics: Mapping[str, Metric],
    *,
    until_us: int | None = None,
) -> Past:
    """The units of past traffic, and what they say of the guards' metrics; of two guards on one metric the first counts.

    A leg comes with what is known of it: its result, or its first byte, or nothing yet. `feedback` comes with the id of the unit that it is
    about. `until_us` is the time up to which the records reach, by default the last of them: silence of a unit that was not mature by then
    says nothing.
    """
    first = {guard.metric: guard for guard in reversed(guards)}
    fold = UnitFold(Units(), {_PAST: list(first.values())}, {_PAST: metrics})
    counted = [(replace(i, rollout=_PAST, randomised=True), r) for i, r in legs if i.role is not Role.MIRRORED]
    counted.sort(key=lambda leg: leg[0].at_us)  # a unit is then exposed once, and not again by each leg that was earlier
    said = list(feedback)
    for intent, _ in counted:
        fold.intent(intent)
    for intent, known in counted:
        if isinstance(known, Result):
            fold.result(intent, known)
        # A result keeps when the first byte was there: without it every long answer would have come too late for some guards.
        begun = begun_of(intent, known) if isinstance(known, Result) else known
        if begun is not None:
            fold.begun(intent, begun)
    for word, unit in said:
        fold.feedback(word, UnitKey(_PAST, unit))
    times = [intent.at_us for intent, _ in counted]
    if not times:
        return Past()
    heard_at = (*times, *(known.at_us for _, known in counted if known is not None), *(word.at_us for word, _ in said))
    last_us = max(heard_at) if until_us is None else until_us
    changes = fold.changes()
    rows: defaultdict[str, list[Running]] = defaultdict(list)
    for row in changes.running:
        rows[row.guard].append(row)
    began = {unit.key.unit: unit.first_us for unit in changes.exposed}
    return Past(
        units=len(began),
        seconds=(max(times) - min(times)) / 1e6,
        metrics={name: _metric(metrics[name], rows[name], last_us) for name in first if name in rows},
        done_after_s=_done_after_s(said, began),
        legs=len(counted),
        lasts_s=_lasts_s(counted, began),
    )


def _metric(metric: Metric, rows: Iterable[Running], last_us: int) -> PastMetric:
    buckets: Counter[int] = Counter()
    heard = 0
    for row in rows:
        heard += row.said > 0
        # An app speaks up for a few: to count those of the last half hour without the silent ones would make the few the rule.
        waits = row.due_us > last_us and metric.silent is not None and (metric.row.source == "feedback" or not row.said)
        if not waits:
            buckets[bucket_of(row, metric)] += 1
    del buckets[UNSCORED_BUCKET], buckets[UNREAD_BUCKET]
    units = buckets.total()
    if metric.kind == "rate":
        return PastMetric(units=units, events=sum(n for bucket, n in buckets.items() if bucket % 2), heard=heard)
    return PastMetric(units=units, heard=heard, buckets=dict(sorted(buckets.items())))


def _done_after_s(said: Iterable[tuple[Feedback, str]], began: Mapping[str, int]) -> float | None:
    """The usual time of a unit from its first request to the first word that its task was done, at most."""
    done: dict[str, int] = {}
    for word, unit in said:
        if word.metric == "task_done" and word.value and unit in began and word.at_us >= began[unit]:
            done[unit] = min(word.at_us, done.get(unit, word.at_us))
    return _usual_s(at_us - began[unit] for unit, at_us in done.items())


def _lasts_s(legs: Iterable[tuple[Intent, Result | Begun | None]], began: Mapping[str, int]) -> float | None:
    """The usual time of a unit from its first request to its last result, at most."""
    ended: dict[str, int] = {}
    for intent, known in legs:
        if isinstance(known, Result):
            ended[intent.unit] = max(known.at_us, ended.get(intent.unit, known.at_us))
    return _usual_s(at_us - began[unit] for unit, at_us in ended.items())


def _usual_s(durations_us: Iterable[int]) -> float | None:
    """The 95th percentile; None of nothing."""
    found = sorted(durations_us)
    return found[math.ceil(USUAL_QUANTILE * len(found)) - 1] / 1e6 if found else None


# ── what bets take for usual ────────────────────────────────────────────────────────────────────────────────────────


def working_of(past: Past, rows: Mapping[str, MetricRow]) -> dict[str, Working]:
    """The working model of each of these metrics; of one that too little is known of there is none.

    A rate is (events + 1/2) / (units + 1): the half event (Jeffreys) keeps a guard without any event off 0.
    """
    found: dict[str, Working] = {}
    for name, row in rows.items():
        known = past.metrics.get(name, PastMetric())
        if row.kind == "rate" and known.units:
            found[name] = Working(rate=(known.events + 0.5) / (known.units + 1), units=known.units)
        elif (working := working_from(row, known.buckets)) is not None:
            found[name] = working
    return found


def working_from(row: MetricRow, buckets: Mapping[int, int]) -> Working | None:
    """The working model of a value, from units by bucket; None of too few, and of a rate."""
    units = sum(buckets.values())
    if row.kind != "value" or units < LEAST_UNITS:
        return None
    logs = {bucket: sketch.bucket_log(bucket) for bucket in buckets}
    centre = sum(n * logs[bucket] for bucket, n in buckets.items()) / units
    square = sum(n * (logs[bucket] - centre) ** 2 for bucket, n in buckets.items()) / (units - 1)
    thresholds = tuple(value for q in QUANTILES if (value := sketch.quantile(buckets, q)) is not None)
    return Working(centre=centre, deviation=max(BUCKET_DEVIATION, math.sqrt(square)), thresholds=thresholds, units=units)


# ── before the canary ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """An arm's units that were on record before the canary began: how many, how many of them had an error then, and their mean latency.

    `latency_s` is the mean over units of a unit's own mean; None where no answer of theirs was complete.
    """

    units: int = 0
    errors: int = 0
    latency_s: float | None = None

    @property
    def error_rate(self) -> float | None:
        """The share of these units that had an error; None of no units."""
        return self.errors / self.units if self.units else None


_FOR_GOOD_S = 10 * 365 * 86400.0


def before_of(legs: Iterable[tuple[Intent, Result | None]]) -> Before:
    """What an arm's units were like before, from their legs of that time."""
    guards = [Guard(metric=name, margin_ratio=1.5, matures=_FOR_GOOD_S) for name in ("error", "latency")]
    past = past_of(legs, (), guards, METRICS)
    latency = past.metrics.get("latency", PastMetric()).buckets
    mean = sum(n * sketch.bucket_value(bucket) for bucket, n in latency.items()) / sum(latency.values()) if latency else None
    return Before(units=past.units, errors=past.metrics.get("error", PastMetric()).events, latency_s=mean)
