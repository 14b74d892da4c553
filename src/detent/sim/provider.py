"""A provider on a real socket: OpenAI chat completions and Anthropic Messages, streams, tools, models and error shapes.

`Provider` is the shell that both the simulated versions and the recorded answers (replay.py) stand behind: it reads a request, asks an
`Answerer`, waits as long as a quick model would, and writes the answer in the caller's dialect.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import uvicorn

from detent import wire
from detent.errors import CouldNotRun, InvalidInput
from detent.sim import desk, versions
from detent.sim.versions import Fault
from detent.terms import Answer, Dialect, Endpoint, Head

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

Answerer = Callable[[Endpoint, Head, bytes], Answer | Fault]
"""What stands behind a provider: endpoint, head and body of a request -> what to answer; no finish reason stands for the usual one."""

STREAM_PIECES = 6
_LONG_AGO = "1970-01-01T00:00:00Z"  # both dialects must give a date; ours have none
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


def simulated(seed: int) -> Answerer:
    """The simulated versions of versions.py, drawing from one stream of random numbers: equal requests in equal order, equal answers."""
    random = Random(seed)  # noqa: S311 - the noise of a simulation guards nothing

    def reply(endpoint: Endpoint, head: Head, body: bytes) -> Answer | Fault:
        return versions.answer(head.model, wire.read_prompt(endpoint, body), lambda purpose: random.random())

    return reply


def quick(seed: int) -> Callable[[str], float]:
    """Seconds until the first byte of a version's answer: 2 to 8 ms; of the desk's versions what `desk` says."""
    random = Random(seed)  # noqa: S311
    return lambda version: (
        desk.seconds(version, lambda purpose: random.random()) if version in desk.TRAITS else 0.002 + 0.006 * random.random()
    )


class Provider:
    """A bare ASGI app. `requests` counts what was asked for, by the model name as sent; `GET /sim/requests` shows it."""

    def __init__(self, answer: Answerer, models: Sequence[str], *, delay: Callable[[str], float] | None = None) -> None:
        self.requests: Counter[str] = Counter()
        self._answer = answer
        self._models = tuple(models)
        self._delay = delay
        self._served = 0

    def __repr__(self) -> str:
        return f"provider of {', '.join(self._models)}, {self.requests.total()} requests served"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"only http is served here, not `{scope['type']}`")
        body = await _body(receive)
        method, path, headers = scope["method"], scope["path"], scope["headers"]
        endpoint = wire.endpoint(method, path)
        dialect = wire.dialect(headers, path) if endpoint is None else endpoint.dialect
        self._served += 1
        if endpoint is not None:
            try:
                await self._exchange(endpoint, wire.read_head(endpoint, headers, body), body, send)
            except InvalidInput as wrong:
                await self._fault(dialect, Fault(400, wrong.message, "invalid_request"), send)
        elif method == "GET" and path == "/v1/models":
            await self._send(send, dialect, 200, pieces=[_models(dialect, self._models)])
        elif method == "GET" and path == "/sim/requests":
            await self._send(send, dialect, 200, pieces=[json.dumps(self.requests).encode()])
        else:
            await self._fault(dialect, Fault(404, f"Unknown request URL: {method} {path}", "unknown_url"), send)

    async def _exchange(self, endpoint: Endpoint, head: Head, body: bytes, send: Send) -> None:
        self.requests[head.model] += 1
        said = self._answer(endpoint, head, body)
        if self._delay is not None:
            await asyncio.sleep(self._delay(head.model))
        if isinstance(said, Fault):
            await self._fault(endpoint.dialect, said, send)
            return
        if endpoint is Endpoint.ANTHROPIC_MESSAGES and said.finish_reason == "length":
            said = replace(said, finish_reason="max_tokens")
        ident = f"{'chatcmpl-' if endpoint is Endpoint.OPENAI_CHAT else 'msg_'}{self._served:024d}"
        created = int(time.time())
        if head.stream:
            events = wire.answer_stream(endpoint, said, id=ident, created=created, include_usage=head.asks_usage, pieces=STREAM_PIECES)
            await self._send(send, endpoint.dialect, 200, kind=_EVENTS, pieces=events)
        else:
            await self._send(send, endpoint.dialect, 200, pieces=[wire.answer_body(endpoint, said, id=ident, created=created)])

    async def _fault(self, dialect: Dialect, fault: Fault, send: Send) -> None:
        body = wire.error_body(dialect, fault.status, fault.message, fault.code)
        # A client that was told to come back soon does: without this a retry of the SDKs waits half a second.
        soon = [(b"retry-after-ms", b"20")] if fault.status in {429, 503, 529} else []
        await self._send(send, dialect, fault.status, pieces=[body], more=soon)

    async def _send(
        self,
        send: Send,
        dialect: Dialect,
        status: int,
        *,
        kind: tuple[bytes, bytes] = _JSON,
        pieces: Sequence[bytes],
        more: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """One piece goes with its length, several go as a chunked stream, each as it comes."""
        ident = (b"request-id" if dialect is Dialect.ANTHROPIC else b"x-request-id", f"req_{self._served:024d}".encode())
        length = [(b"content-length", str(len(pieces[0])).encode())] if kind is _JSON else []
        await send({"type": "http.response.start", "status": status, "headers": [kind, ident, *length, *more]})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _models(dialect: Dialect, models: Sequence[str]) -> bytes:
    """The list of models in the dialect's shape."""
    if dialect is Dialect.ANTHROPIC:
        rows = [{"type": "model", "id": m, "display_name": m, "created_at": _LONG_AGO, "lifecycle": "active"} for m in models]
        return json.dumps({"data": rows, "has_more": False, "first_id": models[0], "last_id": models[-1]}).encode()
    data = [{"id": m, "object": "model", "created": 0, "owned_by": "detent-sim"} for m in models]
    return json.dumps({"object": "list", "data": data}).encode()


# ── serving ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Server(uvicorn.Server):
    """uvicorn, except that its caller says when it ends: uvicorn's own handlers raise the signal again once it has shut down."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def serving(app: Any, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an ASGI app on 127.0.0.1 for the length of the block; gives its URL. Port 0 takes any free one.

    Raises CouldNotRun when the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as failed:
        listener.close()
        message = f"could not listen on: `127.0.0.1:{port}` ({failed.strerror})"
        raise CouldNotRun(message, hint="take another --port, or 0 for any free one") from failed
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listening.cancel()
        server.should_exit = True
        await running
