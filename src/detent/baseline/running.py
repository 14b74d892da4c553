"""Run two versions over a frozen baseline, resumable.

Which calls are still to be made is decided by `flips.next_runs`, from the runs already stored: a killed run goes on where it was and never
repeats a paid call that was recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from detent import wire
from detent.baseline.asking import Ask, Call, Reply
from detent.baseline.judging import Judging
from detent.baseline.lanes import Hopeless, Lanes, failed
from detent.baseline.purse import Purse, refuse_unpriced
from detent.baseline.queueing import Queue
from detent.baseline.replaying import replay
from detent.baseline.scoring import made, redacted, score
from detent.checks import Rule
from detent.errors import DetentError, InvalidInput
from detent.evidence.flips import RunKey, asked_cases, next_runs
from detent.evidence.spending import stopped_by_budget
from detent.store import Store
from detent.terms import Arm, Baseline, Case, Price, Rollout, Route, Run, Version

WATCH_S = 1.0
"""How often it is asked whether anybody still wants the result, while no answer comes."""

ENDING_S = 5.0
"""How long a run that ends waits for the answers that are under way, since they are paid for."""

LOOK_S = 0.1
"""How often it is looked meanwhile whether a call came to nothing."""

_NO_PRICES: Mapping[str, Price] = MappingProxyType({})
_NO_CHECKS: Mapping[str, Rule] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run is: calls made by it, calls known to be needed in all, and USD spent in this run and those before it."""

    done: int
    total: int
    usd: float


class BaselineRunner:
    """Makes the calls that a rollout's baseline still needs, and stores each answer as it comes.

    `prices` and `own` checks are the pin file's. Runners that work at the same time share their `lanes`.
    """

    def __init__(
        self,
        store: Store,
        ask: Ask,
        *,
        prices: Mapping[str, Price] = _NO_PRICES,
        own: Mapping[str, Rule] = _NO_CHECKS,
        judging: Judging | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        self._store = store
        self.ask = ask
        self.lanes = lanes or Lanes()
        self._prices = prices
        self.own = own
        self.judging = judging

    async def run(
        self,
        rollout: Rollout,
        route: Route,
        *,
        frozen: Baseline | None = None,
        going: Callable[[], bool] = lambda: True,
        progress: Callable[[Standing], None] = lambda standing: None,
    ) -> None:
        """Call until nothing is pending, the budget is used up, or `going` says that nobody wants the result any more.

        `frozen` is what to run over, by default the baseline that is in force now; one that is frozen meanwhile changes nothing.
        Raises Hopeless when no call would fare better (a wrong key, no such model), InvalidInput for a budget without prices.
        """
        frozen = frozen or await asyncio.to_thread(self._store.state.baseline, route.name)
        if frozen is None:
            return
        stage = rollout.plan.baseline
        judge = None if self.judging is None else self.judging.judge.version
        if stage.budget_usd is not None:
            refuse_unpriced((rollout.stable, rollout.candidate, *((judge,) if judge else ())), self._prices)
        purse = Purse(self._prices, stage.budget_usd, judge)
        done = 0
        while True:
            runs = await asyncio.to_thread(self._store.state.runs, rollout.id)
            purse.count(runs)
            pending = next_runs(stage, asked_cases(frozen.cases, runs), runs)
            if not pending:
                return
            turn = _Turn(self, rollout, route, purse, Queue(frozen.cases, pending, runs), done, going, progress)
            made_before, done = done, await turn.run()
            if turn.out_of_money:
                await self._note_stop(rollout, runs)
            if turn.stopped or done == made_before:
                return

    async def _note_stop(self, rollout: Rollout, runs: Sequence[Run]) -> None:
        """Keep that the budget was reached, once for each: a run of no case, so that it is no attempt at any."""
        budget = rollout.plan.baseline.budget_usd
        assert budget is not None
        said = stopped_by_budget(budget)
        if all(run.error != said for run in runs):
            stops = sum(not run.case for run in runs)
            await self.keep([made(rollout.id, RunKey("", Arm.CANDIDATE, "screen", stops), None, error=said, steps=0)])

    async def keep(self, runs: list[Run]) -> None:
        """Store runs."""
        await asyncio.to_thread(self._store.state.add_runs, runs)


@dataclass(slots=True)
class _Turn:
    """One pass over what is pending: a pool of calls, none of which waits for another, and one loop that stores what they bring.

    `under_way` are the calls that a provider works at or has answered: they are paid for. `unstored` is what they brought so far.
    """

    runner: BaselineRunner
    rollout: Rollout
    route: Route
    purse: Purse
    queue: Queue
    done: int
    going: Callable[[], bool]
    progress: Callable[[Standing], None]
    stopped: bool = False
    out_of_money: bool = False
    ending: bool = False
    before: int = 0
    tasks: dict[asyncio.Task[Run], RunKey] = field(default_factory=dict)
    under_way: set[RunKey] = field(default_factory=set)
    unstored: list[Run] = field(default_factory=list)

    async def run(self) -> int:
        """How many calls are made by now in all. What is answered is stored, however this ends."""
        self.before = self.done
        try:
            while True:
                if not self.stopped:
                    self._begin()
                if not self.tasks:
                    return self.done
                await asyncio.wait(self.tasks, timeout=WATCH_S, return_when=asyncio.FIRST_COMPLETED)
                failed = self._collect()
                await self._store()
                if failed:
                    raise failed[0]
                if not await asyncio.to_thread(self.going):
                    self.stopped = True
                    return self.done
        finally:
            await self._end()

    def _begin(self) -> None:
        """Start as many calls as may be in flight, and as fit in the budget."""
        while True:
            busy = {arm: sum(key.arm is arm for key in self.tasks.values()) for arm in Arm}
            key = self.queue.next(busy)
            if key is None:
                return
            case, version = self.queue.cases[key.case], self._version(key)
            if not self.purse.fits(case, version):
                self.queue.back(key)
                self.stopped = self.out_of_money = not self.tasks  # what is in flight may cost less than it holds
                return
            self.purse.hold(case, version)
            self.tasks[asyncio.create_task(self._call(case, version, key))] = key

    def _collect(self) -> list[BaseException]:
        """Take what the calls that have ended brought; returns what went wrong with them, the hopeless first."""
        failed: list[BaseException] = []
        for task in [task for task in self.tasks if task.done()]:
            key = self.tasks.pop(task)
            self.under_way.discard(key)
            error = None if task.cancelled() else task.exception()
            run = None if task.cancelled() or error is not None else task.result()
            if error is not None:
                failed.append(error)
            self.purse.settle(self.queue.cases[key.case], self._version(key), run)
            if run is not None:
                self.unstored.append(run)
                self.queue.settled(key, run)
        return sorted(failed, key=lambda error: not isinstance(error, Hopeless))

    async def _store(self) -> None:
        """Store what was brought. Cut off in the middle, it is there for the next time."""
        if not self.unstored:
            return
        new = list(self.unstored)
        await self.runner.keep(new)
        del self.unstored[: len(new)]
        self.done += len(new)
        self.progress(Standing(self.done, max(self.before + self.queue.total, self.done), self.purse.spent))

    async def _end(self) -> None:
        """Wait a moment for the answers that are under way, begin no call any more, and store what came."""
        self.ending = True
        clock = asyncio.get_running_loop().time
        until = clock() + ENDING_S
        for task, key in self.tasks.items():
            if key not in self.under_way:
                task.cancel()
        try:
            while (left := until - clock()) > 0:
                paid_for = [task for task, key in self.tasks.items() if key in self.under_way and not task.done()]
                if not paid_for:
                    break
                await asyncio.wait(paid_for, timeout=min(left, LOOK_S), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self._collect()
            await self._store()

    def _version(self, key: RunKey) -> Version:
        return self.rollout.stable if key.arm is Arm.STABLE else self.rollout.candidate

    async def _call(self, case: Case, version: Version, key: RunKey) -> Run:
        """One scored run, after as many attempts as it takes; not scored when all of them fail."""
        asked: list[Reply] = []
        failures: list[Reply | None] = []
        lane = self.runner.lanes.to(version)

        async def once(call: Call) -> Reply:
            if self.ending:
                raise asyncio.CancelledError
            self.under_way.add(key)
            answered = False
            try:
                reply = await self.runner.ask(call)
                answered = 200 <= reply.status < 300
                return reply
            finally:
                if not answered:
                    self.under_way.discard(key)

        def again(reply: Reply | None) -> None:
            self.under_way.discard(key)
            if failed(reply):
                failures.append(reply)

        async def ask(call: Call) -> Reply:
            reply = await lane.send(call, once, again)
            asked.append(reply)
            return reply

        try:
            heard = await replay(case, version, ask)
            run = score(self.route, case, key, self.rollout.id, heard, own=self.runner.own)
            run = replace(run, usd=self.purse.cost(case, version, heard.usage, answered=200 <= heard.reply.status < 300))
        except Hopeless:
            raise
        except DetentError as error:  # also a recorded request that cannot be read: one odd prompt must not cost the others' calls
            answered = any(200 <= reply.status < 300 for reply in asked)
            run = made(self.rollout.id, key, None, error=error.message, usd=self.purse.worst(case, version) if answered else 0.0)
            run = redacted(run, self.route)
        run = self._with_failures(run, case, version, failures)
        if self.runner.judging is not None:
            with suppress(InvalidInput):  # a request that cannot be read was never answered either
                run = await self.runner.judging.judged(case, wire.read_prompt(case.endpoint, case.request), run)
        return run

    def _with_failures(self, run: Run, case: Case, version: Version, failures: Sequence[Reply | None]) -> Run:
        """The run with the calls for it that failed and were made again, and what those of them cost that were answered in part."""
        cut = [reply for reply in failures if reply is not None and 200 <= reply.status < 300]
        read = (wire.read_answer(case.endpoint, status=reply.status, body=reply.body, streamed=False) for reply in cut)
        lost = [cost for answer in read if (cost := self.purse.cost(case, version, answer.usage, answered=True)) is not None]
        return replace(run, failures=len(failures), usd=sum(lost, run.usd or 0.0) if lost else run.usd)
