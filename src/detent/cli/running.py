"""`baseline run`: two versions over the frozen baseline, by hand."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.baselines import exact_version, exit_of, forecast_of, frozen_of, trial_of
from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput, Refused

if TYPE_CHECKING:
    from detent.baseline.running import Standing
    from detent.store import Store
    from detent.terms import Baseline, Manifest, Rollout, Route

LINE_EVERY_S = 10.0
"""How often progress is told where nobody can see a bar."""


def run(arguments: Namespace) -> int:
    """Run the pinned version and another over the frozen baseline; stored, so that a killed run goes on."""
    import msgspec

    from detent.baseline import stale_of
    from detent.controller import baseline_of
    from detent.evidence.flips import verdict
    from detent.explain import describe_baseline
    from detent.forecast import describe_forecast

    manifest, route = place.route_of(arguments)
    with closing(place.open_store(arguments)) as store:
        frozen = frozen_of(store, route.name)
        asked = _trial(arguments, manifest, route, frozen, store)
        stale = stale_of(store, route.name, asked.plan.baseline, place.now())
        if stale:
            so = ", so that a run cannot pass" if asked.plan.baseline.on_stale == "wait" else ""
            print(f"the baseline is stale{so}: {'; '.join(stale)}", file=sys.stderr)
        expected = forecast_of(manifest, frozen, asked, store.state.runs(asked.id))
        if arguments.forecast:
            told = describe_forecast(expected, asked.candidate)
            print(msgspec.json.encode(expected).decode() if arguments.json else "\n".join(told))
            return Exit.PASS
        place.actor(arguments, store, "baseline run")
        if expected.calls:
            print("\n".join(describe_forecast(expected, asked.candidate)), file=sys.stderr)
        with store.state.alone(f"run {asked.id}") as alone:
            if not alone:
                hint = "wait for it: what it stores counts for this one as well"
                raise Refused(f"another run of it is under way: `{asked.id}`", hint=hint)
            _call(store, manifest, route, asked, frozen, base_dir=Path(arguments.file).resolve().parent)
        found = baseline_of(store, asked, frozen=frozen, stale=stale)
        newest = frozen_of(store, route.name)
        if newest.digest != frozen.digest:
            said = f"this is about baseline {frozen.digest[:12]}; another one is in force by now: {newest.digest[:12]}"
            print(said, file=sys.stderr)
    print(msgspec.json.encode(found).decode() if arguments.json else "\n".join(describe_baseline(found, asked.plan.baseline.on_stale)))
    return exit_of(verdict(found, asked.plan.baseline.on_stale)[0])


def _trial(arguments: Namespace, manifest: Manifest, route: Route, frozen: Baseline, store: Store) -> Rollout:
    """What is to be run, with the budget of the command line in place of the plan's."""
    from detent.baseline.purse import refuse_unpriced

    plan = manifest.plans[route.plan]
    if arguments.budget is not None:
        if not (math.isfinite(arguments.budget) and arguments.budget > 0):
            raise InvalidInput(f"a budget is an amount of USD above 0: `{arguments.budget:g}`")
        plan = replace(plan, baseline=replace(plan.baseline, budget_usd=arguments.budget))
    exact_version(manifest, route, arguments.version)
    asked = trial_of(arguments, manifest, route, plan, version=arguments.version, frozen=frozen, store=store)
    if plan.baseline.budget_usd is not None:
        refuse_unpriced((asked.stable, asked.candidate), manifest.prices)
    return asked


def _call(store: Store, manifest: Manifest, route: Route, asked: Rollout, frozen: Baseline, *, base_dir: Path) -> None:
    """Make the calls that are due. On an interrupt what is stored stays, and it is said how to go on."""
    import asyncio

    from detent.asking import asker
    from detent.baseline import BaselineRunner
    from detent.baseline.judging import Judging
    from detent.judge import judge_for
    from detent.plugins import load_checks

    own = load_checks(manifest)

    async def call(told: Callable[[Standing], None]) -> None:
        async with asker(manifest) as ask:
            judge = judge_for(manifest, route, store, ask, base_dir, against=(asked.candidate.model, frozen.version))
            judging = None if judge is None else Judging(judge, manifest.prices)
            if judge is not None and not judge.blocks:
                print(f"the judge informs only: {'; '.join(judge.objections)}", file=sys.stderr)
            runner = BaselineRunner(store, ask, prices=manifest.prices, own=own, judging=judging)
            await runner.run(asked, route, frozen=frozen, progress=told)

    try:
        with _told_to_end(), _progress() as told:
            asyncio.run(call(told))
    except KeyboardInterrupt:
        stored = sum(bool(run.case) for run in store.state.runs(asked.id))
        print(f"\n{stored} calls are stored and will not be made again", file=sys.stderr)
        raise


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM, which CI sends, ends a run as an interrupt does: what is under way is waited for and stored."""
    if threading.current_thread() is not threading.main_thread():  # only that one may say what a signal does
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ── progress ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _progress() -> Iterator[Callable[[Standing], None]]:
    """Tells how far a run is: a bar where somebody can see it, else a line now and then. Nothing where no call is made."""
    if not sys.stderr.isatty():
        yield _Lines(time.monotonic, lambda line: print(line, file=sys.stderr, flush=True))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("calls"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[usd]}"),
    )
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("calls", total=None, rate="", usd="")

        def told(standing: Standing) -> None:
            rate = standing.done / max(time.monotonic() - began, 1e-6)
            bar.update(task, completed=standing.done, total=standing.total, rate=f"{rate:.1f}/s", usd=_usd(standing).removeprefix(", "))

        yield told


class _Lines:
    """One line of progress every so often."""

    def __init__(self, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock, self._say = clock, say
        self._began = self._last = clock()

    def __call__(self, standing: Standing) -> None:
        now = self._clock()
        if now - self._last < LINE_EVERY_S:
            return
        self._last = now
        rate = standing.done / (now - self._began)
        left = (standing.total - standing.done) / rate
        self._say(f"{standing.done} of {standing.total} calls, {rate:.1f} a second, about {left:.0f} s left{_usd(standing)}")


def _usd(standing: Standing) -> str:
    return f", {standing.usd:.2f} USD spent" if standing.usd else ""


COMMANDS: tuple[Command, ...] = (
    Command(
        name="baseline run",
        says="run the pin and another version over the baseline; exit 1 on a confirmed regression",
        group="baseline",
        run=run,
        options=(
            place.ROUTE,
            option("--version", says="the version to try", required=True, metavar="ID"),
            option("--forecast", says="only say what it would cost; no call is made", action="store_true"),
            option("--budget", says="stop before this much is spent, stored runs included; exit 3", type=float, metavar="USD"),
            *place.PLACE,
            place.JSON,
        ),
        more="Every answer is stored as it comes: a killed run goes on where it was with the same command, and repeats no stored call.",
    ),
)
