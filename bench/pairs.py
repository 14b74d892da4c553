"""Pairs of answers for `bench/detectors.py`: answers and their rewordings, what can be done to a text, and decoys that say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from detent.diff import Asked
from detent.terms import Answer, Message, Prompt, ToolCall
from wording import CODE, HELD_OUT, OTHER_LANGUAGES, TUNED, Subject

Pair = tuple[Answer, Answer, Asked | None]
Maker = Callable[[Random, "World"], Pair]


@dataclass(frozen=True)
class World:
    """Where answers come from: the subjects, and which half of each list of phrases (`held`: the half that no detector was tuned on)."""

    subjects: tuple[Subject, ...]
    held: bool

    def pick(self, random: Random, tuned: Sequence[str], held: Sequence[str]) -> str:
        """One phrase of this world's half."""
        return random.choice(held if self.held else tuned)

    def subject(self, random: Random, *, english: bool = False) -> Subject:
        """A subject."""
        return random.choice([s for s in self.subjects if s.language == "en"] if english else self.subjects)


WORLDS = {"tuned": World(TUNED, held=False), "held out": World(HELD_OUT, held=True)}


# ── an answer, and the same in other words ──────────────────────────────────────────────────────────────────────────

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]


def date(random: Random, style: int | None = None, day: tuple[int, int, int] | None = None) -> str:
    """A date of 2026 or 2027 in one of five spellings."""
    y, m, d = day or (random.choice((2026, 2027)), random.randint(1, 12), random.randint(1, 28))
    forms = (f"{y}-{m:02}-{d:02}", f"{MONTHS[m - 1]} {d}, {y}", f"{d} {MONTHS[m - 1]} {y}", f"{d:02}/{m:02}/{y}", f"{d:02}.{m:02}.{y}")
    return forms[random.randrange(5) if style is None else style]


def _fact(random: Random, values: tuple[str, ...]) -> str:
    first = values[0]
    if first.startswith("int:"):
        _, low, high = first.split(":")
        return str(random.randint(int(low), int(high)))
    if first == "money":
        return f"{random.choice('€$£')}{random.randint(2, 90)}.{random.randint(10, 99)}"
    return date(random) if first == "date" else random.choice(values)


@dataclass
class Said:
    """An answer as points in chosen wordings."""

    subject: Subject
    facts: dict[str, str]
    wordings: list[tuple[int, int]]
    between: str = " "
    joined: int = 0

    def text(self) -> str:
        """As it is written; two sentences are one where `joined` says after which."""
        lines = self.lines()
        at = self.joined
        if (
            0 < at < len(lines)
            and lines[at - 1].endswith(".")
            and lines[at][:4] in ("The ", "You ", "This", "We u", "After", "From", "With", "For ")
        ):
            lines[at - 1 : at + 1] = [f"{lines[at - 1][:-1]}, and {lines[at][0].lower()}{lines[at][1:]}"]
        return self.between.join(lines)

    def lines(self) -> list[str]:
        """One string a point."""
        return [self.subject.points[p][w].format(**self.facts) for p, w in self.wordings]

    def reworded(self, random: Random) -> Said:
        """Other wordings for at least half of the points, some sentences in another place, other paragraphs."""
        new = [
            (p, random.choice([v for v in range(len(self.subject.points[p])) if v != w]) if random.random() < 0.7 else w)
            for p, w in self.wordings
        ]
        if new == self.wordings:
            p, w = new[0]
            new[0] = p, (w + 1) % len(self.subject.points[p])
        if random.random() < 0.3:
            at = random.randrange(1, len(new))
            new[at - 1], new[at] = new[at], new[at - 1]
        return Said(self.subject, self.facts, new, random.choice((" ", " ", "\n\n", self.between)), random.randrange(len(new)))


def say(random: Random, subject: Subject) -> Said:
    """A new answer."""
    facts = {key: _fact(random, values) for key, values in subject.facts.items()}
    order = [(p, random.randrange(len(point))) for p, point in enumerate(subject.points)]
    return Said(subject, facts, order, random.choice((" ", " ", "\n\n")), random.randrange(3 * len(order)))


def asked(said: Said) -> Asked:
    """A prompt whose context states all facts of the answer."""
    docs = "; ".join(f"{key}: {value}" for key, value in said.facts.items())
    message = Message(role="user", text=f"<docs>{docs}</docs>\n{said.subject.ask}")
    return Asked(prompt=Prompt(system="Answer from the documents.", messages=(message,), tools=("search", "lookup_order")), context=docs)


def record(said: Said, random: Random) -> dict[str, object]:
    """The answer as an extraction: its facts, a longer text, a list and a nested object."""
    value: dict[str, object] = dict(said.facts)
    value["count"] = random.randint(1, 400)
    value["amount"] = random.randint(100, 99_999) / 100
    value["confirmed"] = random.random() < 0.5
    value["summary"] = said.text()
    value["parts"] = [
        {"sku": f"{random.choice('ABCDE')}{random.randrange(1000, 9999)}", "qty": random.randint(1, 20)}
        for _ in range(random.randint(1, 3))
    ]
    return value


def dumped(value: object, random: Random) -> str:
    """In one of three layouts."""
    layout = random.randrange(3)
    return json.dumps(value, ensure_ascii=False, indent=2 if layout == 2 else None, separators=(",", ":") if layout == 1 else None)


def text(value: str, finish: str | None = "stop") -> Answer:
    """An answer of text."""
    return Answer(text=value, finish_reason=finish)


# ── decoys ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def decoy(random: Random, world: World) -> Pair:
    """The same answer, reworded, reordered, laid out otherwise, or with other white space; of every kind."""
    kind = random.randrange(10)
    said = say(random, world.subject(random))
    other = said.reworded(random)
    if kind <= 3:
        return text(said.text()), text(other.text()), asked(said)
    if kind == 4:
        mark = random.choice(("- ", "* ", "{}. "))
        one, two = ("\n".join(mark.format(n) + line for n, line in enumerate(s.lines(), 1)) for s in (said, other))
        return text(one), text(two), asked(said)
    if kind == 5:
        value = record(said, random)
        items = list(value.items())
        random.shuffle(items)
        return text(dumped(value, random)), text(dumped(dict(items), random)), asked(said)
    if kind == 6:
        value = record(said, random)
        return text(dumped(value, random)), text(dumped(value | {"summary": other.text()}, random)), asked(said)
    if kind == 7:
        code = random.choice(CODE)
        return text(f"{said.text()}\n\n```\n{code}\n```"), text(f"{other.text()}\n\n```\n{code}\n```\n"), asked(said)
    if kind == 8:
        space = said.text().replace(". ", random.choice((".  ", ".\n", ".\n\n"))) + random.choice(("\n", "  ", "\n\n"))
        return text(said.text()), text(space), asked(said)
    arguments = {"query": said.facts[next(iter(said.facts))], "limit": random.randint(3, 9)}
    turned = json.dumps(dict(reversed(arguments.items())), indent=1)
    return call(("search", json.dumps(arguments))), call(("search", turned)), asked(said)


def call(*calls: tuple[str, str]) -> Answer:
    """An answer of tool calls."""
    return Answer(
        tool_calls=tuple(ToolCall(f"call_{n}", name, arguments) for n, (name, arguments) in enumerate(calls)), finish_reason="tool_calls"
    )


# ── changes of text: one function that does it to a text ────────────────────────────────────────────────────────────

Damage = Callable[[Random, World, str], str]


def opening(random: Random, world: World, body: str) -> str:
    """A friendly first sentence."""
    tuned = (
        "Sure, happy to help!",
        "Great question!",
        "Of course. Here is what I found:",
        "Certainly! Here's the answer you asked for:",
        "Here is the summary:",
    )
    held = (
        "Absolutely, let's get straight to it.",
        "Thank you for reaching out to us today!",
        "Glad you asked about this one.",
        "Okay, I went through everything for you.",
        "No problem at all, see below:",
    )
    return world.pick(random, tuned, held) + random.choice(("\n\n", "\n", " ")) + body


def closing(random: Random, world: World, body: str) -> str:
    """A friendly last sentence."""
    tuned = (
        "Let me know if you need anything else!",
        "I hope this helps!",
        "Feel free to ask if you have more questions.",
        "Is there anything else I can do for you?",
    )
    held = (
        "Have a wonderful rest of the week!",
        "We appreciate your patience and your trust.",
        "Shout if something remains unclear to you.",
        "Would you like me to go deeper into any of that?",
    )
    return body + random.choice(("\n\n", "\n", " ")) + world.pick(random, tuned, held)


def hedging(random: Random, world: World, body: str) -> str:
    """Unsure words in front of a sentence, or after it."""
    tuned = (
        "I think {}",
        "It appears that {}",
        "I'm not entirely sure, but {}",
        "Perhaps {}",
        "As far as I know, {}",
        "It might be that {}",
    )
    held = (
        "I could be mistaken, but {}",
        "My understanding is that {}",
        "Chances are that {}",
        "I believe, without having checked, that {}",
        "If I remember correctly, {}",
        "It is probably true that {}",
    )
    first, _, rest = body.partition(". ")
    opened = world.pick(random, tuned, held).format(first[0].lower() + first[1:] if not first[:2].isupper() else first)
    return f"{opened}. {rest}" if rest else opened


def artefact(random: Random, world: World, body: str) -> str:
    """Something of the template, or a mark too many."""
    tuned = ("<|im_end|>", "</s>", "\n[INST]", "\n\nHuman: thanks", "\n```", "<|endoftext|>", '"')
    held = ("<|eot_id|>", "<end_of_turn>", "\n\nUser: what about tomorrow?", "\n</response>", "<|end|>\n<|assistant|>", "\n[/INST]", "}")
    return body + world.pick(random, tuned, held)


def bold(random: Random, world: World, body: str) -> str:
    """Markdown around or above words."""
    words = body.split(" ")
    at = random.randrange(len(words))
    words[at] = f"**{words[at].strip('.,')}**" if len(words[at].strip(".,")) > 1 else "**Note**"
    with_bold = " ".join(words)
    tuned, held = ("# Answer\n\n{}", "## Summary\n{}"), ("### What happens now\n\n{}", "__Important__: {}")
    return with_bold if random.random() < 0.5 else world.pick(random, tuned, held).format(body)


def as_list(random: Random, world: World, body: str) -> str:
    """The sentences as a list."""
    lines = [line for line in re.split(r"(?<=[.!?])\s+", body) if line]
    mark = random.choice(("- ", "* ", "{}. ", "{}) ", "• "))
    if random.random() < 0.15:
        return "| step | what |\n|---|---|\n" + "\n".join(f"| {n} | {line} |" for n, line in enumerate(lines, 1))
    return "\n".join(mark.format(n) + line for n, line in enumerate(lines, 1))


def fence(random: Random, world: World, body: str) -> str:
    """A code fence around all of it."""
    return f"```{random.choice(('', 'text', 'json', 'markdown', 'python'))}\n{body}\n```"


def refusal(random: Random, world: World, body: str) -> str:
    """A refusal in place of the answer."""
    tuned = (
        "I'm sorry, but I can't assist with that.",
        "I cannot help with this request.",
        "As an AI language model, I am unable to answer that question.",
        "I'm not able to provide that information. Please contact a professional.",
        "I must decline to answer this.",
    )
    held = (
        "Unfortunately, I won't be able to help you with this one.",
        "I apologize, but answering this would go against my guidelines.",
        "This request violates our usage policies, so no answer is given.",
        "I'd rather not discuss this topic.",
        "That isn't something I can help with.",
        "Sorry, I am not permitted to share such details.",
    )
    return world.pick(random, tuned, held)


def foreign(random: Random, world: World, body: str) -> str:
    """The answer in another language than English."""
    codes = ["sv", "tr", "pl", "it", "zh", "nl"] if world.held else ["de", "fr", "es", "ru", "ja", "pt"]
    return OTHER_LANGUAGES[random.choice(codes)]
