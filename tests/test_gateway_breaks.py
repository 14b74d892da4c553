"""Providers that break and callers that hang up: nobody takes a shortened answer for a whole one, and nothing runs on for nobody."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import MutableMapping
from typing import Any

import anthropic
import openai
import pytest

from detent.gateway.caller import Caller
from detent.terms import Outcome
from detent.upstream import Upstream
from mock_upstream import CLOSE, COMPLETION, GO, LISTEN, OK, RESET, Mock, Script, chunk, message_start, piece, stream
from serving import ASKED, Served, flagset, post, request, serving, talk, until

# ── providers that break ────────────────────────────────────────────────────────────────────────────────────────────

BREAKS: dict[str, Script] = {
    "closed between events": stream(piece("Gr"), GO, piece("ü"), CLOSE),
    "reset": stream(piece("Gr"), GO, RESET),
    "closed in an event": stream(piece("Gr"), GO, piece("ü")[:30], CLOSE),
    "closed in a chunk": [*stream(piece("Gr"), GO, end=False), chunk(piece("ü"))[:30], CLOSE],
    "nonsense for a chunk": [*stream(piece("Gr"), GO, end=False), b"zz\r\n", LISTEN],
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_stream_ends_in_an_error_event_and_an_aborted_socket(mock: Mock, gateway: Served, name: str) -> None:
    mock.answer = lambda seen: BREAKS[name]
    received = talk(gateway, request(ASKED | {"stream": True}), until=b"Gr", then=mock.go)
    assert received.count(b'data: {"error"') == 1
    assert received.index(b"Gr") < received.index(b'"error"')
    assert not received.endswith(b"\r\n0\r\n\r\n"), "a clean end is taken for success"
    assert gateway.spool.last().outcome is Outcome.UPSTREAM_TRUNCATED
    assert gateway.spool.last().answer_body is not None, "what went wrong keeps its bodies"


def test_both_sdks_raise_on_a_broken_stream(mock: Mock, gateway: Served) -> None:
    said: list[str] = []

    def listen(base: str) -> None:
        with openai.OpenAI(base_url=base + "/v1", api_key="k", max_retries=0) as client:
            for event in client.chat.completions.create(**ASKED, stream=True):
                said.append(event.choices[0].delta.content or "")

    def attend(base: str) -> None:
        with anthropic.Anthropic(base_url=base, api_key="k", max_retries=0) as client:
            for event in client.messages.create(**ASKED | {"model": "messages"}, stream=True, max_tokens=9):
                said.append(event.type)

    mock.answer = lambda seen: stream(piece("Gr"), CLOSE)
    with pytest.raises(openai.APIError, match="broke off"):
        listen(gateway.url)
    assert said == ["Gr"]
    mock.answer = lambda seen: stream(message_start(), CLOSE)
    with pytest.raises(anthropic.APIError, match="broke off"):
        attend(gateway.url)
    assert said == ["Gr", "message_start"]


def test_a_stream_that_breaks_within_an_event_is_aborted_without_another_event(mock: Mock, gateway: Served) -> None:
    """Half an event and an error event after it would be one event of nonsense."""
    mock.answer = lambda seen: stream(message_start(), message_start()[:50], CLOSE)
    asked = ASKED | {"model": "messages", "stream": True}
    received = talk(gateway, request(asked, "/v1/messages"))
    assert received.endswith(message_start()[:50] + b"\r\n")
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="k", max_retries=0) as client,
        pytest.raises(Exception, match="incomplete chunked read"),
    ):
        list(client.messages.create(**asked, max_tokens=9))


def test_a_broken_plain_answer_is_cut_off_as_well(mock: Mock, gateway: Served) -> None:
    mock.answer = lambda seen: [OK[0][:-20], CLOSE]  # type: ignore[index]
    received = talk(gateway, request(ASKED))
    assert received.endswith(COMPLETION[:-20])
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="k", max_retries=0) as client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASKED)
    assert gateway.spool.last().outcome is Outcome.UPSTREAM_TRUNCATED


def test_a_stream_whose_end_only_the_socket_tells_is_checked_for_its_proper_end(mock: Mock, gateway: Served) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    mock.answer = lambda seen: [head + piece("Gr"), CLOSE]
    assert not talk(gateway, request(ASKED | {"stream": True})).endswith(b"\r\n0\r\n\r\n")
    for end in (piece("u", "stop") + b"data: [DONE]\n\n", b'data: {"error": {"message": "busy"}}\n\n'):
        mock.answer = lambda seen, end=end: [head + piece("Gr") + end, CLOSE]  # type: ignore[misc]
        received = talk(gateway, request(ASKED | {"stream": True}, "/v1/chat/completions", "connection: close"))
        assert received.endswith(end + b"\r\n0\r\n\r\n")


def test_a_header_that_http_forbids_is_left_out_and_the_answer_arrives(mock: Mock, gateway: Served) -> None:
    """The server in front would refuse to write it, and cut the whole answer."""
    mock.answer = lambda seen: [OK[0].replace(b"\r\n", b"\r\nx-odd: a\x01b\r\n", 1)]  # type: ignore[union-attr]
    received = talk(gateway, request(ASKED, "/v1/chat/completions", "connection: close"))
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(COMPLETION)
    assert b"x-odd" not in received
    assert gateway.spool.last().outcome is Outcome.COMPLETE


@pytest.mark.parametrize(
    ("script", "status", "outcome"),
    [
        ([CLOSE], 502, Outcome.CONNECT_FAILED),
        ([b"SSH-2.0-OpenSSH\r\n\r\n", CLOSE], 502, Outcome.MALFORMED),
        ([b"HTTP/1.1 307 X\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"], 502, Outcome.HTTP_ERROR),
    ],
    ids=["hangs up", "speaks no HTTP", "redirects"],
)
def test_a_provider_without_an_answer_is_a_502_in_the_callers_protocol(
    mock: Mock, gateway: Served, script: Script, status: int, outcome: Outcome
) -> None:
    mock.answer = lambda seen: script
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="k", max_retries=0) as client, pytest.raises(openai.InternalServerError) as no:
        client.chat.completions.create(**ASKED)
    assert no.value.status_code == status
    assert no.value.code is not None
    assert no.value.code.startswith("upstream_")
    assert no.value.response.headers["x-detent-request-id"] == gateway.spool.intents[-1].exchange
    assert len(mock.seen) == 1, "a redirect is not followed"
    assert gateway.spool.last().outcome is outcome
    with anthropic.Anthropic(base_url=gateway.url, api_key="k", max_retries=0) as other, pytest.raises(anthropic.InternalServerError):
        other.messages.create(**ASKED | {"model": "messages"}, max_tokens=9)


def test_a_provider_that_takes_no_connection_or_says_nothing(mock: Mock) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with serving(flagset(refused)) as served:
            assert post(served)[0] == 502
            assert served.spool.last().outcome is Outcome.CONNECT_FAILED
    mock.answer = lambda seen: [GO]
    mock.may_go.clear()
    with serving(flagset(mock.url), upstream=Upstream(read_s=0.05)) as served:
        status, headers, body = post(served)
        assert (status, headers["x-detent-error"], headers["x-should-retry"]) == (504, "upstream_timeout", "true")
        assert json.loads(body)["error"]["code"] == "upstream_timeout"
        assert served.spool.last().outcome is Outcome.TIMED_OUT
        mock.answer = lambda seen: stream(piece("Gr"), GO)
        assert not talk(served, request(ASKED | {"stream": True})).endswith(b"\r\n0\r\n\r\n")
        assert served.spool.last().outcome is Outcome.TIMED_OUT


# ── callers that go ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("begun", [False, True], ids=["before the first byte", "in mid-stream"])
def test_a_caller_that_hangs_up_ends_the_call_upstream(mock: Mock, gateway: Served, begun: bool) -> None:
    mock.answer = lambda seen: stream(piece("Gr"), GO, piece("never")) if begun else [GO, *OK]
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(request(ASKED | {"stream": begun}))
        until(lambda: mock.seen)
        if begun:
            assert b"200 OK" in connection.recv(65536)
    assert mock.seen[0].hung_up.wait(20)
    result = gateway.spool.leg()[1]
    assert result.outcome is Outcome.CLIENT_ABORTED
    assert result.usage.output is None


def test_breaking_out_of_an_sdk_stream_ends_the_call_upstream(mock: Mock, gateway: Served) -> None:
    mock.answer = lambda seen: stream(piece("Gr"), GO)
    with (
        openai.OpenAI(base_url=gateway.url + "/v1", api_key="k") as client,
        client.chat.completions.create(**ASKED, stream=True) as events,
    ):
        next(iter(events))
    assert mock.seen[0].hung_up.wait(20)
    assert gateway.spool.leg()[1].outcome is Outcome.CLIENT_ABORTED


def test_a_caller_that_hangs_up_after_the_last_event_had_a_whole_answer(mock: Mock, gateway: Served) -> None:
    mock.answer = lambda seen: stream(piece("Gr", "stop"), b"data: [DONE]\n\n", GO)
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(request(ASKED | {"stream": True}))
        received = b""
        while b"[DONE]" not in received:
            received += connection.recv(65536)
    assert gateway.spool.leg()[1].outcome is Outcome.COMPLETE


def test_word_of_a_whole_answer_is_not_taken_for_a_caller_that_hung_up() -> None:
    """A server may say `disconnect` as soon as the last byte is out, before `send` returns."""

    async def exchange() -> list[str]:
        over = asyncio.Event()
        sent: list[str] = []

        async def receive() -> MutableMapping[str, Any]:
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message["type"])
            if not message.get("more_body", True):
                over.set()
                for _ in range(5):
                    await asyncio.sleep(0)

        with Caller({"method": "GET", "path": "/", "headers": []}, receive, send) as caller:
            await caller.answer(200, b"{}")
        assert not caller.gone
        return sent

    assert asyncio.run(exchange()) == ["http.response.start", "http.response.body"]


def test_one_connection_serves_many_requests_and_the_watch_cuts_none_short(mock: Mock, gateway: Served) -> None:
    before = mock.connections
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    for number in range(20):
        connection.request("POST", "/v1/chat/completions", json.dumps(ASKED))
        assert connection.getresponse().read() == COMPLETION, number
    connection.close()
    assert mock.connections <= before + 1, "and one upstream"
    assert gateway.spool.last().outcome is Outcome.COMPLETE
    assert {result.outcome for result in gateway.spool.results} == {Outcome.COMPLETE}


def test_bytes_are_forwarded_as_they_come(mock: Mock, gateway: Served) -> None:
    mock.answer = lambda seen: stream(piece("first"), GO, piece("second"))
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(request(ASKED | {"stream": True}))
        received = b""
        while b"first" not in received:
            received += connection.recv(65536)
        assert b"second" not in received, "the provider has not sent it yet"
        mock.go()
        while b"second" not in received:
            received += connection.recv(65536)
