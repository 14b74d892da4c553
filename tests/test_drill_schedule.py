"""When a drill is due, and what one that is overdue or failed keeps from opening, until it is run or waived in somebody's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from controlling import NEXT, OTHER, PIN
from detent.controller import act, proposed
from detent.controller.rehearsing import blocking, rehearsed
from detent.driller import Driller, end_drill, server, told, waive
from detent.errors import InvalidInput, Refused
from detent.manifest import read
from detent.rehearsal import Rehearsed, blocked, due
from detent.store import Store
from detent.store.drills import DRILLS_SINCE
from detent.store.schema import meta
from detent.terms import Drill, DrillReport, DrillVerdict, Outcome, Phase, Waiver
from drilling import BACK, DRILL, Drilled, drilled, pinned

pytest_plugins = ("stores",)

DAY = 86400.0
SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def days(n: float) -> datetime:
    return SINCE + timedelta(days=n)


def ended(verdict: DrillVerdict, at_day: float, *, served: int = 10) -> DrillReport:
    at = days(at_day)
    return DrillReport(
        id="dr", route="chat", version=BACK, share=0.1, by="a", began_at=at, ended_at=at, verdict=verdict, served=served, why="it broke"
    )


def known(*reports: DrillReport, waiver: Waiver | None = None) -> Rehearsed:
    return Rehearsed(route="chat", version=BACK, since=SINCE, ended=reports, waiver=waiver)


MONTHLY = Drill(every=30 * DAY)
MONDAYS = Drill(every=30 * DAY, at="0 3 * * 1")


# ── due ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def moments(drill: Drill, of: Callable[[datetime], Rehearsed], until: float) -> list[datetime]:
    """When the schedule would begin a drill, looked at each hour."""
    hour = timedelta(hours=1)
    times = [SINCE + hour * n for n in range(int(until * 24))]
    return [now for now in times if due(drill, of(now), now - hour, now)]


def test_one_is_due_before_every_is_over() -> None:
    first = moments(MONTHLY, lambda now: known(), 31)[0]
    assert days(29.9) < first <= days(30)


def test_at_says_when_one_may_begin_and_the_last_moment_in_time_is_taken() -> None:
    """Mondays at 3:00: SINCE is a Sunday, and the 30th day after it a Tuesday."""
    first = moments(MONDAYS, lambda now: known(), 40)[0]
    assert (first.strftime("%a %H:%M"), first.date().isoformat()) == ("Mon 03:00", "2026-03-30")


def test_what_passed_puts_the_next_one_off() -> None:
    assert moments(MONTHLY, lambda now: known(ended("passed", 20)), 49.5) == []
    assert moments(MONTHLY, lambda now: known(ended("passed", 20)), 51)


def test_an_aborted_one_is_tried_again_after_a_day_and_a_failed_one_is_for_a_person() -> None:
    assert moments(MONTHLY, lambda now: known(ended("aborted", 31)), 40)[0] >= days(32)
    assert moments(MONTHLY, lambda now: known(ended("inconclusive", 31)), 40)[0] >= days(32)
    assert [now for now in moments(MONTHLY, lambda now: known(ended("failed", 31)), 90) if now > days(31)] == []


# ── blocked ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tenth_more_than_every_is_overdue() -> None:
    assert blocked(MONTHLY, known(), days(32.9)) is None
    found = blocked(MONTHLY, known(), days(33.1))
    assert found is not None
    assert found[0] == "DrillOverdue"
    assert "was never rehearsed since 2026-03-01; the plan asks for a drill every 30d" in found[1]
    assert blocked(MONTHLY, known(ended("passed", 20)), days(52)) is None
    assert "was rehearsed last on 2026-03-21" in (blocked(MONTHLY, known(ended("passed", 20)), days(54)) or ("", ""))[1]


def test_a_failure_blocks_until_one_passes_and_an_aborted_one_says_nothing() -> None:
    assert (blocked(MONTHLY, known(ended("failed", 3)), days(4)) or ("",))[0] == "DrillFailed"
    assert (blocked(MONTHLY, known(ended("aborted", 4), ended("failed", 3)), days(5)) or ("",))[0] == "DrillFailed"
    assert blocked(MONTHLY, known(ended("passed", 4), ended("failed", 3)), days(5)) is None
    assert blocked(MONTHLY, known(ended("aborted", 4)), days(5)) is None


def test_one_without_traffic_is_no_failure_and_no_pass() -> None:
    assert blocked(MONTHLY, known(ended("inconclusive", 3)), days(4)) is None
    assert (blocked(MONTHLY, known(ended("inconclusive", 30)), days(34)) or ("",))[0] == "DrillOverdue"
    assert (blocked(MONTHLY, known(ended("inconclusive", 4), ended("failed", 3)), days(5)) or ("",))[0] == "DrillFailed"


def test_without_a_schedule_nothing_is_overdue_and_a_failure_blocks_all_the_same() -> None:
    assert blocked(None, known(), days(400)) is None
    assert (blocked(None, known(ended("failed", 3)), days(4)) or ("",))[0] == "DrillFailed"
    assert blocked(None, known(ended("passed", 4), ended("failed", 3)), days(5)) is None


def test_a_waiver_holds_for_a_while_and_not_for_what_fails_after_it() -> None:
    waiver = Waiver(route="chat", at=days(40), by="bob", why="audit week", until_at=days(70))
    assert blocked(MONTHLY, known(waiver=waiver), days(69)) is None
    assert blocked(MONTHLY, known(waiver=waiver), days(71)) is not None
    assert (blocked(MONTHLY, known(ended("failed", 41), waiver=waiver), days(42)) or ("",))[0] == "DrillFailed"


# ── in a store ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def world(store: Store) -> Iterator[Drilled]:
    with drilled(store) as found:
        yield found


def test_a_new_installation_is_not_locked_out(store: Store) -> None:
    world = Drilled(store)
    world.apply(pinned(next=NEXT))
    assert store.state.rollout("ro_1").phase is Phase.PROPOSED


def test_a_route_without_a_way_back_has_nothing_to_drill(store: Store) -> None:
    world = Drilled(store)
    world.apply(pinned(rollback=None))
    world.later(days=400)
    world.apply(pinned(rollback=None, next=NEXT))
    assert store.state.rollout("ro_1").phase is Phase.PROPOSED


def test_a_way_back_that_is_new_in_the_file_counts_from_there(world: Drilled) -> None:
    world.later(days=100)
    world.apply(pinned(rollback="atlas-2025-11-01", next=NEXT))
    assert world.store.state.rollout("ro_1").candidate.model == NEXT


UNSAID = ""
"""A plan that says nothing of drills."""


def test_a_plan_that_says_nothing_of_drills_schedules_none_and_says_so(store: Store) -> None:
    world = Drilled(store)
    world.apply(pinned(plan=UNSAID))
    driller = loop(world)
    for _ in range(50):
        world.later(days=1)
        world.heard()
        world.probed()
        driller.step()
    assert (store.state.drills(), store.state.alerts()) == ([], [])
    assert list(told(store, world.now)) == ["chat: no drills are scheduled: plan `short` has no `drill = { ... }`"]
    (found,) = proposed(store, read(pinned(plan=UNSAID, next=NEXT)), now=world.now)
    assert found.kind == "open"
    assert "no drills are scheduled: plan `short` has no `drill = { ... }`" in found.details
    assert (world.begin().share, world.store.state.drills()[0].lasts_s) == (Drill().share, Drill().lasts)


def test_a_store_that_never_heard_of_drills_counts_from_when_it_did(world: Drilled) -> None:
    """An older Detent applied this pin file long ago; nobody could rehearse anything."""
    with world.store.state._db.write() as c:
        c.execute(delete(meta).where(meta.c.name == DRILLS_SINCE))
    world.later(days=60)
    manifest = read(pinned())
    assert blocking(world.store, manifest, "chat", world.now) is None
    world.store.state.forget_gateway("gw")
    loop(world).step()
    world.later(days=32)
    assert blocking(world.store, manifest, "chat", world.now) is None
    world.later(days=2)
    found = blocking(world.store, manifest, "chat", world.now)
    assert found is not None
    assert found.code == "DrillOverdue"


def test_the_schedule_begins_none_over_a_way_back_of_which_nobody_knows(world: Drilled) -> None:
    driller = loop(world)
    world.later(days=30)
    world.heard()
    driller.step()
    assert world.store.state.drills() == []
    world.later(3600)  # at the next moment of `at` it is known
    world.heard()
    world.probed()
    driller.step()
    assert len(world.store.state.drills()) == 1


def test_every_failed_drill_is_sent_and_the_block_is_paged_once(world: Drilled) -> None:
    for _ in range(2):
        report = world.begin()
        world.heard()
        world.answers(3, Outcome.HTTP_ERROR, status=500)
        for _ in range(3):
            world.later(3)
            world.heard()
            world.drive(report.id)
        assert world.store.state.drill(report.id).verdict == "failed"
    found = world.store.state.alerts(open_only=False)
    assert sorted(one.kind for one in found) == ["DrillFailed", "DrillReport", "DrillReport"]


def test_an_overdue_drill_refuses_a_rollout_and_a_drill_that_passes_lets_it_open(world: Drilled) -> None:
    world.later(days=34)
    with pytest.raises(Refused) as refused:
        world.apply(pinned(next=NEXT))
    assert "chat: DrillOverdue: its way back to openai/atlas-2025-12-01 was never rehearsed" in refused.value.message
    assert "detent drill chat" in (refused.value.hint or "")
    assert "--waive" in (refused.value.hint or "")
    assert world.passed().verdict == "passed"
    world.apply(pinned(next=NEXT))
    assert [one.phase for one in world.store.state.rollouts()] == [Phase.PROPOSED]


def test_touching_the_pin_file_makes_no_way_back_younger(world: Drilled) -> None:
    world.later(days=20)
    world.apply(pinned() + "# a word\n")
    world.later(days=14)
    with pytest.raises(Refused, match="DrillOverdue"):
        world.apply(pinned(next=NEXT))


def test_a_failed_drill_refuses_a_rollout_until_it_is_waived_by_name(world: Drilled) -> None:
    report = world.begin()
    world.heard()
    world.answers(3, Outcome.HTTP_ERROR, status=500)
    world.later(1)
    world.drive(report.id)
    world.heard()
    world.later(2)
    assert world.drive(report.id).verdict == "failed"
    with pytest.raises(Refused, match="DrillFailed: the last drill of its way back to openai/atlas-2025-12-01"):
        world.apply(pinned(next=NEXT))
    assert any("DrillFailed" in line and "no new rollout opens" in line for line in told(world.store, world.now))
    with pytest.raises(InvalidInput, match="--waive needs a reason"):
        waive(world.store, "chat", by="bob", why=" ", now=world.now)
    waiver = waive(world.store, "chat", by="bob", why="the provider mends it", now=world.now)
    assert waiver.until_at == world.now + timedelta(days=30)
    assert world.store.state.alerts() == []
    assert "drill of chat waived until" in world.store.state.audit(1)[0].what
    world.apply(pinned(next=NEXT))
    assert world.store.state.rollouts()[0].phase is Phase.PROPOSED


def test_plan_shows_the_refusal_before_apply_meets_it(world: Drilled) -> None:
    world.later(days=34)
    (found,) = proposed(world.store, read(pinned(next=NEXT)), now=world.now)
    assert (found.kind, found.sentence.split(":")[0]) == ("refuse", "DrillOverdue")


def test_plan_says_until_when_a_freeze_will_hold_it(world: Drilled) -> None:
    (found,) = proposed(world.store, read(pinned(next=NEXT, plan='freeze = ["2026-03-01/2026-03-09"]\n')), now=world.now)
    assert found.kind == "open"
    assert "plan `short` is frozen until the end of 2026-03-09 (UTC): it opens, and waits for that" in found.details


def test_a_rollout_that_is_open_is_not_stopped(world: Drilled) -> None:
    world.apply(pinned(next=NEXT))
    world.later(days=60)
    world.apply(pinned(next=NEXT))  # running
    assert [one.phase for one in world.store.state.rollouts()] == [Phase.PROPOSED]
    with pytest.raises(Refused, match="DrillOverdue") as refused:
        world.apply(pinned(next=OTHER), supersede=True)
    assert "end rollout ro_1 with `detent abort ro_1`, then run one: `detent drill chat`" in (refused.value.hint or "")


def test_the_version_that_a_rollout_left_is_the_way_back_from_then_on(world: Drilled) -> None:
    from records import OLD, rollout

    world.apply(pinned(rollback=None))
    world.later(days=50)
    world.store.state.keep_former(
        rollout(id="ro_done", route="chat", phase=Phase.DONE, ended_at=world.now, stable=replace(OLD, model="m-1"))
    )
    found = rehearsed(world.store, read(pinned(rollback=None)), "chat", world.now)
    assert found is not None
    assert (found.version.model, found.since) == ("m-1", world.now)
    assert blocking(world.store, read(pinned(rollback=None)), "chat", world.now) is None


# ── the loop of a server ────────────────────────────────────────────────────────────────────────────────────────────


def loop(world: Drilled) -> Driller:
    numbers = iter(range(100))
    return Driller(
        world.store,
        lambda: world.now,
        new_id=lambda: f"dr_s{next(numbers)}",
        new_salt=lambda: "s",
        elapsed=lambda: world.now.timestamp(),  # noqa: PLW0108 the clock goes on
    )


def test_a_server_runs_a_due_drill_from_beginning_to_end(world: Drilled) -> None:
    driller = loop(world)
    world.later(days=30)
    world.heard()
    world.probed()
    driller.step()
    flag = world.store.state.flags()["chat"]
    assert flag.drill is not None
    assert flag.drill.share == 0.1
    world.heard()
    world.answers(20)
    for _ in range(9):
        world.later(8)
        world.heard()
        driller.step()
    (report,) = world.store.state.drills()
    assert (report.by, report.verdict) == ("detent", "passed")
    assert world.store.state.flags()["chat"].drill is None
    for _ in range(10):
        world.later(60)
        world.heard()
        driller.step()
    assert len(world.store.state.drills()) == 1


def test_a_server_goes_on_with_a_drill_whose_driller_was_killed(world: Drilled) -> None:
    report = world.begin()
    world.heard()
    world.answers(20)
    driller = loop(world)
    for _ in range(9):
        world.later(8)
        world.heard()
        driller.step()
    assert world.store.state.drill(report.id).verdict == "passed"


def test_a_flag_that_was_written_again_with_a_drill_that_has_ended_is_mended(world: Drilled) -> None:
    world.begin()
    stale = world.store.state.flags()["chat"]
    end_drill(world.store, "chat", by="bob", why="", now=world.now)
    world.store.state.put_flags([stale], at=world.now)
    loop(world).step()
    assert world.store.state.flags()["chat"].drill is None


def test_two_servers_begin_one_drill(world: Drilled) -> None:
    one, two = loop(world), loop(world)
    world.later(days=30)
    world.heard()
    world.probed()
    one.step()
    two.step()
    assert len(world.store.state.drills()) == 1


def test_a_due_drill_waits_for_the_end_of_a_freeze(store: Store) -> None:
    world = Drilled(store)
    world.apply(pinned(plan=DRILL + 'freeze = ["2026-03-28/2026-04-02"]\n'))
    driller = loop(world)
    world.later(days=30)  # 2026-03-31
    world.heard()
    world.probed()
    driller.step()
    assert store.state.drills() == []
    world.later(days=3)
    world.heard()
    world.probed()
    driller.step()
    assert [one.route for one in store.state.drills()] == ["chat"]


def test_a_route_that_cannot_be_looked_at_keeps_no_other_from_being_drilled(world: Drilled, monkeypatch: pytest.MonkeyPatch) -> None:
    other = pinned().split("[routes.chat]")[1]
    world.apply(pinned() + "[routes.early]" + other)
    text = world.store.state.manifest_text()
    assert text is not None
    manifest = read(text.text)
    monkeypatch.setattr(
        server, "manifest_in_force", lambda store: replace(manifest, routes=dict(sorted(manifest.routes.items(), reverse=True)))
    )
    looked = rehearsed
    monkeypatch.setattr(server, "rehearsed", lambda store, m, route, now: looked(store, m, route, now) if route == "chat" else 1 / 0)
    driller = loop(world)
    world.later(days=30)
    world.heard()
    world.probed()
    with pytest.raises(ZeroDivisionError):
        driller.step()
    assert [one.route for one in world.store.state.drills()] == ["chat"]


def test_the_owner_is_paged_for_an_overdue_drill_until_one_passes(world: Drilled) -> None:
    driller = loop(world)
    world.later(days=34)
    world.store.state.forget_gateway("gw")  # nobody to move traffic: it cannot begin
    driller.step()
    (alert,) = world.store.state.alerts()
    assert (alert.kind, alert.about, alert.pages) == ("DrillOverdue", "chat", True)
    world.later(10)
    driller.step()
    assert len(world.store.state.alerts(open_only=False)) == 1
    world.passed()
    assert world.store.state.alerts() == []


def test_a_page_whose_drill_was_ended_by_a_rollback_ends(world: Drilled) -> None:
    world.begin(page=True)
    end_drill(world.store, "chat", by="bob", why="not now", now=world.now)
    assert world.store.state.alerts() == []


def test_a_page_whose_drill_gave_way_to_a_rollout_ends(world: Drilled) -> None:
    world.begin(page=True)
    world.apply(pinned(next=NEXT))
    loop(world).step()
    assert [one for one in world.store.state.alerts() if one.kind == "DrillPage"] == []


def test_harm_acts_in_a_freeze(world: Drilled) -> None:
    """A human's rollback as well: only widening is frozen."""
    world.apply(pinned(next=NEXT, plan='freeze = ["2026-03-01/2026-03-09"]\n'))
    assert act(world.store, "ro_1", "roll_back", by="bob", why="", now=world.now).phase is Phase.ABORTED
    assert world.store.state.flags()["chat"].stable.model == PIN
