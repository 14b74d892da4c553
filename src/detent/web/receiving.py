"""What reaches the control listener, before anything is done with it: who may ask from where, and what a request says.

A browser on this machine is the enemy at this door: a page of another site may send requests to it (CSRF), also under a name of its own
that leads here (DNS rebinding). Both are refused by what browsers say of themselves; a token in a header, which no form can send, is asked
for besides.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec

from detent.roles import REQUESTS
from detent.terms import TokenRole

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

MOST_BODY = 64 * 1024
"""More than any reason needs."""

BODY_S = 10.0
"""How long a body may take to arrive."""

_BEARER = re.compile(rb"[Bb]earer +([A-Za-z0-9._~+/-]+=*)")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Unfit(Exception):
    """A request that is answered without being carried out: status, what is wrong, what to do."""

    def __init__(self, status: int, error: str, hint: str = "", **headers: str) -> None:
        super().__init__(error)
        self.status = status
        self.told = {"error": error} | ({"hint": hint} if hint else {})
        self.headers = headers


class Word(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a caller says with a verb. `revision` is the rollout's as they saw it; approvals alone read it."""

    why: str = ""
    revision: int | None = None


_WORD = msgspec.json.Decoder(Word)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that may be looked at: which row of `roles.REQUESTS` it is, what its path names, and the token that it carries."""

    method: str
    pattern: str
    named: dict[str, str]
    query: dict[str, list[str]] = field(default_factory=dict)
    secret: str | None = None
    address: str = ""

    @property
    def needs(self) -> TokenRole | None:
        """The least role that may ask for it."""
        return REQUESTS[self.method, self.pattern]


def asked(scope: Scope) -> Asked:
    """What a request asks for. Raises Unfit for one from elsewhere, and for one that no row of the table has."""
    host = _one(scope, b"host")
    if host is None or host.rpartition(":")[0].lower() not in LOOPBACK_HOSTS:
        raise Unfit(403, "this listener answers loopback names only")
    _refuse_other_sites(scope, host)
    method, path = str(scope["method"]), str(scope["path"])
    if scope.get("raw_path", path.encode()) != path.encode():
        raise Unfit(404, "no such path: an escaped one leads nowhere")
    rows = [(row, pattern, named) for row, pattern in REQUESTS if (named := _match(pattern, path)) is not None]
    for row, pattern, named in rows:
        if row == method:
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            address = (scope.get("client") or ("",))[0]
            return Asked(method=method, pattern=pattern, named=named, query=query, secret=_secret(scope), address=address)
    if rows:
        allowed = ", ".join(row for row, _, _ in rows)
        raise Unfit(405, f"not {method}", hint=f"this path takes {allowed}; a change is made by POST", allow=allowed)
    raise Unfit(404, "no such path", hint="; ".join(f"{method} {pattern}" for method, pattern in REQUESTS))


async def word(scope: Scope, receive: Receive) -> Word:
    """The JSON body of a verb. Raises Unfit for another content type, a body too large or too slow, and one that says something else.

    The content type is asked for since a page of another site cannot send it without asking first, and nobody here would answer yes.
    """
    if (_one(scope, b"content-type") or "").partition(";")[0].strip().lower() != "application/json":
        raise Unfit(415, "a verb takes JSON", hint='content-type: application/json, and a body like {"why": "..."}')
    try:
        async with asyncio.timeout(BODY_S):
            body = await _body(scope, receive)
    except TimeoutError:
        raise Unfit(408, f"the body took longer than {BODY_S:g} s") from None
    try:
        return _WORD.decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unfit(400, f"not a body of a verb: {error}", hint='like {"why": "..."}') from None


async def _body(scope: Scope, receive: Receive) -> bytes:
    declared = _one(scope, b"content-length") or "0"
    if not declared.isdecimal() or int(declared) > MOST_BODY:
        raise Unfit(413, f"a body has at most {MOST_BODY} bytes")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unfit(400, "the body broke off")
        body += message.get("body", b"")
        if len(body) > MOST_BODY:
            raise Unfit(413, f"a body has at most {MOST_BODY} bytes")
        if not message.get("more_body"):
            return bytes(body)


def _refuse_other_sites(scope: Scope, host: str) -> None:
    """What a browser sends for a page of another site says so; programs say nothing of the kind."""
    origin, site = _one(scope, b"origin"), _one(scope, b"sec-fetch-site")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        raise Unfit(403, "not from a page of another site")
    if site is not None and site not in {"same-origin", "none"}:
        raise Unfit(403, "not from a page of another site")


def _secret(scope: Scope) -> str | None:
    said = [value for name, value in scope["headers"] if name == b"authorization"]
    if not said:
        return None
    found = _BEARER.fullmatch(said[0].strip())
    if len(said) > 1 or found is None:
        raise Unfit(401, "one header `Authorization: Bearer TOKEN`", **{"www-authenticate": "Bearer"})
    return found[1].decode()


def _one(scope: Scope, name: bytes) -> str | None:
    """A header that may stand there once; None where it doesn't. Raises Unfit where it stands there twice."""
    said = [value.decode("latin-1") for header, value in scope["headers"] if header == name]
    if len(said) > 1:
        raise Unfit(400, f"the header {name.decode()} is there {len(said)} times")
    return said[0] if said else None


def _match(pattern: str, path: str) -> dict[str, str] | None:
    """What a path names by a pattern; None for another path."""
    wanted, given = pattern.split("/"), path.split("/")
    named: dict[str, str] = {}
    if len(wanted) != len(given):
        return None
    for part, said in zip(wanted, given, strict=True):
        if part.startswith("{"):
            if not _NAMED.fullmatch(said):
                return None
            named[part.strip("{}")] = said
        elif part != said:
            return None
    return named
