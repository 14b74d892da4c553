"""The journal on real databases: one row per leg, however often it is put, and the questions that people and the grader ask it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event, text

from detent.evidence.units import UnitKey
from detent.store import Store, open_store
from detent.store.journal import Recorded
from detent.terms import Arm, Endpoint, Guard, Intent, Outcome, Result, Role, UnitKind, Usage
from records import at, intent, result, thumbs_down

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
    parse="keys_missing",
    refusal=False,
    answer_chars=7,
    error="cut",
    request_body=b"\x00\xff",
    answer_body=b"",
)


def test_a_leg_is_read_back_as_it_was_put(store: Store) -> None:
    other = intent("b", seconds=2, unit_kind=UnitKind.REQUEST, rollout=None, session=None, role=Role.FALLBACK, exchange="ex_a")
    sent = intent("a", stream=True, user="h", endpoint=Endpoint.ANTHROPIC_MESSAGES, attempt=2)
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
    assert [left.leg for left in store.journal.unresolved("s")] == ["le_b", "le_c"]


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


def body(name: str, request: bytes | None, seconds: float, **more: object) -> tuple[Intent, Result]:
    sent = replace(intent(name, seconds=seconds), **more)  # type: ignore[arg-type]
    return sent, result(name, seconds + 1, request_body=request, answer_body=f"answer {name}".encode())


def test_bodies_for_a_baseline_are_the_newest_of_each_request(store: Store) -> None:
    model = intent("x").model
    legs = [
        body("old", b"same", 0),
        body("new", b"same", 1),
        body("own", b"own", 2),
        body("mirrored", b"m", 3, role=Role.MIRRORED),
        body("candidate", b"c", 4, model="atlas-2026-06-01"),
        body("elsewhere", b"e", 5, route="chat"),
        body("bodiless", None, 6),
    ]
    failed = intent("failed", seconds=7)
    store.journal.put([*(sent for sent, _ in legs), failed], [ended for _, ended in legs])
    store.journal.put(results=[result("failed", 8, Outcome.TIMED_OUT, request_body=b"f", answer_body=b"")])
    found = store.journal.bodies("summarizer", model=model, limit=10)
    assert [(b.exchange, b.request, b.answer) for b in found] == [("ex_own", b"own", b"answer own"), ("ex_new", b"same", b"answer new")]
    assert [b.exchange for b in store.journal.bodies("summarizer", model=model, limit=1)] == ["ex_own"]


def mirrored(name: str, answered: float, *, outcome: Outcome = Outcome.COMPLETE) -> tuple[list[Intent], list[Result]]:
    """An exchange served by stable at once, whose shadow answered at the given second."""
    live = intent(name, stream=True)
    shadow = replace(intent(f"{name}.m", arm=Arm.CANDIDATE, role=Role.MIRRORED), exchange=live.exchange)
    ends = [
        result(name, 0.5, request_body=b"ask", answer_body=b"stable"),
        result(f"{name}.m", answered, outcome, request_body=b"ask", answer_body=b"new" if outcome is Outcome.COMPLETE else None),
    ]
    return [live, shadow], ends


def test_pairs_come_in_the_order_of_completion_and_none_is_skipped(store: Store) -> None:
    for name, answered in (("slow", 9.0), ("quick", 1.0), ("tie1", 5.0), ("tie2", 5.0), ("late", 10.0)):
        store.journal.put(*mirrored(name, answered))
    seen: list[str] = []
    after_us = 0
    while found := store.journal.ungraded_pairs("ro_1", limit=2, after_us=after_us):
        seen += [pair.exchange for pair in found]
        after_us = found[-1].at_us
    assert seen == ["ex_quick", "ex_tie1", "ex_tie2", "ex_slow", "ex_late"]
    assert store.journal.ungraded_pairs("ro_2", limit=5) == []


def test_a_pair_has_both_answers(store: Store) -> None:
    store.journal.put(*mirrored("a", 2.0))
    store.journal.put(*mirrored("b", 3.0, outcome=Outcome.CONNECT_FAILED))
    waiting, (live_end, _) = mirrored("c", 4.0)
    store.journal.put(waiting, [live_end])  # the shadow has not answered yet
    first, second = store.journal.ungraded_pairs("ro_1", limit=5)
    assert (first.request, first.stable_answer, first.candidate_answer) == (b"ask", b"stable", b"new")
    assert (first.stable_outcome, first.candidate_outcome, first.stream, first.session) == (Outcome.COMPLETE, Outcome.COMPLETE, True, "u1")
    assert (second.candidate_outcome, second.candidate_answer) == (Outcome.CONNECT_FAILED, b"")


def test_base_rates_come_from_stable_traffic_alone(store: Store) -> None:
    """10 sessions on stable, 2 with an error, 1 with thumbs down: Jeffreys 2.5 / 11 and 1.5 / 11."""
    failing = {0, 1}
    sent = [intent(f"{n}", f"u{n}", n, rollout=None, randomised=False) for n in range(10)]
    ends = [result(f"{n}", n + 1, Outcome.TIMED_OUT if n in failing else Outcome.COMPLETE) for n in range(10)]
    other = [intent("c", "u_c", 3, arm=Arm.CANDIDATE), intent("x", "u_x", 3, route="chat")]
    store.journal.put([*sent, *other], [*ends, result("c", 4, Outcome.TIMED_OUT), result("x", 4, Outcome.TIMED_OUT)])
    store.journal.put(said=[thumbs_down("f1", 20, session="u7"), thumbs_down("f2", 20, session="u_c"), thumbs_down("f3", 20, exchange="?")])
    guards = [Guard(metric=metric, margin_ratio=1.5, matures=600.0) for metric in ("error", "thumbs_down", "latency")]
    assert store.journal.base_rates("summarizer", guards) == pytest.approx({"error": 2.5 / 11, "thumbs_down": 1.5 / 11})
    assert store.journal.base_rates("empty", guards) == {}


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
        plans = []
        for sql, args in list(asked):
            if sql.startswith("SELECT"):
                plans.append(" ".join(row[3] for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", args)))  # type: ignore[arg-type]
        assert c.execute(text("SELECT count(*) FROM legs")).scalar() == 0
    for plan, index in zip(plans, ("legs_unresolved", "legs_mirrored", "legs_session", "legs_route"), strict=True):
        assert f"USING INDEX {index}" in plan
        assert "SCAN legs" not in plan
