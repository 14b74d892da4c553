"""Each named change x 50 prompts and as many decoys: `python bench/detectors.py [--prompts N] [--seed N]`. Ends with 1 below a bar.

recall: share of the pairs with the change in which it is named. false: share of the decoys in which it is named all the same; decoys say
the same in other words, in another order or layout, or have in both answers what would be new in one. Two worlds: `tuned` was looked at
while the detectors were made; `held out` has other subjects and phrases, and was not. `besides` counts the other names on the pairs with
the change.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

import changed
import pairs
from detent.diff import BENIGN, CHANGES, changes

LEAST_RECALL = 0.95
MOST_FALSE = 0.02
LEAST_BENIGN = 0.95


@dataclass(frozen=True)
class Row:
    """What was found of one change in one world."""

    world: str
    name: str
    recall: float
    false: float
    besides: Counter[str]
    missed: tuple[pairs.Pair, ...] = ()
    fooled: tuple[pairs.Pair, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether both bars are met."""
        return self.recall >= LEAST_RECALL and self.false <= MOST_FALSE


def names(pair: pairs.Pair) -> list[str]:
    """The names found."""
    return [found.name for found in changes(*pair)]


def rows(world: str, prompts: int, seed: int) -> Iterator[Row]:
    """A row for each named change."""
    place = pairs.WORLDS[world]
    for row in CHANGES:
        maker, own = changed.MAKERS[row.name]
        random = Random(f"{seed} {world} {row.name}")
        with_it = [maker(random, place) for _ in range(prompts)]
        decoy: Callable[[Random, pairs.World], pairs.Pair] = pairs.decoy if not row.benign else own
        without = [(own if n % 2 else decoy)(random, place) for n in range(prompts)]
        found = [names(pair) for pair in with_it]
        fooled = [pair for pair in without if row.name in names(pair)]
        yield Row(
            world,
            row.name,
            sum(row.name in one for one in found) / prompts,
            len(fooled) / prompts,
            Counter(name for one in found for name in one if name != row.name),
            tuple(pair for pair, one in zip(with_it, found, strict=True) if row.name not in one),
            tuple(fooled),
        )


def rewordings(world: str, prompts: int, seed: int) -> tuple[float, float, Counter[str]]:
    """Of answers that only reword: the share with benign names only, the share with a benign name, and the other names."""
    random = Random(f"{seed} {world} rewordings")
    found = [names(pairs.decoy(random, pairs.WORLDS[world])) for _ in range(prompts)]
    other = Counter(name for one in found for name in one if name not in BENIGN)
    return sum(not set(one) - BENIGN for one in found) / prompts, sum(bool(set(one) & BENIGN) for one in found) / prompts, other


def _shown(pair: pairs.Pair) -> str:
    stable, candidate, _ = pair
    said = "\n".join(f"      {side.text or side.tool_calls!r:.600}" for side in (stable, candidate))
    return f"{said}\n      {[f'{c.name}: {c.detail}' for c in changes(*pair)]}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--show", help="print what was missed of this change, and the decoys that it was seen in")
    options = parser.parse_args()
    began, below = time.perf_counter(), 0
    for world in pairs.WORLDS:
        print(f"\n{world}: {options.prompts} prompts and {options.prompts} decoys for each change")
        print(f"{'change':24} {'recall':>7} {'false':>6}      besides")
        for row in rows(world, options.prompts, options.seed):
            besides = ", ".join(f"{name} {n}" for name, n in row.besides.most_common(4))
            below += not row.holds
            print(f"{row.name:24} {row.recall:7.2f} {row.false:6.2f} {'    ' if row.holds else 'MISS'} {besides}")
            if options.show == row.name:
                print("    missed:", *map(_shown, row.missed[:8]), "    fooled:", *map(_shown, row.fooled[:8]), sep="\n")
        only, some, other = rewordings(world, 10 * options.prompts, options.seed)
        below += only < LEAST_BENIGN
        print(
            f"{10 * options.prompts} rewordings of every kind: {only:.1%} with benign names only{'' if only >= LEAST_BENIGN else ' MISS'}, "
            f"{some:.1%} with one; others: {dict(other.most_common(6))}"
        )
    bar = f"recall >= {LEAST_RECALL}, false <= {MOST_FALSE}, rewordings with benign names only >= {LEAST_BENIGN}"
    print(f"\nbar: {bar}; below it: {below}; {time.perf_counter() - began:.1f} s")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
