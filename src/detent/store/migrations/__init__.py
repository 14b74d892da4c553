"""Stores of older Detents, brought to this one's schema: a file a number, which says what that schema added.

Numbers only ever add ("online"): gateways, shadows and servers of before go on beside it. An older ingester that can write no more waits,
and its spool keeps all. Each step looks whether it was done, so that who comes after a kill begins where it ended. Our own loop and no
tool's: two databases, one number, and steps that PostgreSQL does outside of a transaction.

A migration never names a table of `store.schema`: those are of the newest Detent, and what a number added does not change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from detent.store.migrations import m0002, m0003, m0004, m0005, m0006, m0007
from detent.store.migrations.steps import Step, Work
from detent.talk import say

if TYPE_CHECKING:
    from detent.store.database import Database

STEPS: Mapping[int, Sequence[Step]] = {
    2: m0002.STEPS,
    3: m0003.STEPS,
    4: m0004.STEPS,
    5: m0005.STEPS,
    6: m0006.STEPS,
    7: m0007.STEPS,
}
"""What each number added, in order. Number 1 is the first schema."""


def migrate(database: Database, tables: Collection[str], *, found: int, name: str) -> None:
    """Bring these tables of a store from a number to the newest one. `name` of `meta` has the number.

    The number that was found is looked at again: it may have grown while it was new. Whoever calls holds the lock of the schema.
    """
    work = Work(database, frozenset(tables), lambda line: say(f"detent: {line}"))
    for number, steps in STEPS.items():
        if number >= found:
            for step in steps:
                step(work)
            if number > found:
                work.note(name, str(number))
