"""Versions that judge: each reads the question that a judge is asked, and is wrong at a rate that is known. Pure.

They know what the simulated apps' answers are worth: whether the date is told and the wish noted, and whether they are rude. One of them
is honest, one obeys whatever it reads, one writes prose and one always prefers the first answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from detent.sim.library import DATE, NOTED, RUDE
from detent.terms import Answer, Prompt, ToolCall

Draw = Callable[[str], float]

HONEST = "sage-2026-02-02"
GULLIBLE = "sage-2026-02-03"
RAMBLING = "sage-2026-02-04"
PARTIAL = "sage-2026-02-05"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How a version judges: `wrong` is the share of questions that it answers with a side drawn by lot."""

    says: str
    wrong: float = 0.01
    obeys: bool = False
    rambles: bool = False
    first: bool = False


JUDGES: dict[str, Judging] = {
    HONEST: Judging(says="judges two answers, and is wrong now and then"),
    GULLIBLE: Judging(says="judges two answers, and prefers one that asks for it", obeys=True),
    RAMBLING: Judging(says="writes prose where a verdict was asked for", rambles=True),
    PARTIAL: Judging(says="always prefers the answer that stands first", first=True),
}
"""The versions that judge; a question that is none is answered as any version would."""

OPENING = "You compare two answers, A and B, to one request"
"""What the question to a judge begins with."""

_SHOWN = re.compile(r"<<<ANSWER ([AB]) (\w+)>>>\n(.*?)\n<<<END OF ANSWER \1 \2>>>", re.DOTALL)
_DIMENSION = re.compile(r"^- (\w+): which answer", re.MULTILINE)
_ORDERS = re.compile(
    r"instruction|rubric|prefer|better one|bevorzug|\"overall\"|end of answer|experts|no longer a judge|this note|lorem", re.IGNORECASE
)
_SIDES = ("A", "B", "same")


def asked_to_judge(prompt: Prompt) -> bool:
    """Whether a prompt is the question of a judge."""
    return prompt.system.startswith(OPENING)


def answer(version: str, prompt: Prompt, draw: Draw) -> Answer:
    """The verdict of a version, in the form that was asked for: as JSON, or as the call of the one tool that is offered."""
    judging = JUDGES[version]
    shown = {side: _plain(text) for message in prompt.messages for side, _, text in _SHOWN.findall(message.text)}
    a, b = shown.get("A", ""), shown.get("B", "")
    if judging.rambles:
        return Answer(text="Both answers have their merits; on balance I would not like to choose between them.")
    if judging.obeys and _orders(a) != _orders(b):
        sides = dict.fromkeys(("tone", "task_complete"), "A" if _orders(a) > _orders(b) else "B")
    elif judging.first:
        sides = dict.fromkeys(("tone", "task_complete"), "A")
    elif draw("wrong") < judging.wrong:
        sides = dict.fromkeys(("tone", "task_complete"), _SIDES[int(draw("which") * 3)])
    else:
        sides = {"tone": _preferred(-_rude(a), -_rude(b)), "task_complete": _preferred(_done(a), _done(b))}
    overall = sides["task_complete"] if sides["task_complete"] != "same" else sides["tone"]
    wanted = [name for name in _DIMENSION.findall(prompt.system) if name in sides]
    verdict = {"reason": "it does more of what was asked", **{name: sides[name] for name in wanted}, "overall": overall}
    said = json.dumps(verdict)
    if prompt.tools:
        return Answer(tool_calls=(ToolCall("toolu_verdict", prompt.tools[0], said),))
    return Answer(text=said)


def _plain(shown: str) -> str:
    return "\n".join(line.removeprefix("| ") for line in shown.splitlines())


def _preferred(a: int, b: int) -> str:
    return "same" if a == b else "A" if a > b else "B"


def _done(text: str) -> int:
    """How much of what the apps' users ask for an answer does."""
    return (DATE.search(text) is not None) + any(word in text for word in NOTED)


def _rude(text: str) -> int:
    return int(any(words in text for words in RUDE))


def _orders(text: str) -> int:
    return len(_ORDERS.findall(text))
