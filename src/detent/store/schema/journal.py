"""The journal: one row per leg, sampled bodies, feedback."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, LargeBinary, Table, Text, literal_column

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
)

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
