"""`openai_chat`: one chat request and its answer a line, in the shapes that teams log and fine-tune with; Detent's own records too."""

from __future__ import annotations

from typing import Any

from detent.formats.answers import read_answer
from detent.formats.building import PARAMETERS, Draft, exchange, first_text, parameters, read_loose, share, when
from detent.formats.reasons import FAILED, NO_ANSWER, UNKNOWN, Unusable
from detent.formats.rows import Ids, Options, Row, each
from detent.terms import Answer, RecordedExchange
from detent.wire.json_text import a_list, a_word, an_object

_REQUESTS = ("request", "body", "request_body", "kwargs")
_ANSWERS = ("response", "completion", "output", "answer", "response_body")
_IDS = ("id", "exchange_id", "request_id", "custom_id", "call_id")
_TIMES = ("at", "timestamp", "recorded", "created_at", "created", "time", "ts", "start_time")
_SESSIONS = ("session", "session_id", "conversation_id", "thread_id")


def seen(row: dict[str, Any]) -> bool:
    """Whether a first row is of this form."""
    if isinstance(row.get("messages"), list):
        return True
    body = _body(row)
    return body is not None and "messages" in body


def _body(row: dict[str, Any]) -> dict[str, Any] | None:
    """The request's body, where the row keeps it apart: as an object or its JSON text, in an envelope of method, url and body or not."""
    for name in _REQUESTS:
        found = read_loose(row.get(name))
        if isinstance(found, dict):
            inner = read_loose(found.get("body"))
            return inner if isinstance(inner, dict) and "messages" not in found else found
    return None


def _one(row: Row, options: Options, ids: Ids) -> RecordedExchange:
    value = row.value
    body = _body(value)
    if body is not None:
        draft = _pair(value, body)
    elif "prompt_id" in value or "version" in value:
        draft = _record(value)
    else:
        draft = _conversation(value)
    found = exchange(row.where, _said_around(value, draft))
    if "prompt_id" in value:
        ids.once(a_word(value["prompt_id"]), found.model)
    else:
        ids.once(first_text(value, _IDS))
    return found


reader = each(_one)


def _pair(row: dict[str, Any], body: dict[str, Any]) -> Draft:
    """`{"request": {...}, "response": {...}}` and its like."""
    said = next((row[name] for name in _ANSWERS if row.get(name) is not None), None)
    envelope = read_loose(said)
    if isinstance(envelope, dict) and "body" in envelope and "choices" not in envelope:
        _check_status(envelope)
        said = read_loose(envelope["body"])
    _check_status(row)
    outer = an_object(next((row[name] for name in _REQUESTS if row.get(name) is not None), None))
    headers = {str(key).lower(): value for key, value in an_object(outer.get("headers") or row.get("headers")).items()}
    betas = first_text(headers, ("anthropic-beta",))
    whole = an_object(read_loose(said))
    return Draft(
        body=dict(body),
        named=first_text(whole, ("model",)),
        at=when(whole.get("created")),
        answer=read_answer(said, sniff=True),
        url=first_text(outer, ("url", "path")) or first_text(row, ("url", "path", "endpoint")),
        anthropic=True if whole.get("type") == "message" and "max_tokens" in body else None,
        api_version=first_text(headers, ("anthropic-version",)) or None,
        betas=tuple(name.strip() for name in betas.split(",") if name.strip()),
    )


def _check_status(row: dict[str, Any]) -> None:
    """Raises Unusable for a call that failed."""
    status = row.get("status_code", row.get("status"))
    if type(status) is int and not 200 <= status < 300:
        raise Unusable(FAILED, f"status {status}")
    if row.get("error"):
        raise Unusable(FAILED, str(an_object(row["error"]).get("message") or row["error"]))


def _record(row: dict[str, Any]) -> Draft:
    """Detent's own record of one version's answer to one prompt; see `compare.records`."""
    output = row.get("output")
    if output is not None and not isinstance(output, str):
        raise Unusable(UNKNOWN, "`output` is no text")
    message = {"role": "assistant", "content": output, "tool_calls": a_list(row.get("tool_calls"))}
    answer: Answer | None = read_answer(message, finish_reason=a_word(row.get("finish_reason")))
    body = parameters(row.get("params")) | {"messages": row.get("messages")}
    if row.get("tools"):
        body["tools"] = row["tools"]
    return Draft(body=body, answer=answer, loose=True, model=first_text(row, ("version",)))


def _conversation(row: dict[str, Any]) -> Draft:
    """`{"messages": [...], "completion": ...}`, or messages of which the last is the answer, as files for fine-tuning have it."""
    _check_status(row)
    body = {key: value for key, value in row.items() if key in PARAMETERS or key in ("messages", "system", "model")}
    finish = a_word(row.get("finish_reason"))
    said = next((row[name] for name in _ANSWERS if row.get(name) is not None), None)
    if said is not None:
        return Draft(body=body, answer=read_answer(said, finish_reason=finish, sniff=True))
    messages = a_list(row.get("messages"))
    last = an_object(messages[-1]) if messages else {}
    if last.get("role") != "assistant":
        return Draft(body=body, answer=None, fault=(NO_ANSWER, "the last message is not the assistant's") if messages else (NO_ANSWER, ""))
    history = [{key: member for key, member in an_object(message).items() if key != "weight"} for message in messages[:-1]]
    return Draft(body=body | {"messages": history}, answer=read_answer(last, finish_reason=finish))


def _said_around(row: dict[str, Any], draft: Draft) -> Draft:
    """The draft with what stands beside request and answer: time, session, task, labels."""
    draft.at = next((at for name in _TIMES if (at := when(row.get(name))) is not None), draft.at)
    draft.session = first_text(row, _SESSIONS) or None
    draft.task = first_text(row, ("task",))
    draft.model = draft.model or first_text(row, ("model", "version"))
    draft.api_version = draft.api_version or first_text(row, ("api_version", "anthropic_version", "anthropic-version")) or None
    correct, reference = row.get("correct"), row.get("reference")
    draft.correct = correct if isinstance(correct, bool) else None
    draft.reference = reference if isinstance(reference, str) else None
    draft.rating = share(row.get("rating"))
    return draft
