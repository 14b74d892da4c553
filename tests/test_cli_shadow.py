"""`detent shadow`, through `main`: over real rows of the store, for people and for machines."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlling import NEXT, PIN, pin_file
from detent import reading
from detent.store import Store
from detent.terms import Answer, Arm, Kept, Pair, Phase, Role, micros
from detent.transitions import flag_for
from records import T0, at, intent, result
from test_cli import Desk

GERMAN = {"tools": "none", "schema": "none", "language": "de", "length": "to 256", "season": "mo", "template": "t"}


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A rollout of `chat` in its shadow, since a day."""
    found = Desk(tmp_path, capsys)
    found.writes(pin_file(chat=NEXT))
    assert found.runs("apply").code == 0
    store = found.store
    (before,) = store.state.rollouts(open_only=True)
    moved = replace(before, phase=Phase.SHADOW, entered_at=datetime.now(UTC) - timedelta(days=1))
    flag = flag_for(moved, store.state.flags()["chat"])
    store.state.commit(before, moved, flag=flag, decision=None, evidence=None, by="x", what="move", at=datetime.now(UTC))
    store.close()
    return found


def answered(store: Store, rollout: str, name: str, stable: str, candidate: str) -> None:
    """A live answer of stable's and the candidate's to a copy of the same request, on record."""
    live = intent(name, route="chat", rollout=rollout)
    copy = replace(
        intent(f"{name}.m", arm=Arm.CANDIDATE, role=Role.MIRRORED, randomised=False, route="chat", rollout=rollout), exchange=live.exchange
    )
    request = b'{"model":"chat","messages":[{"role":"user","content":"Wann?"}]}'

    def body(text: str) -> bytes:
        return reading.keep(Answer(text=text))

    ends = [result(name, 1.0), result(f"{name}.m", 2.0, request_body=request, answer_body=body(candidate))]
    kept = [Kept(leg=live.leg, at_us=at(2.0), request_body=request, answer_body=body(stable))]
    store.journal.put([live, copy], ends, kept=kept)


def pairs(store: Store, rollout: str, n: int, *, fenced: int) -> None:
    """So many pairs in German, of which the candidate fences the first ones."""
    found = [
        Pair(
            rollout=rollout,
            exchange=f"ex_{i}",
            at_us=micros(datetime.now(UTC)) + i,
            scored=("refused",),
            candidate_differs=("change:fence_added",) if i < fenced else (),
            second_failed=(),
            second_differs=(),
            conversation=f"co_{i}",
            dimensions=GERMAN,
            chars=100 + i,
        )
        for i in range(n)
    ]
    store.state.add_pairs(found)
    store.state.fold_pairs(store.state.rollout(rollout), ())


def test_a_person_is_told_what_differs_where_and_what_it_looks_like(desk: Desk) -> None:
    store, id = desk.store, desk.rollout().id
    pairs(store, id, 200, fenced=80)
    answered(store, id, "0", "Um drei.", "``` Um drei. ```")
    store.close()
    said = desk.runs("shadow", "chat")
    assert said.code == 0, said.err
    assert said.out.startswith(f"{id}  chat: {PIN} -> {NEXT}  shadow (for ")
    assert "pairs: 200 scored, of at least 2; 200 of them with a second answer of stable's, and all bets are on those; 0 not " in said.out
    assert "time: " in said.out
    assert "groups of disagreement with the live answer, 1 of 1, what is beyond the noise floor first:" in said.out
    assert "1. fence_added in requests with `language de, length to 256`: 80 pairs, 40.0 % of all compared" in said.out
    assert "beyond the noise floor: fence_added" in said.out
    assert "stable:    Um drei.\n       candidate: ``` Um drei. ```" in said.out
    assert 'detent case pin ex_0 --why "..."' in said.out, "the shortest pair is the clearest"


def test_a_pair_is_pinned_by_the_command_that_it_names(desk: Desk) -> None:
    """What is kept is what users got, stable's answer: the candidate's was nobody's."""
    store, id = desk.store, desk.rollout().id
    pairs(store, id, 100, fenced=40)
    answered(store, id, "0", "Um drei.", "``` Um drei. ```")
    store.close()
    command = re.search(r"`detent (case pin ex_0) --why", desk.runs("shadow", id).out)
    assert command is not None
    said = desk.runs(*command[1].split(), "--why", "fences break the importer")
    assert (said.code, said.out) == (0, "ex_0 is an incident of chat; `detent baseline freeze chat` takes it in\n")
    store = desk.store
    ((_, kept),) = store.state.pins("chat")
    store.close()
    assert "Um drei." in str(kept)
    assert "```" not in str(kept)


def test_explain_tells_the_shadow_in_short_also_when_it_is_over(desk: Desk) -> None:
    store, id = desk.store, desk.rollout().id
    pairs(store, id, 200, fenced=80)
    store.close()
    said = desk.runs("explain", id)
    assert "shadow: 200 pairs scored, of at least 2; 200 of them with a second answer of stable's" in said.out
    assert "beyond the noise floor: fence_added" in said.out
    assert desk.runs("abort", id, "--why", "enough").code == 0
    assert "shadow: 200 pairs scored" in desk.runs("explain", id).out
    assert desk.runs("shadow", id).code == 0


def test_machines_get_numbers(desk: Desk) -> None:
    store, id = desk.store, desk.rollout().id
    pairs(store, id, 200, fenced=80)
    store.close()
    found = desk.runs("shadow", id, "--json").json
    assert (found["rollout"], found["phase"], found["evidence"]["pairs"]) == (id, "shadow", 200)
    assert found["coverage"]["class"]["classes"] == 1
    (group,) = found["groups"]
    assert (group["field"], group["pairs"], group["share"], group["named"]) == ("change:fence_added", 80, 0.4, True)
    assert [example["exchange"] for example in group["examples"]] == ["ex_0", "ex_1"]


def test_a_shadow_that_has_compared_nothing_yet_says_so(desk: Desk) -> None:
    said = desk.runs("shadow", "chat")
    assert said.code == 0
    assert "pairs: 0 scored, of at least 2" in said.out
    assert "coverage: nothing is known of it yet" in said.out
    assert "groups of disagreement: none" in said.out


def test_a_trial_of_a_version_against_itself_has_no_shadow(desk: Desk) -> None:
    assert desk.runs("abort", "chat", "--why", "x").code == 0
    assert desk.runs("aa", "chat").code == 0
    said = desk.runs("shadow", "chat")
    assert (said.code, "a trial of a version against itself has no shadow" in said.err) == (2, True)


def test_plan_says_what_the_shadow_will_see_at_the_recorded_traffic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """40 sessions of one request, a minute apart: the traffic of this hour, which the store spreads over the time on record."""
    found = Desk(tmp_path, capsys)
    found.writes(pin_file(chat=None))
    assert found.runs("apply").code == 0
    found.writes(pin_file(chat=NEXT))
    assert "shadow: too little traffic is on record to say what " in found.runs("plan").out
    store = found.store
    ago_s = (datetime.now(UTC) - T0).total_seconds() - 3600
    legs = [intent(f"p{i}", f"past-{i}", ago_s + 60 * i, route="chat", rollout=None, randomised=False) for i in range(40)]
    store.journal.put(legs, [result(f"p{i}", ago_s + 60 * i + 1) for i in range(40)])
    store.close()
    said = found.runs("plan").out
    assert re.search(r"shadow: about [\d.]+ pairs in \w+ at this traffic, [\d.]+ with a second answer: ", said), said
    assert "BEWARE: `pairs` x `second` of the plan are " in said
