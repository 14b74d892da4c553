"""The journal on real databases: one row per leg, however often it is put, and the questions that people and the grader ask it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event, text

from detent import reading, wire
from detent.evidence.past import Before
from detent.evidence.units import UnitKey
from detent.grading import RecordedPair, Side
from detent.stats.sketch import bucket
from detent.store import Store, open_store
from detent.store.journal import Recorded
from detent.terms import (
    Answer,
    Arm,
    DeclaredMetric,
    Endpoint,
    Feedback,
    Guard,
    Intent,
    Kept,
    Outcome,
    Past,
    PastMetric,
    Phase,
    Price,
    Result,
    Role,
    UnitKind,
    Usage,
    utc,
)
from records import OLD, T0, at, begun, intent, result, rollout, thumbs_down

pytest_plugins = ("stores",)

FULL = Result(
    leg="le_a",
    at_us=at(1),
    outcome=Outcome.UPSTREAM_TRUNCATED,
    status=200,
    finish_reason="length",
    answered_model="atlas",
    fingerprint="fp",
    usage=Usage(input=1, cached=2, output=3, reasoning=4),
    latency_s=1.5,
    first_byte_s=0.5,
    step=3,
    tools_called=("search", "search"),
    repeats_call=True,
    unknown_tool=False,
    parse="keys_missing",
    refusal=False,
    answer_chars=7,
    language="de",
    error="cut",
    request_body=b"\x00\xff",
    answer_body=b"",
)


def test_a_leg_is_read_back_as_it_was_put(store: Store) -> None:
    other = intent("b", seconds=2, unit_kind=UnitKind.REQUEST, rollout=None, session=None, role=Role.FALLBACK, exchange="ex_a")
    sent = intent("a", stream=True, user="h", endpoint=Endpoint.ANTHROPIC_MESSAGES, attempt=2, control=True)
    sent = replace(sent, tenant="acme", region="eu-1")
    store.journal.put([sent, other], [FULL])
    assert store.journal.exchange("ex_a") == (Recorded(sent, FULL), Recorded(other, None))
    assert store.journal.latest("summarizer") == (Recorded(other, None), Recorded(sent, replace(FULL, request_body=None, answer_body=None)))
    assert store.journal.latest("summarizer", limit=1) == (Recorded(other, None),)
    assert store.journal.latest("chat") == store.journal.exchange("ex_b") == ()


def test_putting_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        store.journal.put([intent("a"), intent("b")], [FULL], [thumbs_down("f", 1)], origins={"le_a": "s1", "f": "s1:1:9"})
    store.journal.put([intent("a", requested="other")], [result("a")], [thumbs_down("f", 2)], origins={"f": "s2:1:9"})
    assert store.journal.exchange("ex_a") == (Recorded(intent("a"), FULL),)
    assert store.journal.origins({"f", "g"}) == {"f": "s1:1:9"}
    assert store.journal.count() == 2
    assert store.journal.count(pending=True) == 1
    assert store.journal.count(outcome=Outcome.UPSTREAM_TRUNCATED) == 1
    assert store.journal.count(route="chat") == 0


def test_a_result_without_an_intent_is_not_kept(store: Store) -> None:
    store.journal.put(results=[FULL])
    assert store.journal.count() == 0
    store.journal.put([intent("a")])
    assert store.journal.exchange("ex_a") == (Recorded(intent("a"), None),)
    assert store.journal.intents({"le_a", "le_b"}) == {"le_a": intent("a")}


def test_numbers_that_no_column_holds_are_not_known(store: Store) -> None:
    store.journal.put([intent("a", attempt=10**30)], [result("a", usage=Usage(input=10**30, output=5), status=-(10**20))])
    ((recorded),) = store.journal.exchange("ex_a")
    assert recorded.result is not None
    assert (recorded.result.usage, recorded.result.status) == (Usage(output=5), None)
    assert recorded.intent.attempt == 2**63 - 1


def test_what_is_unresolved_in_a_spool_or_was_found_lost(store: Store) -> None:
    sent = [intent(name, seconds=seconds) for seconds, name in enumerate("abcd")]
    store.journal.put(sent, [result("a"), result("b", 1, Outcome.LOST)], origins={"le_a": "s", "le_b": "s", "le_c": "s", "le_d": "other"})
    assert store.journal.unresolved("s") == [(sent[1], None), (sent[2], None)]


def test_a_first_byte_is_kept_until_the_result_says_the_same(store: Store) -> None:
    sent = [intent(name, seconds=seconds, stream=True) for seconds, name in enumerate("ab")]
    first, second = begun("a", 0.5), begun("b", 1.25, 1)
    store.journal.put(sent, origins={"le_a": "s", "le_b": "s"}, begun=[first, second, begun("nobody", 3)])
    store.journal.put(begun=[first])
    assert store.journal.unresolved("s") == [(sent[0], first), (sent[1], second)]
    assert [known.result for known in store.journal.exchange("ex_a")] == [None], "it has not ended"
    lost = result("a", 2, Outcome.LOST, first_byte_s=0.5)
    ended = result("b", 3, first_byte_s=0.25)
    store.journal.put(results=[lost, ended])
    store.journal.put(begun=[begun("a", 9), begun("b", 9)])
    assert store.journal.unresolved("s") == [(sent[0], first)], "as before a kill, so after it"
    assert [known.result for name in ("ex_a", "ex_b") for known in store.journal.exchange(name)] == [lost, ended]


def test_the_policy_of_the_route_is_kept_and_of_older_rows_taken_to_be_a_fallback(store: Store) -> None:
    sent = [intent("a", falls_back=False), intent("b")]
    store.journal.put(sent)
    assert store.journal.intents({"le_a", "le_b"}) == {"le_a": sent[0], "le_b": sent[1]}
    with store.journal._db.read() as c:
        assert dict(c.execute(text("SELECT leg, falls_back FROM legs")).all()) == {"le_a": False, "le_b": None}


def test_a_stream_under_way_is_no_failure_of_the_past(store: Store) -> None:
    hard = Guard(metric="hard_failure", margin_ratio=1.5, matures=10.0)
    sent = [intent(name, name, seconds, stream=True) for seconds, name in enumerate("abc")]
    store.journal.put(sent, [result("a", 45, first_byte_s=0.5, latency_s=45.0)], begun=[begun("a", 0.5), begun("b", 1.5, 1)])
    found = store.journal.past("summarizer", guards=[hard], at=utc(at(60)))
    assert (found.metrics["hard_failure"].units, found.metrics["hard_failure"].events, found.legs) == (3, 1, 3)
    assert found.lasts_s == 45.0


def test_feedback_finds_its_units(store: Store) -> None:
    store.journal.put(
        [
            intent("a"),
            intent("b", seconds=1),
            intent("c", seconds=2, rollout="ro_2", route="chat"),
            intent("d", unit="u9", session="u1", unit_kind=UnitKind.USER, seconds=3, rollout="ro_3"),
            intent("e", seconds=4, role=Role.MIRRORED, rollout="ro_4"),
            intent("f", seconds=5, randomised=False, rollout="ro_5"),
            intent("g", seconds=6, rollout=None),
        ]
    )
    found = store.journal.targets(exchanges={"ex_a", "ex_e", "ex_f", "ex_g", "ex_z"}, sessions={"u1", "u2"})
    assert found.keys() == {"ex_a", "u1"}
    assert found["ex_a"] == [UnitKey("ro_1", "u1")]
    assert sorted(found["u1"]) == [UnitKey("ro_1", "u1"), UnitKey("ro_2", "u1"), UnitKey("ro_3", "u9")]


def test_the_model_that_answered_last(store: Store) -> None:
    store.journal.put(
        [intent("a"), intent("b", seconds=1), intent("c", seconds=2, role=Role.MIRRORED), intent("d", seconds=3)],
        [
            result("a", answered_model="old"),
            result("b", answered_model="new"),
            result("c", answered_model="shadow"),
            result("d", 1, Outcome.TIMED_OUT),
        ],
    )
    assert store.journal.served(["summarizer", "chat"]) == {"summarizer": "new"}


# ── what baselines are drawn from ──

MODEL = intent("x").model


def asking(text: str, **more: Any) -> bytes:
    return json.dumps({"model": "summarizer", "messages": [{"role": "user", "content": text}], **more}).encode()


def answered(text: str, **more: Any) -> bytes:
    return msgspec.json.encode(Answer(text=text, **more))


def told(
    store: Store, name: str, seconds: float, request: bytes | None = None, *, ended: Mapping[str, Any] | None = None, **more: Any
) -> None:
    """A complete exchange with both bodies."""
    bodies = {"request_body": asking(name) if request is None else request, "answer_body": answered(f"answer {name}")}
    store.journal.put([intent(name, seconds=seconds, **more)], [result(name, seconds + 1, **bodies | dict(ended or {}))])


def test_recorded_exchanges_stream_newest_first_with_what_users_said(store: Store) -> None:
    told(store, "a", 1, asking("hello", stream=True), session="s1", api_version="v1", betas=("b1", "b2"))
    told(store, "b", 2, session="s2")
    store.journal.put(
        said=[thumbs_down("f", 9, exchange="ex_a"), Feedback(id="g", at_us=at(9), metric="thumbs_up", value=1, exchange="ex_b")]
    )
    new, old = store.journal.recorded("summarizer", model=MODEL)
    assert (new.id, new.answer.text, new.rating, new.session) == ("ex_b", "answer b", 1.0, "s2")
    assert (old.id, old.endpoint, old.at, old.model, old.template) == ("ex_a", Endpoint.OPENAI_CHAT, utc(at(1)), MODEL, "t")
    assert (old.rating, old.api_version, old.betas) == (0.0, "v1", ("b1", "b2"))
    assert json.loads(old.request)["stream"] is False, "as it can be sent again"
    assert [e.id for e in store.journal.recorded("summarizer", model=MODEL, since=utc(at(2)))] == ["ex_b"]
    assert list(store.journal.recorded("chat", model=MODEL)) == []


def test_only_complete_answers_to_callers_are_drawn_from(store: Store) -> None:
    told(store, "good", 0)
    told(store, "mirrored", 1, role=Role.MIRRORED)
    told(store, "candidate", 2, model="atlas-2026-06-01")
    told(store, "elsewhere", 3, route="chat")
    told(store, "bodiless", 4, ended={"answer_body": None})
    told(store, "failed", 5, ended={"outcome": Outcome.TIMED_OUT})
    told(store, "broken", 6, ended={"parse": "invalid"})
    told(store, "refusing", 7, ended={"refusal": True})
    told(store, "unreadable", 8, b"no JSON")
    assert [e.id for e in store.journal.recorded("summarizer", model=MODEL)] == ["ex_good"]
    found = list(store.journal.asked("summarizer", model=MODEL, after_us=-1, until_us=at(100)))
    assert [(asked.leg, asked.called) for asked in found] == [("le_good", False), ("le_unreadable", False)], "it is not parsed here"
    assert store.journal.recorded_legs(["le_good", "le_unreadable", "le_bodiless", "le_none"]).keys() == {"le_good", "le_bodiless"}


def test_an_answer_that_an_older_version_kept_as_it_came_is_read_too(store: Store) -> None:
    raw = wire.answer_body(Endpoint.OPENAI_CHAT, Answer(text="as it came"), id="c", created=1)
    told(store, "a", 1, ended={"answer_body": raw})
    assert [e.answer.text for e in store.journal.recorded("summarizer", model=MODEL)] == ["as it came"]


def test_the_journal_is_read_in_stretches_that_leave_nothing_out_and_take_nothing_twice(store: Store) -> None:
    """25 legs, of which seven came in one microsecond."""
    for n in range(25):
        told(store, f"r{n:02}", 5 if 5 <= n < 12 else n)
    for every in (1, 3, 4, 24, 25, 100):
        spans = store.journal.spans("summarizer", every=every, at_most=1000)
        assert [until for _, until in spans] == sorted((until for _, until in spans), reverse=True)
        read = [
            asked.leg for after, until in spans for asked in store.journal.asked("summarizer", model=MODEL, after_us=after, until_us=until)
        ]
        assert sorted(read) == sorted(f"le_r{n:02}" for n in range(25))
    newest = store.journal.spans("summarizer", every=5, at_most=10)
    assert sum(len(list(store.journal.asked("summarizer", model=MODEL, after_us=a, until_us=u))) for a, u in newest) == 10
    assert store.journal.spans("chat", every=5, at_most=10) == []


def test_praise_of_a_session_blesses_no_answer_in_it_and_its_failure_damns_them_all(store: Store) -> None:
    for name, session in (("a", "good"), ("b", "bad"), ("c", "bad"), ("d", "silent")):
        told(store, name, 1, session=session)
    store.journal.put(
        said=[
            Feedback(id="1", at_us=at(9), metric="thumbs", value=1.0, session="good"),
            Feedback(id="2", at_us=at(9), metric="thumbs", value=0.0, session="bad"),
            Feedback(id="3", at_us=at(9), metric="thumbs_up", value=1.0, exchange="ex_c"),
            Feedback(id="4", at_us=at(9), metric="thumbs_down", value=0.0, exchange="ex_d"),
            Feedback(id="5", at_us=at(9), metric="stars", value=-3.0, exchange="ex_d"),
        ]
    )
    assert {e.id: e.rating for e in store.journal.recorded("summarizer", model=MODEL)} == {
        "ex_a": None,
        "ex_b": 0.0,
        "ex_c": 1.0,
        "ex_d": None,
    }


def test_traffic_is_told_by_templates_of_all_requests_and_strata_of_those_with_bodies(store: Store) -> None:
    for n in range(8):
        told(store, f"r{n}", n, template="old" if n < 2 else "new", ended={"tools_called": ("f",)} if n == 7 else None)
    store.journal.put([intent("bare", seconds=9, template="bare"), intent("m", seconds=9, template="bare", role=Role.MIRRORED)])
    traffic = store.journal.traffic("summarizer", since=utc(at(1)))
    assert (traffic.requests, traffic.bodies) == (8, 7)
    assert traffic.templates == pytest.approx({"old": 1 / 8, "new": 6 / 8, "bare": 1 / 8})
    assert traffic.strata["tools"] == pytest.approx({"no": 6 / 7, "called": 1 / 7})
    assert traffic.strata["season"] == {"weekend": 1.0}, "1 March 2026 is a Sunday"
    assert store.journal.traffic("summarizer", since=utc(at(0)), limit=3).templates == pytest.approx({"new": 2 / 3, "bare": 1 / 3})
    assert store.journal.traffic("chat", since=utc(at(0))).requests == 0


ASKED, STABLES, CANDIDATES, SECONDS = b"ask", *(reading.keep(Answer(text=word)) for word in ("stable", "new", "again"))


def mirrored(
    name: str, answered: float, *, second: float | None = None, outcome: Outcome = Outcome.COMPLETE, why: str = ""
) -> tuple[list[Intent], list[Result]]:
    """An exchange served by stable at once, whose shadow answered at the given second; and stable's second answer."""
    live = intent(name, template="t", endpoint=Endpoint.ANTHROPIC_MESSAGES)
    sent = [live, replace(intent(f"{name}.m", seconds=0.6, arm=Arm.CANDIDATE, role=Role.MIRRORED, why=why), exchange=live.exchange)]
    said = CANDIDATES if outcome is Outcome.COMPLETE else None
    ends = [result(name, 0.5), result(f"{name}.m", answered, outcome, request_body=ASKED, answer_body=said)]
    if second is not None:
        sent.append(replace(intent(f"{name}.s", seconds=0.6, role=Role.MIRRORED), exchange=live.exchange))
        ends.append(result(f"{name}.s", second, request_body=ASKED, answer_body=SECONDS))
    return sent, ends


def kept(name: str) -> list[Kept]:
    return [Kept(leg=f"le_{name}", at_us=at(1), request_body=ASKED, answer_body=STABLES)]


def ungraded(store: Store, limit: int = 9) -> list[str]:
    return [pair.exchange.removeprefix("ex_") for pair in store.journal.ungraded_pairs("ro_1", limit=limit)]


def side(text: str) -> Side:
    return Side(outcome=Outcome.COMPLETE, status=200, answer=Answer(text=text))


def test_a_pair_is_read_with_all_its_answers(store: Store) -> None:
    store.journal.put(*mirrored("a", 2.0, second=3.0), kept=kept("a"))
    store.journal.put(*mirrored("b", 4.0, outcome=Outcome.CONNECT_FAILED, why="rare"), kept=kept("b"))
    first, other = store.journal.ungraded_pairs("ro_1", limit=5)
    assert first == RecordedPair(
        rollout="ro_1",
        exchange="ex_a",
        at_us=at(3),
        asked_us=at(0),
        unit="u1",
        endpoint=Endpoint.ANTHROPIC_MESSAGES,
        request=ASKED,
        template="t",
        drawn=True,
        stable=side("stable"),
        candidate=side("new"),
        second=side("again"),
    )
    assert (other.candidate, other.second, other.drawn) == (Side(outcome=Outcome.CONNECT_FAILED), None, False)
    assert store.journal.recorded_pairs("ro_1", ["ex_b", "ex_a", "ex_none"]) == [first, other]
    assert store.journal.recorded_pairs("ro_2", ["ex_a"]) == []


def test_pairs_come_in_the_order_of_completion_until_they_are_marked(store: Store) -> None:
    for name, answered in (("slow", 9.0), ("quick", 1.0), ("tie1", 5.0), ("tie2", 5.0), ("late", 10.0)):
        store.journal.put(*mirrored(name, answered, second=answered), kept=kept(name))
    assert ungraded(store, 2) == ["quick", "tie1"]
    store.journal.mark_graded("ro_1", ["ex_quick", "ex_tie1"])
    assert ungraded(store) == ["tie2", "slow", "late"]
    store.journal.put(*mirrored("later", 0.7), kept=kept("later"))  # out of another spool
    assert ungraded(store) == ["later", "tie2", "slow", "late"]
    store.journal.mark_graded("ro_2", ["ex_late"])
    store.journal.mark_graded("ro_1", ["ex_later", "ex_tie2", "ex_slow"])
    assert ungraded(store) == ["late"]
    assert store.journal.ungraded_pairs("ro_2", limit=5) == []
    assert len(store.journal.recorded_pairs("ro_1", ["ex_quick", "ex_late"])) == 2, "graded or not"


ORDERS = {
    "who mirrors is read first": ("mirrored legs", "bodies", "candidate's end", "second's end", "live leg", "live end"),
    "the gateway is read first": ("live leg", "live end", "mirrored legs", "bodies", "second's end", "candidate's end"),
    "the second is lost": ("live leg", "live end", "mirrored legs", "bodies", "candidate's end", "second lost"),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_a_pair_is_complete_once_all_its_legs_have_ended(store: Store, order: tuple[str, ...]) -> None:
    """The spool of who mirrors may be read before the gateway's: its bodies stand there before the leg that they are of."""
    (live, candidate, second), (live_end, candidate_end, second_end) = mirrored("a", 2.0, second=3.0)
    steps: dict[str, dict[str, Any]] = {
        "live leg": {"intents": [live]},
        "live end": {"results": [live_end]},
        "mirrored legs": {"intents": [candidate, second]},
        "bodies": {"kept": kept("a")},
        "candidate's end": {"results": [candidate_end]},
        "second's end": {"results": [second_end]},
        "second lost": {"results": [result("a.s", 9, Outcome.LOST)]},
    }
    for step in order:
        assert ungraded(store) == [], f"before the {step}"
        store.journal.put(**steps[step])
    assert ungraded(store) == ["a"]


def test_bodies_kept_for_a_pair_replace_those_of_the_sample(store: Store) -> None:
    """Request and answers of a pair have their placeholders in common; those of a body kept alone are numbered otherwise."""
    (live, *others), (live_end, *ends) = mirrored("a", 2.0)
    alone = replace(live_end, request_body=b"[EMAIL_2]", answer_body=b"[EMAIL_2]")
    for name, first_said in (("a", alone), ("b", None)):
        legs = [replace(leg, leg=leg.leg.replace("a", name), exchange=f"ex_{name}") for leg in (live, *others)]
        done = [replace(end, leg=end.leg.replace("a", name)) for end in ends]
        store.journal.put(legs, [first_said] if first_said else [])
        store.journal.put(results=done, kept=kept(name))
        store.journal.put(results=[replace(alone, leg=f"le_{name}")], kept=kept(name))
    assert [(p.request, p.stable.answer) for p in store.journal.ungraded_pairs("ro_1", limit=5)] == [(ASKED, Answer(text="stable"))] * 2


def test_a_gateway_killed_before_it_wrote_the_result_costs_no_pair(store: Store) -> None:
    """Only what stable answered in full is mirrored, and its answer was kept."""
    sent, (_, end) = mirrored("a", 2.0)
    store.journal.put(sent, [result("a", 9, Outcome.LOST), end], kept=kept("a"))
    (pair,) = store.journal.ungraded_pairs("ro_1", limit=5)
    assert pair.stable == side("stable")


def test_what_nothing_was_kept_of_is_passed_over(store: Store) -> None:
    store.journal.put(*mirrored("bare", 2.0, second=3.0))
    store.journal.put(*mirrored("good", 2.0, second=3.0), kept=kept("good"))
    waiting, (live_end, *_) = mirrored("waiting", 2.0)
    store.journal.put(waiting, [live_end])
    (_, *before_live), (_, *ends) = mirrored("early", 2.0)
    store.journal.put(before_live, ends, kept=kept("early"))
    assert store.journal.pass_over_unkept("ro_2") == 0
    assert store.journal.pass_over_unkept("ro_1") == 2, "both mirrored legs of the one"
    assert store.journal.pass_over_unkept("ro_1") == 0
    assert ungraded(store) == ["good"]
    store.journal.put(*mirrored("early", 2.0))
    store.journal.put(results=[result("waiting.m", 4, answer_body=CANDIDATES)], kept=kept("waiting"))
    assert ungraded(store) == ["early", "good", "waiting"]


# ── history ──


def test_the_past_is_that_of_stable_traffic_alone(store: Store) -> None:
    """10 sessions on stable, 2 with an error, 1 with thumbs down."""
    failing = {0, 1}
    sent = [intent(f"{n}", f"u{n}", n, rollout=None, randomised=False) for n in range(10)]
    ends = [result(f"{n}", n + 1, Outcome.TIMED_OUT if n in failing else Outcome.COMPLETE) for n in range(10)]
    other = [intent("c", "u_c", 3, arm=Arm.CANDIDATE), intent("x", "u_x", 3, route="chat"), intent("o", "u_o", -9, model="before-that")]
    other += [intent("d", "u_d", 12, rollout=None, randomised=False, why="drill", model="the-way-back")]
    failed = [result(name, 14, Outcome.TIMED_OUT) for name in "cxod"]
    store.journal.put([*sent, *other], [*ends, *failed])
    store.journal.put(said=[thumbs_down("f1", 20, session="u7"), thumbs_down("f2", 20, session="u_c"), thumbs_down("f3", 20, exchange="?")])
    guards = [Guard(metric=metric, margin_ratio=1.5, matures=600.0) for metric in ("error", "thumbs_down", "latency")]
    found = store.journal.past("summarizer", guards=guards, at=utc(at(3600)))
    assert found == Past(
        units=10,
        seconds=9.0,
        metrics={
            "error": PastMetric(units=10, events=2, heard=10),
            "thumbs_down": PastMetric(units=10, events=1, heard=1),
            "latency": PastMetric(),
        },
        legs=10,
        lasts_s=1.0,
    )
    assert store.journal.past("summarizer", guards=guards).metrics["thumbs_down"].units == 0, "nobody had ten minutes to complain"
    assert store.journal.past("empty", guards=guards) == Past()


def test_the_past_knows_declared_metrics_and_prices(store: Store) -> None:
    store.journal.put([intent("a")], [result("a", usage=Usage(input=10, output=5))])
    store.journal.put(said=[replace(thumbs_down("f", 2, exchange="ex_a"), metric="stars", value=4.0)])
    guards = [Guard(metric=metric, margin_ratio=1.5) for metric in ("stars", "session_cost")]
    declared = {"stars": DeclaredMetric(name="stars", kind="value", worse="lower")}
    prices = {f"openai/{OLD.model}": Price(name="-", input=1.0, output=1.0)}
    found = store.journal.past("summarizer", guards=guards, declared=declared, prices=prices)
    assert found.metrics == {
        "stars": PastMetric(units=1, heard=1, buckets={bucket(4.0): 1}),
        "session_cost": PastMetric(units=1, heard=1, buckets={bucket(15e-6): 1}),
    }


def test_the_arms_users_are_compared_as_they_were_in_the_week_before(store: Store) -> None:
    """Two users on the candidate, one of them new; one on stable, who had an error; an error of nine days ago is over."""
    day = 86400.0
    before = [
        intent("a", "u1", -2 * day, user="h1", rollout=None, randomised=False),
        intent("b", "u3", -3 * day, user="h3", rollout=None, randomised=False),
        intent("old", "u1", -9 * day, user="h1", rollout=None, randomised=False),
        intent("chat", "u1", -day, user="h1", route="chat", rollout=None, randomised=False),
    ]
    ends = [result("a", -2 * day + 1, latency_s=1.5), result("b", -3 * day + 1, Outcome.TIMED_OUT)]
    ends += [result("old", -9 * day + 1, Outcome.TIMED_OUT), result("chat", -day + 1, Outcome.TIMED_OUT)]
    during = [
        intent("c", "u1", 1, user="h1", arm=Arm.CANDIDATE, unit_kind=UnitKind.USER),
        intent("d", "u2", 2, user="h2", arm=Arm.CANDIDATE, unit_kind=UnitKind.USER),
        intent("e", "u3", 3, user="h3", unit_kind=UnitKind.USER),
    ]
    store.journal.put([*before, *during], ends)
    opened = rollout(phase=Phase.CANARY, canary_at=T0)
    found = store.journal.before(opened)
    assert replace(found[Arm.CANDIDATE], latency_s=None) == Before(units=1, errors=0, latency_s=None)
    assert found[Arm.CANDIDATE].latency_s == pytest.approx(1.5, rel=0.011)
    assert found[Arm.STABLE] == Before(units=1, errors=1, latency_s=None)
    assert store.journal.before(replace(opened, id="ro_2")) == {}
    assert store.journal.before(replace(opened, canary_at=None)) == {}
    assert store.journal.users_before({"h1", "h2", "h3"}, at(0)) == {"h1", "h3"}
    assert store.journal.users_before({"h1", "h2", "h3"}, at(-8 * day)) == {"h1"}


def test_what_is_on_record_is_known_by_its_exchange_and_its_session(store: Store) -> None:
    store.journal.put([intent("a", rollout=None, randomised=False)])
    assert store.journal.known(exchanges={"ex_a", "ex_b"}, sessions={"u1", "u2"}) == {"ex_a", "u1"}
    assert store.journal.known() == set()


def test_the_questions_asked_all_the_time_are_answered_by_an_index(tmp_path: Path) -> None:
    """Read from SQLite's plan: PostgreSQL reads small tables without any index."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    asked: list[tuple[str, object]] = []
    with store.journal._db.engine.connect() as c:
        event.listen(store.journal._db.engine, "before_cursor_execute", lambda conn, cur, sql, args, ctx, many: asked.append((sql, args)))
        store.journal.unresolved("s")
        store.journal.ungraded_pairs("ro_1", limit=5)
        store.journal.targets(sessions={"u1"})
        store.journal.latest("summarizer")
        store.journal.users_before({"h1"}, 5)
        plans = []
        for sql, args in list(asked):
            if sql.startswith("SELECT"):
                plans.append(" ".join(row[3] for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", args)))  # type: ignore[arg-type]
        assert c.execute(text("SELECT count(*) FROM legs")).scalar() == 0
    for plan, index in zip(plans, ("legs_unresolved", "legs_ungraded", "legs_session", "legs_route", "legs_user"), strict=True):
        assert f"INDEX {index}" in plan
        assert "SCAN legs" not in plan
