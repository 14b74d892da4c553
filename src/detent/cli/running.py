"""`baseline run`: two versions over the frozen baseline, by hand."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput


def run(arguments: Namespace) -> int:
    """Run the pinned version and another over the frozen baseline; stored, so that a killed run goes on."""
    import asyncio

    import msgspec

    from detent.asking import asker
    from detent.baseline import BaselineRunner, trial
    from detent.controller import baseline_of
    from detent.explain import describe_baseline

    manifest, route = place.route_of(arguments)
    with closing(place.open_store(arguments)) as store:
        frozen = store.state.baseline(route.name)
        if frozen is None:
            raise InvalidInput(
                f"route has no frozen baseline: `{route.name}`", hint=f"freeze one with `detent baseline freeze {route.name}`"
            )
        asked = trial(route, arguments.version, manifest.plans[route.plan], frozen.digest, place.now())

        async def call() -> None:
            async with asker(manifest) as ask:
                await BaselineRunner(store, ask).run(asked, route, progress=_progress)

        asyncio.run(call())
        found = baseline_of(store, asked)
    print(msgspec.json.encode(found).decode() if arguments.json else "\n".join(describe_baseline(found)))
    if found.confirmed:
        return Exit.REGRESSION
    return Exit.INCONCLUSIVE if found.pending or found.errors or found.never_right == found.cases else Exit.PASS


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} calls", end="" if done < total else "\n", file=sys.stderr, flush=True)


COMMANDS: tuple[Command, ...] = (
    Command(
        name="baseline run",
        says="run the pin and another version over the baseline; exit 1 on a confirmed negative flip",
        group="baseline",
        run=run,
        options=(place.ROUTE, option("--version", says="the version to try", required=True, metavar="ID"), *place.PLACE, place.JSON),
    ),
)
