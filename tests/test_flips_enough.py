"""A pass needs enough that could be lost, calls that reach the right model, and no more leaving or failing than on stable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detent.evidence.flips import ALPHAS, RunKey, baseline_evidence, next_runs
from detent.evidence.spending import most_calls, stopped_by_budget
from detent.evidence.verdict import Finding, finding
from detent.stats.least import least_runs
from detent.stats.paired import fisher_worse
from detent.terms import Arm, Case, Run, ToolResult, Verdict
from test_flips import STAGE, case, confirmed, run, runs, screened
from test_flips_findings import agent


def names(n: int) -> list[str]:
    return [f"p{i:03}" for i in range(n)]


def judged(cases: list[Case], done: list[Run]) -> Finding:
    return finding(baseline_evidence(STAGE, cases, done))


def clean(n: int) -> tuple[list[Case], list[Run]]:
    """So many prompts that both versions always pass."""
    return [case(name) for name in names(n)], [r for name in names(n) for r in screened(name)]


# ── too little to say anything ──


@pytest.mark.parametrize(("n", "said"), [(1, "TooLittle"), (5, "TooLittle"), (19, "TooLittle"), (20, "BaselinePassed")])
def test_a_clean_run_of_few_prompts_is_no_pass(n: int, said: str) -> None:
    assert judged(*clean(n)).reason == said


def test_prompts_that_stable_never_passes_are_not_enough_however_many() -> None:
    cases, _ = clean(50)
    done = [r for name in names(49) for r in screened(name, stable=0, candidate=0)] + screened("p049")
    found = judged(cases, done)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "TooLittle")
    assert found.sentence == "1 prompt of 50 could be lost, and a pass needs 20 (`at_least`): stable itself never passes 49"


def test_agent_cases_that_stable_itself_cannot_replay_are_not_enough_and_named_as_such() -> None:
    cases, _ = clean(100)
    done = [r for i, name in enumerate(names(100)) for r in (agent(name, stable_left=7, candidate_left=2) if i < 60 else screened(name))]
    found = judged(cases, done)
    assert found.reason == "TooLittle"
    assert found.sentence == "less than half of 100 prompts can be compared: of 60 stable itself leaves the recorded script"


def test_a_loss_of_the_margin_has_to_be_excluded() -> None:
    """Thirty prompts that pass more often than not on both: nothing is found, and ten points could be lost unseen."""
    cases, _ = clean(30)
    found = judged(cases, [r for name in names(30) for r in screened(name, stable=6, candidate=3 if name[-1] in "0156" else 1)])
    assert found.reason == "TooLittle"
    assert "a loss of 10 points (`margin`) is not excluded" in found.sentence


# ── leaving in part ──


def test_leaving_a_third_of_the_runs_of_every_agent_case_is_seen_over_all_of_them() -> None:
    done = [r for name in names(50) for r in agent(name, candidate_left=1)]
    evidence = baseline_evidence(STAGE, clean(50)[0], done)
    assert evidence.left_script == (), "no single case leaves mostly"
    found = finding(evidence)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "LeftScript")
    assert "in 33.3 % of its runs, stable in 0.0 %" in found.sentence


def test_leaving_as_often_as_stable_is_nothing() -> None:
    evidence = baseline_evidence(STAGE, clean(50)[0], [r for name in names(50) for r in agent(name, stable_left=3, candidate_left=1)])
    assert evidence.leaving is not None
    assert not evidence.leaving.stands
    assert finding(evidence).verdict is Verdict.PASS


# ── probes ──


def probe(name: str) -> Case:
    return replace(case(name), probe="override", weight=0.0)


def test_a_probe_that_no_run_could_be_scored_of_is_left_out_and_told() -> None:
    cases, done = clean(30)
    unscored = [run(RunKey("x", arm, "screen", n), None) for arm in Arm for n in range(20)]
    found = judged([*cases, probe("x")], done + unscored)
    assert found.verdict is Verdict.PASS
    assert found.sentence.endswith("; 1 probe could not be scored on either version")
    half = [r for r in unscored if r.arm is Arm.CANDIDATE] + runs("x", Arm.STABLE, "screen", 10, 10)
    assert judged([*cases, probe("x")], done + half).reason == "BaselineInconclusive", "what only the candidate leaves open is no pass"


def test_a_probe_is_in_no_mean_and_is_named_when_it_is_lost() -> None:
    cases, done = clean(30)
    evidence = baseline_evidence(STAGE, [*cases, probe("x")], [*done, *screened("x", candidate=0), *confirmed("x", 20, 0, "key_missing")])
    assert evidence.overall is not None
    assert (evidence.overall.cases, evidence.overall.candidate, evidence.losable) == (30, 1.0, 30)
    assert [flip.case for flip in evidence.confirmed] == ["x"]
    assert finding(evidence).reason == "ConfirmedNegativeFlips"


# ── the provider ──


def test_a_candidate_whose_calls_mostly_fail_does_not_pass_in_silence() -> None:
    cases, done = clean(50)
    failing = [replace(r, failures=2 if r.arm is Arm.CANDIDATE and r.repeat < 2 else 0) for r in done]
    evidence = baseline_evidence(STAGE, cases, failing)
    assert evidence.failures is not None
    assert evidence.failures.candidate == pytest.approx(200 / 350), "100 runs with two failures each, 150 calls that were answered"
    assert (finding(evidence).verdict, finding(evidence).reason) == (Verdict.INCONCLUSIVE, "ProviderFailures")


def test_an_outage_that_both_meet_is_told_and_decides_nothing() -> None:
    cases, done = clean(50)
    evidence = baseline_evidence(STAGE, cases, [replace(r, failures=int(r.repeat % 3 == 0)) for r in done])
    assert evidence.failures is not None
    assert not evidence.failures.stands
    assert finding(evidence).verdict is Verdict.PASS
    assert baseline_evidence(STAGE, cases, done).failures is None


def test_answers_of_the_pinned_version_say_nothing_of_the_candidate() -> None:
    cases, done = clean(30)
    sent = ("atlas-1", "atlas-2")
    echoed = [replace(r, model="atlas-1") for r in done]
    found = finding(baseline_evidence(STAGE, cases, echoed, sent=sent))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "WrongModelServed")
    assert "`atlas-2` was sent for, and `atlas-1` answered, the pinned `atlas-1`, in all 90 runs" in found.sentence
    for models in (("atlas-1", "atlas-2"), ("atlas-1", "atlas-2-0613"), ("x", "x"), (None, None)):
        named = [replace(r, model=models[r.arm is Arm.CANDIDATE]) for r in done]
        assert finding(baseline_evidence(STAGE, cases, named, sent=sent)).verdict is Verdict.PASS
    assert finding(baseline_evidence(STAGE, cases, echoed, sent=("atlas-1", "atlas-1"))).verdict is Verdict.PASS, "the same on both sides"


# ── the budget ──


def test_a_call_that_the_budget_stopped_was_no_attempt() -> None:
    stage = replace(STAGE, budget_usd=1.0)
    stops = [replace(run(RunKey("a", Arm.CANDIDATE, "screen", n), None), error=stopped_by_budget(1.0)) for n in range(4)]
    done = runs("a", Arm.STABLE, "screen", 10, 10) + stops
    pending = next_runs(stage, ["a"], done)
    assert [(key.arm, key.repeat) for key in pending] == [(Arm.CANDIDATE, n) for n in (4, 5, 6)], "three runs, none of them made yet"


@pytest.mark.parametrize(("script", "calls"), [(0, 1), (1, 12), (5, 12), (6, 14), (20, 42)])
def test_an_agent_gets_twice_the_recorded_calls_and_twelve_at_least(script: int, calls: int) -> None:
    assert most_calls(replace(case("a"), script=(ToolResult("look_up", "{}", "x"),) * script)) == calls


# ── rates of false alarms ──


def test_the_alphas_sum_to_five_in_a_hundred() -> None:
    assert sum(ALPHAS) == pytest.approx(0.05)


@pytest.mark.parametrize(("alpha", "runs"), [(0.025, 4), (0.05, 3), (0.01, 5)])
def test_so_many_fresh_runs_can_confirm_a_prompt_at_all(alpha: float, runs: int) -> None:
    assert least_runs(alpha) == runs
    assert fisher_worse(runs, runs, 0, runs) <= alpha + 1e-12 < fisher_worse(runs - 1, runs - 1, 0, runs - 1)
