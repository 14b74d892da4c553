"""Whether traffic could go back to a version now: proven by probes or by real traffic, broken, or not known. Pure.

Outside a rollout the way back is the version that the pin file names as `rollback`, else the newest former one that nobody has retired;
during a rollout it is its stable version, which real traffic proves. Outside one copies of real traffic do, where the plan has `warm`
(`trickle`): what they say and a probe cannot is whether the version takes the app's own requests.

An announced end counts as broken 30 days ahead outside a rollout, where there is time to name another way back. Of a rollout's stable
version it is told and holds nothing: to move off a version that ends is what many rollouts are for, and to hold them would keep a route on
it until it is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from detent.evidence.minutes import MINUTE_US, MinuteKey, MinuteSums
from detent.terms import (
    Flag,
    FormerVersion,
    Outcome,
    Price,
    Probe,
    Role,
    Rollout,
    Route,
    Version,
    WayBack,
    micros,
    show_duration,
    utc,
)
from detent.wire.quota import PER_DAY

PROBE_EVERY_S = 60.0
"""How often a way back is asked for a sign of life."""

LIMITS_EVERY_S = 900.0
"""How often it is where real traffic proves it: for what its provider says of the quota and of its end."""

FAILED_IN_A_ROW = 3
"""So many probes that fail in a row break a way back; one alone may be a lost packet."""

FAILED_FOR = timedelta(minutes=3)
"""Or failures in a row over such a time."""

KNOWN_FOR = timedelta(minutes=5)
"""What was found longer ago says nothing of now; real traffic is read over this time as well."""

SEEN_FAILING = 10
"""So many requests of real traffic have to have failed, and more than were answered, before they break a way back that no probe has just
found well: an app that sends bad requests is no outage.
"""

ENDS_WITHIN = timedelta(days=30)
"""An end that is announced for so soon counts as broken outside a rollout."""

LOAD_OF = timedelta(minutes=10)
"""A route's present load is that of its busiest minute in this time."""

LIMITS_KNOWN_FOR = timedelta(days=1)
"""How long a quota that was read is taken for the present one, where newer probes say nothing of it."""

PROBE_TOKENS = (8, 1)
"""Input and output tokens of the smallest probe, about."""

LONG_PROBE_TOKENS = (8, 1024)
"""Those of one to a version that answers only where it may write this much, as reasoning models do; it is asked every `LIMITS_EVERY_S`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What real traffic says of a version: answers that came whole, calls that failed by the provider, and when the last answer came.

    Of `copies` also how long they take in the middle, how many of the newest units were refused and answered, and whether they were
    sent with another key than live traffic has.
    """

    answers: int = 0
    failures: int = 0
    last_at: datetime | None = None
    latency_s: float | None = None
    newest_refused: int = 0
    newest_answered: int = 0
    copies: bool = False
    other_key: bool = False

    @property
    def refused(self) -> bool:
        """Whether the version does not take the app's own requests."""
        return self.newest_refused >= SEEN_FAILING and self.newest_refused > self.newest_answered


NOT_ITS_FAULT = frozenset({Outcome.COMPLETE, Outcome.CLIENT_ABORTED, Outcome.LOST})


def traffic_of(sums: Iterable[tuple[MinuteKey, MinuteSums]], version: Version, now: datetime) -> Traffic:
    """What a route's minute sums say of a version, over the last `KNOWN_FOR`."""
    since, answers, failures, last = micros(now - KNOWN_FOR), 0, 0, None
    for key, of in sums:
        if key.version != str(version) or key.role != Role.SERVED.value or key.minute_us + MINUTE_US <= since:
            continue
        whole = of.outcomes.get(Outcome.COMPLETE.value, 0)
        answers += whole
        failures += sum(n for outcome, n in of.outcomes.items() if outcome not in NOT_ITS_FAULT)
        if whole:
            last = max(last or 0, key.minute_us + MINUTE_US)
    return Traffic(answers=answers, failures=failures, last_at=None if last is None else min(now, utc(last)))


def load_of(sums: Iterable[tuple[MinuteKey, MinuteSums]], now: datetime, *, input_tokens: float = 0.0) -> dict[str, float]:
    """Requests and tokens of a route in its busiest minute of late, by kind. `input_tokens` are those of a request, on average."""
    since = micros(now - LOAD_OF)
    requests, output = Counter[int](), Counter[int]()
    for key, of in sums:
        if key.role == Role.SERVED.value and key.minute_us >= since:
            requests[key.minute_us] += of.legs
            output[key.minute_us] += round(of.output_tokens.total)
    if not requests:
        return {}
    most, written = max(requests.values()), float(max(output.values()))
    return {
        "requests": float(most),
        "tokens": most * input_tokens + written,
        "input_tokens": most * input_tokens,
        "output_tokens": written,
    }


def day_load_of(sums: Iterable[tuple[MinuteKey, MinuteSums]], now: datetime, *, input_tokens: float = 0.0) -> dict[str, float]:
    """Requests and tokens of a route in the last day, by kind, for quotas that are of a day."""
    since = micros(now - timedelta(days=1))
    served = [of for key, of in sums if key.role == Role.SERVED.value and key.minute_us >= since]
    requests, written = sum(of.legs for of in served), sum(of.output_tokens.total for of in served)
    read = requests * input_tokens
    found = {"requests": float(requests), "tokens": read + written, "input_tokens": read, "output_tokens": written}
    return {kind + PER_DAY: n for kind, n in found.items()} if requests else {}


def which(route: Route | None, flag: Flag | None, rollout: Rollout | None, former: Sequence[FormerVersion]) -> Version | None:
    """The version that traffic of a route would go back to; `former` are those of the route that nobody retired, newest first."""
    if rollout is not None and rollout.ended_at is None:
        return rollout.stable
    pinned = flag.stable if flag is not None else route.stable if route is not None else None
    if route is not None and route.way_back is not None and route.way_back != pinned:
        return route.way_back
    return next((one.version for one in former if one.version != pinned), None)


def way_back(
    route: str,
    version: Version | None,
    probes: Sequence[Probe],
    now: datetime,
    *,
    traffic: Traffic | None = None,
    load: Mapping[str, float] | None = None,
    ends_at: datetime | None = None,
    in_rollout: bool = False,
) -> WayBack:
    """Whether traffic could go back to a version. `probes` are its newest, newest first; `load` is what it would have to take, by kind;
    `ends_at` an announced end that its provider's own list says nothing of.
    """
    if version is None:
        return WayBack(route=route, version=None, unknown="none is named: write `rollback = ...` into the route of the pin file")
    newest, probes = probes[:1], [probe for probe in probes if not probe.unasked]
    unasked = newest[0].unasked if newest and now - newest[0].at <= _known_for(newest[0]) else ""
    ends_at = next((probe.ends_at for probe in probes if probe.ends_at is not None), ends_at)
    limits = next((p.limits for p in probes if p.limits and now - p.at <= LIMITS_KNOWN_FOR), {})
    headroom = _headroom(limits, load or {})
    last = next((probe for probe in probes if probe.ok), None)
    by_traffic = traffic is not None and traffic.answers > 0
    found = WayBack(
        route=route,
        version=version,
        proven_at=traffic.last_at if traffic is not None and by_traffic else last.at if last else None,
        latency_s=traffic.latency_s if traffic is not None and by_traffic else last.latency_s if last else None,
        headroom=headroom,
        ends_at=ends_at,
        by="traffic" if by_traffic else "probes",
    )
    broken = _gone(ends_at, now, in_rollout) or _failing(probes, traffic, now) or _too_small(headroom, limits, load or {})
    unknown = "" if broken or by_traffic else _unknown(probes, last, now, unasked)
    return replace(found, broken=broken, unknown=unknown)


def _headroom(limits: Mapping[str, float], load: Mapping[str, float]) -> dict[str, float]:
    return {kind: 1.0 - load.get(kind, 0.0) / limit for kind, limit in sorted(limits.items()) if limit > 0}


def _gone(ends_at: datetime | None, now: datetime, in_rollout: bool) -> str:
    if ends_at is None:
        return ""
    if now >= ends_at:
        return f"its provider ended it on {ends_at:%Y-%m-%d}"
    if not in_rollout and ends_at - now <= ENDS_WITHIN:
        return f"its provider ends it on {ends_at:%Y-%m-%d}, in {show_duration(float(int((ends_at - now).total_seconds())))}"
    return ""


def _failing(probes: Sequence[Probe], traffic: Traffic | None, now: datetime) -> str:
    if traffic is not None and traffic.refused:
        looked_at = traffic.newest_refused + traffic.newest_answered
        return (
            f"it does not take the app's own requests: it refused those of {traffic.newest_refused} of the last {looked_at} units, copies "
            "of such as the pinned version answers"
        )
    well = bool(probes) and probes[0].ok and now - probes[0].at <= timedelta(seconds=2 * PROBE_EVERY_S)
    if traffic is not None and not well and traffic.failures >= SEEN_FAILING and traffic.failures > traffic.answers:
        return (
            f"{traffic.failures} of {traffic.failures + traffic.answers} {_what(traffic)} to it failed in the last "
            f"{show_duration(KNOWN_FOR.total_seconds())}"
        )
    outweighs = traffic is not None and traffic.answers > 0 and not traffic.other_key
    if outweighs and traffic is not None and not traffic.copies:
        return ""
    answered_at = traffic.last_at if outweighs and traffic is not None else None  # copies are few: one says nothing of what came after it
    failed = []
    for probe in probes:
        if probe.ok or now - probe.at > KNOWN_FOR + FAILED_FOR or (answered_at is not None and probe.at <= answered_at):
            break
        failed.append(probe)
    if not failed or now - failed[0].at > KNOWN_FOR:
        return ""
    if len(failed) < FAILED_IN_A_ROW and failed[0].at - failed[-1].at < FAILED_FOR:
        return ""
    return f"its last {len(failed)} probes failed, the newest with: {failed[0].detail or 'no answer'}"


def _what(traffic: Traffic) -> str:
    return "copies of requests" if traffic.copies else "requests of real traffic"


def _too_small(headroom: Mapping[str, float], limits: Mapping[str, float], load: Mapping[str, float]) -> str:
    short = [kind for kind, left in headroom.items() if left < 0.0]
    if not short:
        return ""
    what = " and ".join(f"{load[kind]:,.0f} {_kind(kind)} where its quota is {limits[kind]:,.0f}" for kind in short)
    return f"its quota is too small for the route: {what}"


def _kind(kind: str) -> str:
    """`input tokens a minute`."""
    return f"{kind.removesuffix(PER_DAY).replace('_', ' ')} a {'day' if kind.endswith(PER_DAY) else 'minute'}"


def _known_for(probe: Probe) -> timedelta:
    """How long a probe says something of now: until the next one is long overdue."""
    return max(KNOWN_FOR, timedelta(seconds=probe.every_s) + KNOWN_FOR - timedelta(seconds=PROBE_EVERY_S))


def _unknown(probes: Sequence[Probe], last: Probe | None, now: datetime, unasked: str) -> str:
    if last is not None and now - last.at <= _known_for(last):
        return ""
    if unasked:
        return unasked
    if not probes:
        return "it was never probed: the controller that leads probes it once a minute"
    newest = probes[0]
    if now - newest.at > _known_for(newest):
        return f"it was last probed at {newest.at:%Y-%m-%d %H:%M} UTC: the controller that leads probes it once a minute"
    return f"its last probe failed, and none before it is recent: {newest.detail or 'no answer'}"


def due(last_at: datetime | None, traffic: Traffic | None, now: datetime, *, every_s: float = PROBE_EVERY_S, failed: bool = False) -> bool:
    """Whether a way back is to be probed now, given when it was last, whether that `failed`, and how long it is good for; a clock that was
    set back makes nobody wait. Copies that are sent with another key say nothing of the one that a failed probe was sent with.
    """
    proven = traffic is not None and traffic.answers > traffic.failures and not (failed and traffic.other_key)
    every = LIMITS_EVERY_S if proven else every_s
    return last_at is None or not timedelta() <= now - last_at < timedelta(seconds=every)


def keeping(version: Version, price: Price | None, last: Probe | None = None) -> str:
    """What keeping a version warm means, and what it costs: a line of `plan`. `last` is the newest probe that it answered."""
    cost = usd_per_day(price, last)
    often = "a probe a minute" if last is None or last.every_s <= PROBE_EVERY_S else f"a probe in {show_duration(last.every_s)}"
    if cost is None:
        return f"way back {version.model}: {often}, its price is not known"
    told = f"way back {version.model}: {often}, about {cost:.2f} USD a day"
    most = _per_day(price, LONG_PROBE_TOKENS, LIMITS_EVERY_S) if last is None and price is not None else 0.0
    if most < max(0.01, 2 * cost):
        return told
    return f"{told}, or up to {most:.2f} if it only answers at length, as reasoning models do: a probe in {show_duration(LIMITS_EVERY_S)}"


def usd_per_day(price: Price | None, last: Probe | None = None) -> float | None:
    """What the probes of a version cost a day, about, by the newest one that it answered; None where its price is not known."""
    if price is None:
        return None
    if last is None or last.used is None:
        return _per_day(price, PROBE_TOKENS, PROBE_EVERY_S)
    return _per_day(price, last.used, last.every_s)


def costing(price: Price | None, last: Probe | None) -> str:
    """What keeping a version warm costs, for `status`; empty where its price is not known."""
    cost = usd_per_day(price, last)
    if cost is None:
        return ""
    seldom = last is not None and last.every_s > PROBE_EVERY_S
    told = f"probes cost about {cost:.2f} USD a day"
    return f"{told}, one in {show_duration(last.every_s)} as it answers only at length" if seldom and last is not None else told


def _per_day(price: Price, tokens: tuple[int, int], every_s: float) -> float:
    asked, answered = tokens
    return 86400.0 / every_s * (asked * price.input + answered * price.output) / 1e6
