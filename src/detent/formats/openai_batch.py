"""`openai_batch`: the two files of OpenAI's batch API, requests and answers, joined by `custom_id`; in any order, also in one file.

One half waits for the other: what waits is kept as JSON bytes, at most HELD_BYTES of it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from detent.errors import InvalidInput
from detent.formats.answers import read_answer
from detent.formats.building import Draft, exchange, when
from detent.formats.reasons import DUPLICATE, FAILED, NO_ANSWER, NO_MESSAGES, NOT_CHAT, UNKNOWN, Unusable
from detent.formats.rows import Found, Options, Row, Rows, guarded
from detent.terms import RecordedExchange, RefusedRow
from detent.wire.json_text import an_object

HELD_BYTES = 512 * 1024 * 1024
"""Of waiting halves; a batch has at most 200 MB of requests."""
_CHAT = ("/v1/chat/completions", "/v1/messages")
_DECODER = msgspec.json.Decoder(dict[str, Any])


def seen(row: dict[str, Any]) -> bool:
    """Whether a first row is of this form."""
    return isinstance(row.get("custom_id"), str) and ("body" in row or "response" in row or "error" in row)


def _is_request(row: dict[str, Any]) -> bool:
    return "response" not in row and not row.get("error")


class _Waiting:
    """Halves whose other half has not come: where each stood, and its bytes."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, bytes]] = {}
        self.bytes = 0

    def add(self, name: str, row: Row) -> None:
        held = msgspec.json.encode(row.value)
        self.bytes += len(held)
        if self.bytes > HELD_BYTES:
            raise InvalidInput(
                f"more than {HELD_BYTES // 2**20} MiB of requests and answers whose other half has not come, at: `{row.where}`",
                hint="name the request file and the answer file of one batch, and no other",
            )
        self.rows[name] = (row.where, held)

    def take(self, name: str) -> Row | None:
        found = self.rows.pop(name, None)
        if found is None:
            return None
        self.bytes -= len(found[1])
        return Row(found[0], _DECODER.decode(found[1]))


def reader(rows: Rows, options: Options) -> Found:
    """Each exchange once both halves are there; halves without the other at the end."""
    asked, answered = _Waiting(), _Waiting()
    done: set[str] = set()
    for row in rows:
        if isinstance(row, RefusedRow):
            yield row
            continue
        name = row.value.get("custom_id")
        if not isinstance(name, str) or not name:
            yield RefusedRow(row.where, UNKNOWN, "no `custom_id`")
            continue
        mine, others = (asked, answered) if _is_request(row.value) else (answered, asked)
        if name in done or name in mine.rows:
            yield RefusedRow(row.where, DUPLICATE, f"`{name[:100]}`")
            continue
        other = others.take(name)
        if other is None:
            mine.add(name, row)
            continue
        done.add(name)
        request, response = (row, other) if mine is asked else (other, row)
        yield guarded(request.where, lambda request=request, response=response: _joined(request.value, response.value, request.where))  # type: ignore[misc]
    for where, _ in asked.rows.values():
        yield RefusedRow(where, NO_ANSWER, "no answer has this `custom_id`; name the answer file as well")
    for where, _ in answered.rows.values():
        yield RefusedRow(where, NO_MESSAGES, "no request has this `custom_id`; name the request file as well")


def _joined(request: dict[str, Any], response: dict[str, Any], where: str) -> RecordedExchange:
    url = request.get("url")
    if isinstance(url, str) and not url.endswith(_CHAT):
        raise Unusable(NOT_CHAT, f"`{url[:100]}`")
    if response.get("error"):
        raise Unusable(FAILED, str(an_object(response["error"]).get("message") or response["error"]))
    outcome = an_object(response.get("response"))
    status, body = outcome.get("status_code"), outcome.get("body")
    if status not in (200, None):
        raise Unusable(FAILED, f"status {status}: {an_object(an_object(body).get('error')).get('message') or ''}")
    asked = request.get("body")
    if not isinstance(asked, dict):
        raise Unusable(UNKNOWN, "a request without an object `body`")
    draft = Draft(body=dict(asked), answer=read_answer(body), url=url if isinstance(url, str) else "")
    draft.at = when(an_object(body).get("created"))
    return exchange(where, draft)
