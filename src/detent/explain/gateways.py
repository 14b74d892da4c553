"""Gateways and the whole store in lines: which revision each serves, and who has fallen silent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from detent.explain.wording import ago
from detent.terms import Flag, Rollout


class Gateway(Protocol):
    """What a live gateway said of itself."""

    @property
    def gateway(self) -> str:
        """Its name."""

    @property
    def revision(self) -> int:
        """The revision that it serves."""

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def seen_at(self) -> datetime:
        """When it was last heard of."""


LIVE_S = 10.0
"""A gateway that was not heard of for so long (five of its heartbeats) has died, or is cut off from the store."""


def silent_s(gateway: Gateway, now: datetime) -> float | None:
    """For how many seconds a gateway was not heard of; None for a live one."""
    silent = (now - gateway.seen_at).total_seconds()
    return silent if silent > LIVE_S else None


def describe_gateway(gateway: Gateway, revision: int, now: datetime) -> str:
    """One line: where a gateway listens and which revision it serves, when the store is at `revision`."""
    where = f"gateway {gateway.gateway} on {gateway.address}: revision {gateway.revision}"
    silent = silent_s(gateway, now)
    if silent is not None:
        return f"{where}, not heard of for {ago(silent)}"
    return where if gateway.revision == revision else f"{where}, behind: the store is at {revision}"


def summary(revision: int, flags: Mapping[str, Flag], rollouts: Sequence[Rollout], gateways: Iterable[Gateway]) -> dict[str, Any]:
    """Routes, rollouts and live gateways for machines; no secret in it."""
    return {
        "revision": revision,
        "routes": {
            name: {"stable": str(f.stable), "candidate": str(f.candidate) if f.candidate else None, "split": f.split, "rollout": f.rollout}
            for name, f in sorted(flags.items())
        },
        "rollouts": [{"id": r.id, "route": r.route, "phase": r.phase, "candidate": str(r.candidate), "reason": r.reason} for r in rollouts],
        "gateways": [
            {"gateway": g.gateway, "revision": g.revision, "address": g.address, "seen_at": g.seen_at.isoformat()} for g in gateways
        ],
    }
