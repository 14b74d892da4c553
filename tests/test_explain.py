"""Why a rollout stands where it stands: sentences with numbers, and no secret in any of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from detent.explain import Beside, ago, as_json, describe, describe_baseline, describe_gateway, explain, headline, silent_s, summary
from detent.guarding import describe_e, describe_rate
from detent.stats.sketch import bucket
from detent.store.state import GatewayAck
from detent.terms import (
    BaselineEvidence,
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
    Refused,
    Rollout,
    Slice,
    Spread,
    Tally,
    Unlike,
    ValueTally,
    Verb,
    Working,
)
from playbook import PLAN, compared, flip
from records import NEW, OLD, T0, rollout

SALT = "a very secret salt"
NOW = T0 + timedelta(hours=50)
GUARDS = (*PLAN.guards, Guard(metric="latency", role="observe"), Guard(metric="thumbs_down", margin_abs=0.005, role="prove"))


def canary(**more: Any) -> Rollout:
    values: dict[str, Any] = {
        "phase": Phase.CANARY,
        "plan": replace(PLAN, guards=GUARDS),
        "split": 0.05,
        "canary_at": T0,
        "salt": SALT,
        "working": {"error": Working(rate=0.02)},
    }
    return rollout(**values | more)


def tally(metric: str, candidate: tuple[int, int], stable: tuple[int, int], unscored: int = 0) -> GuardEvidence:
    found = Tally(
        period=1, split=0.05, candidate_events=candidate[0], candidate_units=candidate[1], stable_events=stable[0], stable_units=stable[1]
    )
    return GuardEvidence(metric=metric, tallies=(found,), candidate_unscored=unscored)


def valued(metric: str, candidate: dict[int, int], stable: dict[int, int]) -> GuardEvidence:
    return GuardEvidence(metric=metric, values=(ValueTally(period=1, split=0.05, candidate=candidate, stable=stable),))


SEEN = Evidence(
    rollout="ro_1",
    guards=(
        tally("error", (80, 4000), (1520, 76_000), unscored=12),
        tally("tool_retry", (100, 4000), (1520, 76_000)),
        valued("latency", {bucket(1.0): 3000, bucket(2.0): 1000}, {bucket(1.0): 57_000, bucket(2.0): 19_000}),
    ),
    exposure=(Exposure(period=1, split=0.05, candidate=4000, stable=76_000),),
    users_exposed=4100,
    users_seen=80_000,
)


def decision(**more: Any) -> Decision:
    values: dict[str, Any] = {
        "verb": Verb.HOLD,
        "reason": "TimeNotServed",
        "sentence": "canary step 1 of 3",
        "at": NOW - timedelta(minutes=3),
    }
    return Decision(rollout="ro_1", evidence_digest="d", **values | more)


def told(rollout: Rollout, evidence: Evidence = SEEN, baseline: BaselineEvidence | None = None, *decisions: Decision) -> str:
    return "\n".join(explain(rollout, evidence, baseline, decisions, NOW))


# ── lines ──


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s"), (89, "89s"), (90, "2 min"), (3600, "60 min"), (7200, "2.0 h"), (172_799, "48.0 h"), (3 * 86_400, "3.0 days")],
)
def test_how_long_ago(seconds: float, said: str) -> None:
    assert ago(seconds) == said


@pytest.mark.parametrize(("log_e", "said"), [(0.0, "1"), (-0.868, "0.42"), (3.611, "37"), (21.85, "3.1e+09"), (5000.0, "1e+2171")])
def test_an_e_value_for_people(log_e: float, said: str) -> None:
    # e^-0.868 = 0.4198, e^3.611 = 37.0, e^21.85 = 3.085e9, e^5000 = 10^2171.5
    assert describe_e(log_e) == said


def test_a_rate_for_people() -> None:
    assert describe_rate(41, 52) == "41 of 52 (78.8 %)"
    assert describe_rate(0, 0) == "0 of 0"


def test_a_headline_says_what_where_and_since_when() -> None:
    assert headline(canary(), NOW) == (f"ro_1  summarizer: {OLD.model} -> {NEW.model}  canary step 1 of 3, 5 % of units (for 2.1 days)")
    held = canary(held=Held(reason="AwaitingApproval", by="detent", since_at=T0))
    assert headline(held, NOW).endswith(", held: AwaitingApproval by detent for 2.1 days)")
    ended = canary(phase=Phase.ROLLED_BACK, ended_at=NOW)
    assert "rolled_back (ended 2026-03-03 14:00:00 UTC)" in headline(ended, NOW)
    assert "soak, 95 % of units" in headline(canary(phase=Phase.SOAK, split=0.95), NOW)


def test_a_decision_says_that_its_windows_were_short_where_they_were() -> None:
    assert describe(decision()) == "hold (TimeNotServed) canary step 1 of 3"
    assert describe(decision(unsafe_short_windows=True)).endswith("[unsafe_short_windows]")


# ── the whole ──


def test_each_guard_is_told_with_the_numbers_of_both_arms() -> None:
    text = told(canary())
    assert "exposed: 4100 of 80000 units (what a split sticks to) met the candidate" in text
    assert "rolls back at 20" in text
    error = next(line for line in text.splitlines() if line.startswith("  error"))
    assert "candidate 80 of 4000 (2.0 %), stable 1520 of 76000 (2.0 %); E = " in error
    assert "margin ratio 1.5: ratio 1 [" in error
    assert error.endswith("; 12 units unscored")
    retry = next(line for line in text.splitlines() if line.startswith("  tool_retry"))
    assert "candidate 100 of 4000 (2.5 %)" in retry
    assert "margin" not in retry, "it need not be proved"
    latency = next(line for line in text.splitlines() if line.startswith("  latency"))
    assert "candidate P50 0.99, P90 2.02, P99 2.02 of 4000 units, stable P50 0.99, P90 2.02, P99 2.02 of 76000 units" in latency
    assert latency.endswith("; observed only")
    thumbs = next(line for line in text.splitlines() if line.startswith("  thumbs_down"))
    assert "margin 0.5 points: nothing to go by yet; NO DATA: nothing was heard of its 0 units, which blocks a promotion" in thumbs


def test_what_it_waits_for_is_told_while_it_waits() -> None:
    assert "proof: look 1 of 13 is due in 60 min; window at most 14d" in told(canary(canary_at=NOW - timedelta(hours=47)))
    assert "look 1 of 13 is due, and waits for evidence" in told(canary())
    proved = Look(number=1, at=T0, guards=(LookAt(metric="error", z=3.0, boundary=1.9, information=1.0),))
    ready = canary(looks=(proved,), plan=PLAN)
    assert "the proof was reached at a planned look; what is left is time;" in told(ready)
    asks = Held(reason="AwaitingApproval", by="detent", since_at=NOW)
    assert "what is left is what it is held for: AwaitingApproval;" in told(replace(ready, held=asks))
    assert "what is left is data of thumbs_down;" in told(canary(looks=(proved,))), "the proof is not what it waits for"
    broken = replace(SEEN, guards=(tally("error", (9, 3), (0, 1)), *SEEN.guards[1:]))
    assert "what is left is that error can be computed;" in told(ready, broken)
    missed = tuple(replace(proved, number=n, guards=(LookAt(metric="error", z=0.0, boundary=1.9, information=n),)) for n in range(1, 14))
    assert "all 13 looks were taken" in told(canary(looks=missed))
    assert "proof:" not in told(canary(phase=Phase.SOAK, split=0.95)), "nobody looks in soak"
    assert "proof:" not in told(canary(phase=Phase.NOT_PROVED, ended_at=NOW))


def test_the_last_decision_comes_first_and_all_of_them_last() -> None:
    first, last = decision(verb=Verb.ADVANCE, reason="ShadowPassed", sentence="1000 pairs"), decision()
    lines = told(canary(reason="Why: so"), SEEN, None, first, last).splitlines()
    assert lines[1] == "last decision: hold (TimeNotServed) 3 min ago: canary step 1 of 3"
    assert lines[2] == "reason: Why: so"
    assert lines[-2:] == ["  13:57:00 advance (ShadowPassed) 1000 pairs", "  13:57:00 hold (TimeNotServed) canary step 1 of 3"]


def test_what_people_said_stands_among_the_decisions_by_time() -> None:
    beside = Beside(people=[(NOW - timedelta(minutes=4), "ada", "hold: let me see"), (NOW, "ben", "abort: enough")])
    ended = canary(phase=Phase.ABORTED, ended_at=NOW, reason="AbortedByHuman: ben: enough")
    lines = explain(ended, SEEN, None, [decision()], NOW, beside=beside)
    assert lines[-3:] == [
        "  13:56:00 ada: hold: let me see",
        "  13:57:00 hold (TimeNotServed) canary step 1 of 3",
        "  14:00:00 ben: abort: enough",
    ]
    assert lines[1].startswith("last decision before a person ended it: hold (TimeNotServed)")
    assert any(line.startswith("harm: E = ") and "as of now (it ended at 14:00:00 on what was counted then)" in line for line in lines)


def test_what_a_person_promoted_is_unproved_for_good() -> None:
    soak = canary(phase=Phase.SOAK, split=0.95, unproven="ada: reviewed")
    assert headline(soak, NOW).endswith(", unproved: on the word of ada: reviewed)")
    assert "unproved: promoted on the word of ada: reviewed" in told(soak)
    done = replace(soak, phase=Phase.DONE, ended_at=NOW, split=0.0)
    assert "unproved: promoted on the word of ada: reviewed" in told(done)
    back = replace(done, phase=Phase.ROLLED_BACK)
    assert "unproved: promoted on" in told(
        back, SEEN, None, decision(verb=Verb.PROMOTE, reason="PromotedUnproved", sentence="ada: reviewed")
    )
    assert "opened although it could prove nothing, on the word of ada: reviewed" in told(canary(unproven="ada: reviewed"))


def test_machines_are_told_first_what_people_are() -> None:
    held = canary(held=Held(reason="GuardWithoutData", by="detent", since_at=T0, why="nothing was ever heard of thumbs_down"))
    found = as_json(held, SEEN, None, [decision()], NOW)
    assert found["state"] == headline(held, NOW)
    assert (found["why"], found["waits_for"]) == (describe(decision()), "GuardWithoutData: nothing was ever heard of thumbs_down")
    assert as_json(canary(), SEEN, None, [decision()], NOW)["waits_for"] == describe(decision())
    ended = canary(phase=Phase.ABORTED, ended_at=NOW, reason="AbortedByHuman: ben")
    found = as_json(ended, SEEN, None, [decision()], NOW)
    assert (found["why"], found["waits_for"], found["proof"]["next_look_in_s"]) == ("AbortedByHuman: ben", None, None)


def test_short_windows_and_arms_that_do_not_fit_are_said_aloud() -> None:
    short = canary(plan=Plan(name="demo", guards=GUARDS, unsafe_short_windows=True))
    assert "plan `demo` has unsafe_short_windows" in told(short)
    lost = replace(SEEN, exposure=(Exposure(period=1, split=0.05, candidate=4000, stable=48_000),))
    assert "sample ratio: E = " in told(canary(), lost)
    assert "sample ratio" not in told(canary())


def test_a_shadow_is_told_in_pairs() -> None:
    found = compared(200, candidate_only=3, stable_only=2, unscored=5, not_comparable=7, not_followed=7)
    text = told(rollout(phase=Phase.SHADOW, plan=PLAN), Evidence(rollout="ro_1", shadow=found))
    assert (
        "shadow: 200 pairs scored, of at least 100; 100 of them with a second answer of stable's, where a check failed only the "
        "candidate's in 3 and only stable's second in 2; 7 not comparable (7 followed a turn that was not compared), 5 unscored\n"
        "  coverage: 99.5 % of tomorrow's traffic that can be mirrored looks like something already compared "
        "(95 % interval 98.2 % to 100.0 %); 95 % is needed"
    ) in text
    assert "exposed:" not in text, "no user saw it"


def test_a_baseline_is_told_by_cause_with_the_means_that_hid_it() -> None:
    found = BaselineEvidence(
        cases=60,
        pending=0,
        suspects=5,
        errors=1,
        positive=2,
        confirmed=(flip("ca_1"), flip("ca_2"), flip("ca_3", cause="key_renamed")),
        content_stable=0.905,
        content_candidate=0.958,
        noise_floor=0.041,
    )
    assert describe_baseline(found) == [
        "baseline: regression: 3 confirmed negative flips among 60 prompts (5 suspects run again): 2 x fence_added; 1 x key_renamed",
        "  3 confirmed negative flips among 60 prompts (5 suspects run again, about 2 prompts better, 1 not scored, "
        "0 that stable never passes)",
        "  2 x fence_added",
        "  1 x key_renamed",
        "  mean content score: stable 0.905, candidate 0.958",
        "  noise floor: stable against itself flips 4.1 % of prompts in a single run",
    ]
    assert describe_baseline(BaselineEvidence(cases=0, pending=0)) == ["baseline: no frozen baseline"]
    assert describe_baseline(BaselineEvidence(cases=9, pending=4)) == ["baseline: inconclusive: 4 baseline calls to make"]
    assert found.confirmed[0].cause in told(rollout(phase=Phase.REJECTED, plan=PLAN), Evidence(rollout="ro_1"), found)


OVERALL = Slice(
    name="overall", cases=60, stable=0.98, candidate=0.93, difference=-0.05, low=-0.1, high=0.0, p_value=0.04, lost=5, won=2, weighted=-0.12
)


def test_what_a_mean_hides_is_told_slice_by_slice() -> None:
    refund = replace(
        OVERALL, name="task=refund", cases=20, candidate=0.5, difference=-0.48, low=-0.7, high=-0.26, p_value=1e-5, harmed=True
    )
    order = replace(OVERALL, name="task=order", cases=40, difference=0.01, low=-0.02, high=0.04, p_value=0.7)
    lines = describe_baseline(BaselineEvidence(cases=60, pending=0, overall=OVERALL, slices=(refund, order)))
    assert lines[0].startswith(
        "baseline: regression: a loss that stands: task=refund -48.0 points [-70.0, -26.0] over 20 prompts, 5 lost and 2 won"
    )
    assert lines[2:] == [
        "  overall: stable 98.0 %, candidate 93.0 % right over 60 prompts, -5.0 points [-10.0, +0.0], p = 0.04; 5 lost, 2 won",
        "  by the traffic that prompts stand for: -12.0 points",
        "  slice task=refund: stable 98.0 %, candidate 50.0 % right over 20 prompts, -48.0 points [-70.0, -26.0], p = 1e-05; "
        "5 lost, 2 won HARMED",
        "  worst other slice task=order: stable 98.0 %, candidate 93.0 % right over 40 prompts, +1.0 points [-2.0, +4.0], p = 0.7; "
        "5 lost, 2 won",
    ]


def test_whatever_else_a_reader_has_to_know_of_a_baseline_is_told() -> None:
    found = BaselineEvidence(
        cases=60,
        pending=0,
        confirmed=(replace(flip("ca_1"), notes=("confident and wrong",)),),
        spread=Spread(cases=60, stable=0.031, candidate=0.184, p_value=2e-9),
        refused=(Refused(shape="temperature=0.7", said="Unsupported parameter", cases=4),),
        left_script=("ca_7", "ca_8"),
        changes={"fence_added": 23, "key_added": 2},
        reworded=9,
        blessed=0.62,
        stale=("it was frozen 31 days ago; the limit is 30d",),
        spent_usd=1.234,
        over_budget=True,
    )
    text = "\n".join(describe_baseline(found))
    for line in (
        "confident and wrong: 1 of the lost prompts",
        "refused: `temperature=0.7` (4 prompts): Unsupported parameter",
        "leaves the recorded script: ca_7; ca_8",
        "changed in most runs: fence_added 23, key_added 2 prompts",
        "only reworded: 9 prompts",
        "stable's own runs differ by 3.1 % of their words, the candidate's by 18.4 % over 60 prompts (p = 2e-09): "
        "the candidate varies more",
        "known good: 62 % of the traffic weight is blessed",
        "stale: it was frozen 31 days ago; the limit is 30d",
        "spent: 1.23 USD, stopped at the budget",
    ):
        assert line in text
    alike = replace(found, spread=Spread(cases=60, stable=0.03, candidate=0.02, p_value=0.2))
    assert "(p = 0.2): no difference that stands, which takes p < 0.01" in "\n".join(describe_baseline(alike))


# ── for machines ──


def test_a_stale_baseline_is_told_by_what_the_plan_says_of_it() -> None:
    stale = BaselineEvidence(cases=60, pending=0, stale=("it was frozen 31 days ago",))
    assert describe_baseline(stale)[0].startswith("baseline: inconclusive: the baseline does not speak for the traffic any more")
    warned = describe_baseline(stale, "warn")
    assert warned[0].startswith("baseline: pass: ")
    assert "  stale: it was frozen 31 days ago" in warned
    of_plan = rollout(plan=replace(PLAN, baseline=replace(PLAN.baseline, on_stale="warn")))
    assert warned[0] in explain(of_plan, Evidence(rollout="ro_1"), stale, [], NOW)


def test_what_is_in_no_mean_and_what_the_provider_did_is_told() -> None:
    found = BaselineEvidence(
        cases=60,
        pending=0,
        suspects=1,
        reworded=1,
        probes=8,
        probes_unscored=2,
        not_replayable=1,
        leaving=Unlike(stable=0.1, candidate=0.125, p_value=0.3),
        failures=Unlike(stable=0.0, candidate=0.6, p_value=1e-9, stands=True),
    )
    lines = describe_baseline(found)
    assert lines[1].startswith("  0 confirmed negative flips among 60 prompts (1 suspect run again, ")
    for line in (
        "only reworded: 1 prompt",
        "probes: 8, in no mean, 2 not scored on either version",
        "not replayable: stable itself leaves the recorded script of 1 prompt",
        "runs of agent cases that leave the script: candidate 12.5 %, stable 10.0 % (p = 0.3)",
        "the candidate's calls: 60.0 % of them failed and were made again, 0.0 % of stable's (p = 1e-09)",
    ):
        assert f"  {line}" in lines


def test_json_has_everything_but_the_salt() -> None:
    found = as_json(
        canary(held=Held(reason="HeldByHuman", by="ada", since_at=T0)), SEEN, BaselineEvidence(cases=1, pending=0), [decision()], NOW
    )
    text = json.dumps(found, allow_nan=False)
    assert SALT not in text
    assert "salt" not in found["rollout"]
    assert found["rollout"]["phase"] == "canary"
    assert found["evidence"]["guards"][0]["tallies"][0]["candidate_events"] == 80
    assert found["decisions"][0]["reason"] == "TimeNotServed"
    assert found["baseline"]["cases"] == 1


def gateway(name: str, revision: int, seconds_ago: float) -> GatewayAck:
    return GatewayAck(name, revision, T0, NOW - timedelta(seconds=seconds_ago), "127.0.0.1:8700", 1)


def test_a_summary_has_routes_rollouts_and_gateways_and_no_secret() -> None:
    flags = {"summarizer": Flag(route="summarizer", revision=3, stable=OLD, candidate=NEW, rollout="ro_1", split=0.05, salt=SALT)}
    found = summary(7, flags, [canary()], [gateway("gw-1", 7, 1)])
    assert SALT not in json.dumps(found)
    assert found["revision"] == 7
    assert found["routes"] == {"summarizer": {"stable": str(OLD), "candidate": str(NEW), "split": 0.05, "rollout": "ro_1"}}
    assert found["rollouts"] == [{"id": "ro_1", "route": "summarizer", "phase": "canary", "candidate": str(NEW), "reason": ""}]
    assert found["gateways"][0]["gateway"] == "gw-1"
    assert found["gateways"][0]["seen_at"].startswith("2026-03-03T")


def test_a_gateway_is_live_behind_or_silent() -> None:
    assert describe_gateway(gateway("gw", 7, 1), 7, NOW) == "gateway gw on 127.0.0.1:8700: revision 7"
    assert describe_gateway(gateway("gw", 6, 1), 7, NOW).endswith("revision 6, behind: the store is at 7")
    assert describe_gateway(gateway("gw", 6, 600), 7, NOW).endswith("revision 6, not heard of for 10 min")
    assert silent_s(gateway("gw", 7, 9), NOW) is None
    assert silent_s(gateway("gw", 7, 11), NOW) == 11
