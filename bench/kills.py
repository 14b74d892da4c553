"""Kills with signal 9 at random moments: `python bench/kills.py [--kills N] [--seed S] [--rate R]`.

Gateways, controllers, ingesters and PostgreSQL on two hosts (directories of their own), with traffic and one rollout after the other. At
the end everything is held against what callers, spools and the database's own triggers took down: every acknowledged request answered,
every spooled record stored once, no illegal transition, no split that outlives its rollback, the audit chain intact, every decision
recomputed.

Ends with 1 where anything is not as it must be.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from detent.errors import Exit
from killing import killed

KILLS, RATE = 200, 25.0


def say(text: str) -> None:
    """Talk, on stderr."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=None, help="what is killed when; by default another one each time")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second over all gateways, about")
    parser.add_argument("--keep", type=Path, default=None, help="a new directory for homes, talk and spools, which is left there")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.COULD_NOT_RUN))  # so that no process is left behind
    seed = secrets.randbelow(10**6) if arguments.seed is None else arguments.seed
    say(f"seed {seed}")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="detent-kills-") as directory:
        if arguments.keep is not None:
            arguments.keep.mkdir()
        found = killed(arguments.keep or Path(directory), seed=seed, kills=arguments.kills, rate=arguments.rate, say=say)
    for wrong in found.wrong:
        print(f"WRONG: {wrong}")
    print(f"seed {seed}: {found}")
    print(f"{os.cpu_count()} processors; load before {load:.1f}, after {os.getloadavg()[0]:.1f}")
    return Exit.REGRESSION if found.wrong else Exit.PASS


if __name__ == "__main__":
    sys.exit(main())
