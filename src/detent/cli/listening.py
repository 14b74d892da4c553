"""Where a server listens and what it is called, as its command line says, under the pin file's rules."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from detent.errors import InvalidInput

if TYPE_CHECKING:
    from detent.terms import Manifest, Server


def listeners(manifest: Manifest, **given: str | None) -> Server:
    """The pin file's listeners, `data` and `control` as the command line names them. Raises InvalidInput for what the rules refuse."""
    from detent.manifest.rules import RULES

    server = replace(manifest.server, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    for rule in RULES:
        for found in rule({"server": asdict(server)}):
            raise InvalidInput(found.message, hint=found.hint)
    return server


def refuse_unfit(name: str | None, of: str) -> None:
    """Raise InvalidInput for a name that no file and no line of a log should have."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", name):
        raise InvalidInput(f"not a name for a {of}: `{name}`", hint="use letters, digits, `.`, `_` and `-`, at most 128")
