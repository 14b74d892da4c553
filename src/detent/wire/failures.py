"""Detent's own failures in the shape of the caller's protocol, so that the caller's SDK raises what it always raises."""

from __future__ import annotations

from typing import Any

import msgspec

from detent.errors import InvalidInput
from detent.terms import Dialect, Endpoint
from detent.wire import json_text
from detent.wire.json_text import a_word, an_object
from detent.wire.sse import write_event

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


def _openai(status: int, message: str, code: str) -> dict[str, Any]:
    kind = _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(status: int, message: str, code: str) -> dict[str, Any]:
    kind = _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message, "details": {"error_code": code}}}


def _gemini(status: int, message: str, code: str) -> dict[str, Any]:
    kind = _GEMINI_STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "detent"}
    return {"error": {"code": status, "message": message, "status": kind, "details": [info]}}


_SHAPES = {Dialect.OPENAI: _openai, Dialect.ANTHROPIC: _anthropic, Dialect.GEMINI: _gemini}


def error_body(dialect: Dialect, status: int, message: str, code: str) -> bytes:
    """The JSON body of an error answer with this HTTP status; `code` is a slug for programs."""
    return msgspec.json.encode(_SHAPES[dialect](status, message, code))


def error_event(endpoint: Endpoint, message: str, code: str) -> bytes:
    """The event that ends a stream that can't go on (its 200 is already sent). After it the socket is aborted, never closed cleanly."""
    return write_event(error_body(endpoint.dialect, 500, message, code), "error" if endpoint is Endpoint.ANTHROPIC_MESSAGES else None)


def error_text(value: Any) -> str | None:
    """The message in an error-shaped value of any dialect (also `detail`, as other servers say), or None where there is none."""
    body = an_object(value)
    error = body.get("error")
    for found in (an_object(error).get("message"), error, body.get("message"), body.get("detail")):
        if (text := a_word(found, limit=500)) is not None:
            return text
    return "an error without a message" if error else None


def failure_text(body: bytes, otherwise: str) -> str:
    """The provider's words in the body of an error answer or error event: its message, else how it begins, else `otherwise`."""
    try:
        text = error_text(json_text.load(body))
    except InvalidInput:
        text = None
    return text or a_word(body[:1200].decode("utf-8", "replace").strip(), limit=300) or otherwise
