"""A loss that hides in one kind of prompt is found there, and nothing is made of chance; and how much a version varies against itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from detent.evidence.flips import RunKey, baseline_evidence
from detent.evidence.spread import distance, spread, tokens
from detent.evidence.tally import tally
from detent.evidence.verdict import finding
from detent.terms import Arm, BaselineEvidence, Case, Run, Spread
from test_flips import STAGE, case, run, screened


def placed(name: str, template: str = "", weight: float = 1.0, **strata: str) -> Case:
    return replace(case(name), strata=strata, template=template, weight=weight)


def cleared(name: str) -> list[Run]:
    """Fresh runs that show nothing, so that no flip is confirmed and the slices speak alone."""
    return [run(RunKey(name, arm, "confirm", n), True) for arm in Arm for n in range(20)]


def released(cases: Sequence[Case], candidate: dict[str, int], stable: dict[str, int] | None = None) -> BaselineEvidence:
    """A whole run: of 10 and of 3 runs so many passed; where nothing is said, all. No fresh run fails."""
    done: list[Run] = []
    for c in cases:
        done += screened(c.id, (stable or {}).get(c.id, 10), candidate.get(c.id, 3)) + cleared(c.id)
    return baseline_evidence(STAGE, cases, done)


def test_25_lost_and_3_won_show_inside_a_dead_tie() -> None:
    """All prompts together: 25 lost and 25 won. By hand: in `refund` 28 of 40 moved, (3 - 25) / 40 = -55 points."""
    cases = [placed(f"r{n}", task="refund", tools="no") for n in range(40)] + [placed(f"o{n}", task="order", tools="no") for n in range(60)]
    lost, won = [f"r{n}" for n in range(25)], [f"r{n}" for n in range(25, 28)] + [f"o{n}" for n in range(22)]
    found = released(cases, dict.fromkeys(lost, 0), dict.fromkeys(won, 0))
    assert found.overall is not None
    assert (found.overall.lost, found.overall.won, found.overall.difference, found.overall.harmed) == (25, 25, 0.0, False)
    assert found.overall.p_value == pytest.approx(0.5, abs=0.1)
    worst, other = found.slices
    assert (worst.name, worst.cases, worst.lost, worst.won, worst.harmed) == ("task=refund", 40, 25, 3, True)
    assert worst.difference == pytest.approx(-22 / 40)
    assert worst.low < -22 / 40 < worst.high < 0
    assert worst.p_value < 1e-4
    assert other.difference == pytest.approx(22 / 60)
    assert (other.name, other.harmed) == ("task=order", False)
    assert finding(found).reason == "SliceHarmed"
    assert finding(found).sentence.startswith("a loss that stands: task=refund -55.0 points [")
    assert "over 40 prompts, 25 lost and 3 won" in finding(found).sentence


def test_a_stratum_of_few_prompts_and_one_of_all_of_them_are_no_slices() -> None:
    cases = [placed(f"c{n}", tools="no", task="rare" if n < 9 else "usual") for n in range(30)]
    assert [s.name for s in released(cases, {}).slices] == ["task=usual"]


def test_among_many_slices_one_small_p_is_no_harm() -> None:
    """Ten strata of 12 prompts; one of them loses 7: 2^-7 = .0078 alone, and .01 / 10 is what a slice of ten has to reach first."""
    cases = [placed(f"c{n}", task=f"t{n % 10}") for n in range(120)]
    found = released(cases, {f"c{10 * n}": 0 for n in range(7)})
    assert found.slices[0].p_value == pytest.approx(2**-7)
    assert (found.slices[0].name, found.slices[0].harmed) == ("task=t0", False)
    eleven = released(cases, {f"c{10 * n}": 0 for n in range(11)})
    assert eleven.slices[0].p_value == pytest.approx(2**-11)
    assert eleven.slices[0].harmed


def test_a_loss_has_to_stand_against_the_choice_of_runs_too() -> None:
    """Twenty prompts that miss one of three runs, where stable misses 3 of 10: that is what stable does itself."""
    cases = [placed(f"c{n}") for n in range(20)]
    found = released(cases, {c.id: 2 for c in cases}, {c.id: 7 for c in cases})
    assert found.overall is not None
    # Every prompt fell, by 1/30: 2^-20 by sign flips alone; yet 40 of 60 runs against 140 of 200 are nothing.
    assert found.overall.p_value > 0.3
    assert not found.overall.harmed


def test_templates_are_families_once_they_are_many() -> None:
    def lost_together(templates: int) -> BaselineEvidence:
        cases = [placed(f"c{n}", template=f"f{n % templates}") for n in range(80)]
        return released(cases, {c.id: 0 for c in cases if c.template in ("f0", "f1", "f2", "f3")})

    many, few = lost_together(20), lost_together(10)
    assert many.overall is not None
    assert few.overall is not None
    # 4 families of 20 fell: 2^-4, and that is no harm, though 16 prompts of 80 fell. Ten templates are too few to be a sample of any.
    assert many.overall.p_value == pytest.approx(2**-4)
    assert not many.overall.harmed
    assert few.overall.harmed
    assert many.overall.high > few.overall.high


def test_what_the_traffic_sees_is_told_beside_what_the_prompts_say() -> None:
    cases = [placed("heavy", weight=9.0), *(placed(f"c{n}") for n in range(9))]
    overall = released(cases, {"heavy": 0}).overall
    assert overall is not None
    assert overall.difference == pytest.approx(-0.1)
    assert overall.weighted == pytest.approx(-0.5)


def test_prompts_that_could_not_be_compared_are_in_no_slice() -> None:
    cases = [placed(f"c{n}", task="t") for n in range(12)]
    done = [r for c in cases[:10] for r in screened(c.id)]
    done += [run(RunKey(name, arm, "screen", n), None) for name in ("c10", "c11") for arm in Arm for n in range(20)]
    found = baseline_evidence(STAGE, cases, done)
    assert found.overall is not None
    assert (found.overall.cases, found.errors) == (10, 2)


# ── spread ──


def answered(name: str, arm: Arm, *outputs: str) -> list[Run]:
    return [replace(run(RunKey(name, arm, "screen", n), True), output=output) for n, output in enumerate(outputs)]


def varied(runs: list[Run], names: Sequence[str]) -> Spread | None:
    found = tally(runs)
    return spread([case(name) for name in names], [found[name] for name in names])


def test_a_distance_is_the_share_of_words_that_are_not_shared() -> None:
    # Dice: 3 of 4 + 4 words shared twice: 1 - 6/8
    assert distance(tokens("the cat sat down"), tokens("the cat sat up")) == pytest.approx(0.25)
    assert distance(tokens("a b"), tokens("b a")) == 0.0
    assert distance(tokens("a b"), tokens("c d")) == 1.0
    assert distance(tokens(""), tokens("")) == 0.0
    assert distance(tokens(""), tokens("x")) == 1.0


def test_a_raised_temperature_shows_as_spread() -> None:
    random = np.random.default_rng(5)

    def said(changing: float) -> str:
        return " ".join(str(random.integers(9_999)) if random.random() < changing else f"w{i}" for i in range(40))

    def release(hot: float) -> Spread:
        runs: list[Run] = []
        for n in range(40):
            runs += answered(f"c{n}", Arm.STABLE, *(said(0.1) for _ in range(10)))
            runs += answered(f"c{n}", Arm.CANDIDATE, *(said(hot) for _ in range(3)))
        found = varied(runs, [f"c{n}" for n in range(40)])
        assert found is not None
        return found

    same, hotter, colder = release(0.1), release(0.3), release(0.0)
    assert same.cases == 40
    assert same.p_value > 0.05
    assert (hotter.candidate > hotter.stable, hotter.p_value < 1e-6) == (True, True)
    assert (colder.candidate, colder.p_value < 1e-6) == (0.0, True)


def test_spread_takes_as_many_runs_of_both_versions() -> None:
    """Ten runs of stable of which the first three agree: that is what the candidate's three are held against."""
    runs = answered("a", Arm.STABLE, "x", "x", "x", *(f"y{n}" for n in range(7))) + answered("a", Arm.CANDIDATE, "p", "q", "q")
    found = varied(runs, ["a"])
    assert found is not None
    assert found.candidate == pytest.approx(2 / 3)
    assert (found.stable, found.p_value) == (0.0, 1.0)


def test_without_two_runs_of_both_there_is_no_spread() -> None:
    assert varied(answered("a", Arm.STABLE, "x", "y") + answered("a", Arm.CANDIDATE, "x"), ["a"]) is None
    assert spread([], []) is None


def test_spread_is_measured_in_bounded_time() -> None:
    names = [f"c{n}" for n in range(2_500)]
    runs = [r for name in names for arm in Arm for r in answered(name, arm, "x", "x")]
    found = varied(runs, names)
    assert found is not None
    assert found.cases == 834, "every third of 2,500, since 1,000 are enough"
    assert tokens("abc " * 100_000 + "end") == {"abc"}, "of 400 kB the first 4 kB are compared"
