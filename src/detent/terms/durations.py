"""Durations and moments: float seconds in code, `48h` in a file; aware UTC datetimes, or integer microseconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


DURATION = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)\s*$")


def parse_duration(text: str) -> float:
    """Seconds in a string like `48h`, `1.5d`, `250ms`. Raises ValueError that names the text."""
    found = DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"not a duration: `{text}`; write a number and a unit, like `90s`, `48h` or `14d`")
    return float(found[1]) * _UNITS[found[2]]


def show_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back to the same value, like `48h` for 172800.0."""
    for unit in ("d", "h", "m", "s"):
        whole = seconds / _UNITS[unit]
        if whole >= 1 and whole == int(whole) and (unit != "d" or whole >= 3):
            return f"{int(whole)}{unit}"
    return f"{seconds:g}s"


class _Duration:
    """Lets pydantic read a field that files spell like `48h`; imported lazily so that the terms depend on nothing."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def read(value: object) -> float:
            if not isinstance(value, str):
                raise ValueError(f"not a duration: `{value!r}`; write a string like `90s`, `48h` or `14d`")
            return parse_duration(value)

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, str]:
        return {"type": "string", "format": "detent-duration", "pattern": DURATION.pattern}


Seconds = Annotated[float, _Duration()]
"""A duration in seconds."""


def utc(microseconds: int) -> datetime:
    """The aware UTC datetime of integer microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)  # exact: a float loses microseconds, and takes the last of them for the year 10000


def micros(moment: datetime) -> int:
    """Integer microseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
