"""What `detent plan` says that a shadow will see, by hand arithmetic: 16 pairs that show it are needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detent.proposals import seeing, sight_of
from detent.terms import Past, ShadowStage

STAGE = ShadowStage(share=0.10, second=0.5, at_least=7 * 86400.0, pairs=4000)
PAST = Past(units=1000, legs=3000, seconds=86400.0, hourly=100.0, counted_s=86400.0)
"""100 sessions an hour of three requests each."""


def test_pairs_and_second_answers_follow_from_the_recorded_traffic() -> None:
    """100 x 3 x 24 x 7 = 50,400 requests a week, of which a tenth is mirrored and half of that asked twice: 16 / 2,520 = 0.63 %."""
    sight = sight_of(STAGE, PAST)
    assert sight is not None
    assert sight.pairs == pytest.approx(5040)
    assert sight.seconds == pytest.approx(2520)
    assert sight.finds_from == pytest.approx(0.00635, rel=1e-3)
    assert seeing(STAGE, PAST) == (
        "shadow: about 5000 pairs in 7d at this traffic, 2500 with a second answer: finds a change that stable never makes from "
        "0.63 % of requests on, if its budgets last",
    )


def test_a_limit_on_requests_a_second_bounds_the_pairs() -> None:
    """0.001 a second for 604,800 s are 605 pairs, half of them with a second answer: 16 / 302.4 = 5.3 %."""
    assert (
        "about 600 pairs in 7d at this traffic, 300 with a second answer: finds a change that stable never makes from 5.3 % of"
        in (seeing(replace(STAGE, per_second=0.001), PAST)[0])
    )


def test_where_not_even_a_change_in_all_requests_would_be_found_it_says_so() -> None:
    """30 requests an hour for an hour, all mirrored: 30 pairs, 15 of them with a second answer, which is one too few."""
    short = replace(STAGE, share=1.0, at_least=3600.0)
    assert (
        "about 30 pairs in 1h at this traffic, 15 with a second answer: too few to find any change"
        in (seeing(short, replace(PAST, hourly=10.0))[0])
    )


@pytest.mark.parametrize("past", [replace(PAST, units=29), replace(PAST, hourly=0.0), replace(PAST, legs=0), Past()])
def test_too_little_on_record_is_said_and_nothing_is_guessed(past: Past) -> None:
    assert sight_of(STAGE, past) is None
    assert "too little traffic is on record to say what 7d of it would find" in seeing(STAGE, past)[0]


def test_a_plan_that_may_end_before_a_rare_harm_can_show_says_beware() -> None:
    """1,600 second answers hold 16 with a harm of 1 %; the default plan asks for 1,000 x 0.5 = 500, which hold 5."""
    assert len(seeing(replace(STAGE, pairs=3200), PAST)) == 1
    assert seeing(ShadowStage(pairs=1000, second=0.5), PAST)[1] == (
        "BEWARE: `pairs` x `second` of the plan are 500 second answers: a shadow with no more of them would miss a harm in 1 % of "
        "requests, which takes 1600"
    )
