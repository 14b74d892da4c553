"""How rollouts begin: with guards that fit the traffic, refused where they could prove nothing, or against themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlling import NEXT, PIN, World, pin_file
from detent.controller import Controller, act, fitted, load_evidence, open_aa, segments_of
from detent.controller.opening import ENOUGH_PAST
from detent.errors import InvalidInput, Refused
from detent.manifest import DEFAULT_GUARDS, read
from detent.stats.sketch import bucket
from detent.store import open_store
from detent.store.database import upsert
from detent.store.schema import exposure_counts, label_counts
from detent.terms import Arm, Phase, Power, Rollout, Verb, Version
from records import intent, result


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}")
    yield World(store)
    store.close()


@pytest.fixture
def controller(world: World) -> Controller:
    return Controller(world.store, world.clock, elapsed=world.elapsed)


HOURS = 48.0


def traffic(world: World, units: int, route: str = "chat", hours: float = HOURS, **more: Any) -> None:
    """So many sessions of a route on stable, on record, evenly over these hours."""
    times = [3600 * hours * i / (units - 1) for i in range(units)]
    legs = [intent(f"p{i}", f"past-{i}", t, route=route, rollout=None, randomised=False) for i, t in enumerate(times)]
    world.store.journal.put(legs, [result(f"p{i}", t + 1, **more) for i, t in enumerate(times)])


def in_the_canary(world: World, controller: Controller, text: str) -> Rollout:
    world.apply(text)
    world.freeze()
    world.runs()
    for _ in range(3):
        controller.run_once()
    world.pairs()
    world.later(1)
    controller.run_once()
    assert world.rollout().phase is Phase.CANARY
    return world.rollout()


def test_a_shadow_with_a_budget_opens_only_where_both_versions_have_a_price(world: World) -> None:
    text = pin_file(chat=NEXT).replace("budget_usd_per_day = inf", "budget_usd_per_day = 5")
    with pytest.raises(Refused) as refused:
        world.apply(text)
    assert f"the shadow may cost 5 USD a day, and what a version costs is not known: `openai/{PIN}` and `openai/{NEXT}`" in str(
        refused.value
    )
    assert (world.store.state.rollouts(), world.store.state.flags()) == ([], {}), "refused as a whole"
    prices = "".join(f'[prices."openai/{model}"]\ninput = 1.0\noutput = 4.0\n' for model in (PIN, NEXT))
    world.apply(text + prices)
    assert world.rollout().plan.shadow.budget_usd_per_day == 5.0
    assert world.rollout().prices.keys() == {f"openai/{PIN}", f"openai/{NEXT}"}, "frozen with the rollout"


# ── power before start ──


def power(promoted: float, hours: float = HOURS, **more: Any) -> Power:
    advice = ("wait 4 days longer", "or take plan `quiet`")
    return Power(route="chat", plan="short", promoted=promoted, seconds=3600 * hours, advice=advice, **more)


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detent.power.power_of", lambda *args, **more: power(0.03))


@pytest.mark.usefixtures("weak")
def test_a_rollout_that_can_prove_nothing_is_refused_and_nothing_is_written(world: World) -> None:
    world.apply(pin_file(chat=None))
    traffic(world, ENOUGH_PAST)
    before = world.store.state.revision(), len(world.store.state.audit())
    with pytest.raises(Refused) as refused:
        world.apply(pin_file(chat=NEXT, search=None))
    assert (
        "plan `short` can prove nothing at the traffic of route `chat`: an unchanged candidate would be promoted in 3 % of rollouts"
        in str(refused.value)
    )
    assert refused.value.hint == 'wait 4 days longer; or take plan `quiet`; or open it all the same: --unproven --why "..."'
    assert (world.store.state.revision(), len(world.store.state.audit())) == before
    assert world.store.state.rollouts() == []


@pytest.mark.usefixtures("weak")
def test_somebody_may_open_it_all_the_same_with_a_name_and_a_reason(world: World) -> None:
    traffic(world, ENOUGH_PAST)
    world.apply(pin_file(chat=NEXT), unproven_why="the provider turns the old one off")
    assert world.rollout().unproven == "ada: the provider turns the old one off"
    assert any("although it can prove nothing: the provider turns the old one off" in row.what for row in world.store.state.audit())


@pytest.mark.usefixtures("weak")
def test_too_little_on_record_refuses_nothing(world: World) -> None:
    traffic(world, ENOUGH_PAST - 1)
    world.apply(pin_file(chat=NEXT))
    assert world.rollout().unproven == ""


@pytest.mark.parametrize(
    ("recorded", "matures", "refused"),
    [(1.99, "30m", False), (2.0, "30m", True), (3.99, "2h", False), (4.0, "2h", True)],
    ids=["shorter than the canary", "as long as the canary", "less than half of it mature", "half of it mature"],
)
def test_a_young_record_refuses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, recorded: float, matures: str, refused: bool
) -> None:
    """The canary may end after 2 h."""
    monkeypatch.setattr("detent.power.power_of", lambda *args, **more: power(0.0, recorded))
    text = pin_file(chat=NEXT).replace('"prove"\n', f'"prove"\nmatures = "{matures}"\n')
    traffic(world, ENOUGH_PAST, hours=recorded)
    with pytest.raises(Refused) if refused else contextlib.nullcontext():
        world.apply(text)


@pytest.mark.parametrize("found", [power(0.10), power(0.0, unknown="nothing is known")])
def test_power_enough_or_unknown_opens(world: World, monkeypatch: pytest.MonkeyPatch, found: Power) -> None:
    monkeypatch.setattr("detent.power.power_of", lambda *args, **more: found)
    traffic(world, ENOUGH_PAST)
    world.apply(pin_file(chat=NEXT), unproven_why="in case")
    assert world.rollout().unproven == "", "nobody had to vouch for it"


def test_default_guards_are_fitted_to_the_traffic_on_record(world: World) -> None:
    text = pin_file(chat=None).replace('plan = "short"', 'plan = "standard"')
    world.apply(text)
    traffic(world, 300, parse=None)
    plan, past = fitted(world.store, read(text), "chat", world.now)
    assert past.units == 300
    assert {g.metric for g in DEFAULT_GUARDS} - {g.metric for g in plan.guards} == {"parse_error", "keys_missing"}, "nobody asks for JSON"


def test_declared_metrics_and_prices_are_frozen_in_the_rollout(world: World) -> None:
    declared = '[metrics.helpful]\nsays = "of no help"\n\n[prices."openai/atlas-2026-03-01"]\ninput = 1.0\noutput = 2.0\n\n'
    world.apply(declared + pin_file(chat=NEXT))
    world.apply(pin_file(chat=NEXT))
    assert world.rollout().declared["helpful"].says == "of no help"
    assert world.rollout().prices["openai/atlas-2026-03-01"].output == 2.0
    assert world.rollout().metric("helpful").source == "feedback"


# ── a version against itself ──


def opens_aa(world: World, text: str = pin_file(chat=None)) -> Rollout:
    world.apply(text)
    return open_aa(world.store, "chat", by="ada", why="", now=world.now, rollout_id=f"ro_{next(world.ids)}", salt="s")


def test_a_version_against_itself_begins_in_the_canary(world: World, controller: Controller) -> None:
    rollout = opens_aa(world)
    flag = world.store.state.flags()["chat"]
    assert (rollout.phase, rollout.aa, rollout.plan.approve) == (Phase.CANARY, True, ())
    assert (flag.split, flag.period, flag.rollout, flag.candidate) == (0.1, 1, "ro_1", Version("openai", PIN))
    assert [e.split for e in world.store.state.exposure("ro_1")] == [0.1], "its share period is on record"
    assert [d.reason for d in controller.run_once()] == ["TimeNotServed"]
    for stable in (9, 1):
        world.sealed("error", (80, 4000), (80 * stable, 4000 * stable))
        world.later(1)
        controller.run_once()
    assert world.rollout().phase is Phase.DONE
    assert world.rollout().reason.startswith("AAServed: both arms are the same version")
    assert world.store.state.flags()["chat"].stable == Version("openai", PIN)
    assert [p.kind for p in world.apply(pin_file(chat=NEXT))] == ["open"], "and it is in nobody's way"


def test_a_false_alarm_over_it_does_not_forbid_the_version(world: World, controller: Controller) -> None:
    opens_aa(world)
    world.sealed("tool_retry", (40, 100), (10, 900))
    (decision,) = controller.run_once()
    assert decision.verb is Verb.ROLL_BACK
    assert "a false alarm" in decision.sentence
    with pytest.raises(Refused):
        act(world.store, "ro_1", "promote", by="ada", why="", now=world.now)
    assert [p.kind for p in world.apply(pin_file(chat=None))] == ["unchanged"]


def test_it_takes_a_route_that_is_in_force_and_free(world: World) -> None:
    opens_aa(world)
    with pytest.raises(Refused, match="has an open rollout"):
        opens_aa(world)
    with pytest.raises(InvalidInput, match="no such route in force: `nowhere`"):
        open_aa(world.store, "nowhere", by="ada", why="", now=world.now, rollout_id="ro_2", salt="s")


# ── what is learned ──

WITH_LATENCY = pin_file(chat=NEXT).replace(
    "[routes.", '[[plans.short.guards]]\nmetric = "latency"\nmargin_ratio = 1.25\ntolerance_ratio = 1.05\nrole = "harm"\n\n[routes.', 1
)


def took(world: World, candidate: dict[float, int], stable: dict[float, int]) -> None:
    """Sealed units of either arm by seconds, in the share period in force."""
    rollout = world.rollout()
    for arm, seconds in ((Arm.CANDIDATE, candidate), (Arm.STABLE, stable)):
        where = {"rollout": rollout.id, "period": rollout.period, "arm": arm.value}
        rows = [{**where, "guard": "latency", "slice": "", "bucket": bucket(s), "n": n} for s, n in seconds.items()]
        with world.store.state._db.write() as c:
            upsert(c, label_counts, rows, add=("n",))
            upsert(c, exposure_counts, [{**where, "units": sum(seconds.values()), "saw_candidate": 0}], add=("units",))


def test_what_has_a_history_is_known_when_the_canary_begins(world: World, controller: Controller) -> None:
    traffic(world, 100, hours=0.1, latency_s=1.0)
    known = in_the_canary(world, controller, WITH_LATENCY).working["latency"]
    assert known.thresholds == pytest.approx((1.0, 1.0, 1.0), rel=0.01)
    assert (known.units, known.since) == (100, 0)


def test_what_has_none_is_learned_in_the_canary_and_bet_on_from_a_new_share_period(world: World, controller: Controller) -> None:
    begun = in_the_canary(world, controller, WITH_LATENCY)
    assert "latency" not in begun.working
    quick, slow = {0.5: 90, 1.0: 90, 2.0: 18, 4.0: 2}, {5.0: 90, 10.0: 90, 20.0: 18, 40.0: 2}
    took(world, slow, {seconds: 9 * n for seconds, n in quick.items()})
    assert [d.reason for d in controller.run_once()] == ["TimeNotServed"], "nothing is known yet: nothing is bet"
    controller.run_once()
    learned = world.rollout()
    assert (learned.period, learned.split, learned.step) == (begun.period + 1, begun.split, 0)
    assert learned.working["latency"].since == learned.period
    flag = world.store.state.flags()["chat"]
    assert (flag.period, flag.split) == (learned.period, learned.split), "gateways hear of the new period"
    assert world.store.state.audit(1)[0].what.startswith("learned what is usual on stable: latency of 1800 units")
    assert controller.run_once() == ()
    assert world.rollout() == learned, "once, and the units that it was learned from are not judged by it"
    took(world, slow, {seconds: 9 * n for seconds, n in quick.items()})
    (decision,) = controller.run_once()
    assert (decision.verb, decision.sentence.split(":")[0]) == (Verb.ROLL_BACK, "latency")


def test_that_time_cannot_be_counted_hides_no_harm(world: World, controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_canary(world, controller, pin_file(chat=NEXT))
    world.sealed("tool_retry", (40, 100), (10, 900))

    def broken(*args: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(type(world.store.state), "look_after", broken)
    with pytest.raises(OSError, match="disk"):
        Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert world.rollout().phase is Phase.ROLLED_BACK


def test_segments_are_read_for_people_and_not_by_decisions(world: World, controller: Controller) -> None:
    rollout = in_the_canary(world, controller, pin_file(chat=NEXT))
    assert segments_of(world.store, rollout) == {"error": {}, "tool_retry": {}}
    assert [g.metric for g in load_evidence(world.store, rollout).guards] == ["error", "tool_retry"]
