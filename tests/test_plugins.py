"""Checks that call code of others: found, called, and never believed more than they say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from detent import checks, plugins
from detent.checks import Graded
from detent.checks.own import AUTOEVALS, AUTOEVALS_ASKING
from detent.errors import InvalidInput
from detent.manifest import read
from detent.plugins import load_checks
from detent.terms import Answer, Prompt, Score, ToolCall, Unscored

PIN_FILE = """\
[providers.openai]
dialect  = "openai"
base_url = "https://api.openai.com/v1"
watcher  = "llm@example.com"

[routes.mail]
provider = "openai"
version  = "gpt-4o-2024-05-13"
owner    = "mail@example.com"
checks   = ["answered", "mine"]

[checks.mine]
"""

MODULE = """
    from detent.terms import Score, Unscored

    def polite(graded):
        return "please" in graded.answer.text

    def share(graded):
        return 0.7

    def whole(graded):
        return Score(check="another name", value=0.25, passed=False, why="too short")

    def cannot_say(graded):
        return Unscored("no order number in the request")

    def raises(graded):
        raise KeyError("secret")

    def leaves(graded):
        raise SystemExit(0)

    def nothing(graded):
        return None

    def prose(graded):
        return "yes"

    def too_much(graded):
        return 7

    def not_a_number(graded):
        return float("nan")

    def true_as_text(graded):
        return Score(check="x", value=1.0, passed="yes")

    class Deep:
        @staticmethod
        def check(graded):
            return True

    number = 7
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "house_checks.py").write_text(dedent(MODULE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("house_checks", "broken_checks"):
        sys.modules.pop(name, None)


def graded(row: str, text: str | Answer = "please", **more: Any) -> Score | Unscored:
    answer = Answer(text=text) if isinstance(text, str) else text
    own = load_checks(read(PIN_FILE + row))
    (found,) = checks.run(["mine"], Graded(Prompt(), answer, **more), own)
    return found


def python(name: str) -> Score | Unscored:
    return graded(f'python = "house_checks:{name}"')


@pytest.mark.usefixtures("package")
def test_a_function_grades_an_answer() -> None:
    assert python("polite") == Score(check="mine", value=1.0, passed=True)
    refused = graded('python = "house_checks:polite"', "No.")
    assert isinstance(refused, Score)
    assert not refused.passed
    assert python("Deep.check") == Score(check="mine", value=1.0, passed=True)


@pytest.mark.usefixtures("package")
def test_a_value_passes_from_at_least_on() -> None:
    assert graded('python = "house_checks:share"\nat_least = 0.7') == Score(check="mine", value=0.7, passed=True)
    below = graded('python = "house_checks:share"\nat_least = 0.71')
    assert below == Score(check="mine", value=0.7, passed=False, why="0.7, below 0.71")


@pytest.mark.usefixtures("package")
def test_a_score_of_its_own_keeps_the_name_of_the_row() -> None:
    assert python("whole") == Score(check="mine", value=0.25, passed=False, why="too short")
    assert python("cannot_say") == Unscored("no order number in the request")


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("raises", "the check `mine` failed: KeyError"),
        ("leaves", "the check `mine` failed: SystemExit"),
        ("nothing", "the check `mine` returned no result: NoneType"),
        ("prose", "the check `mine` returned no result: str"),
        ("too_much", "the check `mine` returned no value from 0 to 1"),
        ("not_a_number", "the check `mine` returned no value from 0 to 1"),
        ("true_as_text", "the check `mine` returned no value from 0 to 1"),
    ],
)
def test_code_that_fails_or_talks_nonsense_is_no_pass(name: str, why: str) -> None:
    assert python(name) == Unscored(why, broken=True)


@pytest.mark.usefixtures("package")
def test_code_that_could_not_grade_leaves_no_verdict_and_code_that_does_not_apply_does() -> None:
    good = Score(check="json_valid", value=1.0, passed=True)
    assert checks.passed([good, python("raises")]) is None
    assert checks.passed([good, python("cannot_say")]) is True


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("house_checks:impolite", "AttributeError"),
        ("house_checks:number", "is no function"),
        ("no_such_module:check", "ModuleNotFoundError"),
        ("broken_checks:check", "ZeroDivisionError"),
        ("no-such-entry-point", "no installed package offers"),
    ],
)
def test_a_function_that_is_not_there_is_said_at_once(package: Path, python: str, why: str) -> None:
    (package / "broken_checks.py").write_text("1 / 0")
    with pytest.raises(InvalidInput, match=why) as caught:
        load_checks(read(PIN_FILE + f'python = "{python}"'))
    assert "mine" in caught.value.message
    assert caught.value.hint


def test_a_check_that_no_route_names_is_not_imported() -> None:
    text = PIN_FILE.replace(', "mine"', "") + 'python = "no_such_module:check"'
    assert "mine" not in load_checks(read(text))


def test_an_installed_package_offers_a_check_by_name(package: Path) -> None:
    info = package / "house_checks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: house-checks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\npolite = house_checks:polite\n")
    assert graded('python = "polite"') == Score(check="mine", value=1.0, passed=True)


# ── autoevals ───────────────────────────────────────────────────────────────────────────────────────────────────────

autoevals = pytest.importorskip("autoevals")


def scored(name: str, text: str | Answer, at_least: float = 0.5, **more: Any) -> Score | Unscored:
    return graded(f'autoevals = "{name}"\nat_least = {at_least}', text, **more)


def test_a_scorer_is_held_against_the_reference() -> None:
    # One letter of five is another: 1 - 1/5
    assert scored("Levenshtein", "horse", reference="house") == Score(check="mine", value=0.8, passed=True)
    assert scored("Levenshtein", "horse", 0.9, reference="house") == Score(check="mine", value=0.8, passed=False, why="0.8, below 0.9")
    assert scored("ExactMatch", "house", 1, reference="house") == Score(check="mine", value=1.0, passed=True)
    # 1 - |90 - 110| / (90 + 110)
    assert scored("NumericDiff", "90", 0.95, reference="110") == Score(check="mine", value=0.9, passed=False, why="0.9, below 0.95")
    assert scored("ValidJSON", '{"a": 1}') == Score(check="mine", value=1.0, passed=True)
    # Of two keys one has the same number, and the other another: (1 + 1 - 1/3) / 2
    found = scored("JSONDiff", '{"a": 1, "b": 1}', reference='{"a": 1, "b": 2}')
    assert isinstance(found, Score)
    assert found.value == pytest.approx((1 + 2 / 3) / 2)


def test_without_a_reference_the_known_good_answer_takes_its_place() -> None:
    good = Answer(text="house")
    assert scored("ExactMatch", "house", 1, known_good=good) == Score(check="mine", value=1.0, passed=True)
    both = scored("ExactMatch", "horse", 1, known_good=good, reference="horse")
    assert isinstance(both, Score)
    assert both.passed


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("Levenshtein", "horse", {}),
        ("ExactMatch", "horse", {}),
        ("JSONDiff", "{}", {}),
        ("NumericDiff", "7", {"reference": "seven"}),
        ("Levenshtein", "x" * 100_001, {"reference": "x"}),
        ("ExactMatch", Answer(tool_calls=(ToolCall("1", "f", "{}"),)), {"reference": "x"}),
        ("JSONDiff", "[" * 50_000, {"reference": "[" * 50_000 + "]" * 50_000}),
    ],
)
def test_what_a_scorer_cannot_compare_is_unscored(name: str, text: str | Answer, more: dict[str, Any]) -> None:
    assert isinstance(scored(name, text, **more), Unscored)


def test_an_answer_that_is_no_number_is_a_failed_comparison_of_numbers() -> None:
    found = scored("NumericDiff", "seven", reference="7")
    assert isinstance(found, Score)
    assert not found.passed


def test_the_scorers_of_both_lists_are_in_the_library() -> None:
    assert all(hasattr(autoevals, name) for name in (*AUTOEVALS, *AUTOEVALS_ASKING))
    assert not set(AUTOEVALS) & set(AUTOEVALS_ASKING)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autoevals", None)
    with pytest.raises(Exception, match=r"autoevals.*\n?.*") as caught:
        scored("Levenshtein", "x", reference="x")
    assert "detent[autoevals]" in str(caught.value)
