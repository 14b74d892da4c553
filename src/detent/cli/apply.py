"""`plan` and `apply`: the pin file on its way to the server."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import Exit, InvalidInput, Refused

if TYPE_CHECKING:
    from detent.proposals import Proposal
    from detent.store import Store
    from detent.terms import Manifest, Power

SUPERSEDE: Option = option("--supersede", says="end the open rollout of a route whose `next` changed", action="store_true")
UNPROVEN: Option = option(
    "--unproven", says="open a rollout although its plan can prove nothing at the route's traffic; needs --why", action="store_true"
)
RETRY: Option = option("--retry", says="open a version again that was rejected, rolled back or aborted; needs --why", action="store_true")


def plan(arguments: Namespace) -> int:
    """What applying the pin file would do; nothing is changed."""
    from detent import manifest as pin_file
    from detent.controller import proposed
    from detent.proposals import as_markdown, as_text, proposals, refuse_if_any

    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    powers: dict[str, Power] = {}
    if place.has_store(arguments):
        with closing(place.open_store(arguments)) as store:
            found = proposed(store, manifest, supersede=arguments.supersede, retry=arguments.retry, now=place.now())
            found = tuple(
                _with_power(store, manifest, p, powers, arguments.unproven) if p.kind in ("open", "supersede") else p for p in found
            )
    else:
        found = proposals(manifest, {}, {}, ())
    if arguments.json:
        print(json.dumps([_as_json(p, powers.get(p.route)) for p in found]))
    else:
        print(as_markdown(found) if arguments.markdown else as_text(found))
    refuse_if_any(found)
    return Exit.PASS


def _with_power(store: Store, manifest: Manifest, proposal: Proposal, powers: dict[str, Power], unproven: bool) -> Proposal:
    """The proposal with what its rollout could find out at the route's recorded traffic; refused where `apply` would refuse it."""
    from detent import warm
    from detent.catalog import price
    from detent.controller import fitted
    from detent.controller.opening import unprovable
    from detent.controller.way_backs import last_answered
    from detent.fitting import describe_fitting
    from detent.power import lines, power_of
    from detent.proposals import seeing

    plan, past = fitted(store, manifest, proposal.route, place.now())
    power = powers[proposal.route] = power_of(proposal.route, plan, past, manifest.metrics)
    fit = describe_fitting(manifest.plans[plan.name].guards, plan.guards)
    back = manifest.routes[proposal.route].way_back
    kept = []
    if back is not None:
        kept = [warm.keeping(back, price(back, manifest.prices), last_answered(store, proposal.route, back, place.now()))]
    told = replace(
        proposal, details=(*proposal.details, *([fit] if fit else []), *seeing(plan.shadow, past, plan.alpha), *lines(power), *kept)
    )
    refused = None if unproven else unprovable(plan, past, power)
    return told if refused is None else replace(told, kind="refuse", sentence=refused[0], hint=refused[1])


def _as_json(proposal: Proposal, power: Power | None) -> dict[str, Any]:
    told: dict[str, Any] = {"route": proposal.route, "kind": proposal.kind, "sentence": proposal.sentence, "hint": proposal.hint}
    return told if power is None else {**told, "power": asdict(power)}


def apply_(arguments: Namespace) -> int:
    """Hand the pin file to the server: it opens a rollout for each `next`."""
    from detent import manifest as pin_file
    from detent.controller import apply
    from detent.proposals import as_text

    why = arguments.why.strip()
    for flag in ("retry", "unproven"):
        if getattr(arguments, flag) and not why:
            raise InvalidInput(f"--{flag} needs a reason", hint='say it with --why "..."; it is kept in the audit log')
    text = place.read_text(arguments)
    manifest = pin_file.read(text, file=arguments.file)  # a broken file must not leave an empty store behind
    with closing(place.open_store(arguments, create=True, anew=place.begins_anew(arguments))) as store:
        by = _actor(arguments, store, manifest)
        found = apply(
            store,
            text,
            file=arguments.file,
            by=by,
            now=place.now(),
            new_id=place.new_rollout_id,
            new_salt=place.new_salt,
            supersede=arguments.supersede,
            retry_why=why if arguments.retry else None,
            unproven_why=why if arguments.unproven else None,
        )
        opened = {r.route: r.id for r in store.state.rollouts(open_only=True)}
    if arguments.json:
        print(json.dumps([{**_as_json(p, None), "details": p.details, "rollout": opened.get(p.route)} for p in found]))
    else:
        print(as_text(found))
    return Exit.PASS


def _actor(arguments: Namespace, store: Store, manifest: Manifest) -> str:
    """Who applies it, once it is known that they may: one that asks a human yes for less than the file in force takes an approver."""
    from detent.controller import loosened_by

    lost = loosened_by(store, manifest)
    try:
        return place.actor(arguments, store, "apply --loosen" if lost else "apply")
    except Refused as refused:
        if not lost:
            raise
        raise Refused(f"{refused.message}, since the file asks for fewer approvals: {'; '.join(lost)}", hint=refused.hint) from None


COMMANDS: tuple[Command, ...] = (
    Command(
        name="plan",
        says="show what applying the pin file would do; changes nothing",
        group="pin file",
        run=plan,
        options=(
            option("--markdown", says="for a pull request", action="store_true"),
            SUPERSEDE,
            RETRY,
            UNPROVEN,
            *place.PLACE,
            place.JSON,
        ),
    ),
    Command(
        name="apply",
        says="hand the pin file to the server, which opens a rollout for each `next`",
        group="pin file",
        run=apply_,
        options=(SUPERSEDE, RETRY, UNPROVEN, place.NEW_STORE, place.BY, place.WHY, *place.PLACE, place.JSON),
    ),
)
