"""Whose turn it is to read the spools of a host: one process of a home directory has it at a time, whichever asks first."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from detent.errors import CouldNotRun
from detent.ingest import Ingested, Ingester
from detent.ingest.hosts import HostId
from detent.store import Store
from detent.store.spool import spool_dirs, writer_alive

BATCHES = 10
"""How many batches of a backlog are read before something else is looked at."""

ENDING_S = 10.0
"""How long the last passes may take; what they leave is read by whoever starts on this host next."""

HOST_FILE = "host-id"


def host_of(home: Path) -> HostId:
    """The host that a home directory is, made the first time. Raises CouldNotRun where it cannot be kept there."""
    path = home / HOST_FILE
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            aside = home / f".{HOST_FILE}-{secrets.token_hex(6)}"
            aside.write_text(f"ho_{secrets.token_hex(8)}\n")
            try:
                os.link(aside, path)  # whoever comes second takes the first one's
            except FileExistsError:
                pass
            finally:
                aside.unlink()
        return HostId(path.read_text().strip(), socket.gethostname())
    except OSError as error:
        raise CouldNotRun(f"cannot keep this host's id in `{path}`: {error.strerror}", hint="see who owns that directory") from error


class Turn:
    """The right to read the spools under a directory. It goes with the process that has it, however that ends."""

    def __init__(self, spools: Path) -> None:
        self._path = spools / ".reading"
        self._lock: int | None = None

    def take(self) -> bool:
        """Whether this process has it, now or since long; never waits. Raises CouldNotRun where the directory cannot be written."""
        if self._lock is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CouldNotRun(f"cannot read spools: `{self._path}` ({error.strerror})", hint="see who owns that directory") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def let_go(self) -> None:
        """The next one may read."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Reader:
    """Reads the spools of a host into a store while it is this process's turn."""

    def __init__(
        self,
        store: Store,
        spools: Path,
        turn: Turn,
        host: HostId | None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state, self._spools, self._turn, self._elapsed = store.state, spools, turn, elapsed
        self.ingester = Ingester(store, spools, clock, host=host, elapsed=elapsed)

    def once(self) -> Ingested | None:
        """One pass, of some batches at most; None while another process reads. Raises CouldNotRun when the store can't be written.

        A gateway of this host that was killed is off the list of live ones once its spool is read.
        """
        if not self._turn.take():
            return None
        dead = self._dead()
        done = self.ingester.run_once(most_batches=BATCHES)
        if done.drained and dead:
            for gateway in self._state.gateways():
                if gateway.gateway in dead:
                    self._state.forget_gateway(gateway.gateway)
        return done

    def end(self) -> bool:
        """The last passes before a process ends; whether all that was spooled is in the store.

        Where nobody writes on this host any more, its units need not wait for it.
        """
        until = self._elapsed() + ENDING_S
        while (done := self.once()) is not None and not done.drained:
            if self._elapsed() > until:
                return False
        if done is not None:
            if not any(writer_alive(spool) for spool in spool_dirs(self._spools).values()):
                self.ingester.goodbye()
            self._turn.let_go()
        return True

    def _dead(self) -> set[str]:
        """Names of gateways all of whose spools are dead; a spool's name is its gateway's, a hyphen and a random part."""
        names: dict[bool, set[str]] = {True: set(), False: set()}
        for name, spool in spool_dirs(self._spools).items():
            names[writer_alive(spool)].add(name.rpartition("-")[0])
        return names[False] - names[True]
