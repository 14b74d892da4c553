"""The reverse proxy: an ASGI application that moves bytes. What to do with them is decided in `exchange.py`; this file only does it.

    caller --body--> plan --> intent written --> upstream --bytes as they come--> caller
                                                    `--tee--> begun written, after the first byte of a stream; result after the last

Watching never hurts: nothing on the path waits for a record or a parse, and no fault of either reaches the caller. An answer that
breaks off upstream ends in an aborted connection, never in a clean end, which most client libraries take for success.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable

import msgspec

from detent import exchange, reading, wire
from detent.assign import InFlight, signed_id
from detent.exchange import Exchange, Unmanaged
from detent.gateway.caller import Caller, CallerGone, Message, Receive, Send
from detent.gateway.mirror_desk import MirrorDesk
from detent.gateway.mirroring import MirrorSink
from detent.gateway.records import Records, SpoolSink
from detent.gateway.taking import FeedbackDesk
from detent.tape import Tape
from detent.terms import FlagSet, Leg, Outcome, Provider, Role
from detent.upstream import Outgoing, Reply, Upstream, UpstreamError
from detent.wire import guard
from detent.wire.guard import Headers, Refusal
from detent.wire.headers import for_client, for_mirror, for_upstream

HEALTH = "/detent/v1/health"
FEEDBACK = "/detent/v1/feedback"

UNPINNED_NAMES = 1000
"""How many names of unpinned traffic are counted apart: they come from clients, and memory must not grow with what those invent."""

HELD_BYTES = 64 * 1024
HELD_SECONDS = 5.0
"""How much of a refusing candidate's error is read for the record, and for how long, while the caller waits for stable's answer."""

_STATUS = {"upstream_timeout": 504}


class AnswerBroken(Exception):
    """Raised into the server after an answer has begun: it closes the connection without an end of the message."""


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def time_ordered_id(prefix: str) -> str:
    """A unique id that sorts by time: 48 bits of milliseconds, 80 random ones."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


class Gateway:
    """One gateway process. `flags` gives what to obey at this moment; `name` is written into every record; `mirrors` takes what the shadow
    drew, and without it nothing is mirrored.

    `unpinned` counts requests without a route by name, `counts` what was dropped or went wrong on our side.
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
        self._in_flight = InFlight()
        self._feedback = FeedbackDesk(self._records.write, self.counts, clock_us, new_id, monotonic)
        self._mirrors = MirrorDesk(mirrors, self._records.write, counts=self.counts, clock_us=clock_us, new_id=new_id, monotonic=monotonic)
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
        flags = self._flags()
        refusal = guard.check(caller.path, caller.raw_path, caller.headers)
        if refusal is not None:
            return await caller.refuse(refusal)
        if (caller.method, caller.path) == ("GET", HEALTH):
            return await caller.answer(200, msgspec.json.encode({"revision": flags.revision}))
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
        plan = exchange.plan(
            caller.method,
            caller.path,
            caller.headers,
            body,
            flags,
            id=signed_id(flags.identity_key, self._new_id("ex_")),
            gateway=self._name,
            in_flight=self._in_flight,
            at_s=self._monotonic(),
        )
        if isinstance(plan, Refusal):
            return await caller.refuse(plan)
        with caller:
            if isinstance(plan, Unmanaged):
                await self._pass(plan, caller, body, own_keys)
            else:
                await self._serve(plan, caller, flags, own_keys)
        return None

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
            with await self._upstream.send(_outgoing(plan.provider, caller, headers, body)) as reply:
                await caller.start(reply.status, for_client(reply.headers, status=reply.status))
                while chunk := await reply.read():
                    await caller.send(chunk)
                await caller.end()
        except UpstreamError as failure:
            if caller.started:
                raise AnswerBroken(failure.code) from None
            await caller.refuse(_refusal(failure), retry=_worth_retrying(failure))

    # ── on a route ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self, ex: Exchange, caller: Caller, flags: FlagSet, own_keys: frozenset[bytes]) -> None:
        """One leg after the other, until one has answered."""
        caller.added = [(b"x-detent-request-id", ex.id.encode()), (b"x-detent-revision", str(ex.revision).encode())]

        def outgoing(leg: Leg) -> Outgoing:
            provider = flags.manifest.providers[leg.version.provider]
            headers = _headers(ex, leg, provider, caller.headers, own_keys)
            return _outgoing(provider, caller, headers, exchange.body_for(ex, leg))

        leg: Leg | None = exchange.first_leg(ex, self._new_id("le_"))
        while leg is not None:
            leg = await self._leg(ex, leg, caller, outgoing)

    async def _leg(self, ex: Exchange, leg: Leg, caller: Caller, outgoing: Callable[[Leg], Outgoing]) -> Leg | None:
        """Sends a leg and relays its answer, with a record before and after; returns the leg that answers in its place, if one has to."""
        failure = None
        tape = Tape(self._clock_us)
        intent = exchange.intent(ex, leg, tape.sent_us)
        self._records.write(intent)
        try:
            with await self._upstream.send(outgoing(leg)) as reply:
                tape.opened(reply)
                if exchange.may_fall_back(ex, leg):
                    await self._relay_if_it_answers(ex, leg, reply, tape, caller)
                else:
                    await self._relay(ex, leg, reply, tape, caller)
        except UpstreamError as error:
            failure = error
            tape.failed(error)
        except asyncio.CancelledError:
            if not caller.gone:
                raise  # the server is shutting down; the leg is lost, and its intent says so
            tape.hung_up()
        except Exception as error:  # noqa: BLE001 what no rule foresees, like a header that HTTP forbids: the leg is on record all the same
            failure = UpstreamError(Outcome.MALFORMED, "upstream_malformed", "the provider's answer cannot be passed on")
            failure.__cause__ = error
            tape.failed(failure)
        heard = tape.heard()
        written = self._records.ended(ex, leg, heard)
        self._mirrors.answered(leg, written.status)
        if caller.gone:
            return None
        if not caller.started:
            fallback = exchange.fallback_leg(ex, leg, written, self._new_id("le_"))
            if fallback is None and failure is not None:
                await caller.refuse(_refusal(failure), retry=_worth_retrying(failure))
            return fallback
        if failure is not None:
            await self._break_off(ex, caller, tape, failure)
        self._mirrors.mirror(ex, leg, live=intent, heard=heard, written=written, outgoing=outgoing)
        return None

    async def _relay_if_it_answers(self, ex: Exchange, leg: Leg, reply: Reply, tape: Tape, caller: Caller) -> None:
        """Lets the caller hear nothing until the first byte of an answer is there; an error is read for the record only."""
        if exchange.refuses(reply.status):
            await _hold(reply, tape)
        elif first := await reply.read():
            await self._relay(ex, leg, reply, tape, caller, first=first)

    async def _relay(self, ex: Exchange, leg: Leg, reply: Reply, tape: Tape, caller: Caller, *, first: bytes = b"") -> None:
        """Every read upstream is one write to the caller, at once."""
        ours = wire.UsageFilter() if exchange.takes_usage_out(ex, reply.status, reply.content_type, reply.encoding) else None
        await caller.start(reply.status, for_client(reply.headers, status=reply.status, rewritten=ours is not None, added=caller.added))
        on_record = False
        while chunk := first or await reply.read():
            first = b""
            tape.add(chunk)
            await caller.send(chunk if ours is None else ours.feed(chunk))
            if not on_record:
                on_record = True
                self._records.began(ex, leg, reply.status, tape)
        if reply.ends_by_close and not reading.whole(ex.head.endpoint, tape.heard()):
            raise UpstreamError(Outcome.UPSTREAM_TRUNCATED, "upstream_truncated", "the provider's answer broke off")
        await caller.end(b"" if ours is None else ours.close())

    async def _break_off(self, ex: Exchange, caller: Caller, tape: Tape, failure: UpstreamError) -> None:
        """Tells the caller in its protocol, where that fits between two events, and then in a way that no client takes for success."""
        if tape.heard().streamed and caller.between_events:
            await caller.send(wire.error_event(ex.head.endpoint, str(failure), failure.code))
        raise AnswerBroken(failure.code) from None


def _headers(ex: Exchange, leg: Leg, provider: Provider, headers: Headers, own_keys: frozenset[bytes]) -> list[tuple[str, str]]:
    """What a leg carries: the provider's key, if it has one. A mirrored leg has a key of its own where one is named, and never another."""
    if leg.role is not Role.MIRRORED:
        return for_upstream(headers, dialect=provider.dialect, key=_key(provider.key_env), without=own_keys, identity=True)
    key = _key(provider.key_env if provider.shadow_key_env is None else provider.shadow_key_env)
    span = os.urandom(8).hex()
    return for_mirror(headers, dialect=provider.dialect, key=key, without=own_keys, trace=ex.head.trace, span=span)


def _key(name: str | None) -> str | None:
    return os.environ.get(name) or None if name is not None else None


def _outgoing(provider: Provider, caller: Caller, headers: list[tuple[str, str]], body: bytes) -> Outgoing:
    return Outgoing(
        provider=provider,
        method=caller.method,
        path=caller.raw_path.decode("latin-1"),
        query=caller.query.decode("latin-1"),
        headers=headers,
        body=body,
    )


async def _hold(reply: Reply, tape: Tape) -> None:
    """Reads an error's beginning for the record; whatever goes wrong with that, the error's status is known already."""
    held = 0
    try:
        async with asyncio.timeout(HELD_SECONDS):
            while held < HELD_BYTES and (chunk := await reply.read()):
                tape.add(chunk)
                held += len(chunk)
    except (TimeoutError, UpstreamError):
        return


def _refusal(failure: UpstreamError) -> Refusal:
    return Refusal(_STATUS.get(failure.code, 502), failure.code, str(failure))


def _worth_retrying(failure: UpstreamError) -> bool:
    return failure.code != "upstream_redirect"
