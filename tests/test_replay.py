"""Recorded answers, said again: `detent sim replay` through the official SDKs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from openai.types.chat import ChatCompletion

from detent.cli import main
from detent.compare import read_rows
from detent.errors import InvalidInput
from detent.sim.provider import Provider, serving
from detent.sim.replay import Recording

OLD, NEW = "atlas-2026-03-01", "atlas-2026-04-02"
UNICODE = ' Café Noël 👩‍🚀 "x" \\u00e9 e\u0301 \u2028 𝔘 שלום\r\n\n```json\n{"a": 1}\n```\n'
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}


def record(prompt: str, output: str, *, version: str = OLD, prompt_id: str = "", **more: Any) -> dict[str, Any]:
    row = {"prompt_id": prompt_id or prompt, "task": "t", "version": version, "messages": asked(prompt), "output": output, "correct": None}
    return row | more


def asked(prompt: str) -> list[Any]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}]


def recording(*records: dict[str, Any]) -> Recording:
    return Recording(read_rows([json.dumps(row).encode() for row in records], file="records.jsonl"))


def sdk(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", _strict_response_validation=True)


def replayed(said: Recording, story: Callable[[openai.AsyncOpenAI, str], Coroutine[Any, Any, None]]) -> None:
    """Tell a story to the openai SDK at a replay on a real socket."""

    async def tell() -> None:
        async with serving(Provider(said.answer, said.versions)) as url, sdk(url) as client:
            await story(client, url)

    asyncio.run(tell())


@pytest.mark.parametrize("output", [UNICODE, "", " ", "plain"])
def test_an_answer_comes_back_to_the_character_whole_and_streamed(output: str) -> None:
    async def story(client: openai.AsyncOpenAI, url: str) -> None:
        whole = await client.chat.completions.create(model=OLD, messages=asked("who?"))
        assert whole.choices[0].message.content == output
        assert (whole.model, whole.usage) == (OLD, None)  # tokens were not recorded, and none are made up
        stream = await client.chat.completions.create(model=OLD, messages=asked("who?"), stream=True)
        assert "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices]) == output

    replayed(recording(record("who?", output)), story)


def test_version_messages_and_tools_tell_answers_apart_and_nothing_else_does() -> None:
    said = recording(
        record("who?", "old"),
        record("who?", "new", version=NEW),
        record("who?", "with a tool", prompt_id="tool", tools=[TOOL]),
        record("what?", "something"),
    )

    async def story(client: openai.AsyncOpenAI, url: str) -> None:
        async def text(version: str, prompt: str, **more: Any) -> str | None:
            got: ChatCompletion = await client.chat.completions.create(model=version, messages=asked(prompt), **more)
            return got.choices[0].message.content

        assert await text(OLD, "who?") == "old"
        assert await text(OLD, "who?", temperature=0.3, max_tokens=50) == "old"
        assert await text(NEW, "who?") == "new"
        assert await text(OLD, "who?", tools=[TOOL]) == "with a tool"
        assert await text(OLD, "what?") == "something"

    replayed(said, story)


def test_a_recorded_tool_call_is_made_again() -> None:
    call = {"function": {"name": "lookup", "arguments": '{"id": "é"}'}}

    async def story(client: openai.AsyncOpenAI, url: str) -> None:
        (choice,) = (await client.chat.completions.create(model=OLD, messages=asked("who?"), tools=[TOOL])).choices  # type: ignore[list-item]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls is not None
        (made,) = choice.message.tool_calls
        assert made.type == "function"
        assert (made.function.name, made.function.arguments) == ("lookup", '{"id": "é"}')
        assert made.id  # an app answers a call by its id

    replayed(recording(record("who?", "", tools=[TOOL], tool_calls=[call])), story)


def test_several_answers_to_one_prompt_take_turns() -> None:
    said = recording(*(record("who?", answer, prompt_id=answer) for answer in ("one", "two", "three")))

    async def story(client: openai.AsyncOpenAI, url: str) -> None:
        got = [(await client.chat.completions.create(model=OLD, messages=asked("who?"))).choices[0].message.content for _ in range(5)]
        assert got == ["one", "two", "three", "one", "two"]

    replayed(said, story)


def test_what_was_not_recorded_is_said_to_be_so() -> None:
    async def story(client: openai.AsyncOpenAI, url: str) -> None:
        with pytest.raises(openai.NotFoundError, match=r"no answer of `atlas-2026-03-01` to this prompt was recorded") as raised:
            await client.chat.completions.create(model=OLD, messages=asked("whence?"))
        assert raised.value.code == "prompt_not_recorded"
        with pytest.raises(
            openai.NotFoundError, match=r"no answers of the version `atlas-9` were recorded; there are those of `atlas-2026"
        ):
            await client.chat.completions.create(model="atlas-9", messages=asked("who?"))
        assert [model.id async for model in client.models.list()] == [OLD, NEW]
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as other:
            with pytest.raises(anthropic.NotFoundError, match="OpenAI chat completions only"):
                await other.messages.create(model=OLD, messages=[{"role": "user", "content": "who?"}], max_tokens=9)

    said = recording(record("who?", "me"), record("who?", "me too", version=NEW))
    assert repr(said) == f"recorded answers of {OLD}, {NEW}: 2"
    replayed(said, story)


def test_an_answer_that_no_wire_can_carry_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidInput, match="the answer to prompt `who\\?` of version `atlas-2026-03-01` is no text"):
        recording(record("who?", "half a pair: \ud83d"))


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_file_names_its_line_and_a_missing_one_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text(json.dumps(record("who?", "me")) + '\n{"prompt_id": "x"\n')
    assert main(["sim", "replay", str(file)]) == 2
    assert f"{file}:2: not JSON" in capsys.readouterr().err
    assert main(["sim", "replay", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl` (No such file or directory)" in capsys.readouterr().err


def test_comparing_through_the_replay_gives_the_same_numbers_as_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        record(f"question {n}", f"{output} {n} é", version=version, correct=correct)
        for n in range(30)
        for version, output, correct in ((OLD, "right", True), (NEW, "```right```" if n % 3 else "right", n % 3 == 0))
    ]
    file = tmp_path / "records.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in records))
    given = ["compare", "--records", str(file), "--stable", OLD, "--candidate", NEW, "--json"]
    assert main(given) == 1
    from_file = json.loads(capsys.readouterr().out)
    assert from_file["overall"]["negative_flips"] == 20  # two thirds of 30, as written above

    command = [sys.executable, "-m", "detent", "sim", "replay", str(file), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        assert main([*given, "--through", f"{line.split()[-1]}/v1"]) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    assert json.loads(capsys.readouterr().out) == from_file
