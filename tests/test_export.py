"""Leaving is easy: a baseline as promptfoo tests and as JSON lines, read back by other readers; recorded text stays text there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from detent import formats
from detent.compare import read_rows
from detent.report import EXPORTS, Exported
from detent.terms import Blessing, Case, CheckRow, Endpoint, RecordedExchange, Route, ToolCall
from records import OLD, T0
from test_report import GOOD, baseline, case

BLESSED = Blessing(by="checks", at=T0)
ATTACK = "{{ env.OPENAI_API_KEY }} {% for x in y %}z{% endfor %} {# gone #} {{7*7}} {{{a}}} \\{{ b }} #} file:///etc/passwd"


def route(*checks: str) -> Route:
    return Route(name="summarizer", provider=OLD.provider, version=OLD.model, owner="search@example.com", checks=checks)


def exported(form: str, *cases: Case, checks: tuple[str, ...] = (), own: dict[str, CheckRow] | None = None, reserve: bool = False) -> str:
    made = Exported(baseline=baseline(*cases), route=route(*checks), own=own or {}, reserve=reserve)
    return EXPORTS[form].write(made)


def config(*cases: Case, **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(exported("promptfoo", *cases, **more))
    return value


def asserted(*cases: Case, **more: Any) -> list[tuple[str, Any]]:
    (test,) = config(*cases, **more)["tests"]
    return [(item["type"], item.get("value")) for item in test.get("assert", [])]


def records(*cases: Case, **more: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported("jsonl", *cases, **more).splitlines()]


def asking(name: str, body: dict[str, Any], **more: Any) -> Case:
    return case(name, request=json.dumps(body).encode(), **more)


# ── the blind reserve ──


@pytest.mark.parametrize("form", EXPORTS)
def test_the_blind_reserve_stays_unless_it_is_asked_for(form: str) -> None:
    hidden = case("ca_2", "PLANTED", "PLANTED", reserve=True, strata={"task": "PLANTED"})
    assert "PLANTED" not in exported(form, case("ca_1"), hidden)
    assert "PLANTED" in exported(form, case("ca_1"), hidden, reserve=True)


# ── promptfoo ──


def test_a_conversation_arrives_as_it_was_recorded() -> None:
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Wie spät?"}]
    made = config(asking("ca_1", {"model": "summarizer", "messages": talk, "temperature": 0.2}, strata={"task": "ask"}, weight=3.0))
    assert made["prompts"] == ["{{ messages }}"]
    assert made["providers"] == ["openai:chat:atlas-2026-03-01"]
    (test,) = made["tests"]
    assert json.loads(test["vars"]["messages"]) == talk
    assert json.loads(test["metadata"].pop("known_good")) == {"role": "assistant", "content": GOOD}
    assert test["metadata"] == {"case": "ca_1", "weight": 3.0, "stratum_task": "ask"}
    assert test["options"] == {"temperature": 0.2}
    assert test["description"] == "Wie spät?"


def test_a_system_prompt_of_the_other_dialect_comes_first() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": "Hi"}],
    }
    made = config(asking("ca_1", body, endpoint=Endpoint.ANTHROPIC_MESSAGES))
    assert json.loads(made["tests"][0]["vars"]["messages"]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert made["providers"] == ["anthropic:messages:atlas-2026-03-01"]


def test_recorded_text_is_no_template_and_names_no_file() -> None:
    """promptfoo renders variables, descriptions and assertions as Nunjucks; `{{`, `{%` and `{#` open a tag, a lone `#}` is an error.

    Checked by hand with promptfoo 0.121.20 and its `echo` provider too: the attack comes back letter for letter.
    """
    made = config(case("ca_1", ATTACK, "x", reference="file:///etc/passwd"), case("ca_2", "file:///etc/passwd", strata={"task": ATTACK}))
    first, second = made["tests"]
    held = first["vars"]["messages"]
    assert not re.search(r"\{[{%#]|#\}", held)
    assert json.loads(held)[0]["content"] == ATTACK
    assert not second["vars"]["messages"].startswith("file:")
    assert second["description"] == '{{ "" }}file:///etc/passwd'
    assert first["assert"][-1] == {"type": "icontains", "value": '{{ "" }}file:///etc/passwd'}
    for text in (first["description"], second["metadata"]["stratum_task"]):
        left = re.sub(r'\{\{ "[{}]?" \}\}', lambda m: "\x00" * bool(m[0]), text)
        assert not re.search(r"\{[{%#]|#\}", left), "only expressions that give a brace are left"
        assert re.sub(r'\{\{ "([{}]?)" \}\}', r"\1", text)[:90] == ATTACK[:90]


def test_checks_become_assertions_as_far_as_promptfoo_has_a_word_for_them() -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "total?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    }
    asked = asking("ca_1", body, good=GOOD, blessed=BLESSED)
    assert asserted(asked, checks=("json_schema",)) == [("is-json", schema)]
    assert asserted(asked, checks=("same_keys",)) == [("is-json", {"type": "object", "required": ["total"]})]
    assert asserted(asked, checks=("no_new_fence", "answered")) == [("not-contains", "```"), ("not-is-refusal", None)]
    assert asserted(asked, checks=("no_new_escapes",)) == [("not-regex", r"\\u[0-9a-fA-F]{4}")]
    text = exported("promptfoo", asked, checks=("tone", "context_agreement"))
    assert "# Checks without a word in promptfoo, left out: tone, context_agreement" in text


def test_a_known_good_output_that_nobody_blessed_asserts_nothing() -> None:
    assert asserted(case("ca_1"), checks=("same_keys", "no_new_fence", "no_new_escapes")) == []
    assert asserted(case("ca_1", blessed=BLESSED, faulted="wrong total"), checks=("no_new_fence",)) == []


def test_a_reference_is_asserted_whichever_checks_the_route_has() -> None:
    assert asserted(case("ca_1", good="Paris", reference="Paris")) == [("equals", "Paris")]
    assert asserted(case("ca_1", good="It is Paris.", reference="Paris")) == [("icontains", "Paris")]


def test_own_checks_go_along() -> None:
    rows = {
        "brief": CheckRow(name="brief", max_chars=500),
        "polite": CheckRow(name="polite", contains="please"),
        "clean": CheckRow(name="clean", lacks="{{x}}"),
        "dated": CheckRow(name="dated", matches=r"\d{4}"),
        "calm": CheckRow(name="calm", never_matches="!!"),
        "code": CheckRow(name="code", python="team.checks:code"),
    }
    assert asserted(case("ca_1"), checks=tuple(rows), own=rows) == [
        ("javascript", "output.length <= 500"),
        ("contains", "please"),
        ("not-contains", '{{ "{" }}{x}}'),
        ("regex", r"\d{4}"),
        ("not-regex", "!!"),
    ]


@pytest.mark.parametrize("text", ["NUL \x00", "half \ud800", "\u202egnp", "A" * 200_000, "- a: b\n--- \n# c", "]]>", "'\"\n\t\\"])
def test_whatever_was_said_the_file_is_read_back(text: str) -> None:
    found = config(case("ca_1", text, text, reference=text, strata={"task": text}))
    assert json.loads(found["tests"][0]["vars"]["messages"])[0]["content"] == text
    exported("promptfoo", case("ca_1", text, text)).encode()
    (record,) = records(case("ca_1", text, text))
    assert (record["messages"][0]["content"], record["output"]) == (text, text)
    assert exported("jsonl", case("ca_1", text, text)).isascii()


def test_a_request_that_cannot_be_read_leaves_all_the_same() -> None:
    broken = case("ca_1", request=b"\xff nonsense")
    assert json.loads(config(broken)["tests"][0]["vars"]["messages"]) == []
    assert records(broken)[0]["messages"] == []


# ── jsonl ──


def agent() -> Case:
    body = {
        "model": "summarizer",
        "messages": [{"role": "user", "content": "order 7?"}],
        "tools": [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}],
        "temperature": 0.5,
    }
    calls = (ToolCall("c1", "lookup", '{"id":7}'),)
    return asking("ca_2", body, good="", known_good_calls=calls, strata={"task": "orders"}, weight=2.0, recorded_at=T0)


def test_compare_reads_what_was_exported() -> None:
    text = exported("jsonl", case("ca_1", "total?", GOOD, blessed=BLESSED), agent())
    first, second = read_rows([line.encode() for line in text.splitlines()], file="x")
    assert (first.prompt_id, first.version, first.answer.text, first.correct) == ("ca_1", OLD.model, GOOD, True)
    assert (second.task, second.correct, [call.name for call in second.answer.tool_calls]) == ("orders", None, ["lookup"])


def imported(*cases: Case, form: str = "jsonl") -> list[RecordedExchange]:
    found = list(formats.read(exported(form, *cases).encode(), file=f"export{EXPORTS[form].suffix}"))
    kept = [one for one in found if isinstance(one, RecordedExchange)]
    assert kept == found
    return kept


def test_what_leaves_can_come_back() -> None:
    body = {"model": "m", "max_tokens": 64, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    other = asking("ca_3", body, good="Hello.", endpoint=Endpoint.ANTHROPIC_MESSAGES, reference="Hello.", api_version="2023-06-01")
    kept = [case("ca_1", "total?", GOOD, blessed=BLESSED), agent(), other]
    found = imported(*kept)
    for before, after in zip(kept, found, strict=True):
        assert (after.endpoint, after.answer.text, after.reference) == (before.endpoint, before.known_good, before.reference)
        asked, again = json.loads(before.request), json.loads(after.request)
        assert {**again, "model": None} == {**asked, "model": None}, "the request as it was"
        assert after.model == OLD.model
    assert [(call.name, call.arguments) for call in found[1].answer.tool_calls] == [("lookup", '{"id":7}')]
    assert [one.correct for one in found] == [True, None, None]
    assert (found[1].task, found[1].at, found[2].api_version) == ("orders", T0, "2023-06-01")


def test_what_left_for_promptfoo_can_come_back() -> None:
    options: dict[str, Any] = {"temperature": 0.2, "tools": [{"type": "function", "function": {"name": "lookup", "description": ATTACK}}]}
    options["response_format"] = {"type": "json_object"}
    asked = asking("ca_2", {"model": "m", "messages": [{"role": "user", "content": ATTACK}], **options}, good=ATTACK, reference=ATTACK)
    wrong = case("ca_9", "total?", "13", faulted="it is 12.5")
    total, attack, called, faulted = imported(
        case("ca_1", "total?", GOOD, strata={"task": "sums"}), asked, agent(), wrong, form="promptfoo"
    )
    assert (total.answer.text, total.task, total.correct) == (GOOD, "sums", None)
    assert (faulted.answer.text, faulted.correct) == ("13", False)
    assert (attack.answer.text, attack.reference) == (ATTACK, ATTACK)
    body = json.loads(attack.request)
    assert (body["messages"][0]["content"], {name: body[name] for name in options}) == (ATTACK, options)
    assert [call.name for call in called.answer.tool_calls] == ["lookup"]
