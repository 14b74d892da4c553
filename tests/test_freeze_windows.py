"""Freeze windows: whole UTC days, both ends in them; nothing widens or is drilled, and a wrong one is refused where it stands."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from detent.errors import InvalidInput
from detent.freezing import frozen, window
from detent.manifest import read
from detent.terms import Plan
from drilling import pinned


def plan(*windows: str) -> Plan:
    return Plan(name="standard", freeze=windows)


def at(day: str, hour: int = 0, minute: int = 0) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, minute=minute, tzinfo=UTC)


YEAR_END = "2026-12-20/2027-01-04"


def test_both_ends_of_a_window_are_in_it() -> None:
    assert frozen(plan(YEAR_END), at("2026-12-19", 23, 59)) is None
    assert frozen(plan(YEAR_END), at("2026-12-20")) == "plan `standard` is frozen until the end of 2027-01-04 (UTC)"
    assert frozen(plan(YEAR_END), at("2027-01-04", 23, 59)) is not None
    assert frozen(plan(YEAR_END), at("2027-01-05")) is None


def test_days_are_utc_days_wherever_the_clock_hangs() -> None:
    auckland = timezone(timedelta(hours=13))
    assert frozen(plan(YEAR_END), datetime(2026, 12, 20, 9, tzinfo=auckland)) is None  # the 19th, 20:00 UTC
    assert frozen(plan(YEAR_END), datetime(2026, 12, 20, 14, tzinfo=auckland)) is not None


def test_windows_that_touch_or_overlap_end_together() -> None:
    both = plan("2026-12-27/2027-01-04", "2026-12-20/2026-12-26", "2027-02-01/2027-02-02")
    assert "until the end of 2027-01-04" in (frozen(both, at("2026-12-22")) or "")
    assert frozen(both, at("2027-01-20")) is None


def test_a_plan_without_windows_is_never_frozen() -> None:
    assert frozen(Plan(name="standard"), at("2026-12-25")) is None


def test_a_window_names_its_first_and_its_last_day() -> None:
    assert window("2026-12-24/2026-12-24") == (date(2026, 12, 24), date(2026, 12, 24))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-12-20", "is no pair of days"),
        ("2026-12-20/", "is no pair of days"),
        ("20.12.2026/04.01.2027", "is no pair of days"),
        ("2026-02-30/2026-03-02", "names a day that no month has, 2026-02-30"),
        ("2027-01-04/2026-12-20", "ends before it begins"),
    ],
)
def test_a_wrong_window_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(pinned(plan=f'freeze = ["{YEAR_END}", "{text}"]\n'))
    assert f"plans.short.freeze[1] {says}: `{text}`" in str(refused.value)
    assert 'freeze = ["2026-12-20/2027-01-04"]' in str(refused.value)


@pytest.mark.parametrize(
    ("drill", "says"),
    [
        ("share = 0", "plans.short.drill.share out of range: `0`"),
        ("share = 1.5", "plans.short.drill.share out of range: `1.5`"),
        ('lasts = "2d"', "plans.short.drill.lasts out of range: `2d`"),
        ('every = "2m"', "a drill would begin before the last one ends: `2m`"),
        ('every = "0s"', "plans.short.drill.every out of range: `0s`"),
        ('at = "0 3 * *"', "plans.short.drill.at is no cron expression of five fields: `0 3 * *`"),
        ('at = "0 0 3 * * *"', "plans.short.drill.at is no cron expression of five fields: `0 0 3 * * *`"),
        ('at = "61 * * * *"', "plans.short.drill.at is no cron expression (Bad minute): `61 * * * *`"),
        ('at = "0 0 31 2 *"', "plans.short.drill.at is no cron expression (Bad day-of-month): `0 0 31 2 *`"),
    ],
)
def test_a_wrong_drill_is_refused_with_its_key(drill: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(pinned(plan=f"drill = {{ {drill} }}\n"))
    assert says in str(refused.value)


def test_a_way_back_is_an_id_at_the_routes_own_provider() -> None:
    with pytest.raises(InvalidInput, match=r"routes.chat.rollback names a provider: `openai/atlas-2025-12-01`") as refused:
        read(pinned(rollback="openai/atlas-2025-12-01"))
    assert 'rollback = "atlas-2025-12-01"' in str(refused.value)
    assert read(pinned(rollback="somebody/atlas-2025-12-01")).routes["chat"].rollback == "somebody/atlas-2025-12-01"
    with_a_slash = read(pinned(rollback="openai/atlas-2025-12-01", version="openai/atlas-2026-01-01"))
    assert with_a_slash.routes["chat"].rollback == "openai/atlas-2025-12-01"
