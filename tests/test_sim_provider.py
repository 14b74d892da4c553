"""The official SDKs take the simulated provider for a provider, and the traffic is what an app would send."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any

import anthropic
import openai
import pytest

from detent.cli import main
from detent.errors import CouldNotRun, InvalidInput
from detent.sim import scenarios, traffic
from detent.sim.provider import Provider, serving, simulated
from detent.sim.scenarios import AGENT, SUPPORT
from detent.sim.versions import REPEATING, STABLE, VERSIONS, Fault
from detent.terms import Answer, Usage

# ── the provider, through the official SDKs ─────────────────────────────────────────────────────────────────────────


def served(story: Callable[[str, Provider], Coroutine[Any, Any, None]], seed: int = 1) -> None:
    """Tell a story against a provider on a real socket."""

    async def tell() -> None:
        app = Provider(simulated(seed), tuple(VERSIONS))
        async with serving(app) as url:
            await story(url, app)

    asyncio.run(tell())


def openai_client(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="simulated", _strict_response_validation=True)


def anthropic_client(url: str) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key="simulated", _strict_response_validation=True)


LOOKUP: Any = {"type": "function", "function": {"name": "lookup_order", "parameters": SUPPORT.tools[0].schema}}
SEARCH: Any = {"name": "search_flights", "input_schema": AGENT.tools[0].schema}
ORDER: Any = [{"role": "system", "content": SUPPORT.system}, {"role": "user", "content": "Where is my order AR-12345?"}]
TRIP: Any = [{"role": "user", "content": "Find me a flight from Lyon to Oslo on 2026-05-12."}]


def test_the_openai_sdk_calls_a_tool_and_reads_an_answer_whole_and_streamed() -> None:
    async def story(url: str, app: Provider) -> None:
        async with openai_client(url) as client:
            whole = await client.chat.completions.create(model=STABLE, messages=ORDER, tools=[LOOKUP])
            assert whole.choices[0].message.tool_calls is not None
            (call,) = whole.choices[0].message.tool_calls
            assert call.type == "function"
            assert (call.function.name, json.loads(call.function.arguments)) == ("lookup_order", {"order_id": "AR-12345"})
            assert (whole.model, whole.system_fingerprint) == (STABLE, VERSIONS[STABLE].fingerprint)
            assert whole.choices[0].finish_reason == "tool_calls"
            assert whole.usage is not None
            assert whole.usage.prompt_tokens > len(SUPPORT.system) // 4

            pieces = []
            usage = None
            stream = await client.chat.completions.create(
                model=STABLE,
                messages=[*ORDER[:1], {"role": "user", "content": "Hello?"}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                pieces += [choice.delta.content or "" for choice in chunk.choices]
                usage = chunk.usage or usage
            assert "".join(pieces) == "Which order is it? The number starts with two letters."
            assert len([piece for piece in pieces if piece]) > 1
            assert usage is not None
        assert app.requests == {STABLE: 2}
        assert repr(app).endswith("2 requests served")

    served(story)


def test_the_anthropic_sdk_calls_a_tool_and_reads_an_answer_whole_and_streamed() -> None:
    async def story(url: str, app: Provider) -> None:
        async with anthropic_client(url) as client:
            given: Any = {"model": REPEATING, "system": AGENT.system, "max_tokens": 500, "tools": [SEARCH]}
            whole = await client.messages.create(messages=TRIP, **given)
            (block,) = whole.content
            assert block.type == "tool_use"
            assert block.input == {"from": "Lyon", "to": "Oslo", "date": "2026-05-12"}
            assert (whole.model, whole.stop_reason) == (REPEATING, "tool_use")

            result = {"type": "tool_result", "tool_use_id": block.id, "content": scenarios.search_flights("Lyon", "Oslo", "2026-05-12")}
            told = [*TRIP, {"role": "assistant", "content": [block.to_dict()]}, {"role": "user", "content": [result]}]
            async with client.messages.stream(messages=told, **given) as stream:
                text = "".join([piece async for piece in stream.text_stream])
                final = await stream.get_final_message()
            cheapest = min(json.loads(str(result["content"]))["flights"], key=lambda f: f["price"])
            assert text.startswith(f"The cheapest flight is {cheapest['flight']} at {cheapest['departs']}")
            assert (final.stop_reason, final.model) == ("end_turn", REPEATING)
            assert final.usage.output_tokens > 10
        assert app.requests == {REPEATING: 2}

    served(story)


def test_both_sdks_list_the_versions_and_hear_of_an_unknown_one_in_their_own_words() -> None:
    async def story(url: str, app: Provider) -> None:
        async with openai_client(url) as one, anthropic_client(url) as other:
            assert [model.id async for model in one.models.list()] == list(VERSIONS)
            assert [model.id async for model in other.models.list()] == list(VERSIONS)
            with pytest.raises(openai.NotFoundError, match="`atlas-9` does not exist") as raised:
                await one.chat.completions.create(model="atlas-9", messages=ORDER)
            assert raised.value.code == "model_not_found"
            with pytest.raises(anthropic.NotFoundError, match="`atlas-9` does not exist"):
                await other.messages.create(model="atlas-9", messages=TRIP, max_tokens=10)
            with pytest.raises(openai.BadRequestError, match="messages"):
                await one.post("/chat/completions", body={"model": STABLE}, cast_to=object)
            with pytest.raises(openai.NotFoundError, match="Unknown request URL"):
                await one.embeddings.create(model=STABLE, input="a")

    served(story)


def test_an_overloaded_provider_is_asked_again_by_the_sdk() -> None:
    async def story() -> None:
        busy = Fault(503, "overloaded", "overloaded")
        answers: Iterator[Answer | Fault] = iter([busy, Answer(text="here you are"), busy])
        app = Provider(lambda endpoint, head, body: next(answers), (STABLE,))
        async with serving(app) as url, openai_client(url) as client:
            got = await client.chat.completions.create(model=STABLE, messages=ORDER)
            with pytest.raises(openai.InternalServerError) as raised:
                await client.with_options(max_retries=0).chat.completions.create(model=STABLE, messages=ORDER)
        assert raised.value.response.headers["retry-after-ms"] == "20"  # else every such call of a demo would cost half a second
        assert got.choices[0].message.content == "here you are"
        assert app.requests == {STABLE: 3}

    asyncio.run(story())


def test_an_answer_that_was_cut_off_says_so_in_both_dialects() -> None:
    async def story() -> None:
        app = Provider(
            lambda endpoint, head, body: Answer(text="and so", finish_reason="length", usage=Usage(input=9, output=2)), (STABLE,)
        )
        async with serving(app) as url, openai_client(url) as one, anthropic_client(url) as other:
            assert (await one.chat.completions.create(model=STABLE, messages=ORDER)).choices[0].finish_reason == "length"
            assert (await other.messages.create(model=STABLE, messages=TRIP, max_tokens=2)).stop_reason == "max_tokens"

    asyncio.run(story())


def test_a_taken_port_is_said() -> None:
    async def story() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(CouldNotRun, match="could not listen on: `127"):
                async with serving(Provider(simulated(1), (STABLE,)), port=taken.getsockname()[1]):
                    pass

    asyncio.run(story())


# ── traffic ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Overhearing:
    """A provider that takes feedback like a gateway does, and notes whose calls came."""

    def __init__(self) -> None:
        self.provider = Provider(simulated(4), tuple(VERSIONS))
        self.sessions: Counter[str] = Counter()
        self.users: dict[str, str] = {}
        self.streamed = 0
        self.feedback: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        message = await receive()
        body = json.loads(message["body"] or b"{}")
        if scope["path"] == "/detent/v1/feedback":
            self.feedback += body
            await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        self.sessions[headers["x-detent-session-id"]] += 1
        self.users[headers["x-detent-session-id"]] = headers["x-detent-user-id"]
        self.streamed += body.get("stream", False)

        async def again() -> Any:
            return message

        await self.provider(scope, again, send)


@pytest.mark.parametrize("scenario", ["support", "invoices", "agent"])
def test_sessions_name_themselves_call_take_turns_at_the_gateways_and_report_back(scenario: str) -> None:
    async def story() -> None:
        gateways = [Overhearing(), Overhearing()]
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(serving(gateway)) for gateway in gateways]
            summary = await traffic.run(gateways=urls, route=STABLE, scenario=scenario, sessions=20, concurrency=8, seed=7)
        assert (summary.sessions, summary.errors, summary.feedback_failed) == (20, {}, 0)
        assert [len(gateway.sessions) for gateway in gateways] == [10, 10]
        assert sum(gateway.streamed for gateway in gateways) == pytest.approx(summary.calls / 3, rel=0.5)
        assert summary.calls <= sum(gateway.sessions.total() for gateway in gateways) <= summary.calls + 10  # more by the SDK's retries
        users = gateways[0].users | gateways[1].users
        assert len(users) == 20
        assert len(set(users.values())) == 10
        told = gateways[0].feedback + gateways[1].feedback
        assert Counter((row["metric"]) for row in told) == {"abandoned": 20, "thumbs_down": 20}
        assert sum(row["value"] for row in told if row["metric"] == "abandoned") == summary.abandoned
        assert {row["session_id"] for row in told} == set(users)

    asyncio.run(story())


def test_traffic_ends_when_it_is_told_to_and_finishes_what_was_begun() -> None:
    async def story() -> None:
        gateway, stop = Overhearing(), asyncio.Event()
        async with serving(gateway) as url:
            begun: Callable[[int, int], None] = lambda sessions, calls: stop.set() if sessions >= 5 else None  # noqa: E731
            summary = await traffic.run(gateways=[url], route=STABLE, scenario="invoices", concurrency=4, stop=stop, on_session=begun)
        assert 5 <= summary.sessions <= 8
        assert len(gateway.feedback) == 2 * summary.sessions

    asyncio.run(story())


def test_calls_that_fail_for_good_are_counted_by_class_and_an_unknown_scenario_is_refused() -> None:
    async def story() -> None:
        async with serving(Provider(simulated(1), (STABLE,))) as url:
            run = partial(traffic.run, gateways=[url], route="nobody", sessions=3, seed=1)
            summary = await run(scenario="agent")
            assert (summary.sessions, summary.calls, summary.errors) == (3, 3, {"NotFoundError": 3})
            assert summary.feedback_failed == 3  # a bare provider takes none
            with pytest.raises(InvalidInput, match="unknown scenario: `chess`"):
                await run(scenario="chess")

    asyncio.run(story())


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def command(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`detent sim ...` as a process; killed if the test leaves it running."""
    with subprocess.Popen([sys.executable, "-m", "detent", "sim", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_provider_and_traffic_run_as_commands_and_end_cleanly_on_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    with command("provider", "--port", "0") as provider:
        assert provider.stdout is not None
        line = provider.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.split()[-1]
        given = ("--gateway", url, "--route", STABLE, "--scenario", "invoices")
        assert main(["sim", "traffic", *given, "--sessions", "6", "--seed", "3"]) == 0
        assert json.loads(capsys.readouterr().out)["sessions"] == 6

        with command("traffic", *given) as endless, openai.OpenAI(base_url=url, api_key="simulated") as client:
            asked = 0
            while asked < 20:
                time.sleep(0.02)
                asked = client.get("/sim/requests", cast_to=dict)[STABLE]
            endless.send_signal(signal.SIGINT)
            told, _ = endless.communicate(timeout=20)
            assert endless.returncode == 0
        summary = json.loads(told)
        assert summary["sessions"] > 0
        assert summary["errors"] == {}
        provider.send_signal(signal.SIGTERM)
        assert provider.wait(timeout=20) == 0


def test_traffic_has_one_end_only(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--gateway", "http://127.0.0.1:9", "--route", STABLE, "--scenario", "agent")
    assert main(["sim", "traffic", *given, "--sessions", "6", "--seconds", "2"]) == 2
    assert "--sessions and --seconds exclude each other" in capsys.readouterr().err
