"""4: shadows: pairs in the order in which they came, their sums, what they cost and what was left out."""

from __future__ import annotations

from detent.store.migrations.steps import new_columns, new_index, new_table

STEPS = (
    new_columns("pairs", "arrived whole?", "folded whole?", "unjudged whole?"),
    new_index("pairs", "pairs_waiting", "(rollout, arrived) WHERE folded = 0"),
    new_index("pairs", "pairs_unjudged", "(rollout, arrived) WHERE unjudged = 1"),
    new_table("shadow_sums", "rollout text", "mark whole", "body text"),
    new_table(
        "shadow_fields",
        "rollout text, field text, input_class text",
        *(f"{name} whole" for name in ("pairs", "candidate", "stable", "candidate_only", "stable_only", "differs", "seen", "first_us")),
        "slot whole?",
        "examples text",
    ),
    new_table("shadow_classes", "rollout text, dimension text, value text", "n whole", "compared whole"),
    new_table("shadow_clusters", "rollout text, cluster text", "signature bytes"),
    new_table("shadow_buckets", "rollout text, bucket text", "cluster text"),
    new_table("shadow_conversations", "rollout text, conversation text", "turn whole", "diverged whole?", "met text"),
    new_table("shadow_days", "rollout text, day_us whole", "pairs whole", "new_classes whole", "new_clusters whole"),
    new_table("pair_judgements", "rollout text, exchange text", "at_us whole", "body text"),
    new_table(
        "shadow_ledger",
        "rollout text, day_us whole, purse text, holder text",
        "usd real",
        "tokens whole",
        "held_usd real",
        "held_tokens whole",
    ),
    new_table("not_mirrored", "rollout text, reason text, why text", "n whole"),
    new_columns("legs", "trace text?", "graded truth?"),
    new_index("legs", "legs_ungraded", "(rollout, result_us) WHERE role = 'mirrored' AND graded IS NULL"),
)
