"""Recorded traffic in other tools' files: what each form's documented rows come to, and that every request can be sent again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detent import formats, wire
from detent.errors import InvalidInput
from detent.formats import FORMS, REASONS, Source
from detent.terms import Answer, Endpoint, RecordedExchange, RefusedRow, ToolCall, Usage

SAMPLES = Path(__file__).parent / "formats_samples"
GOLD = {"prompt": "question", "output": "answer", "task": "kind", "correct": "right", "reference": "gold", "at": "when", "session": "who"}


def split(found: Iterable[RecordedExchange | RefusedRow]) -> tuple[list[RecordedExchange], list[RefusedRow]]:
    rows = list(found)
    return [row for row in rows if isinstance(row, RecordedExchange)], [row for row in rows if isinstance(row, RefusedRow)]


def sample(*names: str, **how: Any) -> tuple[list[RecordedExchange], list[RefusedRow]]:
    return split(formats.read_all([Source(name, [(SAMPLES / name).read_bytes()]) for name in names], **how))


def lines(*rows: Any, **how: Any) -> tuple[list[RecordedExchange], list[RefusedRow]]:
    return split(formats.read("\n".join(json.dumps(row) for row in rows).encode(), file="a.jsonl", **how))


def body(exchange: RecordedExchange) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exchange.request)
    return found


def refusals(refused: list[RefusedRow]) -> list[tuple[str, str]]:
    return [(row.where, row.reason) for row in refused]


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("chat.jsonl", "openai_chat"),
        ("batch_requests.jsonl", "openai_batch"),
        ("batch_answers.jsonl", "openai_batch"),
        ("litellm.jsonl", "litellm"),
        ("langfuse.jsonl", "langfuse"),
        ("otel.json", "otel"),
        ("otel_before.jsonl", "otel"),
        ("promptfoo.yaml", "promptfoo"),
        ("table.csv", "csv"),
    ],
)
def test_a_file_is_recognised_by_its_name_and_its_first_row(name: str, form: str) -> None:
    assert formats.recognise(name, (SAMPLES / name).read_bytes()).name == form


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_every_request_of_the_samples_can_be_read_as_it_would_be_sent(name: str) -> None:
    found, _ = sample(name, columns=GOLD if name == "table.csv" else None)
    for exchange in found:
        assert wire.read_prompt(exchange.endpoint, exchange.request).messages
        assert "stream" not in body(exchange)
        assert isinstance(body(exchange)["model"], str)
        assert len(exchange.template) == 32


def test_reasons_and_forms_are_tables_without_a_double() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)
    assert len({reason.name for reason in REASONS}) == len(REASONS)
    assert {reason.name for reason in REASONS if not reason.broken} == {"failed call", "not a chat call"}


def test_a_file_of_no_known_form_is_refused_with_the_forms_that_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"not recognised: `notes\.txt`") as error:
        split(formats.read(b"Dear diary,\n", file="notes.txt"))
    assert error.value.hint is not None
    assert all(f"`{form.name}`" in error.value.hint for form in FORMS)
    with pytest.raises(InvalidInput, match="no such form: `xml`"):
        split(formats.read(b"{}", file="a.jsonl", form="xml"))


def test_a_broken_first_line_does_not_hide_the_form() -> None:
    found, refused = split(formats.read(b'{"messages": [\n{"messages":[{"role":"user","content":"a"}],"output":"b"}\n', file="a.jsonl"))
    assert [exchange.answer.text for exchange in found] == ["b"]
    assert refusals(refused) == [("a.jsonl:1", "not JSON")]


# ── OpenAI chat ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_chat_rows_in_the_shapes_that_teams_log() -> None:
    found, refused = sample("chat.jsonl")
    assert not refused
    pair, tool, completed, tuned, anthropic, image = found
    assert pair.answer == Answer(
        text="Paris", finish_reason="stop", model="gpt-4o-2024-08-06", fingerprint="fp_1", usage=Usage(input=20, output=1)
    )
    assert (pair.model, pair.session, pair.at) == ("gpt-4o-2024-08-06", "s-1", datetime.fromtimestamp(1760000000, UTC))
    assert body(pair).keys() == {"model", "temperature", "messages"}
    assert tool.answer.tool_calls == (ToolCall("call_1", "get_weather", '{"city": "Paris"}'),)
    assert wire.read_prompt(tool.endpoint, tool.request).tools == ("get_weather",)
    assert (completed.answer.text, body(completed)["max_tokens"]) == ("hi", 5)
    assert tuned.answer.text == "6"
    assert [message["content"] for message in body(tuned)["messages"]] == ["You are terse.", "2+2?", "4", "and 3+3?"]
    assert not any("weight" in message for message in body(tuned)["messages"])
    assert anthropic.endpoint is Endpoint.ANTHROPIC_MESSAGES
    assert (anthropic.api_version, anthropic.betas, anthropic.answer.text) == ("2023-06-01", ("a-1", "b-2"), "Hi.")
    assert body(anthropic)["system"] == "Be brief."
    assert body(image)["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    assert body(image)["response_format"] == {"type": "json_object"}


def test_a_request_is_sent_again_as_it_was_recorded_but_for_the_streaming() -> None:
    request = {
        "model": "m",
        "seed": 7,
        "vendor_extra": {"a": 1.0},
        "messages": [{"role": "user", "content": "x", "name": "n"}],
        "stream": True,
    }
    (exchange,), _ = lines({"request": request, "response": {"choices": [{"message": {"content": "y"}, "finish_reason": "stop"}]}})
    del request["stream"]
    assert body(exchange) == request


def test_a_streamed_answer_kept_as_its_transcript_is_read_and_one_that_broke_off_is_not_whole() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    events = wire.answer_stream(Endpoint.OPENAI_CHAT, Answer(text="Hello there"), id="c", created=1, include_usage=False, pieces=4)
    whole, cut = b"".join(events).decode(), b"".join(events[:3]).decode()
    found, refused = lines({"request": request, "response": whole}, {"request": request, "response": cut})
    assert [exchange.answer.text for exchange in found] == ["Hello there"]
    assert refusals(refused) == [("a.jsonl:2", "answer not whole")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"request": {"messages": [{"role": "user", "content": "x"}]}, "status": 500, "error": "boom"}, "failed call"),
        ({"request": {"messages": [{"role": "user", "content": "x"}]}, "response": {"error": {"message": "boom"}}}, "failed call"),
        ({"request": {"messages": [{"role": "user", "content": "x"}]}, "response": None}, "no answer"),
        ({"request": {"messages": [{"role": "user", "content": "x"}]}, "response": {"what": 1}}, "unknown shape"),
        ({"request": {"model": "m", "prompt": "x"}, "response": {"text": "y"}}, "not a chat call"),
        ({"request": {"model": "m", "input": "x"}, "response": {"text": "y"}}, "not a chat call"),
        ({"messages": [], "output": "y"}, "no messages"),
        ({"messages": [{"content": "x"}], "output": "y"}, "no messages"),
        ({"messages": [{"role": "system", "content": "x"}], "output": "y"}, "no messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no answer"),
        ({"messages": [{"role": "user", "content": "x"}], "output": ""}, "no answer"),
        ({"messages": [{"role": "user", "content": "x"}], "output": "y", "model": "a\x1b[2J"}, "unknown shape"),
    ],
)
def test_what_is_no_exchange_is_refused_by_one_of_few_words(row: dict[str, Any], reason: str) -> None:
    found, refused = lines(row, form="openai_chat")
    assert not found
    assert refusals(refused) == [("a.jsonl:1", reason)]


def test_a_failed_call_and_another_kind_of_call_are_no_broken_rows() -> None:
    assert {"failed call", "not a chat call"}.isdisjoint(formats.BROKEN)
    assert {"not JSON", "no answer", "duplicate id"} <= formats.BROKEN


def test_detents_own_records_keep_their_labels_and_a_model_selects_among_versions() -> None:
    record = {
        "prompt_id": "p/1",
        "task": "prime",
        "version": "gpt-4-0314",
        "messages": [{"role": "user", "content": "Is 7 prime?"}],
        "output": "[Yes]",
        "correct": True,
        "reference": "yes",
        "params": {"temperature": 0.1},
        "recorded": "2023-07-16",
        "finish_reason": "stop",
    }
    called = record | {"prompt_id": "p/2", "output": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]}
    found, refused = lines(record, record | {"version": "gpt-4-0613"}, called, record)
    assert [exchange.model for exchange in found] == ["gpt-4-0314", "gpt-4-0613", "gpt-4-0314"]
    assert refusals(refused) == [("a.jsonl:4", "duplicate id")]
    first = found[0]
    assert (first.correct, first.reference, first.task, first.at) == (True, "yes", "prime", datetime(2023, 7, 16, tzinfo=UTC))
    assert body(first) == {"temperature": 0.1, "messages": record["messages"], "model": "gpt-4-0314"}
    assert found[2].answer.tool_calls == (ToolCall("c", "f", '{"a":1}'),)
    only, _ = lines(record, record | {"version": "gpt-4-0613"}, model="gpt-4-0613")
    assert [exchange.model for exchange in only] == ["gpt-4-0613"]


# ── OpenAI batch ────────────────────────────────────────────────────────────────────────────────────────────────────

JOINED = {
    ("batch_requests.jsonl:3", "failed call"),
    ("batch_requests.jsonl:4", "not a chat call"),
    ("batch_requests.jsonl:5", "no answer"),
    ("batch_answers.jsonl:5", "no messages"),
}


@pytest.mark.parametrize("order", [("batch_requests.jsonl", "batch_answers.jsonl"), ("batch_answers.jsonl", "batch_requests.jsonl")])
def test_the_two_files_of_a_batch_are_joined_in_any_order(order: tuple[str, str]) -> None:
    found, refused = sample(*order)
    assert {(exchange.id, exchange.answer.text) for exchange in found} == {("batch_requests.jsonl:1", "1"), ("batch_requests.jsonl:2", "2")}
    assert set(refusals(refused)) == JOINED
    assert found[0].answer.model == "gpt-4o-mini-2024-07-18"


def test_both_halves_may_stand_in_one_file_and_an_id_counts_once() -> None:
    asked = (SAMPLES / "batch_requests.jsonl").read_bytes().splitlines()[0]
    said = (SAMPLES / "batch_answers.jsonl").read_bytes().splitlines()[1]
    found, refused = split(formats.read(b"\n".join([asked, said, asked]), file="both.jsonl"))
    assert [exchange.answer.text for exchange in found] == ["1"]
    assert refusals(refused) == [("both.jsonl:3", "duplicate id")]


# ── LiteLLM ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_litellm_payloads() -> None:
    found, refused = sample("litellm.jsonl")
    first, anthropic = found
    assert (first.answer.text, first.model, first.session) == ("Short.", "gpt-4o", "s-9")
    assert first.at == datetime(2025, 10, 9, 8, 53, 20, 250000, tzinfo=UTC)
    assert body(first).keys() == {"temperature", "tools", "messages", "model"}, "the client's own parameters (max_retries) were never sent"
    assert anthropic.endpoint is Endpoint.ANTHROPIC_MESSAGES
    assert (anthropic.answer.text, body(anthropic)["max_tokens"]) == ("hello", 50)
    assert refusals(refused) == [
        ("litellm.jsonl:2", "failed call"),
        ("litellm.jsonl:3", "not a chat call"),
        ("litellm.jsonl:4", "content withheld"),
        ("litellm.jsonl:5", "duplicate id"),
    ]


# ── Langfuse ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_langfuse_observations() -> None:
    found, refused = sample("langfuse.jsonl")
    order, agent, plain, columns = found
    assert (order.answer.text, order.task, order.session) == ("On its way.", "answer-ticket", "s-1")
    assert order.at == datetime(2026, 9, 1, 8, 0, 0, 250000, tzinfo=UTC)
    assert order.answer.usage == Usage(input=28, cached=8, output=4), "Langfuse counts cached tokens apart"
    assert {name: body(order).get(name) for name in ("temperature", "top_p", "max_tokens")} == {
        "temperature": 0.7,
        "top_p": 1,
        "max_tokens": None,
    }
    assert agent.answer.tool_calls == (ToolCall("c1", "get_weather", '{"city":"Oslo"}'),)
    assert wire.read_prompt(agent.endpoint, agent.request).tools == ("get_weather",)
    assert body(plain)["messages"] == [{"role": "user", "content": "Just a text"}]
    assert plain.answer.text == '{"verdict": "ok"}', "an answer that is JSON stays an answer"
    assert columns.answer.tool_calls == (ToolCall("c2", "search", '{"q":"it"}'),)
    assert body(columns)["tools"][0]["function"] == {"name": "search", "description": "Search", "parameters": {"type": "object"}}
    assert refusals(refused) == [("langfuse.jsonl:2", "not a chat call"), ("langfuse.jsonl:5", "failed call")]


def test_langfuse_in_the_apis_camel_case_and_as_one_json_array() -> None:
    row = {
        "id": "o",
        "traceId": "t",
        "type": "GENERATION",
        "startTime": "2026-09-01T08:00:00.000Z",
        "model": "gpt-4o",
        "modelParameters": {"temperature": 1},
        "input": [{"type": "human", "content": "Hi"}],
        "output": {"role": "assistant", "content": "Hello", "additional_kwargs": {}},
        "usageDetails": {},
        "sessionId": "s",
        "level": "DEFAULT",
    }
    for text in (json.dumps(row), json.dumps([row]), json.dumps([row], indent=1)):
        (exchange,), refused = split(formats.read(text.encode(), file="observations.json"))
        assert not refused
        assert (exchange.model, exchange.session, exchange.answer.text) == ("gpt-4o", "s", "Hello")
        assert body(exchange)["messages"] == [{"role": "user", "content": "Hi"}]


def test_rows_that_are_no_text_are_read_like_rows_of_json() -> None:
    rows = [json.loads(line) for line in (SAMPLES / "langfuse.jsonl").read_text().splitlines()]
    found, refused = split(formats.read_all([Source("o.parquet", rows=rows)]))
    assert (len(found), len(refused)) == (4, 2)
    assert found[0].id == "o.parquet:1"


# ── OpenTelemetry ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_spans_with_parts() -> None:
    (exchange,), refused = sample("otel.json")
    assert body(exchange)["messages"] == [
        {"role": "system", "content": "You know the weather."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather in Paris?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"location":"Paris"}'}}],
        },
        {"role": "tool", "content": "rainy, 57 F", "tool_call_id": "call_1"},
    ]
    assert {name: body(exchange)[name] for name in ("max_tokens", "top_p", "stop")} == {"max_tokens": 200, "top_p": 1.0, "stop": ["END"]}
    assert exchange.answer == Answer(text="It is rainy.", finish_reason="stop", model="gpt-4-0613", usage=Usage(input=52, output=47))
    assert (exchange.model, exchange.session, body(exchange)["model"]) == ("gpt-4-0613", "conv_1", "gpt-4")
    assert exchange.at == datetime(2025, 10, 9, 8, 53, 20, 250000, tzinfo=UTC)
    assert wire.read_prompt(exchange.endpoint, exchange.request).tools == ("get_weather",)
    assert refusals(refused) == [
        ("otel.json:1 span 2", "not a chat call"),
        ("otel.json:1 span 3", "not a chat call"),
        ("otel.json:1 span 4", "failed call"),
    ]


def test_spans_of_the_conventions_before() -> None:
    (indexed, evented), refused = sample("otel_before.jsonl")
    prompt = wire.read_prompt(indexed.endpoint, indexed.request)
    assert (prompt.system, [message.role for message in prompt.messages]) == ("Be kind.", ["user", "assistant", "tool"])
    assert prompt.messages[1].tool_calls == (ToolCall("c1", "lookup", '{"q":"A"}'),)
    assert prompt.messages[2].tool_result_for == "c1"
    assert (prompt.tools, indexed.answer.text, indexed.answer.finish_reason) == (("lookup",), "It is 1.", "stop")
    assert [message["content"] for message in body(evented)["messages"]] == ["Be kind.", "Hello"]
    assert (evented.answer.tool_calls, evented.answer.finish_reason) == ((ToolCall("c9", "wave", "{}"),), "tool_calls")
    assert refusals(refused) == [("otel_before.jsonl:3", "content withheld")]


def test_messages_may_stand_structured_and_on_the_event_of_details() -> None:
    def text(value: str) -> dict[str, Any]:
        return {"stringValue": value}

    def listed(*values: dict[str, Any]) -> dict[str, Any]:
        return {"arrayValue": {"values": list(values)}}

    def message(role: str, said: str) -> dict[str, Any]:
        part = {"kvlistValue": {"values": [{"key": "type", "value": text("text")}, {"key": "content", "value": text(said)}]}}
        return {"kvlistValue": {"values": [{"key": "role", "value": text(role)}, {"key": "parts", "value": listed(part)}]}}

    held = [
        {"key": "gen_ai.input.messages", "value": listed(message("user", "Hi"))},
        {"key": "gen_ai.output.messages", "value": listed(message("assistant", "Hello"))},
    ]
    span = {
        "name": "chat m",
        "attributes": [{"key": "gen_ai.operation.name", "value": text("chat")}],
        "events": [{"name": "gen_ai.client.inference.operation.details", "attributes": held}],
    }
    (exchange,), _ = lines({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    assert body(exchange)["messages"] == [{"role": "user", "content": "Hi"}]
    assert exchange.answer.text == "Hello"


# ── promptfoo ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_promptfoo_tests_are_prompts_with_a_reference_and_no_recorded_answer() -> None:
    found, refused = sample("promptfoo.yaml")
    assert [(exchange.id, exchange.reference) for exchange in found] == [
        ("promptfoo.yaml:17 case 1", "Paris"),
        ("promptfoo.yaml:17 case 2", "Paris"),
        *((f"promptfoo.yaml:23 case {number}", "Oslo") for number in (1, 2, 3, 4)),
    ]
    assert not any(exchange.answered for exchange in found)
    assert found[0].answer == Answer()
    assert body(found[0])["messages"] == [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    assert body(found[1])["messages"][0] == {"role": "system", "content": "Answer in one word."}
    assert body(found[0])["temperature"] == 0
    assert refusals(refused) == [
        ("promptfoo.yaml:30 case 1", "no answer"),
        ("promptfoo.yaml:30 case 2", "no answer"),
        ("promptfoo.yaml:34", "points elsewhere"),
        ("promptfoo.yaml:35", "points elsewhere"),
    ]


def promptfoo(text: str, **how: Any) -> tuple[list[RecordedExchange], list[RefusedRow]]:
    return split(formats.read(text.encode(), file="t.yaml", **how))


def test_yaml_keeps_the_text_that_was_written() -> None:
    (exchange,), _ = promptfoo(
        "prompts: ['{{a}} {{b}} {{c}} {{d}} {{e.f}}']\n"
        "tests: [{vars: {a: yes, b: 1:30, c: 2026-01-02, d: 1.50, e: {f: on}}, assert: [{type: equals, value: no}]}]\n"
    )
    assert body(exchange)["messages"][0]["content"] == "yes 1:30 2026-01-02 1.5 on"
    assert exchange.reference == "no"


def test_a_list_of_tests_alone_takes_its_prompt_from_a_var() -> None:
    text = "- vars: {question: 'Two?'}\n  assert:\n  - {type: equals, value: 2}\n"
    (exchange,), _ = promptfoo(text, columns={"prompt": "question"})
    assert (body(exchange)["messages"][0]["content"], exchange.reference) == ("Two?", "2")
    found, refused = promptfoo(text)
    assert (found, refusals(refused)) == ([], [("t.yaml:1", "template not filled")])


def test_chat_messages_may_be_dumped_into_a_prompt() -> None:
    (exchange,), _ = promptfoo(
        "prompts: ['{{ messages | dump }}']\n"
        "tests: [{vars: {messages: [{role: system, content: a}, {role: user, content: b}]}, assert: [{type: equals, value: c}]}]\n"
    )
    assert body(exchange)["messages"] == [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]


@pytest.mark.parametrize(
    "code", ["{% for m in ms %}x{% endfor %}", "{{ x | upper }}", "{{ env.HOME }}", "{{ x.__class__ }}", "{{ range(9) }}"]
)
def test_a_template_is_filled_and_never_run(code: str) -> None:
    found, refused = promptfoo(f"prompts: ['{code}']\ntests: [{{vars: {{x: y}}, assert: [{{type: equals, value: z}}]}}]\n")
    assert (found, [row.reason for row in refused]) == ([], ["template not filled"])


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_csv_file_with_a_map_of_its_columns() -> None:
    found, refused = sample("table.csv", columns=GOLD)
    first, second = found
    assert (first.id, first.task, first.correct, first.reference, first.session) == ("table.csv:2", "math", True, "4", "s1")
    assert first.at == datetime(2026, 9, 1, 10, tzinfo=UTC)
    assert (second.id, body(second)["messages"][0]["content"]) == ("table.csv:3", 'Say "hi",\nplease')
    assert (second.correct, second.reference) == (None, None)
    assert refusals(refused) == [("table.csv:5", "no answer"), ("table.csv:6", "unknown shape")]


def test_a_csv_file_may_come_with_a_byte_order_mark_semicolons_and_long_fields() -> None:
    text = "\ufeffprompt;output;system\r\n" + "x" * 200_000 + ";y;Be kind.\r\n"
    (exchange,), refused = split(formats.read(text.encode(), file="t.csv"))
    assert not refused
    assert len(body(exchange)["messages"][1]["content"]) == 200_000
    assert body(exchange)["messages"][0] == {"role": "system", "content": "Be kind."}


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match="no column `nope`") as error:
        sample("table.csv", columns={"prompt": "nope"})
    assert error.value.hint == (
        "name it with --column prompt=NAME; the file has `question`, `answer`, `kind`, `right`, `gold`, `when`, `who`"
    )
    with pytest.raises(InvalidInput, match="no column for the prompt"):
        sample("table.csv")
    with pytest.raises(InvalidInput, match="no such column: `colour`"):
        sample("table.csv", columns={"colour": "kind"})


def test_two_columns_of_one_name_are_refused_where_the_name_counts() -> None:
    with pytest.raises(InvalidInput, match="more than one column `answer`"):
        list(formats.read(b"q,answer,answer\na,b,c\n", file="t.csv", columns={"prompt": "q", "output": "answer"}))
    with pytest.raises(InvalidInput, match="more than one column `prompt`"):
        list(formats.read(b"prompt,output,prompt\na,b,c\n", file="t.csv"))
    (found,), _ = split(formats.read(b"prompt,output,note,note\na,b,c,d\n", file="t.csv"))
    assert found.answer.text == "b"


def test_what_answered_counts_more_than_the_alias_that_was_asked() -> None:
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "length"}
    response = {"object": "chat.completion", "created": 1760000000, "model": "gpt-4o-2024-08-06", "choices": [choice]}
    (found,), _ = lines({"request": request, "response": response})
    assert (found.model, body(found)["model"], found.at) == ("gpt-4o-2024-08-06", "gpt-4o", datetime.fromtimestamp(1760000000, UTC))
    assert found.answer.finish_reason == "length", "who freezes it sees that it is cut"
    tally = formats.Tally()
    tally.use(found)
    assert tally.cut == 1
    for named in ("gpt-4o", "gpt-4o-2024-08-06"):
        assert formats.of_model(found, named)
    assert not formats.of_model(found, "gpt-4o-mini")


def test_json_lines_with_a_map_reach_into_members() -> None:
    row = {"in": {"q": "2+2?"}, "out": "4", "ok": True, "ts": 1760000000}
    (exchange,), _ = lines(row, columns={"prompt": "in.q", "output": "out", "correct": "ok", "at": "ts"})
    assert (body(exchange)["messages"][0]["content"], exchange.answer.text, exchange.correct) == ("2+2?", "4", True)
    assert exchange.at == datetime.fromtimestamp(1760000000, UTC)


def test_a_table_with_a_reference_needs_no_answer() -> None:
    (exchange,), _ = lines({"prompt": "2+2?", "reference": "4"})
    assert (exchange.reference, exchange.answered) == ("4", False)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (1767323045, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("1767323045000", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (1767323045000000, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_times_in_the_usual_spellings(written: object, means: datetime) -> None:
    (exchange,), _ = lines({"prompt": "x", "output": "y", "at": written})
    assert exchange.at == means
