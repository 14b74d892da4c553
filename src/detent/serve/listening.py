"""The listeners of a process: how it begins to listen, and how it ends without dropping a request."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn

from detent.errors import CouldNotRun
from detent.gateway.answering import AnswerBroken
from detent.serve import dropping
from detent.serve.last_requests import App, Closing, Server
from detent.store.spool import Spool
from detent.talk import say
from detent.upstream import event_loop

LAST_ANSWERS_S = 600
"""How long an ending process waits for answers under way: as long as it waits for a provider. A second signal cuts them off."""


def listen(address: str) -> socket.socket:
    """A listening socket on `host:port` (port 0: any free one), as the pin file's rules allow it. Raises CouldNotRun if it can't be had."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), int(port)))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise CouldNotRun(
            f"cannot listen on `{address}`: {error.strerror}",
            hint="is another server running? name a free port in [server], or with --data or --control",
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """`host:port` of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Expected(logging.Filter):
    """Keeps out of the log what is no fault: uvicorn writes a traceback for an answer broken off on purpose, or cut off at the end."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return kind is None or not issubclass(kind, AnswerBroken | asyncio.CancelledError)


def server_of(app: App, *, idle_s: float) -> Server:
    """What serves an app; at its end a kept connection stays open for `idle_s` for a request that may be on its way."""
    closing = Closing(app)
    server = Server(
        uvicorn.Config(
            closing,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            server_header=False,
            date_header=False,
            log_level="warning",
            timeout_graceful_shutdown=LAST_ANSWERS_S,
        ),
        closing,
        idle_s=idle_s,
    )
    logging.getLogger("uvicorn.error").addFilter(_Expected())
    return server


def serve(
    servers: Sequence[tuple[Server, socket.socket]], *, ready: Callable[[], None], told: Callable[[], None], spool: Spool | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, and finish the answers under way. `ready` is called once all listen, `told` as the end is asked for.

    Of a `spool` it is said when it drops records.
    """
    with asyncio.Runner(loop_factory=event_loop()) as runner:
        runner.run(_serve(servers, ready, told, spool))


async def _serve(
    servers: Sequence[tuple[Server, socket.socket]], ready: Callable[[], None], told: Callable[[], None], spool: Spool | None
) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        told()
        under_way = [task for server, _ in servers for task in server.server_state.tasks]
        if any(server.should_exit for server, _ in servers):
            for server, _ in servers:
                server.hurried = True
            for task in under_way:
                task.cancel()
        elif under_way:
            say(f"detent: ending once the answers under way ({len(under_way)}) are whole; a second signal cuts them off")
        for server, _ in servers:
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    tasks = [asyncio.ensure_future(server.serve(sockets=[listener])) for server, listener in servers]
    listening: asyncio.Future[Any] = asyncio.gather(*(server.listening.wait() for server, _ in servers))
    await asyncio.wait([listening, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if listening.done():
        ready()
    beside = None if spool is None else asyncio.ensure_future(dropping.watched(spool, lambda message: say(f"detent spool: {message}")))
    try:
        await asyncio.gather(*tasks)
    finally:
        if beside is not None:
            beside.cancel()
