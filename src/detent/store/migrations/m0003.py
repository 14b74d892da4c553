"""3: segments and the control slice; time served by a controller's own clock; what a decision was about, so that it can be made again."""

from __future__ import annotations

from detent.store.migrations.steps import new_columns, new_index, new_table

STEPS = (
    new_columns("decisions", "before text?"),
    new_table("watched", "rollout text", "watched_us whole", "last_us whole"),
    new_columns(
        "exposed",
        "control truth?",
        "template text?",
        "tenant text?",
        "region text?",
        "returning_user truth?",
        "language text?",
        "language_us whole?",
    ),
    new_table("segment_counts", "rollout text, slice text, guard text, period whole, arm text, bucket whole", "n whole"),
    new_table("segment_values", "rollout text, dimension text, value text"),
    new_columns("legs", "control truth?", "tenant text?", "region text?", "falls_back truth?", "unknown_tool truth?", "language text?"),
    new_index("legs", "legs_user", '("user", at_us) WHERE "user" IS NOT NULL'),
    new_columns("feedback", "comment text?"),
)
