"""What one leg's result, or one piece of feedback, says about each metric: one row a metric. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from detent.terms import CUT_OFF, METRIC_NAMES, Begun, DeclaredMetric, Feedback, Intent, MetricRow, Outcome, Price, Result, Role, Unscored

FIRST_BYTE_LIMIT_S = 10.0
"""A leg without a good first byte by then is a hard failure (design 6). An answer that was not asked for as a stream comes whole: its first
byte is known with the rest of it, so there the whole answer has to be there by then.
"""

LONG_SESSION_STEPS = 12
"""A session that reaches this many model calls is a long one."""

UNSCORED_BUCKET = -1
"""The label-count bucket of units of which nothing was said: the metric has nothing to do with them. No test reads it as an outcome."""

UNREAD_BUCKET = -2
"""Units of which something was said, and nothing of it could be read (no usage reported, say): a pipe that is broken, and no outcome."""

SILENT_GOOD_BUCKET = 2
"""Units of a rate of which nothing was said, and silence counts as no event."""

SILENT_BAD_BUCKET = 3
"""Units of a rate of which nothing was said, and silence counts as the event. Buckets 0 and 1 are those that something was said of."""

Said = bool | float | Unscored | None
Fold = Literal["any", "all", "mean", "max", "sum"]


def _nothing_of_result(intent: Intent, result: Result) -> Said:
    return None


def _nothing_of_begun(intent: Intent, begun: Begun) -> Said:
    return None


def _nothing_of_feedback(feedback: Feedback) -> bool | float | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How a metric is folded: what a leg's first byte, its result, or feedback says about it. None: it says nothing.

    `silent` is what a unit counts as when nothing was said by its maturity: None (unscored), False where silence is the usual good sign
    (users seldom press thumbs-down), True where it is the bad one (no answer has come). `fold` makes one outcome of all that was said: of
    a rate, the event if `any` said so, or only if `all` did (one good word undoes it); of a value, the `mean`, `max` or `sum`. A sum with
    an Unscored part is not known.
    """

    row: MetricRow
    of_result: Callable[[Intent, Result], Said] = _nothing_of_result
    of_begun: Callable[[Intent, Begun], Said] = _nothing_of_begun
    of_feedback: Callable[[Feedback], bool | float | None] = _nothing_of_feedback
    silent: bool | None = None
    fold: Fold = "any"

    @property
    def name(self) -> str:
        """The name that guards use."""
        return self.row.name

    @property
    def kind(self) -> Literal["rate", "value"]:
        """Share of units with the event, or a number of a unit."""
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
        # The app's request may be wrong. If only the candidate finds it so, the fallback's leg is complete and says it; where stable
        # refuses it as well, nobody failed: the other arm's units are not charged for such a request either. On a route without a fallback
        # nobody tells whose fault it was: then both arms are charged, and the difference shows.
        return not (intent.falls_back and refuses_request(result.status or 500))
    return intent.role is Role.FALLBACK  # stable had to stand in for a candidate that failed: how well it did is not the candidate's


def _hard_failure(intent: Intent, result: Result) -> Said:
    if _kept_waiting(result) or result.outcome is Outcome.HTTP_ERROR:
        return True  # also for a request that deserved its refusal: both arms get such
    if begun := begun_of(intent, result):
        return _no_good_byte(intent, begun) or result.outcome is Outcome.MALFORMED
    if result.outcome in (Outcome.UPSTREAM_TRUNCATED, Outcome.ERROR_EVENT) and result.first_byte_s is not None:
        return False
    return _error(intent, result)


def _no_good_byte(intent: Intent, begun: Begun) -> Said:
    """What became of the answer after its first byte is for `truncated` and `error` to say."""
    return begun.first_byte_s > FIRST_BYTE_LIMIT_S or intent.role is Role.FALLBACK


def begun_of(intent: Intent, result: Result) -> Begun | None:
    """What was written of a leg's first byte, read from its result; None where nothing was: of a failure, or an answer that came whole."""
    if not intent.stream or result.first_byte_s is None or (result.status is not None and result.status >= 400):
        return None
    return Begun(leg=result.leg, at_us=intent.at_us + round(result.first_byte_s * 1_000_000), first_byte_s=result.first_byte_s)


def _of_complete(read: Callable[[Result], Said]) -> Callable[[Intent, Result], Said]:
    """A metric that only a complete answer speaks of; a failed one is counted by `error`."""
    return lambda intent, result: read(result) if result.outcome is Outcome.COMPLETE else None


def _truncated(intent: Intent, result: Result) -> Said:
    if result.outcome in (Outcome.UPSTREAM_TRUNCATED, Outcome.ERROR_EVENT):
        return True
    return False if result.outcome is Outcome.COMPLETE else None


def _output_tokens(result: Result) -> Said:
    return Unscored("usage not reported") if result.usage.output is None else float(result.usage.output)


def _hit_limit(result: Result) -> Said:
    return Unscored("no finish reason") if result.finish_reason is None else result.finish_reason in CUT_OFF


def _first_byte(intent: Intent, result: Result) -> Said:
    return result.first_byte_s if intent.stream and result.outcome is Outcome.COMPLETE else None


def _cached_share(result: Result) -> Said:
    if result.usage.cached is None or not result.usage.input:
        return Unscored("usage not reported")
    return min(1.0, result.usage.cached / result.usage.input)


def _cost(prices: Mapping[str, Price]) -> Callable[[Intent, Result], Said]:
    """USD of a complete answer, by the price of the version that gave it."""

    def cost(intent: Intent, result: Result) -> Said:
        if result.outcome is not Outcome.COMPLETE:
            return None
        price, used = prices.get(f"{intent.provider}/{intent.model}"), result.usage
        if price is None or used.input is None or used.output is None:
            return Unscored("no price" if price is None else "usage not reported")
        cached = min(used.input, used.cached or 0) if price.cached is not None else 0
        return ((used.input - cached) * price.input + cached * (price.cached or 0.0) + used.output * price.output) / 1e6

    return cost


def _said_by_app(metric: str) -> Callable[[Feedback], bool | float | None]:
    return lambda feedback: bool(feedback.value) if feedback.metric == metric else None


def _not_done(feedback: Feedback) -> bool | None:
    return not feedback.value if feedback.metric == "task_done" else None


def _abandoned(feedback: Feedback) -> bool | None:
    if feedback.metric == "task_done" and feedback.value:
        return False  # nobody gives up on what is done
    return bool(feedback.value) if feedback.metric == "abandoned" else None


def _of_read(read: Callable[[Result], Said]) -> Callable[[Intent, Result], Said]:
    """A metric of complete answers, where None says that the answer was not read."""
    return _of_complete(lambda r: Unscored("answer not read") if (said := read(r)) is None else said)


def _folds(prices: Mapping[str, Price]) -> Iterable[tuple[str, dict[str, Any]]]:
    """One row a metric, in the order of `METRIC_NAMES`."""
    # Silence is a failure: a unit none of whose legs has ended by its maturity is one whose version hangs, and must not drop out of sight.
    yield "error", {"of_result": _error, "silent": True}
    yield "hard_failure", {"of_result": _hard_failure, "of_begun": _no_good_byte, "silent": True}
    yield "parse_error", {"of_result": _of_complete(lambda r: None if r.parse is None else r.parse == "invalid")}
    yield "keys_missing", {"of_result": _of_complete(lambda r: None if r.parse is None else r.parse == "keys_missing")}
    yield "truncated", {"of_result": _truncated}
    yield "tool_retry", {"of_result": _of_read(lambda r: r.repeats_call)}
    yield "unknown_tool", {"of_result": _of_read(lambda r: r.unknown_tool)}
    yield "refusal", {"of_result": _of_read(lambda r: r.refusal)}
    yield "hit_limit", {"of_result": _of_complete(_hit_limit)}
    yield "long_session", {"of_result": _of_complete(lambda r: None if r.step is None else r.step >= LONG_SESSION_STEPS)}
    yield "fallback", {"of_result": lambda intent, result: intent.role is Role.FALLBACK}
    yield "output_tokens", {"of_result": _of_complete(_output_tokens), "fold": "mean"}
    yield "latency", {"of_result": _of_complete(lambda r: r.latency_s), "fold": "mean"}
    yield "first_byte", {"of_result": _first_byte, "fold": "mean"}
    yield "session_steps", {"of_result": _of_complete(lambda r: None if r.step is None else float(r.step)), "fold": "max"}
    yield "session_cost", {"of_result": _cost(prices), "fold": "sum"}
    yield "cached_share", {"of_result": _of_complete(_cached_share), "fold": "mean"}
    yield "thumbs_down", {"of_feedback": _said_by_app("thumbs_down"), "silent": False}
    yield "parse_failed", {"of_feedback": _said_by_app("parse_failed"), "silent": False}
    yield "not_done", {"of_feedback": _not_done, "silent": True, "fold": "all"}
    yield "abandoned", {"of_feedback": _abandoned, "silent": False}


def _declared(metric: DeclaredMetric) -> Metric:
    """A metric of the app's own, folded from what it says of it."""
    if metric.kind == "value":
        return Metric(row=metric.row, of_feedback=lambda f: float(f.value) if f.metric == metric.name else None, fold="mean")
    worse = metric.worse == "higher"
    return Metric(
        row=metric.row,
        of_feedback=lambda f: (bool(f.value) is worse) if f.metric == metric.name else None,
        silent={"unknown": None, "good": False, "bad": True}[metric.silence],
        fold="all" if metric.silence == "bad" else "any",
    )


def metrics_of(declared: Mapping[str, DeclaredMetric], prices: Mapping[str, Price]) -> Mapping[str, Metric]:
    """Detent's own metrics and those declared, by name. Prices are by `provider/model`; a session with a leg that has none has no cost."""
    own = {name: Metric(row=METRIC_NAMES[name], **fold) for name, fold in _folds(prices)}
    return {name: _declared(metric) for name, metric in declared.items()} | own


METRICS: Mapping[str, Metric] = metrics_of({}, {})
"""Detent's own metrics, without prices."""
