"""Recorded answers: one JSON object a line -> rows, with every fault named by file and line; and rows answered anew, labels joined."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from detent.diff.shape import canonical, canonical_arguments
from detent.errors import InvalidInput
from detent.terms import Answer, ToolCall
from detent.visible import visible

MOST_ERRORS = 20
"""Faults of a file that are named at once."""

_HINT = (
    "one JSON object a line: prompt_id, version, messages, output; "
    "optional correct (true, false or null), task, tools, tool_calls, params, finish_reason"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recorded answer of one version to one prompt. `correct` is None for an answer without a label."""

    prompt_id: str
    task: str
    version: str
    messages: tuple[dict[str, Any], ...]
    answer: Answer
    correct: bool | None
    tools: tuple[dict[str, Any], ...] = ()
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What is unique in a file: prompt and version."""
        return self.prompt_id, self.version


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a row: what it must be, in words, and whether a row may do without it (a null counts as absent then)."""

    must_be: str
    holds: Callable[[Any], bool]
    optional: bool = False


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str)


def _is_call(value: Any) -> bool:
    called = value.get("function", value) if isinstance(value, dict) else None
    return isinstance(called, dict) and isinstance(called.get("name"), str) and isinstance(called.get("arguments", ""), str | dict)


def _list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(holds(item) for item in value)


_FIELDS: dict[str, _Field] = {
    "prompt_id": _Field("a string that is not empty", lambda v: isinstance(v, str) and v != ""),
    "task": _Field("a string", lambda v: isinstance(v, str), optional=True),
    "version": _Field("a string that is not empty", lambda v: isinstance(v, str) and v != ""),
    "messages": _Field("a list of chat messages, each an object with a role", lambda v: v != [] and _list_of(_is_message)(v)),
    "output": _Field("a string", lambda v: isinstance(v, str)),
    "correct": _Field("true, false or null", lambda v: v is None or isinstance(v, bool), optional=True),
    "tools": _Field("a list of objects", _list_of(lambda v: isinstance(v, dict)), optional=True),
    "tool_calls": _Field('a list like [{"function": {"name": "..", "arguments": ".."}}]', _list_of(_is_call), optional=True),
    "params": _Field("an object", lambda v: isinstance(v, dict), optional=True),
    "finish_reason": _Field("a string", lambda v: isinstance(v, str), optional=True),
}


def read_rows(lines: Iterable[bytes], *, file: str) -> tuple[Row, ...]:
    """All rows of a record file, in order; empty lines are skipped.

    Raises InvalidInput that names file and line of every fault, up to 20 at once: not UTF-8, not JSON, a field missing or of a wrong
    type, a (prompt_id, version) that was there before, a prompt that changes its task. And for a file without any row.
    """
    reader = _Reader(file)
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901 - a byte order mark, as some editors write it
        if line.strip():
            reader.add(number, line.rstrip(b"\r\n"))
    return reader.rows()


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = visible(file, one_line=True)
        self.found: dict[tuple[str, str], Row] = {}
        self.lines: dict[tuple[str, str], int] = {}
        self.tasks: dict[str, tuple[str, int]] = {}
        self.faults: list[str] = []
        self.unshown = 0

    def fault(self, number: int, what: str) -> None:
        if len(self.faults) < MOST_ERRORS:
            self.faults.append(f"{self.file}:{number}: {what}")
        else:
            self.unshown += 1

    def add(self, number: int, line: bytes) -> None:
        try:
            value = json.loads(line.decode(), parse_constant=_refuse)
        except UnicodeDecodeError as error:
            self.fault(number, f"not UTF-8: `0x{line[error.start]:02x}` at byte {error.start + 1} of the line")
        except json.JSONDecodeError as error:
            self.fault(number, f"not JSON: {error.msg}, at character {error.pos + 1} of the line")
        except (ValueError, RecursionError) as error:
            self.fault(number, f"not JSON: {visible(str(error), one_line=True)[:100]}")
        else:
            self.add_value(number, value)

    def add_value(self, number: int, value: Any) -> None:
        if not isinstance(value, dict):
            self.fault(number, f"not an object: {_shown(value)}")
            return
        faults = list(_field_faults(value))
        for fault in faults:
            self.fault(number, fault)
        if not faults:
            self.add_row(number, _row(value))

    def add_row(self, number: int, row: Row) -> None:
        if row.key in self.found:
            before = f"on line {self.lines[row.key]} as well"
            self.fault(number, f"a second answer of version {_shown(row.version)} to prompt {_shown(row.prompt_id)}, which is {before}")
            return
        task, line = self.tasks.setdefault(row.prompt_id, (row.task, number))
        if task != row.task:
            self.fault(number, f"prompt {_shown(row.prompt_id)} of task {_shown(row.task)}, which on line {line} is of task {_shown(task)}")
            return
        self.found[row.key] = row
        self.lines[row.key] = number

    def rows(self) -> tuple[Row, ...]:
        if self.faults:
            more = [f"and {self.unshown} more"] if self.unshown else []
            raise InvalidInput("\n".join([*self.faults, *more]), hint=_HINT)
        if not self.found:
            raise InvalidInput(f"no records in the file: `{self.file}`", hint=_HINT)
        return tuple(self.found.values())


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _field_faults(value: dict[str, Any]) -> Iterator[str]:
    for name, wanted in _FIELDS.items():
        if name not in value:
            if not wanted.optional:
                yield f"missing field: `{name}`"
        elif not wanted.holds(value[name]) and not (wanted.optional and value[name] is None):
            # An answer that is a tool call has no text; OpenAI writes null then.
            if name == "output" and value[name] is None and value.get("tool_calls"):
                continue
            yield f"`{name}` must be {wanted.must_be}: {_shown(value[name])}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else canonical(value)
    text = visible(text, one_line=True)
    return f"`{text[:60]}...`" if len(text) > 60 else f"`{text}`"


def _row(value: dict[str, Any]) -> Row:
    return Row(
        prompt_id=value["prompt_id"],
        task=value.get("task") or "all",
        version=value["version"],
        messages=tuple(value["messages"]),
        answer=Answer(
            text=value["output"] or "",
            tool_calls=tuple(_call(call) for call in value.get("tool_calls") or ()),
            finish_reason=value.get("finish_reason"),
        ),
        correct=value.get("correct"),
        tools=tuple(value.get("tools") or ()),
        params=value.get("params") or {},
    )


def _call(value: dict[str, Any]) -> ToolCall:
    called = value.get("function", value)
    arguments = called.get("arguments", "")
    given = value.get("id")
    return ToolCall(
        given if isinstance(given, str) else "", called["name"], arguments if isinstance(arguments, str) else canonical(arguments)
    )


# ── asking anew ─────────────────────────────────────────────────────────────────────────────────────────────────────


def in_common(rows: Iterable[Row], stable: str, candidate: str) -> tuple[tuple[Row, Row], ...]:
    """The rows of the prompts that both versions have, as (stable, candidate), in stable's order.

    Raises InvalidInput for a version the file doesn't have, naming those that it has, and for one version given twice.
    """
    arms: dict[str, dict[str, Row]] = {}
    for row in rows:
        arms.setdefault(row.version, {})[row.prompt_id] = row
    for version in (stable, candidate):
        if version not in arms:
            known = ", ".join(_shown(name) for name in list(arms)[:20])
            raise InvalidInput(f"no records of version: {_shown(version)}", hint=f"the file has {known}")
    if stable == candidate:
        raise InvalidInput(f"the same version for stable and candidate: {_shown(stable)}", hint="name two versions of the file")
    return tuple((row, arms[candidate][prompt]) for prompt, row in arms[stable].items() if prompt in arms[candidate])


def answered(rows: Iterable[Row], answers: Mapping[tuple[str, str], Answer]) -> tuple[tuple[Row, ...], int]:
    """The rows with the answers given for their (prompt_id, version), and how many of those answers no record knows.

    A label belongs to (version, messages, output): an answer that equals a recorded output of its version to its messages keeps that
    label, any other has none. Where equal outputs have been labelled both ways, only the prompt's own label counts.
    """
    rows = tuple(rows)
    labels: dict[tuple[str, ...], set[bool | None]] = {}
    for row in rows:
        labels.setdefault(_said(row, row.answer), set()).add(row.correct)
    anew, unknown = [], 0
    for row in rows:
        answer = answers.get(row.key)
        if answer is None:
            anew.append(row)
            continue
        said = _said(row, answer)
        known = labels.get(said)
        unknown += known is None
        correct = next(iter(known)) if known is not None and len(known) == 1 else None
        if said == _said(row, row.answer):
            correct = row.correct
        anew.append(replace(row, answer=answer, correct=correct))
    return tuple(anew), unknown


def _said(row: Row, answer: Answer) -> tuple[str, ...]:
    calls = sorted(f"{call.name} {canonical_arguments(call.arguments)}" for call in answer.tool_calls)
    return (row.version, canonical(row.messages), answer.text, *calls)
