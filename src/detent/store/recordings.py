"""The journal as a source of baselines: recorded exchanges, streamed; and what recent traffic is made of.

Nothing here holds more than a page of bodies at a time, and every read is a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from detent import reading, sampling, wire
from detent.errors import InvalidInput
from detent.sampling import Traffic
from detent.store.database import Database
from detent.store.schema import bodies, bodies_of, feedback, legs
from detent.terms import Answer, Endpoint, Outcome, RecordedExchange, Role, micros, utc

PAGE = 500
"""Bodies that are read at a time: each may have two megabytes."""

TRAFFIC_REQUESTS = 5_000
TRAFFIC_BODIES = 500
"""How many of the latest requests, and of their bodies, say what the traffic is like."""

_OWN = bodies_of(legs)
_WHOLE = select(legs, bodies.c.request, bodies.c.answer).join(bodies, _OWN)
_ASKED = select(legs.c.leg, legs.c.at_us, legs.c.endpoint, legs.c.template, legs.c.tools_called, bodies.c.request).join(bodies, _OWN)


class Asked(NamedTuple):
    """A recorded request as the features of a baseline's traffic are read from: no answer is looked at. `called`: it called a tool."""

    leg: str
    at_us: int
    endpoint: Endpoint
    template: str
    called: bool
    request: bytes


class Recordings:
    """Complete answers to callers, with their bodies."""

    _db: Database

    @property
    def place(self) -> str:
        """The URL of the journal's database, its password included: for another process of ours to open, never to be shown."""
        return self._db.url.render_as_string(hide_password=False)

    def spans(self, route: str, *, every: int, at_most: int) -> list[tuple[int, int]]:
        """The journal of a route in stretches of about `every` legs, newest first, each (after, until] in microseconds.

        About the newest `at_most` legs. Legs of one microsecond are never parted.
        """
        newest = select(legs.c.at_us).where(legs.c.route == route).order_by(legs.c.at_us.desc()).limit(1)
        found: list[tuple[int, int]] = []
        with self._db.read() as c:
            until = c.scalar(newest)
            while until is not None and len(found) * every < at_most:
                after = c.scalar(newest.where(legs.c.at_us <= until).offset(every))
                found.append((-1 if after is None else min(after, until - 1), until))
                until = c.scalar(newest.where(legs.c.at_us <= found[-1][0]))
        return found

    def asked(self, route: str, *, model: str, after_us: int, until_us: int) -> Iterator[Asked]:
        """The requests of a stretch that have a complete answer of this model, oldest first. Answers are not read."""
        query = _complete(_ASKED, route).where(legs.c.model == model, legs.c.at_us > after_us, legs.c.at_us <= until_us)
        with self._db.read(at_leisure=True) as c:
            # In the order in which they were written: a disk reads ahead, never back, and a million bodies need not be in its cache.
            for row in c.execute(query.order_by(legs.c.at_us, legs.c.leg).execution_options(yield_per=PAGE)):
                yield Asked(row[0], row[1], Endpoint(row[2]), row[3], row[4] is not None, row[5])

    def recorded(self, route: str, *, model: str, since: datetime | None = None) -> Iterator[RecordedExchange]:
        """Complete exchanges with this model, newest first, one page in memory at a time. What cannot be sent again is left out."""
        since_us = -1 if since is None else micros(since) - 1
        for after_us, until_us in self.spans(route, every=PAGE, at_most=2**62):
            if until_us <= since_us:
                return
            stretch = (legs.c.model == model, legs.c.at_us > max(after_us, since_us), legs.c.at_us <= until_us)
            with self._db.read() as c:
                rows = c.execute(_complete(_WHOLE, route).where(*stretch).order_by(legs.c.at_us.desc(), legs.c.leg)).all()
                said = _ratings(c, rows)
            yield from (exchange for row in rows if (exchange := _exchange(row, said)) is not None)

    def recorded_legs(self, names: Collection[str]) -> dict[str, RecordedExchange]:
        """The exchanges of these legs, by leg, with what users said of them; what has no bodies or cannot be sent again is left out."""
        wanted, found = list(names), dict[str, RecordedExchange]()
        with self._db.read() as c:
            for start in range(0, len(wanted), PAGE):
                rows = c.execute(_WHOLE.where(legs.c.leg.in_(wanted[start : start + PAGE]), bodies.c.request.is_not(None))).all()
                said = _ratings(c, rows)
                found |= {row.leg: exchange for row in rows if (exchange := _exchange(row, said)) is not None}
        return found

    def traffic(self, route: str, *, since: datetime, limit: int = TRAFFIC_REQUESTS) -> Traffic:
        """What the latest requests of a route are like: templates of at most `limit` of them, strata of those whose bodies were kept."""
        recent = (legs.c.route == route, legs.c.role == Role.SERVED.value, legs.c.at_us >= micros(since))
        newest = select(legs.c.template).where(*recent).order_by(legs.c.at_us.desc()).limit(limit).subquery()
        kept = _complete(_ASKED, route).where(*recent).order_by(legs.c.at_us.desc()).limit(min(limit, TRAFFIC_BODIES))
        with self._db.read(at_leisure=True) as c:
            counts = {
                row.template: row.n for row in c.execute(select(newest.c.template, func.count().label("n")).group_by(newest.c.template))
            }
            rows = c.execute(kept.execution_options(yield_per=PAGE))
            placed = [strata for row in rows if (strata := _strata(row)) is not None]
        total = sum(counts.values())
        return Traffic(
            requests=total,
            bodies=len(placed),
            templates={template: n / total for template, n in counts.items()},
            strata=sampling.profile(placed),
        )


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _complete(query: Select[Any], route: str) -> Select[Any]:
    """Complete answers to callers of the route that are no refusals, with both bodies."""
    return (
        query.where(legs.c.route == route, legs.c.role != Role.MIRRORED.value, legs.c.outcome == Outcome.COMPLETE.value)
        # Broken JSON is always kept and the good by sampling: taken together, much of a baseline would be broken.
        .where(legs.c.parse.is_(None) | (legs.c.parse == "ok"), legs.c.refusal.is_not(True))
        .where(bodies.c.request.is_not(None), bodies.c.answer.is_not(None))
    )


def answer_of(endpoint: Endpoint, body: bytes, *, streamed: bool, status: int = 200) -> Answer:
    """A kept answer; one that an older Detent kept as the provider sent it is read like that."""
    kept = reading.kept_answer(body)
    return kept if kept is not None else wire.read_answer(endpoint, status=status, body=body, streamed=streamed)


def _exchange(row: Any, said: dict[str, float]) -> RecordedExchange | None:
    endpoint = Endpoint(row.endpoint)
    try:
        request = wire.unstreamed(row.request)
        wire.read_prompt(endpoint, request)
    except InvalidInput:
        return None
    return RecordedExchange(
        id=row.exchange,
        endpoint=endpoint,
        request=request,
        answer=answer_of(endpoint, row.answer or b"", streamed=row.stream),
        model=row.model,
        at=utc(row.at_us),
        api_version=row.api_version,
        betas=tuple(row.betas.split(",")) if row.betas else (),
        session=row.session,
        template=row.template,
        rating=said.get(row.exchange, said.get(row.session)),
    )


def _strata(row: Any) -> tuple[str, ...] | None:
    try:
        return sampling.of_request(
            Endpoint(row.endpoint),
            row.request,
            template=row.template,
            task="",
            called=row.tools_called is not None,
            at=utc(row.at_us),
        ).strata
    except InvalidInput:
        return None


_RATING: dict[str, Callable[[float], float | None]] = {
    "thumbs": lambda value: 1.0 if value > 0 else 0.0,
    "thumbs_up": lambda value: 1.0 if value > 0 else None,
    "thumbs_down": lambda value: 0.0 if value > 0 else None,
}
"""What a metric of the app says of an answer, from 0 (bad) to 1 (good); None: nothing."""


def _ratings(c: Connection, rows: Sequence[Any]) -> dict[str, float]:
    """What users said, by exchange id and by session hash; the worst of what was said.

    Praise of a session is no praise of each answer in it, but of a session that went wrong no answer is known to be good.
    """
    found: dict[str, float] = {}
    for column, names in (
        (feedback.c.exchange, {row.exchange for row in rows}),
        (feedback.c.session, {row.session for row in rows} - {None}),
    ):
        query = select(column.label("name"), feedback.c.metric, feedback.c.value).where(feedback.c.metric.in_(_RATING), column.in_(names))
        for row in c.execute(query):
            rating = _RATING[row.metric](row.value)
            if rating is not None and (rating == 0.0 or column is feedback.c.exchange):
                found[row.name] = min(rating, found.get(row.name, 1.0))
    return found
