"""`rollback --local`: an order by file, with nothing else alive; and what becomes of it when the store is back."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from detent import cli, local_orders
from detent.controller import act
from detent.errors import CouldNotRun
from detent.flags import FlagFeed, static
from detent.flags_on_disk import recall
from detent.leasing import Told
from detent.local_orders import UNREAD, Orders, give, live_gateways, obeyed_since, withdraw
from detent.manifest import read
from detent.obeying import Obeyed
from detent.serve.carrying_out import carry_out
from detent.store import Store
from detent.store.spool import Spool
from detent.terms import Draining, Flag, LocalOrder, Phase, Version
from outside import HONEST, STABLE, Callers, Door
from processes import CANARY, Installation, in_canary, now, standing, until

pytest_plugins = ("stores",)

ORDER = LocalOrder(id="lo_1", route="chat", rollout=CANARY, by="ann@host", why="it swears", at=now())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir(mode=0o700)
    return tmp_path / "home"


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_whole_or_not_there_and_for_its_owner_alone(home: Path) -> None:
    assert give(home, ORDER)
    orders = Orders(home, "two-1")
    assert orders.standing()["chat"].order == ORDER
    assert orders.standing()["chat"] is orders.standing()["chat"], "not read again where nothing changed"
    path = home / "orders" / "chat.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["chat.json"], "nothing aside is left"
    orders.obey(orders.standing()["chat"])
    assert abs(obeyed_since(home, "chat", "lo_1")["two-1"] - time.time()) < 10
    withdraw(home, ORDER)
    assert orders.standing() == {}


def test_another_order_for_the_route_takes_the_place_of_the_first(home: Path) -> None:
    give(home, ORDER)
    orders = Orders(home, "two-1")
    orders.obey(orders.standing()["chat"])
    give(home, replace(ORDER, id="lo_2"))
    assert obeyed_since(home, "chat", "lo_1") == obeyed_since(home, "chat", "lo_2") == {}
    withdraw(home, ORDER)
    assert orders.standing()["chat"].id == "lo_2", "what was carried out is the first one, and the second one stands"


SPOILT: dict[str, Callable[[Path], object]] = {
    "it is empty": lambda path: path.write_bytes(b""),
    "it is no order, or a part of one": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "it is no order for this route": lambda path: path.write_bytes(path.read_bytes().replace(b'"chat"', b'"other"')),
    "others may write to it": lambda path: path.chmod(0o666),
    "it is no file": lambda path: path.rename(path.with_name("aside")).with_name("chat.json").mkdir(),
    "symbolic link": lambda path: path.rename(path.with_name("aside")).with_name("chat.json").symlink_to("aside"),
}


@pytest.mark.parametrize("wrong", SPOILT)
def test_an_order_that_cannot_be_trusted_puts_its_route_on_stable_and_names_nobody(home: Path, wrong: str) -> None:
    give(home, ORDER)
    SPOILT[wrong](home / "orders" / "chat.json")
    found = Orders(home, "two-1").standing()["chat"]
    assert (found.order, found.id) == (None, UNREAD)
    assert wrong in found.wrong


def test_an_order_of_another_user_names_nobody_and_one_of_root_is_handed_to_whom_the_home_belongs(home: Path) -> None:
    from stores import cannot_have

    if os.geteuid() != 0:
        cannot_have("another user's file: only root can make one")
    os.chown(home, 65534, 65534)
    give(home, ORDER)
    path = home / "orders" / "chat.json"
    assert path.stat().st_uid == path.parent.stat().st_uid == 65534
    assert Orders(home, "two-1").standing()["chat"].wrong == "it belongs to another user"


def test_on_a_full_disk_an_order_is_an_empty_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = local_orders._write

    def full(path: Path, text: bytes, of: Path) -> None:
        real(path, text[:10], of)
        if text:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(local_orders, "_write", full)
    assert not give(home, ORDER)
    assert Orders(home, "two-1").standing()["chat"].wrong == "it is empty: the disk was full"
    assert [p.name for p in (home / "orders").iterdir()] == ["chat.json"]


# ── in the store ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def place(tmp_path: Path, store_url: str) -> Iterator[Installation]:
    with standing(tmp_path, "http://127.0.0.1:1", store_url=store_url) as place:
        in_canary(place)
        yield place


def audited(store: Store) -> list[tuple[str, str]]:
    return [(row.by, row.what) for row in store.state.audit() if row.by == "ann@host"]


def test_it_is_carried_out_once_by_the_person_who_gave_it(place: Installation) -> None:
    said = carry_out(place.store, ORDER, gateway="two", now=now())
    assert said == f"rollout {CANARY} is rolled back in the store: rolled_back"
    rollout = place.store.state.rollout(CANARY)
    assert rollout.phase is Phase.ROLLED_BACK
    assert "ann@host: given by file at" in rollout.reason
    assert "it swears" in rollout.reason
    rows = audited(place.store)
    assert carry_out(place.store, ORDER, gateway="three", now=now()) == "carried out in the store"
    assert audited(place.store) == rows
    assert any(what.startswith("rollback --local: ") for _, what in rows), "the log says that it was local"
    assert place.store.state.flags()["chat"].split == 0.0


def test_the_local_order_wins_over_whoever_held_or_advanced_it_meanwhile(place: Installation) -> None:
    act(place.store, CANARY, "hold", by="bob", why="wait for me", now=now())
    carry_out(place.store, ORDER, gateway="two", now=now())
    assert place.store.state.rollout(CANARY).phase is Phase.ROLLED_BACK


def test_an_order_never_hits_the_rollout_that_came_after_the_one_it_is_about(place: Installation) -> None:
    first = act(place.store, CANARY, "abort", by="bob", why="", now=now())
    new = replace(first, id="ro_new", phase=Phase.CANARY, ended_at=None, split=0.5, period=1)
    place.store.state.open_rollout(
        new, replace(place.store.state.flags()["chat"], rollout="ro_new", split=0.5, period=1), by="bob", at=now()
    )
    said = carry_out(place.store, ORDER, gateway="two", now=now())
    assert said == f"rollout {CANARY} had ended before as aborted"
    assert place.store.state.rollout("ro_new").phase is Phase.CANARY
    assert place.store.state.flags()["chat"].split == 0.5
    assert str(carry_out(place.store, replace(ORDER, id="lo_2", rollout="ro_nowhere"), gateway="two", now=now())).startswith(
        "this store knows no"
    )


def test_runs_that_it_moved_do_not_go_back_to_the_candidate_to_be_drained(tmp_path: Path) -> None:
    with standing(tmp_path, "http://127.0.0.1:1") as place:
        drains = place.text().replace("[plans.quick]", '[plans.quick]\nruns = "drain"')
        place.text = lambda proposed=None: drains  # type: ignore[method-assign]
        in_canary(place)
        assert place.store.state.rollout(CANARY).plan.runs == "drain"
        carry_out(place.store, ORDER, gateway="two", now=now())
        flag = place.store.state.flags()["chat"]
        assert (flag.split, flag.draining) == (0.0, None)


def test_an_order_after_a_rollback_that_drains_cuts_the_runs_that_are_left(tmp_path: Path) -> None:
    with standing(tmp_path, "http://127.0.0.1:1") as place:
        in_canary(place)
        draining = Draining(rollout=CANARY, candidate=Version("atlas", HONEST), split=0.5, salt="s", lasts_s=600.0)
        act(place.store, CANARY, "roll_back", by="test", why="", now=now())
        place.store.state.put_flags([replace(place.store.state.flags()["chat"], draining=draining)], at=now(), by="test")
        carry_out(place.store, replace(ORDER, rollout=None), gateway="two", now=now())
        assert place.store.state.flags()["chat"].draining is None


# ── what a gateway does ─────────────────────────────────────────────────────────────────────────────────────────────


class Cut:
    """The way to a store, cut while `cut` is set."""

    def __init__(self, store: Store) -> None:
        self.store, self.cut = store, True

    def __call__(self) -> Store:
        if self.cut:
            raise CouldNotRun("no way there")
        return self.store


def feed(link: Cut, home: Path, said: list[str], *, name: str = "two") -> FlagFeed:
    return FlagFeed(
        link,
        name,
        address="127.0.0.1:1",
        cache=home / f"flags-{name}.json",
        clock=now,
        fallback=static(read(Installation.pin_file("http://127.0.0.1:1"))),
        say=said.append,
        orders=Orders(home, f"{name}-1"),
        carry_out=lambda store, order: carry_out(store, order, gateway=name, now=now()),
    )


def split(of: FlagFeed) -> float | None:
    flag = of.current.flags.get("chat")
    return None if flag is None else flag.split


def test_an_order_stands_until_the_store_says_the_same_and_no_gateway_splits_in_between(
    place: Installation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detent import flags

    monkeypatch.setattr(flags, "HEARTBEAT_S", 0.2)
    link, said = Cut(place.store), list[str]()
    link.cut = False
    one, two = feed(link, home, said), feed(link, home, said, name="three")
    seen: list[float | None] = []
    for each in (one, two):
        each.start()
    try:
        until(lambda: recall(home / "flags-two.json"), "the flags on disk")
        link.cut = True
        until(lambda: sum("cannot be read" in line for line in said) == 2, "both cut off")
        assert split(one) == split(two) == 0.5
        given = time.monotonic()
        give(home, ORDER)
        until(lambda: obeyed_since(home, "chat", "lo_1").keys() == {"two-1", "three-1"}, "both obey")
        assert time.monotonic() - given < 1.0
        assert split(one) == split(two) == 0.0
        link.cut = False

        def over() -> bool:
            seen.extend([split(one), split(two)])
            known = {one.current.revision, two.current.revision}
            taken_away = not (home / "orders" / "chat.json").exists() and not one.obeyed.ordered and not two.obeyed.ordered
            return taken_away and known == {place.store.state.revision()}

        until(over, "the order carried out and taken away, and the store's word in its place")
        assert set(seen) == {0.0}
        assert place.store.state.rollout(CANARY).phase is Phase.ROLLED_BACK
        assert sum(f"rollout {CANARY} is rolled back in the store" in line for line in said) == 1
        assert sum("on stable by order of ann@host" in line for line in said) == 2
    finally:
        for each in (one, two):
            each.stop()


def test_an_order_that_is_gone_stands_until_the_store_was_asked_after_that(home: Path) -> None:
    """Else a gateway that has not heard yet of what its neighbour carried out would go back to the candidate for a moment."""
    at_s = [100.0]
    flag = Flag(route="chat", revision=7, stable=Version("atlas", STABLE), candidate=Version("atlas", HONEST), rollout=CANARY, split=0.5)
    flags = replace(static(read(Installation.pin_file("http://127.0.0.1:1"))), revision=7, flags={"chat": flag})
    gateway = Obeyed(Told(flags=flags, reached_s=100.0), Orders(home, "two-1"), monotonic=lambda: at_s[0])

    def looks(now_s: float) -> float:
        at_s[0] = now_s
        gateway.look()
        return gateway.current.flags["chat"].split

    assert looks(101.0) == 0.5
    give(home, ORDER)
    assert looks(102.0) == 0.0
    withdraw(home, ORDER)
    assert looks(103.0) == 0.0
    gateway.reached(102.9)
    assert looks(104.0) == 0.0, "asked before the order was gone"
    gateway.reached(103.1)
    assert looks(105.0) == 0.5, "a person took the order away, and the store never heard of it"


def test_an_order_that_cannot_be_read_is_obeyed_said_and_left_for_a_person(place: Installation, home: Path) -> None:
    link, said = Cut(place.store), list[str]()
    link.cut = False
    give(home, ORDER)
    (home / "orders" / "chat.json").write_bytes(b"{")
    one = feed(link, home, said)
    assert split(one) == 0.0, "from the first moment on"
    one._obey(place.store)
    assert place.store.state.rollout(CANARY).phase is Phase.CANARY
    assert [line for line in said if "cannot be read (it is no order" in line and "remove" in line]


def met_by_a_gateway_that_runs(place: Installation, home: Path, order: LocalOrder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a gateway that serves the rollout says of this order, once it carried it out."""
    from detent import flags

    monkeypatch.setattr(flags, "STANDS_S", 0.0)
    link, said = Cut(place.store), list[str]()
    link.cut = False
    one = feed(link, home, said)
    give(home, order)
    one.obeyed.look()
    one._obey(place.store)
    return said


def test_an_order_made_from_old_flags_ends_the_rollout_that_is_really_served(
    place: Installation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk was full as the rollout began, so that the file still names the one before."""
    said = met_by_a_gateway_that_runs(place, home, replace(ORDER, rollout="ro_before"), monkeypatch)
    assert place.store.state.rollout(CANARY).phase is Phase.ROLLED_BACK
    assert any(f"rollout {CANARY} is rolled back in the store" in line for line in said)


def test_an_order_that_another_gateway_of_the_host_carries_out_is_none_that_is_stuck(
    place: Installation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detent import flags

    monkeypatch.setattr(flags, "STANDS_S", 0.0)
    link, said = Cut(place.store), list[str]()
    link.cut = False
    one = feed(link, home, said)
    give(home, ORDER)
    one.obeyed.look()
    with place.store.state.alone(f"order {ORDER.id}") as held:
        assert held
        for _ in range(2):  # what is told goes with the heartbeat after it
            one._obey(place.store)
    (gateway,) = place.store.state.gateways()
    assert gateway.condition.orders == ()
    assert not [line for line in said if "cannot be carried out" in line]
    assert len(local_orders.standing_orders(home)) == 1, "it stands until that one has done it"
    one._obey(place.store)
    assert local_orders.standing_orders(home) == ()
    assert place.store.state.rollout(CANARY).phase is Phase.ROLLED_BACK


def test_a_gateway_that_begins_under_an_order_takes_its_word_for_the_rollout(
    place: Installation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was down for a day, in which that rollout ended and another one began."""
    from detent import flags

    monkeypatch.setattr(flags, "STANDS_S", 0.0)
    link, said = Cut(place.store), list[str]()
    link.cut = False
    give(home, replace(ORDER, rollout="ro_before"))
    feed(link, home, said)._obey(place.store)
    assert place.store.state.rollout(CANARY).phase is Phase.CANARY
    assert any("this store knows no rollout ro_before" in line for line in said)


def test_what_the_store_says_then_is_on_disk_before_the_order_is_taken_away(
    place: Installation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a start without a store in between would find the split on disk, and no order."""
    from detent import flags

    kept = list[float]()

    def taken_away(of: Path, order: LocalOrder) -> None:
        found = recall(of / "flags-two.json")
        assert found is not None
        kept.append(found.flags["chat"].split)
        withdraw(of, order)

    monkeypatch.setattr(flags, "withdraw", taken_away)
    met_by_a_gateway_that_runs(place, home, ORDER, monkeypatch)
    assert kept == [0.0]
    assert local_orders.standing_orders(home) == ()


def test_what_a_full_disk_left_of_an_order_goes_by_itself_once_the_store_has_the_route_on_stable(
    place: Installation, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detent import flags

    monkeypatch.setattr(flags, "STANDS_S", 0.0)
    link, said = Cut(place.store), list[str]()
    link.cut = False
    one = feed(link, home, said)
    give(home, ORDER)
    (home / "orders" / "chat.json").write_bytes(b"")
    one.obeyed.look()
    one._obey(place.store)
    assert [standing.empty for standing in local_orders.standing_orders(home)] == [True], "while there is a rollout, it protects"
    act(place.store, CANARY, "roll_back", by="test", why="", now=now())
    one._obey(place.store)
    assert local_orders.standing_orders(home) == ()
    assert any("which the store has on stable too: taken away" in line for line in said)


def test_an_order_that_cannot_be_read_does_not_vanish_without_a_line_in_the_log(place: Installation, home: Path) -> None:
    link, said = Cut(place.store), list[str]()
    link.cut = False
    give(home, ORDER)
    path = home / "orders" / "chat.json"
    path.write_bytes(b"{")
    one = feed(link, home, said)
    (standing,) = local_orders.standing_orders(home)
    assert "cannot be read (it is no order" in standing.sentence
    path.unlink()
    one.obeyed.look()
    for _ in range(2):
        one._obey(place.store)
    noted = [row.what for row in place.store.state.audit() if "by file" in row.what]
    wrong = "it is no order, or a part of one"
    assert noted == [f"an order by file for chat that could not be read ({wrong}) is gone: gateway two obeys the store"]


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.fault(
    "the store's files are gone: no server is alive, and the candidate must go",
    "`rollback --local` puts the gateways on stable, over a restart too; it is carried out and in the audit log when the store is back",
)
def test_on_a_gateways_host_with_nothing_else_alive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real processes; the store's files are gone, and there is no server."""
    with Door().on_a_socket() as door, standing(tmp_path, door.url) as place:
        in_canary(place)
        gateway = place.gateway()
        place.acknowledged(gateway)
        aside = tmp_path / "aside"
        aside.mkdir()
        for file in sorted(place.dot.glob("state.db*"), reverse=True):
            file.rename(aside / file.name)
        callers = Callers()
        callers.all([gateway.url], 16)
        assert {one.model for one in callers.answered} == {STABLE, HONEST}

        code = cli.main(["rollback", "chat", "--local", "--file", str(place.file), "--by", "ann", "--why", "it swears", "--json"])
        told = json.loads(capsys.readouterr().out)
        assert (code, told["rollout"], told["by"], told["whole"]) == (0, CANARY, "ann", True)
        assert [one["gateway"] for one in told["gateways"]] == ["two"]
        assert told["gateways"][0]["ms"] < 1000, "100 ms on a machine that does nothing else"
        callers.answered.clear()
        callers.all([gateway.url], 16)
        assert {one.model for one in callers.answered} == {STABLE}
        assert "chat is on stable by order of ann, given here" in gateway.talk

        gateway.kill()
        gateway = place.gateway()
        callers.answered.clear()
        callers.all([gateway.url], 16)
        assert {one.model for one in callers.answered} == {STABLE}, "the order stands over a restart"
        assert list(live_gateways(place.dot).values()) == ["two"]

        for file in sorted(aside.iterdir(), reverse=True):
            file.rename(place.dot / file.name)
        place.reopen()
        until(lambda: place.store.state.rollout(CANARY).phase is Phase.ROLLED_BACK, "the rollback in the store")
        until(lambda: not (place.dot / "orders" / "chat.json").exists(), "the order taken away")
        assert any(row.by == "ann" and "it swears" in row.what for row in place.store.state.audit())
        assert callers.failed == {}


def test_a_gateway_that_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Installation(tmp_path, "http://127.0.0.1:1")
    place.dot.mkdir()
    silent = Spool(place.spools, "silent")
    asked = ["rollback", "chat", "--local", "--file", str(place.file), "--by", "ann", "--wait", "0.1"]
    assert cli.main(asked) == 3
    assert "gateway silent HAS NOT ANSWERED" in capsys.readouterr().out
    silent.close()
    assert cli.main(asked) == 0
    assert "no gateway lives here: the next one to start obeys" in capsys.readouterr().out


def test_an_order_that_is_carried_out_while_a_gateway_hangs_keeps_the_word_of_those_that_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Installation(tmp_path, "http://127.0.0.1:1")
    place.dot.mkdir()
    with closing(Spool(place.spools, "hangs")), closing(Spool(place.spools, "two")) as two:

        def gateway() -> None:
            orders = Orders(place.dot, two.dir.name)
            until(orders.standing, "the order")
            (standing,) = orders.standing().values()
            orders.obey(standing)
            time.sleep(0.1)  # until it is seen: a real one lets an order stand for a second
            assert standing.order is not None
            withdraw(place.dot, standing.order)

        thread = threading.Thread(target=gateway)
        thread.start()
        asked = ["rollback", "chat", "--local", "--file", str(place.file), "--by", "ann", "--wait", "60"]
        assert cli.main(asked) == 3
        thread.join()
    told = capsys.readouterr().out
    assert "gateway two serves stable after" in told
    assert "gateway hangs HAS NOT ANSWERED" in told
    assert "carried out in the store" in told


@pytest.mark.parametrize("wait", ["nan", "-3", "inf", "0"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(tmp_path: Path, wait: str) -> None:
    place = Installation(tmp_path, "http://127.0.0.1:1")
    place.dot.mkdir()
    assert cli.main(["rollback", "chat", "--local", "--file", str(place.file), "--by", "ann", f"--wait={wait}"]) == 2
    assert local_orders.standing_orders(place.dot) == ()


def test_no_gateway_may_have_the_name_of_who_sends_its_copies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be taken for one that obeys no orders, and nobody would wait for it."""
    place = Installation(tmp_path, "http://127.0.0.1:1")
    assert cli.main(["gateway", "--file", str(place.file), "--name", "two-shadow"]) == 2
    assert "not a name for a gateway: `two-shadow`" in capsys.readouterr().err


def test_what_it_cannot_do_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Installation(tmp_path, "http://127.0.0.1:1")
    asked = ["rollback", "chat", "--local", "--file", str(place.file), "--by", "ann"]
    assert cli.main(asked) == 4
    assert "no gateway ever worked here" in capsys.readouterr().err
    place.dot.mkdir()
    (place.dot / "orders").write_text("in the way")
    assert cli.main(asked) == 4
    assert "cannot write the order in" in capsys.readouterr().err
    (place.dot / "orders").unlink()
    assert cli.main(["rollback", "chart", *asked[2:]]) == 2
    assert "known routes: `chat`" in capsys.readouterr().err
    place.file.write_text("no pin file at all [[[")
    assert cli.main(["rollback", "anything", *asked[2:]]) == 0, "nothing stands between somebody in need and an order"
