"""`verify`: file = flag = what the gateways serve = what answered, or what exactly is not so."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command
from detent.cli.patching import settled
from detent.errors import Exit

if TYPE_CHECKING:
    from detent.agreeing import Answered
    from detent.store.journal import Recorded

ANSWERS_CHECKED = 50
"""How many of a route's latest answers `verify` looks at."""


def verify(arguments: Namespace) -> int:
    """Exit 0 when all agree, 1 when they do not, 3 when no gateway is there to ask."""
    from detent import manifest as pin_file
    from detent.agreeing import Serving, agreement
    from detent.explain import ago, silent_s
    from detent.local_orders import Orders

    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    with closing(place.open_store(arguments)) as store:
        known, rollouts, gateways = store.state.snapshot(), store.state.rollouts(), store.state.gateways()
        answers = {name: tuple(_whole(store.journal.latest(name, ANSWERS_CHECKED))) for name in known.flags}
        patch = settled(arguments, rollouts)
    now = place.now()
    silent = {g.gateway: seconds for g in gateways if (seconds := silent_s(g, now)) is not None}
    live = [Serving(g.gateway, g.revision) for g in gateways if g.gateway not in silent]
    orders = {*Orders(place.home(arguments), "verify").standing(), *(order.route for g in gateways for order in g.condition.orders)}
    found = agreement(
        manifest,
        known.flags,
        known.revision,
        rollouts=rollouts,
        gateways=live,
        answers=answers,
        orders=orders,
        doubted=known.doubted,
    )
    if arguments.json:
        told = {
            "agree": not found and bool(live),
            "problems": [problem.sentence for problem in found],
            "kinds": [{"kind": problem.kind, "about": problem.about} for problem in found],
            "gateways": len(live),
            "silent": sorted(silent),
            "revision": known.revision,
            "patch": patch,
        }
        print(json.dumps(told))
    else:
        agreed = f"file = flag for {len(manifest.routes)} routes; {len(live)} gateways serve revision {known.revision}"
        print("\n".join([problem.sentence for problem in found] or [agreed]))
        for name, seconds in sorted(silent.items()):
            print(f"gateway {name} was not heard of for {ago(seconds)}: it cannot be asked")
        if patch:
            print(f"the patch that makes {arguments.file} true:\n{patch}", end="")
    if found:
        return Exit.REGRESSION
    return Exit.PASS if live else Exit.INCONCLUSIVE


def _whole(latest: Iterable[Recorded]) -> Iterator[Answered]:
    """The answers that callers got, whole and under a name."""
    from detent.agreeing import Answered
    from detent.terms import Outcome, Role

    for leg in latest:
        sent, ended = leg.intent, leg.result
        if sent.role is not Role.MIRRORED and ended is not None and ended.outcome is Outcome.COMPLETE and ended.answered_model is not None:
            yield Answered(revision=sent.revision, model=sent.model, by=ended.answered_model, why=sent.why)


COMMANDS: tuple[Command, ...] = (
    Command(
        name="verify",
        says="check that file = flag = what the gateways serve",
        group="rollouts",
        run=verify,
        options=(*place.PLACE, place.JSON),
    ),
)
