"""Decisions whatever happens, in whatever order: nothing is promoted without proof, harm always acts, nothing is stuck.

The cases of the second half are what users of other systems complain about (statistics.md, section 5).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from detent import evidence as ev
from detent.decide import PRECEDENCE, decide, objection
from detent.errors import Refused
from detent.manifest import BUILTIN_PLANS
from detent.terms import (
    BaselineEvidence,
    CanaryStage,
    CanaryStep,
    Decision,
    Evidence,
    Exposure,
    Flag,
    Guard,
    GuardEvidence,
    Held,
    Look,
    LookAt,
    Phase,
    Plan,
    Rollout,
    ShadowEvidence,
    ShadowStage,
    Slice,
    SoakStage,
    Tally,
    Verb,
)
from detent.terms import Refused as RefusedShape
from detent.transitions import HOLDING_REASONS, HUMAN_VERBS, after, flag_for
from detent.view import PLANNED_LOOKS, next_look_at
from playbook import CANDIDATE, HONEST, PLAN, STABLE, flip

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ENDS = {Verb.ROLL_BACK, Verb.REJECT, Verb.NOT_PROVED, Verb.VOID, Verb.FINISH}


def opened(plan: Plan = PLAN, **more: Any) -> Rollout:
    values: dict[str, Any] = {"opened_at": START, "entered_at": START, "base_rates": HONEST, "salt": "grain", **more}
    return Rollout(id="ro_1", route="summarizer", owner="o@example.com", stable=STABLE, candidate=CANDIDATE, plan=plan, **values)


def in_canary(step: int = 0, hours: float = 0.0, plan: Plan = PLAN, **more: Any) -> Rollout:
    """A rollout in a canary step; `hours` ago the canary began, and the step as well."""
    since = START - timedelta(hours=hours)
    values: dict[str, Any] = {"phase": Phase.CANARY, "step": step, "canary_at": since, "entered_at": since, "period": step + 1, **more}
    return opened(plan, split=plan.canary.steps[step].share, **values)


def in_soak(hours: float = 0.0, **more: Any) -> Rollout:
    entered = START - timedelta(hours=hours)
    values: dict[str, Any] = {"canary_at": entered - timedelta(hours=96), "entered_at": entered, "period": 4, **more}
    return opened(phase=Phase.SOAK, split=0.95, looks=(PROVED,), **values)


PROVED = Look(number=1, at=START, guards=tuple(LookAt(metric=m, z=9.0, boundary=1.9, information=5.0) for m in ("error", "parse_error")))


def counted(metric: str, candidate: tuple[int, int], stable: tuple[int, int], *, period: int = 1, split: float = 0.05) -> GuardEvidence:
    """(events, units) on either arm, in one share period."""
    tally = Tally(
        period=period,
        split=split,
        candidate_events=candidate[0],
        candidate_units=candidate[1],
        stable_events=stable[0],
        stable_units=stable[1],
    )
    return GuardEvidence(metric=metric, tallies=(tally,))


def seen(*guards: GuardEvidence, **more: Any) -> Evidence:
    """Evidence in which every unit that was exposed has been sealed for the guard with most of them."""
    sizes = {(t.period, t.split): (t.candidate_units, t.stable_units) for g in guards for t in g.tallies}
    exposure = tuple(Exposure(period=p, split=s, candidate=c, stable=n) for (p, s), (c, n) in sorted(sizes.items()))
    return Evidence(rollout="ro_1", guards=guards, **{"exposure": exposure, **more})


FINE = seen(
    counted("error", (80, 4000), (1520, 76_000)),
    counted("parse_error", (120, 4000), (2280, 76_000)),
    counted("tool_retry", (80, 4000), (1520, 76_000)),
)
UNBALANCED = replace(FINE, exposure=(Exposure(period=1, split=0.05, candidate=4000, stable=48_000),))
HARMED = counted("tool_retry", (150, 1000), (380, 19_000))
SUSPICIOUS = counted("tool_retry", (36, 1000), (380, 19_000))
"""E between 10 and 20 over the three guards: see `test_harm_needs_e_of_one_over_alpha_and_ten_only_holds`."""


# ── any order of events ──────────────────────────────────────────────────────────────────────────────────────────────

WALKED = Plan(
    name="walked",
    shadow=ShadowStage(share=0.1, at_least=48 * 3600.0, at_most=96 * 3600.0, pairs=50),
    canary=CanaryStage(
        steps=(CanaryStep(share=0.05, at_least=48 * 3600.0, units=20), CanaryStep(share=0.50, at_least=24 * 3600.0, units=50)),
        at_most=12 * 86400.0,
    ),
    soak=SoakStage(at_least=48 * 3600.0, holdback=0.05),
    guards=(
        Guard(metric="error", margin_ratio=1.5, role="prove"),
        Guard(metric="thumbs_down", margin_abs=0.05, role="prove"),
        Guard(metric="tool_retry", margin_ratio=1.5, role="harm"),
        Guard(metric="refusal", margin_ratio=1.5, role="harm", action="hold"),
        Guard(metric="latency", role="observe"),
    ),
)
RATES = {"error": 0.02, "thumbs_down": 0.03, "tool_retry": 0.02, "refusal": 0.01}
SELDOM = st.integers(0, 9)
MACHINE = settings(max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Stay:
    """One phase and step that a rollout was in, and until when."""

    phase: Phase
    step: int
    since: datetime
    until: datetime | None = None


class AnyOrder(RuleBasedStateMachine):
    """A rollout to which anything may happen at any time: traffic good and bad, findings, silence, humans, and a controller that asks."""

    @initialize(
        approve=st.sets(st.sampled_from(["baseline", "shadow", "canary", "soak"])),
        chapter=st.sampled_from([Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, *[Phase.CANARY] * 6, Phase.SOAK]),
    )
    def begins(self, approve: set[str], chapter: Phase) -> None:
        self.now = START
        self.rollout = opened(replace(WALKED, approve=tuple(sorted(approve))), base_rates=RATES)  # type: ignore[arg-type]
        self.flag = flag_for(self.rollout, Flag(route="summarizer", revision=1, stable=STABLE))
        self.counts: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.unscored: defaultdict[str, int] = defaultdict(int)
        self.exposed: dict[int, tuple[float, int, int]] = {}
        self.baseline: BaselineEvidence | None = None
        self.shadow: ShadowEvidence | None = None
        self.violations: tuple[str, ...] = ()
        self.stays = [Stay(Phase.PROPOSED, 0, START)]
        self.human_promoted = False
        while self.rollout.phase is not chapter:
            self.good_news()
            self.ask()

    # what happens

    @rule(hours=st.sampled_from([0.02, 1, 6, 24, 48, 200]))
    def time_passes(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    @rule(
        units=st.sampled_from([1, 40, 4_000, 40_000]),
        factor=st.sampled_from([0.5, 1.0, 1.0, 1.0, 1.3, 2.0]),
        hit=st.sampled_from(sorted(RATES)),
        silent=st.booleans(),
        luck=SELDOM,
    )
    def users_come(self, units: int, factor: float, hit: str = "error", silent: bool = False, luck: int = 0) -> None:
        lost = luck == 9  # records of one arm go missing
        if not 0 < self.rollout.split < 1:
            return
        period, split = self.rollout.period, self.rollout.split
        candidate = round(units * split)
        _, c, s = self.exposed.get(period, (split, 0, 0))
        self.exposed[period] = (split, c + candidate, s + units - candidate - (lost and units // 10))
        for metric, rate in RATES.items():
            if silent:
                self.unscored[metric] += units  # whole minutes of records that nothing could be said about
                continue
            cell = self.counts[metric, period]
            events = round(candidate * rate * (factor if metric == hit else 1.0)), round((units - candidate) * rate)
            for i, n in enumerate((events[0], candidate, events[1], units - candidate)):
                cell[i] += n

    @rule(
        cases=st.sampled_from([0, 50]),
        pending=st.sampled_from([0, 0, 9]),
        flips=st.sampled_from([0, 0, 2]),
        errors=st.sampled_from([0, 0, 3]),
        stale=st.sampled_from([(), (), ("it was frozen 31 days ago",)]),
    )
    def the_baseline_says(self, cases: int, pending: int, flips: int, errors: int, stale: tuple[str, ...] = ()) -> None:
        found = tuple(flip(f"ca_{n}") for n in range(flips))
        self.baseline = BaselineEvidence(cases=cases, pending=pending, errors=errors, confirmed=found, suspects=flips, stale=stale)

    @rule(pairs=st.sampled_from([0, 10, 60]), only=st.sampled_from([0, 1, 40]), unscored=st.sampled_from([0, 30, 100]))
    def the_shadow_says(self, pairs: int, only: int, unscored: int) -> None:
        self.shadow = ShadowEvidence(pairs=pairs, candidate_only=min(only, pairs), unscored=unscored)

    @rule(luck=SELDOM)
    def the_provider_moves(self, luck: int) -> None:
        if self.rollout.phase is Phase.CANARY and luck == 9:  # it ends a walk
            self.violations = ("`acme-2026-03-01` was sent for, and `acme-2026-03-02` answered (17 times)",)

    @rule(verb=st.sampled_from([*HUMAN_VERBS, "approve", "approve", "resume", "resume"]), luck=SELDOM)
    def a_human_says(self, verb: str, luck: int) -> None:
        if verb in ("abort", "roll_back") and luck < 9:  # they end a walk
            return
        was_terminal = self.rollout.phase.terminal
        try:
            moved = HUMAN_VERBS[verb](self.rollout, "ada@example.com", "", self.now)
        except Refused:
            return
        assert not was_terminal or verb == "promote"
        self.human_promoted |= verb == "promote"
        self.move(moved)

    @rule(n=st.sampled_from([1, 1, 2]))
    def the_controller_asks(self, n: int) -> None:
        for _ in range(n):
            self.ask()

    @rule(
        hours=st.sampled_from([6, 24, 48]),
        units=st.sampled_from([400, 40_000]),
        factor=st.sampled_from([1.0, 1.0, 1.2, 1.5]),
        hit=st.sampled_from(sorted(RATES)),
    )
    def a_day_goes_by(self, hours: float, units: int, factor: float, hit: str) -> None:
        self.users_come(units, factor, hit)
        self.time_passes(hours)
        self.ask()

    # what follows

    def evidence(self) -> Evidence:
        splits = {period: split for period, (split, _, _) in self.exposed.items()}
        return Evidence(
            rollout="ro_1",
            guards=tuple(
                GuardEvidence(
                    metric=guard.metric,
                    tallies=tuple(
                        Tally(period=p, split=splits[p], candidate_events=c[0], candidate_units=c[1], stable_events=c[2], stable_units=c[3])
                        for (metric, p), c in sorted(self.counts.items())
                        if metric == guard.metric
                    ),
                    candidate_unscored=self.unscored[guard.metric],
                )
                for guard in WALKED.guards
            ),
            exposure=tuple(Exposure(period=p, split=s, candidate=c, stable=n) for p, (s, c, n) in sorted(self.exposed.items())),
            baseline=self.baseline if self.rollout.phase is Phase.BASELINE else None,
            shadow=self.shadow if self.rollout.phase is Phase.SHADOW else None,
            identity_violations=self.violations,
        )

    def ask(self) -> Decision:
        before, evidence = self.rollout, self.evidence()
        decision = decide(before, evidence, self.now)
        assert decide(before, ev.decode(ev.encode(evidence)), self.now) == decision, "it recomputes from what is stored"
        assert decision.evidence_digest == ev.digest(evidence)
        self.check(before, decision)
        self.move(after(before, decision, self.now))
        return decision

    def check(self, before: Rollout, decision: Decision) -> None:
        if before.phase.terminal:
            assert (decision.verb, decision.reason) == (Verb.HOLD, "Ended")
        if decision.verb is Verb.PROMOTE:
            looks = (*before.looks, *([decision.look] if decision.look else []))
            assert any(look.proved and {g.metric for g in look.guards} == {"error", "thumbs_down"} for look in looks)
            served = {stay.step: (stay.until or self.now) - stay.since for stay in self.stays if stay.phase is Phase.CANARY}
            for number, step in enumerate(before.plan.canary.steps):
                assert served[number] >= timedelta(seconds=step.at_least), "every step was served"
            assert "soak" not in before.plan.approve or "soak" in before.approved
        if decision.verb is Verb.FINISH:
            assert self.now - self.stays[-1].since >= timedelta(seconds=before.plan.soak.at_least)
        if decision.verb is Verb.ADVANCE and before.held is not None:
            assert before.held.by == "detent", "nothing advances over a human's hold"
        if decision.reason in HOLDING_REASONS or decision.reason == "HeldByHuman":
            assert decision.verb is Verb.HOLD
        assert decision.sentence

    def move(self, moved: Rollout) -> None:
        if (moved.phase, moved.step) != (self.rollout.phase, self.rollout.step):
            self.stays[-1].until = self.now
            self.stays.append(Stay(moved.phase, moved.step, self.now))
        self.rollout = moved
        self.flag = flag_for(moved, self.flag)

    # what must hold whatever happened

    @invariant()
    def a_split_is_what_the_phase_allows(self) -> None:
        phase, split = self.rollout.phase, self.rollout.split
        assert self.flag.split == split
        if phase is Phase.CANARY:
            assert split == self.rollout.plan.canary.steps[self.rollout.step].share
        elif phase is Phase.SOAK:
            assert split == pytest.approx(0.95)
        else:
            assert split == 0.0
        assert (self.flag.shadow > 0) == (phase is Phase.SHADOW)
        assert self.flag.stable == (CANDIDATE if phase is Phase.DONE else STABLE)
        assert phase.terminal == (self.flag.rollout is None) == (self.rollout.ended_at is not None)

    @invariant()
    def looks_are_spaced_and_at_most_six(self) -> None:
        looks = self.rollout.looks
        assert [look.number for look in looks] == list(range(1, len(looks) + 1))
        assert len(looks) <= PLANNED_LOOKS
        moments = [look.at for look in looks]
        if moments:
            assert self.rollout.canary_at is not None
            assert moments[0] - self.rollout.canary_at >= timedelta(hours=48)
        assert all(later - earlier >= timedelta(hours=24) for earlier, later in pairwise(moments))
        assert not any(look.proved for look in looks[:-1]), "nobody looks again after a proof"

    @invariant()
    def soak_is_entered_by_proof_or_by_name(self) -> None:
        if any(stay.phase in (Phase.SOAK, Phase.DONE) for stay in self.stays):
            assert self.rollout.proved or self.human_promoted

    @precondition(lambda self: not self.rollout.phase.terminal)
    @rule()
    def disaster_strikes(self) -> None:
        """From here: every new user of the candidate fails. In canary and soak the next question ends it, held or not; then all is over."""
        if self.rollout.phase not in (Phase.CANARY, Phase.SOAK):
            return
        period, split = self.rollout.period, self.rollout.split
        stable = round(400_000 * (1 - split) / split)
        for i, n in enumerate((400_000, 400_000, 0, stable)):
            self.counts["tool_retry", period][i] += n
        _, c, s = self.exposed.get(period, (split, 0, 0))
        self.exposed[period] = (split, c + 400_000, s + stable)
        assert self.ask().verb is Verb.ROLL_BACK

    def teardown(self) -> None:
        """Nothing is stuck: from wherever a walk leads, good news and patience lead to an end."""
        if not hasattr(self, "rollout"):
            return
        for _ in range(60):
            if self.rollout.phase.terminal:
                return
            self.good_news()
            if self.ask().reason == "GuardHarmedHold":
                self.a_human_says("roll_back", 9)
        raise AssertionError(f"stuck in {self.rollout.phase}: {self.ask()}")

    def good_news(self) -> None:
        self.now += timedelta(hours=25)
        self.baseline = BaselineEvidence(cases=50, pending=0)
        self.shadow = ShadowEvidence(pairs=80)
        self.users_come(40_000, 1.0)
        for verb in ("resume", "approve"):
            self.a_human_says(verb, 0)


AnyOrder.TestCase.settings = MACHINE
TestAnyOrder = AnyOrder.TestCase


# ── harm ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

STANDARD = BUILTIN_PLANS["standard"]


@pytest.mark.parametrize(
    "held", [None, Held(reason="HeldByHuman", by="ada", since_at=START), Held(reason="AwaitingApproval", by="detent", since_at=START)]
)
@pytest.mark.parametrize("hours", [0.0, 0.01, 47.0, 400.0])
def test_a_breach_acts_inside_the_window_at_a_gate_while_held_and_past_the_limit(hours: float, held: Held | None) -> None:
    """flagger #1801, #1268: a breach while waiting was logged and not acted on; the rollback check came after the readiness check."""
    for rollout in (in_canary(hours=hours, held=held), in_canary(step=2, hours=hours, held=held), in_soak(hours=hours, held=held)):
        decision = decide(rollout, seen(HARMED), START)
        assert (decision.verb, decision.reason) == (Verb.ROLL_BACK, "GuardHarmed")
        assert after(rollout, decision, START).split == 0.0


def test_harm_needs_e_of_one_over_alpha_and_ten_only_holds() -> None:
    """Statistics 2.1: roll back at E >= 1/alpha = 20, hold and page at E >= 10."""
    found: dict[tuple[Verb, str], list[float]] = defaultdict(list)
    for events in range(20, 90):
        decision = decide(in_canary(hours=1), seen(counted("tool_retry", (events, 1000), (380, 19_000))), START)
        found[decision.verb, decision.reason].append(decision.numbers.get("log_e", 0.0))
    assert list(found) == [(Verb.HOLD, "TimeNotServed"), (Verb.HOLD, "HarmSuspected"), (Verb.ROLL_BACK, "GuardHarmed")], "as it worsens"
    suspected, harmed = found[Verb.HOLD, "HarmSuspected"], found[Verb.ROLL_BACK, "GuardHarmed"]
    assert math.log(10) <= min(suspected)
    assert max(suspected) < math.log(20) <= min(harmed)


def test_a_suspicion_holds_and_is_no_reason_to_roll_back() -> None:
    rollout = in_canary(step=2, hours=60, looks=(PROVED,))
    decision = decide(rollout, seen(SUSPICIOUS), START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "HarmSuspected"), "although it was proved and every step was served"
    assert "tool_retry" in decision.sentence
    assert decide(in_soak(hours=400), seen(SUSPICIOUS), START).reason == "HarmSuspected", "nor does the soak end over it"


def test_a_wholly_failing_candidate_ends_within_nine_units() -> None:
    """Design 6: hard_failure ends a wholly failing candidate within 7-9 candidate units; the standard plan has six guards on harm."""
    rollout = in_canary(plan=STANDARD, base_rates={"hard_failure": 0.005})
    needed = next(
        n for n in range(1, 50) if decide(rollout, seen(counted("hard_failure", (n, n), (0, 19 * n))), START).verb is Verb.ROLL_BACK
    )
    assert needed <= 9


def test_one_failure_among_little_traffic_is_no_harm_and_no_proof() -> None:
    """suna #3403: one 5xx is a huge percentage; healthy releases abort, and "pass when < 20 requests" is the wrong mend."""
    few = seen(counted("error", (1, 3), (0, 57)), counted("parse_error", (0, 3), (0, 57)))
    assert decide(in_canary(hours=1), few, START).reason == "TimeNotServed"
    assert decide(in_canary(step=2, hours=60), few, START).reason == "ProofNotReached"


def test_without_traffic_it_holds_which_is_neither_pass_nor_harm() -> None:
    """flagger #1035, #361: "no values found", and a rollback."""
    nothing = Evidence(rollout="ro_1")
    assert decide(in_canary(hours=60), nothing, START).reason == "TooFewUnits"
    units_only = Evidence(rollout="ro_1", exposure=(Exposure(period=1, split=0.05, candidate=50, stable=950),))
    assert decide(in_canary(step=2, hours=60), units_only, START).reason == "ProofNotReached"


def test_asking_again_changes_nothing() -> None:
    """argo #3850, #926: an inconclusive analysis was run again until the rollout promoted itself."""
    rollout = in_canary(step=2, hours=60)
    thin = seen(counted("error", (1, 40), (20, 760)), counted("parse_error", (1, 40), (23, 760)))
    for hour in range(0, 300, 4):
        decision = decide(rollout, thin, START + hour * HOUR)
        assert decision.verb in (Verb.HOLD, Verb.NOT_PROVED)
        rollout = after(rollout, decision, START + hour * HOUR)
    assert rollout.phase is Phase.NOT_PROVED


def test_a_guard_that_says_hold_holds_and_one_that_observes_does_nothing() -> None:
    """argo #2866, #303: pause instead of abort while a team still distrusts a metric."""

    def planned(**how: Any) -> Rollout:
        guards = tuple(replace(g, **how) if g.metric == "tool_retry" else g for g in PLAN.guards)
        return in_canary(hours=1, plan=replace(PLAN, guards=guards))

    assert decide(planned(), seen(HARMED), START).verb is Verb.ROLL_BACK
    held = decide(planned(action="hold"), seen(HARMED), START)
    assert (held.verb, held.reason) == (Verb.HOLD, "GuardHarmedHold")
    assert decide(planned(role="observe"), seen(HARMED), START).reason == "TimeNotServed"


def test_a_guard_that_only_holds_does_not_mask_one_that_rolls_back() -> None:
    guards = tuple(replace(g, action="hold") if g.metric == "tool_retry" else g for g in PLAN.guards)
    rollout = in_canary(hours=1, plan=replace(PLAN, guards=guards))
    worse = seen(counted("tool_retry", (600, 1000), (380, 19_000)), counted("error", (150, 1000), (380, 19_000)))
    decision = decide(rollout, worse, START)
    assert decision.verb is Verb.ROLL_BACK
    assert decision.sentence.startswith("error: 150 of 1000 (15.0 %)")


def test_harm_is_measured_against_the_stable_arm_of_the_same_time() -> None:
    """flagger #739: thresholds relative to the stable version; a bad day for both arms is nobody's fault."""
    assert decide(in_canary(hours=1), seen(counted("error", (100, 1000), (1900, 19_000))), START).reason == "TimeNotServed"
    assert decide(in_canary(hours=1), seen(counted("error", (100, 1000), (190, 19_000))), START).verb is Verb.ROLL_BACK


def test_errors_on_the_candidate_and_none_at_all_on_stable_are_counts_and_no_nan() -> None:
    """kayenta #799: NaN handling decided."""
    decision = decide(in_canary(hours=1), seen(counted("error", (30, 100), (0, 1900))), START)
    assert decision.verb is Verb.ROLL_BACK
    assert decision.sentence == decision.sentence.replace("nan", "")
    assert decision.sentence.startswith("error: 30 of 100 (30.0 %) candidate units against 0 of 1900 (0.0 %) stable ones; E = ")


def test_the_reason_has_the_numbers() -> None:
    """argo #404, kayenta #521: the reason for an abort was not visible, nor its statistic."""
    decision = decide(in_canary(hours=1), seen(HARMED), START)
    assert decision.sentence.startswith("tool_retry: 150 of 1000 (15.0 %) candidate units against 380 of 19000 (2.0 %) stable ones; E = ")
    assert decision.sentence.endswith(">= 1/alpha = 20")
    assert set(decision.numbers) == {"log_e", "log_e_guard"}


def test_harm_comes_before_a_void_comparison_and_that_before_a_humans_hold() -> None:
    moved = ("`a` was sent for, and `b` answered (2 times)",)
    held = in_canary(hours=1, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    assert decide(held, seen(HARMED, identity_violations=moved), START).verb is Verb.ROLL_BACK
    void = decide(held, seen(identity_violations=moved), START)
    assert (void.verb, void.reason) == (Verb.VOID, "IdentityViolated")
    assert after(held, void, START).split == 0.0
    assert decide(held, FINE, START).reason == "HeldByHuman"


# ── proof ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_promoted_when_every_step_was_served_and_every_proving_guard_was_shown_no_worse() -> None:
    decision = decide(in_canary(step=2, hours=60), FINE, START)
    assert (decision.verb, decision.reason) == (Verb.PROMOTE, "Proved")
    assert "every proving guard shown non-inferior at look 1: error (z " in decision.sentence
    assert decision.look is not None
    assert decision.look.proved


def test_success_does_not_shorten_a_window_nor_skip_a_step() -> None:
    assert decide(in_canary(step=2, hours=23.9, canary_at=START - 99 * HOUR, looks=(PROVED,)), FINE, START).reason == "TimeNotServed"
    step = decide(in_canary(step=0, hours=48), FINE, START)
    assert (step.verb, step.reason) == (Verb.ADVANCE, "StepServed")
    assert step.look is not None, "the proof is there, and the ramp is not skipped for it"
    assert step.look.proved


def test_a_step_lasts_for_its_units_too() -> None:
    steps = (CanaryStep(share=0.05, at_least=48 * 3600.0, units=4_001),)
    rollout = in_canary(hours=60, plan=replace(PLAN, canary=replace(PLAN.canary, steps=steps)))
    decision = decide(rollout, FINE, START)
    assert (decision.reason, decision.sentence) == ("TooFewUnits", "4000 of 4001 candidate units seen")


@pytest.mark.parametrize("missing", ["error", "parse_error"])
def test_one_guard_without_evidence_is_enough_not_to_be_promoted(missing: str) -> None:
    """flagger #1581: a misspelled metric silently passes; growthbook #6679: what failed to compute was stored as a real zero."""
    without = replace(FINE, guards=tuple(g for g in FINE.guards if g.metric != missing))
    decision = decide(in_canary(step=2, hours=60), without, START)
    assert decision.reason == "ProofNotReached"
    assert f"too little to go by for a look at the proof ({missing})" in decision.sentence
    assert decision.look is None, "a look that can prove nothing for one guard is not taken: it would be lost for the others"
    unscored = replace(without, guards=(*without.guards, GuardEvidence(metric=missing, candidate_unscored=1000, stable_unscored=19_000)))
    assert decide(in_canary(step=2, hours=60), unscored, START).reason == "ProofNotReached"


def test_an_app_that_never_sends_feedback_proves_nothing_by_its_silence() -> None:
    plan = replace(PLAN, guards=(Guard(metric="thumbs_down", margin_abs=0.02, role="prove"),))
    silent = seen(counted("thumbs_down", (0, 1000), (0, 19_000)))
    assert decide(in_canary(step=2, hours=60, plan=plan), silent, START).reason == "ProofNotReached"
    heard = seen(counted("thumbs_down", (5, 1000), (95, 19_000)))
    assert decide(in_canary(step=2, hours=60, plan=plan), heard, START).verb is Verb.PROMOTE


def test_a_plan_without_a_proving_guard_never_promotes() -> None:
    plan = replace(PLAN, guards=tuple(replace(g, role="harm") for g in PLAN.guards))
    assert decide(in_canary(step=2, hours=60, plan=plan), FINE, START).reason == "ProofNotReached"


def test_a_candidate_that_is_worse_by_the_margin_is_not_proved() -> None:
    at_margin = replace(FINE, guards=(counted("error", (30, 1000), (380, 19_000)), *FINE.guards[1:]))
    decision = decide(in_canary(step=2, hours=60), at_margin, START)
    assert decision.reason == "ProofNotReached"
    assert decision.look is not None
    assert decision.look.lacking == ("error",)


def test_arms_that_do_not_fit_the_split_are_not_looked_at() -> None:
    decision = decide(in_canary(step=2, hours=60), UNBALANCED, START)
    assert (decision.verb, decision.reason, decision.look) == (Verb.HOLD, "SampleRatioAlarm", None)
    assert "4000 candidate and 48000 stable units do not fit the split" in decision.sentence
    assert decide(in_canary(step=2, hours=60), replace(UNBALANCED, guards=(HARMED,)), START).verb is Verb.ROLL_BACK, (
        "it never blocks a rollback"
    )


def test_looks_are_due_at_the_end_of_the_first_step_and_then_daily() -> None:
    """Statistics 2.3: looks at 48, 72, 96, 120, 144, 168 h."""
    rollout = in_canary(step=2)
    thin = seen(counted("error", (7, 400), (150, 7600)), counted("parse_error", (7, 400), (150, 7600)))
    taken = []
    for hour in range(0, 14 * 24, 3):
        more = round(1 + hour / 3)
        grown = replace(thin, guards=tuple(_times(g, more) for g in thin.guards), exposure=())
        decision = decide(rollout, grown, START + hour * HOUR)
        if decision.look:
            taken.append(hour)
        rollout = replace(
            after(rollout, replace(decision, verb=Verb.HOLD, reason="-"), START + hour * HOUR), looks=_unproved(rollout, decision)
        )
    assert taken == [48, 72, 96, 120, 144, 168]


def _times(guard: GuardEvidence, n: int) -> GuardEvidence:
    (t,) = guard.tallies
    return counted(guard.metric, (t.candidate_events * n, t.candidate_units * n), (t.stable_events * n, t.stable_units * n))


def _unproved(rollout: Rollout, decision: Decision) -> tuple[Look, ...]:
    """The looks so far with the new one, which we pretend has proved nothing."""
    if decision.look is None:
        return rollout.looks
    return (*rollout.looks, replace(decision.look, guards=tuple(replace(g, z=0.0) for g in decision.look.guards)))


def test_a_look_that_could_rest_on_nothing_waits_instead_of_being_wasted() -> None:
    nothing = seen(counted("error", (0, 0), (0, 0)))
    rollout = in_canary(step=2, hours=70)
    assert decide(rollout, nothing, START).look is None
    assert decide(rollout, FINE, START).look is not None


def test_when_a_look_is_due() -> None:
    assert next_look_at(opened()) is None
    assert next_look_at(in_canary()) == (START + 48 * HOUR).timestamp()
    late = Look(number=1, at=START + 60 * HOUR)
    assert next_look_at(in_canary(looks=(late,))) == (START + 84 * HOUR).timestamp(), "a late look moves the later ones"
    assert next_look_at(in_canary(looks=(PROVED,))) is None
    assert next_look_at(in_canary(looks=tuple(replace(late, number=n) for n in range(1, 7)))) is None


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────

AT_MOST = PLAN.canary.at_most / 3600


def test_a_canary_that_proves_nothing_in_time_ends_and_stable_serves() -> None:
    thin = seen(counted("error", (1, 40), (20, 760)))
    rollout = in_canary(step=2, hours=AT_MOST)
    decision = decide(rollout, thin, START)
    assert (decision.verb, decision.reason) == (Verb.NOT_PROVED, "LimitReached")
    assert decision.sentence.startswith("canary reached at_most = 14d without proof (")
    assert after(rollout, decision, START).split == 0.0
    assert decide(in_canary(step=2, hours=AT_MOST - 0.1), thin, START).verb is Verb.HOLD


def test_what_was_proved_in_time_is_promoted_at_the_limit_too() -> None:
    assert decide(in_canary(step=2, hours=AT_MOST, looks=(PROVED,)), FINE, START).verb is Verb.PROMOTE
    waiting = in_canary(step=2, hours=AT_MOST + 100, looks=(PROVED,), plan=replace(PLAN, approve=("soak",)))
    assert decide(waiting, FINE, START).reason == "AwaitingApproval", "a late yes is not the candidate's fault"


def test_the_split_is_not_widened_at_the_limit_only_to_end() -> None:
    assert decide(in_canary(step=1, hours=AT_MOST, looks=(PROVED,)), FINE, START).verb is Verb.NOT_PROVED


def test_suspicion_and_distrust_end_at_the_limit_and_say_so() -> None:
    for evidence, said in (
        (seen(SUSPICIOUS), "harm suspected in tool_retry"),
        (UNBALANCED, "do not fit the split"),
    ):
        decision = decide(in_canary(step=2, hours=AT_MOST, looks=(PROVED,)), evidence, START)
        assert decision.verb is Verb.NOT_PROVED
        assert said in decision.sentence


def test_a_human_who_holds_it_stops_the_clock_of_the_limit() -> None:
    held = in_canary(step=2, hours=AT_MOST + 1, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    assert decide(held, FINE, START).reason == "HeldByHuman"


def shadowing(hours: float, plan: Plan = PLAN) -> Rollout:
    return opened(plan, phase=Phase.SHADOW, entered_at=START - hours * HOUR)


def test_a_shadow_lasts_for_its_time_and_its_pairs_and_ends_without_them() -> None:
    def asked(hours: float, found: ShadowEvidence | None) -> str:
        return decide(shadowing(hours), Evidence(rollout="ro_1", shadow=found), START).reason

    enough = ShadowEvidence(pairs=PLAN.shadow.pairs, candidate_only=2, stable_only=3)
    assert asked(167, enough) == "TimeNotServed"
    assert asked(168, enough) == "ShadowPassed"
    assert asked(168, replace(enough, pairs=99)) == "TooFewPairs"
    assert asked(168, None) == "TooFewPairs"
    assert asked(336, replace(enough, pairs=99)) == "LimitReached"
    assert asked(336, enough) == "ShadowPassed"
    assert asked(168, replace(enough, unscored=101)) == "ShadowInconclusive", "a candidate that mostly fails to answer has shown nothing"


def test_a_shadow_whose_harm_is_shown_is_rejected_at_any_look() -> None:
    decision = decide(shadowing(0.1), Evidence(rollout="ro_1", shadow=ShadowEvidence(pairs=60, candidate_only=25, stable_only=1)), START)
    assert (decision.verb, decision.reason) == (Verb.REJECT, "ShadowHarm")
    assert "25 fail only on the candidate and 1 only on stable" in decision.sentence


# ── baseline and approval ────────────────────────────────────────────────────────────────────────────────────────────


FINE_SLICE = Slice(name="overall", cases=50, stable=1.0, candidate=1.0, difference=0.0, low=-0.04, high=0.04, p_value=1.0)
HARMED_SLICE = replace(FINE_SLICE, candidate=0.5, difference=-0.5, low=-0.7, high=-0.3, p_value=1e-7, lost=30, harmed=True)


@pytest.mark.parametrize(
    ("found", "verb", "reason"),
    [
        (None, Verb.HOLD, "NoBaseline"),
        (BaselineEvidence(cases=0, pending=0), Verb.HOLD, "NoBaseline"),
        (BaselineEvidence(cases=50, pending=1, confirmed=(flip("ca_1"),)), Verb.HOLD, "BaselineRunning"),
        (BaselineEvidence(cases=50, pending=0, errors=1, confirmed=(flip("ca_1"),)), Verb.REJECT, "ConfirmedNegativeFlips"),
        (BaselineEvidence(cases=50, pending=0, errors=1), Verb.HOLD, "BaselineInconclusive"),
        (BaselineEvidence(cases=50, pending=0, never_right=50), Verb.HOLD, "BaselineInconclusive"),
        (BaselineEvidence(cases=50, pending=0, never_right=49, positive=9), Verb.ADVANCE, "BaselinePassed"),
        (BaselineEvidence(cases=50, pending=0, overall=HARMED_SLICE), Verb.REJECT, "SliceHarmed"),
        (BaselineEvidence(cases=50, pending=0, overall=FINE_SLICE, slices=(HARMED_SLICE,), errors=1), Verb.REJECT, "SliceHarmed"),
        (BaselineEvidence(cases=50, pending=40, refused=(RefusedShape(shape="tools", said="no", cases=9),)), Verb.REJECT, "RequestRefused"),
        (BaselineEvidence(cases=50, pending=0, errors=50), Verb.HOLD, "BaselineCouldNotRun"),
        (BaselineEvidence(cases=50, pending=9, over_budget=True), Verb.HOLD, "BaselineBudget"),
        (BaselineEvidence(cases=50, pending=0, left_script=("ca_1",)), Verb.HOLD, "LeftScript"),
        (BaselineEvidence(cases=50, pending=0, overall=FINE_SLICE, changes={"reworded": 20}, reworded=20), Verb.ADVANCE, "BaselinePassed"),
    ],
)
def test_what_a_baseline_leads_to(found: BaselineEvidence | None, verb: Verb, reason: str) -> None:
    decision = decide(opened(phase=Phase.BASELINE), Evidence(rollout="ro_1", baseline=found), START)
    assert (decision.verb, decision.reason) == (verb, reason)


def test_a_lost_prompt_ends_a_rollout_also_while_a_human_holds_it() -> None:
    """flagger #1801: a breach while waiting is acted on."""
    held = opened(phase=Phase.BASELINE, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    found = BaselineEvidence(cases=50, pending=0, confirmed=(flip("ca_1"),))
    assert decide(held, Evidence(rollout="ro_1", baseline=found), START).verb is Verb.REJECT


STALE = BaselineEvidence(cases=50, pending=9, stale=("it was frozen 31 days ago; the limit is 30d",))


def test_a_new_rollout_waits_for_a_fresh_baseline_or_is_only_warned_as_the_plan_says() -> None:
    waits, stale = opened(phase=Phase.PROPOSED), Evidence(rollout="ro_1", baseline=STALE)
    decision = decide(waits, stale, START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "BaselineStale")
    assert decision.sentence == (
        "the baseline is stale: it was frozen 31 days ago; the limit is 30d; o@example.com freezes a fresh one: "
        "`detent baseline freeze summarizer`"
    )
    warned = replace(waits, plan=replace(waits.plan, baseline=replace(waits.plan.baseline, on_stale="warn")))
    assert decide(warned, stale, START).reason == "Opened"


def test_a_rollout_that_has_begun_ends_on_the_set_that_it_began_with() -> None:
    begun = opened(phase=Phase.BASELINE)
    assert begun.plan.baseline.on_stale == "wait"
    found = STALE
    assert decide(begun, Evidence(rollout="ro_1", baseline=found), START).reason == "BaselineRunning"
    assert decide(begun, Evidence(rollout="ro_1", baseline=replace(found, pending=0)), START).verb is Verb.ADVANCE


def test_a_loss_on_a_stale_baseline_is_a_loss() -> None:
    found = replace(STALE, pending=0, confirmed=(flip("ca_1"),))
    assert decide(opened(phase=Phase.BASELINE), Evidence(rollout="ro_1", baseline=found), START).verb is Verb.REJECT


@pytest.mark.parametrize(
    ("stage", "rollout", "evidence"),
    [
        ("baseline", opened(), Evidence(rollout="ro_1")),
        ("shadow", opened(phase=Phase.BASELINE), Evidence(rollout="ro_1", baseline=BaselineEvidence(cases=9, pending=0))),
        ("canary", shadowing(200), Evidence(rollout="ro_1", shadow=ShadowEvidence(pairs=200))),
        ("soak", in_canary(step=2, hours=60), FINE),
    ],
)
def test_a_stage_that_needs_a_yes_waits_for_exactly_that_one(stage: str, rollout: Rollout, evidence: Evidence) -> None:
    asked = replace(rollout, plan=replace(rollout.plan, approve=("baseline", "shadow", "canary", "soak")))
    others = tuple(s for s in asked.plan.approve if s != stage)
    decision = decide(replace(asked, approved=others), evidence, START)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "AwaitingApproval")
    assert f"{stage} waits for a human yes: `detent approve ro_1`" in decision.sentence
    assert decide(replace(asked, approved=(stage,)), evidence, START).verb in (Verb.ADVANCE, Verb.PROMOTE)


# ── humans ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_abort_counts_also_after_a_promotion_was_asked_for() -> None:
    """argo #4461: abort ignored after a full-promotion request."""
    promoted = HUMAN_VERBS["promote"](in_canary(hours=50), "ada", "", START)
    assert promoted.phase is Phase.SOAK
    assert decide(promoted, seen(HARMED), START).verb is Verb.ROLL_BACK
    aborted = HUMAN_VERBS["abort"](promoted, "ada", "", START)
    assert (aborted.phase, aborted.split) == (Phase.ABORTED, 0.0)


@pytest.mark.parametrize(
    ("evidence", "against"),
    [
        (seen(HARMED), "tool_retry: 150 of 1000"),
        (seen(SUSPICIOUS), "harm suspected in tool_retry"),
        (UNBALANCED, "do not fit the split"),
        (replace(FINE, identity_violations=("x",)), "the provider moved under the experiment: x"),
        (FINE, None),
        (Evidence(rollout="ro_1"), None),
    ],
)
def test_what_no_humans_word_outweighs(evidence: Evidence, against: str | None) -> None:
    held = in_canary(hours=50, held=Held(reason="HeldByHuman", by="ada", since_at=START))
    ended = replace(held, phase=Phase.NOT_PROVED, split=0.0, held=None)
    for rollout in (held, ended):
        said = objection(rollout, evidence, START)
        assert (said is None) if against is None else (said is not None and against in said)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_order_of_precedence_is_the_designs() -> None:
    # design 6: harm > identity violated > human hold > sample-ratio alarm > approval > time > samples > proof
    names = [row.name for row in PRECEDENCE]
    order = ["ended", "harm", "identity", "human hold", "sample ratio", "stage"]
    assert [name for name in names if name in order] == order


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal])
def test_what_has_ended_stays_ended_whatever_is_seen(phase: Phase) -> None:
    """argo #1329, #2158: each end keeps its own name."""
    rollout = replace(in_canary(hours=60), phase=phase, split=0.0, reason="Why: so")
    for evidence in (FINE, seen(HARMED), replace(FINE, identity_violations=("x",))):
        decision = decide(rollout, evidence, START + 1000 * HOUR)
        assert (decision.verb, decision.reason, decision.look) == (Verb.HOLD, "Ended", None)
        assert decision.sentence == f"the rollout ended as {phase}: Why: so"


def test_every_decision_of_a_plan_with_short_windows_says_so() -> None:
    plan = replace(PLAN, unsafe_short_windows=True)
    assert decide(in_canary(plan=plan), FINE, START).unsafe_short_windows
    assert not decide(in_canary(), FINE, START).unsafe_short_windows
