"""`decision replay` and `decision what-if`: what was decided, made again."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command, option
from detent.cli.rollouts import ROLLOUT, find
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from detent.recompute import Replayed, WhatIf


TOGETHER = "none is missing by the audit log and the rollout's count of revisions, and each follows from the one before it"


def replay(arguments: Namespace) -> int:
    """Make every stored decision again: exit 0 when all are the same, 1 when one differs, 4 when one cannot be made again.

    What a person decided is nobody's to make again; it is told, and neither the same nor different.
    """
    from detent.recompute import missing
    from detent.recompute import replay as again

    with closing(place.open_store(arguments)) as store:
        rollout = find(store, arguments.rollout)
        stored = store.state.decided(rollout.id)
        log = [(row.at, row.by, row.what) for row in store.state.audit(None, rollout=rollout.id)]
    found, wrong = again(stored), missing(rollout, stored, log)
    if arguments.json:
        rows = [
            {
                "at": one.decision.at.isoformat(),
                "verb": one.decision.verb,
                "reason": one.decision.reason,
                "digest": one.decision.evidence_digest,
                "same": one.same if one.again else None,
                "by_hand": one.by_hand,
                "why": _why(one),
            }
            for one in found
        ]
        print(json.dumps({"rollout": rollout.id, "decisions": rows, "wrong": wrong}))
    else:
        for one in found:
            print(f"{one.decision.at:%Y-%m-%d %H:%M:%S}  {one.decision.verb} ({one.decision.reason})  {_outcome(one)}")
        by_hand = sum(one.by_hand for one in found)
        besides = f", {by_hand} a person's word" if by_hand else ""
        whole = "" if wrong or not found else f"; {TOGETHER}"
        print(f"{sum(one.same for one in found)} of {len(found)} decisions of {rollout.id} recompute to the same value{besides}{whole}")
        print("\n".join(wrong or ([] if found else ["no decision is stored"])), end="\n" if wrong or not found else "")
    if not found or any(one.again is None and not one.by_hand for one in found):
        return Exit.COULD_NOT_RUN
    return Exit.PASS if all(one.same or one.by_hand for one in found) and not wrong else Exit.REGRESSION


def _outcome(one: Replayed) -> str:
    if one.by_hand:
        return f"{one.why}: {one.decision.sentence}"
    if one.again is None:
        return f"cannot be made again: {one.why}"
    return "same" if one.same else f"DIFFERENT: {_why(one)}"


def _why(one: Replayed) -> str:
    if one.again is None:
        return one.why
    return "" if one.same else f"now {one.again.verb} ({one.again.reason}) {one.again.sentence}"


def what_if(arguments: Namespace) -> int:
    """What would have been decided under another plan, over the evidence that was recorded with the decisions."""
    from detent.recompute import changed
    from detent.recompute import what_if as again

    if arguments.alpha is None and not arguments.guard:
        raise InvalidInput("nothing to change", hint="give --alpha, or --guard METRIC.key=value, or both")
    with closing(place.open_store(arguments)) as store:
        rollout = find(store, arguments.rollout)
        stored = store.state.decided(rollout.id)
    change = partial(changed, alpha=arguments.alpha, guards=arguments.guard, declared=rollout.declared)
    change(rollout.plan)  # what is wrong with it is said although nothing was decided yet
    found = list(again(stored, change))
    if arguments.json:
        print(json.dumps({"rollout": rollout.id, "decisions": [_as_row(one) for one in found]}))
        return Exit.PASS
    print(f"{'when':<20} {'was':<34} would have been")
    for one in found:
        was, would = (f"{d.verb} ({d.reason})" for d in (one.decision, one.would_be))
        mark = "" if one.same else f"  {one.would_be.sentence}"
        print(f"{one.decision.at:%Y-%m-%d %H:%M:%S}  {was:<34} {would}{mark}")
    print(_conclusion(found, len(stored)))
    return Exit.PASS


def _as_row(one: WhatIf) -> dict[str, object]:
    return {
        "at": one.decision.at.isoformat(),
        "was": {"verb": one.decision.verb, "reason": one.decision.reason},
        "would_be": {"verb": one.would_be.verb, "reason": one.would_be.reason, "sentence": one.would_be.sentence},
        "same": one.same,
        "ends": one.ends,
    }


def _conclusion(found: list[WhatIf], stored: int) -> str:
    others = sum(not one.same for one in found)
    over = f"over {len(found)} of {stored} recorded decisions; evidence between them was not kept"
    said = f"{others} would have been others" if others else "no decision would have differed"
    if found and found[-1].ends and len(found) < stored:
        return f"{said}, and the rollout would have {'been promoted' if found[-1].would_be.verb == 'promote' else 'ended'} there ({over})"
    return f"{said} ({over})"


COMMANDS: tuple[Command, ...] = (
    Command(
        name="decision replay",
        says="make every stored decision of a rollout again from its evidence, and say whether it is the same",
        group="rollouts",
        run=replay,
        options=(ROLLOUT, *place.PLACE, place.JSON),
    ),
    Command(
        name="decision what-if",
        says="what would have been decided under another alpha or other margins, over recorded evidence",
        group="rollouts",
        run=what_if,
        options=(
            ROLLOUT,
            option("--alpha", says="another alpha", type=float, metavar="X"),
            option("--guard", says="a guard changed, may be repeated", action="append", default=[], metavar="METRIC.key=value"),
            *place.PLACE,
            place.JSON,
        ),
    ),
)
