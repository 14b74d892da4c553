"""One whole request to a version, over a real socket: what a baseline run makes its calls with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from detent.asking import asker
from detent.baseline import Reply
from detent.errors import CouldNotRun
from detent.terms import Dialect, Endpoint, Manifest, Provider, Version
from mock_upstream import CLOSE, COMPLETION, OK, Mock, answer, running

BODY = b'{"model":"atlas-2026-06-01","messages":[]}'


@pytest.fixture
def mock() -> Iterator[Mock]:
    with running() as mock:
        mock.script = OK
        yield mock


def manifest(mock: Mock) -> Manifest:
    openai = Provider(name="openai", dialect=Dialect.OPENAI, base_url=mock.url + "/v1", key_env="TEST_KEY", watcher="w")
    anthropic = Provider(name="anthropic", dialect=Dialect.ANTHROPIC, base_url=mock.url, key_env="TEST_KEY", watcher="w")
    return Manifest(providers={"openai": openai, "anthropic": anthropic}, routes={}, plans={})


def asks(mock: Mock, provider: str = "openai", endpoint: Endpoint = Endpoint.OPENAI_CHAT) -> Reply:
    async def once() -> Reply:
        async with asker(manifest(mock)) as ask:
            return await ask(Version(provider, "atlas-2026-06-01"), endpoint, BODY)

    return asyncio.run(once())


def test_a_version_is_asked_with_its_providers_own_key(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "secret")
    assert asks(mock) == Reply(200, COMPLETION)
    (seen,) = mock.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/v1/chat/completions", BODY)
    assert seen.header("authorization") == "Bearer secret"
    assert seen.header("content-type") == "application/json"
    assert seen.header("accept-encoding") in (None, "identity")


def test_an_anthropic_style_provider_is_asked_in_its_own_way(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "secret")
    asks(mock, "anthropic", Endpoint.ANTHROPIC_MESSAGES)
    (seen,) = mock.seen
    assert seen.target == "/v1/messages"
    assert seen.header("x-api-key") == "secret"
    assert seen.header("anthropic-version") == "2023-06-01"


def test_a_refusal_is_an_answer(mock: Mock) -> None:
    mock.script = answer(b'{"error": {"message": "no"}}', status=400)
    assert asks(mock) == Reply(400, b'{"error": {"message": "no"}}')


def test_no_answer_is_none(mock: Mock) -> None:
    mock.script = [CLOSE]
    with pytest.raises(CouldNotRun):
        asks(mock)
    mock.script = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{", CLOSE]
    with pytest.raises(CouldNotRun):
        asks(mock)


def test_a_provider_that_left_the_pin_file_is_named(mock: Mock) -> None:
    with pytest.raises(CouldNotRun, match="no such provider in the pin file: `gone`"):
        asks(mock, "gone")
