"""`approve`: a human yes to the stage that waits for one."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, option
from detent.cli.rollouts import ROLLOUT, find
from detent.errors import Exit


def approve(arguments: Namespace) -> int:
    """Say yes to what the last decision waits for; the controller uses it at its next look, or not at all if the rollout moves first."""
    from detent.controller import approve as say_yes

    with closing(place.open_store(arguments)) as store:
        by = place.actor(arguments, store, "approve")
        rollout = find(store, arguments.rollout)
        given = say_yes(store, rollout.id, by=by, why=arguments.why, now=place.now(), revision=arguments.revision)
    if arguments.json:
        told = {
            "rollout": given.rollout,
            "stage": given.stage,
            "revision": given.revision,
            "evidence": given.evidence,
            "until": given.until_at.isoformat(),
        }
        print(json.dumps(told))
    else:
        print(
            f"{given.rollout}: {given.stage} of route {rollout.route} approved at revision {given.revision}, "
            f"over evidence {given.evidence[:12]}; good for one use until {given.until_at:%Y-%m-%d %H:%M} UTC"
        )
    return Exit.PASS


COMMANDS: tuple[Command, ...] = (
    Command(
        name="approve",
        says="say yes to the stage that waits for it; nobody approves what they proposed",
        group="rollouts",
        run=approve,
        options=(
            ROLLOUT,
            option("--revision", says="the rollout's revision as you saw it; refused if it is at another by now", type=int, metavar="N"),
            place.BY,
            place.WHY,
            *place.PLACE,
            place.JSON,
        ),
    ),
)
