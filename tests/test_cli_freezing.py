"""`baseline freeze|show|bless` and `case` as a person types them: what is told of odd traffic, and that nothing that was said is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asked import case, freeze_cases
from detent.cli import main
from detent.store import Store, open_store
from detent.terms import Flag, Phase
from records import NEW, OLD, T0, rollout

PIN_FILE = f"""
[providers.openai]
dialect  = "openai"
base_url = "http://127.0.0.1:9/v1"
watcher  = "llm@example.com"

[routes.summarizer]
provider = "openai"
version  = "{OLD.model}"
owner    = "a@example.com"
"""


class Desk:
    """A pin file, its store, and somebody who types."""

    def __init__(self, home: Path, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self.typing, self.capsys = home, typing, capsys
        (home / "detent.toml").write_text(PIN_FILE)
        typing.chdir(home)

    def says(self, *words: str) -> tuple[int, str, str]:
        code = main(list(words))
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err

    def store(self) -> Store:
        (self.home / ".detent").mkdir(exist_ok=True)
        return open_store(f"sqlite:///{self.home / '.detent' / 'state.db'}")

    def freeze(self, *names: str) -> None:
        store = self.store()
        freeze_cases(store, [case(name=name, blessed=None) for name in names], frozen_at=datetime.now(UTC))
        store.close()

    def frozen(self) -> dict[str, str]:
        """Who blessed each case, or why it is faulted."""
        store = self.store()
        baseline = store.state.baseline("summarizer")
        store.close()
        assert baseline is not None
        return {c.id: c.faulted or (c.blessed.by if c.blessed else "") for c in baseline.cases}

    def types(self, *lines: str | None) -> None:
        """What is typed at the questions, one after the other; None, and whatever comes after all of it, is the end of the input."""
        left = list(lines)

        def line(question: str = "") -> str:
            said = left.pop(0) if left else None
            if said is None:
                raise EOFError
            return said

        self.typing.setattr("builtins.input", line)
        self.typing.setattr("sys.stdin.isatty", lambda: True)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, monkeypatch, capsys)


def recorded(name: str, *rows: dict[str, object]) -> str:
    Path(name).write_text("".join(json.dumps({"output": "fine", "model": OLD.model, **row}) + "\n" for row in rows))
    return name


def asks(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], **more}


# ── freeze ──


def test_answers_of_several_models_are_told_with_their_shares(desk: Desk) -> None:
    rows = [asks(f"prompt number {n} of ten", model=NEW.model if n < 8 else OLD.model) for n in range(10)]
    code, _, err = desk.says("baseline", "freeze", "summarizer", "--from", recorded("log.jsonl", *rows))
    assert code == 0
    assert f"answers of several models: {NEW.model} 80.0 %, {OLD.model} 20.0 %; `--model ID` takes one of them" in err
    assert f"mostly of `{NEW.model}`, and the route is pinned to `{OLD.model}`: `--model {OLD.model}`" in err
    code, _, err = desk.says("baseline", "freeze", "summarizer", "--from", "log.jsonl", "--model", OLD.model)
    assert (code, err) == (0, "")


def test_times_that_are_none_in_utc_are_left_out_and_times_to_come_are_told(desk: Desk) -> None:
    odd = [asks("first", created_at="0001-01-01T00:00:00+14:00"), asks("the last one", created_at="9999-12-31T23:59:59-14:00")]
    code, _, err = desk.says("baseline", "freeze", "summarizer", "--from", recorded("odd.jsonl", *odd))
    assert (code, err) == (0, "")
    late = [asks("first", created_at="2999-01-01T00:00:00Z")]
    code, _, err = desk.says("baseline", "freeze", "summarizer", "--from", recorded("late.jsonl", *late))
    assert code == 0
    assert "dated in the future, up to 2999-01-01" in err


def test_a_case_with_a_reference_only_is_not_known_to_be_bad(desk: Desk) -> None:
    tests = [{"vars": {"q": "6 x 7"}, "assert": [{"type": "equals", "value": "42"}]}]
    Path("tests.json").write_text(json.dumps({"prompts": ["{{q}}"], "tests": tests}))
    code, out, err = desk.says("baseline", "freeze", "summarizer", "--from", "tests.json", "--form", "promptfoo")
    assert code == 0, err
    assert "1 have references only, and no recorded output" in out
    assert "known not to be" not in out
    assert "reference only" in desk.says("baseline", "show", "summarizer")[1]


def test_neither_freeze_nor_bless_moves_the_set_of_a_rollout_be_it_stale_or_not(desk: Desk) -> None:
    store = desk.store()
    freeze_cases(store, [case(name="ca_1", blessed=None)], frozen_at=T0)  # long ago
    begun = replace(rollout(phase=Phase.BASELINE), route="summarizer")
    store.state.open_rollout(begun, Flag(route="summarizer", revision=0, stable=OLD), by="test", at=T0)
    store.close()
    file = recorded("log.jsonl", asks("first"))
    for words in (("freeze", "summarizer", "--from", file), ("bless", "summarizer", "--yes", "ca_1")):
        code, _, err = desk.says("baseline", *words)
        assert (code, "a rollout is running over the baseline" in err) == (5, True)


def test_looking_at_a_baseline_writes_nothing_beside_the_store(desk: Desk) -> None:
    desk.freeze("ca_1")
    for left in (desk.home / ".detent").glob("*-making"):
        left.unlink()
    assert desk.says("baseline", "show", "summarizer")[0] == 0
    assert not list((desk.home / ".detent").glob("*-making"))


# ── bless ──


def test_the_end_of_the_input_ends_a_review_and_keeps_what_was_said(desk: Desk) -> None:
    desk.freeze("ca_1", "ca_2", "ca_3")
    desk.types("y", "n", None)
    code, _, err = desk.says("baseline", "bless", "summarizer", "--by", "ann")
    assert (code, err) == (0, "")
    assert sorted(desk.frozen().values()) == ["", "ann", "ann: a person said no"]


def test_a_baseline_that_was_frozen_during_a_review_is_not_overwritten(desk: Desk) -> None:
    desk.freeze("ca_1")
    desk.types()

    def frozen_meanwhile(question: str) -> str:
        desk.freeze("ca_1", "ca_2")
        return "y"

    desk.typing.setattr("builtins.input", frozen_meanwhile)
    code, _, err = desk.says("baseline", "bless", "summarizer", "--by", "ann")
    assert code == 5
    assert "another baseline of route summarizer is in force by now" in err
    assert "`detent baseline bless summarizer --yes ca_1`" in err
    assert desk.frozen() == {"ca_1": "", "ca_2": ""}


SECRET = "AKIAIOSFODNN7EXAMPLE"


def test_a_reason_is_kept_without_what_must_not_be_stored(desk: Desk) -> None:
    desk.freeze("ca_1")
    why = f"mail ada@example.com, key {SECRET}"
    code, _, _ = desk.says("baseline", "bless", "summarizer", "--no", "ca_1", "--why", why, "--by", f"ann {SECRET}")
    assert code == 0
    (said,) = desk.frozen().values()
    assert "ada@example.com" not in said
    assert SECRET not in said
    assert said.startswith("ann ["), "who it was stays known"
    store = desk.store()
    assert not any(SECRET in row.by or SECRET in row.what for row in store.state.audit())
    store.close()


def test_incidents_of_a_route_that_is_none_are_refused_with_the_routes_there_are(desk: Desk) -> None:
    desk.freeze("ca_1")
    code, _, err = desk.says("case", "list", "nosuch")
    assert code == 2
    assert "`summarizer`" in err


def test_a_rollout_that_waits_for_a_first_baseline_gets_one(desk: Desk) -> None:
    store = desk.store()
    begun = replace(rollout(phase=Phase.BASELINE), route="summarizer")
    store.state.open_rollout(begun, Flag(route="summarizer", revision=0, stable=OLD), by="test", at=T0)
    store.close()
    file = recorded("log.jsonl", asks("first"))
    code, out, err = desk.says("baseline", "freeze", "summarizer", "--from", file)
    assert code == 0, err
    assert "1 prompts frozen" in out
