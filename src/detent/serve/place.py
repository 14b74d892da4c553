"""Where a process works: its store, found again when it was lost, and its directory for spool and caches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from detent.errors import CouldNotRun
from detent.store import Store

_T = TypeVar("_T")

WRITABLE = "it needs a directory that this user may write to"


class Place:
    """A home directory, a name for the gateway in it, and a store that may come and go.

    `files` are an embedded store's. While one is gone nothing is read or written, and what is spooled meanwhile waits: a process that
    went on with a deleted file would lose all that it decides, and never hear of a rollback.
    """

    def __init__(self, open_store: Callable[[], Store], home: Path, name: str, *, files: tuple[Path, ...] = ()) -> None:
        self.home = home
        self.name = name
        self._open = open_store
        self._files = files
        self._opened: tuple[Store, list[int | None]] | None = None
        self._turn = threading.Lock()

    @property
    def spools(self) -> Path:
        """The directory of all spools on this host."""
        return self.home / "spool"

    def store(self) -> Store:
        """The store, opened by the first call that can, and again when another file stands in its place. Raises CouldNotRun without one."""
        with self._turn:
            found = self._found()
            if self._opened is not None:
                store, opened = self._opened
                if found == opened:
                    return store
                store.close()
                if None in found:
                    gone = self._files[found.index(None)]
                    raise CouldNotRun(f"the store's file is gone: `{gone}`", hint="put it back; what is spooled meanwhile is kept")
            try:
                store = self._open()
            except OSError as error:
                raise CouldNotRun(f"cannot open the store: {error}", hint=WRITABLE) from error
            self._opened = store, self._found()
            return store

    def with_store(self, make: Callable[[Store], _T]) -> Callable[[], _T]:
        """Gives what `make` made of the store, made anew for another one. Raises CouldNotRun without a store."""
        made: dict[Store, _T] = {}

        def current() -> _T:
            store = self.store()
            if store not in made:
                made.clear()
                made[store] = make(store)
            return made[store]

        return current

    def close(self) -> None:
        """Let go of the store."""
        if self._opened is not None:
            self._opened[0].close()

    def _found(self) -> list[int | None]:
        """What stands in the place of each file: its inode, None for nothing."""
        return [_inode(path) for path in self._files]


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
