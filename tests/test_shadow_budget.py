"""The budget of a shadow: one ledger for all gateways, reserved before it is spent, never given out twice, and kept over a kill."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from detent.errors import CouldNotRun
from detent.evidence.spending import Cost, Limit, day_of
from detent.shadow.budget import Budget
from detent.store import Store
from detent.store.ledger import Purse
from detent.terms import Spent, micros
from mirrored import MemoryLedger

pytest_plugins = ("stores",)

NIGHT_US = micros(datetime(2026, 3, 1, 23, 0, tzinfo=UTC))
"""All of the day's budget is there by then."""

DAY = day_of(NIGHT_US)
LIMIT = Limit(usd=10.0, tokens=1000)


# ── the ledger ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_reserved_and_what_is_spent_are_one_sum_of_all_holders(store: Store) -> None:
    state = store.state

    def reserve(holder: str, usd: float, **more: Any) -> Cost | None:
        return state.reserve("ro_1", DAY, "mirrors", holder, want=Cost(usd=usd), limit=LIMIT, at_us=NIGHT_US, **more)

    assert reserve("a", 6.0) == Cost(usd=6.0)
    assert reserve("b", 6.0) is None
    assert reserve("b", 6.0, least=Cost(usd=1.0)) == Cost(usd=4.0), "what is left"
    state.settle("ro_1", DAY, "mirrors", "a", spent=Cost(usd=1.0, tokens=70), release=Cost(usd=5.0, tokens=70))
    assert state.spent("ro_1") == [Spent(day_us=DAY, purse="mirrors", usd=1.0, tokens=70, held_usd=5.0, held_tokens=0)]
    assert reserve("c", 4.5) is None
    assert reserve("c", 4.0) == Cost(usd=4.0)


def test_days_purses_and_rollouts_have_a_budget_each(store: Store) -> None:
    whole: dict[str, Any] = {"want": Cost(usd=10.0), "limit": LIMIT}
    next_day = DAY + 86_400_000_000
    budgets: list[tuple[str, int, Purse]] = [
        ("ro_1", DAY, "mirrors"),
        ("ro_1", DAY, "judge"),
        ("ro_2", DAY, "mirrors"),
        ("ro_1", next_day, "mirrors"),
    ]
    for rollout, day, purse in budgets:
        assert store.state.reserve(rollout, day, purse, "a", at_us=day + 86_399_000_000, **whole) == whole["want"]
        assert store.state.reserve(rollout, day, purse, "b", at_us=day + 86_399_000_000, **whole) is None
    assert [(row.day_us, row.purse) for row in store.state.spent("ro_1")] == [(DAY, "judge"), (DAY, "mirrors"), (next_day, "mirrors")]


def test_holders_that_ask_at_once_never_get_more_than_there_is(store: Store) -> None:
    """Twenty of them, for a piece of 30 of 1,000 tokens each time: 33 pieces are there."""
    start = threading.Barrier(20)

    def ask(holder: int) -> int:
        start.wait()
        got = 0
        while store.state.reserve("ro_1", DAY, "mirrors", str(holder), want=Cost(tokens=30), limit=LIMIT, at_us=NIGHT_US) is not None:
            got += 1
        return got

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(ask, range(20))) == 33
    (row,) = store.state.spent("ro_1")
    assert (row.tokens, row.held_tokens) == (0, 990)


def test_more_spent_than_was_held_is_counted_and_holds_nothing_back(store: Store) -> None:
    """An answer may be longer than its worst case was thought to be: that is spent all the same."""
    store.state.reserve("ro_1", DAY, "mirrors", "a", want=Cost(usd=1.0, tokens=10), limit=LIMIT, at_us=NIGHT_US)
    store.state.settle("ro_1", DAY, "mirrors", "a", spent=Cost(usd=3.0, tokens=900), release=Cost(usd=3.0, tokens=900))
    assert store.state.spent("ro_1") == [Spent(day_us=DAY, purse="mirrors", usd=3.0, tokens=900)]


# ── a process's part of it ──────────────────────────────────────────────────────────────────────────────────────────


def about(usd: float) -> Any:
    return pytest.approx(usd)


class Clock:
    def __init__(self) -> None:
        self.us = NIGHT_US

    def __call__(self) -> int:
        return self.us


def budget(store: Store, holder: str = "a", clock: Clock | None = None, **how: Any) -> Budget:
    return Budget(lambda: store.state, holder, clock or Clock(), wait_s=20.0, **how)


def test_calls_are_reserved_a_chunk_at_a_time_and_settled_as_they_end(store: Store) -> None:
    """A hundredth of a USD each: 16 calls are 0.16 USD, less than a fiftieth of 10 USD; so the chunk is 0.20 USD."""
    worst, cost = Cost(usd=0.01, tokens=10), Cost(usd=0.004, tokens=4)

    async def run() -> None:
        mine = budget(store)
        holds = [await mine.take("ro_1", Limit(usd=10.0), worst) for _ in range(20)]
        assert [row.held_usd for row in store.state.spent("ro_1")] == [about(0.2)]
        assert await mine.take("ro_1", Limit(usd=10.0), worst) is not None
        assert [row.held_usd for row in store.state.spent("ro_1")] == [about(0.4)]
        for hold in holds:
            assert hold is not None
            mine.settle(hold, cost)
        await mine.tell()
        (row,) = store.state.spent("ro_1")
        assert (row.usd, row.tokens, row.held_usd) == (about(0.08), 80, about(0.32))
        await mine.close()

    asyncio.run(run())
    (row,) = store.state.spent("ro_1")
    # One call never ended: what it may have cost stays taken.
    assert (row.usd, row.held_usd) == (about(0.08), about(0.01))


def test_a_killed_process_leaves_what_it_held_and_its_follower_cannot_spend_that(store: Store) -> None:
    limit, worst = Limit(tokens=100), Cost(tokens=10)

    async def killed() -> None:
        mine = budget(store, "first")
        holds = [await mine.take("ro_1", limit, worst) for _ in range(3)]
        assert holds[0] is not None
        mine.settle(holds[0], Cost(tokens=9))

    async def follower() -> int:
        mine = budget(store, "second")
        n = 0
        while await mine.take("ro_1", limit, worst) is not None:
            n += 1
        await mine.close()
        return n

    asyncio.run(killed())
    (row,) = store.state.spent("ro_1")
    assert (row.tokens, row.held_tokens) == (0, 30), "16 calls at their worst would be 160: it took a tenth of 100 each time"
    assert asyncio.run(follower()) == 7, "of 100 - 30"


def test_two_processes_share_what_there_is_to_the_last_call(store: Store) -> None:
    limit, worst = Limit(tokens=1000), Cost(tokens=10)

    async def both() -> int:
        mine = [budget(store, "a"), budget(store, "b")]
        holds = await asyncio.gather(*(one.take("ro_1", limit, worst) for one in mine for _ in range(80)))
        return sum(hold is not None for hold in holds)

    assert asyncio.run(both()) == 100


def test_the_day_that_is_over_is_settled_and_the_new_one_has_a_budget_of_its_own(store: Store) -> None:
    clock = Clock()
    limit, worst = Limit(tokens=100), Cost(tokens=60)

    async def run() -> None:
        mine = budget(store, clock=clock)
        yesterdays = await mine.take("ro_1", limit, worst)
        assert yesterdays is not None
        assert await mine.take("ro_1", limit, worst) is None
        clock.us += micros(datetime(2026, 3, 2, 20, 0, tzinfo=UTC)) - NIGHT_US
        todays = await mine.take("ro_1", limit, worst)
        assert todays is not None
        await mine.tell()
        mine.settle(yesterdays, Cost(tokens=50))
        mine.settle(todays, Cost(tokens=20))
        await mine.tell()
        first, second = store.state.spent("ro_1")
        assert (first.day_us, first.tokens, first.held_tokens) == (DAY, 50, 0), "nothing of a day that is over is kept back"
        assert (second.tokens, second.held_tokens) == (20, 40), "a call that is dearer than a tenth has what it needs, and no more"
        await mine.close()

    asyncio.run(run())


def test_without_a_limit_nothing_is_asked_and_what_was_spent_is_told_all_the_same(store: Store) -> None:
    async def run() -> None:
        mine = budget(store)
        hold = await mine.take("ro_1", Limit(), Cost(usd=1e9, tokens=10**9))
        assert hold is not None
        assert store.state.spent("ro_1") == []
        mine.settle(hold, Cost(usd=0.5, tokens=7))
        await mine.close()

    asyncio.run(run())
    assert store.state.spent("ro_1") == [Spent(day_us=DAY, purse="mirrors", usd=0.5, tokens=7)]


def test_a_chunk_is_sixteen_calls_but_never_more_than_a_tenth_of_the_day_nor_less_than_a_call() -> None:
    """Of 1,000 tokens: 16 x 1 are less than a fiftieth (20), 16 x 4 = 64, 16 x 10 are more than a tenth (100), and one of 300 is 300."""
    for worst, chunk in ((1, 20), (4, 64), (10, 100), (300, 300)):
        ledger = MemoryLedger()

        async def run(ledger: MemoryLedger = ledger, worst: int = worst) -> None:
            mine = Budget(lambda: ledger, "a", Clock(), wait_s=20.0)
            assert await mine.take("ro_1", Limit(tokens=1000), Cost(tokens=worst)) is not None
            await mine.close()

        asyncio.run(run())
        assert ledger.asked == [Cost(tokens=chunk)]


@pytest.mark.parametrize("told", [False, True])
def test_what_calls_cost_beyond_their_worst_is_reserved_before_another_is_made(store: Store, told: bool) -> None:
    """Of 100 tokens, in chunks of ten: two calls of ten that cost 35 each leave 30; and they are counted once, told already or not."""
    limit, worst = Limit(tokens=100), Cost(tokens=10)

    async def run() -> int:
        mine = budget(store)
        holds = [await mine.take("ro_1", limit, worst) for _ in range(3)]
        for hold in holds[:2]:
            assert hold is not None
            mine.settle(hold, Cost(tokens=35))
        assert holds[2] is not None
        if told:
            await mine.tell()
        assert await mine.still(holds[2]), "there is room for it all"
        mine.settle(holds[2], Cost(tokens=10))
        n = 0
        while await mine.take("ro_1", limit, worst) is not None:
            n += 1
        await mine.close()
        return n

    assert asyncio.run(run()) == 2, "of 100 - 2 x 35 - 10"
    (row,) = store.state.spent("ro_1")
    assert (row.tokens, row.held_tokens) == (80, 20)


def test_calls_in_flight_are_all_that_may_be_overspent(store: Store) -> None:
    limit, worst = Limit(tokens=100), Cost(tokens=10)

    async def run() -> None:
        mine, other = budget(store, "a"), budget(store, "b")
        holds = [await mine.take("ro_1", limit, worst) for _ in range(4)]
        assert all(holds)
        for hold in holds[:3]:
            assert hold is not None
            mine.settle(hold, Cost(tokens=50))
        assert holds[3] is not None
        assert not await mine.still(holds[3]), "it waits for its turn yet, and is not made"
        assert await mine.take("ro_1", limit, Cost(tokens=1)) is None
        mine.settle(holds[3], Cost())
        await mine.tell()
        assert await other.take("ro_1", limit, Cost(tokens=1)) is None, "nor is one of another process"
        await mine.close()
        await other.close()

    asyncio.run(run())
    (row,) = store.state.spent("ro_1")
    assert (row.tokens, row.held_tokens) == (150, 0)


def test_who_is_cancelled_while_the_ledger_is_told_tells_it_no_second_time() -> None:
    """An orderly end cancels whoever tells every second, and then tells the rest."""
    slow, ledger = threading.Event(), MemoryLedger()

    class Slow(MemoryLedger):
        def settle(self, *given: Any, **how: Any) -> None:
            slow.wait(20)
            ledger.settle(*given, **how)

    async def run() -> None:
        mine = Budget(Slow, "a", Clock(), wait_s=20.0)
        hold = await mine.take("ro_1", Limit(), Cost(tokens=10))
        assert hold is not None
        mine.settle(hold, Cost(tokens=7))
        telling = asyncio.create_task(mine.tell())
        await asyncio.sleep(0)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        slow.set()
        await mine.close()

    asyncio.run(run())
    assert ledger.spent == Cost(tokens=7)


# ── a ledger that fails ─────────────────────────────────────────────────────────────────────────────────────────────


class Failing(MemoryLedger):
    """A store that is away until it is `back`."""

    def __init__(self) -> None:
        super().__init__()
        self.back = False

    def reserve(self, *given: Any, **how: Any) -> Cost | None:
        if not self.back:
            raise CouldNotRun("the store is gone")
        return super().reserve(*given, **how)

    def settle(self, *given: Any, **how: Any) -> None:
        if not self.back:
            raise CouldNotRun("the store is gone")
        super().settle(*given, **how)


def test_a_store_that_is_away_gives_nothing_and_is_told_when_it_is_back() -> None:
    ledger, said = Failing(), list[str]()

    async def run() -> None:
        mine = Budget(lambda: ledger, "a", Clock(), say=said.append, wait_s=20.0)
        assert await mine.take("ro_1", Limit(tokens=100), Cost(tokens=1)) is None
        assert await mine.take("ro_1", Limit(tokens=100), Cost(tokens=1)) is None
        free = await mine.take("ro_2", Limit(), Cost(tokens=1))
        assert free is not None, "what has no limit needs no ledger"
        mine.settle(free, Cost(tokens=5))
        await mine.tell()
        assert ledger.spent == Cost()
        ledger.back = True
        await mine.tell()
        assert ledger.spent == Cost(tokens=5)
        await mine.close()

    asyncio.run(run())
    assert said == ["the ledger of the shadow's budget: the store is gone"], "once"


def test_nobody_waits_longer_than_that_for_a_ledger_and_what_it_gives_late_is_used() -> None:
    slow, ledger = threading.Event(), MemoryLedger()

    def when_it_goes() -> MemoryLedger:
        slow.wait(20)
        return ledger

    async def run() -> None:
        mine = Budget(when_it_goes, "a", Clock(), wait_s=0.05)
        assert await mine.take("ro_1", Limit(tokens=1000), Cost(tokens=10)) is None
        assert await mine.take("ro_1", Limit(tokens=1000), Cost(tokens=10)) is None
        slow.set()
        while not ledger.asked:
            await asyncio.sleep(0)
        while await mine.take("ro_1", Limit(tokens=1000), Cost(tokens=10)) is None:
            await asyncio.sleep(0)
        assert ledger.asked == [Cost(tokens=100)], "asked once for all who waited, for a tenth of the day's"
        await mine.close()

    asyncio.run(run())
