"""What a plan may say of its lease: how long a gateway that cannot reach the store goes on splitting."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from detent.manifest.findings import Finding, shown
from detent.manifest.plan_rules import seconds_of
from detent.manifest.rules import Data, tables

SHORTEST_S, LONGEST_S = 5.0, 3600.0
"""Two heartbeats of a gateway and a bit: less would lapse at every hiccup of a database. More than an hour is no lease: in that time a
rollback by hand on every host is quicker.
"""


def _lease(data: Data) -> Iterator[Finding]:
    for path, plan in tables(data, "plans", "*"):
        seconds = seconds_of(plan, "lease")
        if seconds is not None and not SHORTEST_S <= seconds <= LONGEST_S:
            hint = 'write from "5s" to "1h": so long gateways that are cut off from the store go on splitting, "60s" if nothing is said'
            yield Finding((*path, "lease"), f"lease out of range: {shown(plan['lease'])}", hint)


LEASE_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (_lease,)
"""The rules for leases."""
