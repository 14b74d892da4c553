"""What a server does beside serving, each in a thread of its own: read spools and decide, run baselines, score and judge shadow pairs, keep
the way back warm and drilled, tell owners.

All but reading, orders by file and anchors is done by the one process that leads (leading.py), on its fenced store.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from detent.anchor import Anchors
from detent.asking import asker
from detent.baseline import BaselineRunner
from detent.baseline.judging import Judging
from detent.baseline.lanes import Lanes
from detent.baseline.running import ENDING_S, WATCH_S
from detent.controller import Controller, baseline_of
from detent.controller.standing import StandingOrders
from detent.driller import Driller
from detent.errors import DetentError
from detent.explain import describe
from detent.grader import Grader
from detent.ingest.reading import BATCHES, Reader, Turn, host_of
from detent.judge import judge_for
from detent.notify import CHANNELS, Channel, Notifier
from detent.plugins import load_checks
from detent.prober import Prober
from detent.serve.judging import PairJudges
from detent.serve.leading import LOOK_S, STANDS_BY, Leading, Tenure
from detent.serve.place import Place
from detent.store import Store
from detent.store.retention import Retention
from detent.terms import FlagSet, Phase, Rollout

KEEPER_S = 0.1
"""Longest time between two evaluations of all open rollouts."""

KEEPER_BATCHES = BATCHES
"""How many batches of a backlog are counted before it is decided again over what was counted so far."""

WORKER_S = 0.2

WARM_S = 5.0
"""How often it is looked which way back is due to be probed."""

NOTIFY_S = 1.0
"""The longest time that a page waits to be sent."""

DRILLS_S = 0.25
"""How long a drill waits at most between two of its steps."""

ANCHOR_S = 60.0

REST_S = 60.0
"""How long a baseline that cannot be run at all (a wrong key, no such model) rests before it is tried again."""


class Repeating:
    """A thread that does one thing again and again until `ending`; a failure is said once and tried again, it never ends the thread.

    `failing` holds what keeps each loop of a process from its work: what several of them meet is said once.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], object],
        every_s: float,
        *,
        ending: threading.Event,
        failing: dict[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._name = name
        self._step = step
        self._every_s = every_s
        self._ending = ending
        self._failing = failing
        self._say = say
        self._stands_by = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the step under way, once `ending` is set."""
        self._thread.join(timeout=30)

    def once(self) -> None:
        """One step. Never raises."""
        try:
            self._stands_by = self._step() is STANDS_BY
            self._failing.pop(self._name, None)
        except Exception as error:  # noqa: BLE001 a loop that keeps watch must outlive every single failure
            said = _said(error)
            if said not in list(self._failing.values()):
                self._say(f"detent {self._name}: {said}; trying again")
            self._failing[self._name] = said

    def _run(self) -> None:
        while not self._ending.is_set():
            self.once()
            self._ending.wait(min(self._every_s, LOOK_S) if self._stands_by else self._every_s)


def _said(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        return "; ".join(dict.fromkeys(_said(one) for one in error.exceptions))
    return error.message if isinstance(error, DetentError) else f"{type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of a process, not begun: what takes part in the lease, what reads and decides, and others; `last` is done at the end."""

    leading: Leading
    lease: Repeating
    keeper: Repeating
    last: Repeating
    others: tuple[Repeating, ...]

    def start(self) -> None:
        """Begin all of them."""
        for loop in (self.lease, self.keeper, *self.others):
            loop.start()

    def resign(self) -> None:
        """The process is about to end: another one may lead from now on; until it does, this one goes on."""
        self.leading.resign()

    def end(self) -> None:
        """Wait for all of them, once their `ending` is set; what was spooled last is in the store then."""
        self.resign()
        self.lease.join()
        self.lease.once()  # the lease is given up before the others are waited for, some of which finish their calls
        for loop in (self.keeper, *self.others):
            loop.join()
        self.keeper.once()
        self.last.once()
        self.leading.end()


def loops(place: Place, flags: Callable[[], FlagSet], *, ending: threading.Event, say: Callable[[str], None]) -> Loops:
    """The loops of a server. Raises CouldNotRun where the home directory cannot be written."""
    host, turn = host_of(place.home), Turn(place.spools)
    leading = Leading(place.store, place.name, place.home, host, ending=ending, say=lambda text: say(f"detent controller: {text}"))
    reader = place.with_store(lambda store: Reader(store, place.spools, turn, host))
    orders = place.with_store(lambda store: StandingOrders(store, place.home))
    anchors = place.with_store(lambda store: Anchors(store, place.home))

    def grade(grader: Grader) -> None:
        manifest = flags().manifest
        grader.run_once(manifest.routes, load_checks(manifest))

    def drop(retention: Retention) -> None:
        retention.step(flags().manifest.server.journal)

    def notifier(channel: Channel) -> Callable[[], object]:
        return leading.led(lambda tenure: Notifier(tenure.store, lambda: flags().manifest.notify, channel, clock=_now), Notifier.step)

    def baselines(tenure: Tenure) -> Baselines:
        return Baselines(tenure.store, flags, place.home, tenure.over)

    def judges(tenure: Tenure) -> PairJudges:
        return PairJudges(tenure.store, flags, place.home, tenure.over)

    keeper = Keeper(lambda: reader().once(), leading.led(lambda tenure: Controller(tenure.store, _now), partial(decide, say=say)))
    repeating = partial(Repeating, ending=ending, failing={}, say=say)
    return Loops(
        leading=leading,
        lease=repeating("controller", leading.step, LOOK_S),
        keeper=repeating("keeper", keeper.step, KEEPER_S),
        last=repeating("keeper", lambda: reader().end(), KEEPER_S),
        others=(
            repeating("baseline", leading.led(baselines, Baselines.step), WORKER_S),
            repeating("grader", leading.led(lambda tenure: Grader(tenure.store), grade), WORKER_S),
            repeating("judge", leading.led(judges, PairJudges.step), WORKER_S),
            repeating("warm", leading.led(lambda tenure: Prober(tenure.store, flags, clock=_now), Prober.step), WARM_S),
            repeating("drills", leading.led(lambda tenure: Driller(tenure.store, _now), Driller.step), DRILLS_S),
            repeating("retention", leading.led(lambda tenure: Retention(tenure.store, _now), drop), Retention.EVERY_S),
            repeating("orders", lambda: orders().step(flags().manifest.routes, _now()), NOTIFY_S),
            repeating("anchor", lambda: anchors().step(), ANCHOR_S),
            # A channel each: a mail server that is slow keeps no webhook waiting.
            *(repeating(f"notify {channel.name}", notifier(channel), NOTIFY_S) for channel in CHANNELS),
        ),
    )


def _now() -> datetime:
    return datetime.now(UTC)


def decide(controller: Controller, say: Callable[[str], None]) -> None:
    """One look at all that is open; what was decided is said."""
    for decision in controller.run_once():
        say(f"{decision.rollout}: {describe(decision)}")


class Keeper:
    """Spools -> journal and sums -> decisions, then again; `read` and `decide` each do nothing where it is not this process's turn."""

    def __init__(self, read: Callable[[], object], decide: Callable[[], object]) -> None:
        self._parts = read, decide

    def step(self) -> None:
        """One pass: what can be read is counted, and then it is decided, also where nothing could be read.

        What was counted before may say harm already, and neither a full disk nor a long backlog may keep it from being heard. Raises what
        went wrong, after both.
        """
        failed: list[Exception] = []
        for part in self._parts:
            try:
                part()
            except Exception as error:  # noqa: BLE001 raised again below
                failed.append(error)
        if len(failed) > 1:
            raise ExceptionGroup("neither counted nor decided", failed)
        if failed:
            raise failed[0]


class Baselines:
    """Makes the calls that the baselines of open rollouts still need. `home` is the directory beside the pin file."""

    def __init__(
        self,
        store: Store,
        flags: Callable[[], FlagSet],
        home: Path,
        ending: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._flags = flags
        self._home = home
        self._ending = ending
        self._clock = clock
        self._complete: dict[str, tuple[int, int, int]] = {}
        self._again_at: dict[str, float] = {}

    def step(self) -> None:
        """Run every baseline that has calls to make, unless another server of this store is at it: calls cost money.

        Raises what kept one of them from being run, after the others were; that one rests for a while.
        """
        if not self._waiting():
            return
        with self._store.state.alone("baselines") as alone:
            failed = asyncio.run(self._run()) if alone else []
        if failed:
            raise failed[0]

    def _waiting(self) -> list[Rollout]:
        routes = self._flags().manifest.routes
        found = [r for r in self._store.state.rollouts(open_only=True) if r.phase is Phase.BASELINE and r.route in routes]
        return [rollout for rollout in found if self._clock() >= self._again_at.get(rollout.id, 0.0) and self._pending(rollout)]

    def _pending(self, rollout: Rollout) -> bool:
        """Whether calls are to be made. What is complete is not read again until it changes."""
        mark = self._store.state.findings_mark(rollout.id, rollout.route)
        if self._complete.get(rollout.id) == mark:
            return False
        found = baseline_of(self._store, rollout)
        pending = found.pending > 0 and not found.over_budget
        if not pending:
            self._complete[rollout.id] = mark
        return pending

    async def _run(self) -> list[Exception]:
        """Run them side by side, each as long as it takes: one that begins meanwhile does not wait for a slow provider of another's."""
        lanes, tasks, failed = Lanes(), dict[str, asyncio.Task[None]](), list[Exception]()
        try:
            while not self._ending.is_set():
                for rollout in await asyncio.to_thread(self._waiting):
                    if rollout.id not in tasks:
                        tasks[rollout.id] = asyncio.create_task(self._one(rollout, lanes))
                if not tasks:
                    break
                await asyncio.wait(tasks.values(), timeout=WORKER_S, return_when=asyncio.FIRST_COMPLETED)
                for name in [name for name, task in tasks.items() if task.done()]:
                    error = tasks.pop(name).exception()
                    if isinstance(error, Exception):
                        self._again_at[name] = self._clock() + REST_S
                        failed.append(error)
            if tasks:  # each ends by itself now, and stores what is under way
                await asyncio.wait(tasks.values(), timeout=WATCH_S + ENDING_S + WORKER_S)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return failed

    async def _one(self, rollout: Rollout, lanes: Lanes) -> None:
        manifest = self._flags().manifest
        route = manifest.routes[rollout.route]
        frozen = await asyncio.to_thread(self._store.state.baseline, rollout.route)
        if frozen is None:
            return
        async with asker(manifest) as ask:
            judge = judge_for(manifest, route, self._store, ask, self._home.parent, against=(rollout.candidate.model, frozen.version))
            runner = BaselineRunner(
                self._store,
                ask,
                prices=manifest.prices,
                own=load_checks(manifest),
                judging=None if judge is None else Judging(judge, manifest.prices),
                lanes=lanes,
            )
            await runner.run(rollout, route, frozen=frozen, going=partial(self._going, rollout.id))

    def _going(self, rollout_id: str) -> bool:
        return not self._ending.is_set() and self._store.state.rollout(rollout_id).phase is Phase.BASELINE
