"""What the answers of a pair are compared by: the route's checks on each alone, and named changes against the live answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detent import checks, diff
from detent.evidence.pair_sums import CHANGE, CHECK
from detent.evidence.spending import STEP_LIMIT
from detent.terms import Answer, Prompt, Route, Score

ANSWERED = "answered"
"""The check that every answer is graded by, whatever the route names: it applies to each, so that none is left without any score."""

DIVERGING: tuple[str, ...] = (
    "refusal_added",
    "refusal_removed",
    "language_switched",
    "truncated",
    "unknown_tool",
    "other_tool_called",
    "tool_call_removed",
    "tool_call_added",
    "other_tool_arguments",
    "unsupported_statement",
    "fact_changed",
)
"""Named changes after which the two versions' conversations are no longer the same one: a refusal, another language, an answer that breaks
off, another call, another fact.

Who had got that answer would have gone on otherwise. The same told in other words, or in another form, ends no comparison.
"""


def checks_of(route: Route) -> tuple[str, ...]:
    """The checks that answers of a route are graded by."""
    return route.checks if ANSWERED in route.checks else (*route.checks, ANSWERED)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the answers to one request are graded on: the route's checks, the pin file's `own` rules, the request and its context."""

    names: tuple[str, ...]
    own: Mapping[str, checks.Rule]
    prompt: Prompt
    context: str | None

    def alone(self, answer: Answer) -> dict[str, bool | None]:
        """Whether an answer passes, with nothing to hold it against, by field; None where a check has no say without that."""
        return self._passed(self.names, answer, None)

    def against(self, live: Answer, answer: Answer, fields: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """An answer held against the live one: which of these relative checks had a say, and the fields in which it differs.

        A check takes the live answer for known to be good; of the named changes those that are benign are no difference.
        """
        found = self._passed([field.removeprefix(CHECK) for field in fields], answer, live)
        named = (CHANGE + change.name for change in diff.changes(live, answer, self._asked(live, answer)) if change.name not in diff.BENIGN)
        said = tuple(field for field, passed in found.items() if passed is not None)
        return said, (*named, *(field for field in said if not found[field]))

    def _passed(self, names: Sequence[str], answer: Answer, known_good: Answer | None) -> dict[str, bool | None]:
        scores = checks.run(names, checks.Graded(self.prompt, answer, known_good, self.context), self.own)
        return {CHECK + name: score.passed if isinstance(score, Score) else None for name, score in zip(names, scores, strict=True)}

    def _asked(self, live: Answer, answer: Answer) -> diff.Asked:
        """What was asked. The steps are those since the user's last word, this answer's among them, and one more where it calls a tool."""
        messages = self.prompt.messages
        user = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
        so_far = 1 + sum(message.role == "assistant" for message in messages[user + 1 :])
        steps = (so_far + bool(live.tool_calls), so_far + bool(answer.tool_calls))
        return diff.Asked(prompt=self.prompt, context=self.context, steps=steps, step_limit=STEP_LIMIT)
