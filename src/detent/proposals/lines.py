"""Proposals and plans in lines, for a terminal and for a pull request. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from detent.proposals.proposal import Kind, Proposal
from detent.terms import Guard, Plan, ShadowStage, show_duration

# ── a plan in lines ─────────────────────────────────────────────────────────────────────────────────────────────────


def stages(plan: Plan) -> tuple[str, ...]:
    """What a rollout under this plan goes through: stages, windows, shares, guards, approvals and the shortest time it can take."""
    b, s, c = plan.baseline, plan.shadow, plan.canary
    steps = ", ".join(f"{share(x.share)} for {show_duration(x.at_least)}" for x in c.steps)
    control = "; a control slice as large" if c.control else ""
    to_promotion = s.at_least + sum(x.at_least for x in c.steps)
    lines = [
        f"baseline: {b.cases} prompts, {b.screen} runs each, {b.confirm} fresh runs of both versions on suspects",
        f"shadow: {share(s.share)} of requests for {show_duration(s.at_least)} to {show_duration(s.at_most)}, at least {s.pairs} pairs "
        f"and {share(s.coverage)} of the traffic covered; stable asked twice in {share(s.second)}; {_budget(s)}",
        f"canary: {steps}; {show_duration(c.at_most)} at most{control}",
        f"soak: {share(1 - plan.soak.holdback)} on the candidate for {show_duration(plan.soak.at_least)}",
        *_guards(plan.guards),
        f"a human approves the entry of: {', '.join(plan.approve) or 'nothing'}",
        f"shortest time: {show_duration(to_promotion)} to promotion, {show_duration(to_promotion + plan.soak.at_least)} to the end",
    ]
    if plan.unsafe_short_windows:
        lines.append("unsafe short windows: too short to see daily patterns; every decision says so")
    return tuple(lines)


def _budget(stage: ShadowStage) -> str:
    """`25 USD a day at most`, with the other limits where there are any."""
    limits = [
        f"{stage.budget_usd_per_day:g} USD" if stage.budget_usd_per_day is not None else "",
        f"{stage.tokens_per_day} tokens" if stage.tokens_per_day is not None else "",
    ]
    given = " or ".join(filter(None, limits))
    rate = f", {stage.per_second:g} requests a second at most" if stage.per_second is not None else ""
    return (f"{given} a day at most" if given else "no budget") + rate


def share(share: float) -> str:
    """`5 %`."""
    return f"{100 * share:g} %"


def _guards(guards: Iterable[Guard]) -> list[str]:
    says = {"prove": "must be shown no worse", "harm": "rolls back on harm", "observe": "only observed"}
    by_role: dict[str, list[str]] = {}
    for guard in guards:
        hold = " (holds)" if guard.action == "hold" and guard.role != "observe" else ""
        by_role.setdefault(guard.role, []).append(guard.metric + _beyond(guard) + hold)
    return [f"{says[role]}: {', '.join(by_role[role])}" for role in says if role in by_role]


def _beyond(guard: Guard) -> str:
    """How much worse is too much: the margin of what must be proved, the tolerance of what is harm (any worsening, where it has none)."""
    if guard.role == "prove":
        return f" x {guard.margin_ratio:g}" if guard.margin_ratio is not None else f" + {guard.margin_abs:g}"
    return f" beyond x {guard.tolerance_ratio:g}" if guard.role == "harm" and guard.tolerance_ratio != 1.0 else ""


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
