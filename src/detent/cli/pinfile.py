"""`init` and `schema`: how a pin file begins, and the shapes of what Detent reads and prints."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from detent.cli.command import Command, option
from detent.errors import CouldNotRun, Exit, InvalidInput, Refused

NAME = "detent.toml"


def starting_text() -> str:
    """The commented pin file that `detent init` writes; it is valid as it stands."""
    return files("detent.cli").joinpath("starting.toml").read_text(encoding="utf-8")


def init(arguments: Namespace) -> int:
    """Write a commented starting pin file. Raises Refused where one stands already."""
    path = Path(arguments.directory) / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(starting_text())
    except FileExistsError:
        if path.parent.is_dir():
            raise Refused(f"there is a pin file already: `{path}`", hint=f"edit that one; `detent plan --file {path}` checks it") from None
        raise InvalidInput(f"not a directory: `{path.parent}`", hint="name a directory, or leave it out for this one") from None
    except NotADirectoryError:
        raise InvalidInput(f"not a directory: `{path.parent}`", hint="name a directory, or leave it out for this one") from None
    except OSError as error:
        raise CouldNotRun(f"cannot write `{path}`: {error.strerror}") from None
    print(path)
    place = "" if path == Path(NAME) else f" --file {path}"
    print(f"next: name your provider, routes and owners in it, then run `detent plan{place}`", file=sys.stderr)
    return Exit.PASS


def _compare() -> dict[str, Any]:
    from detent import compare

    return compare.schema()


def _pin_file() -> dict[str, Any]:
    from detent import manifest

    return manifest.schema()


def _report() -> dict[str, Any]:
    from detent import report

    return report.schema()


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {"compare": _compare, "report": _report, "pinfile": _pin_file, NAME: _pin_file}


def schema(arguments: Namespace) -> int:
    """Print one JSON schema to stdout."""
    print(json.dumps(SCHEMAS[arguments.of](), indent=2, ensure_ascii=False))
    return Exit.PASS


GROUP = "pin file"

COMMANDS: tuple[Command, ...] = (
    Command(
        name="init",
        says="write a commented starting detent.toml; never overwrites one",
        group=GROUP,
        run=init,
        options=(option("directory", says="where; by default here", nargs="?", default=".", metavar="DIR"),),
    ),
    Command(
        name="schema",
        says="print a JSON schema: of the pin file, or of what a command prints with --json",
        group=GROUP,
        run=schema,
        options=(option("of", says=f"which one: {', '.join(SCHEMAS)}", choices=tuple(SCHEMAS)),),
    ),
)
