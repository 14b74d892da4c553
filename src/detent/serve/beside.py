"""The process that reads a gateway's spools, where a server keeps the store: begun beside the gateway, and again where it ends."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

SOONEST_S, LATEST_S = 1.0, 30.0
"""How long it is waited before it is begun again: doubled each time, from the first to the second."""

LIVED_S = 60.0
"""A process that lived for so long is begun again as if it were the first."""

LAST_PASS_S = 15.0
"""How long the end waits for what was spooled last to be in the store."""


_WELL = "it read to the end"


class ReaderBeside:
    """Runs `command`, with `--with-gateway FD` behind it, until `end`; it ends with this process in any case, whose pipe closes."""

    def __init__(self, command: Sequence[str], *, say: Callable[[str], None], elapsed: Callable[[], float] = time.monotonic) -> None:
        self._command, self._say, self._elapsed = command, say, elapsed
        self._ending = threading.Event()
        self._theirs, self._ours = os.pipe()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Have it read what was spooled last, and end."""
        self._ending.set()
        os.close(self._ours)

    def join(self) -> None:
        """Wait for that."""
        self._thread.join(timeout=LAST_PASS_S)
        if self._thread.is_alive():
            self._say("it still reads what was spooled last, and ends by itself")

    def _run(self) -> None:
        wait_s, how = 0.0, ""
        while not self._ending.is_set():
            began = self._elapsed()
            how = self._once()
            if self._ending.is_set():
                break
            wait_s = SOONEST_S if self._elapsed() - began >= LIVED_S else min(LATEST_S, max(SOONEST_S, 2 * wait_s))
            self._say(f"{how}; what is spooled is kept, and it is started again in {wait_s:.0f} s")
            self._ending.wait(wait_s)
        if how != _WELL:  # it ended before it could read what was spooled last: a signal to all of a service comes sooner than it is ready
            self._once()

    def _once(self) -> str:
        """One run of it; how it ended."""
        try:
            process = subprocess.Popen(  # noqa: S603 this very program
                [*self._command, "--with-gateway", str(self._theirs)], pass_fds=(self._theirs,), stdin=subprocess.DEVNULL
            )
        except OSError as error:
            return f"the process that reads the spools cannot be started: {error.strerror}"
        code = process.wait()
        if code == 0 and self._ending.is_set():
            return _WELL
        return f"the process that reads the spools has ended ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
