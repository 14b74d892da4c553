"""Which of many processes decides: one holds the lease and works on a fenced store, the others look on and follow.

Nobody compares clocks: whoever looks on takes over when the holder's beat stood still for `LEASE_S` by its own monotonic clock. A holder
that was stopped meanwhile and goes on writes nothing: the fence refuses each of its writes, and so it learns that it leads no more.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from detent.awake import now_us
from detent.ingest.hosts import HostId
from detent.store import Store
from detent.store.leases import Lease, NotLeading

LEASE_S = 5.0
"""How long the beat of a holder may stand still before another process takes over."""

BEAT_S = 1.0

LOOK_S = 0.25
"""How often a process that does not lead looks at the lease: what one that ends on purpose gives up is taken as soon as that."""

DIRECTORY = "controllers"

STANDS_BY = object()
"""What a step that only the leading process takes gives in any other."""

_T = TypeVar("_T")


class Tenure:
    """One time of leading: the lease, the store with its fence, and whether it is over (or the process is about to end)."""

    def __init__(self, source: Store, lease: Lease, over: threading.Event) -> None:
        self.source, self.lease, self.over = source, lease, over
        self.store = source.fenced(lease)


class Leading:
    """Takes part in the lease of the process that decides. `connect` gives the store; `say` hears of each change of hands.

    `name` is what people call this process by. Of a holder on the same host it is seen at once when it is dead: each keeps a locked file in
    the home directory for as long as it lives.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        name: str,
        home: Path,
        host: HostId,
        *,
        ending: threading.Event,
        say: Callable[[str], None],
        elapsed: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = now_us,
    ) -> None:
        self._connect, self._host, self._say, self._elapsed, self._now_us = connect, host.id, say, elapsed, now_us
        self._ending = ending
        self._alive = _Alive(home / DIRECTORY, secrets.token_hex(6))
        self._holder = f"{name}/{host.id}/{self._alive.token}"
        self._tenure: Tenure | None = None
        self._seen: tuple[Lease, float] | None = None
        self._beat_s = 0.0
        self._stands_by = ""
        self._resigns = False
        self._gave_up = False

    # ── the lease ──

    def step(self) -> None:
        """One look: a sign of life of the one that leads, or whether it is time to follow. Raises CouldNotRun without a store."""
        try:
            store = self._connect()
            if self._tenure is not None and self._tenure.source is not store:
                self._end(self._tenure)  # another file stands in the store's place
            if self._tenure is not None:
                self._lead(store, self._tenure)
            elif not self._resigns:
                self._look_on(store)
        except Exception:
            self._seen = None  # while nothing can be read nobody's beat stands still
            raise

    def resign(self) -> None:
        """This process is about to end: another one may lead at once. Until one does, this one goes on."""
        self._resigns = True

    def end(self) -> None:
        """Lead no more. Never raises: a lease that cannot be given up is taken from who does not beat."""
        self._resigns = True
        try:
            if self._tenure is not None and not self._gave_up:
                self._tenure.source.state.give_up_lease(self._tenure.lease)
        except Exception as error:  # noqa: BLE001 said, and the process ends all the same
            self._say(f"the lease could not be given up ({error}); another process takes it in {LEASE_S:.0f} s")
        if self._tenure is not None:
            self._end(self._tenure)
        self._alive.close()

    def _lead(self, store: Store, tenure: Tenure) -> None:
        if self._resigns:
            if not self._gave_up:
                store.state.give_up_lease(tenure.lease)
                self._gave_up = True
            found = store.state.lease(tenure.lease.name)
            if found is None or (found.counter, found.holder) != (tenure.lease.counter, tenure.lease.holder):
                self._end(tenure)
            return
        if self._elapsed() - self._beat_s < BEAT_S:
            return
        self._beat_s = self._elapsed()
        alive = store.state.beat_lease(tenure.lease, beat=self._now_us())
        if alive is None:
            self.lost(tenure)
        else:
            tenure.lease = alive

    def _look_on(self, store: Store) -> None:
        found = store.state.lease()
        free = self._free(found)
        if free is None:
            assert found is not None, "one that nobody ever held is free"
            if self._stands_by != found.holder:
                self._stands_by = found.holder
                self._say(f"{name_of(found)} leads; this process stands by")
            return
        taken = store.state.take_lease(found, self._holder, beat=self._now_us())
        self._seen = None
        if taken is None:
            return
        if found is not None:
            self._alive.bury(found.holder, self._host)
        self._tenure = Tenure(store, taken, _Over(self._ending))
        if free or self._stands_by:
            self._say("this process leads now" + (f": {free}" if free else ""))
        self._beat_s, self._stands_by, self._gave_up = self._elapsed(), "", False

    def _free(self, found: Lease | None) -> str | None:
        """Why the lease may be taken, in words, "" where that is no news; None where it may not."""
        if found is None or found.holder == self._holder:
            return ""
        if found.given_up:
            return "" if self._alive.is_ours(found.holder, self._host) else f"{name_of(found)} gave it up"
        if self._alive.is_dead(found.holder, self._host):
            return ""
        now = self._elapsed()
        if self._seen is None or self._seen[0] != found:
            self._seen = found, now
        return f"nothing was heard of {name_of(found)} for {LEASE_S:.0f} s" if now - self._seen[1] >= LEASE_S else None

    def lost(self, tenure: Tenure) -> None:
        """Another process leads: nothing of this tenure is written any more."""
        if self._tenure is tenure:
            self._end(tenure)
            self._say("another process leads now; nothing that this one had under way was written since")

    def _end(self, tenure: Tenure) -> None:
        tenure.over.set()
        self._tenure = None

    # ── what the one that leads does ──

    def led(self, make: Callable[[Tenure], _T], step: Callable[[_T], object]) -> Callable[[], object]:
        """A step that is taken while this process leads, with what `make` made of its tenure; else it gives STANDS_BY.

        Raises CouldNotRun without a store.
        """
        made: tuple[Tenure, _T] | None = None

        def once() -> object:
            nonlocal made
            store, tenure = self._connect(), self._tenure
            if tenure is None or tenure.source is not store:
                made = None
                return STANDS_BY
            if made is None or made[0] is not tenure:
                made = tenure, make(tenure)
            try:
                return step(made[1])
            except NotLeading:
                self.lost(tenure)
            except ExceptionGroup as group:
                if group.split(NotLeading)[0] is None:
                    raise
                self.lost(tenure)
            return STANDS_BY

        return once


def name_of(lease: Lease) -> str:
    """What people call the holder by."""
    return f"`{lease.holder.partition('/')[0]}`"


class _Over(threading.Event):
    """Set when a tenure is over; as good as set when the process is about to end."""

    def __init__(self, ending: threading.Event) -> None:
        super().__init__()
        self._all = ending

    def is_set(self) -> bool:
        return super().is_set() or self._all.is_set()


class _Alive:
    """A file for each process of a home that takes part, locked for as long as it lives."""

    def __init__(self, directory: Path, token: str) -> None:
        self.token, self._directory = token, directory
        self._lock: int | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(directory / token, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # a full disk: then a successor on this host waits as one elsewhere does
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._lock = lock

    def is_ours(self, holder: str, host: str) -> bool:
        """Whether a holder is, or was, of this home."""
        return holder.split("/")[1:2] == [host]

    def is_dead(self, holder: str, host: str) -> bool:
        """Whether a holder of this home is known to be dead: its file is there, and nobody has it locked."""
        if not self.is_ours(holder, host):
            return False
        try:
            lock = os.open(self._path(holder), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True

    def bury(self, holder: str, host: str) -> None:
        """Take away the file of a holder of this home that was followed, where it is dead."""
        if self.is_dead(holder, host):
            self._path(holder).unlink(missing_ok=True)

    def close(self) -> None:
        """This process takes part no more."""
        if self._lock is not None:
            (self._directory / self.token).unlink(missing_ok=True)
            self.die()

    def die(self) -> None:
        """As the kernel does it for a process that is killed."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _path(self, holder: str) -> Path:
        return self._directory / holder.rpartition("/")[2]
