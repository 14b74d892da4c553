"""`import`: what a file of recorded traffic holds."""

from __future__ import annotations

from detent.cli.command import Command

COMMANDS: tuple[Command, ...] = ()
