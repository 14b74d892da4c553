"""What sampling knows of an exchange: which prompt it is, what it is like, and where it stands among the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from detent import wire
from detent.diff import language
from detent.sampling import text
from detent.sampling.hashing import Words, edges, facts, hashed
from detent.terms import Endpoint, Message, Prompt, RecordedExchange, ToolResult
from detent.wire import json_text, turns

STRATA: tuple[str, ...] = ("task", "tools", "template", "length", "language", "schema", "season")
"""Where a prompt is placed, dimension by dimension; see `strata`."""

LANGUAGE_WORDS = 30
"""How many words of a prompt its language is told by."""

_LENGTHS = ((256, "to 256"), (1024, "to 1k"), (4096, "to 4k"), (16384, "to 16k"))
_MARKS = {Endpoint.OPENAI_CHAT: b'"tool"', Endpoint.ANTHROPIC_MESSAGES: b"tool_result"}
"""What stands in a request that holds tool results: only such a one is cut back, since that costs another parse."""


@dataclass(frozen=True, slots=True)
class Features:
    """An exchange as sampling sees it.

    `prompt` names the prompt: equal for two that differ in nothing but spacing, case and who asks. `apart` must be equal for two prompts
    to be near-duplicates: it names template, task and facts. `whole` are the words that they are compared by (of a short one without the
    greetings of its last message), `edges` those that open and close the last message of a long one. `steps` is how many tool results were
    recorded after the last user message.
    """

    prompt: bytes
    apart: bytes
    whole: Words
    edges: Words
    template: str
    strata: tuple[str, ...]
    steps: int


def of_exchange(exchange: RecordedExchange) -> Features:
    """The features of a recorded exchange. Raises InvalidInput for a request that cannot be read."""
    return of_request(
        exchange.endpoint,
        exchange.request,
        template=exchange.template or template_of(exchange.endpoint, exchange.request),
        task=exchange.task,
        called=bool(exchange.answer.tool_calls),
        at=exchange.at,
    )


def of_request(endpoint: Endpoint, request: bytes, *, template: str, task: str, called: bool, at: datetime | None) -> Features:
    """The features of a request, cut back to its last user message; `called` says whether its answer called a tool.

    Raises InvalidInput for a request that cannot be read.
    """
    asked, script = cut_back(endpoint, request)
    prompt = wire.read_prompt(endpoint, asked)
    said = [_said(message) for message in prompt.messages]
    spelled = text.spelled("\n".join(said))
    joined = " ".join(spelled)
    words = text.compared(spelled)
    whole = last = hashed(words if len(words) > text.LONG else text.compared(_core(prompt.messages)))
    if len(said) > 1 and len(words) > text.LONG:
        last = hashed(text.compared(text.spelled(prompt.messages[-1].text)))
    return Features(
        prompt=text.key((endpoint.value, template, joined)),
        apart=text.key((endpoint.value, template, task, *text.other_facts(spelled, joined)), facts(whole)),
        whole=whole,
        edges=edges(last) if len(words) > text.LONG else whole[:0],
        template=template,
        strata=strata(prompt, template=template, task=task, called=called or bool(script), at=at, characters=len(joined), words=words),
        steps=len(script),
    )


def _said(message: Message, words: str | None = None) -> str:
    said = message.text if words is None else words
    return " ".join((message.role, said, *(f"{call.name} {call.arguments}" for call in message.tool_calls)))


def _core(messages: tuple[Message, ...]) -> list[str]:
    """The words of a short conversation, its last message without greetings: of few words, one more makes another prompt."""
    if not messages:
        return []
    *before, last = messages
    asked = " ".join(text.core(text.spelled(last.text)))
    return text.spelled("\n".join([*map(_said, before), _said(last, asked)]))


def cut_back(endpoint: Endpoint, request: bytes) -> tuple[bytes, tuple[ToolResult, ...]]:
    """The request cut back to its last user message, and the tool results recorded after it. Raises InvalidInput."""
    return turns.rewind(endpoint, request) if _MARKS[endpoint] in request else (request, ())


def strata(
    prompt: Prompt, *, template: str, task: str, called: bool, at: datetime | None, characters: int, words: list[str]
) -> tuple[str, ...]:
    """One value for each of `STRATA`: the task; whether tools are called, offered or none; the template and the schema by the first hex
    digits of their digests; the length in characters; the language; weekday or weekend (UTC).
    """
    return (
        task or "none",
        "called" if called else "offered" if prompt.tools else "no",
        template[:12] or "none",
        next((name for limit, name in _LENGTHS if characters <= limit), "over 16k"),
        language.of(" ".join(words[:LANGUAGE_WORDS]), words[:LANGUAGE_WORDS]) or "unknown",
        "none" if prompt.schema is None else json_text.digest(prompt.schema)[:8],
        "unknown" if at is None else "weekend" if at.weekday() >= 5 else "weekday",
    )


def template_of(endpoint: Endpoint, request: bytes) -> str:
    """The template of a request that no gateway has seen, worked out as a gateway does it. Raises InvalidInput."""
    members = json_text.spans(request)
    if "model" in members:  # which model was asked is no part of it, and may be missing or strange in a file
        request = request[: members["model"].start] + b'"-"' + request[members["model"].end :]
    else:
        request = request.replace(b"{", b'{"model":"-",' if members else b'{"model":"-"', 1)
    return wire.read_head(endpoint, (), request).template
