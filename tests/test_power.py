"""What a plan can find out at a route's traffic, said before it starts."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from detent.cli import main
from detent.manifest import BUILTIN_PLANS, DEFAULT_GUARDS
from detent.power import concludes, lines, power_of, table
from detent.power.guarding import guarding, needed
from detent.power.looks import proved_at
from detent.power.ramp import Ramp, ramp_of
from detent.stats import sketch
from detent.stats.power import Simulated
from detent.stats.proof import judge_ratio
from detent.store import open_store
from detent.store.database import upsert
from detent.store.schema import minute_sums
from detent.terms import (
    METRIC_NAMES,
    CanaryStage,
    CanaryStep,
    DeclaredMetric,
    Evidence,
    Guard,
    GuardEvidence,
    GuardPower,
    Outcome,
    Past,
    PastMetric,
    Phase,
    Plan,
    Power,
    Rollout,
    Tally,
    Version,
    Working,
)
from detent.view import View
from records import intent, result

HOUR = 3600.0
UNITS = 20_000
RATES = {
    "error": 0.008,
    "parse_error": 0.01,
    "hard_failure": 0.001,
    "truncated": 0.002,
    "keys_missing": 0.004,
    "tool_retry": 0.03,
    "refusal": 0.01,
    "hit_limit": 0.02,
    "long_session": 0.005,
}
VALUES = {"output_tokens": (5.0, 1.0), "latency": (0.6, 0.55), "first_byte": (-1.0, 0.4)}


def rate(share: float, units: int = UNITS) -> PastMetric:
    return PastMetric(units=units, events=round(units * share), heard=units)


def value(centre: float, deviation: float, units: int = UNITS) -> PastMetric:
    """Lognormal, drawn evenly by its quantiles."""
    at = stats.norm.ppf((np.arange(units) + 0.5) / units, centre, deviation)
    return PastMetric(units=units, heard=units, buckets=dict(Counter(sketch.bucket(math.exp(float(x))) for x in at)))


METRICS = {name: rate(share) for name, share in RATES.items()} | {name: value(*of) for name, of in VALUES.items()}


def past(per_hour: float, units: int = UNITS, **changed: PastMetric) -> Past:
    return Past(units=units, seconds=units / per_hour * HOUR, metrics=METRICS | changed)


def plan(*guards: Guard, steps: tuple[CanaryStep, ...] | None = None, at_most: float = 14 * 24 * HOUR, control: bool = False) -> Plan:
    canary = CanaryStage(steps=steps or CanaryStage().steps, at_most=at_most, control=control)
    return Plan(name="mine", canary=canary, guards=guards or DEFAULT_GUARDS)


def of(power: Power, metric: str) -> GuardPower:
    return next(guard for guard in power.guards if guard.metric == metric)


PROVES_ERROR = Guard(metric="error", margin_ratio=1.5, role="prove")
FIVE_PERCENT = (CanaryStep(share=0.05, at_least=48 * HOUR),)

# ── the bars ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_default_plan_at_a_thousand_candidate_units_an_hour_promotes_what_is_unchanged() -> None:
    """20,000 units an hour, 5 % of them on the candidate; >= 80 % proved at 48 h, >= 90 % promoted at 96 h, >= 95 % in the end."""
    began = time.process_time()
    power = power_of("support", BUILTIN_PLANS["standard"], past(20_000), {})
    assert time.process_time() - began <= 3.0
    assert concludes(power)
    assert [look.hours for look in power.looks[:2] + power.looks[-1:]] == [48.0, 72.0, 336.0]
    assert len(power.looks) == 13
    assert power.looks[0].proved >= 0.80
    assert power.promoted_soonest >= 0.90
    assert power.promoted >= 0.95
    assert power.stopped <= 0.05
    assert power.advice == ()


def test_one_guard_is_proved_look_by_look_as_often_as_was_measured() -> None:
    """statistics 3.5: 0.5 % errors, margin 1.5, 100 candidate requests an hour for a week: 55 % by 48 h, 95 % by 168 h; at 20: 11, 32."""
    week = plan(PROVES_ERROR, steps=FIVE_PERCENT, at_most=168 * HOUR)
    for per_hour, first, last in ((2000.0, 0.55, 0.95), (400.0, 0.11, 0.32)):
        power = power_of("support", week, past(per_hour, error=rate(0.005)), {}, runs=2000)
        assert power.looks[0].proved == pytest.approx(first, abs=0.05)
        assert power.looks[-1].proved == pytest.approx(last, abs=0.05)
        assert of(power, "error").proved_by == tuple(look.proved for look in power.looks)


def test_the_hours_to_a_stop_are_those_that_were_measured() -> None:
    """statistics 3.1: parse errors 0.5 -> 1.5 % at 100 candidate requests an hour: all found in 48 h, half after 636 requests."""
    alone = plan(replace(PROVES_ERROR, metric="parse_error"), steps=FIVE_PERCENT)
    power = power_of("support", alone, past(2000, parse_error=rate(0.005)), {}, runs=1500)
    threefold = of(power, "parse_error").catches[-1]
    assert (threefold.ratio, threefold.probability) == (3.0, 1.0)
    assert threefold.hours == pytest.approx(6.36, rel=0.25)  # the tests are read 20 times in the first step


def test_more_guards_share_the_stake_and_catch_later() -> None:
    """statistics 3.9: in a family of seven, parse errors x 3 are found after 919 requests instead of 623."""
    few = power_of("support", plan(PROVES_ERROR), past(2000), {})
    many = power_of("support", plan(), past(2000), {})
    fewer, more = of(few, "error").catches_from, of(many, "error").catches_from
    assert fewer is not None
    assert more is not None
    assert fewer < more


# ── what a guard catches ────────────────────────────────────────────────────────────────────────────────────────────


def test_larger_harm_is_caught_more_often_and_sooner() -> None:
    for guard in power_of("support", plan(), past(2000), {}).guards:
        caught = [catch.probability for catch in guard.catches]
        assert all(later >= earlier - 0.06 for earlier, later in pairwise(caught)), guard.metric
        hours = [catch.hours for catch in guard.catches if catch.hours is not None]
        assert hours == sorted(hours, reverse=True)


def test_the_smallest_harm_that_is_caught_lies_where_the_probability_passes_80_percent() -> None:
    guard = of(power_of("support", plan(), past(2000), {}), "error")
    assert guard.catches_from is not None
    below = [catch.ratio for catch in guard.catches if catch.probability < 0.8]
    above = [catch.ratio for catch in guard.catches if catch.probability >= 0.8]
    assert max(below) < guard.catches_from <= min(above)


def test_what_almost_never_happens_is_caught_when_it_happens_much_more_often() -> None:
    """No truncation in 20,000 units: not at 3 times nothing, but well below one in ten."""
    guard = of(power_of("support", plan(), past(2000, truncated=rate(0.0)), {}), "truncated")
    assert guard.usual is not None
    assert guard.usual == pytest.approx(0.5 / 20_001)
    assert guard.catches[-1].probability < 0.8
    assert guard.catches_from is not None
    assert guard.usual * guard.catches_from < 0.1


def test_a_change_within_the_tolerance_of_a_value_is_not_caught() -> None:
    latency = Guard(metric="latency", margin_ratio=1.5, tolerance_ratio=1.2)
    guard = of(power_of("support", plan(PROVES_ERROR, latency), past(20_000), {}), "latency")
    assert {catch.ratio: catch.probability for catch in guard.catches}[1.1] == 0.0
    assert guard.catches_from is not None
    assert guard.catches_from > 1.2


def test_the_control_slice_is_as_large_as_the_candidate_s_and_costs_power_on_what_the_cache_changes() -> None:
    ramp = ramp_of(BUILTIN_PLANS["standard"], 1.0)
    of_control = ramp.flow(1.0, 0.0, control=True)
    assert of_control.splits.tolist() == [0.5, 0.5, 0.5]
    assert np.array_equal(of_control.stable, of_control.candidate)
    guards = (PROVES_ERROR, Guard(metric="latency", margin_ratio=1.5), Guard(metric="output_tokens", margin_ratio=1.5))
    whole = power_of("support", plan(*guards), past(400), {}, runs=200)
    sliced = power_of("support", plan(*guards, control=True), past(400), {}, runs=200)
    later, sooner = ([catch.hours or math.inf for catch in of(power, "latency").catches[:2]] for power in (sliced, whole))
    assert all(after > before for after, before in zip(later, sooner, strict=True))  # about 2x, statistics 2.1
    assert of(sliced, "output_tokens").catches == of(whole, "output_tokens").catches


def test_observed_guards_only_say_what_is_usual() -> None:
    tokens = of(power_of("support", plan(PROVES_ERROR, Guard(metric="output_tokens", role="observe")), past(2000), {}), "output_tokens")
    assert tokens.usual == pytest.approx(math.exp(5.0), rel=0.02)
    assert (tokens.catches, tokens.catches_from, tokens.proved) == ((), None, None)


# ── what can't conclude, and what would do ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("margin", "events"), [(1.1, 859), (1.2, 235), (1.25, 157), (1.5, 47), (2.0, 16), (3.0, 6.5)])
def test_the_events_that_a_margin_takes_are_those_of_the_table(margin: float, events: float) -> None:
    guard = guarding(replace(PROVES_ERROR, margin_ratio=margin), METRIC_NAMES["error"], past(100), control=False)
    assert guard is not None
    takes = needed(guard)
    assert takes is not None
    assert takes[0] == pytest.approx(events, rel=0.02)
    assert takes[1] == "events"


def test_a_route_with_little_traffic_cannot_conclude_and_is_told_what_would_do() -> None:
    scarce = past(60)
    power = power_of("support", plan(), scarce, {})
    assert not concludes(power)
    error = of(power, "error")
    assert error.proved is not None
    assert error.proved < 0.8
    assert "takes about 47 candidate events; 1.2 are to be expected by then" in error.advice
    assert power.advice


def test_the_advised_margins_do_what_they_are_said_to_do() -> None:
    scarce = past(60)
    power = power_of("support", plan(), scarce, {})
    for kind in ("margin_ratio", "margin_abs"):
        changed = []
        for guard in DEFAULT_GUARDS:
            words = of(power, guard.metric).advice.split()
            margin = float(words[words.index(kind) + 2]) if kind in words else None
            other = {"margin_ratio": None, "margin_abs": None, kind: margin}
            changed.append(guard if margin is None else replace(guard, **other))  # type: ignore[arg-type]
        assert tuple(changed) != DEFAULT_GUARDS
        assert power_of("support", plan(*changed), scarce, {}).promoted >= 0.78, kind


def test_the_advised_share_does_what_it_is_said_to_do() -> None:
    one_step = plan(PROVES_ERROR, steps=FIVE_PERCENT, at_most=7 * 24 * HOUR)
    some = past(600)
    power = power_of("support", one_step, some, {})
    assert not concludes(power)
    told = next(line for line in power.advice if "share = " in line)
    share = float(told.split("share = ")[1].split(" ")[0])
    assert (
        power_of("support", plan(PROVES_ERROR, steps=(replace(FIVE_PERCENT[0], share=share),), at_most=7 * 24 * HOUR), some, {}).promoted
        >= 0.78
    )


def test_the_quiet_plan_is_advised_where_it_would_do() -> None:
    some = past(120)
    power = power_of("support", plan(PROVES_ERROR), some, {})
    quiet = power_of("support", replace(BUILTIN_PLANS["quiet"], guards=(PROVES_ERROR,)), some, {})
    assert any('plan = "quiet" would do; it has the default guards' in line for line in power.advice) is (
        not concludes(power) and quiet.promoted >= 0.8
    )


def test_nothing_is_advised_that_would_not_do() -> None:
    power = power_of("support", plan(), past(0.5, units=500), {})
    assert power.promoted == 0.0
    assert any("a human's word" in line for line in power.advice)


def test_a_proving_guard_that_the_traffic_never_shows_cannot_conclude() -> None:
    power = power_of("support", plan(), past(20_000, parse_error=PastMetric()), {})
    assert power.promoted == 0.0
    assert of(power, "parse_error").usual is None
    assert 'role = "harm"' in of(power, "parse_error").advice


def test_no_event_among_a_few_units_is_no_rate() -> None:
    told = table(power_of("support", plan(), past(20_000, truncated=rate(0.0, units=300)), {}, runs=100))
    assert next(line for line in told.splitlines() if line.startswith("truncated")).split()[1:4] == ["0", "of", "300"]


def test_a_maturity_beyond_the_ramp_is_told() -> None:
    late = replace(PROVES_ERROR, matures=72 * HOUR)
    power = power_of("support", plan(late, steps=FIVE_PERCENT), past(20_000), {}, runs=100)
    assert of(power, "error").advice == "no unit of it is old enough within the ramp: matures = 3d"


def test_units_that_are_not_old_enough_to_say_anything_are_told() -> None:
    power = power_of("support", plan(), past(20_000, parse_error=PastMetric(heard=700)), {}, runs=100)
    assert of(power, "parse_error").advice == "none of its units on record is old enough yet: matures = 2m"


def test_what_a_wider_margin_lets_pass_is_said() -> None:
    power = power_of("support", plan(PROVES_ERROR), past(60, error=rate(0.01)), {})
    assert "margin_ratio = " in of(power, "error").advice
    assert "(lets it rise from 1 % to " in of(power, "error").advice


def test_a_plan_whose_guards_catch_nothing_gross_says_so() -> None:
    blind = power_of("support", plan(PROVES_ERROR, steps=FIVE_PERCENT), past(5.0, units=500), {}, runs=100)
    assert "BEWARE: at this traffic no guard would catch harm of up to 3 times what is usual" in lines(blind)
    sharp = power_of("support", plan(PROVES_ERROR, steps=FIVE_PERCENT), past(20_000), {}, runs=100)
    assert not any("no guard would catch" in line for line in lines(sharp))


def test_a_compressed_plan_is_advised_in_its_own_scale() -> None:
    steps = (CanaryStep(share=0.05, at_least=20.0),)
    short = Plan(name="short", canary=CanaryStage(steps=steps, at_most=60.0), guards=(PROVES_ERROR,), unsafe_short_windows=True)
    power = power_of("support", short, past(2000), {}, runs=100)
    assert power.advice
    assert not any('d"' in line or 'quiet" would' in line for line in power.advice)


def test_a_guard_on_what_the_app_never_said_keeps_everything_from_promotion() -> None:
    thumbs = Guard(metric="thumbs_down", margin_ratio=1.5, matures=1800.0)
    silent = power_of("support", plan(PROVES_ERROR, thumbs), past(20_000), {})
    assert (silent.promoted, silent.promoted_soonest) == (0.0, 0.0)
    assert silent.advice == ("send the feedback that is guarded (thumbs_down), or take these guards out",), "and nothing else"
    heard = power_of("support", plan(PROVES_ERROR, thumbs), past(20_000, thumbs_down=replace(rate(0.02), heard=900)), {})
    assert heard.promoted >= 0.95


def test_a_declared_value_may_be_proved() -> None:
    score = DeclaredMetric(name="score", kind="value", worse="lower")
    guard = Guard(metric="score", margin_ratio=1.1, role="prove")
    power = power_of("support", plan(guard), past(20_000, score=value(0.0, 0.3)), {"score": score})
    assert power.promoted >= 0.95
    assert of(power, "score").usual == pytest.approx(1.0, rel=0.02)
    assert of(power, "score").catches[-1].probability == 1.0


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (Past(), "no traffic of route `support` is on record yet"),
        (past(10, units=29), "too little traffic of route `support` is on record to say anything: `29` units, of 30 at least"),
        (replace(past(10), seconds=0.0), "spans no time: `20000` units at once"),
    ],
    ids=["none", "few", "at once"],
)
def test_without_traffic_on_record_nothing_is_said(known: Past, says: str) -> None:
    power = power_of("support", plan(), known, {})
    assert says in power.unknown
    assert not concludes(power)
    assert lines(power) == (f"power: unknown: {power.unknown}",)
    assert table(power) == f"support: {power.unknown}"


def test_the_same_traffic_gives_the_same_power_whatever_other_guards_there_are() -> None:
    assert power_of("support", plan(), past(2000), {}, runs=100) == power_of("support", plan(), past(2000), {}, runs=100)
    alone = power_of("support", plan(PROVES_ERROR), past(2000), {}, runs=100)
    both = power_of("support", plan(PROVES_ERROR, replace(PROVES_ERROR, metric="refusal")), past(2000), {}, runs=100)
    assert of(alone, "error").proved_by == of(both, "error").proved_by


# ── the ramp and its looks ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_step_waits_for_its_units_too() -> None:
    """10 units an hour: at 5 % 100 candidate units take 200 hours; 300 more of them, at 25 %, another 120."""
    steps = (CanaryStep(share=0.05, at_least=48 * HOUR, units=100), CanaryStep(share=0.25, at_least=24 * HOUR, units=300))
    ramp = ramp_of(plan(PROVES_ERROR, steps=steps), 10 / HOUR)
    assert (ramp.starts / HOUR).tolist() == pytest.approx([0.0, 200.0])
    assert ramp.ready_s / HOUR == pytest.approx(320.0)
    assert [at / HOUR for at in ramp.looks] == [48.0 + 24 * k for k in range(13)]  # the last at 336 h, the 14th day


def test_steps_that_wait_beyond_at_most_are_told() -> None:
    steps = (CanaryStep(share=0.05, at_least=48 * HOUR, units=1_000_000),)
    power = power_of("support", plan(PROVES_ERROR, steps=steps), past(2000), {}, runs=100)
    assert power.promoted == 0.0
    assert any("ask for fewer units" in line for line in power.advice)


def test_sealed_units_come_after_their_maturity_in_the_period_of_their_exposure() -> None:
    ramp = ramp_of(BUILTIN_PLANS["standard"], 1.0)
    flow = ramp.flow(1.0, 2 * HOUR)
    at_49h = int(np.searchsorted(ramp.times, 72 * HOUR))
    assert ramp.times[at_49h] == pytest.approx(72 * HOUR)
    assert flow.candidate[at_49h].tolist() == pytest.approx([0.05 * 48 * HOUR, 0.25 * 22 * HOUR, 0.0])
    assert flow.stable[at_49h].tolist() == pytest.approx([0.95 * 48 * HOUR, 0.75 * 22 * HOUR, 0.0])


def look(z: list[float], information: list[float]) -> Simulated:
    """One rollout."""
    return Simulated(np.zeros((1, len(z))), np.array([z]), np.array([information]))


def hourly(hours: int, first: float) -> Ramp:
    looks = tuple(first * (1 + k / 2) * HOUR for k in range(6))
    return Ramp(np.array([0.1]), np.array([0.0]), hours * HOUR, hours * HOUR, looks, np.arange(1.0, hours + 1) * HOUR)


def test_a_look_waits_for_information_and_moves_the_later_ones() -> None:
    """Due after 2 hours and hourly from then on; without information it stays due. Boundaries: statistics 2.3."""
    waits = look([9.0, 9.0, 9.0, 1.0, 9.0, 9.0], [0.0, 0.0, 0.0, 5.0, 5.0, 6.0])
    assert proved_at([waits], hourly(6, 2.0), 0.05).tolist() == [6 * HOUR]  # at 4 h not enough, at 5 h nothing new, at 6 h
    below = look([1.88] * 6, [1.0] * 6)
    above = look([1.89] * 6, [1.0] * 6)
    assert proved_at([below], hourly(6, 2.0), 0.05).tolist() == [math.inf]
    assert proved_at([above], hourly(6, 2.0), 0.05).tolist() == [2 * HOUR]


def test_all_proving_guards_pass_at_the_same_look() -> None:
    one, other = look([0.0, 9.0, 0.0, 9.0], [1.0, 2.0, 3.0, 4.0]), look([0.0, 0.0, 9.0, 9.0], [1.0, 2.0, 3.0, 4.0])
    assert proved_at([one, other], hourly(4, 2.0), 0.05).tolist() == [4 * HOUR]


@pytest.mark.parametrize("seed", range(12))
def test_simulated_looks_are_those_that_a_rollout_takes(seed: int) -> None:
    """The same counts, hour by hour, through the view of a rollout: proved at the same hour or never. 10 % errors, 400 units an hour."""
    hours = 24
    mine = plan(PROVES_ERROR, steps=(CanaryStep(share=0.1, at_least=4 * HOUR),), at_most=hours * HOUR)
    rng = np.random.default_rng(seed)
    n1, n0 = 40.0 * np.arange(1, hours + 1), 360.0 * np.arange(1, hours + 1)
    x1, x0 = (np.cumsum(rng.binomial(units, 0.1, hours)).astype(float) for units in (40, 360))

    began = datetime(2026, 11, 1, tzinfo=UTC)
    version = Version("atlas", "atlas-2026-03-01")
    rollout = Rollout(
        id="ro_1", route="support", owner="o", stable=version, candidate=version, plan=mine, salt="s", opened_at=began, entered_at=began,
        phase=Phase.CANARY, canary_at=began, split=0.1, period=1, working={"error": Working(rate=0.1)},
    )  # fmt: skip
    proved = math.inf
    for hour in range(1, hours + 1):
        x, y = int(x1[hour - 1]), int(x0[hour - 1])
        tally = Tally(period=1, split=0.1, candidate_events=x, candidate_units=40 * hour, stable_events=y, stable_units=360 * hour)
        evidence = Evidence(rollout="ro_1", guards=(GuardEvidence(metric="error", tallies=(tally,)),))
        look = View(rollout, evidence, began + timedelta(hours=hour)).look
        if look is not None:
            rollout = replace(rollout, looks=(*rollout.looks, look))
            proved = min(proved, hour * HOUR if look.proved else math.inf)

    counts = (column[None, :, None] for column in (x1, n1, x0, n0))
    ramp = replace(ramp_of(mine, 400 / HOUR), times=np.arange(1.0, hours + 1) * HOUR)
    simulated = Simulated(np.zeros((1, hours)), *judge_ratio(*counts, margin=1.5))
    assert proved_at([simulated], ramp, 0.05).tolist() == [proved]
    assert len(rollout.looks) == (proved / HOUR - 2) / 2 if proved < math.inf else len(rollout.looks) == 11


def test_no_more_looks_are_taken_than_were_planned() -> None:
    never = look([0.0] * 7 + [9.0] * 3, [float(k) for k in range(1, 11)])
    assert proved_at([never], hourly(10, 2.0), 0.05).tolist() == [math.inf]


# ── in words ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_names_every_guard_and_size_of_harm() -> None:
    told = table(power_of("support", plan(), past(2000), {}, runs=100))
    assert told.startswith(
        "route support, plan mine, 2000 new units an hour: 20000 units in 10h on record\nBEWARE: all of this rests on 10h of traffic"
    )
    assert "x 1.1" in told
    assert all(guard.metric in told for guard in DEFAULT_GUARDS)
    assert "error (proves, x 1.5)" in told
    assert "latency (beyond x 1.05)" in told


def test_a_few_lines_say_it_under_a_proposal() -> None:
    first, *others = lines(power_of("support", plan(), past(20_000), {}, runs=100))
    assert first.startswith("power at 20000 units an hour (20000 units in 1.0h on record): an unchanged candidate is promoted ")
    assert others[0].startswith("BEWARE: all of this rests on 1.0h of traffic")
    assert others[1].startswith("catches by the end of the ramp, 4 times in 5: error from x 1.")


def test_a_table_tells_the_first_six_looks_and_the_last() -> None:
    told = table(power_of("support", plan(), past(2000), {}, runs=100)).splitlines()
    jointly = next(line for line in told if line.startswith("all proving guards together"))
    assert [part.split(" by ")[-1] for part in jointly.split(", ")] == ["48h", "72h", "96h", "120h", "144h", "168h", "…", "336h"]
    alone = next(line for line in told if line.startswith("  error alone: "))
    assert alone.count("%") == 8  # six looks, the last, and in the end
    few = plan(steps=FIVE_PERCENT, at_most=192 * HOUR)  # seven looks are all told
    assert "…" not in table(power_of("support", few, past(2000), {}, runs=100))


# ── detent power ────────────────────────────────────────────────────────────────────────────────────────────────────

FILE = """\
[providers.openai]
dialect  = "openai"
base_url = "http://127.0.0.1:9/v1"
watcher  = "w"

[routes.summarizer]
provider = "openai"
version  = "atlas-2026-03-01"
owner    = "search@example.com"

[prices."openai/atlas-2026-03-01"]
input  = 1.0
output = 2.0

[prices."openai/atlas-2026-06-01"]
input  = 1.0
output = 2.0
"""
NEXT = 'version  = "atlas-2026-03-01"\nnext     = "atlas-2026-06-01"'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "detent.toml").write_text(FILE)
    (tmp_path / ".detent").mkdir()
    return tmp_path


def record(place: Path, units: int, *, every_s: float) -> None:
    """Sessions of one complete answer each, one in fifty of which failed."""
    with_errors = [Outcome.HTTP_ERROR if n % 50 == 0 else Outcome.COMPLETE for n in range(units)]
    store = open_store(f"sqlite:///{place / '.detent' / 'state.db'}")
    store.journal.put(
        [intent(str(n), f"u{n}", n * every_s) for n in range(units)],
        [result(str(n), n * every_s + 1.0, outcome, latency_s=1.0 + n % 7) for n, outcome in enumerate(with_errors)],
    )
    store.close()


def runs(place: Path, *words: str) -> int:
    return main([*words, "--file", str(place / "detent.toml")])


def test_power_says_what_a_route_s_traffic_can_prove(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, 1000, every_s=0.1)
    assert runs(place, "power", "summarizer") == 0
    out = capsys.readouterr().out
    assert "route summarizer, plan standard, 36036 new units an hour: 1000 units in 2m on record" in out  # 1,000 in 99.9 s
    assert "error (proves, x 1.5)" in out


def test_power_exits_3_where_the_plan_cannot_conclude(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, 300, every_s=1800.0)
    assert runs(place, "power", "summarizer") == 3
    assert "advice: error: a proof at the first look takes about 47 candidate events" in capsys.readouterr().out


def test_power_of_a_route_without_traffic_is_not_known(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(f"sqlite:///{place / '.detent' / 'state.db'}").close()
    assert runs(place, "power", "summarizer") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("detent: no traffic of route `summarizer` is on record yet\nhint: ")


def test_power_as_json_is_one_document(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, 300, every_s=1800.0)
    assert runs(place, "power", "summarizer", "--plan", "quiet", "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["route"], told["plan"], told["concludes"]) == ("summarizer", "quiet", False)
    assert {"metric", "catches", "proved_by", "advice"} <= set(told["guards"][0])


@pytest.mark.parametrize(
    ("words", "says"),
    [(("power", "sumarizer"), "no such route: `sumarizer`"), (("power", "summarizer", "--plan", "quite"), "no such plan: `quite`")],
)
def test_power_of_what_there_is_not_is_a_usage_error(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    record(place, 30, every_s=1.0)
    assert runs(place, *words) == 2
    assert says in capsys.readouterr().err


def test_plan_says_the_power_under_what_opens(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, 1000, every_s=1.0)
    (place / "detent.toml").write_text(FILE.replace('version  = "atlas-2026-03-01"', NEXT))
    assert runs(place, "plan") == 0
    assert "    power at 3604 units an hour (1000 units in 17m on record): an unchanged candidate is promoted" in capsys.readouterr().out
    assert runs(place, "plan", "--markdown") == 0
    assert "  - power at 3604 units an hour" in capsys.readouterr().out
    assert runs(place, "plan", "--json") == 0
    opens = next(told for told in json.loads(capsys.readouterr().out) if told["kind"] == "open")
    assert opens["power"]["route"] == "summarizer"


def test_apply_refuses_what_can_prove_nothing_unless_somebody_says_why(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, 600, every_s=7200.0)
    (place / "detent.toml").write_text(FILE.replace('version  = "atlas-2026-03-01"', NEXT))
    assert runs(place, "plan") == 5, "as `apply` would"
    out, err = capsys.readouterr()
    assert "! summarizer: plan `standard` can prove nothing at the traffic of route `summarizer`" in out
    assert "--unproven --why" in err
    assert runs(place, "plan", "--unproven") == 0
    capsys.readouterr()
    assert runs(place, "apply") == 5
    assert "--unproven --why" in capsys.readouterr().err
    assert runs(place, "apply", "--unproven") == 2
    assert runs(place, "apply", "--unproven", "--why", "  ") == 2
    assert capsys.readouterr().err.count("--unproven needs a reason") == 2
    assert runs(place, "apply", "--unproven", "--why", "the provider ends the old one", "--by", "ada") == 0
    store = open_store(f"sqlite:///{place / '.detent' / 'state.db'}")
    (rollout,) = store.state.rollouts()
    store.close()
    assert rollout.unproven == "ada: the provider ends the old one"


@pytest.mark.parametrize("units", [0, 99])
def test_apply_opens_where_too_little_is_on_record_and_says_that_nothing_is_known(
    place: Path, capsys: pytest.CaptureFixture[str], units: int
) -> None:
    record(place, units, every_s=7200.0)
    (place / "detent.toml").write_text(FILE.replace('version  = "atlas-2026-03-01"', NEXT))
    assert runs(place, "apply") == 0
    unknown = f"power: unknown: `{units}` units of route `summarizer` are on record, and 100 are needed to say what this rollout can prove"
    assert unknown in capsys.readouterr().out
    store = open_store(f"sqlite:///{place / '.detent' / 'state.db'}")
    (rollout,) = store.state.rollouts()
    store.close()
    assert rollout.unproven == ""


def test_apply_says_in_a_line_what_the_rollout_that_it_opens_can_prove(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(place, 1000, every_s=0.1)
    (place / "detent.toml").write_text(FILE.replace('version  = "atlas-2026-03-01"', NEXT))
    assert runs(place, "apply", "--json") == 0
    opened = next(told for told in json.loads(capsys.readouterr().out) if told["kind"] == "open")
    assert opened["details"][-1].startswith("power at 36036 units an hour (1000 units in 2m on record): an unchanged candidate is promoted")


def test_new_units_are_counted_from_a_week_s_minutes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1,000 units of one request each within 100 s, while the minutes of two days say 60 requests an hour, 12 of them on a candidate."""
    record(place, 1000, every_s=0.1)
    store = open_store(f"sqlite:///{place / '.detent' / 'state.db'}")
    now_us = int(time.time() * 1e6)
    with store.state._db.write() as c:
        key = {"route": "summarizer", "rollout": "", "version": "atlas/atlas-2026-03-01"}
        sums = [("served", "stable", 48), ("served", "candidate", 12), ("mirrored", "candidate", 500), ("fallback", "stable", 500)]
        for hour in range(1, 49):
            minute = {**key, "minute_us": now_us - hour * 3_600_000_000}
            upsert(c, minute_sums, [{**minute, "role": role, "arm": arm, "body": f'{{"legs":{n}}}'} for role, arm, n in sums])
        old = {**key, "minute_us": now_us - 8 * 24 * 3_600_000_000, "role": "served", "arm": "stable", "body": '{"legs":1000000}'}
        upsert(c, minute_sums, [old])
    store.close()
    assert runs(place, "power", "summarizer") == 3
    assert "plan standard, 60 new units an hour: 1000 units in 48h on record" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("power", "summarizer"), ("status",), ("explain", "summarizer"), ("decision", "replay", "ro_1")])
def test_a_misspelt_store_is_none_and_makes_none(place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert runs(place, *words, "--store", f"sqlite:///{place / 'sate.db'}") == 4
    assert f"no store there: `{place / 'sate.db'}`" in capsys.readouterr().err
    assert not (place / "sate.db").exists()
