"""Stored decisions made again: the same from what is stored, and others under another plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from canaries import HARMED, START, in_canary, seen
from detent import evidence as ev
from detent.by_hand import on_a_word
from detent.decide import decide
from detent.errors import InvalidInput
from detent.recompute import changed, replay, what_if
from detent.store.state import Decided
from detent.terms import ClassTally, Decision, FieldEvidence, Guard, Phase, Verb
from playbook import PLAN, Playbook, compared


class Recorded(Playbook):
    """A story of which everything is kept, as the store keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[Decided] = []

    def ask(self) -> Decision:
        before, evidence = self.rollout, ev.encode(self.evidence())
        decision = super().ask()
        self.stored.append(Decided(decision, evidence, before))
        return decision


@pytest.fixture(scope="module")
def promoted() -> Recorded:
    """Baseline, shadow, four days of canary at 40,000 users a day, promoted."""
    story = Recorded()
    story.reaches_canary()
    story.serves(days=4, users_a_day=40_000)
    assert story.phase is Phase.SOAK
    return story


def test_a_whole_rollout_recomputes(promoted: Recorded) -> None:
    found = replay(promoted.stored)
    assert len(found) == len(promoted.decisions)
    assert all(one.same for one in found)


def test_a_shadow_that_ended_in_harm_recomputes_from_its_sums() -> None:
    """Fields, input classes, second answers and coverage are in the evidence that is stored; another alpha would have waited."""
    story = Recorded()
    story.ask()
    story.baseline_finds()
    story.ask()
    tallies = ClassTally(input_class="", candidate_only=26, stable_only=2), ClassTally(input_class="x", candidate_only=26, stable_only=0)
    field = FieldEvidence(field="change:json_broken", harms=True, pairs=250, candidate=26, stable=2, tallies=tallies)
    story.shadow = compared(1000, fields=(field,))
    assert story.after("24h").reason == "ShadowHarm"
    assert story.phase is Phase.REJECTED
    assert all(one.same for one in replay(story.stored))
    careful = list(what_if(story.stored, lambda plan: replace(plan, alpha=1e-9)))
    assert [one.would_be.reason for one in careful][-1] == "ShadowHarmSuspected"


def test_what_was_changed_afterwards_is_found_out(promoted: Recorded) -> None:
    one = promoted.stored[-1]
    assert one.before is not None
    other_evidence = replace(one, evidence=one.evidence.replace(b'"candidate_events":', b'"candidate_events":1'))
    (found,) = replay([other_evidence])
    assert (found.again, found.same) == (None, False)
    assert found.why == "its evidence is not what it was made from: the digests differ"
    earlier = replace(one, before=replace(one.before, entered_at=one.decision.at))
    (found,) = replay([earlier])
    assert found.again is not None
    assert (found.again.reason, found.same) == ("TimeNotServed", False)
    (found,) = replay([replace(one, before=None)])
    assert found.why.startswith("stored by an older Detent")


def test_a_rollback_of_a_detent_that_did_not_name_the_guard_recomputes() -> None:
    """Its sentence began with the metric; what is stored now says so by itself."""
    before, evidence = in_canary(), seen(HARMED)
    decision = decide(before, evidence, START)
    assert decision.guard == HARMED.metric
    for guard in (decision.guard, ""):
        (found,) = replay([Decided(replace(decision, guard=guard), ev.encode(evidence), before)])
        assert found.same
    (found,) = replay([Decided(replace(decision, guard="error"), ev.encode(evidence), before)])
    assert not found.same


def test_a_limit_that_an_older_detent_took_by_the_clock_recomputes() -> None:
    """Its server was off for an hour of the fourteen days: by the clock they were over, and only that hour is missing in time served."""
    most = timedelta(seconds=PLAN.canary.at_most)
    before = replace(in_canary(hours=0), watched_s=most.total_seconds() - 3600.0, canary_watched_s=0.0)
    waits = decide(before, seen(), START + most)
    stored = replace(
        waits,
        verb=Verb.NOT_PROVED,
        reason="LimitReached",
        sentence=f"canary reached at_most = 14d without proof ({waits.sentence})",
        numbers={},
    )
    for decision, same in (
        (stored, True),
        (waits, True),
        (replace(stored, sentence="so be it"), False),
        (replace(stored, at=START + most - timedelta(seconds=1)), False),
    ):
        (found,) = replay([Decided(decision, ev.encode(seen()), before)])
        assert found.same is same, decision


def test_what_a_person_decided_is_nobodys_to_make_again(promoted: Recorded) -> None:
    """Its evidence is checked all the same: that it is what was known, and that nothing in it spoke against the promotion."""
    canary = promoted.stored[-1].before
    assert canary is not None
    evidence = ev.decode(promoted.stored[-1].evidence)
    word = on_a_word(canary, evidence, promoted.now, by="ada", why="seen enough")
    (found,) = replay([Decided(word, ev.encode(evidence), canary)])
    assert (found.by_hand, found.again, found.why) == (True, None, "a person's word")
    harm = replace(evidence, identity_violations=("`a` was sent for, and `b` answered (9 times)",))
    word = on_a_word(canary, harm, promoted.now, by="ada", why="seen enough")
    (found,) = replay([Decided(word, ev.encode(harm), canary)])
    assert (found.by_hand, found.same) == (False, False), "nobody could have promoted it over that"
    kept = list(
        what_if([Decided(on_a_word(canary, evidence, promoted.now, by="ada", why=""), ev.encode(evidence), canary)], lambda plan: plan)
    )
    assert [(one.same, one.ends) for one in kept] == [(True, False)]


def test_the_same_plan_says_the_same(promoted: Recorded) -> None:
    assert all(one.same for one in what_if(promoted.stored, lambda plan: plan))


def test_a_narrower_margin_would_not_have_been_proved(promoted: Recorded) -> None:
    found = list(what_if(promoted.stored, lambda plan: changed(plan, guards=["error.margin_ratio=1.01"])))
    assert [one.decision.reason for one in found if not one.same] == ["Proved"]
    last = found[-1]
    assert (last.decision.verb, last.would_be.verb, last.would_be.reason) == (Verb.PROMOTE, Verb.HOLD, "ProofNotReached")
    looks = [one.would_be.look for one in found if one.would_be.look is not None]
    assert [look.number for look in looks] == list(range(1, len(looks) + 1)), "looks that were missed are taken on"
    assert len(looks) > 1, "where the first look had proved it, more are taken now"


def test_it_stops_where_the_rollout_would_have_ended() -> None:
    story = Recorded()
    story.with_plan(guards=changed(PLAN, guards=["tool_retry.action=hold"]).guards)
    story.reaches_canary()
    story.users_come(4_000, candidate={"tool_retry": 0.30})
    for _ in range(3):
        assert story.after("1h").reason == "GuardHarmedHold"
    found = list(what_if(story.stored, lambda plan: changed(plan, guards=["tool_retry.action=roll_back"])))
    assert (found[-1].ends, found[-1].would_be.verb) == (True, Verb.ROLL_BACK)
    assert len(found) == len(story.stored) - 2


def test_a_plan_is_changed_by_guard_and_key() -> None:
    plan = changed(PLAN, alpha=0.01, guards=["error.margin_abs=0.005", "tool_retry.action=hold", "tool_retry.role=observe"])
    assert plan.alpha == 0.01
    assert (plan.guards[0].margin_ratio, plan.guards[0].margin_abs) == (None, 0.005)
    assert (plan.guards[2].action, plan.guards[2].role) == ("hold", "observe")
    assert changed(PLAN, guards=["tool_retry.tolerance_ratio=1"]).guards[2].tolerance_ratio == 1.0


LATENCY = Guard(metric="latency", margin_ratio=1.25)
WATCHED = Guard(metric="session_steps", role="observe")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("session_steps.role=prove", "without a margin: `session_steps`"),
        ("tool_retry.role=prove", "more than three proving guards: `4`"),
        ("error.margin_ratio=0.9", "`margin_ratio` is out of range: `0.9`"),
        ("error.margin_ratio=nan", "`margin_ratio` is out of range: `nan`"),
        ("error.margin_abs=1", "`margin_abs` is out of range: `1`"),
        ("latency.margin_abs=0.1", "a difference as the margin of a value: `latency`"),
        ("latency.tolerance_ratio=11", "`tolerance_ratio` is out of range: `11`"),
        ("latency.tolerance_ratio=1.5", "tolerance_ratio is above the margin of latency: `1.5`"),
        ("error.tolerance_ratio=1.1", "tolerance_ratio is for values, and error is a rate: `1.1`"),
        ("error.side=less", "side is for values, and error is a rate: `less`"),
    ],
)
def test_what_a_pin_file_could_not_say_is_refused_by_name(said: str, message: str) -> None:
    plan = replace(PLAN, guards=(*PLAN.guards, replace(PLAN.guards[0], metric="truncated"), LATENCY, WATCHED))
    with pytest.raises(InvalidInput) as refused:
        changed(plan, guards=[said])
    assert message in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, -1.0])
def test_an_alpha_is_what_a_plan_may_have(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="`alpha` is out of range"):
        changed(PLAN, alpha=alpha)


def test_a_guard_may_be_proved_by_the_margin_that_is_given_with_it() -> None:
    plan = changed(replace(PLAN, guards=(*PLAN.guards, WATCHED)), guards=["session_steps.role=prove", "session_steps.margin_ratio=1.2"])
    assert (plan.guards[-1].role, plan.guards[-1].margin_ratio) == ("prove", 1.2)
