"""A trickle of copies to the way back, outside a rollout: of which routes, to which version, under whose budget, and what is told of it.
Pure.

A gateway draws units, copies what stable has answered to the process that mirrors, and nobody sees the answers: no pairs, no bodies, no
grade. What they prove or break is for `warm`; that they go on in a freeze is on purpose, since nothing moves by them and a freeze
is when only the way back is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Literal

from detent.catalog import price
from detent.evidence.spending import DAY_US, day_of
from detent.terms import Flag, FormerVersion, Intent, Manifest, Outcome, Price, Route, Trickle, Version, Warm, WarmCopy
from detent.visible import line
from detent.warm import KNOWN_FOR, NOT_ITS_FAULT, Traffic, which


def any_plan(manifest: Manifest) -> bool:
    """Whether anything may be copied at all: by the plan of any route."""
    return any(manifest.plans[route.plan].warm is not None for route in manifest.routes.values() if route.plan in manifest.plans)


def trickles(manifest: Manifest, flags: Mapping[str, Flag], former: Iterable[FormerVersion]) -> dict[str, Trickle]:
    """What gateways copy, by route. `former` are the former versions that are kept, of all routes, newest first."""
    kept = list(former)
    found = {name: trickle_of(manifest, route, flags.get(name), kept) for name, route in manifest.routes.items()}
    return {name: one for name, one in found.items() if one is not None}


def trickle_of(manifest: Manifest, route: Route, flag: Flag | None, former: Iterable[FormerVersion]) -> Trickle | None:
    """What gateways copy of one route; None for nothing: no plan for it, no way back, an open rollout, or a reason of `forbidden`."""
    plan = manifest.plans.get(route.plan)
    if plan is None or plan.warm is None or flag is None or flag.rollout is not None:
        return None
    version = which(route, flag, None, [one for one in former if one.route == route.name])
    if version is None or forbidden(manifest, route, flag.stable, version):
        return None
    costs = price(version, manifest.prices)
    assert costs is not None, "asked before"
    return Trickle(version=version, share=plan.warm.share, usd_per_day=plan.warm.usd_per_day, price=costs)


def forbidden(manifest: Manifest, route: Route, stable: Version, version: Version) -> str:
    """Why nothing is ever copied from `stable` to this way back; empty where it may be."""
    there, here = manifest.providers.get(version.provider), manifest.providers.get(stable.provider)
    if there is None:
        return f"its provider is not in the pin file: `{version.provider}`"
    if route.processors is not None and version.provider not in route.processors:
        return f"its provider is not among the route's `processors`: `{version.provider}`"
    if here is None or here.dialect is not there.dialect:
        return f"it is spoken to in another dialect than the pinned version: `{there.dialect}`"
    if price(version, manifest.prices) is None:
        return f'its price is not known, so that nobody could keep to a budget: write [prices."{version}"] with input and output'
    return ""


# ── whose budget ────────────────────────────────────────────────────────────────────────────────────────────────────


def account(route: str) -> str:
    """Under which name the ledger keeps what copies of a route cost: no rollout's."""
    return f"warm:{route}"


def counted_under(route: str, at_us: int) -> str:
    """Under which name it is counted what of a UTC day was drawn and not copied."""
    return f"warm:{route}:{datetime.fromtimestamp(day_of(at_us) / 1e6, UTC):%Y-%m-%d}"


def payer(live: Intent) -> str:
    """Whose budget the copies of a live exchange are taken from: its rollout's, else its route's."""
    return live.rollout if live.rollout is not None else account(live.route or "")


def counter(live: Intent) -> str:
    """Under which name it is counted that an exchange was drawn and not copied."""
    return live.rollout if live.rollout is not None else counted_under(live.route or "", live.at_us)


# ── what copies say ─────────────────────────────────────────────────────────────────────────────────────────────────

COPIES_OF = timedelta(days=1)
COPIES_LOOKED_AT = 20
"""So many units, by the newest copy of each, say in a day whether a way back takes the requests of an app. Where `warm.SEEN_FAILING` of
them or more were refused, and more than were answered, it does not, whatever its probes say: each of them the pinned version has answered.

A unit counts once, as with breakers (`circuit`): units are drawn whole, and what one session asks again is refused again.
"""

_OF_THE_KEY = frozenset({401, 403, 429})
_OF_THE_MOMENT = frozenset({401, 403, 408, 409, 425, 429})


def kind_of_copy(copy: WarmCopy, *, other_key: bool) -> Literal["answered", "refused", "failed"] | None:
    """What a copy says of its version: it answers, it does not take such a request, it fails; None for nothing.

    A key that only copies are sent with may be wrong, or have a quota of its own: that says nothing of the version.
    """
    if copy.outcome is Outcome.COMPLETE:
        return "answered"
    if copy.outcome in NOT_ITS_FAULT or (other_key and copy.status in _OF_THE_KEY):
        return None
    if copy.outcome is Outcome.HTTP_ERROR and copy.status is not None and 400 <= copy.status < 500 and copy.status not in _OF_THE_MOMENT:
        return "refused"
    return "failed"


def copied(copies: Iterable[WarmCopy], now: datetime, *, other_key: bool) -> Traffic:
    """What copies say of a way back: those that ended in the last `KNOWN_FOR` as real traffic does, and the newest of a day whether it
    takes such requests; what was refused counts once for its unit in both. `copies` come newest first; `other_key`: they are sent with a
    key of their own.
    """
    told = [(one, kind) for one in copies if one.at > now - COPIES_OF and (kind := kind_of_copy(one, other_key=other_key)) is not None]
    units = {one.unit: one for one, _ in reversed(told)}  # the newest of each
    newest = Counter([kind for one, kind in told if units[one.unit] is one][:COPIES_LOOKED_AT])
    recent = [(one, kind) for one, kind in told if one.at > now - KNOWN_FOR and (kind != "refused" or units[one.unit] is one)]
    answered = [one for one, kind in recent if kind == "answered"]
    seconds = [one.latency_s for one in answered if one.latency_s is not None]
    return Traffic(
        answers=len(answered),
        failures=len(recent) - len(answered),
        last_at=min(now, answered[0].at) if answered else None,
        latency_s=median(seconds) if seconds else None,
        newest_refused=newest["refused"],
        newest_answered=newest["answered"],
        copies=True,
        other_key=other_key,
    )


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────────────

PER_HOUR = DAY_US // 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a route asks for: requests of the last hour, and the tokens of one, on average."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0


def usd_per_day(warm: Warm, costs: Price, asking: Asking) -> float:
    """What copies would cost a day if every hour were as the last one: the plan's share of its requests, the plan's limit at most.

    The way back is taken to write as many tokens as stable.
    """
    one = (asking.input_tokens * costs.input + asking.output_tokens * costs.output) / 1e6
    return min(warm.usd_per_day, warm.share * PER_HOUR * asking.requests * one)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """Where the copies of a route stand. `why_not` says why none is made now. Money and `not_copied` (by reason) are of this UTC day;
    `expected_usd` is what a day costs at the last hour's traffic, None where there was none. Of the newest copies of a day so many were
    answered, and so many were not.
    """

    warm: Warm
    version: Version | None
    why_not: str = ""
    spent_usd: float = 0.0
    held_usd: float = 0.0
    expected_usd: float | None = None
    not_copied: dict[str, int] = field(default_factory=dict)
    answered: int = 0
    unanswered: int = 0


def describe(found: Copying) -> str:
    """`copies of 0.1 % of units to gpt-4-0613: 0.03 USD today of 1.00 at most, about 0.12 USD a day at the last hour's traffic`."""
    warm = found.warm
    which = "the way back" if found.version is None else found.version.model
    said = [f"copies of {100 * warm.share:g} % of units to {which}: "]
    if found.why_not:
        said = [f"copies to {which}: none now: {found.why_not}; "]
    said.append(f"{usd(found.spent_usd)} USD today of {warm.usd_per_day:.2f} at most")
    if found.held_usd > 0.0:
        said.append(f" ({usd(found.held_usd)} more reserved)")
    if not found.why_not:
        said.append(f", {_expected(found.expected_usd, warm)}")
    if found.answered + found.unanswered:
        said.append(f"; {found.answered} of the last {found.answered + found.unanswered} answered")
    if found.not_copied:
        said.append("; not copied today: " + ", ".join(f"{n} {reason}" for reason, n in sorted(found.not_copied.items())))
    return line("".join(said), 400)


def as_json(found: Copying) -> dict[str, Any]:
    """The same for machines."""
    return {
        "version": None if found.version is None else str(found.version),
        "share": found.warm.share,
        "usd_per_day": found.warm.usd_per_day,
        "why_not": found.why_not,
        "spent_usd": found.spent_usd,
        "held_usd": found.held_usd,
        "expected_usd": found.expected_usd,
        "not_copied": found.not_copied,
        "answered": found.answered,
        "unanswered": found.unanswered,
    }


def planned(warm: Warm, version: Version | None, why_not: str, expected: float | None) -> str:
    """What a plan's trickle will do and cost: a line of `plan` and `apply`."""
    if version is None:
        return "warm: nothing is copied: no way back is named: write `rollback = ...` into the route"
    if why_not:
        return line(f"warm: nothing is copied to {version.model}: {why_not}", 400)
    copies = f"warm: copies of {100 * warm.share:g} % of units to {version.model} outside a rollout"
    return line(f"{copies}: {usd(warm.usd_per_day)} USD a day at most; {_expected(expected, warm)}", 400)


def _expected(expected: float | None, warm: Warm) -> str:
    if expected is None:
        return "the last hour saw no traffic to forecast by"
    stopped = ", where its limit stops it" if expected >= warm.usd_per_day else ""
    return f"about {usd(expected)} USD a day at the last hour's traffic{stopped}"


def usd(amount: float) -> str:
    """`0.12`; of small sums two digits that count."""
    if amount >= 0.095 or amount <= 0.0:
        return f"{amount:.2f}"
    return f"{amount:.2g}" if amount >= 0.0001 else "under 0.0001"
