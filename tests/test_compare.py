"""`detent compare`: two versions over the same prompts, from a file of recorded answers or asked anew through an endpoint."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from detent.cli import asking, main
from detent.compare import Comparison, compare, read_rows, schema, to_json, verdict
from detent.diff import CHANGES
from detent.diff.schema_walk import violations
from detent.errors import Exit, InvalidInput
from detent.visible import visible

OLD, NEW = "atlas-1", "atlas-2"


def record(prompt: int | str, version: str, output: str, correct: bool | None, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"question {prompt}"}]
    row = {"prompt_id": f"q/{prompt}", "task": "faq", "version": version, "messages": messages, "output": output, "correct": correct}
    return row | more


def both(prompt: int, old: bool | None, new: bool | None, **more: Any) -> list[dict[str, Any]]:
    return [record(prompt, OLD, f"answer {prompt}", old, **more), record(prompt, NEW, f"answer {prompt}!", new, **more)]


def outcome(lost: int = 0, won: int = 0, right: int = 0, wrong: int = 0, unlabelled: int = 0) -> list[dict[str, Any]]:
    """Records of two versions with so many prompts of each kind."""
    kinds: list[tuple[bool | None, bool | None]] = []
    for kind, n in (
        ((True, False), lost),
        ((False, True), won),
        ((True, True), right),
        ((False, False), wrong),
        ((None, True), unlabelled),
    ):
        kinds.extend([kind] * n)
    return [row for n, (old, new) in enumerate(kinds) for row in both(n, old, new)]


def lines(records: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(record).encode() + b"\n" for record in records]


def compared(records: list[dict[str, Any]]) -> Comparison:
    return compare(read_rows(lines(records), file="records.jsonl"), OLD, NEW)


class Told:
    """What a run of the command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Run = Callable[..., Told]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Write the records to a file and compare them as the command does."""

    def compare_file(records: list[dict[str, Any]] | bytes, *options: str, stable: str = OLD, candidate: str = NEW) -> Told:
        path = tmp_path / "records.jsonl"
        path.write_bytes(records if isinstance(records, bytes) else b"".join(lines(records)))
        code = main(["compare", "--records", str(path), "--stable", stable, "--candidate", candidate, *options])
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return compare_file


# ── what is counted ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_flips_are_counted_over_the_labelled_and_changes_over_all() -> None:
    fenced = [record("x", OLD, "a" * 10, None), record("x", NEW, "```" + "b" * 7, True), record("y", OLD, "alone", True)]
    table = compared(outcome(lost=3, won=1, right=4, wrong=2) + fenced)
    assert (table.overall.prompts, table.overall.labelled) == (11, 10)
    assert (table.overall.stable_right, table.overall.candidate_right) == (7, 5)
    assert (table.overall.negative_flips, table.overall.positive_flips) == (3, 1)
    assert table.overall.mcnemar_p == pytest.approx(0.625)  # four coins: 2 (1 + 4) / 16
    assert table.overall.length_ratio == pytest.approx((10 * len("answer 0!") + 10) / (10 * len("answer 0") + 10))
    assert table.overall.changes == {row.name: int(row.name == "fence_added") for row in CHANGES}
    assert (table.only_stable, table.only_candidate) == (1, 0)


def test_each_task_has_its_table() -> None:
    records = both(1, True, False, task="b") + both(2, False, True, task="a") + both(3, True, True, task="b")
    found = compared(records)
    assert {name: (t.prompts, t.negative_flips, t.positive_flips) for name, t in found.tasks.items()} == {"a": (1, 0, 1), "b": (2, 1, 0)}
    assert [(flip.prompt_id, flip.kind) for flip in found.flips] == [("q/1", "negative"), ("q/2", "positive")]


def test_no_characters_before_give_no_ratio() -> None:
    assert compared([record(1, OLD, "", True), record(1, NEW, "x", True)]).overall.length_ratio is None


@pytest.mark.parametrize(
    ("kinds", "exit_code"),
    [
        ({"lost": 6}, Exit.REGRESSION),  # p = 2/64 = 0.031
        ({"lost": 5}, Exit.INCONCLUSIVE),  # p = 2/32: five could never tell
        ({"lost": 5, "unlabelled": 40}, Exit.INCONCLUSIVE),
        ({"lost": 5, "right": 1}, Exit.PASS),  # p = 0.0625
        ({"lost": 7, "won": 1}, Exit.PASS),  # p = 2 (1 + 8) / 256 = 0.070
        ({"lost": 8, "won": 1}, Exit.REGRESSION),  # p = 2 (1 + 9) / 512 = 0.039
        ({"won": 9}, Exit.PASS),
        ({"right": 50}, Exit.PASS),
        ({"unlabelled": 50}, Exit.INCONCLUSIVE),
    ],
)
def test_the_verdict_follows_the_exact_test(run: Run, kinds: dict[str, int], exit_code: Exit) -> None:
    records = outcome(**kinds)
    assert verdict(compared(records)) == exit_code
    assert run(records).code == exit_code
    told = run(records, "--json")
    assert told.code == exit_code
    assert told.json["overall"]["prompts"] == sum(kinds.values())


def test_no_prompt_in_common_is_too_little_to_tell(run: Run) -> None:
    told = run([record(1, OLD, "a", True), record(2, NEW, "b", True)])
    assert told.code == Exit.INCONCLUSIVE
    assert "0 prompts compared; left out, because one version alone has them: 1 only atlas-1, 1 only atlas-2" in told.out


# ── what is said ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_lines_say_what_a_team_needs_to_hear(run: Run) -> None:
    told = run(outcome(lost=8, won=1, right=10, wrong=1))
    assert told.out.splitlines()[:4] == [
        "right: atlas-1 18 of 20 (90.0 %), atlas-2 11 of 20 (55.0 %): -35.0 points",
        "flips: 8 negative (right before, wrong now), 1 positive (wrong before, right now)",
        "cause: none of the 8 lost prompts shows a change that has a name: read them below",
        "verdict: worse (p = 0.0391, exact McNemar, two-sided); one run each is a signal, not a confirmed regression: "
        "run the lost prompts again to confirm it",
    ]
    assert told.out.count("\nlost ") == 3
    assert told.out.rstrip().endswith("5 more are lost; --json lists them all")


def test_the_commonest_cause_is_named_and_what_has_none_is_counted(run: Run) -> None:
    fenced = [r for n in range(4) for r in (record(n, OLD, "x = 1", True), record(n, NEW, "```\nx = 1\n```", False))]
    renamed = [r for n in range(4, 6) for r in (record(n, OLD, '{"a": 1}', True), record(n, NEW, '{"b": 1}', False))]
    told = run(fenced + renamed + both(6, True, False))
    assert told.out.splitlines()[2] == "cause: 4 of 7 lost prompts: code fence added; 1 with no named change"


def test_tasks_are_listed_when_there_are_several(run: Run) -> None:
    records = [r for n in range(8) for r in both(n, True, n % 2 == 0, task=f"task {n % 2}")]
    rows = [line.split() for line in run(records).out.splitlines() if line.startswith("task ")]
    assert rows[1:] == [
        ["task", "0", "4", "4", "4", "0", "0", "1", "x", "1.12"],
        ["task", "1", "4", "4", "0", "4", "0", "0.125", "x", "1.12"],
    ]
    assert "right before" not in run(outcome(right=9)).out.split("\n\n", 1)[1]


def test_a_lost_prompt_is_shown_as_a_word_diff(run: Run) -> None:
    told = run([record(1, OLD, "The total is 12 euros.", True), record(1, NEW, "The sum is 12 euros.", False)])
    shown = told.out.split("\n\n")[-1].splitlines()
    assert shown == [
        "lost 1 of 1: q/1 (task faq)",
        "  reworded: the same facts in other words: 67% of the words are the same",  # so look at the check before the answer
        "    The [-total-]{+sum+} is 12 euros.",
    ]


def test_a_long_answer_is_shortened_around_the_change(run: Run) -> None:
    long = " ".join(f"w{n}" for n in range(5000))
    told = run([record(1, OLD, f"{long} total {long}", True), record(1, NEW, f"{long} sum {long}", False)])
    assert "w4998 w4999 [-total-]{+sum+} w0 w1" in told.out
    assert len(told.out) < 2000


def test_what_a_version_wrote_commands_no_terminal(run: Run) -> None:
    hostile = "\x1b[2J\x1b]0;owned\x07[bold red]you[/bold red]\r\u202e\x9b31m \ud800 \u200b"
    records = [
        record(1, OLD, f"fine {hostile}", True, task=hostile, prompt_id=hostile),
        record(1, NEW, f'```{hostile}\n{{"{hostile}": 1}}', False, task=hostile, prompt_id=hostile),
    ]
    told = run(records)
    assert not [c for c in told.out if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u200b\ud800"]
    assert "\\x1b[2J" in told.out
    assert "[bold red]you[/bold red]" in told.out  # markup is text here
    assert run(records, "--json").json["flips"][0]["stable_output"] == f"fine {hostile}"


def test_visible_text_keeps_lines_and_letters() -> None:
    assert visible("naïve 青\n\tx\x1b[0m\u2028") == "naïve 青\n\tx\\x1b[0m\\u2028"
    assert visible("a\nb", one_line=True) == "a\\nb"


def test_colour_is_for_terminals_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(1, OLD, "The total", True), record(1, NEW, "The sum", False)]
    assert "\x1b" not in run(records).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    told = run(records)
    assert "\x1b[9;31mtotal\x1b[0m" in told.out
    assert "[-" not in told.out


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_json_is_all_that_goes_to_stdout_and_follows_its_schema(run: Run) -> None:
    told = run([*outcome(lost=8, won=1, right=3, unlabelled=2), record("x", OLD, "alone", True)], "--json")
    assert told.code == Exit.REGRESSION
    assert list(violations(schema(), told.json)) == []
    assert "a signal, not a confirmed regression" in told.err
    assert "1 only atlas-1" in told.err
    table = told.json["overall"]
    assert list(table) == [
        "prompts", "stable_right", "candidate_right", "negative_flips", "positive_flips", "mcnemar_p", "length_ratio", "changes",
    ]  # fmt: skip
    assert list(table["changes"]) == [row.name for row in CHANGES]
    assert told.json["flips"][0] == {
        "prompt_id": "q/0",
        "task": "faq",
        "kind": "negative",
        "stable_output": "answer 0",
        "candidate_output": "answer 0!",
        "changes": [],
    }


@pytest.mark.parametrize("kinds", [{"unlabelled": 3}, {"lost": 2}, {"right": 7}])
def test_the_schema_covers_what_is_not_known(kinds: dict[str, int]) -> None:
    found = to_json(compared(outcome(**kinds)))
    assert list(violations(schema(), found)) == []
    assert found["overall"]["mcnemar_p"] == {"unlabelled": None, "lost": 0.5, "right": 1.0}[next(iter(kinds))]


def test_the_schema_refuses_another_shape() -> None:
    found = to_json(compared(outcome(lost=2)))
    del found["overall"]["mcnemar_p"]
    found["flips"][0]["kind"] = "bad"
    assert sorted(violations(schema(), found)) == [
        "$.flips[0].kind: none of the values that are allowed",
        "$.overall.mcnemar_p: missing",
    ]


# ── broken files ────────────────────────────────────────────────────────────────────────────────────────────────────

GOOD = json.dumps(record(1, OLD, "x", True)).encode()


def broken(**change: Any) -> bytes:
    value = record(2, OLD, "x", True) | change
    return json.dumps({name: v for name, v in value.items() if v != "gone"}).encode()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"prompt_id": ', "not JSON: Expecting value, at character 15 of the line"),
        (b'{"a": NaN}', "not JSON: NaN is no JSON number"),
        (b"[1, 2]", "not an object: `[1,2]`"),
        (b'{"prompt_id": "\xff"}', "not UTF-8: `0xff` at byte 16 of the line"),
        (broken(output="gone"), "missing field: `output`"),
        (broken(correct="yes"), "`correct` must be true, false or null: `yes`"),
        (broken(correct=1), "`correct` must be true, false or null: `1`"),
        (broken(prompt_id=7), "`prompt_id` must be a string that is not empty: `7`"),
        (broken(version=""), "`version` must be a string that is not empty: ``"),
        (broken(output=None), "`output` must be a string: `null`"),
        (broken(messages="hello"), "`messages` must be a list of chat messages, each an object with a role: `hello`"),
        (broken(messages=[]), "`messages` must be a list of chat messages, each an object with a role: `[]`"),
        (broken(messages=[{"content": "x"}]), "`messages` must be a list of chat messages"),
        (broken(tool_calls=[{"id": "c"}]), "`tool_calls` must be a list like"),
        (broken(params=[1]), "`params` must be an object: `[1]`"),
        (broken(task="\x1b[31m" * 40, correct=3), "`correct` must be"),
        (broken(prompt_id="q/1"), "a second answer of version `atlas-1` to prompt `q/1`, which is on line 1 as well"),
        (broken(prompt_id="q/1", version=NEW, task="other"), "prompt `q/1` of task `other`, which on line 1 is of task `faq`"),
    ],
)
def test_a_broken_line_is_named(run: Run, line: bytes, says: str) -> None:
    told = run(GOOD + b"\n\n" + line + b"\n", "--json")
    assert told.code == Exit.USAGE
    assert told.out == ""
    assert "records.jsonl:3: " + says in told.err
    assert "hint: one JSON object a line" in told.err
    assert "\x1b" not in told.err


def test_all_faults_are_named_at_once_up_to_twenty() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_rows([b"{}\n"] + [b"?\n"] * 30, file="records.jsonl")
    said = caught.value.message.splitlines()
    assert len(said) == 21
    assert said[0] == "records.jsonl:1: missing field: `prompt_id`"
    assert said[3] == "records.jsonl:1: missing field: `output`"
    assert said[-1] == "and 14 more"


def test_a_row_needs_no_label_and_no_task() -> None:
    (row,) = read_rows(
        [b'{"prompt_id": "q", "version": "v", "messages": [{"role": "user", "content": "?"}], "output": "!"}'], file="r.jsonl"
    )
    assert (row.task, row.correct) == ("all", None)


def test_a_file_as_other_systems_write_it_is_read() -> None:
    """Byte order mark, carriage returns, no newline at the end, fields of one's own, nulls for what is optional."""
    data = b"\xef\xbb\xbf" + GOOD + b"\r\n\r\n" + broken(judge=None, tools=None, tool_calls=None, params=None, finish_reason=None)
    rows = read_rows(data.splitlines(keepends=True), file="records.jsonl")
    assert [row.prompt_id for row in rows] == ["q/1", "q/2"]


def test_tool_calls_are_compared(run: Run) -> None:
    def called(version: str, arguments: Any, correct: bool) -> dict[str, Any]:
        call = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": arguments}}
        return record(1, version, "", correct, tool_calls=[call]) | {"output": None}

    told = run([called(OLD, '{"id": 1}', True), called(NEW, {"id": 2}, False)])
    assert "cause: 1 of 1 lost prompts: tool called with other arguments" in told.out
    assert '    find({"id":[- 1-]{+2+}})' in told.out


def test_an_unknown_version_is_answered_with_those_of_the_file(run: Run) -> None:
    told = run(outcome(right=2), candidate="atlas-3")
    assert told.code == Exit.USAGE
    assert told.err == "detent: no records of version: `atlas-3`\nhint: the file has `atlas-1`, `atlas-2`\n"


def test_a_version_is_not_compared_with_itself(run: Run) -> None:
    assert run(outcome(right=2), candidate=OLD).code == Exit.USAGE


def test_a_missing_or_empty_file_is_bad_input(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        assert main(["compare", "--records", str(path), "--stable", OLD, "--candidate", NEW]) == Exit.USAGE
        assert f"`{path}`" in capsys.readouterr().err
    told = run(b"\n")
    assert told.code == Exit.USAGE
    assert "no records in the file" in told.err


# ── asked anew through an endpoint ──────────────────────────────────────────────────────────────────────────────────

Handler = Callable[[dict[str, Any], web.Request], web.Response]


@contextmanager
def endpoint(handler: Handler) -> Iterator[str]:
    """A real HTTP server in a thread; its base URL."""
    ready, stops = threading.Event(), list[Callable[[], object]]()
    urls: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        return handler(await request.json(), request)

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield urls[0]
    finally:
        stops[0]()
        thread.join(10)
        assert not thread.is_alive()


def completion(text: str) -> web.Response:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return web.json_response({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


def replayed(records: list[dict[str, Any]]) -> Handler:
    """Answers each version's prompts as recorded."""
    outputs = {(r["version"], json.dumps(r["messages"])): r["output"] for r in records}
    return lambda asked, _: completion(outputs[asked["model"], json.dumps(asked["messages"])])


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE_S", 0.0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_numbers_stay_the_same_through_an_endpoint(run: Run) -> None:
    records = outcome(lost=8, won=1, right=10, wrong=3, unlabelled=2)
    with endpoint(replayed(records)) as url:
        through = run(records, "--json", "--through", url)
    recorded = run(records, "--json")
    assert (through.code, through.json) == (recorded.code, recorded.json)
    assert through.code == Exit.REGRESSION


def test_a_request_carries_version_messages_tools_params_and_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    tool = {"type": "function", "function": {"name": "find", "parameters": {}}}
    records = both(1, True, True, tools=[tool], params={"temperature": 0.1, "model": "not this", "stream": True})
    seen: list[tuple[Any, str | None]] = []

    def handler(asked: dict[str, Any], request: web.Request) -> web.Response:
        seen.append((asked, request.headers.get("authorization")))
        return completion("answer 1")

    with endpoint(handler) as url:
        run(records, "--through", url + "/")
    assert sorted(asked["model"] for asked, _ in seen) == [OLD, NEW]
    for asked, key in seen:
        assert {name: asked[name] for name in asked if name != "model"} == {
            "messages": [{"role": "user", "content": "question 1"}], "tools": [tool], "temperature": 0.1,
        }  # fmt: skip
        assert key == "Bearer sk-one"


def test_a_label_stays_with_its_output(run: Run) -> None:
    """Another recorded output to the same messages brings its own label; an output that nobody recorded has none, and that is said."""
    twin = {"messages": [{"role": "user", "content": "twin"}]}
    twins = [record(n, v, f"{v} says {n}", n == 101) | twin for n in (101, 102) for v in (OLD, NEW)]
    records = outcome(right=6) + twins

    def handler(asked: dict[str, Any], request: web.Request) -> web.Response:
        content = asked["messages"][0]["content"]
        if content == "twin":
            return completion(f"{asked['model']} says 101")  # right, says the record, and so it is for the prompt that had it wrong
        return completion("never heard of") if content == "question 3" else replayed(records)(asked, request)

    with endpoint(handler) as url:
        told = run(records, "--json", "--through", url)
    assert "2 answers differ from every recorded one and have no label" in told.err
    table = told.json["overall"]
    assert table["prompts"] == 8
    assert (table["stable_right"], table["candidate_right"]) == (7, 7)


def test_equal_outputs_labelled_both_ways_label_no_one_else(run: Run) -> None:
    """Three prompts of one wording; the first two answered `maybe`, once counted as right and once as wrong."""
    same = {"messages": [{"role": "user", "content": "same"}]}
    said = [("maybe", True), ("maybe", False), ("no", True)]
    records = [record(n, v, text, label) | same for n, (text, label) in enumerate(said) for v in (OLD, NEW)]
    with endpoint(lambda _, __: completion("maybe")) as url:
        table = run(records, "--json", "--through", url).json["overall"]
    assert (table["prompts"], table["stable_right"], table["candidate_right"]) == (3, 1, 1)  # the third has no label any more


def test_overload_is_waited_out(run: Run) -> None:
    records = outcome(right=6)
    tried: Counter[str] = Counter()

    def handler(asked: dict[str, Any], request: web.Request) -> web.Response:
        key = json.dumps(asked)
        tried[key] += 1
        if tried[key] <= 2:
            status = (429, 503)[tried[key] - 1]
            return web.json_response({"error": {"message": "slow down"}}, status=status, headers={"retry-after": "0"})
        return replayed(records)(asked, request)

    with endpoint(handler) as url:
        told = run(records, "--json", "--through", url)
    assert told.code == Exit.PASS
    assert set(tried.values()) == {3}


def test_a_prompt_that_the_endpoint_does_not_know_is_named(run: Run) -> None:
    records = outcome(right=20)

    def handler(asked: dict[str, Any], request: web.Request) -> web.Response:
        if asked["messages"][0]["content"] in ("question 4", "question 11"):
            return web.json_response({"error": {"message": "no record\x1b[31m of this"}}, status=404)
        return replayed(records)(asked, request)

    with endpoint(handler) as url:
        told = run(records, "--json", "--through", url)
    assert told.code == Exit.COULD_NOT_RUN
    assert told.out == ""
    assert "no answer to prompt `q/4` from version `atlas-1`" in told.err
    assert "HTTP 404: no record" in told.err
    assert "\x1b" not in told.err
    assert "2 of 20 prompts have no answer" in told.err


def test_an_endpoint_that_keeps_failing_is_not_asked_for_ever(run: Run) -> None:
    asked = 0

    def handler(_: dict[str, Any], __: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"error": {"message": "down"}}, status=500)

    with endpoint(handler) as url:
        told = run(outcome(right=100), "--through", url)
    assert told.code == Exit.COULD_NOT_RUN
    assert "HTTP 500: down" in told.err
    assert "100 of 100 prompts have no answer; gave up there" in told.err
    assert asked <= asking.AT_ONCE * asking.TRIES


def test_a_wait_of_hours_is_not_waited(run: Run) -> None:
    with endpoint(lambda _, __: web.json_response({}, status=429, headers={"retry-after": "7200"})) as url:
        assert run(outcome(right=1), "--through", url).code == Exit.COULD_NOT_RUN


def test_a_redirect_is_not_followed_with_the_key(run: Run) -> None:
    with endpoint(lambda _, __: web.Response(status=307, headers={"location": "http://127.0.0.1:9/elsewhere"})) as url:
        told = run(outcome(right=1), "--through", url)
    assert told.code == Exit.COULD_NOT_RUN
    assert "HTTP 307" in told.err


def test_an_answer_that_is_none_is_an_error(run: Run) -> None:
    with endpoint(lambda _, __: web.Response(text="<html>welcome</html>", content_type="text/html")) as url:
        told = run(outcome(right=1), "--through", url)
    assert told.code == Exit.COULD_NOT_RUN
    assert "HTTP 200" in told.err


def test_nobody_listening_is_could_not_run(run: Run) -> None:
    with endpoint(lambda _, __: completion("x")) as url:
        pass
    told = run(outcome(right=30), "--through", url)
    assert told.code == Exit.COULD_NOT_RUN
    assert "no answer to prompt `q/0` from version `atlas-1`" in told.err
    assert "30 of 30 prompts have no answer" in told.err


@pytest.mark.parametrize(
    "url", ["127.0.0.1:9000", "ftp://host/v1", "http://", "http://user:secret@host/v1", "http://host:99999/v1", "http://[::1"]
)
def test_a_url_that_cannot_be_asked_is_bad_input(run: Run, url: str) -> None:
    told = run(outcome(right=1), "--through", url)
    assert told.code == Exit.USAGE
    assert "secret" not in told.err
