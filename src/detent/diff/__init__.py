"""Two answers to one prompt -> named changes, and a word diff. Pure; never raises, and takes time in proportion to the answers.

`CHANGES` is the one table of names: its order is the precedence when one cause has to be named, the most telling first. A refusal
explains a missing fence and a fence explains JSON that no longer parses, never the other way round; length comes last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detent.diff import detectors
from detent.diff.reading import Two
from detent.diff.words import excerpt, words
from detent.terms import Answer

__all__ = ["CHANGES", "SAYS", "Change", "NamedChange", "changes", "excerpt", "words"]


@dataclass(frozen=True, slots=True)
class Change:
    """A named change between two answers, with what was seen. `detail` quotes the answers: escape it before it is shown."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class NamedChange:
    """A row of the table: `detect` returns the detail, or None when the change is not there."""

    name: str
    says: str
    detect: Callable[[Two], str | None]


CHANGES: tuple[NamedChange, ...] = (
    NamedChange("refusal_added", "refusal added", detectors.refusal_added),
    NamedChange("refusal_removed", "refusal gone", detectors.refusal_removed),
    NamedChange("fence_added", "code fence added", detectors.fence_added),
    NamedChange("fence_removed", "code fence removed", detectors.fence_removed),
    NamedChange("key_renamed", "JSON key renamed", detectors.key_renamed),
    NamedChange("key_missing", "JSON key missing", detectors.key_missing),
    NamedChange("value_type_changed", "type of a JSON value changed", detectors.value_type_changed),
    NamedChange("unicode_escaped", "unicode characters escaped", detectors.unicode_escaped),
    NamedChange("unicode_unescaped", "unicode escapes gone", detectors.unicode_unescaped),
    NamedChange("opening_text_added", "opening text added", detectors.opening_text_added),
    NamedChange("closing_text_added", "closing text added", detectors.closing_text_added),
    NamedChange("other_tool_called", "another tool called", detectors.other_tool_called),
    NamedChange("tool_call_removed", "tool call removed", detectors.tool_call_removed),
    NamedChange("tool_call_added", "tool call added", detectors.tool_call_added),
    NamedChange("other_tool_arguments", "tool called with other arguments", detectors.other_tool_arguments),
    NamedChange("key_added", "JSON key added", detectors.key_added),
    NamedChange("finish_reason_changed", "finish reason changed", detectors.finish_reason_changed),
    NamedChange("json_broken", "JSON no longer parses", detectors.json_broken),
    NamedChange("json_repaired", "JSON parses now", detectors.json_repaired),
    NamedChange("answer_shortened", "answer collapsed to a third of its length or less", detectors.answer_shortened),
    NamedChange("answer_lengthened", "answer grown to three times its length or more", detectors.answer_lengthened),
)
"""Every named change, in order of precedence."""

SAYS: dict[str, str] = {row.name: row.says for row in CHANGES}
"""What each name means, in a few words."""


def changes(stable: Answer, candidate: Answer) -> tuple[Change, ...]:
    """The named changes from stable's answer to the candidate's, in the order of the table; the first one is the cause to name."""
    if (stable.text, stable.tool_calls, stable.finish_reason, stable.refusal) == (
        candidate.text,
        candidate.tool_calls,
        candidate.finish_reason,
        candidate.refusal,
    ):
        return ()
    two = Two(stable, candidate)
    found = ((row.name, row.detect(two)) for row in CHANGES)
    return tuple(Change(name, detail) for name, detail in found if detail is not None)
