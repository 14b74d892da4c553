"""`detent import --check`, and the way in for the freeze: what a user is told of a file, and that nothing is taken from a broken one."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from detent.cli import main
from detent.cli.importing import columns_of, exchanges
from detent.errors import InvalidInput
from detent.terms import RefusedRow

SAMPLES = Path(__file__).parent / "formats_samples"
LLMDRIFT = Path(os.environ.get("DETENT_DATA") or Path(__file__).parents[2] / "shared" / "data") / "llmdrift"
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "Hello"}], "output": "Hi"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *rows: Any) -> str:
    Path(name).write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return name


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["import", "--check", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_good_file_is_told_in_a_few_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    before = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    write(
        "log.jsonl",
        CHAT | {"at": "2026-09-01T10:00:00Z"},
        CHAT | {"at": "2026-09-03", "tools": tools},
        CHAT | {"messages": before, "model": "m-2"},
    )
    code, out, err = said(capsys, "log.jsonl")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "log.jsonl: openai_chat",
        "rows: 3 read, 3 usable, 0 refused",
        "models: m-1 2, m-2 1",
        "dates: 2026-09-01 to 2026-09-03; 1 without",
        "with tools: 1 (33.3 %), multi-turn: 1 (33.3 %), JSON asked: 0 (0.0 %), labelled: 0 (0.0 %)",
        "would be redacted: 0 exchanges",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["log.jsonl"], "it writes nothing"


def test_broken_rows_are_named_and_the_exit_code_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"request": CHAT, "status": 503}
    write("log.jsonl", CHAT, "{\n", failed, *["nonsense\n"] * 4)
    code, out, _ = said(capsys, "log.jsonl")
    assert code == 3
    shown = out.splitlines()
    assert shown[1:4] == [
        "rows: 7 read, 1 usable, 6 refused",
        "  5 not JSON: text that is no JSON (NaN and Infinity are none either)",
        "    log.jsonl:2: Input data was truncated",
    ]
    assert [line.rpartition("log.jsonl:")[2][:2] for line in shown[4:6]] == ["4:", "5:"], "the first three are named"
    assert shown[6:8] == [
        "  1 failed call: a call without an answer: the provider refused or failed it; passed over",
        "    log.jsonl:3: status 503",
    ]


def test_a_failed_call_alone_breaks_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("log.jsonl", CHAT, {"request": CHAT, "status": 503})
    assert said(capsys, "log.jsonl")[0] == 0
    assert len(list(exchanges(["log.jsonl"]))) == 1


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (['{"request": {"messages": []}}\n'], "detent: no usable exchange, in: `log.jsonl` (1 no messages)\n"),
        (["Dear diary\n"], "detent: a file of a form that is not recognised: `log.jsonl`\nhint: name it with --form: `otel`"),
        (["\x1b[2J\n"], "detent: a file of a form that is not recognised: `log.jsonl`"),
    ],
)
def test_nothing_usable_is_no_result(folder: Path, capsys: pytest.CaptureFixture[str], rows: list[str], told: str) -> None:
    write("log.jsonl", *rows)
    code, _, err = said(capsys, "log.jsonl")
    assert code == 2
    assert err.startswith(told)


@pytest.mark.parametrize(("path", "told"), [("gone.jsonl", "no such file: `gone.jsonl`"), (".", "not a file: `.`")])
def test_files_that_are_none(folder: Path, capsys: pytest.CaptureFixture[str], path: str, told: str) -> None:
    code, _, err = said(capsys, path)
    assert (code, told in err) == (2, True)


def test_without_check_it_says_which_command_stores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.jsonl").write_text("{}\n")
    assert main(["import", str(tmp_path / "log.jsonl")]) == 2
    assert "detent baseline freeze ROUTE --from FILE" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "nosuch.jsonl")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_an_empty_file_is_called_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.jsonl").write_text("\n")
    assert main(["import", "--check", str(tmp_path / "log.jsonl")]) == 2
    assert "an empty file" in capsys.readouterr().err


def test_a_check_that_finds_nothing_does_not_point_to_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.jsonl").write_text('{"messages": []}\n')
    assert main(["import", "--check", str(tmp_path / "log.jsonl")]) == 2
    said = capsys.readouterr().err
    assert "no usable exchange" in said
    assert "import --check" not in said


def test_what_a_file_says_cannot_steer_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = write(
        "lo\x1b[31mg\u202e.jsonl", CHAT, CHAT | {"model": "a\u202eb"}, {"request": CHAT, "error": "\x1b[2Jboom\u202e"}, "\x1b]0;x\x07\n"
    )
    code, out, _ = said(capsys, name)
    assert code == 3
    assert not {"\x1b", "\u202e", "\x07"} & set(out)
    assert "lo\\x1b[31mg\\u202e.jsonl:3: \\x1b[2Jboom\\u202e" in out
    assert "m-1 1, a\\u202eb 1" in out


def test_json_holds_the_same_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("log.jsonl", CHAT, CHAT | {"at": 1767323045}, "{\n")
    code, out, _ = said(capsys, "log.jsonl", "--json")
    printed = json.loads(out)
    assert code == 3
    assert printed["files"] == [{"file": "log.jsonl", "form": "openai_chat"}]
    assert (printed["rows"], printed["usable"], printed["broken"], printed["models"]) == (3, 2, 1, {"m-1": 2})
    assert (printed["since"], printed["undated"]) == ("2026-01-02T03:04:05+00:00", 1)
    assert printed["refused"]["not JSON"]["first"][0]["where"] == "log.jsonl:3"


def test_what_would_be_taken_out_is_counted_by_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("log.jsonl", CHAT, CHAT | {"output": "Write to ada@example.com or bob@example.com"})
    code, out, _ = said(capsys, "log.jsonl")
    assert code == 0
    assert out.splitlines()[-1] == "would be redacted: 1 exchanges (2 EMAIL)"


def test_a_model_selects_and_the_others_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("log.jsonl", CHAT, CHAT | {"model": "m-2"})
    code, out, _ = said(capsys, "log.jsonl", "--model", "m-2")
    assert (code, out.splitlines()[1]) == (0, "rows: 2 read, 1 usable, 0 refused, 1 of other models")
    code, _, err = said(capsys, "log.jsonl", "--model", "m-9")
    assert (code, err) == (2, "detent: no exchange of model `m-9`, in: `log.jsonl`\nhint: models there are `m-1`, `m-2`\n")


def test_columns_are_mapped_from_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("t.csv", "question,answer\n2+2?,4\n")
    code, out, _ = said(capsys, "t.csv", "--column", "prompt=question", "--column", "output=answer")
    assert (code, out.splitlines()[:2]) == (0, ["t.csv: csv", "rows: 1 read, 1 usable, 0 refused"])
    for wrong in ("question", "=x", "prompt="):
        with pytest.raises(InvalidInput, match="no column map"):
            columns_of([wrong])
    with pytest.raises(InvalidInput, match="no such column: `promt`"):
        columns_of(["promt=question"])


# ── the way in ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_exchange_is_given_out_of_a_file_with_a_broken_row(folder: Path) -> None:
    write("log.jsonl", *[CHAT] * 3, "{\n", *["x\n"] * 30)
    with pytest.raises(InvalidInput) as error:
        exchanges(["log.jsonl"])
    told = error.value.message.splitlines()
    assert told[:2] == ["31 broken rows:", "log.jsonl:4: not JSON: Input data was truncated"]
    assert (len(told), told[-1]) == (22, "and 11 more")
    assert error.value.hint is not None
    assert "--skip-bad" in error.value.hint


def test_with_skip_bad_the_rest_is_taken_and_what_is_left_out_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("log.jsonl", CHAT, "{\n", CHAT, {"request": CHAT, "status": 500})
    heard: list[RefusedRow] = []
    assert [found.id for found in exchanges(["log.jsonl"], skip_bad=True, refused=heard.append)] == ["log.jsonl:1", "log.jsonl:3"]
    assert [row.where for row in heard] == ["log.jsonl:2", "log.jsonl:4"]
    assert len(list(exchanges(["log.jsonl"], skip_bad=True))) == 2
    assert capsys.readouterr().err == "left out: 2 rows (1 not JSON, 1 failed call)\n"


def test_several_files_are_read_in_order_and_a_batch_is_joined() -> None:
    batch = [str(SAMPLES / name) for name in ("batch_requests.jsonl", "batch_answers.jsonl")]
    found = list(exchanges([*batch, str(SAMPLES / "chat.jsonl")], skip_bad=True, refused=lambda row: None))
    assert [exchange.answer.text for exchange in found] == ["2", "1", "Paris", "", "hi", "6", "Hi.", "A cat."]


# ── Parquet ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def observations(path: Path) -> str:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [json.loads(line) for line in (SAMPLES / "langfuse.jsonl").read_text().splitlines()]
    texts = ("id", "trace_id", "type", "name", "level", "input", "output", "provided_model_name", "model_parameters", "session_id")
    columns = {name: arrow.array([row.get(name) for row in rows], arrow.string()) for name in texts}
    at = [datetime.fromisoformat(row["start_time"]).replace(tzinfo=UTC) for row in rows]
    columns["start_time"] = arrow.array(at, arrow.timestamp("us", tz="UTC"))
    for name, kind in (("usage_details", arrow.int64()), ("tool_definitions", arrow.string())):
        columns[name] = arrow.array([list(row.get(name, {}).items()) for row in rows], arrow.map_(arrow.string(), kind))
    for name in ("tool_calls", "tool_call_names"):
        columns[name] = arrow.array([row.get(name) for row in rows], arrow.list_(arrow.string()))
    parquet.write_table(arrow.table(columns), path, row_group_size=2)
    return str(path)


def test_a_parquet_export_reads_like_the_same_rows_in_json_lines(tmp_path: Path) -> None:
    path = observations(tmp_path / "o.parquet")
    packed = list(exchanges([path], skip_bad=True, refused=lambda row: None))
    plain = list(exchanges([str(SAMPLES / "langfuse.jsonl")], skip_bad=True, refused=lambda row: None))
    assert [(e.request, e.answer, e.at, e.session, e.task) for e in packed] == [
        (e.request, e.answer, e.at, e.session, e.task) for e in plain
    ]
    assert packed[0].id == f"{path}:1"


def test_a_broken_parquet_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "o.parquet"
    path.write_bytes(b"PAR1 nothing of the kind PAR1")
    code, _, err = said(capsys, str(path))
    assert (code, "not readable as Parquet" in err) == (2, True)


def test_without_the_library_the_hint_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "o.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = said(capsys, str(path))
    assert code == 2
    assert "detent[parquet]" in err


# ── the published case ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "prompts", "version", "right"), [("leetcode.jsonl", 50, "gpt-4-0314", 26), ("prime.jsonl", 1000, "gpt-4-0613", 511)]
)
def test_the_llmdrift_records_are_read_whole(file: str, prompts: int, version: str, right: int) -> None:
    if not (LLMDRIFT / file).exists():
        if os.environ.get("DETENT_REQUIRE_DATA") == "1":
            pytest.fail(f"the llmdrift records are not at {LLMDRIFT}")
        pytest.skip(f"the llmdrift records are not at {LLMDRIFT}; set DETENT_DATA to the folder that holds `llmdrift`")
    found = list(exchanges([str(LLMDRIFT / file)], model=version))
    assert len(found) == prompts
    assert sum(exchange.correct is True for exchange in found) == right, "as expected.json has it"
    assert {exchange.at.year for exchange in found if exchange.at} == {2023}
