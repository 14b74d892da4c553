"""The server is killed with signal 9 in every phase, begins again on its directory, and nothing is lost, doubled or forgotten.

One rollout goes its whole way, from the pin file to its end, with real processes over real HTTP; the tests look at what it left behind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from detent import wire
from detent.baseline import freeze
from detent.baseline.pacing import CEILING
from detent.controller import act, apply
from detent.ingest import Ingester
from detent.manifest import read
from detent.prober import PROMPT
from detent.store import Store
from detent.store.spool import spool_dirs
from detent.terms import Arm, Case, Flag, Outcome, Phase, Role, Rollout, Run, Verb, Version
from mock_upstream import GO, Mock, answer, running
from outside import HONEST, STABLE, WHOLE, Callers, Door, asked, post
from processes import CANARY, LATER, Installation, Process, Spooled, in_canary, now, standing, until

ROLLOUT = "ro_journey"


# ── the journey ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Kill:
    """What stood in the store when the server was dead, and what when it was back."""

    phase: str
    before: tuple[Rollout | None, Flag, int]
    after: tuple[Rollout | None, Flag, int]


@dataclass
class Journey:
    """A rollout on its way, and what was seen of it."""

    place: Installation
    door: Door
    server: Process
    callers: Callers = field(default_factory=Callers)
    spooled: Spooled = field(default_factory=Spooled)
    kills: list[Kill] = field(default_factory=list)
    exit_code: int | None = None
    baseline_at: int = 0
    paid_before: int = 0
    stored_before: list[Run] = field(default_factory=list)
    paid_after: list[tuple[str, str]] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.place.store

    @property
    def rollout(self) -> Rollout:
        return self.store.state.rollout(ROLLOUT)

    def standing(self) -> tuple[Rollout | None, Flag, int]:
        known = {rollout.id: rollout for rollout in self.store.state.rollouts()}
        return known.get(ROLLOUT), self.store.state.flags()["chat"], self.store.state.revision()

    def kill(self, phase: str) -> None:
        """Signal 9, and a new start on the same directory."""
        self.server.kill()
        until(lambda: not self.place.mirroring(), "the end of the process that mirrors")
        self.spooled.read(self.place.spools)
        dead = set(spool_dirs(self.place.spools))
        before = self.standing()
        self.server = self.place.serve()
        self.place.acknowledged(self.server)
        until(lambda: not dead & set(spool_dirs(self.place.spools)), "the dead spool read and removed")
        self.kills.append(Kill(phase, before, self.standing()))

    def kill_amid_traffic(self, phase: str, sessions: int) -> None:
        """The same, with calls under way, after half of the sessions were answered."""
        wanted = len(self.callers.answered) + sessions // 2
        self.callers.send([self.server.url], sessions)
        until(lambda: len(self.callers.answered) >= wanted, "half of the answers")
        self.server.kill()
        self.callers.join()
        self.kill(phase)

    def reaches(self, reached: Callable[[Rollout], bool], what: str) -> None:
        """Let users come until the rollout is there."""

        def there() -> bool:
            if reached(self.rollout):
                return True
            assert not self.rollout.phase.terminal, self.rollout.reason
            self.callers.all([self.server.url], 8)
            return reached(self.rollout)

        until(there, what)


def before_any_rollout(journey: Journey) -> None:
    journey.kill_amid_traffic("no rollout", 60)
    journey.callers.all([journey.server.url], 60)
    until(lambda: not journey.store.journal.count(pending=True), "all records")
    manifest = read(journey.place.text())
    frozen = freeze(journey.store, manifest.routes["chat"], now(), limit=manifest.plans["quick"].baseline.cases)
    assert len(frozen.cases) == 40
    text = journey.place.text(HONEST)
    journey.place.file.write_text(text)
    # 40 prompts, 2 runs of each version: 160 calls. The door shuts after 100 of them.
    journey.baseline_at = len(journey.door.asked)
    journey.door.shut_after(100)
    apply(journey.store, text, file="detent.toml", by="test", now=now(), new_id=lambda: ROLLOUT, new_salt=lambda: "the rollout's salt")


def in_the_baseline(journey: Journey) -> None:
    until(lambda: len(journey.store.state.runs(ROLLOUT)) == 100, "all that was answered stored")
    until(lambda: len(journey.door.asked) > journey.baseline_at + 100, "calls waiting at the door")
    journey.server.kill()
    journey.stored_before = journey.store.state.runs(ROLLOUT)
    killed_at = len(journey.door.asked)
    journey.paid_before = killed_at - journey.baseline_at
    journey.kill("baseline")
    journey.door.open()
    until(lambda: journey.rollout.phase is not Phase.BASELINE, "the end of the baseline")
    journey.paid_after = journey.door.asked[killed_at:]


def in_the_shadow(journey: Journey) -> None:
    assert journey.rollout.phase is Phase.SHADOW, journey.rollout.reason
    journey.place.acknowledged(journey.server)
    journey.kill_amid_traffic("shadow", 30)
    journey.reaches(lambda rollout: rollout.phase is Phase.CANARY, "the canary")


def in_the_canary(journey: Journey) -> None:
    journey.place.acknowledged(journey.server)
    journey.callers.all([journey.server.url], 60)
    journey.reaches(lambda rollout: rollout.step == 1 and bool(rollout.looks), "the second step, and a look at what was sealed by then")
    journey.place.acknowledged(journey.server)
    journey.kill_amid_traffic("canary", 30)
    journey.reaches(lambda rollout: rollout.phase is Phase.SOAK, "promotion")


def in_the_soak(journey: Journey) -> None:
    act(journey.store, ROLLOUT, "hold", by="test", why="to be killed meanwhile", now=now())
    journey.place.acknowledged(journey.server)
    journey.kill_amid_traffic("soak", 20)
    act(journey.store, ROLLOUT, "resume", by="test", why="", now=now())
    until(lambda: journey.rollout.phase.terminal, "the end")


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with Door().on_a_socket() as door, standing(tmp_path_factory.mktemp("journey"), door.url) as place:
        journey = Journey(place, door, place.serve())
        for stage in (before_any_rollout, in_the_baseline, in_the_shadow, in_the_canary, in_the_soak):
            try:
                stage(journey)
            except AssertionError as error:
                pytest.fail(f"{stage.__name__}: {error}\n{journey.server.talk}")
        until(lambda: not journey.store.journal.count(pending=True), "all records")
        journey.spooled.read(place.spools)
        journey.exit_code = journey.server.stop()
        # Seals what a server would have sealed when it was due.
        Ingester(place.store, place.spools, lambda: now() + LATER).run_once()
        yield journey


@pytest.mark.parametrize("number", range(5), ids=["no rollout", "baseline", "shadow", "canary", "soak"])
def test_after_a_kill_the_rollout_stands_where_it_stood(journey: Journey, number: int) -> None:
    kill = journey.kills[number]
    (rollout, flag, revision), (again, flag_again, revision_again) = kill.before, kill.after
    assert (flag_again, revision_again) == (flag, revision)
    if rollout is None or again is None:
        assert rollout is again
        assert kill.phase == "no rollout"
        return
    assert rollout.phase.value == kill.phase
    for name in ("id", "phase", "step", "split", "period", "salt", "looks", "entered_at", "canary_at", "working", "plan"):
        assert getattr(again, name) == getattr(rollout, name), name
    if kill.phase == "canary":
        assert (rollout.step, rollout.split) == (1, 0.6)
        assert rollout.looks
    if kill.phase == "soak":
        assert again.held is not None
        assert again.held.by == "test"


@pytest.mark.fault(
    "the controller is gone: `detent serve` is killed in every phase of a rollout",
    "it begins again where it stood, and the rollout reaches its end with each step taken once",
)
def test_it_reaches_its_end_and_takes_no_step_twice(journey: Journey, seen: Callable[[str], None]) -> None:
    assert journey.rollout.phase is Phase.DONE, journey.rollout.reason
    assert journey.store.state.flags()["chat"].stable == Version("atlas", HONEST)
    decisions = [decision for decision, _ in journey.store.state.decisions(ROLLOUT)]
    moves = [(decision.verb, decision.reason) for decision in decisions if decision.verb is not Verb.HOLD]
    assert moves == [
        (Verb.ADVANCE, "Opened"),
        (Verb.ADVANCE, "BaselinePassed"),
        (Verb.ADVANCE, "ShadowPassed"),
        (Verb.ADVANCE, "StepServed"),
        (Verb.PROMOTE, "Proved"),
        (Verb.FINISH, "SoakServed"),
    ]
    periods = [(exposure.period, exposure.split) for exposure in journey.store.state.exposure(ROLLOUT)]
    assert periods == [(1, 0.3), (2, 0.6), (3, 0.9)]
    seen(f"{len(journey.kills)} kills, {len(moves)} steps, each once; {len(journey.callers.answered)} requests answered")


def test_no_baseline_call_that_was_stored_is_paid_twice(journey: Journey) -> None:
    baseline = journey.store.state.baseline("chat")
    assert baseline is not None
    cases = {case.id: case for case in baseline.cases}
    all_runs = journey.store.state.runs(ROLLOUT)
    assert (len(journey.stored_before), len(all_runs)) == (100, 160)
    stored = Counter(request_of(run, cases) for run in journey.stored_before)
    assert Counter(journey.paid_after) == Counter(request_of(run, cases) for run in all_runs) - stored
    # A kill costs what is in flight, to each version its lane at most.
    assert 100 < journey.paid_before <= 100 + 2 * CEILING


def request_of(run: Run, cases: dict[str, Case]) -> tuple[str, str]:
    """The call behind a run, as the provider counts it."""
    case = cases[run.case]
    version = STABLE if run.arm is Arm.STABLE else HONEST
    return asked(wire.rewrite(case.endpoint, case.request, model=version, ask_usage=False))


def test_every_spooled_record_is_in_the_journal_once(journey: Journey) -> None:
    intents, results = journey.spooled.intents, journey.spooled.results
    assert journey.store.journal.count() == len(intents)
    recorded = {leg.intent.leg: leg for leg in journey.store.journal.latest("chat", 100_000)}
    assert {leg: known.intent for leg, known in recorded.items()} == intents
    for leg, known in recorded.items():
        assert known.result is not None
        assert known.result.outcome is (results[leg].outcome if leg in results else Outcome.LOST)


def test_whoever_was_answered_is_on_record(journey: Journey) -> None:
    assert {one.status for one in journey.callers.answered} == {200}
    exchanges = [one.exchange for one in journey.callers.answered]
    assert len(set(exchanges)) == len(exchanges) <= journey.store.journal.count()
    unsure = 0
    for exchange in exchanges:
        served = [leg for leg in journey.store.journal.exchange(exchange) if leg.intent.role is not Role.MIRRORED]
        assert len(served) == 1
        assert served[0].result is not None
        unsure += served[0].result.outcome is not Outcome.COMPLETE
    # A result is written in the loop turn of the last byte: each kill can fall between the two once.
    assert unsure <= len(journey.kills)


def test_sums_count_every_leg_once(journey: Journey) -> None:
    sums = [added for _, added in journey.store.state.minute_sums("chat")]
    assert sum(one.legs for one in sums) == len(journey.spooled.intents)
    outcomes = sum((Counter(one.outcomes) for one in sums), Counter[str]())
    known = Counter(result.outcome.value for result in journey.spooled.results.values())
    lost = len(journey.spooled.intents) - len(journey.spooled.results)
    assert outcomes == known + Counter({"lost": lost})


def test_units_bet_once_and_lost_legs_count_for_the_arm_assigned(journey: Journey) -> None:
    # One request a session: each randomised leg is a unit of its own.
    units = {leg: i for leg, i in journey.spooled.intents.items() if i.rollout == ROLLOUT and i.randomised and i.role is not Role.MIRRORED}
    assert len({intent.unit for intent in units.values()}) == len(units) > 100
    assert journey.store.state.users(ROLLOUT) == (sum(intent.arm is Arm.CANDIDATE for intent in units.values()), len(units))
    labels = {(row.period, row.arm, row.bucket): row.n for row in journey.store.state.label_counts(ROLLOUT)}
    assert labels == Counter((intent.period, intent.arm, int(leg not in journey.spooled.results)) for leg, intent in units.items())


def test_it_ends_cleanly_and_leaves_nothing_behind(journey: Journey) -> None:
    assert journey.exit_code == 0
    assert spool_dirs(journey.place.spools) == {}
    assert journey.store.state.gateways() == []
    for process in journey.place.processes:
        assert not re.search("Traceback|ERROR|WARNING|trying again", process.talk)


# ── legs under way ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hanging() -> Iterator[Mock]:
    """A provider that takes its time with every answer."""
    with running() as mock:
        mock.script = [GO, *answer(WHOLE)]
        yield mock


def under_way(mock: Mock, url: str, sessions: int) -> Callers:
    """So many sessions with a request on its way, and nothing answered."""
    seen = asked_by_apps(mock)
    callers = Callers()
    callers.send([url], sessions, at_once=sessions)
    until(lambda: asked_by_apps(mock) == seen + sessions, "all requests at the provider")
    return callers


def asked_by_apps(mock: Mock) -> int:
    """How many requests came but for those of the prober, which come when they are due."""
    return sum(seen.method == "POST" and PROMPT.encode() not in seen.body for seen in list(mock.seen))


@pytest.mark.fault(
    "a gateway is killed",
    "what it had under way is on record as lost, counted for the arm that it was drawn to; the server goes on",
)
def test_a_killed_gateways_legs_are_lost_for_their_arm_while_the_server_goes_on(tmp_path: Path, hanging: Mock) -> None:
    with standing(tmp_path, hanging.url, matures="60s") as place:
        in_canary(place)
        server, gateway = place.serve(), place.gateway("two")
        place.acknowledged(server, gateway)
        callers = under_way(hanging, gateway.url, 12)
        until(lambda: place.store.journal.count(pending=True) == 12, "all intents in the journal")
        spooled = Spooled()
        spooled.read(place.spools)
        gateway.kill()
        callers.join()
        assert callers.answered == []
        until(lambda: place.store.journal.count(outcome=Outcome.LOST) == 12, "all of them lost")
        until(lambda: place.writers() == {"one"}, "the dead spool removed")
        until(lambda: [known.gateway for known in place.store.state.gateways()] == ["one"], "the dead gateway off the list")
        assert server.alive
        Ingester(place.store, place.spools, lambda: now() + LATER).run_once()
        arms = Counter(intent.arm for intent in spooled.intents.values())
        assert len(spooled.intents) == 12
        assert len(arms) == 2
        assert {row.arm: row.n for row in place.store.state.label_counts(CANARY) if row.bucket == 1} == arms
        assert place.store.journal.count() == 12


def test_the_servers_own_legs_under_way_are_lost_when_it_is_killed(tmp_path: Path, hanging: Mock) -> None:
    with standing(tmp_path, hanging.url, matures="60s") as place:
        in_canary(place)
        server = place.serve()
        place.acknowledged(server)
        callers = under_way(hanging, server.url, 6)
        server.kill()
        callers.join()
        server = place.serve()
        until(lambda: place.store.journal.count(outcome=Outcome.LOST) == 6, "all of them lost")
        hanging.go()
        assert post(server.url, "another").status == 200
        until(lambda: place.store.journal.count(outcome=Outcome.COMPLETE) == 1, "the next answer on record")
        assert place.store.journal.count() == 7
        assert [known.pid for known in place.store.state.gateways()] == [server.pid]
