"""One whole request to a version, over a real socket: what a baseline run makes its calls with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from detent.asking import asker
from detent.baseline import Call, Reply
from detent.errors import CouldNotRun
from detent.terms import Dialect, Endpoint, Manifest, Provider, Version
from mock_upstream import CLOSE, COMPLETION, GO, OK, Mock, answer, running

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


def asks(
    mock: Mock, provider: str = "openai", endpoint: Endpoint = Endpoint.OPENAI_CHAT, *, whole_call_s: float = 60.0, **more: Any
) -> Reply:
    async def once() -> Reply:
        async with asker(manifest(mock), whole_call_s=whole_call_s) as ask:
            return await ask(Call(Version(provider, "atlas-2026-06-01"), endpoint, BODY, **more))

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


def test_the_apps_own_api_version_and_betas_are_sent(mock: Mock) -> None:
    asks(mock, "anthropic", Endpoint.ANTHROPIC_MESSAGES, api_version="2024-10-22", betas=("context-1m-2025-08-07", "files-api-2025-04-14"))
    (seen,) = mock.seen
    assert seen.header("anthropic-version") == "2024-10-22"
    assert seen.header("anthropic-beta") == "context-1m-2025-08-07,files-api-2025-04-14"


def test_how_long_to_wait_and_whether_to_try_again_are_read_from_the_answer(mock: Mock) -> None:
    mock.script = answer(b"{}", status=429, retry_after="7", x_should_retry="false")
    assert asks(mock) == Reply(429, b"{}", retry_after_s=7.0, retry=False)
    mock.script = answer(b"{}", status=503, retry_after_ms="250", x_should_retry="true")
    assert asks(mock) == Reply(503, b"{}", retry_after_s=0.25, retry=True)


def test_how_long_an_answer_took_is_told(mock: Mock) -> None:
    assert (asks(mock).latency_s or 0.0) > 0.0


def test_a_provider_that_drips_has_not_answered(mock: Mock) -> None:
    mock.script = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{", GO]
    with pytest.raises(CouldNotRun, match=r"no whole answer within 0\.2 s"):
        asks(mock, whole_call_s=0.2)
    assert mock.seen[0].hung_up.wait(10), "and it is not left hanging"


def test_an_answer_without_end_is_not_listened_to(mock: Mock) -> None:
    mock.script = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", *([b" " * 1_000_000] * 20), CLOSE]
    with pytest.raises(CouldNotRun, match="an answer larger than 8 MB"):
        asks(mock)


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
