"""Where a command works: which pin file, which store, and who is asking."""

from __future__ import annotations

import getpass
import secrets
import socket
import time
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli.command import Option, option
from detent.errors import CouldNotRun, InvalidInput

if TYPE_CHECKING:
    from detent.store import Store
    from detent.terms import Manifest, Route

FILE: Option = option("--file", says="the pin file", default="detent.toml", metavar="PATH")
STORE: Option = option("--store", says="database URL; by default an embedded store in .detent/ beside the pin file", metavar="URL")
JSON: Option = option("--json", says="print JSON", action="store_true")
BY: Option = option("--by", says="who says so; by default user@host", metavar="NAME")
WHY: Option = option("--why", says="the reason, kept in the audit log", default="", metavar="TEXT")
PLACE: tuple[Option, ...] = (FILE, STORE)
ROUTE: Option = option("route", says="the route's name", metavar="ROUTE")


def home(arguments: Namespace) -> Path:
    """The directory of the embedded store, spools and caches: `.detent/` beside the pin file."""
    return Path(arguments.file).resolve().parent / ".detent"


def read_text(arguments: Namespace) -> str:
    """The pin file's text. Raises InvalidInput when there is none or it is not UTF-8."""
    path = Path(arguments.file)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput(f"no pin file: `{path}`", hint="write one with `detent init`, or name it with --file") from None
    except IsADirectoryError:
        raise InvalidInput(f"not a file: `{path}`", hint=f"name the file in it: --file {path / 'detent.toml'}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8: `{path}`, byte {error.start}", hint="save the file as UTF-8") from None
    except OSError as error:
        raise CouldNotRun(f"cannot read `{path}`: {error.strerror}") from None


def route_of(arguments: Namespace) -> tuple[Manifest, Route]:
    """The pin file and the route that the command names. Raises InvalidInput that lists the routes there are."""
    from detent import manifest as pin_file

    manifest = pin_file.read(read_text(arguments), file=arguments.file)
    if arguments.route not in manifest.routes:
        known = ", ".join(f"`{name}`" for name in sorted(manifest.routes))
        raise InvalidInput(f"no such route: `{arguments.route}`", hint=f"routes in {arguments.file}: {known}")
    return manifest, manifest.routes[arguments.route]


def store_url(arguments: Namespace) -> str:
    """The database URL to use."""
    return arguments.store or f"sqlite:///{home(arguments) / 'state.db'}"


def has_store(arguments: Namespace) -> bool:
    """Whether the store is there; a server's is taken to be."""
    file = _store_file(arguments)
    return file is None or file.exists()


def _store_file(arguments: Namespace) -> Path | None:
    """The file of the store, embedded or named; None for one that a server keeps."""
    kind, slashes, file = store_url(arguments).partition("///")
    return Path(file.partition("?")[0]) if slashes and kind.startswith("sqlite") else None


def open_store(arguments: Namespace, *, create: bool = False) -> Store:
    """The store. Without `create`, a missing one is an error and not a new, empty one."""
    from detent import store

    if create and not arguments.store:
        try:
            home(arguments).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CouldNotRun(f"cannot make a store in `{home(arguments)}`: {error.strerror}") from None
    elif not create and not has_store(arguments):
        if arguments.store:
            raise CouldNotRun(
                f"no store there: `{_store_file(arguments)}`", hint="look for a misspelt --store; `detent apply` makes a new one"
            )
        raise CouldNotRun(f"no store yet: `{_store_file(arguments)}`", hint=_way_to_a_store(arguments))
    return store.open_store(store_url(arguments))


def _way_to_a_store(arguments: Namespace) -> str:
    """What makes the store that a command lacks: one that names a route works on its baseline."""
    route = getattr(arguments, "route", None)
    if route is None:
        return "start the server with `detent serve`, or run `detent apply`"
    return f"start the server with `detent serve`, or freeze recorded traffic with `detent baseline freeze {route} --from FILE`"


def who(arguments: Namespace) -> str:
    """The name that goes into the audit log."""
    if getattr(arguments, "by", None):
        return str(arguments.by)
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # no entry for this user id, as in many containers
        return f"unknown@{socket.gethostname()}"


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def new_rollout_id() -> str:
    """A rollout id that sorts by time: `ro_`, eight characters of seconds and six random ones, since one `apply` opens many in a second."""
    return f"ro_{int(time.time()):08x}{secrets.token_hex(3)}"


def new_salt() -> str:
    """A fresh secret salt."""
    return secrets.token_hex(16)
