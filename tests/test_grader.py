"""Layer 2 on a real store: pairs of live and mirrored answers, scored once and counted once, whenever they come and whoever is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from detent import reading
from detent.checks import Graded
from detent.errors import InvalidInput
from detent.grader import MOST_S, PAIRS_AT_ONCE, REST, UNKEPT_EVERY_S, Grader
from detent.store import Store, open_store
from detent.terms import Answer, Arm, Kept, Pair, Phase, Role, Route, Score, ShadowEvidence, ToolCall, UnitKind, Unscored
from records import OLD, T0, at, intent, result, rollout

pytest_plugins = ("stores",)

ROUTE = Route(name="summarizer", provider="openai", version=OLD.model, owner="search@example.com", checks=("json_valid",))
ROUTES = {"summarizer": ROUTE}
JSON, PROSE = '{"total": 7}', "It is 7."


def body(text: str, *calls: str) -> bytes:
    called = tuple(ToolCall(f"call_{i}", name, '{"id": 7}') for i, name in enumerate(calls))
    return reading.keep(Answer(text=text, tool_calls=called))


def asked(turn: int) -> bytes:
    """The request of a turn, with the history before it."""
    messages = [{"role": "user", "content": "how much?"}]
    for _ in range(turn):
        messages += [{"role": "assistant", "content": JSON}, {"role": "user", "content": "and now?"}]
    return json.dumps({"model": "summarizer", "messages": messages}).encode()


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url)
    opened.state.open_rollout(rollout(phase=Phase.SHADOW), by="ada", at=T0)
    yield opened
    opened.close()


def mirrored(
    store: Store,
    name: str,
    seconds: float,
    *,
    unit: str | None = None,
    turn: int = 0,
    stable: bytes = body(JSON),
    candidate: bytes = body(JSON),
    second: bytes | None = None,
    keeps: bool = True,
    asked_s: float | None = None,
    of: str = "ro_1",
) -> None:
    """A live answer of stable, and the shadow's answers at the given second."""
    live = intent(name, unit or name, seconds - 1 if asked_s is None else asked_s, unit_kind=UnitKind.SESSION, rollout=of)
    legs, ends = [live], [result(name, seconds - 0.5)]
    for suffix, arm, said in (("m", Arm.CANDIDATE, candidate), ("s", Arm.STABLE, second)):
        if said is not None:
            leg = intent(f"{name}.{suffix}", live.unit, seconds - 0.4, arm=arm, role=Role.MIRRORED, randomised=False, rollout=of)
            legs.append(replace(leg, exchange=live.exchange))
            ends.append(result(f"{name}.{suffix}", seconds, request_body=asked(turn), answer_body=said if keeps else None))
    kept = [Kept(leg=live.leg, at_us=at(seconds), request_body=asked(turn), answer_body=stable)] if keeps else []
    store.journal.put(legs, ends, kept=kept)


class Time:
    """A clock that goes on only where somebody rests or works."""

    def __init__(self) -> None:
        self.s = 100.0
        self.rested: list[float] = []

    def rest(self, seconds: float) -> None:
        self.rested.append(seconds)
        self.s += seconds


def grader(store: Store, time: Time | None = None) -> Grader:
    """One that has begun just now."""
    time = time or Time()
    return Grader(store, clock=lambda: time.s, rest=time.rest)


def stored(store: Store) -> dict[str, Pair]:
    return {p.exchange: p for p in store.state.pairs("ro_1")}


def evidence(store: Store) -> ShadowEvidence:
    return store.state.shadow_evidence(store.state.rollout("ro_1"))


def test_pairs_are_scored_and_counted_once(store: Store) -> None:
    mirrored(store, "a", 5, second=body(JSON))
    mirrored(store, "b", 6, candidate=body(PROSE), second=body(JSON))
    here = grader(store)
    assert here.run_once(ROUTES) == 2
    assert here.run_once(ROUTES) == 0
    assert {name: p.candidate_failed for name, p in stored(store).items()} == {"ex_a": (), "ex_b": ("check:json_valid",)}
    found = evidence(store)
    assert (found.pairs, found.seconds, found.candidate_only, found.stable_only) == (2, 2, 1, 0)
    assert found.changes == {"json_broken": 1}
    mirrored(store, "c", 7)
    assert here.run_once(ROUTES) == 1
    assert evidence(store).pairs == 3


def test_after_a_restart_it_goes_on_and_counts_nothing_twice(store: Store) -> None:
    mirrored(store, "a", 5, candidate=body(PROSE))
    assert grader(store).run_once(ROUTES) == 1
    before = evidence(store)
    assert grader(store).run_once(ROUTES) == 0, "it does not even read what was graded"
    mirrored(store, "b", 6)
    assert grader(store).run_once(ROUTES) == 1
    assert (evidence(store).pairs, evidence(store).candidate_only) == (before.pairs + 1, before.candidate_only)


@pytest.mark.parametrize("step", ["add_pairs", "mark_graded", "fold_pairs"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_it_loses_none_and_counts_none_twice(
    store: Store, step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(store, "a", 5, candidate=body(PROSE), second=body(JSON))
    mirrored(store, "b", 6)
    part = store.journal if step == "mark_graded" else store.state
    real = getattr(part, step)

    def killed(*arguments: Any) -> None:
        if when == "after":
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(part), step, lambda self, *arguments: killed(*arguments))
        with pytest.raises(KeyboardInterrupt):
            grader(store).run_once(ROUTES)
    grader(store).run_once(ROUTES)
    found = evidence(store)
    assert (found.pairs, found.unscored, found.candidate_only) == (2, 0, 1)
    assert grader(store).run_once(ROUTES) == 0


def test_a_pair_that_reaches_the_journal_late_is_scored_too(store: Store) -> None:
    """Another gateway's spool may be read an hour later, and holds pairs that were complete before."""
    here = grader(store)
    mirrored(store, "first", 5000)
    assert here.run_once(ROUTES) == 1
    mirrored(store, "late", 49)
    assert here.run_once(ROUTES) == 1
    assert here.run_once(ROUTES) == 0


def test_more_pairs_than_fit_in_one_read_are_all_scored(store: Store) -> None:
    for i in range(2 * PAIRS_AT_ONCE + 3):
        mirrored(store, f"p{i}", 5 + i / 100)
    assert grader(store).run_once(ROUTES) == 2 * PAIRS_AT_ONCE + 3
    assert evidence(store).pairs == 2 * PAIRS_AT_ONCE + 3


def test_it_rests_longer_than_it_works_and_comes_back_soon(store: Store) -> None:
    """It shares a process with the gateway: at most a third of the time is its own, and a run ends though the backlog does not."""
    for i in range(3 * PAIRS_AT_ONCE):
        mirrored(store, f"p{i}", 5 + i / 100)
    time = Time()

    def slow(graded: Graded) -> Score:
        time.s += 0.025  # for each of the two answers
        return Score(check="slow", value=1.0, passed=True)

    done = grader(store, time).run_once({"summarizer": replace(ROUTE, checks=("slow",))}, {"slow": slow})
    assert time.rested == pytest.approx([0.05 * REST] * done)
    assert done == PAIRS_AT_ONCE, f"0.15 s each: after {MOST_S} s it reads no more"


def test_turns_are_taken_in_the_order_in_which_they_were_asked(store: Store) -> None:
    """The shadow was slower with the first turn than with the second: that one is comparable all the same."""
    mirrored(store, "turn2", 2.0, unit="s1", turn=1)
    mirrored(store, "turn1", 2.5, unit="s1", asked_s=0.5)
    assert [pair.exchange for pair in store.journal.ungraded_pairs("ro_1", limit=5)] == ["ex_turn2", "ex_turn1"]
    grader(store).run_once(ROUTES)
    assert (evidence(store).pairs, evidence(store).not_comparable) == (2, 0)


def test_what_went_apart_never_gates(store: Store) -> None:
    mirrored(store, "turn1", 1, unit="s1", stable=body("", "look_up"), candidate=body("", "look_up"))
    mirrored(store, "turn2", 2, unit="s1", turn=1, stable=body("", "look_up"), candidate=body("", "search"))
    mirrored(store, "turn3", 3, unit="s1", turn=2, candidate=body(PROSE), second=body(JSON))
    mirrored(store, "elsewhere", 4, unit="s2", candidate=body(PROSE), second=body(JSON))
    grader(store).run_once(ROUTES)
    assert stored(store)["ex_turn2"].diverges
    mirrored(store, "turn4", 5, unit="s1", turn=3, candidate=body(PROSE), second=body(JSON))
    grader(store).run_once(ROUTES)
    found = evidence(store)
    assert (found.not_comparable, found.candidate_only) == (2, 1), "only what went wrong elsewhere"


def test_checks_of_the_teams_own_are_used_and_one_that_there_is_not_is_said(store: Store) -> None:
    routes = {"summarizer": replace(ROUTE, checks=("house",))}
    mirrored(store, "a", 5, candidate=body(PROSE))
    store.state.open_rollout(rollout(id="ro_2", route="chat", phase=Phase.SHADOW), by="ada", at=T0)
    mirrored(store, "b", 5, of="ro_2")
    with pytest.raises(InvalidInput, match="unknown check: `house`"):
        grader(store).run_once(routes | {"chat": replace(ROUTE, name="chat")})
    assert stored(store) == {}, "and the pair waits"
    assert [pair.exchange for pair in store.state.pairs("ro_2")] == ["ex_b"], "and no other route does"

    def house(graded: Graded) -> Score | Unscored:
        return Score(check="house", value=1.0, passed=graded.answer.text != PROSE)

    grader(store).run_once(routes, {"house": house})
    assert stored(store)["ex_a"].candidate_failed == ("check:house",)


def test_a_pair_that_breaks_the_grader_keeps_no_other_waiting(store: Store) -> None:
    def breaks(graded: Graded) -> Score:
        if graded.answer.text == PROSE:
            raise ZeroDivisionError
        return Score(check="house", value=1.0, passed=True)

    mirrored(store, "a", 5, candidate=body(PROSE))
    mirrored(store, "b", 6)
    here = grader(store)
    assert here.run_once({"summarizer": replace(ROUTE, checks=("house",))}, {"house": breaks}) == 2
    assert {name: p.note for name, p in stored(store).items()} == {"ex_a": "the grader failed on it: ZeroDivisionError", "ex_b": ""}
    assert (evidence(store).pairs, evidence(store).unscored) == (1, 1)


def test_pairs_that_were_scored_where_they_were_mirrored_are_counted_and_their_legs_passed_over(store: Store) -> None:
    """A route that keeps no bodies: the pair comes in with the spool, and its legs have nothing to read."""
    time = Time()
    here = grader(store, time)
    assert here.run_once(ROUTES) == 0
    mirrored(store, "a", 5, keeps=False)
    store.state.add_pairs([Pair(rollout="ro_1", exchange="ex_a", at_us=at(5), scored=("refused",), dimensions={"tools": "none"})])
    assert here.run_once(ROUTES) == 0
    assert evidence(store).pairs == 1
    time.s += UNKEPT_EVERY_S
    assert here.run_once(ROUTES) == 0
    assert store.journal.pass_over_unkept("ro_1") == 0, "they were"
    assert (evidence(store).pairs, evidence(store).unscored) == (1, 0)


@pytest.mark.parametrize("phase", [Phase.BASELINE, Phase.CANARY, Phase.REJECTED])
def test_only_a_shadow_is_graded(store: Store, phase: Phase) -> None:
    mirrored(store, "a", 5)
    before = store.state.rollout("ro_1")
    moved = replace(before, phase=phase)
    store.state.commit(before, moved, flag=None, decision=None, evidence=None, by="x", what="x", at=T0)
    assert grader(store).run_once(ROUTES) == 0
    assert stored(store) == {}


def test_a_route_that_left_the_pin_file_is_not_graded(store: Store) -> None:
    mirrored(store, "a", 5)
    assert grader(store).run_once({}) == 0
