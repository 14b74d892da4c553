"""What was ordered by file on a gateway's host, done in the store once it is there again."""

from __future__ import annotations

from datetime import datetime

from detent.errors import InvalidInput, Refused
from detent.store import Store
from detent.terms import LocalOrder


def carry_out(store: Store, order: LocalOrder, *, gateway: str, now: datetime) -> str | None:
    """Roll back the rollout that the order is about, as the word of who gave it, whatever became of it meanwhile; says what came of it.

    It is about that rollout and no other: where it has ended, or the store knows nothing of it, that is noted and nothing is moved. Done
    once for each order, however many gateways of its host have it; None while another one of them is at it.
    """
    with store.state.alone(f"order {order.id}") as mine:
        if not mine:
            return None
        if store.state.local_order_known(order.id):
            return "carried out in the store"
        said = _roll_back(store, order, now) if order.rollout is not None else "no rollout of it was served here, so none was ended"
        _end_rest(store, order, now)
        store.state.put_local_order(order, gateway=gateway, said=said, at=now)
        return said


def _roll_back(store: Store, order: LocalOrder, now: datetime) -> str:
    from detent.controller import act  # a gateway does without it until there is something to do

    assert order.rollout is not None, "asked before"
    why = f"given by file at {order.at:%Y-%m-%d %H:%M:%S} UTC" + (f": {order.why}" if order.why else "")
    try:
        moved = act(store, order.rollout, "roll_back", by=order.by, why=why, now=now)
    except Refused:
        phase = store.state.rollout(order.rollout).phase
        late = "; it serves everybody, propose the former version as `next`" if phase == "done" else ""
        return f"rollout {order.rollout} had ended before as {phase}{late}"
    except InvalidInput:
        return f"this store knows no rollout {order.rollout}"
    return f"rollout {order.rollout} is rolled back in the store: {moved.phase}"


def _end_rest(store: Store, order: LocalOrder, now: datetime) -> None:
    """The order has moved the runs under way already: none goes back to the candidate, and no drill goes on."""
    why = order.why or "rolled back by file"
    store.state.cut_runs(order.route, at=now, by=order.by, why=why, of=order.rollout)
    if order.rollout is None:
        from detent.controller.rehearsing import end_drill

        end_drill(store, order.route, by=order.by, why=why, now=now)
