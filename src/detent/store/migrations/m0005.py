"""5: the way back: an audit log in a chain, roles and approvals, probes, former versions, drills, alerts, orders given by file."""

from __future__ import annotations

from detent.store.migrations.steps import new_columns, new_index, new_table

STEPS = (
    new_columns("audit", "before text?", "after text?", "evidence text?", "chain text?"),
    new_table("tokens", "name text", "role text", "digest text", "by text", "at_us whole", "revoked_us whole?"),
    new_table(
        "approvals",
        "id text",
        "rollout text",
        "stage text",
        "revision whole",
        "evidence text",
        "by text",
        "at_us whole",
        "until_us whole",
        "used_us whole?",
    ),
    new_table("probes", "route text, version text, at_us whole", "body text"),
    new_table(
        "former_versions",
        "route text, version text",
        "since_us whole",
        "rollout text",
        "retired_us whole?",
        "retired_by text?",
        "why text?",
    ),
    new_table("drills", "id text", "route text", "at_us whole", "ended_us whole?", "body text", rowid=True),
    new_index("drills", "drills_route", "(route, at_us)"),
    new_index("drills", "one_drill", "(route) WHERE ended_us IS NULL", unique=True),
    new_table("waivers", "route text, at_us whole", "by text", "why text", "body text"),
    new_table(
        "alerts",
        "id text",
        "at_us whole",
        "kind text",
        "about text",
        "pages truth",
        "ended_us whole?",
        "acknowledged_us whole?",
        "acknowledged_by text?",
        "body text",
    ),
    new_index("alerts", "alerts_about", "(kind, about)"),
    new_table("deliveries", "alert text, channel text", "tries whole", "next_us whole", "sent_us whole?", "error text?"),
    new_table("local_orders", "id text", "route text", "gateway text", "at_us whole", "body text"),
)
