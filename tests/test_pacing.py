"""How many calls a provider is sent at once: told answer by answer, without a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce

import pytest

from detent.baseline.pacing import CEILING, LONGEST_PAUSE_S, START, Pace, answered, overloaded, pause
from detent.wire.patience import retry_after

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def after(pace: Pace, answers: int) -> Pace:
    return reduce(lambda so_far, _: answered(so_far), range(answers), pace)


def test_a_window_of_answers_admits_one_call_more() -> None:
    assert Pace().limit == START == 4
    assert after(Pace(), 3).limit == 4
    assert after(Pace(), 4).limit == 5
    # 4 + 5 + 6 + 7 answers are four windows
    assert after(Pace(), 22).limit == 8
    assert after(Pace(), 100_000).limit == CEILING == 32


def test_an_overload_halves_and_a_burst_of_them_halves_once() -> None:
    pace = overloaded(Pace(limit=20), sent_at=5.0, now=6.0, retry_after_s=None)
    assert (pace.limit, pace.not_before) == (10, 6.5)
    assert overloaded(pace, sent_at=5.5, now=6.1, retry_after_s=None).limit == 10, "it was sent before anybody knew"
    again = overloaded(pace, sent_at=6.5, now=7.0, retry_after_s=None)
    assert (again.limit, again.not_before) == (5, 8.0), "and the rest is twice as long"
    assert overloaded(Pace(limit=1), sent_at=0.0, now=1.0, retry_after_s=None).limit == 1


def test_an_answer_between_makes_the_next_rest_short_again() -> None:
    pace = overloaded(Pace(), sent_at=1.0, now=1.0, retry_after_s=None)
    later = overloaded(answered(pace), sent_at=9.0, now=10.0, retry_after_s=None)
    assert later.not_before == 10.5


@pytest.mark.parametrize(("asked", "rest"), [(3.0, 3.0), (0.0, 0.0), (86_400.0, LONGEST_PAUSE_S)])
def test_a_provider_is_left_alone_as_long_as_it_asks_up_to_a_limit(asked: float, rest: float) -> None:
    assert overloaded(Pace(), sent_at=1.0, now=2.0, retry_after_s=asked).not_before == 2.0 + rest


def test_the_longest_wish_of_a_burst_counts() -> None:
    pace = overloaded(Pace(), sent_at=1.0, now=2.0, retry_after_s=9.0)
    assert overloaded(pace, sent_at=1.5, now=2.1, retry_after_s=1.0).not_before == 11.0
    assert overloaded(pace, sent_at=1.5, now=2.1, retry_after_s=30.0).not_before == 32.1


def test_rests_double_up_to_the_longest() -> None:
    assert [pause(n) for n in (0, 1, 2, 6, 7, 10**6)] == [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Sun, 99 Mar 2026 12:00:30 GMT"}, None),
    ],
)
def test_how_long_an_answer_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds
