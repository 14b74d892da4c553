"""A store that was put back to an older state: no gateway obeys a split of before, and a person says how it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from detent import cli, leasing
from detent.controller import Controller, act
from detent.errors import CouldNotRun
from detent.flags_on_disk import recall
from detent.sim.versions import HONEST, STABLE
from detent.store import Store
from detent.store.gateways import BEYOND
from detent.terms import Draining, DrillShare, Flag, Phase, PutBack, Version
from detent.transitions import STORE_PUT_BACK
from living import Living, copied, living, put_back
from mock_upstream import Mock, answer
from processes import CANARY, Installation, in_canary, now, standing
from serving import until

pytest_plugins = ("stores",)


@pytest.fixture
def place(tmp_path: Path, mock: Mock, store_url: str) -> Iterator[Installation]:
    """A rollout in its canary, half of the users on the candidate; the provider says which version answers."""
    mock.seen.clear()
    mock.answer = lambda seen: answer(b'{"model": "%s", "choices": []}' % seen.json["model"].encode(), 200)
    with standing(tmp_path, mock.url, store_url=store_url) as place:
        in_canary(place)
        yield place


@pytest.fixture
def gateways(place: Installation, mock: Mock) -> Iterator[Any]:
    """Gateways, each on a host of its own."""
    with ExitStack() as stack:
        yield lambda name="two", **more: stack.enter_context(living(place.home / name, place.store, mock.url, name=name, **more))


def rolled_back_and_forgotten(place: Installation, gateway: Living) -> int:
    """A copy of the store is taken, the rollout is rolled back and the gateway obeys that; then the copy is put back. The revision that
    was obeyed.
    """
    gateway.serves_revision()
    assert gateway.models() == {STABLE, HONEST}
    copy = copied(place.store)
    act(place.store, CANARY, "roll_back", by="ann", why="it burns", now=now())
    served = place.store.state.revision()
    gateway.serves_revision()
    assert gateway.models() == {STABLE}
    put_back(place.store, copy)
    assert place.store.state.revision() < served
    assert place.store.state.flags()["chat"].split == 0.5, "the copy knows nothing of the rollback"
    return served


def found(place: Installation) -> PutBack:
    until(lambda: place.store.state.put_back() is not None)
    known = place.store.state.put_back()
    assert known is not None
    return known


def status(place: Installation, capsys: pytest.CaptureFixture[str]) -> str:
    return says(place, capsys, "status")[1]


def says(place: Installation, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    assert place.store_url is not None
    capsys.readouterr()
    code = cli.main([*words, "--file", str(place.file), "--store", place.store_url])
    return code, capsys.readouterr().out


@pytest.mark.fault(
    "the store put back to an older state, after a rollback",
    "no gateway obeys what it splits, also one that starts; rollouts are held, owners paged, until a person says how it goes on",
)
def test_what_a_store_that_was_put_back_splits_is_not_obeyed(
    place: Installation, gateways: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway: Living = gateways()
    served = rolled_back_and_forgotten(place, gateway)
    back = found(place)
    assert (back.gateway, back.served, back.routes) == ("two", served, ("chat",))
    assert back.revision == served + BEYOND == place.store.state.revision()
    gateway.serves_revision()
    assert gateway.models(40) == {STABLE}
    assert gateway.health()["doubted"] == ["chat"]
    assert any("the store was put back to an older state: what it splits of chat is not obeyed" in said for said in gateway.said)

    new: Living = gateways("three")
    assert new.models(40) == {STABLE}, "one that starts now has obeyed nothing, and asks the store"

    held = place.store.state.rollout(CANARY).held
    assert held is not None
    assert (held.reason, held.by) == (STORE_PUT_BACK, "gateway two")
    Controller(place.store, now).run_once()
    assert place.store.state.rollout(CANARY).phase is Phase.CANARY
    (alert,) = [one for one in place.store.state.alerts() if one.kind == "StorePutBack"]
    assert (alert.about, alert.owner, alert.pages) == ("chat", "a@example.com", True)
    told = status(place, capsys)
    assert "the store was put back to an older state: gateway two found it at revision" in told
    assert "`detent resume chat` or `detent rollback chat`" in told
    assert "50 % on atlas-2026-04-02, which no gateway obeys" in told
    code, verified = says(place, capsys, "verify")
    assert code == 1
    assert "chat: the store was put back to an older state, and what its flag splits is not obeyed" in verified
    assert "say how it goes on" in says(place, capsys, "explain", "chat")[1]
    row = next(row for row in place.store.state.audit() if "raised to revision" in row.what)
    assert row.by == "gateway two"
    assert place.store.state.verify_audit().bad is None


def test_a_drill_in_doubt_is_nothing_to_resume_and_ends_by_itself_or_by_a_rollback(
    place: Installation, gateways: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    act(place.store, CANARY, "roll_back", by="ann", why="it burns", now=now())
    flag = replace(place.store.state.flags()["chat"], draining=None, rolled_back=None)
    drill = DrillShare(drill="dr_1", version=Version("atlas", HONEST), share=1.0, salt="s", lasts_s=300.0)
    place.store.state.put_flags([replace(flag, drill=drill)], at=now())
    gateway: Living = gateways()
    gateway.serves_revision()
    copy = copied(place.store)
    place.store.state.put_flags([flag], at=now())
    gateway.serves_revision()
    put_back(place.store, copy)
    found(place)
    until(lambda: gateway.health()["doubted"] == ["chat"])
    hint = "its drill ends by itself, or now by `detent rollback chat`"
    told = [said for said in gateway.said if "what it splits of chat is not obeyed" in said]
    assert hint in told[0]
    for said in (status(place, capsys), says(place, capsys, "verify")[1]):
        assert hint in said
        assert "detent resume" not in said


@pytest.mark.parametrize(
    ("of", "hint"),
    [
        ({"rollout": "ro_1", "split": 0.5}, "`detent resume chat` or `detent rollback chat`"),
        ({"drill": True}, "its drill ends by itself, or now by `detent rollback chat`"),
        ({"draining": True}, "its draining ends by itself, or now by `detent rollback chat --cut`"),
    ],
)
def test_how_a_route_in_doubt_goes_on_fits_what_is_in_doubt(of: dict[str, Any], hint: str) -> None:
    version = Version("atlas", HONEST)
    parts: dict[str, Any] = {
        "drill": DrillShare(drill="dr_1", version=version, share=1.0, salt="s", lasts_s=300.0),
        "draining": Draining(rollout="ro_1", candidate=version, split=0.5, salt="s", lasts_s=300.0),
    }
    flag = Flag(route="chat", revision=1, stable=Version("atlas", STABLE), **{name: parts.get(name, found) for name, found in of.items()})
    assert leasing.goes_on_by("chat", flag) == hint


@pytest.mark.parametrize("verb", ["resume", "roll_back"])
def test_a_person_says_how_it_goes_on_and_all_gateways_hear_it(place: Installation, gateways: Any, verb: str) -> None:
    gateway: Living = gateways()
    rolled_back_and_forgotten(place, gateway)
    found(place)
    act(place.store, CANARY, verb, by="ann", why="seen to", now=now())
    gateway.serves_revision()
    assert gateway.models(40) == ({STABLE, HONEST} if verb == "resume" else {STABLE})
    assert gateway.health()["doubted"] == []
    assert leasing.doubted(gateway.feed.current) == frozenset()
    known = place.store.state.put_back()
    gateway.serves_revision()
    assert place.store.state.put_back() == known, "it was put back once, and is found so once"


def test_what_nobody_has_resumed_stays_in_doubt_whatever_is_decided(place: Installation, gateways: Any) -> None:
    """Neither a controller's holds nor another person's word on the rollout brings back what is in doubt."""
    rolled_back_and_forgotten(place, gateways())
    found(place)
    controller = Controller(place.store, now)
    for _ in range(3):
        controller.run_once()
    flags = place.store.state.snapshot()
    assert flags.flags["chat"].revision < flags.doubted
    with pytest.raises(Exception, match="held by gateway two already"):
        act(place.store, CANARY, "hold", by="bob", why="", now=now())
    with pytest.raises(Exception, match="held by gateway two: resume first"):
        act(place.store, CANARY, "promote", by="bob", why="now", now=now())


def test_two_gateways_that_find_it_raise_it_once_and_both_obey_it(place: Installation, gateways: Any) -> None:
    both: list[Living] = [gateways("two"), gateways("three")]
    both[1].serves_revision()
    rolled_back_and_forgotten(place, both[0])
    revision = found(place).revision
    for gateway in both:
        gateway.serves_revision()
        assert gateway.models(40) == {STABLE}
    assert place.store.state.revision() == revision
    assert len([row for row in place.store.state.audit() if "raised to revision" in row.what]) == 1


def test_a_gateway_that_starts_knows_by_its_disk_what_it_had_obeyed(place: Installation, mock: Mock) -> None:
    with living(place.home / "two", place.store, mock.url) as gateway:
        gateway.serves_revision()
        copy = copied(place.store)
        act(place.store, CANARY, "roll_back", by="ann", why="it burns", now=now())
        gateway.serves_revision()
        served = place.store.state.revision()
        until(lambda: (kept := recall(place.home / "two" / "flags-two.json")) is not None and kept.revision == served)
    put_back(place.store, copy)
    with living(place.home / "two", place.store, mock.url, starts=False) as gateway:
        assert gateway.models(40) == {STABLE}, "from its first request on, before any watch begins"
        assert found(place).served == served


def test_a_store_that_cannot_be_told_is_not_obeyed_either_nor_after_a_restart(
    place: Installation, mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any) -> Any:
        raise CouldNotRun("it can be read, and not written")

    with living(place.home / "two", place.store, mock.url) as gateway:
        with monkeypatch.context() as patch:
            patch.setattr(type(place.store.state), "found_put_back", refuses)
            served = rolled_back_and_forgotten(place, gateway)
            until(lambda: gateway.feed.current.doubted == served)
            assert gateway.models(40) == {STABLE}
            assert len([said for said in gateway.said if "it cannot be told so: it can be read" in said]) == 1, "said once"
            until(lambda: (kept := recall(place.home / "two" / "flags-two.json")) is not None and kept.doubted == served)
            with living(place.home / "two", place.store, mock.url, starts=False) as again:
                assert again.models(40) == {STABLE}
        assert found(place).served == served, "told as soon as it listens"


def test_a_route_whose_own_flag_is_older_is_found_though_the_store_went_on(place: Installation, gateways: Any) -> None:
    """The copy that was put back has been written to before any gateway asked: its revision is beyond what was obeyed, the flag is not."""
    gateway: Living = gateways(starts=False)
    copy = copied(place.store)
    act(place.store, CANARY, "roll_back", by="ann", why="it burns", now=now())
    gateway.feed._known = gateway.feed._load(place.store)
    put_back(place.store, copy)
    other = replace(place.store.state.flags()["chat"], route="other", rollout=None, candidate=None, split=0.0)
    for _ in range(9):
        place.store.state.put_flags([other], at=now())
    assert place.store.state.revision() > gateway.feed._known.revision
    obeyed = gateway.feed._load(place.store)
    assert leasing.doubted(obeyed) == {"chat"}


def test_another_installation_is_neither_older_nor_newer(place: Installation, mock: Mock, tmp_path: Path, new_store_url: Any) -> None:
    """A store that was made anew begins to count at one, with a key of its own: what it splits was said by a person, for that store."""
    with living(place.home / "two", place.store, mock.url) as gateway:
        for _ in range(20):
            place.store.state.put_flags([place.store.state.flags()["chat"]], at=now())
        gateway.serves_revision()
        kept = recall(place.home / "two" / "flags-two.json")
        until(lambda: (kept := recall(place.home / "two" / "flags-two.json")) is not None and kept.revision > 15)
        assert kept is not None
    (tmp_path / "new").mkdir()
    with standing(tmp_path / "new", mock.url, store_url=new_store_url()) as other:
        in_canary(other)
        with living(place.home / "two", other.store, mock.url, starts=False) as gateway:
            assert other.store.state.revision() < 15
            assert gateway.models(40) == {STABLE, HONEST}
            assert other.store.state.put_back() is None


def test_a_controller_of_now_reads_a_store_without_any_such_mark(store: Store) -> None:
    assert store.state.put_back() is None
    assert store.state.snapshot().doubted == 0
    assert store.state.found_put_back("two", 7, 9, (), now()) is None, "it is not at revision 7"


def test_a_gateway_ends_in_peace_whatever_is_wrong_with_its_store(place: Installation, mock: Mock) -> None:
    """A row that is torn makes the goodbye fail in ways that no database tells of."""
    with living(place.home / "two", place.store, mock.url) as gateway:
        gateway.serves_revision()
        until(place.store.state.gateways)
        gateway.feed._stop.set()
        gateway.feed._thread.join(20)
        place.store.state.acknowledge("two", 1, now(), pid=1, address="a")

        def torn(*_: Any) -> Any:
            raise TypeError("unsupported operand type(s)")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(place.store.state), "gateways", torn)
            gateway.feed._say_goodbye()
        assert gateway.said[-1] == "the store does not hear that this gateway ends: unsupported operand type(s)"
