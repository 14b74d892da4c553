"""What the ingester keeps: how far it is, the units of rollouts and their counts, minute sums."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, PrimaryKeyConstraint, Text

from detent.store.schema.base import keyed, text, whole

spools = keyed(
    "spools",
    Column("name", Text, primary_key=True),
    whole("segment"),
    whole("offset"),
    whole("last_us"),
    Column("finished", Boolean, nullable=False),
)
"""How far each spool is folded in; written in the transaction that stores what was read. `last_us`: its last sign of life."""

hosts = keyed("hosts", Column("host", Text, primary_key=True), text("name"), whole("lag_us"), whole("beat"))
"""Hosts whose spools are read. `lag_us`: how far its ingester is behind, by its own clock; `beat` is raised by each pass."""

exposed = keyed(
    "exposed",
    text("rollout"),
    text("unit"),
    text("kind"),
    text("arm"),
    whole("period"),
    whole("first_us"),
    Column("saw_candidate", Boolean, nullable=False),
    Column("control", Boolean),
    Column("template", Text),
    Column("tenant", Text),
    Column("region", Text),
    Column("returning_user", Boolean),
    Column("language", Text),
    Column("language_us", BigInteger),
    Column("host", Text),
    PrimaryKeyConstraint("rollout", "unit"),
)
"""One row per randomised unit of a rollout: its first exposure, its segments, and whether it was ever assigned to the candidate since.

`host` is the one whose spool told of its first exposure, and by whose clock it comes due; null in rows of an older Detent.
"""

units = keyed(
    "units",
    text("rollout"),
    text("unit"),
    text("guard"),
    whole("due_us"),
    whole("said"),
    whole("events"),
    Column("total", Float(53), nullable=False),
    Column("bucket", BigInteger),
    PrimaryKeyConstraint("rollout", "unit", "guard"),
)
"""One row per (rollout, unit, guard): the running value until `due_us`; `bucket` is set once, when the unit bets (is sealed)."""
Index("units_due", units.c.due_us, sqlite_where=units.c.bucket.is_(None), postgresql_where=units.c.bucket.is_(None))

exposure_counts = keyed(
    "exposure_counts",
    text("rollout"),
    whole("period"),
    text("arm"),
    whole("units"),
    whole("saw_candidate"),
    PrimaryKeyConstraint("rollout", "period", "arm"),
)

label_counts = keyed(
    "label_counts",
    text("rollout"),
    text("guard"),
    whole("period"),
    text("slice"),
    text("arm"),
    whole("bucket"),
    whole("n"),
    PrimaryKeyConstraint("rollout", "guard", "period", "slice", "arm", "bucket"),
)

segment_counts = keyed(
    "segment_counts",
    text("rollout"),
    text("slice"),
    text("guard"),
    whole("period"),
    text("arm"),
    whole("bucket"),
    whole("n"),
    PrimaryKeyConstraint("rollout", "slice", "guard", "period", "arm", "bucket"),
)
"""Label counts of segments (`tenant=acme`): apart from the others, which decisions read ten times a second."""

segment_values = keyed(
    "segment_values", text("rollout"), text("dimension"), text("value"), PrimaryKeyConstraint("rollout", "dimension", "value")
)
"""The values of each dimension that are counted apart in a rollout."""

answered = keyed(
    "answered",
    text("rollout"),
    text("sent"),
    text("model"),
    whole("n"),
    PrimaryKeyConstraint("rollout", "sent", "model"),
)
"""Which model said that it answered, by the version sent: what the identity alarm reads."""

minute_sums = keyed(
    "minute_sums",
    whole("minute_us"),
    text("route"),
    text("rollout"),
    text("role"),
    text("arm"),
    text("version"),
    text("body"),
    PrimaryKeyConstraint("route", "minute_us", "rollout", "role", "arm", "version"),
)
