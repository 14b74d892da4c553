"""`retire`: a former version let go, while there is another way back."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import Exit

VERSION: Option = option("version", says="the version to let go; may be left out where one is kept", nargs="?", metavar="VERSION")


def retire(arguments: Namespace) -> int:
    """Let go of a former version of a route."""
    from detent.controller import retire as let_go

    with closing(place.open_store(arguments)) as store:
        by = place.actor(arguments, store, "retire")
        gone = let_go(store, arguments.route, arguments.version, by=by, why=arguments.why, now=place.now())
    if arguments.json:
        print(json.dumps({"route": gone.route, "version": str(gone.version), "since": gone.since.isoformat()}))
    else:
        print(f"{gone.route}: {gone.version} is retired; nothing goes back to it")
    return Exit.PASS


COMMANDS: tuple[Command, ...] = (
    Command(
        name="retire",
        says="let go of a former version, while another way back is proven",
        group="rollouts",
        run=retire,
        options=(place.ROUTE, VERSION, place.BY, place.WHY, *place.PLACE, place.JSON),
    ),
)
