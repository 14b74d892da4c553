"""`power`: what a route's plan could find out at its own recorded traffic."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from detent.terms import Manifest, Route


def power(arguments: Namespace) -> int:
    """Print what each guard would catch, and how probably an unchanged candidate is promoted. Exit 3 where the plan can't conclude."""
    from detent.controller import fitted
    from detent.fitting import describe_fitting
    from detent.power import concludes, power_of, table

    manifest, route = place.route_of(arguments)
    manifest = _under(manifest, route, arguments.plan or route.plan)
    with closing(place.open_store(arguments)) as store:
        plan, past = fitted(store, manifest, route.name, place.now())
    found = power_of(route.name, plan, past, manifest.metrics)
    fit = describe_fitting(manifest.plans[plan.name].guards, plan.guards)
    if arguments.json:
        print(json.dumps({**asdict(found), "concludes": concludes(found), "fitted": fit}))
    elif not found.unknown:
        print(table(found) + (f"\n\n{fit}" if fit else ""))
    if found.unknown:
        print(f"detent: {found.unknown}", file=sys.stderr)
        print("hint: let the route's traffic pass through `detent serve`, which records it, and ask again", file=sys.stderr)
    return Exit.PASS if concludes(found) else Exit.INCONCLUSIVE


def _under(manifest: Manifest, route: Route, plan: str) -> Manifest:
    """The pin file as if the route had this plan. Raises InvalidInput for a plan that there isn't."""
    if plan not in manifest.plans:
        known = ", ".join(f"`{name}`" for name in sorted(manifest.plans))
        raise InvalidInput(f"no such plan: `{plan}`", hint=f"plans: {known}")
    return replace(manifest, routes={**manifest.routes, route.name: replace(route, plan=plan)})


COMMANDS: tuple[Command, ...] = (
    Command(
        name="power",
        says="say what a route's plan would catch and could prove at the route's own recorded traffic, before it starts",
        group="pin file",
        run=power,
        options=(
            place.ROUTE,
            option("--plan", says="another plan than the route's, to compare", metavar="NAME"),
            *place.PLACE,
            place.JSON,
        ),
        more="Simulates rollouts under the tests that decide. Exit 0 where an unchanged candidate is promoted 4 times in 5, else 3.",
    ),
)
