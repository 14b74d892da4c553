"""The stake that is kept for harms that begin late: who gets a place, that no coin has a say in it, and what it finds sooner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import text

import benches
from detent import evidence as ev
from detent.evidence.pair_bets import ANY_CHECK, LATE, ODDS, WEIGHTS, late_share, log_e_pairs, log_e_pairs_of
from detent.evidence.pair_fold import PairFold, Rows
from detent.evidence.pair_sums import SOON, Compared, begun, evidence_of
from detent.evidence.pairs import harm_of, log_e_field
from detent.recompute import replay
from detent.stats.sequential import log_e_paired
from detent.store import Store
from detent.terms import ClassTally, FieldEvidence, Pair, PairJudgement, ShadowEvidence, Verb
from playbook import compared
from test_pairs_stored import ROLLOUT
from test_recompute import Recorded

pytest_plugins = ("stores",)

CHECKS = ("check:a", "check:b")
CHANGES = ("change:m", "change:n", "change:o", "change:p")
FIELDS = (*(Compared(name, True) for name in (*CHECKS, *CHANGES)), Compared("change:told", False))

Side = Sequence[str]


def pair(n: int, candidate: Side = (), second: Side = (), language: str = "en") -> Pair:
    """A pair with a second answer, and which of the two answers to copies has which fields."""

    def of(side: Side, kind: str) -> tuple[str, ...]:
        return tuple(name for name in side if name.startswith(kind))

    return Pair(
        rollout="ro_1",
        exchange=f"ex_{n}",
        scored=CHECKS,
        candidate_failed=of(candidate, "check:"),
        second_failed=of(second, "check:"),
        candidate_differs=of(candidate, "change:"),
        second_differs=of(second, "change:"),
        dimensions={"language": language},
    )


def folded(*pairs: Pair, kind: type[PairFold] = PairFold) -> ShadowEvidence:
    """These pairs, after so many in which nothing differs that whatever begins now begins late."""
    fold = kind(Rows(begun(FIELDS, 0.05)))
    for n in range(SOON):
        fold.pair(pair(-n))
    for one in pairs:
        fold.pair(one)
    return evidence_of(fold.rows.sums, list(fold.rows.fields.values()))


# ── who has a place ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_fields_that_begin_to_differ_late_take_their_places_in_that_order_whichever_side_it_is() -> None:
    found = folded(pair(1, second=["change:o"]), pair(2, candidate=["check:b"]), pair(3, candidate=["change:o"]), pair(4, ["change:m"]))
    assert found.late == ("change:o", "check:b", "change:m")


def test_those_that_begin_in_the_same_pair_take_them_in_the_order_of_the_plan() -> None:
    one, other = ("change:p", "check:b"), ("change:m", "check:a")
    ordered = ("check:a", "check:b", "change:m", "change:p")
    assert folded(pair(1, one, other)).late == folded(pair(1, other, one)).late == ordered


def test_what_differs_soon_or_harms_nobody_or_is_on_both_sides_has_none() -> None:
    fold = PairFold(Rows(begun(FIELDS, 0.05)))
    for n in range(SOON + 5):
        fold.pair(pair(n, ["check:a"] if n == SOON - 1 else [], ["change:m"] if n == 0 else []))
    fold.pair(pair(99, ["check:a", "change:n", "change:m", "change:told"], ["change:n"]))
    assert fold.rows.sums.late == [], "`change:m` began with the first pair, `check:a` with the twentieth, `change:n` never"
    assert fold.rows.fields["change:told", ""].candidate_only == 1, "late, and no harm"
    fold.pair(pair(100, ["change:n"]))
    assert fold.rows.sums.late == ["change:n"]


def test_a_judge_is_late_by_the_pairs_that_it_judged() -> None:
    fold = PairFold(Rows(begun((*FIELDS, Compared("judge", True)), 0.05)))
    said = [PairJudgement(rollout="ro_1", exchange=f"ex_{n}", at_us=0, candidate="same", second="same") for n in range(100)]
    worse = replace(said[0], candidate="worse")
    for n in range(50):
        fold.pair(pair(n))
    for one in (*said[:5], worse):
        fold.judged(pair(0), one, comparable=True)
    assert fold.rows.sums.late == [], "the sixth that it judged, however many were compared"
    fold = PairFold(Rows(begun((*FIELDS, Compared("judge", True)), 0.05)))
    for one in (*said[:SOON], worse):
        fold.judged(pair(0), one, comparable=True)
    assert fold.rows.sums.late == ["judge"]


def test_late_fields_share_what_is_kept_for_them() -> None:
    shares = [late_share(k) for k in range(1_000)]
    assert shares[:3] == pytest.approx([1 / 2, 1 / 6, 1 / 12])
    assert sum(shares) == pytest.approx(1 - 1 / 1_001), "and never more than all of it"
    found = folded(pair(1, ["change:m"]), pair(2, ["check:a"]), pair(3, ["change:m"]))

    def e(won: int, lost: int = 0) -> float:
        return float(WEIGHTS @ (2 / (1 + 1 / ODDS)) ** won) if not lost else math.nan

    field = {"change:m": 0.9 * e(2) + 0.1 * (e(2) + 31) / 32, "check:a": 0.9 * e(1) + 0.1 * (e(1) + 31) / 32}
    even = (sum(field.values()) + 4) / 6
    late = field["change:m"] / 2 + field["check:a"] / 6 + 1 / 3
    assert math.exp(harm_of(found).log_e) == pytest.approx(ANY_CHECK * e(1) + (1 - ANY_CHECK) * ((1 - LATE) * even + LATE * late))


# ── fair ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ANSWERS: tuple[tuple[Side, Side, str], ...] = (
    (["change:p"], [], "en"),
    (["change:m", "check:b"], ["change:o"], "de"),
    (["change:m"], ["change:n", "check:a"], "en"),
    (["check:b", "change:p"], ["change:n"], "en"),
    ([], ["change:m", "change:o"], "fr"),
    (["check:a", "change:m", "change:n"], ["check:b"], "de"),
    (["change:o"], ["change:o", "change:p"], "en"),
    (["check:b"], ["check:a"], "de"),
)
"""The two answers to copies in each pair; whose is which is a coin. They share fields, and several begin in one pair."""


def fair(kind: type[PairFold] = PairFold, after: int = len(ANSWERS)) -> float:
    """The mean of E over all ways in which the coins of so many pairs can fall."""
    es = []
    for coins in product((False, True), repeat=after):
        tossed = enumerate(zip(coins, ANSWERS[:after], strict=True))
        told = [pair(n, *((b, a) if coin else (a, b)), language) for n, (coin, (a, b, language)) in tossed]
        es.append(math.exp(harm_of(folded(*told, kind=kind)).log_e))
    return float(np.mean(es))


def test_over_all_ways_in_which_the_coins_can_fall_the_whole_stake_neither_wins_nor_loses() -> None:
    """Exact, not simulated: E is 1 on average, after any number of pairs, however fields hang together."""
    assert [fair(after=n) for n in range(len(ANSWERS) + 1)] == pytest.approx([1.0] * (len(ANSWERS) + 1), abs=1e-12)


class CandidateFirst(PairFold):
    """What must not be: of those that begin in one pair, the candidate's take their places first."""

    def _place_late(self) -> None:
        late = self.rows.sums.late
        assert late is not None
        names = [one.field for one in self.rows.sums.compared if one.harms and one.field in self._began and self._is_late(one.field)]
        late += sorted(names, key=lambda name: self.rows.fields[name, ""].stable_only)
        self._began.clear()


class OnlyTheCandidates(PairFold):
    """What must not be: a field takes its place when it is the candidate's for the first time, and bets what it has won already."""

    def _place_late(self) -> None:
        late = self.rows.sums.late
        assert late is not None
        late += [one.field for one in FIELDS if one.harms and self._row(one.field, "").candidate_only and one.field not in late]
        self._began.clear()


@pytest.mark.parametrize("kind", [CandidateFirst, OnlyTheCandidates])
def test_were_places_given_by_whose_a_difference_is_an_unchanged_version_would_win(kind: type[PairFold]) -> None:
    assert fair(kind) > 1.01


def test_one_bet_is_fair_and_never_below_a_tenth_of_what_odds_without_end_come_to() -> None:
    for n in (1, 5, 12):
        assert sum(math.comb(n, k) / 2**n * math.exp(log_e_pairs(k, n - k)) for k in range(n + 1)) == pytest.approx(1.0)
    assert math.exp(log_e_pairs(13, 0)) > 880 > math.exp(log_e_paired(14, 0))
    assert log_e_pairs(30, 1) == pytest.approx(float(log_e_pairs_of([30], [1])[0]))
    finite = ODDS[:-1]
    by_hand = WEIGHTS[:-1] @ ((2 * finite / (1 + finite)) ** 9 * (2 / (1 + finite)) ** 2)
    assert log_e_pairs(9, 2) == pytest.approx(math.log(by_hand)), "what bet that stable never has it is lost"
    assert log_e_pairs(0, 0) == pytest.approx(0.0, abs=1e-12)
    assert -1e7 < log_e_pairs(0, 5_000_000) < -1e4 < 1e6 < log_e_pairs(5_000_000, 0)
    with pytest.raises(ValueError, match="stable_only is a count and not negative: `-1`"):
        log_e_pairs(3, -1)


# ── watched live ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bench() -> Any:
    return benches.bench("shadow_bets")


@pytest.mark.parametrize("together", [0.0, 0.5], ids=["independent", "together"])
def test_ten_noisy_fields_and_ten_that_seldom_differ_reject_an_unchanged_version_in_less_than_one_shadow_of_twenty(
    bench: Any, together: float
) -> None:
    """At 5 to 20 % and .1 to 1 %, looked at after every 50 of 5,000 pairs; standard error .9 % at 200 runs, the bench has 1.7 %."""
    rng = np.random.default_rng(3)
    parts = [bench.unchanged(rng, 50, together=together, rare=bench.RARELY) for _ in range(4)]
    assert np.mean([part.rejected for part in parts]) <= 0.05


def test_half_a_percent_that_stable_never_has_is_found_within_the_pairs_that_are_promised(bench: Any) -> None:
    """Among 22 fields, as the default plan has with a few checks: statistics 2.1 promises 2,218 pairs, and 10 that show it will do; staked
    evenly it takes 15 of them, 3,000 pairs."""
    rng = np.random.default_rng(5)
    found = [bench.planted(rng, 50, 5, noise=0.0, more=0.5, silent=12) for _ in range(2)]
    assert found[0].promised == pytest.approx((math.log(22 / 0.05) + 1.6) / (0.005 * math.log(2)))
    assert np.median(np.concatenate([one.pairs for one in found])) <= found[0].promised


# ── what an older Detent began ──────────────────────────────────────────────────────────────────────────────────────

OLDER_DIGEST = "e217e918d4969c32e3b655529e81e18d2f5e710b0e9b4b7be556e58bd7b8f104"
"""Of the evidence below, as the Detent wrote it that had no late fields."""


def test_a_decision_of_the_former_rule_recomputes_to_the_same_value_from_the_same_bytes() -> None:
    """Half on any check, half evenly, at a canary's odds: (.9 e(26, 2) + .1 (e(26, 0) + 31) / 32) / 2 + 1/2 = 9,722."""
    story = Recorded()
    story.ask()
    story.baseline_finds()
    story.ask()
    tallies = ClassTally(input_class="", candidate_only=26, stable_only=2), ClassTally(input_class="x", candidate_only=26, stable_only=0)
    field = FieldEvidence(field="change:json_broken", harms=True, pairs=250, candidate=26, stable=2, tallies=tallies)
    story.shadow = compared(1000, fields=(field,))
    decision = story.after("24h")
    assert (decision.verb, decision.evidence_digest) == (Verb.REJECT, OLDER_DIGEST)
    assert decision.numbers == pytest.approx({"log_e": 9.182115455515929, "log_e_field": 9.875211203402559}, rel=1e-12)
    assert b"late" not in story.stored[-1].evidence
    assert all(one.same for one in replay(story.stored))
    of_today = replace(story.shadow, late=("change:json_broken",))
    assert ev.decode(ev.encode(replace(ev.decode(story.stored[-1].evidence), shadow=of_today))).shadow == of_today
    assert harm_of(of_today).log_e > harm_of(story.shadow).log_e


def test_a_shadow_that_an_older_detent_began_is_staked_by_that_ones_rule_to_its_end(store: Store) -> None:
    store.state.add_pairs([pair(n) for n in range(SOON + 5)])
    store.state.fold_pairs(ROLLOUT, ["a", "b"])
    assert store.state.shadow_evidence(ROLLOUT).late == ()
    with store.state._db.write() as c:  # as it would be stored there
        body = msgspec.json.decode(c.execute(text("select body from shadow_sums")).scalar_one())
        assert body.pop("late") == []
        c.execute(text("update shadow_sums set body = :body"), {"body": msgspec.json.encode(body).decode()})
    store.state.add_pairs([pair(n, ["change:truncated"]) for n in range(100, 130)])
    store.state.fold_pairs(ROLLOUT, ["a", "b"])
    found = store.state.shadow_evidence(ROLLOUT)
    assert (found.pairs, found.late) == (SOON + 35, None)
    harming = sum(one.harms for one in found.fields) + 1  # and the judge, that only informs
    field = next(one for one in found.fields if one.field == "change:truncated")
    assert log_e_field(field, former=True) > math.log(0.9) + log_e_paired(30, 0)
    by_hand = 0.5 + 0.5 * (harming - 1 + math.exp(log_e_field(field, former=True))) / harming
    assert math.exp(harm_of(found).log_e) == pytest.approx(by_hand)


def test_the_places_of_late_fields_are_stored_with_the_sums(store: Store) -> None:
    pairs = [pair(n) for n in range(SOON)] + [pair(100, ["change:truncated"]), pair(101, [], ["check:a"]), pair(102, ["change:truncated"])]
    for one in pairs:
        store.state.add_pairs([one])
        store.state.fold_pairs(ROLLOUT, ["a", "b"])
    assert store.state.shadow_evidence(ROLLOUT).late == ("change:truncated", "check:a")
