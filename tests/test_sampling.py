"""Which recorded prompts are one, which are of a kind, and where each stands among the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

import numpy as np
import pytest

from detent import sampling, wire
from detent.errors import InvalidInput
from detent.sampling import STRATA, Features, text
from detent.sampling.hashing import hashed
from detent.sampling.near import EDGE_PLACES, LIKE, PLACES, Likeness, Signatures, near_duplicates, signatures
from detent.terms import Answer, Endpoint, RecordedExchange, ToolCall

OPENAI = Endpoint.OPENAI_CHAT
FRIDAY, SATURDAY = datetime(2026, 5, 1, 12, tzinfo=UTC), datetime(2026, 5, 2, 12, tzinfo=UTC)
POLICY = (
    "Our shop takes goods back when the customer writes to us in time and the goods are as they were when they left the warehouse. "
    "Please tell the customer in a friendly way what happens next, who pays for the parcel, and how the money comes back to the card. "
)


def chat(*said: str, system: str = "You help.", **more: Any) -> bytes:
    turns = [{"role": "user" if n % 2 == 0 else "assistant", "content": words} for n, words in enumerate(said)]
    return json.dumps({"model": "m", "messages": [{"role": "system", "content": system}, *turns], **more}).encode()


def features(request: bytes, endpoint: Endpoint = OPENAI, **more: Any) -> Features:
    return sampling.of_exchange(RecordedExchange(id="ex", endpoint=endpoint, request=request, **{"answer": Answer(text="ok"), **more}))


def kinds(*requests: bytes) -> list[int]:
    """For each request the first one that it is a near-duplicate of."""
    found = [features(request) for request in requests]
    whole, edges = signatures([f.whole for f in found], PLACES), signatures([f.edges for f in found], EDGE_PLACES)
    apart = np.frombuffer(b"".join(f.apart[:8] for f in found), dtype=np.uint64)
    return [int(row) for row in near_duplicates(Likeness(whole, edges, apart))]


def signed(texts: list[list[str]], places: int = PLACES) -> Signatures:
    return signatures([hashed(words) for words in texts], places)


# ── one prompt ──


def test_spacing_case_and_who_asks_make_no_other_prompt() -> None:
    plain = features(chat("Where is my order?"))
    assert features(chat("  where is   MY\norder?", user="ann", metadata={"session": "s"})).prompt == plain.prompt
    assert features(chat("Where is my offer?")).prompt != plain.prompt


@pytest.mark.parametrize("more", [{"temperature": 0}, {"tools": []}, {"response_format": {"type": "json_object"}}, {"system": "You mock."}])
def test_another_template_makes_another_prompt(more: dict[str, Any]) -> None:
    plain, other = features(chat(POLICY)), features(chat(POLICY, **more))
    assert plain.prompt != other.prompt
    assert plain.apart != other.apart, "and no near-duplicate of it"


def test_the_template_is_the_one_that_the_gateway_records() -> None:
    body = chat("hello", temperature=0.5)
    head = wire.read_head(OPENAI, (), body)
    assert sampling.template_of(OPENAI, body) == head.template
    without_model = json.dumps({key: value for key, value in json.loads(body).items() if key != "model"}).encode()
    assert sampling.template_of(OPENAI, without_model) == head.template, "a file need not say which model was asked"
    assert sampling.template_of(OPENAI, body.replace(b'"m"', b"null")) == head.template
    assert sampling.template_of(OPENAI, b"{}") == wire.read_head(OPENAI, (), b'{"model": "m"}').template


def test_a_request_of_any_step_of_a_turn_is_the_prompt_of_the_turn() -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"id": 7}'}}
    asked = json.loads(chat("Where is order 7?"))
    later = {**asked, "messages": [*asked["messages"], {"role": "assistant", "tool_calls": [called]}]}
    later["messages"].append({"role": "tool", "tool_call_id": "c1", "content": "in Oslo"})
    first, second = features(json.dumps(asked).encode()), features(json.dumps(later).encode())
    assert (first.prompt, first.steps, second.steps) == (second.prompt, 0, 1)
    assert dict(zip(STRATA, second.strata, strict=True))["tools"] == "called"


def test_what_cannot_be_read_is_refused() -> None:
    for body in (b"", b"[]", b'{"messages": 1}', b"[" * 100_000):
        with pytest.raises(InvalidInput):
            features(body, template="t")


# ── near-duplicates ──


def test_a_few_other_words_make_a_near_duplicate_and_the_first_is_kept() -> None:
    other = POLICY.replace("friendly way", "kind manner")
    assert kinds(chat(POLICY), chat("Something else altogether, about the weather in the mountains."), chat(other)) == [0, 1, 0]


def test_greetings_and_punctuation_at_the_ends_make_no_other_case() -> None:
    asked = "How do I reset my password"
    spelt = [f"{asked}?", asked, f"{asked}??", f"{asked} ?", f"Hi, {asked}?", f"hello there! {asked.upper()}? Thanks!", f"{asked}, please"]
    assert kinds(*map(chat, spelt)) == [0] * len(spelt)
    assert kinds(chat("Hi!"), chat("Hello"), chat("Thanks"), chat("Hi, what is it?")) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hi, is it 3?", "Hi, is it 4?"),
        ("Reset my password", "Do not reset my password"),
        ("How do I reset my password?", "How do I reset my router?"),
        ("Put a comma in: let's eat grandma", "Put a comma in: let's eat, grandma"),
        ("What is 3 + 4?", "What is 3 - 4?"),
        ("What is C?", "What is C#?"),
    ],
)
def test_short_prompts_that_differ_in_what_they_ask_are_two_cases(one: str, other: str) -> None:
    assert kinds(chat(one), chat(other)) == [0, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("within 30 days", "within 60 days"),
        ("within thirty days", "within sixty days"),
        ("it is refunded", "it is not refunded"),
        ("it does arrive", "it doesn't arrive"),
        ('the word "soon"', 'the word "later"'),
        ("the plan `basic`", "the plan `gold`"),
        ("by 2026-05-01", "by 2026-06-01"),
        ("by 1 May", "by 1 June"),
        ("a rise of 5%", "a rise of -5%"),
        ("costs $30", "costs €30"),
        ("with a receipt", "without a receipt"),
        ("binnen 30 Tagen", "binnen 60 Tagen"),
        ("das geht", "das geht nicht"),
        ("order A-17", "order A-18"),
        ("from 30 to 60", "from 60 to 30"),
        ("not 30 but 60", "30 but not 60"),
        ("全部可以退货30天", "全部可以退货60天"),
        ("可以退货", "不可以退货"),
    ],
)
def test_prompts_that_differ_in_a_fact_are_never_of_a_kind(one: str, other: str) -> None:
    assert kinds(chat(f"{POLICY} {one} {POLICY}"), chat(f"{POLICY} {other} {POLICY}")) == [0, 1]


def test_another_question_about_the_same_long_document_is_another_prompt() -> None:
    document = " ".join(Random(1).choices(POLICY.split(), k=3000))
    asked = [f"{document}\n\n{question}" for question in ("Who pays for the parcel?", "What does the lawyer of the landlord demand?")]
    assert kinds(*map(chat, asked)) == [0, 1]
    assert kinds(*(chat(document, "Yes.", question) for question in ("Who pays for it?", "What does the landlord demand?"))) == [0, 1]


def test_likeness_is_not_handed_on_along_a_chain() -> None:
    """Each text has a few words more of its own than the one before: in the end nothing of the first is left."""
    rng = Random(2)
    words = POLICY.split() * 2
    chain = [list(words)]
    for _ in range(60):
        words = list(words)
        words[rng.randrange(len(words))] = f"w{'abcdefgh'[rng.randrange(8)]}" + "x" * rng.randrange(9)
        chain.append(words)
    whole = signed(chain)
    nothing = np.zeros(len(chain), dtype=np.uint64)
    stands_for = near_duplicates(Likeness(whole, signed([[]] * len(chain), EDGE_PLACES), nothing))
    alike = (whole == whole[stands_for]).mean(axis=1)
    assert alike.min() >= LIKE
    assert len(set(stands_for.tolist())) > 1
    assert (stands_for[stands_for] == stands_for).all(), "who stands for another stands for itself"


def test_bands_find_what_brute_force_finds() -> None:
    """Half of 1,000 texts are others with 1 to 13 of some 200 words changed; brute force over all signatures is the truth."""
    rng = Random(3)
    vocabulary = [f"{a}{b}" for a in "bcdfghklmnprstvwz" for b in ("a", "e", "i", "o", "u", "ar", "er", "in", "on", "um")]
    texts: list[list[str]] = []
    for n in range(1000):
        said = rng.choices(vocabulary, k=200) if n % 2 == 0 else list(rng.choice(texts))
        for _ in range(0 if n % 2 == 0 else rng.randrange(1, 14)):
            said[rng.randrange(200)] = rng.choice(vocabulary)
        texts.append(said)
    whole = signed(texts)
    gone = near_duplicates(Likeness(whole, signed([[]] * 1000, EDGE_PLACES), np.zeros(1000, np.uint64))) != np.arange(1000)
    kept, brute = np.zeros(1000, dtype=bool), np.zeros(1000, dtype=bool)
    for row in range(1000):
        brute[row] = ((whole[:row] == whole[row]).mean(axis=1)[kept[:row]] >= LIKE).any()
        kept[row] = not brute[row]
    assert brute.sum() > 150
    assert (gone & brute).sum() >= 0.93 * brute.sum()


def test_signatures_estimate_the_jaccard_similarity() -> None:
    """Two texts of 300 words whose first 200 are the same: 198 shared shingles of 402 in all (two more each have nothing after them)."""
    one = [f"a{n}" for n in range(300)]
    other = one[:200] + [f"b{n}" for n in range(100)]
    a, b = signed([one, other], 4096)
    assert (a == b).mean() == pytest.approx(198 / 402, abs=4 * (0.25 / 4096) ** 0.5)


def test_signatures_are_the_same_at_every_time_and_place() -> None:
    """Processes compare theirs: nothing may hang on Python's hash seed. The number is what this file was written with."""
    alone = signed([["a", "b", "c"]])
    among = signed([["x"] * 40, [], ["a", "b", "c"], ["y"]])
    assert (alone[0] == among[2]).all()
    assert (signed([["a", "b", "c"]]) == alone).all()
    assert alone[0, :4].tolist() == [32913, 2386, 16107, 26268]
    assert signatures([], PLACES).shape == (0, PLACES)


# ── strata ──


def placed(request: bytes, **more: Any) -> dict[str, str]:
    return dict(zip(STRATA, features(request, **more).strata, strict=True))


def test_strata_place_a_prompt() -> None:
    tool = {"type": "function", "function": {"name": "look_up"}}
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    plain = placed(chat(POLICY), at=FRIDAY)
    assert (plain["task"], plain["tools"], plain["length"], plain["language"], plain["schema"], plain["season"]) == (
        ("none", "no", "to 1k", "en", "none", "weekday")
    )
    assert len(plain["template"]) == 12
    assert placed(chat(POLICY), at=SATURDAY)["season"] == "weekend"
    assert placed(chat(POLICY))["season"] == "unknown"
    assert placed(chat(POLICY), task="refund")["task"] == "refund"
    assert placed(chat(POLICY, tools=[tool]))["tools"] == "offered"
    assert placed(chat(POLICY), answer=Answer(tool_calls=(ToolCall("c", "look_up", "{}"),)))["tools"] == "called"
    assert placed(chat(POLICY, response_format=schema))["schema"] != "none"
    assert [placed(chat("word " * n))["length"] for n in (50, 100, 500, 2000, 5000)] == ["to 256", "to 1k", "to 4k", "to 16k", "over 16k"]


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("Bitte sagen Sie mir, wann die Ware kommt und ob ich sie auch bei Ihnen abholen kann.", "de"),
        ("Pouvez-vous me dire quand le colis arrive et si je peux le retirer dans la ville?", "fr"),
        ("商品はいつ届きますか。店で受け取ることもできますか。", "ja"),
        ("xyzzy", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_language_of_a_prompt(said: str, language: str) -> None:
    assert placed(chat(said))["language"] == language


# ── hostile ──


@pytest.mark.parametrize(
    "said",
    [
        "\x00\u202e<script>\x1b[31m",
        '"' * 200_000,
        "`" * 200_000,
        "1" * 200_000,
        "1." * 100_000,
        "-" * 200_000,
        "a" * 200_000,
        "不" * 100_000,
        "“" * 100_000,
        " " * 200_000,
        "\ud800 half an emoji",
        "word " * 100_000,
    ],
    ids=lambda said: f"{said[:2]!a}",
)
def test_hostile_text_is_text(said: str) -> None:
    found = features(chat(said))
    assert len(found.prompt) == 16
    assert len(found.whole) <= text.MOST_WORDS
    assert signatures([found.whole], PLACES).shape == (1, PLACES)
