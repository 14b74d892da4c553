"""The server's loop over shadow pairs that a judge is asked about: several rollouts side by side, each within its own budget."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from detent.asking import asker
from detent.catalog import price
from detent.errors import InvalidInput
from detent.judge import judge_for
from detent.pair_judge import REST_S, PairJudge
from detent.store import Store
from detent.terms import FlagSet, Phase, Rollout

FAILED_REST_S = 60.0
"""How long a judge rests that cannot be asked at all: a wrong key, no such model, a rubric that cannot be read."""

TURN_S = 10.0
"""How long a pass asks before it looks again which rollouts there are: traffic that never rests would else keep a new one waiting."""


class PairJudges:
    """Asks the judges of all rollouts in their shadow. `home` is the directory beside the pin file, as rubrics stand beside that."""

    def __init__(
        self,
        store: Store,
        flags: Callable[[], FlagSet],
        home: Path,
        ending: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._flags, self._home, self._ending, self._clock = store, flags, home, ending, clock
        self._holder = secrets.token_hex(8)
        self._again_at: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def step(self) -> None:
        """Judge what there is to judge, unless another server of this store is at it: questions cost money.

        Raises what kept one judge from being asked, after the others were; that one rests for a while, and what goes on is said once.
        """
        waiting = self._waiting()
        if not waiting:
            return
        with self._store.state.alone("pair judge") as alone:
            failed = asyncio.run(self._run(waiting)) if alone else []
        if failed:
            raise failed[0]

    def _waiting(self) -> list[Rollout]:
        found = [one for one in self._store.state.rollouts(open_only=True) if one.phase is Phase.SHADOW and self._is_judged(one)]
        rested = [one for one in found if self._clock() >= self._again_at.get(one.id, 0.0)]
        return [one for one in rested if self._store.state.pairs_to_judge(one.id, 1)]

    def _is_judged(self, rollout: Rollout) -> bool:
        """Whether its pairs are to be judged: what is not kept cannot be shown to a judge."""
        route, stage = self._flags().manifest.routes.get(rollout.route), rollout.plan.shadow
        return route is not None and route.judge is not None and route.record.bodies > 0 and stage is not None and stage.second > 0

    async def _run(self, rollouts: list[Rollout]) -> list[Exception]:
        said = await asyncio.gather(*(self._one(rollout) for rollout in rollouts), return_exceptions=True)
        failed = []
        for rollout, error in zip(rollouts, said, strict=True):
            if isinstance(error, Exception):
                self._again_at[rollout.id] = self._clock() + FAILED_REST_S
                if self._told.get(rollout.id) != str(error):
                    self._told[rollout.id] = str(error)
                    failed.append(error)
            elif isinstance(error, BaseException):
                raise error
            else:
                self._told.pop(rollout.id, None)
        return failed

    async def _one(self, rollout: Rollout) -> None:
        manifest = self._flags().manifest
        route = manifest.routes[rollout.route]
        async with asker(manifest) as ask:
            judge = judge_for(manifest, route, self._store, ask, self._home.parent, against=(rollout.candidate.model,))
            if judge is None:
                raise InvalidInput(f"route `{route.name}` has no judge any more")
            judging = PairJudge(self._store, rollout, judge, price(judge.version, manifest.prices), holder=self._holder)
            until = self._clock() + TURN_S
            if await judging.run(partial(self._going, rollout.id, until)) == "budget used up":
                self._again_at[rollout.id] = self._clock() + REST_S

    def _going(self, rollout_id: str, until: float) -> bool:
        return not self._ending.is_set() and self._clock() < until and self._store.state.rollout(rollout_id).phase is Phase.SHADOW
