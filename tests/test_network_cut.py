"""Half of the network is cut: hosts of their own, a real PostgreSQL on one of them, a gateway on each of two others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from detent.controller import act
from detent.sim.provider import Provider, serving, simulated
from detent.sim.versions import VERSIONS
from detent.store.database import PATIENCE
from network import Hosts, hosts
from outside import HONEST, STABLE, Callers
from processes import CANARY, Installation, Process, in_canary, now, standing, until

PORT = 18_700
LEASE_S = 4.0
"""Two heartbeats of a gateway: with less, a busy machine would lapse it by itself."""


@contextmanager
def provider_on(net: Hosts, host: str) -> Iterator[None]:
    """The simulated provider on a host's own loopback: an app's way to its provider is none of ours to cut."""
    over, listening = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(Provider(simulated(1), tuple(VERSIONS)), port=PORT):
            listening.set()
            while not over.is_set():
                await asyncio.sleep(0.05)

    def start() -> threading.Thread:
        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()  # a thread begins on the host of the one that starts it
        return thread

    thread = net.inside(host, start)
    assert listening.wait(30)
    try:
        yield
    finally:
        over.set()
        thread.join(30)


@contextmanager
def postgres_on(net: Hosts, host: str) -> Iterator[tuple[str, str]]:
    """A server of its own there: its URL by a socket file, which is no network, and the rest of the URL by address."""
    import stores

    with contextmanager(stores.postgres.__wrapped__)() as server:  # type: ignore[attr-defined]
        data = server.place / "data"
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all 10.77.0.0/16 trust\n")
        (data / "postgresql.auto.conf").write_text("listen_addresses = '*'\n")
        server.run("pg_ctl", "-D", str(data), "-m", "fast", "-w", "stop")
        settings = f"-F -k {server.place} -c max_connections=50"
        net.inside(host, lambda: server.run("pg_ctl", "-D", str(data), "-o", settings, "-l", str(server.place / "log"), "-w", "start"))
        name = server.take()
        yield server.url(name), name


class Host:
    """A gateway's host: a home of its own, as it has one in earnest, and callers on it."""

    def __init__(self, net: Hosts, name: str, place: Installation) -> None:
        self.net, self.name, self.place = net, name, place
        self.callers = Callers()
        self.gateway: Process = net.inside(name, lambda: place.gateway(name))
        self.url = self.gateway.url

    def models(self, sessions: int = 12) -> set[str]:
        """The versions that so many new users of this host get; every one of them is answered."""
        before = len(self.callers.answered)
        self.net.inside(self.name, lambda: self.callers.all([self.url], sessions))
        assert self.callers.failed == {}
        new = self.callers.answered[before:]
        assert {one.status for one in new} == {200}
        return {one.model for one in new}


@pytest.fixture
def two_hosts(tmp_path: Path) -> Iterator[tuple[Hosts, Installation, Host, Host]]:
    provider = f"http://127.0.0.1:{PORT}"
    with hosts() as net, provider_on(net, "one"), provider_on(net, "two"), postgres_on(net, "db") as (url, name):
        for host in ("desk", "one", "two"):
            (tmp_path / host).mkdir()
        by_address = {host: f"postgresql://detent@{there}/{name}" for host, there in net.addresses.items()}
        with (
            standing(tmp_path / "desk", provider, store_url=url) as desk,
            standing(tmp_path / "one", provider, store_url=by_address["one"]) as one,
            standing(tmp_path / "two", provider, store_url=by_address["two"]) as two,
        ):
            in_canary(desk)
            flag = desk.store.state.flags()["chat"]
            desk.store.state.put_flags([replace(flag, lease_s=LEASE_S)], at=now(), by="test")
            yield net, desk, Host(net, "one", one), Host(net, "two", two)


@pytest.mark.fault(
    "half of the network is cut",
    "the gateway that is cut off goes to stable when its lease ends, the other one goes on; after a rollback meanwhile both are on stable,"
    " then and when the link is back; no request fails",
)
def test_a_gateway_that_is_cut_off_goes_to_stable_when_its_lease_ends_and_both_agree_when_it_is_back(
    two_hosts: tuple[Hosts, Installation, Host, Host], seen: Callable[[str], None]
) -> None:
    net, desk, one, two = two_hosts
    desk.acknowledged(one.gateway, two.gateway)
    assert one.models() == two.models() == {STABLE, HONEST}

    net.cut("two")
    cut = time.monotonic()
    until(lambda: "the lease of chat lapsed" in two.gateway.talk, "the end of the lease")
    lapsed = time.monotonic() - cut
    assert two.models() == {STABLE}
    assert one.models() == {STABLE, HONEST}, "who reaches the store goes on: a lease needs no controller, and there is none"
    assert "lapsed" not in one.gateway.talk

    act(desk.store, CANARY, "roll_back", by="test", why="", now=now())
    desk.acknowledged(one.gateway)
    assert one.models() == {STABLE}
    assert two.models() == {STABLE}, "it cannot have heard, and ends where everybody is"
    net.mend("two")
    desk.acknowledged(one.gateway, two.gateway)
    assert one.models() == two.models() == {STABLE}
    assert {host.gateway.talk.count("Traceback") for host in (one, two)} == {0}
    asked = len(one.callers.answered) + len(two.callers.answered)
    seen(f"on stable {lapsed:.1f} s after the link was cut, with a lease of {LEASE_S:g} s; all of {asked} requests answered")


def test_a_dead_link_is_found_out_in_seconds() -> None:
    """TCP by itself tries for a quarter of an hour."""
    assert PATIENCE["tcp_user_timeout"] == 5000
