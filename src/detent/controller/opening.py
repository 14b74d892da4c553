"""Rollouts begin here: a pin file handed to the store, or a trial of a route's version against itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from detent import manifest as pin_file
from detent.controller.acting import act
from detent.controller.loading import working_for
from detent.controller.rehearsing import blocking, end_drill, no_drills, rehearsed
from detent.controller.trickles import planned
from detent.errors import Conflict, InvalidInput, Refused
from detent.fitting import describe_fitting, fitted_guards, guards_to_look_for, with_hourly
from detent.freezing import frozen
from detent.loosening import loosened
from detent.proposals import Proposal, proposals, refuse_if_any
from detent.store import Store
from detent.terms import Flag, Manifest, Past, Plan, Power, Provider, Role, Rollout, Route, micros
from detent.transitions import flag_for, into_canary

ENOUGH_PAST = 100
"""Units on record from which on a plan's power is trusted enough to refuse a rollout over it."""

ENOUGH_TIME = timedelta(days=1)
"""Time on record from which on it is trusted so; a canary that may be shorter asks for no more than its own shortest time."""

TRAFFIC_OF = timedelta(days=7)
"""How far back a route's new units are counted: a whole week has its nights and its Sunday."""

LEAST_PROMOTED = 0.10
"""A plan that promotes an unchanged candidate less often than this can prove nothing."""


def apply(
    store: Store,
    text: str,
    *,
    file: str,
    by: str,
    now: datetime,
    new_id: Callable[[], str],
    new_salt: Callable[[], str],
    supersede: bool = False,
    retry_why: str | None = None,
    unproven_why: str | None = None,
) -> tuple[Proposal, ...]:
    """Hand a pin file to the store: add routes, open a rollout for each `next`. Refused as a whole or carried out as a whole.

    A rollout that could prove nothing at its route's traffic is refused unless `unproven_why` is given; who said so is kept in it. Where
    too little is on record to know, it opens, and its proposal says that its power is unknown. The steps are idempotent and the file
    itself is stored last, so an `apply` that was killed is finished by running it again.
    """
    manifest = pin_file.read(text, file=file)
    found = proposed(store, manifest, supersede=supersede, retry=retry_why is not None, now=now)
    refuse_if_any(found)
    opening = {p.route: _planned(store, manifest, p.route, unproven_why, now) for p in found if _opens(p)}
    found = tuple(replace(p, details=(*p.details, *opening[p.route].told)) if _opens(p) else p for p in found)
    for route in _unlike_before(store, manifest, text):  # those whose rollout opens as well: it would end their drill by itself
        end_drill(store, route, by=by, why="a pin file was applied that changes its route", now=now)
    flags = store.state.flags()
    added = [Flag(route=name, revision=0, stable=route.stable) for name, route in manifest.routes.items() if name not in flags]
    if added:
        store.state.put_flags(added, at=now, by=by)
    for proposal in found:
        if proposal.ends is not None:
            act(store, proposal.ends, "abort", by=by, why=f"superseded by {proposal.candidate}", now=now)
        if _opens(proposal):
            plan, unproven = opening[proposal.route].plan, opening[proposal.route].unproven
            rollout = _opened(store, manifest, manifest.routes[proposal.route], plan, rollout_id=new_id(), salt=new_salt(), now=now)
            rollout = replace(rollout, proposed_by=by, unproven=f"{by}: {unproven}" if unproven else "")
            why = "; ".join(filter(None, (retry_why, f"although it can prove nothing: {unproven}" if unproven else "")))
            store.state.open_rollout(rollout, by=by, at=now, why=why)
    removed = [proposal.route for proposal in found if proposal.kind == "remove"]
    if removed:
        store.state.drop_flags(removed, at=now, by=by)
    store.state.put_manifest(text, by=by, at=now)
    return found


def loosened_by(store: Store, manifest: Manifest) -> tuple[str, ...]:
    """What this pin file no longer asks a human yes for that the one in force does; see `loosening`."""
    applied = store.state.manifest_text()
    return () if applied is None else loosened(pin_file.read(applied.text), manifest)


def _opens(proposal: Proposal) -> bool:
    return proposal.kind in ("open", "supersede")


def _unlike_before(store: Store, manifest: Manifest, text: str) -> Iterator[str]:
    """Routes on which a drill is under way and that this pin file says something else of than the one in force."""
    applied = store.state.manifest_text()
    if applied is None or applied.text == text:
        return
    before = pin_file.read(applied.text)
    for name in {report.route for report in store.state.drills(under_way=True)}:
        if name not in manifest.routes or name not in before.routes or _of(manifest, name) != _of(before, name):
            yield name


def _of(manifest: Manifest, name: str) -> tuple[Route, Plan, Mapping[str, Provider]]:
    route = manifest.routes[name]
    return route, manifest.plans[route.plan], manifest.providers


def proposed(
    store: Store, manifest: Manifest, *, supersede: bool = False, retry: bool = False, now: datetime | None = None
) -> tuple[Proposal, ...]:
    """What applying this pin file would do, from the store's flags and rollouts; with `now`, also what drills, freezes and trickles have to
    say.
    """
    rollouts = store.state.rollouts()
    applied = store.state.manifest_text()
    opened: Mapping[str, Rollout] = {r.route: r for r in rollouts if not r.phase.terminal}
    ended = [r for r in rollouts if r.phase.terminal and not r.aa]
    found = proposals(
        manifest,
        store.state.flags(),
        opened,
        ended,
        applied=pin_file.read(applied.text) if applied else None,
        supersede=supersede,
        retry=retry,
    )
    if now is None:
        return found
    return tuple(_with_copies(store, manifest, _with_drill(store, manifest, proposal, now), now) for proposal in found)


def _with_copies(store: Store, manifest: Manifest, proposal: Proposal, now: datetime) -> Proposal:
    """What copies to the way back will cost, where the route is new or anything about it changes."""
    if proposal.kind not in ("add", "change", "open", "supersede"):
        return proposal
    told = planned(store, manifest, manifest.routes[proposal.route], now)
    return proposal if told is None else replace(proposal, details=(*proposal.details, told))


def _with_drill(store: Store, manifest: Manifest, proposal: Proposal, now: datetime) -> Proposal:
    """A rollout that would open is refused where a drill is overdue or failed, and told where a freeze will hold it."""
    if not _opens(proposal):
        return proposal
    if (blocked := blocking(store, manifest, proposal.route, now)) is not None:
        first = f"end rollout {proposal.ends} with `detent abort {proposal.ends}`, then " if proposal.ends else ""
        return replace(proposal, kind="refuse", sentence=f"{blocked.code}: {blocked.sentence}", hint=f"{first}{blocked.hint}")
    route = manifest.routes[proposal.route]
    told = [f"{until}: it opens, and waits for that"] if (until := frozen(manifest.plans[route.plan], now)) is not None else []
    if manifest.plans[route.plan].drill is None and rehearsed(store, manifest, proposal.route, now) is not None:
        told.append(no_drills(route.plan))
    return replace(proposal, details=(*proposal.details, *told))


def fitted(store: Store, manifest: Manifest, name: str, now: datetime) -> tuple[Plan, Past]:
    """The plan of a route as a rollout would be opened with it, its default guards fitted to the traffic on record, and that traffic."""
    plan = manifest.plans[manifest.routes[name].plan]
    past = store.journal.past(name, guards=guards_to_look_for(plan.guards), declared=manifest.metrics, prices=manifest.prices, at=now)
    guards = fitted_guards(plan.guards, past)
    if guards != plan.guards:  # one that joined may have another maturity than it was looked for with
        past = store.journal.past(name, guards=guards, declared=manifest.metrics, prices=manifest.prices, at=now)
    return replace(plan, guards=guards), with_hourly(past, _legs_by_minute(store, name, now), micros(now))


def _legs_by_minute(store: Store, name: str, now: datetime) -> Mapping[int, int]:
    """The requests of a route, by minute: those that a rollout took from stable are its traffic too."""
    found: Counter[int] = Counter()
    for key, sums in store.state.minute_sums(name, since_us=micros(now - TRAFFIC_OF)):
        if key.role == Role.SERVED:
            found[key.minute_us] += sums.legs
    return found


def unprovable(plan: Plan, past: Past, power: Power) -> tuple[str, str] | None:
    """Why a rollout with this power is not opened unless somebody says why, and what to do instead; None where it may be.

    Nothing is refused over a young record: its rate is that of one hour, and outcomes that mature late are not yet on it.
    """
    if power.unknown or power.promoted >= LEAST_PROMOTED or not _enough_on_record(plan, past, power):
        return None
    sentence = (
        f"plan `{power.plan}` can prove nothing at the traffic of route `{power.route}`: an unchanged candidate would be promoted in "
        f"{100 * power.promoted:.0f} % of rollouts"
    )
    return sentence, "; ".join((*power.advice, 'or open it all the same: --unproven --why "..."'))


def _enough_on_record(plan: Plan, past: Past, power: Power) -> bool:
    """Whether there are units enough, over time enough, most of them mature for each guard that proves."""
    shortest_s = sum(step.at_least for step in plan.canary.steps)
    slowest_s = max((guard.matures for guard in plan.guards if guard.role == "prove"), default=0.0)
    return (
        past.units >= ENOUGH_PAST
        and power.seconds >= min(ENOUGH_TIME.total_seconds(), shortest_s)
        and past.seconds >= 2 * slowest_s  # half of the units or more are older than that
    )


@dataclass(frozen=True, slots=True)
class _Planned:
    """The plan to open a rollout with, why it is opened although it can prove nothing, and what there is to say of it."""

    plan: Plan
    unproven: str = ""
    told: tuple[str, ...] = ()


def _planned(store: Store, manifest: Manifest, name: str, unproven_why: str | None, now: datetime) -> _Planned:
    """How to open a rollout of this route. Raises Refused where it can prove nothing and nobody said why."""
    plan, past = fitted(store, manifest, name, now)
    told = tuple(filter(None, [describe_fitting(manifest.plans[plan.name].guards, plan.guards)]))
    if past.units < ENOUGH_PAST:
        unknown = f"`{past.units}` units of route `{name}` are on record, and {ENOUGH_PAST} are needed to say what this rollout can prove"
        return _Planned(plan, told=(*told, f"power: unknown: {unknown}"))
    from detent.power import lines, power_of  # simulates: most callers never need it

    power = power_of(name, plan, past, manifest.metrics)
    refused = unprovable(plan, past, power)
    if refused is None:
        return _Planned(plan, told=(*told, *lines(power)[:1]))
    if unproven_why is None:
        raise Refused(refused[0], hint=refused[1])
    return _Planned(plan, unproven=unproven_why, told=told)


def _opened(store: Store, manifest: Manifest, route: Route, plan: Plan, *, rollout_id: str, salt: str, now: datetime) -> Rollout:
    """A rollout of the route's `next`, as it begins. Raises Conflict when the pin moved since the file was looked at."""
    stable = store.state.flags()[route.name].stable
    if route.candidate is None or stable != route.stable:
        raise Conflict(
            f"the pin of route `{route.name}` moved meanwhile: `{stable}`", hint="see what the file would do now with `detent plan`"
        )
    return Rollout(
        id=rollout_id,
        route=route.name,
        owner=route.owner,
        stable=stable,
        candidate=route.candidate,
        plan=plan,
        declared=manifest.metrics,
        prices=manifest.prices,
        salt=salt,
        opened_at=now,
        entered_at=now,
    )


def open_aa(store: Store, name: str, *, by: str, why: str, now: datetime, rollout_id: str, salt: str) -> Rollout:
    """Open a canary of a route's version against itself, by the route's plan: every alarm in it is a false one.

    It needs no baseline, no shadow and no yes, since no user sees anything new. Raises InvalidInput for a route that was never applied,
    Refused when it has an open rollout.
    """
    applied = store.state.manifest_text()
    flag = store.state.flags().get(name)
    if applied is None or flag is None:
        raise InvalidInput(f"no such route in force: `{name}`", hint="apply the pin file that has it: `detent apply`")
    manifest = pin_file.read(applied.text)
    plan, _ = fitted(store, manifest, name, now)
    rollout = Rollout(
        id=rollout_id,
        route=name,
        owner=manifest.routes[name].owner,
        stable=flag.stable,
        candidate=flag.stable,
        plan=replace(plan, approve=()),
        declared=manifest.metrics,
        prices=manifest.prices,
        salt=salt,
        opened_at=now,
        entered_at=now,
        proposed_by=by,
        aa=True,
    )
    rollout = into_canary(replace(rollout, working=working_for(store, rollout, now)), now)
    return store.state.open_rollout(rollout, flag_for(rollout, flag), by=by, at=now, why=why or "a trial of the version against itself")
