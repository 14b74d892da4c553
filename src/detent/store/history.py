"""The journal as the history of a route: what is usual on stable, and who was there before a rollout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select

from detent.evidence import metrics_of
from detent.evidence.past import Before, before_of, past_of
from detent.store.database import Database
from detent.store.rows import begun_of, feedback_of, intent_of, result_of, rows_in
from detent.store.schema import feedback, legs
from detent.terms import Arm, DeclaredMetric, Guard, Intent, Past, Price, Result, Role, Rollout, UnitKind, micros

BASE_RATE_LEGS = 20_000
"""How many of a route's latest legs its past is taken from."""

BEFORE_S = 7 * 86400.0
"""How far back the arms are compared as they were before the canary."""

BEFORE_USERS = 2_000
"""How many users they are compared by."""

INPUT_LEGS = 200
"""How many of a route's latest answers its usual input is taken from."""

INPUT_ROWS = 1_000
"""How many of its latest legs are looked at for them, and how far back: this is asked every few seconds."""

INPUT_OF_S = 3600.0


class History:
    """What a rollout is judged against."""

    _db: Database

    def past(
        self,
        route: str,
        *,
        guards: Sequence[Guard],
        declared: Mapping[str, DeclaredMetric] | None = None,
        prices: Mapping[str, Price] | None = None,
        at: datetime | None = None,
    ) -> Past:
        """What the route's latest traffic on its stable version says of these guards' metrics, as a rollout's own units would.

        `at` is now: silence of units that are not mature by then says nothing. Without it, the last record is taken for now.
        """
        # What a drill moved to the way back stands under stable's arm, and is no word of stable's.
        of_stable = (legs.c.route == route, legs.c.arm == Arm.STABLE.value, legs.c.role == Role.SERVED.value, legs.c.why != "drill")
        newest = select(legs).where(*of_stable).order_by(legs.c.at_us.desc()).limit(BASE_RATE_LEGS)
        with self._db.read(at_leisure=True) as c:  # on a busy machine it takes seconds to make so many rows into records
            found = c.execute(newest).all()
            # What was stable before the last promotion is another version.
            recorded = [
                (intent_of(row), result_of(row) or begun_of(row))
                for row in found
                if (row.provider, row.model) == (found[0].provider, found[0].model)
            ]
            since = min((intent.at_us for intent, _ in recorded), default=0)
            said = [feedback_of(row) for row in c.execute(select(feedback).where(feedback.c.at_us >= since))] if recorded else []
        units = {name: intent.unit for intent, _ in recorded for name in (intent.exchange, intent.session) if name}
        aimed = [(f, units[name]) for f in said if (name := f.exchange or f.session or "") in units]
        metrics = metrics_of(declared or {}, prices or {})
        return past_of(recorded, aimed, guards, metrics, until_us=None if at is None else micros(at))

    def input_tokens(self, route: str, now: datetime) -> float:
        """Input tokens of a request of this route, on average over its latest answers in the last hour; 0 where none is known."""
        of_late = (legs.c.route == route, legs.c.at_us >= micros(now) - round(INPUT_OF_S * 1e6))
        newest = select(legs.c.input_tokens, legs.c.role).where(*of_late).order_by(legs.c.at_us.desc()).limit(INPUT_ROWS).subquery()
        known = select(newest.c.input_tokens).where(newest.c.role == Role.SERVED.value, newest.c.input_tokens.is_not(None))
        with self._db.read() as c:
            found = list(c.scalars(known.limit(INPUT_LEGS)))
        return sum(found) / len(found) if found else 0.0

    def before(self, rollout: Rollout) -> dict[Arm, Before]:
        """What each arm's users were like in the 7 days before the canary: users of the candidate should be no other people.

        Read from the first users of the canary that were on record by then. Empty where units are no users: nobody was there before.
        """
        if rollout.canary_at is None:
            return {}
        began_us = micros(rollout.canary_at)
        during = (legs.c.route == rollout.route, legs.c.at_us >= began_us, legs.c.rollout == rollout.id, legs.c.randomised)
        exposed = (
            select(legs.c.user, legs.c.arm)
            .where(*during, legs.c.unit_kind == UnitKind.USER.value, legs.c.user.is_not(None))
            .order_by(legs.c.at_us)
            .limit(BASE_RATE_LEGS)
        )
        earlier = (legs.c.route == rollout.route, legs.c.at_us < began_us, legs.c.at_us >= began_us - round(BEFORE_S * 1e6))
        found: defaultdict[Arm, list[tuple[Intent, Result | None]]] = defaultdict(list)
        with self._db.read(at_leisure=True) as c:
            arms: dict[str, Arm] = {}
            for user, arm in c.execute(exposed):
                arms.setdefault(user, Arm(arm))
            of_users = select(legs).where(*earlier, legs.c.user.is_not(None), legs.c.role != Role.MIRRORED.value)
            for row in rows_in(c, of_users, legs.c.user, list(arms)[:BEFORE_USERS]):
                found[arms[row.user]].append((replace(intent_of(row), unit=row.user), result_of(row)))
        return {arm: before_of(found[arm]) for arm in Arm} if arms else {}

    def users_before(self, users: Collection[str], before_us: int) -> set[str]:
        """Which of these users are on record with a leg sent before that time."""
        query = select(legs.c.user).distinct().where(legs.c.user.is_not(None), legs.c.at_us < before_us)
        with self._db.read() as c:
            return {row.user for row in rows_in(c, query, legs.c.user, users)}
