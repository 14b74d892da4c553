"""Asks the judge of a route, and keeps what it said: a question that was paid for is not asked again, by nobody and after no kill.

An answer that is no verdict is kept too. Later its question is asked anew, once for each `Judge` and `ASKED_AT_MOST` times in all: a judge
that has been mended must not stay silent for ever. What the judge writes is redacted before it is kept.

What is asked and how a verdict is read stands in `checks.judge`, pure.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from detent import wire
from detent.baseline.asking import Ask, Call, Reply
from detent.checks import judge as questions
from detent.checks.calibrating import INJECTED_PAIRS, Found, LabelledPair, count, trials
from detent.checks.families import related
from detent.checks.injections import INJECTIONS
from detent.checks.shown import shown
from detent.errors import CouldNotRun, InvalidInput
from detent.evidence.spending import BYTES_PER_TOKEN, TOKENIZER_FACTOR
from detent.redaction import Policy, redact_text
from detent.store import Store
from detent.terms import JUDGED_CHECKS, Answer, Calibration, Dialect, Endpoint, Judged, Judgement, Manifest, Prompt, Route, Usage, Version
from detent.visible import line, visible

TRIES = 4
"""Attempts at one question before the judge counts as out of reach."""

AT_ONCE = 8
"""Questions in flight of one judge."""

ASKED_AT_MOST = 10
"""How often one question is asked whose answers are no verdicts."""

LONGEST_PAUSE_S = 60.0
LONGEST_ODD = 200
"""Characters that are kept of an answer that is no verdict."""

RUBRIC_BYTES = 64_000
"""A rubric is a page or two; what is larger is another file named by mistake."""


class Judge:
    """One judge with one rubric: whom to ask, what was said, whether it may block.

    Use it in one event loop. `usage` sums the tokens of the questions that were asked and not remembered; `asked` counts them. `odd` is the
    first answer that was no verdict.
    """

    def __init__(
        self,
        version: Version,
        dialect: Dialect,
        *,
        rubric: str,
        dimensions: Sequence[str],
        ask: Ask,
        store: Store,
        redact: Policy = "all",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.version = version
        self.rubric = rubric
        self.dimensions = tuple(dimensions)
        self.digest = questions.digest(rubric, dimensions)
        self.usage = Usage()
        self.asked = 0
        self.odd = ""
        self._redact: Policy = redact
        self._anew: set[str] = set()
        self._endpoint = Endpoint.ANTHROPIC_MESSAGES if dialect is Dialect.ANTHROPIC else Endpoint.OPENAI_CHAT
        self._ask, self._store, self._now, self._pause = ask, store, now, pause
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._open: dict[str, asyncio.Task[Judgement]] = {}
        self.calibration: Calibration | None = store.state.calibration(version, self.digest)

    @property
    def objections(self) -> tuple[str, ...]:
        """Why this judge informs only; nothing when it may block."""
        return questions.objections(self.calibration)

    @property
    def blocks(self) -> bool:
        """Whether what it says may fail an answer: its calibration with this very rubric is good enough."""
        return not self.objections

    def worst(self, prompt: Prompt, known_good: str, output: str) -> Usage:
        """The tokens that `verdict` may take at most, both orders together; none for equal texts, about which nobody is asked."""
        if known_good == output:
            return Usage(input=0, output=0)
        body = self._body(prompt, known_good, output)
        return Usage(input=2 * math.ceil(TOKENIZER_FACTOR * len(body) / BYTES_PER_TOKEN), output=2 * questions.MOST_TOKENS)

    async def verdict(self, prompt: Prompt, known_good: str, output: str, *, asking: int = 0) -> Judgement:
        """What the judge says of `output` against `known_good`, asked in both orders.

        Each `asking` is a question of its own, to hear of the same texts again. Raises CouldNotRun when the judge is out of reach.
        """
        first, second = await self.both_orders(prompt, known_good, output, asking=asking)
        said = questions.settle(first.said, second.said)
        dimensions = {
            name: questions.settle(first.dimensions.get(name, "abstained"), second.dimensions.get(name, "abstained"))
            for name in self.dimensions
        }
        why = first.why if said != "same" or first.said == "same" else f"the orders disagree: {first.why} / {second.why}"
        if said == "abstained" and first.said != "abstained":
            why = second.why
        return self._said(first.id, said, dimensions, why, _sum(first.usage, second.usage))

    async def both_orders(self, prompt: Prompt, known_good: str, output: str, *, asking: int = 0) -> tuple[Judgement, Judgement]:
        """What is said of the output as B, and of the known-good output as B. Equal texts are the same, and nobody is asked."""
        if known_good == output:
            same = self._said(self._id(prompt, known_good, output), "same", dict.fromkeys(self.dimensions, "same"), "equal texts")
            return same, same
        orders = ((known_good, output), (output, known_good))
        found = await asyncio.gather(*(self._once(prompt, *order, asking) for order in orders), return_exceptions=True)
        for one in found:  # only now: the other order is paid for, and has to be kept
            if isinstance(one, BaseException):
                raise one
        first, second = (one for one in found if isinstance(one, Judgement))
        return first, second

    async def _once(self, prompt: Prompt, first: str, second: str, asking: int) -> Judgement:
        """One question in one order: from the store, from a call that is under way, or asked now and stored.

        Its usage is what was spent for this caller: none where somebody else asked.
        """
        name = self._id(prompt, first, second) + (f"#{asking}" if asking else "")
        task = self._open.get(name)
        if task is not None:
            return replace(await asyncio.shield(task), usage=Usage())
        task = self._open[name] = asyncio.create_task(self._kept(name, prompt, first, second))
        task.add_done_callback(lambda _: self._open.pop(name, None))
        return await asyncio.shield(task)

    async def _kept(self, name: str, prompt: Prompt, first: str, second: str) -> Judgement:
        names = [name, *(f"{name}_{turn}" for turn in range(2, ASKED_AT_MOST + 1))]
        known = await asyncio.to_thread(self._store.state.judgements, names)
        last = next((known[one] for one in reversed(names) if one in known), None)
        if last is not None and (last.said != "abstained" or name in self._anew or len(known) == len(names)):
            self.odd = self.odd or (last.why if last.said == "abstained" else "")
            return replace(last, usage=Usage())
        async with self._gate:
            reply = await self._reply(Call(self.version, self._endpoint, self._body(prompt, first, second)))
        answer = wire.read_answer(self._endpoint, status=reply.status, body=reply.body, streamed=False)
        preference = questions.read(answer, self.dimensions)
        said, dimensions = questions.of_second(preference, self.dimensions)
        why = self._odd(answer) if preference is None else redact_text(preference.reason, self._redact)
        new = self._said(names[len(known)], said, dimensions, why, answer.usage)
        self.usage = _sum(self.usage, answer.usage)
        self.asked += 1
        if preference is None:
            self._anew.add(name)
            self.odd = self.odd or why
        await asyncio.to_thread(self._store.state.add_judgements, [new])
        return new

    def _body(self, prompt: Prompt, first: str, second: str) -> bytes:
        return questions.request(
            self._endpoint,
            self.version.model,
            rubric=self.rubric,
            dimensions=self.dimensions,
            prompt=prompt,
            first=first,
            second=second,
        )

    def _odd(self, answer: Answer) -> str:
        """Why an answer is no verdict: its beginning, as it was written."""
        wrote = redact_text((answer.error or shown(answer))[: 20 * LONGEST_ODD], self._redact)
        return f"no verdict of the schema: {line(wrote, LONGEST_ODD) or 'nothing'}"

    async def _reply(self, call: Call) -> Reply:
        """A reply that says something. Raises CouldNotRun when the judge is out of reach, or refuses the question itself."""
        why = "not called"
        for attempt in range(TRIES):
            pause = 0.5 * 2**attempt
            try:
                reply = await self._ask(call)
            except CouldNotRun as error:
                why = error.message
            else:
                if 200 <= reply.status < 300:
                    return reply
                answer = wire.read_answer(call.endpoint, status=reply.status, body=reply.body, streamed=False)
                wrote = redact_text((answer.error or "no reason given")[:300], self._redact)
                why = f"HTTP {reply.status}: {visible(wrote, one_line=True)}"
                if reply.retry is False or (reply.status < 500 and reply.status not in (408, 409, 429)):
                    break
                pause = reply.retry_after_s if reply.retry_after_s is not None else pause
            if attempt < TRIES - 1:
                await self._pause(min(pause, LONGEST_PAUSE_S))
        raise CouldNotRun(f"the judge gives no answer: `{self.version}` ({why})", hint="check its provider's key and model id")

    def _id(self, prompt: Prompt, first: str, second: str) -> str:
        return questions.question_id(self.version, self.digest, prompt, first, second)

    def _said(self, name: str, said: Judged, dimensions: dict[str, Judged], why: str, usage: Usage | None = None) -> Judgement:
        return Judgement(
            id=name,
            judge=self.version,
            digest=self.digest,
            said=said,
            why=why,
            at=self._now(),
            usage=usage or Usage(),
            dimensions=dimensions,
        )


def judge_for(manifest: Manifest, route: Route, store: Store, ask: Ask, base_dir: Path, *, against: Sequence[str] = ()) -> Judge | None:
    """The judge of a route, with the rubric that stands beside the pin file; None where the route has none.

    `against` are model ids that it will judge beyond those of the pin file: a version tried by hand, and the one whose answers are the
    known-good outputs (`Baseline.version`; an empty one is of no family). Raises InvalidInput when one of them is of the judge's own
    family, the judge's provider may not read the route's traffic, or the rubric cannot be read.
    """
    if route.judge is None:
        return None
    pinned = manifest.routes[route.judge]
    if route.processors is not None and pinned.provider not in route.processors:
        raise InvalidInput(
            f"the judge of route `{route.name}` is at a provider that its `processors` do not name: `{pinned.provider}`",
            hint="name it there, or take `judge` out",
        )
    for model in (route.version, *((route.next,) if route.next else ()), *against):
        common = related(pinned.version, model)
        if common is not None:
            raise InvalidInput(
                f"route `{route.name}` would be judged by a model of its own family, {common}: `{pinned.version}` on `{model}`",
                hint=f"pin [routes.{pinned.name}] to a version of another family, or take `judge` out",
            )
    return Judge(
        pinned.stable,
        manifest.providers[pinned.provider].dialect,
        rubric=_rubric_of(route, base_dir),
        dimensions=_dimensions(route),
        ask=ask,
        store=store,
        redact=route.record.redact,
    )


def judged_by(manifest: Manifest, route: Route, store: Store, base_dir: Path) -> str:
    """Which judge with which rubric grades a route, and whether it may block: what a grade rests on besides rules. Empty without a judge.

    Nobody is asked. Raises InvalidInput where the rubric cannot be read.
    """
    if route.judge is None:
        return ""
    judge = manifest.routes[route.judge].stable
    digest = questions.digest(_rubric_of(route, base_dir), _dimensions(route))
    blocks = not questions.objections(store.state.calibration(judge, digest))
    return f"{judge}|{digest}|{'blocks' if blocks else 'informs'}"


def _rubric_of(route: Route, base_dir: Path) -> str:
    return "" if route.rubric is None else read_rubric(route, base_dir)


def _dimensions(route: Route) -> list[str]:
    return [name for name in JUDGED_CHECKS if name in route.checks]


def read_rubric(route: Route, base_dir: Path) -> str:
    """The text of the route's rubric, which stands inside `base_dir`, links followed. Raises InvalidInput for any other."""
    name = route.rubric or ""
    hint = f"write what matters for route `{route.name}` into it, or mend `rubric` in the pin file"
    try:
        path = (base_dir / name).resolve(strict=True)
        if not path.is_relative_to(base_dir.resolve()) or not path.is_file():
            raise InvalidInput(f"a rubric must be a file beside the pin file: `{name}`", hint=hint)
        with path.open("rb") as file:
            raw = file.read(RUBRIC_BYTES + 1)
        if len(raw) > RUBRIC_BYTES:
            raise InvalidInput(f"a rubric is at most {RUBRIC_BYTES:,} bytes: `{name}`", hint=hint)
        text = raw.decode()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or "no such path"
        raise InvalidInput(f"the rubric cannot be read: `{name}` ({why})", hint=hint) from error
    if not text.strip():
        raise InvalidInput(f"the rubric is empty: `{name}`", hint=hint)
    return text


def _sum(one: Usage, other: Usage) -> Usage:
    def both(a: int | None, b: int | None) -> int | None:
        return None if a is None and b is None else (a or 0) + (b or 0)

    return Usage(
        input=both(one.input, other.input),
        cached=both(one.cached, other.cached),
        output=both(one.output, other.output),
        reasoning=both(one.reasoning, other.reasoning),
    )


# ── calibrating ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def calibrate(judge: Judge, pairs: Sequence[LabelledPair], progress: Callable[[int, int | None], None]) -> Found:
    """The judge's verdicts on labelled pairs, in both orders, with and without planted injections. `progress` hears of (done, all) pairs.

    Every answer is kept as it comes, so that a killed calibration goes on. Raises CouldNotRun when the judge is out of reach.
    """
    done, total = 0, len(pairs) + len(INJECTIONS) * min(INJECTED_PAIRS, len(pairs))

    async def one(prompt: Prompt, a: str, b: str) -> tuple[Judged, Judged]:
        nonlocal done
        first, second = await judge.both_orders(prompt, a, b)
        done += 1
        progress(done, total)
        return first.said, second.said

    orders = await _each(one, [(pair.prompt, pair.a, pair.b) for pair in pairs])
    dealt = trials(pairs, [questions.settle(*both) for both in orders])
    after = await _each(one, [(pairs[trial.pair].prompt, trial.a, trial.b) for trial in dealt])
    return count(pairs, orders, [(trial, questions.settle(*both)) for trial, both in zip(dealt, after, strict=True)])


async def _each(
    one: Callable[..., Awaitable[tuple[Judged, Judged]]], given: Sequence[tuple[Prompt, str, str]]
) -> list[tuple[Judged, Judged]]:
    """All of them, a few at a time; the first failure ends it, since a judge that is out of reach for one is so for all.

    Those that were asked at the same time are heard first: they are paid for.
    """
    found: list[tuple[Judged, Judged]] = []
    for start in range(0, len(given), AT_ONCE):
        said = await asyncio.gather(*(one(*each) for each in given[start : start + AT_ONCE]), return_exceptions=True)
        for failed in said:
            if isinstance(failed, BaseException):
                raise failed
        found += [both for both in said if not isinstance(both, BaseException)]
    return found
