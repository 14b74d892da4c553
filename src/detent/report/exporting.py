"""A baseline for other tools: promptfoo tests, and plain JSONL in Detent's own record shape. Pure.

Leaving is easy, and safe: promptfoo renders what it reads as Nunjucks templates, twice, with the environment at hand, and loads what
begins with `file://`. A recorded prompt that says `{{ env.OPENAI_API_KEY }}` is text here and stays text there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from detent import wire
from detent.diff.shape import FENCE, find_json, whole_json
from detent.errors import InvalidInput
from detent.report.building import title_of
from detent.terms import Baseline, Case, CheckRow, Endpoint, Prompt, Route
from detent.visible import visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What is exported: a baseline, the checks of its route, and the pin file's own checks. With `reserve`, the blind one too."""

    baseline: Baseline
    route: Route
    own: Mapping[str, CheckRow] = field(default_factory=dict)
    reserve: bool = False

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases to export, in their order."""
        return tuple(case for case in self.baseline.cases if self.reserve or not case.reserve)


# ── jsonl ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def jsonl(exported: Exported) -> str:
    """One JSON object a line, in ASCII: what `detent compare --records` and `detent import` read, and the rest that a case holds."""
    provider, version = f"{exported.route.provider}/", exported.baseline.version or exported.route.version
    return "".join(json.dumps(_record(case, version.removeprefix(provider))) + "\n" for case in exported.cases)


_PATHS = {Endpoint.OPENAI_CHAT: "/v1/chat/completions", Endpoint.ANTHROPIC_MESSAGES: "/v1/messages"}


def _record(case: Case, version: str) -> dict[str, Any]:
    body = _body(case)
    messages = body.get("messages")
    said = _said(case)
    return {
        "prompt_id": case.id,
        "task": case.strata.get("task") or "all",
        "version": version,
        "messages": messages if isinstance(messages, list) else [],
        "output": case.known_good,
        "tool_calls": said.get("tool_calls", []),
        "correct": False if case.faulted else True if case.blessed else None,
        "reference": case.reference,
        # The whole request, with the model that answered it, and the answer as a message: nothing is lost on the way to another tool.
        "endpoint": _PATHS[case.endpoint],
        "request": {**body, "model": version},
        "response": said,
        "api_version": case.api_version,
        "recorded": case.recorded_at.isoformat() if case.recorded_at else None,
        "weight": case.weight,
        "strata": case.strata,
        "blessed_by": case.blessed.by if case.blessed else None,
        "faulted": case.faulted,
        "pinned": case.pinned,
        "script": [{"name": r.name, "arguments": r.arguments, "result": r.result} for r in case.script],
        "template": case.template,
    }


def _body(case: Case) -> dict[str, Any]:
    try:
        body = json.loads(case.request)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


# ── promptfoo ───────────────────────────────────────────────────────────────────────────────────────────────────────

_PROMPT = "{{ messages }}"
_OF_A_TAG = re.compile(r"\{(?=[{%#])|(?<=#)\}")
"""A brace that opens a tag of a template, or that ends a comment: Nunjucks stumbles over the end of one that was never begun."""


def promptfoo(exported: Exported) -> str:
    """A promptfoo configuration: the conversation of each case as a variable, and assertions made from the route's checks.

    Checks that promptfoo has no word for are named in the head of the file. A relative check counts only where the known-good output is
    blessed, as it does here.
    """
    tests, unsaid = [], dict[str, None]()
    for case in exported.cases:
        asserts, missing = _asserts(exported, case)
        unsaid.update(dict.fromkeys(missing))
        tests.append(_test(case, asserts))
    config = {
        "description": _inert(f"{exported.route.name}: baseline {exported.baseline.digest[:12]}, frozen by detent"),
        "prompts": [_PROMPT],
        "providers": [_provider(exported)],
        "tests": tests,
    }
    head = ["# A Detent baseline as promptfoo tests: run it with `promptfoo eval -c FILE`.", *_unsaid(exported, unsaid)]
    text: str = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=140)
    return "\n".join([*head, text])


def _unsaid(exported: Exported, unsaid: Mapping[str, None]) -> Iterator[str]:
    if unsaid:
        yield f"# Checks without a word in promptfoo, left out: {visible(', '.join(unsaid), one_line=True)}"
    if any(case.script for case in exported.cases):
        yield "# Recorded tool results are not replayed there: agent cases ask for their first call only."


def _provider(exported: Exported) -> str:
    kind = "anthropic:messages" if any(c.endpoint is Endpoint.ANTHROPIC_MESSAGES for c in exported.cases) else "openai:chat"
    return str(_inert(f"{kind}:{exported.route.version}"))


_OPTIONS = ("temperature", "max_tokens", "max_completion_tokens", "top_p", "seed", "stop", "tools", "tool_choice", "response_format")


def _test(case: Case, asserts: list[dict[str, Any]]) -> dict[str, Any]:
    # The conversation is one string of JSON, so that no member of it is taken for a template, a file or a list of alternatives.
    messages = _conversation(case)
    test: dict[str, Any] = {
        "description": _inert(visible(title_of(case), one_line=True)),
        "vars": {"messages": _as_json(messages)},
        "metadata": {"case": case.id, "weight": case.weight, **{f"stratum_{k}": _inert(v) for k, v in case.strata.items()}},
    }
    if case.known_good or case.known_good_calls:
        test["metadata"]["known_good"] = _as_json(_said(case))
    for name, said in (("faulted", case.faulted), ("reference", case.reference)):
        if said:
            test["metadata"][name] = _inert(said)
    options = {name: value for name, value in _body(case).items() if name in _OPTIONS}
    if options:
        test["options"] = _inert(options)
    return {**test, "assert": asserts} if asserts else test


def _as_json(value: Any) -> str:
    """JSON text that is no template."""
    return _OF_A_TAG.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(value))


def _said(case: Case) -> dict[str, Any]:
    """The known-good output as a message."""
    calls = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in case.known_good_calls]
    return {"role": "assistant", "content": case.known_good, **({"tool_calls": calls} if calls else {})}


def _conversation(case: Case) -> list[Any]:
    """The messages as recorded; a system prompt that stands beside them comes first, as promptfoo wants it."""
    body = _body(case)
    messages = body.get("messages")
    system = body.get("system")
    if isinstance(system, list):
        system = "\n".join(str(part.get("text", "")) for part in system if isinstance(part, dict))
    first = [{"role": "system", "content": system}] if isinstance(system, str) and system else []
    return [*first, *(messages if isinstance(messages, list) else [])]


def _inert(value: Any) -> Any:
    """A value that renders to itself as a template: every brace of a tag is written as an expression that gives it."""
    if isinstance(value, str):
        inert = _OF_A_TAG.sub(lambda m: f'{{{{ "{m[0]}" }}}}', value)
        return f'{{{{ "" }}}}{inert}' if re.match(r"(?:file|package|python|javascript|https?)s?:", inert) else inert
    if isinstance(value, dict):
        return {name: _inert(item) for name, item in value.items()}
    return [_inert(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _Held:
    """What an assertion may be made from."""

    case: Case
    prompt: Prompt

    @property
    def good(self) -> str | None:
        """The known-good output, where it is known to be good."""
        return self.case.known_good if self.case.blessed and not self.case.faulted else None


Assertions = list[dict[str, Any]]


def _json_asserted(held: _Held) -> Assertions:
    if held.prompt.schema is not None:
        return [{"type": "is-json", "value": held.prompt.schema}]
    return [{"type": "is-json"}] if held.prompt.json_asked or (held.good and whole_json(held.good)) else []


def _keys_asserted(held: _Held) -> Assertions:
    found = find_json(held.good) if held.good else None
    if found is None or not isinstance(found.value, dict) or not found.value:
        return []
    return [{"type": "is-json", "value": {"type": "object", "required": list(found.value)}}]


def _no_fence_asserted(held: _Held) -> Assertions:
    return [{"type": "not-contains", "value": FENCE}] if held.good and FENCE not in held.good else []


def _no_escapes_asserted(held: _Held) -> Assertions:
    return [{"type": "not-regex", "value": r"\\u[0-9a-fA-F]{4}"}] if held.good and "\\u" not in held.good else []


def _reference_asserted(held: _Held) -> Assertions:
    reference = held.case.reference
    if not reference:
        return []
    # The check takes the reference as the end of a longer answer too; where the known-good output is the reference, nothing else will do.
    return [{"type": "equals" if held.case.known_good.strip() == reference.strip() else "icontains", "value": _inert(reference)}]


_SAID: dict[str, Callable[[_Held], Assertions]] = {
    "answered": lambda held: [{"type": "not-is-refusal"}],
    "json_schema": _json_asserted,
    "json_valid": _json_asserted,
    "same_keys": _keys_asserted,
    "no_new_fence": _no_fence_asserted,
    "no_new_escapes": _no_escapes_asserted,
    "matches_reference": _reference_asserted,
}
"""The builtin checks that promptfoo has a word for."""

_OWN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "matches": lambda value: {"type": "regex", "value": _inert(value)},
    "never_matches": lambda value: {"type": "not-regex", "value": _inert(value)},
    "contains": lambda value: {"type": "contains", "value": _inert(value)},
    "lacks": lambda value: {"type": "not-contains", "value": _inert(value)},
    "max_chars": lambda value: {"type": "javascript", "value": f"output.length <= {value:d}"},
    "min_chars": lambda value: {"type": "javascript", "value": f"output.length >= {value:d}"},
}
"""The rules of a `[checks.NAME]` row that promptfoo has a word for."""


def _asserts(exported: Exported, case: Case) -> tuple[Assertions, list[str]]:
    """The assertions of one case, each once, and the checks that have no word there."""
    try:
        prompt = wire.read_prompt(case.endpoint, case.request)
    except (InvalidInput, RecursionError):
        prompt = Prompt()
    held, missing = _Held(case, prompt), []
    found = _reference_asserted(held)
    for name in exported.route.checks:
        row = exported.own.get(name)
        if name in _SAID:
            found += _SAID[name](held)
        elif row is not None and (rules := [make(getattr(row, rule)) for rule, make in _OWN.items() if getattr(row, rule) is not None]):
            found += rules
        else:
            missing.append(name)
    return [item for n, item in enumerate(found) if item not in found[:n]], missing


class _Dumper(yaml.SafeDumper):
    """YAML for people: texts of several lines as blocks, nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always: an anchor would tie two tests together."""
        return True


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Export:
    """A row of the table: a form that a baseline leaves in."""

    name: str
    says: str
    suffix: str
    write: Callable[[Exported], str]


EXPORTS: dict[str, Export] = {
    export.name: export
    for export in (
        Export("promptfoo", "a promptfoo configuration: prompts as variables, checks as assertions", ".yaml", promptfoo),
        Export("jsonl", "one JSON object a line: messages, known-good output, weight, strata, reference", ".jsonl", jsonl),
    )
}
"""Every form of `detent export`, by name."""
