"""The feedback endpoint: what is read of a sender, how fast, and where. Floods end here, before they cost anyone else a byte."""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from detent.errors import InvalidInput
from detent.gateway.allowance import Allowance
from detent.gateway.caller import Caller
from detent.gateway.feedback import Taker
from detent.gateway.shorten import Shortener
from detent.terms import Feedback, FlagSet
from detent.wire.guard import Refusal

PER_S = 300.0
BURST = 10_000.0
"""What one sender may send: an entry costs a token, and so do 256 bytes of what has to be parsed and redacted, or 8 KB that only pass."""

KEPT_BYTES_A_TOKEN = 256
PASSING_BYTES_A_TOKEN = 8 * 1024

AT_ONCE_BYTES = 4 * 1024
"""Above this a body is read in a thread: redaction takes up to 2 ms a kilobyte, and every stream would wait for it."""


class _Flood(Exception):
    """Raised while a body comes; `wait_s` until its sender may go on."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


class FeedbackDesk:
    """Takes feedback in. With client keys set each key is a sender; without them all callers are one."""

    def __init__(
        self,
        record: Callable[[Feedback], None],
        counts: Counter[str],
        clock_us: Callable[[], int],
        new_id: Callable[[str], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._record = record
        self._counts = counts
        self._clock_us = clock_us
        self._new_id = new_id
        self._monotonic = monotonic
        self._allowances: dict[str, Allowance] = {}
        self._reading = ThreadPoolExecutor(1, "feedback")

    async def take(self, caller: Caller, flags: FlagSet, own_keys: frozenset[bytes]) -> None:
        """Answers one request. Nothing of it is written unless all of it was read."""
        sender = _sender(caller, own_keys)
        try:
            self._charge(sender, 1.0)
            body = await self._body(caller, sender)
            if isinstance(body, Refusal):
                return await caller.refuse(body)
            taker = Taker(
                key=flags.identity_key,
                declared=flags.manifest.metrics,
                sender=sender,
                at_us=self._clock_us(),
                new_id=self._new_id,
            )
            if len(body) > AT_ONCE_BYTES:
                taken, rejected = await asyncio.get_running_loop().run_in_executor(self._reading, taker.read, body)
            else:
                taken, rejected = taker.read(body)
            self._charge(sender, len(taken) + len(rejected) - 1.0)
        except InvalidInput as error:
            said = error.message if error.hint is None else f"{error.message}; {error.hint}"
            return await caller.refuse(Refusal(400, "invalid_feedback", said))
        except _Flood as flood:
            self._counts["feedback_limited"] += 1
            return await caller.refuse(
                Refusal(429, "too_much_feedback", "more feedback than this gateway takes from one sender; send it again later"),
                retry=True,
                after_s=max(1, math.ceil(flood.wait_s)),
            )
        for entry in taken:
            self._record(entry)
        if rejected:
            self._counts["feedback_rejected"] += len(rejected)
        return await caller.answer(202, msgspec.json.encode({"accepted": len(taken), "rejected": rejected}))

    async def _body(self, caller: Caller, sender: str) -> bytes | Refusal:
        if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in caller.headers):
            return Refusal(415, "unsupported_encoding", "send the feedback without a content encoding")
        shortener = Shortener()

        def shortened(part: bytes) -> bytes:
            kept = shortener.feed(part)
            self._charge(sender, len(kept) / KEPT_BYTES_A_TOKEN + len(part) / PASSING_BYTES_A_TOKEN)
            return kept

        return await caller.body(shortened)

    def _charge(self, sender: str, cost: float) -> None:
        now_s = self._monotonic()
        allowance = self._allowances.get(sender)
        if allowance is None:
            allowance = self._allowances[sender] = Allowance(PER_S, BURST, now_s)
        if cost > 0.0 and (wait_s := allowance.take(cost, now_s)):
            raise _Flood(wait_s)


def _sender(caller: Caller, own_keys: frozenset[bytes]) -> str:
    """A digest of the client key; empty where nobody needs one. There are as many of them as keys, so that the memory is bounded."""
    keys = sorted(value for name, value in caller.headers if name in own_keys)
    return hashlib.sha256(keys[0].rpartition(b" ")[2]).hexdigest()[:16] if keys else ""
