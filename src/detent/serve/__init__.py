"""`detent serve`, `detent controller` and `detent gateway`: which parts run in which thread of the process.

main thread          data listener (gateway) and control listener, one event loop
thread `flags`       watches the store, hands new flags to the gateway (flags.py); a controller reads them (known_flags.py)
thread `leases`      ends what is leased, obeys orders by file; waits for no store (obeying.py); a gateway's
process              copies of requests to a candidate (shadow/), begun by the gateway when the first is drawn
process              spools -> journal and sums (ingest/), begun by a gateway alone on a store that a server keeps

`serve` and `controller` besides (loops.py), all but the first two and the last two in the one process of a store that leads (leading.py):
thread `controller`  takes part in the lease of the one that leads
thread `keeper`      spools -> journal and sums -> decisions (ingest/, controller/)
thread `baseline`    calls of baseline runs (baseline/)
thread `grader`      scores of shadow pairs (grader.py)
thread `judge`       what the judge says of shadow pairs (pair_judge.py)
thread `warm`        probes of the ways back (prober.py)
thread `drills`      rehearsed rollbacks (driller/)
thread `retention`   takes away what of the journal is older than it is kept (store/retention.py)
threads `notify *`   word of alerts, one for each channel (notify.py)
thread `orders`      tells of orders by file that stand on this host (controller/standing.py)
thread `anchor`      the head of the audit chain (anchor.py)
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from detent.awake import elapsed_s, now_us
from detent.errors import CouldNotRun, InvalidInput
from detent.flags import FlagFeed
from detent.gateway import Gateway, Mirrors
from detent.local_orders import SHADOW_NAME, Orders
from detent.serve.last_requests import LAST_REQUESTS_S
from detent.serve.listening import address_of, listen, serve, server_of
from detent.serve.place import WRITABLE, Place
from detent.store import Store
from detent.store.spool import Spool
from detent.talk import say
from detent.terms import FlagSet, LocalOrder
from detent.upstream import Upstream

if TYPE_CHECKING:
    from detent.serve.beside import ReaderBeside
    from detent.serve.loops import Loops

__all__ = ["address_of", "listen", "run"]


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
    gateway = Gateway(
        lambda: obeyed.current, spool, Upstream(), place.name, mirrors=mirrors, say=say, monotonic=elapsed_s, health=obeyed.health
    )
    feed.tell(gateway.breakers)
    servers = [(server_of(gateway, idle_s=LAST_REQUESTS_S), data)]
    beside: Loops | None = None
    reader: ReaderBeside | None = None
    if control is not None:
        # A gateway alone does without what decides: it is up in half the time, and half as large.
        from detent.serve.loops import loops
        from detent.web.control import Control

        servers.append((server_of(Control(place.store, lambda: obeyed.current), idle_s=0.0), control))
        beside = loops(place, lambda: obeyed.current, ending=ending, say=say)
    elif not place.embedded:
        from detent.serve.beside import ReaderBeside

        command = [sys.executable, *_safe_path(), "-m", "detent", "ingest", "--home", str(place.home), "--store", place.url]
        reader = ReaderBeside(command, say=lambda message: say(f"detent ingest: {message}"))
        reader.start()
    feed.start()
    if beside is not None:
        beside.start()
    try:
        serve(servers, ready=lambda: ready(obeyed.current), told=lambda: None if beside is None else beside.resign(), spool=spool)
    finally:
        if spool.dropped:
            say(f"detent spool: {spool.dropped} records were dropped since the start")
        spool.close()
        ending.set()
        if reader is not None:
            reader.end()
        if beside is not None:
            beside.end()  # what was spooled last is in the journal before the process ends
        feed.stop()
        if reader is not None:
            reader.join()
        place.close()


def _carry_out(store: Store, order: LocalOrder, gateway: str) -> str | None:
    from detent.serve.carrying_out import carry_out

    return carry_out(store, order, gateway=gateway, now=datetime.now(UTC))


def _safe_path() -> list[str]:
    """`python -m` looks into the current directory first: only where this process does so as well."""
    return [] if {"", os.getcwd()} & set(sys.path) else ["-P"]
