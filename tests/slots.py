"""Processes that are started again whenever they end, and a database likewise: a supervisor, as small as one can be."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from processes import Installation, Process

if TYPE_CHECKING:
    from stores import Postgres

CONNECTIONS = 200
PATIENCE_S = 120.0


@dataclass
class Down:
    """A time in which something was not there; `until_s` is None while it is not back. Times are monotonic."""

    from_s: float
    at_us: int
    until_s: float | None = None
    killed: bool = True


class Slot(threading.Thread):
    """One process of the installation, started again whenever it ends."""

    def __init__(self, name: str, place: Installation, *words: str, ending: threading.Event, pause: Callable[[], float]) -> None:
        super().__init__(daemon=True, name=name)
        self.place, self.words = place, words
        self._ending, self._pause = ending, pause
        self.process: Process | None = None
        self.url: str | None = None
        self.downs: list[Down] = [Down(time.monotonic(), time.time_ns() // 1000)]
        self.ended_by_itself: list[str] = []
        self._up = threading.Event()
        self._turn = threading.Lock()

    @property
    def up(self) -> bool:
        return self._up.is_set()

    def run(self) -> None:
        while not self._ending.is_set():
            self.process = process = self.place.start(*self.words)
            with suppress(AssertionError):  # it ended before it listened
                self.url = process.url
                with self._turn:
                    self.downs[-1].until_s = time.monotonic()
                    self._up.set()
            code = process.wait_for_ever()
            with self._turn:
                self._down(killed=False)
            if self._ending.is_set():
                return
            if code != -signal.SIGKILL:
                self.ended_by_itself.append(f"{self.name} ended with {code}: {process.talk[-2000:]}")
            self._ending.wait(self._pause())

    def kill(self) -> int:
        """With signal 9; gives its process id."""
        with self._turn:
            process = self.process
            assert process is not None
            self._down(killed=True)
            process.signal(signal.SIGKILL)
            return process.pid

    def end(self, patience_s: float) -> None:
        """With SIGTERM, once it is not to be started again; what began just then is told too."""
        deadline = time.monotonic() + patience_s
        told: Process | None = None
        while self.is_alive() and time.monotonic() < deadline:
            if self.process is not None and self.process is not told:
                told = self.process
                told.signal(signal.SIGTERM)
            self.join(0.1)

    def _down(self, *, killed: bool) -> None:
        if self._up.is_set():
            self._up.clear()
            self.url = None
            self.downs.append(Down(time.monotonic(), time.time_ns() // 1000, killed=killed))

    def was_down(self, from_s: float, until_s: float) -> bool:
        """Whether it was away at some moment of that time."""
        return any(down.from_s <= until_s and (down.until_s is None or down.until_s >= from_s) for down in self.downs)


def kill_database(server: Postgres) -> None:
    """Signal 9 to the server and all its processes, at once; it is started again at once, and recovers."""
    data, log = server.place / "data", server.place / "log"
    first = int((data / "postmaster.pid").read_text().split()[0])
    those = [first, *children(first)]
    for pid in those:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait(lambda: not any(runs(pid) for pid in those), "the end of PostgreSQL")
    settings = f"-F -k {server.place} -c listen_addresses='' -c max_connections={CONNECTIONS}"

    def starts() -> bool:
        """Refused while a process of the killed one still has its memory."""
        try:
            server.run("pg_ctl", "-D", str(data), "-o", settings, "-l", str(log), "-w", "start")
        except subprocess.CalledProcessError:
            return False
        return True

    wait(starts, "PostgreSQL again")


def children(pid: int) -> list[int]:
    """The processes that a process has begun."""
    with suppress(OSError):
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return []


def command_line(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def runs(pid: int) -> bool:
    """Whether it is there, and more than a dead one that nobody has buried."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait(true: Callable[[], object], what: str) -> None:
    """Polls until something is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"{what}, never"
        time.sleep(0.01)
