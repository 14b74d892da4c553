"""One mirrored exchange, graded: what each answer fails by itself, in what it differs from the live one, and where the pair stands."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from detent import diff
from detent.checks import Graded, Rule
from detent.errors import InvalidInput
from detent.grading import DIVERGING, FAILED, REFUSED, RecordedPair, Side, checks_of, grade
from detent.sampling.near import LIKE, PLACES
from detent.terms import DIMENSIONS, Answer, Endpoint, Outcome, Pair, Route, Score, ToolCall, Unscored, Usage, micros, utc
from records import OLD, T0_US

OPENAI, ANTHROPIC = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES
ROUTE = Route(name="summarizer", provider="openai", version=OLD.model, owner="search@example.com", checks=("json_valid",))
JSON, PROSE = '{"total": 7}', "It is 7."
ASKED: dict[str, Any] = {"model": "summarizer", "messages": [{"role": "user", "content": "how much is it in total?"}]}
AS_JSON = {"response_format": {"type": "json_object"}}
CALLS = (REFUSED, FAILED)
"""What is compared wherever it is known how both mirrored calls ended."""


def said(text: str, *calls: str, **more: Any) -> Side:
    """A complete answer of this text, with calls of these tools."""
    called = tuple(ToolCall(f"call_{i}", name, '{"id": 7}') for i, name in enumerate(calls))
    return Side(outcome=Outcome.COMPLETE, status=200, answer=Answer(text=text, tool_calls=called, **more))


def failed(outcome: Outcome, status: int | None = None) -> Side:
    return Side(outcome=outcome, status=status, answer=Answer(complete=False, error="no"), said="ask ada@example.com")


def pair(
    stable: Side | None = None, candidate: Side | None = None, second: Side | None = None, asked: Any = ASKED, **more: Any
) -> RecordedPair:
    """The same JSON from both, unless said otherwise."""
    request = json.dumps(asked).encode()
    values: dict[str, Any] = {
        "rollout": "ro_1",
        "exchange": "ex_1",
        "at_us": T0_US + 9_000_000,
        "asked_us": T0_US,
        "unit": "u1",
        "endpoint": OPENAI,
        "request": request,
        "template": "0123456789abcdef",
        "drawn": True,
        "stable": stable or said(JSON),
        "candidate": candidate or said(JSON),
        "second": second,
    }
    return RecordedPair(**values | more)


def names(route: Route, *checks: str) -> Route:
    return replace(route, checks=checks)


# ── by itself ──


@pytest.mark.parametrize(
    ("stable", "candidate", "stable_failed", "candidate_failed"),
    [
        (JSON, JSON, (), ()),
        (JSON, PROSE, (), ("check:json_valid",)),
        (PROSE, JSON, ("check:json_valid",), ()),
        (PROSE, PROSE, ("check:json_valid",), ("check:json_valid",)),
    ],
)
def test_both_sides_are_held_to_the_same_checks(
    stable: str, candidate: str, stable_failed: tuple[str, ...], candidate_failed: tuple[str, ...]
) -> None:
    graded = grade(ROUTE, pair(said(stable), said(candidate)))
    assert (graded.stable_failed, graded.candidate_failed) == (stable_failed, candidate_failed)
    assert graded.scored == ("check:json_valid", "check:answered")
    assert (graded.rollout, graded.exchange, graded.at_us, graded.note) == ("ro_1", "ex_1", T0_US + 9_000_000, "")


def test_every_answer_is_held_to_be_an_answer_whatever_the_route_names() -> None:
    assert checks_of(names(ROUTE)) == ("answered",)
    assert checks_of(names(ROUTE, "answered", "json_valid")) == ("answered", "json_valid")
    for nothing in (said(""), said("\u200b"), said("", "drop_tables")):
        graded = grade(names(ROUTE), pair(candidate=nothing))
        assert (graded.stable_failed, graded.candidate_failed) == ((), ("check:answered",))
    offered = ASKED | {"tools": [{"type": "function", "function": {"name": "find"}}]}
    assert grade(names(ROUTE), pair(candidate=said("", "find"), asked=offered)).candidate_failed == ()


def test_a_check_of_the_teams_own_judges_both_sides() -> None:
    own: dict[str, Rule] = {"says_seven": lambda graded: Score(check="says_seven", value=1.0, passed="7" in graded.answer.text)}
    graded = grade(names(ROUTE, "says_seven"), pair(candidate=said("eight")), own)
    assert (graded.stable_failed, graded.candidate_failed) == ((), ("check:says_seven",))


def test_a_check_that_could_not_do_its_work_is_left_out_and_the_others_count() -> None:
    def raises_on_prose(graded: Graded) -> Score | Unscored:
        if graded.answer.text == PROSE:
            return Unscored("the check `house` failed: KeyError", broken=True)
        return Score(check="house", value=1.0, passed=True)

    graded = grade(names(ROUTE, "house", "json_valid"), pair(candidate=said(PROSE)), {"house": raises_on_prose})
    assert graded.scored == ("check:json_valid", "check:answered")
    assert graded.candidate_failed == ("check:json_valid",)


def test_a_check_that_applies_to_one_side_only_is_on_neither() -> None:
    """A tool call has no format: were it scored where the other side writes text, that alone would tell the sides apart."""
    graded = grade(names(ROUTE, "json_valid"), pair(said("", "find"), said(PROSE), said(PROSE)))
    assert "check:json_valid" not in (*graded.scored, *graded.compared, *graded.candidate_differs)


def test_a_check_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown check: `hous`"):
        grade(names(ROUTE, "hous"), pair())


def test_agreement_with_the_context_is_found_by_the_routes_locator() -> None:
    route = replace(names(ROUTE, "context_agreement"), context="messages[-1] <docs>...</docs>")
    asked = {"model": "x", "messages": [{"role": "user", "content": "<docs>The total is 7 EUR.</docs> how much?"}]}
    graded = grade(route, pair(said("7 EUR."), said("8 EUR."), asked=asked))
    assert (graded.stable_failed, graded.candidate_failed) == ((), ("check:context_agreement",))
    assert "change:unsupported_statement" in graded.candidate_differs


# ── against the live answer ──


def test_what_needs_a_known_good_answer_is_held_against_the_live_one_on_candidate_and_second_alike() -> None:
    other, more = said('{"sum": 7}'), said('{"total": 7, "currency": "EUR"}')
    graded = grade(names(ROUTE, "same_keys"), pair(said(JSON), other, more))
    assert graded.compared == ("check:same_keys", *CALLS)
    assert "check:same_keys" not in graded.scored
    assert graded.candidate_differs == ("change:key_renamed", "check:same_keys")
    assert graded.second_differs == ("change:key_added", "check:same_keys")
    assert grade(names(ROUTE, "same_keys"), pair(said(JSON), other, said(JSON))).second_differs == ()


def test_without_a_second_answer_nothing_is_compared_and_what_differs_is_still_named() -> None:
    graded = grade(names(ROUTE, "same_keys"), pair(said(JSON), said('{"sum": 7}')))
    assert (graded.compared, graded.second_differs) == ((), None)
    assert graded.candidate_differs == ("change:key_renamed", "check:same_keys")


def test_a_fence_is_a_failure_where_json_was_asked_for_and_a_difference_elsewhere() -> None:
    route, fenced = names(ROUTE, "no_new_fence"), f"```json\n{JSON}\n```"
    by_itself = grade(route, pair(said(JSON), said(fenced), said(fenced), asked=ASKED | AS_JSON))
    assert (by_itself.candidate_failed, by_itself.compared) == (("check:no_new_fence",), CALLS)
    held_against = grade(route, pair(said(JSON), said(fenced), said(JSON)))
    assert (held_against.candidate_failed, held_against.compared) == ((), ("check:no_new_fence", *CALLS))
    assert held_against.candidate_differs[0] == "change:fence_added"
    assert held_against.candidate_differs[-1] == "check:no_new_fence"


def test_what_is_benign_is_no_difference() -> None:
    before, after = "It arrives on Thursday.", "You will get it this Thursday."
    assert [change.name for change in diff.changes(Answer(text=before), Answer(text=after))] == ["reworded"]
    graded = grade(ROUTE, pair(said(before), said(after), said(before + " ")))
    assert (graded.candidate_differs, graded.second_differs) == ((), ())


ANSWERS = (
    said(JSON),
    said('{"total": "7"}'),
    said(f"```json\n{JSON}\n```"),
    said(PROSE),
    said("I'm sorry, but I can’t assist with that request."),
    said("", "find"),
    said("", "find", "find"),
    said("It is 8, or maybe 9.", finish_reason="length", usage=Usage(output=9)),
    said(""),
    failed(Outcome.HTTP_ERROR, 400),
    failed(Outcome.TIMED_OUT),
)
"""The last two are ends of a mirrored call; a live one that ended so is never mirrored."""


@pytest.mark.parametrize("asked", [ASKED, ASKED | AS_JSON, ASKED | {"tools": [{"type": "function", "function": {"name": "find"}}]}])
def test_the_sides_are_treated_alike(asked: Any) -> None:
    """The coin is fair only if nothing in the grading knows whose an answer is: exchanging two answers exchanges what is said."""
    route = names(ROUTE, "json_valid", "same_keys", "no_new_fence", "no_trailing_text", "same_tool_calls", "no_new_escapes")
    for live, one, other in itertools.product(ANSWERS[:-2], ANSWERS, ANSWERS):
        here, there = grade(route, pair(live, one, other, asked)), grade(route, pair(live, other, one, asked))
        if one is other is ANSWERS[-1]:
            assert here.note, "both failed: no side of it tells anything"
            continue
        assert here.second_differs is not None
        assert here.compared == there.compared
        assert _counted(here, here.candidate_differs) == _counted(there, there.second_differs)
        assert (here.second_failed is None) is (there.second_failed is None)
        if here.second_failed is not None:
            assert here.scored == there.scored
            assert (here.candidate_failed, here.second_failed) == (there.second_failed, there.candidate_failed)
            assert here.stable_failed == there.stable_failed


def _counted(graded: Pair, differs: Sequence[str] | None) -> set[str]:
    """What counts of the differences: each named change, and the checks that were compared."""
    return {field for field in differs or () if field in graded.compared or field.startswith("change:")}


# ── who refuses, who fails ──


@pytest.mark.parametrize("status", [400, 405, 422])
def test_a_request_that_only_the_candidate_refuses_is_its_failure(status: int) -> None:
    graded = grade(ROUTE, pair(candidate=failed(Outcome.HTTP_ERROR, status), second=said(PROSE)))
    assert (graded.compared, graded.candidate_differs, graded.second_differs) == (CALLS, (REFUSED,), ())
    assert (graded.scored, graded.diverges, graded.note) == ((), True, "")
    assert graded.input_class, "it is a pair, and stands for its traffic"


def test_a_refusal_counts_only_against_a_second_call_of_stables() -> None:
    """What a provider refuses at random it refuses of live requests too, and those are never mirrored: a live answer is no counterpart."""
    refused = failed(Outcome.HTTP_ERROR, 400)
    alone = grade(ROUTE, pair(candidate=refused))
    assert (alone.compared, alone.candidate_differs, alone.second_differs) == ((), (REFUSED,), None)
    unheard = grade(ROUTE, pair(candidate=refused, second=failed(Outcome.HTTP_ERROR, 429)))
    assert (unheard.compared, unheard.second_differs) == ((), None)
    both = grade(ROUTE, pair(candidate=refused, second=refused))
    assert (both.compared, both.candidate_differs, both.second_differs) == (CALLS, (REFUSED,), (REFUSED,))
    stable_alone = grade(ROUTE, pair(candidate=said(PROSE), second=refused))
    assert (stable_alone.compared, stable_alone.candidate_differs, stable_alone.second_differs) == (CALLS, (), (REFUSED,))
    assert stable_alone.scored, "what needs no second answer is told all the same"
    assert stable_alone.second_failed is None


CHANCE = [
    failed(Outcome.HTTP_ERROR, 500),
    failed(Outcome.HTTP_ERROR, 503),
    failed(Outcome.HTTP_ERROR, 529),
    failed(Outcome.CONNECT_FAILED),
    failed(Outcome.TIMED_OUT),
    failed(Outcome.UPSTREAM_TRUNCATED),
    failed(Outcome.ERROR_EVENT),
    failed(Outcome.MALFORMED),
    Side(outcome=Outcome.COMPLETE, status=200, answer=Answer(text="{", complete=False)),
]


@pytest.mark.parametrize("lost", CHANCE, ids=lambda side: f"{side.outcome} {side.status}")
def test_a_call_that_failed_counts_against_a_second_one_that_could_have_failed_just_so(lost: Side) -> None:
    """A version that fails half of its calls must not pass for one that nothing is known of."""
    alone = grade(ROUTE, pair(candidate=lost, second=said(PROSE)))
    assert (alone.note, alone.compared, alone.candidate_differs, alone.second_differs) == ("", CALLS, (FAILED,), ())
    assert (alone.second_failed, alone.diverges, bool(alone.input_class)) == (None, True, True)
    other = grade(ROUTE, pair(candidate=said(PROSE), second=lost))
    assert (other.note, other.compared, other.candidate_differs, other.second_differs) == ("", CALLS, (), (FAILED,))
    refused = grade(ROUTE, pair(candidate=lost, second=failed(Outcome.HTTP_ERROR, 400)))
    assert (refused.compared, refused.candidate_differs, refused.second_differs) == (CALLS, (FAILED,), (REFUSED,))
    assert grade(ROUTE, pair(candidate=lost, second=lost)).note, "an outage is no evidence"
    assert grade(ROUTE, pair(candidate=lost)).note, "nor is one failure by itself"
    assert grade(ROUTE, pair(candidate=lost, second=failed(Outcome.HTTP_ERROR, 429))).note


OF_THE_ACCOUNT = [failed(Outcome.HTTP_ERROR, status) for status in (401, 403, 404, 429)]


@pytest.mark.parametrize("ours", [*OF_THE_ACCOUNT, failed(Outcome.LOST), Side(outcome=Outcome.COMPLETE, status=200)])
def test_what_says_nothing_of_a_version_is_on_neither_side(ours: Side) -> None:
    assert grade(ROUTE, pair(candidate=ours, second=said(PROSE))).note
    other = grade(ROUTE, pair(candidate=said(PROSE), second=ours))
    assert (other.compared, other.second_differs, other.second_failed) == ((), None, None)


@pytest.mark.parametrize("status", [401, 429, 500, 503, 529])
def test_an_overload_of_the_shadow_is_not_the_candidates_answer(status: int) -> None:
    graded = grade(ROUTE, pair(candidate=failed(Outcome.HTTP_ERROR, status)))
    assert graded == unscored(f"the mirrored call failed: http_error, HTTP {status}")


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in (Outcome.COMPLETE, Outcome.HTTP_ERROR)])
def test_a_mirrored_call_that_failed_by_chance_is_on_neither_side(outcome: Outcome) -> None:
    assert grade(ROUTE, pair(candidate=failed(outcome))) == unscored(f"the mirrored call failed: {outcome}")


def test_a_live_answer_that_failed_is_compared_with_nothing() -> None:
    assert grade(ROUTE, pair(stable=failed(Outcome.UPSTREAM_TRUNCATED))).note == "the live answer failed: upstream_truncated"


def test_what_was_not_kept_is_not_read_as_a_failure() -> None:
    nothing = Side(outcome=Outcome.COMPLETE, status=200)
    assert grade(ROUTE, pair(candidate=nothing)) == unscored("the mirrored call left nothing that was kept")
    assert grade(ROUTE, pair(stable=nothing)) == unscored("the live answer left nothing that was kept")
    cut = replace(said(JSON), answer=Answer(text="{", complete=False))
    assert grade(ROUTE, pair(candidate=cut)) == unscored("the mirrored call did not arrive whole")


@pytest.mark.parametrize("second", [failed(Outcome.TIMED_OUT), failed(Outcome.HTTP_ERROR, 503), Side(outcome=Outcome.COMPLETE, status=200)])
def test_a_second_call_that_failed_takes_nothing_from_what_is_told(second: Side) -> None:
    with_it, without = grade(ROUTE, pair(said(JSON), said(PROSE), second)), grade(ROUTE, pair(said(JSON), said(PROSE)))
    assert (with_it.scored, with_it.stable_failed, with_it.candidate_failed) == (
        without.scored,
        without.stable_failed,
        without.candidate_failed,
    )
    assert (with_it.diverges, with_it.second_failed) == (without.diverges, None)


def test_the_second_answer_is_scored_by_the_checks_that_all_three_can_be_asked() -> None:
    route = names(ROUTE, "json_valid")
    graded = grade(route, pair(said(JSON), said(JSON), said(PROSE), asked=ASKED | AS_JSON))
    assert (graded.scored, graded.stable_failed) == (("check:json_valid", "check:answered"), ())
    assert (graded.candidate_failed, graded.second_failed) == ((), ("check:json_valid",))


ODD = [b"<html>", b'{"model": "x"}', b'{"messages": ' + b"[" * 100_000, b'{"messages": [], "a": ' + b'{"a":' * 99_999]


@pytest.mark.parametrize("odd", ODD, ids=["HTML", "no messages", "too deep", "too deep beside"])
def test_one_odd_request_keeps_no_other_from_being_scored(odd: bytes) -> None:
    assert grade(ROUTE, pair(request=odd)) == unscored("the request cannot be read")


def unscored(note: str) -> Pair:
    """All that is known of a pair that could not be scored; nothing that anybody said stands in it."""
    return Pair(rollout="ro_1", exchange="ex_1", at_us=T0_US + 9_000_000, note=note)


def test_an_unchanged_version_is_not_condemned_by_the_failures_that_only_a_shadow_can_have() -> None:
    """Only what stable answered is mirrored: its own failures never make a pair, and the shadow's must not count either."""
    random = Random(3)
    graded = []
    for _ in range(2000):
        if random.random() < 0.03:
            continue  # the live answer failed: never mirrored
        sides = [said(PROSE if random.random() < 0.02 else JSON) for _ in range(2)]
        if random.random() < 0.03:
            sides[1] = failed(random.choice([Outcome.HTTP_ERROR, Outcome.TIMED_OUT, Outcome.LOST]), 503)
        graded.append(grade(ROUTE, pair(*sides)))
    assert sum(bool(p.note) for p in graded) > 30
    alone = [(set(p.candidate_failed) - set(p.stable_failed), set(p.stable_failed) - set(p.candidate_failed)) for p in graded]
    candidate_only, stable_only = (sum(bool(side[n]) for side in alone) for n in (0, 1))
    assert candidate_only + stable_only > 40
    assert binomtest(candidate_only, candidate_only + stable_only).pvalue > 0.01


# ── where the pair stands ──


@pytest.mark.parametrize(
    ("stable", "candidate"),
    [
        (said(PROSE), said("It is 9.")),
        (said(PROSE), said("I'm sorry, but I can’t assist with that request.")),
        (said("I'm sorry, but I can’t assist with that request."), said(PROSE)),
        (said("", "find"), said("", "search")),
        (said("", "find"), said("", "find", "find")),
        (said("", "find", "find"), said("", "find")),
        (said("Which order?"), said("", "find")),
        (said(PROSE), said("")),
        (said("Your parcel is on the way to you."), said("Dein Paket ist auf dem Weg zu dir und noch nicht da.")),
        (said("Your parcel is on the way to you and will be there soon."), said("Your parcel is on the way", finish_reason="length")),
        (said("", "find"), replace(said(""), answer=Answer(tool_calls=(ToolCall("call_0", "find", '{"id": 8}'),)))),
    ],
)
def test_a_conversation_goes_apart_where_who_asks_would_have_gone_on_otherwise(stable: Side, candidate: Side) -> None:
    assert grade(ROUTE, pair(stable, candidate)).diverges


@pytest.mark.parametrize(
    "candidate",
    [PROSE, "It comes to 7.", "It is 7.\n\nLet me know if you need anything else!", "## Answer\n\nIt is **7**.", "```\nIt is 7.\n```"],
)
def test_a_conversation_goes_on_after_other_words_or_another_form(candidate: str) -> None:
    assert not grade(ROUTE, pair(said(PROSE), said(candidate))).diverges


def test_what_ends_a_comparison_are_named_changes() -> None:
    assert set(DIVERGING) <= set(diff.SAYS)
    assert not set(DIVERGING) & diff.BENIGN


FIRST = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "how much is it in total?"}]
LATER = [*FIRST, {"role": "assistant", "content": PROSE}, {"role": "user", "content": "and yesterday?"}]


def test_the_turns_of_a_conversation_are_known_by_who_asks_and_how_it_began() -> None:
    first, second = (grade(ROUTE, pair(asked={"model": "x", "messages": turn})) for turn in (FIRST, LATER))
    assert (first.turn, second.turn) == (0, 1)
    assert first.conversation == second.conversation
    assert len(first.conversation) == 16
    others = [
        grade(ROUTE, pair(asked={"model": "x", "messages": FIRST}, unit="u2")),
        grade(ROUTE, pair(asked={"model": "x", "messages": FIRST[1:]})),
        grade(ROUTE, pair(asked={"model": "x", "messages": [FIRST[0], LATER[3]]})),
    ]
    assert len({first.conversation, *(other.conversation for other in others)}) == 4


def test_both_protocols_tell_the_same_turn() -> None:
    anthropics = {"model": "x", "max_tokens": 9, "system": "Be brief.", "messages": LATER[1:]}
    here = grade(ROUTE, pair(asked={"model": "x", "messages": LATER}))
    there = grade(ROUTE, pair(asked=anthropics, endpoint=ANTHROPIC))
    assert (here.turn, here.conversation) == (there.turn, there.conversation)


def tools(*names: str) -> dict[str, Any]:
    return ASKED | {"tools": [{"type": "function", "function": {"name": name}} for name in names]}


def test_an_input_class_is_told_by_tools_schema_language_and_length() -> None:
    plain = grade(ROUTE, pair())
    assert plain.dimensions == {
        "tools": "none",
        "schema": "none",
        "language": "en",
        "length": "to 256",
        "season": "weekend",  # 1 March 2026 was a Sunday
        "template": "0123456789ab",
    }
    assert set(plain.dimensions) == set(DIMENSIONS)
    assert plain.input_class == "none · none · en · to 256"
    assert utc(T0_US).weekday() == 6
    monday = grade(ROUTE, pair(asked_us=T0_US + micros(utc(86_400_000_000))))
    assert monday.dimensions["season"] == "weekday"
    german = grade(
        ROUTE,
        pair(
            asked={"model": "x", "messages": [{"role": "user", "content": "Was kostet das, und wie ist es mit der Lieferung nach Wien?"}]}
        ),
    )
    assert german.dimensions["language"] == "de"
    assert grade(ROUTE, pair(asked=tools("find", "book"))).dimensions["tools"] == "book+find"
    assert grade(ROUTE, pair(asked=tools("book", "find"))).dimensions["tools"] == "book+find"


@pytest.mark.parametrize("odd", ["a · b", "x" * 60, "book\x1b[31m", "Wie geht's", ""])
def test_tools_of_odd_names_are_told_by_a_digest(odd: str) -> None:
    told = grade(ROUTE, pair(asked=tools("find", odd))).dimensions["tools"]
    assert told.startswith(("2 tools ", "find"))
    assert len(told) < 50
    assert told.isascii()


def test_near_duplicates_have_like_signatures() -> None:
    def signature(content: str) -> Any:
        graded = grade(ROUTE, pair(asked={"model": "x", "messages": [{"role": "user", "content": content}]}))
        found = np.frombuffer(graded.signature, dtype=np.uint16)
        assert found.shape == (PLACES,)
        return found

    prompt = " ".join(f"Please tell me about the delivery of the green parcel that left town on the way to number {n}" for n in "abcdefgh")
    assert (signature(prompt) == signature(prompt + " thanks")).mean() >= LIKE
    assert (signature(prompt) == signature("Write a poem about the sea and its many colours at night.")).mean() < 0.2


def test_the_last_step_but_one_of_an_agent_is_told_from_the_step_limit() -> None:
    """Twelve calls are allowed. After ten since the user's word, stable answers with its eleventh; the candidate goes on."""
    result = {"role": "tool", "tool_call_id": "c", "content": "-"}
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    steps = [{"role": "assistant", "content": None, "tool_calls": [call]}, result] * 10
    late, early = ({**tools("find"), "messages": [*LATER, *found]} for found in (steps, steps[:-2]))
    assert "change:step_limit_hit" in grade(ROUTE, pair(said(PROSE), said("", "find"), asked=late)).candidate_differs
    assert "change:step_limit_hit" not in grade(ROUTE, pair(said(PROSE), said("", "find"), asked=early)).candidate_differs
    assert "change:step_limit_hit" not in grade(ROUTE, pair(said("", "find"), said("", "find"), asked=late)).candidate_differs


def test_how_long_a_pair_is_to_read() -> None:
    system, user = "Be brief.", "how much is it in total?"
    graded = grade(ROUTE, pair(said(PROSE), said("", "find"), said(JSON), asked={"model": "x", "messages": FIRST}))
    assert graded.chars == len(system) + len(user) + len(PROSE) + len('{"id": 7}')


def test_a_pair_of_a_rare_stratum_says_so() -> None:
    assert grade(ROUTE, pair()).drawn
    assert not grade(ROUTE, pair(drawn=False)).drawn


def test_nothing_that_anybody_said_stands_in_a_pair() -> None:
    """With `bodies = 0` it is all that is written down."""
    asked = {"model": "x", "messages": [{"role": "user", "content": "my secret question"}]}
    graded = grade(ROUTE, pair(said("my secret answer: 7"), said("another secret: 8"), said("secret"), asked=asked))
    written = " ".join(str(getattr(graded, field.name)) for field in fields(graded))
    assert "secret" not in written
