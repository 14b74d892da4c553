"""`shadow`: what a rollout's shadow has compared, where the two versions' answers differ, and what it cost."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command
from detent.cli.rollouts import ROLLOUT, find
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from detent.explain import Example
    from detent.grading import Side
    from detent.store import Store
    from detent.terms import Group, Rollout

QUOTED_GROUPS = 50
"""Of so many groups the examples are read from the journal: all that people see, and enough for machines."""


def shadow(arguments: Namespace) -> int:
    """Print the shadow of a rollout."""
    from detent.evidence.minutes import MINUTE_US
    from detent.explain import ShadowBeside, beyond_first, headline, shadow_json, shadow_told, timings_of
    from detent.terms import micros
    from detent.visible import visible

    now = place.now()
    with closing(place.open_store(arguments)) as store:
        rollout = find(store, arguments.rollout)
        if rollout.aa:
            raise InvalidInput(f"a trial of a version against itself has no shadow: `{rollout.id}`", hint="name another rollout")
        found = store.state.shadow_evidence(rollout)
        groups = beyond_first(rollout, found, store.state.shadow_groups(rollout.id))
        beside = ShadowBeside(
            groups=groups,
            examples=_examples(store, rollout, groups[:QUOTED_GROUPS]),
            days=store.state.shadow_days(rollout.id),
            timings=timings_of(rollout, store.state.minute_sums(rollout.route, since_us=micros(rollout.opened_at) - MINUTE_US)),
            spent=store.state.spent(rollout.id),
            not_mirrored=store.state.not_mirrored(rollout.id),
        )
    if arguments.json:
        print(json.dumps(shadow_json(rollout, found, beside, now)))
        return Exit.PASS
    # Both versions' answers are text of strangers, and no terminal obeys them.
    told = [headline(rollout, now), *shadow_told(rollout, found, beside, now)]
    print("\n".join(visible(line, one_line=True) for line in told))
    return Exit.PASS


def _examples(store: Store, rollout: Rollout, groups: Iterable[Group]) -> dict[str, Example]:
    """The answers of the groups' examples as they are stored, which is redacted."""
    from detent.explain import Example

    wanted = list(dict.fromkeys(exchange for group in groups for exchange in group.examples))
    recorded = store.journal.recorded_pairs(rollout.id, wanted) if wanted else ()
    return {one.exchange: Example(exchange=one.exchange, stable=_said(one.stable), candidate=_said(one.candidate)) for one in recorded}


def _said(side: Side) -> str:
    """What a side answered, in words and calls; of an answer that was not kept, nothing."""
    if side.answer is None:
        return ""
    calls = [f"{call.name}({call.arguments})" for call in side.answer.tool_calls]
    return " ".join(filter(None, [side.answer.text, *calls, side.said]))


COMMANDS: tuple[Command, ...] = (
    Command(
        name="shadow",
        says="what a shadow has compared, how much of tomorrow's traffic that is, where the answers differ, what it cost",
        group="rollouts",
        run=shadow,
        options=(ROLLOUT, *place.PLACE, place.JSON),
    ),
)
