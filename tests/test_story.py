"""A whole rollout, told in memory. Read this after terms.py and decide.py."""

from __future__ import annotations

import pytest

from detent.errors import Refused
from detent.terms import Arm, Coverage, Phase, Unit, UnitKind, Verb
from playbook import CANDIDATE, PLAN, STABLE, Playbook, compared, flip


def arms(story: Playbook, n: int = 2000) -> float:
    """Share of users that the flag in force sends to the candidate."""
    from detent.assign import assign

    found = [assign(Unit(UnitKind.SESSION, f"someone-{i}"), story.flag).arm for i in range(n)]
    return found.count(Arm.CANDIDATE) / n


def test_a_good_version_earns_its_promotion() -> None:
    story = Playbook()

    assert story.ask().verb is Verb.ADVANCE
    assert story.phase is Phase.BASELINE
    assert arms(story) == 0, "in baseline no user sees the candidate"

    assert story.ask().reason == "NoBaseline", "no evidence holds; it never passes"
    story.baseline_finds()
    assert story.ask().reason == "BaselinePassed"

    assert story.phase is Phase.SHADOW
    assert story.flag.mirror is not None
    assert (story.flag.mirror.share, story.flag.mirror.second) == (0.1, 0.5)
    assert arms(story) == 0, "in shadow nobody sees the candidate's answers"
    story.shadow_finds(candidate_only=4, stable_only=5)
    assert story.after("48h").reason == "TimeNotServed", "looking good does not shorten the window"
    rare, story.shadow = story.shadow, compared(1000, coverage=(Coverage(dimension="class", pairs=1000, classes=99, once=60, twice=9),))
    assert story.after("120h").reason == "CoverageNotReached", "nor does time make up for traffic that was not met"
    story.shadow = rare
    assert story.ask().reason == "ShadowPassed"

    assert story.phase is Phase.CANARY
    assert arms(story) == pytest.approx(0.05, abs=0.02)
    story.users_come(40_000)
    assert story.after("24h").reason == "TimeNotServed"
    story.users_come(40_000)
    assert story.after("24h").reason == "StepServed"
    assert arms(story) == pytest.approx(0.25, abs=0.04)
    story.users_come(40_000)
    story.after("24h")
    assert arms(story) == pytest.approx(0.50, abs=0.05)
    story.users_come(40_000)
    decision = story.after("24h")
    assert (decision.verb, decision.reason) == (Verb.PROMOTE, "Proved")

    assert story.phase is Phase.SOAK
    assert arms(story) == pytest.approx(0.95, abs=0.02), "the holdback keeps the way back warm"
    assert story.after("24h").reason == "TimeNotServed"
    assert story.after("312h").verb is Verb.FINISH
    assert story.phase is Phase.DONE
    assert story.flag.stable == CANDIDATE
    assert story.flag.candidate is None


def test_a_version_that_loses_prompts_is_rejected_before_any_user_sees_it() -> None:
    story = Playbook()
    story.ask()
    story.baseline_finds(flip("ca_1"), flip("ca_2", cause="key_renamed"))
    decision = story.ask()
    assert (decision.verb, decision.reason) == (Verb.REJECT, "ConfirmedNegativeFlips")
    assert "2 confirmed negative flips among 200 prompts" in decision.sentence
    assert story.phase is Phase.REJECTED
    assert story.evidence().exposure == (), "0 users saw it"
    assert story.flag.stable == STABLE


def test_a_version_that_fails_in_the_shadow_is_rejected_at_once() -> None:
    story = Playbook()
    story.ask()
    story.baseline_finds()
    story.ask()
    story.shadow_finds(candidate_only=30, stable_only=2, pairs=80)
    assert story.after("1h").reason == "ShadowHarm", "harm ends a stage at any look"
    assert story.phase is Phase.REJECTED


def test_harm_rolls_back_inside_the_minimum_window() -> None:
    story = Playbook()
    story.reaches_canary()
    story.users_come(4_000, candidate={"tool_retry": 0.30})
    decision = story.after("1h")
    assert (decision.verb, decision.reason) == (Verb.ROLL_BACK, "GuardHarmed")
    assert decision.sentence.startswith("tool_retry:")
    assert story.phase is Phase.ROLLED_BACK
    assert arms(story) == 0
    assert story.flag.stable == STABLE


def test_harm_acts_while_a_human_holds_it() -> None:
    story = Playbook()
    story.reaches_canary()
    story.human("hold", "release freeze")
    assert story.after("200h").reason == "HeldByHuman"
    story.users_come(4_000, candidate={"error": 0.30})
    assert story.after("1m").verb is Verb.ROLL_BACK


def test_harm_acts_in_soak() -> None:
    story = Playbook()
    story.reaches_canary()
    story.serves(days=4, users_a_day=40_000)
    assert story.phase is Phase.SOAK
    story.users_come(4_000, candidate={"parse_error": 0.40})
    assert story.after("1h").verb is Verb.ROLL_BACK


def test_without_traffic_nothing_is_promoted_and_the_limit_ends_it() -> None:
    story = Playbook()
    story.reaches_canary()
    story.serves(days=14, users_a_day=0)
    assert story.phase is Phase.NOT_PROVED
    assert all(d.verb is not Verb.PROMOTE for d in story.decisions)
    assert story.flag.stable == STABLE


def test_a_human_may_promote_what_was_not_proved_and_it_is_recorded_as_unproved() -> None:
    story = Playbook()
    story.reaches_canary()
    story.serves(days=14, users_a_day=40)
    assert story.phase is Phase.NOT_PROVED
    story.human("promote", "low traffic, reviewed by hand")
    assert story.phase is Phase.SOAK
    assert story.rollout.reason.startswith("PromotedUnproved: ada@example.com")


def test_nobody_promotes_before_the_minimum_window_is_served() -> None:
    story = Playbook()
    story.reaches_canary()
    story.serves(days=3, users_a_day=400)
    with pytest.raises(Refused, match=r"has served 3d of its minimum window of 4d"):
        story.human("promote", "I like it")


def test_a_stage_that_needs_a_yes_waits_for_it() -> None:
    story = Playbook().with_plan(approve=("canary",))
    story.ask()
    story.baseline_finds()
    story.ask()
    story.shadow_finds()
    assert story.after("168h").reason == "AwaitingApproval"
    assert story.rollout.held is not None
    assert story.rollout.held.reason == "AwaitingApproval"
    story.human("approve")
    assert story.ask().verb is Verb.ADVANCE
    assert story.phase is Phase.CANARY


def test_a_provider_that_moves_under_the_experiment_voids_it() -> None:
    story = Playbook()
    story.reaches_canary()
    story.identity_violations = ("acme-2026-03-01 answered as acme-2026-03-02 (17 times)",)
    assert story.ask().verb is Verb.VOID
    assert arms(story) == 0


def test_arms_that_do_not_fit_the_split_block_the_proof_but_not_a_rollback() -> None:
    story = Playbook()
    story.reaches_canary()
    story.users_come(40_000)
    story._exposed[story.flag.period, Arm.STABLE] -= 15_000  # records of one arm went missing
    assert story.after("49h").reason == "SampleRatioAlarm"
    story.users_come(4_000, candidate={"error": 0.30})
    assert story.after("1h").verb is Verb.ROLL_BACK


@pytest.mark.parametrize("phase", ["baseline", "shadow", "canary", "soak"])
def test_a_human_can_roll_back_from_every_phase(phase: str) -> None:
    story = Playbook()
    story.ask()
    if phase != "baseline":
        story.baseline_finds()
        story.ask()
    if phase in ("canary", "soak"):
        story.shadow_finds()
        story.after("168h")
    if phase == "soak":
        story.serves(days=4, users_a_day=40_000)
    assert story.phase.value == phase
    story.human("roll_back", "the model got dumber overnight")
    assert story.phase.terminal
    assert story.flag.split == 0
    assert story.flag.mirror is None
    assert story.flag.stable == STABLE
    assert story.ask().reason == "Ended", "and nothing brings it back"


def test_a_ramp_while_the_base_rate_drifts_condemns_nobody() -> None:
    """Pooled over the ramp the candidate looks worse only because it came later; stratified by share period it does not."""
    story = Playbook()
    story.reaches_canary()
    for factor in (1.0, 2.0, 3.0):
        rates = {metric: factor * rate for metric, rate in {"error": 0.02, "parse_error": 0.03, "tool_retry": 0.02}.items()}
        story.users_come(30_000, candidate=rates, stable=rates)
        story.after("48h")
    assert not story.phase.terminal or story.phase is Phase.DONE, story.decisions[-1]


def test_the_default_plan_of_the_story_is_the_designs() -> None:
    assert [step.share for step in PLAN.canary.steps] == [0.05, 0.25, 0.50]
    assert PLAN.canary.steps[0].at_least == 48 * 3600
