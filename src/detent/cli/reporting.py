"""`baseline diff, export`: what a comparison found, in many forms."""

from __future__ import annotations

from detent.cli.command import Command

COMMANDS: tuple[Command, ...] = ()
