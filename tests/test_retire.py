"""Former versions: kept as a rollout is done, let go on purpose, and only while another way back is proven."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controlling import OTHER, PIN, World, pin_file
from detent.cli import main
from detent.controller import Controller, retire, warmth, way_backs
from detent.errors import InvalidInput, Refused
from detent.store import Store, open_store
from detent.terms import Flag, Phase, Probe, Version, WayBack
from records import NEW, OLD, T0, rollout

pytest_plugins = ("stores",)

S = timedelta(seconds=1)
BACK = Version("openai", "atlas-2026-01-01")


def done(world: World, stable: Version = OLD, candidate: Version = NEW, n: int = 1) -> None:
    """A rollout of `chat` that has finished: `stable` is its former version."""
    opened = world.store.state.open_rollout(
        rollout(id=f"ro_{n}", route="chat", stable=stable, candidate=candidate, opened_at=world.now, phase=Phase.SOAK, canary_at=world.now),
        by="ann",
        at=world.now,
    )
    world.now += timedelta(days=15)
    ended = replace(opened, phase=Phase.DONE, reason="SoakServed: fine", ended_at=world.now)
    world.store.state.commit(opened, ended, flag=None, decision=None, evidence=None, by="detent", what="finish", at=world.now)


def probed(world: World, version: Version, *found: bool) -> None:
    """Probes of a version, the newest now."""
    rows = [Probe(route="chat", version=version, at=world.now - n * 60 * S, ok=ok, detail="HTTP 500") for n, ok in enumerate(found)]
    world.store.state.add_probes(rows)


@pytest.fixture
def world(store: Store) -> World:
    made = World(store)
    made.apply(pin_file(chat=None))
    return made


def kept(world: World) -> list[str]:
    return [one.version.model for one in world.store.state.former_versions("chat")]


# ── kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_version_that_a_rollout_moved_away_from_is_kept_whoever_finished_it(world: World) -> None:
    """By a person's verb without a server, or under a controller that was killed: the next one that begins finds it."""
    done(world)
    assert kept(world) == []
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    (one,) = world.store.state.former_versions("chat")
    assert (one.version, one.since, one.rollout) == (OLD, world.now, "ro_1")
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    assert kept(world) == [OLD.model], "once"


def test_it_is_the_way_back_of_a_route_that_names_none(world: World) -> None:
    done(world)
    world.store.state.put_flags([Flag(route="chat", revision=0, stable=NEW)], at=world.now)
    Controller(world.store, world.clock, elapsed=world.elapsed).run_once()
    found = way_backs(world.store, world.now)["chat"]
    assert found.version == OLD
    assert "never probed" in found.unknown


def test_a_version_that_was_retired_and_has_been_the_pin_again_is_kept_again(world: World) -> None:
    done(world)
    world.store.state.keep_former(world.store.state.rollout("ro_1"))
    world.store.state.retire("chat", OLD, by="ann", why="old", at=world.now)
    assert not world.store.state.keep_former(world.store.state.rollout("ro_1")), "the same end does not bring it back"
    assert kept(world) == []
    done(world, stable=NEW, candidate=OLD, n=2)
    done(world, stable=OLD, candidate=BACK, n=3)
    assert world.store.state.keep_former(world.store.state.rollout("ro_3"))
    assert kept(world) == [OLD.model]


# ── let go ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def two(world: World) -> World:
    """A route whose pin is BACK, which keeps NEW and, from before that, OLD."""
    done(world, OLD, NEW, 1)
    done(world, NEW, BACK, 2)
    for name in ("ro_1", "ro_2"):
        world.store.state.keep_former(world.store.state.rollout(name))
    world.store.state.put_flags([Flag(route="chat", revision=0, stable=BACK)], at=world.now)
    assert kept(world) == [NEW.model, OLD.model]
    return world


def let_go(world: World, model: str | None, why: str = "nobody goes back so far") -> str:
    return str(retire(world.store, "chat", model, by="ann", why=why, now=world.now).version)


def test_an_older_one_is_let_go_while_a_newer_one_is_proven_with_who_and_why(two: World) -> None:
    probed(two, NEW, True)
    assert let_go(two, OLD.model) == str(OLD)
    assert kept(two) == [NEW.model]
    (gone,) = [one for one in two.store.state.former_versions("chat", retired=True) if one.version == OLD]
    assert (gone.retired_by, gone.why, gone.retired_at) == ("ann", "nobody goes back so far", two.now)
    newest = two.store.state.audit()[0]
    assert (newest.by, newest.what) == ("ann", f"retire: {OLD} of chat: nobody goes back so far")


@pytest.mark.parametrize(
    ("found", "says"),
    [((), "never probed"), ((False, False, False), "its last 3 probes failed"), ((False,), "its last probe failed")],
)
def test_nothing_is_let_go_for_a_way_back_that_is_not_proven(two: World, found: tuple[bool, ...], says: str) -> None:
    probed(two, NEW, *found)
    with pytest.raises(Refused, match=says):
        let_go(two, OLD.model)
    assert kept(two) == [NEW.model, OLD.model]


def test_the_way_back_itself_is_never_let_go(two: World) -> None:
    probed(two, NEW, True)
    probed(two, OLD, True)
    with pytest.raises(Refused, match=f"`{NEW}` is the way back of route `chat`, and there is no other"):
        let_go(two, NEW.model)


def test_a_proven_version_that_the_file_names_lets_all_former_ones_go(two: World) -> None:
    named = pin_file(chat=None).replace(f'version = "{PIN}"', f'version = "{BACK.model}"\nrollback = "{OTHER}"')
    two.store.state.put_manifest(named, by="ann", at=two.now)
    probed(two, Version("openai", OTHER), True)
    assert let_go(two, NEW.model) == str(NEW)
    assert let_go(two, None) == str(OLD), "the only one that is left needs no name"
    assert kept(two) == []


def test_it_asks_for_a_reason_a_name_and_a_version_that_is_kept(two: World) -> None:
    probed(two, NEW, True)
    with pytest.raises(Refused, match="without a reason"):
        let_go(two, OLD.model, why=" ")
    with pytest.raises(InvalidInput, match="keeps several versions"):
        let_go(two, None)
    with pytest.raises(InvalidInput, match="not a version that route `chat` keeps: `gpt-9`"):
        let_go(two, "gpt-9")
    with pytest.raises(InvalidInput, match="route keeps no former version: `search`"):
        retire(two.store, "search", None, by="ann", why="x", now=two.now)


def test_what_is_on_its_way_back_in_is_not_let_go(two: World) -> None:
    probed(two, NEW, True)
    two.store.state.open_rollout(rollout(id="ro_3", route="chat", stable=BACK, candidate=OLD), by="ann", at=two.now)
    with pytest.raises(Refused, match="is on its way back in: rollout `ro_3`"):
        let_go(two, OLD.model)


def test_status_lists_what_is_kept(two: World) -> None:
    probed(two, NEW, True)
    said = "\n".join(warmth(two.store, two.now).lines(two.now))
    assert f"chat: way back {NEW.model}: proven 0s ago" in said
    assert f"chat: {OLD.model} was the pin until" in said
    plain = warmth(two.store, two.now).json()
    assert [one["version"] for one in plain["former_versions"]] == [str(NEW), str(OLD)]


def test_the_command_refuses_with_exit_5_and_says_what_it_let_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "detent.toml"
    file.write_text(pin_file(chat=None))
    url = f"sqlite:///{tmp_path / 'state.db'}"
    store = open_store(url)
    world = World(store)
    world.apply(pin_file(chat=None))
    done(world)
    store.state.keep_former(store.state.rollout("ro_1"))
    store.state.put_flags([Flag(route="chat", revision=0, stable=NEW)], at=world.now)
    arguments = ["--file", str(file), "--store", url, "--by", "ann"]
    assert main(["retire", "chat", "--why", "old", *arguments]) == 5
    assert "is the way back of route `chat`" in capsys.readouterr().err
    store.state.keep_former(rollout(id="ro_0", route="chat", stable=BACK, ended_at=T0))
    store.close()
    assert main(["retire", "chat", BACK.model, "--why", "old", *arguments]) == 5
    assert "not proven" in capsys.readouterr().err


def test_an_unproven_way_back_is_a_value_of_its_own() -> None:
    assert not WayBack(route="chat", version=OLD, unknown="never probed").proven
    assert not WayBack(route="chat", version=OLD, broken="HTTP 500").proven
    assert WayBack(route="chat", version=OLD).proven
