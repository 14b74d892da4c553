"""Rule checks on one answer: what passes, what fails and why, and what can't be scored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent import checks
from detent.checks import Graded
from detent.errors import InvalidInput
from detent.terms import CHECK_NAMES, JUDGED_CHECKS, Answer, Message, Prompt, Score, ToolCall, Unscored, Usage

ASKED = Prompt(json_asked=True)
CONTEXT = "Invoice INV-1029 of 2026-03-05. Net: 1,200.00 EUR, tax 19 %: 228.00. Total: 1,428.00 EUR, payable by 4 April 2026."


def graded(
    name: str,
    answer: str | Answer,
    known_good: str | Answer | None = None,
    prompt: Prompt = Prompt(),  # noqa: B008 - frozen
    context: str | None = None,
    reference: str | None = None,
) -> Score | Unscored:
    answer = Answer(text=answer) if isinstance(answer, str) else answer
    known_good = Answer(text=known_good) if isinstance(known_good, str) else known_good
    (score,) = checks.run([name], Graded(prompt, answer, known_good, context, reference))
    return score


def verdict(*arguments: Any, **named: Any) -> bool | None:
    """True, False or, for what can't be scored, None."""
    return checks.passed([graded(*arguments, **named)])


def test_the_table_is_the_one_that_the_pin_file_knows() -> None:
    assert tuple(checks.CHECKS) == CHECK_NAMES
    assert [check.name for check in checks.CHECKS.values()] == list(CHECK_NAMES)


def test_an_unknown_check_is_named() -> None:
    with pytest.raises(InvalidInput, match="unknown check: `tact`"):
        checks.run(["json_valid", "tact"], Graded(Prompt(), Answer(text="{}")))


@pytest.mark.parametrize("name", CHECK_NAMES)
def test_an_answer_that_did_not_arrive_is_unscored(name: str) -> None:
    for answer in (Answer(text="{}", complete=False), Answer(text="{}", error="overloaded")):
        assert isinstance(graded(name, answer, "{}", ASKED, CONTEXT), Unscored)


def test_nothing_scored_is_no_pass() -> None:
    good, bad = Score(check="json_valid", value=1.0, passed=True), Score(check="same_keys", value=0.5, passed=False)
    assert checks.passed([]) is None
    assert checks.passed([Unscored("no context")]) is None
    assert checks.passed([Unscored("no context"), good]) is True
    assert checks.passed([good, bad]) is False
    broken = Unscored("the check failed: KeyError", broken=True)
    assert checks.passed([good, broken]) is None, "what could not be graded is no pass"
    assert checks.passed([broken, bad, good]) is False
    assert checks.passed([broken]) is None


A_CALL = Answer(tool_calls=(ToolCall("call_1", "find", '{"id": 1}'),))

OFFERS = Prompt(tools=("find",))

STORIES: list[tuple[str, bool | None, tuple[Any, ...]]] = [
    ("answered", True, ("Hello",)),
    ("answered", True, (A_CALL, None, OFFERS)),
    ("answered", True, (A_CALL, A_CALL)),  # a tool that the known-good answer calls is one
    ("answered", False, (A_CALL,)),  # no tool is offered
    ("answered", False, (Answer(tool_calls=(ToolCall("c", "drop_tables", "{broken"),)), None, OFFERS)),
    ("answered", False, (Answer(tool_calls=(ToolCall("", "", ""),)), None, OFFERS)),
    ("answered", False, (Answer(tool_calls=(ToolCall("", "", ""),)), Answer(tool_calls=(ToolCall("", "", ""),)))),
    ("answered", True, (Answer(text="Hello", tool_calls=(ToolCall("c", "drop_tables", "{}"),)), None, OFFERS)),
    ("answered", False, (Answer(text="{}", tool_calls=(ToolCall("c", "drop_tables", "{}"),)), None, ASKED)),
    ("answered", False, ("\u200b",)),
    ("answered", False, (" \u2800\ufe0f\u3164\n\U000e0041",)),
    ("answered", True, ("\u200b\u4f60\u597d",)),
    ("answered", True, (".",)),
    ("answered", False, (Answer(text="The total is", finish_reason="length"), "The total is 7.")),
    ("answered", False, (Answer(text="The total is", finish_reason="max_tokens"), "The total is 7.")),
    ("answered", True, (Answer(text="A", finish_reason="length"), "A", Prompt(max_tokens=1))),
    ("answered", True, (Answer(text="B", finish_reason="length"), Answer(text="A", usage=Usage(output=1)), Prompt(max_tokens=1))),
    ("answered", True, (Answer(text="The total", finish_reason="length"), Answer(text="The sum", finish_reason="length"))),
    ("answered", True, (Answer(text="The total is", finish_reason="length"),)),
    ("answered", False, (Answer(tool_calls=(ToolCall("c", "find", '{"id'),), finish_reason="length"), A_CALL)),
    ("answered", True, (Answer(tool_calls=A_CALL.tool_calls, finish_reason="length"), A_CALL)),
    ("answered", False, ("I'm sorry, but I can't help with that.", "The total is 7.")),
    ("answered", True, ("I'm sorry, but I can't help with that.", "I cannot assist with that.")),
    ("answered", True, ("I'm sorry, but I can't help with that.",)),
    ("answered", False, (" \n",)),
    ("answered", False, (Answer(text="No.", refusal=True),)),
    ("json_valid", True, (' {"a": 1}\n',)),
    ("json_valid", False, ('```json\n{"a": 1}\n```',)),
    ("json_valid", False, ('{"a": NaN}',)),
    ("json_valid", False, ('{"a": 1, "a": 2}',)),
    ("json_valid", False, ('[{"b": {"a": 1, "c": 0, "a": 1}}]',)),
    ("json_valid", True, ('[{"a": 1}, {"a": 1, "b": {"a": 2}}]',)),
    ("json_valid", None, (A_CALL,)),
    ("same_keys", True, ('{"b": 2, "a": {"c": 0}}', '{"a": {"c": 1}, "b": 1}')),
    ("same_keys", True, ('```json\n{"a": 1}\n```', '{"a": 2}')),
    ("same_keys", False, ('{"total_amount": 1}', '{"total": 1}')),
    ("same_keys", False, ("no JSON here", '{"total": 1}')),
    ("same_keys", None, ('{"total": 1}', "no JSON there")),
    ("same_keys", None, ('{"total": 1}',)),
    ("no_new_fence", False, ("```\nx\n```", "x")),
    ("no_new_fence", True, ("```\nx\n```", "```\ny\n```")),
    ("no_new_fence", True, ("x", "```\ny\n```")),
    ("no_new_fence", None, ("```\nx\n```",)),
    ("no_new_fence", False, ('```json\n{"a": 1}\n```', None, ASKED)),
    ("no_new_fence", True, ('{"code": "```x```"}', None, ASKED)),
    ("no_trailing_text", False, ('{"a": 1}\n\nAnything else?', '{"a": 2}')),
    ("no_trailing_text", True, ('```json\n{"a": 1}\n```', '{"a": 2}')),
    ("no_trailing_text", True, ('{"a": 1}\n\nYours, Anna', '{"a": 2}\n\nYours, Anna')),
    ("no_trailing_text", False, ('{"a": 1}\n\nAnything else?', None, ASKED)),
    ("no_trailing_text", None, ('{"a": 1}\n\nAnything else?',)),
    ("no_new_escapes", False, ('"caf\\u00e9"', '"café"')),
    ("no_new_escapes", True, ('"caf\\u00e9"', '"th\\u00e9"')),
    ("no_new_escapes", True, ("C:\\users", '"café"')),
    ("no_new_escapes", None, ('"caf\\u00e9"',)),
    ("same_tool_calls", True, (A_CALL, Answer(tool_calls=(ToolCall("other id", "find", '{ "id":1 }'),)))),
    ("same_tool_calls", False, (A_CALL, Answer(tool_calls=(ToolCall("call_1", "find", '{"id": 2}'),)))),
    ("same_tool_calls", False, (A_CALL, "text")),
    ("same_tool_calls", True, ("text", "another text")),
    ("same_tool_calls", None, (A_CALL,)),
    ("json_schema", None, ("{}",)),
]


@pytest.mark.parametrize(("name", "expected", "given_"), STORIES, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(STORIES)])
def test_a_rule(name: str, expected: bool | None, given_: tuple[Any, ...]) -> None:
    assert verdict(name, *given_) is expected


def test_a_key_that_stands_twice_is_named() -> None:
    score = graded("json_valid", '{"total": 1, "net": 2, "total": 3}')
    assert isinstance(score, Score)
    assert score.why == "a key stands twice in one object: `total`"


def test_json_nested_as_deep_as_can_be_read_does_not_raise() -> None:
    for depth in range(900, 1000, 7):
        assert verdict("json_valid", '{"a":' * depth + "1" + "}" * depth) in (True, False)


def test_a_failed_check_says_why() -> None:
    score = graded("same_keys", '{"vendor": 1, "total_amount": 1}', '{"vendor": 1, "total": 1}')
    assert isinstance(score, Score)
    assert score.value == pytest.approx(1 / 3)  # one key of three is in both
    assert score.why == "`total` missing, `total_amount` added"


# ── content, not format ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "answer",
    [
        '{"invoice": "INV-1029", "total": 1428.00, "due": "2026-04-04"}',
        '```json\n{"invoice": "INV-1029", "total": 1428.0, "due": "4 April 2026"}\n```',
        '{"invoice": "INV\\u002d1029", "total": "\\u0031428"}',
        "The total is 1.428,00 EUR, due on April 4th, 2026 (issued 05.03.2026).",
        "1. Net: 1200\n2. Tax: 228\n3. In words: due in 2026",
        "1\u202f428 EUR",
    ],
)
def test_an_answer_that_agrees_with_its_context_passes_in_any_dress(answer: str) -> None:
    score = graded("context_agreement", answer, context=CONTEXT)
    assert score == Score(check="context_agreement", value=1.0, passed=True)


@pytest.mark.parametrize(
    ("answer", "share", "foreign"),
    [
        ('{"total": 1482.00, "due": "2026-04-04"}', 1 / 2, "1482.00"),
        ("Due on 5 April 2026.", 0.0, "5 April 2026"),
        ("Total: -1428 EUR", 1 / 2, "-1428"),
        ("INV-1092: 228 of 1428", 2 / 3, "1092"),
    ],
)
def test_a_number_or_date_of_its_own_is_found(answer: str, share: float, foreign: str) -> None:
    score = graded("context_agreement", answer, context=CONTEXT)
    assert isinstance(score, Score)
    assert score.value == pytest.approx(share)
    assert not score.passed
    assert f"`{foreign}`" in score.why


def test_a_context_in_json_is_read_as_well() -> None:
    assert verdict("context_agreement", "Flight SK1043 leaves at 06:35", context='{"flight": "SK1043", "departs": "06:35"}') is True


def test_marks_between_digits_are_read_in_every_way_that_makes_sense() -> None:
    assert verdict("context_agreement", "1.234", context="1,234 pieces") is True
    assert verdict("context_agreement", "1.234", context="1,2340 pieces") is True
    assert verdict("context_agreement", "1.234.567", context="1 234,567 and 1234.567") is False


def test_without_context_or_numbers_there_is_no_score() -> None:
    assert verdict("context_agreement", "The total is 12.") is None
    assert verdict("context_agreement", "The total is right.", context=CONTEXT) is None


def test_names_and_quotes_of_its_own_are_found_as_well() -> None:
    context = 'Ms Ito of Globex wrote: "the parcel never came". She lives in Kyoto.'
    assert verdict("context_agreement", "The customer, Ms Ito, says that the parcel never came.", context=context) is True
    foreign = graded("context_agreement", 'The customer lives in Osaka and wrote: "the parcel was broken".', context=context)
    assert isinstance(foreign, Score)
    assert not foreign.passed
    assert "`Osaka`" in foreign.why
    assert "`the parcel was broken`" in foreign.why


def test_what_the_user_said_is_no_invention() -> None:
    prompt = Prompt(system="Never mention 99.", messages=(Message(role="user", text="<docs>Total: 12</docs> Is order 4711 paid?"),))
    assert verdict("context_agreement", "Order 4711 comes to 12.", None, prompt, "Total: 12") is True
    assert verdict("context_agreement", "Order 4711 comes to 99.", None, prompt, "Total: 12") is False


# ── the right answer ────────────────────────────────────────────────────────────────────────────────────────────────

RIGHT: list[tuple[str, str]] = [
    ("42", "42"),
    ("42", "The answer is 42."),
    ("42", "6 * 7 = 42"),
    ("42", "The answer is 42, since 40 + 2 make that; checked 3 times."),
    ("42", "Three steps.\n\n#### 42"),
    ("42", r"so that \boxed{42} of 100 remain"),
    ("1428", "Total: 1,428.00 EUR"),
    ("$5", "The price is $5"),
    ("42", "1 2 3 " * 100 + "so 42"),
    ("19 %", "19%"),
    ("2026-04-04", "Due on 4 April 2026."),
    ("Paris", "paris"),
    ("Paris", "**Paris**"),
    ("Paris", "The capital is Paris."),
    ("Paris", "Answer: Paris, the capital of France"),
    ("Yes", "I looked it up.\n\n[Yes]"),
    ("café", '"caf\\u00e9"'),
    ('{"a": 1, "b": [2]}', '```json\n{"b": [2.0], "a": 1}\n```'),
]

WRONG: list[tuple[str, str]] = [
    ("42", "It is 41."),
    ("42", "42 was my first guess.\nThe answer is 43."),
    ("3", "The answer is 42, checked 3 times."),
    ("42", "142"),
    ("42", ""),
    ("Paris", "It is not Paris."),
    ("Paris", "Lyon or Paris"),
    ("Paris", "Paris is large.\n\nLyon"),
    ("valid", "It is invalid"),
    ("Yes", "[No]"),
    ('{"a": 1}', '{"a": 2}'),
    ('{"a": 1}', "a is 1"),
    ("", "anything"),
]


@pytest.mark.parametrize(("reference", "answer"), RIGHT)
def test_an_answer_that_is_the_reference(reference: str, answer: str) -> None:
    assert verdict("matches_reference", answer, reference=reference) is True


@pytest.mark.parametrize(("reference", "answer"), WRONG)
def test_an_answer_that_is_not_the_reference(reference: str, answer: str) -> None:
    assert verdict("matches_reference", answer, reference=reference) is False


def test_without_a_reference_nobody_knows_what_is_right() -> None:
    assert verdict("matches_reference", "42") is None
    assert verdict("matches_reference", A_CALL, reference="42") is None


# ── left over at the end ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "answer", ["Sure.<|im_end|>", "Sure.\n\nUser: and then?", "Sure.</s>", "```python\nx = 1\n```\n```", "Sure.\n\n### Instruction:"]
)
def test_a_mark_left_over_fails_with_and_without_a_known_good_answer(answer: str) -> None:
    assert verdict("no_trailing_artefact", answer) is False
    assert verdict("no_trailing_artefact", answer, "Certainly.") is False


def test_a_mark_that_was_asked_for_or_is_known_good_is_none() -> None:
    prompt = Prompt(messages=(Message(role="user", text="Answer in <answer>...</answer> tags."),))
    assert verdict("no_trailing_artefact", "<answer>4</answer>", None, prompt) is True
    assert verdict("no_trailing_artefact", "<answer>4</answer>") is False
    assert verdict("no_trailing_artefact", "<answer>4</answer>", "<answer>5</answer>") is True


@pytest.mark.parametrize("answer", ["Sure.", '{"a": [1]}', "```\nx\n```", "Let me know if you need more.", 'She said "yes"'])
def test_an_ordinary_end_is_no_mark(answer: str) -> None:
    assert verdict("no_trailing_artefact", answer) is True


# ── what only a judge can see ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", JUDGED_CHECKS)
def test_no_rule_pretends_to_see_what_a_judge_is_asked(name: str) -> None:
    assert graded(name, "Hello", "Hello") == Unscored("asked of the judge")


# ── where the context stands ────────────────────────────────────────────────────────────────────────────────────────

CHAT = Prompt(
    system="Answer from <docs>the house rules</docs>.",
    messages=(
        Message(role="user", text="<docs>old</docs>"),
        Message(role="assistant", text="Yes."),
        Message(role="user", text="<docs>first</docs> and <docs>second</docs>: which?"),
    ),
)


@pytest.mark.parametrize(
    ("locator", "found"),
    [
        ("messages[-1] <docs>...</docs>", "first\nsecond"),
        ("messages[0] <docs>...</docs>", "old"),
        ("messages[1]", "Yes."),
        ("system <docs>...</docs>", "the house rules"),
        ("messages[1] <docs>...</docs>", None),
        ("messages[7] <docs>...</docs>", None),
        ("header x-context", None),
        (None, None),
    ],
)
def test_a_locator_finds_the_context(locator: str | None, found: str | None) -> None:
    assert checks.find_context(locator, CHAT) == found


def test_a_locator_that_says_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"not a context locator: `the docs`"):
        checks.find_context("the docs", CHAT)


# ── JSON Schema ─────────────────────────────────────────────────────────────────────────────────────────────────────

ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "lines"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "note": {"type": ["string", "null"], "maxLength": 5},
        "state": {"enum": ["open", "paid"]},
        "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "of": {"$ref": "#/$defs/line"}}}},
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"id": 1.0, "note": None}, ""),  # JSON Schema counts 1.0 as an integer
        ({"lines": [{"sku": "a", "of": {"sku": "b"}}]}, ""),
        ({"id": "1"}, "$.id: a string, not integer"),
        ({"id": True}, "$.id: a boolean, not integer"),
        ({"id": 0}, "$.id: less than 1"),
        ({"note": "too long"}, "$.note: longer than 5"),
        ({"state": "lost"}, "$.state: none of the values that are allowed"),
        ({"lines": []}, "$.lines: fewer items than 1"),
        ({"lines": [{"sku": "a", "of": {}}]}, "$.lines[0].of.sku: missing"),
        ({"extra": 1}, "$.extra: not in the schema"),
    ],
)
def test_a_schema_is_followed(change: dict[str, Any], why: str) -> None:
    answer = json.dumps({"id": 7, "lines": [{"sku": "a"}]} | change)
    score = graded("json_schema", answer, prompt=Prompt(schema=ORDER))
    assert isinstance(score, Score)
    assert (score.passed, score.why) == (not why, why)


@pytest.mark.parametrize(
    ("schema", "value", "follows"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, True),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, False),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, 3, False),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, 9, True),
        ({"allOf": [{"minimum": 1}, {"exclusiveMaximum": 5}]}, 5, False),
        ({"not": {"const": 1}}, 1, False),
        ({"const": True}, 1, False),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a", "b"], False),
        ({"additionalProperties": {"type": "number"}}, {"a": 1, "b": "2"}, False),
        (True, 1, True),
        ({"pattern": "(a+)+$"}, "a" * 5000 + "b", True),  # left out on purpose; it would run for years
    ],
)
def test_schema_keywords(schema: Any, value: Any, follows: bool) -> None:
    assert verdict("json_schema", json.dumps({"v": value}), prompt=Prompt(schema={"properties": {"v": schema}})) is follows


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/$defs/none"}, {"$ref": "https://example.com/schema"}, {"anyOf": 3}])
def test_a_schema_that_leads_nowhere_gives_no_score(schema: dict[str, Any]) -> None:
    assert verdict("json_schema", "{}", prompt=Prompt(schema=schema)) is None


_json = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)).map(
    json.dumps
)
_figures = st.text(alphabet="0123456789.,-/ 'may£\u00a0²{}\"")


@given(st.one_of(st.text(), _json, _figures), st.one_of(st.none(), st.text(), _json), st.one_of(st.none(), _figures))
@settings(max_examples=200, deadline=None)
def test_no_answer_makes_a_check_raise(answer: str, known_good: str | None, context: str | None) -> None:
    good = None if known_good is None else Answer(text=known_good)
    scores = checks.run(CHECK_NAMES, Graded(Prompt(schema=ORDER, json_asked=True), Answer(text=answer), good, context, known_good))
    assert len(scores) == len(CHECK_NAMES)
    assert all(0.0 <= s.value <= 1.0 and s.passed == (s.value == 1.0) for s in scores if isinstance(s, Score))


@pytest.mark.parametrize("text", ["a" * 200_000, "1," * 100_000, "may " * 50_000, "5 " * 100_000, "{" * 100_000, "\\u00e9" * 30_000])
def test_two_hundred_kilobytes_do_not_hold_the_checks_up(text: str) -> None:
    """Quadratic time would take hours here."""
    assert len(checks.run(CHECK_NAMES, Graded(Prompt(), Answer(text=text), Answer(text="x"), text, text))) == len(CHECK_NAMES)
