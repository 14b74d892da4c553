"""The way back of each route, the versions that are kept, and the alerts that are open, in lines and for machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from detent.alerting import headline
from detent.explain.wording import ago
from detent.terms import Alert, Delivery, FormerVersion, WayBack
from detent.visible import line


def describe_way_back(found: WayBack, now: datetime, *, cost: str = "") -> str:
    """`way back gpt-4-0613: proven 40s ago, 312 ms, takes the load with 62 % of its requests and 71 % of its tokens to spare`."""
    if found.version is None:
        return f"way back: {found.unknown}"
    which = f"way back {found.version.model}"
    if found.broken:
        since = f"; it last worked {ago((now - found.proven_at).total_seconds())} ago" if found.proven_at else ""
        return line(f"{which}: BROKEN: {found.broken}{since}", 400)
    if found.unknown:
        return line(f"{which}: not known to work: {found.unknown}", 400)
    parts = [f"proven {ago((now - found.proven_at).total_seconds())} ago" if found.proven_at else "proven"]
    if found.by == "traffic":
        parts[0] += " by real traffic"
    if found.latency_s is not None:
        parts.append(f"{found.latency_s * 1000:.0f} ms")
    if found.headroom:
        parts.append("takes the load with " + " and ".join(_spare(found.headroom)) + " to spare")
    else:
        parts.append("its provider says nothing of its quota")
    if found.ends_at is not None:
        parts.append(f"its provider ends it on {found.ends_at:%Y-%m-%d}")
    if cost and found.by == "probes":
        parts.append(cost)
    return f"{which}: " + ", ".join(parts)


def _spare(headroom: Mapping[str, float]) -> list[str]:
    return [f"{100 * left:.0f} % of its {kind.replace('_', ' ')}" for kind, left in headroom.items()]


def lines(
    found: Mapping[str, WayBack],
    former: Sequence[FormerVersion],
    alerts: Sequence[Alert],
    now: datetime,
    *,
    costs: Mapping[str, str] | None = None,
    ways_out: Mapping[str, str] | None = None,
) -> list[str]:
    """What `status` says: each route's way back and what it costs, the former versions that are kept, the alerts that are open. `ways_out`
    is what to do where the way back of a route that has an open rollout is broken.
    """
    said = []
    for route, way_back in sorted(found.items()):
        said.append(f"{route}: {describe_way_back(way_back, now, cost=(costs or {}).get(route, ''))}")
        if way_back.broken and ways_out and route in ways_out:
            said.append(f"  {ways_out[route]}")
    said += [
        f"{one.route}: {one.version.model} was the pin until {one.since:%Y-%m-%d} ({one.rollout}) and is kept: `detent retire {one.route}`"
        for one in former
    ]
    return said + [alert_line(one, now) for one in alerts]


def alert_line(alert: Alert, now: datetime, *, brief: bool = False) -> str:
    """One line of an open alert: what, since when, who has it; `brief` where what is wrong is told elsewhere."""
    what = line(f"{'PAGE ' if alert.pages else ''}{alert.kind} of {alert.about}") if brief else headline(alert)
    return f"alert {alert.id} {what}, for {ago((now - alert.at).total_seconds())}{_read(alert)}"


def _read(alert: Alert) -> str:
    if alert.acknowledged_at is not None:
        return line(f"; acknowledged by {alert.acknowledged_by}")
    return "; nobody has acknowledged it" if alert.pages else ""


def json_of(found: Mapping[str, WayBack], former: Sequence[FormerVersion], alerts: Sequence[Alert]) -> dict[str, Any]:
    """The same for machines: members `way_backs` (by route), `former_versions` and `alerts`."""
    return {
        "way_backs": {
            route: {
                "version": None if one.version is None else str(one.version),
                "state": "broken" if one.broken else "unknown" if one.unknown else "proven",
                "why": one.broken or one.unknown,
                "proven_at": _iso(one.proven_at),
                "by": one.by,
                "latency_s": one.latency_s,
                "headroom": one.headroom,
                "ends_at": _iso(one.ends_at),
            }
            for route, one in sorted(found.items())
        },
        "former_versions": [
            {"route": one.route, "version": str(one.version), "since": one.since.isoformat(), "rollout": one.rollout} for one in former
        ],
        "alerts": [alert_json(one, ()) for one in alerts],
    }


def alert_lines(alert: Alert, sent: Iterable[Delivery], now: datetime) -> list[str]:
    """One alert as `detent alerts` prints it: what, since when, who has it, what to do, and whether word of it arrived."""
    over = f", over since {ago((now - alert.ended_at).total_seconds())}" if alert.ended_at is not None else ""
    told = [f"{alert.id}  {headline(alert)}", f"  {ago((now - alert.at).total_seconds())} ago{over}, for {line(alert.owner)}{_read(alert)}"]
    if alert.hint:
        told.append(f"  {line(alert.hint, 400)}")
    return told + [f"  {_delivery(one)}" for one in sent if one.alert == alert.id]


def _delivery(one: Delivery) -> str:
    if one.sent_at is not None:
        return f"{one.channel}: taken {one.sent_at:%H:%M:%S} UTC" + (f", at try {one.tries}" if one.tries > 1 else "")
    return line(f"{one.channel}: not taken after {one.tries} tries, next at {one.next_at:%H:%M:%S} UTC: {one.error or 'under way'}", 400)


def alert_json(alert: Alert, sent: Iterable[Delivery]) -> dict[str, Any]:
    """An alert for machines, with where word of it stands."""
    return {
        "id": alert.id,
        "kind": alert.kind,
        "about": alert.about,
        "owner": alert.owner,
        "sentence": alert.sentence,
        "hint": alert.hint,
        "pages": alert.pages,
        "at": alert.at.isoformat(),
        "ended_at": _iso(alert.ended_at),
        "acknowledged_at": _iso(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by,
        "deliveries": [
            {"channel": one.channel, "tries": one.tries, "sent_at": _iso(one.sent_at), "error": one.error}
            for one in sent
            if one.alert == alert.id
        ],
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
