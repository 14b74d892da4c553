"""Leases: what a gateway may still obey of flags that nobody has confirmed for a while. All of it values and moments, no thread."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detent import leasing
from detent.awake import elapsed_s
from detent.errors import InvalidInput
from detent.leasing import Told, changes_s, from_disk, lapsed, obeyed, over
from detent.manifest import read
from detent.obeying import Obeyed
from detent.terms import LEASE_S, Draining, DrillShare, Flag, FlagSet, Manifest, RolledBack, Version
from processes import Installation
from serving import flagset, with_rollout

OLD, NEW, WAY_BACK = (Version("openai", name) for name in ("old", "new", "way-back"))
SPLIT = Flag(route="chat", revision=7, stable=OLD, candidate=NEW, rollout="ro_1", split=0.5, period=3, salt="s", lease_s=60.0)
DRILL = DrillShare(drill="dr_1", version=WAY_BACK, share=0.1, salt="s", lasts_s=300.0)
DRAINING = Draining(rollout="ro_1", candidate=NEW, split=0.5, salt="s", lasts_s=30.0)
ROLLED_BACK = RolledBack(rollout="ro_1", candidate=NEW, split=0.5, salt="s", lasts_s=30.0)
T0 = datetime(2026, 7, 1, tzinfo=UTC)


def flags(*those: Flag) -> FlagSet:
    return FlagSet(revision=7, manifest=Manifest(providers={}, routes={}, plans={}), flags={flag.route: flag for flag in those})


def heard_of(of: Told, heard: FlagSet, at_s: float, now: datetime = T0) -> Told:
    return leasing.heard_of(of, heard, at_s, now)


def known(*those: Flag, reached_s: float = 100.0) -> Told:
    return heard_of(Told(flags=flags(), reached_s=reached_s), flags(*those), reached_s)


def chat(of: Told, now_s: float) -> Flag:
    return obeyed(of, now_s).flags["chat"]


def test_a_split_is_served_until_its_lease_has_passed_and_then_all_of_it_goes_to_stable() -> None:
    cut_off = known(SPLIT)
    assert obeyed(cut_off, 159.999) is cut_off.flags, "the very flags: the hot path has nothing to do"
    after = chat(cut_off, 160.0)
    assert after.lapsed
    assert (after.candidate, after.split, after.control, after.mirror) == (None, 0.0, 0.0, None)
    assert (after.rollout, after.period, after.stable, after.salt) == ("ro_1", 3, OLD, "s"), "records still say which rollout"
    assert lapsed(obeyed(cut_off, 160.0)) == {"chat"}


def test_a_lease_comes_back_by_itself_when_the_store_is_reached_again() -> None:
    cut_off = known(SPLIT)
    assert chat(cut_off, 500.0).lapsed
    again = replace(cut_off, reached_s=499.0)
    assert chat(again, 500.0) == SPLIT
    assert chat(again, 559.0).lapsed


def test_what_is_served_by_everybody_needs_no_lease() -> None:
    assert obeyed(alone := known(Flag(route="chat", revision=7, stable=OLD)), 1e9) is alone.flags
    shadow = with_rollout(flagset("http://127.0.0.1:1"), shadow=0.5)
    of_shadow = heard_of(Told(flags=shadow, reached_s=0.0), shadow, 0.0)
    assert obeyed(of_shadow, 1e9) is shadow, "nobody sees the answers of a shadow"


def test_each_route_has_a_lease_of_its_own() -> None:
    both = known(SPLIT, replace(SPLIT, route="search", lease_s=5.0))
    assert lapsed(obeyed(both, 105.0)) == {"search"}
    assert changes_s(both, 100.0) == 105.0
    assert changes_s(both, 105.0) == 160.0
    assert changes_s(both, 160.0) == inf


def test_a_drill_ends_by_itself_with_the_store_there_and_does_not_begin_again() -> None:
    drilled = Flag(route="chat", revision=7, stable=OLD, drill=DRILL)
    under_way = known(drilled)
    for at_s in range(110, 401, 10):  # the store is reached all the time, and says that the drill goes on
        under_way = heard_of(under_way, flags(drilled), float(at_s))
        assert chat(under_way, at_s).drill == (DRILL if at_s < 400 else None)
        assert not chat(under_way, at_s).lapsed
    gone = heard_of(under_way, flags(replace(drilled, drill=None)), 500.0)
    assert chat(heard_of(gone, flags(drilled), 510.0), 510.0).drill is None, "the same drill, by a store put back from a copy"
    another = replace(drilled, drill=replace(DRILL, drill="dr_2"))
    assert chat(heard_of(gone, flags(another), 520.0), 520.0).drill is not None


def test_a_drill_and_draining_are_leased_too() -> None:
    for flag in (Flag(route="chat", revision=7, stable=OLD, drill=DRILL), Flag(route="chat", revision=7, stable=OLD, draining=DRAINING)):
        short = known(replace(flag, lease_s=5.0))
        assert not chat(short, 104.9).lapsed
        after = chat(short, 105.0)
        assert (after.lapsed, after.drill, after.draining) == (True, None, None)


def test_draining_ends_by_the_clock_of_the_gateway_that_heard_of_it() -> None:
    draining = Flag(route="chat", revision=8, stable=OLD, draining=DRAINING)
    early, late = known(draining, reached_s=100.0), known(draining, reached_s=110.0)
    assert (changes_s(early, 100.0), changes_s(late, 110.0)) == (130.0, 140.0)
    assert chat(replace(early, reached_s=130.0), 130.0).draining is None
    assert chat(replace(late, reached_s=130.0), 130.0).draining == DRAINING


@pytest.mark.parametrize(
    ("started_s", "left_s"),
    [(0.0, 30.0), (20.0, 10.0), (30.0, 0.0), (7 * 86400.0, 0.0), (-5.0, 30.0)],
    ids=["at once", "a while later", "just after its end", "a week later", "a clock behind the writer's"],
)
def test_a_gateway_that_starts_later_gives_a_rollback_no_more_time_than_was_left(started_s: float, left_s: float) -> None:
    flag = Flag(route="chat", revision=8, stable=OLD, draining=DRAINING, rolled_back=ROLLED_BACK, written_at=T0)
    started = heard_of(Told(flags=flags(), reached_s=500.0), flags(flag), 500.0, T0 + timedelta(seconds=started_s))
    told = chat(started, 500.0)
    assert (told.draining, told.rolled_back) == ((DRAINING, ROLLED_BACK) if left_s else (None, None))
    assert changes_s(started, 500.0) == (500.0 + left_s if left_s else inf)
    assert chat(replace(started, reached_s=500.0 + left_s), 500.0 + left_s).rolled_back is None
    assert over(flag, T0 + timedelta(seconds=started_s)) is (started_s >= 30.0)


def test_flags_that_are_written_again_give_what_was_heard_of_no_more_time() -> None:
    drilled = Flag(route="chat", revision=7, stable=OLD, drill=DRILL, written_at=T0)
    later = T0 + timedelta(seconds=200)
    under_way = heard_of(known(drilled), flags(replace(drilled, written_at=later)), 300.0, later)
    assert changes_s(replace(under_way, reached_s=390.0), 399.0) == 400.0


def test_a_rollback_sends_nobody_elsewhere_and_needs_no_lease() -> None:
    flag = Flag(route="chat", revision=8, stable=OLD, rolled_back=replace(ROLLED_BACK, lasts_s=1e6), lease_s=5.0)
    assert not chat(known(flag), 1000.0).lapsed


def test_after_a_restart_nobody_knows_how_long_a_drill_has_been_going_on() -> None:
    found = from_disk(flags(replace(SPLIT, drill=DRILL)), reached_s=100.0)
    assert (chat(found, 101.0).drill, chat(found, 101.0).split) == (None, 0.5)
    assert chat(from_disk(flags(SPLIT), reached_s=-inf), 101.0).lapsed, "nor, with no file's time to trust, when the store was reached"


def test_an_order_given_here_goes_before_what_the_store_says_and_before_leases() -> None:
    ordered = replace(known(SPLIT), ordered=frozenset({"chat"}))
    for now_s in (101.0, 1000.0):
        assert chat(ordered, now_s) == Flag(route="chat", revision=7, stable=OLD)


def test_what_ends_between_two_looks_has_ended_whoever_looks_next() -> None:
    """The store is reached just after a drill has ended and just before the clock was looked at."""
    at_s = [100.0]
    gateway = Obeyed(known(Flag(route="chat", revision=7, stable=OLD, drill=DRILL)), monotonic=lambda: at_s[0])
    assert gateway.current.flags["chat"].drill is not None
    at_s[0] = 400.01
    gateway.reached(400.005)
    gateway.look()
    assert gateway.current.flags["chat"].drill is None


def test_whoever_asks_first_after_a_standstill_is_told_what_holds_now() -> None:
    """A process that was stopped, or whose host slept, may be asked before any of its threads has looked."""
    at_s = [100.0]
    gateway = Obeyed(known(SPLIT), monotonic=lambda: at_s[0])
    assert gateway.current is gateway.current
    at_s[0] = 160.0
    assert gateway.current.flags["chat"].lapsed


def test_the_clock_of_leases_counts_a_suspended_host_and_is_never_set_back() -> None:
    import time

    assert elapsed_s() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1.0)
    assert elapsed_s() >= time.monotonic() - 1.0
    assert elapsed_s() <= elapsed_s()


@given(
    reached_s=st.floats(0, 1e6),
    lease_s=st.floats(5, 3600),
    waits_s=st.floats(0, 1e5),
    split=st.floats(0.001, 1),
)
def test_no_split_is_ever_handed_out_beyond_its_lease(reached_s: float, lease_s: float, waits_s: float, split: float) -> None:
    one = known(replace(SPLIT, split=split, lease_s=lease_s), reached_s=reached_s)
    now_s = reached_s + waits_s
    assert (chat(one, now_s).split > 0.0) == (now_s < reached_s + lease_s)
    assert changes_s(one, now_s) == inf or changes_s(one, now_s) > now_s


# ── the plan's word ─────────────────────────────────────────────────────────────────────────────────────────────────


def with_lease(lease: str) -> str:
    text = Installation.pin_file("http://127.0.0.1:1")
    return text.replace("unsafe_short_windows = true", f'unsafe_short_windows = true\nlease = "{lease}"')


def test_a_lease_is_a_minute_if_the_plan_says_nothing_else() -> None:
    assert read(Installation.pin_file("http://127.0.0.1:1")).plans["quick"].lease == LEASE_S == 60.0
    assert read(with_lease("5s")).plans["quick"].lease == 5.0
    assert read(with_lease("1h")).plans["quick"].lease == 3600.0


@pytest.mark.parametrize("lease", ["4s", "61m", "0s"])
def test_a_lease_that_lapses_at_every_hiccup_or_never_is_refused(lease: str) -> None:
    with pytest.raises(InvalidInput, match=f"lease out of range: `{lease}`"):
        read(with_lease(lease))


# ── a store that was put back ────────────────────────────────────────────────────────────────────────────────────────


def keyed(*those: Flag, revision: int = 9, doubted: int = 0, key: str = "of this installation") -> FlagSet:
    return replace(flags(*those), revision=revision, doubted=doubted, identity_key=key)


def test_what_is_in_doubt_is_served_as_if_its_lease_had_lapsed_until_it_is_written_anew() -> None:
    told = heard_of(Told(flags=flags(), reached_s=100.0), keyed(SPLIT, doubted=7), 100.0)
    assert chat(told, 100.0).lapsed
    assert chat(told, 100.0).split == 0.0
    assert leasing.doubted(told.flags) == {"chat"}
    assert leasing.leases(told, 100.0) == {"chat": 0.0}
    anew = heard_of(told, keyed(replace(SPLIT, revision=8), doubted=7), 100.0)
    assert not chat(anew, 100.0).lapsed
    assert leasing.leases(anew, 130.0) == {"chat": 30.0}
    still = replace(SPLIT, split=0.0, candidate=None)
    assert leasing.doubted(keyed(still, doubted=7)) == frozenset(), "nothing of it is split"


@pytest.mark.parametrize(
    ("found", "older"),
    [
        (keyed(SPLIT, revision=9), False),
        (keyed(SPLIT, revision=10), False),
        (keyed(SPLIT, revision=8), True),
        (keyed(SPLIT, revision=8, key="of another"), False),
        (keyed(replace(SPLIT, revision=6), revision=20), True),  # the store went on; what this route says is from before
        (keyed(replace(SPLIT, revision=6), revision=1009, doubted=1009), False),  # and that is known
        (keyed(revision=20), False),  # a route that is none any more
    ],
)
def test_whether_a_store_says_what_was_true_before(found: FlagSet, older: bool) -> None:
    assert leasing.older(found, keyed(SPLIT)) is older


def test_what_was_obeyed_is_remembered_beyond_the_revision_of_a_store_that_could_not_be_told() -> None:
    unheard = keyed(SPLIT, revision=5, doubted=9)
    assert leasing.served(unheard) == 9
    assert leasing.older(keyed(SPLIT, revision=8), unheard)
    assert not leasing.older(keyed(SPLIT, revision=5), flags()), "a pin file alone has obeyed nothing"
