"""The command line: one table of commands makes the parser, the help, the reference page and the completion.

Data goes to stdout, talk to stderr; exit codes are `errors.Exit`. The modules of the commands import what they need when they run, so that
`detent --help` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from detent.cli import (
    alerts,
    apply,
    approving,
    audit,
    blessing,
    compare,
    controller,
    decisions,
    demo,
    drill,
    freezing,
    importing,
    incidents,
    ingest,
    judging,
    patching,
    pinfile,
    power,
    reporting,
    retiring,
    rolling_back,
    rollouts,
    running,
    serve,
    shadow,
    sim,
    tokens,
    verify,
)
from detent.cli.command import Command
from detent.errors import DetentError, Exit

COMMANDS: tuple[Command, ...] = (
    *demo.COMMANDS,
    *compare.COMMANDS,
    *pinfile.COMMANDS,
    *apply.COMMANDS,
    *power.COMMANDS,
    *serve.COMMANDS,
    *controller.COMMANDS,
    *ingest.COMMANDS,
    *rolling_back.COMMANDS,  # first of its group: whoever needs it has no time to look
    *rollouts.COMMANDS,
    *alerts.COMMANDS,
    *retiring.COMMANDS,
    *approving.COMMANDS,
    *drill.COMMANDS,
    *verify.COMMANDS,
    *patching.COMMANDS,
    *shadow.COMMANDS,
    *decisions.COMMANDS,
    *importing.COMMANDS,
    *freezing.COMMANDS,
    *blessing.COMMANDS,
    *incidents.COMMANDS,
    *running.COMMANDS,
    *reporting.COMMANDS,
    *judging.COMMANDS,
    *audit.COMMANDS,
    *tokens.COMMANDS,
    *sim.COMMANDS,
)

INTERRUPTED = 130
READER_GONE = 141
"""128 + SIGPIPE, as of any command whose reader went away: neither a pass nor a finding."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; two-word commands (`sim replay`) are nested."""
    groups = dict.fromkeys(command.group for command in COMMANDS)
    epilog = (
        "\n".join(_help_of(group) for group in groups)
        + "\n\nexit codes: "
        + ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in Exit)
    )
    parser = argparse.ArgumentParser(
        prog="detent",
        usage="detent COMMAND [options]\n       detent COMMAND --help",
        description="Make every LLM model-version change a staged, automatic, reversible rollout.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    top = parser.add_subparsers(prog="detent", metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    nested: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for command in COMMANDS:
        first, _, second = command.name.partition(" ")
        if second and first not in nested:
            family = top.add_parser(first, description=f"The `{first}` commands.")
            nested[first] = family.add_subparsers(metavar="COMMAND", required=True)
        home = nested[first] if second else top
        child = home.add_parser(
            second or first,
            help=command.says,
            description=command.says + (f"\n\n{command.more}" if command.more else ""),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for option in command.options:
            child.add_argument(*option.flags, help=option.says.replace("%", "%%"), **option.how)
        child.set_defaults(run=command.run)
    return parser


def _help_of(group: str) -> str:
    rows = [f"  {command.name:<18} {command.says}" for command in COMMANDS if command.group == group]
    return f"\n{group}:\n" + "\n".join(rows)


def _version() -> str:
    from importlib.metadata import version

    return f"detent {version('detent')}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help(sys.stderr)
        return int(Exit.USAGE)
    arguments = parser.parse_args(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
    except DetentError as error:
        print(f"detent: {error}", file=sys.stderr)
        return int(error.exit)
    except KeyboardInterrupt:
        print("detent: interrupted; run the same command to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away: nothing more to say to it
        return READER_GONE
    except Exception as error:  # an exit code of 1 means a confirmed regression, and never a fault of ours
        if os.environ.get("DETENT_DEBUG"):
            raise
        print(f"detent: {type(error).__name__}: {error}\nhint: a fault in detent; DETENT_DEBUG=1 shows where", file=sys.stderr)
        return int(Exit.COULD_NOT_RUN)
    return code
