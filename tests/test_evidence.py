"""Records and scores folded into evidence: what a leg says of each metric, label counts, shadow sums, and a digest that never moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from detent import evidence as ev
from detent.terms import (
    METRIC_NAMES,
    Arm,
    BaselineEvidence,
    Evidence,
    Exposure,
    Feedback,
    Flip,
    GuardEvidence,
    Outcome,
    Pair,
    Role,
    ShadowEvidence,
    Tally,
    Unscored,
    Usage,
)
from records import intent, result

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
        (Outcome.ERROR_EVENT, {"first_byte_s": 0.2}, False),
    ],
)
def test_a_hard_failure_is_no_good_first_byte_in_ten_seconds(outcome: Outcome, more: dict[str, Any], expected: bool | None) -> None:
    assert says("hard_failure", outcome, **more) is expected  # design 6: "no good first byte in 10 s"


def test_a_fallback_is_a_hard_failure() -> None:
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


OF_COMPLETE = ["parse_error", "keys_missing", "tool_retry", "refusal", "long_session", "output_tokens", "latency"]


@pytest.mark.parametrize("metric", OF_COMPLETE)
def test_a_failed_leg_counts_as_an_error_only(metric: str) -> None:
    more: dict[str, Any] = {"parse": "invalid", "repeats_call": True, "refusal": True, "step": 40}
    more |= {"usage": Usage(output=9), "latency_s": 3.0}
    assert says(metric, Outcome.UPSTREAM_TRUNCATED, **more) is None


def test_a_stream_that_broke_off_is_truncated_and_a_failed_connection_is_not() -> None:
    assert says("truncated", Outcome.UPSTREAM_TRUNCATED) is True
    assert says("truncated", Outcome.ERROR_EVENT) is True
    assert says("truncated", Outcome.CONNECT_FAILED) is None


def test_feedback_is_what_the_app_says_of_its_own_metric_and_silence_is_a_good_sign() -> None:
    def said(metric: str, value: float) -> Feedback:
        return Feedback(id="f", at_us=0, metric=metric, value=value, session="u1")

    for name, other in (("thumbs_down", "abandoned"), ("abandoned", "thumbs_down")):
        metric = ev.METRICS[name]
        assert metric.of_feedback(said(name, 1.0)) is True
        assert metric.of_feedback(said(name, 0.0)) is False
        assert metric.of_feedback(said(other, 1.0)) is None
        assert metric.silent is False, "users seldom press a button"
        assert metric.of_result(intent("a"), result("a")) is None
    silent = {m.name: m.silent for m in ev.METRICS.values() if m.silent is not None}
    assert silent == {"thumbs_down": False, "abandoned": False, "error": True, "hard_failure": True}, "no answer is a failure, not a gap"


def test_every_metric_that_a_guard_can_name_is_folded() -> None:
    assert list(ev.METRICS) == list(METRIC_NAMES)
    assert all(metric.row is METRIC_NAMES[name] for name, metric in ev.METRICS.items())


# ── label counts -> tallies ──


def count(arm: Arm, bucket: int, n: int, *, period: int = 1, metric: str = "error", slice: str = "") -> ev.LabelCount:
    return ev.LabelCount(metric=metric, period=period, slice=slice, arm=arm, bucket=bucket, n=n)


def test_tallies_are_by_share_period_and_slice_and_the_unscored_stay_apart() -> None:
    rows = [
        count(Arm.STABLE, 1, 4, period=2),
        count(Arm.STABLE, 0, 96, period=2),
        count(Arm.CANDIDATE, 1, 3),
        count(Arm.CANDIDATE, 0, 17),
        count(Arm.STABLE, 0, 380),
        count(Arm.CANDIDATE, 0, 5, slice="de"),
        count(Arm.CANDIDATE, ev.UNSCORED_BUCKET, 7),
        count(Arm.STABLE, ev.UNSCORED_BUCKET, 2, period=2),
        count(Arm.CANDIDATE, 1, 99, metric="parse_error"),
    ]
    found = ev.guard_evidence("error", rows, {1: 0.05, 2: 0.25})
    assert found == GuardEvidence(
        metric="error",
        tallies=(
            Tally(period=1, split=0.05, candidate_events=3, candidate_units=20, stable_events=0, stable_units=380),
            Tally(period=1, split=0.05, slice="de", candidate_units=5),
            Tally(period=2, split=0.25, stable_events=4, stable_units=100),
        ),
        candidate_unscored=7,
        stable_unscored=2,
    )
    assert (found.candidate_events, found.candidate_units, found.stable_events, found.stable_units) == (3, 25, 4, 480)


def test_a_guard_without_any_sealed_unit_has_no_tally_and_not_one_full_of_zeros() -> None:
    assert ev.guard_evidence("error", [], {1: 0.05}) == GuardEvidence(metric="error")
    only_unscored = ev.guard_evidence("error", [count(Arm.STABLE, ev.UNSCORED_BUCKET, 9)], {1: 0.05})
    assert (only_unscored.tallies, only_unscored.stable_unscored) == ((), 9)


def test_the_split_of_each_period_comes_from_the_exposure() -> None:
    exposure = (Exposure(period=1, split=0.05, candidate=5, stable=95), Exposure(period=2, split=0.25, candidate=1, stable=3))
    assert ev.splits(exposure) == {1: 0.05, 2: 0.25}


# ── shadow ──


def pair(stable: bool | None, candidate: bool | None, *changes: str, note: str = "") -> Pair:
    return Pair(rollout="ro_1", exchange="ex", stable_passed=stable, candidate_passed=candidate, changes=changes, note=note)


def test_shadow_pairs_are_summed_and_what_could_not_be_scored_is_on_neither_side() -> None:
    found = ev.shadow_evidence(
        [
            pair(True, True),
            pair(True, True, "key_added"),
            pair(True, False, "fence_added", "json_broken"),
            pair(True, False, "fence_added"),
            pair(False, True),
            pair(False, False),
            pair(None, True),
            pair(True, None),
            pair(None, None, note="the mirrored call failed: lost"),
            pair(None, None, note=ev.NOT_COMPARABLE),
        ]
    )
    assert found == ShadowEvidence(
        pairs=6,
        unscored=3,
        not_comparable=1,
        candidate_only=2,
        stable_only=1,
        changes={"fence_added": 2, "json_broken": 1, "key_added": 1},
    )


def test_no_pair_is_no_evidence() -> None:
    assert ev.shadow_evidence([]) == ShadowEvidence()


# ── the whole ──

WHOLE = Evidence(
    rollout="ro_1",
    guards=(GuardEvidence(metric="error", tallies=(Tally(period=1, split=0.05, candidate_events=1, candidate_units=3, stable_units=57),)),),
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
    shadow=ShadowEvidence(pairs=2, changes={"key_added": 1, "fence_added": 2}),
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
    shadow = ShadowEvidence(pairs=2, changes={"fence_added": 2, "key_added": 1})
    assert ev.digest(replace(WHOLE, shadow=shadow)) == ev.digest(WHOLE)
    assert ev.digest(replace(WHOLE, users_seen=61)) != ev.digest(WHOLE)
    assert ev.digest(replace(WHOLE, shadow=replace(shadow, pairs=3))) != ev.digest(WHOLE)


def test_the_digest_is_the_sha_256_of_the_stored_bytes() -> None:
    # `printf %s '{"rollout":"ro_1",...}' | sha256sum`, over the JSON as it stands in the store.
    assert ev.encode(Evidence(rollout="ro_1")) == (
        b'{"rollout":"ro_1","guards":[],"exposure":[],"baseline":null,"shadow":null,"identity_violations":[],"users_exposed":0,"users_seen":0}'
    )
    assert ev.digest(Evidence(rollout="ro_1")) == "d0ebc6df58095f6e69b0e7dce94c8984797bec91dec227749ff5cb93f6de3a19"
