"""`python -m detent.shadow`: started by a gateway, never by hand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detent.errors import CouldNotRun, Exit
from detent.shadow.process import Settings, run, say


def main() -> int:
    """Mirror until the gateway that started this process is gone."""
    parser = argparse.ArgumentParser(prog="detent.shadow", description="Sends a gateway's mirrored requests; a gateway starts it.")
    parser.add_argument("--fd", type=int, required=True, help="the socket that jobs come in on")
    parser.add_argument("--home", type=Path, required=True, help="the directory of spools")
    parser.add_argument("--name", required=True, help="the gateway's name")
    parser.add_argument("--store", required=True, help="the store's URL")
    found = parser.parse_args()
    try:
        run(Settings(fd=found.fd, home=found.home, name=found.name, store=found.store))
    except CouldNotRun as error:
        say(error.message)
        return Exit.COULD_NOT_RUN
    return Exit.PASS


if __name__ == "__main__":
    sys.exit(main())
