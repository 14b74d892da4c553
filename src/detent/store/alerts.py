"""Alerts, and the outbox of word about them: written first and sent from here, so that a process that ends forgets nothing.

An alert is open while its cause lasts. Word of it is delivered at least once over each channel: who sends takes the row for a while by
compare-and-set, so that two servers never both send, and one that is killed before it marks the row as sent is followed by another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import and_, insert, or_, select, update

from detent.alerting import LASTING
from detent.errors import InvalidInput
from detent.store.alone import take_turns
from detent.store.audit import audited
from detent.store.database import Database, insert_missing
from detent.store.schema import alerts, deliveries
from detent.terms import Alert, Delivery, micros, utc

AGAIN_WITHIN = timedelta(minutes=10)
"""What comes back so soon after its end is the same alert: a cause that flickers is told once."""

TOLD_FOR = timedelta(days=1)
"""How old news may be that a channel has not had yet; what is still open is told however old it is."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0
"""Pauses between tries: doubled each time, up to the longest."""

_ALERT = msgspec.json.Decoder(Alert)


class Alerts:
    """Alerts, who acknowledged them, and where word of them is on its way."""

    _db: Database

    def raise_alert(self, alert: Alert) -> bool:
        """Whether the alert is new. The same kind about the same thing that is open already, or was until a moment ago, goes on as it is;
        and an id that is there is raised again only where its cause was over and is back, as a new one beside it.
        """
        with self._db.write() as c:
            take_turns(c, "alerts")
            there = c.execute(select(alerts.c.ended_us).where(alerts.c.id == alert.id)).first()
            if there is not None and (there.ended_us is None or alert.kind not in LASTING):
                return False
            same = (alerts.c.kind == alert.kind, alerts.c.about == alert.about)
            lasting = and_(*same, or_(alerts.c.ended_us.is_(None), alerts.c.ended_us > micros(alert.at - AGAIN_WITHIN)))
            former = c.execute(select(alerts).where(lasting).order_by(alerts.c.at_us.desc()).limit(1)).first()
            if former is not None and alert.lasts:
                if former.ended_us is not None:
                    c.execute(update(alerts).where(alerts.c.id == former.id).values(ended_us=None))
                return False
            if there is not None:
                alert = replace(alert, id=_again(alert))
            c.execute(insert(alerts).values(**_row(alert)))
            return True

    def end_alert(self, kind: str, about: str, at: datetime) -> bool:
        """What an alert told is over; whether one was open."""
        with self._db.write() as c:
            still_open = (alerts.c.kind == kind, alerts.c.about == about, alerts.c.ended_us.is_(None))
            return c.execute(update(alerts).where(*still_open).values(ended_us=micros(at))).rowcount > 0

    def acknowledge_alert(self, alert_id: str, by: str, at: datetime) -> Alert:
        """The alert, as read by a person: the first who said so, whoever says it again. News ends with that.

        Raises InvalidInput for an id that isn't there.
        """
        with self._db.write() as c:
            unread = (alerts.c.id == alert_id, alerts.c.acknowledged_us.is_(None))
            first = c.execute(update(alerts).where(*unread).values(acknowledged_us=micros(at), acknowledged_by=by)).rowcount == 1
            found = c.execute(select(alerts).where(alerts.c.id == alert_id)).first()
            if found is None:
                raise InvalidInput(f"no such alert: `{alert_id}`", hint="see them with `detent alerts`")
            alert = _alert(found)
            if first:
                if not alert.lasts and alert.ended_at is None:
                    c.execute(update(alerts).where(alerts.c.id == alert_id).values(ended_us=micros(at)))
                    alert = replace(alert, ended_at=at)
                audited(c, at, by, f"acknowledged {alert.kind} of {alert.about} ({alert.id})")
            return alert

    def alerts(self, *, open_only: bool = True, limit: int = 1000) -> list[Alert]:
        """Alerts, newest first: those that are open, or all."""
        query = select(alerts).order_by(alerts.c.at_us.desc(), alerts.c.id).limit(limit)
        if open_only:
            query = query.where(alerts.c.ended_us.is_(None))
        with self._db.read() as c:
            return [_alert(row) for row in c.execute(query)]

    # ── word on its way ──

    def take_delivery(self, channel: str, now: datetime, *, for_s: float) -> tuple[Alert, Delivery] | None:
        """An alert that this channel has yet to tell, taken for `for_s` seconds: nobody else is given it meanwhile. None: nothing to tell.

        Whoever takes it says afterwards what came of it: `sent` or `not_sent`. Who never does is taken for dead.
        """
        at = micros(now)
        of_channel = and_(deliveries.c.alert == alerts.c.id, deliveries.c.channel == channel)
        wanted = (
            or_(alerts.c.ended_us.is_(None), alerts.c.at_us > micros(now - TOLD_FOR)),
            deliveries.c.sent_us.is_(None),
            or_(deliveries.c.next_us.is_(None), deliveries.c.next_us <= at),
        )
        query = select(alerts, deliveries.c.tries, deliveries.c.next_us.label("seen_us"), deliveries.c.error)
        query = query.outerjoin(deliveries, of_channel).where(*wanted)
        query = query.order_by(alerts.c.pages.desc(), alerts.c.at_us, alerts.c.id).limit(1)
        with self._db.read() as c:  # most looks find nothing: they must not make anybody wait for a writer's turn
            found = c.execute(query).first()
        if found is None:
            return None
        tries, until = (found.tries or 0) + 1, at + round(for_s * 1_000_000)
        with self._db.write() as c:
            if found.seen_us is None:
                insert_missing(c, deliveries, [{"alert": found.id, "channel": channel, "tries": 0, "next_us": at, "sent_us": None}])
            row = (deliveries.c.alert == found.id, deliveries.c.channel == channel, deliveries.c.sent_us.is_(None))
            taking = update(deliveries).where(*row, deliveries.c.next_us == (found.seen_us or at), deliveries.c.tries == tries - 1)
            if c.execute(taking.values(tries=tries, next_us=until)).rowcount != 1:
                return None
        return _alert(found), Delivery(alert=found.id, channel=channel, tries=tries, next_at=utc(until), error=found.error or "")

    def sent(self, delivery: Delivery, at: datetime) -> None:
        """A receiver took it."""
        with self._db.write() as c:
            c.execute(_of(delivery).values(sent_us=micros(at), error=None))

    def not_sent(self, delivery: Delivery, error: str, at: datetime) -> None:
        """It was not taken, and is tried again after a pause that grows."""
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(20, delivery.tries - 1))
        with self._db.write() as c:
            c.execute(_of(delivery).values(next_us=micros(at) + round(pause * 1_000_000), error=error))

    def deliveries(self, alert_ids: Sequence[str]) -> list[Delivery]:
        """Where word of these alerts stands, by alert and channel."""
        with self._db.read() as c:
            found = c.execute(select(deliveries).where(deliveries.c.alert.in_(list(alert_ids))))
            rows = [
                Delivery(
                    alert=row.alert,
                    channel=row.channel,
                    tries=row.tries,
                    next_at=utc(row.next_us),
                    sent_at=None if row.sent_us is None else utc(row.sent_us),
                    error=row.error or "",
                )
                for row in found
            ]
        return sorted(rows, key=lambda one: (one.alert, one.channel))


def _again(alert: Alert) -> str:
    """The id of an occurrence that has a former one's: its evidence is the same, and what was over is back."""
    return f"al_{hashlib.sha256(f'{alert.id} {micros(alert.at)}'.encode()).hexdigest()[:12]}"


def _of(delivery: Delivery) -> Any:
    """The row of a delivery, as long as nobody else has taken it over."""
    row = (deliveries.c.alert == delivery.alert, deliveries.c.channel == delivery.channel, deliveries.c.tries == delivery.tries)
    return update(deliveries).where(*row)


def _row(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "at_us": micros(alert.at),
        "kind": alert.kind,
        "about": alert.about,
        "pages": alert.pages,
        "ended_us": None if alert.ended_at is None else micros(alert.ended_at),
        "acknowledged_us": None if alert.acknowledged_at is None else micros(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by or None,
        "body": msgspec.json.encode(alert).decode(),
    }


def _alert(row: Any) -> Alert:
    """The alert as it was raised, and what became of it since."""
    return replace(
        _ALERT.decode(row.body),
        ended_at=None if row.ended_us is None else utc(row.ended_us),
        acknowledged_at=None if row.acknowledged_us is None else utc(row.acknowledged_us),
        acknowledged_by=row.acknowledged_by or "",
    )
