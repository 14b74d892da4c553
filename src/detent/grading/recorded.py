"""A mirrored exchange as it is graded: the request and two or three answers to it, from the journal or from memory."""

from __future__ import annotations

from dataclasses import dataclass

from detent.terms import Answer, Endpoint, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One leg of a pair. `answer` is None where nothing of it was kept; `said` is what a provider said that refused."""

    outcome: Outcome
    status: int | None = None
    answer: Answer | None = None
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPair:
    """A live exchange of stable and its mirrored legs. `at_us` is when the last of them was complete, `asked_us` when the request came.

    `unit` is the hash of what the split would stick to, and `drawn` is False where a rare stratum brought it in. `second` is None where
    stable was asked only once.
    """

    rollout: str
    exchange: str
    at_us: int
    asked_us: int
    unit: str
    endpoint: Endpoint
    request: bytes
    template: str
    drawn: bool
    stable: Side
    candidate: Side
    second: Side | None = None
