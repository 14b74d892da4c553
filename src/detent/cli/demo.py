"""`detent demo`: three version bumps through all four layers, over real HTTP."""

from __future__ import annotations

from argparse import Namespace

from detent.cli.command import Command, option
from detent.errors import CouldNotRun


def demo(arguments: Namespace) -> int:
    """Tell the story; exit 0 only if it ended as told."""
    from importlib.util import find_spec

    from rich.console import Console

    for sdk in ("openai", "anthropic"):
        if find_spec(sdk) is None:
            raise CouldNotRun(f"the demo's traffic uses the official SDKs; not installed: `{sdk}`", hint="pip install 'detent[demo]'")
    from detent.sim.demo import tell

    return tell(arguments.keep, arguments.seed, Console(soft_wrap=True))


COMMANDS: tuple[Command, ...] = (
    Command(
        name="demo",
        says="see three version bumps go through all four layers, in about a minute, without keys or network",
        group="first steps",
        run=demo,
        options=(
            option("--keep", says="leave everything running at the end, until Ctrl-C", action="store_true"),
            option("--seed", says="seed of the simulated traffic", type=int, metavar="N"),
        ),
    ),
)
