"""`verify`: over a thousand random orders of events it names exactly what does not agree, at every instant, and at the end nothing.

In memory by the very functions that move rollouts, flags and units; the same in short on a real store, by the commands themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from controlling import NEXT, OTHER, PIN, World, pin_file
from detent import manifest as pin_file_of
from detent.agreeing import Answered, Serving, agreement
from detent.assign import assign
from detent.cli import main
from detent.controller import act, apply
from detent.errors import DetentError
from detent.patch import propose, settle
from detent.store import open_store
from detent.terms import Arm, Decision, Flag, Manifest, Phase, Plan, Rollout, Route, Unit, UnitKind, Verb, Version
from detent.transitions import HUMAN_VERBS, after, flag_for
from records import intent, result
from test_cli import Desk

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLAN = Plan(name="walked", approve=())
ROUTES = ("chat", "search")
MODELS = (PIN, NEXT, OTHER)
ROGUE = "atlas-rogue"
LATEST = 50

Found = set[tuple[str, str]]


@dataclass
class Gateway:
    """What it serves, as far as it heard; dead ones are not asked."""

    revision: int
    flags: dict[str, Flag]
    alive: bool = True


@dataclass
class Walk:
    """An installation in memory, and beside it in plain words what was done to it: the oracle reads the latter alone."""

    random: Random
    revision: int = 1
    clock: int = 0
    flags: dict[str, Flag] = field(default_factory=dict)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    gateways: dict[str, Gateway] = field(default_factory=dict)
    answers: dict[str, list[tuple[Answered, str]]] = field(default_factory=dict)
    orders: set[str] = field(default_factory=set)
    version: dict[str, str] = field(default_factory=dict)
    next: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for route in ROUTES:
            self.flags[route] = Flag(route=route, revision=1, stable=Version("openai", PIN))
            self.answers[route], self.version[route], self.next[route] = [], PIN, None
        for n in range(3):
            self.gateways[f"gw-{n}"] = Gateway(1, dict(self.flags))

    # what verify sees

    def file(self) -> Manifest:
        routes = {
            name: Route(name=name, provider="openai", version=self.version[name], next=self.next[name], owner="o@example.com")
            for name in ROUTES
        }
        return Manifest(providers={}, routes=routes, plans={})

    def verified(self) -> Found:
        found = agreement(
            self.file(),
            self.flags,
            self.revision,
            rollouts=self.rollouts.values(),
            gateways=[Serving(name, g.revision) for name, g in self.gateways.items() if g.alive],
            answers={route: [one for one, _ in answers[:LATEST]] for route, answers in self.answers.items()},
            orders=self.orders,
        )
        named = [(problem.kind, problem.about) for problem in found]
        assert max(Counter(named).values(), default=1) == 1, "each once"
        assert all(problem.sentence.startswith((f"{problem.about}: ", f"gateway {problem.about} ")) for problem in found)
        return set(named)

    # what is so

    def expected(self) -> Found:
        found: Found = {("behind", name) for name, g in self.gateways.items() if g.alive and g.revision != self.revision}
        found |= {("local_order", route) for route in self.orders}
        for route in ROUTES:
            found |= self.of_the_file(route)
            since = self.flags[route].revision
            found |= {(what, route) for one, what in self.answers[route][:LATEST] if what and one.revision >= since}
        return found

    def of_the_file(self, route: str) -> Found:
        stable, version, proposed, latest = self.flags[route].stable.model, self.version[route], self.next[route], self.latest(route)
        if latest is not None and not latest.phase.terminal:
            if latest.phase is Phase.SOAK and version == latest.candidate.model:
                return set()
            return ({("pin", route)} if version != stable else set()) | (
                {("unproposed", route)} if proposed != latest.candidate.model else set()
            )
        if version != stable:
            return {("pin", route)}
        if proposed is None:
            return set()
        return {("unsettled" if latest is not None and proposed == latest.candidate.model else "not_applied", route)}

    # events

    def latest(self, route: str) -> Rollout | None:
        of_route = [r for r in self.rollouts.values() if r.route == route]
        return of_route[-1] if of_route else None

    def open(self) -> list[Rollout]:
        return [r for r in self.rollouts.values() if not r.phase.terminal]

    def now(self) -> datetime:
        self.clock += 1
        return T0 + timedelta(minutes=self.clock)

    def commit(self, rollout: Rollout) -> None:
        before = self.flags[rollout.route]
        wanted = flag_for(rollout, before)
        self.rollouts[rollout.id] = rollout
        if replace(wanted, revision=before.revision, written_at=before.written_at) != before:
            self.revision += 1
            self.flags[rollout.route] = replace(wanted, revision=self.revision)

    def somebody_proposes(self) -> None:
        route = self.random.choice(ROUTES)
        self.next[route] = self.random.choice([model for model in MODELS if model != self.version[route]])

    def somebody_takes_it_out(self) -> None:
        self.next[self.random.choice(ROUTES)] = None

    def somebody_edits_the_pin(self) -> None:
        self.version[self.random.choice(ROUTES)] = self.random.choice(MODELS)

    def apply(self) -> None:
        for route in ROUTES:
            stable, proposed = self.flags[route].stable, self.next[route]
            if proposed in (None, stable.model) or self.version[route] != stable.model or any(r.route == route for r in self.open()):
                continue
            assert proposed is not None
            at, id = self.now(), f"ro_{len(self.rollouts)}"
            rollout = Rollout(
                id=id,
                route=route,
                owner="o@example.com",
                stable=stable,
                candidate=Version("openai", proposed),
                plan=PLAN,
                salt=id,
                opened_at=at,
                entered_at=at,
            )
            self.commit(rollout)

    def controller_decides(self) -> None:
        """Onwards, or an end that is not a promotion."""
        if not self.open():
            return
        rollout = self.random.choice(self.open())
        ends = {
            Phase.BASELINE: (Verb.REJECT,),
            Phase.SHADOW: (Verb.REJECT, Verb.NOT_PROVED),
            Phase.CANARY: (Verb.ROLL_BACK, Verb.NOT_PROVED, Verb.VOID),
            Phase.SOAK: (Verb.ROLL_BACK,),
        }
        last_step = rollout.step == len(rollout.plan.canary.steps) - 1
        onwards = {Phase.CANARY: Verb.PROMOTE if last_step else Verb.ADVANCE, Phase.SOAK: Verb.FINISH}.get(rollout.phase, Verb.ADVANCE)
        verb = self.random.choice(ends.get(rollout.phase, (onwards,))) if self.random.random() < 0.15 else onwards
        at = self.now()
        said = Decision(rollout=rollout.id, verb=verb, reason="Because", sentence="", at=at, evidence_digest="")
        self.commit(after(rollout, said, at))

    def somebody_rolls_back(self) -> None:
        if self.open():
            self.commit(HUMAN_VERBS["roll_back"](self.random.choice(self.open()), "ada", "", self.now()))

    def a_gateway_hears(self) -> None:
        """Late, or at once."""
        gateway = self.random.choice(list(self.gateways.values()))
        gateway.revision, gateway.flags = self.revision, dict(self.flags)

    def a_gateway_dies(self) -> None:
        self.random.choice(list(self.gateways.values())).alive = False

    def a_gateway_starts(self) -> None:
        """With what its disk knows: it has not heard of anything since."""
        self.random.choice(list(self.gateways.values())).alive = True

    def users_come(self) -> None:
        """To all gateways that live, each of which assigns them by the flag that it knows."""
        for gateway in [g for g in self.gateways.values() if g.alive]:
            for route in ROUTES:
                for _ in range(self.random.randint(0, 3)):
                    self.answer(route, gateway)

    def answer(self, route: str, gateway: Gateway, *, model: str = "", by: str = "", what: str = "") -> None:
        flag = gateway.flags[route]
        unit = assign(Unit(UnitKind.SESSION, f"u{self.random.random()}"), flag)
        version = flag.candidate if unit.arm is Arm.CANDIDATE and flag.candidate else flag.stable
        sent = model or version.model
        self.answers[route].insert(0, (Answered(revision=gateway.revision, model=sent, by=by or sent), what))

    def a_gateway_goes_mad(self) -> None:
        """It sends for a version that no flag ever named."""
        self.answer(self.random.choice(ROUTES), self.random.choice(list(self.gateways.values())), model=ROGUE, what="wrong_version")

    def the_provider_moves(self) -> None:
        """Another model answers than the one that was sent for."""
        self.answer(self.random.choice(ROUTES), self.random.choice(list(self.gateways.values())), by=ROGUE, what="wrong_model")

    def somebody_rolls_back_by_file(self) -> None:
        self.orders.add(self.random.choice(ROUTES))

    def the_store_carries_it_out(self) -> None:
        self.orders.clear()
        self.somebody_rolls_back()

    def the_patch_is_merged(self, route: str = "") -> None:
        route = route or self.random.choice(ROUTES)
        latest = self.latest(route)
        if latest is None:
            return
        if latest.phase in (Phase.SOAK, Phase.DONE) and self.version[route] == latest.stable.model:
            self.version[route] = latest.candidate.model
            self.next[route] = None
        elif latest.phase.terminal and latest.phase is not Phase.DONE:
            self.next[route] = None if self.next[route] == latest.candidate.model else self.next[route]
            if self.version[route] == latest.candidate.model:
                self.version[route] = latest.stable.model

    def settle(self) -> None:
        """What is under way ends, what is wrong in the file is mended, everybody hears of it, and users come."""
        while self.open():
            self.controller_decides()
        self.orders.clear()
        for route in ROUTES:
            self.the_patch_is_merged(route)
            self.version[route], self.next[route] = self.flags[route].stable.model, None
        for gateway in self.gateways.values():
            gateway.alive, gateway.revision, gateway.flags = True, self.revision, dict(self.flags)
        for _ in range(LATEST):
            for route in ROUTES:
                self.answer(route, self.gateways["gw-0"])


EVENTS: tuple[tuple[int, Callable[[Walk], None]], ...] = (
    (2, Walk.somebody_proposes),
    (1, Walk.somebody_takes_it_out),
    (1, Walk.somebody_edits_the_pin),
    (4, Walk.apply),
    (10, Walk.controller_decides),
    (2, Walk.somebody_rolls_back),
    (8, Walk.a_gateway_hears),
    (1, Walk.a_gateway_dies),
    (1, Walk.a_gateway_starts),
    (5, Walk.users_come),
    (1, Walk.a_gateway_goes_mad),
    (1, Walk.the_provider_moves),
    (1, Walk.somebody_rolls_back_by_file),
    (1, Walk.the_store_carries_it_out),
    (3, Walk.the_patch_is_merged),
)


def test_over_a_thousand_random_orders_exactly_what_disagrees_is_named_and_nothing_once_all_has_settled() -> None:
    seen, phases = Counter[str](), Counter[Phase]()
    weights, events = zip(*EVENTS, strict=True)
    for seed in range(1000):
        walk = Walk(Random(seed))
        for event in walk.random.choices(events, weights, k=30):
            event(walk)
            expected = walk.expected()
            assert walk.verified() == expected, f"seed {seed}, after {event.__name__}"
            seen.update(kind for kind, _ in expected)
            phases.update(r.phase for r in walk.rollouts.values())
            if not expected:
                seen["nothing"] += 1
        walk.settle()
        assert walk.verified() == set(), f"seed {seed}, settled"
    kinds = {"pin", "unsettled", "unproposed", "not_applied", "behind", "local_order", "wrong_version", "wrong_model", "nothing"}
    assert seen.keys() == kinds, "every kind has come up"
    assert min(seen.values()) > 100
    assert {Phase.CANARY, Phase.SOAK, Phase.DONE, Phase.ROLLED_BACK, Phase.REJECTED, Phase.NOT_PROVED} <= phases.keys()


def test_a_route_that_only_one_of_file_and_store_knows_is_named() -> None:
    walk = Walk(Random(1))
    del walk.flags["search"]
    walk.flags["old"] = Flag(route="old", revision=1, stable=Version("openai", PIN))
    assert walk.verified() == {("not_applied", "search"), ("not_in_file", "old")}


# ── the same by the commands, on a real store ──


@dataclass
class Story:
    """A team's directory: its pin file, its store, one gateway that hears when it is told to."""

    desk: Desk
    world: World
    random: Random

    def text(self) -> str:
        return (self.desk.path / "detent.toml").read_text()

    def hears(self) -> None:
        revision = self.world.store.state.revision()
        self.world.store.state.acknowledge("gw-1", revision, datetime.now(UTC), pid=1, address="a")

    def proposes(self) -> None:
        with_next = propose(self.text(), "chat", self.random.choice([NEXT, OTHER]))
        try:
            pin_file_of.read(with_next)
        except DetentError:
            return  # the pin itself
        self.desk.writes(with_next)

    def applies(self) -> None:
        try:
            ids = iter(f"ro_{self.random.getrandbits(40):x}" for _ in range(9))
            how: dict[str, Any] = {"new_id": lambda: next(ids), "new_salt": lambda: "salt", "retry_why": "again"}
            apply(self.world.store, self.text(), file="detent.toml", by="ada", now=datetime.now(UTC), **how)
        except DetentError:
            return  # refused: the file is not what it may be, which verify has to say

    def moves_on(self) -> None:
        for rollout in self.world.store.state.rollouts(open_only=True):
            order = [Phase.PROPOSED, Phase.BASELINE, Phase.SHADOW, Phase.CANARY, Phase.SOAK, Phase.DONE]
            phase = self.random.choice(order[order.index(rollout.phase) + 1 :])
            split, ended = {Phase.CANARY: 0.1, Phase.SOAK: 0.95}.get(phase, 0.0), datetime.now(UTC) if phase is Phase.DONE else None
            moved = replace(rollout, phase=phase, split=split, period=rollout.period + 1, ended_at=ended)
            flag = flag_for(moved, self.world.store.state.flags()["chat"])
            how: dict[str, Any] = {"decision": None, "evidence": None, "by": "x", "what": "on", "at": datetime.now(UTC)}
            self.world.store.state.commit(rollout, moved, flag=flag, **how)

    def rolls_back(self) -> None:
        for rollout in self.world.store.state.rollouts(open_only=True):
            act(self.world.store, rollout.id, "roll_back", by="ada", why="", now=datetime.now(UTC))

    def merges(self) -> None:
        text = self.text()
        for rollout in self.world.store.state.rollouts()[-1:]:
            text = settle(text, rollout)
        self.desk.writes(text)

    def answers(self) -> None:
        """By the flag that the gateway says it serves, where that is the one in force."""
        flag, (gateway,) = self.world.store.state.flags()["chat"], self.world.store.state.gateways()
        if gateway.revision >= flag.revision:
            name = f"{self.random.random()}"
            sent = intent(name, route="chat", model=flag.stable.model, revision=gateway.revision)
            self.world.store.journal.put([sent], [result(name, answered_model=flag.stable.model)])

    def verdict(self) -> Found:
        (gateway,) = self.world.store.state.gateways()
        self.world.store.state.acknowledge("gw-1", gateway.revision, datetime.now(UTC), pid=1, address="a")  # it lives
        said = self.desk.runs("verify", "--json")
        assert (said.code == 0) == said.json["agree"] == (not said.json["problems"])
        return {(one["kind"], one["about"]) for one in said.json["kinds"]}


@pytest.fixture
def story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Story]:
    desk = Desk(tmp_path, capsys)
    desk.writes(pin_file(chat=None))
    assert main(["apply", "--file", str(tmp_path / "detent.toml")]) == 0
    capsys.readouterr()
    store = open_store(f"sqlite:///{tmp_path / '.detent' / 'state.db'}")
    yield Story(desk, World(store), Random(6))
    store.close()


def test_in_whatever_order_people_type_the_commands_it_is_behind_or_the_file_that_is_named_and_the_patch_mends_it(story: Story) -> None:
    story.hears()
    does = [story.proposes, story.applies, story.moves_on, story.moves_on, story.rolls_back, story.merges, story.hears]
    seen = Counter[str]()
    for _ in range(30):
        story.random.choice(does)()
        story.answers()
        found = story.verdict()
        seen.update(kind for kind, _ in found)
        behind = story.world.store.state.gateways()[0].revision != story.world.store.state.revision()
        assert (("behind", "gw-1") in found) == behind
        assert {about for kind, about in found if kind != "behind"} <= {"chat"}
        patch = story.desk.runs("patch")
        rollouts = story.world.store.state.rollouts()
        if rollouts and rollouts[-1].phase.terminal and patch.out:
            assert found & {("pin", "chat"), ("unsettled", "chat")}, "where a patch is needed, verify says why"
    assert {"behind", "not_applied", "unsettled"} <= seen.keys()
    story.rolls_back()
    story.merges()
    if pin_file_of.read(story.text()).routes["chat"].candidate is not None:
        story.applies()
    story.hears()
    assert story.verdict() == set()
