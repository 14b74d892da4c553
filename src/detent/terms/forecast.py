"""What a change of version will cost: ranges, never a bare guess."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """An expected value with a 95 % interval."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is still to be spent on a baseline run, and what the bump will cost per day at full traffic.

    `same_text` is how many input tokens the candidate counts for each that stable counts at the same text (its tokenizer), `cached_share`
    the share of input tokens served from a cache in the recorded traffic. USD is None where a price is not known; `unknown` says which.
    The ranges are those of a candidate that is about as good as stable; `most_calls` and `most_usd` are the end of it, were every prompt to
    look lost and all fresh runs of both versions due. `judge_calls` come on top of `calls`; their cost is in `usd` and `most_usd`, their
    tokens are not in the ranges of tokens.
    """

    calls: int
    most_calls: int
    input_tokens: Range
    output_tokens: Range
    usd: Range | None = None
    most_usd: float | None = None
    stable_usd_per_day: Range | None = None
    candidate_usd_per_day: Range | None = None
    same_text: Range | None = None
    cached_share: float | None = None
    unknown: tuple[str, ...] = ()
    judge_calls: int = 0
