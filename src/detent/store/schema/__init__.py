"""The tables of state and journal: one SQLAlchemy Core schema, for SQLite and PostgreSQL alike.

base.py    what tables are made of, the schema's version     state.py    flags, rollouts, decisions, gateways, baselines
shadow.py  pairs and their sums                              counts.py   units, label counts, minute sums
journal.py legs, bodies, feedback                            way_back.py audit, roles, probes, drills, alerts
"""

from __future__ import annotations

from detent.store.schema.base import SCHEMA_VERSION, counters, meta, metadata
from detent.store.schema.counts import (
    answered,
    exposed,
    exposure_counts,
    label_counts,
    minute_sums,
    segment_counts,
    segment_values,
    spools,
    units,
)
from detent.store.schema.journal import MIRRORED, UNGRADED, UNRESOLVED, bodies, feedback, legs
from detent.store.schema.shadow import (
    UNJUDGED,
    WAITING,
    not_mirrored,
    pair_judgements,
    pairs,
    shadow_buckets,
    shadow_classes,
    shadow_clusters,
    shadow_conversations,
    shadow_days,
    shadow_fields,
    shadow_ledger,
    shadow_sums,
)
from detent.store.schema.state import (
    acks,
    baselines,
    calibrations,
    decisions,
    flags,
    gateways,
    judgements,
    manifests,
    pins,
    rollouts,
    runs,
    share_periods,
    watched,
)
from detent.store.schema.way_back import (
    UNDER_WAY,
    alerts,
    approvals,
    audit,
    deliveries,
    drills,
    former_versions,
    local_orders,
    probes,
    tokens,
    waivers,
)

__all__ = [
    "JOURNAL_TABLES",
    "MIRRORED",
    "SCHEMA_VERSION",
    "STATE_TABLES",
    "UNDER_WAY",
    "UNGRADED",
    "UNJUDGED",
    "UNRESOLVED",
    "WAITING",
    "acks",
    "alerts",
    "answered",
    "approvals",
    "audit",
    "baselines",
    "bodies",
    "calibrations",
    "counters",
    "decisions",
    "deliveries",
    "drills",
    "exposed",
    "exposure_counts",
    "feedback",
    "flags",
    "former_versions",
    "gateways",
    "judgements",
    "label_counts",
    "legs",
    "local_orders",
    "manifests",
    "meta",
    "metadata",
    "minute_sums",
    "not_mirrored",
    "pair_judgements",
    "pairs",
    "pins",
    "probes",
    "rollouts",
    "runs",
    "segment_counts",
    "segment_values",
    "shadow_buckets",
    "shadow_classes",
    "shadow_clusters",
    "shadow_conversations",
    "shadow_days",
    "shadow_fields",
    "shadow_ledger",
    "shadow_sums",
    "share_periods",
    "spools",
    "tokens",
    "units",
    "waivers",
    "watched",
]

JOURNAL_TABLES = (meta, legs, bodies, feedback)
STATE_TABLES = tuple(table for table in metadata.tables.values() if table not in (legs, bodies, feedback))
