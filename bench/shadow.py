"""Whether a shadow touches live traffic: `python bench/shadow.py [--runs N] [--seconds S] [--rate R] [--only NAME] [--serve]`.

A gateway with its records on (`--serve`: all of `detent serve`, which ingests, scores and decides beside it), the process that mirrors, a
live provider and the candidate's provider, each a process of its own. The live
provider takes 50 ms for an answer, which is faster than any; half of the answers are streams. Requests come at a fixed rate, whatever is
still under way, and are timed from when they were due. In each run live traffic goes without a shadow, and with all of it mirrored (of a
quarter stable is asked again) to a candidate's provider that is

    well       answers like the live one          slow       takes the request and says nothing
    dead       takes no connection                flooding   sends one stream for ever, as fast as it is read
    refusing   answers 503 at once

in an order that is new in each run. Ends with 1 if the 99th percentile of any is above 1.05 x that without a shadow (the median of the
runs' ratios, each within one run), or if a live request fails. The providers and the load are on the same processors, so leave them to
this program alone. `added` is what comes on top of the 50 ms, `processor` the gateway's own processor time a request (Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, cast

import uvloop

from detent.errors import Exit

RUNS, SECONDS, RATE = 5, 20.0, 100.0
WARM_UP_S = 2.0
"""Not timed: in it the process that mirrors is started."""

IDLE_S = 2.0
ANSWER_S = 0.05
ALLOWED = 1.05
WITHOUT = "without"
CONDITIONS = (WITHOUT, "well", "dead", "slow", "flooding", "refusing")

UNSERVED = frozenset((WITHOUT, "dead"))

STABLE, CANDIDATE = "atlas-2026-03-01", "atlas-2026-06-01"


# ── the providers ───────────────────────────────────────────────────────────────────────────────────────────────────


def _json(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _piece(content: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": STABLE, "choices": [choice]}
    return _chunk(b"data: " + json.dumps(event).encode() + b"\n\n")


_CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A word or two. " * 60}}
WHOLE = _json(
    "200 OK",
    json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": STABLE,
            "choices": [_CHOICE],
            "usage": {"prompt_tokens": 300, "completion_tokens": 240, "total_tokens": 540},
        }
    ).encode(),
)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECES = [_piece("A word or two. " * 12) for _ in range(5)]
LAST = _piece("", "stop") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
REFUSAL = _json("503 Service Unavailable", b'{"error": {"message": "overloaded"}}')
FLOOD = _piece("x" * 60_000)


class Provider(asyncio.Protocol):
    """One connection of a provider."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._held = b""
        self._flows = asyncio.Event()
        self._flooding: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._out = cast(asyncio.Transport, transport)  # uvloop's own is one in all but its class
        self._loop = asyncio.get_running_loop()
        self._flows.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        if self._flooding is not None:
            self._flooding.cancel()

    def pause_writing(self) -> None:
        """It reads more slowly than we send."""
        self._flows.clear()

    def resume_writing(self) -> None:
        """It reads on."""
        self._flows.set()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        self._held += data
        head, found, rest = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(rest) >= length:
            self._held = rest[length:]
            self._answer(streamed=b'"stream": true' in rest)

    def _answer(self, *, streamed: bool) -> None:
        if self._kind == "refusing":
            self._out.write(REFUSAL)
        elif self._kind == "flooding":
            self._flooding = self._loop.create_task(self._flood())
        elif self._kind == "slow":
            return
        elif not streamed:
            self._loop.call_later(ANSWER_S, self._write, WHOLE)
        else:
            self._loop.call_later(ANSWER_S / 5, self._write, STREAM + PIECES[0])
            for number, piece in enumerate(PIECES[1:], 2):
                self._loop.call_later(ANSWER_S * number / 5, self._write, piece if number < 5 else piece + LAST)

    def _write(self, data: bytes) -> None:
        if not self._out.is_closing():
            self._out.write(data)

    async def _flood(self) -> None:
        self._write(STREAM)
        while True:
            self._write(FLOOD)
            await asyncio.sleep(0)
            await self._flows.wait()


async def provide(kind: str, told: Any) -> None:
    """A provider until the process is ended; says its port."""
    if kind in {"slow", "flooding", "refusing"}:
        os.nice(9)  # it stands for a machine elsewhere, whose work is not this one's
    server = await asyncio.get_running_loop().create_server(lambda: Provider(kind), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], file=told, flush=True)
    await server.serve_forever()


# ── the gateway ─────────────────────────────────────────────────────────────────────────────────────────────────────


def gate(home: Path, live: str, shadow: str | None) -> None:
    """The gateway until the process is ended; says its port."""
    import uvicorn

    from detent.awake import now_us
    from detent.gateway import Gateway, Mirrors
    from detent.store import open_store
    from detent.store.spool import Spool
    from detent.terms import Dialect, Flag, FlagSet, Manifest, Mirror, Route, Version
    from detent.terms import Provider as NamedProvider
    from detent.upstream import Upstream

    url = f"sqlite:///{home}/state.db"
    open_store(url).close()
    providers = {
        name: NamedProvider(name=name, dialect=Dialect.OPENAI, base_url=base, watcher="w@example.com")
        for name, base in (("live", live), ("next", shadow or live))
    }
    route = Route(name="chat", provider="live", version=STABLE, owner="a@example.com")
    flag = Flag(
        route="chat",
        revision=1,
        stable=Version("live", STABLE),
        candidate=Version("next", CANDIDATE),
        rollout="ro_bench",
        salt="s",
        mirror=None if shadow is None else Mirror(share=1.0, second=0.25),
    )
    manifest = Manifest(providers=providers, routes={"chat": route}, plans={})
    flags = FlagSet(revision=1, manifest=manifest, flags={"chat": flag}, identity_key="k")
    spool = Spool(home / "spool", "bench")
    mirrors = Mirrors(
        [sys.executable, "-m", "detent.shadow", "--home", str(home), "--name", "bench", "--store", url], spool, now_us, ending_s=0.5
    )
    app = Gateway(lambda: flags, spool, Upstream(), "bench", mirrors=mirrors)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="on", access_log=False, log_level="warning", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listener])
    spool.close()


PIN_FILE = """\
[providers.live]
dialect  = "openai"
base_url = "{live}"
watcher  = "llm@example.com"

[providers.next]
dialect  = "openai"
base_url = "{shadow}"
watcher  = "llm@example.com"

[routes.chat]
provider = "live"
version  = "{stable}"
owner    = "desk@example.com"
plan     = "bench"

[server]
data    = "127.0.0.1:0"
control = "127.0.0.1:0"

[plans.bench]
unsafe_short_windows = true
approve = []
canary  = {{ steps = [{{ share = 0.5, at_least = "30m" }}], at_most = "40m" }}
soak    = {{ at_least = "1m" }}

[plans.bench.shadow]
share    = 1.0
second   = 0.25
at_least = "20m"
at_most  = "30m"
pairs    = 1000000
budget_usd_per_day = inf
"""


@contextmanager
def served(home: Path, live: str, shadow: str | None) -> Iterator[tuple[int, int]]:
    """`detent serve` with a rollout in its shadow, or without one; gives its port and its process id.

    A pin file proposes a version of the route's own provider; here the candidate is at another, so that it can fail alone.
    """
    from detent.manifest import read
    from detent.sim.demo import Processes
    from detent.store import open_store
    from detent.terms import Flag, Phase, Rollout, Version
    from detent.transitions import flag_for

    file, processes = home / "detent.toml", Processes(home)
    try:
        file.write_text(PIN_FILE.format(live=live, shadow=shadow or live, stable=STABLE))
        server = processes.start("server", "serve", "--file", str(file), "--name", "bench")
        address = processes.address("server", server)
        if shadow is not None:
            now, manifest, stable = datetime.now(UTC), read(file.read_text()), Version("live", STABLE)
            rollout = Rollout(
                id="ro_bench",
                route="chat",
                owner="desk@example.com",
                stable=stable,
                candidate=Version("next", CANDIDATE),
                plan=manifest.plans["bench"],
                salt="s",
                opened_at=now,
                entered_at=now,
                phase=Phase.SHADOW,
            )
            store = open_store(f"sqlite:///{home}/.detent/state.db")
            flag = flag_for(rollout, Flag(route="chat", revision=0, stable=stable))
            store.state.open_rollout(rollout, flag, by="bench", at=now)
            store.close()
        yield int(address.rpartition(":")[2]), server.pid
    finally:
        processes.stop()


@contextmanager
def process(*arguments: str) -> Iterator[tuple[int, int]]:
    """Another part of this program as a process; gives the port that it says, and its process id."""
    started = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    try:
        yield int(started.stdout.readline()), started.pid
    finally:
        started.terminate()
        started.wait(30)


def closed_port() -> int:
    """A port that takes no connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


# ── the load ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Load:
    """Asks at a fixed rate over kept connections; notes how long each took since it was due, None for one that failed."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port = port
        self._rng = rng
        self._free: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, rate: float, seconds: float) -> list[float | None]:
        """The times, in the order in which requests were due."""
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        asked = []
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked.append(loop.create_task(self._ask(due, number)))
        return list(await asyncio.gather(*asked))

    async def _ask(self, due: float, number: int) -> float | None:
        streamed = number % 2 == 0
        content = f"{self._rng.random()} " + "What of it? " * 100
        body = json.dumps({"model": "chat", "stream": streamed, "messages": [{"role": "user", "content": content}]}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        try:
            reader, writer = await self._connection()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if streamed:
                whole = (await reader.readuntil(b"0\r\n\r\n")).count(b"data: [DONE]") == 1
            else:
                length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                whole = b"chatcmpl-1" in await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            return None
        self._free.append((time.monotonic(), reader, writer))
        return time.monotonic() - due if whole and answer.startswith(b"HTTP/1.1 200") else None

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One that is kept, or a new one. The gateway closes what was idle for 5 s; a request that meets that is nobody's fault."""
        while self._free:
            since, reader, writer = self._free.pop()
            if time.monotonic() - since < IDLE_S:
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)


@dataclass(frozen=True)
class Slice:
    """How long each request took in seconds, None for one that failed; and the gateway's processor time in seconds a request."""

    times: list[float | None]
    cpu_s: float

    @property
    def failed(self) -> int:
        """How many were not answered in full."""
        return self.times.count(None)

    def percentile(self, at: float) -> float:
        """Of those that were answered, in milliseconds."""
        answered = sorted(time for time in self.times if time is not None) or [math.inf]
        return 1000.0 * answered[min(len(answered) - 1, int(at * len(answered)))]


def processor_s(pid: int) -> float:
    """The processor time that a process has had, all its threads and none of its children. Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slice_of(condition: str, ports: tuple[int, int], load_of: tuple[float, float], rng: random.Random, *, whole: bool) -> Slice:
    """Live traffic at a rate, for so many seconds, on a gateway and a store of its own; `whole` says that of all of `detent serve`. `ports`
    are the live provider's and the shadow's.
    """
    rate, seconds = load_of
    live, shadow = (f"http://127.0.0.1:{port}/v1" for port in ports)
    mirrored = condition != WITHOUT
    with tempfile.TemporaryDirectory() as home, ExitStack() as parts:
        if whole:
            port, pid = parts.enter_context(served(Path(home), live, shadow if mirrored else None))
        else:
            to = ["--shadow", shadow] if mirrored else []
            port, pid = parts.enter_context(process("--part", "gateway", "--home", home, "--live", live, *to))
        load = Load(port, rng)

        async def run() -> Slice:
            await _until_up(port)
            await load.run(rate, WARM_UP_S)
            before = processor_s(pid)
            times = await load.run(rate, seconds)
            return Slice(times, (processor_s(pid) - before) / len(times))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run())


async def _until_up(port: int) -> None:
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise SystemExit("the gateway did not start")


def measure(conditions: list[str], runs: int, rate: float, seconds: float, seed: int, *, whole: bool) -> int:
    """Runs all, prints the table, returns the exit code."""
    rng = random.Random(seed)
    found: dict[str, list[Slice]] = {condition: [] for condition in conditions}
    with ExitStack() as parts:
        live, _ = parts.enter_context(process("--part", "provider", "--kind", "well"))
        shadows = {
            kind: parts.enter_context(process("--part", "provider", "--kind", kind))[0] for kind in conditions if kind not in UNSERVED
        }
        shadows["dead"] = closed_port()
        for run in range(1, runs + 1):
            for condition in rng.sample(conditions, len(conditions)):
                seen = slice_of(condition, (live, shadows.get(condition, 0)), (rate, seconds), rng, whole=whole)
                found[condition].append(seen)
                print(f"run {run} {condition:9} p99 {seen.percentile(0.99):7.1f} ms  failed {seen.failed}", file=sys.stderr)
    bare = [seen.percentile(0.99) for seen in found[WITHOUT]]
    what = "detent serve" if whole else "a gateway alone"
    print(f"{what}, {runs} runs, {rate:.0f} requests/s, {seconds:.0f} s each; medians of the runs, ms")
    print(f"{'shadow':9} {'p50':>8} {'p99':>8} {'added p50':>10} {'added p99':>10} {'processor':>10} {'p99 x':>8} {'failed':>7}")
    missed = False
    for condition, slices in found.items():
        p50, p99 = (median(seen.percentile(at) for seen in slices) for at in (0.5, 0.99))
        ratio = median(seen.percentile(0.99) / before for seen, before in zip(slices, bare, strict=True))
        failed = sum(seen.failed for seen in slices)
        missed |= ratio > ALLOWED or failed > 0
        added = [value - 1000.0 * ANSWER_S for value in (p50, p99)]
        cpu = 1000.0 * median(seen.cpu_s for seen in slices)
        print(f"{condition:9} {p50:8.1f} {p99:8.1f} {added[0]:10.1f} {added[1]:10.1f} {cpu:10.2f} {ratio:8.3f} {failed:7}")
    return Exit.REGRESSION if missed else Exit.PASS


def main() -> int:
    """One part, or the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=CONDITIONS[1:], action="append", help="only this, and without a shadow")
    parser.add_argument("--serve", action="store_true", help="all of `detent serve`, not the gateway alone")
    parser.add_argument("--part", choices=("provider", "gateway"), help=argparse.SUPPRESS)
    for name in ("--kind", "--home", "--live", "--shadow"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    found = parser.parse_args()
    if found.part == "provider":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(provide(found.kind, sys.stdout))
    elif found.part == "gateway":
        gate(Path(found.home), found.live, found.shadow)
    else:
        conditions = list(CONDITIONS) if found.only is None else [WITHOUT, *found.only]
        return measure(conditions, found.runs, found.rate, found.seconds, found.seed, whole=found.serve)
    return Exit.PASS


if __name__ == "__main__":
    sys.exit(main())
