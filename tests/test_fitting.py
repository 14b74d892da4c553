"""The default guards as they suit a route's traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detent.fitting import SAID_BY_THE_APP, describe_fitting, fitted_guards, guards_to_look_for, may_be_fitted, with_hourly
from detent.manifest import DEFAULT_GUARDS
from detent.terms import METRIC_NAMES, Guard, Past, PastMetric

EVERYTHING = {guard.metric: PastMetric(units=1000, events=10, heard=1000) for guard in DEFAULT_GUARDS}


def past(units: int = 1000, done_after_s: float | None = None, lasts_s: float | None = None, **heard: int) -> Past:
    metrics = {**EVERYTHING, **{metric: PastMetric(units=n, events=n // 100, heard=n) for metric, n in heard.items()}}
    return Past(units=units, seconds=86400.0, metrics=metrics, done_after_s=done_after_s, lasts_s=lasts_s)


def metrics(guards: tuple[Guard, ...]) -> list[str]:
    return [guard.metric for guard in guards]


def test_a_route_whose_traffic_carries_everything_keeps_the_default_guards() -> None:
    assert fitted_guards(DEFAULT_GUARDS, past()) == DEFAULT_GUARDS


def test_a_route_that_never_asks_for_json_is_not_asked_to_prove_that_it_parses() -> None:
    fitted = fitted_guards(DEFAULT_GUARDS, past(parse_error=0, keys_missing=0))
    assert set(metrics(DEFAULT_GUARDS)) - set(metrics(fitted)) == {"parse_error", "keys_missing"}
    assert [guard.metric for guard in fitted if guard.role == "prove"] == ["error"]


def test_one_request_for_json_is_enough_to_keep_its_guard() -> None:
    assert "parse_error" in metrics(fitted_guards(DEFAULT_GUARDS, past(parse_error=1, keys_missing=0)))


def test_too_little_traffic_says_nothing_about_what_a_route_never_asks() -> None:
    assert fitted_guards(DEFAULT_GUARDS, past(units=199, parse_error=0, keys_missing=0)) == DEFAULT_GUARDS
    assert fitted_guards(DEFAULT_GUARDS, Past()) == DEFAULT_GUARDS


def test_what_the_app_has_said_is_guarded_and_what_it_never_said_is_not() -> None:
    joined = fitted_guards(DEFAULT_GUARDS, past(thumbs_down=30, parse_failed=0))[len(DEFAULT_GUARDS) :]
    assert joined == (Guard(metric="thumbs_down", role="harm", margin_ratio=1.5, matures=1800.0),)


@pytest.mark.parametrize(
    ("gap_s", "matures_s"),
    [(600.0, 900.0), (10.0, 120.0), (20 * 3600.0, 86400.0), (None, 1800.0)],  # half as much again, from 2 minutes to a day
)
def test_a_task_is_given_up_on_after_its_usual_gap_and_half_of_that_again(gap_s: float | None, matures_s: float) -> None:
    *_, not_done = fitted_guards(DEFAULT_GUARDS, past(done_after_s=gap_s, not_done=50))
    assert (not_done.metric, not_done.role, not_done.matures) == ("not_done", "harm", matures_s)


@pytest.mark.parametrize(
    ("events", "ratio", "difference"),
    [(0, None, 0.001), (39, None, 0.001), (41, 1.5, None)],  # of 20,000: half of 0.2 % is one in a thousand
)
def test_a_proof_about_what_hardly_ever_happens_has_a_difference_for_its_margin(
    events: int, ratio: float | None, difference: float | None
) -> None:
    rare = Past(units=20_000, seconds=86400.0, metrics=EVERYTHING | {"error": PastMetric(units=20_000, events=events, heard=20_000)})
    error, *others = fitted_guards(DEFAULT_GUARDS, rare)
    assert (error.metric, error.margin_ratio, error.margin_abs) == ("error", ratio, difference)
    assert tuple(others) == DEFAULT_GUARDS[1:]
    assert may_be_fitted(DEFAULT_GUARDS, (error, *others))
    assert describe_fitting(DEFAULT_GUARDS, (error, *others)) == ("" if ratio else "fitted to the route's traffic: error + 0.001")


@pytest.mark.parametrize(
    ("units", "heard", "joins"),
    [(1000, 29, False), (1000, 30, True), (3000, 30, True), (3001, 30, False), (20_000, 199, False), (20_000, 200, True), (40, 1, False)],
)
def test_a_stray_entry_is_no_habit_and_guards_nothing(units: int, heard: int, joins: bool) -> None:
    """One thumb from somebody's trial would join a guard that hears nothing afterwards and keeps everything from promotion."""
    assert ("thumbs_down" in metrics(fitted_guards(DEFAULT_GUARDS, past(units=units, thumbs_down=heard)))) is joins


def test_users_who_gave_up_are_guarded_where_the_app_says_so_and_not_where_it_only_says_that_tasks_are_done() -> None:
    says_done = PastMetric(units=1000, events=0, heard=800)
    for known, joins in ((says_done, False), (PastMetric(units=1000, events=20, heard=820), True)):
        fitted = fitted_guards(DEFAULT_GUARDS, Past(units=1000, seconds=86400.0, metrics=EVERYTHING | {"abandoned": known}))
        assert ("abandoned" in metrics(fitted)) is joins
        assert may_be_fitted(DEFAULT_GUARDS, fitted)


OF_EVENTS = {"error", "parse_error", "truncated", "keys_missing", "tool_retry", "refusal", "hit_limit", "unknown_tool", "fallback"}


@pytest.mark.parametrize(
    ("lasts_s", "matures_s"),
    [(None, 120.0), (30.0, 120.0), (100.0, 120.0), (101.0, 180.0), (600.0, 720.0), (1500.0, 1800.0), (86400.0, 1800.0)],
)
def test_events_are_counted_until_a_session_is_usually_over_but_half_an_hour_at_most(lasts_s: float | None, matures_s: float) -> None:
    """A window that ends in mid-session finds more events in a version that is quicker, and fewer in one that is slower."""
    fitted = fitted_guards(DEFAULT_GUARDS, past(lasts_s=lasts_s))
    assert {guard.metric: guard.matures for guard in fitted} == {
        guard.metric: matures_s if guard.metric in OF_EVENTS else guard.matures for guard in DEFAULT_GUARDS
    }
    assert may_be_fitted(DEFAULT_GUARDS, fitted)
    told = describe_fitting(DEFAULT_GUARDS, fitted)
    assert (f"read after {matures_s / 60:.0f}m, when most sessions are over: error, " in told) is (matures_s > 120.0)


def test_whole_sessions_are_waited_for_from_the_start_and_hard_failures_for_ten_seconds() -> None:
    fitted = {guard.metric: guard.matures for guard in fitted_guards(DEFAULT_GUARDS, past(lasts_s=900.0))}
    assert {fitted[metric] for metric in ("long_session", "session_steps", "session_cost")} == {1800.0}
    assert fitted["hard_failure"] == 10.0


@pytest.mark.parametrize(("units", "slow", "role"), [(1000, 20, "harm"), (1000, 21, "observe"), (199, 190, "harm")])
def test_where_long_answers_are_the_rule_they_are_no_hard_failure(units: int, slow: int, role: str) -> None:
    known = Past(units=units, metrics=EVERYTHING | {"hard_failure": PastMetric(units=units, events=slow, heard=units)})
    fitted = fitted_guards(DEFAULT_GUARDS, known)
    assert {guard.metric: guard.role for guard in fitted}["hard_failure"] == role
    assert may_be_fitted(DEFAULT_GUARDS, fitted)
    told = "fitted to the route's traffic: hard_failure only observed, because it is usual on stable"
    assert describe_fitting(DEFAULT_GUARDS, fitted) == (told if role == "observe" else "")


def test_no_other_change_passes_for_a_fitting() -> None:
    error, parse_error, hard_failure, *others = DEFAULT_GUARDS
    for changed in (
        replace(error, matures=60.0),
        replace(error, matures=3600.0),
        replace(error, role="observe"),
        replace(error, action="hold"),
        replace(error, margin_ratio=None, margin_abs=0.002),
    ):
        assert not may_be_fitted(DEFAULT_GUARDS, (changed, parse_error, hard_failure, *others)), changed
    assert not may_be_fitted(DEFAULT_GUARDS, (error, parse_error, replace(hard_failure, matures=1800.0), *others))
    assert may_be_fitted(DEFAULT_GUARDS, (replace(error, matures=600.0, margin_ratio=None, margin_abs=0.001), parse_error, *others))


HOUR_US = 3_600_000_000


def test_new_units_are_counted_over_the_week_and_not_over_the_busy_hour_that_the_sample_is_of() -> None:
    """20,000 legs of 5,000 units in the last hour, by day; over two days half as many legs an hour: 10,000, of 2,500 units."""
    sample = Past(units=5000, legs=20_000, seconds=3600.0)
    assert sample.units_per_hour == 5000.0
    minutes = {minute * 60_000_000: 10_000 // 60 if minute % 60 else 10_000 - 59 * (10_000 // 60) for minute in range(48 * 60)}
    assert with_hourly(sample, minutes, 48 * HOUR_US).units_per_hour == pytest.approx(2500.0, rel=0.001)


def test_a_count_of_minutes_says_no_more_than_the_sample_does() -> None:
    sample = Past(units=5000, legs=20_000, seconds=3600.0)
    assert with_hourly(sample, {}, 48 * HOUR_US) == sample
    assert with_hourly(Past(), {0: 20_000}, HOUR_US) == Past()


def test_units_that_all_came_at_once_and_none_since_are_little_traffic() -> None:
    """30 units within 27 s, an hour and a minute ago; and while they still come, the sample's own seconds are what there is."""
    sample = Past(units=30, legs=30, seconds=27.0)
    assert sample.units_per_hour == pytest.approx(4000.0)
    later = with_hourly(sample, {0: 30}, HOUR_US + 60_000_000)
    assert (later.units_per_hour, later.counted_s) == (30.0, 3600.0)
    assert with_hourly(sample, {0: 30}, 50_000_000).units_per_hour == pytest.approx(4000.0)


def test_guards_that_a_team_wrote_are_left_alone() -> None:
    own = (Guard(metric="parse_error", margin_ratio=2.0, role="prove"),)
    assert fitted_guards(own, past(parse_error=0, thumbs_down=9)) == own


def test_the_past_is_folded_for_what_may_join_too() -> None:
    looked_for = metrics(guards_to_look_for(DEFAULT_GUARDS))
    assert {"thumbs_down", "not_done", "parse_failed"} <= set(looked_for)
    assert len(looked_for) == len(set(looked_for))
    assert metrics(guards_to_look_for((Guard(metric="thumbs_down", matures=60.0),))).count("thumbs_down") == 1


def test_guards_that_join_are_the_app_s_own_word() -> None:
    assert {METRIC_NAMES[guard.metric].source for guard in SAID_BY_THE_APP} == {"feedback"}


def test_what_was_fitted_is_told() -> None:
    fitted = fitted_guards(DEFAULT_GUARDS, past(parse_error=0, keys_missing=0, thumbs_down=40))
    assert describe_fitting(DEFAULT_GUARDS, fitted) == "fitted to the route's traffic: without parse_error, keys_missing; with thumbs_down"
    assert describe_fitting(DEFAULT_GUARDS, DEFAULT_GUARDS) == ""


def test_a_fitted_plan_is_still_the_plan_of_the_file() -> None:
    fitted = fitted_guards(DEFAULT_GUARDS, past(parse_error=0, done_after_s=60.0, not_done=50))
    assert may_be_fitted(DEFAULT_GUARDS, fitted)
    assert not may_be_fitted(DEFAULT_GUARDS, (Guard(metric="error", margin_ratio=2.0, role="prove"),))
    assert not may_be_fitted(fitted, DEFAULT_GUARDS)
