"""What routing reads of a request: endpoint, dialect, model, identity, and digests that hold still."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detent.errors import InvalidInput
from detent.terms import Dialect, Endpoint, Head
from detent.wire import Headers, dialect, endpoint, prompt_key, read_head
from detent.wire.identity import SESSION_PLACES, USER_PLACES

CHAT, MESSAGES = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES


def head(body: dict[str, Any] | None = None, headers: dict[str, str] | None = None, at: Endpoint = CHAT) -> Head:
    sent: Headers = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return read_head(at, sent, json.dumps({"model": "summarizer", "messages": []} | (body or {})).encode())


# ── endpoint and dialect ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/chat/completions", CHAT),
        ("POST", "/chat/completions", CHAT),
        ("POST", "/v1/messages", MESSAGES),
        ("POST", "/v1/messages/count_tokens", None),
        ("POST", "/v1/responses", None),
        ("POST", "/messages", None),
        ("GET", "/v1/chat/completions", None),
        ("POST", "/v1/chat/completions/", None),
        ("POST", "/v1/embeddings", None),
    ],
)
def test_the_endpoints_that_are_read(method: str, path: str, expected: Endpoint | None) -> None:
    assert endpoint(method, path) is expected


@pytest.mark.parametrize(
    ("headers", "path", "expected"),
    [
        # wire facts, section 0.3: GET /v1/models is three APIs on one path
        ({"x-goog-api-key": "k", "anthropic-version": "x"}, "/v1/models", Dialect.GEMINI),
        ({"authorization": "Bearer k", "anthropic-version": "2026-10-21"}, "/v1/models", Dialect.ANTHROPIC),
        ({"authorization": "Bearer k"}, "/v1/models", Dialect.OPENAI),
        ({"x-api-key": "k"}, "/v1/models", Dialect.OPENAI),
        ({}, "/v1/messages/count_tokens", Dialect.ANTHROPIC),
        ({"authorization": "Bearer oauth"}, "/v1/models/gemini-3:streamGenerateContent", Dialect.GEMINI),
        ({}, "/v1beta/models", Dialect.GEMINI),
        ({}, "/v1/chat/completions", Dialect.OPENAI),
    ],
)
def test_whose_api_a_request_speaks(headers: dict[str, str], path: str, expected: Dialect) -> None:
    assert dialect([(name.encode(), value.encode()) for name, value in headers.items()], path) is expected


# ── the head ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_plain_request() -> None:
    read = head({"messages": [{"role": "user", "content": "Hi"}]})
    assert (read.endpoint, read.model, read.stream, read.asks_usage, read.attempt) == (CHAT, "summarizer", False, False, 0)
    assert (read.session, read.session_source, read.user, read.user_source, read.route) == (None, None, None, None, None)
    assert (read.no_record, read.no_shadow) == (False, False)


def test_streams_attempts_routes_and_wishes() -> None:
    sent = {"x-stainless-retry-count": "2", "x-detent-route": "summarizer", "x-detent-no-record": "1", "x-detent-no-shadow": "true"}
    read = head({"model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}}, sent)
    assert (read.model, read.route, read.stream, read.asks_usage, read.attempt) == ("gpt-4o", "summarizer", True, True, 2)
    assert (read.no_record, read.no_shadow) == (True, True)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("sent", "trace"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        (TRACE, None),
    ],
)
def test_a_request_tells_which_trace_it_is_part_of(sent: str, trace: str | None) -> None:
    assert head(headers={"traceparent": sent}).trace == trace
    assert head().trace is None


@pytest.mark.parametrize("count", ["NOT_GIVEN", "", "-1", "1.5", "99999999999", "²"])
def test_a_retry_count_that_is_none_is_zero(count: str) -> None:
    assert head(headers={"x-stainless-retry-count": count}).attempt == 0


@pytest.mark.parametrize("said", ["0", "false", ""])
def test_a_wish_spelled_as_no_is_none(said: str) -> None:
    assert head(headers={"x-detent-no-record": said}).no_record is False


@pytest.mark.parametrize("stream", [1, "true", None, {}])
def test_only_true_streams(stream: object) -> None:
    assert head({"stream": stream, "stream_options": {"include_usage": stream}}) == head()


@pytest.mark.parametrize("model", [None, 7, {"id": "m"}, ["m"], "", "a\nb", "nul\x00", "del\x7f", "c1\x85", "m" * 257])
def test_a_model_that_is_no_sane_string_is_refused(model: object) -> None:
    with pytest.raises(InvalidInput, match="model"):
        head({"model": model})


@pytest.mark.parametrize("model", ["m" * 256, "gpt-4o@summarizer", "modèle", "a b/c:d"])
def test_other_names_are_taken_as_they_are(model: str) -> None:
    assert head({"model": model}).model == model


def test_a_route_header_with_control_characters_is_refused() -> None:
    with pytest.raises(InvalidInput, match="x-detent-route"):
        head(headers={"x-detent-route": "a\x01b"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"model"',
        b'{"messages":[]}',
        b'{"model":"a","model":"b","messages":[]}',
        b'{"model":"a","model":"a","messages":[]}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"model":"a","messages":[],"messages":[{"role":"user","content":"x"}]}',
        b'{"n":1,"n":11,"model":"a"}',
        b'{"n":11,"n":1,"model":"a"}',
        b'{"model":"a","stream":true,"stream_options":{"a":1,"a":2}}',
        b'{"model":"a"',
        b'{"model":"a"}x',
        b'{"model":"a\x00"}',
        b'{"model":"\xff"}',
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"model":"a","x":NaN}',
        b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"a","metadata":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        b'{"model":"a",' + b",".join(b'"k%d":1' % number for number in range(1000)) + b"}",
    ],
)
def test_bodies_that_are_no_sane_object_are_invalid_input(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_head(CHAT, [], body)


def test_ten_megabytes_are_read() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "é\n" * 1_500_000}]}).encode()
    assert len(body) > 10_000_000
    assert read_head(CHAT, [], body).model == "m"


def test_a_lone_surrogate_in_a_message_is_read() -> None:
    assert read_head(CHAT, [], b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}]}').opening != ""


# ── identity ────────────────────────────────────────────────────────────────────────────────────────────────────────

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"  # the example of the W3C Trace Context recommendation

# The order of the tables, from the wire facts (section 5), written out: each row overrules all rows below it.
SESSION_ORDER: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("x-detent-session-id", {"x-detent-session-id": "S"}, {}),
    ("baggage:session.id", {"baggage": "a=b, session.id=S;p=1"}, {}),
    ("baggage:gen_ai.conversation.id", {"baggage": "gen_ai.conversation.id=S"}, {}),
    ("helicone-session-id", {"helicone-session-id": "S"}, {}),
    ("x-litellm-session-id", {"x-litellm-session-id": "S"}, {}),
    ("x-claude-code-session-id", {"x-claude-code-session-id": "S"}, {}),
    ("agent-session-id", {"agent-session-id": "S"}, {}),
    ("session-id", {"session-id": "S"}, {}),
    ("x-litellm-trace-id", {"x-litellm-trace-id": "S"}, {}),
    ("x-portkey-trace-id", {"x-portkey-trace-id": "S"}, {}),
    ("metadata.session_id", {}, {"metadata": {"session_id": "S"}}),
    ("metadata.user_id", {}, {"metadata": {"user_id": '{"device_id":"D","session_id":"S"}'}}),
    ("traceparent", {"traceparent": TRACE}, {}),
]
USER_ORDER: list[tuple[str, dict[str, str], dict[str, Any]]] = [
    ("x-detent-user-id", {"x-detent-user-id": "U"}, {}),
    ("baggage:user.id", {"baggage": "user.id=U"}, {}),
    ("baggage:enduser.id", {"baggage": "enduser.id=U"}, {}),
    ("safety_identifier", {}, {"safety_identifier": "U"}),
    ("metadata.user_id", {}, {"metadata": {"user_id": "U"}}),
    ("user", {}, {"user": "U"}),
    ("helicone-user-id", {"helicone-user-id": "U"}, {}),
    ("x-portkey-metadata:_user", {"x-portkey-metadata": '{"_user":"U"}'}, {}),
    ("x-litellm-end-user-id", {"x-litellm-end-user-id": "U"}, {}),
    ("x-litellm-customer-id", {"x-litellm-customer-id": "U"}, {}),
]


def merged(rows: list[tuple[str, dict[str, str], dict[str, Any]]], first: str) -> tuple[dict[str, str], dict[str, Any]]:
    """One request with all of these clues; those of the first row say `first`, the others what they say anyway."""
    headers: dict[str, str] = {}
    body: dict[str, Any] = {"metadata": {}}
    for number, (_, row_headers, row_body) in enumerate(rows):
        for name, value in row_headers.items():
            said = value.replace("S", first).replace("U", first) if number == 0 else value
            headers[name] = f"{headers[name]},{said}" if name in headers else said
        for name, value in row_body.items():
            if isinstance(value, dict):
                body["metadata"] |= {key: text.replace('"S"', f'"{first}"') if number == 0 else text for key, text in value.items()}
            else:
                body[name] = first if number == 0 else value
    return headers, body


def test_the_tables_are_in_the_documented_order() -> None:
    assert [place.name for place in SESSION_PLACES] == [source for source, _, _ in SESSION_ORDER]
    assert [place.name for place in USER_PLACES] == [source for source, _, _ in USER_ORDER]


@pytest.mark.parametrize("at", range(len(SESSION_ORDER)))
def test_each_place_of_a_session_overrules_those_below(at: int) -> None:
    headers, body = merged(SESSION_ORDER[at:], "First")
    read = head(body, headers)
    assert read.session_source == SESSION_ORDER[at][0]
    assert read.session in ("First", "S", "4bf92f3577b34da6a3ce929d0e0e4736")
    if SESSION_ORDER[at][0] not in ("metadata.session_id", "traceparent"):
        assert read.session == "First"


@pytest.mark.parametrize("at", range(len(USER_ORDER)))
def test_each_place_of_a_user_overrules_those_below(at: int) -> None:
    headers, body = merged(USER_ORDER[at:], "First")
    assert head(body, headers).user_source == USER_ORDER[at][0]


@pytest.mark.parametrize("value", ["", " ", "é", "tab\there", "x" * 257, "nul\x00"])
def test_a_value_that_is_not_short_printable_ascii_is_passed_over(value: str) -> None:
    read = head({"user": "u", "metadata": {"session_id": value}}, {"x-detent-user-id": value, "traceparent": TRACE})
    assert (read.session_source, read.user_source) == ("traceparent", "user")


@pytest.mark.parametrize("metadata", [None, 7, "x", [], {"session_id": 7}, {"session_id": {"a": 1}}, {"user_id": "{not json"}])
def test_odd_metadata_names_nobody(metadata: object) -> None:
    assert head({"metadata": metadata}).session is None


def test_baggage_comes_in_parts_and_percent_encoded() -> None:
    sent: Headers = [(b"baggage", b"x=1"), (b"baggage", b"session.id=a%20b%2Cc ; meta , user.id=u%3D1")]
    read = read_head(CHAT, sent, b'{"model":"m"}')
    assert (read.session, read.user) == ("a b,c", "u=1")


@pytest.mark.parametrize("traceparent", ["", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-xyz-00f067aa0ba902b7-01", TRACE.upper()])
def test_a_trace_that_names_nothing_is_no_session(traceparent: str) -> None:
    assert head(headers={"traceparent": traceparent}).session is None


def test_claude_codes_user_id_is_split_into_user_and_session() -> None:
    now = head({"metadata": {"user_id": '{"device_id":"d1","account_uuid":"a1","session_id":"s1"}'}}, at=MESSAGES)
    assert (now.session, now.user) == ("s1", "a1")
    before = head({"metadata": {"user_id": "user_abc_account_123_session_9d-1"}}, at=MESSAGES)
    assert (before.session, before.user) == ("9d-1", "user_abc_account_123")
    plain = head({"metadata": {"user_id": "u-17"}}, at=MESSAGES)
    assert (plain.session, plain.user) == (None, "u-17")
    only_session = head({"metadata": {"user_id": '{"session_id":"s1"}'}}, at=MESSAGES)
    assert (only_session.session, only_session.user) == ("s1", None)


def test_a_prompt_cache_key_is_never_identity() -> None:
    read = head({"prompt_cache_key": "shared"}, {"x-forwarded-for": "203.0.113.7"})
    assert (read.session, read.user) == (None, None)


@pytest.mark.parametrize("name", ["tenant", "region"])
def test_what_an_app_says_of_itself_is_a_sane_word_or_nothing(name: str) -> None:
    for said in ("acme", "eu-west-1", "a.B_9", "x" * 64):
        assert getattr(head(headers={f"x-detent-{name}": said}), name) == said
    for said in ("", "x" * 65, "two words", "ada@example.com", "a=b", "a,b", "naïve", "a\tb"):
        assert getattr(head(headers={f"x-detent-{name}": said}), name) is None, said
    assert getattr(head(), name) is None


# ── digests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SYSTEM = {"role": "system", "content": "Be brief."}


def opening(messages: list[dict[str, Any]], at: Endpoint = CHAT, **rest: object) -> str:
    return head({"messages": messages} | rest, at=at).opening


def test_the_opening_holds_through_a_conversation() -> None:
    first = {"role": "user", "content": "Hi"}
    later = [SYSTEM, first, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "And?"}]
    assert opening([SYSTEM, first]) == opening(later) != ""
    assert opening([SYSTEM, {"role": "user", "content": "Ho"}]) != opening([SYSTEM, first])
    assert opening([{"role": "system", "content": "Be long."}, first]) != opening([SYSTEM, first])


def test_the_opening_holds_when_a_client_moves_its_cache_mark() -> None:
    plain = [{"role": "user", "content": "Hi"}]
    marked = [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]}]
    assert opening(marked, MESSAGES, system="Be brief.") == opening(plain, MESSAGES, system=[{"type": "text", "text": "Be brief."}])


def test_the_cache_mark_of_an_image_does_not_count_in_the_opening() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "x"}}
    assert opening([{"role": "user", "content": [image]}]) == opening([{"role": "user", "content": [image | {"cache_control": {}}]}])


def test_an_image_counts_in_the_opening() -> None:
    one, two = ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}] for url in ("data:1", "data:2"))
    assert opening(one) != opening(two)


@pytest.mark.parametrize("at", [CHAT, MESSAGES])
def test_a_conversation_continues_once_it_was_answered(at: Endpoint) -> None:
    asked, said = {"role": "user", "content": "Hi \ud83d"}, {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}
    answered: list[list[Any]] = [
        [asked, said, asked],
        [SYSTEM, asked, asked, said, {"role": "tool", "content": "7", "tool_call_id": "c"}],
    ]
    for messages in answered:
        assert head({"messages": messages}, at=at).continues
    unanswered: list[list[Any]] = [[], [asked], [SYSTEM, asked, asked], [asked, {"role": "assistant", "content": "{"}]]
    for messages in unanswered:
        assert not head({"messages": messages}, at=at).continues, "the last one begins the answer that is asked for"
    odd: list[Any] = [None, 7, "x", [7, None], [{"role": ["assistant"]}, asked], {"role": "assistant"}]
    assert not any(head({"messages": messages}, at=at).continues for messages in odd)


@pytest.mark.parametrize(
    "messages", [[], [SYSTEM], [SYSTEM, {"role": "user", "content": ""}], [SYSTEM, {"role": "assistant", "content": "x"}], [7, None]]
)
def test_without_a_first_user_message_there_is_no_opening(messages: list[Any]) -> None:
    """A system prompt alone is the same for a whole app: as a unit it would put everybody on one arm."""
    assert opening(messages) == ""


@pytest.mark.parametrize("messages", [None, {}, "x", 7])
def test_messages_that_are_no_list_have_no_opening(messages: object) -> None:
    assert head({"messages": messages}).opening == ""


def test_the_template_follows_the_apps_code_and_not_the_request() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"a": 1, "b": 2}}}]
    base = head({"messages": [SYSTEM, {"role": "user", "content": "a"}], "tools": tools, "temperature": 0.2}).template
    same = head(
        {
            "temperature": 0.2,
            "tools": tools,
            "messages": [SYSTEM, {"role": "user", "content": "b"}],
            "seed": 7,
            "user": "u",
            "stream": True,
            "metadata": {"session_id": "s"},
        }
    )
    assert same.template == base
    reordered = [{"function": {"parameters": {"b": 2, "a": 1}, "name": "f"}, "type": "function"}]
    assert head({"messages": [SYSTEM], "tools": reordered, "temperature": 0.2}).template == base
    changes: list[dict[str, Any]] = [
        {"temperature": 0.3},
        {"tools": []},
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "system", "content": "!"}]},
    ]
    for change in changes:
        assert head({"messages": [SYSTEM], "tools": tools, "temperature": 0.2} | change).template != base


def test_the_prompt_key_names_what_was_asked() -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"caf\\u00e9"}],"temperature":1}'
    same = b'{"messages" : [ {"content":"caf\xc3\xa9", "role":"user"} ], "model":"b"}'
    assert prompt_key(CHAT, body) == prompt_key(CHAT, same)
    assert prompt_key(CHAT, body) != prompt_key(MESSAGES, body)
    for member in (
        b'"messages":[{"role":"user","content":"other"}]',
        b'"messages":[{"role":"user","content":"caf\xc3\xa9"}],"tools":[{"name":"f"}]',
    ):
        assert prompt_key(CHAT, b'{"model":"a",' + member + b"}") != prompt_key(CHAT, body)
    with pytest.raises(InvalidInput):
        prompt_key(CHAT, b"[]")
