"""Files that mean harm, or are merely broken: each row is an exchange or a refusal that names it; nothing crashes, runs or is fetched."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent import formats, wire
from detent.errors import InvalidInput
from detent.formats import FORMS
from detent.formats.rows import lines
from detent.terms import RecordedExchange, RefusedRow

GOOD = b'{"messages":[{"role":"user","content":"a"}],"output":"b"}'
NAMES = [form.name for form in FORMS]


def read(*rows: bytes, **how: Any) -> tuple[list[RecordedExchange], list[RefusedRow]]:
    found = list(formats.read(b"\n".join(rows), file="a.jsonl", **how))
    return [row for row in found if isinstance(row, RecordedExchange)], [row for row in found if isinstance(row, RefusedRow)]


def nested(depth: int) -> bytes:
    return b'{"messages":[{"role":"user","content":"a"}],"output":"b","tools":[' + b"[" * depth + b"]" * depth + b"]}"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"messages":[{"role":"user","content":"a"}],"output":', "not JSON"),
        (b'{"messages":[{"role":"user","content":"a"}],"output":"b","temperature":NaN}', "not JSON"),
        (b'{"messages":[{"role":"user","content":"a"}],"output":"b","temperature":1e999}', "not JSON"),
        (b'{"messages":[{"role":"user","content":"a\xff"}],"output":"b"}', "not UTF-8"),
        (b"[1,2]", "unknown shape"),
        (b'"text"', "unknown shape"),
        (nested(100_000), "nested too deep"),
        (nested(300), "nested too deep"),
        (b'{"messages":' + b'[{"role":"user"}' + b',{"role":"user"}' * 20_000 + b'],"output":"b"}', "too long"),
        (b'{"messages":[{"role":"user","content":"' + b"x" * (9 * 2**20) + b'"}],"output":"b"}', "too long"),
    ],
    ids=["broken", "NaN", "infinite", "latin-1", "list", "text", "deep", "deep tool", "many messages", "9 MiB line"],
)
def test_a_row_that_is_no_use_is_named_by_line_and_the_next_one_is_read(row: bytes, reason: str) -> None:
    found, refused = read(GOOD, row, GOOD, form="openai_chat")
    assert [exchange.id for exchange in found] == ["a.jsonl:1", "a.jsonl:3"]
    assert [(row.where, row.reason) for row in refused] == [("a.jsonl:2", reason)]
    assert len(refused[0].detail) <= 200


def test_what_looks_dangerous_stays_text() -> None:
    nasty = "<script>alert(1)</script>\x1b[2J\u202egnp.exe\u0000{{7*7}}$(rm -rf /)../../etc/passwd"
    row = {"id": "../../../etc/passwd", "messages": [{"role": "user", "content": nasty}], "output": nasty, "task": nasty}
    (exchange,), refused = read(json.dumps(row).encode())
    assert not refused
    assert exchange.id == "a.jsonl:1"
    assert (exchange.answer.text, exchange.task) == (nasty, nasty)
    assert wire.read_prompt(exchange.endpoint, exchange.request).messages[0].text == nasty


def test_a_line_of_200_kb_is_an_exchange_like_any_other() -> None:
    row = {"messages": [{"role": "user", "content": "x" * 200_000}], "output": "y" * 200_000}
    (exchange,), _ = read(json.dumps(row).encode())
    assert len(exchange.answer.text) == 200_000


def test_half_an_emoji_breaks_no_writer_after_the_reader() -> None:
    (exchange,), _ = read(b'{"messages":[{"role":"user","content":"a\\ud83d"}],"output":"b\\ud83d","task":"\\ud83d"}')
    assert (exchange.answer.text, exchange.task) == ("b\ufffd", "\ufffd")
    exchange.request.decode()
    found = list(formats.read(b'- vars: {prompt: "a\\ud83d"}\n  assert: [{type: equals, value: "b\\ud83d"}]\n', file="t.yaml"))
    # libyaml refuses such an escape, YAML's other reader takes it
    assert isinstance(found[0], RefusedRow) or found[0].reference == "b\ufffd"


def test_of_equal_names_in_an_object_the_last_one_counts_for_everybody() -> None:
    (exchange,), _ = read(b'{"messages":[{"role":"user","content":"a","content":"z"}],"output":"b"}')
    assert exchange.request.count(b'"content"') == 1
    assert wire.read_prompt(exchange.endpoint, exchange.request).messages[0].text == "z"


# ── packed and otherwise no text ────────────────────────────────────────────────────────────────────────────────────


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", b"0" * 10_000_000)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (gzip.compress(GOOD), "a gzip file"),
        (zipped(), "a zip file"),
        (b"(\xb5/\xfd" + b"0" * 20, "a zstd file"),
        (b"PAR1" + b"0" * 20, "a Parquet file"),
        (GOOD.decode().encode("utf-16"), "not UTF-8 but UTF-16"),
        (GOOD.decode().encode("utf-32"), "not UTF-8 but UTF-32"),
    ],
    ids=["gzip", "zip", "zstd", "parquet", "UTF-16", "UTF-32"],
)
@pytest.mark.parametrize("form", ["auto", "openai_chat", "csv"])
def test_packed_and_foreign_files_are_refused_as_a_whole_and_not_opened(content: bytes, named: str, form: str) -> None:
    with pytest.raises(InvalidInput, match=named) as error:
        read(content, form=form)
    assert error.value.hint


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("form", NAMES)
def test_an_empty_file_holds_nothing(content: bytes, form: str) -> None:
    if form == "csv":
        with pytest.raises(InvalidInput, match="no header"):
            read(content, form=form)
        return
    found, refused = read(content, form=form)
    assert not found
    assert all(row.reason in ("not YAML", "unknown shape") for row in refused)


# ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def chunked(size: int) -> Iterator[bytes]:
    yield GOOD + b"\n"
    for _ in range(size):
        yield b"x" * 2**20
    yield b"\n" + GOOD


def test_a_line_of_100_mb_is_passed_without_being_held() -> None:
    tracemalloc.start()
    found = list(formats.read(chunked(100), file="a.jsonl"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [type(row).__name__ for row in found] == ["RecordedExchange", "RefusedRow", "RecordedExchange"]
    assert found[1] == RefusedRow("a.jsonl:2", "too long", "a line of more than 8 MiB")
    assert most < 60 * 2**20


@given(st.lists(st.text(alphabet="ab\r", max_size=8), max_size=12), st.integers(1, 7))
def test_lines_do_not_depend_on_how_a_file_is_cut(rows: list[str], size: int) -> None:
    text = "\n".join(rows).encode()
    whole = [(n, line.removesuffix(b"\r")) for n, line in enumerate(text.split(b"\n"), 1)]
    if whole and not text.split(b"\n")[-1]:
        whole.pop()
    assert list(lines(text[at : at + size] for at in range(0, len(text), size))) == whole


# ── YAML ────────────────────────────────────────────────────────────────────────────────────────────────────────────

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\ntests: [*c]\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "not YAML"),
        ("tests: !!python/object/apply:os.system ['echo hacked']\n", "not YAML"),
        ("tests: [!include other.yaml]\n", "not YAML"),
        ("tests: " + "[" * 10_000 + "\n", "nested too deep"),
        ("tests: " + "[" * 100 + "]" * 100 + "\n", "nested too deep"),
        ("a: b: c\n", "not YAML"),
        ("? [1, 2]\n: x\ntests: [{? [a] : b}]\n", "not YAML"),
        ("just a text\n", "unknown shape"),
        ("tests: all_of_them.yaml\n", "points elsewhere"),
        ("prompts: prompts/*.txt\ntests: [{vars: {a: b}, assert: [{type: equals, value: c}]}]\n", "points elsewhere"),
        ("--- {}\n--- {}\n", "not YAML"),
        ("tests: [{vars: {a: " + str(["x"] * 40) + ", b: " + str(["x"] * 40) + "}}]\n", "too long"),
    ],
    ids=["aliases", "python tag", "tag", "open", "deep", "broken", "keys", "text", "other file", "glob", "two", "product"],
)
def test_yaml_that_means_harm_is_refused(text: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    found = list(formats.read(text.encode(), file="t.yaml"))
    assert [row.reason for row in found if isinstance(row, RefusedRow)] == [reason]
    assert len(found) == 1
    assert capfd.readouterr().out == ""


def test_a_yaml_file_has_a_cap() -> None:
    with pytest.raises(InvalidInput, match="a document of more than 4 MiB"):
        list(formats.read([b"tests: [\n"] + [b"# " + b"x" * 2**20 + b"\n"] * 5, file="t.yaml"))


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_csv_row_in_another_encoding_is_named_and_the_rest_is_read() -> None:
    text = b"prompt,output\na,b\ncaf\xe9,c\nd,e\n"
    found = list(formats.read(text, file="t.csv"))
    assert [row.answer.text for row in found if isinstance(row, RecordedExchange)] == ["b", "e"]
    assert found[1] == RefusedRow("t.csv:3", "not UTF-8", "`0xe9`; the file may be Windows-1252 or Latin-1")
    with pytest.raises(InvalidInput, match="it may be Windows-1252"):
        list(formats.read(b"pr\xf6mpt,output\na,b\n", file="t.csv"))


def test_a_quote_that_is_left_open_does_not_swallow_the_memory() -> None:
    def content() -> Iterator[bytes]:
        yield b'prompt,output\na,b\n"never closed,c\n'
        for _ in range(30):
            yield (b"d" * 2**18 + b",e\n") * 4

    tracemalloc.start()
    refused = [row for row in formats.read(content(), file="t.csv") if isinstance(row, RefusedRow)]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused[0].reason == "too long"
    assert most < 120 * 2**20


def test_a_row_with_too_many_cells_is_not_shifted_into_place() -> None:
    found = list(formats.read(b"prompt,output\na,b,c\n", file="t.csv"))
    assert found == [RefusedRow("t.csv:2", "unknown shape", "3 cells under 2 columns")]


# ── whatever it is ──────────────────────────────────────────────────────────────────────────────────────────────────


def well_read(content: bytes, form: str) -> None:
    """Every outcome is an exchange that can be sent again, a refusal in fixed words, or one InvalidInput for the file."""
    reasons = {reason.name for reason in formats.REASONS}
    try:
        for row in formats.read(content, file="f", form=form):
            if isinstance(row, RefusedRow):
                assert row.reason in reasons
                assert row.where.startswith("f:")
            else:
                assert wire.read_prompt(row.endpoint, row.request).messages
                assert row.answered or row.reference is not None
                assert row.answer.complete
                assert row.answer.error is None
                (row.answer.text + row.task + (row.reference or "") + (row.session or "")).encode()
    except InvalidInput as error:
        if not error.hint:
            raise


@given(st.binary(max_size=300), st.sampled_from(NAMES))
@settings(max_examples=300, deadline=None)
def test_any_bytes(content: bytes, form: str) -> None:
    well_read(content, form)


WORDS = st.sampled_from(
    [
        "messages",
        "request",
        "response",
        "body",
        "role",
        "content",
        "user",
        "assistant",
        "tool",
        "system",
        "choices",
        "message",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "id",
        "params",
        "custom_id",
        "input",
        "output",
        "type",
        "GENERATION",
        "model_parameters",
        "level",
        "text",
        "parts",
        "resourceSpans",
        "scopeSpans",
        "spans",
        "attributes",
        "key",
        "value",
        "stringValue",
        "events",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt.0.content",
        "gen_ai.choice",
        "gen_ai.operation.name",
        "chat",
        "vars",
        "tests",
        "prompts",
        "assert",
        "equals",
        "{{prompt}}",
        "prompt",
        "reference",
        "error",
        "status",
        "model",
        "tools",
        "stream",
        "data:",
        "finish_reason",
        "stop_reason",
        "tool_definitions",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | WORDS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25)
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=8)


@given(st.lists(OBJECTS, min_size=1, max_size=3), st.sampled_from([name for name in NAMES if name != "csv"]))
@settings(max_examples=100, deadline=None)
def test_any_objects_with_the_words_of_the_forms(rows: list[dict[str, Any]], form: str) -> None:
    text = json.dumps(rows) if form == "promptfoo" else "\n".join(map(json.dumps, rows))
    well_read(text.encode(), form)


BASES: list[dict[str, Any]] = [
    {
        "request": {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": []},
        "response": {"choices": [{"message": {"content": "y"}}]},
    },
    {
        "id": "i",
        "type": "GENERATION",
        "level": "DEFAULT",
        "input": '[{"role":"user","content":"x"}]',
        "output": "y",
        "model_parameters": "{}",
    },
    {"call_type": "completion", "model_parameters": {}, "startTime": 1.0, "messages": [{"role": "user", "content": "x"}], "response": "y"},
    {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "attributes": [
                                    {"key": "gen_ai.prompt.0.content", "value": {"stringValue": "x"}},
                                    {"key": "gen_ai.completion.0.content", "value": {"stringValue": "y"}},
                                ]
                            }
                        ]
                    }
                ]
            }
        ]
    },
]


@given(st.data(), st.sampled_from(BASES), st.sampled_from([name for name in NAMES if name not in ("csv", "promptfoo")]))
@settings(max_examples=200, deadline=None)
def test_any_one_value_of_a_good_row_put_wrong(data: st.DataObject, base: dict[str, Any], form: str) -> None:
    """A good row in which one member, anywhere, holds something else."""
    row = json.loads(json.dumps(base))
    at: Any = row
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else list(range(len(at)))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(VALUES)
            break
        at = at[key]
    well_read(json.dumps(row).encode(), form)
