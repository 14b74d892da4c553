"""The clock of one host jumps by a day in the middle of two canaries, forwards or back: both end as they end without that.

Two hosts have a gateway each, a third one the controller; what they share is PostgreSQL. One candidate is as good as stable and is
promoted; the other one begins to fail after the jump, and is rolled back for it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from detent.controller import apply
from detent.manifest import read
from detent.terms import Arm, Phase, Rollout, Verb, Version
from detent.transitions import flag_for, into_canary
from jumping import DAY_S, HostClock
from mock_upstream import Mock, Script, Seen, answer, running
from outside import HONEST, STABLE, post
from processes import Installation, Process, controller, now, standing, until

if TYPE_CHECKING:
    from stores import Postgres

pytest_plugins = ("stores",)

GOOD, BAD = HONEST, "atlas-2026-05-14"

ROUTE = """
[routes.{name}]
provider = "atlas"
version  = "{stable}"
owner    = "a@example.com"
plan     = "{name}"
"""

PLAN = """
[plans.{name}]
unsafe_short_windows = true
approve = []
alpha   = 0.01
canary  = {{ steps = [{{ share = 0.3, at_least = "{first}", units = 5 }}, {{ share = 0.5, at_least = "1s", units = 80 }}], at_most = "9m" }}
soak    = {{ at_least = "1s", holdback = 0.3 }}

[[plans.{name}.guards]]
metric     = "error"
margin_abs = 0.4
matures    = "1s"
role       = "prove"
"""


def pin_file(provider: str) -> str:
    routes = "".join(ROUTE.format(name=name, stable=STABLE) for name in ("good", "bad"))
    # The bad one has no way to its end but harm: it must not be proved before it begins to fail.
    plans = PLAN.format(name="good", first="2s") + PLAN.format(name="bad", first="8m")
    listeners = '[server]\ndata = "127.0.0.1:0"\ncontrol = "127.0.0.1:0"\n'
    return f'[providers.atlas]\ndialect = "openai"\nbase_url = "{provider}/v1"\nwatcher = "a@example.com"\n{routes}{plans}{listeners}'


class Provider:
    """Answers at once; with `failing` the bad candidate's requests are answered with an error."""

    def __init__(self) -> None:
        self.failing = False

    def __call__(self, seen: Seen) -> Script:
        if seen.method == "GET":
            return answer(b"{}", 404)
        model = seen.json["model"]
        if self.failing and model == BAD:
            return answer(b'{"error": {"message": "out of order"}}', 500)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Here."}}
        return answer(json.dumps({"id": "c", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}).encode())


class World:
    """A controller, two gateways, and the clocks of the hosts."""

    def __init__(self, stack: ExitStack, directory: Path, mock: Mock, url: str, jumps: str) -> None:
        self.clock = HostClock(directory / "clock")
        self.provider = Provider()
        mock.answer = self.provider
        self.places: dict[str, Installation] = {}
        self.processes: dict[str, Process] = {}
        text = pin_file(mock.url)
        for host in ("desk", "one", "two"):
            (directory / host).mkdir()
            self.places[host] = stack.enter_context(standing(directory / host, mock.url, store_url=url))
            self.places[host].file.write_text(text)
        self.store = self.places["desk"].store
        apply(self.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
        for host, place in self.places.items():
            words = [controller()] if host == "desk" else ["gateway", "--name", host]
            self.processes[host] = place.start(*words, env=self.clock.env if host == jumps else None)
        self._numbers, self._random = count(), Random(6)
        self.gateways = [self.processes["one"], self.processes["two"]]
        self.places["desk"].acknowledged(*self.gateways)

    def open(self, route: str, candidate: str) -> None:
        flag = self.store.state.flags()[route]
        plan = read(self.places["desk"].file.read_text()).plans[route]
        opened = Rollout(
            id=route,
            route=route,
            owner="a@example.com",
            stable=flag.stable,
            candidate=Version("atlas", candidate),
            plan=plan,
            salt=f"salt of {route}",
            opened_at=now(),
            entered_at=now(),
            watched_s=0.0,
        )
        rollout = into_canary(opened, now())
        self.store.state.open_rollout(rollout, flag_for(rollout, replace(flag)), by="test", at=now())

    def asked(self, route: str, users: int) -> None:
        """So many new users ask; some of them both gateways."""
        for number in (next(self._numbers) for _ in range(users)):
            twice = self._random.random() < 0.2
            for gateway in self._random.sample(self.gateways, 2 if twice else 1):
                assert post(gateway.url, f"{route}-{number}", model=route).status == 200

    def both_arms_sealed(self, route: str, units: int) -> bool:
        sealed = Counter[Arm]()
        for row in self.store.state.label_counts(route):
            sealed[row.arm] += row.n
        return min(sealed[Arm.STABLE], sealed[Arm.CANDIDATE]) >= units

    def ends(self, route: str) -> list[str]:
        """Lets users ask until the rollout is over; gives why it moved, each time."""

        def over() -> bool:
            self.asked(route, 6)
            return self.store.state.rollout(route).phase.terminal

        until(over, f"the end of {route}: {self.store.state.rollout(route)}")
        return [one.reason for one, _ in self.store.state.decisions(route) if one.verb is not Verb.HOLD]


@pytest.fixture
def mock() -> Iterator[Mock]:
    with running() as mock:
        yield mock


@pytest.mark.fault(
    "a host's clock jumps by a day",
    "no verdict changes: a good candidate is promoted, one that fails after the jump is rolled back, as without it",
)
@pytest.mark.parametrize(
    ("host", "seconds"),
    [("nobody", 0.0), ("one", DAY_S), ("one", -DAY_S), ("desk", DAY_S), ("desk", -DAY_S)],
    ids=["no jump", "a gateway's host ahead", "a gateway's host back", "the controller's host ahead", "the controller's host back"],
)
@pytest.mark.parametrize("new_store_url", ["postgresql"], indirect=True)
def test_a_clock_that_jumps_changes_no_verdict(
    postgres: Postgres, store_url: str, tmp_path: Path, mock: Mock, host: str, seconds: float, seen: Callable[[str], None]
) -> None:
    with ExitStack() as stack:
        world = World(stack, tmp_path, mock, store_url, jumps=host)
        for route, candidate in (("good", GOOD), ("bad", BAD)):
            world.open(route, candidate)
        world.places["desk"].acknowledged(*world.gateways)

        def met() -> bool:
            for route in ("good", "bad"):
                world.asked(route, 5)
            return all(world.both_arms_sealed(route, 3) for route in ("good", "bad"))

        until(met, "units of both arms sealed")
        world.asked("good", 5)  # who is met and not sealed when it jumps
        world.clock.jump(seconds)
        world.asked("good", 5)
        world.provider.failing = True
        ends = {route: world.ends(route) for route in ("bad", "good")}
        assert ends["bad"] == ["GuardHarmed"]
        assert ends["good"] == ["StepServed", "Proved", "SoakServed"]
        assert world.store.state.rollout("good").phase is Phase.DONE
        units = sum(row.n for row in world.store.state.label_counts("good"))
        seen(f"{seconds / DAY_S:+.0f} day: promoted after {units} units, and rolled back" if seconds else "no jump: the same")
        assert "Traceback" not in "".join(process.talk for process in world.processes.values())
