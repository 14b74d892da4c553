"""`litellm`: LiteLLM's StandardLoggingPayload, one a line, as its callbacks and bucket loggers write it.

Fields read: id, call_type, status, model, messages, response, model_parameters, startTime, metadata, trace_id, error_str
(docs.litellm.ai/docs/proxy/logging_spec).
"""

from __future__ import annotations

from typing import Any

from detent.formats.answers import read_answer
from detent.formats.building import Draft, exchange, first_text, is_anthropic, parameters, read_loose, when
from detent.formats.reasons import FAILED, NOT_CHAT, WITHHELD, Unusable
from detent.formats.rows import Ids, Options, Row, each
from detent.terms import RecordedExchange
from detent.wire.json_text import an_object

_CHAT = frozenset({"completion", "acompletion", "anthropic_messages", "chat_completion"})
_WITHHELD = ("redacted-by-litellm", "(litellm_truncated ")
_MARKS = ("call_type", "model_parameters", "model_group", "model_map_information", "hidden_params", "startTime")


def seen(row: dict[str, Any]) -> bool:
    """Whether a first row is of this form."""
    payload = _payload(row)
    return "messages" in payload and sum(name in payload for name in _MARKS) >= 2


def _payload(row: dict[str, Any]) -> dict[str, Any]:
    inner = row.get("standard_logging_object")
    return inner if isinstance(inner, dict) else row


def _one(row: Row, options: Options, ids: Ids) -> RecordedExchange:
    payload = _payload(row.value)
    kind = payload.get("call_type")
    if isinstance(kind, str) and kind and kind not in _CHAT:
        raise Unusable(NOT_CHAT, f"`{kind[:100]}`")
    if payload.get("status") not in ("success", None):
        raise Unusable(FAILED, first_text(payload, ("error_str",)) or first_text(an_object(payload.get("error_information")), _ERROR))
    found = exchange(row.where, _draft(payload, kind))
    if any(mark.encode() in found.request or mark in found.answer.text for mark in _WITHHELD):
        raise Unusable(WITHHELD, "LiteLLM was told to leave messages out, or cut them")
    ids.once(first_text(payload, ("id",)))
    return found


_ERROR = ("error_message", "error_class", "error_code")
reader = each(_one)


def _draft(payload: dict[str, Any], kind: object) -> Draft:
    asked = read_loose(payload.get("messages"))
    body: dict[str, Any] = parameters(payload.get("model_parameters"))
    if isinstance(asked, dict):
        body |= asked
    elif isinstance(asked, str) and asked:
        body["messages"] = [{"role": "user", "content": asked}]
    else:
        body["messages"] = asked
    metadata = an_object(payload.get("metadata"))
    requester = an_object(metadata.get("requester_metadata"))
    anthropic = kind == "anthropic_messages" or is_anthropic(body)
    return Draft(
        body=body,
        answer=read_answer(payload.get("response"), sniff=True),
        loose=not anthropic,
        anthropic=anthropic,
        model=first_text(payload, ("model",)),
        at=when(payload.get("startTime")),
        session=first_text(metadata, ("session_id",))
        or first_text(requester, ("session_id",))
        or first_text(payload, ("trace_id",))
        or None,
    )
