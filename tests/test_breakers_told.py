"""Circuit breakers are told: gateways say with each heartbeat which are not closed, people see it, and owners are paged over stable's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from detent import cli
from detent.circuit import IN_A_ROW, OPEN_S
from detent.controller import Controller, apply
from detent.sim.versions import HONEST, STABLE
from detent.store import Store
from detent.store.schema import gateways
from detent.terms import Alert, Breaker, Condition, Version
from living import Clocks, Living, living
from mock_upstream import Mock, Script, Seen, answer
from processes import Installation, in_canary, now, standing
from serving import until

pytest_plugins = ("stores",)

DOWN = answer(b'{"error": {"message": "down"}}', 503)
FALLBACK = "atlas-2026-01-01"


def fails(*models: str) -> Any:
    """A provider of which these versions are down."""

    def script(seen: Seen) -> Script:
        model = seen.json["model"]
        return DOWN if model in models else answer(b'{"model": "%s", "choices": []}' % model.encode(), 200)

    return script


class Place:
    """A gateway on a store, its provider, its clocks, and a controller."""

    def __init__(self, installation: Installation, gateway: Living, mock: Mock, clocks: Clocks) -> None:
        self.installation, self.gateway, self.mock, self.clocks = installation, gateway, mock, clocks
        self.store = installation.store
        self._passed_s = 0.0
        self._controller = Controller(self.store, now, elapsed=self._elapsed)

    def _elapsed(self) -> float:
        self._passed_s += 10.0
        return self._passed_s

    def trips(self, *models: str) -> None:
        """These versions fail until a breaker is open, and the store has heard of it."""
        self.mock.answer = fails(*models)
        for number in range(2 * IN_A_ROW):
            self.gateway.asks(f"s-{models}-{number}")
        until(self.told)

    def told(self) -> tuple[Breaker, ...]:
        return next((one.condition.breakers for one in self.store.state.gateways() if one.gateway == "two"), ())

    def paged(self, *, open_only: bool = True) -> list[Alert]:
        """What the controller has told of stable versions that fail."""
        self._controller.run_once()
        return [one for one in self.store.state.alerts(open_only=open_only) if one.kind == "StableFails"]

    def says(self, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        capsys.readouterr()
        assert self.installation.store_url is not None
        cli.main([*words, "--file", str(self.installation.file), "--store", self.installation.store_url])
        return capsys.readouterr().out


@pytest.fixture(params=[FALLBACK, ""], ids=["fallback", "no fallback"])
def fallback(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def place(tmp_path: Path, mock: Mock, store_url: str, fallback: str) -> Iterator[Place]:
    """A route outside any rollout; with `fallback`, one that declares it."""
    mock.seen.clear()
    mock.answer = fails()
    clocks = Clocks()
    with standing(tmp_path, mock.url, store_url=store_url) as installation:
        text = installation.file.read_text()
        if fallback:
            text = text.replace('owner    = "a@', f'fallback = "{fallback}"\nowner    = "a@')
        installation.file.write_text(text)
        apply(installation.store, text, file="detent.toml", by="test", now=now(), new_id=str, new_salt=str)
        with living(tmp_path / "two", installation.store, mock.url, clocks=clocks) as gateway:
            gateway.serves_revision()
            yield Place(installation, gateway, mock, clocks)


def test_owners_are_paged_while_stable_fails_and_told_what_answers(place: Place, fallback: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.paged() == []
    place.trips(STABLE)
    (broken,) = place.told()
    assert (broken.route, broken.version, broken.state) == ("chat", Version("atlas", STABLE), "open")
    assert broken.why == f"{IN_A_ROW} hard failures in a row, the last http_503"
    (page,) = place.paged()
    assert (page.about, page.owner, page.pages) == ("chat", "a@example.com", True)
    meanwhile = "no fallback answers in its place, so that callers get its errors"
    if fallback:
        meanwhile = f"`atlas/{fallback}` answers in its place"
    assert page.sentence == f"chat: stable atlas/{STABLE} fails at 1 of 1 gateways (two): {broken.why}; {meanwhile}"
    assert len(place.paged()) == 1, "told once"

    status = place.says(capsys, "status")
    assert f"  chat: the breaker of atlas/{STABLE} is open for 0s: {broken.why}; it is tried again within a minute" in status
    assert status.count("fails at 1 of 1 gateways") == 1
    assert '"breakers": [{"route": "chat"' in place.says(capsys, "status", "--json")
    assert place.gateway.health()["circuits"][0]["state"] == "open"

    place.mock.answer = fails()
    place.clocks.pass_by(OPEN_S)
    until(lambda: [one.state for one in place.told()] == ["half_open"])
    assert "the next request tries it" in place.says(capsys, "status")
    assert place.gateway.asks("the probe") == (200, STABLE)
    until(lambda: place.told() == ())
    assert place.paged() == []
    (over,) = place.paged(open_only=False)
    assert over.ended_at is not None
    assert "breaker" not in place.says(capsys, "status")


@pytest.mark.parametrize("fallback", [FALLBACK], indirect=True)
def test_a_fallback_that_fails_as_well_answers_nobody(place: Place) -> None:
    place.trips(STABLE, FALLBACK)
    until(lambda: len(place.told()) == 2)
    (page,) = place.paged()
    assert page.sentence.endswith("no fallback answers in its place, so that callers get its errors")


@pytest.mark.parametrize("fallback", [""], indirect=True)
def test_a_gateway_that_is_gone_says_nothing_any_more(place: Place) -> None:
    place.trips(STABLE)
    assert len(place.paged()) == 1
    condition = Condition(breakers=place.told())
    place.gateway.feed.stop()
    place.store.state.acknowledge("two", 1, now().replace(year=2025), pid=1, address="a", condition=condition)
    assert place.paged() == []


def test_a_candidate_that_fails_is_told_and_pages_nobody(
    tmp_path: Path, mock: Mock, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stable answers in its place, and the guards judge it."""
    clocks = Clocks()
    mock.answer = fails()
    with standing(tmp_path, mock.url, store_url=store_url) as installation:
        in_canary(installation)
        with living(tmp_path / "two", installation.store, mock.url, clocks=clocks) as gateway:
            gateway.serves_revision()
            place = Place(installation, gateway, mock, clocks)
            place.mock.answer = fails(HONEST)
            for number in range(40):
                gateway.asks(f"s-{number}")
            until(place.told)
            assert [str(one.version) for one in place.told()] == [f"atlas/{HONEST}"]
            assert place.paged() == []
            assert f"gateway two: chat: the breaker of atlas/{HONEST} is open" in place.says(capsys, "explain", "chat")


def test_what_another_detent_wrote_there_says_nothing(store: Store) -> None:
    store.state.acknowledge("old", 1, now(), pid=1, address="a")
    for body in (None, "[1, 2", '{"breakers": 7}'):
        with store.state._db.write() as c:
            c.execute(gateways.update().values(breakers=body))
        assert [one.condition for one in store.state.gateways()] == [Condition()]
        assert [one.condition for one in store.state.acks(1)] == [Condition()]
