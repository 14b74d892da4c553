"""Findings on real databases: incidents, what the judge said, calibrations; and a store of an older Detent is brought up to date."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from detent.errors import Conflict
from detent.store import Store, open_store
from detent.terms import Answer, Baseline, Calibration, Endpoint, Judgement, Pin, RecordedExchange, ToolCall, Usage, Version
from processes import until
from records import T0

pytest_plugins = ("stores",)

JUDGE = Version("anthropic", "claude-sonnet-4-6")
CALIBRATION = Calibration(
    judge=JUDGE, digest="rubric-1", pairs=120, kappa=0.71, low=0.58, high=0.82, abstained=0.02, injected=0.0, by="ann@example.com", at=T0
)


def exchange(id: str) -> RecordedExchange:
    return RecordedExchange(
        id=id,
        endpoint=Endpoint.OPENAI_CHAT,
        request=b'{"messages": [{"role": "user", "content": "Wie teuer war das \\u2014 \xc3\xa9?"}]}',
        answer=Answer(text="42 \u20ac", tool_calls=(ToolCall("c1", "price", '{"of": "it"}'),), usage=Usage(input=10, output=4)),
        model="gpt-4o-2024-05-13",
        at=T0,
        betas=("a", "b"),
        redacted={"email": 2},
    )


def pinned(id: str, why: str = "sent money twice") -> Pin:
    return Pin(route="summarizer", exchange=id, why=why, by="ann@example.com", at=T0)


def test_an_incident_is_kept_with_its_own_copy_of_the_recording(store: Store) -> None:
    store.state.put_pin(pinned("ex_1"), exchange("ex_1"))
    assert store.state.pins("summarizer") == [(pinned("ex_1"), exchange("ex_1"))]
    assert store.state.pins("another") == []


def test_pinning_again_corrects_the_reason_and_unpinning_lets_go(store: Store) -> None:
    later = replace(pinned("ex_2"), at=T0 + timedelta(hours=1))
    store.state.put_pin(later, exchange("ex_2"))
    store.state.put_pin(pinned("ex_1"), exchange("ex_1"))
    store.state.put_pin(pinned("ex_1", "sent money three times"), exchange("ex_1"))
    assert [(p.exchange, p.why) for p, _ in store.state.pins("summarizer")] == [
        ("ex_1", "sent money three times"),
        ("ex_2", "sent money twice"),
    ]
    assert store.state.drop_pin("summarizer", "ex_1")
    assert not store.state.drop_pin("summarizer", "ex_1")
    assert [p.exchange for p, _ in store.state.pins("summarizer")] == ["ex_2"]


def test_a_baseline_takes_the_place_of_the_one_that_it_was_made_from_and_of_no_other(store: Store) -> None:
    def frozen(digest: str) -> Baseline:
        return Baseline(route="summarizer", digest=digest, frozen_at=T0, owner="ann@example.com", cases=())

    store.state.put_baseline(frozen("d1"))
    store.state.put_baseline(frozen("d2"), instead_of="d1")
    with pytest.raises(Conflict, match="another baseline of route summarizer is in force by now: `d2`"):
        store.state.put_baseline(frozen("d3"), instead_of="d1")
    assert store.state.baseline("summarizer") == frozen("d2")


def test_a_question_to_the_judge_is_answered_once(store: Store) -> None:
    first = Judgement(id="q1", judge=JUDGE, digest="rubric-1", said="worse", why="lost the total", at=T0, usage=Usage(input=900, output=40))
    store.state.add_judgements([first, replace(first, id="q2", said="same")])
    store.state.add_judgements([replace(first, said="better")])
    assert store.state.judgements(["q1", "q2", "q3"]) == {"q1": first, "q2": replace(first, id="q2", said="same")}
    assert store.state.judgements([]) == {}


def test_many_questions_are_looked_up_in_turns(store: Store) -> None:
    said = Judgement(id="q", judge=JUDGE, digest="rubric-1", said="same", at=T0)
    store.state.add_judgements([replace(said, id=f"q{n}") for n in range(1_203)])
    assert len(store.state.judgements([f"q{n}" for n in range(2_000)])) == 1_203


def test_a_calibration_holds_for_its_judge_and_rubric_only_and_the_newest_counts(store: Store) -> None:
    store.state.put_calibration(CALIBRATION)
    store.state.put_calibration(replace(CALIBRATION, kappa=0.30, low=0.10))
    assert store.state.calibration(JUDGE, "rubric-1") == replace(CALIBRATION, kappa=0.30, low=0.10)
    assert store.state.calibration(JUDGE, "rubric-2") is None
    assert store.state.calibration(Version("anthropic", "claude-sonnet-4-7"), "rubric-1") is None


def test_a_line_of_the_audit_log_can_stand_alone(store: Store) -> None:
    store.state.note("ann@example.com", "pinned ex_1 of summarizer", T0)
    newest = store.state.audit()[0]
    assert (newest.by, newest.what, newest.rollout) == ("ann@example.com", "pinned ex_1 of summarizer", None)


def test_a_name_is_held_by_one_at_a_time_and_free_again_however_that_one_ends(store: Store, store_url: str) -> None:
    other = open_store(store_url)
    with store.state.alone("run 1") as first, other.state.alone("run 1") as second, other.state.alone("run 2") as third:
        assert (first, second, third) == (True, False, True)
        with store.state.alone("run 1") as again:
            assert not again, "nor twice in one process"
    other.close()
    code = (
        "import os, sys\nfrom detent.store import open_store\n"
        "with open_store(sys.argv[1]).state.alone('run 1') as alone:\n    print(alone, flush=True)\n    sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, store_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"True\n"
    with store.state.alone("run 1") as held:
        assert not held
    holder.kill()
    holder.communicate()

    def free() -> bool:
        with store.state.alone("run 1") as alone:
            return alone

    until(free, "the name of one that was killed")
