"""What a pin file may name: metrics for guards, checks for routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bet = Literal["rate", "log", "quantiles"]
"""How harm in a metric is bet on: the share of units with an event; the logarithm of a unit's value; values beyond stable's quantiles."""

Side = Literal["more", "less", "both"]
"""Which way a metric gets worse."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric that a guard can name, what carries it and who says it.

    `side` is the way in which it gets worse. `cached` ones depend on how warm the provider's cache is, which a small arm's is not: they are
    compared with the control slice where a plan keeps one.
    """

    name: str
    bet: Bet
    level: Literal["request", "session"]
    says: str
    source: Literal["traffic", "feedback"] = "traffic"
    side: Side = "more"
    cached: bool = False

    @property
    def kind(self) -> Literal["rate", "value"]:
        """Share of units with the event, or a number of a unit."""
        return "rate" if self.bet == "rate" else "value"


METRIC_NAMES: dict[str, MetricRow] = {
    row.name: row
    for row in (
        MetricRow("error", "rate", "request", "an answer failed, was cut off or lost, or had not come by then"),
        MetricRow(
            "hard_failure",
            "rate",
            "request",
            "no good first byte within 10 s of the first request; of an answer that is not streamed, no answer",
        ),
        MetricRow("parse_error", "rate", "request", "JSON was asked for and the answer does not parse as it stands"),
        MetricRow("keys_missing", "rate", "request", "a key that the asked schema requires is absent"),
        MetricRow("truncated", "rate", "request", "a stream broke off"),
        MetricRow("tool_retry", "rate", "session", "the same tool call was made again, or the tool called anew after it gave an error"),
        MetricRow("unknown_tool", "rate", "request", "a tool was called that the request does not offer"),
        MetricRow("refusal", "rate", "request", "the version refused to answer"),
        MetricRow("hit_limit", "rate", "request", "the answer ended at its token limit"),
        MetricRow("long_session", "rate", "session", "the session reached 12 model calls"),
        MetricRow("fallback", "rate", "request", "stable had to answer for a candidate that failed"),
        MetricRow("output_tokens", "log", "request", "output tokens of an answer", side="both"),
        MetricRow("latency", "quantiles", "request", "seconds from sending to the last byte", cached=True),
        MetricRow("first_byte", "quantiles", "request", "seconds from sending to the first byte of a stream", cached=True),
        MetricRow("session_steps", "log", "session", "model calls of a session"),
        MetricRow("session_cost", "log", "session", "USD of a session's tokens, by the prices of the pin file", cached=True),
        MetricRow("cached_share", "log", "request", "share of the input tokens that came from the cache", side="less", cached=True),
        MetricRow("thumbs_down", "rate", "session", "the user pressed thumbs-down", source="feedback"),
        MetricRow("parse_failed", "rate", "session", "the app could not use an answer", source="feedback"),
        MetricRow("not_done", "rate", "session", "the app did not say that the task was done", source="feedback"),
        MetricRow("abandoned", "rate", "session", "the user gave up", source="feedback"),
    )
}
"""Every metric of Detent's own; `detent.evidence` says how each is folded from records. A pin file declares others in `[metrics.NAME]`."""

FEEDBACK_NAMES: dict[str, str] = {
    "thumbs": "true for thumbs-up, false for thumbs-down",
    "thumbs_down": "true where the user pressed thumbs-down",
    "parse_failed": "true where the app could not use an answer, false where it could",
    "task_done": "true where the task was done, false where it was not",
    "abandoned": "true where the user gave up",
}
"""What an app may say without declaring it, and what its value means."""

CHECK_NAMES: tuple[str, ...] = (
    "answered",
    "json_schema",
    "json_valid",
    "same_keys",
    "no_new_fence",
    "no_trailing_text",
    "no_trailing_artefact",
    "no_new_escapes",
    "same_tool_calls",
    "context_agreement",
    "matches_reference",
    "tone",
    "task_complete",
)
"""Every builtin check; `detent.checks` says how each reads an answer."""

HARMFUL_CHANGES: tuple[str, ...] = (
    "refusal_added",
    "truncated",
    "trailing_artefact",
    "json_broken",
    "schema_violated",
    "key_renamed",
    "key_missing",
    "value_type_changed",
    "unknown_tool",
    "language_switched",
)
"""Named changes that break who reads the answer, whatever it says: of these the shadow bears no more than the noise floor."""

JUDGED_CHECKS: tuple[str, ...] = ("tone", "task_complete")
"""The checks that no rule can see: a route that names one has a judge."""
