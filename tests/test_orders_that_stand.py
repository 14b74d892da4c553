"""An order by file that cannot be carried out in a store which is reached: it is told, and holds the rollout, until it is done or gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canaries import FINE
from detent import cli
from detent import evidence as ev
from detent.controller import Controller
from detent.errors import CouldNotRun
from detent.local_orders import give
from detent.recompute import replay
from detent.sim.versions import HONEST, STABLE
from detent.store import local_orders
from detent.terms import LocalOrder, Phase, Verb
from living import Living, living
from mock_upstream import Mock, answer
from processes import CANARY, Installation, in_canary, now, standing
from serving import until

pytest_plugins = ("stores",)


@pytest.fixture
def place(tmp_path: Path, mock: Mock, store_url: str) -> Iterator[Installation]:
    mock.seen.clear()
    mock.answer = lambda seen: answer(b'{"model": "%s", "choices": []}' % seen.json["model"].encode(), 200)
    with standing(tmp_path, mock.url, store_url=store_url) as place:
        in_canary(place)
        yield place


@pytest.fixture
def gateway(place: Installation, mock: Mock) -> Iterator[Living]:
    with living(place.home / "two", place.store, mock.url) as gateway:
        gateway.serves_revision()
        yield gateway


class Minutes:
    """A controller's own clock, which runs ten seconds on at each look."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        self.at_s += 10.0
        return self.at_s


def stuck(place: Installation) -> tuple[str, ...]:
    return tuple(order.why for one in place.store.state.gateways() for order in one.condition.orders)


def says(place: Installation, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert place.store_url is not None
    cli.main([*words, "--file", str(place.file), "--store", place.store_url])
    return capsys.readouterr().out


def test_an_order_that_cannot_be_read_holds_the_rollout_while_it_stands(
    place: Installation, gateway: Living, capsys: pytest.CaptureFixture[str]
) -> None:
    order = place.home / "two" / "orders" / "chat.json"
    order.parent.mkdir(parents=True)
    order.write_text("torn")
    until(lambda: stuck(place))
    assert gateway.models() == {STABLE}
    assert gateway.health()["orders"] == ["chat"]

    controller = Controller(place.store, now, elapsed=Minutes())
    (decision,) = controller.run_once()
    assert (decision.verb, decision.reason) == (Verb.HOLD, "OrderStands")
    assert decision.sentence.startswith("an order by file stands and cannot be carried out: gateway two: it cannot be read: ")
    rollout = place.store.state.rollout(CANARY)
    assert rollout.held is not None
    assert (rollout.phase, rollout.held.reason, rollout.held.by) == (Phase.CANARY, "OrderStands", "detent")
    assert [(one.kind, one.pages) for one in place.store.state.alerts() if one.about == CANARY] == [("OrderStands", True)]
    assert all(one.same for one in replay(place.store.state.decided(CANARY))), "its evidence says what it was held for"
    for words in (("status",), ("explain", "chat")):
        assert "chat: on stable by an order by file that cannot be carried out: it cannot be read" in says(place, capsys, *words)
    assert "chat: a local rollback puts it on stable on a gateway's host" in says(place, capsys, "verify")

    order.unlink()
    until(lambda: not stuck(place))
    gateway.clocks.pass_by(1.0)
    assert [one.reason for one in controller.run_once()] != ["OrderStands"]
    rollout = place.store.state.rollout(CANARY)
    assert rollout.held is None or rollout.held.reason != "OrderStands"
    until(lambda: gateway.models() == {STABLE, HONEST})


def test_a_whole_order_that_the_store_refuses_is_told_with_who_gave_it_and_carried_out_once_it_can_be(
    place: Installation, gateway: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any, **__: Any) -> Any:
        raise CouldNotRun("a write that is refused")

    at = now()
    with monkeypatch.context() as patch:
        patch.setattr(local_orders.LocalOrders, "local_order_known", refuses)
        give(place.home / "two", LocalOrder(id="lo_1", route="chat", by="ann", why="it burns", at=at, rollout=CANARY))
        until(lambda: gateway.health()["orders"] == ["chat"])
        gateway.clocks.pass_by(2.0)
        until(lambda: stuck(place))
        assert stuck(place) == (f"ann gave it {at:%Y-%m-%d %H:%M:%S} UTC: a write that is refused",)
        (decision,) = Controller(place.store, now).run_once()
        assert decision.reason == "OrderStands"
    until(lambda: place.store.state.rollout(CANARY).phase is Phase.ROLLED_BACK)
    until(lambda: not stuck(place))


def test_evidence_without_orders_has_the_digest_that_it_always_had() -> None:
    assert b'"orders"' not in ev.encode(FINE)
    assert ev.decode(ev.encode(FINE)) == FINE
