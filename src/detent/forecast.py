"""What a baseline run will still cost, and what the new version will cost per day at full traffic: ranges, before anything is spent. Pure.

Tokens are those recorded with the cases, and what the first calls of this run counted. Three things are not known beforehand, and make the
range: how many prompts become suspects, how many tokens the candidate counts at the same text, and how long its answers are. Each is drawn
`DRAWS` times with the seed that is given, from what was measured so far (a bootstrap over prompts: Efron, 1979) or else from what is said
at `PRIOR_*`; the range is what lies between the 2.5 % and the 97.5 % of all draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detent.catalog import PRICED_ON, price
from detent.evidence.flips import RunKey, asked_cases, next_runs, suspects
from detent.evidence.spending import judging_usd
from detent.evidence.tally import FUTILE_FROM
from detent.terms import Arm, Baseline, BaselineStage, Case, Forecast, Price, Range, Run, Version

_Floats = NDArray[np.float64]

DRAWS = 2_000

PRIOR_SUSPECTS = (1.0, 19.0)
"""Beta distribution of the share of prompts that become suspects: one in twenty, as if twenty had been seen. What was screened is added."""

PRIOR_GOES_ON = (1.0, 1.0)
"""Beta distribution of the share of suspects that need the second half of their fresh runs."""

PRIOR_SAME_TEXT = (0.75, 1.35)
"""The candidate's tokens for each of stable's at the same text before anything was measured. Anthropic said 1.0 to 1.35 of the tokenizer
that came with Opus 4.7; OpenAI's o200k takes fewer than cl100k, the more so in languages other than English."""

PRIOR_LENGTH = (0.5, 2.0)
"""The length of the candidate's answers against stable's before anything was measured."""

CHARS_PER_TOKEN = 4.0
"""Where no tokens were recorded: about what English has."""

PRIOR_JUDGED = (1.0, 1.0)
"""Beta distribution of the share of runs that a judge is asked about: not of those that fail without it, or that say the same."""

ORDERS = 2
"""A judge is asked about a pair of outputs in both orders."""

RUBRIC_TOKENS, VERDICT_TOKENS = 800, 200
"""What a judge reads beside prompt and outputs, and what it writes: about."""

FEW = 3
"""Prompts that both versions have answered, from which a ratio is taken to be measured."""


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Input and output tokens of one call of each case, and which cases they are known of."""

    input: _Floats
    output: _Floats
    known: NDArray[np.bool_]


def forecast(
    frozen: Baseline,
    stage: BaselineStage,
    runs: Sequence[Run],
    *,
    stable: Version,
    candidate: Version,
    prices: Mapping[str, Price],
    requests_per_day: float | None,
    seed: int,
    judge: Version | None = None,
) -> Forecast:
    """What is still to be spent on this baseline. `prices` are the pin file's; `requests_per_day` is the route's whole traffic; `judge` may
    be asked about any run. An agent case takes as many calls as were recorded, or as its runs took so far.

    USD is None where a price is missing; `unknown` names what is missing, and what was guessed for lack of a record.
    """
    cases = frozen.cases
    if not cases:
        return Forecast(calls=0, most_calls=0, input_tokens=Range(0, 0, 0), output_tokens=Range(0, 0, 0))
    draw = np.random.default_rng(seed)
    base = _filled(_heard(cases, runs, Arm.STABLE), _recorded(cases))
    same_text, longer = _ratios(cases, runs, draw)
    inputs = same_text if same_text is not None else _between(PRIOR_SAME_TEXT, draw)
    outputs = longer if longer is not None else _between(PRIOR_LENGTH, draw)
    if stable == candidate:
        inputs = outputs = np.ones(DRAWS)
    calls = _calls(cases, stage, runs, draw)
    steps = _steps(cases, runs)
    a_run = _filled(_heard(cases, runs, Arm.STABLE, whole=True), replace(base, input=base.input * steps, output=base.output * steps))
    cached = _cached_share(cases)
    reads, writes, usd = np.zeros(DRAWS), np.zeros(DRAWS), np.zeros(DRAWS)
    paid = {Arm.STABLE: price(stable, prices), Arm.CANDIDATE: price(candidate, prices)}
    scales = {Arm.STABLE: (np.ones(DRAWS), np.ones(DRAWS)), Arm.CANDIDATE: (inputs, outputs)}
    for arm, (exact, confirming) in calls.items():
        read = (exact @ a_run.input + confirming * a_run.input.mean()) * scales[arm][0]
        write = (exact @ a_run.output * _resampled(a_run.output, draw) + confirming * a_run.output.mean()) * scales[arm][1]
        reads, writes = reads + read, writes + write
        usd += _usd(read, write, paid[arm], cached)
    most = _most(cases, stage, runs)
    most_usd = 0.0
    for arm, counts in most.items():
        read_more, write_more = (np.percentile(scale, 97.5) for scale in scales[arm])
        most_usd += float(_usd(counts @ a_run.input * read_more, counts @ a_run.output * write_more, paid[arm], cached))
    weights = np.array([case.weight for case in cases])
    a_day = {
        arm: _a_day(base, weights=weights, requests=requests_per_day, paid=paid[arm], cached=cached, scale=scales[arm], draw=draw)
        for arm in calls
    }
    priced = all(paid.values())
    judging = np.zeros(DRAWS)
    if judge is not None:
        each = np.sum([exact.sum() + confirming for exact, confirming in calls.values()], axis=0)
        judging = ORDERS * _judged_share(runs, draw) * each
        judge_paid = price(judge, prices)
        reads_once, writes_once = base.input.mean() + 2 * base.output.mean() + RUBRIC_TOKENS, VERDICT_TOKENS
        usd += _usd(judging * reads_once, judging * writes_once, judge_paid, None)
        if judge_paid is None:
            priced = False
        else:
            asked_usd = np.array([judging_usd(case, judge_paid) for case in cases])
            most_usd += sum(float(counts @ asked_usd) for counts in most.values())
    total = sum((exact @ steps + confirming.mean() * steps.mean() for exact, confirming in calls.values()), 0.0)
    return Forecast(
        calls=round(total),
        most_calls=round(float(np.sum([counts @ steps for counts in most.values()]))),
        judge_calls=round(float(judging.mean())),
        input_tokens=_range(reads),
        output_tokens=_range(writes),
        usd=_range(usd) if priced else None,
        most_usd=most_usd if priced else None,
        stable_usd_per_day=a_day[Arm.STABLE],
        candidate_usd_per_day=a_day[Arm.CANDIDATE],
        same_text=_range(same_text) if same_text is not None else None,
        cached_share=cached,
        unknown=_unknown(
            {stable: paid[Arm.STABLE], candidate: paid[Arm.CANDIDATE]} | ({judge: price(judge, prices)} if judge is not None else {}),
            candidate,
            base=base,
            measured=same_text is not None,
            requests_per_day=requests_per_day,
        ),
    )


def requests_per_day(frozen: Baseline, *, bodies: float) -> float | None:
    """The route's traffic, from what the baseline was drawn from; `bodies` is the share of exchanges that a gateway keeps whole.

    None where that spans less than an hour. Files of another tool are taken to hold all of the traffic.
    """
    if frozen.since_at is None or frozen.until_at is None:
        return None
    days = (frozen.until_at - frozen.since_at).total_seconds() / 86_400.0
    if days < 1 / 24:
        return None
    by_gateway = any(case.exchange is not None and case.exchange.startswith("ex_") for case in frozen.cases)
    return frozen.read / days / (bodies if by_gateway and bodies > 0 else 1.0)


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _recorded(cases: Sequence[Case]) -> _Tokens:
    """As frozen; for a case whose tokens nobody counted, by the characters of request and known-good output."""
    known = np.array([case.usage.input is not None and case.usage.output is not None for case in cases])
    chars = [(len(case.request), len(case.known_good) + sum(len(call.arguments) for call in case.known_good_calls)) for case in cases]
    return _Tokens(
        np.array([c[0] / CHARS_PER_TOKEN if case.usage.input is None else case.usage.input for case, c in zip(cases, chars, strict=True)]),
        np.array(
            [c[1] / CHARS_PER_TOKEN if case.usage.output is None else case.usage.output for case, c in zip(cases, chars, strict=True)]
        ),
        known,
    )


def _heard(cases: Sequence[Case], runs: Sequence[Run], arm: Arm, *, whole: bool = False) -> _Tokens:
    """Mean tokens of a version's runs so far, of those that took one call unless `whole` ones are asked for; NaN for a case without any."""
    found: dict[str, list[tuple[int, int]]] = {}
    for run in runs:
        if run.arm is arm and (whole or run.steps == 1) and run.usage.input and run.usage.output is not None:
            found.setdefault(run.case, []).append((run.usage.input, run.usage.output))
    means = np.array([np.mean(found[case.id], axis=0) if case.id in found else (np.nan, np.nan) for case in cases])
    return _Tokens(means[:, 0], means[:, 1], ~np.isnan(means[:, 0]))


def _steps(cases: Sequence[Case], runs: Sequence[Run]) -> _Floats:
    """Calls that one run of each case takes: the mean of its runs so far, else as recorded."""
    taken: dict[str, list[int]] = {}
    for run in runs:
        if run.steps > 0 and run.error is None:
            taken.setdefault(run.case, []).append(run.steps)
    return np.array([float(np.mean(taken[case.id])) if case.id in taken else len(case.script) + 1.0 for case in cases])


def _judged_share(runs: Sequence[Run], draw: np.random.Generator) -> _Floats:
    """Draws of the share of runs that the judge is asked about."""
    scored = [run.judged is not None for run in runs if run.passed is not None]
    return draw.beta(PRIOR_JUDGED[0] + sum(scored), PRIOR_JUDGED[1] + len(scored) - sum(scored), size=DRAWS)


def _filled(first: _Tokens, otherwise: _Tokens) -> _Tokens:
    return _Tokens(
        np.where(first.known, first.input, otherwise.input),
        np.where(first.known, first.output, otherwise.output),
        first.known | otherwise.known,
    )


def _cached_share(cases: Sequence[Case]) -> float | None:
    """The share of recorded input tokens that came from a cache, by the weight of traffic; None where nobody counted."""
    counted = [(c.weight * (c.usage.cached or 0), c.weight * c.usage.input) for c in cases if c.usage.input and c.usage.cached is not None]
    return sum(a for a, _ in counted) / sum(b for _, b in counted) if counted else None


def _ratios(cases: Sequence[Case], runs: Sequence[Run], draw: np.random.Generator) -> tuple[_Floats | None, _Floats | None]:
    """Draws of the candidate's tokens for each of stable's, input and output, over the prompts that both have answered."""
    stable, candidate = (_heard(cases, runs, arm) for arm in (Arm.STABLE, Arm.CANDIDATE))
    both = stable.known & candidate.known
    return _ratio(stable.input[both], candidate.input[both], draw), _ratio(stable.output[both], candidate.output[both], draw)


# ── draws ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ratio(stable: _Floats, candidate: _Floats, draw: np.random.Generator) -> _Floats | None:
    """Draws of the ratio of sums over prompts (a bootstrap); None before enough prompts were answered by both."""
    usable = stable > 0
    stable, candidate = stable[usable], candidate[usable]
    if len(stable) < FEW:
        return None
    counts = draw.multinomial(len(stable), np.full(len(stable), 1.0 / len(stable)), size=DRAWS)
    return np.asarray((counts @ candidate) / (counts @ stable), dtype=np.float64)


def _between(bounds: tuple[float, float], draw: np.random.Generator) -> _Floats:
    """Draws whose logarithm is normal and lies within the bounds 95 times in 100."""
    low, high = np.log(bounds)
    return np.exp(draw.normal((low + high) / 2, (high - low) / (2 * 1.96), size=DRAWS))


def _resampled(output: _Floats, draw: np.random.Generator) -> _Floats:
    """Draws of how far the mean length of answers is off, one recorded answer a prompt being all that is known of it."""
    mean = output.mean()
    if mean <= 0:
        return np.ones(DRAWS)
    return np.maximum(draw.normal(1.0, output.std() / (mean * np.sqrt(len(output))), size=DRAWS), 0.0)


def _calls(
    cases: Sequence[Case], stage: BaselineStage, runs: Sequence[Run], draw: np.random.Generator
) -> dict[Arm, tuple[_Floats, _Floats]]:
    """For each version the pending calls of each case, and draws of how many more there will be to confirm suspects not yet known."""
    ids = asked_cases(cases, runs)
    pending = next_runs(stage, ids, runs)
    place = {case.id: number for number, case in enumerate(cases)}
    exact = {arm: np.zeros(len(cases)) for arm in (Arm.STABLE, Arm.CANDIDATE)}
    for key in pending:
        exact[key.arm][place[key.case]] += 1
    goes_on = draw.beta(*PRIOR_GOES_ON, size=DRAWS)
    if not any(key.stage == "screen" for key in pending):
        return {arm: (found, _second_half(stage, runs, pending, arm=arm, goes_on=goes_on, draw=draw)) for arm, found in exact.items()}
    waiting = {key.case for key in pending}
    screened = [case for case in ids if case not in waiting]
    known = len(suspects(screened, runs))
    share = draw.beta(PRIOR_SUSPECTS[0] + known, PRIOR_SUSPECTS[1] + len(screened) - known, size=DRAWS)
    later = known + draw.binomial(len(waiting), share)
    first = stage.confirm // 2 if stage.confirm // 2 >= FUTILE_FROM else stage.confirm
    confirming = (first * later + (stage.confirm - first) * draw.binomial(later, goes_on)).astype(np.float64)
    return {arm: (found, confirming) for arm, found in exact.items()}


def _most(cases: Sequence[Case], stage: BaselineStage, runs: Sequence[Run]) -> dict[Arm, _Floats]:
    """For each version the calls of each case, if all that are not screened yet had to be confirmed: those pending, and fresh ones."""
    ids = asked_cases(cases, runs)
    waiting = {key.case for key in next_runs(stage, ids, runs) if key.stage == "screen"}
    asked = waiting | set(suspects([case for case in ids if case not in waiting], runs))
    due = Counter((key.arm, key.case) for key in next_runs(stage, ids, runs) if key.stage == "screen")
    due.update({(arm, case): stage.confirm for arm in Arm for case in asked})
    due.subtract((run.arm, run.case) for run in runs if run.stage == "confirm" and run.case in asked)
    return {arm: np.array([max(0, due[arm, case.id]) for case in cases], dtype=np.float64) for arm in (Arm.STABLE, Arm.CANDIDATE)}


def _second_half(
    stage: BaselineStage, runs: Sequence[Run], pending: Sequence[RunKey], *, arm: Arm, goes_on: _Floats, draw: np.random.Generator
) -> _Floats:
    """Draws of the calls of a version that come after the pending ones, for suspects whose first fresh runs do show a drop."""
    asked = Counter(run.case for run in runs if run.arm is arm and run.stage == "confirm")
    asked.update(key.case for key in pending if key.arm is arm)
    open_cases = {key.case for key in pending}
    rest = sum(max(0, stage.confirm - asked[case]) for case in open_cases)
    return rest * draw.binomial(len(open_cases), goes_on) / max(len(open_cases), 1)


def _usd(read: _Floats, write: _Floats, paid: Price | None, cached: float | None) -> _Floats:
    if paid is None:
        return np.zeros_like(read)
    again = paid.input if paid.cached is None else paid.cached
    input_price = paid.input + (again - paid.input) * (cached or 0.0)
    return (read * input_price + write * paid.output) / 1e6


def _a_day(
    base: _Tokens,
    *,
    weights: _Floats,
    requests: float | None,
    paid: Price | None,
    cached: float | None,
    scale: tuple[_Floats, _Floats],
    draw: np.random.Generator,
) -> Range | None:
    """The cost of a day's requests, prompts weighted by the traffic that they stand for and drawn again and again (a bootstrap)."""
    if requests is None or paid is None:
        return None
    counts = draw.multinomial(len(weights), weights / weights.sum(), size=DRAWS) / len(weights)
    return _range(requests * _usd(counts @ base.input * scale[0], counts @ base.output * scale[1], paid, cached))


def _range(draws: _Floats) -> Range:
    low, high = np.percentile(draws, [2.5, 97.5])
    return Range(float(low), float(draws.mean()), float(high))


# ── in words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _unknown(
    paid: Mapping[Version, Price | None],
    candidate: Version,
    *,
    base: _Tokens,
    measured: bool,
    requests_per_day: float | None,
) -> tuple[str, ...]:
    said = [f"price of {version}" for version, known in paid.items() if known is None]
    if not measured:
        said.append(f"how many tokens {candidate} counts at the same text: the first calls will tell")
    guessed = int((~base.known).sum())
    if guessed:
        said.append(f"tokens of {guessed} of {len(base.known)} prompts: guessed from their length")
    if requests_per_day is None:
        said.append("requests per day: the cost at full traffic is left out")
    return tuple(dict.fromkeys(said))


def describe_forecast(found: Forecast, candidate: Version) -> tuple[str, ...]:
    """The forecast in a few lines for people; ranges hold 95 %."""
    lines = [
        f"about {found.calls:,} calls still to make if {candidate} is as good as the pinned version"
        + (f", and about {found.judge_calls:,} of the judge" if found.judge_calls else ""),
        f"tokens: input {_tokens(found.input_tokens)}, output {_tokens(found.output_tokens)}",
    ]
    if found.usd is not None:
        lines.append(f"cost: {_money(found.usd)} (the pin file's prices, else list prices of {PRICED_ON:%Y-%m} or later)")
    if found.calls:
        cost = f", {_usd_text(found.most_usd)} USD" if found.most_usd is not None else ""
        lines.append(f"at most, if every prompt looked lost and had to be confirmed: {found.most_calls:,} calls{cost}")
    if found.same_text is not None:
        r = found.same_text
        lines.append(f"at the same text {candidate} counts {r.expected:.2f} times the tokens ({r.low:.2f} to {r.high:.2f})")
    if found.cached_share is not None:
        lines.append(f"{100 * found.cached_share:.0f} % of recorded input tokens came from a cache")
    if found.stable_usd_per_day is not None and found.candidate_usd_per_day is not None:
        lines.append(f"per day at full traffic: now {_money(found.stable_usd_per_day)}, then {_money(found.candidate_usd_per_day)}")
    return (*lines, *(f"not known: {what}" for what in found.unknown))


def _tokens(r: Range) -> str:
    return f"{r.expected:,.0f} ({r.low:,.0f} to {r.high:,.0f})"


def _money(r: Range) -> str:
    return f"{_usd_text(r.expected)} USD ({_usd_text(r.low)} to {_usd_text(r.high)})"


def _usd_text(value: float) -> str:
    return f"{value:,.2f}" if value >= 0.995 else f"{value:.2g}"
