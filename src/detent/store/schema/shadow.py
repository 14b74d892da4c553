"""Pairs of a shadow, their sums, which decisions read, what a shadow costs, and what it left out."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, LargeBinary, PrimaryKeyConstraint, Text, literal_column

from detent.store.schema.base import keyed, text, whole

# ── scored pairs ────────────────────────────────────────────────────────────────────────────────────────────────────

pairs = keyed(
    "pairs",
    text("rollout"),
    text("exchange"),
    text("body"),
    Column("arrived", BigInteger),
    Column("folded", BigInteger),
    Column("unjudged", BigInteger),
    PrimaryKeyConstraint("rollout", "exchange"),
)
"""Scored pairs, in the order in which they `arrived`. `folded`: 0 waits, 1 counts as comparable, 2 does not; null in a row of an older
Detent, which is never folded. `unjudged` is 1 while a comparable pair with a second answer of stable's waits for the judge.
"""
WAITING = pairs.c.folded == literal_column("0")
Index("pairs_waiting", pairs.c.rollout, pairs.c.arrived, sqlite_where=WAITING, postgresql_where=WAITING)
UNJUDGED = pairs.c.unjudged == literal_column("1")
Index("pairs_unjudged", pairs.c.rollout, pairs.c.arrived, sqlite_where=UNJUDGED, postgresql_where=UNJUDGED)

# ── sums, which decisions read ──────────────────────────────────────────────────────────────────────────────────────

shadow_sums = keyed("shadow_sums", Column("rollout", Text, primary_key=True), whole("mark"), text("body"))
"""What the pairs of a rollout add up to, and which fields they are compared by; `mark` grows with each fold."""

shadow_fields = keyed(
    "shadow_fields",
    text("rollout"),
    text("field"),
    text("input_class"),
    *(whole(name) for name in ("pairs", "candidate", "stable", "candidate_only", "stable_only", "differs", "seen", "first_us")),
    Column("slot", BigInteger),
    text("examples"),
    PrimaryKeyConstraint("rollout", "field", "input_class"),
)
"""Comparable pairs by field and input class ("": all together), what either side has of it, and the shortest that show it (JSON).

`slot` numbers the classes that bet in a field, in the order in which they first had something to bet on.
"""

shadow_classes = keyed(
    "shadow_classes",
    text("rollout"),
    text("dimension"),
    text("value"),
    whole("n"),
    whole("compared"),
    PrimaryKeyConstraint("rollout", "dimension", "value"),
)
"""In how many conversations each class of each dimension was met, and in how many of these by a comparable pair."""

shadow_clusters = keyed(
    "shadow_clusters",
    text("rollout"),
    text("cluster"),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("rollout", "cluster"),
)
shadow_buckets = keyed("shadow_buckets", text("rollout"), text("bucket"), text("cluster"), PrimaryKeyConstraint("rollout", "bucket"))
"""Clusters of near-duplicate prompts: the signature of each one's first, and which cluster to look at for a band of a signature."""

shadow_conversations = keyed(
    "shadow_conversations",
    text("rollout"),
    text("conversation"),
    whole("turn"),
    Column("diverged", BigInteger),
    text("met"),
    PrimaryKeyConstraint("rollout", "conversation"),
)
"""How far each conversation was compared, the turn at which the versions went apart, and which classes it met (JSON, by digest)."""

shadow_days = keyed(
    "shadow_days",
    text("rollout"),
    whole("day_us"),
    whole("pairs"),
    whole("new_classes"),
    whole("new_clusters"),
    PrimaryKeyConstraint("rollout", "day_us"),
)

pair_judgements = keyed(
    "pair_judgements", text("rollout"), text("exchange"), whole("at_us"), text("body"), PrimaryKeyConstraint("rollout", "exchange")
)
"""What the judge said of a pair, once; counted in the transaction that stores it."""

# ── what it costs, and what it left out ─────────────────────────────────────────────────────────────────────────────

shadow_ledger = keyed(
    "shadow_ledger",
    text("rollout"),
    whole("day_us"),
    text("purse"),
    text("holder"),
    Column("usd", Float(53), nullable=False),
    whole("tokens"),
    Column("held_usd", Float(53), nullable=False),
    whole("held_tokens"),
    PrimaryKeyConstraint("rollout", "day_us", "purse", "holder"),
)
"""What each holder has spent of a shadow's budget on a UTC day, and what it holds of it: nobody else may spend that, even if it died."""

not_mirrored = keyed(
    "not_mirrored", text("rollout"), text("reason"), text("why"), whole("n"), PrimaryKeyConstraint("rollout", "reason", "why")
)
"""How many requests the shadow drew and did not send, by reason."""
