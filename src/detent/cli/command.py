"""The row of the command table: one row makes the parser, the help, the reference page and the completion."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """One option or positional of a command: its spellings, what it means, and what else argparse needs to know."""

    flags: tuple[str, ...]
    says: str
    how: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: `name` may be two words (`sim replay`). `run` returns the exit code, and raises `DetentError` for what can be mended."""

    name: str
    says: str
    group: str
    run: Callable[[argparse.Namespace], int]
    options: tuple[Option, ...] = ()
    more: str = ""


def option(*flags: str, says: str, **how: Any) -> Option:
    """An `Option`, spelled like argparse's `add_argument`."""
    return Option(flags, says, how)
