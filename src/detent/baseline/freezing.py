"""Freeze a baseline from recorded traffic."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

import msgspec

from detent import wire
from detent.errors import CouldNotRun, InvalidInput
from detent.store import Store
from detent.store.journal import RecordedBody
from detent.terms import Baseline, Case, Route

NOT_THE_PROMPT = {
    "model",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
}
"""Members of a request that say who asks, and how the answer travels: two requests that differ in nothing else are one prompt."""

READ_FOR_EACH = 4
"""Recorded requests that are read for each prompt wanted, since many may be the same one."""


def _prompt_id(request: bytes) -> str:
    """The case id of a request. Raises InvalidInput for what is no JSON object."""
    try:
        asked = json.loads(request)
        prompt = {name: value for name, value in asked.items() if name not in NOT_THE_PROMPT}
    except (ValueError, AttributeError, RecursionError):
        raise InvalidInput("a recorded request is no JSON object") from None
    return "ca_" + hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:16]


def freeze(store: Store, route: Route, now: datetime, *, limit: int) -> Baseline:
    """A baseline of at most `limit` distinct prompts from the route's recorded traffic, each with stable's newest complete answer to it.

    Most recent first; see `NOT_THE_PROMPT` for what makes two requests one prompt. Raises CouldNotRun when the journal holds none.
    """
    cases: dict[str, Case] = {}
    for recorded in store.journal.bodies(route.name, model=route.version, limit=READ_FOR_EACH * limit):
        case = _case(route, recorded, now)
        if case is not None and len(cases) < limit:
            cases.setdefault(case.id, case)
    if not cases:
        raise CouldNotRun(
            f"no recorded answer of `{route.version}` on route `{route.name}` to freeze",
            hint="send traffic through the gateway with `record = { bodies = ... }` above 0, then freeze again",
        )
    frozen = [(case.id, case.known_good, case.known_good_calls) for case in cases.values()]
    digest = hashlib.sha256(msgspec.json.encode(frozen)).hexdigest()
    baseline = Baseline(route=route.name, digest=digest, frozen_at=now, owner=route.owner, cases=tuple(cases.values()))
    store.state.put_baseline(baseline)
    return baseline


def _case(route: Route, recorded: RecordedBody, now: datetime) -> Case | None:
    """A recorded exchange as a case; None when its answer is not whole or a refusal, or its request can't be sent again."""
    answer = wire.read_answer(recorded.endpoint, status=200, body=recorded.answer, streamed=recorded.stream)
    if not answer.complete or answer.error is not None or answer.refusal:
        return None
    try:
        request = wire.unstreamed(recorded.request)
        wire.read_prompt(recorded.endpoint, request)
        name = _prompt_id(request)
    except InvalidInput:
        return None
    return Case(
        id=name,
        route=route.name,
        endpoint=recorded.endpoint,
        request=request,
        known_good=answer.text,
        known_good_calls=answer.tool_calls,
        frozen_at=now,
        exchange=recorded.exchange,
    )
