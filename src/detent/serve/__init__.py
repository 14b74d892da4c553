"""`detent serve` and `detent gateway`: which parts run in which thread of the process.

main thread        data listener (gateway) and control listener, one event loop
thread `flags`     watches the store, hands new flags to the gateway (flags.py)
thread `leases`    ends what is leased, obeys orders by file; waits for no store (obeying.py)
thread `keeper`    spool -> journal and sums -> decisions (ingest.py, controller/); `serve` only
thread `baseline`  calls of baseline runs (baseline.py); `serve` only
thread `grader`    scores of shadow pairs (grader.py); `serve` only
thread `judge`     what the judge says of shadow pairs (pair_judge.py); `serve` only
thread `warm`      probes of the ways back (prober.py); `serve` only
thread `drills`    rehearsed rollbacks (driller.py); `serve` only
thread `anchor`    the head of the audit chain (anchor.py); `serve` only
threads `notify *` word of alerts, one for each channel (notify.py); `serve` only
process            copies of requests to a candidate (shadow/), begun by the gateway when the first is drawn
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvicorn

from detent.awake import elapsed_s, now_us
from detent.errors import CouldNotRun, InvalidInput
from detent.flags import FlagFeed
from detent.gateway import AnswerBroken, Gateway, Mirrors
from detent.local_orders import SHADOW_NAME, Orders
from detent.serve import dropping
from detent.serve.last_requests import LAST_REQUESTS_S, App, Closing, Server
from detent.serve.place import WRITABLE, Place
from detent.store import Store
from detent.store.spool import Spool
from detent.terms import FlagSet, LocalOrder
from detent.upstream import Upstream

if TYPE_CHECKING:
    from detent.serve.loops import Repeating

LAST_ANSWERS_S = 600
"""How long an ending process waits for answers under way: as long as it waits for a provider. A second signal cuts them off."""


def say(message: str) -> None:
    """One line of talk, to stderr; what others wrote in it (names, reasons, errors of providers) is text, which no terminal obeys."""
    line = message.replace("\n", "; ")
    print("".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line), file=sys.stderr, flush=True)


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
            f"cannot listen on `{address}`: {error.strerror}", hint="is another server running? name a free port in [server]"
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


def _server(app: App, *, idle_s: float) -> Server:
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


def run(
    place: Place,
    *,
    data: socket.socket,
    control: socket.socket | None,
    fallback: FlagSet,
    clients_env: str | None,
    ready: Callable[[FlagSet], None],
) -> None:
    """Serve on these listeners until SIGINT or SIGTERM, and finish the answers under way. With `control` None it is a gateway only.

    `fallback` is what to serve without a store and without flags on disk; `ready` hears what is served, once it is. Raises CouldNotRun when
    the spool can't be made, InvalidInput for a name that is taken for something else.
    """
    if place.name.endswith(SHADOW_NAME):
        raise InvalidInput(f"not a name for a gateway: `{place.name}`", hint=f"`{SHADOW_NAME}` is how the copies of one are named")
    try:
        spool = Spool(place.spools, place.name)
    except OSError as error:
        raise CouldNotRun(f"cannot make a spool: {error}", hint=WRITABLE) from error
    feed = FlagFeed(
        place.store,
        place.name,
        address=address_of(data),
        cache=place.home / f"flags-{place.name}.json",
        clock=lambda: datetime.now(UTC),
        fallback=fallback,
        clients_env=clients_env,
        say=lambda message: say(f"detent flags: {message}"),
        orders=Orders(place.home, spool.dir.name),
        carry_out=lambda store, order: _carry_out(store, order, place.name),
    )
    obeyed = feed.obeyed
    ending = threading.Event()
    mirrors = Mirrors(
        [sys.executable, *_safe_path(), "-m", "detent.shadow", "--home", str(place.home), "--name", place.name, "--store", place.url],
        spool,
        now_us,
        say=lambda message: say(f"detent shadow: {message}"),
    )
    gateway = Gateway(lambda: obeyed.current, spool, Upstream(), place.name, mirrors=mirrors, say=say, monotonic=elapsed_s)
    servers = [(_server(gateway, idle_s=LAST_REQUESTS_S), data)]
    beside: list[Repeating] = []
    if control is not None:
        # A gateway alone does without what decides: it is up in half the time, and half as large.
        from detent.serve.loops import loops
        from detent.web.control import Control

        servers.append((_server(Control(place.store, lambda: obeyed.current), idle_s=0.0), control))
        beside = loops(place, lambda: obeyed.current, ending=ending, say=say)
    feed.start()
    for loop in beside:
        loop.start()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(servers, lambda: ready(obeyed.current), spool))
    finally:
        if spool.dropped:
            say(f"detent spool: {spool.dropped} records were dropped since the start")
        spool.close()
        ending.set()
        for loop in beside:
            loop.join()
        if beside:
            beside[0].once()  # what was spooled last is in the journal before the process ends
        feed.stop()
        place.close()


def _carry_out(store: Store, order: LocalOrder, gateway: str) -> str:
    from detent.serve.carrying_out import carry_out

    return carry_out(store, order, gateway=gateway, now=datetime.now(UTC))


def _safe_path() -> list[str]:
    """`python -m` looks into the current directory first: only where this process does so as well."""
    return [] if {"", os.getcwd()} & set(sys.path) else ["-P"]


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if os.name == "nt":
        return None
    import uvloop

    return uvloop.new_event_loop


async def _serve(servers: list[tuple[Server, socket.socket]], ready: Callable[[], None], spool: Spool) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
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
    beside = asyncio.ensure_future(dropping.watched(spool, lambda message: say(f"detent spool: {message}")))
    try:
        await asyncio.gather(*tasks)
    finally:
        beside.cancel()
