"""How a request on a route is answered: leg after leg, each with a record before and after, its bytes relayed as they come."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from detent import exchange, legs, reading, wire
from detent.errors import InvalidInput
from detent.exchange import Exchange
from detent.gateway.breakers import Breakers, Watch
from detent.gateway.caller import Caller
from detent.gateway.mirror_desk import MirrorDesk
from detent.gateway.records import Records
from detent.tape import Tape
from detent.terms import FlagSet, Leg, Outcome, Provider, Result, Role
from detent.upstream import Outgoing, Reply, Upstream, UpstreamError
from detent.wire.guard import Headers, Refusal
from detent.wire.headers import for_client, for_mirror, for_upstream

HELD_BYTES = 64 * 1024
HELD_SECONDS = 5.0
"""How much of a refusing candidate's error is read for the record, and for how long, while the caller waits for stable's answer."""

_STATUS = {"upstream_timeout": 504}


class AnswerBroken(Exception):
    """Raised into the server after an answer has begun: it closes the connection without an end of the message."""


class Answering:
    """Sends the legs of exchanges and relays their answers."""

    def __init__(
        self,
        records: Records,
        upstream: Upstream,
        breakers: Breakers,
        mirrors: MirrorDesk,
        *,
        clock_us: Callable[[], int],
        new_id: Callable[[str], str],
    ) -> None:
        self._records = records
        self._upstream = upstream
        self._breakers = breakers
        self._mirrors = mirrors
        self._clock_us = clock_us
        self._new_id = new_id

    async def serve(self, ex: Exchange, caller: Caller, flags: FlagSet, own_keys: frozenset[bytes]) -> Leg | None:
        """One leg after the other, until one has answered: that is given back, and None where the caller got an error or no answer."""
        caller.added = [(b"x-detent-request-id", ex.id.encode()), (b"x-detent-revision", str(ex.revision).encode())]

        def out(leg: Leg) -> Outgoing:
            provider = flags.manifest.providers[leg.version.provider]
            headers = _headers(ex, leg, provider, caller.headers, own_keys)
            return outgoing(provider, caller, headers, legs.body_for(ex, leg))

        course = _Course(ex, caller, out, flags.manifest.providers)
        leg: Leg | None = legs.first_leg(ex, self._new_id("le_"), out=lambda: self._breakers.is_out(ex))
        while leg is not None:
            leg = await self._leg(course, leg)
        return course.answered

    def _following(self, course: _Course, leg: Leg, written: Result) -> Leg | None:
        ex = course.ex
        return legs.fallback_leg(ex, leg, written, self._new_id("le_"), out=lambda: self._breakers.is_out(ex), asked=course.own is not None)

    async def _leg(self, course: _Course, leg: Leg) -> Leg | None:
        """Sends a leg and relays its answer, with a record before and after; returns the leg that answers in its place, if one has to."""
        ex, caller = course.ex, course.caller
        failure = None
        try:
            request = course.outgoing(leg)
        except InvalidInput as error:
            await caller.refuse(Refusal(400, "invalid_request", error.message))
            return None
        tape = Tape(self._clock_us)
        watch = self._breakers.watch(ex, leg, course.providers[leg.version.provider])
        intent = exchange.intent(ex, leg, tape.sent_us)
        self._records.write(intent)
        try:
            with await self._upstream.send(request) as reply:
                tape.opened(reply)
                watch.status(reply.status)
                await self._reply(course, leg, reply, tape, watch)
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
            watch.nothing()  # it may be a defect of ours, which must not take a version away from everybody
        heard = tape.heard()
        written = self._records.ended(ex, leg, heard)
        watch.ended(written)
        self._mirrors.answered(leg, written.status)
        if caller.gone:
            if written.outcome is Outcome.COMPLETE:  # it hung up on the last event, as many clients do
                course.answered = leg
            return None
        if not caller.started:
            following = self._following(course, leg, written)
            if following is None:
                await self._give_up(course, failure)
            elif failure is not None and leg.version == ex.flag.stable:
                course.own = _own_failure(failure, caller)
            return following
        if failure is not None:
            await self._break_off(ex, caller, tape, failure)
        course.answered = None if heard.refused else leg
        self._mirrors.mirror(ex, leg, live=intent, heard=heard, written=written, outgoing=course.outgoing)
        return None

    async def _give_up(self, course: _Course, failure: UpstreamError | None) -> None:
        """Tells the caller of the failure that stands: where the route's fallback failed too, stable's own; else that of the last leg."""
        if course.own is not None:
            await course.own()
        elif failure is not None:
            await course.caller.refuse(refusal_of(failure), retry=worth_retrying(failure))
        elif course.held is not None:
            await course.held()
        else:
            await course.caller.refuse(Refusal(502, "upstream_malformed", "the provider's answer is empty"), retry=True)

    async def _reply(self, course: _Course, leg: Leg, reply: Reply, tape: Tape, watch: Watch) -> None:
        """Relays an answer. Where another leg may follow, the caller hears nothing until the first byte of one is there; an error is then
        read for the record only, or kept for if the next leg fails too.
        """
        ex, caller = course.ex, course.caller
        if not exchange.refuses(reply.status) and reading.is_page(reply.content_type):
            watch.no_answer()
            if legs.is_awaited(ex, leg) or (legs.may_be_relieved(ex, leg) and self._breakers.is_out(ex)):
                raise UpstreamError(Outcome.MALFORMED, "upstream_malformed", "the provider answers with a web page")
        if legs.is_awaited(ex, leg):
            if exchange.refuses(reply.status):
                await _hold(reply, tape)
                course.held = _own_error(reply, tape, caller)
            elif first := await reply.read():
                await self._relay(course, leg, reply, tape, watch, first)
        elif reply.status >= 500 and legs.may_be_relieved(ex, leg) and self._breakers.is_out(ex):
            await _hold(reply, tape)
            course.own = _own_error(reply, tape, caller)
        else:
            await self._relay(course, leg, reply, tape, watch)

    async def _relay(  # noqa: PLR0917
        self, course: _Course, leg: Leg, reply: Reply, tape: Tape, watch: Watch, first: bytes = b""
    ) -> None:
        """Every read upstream is one write to the caller, at once."""
        ex, caller = course.ex, course.caller
        ours = wire.UsageFilter() if legs.takes_usage_out(ex, reply.status, reply.content_type, reply.encoding) else None
        await caller.start(reply.status, for_client(reply.headers, status=reply.status, rewritten=ours is not None, added=caller.added))
        on_record = False
        while chunk := first or await reply.read():
            first = b""
            tape.add(chunk)
            await caller.send(chunk if ours is None else ours.feed(chunk))
            if not on_record:
                on_record = True
                if not exchange.refuses(reply.status):
                    watch.answered()
                self._records.began(ex, leg, reply.status, tape)
        if reply.ends_by_close and not reading.whole(ex.head.endpoint, tape.heard()):
            raise UpstreamError(Outcome.UPSTREAM_TRUNCATED, "upstream_truncated", "the provider's answer broke off")
        await caller.end(b"" if ours is None else ours.close())

    async def _break_off(self, ex: Exchange, caller: Caller, tape: Tape, failure: UpstreamError) -> None:
        """Tells the caller in its protocol, where that fits between two events, and then in a way that no client takes for success."""
        if tape.heard().streamed and caller.between_events:
            await caller.send(wire.error_event(ex.head.endpoint, str(failure), failure.code))
        raise AnswerBroken(failure.code) from None


@dataclass(slots=True)
class _Course:
    """An exchange as it goes from leg to leg. `own` answers with the error of stable that is kept back while the route's fallback is tried;
    `held` with the last error that was kept back at all. `answered` is the leg that a good answer came from.
    """

    ex: Exchange
    caller: Caller
    outgoing: Callable[[Leg], Outgoing]
    providers: Mapping[str, Provider]
    own: Callable[[], Awaitable[None]] | None = None
    held: Callable[[], Awaitable[None]] | None = None
    answered: Leg | None = None


def _own_error(reply: Reply, tape: Tape, caller: Caller) -> Callable[[], Awaitable[None]]:
    """Answers as the provider did, as far as its error was read."""

    async def answer() -> None:
        await caller.start(reply.status, for_client(reply.headers, status=reply.status, rewritten=True, added=caller.added))
        await caller.send(tape.heard().body or b"")
        await caller.end()

    return answer


def _own_failure(failure: UpstreamError, caller: Caller) -> Callable[[], Awaitable[None]]:
    async def answer() -> None:
        await caller.refuse(refusal_of(failure), retry=worth_retrying(failure))

    return answer


def _headers(ex: Exchange, leg: Leg, provider: Provider, headers: Headers, own_keys: frozenset[bytes]) -> list[tuple[str, str]]:
    """What a leg carries: the provider's key, if it has one. A mirrored leg has a key of its own where one is named, and never another."""
    if leg.role is not Role.MIRRORED:
        return for_upstream(headers, dialect=provider.dialect, key=_key(provider.key_env), without=own_keys, identity=True)
    key = _key(provider.key_env if provider.shadow_key_env is None else provider.shadow_key_env)
    span = os.urandom(8).hex()
    return for_mirror(headers, dialect=provider.dialect, key=key, without=own_keys, trace=ex.head.trace, span=span)


def _key(name: str | None) -> str | None:
    return os.environ.get(name) or None if name is not None else None


def outgoing(provider: Provider, caller: Caller, headers: list[tuple[str, str]], body: bytes) -> Outgoing:
    """A caller's request on its way to a provider."""
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


def refusal_of(failure: UpstreamError) -> Refusal:
    """What a caller is told of a leg that failed before its answer began."""
    return Refusal(_STATUS.get(failure.code, 502), failure.code, str(failure))


def worth_retrying(failure: UpstreamError) -> bool:
    """Whether the same request may fare better."""
    return failure.code != "upstream_redirect"
