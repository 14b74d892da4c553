"""What became of each prompt, and why: from stored runs to a report. The makers of cases and runs here serve the other report tests too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from detent import diff, report
from detent.evidence import flips
from detent.evidence.tally import RunStage
from detent.terms import (
    Arm,
    Baseline,
    BaselineEvidence,
    BaselineStage,
    Blessing,
    Case,
    Endpoint,
    Refused,
    Report,
    ReportedCase,
    Route,
    Run,
    Slice,
    ToolCall,
    Usage,
    Verdict,
    Version,
)
from records import NEW, OLD, T0

STAGE = BaselineStage(screen=3, confirm=20, stable_repeats=10, fdr=0.10)
ROUTE = Route(name="summarizer", provider=OLD.provider, version=OLD.model, owner="search@example.com", checks=("json_valid",))
MADE = datetime(2026, 6, 3, 9, 30, tzinfo=UTC)

GOOD = '{"total": 12.5}'
FENCED = "```json\n" + GOOD + "\n```"


def case(name: str, asked: str = "What is the total?", good: str = GOOD, **more: Any) -> Case:
    request = json.dumps({"model": "summarizer", "messages": [{"role": "user", "content": asked}]}).encode()
    values = {"endpoint": Endpoint.OPENAI_CHAT, "request": request, "known_good": good, "frozen_at": T0, **more}
    return Case(id=name, route="summarizer", **values)


def runs(name: str, arm: Arm, stage: RunStage, of: int, passed: int, output: str, *changes: str, **more: Any) -> list[Run]:
    """`passed` right ones, then wrong ones; each with that output and those changes."""
    told = {"rollout": "ro_1", "case": name, "arm": arm, "stage": stage, "content": 1.0, "output": output, "changes": changes, **more}
    return [Run(repeat=n, passed=n < passed, **told) for n in range(of)]


def screened(name: str, stable: int, candidate: int, *changes: str, output: str = FENCED, good: str = GOOD, **more: Any) -> list[Run]:
    return runs(name, Arm.STABLE, "screen", 10, stable, good) + runs(name, Arm.CANDIDATE, "screen", 3, candidate, output, *changes, **more)


def lost(name: str, *changes: str, output: str = FENCED, good: str = GOOD, **more: Any) -> list[Run]:
    """Right in every run of stable, wrong in every run of the candidate."""
    fresh = runs(name, Arm.STABLE, "confirm", 20, 20, good) + runs(name, Arm.CANDIDATE, "confirm", 20, 0, output, *changes, **more)
    return screened(name, 10, 0, *changes, output=output, good=good, **more) + fresh


def baseline(*cases: Case, **more: Any) -> Baseline:
    return Baseline(
        **{"route": "summarizer", "digest": "4f1c2a9be0d155aa", "frozen_at": T0, "owner": "search@example.com", "cases": cases, **more}
    )


def told(cases: Sequence[Case], made: Sequence[Run], found: BaselineEvidence | None = None, **more: Any) -> Report:
    """The report of these runs over these cases."""
    found = found or flips.baseline_evidence(STAGE, cases, made)
    verdict, sentence = flips.verdict(found)
    values = {"verdict": verdict, "sentence": sentence, "made_at": MADE, "stage": STAGE, **more}
    return report.build(baseline(*cases), found, made, ROUTE, NEW, **values)


def one(found: Report, name: str) -> ReportedCase:
    (shown,) = [shown for shown in found.cases if shown.id == name]
    return shown


# ── what became of each prompt ──


def test_a_confirmed_flip_is_lost_and_shows_the_outputs_and_the_chance_of_it() -> None:
    found = told([case("a")], lost("a", "fence_added", "json_broken", failed_checks=("json_valid",)))
    shown = one(found, "a")
    assert (found.verdict, shown.status) == (Verdict.REGRESSION, "lost")
    assert (shown.stable_output, shown.candidate_output) == (GOOD, FENCED)
    assert (shown.stable_passed, shown.stable_runs, shown.candidate_passed, shown.candidate_runs) == (20, 20, 0, 20)
    assert shown.p_value == pytest.approx(1 / 137_846_528_820), "one of the C(40, 20) ways to split the runs"
    assert shown.changes[0] == ("fence_added", "```json")
    assert "json_broken" in dict(shown.changes)
    assert shown.failed_checks == ("json_valid",)


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (screened("a", 10, 3, output=GOOD), "same"),
        (screened("a", 10, 3, "fence_added"), "changed"),
        (screened("a", 6, 3), "won"),  # 100 % - 60 % is a rise of 0.4
        (screened("a", 8, 3, output=GOOD), "same"),  # 100 % - 80 % is less than 0.3
        (screened("a", 10, 0)[:12], "not_scored"),  # two of three runs of the candidate
        (screened("a", 10, 0)[:10], "not_scored"),
        (screened("a", 10, 0), "not_scored"),  # suspicious, and the fresh runs are still to be made
        ([], "not_scored"),
    ],
)
def test_the_worst_that_can_be_said_of_a_prompt(made: list[Run], status: str) -> None:
    assert one(told([case("a")], made), "a").status == status


def test_a_suspect_that_fresh_runs_clear_is_no_loss_and_says_with_which_chance() -> None:
    fresh = runs("a", Arm.STABLE, "confirm", 20, 20, GOOD) + runs("a", Arm.CANDIDATE, "confirm", 20, 20, GOOD)
    shown = one(told([case("a")], screened("a", 10, 1) + fresh), "a")
    assert (shown.status, shown.p_value) == ("suspect", 1.0)
    assert (shown.candidate_passed, shown.candidate_runs) == (20, 20), "the fresh runs, which the selection does not touch"


def test_changes_that_only_reword_are_told_apart_from_changes_that_do_not() -> None:
    name = "reworded"
    assert name in diff.BENIGN
    assert one(told([case("a")], screened("a", 10, 3, name)), "a").status == "reworded"
    assert one(told([case("a")], screened("a", 10, 3, name, "fence_added")), "a").status == "changed"


def test_a_change_that_stable_shows_as_well_is_no_news() -> None:
    noisy = runs("a", Arm.STABLE, "screen", 10, 10, FENCED, "fence_added") + runs("a", Arm.CANDIDATE, "screen", 3, 3, FENCED, "fence_added")
    found = told([case("a")], noisy)
    assert (one(found, "a").status, found.causes) == ("same", ())


def test_a_refused_request_is_told_with_the_words_of_the_provider() -> None:
    said = "Unsupported parameter: 'seed'"
    made = runs("a", Arm.STABLE, "screen", 10, 10, GOOD)
    made += [replace(run, request_refused=True, error=said) for run in runs("a", Arm.CANDIDATE, "screen", 2, 0, "")]
    shown = one(told([case("a")], made), "a")
    assert (shown.status, shown.notes) == ("refused", (said,))


def test_leaving_the_script_is_a_status_of_its_own() -> None:
    left = [replace(run, passed=None, left_script="lookup({})") for run in runs("a", Arm.CANDIDATE, "screen", 3, 0, "")]
    found = BaselineEvidence(cases=1, pending=0, left_script=("a",))
    shown = one(told([case("a")], runs("a", Arm.STABLE, "screen", 10, 10, GOOD) + left, found), "a")
    assert (shown.status, shown.notes) == ("left_script", ("no recorded result for: lookup({})",))


def test_the_worst_come_first_and_of_those_the_ones_that_stand_for_most_traffic() -> None:
    cases = [case("same"), case("light"), case("heavy", weight=9.0), case("won"), case("changed", weight=50.0)]
    made = [
        *screened("same", 10, 3, output=GOOD),
        *lost("light", "fence_added"),
        *lost("heavy", "fence_added"),
        *screened("won", 5, 3),
        *screened("changed", 10, 3, "fence_added"),
    ]
    assert [shown.id for shown in told(cases, made).cases] == ["heavy", "light", "won", "changed", "same"]


def test_the_title_is_what_the_user_said_last_on_one_line() -> None:
    messages = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "?"}, {"role": "user", "content": "then\n  this"}]
    talk = replace(case("a"), request=json.dumps({"model": "m", "messages": messages}).encode())
    assert one(told([talk], []), "a").title == "then this"
    assert one(told([replace(talk, request=b"nonsense")], []), "a").title == "(a request that cannot be read)"
    assert one(told([case("a", "word " * 100)], []), "a").title == ("word " * 32).strip()[:160] + " ..."


def test_a_known_good_tool_call_stands_in_where_stable_was_not_run() -> None:
    agent = case("a", good="", known_good_calls=(ToolCall("c1", "lookup", '{"id":7}'),))
    assert one(told([agent], []), "a").stable_output == 'lookup({"id":7})'


# ── causes ──


def test_the_cause_that_lost_most_prompts_comes_first_and_what_lost_none_follows() -> None:
    names = [f"f{n}" for n in range(3)]
    cases = [case(name) for name in (*names, "short", "only_changed")]
    made = [run for name in names for run in lost(name, "fence_added", "json_broken")]
    made += lost("short", "answer_shortened", output="no") + screened("only_changed", 10, 3, "fence_added")
    found = told(cases, made)
    assert [(c.name, c.lost, c.prompts) for c in found.causes] == [
        ("fence_added", 3, 4),
        ("answer_shortened", 1, 1),
        ("json_broken", 0, 3),
    ]
    assert found.causes[0].says == "code fence added"
    assert found.causes[0].example == "f0"


def test_a_failed_check_is_a_cause_and_says_what_it_checks() -> None:
    found = told([case("a")], lost("a", output="twelve and a half", failed_checks=("json_valid",)))
    assert [(c.name, c.lost, c.says) for c in found.causes] == [("json_valid", 1, "check failed: the whole answer parses as JSON")]


# ── the blind reserve ──


def test_the_reserve_counts_everywhere_and_is_shown_nowhere() -> None:
    secret = "PLANTED-MARKER"
    hidden = case("ca_hidden", f"{secret} asks", f"{secret} said", reserve=True, strata={"task": secret})
    made = lost("open", "fence_added") + lost("ca_hidden", "fence_added", output=f"```{secret}```", good=f"{secret} said")
    found = told([case("open"), hidden], made)
    assert (found.withheld, found.evidence.cases, len(found.evidence.confirmed), found.causes[0].lost) == (1, 2, 2, 2)
    assert [shown.id for shown in found.cases] == ["open"]
    assert secret not in repr(found)
    assert "ca_hidden" not in repr(found)


def test_a_sentence_that_quotes_the_reserve_quotes_it_no_longer() -> None:
    found = BaselineEvidence(
        cases=2,
        pending=0,
        refused=(Refused(shape="seed", said="bad value `PLANTED`", cases=1),),
        slices=(Slice(name="task=PLANTED", cases=1, stable=1, candidate=0, difference=-1, low=-1, high=0, p_value=0.1),),
    )
    made = told([case("open"), case("h", reserve=True)], [], found, sentence="refuses seed: bad value `PLANTED`; task=PLANTED fell")
    assert made.sentence == "refuses seed: (withheld); (withheld) fell"
    assert "PLANTED" not in repr(made)


def test_another_candidate_and_a_half_made_run_are_told_as_they_are() -> None:
    found = told([case("a")], screened("a", 10, 0), judge="openai/judge")
    assert (found.verdict, found.candidate, found.judge) == (Verdict.INCONCLUSIVE, NEW, "openai/judge")
    assert isinstance(found.candidate, Version)
    assert found.evidence.pending > 0


# ── what the judge says ──


def with_judge(name: str, said: str, of: int = 3) -> list[Run]:
    """Nothing is lost; the judge says so of `of` of the candidate's three runs."""
    made = runs(name, Arm.CANDIDATE, "screen", 3, 3, "A curt answer.")
    return runs(name, Arm.STABLE, "screen", 10, 10, GOOD) + [replace(run, judged=said) if run.repeat < of else run for run in made]  # type: ignore[arg-type]


def judged_report() -> Report:
    cases = [case(f"{name}", f"question {name}", strata={"task": name}) for name in "abcd"]
    made = [*with_judge("a", "worse"), *with_judge("b", "better"), *with_judge("c", "worse", 1), *with_judge("d", "same")]
    return told(cases, made, judge="openai/judge-1")


def test_what_the_judge_says_of_most_runs_is_told_and_loses_nothing() -> None:
    found = judged_report()
    assert {shown.id: (shown.judged, shown.status) for shown in found.cases} == {
        "a": ("worse", "same"),
        "b": ("better", "same"),
        "c": ("", "same"),
        "d": ("", "same"),
    }


def test_what_the_judge_says_of_stable_too_is_no_news() -> None:
    noisy = [replace(run, judged="worse") for run in with_judge("a", "worse")]
    assert one(told([case("a")], noisy), "a").judged == ""


@pytest.mark.parametrize("form", ["text", "html", "markdown"])
def test_every_form_has_a_place_for_what_the_judge_says(form: str) -> None:
    text = report.FORMS[form].write(judged_report())
    assert "judge says worse (informs only): 1 prompt" in text
    assert "curt" in text, "and shows the answer, though nothing else is wrong with it"


def test_programs_read_what_the_judge_says() -> None:
    written = json.loads(report.FORMS["json"].write(judged_report()))
    assert written["judged"] == {"worse": 1, "better": 1}
    assert [shown["judged"] for shown in written["cases"]] == ["worse", "better", "", ""]


def test_a_browser_filters_by_what_the_judge_says() -> None:
    text = report.FORMS["html"].write(judged_report())
    assert "judge=worse (1)" in text
    assert 'id="judged-worse"' in text


# ── numbers that have to agree ──


def test_a_change_without_a_detail_says_in_how_many_runs_it_was() -> None:
    fresh = runs("a", Arm.STABLE, "confirm", 20, 20, GOOD) + runs("a", Arm.CANDIDATE, "confirm", 20, 19, GOOD)
    first = runs("a", Arm.STABLE, "screen", 10, 10, GOOD) + runs("a", Arm.CANDIDATE, "screen", 3, 2, GOOD)
    made = [replace(run, changes=("tone_changed",)) if run.passed is False else run for run in first + fresh]
    shown = one(told([case("a")], made), "a")
    assert shown.status == "suspect"
    assert shown.changes == (("tone_changed", "in 2 of 23 runs"),)


def test_three_numbers_of_lost_prompts_are_explained_in_a_line() -> None:
    cases = [case("a"), case("b", reserve=True), case("c"), *(case(f"s{n}") for n in range(9))]
    dropped = screened("c", 10, 1) + runs("c", Arm.STABLE, "confirm", 20, 20, GOOD) + runs("c", Arm.CANDIDATE, "confirm", 20, 19, GOOD)
    made = [*lost("a", "fence_added"), *lost("b", "fence_added"), *dropped]
    made += [run for n in range(9) for run in screened(f"s{n}", 10, 3, output=GOOD)]
    text = report.FORMS["text"].write(told(cases, made))
    assert "2 prompts lost, confirmed by fresh runs: 1 shown, 1 in the blind reserve" in text


def test_known_good_outputs_are_counted_by_who_found_them_good() -> None:
    blessed = [case("a", blessed=Blessing(by="checks", at=T0)), case("b", blessed=Blessing(by="ann", at=T0)), case("c")]
    found = told(blessed, [run for name in "abc" for run in screened(name, 10, 3, output=GOOD)])
    assert found.blessed_by == {"checks": 1, "label": 0, "feedback": 0, "people": 1}
    assert "known good: 66.7 % of the traffic (by checks 1, by people 1)" in report.FORMS["text"].write(found)


def test_a_budget_that_stopped_the_calls_is_named_with_the_way_on() -> None:
    made = screened("a", 10, 3, output=GOOD)
    stopped = replace(flips.baseline_evidence(STAGE, [case("a")], made), over_budget=True, spent_usd=1.5)
    made[0] = replace(made[0], usd=1.5)
    made[1] = replace(made[1], usage=Usage(input=10, output=5))
    text = report.FORMS["text"].write(told([case("a")], made, stopped, stage=replace(STAGE, budget_usd=2.0)))
    assert "stopped at the budget of $2.00" in text
    assert "`detent baseline run summarizer --version atlas-2026-06-01 --budget USD`" in text
    assert "spent on this comparison in all: $1.50, and runs whose price is not known: 1" in text
