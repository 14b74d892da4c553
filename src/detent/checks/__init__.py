"""Rules on one answer: one table, and how it is run. Pure.

A rule gives a `Score` or an `Unscored` with a reason. A rule that does not apply says nothing of the answer; one that could not do its work
(`broken`) leaves the answer without a verdict, unless another rule fails it.

graded.py  what a rule is given                    own.py    rules from `[checks.NAME]` rows of the pin file
rules.py   the builtin rules                       judge.py  what a judge is asked, and how its verdict is read
reference.py  is it the right answer               patterns.py, families.py, injections.py, calibrating.py
facts.py   numbers, dates, names and quotes        probes.py  does the system prompt still win
shown.py   an answer as one text
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from detent.checks import rules
from detent.checks.facts import find_context
from detent.checks.graded import Graded, Rule
from detent.errors import InvalidInput
from detent.terms import Score, Unscored

__all__ = ["CHECKS", "Check", "Graded", "Rule", "find_context", "passed", "run"]


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table."""

    name: str
    says: str
    run: Rule


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check("answered", "there is an answer: text to be seen, or a call of a tool that is offered; no refusal, not cut", rules.answered),
        Check("json_schema", "the answer follows the JSON schema that the request asks for", rules.json_schema),
        Check("json_valid", "the whole answer parses as JSON", rules.json_valid),
        Check("same_keys", "the answer's JSON has the keys of the known-good answer", rules.same_keys),
        Check("no_new_fence", "no code fence where the known-good answer has none", rules.no_new_fence),
        Check("no_trailing_text", "no closing text that the known-good answer lacks", rules.no_trailing_text),
        Check("no_trailing_artefact", "no mark left over at the end that is no part of an answer", rules.no_trailing_artefact),
        Check("no_new_escapes", "no unicode escapes where the known-good answer has none", rules.no_new_escapes),
        Check("same_tool_calls", "the tools are called as in the known-good answer", rules.same_tool_calls),
        Check("context_agreement", "the answer's numbers, dates, names and quotes stand in the context", rules.context_agreement),
        Check("matches_reference", "the answer is the case's reference, or ends with it", rules.matches_reference),
        Check("tone", "asked of the judge: the answer keeps the tone that the rubric asks for", rules.asked_of_the_judge),
        Check("task_complete", "asked of the judge: the answer completes the task", rules.asked_of_the_judge),
    )
}
"""Every builtin check, by name."""

_NONE: Mapping[str, Rule] = MappingProxyType({})


def run(names: Sequence[str], graded: Graded, own: Mapping[str, Rule] = _NONE) -> tuple[Score | Unscored, ...]:
    """One result for each name, in order; an answer that did not arrive whole is unscored throughout.

    `own` are the checks that the pin file adds. Raises InvalidInput for an unknown name and for a bad schema never: that is `Unscored`.
    """
    unknown = [name for name in names if name not in CHECKS and name not in own]
    if unknown:
        raise InvalidInput(f"unknown check: `{unknown[0]}`", hint=f"checks: {', '.join((*CHECKS, *own))}")
    if graded.answer.error is not None or not graded.answer.complete:
        return tuple(Unscored("the answer did not arrive whole") for _ in names)
    return tuple([(CHECKS[name].run if name in CHECKS else own[name])(graded) for name in names])


def passed(scores: Iterable[Score | Unscored]) -> bool | None:
    """Whether every check that applies passed; None when none does, or when one of them could not do its work and none failed."""
    scores = tuple(scores)
    scored = [score.passed for score in scores if isinstance(score, Score)]
    if not all(scored):
        return False
    return None if not scored or any(isinstance(score, Unscored) and score.broken for score in scores) else True
