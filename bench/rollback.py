"""How long a rollback takes over many gateways: `python bench/rollback.py [--rounds N] [--gateways N] [--rate R] [--only STORE]`.

So many real gateways (`detent gateway`, a process each) on one host, once on a SQLite file and once on a PostgreSQL that waits for its
disk. In each round a rollout is in its canary, half of the units on the candidate, with traffic through all gateways at a fixed rate; then
`rollback`, one write. All times are from the moment before the verb is called, on the one clock of this host:

    written    the transaction is committed
    serving    the last gateway serves it (its acknowledgement's own time): the bar, p99 <= 200 ms
    heard      the last acknowledgement is in the store, which is what a person waits for
    candidate  the candidate's provider got the last request that a caller's was sent on as

Ends with 1 where the bar is missed. Providers, callers and gateways share the processors with whatever else runs: the load is told.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from detent.controller import act, apply
from detent.errors import Exit
from detent.manifest import read
from detent.store import Store, open_store
from detent.terms import Flag, Phase, Rollout, Version
from processes import Installation

GATEWAYS, ROUNDS, RATE = 20, 50, 60.0
BAR_MS = 200.0
CANARY_S = 0.5
SETTLES_S = 15.0  # beside each gateway on PostgreSQL begins a reader of its spools: start-up is not what is measured
"""For how long traffic is split in each round before it is rolled back."""

PATIENCE_S = 120.0
STABLE, CANDIDATE = Version("atlas", "atlas-2026-03-01"), Version("atlas", "atlas-2026-06-01")


def say(text: str) -> None:
    """Talk, on stderr."""
    print(text, file=sys.stderr, flush=True)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


# ── outside: a provider and callers ─────────────────────────────────────────────────────────────────────────────────


class Provider:
    """Answers at once; knows when it was last asked for the candidate."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
                outer.last[model] = time.time()
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Here."}}
                answer = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """No more requests."""
        self._server.shutdown()


@dataclass
class Callers:
    """Requests at a fixed rate, each of a new session, to the gateways in turn."""

    urls: list[str]
    rate: float
    answered: int = 0
    failed: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self, mine: int, of: int) -> None:
        """One caller's share."""
        ports = [urlsplit(url).port for url in self.urls[mine::of]]
        kept = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for port in ports]
        due, turn = time.monotonic(), 0
        while not self._stop.is_set():
            due += of / self.rate
            self._stop.wait(max(0.0, due - time.monotonic()))
            connection, turn = kept[turn % len(kept)], turn + 1
            body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}]})
            try:
                connection.request(
                    "POST",
                    "/v1/chat/completions",
                    body,
                    {"content-type": "application/json", "x-detent-session-id": secrets.token_hex(8)},
                )
                answer = connection.getresponse()
                answer.read()
                self.answered += answer.status == 200
                self.failed += answer.status != 200
            except OSError:
                self.failed += 1

    @contextmanager
    def calling(self, threads: int = 4) -> Iterator[None]:
        """In threads, for the length of the block."""
        running = [threading.Thread(target=self.run, args=(n, threads)) for n in range(threads)]
        for thread in running:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in running:
                thread.join()


# ── the rollout ─────────────────────────────────────────────────────────────────────────────────────────────────────


def open_canary(store: Store, text: str) -> Rollout:
    """A rollout in its canary, as the controller would have brought it there, half of the units on the candidate."""
    id, salt, at = f"ro_{secrets.token_hex(6)}", secrets.token_hex(16), now()
    rollout = Rollout(
        id=id,
        route="chat",
        owner="a@example.com",
        stable=STABLE,
        candidate=CANDIDATE,
        plan=read(text).plans["quick"],
        salt=salt,
        opened_at=at,
        entered_at=at + timedelta(hours=1),
        phase=Phase.CANARY,
        canary_at=at + timedelta(hours=1),
        split=0.5,
        period=1,
    )
    flag = Flag(route="chat", revision=0, stable=STABLE, candidate=CANDIDATE, rollout=id, split=0.5, period=1, salt=salt)
    return store.state.open_rollout(rollout, flag, by="bench", at=at)


def until(true: Callable[[], bool], what: str) -> None:
    """Polls until it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}, never")
        time.sleep(0.02)


def all_serve(store: Store, gateways: int) -> Callable[[], bool]:
    """Whether all gateways say that they serve the newest revision."""
    revision = store.state.revision()
    return lambda: len(store.state.acks(revision)) == gateways


@dataclass
class Times:
    """Milliseconds of each round, by what was timed."""

    written: list[float] = field(default_factory=list)
    serving: list[float] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)
    candidate: list[float] = field(default_factory=list)

    def roll_back(self, store: Store, rollout: Rollout, gateways: int, provider: Provider) -> None:
        """One round."""
        began = time.time()
        act(store, rollout.id, "roll_back", by="bench", why="", now=now())
        written = time.time()
        revision = store.state.flags()["chat"].revision
        until(lambda: len(store.state.acks(revision)) == gateways, "every gateway's acknowledgement")
        heard = time.time()
        last = max(ack.applied_at.timestamp() for ack in store.state.acks(revision))
        time.sleep(0.2)  # for a request that was on its way
        self.written.append(1000 * (written - began))
        self.serving.append(1000 * (last - began))
        self.heard.append(1000 * (heard - began))
        self.candidate.append(1000 * max(0.0, provider.last.get(CANDIDATE.model, 0.0) - began))


def at(values: list[float], share: float) -> float:
    """The smallest value that so many of the values reach."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


# ── a run ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def gateways(home: Path, url: str, count: int) -> Iterator[list[str]]:
    """So many processes on a store, and where each listens."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for n in range(count):
            command = [sys.executable, "-m", "detent", "gateway", "--file", str(home / "detent.toml"), "--store", url, "--name", f"gw-{n}"]
            with (home / f"gw-{n}.log").open("w") as log:
                processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
        urls = []
        for n, process in enumerate(processes):
            assert process.stdout is not None
            line = process.stdout.readline()
            if "http://" not in line:
                raise RuntimeError(f"gw-{n} does not listen: {(home / f'gw-{n}.log').read_text()}")
            urls.append(next(word for word in line.split() if word.startswith("http://")).rstrip(",;"))
        yield urls
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def measure(name: str, url: str, *, rounds: int, count: int, rate: float) -> Times:
    """All rounds on one store."""
    times = Times()
    with tempfile.TemporaryDirectory(prefix="detent-rollback-") as place, ExitStack() as stack:
        home = Path(place)
        url = url or f"sqlite:///{home / '.detent' / 'state.db'}"
        (home / ".detent").mkdir(mode=0o700)
        provider = Provider()
        stack.callback(provider.close)
        text = Installation.pin_file(provider.url)
        (home / "detent.toml").write_text(text)
        store = open_store(url)
        stack.callback(store.close)
        apply(store, text, file="detent.toml", by="bench", now=now(), new_id=str, new_salt=str)
        say(f"{name}: starting {count} gateways")
        urls = stack.enter_context(gateways(home, url, count))
        until(all_serve(store, count), "every gateway up")
        time.sleep(SETTLES_S)
        callers = Callers(urls, rate)
        with callers.calling():
            for n in range(rounds):
                rollout = open_canary(store, text)
                until(all_serve(store, count), "every gateway in the canary")
                time.sleep(CANARY_S)
                times.roll_back(store, rollout, count, provider)
                if sys.stderr.isatty() or n % 10 == 9:
                    say(f"{name}: round {n + 1} of {rounds}, serving after {times.serving[-1]:.0f} ms")
        say(f"{name}: {callers.answered} requests answered, {callers.failed} failed")
    return times


def told(name: str, times: Times) -> str:
    """A line for each thing that was timed."""
    rows = [
        f"  {what:<10} p50 {at(values, 0.5):7.1f}   p99 {at(values, 0.99):7.1f}   max {max(values):7.1f}"
        for what, values in vars(times).items()
    ]
    return "\n".join([f"{name}: {len(times.serving)} rollbacks, milliseconds from before the write", *rows])


def main() -> int:
    """Both stores, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--gateways", type=int, default=GATEWAYS)
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second over all gateways")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.COULD_NOT_RUN))  # so that no gateway and no server is left behind
    how = {"rounds": arguments.rounds, "count": arguments.gateways, "rate": arguments.rate}
    held, found = True, dict[str, Times]()
    load = os.getloadavg()[0]
    if arguments.only != "postgresql":
        found["sqlite"] = measure("sqlite", "", **how)
    if arguments.only != "sqlite":
        from stores import server_of_postgres

        with server_of_postgres(connections=100 + 5 * arguments.gateways, durable=True) as server:
            found["postgresql"] = measure("postgresql", server.url(server.take()), **how)
    for name, times in found.items():
        print(told(name, times))
        good = at(times.serving, 0.99) <= BAR_MS
        held = held and good
        print(f"  p99 {'<=' if good else '>'} {BAR_MS:g} ms over {arguments.gateways} gateways: the bar is {'held' if good else 'MISSED'}")
    print(f"{os.cpu_count()} processors; load before {load:.1f}, after {os.getloadavg()[0]:.1f}; {arguments.rate:g} requests/s meanwhile")
    return Exit.PASS if held else Exit.REGRESSION


if __name__ == "__main__":
    sys.exit(main())
