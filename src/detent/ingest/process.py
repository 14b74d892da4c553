"""`detent ingest`: the process that reads a host's spools where neither `detent serve` nor `detent controller` does."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from detent.errors import DetentError
from detent.ingest.reading import Reader, Turn, host_of
from detent.store import Store
from detent.store.reopening import Reopening

EVERY_S = 0.1
"""How long entries lie in a spool at most before they are read, while nothing is wrong."""

WAITS_S = 0.2
"""How often it is asked for the turn while another process reads."""

RETRY_S = 1.0

ENDING_S = 10.0
"""How long the last pass is tried where the store cannot be written; what is spooled stays, and is read by whoever starts there next."""

NICENESS = 5
"""Beside a gateway: its answers go first wherever both want the processor."""


class _End:
    """When to end: at a signal, or as the gateway that began this process is gone: then the other end of its pipe is closed."""

    def __init__(self, gateway: int | None) -> None:
        self._gateway = gateway
        self._ended = threading.Event()
        if gateway is None:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: self._ended.set())
        else:
            # Both go to every process of a terminal or a service: the gateway has answers to finish, whose records are still to come.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)

    def wait(self, seconds: float) -> bool:
        """Whether it is time to end, within so many seconds."""
        if self._gateway is None:
            return self._ended.wait(seconds)
        return bool(select.select([self._gateway], [], [], seconds)[0])


def run(open_store: Callable[[], Store], home: Path, *, files: tuple[Path, ...], gateway: int | None, say: Callable[[str], None]) -> None:
    """Read until SIGINT or SIGTERM, or until the gateway is gone whose pipe `gateway` is; then once more, to the end.

    `files` are those of an embedded store. Raises CouldNotRun where the home directory cannot be used.
    """
    if gateway is not None:
        os.nice(NICENESS)
    end = _End(gateway)
    host, turn = host_of(home), Turn(home / "spool")
    place = Reopening(open_store, files=files)
    reads: tuple[Store, Reader] | None = None
    said = ""
    reading = False

    def reader() -> Reader:
        nonlocal reads
        store = place.store()
        if reads is None or reads[0] is not store:
            reads = store, Reader(store, home / "spool", turn, host)
        return reads[1]

    def attempt(step: Callable[[Reader], object]) -> float:
        """How long to wait after it; what goes wrong is said once."""
        nonlocal said, reading
        try:
            found = step(reader())
        except Exception as error:  # noqa: BLE001 whatever it is: a reader that ends is one that reads nothing more
            now = error.message if isinstance(error, DetentError) else f"{type(error).__name__}: {error}"
            if now != said:
                say(f"{now}; what is spooled is kept, trying again")
            said = now
            return RETRY_S
        if said:
            say("reading again")
            said = ""
        if found is None:
            return WAITS_S
        if not reading and gateway is None:
            say(f"reading the spools in {home / 'spool'} as host {host.id} ({host.name})")
        reading = True
        return EVERY_S

    try:
        if gateway is None and not turn.take():
            say("another process reads the spools here; waiting for its end")
        wait_s = 0.0
        while not end.wait(wait_s):
            wait_s = attempt(Reader.once)
        reading = True  # nothing more is announced
        until = time.monotonic() + ENDING_S
        while attempt(Reader.end) == RETRY_S and time.monotonic() < until:
            time.sleep(RETRY_S)
    finally:
        with suppress(OSError):
            turn.let_go()
        place.close()
