"""Gateway = direct: whatever a provider answers, the caller gets the same through the gateway as without it.

Each answer of the corpus is asked for twice, directly and through the gateway, and what came is compared: status, headers, body bytes
over a raw socket; the parsed object or the exception through the official SDKs, sync and async. The direct call is the oracle.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from corpus import CHAT, CHAT_STREAMS, EMBEDDINGS, MESSAGE_STREAMS, MESSAGES, TEXT, chat_events, completion, failing
from mock_upstream import Mock, Script, answer, chunk
from serving import Served, flagset, serving, with_server

# What the gateway adds, and how a message is framed on its own connection.
OURS = {"x-detent-request-id", "x-detent-revision", "transfer-encoding", "connection"}


@pytest.fixture(scope="module")
def apps() -> Iterator[Apps]:
    made = Apps()
    yield made
    made.close()


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


ASKED: dict[str, Any] = {"model": "atlas-2026-03-01", "messages": [{"role": "user", "content": "hi"}]}
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}


def raw(port: int, path: str, body: dict[str, Any], **headers: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers that are not ours, and body bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"} | headers)
        response = connection.getresponse()
        kept = [(name.lower(), value) for name, value in response.getheaders() if name.lower() not in OURS]
        return response.status, sorted(kept), response.read()
    finally:
        connection.close()


def outcome_of(error: Exception) -> tuple[Any, ...]:
    body = getattr(error, "body", None)
    return (type(error).__module__, type(error).__name__, str(error), getattr(error, "status_code", None), body)


class Apps:
    """Apps on the official SDKs; each keeps its client, as apps do."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.clients: dict[tuple[type[Any], str], Any] = {}

    def client(self, kind: type[Any], base: str) -> Any:
        found = self.clients.get((kind, base))
        if found is None:
            found = self.clients[kind, base] = kind(base_url=base, api_key="k", max_retries=0)
        return found

    def close(self) -> None:
        for (kind, _), client in self.clients.items():
            if kind.__name__.startswith("Async"):
                self.runner.run(client.close())
            else:
                client.close()
        self.runner.close()

    def openai_says(self, base: str, model: str, streamed: bool, *, use_async: bool, **extra: Any) -> list[Any]:
        """What the app sees: each parsed object, and the exception that ended it, if one did."""
        client = self.client(openai.AsyncOpenAI if use_async else openai.OpenAI, base + "/v1")
        return self.told(client.chat.completions.create, ASKED | {"model": model, "stream": streamed} | extra, use_async)

    def anthropic_says(self, base: str, model: str, streamed: bool, *, use_async: bool) -> list[Any]:
        client = self.client(anthropic.AsyncAnthropic if use_async else anthropic.Anthropic, base)
        return self.told(client.messages.create, ASKED | {"model": model, "stream": streamed, "max_tokens": 100}, use_async)

    def told(self, create: Any, asked: dict[str, Any], use_async: bool) -> list[Any]:
        said: list[Any] = []

        def sync() -> None:
            found = create(**asked)
            said.extend(item.model_dump() for item in found) if asked["stream"] else said.append(dumped(found))

        async def asynchronous() -> None:
            found = await create(**asked)
            if asked["stream"]:
                async for item in found:
                    said.append(item.model_dump())
            else:
                said.append(dumped(found))

        try:
            self.runner.run(asynchronous()) if use_async else sync()
        except Exception as error:
            said.append(outcome_of(error))
        return said


def dumped(found: Any) -> Any:
    return found.model_dump(warnings=False) if hasattr(found, "model_dump") else found


# ── the comparison ──────────────────────────────────────────────────────────────────────────────────────────────────

WHOLE = [("chat", name, script) for name, script in CHAT.items()] + [("messages", name, script) for name, script in MESSAGES.items()]


@pytest.mark.parametrize(("route", "name", "script"), WHOLE, ids=[f"{route}: {name}" for route, name, _ in WHOLE])
def test_an_answer_is_the_same_on_the_wire(mock: Mock, gateway: Served, route: str, name: str, script: Script) -> None:
    mock.answer = lambda seen: script
    direct = raw(mock.port, PATHS[route], ASKED)
    assert raw(gateway.port, PATHS[route], ASKED | {"model": route}) == direct
    assert raw(gateway.port, PATHS[route], ASKED) == direct, "the same holds for a name that is no route"


@pytest.mark.parametrize("use_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", CHAT)
def test_the_openai_sdk_sees_the_same_answer(mock: Mock, gateway: Served, apps: Apps, name: str, use_async: bool) -> None:
    mock.answer = lambda seen: CHAT[name]
    direct = apps.openai_says(mock.url, "atlas-2026-03-01", False, use_async=use_async)
    assert apps.openai_says(gateway.url, "chat", False, use_async=use_async) == direct
    assert direct


@pytest.mark.parametrize("use_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", MESSAGES)
def test_the_anthropic_sdk_sees_the_same_answer(mock: Mock, gateway: Served, apps: Apps, name: str, use_async: bool) -> None:
    mock.answer = lambda seen: MESSAGES[name]
    direct = apps.anthropic_says(mock.url, "atlas-2026-03-01", False, use_async=use_async)
    assert apps.anthropic_says(gateway.url, "messages", False, use_async=use_async) == direct
    assert direct


@pytest.mark.parametrize("name", CHAT_STREAMS)
def test_a_chat_stream_is_the_same_though_we_asked_for_its_usage(mock: Mock, gateway: Served, apps: Apps, name: str) -> None:
    case = CHAT_STREAMS[name]
    mock.answer = case.script
    extra: dict[str, Any] = {"stream_options": {"include_usage": True}} if case.usage else {}
    asked = ASKED | {"stream": True} | extra
    assert raw(gateway.port, PATHS["chat"], asked | {"model": "chat"}) == raw(mock.port, PATHS["chat"], asked)
    assert mock.seen[-2].json["stream_options"] == {"include_usage": True}
    for use_async in (False, True):
        direct = apps.openai_says(mock.url, "atlas-2026-03-01", True, use_async=use_async, **extra)
        assert apps.openai_says(gateway.url, "chat", True, use_async=use_async, **extra) == direct
        assert direct


@pytest.mark.parametrize("name", MESSAGE_STREAMS)
def test_a_message_stream_is_the_same(mock: Mock, gateway: Served, apps: Apps, name: str) -> None:
    mock.answer = lambda seen: MESSAGE_STREAMS[name]
    asked = ASKED | {"stream": True, "max_tokens": 100}
    assert raw(gateway.port, PATHS["messages"], asked | {"model": "messages"}) == raw(mock.port, PATHS["messages"], asked)
    for use_async in (False, True):
        direct = apps.anthropic_says(mock.url, "atlas-2026-03-01", True, use_async=use_async)
        assert apps.anthropic_says(gateway.url, "messages", True, use_async=use_async) == direct
        assert direct


def test_structured_output_and_stream_helpers_parse_the_same(mock: Mock, gateway: Served) -> None:
    import pydantic

    class City(pydantic.BaseModel):
        city: str
        people: int

    def parsed(base: str, model: str) -> Any:
        with openai.OpenAI(base_url=base + "/v1", api_key="k", max_retries=0) as client:
            return client.chat.completions.parse(**ASKED | {"model": model}, response_format=City).choices[0].message.parsed

    def helped(base: str, model: str) -> Any:
        with (
            anthropic.Anthropic(base_url=base, api_key="k", max_retries=0) as client,
            client.messages.stream(**ASKED | {"model": model}, max_tokens=100) as found,
        ):
            return [event.type for event in found], found.get_final_message().model_dump()

    mock.answer = lambda seen: CHAT["structured"] if "chat" in seen.target else MESSAGE_STREAMS["tools"]
    assert parsed(gateway.url, "chat") == parsed(mock.url, "m") == City(city="Linz", people=210000)
    assert helped(gateway.url, "messages") == helped(mock.url, "m")


def test_a_rate_limit_is_retried_by_the_sdk_as_it_would_be_without_us(mock: Mock, gateway: Served) -> None:
    def attempts(base: str, model: str) -> list[str | None]:
        before = len(mock.seen)
        limited = failing(429, "rate_limit_error", retry_after_ms="1")[0]
        mock.answer = lambda seen: CHAT["text"] if seen.header("x-stainless-retry-count") == "2" else limited
        with openai.OpenAI(base_url=base + "/v1", api_key="k") as client:
            assert client.chat.completions.create(**ASKED | {"model": model}).choices[0].message.content == "Hi"
        return [seen.header("x-stainless-retry-count") for seen in mock.seen[before:]]

    assert attempts(gateway.url, "chat") == attempts(mock.url, "m") == ["0", "1", "2"]
    assert [intent.attempt for intent in gateway.spool.intents[-3:]] == [0, 1, 2]
    assert len({intent.unit for intent in gateway.spool.intents[-3:]}) == 1


def test_what_has_no_route_passes_byte_for_byte_even_packed(mock: Mock, gateway: Served) -> None:
    packed = gzip.compress(EMBEDDINGS, mtime=0)
    mock.answer = lambda seen: answer(packed, 200, content_encoding="gzip", vary="accept-encoding")
    asked: dict[str, Any] = {"model": "embedder", "input": "hi"}
    direct = raw(mock.port, "/v1/embeddings?a=%20b&c", asked, **{"accept-encoding": "gzip"})
    assert raw(gateway.port, "/v1/embeddings?a=%20b&c", asked, **{"accept-encoding": "gzip"}) == direct
    assert direct[2] == packed
    assert mock.seen[-1].target == mock.seen[-2].target == "/v1/embeddings?a=%20b&c"
    assert mock.seen[-1].body == mock.seen[-2].body
    assert mock.seen[-1].header("accept-encoding") == "gzip"
    for base in (mock.url, gateway.url):
        with openai.OpenAI(base_url=base + "/v1", api_key="k", max_retries=0) as client:
            assert client.embeddings.create(model="embedder", input="hi").data[0].embedding == [1.0]


def test_a_request_goes_out_as_it_came_in_but_for_the_version(mock: Mock, gateway: Served) -> None:
    mock.answer = lambda seen: CHAT["text"]
    body = (
        b'{ "messages" :[{"role":"user","content":"caf\\u00e9 \xc3\xa9","x":1e-40}],\n"model": "chat","seed":12345678901234567890,"t":0.10}'
    )
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request("POST", PATHS["chat"], body, {"content-type": "application/json", "openai-beta": "x=1", "user-agent": "me/1"})
    assert connection.getresponse().read() == completion()
    connection.close()
    assert mock.seen[-1].body == body.replace(b'"chat"', b'"atlas-2026-03-01"')
    assert mock.seen[-1].header("openai-beta") == "x=1"
    assert mock.seen[-1].header("user-agent") == "me/1"


def test_a_provider_that_ignores_our_wish_and_packs_a_stream_is_relayed_as_it_is(mock: Mock, gateway: Served) -> None:
    packed = gzip.compress(b"".join(chat_events(TEXT, True)), mtime=0)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    mock.answer = lambda seen: [head, chunk(packed[:50]), chunk(packed[50:]), b"0\r\n\r\n"]
    status, _, body = raw(gateway.port, PATHS["chat"], ASKED | {"model": "chat", "stream": True})
    assert (status, body) == (200, packed)
    assert gateway.spool.last().usage.output == 7
    assert gateway.spool.last().answer_chars == len("Grüß Gott")


def test_with_usage_as_sent_the_request_is_not_touched(mock: Mock) -> None:
    with serving(flagset(mock.url, usage="as_sent")) as served:
        mock.answer = CHAT_STREAMS["text"].script
        asked = ASKED | {"stream": True}
        assert raw(served.port, PATHS["chat"], asked | {"model": "chat"}) == raw(mock.port, PATHS["chat"], asked)
        assert "stream_options" not in mock.seen[-2].json
        assert served.spool.leg()[1].usage.output is None


def test_refusing_unknown_names_is_a_404_in_the_callers_protocol(mock: Mock, gateway: Served) -> None:
    before = len(mock.seen)
    with serving(with_server(flagset(mock.url), unknown="refuse")) as served:
        with openai.OpenAI(base_url=served.url + "/v1", api_key="k") as client, pytest.raises(openai.NotFoundError) as no:
            client.chat.completions.create(model="atlas-9", messages=[{"role": "user", "content": "hi"}])
        assert no.value.code == "model_not_found"
        with anthropic.Anthropic(base_url=served.url, api_key="k") as other, pytest.raises(anthropic.NotFoundError):
            other.messages.create(model="atlas-9", messages=[{"role": "user", "content": "hi"}], max_tokens=5)
    assert len(mock.seen) == before
