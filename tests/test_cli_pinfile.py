"""`detent init` and `detent schema`."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from pathlib import Path

import pytest

from detent import manifest
from detent.cli.pinfile import COMMANDS, init, schema, starting_text
from detent.errors import CouldNotRun, Exit, InvalidInput, Refused


def start(directory: Path) -> int:
    return init(Namespace(directory=str(directory)))


def test_init_writes_a_file_that_is_valid_and_says_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(tmp_path / "new" / "place") == Exit.PASS
    path = tmp_path / "new" / "place" / "detent.toml"
    assert set(manifest.read(path.read_text(encoding="utf-8")).routes) == {"summarizer"}
    out, err = capsys.readouterr()
    assert out == f"{path}\n"
    assert f"`detent plan --file {path}`" in err


def test_init_here_names_the_shortest_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert init(Namespace(directory=".")) == Exit.PASS
    assert "then run `detent plan`\n" in capsys.readouterr().err


def test_init_never_overwrites(tmp_path: Path) -> None:
    mine = tmp_path / "detent.toml"
    mine.write_text("mine")
    with pytest.raises(Refused, match=re.escape(str(mine))) as caught:
        start(tmp_path)
    assert caught.value.exit == 5
    assert mine.read_text() == "mine"


def test_init_does_not_follow_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "detent.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused):
        start(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_init_into_a_file_is_an_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="not a directory"):
        start(tmp_path / below)


def test_init_where_nothing_can_be_written_could_not_run(tmp_path: Path) -> None:
    with pytest.raises(CouldNotRun, match="File name too long"):
        start(tmp_path / ("x" * 300))


def test_every_commented_key_of_the_starting_file_is_a_true_one() -> None:
    # Prose begins with more than one word; a commented key or table begins like TOML.
    uncommented = re.sub(r"(?m)^# (?=[a-z_]+ *=|\[)", "", starting_text())
    read = manifest.read(uncommented)
    assert set(read.providers) == {"openai", "anthropic"}
    assert read.routes["summarizer"].next is not None
    assert read.routes["summarizer"].on_candidate_failure == "fail"
    assert read.server.clients_env == "DETENT_CLIENT_KEYS"
    careful, standard = read.plans["careful"], read.plans["standard"]
    assert (careful.baseline, careful.shadow, careful.canary, careful.soak) == (
        standard.baseline,
        standard.shadow,
        standard.canary,
        standard.soak,
    )


def test_the_starting_file_does_not_pin_what_its_comment_warns_of() -> None:
    with pytest.raises(InvalidInput, match="floating alias"):
        manifest.read(starting_text().replace('"gpt-5.2-2025-12-11"', '"gpt-5.2"'))


@pytest.mark.parametrize("of", ["pinfile", "detent.toml"])
def test_the_schema_of_the_pin_file_is_printed(of: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert schema(Namespace(of=of)) == Exit.PASS
    assert json.loads(capsys.readouterr().out) == manifest.schema()


def test_the_commands_have_their_rows() -> None:
    assert [command.name for command in COMMANDS] == ["init", "schema"]
