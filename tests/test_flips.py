"""Two stages of a baseline run: the screen, fresh runs of the suspects, flips confirmed by exact tests; what is missing never passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import comb
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.diff import CHANGES
from detent.evidence.flips import RunKey, baseline_evidence, next_runs, suspects
from detent.terms import Arm, BaselineStage, Case, Endpoint, Run

STAGE = BaselineStage(screen=3, confirm=20, stable_repeats=10, fdr=0.10)
SMALL = BaselineStage(screen=2, confirm=3, stable_repeats=2, fdr=0.10)


def case(name: str) -> Case:
    return Case(
        id=name, route="summarizer", endpoint=Endpoint.OPENAI_CHAT, request=b"{}", known_good="", frozen_at=datetime(2026, 3, 1, tzinfo=UTC)
    )


def run(key: RunKey, passed: bool | None, *changes: str, content: float | None = None, failed: tuple[str, ...] = ()) -> Run:
    output = f"{key.stage} {key.arm} {key.repeat} {'ok' if passed else changes}"
    return Run(
        rollout="ro_1",
        case=key.case,
        arm=key.arm,
        stage=key.stage,
        repeat=key.repeat,
        passed=passed,
        content=content,
        changes=changes,
        failed_checks=failed,
        output=output,
    )


def runs(name: str, arm: Arm, stage: str, passed: int, of: int, *changes: str, first: int = 0) -> list[Run]:
    """`passed` right and then `of - passed` wrong ones."""
    keys = [RunKey(name, arm, stage, first + n) for n in range(of)]  # type: ignore[arg-type]
    return [run(key, n < passed, *(changes if n >= passed else ())) for n, key in enumerate(keys)]


def screened(name: str, stable: int = 10, candidate: int = 3) -> list[Run]:
    return runs(name, Arm.STABLE, "screen", stable, 10) + runs(name, Arm.CANDIDATE, "screen", candidate, 3)


def confirmed(name: str, stable: int, candidate: int, *changes: str) -> list[Run]:
    return runs(name, Arm.STABLE, "confirm", stable, 20) + runs(name, Arm.CANDIDATE, "confirm", candidate, 20, *changes)


def made(stage: BaselineStage, names: Sequence[str], answer: Callable[[RunKey], bool | None], done: Sequence[Run] = ()) -> list[Run]:
    """A run from here to its end."""
    found = list(done)
    while pending := next_runs(stage, names, found):
        found += [run(key, answer(key)) for key in pending]
    return found


# ── which calls are still to be made ──


def test_the_whole_screen_comes_first() -> None:
    pending = next_runs(STAGE, ["a", "b"], [])
    assert Counter((k.case, k.arm, k.stage) for k in pending) == {
        ("a", Arm.STABLE, "screen"): 10,
        ("a", Arm.CANDIDATE, "screen"): 3,
        ("b", Arm.STABLE, "screen"): 10,
        ("b", Arm.CANDIDATE, "screen"): 3,
    }
    assert len(set(pending)) == 26


def test_then_fresh_runs_of_both_versions_on_the_suspects_only() -> None:
    """In two halves: one that shows no drop at all spares the second."""
    names = ["fine", "suspect", "better"]
    done = screened("fine") + screened("suspect", candidate=2) + screened("better", stable=5)
    pending = next_runs(STAGE, names, done)
    assert Counter((k.case, k.arm, k.stage) for k in pending) == {
        ("suspect", Arm.STABLE, "confirm"): 10,
        ("suspect", Arm.CANDIDATE, "confirm"): 10,
    }
    done = made(STAGE, names, lambda key: key.arm is Arm.STABLE, done)
    assert Counter((r.case, r.arm) for r in done if r.stage == "confirm") == {("suspect", Arm.STABLE): 20, ("suspect", Arm.CANDIDATE): 20}


def test_no_suspect_no_second_stage() -> None:
    assert next_runs(STAGE, ["fine"], screened("fine")) == ()
    assert next_runs(STAGE, [], []) == ()


@pytest.mark.parametrize(
    ("stable", "candidate", "suspect"),
    [(10, 2, True), (10, 3, False), (6, 1, False), (7, 1, True), (9, 2, False), (10, 0, True), (3, 0, True), (2, 0, False)],
)
def test_a_drop_of_three_tenths_is_suspicious(stable: int, candidate: int, suspect: bool) -> None:
    # statistics 2.5.3: drop >= 0.3; 6/10 - 1/3 = 0.267, 7/10 - 1/3 = 0.367, 9/10 - 2/3 = 0.233, 3/10 - 0 = 0.3 exactly
    assert suspects(["a"], screened("a", stable, candidate)) == (("a",) if suspect else ())


def test_a_killed_run_goes_on_where_it_was() -> None:
    first = next_runs(STAGE, ["a", "b"], [])
    done = [run(key, True) for key in first[:7]]
    assert next_runs(STAGE, ["a", "b"], done) == first[7:]
    assert next_runs(STAGE, ["a", "b"], list(reversed(done))) == first[7:], "in whatever order the store gives them back"


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_wherever_it_is_killed_each_call_is_made_once_and_the_end_is_the_same(data: st.DataObject) -> None:
    names = ["a", "b", "c"]
    chance = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from([True, False, None]), max_size=3))

    def answer(key: RunKey) -> bool | None:
        return chance.get(key.case, True) if key.arm is Arm.CANDIDATE else True

    whole = made(SMALL, names, answer)
    broken: list[Run] = []
    while pending := next_runs(SMALL, names, broken):
        stored = data.draw(st.integers(1, len(pending)))
        broken += [run(key, answer(key)) for key in pending[:stored]]
    keys = [RunKey(r.case, r.arm, r.stage, r.repeat) for r in broken]
    assert len(keys) == len(set(keys))
    assert set(broken) == set(whole)


def test_a_call_that_could_not_be_scored_is_made_once_more() -> None:
    outage = {RunKey("a", Arm.CANDIDATE, "screen", 0), RunKey("a", Arm.STABLE, "screen", 4)}
    done = made(STAGE, ["a"], lambda key: None if key in outage else True)
    assert Counter((r.arm, r.passed) for r in done) == {
        (Arm.STABLE, True): 10,
        (Arm.STABLE, None): 1,
        (Arm.CANDIDATE, True): 3,
        (Arm.CANDIDATE, None): 1,
    }
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.pending, found.errors) == (0, 0)


def test_a_version_that_never_answers_does_not_cost_for_ever_and_never_passes() -> None:
    done = made(STAGE, ["a"], lambda key: None if key.arm is Arm.CANDIDATE else True)
    assert sum(r.arm is Arm.CANDIDATE for r in done) == 2 * STAGE.screen
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.pending, found.errors, found.confirmed) == (0, 1, ())


def test_a_suspect_that_could_not_be_run_again_is_not_cleared_by_that() -> None:
    done = made(STAGE, ["a"], lambda key: (key.arm is Arm.STABLE) if key.stage == "screen" else None)
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.suspects, found.confirmed, found.errors) == (1, (), 1)


def test_runs_of_a_baseline_that_was_frozen_before_count_for_nothing() -> None:
    former = screened("gone", candidate=0)
    assert next_runs(STAGE, ["a"], former + screened("a")) == ()
    found = baseline_evidence(STAGE, [case("a")], former + screened("a"))
    assert (found.cases, found.suspects, found.errors) == (1, 0, 0)


# ── where it stands ──


def test_a_half_made_run_accuses_nobody() -> None:
    done = screened("a", candidate=0) + confirmed("a", 20, 0)[:-1]
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.pending, found.suspects, found.confirmed, found.errors) == (1, 1, (), 0)


def test_a_collapse_is_confirmed_with_the_exact_chance_of_it() -> None:
    done = screened("a", candidate=0) + confirmed("a", 20, 0, "fence_added")
    (flip,) = baseline_evidence(STAGE, [case("a")], done).confirmed
    # One of the C(40, 20) ways to choose which 20 of the 40 runs pass has all of them on stable's side.
    assert flip.p_value == pytest.approx(1 / 137_846_528_820, rel=1e-9)
    assert (flip.stable_passed, flip.stable_runs, flip.candidate_passed, flip.candidate_runs) == (20, 20, 0, 20)
    assert (flip.kind, flip.cause, flip.changes) == ("negative", "fence_added", ("fence_added",))
    assert flip.stable_output == "confirm stable 0 ok"
    assert flip.candidate_output == "confirm candidate 0 ('fence_added',)"


def worse(stable: int, candidate: int) -> float:
    """Fisher's one-sided p of `candidate` of 20 against `stable` of 20, by counting tables."""
    passes = stable + candidate
    ways = [comb(20, x) * comb(20, passes - x) for x in range(max(0, passes - 20), candidate + 1)]
    return sum(ways) / comb(40, passes)


def test_the_false_discovery_rate_is_kept_over_the_suspects() -> None:
    """Benjamini & Hochberg 1995: the k-th smallest of m p-values is rejected up to the largest k with p <= k/m fdr."""
    names = ["sure", "likely", "unclear", "fine"]
    done = [*screened("fine")]
    for name, counts in {"sure": (20, 0), "likely": (20, 15), "unclear": (19, 16)}.items():
        done += screened(name, candidate=1) + confirmed(name, *counts)
    # By hand: 15504 / 658008 = 0.0236 and 0.171. At fdr .1 with m = 3 the steps are .033, .067, .1: two are rejected.
    assert worse(20, 15) == pytest.approx(15504 / 658008)
    assert worse(19, 16) == pytest.approx(0.171, abs=0.001)
    found = baseline_evidence(STAGE, [case(n) for n in names], done)
    assert {f.case: f.p_value for f in found.confirmed} == pytest.approx({"sure": worse(20, 0), "likely": worse(20, 15)})
    strict = BaselineStage(screen=3, confirm=20, stable_repeats=10, fdr=0.01)  # steps .0033, .0067, .01
    assert [f.case for f in baseline_evidence(strict, [case(n) for n in names], done).confirmed] == ["sure"]


def test_one_small_p_among_many_suspects_is_no_discovery() -> None:
    """By hand: p = 4845 / 91390 = .053 (20 of 20 against 16) and .171 twice; the steps are .033, .067, .1 and none is reached."""
    assert worse(20, 16) == pytest.approx(4845 / 91390)
    done = []
    for name, counts in {"a": (20, 16), "b": (19, 16), "c": (19, 16)}.items():
        done += screened(name, candidate=1) + confirmed(name, *counts)
    assert baseline_evidence(STAGE, [case(n) for n in "abc"], done).confirmed == ()


def test_the_selection_does_not_count_as_evidence() -> None:
    """The screen that made a prompt suspicious is not tested again with the fresh runs."""
    done = screened("a", candidate=0) + confirmed("a", 20, 20)
    found = baseline_evidence(STAGE, [case("a")], done)
    assert (found.suspects, found.confirmed, found.errors) == (1, (), 0)


def test_the_cause_is_what_most_failing_runs_share_and_a_tie_goes_to_the_more_telling_one() -> None:
    def cause(*of_failing: tuple[str, ...]) -> str:
        failing = [run(RunKey("a", Arm.CANDIDATE, "confirm", n), False, *changes) for n, changes in enumerate(of_failing)]
        rest = [run(RunKey("a", Arm.CANDIDATE, "confirm", n), False, "key_missing") for n in range(len(failing), 20)]
        done = screened("a", candidate=0) + runs("a", Arm.STABLE, "confirm", 20, 20) + failing + rest
        (flip,) = baseline_evidence(STAGE, [case("a")], done).confirmed
        return flip.cause

    order = [change.name for change in CHANGES]
    assert order.index("fence_added") < order.index("key_missing") < order.index("key_added"), "the table of named changes"
    assert cause() == "key_missing"
    assert cause(*[("key_added",)] * 10) == "key_missing", "a tie: the more telling one"
    assert cause(*[("fence_added", "json_broken")] * 10) == "fence_added"
    assert cause(*[("key_added",)] * 11) == "key_added", "the commoner one"


def test_a_failing_run_without_a_named_change_is_named_by_its_check() -> None:
    failing = [run(RunKey("a", Arm.CANDIDATE, "confirm", n), False, failed=("context_agreement",)) for n in range(20)]
    done = screened("a", candidate=0) + runs("a", Arm.STABLE, "confirm", 20, 20) + failing
    (flip,) = baseline_evidence(STAGE, [case("a")], done).confirmed
    assert (flip.cause, flip.changes) == ("context_agreement", ())


def test_the_noise_floor_is_how_often_stable_disagrees_with_itself() -> None:
    # statistics 2.5.1: p(1-p)k/(k-1) a prompt: 10 of 10 -> 0; 5 of 10 -> 5*5/(10*9) = .2778; 9 of 10 -> 9*1/90 = .1
    done = screened("a") + screened("b", stable=5) + screened("c", stable=9)
    found = baseline_evidence(STAGE, [case("a"), case("b"), case("c")], done)
    assert found.noise_floor == pytest.approx((0 + 25 / 90 + 9 / 90) / 3)
    assert baseline_evidence(STAGE, [case("a")], []).noise_floor is None


def test_prompts_that_only_the_candidate_answers_and_those_that_nobody_does() -> None:
    done = screened("better", stable=0) + screened("hopeless", stable=0, candidate=0) + screened("fine")
    found = baseline_evidence(STAGE, [case("better"), case("hopeless"), case("fine")], done)
    assert (found.positive, found.never_right, found.suspects) == (1, 2, 0)


def test_the_mean_score_weighs_every_prompt_alike_and_knows_of_no_missing_zero() -> None:
    def score(name: str, arm: Arm, *values: float | None) -> list[Run]:
        return [run(RunKey(name, arm, "screen", n), True, content=value) for n, value in enumerate(values)]

    done = score("a", Arm.STABLE, 1.0, 1.0, 0.5, 0.5) + score("b", Arm.STABLE, 0.25, None) + score("c", Arm.STABLE, None)
    found = baseline_evidence(STAGE, [case("a"), case("b"), case("c")], done)
    assert found.content_stable == pytest.approx((0.75 + 0.25) / 2)
    assert found.content_candidate is None


# ── what the two stages promise over many releases (statistics 3.10, bar 9) ──


def release(random: Random, stable: Sequence[float], candidate: Sequence[float]) -> tuple[set[str], int]:
    """One release: the prompts confirmed as flipped, and the calls of the new version plus all second-stage ones."""
    names = [f"p{n}" for n in range(len(stable))]
    rates = {Arm.STABLE: dict(zip(names, stable, strict=True)), Arm.CANDIDATE: dict(zip(names, candidate, strict=True))}
    done = made(STAGE, names, lambda key: random.random() < rates[key.arm][key.case])
    found = baseline_evidence(STAGE, [case(name) for name in names], done)
    return {flip.case for flip in found.confirmed}, sum(r.stage == "confirm" or r.arm is Arm.CANDIDATE for r in done)


def test_planted_collapses_are_found_at_the_cost_that_was_promised() -> None:
    """The set of statistics 3.10 at a tenth of its size: 80 % pass .996, 10 % .85, 10 % .55; 2 % of the prompts collapse to .1."""
    random = Random(20)
    stable = [0.996] * 160 + [0.85] * 20 + [0.55] * 20
    candidate = [0.1] * 4 + stable[4:]
    found, planted, false, calls = 0, 0, 0, []
    for _ in range(6):
        flips, made_calls = release(random, stable, candidate)
        damaged = {f"p{n}" for n in range(4)}
        found, planted, false = found + len(flips & damaged), planted + 4, false + len(flips - damaged)
        calls.append(made_calls)
    # Measured there: 99.8 % of collapses found, 2.3 % false discoveries, 2,687 calls for 500 prompts, so 1,075 for 200.
    assert found == planted
    assert false <= 3
    assert max(calls) <= 1.5 * 1_075


def test_an_unchanged_version_is_seldom_rejected_for_its_own_noise() -> None:
    """A hundred releases of a version whose prompts each fail in 5 % of the runs. Statistics 4, bar 9: at most 5 % of them are flagged."""
    random = Random(21)
    rejected = sum(bool(release(random, [0.95] * 100, [0.95] * 100)[0]) for _ in range(100))
    assert rejected <= 5
