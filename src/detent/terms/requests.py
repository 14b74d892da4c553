"""A request and its answer, as `wire` reads them: neutral of the dialect."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from detent.terms.pinfile import Dialect


class Endpoint(StrEnum):
    """The endpoints whose requests and answers Detent reads; all others pass through byte for byte."""

    OPENAI_CHAT = "openai_chat"
    ANTHROPIC_MESSAGES = "anthropic_messages"

    @property
    def dialect(self) -> Dialect:
        """The dialect this endpoint belongs to."""
        return Dialect.OPENAI if self is Endpoint.OPENAI_CHAT else Dialect.ANTHROPIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What routing needs of a request, and no more. `session` and `user` are as sent (secret: hash before storing).

    `opening` is a digest of system prompt and first user message; `continues` says that the version has answered in this conversation
    before; `template` is a digest of system prompt, tools and parameters. `route` is what
    the header `x-detent-route` asks for; `tenant` and `region` are what `x-detent-tenant` and `x-detent-region` say. `api_version` and
    `betas` are Anthropic's headers of these names: the API that the app was written for, which a replay has to ask for again. `trace` is
    the id of the client's trace (W3 traceparent).
    """

    endpoint: Endpoint
    model: str
    stream: bool = False
    asks_usage: bool = False
    session: str | None = None
    session_source: str | None = None
    user: str | None = None
    user_source: str | None = None
    opening: str = ""
    template: str = ""
    attempt: int = 0
    continues: bool = False
    no_record: bool = False
    no_shadow: bool = False
    route: str | None = None
    tenant: str | None = None
    region: str | None = None
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call in a message or an answer; `arguments` is the JSON text as written."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a request in neutral form. `tool_result_for` is the id of the call that this message answers; `failed` says that
    the tool gave an error.
    """

    role: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_result_for: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request in neutral form. `schema` is the JSON schema that the answer was asked to follow; `json_asked` also covers JSON mode."""

    system: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[str, ...] = ()
    json_asked: bool = False
    schema: dict[str, Any] | None = None
    max_tokens: int | None = None

    @property
    def step(self) -> int:
        """Which model call of its conversation this is, from 1: answers already in the history, plus one."""
        return 1 + sum(m.role == "assistant" for m in self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; `input` includes cached. None where it did not say (never a guess)."""

    input: int | None = None
    cached: int | None = None
    output: int | None = None
    reasoning: int | None = None


CUT_OFF = frozenset({"length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded", "max_output_tokens"})
"""The finish reasons of an answer that a limit ended, as providers spell them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A provider's answer in neutral form. `complete` is False for a stream without its end; `error` is the provider's error text."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    refusal: bool = False
    model: str | None = None
    fingerprint: str | None = None
    usage: Usage = Usage()
    complete: bool = True
    error: str | None = None

    def __hash__(self) -> int:
        """Of what tells answers apart; they are looked up many times, and hashing all that equality compares takes four times as long."""
        return hash((self.text, self.tool_calls))
