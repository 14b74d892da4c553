"""Asks each way back for a sign of life, once a minute: the smallest request that its provider takes, with the key of live traffic.

What it finds goes into the store; whether that is proven or broken says `warm`. Of several servers of one store one probes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from detent import warm, wire
from detent.asking import asker, has_key, model_facts
from detent.baseline.asking import Ask, Call, Reply
from detent.controller.trickles import traffic_by_copies
from detent.controller.way_backs import wanted
from detent.errors import CouldNotRun
from detent.evidence.identity import violations
from detent.store import Store
from detent.terms import Answer, Dialect, Endpoint, FlagSet, Manifest, Probe, Provider, Rollout, Version, micros
from detent.visible import line
from detent.wire.quota import ends_at, limits_of

WHOLE_PROBE_S = 20.0
"""A probe that takes longer has failed: traffic that went back would wait as long."""

FACTS_EVERY = timedelta(hours=1)
"""How often a provider's list of models is asked whether it announces an end."""

AT_ONCE = 8

PROMPT = "Say ok."
"""What a probe asks: the same each time, so that a provider's log tells it from traffic."""

ENDPOINTS = {Dialect.OPENAI: Endpoint.OPENAI_CHAT, Dialect.ANTHROPIC: Endpoint.ANTHROPIC_MESSAGES}

FORMS: Mapping[Dialect, tuple[dict[str, int], ...]] = {
    # Trap: reasoning models refuse `max_tokens`, older servers do not know `max_completion_tokens`, and of so few tokens that no answer
    # fits some make an error: each 400 leads on to the next form, and the one that was taken is remembered. None is without a limit:
    # what it would cost nobody could say.
    Dialect.OPENAI: ({"max_tokens": 1}, {"max_completion_tokens": 1}, {"max_completion_tokens": warm.LONG_PROBE_TOKENS[1]}),
    Dialect.ANTHROPIC: ({"max_tokens": 1},),
}


class Prober:
    """Probes the way back of every route that is due."""

    def __init__(
        self,
        store: Store,
        flags: Callable[[], FlagSet],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._flags = flags
        self._clock = clock
        self._elapsed = elapsed
        self._rests: dict[Version, float] = {}
        self._form: dict[Version, int] = {}
        self._facts: dict[Version, tuple[datetime, datetime | None]] = {}

    def step(self) -> int:
        """Probe what is due, unless another server of this store is at it; for how many versions that was.

        Raises what kept a probe from being stored, after the others were: such a version is left alone for a minute by a clock that
        nobody sets, since nothing on record says that it was asked.
        """
        due = self._due()
        if not due:
            return 0
        with self._store.state.alone("warm") as alone:
            if not alone:
                return 0
            due = self._due()  # another server may just have been at it
            return asyncio.run(self._probe(due)) if due else 0

    def _due(self) -> dict[Version, list[str]]:
        """The versions to ask now, each with the routes whose way back it is."""
        flags, now = self._flags(), self._clock()
        opened = {one.route: one for one in self._store.state.rollouts(open_only=True)}
        found: defaultdict[Version, list[str]] = defaultdict(list)
        for route in flags.manifest.routes:
            rollout = opened.get(route)
            version = wanted(self._store, flags.manifest, route, flags.flags.get(route), rollout)
            if version is None or version.provider not in flags.manifest.providers or self._elapsed() < self._rests.get(version, 0.0):
                continue
            last = self._store.state.probes(route, version, since=now - warm.LIMITS_KNOWN_FOR, limit=1)
            every_s = last[0].every_s if last else warm.PROBE_EVERY_S
            failed = bool(last) and not last[0].ok
            if warm.due(last[0].at if last else None, self._traffic(route, version, rollout), now, every_s=every_s, failed=failed):
                found[version].append(route)
        return dict(found)

    def _traffic(self, route: str, version: Version, rollout: Rollout | None) -> warm.Traffic | None:
        """What real traffic says of a version already: what is paid for that is not paid again for probes."""
        now = self._clock()
        if rollout is None:
            return traffic_by_copies(self._store, self._flags().manifest, route, version, now)
        return warm.traffic_of(self._store.state.minute_sums(route, since_us=micros(now - warm.KNOWN_FOR)), version, now)

    async def _probe(self, due: Mapping[Version, list[str]]) -> int:
        manifest, turns = self._flags().manifest, asyncio.Semaphore(AT_ONCE)
        async with asker(manifest, whole_call_s=WHOLE_PROBE_S) as ask:

            async def one(version: Version, routes: list[str]) -> None:
                async with turns:
                    found = await self._ask(ask, manifest, version)
                    if not found.unasked:
                        found = replace(found, ends_at=await self._ends_at(manifest.providers[version.provider], version))
                self._rests[version] = self._elapsed() + warm.PROBE_EVERY_S
                await asyncio.to_thread(self._store.state.add_probes, [replace(found, route=route) for route in routes])
                del self._rests[version]

            done = await asyncio.gather(*(one(version, routes) for version, routes in due.items()), return_exceptions=True)
        for error in done:
            if error is not None:
                raise error
        return len(due)

    async def _ask(self, ask: Ask, manifest: Manifest, version: Version) -> Probe:
        """What one version answers. Without a key nothing is sent, and nothing is said of the version."""
        provider = manifest.providers[version.provider]
        probe = Probe(route="", version=version, at=self._clock(), ok=False)
        if provider.key_env is not None and not has_key(provider):
            return replace(probe, unasked=line(f"nobody can ask it: {provider.key_env} is not set where `detent serve` runs", 200))
        forms = FORMS.get(provider.dialect, ())
        began = time.monotonic()
        reply: Reply | None = None
        for number in range(self._form.get(version, 0), len(forms)):
            try:
                reply = await ask(_call(provider, version, forms[number]))
            except CouldNotRun as error:
                return replace(probe, detail=line(error.message, 200))
            if reply.status != 400:
                self._form[version] = number
                break
        else:
            self._form.pop(version, None)  # none was taken: all are tried again next time
        if reply is None:
            return replace(probe, detail=f"no endpoint of dialect {provider.dialect} is known")
        if reply.status in (401, 403) and provider.key_env is None:
            # Such a provider may need no key at all, so it is asked: seldom, once it has said that it does.
            why = line(f"nobody can ask it: provider `{provider.name}` wants a key, and the pin file names no `key_env` for it", 200)
            return replace(probe, unasked=why, every_s=warm.LIMITS_EVERY_S)
        answer = wire.read_answer(ENDPOINTS[provider.dialect], status=reply.status, body=reply.body, streamed=False)
        why = _fault(version, reply, answer)
        latency = reply.latency_s if reply.latency_s is not None else time.monotonic() - began
        found = replace(probe, ok=not why, detail=why, latency_s=latency, limits=limits_of(reply.headers))
        if why:
            return found
        allowed = max(forms[self._form[version]].values())
        long = allowed > warm.PROBE_TOKENS[1]
        used = answer.usage.input or warm.PROBE_TOKENS[0], answer.usage.output if answer.usage.output is not None else allowed
        return replace(found, used=used, every_s=warm.LIMITS_EVERY_S if long else warm.PROBE_EVERY_S)

    async def _ends_at(self, provider: Provider, version: Version) -> datetime | None:
        """What the provider's list of models says of the version's end, asked now and then."""
        now = self._clock()
        known = self._facts.get(version)
        if known is None or not timedelta() <= now - known[0] < FACTS_EVERY:
            facts = await model_facts(provider, version.model, whole_call_s=WHOLE_PROBE_S)
            known = self._facts[version] = (now, ends_at(facts))
        return known[1]


def _call(provider: Provider, version: Version, form: Mapping[str, int]) -> Call:
    body: dict[str, Any] = {"model": version.model, "messages": [{"role": "user", "content": PROMPT}], **form}
    return Call(version=version, endpoint=ENDPOINTS[provider.dialect], body=json.dumps(body).encode())


def _fault(version: Version, reply: Reply, answer: Answer) -> str:
    """What is wrong with an answer; empty for one that shows that the version is there."""
    if not 200 <= reply.status < 300:
        return line(f"HTTP {reply.status}" + (f": {answer.error}" if answer.error else ""), 200)
    if answer.error is not None or not answer.complete:
        return line(f"no whole answer: {answer.error or 'it breaks off'}", 200)
    others = violations({version.model: {answer.model: 1}}) if answer.model else ()
    return line("; ".join(others), 200)
