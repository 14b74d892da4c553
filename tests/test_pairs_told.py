"""What is told of a shadow's sums: harm and where it is, changes beyond the noise floor, groups of disagreement."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from detent.evidence.pair_sums import SLOTS, FieldSums, begun, compared_by, evidence_of
from detent.evidence.pairs import group_of, harm_of, log_e_field, named_of
from detent.stats.sequential import log_e_paired
from detent.terms import ClassTally, FieldEvidence, ShadowEvidence, ShadowStage


def one_field(name: str, harms: bool, *tallies: tuple[str, int, int]) -> FieldEvidence:
    counts = tuple(ClassTally(input_class=c, candidate_only=a, stable_only=b) for c, a, b in tallies)
    return FieldEvidence(field=name, harms=harms, pairs=1_000, candidate=50, stable=40, tallies=counts)


def test_harm_by_the_former_rule_is_half_any_check_and_half_the_mean_of_the_fields() -> None:
    quiet = one_field("change:truncated", True)
    loud = one_field("check:json_schema", True, ("", 20, 1), ("de", 18, 0))
    told = one_field("change:key_added", False, ("", 900, 0))
    found = ShadowEvidence(pairs=1_000, candidate_only=12, stable_only=3, fields=(quiet, loud, told))

    def e(a: int, b: int) -> float:
        return math.exp(log_e_paired(a, b))

    of_field = 0.9 * e(20, 1) + 0.1 * (e(18, 0) + 31) / 32
    harm = harm_of(found)
    assert harm.log_e == pytest.approx(math.log(0.5 * e(12, 3) + 0.5 * (1 + of_field) / 2))
    assert harm.log_e_field == pytest.approx(math.log(of_field))
    assert (harm.field, harm.input_class, harm.candidate_only, harm.stable_only) == ("check:json_schema", "de", 18, 0)


def test_harm_in_no_class_in_particular_is_told_of_all_of_them() -> None:
    harm = harm_of(ShadowEvidence(fields=(one_field("refused", True, ("", 20, 0), ("de", 9, 0), ("en", 11, 0)),)))
    assert (harm.field, harm.input_class, harm.candidate_only) == ("refused", "", 20)


def test_harm_in_several_classes_is_told_of_what_they_have_in_common() -> None:
    german = ("none · none · de · to 256", 11, 0), ("none · none · de · to 1k", 4, 0)
    harm = harm_of(ShadowEvidence(fields=(one_field("change:truncated", True, ("", 16, 1), *german, ("none · none · en · to 256", 1, 1)),)))
    assert (harm.input_class, harm.candidate_only, harm.stable_only) == ("none · none · de · any", 15, 0)
    scattered = [
        (f"none · none · {language} · {length}", 5, 0) for language, length in (("de", "to 256"), ("en", "to 1k"), ("fr", "to 4k"))
    ]
    harm = harm_of(ShadowEvidence(fields=(one_field("change:truncated", True, ("", 15, 0), *scattered),)))
    assert (harm.input_class, harm.candidate_only) == ("", 15), "that none of them has tools or a schema tells nothing"


def test_harm_of_a_noisy_field_in_one_class_is_told_of_that_class() -> None:
    found = ShadowEvidence(fields=(one_field("change:truncated", True, ("", 160, 130), ("en", 110, 120), ("de", 50, 10)),))
    assert (harm_of(found).input_class, harm_of(found).candidate_only) == ("de", 50)


def test_nothing_compared_is_no_evidence_of_harm() -> None:
    assert harm_of(ShadowEvidence()).log_e == pytest.approx(0.0)
    opened = begun(compared_by(ShadowStage(), ["json_schema"], ["truncated"]), 0.05)
    assert harm_of(evidence_of(opened, [])).log_e == pytest.approx(0.0)
    only_any = harm_of(ShadowEvidence(pairs=120, seconds=60, candidate_only=25, stable_only=1))
    assert only_any.log_e == pytest.approx(math.log(0.5 * math.exp(log_e_paired(25, 1)) + 0.5))
    assert (only_any.field, only_any.candidate_only, only_any.pairs) == ("", 25, 60)


def test_a_field_whose_classes_all_speak_for_the_candidate_can_be_read_too() -> None:
    classes = [(f"t{n}", 0, 4_000) for n in range(SLOTS)]
    quiet = one_field("refused", True, ("", 0, 4_000 * SLOTS), *classes)
    # Every bet is lost: (2 / 2.15)^4000 of its stake is left at the least odds, on each class .1 / 32 x .1 of all.
    assert log_e_field(quiet, former=True) == pytest.approx(4_000 * math.log(2 / 2.15) + math.log(0.1 * 0.1))
    assert harm_of(ShadowEvidence(fields=(quiet,))).log_e == pytest.approx(math.log(0.5))


def test_a_change_that_does_not_harm_is_named_beyond_the_noise_floor_of_all_of_them() -> None:
    # e(14, 0) = .05 (30/16)^14 + .08 (12/7)^14 + .12 1.5^14 + .2 (4/3)^14 + .25 1.2^14 + ... = 534.2; .9 of it and .1 = 480.8
    fields = [one_field(f"change:n{k}", False, ("", 5, 5)) for k in range(22)]
    found = ShadowEvidence(fields=(*fields, one_field("change:fact_changed", False, ("", 14, 0)), one_field("refused", True)))
    assert [one.field for one in named_of(found, 0.05)] == ["change:fact_changed"], "480 >= 23 / .05"
    more = (*found.fields, one_field("change:x", False), one_field("change:y", False))
    assert named_of(replace(found, fields=more), 0.05) == (), "480 < 25 / .05"
    assert named_of(ShadowEvidence(), 0.05) == ()


def test_a_group_is_named_by_its_own_bet() -> None:
    row = FieldSums("check:tone", "de", pairs=400, candidate=44, stable=4, candidate_only=40, differs=40, seen=2, first_us=7, slot=3)
    group = group_of(row, pairs=8_000, seconds=400, fields=10, alpha=0.05, examples=("ex_1",))
    assert (group.pairs, group.second, group.seconds, group.share, group.named) == (40, 2, 400, 0.005, True)
    assert (group.candidate, group.stable) == (44, 4), "within this kind of request, where stable was asked a second time"
    assert not group_of(replace(row, candidate_only=15), pairs=8_000, seconds=400, fields=10, alpha=0.05, examples=()).named
    without = group_of(replace(row, slot=None), pairs=8_000, seconds=400, fields=10, alpha=0.05, examples=())
    assert (without.log_e, without.named) == (0.0, False)
