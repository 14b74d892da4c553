"""What a gateway obeys at this moment, kept by a thread that never waits for a store: leases end and orders by file are obeyed while the
database hangs, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Any

from detent import leasing
from detent.awake import elapsed_s
from detent.leasing import Told
from detent.local_orders import Orders, Standing
from detent.terms import Flag, FlagSet, show_duration

LOOK_S = 0.05
"""How often orders and leases are looked at: an order by file is obeyed within 100 ms."""


@dataclass(frozen=True, slots=True)
class Given:
    """An order as this gateway met it: since when, and which rollout it served until then; None where it began under the order, and knows
    no more than the order says.
    """

    standing: Standing
    since_s: float
    rollout: str | None


class Obeyed:
    """`current` is what is obeyed and `ordered` which orders by file, for everybody to read at any time; whoever reads the store says what
    it says by `know` and `reached`.

    An order that was taken away stands until the store was reached after that: what was carried out there is then in its flags, and no
    gateway goes back to flags from before. `vanished` are those that could not be read, for whoever tells the store to take from. `say`
    hears, once each way, of leases that lapse and of orders that are given.
    """

    def __init__(
        self,
        told: Told,
        orders: Orders | None = None,
        *,
        say: Callable[[str], None] = lambda message: None,
        monotonic: Callable[[], float] = elapsed_s,
    ) -> None:
        self._current: FlagSet = told.flags
        self.ordered: dict[str, Given] = {}
        self.vanished: list[Standing] = []
        self._standing: dict[str, Standing] = {}
        self._told = told
        self._orders = orders
        self._say = say
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._gone: dict[str, float] = {}
        self._lapsed: frozenset[str] = frozenset()
        self._doubted: frozenset[str] = frozenset()
        self._changes_s = -inf
        self._blind = ""
        self._looked = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
        self.look()
        self._looked = True

    def start(self) -> None:
        """Begin to look by itself."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5)

    @property
    def current(self) -> FlagSet:
        """What is obeyed at this moment, also where nobody has looked since one passed that changes it: a process that was stopped, or
        whose host was suspended, may be asked by a request before the thread looks.
        """
        now_s = self._monotonic()
        return self._current if now_s < self._changes_s else leasing.obeyed(self._told, now_s)

    def know(self, flags: FlagSet, reached_s: float, now: datetime) -> None:
        """What the store says; asked at `reached_s`, when the wall clock showed `now`, so that it was true then."""
        with self._turn:
            self._told = leasing.heard_of(self._told, flags, reached_s, now)
            said = self._settle()
        self._tell(said)

    def reached(self, at_s: float) -> None:
        """The store was asked at `at_s`, and says what it said before."""
        with self._turn:
            self._told = replace(self._told, reached_s=max(at_s, self._told.reached_s))
            said = self._settle()
        self._tell(said)

    def health(self) -> dict[str, Any]:
        """How this gateway stands to its store, for whoever asks it: since when it was not reached, the leases of what is split, the orders
        that it obeys, and the routes whose split is in doubt. No name and no reason: anybody may ask.
        """
        told, now_s = self._told, self._monotonic()
        return {
            "store_reached_s_ago": round(now_s - told.reached_s, 3) if told.reached_s > -inf else None,
            "leases": {route: round(left, 3) for route, left in sorted(leasing.leases(told, now_s).items())},
            "orders": sorted(self.ordered),
            "doubted": sorted(leasing.doubted(told.flags)),
        }

    def look(self) -> None:
        """Look at the orders that stand, and at the time."""
        standing, said = self._look_at_orders()
        with self._turn:
            if standing is not self._standing:
                said += self._orders_now(standing)
                said += self._settle()
            elif self._monotonic() >= self._changes_s:
                said += self._settle()
        self._tell(said)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 a lease has to end whatever else is wrong
                self._say(f"{type(error).__name__}: {error}")

    def _look_at_orders(self) -> tuple[dict[str, Standing], list[str]]:
        """The orders that stand: the very dict of before where nothing changed, also where they cannot be read for the moment."""
        if self._orders is None:
            return self._standing, []
        try:
            standing = self._orders.standing()
        except OSError as error:
            said = [] if self._blind else [f"orders given on this host cannot be read, those known stand: {error}"]
            self._blind = str(error)
            return self._standing, said
        self._blind = ""
        return (self._standing if standing == self._standing else standing), []

    def _orders_now(self, standing: dict[str, Standing]) -> list[str]:
        """Take over the orders that stand now. For the holder of the lock."""
        said = [one.sentence for route, one in standing.items() if self._standing.get(route) != one]
        for route in self._standing.keys() - standing.keys():
            self._gone[route] = self._monotonic()
            if self._standing[route].order is None:
                self.vanished.append(self._standing[route])
            said.append(f"the order for {route} is gone: it serves what the store says, once that was read again")
        for route in standing:
            self._gone.pop(route, None)
        new = [one for route, one in standing.items() if self._standing.get(route) != one]
        self._standing = standing
        self.ordered = {route: self._met(one) for route, one in standing.items()}
        self._told = replace(self._told, ordered=frozenset(standing) | frozenset(self._gone))
        self._current = leasing.obeyed(self._told, self._monotonic())  # before anybody is told that it is so
        for one in new:
            try:
                if self._orders is not None:
                    self._orders.obey(one)
            except OSError as error:
                said.append(f"the order for {one.route} is obeyed, and that cannot be said beside it: {error}")
        return said

    def _met(self, standing: Standing) -> Given:
        met = self.ordered.get(standing.route)
        if met is not None:
            return met if met.standing == standing else Given(standing, self._monotonic(), met.rollout)
        flag = self._told.flags.flags.get(standing.route)
        begins = standing.order is not None and standing.order.rollout is not None and not self._looked
        return Given(standing, self._monotonic(), None if flag is None or begins else flag.rollout)

    def _settle(self) -> list[str]:
        """Work out what to obey now; gives what is to be said of it. For the holder of the lock."""
        now_s = self._monotonic()
        told = self._told
        self._gone = {route: at_s for route, at_s in self._gone.items() if at_s >= told.reached_s}
        told = self._told = replace(told, ordered=frozenset(self._standing) | frozenset(self._gone))
        self._current = leasing.obeyed(told, now_s)
        self._changes_s = leasing.changes_s(told, now_s)
        before, self._lapsed = self._lapsed, leasing.lapsed(self._current)
        doubted, self._doubted = self._doubted, leasing.doubted(told.flags)
        said = [_in_doubt(told.flags.flags[route]) for route in sorted(self._doubted - doubted)]
        said += [f"{route} is in doubt no more: it is obeyed again" for route in sorted(doubted - self._doubted)]
        for route in sorted(self._lapsed - before - self._doubted):
            lease = show_duration(told.flags.flags[route].lease_s)
            said.append(f"the lease of {route} lapsed: the store was not reached for {lease}; all of it goes to stable until it is")
        flags = told.flags.flags
        gone = before - self._lapsed - told.ordered - doubted
        back = {route for route in gone if route not in flags or _in_time(told, flags[route], now_s)}
        if back:
            revision = f"the flags of revision {told.flags.revision}"
            said.append(f"the store is reached, the lease of {', '.join(sorted(back))} runs again: serving {revision}")
        return said

    def _tell(self, said: list[str]) -> None:
        for line in said:
            self._say(line)


def _in_doubt(flag: Flag) -> str:
    what = f"the store was put back to an older state: what it splits of {flag.route} is not obeyed, all of it goes to stable"
    return f"{what}; {leasing.goes_on_by(flag.route, flag)}"


def _in_time(told: Told, flag: Flag, now_s: float) -> bool:
    return now_s - told.reached_s < flag.lease_s
