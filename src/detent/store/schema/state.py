"""What gateways obey and what was decided; gateways; baselines, runs, incidents and what a judge said."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, LargeBinary, PrimaryKeyConstraint, Table, Text

from detent.store.schema.base import counting, keyed, metadata, text, whole

manifests = Table("manifests", metadata, Column("id", counting, primary_key=True), text("text"), text("digest"), whole("at_us"), text("by"))

flags = keyed("flags", Column("route", Text, primary_key=True), whole("revision"), text("body"))

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    text("route"),
    Column("open", Boolean, nullable=False),
    whole("revision"),
    whole("opened_us"),
    text("body"),
)
# One open rollout a route, kept by the database itself.
Index("one_open_rollout", rollouts.c.route, unique=True, sqlite_where=rollouts.c.open, postgresql_where=rollouts.c.open)

share_periods = keyed(
    "share_periods",
    text("rollout"),
    whole("period"),
    Column("split", Float(53), nullable=False),
    whole("from_us"),
    Column("until_us", BigInteger),
    PrimaryKeyConstraint("rollout", "period"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", counting, primary_key=True),
    text("rollout", index=True),
    whole("at_us"),
    text("body"),
    Column("evidence", LargeBinary, nullable=False),
    Column("before", Text),
)
"""What was decided, from which evidence, and about which rollout as it was `before`: enough to decide it again."""

watched = keyed("watched", Column("rollout", Text, primary_key=True), whole("watched_us"), whole("last_us"))
"""How long a controller has looked after each rollout: what its windows are served by."""

gateways = keyed(
    "gateways",
    Column("gateway", Text, primary_key=True),
    whole("revision"),
    whole("applied_us"),
    whole("seen_us"),
    whole("pid"),
    text("address"),
    Column("breakers", Text),
)
"""Gateways that live. `breakers`: JSON of the circuit breakers that are not closed there; null of an older Detent."""

acks = keyed("acks", text("gateway"), whole("revision"), whole("applied_us"), PrimaryKeyConstraint("gateway", "revision"))
"""The first time that each gateway served each revision."""

leases = keyed("leases", Column("name", Text, primary_key=True), text("holder"), whole("counter"), whole("beat"))
"""What one process of many does. `counter` is raised by each change of hands and fences off who was late to notice; `beat` by each sign of
life: a holder whose beat stands still is followed. No clock is compared with another host's.
"""

# ── baselines, runs, incidents, the judge ───────────────────────────────────────────────────────────────────────────

baselines = Table("baselines", metadata, Column("id", counting, primary_key=True), text("route", index=True), text("digest"), text("body"))

runs = keyed(
    "runs",
    text("rollout"),
    text("case"),
    text("arm"),
    text("stage"),
    whole("repeat"),
    text("body"),
    PrimaryKeyConstraint("rollout", "case", "arm", "stage", "repeat"),
)

pins = keyed(
    "pins", text("route"), text("exchange"), whole("at_us"), text("body"), text("recorded"), PrimaryKeyConstraint("route", "exchange")
)
"""Exchanges kept as incidents, each with its own copy of the recording: the journal forgets."""

judgements = keyed("judgements", Column("id", Text, primary_key=True), text("digest"), text("body"))
"""What the judge said; `id` covers judge, rubric, prompt and both outputs, so that the same question is never paid for twice."""

calibrations = Table("calibrations", metadata, Column("id", counting, primary_key=True), text("judge"), text("digest"), text("body"))
