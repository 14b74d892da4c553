"""`drill`: rehearse the way back with real traffic, page somebody to press, show what was found, or do without one in your name."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from detent.store import Store
    from detent.terms import DrillReport

LOOK_S = 0.25
"""How often the command looks at a drill under way."""

MOST_SHOWN = 10


def drill(arguments: Namespace) -> int:
    """Begin a drill and stay with it to its end; or `--press`, `--show`, `--waive`."""
    chosen = [name for name in ("page", "press", "show", "waive") if getattr(arguments, name)]
    if len(chosen) > 1:
        raise InvalidInput(f"one at a time: `--{chosen[0]}` and `--{chosen[1]}`", hint="leave one of them out")
    if arguments.route is None and not arguments.show:
        raise InvalidInput("no route is named", hint="`detent drill ROUTE`; see the routes with `detent status`")
    with closing(place.open_store(arguments)) as store:
        if arguments.show:
            return _show(store, arguments)
        by = place.actor(arguments, store, "drill --waive" if arguments.waive else "drill")
        if arguments.waive:
            return _waive(store, arguments, by)
        return _run(store, arguments, by)


def _run(store: Store, arguments: Namespace, by: str) -> int:
    from detent.driller import Order, begin, new_id, new_salt, press

    if arguments.press:
        report = press(store, arguments.route, arguments.press, by=by, now=place.now(), salt=new_salt())
    else:
        order = Order(share=_share(arguments.share), lasts_s=_lasts(arguments.lasts), page=arguments.page)
        how = {"drill_id": new_id(), "salt": new_salt()}
        report = begin(store, arguments.route, by=by, why=arguments.why, now=place.now(), order=order, **how)
    return _tell(_stay(store, report, arguments, by), arguments)


def _stay(store: Store, report: DrillReport, arguments: Namespace, by: str) -> DrillReport:
    """Stay with a drill until it has ended; interrupted, its traffic is returned at once. Killed, a server goes on, or the gateways do."""
    from detent.controller.rehearsing import end_drill
    from detent.driller import OVER_S, REST, drive, press_hint

    if not report.revision:
        say(f"detent: {report.owner} is paged ({report.alert}); whoever takes it runs `detent ack {report.alert}`, and presses with:")
        say(f"  {press_hint(report.route, report.id)}")
    elif report.ended_at is None and report.ends_at is not None:
        share = f"{100 * report.share:g} % of the traffic of {report.route}"
        say(f"detent: {share} is moved to {report.version} until {report.ends_at:%H:%M:%S} UTC; Ctrl-C ends it at once")
    try:
        began, moved = time.monotonic(), report.revision
        while report.ended_at is None:
            if report.revision != moved:
                began, moved = time.monotonic(), report.revision
                say(f"detent: pressed; {report.route} is drilled until {report.ends_at:%H:%M:%S} UTC")
            over = bool(moved) and time.monotonic() - began > report.lasts_s + OVER_S
            looking = time.monotonic()
            report = drive(store, report.id, place.now(), over=over and not report.returned)
            time.sleep(max(LOOK_S, REST * (time.monotonic() - looking)))
    except KeyboardInterrupt:
        end_drill(store, report.route, by=by, why="interrupted", now=place.now())
        report = store.state.drill(report.id)
    return report


def say(text: str) -> None:
    """Talk goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def _tell(report: DrillReport, arguments: Namespace) -> int:
    """Print a report; 0 for one that passed, 1 for one that failed, 3 for one that tells nothing of the way back."""
    from detent.drill import saw_nothing
    from detent.explain.drills import as_row, lines
    from detent.visible import visible

    if arguments.json:
        print(json.dumps(as_row(report)))
    else:
        print("\n".join(visible(line, one_line=True) for line in lines(report)))
    if report.verdict == "passed":
        return Exit.PASS
    return Exit.INCONCLUSIVE if saw_nothing(report) else Exit.REGRESSION


def _show(store: Store, arguments: Namespace) -> int:
    """The latest drills of a route, or of all, newest first; one with all its steps."""
    from detent.driller import blocked, end_over
    from detent.explain.drills import as_row, headline, lines
    from detent.visible import visible

    end_over(store, arguments.route, place.now())
    reports = store.state.drills(arguments.route, limit=MOST_SHOWN)
    if arguments.json:
        print(json.dumps([as_row(report) for report in reports]))
        return Exit.PASS
    said = [*(lines(reports[0]) if reports else ["no drill was run yet"]), *(headline(report) for report in reports[1:])]
    said += blocked(store, place.now(), arguments.route)
    print("\n".join(visible(line, one_line=True) for line in said))
    return Exit.PASS


def _waive(store: Store, arguments: Namespace, by: str) -> int:
    """Do without a drill, by name and with a reason, for as long as the plan lets one be away at most."""
    from detent.driller import waive

    waiver = waive(store, arguments.route, by=by, why=arguments.why, now=place.now())
    if arguments.json:
        print(json.dumps({"route": waiver.route, "by": waiver.by, "why": waiver.why, "until": waiver.until_at.isoformat()}))
    else:
        print(f"{waiver.route}: no drill is asked for until {waiver.until_at:%Y-%m-%d %H:%M} UTC, on {waiver.by}'s word")
    return Exit.PASS


def _share(text: str | None) -> float | None:
    """A share from the command line. Raises InvalidInput for what is none."""
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share <= 1.0:
        raise InvalidInput(f"not a share of the traffic: `{text}`", hint="write a number above 0 and at most 1, like --share 0.1")
    return share


def _lasts(text: str | None) -> float | None:
    """A duration from the command line. Raises InvalidInput for what is none, or longer than a day."""
    from detent.terms import parse_duration

    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise InvalidInput(str(error), hint="like --lasts 5m") from None
    if not 0.0 < seconds <= 86400.0:
        raise InvalidInput(f"a drill lasts more than nothing and at most a day: `{text}`", hint="like --lasts 5m")
    return seconds


ROUTE: Option = option("route", says="the route's name; with --show it may be left out", nargs="?", metavar="ROUTE")

COMMANDS: tuple[Command, ...] = (
    Command(
        name="drill",
        says="rehearse the way back: move real traffic there, return it, time each step",
        group="rollouts",
        run=drill,
        options=(
            ROUTE,
            option("--share", says="share of units to move; by default the plan's", metavar="SHARE"),
            option("--lasts", says="for how long; by default the plan's", metavar="DURATION"),
            option("--page", says="page the owner, and move traffic only when somebody presses", action="store_true"),
            option("--press", says="press for a drill that waits for it; the page says its id", metavar="DRILL"),
            option("--show", says="show the latest drills and what they found", action="store_true"),
            option("--waive", says="let rollouts open without a drill for one turn of the plan; needs --why", action="store_true"),
            place.BY,
            place.WHY,
            *place.PLACE,
            place.JSON,
        ),
        more="Exit codes: 0 passed, 1 failed, 3 aborted or no traffic, 5 refused (an open rollout, a freeze, no way back, another drill).",
    ),
)
