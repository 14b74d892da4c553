"""Redaction keeps shape and meaning: JSON stays JSON, one value is one placeholder, what is left alone is the very same bytes."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.redaction import KINDS, redact_bodies, redact_exchange, redact_text, redact_together
from detent.redaction.scan import MOST_SOUGHT
from detent.terms import Answer, Endpoint, RecordedExchange, ToolCall
from test_redaction_lists import DECOYS, TAKEN

MAIL, OTHER, KEY = "ada@example.com", "bob@example.org", "sk-proj-9fK2mQx7Lw4Zt8Rv1Yb6Nc3Hd5Jg0Ps"


def chat(*contents: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content} for content in contents]} | more).encode()


def redacted(request: bytes, answer: Answer = Answer(), policy: Any = "all") -> tuple[Any, Answer, dict[str, int]]:  # noqa: B008
    body, said, counts = redact_bodies(request, answer, policy)
    return json.loads(body), said, counts


def contents(request: bytes, answer: Answer = Answer()) -> list[Any]:  # noqa: B008
    return [message["content"] for message in redacted(request, answer)[0]["messages"]]


# ── placeholders ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_value_is_the_same_placeholder_throughout_request_and_answer() -> None:
    request = chat(f"{OTHER} and {MAIL}", f"not {OTHER}, ADA@EXAMPLE.COM")
    body, said, counts = redacted(
        request, Answer(text=f"{MAIL} it is, not new@example.net", tool_calls=(ToolCall("1", "f", f'{{"to":"{OTHER}"}}'),))
    )
    assert [message["content"] for message in body["messages"]] == ["[EMAIL_1] and [EMAIL_2]", "not [EMAIL_1], [EMAIL_2]"]
    assert said.text == "[EMAIL_2] it is, not [EMAIL_3]"
    assert said.tool_calls == (ToolCall("1", "f", '{"to":"[EMAIL_1]"}'),)
    assert counts == {"EMAIL": 7}


def test_several_answers_to_one_request_share_its_placeholders() -> None:
    """A copy of the request that names another model, and two answers to it: what differs between them is never the redaction."""
    asked, copy = chat(f"{OTHER} or {MAIL}?"), chat(f"{OTHER} or {MAIL}?", model="n")
    answers = [Answer(text=f"{MAIL}, or new@example.net"), Answer(text=f"new@example.net, not {OTHER}")]
    requests, said = redact_together([asked, copy], answers, "all")
    assert [json.loads(request)["messages"][0]["content"] for request in requests] == ["[EMAIL_1] or [EMAIL_2]?"] * 2
    assert [json.loads(request)["model"] for request in requests] == ["m", "n"]
    assert [answer.text for answer in said] == ["[EMAIL_2], or [EMAIL_3]", "[EMAIL_3], not [EMAIL_1]"]
    assert redact_together([asked], answers, "none") == ((asked,), tuple(answers))


def test_a_password_that_one_answer_names_is_taken_out_of_the_other() -> None:
    (request,), said = redact_together(
        [chat("What is it?")], [Answer(text="password=Xk9#mP2$vL"), Answer(text="It reads Xk9#mP2$vL there")], "all"
    )
    assert [answer.text for answer in said] == ["password=[PASSWORD_1]", "It reads [PASSWORD_1] there"]
    assert request == chat("What is it?")


def test_a_number_is_the_same_however_it_is_written() -> None:
    assert contents(chat("+49 30 901820, +4930901820, 0049 30 901820")) == ["[PHONE_1], [PHONE_1], [PHONE_1]"]
    assert contents(chat("4111111111111111 = 4111 1111 1111 1111")) == ["[CARD_1] = [CARD_1]"]


def test_a_password_is_known_again_where_nothing_says_what_it_is() -> None:
    """The answer says it bare, and so did an earlier message."""
    request = chat("is hunter22 safe?", "password: hunter22", "mine is hunter22x")
    body, said, counts = redacted(request, Answer(text="hunter22 is weak", error='{"tried": "hunter22"}'))
    assert [message["content"] for message in body["messages"]] == ["is [PASSWORD_1] safe?", "password: [PASSWORD_1]", "mine is hunter22x"]
    assert (said.text, said.error) == ("[PASSWORD_1] is weak", '{"tried": "[PASSWORD_1]"}')
    assert counts == {"PASSWORD": 4}


def test_a_password_that_is_a_word_is_not_taken_out_of_the_language() -> None:
    assert contents(chat('{"password": "orange"}', "an orange orange")) == ['{"password": "[PASSWORD_1]"}', "an orange orange"]


def test_what_is_redacted_already_stays_and_keeps_its_numbers() -> None:
    request = chat(f"[EMAIL_4] asked {MAIL}", "password: [PASSWORD_2]", user="[USER_1]")
    body, _, counts = redacted(request)
    assert [message["content"] for message in body["messages"]] == ["[EMAIL_4] asked [EMAIL_5]", "password: [PASSWORD_2]"]
    assert (body["user"], counts) == ("[USER_1]", {"EMAIL": 1})


def test_redacting_twice_is_redacting_once() -> None:
    request = chat(*(text for _, text, _ in TAKEN), {"password": "swordfish"}, user="u-123456")
    answer = Answer(text=" ".join(text for _, text, _ in TAKEN[::-1]), tool_calls=(ToolCall("1", "f", '{"api_key": "a1b2c3d4e5f6"}'),))
    once = redact_bodies(request, answer, "all")
    twice = redact_bodies(once[0], once[1], "all")
    assert (twice[0], twice[1], twice[2]) == (once[0], once[1], {})


# ── structure ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_very_same_bytes_come_back_where_nothing_is_taken_out() -> None:
    request = b'{ "b" : 1.50,\t"a":[1e5, 12345678901234567890123, null],"t":"caf\\u00e9 \\ud83d \\/","t":"again" }\r\n'
    answer = Answer(text="Nothing.", tool_calls=(ToolCall("call_1", "f", '{"n": 1.0}'),))
    body, said, counts = redact_bodies(request, answer, "all")
    assert body is request
    assert said is answer
    assert counts == {}


def test_only_what_stands_between_the_quotes_changes() -> None:
    request = b'{ "b" : 1.50,\t"to":"x \\u00e9 ada@example.com", "a":[1e5, 12345678901234567890123],"k ada@example.com":"\\ud83d" }\n'
    body, _, counts = redact_bodies(request, Answer(), "all")
    assert body == request.replace(b"x \\u00e9 ada@example.com", b"x \\u00e9 [EMAIL_1]")
    assert counts == {"EMAIL": 1}, "names of members are left alone"


def test_json_in_json_is_gone_through_by_its_names() -> None:
    inner = json.dumps(
        {"config": {"db_password": "correct horse", "port": 5432, "list": [1.50, {"apiKey": "a1b2c3d4e5"}, "x"]}, "note": "Zoë"}
    )
    outer = json.dumps({"result": inner})
    body, _, counts = redacted(chat(outer))
    shown = json.loads(json.loads(body["messages"][0]["content"])["result"])
    assert shown == {"config": {"db_password": "[PASSWORD_1]", "port": 5432, "list": [1.50, {"apiKey": "[SECRET_1]"}, "x"]}, "note": "Zoë"}
    assert counts == {"PASSWORD": 1, "SECRET": 1}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "swordfish"}, {"password": "[PASSWORD_1]"}),
        ({"passwords": ["swordfish", "orange"]}, {"passwords": ["[PASSWORD_1]", "[PASSWORD_2]"]}),
        ({"userPassword": 12345678}, {"userPassword": "[PASSWORD_1]"}),
        ({"name": "DB_PASSWORD", "value": "swordfish"}, {"name": "DB_PASSWORD", "value": "[PASSWORD_1]"}),
        ({"X-Api-Key": "a1b2c3d4e5"}, {"X-Api-Key": "[SECRET_1]"}),
        ({"Authorization": "Bearer abcdefgh12345678"}, {"Authorization": "Bearer [BEARER_1]"}),
        ({"phone": "4155552671"}, {"phone": "[PHONE_1]"}),
        ({"phone": 4155552671}, {"phone": 4155552671}),
        ({"card": 4111111111111111}, {"card": 4111111111111111}),
        ({"password": None, "token": True, "secret": 5}, {"password": None, "token": True, "secret": 5}),
        ({"password": {"type": "string", "description": "the user's password"}},) * 2,
        ({"required": ["password", "token"]},) * 2,
        ({"password": "string", "token": "the", "next_page_token": "CAUQAA1b2c3d4e5f6"},) * 2,
        ({"pass": 12, "fail": 3},) * 2,
        ({"api_key": "YOUR_API_KEY", "secret": "${SECRET}"},) * 2,
        ({"token_list": ["a1b2c3d4e5f6"], "after": "a1b2c3d4e5f6"},) * 2,
    ],
)
def test_a_name_says_that_its_value_is_secret_and_numbers_stay_numbers(value: Any, shown: Any) -> None:
    assert redacted(chat("x", metadata=value))[0]["metadata"] == shown


def test_what_names_the_user_of_a_request_is_taken_out_there_and_nowhere_else() -> None:
    named = {
        "user": "u-123456",
        "safety_identifier": "ada",
        "prompt_cache_key": "team-7",
        "metadata": {"user_id": "u-123456", "run": "u-1"},
    }
    body, said, counts = redacted(chat("I am u-123456", **named), Answer(text="Hello u-123456"))
    assert (body["user"], body["safety_identifier"], body["prompt_cache_key"]) == ("[USER_1]", "[USER_2]", "[USER_3]")
    assert body["metadata"] == {"user_id": "[USER_1]", "run": "u-1"}
    assert (body["messages"][0]["content"], said.text, counts["USER"]) == ("I am [USER_1]", "Hello [USER_1]", 6)
    assert redacted(chat("x", user=MAIL))[0]["user"] == "[EMAIL_1]"
    tool = {"properties": {"user": {"default": "u-1"}}, "user": "u-1"}
    assert redacted(chat("x", tools=[tool]))[0]["tools"] == [tool]


def test_tools_and_instructions_are_gone_through() -> None:
    body = redacted(chat("x", system=f"you serve {MAIL}", tools=[{"name": "f", "description": f"uses {KEY}"}]))[0]
    assert (body["system"], body["tools"][0]["description"]) == ("you serve [EMAIL_1]", "uses [API_KEY_1]")


def test_images_are_left_alone() -> None:
    pixels = base64.b64encode(b"AKIAQ3EGRT7XWZ2M5L4K" * 60).decode()
    url = f"data:image/png;base64,{pixels}"
    image = [{"type": "image_url", "image_url": {"url": url}}, {"type": "image", "source": {"type": "base64", "data": pixels[:64]}}]
    request = chat(image)
    assert redact_bodies(request, Answer(), "all")[0] is request
    assert contents(chat(f"![a]({url}) by {MAIL}")) == [f"![a]({url}) by [EMAIL_1]"]


@pytest.mark.parametrize(
    ("policy", "text"), [("all", "[API_KEY_1] of [EMAIL_1]"), ("secrets", f"[API_KEY_1] of {MAIL}"), ("none", f"{KEY} of {MAIL}")]
)
def test_the_policy_says_what(policy: Any, text: str) -> None:
    assert redact_text(f"{KEY} of {MAIL}", policy) == text
    body, said, _ = redacted(chat(f"{KEY} of {MAIL}", user="u-123456"), Answer(text=f"{KEY} of {MAIL}"), policy)
    assert (body["messages"][0]["content"], said.text) == (text, text)
    assert (body["user"] == "u-123456") is (policy != "all")


def test_a_recorded_exchange_is_gone_through_with_its_label_and_says_what_went() -> None:
    exchange = RecordedExchange(
        id="ex_1",
        endpoint=Endpoint.OPENAI_CHAT,
        request=chat(MAIL),
        answer=Answer(text=MAIL),
        reference=f"{MAIL}!",
        task="refund",
        session="s-1",
        redacted={"EMAIL": 1},
    )
    shown = redact_exchange(exchange, "all")
    assert json.loads(shown.request)["messages"][0]["content"] == shown.answer.text == "[EMAIL_1]"
    assert (shown.reference, shown.task, shown.session, shown.redacted) == ("[EMAIL_1]!", "refund", "s-1", {"EMAIL": 4})
    assert redact_exchange(exchange, "none") is exchange
    assert redact_exchange(replace(exchange, session=MAIL), "all").session is None
    assert redact_exchange(replace(exchange, reference=None), "all").reference is None


# ── hostile bodies ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "request_body",
    [
        b"",
        b"no json " + MAIL.encode(),
        b'{"a": "' + MAIL.encode(),
        b"\xff\xfe " + MAIL.encode(),
        b"[" * 200_000 + MAIL.encode(),
        b'{"a":' * 50_000 + b'"' + MAIL.encode() + b'"' + b"}" * 50_000,
        b'{"a": "\\ud83d ' + MAIL.encode() + b'"}',
        json.dumps({"a": json.dumps([json.dumps([json.dumps([json.dumps([json.dumps([MAIL])])])])])}).encode(),
        json.dumps({"a": "\u0130" * 50 + MAIL}).encode(),
        json.dumps({"a": "\u202e\x1b[31m" + MAIL}, ensure_ascii=False).encode(),
    ],
    ids=range(10),
)
def test_whatever_a_body_is_nothing_raises_and_nothing_is_missed(request_body: bytes) -> None:
    body, _, counts = redact_bodies(request_body, Answer(), "all")
    assert MAIL.encode() not in body
    assert counts.get("EMAIL", 0) == (1 if request_body else 0)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from([MAIL, KEY, "+49 30 901820", "password: h4nter2"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["password", "token", "user", "name", "value"]), inner),
    max_leaves=12,
)


@settings(deadline=None, derandomize=True)
@given(_JSON, st.text())
def test_json_stays_json_with_the_same_names_and_numbers(value: Any, text: str) -> None:
    request = json.dumps({"model": "m", "x": value, "y": json.dumps({"z": value})}).encode()
    body, said, _ = redact_bodies(request, Answer(text=text), "all")
    assert _shape(json.loads(body)) == _shape(json.loads(request))
    again, said_again, _ = redact_bodies(body, said, "all")
    assert (again, said_again) == (body, said)


def _shape(value: Any) -> Any:
    """Names, nesting and numbers; any string is like any other, and so is the number that a password's name makes one."""
    if isinstance(value, dict):
        return {
            name: "a string" if name == "password" and not isinstance(inner, dict | list) else _shape(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return "a string" if isinstance(value, str) else value


# ── linear time ─────────────────────────────────────────────────────────────────────────────────────────────────────

ADVERSARIES: dict[str, str] = {
    "letters": "a",
    "digits": "4",
    "digits and spaces": "4 ",
    "digits and hyphens": "12-",
    "groups of four": "4111 ",
    "at signs": "a@",
    "dots": "a.",
    "mail that never ends": "a@b.c",
    "labels that never end": "@" + "a-" * 30 + ".",
    "addresses": "1.1.1.1.",
    "long addresses": "2a00:",
    "brackets": "(0",
    "open brackets": "(",
    "keys": "sk-",
    "short keys": "sk-abc ",
    "tokens of GitHub": "ghp_",
    "tokens of Slack": "xoxb-",
    "token heads": "eyJ",
    "token heads and dots": "eyJaaaaaaaa.",
    "key files": "-----BEGIN PRIVATE KEY-----",
    "key files with headers": "-----BEGIN PRIVATE KEY-----\nProc-Type: 4\n",
    "one key file that never ends": "A b\n",
    "passwords": "password=",
    "passwords in quotes": 'password="',
    "api keys": "api key: ",
    "flags": "--password ",
    "users": "a://b:",
    "bearers": "Authorization: Bearer ",
    "telephones": "phone number ",
    "calls": "call me at 1",
    "calling codes": "+1 ",
    "accounts": "DE89 ",
    "accounts without spaces": "DE8937040044",
    "data": "data:a/b;base64,",
    "access keys": "AKIAQ3EGRT7XWZ2M5L4K ",
    "placeholders": "[EMAIL_1]",
    "passwords that differ": "password=aaaa%d ",
    "letters that nobody sees": "a\u200b",
    "full-width groups of four": "\uff14\uff11\uff11\uff11 ",
    "mails in words": "ada [at] a [dot] ",
    "ats in brackets": "[at]",
    "passwords with ampersands": "password=a&1",
    "backslashes": "\\",
    "quotes": '"',
    "open lists": "[",
    "strings": '"",',
    "spaces": " ",
    "percent": "%40",
}  # fmt: skip

_OPENS = "-----BEGIN PRIVATE KEY-----\n AKIA sk- :// @ password token key bearer 12-34-56-7 "


def hurting(unit: str, size: int) -> str:
    """A text of one piece over and over, behind a line that brings every row of the table to work."""
    count = size // len(unit) + 1
    text = "".join(unit % n for n in range(count)) if "%d" in unit else unit * count
    return (_OPENS + text)[:size]


def cpu_seconds(text: str) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        redact_text(text, "all")
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("name", ADVERSARIES)
def test_four_times_the_text_takes_four_times_as_long(name: str) -> None:
    """Quadratic work would take sixteen times as long; a text that is over in a moment is no proof of either."""
    short, long = (cpu_seconds(hurting(ADVERSARIES[name], size)) for size in (50_000, 200_000))
    assert long < max(8 * short, 0.02)


def test_a_thousand_passwords_are_each_taken_out_where_they_are_named() -> None:
    text = "\n".join(f"password: s3cret-{n}x" for n in range(20 * MOST_SOUGHT))
    body, said, counts = redacted(chat(text), Answer(text="s3cret-1x is one"))
    assert counts["PASSWORD"] == 20 * MOST_SOUGHT + 1
    assert "s3cret" not in body["messages"][0]["content"] + said.text


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_tells_what_it_does() -> None:
    assert {kind.of for kind in KINDS} == {"secret", "personal"}
    assert all(kind.says and kind.name.isupper() for kind in KINDS)
    assert all(kind.pattern is not None or kind.name == "USER" for kind in KINDS)


def test_every_decoy_stays_within_a_request_too() -> None:
    request = chat(*DECOYS)
    assert redact_bodies(request, Answer(text=" | ".join(DECOYS[:40])), "all")[0] is request
