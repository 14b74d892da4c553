"""Units of gateways on several hosts: each host seals its own, by its own clock, and waits for what the others have not read yet."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from detent.ingest import GRACE_US, Ingester
from detent.ingest.hosts import DOWN_S, GONE_S, LAG_MAX_S, HostId
from detent.ingest.reading import Reader, Turn, host_of
from detent.store import Store
from detent.store.schema import exposed
from detent.store.spool import Entry, Spool
from detent.terms import Arm, Flag, Guard, Outcome, Phase, Version
from records import NEW, T0, intent, result, rollout
from stores import new_store_url, postgres, store, store_url

__all__ = ["new_store_url", "postgres", "store", "store_url"]

MATURES = 60.0
ERROR = Guard(metric="error", margin_abs=0.01, matures=MATURES)
GRACE_S = GRACE_US / 1_000_000
DAY_S = 86_400.0


class World:
    """One store, one rollout, one true time; `south` may have another wall clock."""

    def __init__(self, store: Store, root: Path) -> None:
        self.store, self.root = store, root
        self.seconds = 0.0
        flag = Flag(route="summarizer", revision=0, stable=Version("openai", "old"), candidate=NEW, rollout="ro_1", split=0.5, period=1)
        store.state.open_rollout(rollout(ERROR, phase=Phase.CANARY), flag, by="ann", at=T0)

    def host(self, name: str, *, ahead: float = 0.0) -> Host:
        return Host(self, name, ahead)

    def wait(self, seconds: float, *reading: Host, step: float = 0.5) -> None:
        """Let time pass, with these hosts reading."""
        until = self.seconds + seconds
        while self.seconds < until:
            self.seconds = min(until, self.seconds + step)
            for host in reading:
                host.read()

    def bets(self) -> dict[tuple[str, int], int]:
        """Sealed units by arm and bucket."""
        found = self.store.state.label_counts("ro_1")
        assert {row.period for row in found} <= {1}
        return {(row.arm.value, row.bucket): row.n for row in found}

    def host_of(self, unit: str) -> str | None:
        with self.store.state._db.read() as c:
            return c.scalar(select(exposed.c.host).where(exposed.c.unit == unit))


class Host:
    """A gateway's spool and its reader, whose wall clock is `ahead` of the true one by so many seconds."""

    def __init__(self, world: World, name: str, ahead: float) -> None:
        self._world, self.name, self.ahead = world, name, ahead
        self.id = f"ho_{name}"
        self.spool = Spool(world.root / name, "gw")
        self.reader = self._new_reader()
        self.sealed = 0

    def _new_reader(self) -> Ingester:
        world = self._world
        return Ingester(world.store, world.root / self.name, self.clock, host=HostId(self.id, self.name), elapsed=lambda: world.seconds)

    def restart(self) -> None:
        self.reader = self._new_reader()

    def clock(self) -> datetime:
        return T0 + timedelta(seconds=self._world.seconds + self.ahead)

    @property
    def stamp(self) -> float:
        return self._world.seconds + self.ahead

    def asks(self, leg: str, unit: str, outcome: Outcome | None = Outcome.COMPLETE, *, arm: Arm = Arm.STABLE, period: int = 1) -> None:
        """A request of a unit, now; answered at once, if it is."""
        entries: list[Entry] = [intent(leg, unit, self.stamp, arm=arm, period=period, exchange=f"ex_{leg}")]
        if outcome is not None:
            entries.append(result(leg, self.stamp, outcome))
        for entry in entries:
            self.spool.write(entry)

    def read(self) -> None:
        self.sealed += self.reader.run_once().sealed


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return World(store, tmp_path)


def test_a_unit_seen_at_two_hosts_is_sealed_once_both_were_read(world: World) -> None:
    north, south = world.host("north"), world.host("south")
    world.wait(5.0, north, south)
    north.asks("a", "u1")
    world.wait(10.0, north, south)
    world.wait(MATURES - 11.0, north, south)
    south.asks("b", "u1", Outcome.TIMED_OUT)  # its last request, a second before it is due, is at the other gateway
    world.wait(9.0, north)  # where the reader is behind
    assert world.bets() == {}
    world.wait(3.0, north, south)
    assert world.bets() == {("stable", 1): 1}, "the failure counts"
    assert (north.sealed, south.sealed) == (1, 0), "it is the first host's to seal"


def test_a_host_waits_for_another_no_longer_than_that_is_behind(world: World) -> None:
    north, south = world.host("north"), world.host("south")
    world.wait(5.0, north, south)
    north.asks("a", "u1")
    world.wait(MATURES + GRACE_S, north, south)
    assert world.bets() == {}, "what the other one did in this last moment may be unread"
    world.wait(2.5, north, south)
    assert world.bets() == {("stable", 0): 1}


@pytest.mark.fault("a clock is wrong by a day on one host", "its units are sealed in time, by its own clock, and nobody else's move")
@pytest.mark.parametrize("ahead", [DAY_S, -DAY_S])
def test_a_clock_that_is_wrong_by_a_day_seals_its_own_units_in_time_and_moves_nobody_elses(world: World, ahead: float) -> None:
    north, south = world.host("north"), world.host("south", ahead=ahead)
    world.wait(5.0, north, south)
    north.asks("a", "u1")
    south.asks("b", "u2", Outcome.TIMED_OUT, arm=Arm.CANDIDATE)
    world.wait(MATURES - 2.0, north, south)
    assert world.bets() == {}
    world.wait(6.0, north, south)
    assert world.bets() == {("stable", 0): 1, ("candidate", 1): 1}
    assert (north.sealed, south.sealed) == (1, 1)


@pytest.mark.parametrize("ahead", [DAY_S, -DAY_S])
def test_a_unit_stays_where_it_was_first_seen_whatever_another_hosts_clock_says(world: World, ahead: float) -> None:
    north, south = world.host("north"), world.host("south", ahead=ahead)
    world.wait(5.0, north, south)
    north.asks("a", "u1")
    world.wait(5.0, north, south)
    south.asks("b", "u1", arm=Arm.CANDIDATE, period=2)  # the split was widened meanwhile
    world.wait(5.0, north, south)
    assert world.host_of("u1") == north.id
    world.wait(MATURES - 12.0, north, south)
    assert world.bets() == {}
    world.wait(6.0, north, south)
    assert world.bets() == {("stable", 0): 1}


def test_an_earlier_share_period_is_earlier_whichever_host_tells_of_it_and_when(world: World) -> None:
    north, south = world.host("north"), world.host("south", ahead=-DAY_S)
    world.wait(5.0, north)
    south.asks("a", "u1", period=1)
    world.wait(5.0, north)
    north.asks("b", "u1", arm=Arm.CANDIDATE, period=2)
    world.wait(5.0, north)
    assert world.host_of("u1") == north.id
    world.wait(5.0, north, south)
    assert world.host_of("u1") == south.id
    world.wait(MATURES, north, south)
    assert world.bets() == {("stable", 0): 1}


def test_a_clock_that_is_set_back_moves_no_unit_into_a_later_share_period(world: World) -> None:
    north = world.host("north")
    world.wait(5.0, north)
    north.asks("a", "u1", period=1)
    world.wait(5.0, north)
    north.ahead = -DAY_S
    north.asks("b", "u1", arm=Arm.CANDIDATE, period=2)
    world.wait(5.0, north)
    assert world.store.state.exposure("ro_1")[0].stable == 1
    north.ahead = 0.0
    world.wait(MATURES, north)
    assert world.bets() == {("stable", 0): 1}


def test_a_host_that_is_down_stalls_its_own_units_alone_and_for_an_hour_at_most(world: World) -> None:
    north, south = world.host("north"), world.host("south")
    world.wait(5.0, north, south)
    south.asks("b", "u2")
    world.wait(5.0, north, south)
    north.asks("a", "u1")
    world.wait(DOWN_S + MATURES + 1.0, north)
    assert world.bets() == {("stable", 0): 1}
    assert north.sealed == 1
    world.wait(GONE_S - DOWN_S - MATURES - 10.0, north, step=20.0)
    assert north.sealed == 1
    world.wait(30.0, north, step=5.0)
    assert world.bets() == {("stable", 0): 2}, "gone: whoever reads seals what it left"
    assert [host.host for host in world.store.state.hosts()] == [north.id]
    south.restart()
    world.wait(5.0, north, south)
    assert [host.host for host in world.store.state.hosts()] == [north.id, south.id], "it is there again"
    assert world.bets() == {("stable", 0): 2}


def test_the_units_of_a_host_that_said_goodbye_are_sealed_by_whoever_reads(world: World) -> None:
    north, south = world.host("north"), world.host("south")
    world.wait(5.0, north, south)
    south.asks("b", "u2")
    world.wait(5.0, north, south)
    south.spool.close()
    south.read()
    south.reader.goodbye()
    world.wait(MATURES + 1.0, north)
    assert world.bets() == {("stable", 0): 1}
    assert north.sealed == 1


def test_one_that_is_far_behind_is_waited_for_a_minute_and_no_longer(world: World) -> None:
    """As after a night without a reader: it lives, and reads, and has not come to its end for a long time."""
    north, south = world.host("north"), world.host("south")
    world.wait(5.0, north)
    north.asks("a", "u1")
    world.wait(2.0, north)

    def behind() -> None:
        world.store.state.tell_host(south.id, south.name, 3_000_000_000)

    for _ in range(int(MATURES + LAG_MAX_S - 5.0)):
        behind()
        world.wait(1.0, north)
    assert world.bets() == {}
    for _ in range(10):
        behind()
        world.wait(1.0, north)
    assert world.bets() == {("stable", 0): 1}


def test_rows_of_an_older_detent_are_sealed_by_whoever_reads(world: World) -> None:
    older = Ingester(world.store, world.root / "older", lambda: T0 + timedelta(seconds=world.seconds))
    spool = Spool(world.root / "older", "gw")
    north = world.host("north")
    world.wait(1.0, north)
    spool.write(intent("a", "u1", world.seconds))
    older.run_once()
    assert world.host_of("u1") is None
    world.wait(MATURES + 5.0, north)
    assert north.sealed == 1


def test_a_host_by_itself_waits_for_nobody(world: World) -> None:
    north = world.host("north")
    north.asks("a", "u1")
    world.seconds = MATURES + GRACE_S
    north.read()
    assert north.sealed == 0
    world.seconds += 0.000_001
    north.read()
    assert north.sealed == 1


def test_a_host_that_just_began_is_waited_for_until_it_has_read_once(world: World) -> None:
    north, south = world.host("north"), world.host("south")
    world.wait(5.0, north)
    north.asks("a", "u1")
    world.wait(MATURES - 1.0, north)
    south.asks("b", "u1", Outcome.TIMED_OUT)
    world.store.state.tell_host(south.id, south.name, round(LAG_MAX_S * 1_000_000))  # it has begun, and read nothing yet
    world.wait(4.0, north)
    assert world.bets() == {}
    world.wait(4.0, north, south)
    assert world.bets() == {("stable", 1): 1}


# ── who a host is, and whose turn ───────────────────────────────────────────────────────────────────────────────────


def test_a_host_keeps_its_id(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = host_of(home)
    assert first.id.startswith("ho_")
    assert host_of(home) == first
    assert host_of(tmp_path / "other").id != first.id
    assert sorted(file.name for file in home.iterdir()) == ["host-id"]


def test_one_reads_at_a_time_and_the_next_one_follows(world: World, tmp_path: Path) -> None:
    root = tmp_path / "spool"
    spool = Spool(root, "gw")
    host = HostId("ho_1", "one")
    readers = [Reader(world.store, root, Turn(root), host, clock=lambda: T0) for _ in range(2)]
    spool.write(intent("a"))
    first = readers[0].once()
    assert first is not None
    assert first.entries == 1
    assert readers[1].once() is None
    assert readers[0].end()
    assert [known.host for known in world.store.state.hosts()] == ["ho_1"], "its gateway lives: no goodbye"
    spool.write(intent("b"))
    second = readers[1].once()
    assert second is not None
    assert second.entries == 1
    spool.close()
    assert readers[1].end()
    assert world.store.state.hosts() == []
    assert world.store.journal.count() == 2
