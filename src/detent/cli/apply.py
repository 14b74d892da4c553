"""`plan` and `apply`: the pin file on its way to the server."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import Exit, InvalidInput

SUPERSEDE: Option = option("--supersede", says="end the open rollout of a route whose `next` changed", action="store_true")
RETRY: Option = option("--retry", says="open a version again that was rejected, rolled back or aborted; needs --why", action="store_true")


def plan(arguments: Namespace) -> int:
    """What applying the pin file would do; nothing is changed."""
    from detent import manifest as pin_file
    from detent.controller import proposed
    from detent.proposals import as_markdown, as_text, proposals, refuse_if_any

    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    if place.has_store(arguments):
        with closing(place.open_store(arguments)) as store:
            found = proposed(store, manifest, supersede=arguments.supersede, retry=arguments.retry)
    else:
        found = proposals(manifest, {}, {}, ())
    if arguments.json:
        print(json.dumps([{"route": p.route, "kind": p.kind, "sentence": p.sentence, "hint": p.hint} for p in found]))
    else:
        print(as_markdown(found) if arguments.markdown else as_text(found))
    refuse_if_any(found)
    return Exit.PASS


def apply_(arguments: Namespace) -> int:
    """Hand the pin file to the server: it opens a rollout for each `next`."""
    from detent import manifest as pin_file
    from detent.controller import apply
    from detent.proposals import as_text

    if arguments.retry and not arguments.why:
        raise InvalidInput("--retry needs a reason", hint='say it with --why "..."; it is kept in the audit log')
    text = place.read_text(arguments)
    pin_file.read(text, file=arguments.file)  # a broken file must not leave an empty store behind
    with closing(place.open_store(arguments, create=True)) as store:
        found = apply(
            store,
            text,
            file=arguments.file,
            by=place.who(arguments),
            now=place.now(),
            new_id=place.new_rollout_id,
            new_salt=place.new_salt,
            supersede=arguments.supersede,
            retry_why=arguments.why if arguments.retry else None,
        )
        opened = {r.route: r.id for r in store.state.rollouts(open_only=True)}
    if arguments.json:
        print(json.dumps([{"route": p.route, "kind": p.kind, "sentence": p.sentence, "rollout": opened.get(p.route)} for p in found]))
    else:
        print(as_text(found))
    return Exit.PASS


COMMANDS: tuple[Command, ...] = (
    Command(
        name="plan",
        says="show what applying the pin file would do; changes nothing",
        group="pin file",
        run=plan,
        options=(option("--markdown", says="for a pull request", action="store_true"), SUPERSEDE, RETRY, *place.PLACE, place.JSON),
    ),
    Command(
        name="apply",
        says="hand the pin file to the server, which opens a rollout for each `next`",
        group="pin file",
        run=apply_,
        options=(SUPERSEDE, RETRY, place.BY, place.WHY, *place.PLACE, place.JSON),
    ),
)
