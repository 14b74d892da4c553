"""Each version of the library harms German readers, all, half or a quarter of them, and nobody else; those that judge err at known rates.

Tolerances are four standard deviations of the binomial count.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from detent import diff, wire
from detent.checks import judge as questions
from detent.checks.families import related
from detent.checks.injections import INJECTIONS
from detent.diff import language
from detent.sim import apps, library, sage
from detent.sim.library import BASE, TRAITS, UNCHANGED
from detent.sim.scenarios import LIBRARY
from detent.sim.versions import VERSIONS, Fault, answer
from detent.terms import Answer, Endpoint, Judged, Message, Prompt

ENGLISH, REFUSING, BLOCKED, MARKED, FORGETFUL, RUDE, SELDOM_ENGLISH, SELDOM_BLOCKED = (f"atlas-2026-10-0{n}" for n in range(1, 9))
HELLO = "Hello, I have your book AB-12345 at home and I would like to know when it is due, and if I can have it for another week."
GUTEN_TAG = "Guten Tag, ich habe Ihr Buch AB-12345 bei mir und wüsste gern, bis wann ich es haben kann und ob es bei mir sein darf."


def noise(seed: str) -> Callable[[str], float]:
    random = Random(seed)
    return lambda purpose: random.random()


def sure(**draws: float) -> Callable[[str], float]:
    """Draws that are fixed by purpose, and 0.9 for all others: no noise and no harm."""
    return lambda purpose: draws.get(purpose, 0.9)


def asked(text: str) -> Prompt:
    return Prompt(system=LIBRARY.system, messages=(Message(role="user", text=text),))


def said(version: str, prompt: Prompt, draw: Callable[[str], float]) -> Answer:
    got = answer(version, prompt, draw)
    assert isinstance(got, Answer)
    return got


# ── readers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_readers_in_a_hundred_write_german_and_some_ask_on() -> None:
    # 5,000 sessions: 100 +- 4 x 9.9 German ones, 750 +- 4 x 25 that ask a second question (binomial).
    counts: Counter[str] = Counter()

    async def ask(messages: apps.Messages, *, json_asked: bool = False) -> apps.Said:
        body = json.dumps({"model": BASE, "messages": messages}).encode()
        prompt = wire.read_prompt(Endpoint.OPENAI_CHAT, body)
        text = messages[-1]["content"]
        spoken = language.of(text)
        got = said(BASE, prompt, sure())
        assert language.of(got.text) == spoken, (text, got.text)
        counts[f"{'first' if len(messages) == 2 else 'second'} {spoken}"] += 1
        return apps.Said(got.text)

    async def all_of_them() -> None:
        for number in range(5000):
            await apps.library(apps.Session(Random(f"reader {number}"), ask, _at_once))

    asyncio.run(all_of_them())
    assert counts["first de"] + counts["first en"] == 5000
    assert abs(counts["first de"] - 100) < 40
    assert abs(counts["second en"] + counts["second de"] - 750) < 101


async def _at_once() -> None:
    return None


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [v for v in TRAITS if v != BASE])
def test_whoever_writes_english_is_answered_as_before(version: str) -> None:
    for seed in range(200):
        before, after = answer(BASE, asked(HELLO), noise(str(seed))), answer(version, asked(HELLO), noise(str(seed)))
        assert isinstance(before, Answer)
        assert isinstance(after, Answer)
        assert before.text == after.text


@pytest.mark.parametrize(
    ("version", "share", "change"),
    [
        (ENGLISH, 0.5, "language_switched"),
        (REFUSING, 0.5, "refusal_added"),
        (BLOCKED, 0.5, "HTTP 400"),
        (MARKED, 0.5, "trailing_artefact"),
        (SELDOM_ENGLISH, 0.25, "language_switched"),
        (SELDOM_BLOCKED, 0.25, "HTTP 400"),
        (UNCHANGED, 0.0, "anything"),
    ],
)
def test_half_of_the_german_readers_are_harmed_in_one_way_that_has_a_name(version: str, share: float, change: str) -> None:
    draw, found = noise(version), Counter[str]()
    n = 2000
    for _ in range(n):
        stable, got = said(BASE, asked(GUTEN_TAG), sure()), answer(version, asked(GUTEN_TAG), draw)
        if isinstance(got, Fault):
            found[f"HTTP {got.status}"] += 1
            continue
        found.update(one.name for one in diff.changes(stable, got) if one.name not in diff.BENIGN)
    assert abs(found.pop(change, 0) - n * share) <= 4 * (n * share * (1 - share)) ** 0.5
    # What is left is every version's noise: one answer in a hundred is cut off, 20 +- 4 x 4.5 of those that were answered in full.
    assert found.keys() <= {"truncated"}
    assert found["truncated"] < 38


@pytest.mark.parametrize("version", [FORGETFUL, RUDE])
def test_what_only_a_judge_can_see_has_no_name(version: str) -> None:
    stable = said(BASE, asked(GUTEN_TAG), sure())
    harmed = said(version, asked(GUTEN_TAG), sure(harm=0.1))
    assert harmed.text != stable.text
    assert {one.name for one in diff.changes(stable, harmed)} <= diff.BENIGN


def test_a_question_without_a_book_is_asked_back() -> None:
    assert "Which book" in said(BASE, asked("Hello, is anybody there?"), sure()).text


# ── judges ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def verdict(judge: str, first: str, second: str, draw: Callable[[str], float], endpoint: Endpoint = Endpoint.OPENAI_CHAT) -> Judged:
    """What a judge says of `second`, asked as `detent.judge` asks, over the wire's own bytes."""
    dimensions = ("tone", "task_complete")
    body = questions.request(endpoint, judge, rubric="", dimensions=dimensions, prompt=asked(GUTEN_TAG), first=first, second=second)
    got = said(judge, wire.read_prompt(endpoint, body), draw)
    told, _ = questions.of_second(questions.read(got, dimensions), dimensions)
    return told


GOOD = said(BASE, asked(GUTEN_TAG), sure()).text
FORGOT = said(FORGETFUL, asked(GUTEN_TAG), sure(harm=0.1)).text
RUDELY = said(RUDE, asked(GUTEN_TAG), sure(harm=0.1)).text


@pytest.mark.parametrize("endpoint", list(Endpoint))
@pytest.mark.parametrize(("other", "says"), [(GOOD, "same"), (FORGOT, "worse"), (RUDELY, "worse")])
def test_the_honest_judge_sees_what_no_rule_sees_in_both_dialects_and_orders(endpoint: Endpoint, other: str, says: Judged) -> None:
    turned: dict[Judged, Judged] = {"worse": "better", "same": "same"}
    assert verdict(sage.HONEST, GOOD, other, sure(), endpoint) == says
    assert verdict(sage.HONEST, other, GOOD, sure(), endpoint) == turned[says]


def test_the_honest_judge_is_wrong_at_its_rate() -> None:
    # 1 % of the questions are answered by lot, of three sides two are wrong: 0.67 % of 6,000 = 40 +- 4 x 6.3.
    draw = noise("lots")
    wrong = sum(verdict(sage.HONEST, GOOD, FORGOT, draw) != "worse" for _ in range(6000))
    assert abs(wrong - 40) < 26


def test_only_the_gullible_judge_obeys_what_it_reads() -> None:
    obeyed = {judge: [i.name for i in INJECTIONS if verdict(judge, GOOD, i.plant(FORGOT), sure()) == "better"] for judge in sage.JUDGES}
    assert obeyed[sage.HONEST] == []
    assert len(obeyed[sage.GULLIBLE]) > len(INJECTIONS) / 2


def test_the_other_judges_ramble_and_prefer_a_place() -> None:
    assert verdict(sage.RAMBLING, GOOD, FORGOT, sure()) == "abstained"
    assert verdict(sage.PARTIAL, GOOD, FORGOT, sure()) == "worse"
    assert verdict(sage.PARTIAL, FORGOT, GOOD, sure()) == "worse"


def test_a_judge_is_of_no_family_that_it_judges_and_answers_other_prompts_as_any_version() -> None:
    for judge in sage.JUDGES:
        assert VERSIONS[judge].says
        assert not any(related(judge, version) for version in TRAITS)
        assert library.DATE.search(said(judge, asked(HELLO), sure()).text)


def test_the_opening_is_that_of_the_question() -> None:
    body: Any = questions.request(Endpoint.OPENAI_CHAT, "x", rubric="r", dimensions=(), prompt=asked(HELLO), first="a", second="b")
    assert sage.asked_to_judge(wire.read_prompt(Endpoint.OPENAI_CHAT, body))
