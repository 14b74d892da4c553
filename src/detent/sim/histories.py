"""What a simulated version reads of a request's history, and how it names its tool calls. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b

from detent.terms import Answer, Message, Prompt, ToolCall


def turn_of(prompt: Prompt) -> tuple[Message | None, tuple[Message, ...]]:
    """The user message that opened the current turn, and what followed it."""
    for at in range(len(prompt.messages) - 1, -1, -1):
        message = prompt.messages[at]
        if message.role == "user" and message.tool_result_for is None:
            return message, prompt.messages[at + 1 :]
    return None, prompt.messages


def last_result(messages: Iterable[Message]) -> dict[str, object]:
    """The last tool result that is a JSON object; empty without one."""
    for message in reversed(tuple(messages)):
        if message.tool_result_for is None:
            continue
        try:
            found = json.loads(message.text)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def size(text: str, calls: Iterable[ToolCall]) -> int:
    """Characters of an answer: its text, and the names and arguments of its tool calls."""
    return len(text) + sum(len(c.name) + len(c.arguments) for c in calls)


def tokens(characters: int) -> int:
    """Four characters make a token."""
    return characters // 4 + 1


def call(version: str, prompt: Prompt, prefix: str, name: str, **arguments: str) -> Answer:
    """An answer that calls one tool, under an id of the version's own."""
    return Answer(tool_calls=(ToolCall(prefix + call_id(version, prompt.messages), name, json.dumps(arguments)),))


def call_id(version: str, before: Iterable[Message]) -> str:
    """Every version makes its ids by its own scheme: a digest of its name and the messages so far."""
    digest = blake2b(version.encode(), digest_size=12)
    for message in before:
        _fold(digest, message)
    return digest.hexdigest()


def called_before(version: str, prompt: Prompt, upto: int) -> bool:
    """Whether one of the first `upto` messages holds a tool call that `version` itself made."""
    digest = blake2b(version.encode(), digest_size=12)
    for message in prompt.messages[:upto]:
        if any(made.id.endswith(digest.hexdigest()) for made in message.tool_calls):
            return True
        _fold(digest, message)
    return False


def _fold(digest: blake2b, message: Message) -> None:
    digest.update("\x1f".join((message.role, message.text, *(c.id for c in message.tool_calls), "\x1e")).encode())
