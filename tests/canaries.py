"""Rollouts in their canary or soak, and evidence of either kind, for tests of what is decided about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from detent.terms import Evidence, Exposure, GuardEvidence, Look, LookAt, Phase, Plan, Rollout, Tally, Working
from playbook import CANDIDATE, HONEST, PLAN, STABLE

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def usual(rates: dict[str, float]) -> dict[str, Working]:
    return {metric: Working(rate=rate) for metric, rate in rates.items()}


def opened(plan: Plan = PLAN, **more: Any) -> Rollout:
    values: dict[str, Any] = {"opened_at": START, "entered_at": START, "working": usual(HONEST), "salt": "grain"}
    names: dict[str, Any] = {"id": "ro_1", "route": "summarizer", "owner": "o@example.com", "stable": STABLE, "candidate": CANDIDATE}
    return Rollout(plan=plan, **names | values | more)


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
