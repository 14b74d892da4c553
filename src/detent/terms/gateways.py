"""What a gateway says of itself with each heartbeat, and what is known of a store that was put back to an older state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from detent.terms.pinfile import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A circuit breaker that is not closed: of which version of which route, since when, and what it opened for, in words."""

    route: str
    version: Version
    state: Literal["open", "half_open"]
    since_us: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """An order by file that a gateway obeys and cannot carry out in the store: its route, and in words who gave it and what is wrong."""

    route: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a gateway says of itself: the breakers that are not closed there, and the orders that it cannot carry out."""

    breakers: tuple[Breaker, ...] = ()
    orders: tuple[Stuck, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """A store that is older than what gateways had obeyed already: found by which gateway and when, at which revision (`was`), when
    `served` had been obeyed; its own was raised to `revision`. `routes` are those of which it had forgotten something, or had a rollout.

    Flags of this revision or an earlier one are in doubt: no gateway obeys a split in them.
    """

    at: datetime
    gateway: str
    was: int
    served: int
    revision: int
    routes: tuple[str, ...] = ()
