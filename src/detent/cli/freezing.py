"""`baseline freeze`: freeze what production said."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput


def freeze(arguments: Namespace) -> int:
    """Freeze a baseline from the journal."""
    from detent.baseline import freeze as freeze_baseline

    manifest, route = place.route_of(arguments)
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


COMMANDS: tuple[Command, ...] = (
    Command(
        name="baseline freeze",
        says="freeze a baseline from recorded traffic",
        group="baseline",
        run=freeze,
        options=(place.ROUTE, option("--cases", says="how many prompts at most", type=int, metavar="N"), *place.PLACE, place.JSON),
    ),
)
