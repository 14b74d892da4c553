"""The journal: one row per leg, sampled bodies, feedback. It answers "why"; no gate reads it for a safety decision.

A row is made by a leg's intent and completed by its result; `outcome` is null in between. Putting what is there already changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, select, update

from detent.evidence import METRICS
from detent.evidence.units import UnitKey, base_rates
from detent.store.database import Database, insert_missing
from detent.store.recordings import Recordings
from detent.store.schema import MIRRORED, UNRESOLVED, bodies, feedback, legs
from detent.terms import Arm, Endpoint, Feedback, Guard, Intent, Outcome, Result, Role, UnitKind, Usage

BASE_RATE_LEGS = 20_000
"""How many of a route's latest legs its base rates are taken from."""

_INTENT = tuple(column.name for column in fields(Intent))
_COUNTED = {"input_tokens": "input", "cached_tokens": "cached", "output_tokens": "output", "reasoning_tokens": "reasoning"}
_APART = {"leg", "at_us", "usage", "tools_called", "request_body", "answer_body"}
_RESULT = tuple(column.name for column in fields(Result) if column.name not in _APART)
_INT64 = 2**63
_AT_ONCE = 10_000  # names in one IN: SQLite takes 32,766


@dataclass(frozen=True, slots=True)
class Recorded:
    """A leg as the journal has it: `result` is None while it isn't known; bodies are None where they were not kept or not asked for."""

    intent: Intent
    result: Result | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPair:
    """A live answer of stable and the shadow's answer to the same request. `at_us`: when the later of the two was complete."""

    exchange: str
    at_us: int
    session: str | None
    endpoint: Endpoint
    stream: bool
    request: bytes
    stable_outcome: Outcome
    stable_status: int | None
    stable_answer: bytes
    candidate_outcome: Outcome
    candidate_status: int | None
    candidate_answer: bytes


class Journal(Recordings):
    """What happened, leg by leg; with `Recordings` (what baselines are drawn from)."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def close(self) -> None:
        """Let go of all connections."""
        self._db.close()

    # ── in ──

    def put(
        self,
        intents: Sequence[Intent] = (),
        results: Sequence[Result] = (),
        said: Sequence[Feedback] = (),
        *,
        origins: Mapping[str, str] | None = None,
    ) -> None:
        """Keep records in one transaction. What is known of a leg stays as it is: the first intent, the first result, the first feedback.

        `origins` names the spool of a leg, and the spool and position of a feedback, by its id. A result without an intent is not kept.
        """
        whence = origins or {}
        with self._db.write() as c:
            insert_missing(c, legs, [_intent_row(intent, whence.get(intent.leg, "")) for intent in intents])
            if results:
                still_open = update(legs).where(legs.c.leg == bindparam("b_leg"), legs.c.outcome.is_(None))
                rows = [_result_row(result) for result in results]
                c.execute(still_open.values({name: bindparam(name) for name in rows[0] if name != "b_leg"}), rows)
                with_bodies = {r.leg: r for r in results if r.request_body is not None or r.answer_body is not None}
                there = _in(c, select(legs.c.leg), legs.c.leg, with_bodies)
                insert_missing(c, bodies, [_body_row(with_bodies[row.leg]) for row in there])
            insert_missing(c, feedback, [_feedback_row(f, whence.get(f.id, "")) for f in said])

    # ── out: for the ingester ──

    def intents(self, leg_ids: Collection[str]) -> dict[str, Intent]:
        """The intents of these legs, by leg; those that aren't there are left out."""
        columns = [legs.c[name] for name in _INTENT]
        with self._db.read() as c:
            return {row.leg: _intent(row) for row in _in(c, select(*columns), legs.c.leg, leg_ids)}

    def unresolved(self, spool: str) -> list[Intent]:
        """Intents of a spool that have no result, or were already found lost, oldest first."""
        columns = [legs.c[name] for name in _INTENT]
        with self._db.read() as c:
            found = c.execute(select(*columns).where(legs.c.spool == spool, UNRESOLVED).order_by(legs.c.at_us, legs.c.leg))
            return [_intent(row) for row in found]

    def origins(self, feedback_ids: Collection[str]) -> dict[str, str]:
        """Where each feedback was first read: a second one with the same id (a client that tried again) came from elsewhere."""
        with self._db.read() as c:
            return {row.id: row.origin for row in _in(c, select(feedback.c.id, feedback.c.origin), feedback.c.id, feedback_ids)}

    def targets(self, *, exchanges: Collection[str] = (), sessions: Collection[str] = ()) -> dict[str, list[UnitKey]]:
        """The units that took part in these exchanges and sessions as randomised units of a rollout, by exchange id or session hash.

        A session on two routes is two units. A session is also found as a unit of its own.
        """
        found: defaultdict[str, list[UnitKey]] = defaultdict(list)
        with self._db.read() as c:
            for column, names in ((legs.c.exchange, exchanges), (legs.c.session, sessions)):
                query = select(column.label("name"), legs.c.rollout, legs.c.unit).distinct()
                counting = (legs.c.rollout.is_not(None), legs.c.randomised, legs.c.role != Role.MIRRORED.value)
                for row in _in(c, query.where(*counting), column, names):
                    found[row.name].append(UnitKey(row.rollout, row.unit))
        return dict(found)

    # ── out: for people, baselines and the grader ──

    def count(self, *, route: str | None = None, outcome: Outcome | None = None, pending: bool = False) -> int:
        """How many legs there are: of a route, with an outcome, or still without any (`pending`)."""
        query = select(func.count()).select_from(legs)
        if route is not None:
            query = query.where(legs.c.route == route)
        if outcome is not None:
            query = query.where(legs.c.outcome == outcome.value)
        if pending:
            query = query.where(legs.c.outcome.is_(None))
        with self._db.read() as c:
            return int(c.scalar(query) or 0)

    def exchange(self, exchange: str) -> tuple[Recorded, ...]:
        """All legs of an exchange in the order sent, with their bodies as far as they were kept."""
        query = select(legs, bodies.c.request, bodies.c.answer).outerjoin(bodies, bodies.c.leg == legs.c.leg)
        with self._db.read() as c:
            found = c.execute(query.where(legs.c.exchange == exchange).order_by(legs.c.at_us, legs.c.leg)).all()
        return tuple(Recorded(_intent(row), _result(row, row.request, row.answer)) for row in found)

    def latest(self, route: str, limit: int = 50) -> tuple[Recorded, ...]:
        """The newest legs of a route, newest first, without bodies."""
        query = select(legs).where(legs.c.route == route).order_by(legs.c.at_us.desc(), legs.c.leg).limit(limit)
        with self._db.read() as c:
            return tuple(Recorded(_intent(row), _result(row)) for row in c.execute(query))

    def served(self, routes: Collection[str]) -> dict[str, str]:
        """The model that gave the last complete answer to a caller, by route; routes without one are left out."""
        answers = select(legs.c.answered_model).where(
            legs.c.outcome == Outcome.COMPLETE.value, legs.c.role != Role.MIRRORED.value, legs.c.answered_model.is_not(None)
        )
        newest = answers.order_by(legs.c.at_us.desc()).limit(1)
        with self._db.read() as c:
            found = {route: c.scalar(newest.where(legs.c.route == route)) for route in routes}
        return {route: model for route, model in found.items() if model is not None}

    def ungraded_pairs(self, rollout: str, *, limit: int, after_us: int = 0) -> list[RecordedPair]:
        """Mirrored exchanges whose both legs have a result, completed after `after_us`, in the order of completion.

        About `limit` of them: those completed in the same microsecond as the last come along, so that the last `at_us` is a safe cursor.
        """
        with self._db.read() as c:
            found = c.execute(_pairs(rollout, legs.c.result_us > after_us).limit(limit)).all()
            if len(found) == limit:
                last = found[-1].mirrored_us
                ties = c.execute(_pairs(rollout, legs.c.result_us == last)).all()
                found = [row for row in found if row.mirrored_us < last] + list(ties)
        return [_pair(row) for row in found]

    def users(self, rollout: str) -> tuple[int, int]:
        """(users that were served by the candidate, users in all) among a rollout's randomised traffic; without a user, its unit counts."""
        who = func.coalesce(legs.c.user, legs.c.unit)
        counted = select(func.count(who.distinct())).where(legs.c.rollout == rollout, legs.c.randomised, legs.c.role != Role.MIRRORED.value)
        with self._db.read() as c:
            exposed = c.scalar(counted.where(legs.c.arm_served == Arm.CANDIDATE.value))
            return exposed or 0, c.scalar(counted) or 0

    def base_rates(self, route: str, guards: Sequence[Guard]) -> dict[str, float]:
        """The working base rate of each rate guard from the route's latest stable traffic; guards without any are left out."""
        of_stable = (legs.c.route == route, legs.c.arm == Arm.STABLE.value, legs.c.role == Role.SERVED.value)
        newest = select(legs).where(*of_stable).order_by(legs.c.at_us.desc()).limit(BASE_RATE_LEGS)
        with self._db.read() as c:
            recorded = [(_intent(row), _result(row)) for row in c.execute(newest)]
            since = min((intent.at_us for intent, _ in recorded), default=0)
            said = [_feedback(row) for row in c.execute(select(feedback).where(feedback.c.at_us >= since))]
        units = {name: intent.unit for intent, _ in recorded for name in (intent.exchange, intent.session) if name}
        aimed = [(f, units[name]) for f in said if (name := f.exchange or f.session or "") in units]
        return base_rates(recorded, aimed, guards, METRICS)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _in(c: Connection, query: Select[Any], column: ColumnElement[Any], names: Collection[str]) -> list[Row[Any]]:
    wanted = list(names)
    rows: list[Row[Any]] = []
    for start in range(0, len(wanted), _AT_ONCE):
        rows += c.execute(query.where(column.in_(wanted[start : start + _AT_ONCE]))).all()
    return rows


def _pairs(rollout: str, when: ColumnElement[bool]) -> Select[Any]:
    """Pairs by the completion of the mirrored leg, which is drawn after the live answer's last byte and so is the later one."""
    live, asked, shadow_answer = legs.alias("live"), bodies.alias("asked"), bodies.alias("shadow_answer")
    return (
        select(
            live,
            asked.c.request,
            asked.c.answer,
            legs.c.result_us.label("mirrored_us"),
            legs.c.outcome.label("mirrored_outcome"),
            legs.c.status.label("mirrored_status"),
            shadow_answer.c.answer.label("mirrored_answer"),
        )
        .select_from(legs)
        .join(live, (live.c.exchange == legs.c.exchange) & (live.c.role == Role.SERVED.value))
        .join(asked, asked.c.leg == live.c.leg)
        .outerjoin(shadow_answer, shadow_answer.c.leg == legs.c.leg)
        .where(legs.c.rollout == rollout, MIRRORED, legs.c.result_us.is_not(None), when)
        .where(live.c.arm_served == Arm.STABLE.value, live.c.result_us.is_not(None), asked.c.request.is_not(None))
        .order_by(legs.c.result_us, legs.c.leg)
    )


def _pair(row: Any) -> RecordedPair:
    return RecordedPair(
        exchange=row.exchange,
        at_us=row.mirrored_us,
        session=row.session,
        endpoint=Endpoint(row.endpoint),
        stream=row.stream,
        request=row.request,
        stable_outcome=Outcome(row.outcome),
        stable_status=row.status,
        stable_answer=row.answer or b"",
        candidate_outcome=Outcome(row.mirrored_outcome),
        candidate_status=row.mirrored_status,
        candidate_answer=row.mirrored_answer or b"",
    )


def _intent_row(intent: Intent, spool: str) -> dict[str, Any]:
    row = {name: getattr(intent, name) for name in _INTENT}
    for name in ("role", "arm", "arm_served", "unit_kind", "endpoint"):
        row[name] = row[name].value
    row["spool"] = spool
    row["attempt"] = min(intent.attempt, _INT64 - 1)  # a client may claim any number of attempts
    row["betas"] = ",".join(intent.betas) or None
    return row


def _result_row(result: Result) -> dict[str, Any]:
    row = {name: _stored(getattr(result, name)) for name in _RESULT}
    row |= {column: _stored(getattr(result.usage, name)) for column, name in _COUNTED.items()}
    row["outcome"] = result.outcome.value
    row["result_us"] = result.at_us
    row["tools_called"] = msgspec.json.encode(result.tools_called).decode() if result.tools_called else None
    row["b_leg"] = result.leg
    return row


def _stored(value: Any) -> Any:
    """A provider may claim any number of tokens; what no column holds is not known."""
    return None if isinstance(value, int) and not -_INT64 <= value < _INT64 else value


def _body_row(result: Result) -> dict[str, Any]:
    request = result.request_body
    digest = hashlib.sha256(request).hexdigest() if request is not None else None
    return {"leg": result.leg, "request": request, "answer": result.answer_body, "request_digest": digest}


def _feedback_row(said: Feedback, origin: str) -> dict[str, Any]:
    return {name: getattr(said, name) for name in ("id", "at_us", "metric", "value", "exchange", "session")} | {"origin": origin}


def _feedback(row: Any) -> Feedback:
    return Feedback(id=row.id, at_us=row.at_us, metric=row.metric, value=row.value, exchange=row.exchange, session=row.session)


def _intent(row: Any) -> Intent:
    values = {name: getattr(row, name) for name in _INTENT}
    values |= {"role": Role(row.role), "arm": Arm(row.arm), "arm_served": Arm(row.arm_served)}
    values["betas"] = tuple(row.betas.split(",")) if row.betas else ()
    return Intent(**values | {"unit_kind": UnitKind(row.unit_kind), "endpoint": Endpoint(row.endpoint)})


def _result(row: Any, request: bytes | None = None, answer: bytes | None = None) -> Result | None:
    if row.outcome is None:
        return None
    values = {name: getattr(row, name) for name in _RESULT}
    return Result(
        **values | {"outcome": Outcome(row.outcome)},
        leg=row.leg,
        at_us=row.result_us,
        usage=Usage(**{name: getattr(row, column) for column, name in _COUNTED.items()}),
        tools_called=tuple(msgspec.json.decode(row.tools_called)) if row.tools_called else (),
        request_body=request,
        answer_body=answer,
    )
