"""Where a process works: its store, found again when it was lost, and its directory for spool and caches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from detent.store import Store
from detent.store.reopening import WRITABLE, Reopening

__all__ = ["WRITABLE", "Place"]

_T = TypeVar("_T")


class Place(Reopening):
    """A home directory, a name for the gateway in it, and a store that may come and go.

    `url` is the store's, for processes that are started beside this one.
    """

    def __init__(self, open_store: Callable[[], Store], home: Path, name: str, *, files: tuple[Path, ...] = (), url: str = "") -> None:
        super().__init__(open_store, files=files)
        self.home = home
        self.name = name
        self.url = url

    @property
    def embedded(self) -> bool:
        """Whether the store is a file of this host, which a `serve` or a `controller` here reads and writes as well."""
        return self.url.startswith("sqlite")

    @property
    def spools(self) -> Path:
        """The directory of all spools on this host."""
        return self.home / "spool"

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
