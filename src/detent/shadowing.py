"""What the tests say of a shadow: what it still waits for, how much of tomorrow's traffic it has compared, harm in words. Pure.

`decide` asks this of a rollout in its shadow, and `explain` and `detent shadow` tell it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from detent.evidence.pairs import Harm, Named, covered, named_of
from detent.evidence.verdict import Finding, few
from detent.guarding import describe_e
from detent.terms import SHAPE, ShadowEvidence, ShadowStage, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """The share of tomorrow's mirrored traffic whose class was compared, with its 95 % interval; of `pairs`, with so many `classes`."""

    estimate: float
    low: float
    high: float
    pairs: int
    classes: int


def covered_of(found: ShadowEvidence, dimension: str) -> Covered | None:
    """How much of a dimension (`class`: the input class; `cluster`; one of `DIMENSIONS`) was met; None where nothing is known of it."""
    counted, share = next((c for c in found.coverage if c.dimension == dimension), None), covered(found, dimension)
    if counted is None or share is None:
        return None
    return Covered(estimate=share.estimate, low=share.low, high=share.high, pairs=counted.pairs, classes=counted.classes)


def describe_covered(covered: Covered) -> str:
    """`97.8 % of tomorrow's traffic that can be mirrored looks like something already compared (95 % interval 96.9 % to 98.6 %)`."""
    return (
        f"{percent(covered.estimate)} of tomorrow's traffic that can be mirrored looks like something already compared "
        f"(95 % interval {percent(covered.low)} to {percent(covered.high)})"
    )


def percent(share: float) -> str:
    """`97.8 %`; never rounded up to all of it."""
    shown = 100.0 * share
    return f"{math.floor(10.0 * shown) / 10.0 if 99.95 <= shown < 100.0 else shown:.1f} %"


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def describe_field(field: str) -> str:
    """`fence_added` of `change:fence_added`; `any check` where no field alone is meant."""
    return field.partition(":")[2] or field or "any check"


UNTOLD = ("none", "any")
"""Values that say nothing of a kind of request: it has none of this, or of any."""


def describe_class(input_class: str) -> str:
    """`language de, length to 256` of `none · none · de · to 256`: what a kind of request has, by `SHAPE`."""
    values = input_class.split(" · ")
    if len(values) != len(SHAPE):
        return input_class
    has = [f"{name} {value}" for name, value in zip(SHAPE, values, strict=True) if value not in UNTOLD]
    return ", ".join(has) or input_class


def describe_harm(harm: Harm) -> str:
    """The field, in which inputs, and both counts."""
    return f"{_where(harm.field, harm.input_class)}: {_counts(harm.field, harm.candidate_only, harm.stable_only)}"


def describe_named(named: Named) -> str:
    """A change that is beyond the noise floor, and no harm by the plan."""
    return f"{_where(named.field, named.input_class)} ({_counts(named.field, named.candidate_only, named.stable_only)})"


def _where(field: str, input_class: str) -> str:
    return describe_field(field) + (f" in requests with `{describe_class(input_class)}`" if input_class else "")


def _counts(field: str, candidate_only: int, stable_only: int) -> str:
    kind = field.partition(":")[0]
    if kind in ("change", "judge"):
        worse = "worse" if kind == "judge" else "there"
        return f"{worse} in {candidate_only} pairs only on the candidate, and in {stable_only} only where stable answered a second time"
    return f"{candidate_only} pairs fail only on the candidate and {stable_only} only where stable answered a second time"


# ── what a shadow waits for ─────────────────────────────────────────────────────────────────────────────────────────


def lacking(stage: ShadowStage, found: ShadowEvidence) -> Finding | None:
    """What the evidence lacks by the plan, the first of: pairs, second answers, coverage, pairs that could be scored. None: nothing."""
    if found.pairs < stage.pairs:
        return _lacks("TooFewPairs", f"{found.pairs} of {stage.pairs} shadow pairs scored", pairs=found.pairs)
    seconds = math.floor(stage.pairs * stage.second / 2.0)  # half of those asked for: the second draw is independent of the first
    if found.seconds < seconds:
        said = f"stable was asked a second time in {found.seconds} pairs, and {seconds} at least are the noise floor"
        return _lacks("TooFewSeconds", said, seconds=found.seconds)
    if uncovered := _uncovered(stage, found):
        return uncovered
    if found.unscored > found.pairs:
        said = f"{found.unscored} shadow pairs could not be scored, and only {found.pairs} could; those never count as passes"
        return _lacks("ShadowInconclusive", said, pairs=found.pairs, unscored=found.unscored)
    return None


def _uncovered(stage: ShadowStage, found: ShadowEvidence) -> Finding | None:
    """Whether too little of what tomorrow brings was met, by the lower end of the interval. What is not known is not covered."""
    if stage.coverage == 0.0:
        return None
    share, wanted = covered_of(found, "class"), f"{100 * stage.coverage:g} %"
    if share is None:
        return _lacks("CoverageNotReached", f"how much of tomorrow's traffic was compared is not known; {wanted} is needed")
    if share.low >= stage.coverage:
        return None
    said = f"{describe_covered(share)}; its lower end must reach {wanted}"
    return _lacks("CoverageNotReached", said, covered=round(share.estimate, 6), covered_low=round(share.low, 6))


def _lacks(reason: str, sentence: str, **numbers: float) -> Finding:
    return Finding(Verdict.INCONCLUSIVE, reason, sentence, numbers)


def passed(found: ShadowEvidence, alpha: float) -> str:
    """What a shadow that nothing is lacking of has compared, and how else the candidate answers although that harms nobody."""
    share = covered_of(found, "class")
    named = list(dict.fromkeys(describe_named(one) for one in named_of(found, alpha)))
    unscored = f"; {found.unscored} more could not be scored, and say nothing" if found.unscored else ""
    parts = [
        f"{found.pairs} pairs scored, no harm{unscored}",
        describe_covered(share) if share else "",
        f"beyond the noise floor, and no harm by the plan: {few(named)}" if named else "",
    ]
    return "; ".join(filter(None, parts))


def harm_sentence(harm: Harm) -> str:
    """Which field, where, how often, and what the bets come to."""
    return (
        f"{describe_harm(harm)}; {describe_field(harm.field)} alone: E = {describe_e(harm.log_e_field)}; "
        f"all fields together: E = {describe_e(harm.log_e)}"
    )
