"""`patch`: what makes the pin file true again, printed or pushed as a branch."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import DetentError, Exit, InvalidInput

if TYPE_CHECKING:
    from detent.branch import Pushed
    from detent.terms import Rollout

PUSH: Option = option("--push", says="push the patch as a new branch of the pin file's git repository", action="store_true")
ROUTE: Option = option("route", says="the route's name; all of them by default", metavar="ROUTE", nargs="?")


def latest(rollouts: Iterable[Rollout]) -> list[Rollout]:
    """The rollout that each route's patch is about: the newest, trials of a version against itself left out."""
    return list({r.route: r for r in sorted(rollouts, key=lambda r: r.opened_at) if not r.aa}.values())


def settled(arguments: Namespace, rollouts: Iterable[Rollout]) -> str:
    """The patch that makes the pin file true after these rollouts, the latest of each route. Where none fits, that is said on stderr."""
    from detent.patch import settle, unified

    try:
        text = after = place.read_text(arguments)
    except DetentError as error:
        print(f"detent: no patch for the pin file: {error}", file=sys.stderr)
        return ""
    for rollout in latest(rollouts):
        try:
            after = settle(after, rollout)
        except DetentError as error:
            print(f"detent: no patch for the pin file: {error}", file=sys.stderr)
    return unified(text, after, arguments.file)


def push(arguments: Namespace, rollout: Rollout, by: str) -> Pushed | None:
    """Push the branch `detent/ROUTE-ROLLOUT`; None when the remote's pin file needs no patch. Raises as `branch.push` does."""
    from detent import branch
    from detent.patch import settle
    from detent.terms import Phase
    from detent.visible import visible

    became = "is the pin" if rollout.phase in (Phase.SOAK, Phase.DONE) else "is withdrawn"
    reason = visible(rollout.reason, one_line=True)
    title = f"{rollout.route}: {rollout.candidate.model} {became}"
    message = f"{title}\n\nRollout {rollout.id} of {rollout.stable} -> {rollout.candidate}: {rollout.phase}\n{reason}\n"
    name = branch.branch_name(rollout.route, rollout.id)
    return branch.push(Path(arguments.file), lambda text: settle(text, rollout), branch=name, message=message, by=by)


def as_json(pushed: Pushed | None) -> dict[str, Any] | None:
    """A pushed branch for machines; None when the remote needs none."""
    return {"remote": pushed.remote, "branch": pushed.branch, "commit": pushed.commit, "new": pushed.new} if pushed else None


def told(pushed: Pushed | None) -> str:
    """What came of it, in a line."""
    return pushed.sentence if pushed else "the remote's pin file says so already: nothing was pushed"


def patch(arguments: Namespace) -> int:
    """Print the patch of all routes or of one; with --push, a branch for each rollout whose patch the remote lacks."""
    with closing(place.open_store(arguments)) as store:
        rollouts, flags, by = latest(store.state.rollouts()), store.state.flags(), place.who(arguments)
    if arguments.route is not None:
        if arguments.route not in flags:
            known = ", ".join(f"`{name}`" for name in sorted(flags)) or "none"
            raise InvalidInput(f"no such route: `{arguments.route}`", hint=f"known routes: {known}")
        rollouts = [rollout for rollout in rollouts if rollout.route == arguments.route]
    text = settled(arguments, rollouts)
    done = [push(arguments, rollout, by) for rollout in rollouts if _settles(rollout)] if arguments.push else []
    branches = [one for one in done if one is not None]
    if arguments.json:
        print(json.dumps({"patch": text, "pushed": [as_json(one) for one in branches]}))
        return Exit.PASS
    print(text, end="")
    if not text and not arguments.push:
        print(f"{arguments.file} is true already", file=sys.stderr)
    for one in branches:
        print(told(one))
    if arguments.push and not branches:
        print(told(None))
    return Exit.PASS


def _settles(rollout: Rollout) -> bool:
    """Whether the pin file is to say something else after it."""
    from detent.terms import Phase

    return rollout.phase.terminal or rollout.phase is Phase.SOAK


COMMANDS: tuple[Command, ...] = (
    Command(
        name="patch",
        says="print the patch that makes the pin file true again, or push it as a branch",
        group="rollouts",
        run=patch,
        options=(ROUTE, PUSH, place.BY, *place.PLACE, place.JSON),
        more="With --push it is committed on the remote's own branch and pushed as detent/ROUTE-ROLLOUT; your working tree and branches "
        "stay as they are, and nothing is pushed twice.",
    ),
)
