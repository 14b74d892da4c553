"""How an answer is written down where one text stands for it: its text, or its tool calls. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from detent.terms import Answer, Case, ToolCall


def shown(answer: Answer) -> str:
    """An answer as a run's output is written."""
    return answer.text or _calls(answer.tool_calls)


def known_good(case: Case) -> str:
    """The known-good output, written as a run's output is, so that both can be compared."""
    return case.known_good or _calls(case.known_good_calls)


def _calls(calls: Iterable[ToolCall]) -> str:
    return "\n".join(f"{call.name}({call.arguments})" for call in calls)
