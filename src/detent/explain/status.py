"""What `detent status` says: what is open first, what has ended last. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from detent.explain.gateways import LIVE_S, Gateway, conditions, describe_gateway
from detent.explain.rollout import headline
from detent.explain.way_back import alert_line
from detent.explain.wording import ago
from detent.leasing import goes_on_by, leased
from detent.terms import Alert, Flag, PutBack, Rollout, utc
from detent.transitions import STORE_PUT_BACK

ENDED_SHOWN = 3
"""So many of the rollouts that ended are told, the latest, unless somebody asks for all."""

TOLD_BESIDE = frozenset({"WayBackBroken", "WayBackUnknown", "WayBackEnds", "DrillOverdue", "DrillFailed"})
"""Alerts whose cause has a line of its own: what is wrong is said there, and not once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The controller that leads, or led last, and its last sign of life by its own clock; 0 where it has ended."""

    holder: str
    beat_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """All that there is to say. `of_routes` are lines about ways back and drills, `stale` what is said of a baseline by route, `beside`
    what there is to say of the whole.
    """

    revision: int
    flags: Mapping[str, Flag]
    rollouts: Sequence[Rollout]
    gateways: Sequence[Gateway]
    alerts: Sequence[Alert]
    of_routes: Sequence[str]
    stale: Mapping[str, str]
    beside: Sequence[str]
    put_back: PutBack | None = None
    leader: Leader | None = None


def leading(leader: Leader | None, now: datetime) -> bool:
    """Whether a controller leads, as far as can be told by this host's clock."""
    return leader is not None and leader.beat_us > 0 and (now - utc(leader.beat_us)).total_seconds() <= LIVE_S


def describe_leader(leader: Leader | None, now: datetime) -> str:
    """Who decides; or that nobody does, and what to do."""
    if leader is None:
        return "no controller has led yet: nobody decides; run `detent serve` or `detent controller`"
    if leader.beat_us <= 0:
        return f"controller {_name(leader)} has ended, and nobody follows: nobody decides"
    if leading(leader, now):
        return f"controller {_name(leader)} leads"
    silent = f"controller {_name(leader)} was not heard of for {ago((now - utc(leader.beat_us)).total_seconds())}"
    return f"{silent}: nobody decides, unless the clocks of two hosts are that far apart"


def _name(leader: Leader) -> str:
    """What people call it by: its holder says also which host and which process it is."""
    return leader.holder.partition("/")[0]


def status_lines(found: Stood, now: datetime, *, all_ended: bool = False) -> list[str]:
    """Open rollouts and alerts, routes, the machinery, and last the rollouts that have ended: the latest few, or all."""
    ended = sorted((one for one in found.rollouts if one.phase.terminal), key=lambda one: (one.ended_at or one.opened_at, one.id))
    shown = ended if all_ended else ended[-ENDED_SHOWN:]
    left_out = [f"{len(ended) - len(shown)} more rollouts have ended: `detent status --all`"] if len(shown) < len(ended) else []
    told = {alert.about for alert in found.alerts if alert.kind == "BaselineStale"}
    return [
        *(headline(one, now) for one in found.rollouts if not one.phase.terminal),
        *_put_back(found),
        *(alert_line(one, now, brief=one.kind in TOLD_BESIDE) for one in found.alerts),
        *(_route(name, flag, found) for name, flag in sorted(found.flags.items())),
        *found.of_routes,
        *(said for route, said in sorted(found.stale.items()) if route not in told),
        *found.beside,
        describe_leader(found.leader, now),
        *(line for one in found.gateways for line in _gateway(one, found.revision, now)),
        *([] if found.gateways else ["no live gateway"]),
        *(headline(one, now) for one in shown),
        *left_out,
    ]


def in_doubt(flag: Flag, put_back: PutBack | None) -> bool:
    """Whether what a flag splits is not obeyed, since it is from before the store was put back."""
    return put_back is not None and flag.revision <= put_back.revision and leased(flag)


def _route(name: str, flag: Flag, found: Stood) -> str:
    split = f"  {100 * flag.split:g} % on {flag.candidate.model}" if flag.candidate and flag.split else ""
    return f"{name:<20} {flag.stable}{split}" + (", which no gateway obeys" if in_doubt(flag, found.put_back) else "")


def _gateway(gateway: Gateway, revision: int, now: datetime) -> list[str]:
    return [describe_gateway(gateway, revision, now), *(f"  {said}" for said in conditions(gateway, now))]


def _put_back(found: Stood) -> list[str]:
    """Said for as long as something is in doubt, or held for it."""
    back = found.put_back
    doubted = [name for name, flag in sorted(found.flags.items()) if in_doubt(flag, back)]
    held = [one.route for one in found.rollouts if one.held is not None and one.held.reason == STORE_PUT_BACK]
    if back is None or not (doubted or held):
        return []
    said = (
        f"the store was put back to an older state: gateway {back.gateway} found it at revision {back.was} on {back.at:%Y-%m-%d %H:%M} UTC"
    )
    routes = sorted({*doubted, *held})
    return [
        f"{said}, and {back.served} had been obeyed",
        *(f"  {one}: {goes_on_by(one, None if one in held else found.flags[one])}" for one in routes),
    ]
