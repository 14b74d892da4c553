"""The control listener: read-only JSON about flags, rollouts and gateways. Verbs are CLI commands that write to the store themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from detent.errors import DetentError
from detent.explain import summary
from detent.store import Store
from detent.terms import FlagSet

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK_HOSTS = {"127.0.0.1", "localhost", "[::1]"}


class Control:
    """`GET /healthz` and `GET /v1/status`. The Host header must be a loopback name: no page of another site can read this."""

    def __init__(self, store: Callable[[], Store], flags: Callable[[], FlagSet]) -> None:
        self._store = store
        self._flags = flags

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        status, found = await self._answer(scope)
        body = json.dumps(found).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> tuple[int, dict[str, Any]]:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0].rpartition(":")[0].lower() not in LOOPBACK_HOSTS:
            return 403, {"error": "this listener answers loopback names only"}
        if scope["method"] != "GET":
            return 405, {"error": "read-only: use the `detent` command to change anything"}
        if scope["path"] == "/healthz":
            return 200, {"revision": self._flags().revision}
        if scope["path"] == "/v1/status":
            try:
                return 200, await asyncio.to_thread(self._status)
            except DetentError as error:
                return 503, {"error": error.message, "hint": error.hint}
        return 404, {"error": "not found", "paths": ["/healthz", "/v1/status"]}

    def _status(self) -> dict[str, Any]:
        state = self._store().state
        return summary(state.revision(), state.flags(), state.rollouts(), state.gateways())


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
