"""Layer 2: what the judge says of shadow pairs, where stable was asked a second time.

Candidate and second answer are held against the live one by the same judge with the same rubric, in both orders, blind: how often it
finds stable's own second answer worse is the noise floor that the candidate is held against, the judge's errors included. Which pairs are
judged is drawn by the rollout's salt, never by what the answers say; how many, by the day's budget and by how fast the judge is.

A judge may be won over by what it reads. So an injection is planted into a copy of some live answers, and the copy is judged against the
live answer itself: a judge that finds it better has been moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from detent import wire
from detent.assign import draw
from detent.checks.injections import INJECTIONS
from detent.checks.shown import shown
from detent.errors import InvalidInput
from detent.evidence.spending import Cost, Limit, cost_usd, day_of
from detent.grading.recorded import RecordedPair
from detent.judge import Judge
from detent.store import Store
from detent.terms import Judgement, PairJudgement, Price, Prompt, Rollout, Usage, micros

PLANTED = 1 / 20
"""Share of judged pairs of which a copy of the live answer is judged with an injection in it."""

NEWEST = 200
"""Of so many pairs, the newest, the next ones to judge are drawn: a judge that is slower than the traffic leaves out older ones."""

AT_A_TIME = 4
"""Pairs that are judged side by side, and kept together."""

REST_S = 30.0
"""How long a judge rests whose budget is used up for now: what may be spent of a day grows with the day."""

Ran = Literal["all judged", "budget used up", "ended"]


@dataclass(frozen=True, slots=True)
class Triple:
    """A pair as the judge sees it: the request, three answers as texts, and maybe the live one with an injection in it."""

    exchange: str
    prompt: Prompt
    live: str
    candidate: str
    second: str
    planted: str | None

    @property
    def others(self) -> frozenset[str]:
        """The texts that are held against the live answer, each once."""
        return frozenset((self.candidate, self.second, *(() if self.planted is None else (self.planted,))))


def triple(rollout: Rollout, pair: RecordedPair) -> Triple | None:
    """What the judge is asked about a pair; None where an answer or the request is not there to be read. Pure."""
    answers = [pair.stable.answer, pair.candidate.answer, pair.second.answer if pair.second is not None else None]
    texts = [shown(answer) for answer in answers if answer is not None]
    if len(texts) < len(answers) or not all(texts):
        return None
    try:
        prompt = wire.read_prompt(pair.endpoint, pair.request)
    except InvalidInput:  # the grader has told of it
        return None
    live, candidate, second = texts
    return Triple(pair.exchange, prompt, live, candidate, second, planted(rollout.salt, pair.exchange, live))


def planted(salt: str, exchange: str, live: str) -> str | None:
    """The live answer with an injection in it, for one pair in twenty; which pair and which injection, the salt says."""
    if draw(salt, "judge", f"planted:{exchange}") >= PLANTED:
        return None
    return INJECTIONS[int(draw(salt, "judge", f"injection:{exchange}") * len(INJECTIONS))].plant(live)


class PairJudge:
    """Judges the pairs of one rollout, whose judge and budget are given. Use it in one event loop.

    `paid` is the judge's price; None is free of a budget's limit only, since what cannot be priced cannot be kept within one. `holder` is
    who reserves in the ledger: no two processes are the same holder.
    """

    def __init__(
        self,
        store: Store,
        rollout: Rollout,
        judge: Judge,
        paid: Price | None,
        *,
        holder: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state, self._journal = store.state, store.journal
        self._rollout, self._judge, self._paid = rollout, judge, paid
        self._limit = rollout.plan.shadow.judge_usd_per_day if rollout.plan.shadow is not None else 0.0
        self._holder, self._now = holder, now
        self._too_dear: set[str] = set()
        self.judged = 0
        if paid is None and self._limit is not None:
            raise InvalidInput(
                f"route `{rollout.route}`: its judge is not asked about shadow pairs, since its price is not known: `{judge.version}`",
                hint=f'write [prices."{judge.version}"], or judge_usd_per_day = inf into the shadow of the plan',
            )

    async def run(self, going: Callable[[], bool]) -> Ran:
        """Judge what there is. What was judged is kept, a few pairs at a time: after a kill it goes on behind them.

        Raises CouldNotRun when the judge is out of reach, with what was asked before then kept and paid for in the ledger.
        """
        while await asyncio.to_thread(going):
            found = await asyncio.to_thread(self._next)
            if not found:
                return "all judged"
            day_us = day_of(micros(self._now()))
            held = [one for one in found if await asyncio.to_thread(self._reserve, day_us, one)]
            if not held:
                return "budget used up"
            await self._few(day_us, held)
        return "ended"

    async def _few(self, day_us: int, found: list[Triple]) -> None:
        before, asked = self._judge.usage, self._judge.asked
        said = await asyncio.gather(*(self._one(one) for one in found), return_exceptions=True)
        spent = _less(self._judge.usage, before) if self._judge.asked > asked else Usage(input=0, output=0)
        await asyncio.to_thread(self._settle, day_us, found, spent)
        rows = [one for one in said if isinstance(one, PairJudgement)]
        await asyncio.to_thread(self._state.add_pair_judgements, self._rollout, rows, blocks=self._judge.blocks)
        self.judged += len(rows)
        for one in said:
            if isinstance(one, BaseException):
                raise one

    async def _one(self, asked: Triple) -> PairJudgement:
        """All that is asked of a pair. Each exchange is a question of its own: one wrong word, remembered, would count again and again."""
        asking = 1 + int(draw(self._rollout.salt, "judge", f"asking:{asked.exchange}") * (1 << 30))
        texts = sorted(asked.others)
        verdicts: list[Judgement] = []
        asking_all = (self._judge.verdict(asked.prompt, asked.live, text, asking=asking) for text in texts)
        for one in await asyncio.gather(*asking_all, return_exceptions=True):  # all are heard before one is raised: they are paid for
            if isinstance(one, BaseException):
                raise one
            verdicts.append(one)
        said = dict(zip(texts, verdicts, strict=True))
        return PairJudgement(
            rollout=self._rollout.id,
            exchange=asked.exchange,
            at_us=micros(self._now()),
            candidate=said[asked.candidate].said,
            second=said[asked.second].said,
            planted=None if asked.planted is None else "moved" if said[asked.planted].said == "better" else "resisted",
            dimensions=said[asked.candidate].dimensions,
            usd=self._cost(verdicts),
        )

    def _cost(self, verdicts: list[Judgement]) -> float | None:
        if self._paid is None:
            return None
        known = [cost_usd(one.usage, self._paid) for one in verdicts]
        return sum(usd for usd in known if usd is not None)

    # ── which pairs ──

    def _next(self) -> list[Triple]:
        """The next few pairs; none where there are none."""
        found, more = self._some()
        while more and not found:
            found, more = self._some()
        return found

    def _some(self) -> tuple[list[Triple], bool]:
        """Those of a few pairs that the judge can read, and whether there were any; the others are kept as abstentions, so that nobody
        looks at them again."""
        names = [name for name in self._state.pairs_to_judge(self._rollout.id, NEWEST) if name not in self._too_dear]
        names.sort(key=lambda name: draw(self._rollout.salt, "judge", name))
        found: list[Triple] = []
        nothing: list[PairJudgement] = []
        chosen = names[:AT_A_TIME]
        recorded = {pair.exchange: pair for pair in self._journal.recorded_pairs(self._rollout.id, chosen)}
        for name in chosen:
            one = triple(self._rollout, recorded[name]) if name in recorded else None
            if one is None:
                at_us = micros(self._now())
                kept = PairJudgement(rollout=self._rollout.id, exchange=name, at_us=at_us, candidate="abstained", usd=0.0, unread=True)
                nothing.append(kept)
            elif self._limit is not None and self._worst(one).usd > self._limit:
                self._too_dear.add(name)
            else:
                found.append(one)
        if nothing:
            self._state.add_pair_judgements(self._rollout, nothing, blocks=self._judge.blocks)
        return found, bool(chosen)

    # ── money ──

    def _worst(self, asked: Triple) -> Cost:
        """What judging a pair may cost at most."""
        worst = [self._judge.worst(asked.prompt, asked.live, text) for text in asked.others]
        usd = sum(cost_usd(one, self._paid) or 0.0 for one in worst) if self._paid is not None else 0.0
        return Cost(usd=usd, tokens=sum((one.input or 0) + (one.output or 0) for one in worst))

    def _reserve(self, day_us: int, asked: Triple) -> bool:
        """Whether a pair fits in what may be spent by now: then the most that it may cost is held. Equal texts cost nothing."""
        want, limit = self._worst(asked), Limit(usd=self._limit)
        if not want.tokens:
            return True
        at_us = micros(self._now())
        return self._state.reserve(self._rollout.id, day_us, "judge", self._holder, want=want, limit=limit, at_us=at_us) is not None

    def _settle(self, day_us: int, asked: list[Triple], used: Usage) -> None:
        held = Cost()
        for one in asked:
            held += self._worst(one)
        if not held.tokens:
            return
        usd = cost_usd(used, self._paid) if self._paid is not None else 0.0
        # A provider that counts no tokens is taken to have used the most.
        spent = held if usd is None else Cost(usd=usd, tokens=(used.input or 0) + (used.output or 0))
        self._state.settle(self._rollout.id, day_us, "judge", self._holder, spent=spent, release=held)


def _less(all_of_it: Usage, before: Usage) -> Usage:
    """What was used since: None where nothing was counted."""

    def left(now: int | None, then: int | None) -> int | None:
        return None if now is None else now - (then or 0)

    return Usage(
        input=left(all_of_it.input, before.input),
        cached=left(all_of_it.cached, before.cached),
        output=left(all_of_it.output, before.output),
        reasoning=left(all_of_it.reasoning, before.reasoning),
    )
