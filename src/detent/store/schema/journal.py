"""The journal: one row per leg, sampled bodies, feedback. On PostgreSQL legs and bodies stand in partitions by UTC day: see `by_day`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    FromClause,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    and_,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from detent.store.schema.base import metadata, text, whole

legs = Table(
    "legs",
    metadata,
    Column("leg", Text, primary_key=True),
    text("spool"),
    # the intent
    text("exchange"),
    whole("at_us"),
    text("gateway"),
    whole("revision"),
    Column("route", Text),
    Column("rollout", Text),
    whole("period"),
    text("role"),
    text("arm"),
    text("arm_served"),
    text("why"),
    Column("randomised", Boolean, nullable=False),
    text("unit_kind"),
    text("unit"),
    Column("session", Text),
    Column("user", Text),
    Column("identity_source", Text),
    text("requested"),
    text("provider"),
    text("model"),
    text("endpoint"),
    Column("stream", Boolean, nullable=False),
    whole("attempt"),
    text("template"),
    Column("api_version", Text),
    Column("betas", Text),
    Column("control", Boolean),
    Column("tenant", Text),
    Column("region", Text),
    Column("falls_back", Boolean),
    Column("trace", Text),
    # the result; `outcome` is null until it is known, `first_byte_s` of a stream may stand before
    Column("outcome", Text),
    Column("result_us", BigInteger),
    Column("status", BigInteger),
    Column("finish_reason", Text),
    Column("answered_model", Text),
    Column("fingerprint", Text),
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("latency_s", Float(53)),
    Column("first_byte_s", Float(53)),
    Column("step", BigInteger),
    Column("tools_called", Text),
    Column("repeats_call", Boolean),
    Column("unknown_tool", Boolean),
    Column("parse", Text),
    Column("refusal", Boolean),
    Column("answer_chars", BigInteger),
    Column("language", Text),
    Column("error", Text),
    # null until the grader is done with a mirrored leg of the candidate
    Column("graded", Boolean),
)
Index("legs_exchange", legs.c.exchange)
Index("legs_route", legs.c.route, legs.c.at_us)
Index("legs_session", legs.c.session, sqlite_where=legs.c.session.is_not(None), postgresql_where=legs.c.session.is_not(None))
Index("legs_user", legs.c.user, legs.c.at_us, sqlite_where=legs.c.user.is_not(None), postgresql_where=legs.c.user.is_not(None))
# Conditions of partial indexes; a query uses the index only when it says the same, literals included.
UNRESOLVED = legs.c.outcome.is_(None) | (legs.c.outcome == literal_column("'lost'"))
Index("legs_unresolved", legs.c.spool, sqlite_where=UNRESOLVED, postgresql_where=UNRESOLVED)
MIRRORED = legs.c.role == literal_column("'mirrored'")
UNGRADED = MIRRORED & legs.c.graded.is_(None)
Index("legs_ungraded", legs.c.rollout, legs.c.result_us, sqlite_where=UNGRADED, postgresql_where=UNGRADED)

bodies = Table(
    "bodies",
    metadata,
    Column("leg", Text, primary_key=True),
    Column("request", LargeBinary),
    Column("answer", LargeBinary),
    Column("request_digest", Text),
    Column("at_us", BigInteger),
)
"""What was asked and answered, of a part of the legs. `at_us` is the leg's own; null in rows of an older Detent, on SQLite alone."""

bodies_early = Table(
    "bodies_early",
    metadata,
    Column("leg", Text, primary_key=True),
    whole("at_us"),
    Column("request", LargeBinary),
    Column("answer", LargeBinary),
    Column("request_digest", Text),
)
"""Bodies whose leg is not on record yet: they wait for it, since its time says where they belong. `at_us`: when they were written."""

feedback = Table(
    "feedback",
    metadata,
    Column("id", Text, primary_key=True),
    text("origin"),
    whole("at_us"),
    text("metric"),
    Column("value", Float(53), nullable=False),
    Column("exchange", Text, index=True),
    Column("session", Text, index=True),
    Column("comment", Text),
)

# ── by day, on PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────

BY_DAY = (legs, bodies)


def by_day(table: Table) -> Table:
    """The table as PostgreSQL has it: partitioned by `at_us`, which belongs to every key of a partitioned table."""
    apart = table.to_metadata(MetaData())
    for column in apart.columns:
        column.primary_key = False
    apart.append_constraint(PrimaryKeyConstraint("leg", "at_us"))
    apart.dialect_options["postgresql"]["partition_by"] = "RANGE (at_us)"
    return apart


class _SameTime(FunctionElement[bool]):
    """Two rows have one time. On SQLite, where nothing stands by day, it is not asked: rows of an older Detent do not know theirs."""

    inherit_cache = True


@compiles(_SameTime)
def _same_time(element: _SameTime, compiler: SQLCompiler, **how: Any) -> str:
    one, other = element.clauses
    return f"{compiler.process(one, **how)} = {compiler.process(other, **how)}"


@compiles(_SameTime, "sqlite")
def _any_time(element: _SameTime, compiler: SQLCompiler, **how: Any) -> str:
    return "1 = 1"


def bodies_of(leg: FromClause = legs, kept: FromClause = bodies) -> ColumnElement[bool]:
    """The bodies are this leg's: by leg and time, so that PostgreSQL looks in one day alone."""
    return and_(kept.c.leg == leg.c.leg, _SameTime(kept.c.at_us, leg.c.at_us))
