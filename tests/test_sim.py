"""The simulated versions behave as their makers say, told without a socket."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from detent import wire
from detent.sim import apps, scenarios
from detent.sim.scenarios import AGENT, INVOICES, SUPPORT
from detent.sim.versions import HONEST, REPEATING, RESHAPING, STABLE, VERSIONS, Fault, answer
from detent.terms import Answer, Endpoint, Message, Prompt, ToolCall

# ── helpers: the apps of sim/apps.py talk to the pure versions, no socket between them ──────────────────────────────


def noise(seed: int) -> Callable[[str], float]:
    random = Random(seed)
    return lambda purpose: random.random()


def said(version: str, prompt: Prompt, draw: Callable[[str], float]) -> Answer:
    got = answer(version, prompt, draw)
    assert isinstance(got, Answer)
    return got


def words(got: Answer) -> tuple[str, list[tuple[str, str]]]:
    """What an answer says and calls; ids differ by version."""
    return got.text, [(call.name, call.arguments) for call in got.tool_calls]


def sure(**draws: float) -> Callable[[str], float]:
    """Draws that are fixed by purpose, and 0.5 for all others."""
    return lambda purpose: draws.get(purpose, 0.5)


def order_asked() -> Prompt:
    return Prompt(system=SUPPORT.system, messages=(Message(role="user", text="Where is my order AR-12345?"),), tools=("lookup_order",))


def summary_asked() -> Prompt:
    """A support session that has come to its last turn."""
    call = ToolCall("call_1", "lookup_order", '{"order_id": "AR-12345"}')
    return Prompt(
        system=SUPPORT.system,
        messages=(
            Message(role="user", text="Where is my order AR-12345?"),
            Message(role="assistant", tool_calls=(call,)),
            Message(role="tool", text=scenarios.lookup_order("AR-12345"), tool_result_for="call_1"),
            Message(role="assistant", text="It is on its way."),
            Message(role="user", text="Sum the last order up as JSON with the keys order, status and eta."),
        ),
        json_asked=True,
    )


def invoice_asked(document: str) -> Prompt:
    return Prompt(system=INVOICES.system, messages=(Message(role="user", text=scenarios.enclose(document)),), json_asked=True)


def travel(history_of: str, seed: int, then: Callable[[Prompt], None]) -> apps.Ending:
    """One travel session served by `history_of`; `then` sees every prompt on the way."""
    draw = noise(seed)

    async def ask(messages: apps.Messages, *, json_asked: bool = False) -> apps.Said:
        body = json.dumps({"model": history_of, "system": AGENT.system, "messages": messages}).encode()
        prompt = wire.read_prompt(Endpoint.ANTHROPIC_MESSAGES, body)
        then(prompt)
        got = said(history_of, prompt, draw)
        return apps.Said(got.text, got.tool_calls)

    async def think() -> None:
        return None

    return asyncio.run(_ended(apps.agent(apps.Session(Random(seed), ask, think))))


async def _ended(ending: Any) -> apps.Ending:
    result: apps.Ending = await ending
    return result


def repeats_last_call(prompt: Prompt, got: Answer) -> bool:
    made = [call for message in prompt.messages for call in message.tool_calls]
    return bool(got.tool_calls and made) and (got.tool_calls[0].name, json.loads(got.tool_calls[0].arguments)) == (
        made[-1].name,
        json.loads(made[-1].arguments),
    )


# ── the honest bump ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [STABLE, HONEST])
def test_stable_and_the_honest_bump_share_one_base_noise(version: str) -> None:
    # 1.0 % of support calls answer 503 and 2 % of the summaries that are answered are no JSON (issue 2: base rates that traffic can prove).
    # 10,000 calls: 100 +- 4 x 10 and 198 +- 4 x 14 (binomial).
    draw = noise(17 if version == STABLE else 18)
    faults = broken = 0
    for _ in range(10_000):
        got = answer(version, summary_asked(), draw)
        if isinstance(got, Fault):
            assert got.status == 503
            faults += 1
            continue
        try:
            assert json.loads(got.text) == json.loads(scenarios.lookup_order("AR-12345"))
        except json.JSONDecodeError:
            broken += 1
    assert abs(faults - 100) < 40
    assert abs(broken - 198) < 56


def test_with_the_same_noise_the_honest_bump_says_the_same_words() -> None:
    for seed in range(200):
        for prompt in (order_asked(), summary_asked(), invoice_asked(scenarios.documents()[seed])):
            one, other = answer(STABLE, prompt, noise(seed)), answer(HONEST, prompt, noise(seed))
            if isinstance(one, Fault):
                assert one == other
                continue
            assert isinstance(other, Answer)
            assert (one.text, [(c.name, c.arguments) for c in one.tool_calls]) == (
                other.text,
                [(c.name, c.arguments) for c in other.tool_calls],
            )
            assert (other.model, other.fingerprint) == (HONEST, VERSIONS[HONEST].fingerprint)


def test_every_version_makes_its_ids_by_its_own_scheme() -> None:
    ids = {said(version, order_asked(), sure()).tool_calls[0].id for version in VERSIONS}
    assert len(ids) == len(VERSIONS)
    assert said(STABLE, order_asked(), sure(opener=0.9)).tool_calls[0].id in ids  # and the same prompt gets the same id


def test_an_order_is_looked_up_before_it_is_spoken_of() -> None:
    first = said(STABLE, order_asked(), sure())
    assert [(c.name, json.loads(c.arguments)) for c in first.tool_calls] == [("lookup_order", {"order_id": "AR-12345"})]
    call = first.tool_calls[0]
    result = Message(role="tool", text=scenarios.lookup_order("AR-12345"), tool_result_for=call.id)
    told = replace(order_asked(), messages=(*order_asked().messages, Message(role="assistant", tool_calls=(call,)), result))
    second = said(STABLE, told, sure())
    assert not second.tool_calls
    assert json.loads(result.text)["eta"] in second.text


def test_a_version_that_nobody_made_is_not_served() -> None:
    got = answer("atlas-1999-01-01", order_asked(), sure())
    assert isinstance(got, Fault)
    assert (got.status, got.code) == (404, "model_not_found")


# ── the bump that reshapes ──────────────────────────────────────────────────────────────────────────────────────────


def content_right(document: str, text: str) -> bool:
    """Every value of the answer stands in the document; read through fence, closing text, escapes and a renamed key."""
    values = json.loads(text[text.index("{") : text.index("}") + 1], parse_float=str)
    return len(values) == 5 and all(str(value) in document for value in values.values())


def test_the_reshaping_bump_reads_better_and_damages_the_format_of_a_known_share_of_documents() -> None:
    # Shares over the pool of 300 as the scenario states them: fence 10 %, key renamed 8 %, closing paragraph 8 %, escapes on half of the
    # documents with letters beyond ASCII; which documents is fixed, so the tolerance is that of 300 hashes (4 sd: 7 points at 10 %).
    pool = scenarios.documents()
    right: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    foreign = 0
    draw = noise(5)
    for document in pool:
        stable, bump = said(STABLE, invoice_asked(document), draw).text, said(RESHAPING, invoice_asked(document), draw).text
        right[STABLE] += content_right(document, stable)
        right[RESHAPING] += content_right(document, bump)
        assert list(json.loads(stable)) == ["vendor", "invoice", "total", "currency", "due"]  # stable's format is perfect
        assert "\\u" not in stable
        foreign += not document.split("\n")[0].isascii()
        shapes["fence"] += bump.startswith("```json\n")
        shapes["renamed"] += '"total_amount"' in bump
        shapes["paragraph"] += bump.rstrip("`\n")[-1] != "}"
        shapes["escaped"] += "\\u" in bump
        if "\\u" in bump:
            assert not document.split("\n")[0].isascii()
    assert 0.05 < shapes["fence"] / 300 < 0.15
    assert 0.04 < shapes["renamed"] / 300 < 0.12
    assert 0.04 < shapes["paragraph"] / 300 < 0.12
    assert 0.35 < shapes["escaped"] / foreign < 0.65
    assert 60 < foreign < 180
    # Content: .88 x .99 + .12 x .05 = 87.7 % against .97 x .99 + .03 x .05 = 96.2 %.
    assert right[STABLE] / 300 == pytest.approx(0.877, abs=0.05)
    assert right[RESHAPING] / 300 == pytest.approx(0.962, abs=0.04)


def test_what_is_misread_stands_nowhere_in_the_document() -> None:
    for document in scenarios.documents():
        assert not content_right(document, said(STABLE, invoice_asked(document), sure(misread=0.0)).text)


def test_damage_sticks_to_the_document() -> None:
    fenced = next(d for d in scenarios.documents() if said(RESHAPING, invoice_asked(d), sure()).text.startswith("```"))
    draw = noise(9)
    times = sum(said(RESHAPING, invoice_asked(fenced), draw).text.startswith("```") for _ in range(1000))
    assert 945 < times < 993  # .97 per call; 4 sd are 22


# ── the bump that repeats itself ────────────────────────────────────────────────────────────────────────────────────


def test_on_histories_of_the_stable_version_the_repeating_bump_is_indistinguishable() -> None:
    seen = 0

    def alike(prompt: Prompt) -> None:
        nonlocal seen
        for seed in range(5):
            stable, bump = said(STABLE, prompt, noise(seed)), said(REPEATING, prompt, noise(seed))
            assert words(stable) == words(bump)
        seen += prompt.step > 3

    for seed in range(40):
        travel(STABLE, seed, alike)
    assert seen > 40  # later turns were among them


def test_from_its_second_turn_on_its_own_history_it_repeats_a_tool_call_and_users_give_up() -> None:
    # In later turns .75 of the tool results are followed by the same call again; stable repeats .02, as the bump does in its first turn.
    counts = {version: Counter[str]() for version in (STABLE, REPEATING)}
    for version, count in counts.items():
        draw = noise(3)

        def watch(prompt: Prompt, version: str = version, count: Counter[str] = count, draw: Callable[[str], float] = draw) -> None:
            if prompt.messages[-1].tool_result_for is not None:
                turn = "first" if sum(m.role == "user" for m in prompt.messages) == 1 else "later"
                count[turn] += 1
                count[f"{turn} repeated"] += repeats_last_call(prompt, said(version, prompt, draw))

        for seed in range(300):
            count["gave up"] += travel(version, seed, watch).gave_up
    stable, bump = counts[STABLE], counts[REPEATING]
    assert stable["later repeated"] / stable["later"] < 0.05
    assert bump["first repeated"] / bump["first"] < 0.06
    assert 0.68 < bump["later repeated"] / bump["later"] < 0.82
    assert stable["gave up"] == 0
    # A turn takes more than six calls when five repeats come in a row: .75 ** 5 = .24 for one later turn, 1 - .76 ** 2 = .42 for two.
    assert 0.24 < bump["gave up"] / 300 < 0.42
