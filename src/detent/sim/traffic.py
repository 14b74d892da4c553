"""Traffic from the official SDKs: a closed loop of sessions with users, several turns, tools, streams and feedback.

One client is shared by all sessions of a gateway; sessions and users are named in the headers of each call. Sessions are drawn from
`seed` and their number, so a run with the same seed asks the same openings in the same order.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from random import Random, SystemRandom
from statistics import median
from typing import Any, Protocol

import aiohttp

from detent.errors import CouldNotRun, InvalidInput
from detent.sim.apps import APPS, UNHAPPY, Ending, Messages, Said, Session
from detent.sim.lean import IDLE_S
from detent.sim.scenarios import SCENARIOS, Scenario
from detent.terms import Endpoint, ToolCall

STREAMED = 1 / 3
LATENCIES_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run came to. `errors` counts calls that failed for good, by exception class; `unreadable` JSON answers that were no JSON.

    `p50_ms` is the median time of a whole call, None without a call; it covers the last ten thousand.
    """

    sessions: int
    calls: int
    errors: dict[str, int]
    unreadable: int
    abandoned: int
    thumbs_down: int
    feedback_failed: int
    p50_ms: float | None
    seconds: float
    calls_per_second: float


class Client(Protocol):
    """One SDK client at one gateway, asking for one route in one scenario."""

    failures: tuple[type[Exception], ...]

    async def ask(self, messages: Messages, headers: Mapping[str, str], *, json_asked: bool, stream: bool) -> Said:
        """One model call, retried by the SDK."""

    async def close(self) -> None:
        """Close the connections."""


class OpenAIClient:
    """The official `openai` SDK at a gateway."""

    def __init__(self, gateway: str, route: str, scenario: Scenario) -> None:
        import httpx2
        import openai

        self.failures: tuple[type[Exception], ...] = (openai.APIError, httpx2.HTTPError, json.JSONDecodeError)
        self._sdk = openai.AsyncOpenAI(base_url=f"{gateway}/v1", api_key="simulated", max_retries=2, timeout=30)
        self._create: Any = self._sdk.chat.completions.create
        self._response_format = scenario.response_format
        self._given: dict[str, Any] = {"model": route} | ({"tools": scenario.openai_tools} if scenario.tools else {})

    async def ask(self, messages: Messages, headers: Mapping[str, str], *, json_asked: bool, stream: bool) -> Said:
        """One chat completion."""
        given = self._given | ({"response_format": self._response_format} if json_asked else {})
        if stream:
            return await self._streamed(await self._create(messages=messages, stream=True, extra_headers=headers, **given))
        message = (await self._create(messages=messages, extra_headers=headers, **given)).choices[0].message
        calls = tuple(ToolCall(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ())
        return Said(message.content or "", calls)

    async def _streamed(self, stream: Any) -> Said:
        text: list[str] = []
        calls: dict[int, list[str]] = {}
        async for chunk in stream:
            for choice in chunk.choices:
                text.append(choice.delta.content or "")
                for part in choice.delta.tool_calls or ():
                    call = calls.setdefault(part.index, ["", "", ""])
                    call[0] += part.id or ""
                    call[1] += part.function.name or ""
                    call[2] += part.function.arguments or ""
        return Said("".join(text), tuple(ToolCall(*call) for call in calls.values()))

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()


class AnthropicClient:
    """The official `anthropic` SDK at a gateway."""

    def __init__(self, gateway: str, route: str, scenario: Scenario) -> None:
        import anthropic
        import httpx2

        self.failures: tuple[type[Exception], ...] = (anthropic.APIError, httpx2.HTTPError, json.JSONDecodeError)
        self._sdk = anthropic.AsyncAnthropic(base_url=gateway, api_key="simulated", max_retries=2, timeout=30)
        self._create: Any = self._sdk.messages.create
        tools = [{"name": t.name, "description": t.says, "input_schema": t.schema} for t in scenario.tools]
        self._given: dict[str, Any] = {"model": route, "system": scenario.system, "max_tokens": 1024, "tools": tools}

    async def ask(self, messages: Messages, headers: Mapping[str, str], *, json_asked: bool, stream: bool) -> Said:
        """One message; there is no JSON mode in this dialect, so `json_asked` changes nothing."""
        if stream:
            return await self._streamed(await self._create(messages=messages, stream=True, extra_headers=headers, **self._given))
        blocks = (await self._create(messages=messages, extra_headers=headers, **self._given)).content
        calls = tuple(ToolCall(b.id, b.name, json.dumps(b.input)) for b in blocks if b.type == "tool_use")
        return Said("".join(b.text for b in blocks if b.type == "text"), calls)

    async def _streamed(self, stream: Any) -> Said:
        text: list[str] = []
        calls: dict[int, list[str]] = {}
        async for event in stream:
            if event.type == "content_block_start" and event.content_block.type == "tool_use":
                calls[event.index] = [event.content_block.id, event.content_block.name, ""]
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                text.append(event.delta.text)
            elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                calls[event.index][2] += event.delta.partial_json
        return Said("".join(text), tuple(ToolCall(ident, name, arguments or "{}") for ident, name, arguments in calls.values()))

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()


_CLIENTS: dict[Endpoint, Callable[[str, str, Scenario], Client]] = {
    Endpoint.OPENAI_CHAT: OpenAIClient,
    Endpoint.ANTHROPIC_MESSAGES: AnthropicClient,
}


@dataclass(slots=True)
class _Counts:
    sessions: int = 0
    calls: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    abandoned: int = 0
    thumbs_down: int = 0
    feedback_failed: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def summary(self, seconds: float) -> Summary:
        return Summary(
            sessions=self.sessions,
            calls=self.calls,
            errors=dict(self.errors),
            unreadable=self.unreadable,
            abandoned=self.abandoned,
            thumbs_down=self.thumbs_down,
            feedback_failed=self.feedback_failed,
            p50_ms=round(median(self.latencies) * 1000, 1) if self.latencies else None,
            seconds=round(seconds, 2),
            calls_per_second=round(self.calls / seconds, 1) if seconds > 0 else 0.0,
        )


class _Crowd:
    """The users of one scenario: runs a session at a time for whoever asks, and counts."""

    def __init__(self, clients: Sequence[tuple[str, Client]], scenario: Scenario, name: str, http: aiohttp.ClientSession) -> None:
        self.counts = _Counts()
        self._clients = clients
        self._scenario = scenario
        self._name = name
        self._http = http

    async def session(self, number: int) -> None:
        """One session, and its feedback. Users come back: two sessions in a row are the same user's."""
        random = Random(f"{self._name}/{number}")  # noqa: S311 - a simulation
        unhappy = UNHAPPY.get(self._scenario.name)
        abandons, frowns = (random.random() < (unhappy or 0.0) for _ in range(2))
        gateway, client = self._clients[number % len(self._clients)]
        ident = f"{self._name}-s{number}"
        headers = {"x-detent-session-id": ident, "x-detent-user-id": f"{self._name}-u{number // 2}"}
        answers: list[str] = []
        ask = partial(self._ask, client, headers, random, answers)
        ending = Ending()
        try:
            ending = await APPS[self._scenario.name](Session(random, ask, lambda: asyncio.sleep(0.01 + 0.04 * random.random())))
        except client.failures as failed:
            self.counts.errors[type(failed).__name__] += 1
        else:
            self.counts.unreadable += ending.unreadable
            abandons, frowns = abandons or ending.gave_up, frowns or ending.gave_up or ending.liked is False
        self.counts.sessions += 1
        self.counts.abandoned += abandons
        self.counts.thumbs_down += frowns
        if unhappy is None:
            rows = list(_said(ident, answers, ending))
        else:
            values = {"abandoned": abandons, "thumbs_down": frowns}
            rows = [{"id": f"{ident}-{metric}", "session_id": ident, "metric": metric, "value": v} for metric, v in values.items()]
        if rows:
            await self._feedback(gateway, rows)

    async def _ask(
        self,
        client: Client,
        headers: Mapping[str, str],
        random: Random,
        answers: list[str],
        messages: Messages,
        *,
        json_asked: bool = False,
    ) -> Said:
        self.counts.calls += 1
        began = time.perf_counter()
        try:
            said = await client.ask(messages, headers, json_asked=json_asked, stream=random.random() < STREAMED)
        finally:
            self.counts.latencies.append(time.perf_counter() - began)
        answers.append(said.id)
        return said

    async def _feedback(self, gateway: str, rows: list[dict[str, Any]]) -> None:
        try:
            async with self._http.post(f"{gateway}/detent/v1/feedback", json=rows) as answer:
                taken = answer.status == 202
        except (aiohttp.ClientError, TimeoutError):
            taken = False
        self.counts.feedback_failed += not taken


def _said(session: str, answers: list[str], ending: Ending) -> Iterator[dict[str, Any]]:
    """What an app says that has a thumb to press and knows when a task is done: nothing, where there is nothing to say."""
    if ending.liked is not None:
        about = {"request_id": answers[-1]} if answers and answers[-1] else {"session_id": session}
        yield {"id": f"{session}-thumbs", **about, "metric": "thumbs", "value": ending.liked}
    if ending.done:
        yield {"id": f"{session}-done", "session_id": session, "metric": "task_done", "value": True}


async def run(
    *,
    gateways: Sequence[str],
    route: str,
    scenario: str,
    sessions: int | None = None,
    seconds: float | None = None,
    concurrency: int = 8,
    seed: int | str | None = None,
    stop: asyncio.Event | None = None,
    on_session: Callable[[int, int], None] | None = None,
    client: Callable[[str, str, Scenario], Client] | None = None,
    turns: AbstractAsyncContextManager[Any] | None = None,
) -> Summary:
    """Run `concurrency` sessions at a time until `sessions` have ended, `seconds` have passed or `stop` is set; begun ones are finished.

    Gateways take turns by session. Without a seed the names of sessions and users are new in every run, so that no unit is met twice.
    `on_session` hears of sessions and calls so far. `client` makes other clients than the SDKs' (gateway, route, scenario); several runs at
    once share the machine by `turns`, entered for each session. Raises InvalidInput for an unknown scenario or no gateway, CouldNotRun if
    an SDK is missing.
    """
    known = SCENARIOS.get(scenario)
    if known is None:
        raise InvalidInput(f"unknown scenario: `{scenario}`", hint=f"one of {', '.join(SCENARIOS)}")
    if not gateways:
        raise InvalidInput("no gateway given", hint="--gateway http://127.0.0.1:8700")
    try:
        make = client or _CLIENTS[known.endpoint]
        clients = [(g.rstrip("/"), make(g.rstrip("/"), route, known)) for g in gateways]
    except ModuleNotFoundError as missing:
        message = f"the traffic needs the official SDKs, and one is missing: `{missing.name}`"
        raise CouldNotRun(message, hint="pip install 'detent[demo]'") from missing
    name = f"{scenario}-{SystemRandom().getrandbits(32) if seed is None else seed}"
    began = time.monotonic()
    numbers = itertools.count() if sessions is None else iter(range(sessions))

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S)
    async with AsyncExitStack() as stack:
        for _, made in clients:
            stack.push_async_callback(made.close)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)))
        crowd = _Crowd(clients, known, name, http)

        async def one_after_the_other() -> None:
            for number in numbers:
                if (stop is not None and stop.is_set()) or (seconds is not None and time.monotonic() - began >= seconds):
                    return
                async with turns or nullcontext():
                    if stop is not None and stop.is_set():
                        return
                    await crowd.session(number)
                if on_session is not None:
                    on_session(crowd.counts.sessions, crowd.counts.calls)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(one_after_the_other())
    return crowd.counts.summary(time.monotonic() - began)
