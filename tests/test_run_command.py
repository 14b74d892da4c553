"""`detent baseline run` as a person runs it: a pin file, a frozen baseline, and a provider on a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asked import TOTAL, case, freeze_cases, request, used
from detent.baseline import trial
from detent.baseline.lanes import UNREACHED
from detent.baseline.running import Standing
from detent.checks import judge as questions
from detent.cli import main
from detent.cli.running import LINE_EVERY_S, _Lines
from detent.judge import judged_by
from detent.manifest import read
from detent.store import Store, open_store
from detent.terms import Arm, Calibration, Run, Version
from mock_upstream import GO, Mock, Script, Seen, answer, running
from processes import until
from records import NEW, OLD, T0

PIN_FILE = """
[providers.openai]
dialect  = "openai"
base_url = "{url}/v1"
watcher  = "llm@example.com"

[routes.summarizer]
provider = "openai"
version  = "{old}"
owner    = "a@example.com"
plan     = "quick"
checks   = ["json_valid"]

[plans.quick]
unsafe_short_windows = true
baseline = {{ screen = 2, confirm = 6, stable_repeats = 2, at_least = 1, margin = 1.0 }}

[prices."openai/{old}"]
input  = 10.0
output = 100.0
"""
PRICED = f'[prices."openai/{NEW.model}"]\ninput = 10.0\noutput = 100.0\n'


def completion(text: str, tokens: tuple[int, int] = (100, 10)) -> bytes:
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}).encode()


def prompt_of(seen: Seen) -> str:
    return str(seen.json["messages"][0]["content"])


def runs_of(place: Place, store: Store) -> list[Run]:
    """What the command stored."""
    frozen = store.state.baseline("summarizer")
    assert frozen is not None
    manifest = read(place.file.read_text())
    route = manifest.routes["summarizer"]
    by = judged_by(manifest, route, store, place.file.parent)
    return store.state.runs(trial(route, NEW.model, manifest.plans["quick"], frozen.digest, T0, own=manifest.checks, judged_by=by).id)


class Place:
    """A pin file with a frozen baseline beside it, and the provider that it names."""

    def __init__(self, home: Path, mock: Mock) -> None:
        self.mock = mock
        self.file = home / "detent.toml"
        self.file.write_text(PIN_FILE.format(url=mock.url, old=OLD.model) + PRICED)
        (home / ".detent").mkdir()
        self.url = f"sqlite:///{home / '.detent' / 'state.db'}"
        mock.answer = lambda seen: answer(completion(TOTAL))

    def store(self) -> Store:
        return open_store(self.url)

    def freeze(self, n: int, *, frozen_at: datetime | None = None, **more: Any) -> None:
        store = self.store()
        freeze_cases(
            store,
            [case(name=f"p{i}", usage=used(100, 10), request=request(f"p{i}", **more)) for i in range(n)],
            frozen_at=frozen_at or datetime.now(UTC),
        )
        store.close()

    def arguments(self, *more: str) -> list[str]:
        return ["baseline", "run", "summarizer", "--version", NEW.model, "--file", str(self.file), *more]

    def run(self, *more: str) -> int:
        return main(self.arguments(*more))

    def runs(self) -> Counter[tuple[str, str]]:
        """Stored runs by (model, prompt)."""
        store = self.store()
        found = Counter((NEW.model if run.arm is Arm.CANDIDATE else OLD.model, run.case) for run in runs_of(self, store))
        store.close()
        return found

    def called(self) -> Counter[tuple[str, str]]:
        """Calls that reached the provider, by (model, prompt)."""
        return Counter((seen.json["model"], prompt_of(seen)) for seen in self.mock.seen)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with running() as mock:
        yield Place(tmp_path, mock)


# ── forecast ──


def test_what_it_will_cost_is_said_before_anything_is_called(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(10)
    assert place.run("--forecast") == 0
    out, err = capsys.readouterr()
    assert place.mock.seen == []
    assert "calls still to make" in out
    assert f"not known: how many tokens openai/{NEW.model} counts at the same text: the first calls will tell" in out
    assert err == ""
    assert place.run("--forecast", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    # 40 calls of the screen, 6 fresh runs of both versions for one prompt in twenty
    assert said["calls"] == pytest.approx(46, abs=1)
    assert said["usd"]["low"] < 46 * 0.002 < said["usd"]["high"]
    assert place.run() == 0
    out, err = capsys.readouterr()
    assert "calls still to make" in err
    assert "calls still to make" not in out
    assert place.run("--forecast") == 0
    assert "about 0 calls still to make" in capsys.readouterr().out


# ── exits ──


def test_an_unchanged_version_passes(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(5)
    assert place.run() == 0
    assert len(place.mock.seen) == 20


def test_a_version_that_breaks_prompts_is_a_regression(place: Place) -> None:
    place.freeze(6)
    place.mock.answer = lambda seen: answer(completion("no JSON" if seen.json["model"] == NEW.model and prompt_of(seen) < "p3" else TOTAL))
    assert place.run() == 1


def test_a_parameter_that_the_candidate_refuses_is_a_finding_after_three_calls(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(6, temperature=0.2)
    refused = json.dumps({"error": {"message": "Unsupported value: 'temperature'", "param": "temperature"}}).encode()
    place.mock.answer = lambda seen: answer(refused, status=400) if seen.json["model"] == NEW.model else answer(completion(TOTAL))
    assert place.run() == 1
    assert [seen.json["model"] for seen in place.mock.seen].count(NEW.model) == 2
    assert len(place.mock.seen) == 3
    assert "temperature" in capsys.readouterr().out


def test_a_mistyped_version_could_not_run_and_is_no_finding(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(6)
    missing = json.dumps({"error": {"message": "The model does not exist", "code": "model_not_found"}}).encode()
    place.mock.answer = lambda seen: answer(missing, status=404) if seen.json["model"] == NEW.model else answer(completion(TOTAL))
    assert place.run() == 4
    assert "cannot be asked: HTTP 404: The model does not exist" in capsys.readouterr().err
    place.mock.answer = lambda seen: answer(completion(TOTAL))
    assert place.run() == 0
    assert all(n == 2 for n in place.runs().values())


def test_calls_stop_at_the_budget_and_go_on_with_a_larger_one(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(20)
    assert place.run("--budget", "0.05") == 3
    made = len(place.mock.seen)
    assert made * 0.002 <= 0.05
    assert "budget" in capsys.readouterr().out
    assert place.run("--budget", "0.05") == 3
    assert len(place.mock.seen) == made
    assert place.run("--budget", "1") == 0
    assert len(place.mock.seen) == 80


@pytest.mark.parametrize(("budget", "said"), [("0", "a budget is an amount of USD above 0"), ("nan", "a budget is an amount")])
def test_a_budget_that_is_none_is_refused(place: Place, budget: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(1)
    assert place.run("--budget", budget) == 2
    assert said in capsys.readouterr().err


def test_a_budget_without_a_price_is_refused_with_what_to_write(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(1)
    place.file.write_text(PIN_FILE.format(url=place.mock.url, old=OLD.model))
    assert place.run("--budget", "1") == 2
    assert f'[prices."openai/{NEW.model}"] input = 2.50, output = 10.00' in capsys.readouterr().err
    assert place.mock.seen == []


def test_that_the_baseline_is_stale_is_said_before_anything_is_spent(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(2, frozen_at=datetime.now(UTC) - timedelta(days=31))
    assert place.run("--forecast") == 0
    said = "the baseline is stale, so that a run cannot pass: it was frozen 31 days ago; the limit is 30d"
    assert said in capsys.readouterr().err
    assert place.run() == 3
    place.file.write_text(place.file.read_text().replace("stable_repeats = 2", 'stable_repeats = 2, on_stale = "warn"'))
    capsys.readouterr()
    assert place.run() == 0
    assert "the baseline is stale: it was frozen 31 days ago; the limit is 30d" in capsys.readouterr().err


# ── a judge ──

JUDGED = """
[providers.anthropic]
dialect  = "anthropic"
base_url = "{url}"
watcher  = "llm@example.com"

[routes.judge]
provider = "anthropic"
version  = "{judge}"
owner    = "evals@example.com"
"""
JUDGE = "claude-sonnet-4-5-20250929"
WRONG = '{"total": 9}'


def verdict(side: str) -> bytes:
    block = {"type": "tool_use", "id": "t", "name": "verdict", "input": {"reason": "the sum", "task_complete": side, "overall": side}}
    body = {"id": "m", "type": "message", "role": "assistant", "model": JUDGE, "content": [block], "stop_reason": "tool_use"}
    return json.dumps({**body, "usage": {"input_tokens": 900, "output_tokens": 40}}).encode()


def judged_place(place: Place) -> None:
    """The same place with a judge of another family, who likes the right sum; the candidate gets three of six sums wrong."""
    (place.file.parent / "rubric.md").write_text("The sum must be right.")
    text = place.file.read_text().replace(
        'checks   = ["json_valid"]', 'checks   = ["json_valid", "task_complete"]\njudge    = "judge"\nrubric   = "rubric.md"'
    )
    place.file.write_text(text + JUDGED.format(url=place.mock.url, judge=JUDGE))

    def says(seen: Seen) -> Script:
        if seen.json["model"] == JUDGE:
            question = seen.json["messages"][-1]["content"]
            return answer(verdict("B" if WRONG in question.partition("<<<END OF ANSWER A")[0].partition("<<<ANSWER A")[2] else "A"))
        return answer(completion(WRONG if seen.json["model"] == NEW.model and prompt_of(seen) < "p3" else TOTAL))

    place.mock.answer = says


def asked_of_the_judge(place: Place) -> int:
    return sum(seen.json["model"] == JUDGE for seen in place.mock.seen)


def test_a_judge_that_nobody_calibrated_informs_and_does_not_block(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(6)
    judged_place(place)
    assert place.run() == 0
    assert "the judge informs only: it was never calibrated with this rubric" in capsys.readouterr().err
    # Three prompts with one wrong answer each, asked about in both orders, and each question once for all repeats.
    assert asked_of_the_judge(place) == 6
    store = place.store()
    found = Counter(run.judged for run in runs_of(place, store))
    assert found == {None: 18, "worse": 6}
    store.close()


def calibrated(place: Place) -> None:
    """People agree with the judge on this rubric: its word may fail an answer."""
    store = place.store()
    of_rubric = questions.digest("The sum must be right.", ["task_complete"])
    figures = {"kappa": 0.9, "low": 0.8, "high": 0.95, "abstained": 0.0, "injected": 0.0}
    judge = Version("anthropic", JUDGE)
    store.state.put_calibration(Calibration(judge=judge, digest=of_rubric, pairs=200, by="ann", at=T0, **figures))
    store.close()


def test_a_judge_that_agrees_with_people_blocks_what_the_rules_let_through(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(6)
    judged_place(place)
    calibrated(place)
    assert place.run() == 1
    assert "3 confirmed negative flips among 6 prompts" in capsys.readouterr().out
    # In the screen one verdict is remembered for equal texts; of the six fresh runs that confirm a loss each is a question of its own.
    assert asked_of_the_judge(place) == 6 + 3 * 6 * 2


def test_a_blocking_judge_that_is_down_ends_the_run_which_goes_on_when_it_is_back(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(6)
    judged_place(place)
    calibrated(place)
    says = place.mock.answer
    assert callable(says)
    place.mock.answer = lambda seen: answer(b'{"error": {}}', status=400) if seen.json["model"] == JUDGE else says(seen)
    assert place.run() == 4
    assert "the judge could not be asked" in capsys.readouterr().err
    place.mock.answer = says
    assert place.run() == 1
    assert "3 confirmed negative flips among 6 prompts" in capsys.readouterr().out


# ── grades and their rules ──


def test_another_check_is_another_run_and_diff_tells_of_the_same_one(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(5)
    text = place.file.read_text().replace('checks   = ["json_valid"]', 'checks   = ["json_valid", "currency"]')
    told = ["baseline", "diff", "summarizer", "--version", NEW.model, "--file", str(place.file)]
    place.file.write_text(f'{text}\n[checks.currency]\nsays = "names the total"\ncontains = "total"\n')
    assert place.run() == main(told) == 0
    made = len(place.mock.seen)
    assert place.run() == 0
    assert len(place.mock.seen) == made, "the same rule: what was graded stands"
    place.file.write_text(f'{text}\n[checks.currency]\nsays = "names the currency"\ncontains = "EUR"\n')
    assert main(told) == 2
    assert "no runs yet" in capsys.readouterr().err
    assert place.run() == main(told) == 3, "stable itself never names it"
    assert len(place.mock.seen) == 2 * made


# ── overload, drips, kills ──


def test_a_provider_that_is_not_there_is_said_at_once(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(20)
    place.file.write_text(place.file.read_text().replace(f"{place.mock.url}/v1", "http://127.0.0.1:1/v1"))
    assert place.run() == 4
    assert "cannot be reached" in capsys.readouterr().err
    assert place.runs().total() <= UNREACHED


def test_an_overloaded_provider_is_waited_for_as_it_asks(place: Place) -> None:
    place.freeze(10)
    busy = threading.Semaphore(5)

    def says(seen: Seen) -> Script:
        return answer(b"{}", status=429, retry_after_ms="20") if busy.acquire(blocking=False) else answer(completion(TOTAL))

    place.mock.answer = says
    assert place.run() == 0
    assert len(place.mock.seen) == 40 + 5
    assert all(n == 2 for n in place.runs().values())


def test_one_answer_that_drips_does_not_hold_the_others(place: Place) -> None:
    place.freeze(20)
    dripped = threading.Event()

    def says(seen: Seen) -> Script:
        if seen.json["model"] == OLD.model and not dripped.is_set():
            dripped.set()
            body = completion(TOTAL)
            return [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n{" % len(body), GO, body[1:]]
        return answer(completion(TOTAL))

    place.mock.answer = says
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(place.run()))
    thread.start()
    until(lambda: place.runs().total() == 79, "all calls but the one that drips")
    place.mock.go()
    thread.join(60)
    assert codes == [0]
    assert place.runs().total() == len(place.mock.seen) == 80


def process(place: Place, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "detent", *place.arguments(*more)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_run_goes_on_and_repeats_no_call_that_was_stored(place: Place, number: signal.Signals) -> None:
    place.freeze(100)  # 400 calls
    slow = threading.Event()

    def says(seen: Seen) -> Script:
        return [GO, *answer(completion(TOTAL))] if slow.is_set() else answer(completion(TOTAL))

    place.mock.answer = says
    begun = process(place)
    until(lambda: len(place.mock.seen) >= 150, "half of the calls")
    slow.set()
    until(lambda: place.runs().total() >= 100, "stored runs")
    begun.send_signal(number)
    _, said = begun.communicate(timeout=60)
    stored, called = place.runs(), place.called()
    assert 100 <= stored.total() <= called.total() < 400
    if number is not signal.SIGKILL:
        assert begun.returncode == 130
        assert f"{stored.total()} calls are stored and will not be made again".encode() in said
        assert b"run the same command to go on" in said
    slow.clear()
    place.mock.go()
    place.mock.seen.clear()
    assert place.run() == 0
    again = place.called()
    assert again.total() == 400 - stored.total()
    assert all(again[key] == 2 - stored[key] for key in again), "no call that was stored is made again"
    assert place.runs().total() == 400


def test_answers_that_are_under_way_at_an_interrupt_are_stored(place: Place) -> None:
    place.freeze(20)
    first = threading.Semaphore(1)
    place.mock.answer = lambda seen: answer(completion(TOTAL)) if first.acquire(blocking=False) else [GO, *answer(completion(TOTAL))]
    begun = process(place)
    until(lambda: len(place.mock.seen) >= 4, "calls under way")
    begun.send_signal(signal.SIGINT)
    place.mock.go()
    _, said = begun.communicate(timeout=60)
    stored = place.runs().total()
    assert begun.returncode == 130, said.decode()
    assert stored == len(place.mock.seen) >= 4, "all that the provider was sent is stored"


def test_two_runs_of_one_trial_do_not_pay_twice(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.freeze(20)
    slow = threading.Event()
    slow.set()
    place.mock.answer = lambda seen: [GO, *answer(completion(TOTAL))] if slow.is_set() else answer(completion(TOTAL))
    begun = process(place)
    until(lambda: len(place.mock.seen) >= 1, "the first call of the other run")
    assert place.run() == 5
    assert "another run of it is under way: `run_" in capsys.readouterr().err
    assert place.run("--forecast") == 0, "what pays nothing is not held up"
    slow.clear()
    place.mock.go()
    _, said = begun.communicate(timeout=60)
    assert begun.returncode == 0, said.decode()
    assert len(place.mock.seen) == 80


def test_a_baseline_that_is_frozen_in_mid_run_neither_moves_the_run_nor_makes_it_pass(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.freeze(6)
    swapped = threading.Semaphore(1)

    def says(seen: Seen) -> Script:
        if swapped.acquire(blocking=False):
            place.freeze(1)
        return answer(completion("no JSON" if seen.json["model"] == NEW.model and prompt_of(seen) in {"p3", "p4", "p5"} else TOTAL))

    place.mock.answer = says
    assert place.run() == 1
    assert "another one is in force by now: d1p0" in capsys.readouterr().err
    assert {prompt for _, prompt in place.called()} == {f"p{n}" for n in range(6)}


# ── progress ──


def test_where_nobody_sees_a_bar_a_line_is_said_now_and_then() -> None:
    now, said = [0.0], list[str]()
    lines = _Lines(lambda: now[0], said.append)
    for second in range(1, 25):
        now[0] = float(second)
        lines(Standing(second * 4, 400, 0.5))
    assert LINE_EVERY_S == 10.0
    assert said == [
        "40 of 400 calls, 4.0 a second, about 90 s left, 0.50 USD spent",
        "80 of 400 calls, 4.0 a second, about 80 s left, 0.50 USD spent",
    ]
