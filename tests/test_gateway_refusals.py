"""What crosses the gateway and what does not: headers, keys, and requests that are refused at the door."""

from __future__ import annotations

import socket
from contextlib import suppress

import anthropic
import openai
import pytest

from mock_upstream import COMPLETION, Mock, answer
from serving import ASKED, STABLE, Served, post, request, talk, until, with_server

# ── headers and keys ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_ours_or_nobodys_business_never_goes_upstream(mock: Mock, gateway: Served) -> None:
    hop = (
        "Connection: keep-alive, X-Secret-Hop",
        "X-Secret-Hop: 1",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Proxy-Authorization: Basic x",
    )
    ours = ("X-Detent-Session-Id: s", "X-Detent-Route: chat", "x_detent_user_id: u", "baggage: user.id=ada", "Forwarded: for=1.2.3.4")
    theirs = (
        "X-Forwarded-For: 1.2.3.4",
        "OpenAI-Organization: org-1",
        "Traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "Connection: close",
    )
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        talk(gateway, request(ASKED | {"model": "gpt-x"}, path, *hop, *ours, *theirs))
    for seen in mock.seen:
        names = {name.lower() for name, _ in seen.headers}
        assert not {name for name in names if "detent" in name.replace("_", "-") or "forwarded" in name}
        assert not names & {"connection", "x-secret-hop", "keep-alive", "te", "proxy-authorization", "baggage"}
        assert names >= {"openai-organization", "traceparent"}
        assert seen.header("host") == f"127.0.0.1:{mock.port}"
    assert [seen.json["model"] for seen in mock.seen] == [STABLE, "gpt-x"], (
        "the header names a route; the model name stays for clients that need it"
    )
    assert mock.seen[0].header("accept-encoding") == "identity"
    assert mock.seen[1].header("accept-encoding") is None


def test_an_answers_hop_by_hop_headers_end_here(mock: Mock, gateway: Served) -> None:
    mock.answer = lambda seen: answer(
        COMPLETION, connection="keep-alive, x-odd", x_odd="1", keep_alive="timeout=9", x_detent_revision="999"
    )
    _, headers, _ = post(gateway)
    assert not headers.keys() & {"x-odd", "keep-alive"}
    assert headers["x-detent-revision"] == "7"
    assert headers["content-length"] == str(len(COMPLETION))


def test_the_providers_key_takes_the_place_of_the_clients(mock: Mock, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    post(gateway, authorization="Bearer client-secret")
    assert mock.seen[-1].header("authorization") == "Bearer client-secret", "without a key of ours the client's own passes"
    monkeypatch.setenv("TEST_OPENAI_KEY", "provider-key")
    monkeypatch.setenv("TEST_ANTHROPIC_KEY", "other-key")
    post(gateway, authorization="Bearer client-secret")
    assert mock.seen[-1].header("authorization") == "Bearer provider-key"
    post(gateway, x_api_key="client-secret")
    assert (mock.seen[-1].header("authorization"), mock.seen[-1].header("x-api-key")) == ("Bearer provider-key", None)
    messages = ASKED | {"model": "messages"}
    post(gateway, "/v1/messages", messages, x_api_key="client-secret")
    assert (mock.seen[-1].header("authorization"), mock.seen[-1].header("x-api-key")) == (None, "other-key")
    post(gateway, "/v1/messages", messages, authorization="Bearer client-secret")
    assert (mock.seen[-1].header("authorization"), mock.seen[-1].header("x-api-key")) == ("Bearer other-key", None)
    assert not any("client-secret" in repr(seen.headers) for seen in mock.seen[1:])
    post(gateway, body=ASKED | {"model": "gpt-x"}, authorization="Bearer client-secret")
    assert mock.seen[-1].header("authorization") == "Bearer client-secret", "unpinned traffic never gets a key of ours"
    assert "client-secret" not in repr(gateway.spool.entries)


def test_with_client_keys_set_nobody_comes_in_without_one(mock: Mock, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.flags = with_server(gateway.flags, clients_env="TEST_CLIENT_KEYS")
    monkeypatch.setenv("TEST_CLIENT_KEYS", "dk-1, dk-2")
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key="dk-3") as client, pytest.raises(openai.AuthenticationError) as no:
        client.chat.completions.create(**ASKED)
    assert no.value.code == "invalid_client_key"
    with anthropic.Anthropic(base_url=gateway.url, api_key="dk-3") as other, pytest.raises(anthropic.AuthenticationError):
        other.messages.create(**ASKED, max_tokens=1)
    for path in ("/v1/chat/completions", "/v1/models", "/detent/v1/feedback", "/detent/v1/anything"):
        assert post(gateway, path)[0] == 401, path
    assert mock.seen == []
    assert post(gateway, authorization="Bearer dk-2")[0] == 200
    assert post(gateway, x_api_key="dk-1")[0] == 200
    assert post(gateway, x_detent_key="dk-1", authorization="Bearer sk-own")[0] == 200
    assert post(gateway, body=ASKED | {"model": "gpt-x"}, authorization="Bearer dk-2")[0] == 200
    assert [seen.header("authorization") for seen in mock.seen] == [None, None, "Bearer sk-own", None]
    assert not any("dk-" in repr(seen.headers) for seen in mock.seen), "a client key of ours is never forwarded"


def test_where_client_keys_are_named_and_none_is_set_nobody_comes_in(mock: Mock, gateway: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.flags = with_server(gateway.flags, clients_env="TEST_CLIENT_KEYS")
    for keys in ("", " , "):
        monkeypatch.setenv("TEST_CLIENT_KEYS", keys)
        for credential in ("Bearer anything", "Bearer ", ""):
            assert post(gateway, authorization=credential)[0] == 401, (keys, credential)
    assert mock.seen == []


# ── requests that are refused ───────────────────────────────────────────────────────────────────────────────────────

ODD: dict[str, tuple[bytes, int]] = {
    "no host": (request(ASKED).replace(b"host: localhost\r\n", b""), 400),
    "two hosts": (request(ASKED, "/v1/chat/completions", "host: other"), 400),
    "a host that rewrites the path": (request(ASKED).replace(b"localhost", b"localhost#@x"), 400),
    "dot segments": (request(ASKED, "/v1/../admin"), 400),
    "encoded dot segments": (request(ASKED, "/v1/%2e%2e/admin"), 400),
    "encoded slash": (request(ASKED, "/v1%2Fchat"), 400),
    "path parameter": (request(ASKED, "/v1/chat;x/completions"), 400),
    "double slash": (request(ASKED, "/v1//models"), 400),
    "two authorizations": (request(ASKED, "/v1/models", "authorization: Bearer a", "authorization: Bearer b"), 400),
    "keys that differ": (request(ASKED, "/v1/models", "authorization: Bearer a", "x-api-key: b"), 400),
    "both lengths": (request(ASKED, "/v1/models", "transfer-encoding: chunked"), 400),
    "2000 headers": (request(ASKED, "/v1/models", *(f"x-{number}: 1" for number in range(2000))), 431),
    "100 KB of headers": (request(ASKED, "/v1/models", "x: " + "y" * 100_000), 431),
    "a declared body that is too large": (b"POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", 413),
    "an upgrade": (request(ASKED, "/v1/realtime", "connection: upgrade", "upgrade: websocket"), 426),
    "a packed body": (request(ASKED, "/v1/chat/completions", "content-encoding: gzip"), 415),
    "no JSON": (request(ASKED).replace(b'{"model"', b"<'model'"), 400),
    "a model that is no string": (request(ASKED | {"model": 7}), 400),
    "a model with control characters": (request(ASKED | {"model": "a\r\nb"}), 400),
    "a model of 100 KB": (request(ASKED | {"model": "m" * 100_000}), 400),
    "an unknown route by header": (request(ASKED, "/v1/chat/completions", "x-detent-route: nowhere"), 404),
    "a route of the other protocol": (request(ASKED | {"model": "messages"}), 400),
    "an unknown endpoint of ours": (request(ASKED, "/detent/v1/admin"), 404),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_request_is_refused_and_never_goes_upstream(mock: Mock, gateway: Served, name: str) -> None:
    sent, status = ODD[name]
    first, _, rest = sent.partition(b"\r\n")
    received = talk(gateway, first + b"\r\nconnection: close\r\n" + rest)
    assert received.startswith(b"HTTP/1.1 %d " % status), received[:300]
    assert mock.seen == []
    assert gateway.spool.entries == []
    assert gateway.gateway.counts["faults"] == 0


def test_a_body_that_grows_too_large_is_refused_while_it_comes(mock: Mock, gateway: Served) -> None:
    megabyte = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(b"POST /v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):  # refused before all was sent
            for _ in range(40):
                connection.sendall(megabyte)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert mock.seen == []


def test_a_caller_that_goes_before_its_request_is_whole_leaves_no_record(mock: Mock, gateway: Served) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(request(ASKED)[:-5])
    until(lambda: gateway.gateway.counts["gone_before_request"] == 1)
    assert (mock.seen, gateway.spool.entries) == ([], [])
