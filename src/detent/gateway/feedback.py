"""Feedback as apps send it: one JSON object or a list of them in, values to write down and precise refusals out. Pure.

{"request_id": "ex_..." | "session_id": "...", "metric": "thumbs", "value": true, "id": "optional", "comment": "optional"}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from detent.assign import hash_identity, is_signed
from detent.errors import InvalidInput
from detent.redaction import redact_text
from detent.terms import FEEDBACK_NAMES, METRIC_NAMES, DeclaredMetric, Feedback
from detent.visible import line

AT_MOST = 100
COMMENT_CHARS = 2000
LARGEST = 1e15
"""Bounds of a value, well within what a float adds up exactly enough; NaN is outside of any bounds."""

_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SESSION = re.compile(r"[\x20-\x7e]{1,256}")
_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that was not taken: its place in the list, a code, what is wrong, and what to do."""

    index: int
    code: str
    message: str
    hint: str


class _Fault(Exception):
    """Raised within an entry: code, message, hint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """What entries are read against. `key` is the installation's (empty: none is known yet), `sender` tells client keys apart."""

    key: str
    declared: Mapping[str, DeclaredMetric]
    sender: str
    at_us: int
    new_id: Callable[[str], str]

    def read(self, body: bytes) -> tuple[list[Feedback], list[Rejected]]:
        """The entries of a request body that are sound, and what is wrong with the others.

        Raises InvalidInput if the body is no JSON object or list, or a list of more than 100.
        """
        entries = _entries(body)
        taken: list[Feedback] = []
        rejected: list[Rejected] = []
        for index, entry in enumerate(entries):
            try:
                taken.append(self._entry(entry))
            except _Fault as fault:
                rejected.append(Rejected(index, *fault.args))
        return taken, rejected

    def _entry(self, entry: Any) -> Feedback:
        if not isinstance(entry, dict):
            raise _Fault("not_an_object", "an entry is a JSON object", 'send {"request_id": ..., "metric": ..., "value": ...}')
        said = entry.get("metric")
        metric, is_value = self._metric(said)
        value = _value(said, entry.get("value"), is_value=is_value)
        exchange, session = self._subject(entry)
        comment = _comment(entry.get("comment"))
        own = _own_id(entry.get("id"))
        subject = f"{exchange or ''}\0{session or ''}\0{metric}"
        if own is not None:
            # An id is its sender's own, and one of this statement: nobody can take the place of somebody else's.
            id = self._id("said", subject, own)
        elif is_value:
            id = self.new_id("fb_")  # a second measurement may well be equal
        else:
            id = self._id("again", subject, f"{value}\0{comment}")
        if said == "thumbs":
            metric, value = "thumbs_down", 1.0 - value
        return Feedback(id=id, at_us=self.at_us, metric=metric, value=value, exchange=exchange, session=session, comment=comment)

    def _id(self, how: str, subject: str, own: str) -> str:
        return "fb_" + hash_identity(self.key, f"feedback\0{how}\0{self.sender}\0{subject}\0{own}")

    def _metric(self, name: object) -> tuple[str, bool]:
        """(name, whether it is a number) of a metric that apps may speak of."""
        if isinstance(name, str):
            if name in FEEDBACK_NAMES:
                return name, False
            if name in self.declared:
                return name, self.declared[name].kind == "value"
        known = [*FEEDBACK_NAMES, *self.declared]
        some = ", ".join(known[:_NAMES_SHOWN]) + (", ..." if len(known) > _NAMES_SHOWN else "")
        if name is None:
            said = "`metric` is missing"
        elif isinstance(name, str) and name in METRIC_NAMES and METRIC_NAMES[name].source == "traffic":
            said = f"`{name}` is read from the traffic, and not sent"
        else:
            said = f"`metric` is no metric that is known here: {_shown(name)}"
        raise _Fault("unknown_metric", said, f"send one of {some}; or declare it as [metrics.NAME] in the pin file")

    def _subject(self, entry: dict[str, Any]) -> tuple[str | None, str | None]:
        """(answer, hashed session): exactly one of them."""
        named = [name for name in ("request_id", "session_id") if entry.get(name) is not None]
        if len(named) != 1:
            raise _Fault(
                "invalid_subject",
                "exactly one of `request_id` and `session_id` says what the feedback is about",
                "send the answer's header `x-detent-request-id` as `request_id`, or the session's id",
            )
        about = entry[named[0]]
        if named == ["session_id"]:
            if not _fits(_SESSION, about) or not about.strip():
                raise _Fault(
                    "invalid_subject",
                    f"`session_id` is no string of 1 to 256 printable ASCII characters: {_shown(about)}",
                    "send what the requests of the session had as `x-detent-session-id`",
                )
            if not self.key:
                # A digest without a secret can be guessed, and could never be joined to one with it.
                raise _Fault("no_key", "this gateway has not reached its store yet, and cannot know a session", "send it again later")
            return None, hash_identity(self.key, about)
        if not _fits(_ID, about) or not is_signed(self.key, about):
            raise _Fault(
                "unknown_request_id",
                f"`request_id` is no id that was given to an answer here: {_shown(about)}",
                "send the header `x-detent-request-id` of the answer as it came",
            )
        return about, None


def _entries(body: bytes) -> list[Any]:
    try:
        # Not msgspec: one entry with NaN or 1e999, which many clients write, must not cost the others their place.
        value = json.loads(body.decode(), parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the body is no JSON that can be read", hint="send an object, or a list of objects, as UTF-8") from error
    entries = value if isinstance(value, list) else [value]
    if len(entries) > AT_MOST:
        raise InvalidInput(f"at most {AT_MOST} entries are taken at once: `{len(entries)}`", hint="send them in several requests")
    return entries


def _whole(digits: str) -> int | float:
    # An int of very many digits takes a time that grows with their square.
    return int(digits) if len(digits) <= 20 else float(digits)


def _value(metric: object, value: object, *, is_value: bool) -> float:
    if is_value:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST:
            raise _Fault(
                "invalid_value",
                f"`value` of `{metric}` is no number from 0 to {LARGEST:g}: {_as_sent(value)}",
                "send a finite JSON number; one that may be negative needs an offset",
            )
        return float(value)
    if not isinstance(value, bool | int | float) or value not in (0, 1):
        says = FEEDBACK_NAMES.get(str(metric), "send true or false, as the pin file declares it")
        raise _Fault("invalid_value", f"`value` of `{metric}` is neither true nor false: {_as_sent(value)}", says)
    return float(value)


def _comment(comment: object) -> str | None:
    """The comment as it may be stored."""
    if comment is None:
        return None
    if not isinstance(comment, str):
        raise _Fault("invalid_comment", f"`comment` is no string: {_shown(comment)}", "send text, or leave it out")
    if len(comment) > COMMENT_CHARS:
        raise _Fault(
            "comment_too_long", f"`comment` has more than {COMMENT_CHARS} characters", "send its beginning, and keep the rest where you are"
        )
    # The store, and so the policy, is one for all routes: a comment can't be told apart by them before it is joined.
    return redact_text(comment.encode("utf-8", "replace").decode(), "all") or None


def _own_id(own: object) -> str | None:
    if own is not None and not _fits(_ID, own):
        raise _Fault(
            "invalid_id",
            f"`id` is no string of 1 to 128 printable ASCII characters without spaces: {_shown(own)}",
            "send a name of your own for this entry, which makes a repeat harmless; or leave it out",
        )
    return own if isinstance(own, str) else None


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _as_sent(value: object) -> str:
    """The same, a text in its quotes: `"5"` is no number, and does not look like one."""
    return f'`"{line(value, 78)}"`' if isinstance(value, str) else _shown(value)


def _shown(value: object) -> str:
    """A value of the sender's on one short line, in backticks."""
    if isinstance(value, dict | list):
        return "`an object`" if isinstance(value, dict) else "`a list`"
    if value is None or isinstance(value, bool):
        return f"`{json.dumps(value)}`"
    return f"`{line(str(value), 80)}`"
