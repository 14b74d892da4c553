"""Gateways and the whole store in lines: which revision each serves, and who has fallen silent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from detent.explain.wording import ago
from detent.terms import Condition, Flag, Rollout, utc
from detent.visible import line


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

    @property
    def condition(self) -> Condition:
        """What it says of itself."""


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


def conditions(gateway: Gateway, now: datetime, *, route: str | None = None) -> list[str]:
    """A line for each circuit breaker that is not closed at a live gateway, and for each order that it cannot carry out; of one route, or
    of all.
    """
    if silent_s(gateway, now) is not None:
        return []
    said = []
    for one in gateway.condition.breakers:
        if route in (None, one.route):
            tried = "the next request tries it" if one.state == "half_open" else "it is tried again within a minute"
            since = ago((now - utc(one.since_us)).total_seconds())
            said.append(line(f"{one.route}: the breaker of {one.version} is open for {since}: {one.why}; {tried}", 400))
    for order in gateway.condition.orders:
        if route in (None, order.route):
            said.append(line(f"{order.route}: on stable by an order by file that cannot be carried out: {order.why}", 400))
    return said


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
            {
                "gateway": g.gateway,
                "revision": g.revision,
                "address": g.address,
                "seen_at": g.seen_at.isoformat(),
                "breakers": [
                    {"route": b.route, "version": str(b.version), "state": b.state, "since": utc(b.since_us).isoformat(), "why": b.why}
                    for b in g.condition.breakers
                ],
                "orders": [{"route": order.route, "why": order.why} for order in g.condition.orders],
            }
            for g in gateways
        ],
    }
