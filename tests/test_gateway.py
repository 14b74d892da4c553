"""The gateway at its work: what it writes down, when stable steps in, what the shadow gets, what it says of itself.

Both sides are real: a scripted provider (`mock_upstream.py`) and the server as `detent serve` starts it (`serving.py`).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from detent import exchange
from detent.assign import hash_identity
from detent.gateway.records import AT_ONCE_BYTES
from detent.reading import READ_BYTES
from detent.tape import Tape
from detent.terms import Arm, Dialect, FlagSet, Outcome, Provider, RecordPolicy, Result, Role, UnitKind
from detent.upstream import Outgoing, address
from mock_upstream import CLOSE, COMPLETION, GO, OK, Mock, Script, Seen, answer, piece, stream
from serving import ASKED, CANDIDATE, STABLE, Served, flagset, post, request, talk, until, with_rollout


def by_version(stable: Script, candidate: Script) -> Any:
    return lambda seen: candidate if seen.json["model"] == CANDIDATE else stable


# ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_intent_is_in_the_spool_before_the_provider_sees_the_request(mock: Mock, gateway: Served) -> None:
    written_by_then: list[int] = []

    def look(seen: Seen) -> Script:
        written_by_then.append(len(gateway.spool.intents))
        return OK

    mock.answer = look
    assert post(gateway)[0] == 200
    assert written_by_then == [1]


def test_an_exchange_is_written_down_with_what_was_sent_and_what_came(mock: Mock, gateway: Served) -> None:
    status, headers, _ = post(gateway, x_detent_session_id="s-1", x_detent_user_id="lovelace", x_stainless_retry_count="2")
    intent, result = gateway.spool.leg()
    assert status == 200
    assert (headers["x-detent-request-id"], headers["x-detent-revision"]) == (intent.exchange, "7")
    assert (intent.route, intent.requested, intent.provider, intent.model) == ("chat", "chat", "openai", STABLE)
    assert (intent.gateway, intent.revision, intent.rollout, intent.attempt) == ("gw-1", 7, None, 2)
    assert (intent.role, intent.arm, intent.arm_served, intent.why, intent.randomised) == (Role.SERVED, Arm.STABLE, Arm.STABLE, "", False)
    assert (intent.session, intent.user) == (hash_identity("installation key", "s-1"), hash_identity("installation key", "lovelace"))
    assert (intent.unit_kind, intent.unit) == (UnitKind.SESSION, intent.session)
    assert (result.leg, result.outcome, result.status, result.finish_reason) == (intent.leg, Outcome.COMPLETE, 200, "stop")
    assert (result.answered_model, result.fingerprint, result.usage.input, result.usage.output) == (STABLE, "fp_a", 20, 7)
    assert (result.step, result.tools_called, result.repeats_call, result.answer_chars) == (1, (), False, 2)
    assert result.latency_s is not None
    assert result.first_byte_s is not None
    assert 0 < result.first_byte_s <= result.latency_s
    assert result.at_us >= intent.at_us
    assert "lovelace" not in repr(gateway.spool.entries)


def test_the_first_byte_of_a_stream_is_on_record_while_the_rest_is_still_to_come(mock: Mock, gateway: Served) -> None:
    mock.answer = lambda seen: stream(piece("first"), GO, piece("second", "stop"), b"data: [DONE]\n\n")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(request(ASKED | {"stream": True}))
        until(lambda: gateway.spool.begun)
        assert gateway.spool.results == []
        mock.go()
        gateway.spool.settle()
    intent, result = gateway.spool.leg()
    (begun,) = gateway.spool.begun
    assert (begun.leg, begun.first_byte_s, result.outcome) == (intent.leg, result.first_byte_s, Outcome.COMPLETE)
    assert intent.at_us <= begun.at_us <= result.at_us
    assert [type(entry).__name__ for entry in gateway.spool.entries] == ["Intent", "Begun", "Result"]


@pytest.mark.parametrize("policy", ["stable", "fail"])
def test_what_has_no_good_first_byte_and_what_comes_whole_is_told_by_its_result(mock: Mock, gateway: Served, policy: str) -> None:
    """The candidate's error is no first byte of an answer; stable's answer in its place has one."""
    gateway.flags = with_rollout(flagset(mock.url, on_candidate_failure=policy), split=1.0)
    good = stream(piece("Hi", "stop"), b"data: [DONE]\n\n")
    mock.answer = by_version(good, answer(b'{"error": {}}', 500))
    post(gateway, body=ASKED | {"stream": True})
    gateway.spool.settle()
    fallbacks = [intent.leg for intent in gateway.spool.intents if intent.role is Role.FALLBACK]
    assert [begun.leg for begun in gateway.spool.begun] == fallbacks
    assert len(fallbacks) == (policy == "stable")
    assert {intent.falls_back for intent in gateway.spool.intents} == {policy == "stable"}
    gateway.spool.entries.clear()
    mock.answer = by_version(OK, OK)
    post(gateway)
    gateway.spool.settle()
    assert gateway.spool.begun == []


def test_ids_sort_by_time(gateway: Served) -> None:
    for _ in range(3):
        post(gateway)
    exchanges = [intent.exchange for intent in gateway.spool.intents]
    assert all(exchange.startswith("ex_") for exchange in exchanges)
    assert len(set(exchanges)) == 3
    # The first 48 bits are milliseconds: three requests over a socket need not fall into three of them.
    assert [exchange[:15] for exchange in exchanges] == sorted(exchange[:15] for exchange in exchanges)


def test_a_spool_that_fails_hurts_nobody(gateway: Served) -> None:
    gateway.spool.broken = True
    assert post(gateway)[2] == COMPLETION
    until(lambda: gateway.gateway.counts["unrecorded"] == 2)


def test_a_defect_in_reading_hurts_nobody_and_still_leaves_a_result(gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("detent.wire.read_answer", defect)
    assert post(gateway)[2] == COMPLETION
    assert gateway.spool.leg()[1].status == 200
    assert gateway.gateway.counts["unread"] == 1


def test_the_tee_lets_go_of_what_it_will_not_read() -> None:
    tape = Tape(lambda: 0)
    tape.add(b"x" * READ_BYTES)
    assert tape.heard().body == b"x" * READ_BYTES
    tape.add(b"x")
    assert tape.heard().body is None


def test_an_answer_above_the_tees_cap_is_relayed_whole_and_left_unread(mock: Mock, gateway: Served) -> None:
    large = COMPLETION.replace(b"Hi", b"x" * 9_000_000)
    mock.answer = lambda seen: answer(large)
    assert post(gateway)[2] == large
    result = gateway.spool.leg()[1]
    assert (result.outcome, result.parse, result.repeats_call, result.answer_body) == (Outcome.COMPLETE, None, None, None)


def test_large_bodies_are_redacted_apart_and_nobody_waits_for_that(mock: Mock, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.flags = flagset(mock.url, record=RecordPolicy(bodies=1.0))
    may_go, redact = threading.Event(), exchange.with_bodies

    def slow(ex: exchange.Exchange, end: exchange.Ended) -> Result:
        if len(ex.body) > AT_ONCE_BYTES:
            assert may_go.wait(20)
        return redact(ex, end)

    monkeypatch.setattr(exchange, "with_bodies", slow)
    large = {"model": "chat", "messages": [{"role": "user", "content": "ada@example.com " * (AT_ONCE_BYTES // 16)}]}
    assert post(gateway, body=large)[2] == COMPLETION
    assert post(gateway)[2] == COMPLETION
    until(lambda: len(gateway.spool.results) == 1)
    may_go.set()
    kept = gateway.spool.last().request_body
    assert kept is not None
    assert kept.count(b"[EMAIL_1]") == AT_ONCE_BYTES // 16
    assert b"ada@example.com" not in kept


def test_what_cannot_be_redacted_is_not_kept(mock: Mock, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*args: Any) -> Any:
        raise ZeroDivisionError

    gateway.flags = flagset(mock.url, record=RecordPolicy(bodies=1.0))
    monkeypatch.setattr(exchange, "redact_bodies", defect)
    for content in ("x", "x " * AT_ONCE_BYTES):
        assert post(gateway, body={"model": "chat", "messages": [{"role": "user", "content": content}]})[2] == COMPLETION
        result = gateway.spool.last()
        assert (result.status, result.request_body, result.answer_body) == (200, None, None)
    assert gateway.gateway.counts["unread"] == 2


def test_beyond_the_bound_large_bodies_are_left_out_and_counted(mock: Mock, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.flags = flagset(mock.url, record=RecordPolicy(bodies=1.0))
    monkeypatch.setattr("detent.gateway.records.APART_BYTES", AT_ONCE_BYTES)
    assert post(gateway, body={"model": "chat", "messages": [{"role": "user", "content": "x " * AT_ONCE_BYTES}]})[2] == COMPLETION
    result = gateway.spool.last()
    assert (result.outcome, result.request_body, result.answer_body) == (Outcome.COMPLETE, None, None)
    assert gateway.gateway.counts["bodies_dropped"] == 1


# ── candidates that fail ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("script", "why", "outcome"),
    [
        (answer(b'{"error": {"message": "busy"}}', 503), "http_503", Outcome.HTTP_ERROR),
        (answer(b'{"error": {"message": "temperature"}}', 400), "http_400", Outcome.HTTP_ERROR),
        ([CLOSE], "connect_failed", Outcome.CONNECT_FAILED),
        ([b"HTTP/1.1 302 X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"], "http_302", Outcome.HTTP_ERROR),
        (stream(CLOSE), "upstream_truncated", Outcome.UPSTREAM_TRUNCATED),
        (answer(b""), "malformed_upstream", Outcome.MALFORMED),
    ],
    ids=["503", "400", "hangs up", "redirects", "200 and nothing", "empty"],
)
def test_stable_answers_for_a_candidate_that_fails_before_its_first_byte(
    mock: Mock, gateway: Served, script: Script, why: str, outcome: Outcome
) -> None:
    gateway.flags = with_rollout(gateway.flags, split=1.0)
    mock.answer = by_version(OK, script)
    status, headers, body = post(gateway, x_detent_session_id="s-1")
    assert (status, body) == (200, COMPLETION)
    assert [seen.json["model"] for seen in mock.seen] == [CANDIDATE, STABLE]
    failed, its_result = gateway.spool.leg(Role.SERVED)
    answered, result = gateway.spool.leg(Role.FALLBACK)
    assert (failed.arm, failed.arm_served, its_result.outcome) == (Arm.CANDIDATE, Arm.CANDIDATE, outcome)
    assert (answered.arm, answered.arm_served, answered.why) == (Arm.CANDIDATE, Arm.STABLE, f"candidate_failed:{why}")
    assert (answered.model, result.outcome) == (STABLE, Outcome.COMPLETE)
    assert failed.exchange == answered.exchange == headers["x-detent-request-id"]
    assert (failed.rollout, failed.period, answered.rollout, answered.period) == ("ro_1", 3, "ro_1", 3)
    assert its_result.request_body is not None


def test_a_candidate_that_answers_is_served(mock: Mock, gateway: Served) -> None:
    gateway.flags = with_rollout(gateway.flags, split=1.0)
    mock.answer = by_version(answer(b"{}"), stream(piece("new", "stop"), b"data: [DONE]\n\n"))
    _, _, body = post(gateway, body=ASKED | {"stream": True})
    assert body == piece("new", "stop") + b"data: [DONE]\n\n"
    assert gateway.spool.leg()[0].model == CANDIDATE
    assert len(mock.seen) == 1


def test_a_candidate_that_breaks_in_mid_answer_is_not_answered_twice(mock: Mock, gateway: Served) -> None:
    gateway.flags = with_rollout(gateway.flags, split=1.0)
    mock.answer = by_version(OK, stream(piece("new"), CLOSE))
    assert not talk(gateway, request(ASKED | {"stream": True})).endswith(b"\r\n0\r\n\r\n")
    assert [seen.json["model"] for seen in mock.seen] == [CANDIDATE]


def test_with_the_policy_fail_the_caller_gets_the_candidates_own_failure(mock: Mock, gateway: Served) -> None:
    gateway.flags = with_rollout(flagset(mock.url, on_candidate_failure="fail"), split=1.0)
    mock.answer = by_version(OK, answer(b'{"error": {"message": "busy"}}', 503))
    assert post(gateway)[0::2] == (503, b'{"error": {"message": "busy"}}')
    assert len(mock.seen) == 1


def test_when_both_refuse_the_caller_gets_stables_answer_and_both_are_recorded(mock: Mock, gateway: Served) -> None:
    gateway.flags = with_rollout(gateway.flags, split=1.0)
    mock.answer = by_version(answer(b'{"error": {"message": "stable: too long"}}', 400), answer(b'{"error": {"message": "new"}}', 400))
    assert post(gateway)[0::2] == (400, b'{"error": {"message": "stable: too long"}}')
    assert gateway.spool.leg(Role.SERVED)[1].status == 400
    assert gateway.spool.leg(Role.FALLBACK)[1].error == "stable: too long"


# ── Detent's own endpoint, and unpinned traffic ─────────────────────────────────────────────────────────────────────


def test_health_tells_the_revision_that_is_served_and_the_breakers_that_are_open(gateway: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request("GET", "/detent/v1/health")
    assert json.loads(connection.getresponse().read()) == {"revision": 7, "circuits": []}
    connection.close()


def test_unpinned_traffic_is_counted_by_name_and_bounded(mock: Mock, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detent.gateway.app.UNPINNED_NAMES", 2)
    for name in ("gpt-x", "gpt-y", "gpt-z", "gpt-x"):
        post(gateway, body=ASKED | {"model": name})
    assert gateway.gateway.unpinned == {"gpt-x": 2, "gpt-y": 1, "other": 1}
    post(gateway, "/v1/files/file-123/content")
    assert gateway.gateway.unpinned["other"] == 2
    assert gateway.spool.entries == []


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("DELETE", 404), ("GET", 304)])
def test_every_method_passes_without_a_route(mock: Mock, gateway: Served, method: str, status: int) -> None:
    listing = b'{"object": "list", "data": []}'
    body = listing if method != "HEAD" and status != 304 else b""
    mock.answer = lambda seen: [answer(listing, status)[0][: -len(listing)] + body]  # type: ignore[index]

    def ask(port: int) -> tuple[int, set[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, "/v1/models?limit=2", headers={"if-none-match": "x"})
        response = connection.getresponse()
        said = response.status, {(name.lower(), value) for name, value in response.getheaders()}, response.read()
        connection.close()
        return said

    direct, through = ask(mock.port), ask(gateway.port)
    assert (through[0], through[2]) == (direct[0], direct[2]) == (status, body)
    # The length that a 304 would have had is the one header that is left out.
    assert direct[1] - through[1] == ({("content-length", str(len(listing)))} if status == 304 else set())
    assert [seen.method for seen in mock.seen] == [method, method]


def test_a_new_flag_is_obeyed_by_the_next_request(mock: Mock, gateway: Served) -> None:
    models = []
    for session, split in (("s-1", 0.0), ("s-2", 1.0), ("s-2", 0.0)):
        gateway.flags = with_rollout(flagset(mock.url), split=split)
        post(gateway, x_detent_session_id=session)
        models.append(mock.seen[-1].json["model"])
    assert models == [STABLE, CANDIDATE, STABLE]


def test_flags_that_can_not_be_had_are_a_500_and_not_an_open_door(mock: Mock, gateway: Served) -> None:
    def gone() -> FlagSet:
        raise OSError("no flags")

    kept, gateway.gateway._flags = gateway.gateway._flags, gone
    try:
        assert post(gateway)[0] == 500
    finally:
        gateway.gateway._flags = kept
    assert mock.seen == []


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://api.openai.com/v1", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", "/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.anthropic.com", "/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("https://host/a/v1", "/v1/models/gpt%20x", "https://host/a/v1/models/gpt%20x"),
        ("https://host/v1beta", "/v1beta/models", "https://host/v1beta/models"),
        ("https://host/v1", "/v1beta/models", "https://host/v1/v1beta/models"),
    ],
)
def test_a_version_that_base_and_path_both_have_stands_once(base: str, path: str, url: str) -> None:
    out = Outgoing(
        provider=Provider(name="p", dialect=Dialect.OPENAI, base_url=base, watcher="w@example.com"),
        method="POST",
        path=path,
        query="a=%2F&b",
        headers=[],
        body=b"",
    )
    assert str(address(out)) == f"{url}?a=%2F&b"


def test_the_gateway_stays_light() -> None:
    code = "import sys, detent.gateway; print([m for m in ('numpy', 'scipy', 'sqlalchemy', 'pydantic', 'httpx') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert found.stdout.strip() == "[]"
