"""Traffic of the desk over real HTTP: a lean client that is as good as the SDK, and users who say what they think."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from detent.sim import traffic
from detent.sim.lean import LeanClient, RefusedError
from detent.sim.provider import Provider, serving, simulated
from detent.sim.scenarios import DESK
from detent.sim.traffic import Client, OpenAIClient
from detent.sim.versions import STABLE, VERSIONS, Fault
from detent.terms import Answer, ToolCall

FORGETFUL = "atlas-2026-08-07"
ASKED: Any = [{"role": "system", "content": DESK.system}, {"role": "user", "content": "When does AR-12345 come?"}]


class Gateway:
    """A provider behind something that, like a gateway, numbers the answers and takes feedback."""

    def __init__(self) -> None:
        self.provider = Provider(simulated(4), tuple(VERSIONS), delay=lambda version: 0.002)
        self.sessions: dict[str, str] = {}
        self.now = self.most = 0
        self.feedback: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        if scope["path"] == "/detent/v1/feedback":
            self.feedback += json.loads(message["body"])
            await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        answer_id = f"ex_{len(self.sessions)}"
        self.sessions[answer_id] = dict(scope["headers"])[b"x-detent-session-id"].decode()
        self.now += 1
        self.most = max(self.most, self.now)

        async def again() -> Any:
            return message

        async def numbered(message: Any) -> None:
            if "headers" in message:
                message = message | {"headers": [*message["headers"], (b"x-detent-request-id", answer_id.encode())]}
            await send(message)

        await self.provider(scope, again, numbered)
        self.now -= 1


def _says(said: Answer, endpoint: Any, head: Any, body: bytes) -> Answer:
    return said


@pytest.mark.parametrize("stream", [False, True])
def test_the_lean_client_reads_what_the_sdk_reads(stream: bool) -> None:
    answers = (
        Answer(text="On Monday."),
        Answer(text="One moment.", tool_calls=(ToolCall("call_1", "find_parcel", '{"parcel": "AR-12345"}'),)),
    )

    async def story() -> None:
        for said in answers:
            async with serving(Provider(partial(_says, said), (STABLE,))) as url:
                clients: list[Client] = [OpenAIClient(url, STABLE, DESK), LeanClient(url, STABLE, DESK)]
                read = [await client.ask(ASKED, {}, json_asked=False, stream=stream) for client in clients]
                for client in clients:
                    await client.close()
            assert [(got.text, got.calls) for got in read] == [(said.text, said.tool_calls)] * 2

    asyncio.run(story())


def test_the_lean_client_asks_like_the_sdk() -> None:
    bodies: list[Any] = []

    def hear(endpoint: Any, head: Any, body: bytes) -> Answer:
        bodies.append(json.loads(body))
        return Answer(text="{}")

    async def story() -> None:
        async with serving(Provider(hear, (STABLE,))) as url:
            clients: list[Client] = [OpenAIClient(url, STABLE, DESK), LeanClient(url, STABLE, DESK)]
            for client in clients:
                await client.ask(ASKED, {}, json_asked=True, stream=False)
                await client.close()

    asyncio.run(story())
    assert bodies[0] == bodies[1]
    assert bodies[0]["response_format"]["json_schema"]["schema"]["required"] == ["parcel", "status", "eta"]


def test_the_lean_client_asks_an_overloaded_provider_again_and_says_a_refusal() -> None:
    busy = Fault(503, "overloaded", "overloaded")
    answers: Iterator[Answer | Fault] = iter([busy, busy, Answer(text="here you are"), busy, busy, busy])

    async def story() -> None:
        app = Provider(lambda endpoint, head, body: next(answers), (STABLE,))
        async with serving(app) as url:
            client = LeanClient(url, STABLE, DESK)
            assert (await client.ask(ASKED, {}, json_asked=False, stream=False)).text == "here you are"
            with pytest.raises(RefusedError, match=r"503: .*overloaded"):
                await client.ask(ASKED, {}, json_asked=False, stream=False)
            await client.close()
        assert app.requests == {STABLE: 6}
        async with serving(Provider(simulated(1), (STABLE,))) as url:
            client = LeanClient(url, "nobody", DESK)
            with pytest.raises(RefusedError, match="404"):
                await client.ask(ASKED, {}, json_asked=False, stream=False)
            await client.close()

    asyncio.run(story())


@pytest.mark.parametrize("client", [None, LeanClient])
def test_users_of_the_desk_press_a_thumb_now_and_then_and_the_app_says_when_a_task_is_done(client: Any) -> None:
    gateway = Gateway()

    async def story() -> traffic.Summary:
        async with serving(gateway) as url:
            return await traffic.run(gateways=[url], route=FORGETFUL, scenario="desk", sessions=60, concurrency=12, seed=5, client=client)

    summary = asyncio.run(story())
    assert (summary.sessions, summary.errors, summary.feedback_failed) == (60, {}, 0)
    told = Counter((row["metric"], row["value"]) for row in gateway.feedback)
    assert set(told) <= {("task_done", True), ("thumbs", True), ("thumbs", False)}
    assert 20 < told["task_done", True] < 58  # of 70 %: 42 +- 4 x 3.5; the others never hear of it, as a user who left says nothing
    assert told["thumbs", False] == summary.thumbs_down
    assert told["thumbs", True] > 0
    assert summary.abandoned == 0
    sessions = set(gateway.sessions.values())
    for row in gateway.feedback:
        if row["metric"] == "thumbs" and client is LeanClient:
            assert gateway.sessions[row["request_id"]] in sessions  # of the answer itself, where the client knows its id
        else:
            assert row["session_id"] in sessions


def test_several_runs_share_the_machine_by_turns() -> None:
    gateway = Gateway()

    async def story() -> list[traffic.Summary]:
        turns = asyncio.Semaphore(3)
        async with serving(gateway) as url:
            runs = (
                traffic.run(
                    gateways=[url], route=STABLE, scenario="desk", sessions=12, concurrency=6, seed=n, client=LeanClient, turns=turns
                )
                for n in range(2)
            )
            return await asyncio.gather(*runs)

    assert [summary.sessions for summary in asyncio.run(story())] == [12, 12]
    assert gateway.most == 3
