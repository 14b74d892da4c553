"""What an owner is told, and what they are paged for: one table of kinds, and the alerts that a rollout or a way back gives rise to. Pure.

An alert that lasts is open as long as its cause; news (a rollout that ended) is said once. A page waits for a person, `detent ack`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from detent.terms import Alert, LocalOrder, Phase, PutBack, Rollout, WayBack
from detent.visible import line, visible


@dataclass(frozen=True, slots=True)
class Kind:
    """One row: what the code stands for, whether it pages, whether it lasts, and what to do about it (`{about}` is what it concerns)."""

    says: str
    pages: bool = False
    lasts: bool = True
    hint: str = "see why: `detent explain {about}`"


_WORKING_WAY_BACK = "see it with `detent status`; name another version as `rollback` of the route in the pin file if it stays broken"


def way_out(rollout_id: str, phase: Phase) -> str:
    """What to do about a rollout whose stable version could not take the traffic back: in a rollout no other version is the way back."""
    end = f"`detent rollback {rollout_id}`" if phase in (Phase.CANARY, Phase.SOAK) else f"`detent abort {rollout_id}`"
    on = f"; or go on by name: `detent promote {rollout_id} --why ...`" if phase is Phase.CANARY else ""
    return f"stable is the way back while a rollout is open: mend it, or end the rollout: {end}{on}"


KINDS: dict[str, Kind] = {
    # how a rollout ended
    "RolledBack": Kind("a rollout was rolled back over harm: stable serves all traffic", pages=True, lasts=False),
    "RolledBackByHuman": Kind("a person rolled a rollout back", lasts=False),
    "Void": Kind("the provider moved under a rollout, whose comparison is void", lasts=False),
    "Rejected": Kind("a candidate was rejected before any user met it", lasts=False),
    "NotProved": Kind("a rollout reached its limit without proof", lasts=False),
    "Aborted": Kind("a person ended a rollout that users had met", lasts=False),
    "Done": Kind("a rollout is done: its candidate is the pin", lasts=False, hint="merge the patch that `detent verify` prints"),
    # what a rollout is held for
    "HarmSuspected": Kind("E >= 10 over the guards: held until it rises or falls", pages=True),
    "ShadowHarmSuspected": Kind("E >= 10 in the shadow: held until it rises or falls"),
    "GuardHarmedHold": Kind("harm by a guard whose action is hold: a person decides", pages=True),
    "SampleRatioAlarm": Kind("the arms' sizes do not fit the split: nothing is proved until this is explained"),
    "GuardFailed": Kind("a guard cannot be computed: nothing widens until it can"),
    "GuardWithoutData": Kind("a guard never had an outcome to go by"),
    "AwaitingApproval": Kind("a stage waits for a human yes", hint="look at `detent explain {about}`, then `detent approve {about}`"),
    "NoBaseline": Kind("a rollout waits for a frozen baseline", hint="freeze one: `detent baseline freeze ROUTE`"),
    "BaselineBudget": Kind("a baseline run stopped at its budget"),
    "BaselineCouldNotRun": Kind("a baseline run cannot be made"),
    "BaselineInconclusive": Kind("a baseline run says neither pass nor regression"),
    "LeftScript": Kind("a candidate leaves the script of agent cases, which nobody can judge from a replay"),
    "ShadowInconclusive": Kind("a shadow says neither pass nor harm"),
    "Frozen": Kind("a freeze of the plan keeps a rollout from moving on"),
    "OrderStands": Kind(
        "an order by file keeps a gateway on stable and cannot be carried out: nothing moves on",
        pages=True,
        hint="see where: `detent status`; then `detent rollback {about}`, or take the order away on its host",
    ),
    # beside rollouts
    "BaselineStale": Kind(
        "a baseline does not speak for its route's traffic any more", hint="freeze a fresh one: `detent baseline freeze {about}`"
    ),
    "WayBackBroken": Kind("traffic could not go back", pages=True, hint=_WORKING_WAY_BACK),
    "WayBackUnknown": Kind("nobody can tell whether traffic could go back", hint=_WORKING_WAY_BACK),
    "WayBackEnds": Kind("the provider shuts a version down that a rollout may have to go back to", hint=_WORKING_WAY_BACK),
    "StableFails": Kind(
        "the circuit breaker of a route's stable version is open at a live gateway",
        pages=True,
        hint="see where: `detent status`; a route's `fallback` answers while stable is out",
    ),
    # drills
    "DrillOverdue": Kind(
        "the way back was not rehearsed in time: new rollouts are refused", pages=True, hint="run one: `detent drill {about}`"
    ),
    "DrillFailed": Kind(
        "a drill failed", pages=True, hint="see `detent drill --show {about}`; mend it, and run it again: `detent drill {about}`"
    ),
    "DrillReport": Kind("a drill ended, however it did", lasts=False, hint="see `detent drill --show {about}`"),
    "DrillPage": Kind("a rehearsed page: acknowledge it and press", pages=True, hint="`detent ack ALERT`, then press"),
    # of this machinery itself
    "Test": Kind("a test of [notify]", lasts=False, hint="nothing to do"),
    "StorePutBack": Kind(
        "the store was put back to a state older than what gateways had obeyed: nothing that it splits is obeyed",
        pages=True,
        lasts=False,
        hint="see what it knows: `detent status`; then `detent resume {about}` or `detent rollback {about}` where a rollout is open",
    ),
    # orders given without a store
    "LocalRollback": Kind("a rollback was given by file on a gateway's host", pages=True, lasts=False, hint="see it with `detent status`"),
}
"""Every alert there is, by its code."""

OF_HELD = frozenset(
    {
        "HarmSuspected",
        "ShadowHarmSuspected",
        "GuardHarmedHold",
        "SampleRatioAlarm",
        "GuardFailed",
        "GuardWithoutData",
        "AwaitingApproval",
        "NoBaseline",
        "BaselineBudget",
        "BaselineCouldNotRun",
        "BaselineInconclusive",
        "LeftScript",
        "OrderStands",
        "ShadowInconclusive",
        "Frozen",
    }
)
"""Reasons for a hold that are told under their own name, about the rollout. A stale baseline and a broken way back are the route's."""

LASTING = OF_HELD | {"BaselineStale", "StableFails", "WayBackBroken", "WayBackUnknown", "WayBackEnds"}
"""The kinds whose end the controller sees, since it sees their causes."""


def alert(kind: str, about: str, owner: str, sentence: str, at: datetime, *, key: str = "", hint: str = "") -> Alert:
    """An alert of a kind of the table. `key` tells one occurrence from another; the same occurrence has the same id, whoever raises it.
    `hint` is what to do where that is not what the table says.
    """
    row = KINDS[kind]
    digest = hashlib.sha256("\0".join((kind, about, key)).encode()).hexdigest()
    return Alert(
        id=f"al_{digest[:12]}",
        at=at,
        kind=kind,
        about=about,
        owner=owner,
        sentence=sentence,
        hint=hint or row.hint.format(about=about),
        pages=row.pages,
        lasts=row.lasts,
        ended_at=None if row.lasts or row.pages else at,  # what is only told is over as it is said
    )


def of_end(rollout: Rollout) -> Alert | None:
    """What its owner is told of how a rollout ended; None while it is open, and of an end that nobody needs to hear of."""
    if rollout.ended_at is None or rollout.aa:
        return None
    kind = _kind_of_end(rollout)
    if kind is None:
        return None
    sentence = f"{rollout.route}: {rollout.stable.model} -> {rollout.candidate.model} ended as {rollout.phase}: {rollout.reason}"
    return alert(kind, rollout.id, rollout.owner, sentence, rollout.ended_at, key=f"{rollout.ended_at.timestamp():.6f}")


def _kind_of_end(rollout: Rollout) -> str | None:
    match rollout.phase:
        case Phase.ROLLED_BACK:
            return "RolledBackByHuman" if rollout.reason.startswith("RolledBackByHuman") else "RolledBack"
        case Phase.VOID:
            return "Void"
        case Phase.REJECTED:
            return "Rejected"
        case Phase.NOT_PROVED:
            return "NotProved"
        case Phase.DONE:
            return "Done"
        case Phase.ABORTED:
            return "Aborted" if rollout.canary_at is not None else None
    return None


def of_hold(rollout: Rollout) -> Alert | None:
    """What its owner is told of what Detent holds a rollout for; None where nothing does, and where it is told of the route."""
    held = rollout.held
    if held is None or held.by != "detent" or held.reason not in OF_HELD:
        return None
    sentence = f"{rollout.route}: {rollout.stable.model} -> {rollout.candidate.model} is held in {rollout.phase}: {held.why}"
    return alert(held.reason, rollout.id, rollout.owner, sentence, held.since_at, key=f"{held.since_at.timestamp():.6f}")


def of_order(order: LocalOrder, owner: str) -> Alert:
    """What the owner of a route is told of a rollback that was given by file and carried out in the store."""
    what = f"rollout {order.rollout}" if order.rollout is not None else "no rollout"
    why = f": {order.why}" if order.why else ""
    sentence = f"{order.route}: {order.by} rolled it back by file on a gateway's host, about {what}{why}"
    return alert("LocalRollback", order.route, owner, sentence, order.at, key=order.id)


def of_put_back(found: PutBack, route: str, owner: str) -> Alert:
    """What the owner of a route is told of a store that was put back, and had forgotten something of this route or has a rollout of it."""
    sentence = (
        f"{route}: the store was put back to an older state: gateway {found.gateway} found it at revision {found.was}, and {found.served} "
        "had been obeyed. What it splits is not obeyed, and its rollouts are held, until somebody says how it goes on"
    )
    return alert("StorePutBack", route, owner, sentence, found.at, key=str(found.revision))


def of_breakers(route: str, version: str, owner: str, at: datetime, *, at_gateways: Mapping[str, str], live: int, fallback: str) -> Alert:
    """What the owner of a route is told whose stable version fails hard: `at_gateways` says of which gateways, with what each counted;
    `fallback` is what answers meanwhile, empty where nothing does.
    """
    names = sorted(at_gateways)
    where = f"{len(names)} of {live} gateways ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
    meanwhile = f"`{fallback}` answers in its place" if fallback else "no fallback answers in its place, so that callers get its errors"
    sentence = f"{route}: stable {version} fails at {where}: {at_gateways[names[0]]}; {meanwhile}"
    return alert("StableFails", route, owner, sentence, at, key=f"{version} {at.timestamp():.6f}")


def of_way_back(way_back: WayBack, owner: str, at: datetime, *, rollout: Rollout | None = None) -> Alert | None:
    """What the owner of a route is told of its way back; None while it is proven, and where none is there to speak of. `rollout` is the
    open one, if there is one.
    """
    if way_back.version is None:
        return None
    key = f"{way_back.version} {at.timestamp():.6f}"
    of = f"{way_back.route}: the way back to {way_back.version}"
    hint = way_out(rollout.id, rollout.phase) if rollout is not None else ""
    if way_back.broken:
        return alert("WayBackBroken", way_back.route, owner, f"{of} is broken: {way_back.broken}", at, key=key, hint=hint)
    if way_back.unknown:
        return alert("WayBackUnknown", way_back.route, owner, f"{of} is not proven: {way_back.unknown}", at, key=key, hint=hint)
    if way_back.ends_at is not None:
        return alert("WayBackEnds", way_back.route, owner, f"{of} ends on {way_back.ends_at:%Y-%m-%d}", at, key=key)
    return None


def ending(open_alerts: Iterable[Alert], wanted: Iterable[Alert], unsure: Collection[tuple[str, str]] = ()) -> list[Alert]:
    """Of the alerts that are open those whose cause the controller sees, and does not see any more; none of which it is `unsure` yet, by
    kind and what they are about.
    """
    lasting = {(one.kind, one.about) for one in wanted} | set(unsure)
    return [one for one in open_alerts if one.kind in LASTING and (one.kind, one.about) not in lasting]


# ── word of an alert ────────────────────────────────────────────────────────────────────────────────────────────────


def headline(alert: Alert) -> str:
    """One line: whether it pages, what it is, and whether it is over. What strangers wrote in it is text."""
    over = f" (over since {alert.ended_at:%H:%M} UTC)" if alert.ended_at is not None and alert.ended_at > alert.at else ""
    return line(f"{'PAGE ' if alert.pages else ''}{alert.kind}: {alert.sentence}{over}", 400)


def told(alert: Alert) -> list[str]:
    """The alert in lines, with what to do; a page says how it is acknowledged."""
    lines = [headline(alert)]
    if alert.hint:
        lines.append(line(alert.hint, 400))
    if alert.pages and alert.acknowledged_at is None:
        lines.append(f"say that you have it: `detent ack {alert.id}`")
    lines.append(f"{alert.at:%Y-%m-%d %H:%M:%S} UTC, for {line(alert.owner, 200)}")
    return lines


def payload(alert: Alert) -> dict[str, str | bool | None]:
    """What a webhook is posted: `text` for receivers that show it as it is (Slack and those who copy it), and the same for machines."""
    return {
        # These three are all that such receivers read as their own: `<!channel>` in a stranger's text would page a whole company.
        "text": "\n".join(told(alert)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "id": alert.id,
        "kind": alert.kind,
        "about": visible(alert.about, one_line=True),
        "owner": visible(alert.owner, one_line=True),
        "sentence": visible(alert.sentence, one_line=True),
        "hint": visible(alert.hint, one_line=True),
        "pages": alert.pages,
        "at": alert.at.isoformat(),
        "ended_at": None if alert.ended_at is None else alert.ended_at.isoformat(),
    }
