"""The control listener: what is under way, as JSON, and the verbs over HTTP, for those who have a token.

receiving.py  what may be looked at of what comes in      verbs.py  what is done about it in the store
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from detent.errors import Conflict, DetentError, InvalidInput, Refused
from detent.store import Store
from detent.terms import FlagSet
from detent.web.receiving import Asked, Receive, Scope, Send, Unfit, Word, asked, word
from detent.web.verbs import WrongTokens, admitted, carried_out, log, status

STATUS_OF: tuple[tuple[type[DetentError], int], ...] = ((Refused, 409), (Conflict, 409), (InvalidInput, 404))
"""How an error of the store is answered; any other is 503: it could not run."""


def _now() -> datetime:
    return datetime.now(UTC)


class Control:
    """`GET /healthz`, `/v1/status`, `/v1/audit`, and the verbs (`roles.REQUESTS`). Without a store nothing is answered but `/healthz`."""

    def __init__(
        self,
        store: Callable[[], Store],
        flags: Callable[[], FlagSet],
        *,
        clock: Callable[[], datetime] = _now,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._flags = flags
        self._clock = clock
        self._wrong = WrongTokens(elapsed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        more: dict[str, str] = {}
        try:
            code, found = 200, await self._answer(scope, receive)
        except Unfit as unfit:
            code, found, more = unfit.status, unfit.told, unfit.headers
        except DetentError as error:
            code = next((number for kind, number in STATUS_OF if isinstance(error, kind)), 503)
            found = {"error": error.message} | ({"hint": error.hint} if error.hint else {})
        body = json.dumps(found).encode()
        headers = {"content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff"} | more
        headers["content-length"] = str(len(body))
        await send({"type": "http.response.start", "status": code, "headers": [(k.encode(), v.encode()) for k, v in headers.items()]})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

    async def _answer(self, scope: Scope, receive: Receive) -> dict[str, Any]:
        request = asked(scope)
        if request.pattern == "/healthz":
            return {"revision": self._flags().revision}
        token = await asyncio.to_thread(lambda: admitted(self._store(), request, self._wrong, self._clock()))
        if request.method == "GET":
            return await asyncio.to_thread(self._read, request)
        if token is None:
            raise Unfit(403, "a verb is somebody's")
        # Who may is known before a byte of the body is read.
        said = await word(scope, receive)
        return await asyncio.to_thread(self._do, request, said, token.name)

    def _read(self, request: Asked) -> dict[str, Any]:
        return log(self._store(), request) if request.pattern == "/v1/audit" else status(self._store(), self._clock())

    def _do(self, request: Asked, said: Word, by: str) -> dict[str, Any]:
        return carried_out(self._store(), request, said, by, self._clock())


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
