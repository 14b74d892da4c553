"""Whatever happens, in whatever order: nothing is promoted without proof, a stop wins over everything, harm acts at once, nothing is stuck.

A walk is a rollout to which anything may happen: traffic good and bad, feedback or none, findings, lost records, guards that cannot
be computed, clocks that jump, servers that are off, humans, and a controller that asks. What must hold is checked at every step.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from detent import evidence as ev
from detent.controller import MOST_GAP_S
from detent.decide import decide, objection
from detent.errors import Refused
from detent.recompute import replay
from detent.stats.sketch import bucket
from detent.store.state import Decided
from detent.terms import (
    BaselineEvidence,
    CanaryStage,
    CanaryStep,
    Coverage,
    Decision,
    DeclaredMetric,
    Evidence,
    Exposure,
    Flag,
    Guard,
    GuardEvidence,
    Phase,
    Plan,
    Rollout,
    ShadowEvidence,
    ShadowStage,
    SoakStage,
    Tally,
    ValueTally,
    Verb,
    Working,
)
from detent.transitions import HOLDING_REASONS, HUMAN_VERBS, after, flag_for, learnable, learned
from detent.view import View
from detent.windows import canary_served_s, minimum_window_s, planned_looks, served_s
from playbook import CANDIDATE, STABLE, compared, flip

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLAN = Plan(
    name="walked",
    shadow=ShadowStage(share=0.1, at_least=48 * 3600.0, at_most=96 * 3600.0, pairs=50, coverage=0.90),
    canary=CanaryStage(
        steps=(CanaryStep(share=0.05, at_least=48 * 3600.0, units=20), CanaryStep(share=0.50, at_least=24 * 3600.0, units=50)),
        at_most=12 * 86400.0,
    ),
    soak=SoakStage(at_least=48 * 3600.0, holdback=0.05),
    guards=(
        Guard(metric="error", margin_ratio=1.5, role="prove"),
        Guard(metric="helpful", margin_abs=0.05, role="prove"),
        Guard(metric="tool_retry", margin_ratio=1.5, role="harm"),
        Guard(metric="refusal", margin_ratio=1.5, role="harm", action="hold"),
        Guard(metric="latency", margin_ratio=1.25, tolerance_ratio=1.05, role="harm"),
        Guard(metric="output_tokens", role="observe"),
    ),
)
PROVING = {"error", "helpful"}
DECLARED = {"helpful": DeclaredMetric(name="helpful", says="the user found it of no help", silence="good")}
RATES = {"error": 0.02, "helpful": 0.03, "tool_retry": 0.02, "refusal": 0.01}
SECONDS = {bucket(0.8): 0.50, bucket(1.5): 0.40, bucket(4.0): 0.09, bucket(9.0): 0.01}
SELDOM = st.integers(0, 9)
MACHINE = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@dataclass
class Stay:
    """One phase and step that a rollout was in, and for how long somebody looked after it there."""

    phase: Phase
    step: int
    watched_s: float = 0.0


class AnyOrder(RuleBasedStateMachine):
    """One rollout, and all that may happen to it."""

    @initialize(
        approve=st.sets(st.sampled_from(["baseline", "shadow", "canary", "soak"])),
        chapter=st.sampled_from([Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, *[Phase.CANARY] * 6, Phase.SOAK]),
        known=st.booleans(),
    )
    def begins(self, approve: set[str], chapter: Phase, known: bool) -> None:
        self.now = START
        working = {metric: Working(rate=rate) for metric, rate in RATES.items()}
        if known:
            working["latency"] = Working(thresholds=(0.8, 1.5, 4.0), units=1000)
        self.rollout = Rollout(
            id="ro_1",
            route="summarizer",
            owner="o@example.com",
            stable=STABLE,
            candidate=CANDIDATE,
            plan=replace(PLAN, approve=tuple(sorted(approve))),  # type: ignore[arg-type]
            salt="grain",
            opened_at=START,
            entered_at=START,
            working=working,
            declared=DECLARED,
            watched_s=0.0,
        )
        self.last_looked_after = START
        self.flag = flag_for(self.rollout, Flag(route="summarizer", revision=1, stable=STABLE))
        self.counts: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.seconds: defaultdict[int, tuple[Counter[int], Counter[int]]] = defaultdict(lambda: (Counter(), Counter()))
        self.silent: Counter[str] = Counter()
        self.unscored: Counter[str] = Counter()
        self.exposed: dict[int, tuple[float, int, int]] = {}
        self.broken = ""
        self.baseline: BaselineEvidence | None = None
        self.shadow: ShadowEvidence | None = None
        self.violations: tuple[str, ...] = ()
        self.stays = [Stay(Phase.PROPOSED, 0)]
        self.human_promoted = False
        self.ended_by_human: Phase | None = None
        while self.rollout.phase is not chapter:
            self.good_news()
            self.ask()

    # time

    @rule(hours=st.sampled_from([0.02, 1, 6, 24, 48, 200]))
    def time_passes(self, hours: float) -> None:
        """With a controller that looks after the rollout all the while."""
        self.now += timedelta(hours=hours)
        self.looked_after(most_s=math.inf)

    @rule(hours=st.sampled_from([0.02, 1, 48, 300]))
    def the_server_is_off(self, hours: float) -> None:
        self.now += timedelta(hours=hours)
        self.looked_after()

    @rule(hours=st.sampled_from([-200, -48, -1, 1, 48, 400]))
    def the_clock_is_set(self, hours: float) -> None:
        """Forward or back, under a controller that goes on looking after the rollout."""
        self.now += timedelta(hours=hours)
        self.looked_after()

    def looked_after(self, most_s: float = MOST_GAP_S) -> None:
        passed = min(max(0.0, (self.now - self.last_looked_after).total_seconds()), most_s)
        self.last_looked_after = self.now
        if self.rollout.phase.terminal:
            return
        self.rollout = replace(self.rollout, watched_s=(self.rollout.watched_s or 0.0) + passed)
        self.stays[-1].watched_s += passed

    # what happens

    @rule(
        units=st.sampled_from([1, 40, 4_000, 40_000]),
        factor=st.sampled_from([0.5, 1.0, 1.0, 1.0, 1.3, 2.0]),
        hit=st.sampled_from([*sorted(RATES), "latency"]),
        said=st.sampled_from(["all", "all", "all", "nothing", "no feedback"]),
        luck=SELDOM,
    )
    def users_come(self, units: int, factor: float, hit: str = "error", said: str = "all", luck: int = 0) -> None:
        lost = luck == 9  # records of one arm go missing
        if not 0 < self.rollout.split < 1:
            return
        period, split = self.rollout.period, self.rollout.split
        candidate = round(units * split)
        _, c, s = self.exposed.get(period, (split, 0, 0))
        self.exposed[period] = (split, c + candidate, s + units - candidate - (lost and units // 10))
        for metric, rate in RATES.items():
            if said == "nothing":
                self.unscored[metric] += units  # whole minutes of records that nothing could be said about
                continue
            speaks = said == "all" or metric != "helpful"
            cell = self.counts[metric, period]
            rates = (rate * (factor if metric == hit else 1.0), rate) if speaks else (0.0, 0.0)
            self.silent[metric] += 0 if speaks else units
            for i, n in enumerate((round(candidate * rates[0]), candidate, round((units - candidate) * rates[1]), units - candidate)):
                cell[i] += n
        if said != "nothing":
            slower = math.ceil(math.log(factor) / math.log(1.02)) if hit == "latency" and factor > 1.0 else 0
            for arm, (n, by) in enumerate(((candidate, slower), (units - candidate, 0))):
                self.seconds[period][arm].update({at + by: round(n * share) for at, share in SECONDS.items()})

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

    @rule(
        pairs=st.sampled_from([0, 10, 60]),
        only=st.sampled_from([0, 1, 40]),
        unscored=st.sampled_from([0, 30, 100]),
        seconds=st.sampled_from([2, 15]),
        once=st.sampled_from([0, 0, 9]),
    )
    def the_shadow_says(self, pairs: int, only: int, unscored: int, seconds: int, once: int) -> None:
        coverage = (Coverage(dimension="class", pairs=pairs, classes=12, once=min(once, pairs), twice=0),) if pairs else ()
        self.shadow = ShadowEvidence(
            pairs=pairs, candidate_only=min(only, pairs), unscored=unscored, seconds=min(seconds, pairs), coverage=coverage
        )

    @rule(luck=SELDOM)
    def the_provider_moves(self, luck: int) -> None:
        if self.rollout.phase is Phase.CANARY and luck == 9:  # it ends a walk
            self.violations = ("`acme-2026-03-01` was sent for, and `acme-2026-03-02` answered (17 times)",)

    @rule(metric=st.sampled_from(["", "", "error", "refusal", "latency"]))
    def a_guard_cannot_be_computed(self, metric: str) -> None:
        self.broken = metric

    @rule()
    def the_controller_learns(self) -> None:
        models = learnable(self.rollout, self.evidence())
        if models:
            before = self.rollout
            self.move(learned(before, models))
            assert (self.rollout.phase, self.rollout.split, self.rollout.period) == (before.phase, before.split, before.period + 1)
            assert all(self.rollout.working[metric].since == self.rollout.period for metric in models)

    @rule(verb=st.sampled_from([*HUMAN_VERBS, "approve", "approve", "resume", "resume"]), luck=SELDOM)
    def a_human_says(self, verb: str, luck: int) -> None:
        if verb in ("abort", "roll_back") and luck < 9:  # they end a walk
            return
        before = self.rollout
        try:
            moved = HUMAN_VERBS[verb](before, "ada@example.com", "", self.now)
        except Refused:
            assert verb not in ("abort", "roll_back") or before.phase.terminal, "a stop is never refused"
            return
        assert not before.phase.terminal or (verb == "promote" and before.phase is Phase.NOT_PROVED)
        if verb == "promote" and objection(before, self.evidence(), self.now) is not None:
            return  # refused, over what the evidence says
        if verb == "promote":
            self.human_promoted = True
            assert canary_served_s(before, self.now) >= minimum_window_s(before.plan)
            assert before.held is None or before.held.by == "detent", "nobody's hold is lifted by the way"
            assert moved.phase is (Phase.DONE if before.phase is Phase.SOAK else Phase.SOAK)
            assert before.phase is not Phase.SOAK or self.stays[-1].watched_s >= before.plan.soak.at_least
            assert "ada@example.com" in moved.reason
        if verb in ("abort", "roll_back"):
            assert moved.phase.terminal
            assert moved.split == 0.0
            self.ended_by_human = moved.phase
        self.move(moved)

    @rule(n=st.sampled_from([1, 1, 2]))
    def the_controller_asks(self, n: int) -> None:
        for _ in range(n):
            self.ask()

    @rule(
        hours=st.sampled_from([6, 24, 48]),
        units=st.sampled_from([400, 40_000]),
        factor=st.sampled_from([1.0, 1.0, 1.2, 1.5]),
        hit=st.sampled_from([*sorted(RATES), "latency"]),
        broken=st.sampled_from(["", "", "", "refusal"]),
    )
    def a_day_goes_by(self, hours: float, units: int, factor: float, hit: str, broken: str) -> None:
        self.broken = broken
        self.users_come(units, factor, hit)
        self.time_passes(hours)
        self.ask()

    @precondition(lambda self: not self.rollout.phase.terminal)
    @rule(how=st.sampled_from(["tool_retry", "latency"]), held=st.booleans(), broken=st.sampled_from(["", "error", "refusal"]))
    def disaster_strikes(self, how: str, held: bool, broken: str) -> None:
        """Every new user of the candidate fails, or waits ten times as long. In canary and soak the next question ends it, held or not,
        whatever another guard says or fails to say, whatever the clock says; then all is over.
        """
        latency = self.rollout.working.get("latency")
        if self.rollout.phase not in (Phase.CANARY, Phase.SOAK) or (how == "latency" and latency is None) or self.broken == how:
            return
        if held:
            self.a_human_says("hold", 0)
        self.broken = broken
        period, split = self.rollout.period, self.rollout.split
        stable = round(400_000 * (1 - split) / split)
        _, c, s = self.exposed.get(period, (split, 0, 0))
        self.exposed[period] = (split, c + 400_000, s + stable)
        if how == "latency":
            self.seconds[period][0].update({at + 116: round(400_000 * share) for at, share in SECONDS.items()})  # 1.02^116 = 9.9
            self.seconds[period][1].update({at: round(stable * share) for at, share in SECONDS.items()})
        else:
            for i, n in enumerate((400_000, 400_000, 0, stable)):
                self.counts["tool_retry", period][i] += n
        assert self.ask().verb is Verb.ROLL_BACK

    # what follows

    def evidence(self) -> Evidence:
        splits = {period: split for period, (split, _, _) in self.exposed.items()}
        latency = tuple(
            ValueTally(period=p, split=splits[p], candidate=dict(c), stable=dict(s)) for p, (c, s) in sorted(self.seconds.items())
        )
        if self.broken == "latency":
            latency = (*latency, ValueTally(period=99, split=0.5, candidate={bucket(1.0): -1}))
        return Evidence(
            rollout="ro_1",
            guards=(
                *(
                    GuardEvidence(
                        metric=metric,
                        tallies=self.tallies(metric, splits),
                        candidate_unscored=self.unscored[metric],
                        candidate_silent=self.silent[metric],
                    )
                    for metric in RATES
                ),
                GuardEvidence(metric="latency", values=latency),
            ),
            exposure=tuple(Exposure(period=p, split=s, candidate=c, stable=n) for p, (s, c, n) in sorted(self.exposed.items())),
            baseline=self.baseline if self.rollout.phase is Phase.BASELINE else None,
            shadow=self.shadow if self.rollout.phase is Phase.SHADOW else None,
            identity_violations=self.violations,
        )

    def tallies(self, metric: str, splits: dict[int, float]) -> tuple[Tally, ...]:
        found = tuple(
            Tally(period=p, split=splits[p], candidate_events=c[0], candidate_units=c[1], stable_events=c[2], stable_units=c[3])
            for (of, p), c in sorted(self.counts.items())
            if of == metric
        )
        return (*found, Tally(period=99, split=0.5, candidate_events=2, candidate_units=1)) if self.broken == metric else found

    def ask(self) -> Decision:
        before, evidence = self.rollout, self.evidence()
        decision = decide(before, evidence, self.now)
        stored = Decided(decision, ev.encode(evidence), before)
        assert replay([stored])[0].same, "it recomputes from what is stored"
        self.check(before, decision, View(before, evidence, self.now))
        self.move(after(before, decision, self.now))
        return decision

    def check(self, before: Rollout, decision: Decision, view: View) -> None:
        if before.phase.terminal:
            assert (decision.verb, decision.reason) == (Verb.HOLD, "Ended")
            return
        if decision.verb is Verb.PROMOTE:
            looks = (*before.looks, *([decision.look] if decision.look else []))
            assert any(look.proved and {g.metric for g in look.guards} == PROVING for look in looks)
            served = {stay.step: stay.watched_s for stay in self.stays if stay.phase is Phase.CANARY}
            for number, step in enumerate(before.plan.canary.steps):
                assert served[number] >= step.at_least, "every step was served, in seconds that somebody looked after it"
            assert "soak" not in before.plan.approve or "soak" in before.approved
            assert not view.without_data
        if decision.verb in (Verb.ADVANCE, Verb.PROMOTE, Verb.FINISH) and before.phase in (Phase.CANARY, Phase.SOAK):
            assert not view.failed, "nothing widens and nothing is proved by guards that cannot be computed"
        if decision.verb is Verb.FINISH:
            assert self.stays[-1].watched_s >= before.plan.soak.at_least
        if decision.verb is Verb.ADVANCE:
            assert before.held is None or before.held.by == "detent", "nothing advances over a human's hold"
            assert before.phase is not Phase.CANARY or served_s(before, self.now) >= before.plan.canary.steps[before.step].at_least
        if decision.reason in HOLDING_REASONS or decision.reason == "HeldByHuman":
            assert decision.verb is Verb.HOLD
        if before.phase in (Phase.CANARY, Phase.SOAK) and view.log_e_all >= view.limit and view.culprit.action == "roll_back":
            assert decision.verb is Verb.ROLL_BACK, "harm acts at every look"
        assert decision.sentence

    def move(self, moved: Rollout) -> None:
        if (moved.phase, moved.step) != (self.rollout.phase, self.rollout.step):
            self.stays.append(Stay(moved.phase, moved.step))
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
        assert (self.flag.mirror is not None) == (phase is Phase.SHADOW)
        assert self.flag.stable == (CANDIDATE if phase is Phase.DONE else STABLE)
        assert phase.terminal == (self.flag.rollout is None) == (self.rollout.ended_at is not None)

    @invariant()
    def looks_are_spaced_and_as_many_as_planned(self) -> None:
        looks = self.rollout.looks
        assert [look.number for look in looks] == list(range(1, len(looks) + 1))
        assert len(looks) <= planned_looks(self.rollout.plan)
        watched = [look.watched_s for look in looks]
        if watched:
            assert watched[0] - self.rollout.canary_watched_s >= 48 * 3600.0
        assert all(later - earlier >= 24 * 3600.0 for earlier, later in pairwise(watched))
        assert not any(look.proved for look in looks[:-1]), "nobody looks again after a proof"

    @invariant()
    def soak_is_entered_by_proof_or_by_name(self) -> None:
        if any(stay.phase in (Phase.SOAK, Phase.DONE) for stay in self.stays):
            assert self.rollout.proved or self.human_promoted

    @invariant()
    def a_humans_stop_is_the_end(self) -> None:
        assert self.ended_by_human is None or self.rollout.phase is self.ended_by_human

    def teardown(self) -> None:
        """Nothing is stuck: from wherever a walk leads, good news and patience lead to an end, also with a guard that stays broken.

        A soak that Detent holds is finished by name, forward, unless its evidence objects; only then it is rolled back.
        """
        if not hasattr(self, "rollout"):
            return
        for _ in range(80):
            if self.rollout.phase.terminal:
                return
            self.good_news()
            self.the_controller_learns()
            reason = self.ask().reason
            if self.rollout.phase is Phase.SOAK and reason in HOLDING_REASONS and served_s(self.rollout, self.now) >= PLAN.soak.at_least:
                against = objection(self.rollout, self.evidence(), self.now)
                self.a_human_says("promote", 0)
                assert self.rollout.phase.terminal == (against is None)
            if reason == "GuardHarmedHold" and not self.rollout.phase.terminal:
                self.a_human_says("roll_back", 9)
        raise AssertionError(f"stuck in {self.rollout.phase}: {self.ask()}")

    def good_news(self) -> None:
        self.time_passes(25)
        self.baseline = BaselineEvidence(cases=50, pending=0)
        self.shadow = compared(80)
        self.users_come(40_000, 1.0)
        for verb in ("resume", "approve"):
            self.a_human_says(verb, 0)


AnyOrder.TestCase.settings = MACHINE
TestAnyOrder = AnyOrder.TestCase
