"""Records and scores folded into evidence: what a leg says of each metric, label counts, shadow sums, and a digest that never moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from detent import evidence as ev
from detent.evidence.metrics import begun_of
from detent.terms import (
    METRIC_NAMES,
    Arm,
    BaselineEvidence,
    Begun,
    ClassTally,
    Coverage,
    DeclaredMetric,
    Evidence,
    Exposure,
    Feedback,
    FieldEvidence,
    Flip,
    GuardEvidence,
    Outcome,
    Price,
    Role,
    ShadowEvidence,
    Tally,
    Unscored,
    Usage,
    ValueTally,
    Version,
    WayBack,
)
from records import at, begun, intent, result

FAILURES = [
    Outcome.CONNECT_FAILED,
    Outcome.TIMED_OUT,
    Outcome.UPSTREAM_TRUNCATED,
    Outcome.ERROR_EVENT,
    Outcome.MALFORMED,
    Outcome.LOST,
]


def says(metric: str, outcome: Outcome = Outcome.COMPLETE, role: Role = Role.SERVED, **more: Any) -> ev.Said:
    """What a candidate's leg that ended like this says about a metric."""
    sent = intent("a", arm=Arm.CANDIDATE, role=role)
    return ev.METRICS[metric].of_result(sent, result("a", outcome=outcome, **more))


# ── what a leg says ──


@pytest.mark.parametrize("outcome", FAILURES)
def test_a_leg_that_failed_is_an_error_also_one_that_was_lost(outcome: Outcome) -> None:
    assert says("error", outcome) is True


def test_a_caller_who_hangs_up_says_nothing_about_the_version_unless_it_hangs_itself() -> None:
    assert says("error", Outcome.CLIENT_ABORTED) is False
    assert says("error", Outcome.CLIENT_ABORTED, latency_s=9.0) is False
    assert says("error", Outcome.CLIENT_ABORTED, latency_s=30.0, first_byte_s=0.2) is False, "a long answer that nobody read to its end"
    assert says("error", Outcome.CLIENT_ABORTED, latency_s=30.0) is True, "gave up after half a minute without a byte"
    assert says("hard_failure", Outcome.CLIENT_ABORTED, first_byte_s=0.4, latency_s=3.0) is False


@pytest.mark.parametrize("status", [500, 502, 503, 529, None])
def test_a_provider_that_breaks_is_an_error(status: int | None) -> None:
    assert says("error", Outcome.HTTP_ERROR, status=status) is True


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 409, 425, 429])
def test_an_account_or_a_quota_that_refuses_everything_is_an_error(status: int) -> None:
    assert says("error", Outcome.HTTP_ERROR, status=status) is True


@pytest.mark.parametrize("status", [400, 405, 413, 415, 422])
def test_a_request_that_stable_refuses_as_well_is_nobodys_error(status: int) -> None:
    """Else the candidate's arm, whose refusals are seen twice, would be charged for what the app sends to both."""
    assert says("error", Outcome.HTTP_ERROR, status=status) is False, "the refusal alone may be the request's own fault"
    assert says("error", Outcome.HTTP_ERROR, Role.FALLBACK, status=status) is False, "stable refused it too"
    assert says("error", Outcome.COMPLETE, Role.FALLBACK) is True, "only the candidate refused it"


def test_a_fallback_is_the_candidates_failure_however_well_stable_answers() -> None:
    assert says("error", Outcome.COMPLETE, Role.FALLBACK) is True
    assert says("error", Outcome.HTTP_ERROR, Role.FALLBACK, status=503) is True
    assert says("error", Outcome.COMPLETE) is False


def test_an_unchanged_candidate_is_charged_for_as_many_errors_as_stable() -> None:
    """The same answers to the same requests, on either arm: the share of units with an error must not depend on the arm."""
    for status in (400, 401, 404, 422, 429, 500, 503):
        of_stable = ev.METRICS["error"].of_result(intent("a"), result("a", outcome=Outcome.HTTP_ERROR, status=status))
        of_candidate = says("error", Outcome.HTTP_ERROR, status=status)
        instead = says("error", Outcome.HTTP_ERROR, Role.FALLBACK, status=status)  # stable, asked the same, ends the same way
        assert bool(of_stable) == bool(of_candidate or instead), status


@pytest.mark.parametrize(
    ("outcome", "more", "expected"),
    [
        (Outcome.COMPLETE, {"first_byte_s": 9.9, "latency_s": 30.0}, False),
        (Outcome.COMPLETE, {"first_byte_s": 10.1, "latency_s": 30.0}, True),
        (Outcome.CLIENT_ABORTED, {"first_byte_s": None, "latency_s": 12.0}, True),  # gave up waiting: a hanging version looks like this
        (Outcome.CLIENT_ABORTED, {"first_byte_s": None, "latency_s": 2.0}, False),
        (Outcome.CONNECT_FAILED, {}, True),
        (Outcome.TIMED_OUT, {}, True),
        (Outcome.LOST, {}, True),
        (Outcome.HTTP_ERROR, {"status": 503}, True),
        (Outcome.HTTP_ERROR, {"status": 400}, True),  # no good first byte; a route may have no fallback to tell whose fault it was
        (Outcome.UPSTREAM_TRUNCATED, {"first_byte_s": 0.2}, False),  # it began well; `truncated` counts it
        (Outcome.UPSTREAM_TRUNCATED, {"first_byte_s": None, "latency_s": 0.2}, True),  # broke off before its first byte
        (Outcome.ERROR_EVENT, {"first_byte_s": 0.2}, False),
    ],
)
def test_a_hard_failure_is_no_good_first_byte_in_ten_seconds(outcome: Outcome, more: dict[str, Any], expected: bool | None) -> None:
    assert says("hard_failure", outcome, **more) is expected  # design 6: "no good first byte in 10 s"


STREAM = intent("a", stream=True)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome not in (Outcome.HTTP_ERROR, Outcome.MALFORMED)])
@pytest.mark.parametrize(("first_byte_s", "failure"), [(0.3, False), (10.0, False), (10.1, True)])
def test_the_first_byte_of_a_stream_says_what_its_result_will_say(outcome: Outcome, first_byte_s: float, failure: bool) -> None:
    """However it goes on: what is known of a unit must not depend on which of the two was read by its maturity."""
    metric = ev.METRICS["hard_failure"]
    ended = result("a", 600, outcome, first_byte_s=first_byte_s, latency_s=600.0)
    began = begun_of(STREAM, ended)
    assert began == Begun(leg="le_a", at_us=at(first_byte_s), first_byte_s=first_byte_s)
    assert metric.of_begun(STREAM, began) is failure
    assert metric.of_result(STREAM, ended) is failure


def test_a_first_byte_says_nothing_of_any_other_metric() -> None:
    """Above all not of `error`: whoever hangs after the first byte has not answered."""
    began = begun("a", 0.3)
    assert {name for name, metric in ev.METRICS.items() if metric.of_begun(STREAM, began) is not None} == {"hard_failure"}


def test_only_a_good_stream_begins_before_its_result() -> None:
    assert begun_of(intent("a"), result("a", first_byte_s=0.3)) is None, "it came whole"
    assert begun_of(STREAM, result("a", first_byte_s=None)) is None
    assert begun_of(STREAM, result("a", outcome=Outcome.HTTP_ERROR, status=500, first_byte_s=0.3)) is None, "an error is no good byte"


def test_without_a_fallback_a_refused_request_is_an_error_on_both_arms() -> None:
    """Else a candidate that answers 400 to everything would be without a fault: no fallback's leg would tell."""
    for status in (400, 422):
        ended = result("a", outcome=Outcome.HTTP_ERROR, status=status)
        for arm in Arm:
            assert ev.METRICS["error"].of_result(intent("a", arm=arm, falls_back=False), ended) is True
            assert ev.METRICS["error"].of_result(intent("a", arm=arm), ended) is False


def test_a_fallback_is_a_hard_failure() -> None:
    assert ev.METRICS["hard_failure"].of_begun(replace(STREAM, role=Role.FALLBACK), begun("a", 0.3)) is True
    assert says("hard_failure", Outcome.COMPLETE, Role.FALLBACK, first_byte_s=0.3) is True


@pytest.mark.parametrize(
    ("metric", "more", "expected"),
    [
        ("parse_error", {"parse": "invalid"}, True),
        ("parse_error", {"parse": "keys_missing"}, False),
        ("parse_error", {"parse": "ok"}, False),
        ("parse_error", {"parse": None}, None),
        ("keys_missing", {"parse": "keys_missing"}, True),
        ("keys_missing", {"parse": "ok"}, False),
        ("keys_missing", {"parse": None}, None),
        ("tool_retry", {"repeats_call": True}, True),
        ("tool_retry", {"repeats_call": False}, False),
        ("tool_retry", {"repeats_call": None}, Unscored("answer not read")),
        ("unknown_tool", {"unknown_tool": True}, True),
        ("unknown_tool", {"unknown_tool": False}, False),
        ("unknown_tool", {}, Unscored("answer not read")),
        ("hit_limit", {"finish_reason": "length"}, True),  # OpenAI
        ("hit_limit", {"finish_reason": "max_tokens"}, True),  # Anthropic
        ("hit_limit", {"finish_reason": "tool_calls"}, False),
        ("hit_limit", {}, Unscored("no finish reason")),
        ("session_steps", {"step": 7}, 7.0),
        ("session_steps", {"step": None}, None),
        ("cached_share", {"usage": Usage(input=400, cached=100)}, 0.25),
        ("cached_share", {"usage": Usage(input=400, cached=0)}, 0.0),
        ("cached_share", {"usage": Usage(input=400)}, Unscored("usage not reported")),
        ("cached_share", {"usage": Usage(input=0, cached=0)}, Unscored("usage not reported")),
        ("session_cost", {"usage": Usage(input=400, output=100)}, Unscored("no price")),
        ("refusal", {"refusal": True}, True),
        ("refusal", {"refusal": False}, False),
        ("refusal", {"refusal": None}, Unscored("answer not read")),
        ("long_session", {"step": 11}, False),
        ("long_session", {"step": 12}, True),
        ("long_session", {"step": None}, None),
        ("truncated", {}, False),
        ("output_tokens", {"usage": Usage(output=0)}, 0.0),
        ("output_tokens", {"usage": Usage()}, Unscored("usage not reported")),
        ("latency", {"latency_s": 1.25}, 1.25),
        ("latency", {"latency_s": None}, None),
    ],
)
def test_what_a_complete_answer_says(metric: str, more: dict[str, Any], expected: ev.Said) -> None:
    assert says(metric, **more) == expected


OF_COMPLETE = ["parse_error", "keys_missing", "tool_retry", "unknown_tool", "refusal", "hit_limit", "long_session"]
OF_COMPLETE += ["output_tokens", "latency", "first_byte", "session_steps", "session_cost", "cached_share"]


@pytest.mark.parametrize("metric", OF_COMPLETE)
def test_a_failed_leg_counts_as_an_error_only(metric: str) -> None:
    more: dict[str, Any] = {"parse": "invalid", "repeats_call": True, "refusal": True, "step": 40, "finish_reason": "length"}
    more |= {"usage": Usage(input=8, cached=4, output=9), "latency_s": 3.0, "first_byte_s": 1.0, "unknown_tool": True}
    assert says(metric, Outcome.UPSTREAM_TRUNCATED, **more) is None


def test_a_stream_that_broke_off_is_truncated_and_a_failed_connection_is_not() -> None:
    assert says("truncated", Outcome.UPSTREAM_TRUNCATED) is True
    assert says("truncated", Outcome.ERROR_EVENT) is True
    assert says("truncated", Outcome.CONNECT_FAILED) is None


def test_the_first_byte_is_a_measure_of_streams_alone() -> None:
    """Of an answer that comes whole it is the latency again."""
    ended = result("a", first_byte_s=0.25, latency_s=0.25)
    first_byte = ev.METRICS["first_byte"].of_result
    assert first_byte(intent("a", stream=True), ended) == 0.25
    assert first_byte(intent("a", stream=False), ended) is None


def test_a_fallback_is_told_of_the_leg_that_stood_in() -> None:
    assert says("fallback", role=Role.FALLBACK) is True
    assert says("fallback", Outcome.TIMED_OUT, Role.FALLBACK) is True
    assert says("fallback") is False


def test_a_leg_costs_what_the_version_that_was_sent_for_charges() -> None:
    """(2,000 - 1,500) * 2.50 + 1,500 * 1.25 + 300 * 10 USD a million: by hand 0.006125."""
    prices = {
        "openai/atlas-2026-06-01": Price(name="new", input=2.5, cached=1.25, output=10.0),
        "openai/atlas-2026-03-01": Price(name="old", input=2.5, output=10.0),
    }
    cost = ev.metrics_of({}, prices)["session_cost"].of_result
    ended = result("a", usage=Usage(input=2000, cached=1500, output=300))
    assert cost(intent("a", arm=Arm.CANDIDATE), ended) == pytest.approx(0.006125)
    assert cost(intent("a"), ended) == pytest.approx(0.008), "without a price for cached input, it is priced like other input"
    assert cost(intent("a", model="other"), ended) == Unscored("no price")
    assert cost(intent("a"), result("a", usage=Usage(output=300))) == Unscored("usage not reported")


# ── what the app says ──


def said(metric: str, value: float) -> Feedback:
    return Feedback(id="f", at_us=0, metric=metric, value=value, session="u1")


@pytest.mark.parametrize("name", ["thumbs_down", "parse_failed", "abandoned"])
def test_feedback_is_what_the_app_says_of_its_own_metric_and_silence_is_a_good_sign(name: str) -> None:
    metric = ev.METRICS[name]
    assert metric.of_feedback(said(name, 1.0)) is True
    assert metric.of_feedback(said(name, 0.0)) is False
    assert metric.of_feedback(said("stars", 1.0)) is None
    assert metric.silent is False, "users seldom press a button"
    assert metric.of_result(intent("a"), result("a")) is None


def test_a_task_is_not_done_until_the_app_says_so() -> None:
    not_done, abandoned = ev.METRICS["not_done"], ev.METRICS["abandoned"]
    assert not_done.of_feedback(said("task_done", 1.0)) is False
    assert not_done.of_feedback(said("task_done", 0.0)) is True
    assert not_done.of_feedback(said("not_done", 1.0)) is None, "the app says `task_done`, and nothing else is said of it"
    assert not_done.fold == "all", "the last of three attempts that was done is a task done"
    assert abandoned.of_feedback(said("task_done", 1.0)) is False
    assert abandoned.of_feedback(said("task_done", 0.0)) is None, "what is not done may be on its way"


def test_silence_counts_where_it_means_something() -> None:
    silent = {m.name: m.silent for m in ev.METRICS.values() if m.silent is not None}
    good = dict.fromkeys(("thumbs_down", "parse_failed", "abandoned"), False)
    assert silent == good | {"error": True, "hard_failure": True, "not_done": True}, "no answer is a failure, not a gap"


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        (DeclaredMetric(name="solved", worse="lower"), 1.0, False),
        (DeclaredMetric(name="solved", worse="lower"), 0.0, True),
        (DeclaredMetric(name="solved"), 1.0, True),
        (DeclaredMetric(name="solved", kind="value", worse="lower"), 4.5, 4.5),
    ],
)
def test_a_declared_metric_is_what_the_app_says_by_its_name(declared: DeclaredMetric, value: float, expected: ev.Said) -> None:
    metric = ev.metrics_of({"solved": declared}, {})["solved"]
    assert metric.of_feedback(said("solved", value)) == expected
    assert metric.of_feedback(said("thumbs_down", value)) is None
    assert metric.row == declared.row


def test_silence_of_a_declared_metric_is_what_its_owner_says_it_is() -> None:
    found = {s: ev.metrics_of({"m": DeclaredMetric(name="m", silence=s)}, {})["m"] for s in ("unknown", "good", "bad")}
    assert {s: (m.silent, m.fold) for s, m in found.items()} == {"unknown": (None, "any"), "good": (False, "any"), "bad": (True, "all")}


def test_no_declared_metric_takes_the_place_of_one_of_detents() -> None:
    assert ev.metrics_of({"error": DeclaredMetric(name="error")}, {})["error"].row is METRIC_NAMES["error"]


def test_every_metric_that_a_guard_can_name_is_folded() -> None:
    assert list(ev.METRICS) == list(METRIC_NAMES)
    assert all(metric.row is METRIC_NAMES[name] for name, metric in ev.METRICS.items())


# ── label counts -> tallies ──


def count(arm: Arm, bucket: int, n: int, *, period: int = 1, metric: str = "error", slice: str = "") -> ev.LabelCount:
    return ev.LabelCount(metric=metric, period=period, slice=slice, arm=arm, bucket=bucket, n=n)


ERROR, THUMBS, TOKENS, LATENCY = (METRIC_NAMES[name] for name in ("error", "thumbs_down", "output_tokens", "latency"))


def test_tallies_are_by_share_period_and_the_unscored_stay_apart() -> None:
    rows = [
        count(Arm.STABLE, 1, 4, period=2),
        count(Arm.STABLE, 0, 96, period=2),
        count(Arm.CANDIDATE, 1, 3),
        count(Arm.CANDIDATE, 0, 17),
        count(Arm.STABLE, 0, 380),
        count(Arm.CANDIDATE, ev.UNREAD_BUCKET, 7),
        count(Arm.STABLE, ev.UNREAD_BUCKET, 2, period=2),
        count(Arm.CANDIDATE, ev.UNSCORED_BUCKET, 5),
        count(Arm.STABLE, ev.UNSCORED_BUCKET, 8),
        count(Arm.CANDIDATE, 1, 99, metric="parse_error"),
        count(Arm.CANDIDATE, 1, 99, slice="language=de"),
    ]
    found = ev.guard_evidence(ERROR, rows, {1: 0.05, 2: 0.25})
    assert found == GuardEvidence(
        metric="error",
        tallies=(
            Tally(period=1, split=0.05, candidate_events=3, candidate_units=20, stable_events=0, stable_units=380),
            Tally(period=2, split=0.25, stable_events=4, stable_units=100),
        ),
        candidate_unscored=7,
        stable_unscored=2,
        candidate_unsaid=5,
        stable_unsaid=8,
    )
    assert (found.candidate_events, found.candidate_units, found.stable_events, found.stable_units) == (3, 20, 4, 480)


def test_a_guard_without_any_sealed_unit_has_no_tally_and_not_one_full_of_zeros() -> None:
    assert ev.guard_evidence(ERROR, [], {1: 0.05}) == GuardEvidence(metric="error")
    no_outcome = ev.guard_evidence(ERROR, [count(Arm.STABLE, ev.UNSCORED_BUCKET, 9), count(Arm.STABLE, ev.UNREAD_BUCKET, 4)], {1: 0.05})
    assert (no_outcome.tallies, no_outcome.stable_unsaid, no_outcome.stable_unscored) == ((), 9, 4)


def test_the_silent_are_counted_as_what_silence_means_and_are_told_apart() -> None:
    rows = [
        count(Arm.CANDIDATE, ev.SILENT_BAD_BUCKET, 6, metric="error"),
        count(Arm.CANDIDATE, 1, 1, metric="error"),
        count(Arm.STABLE, 0, 40, metric="error"),
        count(Arm.CANDIDATE, ev.SILENT_GOOD_BUCKET, 50, metric="thumbs_down"),
        count(Arm.STABLE, ev.SILENT_GOOD_BUCKET, 940, metric="thumbs_down"),
        count(Arm.STABLE, 1, 8, metric="thumbs_down"),
        count(Arm.STABLE, 0, 2, metric="thumbs_down"),
    ]
    error, thumbs = (ev.guard_evidence(row, rows, {1: 0.05}) for row in (ERROR, THUMBS))
    assert (error.candidate_events, error.candidate_units, error.candidate_silent, error.heard_of) == (7, 7, 6, 41)
    assert (thumbs.candidate_events, thumbs.candidate_units, thumbs.stable_events, thumbs.stable_units) == (0, 50, 8, 950)
    assert (thumbs.candidate_silent, thumbs.stable_silent, thumbs.heard_of) == (50, 940, 10)


def test_an_app_that_says_nothing_is_no_data_however_many_units_there_are() -> None:
    rows = [count(arm, ev.SILENT_GOOD_BUCKET, 500, metric="thumbs_down") for arm in Arm]
    assert ev.guard_evidence(THUMBS, rows, {1: 0.5}).heard_of == 0


def test_values_keep_their_buckets() -> None:
    """Buckets 2 and 3 are values like any other here, and no silence."""
    rows = [
        count(Arm.CANDIDATE, 2, 5, metric="output_tokens"),
        count(Arm.CANDIDATE, 1000, 7, metric="output_tokens"),
        count(Arm.STABLE, 3, 90, metric="output_tokens", period=2),
        count(Arm.STABLE, ev.UNREAD_BUCKET, 4, metric="output_tokens"),
    ]
    found = ev.guard_evidence(TOKENS, rows, {1: 0.05, 2: 0.25})
    assert found == GuardEvidence(
        metric="output_tokens",
        values=(
            ValueTally(period=1, split=0.05, candidate={2: 5, 1000: 7}),
            ValueTally(period=2, split=0.25, stable={3: 90}),
        ),
        stable_unscored=4,
    )
    assert (found.candidate_units, found.stable_units, found.heard_of) == (12, 90, 102)


CONTROLLED = [
    count(Arm.CANDIDATE, 700, 50, metric="latency"),
    count(Arm.STABLE, 690, 950, metric="latency"),
    count(Arm.STABLE, 690, 49, metric="latency", slice=ev.CONTROL),
    count(Arm.STABLE, ev.UNREAD_BUCKET, 3, metric="latency"),
    count(Arm.STABLE, ev.UNREAD_BUCKET, 1, metric="latency", slice=ev.CONTROL),
]


def test_what_depends_on_the_cache_is_compared_with_the_control_slice() -> None:
    """5 % on the candidate and 5 % in the control slice: of their units, half are the candidate's."""
    found = ev.guard_evidence(LATENCY, CONTROLLED, {1: 0.05}, control=True)
    assert found.values == (ValueTally(period=1, split=0.5, slice=ev.CONTROL, candidate={700: 50}, stable={690: 49}),)
    assert found.stable_unscored == 1
    (wide,) = ev.guard_evidence(LATENCY, CONTROLLED, {1: 0.8}, control=True).values
    assert wide.split == pytest.approx(0.8), "all of stable is in the control slice"


def test_all_of_stable_is_compared_where_there_is_no_control_slice() -> None:
    whole = (ValueTally(period=1, split=0.05, candidate={700: 50}, stable={690: 950}),)
    assert ev.guard_evidence(LATENCY, CONTROLLED, {1: 0.05}).values == whole
    none_came = [row for row in CONTROLLED if row.slice != ev.CONTROL]
    assert ev.guard_evidence(LATENCY, none_came, {1: 0.05}, control=True).values == whole
    errors = [row._replace(metric="error", bucket=min(row.bucket, 1)) for row in CONTROLLED]
    (tally,) = ev.guard_evidence(ERROR, errors, {1: 0.05}, control=True).tallies
    assert tally.stable_units == 950, "an error does not depend on the cache"


def test_the_control_slice_is_as_large_as_the_candidates_or_all_of_stable() -> None:
    assert [ev.control_share(split) for split in (0.0, 0.05, 0.5, 0.75, 1.0)] == [0.0, 0.05, 0.5, 0.25, 0.0]


def test_segments_have_tallies_of_their_own() -> None:
    rows = [
        count(Arm.CANDIDATE, 1, 2, slice="tenant=acme"),
        count(Arm.STABLE, 0, 30, slice="tenant=acme"),
        count(Arm.STABLE, 0, 5, slice="language=de"),
        count(Arm.STABLE, 0, 99, slice="language=de", metric="parse_error"),
    ]
    found = ev.segments(ERROR, rows, {1: 0.05})
    assert list(found) == ["language=de", "tenant=acme"]
    assert (found["tenant=acme"].candidate_events, found["tenant=acme"].stable_units) == (2, 30)
    assert found["language=de"].stable_units == 5


def test_the_split_of_each_period_comes_from_the_exposure() -> None:
    exposure = (Exposure(period=1, split=0.05, candidate=5, stable=95), Exposure(period=2, split=0.25, candidate=1, stable=3))
    assert ev.splits(exposure) == {1: 0.05, 2: 0.25}


# ── the whole ──

WHOLE = Evidence(
    rollout="ro_1",
    guards=(
        GuardEvidence(metric="error", tallies=(Tally(period=1, split=0.05, candidate_events=1, candidate_units=3, stable_units=57),)),
        GuardEvidence(metric="output_tokens", values=(ValueTally(period=1, split=0.05, candidate={1000: 2, 999: 1}, stable={0: 57}),)),
    ),
    exposure=(Exposure(period=1, split=0.05, candidate=3, stable=57),),
    baseline=BaselineEvidence(
        cases=2,
        pending=0,
        confirmed=(
            Flip(
                case="ca_1",
                kind="negative",
                stable_passed=20,
                stable_runs=20,
                candidate_passed=0,
                candidate_runs=20,
                p_value=7.25e-12,
                cause="fence_added",
                changes=("fence_added",),
                stable_output='{"größe": 1}',
                candidate_output='```\n{"gr\\u00f6\\u00dfe": 1}\n```',
            ),
        ),
        content_stable=1 / 3,
    ),
    shadow=ShadowEvidence(
        pairs=2,
        changes={"key_added": 1, "fence_added": 2},
        fields=(
            FieldEvidence(
                field="refused",
                harms=True,
                pairs=2,
                candidate=1,
                stable=0,
                tallies=(ClassTally(input_class="", candidate_only=1, stable_only=0),),
            ),
        ),
        coverage=(Coverage(dimension="class", pairs=2, classes=2, once=2, twice=0),),
    ),
    identity_violations=("`a` was sent for, and `b` answered (3 times)",),
    users_exposed=3,
    users_seen=60,
)


def test_evidence_reads_back_as_it_was_written() -> None:
    again = ev.decode(ev.encode(WHOLE))
    assert again == WHOLE
    assert ev.encode(again) == ev.encode(WHOLE)
    assert ev.digest(again) == ev.digest(WHOLE)


def test_the_digest_does_not_depend_on_the_order_in_which_sums_were_made_and_does_on_every_number() -> None:
    assert WHOLE.shadow is not None
    shadow = replace(WHOLE.shadow, changes={"fence_added": 2, "key_added": 1})
    values = ValueTally(period=1, split=0.05, candidate={999: 1, 1000: 2}, stable={0: 57})
    assert ev.digest(replace(WHOLE, guards=(WHOLE.guards[0], GuardEvidence(metric="output_tokens", values=(values,))))) == ev.digest(WHOLE)
    assert ev.digest(replace(WHOLE, shadow=shadow)) == ev.digest(WHOLE)
    assert ev.digest(replace(WHOLE, users_seen=61)) != ev.digest(WHOLE)
    assert ev.digest(replace(WHOLE, shadow=replace(shadow, pairs=3))) != ev.digest(WHOLE)


def test_the_digest_is_the_sha_256_of_the_stored_bytes() -> None:
    # `printf %s '{"rollout":"ro_1",...}' | sha256sum`, over the JSON as it stands in the store.
    assert ev.encode(Evidence(rollout="ro_1")) == (
        b'{"rollout":"ro_1","guards":[],"exposure":[],"baseline":null,"shadow":null,"identity_violations":[],"users_exposed":0,"users_seen":0}'
    )
    assert ev.digest(Evidence(rollout="ro_1")) == "d0ebc6df58095f6e69b0e7dce94c8984797bec91dec227749ff5cb93f6de3a19"


def test_evidence_of_before_ways_back_were_known_keeps_its_digest_and_a_known_one_is_part_of_it() -> None:
    """What is not there is not written: a decision that an older Detent stored recomputes to the digest that it stored."""
    assert b"way_back" not in ev.encode(WHOLE)
    assert ev.digest(ev.decode(ev.encode(WHOLE))) == ev.digest(WHOLE)
    known = replace(WHOLE, way_back=WayBack(route="chat", version=Version("openai", "m"), headroom={"tokens": 0.5, "requests": 0.25}))
    assert ev.digest(known) != ev.digest(WHOLE)
    assert ev.decode(ev.encode(known)) == known
