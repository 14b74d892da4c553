"""A shadow in sentences: what was compared, how sure that it is enough, where the answers differ, what it cost, what was left out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from detent.evidence.minutes import MinuteKey, MinuteSums, Moments
from detent.explain import Example, ShadowBeside, describe_shadow, shadow_json, shadow_told, timings_of
from detent.explain.shadow import NOT_MIRRORED
from detent.shadowing import describe_class
from detent.stats.sketch import bucket
from detent.terms import (
    ClassTally,
    Coverage,
    DayOfPairs,
    FieldEvidence,
    Group,
    Held,
    NotMirrored,
    Phase,
    Price,
    Rollout,
    ShadowEvidence,
    Spent,
    micros,
)
from playbook import PLAN, compared
from records import T0, T0_US, rollout

DAY_US = 86_400_000_000
GERMAN = "none · none · de · to 256"
IN_WORDS = "language de, length to 256"
SHADOW = rollout(phase=Phase.SHADOW, plan=PLAN, entered_at=T0)
NOW = T0 + timedelta(days=3.2)

FENCES = FieldEvidence(
    field="change:fence_added",
    harms=False,
    pairs=250,
    candidate=60,
    stable=2,
    tallies=(
        ClassTally(input_class="", candidate_only=58, stable_only=0),
        ClassTally(input_class=GERMAN, candidate_only=58, stable_only=0),
    ),
)
FOUND = compared(
    1000,
    fields=(FENCES,),
    coverage=(
        Coverage(dimension="class", pairs=1000, classes=80, once=22, twice=10),
        Coverage(dimension="language", pairs=1000, classes=3, once=0, twice=0),
        Coverage(dimension="cluster", pairs=1000, classes=612, once=400, twice=80),
    ),
)
GROUP = Group(
    field="change:fence_added",
    input_class=GERMAN,
    pairs=240,
    second=1,
    seconds=60,
    share=0.24,
    first_us=T0_US,
    log_e=30.0,
    named=True,
    examples=("ex_7", "ex_9"),
    candidate=15,
    stable=1,
)


NOTHING = ShadowBeside()


def told(beside: ShadowBeside = NOTHING, found: ShadowEvidence = FOUND, now: datetime = NOW, of: Rollout = SHADOW) -> str:
    return "\n".join(shadow_told(of, found, beside, now))


def test_it_says_how_much_of_tomorrows_traffic_was_compared_with_its_interval() -> None:
    """22 classes met once among 1000: 97.8 % by Good and Turing; Esty's sd = sqrt(22 x 0.978 + 20) / 1000 = 0.00644: 96.5 % to 99.1 %."""
    assert (
        "coverage: after 3.2 days 97.8 % of tomorrow's traffic that can be mirrored looks like something already compared "
        "(95 % interval 96.5 % to 99.1 %); its lower end must reach 95 %"
    ) in told()
    assert "  by language 100.0 % (3 met), near-duplicate prompts 60.0 % (612 met)" in told()
    assert "coverage: nothing is known of it yet" in told(found=ShadowEvidence())


def test_an_uncovered_remainder_is_never_rounded_away() -> None:
    one = replace(FOUND, pairs=20_000, coverage=(Coverage(dimension="class", pairs=20_000, classes=80, once=1, twice=0),))
    assert "after 3.2 days 99.9 % of tomorrow's traffic" in told(found=one), "99.995 %, which is not all of it"


def test_progress_is_told_beside_what_the_plan_asks_for() -> None:
    found = replace(FOUND, not_comparable=7, not_followed=2, unscored=5)
    assert (
        "pairs: 1000 scored, of at least 100; 500 of them with a second answer of stable's, and all bets are on those; 7 not comparable "
        "(5 had gone apart before, 2 followed a turn that was not compared), 5 unscored\ntime: 3.2 days of at least 7d, 14d at most"
    ) in told(found=found)


def test_each_day_says_how_many_classes_were_new() -> None:
    days = (
        DayOfPairs(day_us=micros(datetime(2026, 3, 1, tzinfo=UTC)), pairs=400, new_classes=31, new_clusters=220),
        DayOfPairs(day_us=micros(datetime(2026, 3, 2, tzinfo=UTC)), pairs=600, new_classes=2, new_clusters=90),
    )
    assert (
        "new input classes a day:\n  2026-03-01: 31 of 400 pairs (220 near-duplicates)\n  2026-03-02: 2 of 600 pairs (90 near-duplicates)"
    ) in told(ShadowBeside(days=days))


def test_a_change_beyond_the_noise_floor_is_named_with_both_rates() -> None:
    text = told()
    assert "fence_added: candidate 60 of 250 (24.0 %), stable's second answer 2 of 250 (0.8 %); E = " in text
    assert "; told only" in text, "fence_added is no harm by this plan"
    assert (
        f"beyond the noise floor: fence_added in requests with `{IN_WORDS}` (there in 58 pairs only on the candidate, and in 0 only where "
        "stable answered a second time); E = "
    ) in text
    harmful = told(found=replace(FOUND, fields=(replace(FENCES, harms=True),)))
    assert "beyond the noise floor" not in harmful
    assert (
        f"over all fields; rejects at 20\n  fence_added in requests with `{IN_WORDS}`: there in 58 pairs only on the candidate" in harmful
    )


def test_groups_come_with_their_weight_and_two_short_examples() -> None:
    examples = {"ex_7": Example(exchange="ex_7", stable='{"a": 1}', candidate='```json\n{"a": 1}\n``` \x1b[2J')}
    text = told(ShadowBeside(groups=(GROUP,), examples=examples))
    assert "groups of disagreement with the live answer, 1 of 1, what is beyond the noise floor first:" in text
    assert (
        f"  1. fence_added in requests with `{IN_WORDS}`: 240 pairs, 24.0 % of all compared; where stable was asked a second time: "
        "candidate 15 of 60 (25.0 %), stable's second answer 1 of 60 (1.7 %); beyond the noise floor; first seen 2026-03-01 12:00"
    ) in text
    assert '     ex_7\n       stable:    {"a": 1}\n       candidate: ```json {"a": 1} ``` \\x1b[2J\n     ex_9\n' in text, (
        "and nothing kept of ex_9"
    )
    assert 'keep one of these for every baseline to come: `detent case pin ex_7 --why "..."`' in text


def test_no_pair_is_offered_for_pinning_of_which_nothing_was_kept() -> None:
    """As with `bodies = 0`: there would be no prompt to put into a baseline."""
    text = told(ShadowBeside(groups=(GROUP,)))
    assert "     ex_7\n     ex_9" in text
    assert "case pin" not in text


def test_a_person_reads_ten_groups_and_a_machine_all_of_them() -> None:
    groups = tuple(replace(GROUP, pairs=n, examples=()) for n in range(40, 0, -1))
    text = told(ShadowBeside(groups=groups))
    assert "10 of 40" in text
    assert "  10. fence_added" in text
    assert "  11. " not in text
    assert len(shadow_json(SHADOW, FOUND, ShadowBeside(groups=groups), NOW)["groups"]) == 40


def sums(role: str, arm: str, minute: int, seconds: float, *, id: str = "ro_1", legs: int = 10) -> tuple[MinuteKey, MinuteSums]:
    key = MinuteKey(T0_US + minute * 60_000_000, "summarizer", id, role, arm, "openai/x")
    taken = Moments(n=legs, total=seconds * legs, squares=0.0, sketch=dict(Counter({bucket(seconds): legs})))
    return key, MinuteSums(legs=legs, outcomes={"complete": legs - 1, "lost": 1}, latency=taken)


def test_timings_are_of_the_minutes_in_which_there_were_copies() -> None:
    """Live answers of another hour of the day, or of another rollout, say nothing of the copies."""
    found = timings_of(
        SHADOW,
        [
            sums("mirrored", "candidate", 1, 2.0),
            sums("mirrored", "stable", 1, 1.0),
            sums("served", "stable", 1, 1.0),
            sums("served", "stable", 2, 60.0),
            sums("served", "stable", 1, 60.0, id="ro_2"),
        ],
    )
    assert [(t.says, t.legs, t.complete) for t in found] == [
        ("candidate, mirrored", 10, 9),
        ("stable, mirrored a second time", 10, 9),
        ("stable, live", 10, 9),
    ]
    assert [t.latency[1] for t in found] == [pytest.approx(2.0, rel=0.01), *[pytest.approx(1.0, rel=0.01)] * 2], "a sketch holds 1 %"
    text = told(ShadowBeside(timings=found))
    assert "timing: candidate, mirrored: 9 of 10 answers complete; latency P50 " in text
    assert "first byte" not in text, "of which nothing is known"


def test_a_kind_of_request_is_told_by_what_it_has() -> None:
    assert describe_class("lookup_order · none · de · to 256") == "tools lookup_order, language de, length to 256"
    assert describe_class("none · none · de · any") == "language de"
    assert describe_class("other") == "other", "the kinds beyond those that are kept apart"


def test_what_it_cost_stands_beside_the_days_limit() -> None:
    spent = [
        Spent(day_us=T0_US - T0_US % DAY_US, purse="mirrors", usd=20.5, tokens=900_000),
        Spent(day_us=T0_US - T0_US % DAY_US + DAY_US, purse="mirrors", usd=3.25, tokens=100_000, held_usd=0.5),
        Spent(day_us=T0_US - T0_US % DAY_US, purse="judge", usd=1.0, tokens=50_000),
    ]
    each = Price(name="x", input=1.0, output=2.0)
    text = told(ShadowBeside(spent=spent), of=replace(SHADOW, prices={str(v): each for v in (SHADOW.stable, SHADOW.candidate)}))
    assert "spent on mirrored calls: 23.75 USD and 1000000 tokens; on 2026-03-02 3.25 of 25 USD, 0.50 more reserved" in text
    assert "spent on the judge: 1.00 USD and 50000 tokens; on 2026-03-01 1.00 of 5 USD" in text


def test_a_cost_of_which_no_price_is_known_is_never_told_as_nothing() -> None:
    spent = [Spent(day_us=T0_US - T0_US % DAY_US, purse="mirrors", usd=0.0, tokens=900)]
    assert f"spent on mirrored calls: 900 tokens; USD are not known (without `{SHADOW.stable}` and `{SHADOW.candidate}`" in (
        told(ShadowBeside(spent=spent))
    )
    half = replace(SHADOW, prices={str(SHADOW.stable): Price(name="x", input=1.0, output=2.0)})
    part = told(ShadowBeside(spent=[replace(spent[0], usd=0.18)]), of=half)
    assert f"spent on mirrored calls: 0.18 USD (without `{SHADOW.candidate}`: no price is known) and 900 tokens" in part


def test_what_harms_stands_before_noise_and_only_it_is_offered_for_pinning() -> None:
    """`trailing_artefact` rejects in German requests of any length; there are more pairs of mere noise."""
    harm = replace(
        FENCES,
        field="change:trailing_artefact",
        harms=True,
        tallies=(
            ClassTally(input_class="", candidate_only=30, stable_only=0),
            *(ClassTally(input_class=f"none · none · de · to {n}", candidate_only=15, stable_only=0) for n in (64, 256)),
        ),
    )
    noise = replace(
        GROUP, field="change:closing_text_added", input_class="none · none · en · to 64", pairs=300, named=False, examples=("n",)
    )
    short = replace(GROUP, field="change:trailing_artefact", pairs=15, named=False, examples=("h",))
    examples = {name: Example(exchange=name, stable="a", candidate="b") for name in ("n", "h")}
    text = told(ShadowBeside(groups=(noise, short), examples=examples), replace(FOUND, fields=(harm,)))
    assert "  1. trailing_artefact in requests with" in text
    assert text.count("; beyond the noise floor; first seen") == 1
    assert "detent case pin h --why" in text
    unchanged = told(ShadowBeside(groups=(noise,), examples=examples), replace(FOUND, fields=()))
    assert "case pin" not in unchanged, "noise is nothing to keep"


def test_how_the_shadow_stands_is_told_first() -> None:
    assert told(of=replace(SHADOW, phase=Phase.BASELINE)).startswith("the shadow has not begun: the rollout is in `baseline`")
    assert told(of=replace(SHADOW, phase=Phase.REJECTED, ended_at=NOW, reason="ShadowHarm: so")).startswith("ended: ShadowHarm: so; ")
    held = Held(reason="AwaitingApproval", why="a yes", since_at=T0, by="detent")
    assert told(of=replace(SHADOW, held=held)).startswith("it waits for a human yes, and goes on mirroring: `detent approve ")


def test_what_was_left_out_is_counted_by_reason() -> None:
    left_out = {("budget", ""): 3, ("effects", "web_search"): 10, ("effects", "store"): 2}
    assert told(ShadowBeside(not_mirrored=left_out)).endswith(
        "drawn and not mirrored: 15 requests\n"
        "  12 effects: it does more than ask: a server-side tool, a stored conversation, a file, a container (web_search 10, store 2)\n"
        "  3 budget: it might have cost more than is left of the day's budget until this hour, or the store was too slow to say"
    )
    assert NOT_MIRRORED.keys() == set(get_args(NotMirrored)), "each reason has its sentence"


def test_what_the_judge_was_asked_and_how_well_it_resists_is_told() -> None:
    assert "judge: 40 pairs judged; of 20 planted injections 1 moved its verdict" in told(
        found=replace(FOUND, judged=40, planted=20, moved=1)
    )
    assert "judge:" not in told()


def test_explain_tells_the_same_in_short() -> None:
    lines = describe_shadow(SHADOW, replace(FOUND, candidate_only=3, stable_only=2))
    assert lines[0].startswith(
        "shadow: 1000 pairs scored, of at least 100; 500 of them with a second answer of stable's, where a check failed only the "
        "candidate's in 3 and only stable's second in 2"
    )
    assert lines[1].startswith("  coverage: 97.8 % of tomorrow's traffic")
    assert lines[2].startswith("  beyond the noise floor: fence_added")


def test_machines_get_the_same_without_an_infinity_and_without_the_salt() -> None:
    secret = replace(SHADOW, salt="a very secret salt")
    text = json.dumps(shadow_json(secret, FOUND, ShadowBeside(groups=(GROUP,), not_mirrored={("rate", ""): 4}), NOW), allow_nan=False)
    found = json.loads(text)
    assert found["coverage"]["class"]["estimate"] == 0.978
    assert found["named"][0]["field"] == "change:fence_added"
    assert found["groups"][0]["examples"][0]["exchange"] == "ex_7"
    assert found["not_mirrored"] == [{"reason": "rate", "why": "", "n": 4}]
    assert "secret" not in text


def test_a_shadow_that_is_over_is_told_without_a_clock() -> None:
    over = replace(SHADOW, phase=Phase.REJECTED, ended_at=NOW, reason="ShadowHarm: it is so")
    text = "\n".join(shadow_told(over, FOUND, ShadowBeside(), NOW))
    assert "time:" not in text
    assert "coverage: 97.8 % of tomorrow's traffic" in text
