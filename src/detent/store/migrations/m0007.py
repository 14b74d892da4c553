"""7: the journal by day: legs and bodies in partitions on PostgreSQL; bodies know the time of their leg.

The journal that is there becomes one partition, up to a midnight to come, without being copied: what a partition needs (a key with the
time in it, a proven bound) is made beside the traffic, and tables change places in a moment. From the bound on bodies to the change of
places an ingester of before stores no bodies: it fails, says so, and tries again, and its spool keeps all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from detent.store.days import DAY_US, Span, bounds, comment, database_now_us, make_days
from detent.store.migrations.steps import Work, make_index, new_columns, new_table, no_index

AHEAD_US = DAY_US // 4
"""How far ahead, at least, the midnight is that the journal of before ends at: what is sent meanwhile has to fit in."""

AT_ONCE = 5_000
"""Bodies that are told their leg's time in one transaction."""

LEGS_INDEXES = {
    "legs_exchange": "(exchange)",
    "legs_route": "(route, at_us)",
    "legs_session": "(session) WHERE session IS NOT NULL",
    "legs_user": '("user", at_us) WHERE "user" IS NOT NULL',
    "legs_unresolved": "(spool) WHERE outcome IS NULL OR outcome = 'lost'",
    "legs_ungraded": "(rollout, result_us) WHERE role = 'mirrored' AND graded IS NULL",
}


def _by_day(work: Work) -> None:
    """Legs and bodies into partitions, from wherever a migration before was killed."""
    if work.sqlite or not {"legs", "bodies"} <= work.tables or _done(work):
        return
    n = work.read(lambda c: c.scalar(text("SELECT CAST(reltuples AS bigint) FROM pg_class WHERE oid = to_regclass('legs')")))
    work.say(f"the journal ({max(0, n or 0):,} legs) becomes a partition; gateways serve on, and ingesters of before wait where they must")
    until_us = work.briefly(_bound)
    work.briefly(lambda c: _constrain(c, "legs", f"at_us < {until_us}", until_us))
    make_index(work, "legs", "legs_by_time", "(leg, at_us)", unique=True)
    for index, on in LEGS_INDEXES.items():
        make_index(work, "legs", index, on)
    _tell_times(work)
    work.briefly(lambda c: _constrain(c, "bodies", f"at_us IS NOT NULL AND at_us < {until_us}", until_us))
    work.briefly(lambda c: _tell_last(c, until_us))
    make_index(work, "bodies", "bodies_by_time", "(leg, at_us)", unique=True)
    if not work.read(lambda c: _strays(c, until_us)):
        for table in ("legs", "bodies"):
            work.briefly(_validating(table, until_us))
    else:
        work.say("a wrong clock wrote of days to come: everybody waits while the journal is read once more")
    work.briefly(lambda c: _change_places(c, until_us))


STEPS = (
    new_table("bodies_early", "leg text", "at_us whole", "request bytes?", "answer bytes?", "request_digest text?", rowid=True),
    new_columns("bodies", "at_us whole?"),
    no_index("legs", "legs_mirrored"),
    _by_day,
)


def _done(work: Work) -> bool:
    kind = work.read(lambda c: c.scalar(text("SELECT relkind FROM pg_class WHERE oid = to_regclass('legs')")))
    return kind in {"p", b"p"}


# ── the bound ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _bound(c: Connection) -> int:
    """The midnight that the journal of before ends at: the one that was chosen already, while it is to come."""
    now_us = database_now_us(c)
    chosen = text("SELECT conname FROM pg_constraint WHERE conrelid = to_regclass('legs') AND conname LIKE 'legs\\_until\\_%'")
    for name in c.scalars(chosen).all():
        until_us = int(name.removeprefix("legs_until_"))
        if until_us > now_us + AHEAD_US // 6:
            return until_us
        for table in ("legs", "bodies"):
            c.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_until_{until_us}")
    return (now_us + AHEAD_US) // DAY_US * DAY_US + DAY_US


def _constrain(c: Connection, table: str, condition: str, until_us: int) -> None:
    name = f"{table}_until_{until_us}"
    if not c.scalar(text("SELECT 1 FROM pg_constraint WHERE conname = :name"), {"name": name}):
        c.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")


def _validating(table: str, until_us: int) -> Callable[[Connection], Any]:
    return lambda c: c.exec_driver_sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_until_{until_us}")


def _proven(c: Connection, table: str, until_us: int) -> bool:
    """Whether every row is known to keep the bound."""
    known = text("SELECT convalidated FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name")
    return bool(c.scalar(known, {"table": table, "name": f"{table}_until_{until_us}"}))


def _strays(c: Connection, until_us: int) -> bool:
    return bool(c.scalar(text("SELECT EXISTS (SELECT 1 FROM legs WHERE at_us >= :until)"), {"until": until_us}))


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tell_times(work: Work) -> None:
    """Tell bodies the time of their leg, a batch at a time. Those without a leg are left."""
    last, told = "", 0

    def batch(c: Connection) -> tuple[str | None, int]:
        upto = c.scalar(
            text("SELECT max(leg) FROM (SELECT leg FROM bodies WHERE leg > :last AND at_us IS NULL ORDER BY leg LIMIT :n) AS next"),
            {"last": last, "n": AT_ONCE},
        )
        if upto is None:
            return None, 0
        done = c.execute(
            text(
                "UPDATE bodies SET at_us = legs.at_us FROM legs"
                " WHERE legs.leg = bodies.leg AND bodies.at_us IS NULL AND bodies.leg > :last AND bodies.leg <= :upto"
            ),
            {"last": last, "upto": upto},
        )
        return upto, done.rowcount

    while True:
        upto, n = work.briefly(batch)
        if upto is None:
            return
        if (told + n) // 100_000 > told // 100_000:
            work.say(f"{told + n:,} bodies know the time of their leg")
        last, told = upto, told + n


def _tell_last(c: Connection, until_us: int) -> None:
    """Those that came meanwhile; what has no leg on record yet, or a stray one, waits elsewhere."""
    told = "UPDATE bodies SET at_us = legs.at_us FROM legs WHERE legs.leg = bodies.leg AND bodies.at_us IS NULL AND legs.at_us < :until"
    c.execute(text(told), {"until": until_us})
    c.execute(
        text(
            "WITH gone AS (DELETE FROM bodies WHERE at_us IS NULL RETURNING leg, request, answer, request_digest)"
            " INSERT INTO bodies_early (leg, at_us, request, answer, request_digest)"
            " SELECT leg, CAST(:now AS bigint), request, answer, request_digest FROM gone ON CONFLICT DO NOTHING"
        ),
        {"now": database_now_us(c)},
    )


# ── the change of places ────────────────────────────────────────────────────────────────────────────────────────────


def _change_places(c: Connection, until_us: int) -> None:
    """The journal of before becomes the first partition of the tables that take its names. All of it, or nothing."""
    c.exec_driver_sql("LOCK TABLE legs, bodies, bodies_early IN ACCESS EXCLUSIVE MODE")
    now_us = database_now_us(c)
    stray = list[int]()
    if not all(_proven(c, table, until_us) for table in ("legs", "bodies")):  # else nobody waits while all of the journal is read
        _tell_last(c, until_us)
        stray = list(c.scalars(text("SELECT DISTINCT at_us FROM legs WHERE at_us >= :until"), {"until": until_us}))
    for table, indexes in (("legs", LEGS_INDEXES), ("bodies", dict[str, str]())):
        before = f"{table}_before"
        if stray:  # they go to the days that they tell of: a bound that holds for the others
            c.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {table}_until_{until_us}")
        c.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
        c.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {before}_pkey PRIMARY KEY USING INDEX {table}_by_time")
        c.exec_driver_sql(f"ALTER TABLE {table} RENAME TO {before}")
        for name in indexes:
            c.exec_driver_sql(f"ALTER INDEX {name} RENAME TO {name.replace(table, before)}")
        c.exec_driver_sql(f"CREATE TABLE {table} (LIKE {before} INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY RANGE (at_us)")
        c.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (leg, at_us)")
        for name, on in indexes.items():
            c.exec_driver_sql(f"CREATE INDEX {name} ON {table} {on}")
        if stray:
            theirs = f"FROM {before} WHERE at_us >= {until_us}"
            c.exec_driver_sql(f"CREATE TEMPORARY TABLE {table}_stray ON COMMIT DROP AS SELECT * {theirs}")
            c.exec_driver_sql(f"DELETE {theirs}")
        c.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {before} FOR VALUES {bounds(Span(None, until_us))}")
        c.exec_driver_sql(f"ALTER TABLE {before} DROP CONSTRAINT IF EXISTS {table}_until_{until_us}")
        comment(c, before, now_us)
    make_days(c, stray)
    if stray:
        for table in ("legs", "bodies"):
            c.exec_driver_sql(f"INSERT INTO {table} TABLE {table}_stray")
    # Legs that came after their bodies were set aside. (Counted first: of a table that is not PostgreSQL reads all legs.)
    c.exec_driver_sql("ANALYZE bodies_early")
    c.exec_driver_sql(
        "WITH gone AS (DELETE FROM bodies_early USING legs WHERE legs.leg = bodies_early.leg"
        " RETURNING legs.leg, request, answer, request_digest, legs.at_us)"
        " INSERT INTO bodies (leg, request, answer, request_digest, at_us) SELECT * FROM gone ON CONFLICT DO NOTHING"
    )
