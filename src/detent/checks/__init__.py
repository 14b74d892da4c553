"""Rules on one answer: one table, and how it is run. Pure.

A rule gives a `Score` or an `Unscored` with a reason; what could not be scored never becomes 0, 1 or a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from detent.checks import rules
from detent.checks.facts import find_context
from detent.errors import InvalidInput
from detent.terms import Answer, Prompt, Score, Unscored

__all__ = ["CHECKS", "Check", "find_context", "passed", "run"]

Rule = Callable[[Prompt, Answer, Answer | None, str | None], Score | Unscored]
"""(prompt, answer, known-good answer, context) -> score."""


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table."""

    name: str
    says: str
    run: Rule


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check("answered", "the answer has text or a tool call, and is no refusal", rules.answered),
        Check("json_schema", "the answer follows the JSON schema that the request asks for", rules.json_schema),
        Check("json_valid", "the whole answer parses as JSON", rules.json_valid),
        Check("same_keys", "the answer's JSON has the keys of the known-good answer", rules.same_keys),
        Check("no_new_fence", "no code fence where the known-good answer has none", rules.no_new_fence),
        Check("no_trailing_text", "no closing text that the known-good answer lacks", rules.no_trailing_text),
        Check("no_new_escapes", "no unicode escapes where the known-good answer has none", rules.no_new_escapes),
        Check("same_tool_calls", "the tools are called as in the known-good answer", rules.same_tool_calls),
        Check("context_agreement", "the answer's numbers and dates stand in the context", rules.context_agreement),
    )
}
"""Every builtin check, by name."""


def run(
    names: Sequence[str], prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None
) -> tuple[Score | Unscored, ...]:
    """One result for each name, in order; an answer that did not arrive whole is unscored throughout.

    Raises InvalidInput for an unknown name and for a bad schema never: that is `Unscored`.
    """
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise InvalidInput(f"unknown check: `{unknown[0]}`", hint=f"builtin checks: {', '.join(CHECKS)}")
    if answer.error is not None or not answer.complete:
        return tuple(Unscored("the answer did not arrive whole") for _ in names)
    return tuple(CHECKS[name].run(prompt, answer, known_good, context) for name in names)


def passed(scores: Iterable[Score | Unscored]) -> bool | None:
    """Whether every scored check passed; None when nothing was scored."""
    scored = [score.passed for score in scores if isinstance(score, Score)]
    return all(scored) if scored else None
