"""Signal 9 to the process that mirrors, to a gateway and to the server, with calls under way: live traffic goes on, no pair that is whole
is lost, none counts twice, and the budget holds.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detent.evidence.spending import DAY_US, HEAD_START_US
from detent.store.spool import START, read_spool, spool_dirs
from detent.terms import Arm, Intent, Kept, Outcome, Pair, Result, Role, Rollout, micros
from mirrored import completion
from mock_upstream import GO, Mock, Script, Seen, answer, running
from outside import HONEST, post
from processes import SHADOW, Installation, Process, in_shadow, standing, until

OUTPUT = 4000
WORST = 4096 + 150
"""Tokens of a call: what it takes, and the most that it may take as far as anybody knows before; its body is some 100 bytes."""


@dataclass
class Provider:
    """Every call is counted by its model; one to the candidate waits for `GO` while `holds`."""

    mock: Mock
    holds: bool = False
    calls: Counter[str] = field(default_factory=Counter)

    def __call__(self, seen: Seen) -> Script:
        model = seen.json["model"]
        self.calls[model] += 1
        usage = {"prompt_tokens": 20, "completion_tokens": OUTPUT, "total_tokens": OUTPUT + 20}
        whole = answer(completion("Here.", model, usage=usage))
        return [GO, *whole] if self.holds and model == HONEST else whole

    def goes_on(self) -> None:
        self.holds = False
        self.mock.go()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as mock:
        made = Provider(mock)
        mock.answer = made
        yield made


@pytest.fixture
def place(tmp_path: Path, provider: Provider) -> Iterator[Installation]:
    with standing(tmp_path, provider.mock.url, matures="60s") as place:
        yield place


_NUMBERS = itertools.count()


def ask(process: Process, n: int) -> None:
    """So many users, each answered by stable."""
    for _ in range(n):
        number = next(_NUMBERS)
        assert post(process.url, f"session-{number}", f"What of {number}?").status == 200


def kill_mirroring(place: Installation) -> None:
    for pid in until(place.mirroring, "a process that mirrors"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not place.mirroring(), "its end")


def of_shadow(place: Installation, outcome: Outcome | None = None) -> int:
    """Mirrored legs in the journal that ended, or ended like that."""
    legs = [leg for leg in place.store.journal.latest("chat", 100_000) if leg.intent.role is Role.MIRRORED and leg.result is not None]
    return sum(outcome is None or (leg.result is not None and leg.result.outcome is outcome) for leg in legs)


def mirrored_all(place: Installation, n: int) -> Callable[[], bool]:
    return lambda: len(place.store.state.pairs(SHADOW)) >= n


# ── one at a time ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.fault(
    "the process that mirrors is killed",
    "live traffic goes on, another is started, what it had in hand is counted as lost",
)
def test_live_traffic_does_not_notice_the_end_of_the_process_that_mirrors(place: Installation, provider: Provider) -> None:
    in_shadow(place)
    server = place.serve()
    place.acknowledged(server)
    provider.holds = True
    ask(server, 10)
    until(lambda: provider.calls[HONEST] == 10, "ten copies at the candidate's provider")
    kill_mirroring(place)
    ask(server, 5)
    provider.goes_on()

    def another_is_mirrored() -> bool:
        ask(server, 1)
        return any(pair.note == "" for pair in place.store.state.pairs(SHADOW))

    until(another_is_mirrored, "a pair by the next process")
    until(lambda: of_shadow(place, Outcome.LOST) == 10, "the ten of the killed one, lost")
    counted = place.store.state.not_mirrored(SHADOW)
    assert counted.keys() <= {("lost", ""), ("pressure", "")}, "what came while the next one was not ready waits, as far as there is room"
    assert counted["lost", ""] >= 10, "what it held, and what came before there was another"
    assert "it is started again" in server.talk


def test_a_process_that_mirrors_finishes_its_calls_when_its_gateway_is_killed(place: Installation, provider: Provider) -> None:
    """The gateway is another process than the server, which finds both spools dead and reads them to their ends."""
    in_shadow(place)
    server, gateway = place.serve(), place.gateway("two")
    place.acknowledged(server, gateway)
    provider.holds = True
    ask(gateway, 8)
    until(lambda: provider.calls[HONEST] == 8, "eight copies at the candidate's provider")
    gateway.kill()
    provider.goes_on()
    until(mirrored_all(place, 8), "eight pairs")
    until(lambda: not place.mirroring(), "the end of the process that mirrored")
    until(lambda: not place.store.journal.count(pending=True), "every leg on record")
    until(lambda: place.writers() == {"one"}, "its spools removed")
    assert of_shadow(place) == of_shadow(place, Outcome.COMPLETE) == 8
    assert {pair.note for pair in place.store.state.pairs(SHADOW)} == {""}


def test_it_ends_with_its_server_and_leaves_nothing_behind(place: Installation, provider: Provider) -> None:
    in_shadow(place, tokens_per_day=10**9)
    server = place.serve()
    place.acknowledged(server)
    ask(server, 5)
    until(mirrored_all(place, 5), "five pairs")
    assert server.stop() == 0
    assert place.mirroring() == []
    assert spool_dirs(place.spools) == {}
    (row,) = place.store.state.spent(SHADOW)
    assert (row.tokens, row.held_tokens) == (5 * (OUTPUT + 20), 0)
    assert "Traceback" not in server.talk


# ── all of them, in turn ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Found:
    """All that was ever found in spools, whoever read it meanwhile."""

    intents: dict[str, Intent] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    scored: set[str] = field(default_factory=set)

    def read(self, root: Path) -> None:
        for spool in spool_dirs(root).values():
            for entry in read_spool(spool, START)[0]:
                match entry:
                    case Intent():
                        self.intents[entry.leg] = entry
                    case Result():
                        self.results[entry.leg] = entry
                    case Kept():
                        self.kept.add(entry.leg)
                    case Pair():
                        self.scored.add(entry.exchange)

    def whole(self) -> set[str]:
        """Exchanges whose records are whole: the candidate's result is there, which is written after all else but a second one's."""
        found = {leg for leg in self.results if leg in self.intents and self.intents[leg].role is Role.MIRRORED}
        return {self.intents[leg].exchange for leg in found if self.intents[leg].arm is Arm.CANDIDATE}


def part_of_today() -> float:
    """Which part of a day's budget is there."""
    return min(1.0, (micros(datetime.now(UTC)) % DAY_US + HEAD_START_US) / DAY_US)


@pytest.mark.fault(
    "the process that mirrors is killed: it, its gateway and the server in turn",
    "no whole pair is lost, none counts twice, the budget holds",
)
@pytest.mark.parametrize("bodies", [True, False], ids=["bodies stored", "no bodies"])
def test_whoever_is_killed_no_whole_pair_is_lost_or_counts_twice_and_the_budget_holds(
    place: Installation, provider: Provider, bodies: bool
) -> None:
    if not bodies:
        place.file.write_text(place.text().replace("bodies = 1.0", "bodies = 0.0"))
    limit = round(150 * WORST / part_of_today())
    rollout = in_shadow(place, second=0.5, tokens_per_day=limit)
    found = Found()
    server = place.serve()
    for number in range(6):
        place.acknowledged(server)
        ask_until_mirrored(place, provider, server)
        if number % 3 == 0:
            kill_mirroring(place)
        elif number % 3 == 1:
            server.kill()
            until(lambda: not place.mirroring(), "the end of the process that mirrored")
        else:
            kill_mirroring(place)
            server.kill()
        if not server.alive:
            found.read(place.spools)
            server = place.serve()
        else:
            ask(server, 3)
    place.acknowledged(server)
    ask(server, 1)
    while not used_up(place):
        ask(server, 5)
    until(lambda: not place.store.journal.count(pending=True), "every leg on record")
    server.signal(signal.SIGSTOP)
    found.read(place.spools)
    server.signal(signal.SIGCONT)

    until(lambda: found.whole() <= {pair.exchange for pair in place.store.state.pairs(SHADOW)}, "every whole pair scored")
    pairs = place.store.state.pairs(SHADOW)
    assert len({pair.exchange for pair in pairs}) == len(pairs) >= 10
    until(lambda: folded(place, rollout) == len(pairs), "every pair counted")
    assert server.stop() == 0, server.talk
    assert folded(place, rollout) == len(place.store.state.pairs(SHADOW)), "and counted once"

    taken = sum(row.tokens + row.held_tokens for row in place.store.state.spent(SHADOW))
    mirrored = [leg.intent for leg in place.store.journal.latest("chat", 100_000) if leg.intent.role is Role.MIRRORED]
    assert provider.calls[HONEST] <= sum(intent.arm is Arm.CANDIDATE for intent in mirrored), "no copy that was sent is on no record"
    used = len(mirrored) * (OUTPUT + 20)
    assert used <= taken <= limit * part_of_today()
    assert not [talk for process in place.processes if "Traceback" in (talk := process.talk)]


def ask_until_mirrored(place: Installation, provider: Provider, server: Process) -> None:
    """A process that was killed is started again after some seconds: what comes before that is lost, and counted."""
    there = provider.calls[HONEST]

    def copies() -> bool:
        ask(server, 2)
        return provider.calls[HONEST] > there + 5 or used_up(place)

    until(copies, "copies on their way")


def used_up(place: Installation) -> bool:
    return ("budget", "") in place.store.state.not_mirrored(SHADOW)


def folded(place: Installation, rollout: Rollout) -> int:
    """How many pairs are in the sums that decisions read."""
    evidence = place.store.state.shadow_evidence(rollout)
    return evidence.pairs + evidence.unscored + evidence.not_comparable
