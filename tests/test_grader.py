"""Layer 2 on a real store: pairs of live and mirrored answers, scored once, fairly, and only as long as the conversation is the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from detent import diff, reading
from detent import evidence as ev
from detent.checks import Graded
from detent.decide import decide
from detent.evidence import NOT_COMPARABLE
from detent.grader import DIVERGING, LATE_US, PAIRS_AT_ONCE, REFUSED, Grader, grade
from detent.store import Store, open_store
from detent.store.journal import RecordedPair
from detent.terms import (
    Answer,
    Arm,
    Endpoint,
    Evidence,
    Outcome,
    Pair,
    Phase,
    Role,
    Route,
    Score,
    ShadowEvidence,
    ToolCall,
    UnitKind,
    Unscored,
    Usage,
)
from records import OLD, T0, intent, result, rollout

OPENAI = Endpoint.OPENAI_CHAT
ROUTE = Route(name="summarizer", provider="openai", version=OLD.model, owner="search@example.com", checks=("json_valid",))
ROUTES = {"summarizer": ROUTE}
ASKED = json.dumps({"model": "summarizer", "messages": [{"role": "user", "content": "how much?"}]}).encode()
JSON, PROSE = '{"total": 7}', "It is 7."


def body(text: str, *calls: str) -> bytes:
    called = tuple(ToolCall(f"call_{i}", name, '{"id": 7}') for i, name in enumerate(calls))
    return reading.keep(Answer(text=text, tool_calls=called, usage=Usage(input=1, output=1)))


def pair(stable: bytes = body(JSON), candidate: bytes = body(JSON), **more: Any) -> RecordedPair:
    values: dict[str, Any] = {
        "exchange": "ex_1",
        "at_us": 1,
        "session": "s1",
        "endpoint": OPENAI,
        "stream": False,
        "request": ASKED,
        "stable_outcome": Outcome.COMPLETE,
        "stable_status": 200,
        "stable_answer": stable,
        "candidate_outcome": Outcome.COMPLETE,
        "candidate_status": 200,
        "candidate_answer": candidate,
    }
    return RecordedPair(**values | more)


# ── one pair ──


@pytest.mark.parametrize(
    ("stable", "candidate", "passed"),
    [(JSON, JSON, (True, True)), (JSON, PROSE, (True, False)), (PROSE, JSON, (False, True)), (PROSE, PROSE, (False, False))],
)
def test_both_sides_are_judged_by_the_same_checks(stable: str, candidate: str, passed: tuple[bool, bool]) -> None:
    graded = grade(ROUTE, "ro_1", pair(body(stable), body(candidate)))
    assert (graded.stable_passed, graded.candidate_passed) == passed
    assert (graded.rollout, graded.exchange, graded.note) == ("ro_1", "ex_1", "")


def test_a_check_of_the_teams_own_judges_both_sides() -> None:
    own = {"says_seven": lambda graded: Score(check="says_seven", value=1.0, passed="7" in graded.answer.text)}
    graded = grade(replace(ROUTE, checks=("says_seven",)), "ro_1", pair(candidate=body("eight")), own)
    assert (graded.stable_passed, graded.candidate_passed) == (True, False)


def test_a_check_that_could_not_do_its_work_leaves_a_pair_unscored() -> None:
    def raises_on_prose(graded: Graded) -> Score | Unscored:
        if graded.answer.text == PROSE:
            return Unscored("the check `house` failed: KeyError", broken=True)
        return Score(check="house", value=1.0, passed=True)

    graded = grade(replace(ROUTE, checks=("house",)), "ro_1", pair(candidate=body(PROSE)), {"house": raises_on_prose})
    assert (graded.stable_passed, graded.candidate_passed) == (True, None)


def test_a_tool_that_nobody_offered_and_text_that_nobody_sees_are_no_answers() -> None:
    route = replace(ROUTE, checks=())
    for nothing in (body("", "drop_tables"), body("\u200b")):
        graded = grade(route, "ro_1", pair(candidate=nothing))
        assert (graded.stable_passed, graded.candidate_passed) == (True, False)
    asked = json.dumps(json.loads(ASKED) | {"tools": [{"type": "function", "function": {"name": "find"}}]}).encode()
    assert grade(route, "ro_1", pair(candidate=body("", "find"), request=asked)).candidate_passed is True


def test_what_changed_is_named() -> None:
    assert grade(ROUTE, "ro_1", pair(candidate=body(f"```json\n{JSON}\n```"))).changes[0] == "fence_added"
    assert grade(ROUTE, "ro_1", pair()).changes == ()


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome.CONNECT_FAILED,
        Outcome.TIMED_OUT,
        Outcome.UPSTREAM_TRUNCATED,
        Outcome.ERROR_EVENT,
        Outcome.MALFORMED,
        Outcome.CLIENT_ABORTED,
        Outcome.LOST,
    ],
)
def test_a_mirrored_call_that_failed_by_chance_is_on_neither_side(outcome: Outcome) -> None:
    graded = grade(ROUTE, "ro_1", pair(candidate=b"", candidate_outcome=outcome, candidate_status=None))
    assert (graded.stable_passed, graded.candidate_passed) == (None, None)
    assert graded.note == f"the mirrored call failed: {outcome}"


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_an_overload_of_the_shadow_is_not_the_candidates_answer(status: int) -> None:
    graded = grade(ROUTE, "ro_1", pair(candidate=b"", candidate_outcome=Outcome.HTTP_ERROR, candidate_status=status))
    assert (graded.candidate_passed, graded.note) == (None, f"the mirrored call failed: http_error, HTTP {status}")


@pytest.mark.parametrize("status", [400, 405, 422])
def test_a_request_that_only_the_candidate_refuses_is_its_failure(status: int) -> None:
    graded = grade(ROUTE, "ro_1", pair(candidate=b"{}", candidate_outcome=Outcome.HTTP_ERROR, candidate_status=status))
    assert (graded.stable_passed, graded.candidate_passed, graded.changes) == (True, False, (REFUSED,))


def test_a_live_answer_that_failed_is_compared_with_nothing() -> None:
    graded = grade(ROUTE, "ro_1", pair(stable=b"", stable_outcome=Outcome.UPSTREAM_TRUNCATED))
    assert (graded.stable_passed, graded.candidate_passed, graded.note) == (None, None, "the live answer failed")


def test_bodies_that_were_not_kept_are_not_read_as_a_failure() -> None:
    graded = grade(ROUTE, "ro_1", pair(candidate=b""))
    assert (graded.stable_passed, graded.candidate_passed) == (True, None)


def test_a_route_without_checks_of_its_own_is_judged_by_whether_there_is_an_answer() -> None:
    graded = grade(replace(ROUTE, checks=()), "ro_1", pair(candidate=body("")))
    assert (graded.stable_passed, graded.candidate_passed) == (True, False)


def test_the_diverging_changes_are_named_changes() -> None:
    assert set(DIVERGING) <= set(diff.SAYS)


def test_an_unchanged_version_is_not_condemned_by_the_failures_that_only_a_shadow_can_have() -> None:
    """Only what stable answered is mirrored: its own failures never make a pair, and the shadow's must not count either."""
    random = Random(3)
    graded = []
    for i in range(2000):
        if random.random() < 0.03:
            continue  # the live answer failed: never mirrored
        failed = random.random() < 0.03
        outcome = random.choice([Outcome.HTTP_ERROR, Outcome.TIMED_OUT, Outcome.LOST]) if failed else Outcome.COMPLETE
        answers = [body(PROSE if random.random() < 0.02 else JSON) for _ in range(2)]
        graded.append(
            grade(ROUTE, "ro_1", pair(*answers, exchange=f"ex_{i}", candidate_outcome=outcome, candidate_status=503 if failed else 200))
        )
    shadow = ev.shadow_evidence(graded)
    assert shadow.unscored > 30
    decision = decide(rollout(phase=Phase.SHADOW), Evidence(rollout="ro_1", shadow=shadow), T0)
    assert decision.reason == "TimeNotServed", decision.sentence


# ── from the journal ──


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    opened.state.open_rollout(rollout(phase=Phase.SHADOW), by="ada", at=T0)
    yield opened
    opened.close()


def mirrored(
    store: Store, name: str, seconds: float, *, session: str | None = None, stable: bytes = body(JSON), candidate: bytes = body(JSON)
) -> None:
    """A live answer of stable, and the shadow's answer at the given second."""
    live = intent(name, session or name, seconds - 1, session=session, unit_kind=UnitKind.SESSION)
    shadow = intent(f"{name}.m", session or name, seconds - 0.5, session=session, arm=Arm.CANDIDATE, role=Role.MIRRORED, randomised=False)
    ends = [
        result(name, seconds - 0.5, request_body=ASKED, answer_body=stable),
        result(f"{name}.m", seconds, request_body=ASKED, answer_body=candidate),
    ]
    store.journal.put([live, replace(shadow, exchange=live.exchange)], ends)


def stored(store: Store) -> dict[str, Pair]:
    return {p.exchange: p for p in store.state.pairs("ro_1")}


def test_pairs_are_scored_once_and_stored(store: Store) -> None:
    mirrored(store, "a", 5)
    mirrored(store, "b", 6, candidate=body(PROSE))
    grader = Grader(store)
    assert grader.run_once(ROUTES) == 2
    assert grader.run_once(ROUTES) == 0
    assert {name: (p.stable_passed, p.candidate_passed) for name, p in stored(store).items()} == {
        "ex_a": (True, True),
        "ex_b": (True, False),
    }
    mirrored(store, "c", 7)
    assert grader.run_once(ROUTES) == 1
    assert set(stored(store)) == {"ex_a", "ex_b", "ex_c"}


def test_after_a_restart_nothing_is_counted_twice(store: Store) -> None:
    mirrored(store, "a", 5, candidate=body(PROSE))
    Grader(store).run_once(ROUTES)
    Grader(store).run_once(ROUTES)
    assert ev.shadow_evidence(store.state.pairs("ro_1")) == ShadowEvidence(pairs=1, candidate_only=1, changes={"json_broken": 1})


def test_a_pair_that_reaches_the_journal_late_is_scored_too(store: Store) -> None:
    """Another gateway's spool is read a moment later, and holds pairs that were complete before."""
    grader = Grader(store)
    mirrored(store, "first", 50)
    assert grader.run_once(ROUTES) == 1
    mirrored(store, "late", 49)
    assert grader.run_once(ROUTES) == 1
    assert grader.run_once(ROUTES) == 0
    assert LATE_US >= 1_000_000, "spools are read in turns of a tenth of a second"


def test_more_pairs_than_fit_in_one_read_are_all_scored(store: Store) -> None:
    for i in range(PAIRS_AT_ONCE + 30):
        mirrored(store, f"p{i}", 5 + i / 100)
    grader = Grader(store)
    assert grader.run_once(ROUTES) == PAIRS_AT_ONCE + 30
    assert grader.run_once(ROUTES) == 0
    mirrored(store, "one more", 9)
    assert grader.run_once(ROUTES) == 1


def test_a_conversation_is_followed_up_to_the_first_turn_that_goes_another_way(store: Store) -> None:
    mirrored(store, "turn1", 1, session="s1", stable=body("", "look_up"), candidate=body("", "look_up"))
    mirrored(store, "turn2", 2, session="s1", stable=body("", "look_up"), candidate=body("", "search"))
    mirrored(store, "turn3", 3, session="s1", candidate=body(PROSE))
    mirrored(store, "elsewhere", 4, session="s2", candidate=body(PROSE))
    grader = Grader(store)
    grader.run_once(ROUTES)
    mirrored(store, "turn4", 5, session="s1", candidate=body(PROSE))
    grader.run_once(ROUTES)
    found = stored(store)
    assert found["ex_turn1"].note == found["ex_turn2"].note == ""
    assert found["ex_turn2"].changes[0] in DIVERGING
    assert [found[f"ex_turn{n}"].note for n in (3, 4)] == [NOT_COMPARABLE] * 2
    assert found["ex_elsewhere"].candidate_passed is False
    assert ev.shadow_evidence(found.values()).not_comparable == 2


def test_after_a_restart_a_conversation_that_went_another_way_is_known_again(store: Store) -> None:
    mirrored(store, "turn1", 1, session="s1", stable=body("", "look_up"), candidate=body("", "search"))
    Grader(store).run_once(ROUTES)
    mirrored(store, "turn2", 2, session="s1", candidate=body(PROSE))
    Grader(store).run_once(ROUTES)
    assert stored(store)["ex_turn2"].note == NOT_COMPARABLE


def test_requests_without_a_session_are_each_on_their_own(store: Store) -> None:
    for n, name in enumerate(("a", "b")):
        mirrored(store, name, n + 1.0, session=None, stable=body("", "look_up"), candidate=body("", "search"))
    Grader(store).run_once(ROUTES)
    assert [p.note for p in stored(store).values()] == ["", ""]


@pytest.mark.parametrize("phase", [Phase.BASELINE, Phase.CANARY, Phase.REJECTED])
def test_only_a_shadow_is_graded(store: Store, phase: Phase) -> None:
    mirrored(store, "a", 5)
    before = store.state.rollout("ro_1")
    moved = replace(before, phase=phase)
    store.state.commit(before, moved, flag=None, decision=None, evidence=None, by="x", what="x", at=T0)
    assert Grader(store).run_once(ROUTES) == 0
    assert stored(store) == {}


def test_a_route_that_left_the_pin_file_is_not_graded(store: Store) -> None:
    mirrored(store, "a", 5)
    assert Grader(store).run_once({}) == 0
