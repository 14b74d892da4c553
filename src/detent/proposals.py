"""What applying a pin file would do, route by route: manifest and flags in, proposals out. Nothing is done here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from detent.errors import Refused
from detent.manifest.findings import escaped
from detent.terms import Flag, Guard, Manifest, Phase, Plan, RecordPolicy, Rollout, Route, Version, show_duration

Kind = Literal["add", "open", "supersede", "running", "withdrawn", "settle", "change", "remove", "unchanged", "refuse"]
"""What would happen to a route.

- add: the route is new; its pin is taken as approved
- open: a rollout opens for `next`
- supersede: the open rollout ends, then one opens for `next`
- running: `next` is on its way already; nothing new happens
- withdrawn: `next` was taken out while its rollout is open; nothing moves by that
- settle: a rollout moved the pin and the file still tells the old state, or tells the new one already; nothing moves
- change: versions stay, settings of the route change
- remove: the route is no longer in the file
- unchanged: nothing
- refuse: the file may not be applied
"""

AGAIN: tuple[Phase, ...] = (Phase.REJECTED, Phase.ROLLED_BACK, Phase.ABORTED)
"""Ends after which the same (route, version, plan) needs `--retry --why`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would happen to one route: a sentence, details of it line by line, and what to do next where there is something to do."""

    route: str
    kind: Kind
    sentence: str
    hint: str | None = None
    details: tuple[str, ...] = ()
    candidate: Version | None = None
    ends: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One route of the file and all that is known of it; `past` are its rollouts that are over."""

    route: Route
    plan: Plan
    flag: Flag | None
    current: Rollout | None
    past: tuple[Rollout, ...]
    before: Route | None
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
            supersede=supersede,
            retry=retry,
        )
        if case.flag is None:
            found.append(_add(case))
        if case.flag is not None or route.candidate is not None:
            found.append(_pin(case))
    found += _moved_servers(manifest, applied, open_rollouts)
    gone = [name for name in flags if name not in manifest.routes]
    return (*found, *(_remove(name, open_rollouts.get(name), manifest) for name in gone))


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
    changes = _changes(route, case.before)
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
        note = "" if current.plan == plan else "; its plan was fixed when it opened, the plan as written now is for the next one"
        return case.says("running", f"rollout {current.id} to {candidate} is in {_where(current)}{note}")
    before = [r for r in case.past if r.candidate == candidate and r.plan.name == plan.name and r.phase in AGAIN]
    if before and not case.retry:
        return _ended_before(case, candidate, _latest(before))
    if current is not None and not case.supersede:
        sentence = (
            f"another version is proposed while rollout {current.id} to {current.candidate} is in {_where(current)}: `{candidate.model}`"
        )
        return case.says("refuse", sentence, hint="wait for its end, or end it with `detent apply --supersede`", candidate=candidate)
    again = f", although it ended {_word(_latest(before).phase)} before" if before else ""
    opens = f"opens a rollout from {case.route.stable} to {candidate} under plan {plan.name}{again}"
    if current is None:
        return case.says("open", opens, details=stages(plan), candidate=candidate)
    ends = f"ends rollout {current.id} to {current.candidate} (in {_where(current)})"
    return case.says("supersede", f"{ends}, then {opens}", details=stages(plan), candidate=candidate, ends=current.id)


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


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return escaped(", ".join(str(v) for v in value)) or "none"
    if isinstance(value, RecordPolicy):
        return f"bodies {_share(value.bodies)}"
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


# ── a plan in lines ─────────────────────────────────────────────────────────────────────────────────────────────────


def stages(plan: Plan) -> tuple[str, ...]:
    """What a rollout under this plan goes through: stages, windows, shares, guards, approvals and the shortest time it can take."""
    b, s, c = plan.baseline, plan.shadow, plan.canary
    steps = ", ".join(f"{_share(x.share)} for {show_duration(x.at_least)}" for x in c.steps)
    to_promotion = s.at_least + sum(x.at_least for x in c.steps)
    lines = [
        f"baseline: {b.cases} prompts, {b.screen} runs each, {b.confirm} fresh runs of both versions on suspects",
        f"shadow: {_share(s.share)} of requests for {show_duration(s.at_least)} to {show_duration(s.at_most)}, at least {s.pairs} pairs",
        f"canary: {steps}; {show_duration(c.at_most)} at most",
        f"soak: {_share(1 - plan.soak.holdback)} on the candidate for {show_duration(plan.soak.at_least)}",
        *_guards(plan.guards),
        f"a human approves the entry of: {', '.join(plan.approve) or 'nothing'}",
        f"shortest time: {show_duration(to_promotion)} to promotion, {show_duration(to_promotion + plan.soak.at_least)} to the end",
    ]
    if plan.unsafe_short_windows:
        lines.append("unsafe short windows: too short to see daily patterns; every decision says so")
    return tuple(lines)


def _share(share: float) -> str:
    return f"{100 * share:g} %"


def _guards(guards: Iterable[Guard]) -> list[str]:
    says = {"prove": "must be shown no worse", "harm": "rolls back on harm", "observe": "only observed"}
    by_role: dict[str, list[str]] = {}
    for guard in guards:
        hold = " (holds)" if guard.action == "hold" and guard.role != "observe" else ""
        by_role.setdefault(guard.role, []).append(guard.metric + _margin(guard) + hold)
    return [f"{says[role]}: {', '.join(by_role[role])}" for role in says if role in by_role]


def _margin(guard: Guard) -> str:
    if guard.role == "observe":
        return ""
    return f" x {guard.margin_ratio:g}" if guard.margin_ratio is not None else f" + {guard.margin_abs:g}"


# ── for a terminal and for a pull request ───────────────────────────────────────────────────────────────────────────

_SIGN: dict[Kind, str] = {
    "add": "+",
    "open": ">",
    "supersede": ">",
    "running": "~",
    "withdrawn": "~",
    "settle": "=",
    "change": "*",
    "remove": "-",
    "unchanged": "=",
    "refuse": "!",
}


def as_text(found: Iterable[Proposal]) -> str:
    """The proposals as lines for a terminal, each with its sign; ends without a newline."""
    lines: list[str] = []
    for p in found:
        lines.append(f"{_SIGN[p.kind]} {p.route}: {p.sentence}")
        lines.extend(f"    {line}" for line in p.details)
        if p.hint:
            lines.append(f"    hint: {p.hint}")
    return "\n".join(lines)


def as_markdown(found: Iterable[Proposal]) -> str:
    """The proposals as Markdown for a pull request; ends without a newline."""
    lines = ["### detent plan", ""]
    for p in found:
        lines.append(f"- **{_plain(p.route)}** ({p.kind}): {_plain(p.sentence)}")
        lines.extend(f"  - {_plain(line)}" for line in p.details)
        if p.hint:
            lines.append(f"  - hint: {_plain(p.hint)}")
    return "\n".join(lines) if len(lines) > 2 else "### detent plan\n\nnothing to do"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is: code spans stay, names with `_` or `*` don't turn into emphasis, nothing becomes a tag."""
    outside = True  # of a code span; a lone backtick opens none
    if text.count("`") % 2:
        text = text.replace("`", "'")
    out = []
    for c in text:
        if c == "`":
            outside = not outside
        out.append(f"\\{c}" if outside and c in "\\*_<>[]|#~" else c)
    return "".join(out)
