"""Units: one bet per (rollout, unit, guard), in the arm and share period of the first exposure, at a fixed maturity (statistics 2.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detent.evidence import SILENT_BAD_BUCKET, SILENT_GOOD_BUCKET, UNREAD_BUCKET, UNSCORED_BUCKET, Metric, identity, metrics_of
from detent.evidence.minutes import MinuteKey, MinuteSums, minute_sums
from detent.evidence.units import Changes, Exposing, UnitFold, UnitKey, Units, bucket_of, in_segments, segments_of, unit_of
from detent.stats.sketch import bucket, quantile
from detent.terms import Arm, Begun, Feedback, Guard, Intent, MetricRow, Outcome, Price, Result, Role, UnitKind, Unscored, Usage
from records import at, begun, intent, result, thumbs_down

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(row=MetricRow("error", "rate", "request", ""), of_result=lambda i, r: r.outcome is not Outcome.COMPLETE),
        Metric(row=MetricRow("retry", "rate", "session", ""), of_result=lambda i, r: r.repeats_call),
        Metric(
            row=MetricRow("tokens", "log", "request", ""),
            of_result=lambda i, r: Unscored("no usage") if r.usage.output is None else float(r.usage.output),
            fold="mean",
        ),
        Metric(
            row=MetricRow("thumbs_down", "rate", "session", ""),
            of_feedback=lambda f: bool(f.value) if f.metric == "thumbs_down" else None,
            silent=False,
        ),
    )
}
GUARDS = {"ro_1": (Guard(metric="error", margin_abs=0.01, matures=10.0), Guard(metric="retry", margin_abs=0.01, matures=120.0))}
U1 = UnitKey("ro_1", "u1")

Record = Intent | tuple[Intent, Result] | tuple[Feedback, UnitKey]


def fold(*records: Record, guards: Mapping[str, Sequence[Guard]] = GUARDS, into: Units | None = None) -> Changes:
    folding = UnitFold(into or Units(), guards, dict.fromkeys(guards, METRICS))
    for record in records:
        match record:
            case Intent():
                folding.intent(record)
            case (Intent() as sent, Result() as ended):
                folding.result(sent, ended)
            case (Feedback() as said, UnitKey() as key):
                folding.feedback(said, key)
    return folding.changes()


def stored(changes: Changes, before: Units | None = None) -> Units:
    """What the store holds once the changes are written."""
    exposed = dict(before.exposed) if before else {}
    running = {key: dict(rows) for key, rows in before.running.items()} if before else {}
    exposed |= {unit.key: unit for unit in changes.exposed}
    for row in changes.running:
        running.setdefault(row.key, {})[row.guard] = row
    return Units(exposed, running)


def labels(units: Units) -> dict[tuple[str, str], int]:
    """What every unit would be sealed as, by unit and guard."""
    return {
        (key.unit, guard): bucket_of(row, METRICS[guard]) if row.bucket is None else row.bucket
        for key, rows in units.running.items()
        for guard, row in rows.items()
    }


def leg(name: str, seconds: float, **more: Any) -> tuple[Intent, tuple[Intent, Result]]:
    """A leg and its failed end, a second later."""
    sent = intent(name, seconds=seconds, **more)
    return sent, (sent, result(name, seconds + 1, Outcome.HTTP_ERROR, status=500))


def test_a_unit_is_exposed_once_and_keeps_its_first_arm_and_period() -> None:
    first, second = intent("a", seconds=0, period=1), intent("b", seconds=5, period=2, arm=Arm.CANDIDATE)
    units = stored(fold(first, second))
    unit = units.exposed[U1]
    assert (unit.arm, unit.period, unit.first_us) == (Arm.STABLE, 1, at(0))
    assert {guard: row.due_us for guard, row in units.running[U1].items()} == {"error": at(10), "retry": at(120)}
    assert unit.saw_candidate  # the split grew over it: counted as a user who saw the candidate


def test_exposure_counts_follow_the_first_exposure() -> None:
    one = fold(intent("a"), intent("b", unit="u2", arm=Arm.CANDIDATE))
    assert set(one.exposing) == {Exposing("ro_1", 1, Arm.STABLE, 1, 0), Exposing("ro_1", 1, Arm.CANDIDATE, 1, 1)}
    again = fold(intent("c", seconds=1), into=stored(one))
    assert again == Changes((), (), ())


@pytest.mark.parametrize(
    "sent",
    [
        intent("a", randomised=False),
        intent("a", rollout=None, randomised=False),
        intent("a", role=Role.MIRRORED, arm=Arm.CANDIDATE),
    ],
    ids=["forced or static", "no rollout", "mirrored"],
)
def test_a_leg_that_was_not_randomised_makes_no_unit(sent: Intent) -> None:
    assert unit_of(sent) is None
    assert fold(sent, (sent, result("a"))) == Changes((), (), ())


def test_a_mirrored_leg_says_nothing_of_a_unit_that_is_there() -> None:
    served, mirrored = intent("a"), intent("m", role=Role.MIRRORED, arm=Arm.CANDIDATE, seconds=1)
    units = stored(fold(served, (served, result("a")), mirrored, (mirrored, result("m", 2, Outcome.TIMED_OUT))))
    assert labels(units)["u1", "error"] == 0
    assert not units.exposed[U1].saw_candidate


def test_a_fallback_counts_for_the_arm_that_was_assigned() -> None:
    failed, instead = intent("a", arm=Arm.CANDIDATE), intent("b", arm=Arm.CANDIDATE, arm_served=Arm.STABLE, role=Role.FALLBACK, seconds=1)
    units = stored(fold(failed, (failed, result("a", 1, Outcome.CONNECT_FAILED)), instead, (instead, result("b", 2))))
    assert units.exposed[U1].arm is Arm.CANDIDATE
    assert labels(units)["u1", "error"] == 1


def test_the_fallback_alone_makes_the_unit_too() -> None:
    instead = intent("b", arm=Arm.CANDIDATE, arm_served=Arm.STABLE, role=Role.FALLBACK)
    assert stored(fold(instead)).exposed[U1].arm is Arm.CANDIDATE


def test_what_comes_at_maturity_counts_and_what_comes_after_does_not() -> None:
    sent, (_, ended) = leg("a", 0)
    on_time = stored(fold(sent, (sent, replace(ended, at_us=at(10)))))
    too_late = stored(fold(sent, (sent, replace(ended, at_us=at(10) + 1))))
    assert labels(on_time)["u1", "error"] == 1
    assert labels(too_late)["u1", "error"] == UNSCORED_BUCKET


def test_later_legs_of_the_session_count_until_maturity() -> None:
    first, second = intent("a"), leg("b", 5)
    units = stored(fold(first, (first, result("a")), *second))
    assert labels(units)["u1", "error"] == 1
    assert units.running[U1]["error"].said == 2


def test_a_sealed_unit_never_bets_again() -> None:
    sent = intent("a")
    units = stored(fold(sent, (sent, result("a"))))
    sealed = Units(units.exposed, {U1: {guard: replace(row, bucket=0) for guard, row in units.running[U1].items()}})
    earlier = intent("e", seconds=-5, period=0, arm=Arm.CANDIDATE)
    changes = fold(*leg("b", 3), *leg("c", 500), earlier, (thumbs_down("f", 2), U1), into=sealed)
    assert changes.running == ()
    assert [(unit.arm, unit.period) for unit in changes.exposed] == [(Arm.STABLE, 1)]  # seen by the candidate, and no more than that
    assert changes.exposing == (Exposing("ro_1", 1, Arm.STABLE, 0, 1),)


def test_one_guard_sealed_leaves_the_others_running() -> None:
    units = stored(fold(intent("a")))
    rows = units.running[U1]
    half = Units(units.exposed, {U1: {**rows, "error": replace(rows["error"], bucket=0)}})
    sent = intent("b", seconds=20)
    (changed,) = fold((sent, result("b", 21, repeats_call=True)), into=half).running
    assert (changed.guard, changed.events) == ("retry", 1)


def test_an_earlier_leg_found_later_is_the_first_exposure() -> None:
    """Two gateways, two spools: the one read second holds the earlier leg, before the split grew."""
    later, earlier = intent("b", seconds=2, period=2, arm=Arm.CANDIDATE), intent("a", seconds=1, period=1)
    before = fold(later, (later, result("b", 3)))
    after = fold(earlier, into=stored(before))
    unit = stored(after, stored(before)).exposed[U1]
    assert (unit.arm, unit.period, unit.first_us, unit.saw_candidate) == (Arm.STABLE, 1, at(1), True)
    assert set(after.exposing) == {Exposing("ro_1", 2, Arm.CANDIDATE, -1, -1), Exposing("ro_1", 1, Arm.STABLE, 1, 1)}
    row = stored(after, stored(before)).running[U1]["error"]
    assert (row.due_us, row.said) == (at(11), 1)


@pytest.mark.parametrize(("kind", "guards"), [(UnitKind.SESSION, 2), (UnitKind.USER, 2), (UnitKind.OPENING, 1), (UnitKind.REQUEST, 1)])
def test_only_sessions_and_users_carry_session_metrics(kind: UnitKind, guards: int) -> None:
    assert len(fold(intent("a", unit_kind=kind)).running) == guards


def test_a_unit_on_two_routes_is_two_units() -> None:
    units = stored(fold(intent("a"), intent("b", rollout="ro_2", arm=Arm.CANDIDATE), guards=GUARDS | {"ro_2": GUARDS["ro_1"]}))
    assert units.exposed[UnitKey("ro_1", "u1")].arm is Arm.STABLE
    assert units.exposed[UnitKey("ro_2", "u1")].arm is Arm.CANDIDATE


def test_a_guard_that_nobody_can_measure_has_no_rows() -> None:
    assert fold(intent("a"), guards={"ro_1": [Guard(metric="charm", margin_abs=0.1)]}).running == ()
    assert len(fold(intent("a"), guards={}).exposed) == 1


FEEDBACK_GUARD = {"ro_1": [Guard(metric="thumbs_down", margin_abs=0.01, matures=60.0)]}


@pytest.mark.parametrize(
    ("said", "label"),
    [
        (None, SILENT_GOOD_BUCKET),  # users seldom say anything: silence is the good sign
        (thumbs_down("f", 30), 1),
        (thumbs_down("f", 61), SILENT_GOOD_BUCKET),  # past maturity
        (thumbs_down("f", -1), SILENT_GOOD_BUCKET),  # of a time before the first exposure
        (replace(thumbs_down("f", 30), value=0.0), 0),
        (replace(thumbs_down("f", 30), metric="stars"), SILENT_GOOD_BUCKET),
    ],
)
def test_feedback(said: Feedback | None, label: int) -> None:
    records: list[Record] = [intent("a")] if said is None else [intent("a"), (said, U1)]
    assert labels(stored(fold(*records, guards=FEEDBACK_GUARD))) == {("u1", "thumbs_down"): label}


def test_feedback_about_nobody_is_no_unit() -> None:
    assert fold((thumbs_down("f", 1), U1), guards=FEEDBACK_GUARD) == Changes((), (), ())


TOKENS = {"ro_1": [Guard(metric="tokens", margin_ratio=1.1)]}


@pytest.mark.parametrize(
    ("counts", "label"),
    [
        ((100, 300), bucket(200.0)),  # the mean of a unit's legs
        ((100, None), bucket(100.0)),
        ((None, 100, None), bucket(100.0)),
        ((None, None), UNREAD_BUCKET),  # never 0, and not as if nobody had answered
        ((), UNSCORED_BUCKET),
        ((0,), bucket(0.0)),
        ((-5,), UNREAD_BUCKET),
    ],
)
def test_a_value_is_sealed_as_the_bucket_of_its_mean(counts: tuple[int | None, ...], label: int) -> None:
    ended = [(intent(str(n), seconds=n), result(str(n), n + 1, usage=Usage(output=count))) for n, count in enumerate(counts)]
    units = stored(fold(intent("first"), *ended, guards=TOKENS))
    assert labels(units) == {("u1", "tokens"): label}


def test_no_number_is_no_value() -> None:
    odd = {"tokens": Metric(row=MetricRow("tokens", "log", "request", ""), of_result=lambda i, r: float("nan"), fold="mean")}
    folding = UnitFold(Units(), TOKENS, {"ro_1": odd})
    folding.intent(intent("a"))
    folding.result(intent("a"), result("a"))
    (row,) = folding.changes().running
    assert bucket_of(row, odd["tokens"]) == UNREAD_BUCKET
    assert bucket_of(row, None) == UNSCORED_BUCKET


# ── how one outcome is made of all that was said ──


def folded(metric: str, *ends: Result, said: Sequence[Feedback] = (), **prices: Price) -> int:
    """The bucket of a session with a leg for each of these ends, and this feedback."""
    metrics = metrics_of({}, {f"openai/{name}": price for name, price in prices.items()})
    folding = UnitFold(Units(), {"ro_1": [Guard(metric=metric, margin_ratio=1.5, matures=600.0)]}, {"ro_1": metrics})
    for end in ends:
        sent = intent(end.leg.removeprefix("le_"), model="atlas")
        folding.intent(sent)
        folding.result(sent, end)
    for word in said:
        folding.feedback(word, U1)
    (row,) = folding.changes().running
    return bucket_of(row, metrics[metric])


def test_a_session_is_as_long_as_its_last_step() -> None:
    assert folded("session_steps", result("a", step=2), result("b", step=9), result("c", step=4)) == bucket(9.0)
    assert folded("session_steps", result("a")) == UNSCORED_BUCKET


def test_a_session_costs_what_its_legs_cost_together() -> None:
    price = Price(name="-", input=1.0, output=4.0)
    ends = [result(str(n), usage=Usage(input=1000, output=500)) for n in range(3)]
    assert folded("session_cost", *ends, atlas=price) == bucket(0.009)  # 3 * (1,000 * 1 + 500 * 4) USD a million
    failed = result("f", 2, Outcome.TIMED_OUT)
    assert folded("session_cost", *ends, failed, atlas=price) == bucket(0.009), "a leg without an answer has no bill that is known"


def test_a_session_with_a_leg_of_unknown_cost_has_none() -> None:
    price = Price(name="-", input=1.0, output=4.0)
    known, unknown = result("a", usage=Usage(input=1000, output=500)), result("b")
    for ends in ((known, unknown), (unknown, known)):
        assert folded("session_cost", *ends, atlas=price) == UNREAD_BUCKET, "half a bill is no small one"
    assert folded("session_cost", known) == UNREAD_BUCKET


@pytest.mark.parametrize(
    ("metric", "unread", "read", "bucket_read"),
    [
        ("tool_retry", {"repeats_call": None}, {"repeats_call": True}, 1),
        ("cached_share", {}, {"usage": Usage(input=400, cached=100)}, bucket(0.25)),
    ],
)
def test_what_could_not_be_read_is_no_silence(metric: str, unread: dict[str, Any], read: dict[str, Any], bucket_read: int) -> None:
    """A provider that never reports its usage looks like this; a request that a metric has nothing to do with looks like the last one."""
    dumb, clear, failed = result("a", **unread), result("b", **read), result("c", 1, Outcome.TIMED_OUT)
    assert folded(metric, dumb) == folded(metric, dumb, failed, dumb) == folded(metric, failed, dumb) == UNREAD_BUCKET
    for order in permutations((dumb, clear, failed)):
        assert folded(metric, *order) == bucket_read, "one leg that was read tells the outcome"
    assert folded(metric, failed) == UNSCORED_BUCKET


# ── the first byte ──

HARD = Guard(metric="hard_failure", margin_ratio=1.5, matures=10.0)
OWN = {"ro_1": metrics_of({}, {})}


def hard_failure(*records: Intent | tuple[Intent, Begun | Result], guard: Guard = HARD) -> int:
    """What the unit is sealed as."""
    folding = UnitFold(Units(), {"ro_1": [guard]}, OWN)
    for record in records:
        match record:
            case Intent():
                folding.intent(record)
            case (Intent() as sent, Begun() as began):
                folding.begun(sent, began)
            case (Intent() as sent, Result() as ended):
                folding.result(sent, ended)
    (row,) = folding.changes().running
    return bucket_of(row, OWN["ro_1"][guard.metric])


def test_a_long_good_answer_is_no_hard_failure() -> None:
    """Its last byte comes long after the ten seconds in which its first one had to come."""
    sent = intent("a", stream=True)
    ended = result("a", 45, first_byte_s=0.4, latency_s=45.0)
    assert hard_failure(sent, (sent, begun("a", 0.4)), (sent, ended)) == 0
    assert hard_failure(sent, (sent, begun("a", 0.4))) == 0, "nor one that is still under way"
    assert hard_failure(sent) == SILENT_BAD_BUCKET
    assert hard_failure(sent, (sent, begun("a", 10.5)), (sent, ended)) == SILENT_BAD_BUCKET, "too late"
    late = replace(HARD, matures=60.0)
    assert hard_failure(sent, (sent, begun("a", 10.5)), guard=late) == 1
    assert hard_failure(sent, (sent, begun("a", 0.4)), guard=replace(HARD, metric="error")) == SILENT_BAD_BUCKET, "no answer yet"


def test_a_first_byte_of_no_unit_says_nothing() -> None:
    folding = UnitFold(Units(), {"ro_1": [HARD]}, OWN)
    folding.begun(intent("a", randomised=False), begun("a", 0.4))
    folding.begun(intent("a"), begun("a", 0.4))
    assert folding.changes() == Changes((), (), ())


def test_a_unit_that_is_moved_to_an_earlier_leg_keeps_what_was_said_on_either_arm() -> None:
    """Read late, sent first. To move only those of which nothing was said would choose a unit's arm by its outcome."""
    for arms in ((Arm.STABLE, Arm.CANDIDATE), (Arm.CANDIDATE, Arm.STABLE)):
        later = intent("b", seconds=8, period=2, arm=arms[1])
        for failed in (False, True):
            word = result("b", 15, Outcome.TIMED_OUT if failed else Outcome.COMPLETE)
            before = stored(fold(later, (later, word)))
            after = stored(fold(intent("a", seconds=1, period=1, arm=arms[0]), into=before), before)
            assert (after.exposed[U1].arm, after.exposed[U1].period, after.running[U1]["error"].due_us) == (arms[0], 1, at(11))
            assert labels(after)["u1", "error"] == int(failed), "said by the maturity that it had, and kept"


def said_of_task(*done: bool) -> list[Feedback]:
    return [Feedback(id=str(n), at_us=at(n + 1), metric="task_done", value=float(value)) for n, value in enumerate(done)]


def test_a_task_that_was_done_in_the_end_is_done() -> None:
    assert folded("not_done", result("a"), said=said_of_task(False, False, True)) == 0
    assert folded("not_done", result("a"), said=said_of_task(False)) == 1
    assert folded("not_done", result("a")) == SILENT_BAD_BUCKET


def test_sums_do_not_depend_on_the_order_of_reading() -> None:
    """0.1 + 0.2 + 0.3 is another number than 0.3 + 0.2 + 0.1, and near the edge of a bucket another bucket."""
    ended = [result(str(n), latency_s=seconds) for n, seconds in enumerate((0.1, 0.2, 0.3, 1e-5, 1234.567))]
    totals = set()
    for order in permutations(ended):
        metrics = {"ro_1": metrics_of({}, {})}
        folding = UnitFold(Units(), {"ro_1": [Guard(metric="latency", margin_ratio=1.5, matures=600.0)]}, metrics)
        folding.intent(intent("0"))
        for end in order:
            folding.result(intent(end.leg.removeprefix("le_")), end)
        (row,) = folding.changes().running
        totals.add(row.total)
    assert len(totals) == 1
    assert totals.pop() == pytest.approx(1235.16701, abs=1e-8)


# ── segments ──


def test_a_unit_keeps_the_segments_of_its_first_exposure() -> None:
    early = intent("a", seconds=1, tenant="acme", region="eu", template="0123456789abcdef", user="h1")
    late = intent("b", seconds=2, tenant="other", template="f" * 32, user="h2")
    known = {"h1": True, "h2": False}
    for order in ((early, late), (late, early)):
        folding = UnitFold(Units(), GUARDS, {"ro_1": METRICS}, lambda sent: known[sent.user or ""])
        for sent in order:
            folding.intent(sent)
        (unit,) = folding.changes().exposed
        assert segments_of(unit, at(10)) == [
            ("template", "0123456789ab"),
            ("tenant", "acme"),
            ("region", "eu"),
            ("returning", "returning"),
        ]


def test_a_unit_speaks_the_language_that_was_heard_first_and_by_then() -> None:
    one, two = intent("a"), intent("b", seconds=1)
    german, english = result("a", 9, language="de"), result("b", 5, language="en")
    for order in (((one, german), (two, english)), ((two, english), (one, german))):
        (unit,) = fold(one, two, *order).exposed
        assert ("language", "en") in segments_of(unit, at(5))
        assert "language" not in dict(segments_of(unit, at(4))), "nobody knew it when the unit was sealed"


def test_what_is_not_known_is_no_segment() -> None:
    (unit,) = fold(intent("a", template="")).exposed
    assert segments_of(unit, at(100)) == []
    (other,) = fold(intent("a", tenant="acme")).exposed
    assert segments_of(other, at(100)) == [("template", "t"), ("tenant", "acme")]


def test_only_stable_units_are_in_the_control_slice() -> None:
    first, second = fold(intent("a", control=True)).exposed, fold(intent("a", arm=Arm.CANDIDATE, control=True)).exposed
    assert [unit.control for unit in (*first, *second)] == [True, False]


def test_a_segment_counts_values_in_every_eighth_bucket() -> None:
    found = [in_segments(b, METRICS["tokens"]) for b in (UNSCORED_BUCKET, 0, 1, 7, 8, 15, 16, 1000)]
    assert found == [-1, 0, 4, 4, 12, 12, 20, 1004]
    assert [in_segments(b, METRICS["error"]) for b in (UNSCORED_BUCKET, 0, 1, 2, 3)] == [-1, 0, 1, 2, 3]


@st.composite
def traffic(draw: st.DrawFn) -> list[Record]:
    """Legs of three units within a minute over two share periods: the second begins at 30 s, and its split has grown."""
    records: list[Record] = []
    for number in range(draw(st.integers(1, 12))):
        unit, seconds = draw(st.sampled_from(["u1", "u2", "u3"])), draw(st.integers(0, 59))
        period = 1 + (seconds >= 30)
        candidate = unit == "u1" or (unit == "u2" and period == 2)
        sent = intent(str(number), unit, seconds, period=period, arm=Arm.CANDIDATE if candidate else Arm.STABLE)
        records.append(sent)
        if draw(st.booleans()):
            # Ends long before or long after any maturity, as the merged reading of the spools sees to.
            ended = draw(st.sampled_from([Outcome.COMPLETE, Outcome.TIMED_OUT]))
            ends_at = draw(st.sampled_from([60, 500]))
            more: dict[str, Any] = {"repeats_call": draw(st.booleans()), "language": draw(st.sampled_from([None, "de", "en"]))}
            records.append((sent, result(str(number), ends_at, ended, **more)))
    return records


@settings(max_examples=150, deadline=None)
@given(records=traffic(), order=st.randoms(use_true_random=False), cuts=st.integers(1, 4))
def test_batches_and_the_order_of_legs_change_nothing(records: list[Record], order: Random, cuts: int) -> None:
    guards = {"ro_1": [replace(guard, matures=120.0) for guard in GUARDS["ro_1"]]}
    whole = stored(fold(*records, guards=guards))
    shuffled = [record for record in records if isinstance(record, Intent)]
    order.shuffle(shuffled)
    mixed: list[Record] = [*shuffled, *(record for record in records if not isinstance(record, Intent))]
    units = Units()
    exposing: dict[tuple[int, Arm], list[int]] = {}
    for start in range(0, len(mixed), cuts):
        changes = fold(*mixed[start : start + cuts], guards=guards, into=units)
        units = stored(changes, units)
        for count in changes.exposing:
            cell = exposing.setdefault((count.period, count.arm), [0, 0])
            cell[0] += count.units
            cell[1] += count.saw_candidate
    assert units == whole
    counted: dict[tuple[int, Arm], list[int]] = {}
    for unit in whole.exposed.values():
        cell = counted.setdefault((unit.period, unit.arm), [0, 0])
        cell[0] += 1
        cell[1] += unit.saw_candidate
    assert {key: cell for key, cell in exposing.items() if cell != [0, 0]} == counted


# ── minute sums ──


def test_minute_sums_are_of_the_minute_in_which_a_leg_was_sent() -> None:
    one, two, three = intent("1", seconds=59), intent("2", seconds=60), intent("3", seconds=61, arm=Arm.CANDIDATE)
    ended = [
        (one, result("1", 70, latency_s=11.0, usage=Usage(output=100))),
        (two, result("2", 62, Outcome.TIMED_OUT, latency_s=2.0)),
        (three, result("3", 63)),
    ]
    sums = minute_sums([one, two, three], ended)
    key = MinuteKey(at(0), "summarizer", "ro_1", "served", "stable", "openai/atlas-2026-03-01")
    assert set(sums) == {
        key,
        key._replace(minute_us=at(60)),
        key._replace(minute_us=at(60), arm="candidate", version="openai/atlas-2026-06-01"),
    }
    assert (sums[key].legs, sums[key].outcomes, sums[key].latency.total) == (1, {"complete": 1}, 11.0)
    assert sums[key].output_tokens.squares == 10_000
    timed_out = sums[key._replace(minute_us=at(60))]
    assert (timed_out.outcomes, timed_out.latency.n) == ({"timed_out": 1}, 0)  # a failed leg's latency is not an answer's


def test_minute_sums_merge_by_addition() -> None:
    ended = [(intent(str(n)), result(str(n), latency_s=0.1 * (n + 1), usage=Usage(output=n))) for n in range(100)]
    (whole,) = minute_sums((sent for sent, _ in ended), ended).values()
    parts = [next(iter(minute_sums((sent for sent, _ in part), part).values())) for part in (ended[:30], ended[30:])]
    merged = sum(parts, start=MinuteSums())
    assert merged.legs == 100
    assert merged.outcomes == whole.outcomes
    assert merged.latency.sketch == whole.latency.sketch
    assert merged.latency.total == pytest.approx(whole.latency.total)
    assert quantile(merged.latency.sketch, 0.5) == pytest.approx(5.0, rel=0.0101)  # the 50th of 0.1, 0.2, ... 10.0


# ── who answered ──


@pytest.mark.parametrize(
    ("sent", "names", "found"),
    [
        ("gpt-4o-2024-05-13", ["gpt-4o-2024-05-13"], 0),
        ("gpt-4o-2024-05-13", ["openai/GPT-4o-2024-05-13"], 0),  # a router's path before the name
        ("claude-sonnet-4-5", ["claude-sonnet-4-5-20250929"], 0),  # a documented alias, resolved
        ("claude-sonnet-4-5", ["claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20251101"], 1),  # and moved
        ("gpt-4o-2024-05-13", ["gpt-4o-2024-05-13", "gpt-4o-2024-08-06"], 1),
        ("gpt-4", ["gpt-4o"], 1),
    ],
)
def test_the_model_that_answers_is_the_one_sent_for(sent: str, names: list[str], found: int) -> None:
    sentences = identity.violations({sent: dict.fromkeys(names, 7)})
    assert len(sentences) == found
    assert all(f"`{sent}`" in sentence for sentence in sentences)
