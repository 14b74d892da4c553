"""The ledger of shadows: what they have spent of each day's budget, what is held of it, and what was not mirrored. Trickles of copies to
ways back, which have no rollout, stand in it under names of their own (`trickle.account`).

Whoever spends is a *holder*: it reserves before it calls, and settles when it knows what calls have cost. A holder that is killed leaves
what it held behind: it counts as taken for the rest of its day, since nobody knows what of it was spent.
"""

from __future__ import annotations

from typing import Literal, get_args

from sqlalchemy import Connection, func, select, update

from detent.evidence.spending import Cost, Limit, grant
from detent.store.alone import take_turns
from detent.store.database import Database, upsert
from detent.store.schema import not_mirrored, shadow_ledger
from detent.terms import Spent

Purse = Literal["mirrors", "judge"]

_PURSES: dict[str, Purse] = {purse: purse for purse in get_args(Purse)}


class Ledger:
    """Budgets of all gateways together."""

    _db: Database

    def reserve(
        self, rollout: str, day_us: int, purse: Purse, holder: str, *, want: Cost, limit: Limit, at_us: int, least: Cost | None = None
    ) -> Cost | None:
        """Hold as much of `want` as the day's limit leaves at this moment, all of it or at least `least`; None where there is less."""
        with self._db.write() as c:
            take_turns(c, f"ledger of {rollout}")
            given = grant(want, want if least is None else least, limit=limit, taken=_taken(c, rollout, day_us, purse), at_us=at_us)
            if given is not None:
                _add(c, (rollout, day_us, purse, holder), spent=Cost(), held=given)
        return given

    def settle(self, rollout: str, day_us: int, purse: Purse, holder: str, *, spent: Cost, release: Cost) -> None:
        """Count what was spent, and let go of what was held for it and of what is not needed."""
        t = shadow_ledger
        with self._db.write() as c:
            take_turns(c, f"ledger of {rollout}")
            _add(c, (rollout, day_us, purse, holder), spent=spent, held=Cost() - release)
            mine = (t.c.rollout == rollout, t.c.day_us == day_us, t.c.purse == purse, t.c.holder == holder)
            c.execute(update(t).where(*mine, t.c.held_usd < 0.0).values(held_usd=0.0))
            c.execute(update(t).where(*mine, t.c.held_tokens < 0).values(held_tokens=0))

    def spent(self, rollout: str) -> list[Spent]:
        """What a shadow has cost, by UTC day and purse, oldest first."""
        t = shadow_ledger
        sums = (func.sum(t.c.usd), func.sum(t.c.tokens), func.sum(t.c.held_usd), func.sum(t.c.held_tokens))
        query = select(t.c.day_us, t.c.purse, *sums).where(t.c.rollout == rollout).group_by(t.c.day_us, t.c.purse)
        with self._db.read() as c:
            found = c.execute(query.order_by(t.c.day_us, t.c.purse)).all()
        return [
            Spent(day_us=day_us, purse=_PURSES[purse], usd=usd, tokens=int(tokens), held_usd=held_usd, held_tokens=int(held_tokens))
            for day_us, purse, usd, tokens, held_usd, held_tokens in found
        ]

    def spent_on(self, payer: str, day_us: int, purse: Purse) -> Spent:
        """What is spent and held of one budget on one UTC day, which begins at `day_us`."""
        t = shadow_ledger
        sums = (func.sum(t.c.usd), func.sum(t.c.tokens), func.sum(t.c.held_usd), func.sum(t.c.held_tokens))
        query = select(*sums).where(t.c.rollout == payer, t.c.day_us == day_us, t.c.purse == purse)
        with self._db.read() as c:
            usd, tokens, held_usd, held_tokens = (n or 0 for n in c.execute(query).one())
        return Spent(day_us=day_us, purse=purse, usd=float(usd), tokens=int(tokens), held_usd=float(held_usd), held_tokens=int(held_tokens))

    def not_mirrored(self, rollout: str) -> dict[tuple[str, str], int]:
        """How many requests were drawn for a shadow and not sent, by reason and what more is known of it."""
        t = not_mirrored
        with self._db.read() as c:
            found = c.execute(select(t.c.reason, t.c.why, t.c.n).where(t.c.rollout == rollout).order_by(t.c.reason, t.c.why)).all()
        return {(reason, why): n for reason, why, n in found}


def _taken(c: Connection, rollout: str, day_us: int, purse: Purse) -> Cost:
    t = shadow_ledger
    sums = select(func.sum(t.c.usd + t.c.held_usd), func.sum(t.c.tokens + t.c.held_tokens))
    usd, tokens = c.execute(sums.where(t.c.rollout == rollout, t.c.day_us == day_us, t.c.purse == purse)).one()
    return Cost(usd=usd or 0.0, tokens=int(tokens or 0))


def _add(c: Connection, key: tuple[str, int, Purse, str], *, spent: Cost, held: Cost) -> None:
    rollout, day_us, purse, holder = key
    row = {"rollout": rollout, "day_us": day_us, "purse": purse, "holder": holder, "usd": spent.usd, "tokens": spent.tokens}
    row |= {"held_usd": held.usd, "held_tokens": held.tokens}
    upsert(c, shadow_ledger, [row], add=("usd", "tokens", "held_usd", "held_tokens"))
