"""The builtin rules: each looks at one answer and gives a score in [0, 1], or says why it can't be scored. Pure, no judge needed."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from detent.checks.facts import content, facts, stated
from detent.checks.schema import Unreadable, violations
from detent.diff import Change, changes
from detent.diff.shape import FENCE, canonical_arguments, escapes, find_json, frame, key_paths, places, show_path, whole_json
from detent.terms import Answer, Prompt, Score, Unscored

_NO_KNOWN_GOOD = Unscored("no known-good answer to compare with")


def _score(check: str, passed: bool, why: str = "") -> Score:
    return Score(check=check, value=float(passed), passed=passed, why="" if passed else why)


def _is_call(answer: Answer) -> bool:
    """An answer that is a tool call and no text has no format to grade."""
    return bool(answer.tool_calls) and not answer.text.strip()


_A_CALL = Unscored("the answer is a tool call, without text")


def answered(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """There is text or a tool call, and the provider does not call it a refusal."""
    if answer.refusal:
        return _score("answered", False, "the provider says that it is a refusal")
    return _score("answered", bool(answer.tool_calls or answer.text.strip()), "neither text nor a tool call")


def json_valid(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """The whole text parses as JSON as it stands."""
    if _is_call(answer):
        return _A_CALL
    return _score("json_valid", whole_json(answer.text) is not None, "the text as it stands is no JSON")


def json_schema(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """The whole text parses as JSON and follows the schema that the request asked for."""
    if prompt.schema is None:
        return Unscored("the request asks for no schema")
    if _is_call(answer):
        return _A_CALL
    found = whole_json(answer.text)
    if found is None:
        return _score("json_schema", False, "the text as it stands is no JSON")
    try:
        broken = list(islice(violations(prompt.schema, found.value), 3))
    except Unreadable as error:
        return Unscored(f"the schema can't be followed: {error}")
    return _score("json_schema", not broken, "; ".join(broken))


def same_keys(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """The JSON has the keys of the known-good answer, nested ones by path, read through a fence. Value: share of keys in both."""
    if known_good is None:
        return _NO_KNOWN_GOOD
    wanted = find_json(known_good.text)
    if wanted is None:
        return Unscored("the known-good answer carries no JSON")
    if _is_call(answer):
        return _A_CALL
    found = find_json(answer.text)
    if found is None:
        return _score("same_keys", False, "no JSON in the answer")
    before, after = key_paths(places(wanted.value)), key_paths(places(found.value))
    value = len(before & after) / len(before | after) if before | after else 1.0
    why = [f"`{show_path(p)}` missing" for p in sorted(before - after)] + [f"`{show_path(p)}` added" for p in sorted(after - before)]
    return Score(check="same_keys", value=value, passed=not why, why=", ".join(why[:4]))


def no_new_fence(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """No code fence where the known-good answer has none; without one, and JSON asked for, no fence around or beside the JSON."""
    if known_good is not None:
        passed = FENCE not in answer.text or FENCE in known_good.text
        return _score("no_new_fence", passed, "a code fence that the known-good answer lacks")
    if not prompt.json_asked:
        return _NO_KNOWN_GOOD
    # A fence inside a string of the JSON is content.
    return _score("no_new_fence", FENCE not in answer.text or whole_json(answer.text) is not None, "a code fence where JSON was asked for")


def no_trailing_text(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """No closing text that the known-good answer lacks; without one, and JSON asked for, nothing at all after the JSON."""
    why = "text after the end of the answer proper"
    if known_good is not None:
        found = _change("closing_text_added", known_good, answer)
        return _score("no_trailing_text", found is None, f"{why}: {found.detail}" if found else "")
    if not prompt.json_asked:
        return _NO_KNOWN_GOOD
    around = frame(answer.text, find_json(answer.text))
    return _score("no_trailing_text", around is None or not around.closing, why)


def no_new_escapes(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """No character spelt as a literal backslash-u escape where the known-good answer has no such escapes."""
    if known_good is None:
        return _NO_KNOWN_GOOD
    new = escapes(answer.text) if not escapes(known_good.text) else Counter[str]()
    return _score("no_new_escapes", not new, f"{new.total()} escaped characters")


def same_tool_calls(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """The tool calls of the known-good answer, in any order, arguments as canonical JSON. Value: share of calls in both."""
    if known_good is None:
        return _NO_KNOWN_GOOD
    before, after = _calls(known_good), _calls(answer)
    value = (before & after).total() / (before | after).total() if before or after else 1.0
    found = changes(Answer(tool_calls=known_good.tool_calls), Answer(tool_calls=answer.tool_calls))
    return Score(check="same_tool_calls", value=value, passed=before == after, why="; ".join(c.detail for c in found[:2]))


def context_agreement(prompt: Prompt, answer: Answer, known_good: Answer | None, context: str | None) -> Score | Unscored:
    """The answer's numbers and dates stand in the context. Read leniently, so that it grades content and not format. Value: their share."""
    if context is None:
        return Unscored("no context found in the request")
    if _is_call(answer):
        return _A_CALL
    known = stated(unescaped_context(context))
    found = list(facts(content(answer.text)))
    if not found:
        return Unscored("no numbers or dates in the answer")
    foreign = [written for written, readings in found if not readings & known]
    why = ", ".join(f"`{written[:40]}`" for written in foreign[:4])
    return Score(
        check="context_agreement",
        value=1 - len(foreign) / len(found),
        passed=not foreign,
        why=f"not in the context: {why}" if foreign else "",
    )


def unescaped_context(context: str) -> str:
    """The context with the values of its JSON, if it is JSON, read as an answer's are; its keys and all else stay."""
    return f"{context}\n{content(context)}"


def _calls(answer: Answer) -> Counter[tuple[str, str]]:
    return Counter((call.name, canonical_arguments(call.arguments)) for call in answer.tool_calls)


def _change(name: str, known_good: Answer, answer: Answer) -> Change | None:
    return next((change for change in changes(known_good, answer) if change.name == name), None)
