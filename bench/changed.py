"""The makers: for each named change, pairs of answers that show it, and pairs in which both answers have what would be new in one."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

import pairs
from detent.diff import Asked
from detent.terms import Answer, Message, Prompt, Usage
from pairs import Damage, Maker, Pair, World, asked, call, date, dumped, record, say, text
from wording import CODE


def added(damage: Damage, *, english: bool = False) -> Maker:
    """The candidate has what the damage does, half of the time in other words."""

    def make(random: Random, world: World) -> Pair:
        said = say(random, world.subject(random, english=english))
        other = said.reworded(random) if random.random() < 0.5 else said
        return text(said.text()), text(damage(random, world, other.text())), asked(said)

    return make


def gone(maker: Maker) -> Maker:
    """The arms exchanged."""

    def make(random: Random, world: World) -> Pair:
        stable, candidate, what = maker(random, world)
        return candidate, stable, what

    return make


def in_both(damage: Damage, *, english: bool = False) -> Maker:
    """A decoy in which both answers have it, in other words."""

    def make(random: Random, world: World) -> Pair:
        said = say(random, world.subject(random, english=english))
        one, other = (damage(random, world, s.text()) for s in (said, said.reworded(random)))
        return text(one), text(other), asked(said)

    return make


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0},
        "amount": {"type": "number"},
        "summary": {"type": "string", "maxLength": 2000},
        "status": {"enum": ["open", "closed"]},
    },
    "required": ["count", "amount", "summary", "status"],
}


def of_json(edit: Callable[[Random, World, dict[str, object]], object]) -> Maker:
    """An extraction, and the same after an edit (which gives text, or a value to be written)."""

    def make(random: Random, world: World) -> Pair:
        said = say(random, world.subject(random))
        value = record(said, random) | {
            "status": random.choice(("open", "closed")),
            "vendor": random.choice(("Café Noël", "Müller & Söhne", "Åhléns")),
        }
        after = edit(random, world, json.loads(json.dumps(value)))
        what = asked(said)
        what = Asked(prompt=Prompt(messages=what.prompt.messages, schema=SCHEMA, json_asked=True), context=what.context)
        return text(dumped(value, random)), text(after if isinstance(after, str) else dumped(after, random)), what

    return make


def rename(random: Random, world: World, value: dict[str, object]) -> object:
    """A key under another name."""
    tuned = {"amount": "total_amount", "count": "itemCount", "summary": "summary_text", "parts": "items"}
    held = {"amount": "sum", "count": "number_of_items", "summary": "description", "vendor": "vendorName", "status": "state"}
    old, new = random.choice(list((held if world.held else tuned).items()))
    return {new if key == old else key: item for key, item in value.items()}


def drop(random: Random, world: World, value: dict[str, object]) -> object:
    """A key less."""
    value.pop(random.choice(("amount", "count", "summary", "status", "vendor", "parts")))
    return value


def add_key(random: Random, world: World, value: dict[str, object]) -> object:
    """A key more."""
    key, item = random.choice(
        (("currency", "EUR"), ("notes", None), ("confidence", 0.93), ("tags", ["new"]), ("metadata", {"source": "x"}))
    )
    return value | {key: item}


def retype(random: Random, world: World, value: dict[str, object]) -> object:
    """A value of another type."""
    key = random.choice(("amount", "count", "confirmed", "summary", "parts"))
    return value | {key: str(value[key]) if key in ("amount", "count", "confirmed") else None if key == "summary" else {"0": value[key]}}


def breach(random: Random, world: World, value: dict[str, object]) -> object:
    """Not what the schema allows, with the same keys and types or not."""
    tuned: list[dict[str, object]] = [{"status": "unknown"}, {"count": -3}, {"amount": "12,50"}]
    held: list[dict[str, object]] = [{"status": "OPEN"}, {"count": 2.5}, {"summary": "word " * 500}]
    edit = random.choice(held if world.held else tuned)
    if random.random() < 0.2:
        value.pop("amount")
        return value
    return value | edit


def broken(random: Random, world: World, value: dict[str, object]) -> object:
    """JSON no more."""
    written = json.dumps(value)
    tuned = (written[:-1] + ",}", written.replace('"', "'"), written[:-1])
    held = (
        written.replace("true", "True").replace("false", "False").replace('"count": ', '"count": ~'),
        "json " + written,
        written.replace(": ", " = ", 1),
    )
    return random.choice(held if world.held else tuned)


def escaped(random: Random, world: World, value: dict[str, object]) -> object:
    """Letters as escapes."""
    return json.dumps(value)


def value_changed(random: Random, world: World, value: dict[str, object]) -> object:
    """Another value under the same key."""
    key = random.choice(("count", "amount", "confirmed", "status"))
    edits = {"count": int(str(value["count"])) + 7, "amount": float(str(value["amount"])) * 2 + 0.5, "confirmed": not value["confirmed"]}
    return value | {key: edits.get(key, "closed" if value["status"] == "open" else "open")}


# ── facts and formats ───────────────────────────────────────────────────────────────────────────────────────────────


def other_fact(random: Random, world: World) -> Pair:
    """Another number, date, name or quote, a negation, an opposite, a verdict, or a value of JSON."""
    kind = random.random()
    if kind < 0.2:
        return of_json(value_changed)(random, world)
    said = say(random, world.subject(random))
    after = said.reworded(random) if random.random() < 0.5 else said
    if kind < 0.65:
        used = "".join(said.subject.points[p][w] for p, w in said.wordings)
        key = random.choice([key for key in said.facts if f"{{{key}}}" in used])
        new = said.facts[key]
        while new.casefold() == said.facts[key].casefold():
            new = pairs._fact(random, said.subject.facts[key])
        return (
            text(said.text()),
            text(pairs.Said(after.subject, said.facts | {key: new}, after.wordings, after.between).text()),
            asked(said),
        )
    tuned = (
        ("The warranty covers water damage.", "The warranty doesn't cover water damage."),
        ("The claim was approved.", "The claim was rejected."),
        ("You can combine the two vouchers.", "You cannot combine the two vouchers."),
        ("Prices will increase in spring.", "Prices will decrease in spring."),
        ('The notice says "members only" at the door.', 'The notice says "everyone welcome" at the door.'),
        ("The desk closes on Monday.", "The desk closes on Thursday."),
        ("Two people must sign.", "Four people must sign."),
    )
    held = (
        ("The permit is still valid.", "The permit is no longer valid."),
        ("Guests are permitted on the roof.", "Guests are prohibited on the roof."),
        ("The upload finished without errors.", "The upload finished with errors."),
        ("The second test passed.", "The second test failed."),
        ("This device is waterproof and safe for children.", "This device is waterproof and unsafe for children."),
        ("We never store your card.", "We always store your card."),
        ("The next bus leaves on Friday.", "The next bus leaves on Sunday."),
        ("Three signatures are needed.", "Five signatures are needed."),
    )
    one, other = random.choice(held if world.held else tuned)
    return text(f"{said.text()} {one}"), text(f"{after.text()} {other}"), asked(said)


def number_format(random: Random, world: World) -> Pair:
    """The same number in another spelling."""
    said = say(random, world.subject(random, english=True))
    whole, cents = random.randint(1000, 99_999), random.randint(11, 99)
    grouped = f"{whole:,}"
    tuned = (f"{grouped}.{cents}", f"{grouped.replace(',', '.')},{cents}", f"{whole}.{cents}", f"{whole},{cents}")
    held = (
        f"{grouped.replace(',', chr(0x202F))},{cents}",
        f"{grouped.replace(',', chr(39))}.{cents}",
        f"{whole}.{cents}",
        f"{grouped}.{cents}",
    )
    one, other = random.sample(held if world.held else tuned, 2)
    frame = random.choice(("{} The balance is {} EUR.", "{} In total that makes {} kWh so far."))
    after = said.reworded(random) if random.random() < 0.5 else said
    return text(frame.format(said.text(), one)), text(frame.format(after.text(), other)), asked(said)


def date_format(random: Random, world: World) -> Pair:
    """The same date, or time of day, in another spelling."""
    said = say(random, world.subject(random, english=True))
    after = said.reworded(random) if random.random() < 0.5 else said
    if random.random() < 0.25:
        hour = random.randint(13, 22)
        one, other = (f"{hour}:30", f"{hour - 12}:30 pm") if not world.held else (f"{hour}:00", f"{hour - 12} p.m")
        return text(f"{said.text()} We open at {one} that day."), text(f"{after.text()} We open at {other} that day."), asked(said)
    day = (random.choice((2026, 2027)), random.randint(1, 12), random.randint(13, 28))
    one, other = (date(random, style, day) for style in random.sample(range(5), 2))
    return text(f"{said.text()} It runs out on {one}."), text(f"{after.text()} It runs out on {other}."), asked(said)


def same_format(random: Random, world: World) -> Pair:
    """A decoy: the same figures in the same spelling in other words."""
    said = say(random, world.subject(random, english=True))
    figure = random.choice(
        (f"{random.randint(1000, 99999):,}.{random.randint(10, 99)} EUR", f"{random.randint(1, 12)}:30 pm", date(random))
    )
    ways = random.sample(("{} The value noted was {}.", "{} What was noted is {}.", "{} Somebody noted {} here."), 2)
    return text(ways[0].format(said.text(), figure)), text(ways[1].format(said.reworded(random).text(), figure)), asked(said)


def unsupported(random: Random, world: World) -> Pair:
    """A statement that nobody gave."""
    said = say(random, world.subject(random, english=True))
    n = random.randint(1001, 9999)
    tuned = (
        f"A total of {n} customers did the same.",
        "The idea came from Professor Whitaker.",
        f"This began on {date(random)}.",
        'Experts call it "a quiet revolution".',
    )
    held = (
        f"It weighs {n} grams.",
        "You may also ask our partner Velmora Systems.",
        f"The rule dates from {date(random)}.",
        "People in Reykjavik know this well.",
    )
    after = said.reworded(random) if random.random() < 0.5 else said
    return text(said.text()), text(f"{after.text()} {world.pick(random, tuned, held)}"), asked(said)


# ── ends and length ─────────────────────────────────────────────────────────────────────────────────────────────────


def cut_off(random: Random, world: World) -> Pair:
    """By the token limit, in a sentence, or in JSON."""
    said = say(random, world.subject(random))
    kind = random.randrange(3)
    if kind == 0:
        value = dumped(record(said, random), random)
        return text(value), text(value[: random.randint(len(value) // 3, len(value) - 10)], None), asked(said)
    after = said.reworded(random) if random.random() < 0.5 else said
    words = after.text().split(" ")
    kept = words[: random.randint(len(words) // 2, len(words) - 2)]
    if kind == 1:
        return text(said.text()), text(" ".join(kept), random.choice(("length", "max_tokens"))), asked(said)
    while len(kept) > 12 and kept[-1].endswith((".", "!", "?", ";", ":")):
        kept.pop()
    return text(said.text(), None), text(" ".join(kept), None), asked(said)


def shortened(random: Random, world: World) -> Pair:
    """A third or less is left."""
    said = say(random, world.subject(random))
    lines = said.lines()
    return text(said.text()), text(lines[0] if len(lines[0]) * 3 <= len(said.text()) else "Done."), asked(said)


def finish(random: Random, world: World) -> Pair:
    """Another finish reason."""
    said = say(random, world.subject(random))
    before, after = ("stop", "length") if not world.held else ("end_turn", random.choice(("pause_turn", "stop_sequence", "content_filter")))
    return text(said.text(), before), text(said.text(), after), asked(said)


def tokens(random: Random, world: World) -> Pair:
    """Counted anew."""
    said, n = say(random, world.subject(random)).text(), random.randint(40, 400)
    factor = random.choice((0.8, 1.13, 1.3, 1.5))
    return Answer(text=said, usage=Usage(output=n)), Answer(text=said, usage=Usage(output=round(n * factor) + 1)), None


def few_tokens(random: Random, world: World) -> Pair:
    """A decoy: a few tokens, or another text."""
    said, n = say(random, world.subject(random)), random.randint(60, 400)
    other = said.text() if random.random() < 0.5 else said.reworded(random).text() + " "
    return (
        Answer(text=said.text(), usage=Usage(output=n)),
        Answer(text=other, usage=Usage(output=round(n * random.uniform(0.95, 1.05)))),
        None,
    )


# ── tools ───────────────────────────────────────────────────────────────────────────────────────────────────────────

OFFERED = Asked(
    prompt=Prompt(messages=(Message(role="user", text="Find my order"),), tools=("search", "lookup_order", "book", "send_mail"))
)


def _arguments(random: Random) -> str:
    return json.dumps({"order_id": f"{random.choice('ABC')}-{random.randrange(10_000, 99_999)}", "limit": random.randint(1, 9)})


def tools(edit: Callable[[Random, list[tuple[str, str]]], list[tuple[str, str]]], *, least: int = 1, most: int = 3) -> Maker:
    """Calls, and the same after an edit."""

    def make(random: Random, world: World) -> Pair:
        calls = [(random.choice(("search", "lookup_order", "book")), _arguments(random)) for _ in range(random.randint(least, most))]
        return call(*calls), call(*edit(random, list(calls))), OFFERED

    return make


def steps(random: Random, world: World) -> Pair:
    """The candidate's run ended at the limit."""
    said = say(random, world.subject(random))
    what = Asked(prompt=OFFERED.prompt, steps=(random.randint(1, 9), 12), step_limit=12)
    return text(said.text()), text(said.reworded(random).text() if random.random() < 0.5 else said.text()), what


def below_limit(random: Random, world: World) -> Pair:
    """A decoy: more steps, and not the limit; or both at the limit."""
    said = say(random, world.subject(random))
    what = Asked(prompt=OFFERED.prompt, steps=random.choice(((3, 9), (12, 12), (5, 4))), step_limit=12)
    return text(said.text()), text(said.reworded(random).text()), what


def same_calls(random: Random, world: World) -> Pair:
    """A decoy: the same calls in another order, arguments laid out otherwise."""
    calls = [(random.choice(("search", "lookup_order", "book")), _arguments(random)) for _ in range(random.randint(1, 4))]
    others = [(name, json.dumps(json.loads(arguments), indent=2, sort_keys=True)) for name, arguments in calls]
    random.shuffle(others)
    return call(*calls), call(*others), OFFERED


# ── what is benign ──────────────────────────────────────────────────────────────────────────────────────────────────


def rewording(random: Random, world: World) -> Pair:
    """The same in other words."""
    said = say(random, world.subject(random))
    return text(said.text()), text(said.reworded(random).text()), asked(said)


def spaced(random: Random, world: World) -> Pair:
    """Other white space."""
    if random.random() < 0.3:
        value = record(say(random, world.subject(random)), random)
        return text(json.dumps(value)), text(json.dumps(value, indent=random.choice((1, 2, 4)))), None
    said = say(random, world.subject(random)).text()
    after = random.choice((f"{said}\n", said.replace(". ", ".  "), said.replace(". ", ".\n\n"), f" {said} "))
    return text(said), text(after if after != said else said + "\n\n"), None


def shuffled_json(random: Random, world: World) -> Pair:
    """The same JSON with its keys in another order."""
    value = record(say(random, world.subject(random)), random)
    items = list(value.items())
    random.shuffle(items)
    return text(json.dumps(value)), text(json.dumps(dict([items[-1], *items[:-1]] if items == list(value.items()) else items))), None


def new_code(random: Random, world: World) -> Pair:
    """A decoy: code with other white space or a comment line more, fenced in both."""
    code = random.choice(CODE)
    return text(f"```\n{code}\n```"), text(f"```\n{code}\n\n```\n"), None


def in_fence(random: Random, world: World) -> Pair:
    """Code or JSON, fenced now."""
    body = random.choice(CODE) if random.random() < 0.5 else dumped(record(say(random, world.subject(random)), random), random)
    return text(body), text(pairs.fence(random, world, body)), None


def one_more(random: Random, calls: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A call more."""
    return [*calls, (random.choice(("search", "book")), _arguments(random))]


MAKERS: dict[str, tuple[Maker, Maker]] = {
    "refusal_added": (added(pairs.refusal, english=True), in_both(pairs.refusal)),
    "refusal_removed": (gone(added(pairs.refusal, english=True)), in_both(pairs.refusal)),
    "language_switched": (added(pairs.foreign, english=True), pairs.decoy),
    "truncated": (cut_off, pairs.decoy),
    "fence_added": (in_fence, in_both(pairs.fence)),
    "fence_removed": (gone(in_fence), new_code),
    "trailing_artefact": (added(pairs.artefact), in_both(pairs.closing)),
    "key_renamed": (of_json(rename), pairs.decoy),
    "key_missing": (of_json(drop), pairs.decoy),
    "key_added": (of_json(add_key), pairs.decoy),
    "value_type_changed": (of_json(retype), pairs.decoy),
    "schema_violated": (of_json(breach), shuffled_json),
    "unicode_escaped": (of_json(escaped), pairs.decoy),
    "unicode_unescaped": (gone(of_json(escaped)), pairs.decoy),
    "json_broken": (of_json(broken), pairs.decoy),
    "json_repaired": (gone(of_json(broken)), pairs.decoy),
    "opening_text_added": (added(pairs.opening, english=True), in_both(pairs.opening, english=True)),
    "closing_text_added": (added(pairs.closing, english=True), in_both(pairs.closing, english=True)),
    "unknown_tool": (tools(lambda r, calls: [("drop_table", calls[0][1]), *calls[1:]]), same_calls),
    "other_tool_called": (tools(lambda r, calls: [("send_mail", calls[0][1])], most=1), same_calls),
    "parallel_calls_changed": (tools(lambda r, calls: calls[:1], least=2), same_calls),
    "tool_call_removed": (tools(lambda r, calls: calls[1:], least=2), same_calls),
    "tool_call_added": (tools(one_more), same_calls),
    "other_tool_arguments": (tools(lambda r, calls: [(calls[0][0], _arguments(r)), *calls[1:]]), same_calls),
    "step_limit_hit": (steps, below_limit),
    "finish_reason_changed": (finish, pairs.decoy),
    "answer_shortened": (shortened, pairs.decoy),
    "answer_lengthened": (gone(shortened), pairs.decoy),
    "number_format_changed": (number_format, same_format),
    "date_format_changed": (date_format, same_format),
    "list_structure_changed": (
        added(pairs.as_list),
        in_both(lambda r, w, t: "\n".join(f"- {line}" for line in t.replace("\n\n", " ").split(". "))),
    ),
    "markdown_added": (added(pairs.bold), in_both(lambda r, w, t: f"## Answer\n\n{t}")),
    "markdown_removed": (gone(added(pairs.bold)), in_both(lambda r, w, t: f"**Answer** {t}")),
    "hedging_added": (added(pairs.hedging, english=True), in_both(pairs.hedging, english=True)),
    "hedging_removed": (gone(added(pairs.hedging, english=True)), in_both(pairs.hedging, english=True)),
    "unsupported_statement": (unsupported, rewording),
    "fact_changed": (other_fact, rewording),
    "tokens_changed": (tokens, few_tokens),
    "json_respelt": (shuffled_json, of_json(value_changed)),
    "reworded": (rewording, other_fact),
    "whitespace_changed": (spaced, rewording),
}
"""name -> pairs that show the change, and decoys of the same kind that do not; half of the decoys are `pairs.decoy`, of every kind."""
