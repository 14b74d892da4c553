"""Orders that were given by file on a gateway's host (`rollback --local`), once they were carried out here as well."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import select

from detent.store.audit import audited
from detent.store.database import Database, insert_missing
from detent.store.schema import local_orders
from detent.terms import LocalOrder, micros

_ORDER = msgspec.json.Decoder(LocalOrder)  # built at import, as in store/state_rows.py


class LocalOrders:
    """Orders given without this store."""

    _db: Database

    def local_order_known(self, order_id: str) -> bool:
        """Whether an order was carried out already, by this gateway or by another one of its host."""
        with self._db.read() as c:
            return c.scalar(select(local_orders.c.id).where(local_orders.c.id == order_id)) is not None

    def local_orders(self, *, since: datetime) -> list[LocalOrder]:
        """Orders that were given since then and carried out here, oldest first."""
        query = select(local_orders.c.body).where(local_orders.c.at_us >= micros(since)).order_by(local_orders.c.at_us, local_orders.c.id)
        with self._db.read() as c:
            return [_ORDER.decode(body) for body in c.scalars(query)]

    def put_local_order(self, order: LocalOrder, *, gateway: str, said: str, at: datetime) -> bool:
        """Keep an order with what came of it, and a line in the audit log by who gave it; False, and nothing, when it is there already."""
        body = msgspec.json.encode(order).decode()
        row = {"id": order.id, "route": order.route, "gateway": gateway, "at_us": micros(order.at), "body": body}
        with self._db.write() as c:
            if c.scalar(select(local_orders.c.id).where(local_orders.c.id == order.id)) is not None:
                return False
            insert_missing(c, local_orders, [row])
            audited(c, at, order.by, f"rollback --local: {said}", order.rollout)
        return True
