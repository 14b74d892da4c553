"""What `detent plan` says that a shadow will see, by hand arithmetic: 14 pairs that show it are needed at 1/alpha = 200."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detent.proposals import seeing, sight_of
from detent.proposals.seeing import pairs_needed
from detent.terms import Past, ShadowStage

ALPHA = 0.005
STAGE = ShadowStage(share=0.10, second=0.5, at_least=7 * 86400.0, pairs=4000)
PAST = Past(units=1000, legs=3000, seconds=86400.0, hourly=100.0, counted_s=86400.0)
"""100 sessions an hour of three requests each."""


def test_pairs_and_second_answers_follow_from_the_recorded_traffic() -> None:
    """100 x 3 x 24 x 7 = 50,400 requests a week, of which a tenth is mirrored and half of that asked twice: 14 / 2,520 = 0.56 %."""
    sight = sight_of(STAGE, PAST, ALPHA)
    assert sight is not None
    assert sight.pairs == pytest.approx(5040)
    assert sight.seconds == pytest.approx(2520)
    assert sight.finds_from == pytest.approx(0.00556, rel=1e-3)
    assert seeing(STAGE, PAST, ALPHA) == (
        "shadow: about 5000 pairs in 7d at this traffic, 2500 with a second answer: finds a change that stable never makes from "
        "0.56 % of requests on, if its budgets last",
    )


def test_a_limit_on_requests_a_second_bounds_the_pairs() -> None:
    """0.001 a second for 604,800 s are 605 pairs, half of them with a second answer: 14 / 302.4 = 4.6 %."""
    assert (
        "about 600 pairs in 7d at this traffic, 300 with a second answer: finds a change that stable never makes from 4.6 % of"
        in (seeing(replace(STAGE, per_second=0.001), PAST, ALPHA)[0])
    )


def test_where_not_even_a_change_in_all_requests_would_be_found_it_says_so() -> None:
    """27 requests an hour for an hour, all mirrored: 27 pairs, 13.5 of them with a second answer, which is too few."""
    short = replace(STAGE, share=1.0, at_least=3600.0)
    assert (
        "about 27 pairs in 1h at this traffic, 14 with a second answer: too few to find any change"
        in (seeing(short, replace(PAST, hourly=9.0), ALPHA)[0])
    )


@pytest.mark.parametrize("past", [replace(PAST, units=29), replace(PAST, hourly=0.0), replace(PAST, legs=0), Past()])
def test_too_little_on_record_is_said_and_nothing_is_guessed(past: Past) -> None:
    assert sight_of(STAGE, past, ALPHA) is None
    assert "too little traffic is on record to say what 7d of it would find" in seeing(STAGE, past, ALPHA)[0]


def test_a_plan_that_may_end_before_a_rare_harm_can_show_says_beware() -> None:
    """1,400 second answers hold 14 with a harm of 1 %; the default plan asks for 1,000 x 0.5 = 500, which hold 5."""
    assert len(seeing(replace(STAGE, pairs=2800), PAST, ALPHA)) == 1
    assert seeing(ShadowStage(pairs=1000, second=0.5), PAST, ALPHA)[1] == (
        "BEWARE: `pairs` x `second` of the plan are 500 second answers: a shadow with no more of them would miss a harm in 1 % of "
        "requests, which takes 1400"
    )


def test_what_is_needed_follows_from_the_stakes_and_from_alpha() -> None:
    """The first late field stakes .7 x .5 x .5 = .175 of the whole, whatever the number of fields. With n pairs that are all the
    candidate's, a bet at odds without end wins 2^n, and has a tenth: .175 x .1 x 2^13 = 143 < 200 <= .175 x .1 x 2^14 = 287.
    """
    assert [pairs_needed(alpha) for alpha in (0.01, 0.005, 0.001)] == [12, 14, 16]
