"""The apps whose sessions are the traffic: how they open, answer tool calls, go on, and when their users have had enough.

An app knows its own tools and messages; what it is served by is an argument. The messages are plain dictionaries in the shape of the
SDK that the app uses: OpenAI's for `support`, `invoices`, `desk` and `library`, Anthropic's for `agent`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from detent.sim import scenarios
from detent.sim.library import GERMAN
from detent.sim.scenarios import AGENT, CITIES, DESK, INVOICES, LIBRARY, SUPPORT
from detent.terms import ToolCall

PATIENCE = 6  # model calls that a user waits for in one turn
UNHAPPY = {
    "support": 0.08,
    "invoices": 0.05,
    "agent": 0.05,
    "library": 0.05,
}  # share of sessions ending in each kind of bad feedback, whatever the version
PRAISING = 0.2  # share of the desk's pleased users who say so

Messages = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Said:
    """What the app got of one model call; `id` is the gateway's for this answer, empty where the client does not tell it."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    id: str = ""


class Ask(Protocol):
    """One model call within a session, with the history so far."""

    def __call__(self, messages: Messages, *, json_asked: bool = False) -> Awaitable[Said]:
        """Raises what the SDK raises once its retries are used up."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session of one user: its randomness, how to ask, and how long a user thinks between turns."""

    random: Random
    ask: Ask
    think: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a conversation ended: whether the user gave up in it, and how many JSON answers the app could not read.

    `liked` is the thumb that the user pressed, None for none; `done` whether the app saw the task done.
    """

    gave_up: bool = False
    unreadable: int = 0
    liked: bool | None = None
    done: bool = False


def _readable(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _use(tool: str, arguments: str) -> str:
    """What a tool answers."""
    given = json.loads(arguments)
    if tool == "lookup_order":
        return scenarios.lookup_order(given["order_id"])
    if tool in scenarios.DESK_STEPS:
        return scenarios.at_the_desk(tool, given["parcel"])
    if tool == "search_flights":
        return scenarios.search_flights(given["from"], given["to"], given["date"])
    return scenarios.book(given["flight"])


# ── support and invoices: OpenAI's messages ─────────────────────────────────────────────────────────────────────────

_QUESTIONS = ("Where is my order {}?", "Has {} left the warehouse yet?", "When will {} be here?", "What is happening with {}?")
_FOLLOW_UPS = ("Can it come any sooner?", "Thanks. Is that date certain?", "And what do I do if I'm not at home?")


async def support(session: Session) -> Ending:
    """Two to four turns: an order, more orders or follow-ups, and at last a summary as JSON."""
    random = session.random
    messages: Messages = [{"role": "system", "content": SUPPORT.system}]
    for turn in range(random.randint(1, 3)):
        if turn == 0 or random.random() < 0.5:
            order = f"{random.choice('ABCDEFGHKMNP')}{random.choice('QRSTVWXYZ')}-{random.randrange(10_000, 100_000)}"
            text = random.choice(_QUESTIONS).format(order)
        else:
            text = random.choice(_FOLLOW_UPS)
        messages.append({"role": "user", "content": text})
        if not await _openai_turn(session, messages):
            return Ending(gave_up=True)
        await session.think()
    messages.append({"role": "user", "content": "Sum the last order up as JSON with the keys order, status and eta."})
    said = await session.ask(messages, json_asked=True)
    return Ending(unreadable=0 if _readable(said.text) else 1)


async def _openai_turn(session: Session, messages: Messages) -> bool:
    """Ask, use the tools that are called and ask again until the model speaks; False when the user's patience ends first."""
    for _ in range(PATIENCE):
        said = await session.ask(messages)
        if not said.calls:
            messages.append({"role": "assistant", "content": said.text})
            return True
        calls = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in said.calls]
        messages.append({"role": "assistant", "content": said.text or None, "tool_calls": calls})
        messages.extend({"role": "tool", "tool_call_id": c.id, "content": _use(c.name, c.arguments)} for c in said.calls)
    return False


async def invoices(session: Session) -> Ending:
    """One or two invoices of the pool."""
    random, pool = session.random, scenarios.documents()
    messages: Messages = [{"role": "system", "content": INVOICES.system}]
    unreadable = 0
    for turn in range(random.randint(1, 2)):
        if turn:
            await session.think()
        messages.append({"role": "user", "content": scenarios.enclose(random.choice(pool))})
        said = await session.ask(messages, json_asked=True)
        unreadable += not _readable(said.text)
        messages.append({"role": "assistant", "content": said.text})
    return Ending(unreadable=unreadable)


# ── desk: OpenAI's messages, and users who say what they think ──────────────────────────────────────────────────────


async def desk(session: Session) -> Ending:
    """One or two parcels, then a summary by a schema. The last answer decides what the user thinks, and whether the task is done."""
    random = session.random
    messages: Messages = [{"role": "system", "content": DESK.system}]
    eta = ""
    for _ in range(1 + (random.random() < 0.3)):
        parcel = f"{random.choice('ABCDEFGHKMNP')}{random.choice('QRSTVWXYZ')}-{random.randrange(10_000, 100_000)}"
        eta = json.loads(scenarios.at_the_desk(scenarios.DESK_STEPS[0], parcel))["eta"]
        messages.append({"role": "user", "content": f"When does {parcel} come? Note that a neighbour may take it."})
        if not await _openai_turn(session, messages):
            return Ending(gave_up=True, liked=False)
        await session.think()
    answer = messages[-1]["content"]
    messages.append({"role": "user", "content": "Sum the last parcel up as JSON with the keys parcel, status and eta."})
    said = await session.ask(messages, json_asked=True)
    unreadable = 0 if _readable(said.text) else 1
    liked = (True if random.random() < PRAISING else None) if eta in answer else False
    return Ending(unreadable=unreadable, liked=liked, done="noted" in answer)


# ── library: OpenAI's messages, and a few readers with another language ─────────────────────────────────────────────

_ENGLISH = (
    "Hello, I have your book {} at home and I would like to know when it is due, and if I can have it for another week.",
    "When do I have to bring back the book {}, and would it be possible for me to have it for one more week?",
    "Can you tell me when {} is due? I have not read all of it yet and would like to have it for a week more.",
)
_GERMAN = (
    "Guten Tag, ich habe Ihr Buch {} bei mir und wüsste gern, bis wann ich es haben kann und ob es noch eine Woche bei mir sein darf.",
    "Bis wann muss ich das Buch {} zu Ihnen bringen, und kann ich es auch noch eine Woche mehr haben, wenn es nicht bestellt ist?",
    "Können Sie mir sagen, bis wann ich {} haben kann? Ich bin noch nicht durch und hätte es gern noch eine Woche mehr.",
)
_LATE = (
    "And what do I have to pay if I bring {} back when it is a week late?",
    "Und was muss ich bezahlen, wenn ich {} erst nach einer Woche zu Ihnen bringe und es zu spät ist?",
)
ASKING_ON = 0.15
"""Share of readers who ask a second question."""


async def library(session: Session) -> Ending:
    """A book, and now and then a second question about it."""
    random = session.random
    german = random.random() < GERMAN
    book = f"{random.choice('ABCDEFGHKMNP')}{random.choice('QRSTVWXYZ')}-{random.randrange(10_000, 100_000)}"
    messages: Messages = [
        {"role": "system", "content": LIBRARY.system},
        {"role": "user", "content": random.choice(_GERMAN if german else _ENGLISH).format(book)},
    ]
    said = await session.ask(messages)
    if random.random() < ASKING_ON:
        await session.think()
        messages.append({"role": "assistant", "content": said.text})
        messages.append({"role": "user", "content": _LATE[german].format(book)})
        await session.ask(messages)
    return Ending()


# ── agent: Anthropic's messages ─────────────────────────────────────────────────────────────────────────────────────


async def agent(session: Session) -> Ending:
    """Two or three turns: a flight, perhaps the way back, and often a booking."""
    random = session.random
    origin, to = random.sample(CITIES, 2)
    month, day = random.randint(1, 12), random.randint(1, 14)
    out = f"Find me a flight from {origin} to {to} on 2026-{month:02d}-{day:02d}."
    back = f"I also need one from {to} to {origin} on 2026-{month:02d}-{day + 14:02d}."
    book = "Book the cheapest one, please."
    turns = random.choice(((out, book), (out, back), (out, book, back), (out, back, book)))
    messages: Messages = []
    for text in turns:
        if messages:
            await session.think()
        messages.append({"role": "user", "content": text})
        if not await _anthropic_turn(session, messages):
            return Ending(gave_up=True)
    return Ending()


async def _anthropic_turn(session: Session, messages: Messages) -> bool:
    """The same loop as for OpenAI: results go back as a user message."""
    for _ in range(PATIENCE):
        said = await session.ask(messages)
        content: list[dict[str, Any]] = [{"type": "text", "text": said.text}] if said.text else []
        content += [{"type": "tool_use", "id": c.id, "name": c.name, "input": json.loads(c.arguments)} for c in said.calls]
        messages.append({"role": "assistant", "content": content})
        if not said.calls:
            return True
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": _use(c.name, c.arguments)} for c in said.calls]
        messages.append({"role": "user", "content": results})
    return False


APPS: dict[str, Callable[[Session], Awaitable[Ending]]] = {
    SUPPORT.name: support,
    INVOICES.name: invoices,
    AGENT.name: agent,
    DESK.name: desk,
    LIBRARY.name: library,
}
