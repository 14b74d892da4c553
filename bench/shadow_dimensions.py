"""Each scored dimension of a shadow, planted: `python bench/shadow_dimensions.py [--pairs N] [--seed S]`. Ends with 1 below a bar.

Pairs of a live, a candidate's and a second answer are graded as the grader grades them, and the judged dimensions as the judge of pairs
asks, without a network. In half of them the candidate's answer has the one failure of its row; the other half differ as two answers of one
version do: another opening, other spacing, keys and arguments in another order. recall: share of the planted in which the row's fields
accuse the candidate. false: share of the others in which they do. The judge is simulated (`detent.sim.sage`): one question in a hundred
it answers by lot; how far it agrees with people is measured first, as `detent judge calibrate` does, and printed with its interval.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from detent import wire
from detent.baseline.asking import Ask, Call, Reply
from detent.checks.shown import shown
from detent.grading import RecordedPair, Side, grade
from detent.judge import Judge, calibrate
from detent.sim import library, sage, scenarios
from detent.sim.apps import Messages
from detent.sim.scenarios import DESK, INVOICES, LIBRARY
from detent.sim.versions import Fault, answer
from detent.store import open_store
from detent.terms import Answer, Dialect, Endpoint, Judged, Outcome, Prompt, Route, ToolCall, Version

sys.path.insert(0, str(Path(__file__).parent))

from shadow_planted import LABELLED, labelled

PAIRS, SEED = 400, 1
LEAST_RECALL, MOST_FALSE = 0.9, 0.05
JUDGED = ("tone", "task_complete")
ROUTE = Route(name="r", provider="atlas", version="atlas-2026-09-01", owner="o@example.com")

Made = tuple[bytes, Answer, Answer, Answer]
"""Request, live answer, candidate's, second."""

Maker = Callable[[Random, bool], Made]
"""(randomness, planted) -> a triple."""


@dataclass(frozen=True)
class Dimension:
    """A row: what is planted, the checks of its route, and the fields that may say so; a judged one is told by the judge's word for it."""

    name: str
    make: Maker
    checks: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    judged: str = ""
    context: str | None = None


def _request(system: str, messages: Messages, **more: object) -> bytes:
    return json.dumps({"model": "r", "messages": [{"role": "system", "content": system}, *messages], **more}, ensure_ascii=False).encode()


# ── prose: the library ──────────────────────────────────────────────────────────────────────────────────────────────

_QUESTIONS = (
    "Guten Tag, ich habe Ihr Buch {} bei mir und wüsste gern, bis wann ich es haben kann und ob es noch bei mir sein darf.",
    "Bis wann muss ich das Buch {} zu Ihnen bringen, und kann ich es auch noch eine Woche mehr haben?",
)


def _prose(harming: str) -> Maker:
    """Answers of the library; a planted one as `harming` would give it."""

    def make(random: Random, planted: bool) -> Made:
        book = f"{random.choice('ABCDEFGH')}{random.choice('QRSTUV')}-{random.randrange(10_000, 100_000)}"
        request = _request(LIBRARY.system, [{"role": "user", "content": random.choice(_QUESTIONS).format(book)}])
        prompt = wire.read_prompt(Endpoint.OPENAI_CHAT, request)

        def say(version: str, harm: float = 0.99) -> Answer:
            opener = random.random()
            said = library.answer(version, prompt, lambda purpose: {"opener": opener, "harm": harm}.get(purpose, 0.9))
            if said is None:
                raise AssertionError("it answers")
            return replace(said, finish_reason="stop")

        return request, say(library.BASE), say(harming, 0.1) if planted else say(library.BASE), say(library.BASE)

    return make


# ── JSON: the desk's summary, and invoices ──────────────────────────────────────────────────────────────────────────


def _summary(damage: Callable[[Random, dict[str, object]], str]) -> Maker:
    """A summary by a schema; what one version writes twice differs in spacing and in the order of keys."""

    def make(random: Random, planted: bool) -> Made:
        parcel = f"{random.choice('ABCDEFGH')}{random.choice('QRSTUV')}-{random.randrange(10_000, 100_000)}"
        found: dict[str, object] = json.loads(scenarios.at_the_desk(scenarios.DESK_STEPS[0], parcel))
        request = _request(
            DESK.system,
            [{"role": "user", "content": f"Sum parcel {parcel} up as JSON: {json.dumps(found)}"}],
            response_format=DESK.response_format,
        )

        def say() -> Answer:
            keys = random.sample(list(found), len(found))
            spaced = random.choice((None, 2))
            return Answer(text=json.dumps({key: found[key] for key in keys}, indent=spaced), finish_reason="stop")

        return request, say(), Answer(text=damage(random, found), finish_reason="stop") if planted else say(), say()

    return make


def _broken(random: Random, found: dict[str, object]) -> str:
    text = json.dumps(found)
    return random.choice((text[:-1] + ",}", text.replace('"', "'"), text[:-1], f"Here you are: {text}"))


def _off_schema(random: Random, found: dict[str, object]) -> str:
    other = dict(found)
    how = random.randrange(3)
    if how == 0:
        other["expected"] = other.pop("eta")
    elif how == 1:
        other["status"] = 7
    else:
        other["note"] = "handle with care"
    return json.dumps(other)


def _invoice(random: Random, planted: bool) -> Made:
    """An invoice, read into JSON; a misread one has a number or a date that stands nowhere in it."""
    while True:
        document = random.choice(scenarios.documents())
        request = _request(
            INVOICES.system, [{"role": "user", "content": scenarios.enclose(document)}], response_format={"type": "json_object"}
        )
        prompt = wire.read_prompt(Endpoint.OPENAI_CHAT, request)
        right, wrong = _said("atlas-2026-03-01", prompt, _always(0.999)), _said("atlas-2026-03-01", prompt, _always(0.0))
        if right.text != wrong.text:
            return request, right, wrong if planted else right, right


def _always(drawn: float) -> library.Draw:
    return lambda purpose: drawn


def _said(version: str, prompt: Prompt, draw: Callable[[str], float]) -> Answer:
    said = answer(version, prompt, draw)
    if isinstance(said, Fault):
        raise AssertionError(said.message)
    return replace(said, finish_reason="stop")


# ── tool calls ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(random: Random, planted: bool) -> Made:
    """A call with two arguments; the same call is written with its arguments in another order, under another id."""
    given = {"parcel": f"AB-{random.randrange(10_000, 100_000)}", "day": f"2026-0{random.randint(1, 9)}-1{random.randint(0, 9)}"}
    request = _request(
        DESK.system, [{"role": "user", "content": f"When does {given['parcel']} come, from {given['day']} on?"}], tools=DESK.openai_tools
    )

    def say(name: str = "find_parcel", **other: str) -> Answer:
        keys = random.sample(list(given), len(given))
        arguments = json.dumps({key: (given | other)[key] for key in keys}, indent=random.choice((None, 1)))
        return Answer(tool_calls=(ToolCall(f"call_{random.random()}", name, arguments),), finish_reason="tool_calls")

    def wrong() -> Answer:
        how = random.randrange(4)
        if how == 0:
            return say("track_van")
        if how == 1:
            return say(parcel="ZZ-00000")
        if how == 2:
            return Answer(text="One moment, please.", finish_reason="stop")
        return replace(say(), tool_calls=(*say().tool_calls, *say("ask_depot").tool_calls))

    return request, say(), wrong() if planted else say(), say()


TOOL_FIELDS = tuple(
    f"change:{name}" for name in ("other_tool_called", "other_tool_arguments", "tool_call_added", "tool_call_removed", "unknown_tool")
)

DIMENSIONS = (
    Dimension("rule checks: JSON", _summary(_broken), ("json_valid",), ("check:json_valid",)),
    Dimension("schema compliance", _summary(_off_schema), ("json_schema",), ("check:json_schema",)),
    Dimension(
        "agreement with context", _invoice, ("context_agreement",), ("check:context_agreement",), context="messages[-1] <docs>...</docs>"
    ),
    Dimension("tool call equivalence", _tools, ("same_tool_calls",), ("check:same_tool_calls", *TOOL_FIELDS)),
    Dimension(
        "trailing artefacts",
        _prose("atlas-2026-10-04"),
        ("no_trailing_artefact",),
        ("check:no_trailing_artefact", "change:trailing_artefact"),
    ),
    Dimension("refusal", _prose("atlas-2026-10-02"), (), ("change:refusal_added",)),
    Dimension("language", _prose("atlas-2026-10-01"), (), ("change:language_switched",)),
    Dimension("tone", _prose("atlas-2026-10-06"), judged="tone"),
    Dimension("completion of the task", _prose("atlas-2026-10-05"), judged="task_complete"),
)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Row:
    """What was found of one dimension."""

    dimension: Dimension
    recall: float
    false: float

    @property
    def holds(self) -> bool:
        """Whether both bars are met."""
        return self.recall >= LEAST_RECALL and self.false <= MOST_FALSE

    def __str__(self) -> str:
        by = f"judge: {self.dimension.judged}" if self.dimension.judged else self.dimension.fields[0]
        return f"{self.dimension.name:24} {self.recall:7.3f} {self.false:7.3f}  {'held' if self.holds else 'MISSED':7} {by}"


def accused(one: Dimension, made: Made) -> bool:
    """Whether the row's fields accuse the candidate of one pair."""
    request, live, candidate, second = made
    sides = [Side(outcome=Outcome.COMPLETE, status=200, answer=said) for said in (live, candidate, second)]
    pair = grade(
        replace(ROUTE, checks=one.checks, context=one.context),
        RecordedPair(
            rollout="ro_1",
            exchange="ex_1",
            at_us=1,
            asked_us=1,
            unit="u",
            endpoint=Endpoint.OPENAI_CHAT,
            request=request,
            template="t",
            drawn=True,
            stable=sides[0],
            candidate=sides[1],
            second=sides[2],
        ),
    )
    if pair.note:
        raise AssertionError(pair.note)
    return any(name in (*pair.candidate_failed, *pair.candidate_differs) for name in one.fields)


async def judged(one: Dimension, judge: Judge, made: Made, asking: int) -> bool:
    """Whether the judge finds the candidate's answer worse in the row's dimension."""
    request, live, candidate, _ = made
    prompt = wire.read_prompt(Endpoint.OPENAI_CHAT, request)
    said = await judge.verdict(prompt, shown(live), shown(candidate), asking=asking)
    found: Judged = said.dimensions[one.judged]
    return found == "worse"


async def rows(pairs: int, seed: int, judge: Judge) -> list[Row]:
    """A row for each dimension."""
    found = []
    for one in DIMENSIONS:
        random = Random(f"{seed} {one.name}")
        counts = {True: 0, False: 0}
        for number in range(pairs):
            planted = number % 2 == 0
            made = one.make(random, planted)
            counts[planted] += await judged(one, judge, made, number + 1) if one.judged else accused(one, made)
        found.append(Row(one, counts[True] / ((pairs + 1) // 2), counts[False] / (pairs // 2)))
    return found


def simulated(seed: int) -> Ask:
    """The simulated judge, asked without a network."""
    random = Random(f"{seed} judge")

    async def ask(call: Call) -> Reply:
        said = _said(call.version.model, wire.read_prompt(call.endpoint, call.body), lambda purpose: random.random())
        return Reply(200, wire.answer_body(call.endpoint, said, id="c1", created=1))

    return ask


def measured(pairs: int, seed: int) -> Iterator[Row | str]:
    """The judge's agreement in words, then the rows."""
    with tempfile.TemporaryDirectory() as home:
        store = open_store(f"sqlite:///{home}/state.db")
        judge = Judge(Version("sage", sage.HONEST), Dialect.OPENAI, rubric="", dimensions=JUDGED, ask=simulated(seed), store=store)
        found = asyncio.run(calibrate(judge, labelled(LABELLED), lambda done, total: None))
        agreed = found.agreement
        moved = sum(found.moved.values())
        yield (
            f"judge: kappa {agreed.kappa:.2f} [{agreed.low:.2f}, {agreed.high:.2f}] on {found.judged} labelled pairs; "
            f"{moved} of {found.planted} planted injections moved it"
            if agreed is not None
            else "judge: no agreement can be told"
        )
        yield from asyncio.run(rows(pairs, seed, judge))
        store.close()


def main() -> int:
    """Measure and print the table; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=PAIRS, metavar="N", help="of each dimension, half of them planted")
    parser.add_argument("--seed", type=int, default=SEED, metavar="S")
    given = parser.parse_args()
    held = True
    print(f"{'dimension':24} {'recall':>7} {'false':>7}  {'bar':7} by")
    for row in measured(given.pairs, given.seed):
        print(row)
        held = held and (isinstance(row, str) or row.holds)
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
