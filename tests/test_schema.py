"""A store of each released schema goes on where it stood: it becomes what a fresh one is, whole after any kill, nothing lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from detent.errors import CouldNotRun
from detent.ingest import Ingester
from detent.recompute import replay
from detent.store import Store, open_store
from detent.store.migrations import STEPS, m0007
from detent.store.schema import SCHEMA_VERSION
from detent.store.spool import Spool
from detent.terms import Intent, Outcome, Phase, Verb, utc
from older import RELEASED, SHADOWS_SINCE, Older, killed_at_every_step, load_postgres, shape_of
from records import T0, intent, kept, result, thumbs_down
from stores import Postgres

pytest_plugins = ("stores", "older")

HOUR = 3600.0
REASONS = {"Opened", "BaselinePassed", "ShadowPassed", "StepServed"}
NOT_MADE_AGAIN = {1: REASONS, 2: REASONS, 3: {"ShadowPassed"}}
"""Before version 3 the rollout was not stored with a decision; a shadow of version 3 knew nothing of coverage, which later rules read."""


def sent(name: str, seconds: float) -> Intent:
    return intent(name, f"u{name}", HOUR + seconds, route="chat", requested="chat")


def is_whole(store: Store, version: int) -> None:
    """All that the older Detent wrote is read."""
    chat = store.state.rollout("ro_1")
    assert (chat.phase, chat.route, store.state.flags()["chat"].rollout) == (Phase.CANARY, "chat", "ro_1")
    decided = store.state.decided("ro_1")
    assert [one.decision.verb for one in decided] == [Verb.ADVANCE] * 4
    again = {one.decision.reason for one, found in zip(decided, replay(decided), strict=True) if found.same}
    assert again == REASONS - NOT_MADE_AGAIN.get(version, set())
    assert store.state.verify_audit().bad is None
    assert store.journal.count() == (5 if version >= SHADOWS_SINCE else 3)
    ((first,), (second,), (third,)) = (store.journal.exchange(f"ex_{name}") for name in "abc")
    assert (first.intent.at_us, first.result and first.result.answer_body) == (sent("a", 1).at_us, b'{"text":"hi"}')
    assert second.result is not None
    assert (second.result.outcome, third.result) == (Outcome.TIMED_OUT, None)
    pairs = [(pair.exchange, pair.stable.answer and pair.stable.answer.text) for pair in store.journal.ungraded_pairs("ro_1", limit=9)]
    assert pairs == ([("ex_m", "stable")] if version >= SHADOWS_SINCE else [])


@pytest.mark.parametrize("version", RELEASED)
def test_a_store_of_each_released_schema_becomes_what_a_fresh_one_is(version: int, older: Older) -> None:
    url = older.load(version)
    store = open_store(url)
    is_whole(store, version)
    store.close()
    assert sorted(shape_of(url)) == sorted(shape_of(older.fresh()))


@pytest.mark.parametrize("version", RELEASED)
def test_a_migrated_store_goes_on(version: int, older: Older, tmp_path: Path) -> None:
    """Results of legs that an older Detent stored, bodies that came before their leg, units that it saw first."""
    store = open_store(older.load(version))
    spool = Spool(tmp_path / "spool", "gw2")
    later = (result("c", HOUR + 9, answer_body=b'{"text":"late"}'), sent("early", 20), result("early", HOUR + 21), sent("new", 30))
    for entry in (*later, result("new", HOUR + 31), kept("new", HOUR + 32), thumbs_down("g", HOUR + 40, session="uc")):
        spool.write(entry)
    now = [T0 + timedelta(hours=2)]
    done = Ingester(store, tmp_path / "spool", lambda: now[0]).run_once()
    assert (done.entries, done.orphans, done.unmatched) == (7, 0, 0)
    (third,), (early,), (new,) = (store.journal.exchange(f"ex_{name}") for name in ("c", "early", "new"))
    assert third.result is not None
    assert third.result.answer_body == b'{"text":"late"}'
    assert (early.result and early.result.answer_body) == (b'{"text":"early"}' if version >= SHADOWS_SINCE else None)
    assert (new.result and new.result.answer_body) == b"{}"
    assert store.state.verify_audit().bad is None
    store.close()


@pytest.mark.parametrize("version", [min(RELEASED), max(RELEASED)])
def test_a_migration_killed_at_every_step_is_gone_on_with(version: int, older: Older, monkeypatch: pytest.MonkeyPatch) -> None:
    url = older.load(version)
    assert killed_at_every_step(url, monkeypatch) >= 4
    store = open_store(url)
    is_whole(store, version)
    store.close()


def test_an_index_that_a_kill_left_half_made_is_made_anew(postgres: Postgres) -> None:
    url = load_postgres(5, postgres)
    store = open_store(url)
    with store.state._db.write() as c:
        c.execute(text("CREATE UNIQUE INDEX legs_by_time ON legs (leg, at_us)"))
        c.execute(text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'legs_by_time'::regclass"))
    is_whole(store, 5)
    store.close()


def test_a_leg_that_comes_after_its_bodies_in_mid_migration_has_them(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ingester of before stores the leg just before tables change places; its bodies were set aside a moment ago."""
    url, real = load_postgres(5, postgres), m0007._change_places

    def late(c: Connection, until_us: int) -> None:
        c.execute(text("CREATE TEMPORARY TABLE one ON COMMIT DROP AS SELECT * FROM legs WHERE leg = 'le_m'"))
        c.execute(text("UPDATE one SET leg = 'le_early', exchange = 'ex_early'"))
        c.execute(text("INSERT INTO legs TABLE one"))
        real(c, until_us)

    monkeypatch.setattr(m0007, "_change_places", late)
    store = open_store(url)
    ((found),) = store.journal.exchange("ex_early")
    assert found.result is not None
    assert found.result.answer_body == b'{"text":"early"}'
    store.close()


def test_nobody_waits_while_the_journal_is_read(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tables change places everybody waits: what there is to be known of old rows is known by then."""
    url, real, read = load_postgres(5, postgres), m0007._change_places, list[int]()
    tell, asked = m0007._tell_last, list[int]()
    store = open_store(url)
    with store.state._db.write() as c:
        many = "SELECT legs.*, n FROM legs, generate_series(1, 20000) n WHERE leg = 'le_a'"
        c.execute(text(f"CREATE TEMPORARY TABLE one ON COMMIT DROP AS {many}"))
        c.execute(text("UPDATE one SET leg = 'many' || n, exchange = 'many' || n"))
        c.execute(text("ALTER TABLE one DROP COLUMN n"))
        c.execute(text("INSERT INTO legs TABLE one"))
        c.execute(text("ANALYZE legs"))

    def rows_read(c: Connection) -> int:
        theirs = "relname IN ('legs', 'bodies', 'legs_before', 'bodies_before')"
        return int(c.scalar(text(f"SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE {theirs}")) or 0)

    def counted(c: Connection, until_us: int) -> None:
        before = rows_read(c)
        real(c, until_us)
        read.append(rows_read(c) - before)

    def told(c: Connection, until_us: int) -> None:
        asked.append(until_us)
        tell(c, until_us)

    monkeypatch.setattr(m0007, "_change_places", counted)
    monkeypatch.setattr(m0007, "_tell_last", told)
    assert store.journal.count() == 20_005
    assert len(read) == 1
    assert read[0] < 100
    assert len(asked) == 1, "once, before, while others go on"
    store.close()


def test_state_never_waits_for_a_journal_that_is_migrated(postgres: Postgres) -> None:
    """A rollback by a Detent that was just updated is as quick as any: years of journal are not its concern."""
    store = open_store(load_postgres(5, postgres))
    with store.state._db.read() as c:
        assert c.scalar(text("SELECT relkind FROM pg_class WHERE oid = 'legs'::regclass")) in {"r", b"r"}
    assert store.state.flags()["chat"].rollout == "ro_1"
    assert store.journal.count() == 5
    with store.state._db.read() as c:
        assert c.scalar(text("SELECT relkind FROM pg_class WHERE oid = 'legs'::regclass")) in {"p", b"p"}
    store.close()


def test_records_of_days_to_come_are_kept_where_they_say(postgres: Postgres) -> None:
    """A wrong clock wrote into the journal of before: its legs stand in a day of their own, with their bodies."""
    store = open_store(load_postgres(5, postgres))
    far = utc(9_214_646_400_000_000)  # 2262
    with store.state._db.write() as c:
        c.execute(text("UPDATE legs SET at_us = :far WHERE leg = 'le_a'"), {"far": round(far.timestamp()) * 1_000_000})
    (first,) = store.journal.exchange("ex_a")
    assert (utc(first.intent.at_us), first.result and first.result.answer_body) == (far, b'{"text":"hi"}')
    assert store.journal.count() == 5
    store.close()


def test_a_store_of_a_newer_detent_is_refused(store_url: str) -> None:
    store = open_store(store_url)
    newer = str(SCHEMA_VERSION + 1)

    def says(schema: str) -> None:
        with store.state._db.write() as c:
            c.execute(text("UPDATE meta SET value = :schema WHERE name = 'schema'"), {"schema": schema})

    says(newer)
    with pytest.raises(CouldNotRun, match=f"written by a newer Detent: schema `{newer}`"):
        open_store(store_url)
    says(str(SCHEMA_VERSION))
    store.close()


def test_every_number_has_a_migration() -> None:
    assert list(STEPS) == list(range(2, SCHEMA_VERSION + 1))
