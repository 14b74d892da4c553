"""Two answers to one prompt, and the names of what changed between them. The pairs are told as an app developer would tell them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent import diff
from detent.diff import BENIGN, CHANGES, Asked, change, changes, excerpt, letters, prose, shape, words
from detent.terms import Answer, Message, Prompt, ToolCall, Usage

INVOICE = '{"vendor": "Café Noël", "total": 12.5, "items": [{"name": "tea", "price": 3}, {"name": "oil", "price": 9.5}]}'
PROSE = "The order was shipped on Monday.\n\nIt arrives on Thursday, between nine and eleven."
CODE, SUMMED = "def double(x):\n    return 2 * x", "def double(x):\n    return sum((x, x))"


def text(value: str) -> Answer:
    return Answer(text=value)


def calls(*named: tuple[str, str]) -> Answer:
    return Answer(tool_calls=tuple(ToolCall(f"call_{n}", name, arguments) for n, (name, arguments) in enumerate(named)))


def names(stable: Answer, candidate: Answer) -> list[str]:
    return [change.name for change in changes(stable, candidate)]


def edited(edit: str) -> Answer:
    """The invoice with one edit, written as Python."""
    value = json.loads(INVOICE)
    exec(edit, {"v": value})
    return text(json.dumps(value, ensure_ascii=False))


RENAMED = edited("v['sum'] = v.pop('total')").text
WRAPPED = "class Counter:\n    def after(self, n):\n        # one more than what this method was given\n        return n + 1"
MIDDLE = "then rest for as long as you can\nand do some other thing, or none at all, until somebody comes and says go on"
COUNTED = f"count 1 2 3 4 5\n{MIDDLE}\ncount 1 2 3 4 6"
QUOTING = '{"code": "```x```", "id": 1}'


def keys(form: str, plus: int = 0) -> str:
    return json.dumps({form.format(f"k{chr(97 + n // 9)}{n}"): n + plus for n in range(90)})


NOT_CUT, CUT = Answer(text=INVOICE, finish_reason="stop"), Answer(text=INVOICE[:70], finish_reason="length")

LONGER = "Your order was shipped by rail on Monday. It arrives on Thursday and will be left with your neighbour."


def used(said: str, tokens: int) -> Answer:
    return Answer(text=said, usage=Usage(output=tokens))


STORIES = [
    ("nothing", text(PROSE), text(PROSE), []),
    ("reworded", text("It arrives on Thursday."), text("You will get it this Thursday."), ["reworded"]),
    ("another value", text(INVOICE), edited("v['total'] = 99"), ["fact_changed"]),
    ("keys in another order, spread over lines", text('{"a": 1, "b": 2}'), text('{\n  "b": 2,\n  "a": 1\n}'), ["json_respelt"]),
    ("a number spelt otherwise", text('{"a": 1}'), text('{"a": 1.0}'), ["json_respelt"]),
    ("JSON spread over lines", text('{"a": 1, "b": 2}'), text('{\n  "a": 1,\n  "b": 2\n}'), ["whitespace_changed"]),
    ("fence around JSON", text(INVOICE), text(f"```json\n{INVOICE}\n```"), ["fence_added", "json_broken"]),
    ("fence around JSON gone", text(f"```json\n{INVOICE}\n```"), text(INVOICE), ["fence_removed", "json_repaired"]),
    ("fence around code", text(CODE), text(f"```python\n{CODE}\n```"), ["fence_added"]),
    ("fence inside a sentence", text("use x"), text("use ```x```"), ["fence_added"]),
    ("another language at the fence", text(f"```py\n{CODE}\n```"), text(f"```python\n{CODE}\n```"), []),
    ("trailing comma", text('{"a": 1}'), text('{"a": 1,}'), ["json_broken"]),
    ("not a number is not JSON", text('{"a": 1}'), text('{"a": NaN}'), ["json_broken"]),
    ("a bare word that happens to parse", text("42"), text("42."), []),
    ("key added", text(INVOICE), edited("v['currency'] = 'EUR'"), ["key_added"]),
    ("key missing", text(INVOICE), edited("del v['total']"), ["key_missing"]),
    ("key missing in one item of a list", text(INVOICE), edited("del v['items'][1]['price']"), ["key_missing"]),
    ("object gone, and its keys with it", text('{"ab": "to and fro", "b": {"c": 1}}'), text('{"ab": "to and fro"}'), ["key_missing"]),
    ("renamed, same value", text(INVOICE), edited("v['supplier'] = v.pop('vendor')"), ["key_renamed"]),
    ("renamed, similar name and another value", text('{"total": 1}'), text('{"total_amount": 2}'), ["key_renamed"]),
    ("renamed in a list of objects", text(INVOICE), edited("[i.update(cost=i.pop('price')) for i in v['items']]"), ["key_renamed"]),
    ("camel case", text('{"due_date": "x", "order_id": "y"}'), text('{"dueDate": "p", "orderId": "q"}'), ["key_renamed"]),
    ("one gone, another new, nothing alike", text('{"vendor": "A"}'), text('{"colour": "red"}'), ["key_missing", "key_added"]),
    ("number as string", text(INVOICE), edited("v['total'] = '12.5'"), ["value_type_changed"]),
    ("object instead of list", text('[{"a": 1}]'), text('{"a": 1}'), ["value_type_changed"]),
    ("renamed behind a fence", text(INVOICE), text(f"```\n{RENAMED}\n```"), ["fence_added", "key_renamed", "json_broken"]),
    ("renamed in prose", text(INVOICE), text(f"Here: {RENAMED}"), ["key_renamed", "opening_text_added", "json_broken"]),
    ("a citation is not JSON", text("see [1] for more"), text("look at [1] for more"), ["reworded"]),
    ("escaped", text(INVOICE), text(json.dumps(json.loads(INVOICE))), ["unicode_escaped"]),
    ("unescaped", text(json.dumps(json.loads(INVOICE))), text(INVOICE), ["unicode_unescaped"]),
    ("escaped beyond the first plane", text("smile 😀 please"), text("smile \\ud83d\\ude00 please"), ["unicode_escaped"]),
    ("an escape that was always there", text("write \\u00e9 for é"), text("type \\u00e9 for é"), ["reworded"]),
    ("opening", text(PROSE), text(f"Sure, happy to help!\n\n{PROSE}"), ["opening_text_added"]),
    ("closing", text(PROSE), text(f"{PROSE}\n\nLet me know if you need anything else!"), ["closing_text_added"]),
    ("both", text(PROSE), text(f"Sure!\n\n{PROSE}\n\nAnything else?"), ["opening_text_added", "closing_text_added"]),
    ("an opening where one was", text(f"Hello.\n\n{PROSE}"), text(f"Good day.\n\n{PROSE}"), ["reworded"]),
    ("a greeting instead of another", text(f"Great question! {PROSE}"), text(f"Sure, happy to help! {PROSE}"), ["reworded"]),
    ("closing that shares words with the answer", text(f"The budget question stays open. {PROSE}"),
     text(f"The budget question stays open. {PROSE} Feel free to ask if you have more questions."), ["closing_text_added"]),
    ("closing after JSON", text(INVOICE), text(f"{INVOICE}\n\nThe total is 12.5."), ["closing_text_added", "json_broken"]),
    ("opening before fenced code", text(CODE), text(f"Here is the code:\n```python\n{CODE}\n```"), ["fence_added", "opening_text_added"]),
    ("closing, last line reworded", text("One two three four five."), text("One two three four five!\nBye now."), ["closing_text_added"]),
    ("a line of code added inside the fence", text(CODE), text(f"```\nimport math\n{CODE}\n```"), ["fence_added"]),
    ("closing after changed code", text(CODE), text(f"```\n{SUMMED}\n```\nDoubles x."), ["fence_added", "closing_text_added"]),
    ("code wrapped in more code", text("return n + 1"), text(f"```\n{WRAPPED}\n```"), ["fence_added", "answer_lengthened"]),
    ("first line kept, the rest another answer", text(PROSE), text("The order was shipped on Monday.\n\nAsk Tom in the shop."), []),
    ("first line replaced by another", text(COUNTED), text("Otherwise.\n" + COUNTED.split("\n", 1)[1]), ["fact_changed"]),
    ("fence in fenced JSON", text(QUOTING), text(f"```\n{QUOTING.replace('id', 'ident')}\n```"), ["key_renamed", "json_broken"]),
    ("values that say little", text('{"a": true, "b": true, "c": 1}'), text('{"x": true, "c": 1}'), ["key_missing", "key_added"]),
    ("all keys respelt, all values changed", text(keys("{}_of_n")), text(keys("{}OfN", 7)), ["key_renamed"]),
    ("tool call added", calls(("find", "{}")), calls(("find", "{}"), ("find", '{"page": 2}')), ["parallel_calls_changed",
     "tool_call_added"]),
    ("tool call instead of text", text("Which order?"), calls(("find", "{}")), ["tool_call_added"]),
    ("tool call removed", calls(("find", "{}"), ("book", "{}")), calls(("find", "{}")), ["parallel_calls_changed", "tool_call_removed"]),
    ("one call less of three", calls(*[("find", "{}")] * 3), calls(*[("find", "{}")] * 2), ["tool_call_removed"]),
    ("another tool", calls(("find", '{"id": 1}')), calls(("search", '{"id": 1}')), ["other_tool_called"]),
    ("other arguments", calls(("find", '{"id": 1}')), calls(("find", '{"id": 2}')), ["other_tool_arguments"]),
    ("the same arguments, spelt otherwise", calls(("find", '{"a":1,"b":2}')), calls(("find", '{"b": 2, "a": 1}')), []),
    ("parallel calls in another order", calls(("a", "{}"), ("b", "{}")), calls(("b", "{}"), ("a", "{}")), []),
    ("refusal", text(PROSE), text("I'm sorry, but I can’t assist with that request. Please ask the shop itself."), ["refusal_added"]),
    ("refusal gone", text("I cannot help you with that."), text("It arrives on Thursday, at noon."), ["refusal_removed"]),
    ("refusal by the provider's word", text("Done, just as you asked."), Answer(text="No, I will leave that.", refusal=True),
     ["refusal_added"]),
    ("an apology is no refusal", text("It is late, as you can see."), text("I'm sorry, I can't find that order."), []),
    ("finish reason", Answer(text="a b", finish_reason="stop"), Answer(text="a b", finish_reason="content_filter"),
     ["finish_reason_changed"]),
    ("finish reason not known", Answer(text="a b"), Answer(text="a b", finish_reason="content_filter"), []),
    ("cut off in JSON", NOT_CUT, CUT, ["truncated", "finish_reason_changed", "json_broken"]),
    ("cut off in JSON, nobody says so", text(INVOICE), text(INVOICE[:70]), ["truncated", "json_broken"]),
    ("cut off in a sentence", text(LONGER), text(LONGER[:-30]), ["truncated"]),
    ("a list has no full stop", text(LONGER), text("- the order was shipped on Monday, by rail\n- it arrives on Thursday"),
     ["list_structure_changed"]),
    ("collapsed", text("x" * 300), text("y" * 100), ["answer_shortened"]),
    ("not quite collapsed", text("x" * 299), text("y" * 100), []),
    ("swollen", text("x" * 100), text("y" * 300), ["answer_lengthened"]),
    ("a few characters are no swelling", text("No"), text("[No].."), []),
    ("empty", text("x" * 10), text(""), ["answer_shortened"]),
    ("another language", text(LONGER),
     text("Ihre Bestellung wurde am Montag mit der Bahn verschickt und kommt am Donnerstag bei Ihnen an."), ["language_switched"]),
    ("a name is no language", text("It was sent by Deutsche Post und Bahn AG today."),
     text("It was sent by Deutsche Post und Bahn AG this day."), ["reworded"]),
    ("template token", text(LONGER), text(f"{LONGER}<|im_end|>"), ["trailing_artefact"]),
    ("the next speaker", text(LONGER), text(f"{LONGER}\n\nHuman: and the other one?"), ["trailing_artefact"]),
    ("a brace too many", text(INVOICE), text(INVOICE + "}"), ["trailing_artefact", "json_broken"]),
    ("fence not closed", text(f"```\n{CODE}\n```"), text(f"```\n{CODE}\n"), ["trailing_artefact"]),
    ("number spelt otherwise", text("The sum of the order is 1,234.50 EUR."), text("The sum of the order is 1.234,50 EUR."),
     ["number_format_changed"]),
    ("date spelt otherwise", text("It is due on 2024-05-01 at the desk."), text("It is due on May 1, 2024 at the desk."),
     ["date_format_changed"]),
    ("another date", text("It is due on 2024-05-01 at the desk."), text("It is due on 2024-05-02 at the desk."), ["fact_changed"]),
    ("another day", text("Please come by on Monday with the form."), text("Please come by on Tuesday with the form."), ["fact_changed"]),
    ("another name", text("The form was signed by Anna Keller today."), text("The form was signed by Maria Keller today."),
     ["fact_changed"]),
    ("another quote", text('The sign says "closed for lunch" all day.'), text('The sign says "open all night" all day.'), ["fact_changed"]),
    ("another mail address", text("If it fails, write to help@one.example please."), text("If it fails, write to post@two.example please."),
     ["fact_changed"]),
    ("a not more", text("The ticket can be returned after the event."), text("The ticket cannot be returned after the event."),
     ["fact_changed"]),
    ("the opposite", text("The request of the customer was approved."), text("The request of the customer was rejected."),
     ["fact_changed"]),
    ("unable is not able", text("You cannot return the ticket."), text("You are not able to return the ticket."), ["reworded"]),
    ("another verdict", text("Yes, the item is in our shop."), text("No, the item is in our shop."), ["fact_changed"]),
    ("another label", text("billing_issue"), text("account_access"), ["fact_changed"]),
    ("hedging", text("The parcel is in Lyon."), text("I think the parcel is in Lyon, but I'm not sure."), ["hedging_added"]),
    ("hedging gone", text("I think it might be late."), text("It is late."), ["hedging_removed"]),
    ("prose as bullets", text("We sell tea, oil and salt."), text("We sell:\n- tea\n- oil\n- salt"), ["list_structure_changed"]),
    ("bold", text("It arrives on Thursday."), text("It arrives on **Thursday**."), ["markdown_added"]),
    ("headers gone", text("# Order\n\nIt arrives on Thursday."), text("Order\n\nIt arrives on Thursday."), ["markdown_removed"]),
    ("comments of code are no headers", text("# one\nx = 1\n# two\ny = 2"), text("x = 1\n\ny = 2"), []),
    ("more tokens for the same text", used(PROSE, 30), used(PROSE, 36), ["tokens_changed"]),
    ("a token more for the same text", used(PROSE, 30), used(PROSE, 32), []),
]  # fmt: skip


@pytest.mark.parametrize(("stable", "candidate", "expected"), [s[1:] for s in STORIES], ids=[s[0] for s in STORIES])
def test_a_change_has_its_name_and_no_other(stable: Answer, candidate: Answer, expected: list[str]) -> None:
    assert names(stable, candidate) == expected


def test_the_map_of_the_room_names_every_file() -> None:
    files = {path.name for path in Path(diff.__file__).parent.glob("*.py")} - {"__init__.py"}
    assert files == set(re.findall(r"\w+\.py", diff.__doc__ or ""))


def test_every_name_of_the_table_has_a_story() -> None:
    told = {name for *_, expected in STORIES for name in expected} | {name for *_, name in ASKED}
    assert told == {row.name for row in CHANGES}


SHOP = Prompt(
    system="You answer for Kessler Tea.",
    messages=(Message(role="user", text="When is order 4411 due?"),),
    tools=("find", "book"),
    schema={"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}, "required": ["n"]},
)
DOCS = "Order 4411: due on 2 May 2026. Carrier: Nordline."
DUE = "Order 4411 is due on 2 May 2026."
ASKED = [
    (text('{"n": 1}'), text('{"n": 9}'), Asked(prompt=SHOP), "schema_violated"),
    (text("Yes."), calls(("delete_all", "{}")), Asked(prompt=SHOP), "unknown_tool"),
    (text(PROSE), text(PROSE), Asked(prompt=SHOP, steps=(4, 12)), "step_limit_hit"),
    (text(DUE), text(f"{DUE} Ask for Maria Kraft."), Asked(prompt=SHOP, context=DOCS), "unsupported_statement"),
]


@pytest.mark.parametrize(("stable", "candidate", "asked", "name"), ASKED, ids=[name for *_, name in ASKED])
def test_some_changes_only_show_when_it_is_known_what_was_asked(stable: Answer, candidate: Answer, asked: Asked, name: str) -> None:
    assert name in [c.name for c in changes(stable, candidate, asked)]
    assert name not in names(stable, candidate)
    assert change(name, stable, candidate, asked) in changes(stable, candidate, asked)


@pytest.mark.parametrize(
    "more", ["The carrier is Nordline.", "You asked about order 4411.", "It is due on 2026-05-02.", "Kessler wishes you a nice day."]
)
def test_what_stands_in_context_or_prompt_is_no_new_statement(more: str) -> None:
    found = changes(text(DUE), text(f"{DUE} {more}"), Asked(prompt=SHOP, context=DOCS))
    assert "unsupported_statement" not in [c.name for c in found]


def test_a_benign_change_has_no_other_name_beside_it() -> None:
    assert {"reworded", "whitespace_changed", "json_respelt"} == BENIGN
    for _, _, _, expected in STORIES:
        assert len(expected) == 1 or not BENIGN & set(expected)


def test_changes_come_in_the_order_of_the_table() -> None:
    """A bump that does everything at once: the first name is the cause to report, the length the last resort."""
    broken = '```json\n{"vendor": "Caf\\u00e9 No\\u00ebl", "sum": 12.5}\n```\n\n' + "Let me explain at length. " * 20
    found = names(text('{"vendor": "Café Noël", "total": 12.5}'), text(broken))
    assert found == ["fence_added", "key_renamed", "unicode_escaped", "closing_text_added", "json_broken", "answer_lengthened"]
    order = [row.name for row in CHANGES]
    assert found == sorted(found, key=order.index)


@pytest.mark.parametrize(
    ("stable", "candidate", "detail"),
    [
        (text(INVOICE), edited("v['supplier'] = v.pop('vendor')"), "`vendor -> supplier`"),
        (text(INVOICE), edited("del v['items'][1]['price']"), "`items[].price`"),
        (text(INVOICE), edited("v['total'] = '12.5'"), "`total: number -> string`"),
        (text("café"), text("caf\\u00e9"), "`é -> \\u00e9`"),
        (text(PROSE), text(f"{PROSE}\n\nAnything else?"), "`Anything else?`"),
        (text("x" * 1199), text("No"), "1199 -> 2 characters (1/600)"),
        (calls(("find", '{"id": 1}')), calls(("find", '{"id": 2}')), '`find`: `{"id":1}` -> `{"id":2}`'),
    ],
)
def test_a_detail_says_what_was_seen(stable: Answer, candidate: Answer, detail: str) -> None:
    assert changes(stable, candidate)[0].detail == detail


# ── any input ───────────────────────────────────────────────────────────────────────────────────────────────────────

_pieces = st.sampled_from(
    ["```", "```json\n", "\n", "\n\n", " ", "{", "}", "[", "]", '"', ":", ",", "\\u00e9", "\\ud83d",
     "\\ude00", "é", "😀", "\ud800", "\x00", "\x1b[31m",
          '{"a": 1}', '{"a": {"b": [1, {"c": null}]}}', "NaN", "1e999", "9" * 5000,
     "Sure!", "I cannot assist", "word", "word word", "\u2028"]
)  # fmt: skip
_texts = st.one_of(st.text(), st.lists(_pieces, max_size=12).map("".join))
_answers = st.builds(
    Answer,
    text=_texts,
    tool_calls=st.lists(st.builds(ToolCall, st.just("id"), st.sampled_from(["find", "book", ""]), _texts), max_size=3).map(tuple),
    finish_reason=st.sampled_from([None, "stop", "length", ""]),
    refusal=st.booleans(),
)


@given(_answers, _answers)
@settings(max_examples=300, deadline=None)
def test_no_input_raises_and_an_answer_does_not_differ_from_itself(stable: Answer, candidate: Answer) -> None:
    order = [row.name for row in CHANGES]
    found = names(stable, candidate)
    assert found == sorted(set(found), key=order.index)
    assert names(stable, stable) == []


@given(_answers, _answers)
@settings(max_examples=200, deadline=None)
def test_what_is_added_one_way_is_removed_the_other(stable: Answer, candidate: Answer) -> None:
    there, back = set(names(stable, candidate)), set(names(candidate, stable))
    for one, other in [
        ("fence_added", "fence_removed"),
        ("json_broken", "json_repaired"),
        ("unicode_escaped", "unicode_unescaped"),
        ("tool_call_added", "tool_call_removed"),
        ("refusal_added", "refusal_removed"),
        ("answer_shortened", "answer_lengthened"),
        ("markdown_added", "markdown_removed"),
    ]:
        assert (one in there) == (other in back)


@given(_texts, _texts)
@settings(max_examples=200, deadline=None)
def test_a_word_diff_holds_both_texts_whole(a: str, b: str) -> None:
    found = words(a, b)
    assert "".join(piece for op, piece in found if op in "=-") == a
    assert "".join(piece for op, piece in found if op in "=+") == b
    assert all(piece for _, piece in found)


def test_a_word_diff_goes_by_words() -> None:
    assert words("The total is 12 euros.", "The sum is 12 euros.") == [("=", "The "), ("-", "total"), ("+", "sum"), ("=", " is 12 euros.")]


HUGE = {
    "a line of words": ("word " * 40_000, "wurd " * 40_000),
    "braces": ("[{" * 100_000, "[{" * 90_000),
    "nested": ('{"a":' * 40_000, "```" * 60_000),
    "escapes": ("\\u00e9" * 30_000, "é" * 40_000),
    "keys": (json.dumps({f"k{n}": n for n in range(15_000)}), json.dumps({f"q{n}": n for n in range(15_000)})),
    "lines": ("\n".join(f"line {n} one" for n in range(15_000)), "\n".join(f"line {n} two" for n in range(15_000))),
    "no words": ("x" * 200_000, "x" * 199_999 + "y"),
    "a mark and blank lines": ("a b", "<|" + "\n" * 200_000 + "x"),  # each line began a search to the end once
    "parentheses": ("(" * 200_000, "(" * 199_000 + "x"),
    "digits": ("0" * 200_000, "1" * 200_000),
    "dates": ("1/1/" * 50_000, "1/2/" * 50_000),
    "quotes": ('"' * 200_000, "“" * 200_000),
    "marks": ("<|" * 100_000, "`" * 200_000),
    "blank": (" " * 200_000, "\n" * 200_000),
}


@pytest.mark.parametrize(("a", "b"), HUGE.values(), ids=HUGE.keys())
def test_two_hundred_kilobytes_do_not_blow_up(a: str, b: str) -> None:
    """Quadratic time would hold this up for hours; linear time takes a fraction of a second."""
    changes(text(a), text(b))
    found = words(a, b)
    assert "".join(piece for op, piece in found if op in "=-") == a
    assert sum(len(piece) for _, piece in excerpt(found)) < 6000


def test_an_excerpt_keeps_the_change_and_what_stands_around_it() -> None:
    long = " ".join(f"w{n}" for n in range(500))
    short = excerpt(words(f"{long} total {long}", f"{long} sum {long}"))
    assert ("-", "total") in short
    assert ("+", "sum") in short
    assert short[1][0] == "="
    assert short[1][1].endswith("w498 w499 ")
    assert short[0][0] == "~"
    assert sum(len(piece) for _, piece in short) < 250


def test_an_excerpt_stops_after_some_changes_and_says_how_much_is_left() -> None:
    short = excerpt([("-", "a"), ("=", " "), ("+", "b"), ("=", " "), ("-", "cde")], changes=2)
    assert short == [("-", "a"), ("=", " "), ("+", "b"), ("~", "[4 more characters]")]


@given(st.text(st.characters(max_codepoint=127)) | st.text())
def test_a_table_of_bytes_finds_what_a_pattern_finds(said: str) -> None:
    assert letters.alphanumerics(said) == re.findall(r"[^\W_]+", said)
    assert letters.identifiers(said) == re.findall(r"\w+", said)
    assert letters.packed(said) == re.sub(r"\s", "", said)


@pytest.mark.parametrize(
    ("one", "other", "same"), [(1, 1, True), (1, True, False), ([0], [False], False), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True)]
)
def test_json_values_are_equal_by_their_text(one: object, other: object, same: bool) -> None:
    assert shape.equal(one, other) is same


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("Gladly. The fine is 2 EUR a week.", "Of course. The fine is 2 EUR a week.", "reworded"),
        ("Okafor has it until Friday, and you come next.", "Petrova has it until Friday, and you come next.", "fact_changed"),
    ],
)
def test_how_an_earlier_answer_opens_is_no_name(before: str, after: str, change: str) -> None:
    said = (
        Message(role="user", text="When is it due? I asked Mr Okafor, and then Ms Petrova."),
        Message(role="assistant", text="Gladly. The book is due on 2026-09-14."),
        Message(role="user", text="And what do I pay when it is late, and who has it now?"),
    )
    found = changes(Answer(text=before), Answer(text=after), Asked(prompt=Prompt(messages=said)))
    assert [one.name for one in found] == [change]


def test_what_is_found_does_not_hang_on_what_was_read_before() -> None:
    """Sentences are kept for a while; once forgotten, a sentence read anew is still the same sentence."""
    good = text("The dividend is unchanged. Sales went up by a tenth in the last year. There is no change in the dividend.")
    other = "Sales rose by a tenth in the last year, and the dividend is unchanged. There is no change in the dividend.{}"
    before = names(good, text(other.format("")))
    for n in range(3000):
        prose.sentences(f"This is answer {n}.")
    assert names(good, text(other.format(" "))) == before == ["reworded"]


@given(st.text(st.characters(max_codepoint=0x2FF)) | st.text(st.sampled_from("aé_1 ’–€\u00a0")))
def test_words_of_western_text_are_the_words_that_a_pattern_finds(said: str) -> None:
    assert letters.alphanumerics(said) == re.findall(r"[^\W_]+", said)
    assert letters.identifiers(said) == re.findall(r"\w+", said)
    assert prose.words(said) == prose.WORD.findall(said.lower().replace("’", "'"))
