"""The versions behind the parcel desk: each but the first does one harm, and only that; one does none. Pure.

The demo's versions misbehave as real ones did, several ways at once. These are for measuring: `bench/canary.py` puts each of them into a
canary and counts how often it is rolled back.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from detent.sim.histories import call, call_id, last_result, size, tokens, turn_of
from detent.sim.scenarios import DESK_STEPS
from detent.terms import Answer, Prompt, ToolCall, Usage

Draw = Callable[[str], float]
"""A fresh number in [0, 1) for a purpose; each call of `answer` asks at most once for each purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How a version behaves at the desk, as rates; the defaults are those of the version that was approved."""

    says: str
    broken: float = 0.01  # share of summaries that are no JSON
    renamed: float = 0.0  # share of summaries with another key for `eta`
    repeats: float = 0.04  # share of questions whose first tool call is made again
    vague: float = 0.03  # share of answers without the date: their users press thumbs-down
    undone: float = 0.10  # share of answers without the note that was asked for: their users never say that the task is done
    tokens: float = 1.0  # tokens of an answer, as a multiple
    slow: float = 0.0  # share of answers that take `SLOWER` times as long
    steps: int = 0  # tools called beside the one that is needed


BASE = "atlas-2026-07-01"
UNCHANGED = "atlas-2026-07-15"

TRAITS: dict[str, Traits] = {
    BASE: Traits(says="the desk's approved version"),
    UNCHANGED: Traits(says="answers at the desk as the approved version does"),
    "atlas-2026-08-01": Traits(says="more summaries that are no JSON", broken=0.08),
    "atlas-2026-08-02": Traits(says="a renamed key in some summaries", renamed=0.06),
    "atlas-2026-08-03": Traits(says="more tool calls made twice", repeats=0.20),
    "atlas-2026-08-04": Traits(says="thinks longer: more tokens for the same words", tokens=1.6),
    "atlas-2026-08-05": Traits(says="a tail three times as long: some answers take much longer", slow=0.08),
    "atlas-2026-08-06": Traits(says="more answers without the date that was asked for", vague=0.12),
    "atlas-2026-08-07": Traits(says="forgets the task more often", undone=0.30),
    "atlas-2026-08-08": Traits(says="asks three further tools before it answers", steps=3),
}
"""The versions of the desk. Every one of them draws its noise alike, so that they differ by the one trait alone."""

TYPICAL_S, SPREAD = 0.200, 0.30
"""Median seconds of an answer and the deviation of their logarithm."""

THOUGHT, THOUGHT_SPREAD = 60.0, 0.25
"""Median tokens of thought, which are paid for and not shown, and the deviation of their logarithm."""

SLOWER = 4.25
"""With 8 % of the answers so much slower, the 99th percentile is three times what it was."""

_NORMAL = NormalDist()


def seconds(version: str, draw: Draw) -> float:
    """How long `version` takes for an answer at the desk."""
    factor = SLOWER if draw("slow") < TRAITS[version].slow else 1.0
    return factor * TYPICAL_S * _lognormal(SPREAD, draw("seconds"))


def _lognormal(deviation: float, uniform: float) -> float:
    return math.exp(deviation * _NORMAL.inv_cdf(min(max(uniform, 1e-9), 1.0 - 1e-9)))


def answer(version: str, prompt: Prompt, draw: Draw) -> Answer:
    """What a version answers at the desk, and how many tokens it thought; versions from elsewhere answer as the approved one."""
    traits = TRAITS.get(version, TRAITS[BASE])
    said = _summary(traits, prompt, draw) if prompt.json_asked else _step(version, traits, prompt, draw)
    shown = tokens(size(said.text, said.tool_calls))
    thought = THOUGHT * _lognormal(THOUGHT_SPREAD, draw("thought"))
    return Answer(text=said.text, tool_calls=said.tool_calls, usage=Usage(reasoning=round(traits.tokens * (shown + thought)) - shown))


def _step(version: str, traits: Traits, prompt: Prompt, draw: Draw) -> Answer:
    """The next tool of the turn, the last one again, or the answer."""
    asked, since = turn_of(prompt)
    parcel = re.search(r"\b[A-Z]{2}-\d{5}\b", asked.text) if asked else None
    if parcel is None:
        return Answer(text="Which parcel is it? The number starts with two letters.")
    made = [(c.name, c.arguments) for message in since for c in message.tool_calls]
    if len(made) == 1 and draw("repeat") < traits.repeats:
        return Answer(tool_calls=(ToolCall("call_" + call_id(version, prompt.messages), *made[0]),))
    first_turn = sum(m.role == "user" for m in prompt.messages) == 1
    wanted = DESK_STEPS[: 1 + (traits.steps if first_turn else 0)]
    left = [name for name in wanted if name not in {name for name, _ in made}]
    if left:
        return call(version, prompt, "call_", left[0], parcel=parcel[0])
    found = last_result(m for m in since if '"eta"' in m.text)
    when = "soon" if draw("vague") < traits.vague else f"on {found.get('eta')}"
    noted = "" if draw("undone") < traits.undone else " I've noted that a neighbour may take it."
    return Answer(text=f"Parcel {found.get('parcel')} is {found.get('status')} and comes {when}.{noted}")


def _summary(traits: Traits, prompt: Prompt, draw: Draw) -> Answer:
    found = last_result(m for m in prompt.messages if '"eta"' in m.text)
    eta = "expected" if draw("renamed") < traits.renamed else "eta"
    text = json.dumps({"parcel": found.get("parcel"), "status": found.get("status"), eta: found.get("eta")})
    return Answer(text=text[:-1] + ",}" if draw("broken") < traits.broken else text)
