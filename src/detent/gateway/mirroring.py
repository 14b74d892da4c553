"""The process that mirrors, as a gateway sees it: started when something is drawn, told of jobs, never waited for.

    gateway --frames of jobs--> socket --> python -m detent.shadow --> the candidate's provider
            <--a byte for each job that is done with--

It has its own event loop, pool, budget and records, so that a shadow that hangs, floods or fails costs live traffic nothing but the
encoding of a job. It ends with the socket, and is started again when it ended by itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from detent.gateway.records import SpoolSink
from detent.shadow.job import Job
from detent.shadow.unmirrored import UnmirroredSums
from detent.terms import NotMirrored

MOST_JOBS = 80
MOST_BYTES = 64 * 1024 * 1024
"""How much the other process may hold, or have before it: 16 calls at once and as much again as they take in some seconds."""

ENDING_S = 11.0
"""How long the process has to end after its socket did: it finishes its calls in flight, for 10 s."""

SOONEST_S = 1.0
LATEST_S = 30.0
"""When a process that ended is started again: doubling, until one has done a job."""

STUCK_S = 1800.0
"""A process that holds jobs and has been done with none for so long is stuck: no call of it may last that long."""

_ENCODER = msgspec.msgpack.Encoder()
_LENGTH = struct.Struct(">I")


class MirrorSink(Protocol):
    """Where drawn exchanges go."""

    def offer(self, job: Job) -> NotMirrored | None:
        """Takes a job, or says why not. Never waits and never raises."""

    async def close(self) -> None:
        """Lets what was taken be finished, within bounds."""


class Mirrors:
    """The process that `command` starts, with `--fd N` behind it. `say` hears when it ended by itself. Use it in one event loop.

    What is lost with a process counts for the rollout, or the trickle, of the oldest jobs that it held: which of them it had sent already,
    nobody knows.
    """

    def __init__(
        self,
        command: Sequence[str],
        spool: SpoolSink,
        clock_us: Callable[[], int],
        *,
        say: Callable[[str], None] = lambda message: None,
        monotonic: Callable[[], float] = time.monotonic,
        ending_s: float = ENDING_S,
    ) -> None:
        self._command = command
        self._unmirrored = UnmirroredSums(spool.write, clock_us)
        self._say = say
        self._monotonic = monotonic
        self._ending_s = ending_s
        self._child: _Child | None = None
        self._ends: set[asyncio.Task[bool]] = set()
        self._wait_s = 0.0
        self._not_before_s = 0.0
        self._closed = False

    def offer(self, job: Job) -> NotMirrored | None:
        """See MirrorSink."""
        size = _size(job)
        child = self._child
        if child is None:
            if self._closed or self._monotonic() < self._not_before_s:
                return "lost"
            child = self._child = self._start()
        if len(child.held) >= MOST_JOBS or child.held_bytes + size > MOST_BYTES:
            if self._monotonic() - child.heard_s > STUCK_S:
                child.kill()
            return "pressure"
        try:
            encoded = _ENCODER.encode(job)
        except (ValueError, TypeError):  # a text that no UTF-8 can hold
            return "lost"
        if not child.held:
            child.heard_s = self._monotonic()
        child.hold(size, job.counter if job.drawn else None)
        child.send(_LENGTH.pack(len(encoded)) + encoded)
        return None

    async def close(self) -> None:
        """Ends the process; it has some seconds to finish its calls."""
        self._closed = True
        child = self._child
        if child is not None:
            for counter in child.say_goodbye():
                self._unmirrored.add(counter, "lost")
            if not await self._ended(child):  # else it has counted what it did not send
                for counter in child.held_for():
                    self._unmirrored.add(counter, "lost")
        await asyncio.gather(*self._ends)
        self._unmirrored.flush()

    def _start(self) -> _Child:
        child = _Child(self._command, self._heard)
        child.heard_s = self._monotonic()
        return child

    def _heard(self, child: _Child, done: int) -> None:
        """So many jobs are done with; none at all: the process has ended."""
        child.heard_s = self._monotonic()
        if done:
            self._wait_s = 0.0
            return
        self._child = None
        if not self._closed:  # at the end the process counts itself what it did not send
            for counter in child.held_for():
                self._unmirrored.add(counter, "lost")
            self._wait_s = min(LATEST_S, max(SOONEST_S, 2 * self._wait_s))
            self._not_before_s = self._monotonic() + self._wait_s
            self._say(f"the process that mirrors has ended; it is started again in {self._wait_s:.0f} s at the earliest")
            end = asyncio.get_running_loop().create_task(self._ended(child))
            self._ends.add(end)
            end.add_done_callback(self._ends.discard)

    async def _ended(self, child: _Child) -> bool:
        """Waits for a process that should end, and then makes it. Whether it ended by itself."""
        process = await child.process
        by_itself = process is not None and await asyncio.get_running_loop().run_in_executor(None, _reap, process, self._ending_s)
        child.let_go()
        return by_itself


class _Child:
    """One run of the process: its socket, what is still to be written into it, and what it holds."""

    def __init__(self, command: Sequence[str], heard: Callable[[_Child, int], None]) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[memoryview] = deque()
        self.held: deque[tuple[int, str | None]] = deque()
        self.held_bytes = 0
        self.heard_s = 0.0
        self._gone = False
        # In a thread: a fork takes milliseconds, and nobody's bytes wait for them. Jobs may be written meanwhile.
        self.process = self._loop.run_in_executor(None, _spawn, [*command, "--fd", str(theirs.fileno())], theirs)
        self._loop.add_reader(ours, self._read)

    def hold(self, size: int, counter: str | None) -> None:
        """The process has a job more. `counter` is None for one that is not counted when it is lost."""
        self.held.append((size, counter))
        self.held_bytes += size

    def held_for(self) -> list[str]:
        """What the held jobs count for."""
        return [counter for _, counter in self.held if counter is not None]

    def send(self, frame: bytes) -> None:
        """Writes what the socket takes now, and the rest when it takes more."""
        self._unsent.append(memoryview(frame))
        if len(self._unsent) == 1:
            self._write()

    def _write(self) -> None:
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent[0])
                if sent < len(self._unsent[0]):
                    self._unsent[0] = self._unsent[0][sent:]
                else:
                    self._unsent.popleft()
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._socket, self._write)
            return
        except OSError:  # it is gone, which the reader hears as well
            self._unsent.clear()
        self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            done = len(self._socket.recv(65536))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            done = 0
        if done == 0:
            self.let_go()
            return
        for _ in range(min(done, len(self.held))):
            self.held_bytes -= self.held.popleft()[0]
        self._heard(self, done)

    def let_go(self) -> None:
        """The process has ended, or might as well."""
        if self._gone:
            return
        self._gone = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._unsent.clear()
        self._socket.close()
        self._heard(self, 0)

    def say_goodbye(self) -> list[str]:
        """Tells the process that no more will come. Returns what those count for of which it was not sent all."""
        unsent = [self.held.pop() for _ in range(min(len(self._unsent), len(self.held)))]
        self._loop.remove_writer(self._socket)
        self._unsent.clear()
        with suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_WR)
        return [counter for _, counter in unsent if counter is not None]

    def kill(self) -> None:
        """Ends the process now."""
        if self.process.done() and (process := self.process.result()) is not None:
            process.kill()


def _size(job: Job) -> int:
    calls = [job.candidate] if job.second is None else [job.candidate, job.second]
    return len(job.request) + len(job.heard.body or b"") + sum(len(call.outgoing.body) for call in calls)


def _spawn(command: Sequence[str], theirs: socket.socket) -> subprocess.Popen[bytes] | None:
    """The process, or None where it cannot be started: then the other end of its socket is closed, which is heard as its end."""
    with theirs:
        try:
            return subprocess.Popen(  # noqa: S603 - the command is the program's own
                command,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C in the terminal is for the server: this one ends with its socket
            )
        except OSError:
            return None


def _reap(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Whether it ended in time; if not, it has been ended."""
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
