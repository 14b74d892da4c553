"""A store that may come and go: opened when it is there, and again when another one stands in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from detent.errors import CouldNotRun
from detent.store import Store

WRITABLE = "it needs a directory that this user may write to"


class Reopening:
    """What `open_store` gives, for as long as `files` (an embedded store's) are the ones that it was opened with.

    While one is gone nothing is read or written: a process that went on with a deleted file would lose all that it stores.
    """

    def __init__(self, open_store: Callable[[], Store], *, files: tuple[Path, ...] = ()) -> None:
        self._open = open_store
        self._files = files
        self._opened: tuple[Store, list[int | None]] | None = None
        self._turn = threading.Lock()

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
