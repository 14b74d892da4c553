"""The way back and who may use it: audit, tokens, approvals; probes and versions kept; drills; alerts; orders given without a store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, PrimaryKeyConstraint, Table, Text

from detent.store.schema.base import counting, keyed, metadata, text, whole

# ── who did what, and who may ───────────────────────────────────────────────────────────────────────────────────────

audit = Table(
    "audit",
    metadata,
    Column("id", counting, primary_key=True),
    whole("at_us"),
    text("by"),
    text("what"),
    Column("rollout", Text),
    Column("before", Text),
    Column("after", Text),
    Column("evidence", Text),
    Column("chain", Text),
)
"""Every write: who, what and why, the value before and after (JSON), the digest of the evidence. `chain` is the digest of a row and of the
chain before it; null in rows of an older Detent, which come before all others.
"""

tokens = keyed(
    "tokens",
    Column("name", Text, primary_key=True),
    text("role"),
    text("digest"),
    text("by"),
    whole("at_us"),
    Column("revoked_us", BigInteger),
)
"""Whoever may act, by name and role; of a token its digest only."""

approvals = keyed(
    "approvals",
    Column("id", Text, primary_key=True),
    text("rollout"),
    text("stage"),
    whole("revision"),
    text("evidence"),
    text("by"),
    whole("at_us"),
    whole("until_us"),
    Column("used_us", BigInteger),
)
"""A human yes, bound to what was seen when it was given; used once."""

# ── the way back, kept warm ─────────────────────────────────────────────────────────────────────────────────────────

probes = keyed("probes", text("route"), text("version"), whole("at_us"), text("body"), PrimaryKeyConstraint("route", "version", "at_us"))
"""What the probes of each way back found, the newest day of them."""

former_versions = keyed(
    "former_versions",
    text("route"),
    text("version"),
    whole("since_us"),
    text("rollout"),
    Column("retired_us", BigInteger),
    Column("retired_by", Text),
    Column("why", Text),
    PrimaryKeyConstraint("route", "version"),
)
"""Versions that a route was pinned to and is no longer, until they are retired on purpose."""

drills = Table(
    "drills",
    metadata,
    Column("id", Text, primary_key=True),
    text("route"),
    whole("at_us"),
    Column("ended_us", BigInteger),
    text("body"),
)
"""Rehearsed rollbacks: under way while `ended_us` is null; `body` is updated as the steps are done."""
Index("drills_route", drills.c.route, drills.c.at_us)
UNDER_WAY = drills.c.ended_us.is_(None)
# One drill a route at a time, kept by the database itself.
Index("one_drill", drills.c.route, unique=True, sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY)

waivers = keyed("waivers", text("route"), whole("at_us"), text("by"), text("why"), text("body"), PrimaryKeyConstraint("route", "at_us"))
"""Drills that a person did without, by name, with a reason and until when."""

# ── word to people ──────────────────────────────────────────────────────────────────────────────────────────────────

alerts = keyed(
    "alerts",
    Column("id", Text, primary_key=True),
    whole("at_us"),
    text("kind"),
    text("about"),
    Column("pages", Boolean, nullable=False),
    Column("ended_us", BigInteger),
    Column("acknowledged_us", BigInteger),
    Column("acknowledged_by", Text),
    text("body"),
)
"""What an owner was to be told: written in the store first, sent from there, so that nothing is forgotten by a process that ends."""
Index("alerts_about", alerts.c.kind, alerts.c.about)

deliveries = keyed(
    "deliveries",
    text("alert"),
    text("channel"),
    whole("tries"),
    whole("next_us"),
    Column("sent_us", BigInteger),
    Column("error", Text),
    PrimaryKeyConstraint("alert", "channel"),
)

# ── orders given on a gateway's host, without a store ───────────────────────────────────────────────────────────────

local_orders = keyed("local_orders", Column("id", Text, primary_key=True), text("route"), text("gateway"), whole("at_us"), text("body"))
"""`rollback --local` as it was given by file, once it was carried out in the store as well."""
