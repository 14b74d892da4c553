"""The journal by day on PostgreSQL: a place for every record, however wrong its clock."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import text

from daily import DAY, YEAR_1970, YEAR_2262, names, told
from detent.ingest import Ingester
from detent.store import Store, open_store
from detent.store.days import DAY_US, FIRST_US, LAST_US, Span, days, make_days, span_of
from detent.store.spool import Spool
from detent.terms import Arm, Kept, Outcome, Role, micros, utc
from records import T0, T0_US, at, begun, intent, kept, result

pytest_plugins = ("stores", "daily")

# ── a place for every record ──


def test_a_new_store_has_room_for_today_and_two_days_more(by_day: Store) -> None:
    store = by_day
    store.journal.count()
    with store.journal._db.read() as c:
        now_us = c.scalar(text("SELECT CAST(extract(epoch FROM now()) * 1000000 AS bigint)"))
        assert now_us is not None
        assert {span_of(now_us + ahead * DAY_US) for ahead in range(3)} <= days(c)


def test_records_stand_in_the_day_that_they_tell_of(by_day: Store) -> None:
    store = by_day
    for name, seconds in (("noon", 0.0), ("next", DAY), ("early", YEAR_1970), ("late", YEAR_2262)):
        told(store, name, seconds)
        (found,) = store.journal.exchange(f"ex_{name}")
        assert found.intent.at_us == at(seconds)
        assert (found.result and found.result.answer_body) == b'{"text":"x"}'
    assert {"legs_20260301", "legs_20260302", "legs_before2020", "legs_from2100"} <= names(store)
    with store.journal._db.read() as c:
        where = {row.leg: row.day for row in c.execute(text("SELECT leg, tableoid::regclass::text AS day FROM bodies"))}
    assert where == {
        "le_noon": "bodies_20260301",
        "le_next": "bodies_20260302",
        "le_early": "bodies_before2020",
        "le_late": "bodies_from2100",
    }


def test_clocks_that_wander_make_no_table_each(by_day: Store) -> None:
    for n in range(20):
        told(by_day, f"a{n}", YEAR_1970 + 400 * DAY * n)
        told(by_day, f"b{n}", YEAR_2262 + 400 * DAY * n)
    assert {name for name in names(by_day) if not name.startswith("legs_202")} == {"legs_before2020", "legs_from2100"}
    assert by_day.journal.count() == 40


def test_spans_are_utc_days_and_two_for_all_others() -> None:
    assert span_of(T0_US) == Span(micros(datetime(2026, 3, 1, tzinfo=T0.tzinfo)), micros(datetime(2026, 3, 2, tzinfo=T0.tzinfo)))
    for at_us, span in ((-(2**63), Span(None, FIRST_US)), (FIRST_US - 1, Span(None, FIRST_US)), (2**63 - 1, Span(LAST_US, None))):
        assert span_of(at_us) == span
        assert at_us in span
    assert tuple(micros(datetime(year, 1, 1, tzinfo=T0.tzinfo)) for year in (2020, 2100)) == (FIRST_US, LAST_US)


def test_a_result_of_a_later_day_finds_its_leg(by_day: Store) -> None:
    """In the memory of who stored the leg, and by another process that has none."""
    told(by_day, "a", 0.0, ends=3 * DAY)
    by_day.journal.put([intent("b"), intent("c", seconds=5)], begun=[begun("c", 0.5, 5)])
    other = open_store(by_day.journal.place)
    other.journal.put(begun=[begun("b", 0.5)])
    other.journal.put(results=[result("b", 2 * DAY, answer_body=b"late"), result("c", DAY, Outcome.LOST), result("nobody", DAY)])
    found = {name: by_day.journal.exchange(f"ex_{name}")[0].result for name in "abc"}
    assert [(r.at_us, r.outcome) for r in found.values() if r] == [
        (at(3 * DAY), Outcome.COMPLETE),
        (at(2 * DAY), Outcome.COMPLETE),
        (at(DAY), Outcome.LOST),
    ]
    assert found["b"] is not None
    assert found["b"].answer_body == b"late"
    assert by_day.journal.count() == other.journal.count() == 3
    other.close()


def test_putting_again_across_days_changes_nothing(by_day: Store) -> None:
    sent = [intent("a", seconds=DAY - 3600 * 12 - 1), intent("b", seconds=DAY)]
    ends = [result("a", DAY, answer_body=b"1"), result("b", DAY + 1, answer_body=b"2")]
    for _ in range(3):
        by_day.journal.put(sent, ends, kept=[kept("a", DAY)])
        open_store(by_day.journal.place).journal.put(sent, [replace(end, answer_body=b"other") for end in ends])
    assert by_day.journal.count() == 2
    with by_day.journal._db.read() as c:
        assert sorted(c.execute(text("SELECT leg, answer FROM bodies")).all()) == [("le_a", b"{}"), ("le_b", b"2")]


def test_a_pair_over_midnight_is_a_pair(by_day: Store) -> None:
    before = DAY / 2 - 0.5  # T0 is noon
    live = intent("m", seconds=before)
    copy = replace(intent("x", seconds=before + 1, arm=Arm.CANDIDATE, role=Role.MIRRORED, why="shadow"), exchange="ex_m")
    by_day.journal.put(kept=[Kept(leg="le_m", at_us=at(before + 2), request_body=b"{}", answer_body=b'{"text":"old"}')])
    by_day.journal.put([copy], [result("x", before + 2, request_body=b"{}", answer_body=b'{"text":"new"}')])
    by_day.journal.put([live], [result("m", before + 0.2)])
    (pair,) = by_day.journal.ungraded_pairs("ro_1", limit=5)
    assert (pair.exchange, pair.stable.answer and pair.stable.answer.text) == ("ex_m", "old")
    by_day.journal.mark_graded("ro_1", ["ex_m"])
    assert by_day.journal.ungraded_pairs("ro_1", limit=5) == []
    with by_day.journal._db.read() as c:
        assert c.scalar(text("SELECT count(*) FROM bodies_early")) == 0


def test_bodies_and_their_leg_that_are_stored_at_once_by_two_find_each_other(by_day: Store) -> None:
    """Each looks for the other before either is committed."""
    url, names = by_day.journal.place, [f"r{n}" for n in range(30)]
    barrier = threading.Barrier(2)

    def legs() -> None:
        store = open_store(url)
        for name in names:
            barrier.wait()
            store.journal.put([intent(name)])

    def their_bodies() -> None:
        store = open_store(url)
        for name in names:
            barrier.wait()
            store.journal.put(kept=[kept(name)])

    threads = [threading.Thread(target=work) for work in (legs, their_bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with by_day.journal._db.read() as c:
        assert c.scalar(text("SELECT count(*) FROM bodies_early")) == 0
        assert c.scalar(text("SELECT count(*) FROM bodies")) == 30


def test_two_ingesters_that_need_the_same_day_make_it_once(by_day: Store, tmp_path: Path) -> None:
    """Eight threads with stores of their own; every one has records of the same ten days that nobody made room for yet."""
    failed: list[BaseException] = []
    barrier = threading.Barrier(8)

    def ingests(number: int) -> None:
        try:
            store = open_store(by_day.journal.place)
            barrier.wait()
            for day in range(10):
                store.journal.put([intent(f"{number}.{day}", seconds=-day * DAY)])
            store.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ingests, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert by_day.journal.count() == 80
    assert len([name for name in names(by_day) if "20260" in name]) == 10


def test_a_day_is_made_while_somebody_reads_and_another_writes(by_day: Store) -> None:
    told(by_day, "a", 0)
    database = by_day.journal._db
    with database.read(at_leisure=True) as reading, database.write() as writing:
        assert reading.scalar(text("SELECT count(*) FROM legs")) == 1
        writing.execute(text("UPDATE legs SET graded = true"))
        with database.write() as c:
            c.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            make_days(c, [at(-DAY)])
    assert "legs_20260228" in names(by_day)


def test_what_was_ingested_is_the_same_by_day_as_in_one_table(store: Store, tmp_path: Path) -> None:
    """Legs that end in a later day, that are lost, and one whose clock was set back in between."""
    spool = Spool(tmp_path / "spool", "gw")
    entries = [intent("a"), intent("b", seconds=2), intent("c", seconds=DAY), intent("back", seconds=-400 * DAY)]
    ends = [result("a", DAY + 9), result("back", 3 * DAY), result("c", -DAY)]
    for sent in entries:
        spool.write(sent)
    for end in ends:
        spool.write(end)
    spool.close()
    Ingester(store, tmp_path / "spool", lambda: utc(at(5 * DAY))).run_once()
    found = {name: store.journal.exchange(f"ex_{name}")[0].result for name in ("a", "b", "c", "back")}
    assert {name: end and end.outcome for name, end in found.items()} == {
        "a": Outcome.COMPLETE,
        "b": Outcome.LOST,
        "c": Outcome.COMPLETE,
        "back": Outcome.COMPLETE,
    }
