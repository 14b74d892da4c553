"""Which live exchanges are handed to the process that mirrors, once they are answered; and what becomes of those that are not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from detent import exchange, legs
from detent.exchange import Exchange
from detent.gateway.allowance import Allowance
from detent.gateway.mirroring import MirrorSink
from detent.rare import Mirrored
from detent.reading import Heard
from detent.shadow.job import Job, MirrorCall
from detent.shadow.unmirrored import UnmirroredSums
from detent.terms import Intent, Leg, Mirror, NotMirrored, Result, Unmirrored
from detent.trickle import counter
from detent.upstream import Outgoing
from detent.wire.patience import SLOW_DOWN

PAUSE_S = 30.0
"""How long nothing is mirrored to a provider that told live traffic to slow down."""


class MirrorDesk:
    """Draws, builds the job, offers it. Without a sink nothing is mirrored, and nothing counted."""

    def __init__(
        self,
        sink: MirrorSink | None,
        record: Callable[[Unmirrored], None],
        *,
        counts: Counter[str],
        clock_us: Callable[[], int],
        new_id: Callable[[str], str],
        monotonic: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._unmirrored = UnmirroredSums(record, clock_us)
        self._counts = counts
        self._clock_us = clock_us
        self._new_id = new_id
        self._monotonic = monotonic
        self._mirrored = Mirrored()
        self._paused_until: dict[str, float] = {}
        self._allowances: dict[str, tuple[float, Allowance]] = {}

    async def close(self) -> None:
        """Lets what was handed over be finished, and writes what was counted."""
        if self._sink is not None:
            await self._sink.close()
        self._unmirrored.flush()

    def answered(self, leg: Leg, status: int | None) -> None:
        """Takes note of a live leg's status: a provider that says "slow down" gets nothing more from the shadow for a while."""
        if status in SLOW_DOWN:
            self._paused_until[leg.version.provider] = self._monotonic() + PAUSE_S

    def mirror(self, ex: Exchange, leg: Leg, *, live: Intent, heard: Heard, written: Result, outgoing: Callable[[Leg], Outgoing]) -> None:
        """Hands on an exchange that is drawn. `live`, `heard` and `written` are of its live leg, which has ended. Never raises."""
        try:
            self._mirror(ex, leg, live, heard, written, outgoing)
        except Exception:  # noqa: BLE001 - the caller has its answer, and no defect of ours may take the connection away
            self._counts["mirror_faults"] += 1

    def _mirror(  # noqa: PLR0917
        self, ex: Exchange, leg: Leg, live: Intent, heard: Heard, written: Result, outgoing: Callable[[Leg], Outgoing]
    ) -> None:
        if self._sink is None:
            return
        if legs.may_warm(ex, leg, written):
            self._warm(self._sink, ex, live, heard, outgoing)
        elif legs.may_mirror(ex, leg, written):
            self._shadow(self._sink, ex, live, heard, outgoing)

    def _shadow(self, sink: MirrorSink, ex: Exchange, live: Intent, heard: Heard, outgoing: Callable[[Leg], Outgoing]) -> None:
        taken = self._mirrored.takes(ex.assignment.unit, ex.flag, ex.head)
        if taken is None or ex.flag.mirror is None or ex.flag.rollout is None:
            return
        refused = legs.not_mirrored(ex, heard)
        if refused is None:
            candidate, second = legs.mirrored_legs(ex, taken, self._new_id)
            calls = [candidate] if second is None else [candidate, second]
            reason = self._held_back(calls, ex.flag.rollout, ex.flag.mirror)
            refused = None if reason is None else (reason, "")
            if refused is None:
                job = Job(
                    mirror=ex.flag.mirror,
                    route=ex.route.name,
                    live=live,
                    request=ex.body,
                    heard=heard,
                    candidate=self._call(ex, candidate, outgoing),
                    second=None if second is None else self._call(ex, second, outgoing),
                    drawn=taken == "drawn",
                    keeps=ex.route.record.bodies > 0.0,
                    redact=ex.route.record.redact,
                )
                refused = _offered(sink, job)
        if refused is None:
            self._mirrored.took(ex.assignment.unit, ex.flag, ex.head, taken)
        elif taken == "drawn":  # what only a rare template would have brought in would distort the picture of the share
            self._unmirrored.add(ex.flag.rollout, *refused)

    def _warm(self, sink: MirrorSink, ex: Exchange, live: Intent, heard: Heard, outgoing: Callable[[Leg], Outgoing]) -> None:
        """A copy for the way back: the same way, with nothing to compare it with."""
        assert ex.trickle is not None, "asked before"
        of = ex.trickle
        refused = legs.not_mirrored(ex, heard)
        if refused is None and self._paused(of.version.provider):
            refused = "paused", ""
        if refused is None:
            job = Job(
                mirror=Mirror(share=of.share, usd_per_day=of.usd_per_day, stable_price=of.price),
                route=ex.route.name,
                live=live,
                request=b"",
                heard=replace(heard, body=None),
                candidate=self._call(ex, legs.warm_leg(ex, self._new_id("le_")), outgoing),
                keeps=False,
                redact=ex.route.record.redact,
            )
            refused = _offered(sink, job)
        if refused is not None:
            self._unmirrored.add(counter(live), *refused)

    def _call(self, ex: Exchange, leg: Leg, outgoing: Callable[[Leg], Outgoing]) -> MirrorCall:
        return MirrorCall(intent=exchange.intent(ex, leg, self._clock_us()), outgoing=outgoing(leg))

    def _paused(self, provider: str) -> bool:
        now_s = self._monotonic()
        return now_s < self._paused_until.get(provider, now_s)

    def _held_back(self, calls: list[Leg], rollout: str, mirror: Mirror) -> NotMirrored | None:
        if any(self._paused(leg.version.provider) for leg in calls):
            return "paused"
        if mirror.per_second is None:
            return None
        now_s = self._monotonic()
        known = self._allowances.get(rollout)
        if known is None or known[0] != mirror.per_second:
            known = mirror.per_second, Allowance(mirror.per_second, max(2.0, mirror.per_second), now_s)
            self._allowances[rollout] = known
        return "rate" if known[1].take(len(calls), now_s) > 0.0 else None


def _offered(sink: MirrorSink, job: Job) -> tuple[NotMirrored, str] | None:
    """Hands a job over; or why it was not taken, with more of the reason."""
    for call in (job.candidate, *([] if job.second is None else [job.second])):
        missing = call.outgoing.provider.shadow_key_env
        if missing is not None and not os.environ.get(missing):
            return "no_key", missing
    reason = sink.offer(job)
    return None if reason is None else (reason, "")
