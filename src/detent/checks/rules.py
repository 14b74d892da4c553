"""The builtin rules: each looks at one answer and gives a score in [0, 1], or says why it can't be scored. Pure, no judge needed."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from itertools import islice
from typing import Any

from detent.checks.facts import content, said
from detent.checks.graded import Graded
from detent.checks.reference import matches
from detent.diff import change, reading_of
from detent.diff.schema_walk import Unreadable, violations
from detent.diff.shape import canonical_arguments, escapes, find_json, frame, has_fence, show_path, whole_json
from detent.diff.statements import Known, given
from detent.terms import CUT_OFF, Answer, Score, Unscored
from detent.visible import HIDDEN

_NO_KNOWN_GOOD = Unscored("no known-good answer to compare with")
_NO_SCHEMA = Unscored("the request asks for no schema")
_NO_JSON = Unscored("the known-good answer carries no JSON")
_NO_REFERENCE = Unscored("the case has no reference")


@lru_cache(maxsize=256)
def _score(check: str, passed: bool, why: str = "") -> Score:
    return Score(check=check, value=float(passed), passed=passed, why="" if passed else why)


def _is_call(answer: Answer) -> bool:
    """An answer that is a tool call and no text has no format to grade."""
    return bool(answer.tool_calls) and not answer.text.strip()


_A_CALL = Unscored("the answer is a tool call, without text")


_SEEN = re.compile(r"[^\s\u2800\ufe00-\ufe0f" + HIDDEN.pattern[1:])
"""A character that can be seen: no white space, no blank of another kind, nothing hidden."""


def answered(graded: Graded) -> Score | Unscored:
    """There is text that can be seen, or a call of a tool that the request offers, and no refusal.

    Where JSON is asked for, any call of another tool fails. Against a known-good answer two more things fail: to be ended by the token
    limit where that one was not, and to refuse where that one does not. A tool that the known-good answer calls counts as offered.
    """
    why = _no_answer(graded)
    return _score("answered", why is None, why or "")


def _no_answer(graded: Graded) -> str | None:
    """Why it is no answer; None where it is one."""
    answer, known_good, prompt = graded.answer, graded.known_good, graded.prompt
    if answer.refusal:
        return "the provider says that it is a refusal"
    known_calls = known_good.tool_calls if known_good is not None else ()
    strange = []
    if answer.tool_calls:
        offered = {*prompt.tools, *(call.name for call in known_calls)} - {""}
        strange = [call.name for call in answer.tool_calls if call.name not in offered]
    seen = _SEEN.search(answer.text) is not None
    if not seen and not answer.tool_calls:
        return "neither text nor a tool call"
    if strange and (prompt.json_asked or (not seen and len(strange) == len(answer.tool_calls))):
        return f"a call of a tool that the request does not offer: `{strange[0][:80]}`"
    if known_good is not None:
        if answer.finish_reason in CUT_OFF and not _same(answer, known_good) and not _was_cut(known_good, prompt.max_tokens):
            return "the token limit ended it, and not the known-good answer"
        if reading_of(answer).refuses and not reading_of(known_good).refuses:
            return "a refusal, and the known-good answer is none"
    return None


def _same(answer: Answer, known_good: Answer) -> bool:
    return answer.text == known_good.text and (not answer.tool_calls or _calls(answer) == _calls(known_good))


def _was_cut(known_good: Answer, max_tokens: int | None) -> bool:
    """Whether the token limit ended the known-good answer too: as it says, or by as many tokens as it was allowed."""
    used = known_good.usage.output
    return known_good.finish_reason in CUT_OFF or (max_tokens is not None and used is not None and used >= max_tokens)


def json_valid(graded: Graded) -> Score | Unscored:
    """The whole text parses as JSON as it stands, and no object has a key twice: parsers disagree on which one counts."""
    answer = graded.answer
    if _is_call(answer):
        return _A_CALL
    if whole_json(answer.text) is None:
        return _score("json_valid", False, "the text as it stands is no JSON")
    twice = _key_twice(answer.text)
    return _score("json_valid", twice is None, f"a key stands twice in one object: `{(twice or '')[:80]}`")


class _Twice(ValueError):
    """A key stands twice in one object."""


def _members(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _Twice(Counter(key for key, _ in pairs).most_common(1)[0][0])


_ONCE = json.JSONDecoder(object_pairs_hook=_members, parse_int=float)  # int() itself refuses more than 4300 digits


@lru_cache(maxsize=16)
def _key_twice(text: str) -> str | None:
    """A key of JSON that stands twice in one object."""
    try:
        _ONCE.decode(text)
    except _Twice as found:
        return str(found)
    except RecursionError:  # it nests just as deep as can be read
        return None
    return None


def json_schema(graded: Graded) -> Score | Unscored:
    """The whole text parses as JSON and follows the schema that the request asked for."""
    prompt, answer = graded.prompt, graded.answer
    if prompt.schema is None:
        return _NO_SCHEMA
    if _is_call(answer):
        return _A_CALL
    found = whole_json(answer.text)
    if found is None:
        return _score("json_schema", False, "the text as it stands is no JSON")
    try:
        read = reading_of(answer)
        broken = read.breaches(prompt.schema) if read.whole is not None else tuple(islice(violations(prompt.schema, found.value), 3))
    except Unreadable as error:
        return Unscored(f"the schema can't be followed: {error}", broken=True)
    return _score("json_schema", not broken, "; ".join(broken))


def same_keys(graded: Graded) -> Score | Unscored:
    """The JSON has the keys of the known-good answer, nested ones by path, read through a fence. Value: share of keys in both."""
    answer, known_good = graded.answer, graded.known_good
    if known_good is None:
        return _NO_KNOWN_GOOD
    before, after = reading_of(known_good).keys, reading_of(answer).keys
    if before is None:
        return _NO_JSON
    if _is_call(answer):
        return _A_CALL
    if after is None:
        return _score("same_keys", False, "no JSON in the answer")
    if before == after:
        return _score("same_keys", True)
    gone, new = sorted({*before} - {*after}), sorted({*after} - {*before})
    value = (len(before) - len(gone)) / (len(before) + len(new))
    why = [f"`{show_path(path)}` missing" for path in gone] + [f"`{show_path(path)}` added" for path in new]
    return Score(check="same_keys", value=value, passed=not why, why=", ".join(why[:4]))


def no_new_fence(graded: Graded) -> Score | Unscored:
    """No code fence where the known-good answer has none; without one, and JSON asked for, no fence around or beside the JSON."""
    prompt, answer, known_good = graded.prompt, graded.answer, graded.known_good
    if known_good is not None:
        passed = not has_fence(answer.text) or has_fence(known_good.text)
        return _score("no_new_fence", passed, "a code fence that the known-good answer lacks")
    if not prompt.json_asked:
        return _NO_KNOWN_GOOD
    # A fence inside a string of the JSON is content.
    passed = not has_fence(answer.text) or whole_json(answer.text) is not None
    return _score("no_new_fence", passed, "a code fence where JSON was asked for")


def no_trailing_text(graded: Graded) -> Score | Unscored:
    """No closing text that the known-good answer lacks; without one, and JSON asked for, nothing at all after the JSON."""
    prompt, answer, known_good = graded.prompt, graded.answer, graded.known_good
    why = "text after the end of the answer proper"
    if known_good is not None:
        found = change("closing_text_added", known_good, answer)
        return _score("no_trailing_text", found is None, f"{why}: {found.detail}" if found else "")
    if not prompt.json_asked:
        return _NO_KNOWN_GOOD
    around = frame(answer.text, find_json(answer.text))
    return _score("no_trailing_text", around is None or not around.closing, why)


def no_trailing_artefact(graded: Graded) -> Score | Unscored:
    """No mark at the end that is no part of an answer: a token of a chat template, the next speaker, an open fence, a brace too many.

    What the known-good answer has as well, or the request itself holds (`answer in <answer> tags`), is none.
    """
    if _is_call(graded.answer):
        return _A_CALL
    found = change("trailing_artefact", graded.known_good or Answer(), graded.answer)
    if found is not None:
        texts = (graded.prompt.system, *(message.text for message in graded.prompt.messages))
        found = None if any(found.detail.strip("`") in text for text in texts) else found
    return _score("no_trailing_artefact", found is None, f"left over: {found.detail}" if found is not None else "")


def no_new_escapes(graded: Graded) -> Score | Unscored:
    """No character spelt as a literal backslash-u escape where the known-good answer has no such escapes."""
    answer, known_good = graded.answer, graded.known_good
    if known_good is None:
        return _NO_KNOWN_GOOD
    new = escapes(answer.text) if not escapes(known_good.text) else {}
    return _score("no_new_escapes", not new, f"{sum(new.values())} escaped characters")


def same_tool_calls(graded: Graded) -> Score | Unscored:
    """The tool calls of the known-good answer, in any order, arguments as canonical JSON. Value: share of calls in both."""
    answer, known_good = graded.answer, graded.known_good
    if known_good is None:
        return _NO_KNOWN_GOOD
    if not known_good.tool_calls and not answer.tool_calls:
        return _score("same_tool_calls", True)
    before, after = _calls(known_good), _calls(answer)
    value = (before & after).total() / (before | after).total() if before or after else 1.0
    missing, more = [*(before - after).elements()], [*(after - before).elements()]
    why = [f"not called: `{name[:80]}`" for name, _ in missing[:2]] + [f"called instead: `{name[:80]}`" for name, _ in more[:2]]
    return Score(check="same_tool_calls", value=value, passed=before == after, why="; ".join(why))


def context_agreement(graded: Graded) -> Score | Unscored:
    """The answer's numbers, dates, names and quotes stand in the context, or in what the user said. Value: their share.

    Read leniently, in every way that makes sense, so that it grades content and not format.
    """
    if graded.context is None:
        return Unscored("no context found in the request")
    if _is_call(graded.answer):
        return _A_CALL
    read = said(reading_of(graded.answer))
    found = {statement.written for statement in (*read.figures, *read.worded)}
    if not found:
        return Unscored("no numbers, dates, names or quotes in the answer")
    known = _given(graded.context, *(message.text for message in graded.prompt.messages if message.role == "user"))
    foreign = list(dict.fromkeys([statement.written for statement in read.lacking(known)]))
    if not foreign:
        return _score("context_agreement", True)
    why = ", ".join(f"`{written[:40]}`" for written in foreign[:4])
    return Score(check="context_agreement", value=1 - len(foreign) / len(found), passed=False, why=f"not in the context: {why}")


@lru_cache(maxsize=16)
def _given(context: str, *said: str) -> Known:
    """The context, with the values of its JSON read as an answer's are, and the user's words. All runs of a case share it."""
    return given(context, content(context), *said)


def matches_reference(graded: Graded) -> Score | Unscored:
    """The answer is the case's reference, or gives it as its final answer; see `reference.matches` for what counts as the same."""
    if graded.reference is None:
        return _NO_REFERENCE
    if _is_call(graded.answer):
        return _A_CALL
    return _score("matches_reference", matches(graded.reference, graded.answer.text), f"not the reference, `{graded.reference[:40]}`")


def asked_of_the_judge(graded: Graded) -> Score | Unscored:
    """A dimension that no rule can see: the judge is asked, against the known-good output."""
    return Unscored("asked of the judge")


def _calls(answer: Answer) -> Counter[tuple[str, str]]:
    return Counter((call.name, canonical_arguments(call.arguments)) for call in answer.tool_calls)
