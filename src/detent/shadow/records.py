"""What is written down of a mirrored exchange, and what its calls have cost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from detent import reading, wire
from detent.errors import InvalidInput
from detent.evidence.spending import Cost, cost_usd, worst_call
from detent.exchange import KEPT_BYTES, error_kept
from detent.grading import RecordedPair, Side
from detent.reading import Heard
from detent.redaction import redact_text, redact_together
from detent.shadow.job import Job, MirrorCall
from detent.terms import Answer, Arm, Kept, Outcome, Price, Result

MOST_ANSWERS = 128
"""As many answers to one request as any provider gives."""


class _Asks(msgspec.Struct):
    """How many answers a request asks for: each is paid."""

    n: Any = None


_ASKS = msgspec.json.Decoder(_Asks)


@dataclass(frozen=True, slots=True)
class Ended:
    """A mirrored leg that has ended: the call and what was heard."""

    call: MirrorCall
    heard: Heard


@dataclass(frozen=True, slots=True)
class Leg:
    """A leg as it was read: what it asked for, how it ended, and its answer; None where nothing of it can be kept."""

    request: bytes
    result: Result
    answer: Answer | None


# ── money ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def price_of(job: Job, call: MirrorCall) -> Price | None:
    """What the version of a call costs, as the rollout has it."""
    return job.mirror.candidate_price if call.intent.arm is Arm.CANDIDATE else job.mirror.stable_price


def worst_of(job: Job, call: MirrorCall) -> Cost:
    """What a call may cost at most."""
    body = call.outgoing.body
    try:
        most = wire.read_prompt(call.intent.endpoint, body).max_tokens
        n = _ASKS.decode(body).n
    except (InvalidInput, msgspec.DecodeError, RecursionError):
        most, n = None, None
    answers = min(n, MOST_ANSWERS) if isinstance(n, int) and n > 1 else 1
    return worst_call(body, price_of(job, call), max_tokens=most, answers=answers)


def cost_of(job: Job, call: MirrorCall, result: Result | None) -> Cost:
    """What a call has cost: by the tokens that the provider counted; nothing where it gave no answer; else the most it may have."""
    if result is None or result.outcome is Outcome.CONNECT_FAILED or (result.status or 200) >= 400:
        return Cost()
    usage, price = result.usage, price_of(job, call)
    if usage.input is None or usage.output is None:
        return worst_of(job, call)
    return Cost(usd=0.0 if price is None else cost_usd(usage, price) or 0.0, tokens=usage.input + usage.output)


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_live(job: Job) -> Leg:
    """The live leg, read anew from its bytes."""
    return _read(job, job.request, job.heard, job.live.leg)


def read_leg(job: Job, ended: Ended) -> Leg:
    """A mirrored leg. What the provider said of an error is redacted."""
    return _read(job, ended.call.outgoing.body, ended.heard, ended.call.intent.leg)


def _read(job: Job, request: bytes, heard: Heard, leg: str) -> Leg:
    try:
        result, answer = reading.read(job.live.endpoint, request, heard, leg)
    except Exception:  # noqa: BLE001 a defect in reading must not take the leg's result with it; its bodies are not kept then
        return Leg(b"", reading.unread(heard, leg), None)
    result = replace(
        result,
        error=error_kept(result, job.redact, keeps=job.keeps),
        tools_called=tuple(redact_text(name, job.redact) for name in result.tools_called),
    )
    return Leg(request, result, answer if heard.body is not None and len(heard.body) <= KEPT_BYTES else None)


def with_bodies(job: Job, live: Leg, mirrored: Sequence[Leg], at_us: int) -> tuple[Kept, tuple[Result, ...]]:
    """The records of an exchange with what was asked and said, redacted together: the same value has one placeholder in all of it."""
    legs = (live, *mirrored)
    requests, answers = redact_together(
        [leg.request if len(leg.request) <= KEPT_BYTES else b"" for leg in legs], [leg.answer or Answer() for leg in legs], job.redact
    )
    kept = [None if leg.answer is None else reading.keep(said) for leg, said in zip(legs, answers, strict=True)]
    results = tuple(
        replace(leg.result, error=said.error or leg.result.error, request_body=request or None, answer_body=body)
        for leg, request, said, body in zip(mirrored, requests[1:], answers[1:], kept[1:], strict=True)
    )
    return Kept(leg=job.live.leg, at_us=at_us, request_body=requests[0], answer_body=kept[0] or b""), results


def recorded(job: Job, live: Leg, candidate: Leg, second: Leg | None) -> RecordedPair:
    """The exchange as it is graded, from memory."""
    legs = [live, candidate, *([] if second is None else [second])]
    return RecordedPair(
        rollout=job.live.rollout or "",
        exchange=job.live.exchange,
        at_us=max(leg.result.at_us for leg in legs),
        asked_us=job.live.at_us,
        unit=job.live.unit,
        endpoint=job.live.endpoint,
        request=job.request,
        template=job.live.template,
        drawn=job.drawn,
        stable=_side(live),
        candidate=_side(candidate),
        second=None if second is None else _side(second),
    )


def _side(leg: Leg) -> Side:
    result = leg.result
    return Side(outcome=result.outcome, status=result.status, answer=leg.answer, said=result.error or "")
