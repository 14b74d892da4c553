"""The team's own checks: rows of the pin file as rules, and regular expressions that hostile text cannot hold up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent import checks
from detent.checks import Graded
from detent.checks.own import KINDS, rules
from detent.checks.patterns import WITH_REPEAT, WITHOUT_REPEAT, fault, searched
from detent.terms import Answer, CheckRow, Prompt, Score, ToolCall, Unscored

A_CALL = Answer(tool_calls=(ToolCall("call_1", "find", "{}"),))


def graded(text: str | Answer, **row: Any) -> Score | Unscored:
    own = rules([CheckRow(name="mine", **row)])
    (found,) = checks.run(["mine"], Graded(Prompt(), Answer(text=text) if isinstance(text, str) else text), own)
    return found


def verdict(text: str | Answer, **row: Any) -> bool | None:
    return checks.passed([graded(text, **row)])


STORIES: list[tuple[dict[str, Any], str, bool]] = [
    ({"matches": r"^Dear (?:Mr|Ms)\.? \w+,"}, "Dear Ms. Ito,\nThank you.", True),
    ({"matches": r"^Dear (?:Mr|Ms)\.? \w+,"}, "Hi!", False),
    ({"matches": r"(?i)refund"}, "Your REFUND is on its way", True),
    ({"never_matches": r"\b\d{16}\b"}, "Card 1234567812345678", False),
    ({"never_matches": r"\b\d{16}\b"}, "Card ending in 5678", True),
    ({"contains": "30 days"}, "within 30 days", True),
    ({"contains": "30 days"}, "within 60 days", False),
    ({"lacks": "as an AI"}, "I say this as an AI model", False),
    ({"lacks": "as an AI"}, "Certainly", True),
    ({"max_chars": 5}, "12345", True),
    ({"max_chars": 5}, "123456", False),
    ({"min_chars": 5}, "1234", False),
    ({"min_chars": 5}, "12345", True),
]


@pytest.mark.parametrize(("row", "text", "passes"), STORIES)
def test_a_row_is_a_rule(row: dict[str, Any], text: str, passes: bool) -> None:
    assert verdict(text, **row) is passes


def test_every_kind_of_row_is_told_as_a_story() -> None:
    assert {kind for row, *_ in STORIES for kind in row} == set(KINDS)


def test_a_failed_row_says_what_and_why() -> None:
    score = graded("within 60 days", contains="30 days", says="the deadline is named")
    assert score == Score(check="mine", value=0.0, passed=False, why="the deadline is named: `30 days` is not in it")


@pytest.mark.parametrize("row", [row for row, *_ in STORIES])
def test_a_tool_call_without_text_has_nothing_to_look_at(row: dict[str, Any]) -> None:
    assert verdict(A_CALL, **row) is None


@pytest.mark.parametrize(("dress", "most"), [("", WITHOUT_REPEAT), ("a+?", WITH_REPEAT)])
def test_what_nobody_searched_is_unscored_and_no_pass(dress: str, most: int) -> None:
    long = "a" * most
    assert verdict(long, never_matches=f"secret{dress}") is True
    assert verdict(long + " secreta", never_matches=f"secret{dress}") is None
    assert verdict(long + " greetinga", matches=f"greeting{dress}") is None
    assert verdict("greetinga " + long, matches=f"greeting{dress}") is True
    assert verdict("secreta " + long, never_matches=f"secret{dress}") is False
    unsearched = graded(long + " secreta", never_matches=f"secret{dress}")
    assert isinstance(unsearched, Unscored)
    assert unsearched.broken
    assert checks.passed([Score(check="answered", value=1.0, passed=True), unsearched]) is None


@pytest.mark.parametrize(
    ("pattern", "most"), [("refund", WITHOUT_REPEAT), (r"\d{1,3}%", WITHOUT_REPEAT), (r"\d+%", WITH_REPEAT), (r"\d++%", WITH_REPEAT)]
)
def test_open_ended_repeats_are_searched_for_in_less_text(pattern: str, most: int) -> None:
    assert searched(pattern) == most


def test_an_answer_that_did_not_arrive_is_unscored_by_own_checks_too() -> None:
    assert verdict(Answer(text="within 30 days", complete=False), contains="30 days") is None


# ── regular expressions ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "pattern",
    [
        r"refund.*within",
        r"a.{0,200}b.{0,200}c",
        r"(foo|bar)+x",
        r"(a++b)+",
        r"(?>a|ab)*c",
        r"(a+)?",
        r"[+*]+x",
        r"\(a+\)+",
        r"(?:\.|,)+",
        r"\d+\.\d+",
        r"^#{1,6} ",
        r"(?i)\bsorry\b",
        r"(?P<day>\d{1,2})[./]",
        r"[\]]+",
        r"\bx{2,}\b",
    ],
)
def test_a_good_pattern_is_taken(pattern: str) -> None:
    assert fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "no regular expression"),
        ("a{99999999999999}", "no regular expression"),
        ("", "is empty"),
        ("x" * 2001, "longer than 2000"),
        (r"(a+)+b", "many ways"),
        (r"(\w+\s?)+$", "many ways"),
        (r"(a|a)+b", "many ways"),
        (r"(\w|\d)+x", "many ways"),
        (r"(a|ab)*c", "many ways"),
        (r"((foo|fab))+", "many ways"),
        (r"((a+)b)*", "many ways"),
        (r"(a+){2,5}", "many ways"),
        (r"(?:x*?y)+", "many ways"),
        (r"a.*b.*c", "2 open-ended"),
        (r"a.*?b[^x]*c", "2 open-ended"),
        (r".*.*.*x", "3 open-ended"),
        (r"[\s\S]*a[\s\S]*b", "2 open-ended"),
    ],
)
def test_a_pattern_that_could_take_for_ever_is_not(pattern: str, says: str) -> None:
    found = fault(pattern)
    assert found is not None
    assert says in found[0]


@given(st.text(alphabet="ab()[]|*+?{}1,.\\^$-:<>=!P", max_size=25))
def test_a_pattern_is_good_or_its_fault_has_a_next_step(pattern: str) -> None:
    found = fault(pattern)
    assert found is None or all(found)


@pytest.mark.parametrize("text", ["refund within " * 1_428, "a" * WITH_REPEAT, "\n" * WITH_REPEAT, "1" * WITH_REPEAT])
@pytest.mark.parametrize("pattern", [r"refund.*days", r"(?>foo|fob)*c", r"(a++b)+", r"\d+\.\d+", r"r.{0,200}w.{0,200}q"])
def test_a_good_pattern_comes_back_from_a_text_that_loops(pattern: str, text: str) -> None:
    """Exponential time would take years here, and cubic time hours."""
    assert verdict(text, matches=pattern) is False
