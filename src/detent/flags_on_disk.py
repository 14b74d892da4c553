"""The flags that a gateway keeps on its host's disk for a start without a store; the file's mtime says when the store was last reached."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path

import msgspec

from detent.terms import FlagSet


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


def reached_at(path: Path, reached: float) -> None:
    """Note on the file that `remember` wrote when the store was last reached, in seconds since the epoch."""
    os.utime(path, (reached, reached))


def unreached_s(path: Path, now: float) -> float:
    """For how long the store was not reached, by the file that `remember` wrote; infinity where nobody can say.

    A moment that is still to come shows that a clock was set back: then nobody can. A clock that was set back while no gateway ran, by less
    than nobody ran for, shows nothing: then the lease goes on for as much longer than it should.
    """
    try:
        since = now - path.stat().st_mtime
    except OSError:
        return inf
    return since if since >= 0.0 else inf
