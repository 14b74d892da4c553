"""Spool -> journal, sums, units: exactly once, in whichever order it is read and wherever the reader is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import killed_ingester
from detent.errors import CouldNotRun
from detent.evidence import CONTROL, SILENT_BAD_BUCKET, SILENT_GOOD_BUCKET, UNREAD_BUCKET, UNSCORED_BUCKET, LabelCount
from detent.ingest import GRACE_US, Ingested, Ingester
from detent.stats.sketch import bucket
from detent.store import Store, open_store, schema
from detent.store.spool import Entry, Spool, segments, spool_dirs
from detent.terms import Arm, DeclaredMetric, Exposure, Flag, Guard, Outcome, Phase, Price, Role, UnitKind, Usage, Version, utc
from records import NEW, OLD, T0, at, begun, intent, kept, pair, result, rollout, thumbs_down, unmirrored

pytest_plugins = ("stores",)

ERROR = Guard(metric="error", margin_abs=0.01, matures=60.0)
RETRY = Guard(metric="tool_retry", margin_abs=0.01, matures=120.0)
THUMBS = Guard(metric="thumbs_down", margin_abs=0.01, matures=60.0)
HARD = Guard(metric="hard_failure", margin_ratio=1.5, matures=10.0)


class Scene:
    """A store with one rollout in its canary, spools, and an ingester whose clock the test sets."""

    def __init__(self, store: Store, root: Path, *guards: Guard) -> None:
        self.store, self.root = store, root
        self.now = T0
        self.open(*guards)
        self.ingester = self.new_ingester()
        self.gateway = Spool(root, "gw1")

    def open(self, *guards: Guard, id: str = "ro_1", route: str = "summarizer") -> None:
        flag = Flag(route=route, revision=0, stable=Version("openai", "old"), candidate=NEW, rollout=id, split=0.5, period=1)
        self.store.state.open_rollout(rollout(*guards, id=id, route=route, phase=Phase.CANARY), flag, by="ann", at=T0)

    def new_ingester(self, **how: Any) -> Ingester:
        return Ingester(self.store, self.root, lambda: self.now, **how)

    def write(self, *entries: Entry, gateway: Spool | None = None) -> None:
        for entry in entries:
            (gateway or self.gateway).write(entry)

    def ingest(self, seconds: float = 0.0) -> Ingested:
        self.now = T0 + timedelta(seconds=seconds)
        return self.ingester.run_once()

    def labels(self, rollout: str = "ro_1") -> dict[tuple[str, str, int], int]:
        """Sealed units by (guard, arm, bucket); all in share period 1."""
        counts = self.store.state.label_counts(rollout)
        assert {row.period for row in counts} <= {1}
        return {(row.metric, row.arm.value, row.bucket): row.n for row in counts}


@pytest.fixture
def scene(store: Store, tmp_path: Path) -> Scene:
    return Scene(store, tmp_path / "spool", ERROR, RETRY)


def test_a_session_becomes_a_row_a_leg_and_one_label_a_guard(scene: Scene) -> None:
    scene.write(intent("a"), result("a"), intent("b", seconds=5), result("b", 6, Outcome.TIMED_OUT))
    scene.write(intent("c", "u2", arm=Arm.CANDIDATE), result("c", repeats_call=True))
    assert scene.ingest(10) == Ingested(entries=6)
    assert scene.store.journal.count() == 3
    assert scene.labels() == {}
    assert scene.ingest(200) == Ingested(sealed=4)
    assert scene.labels() == {
        ("error", "stable", 1): 1,
        ("error", "candidate", 0): 1,
        ("tool_retry", "stable", 0): 1,
        ("tool_retry", "candidate", 1): 1,
    }
    assert scene.store.state.label_counts("ro_1")[0] == LabelCount(metric="error", period=1, slice="", arm=Arm.CANDIDATE, bucket=0, n=1)
    assert scene.store.state.exposure("ro_1") == (Exposure(period=1, split=0.5, candidate=1, stable=1),)
    assert scene.store.state.users("ro_1") == (1, 2)
    assert scene.ingest(300) == Ingested()


def test_a_unit_is_sealed_when_the_watermark_is_past_its_maturity_and_not_before(scene: Scene) -> None:
    scene.write(intent("a"), result("a"))
    scene.ingest(1)
    scene.now = utc(at(60) + GRACE_US)
    assert scene.ingester.run_once().sealed == 0
    scene.now = utc(at(60) + GRACE_US + 1)
    assert scene.ingester.run_once().sealed == 1
    assert scene.labels() == {("error", "stable", 0): 1}


def test_what_comes_after_sealing_makes_no_second_bet(scene: Scene) -> None:
    scene.write(intent("a"), result("a"))
    scene.ingest(500)
    sealed = scene.labels()
    assert sum(sealed.values()) == 2
    scene.write(intent("b", seconds=501), result("b", 502, Outcome.TIMED_OUT))
    scene.ingest(2000)
    assert scene.labels() == sealed
    assert scene.store.state.users("ro_1") == (0, 1)
    assert len(scene.store.state.minute_sums("summarizer")) == 2  # charts see it


def test_entries_wait_for_the_spool_that_is_behind_before_anything_is_sealed(scene: Scene) -> None:
    """The ingester was away for an hour; the failure at 30 s is in the other gateway's spool, behind many batches of this one."""
    scene.ingester = scene.new_ingester(batch=3)
    other = Spool(scene.root, "gw2")
    scene.write(intent("a"), *(intent(f"n{n}", f"v{n}", 100 + n) for n in range(20)))
    scene.write(result("a", 30), gateway=other)
    scene.ingest(3600)
    assert scene.labels()["error", "stable", 0] == 1, "the answer was there in time, and is not taken for one that never came"


def test_a_result_finds_its_intent_after_a_restart(scene: Scene) -> None:
    scene.write(intent("a", arm=Arm.CANDIDATE))
    scene.ingest(1)
    scene.ingester = scene.new_ingester()
    scene.write(result("a", 2, Outcome.ERROR_EVENT))
    scene.ingest(200)
    assert scene.labels()["error", "candidate", 1] == 1


def test_a_dead_writers_open_legs_are_lost_once_for_the_arm_assigned(scene: Scene) -> None:
    scene.write(intent("a", arm=Arm.CANDIDATE, arm_served=Arm.STABLE, role=Role.FALLBACK), intent("b", "u2"), result("b", 20))
    assert scene.ingest(30).lost == 0  # its writer lives: the leg may still end
    scene.gateway.close()
    assert scene.ingest(40) == Ingested(lost=1)
    assert scene.ingest(200) == Ingested(sealed=4)
    (lost,) = scene.store.journal.exchange("ex_a")
    assert lost.result is not None
    assert (lost.result.outcome, lost.result.at_us) == (Outcome.LOST, at(20))  # at the gateway's last sign of life
    assert scene.labels()["error", "candidate", 1] == 1
    assert scene.labels()["error", "stable", 0] == 1
    assert spool_dirs(scene.root) == {}
    assert scene.store.state.spool_marks() == {}


def test_a_leg_that_outlived_its_maturity_is_an_error_and_nothing_else_is_known_of_it(scene: Scene) -> None:
    """Else a version that hangs would drop out of the counts, and what is left of its traffic would look fine."""
    scene.write(intent("a"))
    scene.ingest(200)
    assert scene.labels() == {("error", "stable", SILENT_BAD_BUCKET): 1, ("tool_retry", "stable", UNSCORED_BUCKET): 1}


def test_a_long_stream_is_no_hard_failure_although_its_result_comes_after_the_unit_is_sealed(store: Store, tmp_path: Path) -> None:
    scene = Scene(store, tmp_path / "spool", HARD, ERROR)
    scene.write(intent("a", stream=True), begun("a", 0.5), intent("b", "u2", stream=True, arm=Arm.CANDIDATE))
    scene.ingest(1)
    scene.ingester = scene.new_ingester()  # the intent is known from the journal alone
    scene.write(begun("b", 4.0), begun("nobody", 5.0), intent("c", "u3", stream=True))
    assert scene.ingest(5) == Ingested(entries=3, orphans=1)
    scene.ingest(20)
    hard = {key: n for key, n in scene.labels().items() if key[0] == "hard_failure"}
    silent = ("hard_failure", "stable", SILENT_BAD_BUCKET)
    assert hard == {("hard_failure", "stable", 0): 1, ("hard_failure", "candidate", 0): 1, silent: 1}
    scene.write(result("a", 45, first_byte_s=0.5, latency_s=45.0))
    scene.ingest(200)
    assert scene.labels()["error", "stable", 0] == 1
    assert scene.labels()["error", "candidate", SILENT_BAD_BUCKET] == 1, "a first byte is no answer"


def test_a_stream_that_is_lost_with_its_gateway_had_begun_well(store: Store, tmp_path: Path) -> None:
    """Within the ten seconds the ingester reads both that it began and that it was lost."""
    scene = Scene(store, tmp_path / "spool", HARD, ERROR)
    scene.write(intent("a", stream=True), begun("a", 0.5), intent("b", "u2", stream=True), begun("z", 2.0))
    scene.gateway.close()
    assert scene.ingest(3).lost == 2
    (lost,) = store.journal.exchange("ex_a")
    assert lost.result is not None
    assert (lost.result.outcome, lost.result.first_byte_s) == (Outcome.LOST, 0.5)
    scene.ingest(200)
    assert scene.labels() == {("hard_failure", "stable", 0): 1, ("hard_failure", "stable", 1): 1, ("error", "stable", 1): 2}


def test_a_refused_request_is_judged_by_the_policy_it_was_sent_under(store: Store, tmp_path: Path) -> None:
    """Read by an ingester that has the intent from the journal."""
    scene = Scene(store, tmp_path / "spool", ERROR)
    scene.write(intent("a", falls_back=False), intent("b", "u2"), intent("c", "u3", arm=Arm.CANDIDATE, falls_back=False))
    scene.ingest(1)
    scene.ingester = scene.new_ingester()
    scene.write(*(result(name, 2, Outcome.HTTP_ERROR, status=400) for name in "abc"))
    scene.ingest(200)
    assert scene.labels() == {("error", "stable", 1): 1, ("error", "stable", 0): 1, ("error", "candidate", 1): 1}


def test_a_pass_may_end_after_some_batches_and_then_seals_and_buries_nothing(scene: Scene) -> None:
    scene.ingester = scene.new_ingester(batch=4)
    scene.write(*(entry for n in range(6) for entry in (intent(str(n), f"u{n}", n), result(str(n), n + 1))))
    scene.write(intent("lost", "u_lost", 10))
    scene.gateway.close()
    scene.now = T0 + timedelta(hours=1)
    passes = [scene.ingester.run_once(most_batches=1) for _ in range(5)]
    assert [(done.entries, done.sealed, done.lost, done.drained) for done in passes] == [
        (4, 0, 0, False),
        (4, 0, 0, False),
        (4, 0, 0, False),
        (1, 4, 1, True),
        (0, 4, 0, True),
    ]
    assert scene.ingester.run_once(most_batches=0).sealed == 0
    scene.ingester.run_once()
    assert sum(scene.labels().values()) == 14
    assert spool_dirs(scene.root) == {}


def test_a_spool_read_to_its_end_is_kept_as_long_as_its_writer_lives(scene: Scene) -> None:
    scene.gateway.close()
    scene.gateway = Spool(scene.root, "gw1", segment_bytes=2000)
    scene.write(*(intent(str(n), f"u{n}", n) for n in range(20)))
    scene.ingest(30)
    assert list(spool_dirs(scene.root).values()) == [scene.gateway.dir]
    assert len(segments(scene.gateway.dir)) == 1  # what was read is taken away, but for the segment being written
    scene.write(intent("last", "u_last", 40))
    assert scene.ingest(50).entries == 1


def test_mirrored_forced_and_static_legs_make_no_unit(scene: Scene) -> None:
    scene.write(intent("m", role=Role.MIRRORED, arm=Arm.CANDIDATE), result("m"))
    scene.write(intent("f", "u2", randomised=False), result("f"), intent("s", "u3", rollout=None, randomised=False), result("s"))
    assert scene.ingest(500) == Ingested(entries=6)
    assert scene.store.state.users("ro_1") == (0, 0)
    assert scene.store.journal.count() == 3


def test_a_request_is_a_unit_for_request_metrics_only(scene: Scene) -> None:
    scene.write(intent("a", unit_kind=UnitKind.REQUEST), result("a"))
    scene.ingest(500)
    assert scene.labels() == {("error", "stable", 0): 1}


def test_the_first_exposure_is_the_earliest_whichever_gateway_saw_it(scene: Scene) -> None:
    other = Spool(scene.root, "gw2")
    scene.write(intent("late", seconds=9, period=2, arm=Arm.CANDIDATE))
    scene.ingest(10)
    scene.write(intent("early", seconds=8, period=1), gateway=other)
    scene.ingest(11)
    assert scene.store.state.exposure("ro_1") == (Exposure(period=1, split=0.5, candidate=0, stable=1),)
    assert scene.store.state.users("ro_1") == (1, 1)
    scene.ingest(500)
    assert scene.labels() == {("error", "stable", SILENT_BAD_BUCKET): 1, ("tool_retry", "stable", UNSCORED_BUCKET): 1}


def test_a_session_on_two_routes_is_two_units(scene: Scene) -> None:
    scene.open(ERROR, id="ro_2", route="chat")
    scene.write(intent("a"), result("a"), intent("b", route="chat", rollout="ro_2", arm=Arm.CANDIDATE), result("b", 1, Outcome.TIMED_OUT))
    scene.ingest(500)
    assert scene.labels()["error", "stable", 0] == 1
    assert scene.labels("ro_2") == {("error", "candidate", 1): 1}


def test_feedback_reaches_its_unit_by_exchange_and_by_session(store: Store, tmp_path: Path) -> None:
    scene = Scene(store, tmp_path / "spool", THUMBS)
    scene.write(intent("a"), intent("b", "u2", arm=Arm.CANDIDATE), intent("c", "u3"), intent("d", "u4"))
    scene.write(thumbs_down("f1", 10, exchange="ex_a"), thumbs_down("f2", 10, session="u2"), thumbs_down("f3", 99, session="u3"))
    scene.write(thumbs_down("f4", 10, session="nobody"), thumbs_down("f5", 10))
    scene.ingest(500)
    silent = ("thumbs_down", "stable", SILENT_GOOD_BUCKET)
    assert scene.labels() == {("thumbs_down", "stable", 1): 1, ("thumbs_down", "candidate", 1): 1, silent: 2}


def test_feedback_sent_twice_counts_once(store: Store, tmp_path: Path) -> None:
    scene = Scene(store, tmp_path / "spool", THUMBS)
    scene.write(intent("a"), thumbs_down("f", 10, exchange="ex_a"), thumbs_down("f", 11, exchange="ex_a"))
    scene.ingest(20)
    scene.write(thumbs_down("f", 12, exchange="ex_a"))
    scene.ingest(30)
    with store.state._db.read() as c:
        assert c.execute(select(schema.units.c.said)).all() == [(1,)]


def test_feedback_about_nobody_is_counted_once_and_moves_nothing(store: Store, tmp_path: Path) -> None:
    scene = Scene(store, tmp_path / "spool", THUMBS)
    scene.write(intent("a"), intent("s", "u2", rollout=None, randomised=False))
    forged = [thumbs_down("f1", 10, exchange="ex_forged"), thumbs_down("f2", 10, session="nobody"), thumbs_down("f3", 10)]
    placed = [thumbs_down("f4", 10, exchange="ex_s"), thumbs_down("f5", 10, session="u2")]  # on record, in no rollout
    scene.write(*forged, *placed, thumbs_down("f1", 12, exchange="ex_forged"))
    assert scene.ingest(20) == Ingested(entries=8, unmatched=3)
    scene.write(thumbs_down("f1", 21, exchange="ex_forged"), thumbs_down("f6", 21, exchange="ex_other"))
    assert scene.ingest(22).unmatched == 1
    assert store.state.unmatched_feedback() == 4
    scene.ingest(500)
    assert scene.labels() == {("thumbs_down", "stable", SILENT_GOOD_BUCKET): 1}


def test_a_comment_is_kept_with_its_feedback(scene: Scene) -> None:
    scene.write(intent("a"), thumbs_down("f", 10, exchange="ex_a", comment="too long"))
    scene.ingest(20)
    with scene.store.journal._db.read() as c:
        assert c.execute(select(schema.feedback.c.comment)).scalars().all() == ["too long"]


def test_a_rollout_counts_by_the_metrics_and_prices_that_it_opened_with(store: Store, tmp_path: Path) -> None:
    """USD 0.5 a million of input: 2,000,000 tokens in two legs are a dollar."""
    guards = (Guard(metric="solved", margin_ratio=1.5, matures=60.0), Guard(metric="session_cost", margin_ratio=1.2, matures=60.0))
    opened = rollout(
        *guards,
        phase=Phase.CANARY,
        declared={"solved": DeclaredMetric(name="solved", worse="lower")},
        prices={f"openai/{OLD.model}": Price(name="-", input=0.5, output=1.0)},
    )
    store.state.open_rollout(opened, by="ann", at=T0)
    spool = Spool(tmp_path / "spool", "gw1")
    for name, seconds in (("a", 0), ("b", 5)):
        spool.write(intent(name, seconds=seconds))
        spool.write(result(name, seconds + 1, usage=Usage(input=1_000_000, output=0)))
    spool.write(replace(thumbs_down("f", 9, session="u1"), metric="solved", value=0.0))
    spool.write(intent("c", "u2"))
    spool.write(result("c", 2))  # without any usage: what this session costs, nobody knows
    now = [T0]
    ingester = Ingester(store, tmp_path / "spool", lambda: now[0])
    ingester.run_once()
    now[0] = T0 + timedelta(seconds=500)
    assert Ingester(store, tmp_path / "spool", lambda: now[0]).run_once().sealed == 4  # by another one, that has read no leg of it
    counts = {(row.metric, row.bucket): row.n for row in store.state.label_counts("ro_1")}
    unscored = {("solved", UNSCORED_BUCKET): 1, ("session_cost", UNREAD_BUCKET): 1}
    assert counts == {("solved", 1): 1, ("session_cost", bucket(1.0)): 1} | unscored


# ── slices ──


def test_the_control_slice_is_counted_beside_all_of_stable(scene: Scene) -> None:
    scene.write(intent("a", control=True), result("a"), intent("b", "u2"), result("b"))
    scene.write(intent("c", "u3", arm=Arm.CANDIDATE), result("c"))
    scene.ingest(500)
    errors = {(row.slice, row.arm.value): row.n for row in scene.store.state.label_counts("ro_1") if row.metric == "error"}
    assert errors == {("", "stable"): 2, (CONTROL, "stable"): 1, ("", "candidate"): 1}


def test_segments_are_counted_apart_for_all_but_observed_guards(store: Store, tmp_path: Path) -> None:
    observed = Guard(metric="fallback", margin_abs=0.01, matures=60.0, role="observe")
    tokens = Guard(metric="output_tokens", margin_ratio=1.2, matures=60.0)
    scene = Scene(store, tmp_path / "spool", ERROR, tokens, observed)
    scene.write(intent("x", "u0", -10, user="known", rollout=None, randomised=False))
    scene.write(intent("a", tenant="acme", user="known"), result("a", language="de", usage=Usage(output=100)))
    scene.write(intent("b", "u2", tenant="acme", region="eu", user="fresh"), result("b", 2, Outcome.TIMED_OUT))
    scene.write(intent("c", "u3", 3, user="fresh"), result("c", 400, language="fr"))  # known too late
    scene.ingest(1000)
    found = {(row.metric, row.slice, row.bucket): row.n for row in store.state.segment_counts("ro_1")}
    assert found == {
        ("error", "template=t", 0): 1,
        ("error", "template=t", 1): 1,
        ("error", "template=t", SILENT_BAD_BUCKET): 1,
        ("error", "tenant=acme", 0): 1,
        ("error", "tenant=acme", 1): 1,
        ("error", "language=de", 0): 1,
        ("error", "region=eu", 1): 1,
        ("error", "returning=returning", 0): 1,
        ("error", "returning=new", 1): 1,
        ("error", "returning=new", SILENT_BAD_BUCKET): 1,
        ("output_tokens", "template=t", bucket(100.0) // 8 * 8 + 4): 1,
        ("output_tokens", "template=t", UNSCORED_BUCKET): 2,
        ("output_tokens", "tenant=acme", bucket(100.0) // 8 * 8 + 4): 1,
        ("output_tokens", "tenant=acme", UNSCORED_BUCKET): 1,
        ("output_tokens", "language=de", bucket(100.0) // 8 * 8 + 4): 1,
        ("output_tokens", "region=eu", UNSCORED_BUCKET): 1,
        ("output_tokens", "returning=returning", bucket(100.0) // 8 * 8 + 4): 1,
        ("output_tokens", "returning=new", UNSCORED_BUCKET): 2,
    }
    assert {row.slice for row in store.state.label_counts("ro_1")} == {""}, "a decision reads no segment"
    assert store.state.label_counts("ro_1")[0].n == 1
    assert {row.metric for row in store.state.label_counts("ro_1")} == {"error", "output_tokens", "fallback"}


def test_a_dimension_with_too_many_values_ends_in_other(store: Store, tmp_path: Path) -> None:
    """Else an app that sends a request's number for its tenant would fill the store."""
    scene = Scene(store, tmp_path / "spool", ERROR)
    for n in range(30):
        scene.write(intent(f"a{n}", f"u{n}", n / 10, tenant=f"t{n:02}"), result(f"a{n}", 5))
        if n == 14:
            scene.ingest(100)  # sealed in two parts: who is known stays known
    scene.ingest(500)
    scene.write(intent("again", "v", 501, tenant="t03"), result("again", 502), intent("late", "w", 501, tenant="t29"), result("late", 502))
    scene.ingest(1000)
    tenants = {row.slice: row.n for row in store.state.segment_counts("ro_1") if row.slice.startswith("tenant=")}
    assert len(tenants) == 21
    assert tenants["tenant=t03"] == 2
    assert tenants["tenant=other"] == 11
    assert sum(tenants.values()) == 32


def test_what_cannot_be_placed_is_counted_and_stops_nothing(scene: Scene) -> None:
    scene.write(result("nobody"), intent("a", rollout="ro_unknown"), result("a"))
    assert scene.ingest(500) == Ingested(entries=3, orphans=1)
    assert scene.store.state.users("ro_unknown") == (0, 1)
    assert scene.store.state.label_counts("ro_unknown") == []
    scene.gateway._append = lambda entry: None  # type: ignore[method-assign]
    path = max(segments(scene.gateway.dir).items())[1]
    from detent.store import spool

    payload = b"z{}"
    with path.open("ab") as file:
        file.write(spool._HEADER.pack(b"\xff\xd7", len(payload), spool.crc32(payload)) + payload)  # type: ignore[attr-defined]
    assert scene.ingest(501) == Ingested(unreadable=1)
    assert scene.ingest(502) == Ingested()


def test_another_model_that_answers_is_told(scene: Scene) -> None:
    sent = intent("a").model
    scene.write(intent("a"), result("a", answered_model=sent), intent("b", "u2"), result("b", answered_model="atlas-other"))
    scene.write(intent("c", "u3"), result("c", 1, Outcome.HTTP_ERROR, status=500, answered_model="error-page"))
    scene.ingest(1)
    assert scene.store.state.identity_violations("ro_1") == (f"`{sent}` was sent for, and `atlas-other` answered (1 times)",)
    assert scene.store.state.identity_violations("ro_2") == ()


def test_what_stands_in_for_an_outage_is_nobody_elses_identity(scene: Scene) -> None:
    """A deployment of another provider may well say another name: that voids no rollout."""
    stood_in = intent("a", why="outage", role=Role.FALLBACK, randomised=False, model="our-deployment")
    scene.write(stood_in, result("a", answered_model="atlas"))
    scene.ingest(1)
    assert scene.store.state.identity_violations("ro_1") == ()


def test_what_was_not_mirrored_is_added_up_by_reason(scene: Scene) -> None:
    scene.write(unmirrored("effects", 1, n=3, why="web_search"), unmirrored("budget", 1))
    scene.ingest(2)
    scene.write(unmirrored("effects", 3, n=2, why="web_search"), unmirrored("effects", 4, why="x" * 100))
    assert scene.ingest(5) == Ingested(entries=2)
    counted = scene.store.state.not_mirrored("ro_1")
    assert counted == {("budget", ""): 1, ("effects", "web_search"): 5, ("effects", "x" * 40): 1}
    assert scene.store.state.not_mirrored("ro_2") == {}


def test_a_live_legs_bodies_may_come_before_the_leg_itself(scene: Scene) -> None:
    """They are in the spool of the process that mirrors, which may be read first; what the sample kept goes by other placeholders."""
    mirroring = Spool(scene.root, "gw1-shadow")
    scene.write(kept("a", 2, b"asked [EMAIL_1]", b"said"), gateway=mirroring)
    scene.ingest(3)
    scene.write(intent("a"), result("a", 1, request_body=b"asked", answer_body=b"said"))
    scene.write(intent("b"), result("b", 1, request_body=b"asked", answer_body=b"said"))
    scene.ingest(4)
    scene.write(kept("b", 2, b"asked [EMAIL_1]", b"said"), gateway=mirroring)
    scene.ingest(5)
    for exchange in ("ex_a", "ex_b"):
        (leg,) = scene.store.journal.exchange(exchange)
        assert leg.result is not None
        assert leg.result.request_body == b"asked [EMAIL_1]", exchange


def test_a_pair_that_was_scored_in_memory_is_stored_once_and_before_its_legs(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the grader would meet legs without bodies and take them for a pair that nobody can score."""
    scored = pair("a", 3, scored=("check:answered",), candidate_failed=("check:answered",))
    mirrored = intent("m", seconds=2, exchange="ex_a", arm=Arm.CANDIDATE, role=Role.MIRRORED, randomised=False)
    scene.write(intent("a"), result("a"), mirrored, scored, result("m", 3))
    stored: list[int] = []
    put = scene.store.journal.put

    def putting(*given: Any, **named: Any) -> None:
        stored.append(len(scene.store.state.pairs("ro_1")))
        put(*given, **named)

    monkeypatch.setattr(scene.store.journal, "put", putting)
    scene.ingest(4)
    assert stored == [1]
    scene.write(scored)
    scene.ingest(5)
    assert scene.store.state.pairs("ro_1") == [scored]


def test_minute_sums_add_up_over_passes(scene: Scene) -> None:
    scene.write(intent("a"), result("a", latency_s=0.5))
    scene.ingest(1)
    scene.write(intent("b", "u2", 2), result("b", 3, latency_s=1.5), intent("c", "u3", 70))
    scene.ingest(80)
    (first, sums), (second, later) = scene.store.state.minute_sums("summarizer")
    assert (first.minute_us, second.minute_us) == (at(0), at(60))
    assert (sums.legs, sums.latency.n, sums.latency.total, sums.latency.squares) == (2, 2, 2.0, 2.5)
    assert (later.legs, later.outcomes) == (1, {})
    assert [key for key, _ in scene.store.state.minute_sums("summarizer", since_us=at(60))] == [second]


def test_a_second_ingester_loses_and_reads_on(scene: Scene) -> None:
    other = scene.new_ingester()
    for turn in range(4):
        scene.write(intent(f"{turn}", f"u{turn}", turn), result(f"{turn}", turn + 1))
        first, second = (scene.ingester, other) if turn % 2 else (other, scene.ingester)
        first.run_once()
        second.run_once()
    scene.ingest(500)
    other.run_once()
    assert sum(scene.labels().values()) == 8
    (_, sums), *none = scene.store.state.minute_sums("summarizer")
    assert none == []
    assert (sums.legs, sums.outcomes) == (4, {"complete": 4})


def test_a_commit_whose_answer_was_lost_is_not_made_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    real = scene.store.state.fold

    def cut(*given: Any) -> None:
        real(*given)
        raise CouldNotRun("the connection broke after COMMIT")

    scene.write(intent("a"), result("a"))
    with monkeypatch.context() as patch:
        patch.setattr(type(scene.store.state), "fold", lambda self, *given: cut(*given))
        with pytest.raises(CouldNotRun):
            scene.ingest(1)
    assert scene.ingest(2) == Ingested()
    assert scene.store.state.minute_sums("summarizer")[0][1].legs == 1


def test_a_store_that_fails_loses_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.write(intent("a"), result("a"))
    with monkeypatch.context() as patch:
        patch.setattr("detent.evidence.units.UnitFold.changes", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            scene.ingest(1)
    assert scene.ingest(2).entries == 2
    assert scene.store.journal.count() == 1
    assert scene.store.state.minute_sums("summarizer")[0][1].legs == 1


# ── killed ──


def everything(store: Store) -> dict[str, Any]:
    """All that the ingester keeps, apart from the names of spools."""
    units = (schema.exposed, schema.units, schema.exposure_counts)
    counts = (schema.label_counts, schema.segment_counts, schema.segment_values, schema.answered, schema.counters, schema.not_mirrored)
    found: dict[str, Any] = {"minutes": store.state.minute_sums("summarizer")}
    with store.state._db.read() as c:
        for table in (*units, *counts, schema.spools):
            found[table.name] = sorted((tuple(row) for row in c.execute(select(table))), key=repr)
        # How often pairs were handed over is a matter of kills; which there are is not.
        found["counters"] = [row for row in found["counters"] if row[0] != "pairs"]
        found["pairs"] = sorted(tuple(row) for row in c.execute(select(schema.pairs.c.exchange, schema.pairs.c.body)))
    with store.journal._db.read() as c:
        for table, of_spool in ((schema.legs, "spool"), (schema.feedback, "origin"), (schema.bodies, "")):
            found[table.name] = sorted(
                (tuple(row) for row in c.execute(select(*(column for column in table.c if column.name != of_spool)))), key=repr
            )
    return found


def end(store: Store, root: Path) -> None:
    """Read what is left, an hour after everything."""
    ingester = Ingester(store, root, lambda: T0 + timedelta(hours=1))
    ingester.run_once()
    assert ingester.run_once() == Ingested()


@pytest.mark.fault("an ingester is killed", "at random moments and at chosen ones, two at once: every entry is stored and counted once")
def test_however_often_it_is_killed_every_entry_counts_once(
    new_store_url: Callable[[], str], tmp_path: Path, seen: Callable[[str], None]
) -> None:
    root, twin = tmp_path / "spool", tmp_path / "twin"
    quick = (
        Guard(metric="error", margin_abs=0.01, matures=1.0),
        Guard(metric="output_tokens", margin_ratio=1.1, matures=0.5),
        Guard(metric="hard_failure", margin_ratio=1.5, matures=0.4),
    )
    url = new_store_url()
    disturbed, undisturbed = open_store(url), open_store(new_store_url())
    for store in (disturbed, undisturbed):
        store.state.open_rollout(rollout(*quick, THUMBS, RETRY), by="ann", at=T0)
    disturbed.close()

    command = [sys.executable, killed_ingester.__file__, url, str(root), str(twin), "7"]
    nursery = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert nursery.stderr == ""
    kills = Counter(json.loads(nursery.stdout))
    assert kills.pop("at random") >= killed_ingester.RANDOM_KILLS
    assert kills == dict.fromkeys((*killed_ingester.WHILE_WRITING, *killed_ingester.AFTER_THE_WRITER), 1)

    end(disturbed, root)
    end(undisturbed, twin)
    found, expected = everything(disturbed), everything(undisturbed)
    assert [name for name in expected if found[name] != expected[name]] == []
    assert list(root.iterdir()) == []
    legs = disturbed.journal.count()
    assert legs > 100
    assert disturbed.journal.count(outcome=Outcome.LOST) > 0
    assert disturbed.journal.count(pending=True) == 0
    assert sum(sums.legs for _, sums in found["minutes"]) == legs
    assert sum(sum(sums.outcomes.values()) for _, sums in found["minutes"]) == legs
    units = disturbed.state.users("ro_1")[1]
    assert units == len(found["exposed"]) > 50
    sealed = Counter[str]()
    for row in disturbed.state.label_counts("ro_1"):
        sealed[row.metric] += row.n if row.slice == "" else 0
    assert sealed["error"] == sealed["output_tokens"] == sealed["hard_failure"] == units
    ends = [leg.result for leg in disturbed.journal.latest("summarizer", 100_000) if leg.result is not None]
    assert {end.first_byte_s is None for end in ends if end.outcome is Outcome.LOST} == {True, False}, "some had begun, some had not"
    assert 0 < sealed["tool_retry"] == sealed["thumbs_down"] < units
    assert disturbed.state.unmatched_feedback() > 0
    assert disturbed.state.not_mirrored("ro_1").keys() == {("effects", ""), ("budget", "")}
    assert len(disturbed.state.pairs("ro_1")) > 5
    slices = Counter(row.slice for row in disturbed.state.segment_counts("ro_1"))
    assert {"language=de", "language=fr", "tenant=acme", "returning=new", "template=t"} <= slices.keys()
    assert {row.slice for row in disturbed.state.label_counts("ro_1")} == {"", CONTROL}
    seen(f"{len(json.loads(nursery.stdout))} kills: all is as without them")
    for store in (disturbed, undisturbed):
        store.close()
