"""Each guard as `explain` tells it: both arms, how far apart, what it waits for and since when, and in which segments it is worse."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canaries import FINE, HARMED, HOUR, PROVED, START, counted, in_canary, opened, seen, usual
from detent.evidence.past import Before
from detent.explain import Beside, GuardTold, as_json, explain, guards_told
from detent.explain.balance import describe_balance, shares
from detent.explain.guards import Arms, describe_guard, is_worse
from detent.stats.proof import boundaries
from detent.stats.sketch import bucket
from detent.terms import Arm, Evidence, Guard, GuardEvidence, Held, Look, LookAt, Phase, Rollout, Tally, ValueTally, Working
from detent.view import View
from playbook import HONEST, PLAN

LATENCY = Guard(metric="latency", margin_ratio=1.25)
TOKENS = Guard(metric="output_tokens", margin_ratio=1.2, role="observe")


def told(rollout: Rollout, evidence: Evidence = FINE, metric: str = "error", **segments: GuardEvidence) -> GuardTold:
    named = {metric: {name.replace("__", "="): of for name, of in segments.items()}}
    return next(g for g in guards_told(View(rollout, evidence, START), named) if g.metric == metric)


def line(*of: Any, **more: Any) -> str:
    return describe_guard(told(*of, **more), START)[0]


def planned(*guards: Guard, hours: float = 60, step: int = 2, **more: Any) -> Rollout:
    return in_canary(step=step, hours=hours, plan=replace(PLAN, guards=(*PLAN.guards, *guards)), **more)


# ── both arms ──


def test_a_rate_is_told_with_its_ratio_and_a_95_percent_interval() -> None:
    """150/1000 against 380/19000: ln 7.5 +- 1.96 sqrt(1/150 - 1/1000 + 1/380 - 1/19000) is [6.28, 8.96]; the score interval is as wide."""
    found = told(in_canary(hours=1), seen(HARMED), "tool_retry")
    assert [found.arms.candidate, found.arms.stable, found.arms.gap] == pytest.approx([0.15, 0.02, 7.5])
    assert [found.arms.low, found.arms.high] == pytest.approx([6.28, 8.96], rel=0.01)
    assert "candidate 150 of 1000 (15.0 %), stable 380 of 19000 (2.0 %)" in found.arms.said


def test_a_guard_with_an_absolute_margin_is_told_in_points() -> None:
    guards = (replace(PLAN.guards[0], margin_ratio=None, margin_abs=0.01), *PLAN.guards[1:])
    found = told(in_canary(hours=1, plan=replace(PLAN, guards=guards)), seen(counted("error", (30, 1000), (380, 19_000))))
    assert found.margin == "1 points"
    assert found.arms.gap == pytest.approx(0.01)
    assert "margin 1 points: difference +1 points [" in describe_guard(found, START)[0]


def test_values_are_told_by_percentiles_or_geometric_means_with_the_ratio() -> None:
    seconds = ValueTally(
        period=1, split=0.05, candidate={bucket(2.0): 500, bucket(4.0): 500}, stable={bucket(1.0): 9500, bucket(2.0): 9500}
    )
    evidence = replace(
        FINE,
        guards=(*FINE.guards, GuardEvidence(metric="latency", values=(seconds,)), GuardEvidence(metric="output_tokens", values=(seconds,))),
    )
    rollout = planned(LATENCY, TOKENS, working=usual(HONEST) | {"latency": Working(thresholds=(1.0, 2.0, 4.0))})
    latency = told(rollout, evidence, "latency")
    assert latency.arms.said.startswith("candidate P50 2.02, P90 4.04")
    tokens = told(rollout, evidence, "output_tokens")
    # sqrt(2 x 4) = 2.83 against sqrt(1 x 2) = 1.41, within a bucket's 1 %
    assert [tokens.arms.candidate, tokens.arms.stable] == pytest.approx([2.83, 1.414], rel=0.01)
    assert tokens.arms.gap == pytest.approx(2.0, rel=0.02)
    # 95 % of ln 2 +- 1.96 sqrt(var/1000 + var/19000), var = (ln 2 / 2)^2: a factor of 1.022 either way
    assert [tokens.arms.low, tokens.arms.high] == pytest.approx([2.0 / 1.022, 2.0 * 1.022], rel=0.02)
    assert "; observed only; ratio 2" in describe_guard(tokens, START)[0]


# ── what it waits for ──


def test_what_a_guard_waits_for_and_since_when() -> None:
    assert line(in_canary(hours=47)).endswith("; waits for look 1 in 60 min (for 47.0 h)")
    assert line(in_canary(hours=49)).endswith("; waits for look 1, which is due (for 60 min)"), "it was due at 48 h"
    looked = Look(number=1, at=START - 7 * HOUR, guards=(LookAt(metric="error", z=0.1, boundary=2.2, information=1.0),))
    assert line(in_canary(hours=60, looks=(looked,))).endswith("; waits for look 2 in 17.0 h (for 7.0 h)")
    assert line(in_canary(hours=3), Evidence(rollout="ro_1")).endswith("; does not apply to this traffic so far (for 3.0 h)")
    few = seen(counted("error", (1, 10), (1, 100)))
    assert line(in_canary(hours=3), few).endswith("; waits for more events or units: too few for a proof (for 3.0 h)")
    missed = tuple(Look(number=n, at=START, guards=(LookAt(metric="error", z=0.1, boundary=2.2, information=n),)) for n in range(1, 14))
    assert "was not shown non-inferior in 13 looks (for 0s)" in line(in_canary(hours=200, looks=missed))
    assert told(in_canary(hours=200, looks=missed)).boundary == 2.2
    assert told(in_canary(hours=60, looks=(PROVED,))).waits == ""


def test_z_is_told_beside_what_it_has_to_reach() -> None:
    """Lan-DeMets at the first of 13 looks: the share of alpha that is spent there, whatever the information."""
    first = boundaries(PLAN.alpha, [1.0], 13)[0]
    assert f", z = 3.61 of {first:.2f}; waits for look 1" in line(in_canary(hours=47))
    assert ", z = 3.61; " not in line(in_canary(hours=47))


def test_a_value_that_is_not_known_yet_says_how_far_it_has_learned() -> None:
    some = ValueTally(period=1, split=0.05, candidate={bucket(1.0): 5}, stable={bucket(1.0): 95})
    evidence = replace(FINE, guards=(*FINE.guards, GuardEvidence(metric="latency", values=(some,))))
    assert "learns what is usual from stable's first units (95 of 200) (for 2.5 days)" in line(planned(LATENCY), evidence, "latency")


def test_no_data_a_failure_and_a_guard_that_does_not_apply_are_told_apart() -> None:
    thumbs = Guard(metric="thumbs_down", margin_abs=0.02)
    silent = replace(counted("thumbs_down", (0, 4000), (0, 76_000)), candidate_silent=4000, stable_silent=76_000)
    evidence = replace(FINE, guards=(*FINE.guards, silent))
    assert "NO DATA: nothing was heard of its 80000 units, which blocks a promotion" in line(planned(thumbs), evidence, "thumbs_down")
    broken = replace(FINE, guards=(counted("error", (9, 3), (0, 1)), *FINE.guards[1:]))
    why = "could not be computed: candidate events lie between 0 and its units in period 1: `9 of 3`"
    assert line(in_canary(hours=1), broken).endswith(why)
    held = in_canary(hours=9, held=Held(reason="GuardFailed", by="detent", since_at=START - 2 * HOUR))
    assert line(held, broken).endswith(f"{why} (for 2.0 h)"), "since it is held for it, not since the canary began"
    misspelt = Guard(metric="thumps", margin_ratio=1.5)
    assert line(planned(misspelt), FINE, "thumps").startswith("thumps: nothing; E = 1; could not be computed: no such metric: `thumps`")
    keys = Guard(metric="keys_missing", margin_ratio=1.5)
    assert "does not apply to this traffic so far" in line(planned(keys), FINE, "keys_missing")


def heard(period: int, split: float, candidate: tuple[int, int], stable: tuple[int, int]) -> Tally:
    """(units of which something was heard, sealed units) on either arm."""
    return counted("error", candidate, stable, period=period, split=split).tallies[0]


def reported(*reports: Tally) -> str:
    (error, *_) = guards_told(View(in_canary(), FINE, START), reports={"error": reports})
    return describe_guard(error, START)[0]


def test_arms_that_report_an_outcome_unequally_are_told() -> None:
    lost = heard(1, 0.05, (4000, 4400), (76_000, 76_010))
    assert "an outcome is reported by 90.9 % of candidate and 100.0 % of stable units" in reported(lost)
    assert "an outcome is reported" not in reported(heard(1, 0.05, (4000, 4040), (76_000, 76_760)))
    assert "an outcome is reported" not in reported()


def test_an_app_that_reports_more_since_the_share_was_raised_reports_alike() -> None:
    """20 % of both arms at first, 60 % of both later: pooled, 56 % of the candidate's units against 40 % of stable's."""
    first, later = heard(1, 0.05, (200, 1000), (3800, 19_000)), heard(2, 0.5, (6000, 10_000), (6000, 10_000))
    assert "an outcome is reported" not in reported(first, later)


def test_bounds_that_are_not_known_are_said_and_not_made_up() -> None:
    arms = Arms(said="", candidate_units=9, stable_units=9, candidate=0.1, stable=0.1, kind="difference", gap=0.01)
    assert arms.describe_gap == "difference +1 points, bounds not known"
    assert replace(arms, low=-0.01, high=0.03).describe_gap == "difference +1 points [-1, +3]"
    assert replace(arms, low=-0.01).describe_gap == "difference +1 points, bounds not known"
    assert replace(arms, kind="ratio", gap=1.5).describe_gap == "ratio 1.5, bounds not known"
    assert replace(arms, kind="ratio", gap=None, low=1.2).describe_gap == "ratio inf [1.2, inf]"


# ── segments ──


def test_a_segment_that_is_worse_is_told_with_its_own_interval() -> None:
    """30 of 200 against 76 of 3800: Wilson's [.107, .206] and [.016, .025] make Newcombe's interval of the difference [.087, .186]."""
    found = told(
        in_canary(),
        tenant__acme=counted("error", (30, 200), (76, 3800)),
        tenant__other=counted("error", (50, 3800), (1444, 72_200)),
        language__de=counted("error", (0, 3), (0, 9)),
    )
    assert found.worse_in == ("tenant=acme",)
    acme = found.segments["tenant=acme"]
    assert acme.kind == "difference"
    assert [acme.gap, acme.low, acme.high] == pytest.approx([0.13, 0.087, 0.186], abs=0.004)
    lines = describe_guard(found, START)
    assert lines[1].startswith("  worse in tenant=acme: candidate 30 of 200 (15.0 %), stable 76 of 3800 (2.0 %); difference +13 points [")
    assert len(lines) == 2


def test_few_segments_are_told_and_the_others_counted() -> None:
    segments = {f"tenant__t{n}": counted("error", (30 + n, 200), (76, 3800)) for n in range(5)}
    lines = describe_guard(told(in_canary(), FINE, "error", **segments), START)
    assert len(lines) == 5
    assert lines[-1] == "  worse in 2 more segments; all of them with --json"


def test_two_names_for_the_same_units_are_told_once() -> None:
    """Where a tenant has a region of its own; and a prompt's template is known by the beginning of its digest."""
    same = counted("error", (30, 200), (76, 3800))
    lines = describe_guard(told(in_canary(), FINE, "error", tenant__acme=same, region__eu=same, template__c7616abcdef01234=same), START)
    assert [line.split(":")[0] for line in lines[1:]] == ["  worse in region=eu and prompt template c7616abc and tenant=acme"]


@pytest.mark.parametrize(
    ("low", "high", "side", "worse"),
    [(1.1, 1.9, "more", True), (0.9, 1.9, "more", False), (0.2, 0.9, "more", False), (0.2, 0.9, "less", True), (0.2, 0.9, "both", True)],
)
def test_worse_is_the_whole_interval_on_the_worse_side(low: float, high: float, side: str, worse: bool) -> None:
    arms = Arms(said="", candidate_units=9, stable_units=9, candidate=1.0, stable=1.0, kind="ratio", gap=1.0, low=low, high=high)
    assert is_worse(arms, side) is worse


# ── whether the arms are alike ──


def test_segments_that_the_arms_have_alike_are_counted_and_others_named() -> None:
    whole = FINE.guards[0]
    alike = {"tenant=acme": counted("error", (1, 1000), (1, 19_000))}
    assert describe_balance(shares(whole, alike), {}) == ["balance: 1 segments compared, none differs between the arms by more than chance"]
    off = alike | {"language=de": counted("error", (1, 900), (1, 3800))}
    (said,) = describe_balance(shares(whole, off), {})
    assert said.startswith("balance: language=de is 22.5 % of candidate and 5.0 % of stable units (+17.5 points [+16.")
    assert said.endswith("the arms are not alike")


def test_a_mix_that_changes_over_a_ramp_is_no_imbalance() -> None:
    """Pooled, the arms would differ: the candidate has most of its units later. By share period they do not."""
    whole = GuardEvidence(
        metric="error",
        tallies=(
            counted("error", (0, 1000), (0, 99_000), period=1, split=0.01).tallies[0],
            counted("error", (0, 50_000), (0, 50_000), period=2, split=0.5).tallies[0],
        ),
    )
    segment = GuardEvidence(
        metric="error",
        tallies=(
            counted("error", (0, 100), (0, 9_900), period=1, split=0.01).tallies[0],
            counted("error", (0, 25_000), (0, 25_000), period=2, split=0.5).tallies[0],
        ),
    )
    (share,) = shares(whole, {"region=eu": segment})
    assert not share.off
    assert share.difference == pytest.approx(0.0, abs=1e-9)


def test_how_the_arms_fared_before_is_told() -> None:
    before = {Arm.CANDIDATE: Before(units=50, errors=1), Arm.STABLE: Before(units=950, errors=19)}
    assert describe_balance((), before) == [
        "before the rollout: candidate 50 units, 2.0 % with an error; stable 950 units, 2.0 % with an error"
    ]
    assert describe_balance((), {Arm.CANDIDATE: Before(units=50)}) == []


# ── the whole ──


def test_the_whole_is_told_to_people_and_to_machines_alike() -> None:
    segments = {"error": {"tenant=acme": counted("error", (30, 200), (76, 3800))}}
    before = {Arm.CANDIDATE: Before(units=50, errors=1), Arm.STABLE: Before(units=950, errors=19)}
    beside = Beside(segments=segments, before=before)
    rollout = in_canary(hours=47)
    text = "\n".join(explain(rollout, FINE, None, [], START, beside=beside))
    assert "    worse in tenant=acme" in text
    assert "balance: 1 segments compared" in text
    assert "before the rollout: candidate 50 units" in text
    found = json.loads(json.dumps(as_json(rollout, FINE, None, [], START, beside=beside), allow_nan=False))
    error = found["guards"][0]
    assert (error["metric"], error["worse_in"], error["segments"]["tenant=acme"]["gap"]) == ("error", ["tenant=acme"], pytest.approx(0.13))
    assert error["waits"] == "waits for look 1 in 60 min"
    assert error["since"].startswith("2026-02-28T10:00:00")
    assert found["proof"] == {"proved": False, "looks": 0, "next_look_in_s": 3600.0}
    assert found["balance"][0]["segment"] == "tenant=acme"
    assert found["before"]["candidate"]["units"] == 50


def test_numbers_that_are_infinite_are_null_to_machines() -> None:
    never = seen(counted("error", (30, 100), (0, 1900)), counted("tool_retry", (400_000, 400_000), (0, 7_600_000)))
    found = json.loads(json.dumps(as_json(in_canary(), never, None, [], START), allow_nan=False))
    assert found["guards"][0]["arms"]["gap"] is None
    assert found["guards"][0]["arms"]["low"] > 1.0
    assert "ratio inf [" in line(in_canary(), never)


def test_time_that_nobody_looked_after_it_is_said() -> None:
    rollout = replace(in_canary(hours=60), watched_s=7200.0)
    assert (
        "served: 2.0 h of the 2.5 days since it entered this phase: no controller looked after it in the rest, which does not count"
        in explain(rollout, FINE, None, [], START)
    )
    assert not any(said.startswith("served:") for said in explain(in_canary(hours=60), FINE, None, [], START))
    assert not any(said.startswith("served:") for said in explain(replace(rollout, watched_s=59.9 * 3600), FINE, None, [], START))


def test_a_trial_and_an_opening_without_power_are_said() -> None:
    assert "both arms are the pinned version: every alarm is a false one" in explain(in_canary(aa=True), FINE, None, [], START)
    forced = explain(opened(unproven="ada: no time"), Evidence(rollout="ro_1"), None, [], START + timedelta(hours=1))
    assert "opened although it could prove nothing, on the word of ada: no time" in forced
    assert in_canary(phase=Phase.SOAK).phase is Phase.SOAK
