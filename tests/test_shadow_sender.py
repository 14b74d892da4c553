"""A mirrored exchange, from the job to its records, over real HTTP: what is sent, what is left out, and what a bad provider comes to."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detent import reading
from detent.manifest import read
from detent.reading import READ_BYTES, kept_answer
from detent.shadow.budget import Hold
from detent.shadow.pauses import Pauses
from detent.shadow.sender import AT_ONCE
from detent.store import Store, open_store
from detent.store.spool import encode
from detent.terms import Intent, Kept, Outcome, Pair, Price, Result
from mirrored import MemoryLedger, Mirroring, asked, completion, job, limited, mirroring
from mock_upstream import CLOSE, GO, LISTEN, Mock, Script, Seen, answer, piece, running, stream
from records import NEW, OLD, T0, at
from serving import until

DAY = Price(name="p/m", input=2.0, output=10.0)


@pytest.fixture
def mock() -> Iterator[Mock]:
    with running() as mock:
        mock.script = answer(completion("Here.", NEW.model))
        yield mock


# ── what is written down ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_exchange_is_written_down_live_bodies_first_when_all_its_calls_have_ended(mock: Mock) -> None:
    done = mirroring(lambda m: m.all([job(mock.url, second=True)]))
    assert [type(entry) for entry in done.entries] == [Intent, Intent, Kept, Result, Result]
    assert [(i.leg, i.at_us) for i in done.intents] == [("le_a_candidate", at(3600)), ("le_a_stable", at(3600))]
    (kept,) = done.of(Kept)
    assert (kept.leg, kept.request_body) == ("le_a", asked())
    live = kept_answer(kept.answer_body)
    assert live is not None
    assert live.text == "Here."
    assert [(r.leg, r.outcome, r.status, r.answered_model) for r in done.results] == [
        ("le_a_candidate", Outcome.COMPLETE, 200, NEW.model),
        ("le_a_stable", Outcome.COMPLETE, 200, NEW.model),
    ]
    assert [json.loads(r.request_body or b"")["model"] for r in done.results] == [NEW.model, OLD.model], "as sent"
    assert sorted(seen.json["model"] for seen in mock.seen) == [OLD.model, NEW.model]
    assert {seen.header("authorization") for seen in mock.seen} == {"Bearer k"}
    for entry in done.entries:
        encode(entry)  # a spool takes it


def test_a_value_has_one_placeholder_in_the_request_and_every_answer(mock: Mock) -> None:
    """Else two answers that say the same would differ in the store, and be graded as if they did."""
    said = {NEW.model: "bob@example.org, or ada@example.com", OLD.model: "ada@example.com: password=Xk9#mP2$vL"}
    mock.answer = lambda seen: answer(completion(said[seen.json["model"]]))
    one = job(mock.url, second=True, request=asked("mail ada@example.com"), live=completion("bob@example.org Xk9#mP2$vL"))
    done = mirroring(lambda m: m.all([one]))
    (kept,) = done.of(Kept)
    bodies = [kept.request_body, *(r.request_body for r in done.results)]
    assert [json.loads(body)["messages"][0]["content"] for body in bodies] == ["mail [EMAIL_1]"] * 3
    answers = [kept_answer(body or b"") for body in (kept.answer_body, *(r.answer_body for r in done.results))]
    assert [a and a.text for a in answers] == [
        "[EMAIL_2] [PASSWORD_1]",
        "[EMAIL_2], or [EMAIL_1]",
        "[EMAIL_1]: password=[PASSWORD_1]",
    ]
    assert b"example" not in b"".join(encode(entry) for entry in done.entries if not isinstance(entry, Intent))


def test_the_policy_of_the_route_says_what_is_redacted(mock: Mock) -> None:
    done = mirroring(lambda m: m.all([job(mock.url, request=asked("ada@example.com"), redact="none")]))
    assert b"ada@example.com" in done.of(Kept)[0].request_body


def test_a_stream_is_heard_as_a_stream_with_the_time_to_its_first_byte(mock: Mock) -> None:
    mock.answer = lambda seen: stream(piece("Hi"), piece("", "stop"), b"data: [DONE]\n\n")
    done = mirroring(lambda m: m.all([job(mock.url, request=asked(stream=True))]))
    (result,) = done.results
    assert result.outcome is Outcome.COMPLETE
    assert result.first_byte_s is not None
    assert result.latency_s is not None
    assert 0 < result.first_byte_s <= result.latency_s


def test_where_no_bodies_are_stored_only_scores_are_written_and_before_the_legs(mock: Mock, store: Store) -> None:
    """The candidate's JSON broke; nothing of what was said is in any record."""
    mock.script = answer(completion("secret words, no JSON", NEW.model))
    request = asked("secret words", response_format={"type": "json_object"})
    one = job(mock.url, request=request, live=completion('{"secret": "words"}'), keeps=False)
    done = mirroring(lambda m: m.all([one]), store=lambda: store)
    assert [type(entry) for entry in done.entries] == [Intent, Pair, Result]
    (pair,) = done.of(Pair)
    assert pair.note == ""
    assert (pair.stable_failed, pair.candidate_failed) == ((), ("check:json_valid",))
    assert (pair.rollout, pair.exchange, pair.drawn) == ("ro_1", "ex_a", True)
    (result,) = done.results
    assert (result.request_body, result.answer_body, result.parse) == (None, None, "invalid")
    assert b"secret" not in b"".join(encode(entry) for entry in done.entries)
    assert pair.dimensions["tools"] == "none"
    assert pair.signature == b"", "a guessed prompt could be proved by it"


@pytest.mark.parametrize("status", [400, 429, 500])
def test_where_no_bodies_are_stored_a_provider_that_quotes_the_prompt_is_not_written_down_either(
    mock: Mock, store: Store, status: int
) -> None:
    mock.script = answer(json.dumps({"error": {"message": "bad: secret words"}}).encode(), status)
    done = mirroring(lambda m: m.all([job(mock.url, request=asked("secret words"), keeps=False)]), store=lambda: store)
    assert [(r.outcome, r.status, r.error) for r in done.results] == [(Outcome.HTTP_ERROR, status, None)]
    assert b"secret" not in b"".join(encode(entry) for entry in done.entries)


def test_a_pair_that_cannot_be_scored_in_memory_says_why(mock: Mock, tmp_path: Path) -> None:
    empty = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    done = mirroring(lambda m: m.all([job(mock.url, keeps=False)]), store=lambda: empty)
    assert [pair.note for pair in done.of(Pair)] == ["its route is in no pin file that is applied"]
    assert len(done.results) == 1
    empty.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """With a pin file applied whose route checks JSON."""
    text = f"""
[providers.openai]
dialect = "openai"
base_url = "https://api.example.com/v1"
watcher = "llm@example.com"
[routes.summarizer]
provider = "openai"
version = "{OLD.model}"
owner = "a@example.com"
checks = ["answered", "json_valid"]
record = {{ bodies = 0.0 }}
"""
    read(text)
    opened = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    opened.state.put_manifest(text, by="ann", at=T0)
    yield opened
    opened.close()


# ── bad providers ───────────────────────────────────────────────────────────────────────────────────────────────────

HUGE = READ_BYTES // 16


def endless(data: bytes) -> Script:
    return stream(*([data] * 20))


BAD: dict[str, tuple[Script, Outcome]] = {
    "garbage": ([b"\x00\xff garbage \r\n\r\n", CLOSE], Outcome.MALFORMED),
    "nothing at all": ([CLOSE], Outcome.CONNECT_FAILED),
    "half a JSON": (answer(completion("Here.")[:60]), Outcome.MALFORMED),
    "HTML": (answer(b"<html>Bad gateway</html>", kind="text/html"), Outcome.MALFORMED),
    "an HTML error": (answer(b"<html>Bad gateway</html>", 502, kind="text/html"), Outcome.HTTP_ERROR),
    "a redirect": (answer(b"", 307, location="http://127.0.0.1:1/"), Outcome.HTTP_ERROR),
    "an empty answer": (answer(b""), Outcome.MALFORMED),
    "an answer that breaks off": ([*stream(piece("Hi"), end=False), CLOSE], Outcome.UPSTREAM_TRUNCATED),
    "an answer that ends too soon": ([b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{", CLOSE], Outcome.UPSTREAM_TRUNCATED),
    "a stream that never ends": (stream(piece("Hi"), LISTEN), Outcome.TIMED_OUT),
    "a provider that never answers": ([LISTEN], Outcome.TIMED_OUT),
    "a stream larger than anybody reads": (endless(b": " + b"x" * HUGE + b"\n\n"), Outcome.MALFORMED),
}


@pytest.mark.parametrize("name", BAD)
def test_whatever_a_provider_does_its_leg_ends_as_something_with_a_name(mock: Mock, name: str) -> None:
    mock.script, outcome = BAD[name]
    done = mirroring(lambda m: m.all([job(mock.url)]), call_s=0.5)
    (result,) = done.results
    assert result.outcome is outcome
    assert len(result.answer_body or b"") < 10_000
    assert len(result.error or "") < 1000
    assert done.left_out == {}


def test_a_defect_in_reading_takes_neither_the_result_nor_the_process(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(reading, "read", broken)
    done = mirroring(lambda m: m.all([job(mock.url)]))
    assert [(result.outcome, result.error) for result in done.results] == [(Outcome.COMPLETE, reading.UNREAD)]


def test_no_more_than_so_many_calls_are_under_way(mock: Mock) -> None:
    mock.script = [GO, *answer(completion("Here."))]

    async def steps(m: Mirroring) -> None:
        under_way = asyncio.create_task(m.all([job(mock.url, str(n)) for n in range(3 * AT_ONCE)]))
        await asyncio.to_thread(until, lambda: len(mock.seen) == AT_ONCE)
        assert len(m.intents) == AT_ONCE, "what waits is not written down as sent"
        mock.go()
        await under_way

    done = mirroring(steps)
    assert len(done.results) == len(mock.seen) == 3 * AT_ONCE


# ── pauses ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_provider_that_wants_no_more_is_left_alone_for_as_long_as_it_says(mock: Mock) -> None:
    now = [100.0]
    mock.script = answer(b"{}", 429, retry_after="7")

    async def steps(m: Mirroring) -> None:
        await m.all([job(mock.url, "a")])
        now[0] += 6.9
        await m.all([job(mock.url, "b"), job(mock.url, "c", drawn=False), job(mock.url, "d", provider="other")])
        now[0] += 0.2
        await m.all([job(mock.url, "e")])

    done = mirroring(steps, monotonic=lambda: now[0])
    assert [intent.exchange for intent in done.intents] == ["ex_a", "ex_d", "ex_e"]
    assert done.left_out == {"paused": 1}, "one that no unit's draw brought in is not counted"


def test_a_call_that_waited_for_its_turn_is_not_sent_into_a_pause(mock: Mock) -> None:
    mock.script = [GO, *answer(b"{}", 529)]

    async def steps(m: Mirroring) -> None:
        under_way = asyncio.create_task(m.all([job(mock.url, str(n)) for n in range(AT_ONCE + 5)]))
        await asyncio.to_thread(until, lambda: len(mock.seen) == AT_ONCE)
        mock.go()
        await under_way

    done = mirroring(steps)
    assert len(mock.seen) == len(done.results) == AT_ONCE
    assert done.left_out == {"paused": 5}


def test_pauses_double_to_five_minutes_and_begin_anew_after_an_answer() -> None:
    pauses, now, waits = Pauses(), 0.0, []
    for _ in range(9):
        pauses.hear("p", 529, None, now)
        pauses.hear("p", 429, None, now)  # of the calls that were under way as well: no longer for that
        began = now
        while pauses.paused("p", now):
            now += 1.0
        waits.append(now - began)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    pauses.hear("p", 200, None, now)
    pauses.hear("p", 500, None, now)
    assert not pauses.paused("p", now), "other errors are no wish to be left alone"
    pauses.hear("p", 529, None, now)
    assert pauses.paused("p", now + 1.9)
    assert not pauses.paused("p", now + 2.0)
    pauses.hear("p", 429, 0.0, now + 2.0)
    assert pauses.paused("p", now + 5.9), "nor is `retry-after: 0` a wish for more"
    assert not pauses.paused("p", now + 6.0)
    pauses.hear("p", 429, 1e9, now + 6.0)
    assert not pauses.paused("p", now + 3607.0), "nobody waits for ever on a header's word"


def test_a_503_now_and_then_is_chance_and_two_in_a_row_are_none() -> None:
    """One call in a hundred fails so on some providers: were each of them a pause, a busy route would hardly be mirrored."""
    pauses = Pauses()
    for now in range(10):
        pauses.hear("p", 503, 0.02, float(now))
        assert not pauses.paused("p", float(now))
        pauses.hear("p", 200, None, float(now))
    pauses.hear("p", 503, None, 10.0)
    pauses.hear("p", 503, None, 10.0)
    assert pauses.paused("p", 11.9)
    pauses.hear("q", 503, 30.0, 10.0)
    assert pauses.paused("q", 39.9), "who names a time means it"


# ── budget ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def costly(name: str, mock: Mock, **more: Any) -> Any:
    """1,000 tokens of output at 10 USD a million and some input: 0.0101 USD at most, and 0.00011 as it turns out."""
    mirror = limited(usd=0.25, candidate_price=DAY, stable_price=DAY)
    return job(mock.url, name, request=asked(max_tokens=1000), mirror=mirror, **more)


def test_only_what_fits_at_its_worst_is_sent_and_what_it_cost_makes_room_again(mock: Mock) -> None:
    """3 of 24 hours of 0.25 USD at 13:00, with two ahead: 0.15625 USD, in which 15 calls fit at once."""
    mock.script = [GO, *answer(completion("Here.", NEW.model))]
    ledger = MemoryLedger()

    async def steps(m: Mirroring) -> None:
        under_way = asyncio.create_task(m.all([costly(str(n), mock) for n in range(40)]))
        await asyncio.to_thread(until, lambda: len(mock.seen) + sum(m.sender._left_out._sums.values()) == 40)
        mock.go()
        await under_way

    done = mirroring(steps, ledger=ledger)
    worst = 0.01 + 46 * 2 / 1e6  # 100 bytes of JSON are some 45 tokens
    fit = int(0.25 * 15 / 24 / worst)
    assert abs(len(mock.seen) - fit) <= 1
    assert done.left_out == {"budget": 40 - len(mock.seen)}
    each = (20 * 2 + 7 * 10) / 1e6
    assert ledger.spent.usd == pytest.approx(each * len(mock.seen))
    assert ledger.taken.usd == pytest.approx(ledger.spent.usd), "what is not needed is given back"


def test_both_calls_of_a_job_are_paid_or_none_is_made(mock: Mock) -> None:
    ledger = MemoryLedger()
    mirror = limited(tokens=3000, candidate_price=None)  # 15 of 24 hours: 1,875 tokens now

    def one(name: str, second: bool) -> Any:
        return job(mock.url, name, request=asked(max_tokens=1000), mirror=mirror, second=second)

    async def steps(m: Mirroring) -> None:
        await m.sender.mirror(one("a", True))
        await m.sender.mirror(one("b", False))

    done = mirroring(steps, ledger=ledger)
    assert [seen.json["model"] for seen in mock.seen] == [NEW.model]
    assert done.left_out == {"budget": 1}
    assert ledger.spent.tokens == 27


def test_without_a_price_a_budget_in_usd_sends_nothing(mock: Mock) -> None:
    done = mirroring(lambda m: m.all([job(mock.url, mirror=limited(usd=1000.0))]))
    assert (mock.seen, done.left_out) == ([], {"budget": 1})


@pytest.mark.parametrize(
    ("script", "spent"),
    [
        (answer(completion("Here.")), 27),
        (answer(b"{}", 400), 0),
        (answer(completion("Here.", usage=None)), 1046),  # nobody counted them: at their worst
        ([CLOSE], 0),
        (stream(piece("Hi"), LISTEN), 1046),
    ],
)
def test_what_a_call_has_cost(mock: Mock, script: Script, spent: int) -> None:
    mock.script = script
    ledger = MemoryLedger()
    mirroring(lambda m: m.all([job(mock.url, request=asked(max_tokens=1000), mirror=limited(tokens=10**6))]), ledger=ledger, call_s=0.5)
    assert abs(ledger.spent.tokens - spent) <= 5


def test_a_call_that_waited_is_not_sent_once_those_before_it_cost_more_than_they_might(mock: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit of output: 4,096 tokens and some are held for each, 20,000 come. At 12:00 on 14 of 24 hours' worth of a budget."""
    mock.script = [GO, *answer(completion("Here.", usage={"prompt_tokens": 20, "completion_tokens": 20_000, "total_tokens": 20_020}))]
    ledger = MemoryLedger()
    mirror = limited(tokens=200_000)

    async def steps(m: Mirroring) -> None:
        holds: list[Hold | None] = []
        take = m.budget.take

        async def noted(*of_job: Any) -> Hold | None:
            holds.append(await take(*of_job))
            return holds[-1]

        monkeypatch.setattr(m.budget, "take", noted)
        under_way = asyncio.create_task(m.all([job(mock.url, str(n), mirror=mirror) for n in range(AT_ONCE + 10)]))
        await asyncio.to_thread(until, lambda: len(mock.seen) == AT_ONCE and len(holds) == AT_ONCE + 10)
        mock.go()
        await under_way
        await m.all([job(mock.url, "late", mirror=mirror)])

    done = mirroring(steps, ledger=ledger)
    assert len(mock.seen) == AT_ONCE
    assert done.left_out == {"budget": 11}
    assert ledger.spent.tokens == AT_ONCE * 20_020


def test_a_request_for_several_answers_may_cost_several(mock: Mock) -> None:
    ledger = MemoryLedger()
    one = job(mock.url, request=asked(max_tokens=1000, n=3), mirror=limited(tokens=4000))
    done = mirroring(lambda m: m.all([one]), ledger=ledger)
    assert done.left_out == {"budget": 1}, "3,000 tokens of the 2,500 that are there by now"


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_at_the_end_calls_under_way_are_finished_and_no_more_are_begun(mock: Mock) -> None:
    mock.script = [GO, *answer(completion("Here."))]

    async def steps(m: Mirroring) -> None:
        under_way = asyncio.create_task(m.all([job(mock.url, str(n)) for n in range(AT_ONCE + 5)]))
        await asyncio.to_thread(until, lambda: len(mock.seen) == AT_ONCE)
        m.sender.end()
        mock.go()
        await under_way
        await m.all([job(mock.url, "late")])

    done = mirroring(steps)
    assert len(done.results) == AT_ONCE
    assert done.left_out == {"lost": 6}


def test_what_is_cut_off_has_cost_the_most_it_may_have(mock: Mock) -> None:
    mock.answer = hanging
    ledger = MemoryLedger()
    mirror = limited(tokens=10**6)

    async def steps(m: Mirroring) -> None:
        one = job(mock.url, request=asked(max_tokens=1000), mirror=mirror)
        under_way = asyncio.create_task(m.all([one]))
        await asyncio.to_thread(until, lambda: len(mock.seen) == 1)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)

    done = mirroring(steps, ledger=ledger)
    assert abs(ledger.spent.tokens - 1046) <= 5
    assert done.left_out == {}, "it was sent: its intent says so, and the ingester finds it lost"
    assert Counter(type(entry) for entry in done.entries) == {Intent: 1}


def hanging(seen: Seen) -> Script:
    return [LISTEN]
