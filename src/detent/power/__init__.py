"""What a plan can find out at a route's own traffic, said before it starts: by simulated rollouts, judged by the tests that decide. Pure.

ramp.py      plan and traffic -> steps, looks, sealed units     guarding.py  a guard and what is usual on stable
planned.py   the unchanged candidate under a plan               looks.py     proofs at planned looks
advice.py    what to change, each checked by simulating it      telling.py   the power in lines
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from detent.decide import PAGE_AT_E
from detent.power.advice import of_guard, of_plan
from detent.power.planned import Planned
from detent.power.ramp import Ramp
from detent.power.telling import concludes, lines, margin_of, table
from detent.terms import Catch, DeclaredMetric, Guard, GuardPower, LookPower, Past, Plan, Power

__all__ = ["LEAST_ON_RECORD", "RATIOS", "concludes", "lines", "power_of", "table"]

Floats = NDArray[np.float64]

RATIOS = (1.1, 1.2, 1.5, 2.0, 3.0)
"""Sizes of harm that power is stated for."""

LEAST_ON_RECORD = 30
"""Units on record below which nothing is said."""

_CAUGHT = 0.80
_FURTHER = (5.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0)


def power_of(
    route_name: str, plan: Plan, past: Past, declared: Mapping[str, DeclaredMetric], *, runs: int = 500, seed: int = 20261123
) -> Power:
    """The power of this plan where new units come as in `past`. The same arguments give the same power.

    Rollouts are simulated `runs` times for the unchanged candidate and a third as often for each size of harm. Guards are taken for
    independent of each other; a hold for suspected harm is taken to delay the promotion and not the ramp. A guard catches a harm where its
    own e-value, averaged with nothing from the others, reaches 1/alpha by the end of the ramp.
    """
    if past.units < LEAST_ON_RECORD or not past.units_per_hour > 0.0:
        return Power(route=route_name, plan=plan.name, unknown=_unknown(route_name, past))
    planned = Planned(plan, past, declared, runs, seed)
    ramp = planned.ramp
    jointly = planned.proved(planned.proving)
    soonest, promoted, stopped = _promoted(planned.log_e(), jointly, ramp, plan.alpha)
    if planned.unheard:  # decide: a guard without data blocks promotion
        soonest = promoted = 0.0
    return Power(
        route=route_name,
        plan=plan.name,
        units_per_hour=past.units_per_hour,
        guards=tuple(_of_guard(planned, guard) for guard in plan.guards),
        looks=tuple(LookPower(hours=at / 3600.0, proved=_by(jointly, at)) for at in ramp.looks),
        promoted_soonest=soonest,
        promoted=promoted,
        stopped=stopped,
        advice=of_plan(planned, promoted),
        units=past.units,
        seconds=max(past.seconds, past.counted_s),
    )


def _unknown(route: str, past: Past) -> str:
    if not past.units:
        return f"no traffic of route `{route}` is on record yet"
    if past.units < LEAST_ON_RECORD:
        return f"too little traffic of route `{route}` is on record to say anything: `{past.units}` units, of {LEAST_ON_RECORD} at least"
    return f"the traffic of route `{route}` that is on record spans no time: `{past.units}` units at once"


# ── the unchanged candidate ─────────────────────────────────────────────────────────────────────────────────────────


def _by(at: Floats, seconds: float) -> float:
    return float((at <= seconds + 1e-6).mean())


def _promoted(log_e: Floats, proved: Floats, ramp: Ramp, alpha: float) -> tuple[float, float, float]:
    """Shares promoted at the end of the ramp and by `at_most`, and shares held or stopped by a false alarm until then."""
    alarmed = np.maximum.accumulate(log_e, axis=1) >= -math.log(alpha)
    held = log_e >= math.log(PAGE_AT_E)
    may = (ramp.times >= ramp.ready_s - 1e-6) & (proved[:, None] <= ramp.times + 1e-6) & ~alarmed & ~held
    ready = (ramp.times <= ramp.ready_s + 1e-6) & may
    first = np.where(may.any(axis=1), may.argmax(axis=1), len(ramp.times) - 1)
    before = np.arange(len(ramp.times)) <= first[:, None]
    return float(ready.any(axis=1).mean()), float(may.any(axis=1).mean()), float(((alarmed | held) & before).any(axis=1).mean())


# ── harm ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_guard(planned: Planned, guard: Guard) -> GuardPower:
    of = planned.known.get(guard.metric)
    proved = planned.proved([guard]) if guard.role == "prove" else None
    by_look = tuple(_by(proved, at) for at in planned.ramp.looks) if proved is not None else ()
    catches, catches_from = _catches(planned, guard)
    ever = float(np.isfinite(proved).mean()) if proved is not None else None
    return GuardPower(
        metric=guard.metric,
        role=guard.role,
        margin=margin_of(guard),
        usual=of.usual if of is not None else None,
        catches=tuple(catches[: len(RATIOS)]),
        catches_from=catches_from,
        proved=ever,
        proved_by=by_look,
        advice=of_guard(planned, guard, ever),
        none_of=of.known.units if of is not None and of.row.bet == "rate" and not of.known.events else None,
    )


def _catches(planned: Planned, guard: Guard) -> tuple[list[Catch], float | None]:
    """What the guard catches of each size, of larger ones too where that is not much; and from which size on it does."""
    of = planned.known.get(guard.metric)
    if of is None or guard.role == "observe":
        return [], None
    flow = of.flow(planned.ramp, planned.per_second).until(planned.ramp.ready)
    limit = math.log(len(planned.harm) / planned.plan.alpha)

    def catch(ratio: float, part: int) -> Catch:
        log_e = of.simulated(flow, ratio=ratio, runs=max(50, planned.runs // part), seed=planned.seed).log_e
        return _catch(ratio, log_e, planned.ramp, limit)

    catches = [catch(min(ratio, of.worst), 3) for ratio in RATIOS]
    for ratio in _FURTHER:
        if catches[-1].probability >= _CAUGHT or catches[-1].ratio >= of.worst:
            break
        catches.append(catch(min(ratio, of.worst), 6))
    edge = next((n for n, found in enumerate(catches) if found.probability >= _CAUGHT), None)
    return catches, None if edge is None else _edge(catches[edge - 1] if edge else None, catches[edge], catch)


def _edge(below: Catch | None, above: Catch, catch: Callable[[float, int], Catch]) -> float:
    """Where the probability reaches 80 %: the half of the interval that it is in, then straight in the logarithm of the ratio."""
    below = below or Catch(ratio=1.0, probability=0.0, hours=None)
    middle = catch(math.sqrt(below.ratio * above.ratio), 6)
    below, above = (below, middle) if middle.probability >= _CAUGHT else (middle, above)
    share = (_CAUGHT - below.probability) / (above.probability - below.probability)
    return math.exp(math.log(below.ratio) + share * math.log(above.ratio / below.ratio))


def _catch(ratio: float, log_e: Floats, ramp: Ramp, limit: float) -> Catch:
    over = log_e >= limit
    first = np.where(over.any(axis=1), ramp.times[over.argmax(axis=1)], math.inf)
    median = float(np.median(first))
    return Catch(ratio=ratio, probability=float(over.any(axis=1).mean()), hours=median / 3600.0 if math.isfinite(median) else None)
