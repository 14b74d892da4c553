"""Of many processes that could decide one does: who leads, who follows and when, and that a former leader writes nothing."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from detent import cli
from detent.controller import apply
from detent.errors import CouldNotRun
from detent.ingest.hosts import HostId
from detent.manifest import read
from detent.serve.leading import LEASE_S, STANDS_BY, Leading, Tenure
from detent.store import Store, open_store
from detent.store.leases import Lease, NotLeading
from detent.terms import Decision, Flag, Phase, Rollout, Verb, Version
from detent.transitions import flag_for
from outside import HONEST, STABLE, Callers, Door
from processes import CANARY, Installation, Process, in_canary, now, standing, until
from stores import new_store_url, postgres, store, store_url

__all__ = ["new_store_url", "postgres", "store", "store_url"]


# ── in one process, by clocks of the test's own ─────────────────────────────────────────────────────────────────────


@dataclass
class Host:
    """A process on a host of its own that takes part."""

    name: str
    url: str
    home: Path
    host: str = ""
    monotonic: float = 0.0
    wall_us: int = 1_000_000_000
    said: list[str] = field(default_factory=list)
    away: bool = False

    def __post_init__(self) -> None:
        self.store = open_store(self.url)
        self.ending = threading.Event()
        self.leading = Leading(
            self._connect,
            self.name,
            self.home,
            HostId(self.host or f"ho_{self.name}", self.name),
            ending=self.ending,
            say=self.said.append,
            elapsed=lambda: self.monotonic,
            now_us=lambda: self.wall_us,
        )

    def _connect(self) -> Store:
        if self.away:
            raise CouldNotRun("no route to the store")
        return self.store

    @property
    def leads(self) -> bool:
        return self.leading.led(lambda tenure: tenure, lambda tenure: tenure.lease)() is not STANDS_BY

    def decided(self) -> list[Tenure]:
        """What a step of it writes: a flag, and the tenure that it was written in."""
        done: list[Tenure] = []

        def write(tenure: Tenure) -> None:
            flag = Flag(route=f"by-{self.name}", revision=0, stable=Version("atlas", STABLE))
            tenure.store.state.put_flags([flag], at=now(), by=self.name)
            done.append(tenure)

        self.leading.led(lambda tenure: tenure, write)()
        return done


@pytest.fixture
def start(store_url: str, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    hosts: list[Host] = []

    def start(name: str, **more: Any) -> Host:
        hosts.append(Host(name, store_url, tmp_path / (more.get("host") or name), **more))
        return hosts[-1]

    yield start
    for host in hosts:
        host.store.close()


def pass_time(seconds: float, *hosts: Host, steps: int = 20) -> None:
    """So many seconds on these hosts, each looking now and then."""
    for _ in range(steps):
        for host in hosts:
            host.monotonic += seconds / steps
            host.leading.step()


def test_the_first_leads_and_the_next_stands_by_for_as_long_as_it_lives(start: Callable[..., Host]) -> None:
    one, two = start("one"), start("two")
    one.leading.step()
    pass_time(60.0, one, two)
    assert (one.leads, two.leads) == (True, False)
    assert (one.said, two.said) == ([], ["`one` leads; this process stands by"])


def test_a_beat_that_stands_still_is_followed_by_the_one_that_looks_on_whatever_the_clocks_say(start: Callable[..., Host]) -> None:
    one, two = start("one"), start("two")
    two.wall_us += 86_400_000_000
    one.leading.step()
    pass_time(LEASE_S + 1.0, one, two)
    pass_time(LEASE_S - 0.5, two)
    assert not two.leads
    pass_time(1.0, two)
    assert two.leads
    assert two.said[-1] == "this process leads now: nothing was heard of `one` for 5 s"


def test_a_leader_that_was_stopped_writes_nothing_when_it_goes_on(start: Callable[..., Host]) -> None:
    one, two = start("one"), start("two")
    one.leading.step()
    [tenure] = one.decided()
    before = one.store.state.revision()
    pass_time(2 * LEASE_S, two)
    assert two.decided()
    assert one.leads, "it was stopped, and knows of nothing"
    with pytest.raises(NotLeading, match="`two/"):
        tenure.store.state.put_flags([Flag(route="late", revision=0, stable=Version("atlas", STABLE))], at=now(), by="one")
    with pytest.raises(NotLeading):
        tenure.store.state.note("one", "late", now())
    assert one.decided() == [], "refused, and taken as word that another one leads"
    assert not one.leads
    assert tenure.over.is_set()
    assert one.store.state.revision() == before + 1
    assert set(one.store.state.flags()) == {"by-one", "by-two"}
    assert "late" not in one.store.state.flags()
    assert one.said == ["another process leads now; nothing that this one had under way was written since"]
    one.leading.step()
    assert one.said[-1] == "`two` leads; this process stands by"


def test_a_leader_finds_out_by_its_beat_as_well(start: Callable[..., Host]) -> None:
    one, two = start("one"), start("two")
    one.leading.step()
    pass_time(2 * LEASE_S, two)
    pass_time(2.0, one)
    assert (one.leads, two.leads) == (False, True)


def test_people_and_gateways_write_whoever_leads(start: Callable[..., Host]) -> None:
    one, two = start("one"), start("two")
    one.leading.step()
    pass_time(2 * LEASE_S, two)
    one.store.state.note("ada", "a word of a person, over a process that leads no more", now())
    one.store.state.acknowledge("gw", 1, now(), pid=1, address="")


def test_a_lease_that_is_given_up_is_taken_at_once_and_its_holder_goes_on_until_then(start: Callable[..., Host]) -> None:
    one, two = start("one"), start("two")
    one.leading.step()
    two.leading.step()
    one.leading.resign()
    one.leading.step()
    assert one.decided(), "nobody has followed yet"
    two.leading.step()
    assert two.decided()
    assert two.said[-1] == "this process leads now: `one` gave it up"
    assert one.decided() == []
    one.leading.step()
    pass_time(60.0, one, two)
    assert (one.leads, two.leads) == (False, True), "it does not ask for it again"
    one.leading.end()
    two.leading.end()


def test_a_dead_leader_of_the_same_host_is_followed_at_once(start: Callable[..., Host]) -> None:
    one, two = start("one", host="ho_same"), start("two", host="ho_same")
    one.leading.step()
    pass_time(60.0, one, two)
    assert not two.leads
    one.leading._alive.die()
    two.leading.step()
    assert two.leads
    assert [file.name for file in (two.home / "controllers").iterdir()] == [two.leading._alive.token]


def test_a_store_that_is_away_takes_nobodys_lease(start: Callable[..., Host]) -> None:
    """The leader's beats stand still as well: whoever comes back first must not take that for an end."""
    one, two = start("one"), start("two")
    one.leading.step()
    two.leading.step()
    one.away = two.away = True
    for host in (one, two):
        host.monotonic += 60.0
        with pytest.raises(CouldNotRun):
            host.leading.step()
    one.away = two.away = False
    pass_time(LEASE_S - 1.0, two)
    assert not two.leads
    pass_time(60.0, one, two)
    assert (one.leads, two.leads) == (True, False)


def test_of_many_that_take_a_lease_at_once_one_has_it(new_store_url: Callable[[], str]) -> None:
    url = new_store_url()
    stores = [open_store(url) for _ in range(6)]
    for round in range(5):
        seen = stores[0].state.lease()
        taken: list[Lease] = []
        begin = threading.Barrier(len(stores))

        def take(
            number: int, store: Store, seen: Lease | None = seen, begin: threading.Barrier = begin, taken: list[Lease] = taken
        ) -> None:
            begin.wait()
            if (lease := store.state.take_lease(seen, f"p{number}", beat=1)) is not None:
                taken.append(lease)

        threads = [threading.Thread(target=take, args=one) for one in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [lease] = taken
        assert lease.counter == round + 1
        assert stores[0].state.lease() == lease
    for one in stores:
        one.close()


@pytest.mark.parametrize("new_store_url", ["postgresql"], indirect=True)
def test_a_change_of_hands_waits_for_a_write_that_is_under_way_and_a_beat_does_not(store_url: str) -> None:
    with closing(open_store(store_url)) as one, closing(open_store(store_url)) as two:
        held = one.state.take_lease(None, "one", beat=1)
        assert held is not None
        fenced = one.fenced(held)
        taken: list[Lease | None] = []
        taking = threading.Thread(target=lambda: taken.append(two.state.take_lease(beating, "two", beat=1)))
        with fenced.state._db.write() as c:
            beating = one.state.beat_lease(held, beat=2)
            assert beating is not None, "its own sign of life passes its own writes"
            taking.start()
            with two.state._db.read() as other:
                until(lambda: _waits(other), "the change of hands waiting")
            assert taken == []
            c.execute(text("UPDATE counters SET n = 77 WHERE name = 'revision'"))
        taking.join()
        assert [lease.holder for lease in taken if lease] == ["two"]
        assert two.state.revision() == 77, "what was under way is stored, and nothing after it"
        with pytest.raises(NotLeading), fenced.state._db.write():
            pass


def _waits(connection: object) -> bool:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    return bool(connection.execute(query).scalar())  # type: ignore[attr-defined]


def test_what_is_done_alone_is_not_held_up_by_a_former_leader(start: Callable[..., Host]) -> None:
    """One that is stopped in the middle of a baseline holds its name for as long as it stands still."""
    one, two = start("one"), start("two")
    one.leading.step()
    [first] = one.decided()
    with first.store.state.alone("baselines") as mine:
        assert mine
        with first.store.state.alone("baselines") as again:
            assert not again
        pass_time(2 * LEASE_S, two)
        [second] = two.decided()
        with second.store.state.alone("baselines") as theirs:
            assert theirs


# ── as processes ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door().on_a_socket() as door:
        yield door


def who_leads(place: Installation, *processes: Process) -> Process | None:
    """The one of these that leads, by the name that each got from its place among them."""
    lease = place.store.state.lease()
    return None if lease is None else next((p for n, p in enumerate(processes) if lease.holder.startswith(f"c{n}/")), None)


def under_way(place: Installation) -> None:
    """A rollout that goes on by time and traffic: from its canary to its end in some ten seconds."""
    plan_text = place.text()
    apply(place.store, plan_text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
    stable, candidate = Version("atlas", STABLE), Version("atlas", HONEST)
    rollout = Rollout(
        id=CANARY,
        route="chat",
        owner="a@example.com",
        stable=stable,
        candidate=candidate,
        plan=replace(read(plan_text).plans["quick"], lease=3600.0),
        salt="the rollout's salt",
        opened_at=now() - timedelta(seconds=1),
        entered_at=now(),
        phase=Phase.CANARY,
        canary_at=now(),
        split=0.3,
        period=1,
    )
    flag = Flag(route="chat", revision=0, stable=stable)
    place.store.state.open_rollout(rollout, flag_for(rollout, flag), by="test", at=now())


def once_each(decisions: list[tuple[Decision, bytes]]) -> None:
    """Steps that move traffic were each taken once."""
    moved = [(d.verb, d.reason, d.sentence) for d, _ in decisions if d.verb in (Verb.PROMOTE, Verb.ROLL_BACK)]
    assert len(moved) == len({verb for verb, *_ in moved}), moved


@pytest.mark.fault(
    "the controller is gone: the one that leads is killed", "another one leads within seconds, and the rollout goes on to its end"
)
@pytest.mark.parametrize("new_store_url", ["postgresql"], indirect=True)
def test_when_the_leader_is_killed_another_host_goes_on_with_the_rollout(store_url: str, tmp_path: Path, door: Door) -> None:
    for home in ("north", "south"):
        (tmp_path / home).mkdir()
    with (
        standing(tmp_path / "north", door.url, store_url=store_url) as north,
        standing(tmp_path / "south", door.url, store_url=store_url) as south,
    ):
        under_way(north)
        gateway = north.gateway()
        processes = [place.start("controller", "--name", f"c{n}") for n, place in enumerate((north, south))]
        first = until(lambda: who_leads(north, *processes), "a leader")
        callers = Callers()

        def asked_until(true: Callable[[], bool]) -> Callable[[], bool]:
            def once() -> bool:
                callers.all([gateway.url], 8)
                return true()

            return once

        north.acknowledged(gateway)
        until(asked_until(lambda: north.store.state.rollout(CANARY).step > 0), "a step taken")
        counter = north.store.state.lease()
        assert counter is not None
        first.kill()
        [other] = [one for one in processes if one is not first]
        until(lambda: who_leads(north, *processes) is other, "the other one leading")
        lease = north.store.state.lease()
        assert lease is not None
        assert lease.counter == counter.counter + 1
        until(asked_until(lambda: north.store.state.rollout(CANARY).phase.terminal), "the rollout's end")
        assert north.store.state.rollout(CANARY).phase is Phase.DONE
        once_each(north.store.state.decisions(CANARY))
        assert "this process leads now: nothing was heard of" in other.talk
        assert callers.failed == {}
        assert not [talk for process in processes if "Traceback" in (talk := process.talk)]


@pytest.mark.parametrize("new_store_url", ["postgresql"], indirect=True)
def test_at_sigterm_the_lease_is_handed_over_and_not_waited_for(store_url: str, tmp_path: Path, door: Door) -> None:
    """Not that it is quick, which a busy machine decides: that nobody had to see a beat stand still."""
    with standing(tmp_path, door.url, store_url=store_url) as place:
        in_canary(place)
        processes = [place.start("controller", "--name", f"c{n}") for n in range(2)]
        first = until(lambda: who_leads(place, *processes), "a leader")
        [other] = [one for one in processes if one is not first]
        until(lambda: "this process stands by" in other.talk, "the other one looking on")
        assert first.stop() == 0
        until(lambda: who_leads(place, *processes) is other, "the other one leading")
        until(lambda: "this process leads now" in other.talk, "word of it")
        assert "nothing was heard" not in other.talk
        assert other.stop() == 0
        lease = place.store.state.lease()
        assert lease is not None
        assert lease.given_up


def writes(file: Path) -> bool:
    """Whether somebody is in the middle of a write."""
    with closing(sqlite3.connect(file, timeout=0.0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.rollback()
        return False


def test_on_an_embedded_store_a_stopped_server_is_followed_and_writes_nothing_when_it_goes_on(tmp_path: Path, door: Door) -> None:
    with standing(tmp_path, door.url) as place:
        in_canary(place)
        processes = [place.start("serve" if n == 0 else "controller", "--name", f"c{n}") for n in range(2)]
        first = until(lambda: who_leads(place, *processes), "a leader")
        [other] = [one for one in processes if one is not first]
        until(lambda: "this process stands by" in other.talk, "the other one looking on")
        first.signal(signal.SIGSTOP)
        while writes(place.dot / "state.db"):  # stopped in the middle of one it would hold the file, and not the lease alone
            first.signal(signal.SIGCONT)
            first.signal(signal.SIGSTOP)
        until(lambda: who_leads(place, *processes) is other, "the other one leading")
        assert "nothing was heard of" in other.talk
        first.signal(signal.SIGCONT)
        until(lambda: "leads; this process stands by" in first.talk, "the first one finding out")
        assert "another process leads now" in first.talk
        assert who_leads(place, *processes) is other


def test_a_server_that_was_killed_and_begins_again_decides_at_once(tmp_path: Path, door: Door) -> None:
    with standing(tmp_path, door.url) as place:
        in_canary(place)
        first = place.serve()
        until(place.store.state.lease, "the first one leading")
        first.kill()
        server = place.serve()
        place.acknowledged(server)
        lease = until(lambda: (found := place.store.state.lease()) and found.counter > 1 and found, "a new leader")
        assert lease.holder.startswith("one/")
        assert "nothing was heard" not in server.talk
        with place.store.state._db.read() as c:
            assert c.scalar(select(func.count()).select_from(text("leases"))) == 1


# ── said as a user would want it ────────────────────────────────────────────────────────────────────────────────────


def test_a_controller_without_a_store_says_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "detent.toml").write_text(Installation.pin_file("http://127.0.0.1:9"))
    file = ["--file", str(tmp_path / "detent.toml")]
    assert cli.main(["controller", *file]) == 4
    said = capsys.readouterr().err
    assert "no store there" in said
    assert "--store postgresql://..." in said
    assert cli.main(["controller", *file, "--store", "mysql://somewhere/db"]) == 2
    assert "not a database that Detent uses: `mysql`" in capsys.readouterr().err
    url = f"sqlite:///{tmp_path / 'state.db'}"
    open_store(url).close()
    assert cli.main(["controller", *file, "--store", url]) == 4
    said = capsys.readouterr().err
    assert "no pin file was applied to this store" in said
    assert "detent apply" in said
    assert cli.main(["controller", *file, "--store", url, "--name", "a name"]) == 2
    assert "not a name for a controller: `a name`" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(tmp_path: Path, door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "detent.toml").write_text(Installation.pin_file("http://127.0.0.1:9"))
    url = f"sqlite:///{tmp_path / 'state.db'}"
    open_store(url).close()
    taken = door.url.removeprefix("http://")
    assert cli.main(["controller", "--file", str(tmp_path / "detent.toml"), "--store", url, "--control", taken]) == 4
    said = capsys.readouterr().err
    assert f"cannot listen on `{taken}`" in said
    assert "--control" in said
