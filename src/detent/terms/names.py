"""What a pin file may name: metrics for guards, checks for routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric that a guard can name: a rate (share of units with the event) or a value (mean of a unit), and what carries it."""

    name: str
    kind: Literal["rate", "value"]
    level: Literal["request", "session"]
    says: str


METRIC_NAMES: dict[str, MetricRow] = {
    row.name: row
    for row in (
        MetricRow("error", "rate", "request", "an answer failed, was cut off or lost, or had not come by then"),
        MetricRow("hard_failure", "rate", "request", "no good answer within 10 s of the first request"),
        MetricRow("parse_error", "rate", "request", "JSON was asked for and the answer does not parse as it stands"),
        MetricRow("keys_missing", "rate", "request", "a key that the asked schema requires is absent"),
        MetricRow("truncated", "rate", "request", "a stream broke off"),
        MetricRow("tool_retry", "rate", "session", "the same tool call was made again"),
        MetricRow("refusal", "rate", "request", "the version refused to answer"),
        MetricRow("long_session", "rate", "session", "the session reached 12 model calls"),
        MetricRow("thumbs_down", "rate", "session", "the user pressed thumbs-down"),
        MetricRow("abandoned", "rate", "session", "the user gave up"),
        MetricRow("output_tokens", "value", "request", "output tokens"),
        MetricRow("latency", "value", "request", "seconds from sending to the last byte"),
    )
}
"""Every metric; `detent.evidence` says how each is folded from records."""

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

JUDGED_CHECKS: tuple[str, ...] = ("tone", "task_complete")
"""The checks that no rule can see: a route that names one has a judge."""
