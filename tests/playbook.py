"""A rollout told in memory: real assignment, real tests, real decisions; only time and traffic are made up.

`Playbook` is the stage: `users_come` brings units, assigns them by the flag in force and seals their outcomes; `after` lets time pass and
the controller's question be asked. No store, no sockets, no clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from detent import evidence as ev
from detent.assign import assign
from detent.decide import decide
from detent.terms import (
    Arm,
    BaselineEvidence,
    CanaryStage,
    CanaryStep,
    Coverage,
    Decision,
    Evidence,
    Exposure,
    Flag,
    Flip,
    Guard,
    Phase,
    Plan,
    Rollout,
    ShadowEvidence,
    ShadowStage,
    SoakStage,
    Unit,
    UnitKind,
    Version,
    Working,
    parse_duration,
)
from detent.transitions import HUMAN_VERBS, after, flag_for

STABLE, CANDIDATE = Version("acme", "acme-2026-01-01"), Version("acme", "acme-2026-03-01")

PLAN = Plan(
    name="standard",
    approve=(),
    shadow=ShadowStage(share=0.1, at_least=7 * 86400.0, at_most=14 * 86400.0, pairs=100),
    canary=CanaryStage(
        steps=(
            CanaryStep(share=0.05, at_least=48 * 3600.0),
            CanaryStep(share=0.25, at_least=24 * 3600.0),
            CanaryStep(share=0.50, at_least=24 * 3600.0),
        ),
        at_most=14 * 86400.0,
    ),
    soak=SoakStage(at_least=14 * 86400.0, holdback=0.05),
    guards=(
        Guard(metric="error", margin_ratio=1.5, role="prove"),
        Guard(metric="parse_error", margin_ratio=1.5, role="prove"),
        Guard(metric="tool_retry", margin_ratio=1.5, role="harm"),
    ),
)

HONEST = {"error": 0.02, "parse_error": 0.03, "tool_retry": 0.02}


def flip(case: str, cause: str = "fence_added") -> Flip:
    """A confirmed negative flip."""
    return Flip(
        case=case, kind="negative", stable_passed=20, stable_runs=20, candidate_passed=0, candidate_runs=20, p_value=7e-12, cause=cause
    )


def compared(pairs: int, **more: Any) -> ShadowEvidence:
    """Shadow pairs of eight input classes, one of which was met once; half of them with a second answer of stable's."""
    coverage = (Coverage(dimension="class", pairs=pairs, classes=8, once=1, twice=0),) if pairs else ()
    return ShadowEvidence(**{"pairs": pairs, "seconds": pairs // 2, "coverage": coverage, **more})


class Playbook:
    """One rollout on its stage."""

    def __init__(self, plan: Plan = PLAN, *, seed: int = 7) -> None:
        self.random = Random(seed)
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        self.flag = Flag(route="summarizer", revision=1, stable=STABLE)
        self.rollout = Rollout(
            id="ro_1",
            route="summarizer",
            owner="owner@example.com",
            stable=STABLE,
            candidate=CANDIDATE,
            plan=plan,
            salt=f"salt-{seed}",
            opened_at=self.now,
            entered_at=self.now,
            working={metric: Working(rate=rate) for metric, rate in HONEST.items()},
        )
        self.baseline: BaselineEvidence | None = None
        self.shadow: ShadowEvidence | None = None
        self.identity_violations: tuple[str, ...] = ()
        self.decisions: list[Decision] = []
        self._counts: Counter[tuple[str, int, Arm, int]] = Counter()
        self._exposed: Counter[tuple[int, Arm]] = Counter()
        self._splits: dict[int, float] = {}
        self._users = 0

    @property
    def phase(self) -> Phase:
        return self.rollout.phase

    def evidence(self) -> Evidence:
        """What the ingester's sums would say."""
        rows = [ev.LabelCount(metric=m, period=p, slice="", arm=arm, bucket=b, n=n) for (m, p, arm, b), n in self._counts.items()]
        return Evidence(
            rollout=self.rollout.id,
            guards=tuple(ev.guard_evidence(self.rollout.metric(guard.metric), rows, self._splits) for guard in self.rollout.plan.guards),
            exposure=tuple(
                Exposure(period=p, split=s, candidate=self._exposed[p, Arm.CANDIDATE], stable=self._exposed[p, Arm.STABLE])
                for p, s in sorted(self._splits.items())
            ),
            baseline=self.baseline,
            shadow=self.shadow,
            identity_violations=self.identity_violations,
        )

    def ask(self) -> Decision:
        """The controller's question: decide, and carry it out."""
        decision = decide(self.rollout, self.evidence(), self.now)
        self.rollout = after(self.rollout, decision, self.now)
        self._obey()
        self.decisions.append(decision)
        return decision

    def after(self, duration: str) -> Decision:
        """Let time pass, then ask."""
        self.now += timedelta(seconds=parse_duration(duration))
        return self.ask()

    def human(self, verb: str, why: str = "") -> None:
        """A human's word, carried out at once."""
        self.rollout = HUMAN_VERBS[verb](self.rollout, "ada@example.com", why, self.now)
        self._obey()

    def users_come(self, n: int, candidate: dict[str, float] | None = None, stable: dict[str, float] | None = None) -> None:
        """`n` new users, assigned by the flag in force; each guard's outcome at the given rates, sealed at once."""
        rates = {Arm.CANDIDATE: HONEST | (candidate or {}), Arm.STABLE: HONEST | (stable or {})}
        for _ in range(n):
            self._users += 1
            assignment = assign(Unit(UnitKind.SESSION, f"user-{self._users}"), self.flag)
            if not assignment.randomised:
                continue
            self._exposed[self.flag.period, assignment.arm] += 1
            for metric, rate in rates[assignment.arm].items():
                self._counts[metric, self.flag.period, assignment.arm, int(self.random.random() < rate)] += 1

    def _obey(self) -> None:
        self.flag = flag_for(self.rollout, self.flag)
        if self.flag.split:
            self._splits[self.flag.period] = self.flag.split

    # ── chapters that several stories share ──

    def baseline_finds(self, *confirmed: Flip, cases: int = 200) -> None:
        """The baseline run is done and found these flips."""
        self.baseline = BaselineEvidence(cases=cases, pending=0, suspects=len(confirmed), confirmed=confirmed)

    def shadow_finds(self, *, candidate_only: int = 0, stable_only: int = 0, pairs: int = 1000) -> None:
        """Pairs were scored."""
        self.shadow = compared(pairs, candidate_only=candidate_only, stable_only=stable_only)

    def reaches_canary(self) -> None:
        """Through baseline and shadow without a finding."""
        self.ask()
        self.baseline_finds()
        self.ask()
        self.shadow_finds(candidate_only=3, stable_only=4)
        self.after("168h")
        assert self.phase is Phase.CANARY, self.decisions[-1]

    def serves(self, days: int, users_a_day: int, candidate: dict[str, float] | None = None) -> None:
        """Whole days of traffic, the question asked every six hours; stops when the rollout ends."""
        for _ in range(days * 4):
            if self.phase.terminal:
                return
            self.users_come(users_a_day // 4, candidate)
            self.after("6h")

    def with_plan(self, **changes: object) -> Playbook:
        """The same stage with another plan, before it begins."""
        self.rollout = replace(self.rollout, plan=replace(self.rollout.plan, **changes))  # type: ignore[arg-type]
        return self
