"""`token add`, `token list`, `token revoke`: who may act on a store, by name and role."""

from __future__ import annotations

import json
import re
import secrets
import sys
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, option
from detent.errors import Exit, InvalidInput
from detent.terms import TOKEN_ROLES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}")


def add(arguments: Namespace) -> int:
    """Print a new token, once. The first one of a store has to be an approver's."""
    if not NAME.fullmatch(arguments.name) or arguments.name == "detent":
        hint = "use letters, digits, `.`, `_`, `@`, `+` and `-`; `detent` is what Detent calls itself"
        raise InvalidInput(f"not a name for a token: `{arguments.name}`", hint=hint)
    from detent.approving import same_name

    secret = f"dt_{secrets.token_urlsafe(32)}"
    with closing(place.open_store(arguments)) as store:
        by = place.actor(arguments, store, "token add")
        known = store.state.tokens()
        first = not known
        alike = next((one.name for one in known if one.name != arguments.name and same_name(one.name, arguments.name)), None)
        if alike is not None:
            raise InvalidInput(
                f"there is a token of `{alike}`, whose name differs only in its spelling: `{arguments.name}`", hint="choose another name"
            )
        store.state.add_token(arguments.name, arguments.role, secret, by=by, at=place.now())
    if arguments.json:
        print(json.dumps({"name": arguments.name, "role": arguments.role, "token": secret}))
    else:
        print(secret)
    _say(f"this token is {arguments.name}'s, {arguments.role}; it is shown this once: {place.TOKEN_ENV}=... detent ...")
    if first:
        _say("from now on every command that writes to this store asks for a token; `detent rollback --local` on a gateway's host does not")
    return Exit.PASS


def listed(arguments: Namespace) -> int:
    """Every name that has or had a token."""
    with closing(place.open_store(arguments)) as store:
        found = store.state.tokens()
    if arguments.json:
        rows = [
            {
                "name": token.name,
                "role": token.role,
                "by": token.by,
                "at": token.at.isoformat(),
                "revoked_at": token.revoked_at.isoformat() if token.revoked_at else None,
            }
            for token in found
        ]
        print(json.dumps(rows))
        return Exit.PASS
    for token in found:
        gone = f", revoked {token.revoked_at:%Y-%m-%d}" if token.revoked_at else ""
        print(f"{token.name:<24} {token.role:<9} since {token.at:%Y-%m-%d}, by {token.by}{gone}")
    if not found:
        print("no token: whoever can open the store may do anything, by any name")
    return Exit.PASS


def revoke(arguments: Namespace) -> int:
    """From now on this name's token is nobody's."""
    with closing(place.open_store(arguments)) as store:
        by = place.actor(arguments, store, "token revoke")
        gone = store.state.revoke_token(arguments.name, by=by, why=arguments.why, at=place.now())
    print(json.dumps({"name": gone.name, "role": gone.role}) if arguments.json else f"{gone.name}: revoked")
    return Exit.PASS


def _say(message: str) -> None:
    print(f"detent: {message}", file=sys.stderr)


GROUP = "audit and roles"
NAMED = option("name", says="whose token it is: the name that stands in the audit log", metavar="NAME")

COMMANDS: tuple[Command, ...] = (
    Command(
        name="token add",
        says="let somebody act, by name and role; prints the token once",
        group=GROUP,
        run=add,
        options=(
            NAMED,
            option("--role", says="viewer reads, operator runs and rolls back, approver also approves", choices=TOKEN_ROLES, required=True),
            place.BY,
            *place.PLACE,
            place.JSON,
        ),
        more="The token is read from DETENT_TOKEN. Tokens give the API its keys and the audit log its names; whoever can open the\n"
        "database itself can do anything.",
    ),
    Command(name="token list", says="who has a token, with which role", group=GROUP, run=listed, options=(*place.PLACE, place.JSON)),
    Command(
        name="token revoke",
        says="take a token back; its name is not given again",
        group=GROUP,
        run=revoke,
        options=(NAMED, place.BY, place.WHY, *place.PLACE, place.JSON),
    ),
)
