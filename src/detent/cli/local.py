"""`rollback --local`: an order by file to the gateways of this host, for when neither store nor server nor network is there."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detent.cli import place
from detent.errors import CouldNotRun, DetentError, Exit, InvalidInput
from detent.visible import visible

if TYPE_CHECKING:
    from detent.terms import FlagSet, LocalOrder

WAIT_S = 5.0
"""How long the gateways of this host are waited for, unless somebody says otherwise; they look every 50 ms."""

_ROUTE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")


def roll_back_local(arguments: Namespace) -> int:
    """Exit 0 once every gateway that lives on this host obeys, 3 when one has not said so or the disk had no room for who and why."""
    from detent.local_orders import give

    if arguments.wait is not None and not 0 < arguments.wait < float("inf"):
        raise InvalidInput(f"not a number of seconds to wait: `{arguments.wait:g}`", hint="leave --wait out for 5, or say --no-wait")
    home = place.home(arguments)
    if not home.is_dir():
        raise CouldNotRun(
            f"no gateway ever worked here: `{home}`", hint="name the pin file that the gateways of this host were started with: --file PATH"
        )
    order = _order(arguments, home)
    try:
        whole = give(home, order)
    except OSError as error:
        raise CouldNotRun(
            f"cannot write the order in `{home / 'orders'}`: {error.strerror}",
            hint=f"see whether it may be written to and the disk has room; a gateway cut off from its store leaves the candidate of "
            f"{order.route} by itself once its lease has passed",
        ) from error
    heard, carried_out = ([], False) if arguments.no_wait else _obeyed(home, order, whole, arguments.wait or WAIT_S)
    _tell(arguments, order, whole, heard, carried_out)
    return Exit.PASS if whole and all(ms is not None for _, ms in heard) else Exit.INCONCLUSIVE


def _order(arguments: Namespace, home: Path) -> LocalOrder:
    """About the rollout that the gateways here served, by the flags that they keep on disk: the newest of them that know the route."""
    from detent.flags_on_disk import recall
    from detent.terms import LocalOrder

    kept = [flags for path in sorted(home.glob("flags-*.json")) if (flags := recall(path)) is not None]
    kept.sort(key=lambda flags: flags.revision, reverse=True)
    name = arguments.rollout
    of_route = [flags.flags[name].rollout for flags in kept if name in flags.flags]
    by_id = [flag for flags in kept for flag in flags.flags.values() if flag.rollout == name]
    if by_id and not of_route:
        route, rollout = by_id[0].route, name
    else:
        route, rollout = _known_route(arguments, kept), of_route[0] if of_route else None
    return LocalOrder(
        id=f"lo_{int(time.time()):08x}{secrets.token_hex(6)}",
        route=route,
        rollout=rollout,
        by=place.who(arguments),
        why=arguments.why or "",
        at=place.now(),
    )


def _known_route(arguments: Namespace, kept: Sequence[FlagSet]) -> str:
    """The route that is named. Where nothing on this host can be read, any name that a route may have is taken: nothing may stand between
    somebody in need and this command.
    """
    from detent import manifest as pin_file

    name = str(arguments.rollout)
    known = {route for flags in kept for route in (*flags.flags, *flags.manifest.routes)}
    try:
        known |= pin_file.read(place.read_text(arguments), file=arguments.file).routes.keys()
    except DetentError as error:
        print(f"detent: the pin file cannot be read, which keeps nobody from rolling back: {error.message}", file=sys.stderr)
    if name in known or (not known and _ROUTE.fullmatch(name)):
        return name
    routes = ", ".join(f"`{route}`" for route in sorted(known)) or "none"
    raise InvalidInput(f"no route of this host's gateways, and no rollout that they serve: `{name}`", hint=f"known routes: {routes}")


def _obeyed(home: Path, order: LocalOrder, whole: bool, wait_s: float) -> tuple[list[tuple[str, float | None]], bool]:
    """Every gateway that lives here, with the milliseconds after which it obeyed; None where it did not say so in time. And whether the
    order is carried out in the store already: it is gone then, and who obeyed it with it, so that what was seen is kept.
    """
    from detent.local_orders import UNREAD, live_gateways, obeyed_since, stands

    given = order.at.timestamp()
    deadline = time.monotonic() + wait_s
    since: dict[str, float] = {}
    while True:
        live = live_gateways(home)
        since |= obeyed_since(home, order.route, order.id if whole else UNREAD)
        gone = whole and not stands(home, order)
        if live.keys() <= since.keys() or gone or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    told = [(name, max(0.0, since[spool] - given) * 1000 if spool in since else None) for spool, name in live.items()]
    return sorted(told, key=lambda one: (one[1] is None, one[1] or 0.0, one[0])), gone


def _tell(arguments: Namespace, order: LocalOrder, whole: bool, heard: Sequence[tuple[str, float | None]], carried_out: bool) -> None:
    if arguments.json:
        said: dict[str, Any] = {"order": order.id, "route": order.route, "rollout": order.rollout, "whole": whole, "by": order.by}
        said |= {"carried_out": carried_out, "gateways": [{"gateway": name, "ms": ms} for name, ms in heard]}
        print(json.dumps(said))
    else:
        about = f"rollout {order.rollout} " if order.rollout else ""
        print(visible(f"{order.route}: {about}rolled back on this host by {order.by}; order {order.id}", one_line=True))
        for name, ms in heard:
            said_so = f"serves stable after {ms:.0f} ms" if ms is not None else "HAS NOT ANSWERED"
            print(visible(f"  gateway {name} {said_so}", one_line=True))
        if carried_out:
            print("  carried out in the store: no gateway that reaches it serves anything else")
        if not heard and not arguments.no_wait:
            print("  no gateway lives here: the next one to start obeys")
    if whole and not carried_out:
        print("detent: gateways on other hosts hear of it once one of these reaches the store, and rolls back there", file=sys.stderr)
    if not whole:
        print(
            "detent: the disk is full: the gateways here obey, and who, why and the rollout could not be written\n"
            f"hint: make room and run this again, or `detent rollback {order.route}` once the store is there: nobody else will tell it",
            file=sys.stderr,
        )
