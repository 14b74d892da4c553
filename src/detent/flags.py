"""The flag on its way to a gateway: watch the store, hand over the newest flags, acknowledge them, and remember them on disk.

Fail static: when the store cannot be reached the last flags known go on being served, from this host's disk if the process just started;
with neither, the approved versions of the pin file. What is split is leased (`leasing`), also across a restart: the file that keeps the
flags has as its mtime when the store was last reached.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from detent import leasing, trickle
from detent import manifest as pin_file
from detent.awake import elapsed_s
from detent.errors import CouldNotRun, DetentError
from detent.flags_on_disk import reached_at, recall, remember, unreached_s
from detent.leasing import Told
from detent.local_orders import Orders, Standing, withdraw, withdraw_empty
from detent.obeying import Obeyed
from detent.store import Store
from detent.store.flag_watch import FlagWatch
from detent.terms import Breaker, Condition, FlagSet, LocalOrder, Manifest, Stuck
from detent.visible import line

HEARTBEAT_S = 2.0
"""How often a gateway says that it is alive, and re-reads the flags without being told: the safety net."""

RETRY_S = 0.5
"""How often a store that cannot be read is tried again."""

STANDS_S = 1.0
"""How long an order by file stands at least, so that all gateways of its host have seen it."""


def load(store: Store) -> FlagSet:
    """All flags now. Raises CouldNotRun when no pin file was ever applied."""
    found = store.state.snapshot()
    if found.manifest is None:
        raise CouldNotRun("no pin file was applied to this store", hint="apply one with `detent apply`")
    manifest = _manifest(found.manifest.text)
    former = store.state.former_versions() if trickle.any_plan(manifest) else ()  # asked only where a plan has `warm`: nobody waits for it
    return FlagSet(
        revision=found.revision,
        manifest=manifest,
        flags=found.flags,
        identity_key=found.identity_key,
        doubted=found.doubted,
        trickles=trickle.trickles(manifest, found.flags, former),
    )


@lru_cache(maxsize=2)
def _manifest(text: str) -> Manifest:
    """Most revisions move a flag and leave the file as it is: reading it takes longer than all else on a flag's way."""
    return pin_file.read(text)


def static(manifest: Manifest) -> FlagSet:
    """What is approved, and nothing else: the flags of a gateway that knows only its pin file. Without a key no identity is recorded."""
    return FlagSet(revision=0, manifest=manifest, flags={}, identity_key="")


class FlagFeed:
    """Keeps what is `obeyed` up to date, in two threads: `flags` watches the store and may wait for it, `leases` waits for nothing.

    `connect` gives the store, and raises CouldNotRun while there is none; another store than before (its file was put back from a copy,
    say) is read from the start. `clients_env` is what this process's own pin file names: who may come in is not for a file elsewhere to
    loosen. `say` hears of the store being lost and found again, once each, and likewise of leases. `orders` are those given by file on this
    host, in the directory of the cache; `carry_out` does in the store what one says, and tells what came of it, or None while
    another gateway of this host does it. What the gateway says of itself goes to the store with each heartbeat.

    A store that is older than what was obeyed, by this process or by the flags on its disk, was put back: it is told so (`leasing.older`),
    and nothing that it splits is obeyed until a person has said how it goes on.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        gateway: str,
        *,
        address: str,
        cache: Path,
        clock: Callable[[], datetime],
        fallback: FlagSet,
        clients_env: str | None = None,
        say: Callable[[str], None] = lambda message: None,
        orders: Orders | None = None,
        carry_out: Callable[[Store, LocalOrder], str | None] | None = None,
        monotonic: Callable[[], float] = elapsed_s,
    ) -> None:
        self._connect = connect
        self._gateway = gateway
        self._address = address
        self._cache = cache
        self._clock = clock
        self._clients_env = clients_env
        self._say = say
        self._carry_out = carry_out
        self._monotonic = monotonic
        self._lost = False
        self._unheard = ""
        self._source: Store | None = None
        self._kept: FlagSet | None = None
        self._unkept = False
        self._undone: dict[str, tuple[str, str]] = {}
        self._forgotten: frozenset[str] = frozenset()
        self._breakers: Callable[[], tuple[Breaker, ...]] = tuple
        self._stop = threading.Event()
        self._known = self._guarded(recall(cache) or fallback)
        first = self._first(fallback)
        self._known = first.flags
        self.obeyed = Obeyed(first, orders, say=say, monotonic=monotonic)
        self._thread = threading.Thread(target=self._run, name="flags", daemon=True)

    @property
    def current(self) -> FlagSet:
        """What is obeyed now."""
        return self.obeyed.current

    def tell(self, breakers: Callable[[], tuple[Breaker, ...]]) -> None:
        """The breakers that are not closed are told with each heartbeat from now on."""
        self._breakers = breakers

    def start(self) -> None:
        """Begin to watch; the flags of the start are acknowledged at once."""
        self.obeyed.start()
        self._thread.start()

    def stop(self) -> None:
        """End the threads and take this gateway off the list of live ones."""
        self._stop.set()
        self._thread.join(timeout=15)
        self.obeyed.stop()

    def _first(self, fallback: FlagSet) -> Told:
        asked_s, asked_at = self._monotonic(), self._clock()
        try:
            return leasing.heard_of(Told(flags=fallback, reached_s=asked_s), self._load(self._connect()), asked_s, asked_at)
        except (SQLAlchemyError, OSError, DetentError, msgspec.MsgspecError) as error:
            self._lose(error, self._known.revision)
            return leasing.from_disk(self._known, asked_s - unreached_s(self._cache, self._clock().timestamp()))

    def _load(self, store: Store) -> FlagSet:
        """What the store says now. Where that is older than what was obeyed it is told so, and asked again; also where it cannot be told,
        nothing that it splits is obeyed.
        """
        flags = self._guarded(load(store))
        self._source = store
        if not leasing.older(flags, self._known):
            self._forgotten = frozenset()
            return flags
        served, revision = leasing.served(self._known), flags.revision
        self._forgotten |= set(leasing.forgotten(flags, self._known))
        try:
            found = store.state.found_put_back(self._gateway, revision, served, self._forgotten, self._clock())
        except (SQLAlchemyError, OSError, DetentError) as error:
            if self._known.doubted < served:  # said once
                self._say(f"the store is at revision {revision}, {served} was obeyed, and it cannot be told so: {_first_line(error)}")
        else:
            if found is not None:
                self._say(f"the store was put back to an older state: it was at revision {revision}, {served} was obeyed")
            flags = self._guarded(load(store))
        return replace(flags, doubted=served) if leasing.older(flags, self._known) else flags

    def _guarded(self, flags: FlagSet) -> FlagSet:
        if self._clients_env is None:
            return flags
        return replace(flags, manifest=replace(flags.manifest, server=replace(flags.manifest.server, clients_env=self._clients_env)))

    def _run(self) -> None:
        watch: FlagWatch | None = None
        due = 0.0
        while not self._stop.is_set():
            try:
                if watch is None or time.monotonic() >= due:
                    store = self._connect()
                    if watch is None or store is not self._source:
                        watch = _other(watch, store)
                    self._obey(store)
                    due = time.monotonic() + HEARTBEAT_S
                elif watch.wait(max(0.0, due - time.monotonic()), self._stop) and self._source is not None:
                    self._obey(self._source, moved=True)
            except Exception as error:  # noqa: BLE001 whatever is wrong with the store: a gateway that stops watching can't be rolled back
                self._lose(error, self._known.revision)
                _closed(watch)
                watch = None
                self._stop.wait(RETRY_S)
        _closed(watch)
        self._say_goodbye()

    def _obey(self, store: Store, *, moved: bool = False) -> None:
        """Serve what the store says now, acknowledge it, and keep it on disk. Its lease runs from before the store was asked.

        With `moved` it is known that the flags are others: every question less counts, where all gateways ask at the same moment. So the
        acknowledgement is this process's word alone: it goes before the disk, whose sync nobody who rolls back should have to wait for.
        """
        asked_s, asked_at = self._monotonic(), self._clock()
        unsure = leasing.served(self._known) != self._known.revision
        if moved or unsure or store is not self._source or store.state.revision() != self._known.revision:
            self._known = self._load(store)
            self.obeyed.know(self._known, asked_s, asked_at)
        else:
            self.obeyed.reached(asked_s)
        self._acknowledge(store, self._clock())
        if self._lost:
            self._lost = False
            self._say(f"the store can be read again, serving the flags of revision {self._known.revision}")
        self._keep(asked_at.timestamp())
        self._carry_out_orders(store)
        self._note_vanished(store)

    def _acknowledge(self, store: Store, at: datetime) -> None:
        """A store that can be read and not written still says what to serve: a gateway that it cannot hear obeys it all the same."""
        try:
            known, condition = self._known.revision, self._condition()
            store.state.acknowledge(self._gateway, known, at, pid=os.getpid(), address=self._address, condition=condition)
        except (SQLAlchemyError, OSError, DetentError) as error:
            if not self._unheard:
                self._say(f"the store can be read and does not hear what is served: {_first_line(error)}")
            self._unheard = str(error)
        else:
            self._unheard = ""

    def _condition(self) -> Condition:
        """What is said with a heartbeat: breakers, and the orders that could not be carried out or that have no name to answer for them."""
        stuck = []
        for route, given in self.obeyed.ordered.items():
            order, (undone, why) = given.standing.order, self._undone.get(route, ("", ""))
            if order is None:
                stuck.append(Stuck(route=route, why=f"it cannot be read: {line(given.standing.wrong, 200)}"))
            elif undone == given.standing.id:
                stuck.append(Stuck(route=route, why=f"{line(order.by, 100)} gave it {order.at:%Y-%m-%d %H:%M:%S} UTC: {line(why, 200)}"))
        return Condition(breakers=self._breakers(), orders=tuple(stuck))

    def _keep(self, reached: float) -> None:
        """Also for flags that were there at the start: an older copy on disk would bring back what was rolled back meanwhile.

        Flags that cannot be kept leave older ones behind, whose lease is ended at once: that needs no room on a full disk.
        """
        try:
            if self._kept is not self._known:
                remember(self._known, self._cache)
                self._kept, self._unkept = self._known, False
            reached_at(self._cache, reached)
        except OSError as error:
            self._kept = None
            if not self._unkept:
                self._say(f"the flags cannot be kept on disk for a start without a store: {error}")
            self._unkept = True
            with contextlib.suppress(OSError):
                reached_at(self._cache, 0.0)

    def _carry_out_orders(self, store: Store) -> None:
        """Do in the store what was ordered on this host, keep what it says then, and only then take the order away: whoever starts from
        this disk in between finds one of the two.
        """
        if self._carry_out is None:
            return
        for route, given in self.obeyed.ordered.items():
            if self._monotonic() - given.since_s < STANDS_S:
                continue
            order = given.standing.order
            try:
                if order is None:
                    said: str | None = self._needless(given.standing)
                else:
                    said = self._carry_out(store, replace(order, rollout=given.rollout or order.rollout))
                    if said is None:
                        continue  # another gateway of this host is at it: nothing keeps the order from being carried out
                    asked_s, asked_at = self._monotonic(), self._clock()
                    self._known = self._load(store)
                    self.obeyed.know(self._known, asked_s, asked_at)
                    self._keep(asked_at.timestamp())
                    withdraw(self._cache.parent, order)
            except (SQLAlchemyError, OSError, DetentError) as error:
                why = _first_line(error)
                if self._undone.get(route, ("", ""))[0] != given.standing.id:
                    self._say(f"the order for {route} stands, and cannot be carried out in the store yet: {why}")
                self._undone[route] = given.standing.id, why
            else:
                if said:
                    self._say(f"the order for {route}: {said}")

    def _needless(self, standing: Standing) -> str:
        """Takes an order away that a full disk had no room to write, once the store itself has all of the route on stable, for good."""
        flag = self._known.flags.get(standing.route)
        if not standing.empty or flag is None or flag.rollout is not None or leasing.leased(flag) or self._unkept:
            return ""
        withdraw_empty(self._cache.parent, standing.route)
        return "it says nothing but its route, which the store has on stable too: taken away"

    def _note_vanished(self, store: Store) -> None:
        """Nobody answers for an order that could not be read, nor for its end: the log has it at least, once the store can be written."""
        with contextlib.suppress(SQLAlchemyError, OSError, DetentError):
            while self.obeyed.vanished:
                gone = self.obeyed.vanished[0]
                what = f"an order by file for {gone.route} that could not be read ({gone.wrong}) is gone"
                store.state.note(self._gateway, f"{what}: gateway {self._gateway} obeys the store", self._clock())
                self.obeyed.vanished.pop(0)

    def _lose(self, error: Exception, revision: int) -> None:
        if not self._lost:
            what = f"the flags of revision {revision}" if revision else "the versions that the pin file names"
            self._say(f"the store cannot be read, serving {what}: {error}")
        self._lost = True

    def _say_goodbye(self) -> None:
        try:
            if self._source is not None and not self._lost:
                known = {row.gateway: row.pid for row in self._source.state.gateways()}
                if known.get(self._gateway) == os.getpid():  # another process may have begun under this name
                    self._source.state.forget_gateway(self._gateway)
        except Exception as error:  # noqa: BLE001 whoever keeps the list sees that this process has ended, whatever is wrong with the store
            self._say(f"the store does not hear that this gateway ends: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _other(watch: FlagWatch | None, store: Store) -> FlagWatch:
    """A watch on this store, in place of the one on another."""
    _closed(watch)
    return store.state.watch()


def _closed(watch: FlagWatch | None) -> None:
    """Let go of a watch; nothing is left of it."""
    if watch is not None:
        watch.close()
