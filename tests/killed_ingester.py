"""A nursery for processes that are killed: a writer of three spools, and ingesters that die at random moments and at chosen ones.

    python killed_ingester.py STORE_URL ROOT TWIN_ROOT SEED

The writer writes the same entries under ROOT and under TWIN_ROOT, in a time of its own that it keeps in a file: when the file says t, all
that happened before t is in the spools. Ingesters of ROOT are forked from a process that has opened no database, and killed. At the end the
writer kills itself with legs under way. Prints how many ingesters were killed, and where.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import struct
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import create_engine

from detent import ingest
from detent.evidence.units import UnitFold
from detent.ingest import Ingester
from detent.store import open_store
from detent.store.database import parse_url
from detent.store.journal import Journal
from detent.store.spool import Spool, segments, spool_dirs
from detent.store.state import State
from detent.terms import Arm, Outcome, Role, UnitKind, Usage, utc
from records import T0_US, begun, intent, kept, pair, result, thumbs_down, unmirrored

STEP_US = 10_000
FEEDBACK_AFTER = 200
"""Steps after a leg: an app never says anything of an answer while it is still being asked for."""

RANDOM_KILLS = 8
PATIENCE_S = 30.0


class Time:
    """The writer's time, in a file of eight bytes."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)

    def write(self, at_us: int) -> None:
        os.pwrite(self._file, struct.pack("<q", at_us), 0)

    def read(self) -> datetime:
        held = os.pread(self._file, 8, 0)
        return utc(struct.unpack("<q", held)[0] if held else T0_US)


def write(roots: list[Path], time_file: Path, seed: int, stop: int) -> None:
    """Sessions of some legs over two gateways, and what is mirrored, until `stop` says so; then die in the middle of it."""
    rng = Random(seed)
    clock = Time(time_file)
    gateways = [[Spool(root, f"gw{number}", segment_bytes=30_000) for root in roots] for number in (1, 2, 3)]
    under_way: list[tuple[int, str, int]] = []  # when, which leg, at which gateway
    beginning: list[tuple[int, int, str, int]] = []  # when its first byte comes, when it was sent, the rest as above
    seen: list[tuple[str, str]] = []  # unit and exchange of every leg

    def say(gateway: int, entry: Any) -> None:
        for spool in gateways[gateway]:
            spool.write(entry)

    for number in itertools.count():
        at_us = T0_US + number * STEP_US
        clock.write(at_us)
        seconds = (at_us - T0_US) / 1_000_000
        for first in sorted(entry for entry in beginning if entry[0] <= at_us):
            beginning.remove(first)
            say(first[3], begun(first[2], seconds, (first[1] - T0_US) / 1_000_000))
        for ended in sorted(entry for entry in under_way if entry[0] <= at_us):
            under_way.remove(ended)
            outcome = Outcome.COMPLETE if rng.random() < 0.9 else Outcome.TIMED_OUT
            usage = Usage(output=rng.randrange(1, 400))
            more = {"latency_s": rng.randrange(1, 40) / 4, "language": rng.choice((None, "de", "fr"))}
            say(ended[2], result(ended[1], seconds, outcome, usage=usage, answer_body=b"{}", **more))
        unit = f"u{number // 4 + rng.randrange(6)}"
        period = 1 + number // 150
        arm = Arm.CANDIDATE if Random(unit).random() < min(0.9, 0.2 * period) else Arm.STABLE
        kind = UnitKind.SESSION if int(unit[1:]) % 3 else UnitKind.REQUEST
        gateway, leg = rng.randrange(2), str(number)
        role = Role.MIRRORED if rng.random() < 0.1 else Role.SERVED
        who: dict[str, Any] = {
            "user": f"h{number % 7}",
            "tenant": rng.choice((None, "acme", "bolt")),
            "control": Random(unit).random() > 0.8,
        }
        randomised = rng.random() < 0.95
        say(gateway, intent(leg, unit, seconds, arm=arm, period=period, unit_kind=kind, role=role, randomised=randomised, **who))
        lasts = rng.randrange(1, 100)
        under_way.append((at_us + lasts * STEP_US, leg, gateway))
        if rng.random() < 0.6:
            beginning.append((at_us + rng.randrange(1, lasts + 1) * STEP_US, at_us, leg, gateway))
        seen.append((unit, f"ex_{leg}"))
        if role is Role.MIRRORED:  # the process that mirrors has a spool of its own; the live leg is on record at the gateway
            say(2, rng.choice((kept(leg, seconds, answer=leg.encode()), pair(leg, seconds, turn=number))))
        elif rng.random() < 0.1:
            say(2, unmirrored(rng.choice(("effects", "budget")), seconds, rng.randrange(1, 9)))
        if number >= FEEDBACK_AFTER and rng.random() < 0.1:
            unit, exchange = seen[number - FEEDBACK_AFTER]
            about = rng.choice(({"session": unit}, {"exchange": exchange}, {"exchange": "ex_of_nobody"}))
            for gateway in rng.choice(((0,), (1,), (0, 1))):  # sometimes sent again, to the other one
                say(gateway, thumbs_down(f"fb_{number}", seconds, **about))
        if _told(stop):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.001)


def _told(pipe: int) -> bool:
    try:
        return os.read(pipe, 1) == b"x"
    except BlockingIOError:
        return False


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def after(owner: Any, name: str, when: Callable[..., bool] = lambda *given, **named: True) -> None:
    """Let the process die just after a call of `owner.name` that came through."""
    real = getattr(owner, name)

    def call(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        if when(found, *given, **named):
            die()
        return found

    setattr(owner, name, call)


def half_removed(path: Path) -> None:
    (path / "lock").unlink()
    die()


WHILE_WRITING: dict[str, Callable[[], None]] = {
    "the journal is written, the state is not": lambda: after(Journal, "put"),
    "the state is being written": lambda: setattr(UnitFold, "changes", die),
    "the state is written": lambda: after(State, "fold"),
    "units are being sealed": lambda: setattr(ingest, "bucket_of", die),
    "units are sealed": lambda: after(State, "seal", lambda sealed, *given, **named: sealed > 0),
    "segments are removed": lambda: after(ingest, "_remove_read", lambda found, spool, position: min(segments(spool)) > 1),
}
AFTER_THE_WRITER: dict[str, Callable[[], None]] = {
    "lost legs are in the journal, not in the state": lambda: after(Journal, "put", lambda found, *given, **named: "results" in named),
    "lost legs are in the state": lambda: after(State, "fold", lambda found, state, batch, work: batch.moves[0].after.finished),
    "a dead spool is retired": lambda: after(ingest, "retire"),
    "a dead spool's mark is gone": lambda: after(State, "forget_spool"),
    "a dead spool is being removed": lambda: setattr(shutil, "rmtree", half_removed),
    "a dead spool is removed": lambda: after(shutil, "rmtree"),
}


def fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:  # a forked child must never run its parent's code
            print(f"ingester: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def killed(pid: int) -> bool:
    """Wait for the process to end; whether it was killed, and didn't end in another way."""
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def ingester(url: str, root: Path, time_file: Path, fault: Callable[[], None] | None) -> Callable[[], None]:
    def work() -> None:
        if fault is not None:
            fault()
        running = Ingester(open_store(url), root, Time(time_file).read, batch=40)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            running.run_once()

    return work


def main(url: str, root: Path, twin: Path, seed: int) -> None:
    rng = Random(seed)
    create_engine(parse_url(url))  # loads the driver once for all children, and connects to nothing
    time_file = root.with_suffix(".time")
    told, tell = os.pipe()
    os.set_blocking(told, False)
    writer = fork(lambda: write([root, twin], time_file, seed, told))
    kills: list[str] = []
    for _ in range(RANDOM_KILLS):
        pids = [fork(ingester(url, root, time_file, None)) for _ in range(rng.choice((1, 1, 2)))]  # sometimes two at once
        time.sleep(rng.uniform(0.02, 0.12))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            kills += ["at random"] if killed(pid) else []
    for where, fault in WHILE_WRITING.items():
        kills += [where] if killed(fork(ingester(url, root, time_file, fault))) else []
    os.write(tell, b"x")
    killed(writer)
    for spool in spool_dirs(root).values():  # a frame that was being written
        last = max(segments(spool).items())[1]
        with last.open("ab") as file:
            file.write(b"\xff\xd7\x40\x00\x00\x00torn")
    for where, fault in AFTER_THE_WRITER.items():
        kills += [where] if killed(fork(ingester(url, root, time_file, fault))) else []
    print(json.dumps(kills))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
