"""State on real databases: a flag changes under one revision, a rollout by compare-and-set, and everything else is only ever added."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from detent.errors import Conflict, CouldNotRun, InvalidInput, Refused
from detent.store import Store, open_store
from detent.terms import (
    Arm,
    Baseline,
    Case,
    Decision,
    Endpoint,
    Exposure,
    Flag,
    Guard,
    Held,
    Phase,
    Rollout,
    Run,
    Verb,
    Working,
    utc,
)
from records import NEW, OLD, T0, rollout

pytest_plugins = ("stores",)

LATER = T0 + timedelta(hours=1)
GUARD = Guard(metric="error", margin_ratio=1.5)


def flag(split: float, period: int, **more: object) -> Flag:
    values: dict[str, object] = {"candidate": NEW, "rollout": "ro_1", "salt": "grain"}
    return Flag(route="summarizer", revision=0, stable=OLD, split=split, period=period, **values | more)  # type: ignore[arg-type]


def move(store: Store, before: Rollout, flag: Flag | None = None, **change: object) -> Rollout:
    after = replace(before, **change)  # type: ignore[arg-type]
    return store.state.commit(before, after, flag=flag, decision=None, evidence=None, by="detent", what="move", at=LATER)


# ── flags ──


def test_a_store_begins_empty(store: Store) -> None:
    assert store.state.flags() == {}
    assert store.state.revision() == 0
    assert store.state.manifest_text() is None
    assert store.state.rollouts() == []


def test_flags_written_together_have_one_revision(store: Store) -> None:
    plain = Flag(route="summarizer", revision=0, stable=OLD)
    assert store.state.put_flags([plain, replace(plain, route="chat")], at=T0) == 1
    assert store.state.put_flags([replace(plain, stable=NEW)], at=LATER) == 2
    flags = store.state.flags()
    assert flags["chat"] == replace(plain, route="chat", revision=1, written_at=T0)
    assert flags["summarizer"] == replace(plain, stable=NEW, revision=2, written_at=LATER)
    assert store.state.revision() == 2


def test_a_new_pin_file_is_a_new_revision_and_the_same_one_is_not(store: Store) -> None:
    assert store.state.put_manifest("[routes]", by="ann", at=T0) == 1
    assert store.state.put_manifest("[routes]", by="ben", at=LATER) == 1
    assert store.state.put_manifest("[routes] # more", by="ben", at=LATER) == 2
    applied = store.state.manifest_text()
    assert applied is not None
    assert (applied.text, applied.by, applied.at) == ("[routes] # more", "ben", LATER)


def test_a_snapshot_is_of_one_moment(store: Store) -> None:
    store.state.put_manifest("[routes]", by="ann", at=T0)
    store.state.put_flags([Flag(route="summarizer", revision=0, stable=OLD)], at=T0)
    snapshot = store.state.snapshot()
    assert snapshot.revision == 2
    assert snapshot.flags == store.state.flags()
    assert snapshot.manifest == store.state.manifest_text()
    assert snapshot.identity_key == store.state.identity_key()


def test_the_identity_key_is_made_once(store: Store, store_url: str) -> None:
    other = open_store(store_url)
    found: list[str] = []
    threads = [threading.Thread(target=lambda s=s: found.append(s.state.identity_key())) for s in (store, other) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 8
    assert len(bytes.fromhex(found[0])) == 32
    other.close()


def test_a_watch_tells_a_change_of_flags_and_nothing_else(store: Store, store_url: str) -> None:
    other = open_store(store_url)
    watch = store.state.watch()
    assert not watch.changed()
    other.state.put_flags([Flag(route="summarizer", revision=0, stable=OLD)], at=T0)
    assert watch.changed()
    assert not watch.changed()
    other.state.acknowledge("gw", 1, T0, pid=1, address="host:1")
    assert not watch.changed()
    store.state.put_flags([Flag(route="summarizer", revision=0, stable=NEW)], at=T0)
    assert watch.changed()
    watch.close()
    other.close()


# ── rollouts ──


def test_a_rollout_is_read_back_as_it_was_written(store: Store) -> None:
    opened = store.state.open_rollout(rollout(GUARD), by="ann", at=T0)
    assert opened == rollout(GUARD, revision=1, watched_s=0.0)
    held = replace(
        opened, held=Held(reason="HeldByHuman", by="ann", since_at=T0), working={"error": Working(rate=0.01)}, phase=Phase.CANARY
    )
    stored = store.state.commit(opened, held, flag=None, decision=None, evidence=None, by="ann", what="hold", at=LATER)
    assert stored == replace(held, revision=2) == store.state.rollout("ro_1")
    assert store.state.rollouts() == store.state.rollouts(route="summarizer") == store.state.rollouts(open_only=True) == [stored]
    assert store.state.rollouts(route="chat") == []
    assert [(row.by, row.what, row.rollout) for row in store.state.audit(1)] == [("ann", "hold", "ro_1")]


def test_watched_seconds_add_up_and_a_gap_counts_to_its_limit(store: Store) -> None:
    store.state.open_rollout(rollout(GUARD), by="ann", at=T0)
    counted = []
    for seconds, most in ((0, 600.0), (5, 600.0), (10, 600.0), (2000, 600.0), (1000, 600.0), (1030, 600.0), (99_999, math.inf)):
        store.state.look_after(["ro_1", "ro_2"], T0 + timedelta(seconds=seconds), most)
        counted.append(store.state.rollouts(open_only=True)[0].watched_s)
    assert counted == [0.0, 5.0, 10.0, 610.0, 610.0, 640.0, 640.0 + 98_969], "2000 -> 1000: the clock was set back"
    store.state.look_after(["ro_1"], T0 + timedelta(seconds=99_999 - 60), math.inf)
    store.state.look_after(["ro_1"], T0 + timedelta(seconds=99_999 + 5), math.inf)
    counted.append(99_614.0)
    assert store.state.rollout("ro_1").watched_s == counted[-1], "a server whose clock is a minute behind is no clock that was set back"
    store.state.look_after(["ro_1"], T0 + timedelta(seconds=100_999), 0.0)
    store.state.look_after([], T0, 600.0)
    assert store.state.rollout("ro_1").watched_s == counted[-1]


def test_an_unknown_rollout_is_named(store: Store) -> None:
    with pytest.raises(InvalidInput, match="no rollout: `ro_9`"):
        store.state.rollout("ro_9")


def test_who_comes_second_loses_and_changes_nothing(store: Store) -> None:
    opened = store.state.open_rollout(rollout(GUARD), by="ann", at=T0)
    won = move(store, opened, flag(0.05, 1), phase=Phase.CANARY)
    with pytest.raises(Conflict, match="moved on from revision 1"):
        move(store, opened, flag(0.5, 2), phase=Phase.ABORTED)
    assert store.state.rollout("ro_1") == won
    assert store.state.revision() == 1
    assert store.state.flags()["summarizer"].split == 0.05


def test_a_commit_is_all_or_nothing(store: Store) -> None:
    opened = store.state.open_rollout(rollout(GUARD), by="ann", at=T0)
    canary = move(store, opened, flag(0.05, 1), phase=Phase.CANARY)
    lines = len(store.state.audit())
    with pytest.raises(ValueError, match=r"a split of 0\.25 begins a new one"):  # the same share period with another split
        move(store, canary, flag(0.25, 1), step=1)
    assert store.state.rollout("ro_1") == canary
    assert store.state.flags()["summarizer"].split == 0.05
    assert store.state.revision() == 1
    assert len(store.state.audit()) == lines


def test_every_change_of_the_split_is_a_share_period(store: Store) -> None:
    rolling = store.state.open_rollout(rollout(GUARD), flag(0.0, 0), by="ann", at=T0)
    for period, split in enumerate((0.05, 0.25), start=1):
        rolling = move(store, rolling, flag(split, period), phase=Phase.CANARY, period=period)
    move(store, rolling, Flag(route="summarizer", revision=0, stable=OLD), phase=Phase.ROLLED_BACK)
    assert store.state.exposure("ro_1") == (
        Exposure(period=1, split=0.05, candidate=0, stable=0),
        Exposure(period=2, split=0.25, candidate=0, stable=0),
    )
    with store.state._db.read() as c:
        open_periods = c.execute(text("SELECT period FROM share_periods WHERE until_us IS NULL")).all()
    assert open_periods == []


def test_one_rollout_a_route_is_open(store: Store) -> None:
    first = store.state.open_rollout(rollout(GUARD), by="ann", at=T0)
    with pytest.raises(Refused, match="route `summarizer` has an open rollout: `ro_1`"):
        store.state.open_rollout(rollout(GUARD, id="ro_2"), by="ann", at=T0)
    store.state.open_rollout(rollout(GUARD, id="ro_3", route="chat"), by="ann", at=T0)
    ended = move(store, first, phase=Phase.NOT_PROVED)
    store.state.open_rollout(rollout(GUARD, id="ro_2", opened_at=LATER), by="ann", at=LATER)
    assert [r.id for r in store.state.rollouts(open_only=True)] == ["ro_3", "ro_2"]
    with pytest.raises(Conflict, match="another open rollout"):  # promoted by hand, too late
        move(store, ended, phase=Phase.SOAK)
    with pytest.raises(Conflict, match="opened by somebody else"):
        store.state.open_rollout(rollout(GUARD, route="search"), by="ann", at=T0)


def test_a_decision_is_kept_with_its_evidence(store: Store) -> None:
    opened = store.state.open_rollout(rollout(GUARD), by="ann", at=T0)
    decision = Decision(
        rollout="ro_1", verb=Verb.ROLL_BACK, reason="Harm", sentence="E = 21", at=T0, evidence_digest="ab", numbers={"error": 21.0}
    )
    ended = replace(opened, phase=Phase.ROLLED_BACK)
    store.state.commit(opened, ended, flag=None, decision=decision, evidence=b"\x00{}", by="detent", what="roll_back", at=LATER)
    assert store.state.decisions("ro_1") == [(decision, b"\x00{}")]
    (decided,) = store.state.decided("ro_1")
    assert decided.before == opened, "the rollout as it was, not as it became"
    assert store.state.decisions("ro_2") == []


CLIMBER = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[2])
from records import T0
from detent.errors import Conflict
from detent.store import open_store
store = open_store(sys.argv[1])
done = 0
while done < 40:
    before = store.state.rollout("ro_1")
    try:
        store.state.commit(before, replace(before, step=before.step + 1), flag=None, decision=None, evidence=None, by="p", what="up", at=T0)
    except Conflict:
        continue
    done += 1
"""


def test_processes_that_move_one_rollout_at_once_lose_no_step(store: Store, store_url: str) -> None:
    store.state.open_rollout(rollout(GUARD), by="ann", at=T0)
    command = [sys.executable, "-c", CLIMBER, store_url, str(Path(__file__).parent)]
    climbers = [subprocess.Popen(command) for _ in range(3)]
    assert [climber.wait() for climber in climbers] == [0, 0, 0]
    assert store.state.rollout("ro_1").step == 120
    assert store.state.rollout("ro_1").revision == 121
    assert len(store.state.audit(1000)) == 121


def test_writers_that_read_first_wait_for_their_turn(store: Store, store_url: str) -> None:
    """On SQLite a transaction that reads and then wants to write is refused at once, unless it was a writer from the start."""
    stores = [store, open_store(store_url), open_store(store_url)]
    failed: list[BaseException] = []

    def write(which: int) -> None:
        try:
            for turn in range(20):
                stores[which % 3].state.put_manifest(f"# {which} {turn}", by="ann", at=T0)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(which,)) for which in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert store.state.revision() == 120
    for other in stores[1:]:
        other.close()


# ── gateways ──


def test_a_gateway_acknowledges_each_revision_once(store: Store) -> None:
    for revision, second in ((3, 1), (3, 2), (5, 3), (5, 4)):
        store.state.acknowledge("gw1", revision, T0 + timedelta(seconds=second), pid=7, address="host:1")
    store.state.acknowledge("gw2", 3, T0 + timedelta(seconds=9), pid=8, address="host:2")
    one, two = store.state.gateways()
    assert (one.gateway, one.revision, one.applied_at, one.seen_at) == ("gw1", 5, utc_at(3), utc_at(4))
    assert (two.gateway, two.revision, two.pid, two.address) == ("gw2", 3, 8, "host:2")
    # revision 4 was never served by gw1, a later one was
    assert [(ack.gateway, ack.applied_at) for ack in store.state.acks(4)] == [("gw1", utc_at(3))]
    assert [(ack.gateway, ack.applied_at) for ack in store.state.acks(3)] == [("gw1", utc_at(1)), ("gw2", utc_at(9))]
    store.state.forget_gateway("gw2")
    assert [g.gateway for g in store.state.gateways()] == ["gw1"]
    assert [ack.gateway for ack in store.state.acks(3)] == ["gw1"]


def utc_at(seconds: int) -> object:
    return utc(round((T0 + timedelta(seconds=seconds)).timestamp() * 1_000_000))


# ── findings ──


def test_the_newest_baseline_is_in_force(store: Store) -> None:
    case = Case(id="ca_1", route="summarizer", endpoint=Endpoint.OPENAI_CHAT, request=b"\xff{}", known_good="ok", frozen_at=T0)
    first = Baseline(route="summarizer", digest="d1", frozen_at=T0, owner="ann", cases=(case,))
    second = replace(first, digest="d2", cases=(case, replace(case, id="ca_2")))
    assert store.state.baseline("summarizer") is None
    store.state.put_baseline(first)
    store.state.put_baseline(second)
    assert store.state.baseline("summarizer") == second
    assert store.state.baseline("chat") is None


def test_runs_are_kept_once(store: Store) -> None:
    run = Run(rollout="ro_1", case="ca_1", arm=Arm.STABLE, stage="screen", repeat=0, passed=True, content=0.9, changes=("fence_added",))
    store.state.add_runs([run, replace(run, repeat=1)])
    store.state.add_runs([replace(run, passed=False), replace(run, arm=Arm.CANDIDATE)])
    store.state.add_runs([])
    assert store.state.runs("ro_1") == [replace(run, arm=Arm.CANDIDATE), run, replace(run, repeat=1)]
    assert store.state.runs("ro_2") == []


# ── the store itself ──


def test_a_store_is_there_again_after_a_restart(store: Store, store_url: str) -> None:
    store.state.put_flags([Flag(route="summarizer", revision=0, stable=OLD)], at=T0)
    store.close()
    again = open_store(store_url)
    assert again.state.flags()["summarizer"].stable == OLD
    assert again.state.revision() == 1
    again.close()


def test_a_newer_store_is_refused_and_left_alone(store: Store, store_url: str) -> None:
    with store.state._db.write() as c:
        c.execute(text("UPDATE meta SET value = '99' WHERE name = 'schema'"))
    with pytest.raises(CouldNotRun, match="written by a newer Detent: schema `99`"):
        open_store(store_url)
    with store.state._db.read() as c:
        assert c.execute(text("SELECT value FROM meta WHERE name = 'schema'")).scalar() == "99"


def test_whoever_is_refused_again_and_again_keeps_no_connection(store: Store, store_url: str) -> None:
    with store.state._db.write() as c:
        c.execute(text("UPDATE meta SET value = '99' WHERE name = 'schema'"))
    refused = []
    for _ in range(5):  # each error is kept, as a process does that tells it: its traceback holds what was opened
        with pytest.raises(CouldNotRun) as error:
            open_store(store_url)
        refused.append(error)
    assert connections_to(store) <= 1, "the store's own"


def connections_to(store: Store) -> int:
    """How many others hold the database open: sessions of a server, descriptors of this process for a file."""
    if store.state._db.sqlite:
        path = str(store.state._db.url.database)
        return len({link for link in Path("/proc/self/fd").iterdir() if link.exists() and str(link.resolve()) == path}) - 1
    store.state._db.engine.dispose()
    with store.state._db.read() as c:
        return int(c.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")) or 0)


@pytest.mark.parametrize("url", ["mysql://host/db", "no url", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        open_store(url)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(CouldNotRun, match="no driver for this store: `psycopg`"):
        open_store("postgresql://host/database")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("a shopping list, and much more than a hundred bytes of it: " + "eggs, " * 50)
    with pytest.raises(CouldNotRun, match="file is not a database"):
        open_store(f"sqlite:///{tmp_path / 'state.db'}")


def test_many_processes_may_make_a_store_at_once(tmp_path: Path) -> None:
    code = "import sys; from detent.store import open_store; print(open_store(sys.argv[1]).state.identity_key())"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'new' / 'state.db'}"]
    makers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    keys = {maker.communicate()[0] for maker in makers}
    assert [maker.returncode for maker in makers] == [0] * 4
    assert len(keys) == 1


def test_a_store_that_was_taken_away_is_not_made_anew_by_a_connection(tmp_path: Path) -> None:
    """Else a process that was about to write would leave an empty store in its place, and go on with that."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    store.state._db.engine.dispose()
    (tmp_path / "state.db").rename(tmp_path / "aside.db")
    with pytest.raises(CouldNotRun, match="unable to open database file"):
        store.state.rollouts()
    with pytest.raises(sqlite3.OperationalError):
        store.state.watch()
    assert not (tmp_path / "state.db").exists()
    store.close()
