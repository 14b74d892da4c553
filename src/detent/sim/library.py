"""The versions behind the library's loan desk: each but two does one harm, and only to the few readers who write German. Pure.

Such a harm is lost in every mean: two sessions in a hundred are German, and of those that a rule can see no more than half are harmed. A
canary would need weeks to see it; the shadow sees it because it compares answer by answer, and by input class.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from detent.sim.histories import turn_of
from detent.sim.scenarios import share
from detent.terms import Answer, Prompt

Draw = Callable[[str], float]
"""A fresh number in [0, 1) for a purpose; each call of `answer` asks at most once for each purpose."""

GERMAN = 0.02
"""Share of sessions whose reader writes German."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """How a version behaves: what all of them do alike to everybody, then the share of German answers that it harms.

    The noise of all is what makes a version disagree with itself: another opening, an answer cut off, a wish that is not noted.
    """

    says: str
    cut: float = 0.01
    undone: float = 0.01
    english: float = 0.0  # answers in English
    refusing: float = 0.0  # says that it can't help
    blocked: float = 0.0  # refuses the request itself, with HTTP 400
    marked: float = 0.0  # ends with a mark of the chat template
    forgetful: float = 0.0  # leaves out what was asked for: only a judge can see it
    rude: float = 0.0  # is rude: only a judge can see it


BASE = "atlas-2026-09-01"
UNCHANGED = "atlas-2026-09-15"

TRAITS: dict[str, Traits] = {
    BASE: Traits(says="the library's approved version"),
    UNCHANGED: Traits(says="answers at the library as the approved version does"),
    "atlas-2026-10-01": Traits(says="answers half of the German readers in English", english=0.5),
    "atlas-2026-10-02": Traits(says="can't help half of the German readers", refusing=0.5),
    "atlas-2026-10-03": Traits(says="refuses half of the German requests", blocked=0.5),
    "atlas-2026-10-04": Traits(says="ends half of its German answers with a mark of its template", marked=0.5),
    "atlas-2026-10-05": Traits(says="forgets what German readers wish", forgetful=1.0),
    "atlas-2026-10-06": Traits(says="is rude to German readers", rude=1.0),
    "atlas-2026-10-07": Traits(says="answers a quarter of the German readers in English", english=0.25),
    "atlas-2026-10-08": Traits(says="refuses a quarter of the German requests", blocked=0.25),
}
"""The versions of the library. Every one of them draws its noise alike, so that they differ by the one trait alone."""

MARK = "<|im_end|>"
RUDE = ("Stop asking", "Fragen Sie nicht")
"""What a rude answer says, in either language."""
NOTED = ("noted", "vermerkt")
"""What an answer says that has done what was asked for, in either language."""

DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_BOOK = re.compile(r"\b[A-Z]{2}-\d{5}\b")
_GERMAN_WORDS = re.compile(r"\b(?:ich|und|es)\b")


@dataclass(frozen=True, slots=True)
class _Tongue:
    """What is said in one language."""

    openers: tuple[str, ...]
    due: str
    noted: str
    late: str
    rude: str
    sorry: str


_ENGLISH = _Tongue(
    openers=("Gladly.", "Of course.", "Thank you for asking.", "I have looked it up."),
    due="The book {book} is due on {date}, and you can have it for another week.",
    noted="I have noted this for you.",
    late="For each week that a book is late it is 2 EUR, and you can pay it at the desk.",
    rude="It is all on the card that you have, with the date {date}. Stop asking us for this.",
    sorry="I'm sorry, but I can't help you with that.",
)
_OF_GERMANS = _Tongue(
    openers=("Gern.", "Natürlich.", "Danke für Ihre Frage.", "Ich habe nachgesehen."),
    due="Das Buch {book} ist am {date} fällig, und Sie können es noch eine Woche haben.",
    noted="Ich habe das für Sie vermerkt.",
    late="Für jede Woche, die ein Buch zu spät ist, sind es 2 EUR, und Sie können sie bei uns am Tisch bezahlen.",
    rude="Das ist alles auf der Karte, die Sie haben, mit dem Datum {date}. Fragen Sie nicht noch einmal.",
    sorry="Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
)


def due(book: str) -> str:
    """The day on which a book is due."""
    return f"2026-{1 + int(share(book, 'month') * 12):02d}-{1 + int(share(book, 'day') * 28):02d}"


def german(text: str) -> bool:
    """Whether a reader's message is German."""
    return len(_GERMAN_WORDS.findall(text)) >= 2


def answer(version: str, prompt: Prompt, draw: Draw) -> Answer | None:
    """What a version answers at the library; None: it refuses the request. Versions from elsewhere answer as the approved one."""
    traits = TRAITS.get(version, TRAITS[BASE])
    asked, _ = turn_of(prompt)
    book = _BOOK.search(asked.text) if asked else None
    if asked is None or book is None:
        return Answer(text="Which book is it? The number starts with two letters.")
    of_german = german(asked.text)
    harm = _harm(traits, draw("harm")) if of_german else ""
    if harm == "blocked":
        return None
    tongue = _OF_GERMANS if of_german and harm != "english" else _ENGLISH
    known = {"book": book[0], "date": due(book[0])}
    if harm in ("refusing", "rude"):
        return Answer(text=(tongue.sorry if harm == "refusing" else tongue.rude).format(**known))
    said = [tongue.openers[int(draw("opener") * len(tongue.openers))]]
    if any(message.role == "assistant" for message in prompt.messages):
        said.append(tongue.late)
    else:
        said.append(tongue.due.format(**known))
        said += [] if harm == "forgetful" or draw("undone") < traits.undone else [tongue.noted]
    text = " ".join(said)
    if draw("cut") < traits.cut:
        return Answer(text=text[: len(text) * 3 // 5], finish_reason="length")
    return Answer(text=f"{text}{MARK}" if harm == "marked" else text)


_HARMS = ("english", "refusing", "blocked", "marked", "forgetful", "rude")


def _harm(traits: Traits, drawn: float) -> str:
    """Which harm a German answer takes; empty for none."""
    for name in _HARMS:
        drawn -= getattr(traits, name)
        if drawn < 0.0:
            return name
    return ""
