"""`controller`: all that decides, without a gateway."""

from __future__ import annotations

import os
import socket
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.cli.listening import listeners, refuse_unfit
from detent.cli.serve import CONTROL
from detent.errors import CouldNotRun, Exit

if TYPE_CHECKING:
    from detent.store import Store
    from detent.terms import FlagSet

NAME: Option = option("--name", says="this controller's name, in `status` and in its log; by default host and control port", metavar="NAME")


def controller(arguments: Namespace) -> int:
    """Control listener, reader of this host's spools, and all that decides, while this is the process of its store that leads."""
    from detent import manifest as pin_file
    from detent.flags import static
    from detent.serve.controlling import run
    from detent.serve.listening import address_of, listen
    from detent.serve.place import Place
    from detent.store.database import parse_url
    from detent.talk import say
    from detent.untold import untold

    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    server = listeners(manifest, control=arguments.control)
    refuse_unfit(arguments.name, "controller")
    url = parse_url(place.store_url(arguments))
    state = Path(str(url.database))
    files = (state, state.with_name("journal.db")) if url.get_backend_name() == "sqlite" else ()
    if files and not state.exists():
        raise CouldNotRun(
            f"no store there: `{state}`",
            hint="an embedded store is a file of one host, made by `detent apply` or `detent serve`; where gateways are on other hosts,"
            " name the store that they share: --store postgresql://...",
        )

    def opened() -> Store:
        return place.open_store(arguments)

    control = listen(server.control)
    name = arguments.name or f"{socket.gethostname()}-{control.getsockname()[1]}"

    def ready(flags: FlagSet) -> None:
        print(f"control on http://{address_of(control)}", flush=True)
        if (nobody := untold(flags.manifest.notify, os.environ, of_server=True)) is not None:
            say(f"detent: {nobody}")

    where = Place(opened, place.home(arguments), name, files=files, url=place.store_url(arguments))
    run(where, control=control, fallback=static(manifest), ready=ready)
    return Exit.PASS


COMMANDS: tuple[Command, ...] = (
    Command(
        name="controller",
        says="run all that decides without a gateway; two or more on one store stand in for each other",
        group="servers",
        run=controller,
        options=(*place.PLACE, NAME, CONTROL),
        more="With --store postgresql://... run two or more, on different hosts: one leads, and another one follows within seconds when\n"
        "it is killed, and at once when it is told to end. It needs the pin file, and the variables with the providers' keys and the\n"
        "addresses of [notify], as `detent serve` does. `detent status` names the one that leads.",
    ),
)
