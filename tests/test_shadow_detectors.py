"""Every row of the table of named changes, found where a team would see it: real requests through the real gateway, mirrored by the real
process, spooled, read in and graded. Each whole and streamed, in both protocols; stable is asked a second time, and differs in nothing.

A provider answers what is scripted for a request by the version that is asked; `user` says which script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benches import bench
from detent import diff, wire
from detent.diff import BENIGN, CHANGES, Asked
from detent.terms import Answer, Endpoint, Message, Pair, Phase, Prompt, Role, ToolCall, Usage, Version
from mock_upstream import Script, Seen, answer, running, stream
from records import rollout
from serving import CANDIDATE, STABLE, post
from shadowed import shadowed

OPENAI, ANTHROPIC = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES
PATHS = {OPENAI: "/v1/chat/completions", ANTHROPIC: "/v1/messages"}
ROUTES = {OPENAI: "chat", ANTHROPIC: "messages"}


@dataclass(frozen=True)
class Case:
    """A change to be seen: what is asked, and what either version says to it."""

    name: str
    endpoint: Endpoint
    streamed: bool
    stable: Answer
    candidate: Answer
    asked: Prompt

    @property
    def key(self) -> str:
        return key_of(self.name, self.endpoint, self.streamed)

    def said(self, version: str) -> Answer:
        return self.candidate if version == CANDIDATE else self.stable


def key_of(name: str, endpoint: Endpoint, streamed: bool) -> str:
    return f"{name}-{endpoint.value}-{'streamed' if streamed else 'whole'}"


# ── the scripts ──


def on_the_wire(endpoint: Endpoint, said: Answer) -> Answer:
    """The answer as it is read once it has been through the protocol; it cannot say all that an answer of the bench says."""
    body = wire.answer_body(endpoint, said, id="a", created=1)
    return wire.read_answer(endpoint, status=200, body=body, streamed=False)


def step_limit(endpoint: Endpoint) -> tuple[Answer, Answer, Asked]:
    """Ten calls since the user's word, of twelve that are allowed: stable answers, the candidate asks for one more."""
    call = ToolCall("call_1", "search", '{"q": "order"}')
    steps = (Message(role="assistant", tool_calls=(call,)), Message(role="tool", text="nothing", tool_result_for="call_1"))
    prompt = Prompt(messages=(Message(role="user", text="Find my order"), *steps * 10), tools=("search",))
    return Answer(text="Here it is.", finish_reason="stop"), Answer(tool_calls=(call,), finish_reason="tool_calls"), Asked(prompt=prompt)


def cases() -> Iterator[Case]:
    """One pair for each row, of the bench's making: the first that shows its change through the protocol."""
    made_by = bench("detectors")
    for row in CHANGES:
        for endpoint in Endpoint:
            for streamed in (False, True):
                random = Random(f"seven {row.name}")
                for _ in range(20):
                    made = made_by.changed.MAKERS[row.name][0](random, made_by.pairs.WORLDS["held out"])
                    stable, candidate, asked = step_limit(endpoint) if row.name == "step_limit_hit" else made
                    stable, candidate = (on_the_wire(endpoint, counted(said)) for said in (stable, candidate))
                    case = Case(row.name, endpoint, streamed, stable, candidate, asked.prompt if asked else Prompt())
                    if row.name == "step_limit_hit" or row.name in (c.name for c in diff.changes(stable, candidate, asked)):
                        yield case
                        break
                else:
                    raise AssertionError(f"the bench makes no pair that shows `{row.name}`")


def counted(said: Answer) -> Answer:
    """With tokens, as a provider says them: those of the bench, or some that say nothing."""
    return replace(said, usage=Usage(input=20, output=said.usage.output or 9))


def request(case: Case) -> dict[str, Any]:
    """The request in its protocol."""
    history = case.asked.messages or (Message(role="user", text="Tell me."),)
    body: dict[str, Any] = {"model": ROUTES[case.endpoint], "stream": case.streamed}
    if case.endpoint is OPENAI:
        system = [{"role": "system", "content": case.asked.system}] if case.asked.system else []
        body |= {"user": case.key, "messages": [*system, *map(_openais, history)]}
        body["tools"] = [{"type": "function", "function": {"name": name}} for name in case.asked.tools]
        if case.asked.schema:
            form = {"name": "answer", "schema": case.asked.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
    else:
        body |= {
            "metadata": {"user_id": case.key},
            "max_tokens": 900,
            "system": case.asked.system,
            "messages": list(map(_anthropics, history)),
        }
        body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in case.asked.tools]
        if case.asked.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": case.asked.schema}}
    return {name: value for name, value in body.items() if value not in ([], "")}


def _openais(message: Message) -> dict[str, Any]:
    if message.tool_calls:
        calls = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.tool_calls]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    more = {"tool_call_id": message.tool_result_for} if message.tool_result_for else {}
    return {"role": message.role, "content": message.text, **more}


def _anthropics(message: Message) -> dict[str, Any]:
    if message.tool_calls:
        calls = [{"type": "tool_use", "id": c.id, "name": c.name, "input": json.loads(c.arguments)} for c in message.tool_calls]
        return {"role": "assistant", "content": calls}
    if message.tool_result_for:
        return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": message.tool_result_for, "content": message.text}]}
    return {"role": message.role, "content": message.text}


def provider(of: dict[str, Case]) -> Callable[[Seen], Script]:
    """Answers as the script says for the version that is asked; a stream in pieces."""

    def play(seen: Seen) -> Script:
        body = seen.json
        case = of[body.get("user") or body["metadata"]["user_id"]]
        said = replace(case.said(body["model"]), model=body["model"])
        if not body.get("stream"):
            return answer(wire.answer_body(case.endpoint, said, id="a", created=1))
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return stream(*wire.answer_stream(case.endpoint, said, id="a", created=1, include_usage=usage, pieces=5))

    return play


# ── the whole way ──


PIN_FILE = """
[providers.openai]
dialect  = "openai"
base_url = "{url}/v1"
watcher  = "llm@example.com"

[providers.anthropic]
dialect  = "anthropic"
base_url = "{url}"
watcher  = "llm@example.com"

[routes.chat]
provider = "openai"
version  = "{version}"
owner    = "a@example.com"
context  = "messages[-1] <docs>...</docs>"
record   = {{ bodies = {bodies} }}

[routes.messages]
provider = "anthropic"
version  = "{version}"
owner    = "a@example.com"
context  = "messages[-1] <docs>...</docs>"
record   = {{ bodies = {bodies} }}
"""


Graded = dict[str, tuple[Case, Pair]]


def whole_way(home: Path, *, bodies: float) -> tuple[Graded, int]:
    """All cases, with the pair that each came to; and how many mirrored legs have bodies on record."""
    of = {case.key: case for case in cases()}
    opened = []
    for endpoint, route in ROUTES.items():
        stable, candidate = (Version(endpoint.dialect.value, model) for model in (STABLE, CANDIDATE))
        opened.append(rollout(id=f"ro_{route}", route=route, phase=Phase.SHADOW, stable=stable, candidate=candidate))
    with running() as upstream:
        upstream.answer = provider(of)
        with shadowed(home, PIN_FILE.format(url=upstream.url, version=STABLE, bodies=bodies), *opened) as shadow:

            def one(case: Case) -> str:
                status, headers, heard = post(shadow.gateway, PATHS[case.endpoint], request(case))
                assert status == 200, heard
                return headers["x-detent-request-id"]

            exchanges = shadow.ask(one, of.values())
            shadow.step()
            found = {pair.exchange: pair for pair in shadow.pairs()}
            legs = [leg for exchange in found for leg in shadow.store.journal.exchange(exchange)]
    assert len(legs) == 3 * len(of), "the live leg, the candidate's, and stable's second"
    ends = [leg.result for leg in legs if leg.intent.role is Role.MIRRORED and leg.result is not None]
    with_bodies = sum(end.request_body is not None or end.answer_body is not None for end in ends)
    return {key: (case, found[str(exchange)]) for (key, case), exchange in zip(of.items(), exchanges, strict=True)}, with_bodies


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    found, with_bodies = whole_way(tmp_path_factory.mktemp("home"), bodies=1.0)
    assert with_bodies == 2 * len(found), "the candidate's and stable's second"
    return found


ALL = [(row.name, endpoint, streamed) for row in CHANGES for endpoint in Endpoint for streamed in (False, True)]


@pytest.mark.parametrize(("name", "endpoint", "streamed"), [case for case in ALL if case[0] not in BENIGN])
def test_the_change_is_named(graded: Graded, name: str, endpoint: Endpoint, streamed: bool) -> None:
    case, pair = graded[key_of(name, endpoint, streamed)]
    assert f"change:{name}" in pair.candidate_differs, (case.stable, case.candidate, pair.note)
    assert pair.second_differs == (), "stable said the same again"


@pytest.mark.parametrize(("name", "endpoint", "streamed"), [case for case in ALL if case[0] in BENIGN])
def test_what_is_benign_is_no_difference(graded: Graded, name: str, endpoint: Endpoint, streamed: bool) -> None:
    _, pair = graded[key_of(name, endpoint, streamed)]
    assert (pair.candidate_differs, pair.second_differs, pair.note) == ((), (), "")


@pytest.mark.parametrize("endpoint", Endpoint)
@pytest.mark.parametrize("name", [row.name for row in CHANGES])
def test_a_stream_and_a_whole_answer_are_graded_alike(graded: Graded, name: str, endpoint: Endpoint) -> None:
    whole, streamed = (graded[key_of(name, endpoint, streamed)][1] for streamed in (False, True))
    assert whole.candidate_differs == streamed.candidate_differs
    assert (whole.scored, whole.stable_failed, whole.candidate_failed) == (
        streamed.scored,
        streamed.stable_failed,
        streamed.candidate_failed,
    )


def test_without_bodies_the_scores_are_the_same(graded: Graded, tmp_path: Path) -> None:
    """They are graded in memory by who mirrors; of what was asked and said nothing is written down."""
    in_memory, with_bodies = whole_way(tmp_path, bodies=0.0)
    assert with_bodies == 0
    for key, (_, from_journal) in graded.items():
        other = in_memory[key][1]
        assert as_graded(other) == replace(as_graded(from_journal), signature=b""), key


def as_graded(pair: Pair) -> Pair:
    """Without what no two exchanges have in common."""
    return replace(pair, exchange="", at_us=0, conversation="")
