"""What the journal forgets: whole days, said in the audit log, none that somebody needs, and nothing of it left behind by a kill."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from controlling import pin_file
from daily import DAY, MODEL, YEAR_1970, YEAR_2262, aged, keeping, names, told
from detent.errors import InvalidInput
from detent.manifest import read
from detent.store import Store, open_store
from detent.store.days import Span, make_days
from detent.store.retention import Retention
from detent.terms import utc
from records import T0_US, at, intent, kept, rollout, thumbs_down

pytest_plugins = ("stores", "daily")


def test_days_that_are_over_are_dropped_whole_and_the_log_says_so(store: Store) -> None:
    for day in range(6):
        told(store, f"d{day}", day * DAY)
        store.journal.put(said=[thumbs_down(f"f{day}", day * DAY, exchange=f"ex_d{day}")])
    retention = keeping(store, 5 * DAY)
    assert retention.step(None) is None
    if not store.journal._db.sqlite:
        for name in names(store) | names(store, "bodies"):
            aged(store, name, timedelta(days=400))
    found = retention.step(2 * DAY)
    assert found is not None
    assert (found.legs, found.feedback, found.waiting) == (3, 3, 0)
    assert [recorded.intent.leg for recorded in store.journal.latest("summarizer")] == ["le_d5", "le_d4", "le_d3"]
    assert store.journal.origins({f"f{n}" for n in range(6)}).keys() == {"f3", "f4", "f5"}
    assert len(list(store.journal.recorded("summarizer", model=MODEL))) <= 3
    said = [row.what for row in store.state.audit()]
    assert any("3 feedback of before 2026-03-04" in what for what in said)
    assert sum(what.count("legs") for what in said) >= 1
    assert store.state.verify_audit().bad is None
    again = retention.step(2 * DAY)
    assert again is not None
    assert (again.legs, again.feedback) == (0, 0)
    assert [row.what for row in store.state.audit()] == said, "nothing dropped, nothing said"


def test_no_day_goes_in_which_an_open_rollout_began(store: Store) -> None:
    for day in range(4):
        told(store, f"d{day}", day * DAY)
    store.state.open_rollout(rollout(opened_at=utc(at(2 * DAY))), by="ann", at=utc(at(2 * DAY)))
    if not store.journal._db.sqlite:
        for name in names(store):
            aged(store, name, timedelta(days=400))
    keeping(store, 300 * DAY).step(1 * DAY)
    assert [recorded.intent.leg for recorded in store.journal.latest("summarizer")] == ["le_d3", "le_d2"]


def test_a_clock_that_jumps_ahead_drops_nothing(by_day: Store) -> None:
    """The database's own stands beside it: the one that is behind is believed."""
    with by_day.journal._db.read() as c:
        now = c.scalar(text("SELECT CAST(extract(epoch FROM now()) * 1000000 AS bigint)"))
    assert now is not None
    told(by_day, "now", (now - T0_US) / 1e6)
    keeping(by_day, YEAR_2262).step(90 * DAY)
    assert by_day.journal.count() == 1


def test_what_a_wrong_clock_wrote_is_kept_as_long_as_all_else(by_day: Store) -> None:
    """Its day was over before it was written."""
    told(by_day, "a", YEAR_1970)
    keeping(by_day, 30 * DAY).step(7 * DAY)
    assert by_day.journal.count() == 1
    for name in ("legs_before2020", "bodies_before2020"):
        aged(by_day, name, timedelta(days=400))
    keeping(by_day, 30 * DAY).step(7 * DAY)
    assert by_day.journal.count() == 0
    told(by_day, "b", YEAR_1970)
    assert by_day.journal.count() == 1, "who knew the day makes it anew"


def test_who_reads_a_day_is_waited_for_and_nobody_waits_behind(by_day: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A baseline streams from a day at leisure, as it is dropped: it reads on to the end, and so does everybody else meanwhile."""
    monkeypatch.setattr("detent.store.retention.PATIENCE", "200ms")
    for n in range(3):
        told(by_day, f"a{n}", n)
    told(by_day, "b", 3 * DAY)
    for name in names(by_day) | names(by_day, "bodies"):
        aged(by_day, name, timedelta(days=400))
    streamed = by_day.journal.asked("summarizer", model=MODEL, after_us=-1, until_us=at(4 * DAY))
    assert next(streamed).leg == "le_a0"
    retention = keeping(by_day, 4 * DAY)
    waits = retention.step(2 * DAY)
    assert waits is not None
    assert waits.waiting > 0
    told(by_day, "c", 3 * DAY + 5)
    assert {recorded.intent.leg for recorded in by_day.journal.latest("summarizer")} == {"le_b", "le_c"}, "others go on, without that day"
    assert [asked.leg for asked in streamed] == ["le_a1", "le_a2", "le_b"], "it reads what was there"
    done = retention.step(2 * DAY)
    assert done is not None
    assert (done.waiting, done.legs) == (0, 3)
    assert by_day.journal.count() == 2


def test_a_day_that_was_dropped_is_made_again_by_who_still_knows_it(by_day: Store) -> None:
    told(by_day, "a", 0)
    for name in names(by_day) | names(by_day, "bodies"):
        aged(by_day, name, timedelta(days=400))
    other = open_store(by_day.journal.place)
    keeping(other, 10 * DAY).step(2 * DAY)
    told(by_day, "b", 5)
    assert [recorded.intent.leg for recorded in other.journal.latest("summarizer")] == ["le_b"]
    other.close()


def test_how_long_is_a_line_of_the_pin_file() -> None:
    file = pin_file(chat=None)
    assert read(file).server.journal is None
    assert read(file + '[server]\njournal = "90d"\n').server.journal == 90 * DAY
    with pytest.raises(InvalidInput, match="journal out of range: `12h`"):
        read(file + '[server]\njournal = "12h"\n')


# ── killed, and beside others ──


def long_ago(store: Store) -> None:
    """All days were made long ago."""
    for table in ("legs", "bodies"):
        for name in names(store, table):
            aged(store, name, timedelta(days=400))


def tables(store: Store) -> set[str]:
    """All tables of the journal's days, those that are no longer part of it as well."""
    with store.journal._db.read() as c:
        return set(c.scalars(text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(legs|bodies)_(20|from|before)'")))


def test_a_day_that_a_kill_left_taken_out_is_dropped_by_the_next_pass(by_day: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    told(by_day, "a", 0)
    long_ago(by_day)

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Retention, "_drop_detached", killed)
        with pytest.raises(KeyboardInterrupt):
            keeping(by_day, 10 * DAY).step(2 * DAY)
    assert tables(by_day) - names(by_day) - names(by_day, "bodies"), "what was taken out is still there"
    found = keeping(by_day, 10 * DAY).step(2 * DAY)
    assert found is not None
    assert tables(by_day) == names(by_day) | names(by_day, "bodies")
    assert not [name for name in tables(by_day) if "20260301" in name]
    said = [row.what for row in by_day.state.audit()]
    assert sum("bodies_20260301" in what for what in said) == sum("legs_20260301" in what for what in said) == 1
    assert by_day.state.verify_audit().bad is None


def test_a_day_that_a_person_took_out_is_left_alone(by_day: Store) -> None:
    told(by_day, "a", 0)
    long_ago(by_day)
    with by_day.journal._db.write() as c:
        c.exec_driver_sql("ALTER TABLE legs DETACH PARTITION legs_20260301")
    keeping(by_day, 10 * DAY).step(2 * DAY)
    assert "legs_20260301" in tables(by_day)


def test_bodies_of_a_leg_whose_day_was_dropped_keep_no_ingester_from_the_rest(by_day: Store) -> None:
    """It still has the leg in mind, whose answer is not known; its day is dropped in between."""
    by_day.journal.put([intent("a")])
    long_ago(by_day)
    other = open_store(by_day.journal.place)
    keeping(other, 10 * DAY).step(2 * DAY)
    other.close()
    by_day.journal.put([intent("b", seconds=9 * DAY)], kept=[kept("a", 5)])
    assert [recorded.intent.leg for recorded in by_day.journal.latest("summarizer")] == ["le_b"]


def test_a_time_of_which_half_is_dropped_has_a_place(by_day: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dropped a journal's past was killed after the bodies: they begin elsewhere than the legs, which are dropped later."""
    with by_day.journal._db.write() as c:
        c.exec_driver_sql("CREATE TABLE legs_before (LIKE legs)")
        c.exec_driver_sql(f"ALTER TABLE legs ATTACH PARTITION legs_before FOR VALUES FROM (MINVALUE) TO ({at(DAY / 2)})")
    tries: list[int] = []

    def make(c: Connection, times: Iterable[int]) -> frozenset[Span]:
        tries.append(1)
        assert len(tries) < 5, "again and again"
        return make_days(c, times)

    monkeypatch.setattr("detent.store.places.make_days", make)
    told(by_day, "a", 0)
    assert by_day.journal.count() == 1


def test_an_ingester_waits_for_no_search_of_what_is_old(tmp_path: Path) -> None:
    """SQLite has one writer: what is old is looked for, in a journal of any size, while nobody has to wait."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    told(store, "old", 0)
    told(store, "new", 5 * DAY)
    store.journal.put(said=[thumbs_down("f", 0, exchange="ex_old")], kept=[kept("nobody", 0)])
    writes: list[str] = []

    @event.listens_for(store.journal._db.engine, "before_cursor_execute")
    def _heard(c: object, cursor: object, statement: str, parameters: object, context: object, many: bool) -> None:
        if c.get_execution_options().get("writes"):  # type: ignore[attr-defined]
            writes.append(statement)

    found = keeping(store, 6 * DAY).step(2 * DAY)
    assert found is not None
    assert (found.legs, found.feedback) == (1, 1)
    assert writes
    assert not [statement for statement in writes if "at_us <" in statement]
    store.close()
