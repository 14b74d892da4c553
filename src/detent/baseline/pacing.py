"""How many calls a provider is sent at once, learned from how it answers: additive increase, multiplicative decrease. Pure.

Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer networks" (1989): of all linear
controls only x + a on success and b x on overload lead several senders to a fair share. Here a = 1 after as many answers as calls are
allowed at once, b = 1/2. Times are seconds on the caller's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

START = 4
CEILING = 32

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
"""A provider is left alone for so long at most, whatever it asks for: `retry-after: 86400` is an answer, not a pace."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`limit` calls at once, none before `not_before`. `answers` came since the limit last moved, at `halved_at` for the last time down.

    `streak` counts halvings without an answer between them.
    """

    limit: int = START
    answers: int = 0
    not_before: float = 0.0
    halved_at: float = float("-inf")
    streak: int = 0


def answered(pace: Pace) -> Pace:
    """After a call that the provider had time for: one more at once when a whole window of them came."""
    if pace.answers + 1 < pace.limit:
        return replace(pace, answers=pace.answers + 1, streak=0)
    return replace(pace, limit=min(pace.limit + 1, CEILING), answers=0, streak=0)


def overloaded(pace: Pace, *, sent_at: float, now: float, retry_after_s: float | None) -> Pace:
    """After a call that the provider had no time for. Calls sent before the last halving say nothing new and don't halve again.

    The provider is left alone for as long as it asks, else for a pause that doubles with each halving without an answer between.
    """
    if sent_at < pace.halved_at:
        asked = 0.0 if retry_after_s is None else min(retry_after_s, LONGEST_PAUSE_S)
        return replace(pace, not_before=max(pace.not_before, now + asked))
    wait = pause(pace.streak) if retry_after_s is None else min(retry_after_s, LONGEST_PAUSE_S)
    return Pace(max(1, pace.limit // 2), 0, max(pace.not_before, now + wait), now, pace.streak + 1)


def pause(attempt: int) -> float:
    """Seconds to wait after the attempt of this number, from 0: each twice the one before, up to the longest."""
    return min(FIRST_PAUSE_S * 2.0 ** min(attempt, 30), LONGEST_PAUSE_S)
