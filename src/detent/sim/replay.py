"""Recorded answers as a provider: what a version said to a prompt, said again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import cycle

from detent import wire
from detent.compare import Row
from detent.errors import InvalidInput
from detent.sim.versions import Fault
from detent.terms import Answer, Endpoint, Head
from detent.visible import visible


class Recording:
    """Answers by version, messages and tools. Several records of one key are answered in turn, in the order of the file, and over again.

    Raises InvalidInput for a record whose prompt or answer no body can carry.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        found: dict[tuple[str, str], list[Answer]] = {}
        for row in rows:
            found.setdefault((row.version, _key(row)), []).append(_said(row))
        self._answers: dict[tuple[str, str], Iterator[Answer]] = {key: cycle(answers) for key, answers in found.items()}
        self._records = sum(len(answers) for answers in found.values())
        self.versions: tuple[str, ...] = tuple(dict.fromkeys(version for version, _ in found))

    def __repr__(self) -> str:
        return f"recorded answers of {', '.join(self.versions)}: {self._records}"

    def answer(self, endpoint: Endpoint, head: Head, body: bytes) -> Answer | Fault:
        """The recorded answer, exactly; 404 for a version or a prompt that is not in the recording. An `Answerer` of provider.py."""
        if endpoint is not Endpoint.OPENAI_CHAT:
            return Fault(404, "recorded answers are served as OpenAI chat completions only: POST /v1/chat/completions", "unknown_url")
        if head.model not in self.versions:
            known = ", ".join(f"`{version}`" for version in self.versions)
            return Fault(404, f"no answers of the version `{head.model}` were recorded; there are those of {known}", "model_not_found")
        answers = self._answers.get((head.model, wire.prompt_key(endpoint, body)))
        if answers is None:
            return Fault(
                404, f"no answer of `{head.model}` to this prompt was recorded (messages and tools must be the same)", "prompt_not_recorded"
            )
        return next(answers)


def _key(row: Row) -> str:
    """The key of the request that asks for this row."""
    asked = {"messages": row.messages} | ({"tools": row.tools} if row.tools else {})
    try:
        return wire.prompt_key(Endpoint.OPENAI_CHAT, json.dumps(asked).encode())
    except InvalidInput as wrong:
        raise InvalidInput(f"cannot ask for the prompt `{visible(row.prompt_id, one_line=True)}`: {wrong.message}") from wrong


def _said(row: Row) -> Answer:
    """The row's answer under its version's name. Ids of tool calls that were not recorded are made up: an app answers a call by its id."""
    calls = tuple(replace(call, id=call.id or f"call_{n}") for n, call in enumerate(row.answer.tool_calls, start=1))
    said = replace(row.answer, model=row.version, tool_calls=calls)
    try:
        wire.answer_body(Endpoint.OPENAI_CHAT, said, id="", created=0)
    except UnicodeEncodeError as wrong:  # half a surrogate pair: JSON can escape it, no wire can carry it
        where = f"`{visible(row.prompt_id, one_line=True)}` of version `{visible(row.version, one_line=True)}`"
        raise InvalidInput(f"the answer to prompt {where} is no text: {wrong.reason} at character {wrong.start + 1}") from wrong
    return said
