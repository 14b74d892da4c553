"""A judge on a real socket: asked in both orders, once, and never believed more than it says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import mock_upstream
from detent import manifest
from detent.asking import asker
from detent.checks.calibrating import LabelledPair, calibration
from detent.checks.injections import INJECTIONS
from detent.errors import CouldNotRun, InvalidInput
from detent.judge import ASKED_AT_MOST, TRIES, Judge, calibrate, judge_for, judged_by
from detent.store import Store, open_store
from detent.terms import Calibration, Judgement, Manifest, Message, Prompt, Version
from mock_upstream import Mock, Script, Seen

CLAUDE = "claude-sonnet-4-5-20250929"
PROMPT = Prompt(messages=(Message(role="user", text="How do I return a shoe?"),))

PIN_FILE = """\
[providers.openai]
dialect  = "openai"
base_url = "https://api.openai.com/v1"
watcher  = "llm@example.com"

[providers.anthropic]
dialect  = "anthropic"
base_url = "{url}"
watcher  = "llm@example.com"

[routes.summarizer]
provider = "openai"
version  = "gpt-4o-2024-05-13"
owner    = "search@example.com"
checks   = ["task_complete"]
judge    = "judge"
rubric   = "rubric.md"

[routes.judge]
provider = "anthropic"
version  = "{model}"
owner    = "evals@example.com"
"""

Says = Callable[[str, str], str | None]
"""What a scripted judge thinks of (A, B): A, B or same; None for a judge that writes prose."""


def shown(seen: Seen) -> tuple[str, str]:
    """The answers that a question holds, as the judge reads them."""
    text = seen.json["messages"][-1]["content"]
    found = [re.search(rf"<<<ANSWER {side} \w+>>>\n(.*?)\n<<<END OF ANSWER {side}", text, re.DOTALL) for side in "AB"]
    first, second = ("\n".join(line.removeprefix("| ") for line in one[1].split("\n")) for one in found if one is not None)
    return first, second


def said(side: str | None, prose: str = "Hm, A is better.", **more: Any) -> Script:
    verdict = {"reason": f"{side} it is", "task_complete": side, "overall": side} | more
    block: dict[str, Any] = {"type": "tool_use", "id": "t", "name": "verdict", "input": verdict}
    if side is None:
        block = {"type": "text", "text": prose}
    body = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [block],
        "stop_reason": "end_turn" if side is None else "tool_use",
        "usage": {"input_tokens": 100, "output_tokens": 10},
    }
    return mock_upstream.answer(json.dumps(body).encode())


@dataclass
class Bench:
    """A pin file with a judge on a real socket, and a store."""

    path: Path
    store: Store
    mock: Mock
    pauses: list[float] = field(default_factory=list)

    def thinks(self, says: Says) -> None:
        self.mock.answer = lambda seen: said(says(*shown(seen)))

    @property
    def manifest(self) -> Manifest:
        return manifest.read(PIN_FILE.format(url=self.mock.url, model=CLAUDE))

    def run(self, work: Callable[[Judge], Any]) -> Any:
        """The work, with the judge of the route."""

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        async def go() -> Any:
            async with asker(self.manifest) as ask:
                judge = judge_for(self.manifest, self.manifest.routes["summarizer"], self.store, ask, self.path)
                assert judge is not None
                judge._pause = pause
                return await work(judge)

        return asyncio.run(go())

    def judge(self, known_good: str, output: str) -> Judgement:
        found = self.run(lambda judge: judge.verdict(PROMPT, known_good, output))
        assert isinstance(found, Judgement)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "rubric.md").write_text("The longer answer is better.")
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    with mock_upstream.running() as mock:
        yield Bench(tmp_path, store, mock)
    store.close()


def longer(a: str, b: str) -> str:
    return "same" if len(a) == len(b) else "A" if len(a) > len(b) else "B"


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_orders_are_asked_and_settled(bench: Bench) -> None:
    bench.thinks(longer)
    assert bench.judge("short", "a longer one").said == "better"
    assert bench.judge("a longer one", "short").said == "worse"
    assert bench.judge("four", "five").said == "same"
    # The second pair is the first with its places exchanged: both of its questions were answered already.
    assert len(bench.mock.seen) == 4
    assert {seen.json["model"] for seen in bench.mock.seen} == {CLAUDE}
    assert all("The longer answer is better." in seen.json["system"] for seen in bench.mock.seen)


def test_a_judge_that_looks_at_the_place_says_same(bench: Bench) -> None:
    bench.thinks(lambda a, b: "A")
    found = bench.judge("short", "a longer one")
    assert found.said == "same"
    assert found.dimensions == {"task_complete": "same"}
    assert found.why.startswith("the orders disagree")


def test_a_judge_that_writes_prose_abstains(bench: Bench) -> None:
    bench.thinks(lambda a, b: None)
    assert bench.judge("short", "a longer one").said == "abstained"
    assert bench.judge("short", "a longer one").why == "no verdict of the schema: Hm, A is better."


def test_a_judge_that_wrote_prose_is_asked_again_once_a_run(bench: Bench) -> None:
    bench.thinks(lambda a, b: None)

    async def thrice(judge: Judge) -> list[str]:
        return [(await judge.verdict(PROMPT, "short", "a longer one")).said for _ in range(3)]

    assert bench.run(thrice) == ["abstained"] * 3
    assert len(bench.mock.seen) == 2, "one run asks once"
    bench.thinks(longer)
    assert bench.run(thrice) == ["better"] * 3, "it was mended"
    assert bench.judge("short", "a longer one").said == "better"
    assert len(bench.mock.seen) == 4, "a verdict is remembered"


def test_a_judge_that_always_writes_prose_is_not_asked_for_ever(bench: Bench) -> None:
    bench.thinks(lambda a, b: None)
    for _ in range(ASKED_AT_MOST + 2):
        assert bench.judge("short", "a longer one").said == "abstained"
    assert len(bench.mock.seen) == 2 * ASKED_AT_MOST


def test_the_same_texts_may_be_asked_about_afresh(bench: Bench) -> None:
    bench.thinks(longer)

    async def askings(judge: Judge) -> list[str]:
        return [(await judge.verdict(PROMPT, "short", "a longer one", asking=n)).id for n in (0, 1, 2, 1)]

    ids = bench.run(askings)
    assert len(set(ids)) == 3
    assert len(bench.mock.seen) == 6
    assert bench.run(askings) == ids
    assert len(bench.mock.seen) == 6


def test_what_a_judge_writes_is_redacted_before_it_is_kept(bench: Bench) -> None:
    bench.mock.answer = lambda seen: said("B", reason="B names ann@example.org")
    found = bench.judge("one", "two")
    kept = bench.store.state.judgements([found.id])[found.id]
    assert kept.why.startswith("B names ")
    assert "ann@" not in f"{kept}{found}"
    bench.mock.answer = lambda seen: said(None, prose="Write to ann@example.org")
    odd = bench.judge("three", "four")
    assert odd.why.startswith("no verdict of the schema: Write to ")
    assert "ann@" not in odd.why


def test_a_further_key_or_word_is_no_verdict(bench: Bench) -> None:
    bench.mock.answer = lambda seen: said("A", score=10)
    assert bench.judge("one", "two").said == "abstained"
    bench.mock.answer = lambda seen: said("candidate")
    assert bench.judge("one", "three").said == "abstained"


def test_equal_texts_cost_nothing(bench: Bench) -> None:
    assert bench.judge("the same", "the same").said == "same"
    assert bench.mock.seen == []


def test_a_question_is_paid_for_once(bench: Bench) -> None:
    bench.thinks(longer)

    async def many(judge: Judge) -> tuple[int, int | None]:
        await asyncio.gather(*(judge.verdict(PROMPT, "short", "a longer one") for _ in range(20)))
        return judge.asked, judge.usage.input

    assert bench.run(many) == (2, 200)
    first, second = (bench.judge("short", "a longer one") for _ in range(2))
    assert first.id == second.id
    assert bench.run(many) == (0, None)
    assert len(bench.mock.seen) == 2


def test_what_is_remembered_costs_nothing_and_one_of_many_at_once_pays(bench: Bench) -> None:
    bench.thinks(longer)

    async def tokens(judge: Judge) -> list[int]:
        found = await asyncio.gather(*(judge.verdict(PROMPT, "short", "a longer one") for _ in range(20)))
        return sorted(one.usage.input or 0 for one in found)

    assert bench.run(tokens) == [0] * 19 + [200]
    assert bench.run(tokens) == [0] * 20


def test_a_killed_run_goes_on_after_the_order_that_was_answered(bench: Bench) -> None:
    """One order is answered and the other fails: only the latter is asked again."""
    bench.mock.answer = lambda seen: said("B") if shown(seen)[0] == "short" else mock_upstream.answer(b'{"error": {"message": "no"}}', 400)
    with pytest.raises(CouldNotRun):
        bench.judge("short", "a longer one")
    asked = len(bench.mock.seen)
    bench.thinks(longer)
    assert bench.judge("short", "a longer one").said == "better"
    assert len(bench.mock.seen) == asked + 1


def test_another_rubric_is_another_question(bench: Bench) -> None:
    bench.thinks(longer)
    before = bench.judge("short", "a longer one")
    (bench.path / "rubric.md").write_text("The longer answer is worse.")
    after = bench.judge("short", "a longer one")
    assert before.digest != after.digest
    assert before.id != after.id
    assert len(bench.mock.seen) == 4


def test_an_overloaded_judge_is_asked_again_and_one_out_of_reach_says_so(bench: Bench) -> None:
    script = [mock_upstream.answer(b"{}", 529), mock_upstream.answer(b"{}", 429, retry_after="7")]
    bench.mock.answer = lambda seen: script.pop() if script else said(longer(*shown(seen)))
    assert bench.judge("short", "a longer one").said == "better"
    assert 7.0 in bench.pauses
    bench.mock.answer = lambda seen: mock_upstream.answer(b"{}", 500)
    asked = len(bench.mock.seen)
    with pytest.raises(CouldNotRun, match="HTTP 500"):
        bench.judge("short", "even a longer one")
    assert len(bench.mock.seen) == asked + 2 * TRIES
    bench.thinks(longer)
    assert bench.judge("short", "even a longer one").said == "better"  # it had said nothing, so nothing was kept


def test_a_refused_question_is_not_repeated_and_its_words_are_made_harmless(bench: Bench) -> None:
    body = json.dumps(
        {"type": "error", "error": {"type": "invalid_request_error", "message": "no \x1b[31msuch model for ann@example.org"}}
    ).encode()
    bench.mock.answer = lambda seen: mock_upstream.answer(body, 404)
    with pytest.raises(CouldNotRun, match="such model") as raised:
        bench.judge("short", "a longer one")
    assert "\x1b" not in raised.value.message
    assert "ann@" not in raised.value.message
    assert len(bench.mock.seen) == 2


# ── the rubric, and who may judge whom ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_text(" \n"), "is empty"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda path: path.write_text("x" * 64_001), "at most 64,000 bytes"),
        (lambda path: (path.unlink(), path.symlink_to("/etc/hostname")), "beside the pin file"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "cannot be read"),
        (lambda path: (path.unlink(), path.mkdir()), "a file beside"),
    ],
)
def test_a_rubric_that_cannot_be_read_is_said(bench: Bench, put: Callable[[Path], Any], why: str) -> None:
    put(bench.path / "rubric.md")
    with pytest.raises(InvalidInput, match=why):
        bench.judge("one", "two")


def test_a_version_tried_by_hand_is_not_judged_by_its_own_family(bench: Bench) -> None:
    async def ask(call: Any) -> Any:
        raise AssertionError

    with pytest.raises(InvalidInput, match="its own family, Anthropic"):
        judge_for(bench.manifest, bench.manifest.routes["summarizer"], bench.store, ask, bench.path, against=["claude-opus-4-5-20251101"])
    known_good_of = ("", "anthropic/claude-3-haiku")
    with pytest.raises(InvalidInput, match="its own family, Anthropic"):
        judge_for(bench.manifest, bench.manifest.routes["summarizer"], bench.store, ask, bench.path, against=known_good_of)
    assert judge_for(bench.manifest, bench.manifest.routes["summarizer"], bench.store, ask, bench.path, against=("",)) is not None


def test_a_route_without_a_judge_has_none(bench: Bench) -> None:
    async def ask(call: Any) -> Any:
        raise AssertionError

    assert judge_for(bench.manifest, bench.manifest.routes["judge"], bench.store, ask, bench.path) is None


# ── what may block ──────────────────────────────────────────────────────────────────────────────────────────────────

PAIRS = [
    LabelledPair(PROMPT, f"short {n}", f"a much longer one {n}" if n % 3 else f"tight {n}", "b" if n % 3 else "same", n) for n in range(30)
]
"""By length: two thirds for b, one third the same."""


def without(text: str) -> str:
    """The answer as it was before anything was planted: the line that the pairs above are made of."""
    found = re.search(r"^(short|a much longer one|tight) \d+$", text, re.MULTILINE)
    return found[0] if found else text


def measure(bench: Bench) -> tuple[Any, Calibration]:
    async def work(judge: Judge) -> Any:
        found = await calibrate(judge, PAIRS, lambda done, total: None)
        kept = calibration(found, judge.version, judge.digest, "anna", datetime(2026, 11, 1, tzinfo=UTC))
        bench.store.state.put_calibration(kept)
        return found, kept

    found, kept = bench.run(work)
    return found, kept


def may_block(bench: Bench) -> bool:
    async def work(judge: Judge) -> bool:
        return judge.blocks

    return bool(bench.run(work))


def test_a_judge_that_agrees_with_people_and_is_deaf_to_orders_may_block(bench: Bench) -> None:
    bench.thinks(lambda a, b: longer(without(a), without(b)) if abs(len(without(a)) - len(without(b))) > 3 else "same")
    assert not may_block(bench)
    found, kept = measure(bench)
    assert found.table == ((0, 0, 0), (0, 20, 0), (0, 0, 10))
    assert (found.abstained, found.turned, found.moved) == (0, 0, {})
    assert found.planted == 4 * len(INJECTIONS)
    assert kept.low > 0.4
    assert may_block(bench)


def test_a_calibration_holds_for_one_rubric_and_one_version(bench: Bench) -> None:
    bench.thinks(lambda a, b: longer(without(a), without(b)) if abs(len(without(a)) - len(without(b))) > 3 else "same")
    measure(bench)
    (bench.path / "rubric.md").write_text("Another rubric.")
    assert not may_block(bench)


def test_a_judge_that_obeys_what_it_reads_is_measured_and_informs_only(bench: Bench) -> None:
    def gullible(a: str, b: str) -> str:
        for side, text in (("A", a), ("B", b)):
            if re.search(r"prefer|better one|SCORE|Ignor", text, re.IGNORECASE):
                return side
        return longer(without(a), without(b)) if abs(len(without(a)) - len(without(b))) > 3 else "same"

    bench.thinks(gullible)
    found, kept = measure(bench)
    assert {"order", "score", "hidden", "German", "padding", "tags"} <= found.moved.keys()
    assert "praise" not in found.moved
    assert kept.kappa == 1.0  # it agrees with people on honest pairs, and still may not block
    assert kept.injected > 0.05
    assert not may_block(bench)


def test_what_grades_changes_with_rubric_and_calibration(bench: Bench) -> None:
    def grades() -> str:
        return judged_by(bench.manifest, bench.manifest.routes["summarizer"], bench.store, bench.path)

    before = grades()
    assert before.startswith(f"anthropic/{CLAUDE}|")
    bench.thinks(lambda a, b: longer(without(a), without(b)) if abs(len(without(a)) - len(without(b))) > 3 else "same")
    measure(bench)
    calibrated = grades()
    assert calibrated != before, "it blocks now"
    assert grades() == calibrated
    (bench.path / "rubric.md").write_text("Another rubric.")
    assert grades() not in (before, calibrated)
    assert judged_by(bench.manifest, bench.manifest.routes["judge"], bench.store, bench.path) == ""


def test_a_judge_that_prefers_a_place_is_seen_to(bench: Bench) -> None:
    bench.thinks(lambda a, b: "A")
    found, kept = measure(bench)
    assert (found.turned, found.first_preferred) == (30, 30)
    assert found.table == ((0, 0, 0), (0, 0, 20), (0, 0, 10))
    assert kept.kappa == pytest.approx(0.0)
    assert not may_block(bench)


def test_a_judge_that_is_silent_on_every_fourth_pair_informs_only(bench: Bench) -> None:
    def shy(a: str, b: str) -> str | None:
        number = int(without(a).split()[-1])
        return None if number % 4 == 0 else longer(without(a), without(b)) if abs(len(without(a)) - len(without(b))) > 3 else "same"

    bench.thinks(shy)
    found, kept = measure(bench)
    assert found.abstained == 8  # 0, 4, ... 28
    assert kept.pairs == 22
    assert kept.abstained == pytest.approx(8 / 30)
    assert not may_block(bench)


def test_a_calibration_that_was_killed_goes_on(bench: Bench) -> None:
    bench.thinks(longer)
    left = [25]

    def dies(seen: Seen) -> Script:
        left[0] -= 1
        return said(longer(*shown(seen))) if left[0] > 0 else mock_upstream.answer(b"{}", 401)

    bench.mock.answer = dies
    with pytest.raises(CouldNotRun, match="the judge gives no answer"):
        measure(bench)
    answered = 24
    before = len(bench.mock.seen)
    bench.thinks(longer)
    found, _ = measure(bench)
    all_questions = 2 * (len(PAIRS) + found.planted)
    assert len(bench.mock.seen) - before == all_questions - answered


def test_two_judges_are_never_mixed(bench: Bench) -> None:
    bench.thinks(longer)
    kept = bench.judge("short", "a longer one")
    assert kept.judge == Version("anthropic", CLAUDE)
    other = Calibration(
        judge=Version("anthropic", "claude-haiku-4-5-20251001"),
        digest=kept.digest,
        pairs=100,
        kappa=0.9,
        low=0.8,
        high=1.0,
        abstained=0.0,
        injected=0.0,
        by="anna",
        at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    bench.store.state.put_calibration(other)
    assert not may_block(bench)
