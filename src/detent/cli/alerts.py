"""`alerts`, `ack`: what owners were told, and who has read it; `notify test`: whether it would reach them."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import Exit

ALERT: Option = option("alert", says="the alert's id, as `detent alerts` prints it", metavar="ALERT")
ALL: Option = option("--all", says="also those that are over", action="store_true")


def alerts(arguments: Namespace) -> int:
    """What is open, newest first, and where word of it stands."""
    import os

    from detent.explain.way_back import alert_json, alert_lines
    from detent.untold import untold_by

    now = place.now()
    with closing(place.open_store(arguments)) as store:
        nobody = untold_by(store, os.environ)
        found = store.state.alerts(open_only=not arguments.all)
        sent = store.state.deliveries([one.id for one in found])
    if arguments.json:
        print(json.dumps([alert_json(one, sent) for one in found]))
        return Exit.PASS
    for one in found:
        print("\n".join(alert_lines(one, sent, now)))
    if not found:
        print("no alert is open" if not arguments.all else "there was no alert yet")
    if nobody is not None:
        print(nobody)
    return Exit.PASS


def ack(arguments: Namespace) -> int:
    """Say that somebody has it."""
    from detent.visible import visible

    with closing(place.open_store(arguments)) as store:
        by = place.actor(arguments, store, "ack")
        alert = store.state.acknowledge_alert(arguments.alert, by, place.now())
    you = alert.acknowledged_by == by and arguments.by is None
    if arguments.json:
        at = alert.acknowledged_at.isoformat() if alert.acknowledged_at else None
        print(json.dumps({"alert": alert.id, "kind": alert.kind, "about": alert.about, "by": alert.acknowledged_by, "at": at}))
        return Exit.PASS
    who = "you" if you else alert.acknowledged_by
    print(visible(f"{alert.id}: {alert.kind} of {alert.about} is acknowledged by {who}: {alert.sentence}", one_line=True))
    return Exit.PASS


def test(arguments: Namespace) -> int:
    """Send one message over each channel that is set up, from here; exit 4 where one did not take it."""
    import os

    from detent import manifest as pin_file
    from detent.alerting import alert
    from detent.errors import CouldNotRun, InvalidInput
    from detent.notify import CHANNELS

    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    channels = [channel for channel in CHANNELS if channel.variable(manifest.notify) is not None]
    if not channels:
        raise InvalidInput(
            f"no [notify] in `{arguments.file}`: nobody is told anything", hint='write webhook_env = "..." or smtp_env = "..."'
        )
    by, failed = place.who(arguments), []
    for channel in channels:
        for owner in sorted({route.owner for route in manifest.routes.values()}):
            made = alert("Test", "notify", owner, f"a test of [notify], sent by {by}", place.now())
            try:
                channel.send(made, manifest.notify, os.environ)
                print(f"{channel.name}: taken, for {owner}")
            except CouldNotRun as error:
                failed.append(error)
                print(f"{channel.name}: NOT taken, for {owner}: {error.message}")
    if failed:
        raise failed[0]
    return Exit.PASS


COMMANDS: tuple[Command, ...] = (
    Command(
        name="alerts",
        says="what owners were told and paged for, and whether it reached them",
        group="rollouts",
        run=alerts,
        options=(ALL, *place.PLACE, place.JSON),
    ),
    Command(
        name="ack",
        says="say that you have read an alert: a page waits for it",
        group="rollouts",
        run=ack,
        options=(ALERT, place.BY, *place.PLACE, place.JSON),
    ),
    Command(
        name="notify test",
        says="send a message to every owner over each channel of [notify], to see whether it arrives",
        group="rollouts",
        run=test,
        options=(place.BY, place.FILE),
    ),
)
