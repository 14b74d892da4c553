"""Which runs a judge is asked about, what its word does, and that an unchanged version is not condemned by its errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from asked import KEY, ROUTE, TOTAL, case, heard, refusal, reply, used
from detent.baseline import Reply, score
from detent.baseline.judging import Judging
from detent.baseline.lanes import Hopeless
from detent.baseline.scoring import judged, worth_judging
from detent.errors import CouldNotRun
from detent.evidence.flips import RunKey, baseline_evidence, next_runs, verdict
from detent.terms import (
    Arm,
    BaselineStage,
    Case,
    Judged,
    Judgement,
    Price,
    Prompt,
    Route,
    Run,
    ToolCall,
    Verdict,
    Version,
)
from records import T0

JUDGE = Version("other", "judge-1")
PRICES: Mapping[str, Price] = {"other/judge-1": Price(name="other/judge-1", input=2.0, output=10.0)}


def grade(route: Route, of: Case, answer: Reply) -> Run:
    return score(route, of, KEY, "ro_1", heard(of, answer))


def judgement(said: Judged, **dimensions: Judged) -> Judgement:
    return Judgement(id="ju_1", judge=JUDGE, digest="d", said=said, why="no verdict", at=T0, usage=used(1000, 100), dimensions=dimensions)


@dataclass
class Says:
    """A judge with one opinion; out of reach with none."""

    said: Judged | None = "worse"
    blocks: bool = True
    version: Version = JUDGE
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    async def verdict(self, prompt: Prompt, known_good: str, output: str, *, asking: int = 0) -> Judgement:
        self.asked.append((known_good, output, asking))
        if self.said is None:
            raise CouldNotRun("the judge gives no answer: `other/judge-1` (HTTP 500)", hint="")
        return judgement(self.said)


def after(judge: Says, run: Run, of: Case | None = None) -> Run:
    return asyncio.run(Judging(judge, PRICES).judged(of or case("x"), Prompt(), run))


def passing(of: Case | None = None, answer: str = "y", **more: Any) -> Run:
    return replace(grade(replace(ROUTE, checks=()), of or case("x"), reply(answer)), **more)


# ── what is asked ──


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        (reply('{"total": 9}'), True),
        (reply(TOTAL), False),  # what it says is the known-good output
        (reply('{ "total" :7.0}\n'), False),  # the same JSON in another spelling
        (reply('```json\n{"total": 8}\n```'), False),  # the rules say already that it is wrong
        (refusal(400), False),
        (refusal(500), False),
    ],
)
def test_a_judge_is_asked_only_where_it_could_say_more(answer: Reply, worth: bool) -> None:
    assert worth_judging(case(), grade(ROUTE, case(), answer)) is worth


def test_a_judge_is_asked_about_a_mere_rewording_which_may_be_rude() -> None:
    of = case("You can return the shoes within 30 days. The refund takes 5 days.")
    run = passing(of, "Return the shoes within 30 days if you must. The refund takes 5 days.")
    assert worth_judging(of, replace(run, changes=("reworded",)))
    assert not worth_judging(of, replace(run, changes=("whitespace_changed",)))
    assert not worth_judging(of, replace(run, changes=("json_respelt",)))
    assert not worth_judging(of, passing(of, "You can return the shoes within 30 days.\n\nThe refund takes 5 days."))


def test_a_tool_call_is_held_against_the_recorded_call() -> None:
    call = ToolCall("c", "look_up", '{"id": 7}')
    of = case("", known_good_calls=(call,))
    route = replace(ROUTE, checks=())
    same = grade(route, of, reply("", tool_calls=(replace(call, id="d"),)))
    assert same.passed is True
    assert not worth_judging(of, same), "the very same call"
    other = grade(route, of, reply("", tool_calls=(replace(call, arguments='{"id": 8}'),)))
    judge = Says()
    after(judge, other, of)
    assert judge.asked == [('look_up({"id": 7})', 'look_up({"id": 8})', 0)]


@pytest.mark.parametrize(
    ("stage", "repeat", "asking"), [("screen", 0, 0), ("screen", 2, 0), ("screen", 9, 0), ("confirm", 0, 1), ("confirm", 19, 20)]
)
def test_all_repeats_of_both_versions_are_judged_and_fresh_runs_afresh(
    stage: Literal["screen", "confirm"], repeat: int, asking: int
) -> None:
    judge = Says()
    found = after(judge, passing(stage=stage, repeat=repeat, usd=0.001))
    assert judge.asked == [("x", "y", asking)]
    # 1000 tokens in at 2 USD and 100 out at 10 USD a million are 0.003 USD
    assert found.usd == pytest.approx(0.004)


# ── what its word does ──


def test_a_judge_that_agrees_with_people_blocks_and_any_other_informs() -> None:
    run = passing()
    informed = judged(run, judgement("worse"), blocks=False, usd=0.25)
    assert (informed.passed, informed.judged, informed.failed_checks, informed.usd) == (True, "worse", (), 0.25)
    blocked = judged(run, judgement("worse"), blocks=True, usd=None)
    assert (blocked.passed, blocked.failed_checks) == (False, ("judged_worse",))
    assert judged(run, judgement("worse", tone="worse"), blocks=True, usd=None).failed_checks == ("tone",)
    # People's labels were held against the judge's word on the whole, and say nothing of its single dimensions.
    assert judged(run, judgement("same", tone="worse"), blocks=True, usd=None).passed is True
    for fair in ("same", "better"):
        assert judged(run, judgement(fair), blocks=True, usd=None).passed is True


def test_a_judge_that_may_block_and_says_nothing_leaves_the_run_unscored() -> None:
    silent = after(Says("abstained"), passing(usd=0.001))
    assert (silent.passed, silent.judged, silent.error) == (None, "abstained", "the judge gave no verdict: no verdict")
    assert silent.usd == pytest.approx(0.004), "it was paid for"
    keys = next_runs(BaselineStage(screen=3, stable_repeats=3), ["ca_1"], [silent])
    assert RunKey("ca_1", Arm.CANDIDATE, "screen", 3) in keys, "it is made again"


def test_a_judge_that_may_block_and_cannot_be_asked_ends_the_run() -> None:
    with pytest.raises(Hopeless, match=r"the judge could not be asked: the judge gives no answer: `other/judge-1` \(HTTP 500\)"):
        after(Says(None), passing())


@pytest.mark.parametrize("said", [None, "abstained"])
def test_a_judge_that_informs_and_says_nothing_changes_nothing(said: Judged | None) -> None:
    found = after(Says(said, blocks=False), passing())
    assert (found.passed, found.judged, found.error) == (True, "abstained", None)


# ── an unchanged version ──

STAGE = BaselineStage(screen=3, confirm=20, stable_repeats=10)
RELEASES, PROMPTS, WRONG = 60, 40, 0.05


@dataclass
class Errs:
    """A judge that calls a share of answers worse for no reason: always the same word of the same text and asking, as it remembers."""

    seed: int
    share: float = WRONG
    blocks: bool = True
    version: Version = JUDGE
    words: dict[tuple[str, int], Judged] = field(default_factory=dict)

    async def verdict(self, prompt: Prompt, known_good: str, output: str, *, asking: int = 0) -> Judgement:
        heard = random.Random(f"{self.seed}|{output}|{asking}").random()
        return judgement(self.words.setdefault((output, asking), "worse" if heard < self.share else "same"))


def release(seed: int, spoken: Mapping[Arm, int], share: float = WRONG) -> Verdict:
    """One release, run to its end: every prompt is answered in any of so many ways by either version, all of them right."""
    draw, cases = random.Random(seed), [case("x", name=f"p{n}") for n in range(PROMPTS)]
    judging, runs = Judging(Errs(seed, share), PRICES), list[Run]()

    async def call(key: RunKey) -> Run:
        text = f"{key.case} said in way {draw.randrange(spoken[key.arm])}" if spoken[key.arm] else "x"
        run = Run(rollout="ro_1", case=key.case, arm=key.arm, stage=key.stage, repeat=key.repeat, passed=True, content=1.0, output=text)
        return await judging.judged(cases[0], Prompt(), run)

    async def run_all() -> None:
        while keys := next_runs(STAGE, [one.id for one in cases], runs):
            runs.extend([await call(key) for key in keys])

    asyncio.run(run_all())
    return verdict(baseline_evidence(STAGE, cases, runs))[0]


@pytest.mark.parametrize("ways", [1, 3, 1_000_000])
def test_an_unchanged_version_is_not_condemned_by_a_judge_that_errs(ways: int) -> None:
    red = sum(release(seed, {Arm.STABLE: ways, Arm.CANDIDATE: ways}) is Verdict.REGRESSION for seed in range(RELEASES))
    assert red <= WRONG * RELEASES


def test_one_wrong_word_about_a_harmless_rewording_does_not_confirm_itself() -> None:
    """Stable says what is known good, which nobody judges; the candidate rewords every answer, always in the same way."""
    spoken = {Arm.STABLE: 0, Arm.CANDIDATE: 1}
    red = sum(release(seed, spoken, share=0.02) is Verdict.REGRESSION for seed in range(RELEASES))
    assert red <= WRONG * RELEASES


def test_a_version_that_the_judge_finds_worse_again_and_again_is_condemned() -> None:
    assert release(1, {Arm.STABLE: 0, Arm.CANDIDATE: 1}, share=0.9) is Verdict.REGRESSION
