"""What this process may spend: reserved in the store's ledger before it is spent, a chunk at a time, and settled as it is known.

A call is sent only where what is reserved covers the most that it may cost, beside all calls in flight. The most is an estimate where a
request sets no limit (`spending.worst_call`): what calls in flight cost beyond it is overspent, and no call follows them before the
ledger has had room for that, too. What a killed process had reserved stays taken, so that no kill leads to more than the budget; what it
had spent of it is in there.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from detent.evidence.spending import Cost, Limit, day_of
from detent.store.ledger import Purse

WAIT_S = 2.0
"""How long a job waits for the store."""

REFUSED_S = 1.0
"""A budget that had no room is asked again after this: it is paced over the day, so that more is there little by little."""

_NOTHING = Cost()

LARGEST, SMALLEST = 10, 50
CALLS = 16
"""A reservation is this many calls at their worst, but no more than a tenth of a day's limit, which is what a kill may cost of it, and no
less than a fiftieth; and what the next calls need in any case."""


class Ledger(Protocol):
    """The store's side of it; see `detent.store.ledger`."""

    def reserve(
        self, rollout: str, day_us: int, purse: Purse, holder: str, *, want: Cost, limit: Limit, at_us: int, least: Cost | None = None
    ) -> Cost | None:
        """As much of `want` as is left, at least `least`; None for no room."""

    def settle(self, rollout: str, day_us: int, purse: Purse, holder: str, *, spent: Cost, release: Cost) -> None:
        """What was spent, and what is held no more."""


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """The most that calls under way may cost."""

    account: _Account
    worst: Cost


@dataclass(slots=True, eq=False)
class _Account:
    """One rollout on one UTC day. `reserved` is what the ledger holds for us and is not spent, `in_flight` the part that calls may take."""

    rollout: str
    day_us: int
    limit: Limit
    reserved: Cost = _NOTHING
    in_flight: Cost = _NOTHING
    calls: int = 0
    untold: Cost = _NOTHING
    refused: Cost = _NOTHING
    refused_s: float = -math.inf
    asking: asyncio.Task[bool] | None = None

    def lacks(self, worst: Cost) -> Cost:
        """What has to be reserved before calls may cost so much; also what those before them cost beyond their worst."""
        free = self.reserved - self.in_flight
        usd = 0.0 if self.limit.usd is None else max(0.0, worst.usd - free.usd)
        return Cost(usd=usd, tokens=0 if self.limit.tokens is None else max(0, worst.tokens - free.tokens))

    def fits(self, worst: Cost) -> bool:
        return _NOTHING.covers(self.lacks(worst))


class Budget:
    """`ledger` gives the store's, or raises; it is only asked in a thread. Use the rest in one event loop."""

    def __init__(
        self,
        ledger: Callable[[], Ledger],
        holder: str,
        clock_us: Callable[[], int],
        *,
        say: Callable[[str], None] = lambda message: None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._ledger = ledger
        self._holder = holder
        self._clock_us = clock_us
        self._say = say
        self._wait_s = wait_s
        self._store = ThreadPoolExecutor(1, "ledger")
        self._accounts: dict[tuple[str, int], _Account] = {}
        self._said = ""

    async def take(self, rollout: str, limit: Limit, worst: Cost) -> Hold | None:
        """Set aside the most that calls may cost; None where the budget has no room for it, or nobody could tell in time."""
        account = self._account(rollout, limit)
        if not await self._covers(account, worst):
            return None
        account.in_flight += worst
        account.calls += 1
        return Hold(account, worst)

    def apart(self, hold: Hold, worst: Sequence[Cost]) -> list[Hold]:
        """A hold for each of the calls that one was taken for; what they may cost adds up to it. Each is settled by itself."""
        hold.account.calls += len(worst) - 1
        return [Hold(hold.account, of_one) for of_one in worst]

    async def still(self, hold: Hold) -> bool:
        """Whether a call that has waited for its turn may be made: not where others cost more meanwhile than was reserved for all."""
        return await self._covers(hold.account, _NOTHING)

    async def _covers(self, account: _Account, worst: Cost) -> bool:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._wait_s
        while not account.limit.none and not account.fits(worst):
            if account.asking is None:
                if loop.time() < account.refused_s + REFUSED_S and account.lacks(worst).covers(account.refused):
                    return False
                account.asking = loop.create_task(self._reserve(account, worst))
            asking = account.asking
            await asyncio.wait([asking], timeout=until_s - loop.time())
            if not asking.done() or (not asking.result() and not account.fits(worst)):
                return False
        return True

    def settle(self, hold: Hold, cost: Cost) -> None:
        """The calls have ended, and have cost this."""
        account = hold.account
        account.in_flight -= hold.worst
        account.calls -= 1
        account.reserved -= cost
        account.untold += cost

    async def tell(self) -> None:
        """Write down what was spent since the last time, and give back what was reserved of days that are over."""
        today_us = day_of(self._clock_us())
        for key, account in list(self._accounts.items()):
            over = account.day_us < today_us and not account.calls
            await self._tell(account, all_of_it=over)
            if over and account.untold == _NOTHING:
                del self._accounts[key]

    async def close(self) -> None:
        """Write down all, and give back what is not needed. What calls without an end may have cost stays taken."""
        for account in self._accounts.values():
            if account.asking is not None:
                await asyncio.wait([account.asking])
            await self._tell(account, all_of_it=True)
        self._store.shutdown()

    def _account(self, rollout: str, limit: Limit) -> _Account:
        day_us = day_of(self._clock_us())
        account = self._accounts.setdefault((rollout, day_us), _Account(rollout, day_us, limit))
        account.limit = limit
        return account

    async def _reserve(self, account: _Account, worst: Cost) -> bool:
        """Have more reserved; whether there was room."""
        limit = account.limit
        need = account.lacks(worst)
        usd, tokens = limit.usd or 0.0, limit.tokens or 0
        chunk = Cost(
            usd=max(min(max(CALLS * worst.usd, usd / SMALLEST), usd / LARGEST), need.usd),
            tokens=max(min(max(CALLS * worst.tokens, tokens // SMALLEST), tokens // LARGEST), need.tokens),
        )
        want = Cost(usd=0.0 if limit.usd is None else chunk.usd, tokens=0 if limit.tokens is None else chunk.tokens)
        at_us = self._clock_us()

        def ask() -> Cost | None:
            return self._ledger().reserve(
                account.rollout, account.day_us, "mirrors", self._holder, want=want, least=need, limit=limit, at_us=at_us
            )

        try:
            given = await asyncio.get_running_loop().run_in_executor(self._store, ask)
            self._said = ""
        except Exception as error:  # noqa: BLE001 a ledger that cannot be asked gives nothing; the store's faults are many
            given = None
            self._complain(error)
        finally:
            account.asking = None
        if given is None:
            account.refused, account.refused_s = need, asyncio.get_running_loop().time()
            return False
        account.reserved += given
        return True

    async def _tell(self, account: _Account, *, all_of_it: bool) -> None:
        spent = account.untold
        unneeded = account.reserved - account.in_flight if all_of_it else _NOTHING
        released = Cost(usd=max(0.0, unneeded.usd), tokens=max(0, unneeded.tokens))
        if spent == released == _NOTHING:
            return
        # The ledger holds nothing below zero: what was spent beyond it counts as spent there, and is not to be reserved once more. (A
        # reservation that is on its way has asked for it already.)
        beyond = account.reserved if account.asking is None else _NOTHING

        def settle() -> None:
            self._ledger().settle(account.rollout, account.day_us, "mirrors", self._holder, spent=spent, release=spent + released)

        let_go = released + Cost(usd=min(0.0, beyond.usd), tokens=min(0, beyond.tokens))
        account.untold -= spent
        account.reserved -= let_go
        try:
            # Whoever is cancelled here has told it all the same: the thread goes on.
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._store, settle))
        except Exception as error:  # noqa: BLE001 as above; what was not told is told with what comes next
            account.untold += spent
            account.reserved += let_go
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if str(error) != self._said:
            self._said = str(error)
            self._say(f"the ledger of the shadow's budget: {error}")
