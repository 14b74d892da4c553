"""`baseline freeze|run`: layer 1 by hand."""

from __future__ import annotations

import hashlib
import json
import sys
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from detent.terms import Manifest, Plan, Rollout, Route

ROUTE: Option = option("route", says="the route's name", metavar="ROUTE")


def _route(arguments: Namespace) -> tuple[Manifest, Route]:
    from detent import manifest as pin_file

    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    if arguments.route not in manifest.routes:
        known = ", ".join(f"`{name}`" for name in sorted(manifest.routes))
        raise InvalidInput(f"no such route: `{arguments.route}`", hint=f"routes in {arguments.file}: {known}")
    return manifest, manifest.routes[arguments.route]


def freeze(arguments: Namespace) -> int:
    """Freeze a baseline from the journal."""
    from detent.baseline import freeze as freeze_baseline

    manifest, route = _route(arguments)
    limit = manifest.plans[route.plan].baseline.cases if arguments.cases is None else arguments.cases
    if limit < 1:
        raise InvalidInput(f"a baseline has at least one prompt: `--cases {limit}`")
    with closing(place.open_store(arguments)) as store:
        frozen = freeze_baseline(store, route, place.now(), limit=limit)
    if arguments.json:
        print(json.dumps({"route": frozen.route, "cases": len(frozen.cases), "digest": frozen.digest, "owner": frozen.owner}))
    else:
        print(f"{frozen.route}: {len(frozen.cases)} prompts frozen with the answers of {route.version}, digest {frozen.digest[:12]}")
    return Exit.PASS


def run(arguments: Namespace) -> int:
    """Run the pinned version and another over the frozen baseline; stored, so that a killed run goes on."""
    import asyncio

    import msgspec

    from detent.asking import asker
    from detent.baseline import BaselineRunner
    from detent.controller import baseline_of
    from detent.explain import describe_baseline

    manifest, route = _route(arguments)
    with closing(place.open_store(arguments)) as store:
        frozen = store.state.baseline(route.name)
        if frozen is None:
            raise InvalidInput(
                f"route has no frozen baseline: `{route.name}`", hint=f"freeze one with `detent baseline freeze {route.name}`"
            )
        trial = _trial(route, arguments.version, manifest.plans[route.plan], frozen.digest)

        async def call() -> None:
            async with asker(manifest) as ask:
                await BaselineRunner(store, ask).run(trial, route, progress=_progress)

        asyncio.run(call())
        found = baseline_of(store, trial)
    print(msgspec.json.encode(found).decode() if arguments.json else "\n".join(describe_baseline(found)))
    if found.confirmed:
        return Exit.REGRESSION
    return Exit.INCONCLUSIVE if found.pending or found.errors or found.never_right == found.cases else Exit.PASS


def _trial(route: Route, version: str, plan: Plan, digest: str) -> Rollout:
    """What the runner takes for a rollout. Its id says what ran over what, and how it was graded, so that a killed run finds its own."""
    from detent.terms import Rollout, Version

    candidate, now = Version(route.provider, version), place.now()
    return Rollout(
        id="run_" + hashlib.sha256(f"{route.stable}|{candidate}|{digest}|{route.checks}".encode()).hexdigest()[:12],
        route=route.name,
        owner=route.owner,
        stable=route.stable,
        candidate=candidate,
        plan=plan,
        salt="",
        opened_at=now,
        entered_at=now,
    )


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {total} calls", end="" if done < total else "\n", file=sys.stderr, flush=True)


COMMANDS: tuple[Command, ...] = (
    Command(
        name="baseline freeze",
        says="freeze a baseline from recorded traffic",
        group="baseline",
        run=freeze,
        options=(ROUTE, option("--cases", says="how many prompts at most", type=int, metavar="N"), *place.PLACE, place.JSON),
    ),
    Command(
        name="baseline run",
        says="run the pin and another version over the baseline; exit 1 on a confirmed negative flip",
        group="baseline",
        run=run,
        options=(ROUTE, option("--version", says="the version to try", required=True, metavar="ID"), *place.PLACE, place.JSON),
    ),
)
