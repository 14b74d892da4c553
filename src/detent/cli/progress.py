"""A progress bar on stderr, where somebody can see it."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detent.baseline.sources import Progress


def bar(what: str) -> AbstractContextManager[Progress]:
    """A bar that the returned function moves; nothing is shown where stderr is no terminal."""
    return _Bar(what) if sys.stderr.isatty() else nullcontext(lambda done, total: None)


class _Bar:
    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> Progress:
        self._progress.start()
        return lambda done, total: self._progress.update(self._task, completed=done, total=total)

    def __exit__(self, *how: object) -> None:
        self._progress.stop()
