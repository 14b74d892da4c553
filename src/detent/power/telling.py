"""A plan's power in lines: a few under a proposal, or a table."""

from __future__ import annotations

from collections.abc import Sequence

from detent.terms import Catch, Guard, GuardPower, Power

CONCLUDES = 0.80
"""The probability that an unchanged candidate is promoted from which on a plan is said to be able to conclude."""

_DAY = 86400.0

_GROSS = 3.0

SHOWN_LOOKS = 6
"""Looks that a table tells, and the last."""


def concludes(power: Power) -> bool:
    """Whether the plan can conclude: an unchanged candidate is promoted within `at_most` four times in five."""
    return not power.unknown and power.promoted >= CONCLUDES


def margin_of(guard: Guard) -> str:
    """The margin of what must be proved, the tolerance of what is harm: `x 1.5`, `+ 0.005`, `beyond x 1.05`; empty where there is none."""
    if guard.role == "prove":
        return f"x {guard.margin_ratio:g}" if guard.margin_ratio is not None else f"+ {guard.margin_abs:g}"
    return f"beyond x {guard.tolerance_ratio:g}" if guard.role == "harm" and guard.tolerance_ratio != 1.0 else ""


def lines(power: Power) -> tuple[str, ...]:
    """The power in a few lines, for under a proposal."""
    if power.unknown:
        return (f"power: unknown: {power.unknown}",)
    told = [f"power at {_number(power.units_per_hour)} units an hour ({_on_record(power)}): {_of_unchanged(power)}", *_caveats(power)]
    harm = [guard for guard in power.guards if guard.role != "observe" and guard.catches]
    caught = [f"{guard.metric} from x {_ratio(guard.catches_from)}" for guard in harm if guard.catches_from is not None]
    if caught:
        told.append("catches by the end of the ramp, 4 times in 5: " + ", ".join(caught))
    unable = [guard.metric for guard in harm if guard.catches_from is None]
    if unable:
        told.append("too rare to catch by then, however much worse: " + ", ".join(unable))
    unseen = [guard.metric for guard in power.guards if guard.role != "observe" and not guard.catches]
    if unseen:
        told.append("nothing on record to say what they would catch: " + ", ".join(unseen))
    told.extend(f"{guard.metric}: {guard.advice}" for guard in power.guards if guard.advice)
    told.extend(power.advice)
    return tuple(told)


def _on_record(power: Power) -> str:
    return f"{power.units} units in {_hours(power.seconds / 3600.0)} on record"


def _caveats(power: Power) -> list[str]:
    told: list[str] = []
    harm = [guard for guard in power.guards if guard.role != "observe"]
    if harm and not any(guard.catches_from is not None and guard.catches_from <= _GROSS for guard in harm):
        told.append(f"BEWARE: at this traffic no guard would catch harm of up to {_GROSS:g} times what is usual")
    if power.seconds >= _DAY:
        return told
    return [*told, f"BEWARE: all of this rests on {_hours(power.seconds / 3600.0)} of traffic: no whole day, and no night, is on record"]


def _of_unchanged(power: Power) -> str:
    return (
        f"an unchanged candidate is promoted at the end of the shortest time in {_share(power.promoted_soonest)}, by at_most in "
        f"{_share(power.promoted)}, and held or stopped by a false alarm in {_share(power.stopped)}"
    )


def table(power: Power) -> str:
    """The power as a table for a terminal; ends without a newline."""
    if power.unknown:
        return f"{power.route}: {power.unknown}"
    ratios = [catch.ratio for catch in max((guard.catches for guard in power.guards), key=len, default=())]
    head = ["guard", "usual", "caught from", *(f"x {ratio:g}" for ratio in ratios)]
    rows = [head]
    for guard in power.guards:
        margin = f" ({margin})" if (margin := _role(guard)) else ""
        cells = [_catch(catch) for catch in guard.catches] + ["-"] * (len(ratios) - len(guard.catches))
        start = f"x {_ratio(guard.catches_from)}" if guard.catches_from is not None else "-"
        rows.append([guard.metric + margin, _usual(guard), start, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lined = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    looks = _some([f"{_share(look.proved)} by {_hours(look.hours)}" for look in power.looks])
    told = [
        f"route {power.route}, plan {power.plan}, {_number(power.units_per_hour)} new units an hour: {_on_record(power)}",
        *_caveats(power),
        "",
        _of_unchanged(power),
        f"all proving guards together are shown no worse: {looks or 'at no look'}",
        *(_proving(guard) for guard in power.guards if guard.role == "prove"),
        "",
        *lined,
        "",
        "caught from: about the smallest harm that ends the rollout by the end of the ramp 4 times in 5; then, for each size of harm, how",
        "often, and the median time to the stop",
    ]
    advice = [*(f"{guard.metric}: {guard.advice}" for guard in power.guards if guard.advice), *power.advice]
    return "\n".join([*told, *([""] if advice else []), *(f"advice: {line}" for line in advice)])


def _some(looks: Sequence[str]) -> str:
    """The first looks and the last: those between say little that they don't."""
    shown = looks if len(looks) <= SHOWN_LOOKS + 1 else [*looks[:SHOWN_LOOKS], "…", looks[-1]]
    return ", ".join(shown)


def _role(guard: GuardPower) -> str:
    said = {"prove": f"proves, {guard.margin}", "harm": guard.margin, "observe": "observed"}
    return said[guard.role]


def _proving(guard: GuardPower) -> str:
    by = _some([_share(p) for p in guard.proved_by])
    return f"  {guard.metric} alone: {by or 'never'}; {_share(guard.proved or 0.0)} in the end"


def _catch(catch: Catch) -> str:
    return _share(catch.probability) + (f" {_hours(catch.hours)}" if catch.hours is not None else "")


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3g}"


def _number(x: float) -> str:
    return f"{x:.0f}" if x >= 10 else f"{x:.2g}"


def _usual(guard: GuardPower) -> str:
    """No event among a few units is no rate."""
    if guard.none_of is not None:
        return f"0 of {guard.none_of}"
    if guard.usual is None:
        return "-"
    return f"{guard.usual:.2g}" if guard.usual < 1 else f"{guard.usual:.3g}"


def _hours(hours: float) -> str:
    if hours < 1.0:
        return f"{60 * hours:.0f}m" if hours >= 1 / 60 else f"{3600 * hours:.0f}s"
    return f"{hours:.0f}h" if hours >= 10 else f"{hours:.1f}h"
