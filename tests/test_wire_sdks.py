"""The official SDKs, at their strictest, take what Detent writes: answers, streams and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from detent.terms import Answer, Dialect, Endpoint, ToolCall, Usage
from detent.wire import answer_body, answer_stream, error_body, error_event, rewrite

CHAT, MESSAGES = Endpoint.OPENAI_CHAT, Endpoint.ANTHROPIC_MESSAGES
CALLS = (ToolCall("call_1", "weather", '{"city": "Zürich", "days": 2}'), ToolCall("call_2", "now", "{}"))
USAGE = Usage(input=20, cached=16, output=7, reasoning=3)
ANSWERS = {
    "text": Answer(text="Grüße 😀\n\n```json\n{}\n```", model="v-1", fingerprint="fp_a", usage=USAGE),
    "tools": Answer(text="Let me look.", tool_calls=CALLS, model="v-1", fingerprint="fp_a", usage=USAGE),
    "tools alone": Answer(tool_calls=CALLS, model="v-1", usage=USAGE),
    "refusal": Answer(text="I can't help with that.", refusal=True, model="v-1", usage=USAGE),
    "empty": Answer(model="v-1", usage=Usage(input=1, output=0)),
}
QUESTION: list[Any] = [{"role": "user", "content": "Hi"}]

Reply = Callable[[httpx2.Request], httpx2.Response]


def json_reply(body: bytes, status: int = 200) -> Reply:
    return lambda request: httpx2.Response(status, content=body, headers={"content-type": "application/json"})


def sse_reply(events: list[bytes]) -> Reply:
    return lambda request: httpx2.Response(200, content=iter(events), headers={"content-type": "text/event-stream"})


def openai_client(reply: Reply) -> openai.OpenAI:
    client = httpx2.Client(transport=httpx2.MockTransport(reply))
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=client, max_retries=0, _strict_response_validation=True)


def anthropic_client(reply: Reply) -> anthropic.Anthropic:
    client = httpx2.Client(transport=httpx2.MockTransport(reply))
    return anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=client, max_retries=0, _strict_response_validation=True)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_openai_sdk_takes_a_whole_answer(answer: Answer) -> None:
    client = openai_client(json_reply(answer_body(CHAT, answer, id="chatcmpl-1", created=1790000000)))
    completion = client.chat.completions.create(model="m", messages=QUESTION)
    message = completion.choices[0].message
    assert (message.content or message.refusal or "") == answer.text
    assert bool(message.refusal) is answer.refusal
    assert completion.choices[0].finish_reason == ("tool_calls" if answer.tool_calls else "stop")
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    assert tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in calls) == answer.tool_calls
    assert (completion.model, completion.system_fingerprint, completion.created) == (answer.model, answer.fingerprint, 1790000000)
    assert completion.usage is not None
    assert completion.usage.total_tokens == (answer.usage.input or 0) + (answer.usage.output or 0)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_openai_sdk_takes_a_stream(answer: Answer) -> None:
    events = answer_stream(CHAT, answer, id="chatcmpl-1", created=1790000000, include_usage=True, pieces=5)
    with openai_client(sse_reply(events)).chat.completions.stream(model="m", messages=QUESTION) as stream:
        final = stream.get_final_completion()
    message = final.choices[0].message
    assert (message.content or message.refusal or "") == answer.text
    assert bool(message.refusal) is answer.refusal
    calls = message.tool_calls or []
    assert tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in calls) == answer.tool_calls
    assert final.usage is not None
    assert (final.usage.prompt_tokens, final.usage.completion_tokens) == (answer.usage.input, answer.usage.output)


def test_the_openai_sdk_takes_a_stream_without_usage_chunk_by_chunk() -> None:
    answer = ANSWERS["tools"]
    events = answer_stream(CHAT, answer, id="chatcmpl-1", created=1, include_usage=False, pieces=3)
    chunks = list(openai_client(sse_reply(events)).chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer.text
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_the_anthropic_sdk_takes_an_answer_and_a_stream(answer: Answer, streamed: bool) -> None:
    if streamed:
        events = answer_stream(MESSAGES, answer, id="msg_1", created=1, include_usage=False, pieces=5)
        with anthropic_client(sse_reply(events)).messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream:
            message: anthropic.types.Message = stream.get_final_message()
    else:
        client = anthropic_client(json_reply(answer_body(MESSAGES, answer, id="msg_1", created=1)))
        message = client.messages.create(model="m", max_tokens=9, messages=QUESTION)
    assert "".join(block.text for block in message.content if block.type == "text") == answer.text
    calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert calls == [(call.id, call.name, json.loads(call.arguments)) for call in answer.tool_calls]
    assert message.stop_reason == ("refusal" if answer.refusal else "tool_use" if answer.tool_calls else "end_turn")
    assert (message.stop_details is not None) is answer.refusal
    usage = message.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == answer.usage.input
    assert usage.output_tokens == answer.usage.output


def test_the_anthropic_sdk_takes_the_raw_events() -> None:
    events = answer_stream(MESSAGES, ANSWERS["tools"], id="msg_1", created=1, include_usage=True, pieces=2)
    seen = [
        event.type for event in anthropic_client(sse_reply(events)).messages.create(model="m", max_tokens=9, messages=QUESTION, stream=True)
    ]
    block = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert seen == ["message_start", *block, *block, *block, "message_delta", "message_stop"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (502, openai.InternalServerError),
    ],
)
def test_the_openai_sdk_raises_its_own_error_with_our_words(status: int, expected: type[openai.APIStatusError]) -> None:
    client = openai_client(json_reply(error_body(Dialect.OPENAI, status, "No route `x`", "unknown_route"), status))
    with pytest.raises(expected, match="No route `x`") as raised:
        client.chat.completions.create(model="m", messages=QUESTION)
    assert raised.value.code == "unknown_route"


@pytest.mark.parametrize(
    ("status", "expected", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (502, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_the_anthropic_sdk_raises_its_own_error_with_our_words(status: int, expected: type[anthropic.APIStatusError], kind: str) -> None:
    client = anthropic_client(json_reply(error_body(Dialect.ANTHROPIC, status, "No route `x`", "unknown_route"), status))
    with pytest.raises(expected, match="No route `x`") as raised:
        client.messages.create(model="m", max_tokens=9, messages=QUESTION)
    assert raised.value.body == {
        "type": "error",
        "error": {"type": kind, "message": "No route `x`", "details": {"error_code": "unknown_route"}},
    }


def test_a_gemini_caller_gets_googles_shape() -> None:
    error = json.loads(error_body(Dialect.GEMINI, 404, "No route `x`", "unknown_route"))["error"]
    assert (error["code"], error["status"], error["message"], error["details"][0]["reason"]) == (
        404,
        "NOT_FOUND",
        "No route `x`",
        "unknown_route",
    )


def test_the_sdks_raise_on_our_error_event() -> None:
    begun = Answer(text="Gr", model="v-1", usage=Usage(input=1, output=1), complete=False)
    events = [
        *answer_stream(CHAT, begun, id="i", created=1, include_usage=False, pieces=1),
        error_event(CHAT, "Upstream died", "upstream_truncated"),
    ]
    with pytest.raises(openai.APIError, match="Upstream died"):
        list(openai_client(sse_reply(events)).chat.completions.create(model="m", messages=QUESTION, stream=True))
    events = [
        *answer_stream(MESSAGES, begun, id="i", created=1, include_usage=False, pieces=1),
        error_event(MESSAGES, "Upstream died", "x"),
    ]
    with pytest.raises(anthropic.APIStatusError, match="Upstream died"):
        list(anthropic_client(sse_reply(events)).messages.create(model="m", max_tokens=9, messages=QUESTION, stream=True))


def test_a_rewritten_request_of_an_sdk_differs_by_model_and_usage_alone() -> None:
    sent: list[bytes] = []

    def reply(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.read())
        return httpx2.Response(200, content=b"data: [DONE]\n\n", headers={"content-type": "text/event-stream"})

    list(openai_client(reply).chat.completions.create(model="summarizer", messages=QUESTION, stream=True, temperature=1.0, user="é"))
    before, after = (json.loads(body) for body in (sent[0], rewrite(CHAT, sent[0], model="gpt-4o-2024-08-06", ask_usage=True)))
    assert after == before | {"model": "gpt-4o-2024-08-06", "stream_options": {"include_usage": True}}
