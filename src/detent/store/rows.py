"""Rows of the journal and the records that they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import fields
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select

from detent.terms import Arm, Begun, Endpoint, Feedback, Intent, Kept, Outcome, Result, Role, UnitKind, Usage

INTENT = tuple(column.name for column in fields(Intent))
_COUNTED = {"input_tokens": "input", "cached_tokens": "cached", "output_tokens": "output", "reasoning_tokens": "reasoning"}
_APART = {"leg", "at_us", "usage", "tools_called", "request_body", "answer_body"}
_RESULT = tuple(column.name for column in fields(Result) if column.name not in _APART)
_FEEDBACK = tuple(column.name for column in fields(Feedback))
_INT64 = 2**63
_AT_ONCE = 10_000  # names in one IN: SQLite takes 32,766


def rows_in(c: Connection, query: Select[Any], column: ColumnElement[Any], names: Collection[str]) -> list[Row[Any]]:
    """The rows of a query whose column has one of these values, however many they are."""
    wanted = list(names)
    rows: list[Row[Any]] = []
    for start in range(0, len(wanted), _AT_ONCE):
        rows += c.execute(query.where(column.in_(wanted[start : start + _AT_ONCE]))).all()
    return rows


def intent_row(intent: Intent, spool: str) -> dict[str, Any]:
    """A row of `legs` whose result is not known yet."""
    row = {name: getattr(intent, name) for name in INTENT}
    for name in ("role", "arm", "arm_served", "unit_kind", "endpoint"):
        row[name] = row[name].value
    row["spool"] = spool
    row["attempt"] = min(intent.attempt, _INT64 - 1)  # a client may claim any number of attempts
    row["betas"] = ",".join(intent.betas) or None
    row["control"] = intent.control or None
    row["falls_back"] = None if intent.falls_back else False
    return row


def result_row(result: Result) -> dict[str, Any]:
    """What a result adds to the row of its leg, which is `b_leg`."""
    row = {name: _stored(getattr(result, name)) for name in _RESULT}
    row |= {column: _stored(getattr(result.usage, name)) for column, name in _COUNTED.items()}
    row["outcome"] = result.outcome.value
    row["result_us"] = result.at_us
    row["tools_called"] = msgspec.json.encode(result.tools_called).decode() if result.tools_called else None
    row["b_leg"] = result.leg
    return row


def begun_row(begun: Begun) -> dict[str, Any]:
    """What a first byte adds to the row of its leg, which is `b_leg`: the column that the result will fill likewise."""
    return {"first_byte_s": begun.first_byte_s, "b_leg": begun.leg}


def _stored(value: Any) -> Any:
    """A provider may claim any number of tokens; what no column holds is not known."""
    return None if isinstance(value, int) and not -_INT64 <= value < _INT64 else value


def body_row(result: Result, at_us: int) -> dict[str, Any]:
    """A row of `bodies`; `at_us` is when its leg was sent."""
    request = result.request_body
    digest = hashlib.sha256(request).hexdigest() if request is not None else None
    return {"leg": result.leg, "at_us": at_us, "request": request, "answer": result.answer_body, "request_digest": digest}


def kept_row(kept: Kept, at_us: int) -> dict[str, Any]:
    """A row of `bodies`: those of a live leg that was mirrored, and was sent at `at_us`."""
    digest = hashlib.sha256(kept.request_body).hexdigest()
    return {"leg": kept.leg, "at_us": at_us, "request": kept.request_body, "answer": kept.answer_body, "request_digest": digest}


def feedback_row(said: Feedback, origin: str) -> dict[str, Any]:
    """A row of `feedback`."""
    return {name: getattr(said, name) for name in _FEEDBACK} | {"origin": origin}


def feedback_of(row: Any) -> Feedback:
    """The feedback in a row of `feedback`."""
    return Feedback(**{name: getattr(row, name) for name in _FEEDBACK})


def intent_of(row: Any) -> Intent:
    """The intent in a row of `legs`; one of an older Detent has no columns that came since."""
    values = {name: getattr(row, name) for name in INTENT}
    values |= {"role": Role(row.role), "arm": Arm(row.arm), "arm_served": Arm(row.arm_served)}
    values["betas"] = tuple(row.betas.split(",")) if row.betas else ()
    values["control"] = bool(row.control)
    values["falls_back"] = row.falls_back is not False
    return Intent(**values | {"unit_kind": UnitKind(row.unit_kind), "endpoint": Endpoint(row.endpoint)})


def begun_of(row: Any) -> Begun | None:
    """The first byte in a row of `legs`; None while it is not there, or not known apart from a result."""
    if row.first_byte_s is None:
        return None
    return Begun(leg=row.leg, at_us=row.at_us + round(row.first_byte_s * 1_000_000), first_byte_s=row.first_byte_s)


def result_of(row: Any, request: bytes | None = None, answer: bytes | None = None) -> Result | None:
    """The result in a row of `legs`, with its bodies if they were asked for; None while it is not known."""
    if row.outcome is None:
        return None
    values = {name: getattr(row, name) for name in _RESULT}
    return Result(
        **values | {"outcome": Outcome(row.outcome)},
        leg=row.leg,
        at_us=row.result_us,
        usage=Usage(**{name: getattr(row, column) for column, name in _COUNTED.items()}),
        tools_called=tuple(msgspec.json.decode(row.tools_called)) if row.tools_called else (),
        request_body=request,
        answer_body=answer,
    )
