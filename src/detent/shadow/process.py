"""The process that mirrors: jobs come in on a socket, a byte goes back for each that is done with, and the end of the socket is its end.

gateway --4 bytes of length, MessagePack--> here --> providers, spool, ledger
        <--1 byte for each job--
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from detent.awake import now_us
from detent.errors import CouldNotRun
from detent.shadow.budget import Budget
from detent.shadow.job import Job
from detent.shadow.scoring import Scoring
from detent.shadow.sender import Sender
from detent.store import Store, open_store
from detent.store.reopening import Reopening
from detent.store.spool import Spool
from detent.upstream import Upstream, event_loop
from detent.visible import visible

NICENESS = 19
"""Live traffic goes first wherever both want the processor: the shadow falls behind, and drops what does not fit."""

ENDING_S = 9.0
"""How long calls in flight may take once the gateway is gone; it waits a little longer than that for this process."""

TELLS_S = 1.0

FRAME_BYTES = 64 * 1024 * 1024

_LENGTH = struct.Struct(">I")
_DECODER = msgspec.msgpack.Decoder(Job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the process is told on its command line: the gateway's name and socket, the home of spools, the store."""

    fd: int
    home: Path
    name: str
    store: str


def say(message: str) -> None:
    """One line of talk, to stderr, which is the gateway's."""
    print("detent shadow: " + visible(message.replace("\n", "; "), one_line=True), file=sys.stderr, flush=True)


def run(settings: Settings) -> None:
    """Mirror until the gateway is gone. Raises CouldNotRun when no spool can be made."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway: its end is the end here
    try:
        spool = Spool(settings.home / "spool", f"{settings.name}-shadow")
    except OSError as error:
        raise CouldNotRun(f"cannot make a spool: {error}", hint="it needs a directory that this user may write to") from error
    file = _file_of(settings.store)
    place = Reopening(lambda: _open(settings.store, file), files=() if file is None else (file,))
    try:
        with asyncio.Runner(loop_factory=event_loop()) as runner:
            runner.run(_serve(settings.fd, spool, place))
    finally:
        spool.close()
        place.close()


async def _serve(fd: int, spool: Spool, place: Reopening) -> None:
    loop = asyncio.get_running_loop()
    connection = socket.socket(fileno=fd)
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection)
    upstream = Upstream()
    await upstream.start()
    budget = Budget(lambda: place.store().state, secrets.token_hex(8), now_us, say=say)
    sender = Sender(upstream, spool, budget, Scoring(place.store), clock_us=now_us, say=say)
    jobs: set[asyncio.Task[None]] = set()

    async def do(job: Job) -> None:
        try:
            await sender.mirror(job)
        finally:
            if not writer.is_closing():  # the gateway may be gone
                writer.write(b"\x01")

    async def take() -> None:
        async for job in _jobs(reader):
            task = loop.create_task(do(job))
            jobs.add(task)
            task.add_done_callback(jobs.discard)

    taking = loop.create_task(take())
    loop.add_signal_handler(signal.SIGTERM, taking.cancel)
    telling = loop.create_task(_tell(budget))
    await asyncio.wait([taking])
    sender.end()
    if jobs:
        await asyncio.wait(jobs, timeout=ENDING_S)
    for task in [*jobs, telling]:
        task.cancel()
    await asyncio.gather(*jobs, telling, return_exceptions=True)
    sender.close()
    await budget.close()
    await upstream.close()
    writer.close()
    if not taking.cancelled():
        taking.result()


async def _jobs(reader: asyncio.StreamReader) -> AsyncIterator[Job]:
    """The jobs as they come, until the gateway is gone; a frame that is torn then is none. Raises CouldNotRun for what is no frame."""
    while True:
        try:
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            if length > FRAME_BYTES:
                raise CouldNotRun(f"not a job: {length} bytes", hint="gateway and shadow must be of one version")
            frame = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        try:
            yield _DECODER.decode(frame)
        except msgspec.MsgspecError as error:
            raise CouldNotRun(f"not a job: {error}", hint="gateway and shadow must be of one version") from error


async def _tell(budget: Budget) -> None:
    while True:
        await asyncio.sleep(TELLS_S)
        await budget.tell()


def _file_of(url: str) -> Path | None:
    """The file of an embedded store."""
    kind, slashes, file = url.partition("///")
    return Path(file.partition("?")[0]) if slashes and kind.startswith("sqlite") else None


def _open(url: str, file: Path | None) -> Store:
    """The store that is there: an empty one made in its place would know of no budget."""
    if file is not None and not file.exists():
        raise CouldNotRun(f"the store's file is gone: `{file}`", hint="put it back; what is spooled meanwhile is kept")
    return open_store(url)
