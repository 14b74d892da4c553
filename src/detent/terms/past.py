"""What stable's recorded traffic says of a route: what power is planned with, and bets take for usual."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PastMetric:
    """One metric over past units: scored ones, those with the event (a rate), their log-1.02 buckets (a value), those heard of."""

    units: int = 0
    events: int = 0
    heard: int = 0
    buckets: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Stable's latest recorded traffic of a route, folded into units as a rollout's own are.

    `seconds` is the time that it spans. `done_after_s` is the 95th percentile of the time from a unit's first request to the app's word
    that its task was done: its usual gap; None where the app never said so. `lasts_s` is the 95th percentile of a unit's time from its
    first request to its last result; None where none has ended. `legs` counts the requests that the units sent.

    `hourly` is how many new units an hour came in the last `counted_s` seconds, up to now; the units here may all be of one busy hour.
    """

    units: int = 0
    seconds: float = 0.0
    metrics: dict[str, PastMetric] = field(default_factory=dict)
    done_after_s: float | None = None
    legs: int = 0
    lasts_s: float | None = None
    hourly: float | None = None
    counted_s: float = 0.0

    @property
    def units_per_hour(self) -> float:
        """New units an hour; 0 where too little is known."""
        if self.hourly is not None:
            return self.hourly
        return self.units / self.seconds * 3600.0 if self.seconds > 0.0 else 0.0
