"""What a pin file may say of guards and of the metrics it declares for them. As in `rules`, each rule skips what has the wrong shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from detent.manifest.findings import Finding, Path, did_you_mean, shown
from detent.manifest.plan_rules import seconds_of
from detent.manifest.rules import Data, names_of, select, tables
from detent.terms import FEEDBACK_NAMES, METRIC_NAMES, CanaryStage, DeclaredMetric, Dialect, MetricRow, show_duration

_GUARDS = ("plans", "*", "guards", "*")
_LONGEST_NAME = 64
"""Characters of a metric's name that the feedback endpoint takes."""

LEAST_PROVABLE = 1.05
"""A margin of a value that must be proved has to be above this."""


def _known(data: Data) -> dict[str, MetricRow]:
    """Every metric that a guard of this file may name: Detent's own, and the declared ones as far as they can be read."""
    rows = dict(METRIC_NAMES)
    for path, table in tables(data, "metrics", "*"):
        name = str(path[-1])
        kind, worse = table.get("kind", "rate"), table.get("worse", "higher")
        if name not in rows and kind in ("rate", "value") and worse in ("higher", "lower"):
            rows[name] = DeclaredMetric(name=name, kind=kind, worse=worse).row
    return rows


def _guarded(data: Data) -> Iterator[tuple[Path, dict[str, Any], MetricRow]]:
    """Every guard on a metric that there is."""
    known = _known(data)
    for path, guard in tables(data, *_GUARDS):
        row = known.get(str(guard.get("metric")))
        if row is not None:
            yield path, guard, row


# ── [metrics.NAME] ──────────────────────────────────────────────────────────────────────────────────────────────────


def _declared(data: Data) -> Iterator[Finding]:
    for path, table in tables(data, "metrics", "*"):
        if path[-1] in METRIC_NAMES:
            yield Finding(path, f"a metric of this name is Detent's own: {shown(path[-1])}", "give yours another name")
        elif path[-1] in FEEDBACK_NAMES:
            hint = "send it without declaring it, or give yours another name"
            yield Finding(path, f"the feedback endpoint knows this name already: {shown(path[-1])}", hint)
        if len(str(path[-1])) > _LONGEST_NAME:
            yield Finding(path, f"a name of more than {_LONGEST_NAME} characters: {shown(path[-1])}", "give it a shorter one")
        if table.get("kind") == "value" and table.get("silence") in ("good", "bad"):
            hint = 'take it out: a unit of which no number was said has none; for an event write kind = "rate"'
            yield Finding((*path, "silence"), f"silence is no value: {shown(table['silence'])}", hint)


# ── guards ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _metrics(data: Data) -> Iterator[Finding]:
    known = {*METRIC_NAMES, *names_of(data, "metrics")}
    for path, guard in tables(data, *_GUARDS):
        name = guard.get("metric")
        if not isinstance(name, str) or name in known:
            continue
        hint = did_you_mean(name, sorted(known))
        if "did you mean" not in hint:
            hint += f"; one of your app's own is declared in [metrics.{name}]" if name.isidentifier() else ""
        yield Finding((*path, "metric"), f"unknown metric: {shown(name)}", hint)


def _margins(data: Data) -> Iterator[Finding]:
    for path, guard, row in _guarded(data):
        margins = [key for key in ("margin_ratio", "margin_abs") if key in guard]
        if len(margins) == 2:
            hint = "keep margin_ratio (worse by a factor) or margin_abs (worse by a difference), and take the other out"
            yield Finding((*path, "margin_abs"), f"both margins on one guard: {shown(row.name)}", hint)
        elif row.kind == "value" and margins == ["margin_abs"]:
            hint = "write margin_ratio = 1.2 instead: a value may be worse by a factor"
            yield Finding((*path, "margin_abs"), f"a difference as the margin of a value: {shown(row.name)}", hint)
        elif not margins and guard.get("role") == "prove":
            hint = "write margin_ratio = 1.5 or margin_abs = 0.005" if row.kind == "rate" else "write margin_ratio = 1.2"
            yield Finding(path, f"a proof without a margin: {shown(row.name)}", f'{hint}, or role = "harm"')


def _unprovable(data: Data) -> Iterator[Finding]:
    """A value's margin loses up to one bucket of the counts, so that of a narrow one next to nothing is left to prove."""
    for path, guard, row in _guarded(data):
        margin = guard.get("margin_ratio")
        if row.kind == "value" and guard.get("role") == "prove" and isinstance(margin, int | float) and 1 < margin <= LEAST_PROVABLE:
            hint = 'values are counted in steps of 2 %, and a margin loses one: write 1.1 or more, or role = "harm"'
            yield Finding((*path, "margin_ratio"), f"too narrow a margin to prove {row.name} by: {shown(margin)}", hint)


def _tolerances(data: Data) -> Iterator[Finding]:
    for path, guard, row in _guarded(data):
        tolerance, margin = guard.get("tolerance_ratio"), guard.get("margin_ratio")
        if tolerance is None:
            continue
        at = (*path, "tolerance_ratio")
        if row.kind == "rate":
            hint = "take it out: harm in a rate is any worsening; what may be worse all the same is the margin"
            yield Finding(at, f"tolerance_ratio is for values, and {row.name} is a rate: {shown(tolerance)}", hint)
        elif isinstance(tolerance, int | float) and isinstance(margin, int | float) and 1 < margin < tolerance <= 10:
            hint = f"write a tolerance_ratio of at most {margin:g}: what is beyond the margin is harm"
            yield Finding(at, f"tolerance_ratio is above the margin of {row.name}: {shown(tolerance)}", hint)


def _sides(data: Data) -> Iterator[Finding]:
    for path, guard, row in _guarded(data):
        if row.kind == "rate" and guard.get("side") in ("more", "less", "both"):
            hint = "take it out: the event of a rate is the bad one, so that more of it is always worse"
            yield Finding((*path, "side"), f"side is for values, and {row.name} is a rate: {shown(guard['side'])}", hint)


def _costs(data: Data) -> Iterator[Finding]:
    """A guard on cost, on a route one of whose versions has no price: nothing could ever be said of it."""
    plans = {path[1]: (path, guard) for path, guard, row in _guarded(data) if row.name == "session_cost" and guard.get("role") != "observe"}
    priced = names_of(data, "prices")
    for _, route in tables(data, "routes", "*"):
        found = plans.get(str(route.get("plan", "standard")))
        for key in ("version", "next"):
            version = f"{route.get('provider')}/{route.get(key)}"
            if found is not None and isinstance(route.get(key), str) and version not in priced:
                hint = f'write [prices."{version}"], or role = "observe"'
                yield Finding((*found[0], "metric"), f"a guard on the cost of a version without a price: {shown(version)}", hint)


def _controls(data: Data) -> Iterator[Finding]:
    """A control slice that no guard is compared with. A plan without guards gets the default ones, which use it."""
    known = _known(data)
    for path, plan in tables(data, "plans", "*"):
        canary, guards = plan.get("canary"), plan.get("guards")
        if not isinstance(canary, dict) or canary.get("control") is not True or not isinstance(guards, list):
            continue
        rows = [known.get(str(guard.get("metric"))) for guard in guards if isinstance(guard, dict)]
        if guards and not any(row is not None and row.cached for row in rows):
            cached = ", ".join(f"`{row.name}`" for row in METRIC_NAMES.values() if row.cached)
            hint = f"take it out, or guard what the cache changes: {cached}"
            yield Finding((*path, "canary", "control"), f"a control slice that no guard of the plan is compared with: {shown(True)}", hint)


def _shared_caches(data: Data) -> Iterator[Finding]:
    """A control slice where the provider has one cache for all: it would be as warm as the rest of stable, and the comparison as unfair."""
    sliced = {path[1] for path, canary in tables(data, "plans", "*", "canary") if canary.get("control") is True}
    for path, route in tables(data, "routes", "*"):
        name = str(route.get("plan", "standard"))
        dialect = next((v for _, v in select(data, ("providers", str(route.get("provider")), "dialect"))), None)
        if name in sliced and dialect == Dialect.ANTHROPIC:
            hint = "use a plan without `control`: Anthropic's cache cannot be divided"
            at = (*path, "plan") if "plan" in route else path
            yield Finding(at, f"a control slice without a cache of its own, on a provider of dialect anthropic: {shown(name)}", hint)


def _maturities(data: Data) -> Iterator[Finding]:
    """A guard whose first outcome is read when the canary is over."""
    for path, guard, row in _guarded(data):
        canary = data["plans"][path[1]].get("canary", {})
        matures, most = seconds_of(guard, "matures"), seconds_of(canary, "at_most", CanaryStage().at_most)
        if matures is not None and most is not None and matures >= most:
            hint = f"canary.at_most is {show_duration(most)}: write a shorter `matures`, or a longer at_most"
            at = (*path, "matures")
            yield Finding(at, f"an outcome of {row.name} that is read when the canary is over: {shown(guard['matures'])}", hint)


def _guard_sets(data: Data) -> Iterator[Finding]:
    for path, guards in select(data, _GUARDS[:-1]):
        whole = [(i, g) for i, g in enumerate(guards if isinstance(guards, list) else ()) if isinstance(g, dict)]
        seen: set[str] = set()
        for i, guard in whole:
            name = str(guard.get("metric"))
            if name in seen:
                yield Finding((*path, i), f"a second guard on one metric: {shown(name)}", "take one of them out")
            seen.add(name)
        proving = [i for i, guard in whole if guard.get("role") == "prove"]
        if len(proving) > 3:
            hint = 'keep three at most, they must all be proved at once: make the others role = "harm"'
            yield Finding((*path, proving[3]), f"more than three proving guards: `{len(proving)}`", hint)
        if whole and not proving:
            hint = 'give one to three guards role = "prove", or leave the guards out and get the default ones'
            yield Finding((*path, 0), f"no guard of this plan proves anything, so nothing could ever be promoted: {shown(path[1])}", hint)


GUARD_RULES: tuple[Callable[[Data], Iterator[Finding]], ...] = (
    _declared,
    _metrics,
    _margins,
    _unprovable,
    _tolerances,
    _sides,
    _costs,
    _controls,
    _shared_caches,
    _maturities,
    _guard_sets,
)
"""The rules for guards and declared metrics, in the order of the file."""
