"""The caller's side of the gateway: an ASGI connection as a request to read and an answer to write, and word of a caller that hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any

from detent import wire
from detent.terms import Dialect
from detent.wire import guard
from detent.wire.guard import Headers, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

BODY_IDLE_SECONDS = 30.0
BODY_SECONDS = 120.0
"""For the next part of a body and for all of it: who sends more slowly only holds a connection."""


class CallerGone(Exception):
    """The caller hung up before the request was whole."""


class Caller:
    """One HTTP request. As a context manager it watches the connection meanwhile, and cancels the task inside when the caller hangs up.

    A block that ends by that cancellation ends quietly, with `gone` set. `added` are the headers that every answer carries.
    """

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or self.path.encode()
        self.query: bytes = scope.get("query_string", b"")
        self.headers: Headers = scope["headers"]
        self.added: Headers = ()
        self.gone = False
        self.started = False
        self._receive = receive
        self._send = send
        self._tail = b""
        self._ended = False
        self._serving: asyncio.Task[Any] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def dialect(self) -> Dialect:
        """The protocol that the caller speaks, in whose shape a refusal is answered."""
        return wire.dialect(self.headers, self.path)

    async def body(self, through: Callable[[bytes], bytes] = bytes) -> bytes | Refusal:
        """The whole request body, or why it is not read to its end. Raises CallerGone.

        `through` makes of each part as it comes what is kept of it; what it raises ends the reading.
        """
        parts: list[bytes] = []
        size = 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BODY_SECONDS
        try:
            async with asyncio.timeout(BODY_IDLE_SECONDS) as patience:
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise CallerGone
                    part = message.get("body", b"")
                    size += len(part)
                    if size > guard.BODY_BYTES:
                        return guard.too_large()
                    parts.append(through(part))
                    if not message.get("more_body", False):
                        return parts[0] if len(parts) == 1 else b"".join(parts)
                    patience.reschedule(min(loop.time() + BODY_IDLE_SECONDS, deadline))
        except TimeoutError:
            return Refusal(408, "body_too_slow", "the request body did not arrive in time")

    def __enter__(self) -> Caller:
        self._serving = asyncio.current_task()
        self._watching = asyncio.get_running_loop().create_task(self._watch())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._watching is not None:
            self._watching.cancel()
        if self.gone and self._serving is not None:
            self._serving.uncancel()
            return kind is asyncio.CancelledError
        return False

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        # The server says `disconnect` after a whole answer as well: that is no news.
        if not self._ended and self._serving is not None:
            self.gone = True
            self._serving.cancel()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Sends status and headers."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, chunk: bytes) -> None:
        """Sends bytes at once. Waits only while the caller reads more slowly than they come."""
        if chunk:
            self._tail = (self._tail + chunk[-4:])[-4:]
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self, rest: bytes = b"") -> None:
        """Sends the last bytes, and ends the answer properly."""
        self._ended = True
        await self._send({"type": "http.response.body", "body": rest, "more_body": False})

    @property
    def between_events(self) -> bool:
        """Whether what was sent of a stream ends with a whole event, so that another one may follow."""
        return self._tail == b"" or self._tail.endswith((b"\n\n", b"\r\r", b"\r\n\r\n"))

    async def answer(self, status: int, body: bytes, told: Headers = ()) -> None:
        """A whole JSON answer of our own."""
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *told, *self.added]
        await self.start(status, headers)
        await self.end(body)

    async def refuse(self, refusal: Refusal, *, retry: bool = False, after_s: int | None = None) -> None:
        """A refusal in the shape of the caller's protocol; `retry` tells its SDK whether to try again, and `after_s` when."""
        body = wire.error_body(self.dialect, refusal.status, refusal.message, refusal.code)
        told = [(b"x-detent-error", refusal.code.encode()), (b"x-should-retry", b"true" if retry else b"false")]
        if after_s is not None:
            told.append((b"retry-after", str(after_s).encode()))
        if refusal.status in {408, 413, 426, 431}:
            told.append((b"connection", b"close"))  # what is left of the request must not be taken for the next one
        await self.answer(refusal.status, body, told)
