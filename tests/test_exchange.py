"""One exchange without a socket: which legs are sent, when stable steps in, what is mirrored, and what is written down."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest

from detent import exchange, legs, reading
from detent.exchange import Exchange, Unmanaged
from detent.rare import Taken
from detent.reading import Heard
from detent.terms import (
    Answer,
    Arm,
    Begun,
    FlagSet,
    Leg,
    Message,
    Outcome,
    Prompt,
    RecordPolicy,
    Result,
    Role,
    ToolCall,
    UnitKind,
    Usage,
    Version,
)
from detent.wire.effects import effect_of
from detent.wire.guard import Headers, Refusal
from serving import CANDIDATE, STABLE, flagset, with_rollout, with_server

URL = "http://provider.invalid"
CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}


def body_of(text: str = "Hi", **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text} | more}
    return json.dumps(
        {"object": "chat.completion", "model": STABLE, "choices": [choice], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}
    ).encode()


def heard(body: bytes | None = b"", **more: Any) -> Heard:
    seen: dict[str, Any] = {"at_us": 2_000_000, "latency_s": 0.5, "first_byte_s": 0.2, "status": 200, "content_type": "application/json"}
    return Heard(**seen | {"body": body} | more)


def planned(flags: FlagSet, asked: dict[str, Any] | None = None, headers: Headers = (), *, path: str = CHAT, id: str = "ex_1") -> Any:
    return exchange.plan("POST", path, headers, json.dumps(ASKED | (asked or {})).encode(), flags, id=id, gateway="gw-1")


def begun(flags: FlagSet, asked: dict[str, Any] | None = None, headers: Headers = (), *, id: str = "ex_1") -> Exchange:
    found = planned(flags, asked, headers, id=id)
    assert isinstance(found, Exchange)
    return found


def ended(ex: Exchange, body: bytes | None = b"", *, leg: Leg | None = None, **more: Any) -> Result:
    return exchange.result(ex, leg or legs.first_leg(ex, "le_1"), heard(body, **more))


# ── where a request goes ────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_flag_the_pin_is_served() -> None:
    ex = begun(flagset(URL))
    leg = legs.first_leg(ex, "le_1")
    assert leg == Leg(id="le_1", role=Role.SERVED, arm=Arm.STABLE, version=Version("openai", STABLE))
    assert json.loads(legs.body_for(ex, leg)) == ASKED | {"model": STABLE}
    written = exchange.intent(ex, leg, 1_000_000)
    assert (written.rollout, written.period, written.randomised, written.revision) == (None, 0, False, 7)


def test_the_header_names_the_route_before_the_model_does() -> None:
    ex = begun(flagset(URL), {"model": "gpt-5.2"}, [(b"x-detent-route", b"chat")])
    assert ex.route.name == "chat"
    assert exchange.intent(ex, legs.first_leg(ex, "le_1"), 0).requested == "gpt-5.2"
    lost = planned(flagset(URL), {"model": "chat"}, [(b"x-detent-route", b"nowhere")])
    assert isinstance(lost, Refusal)
    assert (lost.status, lost.code) == (404, "model_not_found")


def test_what_names_no_route_passes_to_the_first_provider_of_its_dialect() -> None:
    flags = flagset(URL, candidate_url=URL)
    for asked, headers, path, name in (
        ({"model": "gpt-5.2"}, (), CHAT, "openai"),
        ({}, (), "/v1/embeddings", "openai"),
        ({"model": "claude"}, (), "/v1/messages", "anthropic"),
        ({}, [(b"anthropic-version", b"2026-10-21")], "/v1/models", "anthropic"),
    ):
        found = planned(flags, asked, headers, path=path)
        assert isinstance(found, Unmanaged)
        assert found.provider.name == name
    assert isinstance(planned(flags, {}, [(b"x-goog-api-key", b"k")], path="/v1/models"), Refusal)
    closed = with_server(flags, unknown="refuse")
    for path in (CHAT, "/v1/embeddings"):
        refused = planned(closed, {"model": "gpt-5.2"}, path=path)
        assert isinstance(refused, Refusal)
        assert refused.status == 404


def test_a_rollout_puts_units_on_its_candidate_and_says_so() -> None:
    flags = with_rollout(flagset(URL), split=0.5)
    seen = {Arm.STABLE: 0, Arm.CANDIDATE: 0}
    for number in range(200):
        ex = begun(flags, headers=[(b"x-detent-session-id", b"s-%d" % number)])
        leg = legs.first_leg(ex, "le_1")
        written = exchange.intent(ex, leg, 0)
        assert written.arm is written.arm_served is leg.arm is ex.assignment.arm
        assert (written.rollout, written.period, written.randomised, written.unit_kind) == ("ro_1", 3, True, UnitKind.SESSION)
        assert written.model == (CANDIDATE if leg.arm is Arm.CANDIDATE else STABLE)
        seen[leg.arm] += 1
    # Binomial(200, 1/2): outside 60..140 once in 1e8.
    assert all(60 < count < 140 for count in seen.values())


def test_a_candidate_that_cannot_be_sent_is_no_candidate() -> None:
    ex = begun(with_rollout(flagset(URL), split=0.5, shadow=1.0, provider="gone"))
    assert (ex.assignment.arm, ex.assignment.randomised) == (Arm.STABLE, False)


def test_a_flag_for_a_provider_that_is_gone_gives_way_to_the_pin() -> None:
    flags = with_rollout(flagset(URL), split=1.0)
    lost = replace(flags.flags["chat"], stable=Version("gone", "x"))
    assert legs.first_leg(begun(replace(flags, flags={"chat": lost})), "le_1").version == Version("openai", STABLE)


def test_without_an_identity_key_nobody_is_written_down() -> None:
    ex = begun(replace(flagset(URL), identity_key=""), headers=[(b"x-detent-session-id", b"s-1"), (b"x-detent-user-id", b"ada")])
    written = exchange.intent(ex, legs.first_leg(ex, "le_1"), 0)
    assert (written.session, written.user, written.unit_kind) == (None, None, UnitKind.REQUEST)


def test_the_control_slice_is_written_down_and_has_a_cache_of_its_own() -> None:
    flags = with_rollout(flagset(URL), split=0.5, control=0.5)
    keys: dict[bool, set[Any]] = {True: set(), False: set()}
    for number in range(40):
        for own in (None, "the app's"):
            ex = begun(flags, {} if own is None else {"prompt_cache_key": own}, [(b"x-detent-session-id", b"s-%d" % number)])
            leg = legs.first_leg(ex, "le_1")
            control = leg.arm is Arm.STABLE  # at one half and one half, stable is all control
            assert exchange.intent(ex, leg, 0).control is control
            keys[control].add((own, json.loads(legs.body_for(ex, leg)).get("prompt_cache_key")))
    assert keys[False] == {(None, None), ("the app's", "the app's")}, "the candidate is another model, with a cache of its own anyway"
    assert len(keys[True]) == 2, "one namespace for each of the app's own"
    assert all(key not in {None, own} and "app" not in key for own, key in keys[True])
    other = replace(flags, flags={"chat": replace(flags.flags["chat"], salt="another rollout's")})
    caches = set()
    for number in range(40):
        ex = begun(other, headers=[(b"x-detent-session-id", b"s-%d" % number)])
        caches.add(json.loads(legs.body_for(ex, legs.first_leg(ex, "le_1"))).get("prompt_cache_key"))
    assert not (caches - {None}) & {key for _, key in keys[True]}


def test_the_policy_of_the_route_is_written_down_on_both_arms() -> None:
    for policy, falls_back in (("stable", True), ("fail", False)):
        flags = with_rollout(flagset(URL, on_candidate_failure=policy), split=0.5)
        seen = set()
        for number in range(20):
            ex = begun(flags, headers=[(b"x-detent-session-id", b"s-%d" % number)])
            written = exchange.intent(ex, legs.first_leg(ex, "le_1"), 0)
            seen.add((written.arm, written.falls_back))
        assert seen == {(arm, falls_back) for arm in Arm}


def test_the_first_byte_is_written_of_a_good_stream_alone() -> None:
    def first_byte(asked: dict[str, Any], status: int = 200, role: Role = Role.SERVED) -> Begun | None:
        ex = begun(flagset(URL), asked)
        leg = replace(legs.first_leg(ex, "le_1"), role=role)
        return exchange.begun(ex, leg, status=status, at_us=1_300_000, first_byte_s=0.3)

    streamed = {"stream": True}
    assert first_byte(streamed) == first_byte(streamed, role=Role.FALLBACK) == Begun(leg="le_1", at_us=1_300_000, first_byte_s=0.3)
    assert first_byte({}) is None, "it comes whole, and its result says when"
    assert first_byte(streamed, 500) is None
    assert first_byte(streamed, role=Role.MIRRORED) is None, "counts for no unit"


def test_what_an_app_says_of_tenant_and_region_is_written_down() -> None:
    ex = begun(flagset(URL), headers=[(b"x-detent-tenant", b"acme"), (b"x-detent-region", b"eu")])
    written = exchange.intent(ex, legs.first_leg(ex, "le_1"), 0)
    assert (written.tenant, written.region, written.control) == ("acme", "eu", False)


# ── legs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stable_steps_in_for_a_candidate_and_for_nothing_else() -> None:
    ex = begun(with_rollout(flagset(URL), split=1.0))
    first = legs.first_leg(ex, "le_1")
    failed = ended(ex, b'{"error": {"message": "busy"}}', status=503)
    fallback = legs.fallback_leg(ex, first, failed, "le_2")
    assert fallback == Leg(
        id="le_2", role=Role.FALLBACK, arm=Arm.STABLE, version=Version("openai", STABLE), why="candidate_failed:http_503"
    )
    assert legs.fallback_leg(ex, fallback, failed, "le_3") is None
    assert legs.fallback_leg(ex, first, ended(ex, broke=Outcome.CLIENT_ABORTED), "le_3") is None
    timed_out = legs.fallback_leg(ex, first, ended(ex, status=None, broke=Outcome.TIMED_OUT), "le_2")
    assert timed_out is not None
    assert timed_out.why == "candidate_failed:timed_out"
    stable = begun(flagset(URL))
    assert legs.fallback_leg(stable, legs.first_leg(stable, "le_1"), failed, "le_2") is None
    strict = begun(with_rollout(flagset(URL, on_candidate_failure="fail"), split=1.0))
    assert legs.fallback_leg(strict, legs.first_leg(strict, "le_1"), failed, "le_2") is None


# ── the shadow ──────────────────────────────────────────────────────────────────────────────────────────────────────


def may_mirror(ex: Exchange, body: bytes | None = None, **more: Any) -> bool:
    return legs.may_mirror(ex, legs.first_leg(ex, "le_1"), ended(ex, body_of() if body is None else body, **more))


def test_only_a_whole_stable_answer_is_mirrored() -> None:
    flags = with_rollout(flagset(URL), shadow=1.0)
    assert may_mirror(begun(flags))
    assert not may_mirror(begun(flags), b"no", status=500)
    assert not may_mirror(begun(flags), body_of()[:20], broke=Outcome.CLIENT_ABORTED)
    assert not may_mirror(begun(with_rollout(flagset(URL), shadow=1.0, split=1.0))), "the candidate has answered"
    assert not may_mirror(begun(with_rollout(flagset(URL))))
    assert not may_mirror(begun(with_rollout(flagset(URL), shadow=1.0, provider="gone"))), "a candidate that cannot be sent is none"
    fallback = Leg(id="le_2", role=Role.FALLBACK, arm=Arm.STABLE, version=Version("openai", STABLE))
    ex = begun(flags)
    assert not legs.may_mirror(ex, fallback, ended(ex, body_of(), leg=fallback))


def mirrored(ex: Exchange, taken: Taken = "drawn") -> tuple[Leg, Leg | None]:
    numbers = iter(range(2, 9))
    return legs.mirrored_legs(ex, taken, lambda prefix: f"{prefix}{next(numbers)}")


def test_the_candidate_is_asked_and_of_a_sample_stable_once_more() -> None:
    candidate, second = mirrored(begun(with_rollout(flagset(URL), shadow=1.0)))
    assert (candidate, second) == (Leg(id="le_2", role=Role.MIRRORED, arm=Arm.CANDIDATE, version=Version("openai", CANDIDATE)), None)
    flags = with_rollout(flagset(URL), shadow=1.0, second=0.25)
    seconds = [second for number in range(1000) if (second := mirrored(begun(flags, id=f"ex_{number}"))[1]) is not None]
    # Binomial(1000, 1/4): six standard errors are 82.
    assert abs(len(seconds) - 250) < 82
    assert set(seconds) == {Leg(id="le_3", role=Role.MIRRORED, arm=Arm.STABLE, version=Version("openai", STABLE))}


def test_mirrored_legs_are_written_down_as_no_units_exposure_and_in_the_trace_of_the_live_one() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = [(b"traceparent", f"00-{trace}-00f067aa0ba902b7-01".encode())]
    ex = begun(with_rollout(flagset(URL), shadow=1.0, second=1.0), headers=headers)
    candidate, second = mirrored(ex, "rare")
    assert second is not None
    live, new, again = (exchange.intent(ex, leg, 0) for leg in (legs.first_leg(ex, "le_1"), candidate, second))
    assert live.trace == new.trace == again.trace == trace
    assert (new.role, new.arm, new.arm_served, new.model, new.why) == (Role.MIRRORED, Arm.CANDIDATE, Arm.CANDIDATE, CANDIDATE, "rare")
    assert (again.role, again.arm, again.arm_served, again.model, again.why) == (Role.MIRRORED, Arm.STABLE, Arm.STABLE, STABLE, "")
    assert (live.randomised, new.randomised, again.randomised) == (False, False, False)
    assert live.exchange == new.exchange == again.exchange


def refused(asked: dict[str, Any] | None = None, headers: Headers = (), *, answered: bytes | None = b"{}", **route: Any) -> Any:
    ex = begun(with_rollout(flagset(URL, candidate_url=URL, **route), shadow=1.0, provider="openai-next"), asked, headers)
    return legs.not_mirrored(ex, heard(answered))


def test_what_may_not_be_mirrored_is_told_by_its_reason() -> None:
    assert refused() is None
    assert refused(headers=[(b"x-detent-no-shadow", b"1")]) == ("no_shadow", "")
    assert refused(headers=[(b"x-detent-no-record", b"1")]) == ("no_shadow", "")
    assert refused({"store": True}) == ("effects", "store")
    assert refused({"user": "x" * exchange.KEPT_BYTES}) == ("too_large", "request")
    assert refused(answered=None) == refused(answered=b"x" * (exchange.KEPT_BYTES + 1)) == ("too_large", "answer")


def test_a_candidate_at_a_provider_that_the_route_does_not_name_gets_nothing() -> None:
    assert refused(processors=("openai",)) == ("processor", "openai-next")
    assert refused(processors=("openai", "openai-next")) is None
    assert refused(processors=()) == ("processor", "openai-next")


@pytest.mark.parametrize(
    ("asked", "effect"),
    [
        ({}, ""),
        ({"store": False, "tools": []}, ""),
        ({"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]}, ""),
        ({"tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]}, ""),
        ({"store": True}, "store"),
        ({"web_search_options": {}}, "web_search"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search"),
        ({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, "web_fetch"),
        ({"tools": [{"name": "f", "input_schema": {}}, {"type": "code_execution_20260120", "name": "run"}]}, "code_execution"),
        ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, "mcp"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "files"),
        ({"tools": [{"type": "telephone_20271201 ada@example.com"}]}, "other_tool"),
        ({"tools": [{"type": "custom_thing"}]}, "other_tool"),
        ({"tools": [{"type": "function_of_theirs"}]}, "other_tool"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"tools": [{"googleSearch": {}}]}, "other_tool"),
        ({"tools": [{"name": "google_search"}]}, "other_tool"),
        ({"search_parameters": {"mode": "auto"}}, "web_search"),
        ({"enable_search": True}, "web_search"),
        ({"data_sources": [{"type": "azure_search"}]}, "data_sources"),
        ({"extra_body": {"google": {"tools": [{"googleSearch": {}}]}}}, "extra_body"),
        ({"system": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}, "files"),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "files"),
        ({"messages": [{"role": "user", "content": "hi", "attachments": [{"file_id": "f"}]}]}, "files"),
        ({"messages": [{"role": "user", "content": "hi", "file_ids": ["f"]}]}, "files"),
        ({"tools": "nonsense"}, "unreadable"),
        ({"tools": ["nonsense"]}, "unreadable"),
        ({"mcp_servers": [{"url": "https://x"}]}, "mcp"),
        ({"mcp_servers": []}, ""),
        ({"container": "c_1"}, "container"),
        ({"previous_response_id": "resp_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"background": True}, "background"),
    ],
)
def test_requests_that_act_on_the_providers_side_are_known(asked: dict[str, Any], effect: str) -> None:
    assert effect_of(json.dumps(ASKED | asked).encode()) == effect


@pytest.mark.parametrize(
    ("part", "effect"),
    [
        ({"type": "text", "text": 'a file_id is "file_id"'}, ""),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}, ""),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, ""),
        ({"type": "file", "file": {"file_id": "file-1"}}, "files"),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, "files"),
        ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}, "files"),
        ({"type": "image_file", "image_file": {"file_id": "f"}}, "files"),
        ({"type": "document", "source": {"type": "content", "content": [{"source": {"type": "file", "file_id": "f"}}]}}, "files"),
        ({"type": "tool_use", "id": "t", "name": "read", "input": {"file_id": "of the app's own"}}, ""),
        ({"type": "container_upload", "file_id": "file_1"}, "container"),
    ],
)
def test_files_at_the_provider_are_known_wherever_a_message_names_them(part: dict[str, Any], effect: str) -> None:
    written = json.dumps({"messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": [part]}]})
    assert effect_of(written.encode()) == effect
    assert effect_of(written.replace('"file_id"', '"file\\u005fid"').encode()) == effect


@pytest.mark.parametrize("body", [b"[" * 100_000, b"", b"[]", b'{"messages": ' + b"[" * 100_000])
def test_a_request_that_cannot_be_read_may_have_effects(body: bytes) -> None:
    assert effect_of(body) == "unreadable"


# ── what is written down ────────────────────────────────────────────────────────────────────────────────────────────


def kept(written: Result) -> Answer | None:
    """The answer in a record, read back."""
    return None if written.answer_body is None else reading.kept_answer(written.answer_body)


def test_bodies_are_kept_for_the_sample_and_for_what_went_wrong() -> None:
    never = flagset(URL, record=RecordPolicy(bodies=1e-12))
    assert ended(begun(never), body_of()).answer_body is None
    assert ended(begun(never), b"<html>").answer_body is not None
    assert ended(begun(never), b"busy", status=503).request_body == json.dumps(ASKED).encode()
    assert ended(begun(with_rollout(never, shadow=1.0)), body_of()).answer_body is None, "who mirrors it keeps them"
    sampled = kept(ended(begun(flagset(URL, record=RecordPolicy(bodies=1.0))), body_of()))
    assert sampled == Answer(text="Hi", finish_reason="stop", model=STABLE, usage=Usage(input=2, output=1))
    asked_json = {"response_format": {"type": "json_object"}}
    assert ended(begun(never, asked_json), body_of("{}")).answer_body is None
    assert ended(begun(never, asked_json), body_of("```json\n{}\n```")).answer_body is not None
    forbidden = begun(with_rollout(never, shadow=1.0), headers=[(b"x-detent-no-record", b"1")])
    assert ended(forbidden, b"busy", status=503).answer_body is None
    assert ended(begun(never), b"x" * (exchange.KEPT_BYTES + 1), status=500).answer_body is None


def test_a_route_that_keeps_no_bodies_keeps_none_of_what_went_wrong_either() -> None:
    none = flagset(URL, record=RecordPolicy(bodies=0.0))
    for written in (ended(begun(none), b"<html>"), ended(begun(none), b"busy", status=503)):
        assert (written.request_body, written.answer_body) == (None, None)


def test_nor_does_it_keep_the_words_of_an_error_which_may_quote_the_prompt() -> None:
    said = json.dumps({"error": {"message": "bad request: 'my secret question'"}}).encode()
    none = ended(begun(flagset(URL, record=RecordPolicy(bodies=0.0))), said, status=400)
    assert (none.outcome, none.status, none.error) == (Outcome.HTTP_ERROR, 400, None)
    assert ended(begun(flagset(URL)), said, status=400).error == "bad request: 'my secret question'"


def test_an_answer_that_could_not_be_read_is_kept_as_its_error_and_the_beginning_of_its_text() -> None:
    page = kept(ended(begun(flagset(URL)), b"<html>" + b"x " * 50_000))
    assert page is not None
    assert (page.complete, page.text[:8], len(page.text)) == (False, "<html>x ", reading.RAW_CHARS)
    assert page.error is not None
    assert page.error.startswith("unreadable answer")
    refused = kept(ended(begun(flagset(URL)), b'{"error": {"message": "slow down"}}', status=429))
    assert refused == Answer(text='{"error": {"message": "slow down"}}', complete=False, error="slow down")
    nothing = kept(ended(begun(flagset(URL)), b"", status=None, broke=Outcome.CONNECT_FAILED, error="no route to host"))
    assert nothing == Answer(complete=False, error="no route to host")


def test_of_a_stream_with_a_broken_event_the_text_is_joined_and_its_raw_bytes_are_not_kept() -> None:
    """A key in two halves in two events is one that no pattern finds in the raw bytes."""
    whole, half = "ada.lovelace@example.com", "ada.love"
    pieces = [b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % part.encode() for part in (half, whole[len(half) :])]
    body = pieces[0] + pieces[1] + b"data: {nonsense sk-\n\n"
    said = kept(ended(begun(flagset(URL), {"stream": True}), body, content_type="text/event-stream"))
    assert said is not None
    assert (said.text, said.complete) == ("[EMAIL_1]", False)
    assert said.error is not None


def test_only_what_was_kept_reads_back_as_an_answer() -> None:
    answer = Answer(text="Grüße", tool_calls=(ToolCall("1", "f", '{"a":1}'),), refusal=True, usage=Usage(output=3), complete=False)
    assert reading.kept_answer(reading.keep(answer)) == answer
    for other in (b"", body_of(), b"{}", b'{"text": 1', b'{"text":[]}', b'{"text":' + b"[" * 100_000, b"data: {}"):
        assert reading.kept_answer(other) is None


# ── nothing is written down as it was said ──────────────────────────────────────────────────────────────────────────

MAIL, KEY = "ada@example.com", "sk-proj-9fK2mQx7Lw4Zt8Rv1Yb6Nc3Hd5Jg0Ps"


@pytest.mark.parametrize(("policy", "mail", "key"), [("all", False, False), ("secrets", True, False), ("none", True, True)])
def test_the_route_says_what_is_taken_out(policy: Any, mail: bool, key: bool) -> None:
    flags = flagset(URL, record=RecordPolicy(bodies=1.0, redact=policy))
    ex = begun(flags, {"user": MAIL, "messages": [{"role": "user", "content": f"{MAIL} has {KEY}"}]})
    for found in (
        ended(ex, body_of(f"{KEY} of {MAIL}")),
        ended(ex, b'{"error": {"message": "%s: no such key %s"}}' % (MAIL.encode(), KEY.encode()), status=401),
        ended(ex, f"<p>{KEY} {MAIL}".encode()),
        ended(ex, b'{"error": "\\u0061da\\u0040example.com %s' % KEY.encode(), status=500),
    ):
        assert (MAIL in repr(found), KEY in repr(found)) == (mail, key), found
    assert legs.body_for(ex, legs.first_leg(ex, "le_1")) == ex.body.replace(b'"chat"', b'"%s"' % STABLE.encode())


def test_request_and_answer_share_their_placeholders() -> None:
    ex = begun(
        flagset(URL, record=RecordPolicy(bodies=1.0)), {"messages": [{"role": "user", "content": f"bob@x.org, {MAIL}; password: hunter22"}]}
    )
    written = ended(ex, body_of(f"{MAIL} wrote; hunter22 is weak"))
    assert json.loads(written.request_body or b"")["messages"][0]["content"] == "[EMAIL_1], [EMAIL_2]; password: [PASSWORD_1]"
    said = kept(written)
    assert said is not None
    assert said.text == "[EMAIL_2] wrote; [PASSWORD_1] is weak"


def test_an_error_is_redacted_where_no_body_is_kept_and_a_key_that_was_cut_goes_too() -> None:
    ex = begun(flagset(URL), headers=[(b"x-detent-no-record", b"1")])
    written = ended(ex, b'{"error": {"message": "no such key: %s"}}' % KEY.encode(), status=401)
    assert (written.error, written.request_body) == ("no such key: [API_KEY_1]", None)
    for filler in range(440, 500):
        message = ("x" * 9 + " ") * (filler // 10) + "y" * (filler % 10) + " " + KEY
        cut = ended(ex, b'{"error": {"message": "%s"}}' % message.encode(), status=401)
        assert cut.error is not None
        assert "sk-proj" not in cut.error


def test_the_names_of_called_tools_are_the_providers_words_too() -> None:
    call = [{"id": "1", "type": "function", "function": {"name": MAIL, "arguments": json.dumps({"to": MAIL})}}]
    written = ended(begun(flagset(URL, record=RecordPolicy(bodies=1.0))), body_of("", tool_calls=call))
    assert written.tools_called == ("[EMAIL_1]",)
    assert MAIL not in repr(written)


def test_the_version_of_the_api_is_written_down_for_the_replay() -> None:
    headers = [(b"anthropic-version", b"2023-06-01"), (b"anthropic-beta", b"a-1, b-2"), (b"anthropic-beta", b"c-3,\x1b[1m")]
    found = exchange.plan(
        "POST", "/v1/messages", headers, json.dumps(ASKED | {"model": "messages"}).encode(), flagset(URL), id="ex", gateway="g"
    )
    assert isinstance(found, Exchange)
    written = exchange.intent(found, legs.first_leg(found, "le_1"), 0)
    assert (written.api_version, written.betas) == ("2023-06-01", ("a-1", "b-2", "c-3"))
    chat = begun(flagset(URL), headers=headers)
    assert (chat.head.api_version, chat.head.betas) == (None, ())


def test_the_sample_of_bodies_has_the_share_that_the_route_names() -> None:
    flags = flagset(URL, record=RecordPolicy(bodies=0.2))
    kept = sum(ended(begun(flags, id=f"ex_{number}"), body_of()).answer_body is not None for number in range(1000))
    # Binomial(1000, 0.2): six standard errors are 76.
    assert abs(kept - 200) < 76


@pytest.mark.parametrize(
    ("body", "more", "outcome"),
    [
        (body_of(), {}, Outcome.COMPLETE),
        (b"busy", {"status": 503}, Outcome.HTTP_ERROR),
        (b"<html>", {}, Outcome.MALFORMED),
        (b"", {}, Outcome.MALFORMED),
        (b'{"error": {"message": "odd"}}', {}, Outcome.ERROR_EVENT),
        (b"", {"status": None, "broke": Outcome.CONNECT_FAILED}, Outcome.CONNECT_FAILED),
        (b'data: {"choices": []}\n\n', {"content_type": "text/event-stream"}, Outcome.UPSTREAM_TRUNCATED),
        (b'data: {"choices": []}\n\ndata: [DONE]\n\n', {"content_type": "text/event-stream; charset=utf-8"}, Outcome.COMPLETE),
        (b'data: {"error": {"message": "no"}}\n\n', {"content_type": "text/event-stream"}, Outcome.ERROR_EVENT),
        (b"data: {nonsense\n\n", {"content_type": "text/event-stream"}, Outcome.MALFORMED),
        (b'data: {"choices": []}\n\n', {"content_type": "text/event-stream", "broke": Outcome.CLIENT_ABORTED}, Outcome.CLIENT_ABORTED),
        (b"data: [DONE]\n\n", {"content_type": "text/event-stream", "broke": Outcome.CLIENT_ABORTED}, Outcome.COMPLETE),
        (b"data: [DONE]\n\n", {"content_type": "text/event-stream", "broke": Outcome.UPSTREAM_TRUNCATED}, Outcome.UPSTREAM_TRUNCATED),
        (None, {}, Outcome.COMPLETE),
        (gzip.compress(body_of()), {"encoding": "gzip"}, Outcome.COMPLETE),
        (b"\xce\xb2", {"encoding": "br"}, Outcome.MALFORMED),
    ],
)  # fmt: skip
def test_every_leg_has_one_outcome(body: bytes | None, more: dict[str, Any], outcome: Outcome) -> None:
    assert ended(begun(flagset(URL)), body, **more).outcome is outcome


def test_what_was_not_read_is_not_known() -> None:
    for unread in (None, b"\xce\xb2"):
        found = ended(begun(flagset(URL), {"response_format": {"type": "json_object"}}), unread, encoding="br")
        assert (found.parse, found.repeats_call, found.refusal, found.usage.output, found.answer_chars) == (None, None, None, None, None)
        assert (found.step, found.latency_s, found.first_byte_s) == (1, 0.5, 0.2)


def test_a_packed_answer_is_read_but_no_bomb() -> None:
    assert ended(begun(flagset(URL)), gzip.compress(body_of()), encoding="gzip").usage.output == 1
    bomb = gzip.compress(b"x" * (reading.READ_BYTES + 1))
    assert reading.plain(bomb, "gzip") is None
    assert reading.plain(b"no gzip", "gzip") is None


CITY = {"type": "object", "required": ["city", "people"]}


@pytest.mark.parametrize(
    ("text", "schema", "parse"),
    [
        ('{"city": "Linz", "people": 1}', CITY, "ok"),
        ('{"city": "Linz"}', CITY, "keys_missing"),
        ('["city", "people"]', CITY, "keys_missing"),
        (' [1, 2]\n', None, "ok"),
        ('```json\n{"city": "Linz", "people": 1}\n```', CITY, "invalid"),
        ('{"city": "Linz", "people": 1} Anything else?', CITY, "invalid"),
        ('{"city": "Linz", "people": NaN}', CITY, "invalid"),
        ('{"city": "Lin', CITY, "invalid"),
        ("", None, "invalid"),
        ("[" * 100_000, None, "invalid"),
    ],
)  # fmt: skip
def test_json_that_was_asked_for_must_read_as_it_stands(text: str, schema: dict[str, Any] | None, parse: str) -> None:
    prompt = Prompt(json_asked=True, schema=schema)
    assert reading.parse(prompt, Answer(text=text)) == parse
    assert reading.parse(Prompt(), Answer(text=text)) is None


def test_a_tool_call_or_a_refusal_says_nothing_of_json() -> None:
    prompt = Prompt(json_asked=True)
    assert reading.parse(prompt, Answer(tool_calls=(ToolCall("1", "find", "{}"),))) is None
    assert reading.parse(prompt, Answer(text="I can't", refusal=True)) is None


def test_a_call_that_the_conversation_has_made_before_is_a_repetition_however_it_is_spelt() -> None:
    before = Message(role="assistant", tool_calls=(ToolCall("1", "find", '{"q": "x", "n": 1}'),))
    prompt = Prompt(messages=(Message(role="user", text="hi"), before, Message(role="tool", text="none", tool_result_for="1")))
    assert reading.repeats_call(prompt, Answer(tool_calls=(ToolCall("2", "find", '{"n":1,"q":"\\u0078"}'),)))
    assert not reading.repeats_call(prompt, Answer(tool_calls=(ToolCall("2", "find", '{"n":2,"q":"x"}'),)))
    assert not reading.repeats_call(prompt, Answer(tool_calls=(ToolCall("2", "look", '{"n":1,"q":"x"}'),)))
    assert not reading.repeats_call(prompt, Answer(text="done"))
    odd = Message(role="assistant", tool_calls=(ToolCall("1", "find", "no json "),))
    assert reading.repeats_call(Prompt(messages=(odd,)), Answer(tool_calls=(ToolCall("2", "find", "no json"),)))


def test_a_result_counts_its_step_and_names_its_tools() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"q":"x"}'}}
    history = [*ASKED["messages"], {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": "none"}]
    found = ended(begun(flagset(URL), {"messages": history}), body_of("", tool_calls=[call]))
    assert (found.step, found.tools_called, found.repeats_call) == (2, ("find",), True)
