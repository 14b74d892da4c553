"""Detent is removed by one variable, and a gateway that is down is not a product that is down: with the official SDKs, as documented."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from detent.controller import apply
from detent.terms import Answer, Endpoint, Usage
from detent.wire import answer_body, answer_stream
from mock_upstream import Mock, Script, Seen, answer, running, stream
from processes import Installation, Process, now, standing

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "or_provider.py"
PIN = "atlas-2026-03-01"
QUESTION: list[Any] = [{"role": "user", "content": "Hi"}]

BESIDE = """
[providers.claude]
dialect  = "anthropic"
base_url = "{provider}"
watcher  = "llm@example.com"

[routes.messages]
provider = "claude"
version  = "{pin}"
owner    = "a@example.com"
plan     = "quick"
"""


def example() -> Any:
    spec = importlib.util.spec_from_file_location("or_provider", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replied(seen: Seen) -> Script:
    """An honest provider of either dialect, which says which model it is."""
    said = Answer(text="Hello.", model=seen.json["model"], usage=Usage(input=3, output=2))
    endpoint = Endpoint.ANTHROPIC_MESSAGES if "messages" in seen.target else Endpoint.OPENAI_CHAT
    if seen.json.get("stream"):
        return stream(*answer_stream(endpoint, said, id="x-1", created=1790000000, include_usage=True, pieces=2))
    return answer(answer_body(endpoint, said, id="x-1", created=1790000000))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Mock]]:
    """A route of each dialect, pinned, and a provider that keeps what it was asked."""
    with running() as provider, standing(tmp_path_factory.mktemp("home"), provider.url) as place:
        provider.answer = replied
        place.file.write_text(place.text() + BESIDE.format(provider=provider.url, pin=PIN))
        apply(place.store, place.file.read_text(), file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
        yield place, provider


@pytest.fixture
def gateway(installed: tuple[Installation, Mock]) -> Iterator[Process]:
    """A process of its own, which a test may kill."""
    place, provider = installed
    process = place.gateway()
    place.acknowledged(process)
    provider.seen.clear()
    yield process
    if process.alive:
        process.kill()


def asked_for(provider: Mock) -> list[tuple[str, str]]:
    """What the provider was asked: the model, and who by."""
    found = [(seen.json["model"], seen.header("authorization") or seen.header("x-api-key") or "") for seen in provider.seen]
    provider.seen.clear()
    return found


# ── one variable ──


def test_the_openai_client_is_moved_by_one_variable(
    installed: tuple[Installation, Mock], gateway: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app leaves the version in its code, and names its route in a header that providers don't know."""
    provider = installed[1]

    def app() -> Any:
        client = openai.OpenAI(api_key="k", default_headers={"x-detent-route": "chat"})
        return client.chat.completions.with_raw_response.create(model=PIN, messages=QUESTION)

    monkeypatch.setenv("OPENAI_BASE_URL", f"{gateway.url}/v1")
    assert "x-detent-revision" in app().headers
    monkeypatch.setenv("OPENAI_BASE_URL", f"{provider.url}/v1")
    without = app()
    assert "x-detent-revision" not in without.headers
    assert without.parse().choices[0].message.content == "Hello."
    assert [model for model, _ in asked_for(provider)] == [PIN, PIN]


def test_the_anthropic_client_is_moved_by_one_variable(
    installed: tuple[Installation, Mock], gateway: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = installed[1]

    def app() -> Any:
        client = anthropic.Anthropic(api_key="k", default_headers={"x-detent-route": "messages"})
        return client.messages.with_raw_response.create(model=PIN, max_tokens=9, messages=QUESTION)

    monkeypatch.setenv("ANTHROPIC_BASE_URL", gateway.url)
    assert "x-detent-revision" in app().headers
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
    assert "x-detent-revision" not in app().headers
    assert [model for model, _ in asked_for(provider)] == [PIN, PIN]


# ── the gateway down ──


@pytest.mark.fault(
    "a gateway is killed: and none is left",
    "an app with the client's fallback goes on with the provider and the pinned version",
)
def test_an_openai_app_whose_gateway_is_killed_goes_on_with_the_provider_and_the_pin(
    installed: tuple[Installation, Mock], gateway: Process
) -> None:
    (place, provider), module = installed, example()
    pins = module.pins(str(place.file))
    assert pins == {"chat": PIN, "messages": PIN}
    transport = module.OrProvider(gateway.url, provider.url, pins, key={"authorization": "Bearer the provider's"})
    client = openai.OpenAI(api_key="detent's", base_url=f"{gateway.url}/v1", http_client=httpx2.Client(transport=transport))

    def app() -> Any:
        return client.chat.completions.with_raw_response.create(model="chat", messages=QUESTION)

    assert "x-detent-revision" in app().headers
    provider.seen.clear()
    gateway.kill()
    for _ in range(2):
        direct = app()
        assert "x-detent-revision" not in direct.headers
        assert direct.parse().choices[0].message.content == "Hello."
    with client.chat.completions.stream(model="chat", messages=QUESTION) as streamed:
        assert streamed.get_final_completion().choices[0].message.content == "Hello."
    assert asked_for(provider) == [(PIN, "Bearer the provider's")] * 3, "each once"


def test_an_anthropic_app_whose_gateway_is_killed_goes_on_with_the_provider_and_the_pin(
    installed: tuple[Installation, Mock], gateway: Process
) -> None:
    (place, provider), module = installed, example()
    transport = module.OrProvider(gateway.url, provider.url, module.pins(str(place.file)), key={"authorization": "Bearer the provider's"})
    client = anthropic.Anthropic(api_key="detent's", base_url=gateway.url, http_client=httpx2.Client(transport=transport))

    def app() -> Any:
        return client.messages.with_raw_response.create(model="messages", max_tokens=9, messages=QUESTION)

    assert "x-detent-revision" in app().headers
    provider.seen.clear()
    gateway.kill()
    direct = app()
    assert "x-detent-revision" not in direct.headers
    assert direct.parse().content[0].text == "Hello."
    with client.messages.stream(model="messages", max_tokens=9, messages=QUESTION) as streamed:
        assert streamed.get_final_text() == "Hello."
    assert asked_for(provider) == [(PIN, "Bearer the provider's")] * 2


def test_what_the_gateway_answers_is_never_asked_again_elsewhere(installed: tuple[Installation, Mock], gateway: Process) -> None:
    """A refusal is an answer: only where nothing listens does the app go past Detent."""
    (place, provider), module = installed, example()
    transport = module.OrProvider(gateway.url, provider.url, module.pins(str(place.file)))
    client = openai.OpenAI(api_key="k", base_url=f"{gateway.url}/v1", http_client=httpx2.Client(transport=transport), max_retries=0)
    provider.answer = lambda seen: answer(json.dumps({"error": {"message": "no"}}).encode(), status=400)
    try:
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="chat", messages=QUESTION)
    finally:
        provider.answer = replied
    assert len(asked_for(provider)) == 1


def test_the_page_shows_the_code_that_is_tested() -> None:
    page = (ROOT / "docs" / "how-to" / "take-detent-out.md").read_text()
    shown = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class OrProvider" in block]
    assert all(block == EXAMPLE.read_text() for block in shown)
