"""What the whole decision path promises, over many rollouts: how often it ends an unchanged candidate, and how often it promotes a bad one.

Each rollout is simulated from the entry of its canary to its end, through `decide` and `after` as the controller calls them, asked twice a
day (in soak once); traffic comes as binomial counts by share period. Seeds are fixed, so that a bound is kept or not kept for good.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from detent.decide import decide
from detent.terms import Evidence, Exposure, GuardEvidence, Phase, Plan, Rollout, Tally, Working
from detent.transitions import after
from playbook import CANDIDATE, HONEST, PLAN, STABLE

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STEP_H = {Phase.CANARY: 12, Phase.SOAK: 24}
Rates = Callable[[float], dict[str, float]]
"""Hours since the canary began -> event rate by guard."""


def honest(hours: float) -> dict[str, float]:
    return HONEST


def a_rollout(random: np.random.Generator, units_a_day: int, candidate: Rates, stable: Rates = honest, plan: Plan = PLAN) -> Rollout:
    """One rollout, from its canary to its end; `candidate` is a factor on stable's rates."""
    first = plan.canary.steps[0].share
    rollout = Rollout(
        id="ro_1",
        route="summarizer",
        owner="o@example.com",
        stable=STABLE,
        candidate=CANDIDATE,
        plan=plan,
        salt="",
        opened_at=START,
        entered_at=START,
        canary_at=START,
        phase=Phase.CANARY,
        split=first,
        period=1,
        working={m: Working(rate=0.8 * rate) for m, rate in HONEST.items()},  # statistics 7: the working base rate was 20 % wrong
    )
    units: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    events: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    splits: dict[int, float] = {}
    hours = 0.0
    while not rollout.phase.terminal:
        hours += STEP_H[rollout.phase]
        period = rollout.period
        splits[period] = rollout.split
        came = units_a_day * STEP_H[rollout.phase] // 24
        of_candidate = int(random.binomial(came, rollout.split))
        for i, (n, rates) in enumerate(((of_candidate, candidate(hours)), (came - of_candidate, stable(hours)))):
            units[period][i] += n
            for metric, rate in rates.items():
                events[metric, period][i] += int(random.binomial(n, rate))
        now = START + timedelta(hours=hours)
        rollout = after(rollout, decide(rollout, _evidence(rollout, units, events, splits), now), now)
    return rollout


def _evidence(
    rollout: Rollout, units: dict[int, list[int]], events: dict[tuple[str, int], list[int]], splits: dict[int, float]
) -> Evidence:
    def tally(metric: str, period: int) -> Tally:
        (c, s), (nc, ns) = events[metric, period], units[period]
        return Tally(period=period, split=splits[period], candidate_events=c, candidate_units=nc, stable_events=s, stable_units=ns)

    return Evidence(
        rollout=rollout.id,
        guards=tuple(GuardEvidence(metric=g.metric, tallies=tuple(tally(g.metric, p) for p in splits)) for g in rollout.plan.guards),
        exposure=tuple(Exposure(period=p, split=splits[p], candidate=units[p][0], stable=units[p][1]) for p in splits),
    )


def ends(n: int, units_a_day: int, candidate: Rates, stable: Rates = honest, *, plan: Plan = PLAN, seed: int) -> Counter[Phase]:
    random = np.random.default_rng(seed)
    return Counter(a_rollout(random, units_a_day, candidate, stable, plan).phase for _ in range(n))


def times(factor: float, metric: str) -> Rates:
    return lambda hours: HONEST | {metric: factor * HONEST[metric]}


def test_an_unchanged_candidate_is_seldom_rolled_back_and_mostly_promoted() -> None:
    n = 100
    found = ends(n, 40_000, honest, seed=1)
    assert found[Phase.ROLLED_BACK] <= 0.05 * n, "alpha = .05 for the whole rollout, soak included"
    assert found[Phase.DONE] >= 0.90 * n
    assert set(found) <= {Phase.DONE, Phase.ROLLED_BACK, Phase.NOT_PROVED}


def test_while_both_arms_get_worse_together_an_unchanged_candidate_is_not_condemned() -> None:
    """Statistics 3.6: over a ramp with a drifting base rate pooled tests condemn all of them."""

    def drifting(hours: float) -> dict[str, float]:
        return {metric: rate * (1 + min(hours, 96.0) / 48.0) for metric, rate in HONEST.items()}  # threefold within four days

    n = 40
    found = ends(n, 40_000, drifting, drifting, seed=2)
    assert found[Phase.ROLLED_BACK] <= 0.05 * n
    assert found[Phase.DONE] >= 0.90 * n


def test_a_candidate_that_is_worse_by_the_margin_is_promoted_with_probability_alpha_at_most() -> None:
    """Statistics 4, bar 4: at most 5 % over all looks. At so little traffic harm is often not shown first."""
    n = 80
    for units_a_day, seed in ((600, 3), (2_000, 4)):
        found = ends(n, units_a_day, times(1.5, "parse_error"), plan=replace(PLAN, soak=replace(PLAN.soak, at_least=0.0)), seed=seed)
        assert found[Phase.DONE] <= 0.05 * n, f"at {units_a_day} units a day"


def test_harm_is_found_also_when_it_begins_late() -> None:
    """A version that is fine for four days and then repeats its tool calls twice as often."""
    n = 20

    def late(hours: float) -> dict[str, float]:
        return HONEST if hours <= 96 else times(2.0, "tool_retry")(hours)

    found = ends(n, 40_000, late, seed=5)
    assert found[Phase.ROLLED_BACK] == n


def test_without_traffic_nothing_is_promoted() -> None:
    assert ends(4, 20, honest, seed=6)[Phase.NOT_PROVED] == 4


def test_a_doubled_error_rate_is_not_promoted_even_at_little_traffic() -> None:
    """Statistics 4, bar 4: a doubled rate at little traffic is promoted in 0.5 % of the cases at most."""
    n = 60
    found = ends(n, 3_000, times(2.0, "error"), plan=replace(PLAN, soak=replace(PLAN.soak, at_least=0.0)), seed=7)
    assert found[Phase.DONE] == 0
