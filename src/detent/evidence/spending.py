"""What calls cost, what they may cost at most, and whether a budget was reached. Pure.

The store holds all that is needed: what was spent is summed anew from the runs, so that a restart forgets nothing. A call that was not
made because it did not fit in the budget is a run as well, unscored, and its `error` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from detent.terms import BaselineStage, Case, Price, Run, Usage

_STOPPED = "not called: the budget is used up: "

BYTES_PER_TOKEN = 3
"""Of a request whose tokens nobody counted: English in JSON has about four, so that this is rather too many tokens than too few."""

OUTPUT_TOKENS = 4096
"""What an answer may take at most where the request sets no limit and no recorded answer says how long they are."""

OUTPUT_FACTOR = 3
"""A new version's answer may be this much longer than the recorded one where the request sets no limit."""

TOKENIZER_FACTOR = 1.35
"""The tokens of a request were counted as the recorded version counts them; a new tokenizer may make so many times as many of it."""

STEP_LIMIT = 12
"""Model calls of an agent case, or twice as many as were recorded where that is more."""

RUBRIC_TOKENS, VERDICT_TOKENS = 2_000, 1_000
"""What a judge reads beside the outputs, and what it writes."""


DAY_US = 86_400_000_000

HEAD_START_US = 2 * 3_600_000_000
"""A budget of a day is there little by little, so that afternoons are seen as well: this much of it at midnight already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """USD and tokens: what calls cost, may cost at most, or what is held for them."""

    usd: float = 0.0
    tokens: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(usd=self.usd + other.usd, tokens=self.tokens + other.tokens)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(usd=self.usd - other.usd, tokens=self.tokens - other.tokens)

    def covers(self, other: Cost) -> bool:
        """Whether the other is no more of anything; by a hair more in USD is the sum's rounding."""
        return other.usd <= self.usd + 1e-9 and other.tokens <= self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a day may cost; None is no limit."""

    usd: float | None = None
    tokens: int | None = None

    @property
    def none(self) -> bool:
        """Whether nothing is limited."""
        return self.usd is None and self.tokens is None


def day_of(at_us: int) -> int:
    """The beginning of the UTC day."""
    return at_us - at_us % DAY_US


def grant(want: Cost, least: Cost, *, limit: Limit, taken: Cost, at_us: int) -> Cost | None:
    """What of `want` may be held when `taken` is spent or held already; None where it would be less than `least`."""
    part = min(1.0, (at_us % DAY_US + HEAD_START_US) / DAY_US)
    usd = want.usd if limit.usd is None else max(0.0, min(want.usd, limit.usd * part - taken.usd))
    tokens = want.tokens if limit.tokens is None else max(0, min(want.tokens, math.floor(limit.tokens * part) - taken.tokens))
    given = Cost(usd=usd, tokens=tokens)
    return given if given.covers(least) else None


def worst_call(body: bytes, price: Price | None, *, max_tokens: int | None, answers: int = 1) -> Cost:
    """What one call may cost at most, by its size: nobody counted its tokens yet. Without a price, in tokens only.

    An estimate where the request sets no `max_tokens` (an answer may be longer than `OUTPUT_TOKENS`, reasoning above all) or names an
    image or a file by its URL: whoever reserves by it has to bear that a call under way costs more.
    """
    read = math.ceil(round(TOKENIZER_FACTOR * len(body) / BYTES_PER_TOKEN, 6))
    written = answers * (OUTPUT_TOKENS if max_tokens is None else max_tokens)
    usd = 0.0 if price is None else (read * price.input + written * price.output) / 1e6
    return Cost(usd=usd, tokens=read + written)


def cost_usd(usage: Usage, price: Price) -> float | None:
    """What these tokens cost; None where the provider did not count them. Output includes reasoning, as providers count it."""
    if usage.input is None or usage.output is None:
        return None
    cached = min(usage.cached or 0, usage.input)
    read = price.input if price.cached is None else price.cached
    return ((usage.input - cached) * price.input + cached * read + usage.output * price.output) / 1e6


def most_calls(case: Case) -> int:
    """How many model calls one run of a case may take: one, or for an agent case up to the step limit."""
    return step_limit(case) if case.script else 1


def step_limit(case: Case) -> int:
    """How many model calls a version gets for a case: twice those that were recorded, `STEP_LIMIT` at least."""
    return max(STEP_LIMIT, 2 * (len(case.script) + 1))


def worst_usd(case: Case, price: Price, *, max_tokens: int | None) -> float:
    """What one run of a case may cost at most: input as recorded, output at the request's limit or else three times the recorded one.

    The input may be `TOKENIZER_FACTOR` times as many tokens to another version. An agent case may take calls up to the step limit.
    """
    tokens = TOKENIZER_FACTOR * case.usage.input if case.usage.input is not None else len(case.request) / BYTES_PER_TOKEN
    recorded = OUTPUT_TOKENS if case.usage.output is None else OUTPUT_FACTOR * case.usage.output
    output = max_tokens if max_tokens is not None else recorded
    return most_calls(case) * (tokens * price.input + output * price.output) / 1e6


def judging_usd(case: Case, price: Price) -> float:
    """What asking a judge of one answer may cost at most: the prompt and both outputs, in both orders, and its verdicts."""
    tokens = case.usage.input if case.usage.input is not None else len(case.request) / BYTES_PER_TOKEN
    outputs = 2 * OUTPUT_FACTOR * (case.usage.output if case.usage.output is not None else len(case.known_good) / BYTES_PER_TOKEN)
    return 2 * ((tokens + outputs + RUBRIC_TOKENS) * price.input + VERDICT_TOKENS * price.output) / 1e6


def spent_usd(runs: Iterable[Run]) -> float | None:
    """The sum of what the runs cost; None where no cost is known at all."""
    known = [run.usd for run in runs if run.usd is not None]
    return sum(known) if known else None


def was_stopped(run: Run) -> bool:
    """Whether a run stands for a call that was not made, since it did not fit in the budget."""
    return run.error is not None and run.error.startswith(_STOPPED)


def stopped_by_budget(budget_usd: float) -> str:
    """The `error` of a run that was not made since it might have cost more than what is left of the budget."""
    return f"{_STOPPED}{budget_usd!r} USD"


def over_budget(stage: BaselineStage, runs: Iterable[Run]) -> bool:
    """Whether calls stopped at the stage's budget, or at a larger one: a budget that was raised since has not been reached."""
    if stage.budget_usd is None:
        return False
    stops = (str(run.error).removeprefix(_STOPPED).removesuffix(" USD") for run in runs if was_stopped(run))
    return any(float(stop) >= stage.budget_usd for stop in stops)
