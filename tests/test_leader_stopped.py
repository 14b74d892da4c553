"""A leading controller is stopped in its tracks: another one follows and decides; the first one goes on later, and writes nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detent.terms import Phase, Verb
from outside import HONEST, STABLE, Callers
from processes import CANARY, Installation, Process, controller, in_canary, standing, until
from rolling import Provider
from witnesses import rows, take_down

pytest_plugins = ("stores",)


def leads(place: Installation) -> bool:
    """Whether the process that holds the lease is of this host."""
    lease, host = place.store.state.lease(), place.dot / "host-id"
    return lease is not None and host.exists() and host.read_text().strip() in lease.holder


@pytest.mark.fault(
    "the leading controller is stopped and goes on",
    "another one leads after 5 s and ends the rollout for harm; the first one finds out that it leads no more, and writes nothing",
)
@pytest.mark.parametrize("new_store_url", ["postgresql"], indirect=True)
def test_a_leader_that_is_stopped_is_followed_and_writes_nothing_when_it_goes_on(
    store_url: str, tmp_path: Path, seen: Callable[[str], None]
) -> None:
    for host in ("north", "south", "gateways"):
        (tmp_path / host).mkdir()
    provider, callers = Provider(6), Callers()
    with (
        provider.on_a_socket(),
        standing(tmp_path / "north", provider.url, store_url=store_url) as north,
        standing(tmp_path / "south", provider.url, store_url=store_url) as south,
        standing(tmp_path / "gateways", provider.url, store_url=store_url) as gateways,
    ):
        in_canary(north)
        take_down(store_url)
        running: dict[Path, Process] = {place.home: place.start(controller()) for place in (north, south)}
        gateway = gateways.gateway()
        gateways.acknowledged(gateway)
        until(lambda: leads(north) or leads(south), "a leading controller")
        first, other = (north, south) if leads(north) else (south, north)
        callers.all([gateway.url], 12)
        assert {one.model for one in callers.answered} == {STABLE, HONEST}

        running[first.home].signal(signal.SIGSTOP)
        stopped = time.monotonic()
        until(lambda: leads(other), "another one that leads")
        followed = time.monotonic() - stopped
        provider.failing = HONEST

        def harmed() -> bool:
            callers.all([gateway.url], 8)
            return north.store.state.rollout(CANARY).phase.terminal

        until(harmed, "the end of the rollout")
        assert north.store.state.rollout(CANARY).phase is Phase.ROLLED_BACK
        gateways.acknowledged(gateway)
        written = rows(store_url, "SELECT * FROM witness_rollouts"), rows(store_url, "SELECT * FROM witness_flags")

        running[first.home].signal(signal.SIGCONT)
        until(lambda: "leads; this process stands by" in running[first.home].talk, "the first one finding out")
        assert leads(other)
        assert (rows(store_url, "SELECT * FROM witness_rollouts"), rows(store_url, "SELECT * FROM witness_flags")) == written
        assert [decision.verb for decision, _ in north.store.state.decisions(CANARY)].count(Verb.ROLL_BACK) == 1
        assert "roll_back" not in running[first.home].talk
        callers.answered.clear()
        callers.all([gateway.url], 12)
        assert {one.model for one in callers.answered} == {STABLE}
        assert not [talk for process in running.values() if "Traceback" in (talk := process.talk)]
        assert callers.failed == {}
    seen(f"another one led after {followed:.1f} s and rolled back; the first one stood by when it went on, and wrote nothing")
