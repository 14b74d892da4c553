"""A store of an older Detent is read as it is: columns, tables and indexes that came since are added, and no row is touched."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from sqlalchemy import inspect, text

from detent.evidence import LabelCount
from detent.ingest import Ingester
from detent.store import open_store
from detent.store.spool import Spool
from detent.terms import Arm, Flag, Guard, Phase
from records import NEW, OLD, T0, intent, result, rollout, thumbs_down

pytest_plugins = ("stores",)

SINCE_VERSION_2 = {
    "legs": ("control", "tenant", "region", "unknown_tool", "language", "trace", "graded"),
    "pairs": ("arrived", "folded", "unjudged"),
    "feedback": ("comment",),
    "exposed": ("control", "template", "tenant", "region", "returning_user", "language", "language_us"),
    "decisions": ("before",),
}
TABLES_SINCE_VERSION_2 = {
    "segment_counts",
    "segment_values",
    "watched",
    "shadow_sums",
    "shadow_fields",
    "shadow_classes",
    "shadow_clusters",
    "shadow_buckets",
    "shadow_conversations",
    "shadow_days",
    "pair_judgements",
    "shadow_ledger",
    "not_mirrored",
}
INDEXES_SINCE_VERSION_2 = ("legs_user", "legs_ungraded", "pairs_waiting", "pairs_unjudged")


def made_older(url: str) -> None:
    """The store as version 2 left it."""
    store = open_store(url)
    for database in (store.state._db, store.journal._db):  # on PostgreSQL they are one
        with database.write() as c:
            there = set(inspect(c).get_table_names())
            for index in INDEXES_SINCE_VERSION_2:
                c.execute(text(f"DROP INDEX IF EXISTS {index}"))
            for table in there & SINCE_VERSION_2.keys():
                known = {column["name"] for column in inspect(c).get_columns(table)}
                for column in known & set(SINCE_VERSION_2[table]):
                    c.execute(text(f'ALTER TABLE {table} DROP COLUMN "{column}"'))
            for table in there & TABLES_SINCE_VERSION_2:
                c.execute(text(f"DROP TABLE {table}"))
            c.execute(text("UPDATE meta SET value = '2' WHERE name = 'schema'"))
    store.close()


def test_a_store_of_version_2_goes_on(store_url: str, tmp_path: Path) -> None:
    store = open_store(store_url)
    now = [T0]
    opened = rollout(Guard(metric="error", margin_ratio=1.5, matures=60.0), phase=Phase.CANARY)
    flag = Flag(route="summarizer", revision=0, stable=OLD, candidate=NEW, rollout="ro_1", split=0.5, period=1)
    store.state.open_rollout(opened, flag, by="ann", at=T0)
    spool = Spool(tmp_path / "spool", "gw1")
    for entry in (intent("a"), result("a"), intent("b", "u2", arm=Arm.CANDIDATE), thumbs_down("f", 1, session="u1")):
        spool.write(entry)
    Ingester(store, tmp_path / "spool", lambda: now[0]).run_once()
    store.close()
    made_older(store_url)

    store = open_store(store_url)
    with store.journal._db.read() as c:
        assert "legs_user" in {index["name"] for index in inspect(c).get_indexes("legs")}
    (first,) = store.journal.exchange("ex_a")
    assert (first.intent, first.result) == (intent("a", template=first.intent.template), result("a"))
    spool.write(result("b", 5))
    spool.write(intent("c", "u3", 6, control=True, tenant="acme"))
    ingester = Ingester(store, tmp_path / "spool", lambda: now[0])
    ingester.run_once()
    now[0] = T0 + timedelta(hours=1)
    assert ingester.run_once().sealed == 3
    counts = store.state.label_counts("ro_1")
    assert LabelCount(metric="error", period=1, slice="", arm=Arm.CANDIDATE, bucket=0, n=1) in counts
    assert sum(row.n for row in counts if row.slice == "control") == 1
    segments = {(row.slice, row.arm): row.n for row in store.state.segment_counts("ro_1")}
    assert segments == {("tenant=acme", Arm.STABLE): 1, ("template=t", Arm.STABLE): 1}, "of units of before, no segment is known"
    store.close()
