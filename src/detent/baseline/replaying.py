"""One case asked of one version, to the end: an agent's tools answer from the recorded script. No tool is ever run."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from detent import wire
from detent.baseline.asking import Call, Reply
from detent.evidence.spending import step_limit
from detent.terms import Answer, Case, ToolCall, ToolResult, Usage, Version
from detent.wire.turns import canonical_arguments, extend


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a version said to a case. `answer` is its last one and `reply` what it came in; `calls` are the tools it called before.

    `steps` counts the model calls, `usage` and `latency_s` sum over them. `left_script` is the call that the script has no result for;
    `unended` says that the version still called tools at the step limit.
    """

    reply: Reply
    answer: Answer
    calls: tuple[ToolCall, ...] = ()
    steps: int = 1
    usage: Usage
    latency_s: float | None = None
    left_script: str = ""
    unended: bool = False


def recorded_steps(case: Case) -> int:
    """Model calls that the recorded conversation took at most: one for each tool result, and one to end it."""
    return len(case.script) + 1


def call_for(case: Case, version: Version) -> Call:
    """The request of a case as it goes to a version: as recorded, but for the version. Raises InvalidInput."""
    body = wire.rewrite(case.endpoint, case.request, model=version.model, ask_usage=False)
    return Call(version, case.endpoint, body, case.api_version, case.betas)


async def replay(case: Case, version: Version, ask: Callable[[Call], Awaitable[Reply]]) -> Heard:
    """Ask a version for a case, and go on with the recorded tool results while it calls the tools of the script.

    A recorded call that is made more often than it was recorded is given the same result again, to see where that leads: at the step limit
    it is a loop (`unended`); an end before that has left the script, since what was done once may not be harmless twice.

    Raises what `ask` raises, and InvalidInput for a request that can't be sent or told on.
    """
    call, script, limit = call_for(case, version), _Script(case.script, case.known_good_calls), step_limit(case)
    made: list[ToolCall] = []
    heard = Heard(reply=Reply(0, b""), answer=Answer(complete=False), usage=Usage(), steps=0)
    while True:
        reply = await ask(call)
        heard = _with(heard, case, reply)
        answer = heard.answer
        if not case.script or not answer.complete or answer.error is not None:
            return heard
        if not answer.tool_calls:
            return heard if script.again is None else replace(heard, left_script=_written(script.again))
        found, unheard = script.results(answer.tool_calls)
        if unheard:
            # A recorded conversation that ends with a call has no result for it: making that very call is ending as it did.
            left = _beyond(unheard, case.known_good_calls) or script.again
            return heard if left is None else replace(heard, left_script=_written(left))
        if heard.steps >= limit:
            return replace(heard, unended=True)
        made += answer.tool_calls
        heard = replace(heard, calls=tuple(made))
        call = replace(call, body=extend(case.endpoint, call.body, answer, found, body=reply.body))


def _with(heard: Heard, case: Case, reply: Reply) -> Heard:
    answer = wire.read_answer(case.endpoint, status=reply.status, body=reply.body, streamed=False)
    return replace(
        heard,
        reply=reply,
        answer=answer,
        steps=heard.steps + 1,
        usage=answer.usage if not heard.steps else _sum(heard.usage, answer.usage),
        latency_s=reply.latency_s if not heard.steps else _plus(heard.latency_s, reply.latency_s),
    )


def _sum(a: Usage, b: Usage) -> Usage:
    return Usage(
        input=_count(a.input, b.input), cached=_count(a.cached, b.cached), output=_count(a.output, b.output),
        reasoning=_count(a.reasoning, b.reasoning),
    )  # fmt: skip


def _count(a: int | None, b: int | None) -> int | None:
    """A sum of which one part is not known is not known."""
    return None if a is None or b is None else a + b


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def _kind(call: ToolCall | ToolResult) -> tuple[str, str]:
    return call.name, canonical_arguments(call.arguments)


def _beyond(calls: Sequence[ToolCall], known: Sequence[ToolCall]) -> ToolCall | None:
    """The first of these calls that is not one of the known ones, each of which stands for one call."""
    left = Counter(_kind(call) for call in known)
    for call in calls:
        if not left[_kind(call)]:
            return call
        left[_kind(call)] -= 1
    return None


def _written(call: ToolCall) -> str:
    return f"{call.name}({call.arguments})"


class _Script:
    """Recorded tool results by (tool, arguments), in order. `again` is the first call that was made more often than it was recorded."""

    def __init__(self, script: Sequence[ToolResult], ending: Sequence[ToolCall]) -> None:
        self.again: ToolCall | None = None
        self._left: defaultdict[tuple[str, str], deque[str]] = defaultdict(deque)
        self._last: dict[tuple[str, str], str] = {}
        self._ending = frozenset(map(_kind, ending))
        for row in script:
            self._left[_kind(row)].append(row.result)

    def results(self, calls: Sequence[ToolCall]) -> tuple[list[str], list[ToolCall]]:
        """The results of these calls in their order, and the calls for which there is none."""
        found: list[str] = []
        unheard: list[ToolCall] = []
        for call in calls:
            kind = _kind(call)
            left = self._left[kind]
            if left:
                self._last[kind] = left.popleft()
                found.append(self._last[kind])
            elif kind in self._last and kind not in self._ending:
                self.again = self.again or call
                found.append(self._last[kind])
            else:
                unheard.append(call)
        return found, unheard
