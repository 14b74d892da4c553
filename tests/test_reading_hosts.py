"""Gateways on hosts of their own, one PostgreSQL: what they spool arrives without any server on their host, whatever is killed."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from detent.store.schema import legs
from outside import Callers, Door
from processes import Installation, in_canary, standing, until
from stores import Postgres, postgres

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door().on_a_socket() as door:
        yield door


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    name = postgres.take()
    yield postgres.url(name)
    postgres.give_back(name)


@pytest.fixture
def here(tmp_path: Path, door: Door, url: str) -> Iterator[Installation]:
    (tmp_path / "here").mkdir()
    with standing(tmp_path / "here", door.url, store_url=url) as place:
        yield place


@pytest.fixture
def there(tmp_path: Path, door: Door, url: str) -> Iterator[Installation]:
    """Another host: a home of its own, the same store."""
    (tmp_path / "there").mkdir()
    with standing(tmp_path / "there", door.url, store_url=url) as place:
        yield place


def readers(place: Installation) -> list[int]:
    """The processes that read the spools of this host, beside its gateways."""
    return place.running(b"ingest")


def reads(place: Installation, pid: int) -> bool:
    """Whether it is this one's turn: by the lock that it holds."""
    lock = place.spools / ".reading"
    if not lock.exists():
        return False
    inode = lock.stat().st_ino
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(
        words[1] == "FLOCK" and words[3] == "WRITE" and words[4] == str(pid) and words[5].endswith(f":{inode}")
        for words in held
        if words[1] != "->"
    )


def arrived(place: Installation, callers: Callers) -> None:
    """Wait until every request that was answered is in the journal, with its end."""
    journal = place.store.journal
    try:
        until(lambda: journal.count() == len(callers.answered) and not journal.count(pending=True), "all of it in the journal")
    except AssertionError:
        found = f"{journal.count()} legs, {journal.count(pending=True)} without an end, {len(callers.answered)} answered, {callers.failed}"
        raise AssertionError(found + "".join(process.talk for process in place.processes)) from None


def each_once(place: Installation, callers: Callers) -> None:
    with place.store.journal._db.read() as c:
        found = Counter(c.scalars(select(legs.c.exchange)))
    assert len(found) == len(callers.answered)
    assert set(found.values()) == {1}


def test_records_of_a_host_without_a_server_arrive(there: Installation) -> None:
    in_canary(there)
    gateway = there.gateway()
    there.acknowledged(gateway)
    callers = Callers()
    callers.all([gateway.url], 40)
    arrived(there, callers)
    [host] = until(there.store.state.hosts, "its host told of")
    assert host.host == (there.dot / "host-id").read_text().strip()
    assert gateway.stop() == 0
    until(lambda: not readers(there), "the reader's end")
    assert there.store.state.hosts() == [], "it said goodbye"
    each_once(there, callers)


def test_a_killed_reader_is_started_again_and_nothing_is_lost_or_doubled(there: Installation) -> None:
    in_canary(there)
    gateway = there.gateway()
    there.acknowledged(gateway)
    callers = Callers()
    for _ in range(3):
        [pid] = until(lambda: readers(there), "a reader")
        callers.all([gateway.url], 30)
        there.kill(pid)
        callers.all([gateway.url], 10)
    arrived(there, callers)
    each_once(there, callers)
    assert "the process that reads the spools has ended (signal 9)" in gateway.talk
    assert "started again in 1 s" in gateway.talk
    assert "Traceback" not in gateway.talk


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_gateway_spooled_last_is_in_the_journal(there: Installation, end: signal.Signals) -> None:
    in_canary(there)
    gateway = there.gateway()
    there.acknowledged(gateway)
    [pid] = until(lambda: readers(there), "a reader")
    until(there.store.state.hosts, "its first pass")
    there.stop(pid)  # it stands still: all that comes now is on the disk alone
    callers = Callers()
    callers.all([gateway.url], 25)
    gateway.signal(end)
    if end is signal.SIGKILL:
        gateway.wait()
    there.go_on(pid)
    gateway.wait()
    arrived(there, callers)
    until(lambda: not readers(there), "the reader's end")
    each_once(there, callers)
    assert there.store.state.gateways() == []


def test_of_two_gateways_on_one_home_one_reads_and_the_other_follows(there: Installation) -> None:
    in_canary(there)
    one, two = there.gateway("one"), there.gateway("two")
    there.acknowledged(one, two)
    until(lambda: len(readers(there)) == 2, "a reader each")
    callers = Callers()
    callers.all([one.url, two.url], 40)
    arrived(there, callers)
    [first] = [pid for pid in readers(there) if reads(there, pid)]
    owner = _parent(first)
    killed, left = (one, two) if owner == one.pid else (two, one)
    killed.kill()
    until(lambda: [pid for pid in readers(there) if reads(there, pid)] not in ([], [first]), "the other one's turn")
    callers.all([left.url], 20)
    arrived(there, callers)
    until(lambda: [g.pid for g in there.store.state.gateways()] == [left.pid], "the killed one forgotten")
    each_once(there, callers)


def test_a_server_of_the_same_host_reads_and_the_gateways_reader_waits(there: Installation) -> None:
    in_canary(there)
    server = there.serve()
    until(lambda: reads(there, server.pid), "its turn")
    gateway = there.gateway()
    there.acknowledged(server, gateway)
    [pid] = until(lambda: readers(there), "a reader")
    assert reads(there, server.pid)
    callers = Callers()
    callers.all([server.url, gateway.url], 20)
    arrived(there, callers)
    server.kill()
    until(lambda: reads(there, pid), "its turn")
    callers.all([gateway.url], 20)
    arrived(there, callers)
    each_once(there, callers)


def test_on_an_embedded_store_a_gateway_starts_no_reader(tmp_path: Path, door: Door) -> None:
    with standing(tmp_path, door.url) as place:
        in_canary(place)
        gateway = place.gateway()
        place.acknowledged(gateway)
        callers = Callers()
        callers.all([gateway.url], 10)
        assert readers(place) == []
        assert place.store.journal.count() == 0
        by_hand = place.start("ingest")
        arrived(place, callers)
        until(lambda: "reading the spools in" in by_hand.talk, "word of it")
        assert by_hand.stop() == 0


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
