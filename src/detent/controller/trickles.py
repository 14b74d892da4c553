"""The trickle of copies to each way back, as the store has it: what it costs today, what it will cost, what was not copied."""

from __future__ import annotations

from datetime import datetime, timedelta

from detent import trickle, warm
from detent.catalog import price
from detent.evidence.spending import day_of
from detent.store import Store
from detent.terms import Flag, FormerVersion, Manifest, Outcome, Role, Rollout, Route, Version, WarmCopy, micros
from detent.trickle import Asking, Copying

ASKED_OF = timedelta(hours=1)
"""What a route asks for is read over this time."""


def copies_of(store: Store, manifest: Manifest | None, route: str, version: Version, now: datetime) -> list[WarmCopy]:
    """How a way back has answered copies of late, newest first; none where the route's plan has no trickle."""
    of_file = manifest.routes.get(route) if manifest is not None else None
    if manifest is None or of_file is None or manifest.plans[of_file.plan].warm is None:
        return []
    return store.journal.copies(route, version, since=now - trickle.COPIES_OF)


def traffic_by_copies(store: Store, manifest: Manifest | None, route: str, version: Version, now: datetime) -> warm.Traffic | None:
    """What copies say of a way back; None where there are none."""
    found = copies_of(store, manifest, route, version, now)
    return trickle.copied(found, now, other_key=_other_key(manifest, version)) if found else None


def _other_key(manifest: Manifest | None, version: Version) -> bool:
    provider = manifest.providers.get(version.provider) if manifest is not None else None
    return provider is not None and provider.shadow_key_env is not None


def asking(store: Store, route: str, now: datetime) -> Asking:
    """What a route asked for in the last hour."""
    sums = [of for key, of in store.state.minute_sums(route, since_us=micros(now - ASKED_OF)) if key.role == Role.SERVED]
    requests, written = sum(of.legs for of in sums), sum(of.output_tokens.n for of in sums)
    if not requests:
        return Asking()
    return Asking(
        requests=float(requests),
        input_tokens=store.journal.input_tokens(route, now),
        output_tokens=sum(of.output_tokens.total for of in sums) / written if written else 0.0,
    )


def expected(store: Store, manifest: Manifest, route: Route, version: Version, now: datetime) -> float | None:
    """What copies would cost a day, in USD, at the last hour's traffic; None where there was none, or the price is not known."""
    wanted, costs = manifest.plans[route.plan].warm, price(version, manifest.prices)
    if wanted is None or costs is None:
        return None
    asked = asking(store, route.name, now)
    return trickle.usd_per_day(wanted, costs, asked) if asked.requests else None


def copying(
    store: Store,
    manifest: Manifest,
    route: str,
    now: datetime,
    *,
    flag: Flag | None = None,
    rollout: Rollout | None = None,
    former: list[FormerVersion] | None = None,
) -> Copying | None:
    """Where the trickle of one route stands; None where its plan has none. `flag`, the open `rollout` and the `former` versions that are
    kept, of all routes, are read if they are not given.
    """
    of_file = manifest.routes.get(route)
    plan = manifest.plans.get(of_file.plan) if of_file is not None else None
    if of_file is None or plan is None or plan.warm is None:
        return None
    flag = store.state.flags().get(route) if flag is None else flag
    kept = store.state.former_versions(route) if former is None else [one for one in former if one.route == route]
    version = warm.which(of_file, flag, None, kept)
    opened = rollout or next(iter(store.state.rollouts(route, open_only=True)), None)
    day_us = day_of(micros(now))
    spent = store.state.spent_on(trickle.account(route), day_us, "mirrors")
    counted = store.state.not_mirrored(trickle.counted_under(route, day_us))
    not_copied: dict[str, int] = {}
    for (reason, _), n in counted.items():
        not_copied[reason] = not_copied.get(reason, 0) + n
    newest = [] if version is None else copies_of(store, manifest, route, version, now)[: trickle.COPIES_LOOKED_AT]
    answered = sum(one.outcome is Outcome.COMPLETE for one in newest)
    return Copying(
        warm=plan.warm,
        version=version,
        why_not=_why_not(manifest, of_file, flag, version, opened),
        spent_usd=spent.usd,
        held_usd=spent.held_usd,
        expected_usd=None if version is None else expected(store, manifest, of_file, version, now),
        not_copied=not_copied,
        answered=answered,
        unanswered=len(newest) - answered,
    )


def _why_not(manifest: Manifest, route: Route, flag: Flag | None, version: Version | None, opened: Rollout | None) -> str:
    """Why nothing is copied now; empty where it is."""
    if opened is not None:
        return f"rollout {opened.id} is open, whose own traffic says more"
    if flag is not None and flag.drill is not None:
        return "a drill sends it real traffic"
    if version is None:
        return "no way back is named"
    return trickle.forbidden(manifest, route, route.stable if flag is None else flag.stable, version)


def planned(store: Store, manifest: Manifest, route: Route, now: datetime) -> str | None:
    """What a route's trickle will do and cost under this pin file, in a line; None where its plan has none."""
    wanted = manifest.plans[route.plan].warm
    if wanted is None:
        return None
    flag = store.state.flags().get(route.name)
    version = warm.which(route, flag, None, store.state.former_versions(route.name))
    if version is None:
        return trickle.planned(wanted, None, "", None)
    why_not = trickle.forbidden(manifest, route, route.stable if flag is None else flag.stable, version)
    return trickle.planned(wanted, version, why_not, expected(store, manifest, route, version, now))
