"""`ingest`: a host's spools into the store."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import CouldNotRun, Exit, InvalidInput

if TYPE_CHECKING:
    from detent.store import Store

HOME: Option = option("--home", says="the directory of spools and caches; by default .detent/ beside the pin file", metavar="DIR")
GATEWAY: Option = option(
    "--with-gateway",
    says="end, after a last pass, when this descriptor's other end is closed: how a gateway starts it",
    metavar="FD",
    type=int,
)


def ingest(arguments: Namespace) -> int:
    """Read this host's spools into the store, until it is told to end."""
    from detent.ingest.process import run
    from detent.store import open_store
    from detent.store.database import parse_url
    from detent.talk import say

    home = Path(arguments.home).resolve() if arguments.home else place.home(arguments)
    url = arguments.store or f"sqlite:///{home / 'state.db'}"
    parsed = parse_url(url)
    files: tuple[Path, ...] = ()
    if parsed.get_backend_name() == "sqlite":
        state = Path(str(parsed.database))
        files = (state, state.with_name("journal.db"))
    if not home.is_dir():
        raise InvalidInput(f"no such directory: `{home}`", hint="name the pin file beside it with --file, or the directory with --home")

    def opened() -> Store:
        """The store that is there: an empty one made in its place would forget how far everything was read."""
        if missing := [file for file in files if not file.exists()]:
            raise CouldNotRun(
                f"no store there: `{missing[0]}`; where gateways share one on a server, name it: --store postgresql://...",
                hint="`detent serve` or `detent apply` makes one",
            )
        return open_store(url)

    run(opened, home, files=files, gateway=arguments.with_gateway, say=lambda message: say(f"detent ingest: {message}"))
    return Exit.PASS


COMMANDS: tuple[Command, ...] = (
    Command(
        name="ingest",
        says="read this host's spools into the store",
        group="servers",
        run=ingest,
        options=(*place.PLACE, HOME, GATEWAY),
        more="A gateway writes what it knows to its own disk; it is read into the store by one process of its host. `detent serve` and\n"
        "`detent controller` do so for theirs, and a gateway on a PostgreSQL store begins one of these beside it: there is no need to\n"
        "run this by hand, but for spools that are left on a host where no gateway runs any more. It waits while another process reads.",
    ),
)
