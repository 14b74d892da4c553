"""A shadow in earnest, but for the clock: the real gateway, the process that mirrors, its spools, and who reads and grades them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from detent import manifest
from detent.grader import Grader
from detent.ingest import Ingester
from detent.plugins import load_checks
from detent.store import Store, open_store
from detent.store.spool import Spool
from detent.terms import Flag, FlagSet, Manifest, Mirror, Pair, Rollout
from processes import until
from records import T0
from serving import Served, real_mirrors, serving

AT_ONCE = 40
"""Requests before it is waited for their pairs: more than some at once would be dropped under pressure, and counted, as they should."""

PIN_FILE = """
[providers.openai]
dialect  = "openai"
base_url = "{url}/v1"
watcher  = "llm@example.com"

[routes.chat]
provider = "openai"
version  = "{version}"
owner    = "a@example.com"
record   = {{ bodies = 1.0 }}
"""
"""A route `chat` that keeps all bodies."""

_T = TypeVar("_T")


@dataclass
class Shadowed:
    """Rollouts in their shadow, all of their traffic mirrored. `sent` counts what was asked through the gateway."""

    store: Store
    gateway: Served
    pinned: Manifest
    rollouts: Sequence[Rollout]
    step: Callable[[], None]
    sent: list[object] = field(default_factory=list)

    def ask(self, one: Callable[[_T], object], questions: Iterable[_T]) -> list[object]:
        """Ask it all through the gateway, and wait until all of it is graded; gives what `one` gave of each, in order."""
        waiting, first = list(questions), len(self.sent)
        with ThreadPoolExecutor(4) as pool:
            while waiting:
                batch, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
                self.sent += pool.map(one, batch)
                until(self._all_graded, "a pair for every request")
        return self.sent[first:]

    def pairs(self) -> list[Pair]:
        return [pair for rollout in self.rollouts for pair in self.store.state.pairs(rollout.id)]

    def _all_graded(self) -> bool:
        self.step()
        return len(self.pairs()) == len(self.sent)


@contextmanager
def shadowed(home: Path, pin_file: str, *rollouts: Rollout, second: float = 1.0) -> Iterator[Shadowed]:
    """With this pin file applied and these rollouts open; so large a share of the requests goes to stable a second time."""
    url = f"sqlite:///{home / 'state.db'}"
    store, spool = open_store(url), Spool(home / "spool", "gw-1")
    store.state.put_manifest(pin_file, by="ada", at=T0)
    pinned = manifest.read(pin_file)
    for rollout in rollouts:
        store.state.open_rollout(rollout, by="ada", at=T0)
    ingester, grader = Ingester(store, home / "spool", lambda: datetime.now(UTC)), Grader(store, rest=lambda seconds: None)

    def step() -> None:
        ingester.run_once()
        grader.run_once(pinned.routes, load_checks(pinned))

    flags = {r.route: _flag(r, Mirror(share=1.0, second=second)) for r in rollouts}
    try:
        with serving(
            FlagSet(revision=7, manifest=pinned, identity_key="key", flags=flags), mirrors=real_mirrors(home, url), spool=spool
        ) as gateway:
            yield Shadowed(store, gateway, pinned, rollouts, step)
    finally:
        spool.close()
        store.close()


def _flag(rollout: Rollout, mirror: Mirror) -> Flag:
    flag = Flag(route=rollout.route, revision=7, stable=rollout.stable, candidate=rollout.candidate, rollout=rollout.id, salt=rollout.salt)
    return replace(flag, mirror=mirror)
