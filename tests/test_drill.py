"""A drill: traffic moves to the way back and returns, whoever lives to see it; what harms ends it at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from controlling import NEXT
from detent.cli import main, place
from detent.controller import act, open_aa
from detent.drill import Answers, Seen, ending, harm, kind_of, noted, returns, step_of, with_step
from detent.driller import begin, end_drill, press, told
from detent.errors import Conflict, CouldNotRun, Exit, InvalidInput, Refused
from detent.explain.drills import lines
from detent.store import Store
from detent.store.schema import alerts
from detent.terms import DrillReport, DrillShare, Outcome, Phase, Rollout, Version
from drilling import BACK, Drilled, drilled, pinned
from records import T0, rollout

pytest_plugins = ("stores",)


@pytest.fixture
def world(store: Store) -> Iterator[Drilled]:
    with drilled(store) as found:
        yield found


def under_way(**more: object) -> DrillReport:
    report = DrillReport(
        id="dr_1",
        route="chat",
        version=BACK,
        share=0.1,
        by="ada",
        began_at=T0,
        lasts_s=60.0,
        ends_at=T0 + timedelta(seconds=60),
        revision=7,
    )
    report = with_step(with_step(report, "decided", T0), "written", T0)
    return replace(report, **more)  # type: ignore[arg-type]


# ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Answers(served=17, failed=3, early=3), "3 of its first 20 answers failed"),
        (Answers(served=900, failed=6, early=0, late=6), "6 of its latest 20 answers failed"),
        (Answers(served=40, over_quota=1), "the quota is used up, after 40 answers at 10 %"),
        (Answers(served=200, failed=60, usual_served=2500, usual_failed=5), "60 of its 260 answers failed, against 5 of 2505"),
    ],
)
def test_what_harms_ends_a_drill_and_says_why(found: Answers, says: str) -> None:
    assert says in (harm(under_way(), found) or "")


@pytest.mark.parametrize(
    "found",
    [
        Answers(),
        Answers(served=18, failed=2, early=2, usual_served=180),
        Answers(served=995, failed=5, usual_served=8955, usual_failed=45),  # as often as on the pinned version
        Answers(served=50, latency_s=30.0, usual_latency_s=1.0),  # told, and not judged
    ],
)
def test_what_is_no_harm_leaves_it_be(found: Answers) -> None:
    assert harm(under_way(), found) is None


def test_a_share_of_everything_has_nothing_to_be_held_against() -> None:
    assert harm(under_way(share=1.0), Answers(served=100, failed=10, usual_served=3)) is None


def test_a_version_that_is_no_worse_seldom_ends_a_drill() -> None:
    """Both fail once in 200 answers; looked at after every answer for 2,000 of them. The binomials in the docstrings of drill.py."""
    import random

    draw = random.Random(7)
    ended = 0
    for _ in range(200):
        failures: list[bool] = []
        usual = [0, 0]
        for _ in range(400):
            usual[0] += 9
            usual[1] += sum(draw.random() < 0.005 for _ in range(9))
            failures.append(draw.random() < 0.005)
            found = Answers(
                served=failures.count(False),
                failed=sum(failures),
                early=sum(failures[:20]),
                late=sum(failures[-20:]),
                usual_served=usual[0] - usual[1],
                usual_failed=usual[1],
            )
            if failures[-1] and harm(under_way(), found):
                ended += 1
                break
    assert ended <= 4


@pytest.mark.parametrize(
    ("outcome", "status", "kind"),
    [
        (Outcome.COMPLETE, 200, "served"),
        (Outcome.HTTP_ERROR, 429, "over_quota"),
        (Outcome.HTTP_ERROR, 529, "over_quota"),
        (Outcome.HTTP_ERROR, 500, "failed"),
        (Outcome.HTTP_ERROR, 404, "failed"),  # the provider has shut it down
        (Outcome.HTTP_ERROR, 400, None),  # the request's own fault
        (Outcome.CLIENT_ABORTED, 200, None),
        (Outcome.LOST, None, None),
        (Outcome.CONNECT_FAILED, None, "failed"),
    ],
)
def test_what_an_answer_says_of_the_way_back(outcome: Outcome, status: int | None, kind: str | None) -> None:
    assert kind_of(outcome, status) == kind


def test_its_time_is_over_when_its_time_is_over() -> None:
    report = under_way()
    assert returns(report, Seen(), T0 + timedelta(seconds=59)) is None
    assert returns(report, Seen(), T0 + timedelta(seconds=60)) == ""


def test_the_end_waits_for_acknowledgements_and_names_who_gives_none() -> None:
    report = with_step(replace(under_way(), returned=9), "return_written", T0 + timedelta(seconds=60))
    seen = Seen(live=("one", "two"), moved={"one": T0, "two": T0}, back={"one": T0}, answers=Answers(served=5))
    assert ending(report, seen, T0 + timedelta(seconds=62)) is None
    assert ending(report, seen, T0 + timedelta(seconds=66)) == ("failed", "gateway two did not serve the return within 5s")


def test_no_traffic_is_no_pass() -> None:
    report = with_step(replace(under_way(), returned=9), "return_written", T0 + timedelta(seconds=60))
    assert ending(report, Seen(), T0 + timedelta(seconds=62)) is None  # records may be on their way
    assert ending(report, Seen(), T0 + timedelta(seconds=66)) == ("inconclusive", "no traffic: no answer of the way back was recorded")


def test_a_gateway_that_does_not_serve_it_fails_it_without_traffic_too() -> None:
    report = with_step(replace(under_way(), returned=9, silent=("one",)), "return_written", T0 + timedelta(seconds=60))
    assert (ending(report, Seen(), T0 + timedelta(seconds=66)) or ("",))[0] == "failed"


def test_steps_are_timed_once_and_stand_in_their_order() -> None:
    seen = Seen(
        live=("one",), moved={"one": T0 + timedelta(seconds=1)}, answers=Answers(served=1, first_served_at=T0 + timedelta(seconds=2))
    )
    later = replace(seen, moved={"one": T0 + timedelta(seconds=9)})
    report = noted(noted(under_way(), seen), later)
    assert [(step.name, step.after_s) for step in report.steps] == [
        ("decided", 0.0),
        ("written", 0.0),
        ("first_ack", 1.0),
        ("last_ack", 1.0),
        ("first_answer", 2.0),
    ]


# ── a drill, with a clock that is an argument ───────────────────────────────────────────────────────────────────────


def test_traffic_moves_and_returns_and_each_step_is_timed(world: Drilled) -> None:
    report = world.begin(lasts_s=60.0)
    flag = world.store.state.flags()["chat"]
    assert flag.drill is not None
    assert (flag.drill.version, flag.drill.share, flag.drill.lasts_s) == (BACK, 0.1, 60.0)
    assert flag.candidate is None
    world.later(0.1)
    world.heard()
    world.answers(25)
    world.answers(200, back=False)
    world.later(1)
    world.drive(report.id)
    world.later(60)
    world.heard()
    returning = world.drive(report.id)
    assert world.store.state.flags()["chat"].drill is None
    assert returning.verdict is None  # acknowledgements are waited for
    world.later(0.1)
    world.heard()
    world.later(1)
    ended = world.drive(report.id)
    assert (ended.verdict, ended.served, ended.failed, ended.usual_served) == ("passed", 25, 0, 200)
    assert [step.name for step in ended.steps] == [
        "decided",
        "written",
        "first_ack",
        "last_ack",
        "first_answer",
        "return_written",
        "return_first_ack",
        "return_last_ack",
    ]
    assert step_of(ended, "first_ack").after_s == pytest.approx(0.1)  # type: ignore[union-attr]
    said = lines(ended)
    assert said[0] == "drill dr_1 of chat passed 2026-03-01 12:01 UTC: 10 % to openai/atlas-2025-12-01, 25 good answers of 25"
    assert any("the last gateway served it  (gateway gw)" in line for line in said)
    assert [alert.kind for alert in world.store.state.alerts(open_only=False)] == ["DrillReport"]
    assert [row.what.split(":")[0] for row in world.store.state.audit(3)] == [
        "drill dr_1 of chat passed",
        "drill dr_1 of chat",
        "drill dr_1 of chat",
    ]


def test_failures_of_the_way_back_return_the_traffic_at_once_and_fail_it(world: Drilled) -> None:
    report = world.begin()
    world.heard()
    world.answers(5)
    world.answers(3, Outcome.HTTP_ERROR, status=500)
    world.later(1)
    returned = world.drive(report.id)
    assert returned.returned > report.revision
    assert world.store.state.flags()["chat"].drill is None
    world.heard()
    world.later(2)
    ended = world.drive(report.id)
    assert (ended.verdict, ended.why, ended.failed) == ("failed", "3 of its first 20 answers failed", 3)
    told_of = world.store.state.alerts()
    assert [(alert.kind, alert.about, alert.pages) for alert in told_of] == [("DrillFailed", "chat", True)]
    world.passed()
    assert world.store.state.alerts() == []  # the next one that passes ends it


def test_one_answer_that_the_quota_is_used_up_is_enough(world: Drilled) -> None:
    report = world.begin()
    world.heard()
    world.answers(50)
    world.answers(1, Outcome.HTTP_ERROR, status=429)
    world.later(1)
    after = world.drive(report.id)
    assert step_of(after, "quota_hit") is not None
    assert world.store.state.flags()["chat"].drill is None
    assert "quota is used up" in after.why


def test_a_gateway_that_hears_of_the_return_alone_has_not_served_the_drill(world: Drilled) -> None:
    report = world.begin(lasts_s=10.0)
    world.heard("gw")
    world.answers(30)
    world.later(11)
    world.heard("gw")
    world.drive(report.id)
    world.later(0.1)
    world.heard("gw", "late")
    world.later(2)
    assert world.drive(report.id).gateways == 1


def test_a_gateway_that_does_not_serve_it_fails_the_drill_by_name(world: Drilled) -> None:
    world.heard("one", "two")
    report = world.begin(lasts_s=10.0)
    world.heard("one")
    world.answers(30)
    world.later(8)
    world.store.state.acknowledge("two", report.revision - 1, world.now, pid=1, address="127.0.0.1:2")
    world.later(3)
    world.drive(report.id)
    world.heard("one", "two")
    world.later(2)
    ended = world.drive(report.id)
    assert (ended.verdict, ended.silent) == ("failed", ("two",))
    assert ended.why == "gateway two did not serve it within 5s"


def test_a_way_back_that_hangs_returns_the_traffic_and_fails_it(world: Drilled) -> None:
    report = world.begin(lasts_s=60.0)
    world.heard()
    world.open(3)
    world.later(9)
    world.heard()
    world.answers(5, back=False)
    assert not world.drive(report.id).returned
    world.later(3)
    world.heard()
    world.answers(5, back=False)
    assert world.drive(report.id).why == "3 of its first 20 answers failed, 3 of all hung"
    world.heard()
    world.later(2)
    world.heard()
    assert world.drive(report.id).verdict == "failed"


def test_a_drill_of_seconds_over_a_way_back_that_hangs_has_failed(world: Drilled) -> None:
    """Its time is over before a request can have hung for ten seconds: they are waited for, and nobody else asks meanwhile."""
    report = world.begin(lasts_s=5.0)
    world.heard()
    world.open(2)
    world.later(6)
    world.heard()
    returned = world.drive(report.id)
    assert returned.returned
    assert returned.why == ""
    world.later(20)
    world.heard()
    assert world.drive(report.id).ended_at is None, "nobody can say yet whether they hang"
    world.later(25)
    world.heard()
    ended = world.drive(report.id)
    assert (ended.verdict, ended.why) == ("failed", "none of its 2 answers was good, 2 of all hung")


def test_a_drill_of_seconds_whose_answers_come_late_has_passed(world: Drilled) -> None:
    report = world.begin(lasts_s=5.0)
    world.heard()
    world.open(1)
    world.later(6)
    world.heard()
    assert world.drive(report.id).returned
    world.later(4)
    world.heard()
    world.answers(2)
    world.later(1)
    world.heard()
    ended = world.drive(report.id)
    assert (ended.verdict, ended.why) == ("passed", "2 good answers of 3")


def test_requests_that_nobody_ever_hears_of_are_waited_for_a_minute_and_no_longer() -> None:
    """As where the journal stands still: then nothing is known of the way back."""
    report = with_step(replace(under_way(), returned=9), "return_written", T0 + timedelta(seconds=60))
    waiting = Seen(answers=Answers(waiting=3))
    assert ending(report, waiting, T0 + timedelta(seconds=119)) is None
    assert (ending(report, waiting, T0 + timedelta(seconds=121)) or ("",))[0] == "inconclusive"


def test_no_drill_begins_over_a_way_back_whose_last_probe_failed(world: Drilled) -> None:
    world.probed(ok=False, detail="HTTP 404")
    with pytest.raises(Refused, match="failed: HTTP 404"):
        world.begin()
    world.later(60)
    world.heard()
    world.probed()
    assert world.begin().revision


def test_probes_that_break_the_way_back_return_its_traffic(world: Drilled) -> None:
    report = world.begin()
    world.heard()
    for _ in range(2):
        world.later(5)
        world.probed(ok=False, detail="HTTP 500")
    world.later(5)
    world.heard()
    assert not world.drive(report.id).returned
    world.probed(ok=False, detail="HTTP 500")
    assert world.drive(report.id).returned
    assert world.store.state.flags()["chat"].drill is None
    world.heard()
    world.later(6)
    world.heard()
    ended = world.drive(report.id)
    assert ended.verdict == "failed"
    assert ended.why.startswith("the way back is broken: its last 3 probes failed")


def test_whoever_comes_by_ends_a_drill_whose_driller_and_servers_were_killed(world: Drilled) -> None:
    report = world.begin(lasts_s=60.0)
    world.heard()
    world.answers(30)
    world.later(days=1)
    (line,) = told(world.store, world.now)
    assert line == "drill dr_1 of chat passed 2026-03-02 12:00 UTC: 10 % to openai/atlas-2025-12-01, 30 good answers of 30"
    assert world.store.state.flags()["chat"].drill is None
    assert world.store.state.drill(report.id).returned


def test_two_who_drive_the_same_drill_do_no_harm(world: Drilled) -> None:
    report = world.begin()
    world.heard()
    world.answers(10)
    world.later(61)
    state = world.store.state
    first = state.return_drill(state.drill(report.id), state.drill(report.id), at=world.now)
    with pytest.raises(Conflict):
        state.return_drill(report, report, at=world.now)
    assert state.drill(report.id) == first


def test_a_clock_that_is_set_back_keeps_no_traffic_away(world: Drilled) -> None:
    report = world.begin(lasts_s=60.0)
    world.later(days=-1)
    world.drive(report.id, over=True)  # by the driller's own count of seconds
    assert world.store.state.flags()["chat"].drill is None


def test_a_driller_that_is_interrupted_returns_the_traffic_at_once(
    world: Drilled, store_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(seconds: float) -> None:
        assert world.store.state.flags()["chat"].drill is not None
        raise KeyboardInterrupt

    world.now = place.now()
    world.heard()
    monkeypatch.setattr("detent.cli.drill.time.sleep", interrupted)
    assert main(["drill", "chat", "--store", store_url, "--by", "ada"]) == Exit.INCONCLUSIVE
    assert world.store.state.flags()["chat"].drill is None
    assert "aborted" in capsys.readouterr().out
    assert main(["drill", "--show", "chat", "--store", store_url]) == Exit.PASS
    assert "10 % to openai/atlas-2025-12-01, interrupted" in capsys.readouterr().out


# ── what it gives way to, and what refuses it ───────────────────────────────────────────────────────────────────────


def test_a_rollback_ends_a_drill(world: Drilled) -> None:
    report = world.begin()
    ended = end_drill(world.store, "chat", by="bob", why="something burns", now=world.now)
    assert ended is not None
    assert (ended.id, ended.verdict, ended.why) == (report.id, "aborted", "something burns")
    assert world.store.state.flags()["chat"].drill is None
    assert end_drill(world.store, "chat", by="bob", why="again", now=world.now) is None


def test_a_rollback_ends_a_page_that_waits(
    world: Drilled, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = world.begin(page=True)
    (tmp_path / "detent.toml").write_text(pinned())
    monkeypatch.setattr(place, "now", lambda: world.now)
    assert main(["rollback", "chat", "--no-wait", "--store", store_url, "--file", str(tmp_path / "detent.toml")]) == Exit.PASS
    assert f"drill {report.id} of chat ended" in capsys.readouterr().out
    assert world.store.state.drills(under_way=True) == []
    assert [one for one in world.store.state.alerts() if one.kind == "DrillPage"] == []
    with pytest.raises(Refused, match="has ended"):
        press(world.store, "chat", report.id, by="bob", now=world.now, salt="s")


def test_a_rollback_that_does_not_reach_the_store_names_the_way_without_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = f"postgresql://nobody@/nothing?host={tmp_path}"
    assert main(["rollback", "chat", "--no-wait", "--store", nowhere, "--by", "ada"]) == Exit.COULD_NOT_RUN
    assert "on a gateway's host: detent rollback chat --local" in capsys.readouterr().err


def test_a_rollout_that_opens_ends_a_drill_in_the_same_write(world: Drilled) -> None:
    report = world.begin()
    world.apply(pinned(next=NEXT))
    flag = world.store.state.flags()["chat"]
    assert (flag.drill, world.store.state.drill(report.id).verdict) == (None, "aborted")


def test_a_trial_that_opens_ends_a_drill_too(world: Drilled) -> None:
    report = world.begin()
    open_aa(world.store, "chat", by="ada", why="", now=world.now, rollout_id="ro_aa", salt="s")
    flag = world.store.state.flags()["chat"]
    assert (flag.rollout, flag.drill) == ("ro_aa", None)
    assert world.store.state.drill(report.id).verdict == "aborted"


def test_a_pin_file_that_changes_the_route_ends_its_drill_and_another_does_not(world: Drilled) -> None:
    report = world.begin()
    world.apply(pinned() + "\n# a word more\n")
    assert world.store.state.drill(report.id).verdict is None
    world.apply(pinned(rollback="atlas-2025-11-01"))
    assert world.store.state.drill(report.id).verdict == "aborted"
    assert world.store.state.flags()["chat"].drill is None


def test_no_drill_begins_beside_an_open_rollout(world: Drilled) -> None:
    world.apply(pinned(next=NEXT))
    with pytest.raises(Refused, match="open rollout"):
        world.begin()


def test_a_drill_and_a_rollout_that_begin_at_one_moment_never_stand_side_by_side(world: Drilled) -> None:
    """The check before is one thing, the write another: whoever writes second sees the first, on either database."""
    state, stable = world.store.state, world.store.state.flags()["chat"].stable
    for n in range(6):
        share = DrillShare(drill=f"dr_{n}", version=BACK, share=0.1, salt="s", lasts_s=60.0)
        report = replace(under_way(revision=0), id=f"dr_{n}", steps=())
        opening = rollout(id=f"ro_{n}", route="chat", stable=stable, candidate=Version("openai", NEXT), phase=Phase.PROPOSED)
        began = threading.Barrier(2)

        def drill(report: DrillReport = report, share: DrillShare = share, began: threading.Barrier = began) -> None:
            began.wait()
            with suppress(Refused):
                state.begin_drill(report, share, by="ada", at=world.now)

        def open_(opening: Rollout = opening, began: threading.Barrier = began) -> None:
            began.wait()
            state.open_rollout(opening, by="ada", at=world.now)

        threads = [threading.Thread(target=drill), threading.Thread(target=open_)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state.rollout(f"ro_{n}").phase is Phase.PROPOSED
        assert (state.flags()["chat"].drill, state.drills(under_way=True)) == (None, [])
        with pytest.raises(Refused, match="has an open rollout"):
            state.begin_drill(replace(report, id=f"again_{n}"), share, by="ada", at=world.now)
        act(world.store, f"ro_{n}", "abort", by="ada", why="", now=world.now)


def test_no_drill_begins_beside_another(world: Drilled) -> None:
    world.begin()
    with pytest.raises(Refused, match="a drill is under way"):
        world.begin()


def test_no_drill_begins_without_a_way_back_or_in_a_freeze_or_without_a_gateway(world: Drilled) -> None:
    world.apply(pinned(rollback=None))
    with pytest.raises(Refused, match="has no way back to drill"):
        world.begin()
    world.apply(pinned(plan='freeze = ["2026-03-01/2026-03-02"]\n'))
    with pytest.raises(Refused, match="is frozen until the end of 2026-03-02"):
        world.begin()
    world.apply(pinned())
    world.store.state.forget_gateway("gw")
    with pytest.raises(CouldNotRun, match="no live gateway"):
        world.begin()
    with pytest.raises(InvalidInput, match="no such route in force: `chart`"):
        begin(world.store, "chart", by="ada", why="", now=world.now, drill_id="dr", salt="s")
    assert world.store.state.drills() == []


# ── paged ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_waits_for_somebody_to_press_and_times_each_apart(world: Drilled) -> None:
    report = world.begin(page=True)
    assert world.store.state.flags()["chat"].drill is None
    (page,) = world.store.state.alerts()
    assert (page.kind, page.pages, page.owner) == ("DrillPage", True, "chat@example.com")
    assert f"detent drill chat --press {report.id}" in page.hint
    world.later(40)
    world.store.state.acknowledge_alert(page.id, "bob", world.now)
    world.later(25)
    world.heard()
    world.drive(report.id)
    press(world.store, "chat", report.id, by="bob", now=world.now, salt="s")
    assert world.store.state.flags()["chat"].drill is not None
    world.heard()
    world.answers(30)
    world.later(61)
    world.heard()
    world.drive(report.id)
    world.heard()
    world.later(2)
    ended = world.drive(report.id)
    assert ended.verdict == "passed"
    assert [(s.name, round(s.after_s)) for s in ended.steps][:5] == [
        ("alert", 0),
        ("acknowledged", 40),
        ("pressed", 65),
        ("decided", 65),
        ("written", 65),
    ]
    assert world.store.state.alerts() == []


def test_a_page_that_nobody_presses_for_is_a_failed_drill(world: Drilled) -> None:
    report = world.begin(page=True)
    world.later(901)
    ended = world.drive(report.id)
    assert (ended.verdict, ended.why) == ("failed", "nobody pressed within 15m; nobody acknowledged the page")
    with pytest.raises(Refused, match="has ended"):
        press(world.store, "chat", report.id, by="bob", now=world.now, salt="s")


def test_a_page_whose_pager_was_killed_before_it_was_there_is_raised_by_the_next_who_looks(world: Drilled) -> None:
    report = world.begin(page=True)
    (page,) = world.store.state.alerts()
    with world.store.state._db.write() as c:
        c.execute(delete(alerts))
    world.later(1)
    world.drive(report.id)
    assert [(one.id, one.hint) for one in world.store.state.alerts()] == [(page.id, page.hint)]


def test_a_page_is_for_its_own_route(world: Drilled) -> None:
    report = world.begin(page=True)
    with pytest.raises(InvalidInput, match="of another route: `chat`"):
        press(world.store, "other", report.id, by="bob", now=world.now, salt="s")


def test_the_former_version_is_the_way_back_where_the_file_names_none(world: Drilled) -> None:
    world.apply(pinned(rollback=None))
    old = rollout(id="ro_done", route="chat", stable=Version("openai", "atlas-2025-06-01"), phase=Phase.DONE, ended_at=world.now)
    world.store.state.keep_former(old)
    assert world.begin().version == Version("openai", "atlas-2025-06-01")
