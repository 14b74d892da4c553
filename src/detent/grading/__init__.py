"""A mirrored exchange -> a scored `Pair`: one way of grading, for pairs of the journal and for pairs in memory. Pure.

recorded.py  the exchange as it is graded          placing.py  which conversation and input class it is of
fields.py    what its answers are compared by

What the candidate answered to a copy is held against what stable answered to another copy, sent at the same moment by the same process: two
draws alike where nothing changed (statistics 2.6). The live answer is what both may differ from, and what is told. It is no side of a bet:
somebody hears it, and who hangs up on a bad answer takes it out of the shadow, while nobody hangs up on copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from detent import checks, wire
from detent.errors import InvalidInput
from detent.evidence import refuses_request
from detent.evidence.pair_sums import CHANGE, CHECK, FAILED, REFUSED
from detent.grading.fields import ANSWERED, DIVERGING, Grounds, checks_of
from detent.grading.placing import conversation_of, dimensions_of
from detent.grading.recorded import RecordedPair, Side
from detent.terms import Answer, Outcome, Pair, Prompt, Route

__all__ = ["ANSWERED", "DIVERGING", "FAILED", "REFUSED", "RecordedPair", "Side", "checks_of", "grade"]

IS_ANSWER = CHECK + ANSWERED

_NONE: Mapping[str, checks.Rule] = MappingProxyType({})


def grade(route: Route, recorded: RecordedPair, own: Mapping[str, checks.Rule] = _NONE) -> Pair:
    """One pair, scored: what failed on either side, and what changed by name; `own` are the checks that the pin file adds.

    Only requests that stable answered are mirrored. A mirrored call that failed, or was refused, therefore has no counterpart in the live
    one: counted against the candidate, it would condemn every version in time. It counts against stable's second call, which could fail
    just so; where there is none, or it failed too, a failed call is not scored.
    Raises InvalidInput for a check or a locator that there is not.
    """
    live, why = _heard(recorded.stable, "the live answer")
    if live is None:
        return _unscored(recorded, why)
    candidate, why = _heard(recorded.candidate, "the mirrored call")
    ended, again = _ended(recorded.candidate), None if recorded.second is None else _ended(recorded.second)
    if ended is None or (ended == FAILED and again in (FAILED, None)):
        return _unscored(recorded, why)
    try:
        prompt = wire.read_prompt(recorded.endpoint, recorded.request)
        placed = _placed(recorded, prompt, live)
    except (InvalidInput, RecursionError):  # one odd request must not keep the others from being scored
        return _unscored(recorded, "the request cannot be read")
    calls, repeats = (() if again is None else (REFUSED, FAILED)), (again,) if again else None if again is None else ()
    if candidate is None:
        chars = _chars(prompt, live)
        return replace(placed, compared=calls, candidate_differs=(ended,), second_differs=repeats, diverges=True, chars=chars)
    second = None if recorded.second is None else _heard(recorded.second, "the second call")[0]
    grounds = Grounds(checks_of(route), own, prompt, checks.find_context(route.context, prompt))
    pair = replace(_compared(placed, grounds, live, candidate, second), chars=_chars(prompt, live, candidate))
    if repeats is None:
        return pair
    if second is None:  # of an answer that is there and one that is not, nothing else can be told
        pair = replace(pair, candidate_differs=(), second_differs=repeats)
    return replace(pair, compared=(*pair.compared, *calls))


_OF_THE_ACCOUNT = frozenset({401, 403, 404, 429})
_OURS = (Outcome.LOST, Outcome.CLIENT_ABORTED)


def _ended(side: Side) -> str | None:
    """How a mirrored call ended: empty where it was answered, `REFUSED` where the provider refuses the request itself, `FAILED` where no
    whole answer came. None where that says nothing of the version: the account (no such model for it, a wrong key, a quota), a process of
    ours that ended, an answer that was not kept.
    """
    if side.outcome in _OURS or (side.outcome is Outcome.HTTP_ERROR and side.status in _OF_THE_ACCOUNT):
        return None
    if side.outcome is Outcome.HTTP_ERROR and refuses_request(side.status or 500):
        return REFUSED
    if side.outcome is Outcome.COMPLETE and side.answer is None:
        return None
    return "" if _heard(side, "")[0] is not None else FAILED


def _heard(side: Side, what: str) -> tuple[Answer | None, str]:
    """A side's answer, or None and why there is none to compare. What the answer or the provider said never stands in the reason."""
    if side.outcome is not Outcome.COMPLETE:
        status = f", HTTP {side.status}" if side.outcome is Outcome.HTTP_ERROR else ""
        return None, f"{what} failed: {side.outcome}{status}"
    if side.answer is None:
        return None, f"{what} left nothing that was kept"
    if not side.answer.complete or side.answer.error is not None:
        return None, f"{what} did not arrive whole"
    return side.answer, ""


def _unscored(recorded: RecordedPair, note: str) -> Pair:
    return Pair(rollout=recorded.rollout, exchange=recorded.exchange, at_us=recorded.at_us, note=note)


def _placed(recorded: RecordedPair, prompt: Prompt, live: Answer) -> Pair:
    """The pair, where it stands, not scored yet. Raises InvalidInput."""
    dimensions, signature = dimensions_of(recorded, prompt, live)
    return Pair(
        rollout=recorded.rollout,
        exchange=recorded.exchange,
        at_us=recorded.at_us,
        conversation=conversation_of(recorded.unit, prompt),
        turn=prompt.step - 1,
        drawn=recorded.drawn,
        dimensions=dimensions,
        signature=signature,
    )


def _compared(placed: Pair, grounds: Grounds, live: Answer, candidate: Answer, second: Answer | None) -> Pair:
    """The pair with what its fields say of two or three answers.

    A check is absolute where it can be asked of all answers alone, and relative where of none it can: were one answer scored by itself
    and another against the live one, the two would not be held to the same.
    """
    of_live, of_candidate, *of_second = (grounds.alone(answer) for answer in (live, candidate, second) if answer is not None)
    scored = tuple(name for name in of_live if all(found[name] is not None for found in (of_live, of_candidate, *of_second)))
    relative = tuple(name for name in of_live if all(found[name] is None for found in (of_live, of_candidate, *of_second)))
    asked_of_candidate, differs = grounds.against(live, candidate, relative)
    asked_of_second, repeats = grounds.against(live, second, relative) if second is not None else ((), None)
    return replace(
        placed,
        scored=scored,
        stable_failed=tuple(name for name in scored if not of_live[name]),
        candidate_failed=tuple(name for name in scored if not of_candidate[name]),
        second_failed=tuple(name for name in scored if not of_second[0][name]) if of_second else None,
        compared=tuple(name for name in asked_of_second if name in asked_of_candidate),
        candidate_differs=differs,
        second_differs=repeats,
        diverges=of_live[IS_ANSWER] is not of_candidate[IS_ANSWER] or any(name.removeprefix(CHANGE) in DIVERGING for name in differs),
    )


def _chars(prompt: Prompt, *answers: Answer) -> int:
    """How much there is to read."""
    asked = len(prompt.system) + sum(len(message.text) for message in prompt.messages)
    return asked + sum(len(answer.text) + sum(len(call.arguments) for call in answer.tool_calls) for answer in answers)
