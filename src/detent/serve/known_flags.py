"""The flags for a process without a gateway: read again as they move, kept while the store is away; nobody is told that they are obeyed."""

from __future__ import annotations

from collections.abc import Callable

from detent.flags import load
from detent.store import Store
from detent.terms import FlagSet


class KnownFlags:
    """What was read last; until then `fallback`, the pin file's."""

    def __init__(self, connect: Callable[[], Store], fallback: FlagSet) -> None:
        self._connect = connect
        self._source: Store | None = None
        self.current = fallback

    def step(self) -> None:
        """Read them, if they moved. Raises CouldNotRun without a store."""
        store = self._connect()
        if store is not self._source or store.state.revision() != self.current.revision:
            self.current = load(store)
            self._source = store
