"""The tables of state and journal: one SQLAlchemy Core schema, for SQLite and PostgreSQL alike.

Values are stored as key columns plus, where a value is read whole, a JSON `body` of the dataclass in `detent.terms`. Times are integer
microseconds UTC. Only flags, rollouts and running values are ever updated; all else is appended.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    literal_column,
)

SCHEMA_VERSION = 4
"""Raised by every change of a table; a store of a newer version is refused."""

metadata = MetaData()

# SQLite counts rows by itself only in a column that is exactly INTEGER PRIMARY KEY.
_Counting = BigInteger().with_variant(Integer, "sqlite")


def _keyed(name: str, *columns: Column[Any] | Index | PrimaryKeyConstraint) -> Table:
    """A table that is only ever looked up by its primary key: on SQLite its rows are stored in the key's own tree."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def _text(name: str, **how: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **how)


def _int(name: str, **how: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **how)


meta = _keyed("meta", Column("name", String(40), primary_key=True), _text("value"))
"""Schema version and the installation's identity key."""

counters = _keyed("counters", Column("name", String(40), primary_key=True), _int("n"))
"""The store-wide flag revision; on PostgreSQL also the row that makes ingesters take turns; feedback about nobody (`unmatched`)."""

# ── state: flags, rollouts, decisions ───────────────────────────────────────────────────────────────────────────────

manifests = Table(
    "manifests", metadata, Column("id", _Counting, primary_key=True), _text("text"), _text("digest"), _int("at_us"), _text("by")
)

flags = _keyed("flags", Column("route", Text, primary_key=True), _int("revision"), _text("body"))

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    _text("route"),
    Column("open", Boolean, nullable=False),
    _int("revision"),
    _int("opened_us"),
    _text("body"),
)
# One open rollout a route, kept by the database itself.
Index("one_open_rollout", rollouts.c.route, unique=True, sqlite_where=rollouts.c.open, postgresql_where=rollouts.c.open)

share_periods = _keyed(
    "share_periods",
    _text("rollout"),
    _int("period"),
    Column("split", Float(53), nullable=False),
    _int("from_us"),
    Column("until_us", BigInteger),
    PrimaryKeyConstraint("rollout", "period"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", _Counting, primary_key=True),
    _text("rollout", index=True),
    _int("at_us"),
    _text("body"),
    Column("evidence", LargeBinary, nullable=False),
    Column("before", Text),
)
"""What was decided, from which evidence, and about which rollout as it was `before`: enough to decide it again."""

watched = _keyed("watched", Column("rollout", Text, primary_key=True), _int("watched_us"), _int("last_us"))
"""How long a controller has looked after each rollout: what its windows are served by."""

audit = Table(
    "audit", metadata, Column("id", _Counting, primary_key=True), _int("at_us"), _text("by"), _text("what"), Column("rollout", Text)
)

gateways = _keyed(
    "gateways",
    Column("gateway", Text, primary_key=True),
    _int("revision"),
    _int("applied_us"),
    _int("seen_us"),
    _int("pid"),
    _text("address"),
)

acks = _keyed("acks", _text("gateway"), _int("revision"), _int("applied_us"), PrimaryKeyConstraint("gateway", "revision"))
"""The first time that each gateway served each revision."""

# ── state: baselines, runs, pairs ───────────────────────────────────────────────────────────────────────────────────

baselines = Table(
    "baselines", metadata, Column("id", _Counting, primary_key=True), _text("route", index=True), _text("digest"), _text("body")
)

runs = _keyed(
    "runs",
    _text("rollout"),
    _text("case"),
    _text("arm"),
    _text("stage"),
    _int("repeat"),
    _text("body"),
    PrimaryKeyConstraint("rollout", "case", "arm", "stage", "repeat"),
)

pairs = _keyed(
    "pairs",
    _text("rollout"),
    _text("exchange"),
    _text("body"),
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

pins = _keyed(
    "pins", _text("route"), _text("exchange"), _int("at_us"), _text("body"), _text("recorded"), PrimaryKeyConstraint("route", "exchange")
)
"""Exchanges kept as incidents, each with its own copy of the recording: the journal forgets."""

judgements = _keyed("judgements", Column("id", Text, primary_key=True), _text("digest"), _text("body"))
"""What the judge said; `id` covers judge, rubric, prompt and both outputs, so that the same question is never paid for twice."""

calibrations = Table("calibrations", metadata, Column("id", _Counting, primary_key=True), _text("judge"), _text("digest"), _text("body"))

# ── state: sums of pairs, which decisions read ──────────────────────────────────────────────────────────────────────

shadow_sums = _keyed("shadow_sums", Column("rollout", Text, primary_key=True), _int("mark"), _text("body"))
"""What the pairs of a rollout add up to, and which fields they are compared by; `mark` grows with each fold."""

shadow_fields = _keyed(
    "shadow_fields",
    _text("rollout"),
    _text("field"),
    _text("input_class"),
    *(_int(name) for name in ("pairs", "candidate", "stable", "candidate_only", "stable_only", "differs", "seen", "first_us")),
    Column("slot", BigInteger),
    _text("examples"),
    PrimaryKeyConstraint("rollout", "field", "input_class"),
)
"""Comparable pairs by field and input class ("": all together), what either side has of it, and the shortest that show it (JSON).

`slot` numbers the classes that bet in a field, in the order in which they first had something to bet on.
"""

shadow_classes = _keyed(
    "shadow_classes",
    _text("rollout"),
    _text("dimension"),
    _text("value"),
    _int("n"),
    _int("compared"),
    PrimaryKeyConstraint("rollout", "dimension", "value"),
)
"""In how many conversations each class of each dimension was met, and in how many of these by a comparable pair."""

shadow_clusters = _keyed(
    "shadow_clusters",
    _text("rollout"),
    _text("cluster"),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("rollout", "cluster"),
)
shadow_buckets = _keyed("shadow_buckets", _text("rollout"), _text("bucket"), _text("cluster"), PrimaryKeyConstraint("rollout", "bucket"))
"""Clusters of near-duplicate prompts: the signature of each one's first, and which cluster to look at for a band of a signature."""

shadow_conversations = _keyed(
    "shadow_conversations",
    _text("rollout"),
    _text("conversation"),
    _int("turn"),
    Column("diverged", BigInteger),
    _text("met"),
    PrimaryKeyConstraint("rollout", "conversation"),
)
"""How far each conversation was compared, the turn at which the versions went apart, and which classes it met (JSON, by digest)."""

shadow_days = _keyed(
    "shadow_days",
    _text("rollout"),
    _int("day_us"),
    _int("pairs"),
    _int("new_classes"),
    _int("new_clusters"),
    PrimaryKeyConstraint("rollout", "day_us"),
)

pair_judgements = _keyed(
    "pair_judgements", _text("rollout"), _text("exchange"), _int("at_us"), _text("body"), PrimaryKeyConstraint("rollout", "exchange")
)
"""What the judge said of a pair, once; counted in the transaction that stores it."""

# ── state: what a shadow costs, and what it left out ────────────────────────────────────────────────────────────────

shadow_ledger = _keyed(
    "shadow_ledger",
    _text("rollout"),
    _int("day_us"),
    _text("purse"),
    _text("holder"),
    Column("usd", Float(53), nullable=False),
    _int("tokens"),
    Column("held_usd", Float(53), nullable=False),
    _int("held_tokens"),
    PrimaryKeyConstraint("rollout", "day_us", "purse", "holder"),
)
"""What each holder has spent of a shadow's budget on a UTC day, and what it holds of it: nobody else may spend that, even if it died."""

not_mirrored = _keyed(
    "not_mirrored", _text("rollout"), _text("reason"), _text("why"), _int("n"), PrimaryKeyConstraint("rollout", "reason", "why")
)
"""How many requests the shadow drew and did not send, by reason."""

# ── state: what the ingester keeps ──────────────────────────────────────────────────────────────────────────────────

spools = _keyed(
    "spools",
    Column("name", Text, primary_key=True),
    _int("segment"),
    _int("offset"),
    _int("last_us"),
    Column("finished", Boolean, nullable=False),
)
"""How far each spool is folded in; written in the transaction that stores what was read. `last_us`: its last sign of life."""

exposed = _keyed(
    "exposed",
    _text("rollout"),
    _text("unit"),
    _text("kind"),
    _text("arm"),
    _int("period"),
    _int("first_us"),
    Column("saw_candidate", Boolean, nullable=False),
    Column("control", Boolean),
    Column("template", Text),
    Column("tenant", Text),
    Column("region", Text),
    Column("returning_user", Boolean),
    Column("language", Text),
    Column("language_us", BigInteger),
    PrimaryKeyConstraint("rollout", "unit"),
)
"""One row per randomised unit of a rollout: its first exposure, its segments, and whether it was ever assigned to the candidate since."""

units = _keyed(
    "units",
    _text("rollout"),
    _text("unit"),
    _text("guard"),
    _int("due_us"),
    _int("said"),
    _int("events"),
    Column("total", Float(53), nullable=False),
    Column("bucket", BigInteger),
    PrimaryKeyConstraint("rollout", "unit", "guard"),
)
"""One row per (rollout, unit, guard): the running value until `due_us`; `bucket` is set once, when the unit bets (is sealed)."""
Index("units_due", units.c.due_us, sqlite_where=units.c.bucket.is_(None), postgresql_where=units.c.bucket.is_(None))

exposure_counts = _keyed(
    "exposure_counts",
    _text("rollout"),
    _int("period"),
    _text("arm"),
    _int("units"),
    _int("saw_candidate"),
    PrimaryKeyConstraint("rollout", "period", "arm"),
)

label_counts = _keyed(
    "label_counts",
    _text("rollout"),
    _text("guard"),
    _int("period"),
    _text("slice"),
    _text("arm"),
    _int("bucket"),
    _int("n"),
    PrimaryKeyConstraint("rollout", "guard", "period", "slice", "arm", "bucket"),
)

segment_counts = _keyed(
    "segment_counts",
    _text("rollout"),
    _text("slice"),
    _text("guard"),
    _int("period"),
    _text("arm"),
    _int("bucket"),
    _int("n"),
    PrimaryKeyConstraint("rollout", "slice", "guard", "period", "arm", "bucket"),
)
"""Label counts of segments (`tenant=acme`): apart from the others, which decisions read ten times a second."""

segment_values = _keyed(
    "segment_values", _text("rollout"), _text("dimension"), _text("value"), PrimaryKeyConstraint("rollout", "dimension", "value")
)
"""The values of each dimension that are counted apart in a rollout."""

answered = _keyed(
    "answered",
    _text("rollout"),
    _text("sent"),
    _text("model"),
    _int("n"),
    PrimaryKeyConstraint("rollout", "sent", "model"),
)
"""Which model said that it answered, by the version sent: what the identity alarm reads."""

minute_sums = _keyed(
    "minute_sums",
    _int("minute_us"),
    _text("route"),
    _text("rollout"),
    _text("role"),
    _text("arm"),
    _text("version"),
    _text("body"),
    PrimaryKeyConstraint("route", "minute_us", "rollout", "role", "arm", "version"),
)

# ── journal ─────────────────────────────────────────────────────────────────────────────────────────────────────────

legs = Table(
    "legs",
    metadata,
    Column("leg", Text, primary_key=True),
    _text("spool"),
    # the intent
    _text("exchange"),
    _int("at_us"),
    _text("gateway"),
    _int("revision"),
    Column("route", Text),
    Column("rollout", Text),
    _int("period"),
    _text("role"),
    _text("arm"),
    _text("arm_served"),
    _text("why"),
    Column("randomised", Boolean, nullable=False),
    _text("unit_kind"),
    _text("unit"),
    Column("session", Text),
    Column("user", Text),
    Column("identity_source", Text),
    _text("requested"),
    _text("provider"),
    _text("model"),
    _text("endpoint"),
    Column("stream", Boolean, nullable=False),
    _int("attempt"),
    _text("template"),
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
    _text("origin"),
    _int("at_us"),
    _text("metric"),
    Column("value", Float(53), nullable=False),
    Column("exchange", Text, index=True),
    Column("session", Text, index=True),
    Column("comment", Text),
)

JOURNAL_TABLES = (meta, legs, bodies, feedback)
STATE_TABLES = tuple(table for table in metadata.tables.values() if table not in (legs, bodies, feedback))
