"""Freeze windows of a plan: days in which nothing widens, advances or is drilled. Harm acts in them as ever."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from detent.terms import Plan

_WINDOW = re.compile(r"(\d{4}-\d{2}-\d{2})/(\d{4}-\d{2}-\d{2})", re.ASCII)


def window(text: str) -> tuple[date, date]:
    """The first and the last day of `2026-12-20/2027-01-04`, both in it. Raises ValueError that says what is wrong with it."""
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError("is no pair of days")
    days = []
    for part in found.groups():
        try:
            days.append(date.fromisoformat(part))
        except ValueError:
            raise ValueError(f"names a day that no month has, {part}") from None
    if days[1] < days[0]:
        raise ValueError("ends before it begins")
    return days[0], days[1]


def frozen(plan: Plan, now: datetime) -> str | None:
    """Why nothing of this plan may widen, advance or be drilled now, and until when, as a sentence; None where it may.

    Days are UTC days. Of windows that touch or overlap the end is that of the last.
    """
    today = now.astimezone(UTC).date()
    windows = sorted(window(text) for text in plan.freeze)
    last = None
    for first, end in windows:
        if last is None:
            last = end if first <= today <= end else None
        elif first.toordinal() <= last.toordinal() + 1:
            last = max(last, end)
    if last is None:
        return None
    return f"plan `{plan.name}` is frozen until the end of {last.isoformat()} (UTC)"
