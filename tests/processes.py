"""Detent as a team runs it: real processes in a directory of their own."""

from __future__ import annotations

import itertools
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from detent.controller import apply
from detent.manifest import read
from detent.sim.versions import HONEST, STABLE
from detent.store import Store, open_store
from detent.store.spool import START, Entry, read_spool, spool_dirs
from detent.terms import LEASE_S, Flag, Intent, Phase, Result, Rollout, Version
from detent.transitions import flag_for, mirror_of

CANARY, SHADOW = "ro_canary", "ro_shadow"
LATER = timedelta(hours=1)

PATIENCE_S = 90.0
"""For anything to come true on a busy machine; nothing here is true because of how long it took."""

PIN_FILE = """
[providers.atlas]
dialect  = "openai"
base_url = "{provider}/v1"
watcher  = "llm@example.com"

[routes.chat]
provider = "atlas"
version  = "{stable}"
{next}
owner    = "a@example.com"
plan     = "quick"
checks   = ["answered"]
record   = {{ bodies = 1.0 }}

[plans.quick]
unsafe_short_windows = true
approve  = []
alpha    = 0.01
baseline = {{ screen = 2, confirm = 4, stable_repeats = 2, fdr = 0.1, cases = 40, at_least = 1, margin = 1.0 }}
shadow   = {{ share = 1.0, at_least = "100ms", at_most = "10m", pairs = 50, coverage = 0.5, budget_usd_per_day = inf }}
canary   = {{ steps = [{{ share = 0.3, at_least = "3s", units = 5 }}, {{ share = 0.6, at_least = "100ms", units = 80 }}], at_most = "20m" }}
soak     = {{ at_least = "4s", holdback = 0.1 }}

[[plans.quick.guards]]
metric     = "error"
margin_abs = 0.4
matures    = "{matures}"
role       = "prove"

[server]
data    = "127.0.0.1:0"
control = "127.0.0.1:0"
"""


def now() -> datetime:
    return datetime.now(UTC)


def controller() -> str:
    from detent.cli import COMMANDS

    return "controller" if any(command.name == "controller" for command in COMMANDS) else "serve"


def until(true: Callable[[], Any], what: str = "this") -> Any:
    """Polls until something is true, and gives it; a test that waits in vain fails here."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.005)
    return found


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Process:
    """`detent ARGUMENTS`, begun; what it says is in a file beside its home."""

    def __init__(self, home: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self._talk = home / f"talk-{next(_NUMBERS)}.log"
        with self._talk.open("w") as talk:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "detent", *arguments], stdout=subprocess.PIPE, stderr=talk, text=True, env=os.environ | (env or {})
            )
        self._line: str | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def talk(self) -> str:
        return self._talk.read_text()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def url(self) -> str:
        """The data listener's, once it listens."""
        return self._listening()[0]

    @property
    def control(self) -> str:
        return self._listening()[1]

    def _listening(self) -> list[str]:
        if self._line is None:
            stdout = self._process.stdout
            assert stdout is not None
            with selectors.DefaultSelector() as selector:
                selector.register(stdout, selectors.EVENT_READ)
                assert selector.select(PATIENCE_S), f"nothing heard: {self.talk}"
            self._line = stdout.readline()
        found = re.findall(r"http://[\d.]+:\d+", self._line)
        assert found, f"it does not listen: {self._line}{self.talk}"
        return found

    def kill(self) -> None:
        """With signal 9."""
        self._process.kill()
        self.wait()

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        code = self._process.wait(PATIENCE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def wait_for_ever(self) -> int:
        """Until it ends by itself or is killed; gives the exit code."""
        self._process.wait()
        return self.wait()

    def stop(self) -> int:
        """With SIGTERM; gives the exit code."""
        self.signal()
        return self.wait()


_NUMBERS = itertools.count()


class Installation:
    """A pin file, the store beside it or at `store_url`, and the processes started on them."""

    def __init__(self, home: Path, provider: str, *, matures: str = "1500ms", store_url: str | None = None) -> None:
        self.home = home
        self.store_url = store_url
        self.file = home / "detent.toml"
        self.processes: list[Process] = []
        self._provider, self._matures = provider, matures
        self._store: Store | None = None
        self.file.write_text(self.text())

    def text(self, proposed: str | None = None) -> str:
        return self.pin_file(self._provider, proposed=proposed, matures=self._matures)

    @staticmethod
    def pin_file(provider: str, *, proposed: str | None = None, matures: str = "1500ms") -> str:
        return PIN_FILE.format(provider=provider, stable=STABLE, matures=matures, next=f'next = "{proposed}"' if proposed else "")

    @property
    def dot(self) -> Path:
        return self.home / ".detent"

    @property
    def spools(self) -> Path:
        return self.dot / "spool"

    @property
    def store(self) -> Store:
        """A connection of the test's own."""
        if self._store is None:
            self.dot.mkdir(exist_ok=True)
            self._store = open_store(self.store_url or f"sqlite:///{self.dot / 'state.db'}")
        return self._store

    def start(self, command: str, *more: str, env: dict[str, str] | None = None) -> Process:
        place = ("--file", str(self.file), *(("--store", self.store_url) if self.store_url is not None else ()))
        process = Process(self.home, command, *place, *more, env=env)
        self.processes.append(process)
        return process

    def serve(self, *more: str) -> Process:
        return self.start("serve", "--name", "one", *more)

    def gateway(self, name: str = "two") -> Process:
        return self.start("gateway", "--name", name)

    def writers(self) -> set[str]:
        """The gateways that spools are of; the process that mirrors for one has a spool of its own."""
        return {name.rpartition("-")[0].removesuffix("-shadow") for name in spool_dirs(self.spools)}

    def mirroring(self) -> list[int]:
        """The processes that mirror for gateways here: each outlives its gateway by its calls in flight."""
        return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if self._mirrors(path)]

    def _mirrors(self, cmdline: Path) -> bool:
        with suppress(OSError):  # it has just ended
            words = cmdline.read_bytes().split(b"\0")
            return b"detent.shadow" in words and str(self.dot).encode() in words
        return False

    def running(self, word: bytes) -> list[int]:
        """The processes on this home with such a word on their command line that a gateway or a server began beside it."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has just ended
                words = path.read_bytes().split(b"\0")
                if word in words and str(self.dot).encode() in words:
                    found.append(int(path.parent.name))
        return found

    def kill(self, pid: int) -> None:
        """With signal 9, one of those."""
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in self.running(b"ingest"), "its end")

    def stop(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)

    def go_on(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)

    def acknowledged(self, *processes: Process) -> None:
        """Wait until these processes serve the store's revision and say so."""

        def all_do() -> bool:
            revision = self.store.state.revision()
            return {p.pid for p in processes} <= {g.pid for g in self.store.state.gateways() if g.revision == revision}

        until(all_do, "every gateway on the newest revision")

    def reopen(self) -> None:
        """Take the store that stands there now."""
        self.store.close()
        self._store = None

    def close(self) -> None:
        for process in self.processes:
            if process.alive:
                process.kill()
        for pid in self.running(b"ingest"):  # one would read all of it again into a store that was emptied for the next test
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._store is not None:
            self._store.close()


@contextmanager
def standing(home: Path, provider: str, **more: Any) -> Iterator[Installation]:
    """An installation, all of whose processes are gone at the end."""
    installation = Installation(home, provider, **more)
    try:
        yield installation
    finally:
        installation.close()


def in_canary(place: Installation, *, lease_s: float = LEASE_S) -> None:
    """Half of the users are on the candidate of a rollout that nothing moves on."""
    text = place.text()
    apply(place.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
    stable, candidate, salt = Version("atlas", STABLE), Version("atlas", HONEST), "the rollout's salt"
    rollout = Rollout(
        id=CANARY,
        route="chat",
        owner="a@example.com",
        stable=stable,
        candidate=candidate,
        plan=replace(read(text).plans["quick"], lease=lease_s),
        salt=salt,
        opened_at=now(),
        entered_at=now() + LATER,
        phase=Phase.CANARY,
        canary_at=now() + LATER,
        split=0.5,
        period=1,
    )
    flag = Flag(route="chat", revision=0, stable=stable)
    place.store.state.open_rollout(rollout, flag_for(rollout, flag), by="test", at=now())


def in_shadow(place: Installation, **stage: Any) -> Rollout:
    """A rollout in its shadow, which nothing moves on; `stage` is of its plan. Everything is mirrored, stable is asked once."""
    text = place.file.read_text()
    plan = read(text).plans["quick"]
    apply(place.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
    stable, candidate, salt = Version("atlas", STABLE), Version("atlas", HONEST), "the rollout's salt"
    rollout = Rollout(
        id=SHADOW,
        route="chat",
        owner="a@example.com",
        stable=stable,
        candidate=candidate,
        plan=replace(plan, shadow=replace(plan.shadow, **{"second": 0.0} | stage)),
        salt=salt,
        opened_at=now(),
        entered_at=now() + LATER,
        phase=Phase.SHADOW,
    )
    flag = Flag(route="chat", revision=0, stable=stable, candidate=candidate, rollout=SHADOW, salt=salt, mirror=mirror_of(rollout))
    place.store.state.open_rollout(rollout, flag, by="test", at=now())
    return rollout


@dataclass
class Spooled:
    """Everything that was ever found in spools, whether or not somebody read it meanwhile."""

    intents: dict[str, Intent] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)

    @staticmethod
    def under_way(root: Path) -> int:
        """Legs whose result is not there yet."""
        now = Spooled()
        now.read(root)
        return len(now.intents.keys() - now.results.keys())

    def read(self, root: Path) -> None:
        """Take note of what lies there now; spools grow, so reading again finds the same and more."""
        for spool in spool_dirs(root).values():
            entries: list[Entry] = []
            with suppress(FileNotFoundError):  # a dead one that a server is just removing
                entries = read_spool(spool, START)[0]
            self.intents |= {entry.leg: entry for entry in entries if isinstance(entry, Intent)}
            self.results |= {entry.leg: entry for entry in entries if isinstance(entry, Result)}
