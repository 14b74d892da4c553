"""A rolling restart of all gateways under load drops no request, of callers who send again only what was refused before it was sent."""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mock_upstream import GO, Mock, answer, running, stream
from outside import WHOLE, Door
from processes import Process, in_canary, standing, until


@pytest.fixture
def door() -> Iterator[Door]:
    with Door().on_a_socket() as door:
        yield door


@dataclass
class Balancer:
    """As small as one can be: the gateways that are there by their addresses, taken in turn."""

    urls: list[str]
    turn: Iterator[int] = field(default_factory=itertools.count)

    def next(self) -> str:
        return self.urls[next(self.turn) % len(self.urls)]


class App(threading.Thread):
    """An app with a connection that it keeps, as SDKs do; it opens another one when it was told that this one ends."""

    def __init__(self, number: int, balancer: Balancer, ended: threading.Event) -> None:
        super().__init__(daemon=True)
        self.statuses: Counter[int] = Counter()
        self.dropped: list[str] = []
        self.refused = self.told = 0
        self._number, self._balancer, self._ended = number, balancer, ended

    def run(self) -> None:
        kept: http.client.HTTPConnection | None = None
        for n in itertools.count():
            if self._ended.is_set():
                break
            kept = kept or self._connected()
            body = {"model": "chat", "stream": n % 3 == 0, "messages": [{"role": "user", "content": f"What of {n}?"}]}
            headers = {"content-type": "application/json", "x-detent-session-id": f"{self._number}-{n}"}
            try:
                kept.request("POST", "/v1/chat/completions", json.dumps(body), headers)
                answer = kept.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.dropped.append(f"{type(error).__name__}: {error}")
                kept.close()
                kept = None
                continue
            self.statuses[answer.status] += 1
            if answer.headers.get("connection") == "close":
                self.told += 1
                kept.close()
                kept = None
            time.sleep(0.002)
        if kept is not None:
            kept.close()

    def _connected(self) -> http.client.HTTPConnection:
        while True:
            connection = http.client.HTTPConnection(urlsplit(self._balancer.next()).netloc, timeout=60)
            connection.auto_open = 0
            try:
                connection.connect()
            except ConnectionRefusedError:
                self.refused += 1
                time.sleep(0.01)
            else:
                return connection


@pytest.mark.fault("all gateways are restarted under load", "no request is dropped")
def test_no_request_is_dropped_over_a_rolling_restart_of_all_gateways_under_load(
    tmp_path: Path, door: Door, seen: Callable[[str], None]
) -> None:
    with standing(tmp_path, door.url) as place:
        in_canary(place)
        gateways = {name: place.gateway(name) for name in ("one", "two")}
        place.acknowledged(*gateways.values())
        balancer = Balancer([gateway.url for gateway in gateways.values()])
        ended = threading.Event()
        apps = [App(number, balancer, ended) for number in range(6)]
        for app in apps:
            app.start()

        def traffic() -> None:
            """So many answers more."""
            wanted = sum(app.statuses.total() for app in apps) + 60
            until(lambda: sum(app.statuses.total() for app in apps) > wanted, "traffic")

        for number, name in enumerate(("one", "two")):
            traffic()
            old = gateways[name]
            old.signal(signal.SIGTERM)
            assert old.wait() == 0
            assert not any(word in old.talk for word in ("Traceback", "ERROR"))
            gateways[name] = place.gateway(name)
            balancer.urls[number] = gateways[name].url
            place.acknowledged(*gateways.values())
        traffic()
        ended.set()
        for app in apps:
            app.join(60)
        assert [dropped for app in apps for dropped in app.dropped] == []
        assert sum((app.statuses for app in apps), Counter[int]()).keys() == {200}
        assert sum(app.told for app in apps) >= len(apps), "each was told at least once to go elsewhere"
        seen(f"{sum(app.statuses.total() for app in apps)} requests over two restarts, none dropped")


# ── one by one ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mock() -> Iterator[Mock]:
    with running() as mock:
        yield mock


def request(*, streamed: bool = False) -> bytes:
    body = json.dumps({"model": "chat", "stream": streamed, "messages": [{"role": "user", "content": "hi"}]}).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" + (
        b"content-length: %d\r\n\r\n" % len(body) + body
    )


def connected(gateway: Process) -> socket.socket:
    host, _, port = urlsplit(gateway.url).netloc.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def received(connection: socket.socket, upto: bytes) -> bytes:
    got = b""
    while upto not in got:
        more = connection.recv(65536)
        assert more, f"it ended after {got!r}"
        got += more
    return got


def ends(connection: socket.socket) -> bool:
    return connection.recv(65536) == b""


def test_who_is_being_answered_or_about_to_ask_is_served_to_the_end_and_told_to_go_elsewhere(tmp_path: Path, mock: Mock) -> None:
    with standing(tmp_path, mock.url) as place:
        in_canary(place)
        gateway = place.gateway()
        place.acknowledged(gateway)
        idle, asking, half, never = (connected(gateway) for _ in range(4))
        mock.script = answer(WHOLE)
        idle.sendall(request())
        assert b"connection: close" not in received(idle, b"Here.").lower()
        half.sendall(request()[:30])
        mock.script = stream(b'data: {"choices":[]}\n\n', GO, b"data: [DONE]\n\n")
        asking.sendall(request(streamed=True))
        received(asking, b"choices")

        gateway.signal(signal.SIGTERM)
        until(lambda: refuses(gateway), "the listener closed")
        mock.script = answer(WHOLE)
        idle.sendall(request())
        assert b"connection: close" in received(idle, b"Here.").lower(), "the next request on a kept connection"
        assert ends(idle)
        half.sendall(request()[30:])
        assert b"connection: close" in received(half, b"Here.").lower(), "a request that was on its way"
        assert ends(half)
        assert ends(never), "who asks nothing is let go"
        mock.go()
        received(asking, b"[DONE]")
        asking.sendall(request())
        assert b"connection: close" in received(asking, b"Here.").lower(), "told by nobody that its stream was the last"
        assert gateway.wait() == 0


def refuses(gateway: Process) -> bool:
    host, _, port = urlsplit(gateway.url).netloc.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0
