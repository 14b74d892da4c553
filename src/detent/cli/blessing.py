"""`baseline bless`: a person says which frozen outputs are good."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from detent.cli import place
from detent.cli.baselines import frozen_of
from detent.cli.command import Command, option
from detent.cli.freezing import refuse_in_mid_run, sentences, standing, summary, title
from detent.errors import Conflict, Exit, InvalidInput, Refused

if TYPE_CHECKING:
    from detent.terms import Baseline, Case

SAMPLE = 20
"""Outputs that a person is asked about at a time."""

EXCERPT = 2_000
"""Characters of a prompt or an output that a reviewer is shown."""


def bless(arguments: Namespace) -> int:
    """Say which known-good outputs are good: one by one at a terminal, or by case id."""
    from detent.baseline import reviewed, sample_for_review
    from detent.redaction import redact_text

    _, route = place.route_of(arguments)
    with closing(place.open_store(arguments)) as store:
        frozen = frozen_of(store, route.name)
        refuse_in_mid_run(store, route.name)
        said = _named(frozen, arguments)
        by = redact_text(place.actor(arguments, store, "baseline bless"), "none" if route.record.redact == "none" else "secrets")
        if not said:
            sample = sample_for_review(frozen, arguments.sample)
            if not sys.stdin.isatty():
                return _list_for_review(sample, arguments)
            said = _ask(sample)
        if said:
            said = {case: (good, redact_text(why, route.record.redact)) for case, (good, why) in said.items()}
            refuse_in_mid_run(store, route.name)
            before, frozen = frozen, reviewed(frozen, said, by, place.now())
            try:
                store.state.put_baseline(frozen, instead_of=before.digest)
            except Conflict as error:
                raise Refused(error.message, hint=f"nothing of it was stored; say it of the new one: {_again(route.name, said)}") from error
            store.state.note(by, f"baseline of {route.name} reviewed: {len(said)} outputs, {frozen.digest[:12]}", place.now())
    print(json.dumps(summary(frozen)) if arguments.json else "\n".join(sentences(frozen)))
    return Exit.PASS


def _named(frozen: Baseline, arguments: Namespace) -> dict[str, tuple[bool, str]]:
    said = dict.fromkeys(arguments.yes, (True, arguments.why)) | dict.fromkeys(arguments.no, (False, arguments.why))
    both = sorted(set(arguments.yes) & set(arguments.no))
    if both:
        raise InvalidInput(f"both good and not good: `{both[0]}`")
    known = {case.id for case in frozen.cases}
    for case in said:
        if case not in known:
            raise InvalidInput(
                f"no such case in the baseline of {frozen.route}: `{case}`", hint=f"see `detent baseline show {frozen.route}`"
            )
    if arguments.no and not arguments.why:
        raise InvalidInput(f"not good needs a reason: `--no {arguments.no[0]}`", hint="add --why TEXT")
    return said


def _again(route: str, said: Mapping[str, tuple[bool, str]]) -> str:
    """The command that says the same again, but for reasons: they are given to all at once."""
    words = [f"--yes {case}" if good else f"--no {case}" for case, (good, _) in said.items()]
    why = " --why ..." if any(not good for good, _ in said.values()) else ""
    return f"`detent baseline bless {route} {' '.join(words)}{why}`"


def _list_for_review(sample: Sequence[Case], arguments: Namespace) -> int:
    from detent.visible import visible

    for case in sample:
        if arguments.json:
            print(json.dumps({"id": case.id, "request": case.request.decode(), "output": case.known_good, "known_good": standing(case)}))
        else:
            print(visible(f"{case.id}  {standing(case)}  {title(case)} => {case.known_good[:100]}", one_line=True))
    print(f"say which are good: detent baseline bless {arguments.route} --yes CASE --no CASE --why TEXT", file=sys.stderr)
    return Exit.PASS


def _ask(sample: Sequence[Case]) -> dict[str, tuple[bool, str]]:
    """What a person says of one case after the other. The end of the input is the end of the review: what was said until then counts."""
    from detent.visible import visible

    said: dict[str, tuple[bool, str]] = {}
    for number, case in enumerate(sample, start=1):
        print(f"\n── {number} of {len(sample)}: {case.id}, {standing(case)}, stands for {case.weight:g} exchanges")
        print(visible(title(case, EXCERPT)))
        print(f"── answer\n{visible(case.known_good[:EXCERPT])}")
        match _line("good? [y]es, [n]o, [s]kip, [q]uit: ", at_end="q").lower()[:1]:
            case "y":
                said[case.id] = (True, "")
            case "n":
                said[case.id] = (False, _line("why not? ", at_end="") or "a person said no")
            case "q":
                break
    return said


def _line(question: str, *, at_end: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        print()
        return at_end


COMMANDS: tuple[Command, ...] = (
    Command(
        name="baseline bless",
        says="say which frozen outputs are good: asks about a sample, or takes case ids",
        group="baseline",
        run=bless,
        options=(
            place.ROUTE,
            option("--sample", says=f"how many outputs to ask about, {SAMPLE} by default", type=int, default=SAMPLE, metavar="N"),
            option("--yes", says="this case's output is good; may be given again", action="append", default=[], metavar="CASE"),
            option("--no", says="this case's output is not good; may be given again", action="append", default=[], metavar="CASE"),
            place.WHY,
            place.BY,
            *place.PLACE,
            place.JSON,
        ),
    ),
)
