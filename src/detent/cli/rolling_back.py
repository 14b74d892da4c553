"""`rollback`: all traffic on stable by one write, and which gateways have said so."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from detent.cli import patching, place
from detent.cli.command import Command, Option, option
from detent.cli.rollouts import ROLLOUT, find
from detent.errors import CouldNotRun, DetentError, Exit, InvalidInput, Refused
from detent.visible import visible

if TYPE_CHECKING:
    from detent.acknowledging import Acknowledged
    from detent.store import Store
    from detent.terms import Draining, DrillReport, Rollout

NO_WAIT: Option = option("--no-wait", says="don't wait for the gateways: written is enough", action="store_true")
WAIT: Option = option("--wait", says="how long to wait for the gateways; 5 by default", metavar="SECONDS", type=float)
CUT: Option = option("--cut", says="move runs that are under way to stable now, whatever the plan says", action="store_true")
LOCAL: Option = option("--local", says="by file, for the gateways of this host: no store, server or network is needed", action="store_true")


@dataclass(frozen=True)
class Written:
    """What the rollback did to a route: ended a rollout, a drill, both, or neither, as stable serves already."""

    route: str
    rollout: Rollout | None
    ended: bool
    drill: DrillReport | None
    stable: str
    finishing: Draining | None = None
    cut: Draining | None = None

    @property
    def sentence(self) -> str:
        """What happened, in a line."""
        drill = f"; drill {self.drill.id} ended" if self.drill is not None else ""
        if self.rollout is not None and self.ended:
            traffic = "all traffic" if self.finishing is None else "everything new"
            return f"{self.rollout.id}: {traffic} on {self.stable}; rolled back; phase {self.rollout.phase}{drill}"
        if self.drill is not None:
            return f"drill {self.drill.id} of {self.route} ended: all traffic on {self.stable}"
        was = f"its last rollout `{self.rollout.id}` has ended as {self.rollout.phase}" if self.rollout else "it never had a rollout"
        return f"{self.route}: nothing to roll back, {self.stable} serves already; {was}"

    @property
    def runs(self) -> str:
        """What becomes of runs that are under way, in a line; empty where they are at stable's from their next request on."""
        if self.cut is not None:
            return f"{self.route}: runs that were finishing on {self.cut.candidate} are moved to {self.stable}"
        if self.finishing is None:
            return ""
        from detent.terms import show_duration

        until = f"for {show_duration(self.finishing.lasts_s)} at most; everything new is on {self.stable}"
        return f"runs under way finish on {self.finishing.candidate}, {until} (move them now: detent rollback {self.route} --cut)"


def rollback(arguments: Namespace) -> int:
    """One flag revision from any phase. Exit 0 once every gateway has said that it serves it, 3 when one has not, 5 after `done`."""
    if arguments.local:
        from detent.cli.local import roll_back_local

        return roll_back_local(arguments)
    from detent.acknowledging import WAIT_S, acknowledged, describe

    if arguments.wait is not None and not 0 < arguments.wait < float("inf"):
        raise InvalidInput(f"not a number of seconds to wait: `{arguments.wait:g}`", hint="leave --wait out for 5, or say --no-wait")
    with _by_file_else(arguments.rollout), closing(place.open_store(arguments)) as store:
        by = place.actor(arguments, store, "rollback")
        written = _roll_back(arguments, store, by)
        written = _with_runs(arguments, store, written, by)
        if not arguments.json:  # at once: what is written counts, whoever answers
            print("\n".join(filter(None, (written.sentence, written.runs))), flush=True)
        lease_s = written.rollout.plan.lease if written.rollout is not None and written.rollout.canary_at is not None else None
        heard = None if arguments.no_wait else acknowledged(store, written.route, wait_s=arguments.wait or WAIT_S, lease_s=lease_s)
    code = Exit.INCONCLUSIVE if any(one.ms is None for one in heard or ()) else Exit.PASS
    if heard is not None and not arguments.json:
        for line in describe(heard):
            print(f"  {line}")
    patch = patching.settled(arguments, [written.rollout]) if written.rollout is not None else ""
    if patch and not arguments.json:
        print(patch, end="", flush=True)
    pushed, wrong = _pushed(arguments, written, by)
    if arguments.json:
        print(json.dumps(_as_json(written, heard, patch, pushed)))
    if wrong is not None:
        print(f"detent: it is rolled back, and its patch was not pushed: {wrong}", file=sys.stderr)
        return Exit.COULD_NOT_RUN
    if code is Exit.INCONCLUSIVE and not arguments.json:  # last, where it is read: a patch may be long
        _warn([one.gateway for one in heard or () if one.ms is None])
    return code


def _warn(unheard: list[str]) -> None:
    sys.stdout.flush()
    has = "has" if len(unheard) == 1 else "have"
    named = ", ".join(visible(name, one_line=True) for name in unheard)
    print(f"detent: it is written, and {named} {has} not said that stable is served there", file=sys.stderr, flush=True)


@contextmanager
def _by_file_else(name: str) -> Iterator[None]:
    """Where the store cannot be reached or written, there is another way, which needs none."""
    try:
        yield
    except CouldNotRun as error:
        if "--local" in (error.hint or ""):  # of a store that is gone it is said already
            raise
        route = "ROUTE" if name.startswith("ro_") else name
        by_file = f"on a gateway's host: detent rollback {route} --local"
        raise CouldNotRun(error.message, hint=f"{by_file}; {error.hint}" if error.hint else by_file) from error


def _roll_back(arguments: Namespace, store: Store, by: str) -> Written:
    """One write, and one more where a drill is under way."""
    from detent.controller import act
    from detent.terms import Phase

    rollout = _rollout(store, arguments.rollout)
    route, why, now = rollout.route if rollout else arguments.rollout, arguments.why, place.now()
    flag = store.state.flags().get(route)
    if rollout is not None and not rollout.phase.terminal:
        try:
            rollout = act(store, rollout.id, "roll_back", by=by, why=why, now=now)
        except Refused:
            rollout = store.state.rollout(rollout.id)
            if not rollout.phase.terminal:
                raise
        else:
            return Written(route, rollout, True, None, str(rollout.stable))
    if flag is None:
        raise InvalidInput(f"no longer a route: `{route}`", hint="`detent status` lists the routes in force")
    drill = _end_drill(store, route, by=by, why=why or "rolled back")
    if drill is None and rollout is not None and rollout.phase is Phase.DONE and flag.stable == rollout.candidate:
        back = f'write next = "{rollout.stable.model}" under [routes.{route}] in {arguments.file}'
        raise Refused(
            f"rollout `{rollout.id}` has ended as done: {rollout.candidate} is the pin of `{route}` now, and nothing was moved",
            hint=f"to go back to {rollout.stable}: {back}, then run `detent apply`",
        )
    return Written(route, rollout, False, drill, str(flag.stable))


def _with_runs(arguments: Namespace, store: Store, written: Written, by: str) -> Written:
    """Whether runs finish on the version that was rolled back; with --cut they are moved, by a write of their own."""
    flag = store.state.flags().get(written.route)
    if flag is None or flag.draining is None:
        return written
    if not arguments.cut:
        return replace(written, finishing=flag.draining)
    return replace(written, cut=store.state.cut_runs(written.route, at=place.now(), by=by, why=arguments.why))


def _end_drill(store: Store, route: str, *, by: str, why: str) -> DrillReport | None:
    from detent.driller import end_drill

    return end_drill(store, route, by=by, why=why, now=place.now())


def _rollout(store: Store, name: str) -> Rollout | None:
    """The rollout that is meant; None for a route that never had one."""
    try:
        return find(store, name)
    except InvalidInput:
        if name in store.state.flags():
            return None
        raise


def _pushed(arguments: Namespace, written: Written, by: str) -> tuple[dict[str, Any] | None, DetentError | None]:
    if not arguments.push or written.rollout is None:
        return None, None
    try:
        pushed = patching.push(arguments, written.rollout, by)
    except DetentError as error:
        return None, error
    if not arguments.json:
        print(patching.told(pushed))
    return patching.as_json(pushed), None


def _as_json(written: Written, heard: list[Acknowledged] | None, patch: str, pushed: dict[str, Any] | None) -> dict[str, Any]:
    rollout = written.rollout
    return {
        "route": written.route,
        "rollout": rollout.id if rollout else None,
        "phase": rollout.phase if rollout else None,
        "reason": rollout.reason if rollout else "",
        "ended": written.ended,
        "drill": written.drill.id if written.drill else None,
        "stable": written.stable,
        "finishing": str(written.finishing.candidate) if written.finishing else None,
        "cut": str(written.cut.candidate) if written.cut else None,
        "gateways": None if heard is None else [one.as_json() for one in heard],
        "patch": patch,
        "pushed": pushed,
    }


COMMANDS: tuple[Command, ...] = (
    Command(
        name="rollback",
        says="all traffic back on stable, from any phase, by one write; --local: by file, without store or token",
        group="rollouts",
        run=rollback,
        options=(ROLLOUT, NO_WAIT, WAIT, CUT, LOCAL, patching.PUSH, place.BY, place.WHY, *place.PLACE, place.JSON),
        more="Exit 0: every gateway has said that it serves stable, or there is none. Exit 3: it is written, and a gateway that is named "
        "has not said so. A route that is on stable already is no error; after `done` there is nothing to roll back, and exit 5 names "
        "the next command.",
    ),
)
