"""Layer 1: freeze a baseline from recorded traffic, and run two versions over it, resumable.

Which calls are still to be made is decided by `flips.next_runs`, from the runs already stored: a killed run goes on where it was and never
repeats a paid call that was recorded.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from detent import checks, diff, wire
from detent.errors import CouldNotRun, DetentError, InvalidInput
from detent.evidence import refuses_request
from detent.evidence.flips import RunKey, next_runs
from detent.store import Store
from detent.store.journal import RecordedBody
from detent.terms import Answer, Arm, Baseline, Case, Endpoint, Rollout, Route, Run, Score, Version

ANSWERED = "answered"
"""The check that every answer is graded by, whatever the route names: it applies to each, so that no prompt is left without any score."""

CONTENT_CHECK = "context_agreement"
"""The check whose value is the content score, what a mean-score gate would read; without it, the mean of the other checks' values."""

TRIES = 4
"""Attempts at one call before it is recorded as not scored."""

AT_ONCE = 8
"""Calls in flight of one baseline run."""

BATCH = 40
"""Runs between two writes to the store: what a kill may cost at most, in repeated calls."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request: HTTP status and whole body."""

    status: int
    body: bytes


Ask = Callable[[Version, Endpoint, bytes], Awaitable[Reply]]
"""Send one request body to a version, not streamed. Raises CouldNotRun when there is no answer at all."""


def checks_of(route: Route) -> tuple[str, ...]:
    """The checks that answers of a route are graded by."""
    return route.checks if ANSWERED in route.checks else (*route.checks, ANSWERED)


# ── freezing ────────────────────────────────────────────────────────────────────────────────────────────────────────

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


# ── scoring ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _run(rollout: str, key: RunKey, passed: bool | None, **more: Any) -> Run:
    values: dict[str, Any] = {"content": None, **more}
    return Run(rollout=rollout, case=key.case, arm=key.arm, stage=key.stage, repeat=key.repeat, passed=passed, **values)


def score(route: Route, case: Case, key: RunKey, rollout: str, reply: Reply) -> Run:
    """One recorded call as a run: passed or not by the route's checks, named changes against the known-good output. Pure.

    A refusal of the request itself is a failed run: in production it would be a failed call. What failed for another reason (the
    provider, the account, a broken answer) is not scored: it says nothing about the prompt.
    """
    answer = wire.read_answer(case.endpoint, status=reply.status, body=reply.body, streamed=False)
    if refuses_request(reply.status):
        said = answer.error or f"HTTP {reply.status}"
        return _run(rollout, key, False, failed_checks=("request_refused",), output=said, error=said)
    if not 200 <= reply.status < 300:
        return _run(rollout, key, None, error=f"HTTP {reply.status}")
    if answer.error is not None or not answer.complete:
        return _run(rollout, key, None, error=answer.error or "incomplete answer")
    prompt = wire.read_prompt(case.endpoint, case.request)
    known_good = Answer(text=case.known_good, tool_calls=case.known_good_calls)
    scores = checks.run(checks_of(route), prompt, answer, known_good, checks.find_context(route.context, prompt))
    scored = [s for s in scores if isinstance(s, Score)]
    return _run(
        rollout,
        key,
        checks.passed(scores),
        content=next((s.value for s in scored if s.check == CONTENT_CHECK), sum(s.value for s in scored) / len(scored)),
        changes=tuple(change.name for change in diff.changes(known_good, answer)),
        failed_checks=tuple(s.check for s in scored if not s.passed),
        output=answer.text or "\n".join(f"{call.name}({call.arguments})" for call in answer.tool_calls),
    )


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class BaselineRunner:
    """Makes the calls that a rollout's baseline still needs, and stores them in batches."""

    def __init__(self, store: Store, ask: Ask, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._store = store
        self._ask = ask
        self._pause = pause

    async def run(
        self,
        rollout: Rollout,
        route: Route,
        *,
        going: Callable[[], bool] = lambda: True,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Call until nothing is pending, or `going` says that nobody wants the result any more. `progress` hears of (done, known total)."""
        frozen = await asyncio.to_thread(self._store.state.baseline, route.name)
        if frozen is None:
            return
        cases = {case.id: case for case in frozen.cases}
        done = 0
        while True:
            runs = await asyncio.to_thread(self._store.state.runs, rollout.id)
            pending = next_runs(rollout.plan.baseline, list(cases), runs)
            if not pending:
                return
            for start in range(0, len(pending), BATCH):
                if not await asyncio.to_thread(going):
                    return
                batch = await self._batch(rollout, route, cases, pending[start : start + BATCH])
                await asyncio.to_thread(self._store.state.add_runs, batch)
                done += len(batch)
                progress(done, done + len(pending) - start - len(batch))

    async def _batch(self, rollout: Rollout, route: Route, cases: dict[str, Case], keys: Sequence[RunKey]) -> list[Run]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(key: RunKey) -> Run:
            async with gate:
                return await self._call(rollout, route, cases[key.case], key)

        return list(await asyncio.gather(*(one(key) for key in keys)))

    async def _call(self, rollout: Rollout, route: Route, case: Case, key: RunKey) -> Run:
        """One scored run, after as many attempts as it takes; not scored when all of them fail."""
        version = rollout.stable if key.arm is Arm.STABLE else rollout.candidate
        request = wire.rewrite(case.endpoint, case.request, model=version.model, ask_usage=False)
        run = _run(rollout.id, key, None, error="not called")
        for attempt in range(TRIES):
            if attempt:
                await self._pause(0.25 * 2**attempt)
            try:
                run = score(route, case, key, rollout.id, await self._ask(version, case.endpoint, request))
            except DetentError as error:  # also a recorded request that cannot be read: one odd prompt must not cost the others' calls
                run = _run(rollout.id, key, None, error=error.message)
            if run.passed is not None:
                break
        return run
