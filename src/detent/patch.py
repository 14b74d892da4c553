"""The patch that makes the pin file true again when a rollout has ended: text in, text or unified diff out; comments and order survive."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import unified_diff
from pathlib import PurePath
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError

from detent.errors import InvalidInput
from detent.manifest.findings import escaped, shown
from detent.manifest.lines import scan
from detent.terms import Phase, Rollout

_PROMOTED: Final = (Phase.SOAK, Phase.DONE)

_ENDED: Final[dict[Phase, str]] = {
    Phase.REJECTED: "was rejected",
    Phase.ROLLED_BACK: "was rolled back",
    Phase.NOT_PROVED: "was not proved",
    Phase.ABORTED: "was aborted",
    Phase.VOID: "was void",
}


def propose(text: str, route: str, version: str) -> str:
    """The text of the pin file with `version` proposed as `next` of a route. Raises InvalidInput for a file without that route."""
    return _keeping_line_ends(text, lambda plain: _proposed(plain, route, version))


def settle(text: str, rollout: Rollout) -> str:
    """The text of the pin file as it should be now that `rollout` was promoted (soak, done) or has ended in another way.

    Promoted: `next` becomes `version`, and the former version becomes `rollback`. Otherwise `next` goes (or, where the file was patched at
    promotion already, `version` goes back), and a comment above `version` says why and when. A `next` that proposes yet another version
    stays; a file that says so already comes back unchanged, as does any file while the rollout is still on its way. Raises InvalidInput for
    a file that no longer has the route or pins something that the rollout knows nothing of. A trial of a version against itself changes
    nothing.
    """
    if rollout.aa:
        return text
    if rollout.phase in _PROMOTED:
        return _keeping_line_ends(text, lambda plain: _promoted(plain, rollout))
    if rollout.phase in _ENDED:
        return _keeping_line_ends(text, lambda plain: _withdrawn(plain, rollout))
    return text


def _keeping_line_ends(text: str, edit: Callable[[str], str]) -> str:
    if "\r\n" in text and "\n" not in text.replace("\r\n", ""):
        return edit(text.replace("\r\n", "\n")).replace("\n", "\r\n")
    return edit(text)


def _proposed(text: str, name: str, version: str) -> str:
    document, route = _opened(text, name)
    if "next" not in route:
        return _with_key(text, name, "next", version)
    route["next"] = version
    return tomlkit.dumps(document)


def _promoted(text: str, rollout: Rollout) -> str:
    document, route = _opened(text, rollout.route)
    _must_know(route, rollout)
    if route.get("next") == rollout.candidate.model:
        del route["next"]
    if route["version"] == rollout.candidate.model:
        return tomlkit.dumps(document)
    route["version"] = rollout.candidate.model
    if "rollback" in route:
        route["rollback"] = rollout.stable.model
        return tomlkit.dumps(document)
    return _with_key(tomlkit.dumps(document), rollout.route, "rollback", rollout.stable.model)


def _withdrawn(text: str, rollout: Rollout) -> str:
    document, route = _opened(text, rollout.route)
    _must_know(route, rollout)
    proposed, took_over = (route.get(key) == rollout.candidate.model for key in ("next", "version"))
    if not proposed and not took_over:
        return text
    if took_over:
        route["version"] = rollout.stable.model
        if route.get("rollback") == rollout.stable.model:
            del route["rollback"]
    if proposed:
        del route["next"]
    return _with_reason(tomlkit.dumps(document), rollout)


def _opened(text: str, name: str) -> tuple[tomlkit.TOMLDocument, Any]:
    """The document and the table of a route in it."""
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise InvalidInput(f"the pin file is not TOML: `{escaped(str(error))}`", hint="mend it; `detent plan` says where") from error
    routes = document.get("routes")
    route = routes.get(name) if isinstance(routes, dict) else None
    if not isinstance(route, dict) or not isinstance(route.get("version"), str):
        raise InvalidInput(
            f"the pin file has no such route with a version: {shown(name)}", hint="`detent status` lists the routes in force"
        )
    return document, route


def _must_know(route: Any, rollout: Rollout) -> None:
    if route.get("provider") != rollout.candidate.provider:
        hint = f"the rollout was opened with {shown(rollout.candidate.provider)}; `detent verify` shows what runs"
        raise InvalidInput(f"the pin file has another provider for {rollout.route}: {shown(route.get('provider'))}", hint=hint)
    if route["version"] not in (rollout.stable.model, rollout.candidate.model):
        hint = f"the rollout went from {shown(rollout.stable.model)} to {shown(rollout.candidate.model)}; `detent verify` shows what runs"
        raise InvalidInput(f"the pin file has another version for {rollout.route}: {shown(route['version'])}", hint=hint)


# tomlkit has no public way to put a key or a comment beside a key; in which line `version` stands is known, and a new line next to it is
# always a line of the same table, unless that is an inline table.


def _with_key(text: str, name: str, key: str, value: str) -> str:
    """A new key below `version`, its `=` in line; at the end of the table where `version` shares its line."""
    number = scan(text).of(("routes", name, "version"))
    lines = text.split("\n")
    found = re.match(r"""([ \t]*)(version[ \t]*)=([ \t]*)(?:"[^"]*"|'[^']*')[ \t]*(?:#.*)?$""", lines[number - 1])
    if found is None:
        document, route = _opened(text, name)
        route[key] = value
        return tomlkit.dumps(document)
    indent, column, gap = found[1], len(found[2]), found[3]
    padded = key.ljust(column) if column > len(key) else f"{key} "
    lines.insert(number, f"{indent}{padded}={gap}{tomlkit.string(value).as_string()}")
    return "\n".join(lines)


def _with_reason(text: str, rollout: Rollout) -> str:
    number = scan(text).of(("routes", rollout.route, "version"))
    lines = text.split("\n")
    below = lines[number - 1]
    indent = below[: len(below) - len(below.lstrip())]
    on = (rollout.ended_at or rollout.entered_at).date().isoformat()
    why = f": {escaped(rollout.reason)}" if rollout.reason else ""
    lines.insert(number - 1, f'{indent}# next = "{escaped(rollout.candidate.model)}" {_ENDED[rollout.phase]} on {on}{why}')
    return "\n".join(lines)


def unified(old: str, new: str, file: str = "detent.toml") -> str:
    """The unified diff from `old` to `new`, as `git apply` and `patch -p1` take it; empty when nothing changes.

    `file` is its path from where the patch is to be applied; of an absolute path only the name is used.
    """
    path = PurePath(file)
    name = path.name if path.is_absolute() else path.as_posix()
    diff = unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in diff)


def _lines(text: str) -> list[str]:
    """Lines with their ends, split at line feeds only: `splitlines` would split at form feeds too, which no patch tool does."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
