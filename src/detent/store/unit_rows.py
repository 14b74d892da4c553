"""Rows of units and of their running values, read and written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, select

from detent.evidence.units import Changes, Exposed, Running, UnitKey, Units
from detent.store.database import upsert
from detent.store.schema import exposed, exposure_counts, units
from detent.terms import Arm, UnitKind

ARMS = {arm.value: arm for arm in Arm}

UNIT_COLUMNS = len(units.columns)


def running_of(row: Sequence[Any]) -> Running:
    """A row of `units`, its columns in the table's order."""
    rollout, unit, guard, *rest = row
    return Running(UnitKey(rollout, unit), guard, *rest)


def exposed_of(row: Sequence[Any]) -> Exposed:
    """A row of `exposed`, its columns in the table's order; segments and host of an older Detent's rows are not known."""
    rollout, unit, kind, arm, period, first_us, saw_candidate, control, *rest = row
    return Exposed(UnitKey(rollout, unit), UnitKind(kind), ARMS[arm], period, first_us, saw_candidate, bool(control), *rest)


def load_units(c: Connection, keys: Iterable[UnitKey]) -> Units:
    """The stored rows of these units; those that are not there are left out."""
    of_rollout: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        of_rollout[key.rollout].append(key.unit)
    found: dict[UnitKey, Exposed] = {}
    running: defaultdict[UnitKey, dict[str, Running]] = defaultdict(dict)
    for rollout, names in of_rollout.items():
        for row in c.execute(select(exposed).where(exposed.c.rollout == rollout, exposed.c.unit.in_(names))):
            unit = exposed_of(row)
            found[unit.key] = unit
        for row in c.execute(select(units).where(units.c.rollout == rollout, units.c.unit.in_(names))):
            value = running_of(row)
            running[value.key][value.guard] = value
    return Units(found, running)


def store_units(c: Connection, changes: Changes) -> None:
    """Write what a fold made or changed."""
    upsert(
        c,
        exposed,
        [
            {
                "rollout": unit.key.rollout,
                "unit": unit.key.unit,
                "kind": unit.kind.value,
                "arm": unit.arm.value,
                "period": unit.period,
                "first_us": unit.first_us,
                "saw_candidate": unit.saw_candidate,
                "control": unit.control,
                "template": unit.template,
                "tenant": unit.tenant,
                "region": unit.region,
                "returning_user": unit.returning,
                "language": unit.language,
                "language_us": unit.language_us,
                "host": unit.host,
            }
            for unit in changes.exposed
        ],
    )
    running = [
        {
            "rollout": row.key.rollout,
            "unit": row.key.unit,
            "guard": row.guard,
            "due_us": row.due_us,
            "said": row.said,
            "events": row.events,
            "total": row.total,
            "bucket": row.bucket,
        }
        for row in changes.running
    ]
    upsert(c, units, running)
    counts = [
        {"rollout": e.rollout, "period": e.period, "arm": e.arm.value, "units": e.units, "saw_candidate": e.saw_candidate}
        for e in changes.exposing
    ]
    upsert(c, exposure_counts, counts, add=("units", "saw_candidate"))
