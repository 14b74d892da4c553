"""Minute sums: what charts and percentiles read, and no gate. Pure: records in, mergeable sums out.

One `MinuteSums` per (minute of the leg's sending, route, rollout, role, arm assigned, version sent); two of the same key merge by addition.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from detent.stats.sketch import bucket
from detent.terms import Intent, Outcome, Result

MINUTE_US = 60_000_000


class MinuteKey(NamedTuple):
    """What a sum is about; `route` and `rollout` are empty where there is none."""

    minute_us: int
    route: str
    rollout: str
    role: str
    arm: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Count, sum, sum of squares and sketch (bucket -> count, `stats.sketch`) of one quantity."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    sketch: dict[int, int] = field(default_factory=dict)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            n=self.n + other.n,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            sketch=dict(Counter(self.sketch) + Counter(other.sketch)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteSums:
    """Legs sent, results by outcome, and the moments of latency (s), time to the first byte (s) and output tokens of complete answers."""

    legs: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    latency: Moments = Moments()
    first_byte: Moments = Moments()
    output_tokens: Moments = Moments()

    def __add__(self, other: MinuteSums) -> MinuteSums:
        return MinuteSums(
            legs=self.legs + other.legs,
            outcomes=dict(Counter(self.outcomes) + Counter(other.outcomes)),
            latency=self.latency + other.latency,
            first_byte=self.first_byte + other.first_byte,
            output_tokens=self.output_tokens + other.output_tokens,
        )


def key_of(intent: Intent) -> MinuteKey:
    """The sum that a leg belongs to, with its intent and its result."""
    minute = intent.at_us - intent.at_us % MINUTE_US
    version = f"{intent.provider}/{intent.model}"
    return MinuteKey(minute, intent.route or "", intent.rollout or "", intent.role.value, intent.arm.value, version)


def minute_sums(intents: Iterable[Intent], results: Iterable[tuple[Intent, Result]]) -> dict[MinuteKey, MinuteSums]:
    """Sums of the given intents, and of the given results, each with the intent of its leg."""
    legs = Counter(key_of(intent) for intent in intents)
    outcomes: defaultdict[MinuteKey, Counter[str]] = defaultdict(Counter)
    values: defaultdict[MinuteKey, tuple[list[float], list[float], list[float]]] = defaultdict(lambda: ([], [], []))
    for intent, result in results:
        key = key_of(intent)
        outcomes[key][result.outcome.value] += 1
        if result.outcome is Outcome.COMPLETE:
            for held, value in zip(values[key], (result.latency_s, result.first_byte_s, result.usage.output), strict=True):
                if value is not None and 0 <= value < math.inf:
                    held.append(float(value))
    return {
        key: MinuteSums(
            legs=legs[key],
            outcomes=dict(outcomes[key]),
            latency=_moments(values[key][0]),
            first_byte=_moments(values[key][1]),
            output_tokens=_moments(values[key][2]),
        )
        for key in {**legs, **outcomes}
    }


def _moments(values: list[float]) -> Moments:
    squares = math.fsum(value * value for value in values)
    return Moments(n=len(values), total=math.fsum(values), squares=squares, sketch=dict(Counter(map(bucket, values))))
