"""Where a command works: which pin file, which store, and who is asking."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import sys
import time
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from detent.cli.command import Option, option
from detent.errors import CouldNotRun, InvalidInput, Refused
from detent.visible import visible

if TYPE_CHECKING:
    from detent.store import Store
    from detent.terms import Manifest, Route

FILE: Option = option("--file", says="the pin file", default="detent.toml", metavar="PATH")
STORE: Option = option("--store", says="database URL; by default an embedded store in .detent/ beside the pin file", metavar="URL")
JSON: Option = option("--json", says="print JSON", action="store_true")
BY: Option = option("--by", says="who says so; by default user@host", metavar="NAME")
WHY: Option = option("--why", says="the reason, kept in the audit log", default="", metavar="TEXT")
PLACE: tuple[Option, ...] = (FILE, STORE)
NEW_STORE: Option = option(
    "--new-store", says="begin anew where the store is gone: tokens, rollouts, baselines and the audit log are lost", action="store_true"
)
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
    """Whether the store is there; a server's is taken to be. Raises CouldNotRun for one that is gone."""
    from detent.store.remains import is_there

    file = _store_file(arguments)
    if file is None or is_there(file):
        return True
    left = left_of_store(arguments)
    if left is None:
        return False
    hint = f"put it back from a copy; on a gateway's host `detent rollback {_named(arguments)} --local` works without it"
    if left.name != "journal.db":
        hint += "; if it is kept elsewhere, name it with --store"
    if hasattr(arguments, "new_store"):
        hint += "; or begin anew with --new-store: tokens, rollouts, baselines and the audit log are lost then"
    raise CouldNotRun(f"the store is gone: `{file}`; `{left}` tells that there was one", hint=hint)


def left_of_store(arguments: Namespace) -> Path | None:
    """What tells that there was an embedded store which is gone; None where it is there, where none ever was, and of a server's."""
    from detent.store.remains import is_there, remains

    file = _store_file(arguments)
    if file is None or is_there(file):
        return None
    try:
        return remains(file, None if arguments.store else home(arguments))
    except OSError as error:
        raise CouldNotRun(f"cannot look into `{file.parent}`: {error.strerror}") from None


def begins_anew(arguments: Namespace) -> bool:
    """Whether a store is to be made in the place of one that is gone, as --new-store asks for; then what is lost is said."""
    left = left_of_store(arguments) if arguments.new_store else None
    if left is None:
        return False
    lost = "tokens, rollouts, approvals, baselines and the audit log of the former one are lost; `detent audit verify` will tell"
    print(f"detent: a new store is made: {lost}", file=sys.stderr, flush=True)
    return True


def _named(arguments: Namespace) -> str:
    """The route that the command names, or a word for it."""
    return str(getattr(arguments, "route", None) or getattr(arguments, "rollout", None) or "ROUTE")


def _store_file(arguments: Namespace) -> Path | None:
    """The file of the store, embedded or named; None for one that a server keeps."""
    kind, slashes, file = store_url(arguments).partition("///")
    return Path(file.partition("?")[0]) if slashes and kind.startswith("sqlite") else None


def open_store(arguments: Namespace, *, create: bool = False, anew: bool = False) -> Store:
    """The store. Without `create`, a missing one is an error and not a new, empty one; with it one that is gone is an error all the same,
    unless it is to begin `anew`.
    """
    from detent import store

    there = anew or has_store(arguments)
    if create and not arguments.store:
        try:
            home(arguments).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CouldNotRun(f"cannot make a store in `{home(arguments)}`: {error.strerror}") from None
    elif not create and not there:
        if not arguments.store and not Path(arguments.file).exists():
            path = Path(arguments.file)
            raise InvalidInput(
                f"no {path.name} here: `{path.resolve()}`", hint="name the pin file: --file PATH, or write one with `detent init`"
            )
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
    """The name that somebody claims; what writes to a store asks `actor`."""
    if getattr(arguments, "by", None):
        by = str(arguments.by)
        if by != by.strip() or not by.isprintable():
            raise InvalidInput(
                f"not a name: `{visible(by, one_line=True)}`", hint="no blanks at its ends, and nothing that cannot be printed"
            )
        return by
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # no entry for this user id, as in many containers
        return f"unknown@{socket.gethostname()}"


TOKEN_ENV = "DETENT_TOKEN"  # noqa: S105 the name of a variable


def actor(arguments: Namespace, store: Store, verb: str) -> str:
    """The name by which a command that writes goes into the audit log, once it is known that it may.

    While the store knows no token, that is `who`: a claim. From the first token on it is the name of the token in DETENT_TOKEN, whose role
    must do for the command (`roles.COMMANDS`). Raises Refused where it does not; nothing falls back to a claim.
    """
    from detent import roles

    why = getattr(arguments, "why", None) or ""
    if len(why) > roles.LONGEST_WHY:
        raise InvalidInput(
            f"a reason has {roles.LONGEST_WHY:,} characters at most, and --why has {len(why):,}", hint="link to what is longer"
        )
    if not store.state.tokens():
        return who(arguments)
    secret = os.environ.get(TOKEN_ENV, "")
    if not secret:
        raise Refused(
            f"this store asks for a token, and none is given: `{TOKEN_ENV}` is not set",
            hint=f"{TOKEN_ENV}=... detent {verb} ...; approvers make one with `detent token add NAME --role ROLE`"
            + _without(verb, arguments),
        )
    token = store.state.holder(secret)
    if token is None:
        raise Refused(
            f"the token in `{TOKEN_ENV}` is nobody's, or was revoked",
            hint=f"see who has one with `detent token list`{_without(verb, arguments)}",
        )
    try:
        roles.refuse_unless(token, verb)
    except Refused as refused:
        raise Refused(refused.message, hint=f"{refused.hint}{_without(verb, arguments)}") from None
    said = getattr(arguments, "by", None)
    if said and said != token.name:
        raise Refused(
            f"the token in {TOKEN_ENV} is {token.name}'s, and --by says `{said}`", hint="leave --by out: the token says who it is"
        )
    return token.name


def _without(verb: str, arguments: Namespace) -> str:
    """What works without a token, for a hint."""
    return f"; on a gateway's host, without any: detent rollback {_named(arguments)} --local" if verb == "rollback" else ""


def now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def new_rollout_id() -> str:
    """A rollout id that sorts by time: `ro_`, eight characters of seconds and six random ones, since one `apply` opens many in a second."""
    return f"ro_{int(time.time()):08x}{secrets.token_hex(3)}"


def new_salt() -> str:
    """A fresh secret salt."""
    return secrets.token_hex(16)
