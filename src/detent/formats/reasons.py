"""Why a row of a file is no usable exchange: few fixed words, one table."""

from __future__ import annotations

from dataclasses import dataclass

NOT_UTF8 = "not UTF-8"
NOT_JSON = "not JSON"
NOT_YAML = "not YAML"
TOO_LONG = "too long"
NESTED = "nested too deep"
UNKNOWN = "unknown shape"
NO_MESSAGES = "no messages"
NO_ANSWER = "no answer"
NOT_WHOLE = "answer not whole"
WITHHELD = "content withheld"
ELSEWHERE = "points elsewhere"
UNFILLED = "template not filled"
DUPLICATE = "duplicate id"
FAILED = "failed call"
NOT_CHAT = "not a chat call"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. `broken` is False for rows that are in order and only no case (another kind of call, a call that the provider failed):
    such rows are counted and passed over; broken ones stop a freeze that was not told to skip them.
    """

    name: str
    says: str
    broken: bool = True


REASONS: tuple[Reason, ...] = (
    Reason(NOT_UTF8, "bytes that are no UTF-8 text"),
    Reason(NOT_JSON, "text that is no JSON (NaN and Infinity are none either)"),
    Reason(NOT_YAML, "text that is no YAML, or YAML with aliases"),
    Reason(TOO_LONG, "more than is read of one row, or more messages than a provider takes"),
    Reason(NESTED, "values inside values, deeper than any request needs"),
    Reason(UNKNOWN, "not of the form that the file was read as"),
    Reason(NO_MESSAGES, "no messages to send again"),
    Reason(NO_ANSWER, "neither a recorded answer nor a reference"),
    Reason(NOT_WHOLE, "the answer broke off"),
    Reason(WITHHELD, "the tool that wrote the file left the content out"),
    Reason(ELSEWHERE, "the content is in another file or at an address, which is not fetched"),
    Reason(UNFILLED, "a template with a variable that is not given, or with code, which is not run"),
    Reason(DUPLICATE, "an id that a row before it has"),
    Reason(FAILED, "a call without an answer: the provider refused or failed it", broken=False),
    Reason(NOT_CHAT, "a call or span of another kind (embedding, tool, HTTP)", broken=False),
)

BROKEN: frozenset[str] = frozenset(reason.name for reason in REASONS if reason.broken)


class Unusable(Exception):
    """This row is no usable exchange. A result, not a fault: it becomes a RefusedRow at one seam (`rows.guarded`)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
