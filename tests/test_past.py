"""What stable's recorded traffic says, before a rollout begins: folded into units as the rollout's own will be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random
from statistics import fmean, stdev

import pytest

from detent.evidence import METRICS, past_of, working_of
from detent.evidence.past import Before, before_of
from detent.stats.sketch import bucket
from detent.terms import METRIC_NAMES, Begun, Feedback, Guard, Intent, Outcome, Past, PastMetric, Result, Role, Usage
from records import at, begun, intent, result, thumbs_down

Legs = list[tuple[Intent, Result | None]]

ERROR = Guard(metric="error", margin_ratio=1.5, matures=10.0)
THUMBS = Guard(metric="thumbs_down", margin_ratio=1.5, matures=60.0)
TOKENS = Guard(metric="output_tokens", margin_ratio=1.2, matures=10.0)
RETRY = Guard(metric="tool_retry", margin_ratio=1.5, matures=60.0)


def leg(name: str, unit: str, seconds: float, outcome: Outcome = Outcome.COMPLETE, **more: object) -> tuple[Intent, Result]:
    return intent(name, unit, seconds, rollout=None, randomised=False), result(name, seconds + 1, outcome, **more)


def sessions(n: int, failing: int = 0) -> Legs:
    """Sessions of two requests, ten seconds apart; the second request of the first `failing` ones fails."""
    legs: Legs = []
    for session in range(n):
        legs.append(leg(f"{session}.0", f"u{session}", 10 * session))
        ended = Outcome.TIMED_OUT if session < failing else Outcome.COMPLETE
        legs.append(leg(f"{session}.1", f"u{session}", 10 * session + 2, ended))
    return legs


def past(
    legs: Iterable[tuple[Intent, Result | Begun | None]],
    *guards: Guard,
    said: list[tuple[Feedback, str]] | None = None,
    until: float | None = None,
) -> Past:
    return past_of(legs, said or [], guards, METRICS, until_us=None if until is None else at(until))


def done(unit: str, seconds: float, *, task_done: bool = True) -> tuple[Feedback, str]:
    return Feedback(id=f"{unit}-{seconds}", at_us=at(seconds), metric="task_done", value=float(task_done), session=unit), unit


def test_rates_are_of_units_and_not_of_requests() -> None:
    """20 sessions of 2 requests; in 3 of them one failed: (3 + 1/2) / (20 + 1), not 3/40."""
    found = past(sessions(20, failing=3), ERROR, RETRY)
    assert found.metrics["error"] == PastMetric(units=20, events=3, heard=20)
    assert found.units == 20
    assert found.seconds == 192.0  # from the first request to the last
    assert found.units_per_hour == pytest.approx(375.0)
    working = working_of(found, METRIC_NAMES)
    assert working["error"].rate == pytest.approx(3.5 / 21)
    assert working["tool_retry"].rate == pytest.approx(0.5 / 21), "never seen is rare, not impossible"
    assert working["error"].units == 20


def test_mirrored_legs_and_unknown_metrics_say_nothing() -> None:
    mirrored = intent("m", "u0", role=Role.MIRRORED)
    found = past([*sessions(5), (mirrored, result("m", 2, Outcome.TIMED_OUT))], ERROR, Guard(metric="charm", margin_abs=0.1))
    assert found.metrics == {"error": PastMetric(units=5, events=0, heard=5)}


def test_without_traffic_nothing_is_known() -> None:
    assert past([], ERROR, THUMBS) == Past()
    assert working_of(Past(), METRIC_NAMES) == {}
    assert Past().units_per_hour == 0.0


def test_silence_counts_once_a_unit_was_mature() -> None:
    """Of ten sessions, the last began at 90 s: by 155 s, all but that one had the minute in which its user might have complained."""
    legs = sessions(10)
    found = past(legs, THUMBS, said=[(thumbs_down("f", 20), "u1")], until=149.0)
    assert found.metrics["thumbs_down"] == PastMetric(units=9, events=1, heard=1)
    assert working_of(found, METRIC_NAMES)["thumbs_down"].rate == pytest.approx(1.5 / 10)


def test_the_few_who_spoke_up_just_now_are_not_the_rule() -> None:
    """Nobody of the last minute is counted: the silent might still complain, and without them the one who did would be 100 %."""
    found = past(sessions(3), THUMBS, said=[(thumbs_down("f", 5), "u0")])
    assert found.metrics["thumbs_down"] == PastMetric(units=0, events=0, heard=1)
    assert "thumbs_down" not in working_of(found, METRIC_NAMES)


def test_an_answer_that_is_still_under_way_is_no_failure() -> None:
    waiting = intent("w", "u_new", 100, rollout=None, randomised=False)
    assert past([*sessions(5), (waiting, None)], ERROR).metrics["error"].units == 5
    assert past([*sessions(5), (waiting, None)], ERROR, until=111).metrics["error"] == PastMetric(units=6, events=1, heard=5)


def test_what_json_was_not_asked_of_is_not_heard_of() -> None:
    legs = [(sent, None if end is None else result(sent.leg.removeprefix("le_"), parse=None)) for sent, end in sessions(5)]
    found = past(legs, Guard(metric="parse_error", margin_ratio=1.5))
    assert found.metrics["parse_error"] == PastMetric(units=0, events=0, heard=0)


def test_of_two_guards_on_a_metric_the_first_counts() -> None:
    late = [leg("a", "u0", 0), leg("b", "u0", 30, Outcome.TIMED_OUT)]
    assert past(late, ERROR, Guard(metric="error", margin_ratio=1.5, matures=60.0)).metrics["error"].events == 0
    assert past(late, Guard(metric="error", margin_ratio=1.5, matures=60.0), ERROR).metrics["error"].events == 1


def test_long_streams_were_no_hard_failures_in_the_past_either() -> None:
    """Else what is usual would be called a failure, and the candidate's rate without them would pass for a gain."""
    hard = Guard(metric="hard_failure", margin_ratio=1.5, matures=10.0)
    streams = [intent(str(n), f"u{n}", 60 * n, rollout=None, randomised=False, stream=True) for n in range(4)]
    ended: list[tuple[Intent, Result | Begun | None]] = [
        (streams[0], result("0", 45, first_byte_s=0.4, latency_s=45.0)),
        (streams[1], result("1", 60 + 45, first_byte_s=11.0, latency_s=45.0)),
        (streams[2], begun("2", 120.4, 120)),  # still under way
        (streams[3], None),
    ]
    assert past(ended, hard, until=1000).metrics["hard_failure"] == PastMetric(units=4, events=2, heard=2)


def test_the_usual_length_of_a_unit_is_the_95th_percentile_from_its_first_request_to_its_last_result() -> None:
    """40 sessions of two requests; the second ends after 1..40 minutes: the 38th. One more has not ended."""
    legs: Legs = [leg(f"{n}.0", f"u{n}", 0) for n in range(40)]
    legs += [leg(f"{n}.1", f"u{n}", 60 * (n + 1) - 1) for n in range(40)]
    legs.append((intent("w", "u_new", 10, rollout=None, randomised=False), None))
    found = past(legs)
    assert (found.legs, found.units, found.lasts_s) == (81, 41, 38 * 60)
    assert past(legs[-1:]).lasts_s is None


# ── values ──


def test_a_values_working_model_is_of_the_logarithm_of_units() -> None:
    """Of 400 units drawn from a lognormal, against the drawn numbers themselves; a bucket is 2 % wide."""
    rng = Random(5)
    drawn = [round(rng.lognormvariate(5.0, 0.6)) for _ in range(400)]
    legs = [leg(str(n), f"u{n}", n, usage=Usage(output=tokens)) for n, tokens in enumerate(drawn)]
    found = past(legs, TOKENS)
    assert found.metrics["output_tokens"].units == found.metrics["output_tokens"].heard == 400
    working = working_of(found, METRIC_NAMES)["output_tokens"]
    assert working.centre == pytest.approx(fmean(map(math.log, drawn)), abs=0.01)
    assert working.deviation == pytest.approx(stdev(map(math.log, drawn)), abs=0.01)
    assert working.thresholds == pytest.approx([sorted(drawn)[n - 1] for n in (200, 360, 396)], rel=0.011)
    assert (working.rate, working.units) == (None, 400)


def test_too_few_units_make_no_working_model() -> None:
    def known(units: int) -> Past:
        return Past(units=units, metrics={"latency": PastMetric(units=units, heard=units, buckets={bucket(1.0): units})})

    assert working_of(known(29), METRIC_NAMES) == {}
    working = working_of(known(30), METRIC_NAMES)["latency"]
    assert working.centre == pytest.approx(0.0, abs=0.01)
    assert working.deviation == 0.01, "all in one bucket is not without any spread"
    assert working.thresholds == pytest.approx((1.0, 1.0, 1.0), rel=0.011)


def test_a_model_is_made_of_the_metrics_asked_for() -> None:
    found = past(sessions(5), ERROR, RETRY)
    assert list(working_of(found, {"error": METRIC_NAMES["error"]})) == ["error"]


# ── done ──


def test_the_usual_gap_is_the_95th_percentile_of_the_time_until_a_task_is_done() -> None:
    """40 sessions done after 1..40 minutes: the 38th."""
    legs = [leg(str(n), f"u{n}", 0) for n in range(41)]
    said = [done(f"u{n}", 60 * (n + 1)) for n in range(40)]
    assert past(legs, said=said).done_after_s == 38 * 60
    assert past(legs, said=[*said, done("u0", 9000), done("u7", 1, task_done=False), done("nobody", 5)]).done_after_s == 38 * 60


def test_an_app_that_never_says_done_has_no_usual_gap() -> None:
    assert past(sessions(3)).done_after_s is None
    assert past(sessions(3), said=[done("u0", 5, task_done=False)]).done_after_s is None


# ── before the canary ──


def test_users_are_compared_as_they_were_before() -> None:
    """Two users: one with a failed request of two, one with none; means of 1.0 s and 3.0 s, each user counted once."""
    legs = [
        leg("a", "u0", 0, latency_s=1.0),
        leg("b", "u0", 86400, Outcome.TIMED_OUT),
        leg("c", "u1", 5, latency_s=2.0),
        leg("d", "u1", 5 * 86400, latency_s=4.0),
    ]
    found = before_of(legs)
    assert (found.units, found.errors, found.error_rate) == (2, 1, 0.5)
    assert found.latency_s == pytest.approx(2.0, rel=0.011)
    assert before_of([]) == Before()
    assert Before().error_rate is None
