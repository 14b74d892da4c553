"""Pairs on real databases: kept once, folded once, whoever is killed and however many fold; what decisions and people read of them."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from detent.evidence.pair_fold import WAIT_US, PairFold, Rows
from detent.evidence.pair_sums import begun, compared_by, evidence_of
from detent.store import Store, open_store
from detent.store.shadowing import _NAMED, put_pairs
from detent.terms import ClassTally, Coverage, DayOfPairs, Pair, PairJudgement, Phase, Plan, Rollout, ShadowEvidence, ShadowStage, Version
from processes import until
from records import T0

pytest_plugins = ("stores",)

ROLLOUT = Rollout(
    id="ro_1",
    route="summarizer",
    owner="ann@example.com",
    stable=Version("openai", "gpt-4o-2024-05-13"),
    candidate=Version("openai", "gpt-4o-2024-11-20"),
    plan=Plan(name="standard", shadow=ShadowStage(harms=("truncated",))),
    salt="s",
    phase=Phase.SHADOW,
    opened_at=T0,
    entered_at=T0,
)
CHECKS = ("json_schema",)
DAY = 86_400_000_000


def pair(n: int, **how: Any) -> Pair:
    return Pair(rollout="ro_1", exchange=f"ex_{n:04d}", at_us=DAY + n, **how)


def traffic(n: int, seed: int = 3) -> list[Pair]:
    """Pairs of all kinds, in conversations, classes and clusters; a turn that could not be scored is asked again."""
    dice = random.Random(seed)
    turns: dict[str, int] = {}
    made = []
    for k in range(n):
        talk = f"c{dice.randrange(n // 3)}"
        turn, lost = turns.get(talk, 0), dice.random() < 0.05
        turns[talk] = turn + (not lost)
        differs = tuple(name for name in ("change:fact_changed", "change:truncated") if dice.random() < 0.2)
        again = dice.random() < 0.4
        made.append(
            pair(
                k,
                note="the mirrored call failed" if lost else "",
                scored=("check:json_schema",),
                candidate_failed=("check:json_schema",) if dice.random() < 0.1 else (),
                stable_failed=("check:json_schema",) if dice.random() < 0.1 else (),
                candidate_differs=differs,
                second_failed=tuple(name for name in ("check:json_schema",) if dice.random() < 0.1) if again else None,
                second_differs=tuple(name for name in ("change:fact_changed",) if dice.random() < 0.2) if again else None,
                diverges=dice.random() < 0.1,
                conversation=talk,
                turn=turn,
                drawn=dice.random() < 0.9,
                dimensions={"tools": "none", "schema": "none", "language": dice.choice(("en", "en", "de", "fr")), "length": "to 256"},
                signature=random.Random(dice.randrange(40)).randbytes(128),
                chars=dice.randrange(2_000),
            )
        )
    return made


def in_memory(pairs: list[Pair]) -> ShadowEvidence:
    """The same pairs folded without a store, those that wait again and again."""
    fold = PairFold(Rows(begun(compared_by(ROLLOUT.plan.shadow, CHECKS, _NAMED), ROLLOUT.plan.alpha)))
    while (left := [one for one in pairs if fold.pair(one) == "waits"]) != pairs:
        pairs = left
    return evidence_of(fold.rows.sums, list(fold.rows.fields.values()))


def test_a_pair_is_kept_once_and_counts_once(store: Store) -> None:
    first = pair(1, scored=("check:json_schema",), candidate_failed=("check:json_schema",), second_failed=())
    store.state.add_pairs([first])
    store.state.add_pairs([replace(first, candidate_failed=()), pair(2, note="n")])
    store.state.add_pairs([])
    assert store.state.pairs("ro_1") == [first, pair(2, note="n")]
    assert store.state.shadow_evidence(ROLLOUT) == ShadowEvidence(), "they wait"
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 2
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 0
    store.state.add_pairs([first])
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 0
    found = store.state.shadow_evidence(ROLLOUT)
    assert (found.pairs, found.unscored, found.candidate_only) == (1, 1, 1)


@pytest.mark.parametrize("at_once", [1, 7, 500])
def test_however_pairs_come_in_and_whatever_stops_between_they_add_up_to_the_same(
    store: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detent.store.shadowing.AT_ONCE", at_once)
    pairs = traffic(120)
    for start in range(0, len(pairs), 30):
        store.state.add_pairs(pairs[start : start + 30])
        store.state.fold_pairs(ROLLOUT, CHECKS)
    found = store.state.shadow_evidence(ROLLOUT)
    assert found == in_memory(pairs)
    assert found.not_comparable > 0 < found.seconds


@pytest.mark.parametrize("at_once", [1, 2, 500])
def test_a_turn_that_arrives_too_early_waits_in_the_store_for_the_one_that_it_follows(
    store: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detent.store.shadowing.AT_ONCE", at_once)

    def turns(talk: str, *numbers: int, at_us: int = 0) -> list[Pair]:
        return [replace(pair(0), exchange=f"{talk}{n}", conversation=talk, turn=n, at_us=DAY + at_us) for n in numbers]

    store.state.add_pairs([*turns("a", 1, 0, 2, 3), *turns("b", 0, 3, 2, 1), *turns("c", 2)])
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 8
    assert store.state.shadow_evidence(ROLLOUT).pairs == 8
    mark = store.state.findings_mark("ro_1", "summarizer")
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 0
    assert store.state.findings_mark("ro_1", "summarizer") == mark, "what waits moves nothing"
    store.state.add_pairs(turns("d", 0, at_us=WAIT_US - 1))
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 1
    store.state.add_pairs(turns("d", 1, at_us=WAIT_US))
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 2, "the minute is over"
    found = store.state.shadow_evidence(ROLLOUT)
    assert (found.pairs, found.not_comparable, found.not_followed) == (10, 1, 1)


def test_a_fold_that_is_cut_short_leaves_its_pairs_waiting_and_counts_none_of_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = traffic(40)
    store.state.add_pairs(pairs)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("detent.store.shadowing._mark", killed)
        with pytest.raises(KeyboardInterrupt):
            store.state.fold_pairs(ROLLOUT, CHECKS)
    assert store.state.shadow_evidence(ROLLOUT) == ShadowEvidence()
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 40
    assert store.state.shadow_evidence(ROLLOUT) == in_memory(pairs)


def test_a_folder_that_is_killed_has_counted_what_it_marked_and_nothing_else(store: Store, store_url: str) -> None:
    pairs = traffic(120)
    store.state.add_pairs(pairs)
    code = (
        "import sys\nsys.path.insert(0, sys.argv[2])\nimport test_pairs_stored as told\nfrom detent.store import open_store, shadowing\n"
        "shadowing.AT_ONCE = 1\nopen_store(sys.argv[1]).state.fold_pairs(told.ROLLOUT, told.CHECKS)"
    )
    folder = subprocess.Popen([sys.executable, "-c", code, store_url, str(Path(__file__).parent)])
    until(lambda: folder.poll() is not None or store.state.findings_mark("ro_1", "summarizer")[2] >= 5, "some pairs are folded")
    folder.kill()
    folder.wait()
    found = store.state.shadow_evidence(ROLLOUT)
    folded = found.pairs + found.unscored + found.not_comparable
    assert found == in_memory(pairs[:folded])
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 120 - folded
    assert store.state.shadow_evidence(ROLLOUT) == in_memory(pairs)


def test_a_fold_of_a_long_backlog_stops_when_its_time_is_over_and_the_next_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detent.store.shadowing.AT_ONCE", 10)
    pairs = traffic(100)
    store.state.add_pairs(pairs)
    time_left = iter([True, True, False])
    assert 0 < store.state.fold_pairs(ROLLOUT, CHECKS, lambda: next(time_left)) <= 30
    while store.state.fold_pairs(ROLLOUT, CHECKS, lambda: False):
        pass
    assert store.state.shadow_evidence(ROLLOUT) == in_memory(pairs)
    early = [replace(pair(1_000 + n), conversation=f"talk {n}", turn=3) for n in range(15)]
    store.state.add_pairs([*early, pair(2_000)])
    assert store.state.fold_pairs(ROLLOUT, CHECKS, lambda: False) == 1, "behind more turns that wait than are looked at together"


def test_two_that_fold_at_once_count_every_pair_once(store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detent.store.shadowing.AT_ONCE", 5)
    pairs = traffic(100)
    store.state.add_pairs(pairs)
    other = open_store(store_url)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda s=s: counts.append(s.state.fold_pairs(ROLLOUT, CHECKS))) for s in (store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sum(counts) == 100
    assert store.state.shadow_evidence(ROLLOUT) == in_memory(pairs)


def test_pairs_within_the_transaction_of_another_are_kept_with_it_or_not_at_all(store: Store) -> None:
    def stopped() -> None:
        with store.state._db.write() as c:
            put_pairs(c, [pair(1)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped()
    assert store.state.pairs("ro_1") == []
    with store.state._db.write() as c:
        put_pairs(c, [pair(1)])
    assert store.state.pairs("ro_1") == [pair(1)]


def test_what_is_compared_is_settled_with_the_first_pair(store: Store) -> None:
    store.state.add_pairs([pair(1)])
    store.state.fold_pairs(ROLLOUT, CHECKS)
    store.state.add_pairs([pair(2, scored=("check:new",), candidate_failed=("check:new",))])
    edited = replace(ROLLOUT, plan=replace(ROLLOUT.plan, shadow=ShadowStage(harms=("fact_changed",))))
    store.state.fold_pairs(edited, ("new",))
    found = {one.field: one.harms for one in store.state.shadow_evidence(edited).fields}
    assert (found["change:truncated"], found["change:fact_changed"], "check:new" in found) == (True, False, False)


def test_pairs_of_one_rollout_are_nothing_to_another(store: Store) -> None:
    store.state.add_pairs([pair(1), replace(pair(1), rollout="ro_2"), replace(pair(2), rollout="ro_2")])
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 1
    assert store.state.shadow_evidence(replace(ROLLOUT, id="ro_2")) == ShadowEvidence()
    assert store.state.fold_pairs(replace(ROLLOUT, id="ro_2"), CHECKS) == 2
    assert store.state.shadow_evidence(ROLLOUT).pairs == 1


def test_the_mark_moves_with_every_fold_and_not_with_pairs_that_wait(store: Store) -> None:
    def mark() -> object:
        return store.state.findings_mark("ro_1", "summarizer")

    before = mark()
    store.state.add_pairs([pair(1)])
    assert mark() == before
    store.state.fold_pairs(ROLLOUT, CHECKS)
    assert mark() != before


def test_a_pair_of_an_older_detent_is_never_folded(store: Store) -> None:
    body = '{"rollout": "ro_1", "exchange": "old", "stable_passed": true, "candidate_passed": false}'
    with store.state._db.write() as c:
        c.execute(text("INSERT INTO pairs (rollout, exchange, body) VALUES ('ro_1', 'old', :body)"), {"body": body})
    assert store.state.fold_pairs(ROLLOUT, CHECKS) == 0
    assert store.state.pairs("ro_1") == [Pair(rollout="ro_1", exchange="old")]


# ── what people read ────────────────────────────────────────────────────────────────────────────────────────────────


def shaped(language: str) -> dict[str, str]:
    return {"tools": "none", "schema": "none", "language": language, "length": "to 256"}


def test_groups_of_disagreement_are_ranked_by_the_traffic_that_they_are(store: Store) -> None:
    fact, schema = "change:fact_changed", "check:json_schema"
    german = [
        pair(n, scored=(schema,), candidate_failed=(schema,), second_failed=(), second_differs=(), dimensions=shaped("de"), chars=500 - n)
        for n in range(30)
    ]
    again: dict[str, Any] = {"second_differs": (fact,), "second_failed": ()}
    noisy = [
        pair(100 + n, scored=(schema,), candidate_differs=(fact,), dimensions=shaped("en"), **(again if n % 2 else {})) for n in range(50)
    ]
    quiet = [pair(200 + n, scored=(schema,), dimensions=shaped("en")) for n in range(20)]
    store.state.add_pairs([*german, *noisy, *quiet])
    store.state.fold_pairs(ROLLOUT, CHECKS)
    first, second = store.state.shadow_groups("ro_1")
    assert (first.field, first.input_class) == (fact, "none · none · en · to 256")
    assert (first.pairs, first.second, first.seconds, first.share, first.named) == (50, 25, 25, 0.5, False)
    assert (first.candidate, first.stable) == (25, 25), "within this kind, where stable was asked a second time"
    assert (second.field, second.input_class) == (schema, "none · none · de · to 256")
    assert (second.pairs, second.second, second.seconds, second.share, second.named) == (30, 0, 30, 0.3, True)
    assert (second.examples, second.first_us) == (("ex_0029", "ex_0028"), DAY)
    assert store.state.shadow_groups("ro_2") == ()


def test_days_and_coverage(store: Store) -> None:
    store.state.add_pairs([pair(1, dimensions=shaped("en")), pair(2, dimensions=shaped("en"))])
    store.state.fold_pairs(ROLLOUT, CHECKS)
    later = Pair(rollout="ro_1", exchange="ex_later", at_us=2 * DAY + 5, dimensions=shaped("de"))
    store.state.add_pairs([later])
    store.state.fold_pairs(ROLLOUT, CHECKS)
    assert store.state.shadow_days("ro_1") == (
        DayOfPairs(day_us=DAY, pairs=2, new_classes=1, new_clusters=0),
        DayOfPairs(day_us=2 * DAY, pairs=1, new_classes=1, new_clusters=0),
    )
    found = store.state.shadow_evidence(ROLLOUT).coverage
    assert Coverage(dimension="class", pairs=3, classes=2, once=1, twice=1) in found


# ── the judge ───────────────────────────────────────────────────────────────────────────────────────────────────────


def said(n: int, candidate: Any, second: Any = "same", **how: Any) -> PairJudgement:
    return PairJudgement(rollout="ro_1", exchange=f"ex_{n:04d}", at_us=DAY, candidate=candidate, second=second, **how)


def test_the_judge_is_asked_about_comparable_pairs_with_a_second_answer_the_newest_first(store: Store) -> None:
    no_answer = pair(5, second_differs=("failed",))
    store.state.add_pairs([pair(1, second_failed=()), pair(2), pair(3, second_failed=(), turn=4), pair(4, second_failed=()), no_answer])
    assert store.state.pairs_to_judge("ro_1", 10) == [], "they are not folded"
    store.state.fold_pairs(ROLLOUT, CHECKS)
    assert store.state.pairs_to_judge("ro_1", 10) == ["ex_0004", "ex_0001"]
    assert store.state.pairs_to_judge("ro_1", 1) == ["ex_0004"]


def test_what_the_judge_says_counts_once(store: Store) -> None:
    store.state.add_pairs([pair(n, second_failed=(), dimensions=shaped("de")) for n in range(4)])
    store.state.fold_pairs(ROLLOUT, CHECKS)
    heard = [said(0, "worse"), said(1, "same", "worse", planted="resisted"), said(9, "worse")]
    store.state.add_pair_judgements(ROLLOUT, heard, blocks=True)
    store.state.add_pair_judgements(ROLLOUT, [said(0, "same"), said(2, "abstained")], blocks=True)
    assert store.state.pairs_to_judge("ro_1", 10) == ["ex_0003"]
    assert store.state.pair_judgements("ro_1") == [heard[0], heard[1], said(2, "abstained")]
    found = store.state.shadow_evidence(ROLLOUT)
    judge = next(one for one in found.fields if one.field == "judge")
    assert (found.judged, found.planted, found.moved) == (3, 1, 0)
    assert (judge.pairs, judge.candidate, judge.stable, judge.harms) == (2, 1, 1, True)
    assert judge.tallies == (
        ClassTally(input_class="", candidate_only=1, stable_only=1),
        ClassTally(input_class="none · none · de · to 256", candidate_only=1, stable_only=1),
    )
    store.state.add_pair_judgements(ROLLOUT, [], blocks=False)
    assert not next(one for one in store.state.shadow_evidence(ROLLOUT).fields if one.field == "judge").harms


def test_what_the_judge_could_not_be_shown_it_has_not_judged_and_is_not_asked_again(store: Store) -> None:
    store.state.add_pairs([pair(n, second_failed=()) for n in range(2)])
    store.state.fold_pairs(ROLLOUT, CHECKS)
    store.state.add_pair_judgements(ROLLOUT, [said(0, "abstained", None, unread=True), said(1, "abstained")], blocks=True)
    assert store.state.pairs_to_judge("ro_1", 10) == []
    assert store.state.shadow_evidence(ROLLOUT).judged == 1


def test_a_judge_before_the_first_pair_says_nothing(store: Store) -> None:
    store.state.add_pair_judgements(ROLLOUT, [said(0, "worse")], blocks=True)
    assert store.state.shadow_evidence(ROLLOUT) == ShadowEvidence()
