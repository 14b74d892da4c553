"""Writes of one route's flag that meet: a drill, a rollout and a route that goes; and a writer that is stopped in the middle of one."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from controlling import NEXT, PIN, World, pin_file
from detent import manifest as pin_files
from detent.controller import act, open_aa
from detent.errors import CouldNotRun, Refused
from detent.serve.carrying_out import carry_out
from detent.store import Store, open_store, state
from detent.store.database import SERVER_PATIENCE
from detent.store.state_rows import take_revision
from detent.terms import Draining, LocalOrder, Phase, Version
from drilling import Drilled, drilled, pinned
from records import T0, rollout

if TYPE_CHECKING:
    from stores import Postgres

pytest_plugins = ("stores",)

HELD_S = 0.3
"""So long a write is held open, unless the other one gets through: long enough for it to have read what it reads first."""


@pytest.fixture
def world(store: Store) -> Iterator[Drilled]:
    with drilled(store) as found:
        yield found


@pytest.fixture
def other(store_url: str) -> Iterator[Store]:
    """The same store, as another process has it."""
    found = open_store(store_url)
    yield found
    found.close()


def unproved(world: Drilled) -> None:
    """A rollout whose canary has ended as `not_proved`: a human may promote it."""
    plan = pin_files.read(pinned()).plans["short"]
    versions = {"stable": Version("openai", PIN), "candidate": Version("openai", NEXT)}
    before = rollout(id="ro_9", route="chat", plan=plan, phase=Phase.PROPOSED, opened_at=T0, entered_at=T0, **versions)
    opened = world.store.state.open_rollout(before, by="ada", at=T0)
    for at in (T0, T0 + timedelta(hours=9)):
        world.store.state.look_after(["ro_9"], at, math.inf)
    ended = replace(opened, phase=Phase.NOT_PROVED, ended_at=T0, canary_at=T0, canary_watched_s=0.0, reason="NotProved: x", period=1)
    world.store.state.commit(opened, ended, flag=None, decision=None, evidence=None, by="detent", what="x", at=T0)
    world.later(9 * 3600.0)
    world.heard()


def promote(store: Store, world: Drilled) -> None:
    act(store, "ro_9", "promote", by="bob", why="good", now=world.now)


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[], object]) -> Iterator[None]:
    """`write` goes as far as this step of it and stays there while the block does something else, until that is done or waits for it."""
    real, there, on = getattr(state, name), threading.Event(), threading.Event()
    failed: list[Exception] = []

    def slow(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        if threading.current_thread().name == "slow":
            there.set()
            on.wait(HELD_S)
        return found

    def run() -> None:
        try:
            write()
        except Exception as error:
            failed.append(error)
        there.set()

    monkeypatch.setattr(state, name, slow)
    thread = threading.Thread(target=run, name="slow")
    thread.start()
    assert there.wait(20)
    try:
        yield
    finally:
        on.set()
        thread.join()
    assert failed == []


def test_a_drill_that_begins_while_its_route_is_promoted_gives_way(world: Drilled, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    unproved(world)
    with held(monkeypatch, "audited", lambda: promote(other, world)), pytest.raises(Refused, match="has an open rollout"):
        world.begin()
    flag = world.store.state.flags()["chat"]
    assert (flag.rollout, flag.drill) == ("ro_9", None)
    assert flag.split == world.store.state.rollout("ro_9").split > 0.5


def test_a_drill_whose_traffic_returns_takes_nothing_from_a_promotion(
    world: Drilled, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    unproved(world)
    report = world.begin()
    world.later(61)
    with held(monkeypatch, "audited", lambda: promote(other, world)):
        world.drive(report.id)
    flag = world.store.state.flags()["chat"]
    assert (flag.rollout, flag.drill) == ("ro_9", None)
    assert flag.split == world.store.state.rollout("ro_9").split > 0.5


def test_a_promotion_of_a_rollout_that_had_ended_ends_a_drill_in_the_same_write(world: Drilled) -> None:
    unproved(world)
    report = world.begin()
    promote(world.store, world)
    flag = world.store.state.flags()["chat"]
    assert (flag.rollout, flag.drill) == ("ro_9", None)
    ended = world.store.state.drill(report.id)
    assert (ended.verdict, ended.why) == ("aborted", "rollout ro_9 goes on")
    world.later(61)
    world.drive(report.id)
    assert world.store.state.flags()["chat"] == flag


def test_a_page_that_waits_ends_with_a_promotion_too(world: Drilled) -> None:
    unproved(world)
    report = world.begin(page=True)
    promote(world.store, world)
    assert world.store.state.drill(report.id).verdict == "aborted"
    assert world.store.state.flags()["chat"].rollout == "ro_9"


def test_a_drill_that_ends_brings_no_route_back_that_is_gone(world: Drilled, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    report = world.begin()
    world.later(61)
    with held(monkeypatch, "audited", lambda: other.state.drop_flags(["chat"], at=world.now, by="ada")):
        world.drive(report.id)
    assert world.store.state.flags() == {}


def test_a_trial_that_opens_and_a_drill_that_returns_do_not_wait_for_each_other(
    world: Drilled, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = world.begin()
    world.later(61)

    def trial() -> None:
        open_aa(other, "chat", by="ada", why="", now=world.now, rollout_id="ro_a", salt="s")

    with held(monkeypatch, "drill_ended", trial):
        world.drive(report.id)
    flag = world.store.state.flags()["chat"]
    assert (flag.rollout, flag.drill) == ("ro_a", None)


def test_an_order_that_is_carried_out_takes_nothing_from_a_rollout_that_opens(
    world: Drilled, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Draining(rollout="ro_old", candidate=Version("openai", NEXT), split=0.1, salt="s", lasts_s=1800.0)
    world.store.state.put_flags([replace(world.store.state.flags()["chat"], draining=old)], at=world.now)
    order = LocalOrder(id="lo_1", route="chat", rollout=None, by="ada", why="", at=world.now)

    def trial() -> None:
        open_aa(other, "chat", by="bob", why="", now=world.now, rollout_id="ro_a", salt="s")

    with held(monkeypatch, "audited", trial):
        carry_out(world.store, order, gateway="gw", now=world.now)
    assert world.store.state.flags()["chat"].rollout == "ro_a"


def test_runs_are_cut_of_the_rollout_that_is_meant_and_of_no_route_that_is_gone(world: Drilled) -> None:
    state, old = world.store.state, Draining(rollout="ro_old", candidate=Version("openai", NEXT), split=0.1, salt="s", lasts_s=1800.0)
    state.put_flags([replace(state.flags()["chat"], draining=old)], at=world.now)
    assert state.cut_runs("chat", at=world.now, by="ada", of="ro_other") is None
    assert state.flags()["chat"].draining == old
    assert state.cut_runs("chat", at=world.now, by="ada", of="ro_old") == old
    state.drop_flags(["chat"], at=world.now, by="ada")
    assert state.cut_runs("chat", at=world.now, by="ada") is None


# ── a writer that is stopped ────────────────────────────────────────────────────────────────────────────────────────

STOPS = """
import sys
from detent.store import open_store
from detent.store.state_rows import next_revision

with open_store(sys.argv[1]).state._db.write() as c:
    next_revision(c)
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def stopped(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is really stopped in the middle of a write of the flags."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", STOPS, url], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield process
        finally:
            process.kill()


def test_a_writer_that_is_stopped_keeps_no_rollback_waiting(postgres: Postgres) -> None:
    name = postgres.take()
    store = open_store(postgres.url(name))
    world = World(store)
    world.apply(pin_file(chat=None))
    open_aa(store, "chat", by="ada", why="", now=world.now, rollout_id="ro_1", salt="s")
    with stopped(postgres.url(name)) as process:
        began = time.monotonic()
        moved = act(store, "ro_1", "roll_back", by="ada", why="", now=world.now)
        waited = time.monotonic() - began
        os.kill(process.pid, signal.SIGCONT)
        _, said = process.communicate("\n", timeout=20)
    assert moved.phase.terminal
    assert waited < 8.0
    assert "CouldNotRun" in said
    assert "this process stood still in the middle of a transaction" in said
    store.close()
    postgres.give_back(name)


def test_a_lock_that_is_not_let_go_is_an_error_and_what_the_url_says_goes_before(postgres: Postgres) -> None:
    name = postgres.take()
    patient, hasty = open_store(postgres.url(name)), open_store(postgres.url(name) + "&options=-c%20lock_timeout%3D100")
    world = World(patient)
    world.apply(pin_file(chat=None))
    open_aa(patient, "chat", by="ada", why="", now=world.now, rollout_id="ro_1", salt="s")
    with patient.state._db.read() as c:
        known = {row[0]: row[1] for row in c.exec_driver_sql("SELECT name, setting FROM pg_settings")}
    assert (known["lock_timeout"], known["idle_in_transaction_session_timeout"]) == ("10000", "5000")
    assert SERVER_PATIENCE.keys() <= known.keys()
    with patient.state._db.write() as c:
        take_revision(c)
        with pytest.raises(CouldNotRun, match="lock timeout") as refused:
            act(hasty, "ro_1", "roll_back", by="ada", why="", now=world.now)
    assert "see who holds the lock" in (refused.value.hint or "")
    patient.close()
    hasty.close()
    postgres.give_back(name)
