"""Two answers to one prompt -> named changes, and a word diff. Pure; never raises, and takes time in proportion to the answers.

`CHANGES` is the one table of names: its order is the precedence when one cause has to be named, the most telling first. A refusal
explains a missing fence, and a fence explains JSON that no longer parses, never the other way round. An answer that was cut off, or is in
another language, explains nearly all that follows. How a key, a tool or the length changed explains which facts did; what is benign comes
last, and only where nothing else was found: an answer that merely says the same in other words has no other name.

The detectors, each of both answers:
detectors.py   format, keys, tools, length               ends.py         what an answer begins and ends with
meaning.py     how prose is written, and whether it only rewords
stating.py     what both state: another fact, one that nobody gave

What they look at, each way of reading worked out at most once (once.py):
reading.py     an answer, and two of them                said.py         what a text says in words
shape.py       JSON, fences and escapes                  schema_walk.py  where JSON breaks a schema
prose.py       code or prose, structure, sentences       statements.py   what a text states, held against other texts
numbers.py     dates and numbers                         naming.py       names, quotes, mail addresses
hedging.py     phrases that hedge                        refusals.py     phrases that refuse
language.py    which language                            vocabulary.py   lists of words
letters.py     runs of letters and digits, white space

What people see: words.py, the word diff; quoting.py, how a detail quotes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from detent.diff import detectors, ends, meaning, stating
from detent.diff.reading import Asked, Reading, Two
from detent.diff.words import excerpt, words
from detent.terms import Answer

__all__ = ["BENIGN", "CHANGES", "SAYS", "Asked", "Change", "NamedChange", "change", "changes", "excerpt", "reading_of", "words"]


@dataclass(frozen=True, slots=True)
class Change:
    """A named change between two answers, with what was seen. `detail` quotes the answers: escape it before it is shown."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class NamedChange:
    """A row of the table: `detect` returns the detail, or None when the change is not there.

    `seen_in`: only looked for where one of the answers calls tools, or both carry JSON. `benign`: the answer says the same.
    """

    name: str
    says: str
    detect: Callable[[Two], str | None]
    seen_in: Literal["text", "tools", "json"] = "text"
    benign: bool = False


CHANGES: tuple[NamedChange, ...] = (
    NamedChange("refusal_added", "refusal added", detectors.refusal_added),
    NamedChange("refusal_removed", "refusal gone", detectors.refusal_removed),
    NamedChange("language_switched", "language switched", meaning.language_switched),
    NamedChange("truncated", "answer cut off", ends.truncated),
    NamedChange("fence_added", "code fence added", detectors.fence_added),
    NamedChange("fence_removed", "code fence removed", detectors.fence_removed),
    NamedChange(
        "trailing_artefact",
        "trailing artefact: a chat template's mark, an unclosed fence, a quote or brace too many",
        ends.trailing_artefact,
    ),
    NamedChange("key_renamed", "JSON key renamed", detectors.key_renamed, seen_in="json"),
    NamedChange("key_missing", "JSON key missing", detectors.key_missing, seen_in="json"),
    NamedChange("value_type_changed", "type of a JSON value changed", detectors.value_type_changed, seen_in="json"),
    NamedChange("unicode_escaped", "unicode characters escaped", detectors.unicode_escaped),
    NamedChange("unicode_unescaped", "unicode escapes gone", detectors.unicode_unescaped),
    NamedChange("opening_text_added", "opening text added", ends.opening_text_added),
    NamedChange("closing_text_added", "closing text added", ends.closing_text_added),
    NamedChange("unknown_tool", "tool called that the request does not offer", detectors.unknown_tool, seen_in="tools"),
    NamedChange("other_tool_called", "another tool called", detectors.other_tool_called, seen_in="tools"),
    NamedChange(
        "parallel_calls_changed",
        "several tool calls at once instead of one, or the reverse",
        detectors.parallel_calls_changed,
        seen_in="tools",
    ),
    NamedChange("tool_call_removed", "tool call removed", detectors.tool_call_removed, seen_in="tools"),
    NamedChange("tool_call_added", "tool call added", detectors.tool_call_added, seen_in="tools"),
    NamedChange("other_tool_arguments", "tool called with other arguments", detectors.other_tool_arguments, seen_in="tools"),
    NamedChange("step_limit_hit", "step limit hit", detectors.step_limit_hit),
    NamedChange("key_added", "JSON key added", detectors.key_added, seen_in="json"),
    NamedChange("schema_violated", "JSON breaks the schema that was asked for", detectors.schema_violated, seen_in="json"),
    NamedChange("finish_reason_changed", "finish reason changed", detectors.finish_reason_changed),
    NamedChange("json_broken", "JSON no longer parses", detectors.json_broken),
    NamedChange("json_repaired", "JSON parses now", detectors.json_repaired),
    NamedChange("answer_shortened", "answer collapsed to a third of its length or less", detectors.answer_shortened),
    NamedChange("answer_lengthened", "answer grown to three times its length or more", detectors.answer_lengthened),
    NamedChange("number_format_changed", "number spelt otherwise", meaning.number_format_changed),
    NamedChange("date_format_changed", "date or time spelt otherwise", meaning.date_format_changed),
    NamedChange("list_structure_changed", "bullets, numbers, table or prose: another of them", meaning.list_structure_changed),
    NamedChange("markdown_added", "Markdown headers, bold or tables added", meaning.markdown_added),
    NamedChange("markdown_removed", "Markdown headers, bold or tables gone", meaning.markdown_removed),
    NamedChange("hedging_added", "hedging added", meaning.hedging_added),
    NamedChange("hedging_removed", "hedging gone", meaning.hedging_removed),
    NamedChange("unsupported_statement", "statement that stands neither in the context nor in the prompt", stating.unsupported_statement),
    NamedChange("fact_changed", "another number, date, name, quote, verdict or value, or a negation", stating.fact_changed),
    NamedChange("tokens_changed", "another number of tokens for the same text", detectors.tokens_changed),
    # What is benign has no other name beside it.
    NamedChange("json_respelt", "the same JSON, written otherwise", meaning.json_respelt, benign=True),
    NamedChange("reworded", "reworded: the same facts in other words", meaning.reworded, benign=True),
    NamedChange("whitespace_changed", "only white space changed", meaning.whitespace_changed, benign=True),
)
"""Every named change, in order of precedence."""

SAYS: dict[str, str] = {row.name: row.says for row in CHANGES}
"""What each name means, in a few words."""

BENIGN: frozenset[str] = frozenset(row.name for row in CHANGES if row.benign)
"""The changes after which an answer says the same as before."""

_BY_NAME = {row.name: row for row in CHANGES}
_Row = tuple[str, Callable[[Two], str | None], bool]
_UNPACKED: dict[str, _Row] = {row.name: (row.name, row.detect, row.benign) for row in CHANGES}  # all are gone through for each answer
_SAME_TEXT = tuple(_UNPACKED[name] for name in ("truncated", "step_limit_hit", "finish_reason_changed", "tokens_changed"))
"""All that can differ where the text does not."""

_ROWS = {
    (tools, in_json): tuple(
        _UNPACKED[row.name] for row in CHANGES if (tools or row.seen_in != "tools") and (in_json or row.seen_in != "json")
    )
    for tools in (True, False)
    for in_json in (True, False)
}
"""The rows to ask, by whether an answer calls tools and whether both carry JSON."""

_ASKING = frozenset({"schema_violated", "unknown_tool", "step_limit_hit", "unsupported_statement", "fact_changed"})
"""The rows that look at what was asked."""


@lru_cache(maxsize=32)
def reading_of(answer: Answer) -> Reading:
    """A known-good answer is held against many; what was worked out about it is kept for the next."""
    return Reading(answer)


@lru_cache(maxsize=16)
def _pair(stable: Answer, candidate: Answer) -> tuple[Reading, Reading, dict[str, str | None]]:
    """Both as they are read, and what was found of the two so far: a check asks for one row, and then all are asked for."""
    return reading_of(stable), reading_of(candidate), {}


def changes(stable: Answer, candidate: Answer, asked: Asked | None = None) -> tuple[Change, ...]:
    """The named changes from stable's answer to the candidate's, in the order of the table; the first one is the cause to name.

    Some changes only show when it is known what was `asked`: a schema violated, an unknown tool, an unsupported statement, a step limit.
    """
    before, after, memo = _pair(stable, candidate)
    two = Two(before, after, asked)
    same = (stable.text, stable.tool_calls, stable.refusal) == (candidate.text, candidate.tool_calls, candidate.refusal)
    if same:
        rows = _SAME_TEXT
    else:
        rows = _ROWS[bool(stable.tool_calls or candidate.tool_calls), before.json is not None and after.json is not None]
    found: list[Change] = []
    for name, detect, benign in rows:
        if benign and found:
            break
        detail = memo[name] if name in memo else detect(two)
        if detail is not None:
            found.append(Change(name, detail))
    return tuple(found)


def change(name: str, stable: Answer, candidate: Answer, asked: Asked | None = None) -> Change | None:
    """One row of the table alone, `reworded` excepted: that depends on the others. Raises KeyError for an unknown name."""
    before, after, memo = _pair(stable, candidate)
    detail = memo[name] if name in memo else _BY_NAME[name].detect(Two(before, after, asked))
    if name not in _ASKING:
        memo[name] = detail
    return None if detail is None else Change(name, detail)
