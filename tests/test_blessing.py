"""Known-good is earned: by a label, by users, by the route's checks, or by a person who looked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from detent.baseline import by_rules, reviewed, sample_for_review
from detent.baseline.digest import digest_of
from detent.checks import Graded
from detent.errors import InvalidInput
from detent.terms import Baseline, Blessing, Case, Endpoint, Route, Score, Unscored
from records import OLD, T0

ROUTE = Route(name="bot", provider="openai", version=OLD.model, owner="ann@example.com", checks=("json_valid", "same_keys"))


def case(known_good: str = '{"total": 7}', name: str = "ca_1", json_asked: bool = True, **more: Any) -> Case:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": name}]}
    if json_asked:
        asked["response_format"] = {"type": "json_object"}
    return Case(
        id=name, route="bot", endpoint=Endpoint.OPENAI_CHAT, request=json.dumps(asked).encode(), known_good=known_good, frozen_at=T0, **more
    )


def graded(of: Case, *, rating: float | None = None, correct: bool | None = None, route: Route = ROUTE, **more: Any) -> str:
    """Who blessed it, or why it is faulted."""
    found = by_rules(of, route, rating=rating, correct=correct, now=T0, **more)
    assert (found.blessed is None) or not found.faulted
    return found.faulted or (found.blessed.by if found.blessed is not None else "")


@pytest.mark.parametrize(
    ("known_good", "rating", "correct", "says"),
    [
        ('{"total": 7}', None, None, "checks"),
        ('{"total": 7}', 0.5, None, "feedback"),
        ('{"total": 7}', 0.9, True, "label"),
        ('{"total": 7}', None, False, "its label says so"),
        ('{"total": 7}', 1.0, False, "its label says so"),
        ('{"total": 7}', 0.49, True, "users said that it is bad"),
    ],
)
def test_the_worst_that_is_known_counts_and_then_the_best(known_good: str, rating: float | None, correct: bool | None, says: str) -> None:
    assert graded(case(known_good), rating=rating, correct=correct) == says


@pytest.mark.parametrize("known_good", ["no JSON", "", '```json\n{"total": 7}\n```'])
def test_a_check_that_needs_no_comparison_faults_an_output_whatever_users_said(known_good: str) -> None:
    assert graded(case(known_good), rating=1.0, correct=True).startswith("fails ")


def test_a_check_that_compares_has_nothing_to_say_here() -> None:
    found = by_rules(case("hello", json_asked=False), replace(ROUTE, checks=("same_keys",)), rating=None, correct=None, now=T0)
    assert found.blessed == Blessing(by="checks", at=T0, why="answered"), "which is said, since it is not much"


def test_a_check_of_the_teams_own_counts_like_any_other() -> None:
    def polite(graded: Graded) -> Score | Unscored:
        return Score(check="polite", value=0.0, passed="please" in graded.answer.text, why="no please")

    route = replace(ROUTE, checks=("polite",))
    assert graded(case("now", json_asked=False), route=route, own_checks={"polite": polite}) == "fails polite: no please"
    assert graded(case("now, please", json_asked=False), route=route, own_checks={"polite": polite}) == "checks"


def test_a_check_that_could_not_do_its_work_blesses_nothing() -> None:
    def breaks(graded: Graded) -> Score | Unscored:
        return Unscored("it raised", broken=True)

    route = replace(ROUTE, checks=("breaks",))
    assert graded(case("now", json_asked=False), route=route, own_checks={"breaks": breaks}) == ""
    assert graded(case("now", json_asked=False), route=route, own_checks={"breaks": breaks}, rating=1.0) == "feedback"


def test_an_output_that_is_not_the_reference_is_not_known_good() -> None:
    assert graded(case("42", json_asked=False, reference="42")) == "label"
    assert graded(case("41", json_asked=False, reference="42")).startswith("fails matches_reference")


def test_what_is_faulted_already_stays_so() -> None:
    assert graded(case(faulted="pinned as an incident: x"), correct=True) == "pinned as an incident: x"


# ── people ──


def baseline(*cases: Case) -> Baseline:
    return Baseline(route="bot", digest=digest_of(cases), frozen_at=T0, owner="ann@example.com", cases=cases)


def test_a_person_is_asked_about_what_weighs_most_and_never_about_the_reserve() -> None:
    """1,000 cases of weight 1 and 10 of weight 100,000: the last heavy one is still drawn before any light one 100 times in 101."""
    light = [case(name=f"ca_l{n}") for n in range(1000)]
    heavy = [case(name=f"ca_h{n}", weight=1e5) for n in range(10)]
    hidden = [
        case(name="ca_r", weight=1e9, reserve=True),
        case(name="ca_p", weight=1e9, probe="role"),
        case(name="ca_i", weight=1e9, pinned="why", faulted="pinned as an incident: why"),
        case(name="ca_b", weight=1e9, faulted="fails json_valid"),
        case(name="ca_s", weight=1e9, blessed=Blessing(by="ben", at=T0)),
    ]
    frozen = baseline(*light, *hidden, *heavy)
    sample = sample_for_review(frozen, 10)
    assert len(sample) == 10
    assert sum(c.weight == 1e5 for c in sample) >= 9
    assert not {c.id for c in sample} & {c.id for c in hidden}
    assert sample_for_review(frozen, 10) == sample, "the same ones until somebody looked"
    assert sample_for_review(frozen, 3) == sample[:3]
    after = reviewed(frozen, {sample[0].id: (True, "")}, "ann", T0)
    assert [c.id for c in sample_for_review(after, 9)] == [c.id for c in sample[1:]]
    assert sample_for_review(frozen, 0) == ()


def test_what_a_person_says_is_kept_and_changes_the_digest() -> None:
    frozen = baseline(case(name="ca_1", weight=3.0), case(name="ca_2"), case(name="ca_3", faulted="users said that it is bad"))
    after = reviewed(frozen, {"ca_1": (True, "as it should be"), "ca_2": (False, "no total"), "ca_3": (True, "")}, "ann", T0)
    one, two, three = after.cases
    assert one.blessed == Blessing(by="ann", at=T0, why="as it should be")
    assert (two.blessed, two.faulted) == (None, "ann: no total")
    assert (three.faulted, three.blessed) == ("", Blessing(by="ann", at=T0))
    assert after.digest == digest_of(after.cases) != frozen.digest
    assert after.blessed_share == 0.8
    assert reviewed(frozen, {}, "ann", T0) == frozen


@pytest.mark.parametrize(
    ("name", "by", "says"),
    [
        ("ca_none", "ann", "no such case in the baseline of bot: `ca_none`"),
        ("ca_r", "ann", "held back from people: `ca_r`"),
        ("ca_p", "ann", "a probe has no recorded output: `ca_p`"),
        ("ca_i", "ann", "an incident's output is never known good"),
        ("ca_1", "checks", "a person's name, not a rule's: `checks`"),
    ],
)
def test_what_nobody_is_asked_is_refused(name: str, by: str, says: str) -> None:
    frozen = baseline(case(), case(name="ca_r", reserve=True), case(name="ca_p", probe="x"), case(name="ca_i", pinned="why"))
    with pytest.raises(InvalidInput, match=says) as raised:
        reviewed(frozen, {name: (True, "")}, by, T0)
    assert raised.value.hint


# ── the digest ──


@pytest.mark.parametrize(
    "other",
    [
        case(name="ca_2"),
        case('{"total": 8}'),
        case(weight=2.0),
        case(reference="7"),
        case(faulted="fails json_valid"),
        case(blessed=Blessing(by="ann", at=T0)),
        case(strata={"task": "refund"}),
    ],
)
def test_whatever_decides_a_verdict_makes_another_digest(other: Case) -> None:
    assert digest_of([case()]) != digest_of([other])


def test_order_counts_and_who_blessed_does_not() -> None:
    one, two = case(name="ca_1"), case(name="ca_2")
    assert digest_of([one, two]) != digest_of([two, one])
    by_ann, by_ben = (replace(one, blessed=Blessing(by=who, at=T0)) for who in ("ann", "ben"))
    assert digest_of([by_ann]) == digest_of([by_ben])
