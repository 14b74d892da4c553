"""Calls to one provider: as many at once as it takes, tried again when it was busy or broken, given up with its own words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from detent import wire
from detent.baseline.asking import Ask, Call, Reply
from detent.baseline.pacing import Pace, answered, overloaded, pause
from detent.errors import CouldNotRun, InvalidInput
from detent.terms import Version
from detent.visible import visible
from detent.wire import json_text
from detent.wire.failures import failure_text
from detent.wire.json_text import an_object
from detent.wire.patience import ASKS_TO_WAIT

TRIES = 4
"""Attempts at a call that fails for another reason than overload."""

BUSY_TRIES = 12
"""Attempts at a call that meets overload: with the longest pauses that is several minutes of it."""

UNREACHED = 8
"""Attempts in a row without any answer, before a provider that never answered is taken to be out of reach."""

_OF_THE_MOMENT = frozenset({408, 409, 425})
"""Refusals (4xx) that the same request may not meet a second time; 429 is an overload."""

_FOR_ALL = frozenset({401, 402, 404})
_FOR_ALL_CODES = frozenset({"model_not_found", "insufficient_quota", "invalid_api_key", "billing_not_active", "not_found_error"})


Again = Callable[[Reply | None], None]
"""Told of each attempt that is made again, with what came back for it; None where nothing did."""


class Hopeless(CouldNotRun):
    """No call of this run will fare better: a wrong key, no such model, no credit left, nobody there."""


class Lane:
    """The way to one provider: use one for all calls to it, in one event loop."""

    def __init__(self, clock: Callable[[], float], rest: Callable[[float], Awaitable[None]]) -> None:
        self.pace = Pace()
        self._clock = clock
        self._rest = rest
        self._in_flight = 0
        self._unheard: int | None = 0  # attempts without an answer; None once there was one
        self._changed = asyncio.Condition()

    async def send(self, call: Call, ask: Ask, again: Again = lambda reply: None) -> Reply:
        """The answer to a call, after as many attempts as it takes; the last one's if none succeeded.

        Raises Hopeless where no other call to this version would fare better, CouldNotRun where there was no answer at all.
        """
        busy = broken = 0
        while True:
            reply: Reply | None = None
            try:
                reply = await self._once(call, ask)
            except CouldNotRun as error:
                failure = error
                self._refuse_if_nobody_is_there(call, error)
            if reply is not None:
                if (why := _hopeless(call, reply)) is not None:
                    raise why
                if _is_final(call, reply):
                    return reply
            if reply is not None and reply.status in ASKS_TO_WAIT:
                busy += 1  # how long to wait is the pace's affair: all calls to this provider wait
            else:
                broken += 1
            if busy >= BUSY_TRIES or broken >= TRIES:
                if reply is None:
                    raise failure
                return reply
            again(reply)
            if reply is None or reply.status not in ASKS_TO_WAIT:
                asked = None if reply is None else reply.retry_after_s
                await self._rest(pause(broken - 1) if asked is None else min(asked, pause(30)))

    def _refuse_if_nobody_is_there(self, call: Call, error: CouldNotRun) -> None:
        if self._unheard is None:
            return
        self._unheard += 1
        if self._unheard >= UNREACHED:
            raise Hopeless(
                f"`{call.version}` cannot be reached: {error.message}",
                hint="check the provider's base_url, and that it is up; what is stored is kept",
            ) from error

    async def _once(self, call: Call, ask: Ask) -> Reply:
        await self._turn()
        sent_at = self._clock()
        try:
            reply = await ask(call)
        finally:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()
        self._unheard = None
        if reply.status in ASKS_TO_WAIT:
            self.pace = overloaded(self.pace, sent_at=sent_at, now=self._clock(), retry_after_s=reply.retry_after_s)
        elif reply.status < 500:
            self.pace = answered(self.pace)
            async with self._changed:
                self._changed.notify_all()
        return reply

    async def _turn(self) -> None:
        """Wait until one more call may be in flight."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._in_flight < self.pace.limit)
                wait = self.pace.not_before - self._clock()
                if wait <= 0:
                    self._in_flight += 1
                    return
            await self._rest(wait)


class Lanes:
    """The lanes to all providers, made as they are needed. Whoever calls the same providers at the same time shares one of these."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, rest: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._new = partial(Lane, clock, rest)
        self._lanes: dict[str, Lane] = {}

    def to(self, version: Version) -> Lane:
        """The lane to the provider of a version."""
        if version.provider not in self._lanes:
            self._lanes[version.provider] = self._new()
        return self._lanes[version.provider]


def _is_final(call: Call, reply: Reply) -> bool:
    """Whether there is no use in asking again: an answer, a refusal, or a provider that says so."""
    if reply.retry is False:
        return True
    if 200 <= reply.status < 300:
        answer = wire.read_answer(call.endpoint, status=reply.status, body=reply.body, streamed=False)
        return answer.complete and answer.error is None
    return reply.status < 500 and reply.status not in ASKS_TO_WAIT | _OF_THE_MOMENT


def failed(reply: Reply | None) -> bool:
    """Whether an attempt that is made again would have been a failed call in production: not one that the provider had only no time for."""
    return reply is None or reply.status >= 500 or reply.status == 408 or 200 <= reply.status < 300


def _hopeless(call: Call, reply: Reply) -> Hopeless | None:
    if not 400 <= reply.status < 500:
        return None
    try:
        error = an_object(an_object(json_text.load(reply.body)).get("error"))
    except InvalidInput:
        error = {}
    codes = {code for key in ("code", "type") if isinstance(code := error.get(key), str)}
    if reply.status not in _FOR_ALL and not codes & _FOR_ALL_CODES:
        return None
    said = visible(failure_text(reply.body, "no reason given"), one_line=True)
    return Hopeless(
        f"`{call.version}` cannot be asked: HTTP {reply.status}: {said}",
        hint="check the version's name, the provider's key (key_env) and its credit; what is stored is kept",
    )
