"""What to change where a plan can't conclude: the smallest changes that do, each found by simulating the changed plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from detent.manifest.defaults import BUILTIN_PLANS
from detent.power.guarding import Guarding, needed
from detent.power.planned import Planned
from detent.power.telling import CONCLUDES
from detent.terms import CanaryStage, CanaryStep, Guard, PastMetric, Plan, show_duration

_RUNS = 200
_MARGINS = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
_DIFFERENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_SHARES = (0.10, 0.25, 0.50)
_LONGER = (2, 4, 7)
_DAY = 86400.0
_LONGEST = 60 * _DAY
_HALF_FOR_DAYS = (7, 14, 28)


def of_guard(planned: Planned, guard: Guard, proved: float | None) -> str:
    """Why a guard cannot conclude and which other margin would; empty where it can."""
    if guard.metric in planned.unheard:
        return "the app is not on record to have said it, and a guard without data keeps everything from promotion: send it as feedback"
    if guard.role != "observe" and guard.matures >= planned.ramp.ready_s:
        return f"no unit of it is old enough within the ramp: matures = {show_duration(guard.matures)}"
    if proved is None or proved >= CONCLUDES or planned.unheard or planned.ramp.ready_s > planned.plan.canary.at_most:
        return ""  # or there is something else to mend first, which is said of the plan
    of = planned.known.get(guard.metric)
    if of is None and planned.past.metrics.get(guard.metric, PastMetric()).heard:
        return f"none of its units on record is old enough yet: matures = {show_duration(guard.matures)}"
    if of is None:
        return 'too few units on record say anything of it: give it role = "harm", or prove another metric'
    enough = 1.0 - (1.0 - CONCLUDES) / len(planned.proving)  # all of them at once
    options = [told for told, changed in _margins(of) if _proves(_with_guard(planned, changed), changed) >= enough]
    firsts = list({told.partition(" ")[0]: told for told in reversed(options)}.values())[::-1]
    why = _why(planned, of)
    return f"{why}: {' or '.join(firsts)} would do" if firsts else f"{why}, for which no wider margin makes up"


def _why(planned: Planned, of: Guarding) -> str:
    takes = needed(of)
    if takes is None or not planned.ramp.looks:
        return "too few candidate units"
    count, what = takes
    looks = planned.ramp.looks[:1] + planned.ramp.looks[-1:]
    first, last = (planned.ramp.candidate_units(planned.per_second, at) * of.scored * (of.usual if what == "events" else 1) for at in looks)
    expected = f"{first:.2g} are to be expected by then, {last:.2g} by the last"
    return f"a proof at the first look takes about {count:.0f} candidate {what}; {expected}"


def _margins(of: Guarding) -> Iterator[tuple[str, Guard]]:
    """Wider margins, the narrowest of each kind first."""
    now = of.guard.margin_ratio or 1.0
    if of.guard.margin_abs is None:
        for ratio in _MARGINS:
            if ratio > now:
                yield f"margin_ratio = {ratio:g}{_allows(of, of.usual * ratio)}", replace(of.guard, margin_ratio=ratio)
    for difference in _DIFFERENCES if of.row.kind == "rate" else ():
        if difference > max(of.guard.margin_abs or 0.0, of.usual * (now - 1.0)):
            yield (
                f"margin_abs = {difference:g}{_allows(of, of.usual + difference)}",
                replace(of.guard, margin_ratio=None, margin_abs=difference),
            )


def _allows(of: Guarding, rate: float) -> str:
    """What a wider margin would let pass, which is the price of it."""
    return f" (lets it rise from {100 * of.usual:.2g} % to {100 * min(1.0, rate):.2g} %)" if of.row.bet == "rate" else ""


def _with_guard(planned: Planned, guard: Guard) -> Planned:
    guards = tuple(guard if g.metric == guard.metric else g for g in planned.plan.guards)
    return replace(planned, plan=replace(planned.plan, guards=guards), runs=min(_RUNS, planned.runs))


def _proves(planned: Planned, *guards: Guard) -> float:
    """How often an unchanged candidate is proved within the canary by these guards; never, where its steps don't end in time."""
    if planned.ramp.ready_s > planned.plan.canary.at_most:
        return 0.0
    return float(np.isfinite(planned.proved(guards)).mean())


def of_plan(planned: Planned, promoted: float) -> tuple[str, ...]:
    """Changes of the plan itself after which all its proving guards would conclude together; none where they do."""
    if promoted >= CONCLUDES:
        return ()
    if planned.unheard:  # nothing else would help
        return (f"send the feedback that is guarded ({', '.join(planned.unheard)}), or take these guards out",)
    told: list[str] = []
    ramp, most = planned.ramp, planned.plan.canary.at_most
    if ramp.ready_s > most:
        hours = f"{ramp.ready_s / 3600:.0f} hours, beyond at_most = {show_duration(most)}"
        told.append(f"the steps wait for their units until {hours}: ask for fewer units")
    if any(guard.metric not in planned.known for guard in planned.proving):
        return tuple(told)
    if _proves(planned, *planned.proving) >= CONCLUDES:
        return tuple(told)
    found = [option for kind in (_shares, _windows, _quiet) if (option := _first(planned, kind(planned.plan))) is not None]
    told.extend(found)
    if not found:
        told.append("no larger share, longer window or `quiet` plan would do either: what is left is a wider margin, or a human's word")
    return tuple(told)


def _first(planned: Planned, options: Iterator[tuple[str, Plan]]) -> str | None:
    for told, plan in options:
        changed = replace(planned, plan=plan, runs=min(_RUNS, planned.runs))
        if _proves(changed, *changed.proving) >= CONCLUDES:
            return told
    return None


def _shares(plan: Plan) -> Iterator[tuple[str, Plan]]:
    steps = plan.canary.steps
    for share in _SHARES:
        if share > steps[0].share:
            larger = (replace(steps[0], share=share), *(step for step in steps[1:] if step.share > share))
            yield f"a first step with share = {share:g} would do", _with_canary(plan, larger, plan.canary.at_most)


def _windows(plan: Plan) -> Iterator[tuple[str, Plan]]:
    first, most = plan.canary.steps[0].at_least, plan.canary.at_most
    for times in _LONGER:
        steps = tuple(replace(step, at_least=step.at_least * times) for step in plan.canary.steps)
        if most * times <= _LONGEST:
            said = f"steps {times} times as long (the first {show_duration(first * times)}) and at_most = {show_duration(most * times)}"
            yield f"{said} would do", _with_canary(plan, steps, most * times)
    for days in () if plan.unsafe_short_windows else _HALF_FOR_DAYS:
        step = CanaryStep(share=0.5, at_least=days * _DAY)
        said = f'steps = [{{ share = 0.5, at_least = "{days}d" }}] and at_most = "{4 * days}d" would do'
        yield said, _with_canary(plan, (step,), 4 * step.at_least)


def _quiet(plan: Plan) -> Iterator[tuple[str, Plan]]:
    quiet = BUILTIN_PLANS["quiet"]
    if plan.canary != quiet.canary and not plan.unsafe_short_windows:
        own = "" if set(plan.guards) <= set(quiet.guards) else "; it has the default guards: write yours under [plans.quiet] to keep them"
        yield f'plan = "quiet" would do{own}', replace(quiet, guards=plan.guards)


def _with_canary(plan: Plan, steps: tuple[CanaryStep, ...], at_most: float) -> Plan:
    return replace(plan, canary=CanaryStage(steps=steps, at_most=at_most, control=plan.canary.control))
