"""What is found beside the flips: refused requests, left scripts, named changes, and the verdict. What is missing never passes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from detent.evidence import causes
from detent.evidence.flips import RunKey, asked_cases, baseline_evidence, next_runs, verdict
from detent.evidence.verdict import TABLE, finding
from detent.stats.paired import discoveries
from detent.terms import Arm, BaselineEvidence, BaselineStage, Blessing, Case, Refused, Run, Slice, Verdict
from playbook import flip
from test_flips import STAGE, case, confirmed, made, run, runs, screened

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def agent(name: str, *, stable_left: int = 0, candidate_left: int = 0) -> list[Run]:
    """The screen of an agent case: so many of 10 and of 3 runs left the script, the others passed."""
    return left(name, Arm.STABLE, "screen", stable_left, 10) + left(name, Arm.CANDIDATE, "screen", candidate_left, 3)


def left(name: str, arm: Arm, stage: str, n: int, of: int) -> list[Run]:
    made = [run(RunKey(name, arm, stage, i), None if i < n else True) for i in range(of)]  # type: ignore[arg-type]
    return [replace(r, left_script="lookup({})") if r.passed is None else r for r in made]


def asking(name: str, **parameters: str) -> Case:
    body = ", ".join(['"model": "m"', '"messages": []', *(f'"{key}": {value}' for key, value in parameters.items())])
    return replace(case(name), request=f"{{{body}}}".encode())


def refused_twice(name: str) -> list[Run]:
    """Stable took it once, and the candidate refused it twice."""
    return [run(RunKey(name, Arm.STABLE, "screen", 0), True), refusal(name), refusal(name, repeat=1)]


def refusal(name: str, arm: Arm = Arm.CANDIDATE, repeat: int = 0) -> Run:
    said = replace(run(RunKey(name, arm, "screen", repeat), False), request_refused=True, error="Unsupported parameter: 'temperature'")
    return replace(said, failed_checks=("request_refused",))


# ── a shape of request that the candidate refuses ──


def test_one_refused_request_speaks_for_its_shape_and_no_more_is_spent_on_it() -> None:
    hot = [asking(name, temperature="0.7") for name in ("a", "b", "c")]
    cases = [*hot, asking("d")]
    done = [*refused_twice("a"), *screened("d")]
    assert asked_cases(cases, done) == ("d",)
    assert next_runs(STAGE, ["a", "d"], done) == (), "nor is the refused case itself asked again"
    found = baseline_evidence(STAGE, cases, done)
    assert found.refused == (Refused(shape="temperature=0.7", said="Unsupported parameter: 'temperature'", cases=3),)
    assert (found.cases, found.pending, found.errors, found.suspects, found.confirmed) == (4, 0, 0, 0, ())
    said, why = verdict(found)
    assert said is Verdict.REGRESSION
    assert why == (
        "the candidate refuses the requests of 3 of 4 prompts: `temperature=0.7` (3 prompts): Unsupported parameter: 'temperature'"
    )


def test_a_refusal_is_a_finding_while_the_others_still_run() -> None:
    found = baseline_evidence(STAGE, [asking("a", temperature="0.7"), asking("b")], refused_twice("a"))
    assert found.pending == 13
    assert finding(found).reason == "RequestRefused"


def test_what_stable_is_refused_as_well_says_nothing_of_the_candidate_and_is_no_pass() -> None:
    cases = [asking("a", temperature="0.7"), asking("b", temperature="0.7"), asking("c")]
    found = baseline_evidence(STAGE, cases, [refusal("a"), refusal("b", Arm.STABLE), refusal("b", Arm.STABLE, 1), *screened("c")])
    assert (found.refused, found.errors, found.pending) == ((), 2, 0)
    assert verdict(found)[0] is Verdict.INCONCLUSIVE


def test_the_providers_words_are_kept_short() -> None:
    long = [replace(r, error="no " * 100_000) for r in refused_twice("a")]
    (shape,) = baseline_evidence(STAGE, [asking("a")], long).refused
    assert len(shape.said) == 300


def test_no_refusal_condemns_before_stable_was_asked_and_the_candidate_a_second_time() -> None:
    hot = [asking(name, temperature="0.7") for name in ("a", "b")]
    done = [refusal("a")]
    assert asked_cases(hot, done) == ("a",), "the other of this shape waits"
    assert next_runs(STAGE, ["a"], done) == (RunKey("a", Arm.STABLE, "screen", 0), RunKey("a", Arm.CANDIDATE, "screen", 1))
    assert baseline_evidence(STAGE, hot, done).refused == ()
    taken = run(RunKey("a", Arm.STABLE, "screen", 0), True)
    assert baseline_evidence(STAGE, hot, [*done, taken]).refused == ()
    (shape,) = baseline_evidence(STAGE, hot, [*done, taken, refusal("a", repeat=1)]).refused
    assert shape.cases == 2


def test_a_candidate_that_answers_the_second_time_is_asked_for_all_of_the_shape_again() -> None:
    hot = [asking(name, temperature="0.7") for name in ("a", "b")]
    done = [refusal("a"), run(RunKey("a", Arm.STABLE, "screen", 0), True), run(RunKey("a", Arm.CANDIDATE, "screen", 1), True)]
    assert asked_cases(hot, done) == ("a", "b")
    assert Counter(key.case for key in next_runs(STAGE, ["a", "b"], done)) == {"a": 9 + 1, "b": 13}


def test_a_shape_that_both_versions_refuse_is_no_finding_and_no_pass() -> None:
    hot = [asking(name, temperature="0.7") for name in ("a", "b")]
    done = [refusal("a"), refusal("a", repeat=1), refusal("a", Arm.STABLE)]
    assert next_runs(STAGE, asked_cases(hot, done), done) == (RunKey("a", Arm.STABLE, "screen", 1),)
    found = baseline_evidence(STAGE, [*hot, asking("c")], [*done, refusal("a", Arm.STABLE, 1), *screened("c")])
    assert (found.refused, found.errors, found.pending) == ((), 2, 0)
    assert verdict(found)[0] is Verdict.INCONCLUSIVE


def test_one_case_refused_of_a_shape_that_the_candidate_takes_otherwise_is_named_alone() -> None:
    done = [*screened("a"), *refused_twice("b")]
    (shape,) = baseline_evidence(STAGE, [asking("a"), asking("b")], done).refused
    assert shape.cases == 1


@pytest.mark.parametrize("seed", range(40))
def test_however_requests_are_refused_it_comes_to_an_end_and_what_is_not_known_is_no_pass(seed: int) -> None:
    draw = Random(seed)
    cases = [asking(name, temperature="0.7") for name in "abc"] + [asking(name, seed="1") for name in "de"] + [asking("f")]
    often = {(case.id, arm): draw.choice([0.0, 0.0, 0.5, 1.0]) for case in cases for arm in Arm}
    done: list[Run] = []
    while pending := next_runs(STAGE, asked_cases(cases, done), done):
        for key in draw.sample(pending, min(len(pending), 4)):
            refused = draw.random() < often[key.case, key.arm]
            unscored = draw.random() < 0.05
            answer = run(key, None if unscored else not refused)
            done.append(replace(answer, request_refused=refused and not unscored, error="no such parameter" if refused else None))
    assert len({(r.case, r.arm, r.stage, r.repeat) for r in done}) == len(done) <= 6 * 2 * 53
    found = baseline_evidence(STAGE, cases, done)
    assert found.pending == 0
    scored = {case.id for case in cases if all(any(r.passed and r.case == case.id and r.arm is arm for r in done) for arm in Arm)}
    assert found.errors + sum(shape.cases for shape in found.refused) + len(scored) >= len(cases)


def test_the_words_of_a_case_of_the_blind_reserve_are_not_shown() -> None:
    hidden = replace(asking("a"), reserve=True)
    (shape,) = baseline_evidence(STAGE, [hidden], refused_twice("a")).refused
    assert shape.said == "case a is of the blind reserve: what was said is not shown"
    (shape,) = baseline_evidence(STAGE, [hidden, asking("b")], [*refused_twice("a"), *refused_twice("b")]).refused
    assert shape.said == "Unsupported parameter: 'temperature'"


# ── agent cases that leave their script ──


def test_a_left_script_is_not_asked_for_again_and_is_confirmed_on_fresh_runs_like_any_suspicion() -> None:
    done = agent("a", candidate_left=3) + agent("b")
    pending = next_runs(STAGE, ["a", "b"], done)
    assert {(k.case, k.stage) for k in pending} == {("a", "confirm")}
    done += left("a", Arm.STABLE, "confirm", 0, 20) + left("a", Arm.CANDIDATE, "confirm", 19, 20)
    found = baseline_evidence(STAGE, [case("a"), case("b")], done)
    assert (found.pending, found.errors, found.confirmed, found.left_script) == (0, 0, (), ("a",))
    said, why = verdict(found)
    assert said is Verdict.INCONCLUSIVE
    assert "leaves the recorded script of 1 of 2 prompts" in why


def test_it_costs_no_more_than_two_stages_however_often_it_is_left() -> None:
    def leaving(key: RunKey) -> Run:
        gone = key.arm is Arm.CANDIDATE
        return replace(run(key, None if gone else True), left_script="lookup({})" if gone else "")

    done: list[Run] = []
    while pending := next_runs(STAGE, ["a"], done):
        done += [leaving(key) for key in pending]
    assert Counter((r.arm, r.stage) for r in done) == {
        (Arm.STABLE, "screen"): 10,
        (Arm.CANDIDATE, "screen"): 3,
        (Arm.STABLE, "confirm"): 20,
        (Arm.CANDIDATE, "confirm"): 20,
    }


def test_leaving_now_and_then_is_no_finding_and_what_is_left_neither_passes_nor_fails() -> None:
    done = agent("a", stable_left=2, candidate_left=1)
    assert next_runs(STAGE, ["a"], done) == ()
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.left_script, found.suspects, found.errors, found.never_right) == ((), 0, 0, 0)
    assert found.overall is not None
    assert (found.overall.stable, found.overall.candidate) == (1.0, 1.0), "8 of 8 and 2 of 2 scored runs"


def test_chance_alone_does_not_leave_a_script() -> None:
    done = agent("a", stable_left=4, candidate_left=3)
    done += left("a", Arm.STABLE, "confirm", 8, 20) + left("a", Arm.CANDIDATE, "confirm", 11, 20)
    found = baseline_evidence(STAGE, [case("a")], done)
    # By Fisher's exact test 12 of 20 against 9 of 20 kept: p = .26
    assert (found.suspects, found.left_script, found.errors) == (1, (), 0)


def test_a_case_whose_script_stable_leaves_itself_cannot_be_replayed_and_is_no_pass() -> None:
    done = agent("a", stable_left=6, candidate_left=3)
    assert next_runs(STAGE, ["a"], done) == ()
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.not_replayable, found.never_right, found.suspects, found.left_script) == (1, 0, 0, ())
    assert verdict(found)[0] is Verdict.INCONCLUSIVE


def test_a_case_without_one_scored_run_of_the_candidate_is_an_error() -> None:
    """It left in all of the screen and all of the fresh runs, and so, nearly, did stable there: nothing is known of it."""
    done = agent("a", stable_left=5, candidate_left=3)
    done += left("a", Arm.STABLE, "confirm", 19, 20) + left("a", Arm.CANDIDATE, "confirm", 20, 20)
    found = baseline_evidence(STAGE, [case("a"), case("b")], done + screened("b"))
    assert (found.errors, found.left_script) == (1, ())


# ── fresh runs that are not worth their price ──


def test_a_suspect_that_shows_no_drop_in_half_of_its_fresh_runs_is_cleared() -> None:
    half = runs("a", Arm.STABLE, "confirm", 9, 10) + runs("a", Arm.CANDIDATE, "confirm", 9, 10)
    done = screened("a", candidate=1) + half
    assert next_runs(STAGE, ["a"], done) == ()
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.pending, found.suspects, found.confirmed, found.errors) == (0, 1, (), 0)


def test_one_failure_more_is_worth_the_other_half() -> None:
    half = runs("a", Arm.STABLE, "confirm", 9, 10) + runs("a", Arm.CANDIDATE, "confirm", 8, 10)
    pending = next_runs(STAGE, ["a"], screened("a", candidate=1) + half)
    assert Counter((k.arm, k.stage) for k in pending) == {(Arm.STABLE, "confirm"): 10, (Arm.CANDIDATE, "confirm"): 10}
    assert {k.repeat for k in pending} == set(range(10, 20))


def test_a_stage_with_few_fresh_runs_makes_all_of_them() -> None:
    stage = BaselineStage(screen=3, confirm=19, stable_repeats=10)
    assert len(next_runs(stage, ["a"], screened("a", candidate=1))) == 38


def test_a_half_that_failed_to_be_scored_is_made_up_for_before_anything_is_cleared() -> None:
    outage = {RunKey("a", Arm.CANDIDATE, "confirm", n) for n in (0, 1, 2)}
    done = made(STAGE, ["a"], lambda key: None if key in outage else True, screened("a", candidate=0))
    assert Counter((r.arm, r.passed) for r in done if r.stage == "confirm") == {
        (Arm.STABLE, True): 10,
        (Arm.CANDIDATE, True): 10,
        (Arm.CANDIDATE, None): 3,
    }
    assert baseline_evidence(STAGE, [case("a")], done).errors == 0


# ── what is there twice ──


def test_a_run_that_is_there_twice_counts_once() -> None:
    twice = [*screened("a"), *(replace(r, passed=False) for r in screened("a"))]
    found = baseline_evidence(STAGE, [case("a")], twice)
    assert found.overall is not None
    assert (found.overall.stable, found.overall.candidate, found.errors) == (1.0, 1.0, 0)


def test_a_case_that_is_there_twice_is_one_case_and_one_error() -> None:
    found = baseline_evidence(STAGE, [case("a"), case("a")], screened("a"))
    assert (found.cases, found.errors) == (1, 1)
    assert verdict(found)[0] is Verdict.INCONCLUSIVE


# ── what is named is false at most so often ──


def test_where_nothing_changed_anything_is_named_in_one_of_forty_releases_at_most() -> None:
    # A single suspect with p = .053 would pass a rate of 10 % on its own; Simes over one is .053, above .025
    assert discoveries([0.053], 0.10, 0.025) == (False,)
    assert discoveries([0.02], 0.10, 0.025) == (True,)
    assert discoveries([0.053, 1e-6], 0.10, 0.025) == (True, True), "with a sure one beside it, the rate alone decides"


# ── causes ──


def failing(*changes: str, failed: tuple[str, ...] = (), **more: Any) -> Run:
    return replace(run(RunKey("a", Arm.CANDIDATE, "confirm", 0), False, *changes, failed=failed), **more)


def test_a_change_that_stable_shows_as_well_is_not_the_cause() -> None:
    noise = causes.usual([run(RunKey("a", Arm.STABLE, "confirm", n), True, *(["key_added"] if n < 11 else [])) for n in range(20)])
    assert noise == {"key_added"}
    assert causes.cause([failing("key_added", "answer_shortened")], noise) == "answer_shortened"
    assert causes.cause([failing("key_added")], noise) == causes.UNNAMED


def test_words_that_only_changed_are_not_the_cause_while_a_check_names_something() -> None:
    assert causes.cause([failing("reworded", failed=("context_agreement",))]) == "context_agreement"
    assert causes.cause([failing("reworded", judged="worse")]) == causes.JUDGED_WORSE
    assert causes.cause([failing("reworded")]) == "reworded"
    assert causes.cause([failing("reworded", "key_missing", failed=("context_agreement",))]) == "key_missing"


def test_a_lost_prompt_whose_hedge_is_gone_is_confident_and_wrong() -> None:
    done = screened("a", candidate=0) + confirmed("a", 20, 0, "hedging_removed")
    (lost,) = baseline_evidence(STAGE, [case("a")], done).confirmed
    assert lost.notes == ("confident and wrong",)
    (other,) = baseline_evidence(STAGE, [case("a")], screened("a", candidate=0) + confirmed("a", 20, 0, "key_missing")).confirmed
    assert other.notes == ()


def test_a_case_of_the_blind_reserve_is_named_and_its_answers_are_not_shown() -> None:
    done = screened("a", candidate=0) + confirmed("a", 20, 0, "key_missing")
    (lost,) = baseline_evidence(STAGE, [replace(case("a"), reserve=True)], done).confirmed
    assert (lost.case, lost.cause, lost.stable_output, lost.candidate_output) == ("a", "key_missing", "", "")


# ── a change is a change until something says which way ──


def changed(name: str, *, stable: int, candidate: int, change: str = "fence_added", passed: bool = True) -> list[Run]:
    """A screen in which so many of 10 and of 3 runs show a change against the known-good output."""
    first = [run(RunKey(name, Arm.STABLE, "screen", n), True, *([change] if n < stable else [])) for n in range(10)]
    return first + [run(RunKey(name, Arm.CANDIDATE, "screen", n), passed, *([change] if n < candidate else [])) for n in range(3)]


def test_prompts_are_counted_by_what_most_of_the_candidates_runs_show_and_stables_do_not() -> None:
    done = [
        *changed("always", stable=0, candidate=3),
        *changed("mostly", stable=5, candidate=2),
        *changed("seldom", stable=0, candidate=1),
        *changed("noise", stable=6, candidate=3),
        *changed("other", stable=0, candidate=3, change="key_added"),
    ]
    found = baseline_evidence(STAGE, [case(n) for n in ("always", "mostly", "seldom", "noise", "other")], done)
    assert found.changes == {"fence_added": 2, "key_added": 1}
    assert (found.confirmed, found.positive) == ((), 0)
    assert verdict(replace(found, at_least=1, margin=1.0))[0] is Verdict.PASS, "nothing says that any of it is worse"


def test_prompts_that_only_say_it_in_other_words_are_counted_apart() -> None:
    done = changed("a", stable=0, candidate=3, change="reworded") + changed("b", stable=0, candidate=3)
    assert baseline_evidence(STAGE, [case("a"), case("b")], done).reworded == 1


def test_an_old_mistake_that_is_mended_is_no_regression() -> None:
    """Stable's answer was wrong by its label: the candidate's changed one is right."""
    mended = [replace(r, passed=r.arm is Arm.CANDIDATE) for r in changed("a", stable=0, candidate=3)]
    found = baseline_evidence(STAGE, [case("a"), case("b")], mended + screened("b"))
    assert (found.positive, found.never_right, found.confirmed) == (1, 1, ())
    assert found.changes == {"fence_added": 1}
    assert verdict(replace(found, at_least=1, margin=1.0))[0] is Verdict.PASS


# ── what it comes to ──


SURE = Slice(name="overall", cases=50, stable=0.99, candidate=0.98, difference=-0.01, low=-0.03, high=0.01, p_value=0.2)
LOSS = replace(SURE, name="task=refund", cases=20, candidate=0.5, difference=-0.49, low=-0.7, high=-0.3, p_value=1e-6, lost=10, harmed=True)


@pytest.mark.parametrize(
    ("found", "said", "reason"),
    [
        (BaselineEvidence(cases=0, pending=0), Verdict.COULD_NOT_RUN, "NoBaseline"),
        (BaselineEvidence(cases=50, pending=0, errors=50), Verdict.COULD_NOT_RUN, "BaselineCouldNotRun"),
        (BaselineEvidence(cases=50, pending=3), Verdict.INCONCLUSIVE, "BaselineRunning"),
        (BaselineEvidence(cases=50, pending=3, over_budget=True), Verdict.INCONCLUSIVE, "BaselineBudget"),
        (BaselineEvidence(cases=50, pending=0, over_budget=True, errors=4), Verdict.INCONCLUSIVE, "BaselineBudget"),
        (BaselineEvidence(cases=50, pending=0, errors=1, overall=SURE), Verdict.INCONCLUSIVE, "BaselineInconclusive"),
        (BaselineEvidence(cases=50, pending=0, left_script=("ca_1",)), Verdict.INCONCLUSIVE, "LeftScript"),
        (BaselineEvidence(cases=50, pending=0, never_right=50), Verdict.INCONCLUSIVE, "BaselineInconclusive"),
        (BaselineEvidence(cases=50, pending=0, stale=("it was frozen 31 days ago",)), Verdict.INCONCLUSIVE, "BaselineStale"),
        (BaselineEvidence(cases=50, pending=0, confirmed=(flip("a"),), stale=("x",)), Verdict.REGRESSION, "ConfirmedNegativeFlips"),
        (BaselineEvidence(cases=50, pending=1, confirmed=(flip("a"),)), Verdict.INCONCLUSIVE, "BaselineRunning"),
        (BaselineEvidence(cases=50, pending=0, overall=SURE, slices=(LOSS,), errors=2), Verdict.REGRESSION, "SliceHarmed"),
        (BaselineEvidence(cases=50, pending=0, overall=replace(SURE, harmed=True)), Verdict.REGRESSION, "SliceHarmed"),
        (BaselineEvidence(cases=50, pending=0, overall=SURE, never_right=3), Verdict.PASS, "BaselinePassed"),
    ],
)
def test_only_a_whole_run_without_a_loss_is_a_pass(found: BaselineEvidence, said: Verdict, reason: str) -> None:
    assert (finding(found).verdict, finding(found).reason) == (said, reason)
    assert verdict(found) == (said, finding(found).sentence)
    assert finding(found).sentence


def test_a_regression_is_told_whole() -> None:
    found = BaselineEvidence(cases=50, pending=0, suspects=4, confirmed=(flip("a"), flip("b"), flip("c", "key_renamed")), slices=(LOSS,))
    assert verdict(found)[1] == (
        "3 confirmed negative flips among 50 prompts (4 suspects run again): 2 x fence_added; 1 x key_renamed; a loss that stands: "
        "task=refund -49.0 points [-70.0, -30.0] over 20 prompts, 10 lost and 0 won"
    )


def test_a_pass_says_what_it_rests_on() -> None:
    assert verdict(BaselineEvidence(cases=50, pending=0, overall=SURE, never_right=3))[1] == (
        "no confirmed negative flip among 50 prompts, and no slice is harmed; overall: stable 99.0 %, candidate 98.0 % right over "
        "50 prompts, -1.0 points [-3.0, +1.0], p = 0.2; 0 lost, 0 won; 3 could not be lost, since stable never passes them"
    )


def test_every_reason_stands_for_one_verdict() -> None:
    assert len({(row.reason, row.verdict) for row in TABLE}) == len({row.reason for row in TABLE})


def test_how_much_is_blessed_and_what_was_spent_is_told() -> None:
    good = replace(case("a"), blessed=Blessing(by="checks", at=T0), weight=3.0)
    spent = [replace(r, usd=0.01) for r in screened("a")] + screened("b")
    found = baseline_evidence(STAGE, [good, case("b")], spent)
    assert found.blessed == pytest.approx(0.75)
    assert found.spent_usd == pytest.approx(0.13)
    assert baseline_evidence(STAGE, [], []).blessed is None


def test_calls_that_stopped_at_the_budget_leave_it_undecided() -> None:
    from detent.evidence.spending import stopped_by_budget

    stage = replace(STAGE, budget_usd=1.0)
    stopped = [replace(run(RunKey("b", arm, "screen", n), None), error=stopped_by_budget(1.0)) for arm in Arm for n in range(20)]
    found = baseline_evidence(stage, [case("a"), case("b")], screened("a") + stopped)
    assert (found.over_budget, finding(found).reason) == (True, "BaselineBudget")
    assert found.overall is not None, "what was found until then is shown"
    half = baseline_evidence(stage, [case("a"), case("b")], screened("a", candidate=0) + stopped[:1])
    assert half.pending
    assert half.overall is not None
    assert not half.overall.harmed, "a half-made run accuses nobody"
