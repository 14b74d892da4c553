"""What the traffic is made of, and whether a frozen baseline still speaks for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from detent.sampling.features import STRATA
from detent.terms import Baseline, BaselineStage, show_duration

VALUES = 20
"""How many values of a dimension are told apart; rarer ones are `OTHER`. A system prompt that names its user is no thousand strata."""

OTHER = "other"

TEMPLATES = 200
"""How many templates a baseline remembers: the most frequent ones."""

ENOUGH = 100
"""Requests from which on recent traffic says something: of 100, a share of 20 % is known to about 8 points."""

CASUAL = frozenset({"season", "template"})
"""Dimensions that say nothing about staleness of their own: weekends come and go, and templates have a rule of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Recent traffic of a route: shares of its templates among `requests`, and of its strata among the `bodies` that were kept of it."""

    requests: int
    bodies: int = 0
    templates: Mapping[str, float] = field(default_factory=dict)
    strata: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def kept_values(counts: Mapping[str, float]) -> frozenset[str]:
    """The values of one dimension that are told apart; equally frequent ones in the order of their names."""
    return frozenset(sorted(counts, key=lambda value: (-counts[value], value))[:VALUES])


def shares(counts: Mapping[str, float]) -> dict[str, float]:
    """Shares of counted values, the most frequent first, the rarer ones together as `OTHER`."""
    total, kept = sum(counts.values()), kept_values(counts)
    found: dict[str, float] = {value: counts[value] / total for value in sorted(kept, key=lambda value: (-counts[value], value))}
    rest = sum(count for value, count in counts.items() if value not in kept)
    return found | {OTHER: found.get(OTHER, 0.0) + rest / total} if rest else found


def profile(placed: Iterable[Sequence[str]]) -> dict[str, dict[str, float]]:
    """Shares of each stratum's values among prompts, each given by its values in the order of `STRATA`."""
    counts: list[Counter[str]] = [Counter() for _ in STRATA]
    for values in placed:
        for counter, value in zip(counts, values, strict=True):
            counter[value] += 1
    return {name: shares(counter) for name, counter in zip(STRATA, counts, strict=True) if counter}


def stale(baseline: Baseline, stage: BaselineStage, traffic: Traffic | None, now: datetime) -> tuple[str, ...]:
    """Why a baseline does not speak for its route any more, each reason as a sentence with the value and its limit; () while it does.

    Too little recent traffic (`ENOUGH`) says nothing, and neither does a stratum that its cases do not place.
    """
    reasons = list(_age(baseline, stage, now))
    if traffic is not None and traffic.requests >= ENOUGH:
        reasons += _new_templates(baseline, stage, traffic)
    if traffic is not None and traffic.bodies >= ENOUGH:
        reasons += _uncovered(baseline, stage, traffic)
    return tuple(reasons)


def _age(baseline: Baseline, stage: BaselineStage, now: datetime) -> Iterable[str]:
    age = (now - baseline.frozen_at).total_seconds()
    if age > stage.max_age:
        yield f"it was frozen {_rounded(age)} ago; the limit is {show_duration(stage.max_age)}"


def _new_templates(baseline: Baseline, stage: BaselineStage, traffic: Traffic) -> Iterable[str]:
    """Whether the app's prompt, tools or parameters changed.

    Some apps write the date or a name into their system prompt, so that every request has a template of its own. How much of the traffic a
    baseline would not know even if nothing had changed is estimated from itself: what it saw only once, or did not keep, is the chance that
    the next request has a template not seen before (Good, 1953, with Turing's estimate). Only what is beyond that counts.
    """
    if not baseline.templates or not baseline.read:
        return
    seen_again = sum(share for share in baseline.templates.values() if share * baseline.read > 1.5)
    expected = max(0.0, 1.0 - seen_again)
    unknown = sum(share for name, share in traffic.templates.items() if name not in baseline.templates)
    unknown += max(0.0, 1.0 - sum(traffic.templates.values()))
    limit = 1.0 - stage.coverage + expected
    if unknown > limit:
        yield (
            f"{_percent(unknown)} of the last {traffic.requests:,} requests have a system prompt, tools or parameters "
            f"that it does not know; the limit is {_percent(limit)}"
        )


def _uncovered(baseline: Baseline, stage: BaselineStage, traffic: Traffic) -> Iterable[str]:
    """Which strata of the current traffic no case stands for. Values that it cannot tell apart may have the share that they had then."""
    for name, recent in traffic.strata.items():
        known = set(baseline.strata.get(name, ())) & {case.strata.get(name, "") for case in baseline.cases if not case.probe}
        if name in CASUAL or not known:
            continue
        covered = sum(share for value, share in recent.items() if value in known - {OTHER})
        covered += min(1.0 - covered, baseline.strata[name].get(OTHER, 0.0) if OTHER in known else 0.0)
        if covered < stage.coverage:
            rest = sorted((share, value) for value, share in recent.items() if value not in known)
            yield (
                f"its cases cover {_percent(covered)} of current traffic by {name}; the limit is {_percent(stage.coverage)}, "
                f"and most of the rest is `{rest[-1][1]}`"
            )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _rounded(seconds: float) -> str:
    """An age in whole days, or in whole hours below three days."""
    return f"{seconds / 86400:.0f} days" if seconds >= 3 * 86400 else f"{seconds / 3600:.0f} hours"
