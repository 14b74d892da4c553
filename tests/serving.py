"""The real gateway on a real socket, in a thread, with its records in memory; and plain ways to call it."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from detent.awake import now_us
from detent.gateway import Gateway, Mirrors, MirrorSink, SpoolSink
from detent.rare import Mirrored
from detent.runs import Memory
from detent.shadow.job import Job
from detent.terms import (
    Begun,
    Dialect,
    Feedback,
    Flag,
    FlagSet,
    Intent,
    Kept,
    Manifest,
    Mirror,
    NotMirrored,
    Pair,
    Provider,
    Result,
    Role,
    Route,
    Server,
    Unmirrored,
    Version,
)
from detent.upstream import Upstream

STABLE, CANDIDATE = "atlas-2026-03-01", "atlas-2026-06-01"

Entry = Intent | Begun | Result | Feedback | Unmirrored | Kept | Pair


class MemorySpool:
    """Every entry, in order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.broken = False

    def write(self, entry: Entry) -> None:
        if self.broken:
            raise OSError("no space left on device")
        self.entries.append(entry)

    @property
    def intents(self) -> list[Intent]:
        return [entry for entry in self.entries if isinstance(entry, Intent)]

    @property
    def begun(self) -> list[Begun]:
        return [entry for entry in self.entries if isinstance(entry, Begun)]

    @property
    def results(self) -> list[Result]:
        return [entry for entry in self.entries if isinstance(entry, Result)]

    @property
    def feedback(self) -> list[Feedback]:
        return [entry for entry in self.entries if isinstance(entry, Feedback)]

    @property
    def unmirrored(self) -> dict[tuple[str, str], int]:
        """How often each (reason, more of it) was counted."""
        counted: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            if isinstance(entry, Unmirrored):
                counted[entry.reason, entry.why] = counted.get((entry.reason, entry.why), 0) + entry.n
        return counted

    def settle(self) -> None:
        """Waits until every leg has its result: the caller may have its last byte a moment before."""
        until(lambda: len(self.results) == len(self.intents))

    def last(self) -> Result:
        """The newest result."""
        self.settle()
        return self.results[-1]

    def leg(self, role: Role = Role.SERVED) -> tuple[Intent, Result]:
        """The one leg in that role, once its result is there."""
        until(lambda: any(intent.role is role for intent in self.intents))
        (intent,) = [intent for intent in self.intents if intent.role is role]
        until(lambda: any(result.leg == intent.leg for result in self.results))
        (result,) = [result for result in self.results if result.leg == intent.leg]
        return intent, result


class KeptJobs:
    """Takes what the shadow drew, and does nothing with it; or `refuses` it."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.refuses: NotMirrored | None = None

    def offer(self, job: Job) -> NotMirrored | None:
        if self.refuses is None:
            self.jobs.append(job)
        return self.refuses

    async def close(self) -> None:
        """There is nothing to end."""


def real_mirrors(home: Path, store: str, *, name: str = "gw-1") -> Callable[[SpoolSink], Mirrors]:
    """The process that mirrors in earnest: for `serving(mirrors=...)`. Its spool is under `home`."""
    command = [sys.executable, "-m", "detent.shadow", "--home", str(home), "--name", name, "--store", store]
    return lambda spool: Mirrors(command, spool, now_us)


def until(true: Callable[[], Any]) -> None:
    """Polls until something is true; a test that waits in vain fails here."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.002)


def provider(name: str, url: str, *, key_env: str | None = None) -> Provider:
    return Provider(name=name, dialect=Dialect(name.split("-", maxsplit=1)[0]), base_url=url, key_env=key_env, watcher="llm@example.com")


def flagset(url: str, *, candidate_url: str | None = None, **route: Any) -> FlagSet:
    """Routes `chat` (OpenAI) and `messages` (Anthropic), both pinned to the stable version, without a rollout."""
    providers = {
        "openai": provider("openai", url + "/v1", key_env="TEST_OPENAI_KEY"),
        "anthropic": provider("anthropic", url, key_env="TEST_ANTHROPIC_KEY"),
    }
    if candidate_url is not None:
        providers["openai-next"] = provider("openai-next", candidate_url + "/v1")
    routes = {
        name: Route(name=name, provider=dialect, version=STABLE, owner="a@example.com", **route)
        for name, dialect in (("chat", "openai"), ("messages", "anthropic"))
    }
    return FlagSet(revision=7, manifest=Manifest(providers=providers, routes=routes, plans={}), identity_key="installation key")


def with_server(flags: FlagSet, **server: Any) -> FlagSet:
    return replace(flags, manifest=replace(flags.manifest, server=Server(**server)))


def with_rollout(
    flags: FlagSet,
    *,
    split: float = 0.0,
    shadow: float = 0.0,
    second: float = 0.0,
    per_second: float | None = None,
    mirror: Mirror | None = None,
    control: float = 0.0,
    period: int = 3,
    provider: str = "openai",
) -> FlagSet:
    """A rollout open on `chat`; `mirror` says all of its shadow, where `shadow` and `second` do not."""
    flag = Flag(
        route="chat",
        revision=7,
        stable=Version("openai", STABLE),
        candidate=Version(provider, CANDIDATE),
        rollout="ro_1",
        split=split,
        control=control,
        period=period,
        salt="the rollout's salt",
        mirror=mirror or (Mirror(share=shadow, second=second, per_second=per_second) if shadow else None),
    )
    return replace(flags, flags={"chat": flag})


class Served:
    """A running gateway. `flags` may be changed at any time; `kept` has the jobs of the shadow where nobody else takes them."""

    def __init__(
        self, flags: FlagSet, upstream: Upstream, mirrors: Callable[[SpoolSink], MirrorSink] | None, sink: SpoolSink | None, **gateway: Any
    ) -> None:
        self.flags = flags
        self.spool = MemorySpool()
        self.kept = KeptJobs()
        spool = sink or self.spool
        taker = self.kept if mirrors is None else mirrors(spool)
        self.gateway = Gateway(lambda: self.flags, spool, upstream, "gw-1", mirrors=taker, **gateway)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def as_new(self) -> None:
        """Without records, counts, runs in flight, failures and memory of senders and of what was mirrored."""
        self.spool.entries.clear()
        self.spool.broken = False
        self.gateway.counts.clear()
        self.gateway.unpinned.clear()
        self.gateway._memory = memory = Memory()
        self.gateway._breakers._circuits = memory.circuits
        self.gateway._feedback._allowances.clear()
        self.kept.jobs.clear()
        self.kept.refuses = None
        desk = self.gateway._mirrors
        desk._mirrored = Mirrored()
        desk._paused_until.clear()
        desk._allowances.clear()


@contextmanager
def serving(
    flags: FlagSet,
    *,
    upstream: Upstream | None = None,
    mirrors: Callable[[SpoolSink], MirrorSink] | None = None,
    spool: SpoolSink | None = None,
    **gateway: Any,
) -> Iterator[Served]:
    """Started as `detent serve` starts it. `spool` takes the records in place of memory, `mirrors` what the shadow draws (see
    `real_mirrors`); `gateway` are its clocks and ids, where a test sets them.
    """
    served = Served(flags, upstream or Upstream(), mirrors, spool, **gateway)
    config = uvicorn.Config(
        served.gateway,
        host="127.0.0.1",
        port=0,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        server_header=False,
        date_header=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    served.port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(30)  # the process that mirrors may finish its calls
        listener.close()
        assert not thread.is_alive()


ASKED: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}


def post(gateway: Served, path: str = "/v1/chat/completions", body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    try:
        data = body if isinstance(body, bytes) else json.dumps(ASKED if body is None else body).encode()
        connection.request("POST", path, data, {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def talk(gateway: Served, request: bytes, *, until: bytes = b"", then: Callable[[], None] = lambda: None) -> bytes:
    """What comes back over a raw socket until the other side closes it; `then` happens once `until` has come."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(request)
        received = b""
        while until not in received:
            received += connection.recv(65536)
        then()
        while data := connection.recv(65536):
            received += data
        return received


def request(body: Any, path: str = "/v1/chat/completions", *lines: str) -> bytes:
    data = json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", f"content-length: {len(data)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data
