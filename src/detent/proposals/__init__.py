"""What applying a pin file would do, route by route: manifest and flags in, proposals out. Nothing is done here.

proposal.py  one proposal                lines.py  proposals and plans in lines
seeing.py    what a shadow will see at the route's recorded traffic
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from detent.catalog import price
from detent.errors import Refused
from detent.fitting import may_be_fitted
from detent.manifest.findings import escaped
from detent.proposals.lines import as_markdown, as_text, share, stages
from detent.proposals.proposal import Kind, Proposal
from detent.proposals.seeing import Sight, seeing, sight_of
from detent.terms import Flag, Manifest, Phase, Plan, Price, RecordPolicy, Rollout, Route, Version, Warm

__all__ = [
    "AGAIN",
    "Kind",
    "Proposal",
    "Sight",
    "as_markdown",
    "as_text",
    "proposals",
    "refuse_if_any",
    "seeing",
    "sight_of",
    "stages",
]

AGAIN: tuple[Phase, ...] = (Phase.REJECTED, Phase.ROLLED_BACK, Phase.ABORTED)
"""Ends after which the same (route, version, plan) needs `--retry --why`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One route of the file and all that is known of it; `past` are its rollouts that are over."""

    route: Route
    plan: Plan
    flag: Flag | None
    current: Rollout | None
    past: tuple[Rollout, ...]
    before: Route | None
    plan_before: Plan | None
    prices: Mapping[str, Price]
    supersede: bool
    retry: bool

    def says(self, kind: Kind, sentence: str, **more: Any) -> Proposal:
        return Proposal(route=self.route.name, kind=kind, sentence=sentence, **more)


def proposals(
    manifest: Manifest,
    flags: Mapping[str, Flag],
    open_rollouts: Mapping[str, Rollout],
    ended: Sequence[Rollout],
    *,
    applied: Manifest | None = None,
    supersede: bool = False,
    retry: bool = False,
) -> tuple[Proposal, ...]:
    """What applying `manifest` would do, in the order of the file, removed routes last; a new route with a `next` gets two proposals.

    `flags` and `open_rollouts` are by route; `ended` are rollouts of any route that are over; `applied` is the manifest in force, against
    which changed settings are told. The whole file is to be refused if any proposal is of kind `refuse`.
    """
    found: list[Proposal] = []
    for name, route in manifest.routes.items():
        case = _Case(
            route=route,
            plan=manifest.plans[route.plan],
            flag=flags.get(name),
            current=open_rollouts.get(name),
            past=tuple(r for r in ended if r.route == name),
            before=applied.routes.get(name) if applied is not None else None,
            plan_before=_plan_of(applied, name) if applied is not None else None,
            prices=manifest.prices,
            supersede=supersede,
            retry=retry,
        )
        if case.flag is None:
            found.append(_add(case))
        if case.flag is not None or route.candidate is not None:
            found.append(_pin(case))
    found += _moved_servers(manifest, applied, open_rollouts)
    found += _unpriced_copies(manifest)
    ending = {p.ends for p in found}
    found += _blinded(manifest, [r for r in open_rollouts.values() if r.id not in ending])
    gone = [name for name in flags if name not in manifest.routes]
    return (*found, *(_remove(name, open_rollouts.get(name), manifest) for name in gone))


def _plan_of(manifest: Manifest, route: str) -> Plan | None:
    return manifest.plans[manifest.routes[route].plan] if route in manifest.routes else None


def _unpriced_copies(manifest: Manifest) -> Iterator[Proposal]:
    """A trickle of copies to a way back whose price nobody knows: nobody could hold it to its budget."""
    for name, route in manifest.routes.items():
        wanted, back = manifest.plans[route.plan].warm, route.way_back
        if wanted is None or back is None or price(back, manifest.prices) is not None:
            continue
        sentence = f"copies to its way back may cost {wanted.usd_per_day:g} USD a day, and what that version costs is not known: `{back}`"
        hint = f'write [prices."{back}"] with input and output, or take `warm` out of plan {route.plan}'
        yield Proposal(route=name, kind="refuse", sentence=sentence, hint=hint)


def _moved_servers(manifest: Manifest, applied: Manifest | None, open_rollouts: Mapping[str, Rollout]) -> Iterator[Proposal]:
    """A provider that is served from elsewhere under the same name is a serving change too: said, and refused in mid-rollout."""
    for name, route in manifest.routes.items():
        now = manifest.providers[route.provider]
        before = applied.providers.get(route.provider) if applied is not None and name in applied.routes else None
        if before is None or (before.base_url, before.dialect) == (now.base_url, now.dialect):
            continue
        said = (
            f"provider {route.provider} moves from {escaped(before.base_url)} ({before.dialect}) to {escaped(now.base_url)} ({now.dialect})"
        )
        current = open_rollouts.get(name)
        if current is not None:
            hint = f"wait for rollout {current.id}, or end it with `detent abort {current.id}`"
            yield Proposal(route=name, kind="refuse", sentence=f"{said} while its rollout is open: the comparison would be void", hint=hint)
        else:
            hint = "the same version may answer otherwise there; to have it compared, give it a provider name and a route of its own"
            yield Proposal(route=name, kind="change", sentence=said, hint=hint)


def _blinded(manifest: Manifest, open_rollouts: Iterable[Rollout]) -> Iterator[Proposal]:
    """A metric that an open rollout's guard reads and that the app could no longer say as it did: the silence would pass for good news."""
    for rollout in open_rollouts:
        guarded = [guard.metric for guard in rollout.plan.guards if guard.role != "observe" and guard.metric in rollout.declared]
        for metric in guarded:
            now = manifest.metrics.get(metric)
            if now is not None and replace(now, says="") == replace(rollout.declared[metric], says=""):
                continue
            done = "taken out of the file" if now is None else "declared otherwise"
            yield Proposal(
                route=rollout.route,
                kind="refuse",
                sentence=f"metric `{metric}` is {done}, and guarded by open rollout {rollout.id} in {_where(rollout)}: it would be blind",
                hint=f"leave [metrics.{metric}] as it was until the rollout ends, or end it with `detent abort {rollout.id}`",
            )


def _add(case: _Case) -> Proposal:
    hint = None if case.route.rollback else "name the version before it as `rollback`, so that there is a way back outside a rollout too"
    return case.says("add", f"new route on {case.route.stable}, taken as approved; owner {escaped(case.route.owner)}", hint=hint)


def _pin(case: _Case) -> Proposal:
    """Is the pin what the store says (that of a new route is), and what of `next`?"""
    route, flag, current = case.route, case.flag, case.current
    if flag is not None and route.stable != flag.stable:
        return _other_pin(case, flag)
    if route.candidate is not None:
        return _next(case, route.candidate)
    if current is not None:
        return case.says(
            "withdrawn",
            f"`next` was taken out while rollout {current.id} to {current.candidate} is in {_where(current)}: nothing moves by that",
            hint=f"end it with `detent abort {current.id}`, or put `next` back",
        )
    changes = (*_changes(route, case.before), *_other_copies(case))
    return case.says("change", f"stays on {route.stable}; settings change", details=changes) if changes else _unchanged(case)


def _unchanged(case: _Case) -> Proposal:
    return case.says("unchanged", f"stays on {case.route.stable}")


def _other_pin(case: _Case, flag: Flag) -> Proposal:
    """The pin of the file isn't the store's: a rollout explains it, or somebody edited by hand."""
    route, current = case.route, case.current
    if current is not None and current.phase is Phase.SOAK and route.stable == current.candidate:
        return case.says("settle", f"the file pins {route.stable} already, which rollout {current.id} has promoted and is soaking")
    merge = "merge the patch that `detent verify` prints"
    done = [r for r in case.past if r.phase is Phase.DONE and r.candidate == flag.stable and r.stable == route.stable]
    if done:
        sentence = f"stays on {flag.stable}, to which rollout {_latest(done).id} moved it; the file still pins {route.stable}"
        return case.says("settle", sentence, hint=merge)
    back = [r for r in case.past if r.phase in AGAIN and r.candidate == route.stable and r.stable == flag.stable]
    if back:
        last = _latest(back)
        return case.says("refuse", f"pins a version that ended {_word(last.phase)} in rollout {last.id}: `{route.version}`", hint=merge)
    if route.provider != flag.stable.provider:
        hint = f'keep provider = "{flag.stable.provider}"; a version of another provider goes to a route of its own'
        return case.says("refuse", f"another provider than that of {flag.stable}, which is approved: `{route.stable}`", hint=hint)
    hint = f'propose it as `next`: version = "{flag.stable.model}", next = "{route.version}"'
    return case.says("refuse", f"version edited by hand, while {flag.stable} is approved: `{route.version}`", hint=hint)


def _next(case: _Case, candidate: Version) -> Proposal:
    """A route whose pin is true and whose file proposes `candidate`."""
    plan, current = case.plan, case.current
    if current is not None and current.candidate == candidate:
        same = replace(current.plan, guards=plan.guards) == plan and may_be_fitted(plan.guards, current.plan.guards)
        note = "" if same else "; its plan was fixed when it opened, the plan as written now is for the next one"
        return case.says("running", f"rollout {current.id} to {candidate} is in {_where(current)}{note}")
    before = [r for r in case.past if r.candidate == candidate and r.plan.name == plan.name and r.phase in AGAIN]
    if before and not case.retry:
        return _ended_before(case, candidate, _latest(before))
    if current is not None and not case.supersede:
        sentence = (
            f"another version is proposed while rollout {current.id} to {current.candidate} is in {_where(current)}: `{candidate.model}`"
        )
        return case.says("refuse", sentence, hint="wait for its end, or end it with `detent apply --supersede`", candidate=candidate)
    if unpriced := _without_price(case, candidate):
        return unpriced
    again = f", although it ended {_word(_latest(before).phase)} before" if before else ""
    back = ", going back to the version before" if candidate.model == case.route.rollback else ""
    opens = f"opens a rollout from {case.route.stable} to {candidate} under plan {plan.name}{back}{again}"
    if current is None:
        return case.says("open", opens, details=stages(plan), candidate=candidate)
    ends = f"ends rollout {current.id} to {current.candidate} (in {_where(current)})"
    return case.says("supersede", f"{ends}, then {opens}", details=stages(plan), candidate=candidate, ends=current.id)


def _without_price(case: _Case, candidate: Version) -> Proposal | None:
    """A budget in USD that nobody could hold the shadow to: what a call costs at worst is not known."""
    stage = case.plan.shadow
    unknown = [version for version in (case.route.stable, candidate) if price(version, case.prices) is None]
    if stage.budget_usd_per_day is None or not unknown:
        return None
    names = " and ".join(f"`{version}`" for version in unknown)
    return case.says(
        "refuse",
        f"the shadow may cost {stage.budget_usd_per_day:g} USD a day, and what a version costs is not known: {names}",
        hint=f'write [prices."{unknown[0]}"] with input and output, or budget_usd_per_day = inf in the shadow of plan {case.plan.name}',
        candidate=candidate,
    )


def _ended_before(case: _Case, candidate: Version, last: Rollout) -> Proposal:
    why = f" ({last.reason})" if last.reason else ""
    on = f" on {last.ended_at.date().isoformat()}" if last.ended_at else ""
    return case.says(
        "refuse",
        f"{candidate} under plan {case.plan.name} ended {_word(last.phase)}{on}{why} in rollout {last.id}: `{candidate.model}`",
        hint=f"take `next` out, or try again with `detent apply --retry --why …`; `detent explain {last.id}` tells what happened",
        candidate=candidate,
    )


def _remove(name: str, current: Rollout | None, manifest: Manifest) -> Proposal:
    if current is not None:
        hint = f"end it first: `detent abort {current.id}`"
        return Proposal(
            route=name, kind="refuse", sentence=f"taken out of the file while a rollout is in {_where(current)}: `{current.id}`", hint=hint
        )
    then = "its name passes through unpinned" if manifest.server.unknown == "pass" else "requests for it get a 404"
    return Proposal(route=name, kind="remove", sentence=f"no longer a route; {then}")


def _changes(route: Route, before: Route | None) -> tuple[str, ...]:
    """Settings that differ from those in force."""
    if before is None:
        return ()
    names = [f.name for f in fields(Route) if f.name not in {"name", "provider", "version", "next"}]
    return tuple(
        f"{n}: {_shown(getattr(before, n))} -> {_shown(getattr(route, n))}" for n in names if getattr(before, n) != getattr(route, n)
    )


def _other_copies(case: _Case) -> tuple[str, ...]:
    """What is copied to the way back, where the plan says otherwise than the one in force."""
    was, now = case.plan_before, case.plan
    return () if was is None or was.warm == now.warm else (f"warm: {_trickle(was.warm)} -> {_trickle(now.warm)}",)


def _trickle(warm: Warm | None) -> str:
    return "none" if warm is None else f"{share(warm.share)} of units, {warm.usd_per_day:g} USD a day at most"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return escaped(", ".join(str(v) for v in value)) or "none"
    if isinstance(value, RecordPolicy):
        return f"bodies {share(value.bodies)}"
    return "none" if value is None else escaped(str(value))


def _latest(rollouts: Sequence[Rollout]) -> Rollout:
    return max(rollouts, key=lambda r: r.ended_at or r.entered_at)


def _word(phase: Phase) -> str:
    return phase.value.replace("_", " ")


def _where(rollout: Rollout) -> str:
    held = f", held ({rollout.held.reason})" if rollout.held else ""
    step = f" step {rollout.step + 1} of {len(rollout.plan.canary.steps)}" if rollout.phase is Phase.CANARY else ""
    return f"{_word(rollout.phase)}{step}{held}"


def refuse_if_any(found: Iterable[Proposal]) -> None:
    """Raise Refused, naming every route that refuses, if any does."""
    refused = [p for p in found if p.kind == "refuse"]
    if refused:
        hints = dict.fromkeys(p.hint for p in refused if p.hint)
        raise Refused("\n".join(f"{p.route}: {p.sentence}" for p in refused), hint="\n      ".join(hints) or None)
