"""What one leg's result, or one piece of feedback, says about each metric: one row a metric. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from detent.terms import METRIC_NAMES, Feedback, Intent, MetricRow, Outcome, Result, Role, Unscored

FIRST_BYTE_LIMIT_S = 10.0
"""A leg without a good first byte by then is a hard failure (design 6)."""

LONG_SESSION_STEPS = 12
"""A session that reaches this many model calls is a long one."""

UNSCORED_BUCKET = -1
"""The label-count bucket of units that nothing could be said about; no test reads it as an outcome."""

Said = bool | float | Unscored | None


def _nothing_of_result(intent: Intent, result: Result) -> Said:
    return None


def _nothing_of_feedback(feedback: Feedback) -> bool | float | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How a metric is folded: what a leg's result, or feedback, says about it. None: it says nothing.

    `silent` is what a unit counts as when nothing was said by its maturity: None (unscored), False where silence is the usual good sign
    (users seldom press thumbs-down), True where it is the bad one (no answer has come). A `rate` is true for a unit as soon as one of its
    legs says True; a `value` is the mean of what was said.
    """

    row: MetricRow
    of_result: Callable[[Intent, Result], Said] = _nothing_of_result
    of_feedback: Callable[[Feedback], bool | float | None] = _nothing_of_feedback
    silent: bool | None = None

    @property
    def name(self) -> str:
        """The name that guards use."""
        return self.row.name

    @property
    def kind(self) -> Literal["rate", "value"]:
        """Share of units with the event, or mean of a unit."""
        return self.row.kind

    @property
    def level(self) -> Literal["request", "session"]:
        """What carries it: a session-level metric has no meaning for a unit that is one request."""
        return self.row.level

    @property
    def says(self) -> str:
        """The event, in words."""
        return self.row.says


_FAILED = {
    Outcome.CONNECT_FAILED,
    Outcome.TIMED_OUT,
    Outcome.UPSTREAM_TRUNCATED,
    Outcome.ERROR_EVENT,
    Outcome.MALFORMED,
    Outcome.LOST,
}
_OF_THE_ACCOUNT = {401, 402, 403, 404, 408, 409, 425, 429}


def refuses_request(status: int) -> bool:
    """Whether a status refuses what was asked: a 4xx that is not the fault of account, version, quota or moment, whatever is asked."""
    return 400 <= status < 500 and status not in _OF_THE_ACCOUNT


def _kept_waiting(result: Result) -> bool:
    """Whether the first byte took too long, or had not come when the leg ended."""
    waited = result.latency_s if result.first_byte_s is None else result.first_byte_s
    return waited is not None and waited > FIRST_BYTE_LIMIT_S


def _error(intent: Intent, result: Result) -> Said:
    if result.outcome in _FAILED:
        return True
    if result.outcome is Outcome.CLIENT_ABORTED:
        return result.first_byte_s is None and _kept_waiting(result)  # on a version that hangs; the others just left
    if result.outcome is Outcome.HTTP_ERROR:
        status = result.status or 500
        # The app's request may be wrong. If only the candidate finds it so, the fallback's leg is complete and says it; where stable
        # refuses it as well, nobody failed: the other arm's units are not charged for such a request either.
        return not refuses_request(status)
    return intent.role is Role.FALLBACK  # stable had to stand in for a candidate that failed: how well it did is not the candidate's


def _hard_failure(intent: Intent, result: Result) -> Said:
    if _kept_waiting(result) or result.outcome is Outcome.HTTP_ERROR:
        return True  # also for a request that deserved its refusal: both arms get such
    if result.outcome in (Outcome.UPSTREAM_TRUNCATED, Outcome.ERROR_EVENT):
        return False
    return _error(intent, result)


def _of_complete(read: Callable[[Result], Said]) -> Callable[[Intent, Result], Said]:
    """A metric that only a complete answer speaks of; a failed one is counted by `error`."""
    return lambda intent, result: read(result) if result.outcome is Outcome.COMPLETE else None


def _truncated(intent: Intent, result: Result) -> Said:
    if result.outcome in (Outcome.UPSTREAM_TRUNCATED, Outcome.ERROR_EVENT):
        return True
    return False if result.outcome is Outcome.COMPLETE else None


def _output_tokens(result: Result) -> Said:
    return Unscored("usage not reported") if result.usage.output is None else float(result.usage.output)


def _said_by_app(metric: str) -> Callable[[Feedback], bool | float | None]:
    return lambda feedback: bool(feedback.value) if feedback.metric == metric else None


def _folds() -> Iterable[tuple[str, dict[str, Any]]]:
    """One row a metric, in the order of `METRIC_NAMES`."""
    # Silence is a failure: a unit none of whose legs has ended by its maturity is one whose version hangs, and must not drop out of sight.
    yield "error", {"of_result": _error, "silent": True}
    yield "hard_failure", {"of_result": _hard_failure, "silent": True}
    yield "parse_error", {"of_result": _of_complete(lambda r: None if r.parse is None else r.parse == "invalid")}
    yield "keys_missing", {"of_result": _of_complete(lambda r: None if r.parse is None else r.parse == "keys_missing")}
    yield "truncated", {"of_result": _truncated}
    yield "tool_retry", {"of_result": _of_complete(lambda r: Unscored("answer not read") if r.repeats_call is None else r.repeats_call)}
    yield "refusal", {"of_result": _of_complete(lambda r: Unscored("answer not read") if r.refusal is None else r.refusal)}
    yield "long_session", {"of_result": _of_complete(lambda r: None if r.step is None else r.step >= LONG_SESSION_STEPS)}
    yield "thumbs_down", {"of_feedback": _said_by_app("thumbs_down"), "silent": False}
    yield "abandoned", {"of_feedback": _said_by_app("abandoned"), "silent": False}
    yield "output_tokens", {"of_result": _of_complete(_output_tokens)}
    yield "latency", {"of_result": _of_complete(lambda r: r.latency_s)}


METRICS: dict[str, Metric] = {name: Metric(row=METRIC_NAMES[name], **fold) for name, fold in _folds()}
