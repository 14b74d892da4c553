"""Run two versions over a frozen baseline, resumable.

Which calls are still to be made is decided by `flips.next_runs`, from the runs already stored: a killed run goes on where it was and never
repeats a paid call that was recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from detent import wire
from detent.baseline.asking import Ask
from detent.baseline.scoring import made, score
from detent.errors import DetentError
from detent.evidence.flips import RunKey, next_runs
from detent.store import Store
from detent.terms import Arm, Case, Rollout, Route, Run

TRIES = 4
"""Attempts at one call before it is recorded as not scored."""

AT_ONCE = 8
"""Calls in flight of one baseline run."""

BATCH = 40
"""Runs between two writes to the store: what a kill may cost at most, in repeated calls."""


class BaselineRunner:
    """Makes the calls that a rollout's baseline still needs, and stores them in batches."""

    def __init__(self, store: Store, ask: Ask, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._store = store
        self._ask = ask
        self._pause = pause

    async def run(
        self,
        rollout: Rollout,
        route: Route,
        *,
        going: Callable[[], bool] = lambda: True,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Call until nothing is pending, or `going` says that nobody wants the result any more. `progress` hears of (done, known total)."""
        frozen = await asyncio.to_thread(self._store.state.baseline, route.name)
        if frozen is None:
            return
        cases = {case.id: case for case in frozen.cases}
        done = 0
        while True:
            runs = await asyncio.to_thread(self._store.state.runs, rollout.id)
            pending = next_runs(rollout.plan.baseline, list(cases), runs)
            if not pending:
                return
            for start in range(0, len(pending), BATCH):
                if not await asyncio.to_thread(going):
                    return
                batch = await self._batch(rollout, route, cases, pending[start : start + BATCH])
                await asyncio.to_thread(self._store.state.add_runs, batch)
                done += len(batch)
                progress(done, done + len(pending) - start - len(batch))

    async def _batch(self, rollout: Rollout, route: Route, cases: dict[str, Case], keys: Sequence[RunKey]) -> list[Run]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(key: RunKey) -> Run:
            async with gate:
                return await self._call(rollout, route, cases[key.case], key)

        return list(await asyncio.gather(*(one(key) for key in keys)))

    async def _call(self, rollout: Rollout, route: Route, case: Case, key: RunKey) -> Run:
        """One scored run, after as many attempts as it takes; not scored when all of them fail."""
        version = rollout.stable if key.arm is Arm.STABLE else rollout.candidate
        request = wire.rewrite(case.endpoint, case.request, model=version.model, ask_usage=False)
        run = made(rollout.id, key, None, error="not called")
        for attempt in range(TRIES):
            if attempt:
                await self._pause(0.25 * 2**attempt)
            try:
                run = score(route, case, key, rollout.id, await self._ask(version, case.endpoint, request))
            except DetentError as error:  # also a recorded request that cannot be read: one odd prompt must not cost the others' calls
                run = made(rollout.id, key, None, error=error.message)
            if run.passed is not None:
                break
        return run
