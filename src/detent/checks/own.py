"""The team's own checks, `[checks.NAME]` of the pin file, as rules. Pure; those that call code of others are made in `plugins`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from detent.checks.graded import Graded, Rule
from detent.checks.patterns import searched
from detent.terms import CheckRow, Score, Unscored

_A_CALL = Unscored("the answer is a tool call, without text")


def _matches(row: CheckRow) -> Rule:
    pattern, most = _compiled(row.matches)

    def rule(graded: Graded) -> Score | Unscored:
        text = graded.answer.text
        found = pattern.search(text[:most]) is not None
        return _score(row, found, f"`{row.matches}` is not found") if found or len(text) <= most else _too_long(most)

    return rule


def _never_matches(row: CheckRow) -> Rule:
    pattern, most = _compiled(row.never_matches)

    def rule(graded: Graded) -> Score | Unscored:
        text = graded.answer.text
        found = pattern.search(text[:most])
        if found is None and len(text) > most:
            return _too_long(most)
        return _score(row, found is None, f"found: `{found[0][:80]}`" if found else "")

    return rule


def _compiled(pattern: str | None) -> tuple[re.Pattern[str], int]:
    return re.compile(pattern or ""), searched(pattern or "")


def _contains(row: CheckRow) -> Rule:
    wanted = row.contains or ""
    return lambda graded: _score(row, wanted in graded.answer.text, f"`{wanted}` is not in it")


def _lacks(row: CheckRow) -> Rule:
    unwanted = row.lacks or ""
    return lambda graded: _score(row, unwanted not in graded.answer.text, f"`{unwanted}` is in it")


def _max_chars(row: CheckRow) -> Rule:
    most = row.max_chars or 0
    return lambda graded: _score(row, len(graded.answer.text) <= most, f"{len(graded.answer.text)} characters, more than {most}")


def _min_chars(row: CheckRow) -> Rule:
    least = row.min_chars or 0
    return lambda graded: _score(row, len(graded.answer.text) >= least, f"{len(graded.answer.text)} characters, less than {least}")


KINDS: dict[str, Callable[[CheckRow], Rule]] = {
    "matches": _matches,
    "never_matches": _never_matches,
    "contains": _contains,
    "lacks": _lacks,
    "max_chars": _max_chars,
    "min_chars": _min_chars,
}
"""The kinds of rule that a row may hold and that need nothing but the answer's text."""

FOREIGN: tuple[str, ...] = ("python", "autoevals")
"""The kinds that call code of others."""

AUTOEVALS: tuple[str, ...] = ("ExactMatch", "JSONDiff", "Levenshtein", "NumericDiff", "ValidJSON")
"""The scorers of autoevals that ask nobody."""

AUTOEVALS_ASKING: tuple[str, ...] = (
    "AnswerCorrectness",
    "AnswerRelevancy",
    "AnswerSimilarity",
    "Battle",
    "ClosedQA",
    "ContextEntityRecall",
    "ContextPrecision",
    "ContextRecall",
    "ContextRelevancy",
    "EmbeddingSimilarity",
    "Factuality",
    "Faithfulness",
    "Humor",
    "LLMClassifier",
    "Moderation",
    "Possible",
    "Security",
    "Sql",
    "Summary",
    "Translation",
)
"""Those that ask a model: neither pinned nor calibrated, and asked in one order only."""


def kinds_of(row: CheckRow) -> tuple[str, ...]:
    """The kinds of rule that a row holds; the pin file is refused unless it is exactly one."""
    return tuple(kind for kind in (*KINDS, *FOREIGN) if getattr(row, kind) is not None)


def rules(rows: Iterable[CheckRow]) -> dict[str, Rule]:
    """The rules of those rows that need no code of others, by name. The answer's text is graded: a tool call without text is unscored."""
    made = {}
    for row in rows:
        (kind,) = kinds_of(row)
        if kind in KINDS:
            made[row.name] = _of_text(KINDS[kind](row))
    return made


def _of_text(rule: Rule) -> Rule:
    def graded_text(graded: Graded) -> Score | Unscored:
        return _A_CALL if graded.answer.tool_calls and not graded.answer.text.strip() else rule(graded)

    return graded_text


def _score(row: CheckRow, passed: bool, why: str) -> Score:
    why = f"{row.says}: {why}" if row.says else why
    return Score(check=row.name, value=float(passed), passed=passed, why="" if passed else why)


def _too_long(most: int) -> Unscored:
    """Where nothing is found and the text goes on, nobody knows."""
    return Unscored(f"longer than the {most:,} characters that are searched, and nothing found in them", broken=True)
