"""Scored pairs become sums: which pairs are comparable, what bets on what, how much of the traffic was compared, what is told of it."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from detent.evidence.pair_clusters import BANDS, bands_of, cluster_of
from detent.evidence.pair_fold import BEGINNINGS, WAIT_US, PairFold, Rows
from detent.evidence.pair_sums import CLASSES, OTHER, SLOTS, Compared, begun, compared_by, evidence_of, trusted
from detent.evidence.pairs import covered, harm_of
from detent.terms import ClassTally, Coverage, FieldEvidence, Pair, PairJudgement, ShadowEvidence, ShadowStage

FIELDS = compared_by(ShadowStage(harms=("truncated",)), ["json_schema", "tone"], ["truncated", "fact_changed", "key_added"])
DAY = 86_400_000_000


def pair(n: int = 0, **how: Any) -> Pair:
    """A pair in which both versions said the same."""
    return Pair(rollout="ro_1", exchange=f"ex_{n}", **how)


def triple(n: int = 0, differs: tuple[str, ...] = (), second: tuple[str, ...] = (), **how: Any) -> Pair:
    """A pair with a second answer of stable's."""
    return pair(n, **{"candidate_differs": differs, "second_differs": second, "second_failed": (), **how})


def shaped(language: str = "en", tools: str = "none") -> dict[str, str]:
    return {"tools": tools, "schema": "none", "language": language, "length": "to 256"}


def folded(*pairs: Pair, fields: tuple[Compared, ...] = FIELDS) -> PairFold:
    fold = PairFold(Rows(begun(fields, 0.05)))
    for one in pairs:
        fold.pair(one)
    return fold


def evidence(fold: PairFold) -> ShadowEvidence:
    return evidence_of(fold.rows.sums, list(fold.rows.fields.values()))


def field_of(found: ShadowEvidence, name: str) -> FieldEvidence:
    return next(one for one in found.fields if one.field == name)


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_rollout_is_compared_by_are_checks_how_calls_ended_the_judge_and_every_named_change_of_which_some_harm() -> None:
    assert [(one.field, one.harms) for one in FIELDS] == [
        ("check:json_schema", True),
        ("check:tone", True),
        ("refused", True),
        ("failed", True),
        ("judge", True),
        ("change:truncated", True),
        ("change:fact_changed", False),
        ("change:key_added", False),
    ]


def test_a_check_of_each_answer_alone_tells_which_side_failed_and_both_failing_tells_nothing() -> None:
    schema, both = ("check:json_schema",), ("check:json_schema", "check:tone")
    fold = folded(
        triple(1, scored=both),
        triple(2, scored=both, candidate_failed=schema),
        triple(3, scored=both, candidate_failed=schema, second_failed=schema),
        triple(4, scored=both, second_failed=schema),
        triple(5, scored=("check:tone",), candidate_failed=("check:tone",)),
    )
    found = evidence(fold)
    assert (found.pairs, found.candidate_only, found.stable_only) == (5, 2, 1)
    schema_found = field_of(found, "check:json_schema")
    assert (schema_found.pairs, schema_found.candidate, schema_found.stable) == (4, 2, 2)
    assert (field_of(found, "check:tone").pairs, field_of(found, "check:tone").candidate) == (5, 1)
    assert schema_found.tallies[0] == ClassTally(input_class="", candidate_only=1, stable_only=1)
    row = fold.rows.fields["check:json_schema", OTHER]
    assert (row.differs, row.seen) == (2, 2), "in how many an answer fails that the live one does not"


def test_the_live_answer_tells_and_bets_nothing() -> None:
    """Who hangs up on bad live answers takes them out of the shadow; nobody hangs up on copies."""
    schema = ("check:json_schema",)
    fold = folded(
        pair(1, scored=schema, candidate_failed=schema),
        pair(2, scored=schema, stable_failed=schema),
        triple(3, scored=schema, stable_failed=schema),
        triple(4, scored=schema, stable_failed=schema, candidate_failed=schema, second_failed=schema),
    )
    found = evidence(fold)
    schema_found = field_of(found, "check:json_schema")
    assert (found.candidate_only, found.stable_only, found.seconds) == (0, 0, 2)
    assert (schema_found.pairs, schema_found.candidate, schema_found.stable, schema_found.tallies) == (2, 1, 1, ())
    row = fold.rows.fields["check:json_schema", OTHER]
    assert (row.differs, row.seen, [exchange for _, exchange in row.examples]) == (1, 0, ["ex_1"])


def test_a_call_that_failed_bets_against_a_second_call_and_finds_no_changes() -> None:
    calls = ("refused", "failed")
    fold = folded(
        pair(1, candidate_differs=("failed",), second_differs=(), compared=calls),
        pair(2, candidate_differs=("failed",), second_differs=("refused",), compared=calls),
        pair(3, second_differs=("failed",), compared=calls),
        triple(4, compared=calls),
    )
    found = evidence(fold)
    failed, refused = field_of(found, "failed"), field_of(found, "refused")
    assert (failed.pairs, failed.tallies[0]) == (4, ClassTally(input_class="", candidate_only=2, stable_only=1))
    assert (refused.pairs, refused.tallies[0]) == (4, ClassTally(input_class="", candidate_only=0, stable_only=1))
    assert (found.seconds, field_of(found, "change:fact_changed").pairs) == (1, 1), "two answers are needed to find a change"


def test_a_change_bets_only_where_stable_was_asked_twice_and_is_counted_everywhere() -> None:
    fold = folded(
        pair(1, candidate_differs=("change:fact_changed",)),
        triple(2, ("change:fact_changed",)),
        triple(3, ("change:fact_changed",), ("change:fact_changed", "change:key_added")),
        triple(4),
    )
    found = evidence(fold)
    assert found.seconds == 3
    assert found.changes == {"fact_changed": 3}
    fact = field_of(found, "change:fact_changed")
    assert (fact.pairs, fact.candidate, fact.stable) == (3, 2, 1)
    assert fact.tallies[0] == ClassTally(input_class="", candidate_only=1, stable_only=0)
    assert field_of(found, "change:key_added").tallies[0] == ClassTally(input_class="", candidate_only=0, stable_only=1)


def test_a_check_against_the_live_answer_bets_where_both_answers_could_be_scored() -> None:
    tone = "check:tone"
    fold = folded(triple(1, (tone,), compared=(tone,)), triple(2, (tone,)), triple(3, (), (tone,), compared=(tone,)), triple(4))
    found = field_of(evidence(fold), tone)
    assert (found.pairs, found.candidate, found.stable) == (2, 1, 1)


def test_what_the_plan_did_not_name_when_the_first_pair_came_is_not_compared() -> None:
    fold = folded(pair(1, scored=("check:new",), candidate_failed=("check:new",)), triple(2, ("change:brand_new",)))
    found = evidence(fold)
    assert (found.pairs, found.candidate_only, found.changes) == (2, 0, {})


def test_a_class_bets_apart_from_the_first_pair_of_it_that_differs_and_so_many_classes_do() -> None:
    pairs = [triple(n, ("change:fact_changed",), dimensions=shaped(tools=f"t{n}")) for n in range(SLOTS + 5)]
    fact = ("change:fact_changed",)
    same = [triple(1_000 + n, fact, fact, dimensions=shaped(tools=f"quiet{n}")) for n in range(50)]
    found = field_of(evidence(folded(*same, *pairs)), "change:fact_changed")
    assert [tally.input_class for tally in found.tallies] == ["", *(f"t{n} · none · en · to 256" for n in range(SLOTS))]


def test_input_classes_beyond_those_that_are_counted_apart_are_counted_together() -> None:
    fold = folded(*(triple(n, scored=("check:tone",), dimensions=shaped(tools=f"t{n}")) for n in range(CLASSES + 7)))
    assert fold.rows.fields["check:tone", OTHER].pairs == 7
    assert len(fold.rows.fields) == 2 * CLASSES + 3
    assert evidence(fold).pairs == CLASSES + 7


def test_a_group_keeps_its_shortest_pairs() -> None:
    fold = folded(*(triple(n, ("change:fact_changed",), chars=chars, dimensions=shaped()) for n, chars in enumerate((900, 20, 300, 10))))
    row = fold.rows.fields["change:fact_changed", "none · none · en · to 256"]
    assert [exchange for _, exchange in row.examples] == ["ex_3", "ex_1"]


# ── conversations ───────────────────────────────────────────────────────────────────────────────────────────────────


GOOD, APART, LEFT, WAITS = "comparable", "went apart", "not followed", "waits"


def turn(n: int, number: int, **how: Any) -> Pair:
    return triple(n, conversation="c1", turn=number, **how)


def test_a_conversation_is_compared_up_to_the_first_turn_at_which_the_versions_went_apart() -> None:
    fold = PairFold(Rows(begun(FIELDS, 0.05)))
    turns = [turn(0, 0), turn(1, 1, diverges=True), turn(2, 2), turn(3, 3), turn(4, 1), turn(5, 0)]
    assert [fold.pair(one) for one in turns] == [GOOD, GOOD, APART, APART, GOOD, GOOD]
    found = evidence(fold)
    assert (found.pairs, found.not_comparable, found.not_followed) == (4, 2, 0)


def test_a_turn_that_comes_before_the_one_that_it_follows_waits_for_it() -> None:
    """Copies of turn 0 were answered after those of turn 1: nothing of the conversation is lost."""
    fold = PairFold(Rows(begun(FIELDS, 0.05)))
    early = turn(1, 1, dimensions=shaped("de"))
    assert fold.pair(early) == WAITS
    assert (evidence(fold).pairs, evidence(fold).not_comparable, evidence(fold).coverage) == (0, 0, ()), "it counts for nothing yet"
    assert [fold.pair(one) for one in (turn(0, 0), early, turn(2, 2), turn(3, 3))] == [GOOD] * 4
    fold.pair(turn(4, 6, diverges=True))
    assert fold.pair(turn(5, 4, diverges=True)) == GOOD
    assert fold.pair(turn(4, 6, diverges=True)) == APART, "that it waited wins it nothing"


def test_a_turn_whose_predecessor_never_comes_waits_a_minute_of_the_pairs_own_time() -> None:
    fold = PairFold(Rows(begun(FIELDS, 0.05)))
    waiting = turn(1, 2, at_us=DAY, dimensions=shaped("de"))
    assert [fold.pair(one) for one in (turn(0, 0, at_us=DAY), waiting)] == [GOOD, WAITS]
    fold.pair(pair(7, at_us=DAY + WAIT_US - 1, note="of any conversation, scored or not"))
    assert fold.pair(waiting) == WAITS
    fold.pair(pair(8, at_us=DAY + WAIT_US))
    assert fold.pair(waiting) == LEFT
    assert [fold.pair(one) for one in (turn(3, 1, at_us=DAY), turn(4, 2, at_us=DAY))] == [GOOD, GOOD]
    found = evidence(fold)
    assert (found.pairs, found.not_comparable, found.not_followed) == (4, 1, 1)
    assert fold.pair(triple(10, turn=1)) == LEFT, "of no known conversation: nothing can come that it follows"


def test_a_turn_that_could_not_be_scored_was_not_compared() -> None:
    fold = PairFold(Rows(begun(FIELDS, 0.05)))
    turns = [turn(0, 0), turn(1, 1, note="the mirrored call failed"), pair(9, at_us=WAIT_US), turn(2, 2)]
    assert [fold.pair(one) for one in turns] == [GOOD, "unscored", GOOD, LEFT]
    assert (evidence(fold).unscored, evidence(fold).not_comparable) == (1, 1)


def test_conversations_begin_with_the_examples_that_a_prompt_carries() -> None:
    """Every request of a template has two answers in its history: after twenty conversations these are its examples."""
    fold = PairFold(Rows(begun(FIELDS, 0.05)))
    told = [fold.pair(triple(n, conversation=f"c{n}", turn=2, dimensions={"template": "t1"})) for n in range(BEGINNINGS + 3)]
    assert told == [WAITS] * (BEGINNINGS - 1) + [GOOD] * 4
    assert fold.pair(triple(0, conversation="c0", turn=2, dimensions={"template": "t1"})) == GOOD, "which those that waited profit from"
    assert fold.pair(triple(90, conversation="c22", turn=3, dimensions={"template": "t1"})) == GOOD
    assert fold.pair(triple(91, conversation="d", turn=2, dimensions={"template": "t2"})) == WAITS, "of another template nothing is known"
    assert fold.pair(triple(92, conversation="e", turn=0, dimensions={"template": "t1"})) == GOOD
    assert fold.pair(triple(93, conversation="f", turn=2, dimensions={"template": "t1"})) == WAITS, "one began without: those were turns"


# ── coverage ────────────────────────────────────────────────────────────────────────────────────────────────────────


def met(found: ShadowEvidence, dimension: str) -> Coverage:
    return next(one for one in found.coverage if one.dimension == dimension)


def test_classes_are_counted_by_how_often_they_were_met() -> None:
    languages = ["en"] * 5 + ["de"] * 2 + ["fr", "it"]
    found = evidence(folded(*(pair(n, dimensions=shaped(one)) for n, one in enumerate(languages))))
    assert met(found, "language") == Coverage(dimension="language", pairs=9, classes=4, once=2, twice=1)
    assert met(found, "class") == Coverage(dimension="class", pairs=9, classes=4, once=2, twice=1)
    assert met(found, "tools") == Coverage(dimension="tools", pairs=9, classes=1, once=0, twice=0)


def test_a_conversation_meets_a_class_once_and_a_rare_one_that_was_sought_out_does_not_count() -> None:
    talk = [pair(n, conversation="c1", turn=n, dimensions=shaped("de")) for n in range(4)]
    sought = [pair(10 + n, conversation=f"r{n}", dimensions=shaped("fi"), drawn=False) for n in range(3)]
    found = evidence(folded(*talk, *sought))
    assert met(found, "class") == Coverage(dimension="class", pairs=1, classes=1, once=1, twice=0)
    assert found.pairs == 7


@pytest.mark.parametrize("turns", [1, 5, 10])
def test_turns_that_other_conversations_come_between_count_once_all_the_same(turns: int) -> None:
    """400 conversations, twenty at a time, 15 % of them each of a class of its own: 85 % of the classes to come are known."""
    dice = random.Random(1)
    classes = [f"own{talk}" if dice.random() < 0.15 else f"common{dice.randrange(3)}" for talk in range(400)]
    at_a_time = [[(dice.random(), talk) for talk in range(start, start + 20) for _ in range(turns)] for start in range(0, 400, 20)]
    asked, gone = [talk for some in at_a_time for _, talk in sorted(some)], [0] * 400
    pairs = []
    for n, talk in enumerate(asked):
        pairs.append(pair(n, conversation=f"c{talk}", turn=gone[talk], dimensions=shaped(tools=classes[talk])))
        gone[talk] += 1
    found = evidence(folded(*pairs))
    alone = sum(name.startswith("own") for name in classes)
    assert met(found, "class") == Coverage(dimension="class", pairs=400, classes=alone + 3, once=alone, twice=0)
    share = covered(found, "class")
    assert share is not None
    assert share.low <= 0.85 <= share.high


def test_a_class_that_was_never_compared_is_not_covered_however_often_it_was_met() -> None:
    """Agents that go apart at once: of their second and third turns nothing is known. A third of the traffic is covered."""
    talks = [
        pair(3 * n + at, conversation=f"c{n}", turn=at, diverges=at == 0, dimensions=shaped(tools=f"turn {at}"))
        for n in range(300)
        for at in range(3)
    ]
    found = evidence(folded(*talks))
    assert (found.pairs, found.not_comparable) == (300, 600)
    assert met(found, "class") == Coverage(dimension="class", pairs=900, classes=3, once=600, twice=0)
    share = covered(found, "class")
    assert share is not None
    assert share.estimate == pytest.approx(1 / 3)


def test_a_class_that_one_conversation_was_compared_in_is_known_by_that_one_alone() -> None:
    """Leave one out: of three conversations that met the class, the two that were not compared would be covered, and the third not."""
    went = [pair(n, conversation=f"c{n}", turn=0, diverges=True, dimensions=shaped("en")) for n in range(3)]
    later = [pair(10 + n, conversation=f"c{n}", turn=1, dimensions=shaped("de")) for n in range(2)]
    compared = [pair(20, conversation="d", turn=0, dimensions=shaped("de"))]
    found = evidence(folded(*went, *later, *compared))
    assert met(found, "class") == Coverage(dimension="class", pairs=6, classes=2, once=1, twice=0)
    again = evidence(folded(*went, *later, *compared, pair(21, conversation="d", turn=1, dimensions=shaped("de"))))
    assert met(again, "class") == met(found, "class"), "the same conversation adds nothing"
    other = evidence(folded(*went, *later, *compared, pair(21, conversation="e", turn=0, dimensions=shaped("de"))))
    assert met(other, "class") == Coverage(dimension="class", pairs=7, classes=2, once=0, twice=1)


def test_a_conversation_that_first_met_a_class_where_it_could_not_be_compared_may_be_compared_in_it_later() -> None:
    late = [pair(0, conversation="c", turn=0), pair(1, conversation="c", turn=2, dimensions=shaped("de"))]
    fold = folded(*late, pair(2, at_us=WAIT_US))
    assert fold.pair(late[1]) == LEFT
    assert met(evidence(fold), "class") == Coverage(dimension="class", pairs=1, classes=1, once=1, twice=0)
    fold.pair(pair(3, conversation="c", turn=1, dimensions=shaped("de"), at_us=WAIT_US))
    fold.pair(pair(4, conversation="d", turn=0, dimensions=shaped("de"), at_us=WAIT_US))
    assert met(evidence(fold), "class") == Coverage(dimension="class", pairs=2, classes=1, once=0, twice=1)


def test_a_conversation_that_begins_again_is_another_one_with_the_same_first_words() -> None:
    """A user who always begins with "Hi": that one chat went apart says nothing of the next one."""
    fold = PairFold(Rows(begun(FIELDS, 0.05)))
    chat = [turn(0, 0, dimensions=shaped()), turn(1, 1, diverges=True, dimensions=shaped()), turn(2, 2, dimensions=shaped())]
    assert [fold.pair(one) for one in chat] == [GOOD, GOOD, APART]
    assert [fold.pair(one) for one in (turn(3, 0, dimensions=shaped()), turn(4, 1), turn(5, 2))] == [GOOD] * 3
    assert met(evidence(fold), "class") == Coverage(dimension="class", pairs=2, classes=1, once=0, twice=1)


def test_days_tell_how_many_classes_and_clusters_were_new() -> None:
    fold = folded(
        pair(1, at_us=DAY + 5, dimensions=shaped("en"), signature=signature(1)),
        pair(2, at_us=DAY + 9, dimensions=shaped("de"), signature=signature(1)),
        pair(3, at_us=2 * DAY, dimensions=shaped("de"), signature=signature(2)),
    )
    assert {day: (one.pairs, one.new_classes, one.new_clusters) for day, one in fold.rows.days.items()} == {
        DAY: (2, 2, 1),
        2 * DAY: (1, 0, 1),
    }


def test_what_is_covered_is_what_is_not_unseen() -> None:
    found = ShadowEvidence(coverage=(Coverage(dimension="class", pairs=1_000, classes=90, once=40, twice=25),))
    share = covered(found, "class")
    assert share is not None
    assert (share.estimate, share.low, share.high) == pytest.approx((0.96, 0.94157, 0.97843), abs=1e-4)
    assert covered(found, "cluster") is None


def signature(seed: int, changed: int = 0, places: int = 64) -> bytes:
    """A MinHash of 64 places, so many of which are another's."""
    one = random.Random(seed)
    values = [one.randrange(65_536) for _ in range(places)]
    for place in random.Random(seed + 1_000).sample(range(places), changed):
        values[place] ^= 1
    return np.array(values, dtype=np.uint16).tobytes()


def test_a_near_duplicate_is_of_the_cluster_of_the_first_and_another_prompt_is_not() -> None:
    first, near, far = signature(1), signature(1, changed=12), signature(1, changed=14)  # 52/64 = .8125, 50/64 = .78
    bands = dict.fromkeys(bands_of(first), "c1")
    assert len(bands) == BANDS
    assert cluster_of(near, bands, {"c1": first}) == "c1"
    assert cluster_of(far, bands, {"c1": first}) is None
    assert cluster_of(signature(2), bands, {"c1": first}) is None
    assert (bands_of(b""), bands_of(b"odd")) == ((), ())


def test_clusters_are_found_as_the_sampler_finds_them() -> None:
    """Twenty prompts, each asked five times with up to five places changed (at most ten between two): twenty clusters."""
    pairs = [pair(n, signature=signature(n % 20, changed=n // 20)) for n in range(100)]
    found = met(evidence(folded(*pairs)), "cluster")
    assert (found.pairs, found.classes, found.once) == (100, 20, 0)


# ── the judge ───────────────────────────────────────────────────────────────────────────────────────────────────────


def said(candidate: Any, second: Any = "same", planted: Any = None) -> PairJudgement:
    return PairJudgement(rollout="ro_1", exchange="ex_0", at_us=1, candidate=candidate, second=second, planted=planted)


def test_the_judge_is_a_field_of_its_own_and_where_it_abstains_there_is_no_pair() -> None:
    fold = folded(triple(0))
    fold.rows.sums.judge_blocks = True
    for one in (
        said("worse"),
        said("worse", "worse"),
        said("better", "worse"),
        said("same"),
        said("abstained"),
        said("worse", "abstained"),
    ):
        fold.judged(triple(0), one, comparable=True)
    fold.judged(triple(0), said("worse"), comparable=False)
    found = evidence(fold)
    judge = field_of(found, "judge")
    assert (found.judged, judge.pairs, judge.candidate, judge.stable, judge.harms) == (7, 4, 2, 2, True)
    assert judge.tallies[0] == ClassTally(input_class="", candidate_only=1, stable_only=1)


def test_a_judge_that_injections_move_or_that_is_not_calibrated_ends_nothing() -> None:
    fold = folded(triple(0))
    for _ in range(200):
        fold.judged(triple(0), said("worse"), comparable=True)
    assert harm_of(evidence(fold)).log_e <= 0.0, "not calibrated"
    fold.rows.sums.judge_blocks = True
    assert harm_of(evidence(fold)).log_e > math.log(20)
    for planted in ["moved"] * 3 + ["resisted"] * 7:
        fold.judged(triple(0), said("worse", planted=planted), comparable=True)
    found = evidence(fold)
    assert (found.planted, found.moved) == (10, 3)
    assert harm_of(found).log_e <= 0.0
    assert harm_of(found).field == ""


def test_how_many_injections_may_move_it() -> None:
    # scipy.stats.binom.sf(k - 1, n, .05): (10, 1) .401, (10, 2) .086, (10, 3) .0115; (100, 9) .063, (100, 10) .028
    assert [trusted(10, k) for k in (0, 1, 2, 3)] == [True, True, True, False]
    assert [trusted(100, k) for k in (9, 10)] == [True, False]
    assert trusted(0, 0)
