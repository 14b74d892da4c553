"""`status`, `explain` and the verbs: hold, resume, promote, abort; and `aa`. `rollback` is in rolling_back.py."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from detent.cli import patching, place
from detent.cli.command import Command, Option, option
from detent.errors import Exit, InvalidInput

if TYPE_CHECKING:
    from detent.store import Store
    from detent.terms import Rollout

ROLLOUT: Option = option("rollout", says="the rollout's id, or the name of its route", metavar="ROLLOUT|ROUTE")


def find(store: Store, name: str) -> Rollout:
    """The rollout with this id, or the open (else the latest) one of this route. Raises InvalidInput when there is none."""
    rollouts = store.state.rollouts()
    for rollout in rollouts:
        if rollout.id == name:
            return rollout
    of_route = sorted((r for r in rollouts if r.route == name), key=lambda r: (not r.phase.terminal, r.opened_at))
    if of_route:
        return of_route[-1]
    frozen = store.state.baseline(name)
    if frozen is not None:
        raise InvalidInput(
            f"route has no rollout: `{name}`, and a baseline of {len(frozen.cases)} prompts, frozen {frozen.frozen_at:%Y-%m-%d}",
            hint=f"`detent baseline diff {name} --version ID` tells what was run over it; `detent apply` begins a rollout",
        )
    if name in store.state.flags():
        raise InvalidInput(
            f"route has no rollout: `{name}`", hint="propose a version as its `next` in the pin file, then run `detent apply`"
        )
    routes = ", ".join(f"`{route}`" for route in store.state.flags()) or "none"
    latest = ", ".join(f"`{r.id}` ({r.route})" for r in rollouts[-5:]) or "none"
    raise InvalidInput(f"no rollout or route: `{name}`", hint=f"known routes: {routes}; latest rollouts: {latest}")


def status(arguments: Namespace) -> int:
    """What is open first: rollouts and alerts; every route with its pin, every live gateway; what has ended last."""
    import os
    from dataclasses import replace

    from detent.baseline.staleness import Staleness
    from detent.controller import warmth
    from detent.driller import rows, told
    from detent.explain import Leader, Stood, in_doubt, leading, status_lines, summary
    from detent.untold import untold_by
    from detent.visible import visible

    now = place.now()
    with closing(place.open_store(arguments)) as store:
        revision, flags = store.state.revision(), store.state.flags()
        rollouts, gateways = store.state.rollouts(), store.state.gateways()
        stale, unmatched = list(Staleness(store).found(now)), store.state.unmatched_feedback()
        kept, drilled, drills = warmth(store, now), list(told(store, now)), rows(store)
        nobody, put_back, lease = untold_by(store, os.environ), store.state.put_back(), store.state.lease()
    leader = None if lease is None else Leader(holder=lease.holder, beat_us=lease.beat)
    if arguments.json:
        found = {one.route: {"digest": one.digest, "owner": one.owner, "why": one.why} for one in stale}
        known = summary(revision, flags, rollouts, gateways) | kept.json() | {"drills": drills}
        known["leader"] = None if leader is None else {"holder": leader.holder, "leads": leading(leader, now)}
        known["in_doubt"] = sorted(name for name, flag in flags.items() if in_doubt(flag, put_back))
        print(json.dumps({**known, "stale_baselines": found, "unmatched_feedback": unmatched}))
        return Exit.PASS
    beside = [f"feedback about no recorded answer or session: {unmatched}; it counts for no arm"] if unmatched else []
    stood = Stood(
        revision=revision,
        flags=flags,
        rollouts=rollouts,
        gateways=gateways,
        alerts=kept.alerts,
        of_routes=[*replace(kept, alerts=[]).lines(now), *drilled],
        stale={one.route: one.sentence for one in stale},
        beside=[*beside, *([nobody] if nobody is not None else [])],
        put_back=put_back,
        leader=leader,
    )
    for line in status_lines(stood, now, all_ended=arguments.all):
        print(visible(line, one_line=True))
    return Exit.PASS


def explain(arguments: Namespace) -> int:
    """Why a rollout stands where it stands."""
    from dataclasses import replace

    from detent import trickle
    from detent.approving import told as told_of_approvals
    from detent.baseline import stale_of
    from detent.controller import baseline_of, live, load_evidence, load_layers, orders_of, reports_of, segments_of, warmth
    from detent.explain import Beside, as_json, conditions
    from detent.explain import explain as sentences
    from detent.terms import Phase
    from detent.visible import visible

    now = place.now()
    with closing(place.open_store(arguments)) as store:
        rollout = find(store, arguments.rollout)
        waits = rollout.phase in (Phase.PROPOSED, Phase.BASELINE)
        stale = stale_of(store, rollout.route, rollout.plan.baseline, now) if waits else ()
        kept = warmth(store, now)
        way_back, copied = None if rollout.phase.terminal else kept.way_backs.get(rollout.route), kept.trickles.get(rollout.route)
        gateways = [] if rollout.phase.terminal else live(store, now)
        orders = orders_of(gateways, rollout.route)
        evidence = load_evidence(store, rollout, layers=load_layers(store, rollout, stale=stale), way_back=way_back, orders=orders)
        baseline = None if rollout.phase is Phase.PROPOSED or rollout.aa else baseline_of(store, rollout, stale=stale)
        shadow = None if waits or rollout.aa else store.state.shadow_evidence(rollout)
        decisions = [decision for decision, _ in store.state.decisions(rollout.id)]
        people = [(row.at, row.by, row.what) for row in reversed(store.state.audit(None, rollout=rollout.id)) if row.by != "detent"]
        yeses = list(told_of_approvals(store.state.approvals(rollout.id), rollout, decisions[-1] if decisions else None, now))
        here = [f"gateway {one.gateway}: {said}" for one in gateways for said in conditions(one, now, route=rollout.route)]
        beside = Beside(people=people, gateways=here)
        if rollout.canary_at:
            before = store.journal.before(rollout)
            beside = replace(beside, segments=segments_of(store, rollout), reports=reports_of(store, rollout), before=before)
    if shadow is not None and (shadow.pairs or shadow.unscored or shadow.not_comparable):
        evidence = replace(evidence, shadow=shadow)
    if arguments.json:
        known = {"revision": rollout.revision, "approvals": yeses}
        print(json.dumps(as_json(rollout, evidence, baseline, decisions, now, beside=beside) | known))
    else:
        # What people and providers wrote (reasons, names, outputs) is text here, and no terminal obeys it.
        told = sentences(rollout, evidence, baseline, decisions, now, beside=beside)
        copies = [f"{rollout.route}: {trickle.describe(copied)}"] if copied is not None else []
        print("\n".join(visible(line, one_line=True) for line in (*told, *yeses, *copies)))
    return Exit.PASS


FINISHED = "finished on your word"
"""What a promotion in soak does: the candidate is the pin."""


def _verb(verb: str, done: str) -> Callable[[Namespace], int]:
    def run(arguments: Namespace) -> int:
        from detent.acknowledging import WAIT_S, acknowledged, describe
        from detent.controller import act
        from detent.terms import Phase

        with closing(place.open_store(arguments)) as store:
            rollout, by = find(store, arguments.rollout), place.actor(arguments, store, verb)
            before = store.state.revision()
            moved = act(store, rollout.id, verb, by=by, why=arguments.why, now=place.now())
            heard = acknowledged(store, moved.route, wait_s=WAIT_S) if store.state.revision() != before else None
        patch = patching.settled(arguments, [moved]) if moved.phase.terminal else ""
        code = Exit.INCONCLUSIVE if any(one.ms is None for one in heard or ()) else Exit.PASS
        if arguments.json:
            gateways = None if heard is None else [one.as_json() for one in heard]
            print(json.dumps({"rollout": moved.id, "phase": moved.phase, "reason": moved.reason, "gateways": gateways, "patch": patch}))
            return code
        print(f"{moved.id}: {FINISHED if moved.phase is Phase.DONE else done}; phase {moved.phase}")
        for line in describe(heard) if heard is not None else ():
            print(f"  {line}")
        if patch:
            print(patch, end="")
        return code

    return run


def aa(arguments: Namespace) -> int:
    """Open a canary of a route's version against itself."""
    from detent.controller import open_aa

    with closing(place.open_store(arguments)) as store:
        rollout = open_aa(
            store,
            arguments.route,
            by=place.actor(arguments, store, "aa"),
            why=arguments.why,
            now=place.now(),
            rollout_id=place.new_rollout_id(),
            salt=place.new_salt(),
        )
    if arguments.json:
        print(json.dumps({"rollout": rollout.id, "phase": rollout.phase, "version": str(rollout.stable), "split": rollout.split}))
    else:
        print(f"{rollout.id}: {rollout.stable} against itself on {100 * rollout.split:g} % of units; every alarm is a false one")
    return Exit.PASS


GROUP = "rollouts"
SAID: tuple[Option, ...] = (ROLLOUT, place.BY, place.WHY, *place.PLACE, place.JSON)

COMMANDS: tuple[Command, ...] = (
    Command(
        name="status",
        says="open rollouts and alerts, routes, live gateways, and what ended last",
        group=GROUP,
        run=status,
        options=(option("--all", says="all rollouts that have ended, not the latest alone", action="store_true"), *place.PLACE, place.JSON),
    ),
    Command(
        name="explain",
        says="why a rollout stands where it stands, in sentences with numbers",
        group=GROUP,
        run=explain,
        options=(ROLLOUT, *place.PLACE, place.JSON),
    ),
    Command(name="hold", says="stay where it is; harm still ends it", group=GROUP, run=_verb("hold", "held"), options=SAID),
    Command(name="resume", says="take a human's hold back", group=GROUP, run=_verb("resume", "resumed"), options=SAID),
    Command(
        name="promote",
        says="promote without proof, or finish a soak that is held, on your word; recorded as such",
        group=GROUP,
        run=_verb("promote", "promoted, recorded as unproved"),
        options=SAID,
    ),
    Command(
        name="aa",
        says="open a canary of a route's version against itself, to see that nothing is alarmed at",
        group=GROUP,
        run=aa,
        options=(place.ROUTE, place.BY, place.WHY, *place.PLACE, place.JSON),
    ),
    Command(name="abort", says="end a rollout; stable serves", group=GROUP, run=_verb("abort", "aborted"), options=SAID),
)
