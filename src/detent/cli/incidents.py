"""`case pin|unpin|list`: exchanges that went wrong once and are kept, so that no version brings them back."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import Exit, InvalidInput

EXCHANGE: Option = option("exchange", says="the exchange's id", metavar="EXCHANGE")


def pin(arguments: Namespace) -> int:
    """Keep an exchange as an incident: it is in every baseline of its route from the next freeze on."""
    from detent import manifest as pin_file
    from detent.baseline import pin as pin_exchange

    if not arguments.why:
        raise InvalidInput(f"an incident needs a reason: `{arguments.exchange}`", hint="add --why TEXT: what went wrong there")
    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    with closing(place.open_store(arguments)) as store:
        routes = {recorded.intent.route for recorded in store.journal.exchange(arguments.exchange)} - {None}
        known = [name for name in routes if name in manifest.routes]
        if not known:
            raise InvalidInput(f"no exchange of a route of {arguments.file}: `{arguments.exchange}`", hint="exchange ids begin with `ex_`")
        by = place.actor(arguments, store, "case pin")
        kept = pin_exchange(store, manifest.routes[str(known[0])], arguments.exchange, arguments.why, by, place.now())
        store.state.note(kept.by, f"pinned {kept.exchange} of {kept.route}: {kept.why}", kept.at)
    said = f"{kept.exchange} is an incident of {kept.route}; `detent baseline freeze {kept.route}` takes it in"
    print(json.dumps({"route": kept.route, "exchange": kept.exchange, "why": kept.why}) if arguments.json else said)
    return Exit.PASS


def unpin(arguments: Namespace) -> int:
    """Let go of an incident."""
    from detent.redaction import redact_text

    _, route = place.route_of(arguments)
    with closing(place.open_store(arguments)) as store:
        by = place.actor(arguments, store, "case unpin")
        if not store.state.drop_pin(arguments.route, arguments.exchange):
            hint = f"see `detent case list {arguments.route}`"
            raise InvalidInput(f"not pinned on route {arguments.route}: `{arguments.exchange}`", hint=hint)
        said = f"unpinned {arguments.exchange} of {arguments.route}" + (
            f": {redact_text(arguments.why, route.record.redact)}" if arguments.why else ""
        )
        store.state.note(by, said, place.now())
    print(json.dumps({"route": arguments.route, "exchange": arguments.exchange}) if arguments.json else said)
    return Exit.PASS


def incidents(arguments: Namespace) -> int:
    """The incidents of a route."""
    from detent.visible import visible

    place.route_of(arguments)
    with closing(place.open_store(arguments)) as store:
        found = [pinned for pinned, _ in store.state.pins(arguments.route)]
    if arguments.json:
        print(json.dumps([{"exchange": p.exchange, "why": p.why, "by": p.by, "at": p.at.isoformat()} for p in found]))
        return Exit.PASS
    for p in found:
        print(visible(f"{p.exchange}  {p.at:%Y-%m-%d}  {p.by}  {p.why}", one_line=True))
    if not found:
        print(f"no incident of {arguments.route} is pinned")
    return Exit.PASS


COMMANDS: tuple[Command, ...] = (
    Command(
        name="case pin",
        says="keep an exchange as an incident, in every baseline of its route",
        group="baseline",
        run=pin,
        options=(EXCHANGE, place.WHY, place.BY, *place.PLACE, place.JSON),
    ),
    Command(
        name="case unpin",
        says="let go of an incident",
        group="baseline",
        run=unpin,
        options=(place.ROUTE, EXCHANGE, place.WHY, place.BY, *place.PLACE, place.JSON),
    ),
    Command(
        name="case list",
        says="the incidents of a route",
        group="baseline",
        run=incidents,
        options=(place.ROUTE, *place.PLACE, place.JSON),
    ),
)
