"""`promptfoo`: test files in YAML, prompts crossed with tests; a test is of use by its `assert` of type `equals`, which is a reference.

Nothing in such a file was ever answered: the exchanges carry a `reference` and an empty answer (`answered` is False). A test without an
`equals` is refused: `contains`, `llm-rubric` and the rest say less than a right answer. Only what `detent export` wrote has the answer that
was frozen, in the `metadata` of a test. Files and code that a test points to are neither fetched nor run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, product
from typing import Any

import yaml

from detent.formats.answers import read_answer
from detent.formats.building import Draft, exchange, first_text, parameters, read_loose
from detent.formats.reasons import ELSEWHERE, NO_ANSWER, NOT_UTF8, TOO_LONG, UNKNOWN, Unusable
from detent.formats.rows import DETAIL_CHARS, Found, Options, Row, Rows, begin, document, guarded
from detent.formats.templates import fill, fill_all, messages, shown
from detent.formats.yaml_rows import compose, value
from detent.terms import RecordedExchange, RefusedRow
from detent.wire.json_text import a_list, an_object

MAX_YAML = 4 * 1024 * 1024
MOST_CASES = 1000
"""Of one test, crossed with the prompts and the lists among its vars."""


def seen(row: dict[str, Any]) -> bool:
    """Whether a first row is of this form."""
    return "vars" in row or "assert" in row


def rows(chunks: Iterable[bytes], file: str) -> Rows:
    """One row per test, with the file's prompts, defaults and single provider beside it: `{"test", "prompts", "default", "config"}`."""
    _, chunks = begin(chunks, file)
    text = document(chunks, file, limit=MAX_YAML)
    try:
        root = compose(text.decode())
        if root is None:
            raise Unusable(UNKNOWN, "an empty document")
        yield from _tests(root, file)
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        yield RefusedRow(f"{file}:{line}", NOT_UTF8, f"`0x{text[error.start]:02x}`")
    except Unusable as error:
        yield RefusedRow(f"{file}:1", error.reason, error.detail[:DETAIL_CHARS])


def _tests(root: yaml.Node, file: str) -> Iterator[Row | RefusedRow]:
    tests: yaml.Node | None = root
    around: dict[str, Any] = {}
    if isinstance(root, yaml.MappingNode):
        members = {key.value: node for key, node in root.value if isinstance(key, yaml.ScalarNode)}
        tests = members.get("tests")
        around = {name: value(members[name]) for name in ("prompts", "defaultTest", "providers", "targets") if name in members}
    if isinstance(tests, yaml.ScalarNode) and tests is not root:
        raise Unusable(ELSEWHERE, f"tests are in `{tests.value[:100]}`")
    if not isinstance(tests, yaml.SequenceNode):
        raise Unusable(UNKNOWN, "neither a list of tests nor a file with `tests`")
    beside = {"prompts": around.get("prompts"), "default": around.get("defaultTest"), "config": _config(around)}
    for node in tests.value:
        where = f"{file}:{node.start_mark.line + 1}"
        try:
            yield Row(where, {"test": value(node)} | beside)
        except Unusable as error:
            yield RefusedRow(where, error.reason, error.detail[:DETAIL_CHARS])


def _config(around: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the file's provider, where it has one only."""
    providers = a_list(around.get("providers") or around.get("targets"))
    return an_object(an_object(providers[0]).get("config")) if len(providers) == 1 else {}


def reader(rows: Rows, options: Options) -> Found:
    """The exchanges of each test: one for each prompt, and for each value of vars that are lists."""
    for row in rows:
        if isinstance(row, RefusedRow):
            yield row
            continue
        try:
            cases = list(islice(_cases(row.value, options), MOST_CASES + 1))
            if len(cases) > MOST_CASES:
                raise Unusable(TOO_LONG, f"more than {MOST_CASES} cases in one test")
        except Unusable as error:
            yield RefusedRow(row.where, error.reason, error.detail[:DETAIL_CHARS])
            continue
        for number, (prompt, given) in enumerate(cases, 1):
            where = row.where if len(cases) == 1 else f"{row.where} case {number}"
            yield guarded(where, lambda where=where, row=row, prompt=prompt, given=given: _one(where, row.value, prompt, given))  # type: ignore[misc]


def _cases(row: dict[str, Any], options: Options) -> Iterator[tuple[Any, dict[str, Any]]]:
    test, default = row["test"], row["default"]
    for found in (test, default):
        if isinstance(found, str):
            raise Unusable(ELSEWHERE, f"`{found[:100]}`")
    if not isinstance(test, dict):
        raise Unusable(UNKNOWN, "a test that is no mapping")
    given = test.get("vars")
    if isinstance(given, str):
        raise Unusable(ELSEWHERE, f"vars are in `{given[:100]}`")
    given = an_object(an_object(default).get("vars")) | an_object(given)
    for name, held in given.items():
        if isinstance(held, str) and held.startswith("file://"):
            raise Unusable(ELSEWHERE, f"the var `{name[:60]}` is in `{held[:100]}`")
    for prompt in _prompts(row["prompts"], options):
        for values in product(*(_values(held) for held in given.values())):
            yield prompt, dict(zip(given, values, strict=True))


def _values(held: Any) -> list[Any]:
    """promptfoo tries each text of a list of texts; lists of anything else are one value."""
    return held if isinstance(held, list) and held and isinstance(held[0], str) else [held]


def _prompts(found: Any, options: Options) -> list[Any]:
    if found is None:
        return ["{{" + options.columns.get("prompt", "prompt") + "}}"]
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list):
        raise Unusable(ELSEWHERE, "prompts are in files")
    return [
        prompt.get("raw") or prompt.get("id") or "" if isinstance(prompt, dict) and "role" not in prompt else prompt for prompt in found
    ]


def _one(where: str, row: dict[str, Any], prompt: Any, given: dict[str, Any]) -> RecordedExchange:
    test, default = row["test"], an_object(row["default"])
    reference = next((found for found in map(_equals, [*_asserts(test), *_asserts(default)]) if found is not None), None)
    about = an_object(test.get("metadata"))
    if reference is None and "case" in about:  # as `detent export` wrote it: there an answer may say more than the reference
        reference = first_text(about, ("reference",)) or None
    draft = Draft(
        body=parameters(row["config"]) | parameters(fill_all(test.get("options"), given)) | {"messages": messages(prompt, given)},
        answer=read_answer(read_loose(about.get("known_good"))),
        loose=True,
        task=fill(first_text(about, ("stratum_task",)), given),
        correct=False if about.get("known_good") and about.get("faulted") else None,
        reference=None if reference is None else fill(reference, given),
        fault=(NO_ANSWER, "no assert of type `equals`; a baseline keeps its answers with `detent export --form jsonl`"),
    )
    if any(isinstance(member, str) and member.startswith("file://") for member in draft.body.values()):
        raise Unusable(ELSEWHERE, "a parameter is in another file")
    return exchange(where, draft)


def _asserts(test: dict[str, Any]) -> list[Any]:
    return [an_object(found) for found in a_list(test.get("assert"))]


def _equals(found: dict[str, Any]) -> str | None:
    if found.get("type") != "equals" or found.get("value") is None:
        return None
    text = shown(found["value"])
    if text.startswith("file://"):
        raise Unusable(ELSEWHERE, f"the expected text is in `{text[:100]}`")
    return text
