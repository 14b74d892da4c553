"""A client in a few lines, for traffic at rates that the official SDKs cannot reach on one machine. It retries as they do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import aiohttp

from detent.sim.apps import Messages, Said
from detent.sim.scenarios import Scenario
from detent.terms import ToolCall

RETRIES = 2
PATIENCE_S = 30.0
RETRIED = {408, 409, 429, 500, 502, 503, 504}
_PAUSE_S = 0.02
IDLE_S = 2.0
"""How long an idle connection is kept: gateways close theirs after five seconds, and a request that meets that is lost."""


class RefusedError(Exception):
    """The gateway or the provider refused for good."""


class LeanClient:
    """Chat completions over one `aiohttp` session; an answer carries the id that the gateway gave it."""

    failures: tuple[type[Exception], ...] = (RefusedError, aiohttp.ClientError, TimeoutError, ValueError)

    def __init__(self, gateway: str, route: str, scenario: Scenario) -> None:
        self._url = f"{gateway}/v1/chat/completions"
        self._scenario = scenario
        self._given: dict[str, Any] = {"model": route} | ({"tools": scenario.openai_tools} if scenario.tools else {})
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
            json_serialize=_compact,
        )

    async def ask(self, messages: Messages, headers: Mapping[str, str], *, json_asked: bool, stream: bool) -> Said:
        """One chat completion, asked again after a failure that may pass."""
        given = self._given | {"messages": messages} | ({"response_format": self._scenario.response_format} if json_asked else {})
        for left in range(RETRIES, -1, -1):
            try:
                async with self._http.post(self._url, json=given | ({"stream": True} if stream else {}), headers=headers) as answer:
                    body = await answer.read()
                    if answer.status == 200:
                        return _read(body, id=answer.headers.get("x-detent-request-id", ""), streamed=stream)
                    if answer.status not in RETRIED or not left:
                        raise RefusedError(f"{answer.status}: {body[:200].decode(errors='replace')}")
            except (aiohttp.ClientError, TimeoutError):
                if not left:
                    raise
            await asyncio.sleep(_PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _read(body: bytes, *, id: str, streamed: bool) -> Said:
    parts = _events(body) if streamed else [json.loads(body)["choices"][0]["message"]]
    text: list[str] = []
    calls: dict[int, list[str]] = {}
    for part in parts:
        text.append(part.get("content") or "")
        for number, made in enumerate(part.get("tool_calls") or ()):
            call = calls.setdefault(made.get("index", number), ["", "", ""])
            function = made.get("function") or {}
            call[0] += made.get("id") or ""
            call[1] += function.get("name") or ""
            call[2] += function.get("arguments") or ""
    return Said("".join(text), tuple(ToolCall(*call) for call in calls.values()), id)


def _events(body: bytes) -> Iterable[dict[str, Any]]:
    """The deltas of a stream."""
    for line in body.splitlines():
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:]).get("choices") or ():
                yield choice.get("delta") or {}
