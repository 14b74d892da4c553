"""`status`, `explain`, `verify` and the verbs: hold, resume, approve, promote, abort, rollback; and `aa`."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from detent.cli import place
from detent.cli.command import Command, Option, option
from detent.errors import DetentError, Exit, InvalidInput

if TYPE_CHECKING:
    from detent.store import Store
    from detent.store.journal import Recorded
    from detent.terms import Flag, Manifest, Rollout

ROLLOUT: Option = option("rollout", says="the rollout's id, or the name of its route", metavar="ROLLOUT|ROUTE")

WAIT_FOR_GATEWAYS_S = 5.0


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
    """Every route with its pin, every open rollout, every live gateway."""
    from detent.baseline.staleness import Staleness
    from detent.explain import describe_gateway, headline, summary
    from detent.visible import visible

    now = place.now()
    with closing(place.open_store(arguments)) as store:
        revision, flags = store.state.revision(), store.state.flags()
        rollouts, gateways = store.state.rollouts(), store.state.gateways()
        stale, unmatched = list(Staleness(store).found(now)), store.state.unmatched_feedback()
    if arguments.json:
        found = {one.route: {"digest": one.digest, "owner": one.owner, "why": one.why} for one in stale}
        print(json.dumps({**summary(revision, flags, rollouts, gateways), "stale_baselines": found, "unmatched_feedback": unmatched}))
        return Exit.PASS
    for name, flag in sorted(flags.items()):
        split = f"  {100 * flag.split:g} % on {flag.candidate.model}" if flag.candidate and flag.split else ""
        print(f"{name:<20} {flag.stable}{split}")
    for rollout in [r for r in rollouts if not r.phase.terminal] or rollouts[-3:]:
        print(visible(headline(rollout, now), one_line=True))
    for one in stale:
        print(visible(one.sentence, one_line=True))
    if unmatched:
        print(f"feedback about no recorded answer or session: {unmatched}; it counts for no arm")
    for gateway in gateways:
        print(describe_gateway(gateway, revision, now))
    if not gateways:
        print("no live gateway")
    return Exit.PASS


def explain(arguments: Namespace) -> int:
    """Why a rollout stands where it stands."""
    from dataclasses import replace

    from detent.baseline import stale_of
    from detent.controller import baseline_of, load_evidence, load_layers, reports_of, segments_of
    from detent.explain import Beside, as_json
    from detent.explain import explain as sentences
    from detent.terms import Phase
    from detent.visible import visible

    now = place.now()
    with closing(place.open_store(arguments)) as store:
        rollout = find(store, arguments.rollout)
        waits = rollout.phase in (Phase.PROPOSED, Phase.BASELINE)
        stale = stale_of(store, rollout.route, rollout.plan.baseline, now) if waits else ()
        evidence = load_evidence(store, rollout, layers=load_layers(store, rollout, stale=stale))
        baseline = None if rollout.phase is Phase.PROPOSED or rollout.aa else baseline_of(store, rollout, stale=stale)
        shadow = None if waits or rollout.aa else store.state.shadow_evidence(rollout)
        decisions = [decision for decision, _ in store.state.decisions(rollout.id)]
        people = [(row.at, row.by, row.what) for row in reversed(store.state.audit(None, rollout=rollout.id)) if row.by != "detent"]
        beside = Beside(people=people)
        if rollout.canary_at:
            before = store.journal.before(rollout)
            beside = Beside(segments=segments_of(store, rollout), reports=reports_of(store, rollout), before=before, people=people)
    if shadow is not None and (shadow.pairs or shadow.unscored or shadow.not_comparable):
        evidence = replace(evidence, shadow=shadow)
    if arguments.json:
        print(json.dumps(as_json(rollout, evidence, baseline, decisions, now, beside=beside)))
    else:
        # What people and providers wrote (reasons, names, outputs) is text here, and no terminal obeys it.
        told = sentences(rollout, evidence, baseline, decisions, now, beside=beside)
        print("\n".join(visible(line, one_line=True) for line in told))
    return Exit.PASS


ANSWERS_CHECKED = 50
"""How many of a route's latest answers `verify` looks at."""


def _file_against_flags(manifest: Manifest, flags: dict[str, Flag]) -> Iterator[str]:
    for name, route in sorted(manifest.routes.items()):
        flag = flags.get(name)
        if flag is None:
            yield f"{name}: in the file and not in the store; run `detent apply`"
        elif flag.stable != route.stable:
            yield f"{name}: the file pins {route.stable}, the flag says {flag.stable}"
    yield from (f"{name}: a flag without a route in the file; run `detent apply`" for name in sorted(flags.keys() - manifest.routes.keys()))


def _answers_against_flag(latest: Sequence[Recorded], flag: Flag) -> Iterator[str]:
    """What is wrong with the answers that callers got under this flag. Answers under a flag before it are past, and no news."""
    from detent.evidence.identity import violations
    from detent.terms import Outcome, Role

    expected = {version.model for version in (flag.stable, flag.candidate) if version is not None}
    answered: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for leg in latest:
        counts = leg.intent.role is not Role.MIRRORED and leg.intent.revision >= flag.revision
        if counts and leg.result is not None and leg.result.outcome is Outcome.COMPLETE and leg.result.answered_model is not None:
            answered[leg.intent.model][leg.result.answered_model] += 1
    yield from (f"`{model}` was sent for, the flag says {' or '.join(sorted(expected))}" for model in sorted(answered.keys() - expected))
    yield from violations(answered)


def verify(arguments: Namespace) -> int:
    """Whether file = flag = gateways: exit 0 when they agree, 1 when they do not, 3 when no gateway is there to ask."""
    from detent import manifest as pin_file
    from detent.explain import ago, silent_s

    manifest = pin_file.read(place.read_text(arguments), file=arguments.file)
    with closing(place.open_store(arguments)) as store:
        flags, revision = store.state.flags(), store.state.revision()
        gateways = store.state.gateways()
        answers = {name: store.journal.latest(name, ANSWERS_CHECKED) for name in flags}
        patch = _settled(arguments, store.state.rollouts())
    now = place.now()
    silent = {g.gateway: seconds for g in gateways if (seconds := silent_s(g, now)) is not None}
    live = [g for g in gateways if g.gateway not in silent]
    problems = list(_file_against_flags(manifest, flags))
    problems += [f"gateway {g.gateway} serves revision {g.revision} of {revision}" for g in live if g.revision != revision]
    problems += [f"{name}: {said}" for name, flag in sorted(flags.items()) for said in _answers_against_flag(answers[name], flag)]
    if arguments.json:
        agree = not problems and bool(live)
        print(
            json.dumps(
                {
                    "agree": agree,
                    "problems": problems,
                    "gateways": len(live),
                    "silent": sorted(silent),
                    "revision": revision,
                    "patch": patch,
                }
            )
        )
    else:
        print("\n".join(problems or [f"file = flag for {len(manifest.routes)} routes; {len(live)} gateways serve revision {revision}"]))
        for name, seconds in sorted(silent.items()):
            print(f"gateway {name} was not heard of for {ago(seconds)}: it cannot be asked")
        if patch:
            print(f"the patch that makes {arguments.file} true:\n{patch}", end="")
    if problems:
        return Exit.REGRESSION
    return Exit.PASS if live else Exit.INCONCLUSIVE


FINISHED = "finished on your word"
"""What a promotion in soak does: the candidate is the pin."""


def _verb(verb: str, done: str) -> Callable[[Namespace], int]:
    def run(arguments: Namespace) -> int:
        from detent.controller import act
        from detent.terms import Phase

        with closing(place.open_store(arguments)) as store:
            rollout = find(store, arguments.rollout)
            before = store.state.revision()
            moved = act(store, rollout.id, verb, by=place.who(arguments), why=arguments.why, now=place.now())
            acks = _acknowledged(store, moved.route) if store.state.revision() != before else None
        patch = _settled(arguments, [moved]) if moved.phase.terminal else ""
        heard = Exit.INCONCLUSIVE if any(ack["ms"] is None for ack in acks or ()) else Exit.PASS
        if arguments.json:
            print(json.dumps({"rollout": moved.id, "phase": moved.phase, "reason": moved.reason, "gateways": acks, "patch": patch}))
            return heard
        of = f"{moved.approved[-1]} of route {moved.route} " if verb == "approve" else ""
        said = FINISHED if moved.phase is Phase.DONE else f"{of}{done}"
        print(f"{moved.id}: {said}; phase {moved.phase}")
        for ack in acks or []:
            said = f"serves it after {ack['ms']:.0f} ms" if ack["ms"] is not None else "HAS NOT ANSWERED"
            print(f"  gateway {ack['gateway']} on {ack['address']} {said}")
        if acks == []:
            print("  no gateway is there to hear of it")
        if patch:
            print(patch, end="")
        return heard

    return run


def aa(arguments: Namespace) -> int:
    """Open a canary of a route's version against itself."""
    from detent.controller import open_aa

    with closing(place.open_store(arguments)) as store:
        rollout = open_aa(
            store,
            arguments.route,
            by=place.who(arguments),
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


def _acknowledged(store: Store, route: str) -> list[dict[str, Any]]:
    """Wait until every live gateway serves the newest revision; one that does not answer in time has `ms` None.

    A gateway that has fallen silent is not waited for: it is named, with `ms` None, because what it serves is not known.
    """
    from detent.explain import silent_s

    revision = store.state.revision()
    written_at = store.state.flags()[route].written_at or place.now()
    deadline = time.monotonic() + WAIT_FOR_GATEWAYS_S
    while True:
        acks = {ack.gateway: ack for ack in store.state.acks(revision)}
        known = store.state.gateways()
        waiting = [g for g in known if g.gateway not in acks and silent_s(g, place.now()) is None]
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return [
        {
            "gateway": g.gateway,
            "address": g.address,
            "ms": (acks[g.gateway].applied_at - written_at).total_seconds() * 1000 if g.gateway in acks else None,
        }
        for g in known
    ]


def _settled(arguments: Namespace, rollouts: Iterable[Rollout]) -> str:
    """The patch that makes the pin file true after these rollouts, the latest of each route. Where none fits, that is said on stderr."""
    from detent.patch import settle, unified

    try:
        text = settled = place.read_text(arguments)
    except DetentError as error:
        print(f"detent: no patch for the pin file: {error}", file=sys.stderr)
        return ""
    for rollout in {r.route: r for r in sorted(rollouts, key=lambda r: r.opened_at) if not r.aa}.values():
        try:
            settled = settle(settled, rollout)
        except DetentError as error:
            print(f"detent: no patch for the pin file: {error}", file=sys.stderr)
    return unified(text, settled, arguments.file)


GROUP = "rollouts"
SAID: tuple[Option, ...] = (ROLLOUT, place.BY, place.WHY, *place.PLACE, place.JSON)

COMMANDS: tuple[Command, ...] = (
    Command(name="status", says="routes, open rollouts and live gateways", group=GROUP, run=status, options=(*place.PLACE, place.JSON)),
    Command(
        name="explain",
        says="why a rollout stands where it stands, in sentences with numbers",
        group=GROUP,
        run=explain,
        options=(ROLLOUT, *place.PLACE, place.JSON),
    ),
    Command(
        name="verify",
        says="check that file = flag = what the gateways serve",
        group=GROUP,
        run=verify,
        options=(*place.PLACE, place.JSON),
    ),
    Command(name="approve", says="say yes to the stage that waits for it", group=GROUP, run=_verb("approve", "approved"), options=SAID),
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
    Command(
        name="rollback",
        says="all traffic back on stable, from any phase, by one write; waits for every gateway",
        group=GROUP,
        run=_verb("roll_back", "rolled back"),
        options=SAID,
    ),
)
