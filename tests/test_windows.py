"""The minimum window, which nothing but harm shortens: no edit of the plan, no word, no API, no clock, no night without a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from canaries import FINE, HARMED, HOUR, PROVED, in_canary, seen
from controlling import NEXT, World, in_the_canary, pin_file
from detent.controller import MOST_GAP_S, Controller, act
from detent.controller.loop import watch_every_s
from detent.decide import decide
from detent.errors import Refused
from detent.store import open_store
from detent.terms import Look, Phase, Rollout, Verb
from detent.view import look_in_s
from detent.windows import canary_served_s, served_s
from playbook import PLAN, Playbook
from records import T0, rollout


def watched(hours: float, **more: Any) -> Rollout:
    """A canary in its last step of 24 h, proved; the clock says what it says, and a controller looked after it for so many hours."""
    return replace(in_canary(step=2, hours=60, looks=(PROVED,)), watched_s=hours * 3600.0, **more)


NOW = in_canary().entered_at


# ── the count alone serves ──


def test_time_is_served_in_seconds_that_somebody_watched_whatever_the_clock_says() -> None:
    assert served_s(watched(hours=10), NOW) == 10 * 3600.0
    assert served_s(watched(hours=10), NOW + 1000 * HOUR) == 10 * 3600.0
    assert served_s(replace(watched(hours=0), watched_s=None), NOW) == 60 * 3600.0, "nobody counts: the clock is taken at its word"
    later = watched(hours=10, entered_watched_s=9 * 3600.0, canary_watched_s=2 * 3600.0)
    assert (served_s(later, NOW), canary_served_s(later, NOW)) == (3600.0, 8 * 3600.0)


def test_a_clock_that_was_set_back_serves_nothing_and_owes_nothing() -> None:
    assert served_s(watched(hours=10), NOW - 1000 * HOUR) == 10 * 3600.0
    assert canary_served_s(rollout(), T0) == 0.0, "before the canary"


def test_of_an_ended_canary_the_time_until_its_end_counts() -> None:
    ended = watched(hours=10, phase=Phase.NOT_PROVED, ended_at=NOW - 50 * HOUR)
    assert canary_served_s(ended, NOW + 1000 * HOUR) == 10 * 3600.0, "nobody looks after what has ended, so the count stands"
    assert canary_served_s(replace(ended, watched_s=None), NOW + 1000 * HOUR) == 10 * 3600.0, "by the clock: 60 h less 50 h"


def test_a_clock_that_is_set_forward_promotes_nothing() -> None:
    assert decide(watched(hours=24), FINE, NOW).verb is Verb.PROMOTE
    decision = decide(watched(hours=23.9), FINE, NOW + 200 * HOUR)
    assert (decision.verb, decision.reason) == (Verb.HOLD, "TimeNotServed")
    assert decide(watched(hours=0.1), seen(HARMED), NOW - 500 * HOUR).verb is Verb.ROLL_BACK, "harm needs no clock"


def test_looks_are_due_by_watched_time_too() -> None:
    """Statistics 2.3: at 48 h, then daily. A look that comes early would spend alpha that belongs to later information."""
    fresh = in_canary()
    assert look_in_s(replace(fresh, watched_s=47 * 3600.0), NOW + 480 * HOUR) == 3600.0
    looked = replace(fresh, looks=(Look(number=1, at=NOW, watched_s=50 * 3600.0),), watched_s=60 * 3600.0)
    assert look_in_s(looked, NOW + 480 * HOUR) == 14 * 3600.0
    assert decide(replace(in_canary(hours=50), watched_s=3600.0), FINE, NOW).look is None


def test_a_plan_of_short_windows_is_counted_finely() -> None:
    assert watch_every_s(PLAN) == 5.0
    assert watch_every_s(replace(PLAN, soak=replace(PLAN.soak, at_least=2.0))) == 0.02


# ── a store, a controller, and somebody in a hurry ──


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield World(store)
    store.close()


@pytest.fixture
def canary(world: World) -> Controller:
    """A controller, and `ro_1` at the beginning of its canary: two steps of an hour each, proof enough."""
    controller = in_the_canary(world)
    world.sealed("error", (80, 4000), (720, 36_000))
    world.sealed("tool_retry", (80, 4000), (720, 36_000))
    return controller


def asked(world: World, controller: Controller) -> tuple[Phase, int]:
    controller.run_once()
    return world.rollout().phase, world.rollout().step


def test_a_step_is_served_in_its_hour_and_not_before(world: World, canary: Controller) -> None:
    for _ in range(11):
        world.now += timedelta(minutes=5)
        assert asked(world, canary) == (Phase.CANARY, 0)
    world.now += timedelta(minutes=5)
    assert asked(world, canary) == (Phase.CANARY, 1)


@pytest.mark.parametrize("hours", [1, 24, 10_000])
def test_a_clock_that_jumps_ahead_serves_ten_minutes_at_most(world: World, canary: Controller, hours: float) -> None:
    before = world.rollout().watched_s
    world.now += timedelta(hours=1)
    assert asked(world, canary) == (Phase.CANARY, 0)
    assert world.rollout().watched_s == (before or 0.0) + MOST_GAP_S
    for _ in range(9):
        world.now += timedelta(minutes=5)
        assert asked(world, canary) == (Phase.CANARY, 0), "55 min by the clock that jumped, 10 + 45 min watched"
    world.now += timedelta(minutes=5)
    assert asked(world, canary) == (Phase.CANARY, 1)


def test_a_clock_that_goes_back_is_waited_for_and_nothing_is_stuck(world: World, canary: Controller) -> None:
    world.now += timedelta(minutes=30)
    canary.run_once()
    world.now -= timedelta(hours=30)
    assert asked(world, canary) == (Phase.CANARY, 0)
    for _ in range(30 * 6 + 12):
        world.now += timedelta(minutes=10)
        if asked(world, canary)[1] == 1:
            break
    assert world.rollout().step == 1


def test_a_night_without_a_server_serves_nothing(world: World, canary: Controller) -> None:
    world.now += timedelta(hours=8)
    assert asked(world, Controller(world.store, world.clock, elapsed=world.elapsed)) == (Phase.CANARY, 0)
    assert canary_served_s(world.rollout(), world.now) == 0.0, "for how long nobody looked is not known to one that just began"


def test_a_clock_that_runs_fast_serves_what_has_passed(world: World, canary: Controller) -> None:
    """A minute in which the clock went on by six hours."""
    passed = world.elapsed()
    fast = Controller(world.store, world.clock, elapsed=lambda: passed)
    fast.run_once()
    for _ in range(6):
        world.now += timedelta(hours=1)
        passed += 10.0
        fast.run_once()
    assert canary_served_s(world.rollout(), world.now) == 60.0


@pytest.mark.parametrize("apart_s", [3, 60, 5000])
@pytest.mark.parametrize("hung_h", [0, 5])
def test_two_controllers_whose_clocks_differ_serve_no_second_twice(world: World, canary: Controller, apart_s: float, hung_h: float) -> None:
    """An hour of real time, perhaps after hours in which both hung; one of the clocks is ahead."""
    began, real = world.now, [0.0]

    def controller(ahead_s: float) -> Controller:
        return Controller(world.store, lambda: began + timedelta(seconds=real[0] + ahead_s), elapsed=lambda: real[0])

    one, ahead = controller(0), controller(apart_s)
    one.run_once()
    ahead.run_once()
    real[0] += hung_h * 3600.0
    before = world.rollout().watched_s or 0.0
    for _ in range(360):
        real[0] += 5.0
        one.run_once()
        real[0] += 5.0
        ahead.run_once()
    assert 3600.0 * 0.99 <= (world.rollout().watched_s or 0.0) - before <= 3600.0 + (2 * MOST_GAP_S if hung_h else 0.0)


def test_two_controllers_do_not_serve_the_same_minute_twice(world: World, canary: Controller) -> None:
    other = Controller(world.store, world.clock, elapsed=world.elapsed)
    other.run_once()
    before = world.rollout().watched_s or 0.0
    for _ in range(6):
        world.now += timedelta(minutes=1)
        canary.run_once()
        world.now += timedelta(minutes=1)
        other.run_once()
    assert world.rollout().watched_s == before + 12 * 60.0


def test_a_plan_that_is_made_shorter_in_the_file_is_for_the_next_rollout(world: World, canary: Controller) -> None:
    fixed = world.rollout().plan
    shorter = pin_file(chat=NEXT).replace(
        'at_least = "1h" }, { share = 0.5, at_least = "1h"', 'at_least = "1s" }, { share = 0.5, at_least = "1s"'
    )
    assert shorter != pin_file(chat=NEXT)
    world.apply(shorter)
    world.later(0.9)
    assert asked(world, canary) == (Phase.CANARY, 0)
    assert world.rollout().plan == fixed


@pytest.mark.parametrize("verb", ["approve", "resume", "promote", "hold"])
def test_no_word_makes_it_shorter(world: World, canary: Controller, verb: str) -> None:
    world.later(0.9)
    with contextlib.suppress(Refused):
        act(world.store, "ro_1", verb, by="ada", why="I am in a hurry", now=world.now + timedelta(days=99))
    assert asked(world, canary) == (Phase.CANARY, 0)


def test_a_clock_that_jumps_past_the_limit_neither_ends_nor_promotes_it(world: World, canary: Controller) -> None:
    """`at_most` is counted in time served as well: ten minutes at most by such a clock."""
    world.now += timedelta(hours=10)
    assert asked(world, canary)[0] is Phase.CANARY
    with pytest.raises(Refused, match="has served 10m of its minimum window of 2h"):
        act(world.store, "ro_1", "promote", by="ada", why="", now=world.now + timedelta(days=99))


def test_harm_makes_it_shorter(world: World, canary: Controller) -> None:
    world.sealed("tool_retry", (800, 4000), (720, 36_000))
    world.now -= timedelta(days=3)
    assert asked(world, canary)[0] is Phase.ROLLED_BACK


def test_a_story_without_a_count_goes_by_the_clock() -> None:
    assert Playbook().rollout.watched_s is None
