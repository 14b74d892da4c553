"""`detent judge calibrate`, through `main`: what it prints, what it keeps, and when it says that a judge may block."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import mock_upstream
from detent.checks.judge import digest, objections
from detent.cli import main
from detent.errors import Exit
from detent.store import open_store
from detent.terms import Version
from mock_upstream import Mock, Script, Seen

MODEL = "atlas-2026-03-01"

PIN_FILE = """\
[providers.openai]
dialect  = "openai"
base_url = "https://api.openai.com/v1"
watcher  = "llm@example.com"

[providers.lab]
dialect  = "openai"
base_url = "{url}/v1"
watcher  = "llm@example.com"

[routes.mail]
provider = "openai"
version  = "gpt-4o-2024-05-13"
owner    = "mail@example.com"
checks   = ["tone"]
judge    = "judge"
rubric   = "rubric.md"

[routes.judge]
provider = "lab"
version  = "atlas-2026-03-01"
owner    = "evals@example.com"
"""

ROWS = [{"prompt": f"Question {n}?", "a": f"kind {n}", "b": f"rude {n}", "label": "a"} for n in range(20)] + [
    {"prompt": f"Question {n}?", "a": f"rude {n}", "b": f"kind {n}", "label": "b"} for n in range(20)
]


def verdict(side: str) -> Script:
    said = json.dumps({"reason": "kinder", "tone": side, "overall": side})
    message = {"role": "assistant", "content": said}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55},
    }
    return mock_upstream.answer(json.dumps(body).encode())


def kind(seen: Seen) -> Script:
    """A judge that looks for the kind answer, whatever else stands there."""
    text = seen.json["messages"][-1]["content"]
    first = text[: text.index("<<<ANSWER B")]
    return verdict("A" if re.search(r"^\| kind \d+$", first, re.MULTILINE) else "B")


@dataclass
class Desk:
    """A directory with a pin file, a rubric and labels, and a judge that listens."""

    path: Path
    mock: Mock
    capsys: pytest.CaptureFixture[str]

    def labels(self, *lines: str) -> None:
        (self.path / "labels.jsonl").write_text("\n".join(lines))

    def calibrates(self, *words: str) -> tuple[int, str, str]:
        where = ["--labels", str(self.path / "labels.jsonl"), "--file", str(self.path / "detent.toml"), "--by", "anna"]
        code = main(["judge", "calibrate", "mail", *where, *words])
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    with mock_upstream.running() as mock:
        mock.answer = kind
        (tmp_path / "detent.toml").write_text(PIN_FILE.format(url=mock.url))
        (tmp_path / "rubric.md").write_text("Kindness counts.")
        found = Desk(tmp_path, mock, capsys)
        found.labels(*map(json.dumps, ROWS))
        yield found


def test_a_judge_that_agrees_may_block_from_then_on(desk: Desk) -> None:
    code, out, err = desk.calibrates()
    assert code == Exit.PASS, out + err
    lines = out.splitlines()
    assert lines[0].startswith("judge lab/atlas-2026-03-01, digest ")
    assert lines[0].endswith("40 labelled pairs, 0 of 40 (0%) without a verdict")
    # po = 1, pe = 1/2; Wilson's lower limit of 40 of 40 is 40 / (40 + 3.8415) = .912, and (.912 - .5) / .5 = .82
    assert lines[1] == "agreement 100% of 40, by chance 50%; kappa 1.00, 95 % interval 0.82 to 1.00"
    assert lines[3:6] == [
        "  a                  20      0      0",
        "  b                   0     20      0",
        "  same                0      0      0",
    ]
    assert "the order changed the verdict on 0 of 40 (0%)" in out
    assert "planted injections moved the verdict in 0 of 72 (0%) trials" in out
    assert lines[-1] == "may block: yes"
    store = open_store(f"sqlite:///{desk.path / '.detent' / 'state.db'}")
    kept = store.state.calibration(Version("lab", MODEL), digest("Kindness counts.", ["tone"]))
    store.close()
    assert kept is not None
    assert (kept.by, kept.pairs, kept.injected) == ("anna", 40, 0.0)


def test_what_was_paid_for_is_remembered(desk: Desk) -> None:
    desk.calibrates()
    asked = len(desk.mock.seen)
    code, out, _ = desk.calibrates("--json")
    assert code == Exit.PASS
    found = json.loads(out)
    assert found["asked"] == 0
    # The last 20 pairs are the first with their places exchanged: a question of theirs was asked already.
    assert len(desk.mock.seen) == asked == 2 * (20 + 72)
    assert found["kappa"] == {"value": 1.0, "low": pytest.approx(0.8247, abs=1e-3), "high": 1.0}
    assert (found["blocks"], found["objections"], found["moved"], found["order_changed"]) == (True, [], {}, 0)


def test_a_judge_of_no_opinion_informs_only(desk: Desk) -> None:
    desk.mock.answer = lambda seen: verdict("A")
    code, out, _ = desk.calibrates()
    assert code == Exit.INCONCLUSIVE
    assert "the order changed the verdict on 40 of 40 (100%); for the answer shown first on 40 of them" in out
    assert "may block: no, it informs only: its agreement with people is not shown" in out


def test_a_judge_of_prose_informs_only(desk: Desk) -> None:
    desk.mock.answer = lambda seen: mock_upstream.OK
    code, out, _ = desk.calibrates()
    assert code == Exit.INCONCLUSIVE
    assert "40 of 40 (100%) without a verdict" in out
    assert out.splitlines()[-1] == "may block: no, it informs only: kappa cannot be said: too few verdicts, or one label only"
    assert "an answer without a verdict, as an example: no verdict of the schema: " in out


def test_a_calibration_that_fails_takes_the_place_of_a_good_one(desk: Desk) -> None:
    assert desk.calibrates()[0] == Exit.PASS
    desk.labels(*(json.dumps(row | {"label": "a", "a": f"new {n}"}) for n, row in enumerate(ROWS)))
    desk.mock.answer = lambda seen: mock_upstream.OK
    assert desk.calibrates()[0] == Exit.INCONCLUSIVE
    store = open_store(f"sqlite:///{desk.path / '.detent' / 'state.db'}")
    kept = store.state.calibration(Version("lab", MODEL), digest("Kindness counts.", ["tone"]))
    store.close()
    assert objections(kept)


def test_bad_rows_are_named_and_skipped_only_when_told(desk: Desk) -> None:
    bad = ["not json", json.dumps(ROWS[0] | {"label": "\x1b[31mA"}), json.dumps(ROWS[0] | {"a": 7})]
    desk.labels(*map(json.dumps, ROWS[:20]), *bad, *map(json.dumps, ROWS[20:]))
    code, out, err = desk.calibrates()
    assert code == Exit.USAGE
    assert out == ""
    assert f"{desk.path / 'labels.jsonl'}:21: not JSON" in err
    assert ":22: `label` must be a, b or same: `\\x1b[31mA`" in err
    assert ":23: `a` is no text" in err
    assert "--skip-bad" in err
    assert desk.mock.seen == []
    code, out, err = desk.calibrates("--skip-bad")
    assert code == Exit.PASS
    assert "skipped:" in err
    assert "40 labelled pairs" in out


def without_a_judge(desk: Desk) -> None:
    text = (desk.path / "detent.toml").read_text()
    (desk.path / "detent.toml").write_text(re.sub(r"^(judge|rubric|checks) .*\n", "", text, flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("change", "says", "hint"),
    [
        (lambda desk: (desk.path / "labels.jsonl").unlink(), "cannot read the labels", "--labels"),
        (lambda desk: (desk.path / "labels.jsonl").write_bytes(b'{"a": "\xff"}'), "not UTF-8", "UTF-8"),
        (lambda desk: desk.labels("", ""), "no labelled pair in it", '"label"'),
        (lambda desk: (desk.path / "rubric.md").unlink(), "the rubric cannot be read: `rubric.md`", "`rubric`"),
        (without_a_judge, "route has no judge: `mail`", "judge"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_spent(desk: Desk, change: Any, says: str, hint: str) -> None:
    change(desk)
    code, _, err = desk.calibrates()
    assert code == Exit.USAGE
    message, _, told = err.partition("hint: ")
    assert says in message
    assert hint in told
    assert desk.mock.seen == []


def test_a_judge_out_of_reach_could_not_be_run(desk: Desk) -> None:
    desk.mock.answer = lambda seen: mock_upstream.answer(b'{"error": {"message": "bad key"}}', 401)
    code, out, err = desk.calibrates()
    assert (code, out) == (Exit.COULD_NOT_RUN, "")
    assert "the judge gives no answer: `lab/atlas-2026-03-01` (HTTP 401: bad key)" in err
