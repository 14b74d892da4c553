"""The end of a server without a dropped request: what was accepted is answered, and who comes back is told to go elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LAST_REQUESTS_S = 2.0
"""How long connections without a request stay open after the end was called for: a request that is on its way to us is answered, and its
answer says `connection: close`. A client cannot tell one that we never read from one that we did, so that it dares not send it again.
"""

_CLOSE = (b"connection", b"close")
_LOOK_S = 0.02


class Closing:
    """An ASGI application; once `closing` is set all its answers say that the connection ends with them."""

    def __init__(self, app: App) -> None:
        self.closing = False
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        await self._app(scope, receive, self._telling(send) if scope["type"] == "http" else send)

    def _telling(self, send: Send) -> Send:
        async def tell(message: Message) -> None:
            if self.closing and message["type"] == "http.response.start":
                # A new message: what stands in the application's own is not ours to change.
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        return tell


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own, since the process has one owner of signals, with word of when it listens, and with an end
    that drops nothing. `idle_s` is how long connections without a request are kept then; `hurried` ends that, for who asks twice.
    """

    def __init__(self, config: uvicorn.Config, app: Closing, *, idle_s: float) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.hurried = False
        self._app = app
        self._idle_s = idle_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with word of it."""
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens no more, and lets every connection end by itself before uvicorn ends the rest."""
        self._app.closing = True
        # What the kernel has accepted is taken in by the loop's next look at the listener; what comes later is refused.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self._last_requests()
        await super().shutdown(sockets)

    async def _last_requests(self) -> None:
        """Until no connection is left: each gets its answer, and then `idle_s` for one more request if nobody told it of the end."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (self.config.timeout_graceful_shutdown or 0)
        idle_since: dict[Any, float] = {}
        while self.server_state.connections and not self.hurried and loop.time() < until:
            for connection in list(self.server_state.connections):
                if _answering(connection):
                    idle_since.pop(connection, None)
                elif loop.time() - idle_since.setdefault(connection, loop.time()) >= self._idle_s:
                    connection.shutdown()
            await asyncio.sleep(_LOOK_S)


def _answering(connection: Any) -> bool:
    """Whether a request of this connection of uvicorn's is being answered."""
    return connection.cycle is not None and not connection.cycle.response_complete
