"""`judge calibrate`: how far the judge agrees with people."""

from __future__ import annotations

from detent.cli.command import Command

COMMANDS: tuple[Command, ...] = ()
