"""2: incidents kept with a copy of their recording, what judges said; how a request was asked (version header, betas)."""

from __future__ import annotations

from detent.store.migrations.steps import new_columns, new_table

STEPS = (
    new_table("pins", "route text, exchange text", "at_us whole", "body text", "recorded text"),
    new_table("judgements", "id text", "digest text", "body text"),
    new_table("calibrations", "id counting", "judge text", "digest text", "body text", rowid=True),
    new_columns("legs", "api_version text?", "betas text?"),
)
