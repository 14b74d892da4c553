"""The server's loop over the baselines of open rollouts: one slow provider, or one wrong key, is nobody else's affair."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asked import TOTAL, case, used
from detent.baseline.lanes import Hopeless
from detent.controller import baseline_of
from detent.serve.loops import REST_S, Baselines
from detent.store import Store, open_store
from detent.terms import Baseline, BaselineStage, Dialect, Flag, FlagSet, Manifest, Phase, Plan, Provider, Rollout, Route, Version
from mock_upstream import GO, Mock, answer, running
from processes import until
from records import NEW, OLD, T0, rollout
from test_run_command import completion

PLAN = Plan(name="quick", baseline=BaselineStage(screen=2, confirm=6, stable_repeats=2))


class Server:
    """Routes, each with a provider of its own, and a rollout of each that is opened when the test says so."""

    def __init__(self, home: Path, mocks: dict[str, Mock]) -> None:
        self.mocks, self.now, self.ending = mocks, 0.0, threading.Event()
        (home / ".detent").mkdir()
        self.store: Store = open_store(f"sqlite:///{home / '.detent' / 'state.db'}")
        providers = {
            name: Provider(name=name, dialect=Dialect.OPENAI, base_url=mock.url + "/v1", watcher="w") for name, mock in mocks.items()
        }
        routes = {name: Route(name=name, provider=name, version=OLD.model, owner="a@example.com", plan="quick") for name in mocks}
        flags = FlagSet(revision=1, manifest=Manifest(providers=providers, routes=routes, plans={"quick": PLAN}), identity_key="k")
        self.loop = Baselines(self.store, lambda: flags, home / ".detent", self.ending, lambda: self.now)
        self.rollouts: dict[str, Rollout] = {}
        for mock in mocks.values():
            mock.answer = lambda seen: answer(completion(TOTAL))

    def open(self, route: str, frozen_at: datetime | None = None) -> None:
        cases = tuple(replace(case(name=f"{route}{i}", usage=used(100, 10)), route=route) for i in range(5))
        self.store.state.put_baseline(
            Baseline(route=route, digest=route, frozen_at=frozen_at or datetime.now(UTC), owner="a@example.com", cases=cases)
        )
        stable, candidate = Version(route, OLD.model), Version(route, NEW.model)
        opened = rollout(id=f"ro_{route}", route=route, stable=stable, candidate=candidate, plan=PLAN, phase=Phase.BASELINE)
        self.store.state.open_rollout(opened, Flag(route=route, revision=0, stable=stable), by="test", at=T0)
        self.rollouts[route] = opened

    def pending(self, route: str) -> int:
        return baseline_of(self.store, self.rollouts[route]).pending


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:

        def begin(*names: str) -> Server:
            server = Server(tmp_path, {name: stack.enter_context(running()) for name in names})
            stack.callback(server.store.close)
            return server

        yield begin


def test_a_baseline_on_a_slow_provider_holds_no_other_and_none_that_begins_later(serve: Callable[..., Server]) -> None:
    server = serve("slow", "quick", "later")
    server.mocks["slow"].answer = lambda seen: [GO, *answer(completion(TOTAL))]
    server.open("slow")
    server.open("quick")
    step = threading.Thread(target=server.loop.step)
    step.start()
    until(lambda: server.pending("quick") == 0, "the quick one")
    server.open("later")
    until(lambda: server.pending("later") == 0, "the one that began later")
    assert server.pending("slow") == 20
    server.ending.set()
    step.join(20)
    assert not step.is_alive(), "the end of the server does not wait for it"


def test_what_cannot_be_run_at_all_is_said_and_rests_while_the_others_run(serve: Callable[..., Server]) -> None:
    server = serve("wrong", "right")
    refused = json.dumps({"error": {"message": "Incorrect API key provided"}}).encode()
    server.mocks["wrong"].answer = lambda seen: answer(refused, status=401)
    server.open("wrong")
    server.open("right")
    with pytest.raises(Hopeless, match="Incorrect API key provided"):
        server.loop.step()
    assert server.pending("right") == 0
    made = len(server.mocks["wrong"].seen)
    server.now += REST_S - 1.0
    server.loop.step()
    assert len(server.mocks["wrong"].seen) == made
    server.mocks["wrong"].answer = lambda seen: answer(completion(TOTAL))
    server.now += 2.0
    server.loop.step()
    assert server.pending("wrong") == 0


def test_a_rollout_that_has_begun_goes_on_though_its_baseline_turned_stale(serve: Callable[..., Server]) -> None:
    server = serve("chat")
    server.open("chat", frozen_at=datetime.now(UTC) - timedelta(days=31))
    server.loop.step()
    assert server.pending("chat") == 0


def test_only_one_server_of_a_store_makes_the_calls(serve: Callable[..., Server]) -> None:
    server = serve("chat")
    server.open("chat")
    with server.store.state.alone("baselines") as alone:
        assert alone
        server.loop.step()
        assert server.mocks["chat"].seen == []
    server.loop.step()
    assert server.pending("chat") == 0
