"""What drains is over some time: a flag says so for as long as nobody writes that it is."""

from __future__ import annotations

from datetime import datetime

from detent.leasing import over
from detent.store import Store


def end_draining(store: Store, now: datetime) -> tuple[str, ...]:
    """Write that runs which were finishing on a version that was rolled back have had their time; the routes where that was due.

    Gateways end it by their own clocks all the same; a store that went on saying so would lend the version anew to whoever reads it later.
    """
    ended = []
    for route, flag in store.state.flags().items():
        if flag.draining is not None and over(flag, now):
            of = flag.draining.rollout
            if store.state.cut_runs(route, at=now, by="detent", why="they had their time", of=of) is not None:
                ended.append(route)
    return tuple(ended)
