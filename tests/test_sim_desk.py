"""Each version of the desk does one harm, at the rate that it says, and otherwise what the approved version does; told without a socket.

Tolerances are four standard deviations of the binomial count or, for tokens and seconds, of the mean.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from random import Random
from statistics import fmean, median, quantiles
from typing import Any

import pytest

from detent import reading, wire
from detent.sim import apps, desk
from detent.sim.desk import BASE, TRAITS, UNCHANGED
from detent.sim.scenarios import DESK
from detent.sim.versions import Fault, answer
from detent.terms import Answer, Endpoint, Message, Prompt

BROKEN, RENAMED, REPEATING, THINKING, SLOW, VAGUE, FORGETFUL, WANDERING = (f"atlas-2026-08-0{n}" for n in range(1, 9))
SESSIONS = 1500


@dataclass
class Told:
    """What some sessions with one version came to, counted as the guards count."""

    sessions: Counter[str] = field(default_factory=Counter)
    calls: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def share(self, event: str) -> float:
        return self.sessions[event] / len(self.calls)


def noise(seed: str) -> Callable[[str], float]:
    random = Random(seed)
    return lambda purpose: random.random()


@cache
def told(version: str) -> Told:
    """Sessions of the desk's app with a version, no socket between them; an overloaded provider is asked again."""
    found = Told()
    asyncio.run(_sessions(version, found))
    return found


async def _sessions(version: str, found: Told) -> None:
    draw = noise(f"{version} speaks")
    events: set[str] = set()

    async def ask(messages: apps.Messages, *, json_asked: bool = False) -> apps.Said:
        request: dict[str, Any] = {"model": version, "messages": messages, "tools": DESK.openai_tools}
        if json_asked:
            request["response_format"] = DESK.response_format
        prompt = wire.read_prompt(Endpoint.OPENAI_CHAT, json.dumps(request).encode())
        got = answer(version, prompt, draw)
        while isinstance(got, Fault):
            got = answer(version, prompt, draw)
        found.calls[-1] += 1
        found.tokens.append(got.usage.output or 0)
        events.update({f"parse {reading.parse(prompt, got)}"} | ({"repeated"} if _again(prompt, got) else set()))
        assert {call.name for call in got.tool_calls} <= set(prompt.tools)
        return apps.Said(got.text, got.tool_calls)

    for number in range(SESSIONS):
        found.calls.append(0)
        ending = await apps.desk(apps.Session(Random(f"session {number}"), ask, _at_once))
        found.sessions.update(events | {f"liked {ending.liked}", f"done {ending.done}", f"gave up {ending.gave_up}"})
        events.clear()


async def _at_once() -> None:
    return None


def _again(prompt: Prompt, got: Answer) -> bool:
    before = [(c.name, c.arguments) for message in prompt.messages for c in message.tool_calls]
    return any((c.name, c.arguments) in before for c in got.tool_calls)


def near(share: float, of: int = SESSIONS) -> Any:
    return pytest.approx(share, abs=4 * (share * (1 - share) / of) ** 0.5 + 1e-9)


# What the harms do to a session's rates. A session has 1.3 questions; to each of them one call may be repeated.
TWICE = {rate: 1 - 0.7 * (1 - rate) - 0.3 * (1 - rate) ** 2 for rate in (0.04, 0.20)}
USUAL = {
    "parse invalid": 0.01,
    "parse keys_missing": 0.0,
    "repeated": TWICE[0.04],
    "liked False": 0.03,
    "done False": 0.10,
}
WORSE: dict[str, dict[str, float]] = {
    BROKEN: {"parse invalid": 0.08},
    RENAMED: {"parse keys_missing": 0.06},
    REPEATING: {"repeated": TWICE[0.20]},
    VAGUE: {"liked False": 0.12},
    FORGETFUL: {"done False": 0.30},
}


@pytest.mark.parametrize("version", TRAITS)
def test_a_version_of_the_desk_is_worse_in_one_rate_alone(version: str) -> None:
    found = told(version)
    for event, usual in USUAL.items():
        assert found.share(event) == near(WORSE.get(version, {}).get(event, usual)), event
    assert found.sessions["gave up True"] == 0


@pytest.mark.parametrize("version", TRAITS)
def test_tokens_and_model_calls_are_as_usual_but_for_the_version_that_costs_more(version: str) -> None:
    usual, found = told(BASE), told(version)
    tokens, calls = fmean(found.tokens) / fmean(usual.tokens), fmean(found.calls) - fmean(usual.calls)
    if version == THINKING:
        assert tokens == pytest.approx(1.6, abs=0.02)
    elif version != WANDERING:  # its further calls are short ones
        assert tokens == pytest.approx(1.0, abs=0.02)
    # Stable: a call and an answer for each of 1.3 questions, a summary, and .04 repeats a question. REPEATING adds .16 to those, WANDERING
    # three tools to the first question. Four deviations of the mean are .1: 4 x .94 / 1500 ** .5.
    assert fmean(usual.calls) == pytest.approx(2 * 1.3 + 1 + 0.04 * 1.3, abs=0.1)
    assert calls == pytest.approx({REPEATING: 0.16 * 1.3, WANDERING: 3.0}.get(version, 0.0), abs=0.1)
    assert median(found.calls) == (6 if version == WANDERING else 3)


@pytest.mark.parametrize("version", TRAITS)
def test_answers_take_as_long_as_usual_but_for_the_slow_version_whose_tail_is_three_times_as_long(version: str) -> None:
    draw = noise(f"{version} waits")
    waits = [desk.seconds(version, draw) for _ in range(20_000)]
    p50, p99 = median(waits), quantiles(waits, n=100)[98]
    # Lognormal, .2 x exp(.3 z): P99 is at z = 2.326, 2.0096 medians. Of answers 4.25 times as slow P(z > 2.326 - 4.823) = .9937 lie
    # beyond, and P(z > ln(6.029 / 4.25) / .3 = 1.166) = .122 beyond three times that: .08 x .122 is the hundredth that makes the new P99.
    beyond = sum(wait > 0.200 * 2.0096 for wait in waits) / len(waits)
    if version == SLOW:
        assert beyond == near(0.92 * 0.01 + 0.08 * 0.9937, of=20_000)
        assert p99 == pytest.approx(3 * 0.4019, rel=0.08)
        assert p50 == pytest.approx(0.2067, rel=0.02)  # .92 x P(z < .11) = .5
    else:
        assert beyond == near(0.01, of=20_000)
        assert p99 == pytest.approx(0.4019, rel=0.06)
        assert p50 == pytest.approx(0.200, rel=0.02)


def test_with_the_same_noise_the_unchanged_version_says_the_same_words() -> None:
    question = Prompt(system=DESK.system, messages=(Message(role="user", text="When does AR-12345 come?"),), tools=("find_parcel",))
    for seed in range(200):
        one, other = answer(BASE, question, noise(str(seed))), answer(UNCHANGED, question, noise(str(seed)))
        if isinstance(one, Fault):
            assert one == other
            continue
        assert isinstance(other, Answer)
        assert [(c.name, c.arguments) for c in one.tool_calls] == [(c.name, c.arguments) for c in other.tool_calls]
        assert (one.text, one.usage) == (other.text, other.usage)


def test_every_version_but_two_names_one_trait_that_differs() -> None:
    usual = {name: getattr(TRAITS[BASE], name) for name in TRAITS[BASE].__slots__ if name != "says"}
    differing = {version: [name for name in usual if getattr(traits, name) != usual[name]] for version, traits in TRAITS.items()}
    assert [version for version, names in differing.items() if not names] == [BASE, UNCHANGED]
    assert sorted(len(names) for names in differing.values()) == [0, 0] + [1] * 8
    assert len({names[0] for names in differing.values() if names}) == 8
