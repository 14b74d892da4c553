"""What a check is given, and what a rule is. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detent.terms import Answer, Prompt, Score, Unscored


@dataclass(frozen=True, slots=True)
class Graded:
    """One answer to be graded, with all that a rule may hold it against.

    `known_good` is None where no output is known to be good: a relative rule is then unscored, or falls back to what the prompt itself asks
    for. `context` is what the route's locator found in the prompt, `reference` the right answer where somebody wrote one.
    """

    prompt: Prompt
    answer: Answer
    known_good: Answer | None = None
    context: str | None = None
    reference: str | None = None


Rule = Callable[[Graded], Score | Unscored]
"""One check. It does not raise, whatever the answer says."""
