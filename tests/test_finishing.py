"""What a rollback leaves in the store for a while, and its end there: whoever reads the store days later finds nothing that drains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from detent.acknowledging import acknowledged
from detent.controller import Controller, act
from detent.controller.finishing import end_draining
from detent.flags import FlagFeed, static
from detent.manifest import read
from detent.store import Store
from detent.terms import Flag, Phase
from detent.transitions import flag_for
from outside import HONEST
from processes import CANARY, Installation, in_canary, now, standing
from stores import new_store_url, postgres, store_url

__all__ = ["new_store_url", "postgres", "store_url"]

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def place(tmp_path: Path, store_url: str) -> Iterator[Installation]:
    """A rollout whose runs may finish was rolled back just now."""
    with standing(tmp_path, "http://127.0.0.1:1", store_url=store_url) as place:
        drains = place.text().replace("[plans.quick]", '[plans.quick]\nruns = "drain"')
        place.text = lambda proposed=None: drains  # type: ignore[method-assign]
        in_canary(place)
        act(place.store, CANARY, "roll_back", by="ann", why="", now=now())
        yield place


def chat(store: Store) -> Flag:
    return store.state.flags()["chat"]


def test_what_had_its_time_is_written_off_once_with_a_line_in_the_log(place: Installation) -> None:
    written = chat(place.store)
    assert (written.written_at, written.draining is not None) != (None, False)
    begun = written.written_at
    assert begun is not None
    assert end_draining(place.store, begun + HALF_AN_HOUR - timedelta(seconds=1)) == ()
    assert chat(place.store) == written
    assert end_draining(place.store, begun + HALF_AN_HOUR) == ("chat",)
    assert end_draining(place.store, begun + HALF_AN_HOUR) == ()
    assert chat(place.store).draining is None
    assert chat(place.store).revision == written.revision + 1
    newest = place.store.state.audit(1)[0]
    assert (newest.by, newest.what, newest.rollout) == ("detent", "cut runs of chat: they had their time", CANARY)


def test_it_says_whose_the_runs_were_until_the_next_rollout_or_for_half_an_hour(place: Installation, tmp_path: Path) -> None:
    was = chat(place.store).rolled_back
    assert was is not None
    assert (was.rollout, was.candidate.model, was.split, was.lasts_s) == (CANARY, HONEST, 0.5, HALF_AN_HOUR.total_seconds())
    place.store.state.cut_runs("chat", at=now(), by="ann", why="")
    assert chat(place.store).rolled_back == was, "they are moved, and what they are made of is not"
    rollout = replace(place.store.state.rollout(CANARY), id="ro_next", phase=Phase.PROPOSED)
    assert flag_for(rollout, chat(place.store)).rolled_back is None


def test_the_controller_does_so(place: Installation) -> None:
    Controller(place.store, lambda: now() + HALF_AN_HOUR).run_once()
    assert chat(place.store).draining is None


@pytest.mark.parametrize(("later", "drains"), [(timedelta(0), True), (timedelta(days=7), False)])
def test_a_gateway_that_starts_a_week_later_drains_nothing_though_nobody_wrote_that_it_is_over(
    place: Installation, tmp_path: Path, later: timedelta, drains: bool
) -> None:
    def clock() -> datetime:
        return now() + later

    fallback = static(read(Installation.pin_file("http://127.0.0.1:1")))
    late = FlagFeed(lambda: place.store, "late", address="x", cache=tmp_path / "flags.json", clock=clock, fallback=fallback)
    assert (late.current.flags["chat"].draining is not None) is drains


# ── waiting for gateways ────────────────────────────────────────────────────────────────────────────────────────────


def test_gateways_are_waited_for_until_they_serve_what_was_written_and_not_what_came_after_it(place: Installation) -> None:
    store, written = place.store, chat(place.store)
    store.state.acknowledge("two", written.revision, now(), pid=1, address="127.0.0.1:1")
    store.state.put_flags([replace(written, lease_s=7.0)], at=now(), by="bob")
    assert [one.ms is None for one in acknowledged(store, "chat", wait_s=0.0)] == [True]
    assert [one.ms is None for one in acknowledged(store, "chat", wait_s=0.0, revision=written.revision)] == [False]


def test_a_route_that_was_taken_out_of_the_file_meanwhile_is_waited_for_as_ever(place: Installation) -> None:
    place.store.state.acknowledge("two", place.store.state.revision(), now(), pid=1, address="127.0.0.1:1")
    assert [one.ms is None for one in acknowledged(place.store, "a route of yesterday", wait_s=0.0)] == [False]
