"""`audit show`, `audit verify`, `audit anchor`: what was done, by whom, and whether the log of it is whole."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from detent.cli import place
from detent.cli.command import Command, option
from detent.errors import Exit, Refused

NO_ANCHOR = (
    "hint: run it where `detent serve` or `detent controller` runs, which notes anchors beside the pin file, or name a copy of them: "
    "--anchor FILE; `detent audit anchor` prints one"
)


def show(arguments: Namespace) -> int:
    """The newest entries, oldest of them first."""
    from detent.store.chain import entry_json
    from detent.visible import visible

    with closing(place.open_store(arguments)) as store:
        rows = store.state.audit(arguments.limit, rollout=arguments.rollout)[::-1]
    if arguments.json:
        print(json.dumps([entry_json(row) for row in rows]))
        return Exit.PASS
    for row in rows:
        about = f"  {row.rollout}" if row.rollout else ""
        print(visible(f"{row.id:>6}  {row.at:%Y-%m-%d %H:%M:%S}{about}  {row.by}: {row.what}", one_line=True))
        for name, value in (("before", row.before), ("after", row.after), ("evidence", row.evidence)):
            if arguments.whole and value is not None:
                print(visible(f"        {name}: {value}", one_line=True))
    return Exit.PASS


def verify(arguments: Namespace) -> int:
    """Exit 0 when every entry follows from the one before, and every anchor is met; 1, and the first bad entry, when not; 3 without an
    anchor, since whether the log was cut off or written anew is then not known.
    """
    from detent.anchor import ANCHOR_FILE, anchors
    from detent.visible import visible

    there = place.home(arguments) / ANCHOR_FILE
    noted_in = Path(arguments.anchor) if arguments.anchor else there if there.exists() else None
    noted = anchors(noted_in) if noted_in is not None else []
    with closing(place.open_store(arguments)) as store:
        found = store.state.verify_audit(noted)
    against = f"{len(noted)} anchors of {noted_in}" if noted_in is not None else "no anchor: a log that was cut off would not be noticed"
    if arguments.json:
        head = None if found.head is None else {"entry": found.head.entry, "chain": found.head.chain}
        told = {"whole": found.bad is None, "entries": found.entries, "head": head, "bad": found.bad, "why": found.why}
        told["whole_from"] = found.whole_from
        print(json.dumps(told | {"anchors": len(noted)}))
    elif found.bad is not None:
        print(visible(f"entry {found.bad} is the first that does not hold: {found.why}", one_line=True))
        if found.whole_from is not None and found.head is not None:
            print(f"from entry {found.whole_from} on the chain is whole, up to its head {found.head.entry} {found.head.chain}")
    elif found.head is None:
        print(f"{found.entries} entries, and no chain yet: it begins with the next entry that is written; {against}")
    else:
        print(f"{found.entries} entries, each follows from the one before; head {found.head.entry} {found.head.chain}; {against}")
    if found.bad is None and not noted:
        print(NO_ANCHOR, file=sys.stderr)
        return Exit.INCONCLUSIVE
    return Exit.PASS if found.bad is None else Exit.REGRESSION


def anchor(arguments: Namespace) -> int:
    """Print the head of the chain, as a line of an anchor file."""
    from detent.anchor import line_of

    with closing(place.open_store(arguments)) as store:
        head = store.state.audit_head()
    if head is None:
        raise Refused("nothing is chained yet: the chain begins with the next entry that is written", hint="run it after `detent apply`")
    print(line_of(head, place.now()))
    return Exit.PASS


GROUP = "audit and roles"

COMMANDS: tuple[Command, ...] = (
    Command(
        name="audit show",
        says="the audit log: who did what, when and why",
        group=GROUP,
        run=show,
        options=(
            option("--rollout", says="only what concerns this rollout", metavar="ID"),
            option("--limit", says="how many of the newest entries", type=int, default=50, metavar="N"),
            option("--whole", says="also what changed, and the digest of the evidence", action="store_true"),
            *place.PLACE,
            place.JSON,
        ),
    ),
    Command(
        name="audit verify",
        says="check that no entry of the audit log was edited, put in, moved or taken out",
        group=GROUP,
        run=verify,
        options=(
            option("--anchor", says="a file of anchors; by default the one that the server writes beside the pin file", metavar="FILE"),
            *place.PLACE,
            place.JSON,
        ),
        more="An end that was cut off, or a log that was written anew, is found by an anchor alone: keep a copy elsewhere.",
    ),
    Command(
        name="audit anchor",
        says="print the head of the audit log's chain, to be kept where the database's owner cannot write",
        group=GROUP,
        run=anchor,
        options=place.PLACE,
    ),
)
