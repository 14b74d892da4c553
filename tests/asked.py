"""A frozen baseline without a journal, and a provider without a network that remembers every call."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from detent import wire
from detent.baseline import BaselineRunner, Call, Reply
from detent.baseline.lanes import Lanes
from detent.baseline.replaying import Heard
from detent.controller import baseline_of
from detent.decide import decide
from detent.evidence.flips import RunKey
from detent.store import Store
from detent.terms import (
    Answer,
    Arm,
    Baseline,
    BaselineEvidence,
    BaselineStage,
    Blessing,
    Case,
    Endpoint,
    Evidence,
    Phase,
    Plan,
    RecordPolicy,
    Rollout,
    Route,
    Usage,
    Verb,
    Version,
)
from records import NEW, OLD, T0, rollout

OPENAI = Endpoint.OPENAI_CHAT
ROUTE = Route(
    name="summarizer",
    provider="openai",
    version=OLD.model,
    owner="search@example.com",
    checks=("json_valid", "same_keys", "no_new_fence"),
    record=RecordPolicy(bodies=1.0),
)
STAGE = BaselineStage(screen=3, confirm=20, stable_repeats=4, fdr=0.1, at_least=1, margin=1.0)
ROLLOUT = rollout(plan=Plan(name="standard", baseline=STAGE), phase=Phase.BASELINE)
KEY = RunKey("ca_1", Arm.CANDIDATE, "screen", 0)
BLESSED = Blessing(by="ann", at=T0)
TOTAL = '{"total": 7}'


def with_stage(**more: Any) -> Rollout:
    """The rollout with other settings of its baseline."""
    stage: dict[str, Any] = {"screen": 3, "confirm": 20, "stable_repeats": 4, "fdr": 0.1, "at_least": 1, "margin": 1.0}
    return rollout(plan=Plan(name="standard", baseline=BaselineStage(**stage | more)), phase=Phase.BASELINE)


def request(text: str, **more: Any) -> bytes:
    return json.dumps({"model": "summarizer", "messages": [{"role": "user", "content": text}], **more}).encode()


def reply(text: str = "", status: int = 200, **more: Any) -> Reply:
    body = wire.answer_body(OPENAI, Answer(text=text, finish_reason="stop", model=NEW.model, **more), id="c1", created=1)
    return Reply(status, body)


def heard(case: Case, answer: Reply) -> Heard:
    """A reply as what a version said to a case that takes one call."""
    said = wire.read_answer(case.endpoint, status=answer.status, body=answer.body, streamed=False)
    return Heard(reply=answer, answer=said, usage=said.usage, latency_s=answer.latency_s)


def refusal(status: int, message: str = "no such parameter: `seed`", **more: Any) -> Reply:
    """An error answer; `more` are members of its error, but for those of the reply itself."""
    of_reply = {name: more.pop(name) for name in ("retry_after_s", "retry") if name in more}
    return Reply(status, json.dumps({"error": {"message": message, "type": "invalid_request_error", **more}}).encode(), **of_reply)


def case(known_good: str = TOTAL, name: str = "ca_1", **more: Any) -> Case:
    values: dict[str, Any] = {"request": request(name), "blessed": BLESSED, "endpoint": OPENAI, **more}
    return Case(id=name, route="summarizer", known_good=known_good, frozen_at=T0, **values)


def freeze_cases(store: Store, cases: Sequence[Case], **more: Any) -> None:
    values: dict[str, Any] = {"digest": f"d{len(cases)}{cases[0].id}", "frozen_at": T0, "owner": ROUTE.owner, **more}
    store.state.put_baseline(Baseline(route="summarizer", cases=tuple(cases), **values))


def frozen(store: Store, n: int, **more: Any) -> list[str]:
    """`n` prompts p0, p1 ..., whose known-good output is TOTAL."""
    names = [f"p{i}" for i in range(n)]
    freeze_cases(store, [case(name=name, **more) for name in names])
    return names


# ── a provider ──

Answering = Callable[[Version, str, int], Reply]
"""(version, prompt, how often it was asked before) -> reply."""


def fine(version: Version, prompt: str, n: int) -> Reply:
    return reply(TOTAL)


@dataclass
class FakeAsk:
    """A provider: every call is counted by (model, prompt). Raises KeyboardInterrupt once so many calls were made."""

    answer: Answering = fine
    ends_after: int | None = None
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    order: list[tuple[str, str]] = field(default_factory=list)
    in_flight: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)

    async def __call__(self, call: Call) -> Reply:
        if self.ends_after is not None and self.calls.total() >= self.ends_after:
            raise KeyboardInterrupt
        asked, model = json.loads(call.body), call.version.model
        assert asked["model"] == model
        prompt = next(message["content"] for message in asked["messages"] if message["role"] == "user")
        self.calls[model, prompt] += 1
        self.order.append((model, prompt))
        self.in_flight[call.version.provider] += 1
        self.most[call.version.provider] = max(self.most[call.version.provider], self.in_flight[call.version.provider])
        n = self.calls[model, prompt] - 1
        for _ in range(3):
            await asyncio.sleep(0)
        self.in_flight[call.version.provider] -= 1
        return self.answer(call.version, prompt, n)


class Time:
    """Takes the place of clock and sleep; remembers how long each rest should have been."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rests: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        until = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, until)


def runner(store: Store, ask: FakeAsk, time: Time | None = None, **more: Any) -> BaselineRunner:
    time = time or Time()
    return BaselineRunner(store, ask, lanes=Lanes(clock=time, rest=time.rest), **more)


def run(store: Store, ask: FakeAsk, *, of: Rollout = ROLLOUT, time: Time | None = None, **more: Any) -> BaselineEvidence:
    """A run to its end, and what it found."""
    how = {name: more.pop(name) for name in ("prices", "own", "judging") if name in more}
    asyncio.run(runner(store, ask, time, **how).run(of, ROUTE, **more))
    return baseline_of(store, of)


def said(found: BaselineEvidence) -> tuple[Verb, str]:
    decision = decide(ROLLOUT, Evidence(rollout="ro_1", baseline=found), T0)
    return decision.verb, decision.reason


def used(input: int, output: int, cached: int | None = None) -> Usage:
    return Usage(input=input, output=output, cached=cached)
