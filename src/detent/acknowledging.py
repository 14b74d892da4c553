"""Waiting until the gateways say that they serve what was written, and naming those that do not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from detent.explain import ago, silent_s
from detent.store import Store

WAIT_S = 5.0
"""How long gateways are waited for unless somebody says otherwise: two of their heartbeats, and a second."""

FORMER_S = 2.0
"""An acknowledgement that is older than this when somebody begins to wait is one of an earlier write, and is told with its age."""

_POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What one gateway said of a flag: `ms` milliseconds after it was written it served it; None, it has not said so.

    `serves` is the revision that it said it serves; `silent_s` is for how long it was not heard of, None for one that lives. `ago_s` is how
    old its word was when somebody began to wait, None for one of now; `lease_s` is how long it may split without the store, where known.
    """

    gateway: str
    address: str
    serves: int
    ms: float | None
    silent_s: float | None = None
    ago_s: float | None = None
    lease_s: float | None = None

    @property
    def sentence(self) -> str:
        """One line of who, where and when."""
        who = f"gateway {self.gateway} on {self.address}"
        if self.ms is not None:
            former = f" {ago(self.ago_s)} ago" if self.ago_s is not None else ""
            if self.silent_s is not None:
                return f"{who} acknowledged it{former}, {self.ms:.0f} ms after it was written; not heard of for {ago(self.silent_s)}"
            if former:
                return f"{who} serves it: acknowledged{former}, {self.ms:.0f} ms after it was written"
            return f"{who} serves it after {self.ms:.0f} ms"
        lease = f"; leaves the candidate by itself when its lease of {self.lease_s:g} s ends" if self.lease_s is not None else ""
        if self.silent_s is not None:
            return f"{who} HAS NOT ANSWERED: it was not heard of for {ago(self.silent_s)}, and served revision {self.serves} then{lease}"
        return f"{who} HAS NOT ANSWERED: it lives and serves revision {self.serves}{lease}"

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"gateway": self.gateway, "address": self.address, "ms": self.ms, "serves": self.serves, "silent_s": self.silent_s}


def _now() -> datetime:
    return datetime.now(UTC)


def acknowledged(
    store: Store,
    route: str,
    *,
    wait_s: float,
    revision: int | None = None,
    lease_s: float | None = None,
    clock: Callable[[], datetime] = _now,
) -> list[Acknowledged]:
    """Wait until every live gateway serves what was written of a route, for `wait_s` seconds at most; who answered first stands first.

    That is `revision`, or without it the route's flag as it stands; a later one says the same or more. One that has fallen silent is not
    waited for: it is named, because what it serves is not known. One that says goodbye serves nothing. An acknowledgement is the word of a
    running process: it obeys, and has not yet kept the flags on its disk. `lease_s` is that of the flag before, for those that have none.
    """
    began = clock()
    flag = store.state.flags().get(route)  # none is left of a route that an apply took out of the file meanwhile
    if revision is None:
        revision = flag.revision if flag is not None else store.state.revision()
    # When it was written is not known of a flag that somebody has written again since: then it is measured from now.
    written_at = flag.written_at if flag is not None and flag.revision == revision and flag.written_at else clock()
    deadline = time.monotonic() + wait_s
    while True:
        # In this order: who answers in between is known as one that serves it, and heard at the next turn.
        acks, known = {ack.gateway: ack for ack in store.state.acks(revision)}, store.state.gateways()
        silent = {g.gateway: silent_s(g, clock()) for g in known}
        if all(g.gateway in acks or silent[g.gateway] is not None for g in known) or time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    found = [
        Acknowledged(
            gateway=g.gateway,
            address=g.address,
            serves=g.revision,
            # Two hosts' clocks: one that runs behind would have answered before it was asked.
            ms=max(0.0, (acks[g.gateway].applied_at - written_at).total_seconds() * 1000) if g.gateway in acks else None,
            silent_s=silent[g.gateway],
            ago_s=_former(acks[g.gateway].applied_at, began) if g.gateway in acks else None,
            lease_s=lease_s,
        )
        for g in known
    ]
    return sorted(found, key=lambda one: (one.ms is None, one.ms or 0.0, one.gateway))


def _former(at: datetime, began: datetime) -> float | None:
    age_s = (began - at).total_seconds()
    return age_s if age_s > FORMER_S else None


def describe(found: list[Acknowledged]) -> list[str]:
    """A line for each gateway, and one that says when the last of several had answered."""
    lines = [one.sentence for one in found]
    answered = [one.ms for one in found if one.ms is not None]
    if len(answered) == len(found) > 1:
        former = any(one.ago_s is not None or one.silent_s is not None for one in found)
        lines.append(f"all {len(found)} gateways" + ("" if former else f", the last after {max(answered):.0f} ms"))
    elif len(answered) < len(found):
        lines.append(f"{len(answered)} of {len(found)} gateways have answered")
    return lines or ["no gateway is there to hear of it"]
