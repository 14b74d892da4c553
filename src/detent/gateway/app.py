"""The reverse proxy: an ASGI application that moves bytes. What to do with them is decided in `exchange.py`; this file only does it.

    caller --body--> plan --> intent written --> upstream --bytes as they come--> caller
                                                    `--tee--> begun written, after the first byte of a stream; result after the last

Watching never hurts: nothing on the path waits for a record or a parse, and no fault of either reaches the caller. An answer that
breaks off upstream ends in an aborted connection, never in a clean end, which most client libraries take for success.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from detent import exchange
from detent.assign import signed_id
from detent.awake import now_us
from detent.exchange import Unmanaged
from detent.gateway.answering import AnswerBroken, Answering, outgoing, refusal_of, worth_retrying
from detent.gateway.breakers import Breakers
from detent.gateway.caller import Caller, CallerGone, Message, Receive, Send
from detent.gateway.mirror_desk import MirrorDesk
from detent.gateway.mirroring import MirrorSink
from detent.gateway.records import Records, SpoolSink
from detent.gateway.taking import FeedbackDesk
from detent.runs import Memory
from detent.terms import FlagSet
from detent.upstream import Upstream, UpstreamError
from detent.wire import guard
from detent.wire.guard import Headers, Refusal
from detent.wire.headers import for_client, for_upstream

HEALTH = "/detent/v1/health"
FEEDBACK = "/detent/v1/feedback"

UNPINNED_NAMES = 1000
"""How many names of unpinned traffic are counted apart: they come from clients, and memory must not grow with what those invent."""


def time_ordered_id(prefix: str) -> str:
    """A unique id that sorts by time: 48 bits of milliseconds, 80 random ones."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


class Gateway:
    """One gateway process. `flags` gives what to obey at this moment; `name` is written into every record; `mirrors` takes what the shadow
    drew, and without it nothing is mirrored; `say` hears of circuit breakers that trip and close; `health` is what else there is to tell
    whoever asks how it is: how it stands to its store.

    `unpinned` counts requests without a route by name, `counts` what was dropped or went wrong on our side; `breakers` tells any thread
    which circuit breakers are not closed.
    """

    def __init__(
        self,
        flags: Callable[[], FlagSet],
        spool: SpoolSink,
        upstream: Upstream,
        name: str,
        *,
        mirrors: MirrorSink | None = None,
        clock_us: Callable[[], int] = now_us,
        new_id: Callable[[str], str] = time_ordered_id,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        say: Callable[[str], None] = lambda message: None,
        health: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.unpinned: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._flags = flags
        self._records = Records(spool, self.counts)
        self._upstream = upstream
        self._name = name
        self._clock_us = clock_us
        self._new_id = new_id
        self._monotonic = monotonic
        self._memory = Memory()
        self._breakers = Breakers(self._memory.circuits, monotonic=monotonic, clock_us=clock_us, chance=chance, say=say)
        self.breakers = self._breakers.told
        self._health = health
        self._feedback = FeedbackDesk(self._records.write, self.counts, clock_us, new_id, monotonic)
        self._mirrors = MirrorDesk(mirrors, self._records.write, counts=self.counts, clock_us=clock_us, new_id=new_id, monotonic=monotonic)
        self._answering = Answering(self._records, upstream, self._breakers, self._mirrors, clock_us=clock_us, new_id=new_id)
        self._known_keys: tuple[str, tuple[bytes, ...]] = ("", ())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(Caller(scope, receive, send))
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "only HTTP is served here"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._upstream.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._upstream.close()
        await self._records.settled()  # before the shadow, which may take longer than whoever stops us is willing to wait
        await self._mirrors.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, caller: Caller) -> None:
        try:
            await self._answer(caller)
        except CallerGone:
            self.counts["gone_before_request"] += 1
        except AnswerBroken:
            raise
        except Exception as fault:
            self.counts["faults"] += 1
            if caller.started:
                raise AnswerBroken("a fault of the gateway's own, in mid-answer") from fault
            await caller.refuse(Refusal(500, "gateway_fault", "a fault of the gateway's own"), retry=True)

    async def _answer(self, caller: Caller) -> None:
        flags = self._obeyed()
        refusal = guard.check(caller.path, caller.raw_path, caller.headers)
        if refusal is not None:
            return await caller.refuse(refusal)
        if (caller.method, caller.path) == ("GET", HEALTH):
            told = {"revision": flags.revision, "circuits": self._breakers.state(), **self._health()}
            return await caller.answer(200, msgspec.json.encode(told))
        own_keys = self._admitted(caller.headers, flags)
        if own_keys is None:
            return await caller.refuse(Refusal(401, "invalid_client_key", "this gateway needs a client key of its own"))
        if (caller.method, caller.path) == ("POST", FEEDBACK):
            return await self._feedback.take(caller, flags, own_keys)
        if caller.path.startswith("/detent/"):
            return await caller.refuse(Refusal(404, "not_found", "no such endpoint of the gateway"))
        body = await caller.body()
        if isinstance(body, Refusal):
            return await caller.refuse(body)
        flags = self._obeyed()  # once more: a body may take two minutes to come, and a rollback holds from when it is acknowledged
        plan = exchange.plan(
            caller.method,
            caller.path,
            caller.headers,
            body,
            flags,
            id=signed_id(flags.identity_key, self._new_id("ex_")),
            gateway=self._name,
            memory=self._memory,
            at_s=self._monotonic(),
        )
        if isinstance(plan, Refusal):
            return await caller.refuse(plan)
        with caller:
            if isinstance(plan, Unmanaged):
                await self._pass(plan, caller, body, own_keys)
                return None
            leg = await self._answering.serve(plan, caller, flags, own_keys)
            if leg is not None:
                self._memory.makers.answered(plan.flag, plan.assignment.unit, plan.head, leg.version, self._monotonic())
        return None

    def _obeyed(self) -> FlagSet:
        """The flags in force at this moment."""
        flags = self._flags()
        if self._memory.obeyed.heard(flags):
            self._breakers.forget(flags)
        return flags

    def _admitted(self, headers: Headers, flags: FlagSet) -> frozenset[bytes] | None:
        """The headers that hold a client key of ours; None if the caller has none and needs one. Fails closed: no keys set, nobody in."""
        name = flags.manifest.server.clients_env
        if name is None:
            return frozenset()
        text = os.environ.get(name, "")
        if text != self._known_keys[0]:
            self._known_keys = (text, guard.key_digests(text))
        return guard.admitted(headers, self._known_keys[1]) or None

    # ── without a route ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _pass(self, plan: Unmanaged, caller: Caller, body: bytes, own_keys: frozenset[bytes]) -> None:
        """Byte for byte, with the client's own key."""
        self.unpinned[plan.name if plan.name in self.unpinned or len(self.unpinned) < UNPINNED_NAMES else "other"] += 1
        headers = for_upstream(caller.headers, dialect=plan.provider.dialect, key=None, without=own_keys)
        try:
            with await self._upstream.send(outgoing(plan.provider, caller, headers, body)) as reply:
                await caller.start(reply.status, for_client(reply.headers, status=reply.status))
                while chunk := await reply.read():
                    await caller.send(chunk)
                await caller.end()
        except UpstreamError as failure:
            if caller.started:
                raise AnswerBroken(failure.code) from None
            await caller.refuse(refusal_of(failure), retry=worth_retrying(failure))
