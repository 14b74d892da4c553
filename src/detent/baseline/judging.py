"""Which runs a judge is asked about, and what becomes of a run by what it says.

All repeats of both versions are judged alike: a version whose answers were judged more often would fail more often, by the judge's errors
alone. In the screen the same text is asked about once, since what the judge said of it is remembered. A suspect's fresh runs are there to
tell chance from change, so each of them is a fresh question too: one wrong word, remembered, would else be counted as many times as the
text comes back, and confirm itself. A judge that is wrong now and then about a text loses no prompt by it; one that is always wrong about
it does, and that is what its calibration is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from detent.baseline.lanes import Hopeless
from detent.baseline.scoring import judged, unjudged, worth_judging
from detent.catalog import price
from detent.checks.shown import known_good
from detent.errors import CouldNotRun
from detent.evidence.spending import cost_usd
from detent.terms import Case, Judgement, Price, Prompt, Run, Version


class Judge(Protocol):
    """Compares an output with the known-good one; `detent.judge` has it."""

    version: Version

    @property
    def blocks(self) -> bool:
        """Whether its word may fail a run."""
        ...

    async def verdict(self, prompt: Prompt, known_good: str, output: str, *, asking: int = 0) -> Judgement:
        """What it says of one pair of outputs; each `asking` is a question of its own. Raises CouldNotRun when it is out of reach."""
        ...


@dataclass(frozen=True, slots=True)
class Judging:
    """A judge, and what it costs."""

    judge: Judge
    prices: Mapping[str, Price]

    async def judged(self, case: Case, prompt: Prompt, run: Run) -> Run:
        """The run with the judge's word, where that could say more.

        A judge that may block and gives no verdict leaves the run unscored: it is neither a pass nor a failure. Raises Hopeless where it
        cannot be asked at all: each further answer would be paid for and left without a word.
        """
        if not worth_judging(case, run):
            return run
        asking = run.repeat + 1 if run.stage == "confirm" else 0
        try:
            said = await self.judge.verdict(prompt, known_good(case), run.output, asking=asking)
        except CouldNotRun as error:
            if self.judge.blocks:
                raise Hopeless(f"the judge could not be asked: {error.message}", hint=error.hint) from error
            return unjudged(run, "not asked", blocks=False)
        paid = price(said.judge, self.prices)
        run = judged(run, said, blocks=self.judge.blocks, usd=None if paid is None else cost_usd(said.usage, paid))
        return unjudged(run, f"the judge gave no verdict: {said.why}", blocks=self.judge.blocks) if said.said == "abstained" else run
