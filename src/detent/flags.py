"""The flag on its way to a gateway: watch the store, hand over the newest flags, acknowledge them, and remember them on disk.

Fail static: when the store cannot be reached the last flags known go on being served, from this host's disk if the process just started;
with neither, the approved versions of the pin file.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from detent import manifest as pin_file
from detent.errors import CouldNotRun, DetentError
from detent.store import Store
from detent.store.state import FlagWatch
from detent.terms import FlagSet, Manifest

POLL_S = 0.02
"""How often the store is asked whether anything was written: 5.5 µs a poll on SQLite (storage.md)."""

HEARTBEAT_S = 2.0
"""How often a gateway says that it is alive, and re-reads the flags without being told: the safety net."""

RETRY_S = 0.5
"""How often a store that cannot be read is tried again."""


def load(store: Store) -> FlagSet:
    """All flags now. Raises CouldNotRun when no pin file was ever applied."""
    found = store.state.snapshot()
    if found.manifest is None:
        raise CouldNotRun("no pin file was applied to this store", hint="apply one with `detent apply`")
    return FlagSet(revision=found.revision, manifest=pin_file.read(found.manifest.text), flags=found.flags, identity_key=found.identity_key)


def remember(flags: FlagSet, path: Path) -> None:
    """Keep the flags on disk for a start without a store; readable by the owner only, since they hold secrets. Old or new, never half."""
    aside = path.with_suffix(".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(flags))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


_FLAGS = msgspec.json.Decoder(FlagSet)  # built at import, as in store/state.py


def recall(path: Path) -> FlagSet | None:
    """The flags that `remember` kept; None when there are none, or when they cannot be read."""
    try:
        return _FLAGS.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def static(manifest: Manifest) -> FlagSet:
    """What is approved, and nothing else: the flags of a gateway that knows only its pin file. Without a key no identity is recorded."""
    return FlagSet(revision=0, manifest=manifest, flags={}, identity_key="")


class FlagFeed:
    """Keeps `current` up to date in a thread of its own.

    `connect` gives the store, and raises CouldNotRun while there is none; another store than before (its file was put back from a copy,
    say) is read from the start. `clients_env` is what this process's own pin file names: who may come in is not for a file elsewhere to
    loosen. `say` hears of the store being lost and found again, once each.
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
    ) -> None:
        self._connect = connect
        self._gateway = gateway
        self._address = address
        self._cache = cache
        self._clock = clock
        self._clients_env = clients_env
        self._say = say
        self._lost = False
        self._source: Store | None = None
        self._kept: FlagSet | None = None
        self._unkept = False
        self._stop = threading.Event()
        self.current = self._first(fallback)
        self._thread = threading.Thread(target=self._run, name="flags", daemon=True)

    def start(self) -> None:
        """Begin to watch; the flags of the start are acknowledged at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and take this gateway off the list of live ones."""
        self._stop.set()
        self._thread.join(timeout=15)

    def _first(self, fallback: FlagSet) -> FlagSet:
        try:
            return self._load(self._connect())
        except (SQLAlchemyError, OSError, DetentError, msgspec.MsgspecError) as error:
            known = self._guarded(recall(self._cache) or fallback)
            self._lose(error, known.revision)
            return known

    def _load(self, store: Store) -> FlagSet:
        flags = self._guarded(load(store))
        self._source = store
        return flags

    def _guarded(self, flags: FlagSet) -> FlagSet:
        if self._clients_env is None:
            return flags
        return replace(flags, manifest=replace(flags.manifest, server=replace(flags.manifest.server, clients_env=self._clients_env)))

    def _run(self) -> None:
        watch: FlagWatch | None = None
        due = 0.0
        while not self._stop.is_set():
            try:
                if time.monotonic() >= due:
                    store = self._connect()
                    if watch is None or store is not self._source:
                        watch = _other(watch, store)
                    self._obey(store)
                    due = time.monotonic() + HEARTBEAT_S
                elif watch is not None and self._source is not None and watch.changed():
                    self._obey(self._source)
            except Exception as error:  # noqa: BLE001 whatever is wrong with the store: a gateway that stops watching can't be rolled back
                self._lose(error, self.current.revision)
                watch = _other(watch, None)
                due = time.monotonic() + RETRY_S
            self._stop.wait(POLL_S)
        _other(watch, None)
        self._say_goodbye()

    def _obey(self, store: Store) -> None:
        """Serve what the store says now, acknowledge it, and keep it on disk."""
        if store is not self._source or store.state.revision() != self.current.revision:
            self.current = self._load(store)
        store.state.acknowledge(self._gateway, self.current.revision, self._clock(), pid=os.getpid(), address=self._address)
        if self._lost:
            self._lost = False
            self._say(f"the store can be read again, serving the flags of revision {self.current.revision}")
        self._keep()

    def _keep(self) -> None:
        """Also for flags that were there at the start: an older copy on disk would bring back what was rolled back meanwhile."""
        if self._kept is self.current:
            return
        try:
            remember(self.current, self._cache)
        except OSError as error:
            if not self._unkept:
                self._say(f"the flags cannot be kept on disk for a start without a store: {error}")
            self._unkept = True
        else:
            self._kept, self._unkept = self.current, False

    def _lose(self, error: Exception, revision: int) -> None:
        if not self._lost:
            what = f"the flags of revision {revision}" if revision else "the versions that the pin file names"
            self._say(f"the store cannot be read, serving {what}: {error}")
        self._lost = True

    def _say_goodbye(self) -> None:
        # A goodbye that nobody hears does no harm: whoever keeps the list sees that this process has ended.
        with contextlib.suppress(SQLAlchemyError, OSError, DetentError):
            if self._source is not None and not self._lost:
                known = {row.gateway: row.pid for row in self._source.state.gateways()}
                if known.get(self._gateway) == os.getpid():  # another process may have begun under this name
                    self._source.state.forget_gateway(self._gateway)


def _other(watch: FlagWatch | None, store: Store | None) -> FlagWatch | None:
    """Another watch in place of this one."""
    if watch is not None:
        watch.close()
    return None if store is None else store.state.watch()
