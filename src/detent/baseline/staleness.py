"""Whether a frozen baseline still speaks for its route's current traffic, and whom that is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from detent import manifest as pin_file
from detent import sampling
from detent.store import Store
from detent.terms import BaselineStage

STALE_EVERY_S = 60.0
"""How often a baseline is held against current traffic: that is a read of thousands of journal rows."""

RECENT = timedelta(days=7)
"""Current traffic: the latest requests of a route, so old at most."""

AUDIT_SEARCHED = 1_000
"""So many lines of the audit log are searched for word that a baseline is stale, so that its owner is told once."""


def stale_of(store: Store, route: str, stage: BaselineStage, now: datetime) -> tuple[str, ...]:
    """Why the route's baseline does not speak for its current traffic; () while it does, and where there is none."""
    frozen = store.state.baseline(route)
    if frozen is None:
        return ()
    return sampling.stale(frozen, stage, store.journal.traffic(route, since=now - RECENT), now)


@dataclass(frozen=True, slots=True)
class _Held:
    """A baseline held against traffic: which baseline in force, by which stage of a plan, when, and what was found."""

    newest: int
    stage: BaselineStage
    at: datetime
    stale: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stale:
    """A baseline that does not speak for its route's traffic any more, with the owner on the hook, and why."""

    route: str
    digest: str
    owner: str
    why: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What is wrong, and who does what about it."""
        return (
            f"baseline {self.digest[:12]} of route {self.route} is stale: {'; '.join(self.why)}; "
            f"{self.owner} freezes a fresh one with `detent baseline freeze {self.route}`"
        )


class Staleness:
    """Whether baselines are stale, looked up once a minute for a route, and at once for one that was frozen anew. Owners are told once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, BaselineStage], _Held] = {}
        self._looked_at: datetime | None = None
        self._told: set[str] = set()
        self.known: tuple[Stale, ...] = ()

    def of(self, route: str, stage: BaselineStage, now: datetime) -> tuple[str, ...]:
        """Why the route's baseline is stale; () while it is not."""
        newest = self._store.state.findings_mark("", route)[0]
        known = self._known.get((route, stage))
        if known is None or known.newest != newest or not timedelta() <= now - known.at < timedelta(seconds=STALE_EVERY_S):
            known = self._known[route, stage] = _Held(newest, stage, now, stale_of(self._store, route, stage, now))
        return known.stale

    def tell(self, now: datetime) -> None:
        """Write into the audit log, once for each baseline, that it turned stale, whether a rollout waits for it or not. `known` are those
        that are stale, as last looked up.
        """
        if self._looked_at is not None and timedelta() <= now - self._looked_at < timedelta(seconds=STALE_EVERY_S):
            return
        self._looked_at = now
        self.known = tuple(self.found(now))
        for stale in self.known:
            known = f"baseline {stale.digest[:12]} of "
            if known not in self._told and not any(row.what.startswith(known) for row in self._store.state.audit(AUDIT_SEARCHED)):
                self._store.state.note("detent", stale.sentence, now)
            self._told.add(known)

    def found(self, now: datetime) -> Iterator[Stale]:
        """The stale baselines of the pin file that was applied last."""
        applied = self._store.state.manifest_text()
        if applied is None:
            return
        manifest = pin_file.read(applied.text)
        for name, route in manifest.routes.items():
            why = self.of(name, manifest.plans[route.plan].baseline, now)
            frozen = self._store.state.baseline(name) if why else None
            if frozen is not None:
                yield Stale(name, frozen.digest, route.owner, why)
