"""Who may act: tokens, each with a name and a role. Only a token's SHA-256 is kept: of 256 random bits nothing can be guessed, so that a
slow hash would protect nothing and cost every request.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from detent.errors import InvalidInput, Refused
from detent.roles import refuse_unless_first
from detent.store.alone import take_turns
from detent.store.audit import audited
from detent.store.database import Database
from detent.store.schema import tokens
from detent.terms import Token, TokenRole, micros, utc


class Tokens:
    """Tokens are never deleted: a name that acted once stays somebody's."""

    _db: Database

    def add_token(self, name: str, role: TokenRole, secret: str, *, by: str, at: datetime) -> Token:
        """Let the holder of `secret` act by this name. Raises InvalidInput for a name that was given out, Refused for a first token that
        could make no other.
        """
        try:
            with self._db.write() as c:
                take_turns(c, "tokens")
                if c.scalar(select(tokens.c.name).limit(1)) is None:
                    refuse_unless_first(role)
                row = {"name": name, "role": role, "digest": _digest(secret), "by": by, "at_us": micros(at)}
                c.execute(insert(tokens).values(**row))
                audited(c, at, by, f"token add: {name} as {role}", after={"name": name, "role": role})
        except IntegrityError as error:
            raise InvalidInput(f"a token of this name was given out before: `{name}`", hint="names are given once: take another") from error
        return Token(name=name, role=role, by=by, at=at)

    def revoke_token(self, name: str, *, by: str, why: str, at: datetime) -> Token:
        """From now on this token is nobody's. Raises InvalidInput for a name without a token, Refused for the last approver."""
        with self._db.write() as c:
            take_turns(c, "tokens")
            known = {token.name: token for token in map(_token, c.execute(select(tokens))) if token.revoked_at is None}
            if name not in known:
                raise InvalidInput(f"no token of this name is in force: `{name}`", hint="see them with `detent token list`")
            if [token.name for token in known.values() if token.role == "approver"] == [name]:
                raise Refused(
                    f"`{name}` is the last approver: without one nobody could make a token again",
                    hint="detent token add NAME --role approver, and then revoke this one",
                )
            c.execute(update(tokens).where(tokens.c.name == name).values(revoked_us=micros(at)))
            audited(c, at, by, f"token revoke: {name}" + (f": {why}" if why else ""), before={"name": name, "role": known[name].role})
        return known[name]

    def tokens(self) -> list[Token]:
        """Every token that was given out, by name; those that were revoked too."""
        with self._db.read() as c:
            return [_token(row) for row in c.execute(select(tokens).order_by(tokens.c.name))]

    def holder(self, secret: str) -> Token | None:
        """Whose token this is; None for one that is nobody's, or was revoked. Takes as long whichever it is."""
        asked, found = _digest(secret), None
        with self._db.read() as c:
            for row in c.execute(select(tokens)):
                if hmac.compare_digest(row.digest, asked) and row.revoked_us is None:
                    found = _token(row)
        return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _token(row: Any) -> Token:
    revoked = None if row.revoked_us is None else utc(row.revoked_us)
    return Token(name=row.name, role=row.role, by=row.by, at=utc(row.at_us), revoked_at=revoked)
