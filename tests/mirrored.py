"""Jobs as a gateway hands them over, and a sender in this process, for tests of everything that becomes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from detent.evidence.spending import Cost, Limit, grant
from detent.reading import Heard
from detent.shadow.budget import Budget
from detent.shadow.job import Job, MirrorCall
from detent.shadow.scoring import Scoring
from detent.shadow.sender import Sender
from detent.store import Store
from detent.store.spool import Entry
from detent.terms import Arm, Dialect, Intent, Mirror, Provider, Result, Role, Unmirrored
from detent.upstream import Outgoing, Upstream
from records import NEW, OLD, at, intent

UNLIMITED = Mirror(share=1.0)


def asked(content: str = "What?", **more: Any) -> bytes:
    return json.dumps({"model": "summarizer", "messages": [{"role": "user", "content": content}]} | more).encode()


def completion(content: str, model: str = OLD.model, **more: Any) -> bytes:
    message = {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return json.dumps(body | more).encode()


def job(
    url: str,
    name: str = "a",
    *,
    request: bytes | None = None,
    live: bytes | None = None,
    second: bool = False,
    mirror: Mirror = UNLIMITED,
    provider: str = "openai",
    **more: Any,
) -> Job:
    """A live exchange of `ro_1`, answered; its candidate, and stable's second answer, are asked at `url`."""
    request = asked() if request is None else request

    def call(arm: Arm) -> MirrorCall:
        model = NEW.model if arm is Arm.CANDIDATE else OLD.model
        leg = intent(f"{name}_{arm}", exchange=f"ex_{name}", arm=arm, arm_served=arm, model=model, role=Role.MIRRORED, randomised=False)
        outgoing = Outgoing(
            provider=Provider(name=provider, dialect=Dialect.OPENAI, base_url=url, watcher="llm@example.com"),
            method="POST",
            path="/v1/chat/completions",
            query="",
            headers=[("content-type", "application/json"), ("authorization", "Bearer k")],
            body=request.replace(b'"summarizer"', json.dumps(model).encode()),
        )
        return MirrorCall(intent=replace(leg, provider=provider), outgoing=outgoing)

    body = completion("Here.") if live is None else live
    return Job(
        mirror=mirror,
        route="summarizer",
        live=intent(name),
        request=request,
        heard=Heard(at_us=at(1), latency_s=1.0, status=200, content_type="application/json", body=body),
        candidate=call(Arm.CANDIDATE),
        second=call(Arm.STABLE) if second else None,
        **more,
    )


@dataclass
class MemoryLedger:
    """A ledger without a store. `taken` is what is spent or held, `spent` what of it is spent."""

    taken: Cost = field(default_factory=Cost)
    spent: Cost = field(default_factory=Cost)
    asked: list[Cost] = field(default_factory=list)

    def reserve(self, rollout: str, day_us: int, purse: str, holder: str, **how: Any) -> Cost | None:
        want, least, limit, at_us = how["want"], how["least"], how["limit"], how["at_us"]
        self.asked.append(want)
        given = grant(want, least, limit=limit, taken=self.taken, at_us=at_us)
        self.taken += given or Cost()
        return given

    def settle(self, rollout: str, day_us: int, purse: str, holder: str, *, spent: Cost, release: Cost) -> None:
        self.taken += spent - release
        self.spent += spent


@dataclass
class Mirroring:
    """A sender, and what it wrote down."""

    sender: Sender
    budget: Budget
    entries: list[Entry]

    def of(self, kind: type[Any]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kind)]

    @property
    def intents(self) -> list[Intent]:
        return self.of(Intent)

    @property
    def results(self) -> list[Result]:
        return self.of(Result)

    @property
    def left_out(self) -> dict[str, int]:
        return {entry.reason: entry.n for entry in self.of(Unmirrored)}

    async def all(self, jobs: Iterable[Job]) -> None:
        """Side by side, as they come in."""
        await asyncio.gather(*(self.sender.mirror(job) for job in jobs))


class _Memory:
    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def write(self, entry: Entry) -> None:
        self.entries.append(entry)


def no_store() -> Store:
    raise AssertionError("this needs no store")


def mirroring(
    steps: Callable[[Mirroring], Any],
    *,
    ledger: Any = None,
    store: Callable[[], Store] = no_store,
    clock_us: Callable[[], int] = lambda: at(3600),
    wait_s: float = 20.0,
    **sender: Any,
) -> Mirroring:
    """Run `steps` beside a sender, in a loop of its own, and then end it as its process would."""
    spool = _Memory()

    async def run() -> Mirroring:
        upstream = Upstream()
        await upstream.start()
        budget = Budget(lambda: ledger or MemoryLedger(), "holder", clock_us, wait_s=wait_s)
        made = Mirroring(Sender(upstream, spool, budget, Scoring(store), clock_us=clock_us, **sender), budget, spool.entries)
        async with asyncio.timeout(60):
            await steps(made)
        made.sender.close()
        await budget.close()
        await upstream.close()
        return made

    return asyncio.run(run())


def limited(usd: float | None = None, tokens: int | None = None, **prices: Any) -> Mirror:
    return Mirror(share=1.0, usd_per_day=usd, tokens_per_day=tokens, **prices)


def no_limit() -> Limit:
    return Limit()
