"""One mirrored exchange after the other: pause, budget, calls, records. Nothing here can reach a caller; it has its own process.

    job -> left out and counted (paused, budget, lost)
        -> intents -> calls at once, at most 16 of all jobs -> read and redacted in a thread -> records, in one go

The records of an exchange are written when all its calls have ended: the live bodies first, then the results; or, where no bodies are
stored, its scores and then the results. Of a copy to the way back there are results and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from detent import reading
from detent.evidence.spending import Cost, Limit
from detent.reading import READ_BYTES
from detent.shadow import records
from detent.shadow.budget import Budget, Hold
from detent.shadow.job import Job, MirrorCall
from detent.shadow.pauses import Pauses
from detent.shadow.records import Ended
from detent.shadow.scoring import Scoring
from detent.shadow.unmirrored import UnmirroredSums
from detent.store.spool import Entry
from detent.tape import Tape
from detent.terms import Arm, NotMirrored, Outcome
from detent.upstream import Reply, Upstream, UpstreamError
from detent.wire.patience import retry_after

AT_ONCE = 16
"""Calls under way, of all jobs."""

CALL_S = 600.0
"""The longest that a call may take, however steadily it goes on: as long as live traffic waits for a first byte."""


Read = tuple[Arm, records.Leg]
"""A call that was made, as it was read."""


class Sink(Protocol):
    """Where records go: a spool."""

    def write(self, entry: Entry) -> None:
        """Takes an entry. Never raises and never waits."""


class Sender:
    """Use it in one event loop. `say` hears of faults of our own."""

    def __init__(
        self,
        upstream: Upstream,
        spool: Sink,
        budget: Budget,
        scoring: Scoring,
        *,
        clock_us: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda message: None,
        call_s: float = CALL_S,
    ) -> None:
        self._upstream = upstream
        self._spool = spool
        self._budget = budget
        self._scoring = scoring
        self._clock_us = clock_us
        self._monotonic = monotonic
        self._say = say
        self._call_s = call_s
        self._left_out = UnmirroredSums(spool.write, clock_us)
        self._pauses = Pauses()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._reading = ThreadPoolExecutor(1, "records")
        self._ending = False

    def end(self) -> None:
        """Begin no more calls: jobs that have sent none are counted as lost."""
        self._ending = True

    def close(self) -> None:
        """Write what was counted."""
        self._left_out.flush()
        self._reading.shutdown(wait=False, cancel_futures=True)

    async def mirror(self, job: Job) -> None:
        """Do a job, or leave it out. Never raises but for being cancelled."""
        try:
            await self._mirror(job)
        except Exception as fault:  # noqa: BLE001 one odd exchange must not end the process, and with it all others under way
            self._leave_out(job, "lost")
            self._say(f"an exchange could not be mirrored: {type(fault).__name__}")

    async def _mirror(self, job: Job) -> None:
        calls = [job.candidate, *([] if job.second is None else [job.second])]
        if self._ending:
            return self._leave_out(job, "lost")
        if any(self._pauses.paused(call.intent.provider, self._monotonic()) for call in calls):
            return self._leave_out(job, "paused")
        limit = Limit(usd=job.mirror.usd_per_day, tokens=job.mirror.tokens_per_day)
        if limit.usd is not None and any(records.price_of(job, call) is None for call in calls):
            return self._leave_out(job, "budget")
        worst = [records.worst_of(job, call) for call in calls]
        hold = await self._budget.take(job.payer, limit, sum(worst, Cost()))
        if hold is None:
            return self._leave_out(job, "budget")
        sent: list[MirrorCall] = []
        why: NotMirrored = "lost"
        try:
            holds = self._budget.apart(hold, worst)
            found = await asyncio.gather(*(self._call(job, call, of_one, sent) for call, of_one in zip(calls, holds, strict=True)))
            why = next((one for one in found if isinstance(one, str)), why)
            await self._write(job, [one for one in found if not isinstance(one, str)])
        finally:
            if job.candidate not in sent:
                self._leave_out(job, why)
        return None

    def _leave_out(self, job: Job, reason: NotMirrored) -> None:
        if job.drawn:
            self._left_out.add(job.counter, reason)

    # ── a call ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _call(self, job: Job, call: MirrorCall, hold: Hold, sent: list[MirrorCall]) -> Read | NotMirrored:
        """Make a call when it is its turn, read what was heard, and settle what it cost, before another has its turn; or why it was not
        sent.
        """
        cost = Cost()
        try:
            async with self._slots:
                if not await self._budget.still(hold):
                    return "budget"
                if self._ending:
                    return "lost"
                if self._pauses.paused(call.intent.provider, self._monotonic()):
                    return "paused"
                sent.append(call)
                cost = hold.worst  # as long as nobody knows better: the process may end in mid-call
                ended = await self._heard(call)
                leg = await asyncio.get_running_loop().run_in_executor(self._reading, records.read_leg, job, ended)
                cost = records.cost_of(job, call, leg.result)
        finally:
            self._budget.settle(hold, cost)
        return call.intent.arm, leg

    async def _heard(self, call: MirrorCall) -> Ended:
        """Make a call and hear it to its end, within bounds."""
        tape = Tape(self._clock_us)
        intent = replace(call.intent, at_us=tape.sent_us)
        self._spool.write(intent)
        try:
            async with asyncio.timeout(self._call_s):
                with await self._upstream.send(call.outgoing) as reply:
                    tape.opened(reply)
                    self._hear(call, reply)
                    await _listen(call, reply, tape)
        except UpstreamError as failure:
            tape.failed(failure)
        except TimeoutError:
            tape.failed(UpstreamError(Outcome.TIMED_OUT, "upstream_timeout", f"the answer took longer than {self._call_s:.0f} s"))
        except Exception as error:  # noqa: BLE001 what no rule foresees, like a header that HTTP forbids: it has its result all the same
            odd = UpstreamError(Outcome.MALFORMED, "upstream_malformed", "the provider's answer cannot be read")
            odd.__cause__ = error
            tape.failed(odd)
        return Ended(replace(call, intent=intent), tape.heard())

    def _hear(self, call: MirrorCall, reply: Reply) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reply.headers}
        waits_s = retry_after(headers, datetime.fromtimestamp(self._clock_us() / 1e6, UTC))
        self._pauses.hear(call.intent.provider, reply.status, waits_s, self._monotonic())

    # ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self, job: Job, legs: list[Read]) -> None:
        """Write the records of a job whose calls have ended, redacted in a thread: large bodies take long."""
        for entry in await asyncio.get_running_loop().run_in_executor(self._reading, self._entries, job, legs):
            self._spool.write(entry)

    def _entries(self, job: Job, legs: list[Read]) -> list[Entry]:
        mirrored, of_arm = [leg for _, leg in legs], dict(legs)
        if job.warms:
            return [leg.result for leg in mirrored]
        try:
            live = records.read_live(job)
            if job.keeps:
                kept, results = records.with_bodies(job, live, mirrored, self._clock_us())
                return [kept, *results]
            candidate = of_arm.get(Arm.CANDIDATE)
            scored = (
                []
                if candidate is None
                else [self._scoring.score(job.route, records.recorded(job, live, candidate, of_arm.get(Arm.STABLE)))]
            )
        except Exception as fault:  # noqa: BLE001 as in a gateway: what could not be redacted is not kept, and the legs have their results
            self._say(f"the bodies of a mirrored exchange are not kept: {type(fault).__name__}")
            scored = []
        return [*scored, *(leg.result for leg in mirrored)]


async def _listen(call: MirrorCall, reply: Reply, tape: Tape) -> None:
    """Hear an answer to its end. Raises UpstreamError where it breaks off, or becomes longer than anybody reads."""
    size = 0
    while chunk := await reply.read():
        tape.add(chunk)
        size += len(chunk)
        if size > READ_BYTES:
            raise UpstreamError(
                Outcome.MALFORMED, "upstream_too_large", f"the answer is longer than {READ_BYTES} bytes", status=reply.status
            )
    if reply.ends_by_close and not reading.whole(call.intent.endpoint, tape.heard()):
        raise UpstreamError(Outcome.UPSTREAM_TRUNCATED, "upstream_truncated", "the provider's answer broke off")
