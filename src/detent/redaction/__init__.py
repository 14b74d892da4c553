"""Secrets and personal data are taken out before anything is stored; what is left keeps its shape and its meaning. Pure.

    redact_bodies(request, answer, policy)     what a gateway keeps of an exchange
    redact_together(requests, answers, policy) what is kept of a mirrored exchange: several answers to one request
    redact_exchange(exchange, policy)          what is imported from another tool's file
    redact_text(text, policy)                  one text that stands alone, like an error's

kinds.py the shape of a row · secret_kinds.py, personal_kinds.py the rows · named.py names that say "secret" · scan.py one exchange ·
structure.py JSON stays JSON. The table is `KINDS`.

A value becomes a placeholder that names its kind and its number in the exchange, in order of first appearance: "mail ada@example.com and
bob@example.com, not ada@example.com" reads "mail [EMAIL_1] and [EMAIL_2], not [EMAIL_1]". Request and answer share the numbers. What is
redacted already stays as it is. Time is linear in the text, whatever it holds.

Not taken out, on purpose: names of people and places, postal addresses, dates of birth, national ids other than those of the table (no form
tells them from other numbers), secrets without a name or a form of their own, numbers that are JSON numbers, images and other base64.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from detent.redaction.kinds import Kind
from detent.redaction.scan import KINDS, Policy, Scan
from detent.redaction.structure import in_request, in_value
from detent.terms import Answer, RecordedExchange, ToolCall

__all__ = ["KINDS", "Kind", "Policy", "redact_bodies", "redact_exchange", "redact_text", "redact_together"]


def redact_text(text: str, policy: Policy) -> str:
    """One text that stands alone, with placeholders."""
    return in_value(text, Scan(policy, taken=(text,))) if policy != "none" else text


def redact_bodies(request: bytes, answer: Answer, policy: Policy) -> tuple[bytes, Answer, dict[str, int]]:
    """A request and its answer with placeholders, and how much was taken out, by kind.

    The very same bytes come back where nothing was. A request that is no JSON is searched as text. Never raises for what is in them.
    """
    (request,), (answer,), _, counts = _redacted((request,), (answer,), (), policy)
    return request, answer, counts


def redact_together(requests: Sequence[bytes], answers: Sequence[Answer], policy: Policy) -> tuple[tuple[bytes, ...], tuple[Answer, ...]]:
    """Requests and answers of one exchange with placeholders: a value has the same one in all of them, so that answers stay comparable."""
    shown_requests, shown_answers, _, _ = _redacted(tuple(requests), tuple(answers), (), policy)
    return shown_requests, shown_answers


def redact_exchange(exchange: RecordedExchange, policy: Policy) -> RecordedExchange:
    """A recorded exchange with placeholders in request, answer, reference and task.

    A session's name is no text that placeholders could stand in (the next exchange's `[EMAIL_1]` is somebody else): one that holds
    something to take out is left out as a whole.
    """
    if policy == "none":
        return exchange
    beside = (exchange.reference or "", exchange.task)
    (request,), (answer,), (reference, task), counts = _redacted((exchange.request,), (exchange.answer,), beside, policy)
    session = exchange.session
    return replace(
        exchange,
        request=request,
        answer=answer,
        reference=exchange.reference if exchange.reference is None else reference,
        task=task,
        session=None if session is not None and redact_text(session, policy) != session else session,
        redacted={name: exchange.redacted.get(name, 0) + counts.get(name, 0) for name in sorted(exchange.redacted.keys() | counts.keys())},
    )


_Shown = tuple[tuple[str, ...], tuple[Answer, ...], tuple[str, ...]]


def _redacted(
    requests: tuple[bytes, ...], answers: tuple[Answer, ...], beside: tuple[str, ...], policy: Policy
) -> tuple[tuple[bytes, ...], tuple[Answer, ...], tuple[str, ...], dict[str, int]]:
    """Everything of one exchange, in order. Where a value was known only by what stands beside it, and it stands elsewhere as well, all is
    gone through once more with that value in hand: an answer that repeats a password says no `password=` before it.
    """
    if policy == "none":
        return requests, answers, beside, {}
    came: _Shown = (tuple(request.decode("utf-8", "surrogateescape") for request in requests), answers, beside)
    taken = tuple(_texts(came))
    scan = Scan(policy, taken=taken)
    shown = _once(came, scan)
    if scan.by_name and _left(scan, shown):
        scan = Scan(policy, taken=taken, sought=scan.by_name)
        shown = _once(came, scan)
    texts, answers, beside = shown
    pairs = zip(requests, came[0], texts, strict=True)
    kept = tuple(request if text is asked else text.encode("utf-8", "surrogateescape") for request, asked, text in pairs)
    return kept, answers, beside, scan.counts


def _once(came: _Shown, scan: Scan) -> _Shown:
    requests, answers, beside = came
    texts = tuple(in_request(request, scan) for request in requests)
    said = tuple(_answer(answer, scan) for answer in answers)
    return texts, said, tuple(in_value(each, scan) for each in beside)


def _answer(answer: Answer, scan: Scan) -> Answer:
    said = in_value(answer.text, scan)
    calls = tuple(ToolCall(scan.text(c.id), scan.text(c.name), in_value(c.arguments, scan, "arguments")) for c in answer.tool_calls)
    error = answer.error if answer.error is None else in_value(answer.error, scan)
    if (said, calls, error) == (answer.text, answer.tool_calls, answer.error):
        return answer
    return replace(answer, text=said, tool_calls=calls, error=error)


def _texts(shown: _Shown) -> Iterator[str]:
    """Every text of an exchange in which a value may stand."""
    requests, answers, beside = shown
    yield from requests
    for answer in answers:
        yield answer.text
        yield answer.error or ""
        yield from (call.arguments for call in answer.tool_calls)
    yield from beside


def _left(scan: Scan, shown: _Shown) -> bool:
    """Whether a value that was known by its name may still stand somewhere: one that JSON spells in its own way is taken to."""
    everything = tuple(_texts(shown))
    return any(not value.isascii() or '"' in value or "\\" in value or any(value in each for each in everything) for value in scan.by_name)
