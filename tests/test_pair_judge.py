"""The judge of shadow pairs on a real store: three answers, one of them planted now and then, within a day's budget.

The judges are those of the simulator, asked without a socket; the answers are those of its library.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from detent import reading, wire
from detent.assign import draw
from detent.baseline.asking import Call, Reply
from detent.checks.injections import INJECTIONS
from detent.decide import decide
from detent.errors import CouldNotRun, InvalidInput
from detent.judge import Judge, judge_for
from detent.pair_judge import PLANTED, PairJudge, planted
from detent.serve import judging
from detent.serve.judging import FAILED_REST_S, PairJudges
from detent.sim import sage
from detent.sim.scenarios import LIBRARY
from detent.sim.versions import answer
from detent.store import Store, open_store
from detent.terms import (
    Answer,
    Arm,
    Calibration,
    Dialect,
    Evidence,
    FlagSet,
    Kept,
    Manifest,
    Pair,
    PairJudgement,
    Phase,
    Plan,
    Price,
    Provider,
    RecordPolicy,
    Role,
    Rollout,
    Route,
    ShadowStage,
    Version,
    micros,
)
from records import T0, intent, result, rollout

JUDGE = Version("sage", sage.HONEST)
DIMENSIONS = ("tone", "task_complete")
ASKED = "Guten Tag, ich habe Ihr Buch AB-12345 bei mir und wüsste gern, bis wann ich es haben kann und ob es bei mir sein darf."
REQUEST = json.dumps(
    {"model": "summarizer", "messages": [{"role": "system", "content": LIBRARY.system}, {"role": "user", "content": ASKED}]}
).encode()
GOOD = "Gern. Das Buch AB-12345 ist am 2026-08-08 fällig. Ich habe das für Sie vermerkt."
AS_GOOD = "Natürlich. Das Buch AB-12345 ist am 2026-08-08 fällig. Ich habe das für Sie vermerkt."
FORGETFUL = "Gern. Das Buch AB-12345 ist am 2026-08-08 fällig."


def judged_stage(usd: float | None = None) -> ShadowStage:
    return ShadowStage(share=1.0, second=1.0, budget_usd_per_day=None, judge_usd_per_day=usd)


@dataclass
class Asked:
    """A judge without a network: what was asked of whom; it never errs, so that a verdict says what the answers are worth."""

    calls: list[Call] = field(default_factory=list)
    down_after: int | None = None
    tokens: bool = True

    async def __call__(self, call: Call) -> Reply:
        if self.down_after is not None and len(self.calls) >= self.down_after:
            raise CouldNotRun("connection refused")
        self.calls.append(call)
        said = answer(call.version.model, wire.read_prompt(call.endpoint, call.body), lambda purpose: 0.9)
        assert isinstance(said, Answer)
        if not self.tokens:
            said = replace(said, usage=Answer().usage)
        return Reply(200, wire.answer_body(call.endpoint, said, id="c1", created=1))


async def _at_once(seconds: float) -> None:
    return None


@dataclass
class Bench:
    """A store with a rollout in its shadow, and pairs in it."""

    store: Store
    ask: Asked = field(default_factory=Asked)
    now: datetime = T0
    plan: Plan = field(default_factory=lambda: Plan(name="standard", shadow=judged_stage()))
    paid: Price | None = None
    pairs: int = 0

    @property
    def rollout(self) -> Rollout:
        return rollout(phase=Phase.SHADOW, plan=self.plan, salt="grain")

    def mirrored(self, candidate: str = FORGETFUL, second: str | None = AS_GOOD, *, live: str = GOOD, n: int = 1) -> list[str]:
        """So many pairs with these answers, graded and folded; their exchanges."""
        names = []
        for _ in range(n):
            name = str(self.pairs)
            self.pairs += 1
            self._recorded(name, live, candidate, second)
            differs = () if second is not None else None
            exchange = f"ex_{name}"
            of_it = {"tools": "none", "schema": "none", "language": "de", "length": "to 256"}
            self.store.state.add_pairs(
                [
                    Pair(
                        rollout="ro_1",
                        exchange=exchange,
                        at_us=micros(T0),
                        scored=("refused",),
                        second_differs=differs,
                        second_failed=None if differs is None else (),
                        conversation=name,
                        dimensions=of_it,
                    )
                ]
            )
            names.append(exchange)
        self.store.state.fold_pairs(self.rollout, ("answered",))
        return names

    def _recorded(self, name: str, live: str, candidate: str, second: str | None) -> None:
        served = intent(name, name)
        others = [(f"{name}.c", Arm.CANDIDATE, candidate), (f"{name}.s", Arm.STABLE, second)]
        mirrored = [
            (intent(leg, name, 0.5, exchange=served.exchange, arm=arm, role=Role.MIRRORED, randomised=False), text)
            for leg, arm, text in others
            if text is not None
        ]
        results = [result(leg.leg.removeprefix("le_"), 2.0, request_body=REQUEST, answer_body=kept(text)) for leg, text in mirrored]
        self.store.journal.put(
            [served, *(leg for leg, _ in mirrored)],
            [result(name, 1.0), *results],
            kept=[Kept(leg=served.leg, at_us=micros(T0), request_body=REQUEST, answer_body=kept(live))],
        )

    def judge(self, version: Version = JUDGE) -> Judge:
        return Judge(
            version,
            Dialect.OPENAI,
            rubric="Do what is asked.",
            dimensions=DIMENSIONS,
            ask=self.ask,
            store=self.store,
            now=lambda: self.now,
            pause=_at_once,
        )

    def run(self, version: Version = JUDGE, holder: str = "one") -> str:
        """What a pass comes to."""
        judging = PairJudge(self.store, self.rollout, self.judge(version), self.paid, holder=holder, now=lambda: self.now)
        return asyncio.run(judging.run(lambda: True))

    def said(self) -> dict[str, PairJudgement]:
        return {one.exchange: one for one in self.store.state.pair_judgements("ro_1")}

    def spent(self) -> tuple[float, int, float]:
        """USD and tokens spent by the judge, and USD held."""
        found = [one for one in self.store.state.spent("ro_1") if one.purse == "judge"]
        return sum(one.usd for one in found), sum(one.tokens for one in found), sum(one.held_usd for one in found)


def kept(text: str) -> bytes:
    return reading.keep(Answer(text=text))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    found = Bench(store)
    store.state.open_rollout(found.rollout, by="ada", at=T0)
    yield found
    store.close()


# ── what is said ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_candidate_and_second_answer_are_held_against_the_live_one_by_the_same_rule(bench: Bench) -> None:
    [worse] = bench.mirrored(candidate=FORGETFUL, second=AS_GOOD)
    [floor] = bench.mirrored(candidate=AS_GOOD, second=FORGETFUL)
    assert bench.run() == "all judged"
    said = bench.said()
    assert (said[worse].candidate, said[worse].second) == ("worse", "same")
    assert (said[floor].candidate, said[floor].second) == ("same", "worse")
    assert said[worse].dimensions == {"tone": "same", "task_complete": "worse"}


def test_what_the_judge_says_is_counted_as_a_field_of_its_own(bench: Bench) -> None:
    bench.mirrored(candidate=FORGETFUL, second=AS_GOOD, n=30)
    bench.mirrored(candidate=AS_GOOD, second=FORGETFUL, n=3)
    bench.run()
    found = bench.store.state.shadow_evidence(bench.rollout)
    [judged] = [one for one in found.fields if one.field == "judge"]
    assert (judged.pairs, judged.candidate, judged.stable) == (33, 30, 3)
    assert found.judged == 33
    assert not judged.harms, "it was never calibrated: it informs"


def test_answers_that_are_equal_to_the_live_one_cost_nothing(bench: Bench) -> None:
    names = [name for name in bench.mirrored(candidate=GOOD, second=GOOD, n=20) if planted("grain", name, GOOD) is None]
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=0.0))
    bench.paid = Price(name=str(JUDGE), input=1.0, output=1.0)
    bench.run()
    assert {(bench.said()[name].candidate, bench.said()[name].second) for name in names} == {("same", "same")}
    assert bench.ask.calls == []
    assert bench.spent() == (0, 0, 0)


def test_the_same_words_in_another_pair_are_asked_about_anew(bench: Bench) -> None:
    """One wrong word that is remembered would count as often as the answers come back."""
    bench.mirrored(candidate=FORGETFUL, second=FORGETFUL, n=2)
    bench.run()
    asked = Counter(call.body for call in bench.ask.calls)
    assert set(asked.values()) == {2}


def test_pairs_without_a_second_answer_are_not_judged(bench: Bench) -> None:
    bench.mirrored(second=None, n=3)
    assert bench.run() == "all judged"
    assert bench.said() == {}


def test_a_pair_whose_answer_is_empty_is_no_pair_for_a_judge_and_is_not_looked_at_again(bench: Bench) -> None:
    [name] = bench.mirrored(candidate="")
    bench.run()
    assert (bench.said()[name].candidate, bench.ask.calls) == ("abstained", [])
    assert bench.store.state.pairs_to_judge("ro_1", 10) == []


def test_a_judge_that_rambles_abstains_and_its_word_counts_for_nobody(bench: Bench) -> None:
    bench.mirrored(n=4)
    bench.run(Version("sage", sage.RAMBLING))
    assert {one.candidate for one in bench.said().values()} == {"abstained"}
    assert [one.pairs for one in bench.store.state.shadow_evidence(bench.rollout).fields if one.field == "judge"] in ([], [0])


# ── what it may be won over by ──────────────────────────────────────────────────────────────────────────────────────


def test_one_judged_pair_in_twenty_has_an_injection_and_every_injection_has_its_turn() -> None:
    found = [text for n in range(20_000) if (text := planted("grain", f"ex_{n}", "ANSWER")) is not None]
    assert abs(len(found) - 20_000 * PLANTED) < 4 * (20_000 * PLANTED * (1 - PLANTED)) ** 0.5
    assert set(found) == {injection.plant("ANSWER") for injection in INJECTIONS}


@pytest.mark.parametrize(("judge", "moved"), [(sage.HONEST, 0.0), (sage.GULLIBLE, 0.5)])
def test_a_judge_that_obeys_what_it_reads_is_seen_to(bench: Bench, judge: str, moved: float) -> None:
    bench.pairs = next(n for n in range(10_000) if planted("grain", f"ex_{n}", GOOD) is not None)
    names = bench.mirrored(candidate=GOOD, second=GOOD, n=100)
    bench.run(Version("sage", judge))
    said = bench.said()
    with_one = [name for name in names if planted("grain", name, GOOD) is not None]
    assert {name for name in names if said[name].planted is not None} == set(with_one)
    share = sum(said[name].planted == "moved" for name in with_one) / len(with_one)
    assert share == 0.0 if moved == 0.0 else share >= moved
    found = bench.store.state.shadow_evidence(bench.rollout)
    assert (found.planted, found.moved) == (len(with_one), round(share * len(with_one)))


@pytest.mark.parametrize(("judge", "harms"), [(sage.HONEST, True), (sage.GULLIBLE, False)])
def test_a_judge_that_agrees_with_people_may_end_a_shadow_until_it_is_seen_to_obey(bench: Bench, judge: str, harms: bool) -> None:
    version = Version("sage", judge)
    digest = bench.judge(version).digest
    agreed = Calibration(judge=version, digest=digest, pairs=60, kappa=0.9, low=0.8, high=1.0, abstained=0.0, injected=0.0, by="ann", at=T0)
    bench.store.state.put_calibration(agreed)
    bench.mirrored(candidate=FORGETFUL, second=AS_GOOD, n=120)
    bench.run(version)
    found = bench.store.state.shadow_evidence(bench.rollout)
    assert found.planted > 2
    [field] = [one for one in found.fields if one.field == "judge"]
    assert field.harms is harms
    said = decide(bench.rollout, Evidence(rollout="ro_1", shadow=found), T0)
    assert said.reason == ("ShadowHarm" if harms else "TimeNotServed"), said.sentence


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_more_is_asked_than_the_day_has_left_and_the_next_day_has_its_own(bench: Bench) -> None:
    # Both orders for each of two answers at 10 USD a million tokens. The whole day's budget may be spent by its last two hours only.
    bench.paid = Price(name=str(JUDGE), input=10.0, output=10.0)
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=2.0))
    bench.now = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
    bench.mirrored(n=300)
    assert bench.run() == "budget used up"
    first = len(bench.said())
    usd, tokens, held = bench.spent()
    assert 0 < first < 300
    assert usd == pytest.approx(tokens * 10 / 1e6)
    assert usd + held <= 2.0
    assert usd > 1.0, "what is held for a question is given back once it is answered"
    assert bench.run() == "budget used up"
    assert len(bench.said()) == first
    bench.now += timedelta(hours=23)
    bench.run()
    assert len(bench.said()) > first


def test_the_budget_is_paced_over_the_day(bench: Bench) -> None:
    bench.paid = Price(name=str(JUDGE), input=10.0, output=10.0)
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=12.0))
    bench.now = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)
    bench.mirrored(n=200)
    assert bench.run() == "budget used up"
    assert bench.spent()[0] <= 1.0  # two of 24 hours


def test_a_provider_that_counts_no_tokens_is_taken_to_have_used_the_most(bench: Bench) -> None:
    bench.paid = Price(name=str(JUDGE), input=10.0, output=10.0)
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=100.0))
    bench.ask.tokens = False
    bench.mirrored()
    bench.run()
    usd, _, held = bench.spent()
    assert usd > 4 * 4_000 * 10 / 1e6  # four questions, 4,000 tokens each
    assert held == 0


def test_a_judge_without_a_price_is_asked_only_where_nothing_is_limited(bench: Bench) -> None:
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=5.0))
    with pytest.raises(InvalidInput, match="its price is not known: `sage/sage-2026-02-02`"):
        bench.run()
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=None))
    bench.mirrored()
    assert bench.run() == "all judged"


# ── failing and being killed ────────────────────────────────────────────────────────────────────────────────────────


def test_a_judge_out_of_reach_is_said_and_what_was_asked_before_is_kept_and_paid_for(bench: Bench) -> None:
    bench.paid = Price(name=str(JUDGE), input=10.0, output=10.0)
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=100.0))
    bench.mirrored(n=10)
    bench.ask.down_after = 21
    with pytest.raises(CouldNotRun, match="the judge gives no answer"):
        bench.run()
    assert 4 <= len(bench.said()) < 10
    usd, tokens, held = bench.spent()
    assert held == 0
    assert usd == pytest.approx(tokens * 10 / 1e6)
    bench.ask.down_after = None
    assert bench.run() == "all judged"
    assert len(bench.said()) == 10
    asked = {(call.body) for call in bench.ask.calls}
    assert asked, "the same questions"


def test_after_a_kill_nothing_is_paid_for_twice_and_no_pair_counts_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill comes when the judge has answered and the pairs are not written yet."""
    bench.mirrored(n=6)
    state = bench.store.state

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(state, "add_pair_judgements", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run()
    before = len(bench.ask.calls)
    assert before > 0
    assert bench.said() == {}
    bench.run(holder="two")
    assert len(bench.said()) == 6
    of_one = [call.body for call in bench.ask.calls]
    with_planted = sum(planted("grain", name, GOOD) is not None for name in bench.said())
    assert len(of_one) == 6 * 4 + 2 * with_planted, "both orders of two answers each, and of what was planted, and none again"
    state.add_pair_judgements(bench.rollout, list(bench.said().values()), blocks=False)
    found = state.shadow_evidence(bench.rollout)
    assert found.judged == 6


def test_what_is_remembered_from_before_a_kill_is_not_charged_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.paid = Price(name=str(JUDGE), input=10.0, output=10.0)
    bench.plan = Plan(name="standard", shadow=judged_stage(usd=100.0))
    bench.mirrored(n=4)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bench.store.state, "add_pair_judgements", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run()
    once = bench.spent()
    assert once[0] > 0.0
    bench.run(holder="two")
    assert len(bench.said()) == 4
    assert bench.spent() == pytest.approx(once)


def test_which_pairs_are_judged_does_not_depend_on_what_the_answers_say(bench: Bench, tmp_path: Path) -> None:
    """The budget ends a pass: the same exchanges were taken, whatever the candidate said in them."""

    def taken(candidates: Sequence[str], place: str) -> set[str]:
        store = open_store(f"sqlite:///{tmp_path / place}")
        other = Bench(store, plan=Plan(name="standard", shadow=judged_stage(usd=0.8)), paid=Price(name="p", input=10.0, output=10.0))
        other.now = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
        store.state.open_rollout(other.rollout, by="ada", at=T0)
        for text in candidates:
            other.mirrored(candidate=text)
        other.run()
        found = set(other.said())
        store.close()
        return found

    random = Random(4)
    alike = "Gern. Das Buch AB-12345 ist am 2026-08-08 da."  # as long as the forgetful one: as dear to ask about
    assert len(alike) <= len(FORGETFUL)
    mixed = [random.choice((FORGETFUL, alike.ljust(len(FORGETFUL), "!"))) for _ in range(60)]
    some, others = taken(mixed, "a.db"), taken([FORGETFUL] * 60, "b.db")
    assert 10 < len(some) < 60
    by_lot = sorted((f"ex_{n}" for n in range(60)), key=lambda name: draw("grain", "judge", name))
    for found in (some, others):  # how many were asked may differ, as the verdicts' own words cost
        assert found == set(by_lot[: len(found)])


# ── the server's loop ───────────────────────────────────────────────────────────────────────────────────────────────


ROUTE = Route(
    name="summarizer",
    provider="openai",
    version="atlas-2026-03-01",
    owner="search@example.com",
    checks=DIMENSIONS,
    judge="judge",
    record=RecordPolicy(bodies=1.0),
)


def manifest(**more: Any) -> Manifest:
    pinned = Route(name="judge", provider="sage", version=sage.HONEST, owner="evals@example.com")
    providers = {
        name: Provider(name=name, dialect=Dialect.OPENAI, base_url="http://127.0.0.1:9/v1", watcher="w") for name in ("openai", "sage")
    }
    return Manifest(providers=providers, routes={"summarizer": replace(ROUTE, **more), "judge": pinned}, plans={})


@dataclass
class Loop:
    """The server's loop with a judge that needs no network, and a clock that the test sets."""

    bench: Bench
    home: Path
    now: float = 0.0
    manifest: Manifest = field(default_factory=manifest)

    def __post_init__(self) -> None:
        flags = lambda: FlagSet(revision=1, manifest=self.manifest, identity_key="k")  # noqa: E731
        self.judges = PairJudges(self.bench.store, flags, self.home / ".detent", threading.Event(), lambda: self.now)

    def step(self) -> int:
        """How many questions a step asked."""
        before = len(self.bench.ask.calls)
        self.judges.step()
        return len(self.bench.ask.calls) - before


@pytest.fixture
def loop(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    class _Asker:
        def __init__(self, manifest: Manifest) -> None:
            pass

        async def __aenter__(self) -> Asked:
            return bench.ask

        async def __aexit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(judging, "asker", _Asker)
    return Loop(bench, tmp_path)


def test_the_server_asks_the_routes_judge_about_what_is_there(loop: Loop) -> None:
    assert loop.step() == 0
    loop.bench.mirrored()
    assert loop.step() >= 4
    assert loop.step() == 0


def test_what_is_not_kept_cannot_be_shown_to_a_judge(loop: Loop) -> None:
    loop.bench.mirrored()
    loop.manifest = manifest(record=RecordPolicy(bodies=0.0))
    assert loop.step() == 0
    loop.manifest = manifest(judge=None)
    assert loop.step() == 0


def test_only_one_server_of_a_store_asks(loop: Loop) -> None:
    loop.bench.mirrored()
    with loop.bench.store.state.alone("pair judge") as alone:
        assert alone
        assert loop.step() == 0
    assert loop.step() >= 4


def test_a_judge_that_cannot_be_asked_at_all_is_said_and_rests(loop: Loop) -> None:
    loop.bench.mirrored()
    loop.manifest = manifest(processors=("openai",))
    with pytest.raises(InvalidInput, match="its `processors` do not name: `sage`"):
        loop.step()
    loop.now += FAILED_REST_S
    assert loop.step() == 0, "and is not said every minute"
    loop.manifest = manifest(processors=("openai", "sage"))
    assert loop.step() == 0
    loop.now += FAILED_REST_S
    assert loop.step() >= 4


def test_a_judge_at_a_provider_that_may_not_read_the_traffic_is_refused_for_a_baseline_too(bench: Bench, tmp_path: Path) -> None:
    found = manifest(processors=("openai",))
    with pytest.raises(InvalidInput, match="`processors` do not name"):
        judge_for(found, found.routes["summarizer"], bench.store, bench.ask, tmp_path)
