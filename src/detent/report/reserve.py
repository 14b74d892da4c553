"""The blind reserve counts in every number of a report and is shown in none of its texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from detent.terms import Arm, BaselineEvidence, Case, Run

WITHHELD = "(withheld)"
"""Stands in the evidence for whatever would show a case of the blind reserve."""


def without_reserve(found: BaselineEvidence, cases: Sequence[Case], runs: Iterable[Run]) -> BaselineEvidence:
    """The evidence with every number as it was, and nothing in it that shows a case of the blind reserve."""
    shown = {case.id for case in cases if not case.reserve}
    if len(shown) == len(cases):
        return found
    slices = {f"{name}={value}" for case in cases if case.id in shown for name, value in case.strata.items()}
    refusing = [run for run in runs if run.case in shown and run.arm is Arm.CANDIDATE and run.request_refused]
    said = "\n".join(text for run in refusing for text in (run.error, run.output) if text)
    return replace(
        found,
        confirmed=tuple(
            flip if flip.case in shown else replace(flip, case=WITHHELD, stable_output="", candidate_output="", notes=())
            for flip in found.confirmed
        ),
        left_script=tuple(id if id in shown else WITHHELD for id in found.left_script),
        slices=tuple(s if s.name in slices else replace(s, name=WITHHELD) for s in found.slices),
        refused=tuple(r if r.said in said else replace(r, said=WITHHELD) for r in found.refused),
    )


def without_names(sentence: str, found: BaselineEvidence, shown: BaselineEvidence) -> str:
    """The sentence without what the evidence withholds: it may quote a provider's words, or name a slice."""
    hidden = [before.said for before, after in zip(found.refused, shown.refused, strict=True) if before != after]
    hidden += [before.name for before, after in zip(found.slices, shown.slices, strict=True) if before != after]
    hidden += [flip.case for flip, kept in zip(found.confirmed, shown.confirmed, strict=True) if flip != kept]
    for text in sorted(filter(None, hidden), key=len, reverse=True):
        sentence = sentence.replace(text, WITHHELD)
    return sentence
