"""What a pin file may say of how owners are told. As in `rules`, each rule skips what has the wrong shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from detent.manifest.findings import Finding, dotted, shown
from detent.manifest.rules import Data, strings

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ADDRESS = re.compile(r"[^\s@<>,;:\"()\\]+@[^\s@<>,;:\"()\\]+")
"""An e-mail address, as far as it can be told from anything else."""


def _variables(data: Data) -> Iterator[Finding]:
    for key, like in (("webhook_env", "DETENT_WEBHOOK"), ("smtp_env", "DETENT_SMTP")):
        for path, value in strings(data, "notify", key):
            if not _VARIABLE.fullmatch(value):  # an address pasted here by mistake holds a secret, which must not reach a terminal or a log
                hint = f"write the variable's name, like `{like}`; the address and its secrets stay outside the file"
                yield Finding(path, f"{dotted(path)} is not the name of an environment variable: `(not shown)`", hint)


def _sender(data: Data) -> Iterator[Finding]:
    for path, value in strings(data, "notify", "sender"):
        if not ADDRESS.fullmatch(value):
            yield Finding(path, f"{dotted(path)} is no e-mail address: {shown(value)}", "write it like `detent@example.com`")


def _owners(data: Data) -> Iterator[Finding]:
    """Mail goes to a route's owner: who is no address gets none."""
    if not any(True for _ in strings(data, "notify", "smtp_env")):
        return
    for path, owner in strings(data, "routes", "*", "owner"):
        if owner.strip() and not ADDRESS.fullmatch(owner.strip()):
            hint = "write the owner's address, or take `smtp_env` out and tell them by a webhook"
            yield Finding(path, f"{dotted(path)} is no e-mail address, and [notify] sends mail: {shown(owner)}", hint)


NOTIFY_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (_variables, _sender, _owners)
"""The rules for [notify], in the order of the file."""
