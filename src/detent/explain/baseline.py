"""A baseline's result in sentences: the verdict, flips by cause, slices, changes, and the means that hid them. Pure."""

from __future__ import annotations

from collections import Counter

from detent.evidence.verdict import OnStale, counted, describe_failures, describe_slice, few, prompts
from detent.evidence.verdict import verdict as judged
from detent.terms import BaselineEvidence, Spread

SPREAD_ALPHA = 0.01
"""From which p-value on the two versions are said to vary alike. Spread is shown and decides nothing."""


def describe_baseline(found: BaselineEvidence, on_stale: OnStale = "wait") -> list[str]:
    """The baseline's result: the verdict, flips by cause, slices, changes, and the means that a mean-score gate would have read.

    `on_stale` is the plan's: where it says only to `warn`, a stale baseline may pass.
    """
    if found.cases == 0:
        return ["baseline: no frozen baseline"]
    verdict, sentence = judged(found, on_stale)
    lines = [f"baseline: {verdict.value.replace('_', ' ')}: {sentence}"]
    if not found.pending:
        lines.append(
            f"  {counted(len(found.confirmed), 'confirmed negative flip')} among {prompts(found.cases)} "
            f"({counted(found.suspects, 'suspect')} run again, about {prompts(found.positive)} better, {found.errors} not scored, "
            f"{found.never_right} that stable never passes)"
        )
    for cause, n in Counter(flip.cause for flip in found.confirmed).most_common():
        lines.append(f"  {n} x {cause}")
    for note, n in Counter(note for flip in found.confirmed for note in flip.notes).most_common():
        lines.append(f"  {note}: {n} of the lost prompts")
    lines += [f"  refused: `{shape.shape}` ({prompts(shape.cases)}): {shape.said}" for shape in found.refused]
    if found.left_script:
        lines.append(f"  leaves the recorded script: {few(list(found.left_script))}")
    lines += [f"  {line}" for line in (*_slices(found), *_changes(found), *_figures(found))]
    return lines


def _slices(found: BaselineEvidence) -> list[str]:
    """All prompts, each harmed stratum, and the worst of the others."""
    if found.overall is None:
        return []
    others = [s for s in found.slices if not s.harmed][:1]
    lines = [describe_slice(found.overall) + (" HARMED" if found.overall.harmed else "")]
    if found.overall.weighted is not None and abs(found.overall.weighted - found.overall.difference) >= 0.001:
        lines.append(f"by the traffic that prompts stand for: {100 * found.overall.weighted:+.1f} points")
    lines += [f"slice {describe_slice(s)} HARMED" for s in found.slices if s.harmed]
    return lines + [f"worst {'other ' if len(others) < len(found.slices) else ''}slice {describe_slice(s)}" for s in others]


def _changes(found: BaselineEvidence) -> list[str]:
    """How many prompts show each named change, lost or not."""
    lines = []
    if found.changes:
        lines.append("changed in most runs: " + ", ".join(f"{name} {n}" for name, n in found.changes.items()) + " prompts")
    if found.reworded:
        lines.append(f"only reworded: {prompts(found.reworded)}")
    return lines


def _beside(found: BaselineEvidence) -> list[str]:
    """Cases that are in no mean, and what went on around the answers."""
    lines = []
    if found.probes:
        unscored = f", {found.probes_unscored} not scored on either version" if found.probes_unscored else ""
        lines.append(f"probes: {found.probes}, in no mean{unscored}")
    if found.not_replayable:
        lines.append(f"not replayable: stable itself leaves the recorded script of {prompts(found.not_replayable)}")
    if found.leaving is not None:
        lines.append(
            f"runs of agent cases that leave the script: candidate {100 * found.leaving.candidate:.1f} %, stable "
            f"{100 * found.leaving.stable:.1f} % (p = {found.leaving.p_value:.2g})"
        )
    if found.failures is not None:
        lines.append(f"the candidate's calls: {describe_failures(found.failures)}")
    return lines


def _figures(found: BaselineEvidence) -> list[str]:
    """What a reader has to know beside the verdict."""
    lines = _beside(found)
    if found.spread is not None:
        alike = f"no difference that stands, which takes p < {SPREAD_ALPHA:g}"
        kept = alike if found.spread.p_value >= SPREAD_ALPHA else "the candidate varies " + _more(found.spread)
        lines.append(
            f"spread: stable's own runs differ by {100 * found.spread.stable:.1f} % of their words, the candidate's by "
            f"{100 * found.spread.candidate:.1f} % over {prompts(found.spread.cases)} (p = {found.spread.p_value:.2g}): {kept}"
        )
    if found.content_stable is not None and found.content_candidate is not None:
        lines.append(f"mean content score: stable {found.content_stable:.3f}, candidate {found.content_candidate:.3f}")
    if found.noise_floor is not None:
        lines.append(f"noise floor: stable against itself flips {100 * found.noise_floor:.1f} % of prompts in a single run")
    if found.blessed is not None:
        lines.append(f"known good: {100 * found.blessed:.0f} % of the traffic weight is blessed; elsewhere a change is only a change")
    lines += [f"stale: {why}" for why in found.stale]
    if found.spent_usd is not None:
        lines.append(f"spent: {found.spent_usd:.2f} USD" + (", stopped at the budget" if found.over_budget else ""))
    return lines


def _more(spread: Spread) -> str:
    return "more" if spread.candidate > spread.stable else "less"
