"""What a pin file may say of providers, routes and listeners.

Each rule reads the data as written and skips what has the wrong shape, so that one run names every error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from detent.catalog import Floating, snapshot
from detent.checks import find_context
from detent.errors import InvalidInput
from detent.manifest.defaults import BUILTIN_PLANS
from detent.manifest.findings import Finding, Path, did_you_mean, dotted, shown
from detent.manifest.structure import NAMED
from detent.terms import Dialect, Prompt, Server

Data = Mapping[str, Any]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def select(data: object, pattern: Path, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of the file whose path has the form of the pattern; `*` stands for any one key or element."""
    if not pattern:
        yield path, data
    elif pattern[0] == "*" and isinstance(data, dict | list):
        for key in data if isinstance(data, dict) else range(len(data)):
            yield from select(data[key], pattern[1:], (*path, key))
    elif isinstance(data, dict) and pattern[0] in data:
        yield from select(data[pattern[0]], pattern[1:], (*path, pattern[0]))


def tables(data: object, *pattern: str | int) -> Iterator[tuple[Path, dict[str, Any]]]:
    """As `select`, tables only."""
    return ((path, value) for path, value in select(data, pattern) if isinstance(value, dict))


def strings(data: object, *pattern: str | int) -> Iterator[tuple[Path, str]]:
    """As `select`, strings only."""
    return ((path, value) for path, value in select(data, pattern) if isinstance(value, str))


def names_of(data: Data, group: str) -> list[str]:
    """The names that stand in a table of tables."""
    return [str(path[-1]) for path, _ in select(data, (group, "*"))]


# ── names, owners, variables ────────────────────────────────────────────────────────────────────────────────────────


def _names(data: Data) -> Iterator[Finding]:
    for group in NAMED:
        if group == "prices":  # named by `provider/model`
            continue
        for path, _ in select(data, (group, "*")):
            if not _NAME.fullmatch(str(path[-1])):
                hint = "use lower-case letters, digits, `.`, `_` and `-`, a letter or digit first, at most 128"
                yield Finding(path, f"not a name for one of [{group}.…]: {shown(path[-1])}", hint)


def _not_empty(data: Data) -> Iterator[Finding]:
    for pattern in (("providers", "*", "watcher"), ("routes", "*", "owner"), ("routes", "*", "context")):
        for path, value in strings(data, *pattern):
            if not value.strip():
                yield Finding(
                    path,
                    f"{dotted(path)} is empty: {shown(value)}",
                    "write whom or what it names, or take the key out where it is optional",
                )
    for group in ("providers", "routes"):
        if data.get(group) == {}:
            yield Finding(
                (group,), f"there is nothing in it: `[{group}]`", f"write at least one [{group}.NAME]; `detent init` writes an example"
            )


def _variables(data: Data) -> Iterator[Finding]:
    for pattern in (("providers", "*", "key_env"), ("providers", "*", "shadow_key_env"), ("server", "clients_env")):
        for path, value in strings(data, *pattern):
            if not _VARIABLE.fullmatch(value):  # a key pasted here by mistake must not reach a terminal or a CI log
                hint = "write the variable's name, like `OPENAI_API_KEY`; what it holds stays outside the file"
                yield Finding(path, f"{dotted(path)} is not the name of an environment variable: `(not shown)`", hint)


# ── providers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _base_urls(data: Data) -> Iterator[Finding]:
    for path, value in strings(data, "providers", "*", "base_url"):
        fault = _url_fault(value)
        if fault is not None:
            says, hint, show = fault
            yield Finding(path, f"{dotted(path)} {says}: {shown(value) if show else '`(not shown)`'}", hint)


def _url_fault(url: str) -> tuple[str, str, bool] | None:
    """What is wrong with a base URL, what to do, and whether the value may be shown; None for a good one."""
    try:
        parts = urlsplit(url)
        host, secret, _ = parts.hostname, "@" in parts.netloc, parts.port
    except ValueError:
        return "is no URL", "write it like `https://api.openai.com/v1`", "@" not in url
    if secret:
        return "holds credentials", "take them out of the URL: the key's environment variable goes to `key_env`", False
    if parts.query or parts.fragment:
        return "has a query or a fragment", "write scheme, host and path only; a key in the query belongs into `key_env`", False
    if parts.scheme not in {"http", "https"} or not host or not url.isprintable() or " " in url:
        return "is no http(s) URL", "write it like `https://api.openai.com/v1`", True
    if parts.scheme == "http" and not is_loopback(host):
        return (
            "would send keys and prompts in the clear",
            "use https; plain http is for this machine only (127.0.0.1, [::1], localhost)",
            True,
        )
    return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its name or its literal address; nothing is resolved."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


# ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _providers_of_routes(data: Data) -> Iterator[Finding]:
    for path, name in strings(data, "routes", "*", "provider"):
        if name not in names_of(data, "providers"):
            yield Finding(path, f"unknown provider: {shown(name)}", did_you_mean(name, names_of(data, "providers")))
        elif dialect_of(data, name) is Dialect.GEMINI:
            hint = "requests of this dialect pass through as they are; leave them without a route for now"
            yield Finding(path, f"a route on a provider of dialect gemini, whose answers are not read yet: {shown(name)}", hint)


def dialect_of(data: Data, provider: object) -> Dialect:
    """The dialect of a provider; where that is wrong or missing, the one that judges model ids by their shape alone."""
    written = next((v for _, v in select(data, ("providers", str(provider), "dialect"))), None)
    return Dialect(written) if isinstance(written, str) and written in set(Dialect) else Dialect.OPENAI


def _versions(data: Data) -> Iterator[Finding]:
    for key in ("version", "next", "rollback"):
        for path, model in strings(data, "routes", "*", key):
            provider = data["routes"][path[1]].get("provider")
            judged = snapshot(dialect_of(data, provider), model)
            if isinstance(judged, Floating):
                hint = (
                    f"known snapshots: {judged.suggestion}" if judged.suggestion else "write an exact id of the provider's list of models"
                )
                hint += "; the `model` of an answer says which one answered"
                yield Finding(path, f"{dotted(path)} is a floating alias, not a version ({judged.reason}): {shown(model)}", hint)


_SAME = (
    ("next", "version", "proposes what is pinned already", "take `next` out, or name another version"),
    ("rollback", "version", "names the pinned version as its own way back", "name the version before it, or take `rollback` out"),
)


def _same_versions(data: Data) -> Iterator[Finding]:
    for path, route in tables(data, "routes", "*"):
        for key, other, says, hint in _SAME:
            if isinstance(route.get(key), str) and route.get(key) == route.get(other):
                yield Finding((*path, key), f"{dotted((*path, key))} {says}: {shown(route[key])}", hint)


def _plans_of_routes(data: Data) -> Iterator[Finding]:
    known = dict.fromkeys([*names_of(data, "plans"), *BUILTIN_PLANS])
    for path, name in strings(data, "routes", "*", "plan"):
        if name not in known:
            yield Finding(path, f"unknown plan: {shown(name)}", did_you_mean(name, known))


def _contexts(data: Data) -> Iterator[Finding]:
    for path, value in strings(data, "routes", "*", "context"):
        try:
            find_context(value, Prompt())
        except InvalidInput as error:
            yield Finding(path, f"{dotted(path)} is no context locator: {shown(value)}", error.hint or error.message)


_NO_TWICE: tuple[Path, ...] = (
    ("routes", "*", "unit"),
    ("routes", "*", "checks"),
    ("routes", "*", "processors"),
    ("plans", "*", "approve"),
    ("plans", "*", "shadow", "harms"),
)


def _units(data: Data) -> Iterator[Finding]:
    for path, value in select(data, ("routes", "*", "unit")):
        if value == []:
            yield Finding(path, f"{dotted(path)} is empty: `[]`", 'write ["session"], ["user"] or ["session", "user"]')
    for pattern in _NO_TWICE:
        for path, value in select(data, pattern):
            for i, item in enumerate(value if isinstance(value, list) else ()):
                if item in value[:i]:
                    yield Finding((*path, i), f"{dotted(path)} names it twice: {shown(item)}", "take one of them out")


# ── listeners ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _addresses(data: Data) -> Iterator[Finding]:
    for key in ("data", "control"):
        for path, value in strings(data, "server", key):
            host = _host(value)
            if host is None:
                yield Finding(path, f"{dotted(path)} must be HOST:PORT: {shown(value)}", "write it like `127.0.0.1:8700` or `[::1]:8700`")
            elif is_loopback(host):
                continue
            elif key == "control":
                hint = "use 127.0.0.1 and reach it through a tunnel (`ssh -L`)"
                yield Finding(path, f"{dotted(path)} would let other machines promote and roll back, without a login: {shown(value)}", hint)
            elif not data["server"].get("clients_env"):
                hint = (
                    'set clients_env = "DETENT_CLIENT_KEYS", whose variable lists the keys that clients must send, or listen on 127.0.0.1'
                )
                yield Finding(path, f"{dotted(path)} would serve other machines without client keys: {shown(value)}", hint)
    for path, server in tables(data, "server"):
        first, second = server.get("data", Server().data), server.get("control", Server().control)
        if first == second and not str(first).endswith(":0"):
            yield Finding((*path, "control"), f"both listeners on one address: {shown(first)}", "give `control` a port of its own")


def _approvers(data: Data) -> Iterator[Finding]:
    """A blank name would be that of whoever gives none."""
    for path, server in tables(data, "server"):
        names = server.get("approves_alone")
        for i, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and (not name.strip() or name != name.strip() or not name.isprintable()):
                yield Finding((*path, "approves_alone", i), f"not a name: {shown(name)}", "write it as the token or `--by` says it")


def _host(address: str) -> str | None:
    """The host of `127.0.0.1:8700` or `[::1]:8700`, or None if it is neither."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", address, re.ASCII)
    return (found[1] or found[2]) if found and int(found[3]) <= 65535 else None


RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (
    _names,
    _not_empty,
    _variables,
    _base_urls,
    _providers_of_routes,
    _versions,
    _same_versions,
    _plans_of_routes,
    _contexts,
    _units,
    _addresses,
    _approvers,
)
"""The rules for everything but plans, checks, judges and prices, in the order of the file."""
