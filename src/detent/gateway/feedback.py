"""Feedback as apps send it: one JSON object or a list of them in, values to write down and precise refusals out. Pure.

{"request_id": "ex_..." | "session_id": "...", "metric": "thumbs", "value": true, "id": "optional, makes a repeat harmless"}
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from detent.assign import hash_identity
from detent.errors import InvalidInput
from detent.terms import Feedback

AT_MOST = 100
_METRIC = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SESSION = re.compile(r"[\x20-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that was not taken: its place in the list, a code and a sentence."""

    index: int
    code: str
    message: str


LARGEST = 1e300
"""Bounds of a value: a JSON integer may have any number of digits, and a float has not; NaN is outside of any bounds."""


def read_feedback(body: bytes, *, key: str, at_us: int, new_id: Callable[[str], str]) -> tuple[list[Feedback], list[Rejected]]:
    """The entries of a request body that are sound, and what is wrong with the others. Sessions are hashed with `key`.

    Raises InvalidInput if the body is no JSON object or list, or a list of more than 100.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("the body is not JSON") from error
    entries = value if isinstance(value, list) else [value]
    if len(entries) > AT_MOST:
        raise InvalidInput(f"at most {AT_MOST} entries are taken at once: `{len(entries)}`")
    taken: list[Feedback] = []
    rejected: list[Rejected] = []
    for index, entry in enumerate(entries):
        fault = _fault(entry)
        if fault is not None:
            rejected.append(Rejected(index, *fault))
            continue
        session = entry.get("session_id")
        taken.append(
            Feedback(
                id=entry.get("id") or new_id("fb_"),
                at_us=at_us,
                metric=entry["metric"],
                value=float(entry["value"]),
                exchange=entry.get("request_id"),
                session=None if session is None else hash_identity(key, session),
            )
        )
    return taken, rejected


def _fault(entry: Any) -> tuple[str, str] | None:
    """(code, message) of what is wrong with an entry, or None."""
    if not isinstance(entry, dict):
        return "not_an_object", "an entry is a JSON object"
    if not _fits(_METRIC, entry.get("metric")):
        return "invalid_metric", "`metric` is a name of 1 to 64 letters, digits, `_`, `.` or `-`"
    value = entry.get("value")
    if not isinstance(value, bool | int | float) or not -LARGEST <= value <= LARGEST:
        return "invalid_value", "`value` is true, false or a finite number"
    named = [name for name in ("request_id", "session_id") if entry.get(name) is not None]
    if len(named) != 1:
        return "invalid_subject", "exactly one of `request_id` and `session_id` says what the feedback is about"
    if not _fits(_SESSION if named == ["session_id"] else _ID, entry[named[0]]):
        return "invalid_subject", f"`{named[0]}` is not a string of printable ASCII"
    if entry.get("id") is not None and not _fits(_ID, entry["id"]):
        return "invalid_id", "`id` is a string of 1 to 128 printable ASCII characters"
    return None


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
