"""Recorded traffic of a simulated app, as another tool's log would hold it: what one tries Detent on without any traffic of one's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from detent import wire
from detent.sim.apps import APPS, Ending, Messages, Said, Session
from detent.sim.scenarios import SCENARIOS, Scenario
from detent.sim.versions import Fault, answer
from detent.terms import Endpoint

BEGAN = datetime(2026, 10, 1, 8, 0, tzinfo=UTC)
BETWEEN = timedelta(minutes=7)
"""The first session and the time from one to the next: a month of traffic in some six thousand sessions."""


def record(scenario: str, version: str, *, sessions: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row per model call, `{"id", "created", "session", "request", "response"}`: bodies in the dialect that the scenario's app speaks.

    The same seed gives the same rows. A call that the provider refuses gives a row with its status and error, as logs have them.
    """
    app = SCENARIOS[scenario]
    for number in range(sessions):
        rows: list[dict[str, Any]] = []
        random = Random(f"{seed}/{scenario}/{number}")  # noqa: S311 - a simulation
        recorder = _Recorder(app, version, session=f"{scenario}-{seed}-{number}", at=BEGAN + number * BETWEEN, random=random, rows=rows)
        try:
            asyncio.run(_whole(APPS[scenario](Session(random, recorder, _at_once))))
        except _Refused:
            rows[-1]["session_ended"] = True
        yield from rows


class _Refused(Exception):
    """The provider refused, and the app gave up."""


async def _whole(session: Awaitable[Ending]) -> Ending:
    return await session


async def _at_once() -> None:
    """Nobody waits for a simulated user to think."""


class _Recorder:
    """What the app asks: the simulated version itself, with every call written down."""

    def __init__(self, app: Scenario, version: str, *, session: str, at: datetime, random: Random, rows: list[dict[str, Any]]) -> None:
        self._app, self._version, self._session, self._at = app, version, session, at
        self._random, self._rows = random, rows

    async def __call__(self, messages: Messages, *, json_asked: bool = False) -> Said:
        request = {"model": self._version, **_given(self._app, messages, json_asked)}
        prompt = wire.read_prompt(self._app.endpoint, json.dumps(request).encode())
        said = answer(self._version, prompt, lambda purpose: self._random.random())
        self._at += timedelta(seconds=3)
        id = f"{self._session}-{len(self._rows)}"
        row: dict[str, Any] = {"id": id, "created": int(self._at.timestamp()), "session": self._session, "request": request}
        self._rows.append(row)
        if isinstance(said, Fault):
            row |= {"status": said.status, "error": said.message}
            raise _Refused
        body = wire.answer_body(self._app.endpoint, said, id=id, created=row["created"])
        row["response"] = json.loads(body)
        return Said(said.text, said.tool_calls)


def _given(app: Scenario, messages: Messages, json_asked: bool) -> dict[str, Any]:
    """The request body as the app's SDK would write it."""
    if app.endpoint is Endpoint.ANTHROPIC_MESSAGES:
        tools = [{"name": t.name, "description": t.says, "input_schema": t.schema} for t in app.tools]
        return {"system": app.system, "max_tokens": 1024, "tools": tools, "messages": list(messages)}
    given: dict[str, Any] = {"messages": list(messages)}
    if app.tools:
        given["tools"] = app.openai_tools
    if json_asked:
        given["response_format"] = app.response_format
    return given
