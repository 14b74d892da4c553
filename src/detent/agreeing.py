"""Whether file = flag = what the gateways serve = what answered, and what exactly is not so. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from detent.evidence.identity import violations
from detent.leasing import goes_on_by, leased
from detent.terms import Flag, Manifest, Phase, Rollout, Route

Kind = Literal[
    "not_applied", "not_in_file", "pin", "unsettled", "unproposed", "behind", "put_back", "local_order", "wrong_version", "wrong_model"
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as another says: what kind, about which route or gateway, and in words."""

    kind: Kind
    about: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Serving:
    """What a live gateway says of itself: the revision of the flags that it serves."""

    gateway: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A whole answer that a caller got: sent for `model` under a revision of the flags, answered under the name `by`.

    `why` is that of its leg (`terms.LEG_REASONS`).
    """

    revision: int
    model: str
    by: str
    why: str = ""


def agreement(
    file: Manifest,
    flags: Mapping[str, Flag],
    revision: int,
    *,
    rollouts: Iterable[Rollout],
    gateways: Iterable[Serving],
    answers: Mapping[str, Sequence[Answered]],
    orders: Iterable[str] = (),
    doubted: int = 0,
) -> tuple[Problem, ...]:
    """All that does not agree, file first, then gateways, then answers; empty when everything does.

    `revision` is the store's and `flags` are its flags; `rollouts` are all that are known; `gateways` those that live; `answers` the latest
    of each route; `orders` the routes of local orders that the store has not carried out yet; flags up to revision `doubted` are from
    before the store was put back. Answers under a flag before the one in force are past, and no news.
    """
    latest = {r.route: r for r in sorted(rollouts, key=lambda r: (not r.phase.terminal, r.opened_at)) if not r.aa}
    problems = list[Problem]()
    for name, route in sorted(file.routes.items()):
        problems += _route(route, flags.get(name), latest.get(name))
    for name in sorted(flags.keys() - file.routes.keys()):
        problems.append(Problem("not_in_file", name, f"{name}: a flag without a route in the file; run `detent apply`"))
    for one in gateways:
        if one.revision != revision:
            problems.append(Problem("behind", one.gateway, f"gateway {one.gateway} serves revision {one.revision} of {revision}"))
    for name in sorted(name for name, flag in flags.items() if flag.revision <= doubted and leased(flag)):
        said = f"{name}: the store was put back to an older state, and what its flag splits is not obeyed: all of it is on stable"
        problems.append(Problem("put_back", name, f"{said}; {goes_on_by(name, flags[name])}"))
    for name in sorted(orders):
        said = f"{name}: a local rollback puts it on stable on a gateway's host, and the store has not carried it out yet"
        problems.append(Problem("local_order", name, said))
    for name, flag in sorted(flags.items()):
        problems += _answers(flag, file.routes.get(name), answers.get(name, ()))
    return tuple(problems)


def _route(route: Route, flag: Flag | None, latest: Rollout | None) -> Iterator[Problem]:
    """One route of the file against its flag and its latest rollout: an open one if there is one."""
    name = route.name
    if flag is None:
        yield Problem("not_applied", name, f"{name}: in the file and not in the store; run `detent apply`")
        return
    if latest is not None and not latest.phase.terminal:
        yield from _under_way(route, flag, latest)
        return
    if flag.stable != route.stable:
        yield Problem("pin", name, f"{name}: the file pins {route.stable}, the flag says {flag.stable}")
    elif route.candidate is not None and latest is not None and latest.candidate == route.candidate:
        said = f"{name}: the file proposes {route.candidate}, whose rollout `{latest.id}` has ended as {latest.phase}; apply the patch"
        yield Problem("unsettled", name, said)
    elif route.candidate is not None:
        yield Problem("not_applied", name, f"{name}: the file proposes {route.candidate}, and no rollout of it is open; run `detent apply`")


def _under_way(route: Route, flag: Flag, rollout: Rollout) -> Iterator[Problem]:
    """In soak the file may say already what it is to say in the end: the candidate as its version."""
    name = route.name
    if rollout.phase is Phase.SOAK and route.stable == rollout.candidate:
        return
    if flag.stable != route.stable:
        yield Problem("pin", name, f"{name}: the file pins {route.stable}, the flag says {flag.stable}")
    if route.candidate != rollout.candidate:
        proposed = f"proposes {route.candidate}" if route.candidate else "proposes no version"
        said = f"{name}: rollout `{rollout.id}` of {rollout.candidate} is open, and the file {proposed}; roll it back or propose it"
        yield Problem("unproposed", name, said)


def _answers(flag: Flag, route: Route | None, latest: Sequence[Answered]) -> Iterator[Problem]:
    """What is wrong with the answers that callers got under this flag."""
    expected = {flag.stable.model}
    if flag.candidate is not None and flag.split > 0.0:
        expected.add(flag.candidate.model)
    expected |= {other.model for other in (flag.drill and flag.drill.version, flag.draining and flag.draining.candidate) if other}
    answered: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in latest:
        if one.revision < flag.revision:
            continue
        answered[one.model][one.by] += 1
        if one.why == "outage" and route is not None and route.fallback is not None:
            expected.add(route.fallback if route.fallback == one.model else route.fallback.rpartition("/")[2])
    for model in sorted(answered.keys() - expected):
        said = f"{flag.route}: `{model}` was sent for, the flag says {' or '.join(sorted(expected))}"
        yield Problem("wrong_version", flag.route, said)
    yield from (Problem("wrong_model", flag.route, f"{flag.route}: {said}") for said in violations(answered))
